/* SPDX-License-Identifier: MIT */
/* Saved state as bytes, host errors, and the names of event kinds. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "vmm-core/buf.h"
#include "vmm-core/error.h"
#include "vmm-core/event.h"

START_TEST(buf_integers_come_back)
{
	static const uint8_t want[] = {0x12, 0x34, 0x12, 0x78, 0x56, 0x34, 0x12, 8, 7, 6, 5, 4, 3, 2, 1};
	struct cv_wbuf w = {0};
	struct cv_rbuf r;

	cv_put_u8(&w, 0x12);
	cv_put_u16(&w, 0x1234);
	cv_put_u32(&w, 0x12345678);
	cv_put_u64(&w, 0x0102030405060708ull);
	ck_assert_int_eq(w.err, 0);
	ck_assert_uint_eq(w.len, sizeof(want));
	ck_assert_mem_eq(w.data, want, sizeof(want));
	cv_rbuf_init(&r, w.data, w.len);
	ck_assert_uint_eq(cv_get_u8(&r), 0x12);
	ck_assert_uint_eq(cv_get_u16(&r), 0x1234);
	ck_assert_uint_eq(cv_get_u32(&r), 0x12345678);
	ck_assert_uint_eq(cv_get_u64(&r), 0x0102030405060708ull);
	ck_assert_int_eq(r.err, 0);
	ck_assert_uint_eq(r.pos, r.len);
	cv_wbuf_release(&w);
	ck_assert_ptr_null(w.data);
}
END_TEST

START_TEST(buf_varints_come_back)
{
	static const uint64_t u[] = {0, 1, 127, 128, 16383, 16384, 1ull << 35, 1ull << 63, UINT64_MAX};
	static const int64_t s[] = {0, -1, 1, -64, 64, INT64_MAX, INT64_MIN};
	struct cv_wbuf w = {0};
	struct cv_rbuf r;
	size_t i;

	for (i = 0; i < sizeof(u) / sizeof(u[0]); i++)
		cv_put_varint(&w, u[i]);
	for (i = 0; i < sizeof(s) / sizeof(s[0]); i++)
		cv_put_svarint(&w, s[i]);
	cv_rbuf_init(&r, w.data, w.len);
	for (i = 0; i < sizeof(u) / sizeof(u[0]); i++)
		ck_assert_uint_eq(cv_get_varint(&r), u[i]);
	for (i = 0; i < sizeof(s) / sizeof(s[0]); i++)
		ck_assert_int_eq(cv_get_svarint(&r), s[i]);
	ck_assert_int_eq(r.err, 0);
	ck_assert_uint_eq(r.pos, r.len);
	cv_wbuf_release(&w);
}
END_TEST

START_TEST(buf_varint_too_long_is_corrupt)
{
	static const uint8_t eleven[11] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1};
	static const uint8_t big[10] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2};
	struct cv_rbuf r;

	cv_rbuf_init(&r, eleven, sizeof(eleven));
	ck_assert_uint_eq(cv_get_varint(&r), 0);
	ck_assert_int_eq(r.err, CV_E_CORRUPT);
	cv_rbuf_init(&r, big, sizeof(big));
	cv_get_varint(&r);
	ck_assert_int_eq(r.err, CV_E_CORRUPT);
}
END_TEST

START_TEST(buf_read_past_end_is_sticky)
{
	static const uint8_t b[3] = {1, 2, 3};
	uint8_t out[4] = {9, 9, 9, 9};
	struct cv_rbuf r;

	cv_rbuf_init(&r, b, sizeof(b));
	ck_assert_uint_eq(cv_get_u32(&r), 0);
	ck_assert_int_eq(r.err, CV_E_CORRUPT);
	ck_assert_uint_eq(cv_get_u8(&r), 0);
	cv_get_bytes(&r, out, sizeof(out));
	ck_assert_uint_eq(out[0] | out[3], 0);
}
END_TEST

START_TEST(buf_blob_comes_back)
{
	char big[5000];
	struct cv_wbuf w = {0};
	struct cv_rbuf r;
	const void *p;
	size_t n;

	memset(big, 'x', sizeof(big));
	cv_put_blob(&w, big, sizeof(big));
	cv_put_blob(&w, NULL, 0);
	cv_rbuf_init(&r, w.data, w.len);
	p = cv_get_blob(&r, &n);
	ck_assert_uint_eq(n, sizeof(big));
	ck_assert_mem_eq(p, big, n);
	p = cv_get_blob(&r, &n);
	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(n, 0);
	cv_rbuf_init(&r, w.data, 100);
	ck_assert_ptr_null(cv_get_blob(&r, &n));
	ck_assert_int_eq(r.err, CV_E_CORRUPT);
	cv_wbuf_release(&w);
}
END_TEST

START_TEST(error_first_message_stays)
{
	struct cv_error e = {0};

	ck_assert_int_eq(cv_error_set(&e, CV_E_IO, "disk %d", 3), CV_E_IO);
	ck_assert_int_eq(cv_error_set(&e, CV_E_NOMEM, "other"), CV_E_IO);
	ck_assert_str_eq(e.msg, "disk 3");
	ck_assert_int_eq(cv_error_prefix(&e, "run %s", "a.cvr"), CV_E_IO);
	ck_assert_str_eq(e.msg, "run a.cvr: disk 3");
	cv_error_clear(&e);
	ck_assert_int_eq(e.code, 0);
	ck_assert_int_eq(cv_error_set(NULL, CV_E_IO, "x"), CV_E_IO);
}
END_TEST

START_TEST(error_long_message_is_cut)
{
	struct cv_error e = {0};
	char big[1000];

	memset(big, 'y', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	cv_error_set(&e, CV_E_IO, "%s", big);
	ck_assert_uint_eq(strlen(e.msg), sizeof(e.msg) - 1);
	cv_error_prefix(&e, "where");
	ck_assert_uint_eq(strlen(e.msg), sizeof(e.msg) - 1);
	ck_assert_int_eq(strncmp(e.msg, "where: yyy", 10), 0);
}
END_TEST

START_TEST(event_kinds_have_names_both_ways)
{
	unsigned k;

	for (k = 1; k < CV_EV_KINDS; k++) {
		ck_assert_ptr_nonnull(cv_event_kind_name(k));
		ck_assert_uint_eq(cv_event_kind_by_name(cv_event_kind_name(k)), k);
	}
	ck_assert_ptr_null(cv_event_kind_name(0));
	ck_assert_ptr_null(cv_event_kind_name(CV_EV_KINDS));
	ck_assert_uint_eq(cv_event_kind_by_name("nothing"), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("buf");
	TCase *t = tcase_create("buf");
	SRunner *sr;
	int failed;

	tcase_add_test(t, buf_integers_come_back);
	tcase_add_test(t, buf_varints_come_back);
	tcase_add_test(t, buf_varint_too_long_is_corrupt);
	tcase_add_test(t, buf_read_past_end_is_sticky);
	tcase_add_test(t, buf_blob_comes_back);
	tcase_add_test(t, error_first_message_stays);
	tcase_add_test(t, error_long_message_is_cut);
	tcase_add_test(t, event_kinds_have_names_both_ways);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
