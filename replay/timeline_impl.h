/* SPDX-License-Identifier: MIT */
/*
 * Inside the timeline.
 *
 * timeline.c         life, looking, changing; the public moves, which choose among the parts below
 * timeline_nodes.c   which checkpoints are kept
 * timeline_run.c     running the replay forward, exactly, with stops on the way
 * timeline_back.c    backwards: by running forward from before
 * timeline_live.c    the living machine of a recording in progress, and changing over
 * timeline_index.c   what was written between checkpoints, so that a search backwards leaves out most
 * timeline_points.c  break- and watchpoints
 *
 * A boundary is a place where one can stand: an instruction has retired, or an exception or interrupt was delivered.
 * Between the iterations of a REP one stands only after a watchpoint hit there.
 */
#ifndef CV_TIMELINE_IMPL_H
#define CV_TIMELINE_IMPL_H

#include "replay/checkpoint.h"
#include "replay/timeline.h"

struct tl_node {
	struct cv_checkpoint *cp; /* owned */
	struct cv_pos pos;
	uint64_t check; /* cv_replayer_tell_check */
	bool dense;	/* dropped on the way to a place, not on the grid */
	struct cv_page_filter *wrote; /* owned: linear pages written from here to the next one; NULL: not known */
};

struct tl_point {
	unsigned id;
	enum cv_point_kind kind;
	uint64_t addr, len;
	bool (*cond)(void *ctx, struct cv_timeline *t);
	void *cond_ctx;
};

struct tl_hit {
	struct cv_pos pos;
	bool watch;
	unsigned id;
	uint64_t addr;
	enum cv_watch_type access;
};

/* Which points the engine is told of. */
enum tl_arm { ARM_NONE = 1, ARM_WATCHES, ARM_ALL };

struct cv_timeline {
	struct cv_timeline_config cfg;
	struct cv_log *log;   /* borrowed */
	struct cv_machine *m; /* the one that stands at the position: replay_m or live_m */

	struct cv_machine *replay_m;	/* owned */
	struct cv_replayer *replayer;	/* owned */
	struct cv_checkpoints *store;	/* owned */
	struct tl_node *nodes;		/* owned, sorted by position; the first is the beginning */
	size_t nnodes, cap;
	uint64_t grid;

	struct tl_point *points; /* owned */
	size_t npoints;
	unsigned next_id;
	struct cv_machine *armed_m; /* whose engine was told */
	enum tl_arm armed;

	struct cv_page_filter *wrote; /* owned: linear pages written since wrote_from; NULL: the engine can't tell */
	struct cv_pos wrote_from;
	bool wrote_whole; /* all of them */

	struct cv_checkpoint *home; /* owned: where a move backwards began, while it lasts */
	uint64_t home_check;
	struct cv_checkpoint *origin; /* owned: where the diversion began; NULL: not diverted */
	uint64_t origin_check;

	bool crash_shown, end_checked;
	uint64_t unpolled; /* instructions and stops since the user was last asked */
	unsigned stops;

	/* Attached to a living machine. */
	struct cv_machine *live_m;   /* borrowed */
	struct cv_live *live;	     /* borrowed */
	struct cv_recorder *rec;     /* borrowed; NULL: not recorded */
	char *path;		     /* owned */
	struct cv_log *past_log;     /* owned: the log opened again */
	struct cv_pos live_pos;	     /* where live_m stands, while in the past */
	struct cv_pos pos;	     /* what cv_timeline_pos gave */
};

/* --- timeline_run.c --- */

enum tl_why { TL_THERE = 1, TL_HIT, TL_OVER, TL_DIVERGED, TL_INTERRUPTED };

struct tl_run {
	struct cv_pos limit;  /* stop at the first boundary that is not before this */
	enum tl_arm arm;
	bool step;	      /* one unit */
	bool skip_first;      /* a breakpoint at the place where we stand does not count */
	bool collect;	      /* a hit does not stop; `hit` is the last one */
	uint64_t target;      /* drop checkpoints ever closer to this instruction count; UINT64_MAX: no */
	/* result */
	enum tl_why why;
	bool have_hit;
	struct tl_hit hit;
};

extern const struct cv_pos tl_never; /* after everything */

