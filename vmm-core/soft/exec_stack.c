/* SPDX-License-Identifier: MIT */
/*
 * PUSH POP PUSHA POPA ENTER LEAVE. With 64-bit operands (64-bit mode) the common forms are handlers of their own; the
 * general ones serve every operand and stack size.
 */
#include "vmm-core/soft/exec_stack.h"

static u64 get_reg(const struct soft_cpu *c, unsigned r, unsigned n)
{
	return n == 8 ? c->s.gpr[r] : n == 4 ? (u32)c->s.gpr[r] : (u16)c->s.gpr[r];
}

static void put_reg(struct soft_cpu *c, unsigned r, unsigned n, u64 v)
{
	if (n == 2)
		PUT16(r, v);
	else
		c->s.gpr[r] = n == 8 ? v : (u32)v;
}

/* --- PUSH --- */

H(push_z_g)
{
	if (stack_push(c, i, get_reg(c, i->reg, i->osize), i->osize))
		SOFT_NEXT(c, i);
}

H(push_i_g)
{
	if (stack_push(c, i, i->imm, i->osize))
		SOFT_NEXT(c, i);
}

H(push_r_g)
{
	if (stack_push(c, i, get_reg(c, i->rm, i->osize), i->osize))
		SOFT_NEXT(c, i);
}

H(push_m_g)
{
	EA_g(8 * i->osize, false);

	if (!soft_slow_load(c, i, la, i->seg, i->osize))
		return;
	if (stack_push(c, i, c->ld, i->osize))
		SOFT_NEXT(c, i);
}

H(push_z_f)
{
	STACK_HIT(c->s.gpr[CV_RSP] - 8, wtag, push_z_g);
	u64 v = REG64;

	memcpy(hp, &v, 8);
	c->s.gpr[CV_RSP] = la;
	SOFT_NEXT(c, i);
}

H(push_i_f)
{
	STACK_HIT(c->s.gpr[CV_RSP] - 8, wtag, push_i_g);
	memcpy(hp, &i->imm, 8);
	c->s.gpr[CV_RSP] = la;
	SOFT_NEXT(c, i);
}

/* --- POP --- */

H(pop_z_g)
{
	u64 sp = c->s.gpr[CV_RSP];

	if (!stack_load(c, i, sp, i->osize))
		return;
	stack_set(c, sp + i->osize);
	put_reg(c, i->reg, i->osize, c->ld);
	SOFT_NEXT(c, i);
}

H(pop_z_f)
{
	STACK_HIT(c->s.gpr[CV_RSP], rtag, pop_z_g);
	u64 v;

	memcpy(&v, hp, 8);
	c->s.gpr[CV_RSP] = la + 8;
	c->s.gpr[i->reg] = v;
	SOFT_NEXT(c, i);
}

H(pop_r)
{
	u64 sp = c->s.gpr[CV_RSP];

	if (!stack_load(c, i, sp, i->osize))
		return;
	stack_set(c, sp + i->osize);
	put_reg(c, i->rm, i->osize, c->ld);
	SOFT_NEXT(c, i);
}

/* An address that uses the stack pointer uses it as it is after the POP. */
H(pop_m)
{
	u64 sp = c->s.gpr[CV_RSP], v;

	if (!stack_load(c, i, sp, i->osize))
		return;
	v = c->ld;
	stack_set(c, sp + i->osize);
	if (!soft_any_ea(c, i, i->osize, true) || !soft_slow_store(c, i, c->ld, i->seg, v, i->osize)) {
		c->s.gpr[CV_RSP] = sp;
		return;
	}
	SOFT_NEXT(c, i);
}

/* --- PUSHA, POPA --- */

H(pusha)
{
	u64 sp = c->s.gpr[CV_RSP];

	for (unsigned r = 0; r < 8; r++)
		if (!stack_store(c, i, sp - r * i->osize, get_reg(c, r, i->osize), i->osize))
			return;
	stack_set(c, sp - 8u * i->osize);
	SOFT_NEXT(c, i);
}

H(popa)
{
	u64 sp = c->s.gpr[CV_RSP];

	/* One after the other, and a fault leaves those loaded that come before it: so do processors. */
	for (unsigned k = 0; k < 8; k++) {
		if (!stack_load(c, i, sp + k * i->osize, i->osize))
			return;
		if (7 - k != CV_RSP)
			put_reg(c, 7 - k, i->osize, c->ld);
	}
	stack_set(c, sp + 8u * i->osize);
	SOFT_NEXT(c, i);
}

/* --- ENTER, LEAVE (SDM 2A) --- */

H(enter)
{
	u64 sp = c->s.gpr[CV_RSP], bp = c->s.gpr[CV_RBP], frame;
	unsigned level = i->imm2 & 31, n = i->osize;

	if (!stack_store(c, i, sp, get_reg(c, CV_RBP, n), n))
		return;
	sp -= n;
	frame = sp;
	for (unsigned k = 1; k < level; k++) {
		bp -= n;
		if (!stack_load(c, i, bp, n) || !stack_store(c, i, sp, c->ld, n))
			return;
		sp -= n;
	}
	if (level) {
		if (!stack_store(c, i, sp, frame, n))
			return;
		sp -= n;
	}
	/* #PF where a store at the new top of the stack would (SDM 2A). */
	if (!soft_probe_store(c, i, CV_SS, stack_mask(c, sp - i->imm), n))
		return;
	stack_set(c, sp - i->imm);
	put_reg(c, CV_RBP, n, stack_mask(c, frame));
	SOFT_NEXT(c, i);
}

H(leave_g)
{
	u64 bp = stack_mask(c, c->s.gpr[CV_RBP]);

	if (!stack_load(c, i, bp, i->osize))
		return;
	stack_set(c, bp + i->osize);
	put_reg(c, CV_RBP, i->osize, c->ld);
	SOFT_NEXT(c, i);
}

H(leave_f)
{
	STACK_HIT(c->s.gpr[CV_RBP], rtag, leave_g);
	u64 v;

	memcpy(&v, hp, 8);
	c->s.gpr[CV_RSP] = la + 8;
	c->s.gpr[CV_RBP] = v;
	SOFT_NEXT(c, i);
}

cv_handler *soft_pick_stack(const struct cv_insn *i)
{
	bool wide = i->osize == 8;

	switch (i->op) {
	case CV_OP_push:
		if (i->opcode < 0x60)
			return wide ? push_z_f : push_z_g;
		if (i->opcode == 0xff)
			return i->mod == 3 ? push_r_g : push_m_g;
		return wide ? push_i_f : push_i_g;
	case CV_OP_pop:
		if (i->opcode < 0x60)
			return wide ? pop_z_f : pop_z_g;
		return i->mod == 3 ? pop_r : pop_m;
	case CV_OP_pusha: return pusha;
	case CV_OP_popa: return popa;
	case CV_OP_enter: return enter;
	default: return wide ? leave_f : leave_g;
	}
}
