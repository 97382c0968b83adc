/* SPDX-License-Identifier: MIT */
/* The chunk codec: what goes in comes out, it is small, and no bytes can hurt the decoder. */
#include <check.h>
#include <stdlib.h>

#include "logdb/chunk.h"
#include "tests/unit/log_events.h"

static struct cv_chunk_codec *codec;
static struct cv_event *in, *out;

static void setup(void)
{
	ck_assert_int_eq(cv_chunk_codec_new(&codec), 0);
	in = calloc(CV_CHUNK_EVENTS, sizeof(*in));
	out = calloc(CV_CHUNK_EVENTS, sizeof(*out));
	ck_assert(in && out);
}

static void teardown(void)
{
	cv_chunk_codec_free(codec);
	free(in);
	free(out);
}

/* Encodes and decodes n events of `in`; the number of bytes. */
static size_t round_trip(size_t n)
{
	struct cv_wbuf w = { 0 };
	size_t len;

	ck_assert_int_eq(cv_chunk_encode(codec, in, n, &w), 0);
	ck_assert_int_eq(cv_chunk_decode(codec, w.data, w.len, out, n), 0);
	for (size_t i = 0; i < n; i++)
		ck_assert_msg(same_event(&in[i], &out[i]), "event %zu of %zu differs", i, n);
	len = w.len;
	cv_wbuf_release(&w);
	return len;
}

START_TEST(chunk_wild_events_come_back)
{
	for (uint64_t seed = 1; seed < 200; seed++) {
		struct source s;
		size_t n;

		source_init(&s, seed);
		n = 1 + source_random(&s) % 600;
		for (size_t i = 0; i < n; i++)
			source_wild(&s, &in[i]);
		round_trip(n);
	}
}
END_TEST

START_TEST(chunk_full_of_wild_events_comes_back)
{
	struct source s;

	source_init(&s, 77);
	for (size_t i = 0; i < CV_CHUNK_EVENTS; i++)
		source_wild(&s, &in[i]);
	ck_assert_uint_lt(round_trip(CV_CHUNK_EVENTS), CV_CHUNK_BYTES);
}
END_TEST

START_TEST(chunk_extreme_numbers_come_back)
{
	static const uint64_t v[] = { 0, 1, 63, 64, 127, 128, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX };
	size_t n = 0, count = sizeof(v) / sizeof(v[0]);

	memset(in, 0, CV_CHUNK_EVENTS * sizeof(*in));
	for (size_t a = 0; a < count; a++)
		for (size_t b = 0; b < count; b++)
			for (unsigned k = 1; k < CV_EV_KINDS; k++)
				in[n++] = (struct cv_event){
					.kind = k,
					.pos = { .insns = v[a], .branches = v[b], .rip = v[(a + b) % count],
						 .rcx = k & 1 ? v[b] : 0, .in_rep = k & 1, .sub = (uint32_t)v[a] },
					.value = v[(a + k) % count],
				};
	round_trip(n);
}
END_TEST

START_TEST(chunk_kernel_events_take_at_most_four_bytes)
{
	struct source s;
	size_t len;

	source_init(&s, 5);
	for (size_t i = 0; i < CV_CHUNK_EVENTS; i++)
		source_kernel(&s, &in[i]);
	len = round_trip(CV_CHUNK_EVENTS);
	ck_assert_uint_le(len, 4 * CV_CHUNK_EVENTS);
	ck_assert_uint_le(round_trip(4000), 4 * 4000);
}
END_TEST

/* A timer's interrupts in a loop of a hundred places and now and then elsewhere, as with the virtual clock. */
START_TEST(chunk_of_timer_interrupts_takes_at_most_four_bytes)
{
	struct source s;

	source_init(&s, 6);
	for (uint64_t i = 0; i < 3000; i++) {
		bool loop = source_random(&s) % 8;

		memset(&in[i], 0, sizeof(in[i]));
		in[i].kind = CV_EV_INTERRUPT;
		in[i].pos.insns = 29427 + i * 4000000 + source_random(&s) % 8;
		in[i].pos.branches = i * 129854 + source_random(&s) % 40;
		in[i].pos.rip = loop ? 0x57a800 + source_random(&s) % 100 * 3 :
				       UINT64_C(0xffffffff81000000) + source_random(&s) % 0x800000;
		in[i].value = 236;
	}
	ck_assert_uint_le(round_trip(3000), 4 * 3000);
	ck_assert_uint_le(round_trip(700), 4 * 700);
}
END_TEST

