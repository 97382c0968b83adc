/* SPDX-License-Identifier: MIT */
/* XCHG XADD CMPXCHG CMPXCHG8B CMPXCHG16B. One virtual CPU: every one of them is atomic as it is. */
#include "vmm-core/soft/exec.h"

#define XCHG(bits) \
H(xchg_r##bits) { u##bits a = RM##bits, b = REG##bits; SET_RM##bits(b); SET_REG##bits(a); SOFT_NEXT(c, i); } \
H(xchg_a##bits) { u##bits a = (u##bits)c->s.gpr[CV_RAX], b = REG##bits; SET_A##bits(b); SET_REG##bits(a); SOFT_NEXT(c, i); } \
H(xadd_r##bits) \
{ \
	u##bits a = RM##bits, b = REG##bits, r = (u##bits)(a + b); \
	soft_flags_add(c, a, b, r, (s##bits)r, bits); \
	SET_REG##bits(a); \
	SET_RM##bits(r); \
	SOFT_NEXT(c, i); \
} \
H(cmpxchg_r##bits) \
{ \
	u##bits a = (u##bits)c->s.gpr[CV_RAX], m = RM##bits, r = (u##bits)(a - m); \
	soft_flags_sub(c, a, m, r, (s##bits)r, bits); \
	if (r == 0) \
		SET_RM##bits(REG##bits); \
	else \
		SET_A##bits(m); \
	SOFT_NEXT(c, i); \
} \
XCHG_MEM(bits, g) XCHG_MEM(bits, f)
#define XCHG_MEM(bits, ea) \
H(xchg_##ea##bits) \
{ \
	MODIFY_##ea(bits, a, xchg_g##bits) \
	WRITEBACK_##ea(bits, REG##bits); \
	SET_REG##bits(a); \
	SOFT_NEXT(c, i); \
} \
H(xadd_##ea##bits) \
{ \
	MODIFY_##ea(bits, a, xadd_g##bits) \
	u##bits b = REG##bits, r = (u##bits)(a + b); \
	WRITEBACK_##ea(bits, r); \
	soft_flags_add(c, a, b, r, (s##bits)r, bits); \
	SET_REG##bits(a); \
	SOFT_NEXT(c, i); \
} \
H(cmpxchg_##ea##bits) \
{ \
	MODIFY_##ea(bits, m, cmpxchg_g##bits) \
	u##bits a = (u##bits)c->s.gpr[CV_RAX], r = (u##bits)(a - m); \
	soft_flags_sub(c, a, m, r, (s##bits)r, bits); \
	WRITEBACK_##ea(bits, r == 0 ? REG##bits : m); \
	if (r != 0) \
		SET_A##bits(m); \
	SOFT_NEXT(c, i); \
}
XCHG(8) XCHG(16) XCHG(32) XCHG(64)

static void set_zf(struct soft_cpu *c, bool zf)
{
	u64 f = soft_get_rflags(c) & CV_FLAGS_ARITH & ~(u64)CV_FLAG_ZF;

	soft_set_arith(c, f | (zf ? CV_FLAG_ZF : 0));
}

H(cmpxchg8b)
{
	MODIFY_g(64, m, 0)
	u64 a = (u64)(u32)c->s.gpr[CV_RDX] << 32 | (u32)c->s.gpr[CV_RAX];
	u64 b = (u64)(u32)c->s.gpr[CV_RCX] << 32 | (u32)c->s.gpr[CV_RBX];

	WRITEBACK_g(64, a == m ? b : m);
	if (a != m) {
		PUT32(CV_RAX, m);
		PUT32(CV_RDX, m >> 32);
	}
	set_zf(c, a == m);
	SOFT_NEXT(c, i);
}

/* 16 aligned bytes never cross a page: when the store to the first half may proceed, so may the second's. */
H(cmpxchg16b)
{
	/* In 64-bit mode alignment comes before canonical form. */
	u64 la = soft_ea(c, i) + (i->seg >= CV_FS ? c->s.seg[i->seg].base : 0);

	if (la & 15) {
		soft_raise_error(c, i, EXC_GP, 0);
		return;
	}
	if (!soft_any_ea(c, i, 16, true))
		return;
	SOFT_MODIFY(64, low, hp_low, la, i->seg)
	SOFT_MODIFY(64, high, hp_high, la + 8, i->seg)
	bool equal = low == c->s.gpr[CV_RAX] && high == c->s.gpr[CV_RDX];

	SOFT_WRITEBACK(64, equal ? c->s.gpr[CV_RBX] : low, hp_low, la, i->seg);
	SOFT_WRITEBACK(64, equal ? c->s.gpr[CV_RCX] : high, hp_high, la + 8, i->seg);
	if (!equal) {
		c->s.gpr[CV_RAX] = low;
		c->s.gpr[CV_RDX] = high;
	}
	set_zf(c, equal);
	SOFT_NEXT(c, i);
}

#define FORMS(name) {SIZES(name##_r), SIZES(name##_f), SIZES(name##_g)}

cv_handler *soft_pick_xchg(const struct cv_insn *i)
{
	static cv_handler *const table[3][3][4] = {FORMS(xchg), FORMS(xadd), FORMS(cmpxchg)};
	static cv_handler *const accumulator[4] = SIZES(xchg_a);
	unsigned where = i->mod == 3 ? 0 : FAST(i) ? 1 : 2;

	switch (i->op) {
	case CV_OP_xchg:
		if (i->opcode >= 0x90)
			return accumulator[size_index(i)];
		return table[0][where][size_index(i)];
	case CV_OP_xadd: return table[1][where][size_index(i)];
	case CV_OP_cmpxchg: return table[2][where][size_index(i)];
	case CV_OP_cmpxchg8b: return cmpxchg8b;
	default: return cmpxchg16b;
	}
}
