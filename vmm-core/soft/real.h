/* SPDX-License-Identifier: MIT */
/*
 * Binary floating point of 16, 32 and 64 bits on integers: unpacking, and rounding as MXCSR asks. For operations that the
 * host's SSE unit doesn't have (fma.c, half.c); pure functions, the same on every host.
 *
 * Rounding is done once with an unbounded exponent, which decides overflow and tininess (SDM 1 4.9.1.4, 4.9.1.5), and for a
 * masked underflow again at the place where denormals end.
 */
#ifndef CV_SOFT_REAL_H
#define CV_SOFT_REAL_H

#include "vmm-core/soft/element.h"
#include "vmm-core/soft/simd.h"

typedef unsigned __int128 u128;

struct real_format {
	unsigned frac, width; /* bits of fraction; in all */
	int bias;
};
static const struct real_format real16 = {10, 16, 15}, real32 = {23, 32, 127}, real64 = {52, 64, 1023};

enum real_kind { REAL_ZERO, REAL_FINITE, REAL_INFINITE, REAL_QNAN, REAL_SNAN };
/* Finite: sig / 2^63 * 2^exp, bit 63 of sig set */
struct real {
	enum real_kind kind;
	bool sign, denormal;
	int exp;
	uint64_t sig;
};

FP_INLINE uint64_t real_sign_bit(const struct real_format *f, bool sign)
{
	return (uint64_t)sign << (f->width - 1);
}
FP_INLINE uint64_t real_exponent(const struct real_format *f, unsigned e)
{
	return (uint64_t)e << f->frac;
}
FP_INLINE uint64_t real_infinity(const struct real_format *f)
{
	return real_exponent(f, 2 * (unsigned)f->bias + 1);
}
FP_INLINE uint64_t real_quiet_bit(const struct real_format *f)
{
	return 1ull << (f->frac - 1);
}

FP_INLINE struct real real_unpack(const struct real_format *f, uint64_t v, bool daz)
{
	uint64_t frac = v & ((1ull << f->frac) - 1), inf = real_infinity(f);
	unsigned e = (unsigned)((v & inf) >> f->frac);
	struct real r = {.kind = REAL_FINITE, .sign = v & real_sign_bit(f, true), .exp = (int)e - f->bias,
			 .sig = (frac | 1ull << f->frac) << (63 - f->frac)};

	if (likely(e - 1 < 2 * (unsigned)f->bias))
		return r;
	if (e) {
		r.kind = !frac ? REAL_INFINITE : frac & real_quiet_bit(f) ? REAL_QNAN : REAL_SNAN;
	} else if (!frac || daz) {
		r.kind = REAL_ZERO;
	} else {
		int up = __builtin_clzll(frac);

		r.denormal = true;
		r.sig = frac << up;
		r.exp = 1 - f->bias - (up - (63 - (int)f->frac));
	}
	return r;
}

/* --- Rounding --- */

/* The upper `bits` of m, rounded; it may have one bit more. */
FP_INLINE uint64_t real_round_off(u128 m, unsigned bits, bool sign, uint32_t mxcsr, bool *inexact)
{
	uint64_t kept = (uint64_t)(m >> (128 - bits));
	u128 rest = m << bits, half = (u128)1 << 127;
	bool up;

	switch (mxcsr & MXCSR_RC) {
	case 0: up = rest > half || (rest == half && kept & 1); break;
	case 0x2000: up = rest && sign; break;
	case 0x4000: up = rest && !sign; break;
	default: up = false; break;
	}
	*inexact = rest != 0;
	return kept + up;
}

FP_INLINE u128 shift_right_jam(u128 v, unsigned n)
{
	if (n >= 128)
		return v != 0;
	return n ? v >> n | (v << (128 - n) != 0) : v;
}

static inline uint64_t real_overflowed(const struct real_format *f, bool sign, uint32_t mxcsr)
{
	bool to_max = (mxcsr & MXCSR_RC) == MXCSR_RC || (mxcsr & MXCSR_RC) == (sign ? 0x4000 : 0x2000);

	return real_sign_bit(f, sign) | (real_infinity(f) - to_max);
}

/* Too small for a normal number. lost: some of its bits were, with an unbounded exponent. */
static __attribute__((noinline, unused)) struct rounded real_tiny(const struct real_format *f, bool sign, int exp, u128 m, uint32_t mxcsr, bool lost)
{
	uint64_t zero = real_sign_bit(f, sign), r;
	bool inexact;

	if (!(mxcsr & MXCSR_UM))
		return (struct rounded){zero, FSW_UE | (lost ? FSW_PE : 0)};
	if (mxcsr & MXCSR_FTZ)
		return (struct rounded){zero, FSW_UE | FSW_PE};
	r = real_round_off(shift_right_jam(m, (unsigned)(1 - f->bias - exp)), f->frac + 1, sign, mxcsr, &inexact);
	return (struct rounded){zero | r, inexact ? FSW_UE | FSW_PE : 0};
}

/* m / 2^127 * 2^exp, bit 127 of m set */
FP_INLINE struct rounded real_round(const struct real_format *f, bool sign, int exp, u128 m, uint32_t mxcsr)
{
	bool inexact;
	uint64_t r = real_round_off(m, f->frac + 1, sign, mxcsr, &inexact);
	int e = exp + (int)(r >> (f->frac + 1));

	if (unlikely(e > f->bias)) {
		bool masked = mxcsr & MXCSR_OM;

		return (struct rounded){real_overflowed(f, sign, mxcsr), FSW_OE | (masked || inexact ? FSW_PE : 0)};
	}
	if (unlikely(e < 1 - f->bias))
		return real_tiny(f, sign, exp, m, mxcsr, inexact);
	/* A carry out of the significand leaves it zero, and has gone into the exponent. */
	return (struct rounded){real_sign_bit(f, sign) | real_exponent(f, (unsigned)(e + f->bias)) | (r & ((1ull << f->frac) - 1)),
				 inexact ? FSW_PE : 0};
}

#endif
