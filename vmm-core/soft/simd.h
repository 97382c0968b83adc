/* SPDX-License-Identifier: MIT */
/*
 * SSE and AVX floating point on the host's SSE unit: what sse_float.c and the avx_*.c share.
 *
 * Results and flags depend on operands and MXCSR alone, so the host's instruction computes them, 128 bits at a time. The
 * engine runs with the host's power-on controls (round to nearest, all masked, no DAZ, no FTZ; cv_engine_ops.run sees to
 * it). Where they are the guest's too, an operation just runs; if the host has then no sticky flag that the guest hasn't,
 * nothing is left to do. Otherwise it runs again with the guest's controls loaded, all masked and no flag set: what is set
 * afterwards is what it met. Results that an unmasked exception forbids are dropped; of 256 bits both halves' exceptions
 * count before any is written. Inline assembly keeps the compiler from moving or folding any of it.
 */
#ifndef CV_SOFT_SIMD_H
#define CV_SOFT_SIMD_H

#include "vmm-core/soft/avx.h"

enum { MXCSR_DEFAULT = 0x1f80, MXCSR_DAZ = 0x40, MXCSR_OM = 0x400, MXCSR_UM = 0x800, MXCSR_FTZ = 0x8000, MXCSR_RC = 0x6000 };

FP_INLINE uint32_t simd_host_mxcsr(void)
{
	uint32_t v;

	__asm__ volatile("stmxcsr %0" : "=m"(v));
	return v;
}
FP_INLINE void simd_set_host_mxcsr(uint32_t v)
{
	__asm__ volatile("ldmxcsr %0" : : "m"(v));
}

/* After an operation on the host's controls: is all as the guest would have it? */
FP_INLINE bool simd_plain(const struct soft_cpu *c)
{
	uint32_t g = c->s.mxcsr;

	return likely((g | FSW_EXCEPTIONS) == (MXCSR_DEFAULT | FSW_EXCEPTIONS) && (simd_host_mxcsr() | g) == g);
}

/* destination or first source, source, immediate */
typedef __m128i simd_run(__m128i a, __m128i b, unsigned imm);

/* How lane k of the result comes from its operands: what unmasked overflow and underflow ask. */
enum simd_lanes { EXACT /* neither can happen */, ADD, SUB, MUL, DIV, ADDSUB, HADD, HSUB, NARROW };

struct simd_op {
	simd_run *run;
	enum simd_lanes how;
	uint8_t lanes; /* of 128 bits of result, computed ones */
	uint8_t width; /* of a lane's operands, in bits */
};

/* --- With the guest's controls: each sets the guest's flags and raises; ok, true: no exception --- */

struct simd_outcome {
	__m128i v;
	bool ok;
};
struct simd_outcome2 {
	struct avx v;
	bool ok;
};
struct simd_outcome simd_careful(struct soft_cpu *c, const struct cv_insn *i, const struct simd_op *op, __m128i a, __m128i b,
				 unsigned imm);
struct simd_outcome2 simd_careful2(struct soft_cpu *c, const struct cv_insn *i, const struct simd_op *op, struct avx a,
				   struct avx b, unsigned imm);
/* And write the result: to XMM, to YMM (xmm: the upper half becomes zero), to RFLAGS, to a general register. */
void simd_to_xmm(struct soft_cpu *c, const struct cv_insn *i, const struct simd_op *op, __m128i b, unsigned imm);
void simd_vex_to_xmm(struct soft_cpu *c, const struct cv_insn *i, const struct simd_op *op, __m128i a, __m128i b, unsigned imm);
void simd_vex_to_ymm(struct soft_cpu *c, const struct cv_insn *i, const struct simd_op *op, struct avx a, struct avx b,
		     unsigned imm);
void simd_to_flags(struct soft_cpu *c, const struct cv_insn *i, const struct simd_op *op, __m128i b);
void simd_to_gpr(struct soft_cpu *c, const struct cv_insn *i, const struct simd_op *op, __m128i b);

