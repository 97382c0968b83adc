/* SPDX-License-Identifier: MIT */
/*
 * AVX floating point against the host's CPU: each operation in its packed and scalar forms, both lengths, register and
 * memory operand, from random states with all rounding modes and masks, leaves the same registers, flags and exception.
 */
#include "fp_compare.h"
#include "fp_fixture.h"
#include "host_vendor.h"

enum { NONE, P66, PF3, PF2 };
enum { MAP_0F = 1, MAP_0F38, MAP_0F3A };

static bool host_has_avx;

static void ready(void)
{
	host_has_avx = make_avx_engine();
}

static void vex(unsigned map, unsigned pp, unsigned wl, unsigned vvvv, unsigned opcode, unsigned modrm, unsigned imm)
{
	uint8_t code[15] = {0xc4, (uint8_t)(0xe0 | map),
			    (uint8_t)((wl & 2) << 6 | (~vvvv & 15) << 3 | (wl & 1) << 2 | pp), (uint8_t)opcode,
			    (uint8_t)modrm, (uint8_t)imm};

	check(code, sizeof(code));
}

/* xmm2 from xmm1; from itself; from memory. With the first source 3, 2 (the destination), 1, or without one. */
static void row(unsigned map, unsigned pp, unsigned opcode, unsigned imm)
{
	static const uint8_t forms[] = {0xd1, 0xd2, 0x17}, sources[] = {3, 2, 1, 0};

	for (unsigned wl = 0; wl < 4; wl++)
		for (unsigned f = 0; f < sizeof(forms); f++)
			for (unsigned s = 0; s < sizeof(sources); s++)
				vex(map, pp, wl, sources[s], opcode, forms[f], imm);
}

static void rows(const uint8_t *opcodes, unsigned n)
{
	for (unsigned k = 0; k < n; k++)
		for (unsigned pp = 0; pp < 4; pp++)
			row(MAP_0F, pp, opcodes[k], 0);
}

static void expect(unsigned at_least)
{
	ck_assert_uint_ge(tests, host_has_avx ? at_least : 0);
	ck_assert_uint_eq(failures, 0);
}

START_TEST(avx_arithmetic_equals_host)
{
	static const uint8_t opcodes[] = {0x51, 0x58, 0x59, 0x5c, 0x5d, 0x5e, 0x5f, 0x7c, 0x7d, 0xd0};

	if (host_has_avx)
		rows(opcodes, sizeof(opcodes));
	expect(1200);
}
END_TEST

START_TEST(avx_conversion_equals_host)
{
	static const uint8_t opcodes[] = {0x2a, 0x2c, 0x2d, 0x2e, 0x2f, 0x5a, 0x5b, 0xe6};

	if (host_has_avx)
		rows(opcodes, sizeof(opcodes));
	expect(380);
}
END_TEST

START_TEST(avx_comparison_every_predicate_equals_host)
{
	for (unsigned imm = 0; host_has_avx && imm < 256; imm += imm < 32 ? 1 : 37)
		for (unsigned pp = 0; pp < 4; pp++)
			row(MAP_0F, pp, 0xc2, imm);
	expect(32 * 4 * 48);
}
END_TEST

START_TEST(avx_rounding_equals_host)
{
	for (unsigned imm = 0; host_has_avx && imm < 256; imm += imm < 16 ? 1 : 33)
		for (unsigned opcode = 0x08; opcode <= 0x0b; opcode++)
			row(MAP_0F3A, P66, opcode, imm);
	expect(16 * 100);
}
END_TEST

START_TEST(avx_dot_product_equals_host)
{
	for (unsigned k = 0; host_has_avx && k < 100; k++) {
		row(MAP_0F3A, P66, 0x40, (unsigned)rnd() & 255);
		row(MAP_0F3A, P66, 0x41, (unsigned)rnd() & 255);
	}
	expect(1000);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("AVX floating point");
	TCase *t = tcase_create("host");
	SRunner *r;
	int failed;

	tcase_add_unchecked_fixture(t, ready, NULL);
	tcase_add_checked_fixture(t, reset_counts, NULL);
	tcase_set_timeout(t, 300);
	tcase_add_test(t, avx_arithmetic_equals_host);
	tcase_add_test(t, avx_conversion_equals_host);
	tcase_add_test(t, avx_comparison_every_predicate_equals_host);
	tcase_add_test(t, avx_rounding_equals_host);
	tcase_add_test(t, avx_dot_product_equals_host);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
