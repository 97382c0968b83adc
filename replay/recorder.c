/* SPDX-License-Identifier: MIT */
/*
 * The recorder: an environment that passes everything on to another one and writes down what came back.
 *
 * Every answer, asynchronous input and interrupt becomes an event at its position. The first error of the log sticks,
 * and `failed` stops the machine. Console output is cut into lines for the log's index of lines; it is no input.
 *
 * Checkpoints with a digest are taken where the machine stands exactly at a multiple of the distance, before anything
 * that is due there: the replayer stops at the same place and compares. Each digest covers the pages dirtied since the
 * one before, so the dirty set is emptied there and nowhere else during a recording.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "replay/internal.h"

#define CHECKPOINT_DEFAULT (1ull << 28)
#define COMMIT_NS 200000000ull
#define LINE_MAX_LEN 4096

struct cv_recorder {
	struct cv_env env;
	struct cv_log *log;   /* borrowed */
	struct cv_env *inner; /* borrowed */
	struct cv_recorder_config cfg;
	struct cv_error err;  /* the first, which sticks */
	uint64_t next;	      /* insns of the next digest checkpoint */
	uint64_t next_state;  /* insns at or after which one is taken with state; UINT64_MAX: never */
	uint64_t checkpoints; /* taken so far: the next id */
	uint64_t committed;   /* host ns of the last commit */
	uint64_t last_insns;  /* of the last event */
	bool any;	      /* an event was written */
	bool crash_marked, ended;
	char line[LINE_MAX_LEN];
	size_t line_len;
};

static struct cv_recorder *self(struct cv_env *env)
{
	return (struct cv_recorder *)env;
}

static void fail(struct cv_recorder *r)
{
	r->env.failed = true;
}

static void append(struct cv_recorder *r, const struct cv_event *ev)
{
	if (r->env.failed)
		return;
	if (cv_log_append(r->log, ev, &r->err))
		fail(r);
	r->last_insns = ev->pos.insns;
	r->any = true;
}

static void append_value(struct cv_recorder *r, enum cv_event_kind kind, const struct cv_pos *pos, uint64_t value)
{
	struct cv_event ev = {.kind = kind, .pos = *pos, .value = value};

	append(r, &ev);
}

/* --- The environment --- */

static uint64_t rec_clock(struct cv_env *env, const struct cv_pos *pos, enum cv_event_kind why)
{
	struct cv_recorder *r = self(env);
	uint64_t t = r->inner->ops->clock(r->inner, pos, why);

	append_value(r, why, pos, t);
	return t;
}

static bool rec_clock_base(struct cv_env *env, uint64_t *delta, uint64_t *floor)
{
	struct cv_recorder *r = self(env);

	return !r->env.failed && r->inner->ops->clock_base && r->inner->ops->clock_base(r->inner, delta, floor);
}

static void rec_clock_taken(struct cv_env *env, const struct cv_pos *pos, uint64_t t)
{
	struct cv_recorder *r = self(env);

	r->inner->ops->clock_taken(r->inner, pos, t);
	append_value(r, CV_EV_TSC, pos, t);
}

static void rec_entropy(struct cv_env *env, const struct cv_pos *pos, uint8_t *p, size_t n)
{
	struct cv_recorder *r = self(env);

	r->inner->ops->entropy(r->inner, pos, p, n);
	while (n) {
		struct cv_event ev = {.kind = CV_EV_ENTROPY, .pos = *pos};

		ev.len = n < CV_EVENT_DATA_MAX ? (uint32_t)n : CV_EVENT_DATA_MAX;
		memcpy(ev.data, p, ev.len);
		append(r, &ev);
		p += ev.len;
		n -= ev.len;
	}
}

static uint64_t rec_horizon(struct cv_env *env, const struct cv_pos *pos)
{
	struct cv_recorder *r = self(env);

	return r->inner->ops->horizon(r->inner, pos);
}

static void note_async(struct cv_recorder *r, const struct cv_pos *pos, struct cv_event *ev)
{
	assert(cv_event_is_async(ev->kind));
	ev->pos = *pos;
	append(r, ev);
}

static bool rec_poll(struct cv_env *env, const struct cv_pos *pos, uint64_t deadline, size_t room,
		     struct cv_event *ev)
{
	struct cv_recorder *r = self(env);

	if (r->env.failed || !r->inner->ops->poll(r->inner, pos, deadline, room, ev))
		return false;
	note_async(r, pos, ev);
	return true;
}

static bool rec_wait(struct cv_env *env, const struct cv_pos *pos, uint64_t deadline, size_t room,
		     struct cv_event *ev)
{
	struct cv_recorder *r = self(env);

