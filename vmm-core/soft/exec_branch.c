/* SPDX-License-Identifier: MIT */
/*
 * Near branches: the ends of blocks. A target that the block or the jump cache knows is entered at once; else the target is
 * checked, before anything has changed, and the dispatcher finds or makes its block.
 */
#include "vmm-core/soft/exec_stack.h"

static inline u64 wrap(u64 rip, unsigned osize)
{
	return osize == 8 ? rip : osize == 4 ? (u32)rip : (u16)rip;
}

static inline u64 target_of(const struct soft_cpu *c, const struct cv_insn *i)
{
	return wrap(c->block_rip + i->off + i->len + i->imm, i->osize);
}

/* #GP(0) for a target that is not canonical or beyond the code segment. */
static __attribute__((noinline)) bool target_allowed(struct soft_cpu *c, const struct cv_insn *i, u64 rip)
{
	if (c->mode == 64 ? soft_canonical(c, rip) : rip <= c->s.seg[CV_CS].limit)
		return true;
	soft_raise_error(c, i, EXC_GP, 0);
	return false;
}

static __attribute__((noinline)) void jcc_missing(struct soft_cpu *c, const struct cv_insn *i, unsigned taken)
{
	u64 rip = taken ? target_of(c, i) : soft_next_rip(c, i);
	struct soft_block *b;

	if (taken && !target_allowed(c, i, rip)) {
		c->s.pos.branches--;
		return;
	}
	b = soft_follow(c, taken, rip);
	if (b) {
		soft_enter(c, b);
		return;
	}
	soft_leave_linked(c, taken, rip);
}

#define GO_CONDITIONAL(condition) \
	bool taken = (condition); \
	struct soft_block *b = c->block->chain[taken]; \
	c->s.pos.branches++; \
	if (likely(b != NULL)) { \
		soft_enter(c, b); \
		return; \
	} \
	jcc_missing(c, i, taken)

