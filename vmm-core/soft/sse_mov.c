/* SPDX-License-Identifier: MIT */
/*
 * SSE: moves, logic and shuffles of whole registers, inserts and extracts. Nothing here computes, so nothing here knows
 * MXCSR. Non-temporal hints mean nothing to a guest that cannot see the cache.
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

FP_INLINE __m128 ps(__m128i v)
{
	return _mm_castsi128_ps(v);
}
FP_INLINE __m128d pd(__m128i v)
{
	return _mm_castsi128_pd(v);
}

/* --- Whole registers --- */

#define MOVE_LOAD(name, load) \
FP_HANDLER(name##_r) \
{ \
	FP_SSE(); \
	fp_set_xmm(c, i->reg, fp_xmm(c, i->rm)); \
	return true; \
} \
FP_HANDLER(name##_m) \
{ \
	FP_SSE(); \
	load(v); \
	fp_set_xmm(c, i->reg, v); \
	return true; \
}
#define MOVE_STORE(name, store) \
FP_HANDLER(name##_r) \
{ \
	FP_SSE(); \
	fp_set_xmm(c, i->rm, fp_xmm(c, i->reg)); \
	return true; \
} \
FP_HANDLER(name##_m) \
{ \
	FP_SSE(); \
	return store(fp_xmm(c, i->reg)); \
}
MOVE_LOAD(movups, FP_LOAD128)
MOVE_LOAD(movdqu, FP_LOAD128)
MOVE_LOAD(movaps, FP_LOAD128A)
MOVE_LOAD(movdqa, FP_LOAD128A)
MOVE_STORE(movups_st, FP_STORE128)
MOVE_STORE(movdqu_st, FP_STORE128)
MOVE_STORE(movaps_st, FP_STORE128A)
MOVE_STORE(movdqa_st, FP_STORE128A)

FP_HANDLER(lddqu_m)
{
	FP_SSE();
	FP_LOAD128(v);
	fp_set_xmm(c, i->reg, v);
	return true;
}
FP_HANDLER(movntdqa_m)
{
	FP_SSE();
	FP_LOAD128A(v);
	fp_set_xmm(c, i->reg, v);
	return true;
}
FP_HANDLER(movntps_m)
{
	FP_SSE();
	return FP_STORE128A(fp_xmm(c, i->reg));
}
FP_HANDLER(movntdq_m)
{
	FP_SSE();
	return FP_STORE128A(fp_xmm(c, i->reg));
}
/* A general register: no SSE state, no SSE checks. */
FP_HANDLER(movnti_m)
{
	return FP_STORE(c->s.gpr[i->reg], i->rex & 8 ? 8 : 4);
}

/* --- Parts of registers --- */

FP_HANDLER(movss_m)
{
	FP_SSE();
	FP_LOAD(32, v);
	fp_set_xmm(c, i->reg, fp_from64(v));
	return true;
}
FP_HANDLER(movss_r)
{
	FP_SSE();
	memcpy(&c->s.ymm[i->reg][0], &c->s.ymm[i->rm][0], 4);
	return true;
}
FP_HANDLER(movss_st_m)
{
	FP_SSE();
	return FP_STORE(c->s.ymm[i->reg][0], 4);
}
FP_HANDLER(movss_st_r)
{
	FP_SSE();
	memcpy(&c->s.ymm[i->rm][0], &c->s.ymm[i->reg][0], 4);
	return true;
}
FP_HANDLER(movsd_m)
{
	FP_SSE();
	FP_LOAD(64, v);
	fp_set_xmm(c, i->reg, fp_from64(v));
	return true;
}
FP_HANDLER(movsd_r)
{
	FP_SSE();
	c->s.ymm[i->reg][0] = c->s.ymm[i->rm][0];
	return true;
}
FP_HANDLER(movsd_st_m)
{
	FP_SSE();
	return FP_STORE(c->s.ymm[i->reg][0], 8);
}
FP_HANDLER(movsd_st_r)
{
	FP_SSE();
	c->s.ymm[i->rm][0] = c->s.ymm[i->reg][0];
	return true;
}
FP_HANDLER(movq_m)
{
	FP_SSE();
	FP_LOAD(64, v);
	fp_set_xmm(c, i->reg, fp_from64(v));
	return true;
}
FP_HANDLER(movq_r)
{
	FP_SSE();
	fp_set_xmm(c, i->reg, fp_from64(c->s.ymm[i->rm][0]));
	return true;
}
FP_HANDLER(movq_st_m)
{
	FP_SSE();
	return FP_STORE(c->s.ymm[i->reg][0], 8);
}
FP_HANDLER(movq_st_r)
{
	FP_SSE();
	fp_set_xmm(c, i->rm, fp_from64(c->s.ymm[i->reg][0]));
	return true;
}
/* MOVD and MOVQ between XMM and general registers or memory: 8 bytes with REX.W. */
FP_HANDLER(movd_m)
{
	FP_SSE();
	if (i->rex & 8) {
		FP_LOAD(64, v);
		fp_set_xmm(c, i->reg, fp_from64(v));
	} else {
		FP_LOAD(32, v);
		fp_set_xmm(c, i->reg, fp_from64(v));
	}
	return true;
}
FP_HANDLER(movd_r)
{
	uint64_t v = c->s.gpr[i->rm];

	FP_SSE();
	fp_set_xmm(c, i->reg, fp_from64(i->rex & 8 ? v : (uint32_t)v));
	return true;
}
FP_HANDLER(movd_st_m)
{
	FP_SSE();
	return FP_STORE(c->s.ymm[i->reg][0], i->rex & 8 ? 8 : 4);
}
FP_HANDLER(movd_st_r)
{
	FP_SSE();
	fp_set_gpr(c, i, i->rm, c->s.ymm[i->reg][0]);
	return true;
}

FP_HANDLER(movlps_m)
{
	FP_SSE();
	FP_LOAD(64, v);
	c->s.ymm[i->reg][0] = v;
	return true;
}
FP_HANDLER(movhlps_r)
{
	FP_SSE();
	c->s.ymm[i->reg][0] = c->s.ymm[i->rm][1];
	return true;
}
FP_HANDLER(movlps_st_m)
{
	FP_SSE();
	return FP_STORE(c->s.ymm[i->reg][0], 8);
}
FP_HANDLER(movhps_m)
{
	FP_SSE();
	FP_LOAD(64, v);
	c->s.ymm[i->reg][1] = v;
	return true;
}
FP_HANDLER(movlhps_r)
{
	FP_SSE();
	c->s.ymm[i->reg][1] = c->s.ymm[i->rm][0];
	return true;
}
FP_HANDLER(movhps_st_m)
{
	FP_SSE();
	return FP_STORE(c->s.ymm[i->reg][1], 8);
}
FP_HANDLER(movddup_m)
{
	FP_SSE();
	FP_LOAD(64, v);
	fp_set_xmm(c, i->reg, _mm_set1_epi64x((long long)v));
	return true;
}
FP_HANDLER(movddup_r)
{
	FP_SSE();
	fp_set_xmm(c, i->reg, _mm_set1_epi64x((long long)c->s.ymm[i->rm][0]));
	return true;
}
FP_HANDLER(movmskps_r)
{
	FP_SSE();
	c->s.gpr[i->reg] = (unsigned)_mm_movemask_ps(ps(fp_xmm(c, i->rm)));
	return true;
}
FP_HANDLER(movmskpd_r)
{
	FP_SSE();
	c->s.gpr[i->reg] = (unsigned)_mm_movemask_pd(pd(fp_xmm(c, i->rm)));
	return true;
}

/* --- Bits and shuffles: destination a, source b --- */

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
OP2(andps, _mm_and_si128(a, b))
OP2(andnps, _mm_andnot_si128(a, b))
OP2(orps, _mm_or_si128(a, b))
OP2(xorps, _mm_xor_si128(a, b))
OP2(unpcklps, _mm_unpacklo_epi32(a, b))
OP2(unpckhps, _mm_unpackhi_epi32(a, b))
OP2(unpcklpd, _mm_unpacklo_epi64(a, b))
OP2(unpckhpd, _mm_unpackhi_epi64(a, b))
OP2(punpcklqdq, _mm_unpacklo_epi64(a, b))
OP2(punpckhqdq, _mm_unpackhi_epi64(a, b))
OP2(movsldup, _mm_shuffle_epi32(b, 0xa0))
OP2(movshdup, _mm_shuffle_epi32(b, 0xf5))

/* The same with an immediate: the shuffle control as four 2-bit selectors, applied by the general byte shuffle. */
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
static __m128i pshufd_of(__m128i a, __m128i b, uint64_t imm)
{
	(void)a;
	return shuffle_dwords(b, imm);
}
static __m128i pshufhw_of(__m128i a, __m128i b, uint64_t imm)
{
	(void)a;
	return _mm_set_epi64x((long long)shuffle_words((uint64_t)_mm_extract_epi64(b, 1), imm), (long long)fp_low64(b));
}
static __m128i pshuflw_of(__m128i a, __m128i b, uint64_t imm)
{
	(void)a;
	return _mm_set_epi64x(_mm_extract_epi64(b, 1), (long long)shuffle_words(fp_low64(b), imm));
}
static __m128i shufps_of(__m128i a, __m128i b, uint64_t imm)
{
	return _mm_unpacklo_epi64(shuffle_dwords(a, imm), shuffle_dwords(b, imm >> 4));
}
static __m128i shufpd_of(__m128i a, __m128i b, uint64_t imm)
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
static __m128i blendps_of(__m128i a, __m128i b, uint64_t imm)
{
	return blend(a, b, imm, 4);
}
static __m128i blendpd_of(__m128i a, __m128i b, uint64_t imm)
{
	return blend(a, b, imm, 2);
}
static __m128i pblendw_of(__m128i a, __m128i b, uint64_t imm)
{
	return blend(a, b, imm, 8);
}

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
OP2_IMM(pshufd)
OP2_IMM(pshufhw)
OP2_IMM(pshuflw)
OP2_IMM(shufps)
OP2_IMM(shufpd)
OP2_IMM(blendps)
OP2_IMM(blendpd)
OP2_IMM(pblendw)

/* XMM0 is the mask. */
#define BLENDV(name, expr) \
FP_INLINE __m128i name##_of(__m128i a, __m128i b, __m128i mask) \
{ \
	return expr; \
} \
FP_HANDLER(name##_r) \
{ \
	FP_SSE(); \
	fp_set_xmm(c, i->reg, name##_of(fp_xmm(c, i->reg), fp_xmm(c, i->rm), fp_xmm(c, 0))); \
	return true; \
} \
FP_HANDLER(name##_m) \
{ \
	FP_SSE(); \
	FP_LOAD128A(v); \
	fp_set_xmm(c, i->reg, name##_of(fp_xmm(c, i->reg), v, fp_xmm(c, 0))); \
	return true; \
}
BLENDV(pblendvb, _mm_blendv_epi8(a, b, mask))
BLENDV(blendvps, _mm_castps_si128(_mm_blendv_ps(ps(a), ps(b), ps(mask))))
BLENDV(blendvpd, _mm_castpd_si128(_mm_blendv_pd(pd(a), pd(b), pd(mask))))

/* --- Insert and extract --- */

static __m128i insertps_of(__m128i a, uint32_t v, uint64_t imm)
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
FP_HANDLER(insertps_m)
{
	FP_SSE();
	FP_LOAD(32, v);
	fp_set_xmm(c, i->reg, insertps_of(fp_xmm(c, i->reg), (uint32_t)v, i->imm));
	return true;
}
FP_HANDLER(insertps_r)
{
	uint32_t w[4];

	FP_SSE();
	memcpy(w, c->s.ymm[i->rm], 16);
	fp_set_xmm(c, i->reg, insertps_of(fp_xmm(c, i->reg), w[(i->imm >> 6) & 3], i->imm));
	return true;
}

/* Element k, `bytes` wide, of register n. */
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
FP_HANDLER(pinsrb_m)
{
	FP_SSE();
	FP_LOAD(8, v);
	put_element(c, i->reg, i->imm & 15, 1, v);
	return true;
}
FP_HANDLER(pinsrb_r)
{
	FP_SSE();
	put_element(c, i->reg, i->imm & 15, 1, c->s.gpr[i->rm]);
	return true;
}
FP_HANDLER(pinsrw_m)
{
	FP_SSE();
	FP_LOAD(16, v);
	put_element(c, i->reg, i->imm & 7, 2, v);
	return true;
}
FP_HANDLER(pinsrw_r)
{
	FP_SSE();
	put_element(c, i->reg, i->imm & 7, 2, c->s.gpr[i->rm]);
	return true;
}
FP_HANDLER(pinsrd_m)
{
	FP_SSE();
	if (i->rex & 8) {
		FP_LOAD(64, v);
		put_element(c, i->reg, i->imm & 1, 8, v);
	} else {
		FP_LOAD(32, v);
		put_element(c, i->reg, i->imm & 3, 4, v);
	}
	return true;
}
FP_HANDLER(pinsrd_r)
{
	uint64_t v = c->s.gpr[i->rm];

	FP_SSE();
	if (i->rex & 8)
		put_element(c, i->reg, i->imm & 1, 8, v);
	else
		put_element(c, i->reg, i->imm & 3, 4, v);
	return true;
}
FP_HANDLER(pextrw_r) /* 0F C5: Gd, Udq, Ib */
{
	FP_SSE();
	c->s.gpr[i->reg] = element(c, i->rm, i->imm & 7, 2);
	return true;
}
#define EXTRACT(name, mask, bytes) \
FP_HANDLER(name##_m) \
{ \
	FP_SSE(); \
	return FP_STORE(element(c, i->reg, i->imm & (mask), bytes), bytes); \
} \
FP_HANDLER(name##_r) \
{ \
	FP_SSE(); \
	c->s.gpr[i->rm] = element(c, i->reg, i->imm & (mask), bytes); \
	return true; \
}
EXTRACT(pextrb, 15, 1)
EXTRACT(pextrw_st, 7, 2)
EXTRACT(extractps, 3, 4)
FP_HANDLER(pextrd_m)
{
	FP_SSE();
	if (i->rex & 8)
		return FP_STORE(element(c, i->reg, i->imm & 1, 8), 8);
	return FP_STORE(element(c, i->reg, i->imm & 3, 4), 4);
}
FP_HANDLER(pextrd_r)
{
	FP_SSE();
	c->s.gpr[i->rm] = i->rex & 8 ? element(c, i->reg, i->imm & 1, 8) : element(c, i->reg, i->imm & 3, 4);
	return true;
}

/* --- Widening moves: the source is a part of a register, or that much memory --- */

#define WIDEN(name, bits, intrinsic) \
FP_HANDLER(name##_r) \
{ \
	FP_SSE(); \
	fp_set_xmm(c, i->reg, intrinsic(fp_xmm(c, i->rm))); \
	return true; \
} \
FP_HANDLER(name##_m) \
{ \
	FP_SSE(); \
	FP_LOAD(bits, v); \
	fp_set_xmm(c, i->reg, intrinsic(fp_from64(v))); \
	return true; \
}
WIDEN(pmovsxbw, 64, _mm_cvtepi8_epi16)
WIDEN(pmovsxbd, 32, _mm_cvtepi8_epi32)
WIDEN(pmovsxbq, 16, _mm_cvtepi8_epi64)
WIDEN(pmovsxwd, 64, _mm_cvtepi16_epi32)
WIDEN(pmovsxwq, 32, _mm_cvtepi16_epi64)
WIDEN(pmovsxdq, 64, _mm_cvtepi32_epi64)
WIDEN(pmovzxbw, 64, _mm_cvtepu8_epi16)
WIDEN(pmovzxbd, 32, _mm_cvtepu8_epi32)
WIDEN(pmovzxbq, 16, _mm_cvtepu8_epi64)
WIDEN(pmovzxwd, 64, _mm_cvtepu16_epi32)
WIDEN(pmovzxwq, 32, _mm_cvtepu16_epi64)
WIDEN(pmovzxdq, 64, _mm_cvtepu32_epi64)

#ifdef __clang__
#pragma clang attribute pop
#endif