/* --- Bodies of handlers: the plain way, or the careful one --- */

/* What a body ends with: false where `act` raised. */
#define SIMD_CAREFULLY(act) \
	do { \
		if (!slow) \
			return FP_MISS; \
		c->fault.vector = -1; \
		act; \
		return c->fault.vector < 0; \
	} while (0)

/* RFLAGS = op(xmm[reg], b) */
FP_INLINE int simd_compare(struct soft_cpu *c, const struct cv_insn *i, const struct simd_op *op, __m128i b, const bool slow)
{
	__m128i v = op->run(fp_xmm(c, i->reg), b, 0);

	if (simd_plain(c)) {
		soft_set_arith(c, (unsigned)_mm_cvtsi128_si32(v));
		return true;
	}
	SIMD_CAREFULLY(simd_to_flags(c, i, op, b));
}
/* gpr[reg] = op(b) */
FP_INLINE int simd_to_int(struct soft_cpu *c, const struct cv_insn *i, const struct simd_op *op, __m128i b, const bool slow)
{
	__m128i v = op->run(b, b, i->rex & 8);

	if (simd_plain(c)) {
		fp_set_gpr(c, i, i->reg, fp_low64(v));
		return true;
	}
	SIMD_CAREFULLY(simd_to_gpr(c, i, op, b));
}

/* VEX: xmm[reg] = op(a, b); ymm[reg] = op(a, b) */
FP_INLINE int simd_xmm(struct soft_cpu *c, const struct cv_insn *i, const struct simd_op *op, __m128i a, __m128i b, unsigned imm,
		       const bool slow)
{
	__m128i v = op->run(a, b, imm);

	if (simd_plain(c)) {
		avx_set_xmm(c, i->reg, v);
		return true;
	}
	SIMD_CAREFULLY(simd_vex_to_xmm(c, i, op, a, b, imm));
}
FP_INLINE int simd_ymm(struct soft_cpu *c, const struct cv_insn *i, const struct simd_op *op, struct avx a, struct avx b,
		       unsigned imm, const bool slow)
{
	struct avx v = {op->run(a.lo, b.lo, imm), op->run(a.hi, b.hi, imm)};

	if (simd_plain(c)) {
		avx_set_ymm(c, i->reg, v);
		return true;
	}
	SIMD_CAREFULLY(simd_vex_to_ymm(c, i, op, a, b, imm));
}

/*
 * The handlers of a VEX operation `name` whose first source is vvvv (where it has one), by the host's operation `op`:
 * packed, and scalar with a memory operand of so many bits.
 */