#define JCC(cc) \
H(jcc_##cc) \
{ \
	if (soft_cond(c, cc)) { \
		GO_CONDITIONAL(true); \
	} else { \
		GO_CONDITIONAL(false); \
	} \
}
JCC(0) JCC(1) JCC(2) JCC(3) JCC(4) JCC(5) JCC(6) JCC(7)
JCC(8) JCC(9) JCC(10) JCC(11) JCC(12) JCC(13) JCC(14) JCC(15)

/* The count register of LOOP and JCXZ has the address size. */
static inline u64 count_of(const struct soft_cpu *c, const struct cv_insn *i)
{
	return wrap(c->s.gpr[CV_RCX], i->asize);
}

H(jcxz)
{
	GO_CONDITIONAL(count_of(c, i) == 0);
}

/* Would a taken LOOP fault? Asked before the count changes. */
static inline bool loop_fails(struct soft_cpu *c, const struct cv_insn *i, bool taken)
{
	return taken && unlikely(c->block->chain[1] == NULL) && !target_allowed(c, i, target_of(c, i));
}

#define LOOP(name, condition) \
H(name) \
{ \
	u64 n = wrap(c->s.gpr[CV_RCX] - 1, i->asize); \
	bool go = n != 0 && (condition); \
	if (loop_fails(c, i, go)) \
		return; \
	c->s.gpr[CV_RCX] = i->asize == 2 ? (c->s.gpr[CV_RCX] & ~0xffffull) | n : n; \
	GO_CONDITIONAL(go); \
}
LOOP(loop, true)
LOOP(loope, soft_zf(c))
LOOP(loopne, !soft_zf(c))

H(jmp)
{
	struct soft_block *b = soft_follow(c, 1, target_of(c, i));

	if (likely(b != NULL)) {
		soft_enter(c, b);
		return;
	}
	if (target_allowed(c, i, target_of(c, i)))
		soft_leave_linked(c, 1, target_of(c, i));
}

H(call_g)
{
	u64 rip = target_of(c, i);

	if (!target_allowed(c, i, rip) || !stack_push(c, i, soft_next_rip(c, i), i->osize))
		return;
	struct soft_block *b = soft_follow(c, 1, target_of(c, i));

	if (b) {
		soft_enter(c, b);
		return;
	}
	soft_leave_linked(c, 1, rip);
}

H(call_f)
{
	struct soft_block *b = soft_follow(c, 1, target_of(c, i));

	if (unlikely(b == NULL)) {
		call_g(c, i);
		return;
	}
	STACK_HIT(c->s.gpr[CV_RSP] - 8, wtag, call_g);
	u64 next = c->block_rip + i->off + i->len;

	memcpy(hp, &next, 8);
	c->s.gpr[CV_RSP] = la;
	soft_enter(c, b);
}

/* --- Computed targets --- */

static inline void go_computed(struct soft_cpu *c, u64 rip)
{
	struct soft_block *b = soft_jump_find(c, rip);

	if (likely(b != NULL)) {
		soft_enter(c, b);
		return;
	}
	soft_leave(c, rip);
}

H(ret_g)
{
	u64 sp = c->s.gpr[CV_RSP], rip;

	if (!stack_load(c, i, sp, i->osize))
		return;
	rip = c->ld;
	if (!target_allowed(c, i, rip))
		return;
	stack_set(c, sp + i->osize + i->imm);
	go_computed(c, rip);
}

H(ret_f)
{
	STACK_HIT(c->s.gpr[CV_RSP], rtag, ret_g);
	u64 rip;

	memcpy(&rip, hp, 8);
	struct soft_block *b = soft_jump_find(c, rip);

	if (unlikely(b == NULL)) {
		ret_g(c, i);
		return;
	}
	c->s.gpr[CV_RSP] = la + 8 + i->imm;
	soft_enter(c, b);
}

/* The target operand of JMP and CALL r/m into c->ld. */
static bool load_target(struct soft_cpu *c, const struct cv_insn *i)
{
	if (i->mod == 3) {
		c->ld = wrap(c->s.gpr[i->rm], i->osize);
		return true;
	}
	return soft_any_ea(c, i, i->osize, false) && soft_slow_load(c, i, c->ld, i->seg, i->osize);
}

H(jmp_ind)
{
	if (load_target(c, i) && target_allowed(c, i, c->ld))
		go_computed(c, c->ld);
}

H(call_ind)
{
	u64 rip, sp = c->s.gpr[CV_RSP];

	if (!load_target(c, i))
		return;
	rip = c->ld;
	/* In 64-bit mode processors store the return address before they look at the target. */
	if (c->mode != 64 && !target_allowed(c, i, rip))
		return;
	if (!stack_store(c, i, sp, soft_next_rip(c, i), i->osize) || !target_allowed(c, i, rip))
		return;
	stack_set(c, sp - i->osize);
	go_computed(c, rip);
}

H(jmp_r64)
{
	struct soft_block *b = soft_jump_find(c, RM64);

	if (unlikely(b == NULL)) {
		jmp_ind(c, i);
		return;
	}
	soft_enter(c, b);
}

H(call_r64)
{
	struct soft_block *b = soft_jump_find(c, RM64);

	if (unlikely(b == NULL)) {
		call_ind(c, i);
		return;
	}
	STACK_HIT(c->s.gpr[CV_RSP] - 8, wtag, call_ind);
	u64 next = c->block_rip + i->off + i->len;

	memcpy(hp, &next, 8);
	c->s.gpr[CV_RSP] = la;
	soft_enter(c, b);
}

cv_handler *soft_pick_branch(const struct cv_insn *i)
{
	static cv_handler *const jcc[16] = {
		jcc_0, jcc_1, jcc_2, jcc_3, jcc_4, jcc_5, jcc_6, jcc_7,
		jcc_8, jcc_9, jcc_10, jcc_11, jcc_12, jcc_13, jcc_14, jcc_15,
	};

	switch (i->op) {
	case CV_OP_jcc: return jcc[i->opcode & 15];
	case CV_OP_jcxz: return jcxz;
	case CV_OP_loop: return loop;
	case CV_OP_loope: return loope;
	case CV_OP_loopne: return loopne;
	case CV_OP_jmp: return jmp;
	case CV_OP_call: return i->osize == 8 ? call_f : call_g;
	case CV_OP_ret: return i->osize == 8 ? ret_f : ret_g;
	case CV_OP_jmp_ind: return i->mod == 3 && i->osize == 8 ? jmp_r64 : jmp_ind;
	default: return i->mod == 3 && i->osize == 8 ? call_r64 : call_ind;
	}
}
