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

/* destination, source, immediate */
typedef __m128i vector_op(__m128i a, __m128i b, unsigned imm);

/* How lane k of the result comes from its operands: what unmasked overflow and underflow ask. */
enum lanes { EXACT /* neither can happen */, ADD, SUB, MUL, DIV, ADDSUB, HADD, HSUB, NARROW };

struct op {
	vector_op *run;
	enum lanes how;
	uint8_t lanes; /* of the result, computed ones */
	uint8_t width; /* of a lane's operands, in bits */
};

/* --- Unmasked overflow and underflow --- */

/*
 * They are met by the value rounded with an unbounded exponent (SDM 1 4.9.1.4, 4.9.1.5): a tiny result is an underflow
 * even if exact, and precision is lost only if the significand is too short. Lanes are computed one by one, with the
 * x87's wide exponents for those.
 */
struct lane {
	struct fp80 x, y;
	bool subtract;
};

static struct fp80 lane_value(struct fp_env *e, __m128i v, unsigned width, unsigned k)
{
	uint32_t w[4];
	uint64_t d[2];

	memcpy(w, &v, 16);
	memcpy(d, &v, 16);
	return width == 32 ? fp80_from32(e, w[k]) : fp80_from64(e, d[k]);
}

static struct lane lane_operands(const struct op *op, __m128i a, __m128i b, unsigned k)
{
	struct fp_env e = {0};
	bool horizontal = op->how == HADD || op->how == HSUB;
	unsigned pairs = 64 / op->width, first = 2 * (k % pairs);
	__m128i from = k < pairs ? a : b;

	return (struct lane){
		.x = horizontal ? lane_value(&e, from, op->width, first) : lane_value(&e, a, op->width, k),
		.y = horizontal ? lane_value(&e, from, op->width, first + 1) : lane_value(&e, b, op->width, k),
		.subtract = op->how == SUB || op->how == HSUB || (op->how == ADDSUB && !(k & 1)),
	};
}

static struct fp80 lane_result(struct fp_env *e, const struct op *op, const struct lane *l)
{
	const struct fp80 zero = {0, 0};

	switch (op->how) {
	case MUL: return fp80_mul(e, l->x, l->y);
	case DIV: return fp80_div(e, l->x, l->y);
	case NARROW: return fp80_add(e, l->y, zero);
	default: return l->subtract ? fp80_sub(e, l->x, l->y) : fp80_add(e, l->x, l->y);
	}
}

/* OE, UE, PE of lane k. */
static unsigned lane_flags(const struct soft_cpu *c, const struct op *op, __m128i a, __m128i b, unsigned k)
{
	bool narrow = op->width == 32 || op->how == NARROW;
	uint16_t rc = (uint16_t)((c->s.mxcsr & MXCSR_RC) >> 3), masks = (c->s.mxcsr >> 7) & FSW_EXCEPTIONS;
	struct fp_env e = {.cw = FSW_EXCEPTIONS | rc | (narrow ? 0 : 0x200)}, to = {.cw = rc | masks};
	struct lane l = lane_operands(op, a, b, k);
	struct fp80 r = lane_result(&e, op, &l);
	struct fp_num n = fp80_unpack(r);
	bool tiny = n.exp < (narrow ? -126 : -1022), huge = n.exp > (narrow ? 127 : 1023);

	if (n.kind != FP_FINITE)
		return 0;
	if (huge && !(masks & FSW_OE))
		return FSW_OE | (e.ex & FSW_PE);
	if (tiny && !(masks & FSW_UE))
		return FSW_UE | (e.ex & FSW_PE);
	if (tiny && c->s.mxcsr & MXCSR_FTZ)
		return FSW_UE | FSW_PE;
	if (narrow)
		fp80_to32(&to, r);
	else
		fp80_to64(&to, r);
	return ((e.ex | to.ex) & FSW_PE) | (huge ? FSW_OE : tiny && (e.ex | to.ex) & FSW_PE ? FSW_UE : 0);
}

static __m128i zero_denormals(__m128i v, unsigned width)
{
	uint32_t w[4];
	uint64_t d[2];

	memcpy(w, &v, 16);
	memcpy(d, &v, 16);
	for (unsigned k = 0; k < 4; k++)
		if (!(w[k] & 0x7f800000))
			w[k] &= 0x80000000u;
	for (unsigned k = 0; k < 2; k++)
		if (!(d[k] & 0x7ff0000000000000ull))
			d[k] &= 1ull << 63;
	memcpy(&v, width == 32 ? (const void *)w : (const void *)d, 16);
	return v;
}

static unsigned unbounded_flags(const struct soft_cpu *c, const struct op *op, __m128i a, __m128i b, unsigned flags)
{
	unsigned met = flags & (FSW_IE | FSW_DE | FSW_ZE);

	if (c->s.mxcsr & MXCSR_DAZ) {
		a = zero_denormals(a, op->width);
		b = zero_denormals(b, op->width);
	}
	for (unsigned k = 0; k < op->lanes; k++)
		met |= lane_flags(c, op, a, b, k);
	return met;
}

