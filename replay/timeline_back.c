/* SPDX-License-Identifier: MIT */
/*
 * Backwards, always by running forward from a checkpoint before.
 *
 * A step goes to the last boundary before: at the instruction count below, the deliveries there are stepped through
 * until the place that we came from is reached, and the last boundary seen on that way is the one.
 * A run looks at the intervals between checkpoints from the present place downwards; in each it runs forward with the
 * points armed and remembers the last hit. Each interval is run once, however many hits there are. A breakpoint at the
 * place where we stand does not count; an access made by the instruction that has just retired does.
 */
#include <stdlib.h>

#include "replay/timeline_impl.h"

/* What the boundaries before a place are found from: the machine at (insns, 0). */
struct base {
	struct cv_checkpoint *cp;
	uint64_t check;
};

static int base_take(struct cv_timeline *t, struct base *b, struct cv_error *err)
{
	b->check = cv_replayer_tell_check(t->replayer);
	return cv_checkpoint_take(t->store, cv_replayer_tell(t->replayer), &b->cp, err);
}

/* One unit. *hit (may be NULL): the last watchpoint hit in it. */
static int unit(struct cv_timeline *t, bool watch, struct tl_run *r, struct cv_error *err)
{
	*r = (struct tl_run){.limit = tl_never,
			     .arm = watch ? ARM_WATCHES : ARM_NONE,
			     .step = true,
			     .skip_first = true,
			     .collect = true,
			     .target = UINT64_MAX};
	return tl_advance(t, r, err);
}

/*
 * Steps from the base until `from` is reached. *count: units to the last boundary before it; *hit: what the unit after
 * that one touched.
 */
static int count_units(struct cv_timeline *t, const struct cv_pos *from, bool watch, uint64_t *count,
		       struct tl_run *last, struct cv_error *err)
{
	struct cv_pos pos;

	for (*count = 0;; ++*count) {
		int rc = unit(t, watch, last, err);

		if (rc || last->why != TL_THERE)
			return rc;
		cv_machine_position(t->m, &pos);
		if (cv_pos_cmp(&pos, from) >= 0)
			return 0;
	}
}

static int repeat_units(struct cv_timeline *t, uint64_t count, struct cv_error *err)
{
	struct tl_run r;
	int rc = 0;

	while (!rc && count--)
		rc = unit(t, false, &r, err);
	return rc;
}

/*
 * Goes to the last boundary before `from`. *why: TL_THERE; TL_OVER where there is none (from is the beginning).
 * touched (may be NULL): the watchpoint hit of the unit that leads from there to `from`, if have_hit.
 */
static int go_before(struct cv_timeline *t, const struct cv_pos *from, enum tl_why *why, struct tl_run *touched,
		     struct cv_error *err)
{
	bool watch = touched && tl_has_watches(t), direct = !from->sub && !from->in_rep;
	struct base base = {0};
	struct tl_run last;
	struct cv_pos at = tl_at(from->insns - (direct ? 1 : 0));
	uint64_t count;
	int rc;

	*why = TL_OVER;
	if (direct && !from->insns)
		return 0;
	rc = tl_goto(t, &at, why, err);
	if (rc || *why != TL_THERE)
		return rc;
	rc = base_take(t, &base, err);
	if (!rc)
		rc = count_units(t, from, watch, &count, &last, err);
	if (!rc && last.why != TL_THERE && last.why != TL_OVER)
		*why = last.why;
	if (!rc && *why != TL_DIVERGED)
		rc = tl_restore(t, base.cp, base.check, err);
	if (!rc && *why == TL_THERE)
		rc = repeat_units(t, count, err);
	cv_checkpoint_free(t->store, base.cp);
	if (touched)
		*touched = last;
	return rc;
}

