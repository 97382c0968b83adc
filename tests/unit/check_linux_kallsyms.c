/* SPDX-License-Identifier: MIT */
/* Linux's own symbol table: every layout, KASLR, and tables that are cut off or wrong. */
#include <check.h>
#include <stdlib.h>

#include "gdbstub/linux_kallsyms.h"
#include "tests/unit/kallsyms_fixture.h"
#include "vmm-core/error.h"

static struct kallsyms_image image;
static struct cv_kallsyms found;

static int find(size_t len)
{
	/* On the heap, exactly as long: a read past the end is seen by tools that look for it. */
	uint8_t *copy = malloc(len ? len : 1);
	int r;

	memcpy(copy, image.p, len);
	r = cv_kallsyms_find(&found, copy, len, KALLSYMS_BASE);
	free(copy);
	return r;
}

static void check_all(bool percpu)
{
	ck_assert_uint_eq(found.n, KALLSYMS_N);
	for (uint32_t i = 0; i < KALLSYMS_N; i++) {
		char name[256];

		kallsyms_name(i, percpu, name, sizeof(name));
		ck_assert_str_eq(found.names + found.list[i].name, name);
		ck_assert_int_eq(found.list[i].type, 'T');
		ck_assert_uint_eq(found.list[i].addr, kallsyms_addr(i, percpu));
	}
}

START_TEST(kallsyms_of_each_layout_is_read)
{
	kallsyms_build(&image, (enum kallsyms_layout)_i);
	ck_assert_int_eq(find(image.len), 0);
	check_all(_i != KALLSYMS_6_15);
	cv_kallsyms_release(&found);
}
END_TEST

START_TEST(kallsyms_cut_off_is_none)
{
	kallsyms_build(&image, (enum kallsyms_layout)_i);
	for (size_t len = 0; len < image.index + 512; len += 61) {
		ck_assert_int_eq(find(len), CV_E_BADINPUT);
		ck_assert_ptr_null(found.list);
		ck_assert_ptr_null(found.names);
	}
	if (_i >= KALLSYMS_6_4)
		ck_assert_int_eq(find(image.relative_base), CV_E_BADINPUT);
}
END_TEST

START_TEST(kallsyms_with_a_wrong_part_is_none)
{
	const enum kallsyms_layout layout = (enum kallsyms_layout)_i;

	kallsyms_build(&image, layout);
	image.p[image.index + 100] ^= 1;
	ck_assert_int_eq(find(image.len), CV_E_BADINPUT);
	kallsyms_build(&image, layout);
	image.p[image.markers + 4] ^= 1;
	ck_assert_int_eq(find(image.len), CV_E_BADINPUT);
	kallsyms_build(&image, layout);
	image.p[image.num_syms] -= 60;
	ck_assert_int_eq(find(image.len), CV_E_BADINPUT);
	kallsyms_build(&image, layout);
	image.p[image.names] += 3;
	ck_assert_int_eq(find(image.len), CV_E_BADINPUT);
	kallsyms_build(&image, layout); /* the base of a kernel that was not relocated, but runs elsewhere */
	image.p[image.relative_base + 3] = 0x81;
	ck_assert_int_eq(find(image.len), CV_E_BADINPUT);
	kallsyms_build(&image, layout); /* not sorted */
	image.p[image.offsets + 4 * 500 + 2] ^= 0x10;
	ck_assert_int_eq(find(image.len), CV_E_BADINPUT);
	kallsyms_build(&image, layout); /* a token that is no part of a name */
	image.p[image.tokens] = '\n';
	image.p[image.names + 1] = 0;
	ck_assert_int_eq(find(image.len), CV_E_BADINPUT);
}
END_TEST

START_TEST(kallsyms_finds_the_real_table_behind_a_decoy)
{
	static struct kallsyms_image real;

	kallsyms_build(&real, KALLSYMS_6_1);
	kallsyms_build(&image, KALLSYMS_6_1);
	ck_assert_uint_lt(image.len + real.len, KALLSYMS_MAX);
	memset(image.p + image.names, 0, 64); /* a token table without names */
	kallsyms_align(&image);
	memcpy(image.p + image.len, real.p, real.len);
	image.len += real.len;
	ck_assert_int_eq(find(image.len), 0);
	check_all(true);
	cv_kallsyms_release(&found);
}
END_TEST

START_TEST(kallsyms_of_hostile_bytes_ends)
{
	/* Digits everywhere; then a count of symbols everywhere. */
	for (size_t i = 0; i + 20 <= sizeof(image.p); i += 20)
		memcpy(image.p + i, "0\0001\0002\0003\0004\0005\0006\0007\0008\0009", 20);
	ck_assert_int_eq(find(sizeof(image.p)), CV_E_BADINPUT);
	kallsyms_build(&image, KALLSYMS_6_4);
	for (size_t i = 0; i + 8 <= image.tokens; i += 8)
		memcpy(image.p + i, "\x00\x04\x00\x00\x00\x00\x00\x00", 8);
	ck_assert_int_eq(find(image.len), CV_E_BADINPUT);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("linux_kallsyms");
	TCase *tc = tcase_create("kallsyms");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, kallsyms_of_each_layout_is_read, 0, KALLSYMS_LAYOUTS);
	tcase_add_loop_test(tc, kallsyms_cut_off_is_none, 0, KALLSYMS_LAYOUTS);
	tcase_add_loop_test(tc, kallsyms_with_a_wrong_part_is_none, 0, KALLSYMS_LAYOUTS);
	tcase_add_test(tc, kallsyms_finds_the_real_table_behind_a_decoy);
	tcase_add_test(tc, kallsyms_of_hostile_bytes_ends);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
