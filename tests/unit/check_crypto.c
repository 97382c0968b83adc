/* SPDX-License-Identifier: MIT */
/*
 * AES, carry-less multiplication and SHA: published vectors, step by step through the engine's instructions, which asks
 * nothing of the host; then every form against the host's CPU where it has the instructions.
 */
#include <cpuid.h>

#include "fp_compare.h"
#include "fp_fixture.h"
#include "fp_operands.h"
#include "host_vendor.h"

struct xmm {
	uint8_t b[16];
};

/* --- One instruction on the engine --- */

/* XMM1 after code ran on XMM1 = a and XMM2 = b; XMM0 = c. */
static struct xmm run3(const uint8_t *code, unsigned n, struct xmm a, struct xmm b, struct xmm c)
{
	struct image m;

	memset(&m, 0, sizeof(m));
	m.fx[0] = 0x7f;
	m.fx[1] = 3;
	memcpy(m.fx + 24, "\x80\x1f", 2);
	memcpy(m.fx + 160, &c, 16);
	memcpy(m.fx + 176, &a, 16);
	memcpy(m.fx + 192, &b, 16);
	m.flags = 0x202;
	put(CODE, code, n);
	run_guest(&m);
	ck_assert_int_eq(m.vector, -1);
	memcpy(&a, m.fx + 176, 16);
	return a;
}
#define RUN(a, b, ...) \
	run3((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), (a), (b), (struct xmm){{0}})
#define AESENC(a, b) RUN(a, b, 0x66, 0x0f, 0x38, 0xdc, 0xca)
#define AESENCLAST(a, b) RUN(a, b, 0x66, 0x0f, 0x38, 0xdd, 0xca)
#define AESDEC(a, b) RUN(a, b, 0x66, 0x0f, 0x38, 0xde, 0xca)
#define AESDECLAST(a, b) RUN(a, b, 0x66, 0x0f, 0x38, 0xdf, 0xca)
#define AESIMC(b) RUN(b, b, 0x66, 0x0f, 0x38, 0xdb, 0xca)
#define AESKEYGENASSIST(b, imm) RUN(b, b, 0x66, 0x0f, 0x3a, 0xdf, 0xca, imm)
#define PCLMULQDQ(a, b, imm) RUN(a, b, 0x66, 0x0f, 0x3a, 0x44, 0xca, imm)
#define SHA1RNDS4(a, b, imm) RUN(a, b, 0x0f, 0x3a, 0xcc, 0xca, imm)
#define SHA1NEXTE(a, b) RUN(a, b, 0x0f, 0x38, 0xc8, 0xca)
#define SHA1MSG1(a, b) RUN(a, b, 0x0f, 0x38, 0xc9, 0xca)
#define SHA1MSG2(a, b) RUN(a, b, 0x0f, 0x38, 0xca, 0xca)
#define SHA256MSG1(a, b) RUN(a, b, 0x0f, 0x38, 0xcc, 0xca)
#define SHA256MSG2(a, b) RUN(a, b, 0x0f, 0x38, 0xcd, 0xca)

static struct xmm sha256rnds2(struct xmm cdgh, struct xmm abef, struct xmm wk)
{
	static const uint8_t code[] = {0x0f, 0x38, 0xcb, 0xca};

	return run3(code, sizeof(code), cdgh, abef, wk);
}

static struct xmm from_hex(const char *hex)
{
	struct xmm v;

	for (unsigned k = 0; k < 16; k++) {
		char digits[3] = {hex[2 * k], hex[2 * k + 1], 0};

		v.b[k] = (uint8_t)strtoul(digits, NULL, 16);
	}
	return v;
}
static struct xmm xor(struct xmm a, struct xmm b)
{
	for (unsigned k = 0; k < 16; k++)
		a.b[k] ^= b.b[k];
	return a;
}

/* Elements of 32 bits, the highest first. */
static struct xmm words(uint32_t e3, uint32_t e2, uint32_t e1, uint32_t e0)
{
	uint32_t e[4] = {e0, e1, e2, e3};
	struct xmm v;

