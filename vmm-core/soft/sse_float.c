/* SPDX-License-Identifier: MIT */
/*
 * SSE: floating-point arithmetic, comparison, conversion and rounding.
 *
 * Results and flags depend on operands and MXCSR alone, so the host's instruction computes them. With the power-on
 * controls (round to nearest, all masked, no DAZ, no FTZ), which are the host's own, an operation just runs; if the host
 * has then no sticky flag that the guest hasn't, nothing is left to do. Otherwise it runs again with the guest's controls
 * loaded, all masked and no flag set: what is set afterwards is what it met. Results that an unmasked exception forbids are
 * dropped. Inline assembly keeps the compiler from moving or folding any of it.
 *
 * RCP and RSQRT, which hosts approximate each in their own way, are defined at the end of this file.
 */
#include "vmm-core/state.h"

#pragma GCC target("sse4.2")
#include <immintrin.h>

#define SOFT_CORE 1
#include "vmm-core/soft/fp.h"

enum { MXCSR_DEFAULT = 0x1f80, MXCSR_DAZ = 0x40, MXCSR_UM = 0x800, MXCSR_FTZ = 0x8000, MXCSR_RC = 0x6000 };

FP_INLINE uint32_t host_mxcsr(void)
{
	uint32_t v;

	__asm__ volatile("stmxcsr %0" : "=m"(v));
	return v;
}
FP_INLINE void set_host_mxcsr(uint32_t v)
{
	__asm__ volatile("ldmxcsr %0" : : "m"(v));
}

/* After an operation on the host's controls: is all as the guest would have it? */
FP_INLINE bool plain(const struct soft_cpu *c)
{
	uint32_t g = c->s.mxcsr;

	return likely((g | FSW_EXCEPTIONS) == (MXCSR_DEFAULT | FSW_EXCEPTIONS) && (host_mxcsr() | g) == g);
}

/* The guest's controls, masked. FTZ counts only while underflow is masked. */
static uint32_t guest_controls(const struct soft_cpu *c)
{
	uint32_t g = c->s.mxcsr;

	return MXCSR_DEFAULT | (g & (MXCSR_RC | MXCSR_DAZ)) | (g & MXCSR_UM ? g & MXCSR_FTZ : 0);
}

/* What the result is made of: for telling exact tiny results, which only an unmasked underflow reports. */
enum result { R_OTHER, R_PS, R_PD, R_SS, R_SD, R_PS_LOW };

static bool has_denormal(__m128i v, enum result kind)
{
	uint32_t w[4];
	uint64_t d[2];

	memcpy(w, &v, 16);
	memcpy(d, &v, 16);
	switch (kind) {
	case R_PS:
	case R_PS_LOW:
	case R_SS:
		for (unsigned k = 0; k < (kind == R_PS ? 4 : kind == R_PS_LOW ? 2 : 1); k++)
			if (w[k] << 1 && !(w[k] & 0x7f800000))
				return true;
		return false;
	case R_PD:
	case R_SD:
		for (unsigned k = 0; k < (kind == R_PD ? 2 : 1); k++)
			if (d[k] << 1 && !(d[k] & 0x7ff0000000000000ull))
				return true;
		return false;
	default: return false;
	}
}

/* destination, source, immediate */
typedef __m128i vector_op(__m128i a, __m128i b, unsigned imm);

struct outcome {
	__m128i v;
	bool ok;
};

/* Runs with the guest's controls and sets its flags; ok: no exception. */
static __attribute__((noinline)) struct outcome careful(struct soft_cpu *c, const struct cv_insn *i, vector_op *op,
							__m128i a, __m128i b, unsigned imm, enum result kind)
{
	struct outcome o;
	unsigned flags;

	set_host_mxcsr(guest_controls(c));
	o.v = op(a, b, imm);
	flags = host_mxcsr() & FSW_EXCEPTIONS;
	set_host_mxcsr(MXCSR_DEFAULT);
	if (!(c->s.mxcsr & MXCSR_UM) && has_denormal(o.v, kind))
		flags |= FSW_UE;
	o.ok = fp_simd_flags(c, i, flags);
	/* The host's sticky flags stay within the guest's, so that the next operation needs no second run. */
	set_host_mxcsr(MXCSR_DEFAULT | (flags & c->s.mxcsr));
	return o;
}
static __attribute__((noinline)) void careful_to_xmm(struct soft_cpu *c, const struct cv_insn *i, vector_op *op, __m128i b,
						     unsigned imm, enum result kind)
{
	struct outcome o = careful(c, i, op, fp_xmm(c, i->reg), b, imm, kind);

	if (o.ok)
		fp_set_xmm(c, i->reg, o.v);
}

