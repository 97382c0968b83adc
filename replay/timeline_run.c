/* SPDX-License-Identifier: MIT */
/*
 * Running the replay forward, exactly.
 *
 * A long run is cut at digest checks, at places for checkpoints and every POLL_INSNS instructions for the user's poll.
 * The guest notices none of it: the engine stops at exact instruction counts, and an asynchronous input is applied
 * when the machine goes on, at the same place as without the cut.
 */
#include <string.h>

#include "replay/timeline_impl.h"

#define POLL_INSNS (1ull << 20)
#define POLL_STOPS 4096u

const struct cv_pos tl_never = {.insns = UINT64_MAX, .sub = UINT32_MAX};

/* Distances before a sought place at which checkpoints are dropped, largest first. */
static const unsigned dense_bits[] = {26, 24, 22, 20, 16, 12};

struct cv_pos tl_at(uint64_t insns)
{
	struct cv_pos p = {.insns = insns};

	return p;
}

struct cv_pos tl_known_end(const struct cv_timeline *t)
{
	if (tl_in_past(t))
		return t->live_pos;
	if (cv_replayer_complete(t->replayer))
		return tl_never;
	return tl_at(cv_replayer_end_insns(t->replayer));
}

/* --- On the way --- */

/* The next place before r->target where a dense checkpoint belongs, after `insns`. */
static uint64_t next_dense(const struct tl_run *r, uint64_t insns)
{
	for (size_t i = 0; r->target != UINT64_MAX && i < sizeof(dense_bits) / sizeof(dense_bits[0]); i++) {
		uint64_t d = 1ull << dense_bits[i];

		if (r->target > d && r->target - d > insns)
			return r->target - d;
	}
	return UINT64_MAX;
}

static bool is_dense_place(const struct tl_run *r, uint64_t insns)
{
	return insns && next_dense(r, insns - 1) == insns;
}

/* The digest check that is due here. *ok: it passed. */
static int check(struct cv_timeline *t, bool *ok, struct cv_error *err)
{
	struct cv_error own = {0};
	int rc;

	cv_checkpoints_before_check(t->store);
	rc = cv_replayer_check(t->replayer, t->replay_m, &own);
	cv_checkpoints_after_check(t->store);
	*ok = rc != CV_E_DIVERGED;
	return rc && *ok ? cv_error_set(err, rc, "%s", own.msg) : 0;
}

/* What belongs to the place where the machine stands, before it goes on. */
static int visit(struct cv_timeline *t, const struct tl_run *r, const struct cv_pos *pos, bool *ok,
		 struct cv_error *err)
{
	int rc;

