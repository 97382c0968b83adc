/* SPDX-License-Identifier: MIT */
/*
 * The living machine under a timeline, and the change between it and its recorded past.
 *
 * Guest time stands still while the machine is held. Going back commits the log, opens it a second time and replays it
 * on a second machine; the first one waits where it is. Running forward to where it waits changes back to it.
 */
#include <stdlib.h>
#include <string.h>

#include "replay/timeline_impl.h"

#define POLL_EVERY 8u /* slices */

bool tl_in_past(const struct cv_timeline *t)
{
	return t->live_m && t->m != t->live_m;
}

bool cv_timeline_is_live(struct cv_timeline *t)
{
	return t->live_m && t->m == t->live_m;
}

/* What came of one slice. */
static int digest_slice(struct cv_timeline *t, struct tl_run *r, const struct cv_run *run, const struct cv_pos *before,
			bool *skip, struct cv_error *err)
{
	struct cv_pos pos;

	cv_machine_position(t->m, &pos);
	*skip = false;
	switch (run->why) {
	case CV_RUN_BREAK:
	case CV_RUN_WATCH:
		*skip = run->why == CV_RUN_BREAK || pos.in_rep;
		if (tl_match(t, run, &r->hit)) {
			r->have_hit = true;
			r->why = TL_HIT;
			return 0;
		}
		break;
	case CV_RUN_END:
		r->why = TL_OVER;
		return 0;
	case CV_RUN_ENV:
		if (t->rec && cv_recorder_error(t->rec, err))
			return err && err->code ? err->code : CV_E_IO;
		return cv_error_set(err, CV_E_IO, "the environment failed");
	case CV_RUN_POSITION:
	case CV_RUN_IDLE:
	case CV_RUN_YIELD:
		break;
	}
	if (r->step && !pos.in_rep && cv_pos_cmp(&pos, before))
		r->why = TL_THERE;
	return 0;
}

static int slices(struct cv_timeline *t, struct tl_run *r, struct cv_error *err)
{
	bool skip = r->skip_first;
	unsigned count = 0;
	struct cv_pos start;
	struct cv_run run;
	int rc;

	cv_machine_position(t->m, &start);
	for (;;) {
		struct cv_stop stop = {.insns = UINT64_MAX, .step = r->step, .skip_first_break = skip};

		if (t->rec)
			stop.insns = cv_recorder_next_checkpoint(t->rec);
		rc = cv_machine_run(t->m, &stop, true, &run, err);
		if (!rc)
			rc = digest_slice(t, r, &run, &start, &skip, err);
		if (!rc && t->rec)
			rc = cv_recorder_tick(t->rec, t->m, err);
		if (rc || r->why)
			return rc;
		if (t->m->end.crashed && !t->crash_shown) {
			r->why = TL_THERE; /* told as the crash */
			return 0;
		}
		if ((run.why == CV_RUN_IDLE || ++count % POLL_EVERY == 0) && t->cfg.poll && t->cfg.poll(t->cfg.ctx)) {
			r->why = TL_INTERRUPTED;
			return 0;
		}
	}
}

int tl_live_run(struct cv_timeline *t, struct tl_run *r, struct cv_error *err)
{
	int rc;

	r->why = 0;
	r->have_hit = false;
	if (t->m->end.kind != CV_END_NONE) {
		r->why = TL_OVER;
		return 0;
	}
	rc = tl_arm(t, r->arm, err);
	if (rc)
		return rc;
	if (t->live)
		cv_live_resume(t->live);
	rc = slices(t, r, err);
	if (t->live)
		cv_live_pause(t->live);
	return rc;
}

/* --- Into the past and back --- */

static int open_past(struct cv_timeline *t, struct cv_error *err)
{
	int rc = cv_log_open(&t->past_log, t->path, err);

	if (rc)
		return rc;
	rc = tl_open_replay(t, t->past_log, err);
	if (rc) {
		cv_log_close(t->past_log, NULL);
		t->past_log = NULL;
	}
	return rc;
}

int tl_enter_past(struct cv_timeline *t, struct cv_error *err)
{
	struct cv_pos live;
	int rc;

	if (!cv_timeline_is_live(t))
		return 0;
	if (!t->rec)
		return cv_error_set(err, CV_E_BADINPUT, "there is no recording to go back in: use 'record' or 'replay'");
	rc = cv_log_commit(t->log, err);
	if (!rc && !t->past_log)
		rc = open_past(t, err);
	if (rc)
		return rc;
	cv_machine_position(t->live_m, &live);
	rc = cv_replayer_follow(t->replayer, &live, err);
	if (rc)
		return rc;
	t->live_pos = live;
	t->m = t->replay_m;
	return 0;
}

void tl_leave_past(struct cv_timeline *t)
{
	t->m = t->live_m;
}

int cv_timeline_attach(struct cv_timeline **out, struct cv_machine *m, struct cv_live *live, struct cv_recorder *rec,
		       struct cv_log *log, const char *path, const struct cv_timeline_config *cfg,
		       struct cv_error *err)
{
	struct cv_timeline *t = calloc(1, sizeof(*t));

	*out = NULL;
	if (t && path)
		t->path = strdup(path);
	if (!t || (path && !t->path)) {
		free(t);
		return cv_error_set(err, CV_E_NOMEM, "out of memory for the timeline");
	}
	t->cfg = *cfg;
	t->log = log;
	t->m = t->live_m = m;
	t->live = live;
	t->rec = log && path ? rec : NULL;
	if (live)
		cv_live_pause(live);
	*out = t;
	return 0;
}
