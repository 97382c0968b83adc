/* SPDX-License-Identifier: MIT */
/* The groups, their operands, and the loop that digests them. Integers only: nothing here depends on a compiler's floats. */
#include "digest.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))
enum { VECTORS = 16 };

/* clang-format off */
const struct group groups[] = {
	{"general", ops_general, INTEGERS, 1, 0, 0, 0},
	{"sse-single", ops_single, SINGLES, 8, 0, 0, 0},
	{"sse-double", ops_double, DOUBLES, 8, 0, 0, 0},
	{"sse-convert", ops_convert, ALL_KINDS, 8, 0, 0, 0},
	{"sse-approximate", ops_approximate, SINGLES, 8, 0, 0, 0},
	{"sse-integer", ops_integer, INTEGERS, 1, 0, 0, 0},
	{"mmx", ops_mmx, INTEGERS, 1, 0, 0, 0},
	{"x87", ops_x87, EXTENDED, 12, 0, 0, 0},
	{"x87-functions", ops_functions, EXTENDED, 12, 0, 0, 0},
	{"avx-single", ops_avx_single, SINGLES, 8, 1, 2, 3u << 27},
	{"avx-double", ops_avx_double, DOUBLES, 8, 1, 2, 3u << 27},
	{"avx-convert", ops_avx_convert, ALL_KINDS, 8, 1, 2, 3u << 27},
	{"avx-approximate", ops_avx_approximate, SINGLES, 8, 1, 2, 3u << 27},
	{"avx-integer", ops_avx_integer, INTEGERS, 1, 1, 2, 3u << 27},
	{"avx2", ops_avx2, INTEGERS, 1, 7, 1, 1u << 5},
	{"fma-single", ops_fma_single, SINGLES, 8, 1, 2, 3u << 27 | 1u << 12},
	{"fma-double", ops_fma_double, DOUBLES, 8, 1, 2, 3u << 27 | 1u << 12},
	{"f16c", ops_half, HALVES, 8, 1, 2, 7u << 27},
	{"aes", ops_aes, INTEGERS, 1, 1, 2, 1u << 25},
	{"sha", ops_sha, INTEGERS, 1, 7, 1, 1u << 29},
	{"pclmulqdq", ops_clmul, INTEGERS, 1, 1, 2, 1u << 1},
	{"bmi1-lzcnt", ops_bmi1, INTEGERS, 1, 7, 1, 1u << 3},
	{"bmi2", ops_bmi2, INTEGERS, 1, 7, 1, 1u << 8},
	{"adx", ops_adx, INTEGERS, 1, 7, 1, 1u << 19},
	{"movbe", ops_movbe, INTEGERS, 1, 1, 2, 1u << 22},
	{0, 0, INTEGERS, 0, 0, 0, 0},
};
/* clang-format on */

/* Rounding, denormals as zeros, flush to zero; all exceptions masked. */
static const uint32_t mxcsrs[] = {0x1f80, 0x3f80, 0x5f80, 0x7f80, 0x1fc0, 0x9f80, 0x9fc0, 0xdfc0};
/* Precision of 64, 53 and 24 bits, each with four roundings. */
static const uint16_t fcws[] = {0x37f, 0x77f, 0xb7f, 0xf7f, 0x27f, 0x67f, 0xa7f, 0xe7f, 0x07f, 0x47f, 0x87f, 0xc7f};

