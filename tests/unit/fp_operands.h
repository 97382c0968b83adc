/* SPDX-License-Identifier: MIT */
/*
 * Operands for x87, MMX and SSE: half of them from what is interesting (zeros, denormals, infinities, NaNs, halves,
 * limits), half random bits; control words from all rounding modes, precisions and masks.
 */
#ifndef FP_OPERANDS_H
#define FP_OPERANDS_H

#include "fp_fixture.h"

static uint64_t seed = 88172645463325252ull;

static inline uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dull;
}
static inline unsigned below(unsigned n)
{
	return (unsigned)(rnd() >> 33) % n;
}

static inline uint32_t single(void)
{
	static const uint32_t v[] = {
		0, 0x80000000, 1, 0x80000001, 0x7fffff, 0x800000, 0x807fffff, 0x80800000, 0x3f800000, 0xbf800000, 0x3f000000,
		0x40000000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x7f800001, 0xff812345, 0x7f7fffff, 0xff7fffff,
		0x4f000000, 0xcf000000, 0x4effffff, 0x5f000000, 0xdf000000, 0x3fc00000, 0x40200000, 0x34000000, 0x00800001,
		0x7fbfffff, 0x7fffffff, 0x20000000, 0x1fffffff, 0x5f7fffff,
	};
	uint32_t r = (uint32_t)rnd();

	switch (below(4)) {
	case 0:
	case 1: return v[below(sizeof(v) / sizeof(v[0]))];
	case 2: return (r & 0x807fffff) | (118 + below(20)) << 23;
	default: return r;
	}
}

static inline uint64_t twice(void)
{
	static const uint64_t v[] = {
		0, 1ull << 63, 1, (1ull << 63) | 1, 0xfffffffffffff, 0x10000000000000, 0x800fffffffffffff,
		0x8010000000000000, 0x3ff0000000000000, 0xbff0000000000000, 0x3fe0000000000000, 0x4000000000000000,
		0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0xfff8000000000001, 0x7ff0000000000001,
		0xfff0123456789abc, 0x7fefffffffffffff, 0xffefffffffffffff, 0x41e0000000000000, 0xc1e0000000000000,
		0x41dfffffffc00000, 0x41dfffffffe00000, 0xc1e0000000100000, 0x43e0000000000000, 0xc3e0000000000000,
		0x3ff8000000000000, 0x4004000000000000, 0x47efffffe0000000, 0x47effffff0000000, 0x36a0000000000000,
		0x3690000000000000, 0x380fffffffffffff, 0x3810000000000000, 0x2000000000000000, 0x1fffffffffffffff,
		0x5fefffffffffffff,
	};
	uint64_t r = rnd();

	switch (below(4)) {
	case 0:
	case 1: return v[below(sizeof(v) / sizeof(v[0]))];
	case 2: return (r & 0x800fffffffffffff) | (uint64_t)(1010 + below(30)) << 52;
	default: return r;
	}
}

static inline void extended(uint8_t p[10])
{
	static const uint16_t exps[] = {0, 0, 1, 2, 0x3fff, 0x3ffe, 0x4000, 0x7fff, 0x7fff, 0x7ffe, 0x403e, 0x403d, 0x403f,
					0x401e, 0x401d, 0x400e, 0x3fbf, 0x3fc0, 0x3f80, 0x43fe, 0x3c01, 0x3c00, 0x3bcd,
					0x407e, 0x3f81, 0x3f6a, 0x2000, 0x6000, 0x5fff, 0x5ffe};
	static const uint64_t mants[] = {0, 1, 1ull << 63, UINT64_MAX, 0xc000000000000000, 0xa000000000000000, 0x8000000000000001,
					 0x4000000000000000, 0x7fffffffffffffff, 0xfffffffffffff800, 0xffffff0000000000,
					 0x8000000000000400, 0x8000008000000000, 0xbfffffffffffffff, 0x8000010000000000};
	uint16_t se = (uint16_t)(below(2) << 15);
	uint64_t m = below(2) ? mants[below(sizeof(mants) / sizeof(mants[0]))] : rnd();

	switch (below(4)) {
	case 0:
	case 1: se |= exps[below(sizeof(exps) / sizeof(exps[0]))]; break;
	case 2: se |= (uint16_t)(0x3ff0 + below(80)); break;
	default: se |= (uint16_t)(rnd() & 0x7fff); break;
	}
	if ((se & 0x7fff) && below(8))
		m |= 1ull << 63;
	if (!intel && !(se & 0x7fff))
		m &= ~(1ull << 63); /* no pseudo-denormals: no processor makes them, so each treats them as it likes */
	memcpy(p, &m, 8);
	memcpy(p + 8, &se, 2);
}

enum flavour { AS_INT, AS_SINGLE, AS_DOUBLE, AS_EXTENDED, AS_TEXT, AS_FLAVOURS };

