/* SPDX-License-Identifier: MIT */
/*
 * Arithmetic of the x87's 80-bit reals, on integers: IEEE 754 with the SDM's choices (SDM 1 chapters 4.8, 8.5).
 *
 * Operands are unpacked to sign, exponent and a normalised 64-bit significand; an operation computes 128 bits of result
 * with the lost rest jammed into the lowest; fp80_round() alone rounds, and knows precision control, rounding control,
 * tininess after rounding, and the biased results that unmasked overflow and underflow deliver. What an operation meets
 * is gathered in fp_env.ex.
 */
#include "vmm-core/soft/fp.h"

typedef unsigned __int128 u128;

enum { BIAS = 16383, EXP_MAX = 0x7fff, WRAP = 24576 };
#define MSB (1ull << 63)
#define QUIET (1ull << 62)

const struct fp80 fp80_indefinite = {0xc000000000000000ull, 0xffff};

static struct fp80 make(bool sign, unsigned exp, uint64_t mant)
{
	return (struct fp80){mant, (uint16_t)(exp | (unsigned)sign << 15)};
}

static struct fp80 make_zero(bool sign)
{
	return make(sign, 0, 0);
}

static struct fp80 make_inf(bool sign)
{
	return make(sign, EXP_MAX, MSB);
}

struct fp80 fp80_invalid(struct fp_env *e)
{
	e->ex |= FSW_IE;
	return fp80_indefinite;
}

struct fp_num fp80_unpack(struct fp80 v)
{
	struct fp_num n = {.sign = v.se >> 15, .exp = (v.se & 0x7fff) - BIAS, .sig = v.mant};
	unsigned exp = v.se & 0x7fff;

	if (exp == EXP_MAX) {
		n.kind = !(v.mant & MSB) ? FP_UNSUPPORTED : v.mant == MSB ? FP_INF : v.mant & QUIET ? FP_QNAN : FP_SNAN;
	} else if (exp == 0 && v.mant == 0) {
		n.kind = FP_ZERO;
	} else if (exp == 0) {
		int shift = __builtin_clzll(v.mant);

		n.kind = FP_FINITE;
		n.denormal = true;
		n.sig <<= shift;
		n.exp = 1 - BIAS - shift;
	} else {
		n.kind = v.mant & MSB ? FP_FINITE : FP_UNSUPPORTED;
	}
	return n;
}

static bool is_nan(const struct fp_num *n)
{
	return n->kind == FP_QNAN || n->kind == FP_SNAN;
}

/* --- Rounding --- */

/* Should a magnitude whose kept part is odd or even be rounded up? half: the rest against one half, -1, 0, 1. */
static bool round_up(unsigned cw, bool sign, bool odd, bool inexact, int half)
{
	switch ((cw >> 10) & 3) {
	case 0: return half > 0 || (half == 0 && odd && inexact);
	case 1: return inexact && sign;
	case 2: return inexact && !sign;
	default: return false;
	}
}

struct rounded {
	uint64_t sig; /* 0: carried out of the top */
	bool inexact, up;
};

static struct rounded round_sig(unsigned cw, unsigned bits, bool sign, uint64_t hi, uint64_t lo)
{
	uint64_t ulp = 1ull << (64 - bits), rest = hi & (ulp - 1), half_ulp = ulp >> 1;
	struct rounded r = {.sig = hi & ~(ulp - 1), .inexact = rest || lo};
	int half;

	if (bits == 64)
		half = lo > MSB ? 1 : lo == MSB ? 0 : -1;
	else
		half = rest > half_ulp || (rest == half_ulp && lo) ? 1 : rest == half_ulp ? 0 : -1;
	r.up = round_up(cw, sign, hi & ulp, r.inexact, half);
	if (r.up)
		r.sig += ulp;
	return r;
}

/* Shifts hi:lo right, jamming what falls out into the lowest bit. */
static void shift_right(uint64_t *hi, uint64_t *lo, unsigned n)
{
	u128 v = (u128)*hi << 64 | *lo, lost;

	if (n >= 128) {
		*lo = v != 0;
		*hi = 0;
		return;
	}
	if (n == 0)
		return;
	lost = v << (128 - n);
	v >>= n;
	*hi = (uint64_t)(v >> 64);
	*lo = (uint64_t)v | (lost != 0);
}

