/* SPDX-License-Identifier: MIT */
/*
 * AVX: bits, interleaving, shuffles, permutations, broadcasts, blends and the tests that set flags.
 *
 * Most of it works within lanes; an immediate serves both lanes or gives each its own bits. VPERM*, VPERM2x128 and the
 * broadcasts cross them.
 */
#ifndef __clang__
#pragma GCC target("sse4.2")
#endif
#define SOFT_CORE 1
#include "vmm-core/soft/avx.h"
#include "vmm-core/soft/sse_ops.h"

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("sse4.2"))), apply_to = function)
#endif

/* --- Within lanes --- */

#define LANES3(name, expr) AVX_LANES3(name)
#define LANES2(name, expr) AVX_LANES2(name)
SSE_BIT_OPS(LANES3)
SSE_DUP_OPS(LANES2)

/* Variable VPERMILPS and VPERMILPD: b's elements say which of a's. */
FP_INLINE __m128i permilps_of(__m128i a, __m128i b)
{
	__m128i bytes = _mm_mullo_epi32(_mm_and_si128(b, _mm_set1_epi32(3)), _mm_set1_epi32(0x04040404));

	return _mm_shuffle_epi8(a, _mm_add_epi32(bytes, _mm_set1_epi32(0x03020100)));
}
FP_INLINE __m128i permilpd_of(__m128i a, __m128i b)
{
	__m128i low = _mm_and_si128(_mm_shuffle_epi32(b, 0xa0), _mm_set1_epi32(2));
	__m128i bytes = _mm_mullo_epi32(low, _mm_set1_epi32(0x04040404));

	return _mm_shuffle_epi8(a, _mm_add_epi32(bytes, _mm_set1_epi64x(0x0706050403020100)));
}
AVX_LANES3(permilps)
AVX_LANES3(permilpd)

/* --- With an immediate --- */

FP_INLINE __m128i pblendd_of(__m128i a, __m128i b, uint64_t imm)
{
	return blendps_of(a, b, imm);
}
/* One source. */
FP_INLINE __m128i permilps_i_of(__m128i a, __m128i b, uint64_t imm)
{
	(void)a;
	return shuffle_dwords(b, imm);
}
FP_INLINE __m128i permilpd_i_of(__m128i a, __m128i b, uint64_t imm)
{
	(void)a;
	return shufpd_of(b, b, imm);
}
AVX_LANES_IMM(shufps, 0)
AVX_LANES_IMM(shufpd, 2)
AVX_LANES_IMM(blendps, 4)
AVX_LANES_IMM(blendpd, 2)
AVX_LANES_IMM(pblendw, 0)
AVX_LANES_IMM(pblendd, 4)
AVX_LANES_IMM(permilps_i, 0)
AVX_LANES_IMM(permilpd_i, 2)
AVX_LANES_IMM(pshufd, 0)
AVX_LANES_IMM(pshufhw, 0)
AVX_LANES_IMM(pshuflw, 0)

