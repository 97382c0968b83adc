/* SPDX-License-Identifier: MIT */
/*
 * Fused multiply-add on integers (SDM 1 14.5; IEEE 754-2008 5.4.1).
 *
 * The product of two significands has 128 bits, of which at least the lowest 22 are zero, so product and addend are added
 * exactly, with one bit of headroom, but for what the smaller loses when it is shifted to the larger's exponent: that is
 * jammed into its lowest bit. It loses something only if the exponents differ by more than the sum can cancel, so the lowest
 * bit stays far below the one that rounding asks for.
 */
#include "vmm-core/soft/real.h"

/* --- Multiplying and adding --- */

FP_INLINE unsigned clz128(u128 v)
{
	uint64_t hi = (uint64_t)(v >> 64);

	return hi ? (unsigned)__builtin_clzll(hi) : 64 + (unsigned)__builtin_clzll((uint64_t)v);
}

FP_INLINE struct rounded zero(const struct real_format *f, bool sign)
{
	return (struct rounded){real_sign_bit(f, sign), 0};
}

/* Finite, and x * y isn't zero; z may be. Signs come apart: sp the product's, sz the addend's. */
FP_INLINE struct rounded multiply_add(const struct real_format *f, const struct real *x, const struct real *y, const struct real *z,
					   bool sp, bool sz, uint32_t mxcsr)
{
	u128 p = (u128)x->sig * y->sig, a, b, sum;
	int exp = x->exp + y->exp + 1, d;
	bool sign = sp;
	unsigned up;

	if (!(p >> 127)) {
		p <<= 1;
		exp--;
	}
	if (z->kind == REAL_ZERO)
		return real_round(f, sp, exp, p, mxcsr);
	a = p >> 1;
	b = (u128)z->sig << 63;
	d = exp - z->exp;
	if (d < 0 || (d == 0 && a < b)) {
		u128 t = a;

		a = b;
		b = t;
		exp = z->exp;
		sign = sz;
		d = -d;
	}
	b = shift_right_jam(b, (unsigned)d);
	sum = sp == sz ? a + b : a - b;
	if (!sum)
		return zero(f, (mxcsr & MXCSR_RC) == 0x2000);
	up = clz128(sum);
	return real_round(f, sign, exp + 1 - (int)up, sum << up, mxcsr);
}

FP_INLINE bool is_nan(const struct real *r)
{
	return r->kind >= REAL_QNAN;
}

static struct rounded nan_result(const struct real_format *f, const struct real *x, const struct real *y, const struct real *z, uint64_t vx,
				  uint64_t vy, uint64_t vz)
{
	bool signals = x->kind == REAL_SNAN || y->kind == REAL_SNAN || z->kind == REAL_SNAN;

	return (struct rounded){real_quiet_bit(f) | (is_nan(x) ? vx : is_nan(y) ? vy : vz), signals ? FSW_IE : 0};
}

/* An operand is infinite, none a NaN; or the product is zero. */
static struct rounded special(const struct real_format *f, const struct real *x, const struct real *y, const struct real *z, bool sp,
			       bool sz, uint32_t mxcsr)
{
	bool infinite = x->kind == REAL_INFINITE || y->kind == REAL_INFINITE, nothing = x->kind == REAL_ZERO || y->kind == REAL_ZERO;

	if (infinite && (nothing || (z->kind == REAL_INFINITE && sp != sz)))
		return (struct rounded){real_sign_bit(f, true) | real_infinity(f) | real_quiet_bit(f), FSW_IE};
	if (infinite || z->kind == REAL_INFINITE)
		return (struct rounded){real_sign_bit(f, infinite ? sp : sz) | real_infinity(f), 0};
	if (z->kind == REAL_ZERO)
		return zero(f, sp == sz ? sp : (mxcsr & MXCSR_RC) == 0x2000);
	return real_round(f, sz, z->exp, (u128)z->sig << 64, mxcsr);
}

FP_INLINE struct rounded fma_of(const struct real_format *f, uint64_t vx, uint64_t vy, uint64_t vz, unsigned negate, uint32_t mxcsr)
{
	bool daz = mxcsr & MXCSR_DAZ;
	struct real x = real_unpack(f, vx, daz), y = real_unpack(f, vy, daz), z = real_unpack(f, vz, daz);
	bool sp = x.sign ^ y.sign ^ !!(negate & FMA_NEGATE_PRODUCT), sz = z.sign ^ !!(negate & FMA_NEGATE_ADDEND);
	struct rounded r;

	if (likely(x.kind == REAL_FINITE && y.kind == REAL_FINITE && z.kind <= REAL_FINITE))
		r = multiply_add(f, &x, &y, &z, sp, sz, mxcsr);
	else if (is_nan(&x) || is_nan(&y) || is_nan(&z))
		return nan_result(f, &x, &y, &z, vx, vy, vz);
	else
		r = special(f, &x, &y, &z, sp, sz, mxcsr);
	if ((x.denormal || y.denormal || z.denormal) && !(r.flags & FSW_IE))
		r.flags |= FSW_DE;
	return r;
}

struct rounded soft_fma32(uint32_t x, uint32_t y, uint32_t z, unsigned negate, uint32_t mxcsr)
{
	return fma_of(&real32, x, y, z, negate, mxcsr);
}

struct rounded soft_fma64(uint64_t x, uint64_t y, uint64_t z, unsigned negate, uint32_t mxcsr)
{
	return fma_of(&real64, x, y, z, negate, mxcsr);
}
