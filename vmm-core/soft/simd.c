/* SPDX-License-Identifier: MIT */
/*
 * SSE and AVX floating point with controls or flags that aren't plain (simd.h): the operation on the host with the guest's
 * controls, and what unmasked overflow and underflow, which the host must not raise, would have met.
 */
#include "vmm-core/soft/simd.h"

/* The guest's controls, masked. FTZ counts only while underflow is masked. */
static uint32_t guest_controls(const struct soft_cpu *c)
{
	uint32_t g = c->s.mxcsr;

	return MXCSR_DEFAULT | (g & (MXCSR_RC | MXCSR_DAZ)) | (g & MXCSR_UM ? g & MXCSR_FTZ : 0);
}

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

static struct lane lane_operands(const struct simd_op *op, __m128i a, __m128i b, unsigned k)
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

static struct fp80 lane_result(struct fp_env *e, const struct simd_op *op, const struct lane *l)
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
static unsigned lane_flags(const struct soft_cpu *c, const struct simd_op *op, __m128i a, __m128i b, unsigned k)
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

static unsigned unbounded_flags(const struct soft_cpu *c, const struct simd_op *op, __m128i a, __m128i b, unsigned flags)
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

/* Of one half: the result in *v, and what it met. */
static unsigned run_half(const struct soft_cpu *c, const struct simd_op *op, __m128i a, __m128i b, unsigned imm, __m128i *v)
{
	unsigned flags;

	simd_set_host_mxcsr(guest_controls(c));
	*v = op->run(a, b, imm);
	flags = simd_host_mxcsr() & FSW_EXCEPTIONS;
	simd_set_host_mxcsr(MXCSR_DEFAULT);
	if (op->how != EXACT && (~c->s.mxcsr >> 7) & (FSW_OE | FSW_UE))
		flags = unbounded_flags(c, op, a, b, flags);
	return flags;
}

static struct simd_outcome2 run(struct soft_cpu *c, const struct cv_insn *i, const struct simd_op *op, struct avx a, struct avx b,
				unsigned imm, bool both)
{
	struct simd_outcome2 o;
	unsigned flags = run_half(c, op, a.lo, b.lo, imm, &o.v.lo);

	o.v.hi = _mm_setzero_si128();
	if (both)
		flags |= run_half(c, op, a.hi, b.hi, imm, &o.v.hi);
	o.ok = fp_simd_flags(c, i, flags);
	/* The host's sticky flags stay within the guest's, so that the next operation needs no second run. */
	simd_set_host_mxcsr(MXCSR_DEFAULT | (flags & c->s.mxcsr));
	return o;
}

static struct avx one(__m128i v)
{
	return (struct avx){v, _mm_setzero_si128()};
}

struct simd_outcome simd_careful(struct soft_cpu *c, const struct cv_insn *i, const struct simd_op *op, __m128i a, __m128i b,
				 unsigned imm)
{
	struct simd_outcome2 o = run(c, i, op, one(a), one(b), imm, false);

	return (struct simd_outcome){o.v.lo, o.ok};
}

struct simd_outcome2 simd_careful2(struct soft_cpu *c, const struct cv_insn *i, const struct simd_op *op, struct avx a,
				   struct avx b, unsigned imm)
{
	return run(c, i, op, a, b, imm, true);
}

void simd_to_xmm(struct soft_cpu *c, const struct cv_insn *i, const struct simd_op *op, __m128i b, unsigned imm)
{
	struct simd_outcome o = simd_careful(c, i, op, fp_xmm(c, i->reg), b, imm);

	if (o.ok)
		fp_set_xmm(c, i->reg, o.v);
}

void simd_vex_to_xmm(struct soft_cpu *c, const struct cv_insn *i, const struct simd_op *op, __m128i a, __m128i b, unsigned imm)
{
	struct simd_outcome o = simd_careful(c, i, op, a, b, imm);

	if (o.ok)
		avx_set_xmm(c, i->reg, o.v);
}

void simd_vex_to_ymm(struct soft_cpu *c, const struct cv_insn *i, const struct simd_op *op, struct avx a, struct avx b,
		     unsigned imm)
{
	struct simd_outcome2 o = simd_careful2(c, i, op, a, b, imm);

	if (o.ok)
		avx_set_ymm(c, i->reg, o.v);
}