static struct fp80 overflow(struct fp_env *e, unsigned bits, bool sign, int biased, struct rounded r)
{
	unsigned rc = (e->cw >> 10) & 3;
	bool to_inf = rc == 0 || (rc == 1 && sign) || (rc == 2 && !sign);

	e->ex |= FSW_OE;
	if (!(e->cw & FSW_OE)) {
		if (biased - WRAP >= EXP_MAX) {
			/* Even the biased exponent is too large (FSCALE). */
			e->ex |= FSW_PE | FSW_C1;
			return make_inf(sign);
		}
		if (r.inexact)
			e->ex |= FSW_PE;
		if (r.up)
			e->ex |= FSW_C1;
		return make(sign, (unsigned)(biased - WRAP), r.sig);
	}
	e->ex |= FSW_PE;
	if (to_inf) {
		e->ex |= FSW_C1;
		return make_inf(sign);
	}
	return make(sign, EXP_MAX - 1, ~((1ull << (64 - bits)) - 1));
}

static struct fp80 underflow(struct fp_env *e, unsigned bits, bool sign, int biased, uint64_t hi, uint64_t lo)
{
	struct rounded r;

	shift_right(&hi, &lo, (unsigned)(1 - biased));
	r = round_sig(e->cw, bits, sign, hi, lo);
	if (r.inexact)
		e->ex |= FSW_UE | FSW_PE;
	if (r.up)
		e->ex |= FSW_C1;
	return make(sign, r.sig >> 63, r.sig);
}

struct fp80 fp80_round(struct fp_env *e, unsigned bits, bool sign, int exp, uint64_t hi, uint64_t lo)
{
	struct rounded r = round_sig(e->cw, bits, sign, hi, lo);
	int biased = exp + BIAS, after = biased;

	if (r.up && r.sig == 0) {
		r.sig = MSB;
		after++;
	}
	if (after >= EXP_MAX)
		return overflow(e, bits, sign, after, r);
	if (after < 1 && e->cw & FSW_UE)
		return underflow(e, bits, sign, biased, hi, lo);
	if (biased < 1 && e->cw & FSW_UE) {
		/* Not tiny: it rounds up to the smallest normal number. */
		e->ex |= FSW_PE | FSW_C1;
		return make(sign, 1, MSB);
	}
	if (r.inexact)
		e->ex |= FSW_PE;
	if (r.up)
		e->ex |= FSW_C1;
	if (after < 1) {
		e->ex |= FSW_UE;
		after += WRAP;
		if (after < 1) {
			e->ex |= FSW_PE;
			return make_zero(sign);
		}
	}
	return make(sign, (unsigned)after, r.sig);
}

/* Precision control: 24, 53 or 64 bits. */
static unsigned precision(const struct fp_env *e)
{
	static const uint8_t bits[4] = {24, 64, 53, 64};

	return bits[(e->cw >> 8) & 3];
}

/* Normalises 128 bits (not 0) whose bit 127 has the weight 2^exp, and rounds. */
static struct fp80 normalise(struct fp_env *e, unsigned bits, bool sign, int exp, u128 v)
{
	uint64_t hi = (uint64_t)(v >> 64);
	int shift = hi ? __builtin_clzll(hi) : 64 + __builtin_clzll((uint64_t)v);

	v <<= shift;
	return fp80_round(e, bits, sign, exp - shift, (uint64_t)(v >> 64), (uint64_t)v);
}

/* --- NaN and denormal operands --- */

struct fp80 fp80_nan(struct fp_env *e, struct fp80 a, struct fp80 b)
{
	struct fp_num x = fp80_unpack(a), y = fp80_unpack(b);
	bool snan = x.kind == FP_SNAN || y.kind == FP_SNAN;

	if (snan)
		e->ex |= FSW_IE;
	a.mant |= QUIET;
	b.mant |= QUIET;
	if (!is_nan(&y))
		return a;
	if (!is_nan(&x))
		return b;
	/* SDM 1 table 4-7: a QNaN wins over an SNaN, else the larger significand. */
	if (x.kind != y.kind)
		return x.kind == FP_QNAN ? a : b;
	if (a.mant != b.mant)
		return a.mant > b.mant ? a : b;
	return a.se < b.se ? a : b;
}

