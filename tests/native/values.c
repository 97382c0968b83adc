/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "tests/native/values.h"

#define PICK(r, v) ((v)[nat_below(r, sizeof(v) / sizeof((v)[0]))])

uint64_t nat_integer(struct nat_rng *r)
{
	static const uint64_t v[] = {0, 1, 2, 3, 7, 8, 0xf, 0x10, 0x1f, 0x20, 0x3f, 0x40, 0x7f, 0x80, 0x81, 0xff, 0x100, 0x7fff, 0x8000, 0xffff,
				     0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff,
				     0x8000000000000000, 0x8000000000000001, UINT64_MAX, UINT64_MAX - 1, 0xffffffff80000000,
				     0xffffffffffff8000, 0xffffffffffffff80, 0x0123456789abcdef, 0xaaaaaaaaaaaaaaaa};
	uint64_t x = nat_rnd(r);

	switch (nat_below(r, 8)) {
	case 0: case 1: return PICK(r, v);
	case 2: return x & 0xff;
	case 3: return x >> nat_below(r, 64);
	case 4: return (uint64_t)((int64_t)x >> nat_below(r, 64));
	case 5: return 1ull << (x & 63);
	default: return x;
	}
}

static uint16_t half(struct nat_rng *r)
{
	static const uint16_t v[] = {0, 0x8000, 1, 0x8001, 0x3ff, 0x400, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00, 0x7c01, 0xfdff, 0x3c00};

	return nat_chance(r, 2) ? PICK(r, v) : (uint16_t)nat_rnd(r);
}

static uint32_t single(struct nat_rng *r)
{
	static const uint32_t v[] = {
		0, 0x80000000, 1, 0x80000001, 0x7fffff, 0x800000, 0x807fffff, 0x80800000, 0x3f800000, 0xbf800000, 0x3f000000,
		0x40000000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x7f800001, 0xff812345, 0x7f7fffff, 0xff7fffff,
		0x4f000000, 0xcf000000, 0x4effffff, 0x5f000000, 0xdf000000, 0x5effffff, 0x3fc00000, 0x40200000, 0x34000000,
		0x33800000, 0x00800001, 0x7fbfffff, 0x7fffffff, 0x20000000, 0x1fffffff, 0x5f7fffff, 0x477fe000, 0x477ff000,
		0x38800000, 0x387fc000, 0x33000000, 0x33000001, 0x3effffff, 0xbefffffe,
	};
	uint32_t x = (uint32_t)nat_rnd(r);

	switch (nat_below(r, 5)) {
	case 0: case 1: return PICK(r, v);
	case 2: return (x & 0x807fffff) | (118 + nat_below(r, 20)) << 23;
	case 3: return (x & 0x80000000) | (nat_below(r, 256) << 23) | (x & 0x7fffff & ~0u << nat_below(r, 23));
	default: return x;
	}
}

static uint64_t twice(struct nat_rng *r)
{
	static const uint64_t v[] = {
		0, 1ull << 63, 1, (1ull << 63) | 1, 0xfffffffffffff, 0x10000000000000, 0x800fffffffffffff, 0x8010000000000000,
		0x3ff0000000000000, 0xbff0000000000000, 0x3fe0000000000000, 0x4000000000000000, 0x7ff0000000000000,
		0xfff0000000000000, 0x7ff8000000000000, 0xfff8000000000001, 0x7ff0000000000001, 0xfff0123456789abc,
		0x7fefffffffffffff, 0xffefffffffffffff, 0x41e0000000000000, 0xc1e0000000000000, 0x41dfffffffc00000,
		0x41dfffffffe00000, 0xc1e0000000100000, 0xc1e0000000200000, 0x43e0000000000000, 0xc3e0000000000000, 0x3ff8000000000000,
		0x4004000000000000, 0x47efffffe0000000, 0x47effffff0000000, 0x36a0000000000000, 0x3690000000000000,
		0x380fffffffffffff, 0x3810000000000000, 0x2000000000000000, 0x1fffffffffffffff, 0x5fefffffffffffff,
		0x3fdfffffffffffff, 0x43dfffffffffffff,
	};
	uint64_t x = nat_rnd(r);

	switch (nat_below(r, 5)) {
	case 0: case 1: return PICK(r, v);
	case 2: return (x & 0x800fffffffffffff) | (uint64_t)(1010 + nat_below(r, 30)) << 52;
	case 3: return (x & 1ull << 63) | (uint64_t)nat_below(r, 2048) << 52 | (x & 0xfffffffffffff & ~0ull << nat_below(r, 52));
	default: return x;
	}
}

void nat_extended(struct nat_rng *r, uint8_t p[10])
{
	static const uint16_t exps[] = {0, 0, 1, 2, 0x3fff, 0x3ffe, 0x4000, 0x7fff, 0x7fff, 0x7ffe, 0x403e, 0x403d, 0x403f, 0x401e, 0x401d,
					0x400e, 0x3fbf, 0x3fc0, 0x3f80, 0x43fe, 0x3c01, 0x3c00, 0x3bcd, 0x407e, 0x3f81, 0x3f6a,
					0x2000, 0x6000, 0x5fff, 0x5ffe};
	static const uint64_t mants[] = {0, 1, 1ull << 63, UINT64_MAX, 0xc000000000000000, 0xa000000000000000, 0x8000000000000001,
					 0x4000000000000000, 0x7fffffffffffffff, 0xfffffffffffff800, 0xffffff0000000000,
					 0x8000000000000400, 0x8000008000000000, 0xbfffffffffffffff, 0x8000010000000000};
	uint16_t se = (uint16_t)(nat_below(r, 2) << 15);
	uint64_t m = nat_below(r, 2) ? PICK(r, mants) : nat_rnd(r);

	switch (nat_below(r, 4)) {
	case 0: case 1: se |= PICK(r, exps); break;
	case 2: se |= (uint16_t)(0x3ff0 + nat_below(r, 80)); break;
	default: se |= (uint16_t)(nat_rnd(r) & 0x7fff); break;
	}
	if ((se & 0x7fff) && nat_below(r, 12))
		m |= 1ull << 63;
	memcpy(p, &m, 8);
	memcpy(p + 8, &se, 2);
}