	memcpy(&v, e, 16);
	return v;
}
static uint32_t word(struct xmm v, unsigned k)
{
	uint32_t e[4];

	memcpy(e, &v, 16);
	return e[k];
}
static struct xmm add(struct xmm a, struct xmm b)
{
	return words(word(a, 3) + word(b, 3), word(a, 2) + word(b, 2), word(a, 1) + word(b, 1), word(a, 0) + word(b, 0));
}

/* --- AES --- */

/* FIPS 197 5.2, one round key of 128 bits from the one before it: each word is its predecessor's sum with the old one. */
static struct xmm next_key(struct xmm key, struct xmm assist)
{
	uint32_t t = word(assist, 3), w[4];

	for (unsigned k = 0; k < 4; k++)
		t = w[k] = word(key, k) ^ t;
	return words(w[3], w[2], w[1], w[0]);
}

static void expand_key(struct xmm key, struct xmm round[11])
{
	static const uint8_t rcon[10] = {1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80, 0x1b, 0x36};

	round[0] = key;
	for (unsigned k = 0; k < 10; k++)
		round[k + 1] = next_key(round[k], AESKEYGENASSIST(round[k], rcon[k]));
}

static void check_aes128(const char *key, const char *plain, const char *cipher)
{
	struct xmm round[11], v, want;

	expand_key(from_hex(key), round);
	v = xor(from_hex(plain), round[0]);
	for (unsigned k = 1; k < 10; k++)
		v = AESENC(v, round[k]);
	v = AESENCLAST(v, round[10]);
	want = from_hex(cipher);
	ck_assert_mem_eq(&v, &want, 16);

	v = xor(v, round[10]);
	for (unsigned k = 9; k > 0; k--)
		v = AESDEC(v, AESIMC(round[k]));
	v = AESDECLAST(v, round[0]);
	want = from_hex(plain);
	ck_assert_mem_eq(&v, &want, 16);
}

START_TEST(aes128_fips197_vectors_encrypt_and_decrypt)
{
	struct xmm round[11], want = from_hex("d014f9a8c9ee2589e13f0cc8b6630ca6");

	expand_key(from_hex("2b7e151628aed2a6abf7158809cf4f3c"), round); /* appendix A.1 */
	ck_assert_mem_eq(&round[10], &want, 16);
	check_aes128("2b7e151628aed2a6abf7158809cf4f3c", "3243f6a8885a308d313198a2e0370734",
		     "3925841d02dc09fbdc118597196a0b32"); /* appendix B */
	check_aes128("000102030405060708090a0b0c0d0e0f", "00112233445566778899aabbccddeeff",
		     "69c4e0d86a7b0430d8cdb78070b4c55a"); /* appendix C.1 */
}
END_TEST

/* --- PCLMULQDQ: Intel's white paper on the instruction --- */

START_TEST(pclmulqdq_published_products_are_found)
{
	struct xmm a = words(0x7b5b5465, 0x73745665, 0x63746f72, 0x5d53475d), b = words(0x48692853, 0x68617929, 0x5b477565, 0x726f6e5d);
	struct xmm want[4] = {words(0x1d4d84c8, 0x5c3440c0, 0x929633d5, 0xd36f0451), words(0x1a2bf6db, 0x3a30862f, 0xbabf262d, 0xf4b7d5c9),
			      words(0x1bd17c8d, 0x556ab5a1, 0x7fa540ac, 0x2a281315), words(0x1d1e1f2c, 0x592e7c45, 0xd66ee03e, 0x410fd4ed)};
	struct xmm got[4] = {PCLMULQDQ(a, b, 0x00), PCLMULQDQ(a, b, 0x01), PCLMULQDQ(a, b, 0x10), PCLMULQDQ(a, b, 0x11)};
	struct xmm other_bits = PCLMULQDQ(a, b, 0xee);

	for (unsigned k = 0; k < 4; k++)
		ck_assert_mem_eq(&got[k], &want[k], 16);
	ck_assert_mem_eq(&other_bits, &want[0], 16);
}
END_TEST

/* --- SHA --- */