/* Deals with unsupported formats and NaNs: true, and *r is the result. */
static bool special(struct fp_env *e, struct fp80 a, struct fp80 b, const struct fp_num *x, const struct fp_num *y,
		    struct fp80 *r)
{
	if (x->kind == FP_UNSUPPORTED || y->kind == FP_UNSUPPORTED)
		*r = fp80_invalid(e);
	else if (is_nan(x) || is_nan(y))
		*r = fp80_nan(e, a, b);
	else
		return false;
	return true;
}

static void note_denormals(struct fp_env *e, const struct fp_num *x, const struct fp_num *y)
{
	if (x->denormal || y->denormal || e->denormal)
		e->ex |= FSW_DE;
}

/* --- Add, subtract, multiply, divide, square root --- */

static struct fp80 add_finite(struct fp_env *e, struct fp_num x, struct fp_num y)
{
	u128 a, b;
	unsigned d;

	if (x.exp < y.exp || (x.exp == y.exp && x.sig < y.sig)) {
		struct fp_num t = x;

		x = y;
		y = t;
	}
	a = (u128)x.sig << 63;
	b = (u128)y.sig << 63;
	d = (unsigned)(x.exp - y.exp);
	if (d >= 127)
		b = 1;
	else if (d)
		b = b >> d | ((b << (128 - d)) != 0);
	if (x.sign == y.sign)
		return normalise(e, precision(e), x.sign, x.exp + 1, a + b);
	if (a == b)
		return make_zero(((e->cw >> 10) & 3) == 1);
	return normalise(e, precision(e), x.sign, x.exp + 1, a - b);
}

static struct fp80 add(struct fp_env *e, struct fp80 a, struct fp80 b, bool negate)
{
	struct fp_num x = fp80_unpack(a), y = fp80_unpack(b);
	struct fp80 r;

	if (special(e, a, b, &x, &y, &r))
		return r;
	y.sign ^= negate;
	if (x.kind == FP_INF && y.kind == FP_INF && x.sign != y.sign)
		return fp80_invalid(e);
	note_denormals(e, &x, &y);
	if (x.kind == FP_INF)
		return make_inf(x.sign);
	if (y.kind == FP_INF)
		return make_inf(y.sign);
	if (x.kind == FP_ZERO && y.kind == FP_ZERO)
		return make_zero(x.sign == y.sign ? x.sign : ((e->cw >> 10) & 3) == 1);
	if (x.kind == FP_ZERO)
		return fp80_round(e, precision(e), y.sign, y.exp, y.sig, 0);
	if (y.kind == FP_ZERO)
		return fp80_round(e, precision(e), x.sign, x.exp, x.sig, 0);
	return add_finite(e, x, y);
}

struct fp80 fp80_add(struct fp_env *e, struct fp80 a, struct fp80 b)
{
	return add(e, a, b, false);
}

struct fp80 fp80_sub(struct fp_env *e, struct fp80 a, struct fp80 b)
{
	return add(e, a, b, true);
}

struct fp80 fp80_mul(struct fp_env *e, struct fp80 a, struct fp80 b)
{
	struct fp_num x = fp80_unpack(a), y = fp80_unpack(b);
	struct fp80 r;
	bool sign = x.sign ^ y.sign;

	if (special(e, a, b, &x, &y, &r))
		return r;
	if ((x.kind == FP_INF && y.kind == FP_ZERO) || (x.kind == FP_ZERO && y.kind == FP_INF))
		return fp80_invalid(e);
	note_denormals(e, &x, &y);
	if (x.kind == FP_INF || y.kind == FP_INF)
		return make_inf(sign);
	if (x.kind == FP_ZERO || y.kind == FP_ZERO)
		return make_zero(sign);
	return normalise(e, precision(e), sign, x.exp + y.exp + 1, (u128)x.sig * y.sig);
}

struct fp80 fp80_div(struct fp_env *e, struct fp80 a, struct fp80 b)
{
	struct fp_num x = fp80_unpack(a), y = fp80_unpack(b);
	struct fp80 r;
	bool sign = x.sign ^ y.sign;
	uint64_t q, rest;
	u128 n;
	int exp;