static uint64_t text(struct nat_rng *r)
{
	uint64_t v = 0, x = nat_rnd(r);

	for (unsigned k = 0; k < 8; k++, x >>= 8)
		v |= ((x & 0xf0) < 0x20 ? 0 : x & 0x80 && (x & 12) == 0 ? x & 0xff : 'a' + (x & 3)) << (8 * k);
	return v;
}

static uint64_t packed(struct nat_rng *r)
{
	static const uint64_t words[] = {0, UINT64_MAX, 0x8000800080008000, 0x7fff7fff7fff7fff, 0x0080ff7f01fe8180, 1, 8, 64,
					 0x8080808080808080, 0x7f7f7f7f7f7f7f7f, 0x8000000080000000, 0x7fffffff7fffffff,
					 0x0001000100010001, 0xffff0000ffff0000};

	switch (nat_below(r, 8)) {
	case 0: case 1: return PICK(r, words);
	case 2: return nat_below(r, 80);
	case 3: return nat_rnd(r) & 0x1f1f1f1f1f1f1f1f;
	default: return nat_rnd(r);
	}
}

static uint64_t decimal(struct nat_rng *r)
{
	uint64_t v = 0;

	for (unsigned k = 0; k < 16; k++)
		v = v << 4 | (nat_chance(r, 60) ? nat_below(r, 16) : nat_below(r, 10));
	return v;
}

static uint64_t word_of(struct nat_rng *r, enum nat_flavour f)
{
	uint64_t v = 0;

	switch (f) {
	case NAT_AS_SINGLE: return single(r) | (uint64_t)single(r) << 32;
	case NAT_AS_DOUBLE: return twice(r);
	case NAT_AS_TEXT: return text(r);
	case NAT_AS_BCD: return decimal(r);
	case NAT_AS_HALF:
		for (unsigned k = 0; k < 4; k++)
			v = v << 16 | half(r);
		return v;
	default: return nat_chance(r, 2) ? packed(r) : nat_integer(r);
	}
}

void nat_fill(struct nat_rng *r, uint8_t *p, unsigned n, enum nat_flavour f)
{
	for (unsigned k = 0; k < n; k += 16) {
		uint64_t w[2];

		if (f == NAT_AS_EXTENDED) {
			nat_extended(r, p + k);
			memset(p + k + 10, 0, 6);
			continue;
		}
		w[0] = word_of(r, f);
		w[1] = word_of(r, f);
		memcpy(p + k, w, 16);
	}
}

void nat_fill_again(struct nat_rng *r, uint8_t *p, unsigned n, enum nat_flavour f)
{
	enum { STORE = 1 << 15 };
	static uint8_t store[NAT_FLAVOURS][STORE + NAT_PAGE];
	static bool made;

	if (!made) {
		struct nat_rng own = {20110101};

		for (unsigned k = 0; k < NAT_FLAVOURS; k++)
			nat_fill(&own, store[k], sizeof(store[k]), (enum nat_flavour)k);
		made = true;
	}
	memcpy(p, store[f] + (nat_rnd(r) & (STORE - 1) & ~15u), n);
}

static bool ends(const char *s, const char *with)
{
	size_t n = strlen(s), m = strlen(with);

	return n >= m && !strcmp(s + n - m, with);
}

/* Told from the name. */
enum nat_flavour nat_flavour_of(const struct cv_insn *i)
{
	const char *n = cv_op_name((enum cv_op)i->op);
	bool x87 = i->opcode >= 0xd8 && i->opcode <= 0xdf && n[0] == 'f';

	if (*n == 'v')
		n++;
	if (!strncmp(n, "pcmpe", 5) || !strncmp(n, "pcmpi", 5))
		return strstr(n, "str") ? NAT_AS_TEXT : NAT_AS_INT;
	if (!strcmp(n, "fbld"))
		return NAT_AS_BCD;
	if (!strncmp(n, "cvtph", 5))
		return NAT_AS_HALF;
	if (x87 && (ends(n, "m80") || i->mod == 3))
		return NAT_AS_EXTENDED;
	if (x87 && n[1] != 'i')
		return i->opcode & 4 ? NAT_AS_DOUBLE : NAT_AS_SINGLE;
	if (!strncmp(n, "cvt", 3))
		return strstr(n, "sd2") || strstr(n, "pd2") ? NAT_AS_DOUBLE : strstr(n, "ss2") || strstr(n, "ps2") ? NAT_AS_SINGLE : NAT_AS_INT;
	if (ends(n, "sd") || ends(n, "pd"))
		return NAT_AS_DOUBLE;
	if (ends(n, "ss") || ends(n, "ps"))
		return NAT_AS_SINGLE;
	return NAT_AS_INT;
}
