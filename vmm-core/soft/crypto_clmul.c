/* SPDX-License-Identifier: MIT */
/* PCLMULQDQ and VPCLMULQDQ: multiplication of polynomials over GF(2), four bits of the multiplier at a time. */
#include "vmm-core/soft/crypto.h"

typedef unsigned __int128 u128;

/* Noinline: its table is no local of a handler. */
static __attribute__((noinline)) __m128i multiply(uint64_t a, uint64_t b)
{
	u128 times[16] = {0, a}, r = 0;

	for (unsigned k = 2; k < 16; k++)
		times[k] = times[k >> 1] << 1 ^ times[k & 1];
	for (unsigned k = 0; k < 64; k += 4, b <<= 4)
		r = r << 4 ^ times[b >> 60];
	return _mm_set_epi64x((long long)(uint64_t)(r >> 64), (long long)(uint64_t)r);
}

/* Bits 0 and 4 of the immediate pick the halves. */
static __m128i pclmulqdq_of(const struct cv_insn *i, __m128i a, __m128i b)
{
	return multiply(fp_low64(i->imm & 1 ? _mm_unpackhi_epi64(a, a) : a), fp_low64(i->imm & 16 ? _mm_unpackhi_epi64(b, b) : b));
}

CRYPTO_BOTH(pclmulqdq, pclmulqdq_of)
