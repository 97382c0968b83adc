/* SPDX-License-Identifier: MIT */
/* Guest RAM: the hole below 4 GiB, copies that end where RAM does, dirty pages, and who hears of writes. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "vmm-core/memory.h"

static struct cv_memory mem;
static struct {
	uint32_t page, offset, len;
	unsigned calls;
} heard;

static void written(void *ctx, uint32_t page, uint32_t offset, uint32_t len)
{
	ck_assert_ptr_eq(ctx, &heard);
	heard.page = page;
	heard.offset = offset;
	heard.len = len;
	heard.calls++;
}

static void start(uint64_t size)
{
	ck_assert_int_eq(cv_memory_init(&mem, size, NULL), 0);
	mem.written = written;
	mem.written_ctx = &heard;
	memset(&heard, 0, sizeof(heard));
}

static void setup(void)
{
	start(64ull << 20);
}

static void teardown(void)
{
	cv_memory_release(&mem);
}

START_TEST(memory_bad_size_is_refused_with_a_message)
{
	static const uint64_t sizes[] = {0, CV_RAM_MIN - 1, CV_RAM_MIN + 4096, CV_RAM_MAX + (1 << 20)};

	for (unsigned k = 0; k < 4; k++) {
		struct cv_memory m;
		struct cv_error err = {0};

		ck_assert_int_eq(cv_memory_init(&m, sizes[k], &err), CV_E_BADINPUT);
		ck_assert_uint_gt(strlen(err.msg), 0);
		cv_memory_release(&m);
	}
}
END_TEST

START_TEST(memory_addresses_skip_the_hole)
{
	teardown();
	start(4ull << 30);
	ck_assert_int_eq(cv_memory_gpa_to_page(&mem, CV_RAM_LOW_MAX - 1), (CV_RAM_LOW_MAX >> 12) - 1);
	ck_assert_int_eq(cv_memory_gpa_to_page(&mem, CV_RAM_LOW_MAX), -1);
	ck_assert_int_eq(cv_memory_gpa_to_page(&mem, CV_RAM_HIGH_BASE - 1), -1);
	ck_assert_int_eq(cv_memory_gpa_to_page(&mem, CV_RAM_HIGH_BASE), CV_RAM_LOW_MAX >> 12);
	ck_assert_int_eq(cv_memory_gpa_to_page(&mem, CV_RAM_HIGH_BASE + (1ull << 30) - 1), (4ull << 30 >> 12) - 1);
	ck_assert_int_eq(cv_memory_gpa_to_page(&mem, CV_RAM_HIGH_BASE + (1ull << 30)), -1);
	for (uint32_t p = 0; p < mem.pages; p += 4093)
		ck_assert_int_eq(cv_memory_gpa_to_page(&mem, cv_memory_page_to_gpa(&mem, p)), p);
}
END_TEST

START_TEST(memory_copy_returns_what_fits)
{
	uint8_t in[8192], out[8192];

	for (unsigned k = 0; k < sizeof(in); k++)
		in[k] = (uint8_t)(k * 7);
	ck_assert_uint_eq(cv_memory_write(&mem, 0x12345, in, sizeof(in)), sizeof(in));
	ck_assert_uint_eq(cv_memory_read(&mem, 0x12345, out, sizeof(out)), sizeof(out));
	ck_assert_mem_eq(in, out, sizeof(in));
	ck_assert_uint_eq(cv_memory_write(&mem, mem.size - 10, in, 100), 10);
	ck_assert_uint_eq(cv_memory_read(&mem, mem.size - 10, out, 100), 10);
	ck_assert_mem_eq(in, out, 10);
	ck_assert_uint_eq(cv_memory_read(&mem, mem.size, out, 1), 0);
	ck_assert_uint_eq(cv_memory_write(&mem, UINT64_MAX - 3, in, 16), 0);
}
END_TEST

START_TEST(memory_write_marks_pages_dirty_once_in_order)
{
	uint8_t b[4098] = {1};

	cv_memory_write(&mem, 5 * 4096 + 4095, b, sizeof(b));
	cv_memory_write(&mem, 3 * 4096, b, 1);
	cv_memory_write(&mem, 5 * 4096, b, 1);
	ck_assert_uint_eq(mem.ndirty, 4);
	ck_assert_uint_eq(mem.dirty[0], 5);
	ck_assert_uint_eq(mem.dirty[1], 6);
	ck_assert_uint_eq(mem.dirty[2], 7);
	ck_assert_uint_eq(mem.dirty[3], 3);
	cv_memory_clear_dirty(&mem);
	ck_assert_uint_eq(mem.ndirty, 0);
	ck_assert_uint_eq(mem.flags[5], CV_PAGE_TOUCHED);
	cv_memory_write(&mem, 5 * 4096, b, 1);
	ck_assert_uint_eq(mem.ndirty, 1);
	ck_assert_uint_eq(mem.ntouched, 4);
}
END_TEST

START_TEST(memory_write_tells_the_listener)
{
	cv_memory_write(&mem, 0x7ffe, "abcd", 4);
	ck_assert_uint_eq(heard.calls, 2);
	ck_assert_uint_eq(heard.page, 8);
	ck_assert_uint_eq(heard.offset, 0);
	ck_assert_uint_eq(heard.len, 2);
}
END_TEST

START_TEST(memory_zero_gives_a_fresh_machine)
{
	uint8_t b[4] = {1, 2, 3, 4}, out[4];

	cv_memory_write(&mem, 0x1000, b, 4);
	mem.flags[1] |= CV_PAGE_CODE;
	memset(&heard, 0, sizeof(heard));
	cv_memory_zero(&mem);
	ck_assert_uint_eq(heard.calls, 1); /* decoded code of that page is gone */
	cv_memory_read(&mem, 0x1000, out, 4);
	ck_assert_mem_eq(out, "\0\0\0\0", 4);
	ck_assert_uint_eq(mem.ndirty, 0);
	ck_assert_uint_eq(mem.ntouched, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("memory");
	TCase *t = tcase_create("memory");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, memory_bad_size_is_refused_with_a_message);
	tcase_add_test(t, memory_addresses_skip_the_hole);
	tcase_add_test(t, memory_copy_returns_what_fits);
	tcase_add_test(t, memory_write_marks_pages_dirty_once_in_order);
	tcase_add_test(t, memory_write_tells_the_listener);
	tcase_add_test(t, memory_zero_gives_a_fresh_machine);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