START_TEST(chunk_of_one_event_is_small)
{
	struct source s;

	source_init(&s, 5);
	source_kernel(&s, &in[0]);
	ck_assert_uint_le(round_trip(1), 48);
}
END_TEST

START_TEST(chunk_same_events_give_same_bytes)
{
	struct cv_wbuf a = { 0 }, b = { 0 };
	struct source s;

	source_init(&s, 9);
	for (size_t i = 0; i < 3000; i++)
		source_kernel(&s, &in[i]);
	ck_assert_int_eq(cv_chunk_encode(codec, in, 3000, &a), 0);
	ck_assert_int_eq(cv_chunk_encode(codec, in + 100, 50, &b), 0);
	b.len = 0;
	ck_assert_int_eq(cv_chunk_encode(codec, in, 3000, &b), 0);
	ck_assert_uint_eq(a.len, b.len);
	ck_assert_mem_eq(a.data, b.data, a.len);
	cv_wbuf_release(&a);
	cv_wbuf_release(&b);
}
END_TEST

START_TEST(chunk_cut_anywhere_is_refused)
{
	struct cv_wbuf w = { 0 };
	struct source s;

	source_init(&s, 3);
	for (size_t i = 0; i < 200; i++)
		source_wild(&s, &in[i]);
	ck_assert_int_eq(cv_chunk_encode(codec, in, 200, &w), 0);
	for (size_t n = 0; n < w.len; n++) {
		uint8_t *cut = malloc(n + 1);

		memcpy(cut, w.data, n);
		ck_assert_int_eq(cv_chunk_decode(codec, cut, n, out, 200), CV_E_CORRUPT);
		free(cut);
	}
	ck_assert_int_eq(cv_chunk_decode(codec, w.data, w.len, out, 199), CV_E_CORRUPT);
	ck_assert_int_eq(cv_chunk_decode(codec, w.data, w.len, out, 201), CV_E_CORRUPT);
	ck_assert_int_eq(cv_chunk_decode(codec, w.data, w.len, out, 0), CV_E_CORRUPT);
	ck_assert_int_eq(cv_chunk_decode(codec, w.data, w.len, out, CV_CHUNK_EVENTS + 1), CV_E_CORRUPT);
	cv_wbuf_release(&w);
}
END_TEST

/* Without the checksum, which lies outside, a changed byte may go unnoticed: it must only do no harm. */
START_TEST(chunk_changed_bytes_do_no_harm)
{
	struct cv_wbuf w = { 0 };
	struct source s;
	unsigned refused = 0;

	source_init(&s, 4);
	for (size_t i = 0; i < 300; i++)
		(i % 3 ? source_kernel : source_wild)(&s, &in[i]);
	ck_assert_int_eq(cv_chunk_encode(codec, in, 300, &w), 0);
	for (size_t at = 0; at < w.len; at++)
		for (unsigned bit = 0; bit < 8; bit++) {
			int rc;

			w.data[at] ^= (uint8_t)(1u << bit);
			rc = cv_chunk_decode(codec, w.data, w.len, out, 300);
			ck_assert(rc == 0 || rc == CV_E_CORRUPT);
			refused += rc != 0;
			w.data[at] ^= (uint8_t)(1u << bit);
		}
	ck_assert_uint_gt(refused, 0);
	ck_assert_int_eq(cv_chunk_decode(codec, w.data, w.len, out, 300), 0);
	for (size_t i = 0; i < 300; i++)
		ck_assert(same_event(&in[i], &out[i]));
	cv_wbuf_release(&w);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("chunk");
	TCase *tc = tcase_create("codec");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, chunk_wild_events_come_back);
	tcase_add_test(tc, chunk_full_of_wild_events_comes_back);
	tcase_add_test(tc, chunk_extreme_numbers_come_back);
	tcase_add_test(tc, chunk_kernel_events_take_at_most_four_bytes);
	tcase_add_test(tc, chunk_of_timer_interrupts_takes_at_most_four_bytes);
	tcase_add_test(tc, chunk_of_one_event_is_small);
	tcase_add_test(tc, chunk_same_events_give_same_bytes);
	tcase_add_test(tc, chunk_cut_anywhere_is_refused);
	tcase_add_test(tc, chunk_changed_bytes_do_no_harm);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
