/* SPDX-License-Identifier: MIT */
/*
 * What the packed operations compute, on one 128-bit lane: the definition that SSE's handlers (sse_int.c, sse_mov.c) and AVX's
 * (avx_*.c) share. a is the first source, b the second; nothing here knows registers or memory.
 *
 * Integer results have no rounding and no host differences, so the host's own instruction is the definition. A file that includes
 * this compiles for SSE4.2 from its first line on.
 */
#ifndef CV_SOFT_SSE_OPS_H
#define CV_SOFT_SSE_OPS_H

#include <immintrin.h>

#include "vmm-core/soft/fp.h"

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("sse4.2"))), apply_to = function)
#endif

FP_INLINE __m128 ps(__m128i v)
{
	return _mm_castsi128_ps(v);
}
FP_INLINE __m128d pd(__m128i v)
{
	return _mm_castsi128_pd(v);
}

/* --- X(name, expression of a and b) --- */

/* Packed integers. */
#define SSE_INTEGER_OPS(X) \
	X(punpcklbw, _mm_unpacklo_epi8(a, b)) \
	X(punpcklwd, _mm_unpacklo_epi16(a, b)) \
	X(punpckldq, _mm_unpacklo_epi32(a, b)) \
	X(punpckhbw, _mm_unpackhi_epi8(a, b)) \
	X(punpckhwd, _mm_unpackhi_epi16(a, b)) \
	X(punpckhdq, _mm_unpackhi_epi32(a, b)) \
	X(packsswb, _mm_packs_epi16(a, b)) \
	X(packuswb, _mm_packus_epi16(a, b)) \
	X(packssdw, _mm_packs_epi32(a, b)) \
	X(packusdw, _mm_packus_epi32(a, b)) \
	X(pcmpgtb, _mm_cmpgt_epi8(a, b)) \
	X(pcmpgtw, _mm_cmpgt_epi16(a, b)) \
	X(pcmpgtd, _mm_cmpgt_epi32(a, b)) \
	X(pcmpgtq, _mm_cmpgt_epi64(a, b)) \
	X(pcmpeqb, _mm_cmpeq_epi8(a, b)) \
	X(pcmpeqw, _mm_cmpeq_epi16(a, b)) \
	X(pcmpeqd, _mm_cmpeq_epi32(a, b)) \
	X(pcmpeqq, _mm_cmpeq_epi64(a, b)) \
	X(paddb, _mm_add_epi8(a, b)) \
	X(paddw, _mm_add_epi16(a, b)) \
	X(paddd, _mm_add_epi32(a, b)) \
	X(paddq, _mm_add_epi64(a, b)) \
	X(paddsb, _mm_adds_epi8(a, b)) \
	X(paddsw, _mm_adds_epi16(a, b)) \
	X(paddusb, _mm_adds_epu8(a, b)) \
	X(paddusw, _mm_adds_epu16(a, b)) \
	X(psubb, _mm_sub_epi8(a, b)) \
	X(psubw, _mm_sub_epi16(a, b)) \
	X(psubd, _mm_sub_epi32(a, b)) \
	X(psubq, _mm_sub_epi64(a, b)) \
	X(psubsb, _mm_subs_epi8(a, b)) \
	X(psubsw, _mm_subs_epi16(a, b)) \
	X(psubusb, _mm_subs_epu8(a, b)) \
	X(psubusw, _mm_subs_epu16(a, b)) \
	X(pand, _mm_and_si128(a, b)) \
	X(pandn, _mm_andnot_si128(a, b)) \
	X(por, _mm_or_si128(a, b)) \
	X(pxor, _mm_xor_si128(a, b)) \
	X(pminub, _mm_min_epu8(a, b)) \
	X(pminuw, _mm_min_epu16(a, b)) \
	X(pminud, _mm_min_epu32(a, b)) \
	X(pminsb, _mm_min_epi8(a, b)) \
	X(pminsw, _mm_min_epi16(a, b)) \
	X(pminsd, _mm_min_epi32(a, b)) \
	X(pmaxub, _mm_max_epu8(a, b)) \
	X(pmaxuw, _mm_max_epu16(a, b)) \
	X(pmaxud, _mm_max_epu32(a, b)) \
	X(pmaxsb, _mm_max_epi8(a, b)) \
	X(pmaxsw, _mm_max_epi16(a, b)) \
	X(pmaxsd, _mm_max_epi32(a, b)) \
	X(pavgb, _mm_avg_epu8(a, b)) \
	X(pavgw, _mm_avg_epu16(a, b)) \
	X(pmullw, _mm_mullo_epi16(a, b)) \
	X(pmulld, _mm_mullo_epi32(a, b)) \
	X(pmulhw, _mm_mulhi_epi16(a, b)) \
	X(pmulhuw, _mm_mulhi_epu16(a, b)) \
	X(pmulhrsw, _mm_mulhrs_epi16(a, b)) \
	X(pmuludq, _mm_mul_epu32(a, b)) \
	X(pmuldq, _mm_mul_epi32(a, b)) \
	X(pmaddwd, _mm_madd_epi16(a, b)) \
	X(pmaddubsw, _mm_maddubs_epi16(a, b)) \
	X(psadbw, _mm_sad_epu8(a, b)) \
	X(pshufb, _mm_shuffle_epi8(a, b)) \
	X(phaddw, _mm_hadd_epi16(a, b)) \
	X(phaddd, _mm_hadd_epi32(a, b)) \
	X(phaddsw, _mm_hadds_epi16(a, b)) \
	X(phsubw, _mm_hsub_epi16(a, b)) \
	X(phsubd, _mm_hsub_epi32(a, b)) \
	X(phsubsw, _mm_hsubs_epi16(a, b)) \
	X(psignb, _mm_sign_epi8(a, b)) \
	X(psignw, _mm_sign_epi16(a, b)) \
	X(psignd, _mm_sign_epi32(a, b))

