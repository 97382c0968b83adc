/* SPDX-License-Identifier: MIT */
/*
 * SSE: packed integers in XMM registers; PTEST and CRC32 with them. Integer results have no rounding and no host
 * differences, so the host's own instruction is the definition. The MMX forms are in mmx.c.
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

/* Destination and first source a, second source b (a register, or 16 aligned bytes). */
#define OP2(name, expr) \
FP_INLINE __m128i name##_of(__m128i a, __m128i b) \
{ \
	(void)a; \
	return expr; \
} \
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

OP2(punpcklbw, _mm_unpacklo_epi8(a, b))
OP2(punpcklwd, _mm_unpacklo_epi16(a, b))
OP2(punpckldq, _mm_unpacklo_epi32(a, b))
OP2(punpckhbw, _mm_unpackhi_epi8(a, b))
OP2(punpckhwd, _mm_unpackhi_epi16(a, b))
OP2(punpckhdq, _mm_unpackhi_epi32(a, b))
OP2(packsswb, _mm_packs_epi16(a, b))
OP2(packuswb, _mm_packus_epi16(a, b))
OP2(packssdw, _mm_packs_epi32(a, b))
OP2(packusdw, _mm_packus_epi32(a, b))
OP2(pcmpgtb, _mm_cmpgt_epi8(a, b))
OP2(pcmpgtw, _mm_cmpgt_epi16(a, b))
OP2(pcmpgtd, _mm_cmpgt_epi32(a, b))
OP2(pcmpgtq, _mm_cmpgt_epi64(a, b))
OP2(pcmpeqb, _mm_cmpeq_epi8(a, b))
OP2(pcmpeqw, _mm_cmpeq_epi16(a, b))
OP2(pcmpeqd, _mm_cmpeq_epi32(a, b))
OP2(pcmpeqq, _mm_cmpeq_epi64(a, b))
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
OP2(pminuw, _mm_min_epu16(a, b))
OP2(pminud, _mm_min_epu32(a, b))
OP2(pminsb, _mm_min_epi8(a, b))
OP2(pminsw, _mm_min_epi16(a, b))
OP2(pminsd, _mm_min_epi32(a, b))
OP2(pmaxub, _mm_max_epu8(a, b))
OP2(pmaxuw, _mm_max_epu16(a, b))
OP2(pmaxud, _mm_max_epu32(a, b))
OP2(pmaxsb, _mm_max_epi8(a, b))
OP2(pmaxsw, _mm_max_epi16(a, b))
OP2(pmaxsd, _mm_max_epi32(a, b))
OP2(pavgb, _mm_avg_epu8(a, b))
OP2(pavgw, _mm_avg_epu16(a, b))
OP2(pmullw, _mm_mullo_epi16(a, b))
OP2(pmulld, _mm_mullo_epi32(a, b))
OP2(pmulhw, _mm_mulhi_epi16(a, b))
OP2(pmulhuw, _mm_mulhi_epu16(a, b))
OP2(pmulhrsw, _mm_mulhrs_epi16(a, b))
OP2(pmuludq, _mm_mul_epu32(a, b))
OP2(pmuldq, _mm_mul_epi32(a, b))
OP2(pmaddwd, _mm_madd_epi16(a, b))
OP2(pmaddubsw, _mm_maddubs_epi16(a, b))
OP2(psadbw, _mm_sad_epu8(a, b))
OP2(pshufb, _mm_shuffle_epi8(a, b))
OP2(phaddw, _mm_hadd_epi16(a, b))
OP2(phaddd, _mm_hadd_epi32(a, b))
OP2(phaddsw, _mm_hadds_epi16(a, b))
OP2(phsubw, _mm_hsub_epi16(a, b))
OP2(phsubd, _mm_hsub_epi32(a, b))
OP2(phsubsw, _mm_hsubs_epi16(a, b))
OP2(psignb, _mm_sign_epi8(a, b))
OP2(psignw, _mm_sign_epi16(a, b))
OP2(psignd, _mm_sign_epi32(a, b))
OP2(pabsb, _mm_abs_epi8(b))
OP2(pabsw, _mm_abs_epi16(b))
OP2(pabsd, _mm_abs_epi32(b))
OP2(phminposuw, _mm_minpos_epu16(b))

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

/* Bytes [at, at + 16) of 48, of which the middle 16 are v. */
FP_INLINE __m128i window(__m128i v, unsigned at)
{
	uint8_t b[48] = {0};

	memcpy(b + 16, &v, 16);
	memcpy(&v, b + at, 16);
	return v;
}
FP_HANDLER(psrldq_i_r)
{
	unsigned n = i->imm > 16 ? 16 : (unsigned)i->imm;

	FP_SSE();
	fp_set_xmm(c, i->rm, window(fp_xmm(c, i->rm), 16 + n));
	return true;
}
FP_HANDLER(pslldq_i_r)
{
	unsigned n = i->imm > 16 ? 16 : (unsigned)i->imm;

	FP_SSE();
	fp_set_xmm(c, i->rm, window(fp_xmm(c, i->rm), 16 - n));
	return true;
}

static __m128i align(__m128i a, __m128i b, uint64_t imm)
{
	uint8_t v[48] = {0};

	if (imm > 32)
		imm = 32;
	memcpy(v, &b, 16);
	memcpy(v + 16, &a, 16);
	memcpy(&a, v + imm, 16);
	return a;
}
FP_HANDLER(palignr_r)
{
	FP_SSE();
	fp_set_xmm(c, i->reg, align(fp_xmm(c, i->reg), fp_xmm(c, i->rm), i->imm));
	return true;
}
FP_HANDLER(palignr_m)
{
	FP_SSE();
	FP_LOAD128A(v);
	fp_set_xmm(c, i->reg, align(fp_xmm(c, i->reg), v, i->imm));
	return true;
}

static __m128i sums(__m128i a, __m128i b, uint64_t imm)
{
	switch (imm & 7) {
	case 0: return _mm_mpsadbw_epu8(a, b, 0);
	case 1: return _mm_mpsadbw_epu8(a, b, 1);
	case 2: return _mm_mpsadbw_epu8(a, b, 2);
	case 3: return _mm_mpsadbw_epu8(a, b, 3);
	case 4: return _mm_mpsadbw_epu8(a, b, 4);
	case 5: return _mm_mpsadbw_epu8(a, b, 5);
	case 6: return _mm_mpsadbw_epu8(a, b, 6);
	default: return _mm_mpsadbw_epu8(a, b, 7);
	}
}
FP_HANDLER(mpsadbw_r)
{
	FP_SSE();
	fp_set_xmm(c, i->reg, sums(fp_xmm(c, i->reg), fp_xmm(c, i->rm), i->imm));
	return true;
}
FP_HANDLER(mpsadbw_m)
{
	FP_SSE();
	FP_LOAD128A(v);
	fp_set_xmm(c, i->reg, sums(fp_xmm(c, i->reg), v, i->imm));
	return true;
}

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