/* The one block of "abc": four vectors, the first word in the highest element or the lowest. */
static void abc_block(struct xmm w[4], bool first_is_highest)
{
	for (unsigned k = 0; k < 4; k++) {
		uint32_t e[4] = {k ? 0 : 0x61626380, 0, 0, k == 3 ? 24 : 0};

		w[k] = first_is_highest ? words(e[0], e[1], e[2], e[3]) : words(e[3], e[2], e[1], e[0]);
	}
}

/* Twenty groups of four rounds; the kind of round is in the immediate. */
static struct xmm sha1_rounds(struct xmm v, struct xmm w, unsigned group)
{
	switch (group / 5) {
	case 0: return SHA1RNDS4(v, w, 0);
	case 1: return SHA1RNDS4(v, w, 1);
	case 2: return SHA1RNDS4(v, w, 2);
	default: return SHA1RNDS4(v, w, 3);
	}
}

START_TEST(sha1_of_abc_is_that_of_fips180)
{
	const struct xmm start = words(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476), zero = words(0, 0, 0, 0);
	struct xmm w[20], v = start, before = zero, e;

	abc_block(w, true);
	for (unsigned k = 4; k < 20; k++)
		w[k] = SHA1MSG2(xor(SHA1MSG1(w[k - 4], w[k - 3]), w[k - 2]), w[k - 1]);
	e = add(w[0], words(0xc3d2e1f0, 0, 0, 0));
	for (unsigned k = 0; k < 20; k++) {
		if (k)
			e = SHA1NEXTE(before, w[k]);
		before = v;
		v = sha1_rounds(v, e, k);
	}
	e = SHA1NEXTE(before, words(0xc3d2e1f0, 0, 0, 0));
	v = add(v, start);
	ck_assert_uint_eq(word(v, 3), 0xa9993e36);
	ck_assert_uint_eq(word(v, 2), 0x4706816a);
	ck_assert_uint_eq(word(v, 1), 0xba3e2571);
	ck_assert_uint_eq(word(v, 0), 0x7850c26c);
	ck_assert_uint_eq(word(e, 3), 0x9cd0d89d);
}
END_TEST

/* FIPS 180-4 4.2.2: the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t sha256_k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
	0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
	0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
	0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
	0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
	0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

START_TEST(sha256_of_abc_is_that_of_fips180)
{
	struct xmm abef = words(0x6a09e667, 0xbb67ae85, 0x510e527f, 0x9b05688c), cdgh = words(0x3c6ef372, 0xa54ff53a, 0x1f83d9ab, 0x5be0cd19);
	const struct xmm abef0 = abef, cdgh0 = cdgh;
	struct xmm w[16];

	abc_block(w, false);
	for (unsigned k = 4; k < 16; k++) {
		/* The words 7 before: three of one vector and one of the next. */
		struct xmm seven = words(word(w[k - 1], 0), word(w[k - 2], 3), word(w[k - 2], 2), word(w[k - 2], 1));

		w[k] = SHA256MSG2(add(SHA256MSG1(w[k - 4], w[k - 3]), seven), w[k - 1]);
	}
	for (unsigned k = 0; k < 32; k++) {
		unsigned e = k % 2 * 2;
		struct xmm wk = words(0xdead, 0xbeef, word(w[k / 2], e + 1) + sha256_k[2 * k + 1], word(w[k / 2], e) + sha256_k[2 * k]);
		struct xmm now = sha256rnds2(cdgh, abef, wk);

		cdgh = abef;
		abef = now;
	}
	abef = add(abef, abef0);
	cdgh = add(cdgh, cdgh0);
	ck_assert_uint_eq(word(abef, 3), 0xba7816bf);
	ck_assert_uint_eq(word(abef, 2), 0x8f01cfea);
	ck_assert_uint_eq(word(cdgh, 3), 0x414140de);
	ck_assert_uint_eq(word(cdgh, 2), 0x5dae2223);
	ck_assert_uint_eq(word(abef, 1), 0xb00361a3);
	ck_assert_uint_eq(word(abef, 0), 0x96177a9c);
	ck_assert_uint_eq(word(cdgh, 1), 0xb410ff61);
	ck_assert_uint_eq(word(cdgh, 0), 0xf20015ad);
}
END_TEST

/* --- Against the host --- */

static bool host_has_aes, host_has_clmul, host_has_sha, host_has_avx;

