/* SPDX-License-Identifier: MIT */
/*
 * The timeline's life, its public moves, looking and changing. timeline_impl.h says which file does what.
 *
 * A move first settles where it moves: a diversion ends when time goes any other way than forward, a living machine
 * changes over to its recorded past when it goes back, and back to the living one where the past ends.
 */
#include <stdlib.h>
#include <string.h>

#include "replay/timeline_impl.h"

int cv_timeline_open(struct cv_timeline **out, struct cv_log *log, const struct cv_timeline_config *cfg,
		     struct cv_error *err)
{
	struct cv_timeline *t = calloc(1, sizeof(*t));
	int rc;

	*out = NULL;
	if (!t)
		return cv_error_set(err, CV_E_NOMEM, "out of memory for the timeline");
	t->cfg = *cfg;
	t->log = log;
	rc = tl_open_replay(t, log, err);
	if (rc) {
		free(t);
		return rc;
	}
	t->m = t->replay_m;
	*out = t;
	return 0;
}

void cv_timeline_free(struct cv_timeline *t)
{
	if (!t)
		return;
	if (t->live_m) {
		t->m = t->live_m;
		cv_timeline_remove_all_points(t);
		tl_arm(t, ARM_NONE, NULL);
		if (t->live)
			cv_live_resume(t->live);
	}
	if (t->replayer)
		tl_close_replay(t);
	if (t->past_log)
		cv_log_close(t->past_log, NULL);
	free(t->points);
	free(t->path);
	free(t);
}

/* --- Diversions --- */

int cv_timeline_end_diversion(struct cv_timeline *t, struct cv_error *err)
{
	int rc;

	if (!t->origin)
		return 0;
	rc = tl_restore(t, t->origin, t->origin_check, err);
	cv_checkpoint_free(t->store, t->origin);
	t->origin = NULL;
	return rc;
}

/* The guest is about to be changed by hand. */
static int open_diversion(struct cv_timeline *t, struct cv_error *err)
{
	struct cv_pos pos;
	int rc;

	if (cv_timeline_is_live(t))
		return t->rec ? cv_error_set(err, CV_E_BADINPUT,
					     "the guest is being recorded: a change from outside would not be in the "
					     "recording; go back one step and change it there")
			      : 0;
	if (t->origin)
		return 0;
	t->origin_check = cv_replayer_tell_check(t->replayer);
	rc = cv_checkpoint_take(t->store, cv_replayer_tell(t->replayer), &t->origin, err);
	if (rc)
		return rc;
	cv_machine_position(t->m, &pos);
	cv_replayer_set_time(t->replayer, &pos, t->m->clock.now);
	cv_replayer_divert(t->replayer, true);
	return 0;
}

/* --- Moves --- */

static bool past_is_over(struct cv_timeline *t)
{
	struct cv_pos pos;

	if (!tl_in_past(t) || t->origin)
		return false;
	cv_machine_position(t->m, &pos);
	return cv_pos_cmp(&pos, &t->live_pos) >= 0;
}

/*
 * Ready to go back from *from, the present place; a move that is interrupted finds back there at once. went_back, in
 * the end and in any case.
 */
static int turn_back(struct cv_timeline *t, struct cv_pos *from, struct cv_error *err)
{
	int rc = cv_timeline_end_diversion(t, err);

	if (rc)
		return rc;
	cv_machine_position(t->m, from);
	if (cv_timeline_is_live(t))
		return tl_enter_past(t, err);
	t->home_check = cv_replayer_tell_check(t->replayer);
	return cv_checkpoint_take(t->store, cv_replayer_tell(t->replayer), &t->home, err);
}

static int went_back(struct cv_timeline *t, int rc)
{
	cv_checkpoint_free(t->store, t->home);
	t->home = NULL;
	return rc;
}