#define SIMD_VEX_PACKED(name, op, imm) \
	FP_HANDLER(name##_m) \
	{ \
		FP_AVX(); \
		FP_LOAD128(b); \
		return simd_xmm(c, i, &op##_op, fp_xmm(c, i->vvvv), b, imm, slow); \
	} \
	FP_HANDLER(name##_r) \
	{ \
		FP_AVX(); \
		return simd_xmm(c, i, &op##_op, fp_xmm(c, i->vvvv), fp_xmm(c, i->rm), imm, slow); \
	} \
	FP_HANDLER(name##_my) \
	{ \
		FP_AVX(); \
		AVX_LOAD256(b); \
		return simd_ymm(c, i, &op##_op, avx_ymm(c, i->vvvv), b, imm, slow); \
	} \
	FP_HANDLER(name##_ry) \
	{ \
		FP_AVX(); \
		return simd_ymm(c, i, &op##_op, avx_ymm(c, i->vvvv), avx_ymm(c, i->rm), imm, slow); \
	}
#define SIMD_VEX_SCALAR(name, op, bits, imm) \
	FP_HANDLER(name##_m) \
	{ \
		FP_AVX(); \
		FP_LOAD(bits, b); \
		return simd_xmm(c, i, &op##_op, fp_xmm(c, i->vvvv), fp_from64(b), imm, slow); \
	} \
	FP_HANDLER(name##_r) \
	{ \
		FP_AVX(); \
		return simd_xmm(c, i, &op##_op, fp_xmm(c, i->vvvv), fp_xmm(c, i->rm), imm, slow); \
	}

/* --- The operations --- */

/* One instruction of two operands; then what struct simd_op has beside the function. */
#define SIMD_OP(name, insn, ...) \
	FP_INLINE __m128i name##_of(__m128i a, __m128i b, unsigned imm) \
	{ \
		(void)imm; \
		__asm__ volatile(insn " %1, %0" : "+x"(a) : "x"(b)); \
		return a; \
	} \
	static const struct simd_op name##_op = {name##_of, __VA_ARGS__};
#define SIMD_OP4(name, how) \
	SIMD_OP(name##ps, #name "ps", how, 4, 32) \
	SIMD_OP(name##pd, #name "pd", how, 2, 64) \
	SIMD_OP(name##ss, #name "ss", how, 1, 32) \
	SIMD_OP(name##sd, #name "sd", how, 1, 64)
SIMD_OP4(add, ADD)
SIMD_OP4(sub, SUB)
SIMD_OP4(mul, MUL)
SIMD_OP4(div, DIV)
SIMD_OP4(min, EXACT)
SIMD_OP4(max, EXACT)
SIMD_OP4(sqrt, EXACT)
SIMD_OP(addsubps, "addsubps", ADDSUB, 4, 32)
SIMD_OP(addsubpd, "addsubpd", ADDSUB, 2, 64)
SIMD_OP(haddps, "haddps", HADD, 4, 32)
SIMD_OP(haddpd, "haddpd", HADD, 2, 64)
SIMD_OP(hsubps, "hsubps", HSUB, 4, 32)
SIMD_OP(hsubpd, "hsubpd", HSUB, 2, 64)
SIMD_OP(cvtps2pd, "cvtps2pd", EXACT, 0, 0)
SIMD_OP(cvtpd2ps, "cvtpd2ps", NARROW, 2, 64)
SIMD_OP(cvtss2sd, "cvtss2sd", EXACT, 0, 0)
SIMD_OP(cvtsd2ss, "cvtsd2ss", NARROW, 1, 64)
SIMD_OP(cvtdq2ps, "cvtdq2ps", EXACT, 0, 0)
SIMD_OP(cvtps2dq, "cvtps2dq", EXACT, 0, 0)
SIMD_OP(cvttps2dq, "cvttps2dq", EXACT, 0, 0)
SIMD_OP(cvtdq2pd, "cvtdq2pd", EXACT, 0, 0)
SIMD_OP(cvtpd2dq, "cvtpd2dq", EXACT, 0, 0)
SIMD_OP(cvttpd2dq, "cvttpd2dq", EXACT, 0, 0)

/* With an immediate: one host instruction for each value that means something. */
#define SIMD_CASE(insn, k) \
	case k: __asm__ volatile(insn " $" #k ", %1, %0" : "+x"(a) : "x"(b)); break;
#define SIMD_CMP_OP(name) \
	static inline __m128i name##_of(__m128i a, __m128i b, unsigned imm) \
	{ \
		switch (imm & 7) { \
		SIMD_CASE(#name, 0) SIMD_CASE(#name, 1) SIMD_CASE(#name, 2) SIMD_CASE(#name, 3) \
		SIMD_CASE(#name, 4) SIMD_CASE(#name, 5) SIMD_CASE(#name, 6) SIMD_CASE(#name, 7) \
		} \
		return a; \
	} \
	static const struct simd_op name##_op = {name##_of, EXACT, 0, 0};
SIMD_CMP_OP(cmpps)
SIMD_CMP_OP(cmppd)
SIMD_CMP_OP(cmpss)
SIMD_CMP_OP(cmpsd)

/* Bits 1:0 round, unless bit 2 says as MXCSR does; bit 3: inexact is no exception. */
#define SIMD_ROUND_OP(name) \
	static inline __m128i name##_of(__m128i a, __m128i b, unsigned imm) \
	{ \
		switch (imm & 4 ? imm & 12 : imm & 11) { \
		SIMD_CASE(#name, 0) SIMD_CASE(#name, 1) SIMD_CASE(#name, 2) SIMD_CASE(#name, 3) SIMD_CASE(#name, 4) \
		SIMD_CASE(#name, 8) SIMD_CASE(#name, 9) SIMD_CASE(#name, 10) SIMD_CASE(#name, 11) SIMD_CASE(#name, 12) \
		} \
		return a; \
	} \
	static const struct simd_op name##_op = {name##_of, EXACT, 0, 0};
SIMD_ROUND_OP(roundps)
SIMD_ROUND_OP(roundpd)
SIMD_ROUND_OP(roundss)
SIMD_ROUND_OP(roundsd)

/* ZF, PF, CF of a comparison, as a number. */
#define SIMD_COMPARE_OP(name) \
	FP_INLINE __m128i name##_of(__m128i a, __m128i b, unsigned imm) \
	{ \
		bool cf, zf, pf; \
\
		(void)imm; \
		__asm__ volatile(#name " %4, %3" : "=@ccc"(cf), "=@ccz"(zf), "=@ccp"(pf) : "x"(a), "x"(b)); \
		return _mm_cvtsi32_si128((cf ? CV_FLAG_CF : 0) | (zf ? CV_FLAG_ZF : 0) | (pf ? CV_FLAG_PF : 0)); \
	} \
	static const struct simd_op name##_op = {name##_of, EXACT, 0, 0};
SIMD_COMPARE_OP(ucomiss)
SIMD_COMPARE_OP(ucomisd)
SIMD_COMPARE_OP(comiss)
SIMD_COMPARE_OP(comisd)

/* From and to general registers. imm: 8 for a 64-bit integer. */
#define SIMD_FROM_INT_OP(name) \
	FP_INLINE __m128i name##_of(__m128i a, __m128i b, unsigned imm) \
	{ \
		uint64_t n = fp_low64(b); \
\
		if (imm) \
			__asm__ volatile(#name "q %1, %0" : "+x"(a) : "r"(n)); \
		else \
			__asm__ volatile(#name "l %k1, %0" : "+x"(a) : "r"(n)); \
		return a; \
	} \
	static const struct simd_op name##_op = {name##_of, EXACT, 0, 0};
SIMD_FROM_INT_OP(cvtsi2ss)
SIMD_FROM_INT_OP(cvtsi2sd)
#define SIMD_TO_INT_OP(name) \
	FP_INLINE __m128i name##_of(__m128i a, __m128i b, unsigned imm) \
	{ \
		uint64_t n; \
\
		(void)a; \
		if (imm) \
			__asm__ volatile(#name " %1, %0" : "=r"(n) : "x"(b)); \
		else \
			__asm__ volatile(#name " %1, %k0" : "=r"(n) : "x"(b)); \
		return fp_from64(n); \
	} \
	static const struct simd_op name##_op = {name##_of, EXACT, 0, 0};
SIMD_TO_INT_OP(cvtss2si)
SIMD_TO_INT_OP(cvttss2si)
SIMD_TO_INT_OP(cvtsd2si)
SIMD_TO_INT_OP(cvttsd2si)

/* --- Dot products (simd.c), each lane by itself; the result for the elements that imm names --- */
struct simd_outcome2 simd_dot(struct soft_cpu *c, const struct cv_insn *i, struct avx a, struct avx b, bool both);
struct simd_outcome simd_dot_pd(struct soft_cpu *c, const struct cv_insn *i, __m128i a, __m128i b);

/* --- RCP and RSQRT (rcp.c): of the first `elements` of b, the others are a's --- */
__m128i simd_rcp(__m128i a, __m128i b, unsigned elements);
__m128i simd_rsqrt(__m128i a, __m128i b, unsigned elements);

#endif
