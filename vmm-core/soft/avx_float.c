/* SPDX-License-Identifier: MIT */
/*
 * AVX: floating-point arithmetic and rounding, by SSE's operations on the halves (simd.h). Scalars take the rest of their
 * 128 bits from the first source.
 */
#define SOFT_CORE 1
#include "vmm-core/soft/simd.h"

#define PACKED(n) SIMD_VEX_PACKED(v##n, n, 0)
#define FLOAT4(n) \
	PACKED(n##ps) \
	PACKED(n##pd) \
	SIMD_VEX_SCALAR(v##n##ss, n##ss, 32, 0) \
	SIMD_VEX_SCALAR(v##n##sd, n##sd, 64, 0)
FLOAT4(add)
FLOAT4(sub)
FLOAT4(mul)
FLOAT4(div)
FLOAT4(min)
FLOAT4(max)
FLOAT4(sqrt)
PACKED(addsubps)
PACKED(addsubpd)
PACKED(haddps)
PACKED(haddpd)
PACKED(hsubps)
PACKED(hsubpd)
SIMD_VEX_PACKED(vroundps, roundps, (unsigned)i->imm)
SIMD_VEX_PACKED(vroundpd, roundpd, (unsigned)i->imm)
SIMD_VEX_SCALAR(vroundss, roundss, 32, (unsigned)i->imm)
SIMD_VEX_SCALAR(vroundsd, roundsd, 64, (unsigned)i->imm)

/* --- Dot products --- */

static __attribute__((noinline)) bool dot_xmm(struct soft_cpu *c, const struct cv_insn *i, __m128i b)
{
	struct avx x = {fp_xmm(c, i->vvvv), _mm_setzero_si128()}, y = {b, _mm_setzero_si128()};
	struct simd_outcome2 o = simd_dot(c, i, x, y, false);

	if (o.ok)
		avx_set_xmm(c, i->reg, o.v.lo);
	return o.ok;
}
static __attribute__((noinline)) bool dot_ymm(struct soft_cpu *c, const struct cv_insn *i, struct avx b)
{
	struct simd_outcome2 o = simd_dot(c, i, avx_ymm(c, i->vvvv), b, true);

	if (o.ok)
		avx_set_ymm(c, i->reg, o.v);
	return o.ok;
}
static __attribute__((noinline)) bool dot_pd(struct soft_cpu *c, const struct cv_insn *i, __m128i b)
{
	struct simd_outcome o = simd_dot_pd(c, i, fp_xmm(c, i->vvvv), b);

	if (o.ok)
		avx_set_xmm(c, i->reg, o.v);
	return o.ok;
}
FP_HANDLER(vdpps_m)
{
	FP_AVX();
	FP_LOAD128(b);
	return dot_xmm(c, i, b);
}
FP_HANDLER(vdpps_r)
{
	FP_AVX();
	return dot_xmm(c, i, fp_xmm(c, i->rm));
}
FP_HANDLER(vdpps_my)
{
	FP_AVX();
	AVX_LOAD256(b);
	return dot_ymm(c, i, b);
}
FP_HANDLER(vdpps_ry)
{
	FP_AVX();
	return dot_ymm(c, i, avx_ymm(c, i->rm));
}
FP_HANDLER(vdppd_m)
{
	FP_AVX();
	FP_LOAD128(b);
	return dot_pd(c, i, b);
}
FP_HANDLER(vdppd_r)
{
	FP_AVX();
	return dot_pd(c, i, fp_xmm(c, i->rm));
}

/* --- RCP and RSQRT --- */

#define APPROXIMATE(name, f) \
	static inline __m128i name##_4(struct soft_cpu *c, const struct cv_insn *i, __m128i b) \
	{ \
		(void)c; \
		(void)i; \
		return f(b, b, 4); \
	} \
	AVX_HANDLERS2(name##ps, name##_4) \
	FP_HANDLER(name##ss_m) \
	{ \
		FP_AVX(); \
		FP_LOAD(32, b); \
		avx_set_xmm(c, i->reg, f(fp_xmm(c, i->vvvv), fp_from64(b), 1)); \
		return true; \
	} \
	FP_HANDLER(name##ss_r) \
	{ \
		FP_AVX(); \
		avx_set_xmm(c, i->reg, f(fp_xmm(c, i->vvvv), fp_xmm(c, i->rm), 1)); \
		return true; \
	}
APPROXIMATE(vrcp, simd_rcp)
APPROXIMATE(vrsqrt, simd_rsqrt)