static void setup(void)
{
	unsigned a, b, c, d;

	host_has_avx = make_avx_engine();
	host_has_aes = __builtin_cpu_supports("aes");
	host_has_clmul = __builtin_cpu_supports("pclmul");
	host_has_sha = __get_cpuid_count(7, 0, &a, &b, &c, &d) && b >> 29 & 1;
	if (!host_has_aes || !host_has_clmul || !host_has_sha)
		printf("left out: comparisons of%s%s%s, which this CPU lacks\n", host_has_aes ? "" : " AES",
		       host_has_clmul ? "" : " PCLMULQDQ", host_has_sha ? "" : " SHA");
}

/* (1, 2), (0, 3), (9, 1), (2, 2), memory: with `rex` for registers above 7. */
static const uint8_t forms[][2] = {{0, 0xca}, {0, 0xc3}, {0x44, 0xc9}, {0, 0xd2}, {0, 0x0f}, {0x41, 0xca}};

static void check_legacy(uint8_t prefix, uint8_t map, uint8_t opcode, unsigned imms)
{
	for (unsigned k = 0; k < sizeof(forms) / 2; k++) {
		for (unsigned imm = 0; imm < imms; imm++) {
			uint8_t code[15] = {0};
			unsigned n = 0;

			if (prefix)
				code[n++] = prefix;
			if (forms[k][0])
				code[n++] = forms[k][0];
			code[n++] = 0x0f;
			code[n++] = map;
			code[n++] = opcode;
			code[n++] = forms[k][1];
			code[n++] = (uint8_t)imm;
			check(code, sizeof(code));
		}
	}
}

/* vvvv: 15 for none, else a random one. */
static void check_vex(uint8_t map, uint8_t opcode, unsigned imms, bool three)
{
	for (unsigned k = 0; k < sizeof(forms) / 2; k++) {
		for (unsigned imm = 0; imm < imms; imm++) {
			unsigned rxb = ~(unsigned)forms[k][0] << 5 & 0xe0, vvvv = three ? below(16) : 15;
			uint8_t code[15] = {0xc4, (uint8_t)((rxb & 0x20) | 0x40 | (rxb & 0x80) | map), (uint8_t)(vvvv << 3 | 1), opcode,
					    forms[k][1], (uint8_t)imm};

			check(code, sizeof(code));
		}
	}
}

START_TEST(aes_every_form_equals_host)
{
	if (!host_has_aes)
		return;
	for (uint8_t opcode = 0xdb; opcode <= 0xdf; opcode++)
		check_legacy(0x66, 0x38, opcode, 1);
	check_legacy(0x66, 0x3a, 0xdf, 40);
	for (uint8_t opcode = 0xdb; host_has_avx && opcode <= 0xdf; opcode++)
		check_vex(2, opcode, 1, opcode != 0xdb);
	if (host_has_avx)
		check_vex(3, 0xdf, 40, false);
	ck_assert_uint_eq(tests, (5 + 40) * 6 * (host_has_avx ? 2 : 1));
	ck_assert_uint_eq(failures, 0);
}
END_TEST

START_TEST(pclmulqdq_every_form_equals_host)
{
	if (!host_has_clmul)
		return;
	check_legacy(0x66, 0x3a, 0x44, 40);
	if (host_has_avx)
		check_vex(3, 0x44, 40, true);
	ck_assert_uint_eq(tests, 40 * 6 * (host_has_avx ? 2 : 1));
	ck_assert_uint_eq(failures, 0);
}
END_TEST

