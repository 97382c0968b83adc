/* SPDX-License-Identifier: MIT */
/*
 * Breakpoints and watchpoints of a client, and their conditions. The timeline owns the points that work; here is the
 * copy that knows which kind a stop was, holds the conditions' bytecode, and is taken down when the client leaves.
 */
#include <stdlib.h>
#include <string.h>

#include "gdbstub/agent.h"
#include "gdbstub/regs.h"
#include "gdbstub/session.h"

const struct cv_gdb_point *cv_gdb_point_by_id(const struct cv_gdb_session *s, unsigned id)
{
	const struct cv_gdb_point *p = s->points;

	while (p && p->id != id)
		p = p->next;
	return p;
}

static struct cv_gdb_point **find(struct cv_gdb_session *s, const struct cv_request *req)
{
	struct cv_gdb_point **p = &s->points;

	/* A breakpoint's length says how long a trap instruction would be: it is no part of its identity. */
	while (*p && ((*p)->kind != req->point || (*p)->addr != req->addr ||
		      (req->point >= CV_POINT_WRITE && (*p)->len != req->len)))
		p = &(*p)->next;
	return p;
}

static void free_point(struct cv_gdb_point *p)
{
	free(p->condition);
	free(p);
}

void cv_gdb_drop_points(struct cv_gdb_session *s)
{
	while (s->points) {
		struct cv_gdb_point *p = s->points;

		s->points = p->next;
		cv_timeline_remove_point(s->t, p->kind, p->addr, p->len);
		free_point(p);
	}
	s->npoints = 0;
}

/* --- Conditions --- */

struct look {
	struct cv_gdb_session *s;
	struct cv_timeline *t;
	struct cv_vcpu_state state;
};

static bool look_register(void *ctx, unsigned number, uint64_t *v)
{
	struct look *l = ctx;
	uint8_t b[CV_REG_BYTES_MAX] = { 0 };
	size_t n;
	const struct cv_reg *regs = cv_regs(l->s->opt->arch, l->s->opt->avx, &n);

	if (number >= n)
		return false;
	cv_reg_get(&regs[number], &l->state, cv_gdb_cr8(l->s), b);
	*v = 0;
	for (unsigned i = 0; i < 8 && i < regs[number].bits / 8u; i++)
		*v |= (uint64_t)b[i] << 8 * i;
	return true;
}

static bool look_memory(void *ctx, uint64_t addr, void *p, size_t n)
{
	struct look *l = ctx;

	return cv_timeline_read(l->t, l->s->phys, addr, p, n) == n;
}

/* One true condition is enough. One that cannot be evaluated counts as true: the user then sees the place. */
static bool condition_holds(void *ctx, struct cv_timeline *t)
{
	const struct cv_gdb_point *p = ctx;
	struct look l = { .s = p->session, .t = t };
	const struct cv_agent_env env = { look_register, look_memory, &l };
	struct cv_rbuf r;

	cv_timeline_state(t, &l.state);
	cv_rbuf_init(&r, p->condition, p->ncondition);
	while (r.pos < r.len && !r.err) {
		uint64_t v = 0;
		size_t n;
		const uint8_t *code = cv_get_blob(&r, &n);

		if (!code || cv_agent_eval(code, n, &env, &v) != CV_AGENT_OK || v)
			return true;
	}
	return false;
}

/* Collects a Z packet's conditions into *w. */
static bool read_conditions(const struct cv_request *req, struct cv_wbuf *w)
{
	uint8_t *p = req->data, *code;
	size_t n = req->n, len;
	bool bad;

	while (cv_request_next_condition(&p, &n, &code, &len, &bad)) {
		cv_put_blob(w, code, len);
		if (w->len > CV_GDB_POINT_CONDITION_MAX)
			return false;
	}
	return !bad && !w->err;
}

/* --- Z and z --- */

static void clear_point(struct cv_gdb_session *s, const struct cv_request *req)
{
	struct cv_gdb_point **at = find(s, req), *p = *at;

	if (p) {
		cv_timeline_remove_point(s->t, p->kind, p->addr, p->len);
		*at = p->next;
		free_point(p);
		s->npoints--;
	}
	cv_gdb_ok(s); /* removing what is not there is fine: the packets are idempotent */
}

static void set_point(struct cv_gdb_session *s, const struct cv_request *req)
{
	struct cv_error err = { 0 };
	struct cv_wbuf conditions = { 0 };
	struct cv_gdb_point *old = *find(s, req), *p;

	if (!read_conditions(req, &conditions) || (req->point >= CV_POINT_WRITE && !req->len)) {
		cv_wbuf_release(&conditions);
		cv_gdb_error(s, 1);
		return;
	}
	if (!old && s->npoints == CV_GDB_POINTS_MAX) {
		cv_wbuf_release(&conditions);
		cv_gdb_error_text(s, "too many breakpoints and watchpoints");
		return;
	}
	p = calloc(1, sizeof(*p));
	if (!p) {
		cv_wbuf_release(&conditions);
		cv_gdb_error(s, 12);
		return;
	}
	*p = (struct cv_gdb_point){ .session = s, .kind = req->point, .addr = req->addr, .len = req->len,
				    .condition = conditions.data, .ncondition = conditions.len };
	if (cv_timeline_add_point(s->t, p->kind, p->addr, p->len, p->condition ? condition_holds : NULL, p, &p->id,
				  &err) < 0) {
		free_point(p);
		cv_gdb_error_text(s, err.msg);
		return;
	}
	/* The timeline has exchanged the condition of an old one: only now may its bytes go. */
	if (old) {
		struct cv_gdb_point **at = find(s, req);

		*at = old->next;
		free_point(old);
	} else {
		s->npoints++;
	}
	p->next = s->points;
	s->points = p;
	cv_gdb_ok(s);
}

void cv_gdb_do_point(struct cv_gdb_session *s, const struct cv_request *req)
{
	if (req->kind == CV_REQ_SET_POINT)
		set_point(s, req);
	else
		clear_point(s, req);
}