	*ok = true;
	if (t->origin || pos->sub || pos->in_rep)
		return 0;
	if (cv_replayer_next_check(t->replayer, pos) == pos->insns) {
		rc = check(t, ok, err);
		if (rc || !*ok)
			return rc;
	}
	if (!(pos->insns % t->grid))
		return tl_take_node(t, false, err);
	return is_dense_place(r, pos->insns) ? tl_take_node(t, true, err) : 0;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void next_stop(struct cv_timeline *t, const struct tl_run *r, const struct cv_pos *pos, bool skip,
		      struct cv_stop *stop)
{
	memset(stop, 0, sizeof(*stop));
	stop->insns = UINT64_MAX;
	stop->skip_first_break = skip;
	if (r->step || pos->insns == r->limit.insns) {
		stop->step = true;
		return;
	}
	stop->insns = min_u64(r->limit.insns, pos->insns + POLL_INSNS);
	if (t->origin)
		return;
	stop->insns = min_u64(stop->insns, (pos->insns / t->grid + 1) * t->grid);
	stop->insns = min_u64(stop->insns, next_dense(r, pos->insns));
	/* The check here is done, if there was one: this is a later one. */
	stop->insns = min_u64(stop->insns, cv_replayer_next_check(t->replayer, pos));
	if (stop->insns <= pos->insns)
		stop->insns = pos->insns + 1;
}

/* Asks the user, every so many instructions and stops of all moves together. done: instructions since the last call. */
static bool interrupted(struct cv_timeline *t, const struct tl_run *r, const struct cv_pos *start,
			const struct cv_pos *pos, uint64_t done)
{
	uint64_t end;

	t->unpolled += done + pos->sub;
	if (t->unpolled < POLL_INSNS && ++t->stops < POLL_STOPS)
		return false;
	t->unpolled = 0;
	t->stops = 0;
	if (t->cfg.progress) {
		end = min_u64(r->limit.insns, cv_replayer_end_insns(t->replayer));
		if (end > start->insns && pos->insns <= end)
			t->cfg.progress(t->cfg.ctx, pos->insns - start->insns, end - start->insns);
	}
	return t->cfg.poll && t->cfg.poll(t->cfg.ctx);
}

/* The machine stopped for env->failed. */
static int env_failed(struct cv_timeline *t, struct tl_run *r, struct cv_error *err)
{
	if (cv_replayer_divergence(t->replayer)->happened)
		r->why = TL_DIVERGED;
	else if (cv_replayer_at_end(t->replayer))
		r->why = TL_OVER;
	else if (cv_replayer_error(t->replayer, err))
		return err && err->code ? err->code : CV_E_IO;
	else
		return cv_error_set(err, CV_E_IO, "the replay stopped without a reason");
	return 0;
}

/* A break- or watchpoint. Returns true when the run is to stop for it. */
static bool take_hit(struct cv_timeline *t, struct tl_run *r, const struct cv_run *run)
{
	struct tl_hit hit;

	if (!tl_match(t, run, &hit))
		return false;
	if (!hit.watch && cv_pos_cmp(&hit.pos, &r->limit) >= 0)
		return false;
	r->hit = hit;
	r->have_hit = true;
	return !r->collect;
}

/* What came of one cv_machine_run. Sets r->why when the move is over. */
static int digest_run(struct cv_timeline *t, struct tl_run *r, const struct cv_run *run, const struct cv_pos *before,
		      bool *skip, struct cv_error *err)
{
	struct cv_pos pos;

	cv_machine_position(t->m, &pos);
	*skip = false;
	switch (run->why) {
	case CV_RUN_BREAK:
		*skip = true;
		if (take_hit(t, r, run))
			r->why = TL_HIT;
		return 0;
	case CV_RUN_WATCH:
		*skip = pos.in_rep; /* the rest of a REP is not its instruction again */
		if (take_hit(t, r, run))
			r->why = TL_HIT;
		break;
	case CV_RUN_END:
	case CV_RUN_IDLE:
		r->why = TL_OVER;
		return 0;
	case CV_RUN_ENV:
		return env_failed(t, r, err);
	case CV_RUN_POSITION:
	case CV_RUN_YIELD:
		break;
	}
	if (!r->why && r->step && !pos.in_rep && cv_pos_cmp(&pos, before))
		r->why = TL_THERE;
	return 0;
}

int tl_advance(struct cv_timeline *t, struct tl_run *r, struct cv_error *err)
{
	struct cv_pos pos, start, visited = tl_never, end = t->origin ? tl_never : tl_known_end(t);
	struct cv_stop stop;
	struct cv_run run;
	uint64_t last;
	bool skip = r->skip_first, ok;
	int rc = 0;

	r->why = 0;
	r->have_hit = false;
	cv_machine_position(t->m, &start);
	last = start.insns;
	if (!r->step && cv_pos_cmp(&end, &r->limit) < 0)
		r->limit = end;
	for (;;) {
		cv_machine_position(t->m, &pos);
		if (cv_pos_cmp(&pos, &end) >= 0)
			r->why = TL_OVER;
		else if (!r->step && cv_pos_cmp(&pos, &r->limit) >= 0)
			r->why = TL_THERE;
		if (r->why)
			return 0;
		ok = true;
		if (cv_pos_cmp(&pos, &visited)) /* once: an input may have been applied here since */
			rc = visit(t, r, &pos, &ok, err);
		if (rc)
			return rc;
		visited = pos;
		if (!ok)
			r->why = TL_DIVERGED;
		else if (interrupted(t, r, &start, &pos, pos.insns - last))
			r->why = TL_INTERRUPTED;
		if (r->why)
			return 0;
		last = pos.insns;
		next_stop(t, r, &pos, skip, &stop);
		rc = tl_arm(t, r->arm, err);
		if (!rc)
			rc = cv_machine_run(t->m, &stop, true, &run, err);
		if (!rc)
			rc = digest_run(t, r, &run, &start, &skip, err);
		if (rc || r->why)
			return rc;
	}
}

int tl_goto(struct cv_timeline *t, const struct cv_pos *target, enum tl_why *why, struct cv_error *err)
{
	struct tl_run r = {.limit = *target, .arm = ARM_NONE, .target = target->insns};
	struct tl_node *node;
	struct cv_pos pos;
	bool usable;
	int rc;

	cv_machine_position(t->m, &pos);
	usable = cv_pos_cmp(&pos, target) <= 0 && !t->m->env->failed;
	rc = tl_find_base(t, target, false, usable ? &pos : NULL, &node, err);
	if (rc)
		return rc;
	if (!usable || (node && cv_pos_cmp(&node->pos, &pos) > 0)) {
		rc = tl_restore_node(t, node, err);
		if (rc)
			return rc;
	}
	rc = tl_advance(t, &r, err);
	*why = r.why;
	return rc;
}

/* --- Stops --- */

void tl_stop_here(struct cv_timeline *t, enum cv_tl_why why, struct cv_tl_stop *stop)
{
	memset(stop, 0, sizeof(*stop));
	stop->why = why;
	cv_machine_position(t->m, &stop->pos);
}

void tl_stop_at_hit(struct cv_timeline *t, const struct tl_hit *hit, struct cv_tl_stop *stop)
{
	tl_stop_here(t, hit->watch ? CV_TL_WATCH : CV_TL_BREAK, stop);
	stop->point = hit->id;
	stop->addr = hit->addr;
	stop->access = hit->access;
}

/* The end of a replay or a diversion: compared with the recorded one, then told, a crash first. */
static int stop_at_end(struct cv_timeline *t, struct cv_tl_stop *stop, struct cv_error *err)
{
	const struct cv_end_info *end = &t->m->end;
	struct cv_error own = {0};
	int rc = 0;

	if (t->m == t->replay_m && !t->origin && end->kind != CV_END_NONE && !t->end_checked) {
		rc = cv_replayer_check_end(t->replayer, t->m, &own);
		t->end_checked = !rc;
	}
	tl_stop_here(t, rc ? CV_TL_DIVERGED : CV_TL_END, stop);
	if (rc && rc != CV_E_DIVERGED)
		return cv_error_set(err, rc, "%s", own.msg);
	if (!rc && end->crashed && !t->crash_shown && (end->crash_kind != CV_END_CONSOLE_PANIC || t->m == t->live_m)) {
		t->crash_shown = true;
		stop->why = CV_TL_CRASH;
	}
	return 0;
}

int tl_stop_for(struct cv_timeline *t, enum tl_why why, struct cv_tl_stop *stop, struct cv_error *err)
{
	switch (why) {
	case TL_OVER:
		return stop_at_end(t, stop, err);
	case TL_DIVERGED:
		tl_stop_here(t, CV_TL_DIVERGED, stop);
		return 0;
	case TL_INTERRUPTED:
		tl_stop_here(t, CV_TL_INTERRUPTED, stop);
		return 0;
	case TL_THERE:
	case TL_HIT:
		break;
	}
	tl_stop_here(t, CV_TL_POSITION, stop);
	return 0;
}

/* --- Forward moves over the replay --- */

/* Where a forward run has to stop for a panic that the guest survived for a while. tl_never: nowhere from here. */
static struct cv_pos crash_stop(struct cv_timeline *t, const struct cv_pos *pos)
{
	const struct cv_end_info *end = cv_timeline_end(t);

