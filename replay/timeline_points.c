/* SPDX-License-Identifier: MIT */
/*
 * Break- and watchpoints of a timeline: the list, what the engine is told, and which of the engine's stops count.
 *
 * Software and hardware breakpoints are the same thing here: the engine stops before an instruction, no byte of the
 * guest changes. Several points may share an address; the first whose condition holds names the stop.
 */
#include <stdlib.h>
#include <string.h>

#include "replay/timeline_impl.h"

static bool is_break(const struct tl_point *p)
{
	return p->kind == CV_POINT_SW || p->kind == CV_POINT_HW;
}

static enum cv_watch_type watch_type(enum cv_point_kind k)
{
	return k == CV_POINT_WRITE ? CV_WATCH_WRITE : k == CV_POINT_READ ? CV_WATCH_READ : CV_WATCH_ACCESS;
}

static struct tl_point *find(struct cv_timeline *t, enum cv_point_kind kind, uint64_t addr, uint64_t len)
{
	for (size_t i = 0; i < t->npoints; i++) {
		struct tl_point *p = &t->points[i];

		if (p->kind == kind && p->addr == addr && (is_break(p) || p->len == len))
			return p;
	}
	return NULL;
}

static void disarm(struct cv_timeline *t)
{
	t->armed_m = NULL; /* the engine is told afresh before the next run */
}

int cv_timeline_add_point(struct cv_timeline *t, enum cv_point_kind kind, uint64_t addr, uint64_t len,
			  bool (*cond)(void *ctx, struct cv_timeline *t), void *cond_ctx, unsigned *id,
			  struct cv_error *err)
{
	struct tl_point *p;

	if (kind < CV_POINT_SW || kind > CV_POINT_ACCESS)
		return cv_error_set(err, CV_E_BADINPUT, "point kind %d: there are 0 to 4", (int)kind);
	if (kind >= CV_POINT_WRITE && (!len || addr + len - 1 < addr))
		return cv_error_set(err, CV_E_BADINPUT, "watchpoint of %llu bytes at %#llx",
				    (unsigned long long)len, (unsigned long long)addr);
	p = find(t, kind, addr, len);
	if (!p) {
		p = realloc(t->points, (t->npoints + 1) * sizeof(*p));
		if (!p)
			return cv_error_set(err, CV_E_NOMEM, "out of memory for a point");
		t->points = p;
		p = &t->points[t->npoints++];
		*p = (struct tl_point){.id = ++t->next_id, .kind = kind, .addr = addr, .len = len};
		disarm(t);
	}
	p->cond = cond;
	p->cond_ctx = cond_ctx;
	if (id)
		*id = p->id;
	return 0;
}

int cv_timeline_remove_point(struct cv_timeline *t, enum cv_point_kind kind, uint64_t addr, uint64_t len)
{
	struct tl_point *p = find(t, kind, addr, len);
	size_t i;

	if (!p)
		return CV_E_NOTFOUND;
	i = (size_t)(p - t->points);
	memmove(p, p + 1, (t->npoints - i - 1) * sizeof(*p));
	t->npoints--;
	disarm(t);
	return 0;
}

void cv_timeline_remove_all_points(struct cv_timeline *t)
{
	t->npoints = 0;
	disarm(t);
}

bool tl_has_watches(const struct cv_timeline *t)
{
	for (size_t i = 0; i < t->npoints; i++)
		if (!is_break(&t->points[i]))
			return true;
	return false;
}

static int tell(struct cv_timeline *t, enum tl_arm arm, struct cv_error *err)
{
	uint64_t *breaks = malloc((t->npoints + 1) * sizeof(*breaks));
	struct cv_watch *watches = malloc((t->npoints + 1) * sizeof(*watches));
	size_t nb = 0, nw = 0;
	int rc;

	for (size_t i = 0; breaks && watches && arm != ARM_NONE && i < t->npoints; i++) {
		const struct tl_point *p = &t->points[i];

		if (!is_break(p))
			watches[nw++] = (struct cv_watch){p->addr, p->len, watch_type(p->kind)};
		else if (arm == ARM_ALL)
			breaks[nb++] = p->addr;
	}
	rc = breaks && watches ? t->m->engine->ops->set_points(t->m->engine, breaks, nb, watches, nw, err)
			       : cv_error_set(err, CV_E_NOMEM, "out of memory for points");
	free(breaks);
	free(watches);
	return rc;
}

int tl_arm(struct cv_timeline *t, enum tl_arm arm, struct cv_error *err)
{
	int rc;

	if (t->npoints && arm == ARM_WATCHES && !tl_has_watches(t))
		arm = ARM_NONE;
	if (!t->npoints)
		arm = ARM_NONE;
	if (t->armed_m == t->m && t->armed == arm)
		return 0;
	rc = tell(t, arm, err);
	if (!rc) {
		t->armed_m = t->m;
		t->armed = arm;
	}
	return rc;
}

static bool holds(struct cv_timeline *t, const struct tl_point *p)
{
	return !p->cond || p->cond(p->cond_ctx, t);
}

static bool match_break(struct cv_timeline *t, uint64_t addr, struct tl_hit *hit)
{
	struct cv_pos pos;

	cv_machine_position(t->m, &pos);
	if (pos.in_rep) /* it was shown before the first iteration */
		return false;
	for (size_t i = 0; i < t->npoints; i++) {
		const struct tl_point *p = &t->points[i];

		if (!is_break(p) || p->addr != addr || !holds(t, p))
			continue;
		*hit = (struct tl_hit){.pos = pos, .id = p->id, .addr = addr};
		return true;
	}
	return false;
}

static bool match_watch(struct cv_timeline *t, const struct cv_exit *e, struct tl_hit *hit)
{
	for (size_t i = 0; i < t->npoints; i++) {
		const struct tl_point *p = &t->points[i];

		if (is_break(p) || e->addr - p->addr >= p->len || !(watch_type(p->kind) & e->type) || !holds(t, p))
			continue;
		*hit = (struct tl_hit){.watch = true, .id = p->id, .addr = e->addr, .access = e->type};
		cv_machine_position(t->m, &hit->pos);
		return true;
	}
	return false;
}

bool tl_match(struct cv_timeline *t, const struct cv_run *run, struct tl_hit *hit)
{
	return run->why == CV_RUN_BREAK ? match_break(t, run->exit.addr, hit) : match_watch(t, &run->exit, hit);
}

bool tl_match_here(struct cv_timeline *t, struct tl_hit *hit)
{
	struct cv_pos pos;

	cv_machine_position(t->m, &pos);
	return match_break(t, pos.rip, hit);
}
