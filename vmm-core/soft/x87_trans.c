/* SPDX-License-Identifier: MIT */
/*
 * The x87's transcendental instructions, the same on every host: each is the exact function's value, rounded once by the
 * control word's rounding mode to 64 bits, computed with MPFR. (CPUs promise an error below one unit in the last place and
 * differ within it.)
 *
 * The trigonometric functions reduce their argument as Intel's do, by a pi of 66 significant bits (SDM 1 8.3.8): x is
 * n * pi66/2 + r with n the nearest integer, and r, which is exact, goes into the function of that quadrant.
 *
 * MPFR gives a value rounded towards zero and whether it is exact; those are the significand and the sticky bit that
 * fp80_round() wants.
 */
#include <mpfr.h>

#include "vmm-core/soft/fp.h"

enum { PRECISION = 128 };

static void set(mpfr_t m, const struct fp_num *n)
{
	if (n->kind == FP_ZERO)
		mpfr_set_zero(m, n->sign ? -1 : 1);
	else if (n->kind == FP_INF)
		mpfr_set_inf(m, n->sign ? -1 : 1);
	else
		mpfr_set_ui_2exp(m, n->sig, n->exp - 63, MPFR_RNDN);
	if (n->kind == FP_FINITE && n->sign)
		mpfr_neg(m, m, MPFR_RNDN);
}

static struct fp80 zero(bool sign)
{
	return (struct fp80){0, (uint16_t)(sign << 15)};
}

static struct fp80 inf(bool sign)
{
	return (struct fp80){1ull << 63, (uint16_t)(0x7fff | sign << 15)};
}

static int clamp(mpfr_exp_t exp)
{
	return exp > 100000 ? 100000 : exp < -100000 ? -100000 : (int)exp;
}

/* m, truncated, was exact or not; m may have any precision. */
static struct fp80 finish(struct fp_env *e, mpfr_srcptr m, bool inexact)
{
	mpz_t z;
	mpfr_exp_t exp;
	uint64_t hi, lo;
	size_t bits;
	mp_bitcnt_t cut;

	if (mpfr_zero_p(m))
		return zero(mpfr_signbit(m));
	mpz_init(z);
	exp = mpfr_get_z_2exp(z, m);
	mpz_abs(z, z);
	bits = mpz_sizeinbase(z, 2);
	exp += (mpfr_exp_t)bits - 1;
	if (bits < 128) {
		mpz_mul_2exp(z, z, 128 - bits);
		bits = 128;
	}
	cut = bits - 128;
	inexact |= cut && mpz_scan1(z, 0) < cut;
	mpz_tdiv_q_2exp(z, z, cut);
	lo = mpz_getlimbn(z, 0) | inexact;
	hi = mpz_getlimbn(z, 1);
	mpz_clear(z);
	return fp80_round(e, 64, mpfr_signbit(m), clamp(exp), hi, lo);
}
_Static_assert(sizeof(mp_limb_t) == 8, "GMP's limbs have 64 bits");

/* Unsupported formats and NaNs: true, and *r is the result. Else notes denormals. */
static bool special(struct fp_env *e, struct fp80 a, struct fp80 b, struct fp80 *r)
{
	struct fp_num x = fp80_unpack(a), y = fp80_unpack(b);

	if (x.kind == FP_UNSUPPORTED || y.kind == FP_UNSUPPORTED)
		*r = fp80_invalid(e);
	else if (x.kind >= FP_QNAN || y.kind >= FP_QNAN)
		*r = fp80_nan(e, a, b);
	else
		return false;
	return true;
}

static void note_denormals(struct fp_env *e, const struct fp_num *x, const struct fp_num *y)
{
	if (x->denormal || y->denormal)
		e->ex |= FSW_DE;
}

/* --- Powers and logarithms --- */

/* 2^x - 1. Outside [-1, 1], where the SDM leaves it undefined, the operand stays, as on Intel's CPUs. */
struct fp80 fp80_f2xm1(struct fp_env *e, struct fp80 a)
{
	struct fp_num x = fp80_unpack(a);
	struct fp80 r;
	mpfr_t m, v;
	int exact;