static const uint32_t singles[] = {
	0,	    0x80000000, 1,	    0x80000001, 0x007fffff, 0x807fffff, 0x00800000, 0x80800000, 0x7f7fffff, 0xff7fffff,
	0x3f800000, 0xbf800000, 0x3f800001, 0x3f000000, 0x40400000, 0xc0e80000, 0x501502f9, 0x2edbe6ff, 0x4f000000, 0xcf000000,
	0x5f000000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffc12345, 0xffa54321, 0x3fc00000, 0x40200000, 0xbf000000,
	0x4effffff, 0x5effffff, 0x00400000, 0x1a2b3c4d,
};
static const uint64_t doubles[] = {
	0,
	0x8000000000000000,
	1,
	0x8000000000000001,
	0x000fffffffffffff,
	0x0010000000000000,
	0x7fefffffffffffff,
	0xffefffffffffffff,
	0x3ff0000000000000,
	0xbff0000000000000,
	0x3ff0000000000001,
	0x3fe0000000000000,
	0x4008000000000000,
	0xc01d000000000000,
	0x4202a05f20000000,
	0x3ddb7cdfd9d7bdbb,
	0x41e0000000000000,
	0xc1e0000000000000,
	0x43e0000000000000,
	0xc3e0000000000000,
	0x7ff0000000000000,
	0xfff0000000000000,
	0x7ff8000000000000,
	0x7ff0000000000001,
	0xfff8000000012345,
	0xfff7654321000000,
	0x41dfffffffe00000,
	0x47efffffe0000000,
	0x36a0000000000000,
	0x3800000000000000,
	0x3fefffffffffffff,
	0x4004000000000000,
};
static const uint64_t integers[] = {
	0, 1, 0xffffffffffffffff, 0x8000000000000000, 0x7fffffffffffffff, 0x80008000800080, 0x7fff7fff7fff7fff, 0x8080808080808080,
	0x0102030405060708, 0x00ff00ff00ff00ff, 0x80000000, 0x8000000080000000, 63, 31, 15, 64, 0x4142434400454647,
};
/* Sign and exponent, mantissa: with denormals, pseudo-denormals, unnormals, pseudo-infinities. */
static const struct {
	uint16_t se;
	uint64_t mantissa;
} extended[] = {
	{0, 0},
	{0x8000, 0},
	{0, 1},
	{0x8000, 0x7fffffffffffffff},
	{0, 0x8000000000000001},
	{1, 0x8000000000000000},
	{0x7ffe, 0xffffffffffffffff},
	{0xfffe, 0xffffffffffffffff},
	{0x3fff, 0x8000000000000000},
	{0xbfff, 0x8000000000000000},
	{0x3fff, 0x8000000000000001},
	{0x3ffe, 0x8000000000000000},
	{0xbffe, 0xfffffffffffffffe},
	{0x4000, 0xc90fdaa22168c235},
	{0x3ffd, 0xb504f333f9de6484},
	{0x401e, 0x80000000ffffffff},
	{0x403e, 0x8000000000000000},
	{0xc03d, 0xfffffffffffffffe},
	{0x403d, 0x9876543210fedcba},
	{0x4010, 0x123456789abcdef0},
	{0x7fff, 0x8000000000000000},
	{0xffff, 0x8000000000000000},
	{0x7fff, 0xc000000000000000},
	{0xffff, 0xa000000000001234},
	{0x7fff, 0x0000000000000000},
	{0xffff, 0xc000000012345678},
	{0x3f80, 0xdeadbeefcafebabe},
	{0xc002, 0xa987654321012345},
};

