/* SPDX-License-Identifier: MIT */
/*
 * SSE: floating-point arithmetic, comparison, conversion and rounding. simd.h says how they run; rcp.c what RCP and
 * RSQRT are.
 */
#define SOFT_CORE 1
#include "vmm-core/soft/simd.h"

/* xmm[reg] = op(xmm[reg], b) */
FP_INLINE int to_xmm(struct soft_cpu *c, const struct cv_insn *i, const struct simd_op *op, __m128i b, unsigned imm,
		     const bool slow)
{
	__m128i v = op->run(fp_xmm(c, i->reg), b, imm);

	if (simd_plain(c)) {
		fp_set_xmm(c, i->reg, v);
		return true;
	}
	SIMD_CAREFULLY(simd_to_xmm(c, i, op, b, imm));
}

#define LOAD_PS FP_LOAD128A(v)
#define LOAD_PD FP_LOAD128A(v)
#define LOAD_SS FP_LOAD(32, v64); __m128i v = fp_from64(v64)
#define LOAD_SD FP_LOAD(64, v64); __m128i v = fp_from64(v64)
#define LOAD_PS_LOW LOAD_SD

/* src: how memory is read */
#define FLOAT_IMM(name, src, imm) \
FP_HANDLER(name##_r) \
{ \
	FP_SSE(); \
	return to_xmm(c, i, &name##_op, fp_xmm(c, i->rm), imm, slow); \
} \
FP_HANDLER(name##_m) \
{ \
	FP_SSE(); \
	LOAD_##src; \
	return to_xmm(c, i, &name##_op, v, imm, slow); \
}
#define FLOAT(name, src) FLOAT_IMM(name, src, 0)
#define FLOAT4(name) FLOAT(name##ps, PS) FLOAT(name##pd, PD) FLOAT(name##ss, SS) FLOAT(name##sd, SD)
FLOAT4(add)
FLOAT4(sub)
FLOAT4(mul)
FLOAT4(div)
FLOAT4(min)
FLOAT4(max)
FLOAT4(sqrt)
FLOAT(addsubps, PS)
FLOAT(addsubpd, PD)
FLOAT(haddps, PS)
FLOAT(haddpd, PD)
FLOAT(hsubps, PS)
FLOAT(hsubpd, PD)

FLOAT(cvtps2pd, PS_LOW)
FLOAT(cvtpd2ps, PD)
FLOAT(cvtss2sd, SS)
FLOAT(cvtsd2ss, SD)
FLOAT(cvtdq2ps, PS)
FLOAT(cvtps2dq, PS)
FLOAT(cvttps2dq, PS)
FLOAT(cvtdq2pd, PS_LOW)
FLOAT(cvtpd2dq, PD)
FLOAT(cvttpd2dq, PD)

FLOAT_IMM(cmpps, PS, (unsigned)i->imm)
FLOAT_IMM(cmppd, PD, (unsigned)i->imm)
FLOAT_IMM(cmpss, SS, (unsigned)i->imm)
FLOAT_IMM(cmpsd, SD, (unsigned)i->imm)
FLOAT_IMM(roundps, PS, (unsigned)i->imm)
FLOAT_IMM(roundpd, PD, (unsigned)i->imm)
FLOAT_IMM(roundss, SS, (unsigned)i->imm)
FLOAT_IMM(roundsd, SD, (unsigned)i->imm)

/* --- Dot products --- */

static __attribute__((noinline)) bool dot_ps(struct soft_cpu *c, const struct cv_insn *i, __m128i b)
{
	struct avx x = {fp_xmm(c, i->reg), _mm_setzero_si128()}, y = {b, _mm_setzero_si128()};
	struct simd_outcome2 o = simd_dot(c, i, x, y, false);

	if (o.ok)
		fp_set_xmm(c, i->reg, o.v.lo);
	return o.ok;
}
static __attribute__((noinline)) bool dot_pd(struct soft_cpu *c, const struct cv_insn *i, __m128i b)
{
	struct simd_outcome o = simd_dot_pd(c, i, fp_xmm(c, i->reg), b);

	if (o.ok)
		fp_set_xmm(c, i->reg, o.v);
	return o.ok;
}
FP_HANDLER(dpps_r)
{
	FP_SSE();
	return dot_ps(c, i, fp_xmm(c, i->rm));
}
FP_HANDLER(dpps_m)
{
	FP_SSE();
	FP_LOAD128A(v);
	return dot_ps(c, i, v);
}
FP_HANDLER(dppd_r)
{
	FP_SSE();
	return dot_pd(c, i, fp_xmm(c, i->rm));
}
FP_HANDLER(dppd_m)
{
	FP_SSE();
	FP_LOAD128A(v);
	return dot_pd(c, i, v);
}

/* --- Into RFLAGS; from and to general registers --- */

#define FROM_SOURCE(name, how, src) \
FP_HANDLER(name##_r) \
{ \
	FP_SSE(); \
	return how(c, i, &name##_op, fp_xmm(c, i->rm), slow); \
} \
FP_HANDLER(name##_m) \
{ \
	FP_SSE(); \
	LOAD_##src; \
	return how(c, i, &name##_op, v, slow); \
}
FROM_SOURCE(ucomiss, simd_compare, SS)
FROM_SOURCE(ucomisd, simd_compare, SD)
FROM_SOURCE(comiss, simd_compare, SS)
FROM_SOURCE(comisd, simd_compare, SD)
FROM_SOURCE(cvtss2si, simd_to_int, SS)
FROM_SOURCE(cvttss2si, simd_to_int, SS)
FROM_SOURCE(cvtsd2si, simd_to_int, SD)
FROM_SOURCE(cvttsd2si, simd_to_int, SD)

#define FROM_INT(name) \
FP_HANDLER(name##_r) \
{ \
	FP_SSE(); \
	return to_xmm(c, i, &name##_op, fp_from64(c->s.gpr[i->rm]), i->rex & 8, slow); \
} \
FP_HANDLER(name##_m) \
{ \
	FP_SSE(); \
	if (i->rex & 8) { \
		FP_LOAD(64, v); \
		return to_xmm(c, i, &name##_op, fp_from64(v), 8, slow); \
	} \
	FP_LOAD(32, v); \
	return to_xmm(c, i, &name##_op, fp_from64(v), 0, slow); \
}
FROM_INT(cvtsi2ss)
FROM_INT(cvtsi2sd)

/* --- Conversion from and to MMX registers --- */

/* The low two singles of a take b's two integers. */
static __m128i pi2ps(__m128i a, __m128i b, unsigned imm)
{
	(void)imm;
	__asm__ volatile("cvtdq2ps %1, %1\n\tmovsd %1, %0" : "+x"(a), "+x"(b));
	return a;
}
static const struct simd_op pi2ps_op = {pi2ps, EXACT, 0, 0};
FP_HANDLER(cvtpi2ps_r)
{
	FP_SSE();
	FP_MMX();
	fp_mmx_enter(c);
	return to_xmm(c, i, &pi2ps_op, fp_from64(fp_mm(c, i->rm)), 0, slow);
}
FP_HANDLER(cvtpi2ps_m) /* touches no MMX state, as cvtpi2pd_m */
{
	FP_SSE();
	FP_LOAD(64, v);
	return to_xmm(c, i, &pi2ps_op, fp_from64(v), 0, slow);
}
FP_HANDLER(cvtpi2pd_r)
{
	FP_SSE();
	FP_MMX();
	fp_mmx_enter(c);
	return to_xmm(c, i, &cvtdq2pd_op, fp_from64(fp_mm(c, i->rm)), 0, slow);
}
FP_HANDLER(cvtpi2pd_m) /* touches no MMX state */
{
	FP_SSE();
	FP_LOAD(64, v);
	return to_xmm(c, i, &cvtdq2pd_op, fp_from64(v), 0, slow);
}

static __attribute__((noinline)) bool to_mm(struct soft_cpu *c, const struct cv_insn *i, const struct simd_op *op, __m128i b)
{
	struct simd_outcome o = simd_careful(c, i, op, b, b, 0);

	fp_mmx_enter(c);
	if (o.ok)
		fp_set_mm(c, i->reg, fp_low64(o.v));
	return o.ok;
}
#define TO_MM_OP(name, op, reg_operand, src) \
FP_HANDLER(name##_r) \
{ \
	FP_SSE(); \
	FP_MMX(); \
	return to_mm(c, i, op, reg_operand); \
} \
FP_HANDLER(name##_m) \
{ \
	FP_SSE(); \
	FP_MMX(); \
	LOAD_##src; \
	return to_mm(c, i, op, v); \
}
TO_MM_OP(cvtps2pi, &cvtps2dq_op, _mm_move_epi64(fp_xmm(c, i->rm)), PS_LOW)
TO_MM_OP(cvttps2pi, &cvttps2dq_op, _mm_move_epi64(fp_xmm(c, i->rm)), PS_LOW)
TO_MM_OP(cvtpd2pi, &cvtpd2dq_op, fp_xmm(c, i->rm), PD)
TO_MM_OP(cvttpd2pi, &cvttpd2dq_op, fp_xmm(c, i->rm), PD)

/* --- RCP and RSQRT --- */

#define APPROXIMATE(name, src, f, elements) \
FP_HANDLER(name##_r) \
{ \
	FP_SSE(); \
	fp_set_xmm(c, i->reg, f(fp_xmm(c, i->reg), fp_xmm(c, i->rm), elements)); \
	return true; \
} \
FP_HANDLER(name##_m) \
{ \
	FP_SSE(); \
	LOAD_##src; \
	fp_set_xmm(c, i->reg, f(fp_xmm(c, i->reg), v, elements)); \
	return true; \
}
APPROXIMATE(rcpps, PS, simd_rcp, 4)
APPROXIMATE(rcpss, SS, simd_rcp, 1)
APPROXIMATE(rsqrtps, PS, simd_rsqrt, 4)
APPROXIMATE(rsqrtss, SS, simd_rsqrt, 1)

/* --- MXCSR itself --- */

FP_HANDLER(ldmxcsr_m)
{
	FP_SSE();
	FP_LOAD(32, v);
	if (v & ~0xffffull) {
		soft_raise_error(c, i, EXC_GP, 0);
		return false;
	}
	c->s.mxcsr = (uint32_t)v;
	return true;
}
FP_HANDLER(stmxcsr_m)
{
	FP_SSE();
	return FP_STORE(c->s.mxcsr, 4);
}