	if (r->env.failed)
		return false;
	if (!r->inner->ops->wait(r->inner, pos, deadline, room, ev)) {
		r->env.exhausted = r->inner->exhausted;
		return false;
	}
	note_async(r, pos, ev);
	return true;
}

static void rec_interrupt(struct cv_env *env, const struct cv_pos *pos, unsigned vector)
{
	struct cv_recorder *r = self(env);

	r->inner->ops->interrupt(r->inner, pos, vector);
	append_value(r, CV_EV_INTERRUPT, pos, vector);
}

static void put_line(struct cv_recorder *r, const struct cv_pos *pos)
{
	if (!r->env.failed && cv_log_put_line(r->log, pos, r->line, r->line_len, &r->err))
		fail(r);
	r->line_len = 0;
}

static void rec_console_out(struct cv_env *env, const struct cv_pos *pos, const uint8_t *p, size_t n)
{
	struct cv_recorder *r = self(env);

	r->inner->ops->console_out(r->inner, pos, p, n);
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\n')
			put_line(r, pos);
		else if (p[i] != '\r')
			r->line[r->line_len++] = (char)p[i];
		if (r->line_len == sizeof(r->line))
			put_line(r, pos);
	}
}

static const struct cv_env_ops rec_ops = {
	.clock = rec_clock,
	.clock_base = rec_clock_base,
	.clock_taken = rec_clock_taken,
	.entropy = rec_entropy,
	.horizon = rec_horizon,
	.poll = rec_poll,
	.wait = rec_wait,
	.interrupt = rec_interrupt,
	.console_out = rec_console_out,
};

/* --- Life --- */

int cv_recorder_new(struct cv_recorder **out, struct cv_log *log, struct cv_env *inner,
		    const struct cv_recorder_config *cfg, struct cv_error *err)
{
	struct cv_recorder *r = calloc(1, sizeof(*r));

	*out = NULL;
	if (!r)
		return cv_error_set(err, CV_E_NOMEM, "out of memory for the recorder");
	r->env.ops = &rec_ops;
	r->env.virtual_clock = inner->virtual_clock;
	r->log = log;
	r->inner = inner;
	if (cfg)
		r->cfg = *cfg;
	if (!r->cfg.checkpoint_insns)
		r->cfg.checkpoint_insns = CHECKPOINT_DEFAULT;
	if (r->cfg.state_insns && r->cfg.state_insns < r->cfg.checkpoint_insns)
		r->cfg.checkpoint_insns = r->cfg.state_insns;
	r->next = UINT64_MAX;
	r->next_state = r->cfg.state_insns ? r->cfg.state_insns : UINT64_MAX;
	*out = r;
	return 0;
}

void cv_recorder_free(struct cv_recorder *r)
{
	free(r);
}

struct cv_env *cv_recorder_env(struct cv_recorder *r)
{
	return &r->env;
}

uint64_t cv_recorder_next_checkpoint(const struct cv_recorder *r)
{
	return r->next;
}

int cv_recorder_error(const struct cv_recorder *r, struct cv_error *err)
{
	return r->err.code ? cv_error_set(err, r->err.code, "%s", r->err.msg) : 0;
}

/* --- Checkpoints --- */

/* All pages that are not zero, for a checkpoint that one can start at. *pages: owned by the caller. */
static int gather_pages(struct cv_machine *m, struct cv_log_page **pages, size_t *n, struct cv_error *err)
{
	static const uint8_t zero[CV_PAGE_SIZE];

	*n = 0;
	*pages = malloc((m->mem.ntouched + 1) * sizeof(**pages));
	if (!*pages)
		return cv_error_set(err, CV_E_NOMEM, "out of memory for a checkpoint");
	for (uint32_t i = 0; i < m->mem.pages; i++) {
		const uint8_t *data = m->mem.ram + ((size_t)i << CV_PAGE_SHIFT);

		if ((m->mem.flags[i] & CV_PAGE_TOUCHED) && memcmp(data, zero, CV_PAGE_SIZE)) {
			(*pages)[*n].page = i;
			(*pages)[(*n)++].data = data;
		}
	}
	return 0;
}

static int put_with_state(struct cv_recorder *r, struct cv_machine *m, const struct cv_log_checkpoint *cp,
			  struct cv_error *err)
{
	struct cv_log_page *pages = NULL;
	struct cv_wbuf w = {0};
	size_t n;
	int rc = gather_pages(m, &pages, &n, err);

	if (!rc) {
		cv_machine_save(m, &w);
		rc = w.err ? cv_error_set(err, w.err, "out of memory for a checkpoint")
			   : cv_log_put_checkpoint(r->log, cp, w.data, w.len, pages, n, err);
	}
	cv_wbuf_release(&w);
	free(pages);
	return rc;
}

