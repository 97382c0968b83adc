/* SPDX-License-Identifier: MIT */
/*
 * RCPPS, RCPSS, RSQRTPS, RSQRTSS, which the SDM defines by a bound on their error alone. The definition here holds on every
 * host; its results are those that Intel's cores give, for each of the 2^32 operands.
 *
 * The operand is taken for the middle of an interval: its significand cut after 11 bits of fraction (RCP) or 10 (RSQRT),
 * plus one half of the last bit kept. Of that value the reciprocal, or the reciprocal of its square root, is rounded to
 * nearest with 12 bits of fraction; a tie can't happen. With the significand 1.f read as an odd integer m:
 *	RCP	m = 2^12 + 2 * f[22:12] + 1, x = m / 2^12 * 2^e: result round(2^25 / m) / 2^13 * 2^-e
 *	RSQRT	m = 2^11 + 2 * f[22:13] + 1, twice that if e is odd: round(sqrt(2^37 / m)) / 2^13 * 2^-floor(e / 2)
 * Both roundings give 2^12 to 2^13 - 1: a significand of 13 bits.
 *
 * Denormal operands count as zero and results too small for a normal number are zero, whatever DAZ and FTZ say; a NaN comes
 * back quiet; a negative root is the default NaN. No flag is touched and none asked.
 */
#include "vmm-core/soft/element.h"
#include "vmm-core/soft/simd.h"

enum { INF = 0x7f800000 };
#define SIGN 0x80000000u
#define NAN_DEFAULT 0xffc00000u
#define NAN_QUIET 0x400000u

/* A 13-bit significand with the top bit set. */
static uint32_t pack(uint32_t exp, uint32_t sig)
{
	return exp << 23 | (sig & 0xfff) << 11;
}

uint32_t soft_rcp32(uint32_t x)
{
	uint32_t sign = x & SIGN, exp = x >> 23 & 255, m = 4097 + 2 * (x >> 12 & 0x7ff);

	if (exp == 255)
		return x & 0x7fffff ? x | NAN_QUIET : sign;
	if (exp == 0)
		return sign | INF;
	if (exp > 252)
		return sign;
	return sign | pack(253 - exp, ((1u << 26) / m + 1) / 2);
}

/* round(sqrt(2^37 / m)): the largest n with (n - 1/2)^2 < 2^37 / m. It has 13 bits. */
static uint32_t root(uint64_t m)
{
	uint32_t n = 1u << 12;

	for (uint32_t bit = 1u << 11; bit; bit >>= 1) {
		uint64_t twice = 2 * (uint64_t)(n | bit) - 1;

		if (twice * twice * m < 1ull << 39)
			n |= bit;
	}
	return n;
}

uint32_t soft_rsqrt32(uint32_t x)
{
	uint32_t exp = x >> 23 & 255, m = 2049 + 2 * (x >> 13 & 0x3ff);

	if (exp == 255 && x & 0x7fffff)
		return x | NAN_QUIET;
	if (exp == 0)
		return (x & SIGN) | INF;
	if (x & SIGN)
		return NAN_DEFAULT;
	if (exp == 255)
		return 0;
	/* The exponent is biased by 127: an even one stands for an odd e. */
	return exp & 1 ? pack(189 - exp / 2, root(m)) : pack(190 - exp / 2, root(2 * m));
}

static __m128i each(__m128i a, __m128i b, uint32_t (*f)(uint32_t), unsigned elements)
{
	uint32_t x[4], y[4];

	memcpy(x, &a, 16);
	memcpy(y, &b, 16);
	for (unsigned k = 0; k < elements; k++)
		x[k] = f(y[k]);
	memcpy(&a, x, 16);
	return a;
}

__m128i simd_rcp(__m128i a, __m128i b, unsigned elements)
{
	return each(a, b, soft_rcp32, elements);
}

__m128i simd_rsqrt(__m128i a, __m128i b, unsigned elements)
{
	return each(a, b, soft_rsqrt32, elements);
}