	if (t->origin || !end->crashed || end->crash_kind != CV_END_CONSOLE_PANIC ||
	    pos->insns >= end->crash_pos.insns)
		return tl_never;
	return tl_at(end->crash_pos.insns);
}

int tl_forward(struct cv_timeline *t, struct cv_tl_stop *stop, struct cv_error *err)
{
	struct tl_run r = {.arm = ARM_ALL, .skip_first = true, .target = UINT64_MAX};
	struct cv_pos pos, crash;
	int rc;

	cv_machine_position(t->m, &pos);
	crash = crash_stop(t, &pos);
	r.limit = crash;
	rc = tl_advance(t, &r, err);
	if (rc)
		return rc;
	if (r.why == TL_HIT) {
		tl_stop_at_hit(t, &r.hit, stop);
		return 0;
	}
	if (r.why == TL_THERE && !cv_pos_cmp(&r.limit, &crash)) {
		tl_stop_here(t, CV_TL_CRASH, stop);
		return 0;
	}
	return tl_stop_for(t, r.why == TL_THERE ? TL_OVER : r.why, stop, err);
}

int tl_step(struct cv_timeline *t, struct cv_tl_stop *stop, struct cv_error *err)
{
	struct tl_run r = {
		.limit = tl_never, .arm = ARM_WATCHES, .step = true, .skip_first = true, .target = UINT64_MAX};
	int rc = tl_advance(t, &r, err);

	if (rc)
		return rc;
	if (r.why != TL_HIT)
		return tl_stop_for(t, r.why, stop, err);
	tl_stop_at_hit(t, &r.hit, stop);
	return 0;
}