static int checkpoint(struct cv_recorder *r, struct cv_machine *m, const struct cv_pos *pos, struct cv_error *err)
{
	struct cv_log_checkpoint cp = {
		.id = r->checkpoints,
		.pos = *pos,
		.event_seq = cv_log_event_count(r->log),
		.has_state = pos->insns >= r->next_state,
	};
	struct cv_digest d;
	int rc;

	rc = cv_machine_digest_dirty(m, &d, err);
	if (rc)
		return rc;
	memcpy(cp.digest, d.b, sizeof(cp.digest));
	rc = cp.has_state ? put_with_state(r, m, &cp, err) : cv_log_put_checkpoint(r->log, &cp, NULL, 0, NULL, 0, err);
	if (rc)
		return rc;
	if (cp.has_state)
		r->next_state = pos->insns + r->cfg.state_insns;
	cv_memory_clear_dirty(&m->mem);
	m->engine->ops->flush_tlb(m->engine);
	r->checkpoints++;
	return 0;
}

/*
 * A debugger may have carried the machine past the place, or an input may have been applied here already: then the
 * replayer could not stand in the same state, and this one is left out.
 */
static int checkpoint_if_due(struct cv_recorder *r, struct cv_machine *m, struct cv_error *err)
{
	struct cv_pos pos;
	int rc = 0;

	cv_machine_position(m, &pos);
	if (pos.insns < r->next)
		return 0;
	if (pos.insns == r->next && !pos.sub && !pos.in_rep && (!r->any || r->last_insns < pos.insns))
		rc = checkpoint(r, m, &pos, err);
	r->next = (pos.insns / r->cfg.checkpoint_insns + 1) * r->cfg.checkpoint_insns;
	return rc;
}

static int mark_crash(struct cv_recorder *r, struct cv_machine *m, struct cv_error *err)
{
	if (r->crash_marked || !m->end.crashed)
		return 0;
	r->crash_marked = true;
	return cv_log_put_mark(r->log, &m->end.crash_pos, MARK_CRASH, cv_end_name(m->end.crash_kind), err);
}

static int finish(struct cv_recorder *r, int rc, struct cv_error *err)
{
	if (!rc)
		return 0;
	fail(r);
	if (err && !r->err.code)
		cv_error_set(&r->err, rc, "%s", err->msg);
	return rc;
}

int cv_recorder_begin(struct cv_recorder *r, struct cv_machine *m, struct cv_error *err)
{
	int rc = cv_config_write(r->log, &m->config, err);

	if (!rc) {
		r->next = 0;
		rc = checkpoint_if_due(r, m, err);
	}
	if (!rc)
		rc = cv_log_commit(r->log, err);
	r->committed = cv_host_now();
	return finish(r, rc, err);
}

int cv_recorder_tick(struct cv_recorder *r, struct cv_machine *m, struct cv_error *err)
{
	uint64_t now;
	int rc;

	if (r->env.failed)
		return r->err.code ? cv_recorder_error(r, err) : cv_error_set(err, CV_E_IO, "the recording failed");
	rc = checkpoint_if_due(r, m, err);
	if (!rc)
		rc = mark_crash(r, m, err);
	now = cv_host_now();
	if (!rc && now - r->committed >= COMMIT_NS) {
		rc = cv_log_commit(r->log, err);
		r->committed = now;
	}
	return finish(r, rc, err);
}

static int put_end(struct cv_recorder *r, struct cv_machine *m, struct cv_error *err)
{
	struct cv_event ev = {.kind = CV_EV_END, .value = (uint64_t)m->end.kind, .len = 8};
	struct cv_digest d;
	char text[33];
	int rc;

	rc = cv_machine_digest(m, &d, err);
	if (rc)
		return rc;
	cv_digest_text(d.b, text);
	cv_machine_position(m, &ev.pos);
	for (unsigned i = 0; i < 8; i++)
		ev.data[i] = (uint8_t)(m->end.code >> (8 * i));
	if (r->line_len)
		put_line(r, &ev.pos);
	rc = cv_log_append(r->log, &ev, err);
	if (!rc)
		rc = cv_log_set_meta(r->log, META_FINAL_DIGEST, text, err);
	if (!rc)
		rc = mark_crash(r, m, err);
	return rc ? rc : cv_log_put_mark(r->log, &ev.pos, MARK_END, cv_end_name(m->end.kind), err);
}

int cv_recorder_end(struct cv_recorder *r, struct cv_machine *m, struct cv_error *err)
{
	int rc = 0;

	if (r->ended)
		return 0;
	if (r->err.code)
		return cv_recorder_error(r, err);
	if (m->end.kind != CV_END_NONE)
		rc = put_end(r, m, err);
	if (!rc)
		rc = cv_log_commit(r->log, err);
	r->ended = true;
	return finish(r, rc, err);
}