/* Shifts: the count is the low quadword of b. */
#define SSE_SHIFT_OPS(X) \
	X(psrlw, _mm_srl_epi16(a, b)) \
	X(psrld, _mm_srl_epi32(a, b)) \
	X(psrlq, _mm_srl_epi64(a, b)) \
	X(psraw, _mm_sra_epi16(a, b)) \
	X(psrad, _mm_sra_epi32(a, b)) \
	X(psllw, _mm_sll_epi16(a, b)) \
	X(pslld, _mm_sll_epi32(a, b)) \
	X(psllq, _mm_sll_epi64(a, b))

/* Bits and interleaving as the floating-point instructions have them. */
#define SSE_BIT_OPS(X) \
	X(andps, _mm_and_si128(a, b)) \
	X(andnps, _mm_andnot_si128(a, b)) \
	X(orps, _mm_or_si128(a, b)) \
	X(xorps, _mm_xor_si128(a, b)) \
	X(unpcklps, _mm_unpacklo_epi32(a, b)) \
	X(unpckhps, _mm_unpackhi_epi32(a, b)) \
	X(unpcklpd, _mm_unpacklo_epi64(a, b)) \
	X(unpckhpd, _mm_unpackhi_epi64(a, b)) \
	X(punpcklqdq, _mm_unpacklo_epi64(a, b)) \
	X(punpckhqdq, _mm_unpackhi_epi64(a, b))

/* One source. */
#define SSE_UNARY_OPS(X) \
	X(pabsb, _mm_abs_epi8(b)) \
	X(pabsw, _mm_abs_epi16(b)) \
	X(pabsd, _mm_abs_epi32(b)) \
	X(phminposuw, _mm_minpos_epu16(b))
#define SSE_DUP_OPS(X) \
	X(movsldup, _mm_shuffle_epi32(b, 0xa0)) \
	X(movshdup, _mm_shuffle_epi32(b, 0xf5))

/* Widening: X(name, bits of source that make a lane, intrinsic). */
#define SSE_WIDEN_OPS(X) \
	X(pmovsxbw, 64, _mm_cvtepi8_epi16) \
	X(pmovsxbd, 32, _mm_cvtepi8_epi32) \
	X(pmovsxbq, 16, _mm_cvtepi8_epi64) \
	X(pmovsxwd, 64, _mm_cvtepi16_epi32) \
	X(pmovsxwq, 32, _mm_cvtepi16_epi64) \
	X(pmovsxdq, 64, _mm_cvtepi32_epi64) \
	X(pmovzxbw, 64, _mm_cvtepu8_epi16) \
	X(pmovzxbd, 32, _mm_cvtepu8_epi32) \
	X(pmovzxbq, 16, _mm_cvtepu8_epi64) \
	X(pmovzxwd, 64, _mm_cvtepu16_epi32) \
	X(pmovzxwq, 32, _mm_cvtepu16_epi64) \
	X(pmovzxdq, 64, _mm_cvtepu32_epi64)

#define SSE_DEFINE(name, expr) \
FP_INLINE __m128i name##_of(__m128i a, __m128i b) \
{ \
	(void)a; \
	return expr; \
}
SSE_INTEGER_OPS(SSE_DEFINE)
SSE_SHIFT_OPS(SSE_DEFINE)
SSE_BIT_OPS(SSE_DEFINE)
SSE_DUP_OPS(SSE_DEFINE)
SSE_UNARY_OPS(SSE_DEFINE)
#undef SSE_DEFINE

/* --- With an immediate --- */

