/* SPDX-License-Identifier: MIT */
/*
 * AES, SHA and carry-less multiplication: how a function of vectors becomes handlers.
 *
 * They are computed here, the same on every host, from constant tables and plain integers. A function takes the instruction
 * for its immediate; legacy forms want their memory operand aligned and keep the upper half of a YMM register, VEX-encoded
 * ones clear it.
 */
#ifndef CV_SOFT_CRYPTO_H
#define CV_SOFT_CRYPTO_H

#define SOFT_CORE 1
#include "vmm-core/soft/avx.h"

/* Four 32-bit elements, the lowest first. */
typedef uint32_t crypto_v4 __attribute__((vector_size(16)));

/* destination = f(i, destination, source) */
#define CRYPTO_LEGACY(name, f) \
FP_HANDLER(name##_r) \
{ \
	FP_SSE(); \
	fp_set_xmm(c, i->reg, f(i, fp_xmm(c, i->reg), fp_xmm(c, i->rm))); \
	return true; \
} \
FP_HANDLER(name##_m) \
{ \
	FP_SSE(); \
	FP_LOAD128A(v); \
	fp_set_xmm(c, i->reg, f(i, fp_xmm(c, i->reg), v)); \
	return true; \
}
/* destination = f(i, the register of VEX.vvvv, source) */
#define CRYPTO_VEX(name, f) \
FP_HANDLER(name##_r) \
{ \
	FP_AVX(); \
	avx_set_xmm(c, i->reg, f(i, fp_xmm(c, i->vvvv), fp_xmm(c, i->rm))); \
	return true; \
} \
FP_HANDLER(name##_m) \
{ \
	FP_AVX(); \
	FP_LOAD128(v); \
	avx_set_xmm(c, i->reg, f(i, fp_xmm(c, i->vvvv), v)); \
	return true; \
}
#define CRYPTO_BOTH(name, f) CRYPTO_LEGACY(name, f) CRYPTO_VEX(v##name, f)

#endif