struct cv_pos tl_at(uint64_t insns);
/* Replay: runs forward. 0 and r->why, or a host error. */
int tl_advance(struct cv_timeline *t, struct tl_run *r, struct cv_error *err);
/* Replay: to a boundary, from wherever it is cheapest. */
int tl_goto(struct cv_timeline *t, const struct cv_pos *target, enum tl_why *why, struct cv_error *err);
/* Up to where the replay is known; tl_never for a complete recording, whose guest ends by itself. */
struct cv_pos tl_known_end(const struct cv_timeline *t);
int tl_forward(struct cv_timeline *t, struct cv_tl_stop *stop, struct cv_error *err);
int tl_step(struct cv_timeline *t, struct cv_tl_stop *stop, struct cv_error *err);
/* The stop for a move that ended in `why` without a hit; TL_OVER becomes the crash or the end. */
int tl_stop_for(struct cv_timeline *t, enum tl_why why, struct cv_tl_stop *stop, struct cv_error *err);
void tl_stop_at_hit(struct cv_timeline *t, const struct tl_hit *hit, struct cv_tl_stop *stop);
void tl_stop_here(struct cv_timeline *t, enum cv_tl_why why, struct cv_tl_stop *stop);

/* --- timeline_back.c: from is the position to go back from, where the replay need not stand --- */
int tl_step_back(struct cv_timeline *t, const struct cv_pos *from, struct cv_tl_stop *stop, struct cv_error *err);
int tl_run_back(struct cv_timeline *t, const struct cv_pos *from, struct cv_tl_stop *stop, struct cv_error *err);
int tl_range_back(struct cv_timeline *t, const struct cv_pos *from, uint64_t start, uint64_t end,
		  struct cv_tl_stop *stop, struct cv_error *err);

/* --- timeline_nodes.c --- */
/* A replay over log: machine, replayer, store, and the checkpoint at the beginning. */
int tl_open_replay(struct cv_timeline *t, struct cv_log *log, struct cv_error *err);
void tl_close_replay(struct cv_timeline *t);
/* The last node at or before pos (strictly: before). NULL: none. */
struct tl_node *tl_find_node(struct cv_timeline *t, const struct cv_pos *pos, bool strictly);
/*
 * The one to start from for pos: tl_find_node's, or one that is read from the recording because it spares much running.
 * here (may be NULL): a place at or before pos from which one could run as well.
 */
int tl_find_base(struct cv_timeline *t, const struct cv_pos *pos, bool strictly, const struct cv_pos *here,
		 struct tl_node **base, struct cv_error *err);
int tl_take_node(struct cv_timeline *t, bool dense, struct cv_error *err);
int tl_restore_node(struct cv_timeline *t, const struct tl_node *n, struct cv_error *err);
int tl_restore(struct cv_timeline *t, const struct cv_checkpoint *cp, uint64_t check, struct cv_error *err);

/* --- timeline_index.c --- */
int tl_index_open(struct cv_timeline *t, struct cv_error *err);
/* The replay stands at a checkpoint's place, and will run on from there. */
void tl_index_begin(struct cv_timeline *t, const struct cv_pos *pos);
/* It was put somewhere else. */
void tl_index_stop(struct cv_timeline *t);
/* It has run to where it stands: is that a checkpoint's place, the one before knows what was written. */
void tl_index_reach(struct cv_timeline *t);
/* Node i was put in; node i is about to be taken out. */
void tl_index_insert(struct cv_timeline *t, size_t i);
void tl_index_remove(struct cv_timeline *t, size_t i);
/* No point can be hit between a node and the next one. */
bool tl_index_rules_out(const struct cv_timeline *t, const struct tl_node *n);

/* --- timeline_points.c --- */
int tl_arm(struct cv_timeline *t, enum tl_arm arm, struct cv_error *err);
bool tl_has_watches(const struct cv_timeline *t);
/* Does the engine's stop count? Asks conditions. */
bool tl_match(struct cv_timeline *t, const struct cv_run *run, struct tl_hit *hit);
/* A breakpoint at the present RIP whose condition holds. */
bool tl_match_here(struct cv_timeline *t, struct tl_hit *hit);

/* --- timeline_live.c --- */
bool tl_in_past(const struct cv_timeline *t);
int tl_live_run(struct cv_timeline *t, struct tl_run *r, struct cv_error *err);
/* Makes the replay ready to go back from where the living machine stands. */
int tl_enter_past(struct cv_timeline *t, struct cv_error *err);
void tl_leave_past(struct cv_timeline *t);

#endif