/* xmm[reg] = op(xmm[reg], b) */
FP_INLINE int to_xmm(struct soft_cpu *c, const struct cv_insn *i, vector_op *op, __m128i b, unsigned imm,
		     enum result kind, const bool slow)
{
	__m128i v = op(fp_xmm(c, i->reg), b, imm);

	if (plain(c)) {
		fp_set_xmm(c, i->reg, v);
		return true;
	}
	if (!slow)
		return FP_MISS;
	c->fault.vector = -1;
	careful_to_xmm(c, i, op, b, imm, kind);
	return c->fault.vector < 0;
}

#define LOAD_PS FP_LOAD128A(v)
#define LOAD_PD FP_LOAD128A(v)
#define LOAD_SS FP_LOAD(32, v64); __m128i v = fp_from64(v64)
#define LOAD_SD FP_LOAD(64, v64); __m128i v = fp_from64(v64)
#define LOAD_PS_LOW LOAD_SD

/* One instruction of two operands; SRC: how memory is read; KIND: what the result is. */
#define FLOAT_OP(name, insn, src, kind) \
FP_INLINE __m128i name##_of(__m128i a, __m128i b, unsigned imm) \
{ \
	(void)imm; \
	__asm__ volatile(insn " %1, %0" : "+x"(a) : "x"(b)); \
	return a; \
} \
FP_HANDLERS(name, src, kind, 0)

