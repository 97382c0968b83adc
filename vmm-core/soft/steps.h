/* SPDX-License-Identifier: MIT */
/*
 * A REP that runs alone where positions count steps: how far it may go, and how far it came.
 */
#ifndef CV_SOFT_STEPS_H
#define CV_SOFT_STEPS_H

#include "vmm-core/soft/soft.h"

static inline uint64_t soft_iterations_left(const struct soft_cpu *c, const struct cv_insn *i)
{
	uint64_t rcx = c->s.gpr[CV_RCX];

	return i->asize == 8 ? rcx : i->asize == 4 ? (uint32_t)rcx : (uint16_t)rcx;
}

/* The REP that is about to run may make at most so many iterations (at least 1): sets where it leaves. */
static inline void soft_limit_iterations(struct soft_cpu *c, const struct cv_insn *i, uint64_t most)
{
	uint64_t left = soft_iterations_left(c, i);

	c->rep_stops = left > most;
	c->rep_stop = left - most;
}

/* The steps that the REP made which has just run, with `before` left. Iterations that are done have retired like instructions. */
static inline int64_t soft_count_iterations(struct soft_cpu *c, const struct cv_insn *i, uint64_t before, bool retired)
{
	uint64_t done = before - soft_iterations_left(c, i);

	c->rep_stops = false;
	if (retired)
		return done ? (int64_t)done : 1;
	if (done)
		c->s.rflags &= ~(uint64_t)CV_FLAG_RF;
	return (int64_t)done;
}

#endif