	if (special(e, a, b, &x, &y, &r))
		return r;
	if ((x.kind == FP_INF && y.kind == FP_INF) || (x.kind == FP_ZERO && y.kind == FP_ZERO))
		return fp80_invalid(e);
	if (y.kind == FP_ZERO && x.kind == FP_FINITE) {
		e->ex |= FSW_ZE;
		return make_inf(sign);
	}
	note_denormals(e, &x, &y);
	if (x.kind == FP_INF || y.kind == FP_ZERO)
		return make_inf(sign);
	if (x.kind == FP_ZERO || y.kind == FP_INF)
		return make_zero(sign);
	exp = x.exp - y.exp - (x.sig < y.sig);
	n = (u128)x.sig << (x.sig < y.sig ? 64 : 63);
	q = (uint64_t)(n / y.sig);
	rest = (uint64_t)(n % y.sig);
	n = (u128)rest << 64;
	return fp80_round(e, precision(e), sign, exp, q, (uint64_t)(n / y.sig) | (n % y.sig != 0));
}

/* Root of n in [2^126, 2^128), rounded down. */
static uint64_t root(u128 n)
{
	uint64_t r = 0;

	for (uint64_t bit = MSB; bit; bit >>= 1)
		if ((u128)(r | bit) * (r | bit) <= n)
			r |= bit;
	return r;
}

struct fp80 fp80_sqrt(struct fp_env *e, struct fp80 a)
{
	struct fp_num x = fp80_unpack(a);
	struct fp80 r;
	bool odd = x.exp & 1;
	uint64_t s;
	u128 n, rest;

	if (special(e, a, a, &x, &x, &r))
		return r;
	if (x.kind == FP_ZERO)
		return a;
	if (x.sign)
		return fp80_invalid(e);
	if (x.kind == FP_INF)
		return a;
	note_denormals(e, &x, &x);
	n = (u128)x.sig << (odd ? 64 : 63);
	s = root(n);
	rest = n - (u128)s * s;
	return fp80_round(e, precision(e), false, (x.exp - odd) / 2, s, rest == 0 ? 0 : rest > s ? MSB | 1 : 1);
}

/* --- Integers --- */

/* |x| as an integer rounded by cw; wide enough is x.exp < 64. */
static struct rounded integer(unsigned cw, const struct fp_num *x)
{
	uint64_t hi = x->sig, lo = 0;
	struct rounded r;
	int half;

	if (x->exp >= 63)
		return (struct rounded){.sig = x->sig};
	shift_right(&hi, &lo, (unsigned)(63 - x->exp));
	half = lo > MSB ? 1 : lo == MSB ? 0 : -1;
	r = (struct rounded){.sig = hi, .inexact = lo != 0};
	r.up = round_up(cw, x->sign, hi & 1, r.inexact, half);
	r.sig += r.up;
	return r;
}

static void note_rounded(struct fp_env *e, struct rounded r)
{
	if (r.inexact)
		e->ex |= FSW_PE;
	if (r.up)
		e->ex |= FSW_C1;
}

struct fp80 fp80_rint(struct fp_env *e, struct fp80 a)
{
	struct fp_num x = fp80_unpack(a);
	struct rounded r;
	struct fp80 v;
	int shift;

	if (special(e, a, a, &x, &x, &v))
		return v;
	note_denormals(e, &x, &x);
	if (x.kind != FP_FINITE || x.exp >= 63)
		return a;
	r = integer(e->cw, &x);
	note_rounded(e, r);
	if (r.sig == 0)
		return make_zero(x.sign);
	shift = __builtin_clzll(r.sig);
	return make(x.sign, (unsigned)(BIAS + 63 - shift), r.sig << shift);
}

struct fp80 fp80_from_int(int64_t v)
{
	uint64_t m = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	int shift;

	if (m == 0)
		return make_zero(false);
	shift = __builtin_clzll(m);
	return make(v < 0, (unsigned)(BIAS + 63 - shift), m << shift);
}