static uint64_t random(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* Special, any bits, or a moderate exponent. */
static uint32_t single(uint64_t *seed)
{
	uint64_t r = random(seed);

	switch (r >> 62) {
	case 0: return (uint32_t)r;
	case 1: return (uint32_t)((r & 0x807fffff) | (((r >> 32) % 48 + 104) << 23));
	default: return singles[(r >> 8) % LEN(singles)];
	}
}

static uint64_t double_bits(uint64_t *seed)
{
	uint64_t r = random(seed), bits = random(seed);

	switch (r >> 62) {
	case 0: return bits;
	case 1: return (bits & 0x800fffffffffffff) | (r % 130 + 960) << 52;
	default: return doubles[(r >> 8) % LEN(doubles)];
	}
}

static uint32_t half(uint64_t *seed, bool wide)
{
	uint64_t r = random(seed);

	if (wide) /* a single that is about as large as halves are */
		return (uint32_t)((r & 0x807fffff) | ((r >> 32) % 46 + 100) << 23);
	return (uint32_t)(r >> 63 ? r & 0x8fff8fff : r >> 62 ? r | 0x7c000000 : r);
}

static void fill(uint64_t v[4], enum operands kind, unsigned k, uint64_t *seed)
{
	if (kind == ALL_KINDS)
		kind = k % 3 == 0 ? INTEGERS : k % 3 == 1 ? SINGLES : DOUBLES;
	for (unsigned lane = 0; lane < 4; lane++) {
		uint64_t r;

		switch (kind) {
		case INTEGERS:
			r = random(seed);
			v[lane] = r >> 62 ? r : integers[r % LEN(integers)];
			break;
		case SINGLES:
			v[lane] = single(seed);
			v[lane] |= (uint64_t)single(seed) << 32;
			break;
		case DOUBLES:
			v[lane] = double_bits(seed);
			break;
		case EXTENDED:
			r = random(seed);
			v[lane] = lane & 1 ? r : r | 1ull << 63;
			if (lane == 1 && r >> 62 == 1)
				v[1] = (r & 0x8000) | (0x3fff - 40 + (r >> 16) % 110);
			if (lane == 1 && r >> 62 > 1) {
				v[0] = extended[r % LEN(extended)].mantissa;
				v[1] = extended[r % LEN(extended)].se;
			}
			break;
		default:
			v[lane] = half(seed, k & 1);
			v[lane] |= (uint64_t)half(seed, k & 1) << 32;
		}
	}
}

static void mix(uint64_t *h, uint64_t v)
{
	*h = (*h ^ v) * 0x9e3779b97f4a7c15;
	*h ^= *h >> 32;
}

static void mix_result(uint64_t *h, const struct io *io)
{
	for (unsigned k = 0; k < 4; k++) {
		mix(h, io->out[k]);
		mix(h, io->out1[k]);
	}
	mix(h, (io->flags & 0x8d5) | (uint64_t)io->mxcsr << 32);
	mix(h, io->rax);
	mix(h, io->rdx);
	mix(h, io->rcx);
	for (unsigned k = 0; k < 4; k++)
		mix(h, io->room[k]);
}

static void copy(uint64_t to[4], const uint64_t from[4])
{
	for (unsigned k = 0; k < 4; k++)
		to[k] = from[k];
}

static uint64_t digest_op(const struct group *g, const struct op *op, uint64_t v[VECTORS][4])
{
	uint64_t h = 0;

	for (unsigned n = 0; n < g->controls; n++)
		for (unsigned k = 0; k < VECTORS * VECTORS; k++) {
			struct io io = {.mxcsr = 0x1f80};
			unsigned i = k / VECTORS, j = k % VECTORS;

			copy(io.a, v[i]);
			copy(io.b, v[j]);
			copy(io.c, v[(5 * i + 3 * j + 1) % VECTORS]);
			if (g->operands == EXTENDED)
				io.c[0] = fcws[n];
			else
				io.mxcsr = mxcsrs[n];
			op->run(&io);
			mix_result(&h, &io);
		}
	return h;
}

uint64_t digest_group(const struct group *g, void (*tell)(const char *name, uint64_t digest))
{
	static uint64_t v[VECTORS][4];
	uint64_t h = 0, seed = 20240101 + (uint64_t)g->operands;

	for (unsigned k = 0; k < VECTORS; k++)
		fill(v[k], g->operands, k, &seed);
	for (const struct op *op = g->ops; op->name; op++) {
		uint64_t d = digest_op(g, op, v);

		if (tell)
			tell(op->name, d);
		mix(&h, d);
	}
	return h;
}

bool group_is_there(const struct group *g)
{
	uint32_t r[4], last;

	if (!g->bits)
		return true;
	__asm__("cpuid" : "=a"(last), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(0), "c"(0));
	if (last < g->leaf)
		return false;
	__asm__("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(g->leaf), "c"(0));
	return (r[g->reg] & g->bits) == g->bits;
}