#define FP_HANDLERS(name, src, kind, imm) \
FP_HANDLER(name##_r) \
{ \
	FP_SSE(); \
	return to_xmm(c, i, name##_of, fp_xmm(c, i->rm), imm, kind, slow); \
} \
FP_HANDLER(name##_m) \
{ \
	FP_SSE(); \
	LOAD_##src; \
	return to_xmm(c, i, name##_of, v, imm, kind, slow); \
}

#define FLOAT4(name) \
	FLOAT_OP(name##ps, #name "ps", PS, R_PS) \
	FLOAT_OP(name##pd, #name "pd", PD, R_PD) \
	FLOAT_OP(name##ss, #name "ss", SS, R_SS) \
	FLOAT_OP(name##sd, #name "sd", SD, R_SD)
/* The same where no result can be tiny by computing. */
#define FLOAT4_EXACT(name) \
	FLOAT_OP(name##ps, #name "ps", PS, R_OTHER) \
	FLOAT_OP(name##pd, #name "pd", PD, R_OTHER) \
	FLOAT_OP(name##ss, #name "ss", SS, R_OTHER) \
	FLOAT_OP(name##sd, #name "sd", SD, R_OTHER)

FLOAT4(add)
FLOAT4(sub)
FLOAT4(mul)
FLOAT4(div)
FLOAT4_EXACT(min)
FLOAT4_EXACT(max)
FLOAT4_EXACT(sqrt)
FLOAT_OP(addsubps, "addsubps", PS, R_PS)
FLOAT_OP(addsubpd, "addsubpd", PD, R_PD)
FLOAT_OP(haddps, "haddps", PS, R_PS)
FLOAT_OP(haddpd, "haddpd", PD, R_PD)
FLOAT_OP(hsubps, "hsubps", PS, R_PS)
FLOAT_OP(hsubpd, "hsubpd", PD, R_PD)

FLOAT_OP(cvtps2pd, "cvtps2pd", PS_LOW, R_OTHER)
FLOAT_OP(cvtpd2ps, "cvtpd2ps", PD, R_PS_LOW)
FLOAT_OP(cvtss2sd, "cvtss2sd", SS, R_OTHER)
FLOAT_OP(cvtsd2ss, "cvtsd2ss", SD, R_SS)
FLOAT_OP(cvtdq2ps, "cvtdq2ps", PS, R_OTHER)
FLOAT_OP(cvtps2dq, "cvtps2dq", PS, R_OTHER)
FLOAT_OP(cvttps2dq, "cvttps2dq", PS, R_OTHER)
FLOAT_OP(cvtdq2pd, "cvtdq2pd", PS_LOW, R_OTHER)
FLOAT_OP(cvtpd2dq, "cvtpd2dq", PD, R_OTHER)
FLOAT_OP(cvttpd2dq, "cvttpd2dq", PD, R_OTHER)

/* --- With an immediate: one host instruction for each value that means something --- */

#define CASE(insn, k) case k: __asm__ volatile(insn " $" #k ", %1, %0" : "+x"(a) : "x"(b)); break;
#define CMP_OP(name, insn, src) \
static __m128i name##_of(__m128i a, __m128i b, unsigned imm) \
{ \
	switch (imm & 7) { \
	CASE(insn, 0) CASE(insn, 1) CASE(insn, 2) CASE(insn, 3) CASE(insn, 4) CASE(insn, 5) CASE(insn, 6) CASE(insn, 7) \
	} \
	return a; \
} \
FP_HANDLERS(name, src, R_OTHER, (unsigned)i->imm)
CMP_OP(cmpps, "cmpps", PS)
CMP_OP(cmppd, "cmppd", PD)
CMP_OP(cmpss, "cmpss", SS)
CMP_OP(cmpsd, "cmpsd", SD)

/* Bits 1:0 round, unless bit 2 says as MXCSR does; bit 3: inexact is no exception. */
#define ROUND_OP(name, insn, src) \
static __m128i name##_of(__m128i a, __m128i b, unsigned imm) \
{ \
	switch (imm & 4 ? imm & 12 : imm & 11) { \
	CASE(insn, 0) CASE(insn, 1) CASE(insn, 2) CASE(insn, 3) CASE(insn, 4) \
	CASE(insn, 8) CASE(insn, 9) CASE(insn, 10) CASE(insn, 11) CASE(insn, 12) \
	} \
	return a; \
} \
FP_HANDLERS(name, src, R_OTHER, (unsigned)i->imm)
ROUND_OP(roundps, "roundps", PS)
ROUND_OP(roundpd, "roundpd", PD)
ROUND_OP(roundss, "roundss", SS)
ROUND_OP(roundsd, "roundsd", SD)

/*
 * Dot products: multiply, then add in the SDM's order, each stage with its own exceptions. Elements that imm leaves out of
 * the product are 0, and 0 * 0 meets nothing.
 */
static __m128i keep_elements(__m128i v, unsigned imm, unsigned elements)
{
	uint32_t w[4];

	memcpy(w, &v, 16);
	for (unsigned k = 0; k < 4; k++)
		if (!(imm >> (elements == 4 ? k : k / 2) & 1))
			w[k] = 0;
	memcpy(&v, w, 16);
	return v;
}
static bool dot_ps(struct soft_cpu *c, const struct cv_insn *i, __m128i b)
{
	unsigned imm = (unsigned)i->imm;
	struct outcome o = careful(c, i, mulps_of, keep_elements(fp_xmm(c, i->reg), imm >> 4, 4),
				   keep_elements(b, imm >> 4, 4), 0, R_PS);

	for (unsigned stage = 0; stage < 2 && o.ok; stage++)
		o = careful(c, i, haddps_of, o.v, o.v, 0, R_PS);
	if (o.ok)
		fp_set_xmm(c, i->reg, keep_elements(o.v, imm, 4));
	return o.ok;
}
static bool dot_pd(struct soft_cpu *c, const struct cv_insn *i, __m128i b)
{
	unsigned imm = (unsigned)i->imm;
	struct outcome o = careful(c, i, mulpd_of, keep_elements(fp_xmm(c, i->reg), imm >> 4, 2),
				   keep_elements(b, imm >> 4, 2), 0, R_PD);

	if (o.ok)
		o = careful(c, i, haddpd_of, o.v, o.v, 0, R_PD);
	if (o.ok)
		fp_set_xmm(c, i->reg, keep_elements(o.v, imm, 2));
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

/* --- Comparison into RFLAGS --- */

#define COMPARE_OP(name, insn, src) \
FP_INLINE __m128i name##_of(__m128i a, __m128i b, unsigned imm) \
{ \
	bool cf, zf, pf; \
\
	(void)imm; \
	__asm__ volatile(insn " %4, %3" : "=@ccc"(cf), "=@ccz"(zf), "=@ccp"(pf) : "x"(a), "x"(b)); \
	return _mm_cvtsi32_si128((cf ? CV_FLAG_CF : 0) | (zf ? CV_FLAG_ZF : 0) | (pf ? CV_FLAG_PF : 0)); \
} \
FP_HANDLER(name##_r) \
{ \
	FP_SSE(); \
	return to_flags(c, i, name##_of, fp_xmm(c, i->rm), slow); \
} \
FP_HANDLER(name##_m) \
{ \
	FP_SSE(); \
	LOAD_##src; \
	return to_flags(c, i, name##_of, v, slow); \
}
static __attribute__((noinline)) void careful_to_flags(struct soft_cpu *c, const struct cv_insn *i, vector_op *op, __m128i b)
{
	struct outcome o = careful(c, i, op, fp_xmm(c, i->reg), b, 0, R_OTHER);

	if (o.ok)
		soft_set_arith(c, (unsigned)_mm_cvtsi128_si32(o.v));
}
FP_INLINE int to_flags(struct soft_cpu *c, const struct cv_insn *i, vector_op *op, __m128i b, const bool slow)
{
	__m128i v = op(fp_xmm(c, i->reg), b, 0);

	if (plain(c)) {
		soft_set_arith(c, (unsigned)_mm_cvtsi128_si32(v));
		return true;
	}
	if (!slow)
		return FP_MISS;
	c->fault.vector = -1;
	careful_to_flags(c, i, op, b);
	return c->fault.vector < 0;
}
COMPARE_OP(ucomiss, "ucomiss", SS)
COMPARE_OP(ucomisd, "ucomisd", SD)
COMPARE_OP(comiss, "comiss", SS)
COMPARE_OP(comisd, "comisd", SD)

/* --- Conversion from and to general registers --- */

/* imm: 8 for a 64-bit integer */
#define FROM_INT_OP(name, insn, kind) \
FP_INLINE __m128i name##_of(__m128i a, __m128i b, unsigned imm) \
{ \
	uint64_t n = fp_low64(b); \
\
	if (imm) \
		__asm__ volatile(insn "q %1, %0" : "+x"(a) : "r"(n)); \
	else \
		__asm__ volatile(insn "l %k1, %0" : "+x"(a) : "r"(n)); \
	return a; \
} \
FP_HANDLER(name##_r) \
{ \
	FP_SSE(); \
	return to_xmm(c, i, name##_of, fp_from64(c->s.gpr[i->rm]), i->rex & 8, kind, slow); \
} \
FP_HANDLER(name##_m) \
{ \
	FP_SSE(); \
	if (i->rex & 8) { \
		FP_LOAD(64, v); \
		return to_xmm(c, i, name##_of, fp_from64(v), 8, kind, slow); \
	} \
	FP_LOAD(32, v); \
	return to_xmm(c, i, name##_of, fp_from64(v), 0, kind, slow); \
}
FROM_INT_OP(cvtsi2ss, "cvtsi2ss", R_OTHER)
FROM_INT_OP(cvtsi2sd, "cvtsi2sd", R_OTHER)

static __attribute__((noinline)) void careful_to_gpr(struct soft_cpu *c, const struct cv_insn *i, vector_op *op, __m128i b)
{
	struct outcome o = careful(c, i, op, b, b, i->rex & 8, R_OTHER);

	if (o.ok)
		fp_set_gpr(c, i, i->reg, fp_low64(o.v));
}
FP_INLINE int to_gpr(struct soft_cpu *c, const struct cv_insn *i, vector_op *op, __m128i b, const bool slow)
{
	__m128i v = op(b, b, i->rex & 8);

	if (plain(c)) {
		fp_set_gpr(c, i, i->reg, fp_low64(v));
		return true;
	}
	if (!slow)
		return FP_MISS;
	c->fault.vector = -1;
	careful_to_gpr(c, i, op, b);
	return c->fault.vector < 0;
}
#define TO_INT_OP(name, insn, src) \
FP_INLINE __m128i name##_of(__m128i a, __m128i b, unsigned imm) \
{ \
	uint64_t n; \
\
	(void)a; \
	if (imm) \
		__asm__ volatile(insn " %1, %0" : "=r"(n) : "x"(b)); \
	else \
		__asm__ volatile(insn " %1, %k0" : "=r"(n) : "x"(b)); \
	return fp_from64(n); \
} \
FP_HANDLER(name##_r) \
{ \
	FP_SSE(); \
	return to_gpr(c, i, name##_of, fp_xmm(c, i->rm), slow); \
} \
FP_HANDLER(name##_m) \
{ \
	FP_SSE(); \
	LOAD_##src; \
	return to_gpr(c, i, name##_of, v, slow); \
}
TO_INT_OP(cvtss2si, "cvtss2si", SS)
TO_INT_OP(cvttss2si, "cvttss2si", SS)
TO_INT_OP(cvtsd2si, "cvtsd2si", SD)
TO_INT_OP(cvttsd2si, "cvttsd2si", SD)

/* --- Conversion from and to MMX registers --- */

/* The low two singles of a take b's two integers. */
static __m128i pi2ps(__m128i a, __m128i b, unsigned imm)
{
	(void)imm;
	__asm__ volatile("cvtdq2ps %1, %1\n\tmovsd %1, %0" : "+x"(a), "+x"(b));
	return a;
}
FP_HANDLER(cvtpi2ps_r)
{
	FP_SSE();
	FP_MMX();
	fp_mmx_enter(c);
	return to_xmm(c, i, pi2ps, fp_from64(fp_mm(c, i->rm)), 0, R_OTHER, slow);
}
FP_HANDLER(cvtpi2ps_m)
{
	FP_SSE();
	FP_MMX();
	FP_LOAD(64, v);
	fp_mmx_enter(c);
	return to_xmm(c, i, pi2ps, fp_from64(v), 0, R_OTHER, slow);
}
FP_HANDLER(cvtpi2pd_r)
{
	FP_SSE();
	FP_MMX();
	fp_mmx_enter(c);
	return to_xmm(c, i, cvtdq2pd_of, fp_from64(fp_mm(c, i->rm)), 0, R_OTHER, slow);
}
FP_HANDLER(cvtpi2pd_m) /* touches no MMX state */
{
	FP_SSE();
	FP_LOAD(64, v);
	return to_xmm(c, i, cvtdq2pd_of, fp_from64(v), 0, R_OTHER, slow);
}

static bool to_mm(struct soft_cpu *c, const struct cv_insn *i, vector_op *op, __m128i b)
{
	struct outcome o = careful(c, i, op, b, b, 0, R_OTHER);

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
TO_MM_OP(cvtps2pi, cvtps2dq_of, _mm_move_epi64(fp_xmm(c, i->rm)), PS_LOW)
TO_MM_OP(cvttps2pi, cvttps2dq_of, _mm_move_epi64(fp_xmm(c, i->rm)), PS_LOW)
TO_MM_OP(cvtpd2pi, cvtpd2dq_of, fp_xmm(c, i->rm), PD)
TO_MM_OP(cvttpd2pi, cvttpd2dq_of, fp_xmm(c, i->rm), PD)

/* --- RCP and RSQRT --- */

/*
 * The definition, on every host: the exact value rounded to nearest (ties to even) with 12 bits of significand; the
 * relative error is at most 2^-12, which the SDM's bound of 1.5 * 2^-12 allows. Denormal operands count as zero and
 * results too small for a normal number are zero, whatever DAZ and FTZ say; no flag is touched.
 */
enum { NAN_DEFAULT = (int)0xffc00000u, INF = 0x7f800000 };

/* (q + rest != 0) / 2^shift, rounded to a 12-bit significand in [2^11, 2^12]: q has at least 14 bits */
static uint32_t round12(uint64_t q, bool rest, unsigned *shift)
{
	unsigned drop = 64 - 12 - (unsigned)__builtin_clzll(q);
	uint64_t kept = q >> drop, lost = q & ((1ull << drop) - 1), half = 1ull << (drop - 1);

	*shift = drop;
	return (uint32_t)kept + (lost > half || (lost == half && (rest || kept & 1)));
}

/* A 12-bit significand (or 2^12) times 2^(exp - 11). */
static uint32_t pack(uint32_t sign, int exp, uint32_t sig)
{
	if (sig == 4096) {
		sig = 2048;
		exp++;
	}
	if (exp < -126)
		return sign;
	if (exp > 127)
		return sign | INF;
	return sign | (uint32_t)(exp + 127) << 23 | (sig & 2047) << 12;
}

static uint32_t reciprocal(uint32_t x)
{
	uint32_t sign = x & 0x80000000u, exp = (x >> 23) & 255, sig = (x & 0x7fffff) | 0x800000, r;
	uint64_t q = (1ull << 48) / sig; /* 1/significand is in (2^24, 2^25] / 2^25 */
	unsigned shift;

	if (exp == 255)
		return x & 0x7fffff ? x | 0x400000 : sign;
	if (exp == 0)
		return sign | INF;
	r = round12(q, (1ull << 48) % sig != 0, &shift);
	/* q = 2^48 / sig, 1/x = q * 2^-25 * 2^(127 - exp) */
	return pack(sign, 127 - (int)exp - 25 + (int)shift + 11, r);
}

static uint32_t reciprocal_root(uint32_t x)
{
	uint32_t exp = (x >> 23) & 255, r;
	uint64_t sig = (x & 0x7fffff) | 0x800000, n, q = 0;
	unsigned shift;
	int e;

	if (exp == 255 && x & 0x7fffff)
		return x | 0x400000;
	if (exp == 0)
		return (x & 0x80000000u) | INF;
	if (x >> 31)
		return (uint32_t)NAN_DEFAULT;
	if (exp == 255)
		return 0;
	/* x = sig * 2^e with e even; 1/sqrt(x) = sqrt(2^62 / sig) * 2^(-31 - e/2), and q * q <= 2^62 / sig */
	e = (int)exp - 150;
	if (e & 1) {
		sig <<= 1;
		e--;
	}
	n = (1ull << 62) / sig;
	for (uint64_t bit = 1ull << 20; bit; bit >>= 1)
		if ((q | bit) * (q | bit) <= n)
			q |= bit;
	r = round12(q, q * q * sig != 1ull << 62, &shift);
	return pack(0, -31 - e / 2 + (int)shift + 11, r);
}

static __m128i approximate(__m128i a, __m128i b, uint32_t (*f)(uint32_t), unsigned elements)
{
	uint32_t x[4], y[4];

	memcpy(x, &a, 16);
	memcpy(y, &b, 16);
	for (unsigned k = 0; k < elements; k++)
		x[k] = f(y[k]);
	memcpy(&a, x, 16);
	return a;
}
#define APPROXIMATE(name, src, f, elements) \
FP_HANDLER(name##_r) \
{ \
	FP_SSE(); \
	fp_set_xmm(c, i->reg, approximate(fp_xmm(c, i->reg), fp_xmm(c, i->rm), f, elements)); \
	return true; \
} \
FP_HANDLER(name##_m) \
{ \
	FP_SSE(); \
	LOAD_##src; \
	fp_set_xmm(c, i->reg, approximate(fp_xmm(c, i->reg), v, f, elements)); \
	return true; \
}
APPROXIMATE(rcpps, PS, reciprocal, 4)
APPROXIMATE(rcpss, SS, reciprocal, 1)
APPROXIMATE(rsqrtps, PS, reciprocal_root, 4)
APPROXIMATE(rsqrtss, SS, reciprocal_root, 1)

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