void simd_to_flags(struct soft_cpu *c, const struct cv_insn *i, const struct simd_op *op, __m128i b)
{
	struct simd_outcome o = simd_careful(c, i, op, fp_xmm(c, i->reg), b, 0);

	if (o.ok)
		soft_set_arith(c, (unsigned)_mm_cvtsi128_si32(o.v));
}

void simd_to_gpr(struct soft_cpu *c, const struct cv_insn *i, const struct simd_op *op, __m128i b)
{
	struct simd_outcome o = simd_careful(c, i, op, b, b, i->rex & 8);

	if (o.ok)
		fp_set_gpr(c, i, i->reg, fp_low64(o.v));
}

/*
 * --- Dot products ---
 *
 * Multiply, then add in the SDM's order, each stage with its own exceptions. Elements that imm leaves out of the product
 * are 0, and 0 * 0 meets nothing. Every lane adds all products, in an order of operands that decides which of several NaNs
 * it gets: Intel's.
 */
static __m128i keep_elements(__m128i v, unsigned imm, unsigned elements)
{
	int n = (int)imm;

	return _mm_and_si128(v, elements == 4 ? _mm_set_epi32(-(n >> 3 & 1), -(n >> 2 & 1), -(n >> 1 & 1), -(n & 1))
					      : _mm_set_epi32(-(n >> 1 & 1), -(n >> 1 & 1), -(n & 1), -(n & 1)));
}

static struct avx keep(struct avx v, unsigned imm)
{
	return (struct avx){keep_elements(v.lo, imm, 4), keep_elements(v.hi, imm, 4)};
}

/* Each half's, on the host's controls: good if they are plain afterwards. */
static __m128i dot_half(__m128i a, __m128i b)
{
	__m128i v = mulps_of(a, b, 0);

	v = addps_of(_mm_shuffle_epi32(v, 0xb1), v, 0);
	return addps_of(v, _mm_shuffle_epi32(v, 0x4e), 0);
}

#define SHUFFLE(v, order) ((struct avx){_mm_shuffle_epi32((v).lo, order), _mm_shuffle_epi32((v).hi, order)})

struct simd_outcome2 simd_dot(struct soft_cpu *c, const struct cv_insn *i, struct avx a, struct avx b, bool both)
{
	unsigned imm = (unsigned)i->imm;
	struct simd_outcome2 o;

	a = keep(a, imm >> 4);
	b = keep(b, imm >> 4);
	o = (struct simd_outcome2){{dot_half(a.lo, b.lo), both ? dot_half(a.hi, b.hi) : _mm_setzero_si128()}, true};
	if (simd_plain(c)) {
		o.v = keep(o.v, imm);
		return o;
	}
	o = run(c, i, &mulps_op, a, b, 0, both);
	if (o.ok)
		o = run(c, i, &addps_op, SHUFFLE(o.v, 0xb1), o.v, 0, both);
	if (o.ok)
		o = run(c, i, &addps_op, o.v, SHUFFLE(o.v, 0x4e), 0, both);
	o.v = keep(o.v, imm);
	return o;
}

struct simd_outcome simd_dot_pd(struct soft_cpu *c, const struct cv_insn *i, __m128i a, __m128i b)
{
	unsigned imm = (unsigned)i->imm;
	struct simd_outcome o;

	a = keep_elements(a, imm >> 4, 2);
	b = keep_elements(b, imm >> 4, 2);
	o = (struct simd_outcome){mulpd_of(a, b, 0), true};
	o.v = addpd_of(o.v, _mm_shuffle_epi32(o.v, 0x4e), 0);
	if (simd_plain(c)) {
		o.v = keep_elements(o.v, imm, 2);
		return o;
	}
	o = simd_careful(c, i, &mulpd_op, a, b, 0);
	if (o.ok)
		o = simd_careful(c, i, &addpd_op, o.v, _mm_shuffle_epi32(o.v, 0x4e), 0);
	o.v = keep_elements(o.v, imm, 2);
	return o;
}
