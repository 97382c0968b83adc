/* SPDX-License-Identifier: MIT */
/*
 * MMX and SSE against the host's CPU: every row of the opcode maps, in its register and memory forms, from the same state on
 * the engine and natively, must leave the same registers, flags, memory and exception behind. RCP and RSQRT are
 * check_rcp.c's.
 */
#include "fp_compare.h"
#include "fp_fixture.h"
#include "fp_operands.h"
#include "host_vendor.h"

/* ModRM: register forms (2, 1), (1, 1); memory (2, [rdi]). */
static const uint8_t forms[] = {0xd1, 0xc9, 0x17};

static void check_sse_row(unsigned prefix, unsigned map, unsigned opcode, unsigned imm)
{
	static const uint8_t prefixes[4] = {0, 0x66, 0xf3, 0xf2};

	for (unsigned rex = 0; rex < 2; rex++) {
		for (unsigned k = 0; k < sizeof(forms); k++) {
			uint8_t code[15] = {0};
			unsigned n = 0;

			if (prefix)
				code[n++] = prefixes[prefix];
			if (rex)
				code[n++] = 0x48;
			code[n++] = 0x0f;
			if (map)
				code[n++] = (uint8_t)map;
			code[n++] = (uint8_t)opcode;
			code[n++] = forms[k];
			code[n++] = (uint8_t)imm;
			check(code, sizeof(code));
		}
	}
}

static void check_rows(unsigned map)
{
	for (unsigned opcode = 0; opcode < 256; opcode++)
		for (unsigned prefix = 0; prefix < 4; prefix++)
			for (unsigned k = 0; k < 3 && (map || (opcode != 0x38 && opcode != 0x3a)); k++)
				check_sse_row(prefix, map, opcode, below(256));
}

START_TEST(simd_0f_row_equals_host)
{
	check_rows(0);
	ck_assert_uint_gt(tests, 1000);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

START_TEST(simd_0f38_row_equals_host)
{
	check_rows(0x38);
	ck_assert_uint_gt(tests, 200);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

START_TEST(simd_0f3a_row_equals_host)
{
	for (unsigned k = 0; k < 8; k++)
		check_rows(0x3a);
	ck_assert_uint_gt(tests, 200);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

START_TEST(simd_shift_group_equals_host)
{
	for (unsigned opcode = 0x71; opcode <= 0x73; opcode++) {
		for (unsigned reg = 0; reg < 8; reg++) {
			for (unsigned k = 0; k < 8; k++) {
				uint8_t imm = (uint8_t)(k < 4 ? below(64) : rnd());
				uint8_t mmx[15] = {0x0f, (uint8_t)opcode, (uint8_t)(0xc1 | reg << 3), imm};
				uint8_t xmm[15] = {0x66, 0x0f, (uint8_t)opcode, (uint8_t)(0xc1 | reg << 3), imm};

				check(mmx, 15);
				check(xmm, 15);
			}
		}
	}
	ck_assert_uint_gt(tests, 100);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

START_TEST(simd_imm_every_value_equals_host)
{
	static const uint8_t rows[][3] = {{0x66, 0, 0x70}, {0xf2, 0, 0x70}, {0, 0, 0xc6}, {0x66, 0, 0xc6}, {0x66, 0x3a, 0x0e},
					  {0x66, 0x3a, 0x63}, {0x66, 0x3a, 0x60}, {0x66, 0x3a, 0x0f}, {0x66, 0x3a, 0x21}};

	for (unsigned r = 0; r < sizeof(rows) / 3; r++) {
		for (unsigned imm = 0; imm < 256; imm++) {
			uint8_t code[15] = {0};
			unsigned n = 0;

			if (rows[r][0])
				code[n++] = rows[r][0];
			code[n++] = 0x0f;
			if (rows[r][1])
				code[n++] = rows[r][1];
			code[n++] = rows[r][2];
			code[n++] = 0xd1;
			code[n++] = (uint8_t)imm;
			check(code, 15);
		}
	}
	ck_assert_uint_ge(tests, 9 * 256);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

START_TEST(mxcsr_load_and_store_equals_host)
{
	static const uint8_t ld[15] = {0x0f, 0xae, 0x17}, st[15] = {0x0f, 0xae, 0x1f}, wait[15] = {0x9b};

	for (unsigned k = 0; k < 10; k++) {
		check(ld, 15);
		check(st, 15);
		check(wait, 15);
	}
	ck_assert_uint_eq(tests, 30);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

START_TEST(crc32_equals_host)
{
	static const uint8_t rows[][15] = {{0xf2, 0x0f, 0x38, 0xf0, 0xd1}, {0xf2, 0x0f, 0x38, 0xf0, 0xd4}, {0xf2, 0x0f, 0x38, 0xf1, 0xd1},
					   {0x66, 0xf2, 0x0f, 0x38, 0xf1, 0xd1}, {0xf2, 0x48, 0x0f, 0x38, 0xf1, 0xd1},
					   {0xf2, 0x0f, 0x38, 0xf1, 0x17}, {0x66, 0xf2, 0x0f, 0x38, 0xf1, 0x17},
					   {0xf2, 0x48, 0x0f, 0x38, 0xf1, 0x17}, {0xf2, 0x0f, 0x38, 0xf0, 0x17}};

	for (unsigned k = 0; k < sizeof(rows) / 15; k++)
		check(rows[k], 15);
	ck_assert_uint_eq(tests, 9);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sse");
	TCase *t = tcase_create("host");
	SRunner *r;
	int failed;

	tcase_add_unchecked_fixture(t, make_engine, NULL);
	tcase_add_checked_fixture(t, reset_counts, NULL);
	tcase_set_timeout(t, 300);
	tcase_add_test(t, simd_0f_row_equals_host);
	tcase_add_test(t, simd_0f38_row_equals_host);
	tcase_add_test(t, simd_0f3a_row_equals_host);
	tcase_add_test(t, simd_shift_group_equals_host);
	tcase_add_test(t, simd_imm_every_value_equals_host);
	tcase_add_test(t, mxcsr_load_and_store_equals_host);
	tcase_add_test(t, crc32_equals_host);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