/* A backward move was interrupted: back to where it began. */
static int give_up(struct cv_timeline *t, const struct cv_pos *from, struct cv_tl_stop *stop, struct cv_error *err)
{
	int rc;

	if (tl_in_past(t) && !cv_pos_cmp(from, &t->live_pos)) {
		tl_leave_past(t);
		tl_stop_here(t, CV_TL_INTERRUPTED, stop);
		return 0;
	}
	rc = tl_restore(t, t->home, t->home_check, err);
	tl_stop_here(t, CV_TL_INTERRUPTED, stop);
	return rc;
}

/* The stop of a backward move that ended in `why` otherwise than intended. */
static int odd_end(struct cv_timeline *t, const struct cv_pos *from, enum tl_why why, struct cv_tl_stop *stop,
		   struct cv_error *err)
{
	if (why == TL_INTERRUPTED)
		return give_up(t, from, stop, err);
	return tl_stop_for(t, why, stop, err);
}

static int at_begin(struct cv_timeline *t, const struct cv_pos *from, struct cv_tl_stop *stop, struct cv_error *err)
{
	struct cv_pos zero = tl_at(0);
	enum tl_why why;
	int rc = tl_goto(t, &zero, &why, err);

	if (rc || why == TL_INTERRUPTED || why == TL_DIVERGED)
		return rc ? rc : odd_end(t, from, why, stop, err);
	tl_stop_here(t, CV_TL_BEGIN, stop);
	return 0;
}

int tl_step_back(struct cv_timeline *t, const struct cv_pos *from, struct cv_tl_stop *stop, struct cv_error *err)
{
	struct tl_run touched = {0};
	enum tl_why why;
	int rc;

	if (!from->insns && !from->sub && !from->in_rep)
		return at_begin(t, from, stop, err);
	rc = go_before(t, from, &why, &touched, err);
	if (rc)
		return rc;
	if (why != TL_THERE)
		return odd_end(t, from, why, stop, err);
	if (touched.have_hit)
		tl_stop_at_hit(t, &touched.hit, stop);
	else
		tl_stop_here(t, CV_TL_POSITION, stop);
	return 0;
}

/* To the place to stand at for a hit that was found. */
static int go_to_hit(struct cv_timeline *t, const struct cv_pos *from, const struct tl_hit *hit,
		     struct cv_tl_stop *stop, struct cv_error *err)
{
	enum tl_why why;
	int rc = hit->watch ? go_before(t, &hit->pos, &why, NULL, err) : tl_goto(t, &hit->pos, &why, err);

	if (rc)
		return rc;
	if (why != TL_THERE)
		return odd_end(t, from, why, stop, err);
	tl_stop_at_hit(t, hit, stop);
	return 0;
}

int tl_run_back(struct cv_timeline *t, const struct cv_pos *from, struct cv_tl_stop *stop, struct cv_error *err)
{
	struct cv_pos bound = *from;

	while (t->npoints) {
		struct tl_run r = {.limit = bound, .arm = ARM_ALL, .collect = true, .target = UINT64_MAX};
		struct tl_node *node = tl_find_node(t, &bound, true);
		struct cv_pos low;
		int rc;

		if (node && tl_index_rules_out(t, node)) {
			bound = node->pos;
			continue;
		}
		rc = tl_find_base(t, &bound, true, NULL, &node, err);
		if (rc)
			return rc;
		if (!node)
			break;
		low = node->pos;
		rc = tl_restore_node(t, node, err);
		if (!rc)
			rc = tl_advance(t, &r, err);
		if (rc)
			return rc;
		if (r.why == TL_INTERRUPTED || r.why == TL_DIVERGED)
			return odd_end(t, from, r.why, stop, err);
		tl_index_reach(t);
		if (r.have_hit)
			return go_to_hit(t, from, &r.hit, stop, err);
		bound = low;
	}
	return at_begin(t, from, stop, err);
}

/* --- Backwards through a range of addresses --- */

#define WINDOW_MIN 64u
#define WINDOW_MAX 16384u
#define TRACE_MAX (2 * WINDOW_MAX) /* deliveries make more boundaries than instructions */

