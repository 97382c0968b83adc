/* SPDX-License-Identifier: MIT */
/*
 * FMA: fused multiply-add of vectors and scalars. fma.c is the definition. Where the host has FMA and the guest's controls
 * are plain, its instruction gives the same and is faster; results with an exponent of all ones, where makers could differ in
 * the choice of a NaN, are left to the definition.
 */
#define SOFT_CORE 1
#include "vmm-core/soft/element.h"
#include "vmm-core/soft/simd.h"

struct fma_op {
	__m128i (*host)(__m128i x, __m128i y, __m128i z);
	uint8_t width;	  /* of an element, in bits */
	uint8_t elements; /* of 128 bits: 1 is a scalar */
	uint8_t even, odd; /* FMA_NEGATE_*, of elements 0, 2 and 1, 3 */
};

/* --- By the definition --- */

static unsigned fma32x4(const struct soft_cpu *c, const struct fma_op *op, const uint32_t *x, const uint32_t *y, const uint32_t *z,
			uint32_t *r)
{
	unsigned flags = 0;

	for (unsigned k = 0; k < op->elements; k++) {
		struct rounded e = soft_fma32(x[k], y[k], z[k], k & 1 ? op->odd : op->even, c->s.mxcsr);

		r[k] = (uint32_t)e.bits;
		flags |= e.flags;
	}
	return flags;
}
static unsigned fma64x2(const struct soft_cpu *c, const struct fma_op *op, const uint64_t *x, const uint64_t *y, const uint64_t *z,
			uint64_t *r)
{
	unsigned flags = 0;

	for (unsigned k = 0; k < op->elements; k++) {
		struct rounded e = soft_fma64(x[k], y[k], z[k], k & 1 ? op->odd : op->even, c->s.mxcsr);

		r[k] = e.bits;
		flags |= e.flags;
	}
	return flags;
}

/* What the elements of 128 bits meet; *v starts as what the rest is taken from. */
static unsigned fma128(const struct soft_cpu *c, const struct fma_op *op, __m128i x, __m128i y, __m128i z, __m128i *v)
{
	uint64_t in[3][2], out[2];
	uint32_t in32[3][4], out32[4];
	unsigned flags;

	memcpy(in[0], &x, 16);
	memcpy(in[1], &y, 16);
	memcpy(in[2], &z, 16);
	memcpy(out, v, 16);
	if (op->width == 64) {
		flags = fma64x2(c, op, in[0], in[1], in[2], out);
		memcpy(v, out, 16);
		return flags;
	}
	memcpy(in32, in, sizeof(in));
	memcpy(out32, out, sizeof(out));
	flags = fma32x4(c, op, in32[0], in32[1], in32[2], out32);
	memcpy(v, out32, 16);
	return flags;
}

static __attribute__((noinline)) void to_xmm(struct soft_cpu *c, const struct cv_insn *i, const struct fma_op *op, __m128i x,
					     __m128i y, __m128i z)
{
	__m128i v = fp_xmm(c, i->reg);
	unsigned flags = fma128(c, op, x, y, z, &v);

	/* No flag that the host's instruction has left may stand in the way of the next one. */
	simd_set_host_mxcsr(MXCSR_DEFAULT);
	if (fp_simd_flags(c, i, flags))
		avx_set_xmm(c, i->reg, v);
}
static __attribute__((noinline)) void to_ymm(struct soft_cpu *c, const struct cv_insn *i, const struct fma_op *op, struct avx x,
					     struct avx y, struct avx z)
{
	struct avx v = x;
	unsigned flags = fma128(c, op, x.lo, y.lo, z.lo, &v.lo) | fma128(c, op, x.hi, y.hi, z.hi, &v.hi);

	simd_set_host_mxcsr(MXCSR_DEFAULT);
	if (fp_simd_flags(c, i, flags))
		avx_set_ymm(c, i->reg, v);
}

/* --- By the host --- */

FP_INLINE bool host_has_fma(void)
{
	return likely(__builtin_cpu_supports("fma"));
}

/* Has a computed element an exponent of all ones? */
FP_INLINE bool not_finite(const struct fma_op *op, __m128i v)
{
	__m128i ones = op->width == 64 ? _mm_set_epi32(0x7ff00000, 0, 0x7ff00000, 0) : _mm_set1_epi32(0x7f800000);
	unsigned mask = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi32(_mm_and_si128(v, ones), ones));

	/* Of a double the upper half tells. */
	if (op->width == 64)
		mask &= 0xf0f0;
	return mask & (op->elements == 1 ? op->width == 64 ? 0xffu : 0xfu : 0xffffu);
}

/* The result's element, with the rest of the destination's 128 bits. */
FP_INLINE __m128i merge(const struct fma_op *op, __m128i to, __m128i v)
{
	if (op->elements > 1)
		return v;
	return op->width == 64 ? _mm_castpd_si128(_mm_move_sd(_mm_castsi128_pd(to), _mm_castsi128_pd(v)))
			       : _mm_castps_si128(_mm_move_ss(_mm_castsi128_ps(to), _mm_castsi128_ps(v)));
}