/* The control of a shuffle is four 2-bit selectors, applied by the general byte shuffle. */
FP_INLINE unsigned sel(uint64_t imm, unsigned k)
{
	return (unsigned)(imm >> (2 * k)) & 3;
}
FP_INLINE __m128i shuffle_dwords(__m128i v, uint64_t imm)
{
	static const int bytes[4] = {0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c}; /* of each doubleword */

	return _mm_shuffle_epi8(v, _mm_setr_epi32(bytes[sel(imm, 0)], bytes[sel(imm, 1)], bytes[sel(imm, 2)],
						  bytes[sel(imm, 3)]));
}
FP_INLINE uint64_t shuffle_words(uint64_t v, uint64_t imm)
{
	uint64_t r = 0;

	for (unsigned k = 0; k < 4; k++)
		r |= ((v >> (16 * sel(imm, k))) & 0xffff) << (16 * k);
	return r;
}
static inline __m128i pshufd_of(__m128i a, __m128i b, uint64_t imm)
{
	(void)a;
	return shuffle_dwords(b, imm);
}
static inline __m128i pshufhw_of(__m128i a, __m128i b, uint64_t imm)
{
	(void)a;
	return _mm_set_epi64x((long long)shuffle_words((uint64_t)_mm_extract_epi64(b, 1), imm), (long long)fp_low64(b));
}
static inline __m128i pshuflw_of(__m128i a, __m128i b, uint64_t imm)
{
	(void)a;
	return _mm_set_epi64x(_mm_extract_epi64(b, 1), (long long)shuffle_words(fp_low64(b), imm));
}
static inline __m128i shufps_of(__m128i a, __m128i b, uint64_t imm)
{
	return _mm_unpacklo_epi64(shuffle_dwords(a, imm), shuffle_dwords(b, imm >> 4));
}
static inline __m128i shufpd_of(__m128i a, __m128i b, uint64_t imm)
{
	__m128i lo = imm & 1 ? _mm_unpackhi_epi64(a, a) : a, hi = imm & 2 ? _mm_unpackhi_epi64(b, b) : b;

	return _mm_unpacklo_epi64(lo, hi);
}
/* Bit k of imm picks the source for element k. */
FP_INLINE __m128i blend(__m128i a, __m128i b, uint64_t imm, unsigned elements)
{
	unsigned bytes = 16 / elements;
	uint8_t x[16], y[16];

	memcpy(x, &a, 16);
	memcpy(y, &b, 16);
	for (unsigned k = 0; k < elements; k++)
		if (imm >> k & 1)
			memcpy(x + k * bytes, y + k * bytes, bytes);
	memcpy(&a, x, 16);
	return a;
}
static inline __m128i blendps_of(__m128i a, __m128i b, uint64_t imm)
{
	return blend(a, b, imm, 4);
}
static inline __m128i blendpd_of(__m128i a, __m128i b, uint64_t imm)
{
	return blend(a, b, imm, 2);
}
static inline __m128i pblendw_of(__m128i a, __m128i b, uint64_t imm)
{
	return blend(a, b, imm, 8);
}

/* Bytes [at, at + 16) of 48, of which the middle 16 are v. */
FP_INLINE __m128i window(__m128i v, unsigned at)
{
	uint8_t b[48] = {0};

	memcpy(b + 16, &v, 16);
	memcpy(&v, b + at, 16);
	return v;
}
FP_INLINE __m128i psrldq_of(__m128i v, uint64_t imm)
{
	return window(v, 16 + (imm > 16 ? 16 : (unsigned)imm));
}
FP_INLINE __m128i pslldq_of(__m128i v, uint64_t imm)
{
	return window(v, 16 - (imm > 16 ? 16 : (unsigned)imm));
}
static inline __m128i palignr_of(__m128i a, __m128i b, uint64_t imm)
{
	uint8_t v[48] = {0};

	if (imm > 32)
		imm = 32;
	memcpy(v, &b, 16);
	memcpy(v + 16, &a, 16);
	memcpy(&a, v + imm, 16);
	return a;
}
static inline __m128i mpsadbw_of(__m128i a, __m128i b, uint64_t imm)
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
static inline __m128i insertps_of(__m128i a, uint32_t v, uint64_t imm)
{
	uint32_t w[4];

	memcpy(w, &a, 16);
	w[(imm >> 4) & 3] = v;
	for (unsigned k = 0; k < 4; k++)
		if (imm >> k & 1)
			w[k] = 0;
	memcpy(&a, w, 16);
	return a;
}
/* --- The top bit of each of the mask's elements picks the source --- */

FP_INLINE __m128i pblendvb_of(__m128i a, __m128i b, __m128i mask)
{
	return _mm_blendv_epi8(a, b, mask);
}
FP_INLINE __m128i blendvps_of(__m128i a, __m128i b, __m128i mask)
{
	return _mm_castps_si128(_mm_blendv_ps(ps(a), ps(b), ps(mask)));
}
FP_INLINE __m128i blendvpd_of(__m128i a, __m128i b, __m128i mask)
{
	return _mm_castpd_si128(_mm_blendv_pd(pd(a), pd(b), pd(mask)));
}

/* --- Element k, `bytes` wide, of register n --- */

FP_INLINE void put_element(struct soft_cpu *c, unsigned n, unsigned k, unsigned bytes, uint64_t v)
{
	memcpy((uint8_t *)c->s.ymm[n] + k * bytes, &v, bytes);
}
FP_INLINE uint64_t element(const struct soft_cpu *c, unsigned n, unsigned k, unsigned bytes)
{
	uint64_t v = 0;

	memcpy(&v, (const uint8_t *)c->s.ymm[n] + k * bytes, bytes);
	return v;
}

#ifdef __clang__
#pragma clang attribute pop
#endif

#endif
