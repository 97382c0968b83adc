/* SPDX-License-Identifier: MIT */
/*
 * SSE: packed integers in XMM registers; PTEST and CRC32 with them. What they compute is in sse_ops.h. The MMX forms are in
 * mmx.c.
 */
#ifndef __clang__
#pragma GCC target("sse4.2")
#endif
#define SOFT_CORE 1
#include "vmm-core/soft/sse_ops.h"

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("sse4.2"))), apply_to = function)
#endif

/* Destination and first source a, second source b (a register, or 16 aligned bytes). */
#define OP2(name, expr) \
FP_HANDLER(name##_r) \
{ \
	FP_SSE(); \
	fp_set_xmm(c, i->reg, name##_of(fp_xmm(c, i->reg), fp_xmm(c, i->rm))); \
	return true; \
} \
FP_HANDLER(name##_m) \
{ \
	FP_SSE(); \
	FP_LOAD128A(v); \
	fp_set_xmm(c, i->reg, name##_of(fp_xmm(c, i->reg), v)); \
	return true; \
}

SSE_INTEGER_OPS(OP2)
SSE_SHIFT_OPS(OP2)
SSE_UNARY_OPS(OP2)

/* Shifts of a register by an immediate: counts of the element's width and more give what the register form gives. */
#define SHIFT(name, intrinsic) \
FP_HANDLER(name##_i_r) \
{ \
	FP_SSE(); \
	fp_set_xmm(c, i->rm, intrinsic(fp_xmm(c, i->rm), fp_from64(i->imm & 0xff))); \
	return true; \
}
SHIFT(psrlw, _mm_srl_epi16)
SHIFT(psrld, _mm_srl_epi32)
SHIFT(psrlq, _mm_srl_epi64)
SHIFT(psraw, _mm_sra_epi16)
SHIFT(psrad, _mm_sra_epi32)
SHIFT(psllw, _mm_sll_epi16)
SHIFT(pslld, _mm_sll_epi32)
SHIFT(psllq, _mm_sll_epi64)

#define SHIFT_BYTES(name) \
FP_HANDLER(name##_i_r) \
{ \
	FP_SSE(); \
	fp_set_xmm(c, i->rm, name##_of(fp_xmm(c, i->rm), i->imm)); \
	return true; \
}
SHIFT_BYTES(psrldq)
SHIFT_BYTES(pslldq)

#define OP2_IMM(name) \
FP_HANDLER(name##_r) \
{ \
	FP_SSE(); \
	fp_set_xmm(c, i->reg, name##_of(fp_xmm(c, i->reg), fp_xmm(c, i->rm), i->imm)); \
	return true; \
} \
FP_HANDLER(name##_m) \
{ \
	FP_SSE(); \
	FP_LOAD128A(v); \
	fp_set_xmm(c, i->reg, name##_of(fp_xmm(c, i->reg), v, i->imm)); \
	return true; \
}
OP2_IMM(palignr)
OP2_IMM(mpsadbw)

FP_HANDLER(pmovmskb_r)
{
	FP_SSE();
	c->s.gpr[i->reg] = (unsigned)_mm_movemask_epi8(fp_xmm(c, i->rm));
	return true;
}

FP_HANDLER(maskmovdqu_r)
{
	FP_SSE();
	return fp_masked_store(c, i, fp_xmm(c, i->reg), (unsigned)_mm_movemask_epi8(fp_xmm(c, i->rm)));
}

/* ZF: b has no bit in a; CF: b has no bit outside a. */
FP_INLINE void test_bits(struct soft_cpu *c, __m128i a, __m128i b)
{
	soft_set_arith(c, (_mm_testz_si128(a, b) ? CV_FLAG_ZF : 0) | (_mm_testc_si128(a, b) ? CV_FLAG_CF : 0));
}
FP_HANDLER(ptest_r)
{
	FP_SSE();
	test_bits(c, fp_xmm(c, i->reg), fp_xmm(c, i->rm));
	return true;
}
FP_HANDLER(ptest_m)
{
	FP_SSE();
	FP_LOAD128A(v);
	test_bits(c, fp_xmm(c, i->reg), v);
	return true;
}

/* --- CRC32: general registers only, no SSE state --- */

FP_INLINE uint64_t crc32c(uint64_t crc, uint64_t v, unsigned bytes)
{
	switch (bytes) {
	case 1: return _mm_crc32_u8((uint32_t)crc, (uint8_t)v);
	case 2: return _mm_crc32_u16((uint32_t)crc, (uint16_t)v);
	case 4: return _mm_crc32_u32((uint32_t)crc, (uint32_t)v);
	default: return _mm_crc32_u64((uint32_t)crc, v);
	}
}
FP_HANDLER(crc32_b_r)
{
	uint64_t v = c->s.gpr[i->rm] >> (i->flags & CV_INSN_HIGH_RM ? 8 : 0);

	c->s.gpr[i->reg] = crc32c(c->s.gpr[i->reg], v, 1);
	return true;
}
FP_HANDLER(crc32_b_m)
{
	FP_LOAD(8, v);
	c->s.gpr[i->reg] = crc32c(c->s.gpr[i->reg], v, 1);
	return true;
}
FP_HANDLER(crc32_r)
{
	c->s.gpr[i->reg] = crc32c(c->s.gpr[i->reg], c->s.gpr[i->rm], i->osize);
	return true;
}
FP_HANDLER(crc32_m)
{
	if (i->osize == 8) {
		FP_LOAD(64, v);
		c->s.gpr[i->reg] = crc32c(c->s.gpr[i->reg], v, 8);
	} else if (i->osize == 4) {
		FP_LOAD(32, v);
		c->s.gpr[i->reg] = crc32c(c->s.gpr[i->reg], v, 4);
	} else {
		FP_LOAD(16, v);
		c->s.gpr[i->reg] = crc32c(c->s.gpr[i->reg], v, 2);
	}
	return true;
}

#ifdef __clang__
#pragma clang attribute pop
#endif
