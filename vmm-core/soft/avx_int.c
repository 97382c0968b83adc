/* SPDX-License-Identifier: MIT */
/*
 * AVX and AVX2: packed integers. What a lane computes is in sse_ops.h; the shifts by a count of each element's own are new.
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

#define LANES3(name, expr) AVX_LANES3(name)
SSE_INTEGER_OPS(LANES3)

AVX_LANES2(pabsb)
AVX_LANES2(pabsw)
AVX_LANES2(pabsd)

FP_HANDLER(vphminposuw_m)
{
	FP_AVX();
	FP_LOAD128(b);
	avx_set_xmm(c, i->reg, phminposuw_of(b, b));
	return true;
}
FP_HANDLER(vphminposuw_r)
{
	__m128i b;

	FP_AVX();
	b = fp_xmm(c, i->rm);
	avx_set_xmm(c, i->reg, phminposuw_of(b, b));
	return true;
}

AVX_LANES_IMM(palignr, 0)
AVX_LANES_IMM(mpsadbw, 3)

/* --- Shifts --- */

/* All elements by one count: the low quadword of a 128-bit operand, or the immediate (then the destination is vvvv's). */
#define SHIFT(name, expr) \
FP_HANDLER(v##name##_m) \
{ \
	FP_AVX(); \
	FP_LOAD128(b); \
	avx_set_xmm(c, i->reg, name##_of(fp_xmm(c, i->vvvv), b)); \
	return true; \
} \
FP_HANDLER(v##name##_r) \
{ \
	FP_AVX(); \
	avx_set_xmm(c, i->reg, name##_of(fp_xmm(c, i->vvvv), fp_xmm(c, i->rm))); \
	return true; \
} \
FP_HANDLER(v##name##_my) \
{ \
	struct avx a; \
	FP_AVX(); \
	FP_LOAD128(b); \
	a = avx_ymm(c, i->vvvv); \
	avx_set_ymm(c, i->reg, (struct avx){name##_of(a.lo, b), name##_of(a.hi, b)}); \
	return true; \
} \
FP_HANDLER(v##name##_ry) \
{ \
	struct avx a; \
	__m128i b; \
	FP_AVX(); \
	a = avx_ymm(c, i->vvvv); \
	b = fp_xmm(c, i->rm); \
	avx_set_ymm(c, i->reg, (struct avx){name##_of(a.lo, b), name##_of(a.hi, b)}); \
	return true; \
} \
FP_HANDLER(v##name##_i_r) \
{ \
	FP_AVX(); \
	avx_set_xmm(c, i->vvvv, name##_of(fp_xmm(c, i->rm), fp_from64(i->imm & 0xff))); \
	return true; \
} \
FP_HANDLER(v##name##_i_ry) \
{ \
	struct avx a; \
	__m128i b; \
	FP_AVX(); \
	a = avx_ymm(c, i->rm); \
	b = fp_from64(i->imm & 0xff); \
	avx_set_ymm(c, i->vvvv, (struct avx){name##_of(a.lo, b), name##_of(a.hi, b)}); \
	return true; \
}
SSE_SHIFT_OPS(SHIFT)

#define SHIFT_BYTES(name) \
FP_HANDLER(v##name##_i_r) \
{ \
	FP_AVX(); \
	avx_set_xmm(c, i->vvvv, name##_of(fp_xmm(c, i->rm), i->imm)); \
	return true; \
} \
FP_HANDLER(v##name##_i_ry) \
{ \
	struct avx a; \
	FP_AVX(); \
	a = avx_ymm(c, i->rm); \
	avx_set_ymm(c, i->vvvv, (struct avx){name##_of(a.lo, i->imm), name##_of(a.hi, i->imm)}); \
	return true; \
}
SHIFT_BYTES(psrldq)
SHIFT_BYTES(pslldq)

/* Each element by its own count: all elements by each count in turn, of which one is kept. */
#define EACH_DWORD(name, shift) \
FP_INLINE __m128i name##_of(__m128i a, __m128i b) \
{ \
	__m128i low = _mm_cvtepu32_epi64(b), high = _mm_unpackhi_epi32(b, _mm_setzero_si128()); \
	__m128i r0 = shift(a, low), r1 = shift(a, _mm_srli_si128(low, 8)); \
	__m128i r2 = shift(a, high), r3 = shift(a, _mm_srli_si128(high, 8)); \
\
	return _mm_blend_epi16(_mm_blend_epi16(r0, r1, 0x0c), _mm_blend_epi16(r2, r3, 0xc0), 0xf0); \
}
#define EACH_QWORD(name, shift) \
FP_INLINE __m128i name##_of(__m128i a, __m128i b) \
{ \
	return _mm_blend_epi16(shift(a, b), shift(a, _mm_srli_si128(b, 8)), 0xf0); \
}
EACH_DWORD(psrlvd, _mm_srl_epi32)
EACH_DWORD(psravd, _mm_sra_epi32)
EACH_DWORD(psllvd, _mm_sll_epi32)
EACH_QWORD(psrlvq, _mm_srl_epi64)
EACH_QWORD(psllvq, _mm_sll_epi64)
AVX_LANES3(psrlvd)
AVX_LANES3(psravd)
AVX_LANES3(psllvd)
AVX_LANES3(psrlvq)
AVX_LANES3(psllvq)

/* --- Widening: half a vector, a quarter or an eighth of it becomes the whole --- */

#define PART_16(b) PART_OF(16, b)
#define PART_32(b) PART_OF(32, b)
#define PART_64(b) PART_OF(64, b)
#define PART_128(b) FP_LOAD128(b)
#define PART_OF(bits, b) \
	FP_LOAD(bits, b##_low); \
	const __m128i b = fp_from64(b##_low);
#define TWICE_16(b) PART_32(b)
#define TWICE_32(b) PART_64(b)
#define TWICE_64(b) PART_128(b)
#define WIDEN(name, bits, intrinsic) \
FP_HANDLER(v##name##_m) \
{ \
	FP_AVX(); \
	PART_##bits(b); \
	avx_set_xmm(c, i->reg, intrinsic(b)); \
	return true; \
} \
FP_HANDLER(v##name##_r) \
{ \
	FP_AVX(); \
	avx_set_xmm(c, i->reg, intrinsic(fp_xmm(c, i->rm))); \
	return true; \
} \
FP_HANDLER(v##name##_my) \
{ \
	FP_AVX(); \
	TWICE_##bits(b); \
	avx_set_ymm(c, i->reg, (struct avx){intrinsic(b), intrinsic(_mm_srli_si128(b, bits / 8))}); \
	return true; \
} \
FP_HANDLER(v##name##_ry) \
{ \
	__m128i b; \
	FP_AVX(); \
	b = fp_xmm(c, i->rm); \
	avx_set_ymm(c, i->reg, (struct avx){intrinsic(b), intrinsic(_mm_srli_si128(b, bits / 8))}); \
	return true; \
}
SSE_WIDEN_OPS(WIDEN)

#ifdef __clang__
#pragma clang attribute pop
#endif
