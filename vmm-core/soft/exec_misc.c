/* SPDX-License-Identifier: MIT */
/* What is left of the integer operations: sign extension of the accumulator, decimal adjustment, flags, NOP, BOUND, XLAT. */
#include "vmm-core/soft/exec.h"

#define AL ((u8)c->s.gpr[CV_RAX])
#define AX ((u16)c->s.gpr[CV_RAX])

H(cbw16) { PUT16(CV_RAX, (s8)AL); SOFT_NEXT(c, i); }
H(cbw32) { PUT32(CV_RAX, (s16)AX); SOFT_NEXT(c, i); }
H(cbw64) { PUT64(CV_RAX, (u64)(s64)(s32)c->s.gpr[CV_RAX]); SOFT_NEXT(c, i); }
H(cwd16) { PUT16(CV_RDX, (s16)AX >> 15); SOFT_NEXT(c, i); }
H(cwd32) { PUT32(CV_RDX, (s32)c->s.gpr[CV_RAX] >> 31); SOFT_NEXT(c, i); }
H(cwd64) { PUT64(CV_RDX, (u64)((s64)c->s.gpr[CV_RAX] >> 63)); SOFT_NEXT(c, i); }

/* Flags of AL after a decimal adjustment. */
static void decimal_flags(struct soft_cpu *c, bool cf, bool af)
{
	soft_flags_logic(c, (s8)AL);
	soft_flags_set_cf_of(c, cf, false);
	if (af)
		c->fl.aux |= SOFT_AUX_AF;
}

static void adjust_packed(struct soft_cpu *c, int sign)
{
	u8 al = AL;
	bool cf = soft_cf(c), low = (al & 15) > 9 || soft_af(c), high = al > 0x99 || cf;
	bool carry = high;
	int r = al;

	if (low) {
		r += sign * 6;
		if (r < 0 && sign < 0)
			carry = true;
		if (sign > 0 && r > 0xff)
			carry = true;
	}
	if (high)
		r += sign * 0x60;
	SET_A8((u8)r);
	decimal_flags(c, carry, low);
}

H(daa) { adjust_packed(c, 1); SOFT_NEXT(c, i); }
H(das) { adjust_packed(c, -1); SOFT_NEXT(c, i); }

static void adjust_unpacked(struct soft_cpu *c, bool add)
{
	bool adjust = (AL & 15) > 9 || soft_af(c);
	u16 ax = AX;

	if (adjust)
		ax = (u16)(add ? ax + 0x106 : ax - 0x106);
	PUT16(CV_RAX, ax & 0xff0f);
	decimal_flags(c, adjust, adjust);
}

H(aaa) { adjust_unpacked(c, true); SOFT_NEXT(c, i); }
H(aas) { adjust_unpacked(c, false); SOFT_NEXT(c, i); }

H(xlat)
{
	u64 off = c->s.gpr[CV_RBX] + AL;

	off = i->asize == 8 ? off : i->asize == 4 ? (u32)off : (u16)off;
	if (!soft_any_linear(c, i, i->seg, off, 1, false))
		return;
	u64 la = c->ld;
	SOFT_LOAD(8, v, la, i->seg)
	SET_A8(v);
	SOFT_NEXT(c, i);
}

H(salc) { SET_A8(soft_cf(c) ? 0xff : 0); SOFT_NEXT(c, i); }
H(clc) { soft_flags_set_cf(c, false); SOFT_NEXT(c, i); }
H(stc) { soft_flags_set_cf(c, true); SOFT_NEXT(c, i); }
H(cmc) { soft_flags_set_cf(c, !soft_cf(c)); SOFT_NEXT(c, i); }
H(cld) { c->s.rflags &= ~(u64)CV_FLAG_DF; SOFT_NEXT(c, i); }
H(std_) { c->s.rflags |= CV_FLAG_DF; SOFT_NEXT(c, i); }
H(nop) { SOFT_NEXT(c, i); }

H(lahf)
{
	put8(c, CV_RAX, true, (u8)(soft_get_rflags(c) & 0xff));
	SOFT_NEXT(c, i);
}

H(sahf)
{
	soft_set_arith(c, get8(c, CV_RAX, true) | (soft_of(c) ? CV_FLAG_OF : 0));
	SOFT_NEXT(c, i);
}

H(bound)
{
	unsigned n = i->osize;
	s64 v, low, high;

	if (!soft_any_ea(c, i, 2 * n, false))
		return;
	u64 la = c->ld;
	if (!soft_slow_load(c, i, la, i->seg, n))
		return;
	low = n == 2 ? (s16)c->ld : (s32)c->ld;
	v = n == 2 ? (s16)REG16 : (s32)REG32;
	/* Processors compare with the lower bound before they read the upper one. */
	if (v < low) {
		soft_raise(c, i, EXC_BR);
		return;
	}
	if (!soft_slow_load(c, i, (u32)(la + n), i->seg, n))
		return;
	high = n == 2 ? (s16)c->ld : (s32)c->ld;
	if (v > high) {
		soft_raise(c, i, EXC_BR);
		return;
	}
	SOFT_NEXT(c, i);
}

void soft_h_ud(struct soft_cpu *c, const struct cv_insn *i)
{
	soft_raise(c, i, EXC_UD);
}

void soft_h_long(struct soft_cpu *c, const struct cv_insn *i)
{
	soft_raise_error(c, i, EXC_GP, 0);
}

/* --- Ends of blocks that are no instructions --- */

void soft_h_end(struct soft_cpu *c, const struct cv_insn *i)
{
	struct soft_block *b = soft_follow(c, 0, soft_next_rip(c, i));

	if (likely(b != NULL)) {
		soft_enter(c, b);
		return;
	}
	soft_leave_linked(c, 0, soft_next_rip(c, i));
}

void soft_h_stop(struct soft_cpu *c, const struct cv_insn *i)
{
	soft_leave(c, soft_next_rip(c, i));
}

/* A special block was entered: it has charged itself, and hasn't run. */
void soft_h_special(struct soft_cpu *c, const struct cv_insn *i)
{
	(void)i;
	c->budget += c->block->n;
	c->s.rip = c->block_rip;
	c->next = (struct soft_block *)c->block;
}

cv_handler *soft_pick_misc(const struct cv_insn *i)
{
	static cv_handler *const cbw[3] = {cbw16, cbw32, cbw64}, *const cwd[3] = {cwd16, cwd32, cwd64};

	switch (i->op) {
	case CV_OP_cbw: return cbw[size_index(i) - 1];
	case CV_OP_cwd: return cwd[size_index(i) - 1];
	case CV_OP_daa: return daa;
	case CV_OP_das: return das;
	case CV_OP_aaa: return aaa;
	case CV_OP_aas: return aas;
	case CV_OP_xlat: return xlat;
	case CV_OP_salc: return salc;
	case CV_OP_clc: return clc;
	case CV_OP_stc: return stc;
	case CV_OP_cmc: return cmc;
	case CV_OP_cld: return cld;
	case CV_OP_std: return std_;
	case CV_OP_lahf: return lahf;
	case CV_OP_sahf: return sahf;
	case CV_OP_nop:
	case CV_OP_pause:
	case CV_OP_prefetch: return nop;
	case CV_OP_bound: return bound;
	default: return soft_h_ud;
	}
}