FP_INLINE int fma_xmm(struct soft_cpu *c, const struct cv_insn *i, const struct fma_op *op, __m128i x, __m128i y, __m128i z,
		      const bool slow)
{
	if (host_has_fma()) {
		__m128i v = op->host(x, y, z);

		if (simd_plain(c) && !not_finite(op, v)) {
			avx_set_xmm(c, i->reg, merge(op, fp_xmm(c, i->reg), v));
			return true;
		}
	}
	SIMD_CAREFULLY(to_xmm(c, i, op, x, y, z));
}
FP_INLINE int fma_ymm(struct soft_cpu *c, const struct cv_insn *i, const struct fma_op *op, struct avx x, struct avx y, struct avx z,
		      const bool slow)
{
	if (host_has_fma()) {
		struct avx v = {op->host(x.lo, y.lo, z.lo), op->host(x.hi, y.hi, z.hi)};

		if (simd_plain(c) && !not_finite(op, v.lo) && !not_finite(op, v.hi)) {
			avx_set_ymm(c, i->reg, v);
			return true;
		}
	}
	SIMD_CAREFULLY(to_ymm(c, i, op, x, y, z));
}

/* --- Handlers --- */

/* x, y and z of x * y + z, of the first operand (the destination), the second and the third. */
#define ORDER_132(a, b, c) a, c, b
#define ORDER_213(a, b, c) b, a, c
#define ORDER_231(a, b, c) b, c, a

#define FUSED(f, type, ...) \
	FP_INLINE __m128i f##type##_host(__m128i x, __m128i y, __m128i z) \
	{ \
		__asm__ volatile("v" #f "213" #type " %2, %1, %0" : "+x"(x) : "x"(y), "x"(z)); \
		return x; \
	} \
	static const struct fma_op f##type##_op = {f##type##_host, __VA_ARGS__};

#define XMM(f, order, type, load, b) \
	FP_HANDLER(v##f##order##type##_m) \
	{ \
		FP_AVX(); \
		load; \
		return fma_xmm(c, i, &f##type##_op, ORDER_##order(fp_xmm(c, i->reg), fp_xmm(c, i->vvvv), b), slow); \
	} \
	FP_HANDLER(v##f##order##type##_r) \
	{ \
		FP_AVX(); \
		return fma_xmm(c, i, &f##type##_op, ORDER_##order(fp_xmm(c, i->reg), fp_xmm(c, i->vvvv), fp_xmm(c, i->rm)), slow); \
	}
#define YMM(f, order, type) \
	FP_HANDLER(v##f##order##type##_my) \
	{ \
		FP_AVX(); \
		AVX_LOAD256(b); \
		return fma_ymm(c, i, &f##type##_op, ORDER_##order(avx_ymm(c, i->reg), avx_ymm(c, i->vvvv), b), slow); \
	} \
	FP_HANDLER(v##f##order##type##_ry) \
	{ \
		FP_AVX(); \
		return fma_ymm(c, i, &f##type##_op, ORDER_##order(avx_ymm(c, i->reg), avx_ymm(c, i->vvvv), avx_ymm(c, i->rm)), slow); \
	}
#define ORDERED(f, order) \
	XMM(f, order, ps, FP_LOAD128(v), v) \
	XMM(f, order, pd, FP_LOAD128(v), v) \
	YMM(f, order, ps) \
	YMM(f, order, pd)
#define ORDERED_SCALAR(f, order) \
	XMM(f, order, ss, FP_LOAD(32, v), fp_from64(v)) \
	XMM(f, order, sd, FP_LOAD(64, v), fp_from64(v))

#define PACKED(f, even, odd) \
	FUSED(f, ps, 32, 4, even, odd) \
	FUSED(f, pd, 64, 2, even, odd) \
	ORDERED(f, 132) \
	ORDERED(f, 213) \
	ORDERED(f, 231)
#define ALL(f, negate) \
	PACKED(f, negate, negate) \
	FUSED(f, ss, 32, 1, negate, negate) \
	FUSED(f, sd, 64, 1, negate, negate) \
	ORDERED_SCALAR(f, 132) \
	ORDERED_SCALAR(f, 213) \
	ORDERED_SCALAR(f, 231)

ALL(fmadd, 0)
ALL(fmsub, FMA_NEGATE_ADDEND)
ALL(fnmadd, FMA_NEGATE_PRODUCT)
ALL(fnmsub, FMA_NEGATE_PRODUCT | FMA_NEGATE_ADDEND)
PACKED(fmaddsub, FMA_NEGATE_ADDEND, 0)
PACKED(fmsubadd, 0, FMA_NEGATE_ADDEND)
