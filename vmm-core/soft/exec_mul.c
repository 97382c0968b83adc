/* SPDX-License-Identifier: MIT */
/* MUL IMUL DIV IDIV, and the decimal AAM and AAD with their division. */
#include "vmm-core/soft/exec.h"

typedef unsigned __int128 u128;
typedef __int128 s128;

#define SOURCE_r(bits, v, other) u##bits v = RM##bits;
#define SOURCE_g(bits, v, other) LOAD_g(bits, v, other)
#define SOURCE_f(bits, v, other) LOAD_f(bits, v, other)

#define A8 ((u8)c->s.gpr[CV_RAX])
#define A16 ((u16)c->s.gpr[CV_RAX])
#define A32 ((u32)c->s.gpr[CV_RAX])
#define A64 (c->s.gpr[CV_RAX])

/*
 * CF = OF = the high half means something. SF and PF are those of the low half, ZF and AF are 0: undefined, and so on
 * Intel's processors.
 */
static inline void mul_flags(struct soft_cpu *c, s64 low, bool carry)
{
	soft_flags_logic(c, low ? low : 0x100);
	c->fl.aux = (u64)carry << 63;
}

/* The double-width result: AX, or rDX:rAX. */
#define PUT_DOUBLE8(w) PUT16(CV_RAX, w)
#define PUT_DOUBLE16(w) (PUT16(CV_RAX, w), PUT16(CV_RDX, (w) >> 16))
#define PUT_DOUBLE32(w) (PUT32(CV_RAX, w), PUT32(CV_RDX, (w) >> 32))
#define PUT_DOUBLE64(w) (PUT64(CV_RAX, (u64)(w)), PUT64(CV_RDX, (u64)((w) >> 64)))
#define DOUBLE8 ((u16)c->s.gpr[CV_RAX])
#define DOUBLE16 ((u32)(u16)c->s.gpr[CV_RDX] << 16 | (u16)c->s.gpr[CV_RAX])
#define DOUBLE32 ((u64)(u32)c->s.gpr[CV_RDX] << 32 | (u32)c->s.gpr[CV_RAX])
#define DOUBLE64 ((u128)c->s.gpr[CV_RDX] << 64 | c->s.gpr[CV_RAX])
#define PUT_QR8(q, r) PUT16(CV_RAX, (u8)(q) | (u16)(u8)(r) << 8)
#define PUT_QR16(q, r) (PUT16(CV_RAX, q), PUT16(CV_RDX, r))
#define PUT_QR32(q, r) (PUT32(CV_RAX, q), PUT32(CV_RDX, r))
#define PUT_QR64(q, r) (PUT64(CV_RAX, (u64)(q)), PUT64(CV_RDX, (u64)(r)))

