/* SPDX-License-Identifier: MIT */
/*
 * May the counter be trusted on this machine? Small guests of known counts are run, freely, through exits, through overflows and host
 * interrupts, and to exact points; each count must be right to the unit. As rr asks its counter at start-up.
 *
 * A counter that is wrong once in a million makes recordings that don't replay, and hypervisors, profilers, SMM code
 * and errata make counters wrong. So a counter is used only after this, and what failed is told in a sentence with what to do.
 *
 * Written over functions that run guest code, so that a unit test can put any broken counter behind them.
 */
#ifndef CV_VTX_SELFTEST_H
#define CV_VTX_SELFTEST_H

#include "vmm-core/vtx/counter.h"

/* What a guest was left with. */
struct cv_selftest_stop {
	enum cv_ran how;
	bool halted;	/* at HLT, not carried out; how is CV_RAN_GUEST */
	uint64_t count; /* since `start`. An OUT that exited has been carried out; BENCH counts it */
	uint64_t ip;	/* offset in the code */
	uint64_t ecx;
	uint64_t interrupts; /* host interrupts since `start`, where known */
};

struct cv_selftest_guest {
	void *ctx; /* borrowed, for the functions */
	/*
	 * A fresh guest in real mode with interrupts off, `code` at CS:0 (CS base 1000h, page-aligned), ECX = n, the other general
	 * registers 0; the count is 0. 0 or CV_E_*.
	 */
	int (*start)(void *ctx, const uint8_t *code, size_t len, uint64_t n, struct cv_error *err);
	/* Carries out CV_MOVE_RUN or CV_MOVE_STEP. OUT to port 80h does nothing and returns. 0 or CV_E_*. */
	int (*run)(void *ctx, const struct cv_move *m, struct cv_selftest_stop *stop, struct cv_error *err);
};

/* How much of it. */
struct cv_selftest_size {
	uint64_t loop;	 /* iterations of a counted loop: 10,000 */
	uint64_t exits;	 /* forced exits: 2,000 */
	uint64_t stops;	 /* overflows: 500 */
	uint64_t points; /* exact stops: 50 */
	uint64_t free;	 /* iterations of a loop long enough for host interrupts: 20,000,000 */
};

/* For a real CPU (some 50 ms), and for an emulator. */
extern const struct cv_selftest_size cv_selftest_real, cv_selftest_small;

/*
 * 0: the counter `c` can be trusted; its histogram shows the skid. CV_E_NOTFOUND: it can't, err says why and what to do. Other errors:
 * the functions'. NONE counts nothing: passes.
 */
int cv_selftest_counter(const struct cv_selftest_guest *g, struct cv_counter *c, const struct cv_selftest_size *size,
			struct cv_error *err);

#endif