int64_t fp80_to_int(struct fp_env *e, struct fp80 v, unsigned bits, bool truncate)
{
	struct fp_num x = fp80_unpack(v);
	uint64_t limit = 1ull << (bits - 1);
	struct rounded r;

	if (x.kind == FP_ZERO)
		return 0;
	if (x.kind == FP_FINITE && x.exp < 64) {
		r = integer(truncate ? e->cw | 0xc00u : e->cw, &x);
		if (r.sig < limit || (r.sig == limit && x.sign)) {
			note_rounded(e, r);
			return x.sign ? (int64_t)(0 - r.sig) : (int64_t)r.sig;
		}
	}
	e->ex |= FSW_IE;
	return (int64_t)(0 - limit);
}

/* --- Single and double --- */

struct format {
	int bias, exp_max;
	unsigned bits; /* of precision, with the implied one */
};
static const struct format single = {127, 255, 24}, twice = {1023, 2047, 53};

static struct fp80 from_ieee(struct fp_env *e, const struct format *f, bool sign, unsigned exp, uint64_t frac)
{
	uint64_t mant = frac << (64 - f->bits);

	if (exp == (unsigned)f->exp_max)
		return make(sign, EXP_MAX, MSB | mant);
	if (exp)
		return make(sign, exp - (unsigned)f->bias + BIAS, MSB | mant);
	if (!frac)
		return make_zero(sign);
	e->denormal = true;
	exp = (unsigned)__builtin_clzll(mant);
	return make(sign, (unsigned)(BIAS + 1 - f->bias) - exp, mant << exp);
}

struct fp80 fp80_from32(struct fp_env *e, uint32_t v)
{
	return from_ieee(e, &single, v >> 31, (v >> 23) & 0xff, v & 0x7fffff);
}

struct fp80 fp80_from64(struct fp_env *e, uint64_t v)
{
	return from_ieee(e, &twice, v >> 63, (v >> 52) & 0x7ff, v & 0xfffffffffffffull);
}

/* A finite number; the caller stores nothing where an exception that is met here is unmasked. */
static uint64_t finite_to_ieee(struct fp_env *e, const struct format *f, const struct fp_num *x)
{
	unsigned rc = (e->cw >> 10) & 3, frac_bits = f->bits - 1;
	struct rounded r = round_sig(e->cw, f->bits, x->sign, x->sig, 0);
	uint64_t inf = (uint64_t)f->exp_max << frac_bits, hi = x->sig, lo = 0;
	int biased = x->exp + f->bias;
	bool carry = r.up && r.sig == 0;

	if (biased + carry >= f->exp_max) {
		bool to_inf = rc == 0 || (rc == 1 && x->sign) || (rc == 2 && !x->sign);

		e->ex |= FSW_OE | FSW_PE | (to_inf ? FSW_C1 : 0);
		return to_inf ? inf : inf - 1;
	}
	if (biased + carry < 1 || biased < 1) {
		bool tiny = biased + carry < 1;

		shift_right(&hi, &lo, (unsigned)(1 - biased));
		r = round_sig(e->cw, f->bits, x->sign, hi, lo);
		if (tiny && (r.inexact || !(e->cw & FSW_UE)))
			e->ex |= FSW_UE;
		note_rounded(e, r);
		return r.sig >> (64 - f->bits); /* rounding up to the implied bit yields exponent 1 */
	}
	note_rounded(e, r);
	return ((uint64_t)(biased + carry) << frac_bits) | ((r.sig << 1) >> (65 - f->bits));
}

static uint64_t to_ieee(struct fp_env *e, const struct format *f, struct fp80 v, bool *sign)
{
	struct fp_num x = fp80_unpack(v);
	uint64_t inf = (uint64_t)f->exp_max << (f->bits - 1), quiet = 1ull << (f->bits - 2);

	*sign = x.sign;
	switch (x.kind) {
	case FP_ZERO: return 0;
	case FP_INF: return inf;
	case FP_FINITE: return finite_to_ieee(e, f, &x);
	case FP_SNAN: e->ex |= FSW_IE; /* fall through */
	case FP_QNAN: return inf | quiet | ((v.mant << 1) >> (65 - f->bits));
	default:
		e->ex |= FSW_IE;
		*sign = true;
		return inf | quiet;
	}
}

struct fp80 fp80_quiet(struct fp_env *e, struct fp80 v)
{
	if (fp80_unpack(v).kind == FP_SNAN) {
		e->ex |= FSW_IE;
		v.mant |= QUIET;
	}
	if (e->denormal)
		e->ex |= FSW_DE;
	return v;
}