	if (special(e, a, a, &r))
		return r;
	note_denormals(e, &x, &x);
	if (x.kind == FP_ZERO)
		return a;
	if (x.kind == FP_INF)
		return x.sign ? (struct fp80){1ull << 63, 0xbfff} : a;
	if (x.exp > 0 || (x.exp == 0 && x.sig != 1ull << 63)) {
		e->ex |= FSW_PE;
		return a;
	}
	mpfr_init2(m, 64);
	mpfr_init2(v, PRECISION);
	set(m, &x);
	exact = mpfr_exp2m1(v, m, MPFR_RNDZ);
	r = finish(e, v, exact != 0);
	mpfr_clear(m);
	mpfr_clear(v);
	return r;
}

/* Is v, good to all but its last 8 bits, too near to a number of 65 bits to know on which side the exact value lies? */
static bool undecided(mpfr_srcptr v)
{
	mpfr_prec_t p = mpfr_get_prec(v);
	bool near;
	mpz_t z;

	mpz_init(z);
	mpfr_get_z_2exp(z, v);
	mpz_abs(z, z);
	mpz_tdiv_q_2exp(z, z, 8);
	mpz_tdiv_r_2exp(z, z, (mp_bitcnt_t)(p - 8 - 65));
	near = mpz_sgn(z) == 0 || mpz_popcount(z) == (mp_bitcnt_t)(p - 8 - 65);
	mpz_clear(z);
	return near;
}

/* y * f(x), f a base-2 logarithm whose values are integers or irrational. */
static struct fp80 times_log(struct fp_env *e, const struct fp_num *x, const struct fp_num *y,
			     int (*f)(mpfr_ptr, mpfr_srcptr, mpfr_rnd_t))
{
	mpfr_prec_t p = 2 * PRECISION;
	mpfr_t mx, my, v;
	struct fp80 r;
	bool exact;

	mpfr_init2(mx, 64);
	mpfr_init2(my, 64);
	mpfr_init2(v, p);
	set(mx, x);
	set(my, y);
	for (;; p *= 2) {
		mpfr_set_prec(v, p);
		exact = f(v, mx, MPFR_RNDZ) == 0;
		/* A second truncation: the error is below two units in the last place. */
		mpfr_mul(v, v, my, MPFR_RNDZ);
		if (exact || !undecided(v))
			break;
	}
	r = finish(e, v, !exact);
	mpfr_clear(mx);
	mpfr_clear(my);
	mpfr_clear(v);
	return r;
}

/* Where y or the logarithm (its sign, or is it zero) is not finite and not zero. */
static struct fp80 times_inf(struct fp_env *e, bool zero_factor, bool sign)
{
	return zero_factor ? fp80_invalid(e) : inf(sign);
}

struct fp80 fp80_fyl2x(struct fp_env *e, struct fp80 a, struct fp80 b)
{
	struct fp_num x = fp80_unpack(a), y = fp80_unpack(b);
	bool below_one, one;
	struct fp80 r;

	if (special(e, a, b, &r))
		return r;
	if (x.sign && x.kind != FP_ZERO)
		return fp80_invalid(e);
	if (x.kind == FP_ZERO) {
		if (y.kind == FP_ZERO)
			return fp80_invalid(e);
		if (y.kind == FP_FINITE)
			e->ex |= FSW_ZE;
		return inf(!y.sign);
	}
	one = x.kind == FP_FINITE && x.exp == 0 && x.sig == 1ull << 63;
	below_one = x.kind == FP_FINITE && x.exp < 0;
	if (x.kind == FP_INF || y.kind == FP_INF) {
		r = times_inf(e, one || y.kind == FP_ZERO, y.sign ^ below_one);
		if (!(e->ex & FSW_IE))
			note_denormals(e, &x, &y);
		return r;
	}
	note_denormals(e, &x, &y);
	if (y.kind == FP_ZERO || one)
		return zero(y.sign ^ below_one);
	return times_log(e, &x, &y, mpfr_log2);
}

/* For x of -1 and less, which the SDM leaves undefined, x stays, as on Intel's CPUs. */
struct fp80 fp80_fyl2xp1(struct fp_env *e, struct fp80 a, struct fp80 b)
{
	struct fp_num x = fp80_unpack(a), y = fp80_unpack(b);
	struct fp80 r;

	if (special(e, a, b, &r))
		return r;
	if (x.sign && x.kind == FP_INF)
		return fp80_invalid(e);
	if (x.kind == FP_INF || y.kind == FP_INF) {
		r = times_inf(e, x.kind == FP_ZERO || y.kind == FP_ZERO, x.sign ^ y.sign);
		if (!(e->ex & FSW_IE))
			note_denormals(e, &x, &y);
		return r;
	}
	note_denormals(e, &x, &y);
	if (x.kind == FP_ZERO || y.kind == FP_ZERO)
		return zero(x.sign ^ y.sign);
	if (x.sign && x.exp >= 0) {
		e->ex |= FSW_PE;
		return a;
	}
	return times_log(e, &x, &y, mpfr_log2p1);
}

