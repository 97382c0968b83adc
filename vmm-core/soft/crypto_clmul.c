/* SPDX-License-Identifier: MIT */
/*
 * PCLMULQDQ and VPCLMULQDQ: multiplication of polynomials over GF(2), on the integer multiplier.
 *
 * Of each factor every fifth bit is taken. Then at most 13 terms meet at a bit of the integer product, their number fits in the
 * five bits up to where the next ones meet, and its lowest bit is the sum over GF(2). A bit k of the whole product comes
 * from the five pairs of parts whose places add up to k modulo 5.
 */
#include "vmm-core/soft/crypto.h"

typedef unsigned __int128 u128;

#define EVERY_FIFTH 0x1084210842108421ull /* bits 0, 5, 10 ... 60 */
#define EVERY_FIFTH_128 ((u128)0x2108421084210842ull << 64 | EVERY_FIFTH)
#define PART(v, k) ((v) & EVERY_FIFTH << (k))

/* Noinline: its parts are no locals of a handler. */
static __attribute__((noinline)) __m128i multiply(uint64_t a, uint64_t b)
{
	const uint64_t x[5] = {PART(a, 0), PART(a, 1), PART(a, 2), PART(a, 3), PART(a, 4)};
	const uint64_t y[5] = {PART(b, 0), PART(b, 1), PART(b, 2), PART(b, 3), PART(b, 4)};
	u128 r = 0;

#define PRODUCT(m, n) ((u128)x[m] * y[n])
	r |= (PRODUCT(0, 0) ^ PRODUCT(1, 4) ^ PRODUCT(2, 3) ^ PRODUCT(3, 2) ^ PRODUCT(4, 1)) & EVERY_FIFTH_128;
	r |= (PRODUCT(0, 1) ^ PRODUCT(1, 0) ^ PRODUCT(2, 4) ^ PRODUCT(3, 3) ^ PRODUCT(4, 2)) & EVERY_FIFTH_128 << 1;
	r |= (PRODUCT(0, 2) ^ PRODUCT(1, 1) ^ PRODUCT(2, 0) ^ PRODUCT(3, 4) ^ PRODUCT(4, 3)) & EVERY_FIFTH_128 << 2;
	r |= (PRODUCT(0, 3) ^ PRODUCT(1, 2) ^ PRODUCT(2, 1) ^ PRODUCT(3, 0) ^ PRODUCT(4, 4)) & EVERY_FIFTH_128 << 3;
	r |= (PRODUCT(0, 4) ^ PRODUCT(1, 3) ^ PRODUCT(2, 2) ^ PRODUCT(3, 1) ^ PRODUCT(4, 0)) & EVERY_FIFTH_128 << 4;
#undef PRODUCT
	return _mm_set_epi64x((long long)(uint64_t)(r >> 64), (long long)(uint64_t)r);
}

/* Bits 0 and 4 of the immediate pick the halves. */
static __m128i pclmulqdq_of(const struct cv_insn *i, __m128i a, __m128i b)
{
	return multiply(fp_low64(i->imm & 1 ? _mm_unpackhi_epi64(a, a) : a), fp_low64(i->imm & 16 ? _mm_unpackhi_epi64(b, b) : b));
}

CRYPTO_BOTH(pclmulqdq, pclmulqdq_of)
