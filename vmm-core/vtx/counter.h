/* SPDX-License-Identifier: MIT */
/*
 * How the VT-x engine gets to an exact point, whatever counts: arithmetic alone, no system call, no guest.
 *
 * Three back ends. BENCH counts every unit and its every value is a point. PMU counts conditional branches, and fires late: it is
 * armed early by a margin, the rest is stepped. NONE counts nothing: only exits that the guest causes are points.
 *
 * A point is named by `count`, and by `exits`: how many exits the guest itself caused (CPUID, port I/O, MMIO, HLT, ...; not
 * a host interrupt, a page that had to be pinned, a full ring) since the count took that value. Unambiguous are:
 *	BENCH	(count, 0): any unit's end
 *	PMU	(count, 0): just after the conditional branch number `count`; (count, k): the k-th exit after it was carried out
 *	NONE	(0, k): the k-th exit since power-on was carried out
 * Anywhere else a loop without a conditional branch (`jmp .`, or one that counts in memory) may pass with the same count and RIP
 * arbitrarily often. Such a place can only be told by the whole of the guest's state: `recognise`, with a digest of registers and
 * memory. That is exact, for from the same state the guest goes the same way. Where no digest can be had it can't be named, and
 * that is said.
 *
 * Use: cv_counter_next says what to do now to get to a target; the caller does it, tells cv_counter_ran what came of it, asks again.
 * A caller that has an input to deliver as soon as may be asks cv_counter_place instead. With BENCH, `at` and `target` need
 * no more than their counts.
 */
#ifndef CV_VTX_COUNTER_H
#define CV_VTX_COUNTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm-core/error.h"

/* The values are those of CVVTX_COUNTER_*. */
enum cv_counter_kind { CV_COUNTER_NONE = 0, CV_COUNTER_BENCH = 1, CV_COUNTER_PMU = 2 };

#define CV_COUNTER_NO_LIMIT UINT64_MAX /* a budget: CVVTX_COUNT_NONE */

/* How late the counter fired. Bucket 0: not at all; bucket i: 2^(i-1) to 2^i - 1 units; the last: and more. */
#define CV_SKID_BUCKETS 18
struct cv_skid {
	uint64_t bucket[CV_SKID_BUCKETS];
	uint64_t fired, early; /* early: before it was due; harmless, but no counter should */
	uint64_t max;
	uint64_t steps; /* single steps behind a fired counter, for people */
};

struct cv_counter {
	enum cv_counter_kind kind; /* [i] */
	uint64_t margin;	   /* [i] the counter is never later than this many units */
	uint64_t sim_skid;	   /* [i] BENCH: be late by 0..sim_skid units, pseudo-randomly */
	uint64_t seed;		   /* [h] of that */
	bool breakpoints;	   /* [i] the caller can stop at a RIP */
	bool digests;		   /* [i] the caller can take digests of the guest's state */
	uint64_t patience;	   /* [i] single steps towards a point that can be named before giving up */
	uint64_t bound_ns;	   /* [i] NONE: so long an input waits for an exit of the guest's own */
	struct cv_skid skid;	   /* [h] */
};

/* Where the guest stands. */
struct cv_counter_at {
	uint64_t count, exits;
	uint64_t rip, rcx; /* rip linear; used where the target asks for it */
	bool named;	   /* (count, exits) names exactly this point */
	bool looked;	   /* state is filled in */
	uint64_t state;	   /* digest of registers and memory */
};

/* Where it shall go. */
struct cv_counter_point {
	uint64_t count, exits;
	bool check; /* rip and rcx are known: an arrival elsewhere is an error */
	uint64_t rip, rcx;
	bool recognise; /* not at (count, exits) but behind it, where rip, rcx and state are these; implies check */
	uint64_t state;
};

enum cv_move_kind {
	CV_MOVE_RUN = 1,   /* run with `budget`, and until `rip` where break_at_rip is set */
	CV_MOVE_STEP,	   /* execute one instruction (iteration, delivery), then look again */
	CV_MOVE_LOOK,	   /* fill in at->state and at->looked, then ask again; nothing is to be run */
	CV_MOVE_ARRIVED,   /* this is the point */
	CV_MOVE_OVERSHOT,  /* the point has been passed, or isn't where it should be: a host error, never to be ignored */
	CV_MOVE_UNNAMED	   /* no name for any place near: deliver later (cv_counter_place alone) */
};

struct cv_move {
	enum cv_move_kind kind;
	uint64_t budget; /* RUN: units to arm the counter with */
	uint64_t due;	 /* RUN: the count at which the counter is to fire; budget is later than that where skid is simulated */
	bool break_at_rip;
	uint64_t rip;
};

/* Why a move ended. */
enum cv_ran {
	CV_RAN_FIRED = 1, /* the counter fired */
	CV_RAN_STEPPED,	  /* one instruction was executed */
	CV_RAN_GUEST,	  /* an exit that the guest caused; it has been carried out. count: before that instruction */
	CV_RAN_HOST,	  /* anything else: a signal, a ring full. The guest may stand anywhere */
	CV_RAN_BREAK	  /* at move.rip, nothing executed there */
};

/*
 * margin: for PMU from the table (pmu_events.h). breakpoints and digests are off, patience is 4096 steps and bound_ns 10 ms:
 * the caller may set them before first use.
 */
void cv_counter_init(struct cv_counter *c, enum cv_counter_kind kind, uint64_t margin);

/*
 * BENCH: the counter shall be late by up to `skid` units, as a real one is; margin becomes the same, so results don't change.
 */
void cv_counter_simulate(struct cv_counter *c, uint64_t skid, uint64_t seed);

/*
 * The next move from `at` to `target`; a `recognise` target is to be sought from a named point before it. 0, or CV_E_IO with a message where move->kind is CV_MOVE_OVERSHOT: the margin was wrong, or
 * the counter miscounts; the run must end.
 */
int cv_counter_next(struct cv_counter *c, const struct cv_counter_at *at, const struct cv_counter_point *target,
		    struct cv_move *move, struct cv_error *err);

/*
 * The next move towards any place where an input can be delivered; the caller stands at `at`, the input has waited so long,
 * and `steps` single steps were done for it. ARRIVED: here; cv_counter_name names it. RUN (NONE alone): on to the guest's next exit, but
 * interrupt it when waited reaches bound_ns.
 */
void cv_counter_place(const struct cv_counter *c, const struct cv_counter_at *at, uint64_t waited_ns, uint64_t steps,
		      struct cv_move *move);

/* The name of where the guest stands. false: it has none (cv_counter_place would not say ARRIVED). */
bool cv_counter_name(const struct cv_counter *c, const struct cv_counter_at *at, struct cv_counter_point *p);

/*
 * `move` has ended so, with the counter at `count`. Brings `at` up to date but for rip and rcx, which the caller reads. CV_E_IO where the counter
 * can't be trusted: it was later than the margin, went back, or counted two branches in one step.
 */
int cv_counter_ran(struct cv_counter *c, const struct cv_move *move, enum cv_ran how, uint64_t count, struct cv_counter_at *at,
		   struct cv_error *err);

/* "bench", "pmu", "none". */
const char *cv_counter_name_of(enum cv_counter_kind kind);

/* The histogram as one line: "1021 stops: 0: 3, 1: 12, 2-3: 40, ...; worst 37, margin 100; 3,210 steps". */
void cv_skid_text(const struct cv_counter *c, char *buf, size_t n);

#endif