/* --- Trigonometry --- */

struct fp80 fp80_fpatan(struct fp_env *e, struct fp80 b, struct fp80 a)
{
	struct fp_num x = fp80_unpack(a), y = fp80_unpack(b);
	mpfr_t mx, my, v;
	struct fp80 r;
	int exact;

	if (special(e, a, b, &r))
		return r;
	note_denormals(e, &x, &y);
	mpfr_init2(mx, 64);
	mpfr_init2(my, 64);
	mpfr_init2(v, PRECISION);
	set(mx, &x);
	set(my, &y);
	exact = mpfr_atan2(v, my, mx, MPFR_RNDZ);
	r = finish(e, v, exact != 0);
	mpfr_clear(mx);
	mpfr_clear(my);
	mpfr_clear(v);
	return r;
}

/* r = x - n * pi66/2, exactly; returns n modulo 4. */
static unsigned reduce(mpfr_t r, mpfr_srcptr x)
{
	mpfr_t half_pi, n;
	unsigned quadrant;
	mpz_t z;

	mpfr_init2(half_pi, 66);
	mpfr_init2(n, 256);
	mpz_init(z);
	mpz_set_ui(z, 0xc90fdaa22168c234ull);
	mpz_mul_2exp(z, z, 2);
	mpz_add_ui(z, z, 3); /* 66 bits: ...C234 and 11 */
	mpfr_set_z_2exp(half_pi, z, -65, MPFR_RNDN);
	mpfr_div(n, x, half_pi, MPFR_RNDN);
	mpfr_get_z(z, n, MPFR_RNDN);
	mpfr_set_z(n, z, MPFR_RNDN);
	mpfr_mul(n, n, half_pi, MPFR_RNDN);
	mpfr_sub(r, x, n, MPFR_RNDN);
	quadrant = (unsigned)mpz_fdiv_ui(z, 4);
	mpz_clear(z);
	mpfr_clear(n);
	mpfr_clear(half_pi);
	return quadrant;
}

typedef int function(mpfr_ptr, mpfr_srcptr, mpfr_rnd_t);

static struct fp80 apply(struct fp_env *e, function *f, bool negate, mpfr_srcptr r)
{
	struct fp80 v;
	mpfr_t m;
	int exact;

	mpfr_init2(m, PRECISION);
	exact = f(m, r, MPFR_RNDZ);
	if (negate)
		mpfr_neg(m, m, MPFR_RNDZ);
	v = finish(e, m, exact != 0);
	mpfr_clear(m);
	return v;
}

/* The same result for all that were asked for. */
static bool all(struct fp80 *sin, struct fp80 *cos, struct fp80 *tan, struct fp80 s, struct fp80 c)
{
	if (sin)
		*sin = s;
	if (cos)
		*cos = c;
	if (tan)
		*tan = s;
	return true;
}

bool fp80_trig(struct fp_env *e, struct fp80 a, struct fp80 *sin, struct fp80 *cos, struct fp80 *tan)
{
	const struct fp80 one = {1ull << 63, 0x3fff};
	struct fp_num x = fp80_unpack(a);
	unsigned quadrant;
	struct fp80 s;
	mpfr_t m, r;

	if (special(e, a, a, &s))
		return all(sin, cos, tan, s, s);
	if (x.kind == FP_INF) {
		s = fp80_invalid(e);
		return all(sin, cos, tan, s, s);
	}
	if (x.kind == FP_ZERO)
		return all(sin, cos, tan, a, one);
	if (x.exp >= 63)
		return false;
	note_denormals(e, &x, &x);
	mpfr_init2(m, 64);
	mpfr_init2(r, 256);
	set(m, &x);
	quadrant = reduce(r, m);
	if (sin)
		*sin = apply(e, quadrant & 1 ? mpfr_cos : mpfr_sin, quadrant & 2, r);
	if (cos)
		*cos = apply(e, quadrant & 1 ? mpfr_sin : mpfr_cos, quadrant == 1 || quadrant == 2, r);
	if (tan)
		*tan = apply(e, quadrant & 1 ? mpfr_cot : mpfr_tan, quadrant & 1, r);
	mpfr_clear(m);
	mpfr_clear(r);
	return true;
}