/* The stop for a move of the living machine. */
static int live_stop(struct cv_timeline *t, const struct tl_run *r, struct cv_tl_stop *stop, struct cv_error *err)
{
	if (r->why == TL_HIT) {
		tl_stop_at_hit(t, &r->hit, stop);
		return 0;
	}
	if (r->why == TL_THERE && t->m->end.crashed && !t->crash_shown) {
		t->crash_shown = true;
		tl_stop_here(t, CV_TL_CRASH, stop);
		return 0;
	}
	return tl_stop_for(t, r->why, stop, err);
}

static int live_forward(struct cv_timeline *t, bool skip, struct cv_tl_stop *stop, struct cv_error *err)
{
	struct tl_run r = {.limit = tl_never, .arm = ARM_ALL, .skip_first = skip, .target = UINT64_MAX};
	int rc = tl_live_run(t, &r, err);

	return rc ? rc : live_stop(t, &r, stop, err);
}

static int live_step(struct cv_timeline *t, struct cv_tl_stop *stop, struct cv_error *err)
{
	struct tl_run r = {
		.limit = tl_never, .arm = ARM_WATCHES, .step = true, .skip_first = true, .target = UINT64_MAX};
	int rc = tl_live_run(t, &r, err);

	return rc ? rc : live_stop(t, &r, stop, err);
}

static int step_forward(struct cv_timeline *t, struct cv_tl_stop *stop, struct cv_error *err)
{
	int rc;

	if (past_is_over(t))
		tl_leave_past(t);
	if (cv_timeline_is_live(t))
		return live_step(t, stop, err);
	rc = tl_step(t, stop, err);
	if (!rc && stop->why == CV_TL_POSITION && past_is_over(t))
		tl_leave_past(t);
	return rc;
}

int cv_timeline_step(struct cv_timeline *t, enum cv_direction dir, struct cv_tl_stop *stop, struct cv_error *err)
{
	struct cv_pos from;
	int rc;

	if (dir == CV_FORWARD)
		return step_forward(t, stop, err);
	rc = turn_back(t, &from, err);
	return went_back(t, rc ? rc : tl_step_back(t, &from, stop, err));
}

static int run_forward(struct cv_timeline *t, struct cv_tl_stop *stop, struct cv_error *err)
{
	bool arrived = false;
	int rc;

	if (tl_in_past(t) && !past_is_over(t)) {
		rc = tl_forward(t, stop, err);
		if (rc || stop->why != CV_TL_END || !past_is_over(t))
			return rc;
		arrived = true;
	}
	if (tl_in_past(t) && !t->origin)
		tl_leave_past(t);
	if (cv_timeline_is_live(t))
		return live_forward(t, !arrived, stop, err);
	return tl_forward(t, stop, err);
}

int cv_timeline_run(struct cv_timeline *t, enum cv_direction dir, struct cv_tl_stop *stop, struct cv_error *err)
{
	struct cv_pos from;
	int rc;

	if (dir == CV_FORWARD)
		return run_forward(t, stop, err);
	rc = turn_back(t, &from, err);
	return went_back(t, rc ? rc : tl_run_back(t, &from, stop, err));
}

#define RANGE_POLL 4096u

static int range_forward(struct cv_timeline *t, uint64_t start, uint64_t end, struct cv_tl_stop *stop,
			 struct cv_error *err)
{
	for (unsigned n = 1;; n++) {
		struct tl_hit hit;
		int rc = step_forward(t, stop, err);

		if (rc || stop->why != CV_TL_POSITION)
			return rc;
		if (tl_match_here(t, &hit)) {
			tl_stop_at_hit(t, &hit, stop);
			return 0;
		}
		if (stop->pos.rip < start || stop->pos.rip >= end)
			return 0;
		if (n % RANGE_POLL == 0 && t->cfg.poll && t->cfg.poll(t->cfg.ctx)) {
			stop->why = CV_TL_INTERRUPTED;
			return 0;
		}
	}
}