static inline void operand(uint8_t p[16], enum flavour f)
{
	static const uint64_t words[] = {0, UINT64_MAX, 0x8000800080008000, 0x7fff7fff7fff7fff, 0x0080ff7f01fe8180, 1, 8, 64};
	uint64_t w[2] = {rnd(), rnd()};

	switch (f) {
	case AS_SINGLE:
		for (unsigned k = 0; k < 4; k++) {
			uint32_t v = single();

			memcpy(p + 4 * k, &v, 4);
		}
		return;
	case AS_DOUBLE:
		w[0] = twice();
		w[1] = twice();
		break;
	case AS_EXTENDED: extended(p); return;
	case AS_TEXT:
		for (unsigned k = 0; k < 16; k++)
			p[k] = below(12) ? (uint8_t)('a' + below(4)) : 0;
		return;
	default:
		for (unsigned k = 0; k < 2; k++)
			if (below(2))
				w[k] = words[below(8)];
		if (!below(4))
			w[0] = below(80);
		break;
	}
	memcpy(p, w, 16);
}

/* Set: ST(0) and ST(1) are what transcendentals are defined for: a normal number of moderate size, or something special. */
static bool trans_operands;

static inline void moderate(uint8_t p[10])
{
	uint64_t m = rnd() | 1ull << 63;
	uint16_t se = (uint16_t)((below(5) ? 0x3fff - below(30) : 0x3fff + below(60)) | below(2) << 15);

	if (!intel) {
		/* Where the manuals promise accuracy: no argument that wants reducing, none outside F2XM1's and FYL2XP1's ranges. */
		se = (uint16_t)((0x3ffc - below(27)) | below(2) << 15);
	} else if (!below(8)) {
		extended(p);
		return;
	}
	memcpy(p, &m, 8);
	memcpy(p + 8, &se, 2);
}

static inline void random_x87(struct image *m)
{
	uint16_t fcw = 0x40 | 0x3f, fsw, masks;

	fcw |= (uint16_t)(below(4) << 10 | (below(3) ? 3 : below(2) * 2) << 8);
	if (!below(4))
		fcw &= (uint16_t)(~0x3fu | (unsigned)rnd());
	masks = fcw & 0x3f;
	fsw = (uint16_t)(rnd() & 0x4700) | (uint16_t)(below(8) << 11);
	if (below(2))
		fsw |= (uint16_t)(rnd() & masks);
	if (!below(40))
		fsw |= (uint16_t)(rnd() & 0x3f);
	if (fsw & ~masks & 0x3f)
		fsw |= 0x8080;
	memcpy(m->fx, &fcw, 2);
	memcpy(m->fx + 2, &fsw, 2);
	m->fx[4] = below(3) ? 0x3f : (uint8_t)rnd(); /* by register; often two empty ones */
	if (below(3)) {
		unsigned top = fsw >> 11 & 7, full = 0x3f;

		m->fx[4] = (uint8_t)(full << top | full >> (8 - top));
	}
	for (unsigned k = 0; k < 8; k++) {
		extended(m->fx + 32 + 16 * k);
		memset(m->fx + 42 + 16 * k, 0, 6);
	}
	if (trans_operands) {
		moderate(m->fx + 32);
		moderate(m->fx + 48);
	}
}

static inline void random_image(struct image *m, enum flavour f)
{
	uint32_t mxcsr = 0x1f80, mask = 0xffff;

	memset(m, 0, sizeof(*m));
	random_x87(m);
	if (!trans_operands && (f == AS_INT || !below(6)))
		for (unsigned k = 0; k < 8; k++)
			memset(m->fx + 40 + 16 * k, 0xff, 2);
	switch (below(3)) {
	case 0: break;
	case 1: mxcsr |= (uint32_t)(rnd() & 0xe07f); break;
	default: mxcsr = (uint32_t)(rnd() & 0xffff); break;
	}
	memcpy(m->fx + 24, &mxcsr, 4);
	memcpy(m->fx + 28, &mask, 4);
	for (unsigned k = 0; k < 16; k++)
		operand(m->fx + 160 + 16 * k, f);
	if (f == AS_TEXT && below(2)) {
		m->rax = below(40) - 20;
		m->rdx = below(40) - 20;
	} else {
		m->rax = rnd();
		m->rdx = rnd();
	}
	m->rcx = below(3) ? rnd() : twice();
	m->rsi = rnd();
	m->rdi = OPERAND;
	m->flags = 0x202 | (rnd() & ARITH);
}

/* Adds random upper halves. */
static inline void random_high(struct image *m, enum flavour f)
{
	m->avx = 1;
	for (unsigned k = 0; k < 16; k++)
		operand(m->high[k], f);
}

#endif
