/* SPDX-License-Identifier: MIT */
/*
 * The timeline: the only thing that moves time. Seek, step and run, forwards and backwards, over a replay, or over a
 * live recording (backwards then goes into what was recorded so far, forwards past its end goes on living).
 *
 * Backwards always means: restore the nearest checkpoint before, run forward exactly. Break- and watchpoints belong to
 * the timeline and work in both directions. All calls leave the machine at a definite position; a call that fails
 * leaves it where it was.
 */
#ifndef CV_TIMELINE_H
#define CV_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "logdb/logdb.h"
#include "replay/replay.h"
#include "vmm-core/machine.h"

struct cv_timeline;

enum cv_direction { CV_FORWARD = 1, CV_BACKWARD = -1 };

enum cv_tl_why {
	CV_TL_POSITION = 1, /* step done, or the place sought */
	CV_TL_BREAK,	    /* at a breakpoint: RIP is its address, the instruction has not run */
	CV_TL_WATCH,	    /* a watchpoint: forwards after the access; backwards just before it */
	CV_TL_BEGIN,	    /* the start of the recording (going backwards) */
	CV_TL_END,	    /* the end of the recording, or of the live run (going forwards): timeline_end tells how */
	CV_TL_CRASH,	    /* the guest's crash (forwards): position of the crash; running on goes to the end */
	CV_TL_INTERRUPTED,  /* the poll callback asked for it */
	CV_TL_DIVERGED,	    /* cv_timeline_divergence tells */
};

struct cv_tl_stop {
	enum cv_tl_why why;
	struct cv_pos pos;
	unsigned point; /* BREAK, WATCH: the number that cv_timeline_add_point gave */
	uint64_t addr;	/* WATCH: data address */
	enum cv_watch_type access; /* WATCH */
};

enum cv_point_kind { CV_POINT_SW = 0, CV_POINT_HW = 1, CV_POINT_WRITE = 2, CV_POINT_READ = 3, CV_POINT_ACCESS = 4 };

struct cv_timeline_config {
	/* Called every few milliseconds of running: true stops with CV_TL_INTERRUPTED. May be NULL. */
	bool (*poll)(void *ctx);
	/* Progress of long moves, for a terminal; done and total in instructions. May be NULL. */
	void (*progress)(void *ctx, uint64_t done, uint64_t total);
	void *ctx;
	const struct cv_board_ops *board;
	uint64_t memory_budget; /* bytes of checkpoint pages to keep; 0: default (1 GiB) */
	uint64_t grid;		/* instructions between checkpoints over new ground; 0: default (2^26). Doubles as the
				 * run grows; results do not depend on it */
	cv_engine_factory engine; /* NULL: the default engine */
	/* Called with each machine that the timeline makes, before it runs. May be NULL. */
	void (*made)(struct cv_machine *m, const void *made_ctx);
	const void *made_ctx;
};

/* Over a recording; the machine stands at its beginning. log is borrowed. */
int cv_timeline_open(struct cv_timeline **out, struct cv_log *log, const struct cv_timeline_config *cfg,
		     struct cv_error *err);
/*
 * Over a live machine that is being recorded (machine, recorder, log borrowed). path: of the log, opened a second time
 * when the user first goes backwards. Without a recorder (`run`): recorder and log NULL; going backwards is refused.
 */
int cv_timeline_attach(struct cv_timeline **out, struct cv_machine *m, struct cv_live *live, struct cv_recorder *rec,
		       struct cv_log *log, const char *path, const struct cv_timeline_config *cfg,
		       struct cv_error *err);
void cv_timeline_free(struct cv_timeline *t);

/* --- Moving. 0 and *stop, or a negative CV_E_* (host trouble). --- */
/* One instruction (or one delivery) in a direction. */
int cv_timeline_step(struct cv_timeline *t, enum cv_direction dir, struct cv_tl_stop *stop, struct cv_error *err);
/* Until a point, the end, the beginning, the crash, or an interruption. */
int cv_timeline_run(struct cv_timeline *t, enum cv_direction dir, struct cv_tl_stop *stop, struct cv_error *err);
/* Steps while RIP stays in [start, end) (GDB's range stepping); points are honoured. */
int cv_timeline_step_range(struct cv_timeline *t, enum cv_direction dir, uint64_t start, uint64_t end,
			   struct cv_tl_stop *stop, struct cv_error *err);
/* To (insns, sub 0), clamped to the run. Points are ignored. */
int cv_timeline_seek(struct cv_timeline *t, uint64_t insns, struct cv_tl_stop *stop, struct cv_error *err);

/* --- Points --- */
/*
 * *id names it in stops. cond (may be NULL) is asked at each hit, with the timeline standing there: false means go on.
 * The same kind, address and length may be added once; adding again returns the same id (and replaces cond).
 */
int cv_timeline_add_point(struct cv_timeline *t, enum cv_point_kind kind, uint64_t addr, uint64_t len,
			  bool (*cond)(void *ctx, struct cv_timeline *t), void *cond_ctx, unsigned *id,
			  struct cv_error *err);
int cv_timeline_remove_point(struct cv_timeline *t, enum cv_point_kind kind, uint64_t addr, uint64_t len);
void cv_timeline_remove_all_points(struct cv_timeline *t);

/* --- Looking --- */
void cv_timeline_state(struct cv_timeline *t, struct cv_vcpu_state *s);
const struct cv_pos *cv_timeline_pos(struct cv_timeline *t);
uint64_t cv_timeline_end_insns(struct cv_timeline *t); /* of the recording so far */
bool cv_timeline_is_live(struct cv_timeline *t);       /* standing at the living end of a recording in progress */
bool cv_timeline_is_diverted(struct cv_timeline *t);
/* How the run ended or will end (kind CV_END_NONE if unknown yet). */
const struct cv_end_info *cv_timeline_end(struct cv_timeline *t);
const struct cv_divergence *cv_timeline_divergence(struct cv_timeline *t);
/* Linear through the guest's page tables, or physical. The number of bytes done from the start; 0 if none. */
size_t cv_timeline_read(struct cv_timeline *t, bool physical, uint64_t addr, void *p, size_t n);
struct cv_machine *cv_timeline_machine(struct cv_timeline *t); /* the one that stands at the position: look only */
struct cv_log *cv_timeline_log(struct cv_timeline *t);	       /* NULL with `run` */
/* The replayer behind it, NULL while nothing is replayed. Look only; its output may be set. */
struct cv_replayer *cv_timeline_replayer(struct cv_timeline *t);
/* Checkpoints held in memory: how many, and bytes. */
void cv_timeline_stats(struct cv_timeline *t, size_t *checkpoints, uint64_t *bytes);

/* --- Changing: opens a diversion in a replay; changes the guest for good (and unrecorded: refused) while recording --- */
int cv_timeline_write(struct cv_timeline *t, bool physical, uint64_t addr, const void *p, size_t n,
		      struct cv_error *err);
int cv_timeline_set_state(struct cv_timeline *t, const struct cv_vcpu_state *s, struct cv_error *err);
/* Back to the recorded run at the position where the diversion began. */
int cv_timeline_end_diversion(struct cv_timeline *t, struct cv_error *err);

#endif