/* The mask is the register in imm[7:4]. */
#define BLENDV(name) \
FP_HANDLER(v##name##_m) \
{ \
	FP_AVX(); \
	FP_LOAD128(b); \
	avx_set_xmm(c, i->reg, name##_of(fp_xmm(c, i->vvvv), b, fp_xmm(c, avx_is4(i, c)))); \
	return true; \
} \
FP_HANDLER(v##name##_r) \
{ \
	FP_AVX(); \
	avx_set_xmm(c, i->reg, name##_of(fp_xmm(c, i->vvvv), fp_xmm(c, i->rm), fp_xmm(c, avx_is4(i, c)))); \
	return true; \
} \
FP_HANDLER(v##name##_my) \
{ \
	struct avx a, m; \
	FP_AVX(); \
	AVX_LOAD256(b); \
	a = avx_ymm(c, i->vvvv); \
	m = avx_ymm(c, avx_is4(i, c)); \
	avx_set_ymm(c, i->reg, (struct avx){name##_of(a.lo, b.lo, m.lo), name##_of(a.hi, b.hi, m.hi)}); \
	return true; \
} \
FP_HANDLER(v##name##_ry) \
{ \
	struct avx a, b, m; \
	FP_AVX(); \
	a = avx_ymm(c, i->vvvv); \
	b = avx_ymm(c, i->rm); \
	m = avx_ymm(c, avx_is4(i, c)); \
	avx_set_ymm(c, i->reg, (struct avx){name##_of(a.lo, b.lo, m.lo), name##_of(a.hi, b.hi, m.hi)}); \
	return true; \
}
BLENDV(blendvps)
BLENDV(blendvpd)
BLENDV(pblendvb)

FP_HANDLER(vmovddup_m)
{
	FP_AVX();
	FP_LOAD(64, v);
	avx_set_xmm(c, i->reg, _mm_set1_epi64x((long long)v));
	return true;
}
FP_HANDLER(vmovddup_r)
{
	FP_AVX();
	avx_set_xmm(c, i->reg, _mm_set1_epi64x((long long)c->s.ymm[i->rm][0]));
	return true;
}
FP_HANDLER(vmovddup_my)
{
	FP_AVX();
	AVX_LOAD256(b);
	avx_set_ymm(c, i->reg, (struct avx){_mm_unpacklo_epi64(b.lo, b.lo), _mm_unpacklo_epi64(b.hi, b.hi)});
	return true;
}
FP_HANDLER(vmovddup_ry)
{
	struct avx b;

	FP_AVX();
	b = avx_ymm(c, i->rm);
	avx_set_ymm(c, i->reg, (struct avx){_mm_unpacklo_epi64(b.lo, b.lo), _mm_unpacklo_epi64(b.hi, b.hi)});
	return true;
}

/* --- Across lanes --- */

/* 256 bits alone: register c->s.ymm[vvvv] is a, the operand b. */
#define CROSS(name, expr) \
FP_HANDLER(name##_my) \
{ \
	struct avx a; \
	FP_AVX(); \
	AVX_LOAD256(b); \
	a = avx_ymm(c, i->vvvv); \
	(void)a; \
	avx_set_ymm(c, i->reg, expr); \
	return true; \
} \
FP_HANDLER(name##_ry) \
{ \
	struct avx a, b; \
	FP_AVX(); \
	a = avx_ymm(c, i->vvvv); \
	b = avx_ymm(c, i->rm); \
	(void)a; \
	avx_set_ymm(c, i->reg, expr); \
	return true; \
}

/* One lane of four, or zero. */
FP_INLINE __m128i lane(struct avx a, struct avx b, uint64_t how)
{
	if (how & 8)
		return _mm_setzero_si128();
	switch (how & 3) {
	case 0: return a.lo;
	case 1: return a.hi;
	case 2: return b.lo;
	default: return b.hi;
	}
}
CROSS(vperm2f128, ((struct avx){lane(a, b, i->imm), lane(a, b, i->imm >> 4)}))
CROSS(vperm2i128, ((struct avx){lane(a, b, i->imm), lane(a, b, i->imm >> 4)}))

/* Doublewords of b by the low three bits of those of `which`. */
FP_INLINE __m128i permute(struct avx b, __m128i which)
{
	__m128i bit2 = _mm_slli_epi32(which, 29);

	return blendvps_of(permilps_of(b.lo, which), permilps_of(b.hi, which), bit2);
}
CROSS(vpermd, ((struct avx){permute(b, a.lo), permute(b, a.hi)}))
CROSS(vpermps, ((struct avx){permute(b, a.lo), permute(b, a.hi)}))

/* Two quadwords of b by two bits each. */
FP_INLINE __m128i quadword(struct avx b, uint64_t imm)
{
	__m128i v = imm & 2 ? b.hi : b.lo;

	return imm & 1 ? _mm_unpackhi_epi64(v, v) : v;
}
FP_INLINE __m128i quadwords(struct avx b, uint64_t imm)
{
	return _mm_unpacklo_epi64(quadword(b, imm), quadword(b, imm >> 2));
}
CROSS(vpermq, ((struct avx){quadwords(b, i->imm), quadwords(b, i->imm >> 4)}))
CROSS(vpermpd, ((struct avx){quadwords(b, i->imm), quadwords(b, i->imm >> 4)}))

#define BROADCAST_Y(name, bits, set1) \
FP_HANDLER(name##_my) \
{ \
	__m128i b; \
	FP_AVX(); \
	FP_LOAD(bits, v); \
	b = set1; \
	avx_set_ymm(c, i->reg, (struct avx){b, b}); \
	return true; \
} \
FP_HANDLER(name##_ry) \
{ \
	uint64_t v = c->s.ymm[i->rm][0]; \
	__m128i b; \
	FP_AVX(); \
	b = set1; \
	avx_set_ymm(c, i->reg, (struct avx){b, b}); \
	return true; \
}
#define BROADCAST(name, bits, set1) \
BROADCAST_Y(name, bits, set1) \
FP_HANDLER(name##_m) \
{ \
	FP_AVX(); \
	FP_LOAD(bits, v); \
	avx_set_xmm(c, i->reg, set1); \
	return true; \
} \
FP_HANDLER(name##_r) \
{ \
	uint64_t v = c->s.ymm[i->rm][0]; \
	FP_AVX(); \
	avx_set_xmm(c, i->reg, set1); \
	return true; \
}
BROADCAST(vbroadcastss, 32, _mm_set1_epi32((int)v))
BROADCAST_Y(vbroadcastsd, 64, _mm_set1_epi64x((long long)v))
BROADCAST(vpbroadcastb, 8, _mm_set1_epi8((char)v))
BROADCAST(vpbroadcastw, 16, _mm_set1_epi16((short)v))
BROADCAST(vpbroadcastd, 32, _mm_set1_epi32((int)v))
BROADCAST(vpbroadcastq, 64, _mm_set1_epi64x((long long)v))

#define BROADCAST128(name) \
FP_HANDLER(name##_my) \
{ \
	FP_AVX(); \
	FP_LOAD128(v); \
	avx_set_ymm(c, i->reg, (struct avx){v, v}); \
	return true; \
}
BROADCAST128(vbroadcastf128)
BROADCAST128(vbroadcasti128)

/* --- Tests: ZF: b has no bit (of `bits`) in a; CF: b has none outside a --- */

FP_INLINE void test128(struct soft_cpu *c, __m128i a, __m128i b, __m128i bits)
{
	b = _mm_and_si128(b, bits);
	soft_set_arith(c, (_mm_testz_si128(a, b) ? CV_FLAG_ZF : 0) | (_mm_testc_si128(a, b) ? CV_FLAG_CF : 0));
}
FP_INLINE void test256(struct soft_cpu *c, struct avx a, struct avx b, __m128i bits)
{
	b.lo = _mm_and_si128(b.lo, bits);
	b.hi = _mm_and_si128(b.hi, bits);
	soft_set_arith(c, (_mm_testz_si128(a.lo, b.lo) && _mm_testz_si128(a.hi, b.hi) ? CV_FLAG_ZF : 0) |
				  (_mm_testc_si128(a.lo, b.lo) && _mm_testc_si128(a.hi, b.hi) ? CV_FLAG_CF : 0));
}
#define TEST(name, bits) \
FP_HANDLER(name##_m) \
{ \
	FP_AVX(); \
	FP_LOAD128(b); \
	test128(c, fp_xmm(c, i->reg), b, bits); \
	return true; \
} \
FP_HANDLER(name##_r) \
{ \
	FP_AVX(); \
	test128(c, fp_xmm(c, i->reg), fp_xmm(c, i->rm), bits); \
	return true; \
} \
FP_HANDLER(name##_my) \
{ \
	FP_AVX(); \
	AVX_LOAD256(b); \
	test256(c, avx_ymm(c, i->reg), b, bits); \
	return true; \
} \
FP_HANDLER(name##_ry) \
{ \
	FP_AVX(); \
	test256(c, avx_ymm(c, i->reg), avx_ymm(c, i->rm), bits); \
	return true; \
}
TEST(vptest, _mm_set1_epi32(-1))
TEST(vtestps, _mm_set1_epi32(INT32_MIN))
TEST(vtestpd, _mm_set1_epi64x(INT64_MIN))

#ifdef __clang__
#pragma clang attribute pop
#endif