uint32_t fp80_to32(struct fp_env *e, struct fp80 v)
{
	bool sign;
	uint64_t r = to_ieee(e, &single, v, &sign);

	return (uint32_t)r | (uint32_t)sign << 31;
}

uint64_t fp80_to64(struct fp_env *e, struct fp80 v)
{
	bool sign;
	uint64_t r = to_ieee(e, &twice, v, &sign);

	return r | (uint64_t)sign << 63;
}

/* --- Packed decimal --- */

bool fp80_to_bcd(struct fp_env *e, struct fp80 v, uint8_t bcd[10])
{
	static const uint8_t indefinite[10] = {[7] = 0xc0, 0xff, 0xff};
	struct fp_num x = fp80_unpack(v);
	struct rounded r = {0};

	if (x.kind == FP_FINITE && x.exp < 64)
		r = integer(e->cw, &x);
	if ((x.kind != FP_FINITE && x.kind != FP_ZERO) || x.exp >= 64 || r.sig > 999999999999999999ull) {
		e->ex |= FSW_IE;
		memcpy(bcd, indefinite, 10);
		return false;
	}
	note_rounded(e, r);
	for (unsigned k = 0; k < 9; k++, r.sig /= 100)
		bcd[k] = (uint8_t)(r.sig % 10 | (r.sig / 10 % 10) << 4);
	bcd[9] = x.sign ? 0x80 : 0;
	return true;
}

struct fp80 fp80_from_bcd(const uint8_t bcd[10])
{
	uint64_t v = 0;
	struct fp80 r;

	for (int k = 8; k >= 0; k--)
		v = v * 100 + (bcd[k] >> 4) * 10u + (bcd[k] & 15);
	r = fp80_from_int((int64_t)v);
	r.se |= (uint16_t)((bcd[9] & 0x80) << 8);
	return r;
}

/* --- Compare --- */

uint16_t fp80_compare(struct fp_env *e, struct fp80 a, struct fp80 b, bool quiet)
{
	struct fp_num x = fp80_unpack(a), y = fp80_unpack(b);
	bool less;

	if (x.kind >= FP_QNAN || y.kind >= FP_QNAN) {
		if (!quiet || x.kind > FP_QNAN || y.kind > FP_QNAN)
			e->ex |= FSW_IE;
		return FSW_C0 | FSW_C2 | FSW_C3;
	}
	note_denormals(e, &x, &y);
	if (x.kind == FP_ZERO && y.kind == FP_ZERO)
		return FSW_C3;
	if (x.kind == FP_ZERO)
		return y.sign ? 0 : FSW_C0;
	if (y.kind == FP_ZERO || x.sign != y.sign)
		return x.sign ? FSW_C0 : 0;
	if (x.kind == y.kind && (x.kind == FP_INF || (x.exp == y.exp && x.sig == y.sig)))
		return FSW_C3;
	if (x.kind == FP_INF || y.kind == FP_INF)
		less = y.kind == FP_INF;
	else
		less = x.exp < y.exp || (x.exp == y.exp && x.sig < y.sig);
	return less != x.sign ? FSW_C0 : 0;
}

/* --- Scale, extract, remainder --- */

struct fp80 fp80_scale(struct fp_env *e, struct fp80 a, struct fp80 b)
{
	struct fp_num x = fp80_unpack(a), y = fp80_unpack(b);
	struct fp80 r;
	int n;

	if (special(e, a, b, &x, &y, &r))
		return r;
	if (y.kind == FP_INF) {
		if ((x.kind == FP_ZERO && !y.sign) || (x.kind == FP_INF && y.sign))
			return fp80_invalid(e);
		note_denormals(e, &x, &y);
		return x.kind == FP_ZERO || y.sign ? make_zero(x.sign) : make_inf(x.sign);
	}
	note_denormals(e, &x, &y);
	if (x.kind != FP_FINITE || y.kind == FP_ZERO) {
		/* A pseudo-denormal becomes the normal number that it is. */
		if (x.kind == FP_FINITE && !(a.se & 0x7fff) && a.mant >> 63)
			a.se++;
		return a;
	}
	n = y.exp < 0 ? 0 : y.exp > 16 ? 0x20000 : (int)(y.sig >> (63 - y.exp));
	return fp80_round(e, 64, x.sign, x.exp + (y.sign ? -n : n), x.sig, 0);
}

