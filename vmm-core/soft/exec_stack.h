/* SPDX-License-Identifier: MIT */
/* The stack as PUSH, POP, CALL and RET use it: the general way for any stack size, inlined for 64-bit mode. */
#ifndef CV_SOFT_STACK_H
#define CV_SOFT_STACK_H

#include "vmm-core/soft/exec.h"

static inline u64 stack_mask(const struct soft_cpu *c, u64 sp)
{
	return c->stack_size == 8 ? sp : c->stack_size == 4 ? (u32)sp : (u16)sp;
}
static inline void stack_set(struct soft_cpu *c, u64 sp)
{
	if (c->stack_size == 2)
		PUT16(CV_RSP, sp);
	else
		c->s.gpr[CV_RSP] = stack_mask(c, sp);
}
/* Stores v of n bytes below sp, without moving the stack pointer; false: raised. */
static inline bool stack_store(struct soft_cpu *c, const struct cv_insn *i, u64 sp, u64 v, unsigned n)
{
	return soft_any_linear(c, i, CV_SS, stack_mask(c, sp - n), n, true) && soft_slow_store(c, i, c->ld, CV_SS, v, n);
}
/* Loads n bytes at sp into c->ld; false: raised. */
static inline bool stack_load(struct soft_cpu *c, const struct cv_insn *i, u64 sp, unsigned n)
{
	return soft_any_linear(c, i, CV_SS, stack_mask(c, sp), n, false) && soft_slow_load(c, i, c->ld, CV_SS, n);
}
static inline bool stack_push(struct soft_cpu *c, const struct cv_insn *i, u64 v, unsigned n)
{
	u64 sp = c->s.gpr[CV_RSP];

	if (!stack_store(c, i, sp, v, n))
		return false;
	stack_set(c, sp - n);
	return true;
}

/* In 64-bit mode; `other` takes over on a miss. */
#define STACK_HIT(address, tag, other) \
	u64 la = (address); \
	const struct soft_tlb_entry *te = soft_tlb_slot(c, la); \
	if (unlikely(te->tag != ((la + 7) & SOFT_PAGE_MASK))) { \
		other(c, i); \
		return; \
	} \
	uint8_t *hp = (uint8_t *)(te->addend + la)

#endif
