/* SPDX-License-Identifier: MIT */
/*
 * A point in the guest's execution (docs/architecture.md, "Position").
 *
 * Order: insns, then sub, then rcx downwards. insns and branches count retired instructions and retired conditional
 * branches (Jcc, JCXZ, LOOPcc) since power-on. sub counts what happened since the last instruction retired without
 * retiring one: exceptions and interrupts delivered. An instruction that faults has not retired. A REP string
 * instruction retires once; between two of its iterations rcx says where, and `in_rep` is set. (Also for a
 * gather that a trap or watchpoint interrupts before the fault of a later element; rcx then says nothing of where.)
 *
 * "Position N" without more means (insns N, sub 0): the N-th instruction has just retired, nothing that it left
 * pending has been delivered. Asynchronous inputs are applied at sub 0; to a CPU that does nothing but deliver
 * exceptions, also at every sub that is a multiple of CV_POS_LOOK.
 */
#ifndef CV_POSITION_H
#define CV_POSITION_H

#include <stdbool.h>
#include <stdint.h>

#define CV_POS_LOOK 4096u

/*
 * What cv_pos.insns counts in a run: a property of the machine and of its recording. CV_COUNT_STEPS is for engines whose only exact
 * counter counts so: an instruction retired, each iteration of a REP after its first, and each exception delivered through the IDT;
 * branches and rcx are 0 then, in_rep is never set, and sub counts interrupts and NMIs since the last step.
 */
enum cv_count_unit { CV_COUNT_INSNS = 0, CV_COUNT_STEPS = 1 };
/* As options and recordings name it. */
static inline const char *cv_count_unit_name(enum cv_count_unit unit)
{
	return unit == CV_COUNT_STEPS ? "steps" : "insns";
}

struct cv_pos {
	uint64_t insns;
	uint64_t branches;
	uint64_t rip; /* linear: CS.base + RIP */
	uint64_t rcx; /* 0 unless in_rep */
	uint32_t sub;
	bool in_rep; /* a REP has begun and has not retired */
};

/* <0, 0, >0 as a lies before, at, after b. rip and branches take no part. */
static inline int cv_pos_cmp(const struct cv_pos *a, const struct cv_pos *b)
{
	if (a->insns != b->insns)
		return a->insns < b->insns ? -1 : 1;
	if (a->sub != b->sub)
		return a->sub < b->sub ? -1 : 1;
	if (a->in_rep != b->in_rep)
		return a->in_rep ? 1 : -1;
	if (a->in_rep && a->rcx != b->rcx)
		return a->rcx > b->rcx ? -1 : 1;
	return 0;
}

#endif