int cv_timeline_step_range(struct cv_timeline *t, enum cv_direction dir, uint64_t start, uint64_t end,
			   struct cv_tl_stop *stop, struct cv_error *err)
{
	struct cv_pos from;
	int rc;

	if (dir == CV_FORWARD)
		return range_forward(t, start, end, stop, err);
	rc = turn_back(t, &from, err);
	return went_back(t, rc ? rc : tl_range_back(t, &from, start, end, stop, err));
}

/* To where the living machine stands: what lies beyond has not happened. */
static int seek_live(struct cv_timeline *t, struct cv_tl_stop *stop)
{
	t->m = t->live_m;
	tl_stop_here(t, CV_TL_POSITION, stop);
	return 0;
}

/* To the very end of a replay, past what is delivered at its last instruction. */
static int seek_end(struct cv_timeline *t, struct cv_tl_stop *stop, struct cv_error *err)
{
	struct tl_run r = {.limit = tl_never, .arm = ARM_NONE, .target = UINT64_MAX};
	struct cv_pos near = tl_at(cv_replayer_end_insns(t->replayer));
	enum tl_why why;
	int rc = tl_goto(t, &near, &why, err);

	if (!rc && why == TL_THERE) {
		rc = tl_advance(t, &r, err);
		why = r.why;
	}
	if (rc)
		return rc;
	rc = tl_stop_for(t, why == TL_THERE ? TL_OVER : why, stop, err);
	if (!rc && stop->why == CV_TL_CRASH)
		stop->why = CV_TL_END; /* a seek runs through it */
	return rc;
}

int cv_timeline_seek(struct cv_timeline *t, uint64_t insns, struct cv_tl_stop *stop, struct cv_error *err)
{
	struct cv_pos target = tl_at(insns), from;
	enum tl_why why;
	int rc;

	rc = cv_timeline_end_diversion(t, err);
	if (rc)
		return rc;
	cv_machine_position(t->live_m ? t->live_m : t->m, &from);
	if (t->live_m && (!t->rec || cv_pos_cmp(&target, &from) >= 0))
		return insns < from.insns ? tl_enter_past(t, err) : seek_live(t, stop);
	cv_machine_position(t->m, &from);
	rc = tl_enter_past(t, err);
	if (rc)
		return rc;
	if (!t->live_m && insns >= cv_replayer_end_insns(t->replayer))
		return seek_end(t, stop, err);
	rc = tl_goto(t, &target, &why, err);
	return rc ? rc : tl_stop_for(t, why, stop, err);
}

/* --- Looking --- */

void cv_timeline_state(struct cv_timeline *t, struct cv_vcpu_state *s)
{
	t->m->engine->ops->get_state(t->m->engine, s);
}

const struct cv_pos *cv_timeline_pos(struct cv_timeline *t)
{
	cv_machine_position(t->m, &t->pos);
	return &t->pos;
}

uint64_t cv_timeline_end_insns(struct cv_timeline *t)
{
	struct cv_pos pos;

	if (!t->live_m)
		return cv_replayer_end_insns(t->replayer);
	cv_machine_position(t->live_m, &pos);
	return pos.insns;
}

bool cv_timeline_is_diverted(struct cv_timeline *t)
{
	return t->origin != NULL;
}

const struct cv_end_info *cv_timeline_end(struct cv_timeline *t)
{
	return t->live_m ? &t->live_m->end : cv_replayer_end(t->replayer);
}

const struct cv_divergence *cv_timeline_divergence(struct cv_timeline *t)
{
	static const struct cv_divergence none;

	return t->replayer ? cv_replayer_divergence(t->replayer) : &none;
}

struct cv_machine *cv_timeline_machine(struct cv_timeline *t)
{
	return t->m;
}

struct cv_log *cv_timeline_log(struct cv_timeline *t)
{
	return t->log;
}

struct cv_replayer *cv_timeline_replayer(struct cv_timeline *t)
{
	return t->replayer;
}