/* --- Running --- */

struct outcome {
	__m128i v;
	bool ok;
};

/* Runs with the guest's controls and sets its flags; ok: no exception. */
static __attribute__((noinline)) struct outcome careful(struct soft_cpu *c, const struct cv_insn *i, const struct op *op,
							__m128i a, __m128i b, unsigned imm)
{
	struct outcome o;
	unsigned flags;

	set_host_mxcsr(guest_controls(c));
	o.v = op->run(a, b, imm);
	flags = host_mxcsr() & FSW_EXCEPTIONS;
	set_host_mxcsr(MXCSR_DEFAULT);
	if (op->how != EXACT && (~c->s.mxcsr >> 7) & (FSW_OE | FSW_UE))
		flags = unbounded_flags(c, op, a, b, flags);
	o.ok = fp_simd_flags(c, i, flags);
	/* The host's sticky flags stay within the guest's, so that the next operation needs no second run. */
	set_host_mxcsr(MXCSR_DEFAULT | (flags & c->s.mxcsr));
	return o;
}
static __attribute__((noinline)) void careful_to_xmm(struct soft_cpu *c, const struct cv_insn *i, const struct op *op, __m128i b,
						     unsigned imm)
{
	struct outcome o = careful(c, i, op, fp_xmm(c, i->reg), b, imm);

	if (o.ok)
		fp_set_xmm(c, i->reg, o.v);
}

/* xmm[reg] = op(xmm[reg], b) */
FP_INLINE int to_xmm(struct soft_cpu *c, const struct cv_insn *i, const struct op *op, __m128i b, unsigned imm,
		     const bool slow)
{
	__m128i v = op->run(fp_xmm(c, i->reg), b, imm);

	if (plain(c)) {
		fp_set_xmm(c, i->reg, v);
		return true;
	}
	if (!slow)
		return FP_MISS;
	c->fault.vector = -1;
	careful_to_xmm(c, i, op, b, imm);
	return c->fault.vector < 0;
}

#define LOAD_PS FP_LOAD128A(v)
#define LOAD_PD FP_LOAD128A(v)
#define LOAD_SS FP_LOAD(32, v64); __m128i v = fp_from64(v64)
#define LOAD_SD FP_LOAD(64, v64); __m128i v = fp_from64(v64)
#define LOAD_PS_LOW LOAD_SD

/* One instruction of two operands; src: how memory is read; then what struct op has beside the function. */
#define FLOAT_OP(name, insn, src, ...) \
FP_INLINE __m128i name##_of(__m128i a, __m128i b, unsigned imm) \
{ \
	(void)imm; \
	__asm__ volatile(insn " %1, %0" : "+x"(a) : "x"(b)); \
	return a; \
} \
static const struct op name##_op = {name##_of, __VA_ARGS__}; \
FP_HANDLERS(name, src, 0)

#define FP_HANDLERS(name, src, imm) \
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

