/* SPDX-License-Identifier: MIT */
/*
 * The SHA extensions: rounds and message schedules of SHA-1 and SHA-256 (SDM 2; FIPS 180-4, whose names these are).
 * Element 3 of a vector is bits 127:96, which hold what comes first.
 */
#include "vmm-core/soft/crypto.h"

FP_INLINE uint32_t rol(uint32_t v, unsigned n)
{
	return v << n | v >> (32 - n);
}
FP_INLINE uint32_t ror(uint32_t v, unsigned n)
{
	return v >> n | v << (32 - n);
}
FP_INLINE uint32_t ch(uint32_t x, uint32_t y, uint32_t z)
{
	return (x & y) ^ (~x & z);
}
FP_INLINE uint32_t parity(uint32_t x, uint32_t y, uint32_t z)
{
	return x ^ y ^ z;
}
FP_INLINE uint32_t maj(uint32_t x, uint32_t y, uint32_t z)
{
	return (x & y) ^ (x & z) ^ (y & z);
}
FP_INLINE uint32_t big_sigma0(uint32_t x)
{
	return ror(x, 2) ^ ror(x, 13) ^ ror(x, 22);
}
FP_INLINE uint32_t big_sigma1(uint32_t x)
{
	return ror(x, 6) ^ ror(x, 11) ^ ror(x, 25);
}
FP_INLINE uint32_t sigma0(uint32_t x)
{
	return ror(x, 7) ^ ror(x, 18) ^ x >> 3;
}
FP_INLINE uint32_t sigma1(uint32_t x)
{
	return ror(x, 17) ^ ror(x, 19) ^ x >> 10;
}

/* --- SHA-1 --- */

struct sha1 {
	uint32_t a, b, c, d, e;
};

FP_INLINE struct sha1 sha1_round(struct sha1 s, uint32_t f, uint32_t w, uint32_t k)
{
	return (struct sha1){f + rol(s.a, 5) + w + s.e + k, s.a, rol(s.b, 30), s.c, s.d};
}

/* E is in w's first element, by SHA1NEXTE. */
#define FOUR_ROUNDS(f, k) \
	for (unsigned n = 0; n < 4; n++) \
		s = sha1_round(s, f(s.b, s.c, s.d), w[3 - n], k)
static __m128i sha1rnds4_of(const struct cv_insn *i, __m128i state, __m128i message)
{
	crypto_v4 v = (crypto_v4)state, w = (crypto_v4)message;
	struct sha1 s = {v[3], v[2], v[1], v[0], 0};

	switch (i->imm & 3) {
	case 0: FOUR_ROUNDS(ch, 0x5a827999); break;
	case 1: FOUR_ROUNDS(parity, 0x6ed9eba1); break;
	case 2: FOUR_ROUNDS(maj, 0x8f1bbcdc); break;
	default: FOUR_ROUNDS(parity, 0xca62c1d6); break;
	}
	return (__m128i)(crypto_v4){s.d, s.c, s.b, s.a};
}

static __m128i sha1nexte_of(const struct cv_insn *i, __m128i state, __m128i message)
{
	crypto_v4 v = (crypto_v4)state, w = (crypto_v4)message;

	(void)i;
	return (__m128i)(crypto_v4){w[0], w[1], w[2], w[3] + rol(v[3], 30)};
}

static __m128i sha1msg1_of(const struct cv_insn *i, __m128i first, __m128i second)
{
	crypto_v4 a = (crypto_v4)first, b = (crypto_v4)second;

	(void)i;
	return (__m128i)(crypto_v4){b[2] ^ a[0], b[3] ^ a[1], a[0] ^ a[2], a[1] ^ a[3]};
}

static __m128i sha1msg2_of(const struct cv_insn *i, __m128i first, __m128i second)
{
	crypto_v4 a = (crypto_v4)first, b = (crypto_v4)second;
	uint32_t w16 = rol(a[3] ^ b[2], 1), w17 = rol(a[2] ^ b[1], 1), w18 = rol(a[1] ^ b[0], 1), w19 = rol(a[0] ^ w16, 1);

	(void)i;
	return (__m128i)(crypto_v4){w19, w18, w17, w16};
}

/* --- SHA-256 --- */

/* Two rounds: the state is C, D, G, H in one register and A, B, E, F in the other; W + K come in the low half of XMM0. */
static __m128i sha256rnds2_of(__m128i cdgh, __m128i abef, __m128i wk)
{
	crypto_v4 x = (crypto_v4)cdgh, y = (crypto_v4)abef, w = (crypto_v4)wk;
	uint32_t a = y[3], b = y[2], c = x[3], d = x[2], e = y[1], f = y[0], g = x[1], h = x[0];

	for (unsigned n = 0; n < 2; n++) {
		uint32_t t = h + big_sigma1(e) + ch(e, f, g) + w[n], u = big_sigma0(a) + maj(a, b, c);

		h = g;
		g = f;
		f = e;
		e = d + t;
		d = c;
		c = b;
		b = a;
		a = t + u;
	}
	return (__m128i)(crypto_v4){f, e, b, a};
}

static __m128i sha256msg1_of(const struct cv_insn *i, __m128i first, __m128i second)
{
	crypto_v4 a = (crypto_v4)first, b = (crypto_v4)second;

	(void)i;
	return (__m128i)(crypto_v4){a[0] + sigma0(a[1]), a[1] + sigma0(a[2]), a[2] + sigma0(a[3]), a[3] + sigma0(b[0])};
}

static __m128i sha256msg2_of(const struct cv_insn *i, __m128i first, __m128i second)
{
	crypto_v4 a = (crypto_v4)first, b = (crypto_v4)second;
	uint32_t w16 = a[0] + sigma1(b[2]), w17 = a[1] + sigma1(b[3]);

	(void)i;
	return (__m128i)(crypto_v4){w16, w17, a[2] + sigma1(w16), a[3] + sigma1(w17)};
}

CRYPTO_LEGACY(sha1rnds4, sha1rnds4_of)
CRYPTO_LEGACY(sha1nexte, sha1nexte_of)
CRYPTO_LEGACY(sha1msg1, sha1msg1_of)
CRYPTO_LEGACY(sha1msg2, sha1msg2_of)
CRYPTO_LEGACY(sha256msg1, sha256msg1_of)
CRYPTO_LEGACY(sha256msg2, sha256msg2_of)

FP_HANDLER(sha256rnds2_r)
{
	FP_SSE();
	fp_set_xmm(c, i->reg, sha256rnds2_of(fp_xmm(c, i->reg), fp_xmm(c, i->rm), fp_xmm(c, 0)));
	return true;
}
FP_HANDLER(sha256rnds2_m)
{
	FP_SSE();
	FP_LOAD128A(v);
	fp_set_xmm(c, i->reg, sha256rnds2_of(fp_xmm(c, i->reg), v, fp_xmm(c, 0)));
	return true;
}
