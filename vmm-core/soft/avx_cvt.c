/* SPDX-License-Identifier: MIT */
/*
 * AVX: conversions, and comparisons into RFLAGS, by SSE's operations (simd.h). Where source and result differ in length, the
 * longer has VEX.L's.
 */
#define SOFT_CORE 1
#include "vmm-core/soft/simd.h"

SIMD_VEX_PACKED(vcvtdq2ps, cvtdq2ps, 0)
SIMD_VEX_PACKED(vcvtps2dq, cvtps2dq, 0)
SIMD_VEX_PACKED(vcvttps2dq, cvttps2dq, 0)
SIMD_VEX_SCALAR(vcvtss2sd, cvtss2sd, 32, 0)
SIMD_VEX_SCALAR(vcvtsd2ss, cvtsd2ss, 64, 0)

/* --- Twice as long: two elements of 32 bits to 128, four to 256 --- */

FP_INLINE int widen(struct soft_cpu *c, const struct cv_insn *i, const struct simd_op *op, __m128i b, const bool slow)
{
	struct avx v = {b, _mm_srli_si128(b, 8)};

	return simd_ymm(c, i, op, v, v, 0, slow);
}
#define WIDEN(name, op) \
	FP_HANDLER(name##_m) \
	{ \
		FP_AVX(); \
		FP_LOAD(64, b); \
		return simd_xmm(c, i, &op##_op, fp_from64(b), fp_from64(b), 0, slow); \
	} \
	FP_HANDLER(name##_r) \
	{ \
		__m128i b; \
		FP_AVX(); \
		b = fp_xmm(c, i->rm); \
		return simd_xmm(c, i, &op##_op, b, b, 0, slow); \
	} \
	FP_HANDLER(name##_my) \
	{ \
		FP_AVX(); \
		FP_LOAD128(b); \
		return widen(c, i, &op##_op, b, slow); \
	} \
	FP_HANDLER(name##_ry) \
	{ \
		FP_AVX(); \
		return widen(c, i, &op##_op, fp_xmm(c, i->rm), slow); \
	}
WIDEN(vcvtps2pd, cvtps2pd)
WIDEN(vcvtdq2pd, cvtdq2pd)

/* --- Half as long: two elements of 64 bits, or four, to 32 each --- */

static __attribute__((noinline)) void narrow_carefully(struct soft_cpu *c, const struct cv_insn *i, const struct simd_op *op,
						       struct avx b)
{
	struct simd_outcome2 o = simd_careful2(c, i, op, b, b, 0);

	if (o.ok)
		avx_set_xmm(c, i->reg, _mm_unpacklo_epi64(o.v.lo, o.v.hi));
}
FP_INLINE int narrow(struct soft_cpu *c, const struct cv_insn *i, const struct simd_op *op, struct avx b, const bool slow)
{
	__m128i v = _mm_unpacklo_epi64(op->run(b.lo, b.lo, 0), op->run(b.hi, b.hi, 0));

	if (simd_plain(c)) {
		avx_set_xmm(c, i->reg, v);
		return true;
	}
	SIMD_CAREFULLY(narrow_carefully(c, i, op, b));
}
#define NARROWING(name, op) \
	FP_HANDLER(name##_m) \
	{ \
		FP_AVX(); \
		FP_LOAD128(b); \
		return simd_xmm(c, i, &op##_op, b, b, 0, slow); \
	} \
	FP_HANDLER(name##_r) \
	{ \
		__m128i b; \
		FP_AVX(); \
		b = fp_xmm(c, i->rm); \
		return simd_xmm(c, i, &op##_op, b, b, 0, slow); \
	} \
	FP_HANDLER(name##_my) \
	{ \
		FP_AVX(); \
		AVX_LOAD256(b); \
		return narrow(c, i, &op##_op, b, slow); \
	} \
	FP_HANDLER(name##_ry) \
	{ \
		FP_AVX(); \
		return narrow(c, i, &op##_op, avx_ymm(c, i->rm), slow); \
	}
NARROWING(vcvtpd2ps, cvtpd2ps)
NARROWING(vcvtpd2dq, cvtpd2dq)
NARROWING(vcvttpd2dq, cvttpd2dq)

/* --- Into RFLAGS; from and to general registers --- */

#define FROM_SOURCE(name, how, op, bits) \
	FP_HANDLER(name##_m) \
	{ \
		FP_AVX(); \
		FP_LOAD(bits, b); \
		return how(c, i, &op##_op, fp_from64(b), slow); \
	} \
	FP_HANDLER(name##_r) \
	{ \
		FP_AVX(); \
		return how(c, i, &op##_op, fp_xmm(c, i->rm), slow); \
	}
FROM_SOURCE(vucomiss, simd_compare, ucomiss, 32)
FROM_SOURCE(vucomisd, simd_compare, ucomisd, 64)
FROM_SOURCE(vcomiss, simd_compare, comiss, 32)
FROM_SOURCE(vcomisd, simd_compare, comisd, 64)
FROM_SOURCE(vcvtss2si, simd_to_int, cvtss2si, 32)
FROM_SOURCE(vcvttss2si, simd_to_int, cvttss2si, 32)
FROM_SOURCE(vcvtsd2si, simd_to_int, cvtsd2si, 64)
FROM_SOURCE(vcvttsd2si, simd_to_int, cvttsd2si, 64)

#define FROM_INT(name, op) \
	FP_HANDLER(name##_r) \
	{ \
		FP_AVX(); \
		return simd_xmm(c, i, &op##_op, fp_xmm(c, i->vvvv), fp_from64(c->s.gpr[i->rm]), i->rex & 8, slow); \
	} \
	FP_HANDLER(name##_m) \
	{ \
		FP_AVX(); \
		if (i->rex & 8) { \
			FP_LOAD(64, b); \
			return simd_xmm(c, i, &op##_op, fp_xmm(c, i->vvvv), fp_from64(b), 8, slow); \
		} \
		FP_LOAD(32, b); \
		return simd_xmm(c, i, &op##_op, fp_xmm(c, i->vvvv), fp_from64(b), 0, slow); \
	}
FROM_INT(vcvtsi2ss, cvtsi2ss)
FROM_INT(vcvtsi2sd, cvtsi2sd)