#define FLOAT4(name, how) \
	FLOAT_OP(name##ps, #name "ps", PS, how, 4, 32) \
	FLOAT_OP(name##pd, #name "pd", PD, how, 2, 64) \
	FLOAT_OP(name##ss, #name "ss", SS, how, 1, 32) \
	FLOAT_OP(name##sd, #name "sd", SD, how, 1, 64)
FLOAT4(add, ADD)
FLOAT4(sub, SUB)
FLOAT4(mul, MUL)
FLOAT4(div, DIV)
FLOAT4(min, EXACT)
FLOAT4(max, EXACT)
FLOAT4(sqrt, EXACT)
FLOAT_OP(addsubps, "addsubps", PS, ADDSUB, 4, 32)
FLOAT_OP(addsubpd, "addsubpd", PD, ADDSUB, 2, 64)
FLOAT_OP(haddps, "haddps", PS, HADD, 4, 32)
FLOAT_OP(haddpd, "haddpd", PD, HADD, 2, 64)
FLOAT_OP(hsubps, "hsubps", PS, HSUB, 4, 32)
FLOAT_OP(hsubpd, "hsubpd", PD, HSUB, 2, 64)

FLOAT_OP(cvtps2pd, "cvtps2pd", PS_LOW, EXACT, 0, 0)
FLOAT_OP(cvtpd2ps, "cvtpd2ps", PD, NARROW, 2, 64)
FLOAT_OP(cvtss2sd, "cvtss2sd", SS, EXACT, 0, 0)
FLOAT_OP(cvtsd2ss, "cvtsd2ss", SD, NARROW, 1, 64)
FLOAT_OP(cvtdq2ps, "cvtdq2ps", PS, EXACT, 0, 0)
FLOAT_OP(cvtps2dq, "cvtps2dq", PS, EXACT, 0, 0)
FLOAT_OP(cvttps2dq, "cvttps2dq", PS, EXACT, 0, 0)
FLOAT_OP(cvtdq2pd, "cvtdq2pd", PS_LOW, EXACT, 0, 0)
FLOAT_OP(cvtpd2dq, "cvtpd2dq", PD, EXACT, 0, 0)
FLOAT_OP(cvttpd2dq, "cvttpd2dq", PD, EXACT, 0, 0)

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
static const struct op name##_op = {name##_of, EXACT, 0, 0}; \
FP_HANDLERS(name, src, (unsigned)i->imm)
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
static const struct op name##_op = {name##_of, EXACT, 0, 0}; \
FP_HANDLERS(name, src, (unsigned)i->imm)
ROUND_OP(roundps, "roundps", PS)
ROUND_OP(roundpd, "roundpd", PD)
ROUND_OP(roundss, "roundss", SS)
ROUND_OP(roundsd, "roundsd", SD)

/*
 * Dot products: multiply, then add in the SDM's order, each stage with its own exceptions. Elements that imm leaves out of
 * the product are 0, and 0 * 0 meets nothing. Every lane adds all products, in an order of operands that decides which of
 * several NaNs it gets: Intel's.
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
static __m128i swap_within(__m128i v) /* lanes 1 0 3 2 */
{
	return _mm_shuffle_epi32(v, 0xb1);
}
static __m128i swap_halves(__m128i v)
{
	return _mm_shuffle_epi32(v, 0x4e);
}
static bool dot_ps(struct soft_cpu *c, const struct cv_insn *i, __m128i b)
{
	unsigned imm = (unsigned)i->imm;
	struct outcome o = careful(c, i, &mulps_op, keep_elements(fp_xmm(c, i->reg), imm >> 4, 4),
				   keep_elements(b, imm >> 4, 4), 0);

	if (o.ok)
		o = careful(c, i, &addps_op, swap_within(o.v), o.v, 0);
	if (o.ok)
		o = careful(c, i, &addps_op, o.v, swap_halves(o.v), 0);
	if (o.ok)
		fp_set_xmm(c, i->reg, keep_elements(o.v, imm, 4));
	return o.ok;
}
static bool dot_pd(struct soft_cpu *c, const struct cv_insn *i, __m128i b)
{
	unsigned imm = (unsigned)i->imm;
	struct outcome o = careful(c, i, &mulpd_op, keep_elements(fp_xmm(c, i->reg), imm >> 4, 2),
				   keep_elements(b, imm >> 4, 2), 0);

	if (o.ok)
		o = careful(c, i, &addpd_op, o.v, swap_halves(o.v), 0);
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
static const struct op name##_op = {name##_of, EXACT, 0, 0}; \
FP_HANDLER(name##_r) \
{ \
	FP_SSE(); \
	return to_flags(c, i, &name##_op, fp_xmm(c, i->rm), slow); \
} \
FP_HANDLER(name##_m) \
{ \
	FP_SSE(); \
	LOAD_##src; \
	return to_flags(c, i, &name##_op, v, slow); \
}
static __attribute__((noinline)) void careful_to_flags(struct soft_cpu *c, const struct cv_insn *i, const struct op *op, __m128i b)
{
	struct outcome o = careful(c, i, op, fp_xmm(c, i->reg), b, 0);

	if (o.ok)
		soft_set_arith(c, (unsigned)_mm_cvtsi128_si32(o.v));
}
FP_INLINE int to_flags(struct soft_cpu *c, const struct cv_insn *i, const struct op *op, __m128i b, const bool slow)
{
	__m128i v = op->run(fp_xmm(c, i->reg), b, 0);

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
#define FROM_INT_OP(name, insn) \
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
static const struct op name##_op = {name##_of, EXACT, 0, 0}; \
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
FROM_INT_OP(cvtsi2ss, "cvtsi2ss")
FROM_INT_OP(cvtsi2sd, "cvtsi2sd")

static __attribute__((noinline)) void careful_to_gpr(struct soft_cpu *c, const struct cv_insn *i, const struct op *op, __m128i b)
{
	struct outcome o = careful(c, i, op, b, b, i->rex & 8);

	if (o.ok)
		fp_set_gpr(c, i, i->reg, fp_low64(o.v));
}
FP_INLINE int to_gpr(struct soft_cpu *c, const struct cv_insn *i, const struct op *op, __m128i b, const bool slow)
{
	__m128i v = op->run(b, b, i->rex & 8);

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
static const struct op name##_op = {name##_of, EXACT, 0, 0}; \
FP_HANDLER(name##_r) \
{ \
	FP_SSE(); \
	return to_gpr(c, i, &name##_op, fp_xmm(c, i->rm), slow); \
} \
FP_HANDLER(name##_m) \
{ \
	FP_SSE(); \
	LOAD_##src; \
	return to_gpr(c, i, &name##_op, v, slow); \
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
static const struct op pi2ps_op = {pi2ps, EXACT, 0, 0};
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

static bool to_mm(struct soft_cpu *c, const struct cv_insn *i, const struct op *op, __m128i b)
{
	struct outcome o = careful(c, i, op, b, b, 0);

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