void cv_timeline_stats(struct cv_timeline *t, size_t *checkpoints, uint64_t *bytes)
{
	*checkpoints = t->nnodes;
	if (bytes)
		*bytes = t->store ? cv_checkpoints_bytes(t->store) : 0;
}

/* Physical address of a byte, and how many of n follow it in the same page. false: not mapped. */
static bool locate(struct cv_timeline *t, bool physical, uint64_t addr, size_t *n, uint64_t *gpa)
{
	size_t rest = CV_PAGE_SIZE - (addr & (CV_PAGE_SIZE - 1));

	if (*n > rest)
		*n = rest;
	*gpa = addr;
	return physical || t->m->engine->ops->translate(t->m->engine, addr, gpa);
}

size_t cv_timeline_read(struct cv_timeline *t, bool physical, uint64_t addr, void *p, size_t n)
{
	size_t done = 0;

	while (done < n) {
		size_t part = n - done, got;
		uint64_t gpa;

		if (!locate(t, physical, addr + done, &part, &gpa))
			break;
		got = cv_memory_read(&t->m->mem, gpa, (uint8_t *)p + done, part);
		done += got;
		if (got < part)
			break;
	}
	return done;
}

/* --- Changing --- */

static bool same_bytes(struct cv_timeline *t, bool physical, uint64_t addr, const uint8_t *p, size_t n)
{
	uint8_t now[256];

	for (size_t done = 0; done < n; done += sizeof(now)) {
		size_t part = n - done < sizeof(now) ? n - done : sizeof(now);

		if (cv_timeline_read(t, physical, addr + done, now, part) != part || memcmp(now, p + done, part))
			return false;
	}
	return true;
}

static bool all_mapped(struct cv_timeline *t, bool physical, uint64_t addr, size_t n)
{
	size_t part;

	for (size_t done = 0; done < n; done += part) {
		uint64_t gpa;

		part = n - done;
		if (!locate(t, physical, addr + done, &part, &gpa) || cv_memory_gpa_to_page(&t->m->mem, gpa) < 0)
			return false;
	}
	return true;
}

int cv_timeline_write(struct cv_timeline *t, bool physical, uint64_t addr, const void *p, size_t n,
		      struct cv_error *err)
{
	size_t part;
	int rc;

	if (!all_mapped(t, physical, addr, n))
		return cv_error_set(err, CV_E_FAULT, "no RAM at %#llx", (unsigned long long)addr);
	if (same_bytes(t, physical, addr, p, n))
		return 0;
	rc = open_diversion(t, err);
	if (rc)
		return rc;
	for (size_t done = 0; done < n; done += part) {
		uint64_t gpa;

		part = n - done;
		if (!locate(t, physical, addr + done, &part, &gpa))
			break;
		cv_memory_write(&t->m->mem, gpa, (const uint8_t *)p + done, part);
	}
	t->m->engine->ops->flush_tlb(t->m->engine);
	return 0;
}

static bool same_state(const struct cv_vcpu_state *a, const struct cv_vcpu_state *b)
{
	struct cv_wbuf x = {0}, y = {0};
	bool same;

	cv_vcpu_save(a, &x);
	cv_vcpu_save(b, &y);
	same = !x.err && !y.err && x.len == y.len && !memcmp(x.data, y.data, x.len);
	cv_wbuf_release(&x);
	cv_wbuf_release(&y);
	return same;
}

int cv_timeline_set_state(struct cv_timeline *t, const struct cv_vcpu_state *s, struct cv_error *err)
{
	struct cv_vcpu_state now, wanted = *s;
	int rc;

	cv_timeline_state(t, &now);
	wanted.pos = now.pos; /* where we are is not for a debugger to say */
	if (same_state(&now, &wanted))
		return 0;
	rc = open_diversion(t, err);
	if (rc)
		return rc;
	if (wanted.rip != now.rip)
		wanted.pos.in_rep = false;
	t->m->engine->ops->set_state(t->m->engine, &wanted);
	return 0;
}
