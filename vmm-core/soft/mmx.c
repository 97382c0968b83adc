/* SPDX-License-Identifier: MIT */
/*
 * MMX: the 64-bit forms of the packed integer operations, SSE's and SSSE3's additions to them included, and the moves.
 *
 * An MMX register is the significand of an x87 register. Every instruction here makes the x87 stack full (EMMS:
 * empty) with TOP = 0, when it succeeds. Operations whose low 64 result bits depend on the low 64 operand bits alone run as the XMM
 * operation; the others arrange their operands first.
 */
#ifndef __clang__
#pragma GCC target("sse4.2")
#endif
#include <immintrin.h>

#define SOFT_CORE 1
#include "vmm-core/soft/fp.h"

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("sse4.2"))), apply_to = function)
#endif

FP_INLINE void put(struct soft_cpu *c, unsigned n, __m128i v)
{
	fp_mmx_enter(c);
	fp_set_mm(c, n, fp_low64(v));
}

#define OP2_BITS(name, bits, expr) \
FP_INLINE __m128i name##_of(__m128i a, __m128i b) \
{ \
	(void)a; \
	return expr; \
} \
FP_HANDLER(name##_qr) \
{ \
	FP_MMX(); \
	put(c, i->reg, name##_of(fp_from64(fp_mm(c, i->reg)), fp_from64(fp_mm(c, i->rm)))); \
	return true; \
} \
FP_HANDLER(name##_qm) \
{ \
	FP_MMX(); \
	FP_LOAD(bits, v); \
	put(c, i->reg, name##_of(fp_from64(fp_mm(c, i->reg)), fp_from64(v))); \
	return true; \
}
#define OP2(name, expr) OP2_BITS(name, 64, expr)
/* a and b side by side: for operations that take their low result half from a and their high half from b. */
#define AB _mm_unpacklo_epi64(a, b)
#define HIGH(v) _mm_unpackhi_epi64((v), (v))

OP2_BITS(punpcklbw, 32, _mm_unpacklo_epi8(a, b))
OP2_BITS(punpcklwd, 32, _mm_unpacklo_epi16(a, b))
OP2_BITS(punpckldq, 32, _mm_unpacklo_epi32(a, b))
OP2(punpckhbw, HIGH(_mm_unpacklo_epi8(a, b)))
OP2(punpckhwd, HIGH(_mm_unpacklo_epi16(a, b)))
OP2(punpckhdq, HIGH(_mm_unpacklo_epi32(a, b)))
OP2(packsswb, _mm_packs_epi16(AB, AB))
OP2(packuswb, _mm_packus_epi16(AB, AB))
OP2(packssdw, _mm_packs_epi32(AB, AB))
OP2(pcmpgtb, _mm_cmpgt_epi8(a, b))
OP2(pcmpgtw, _mm_cmpgt_epi16(a, b))
OP2(pcmpgtd, _mm_cmpgt_epi32(a, b))
OP2(pcmpeqb, _mm_cmpeq_epi8(a, b))
OP2(pcmpeqw, _mm_cmpeq_epi16(a, b))
OP2(pcmpeqd, _mm_cmpeq_epi32(a, b))
OP2(psrlw, _mm_srl_epi16(a, b))
OP2(psrld, _mm_srl_epi32(a, b))
OP2(psrlq, _mm_srl_epi64(a, b))
OP2(psraw, _mm_sra_epi16(a, b))
OP2(psrad, _mm_sra_epi32(a, b))
OP2(psllw, _mm_sll_epi16(a, b))
OP2(pslld, _mm_sll_epi32(a, b))
OP2(psllq, _mm_sll_epi64(a, b))
OP2(paddb, _mm_add_epi8(a, b))
OP2(paddw, _mm_add_epi16(a, b))
OP2(paddd, _mm_add_epi32(a, b))
OP2(paddq, _mm_add_epi64(a, b))
OP2(paddsb, _mm_adds_epi8(a, b))
OP2(paddsw, _mm_adds_epi16(a, b))
OP2(paddusb, _mm_adds_epu8(a, b))
OP2(paddusw, _mm_adds_epu16(a, b))
OP2(psubb, _mm_sub_epi8(a, b))
OP2(psubw, _mm_sub_epi16(a, b))
OP2(psubd, _mm_sub_epi32(a, b))
OP2(psubq, _mm_sub_epi64(a, b))
OP2(psubsb, _mm_subs_epi8(a, b))
OP2(psubsw, _mm_subs_epi16(a, b))
OP2(psubusb, _mm_subs_epu8(a, b))
OP2(psubusw, _mm_subs_epu16(a, b))
OP2(pand, _mm_and_si128(a, b))
OP2(pandn, _mm_andnot_si128(a, b))
OP2(por, _mm_or_si128(a, b))
OP2(pxor, _mm_xor_si128(a, b))
OP2(pminub, _mm_min_epu8(a, b))
OP2(pmaxub, _mm_max_epu8(a, b))
OP2(pminsw, _mm_min_epi16(a, b))
OP2(pmaxsw, _mm_max_epi16(a, b))
OP2(pavgb, _mm_avg_epu8(a, b))
OP2(pavgw, _mm_avg_epu16(a, b))
OP2(pmullw, _mm_mullo_epi16(a, b))
OP2(pmulhw, _mm_mulhi_epi16(a, b))
OP2(pmulhuw, _mm_mulhi_epu16(a, b))
OP2(pmulhrsw, _mm_mulhrs_epi16(a, b))
OP2(pmuludq, _mm_mul_epu32(a, b))
OP2(pmaddwd, _mm_madd_epi16(a, b))
OP2(pmaddubsw, _mm_maddubs_epi16(a, b))
OP2(psadbw, _mm_sad_epu8(a, b))
/* Bits 2:0 of an index count, and bit 7. */
OP2(pshufb, _mm_shuffle_epi8(a, _mm_and_si128(b, _mm_set1_epi8((char)0x87))))
OP2(phaddw, _mm_hadd_epi16(AB, AB))
OP2(phaddd, _mm_hadd_epi32(AB, AB))
OP2(phaddsw, _mm_hadds_epi16(AB, AB))
OP2(phsubw, _mm_hsub_epi16(AB, AB))
OP2(phsubd, _mm_hsub_epi32(AB, AB))
OP2(phsubsw, _mm_hsubs_epi16(AB, AB))
OP2(psignb, _mm_sign_epi8(a, b))
OP2(psignw, _mm_sign_epi16(a, b))
OP2(psignd, _mm_sign_epi32(a, b))
OP2(pabsb, _mm_abs_epi8(b))
OP2(pabsw, _mm_abs_epi16(b))
OP2(pabsd, _mm_abs_epi32(b))

#define SHIFT(name, intrinsic) \
FP_HANDLER(name##_i_qr) \
{ \
	FP_MMX(); \
	put(c, i->rm, intrinsic(fp_from64(fp_mm(c, i->rm)), fp_from64(i->imm & 0xff))); \
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

/* --- Moves --- */

FP_HANDLER(movd_mm_r)
{
	uint64_t v = c->s.gpr[i->rm];

	FP_MMX();
	fp_mmx_enter(c);
	fp_set_mm(c, i->reg, i->rex & 8 ? v : (uint32_t)v);
	return true;
}
FP_HANDLER(movd_mm_m)
{
	FP_MMX();
	if (i->rex & 8) {
		FP_LOAD(64, v);
		put(c, i->reg, fp_from64(v));
	} else {
		FP_LOAD(32, v);
		put(c, i->reg, fp_from64(v));
	}
	return true;
}
FP_HANDLER(movd_mm_st_r)
{
	FP_MMX();
	fp_mmx_enter(c);
	fp_set_gpr(c, i, i->rm, fp_mm(c, i->reg));
	return true;
}
FP_INLINE int store_mm(struct soft_cpu *c, const struct cv_insn *i, unsigned n, const bool slow)
{
	int how = fp_store(c, i, fp_mm(c, i->reg), n, slow);

	/* Processors set TOP before they store, the tags afterwards: a store that faults leaves the former behind. */
	if (how == FP_GO)
		fp_mmx_enter(c);
	else if (slow && c->fault.vector != SOFT_RESTART)
		c->s.x87.fsw &= (uint16_t)~FSW_TOP;
	return how;
}
FP_HANDLER(movd_mm_st_m)
{
	FP_MMX();
	return store_mm(c, i, i->rex & 8 ? 8 : 4, slow);
}
FP_HANDLER(movq_mm_r)
{
	FP_MMX();
	fp_mmx_enter(c);
	fp_set_mm(c, i->reg, fp_mm(c, i->rm));
	return true;
}
FP_HANDLER(movq_mm_m)
{
	FP_MMX();
	FP_LOAD(64, v);
	put(c, i->reg, fp_from64(v));
	return true;
}
FP_HANDLER(movq_mm_st_r)
{
	FP_MMX();
	fp_mmx_enter(c);
	fp_set_mm(c, i->rm, fp_mm(c, i->reg));
	return true;
}
FP_HANDLER(movq_mm_st_m)
{
	FP_MMX();
	return store_mm(c, i, 8, slow);
}
FP_HANDLER(movntq_m)
{
	FP_MMX();
	return store_mm(c, i, 8, slow);
}
/* Between MMX and XMM registers: both sets of checks. */
FP_HANDLER(movq2dq_r)
{
	FP_SSE();
	FP_MMX();
	fp_mmx_enter(c);
	fp_set_xmm(c, i->reg, fp_from64(fp_mm(c, i->rm)));
	return true;
}
FP_HANDLER(movdq2q_r)
{
	FP_SSE();
	FP_MMX();
	fp_mmx_enter(c);
	fp_set_mm(c, i->reg, c->s.ymm[i->rm][0]);
	return true;
}
FP_HANDLER(pmovmskb_qr)
{
	FP_MMX();
	fp_mmx_enter(c);
	c->s.gpr[i->reg] = (unsigned)_mm_movemask_epi8(fp_from64(fp_mm(c, i->rm)));
	return true;
}
FP_HANDLER(maskmovdqu_qr)
{
	unsigned mask;

	FP_MMX();
	mask = (unsigned)_mm_movemask_epi8(fp_from64(fp_mm(c, i->rm)));
	if (!fp_masked_store(c, i, fp_from64(fp_mm(c, i->reg)), mask)) {
		if (c->fault.vector != SOFT_RESTART)
			fp_mmx_enter(c);
		return false;
	}
	fp_mmx_enter(c);
	return true;
}

/* --- Shuffles, inserts --- */

FP_INLINE __m128i shuffle(uint64_t v, uint64_t imm)
{
	uint64_t r = 0;

	for (unsigned k = 0; k < 4; k++)
		r |= ((v >> (16 * ((imm >> (2 * k)) & 3))) & 0xffff) << (16 * k);
	return fp_from64(r);
}
FP_HANDLER(pshufw_r)
{
	FP_MMX();
	put(c, i->reg, shuffle(fp_mm(c, i->rm), i->imm));
	return true;
}
FP_HANDLER(pshufw_m)
{
	FP_MMX();
	FP_LOAD(64, v);
	put(c, i->reg, shuffle(v, i->imm));
	return true;
}
FP_INLINE __m128i insert(uint64_t a, uint64_t v, uint64_t imm)
{
	unsigned at = 16 * (imm & 3);

	return fp_from64((a & ~(0xffffull << at)) | (v & 0xffff) << at);
}
FP_HANDLER(pinsrw_qr)
{
	FP_MMX();
	put(c, i->reg, insert(fp_mm(c, i->reg), c->s.gpr[i->rm], i->imm));
	return true;
}
FP_HANDLER(pinsrw_qm)
{
	FP_MMX();
	FP_LOAD(16, v);
	put(c, i->reg, insert(fp_mm(c, i->reg), v, i->imm));
	return true;
}
FP_HANDLER(pextrw_qr)
{
	FP_MMX();
	fp_mmx_enter(c);
	c->s.gpr[i->reg] = (fp_mm(c, i->rm) >> (16 * (i->imm & 3))) & 0xffff;
	return true;
}
FP_INLINE __m128i align(uint64_t a, uint64_t b, uint64_t imm)
{
	if (imm >= 16)
		return fp_from64(0);
	if (imm >= 8)
		return fp_from64(a >> (8 * (imm - 8)));
	return fp_from64(imm ? b >> (8 * imm) | a << (64 - 8 * imm) : b);
}
FP_HANDLER(palignr_qr)
{
	FP_MMX();
	put(c, i->reg, align(fp_mm(c, i->reg), fp_mm(c, i->rm), i->imm));
	return true;
}
FP_HANDLER(palignr_qm)
{
	FP_MMX();
	FP_LOAD(64, v);
	put(c, i->reg, align(fp_mm(c, i->reg), v, i->imm));
	return true;
}

FP_HANDLER(emms_r)
{
	FP_MMX();
	fp_mmx_enter(c);
	c->s.x87.ftw = 0;
	return true;
}

#ifdef __clang__
#pragma clang attribute pop
#endif