START_TEST(sha_every_form_equals_host)
{
	if (!host_has_sha)
		return;
	for (uint8_t opcode = 0xc8; opcode <= 0xcd; opcode++)
		check_legacy(0, 0x38, opcode, 3);
	check_legacy(0, 0x3a, 0xcc, 8);
	ck_assert_uint_eq(tests, (6 * 3 + 8) * 6);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

/* Registers with YMM's upper halves; the guest's AVX state doesn't hang on the host's. */
static void empty_image(struct image *m)
{
	memset(m, 0, sizeof(*m));
	m->fx[0] = 0x7f;
	m->fx[1] = 3;
	memcpy(m->fx + 24, "\x80\x1f", 2);
	memset(m->fx + 160, 0x5a, 256);
	memset(m->high, 0xa5, sizeof(m->high));
	m->avx = 1;
	m->flags = 0x202;
}

static void run_avx(const uint8_t *code, unsigned n, struct image *m)
{
	empty_image(m);
	m->rdi = OPERAND + 1;
	put(CODE, code, n);
	run_guest(m);
}

START_TEST(crypto_upper_half_is_kept_by_legacy_and_cleared_by_vex)
{
	static const uint8_t zero[16] = {0}, legacy[] = {0x66, 0x0f, 0x38, 0xdc, 0xca}, vex[] = {0xc4, 0xe2, 0x69, 0xdc, 0xca};
	uint8_t full[16];
	struct image m;

	memset(full, 0xa5, 16);
	run_avx(legacy, sizeof(legacy), &m);
	ck_assert_int_eq(m.vector, -1);
	ck_assert_mem_eq(m.high[1], full, 16);
	run_avx(vex, sizeof(vex), &m);
	ck_assert_int_eq(m.vector, -1);
	ck_assert_mem_eq(m.high[1], zero, 16);
	ck_assert_mem_eq(m.high[2], full, 16);
}
END_TEST

START_TEST(crypto_unaligned_operand_faults_in_legacy_forms_alone)
{
	static const uint8_t legacy[][6] = {{0x66, 0x0f, 0x38, 0xdc, 0x0f}, {0x66, 0x0f, 0x3a, 0x44, 0x0f, 0}, {0x0f, 0x38, 0xcb, 0x0f}};
	static const uint8_t vex[][6] = {{0xc4, 0xe2, 0x69, 0xdc, 0x0f}, {0xc4, 0xe3, 0x69, 0x44, 0x0f, 0}};
	struct image m;

	for (unsigned k = 0; k < 3; k++) {
		run_avx(legacy[k], 6, &m);
		ck_assert_int_eq(m.vector, EXC_GP);
	}
	for (unsigned k = 0; k < 2; k++) {
		run_avx(vex[k], 6, &m);
		ck_assert_int_eq(m.vector, -1);
	}
}
END_TEST

/* [RBP + RDI] is in SS: an address that isn't canonical is #SS there, but #GP where it isn't aligned either. */
START_TEST(vector_operand_alignment_comes_before_canonical_form)
{
	static const uint8_t code[2][7] = {{0x66, 0x0f, 0x38, 0xdc, 0x4c, 0x3d, 0}, {0xc5, 0xfc, 0x28, 0x4c, 0x3d, 0}};
	static const uint8_t align[2] = {16, 32}; /* AESENC; VMOVAPS of 256 bits */
	struct image m;

	for (unsigned k = 0; k < 2; k++) {
		for (unsigned odd = 0; odd < 2; odd++) {
			empty_image(&m);
			m.rdi = 1ull << 63 | (odd ? align[k] / 2u : 0);
			put(CODE, code[k], sizeof(code[k]));
			run_guest(&m);
			ck_assert_int_eq(m.vector, odd ? EXC_GP : EXC_SS);
		}
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("crypto");
	TCase *t = tcase_create("vectors");
	SRunner *r;
	int failed;

	tcase_add_unchecked_fixture(t, setup, NULL);
	tcase_add_checked_fixture(t, reset_counts, NULL);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, aes128_fips197_vectors_encrypt_and_decrypt);
	tcase_add_test(t, pclmulqdq_published_products_are_found);
	tcase_add_test(t, sha1_of_abc_is_that_of_fips180);
	tcase_add_test(t, sha256_of_abc_is_that_of_fips180);
	tcase_add_test(t, aes_every_form_equals_host);
	tcase_add_test(t, pclmulqdq_every_form_equals_host);
	tcase_add_test(t, sha_every_form_equals_host);
	tcase_add_test(t, crypto_upper_half_is_kept_by_legacy_and_cleared_by_vex);
	tcase_add_test(t, crypto_unaligned_operand_faults_in_legacy_forms_alone);
	tcase_add_test(t, vector_operand_alignment_comes_before_canonical_form);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