/* A boundary on the way, and what happened there. */
struct trace {
	struct cv_pos pos;
	bool have_break, have_watch; /* at it; in the unit that leads away from it */
	struct tl_hit at, after;
};

/* Steps from where the machine stands to `from`. *n: boundaries before it. */
static int trace_units(struct cv_timeline *t, const struct cv_pos *from, struct trace *tr, size_t max, size_t *n,
		       enum tl_why *why, struct cv_error *err)
{
	struct tl_run r;
	struct cv_pos pos;
	int rc;

	*why = TL_THERE;
	for (*n = 0; *n < max; ++*n) {
		struct trace *b = &tr[*n];

		cv_machine_position(t->m, &pos);
		if (cv_pos_cmp(&pos, from) >= 0)
			return 0;
		b->pos = pos;
		b->have_break = tl_match_here(t, &b->at);
		rc = unit(t, true, &r, err);
		if (rc)
			return rc;
		b->have_watch = r.have_hit;
		b->after = r.hit;
		if (r.why != TL_THERE && r.why != TL_OVER) {
			*why = r.why;
			return 0;
		}
		if (r.why == TL_OVER) {
			++*n;
			return 0;
		}
	}
	return 0;
}

/* The last boundary of a trace at which a walk backwards through [start, end) stops, or n. */
static size_t stop_in_trace(const struct trace *tr, size_t n, uint64_t start, uint64_t end)
{
	for (size_t i = n; i-- > 0;)
		if (tr[i].have_watch || tr[i].have_break || tr[i].pos.rip < start || tr[i].pos.rip >= end)
			return i;
	return n;
}

static int stand_at(struct cv_timeline *t, const struct cv_pos *from, const struct trace *b, struct cv_tl_stop *stop,
		    struct cv_error *err)
{
	enum tl_why why;
	int rc = tl_goto(t, &b->pos, &why, err);

	if (rc)
		return rc;
	if (why != TL_THERE)
		return odd_end(t, from, why, stop, err);
	if (b->have_watch)
		tl_stop_at_hit(t, &b->after, stop);
	else if (b->have_break)
		tl_stop_at_hit(t, &b->at, stop);
	else
		tl_stop_here(t, CV_TL_POSITION, stop);
	return 0;
}

/* Windows that grow: a source line is left after a few instructions, a loop in one line after many. */
static int range_back(struct cv_timeline *t, const struct cv_pos *from, uint64_t start, uint64_t end,
		      struct trace *tr, struct cv_tl_stop *stop, struct cv_error *err)
{
	struct cv_pos bound = *from;
	uint64_t window = WINDOW_MIN;

	while (bound.insns || bound.sub || bound.in_rep) {
		uint64_t span = window < bound.insns ? window : bound.insns;
		struct cv_pos at = tl_at(bound.insns - span);
		enum tl_why why;
		size_t n, i;
		int rc = tl_goto(t, &at, &why, err);

		if (!rc && why == TL_THERE)
			rc = trace_units(t, &bound, tr, TRACE_MAX, &n, &why, err);
		if (rc)
			return rc;
		if (why != TL_THERE)
			return odd_end(t, from, why, stop, err);
		if (n == TRACE_MAX && window > 1) {
			window /= 2; /* it did not reach the bound */
			continue;
		}
		i = stop_in_trace(tr, n, start, end);
		if (i < n)
			return stand_at(t, from, &tr[i], stop, err);
		bound = at;
		window = window < WINDOW_MAX ? window * 4 : WINDOW_MAX;
	}
	return at_begin(t, from, stop, err);
}

int tl_range_back(struct cv_timeline *t, const struct cv_pos *from, uint64_t start, uint64_t end,
		  struct cv_tl_stop *stop, struct cv_error *err)
{
	struct trace *tr = malloc(TRACE_MAX * sizeof(*tr));
	int rc;

	if (!tr)
		return cv_error_set(err, CV_E_NOMEM, "out of memory for a walk backwards");
	rc = range_back(t, from, start, end, tr, stop, err);
	free(tr);
	return rc;
}