struct fp80 fp80_extract(struct fp_env *e, struct fp80 a, struct fp80 *exponent)
{
	struct fp_num x = fp80_unpack(a);
	struct fp80 r;

	if (special(e, a, a, &x, &x, &r)) {
		*exponent = r;
		return r;
	}
	if (x.kind == FP_INF) {
		*exponent = make_inf(false);
		return a;
	}
	if (x.kind == FP_ZERO) {
		e->ex |= FSW_ZE;
		*exponent = make_inf(true);
		return a;
	}
	note_denormals(e, &x, &x);
	*exponent = fp80_from_int(x.exp);
	return make(x.sign, BIAS, x.sig);
}

/* The remainder of x by y, the quotient's low bits in *q; n: how many quotient bits to work off. */
static uint64_t reduce(uint64_t rest, uint64_t y, unsigned n, uint64_t *q)
{
	bool carry = false;

	for (unsigned k = 0; k < n; k++) {
		*q <<= 1;
		if (carry || rest >= y) {
			rest -= y;
			*q |= 1;
		}
		if (k + 1 < n) {
			carry = rest >> 63;
			rest <<= 1;
		}
	}
	return rest;
}

/* sig / 2^63 * 2^exp, exactly; precision control does not apply. */
static struct fp80 exact(struct fp_env *e, bool sign, int exp, uint64_t sig)
{
	int shift = __builtin_clzll(sig);

	return fp80_round(e, 64, sign, exp - shift, sig << shift, 0);
}

static struct fp80 rem_finite(struct fp_env *e, struct fp_num x, struct fp_num y, bool ieee, uint16_t *cc)
{
	int d = x.exp - y.exp, n;
	uint64_t q = 0, rest;
	bool twice_ge;

	if (d < -1 || (d < 0 && !ieee)) {
		return fp80_round(e, 64, x.sign, x.exp, x.sig, 0);
	}
	if (d >= 64) {
		/* Partial: reduces the exponent by 32 to 63. */
		n = (d & 31) | 32;
		rest = reduce(x.sig, y.sig, (unsigned)n + 1, &q);
		*cc = FSW_C2;
		return rest ? exact(e, x.sign, x.exp - n, rest) : make_zero(x.sign);
	}
	if (d < 0) { /* FPREM1: x in [y/4, y) */
		twice_ge = x.sig > y.sig;
		rest = x.sig;
		if (twice_ge) {
			/* y - x, in units of x's exponent: 2y - x in 65 bits, below 2^64 as x.sig > y.sig */
			rest = 2 * y.sig - x.sig;
			q = 1;
			x.sign = !x.sign;
		}
		*cc = (uint16_t)(q & 1 ? FSW_C1 : 0);
		return exact(e, x.sign, x.exp, rest);
	}
	rest = reduce(x.sig, y.sig, (unsigned)d + 1, &q);
	if (ieee && rest && (rest > y.sig - rest || (rest == y.sig - rest && q & 1))) {
		rest = y.sig - rest;
		q++;
		x.sign = !x.sign;
	}
	*cc = (uint16_t)((q & 1 ? FSW_C1 : 0) | (q & 2 ? FSW_C3 : 0) | (q & 4 ? FSW_C0 : 0));
	return rest ? exact(e, x.sign, y.exp, rest) : make_zero(x.sign);
}

struct fp80 fp80_rem(struct fp_env *e, struct fp80 a, struct fp80 b, bool ieee, uint16_t *cc)
{
	struct fp_num x = fp80_unpack(a), y = fp80_unpack(b);
	struct fp80 r;

	if (special(e, a, b, &x, &y, &r))
		return r;
	if (x.kind == FP_INF || y.kind == FP_ZERO)
		return fp80_invalid(e);
	*cc = 0;
	note_denormals(e, &x, &y);
	if (x.kind == FP_ZERO)
		return a;
	/* The operand: a denormal is no underflow here, even where that isn't masked. */
	if (y.kind == FP_INF)
		return x.exp + BIAS < 1 ? a : make(x.sign, (unsigned)(x.exp + BIAS), x.sig);
	return rem_finite(e, x, y, ieee, cc);
}