#define MULDIV(bits, uw, sw, ea) \
H(mul_##ea##bits) \
{ \
	SOURCE_##ea(bits, v, mul_g##bits) \
	uw w = (uw)((uw)A##bits * v); \
	PUT_DOUBLE##bits(w); \
	mul_flags(c, (s##bits)w, (w >> bits) != 0); \
	SOFT_NEXT(c, i); \
} \
H(imul_##ea##bits) \
{ \
	SOURCE_##ea(bits, v, imul_g##bits) \
	sw w = (sw)((sw)(s##bits)A##bits * (s##bits)v); \
	PUT_DOUBLE##bits(w); \
	mul_flags(c, (s##bits)w, w != (s##bits)w); \
	SOFT_NEXT(c, i); \
} \
H(div_##ea##bits) \
{ \
	SOURCE_##ea(bits, v, div_g##bits) \
	uw w = DOUBLE##bits; \
	if (v == 0 || (w >> bits) >= v) { \
		soft_raise(c, i, EXC_DE); \
		return; \
	} \
	uw q = (uw)(w / v), r = (uw)(w % v); \
	PUT_QR##bits(q, r); \
	SOFT_NEXT(c, i); \
} \
H(idiv_##ea##bits) \
{ \
	SOURCE_##ea(bits, v, idiv_g##bits) \
	sw w = (sw)DOUBLE##bits, d = (s##bits)v; \
	if (d == 0 || (d == -1 && w == (sw)((uw)1 << (2 * bits - 1)))) { \
		soft_raise(c, i, EXC_DE); \
		return; \
	} \
	sw q = (sw)(w / d), r = (sw)(w % d); \
	if (q != (s##bits)q) { \
		soft_raise(c, i, EXC_DE); \
		return; \
	} \
	PUT_QR##bits(q, r); \
	SOFT_NEXT(c, i); \
}
#define ALL_SIZES(ea) MULDIV(8, u16, s16, ea) MULDIV(16, u32, s32, ea) MULDIV(32, u64, s64, ea) MULDIV(64, u128, s128, ea)
ALL_SIZES(r)
ALL_SIZES(g)
ALL_SIZES(f)

/* Two and three operands. */
#define IMUL2(bits, sw, ea) \
H(imul2_##ea##bits) \
{ \
	SOURCE_##ea(bits, v, imul2_g##bits) \
	sw w = (sw)(s##bits)REG##bits * (s##bits)v; \
	SET_REG##bits((u##bits)w); \
	mul_flags(c, (s##bits)w, w != (s##bits)w); \
	SOFT_NEXT(c, i); \
} \
H(imul3_##ea##bits) \
{ \
	SOURCE_##ea(bits, v, imul3_g##bits) \
	sw w = (sw)(s##bits)v * (s##bits)i->imm; \
	SET_REG##bits((u##bits)w); \
	mul_flags(c, (s##bits)w, w != (s##bits)w); \
	SOFT_NEXT(c, i); \
}
IMUL2(16, s32, r) IMUL2(32, s64, r) IMUL2(64, s128, r)
IMUL2(16, s32, g) IMUL2(32, s64, g) IMUL2(64, s128, g)
IMUL2(16, s32, f) IMUL2(32, s64, f) IMUL2(64, s128, f)

H(aam)
{
	u8 al = A8, n = (u8)i->imm;

	if (n == 0) {
		soft_raise(c, i, EXC_DE);
		return;
	}
	PUT16(CV_RAX, (u16)(al / n) << 8 | al % n);
	soft_flags_logic(c, (s8)(al % n));
	SOFT_NEXT(c, i);
}

H(aad)
{
	u16 ax = A16;
	u8 add = (u8)((ax >> 8) * (u8)i->imm), al = (u8)ax, r = (u8)(al + add);

	PUT16(CV_RAX, r);
	soft_flags_add(c, al, add, r, (s8)r, 8);
	SOFT_NEXT(c, i);
}

#define FORMS(name) {SIZES(name##_r), SIZES(name##_f), SIZES(name##_g)}
#define SIZES3(name) {name##16, name##32, name##64}
#define FORMS3(name) {SIZES3(name##_r), SIZES3(name##_f), SIZES3(name##_g)}

cv_handler *soft_pick_mul(const struct cv_insn *i)
{
	static cv_handler *const table[4][3][4] = {FORMS(mul), FORMS(imul), FORMS(div), FORMS(idiv)};
	static cv_handler *const two[2][3][3] = {FORMS3(imul2), FORMS3(imul3)};
	unsigned where = i->mod == 3 ? 0 : FAST(i) ? 1 : 2;

	switch (i->op) {
	case CV_OP_mul: return table[0][where][size_index(i)];
	case CV_OP_imul: return table[1][where][size_index(i)];
	case CV_OP_div: return table[2][where][size_index(i)];
	case CV_OP_idiv: return table[3][where][size_index(i)];
	case CV_OP_imul2: return two[i->opcode != 0xaf][where][size_index(i) - 1];
	case CV_OP_aam: return aam;
	default: return aad;
	}
}
