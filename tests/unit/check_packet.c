/* SPDX-License-Identifier: MIT */
/* Framing and typed requests of the remote serial protocol. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "gdbstub/packet.h"
#include "gdbstub/request.h"

static struct cv_packet_reader reader;

/* Feeds text; returns the last event that was not NONE. */
static enum cv_packet_event feed(const char *text)
{
	enum cv_packet_event last = CV_PACKET_NONE;

	for (; *text; text++) {
		enum cv_packet_event ev = cv_packet_feed(&reader, (uint8_t)*text);

		if (ev != CV_PACKET_NONE)
			last = ev;
	}
	return last;
}

static void setup(void)
{
	cv_packet_reader_init(&reader);
}

START_TEST(reader_good_packet_gives_body)
{
	ck_assert_int_eq(feed("+$qC#b4"), CV_PACKET_BODY);
	ck_assert_str_eq(reader.body, "qC");
	ck_assert_uint_eq(reader.len, 2);
}
END_TEST

START_TEST(reader_upper_case_sum_is_accepted)
{
	ck_assert_int_eq(feed("$qC#B4"), CV_PACKET_BODY);
}
END_TEST

START_TEST(reader_wrong_sum_is_bad)
{
	ck_assert_int_eq(feed("$qC#b5"), CV_PACKET_BAD);
	ck_assert_int_eq(feed("$qC#zz"), CV_PACKET_BAD);
	ck_assert_int_eq(feed("$qC#b4"), CV_PACKET_BODY);
}
END_TEST

START_TEST(reader_dollar_inside_starts_again)
{
	ck_assert_int_eq(feed("$m1234,$qC#b4"), CV_PACKET_BODY);
	ck_assert_str_eq(reader.body, "qC");
}
END_TEST

START_TEST(reader_interrupt_outside_only)
{
	ck_assert_int_eq(feed("\003"), CV_PACKET_INTERRUPT);
	ck_assert_int_eq(feed("$X\003#5b"), CV_PACKET_BODY);
	ck_assert_uint_eq(reader.len, 2);
}
END_TEST

START_TEST(reader_acks_and_garbage_are_told_apart)
{
	ck_assert_int_eq(feed("+"), CV_PACKET_ACK);
	ck_assert_int_eq(feed("-"), CV_PACKET_NACK);
	ck_assert_int_eq(feed("GET / HTTP/1.0\r\n\r\n"), CV_PACKET_NONE);
}
END_TEST

START_TEST(reader_too_long_packet_is_bad_and_next_is_good)
{
	feed("$");
	for (unsigned i = 0; i < CV_PACKET_MAX + 10; i++)
		ck_assert_int_eq(cv_packet_feed(&reader, 'a'), CV_PACKET_NONE);
	ck_assert_int_eq(feed("#00"), CV_PACKET_BAD);
	ck_assert_int_eq(feed("$#00"), CV_PACKET_BODY);
	ck_assert_uint_eq(reader.len, 0);
}
END_TEST

/* Undoes framing: checksum, run lengths. */
static void unframe(const struct cv_wbuf *w, struct cv_wbuf *body)
{
	uint8_t sum = 0, want;

	ck_assert_uint_ge(w->len, 4);
	ck_assert_uint_eq(w->data[0], '$');
	ck_assert_uint_eq(w->data[w->len - 3], '#');
	ck_assert(cv_get_hex((const char *)w->data + w->len - 2, &want, 1));
	for (size_t i = 1; i < w->len - 3; i++) {
		uint8_t c = w->data[i];

		sum = (uint8_t)(sum + c);
		if (c != '*') {
			ck_assert(c != '#' && c != '$');
			cv_put_u8(body, c);
			continue;
		}
		c = w->data[++i];
		sum = (uint8_t)(sum + c);
		ck_assert(c >= ' ' && c <= '~' && c != '#' && c != '$' && c != '+' && c != '-');
		for (int n = c - 29; n > 0; n--)
			cv_put_u8(body, body->data[body->len - 1]);
	}
	ck_assert_uint_eq(sum, want);
}

START_TEST(frame_runs_of_every_length_come_back)
{
	for (unsigned n = 0; n < 300; n++) {
		struct cv_wbuf w = { 0 }, body = { 0 }, in = { 0 };

		cv_put_u8(&in, 'x');
		for (unsigned i = 0; i < n; i++)
			cv_put_u8(&in, '0');
		cv_put_u8(&in, 'y');
		cv_packet_frame(&w, in.data, in.len);
		unframe(&w, &body);
		ck_assert_uint_eq(body.len, in.len);
		ck_assert_mem_eq(body.data, in.data, in.len);
		if (n > 20)
			ck_assert_uint_lt(w.len, in.len);
		cv_wbuf_release(&w);
		cv_wbuf_release(&body);
		cv_wbuf_release(&in);
	}
}
END_TEST

START_TEST(frame_empty_body_is_known_text)
{
	struct cv_wbuf w = { 0 };

	cv_packet_frame(&w, "", 0);
	ck_assert_uint_eq(w.len, 4);
	ck_assert_mem_eq(w.data, "$#00", 4);
	cv_wbuf_release(&w);
}
END_TEST

START_TEST(escape_all_bytes_come_back)
{
	uint8_t all[256];
	struct cv_wbuf w = { 0 };

	for (unsigned i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	cv_packet_escape(&w, all, sizeof(all));
	ck_assert_uint_eq(w.len, 260);
	ck_assert_uint_eq(cv_packet_unescape(w.data, w.len), 256);
	ck_assert_mem_eq(w.data, all, 256);
	cv_wbuf_release(&w);
}
END_TEST

static char body[256];
static struct cv_request req;

static enum cv_request_kind parse(const char *text)
{
	strcpy(body, text);
	cv_request_parse(body, strlen(body), &req);
	return req.kind;
}

START_TEST(request_memory_numbers_are_read)
{
	ck_assert_int_eq(parse("mffffffff81000000,40"), CV_REQ_READ_HEX);
	ck_assert_uint_eq(req.addr, 0xffffffff81000000);
	ck_assert_uint_eq(req.len, 0x40);
	ck_assert_int_eq(parse("M1000,2:abcd"), CV_REQ_WRITE);
	ck_assert_uint_eq(req.n, 2);
	ck_assert_mem_eq(req.data, "\xab\xcd", 2);
	ck_assert_int_eq(parse("X1000,2:}\x03q"), CV_REQ_WRITE);
	ck_assert_mem_eq(req.data, "#q", 2);
	ck_assert_int_eq(parse("X0,0:"), CV_REQ_WRITE);
}
END_TEST

START_TEST(request_bad_numbers_are_malformed)
{
	static const char *const bad[] = { "m", "m1000", "m1000,", "m,4", "m10000000000000000,4", "mx,4", "m1000,4x",
					   "M1000,2:abc", "M1000,2:abcdef", "M1000,2:abxx", "P", "P1", "P1=0", "p", "pzz",
					   "p10000", "Z5,1000,1", "Z", "Z0", "Z0,1000", "Z0,1000,1:", "vCont;", "vCont;q",
					   "vCont;r1000", "vCont;C", "Hx1", "qRcmd,6", "qRcmd,zz", "qRcmd,6100",
					   "qXfer:features:read:target.xml", "qSearch:memory:1000;10", "qSearch:memory:1000;10;",
					   "X1000,5:abc", "cxyz", "C", "qThreadExtraInfo," };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(parse(bad[i]) == CV_REQ_MALFORMED, "%s gives %d", bad[i], req.kind);
}
END_TEST

START_TEST(request_unknown_packets_are_unknown)
{
	static const char *const unknown[] = { "", "vMustReplyEmpty", "qTStatus", "qOffsets", "b", "vFile:setfs:0",
					       "qXfer:auxv:read::0,10", "QNonStop:1", "_", "e", "qCRC:0,10" };

	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		ck_assert_msg(parse(unknown[i]) == CV_REQ_UNKNOWN, "%s gives %d", unknown[i], req.kind);
}
END_TEST

START_TEST(request_vcont_takes_the_first_action_for_the_thread)
{
	ck_assert_int_eq(parse("vCont;s:1;c"), CV_REQ_RESUME);
	ck_assert_int_eq(req.resume, CV_RESUME_STEP);
	ck_assert_int_eq(parse("vCont;s:2;c"), CV_REQ_RESUME);
	ck_assert_int_eq(req.resume, CV_RESUME_CONTINUE);
	ck_assert_int_eq(parse("vCont;r1000,1010:p1.-1"), CV_REQ_RESUME);
	ck_assert_int_eq(req.resume, CV_RESUME_RANGE);
	ck_assert_uint_eq(req.addr, 0x1000);
	ck_assert_uint_eq(req.len, 0x1010);
	ck_assert_int_eq(parse("vCont;C05:1;c:-1"), CV_REQ_RESUME);
	ck_assert_int_eq(req.resume, CV_RESUME_CONTINUE);
	ck_assert_int_eq(parse("vCont;t:1"), CV_REQ_RESUME);
	ck_assert_int_eq(req.resume, CV_RESUME_STOP);
}
END_TEST

START_TEST(request_backward_is_told_from_forward)
{
	ck_assert_int_eq(parse("bc"), CV_REQ_RESUME);
	ck_assert(req.backward && req.resume == CV_RESUME_CONTINUE);
	ck_assert_int_eq(parse("bs"), CV_REQ_RESUME);
	ck_assert(req.backward && req.resume == CV_RESUME_STEP);
	ck_assert_int_eq(parse("s"), CV_REQ_RESUME);
	ck_assert(!req.backward && !req.jump);
	ck_assert_int_eq(parse("c1234"), CV_REQ_RESUME);
	ck_assert(req.jump && req.addr == 0x1234);
	ck_assert_int_eq(parse("C05;1234"), CV_REQ_RESUME);
	ck_assert(req.jump && req.addr == 0x1234);
}
END_TEST

START_TEST(request_conditions_are_walked)
{
	uint8_t *p, *code;
	size_t n, len;
	bool bad;

	ck_assert_int_eq(parse("Z0,1000,1;X3,220127X2,2827"), CV_REQ_SET_POINT);
	p = req.data;
	n = req.n;
	ck_assert(cv_request_next_condition(&p, &n, &code, &len, &bad));
	ck_assert_uint_eq(len, 3);
	ck_assert_mem_eq(code, "\x22\x01\x27", 3);
	ck_assert(cv_request_next_condition(&p, &n, &code, &len, &bad));
	ck_assert_uint_eq(len, 2);
	ck_assert(!cv_request_next_condition(&p, &n, &code, &len, &bad));
	ck_assert(!bad);
	ck_assert_int_eq(parse("Z0,1000,1;Xffffffffffffffff,22"), CV_REQ_SET_POINT);
	p = req.data;
	n = req.n;
	ck_assert(!cv_request_next_condition(&p, &n, &code, &len, &bad));
	ck_assert(bad);
}
END_TEST

START_TEST(request_monitor_text_is_decoded)
{
	ck_assert_int_eq(parse("qRcmd,7768656e"), CV_REQ_MONITOR);
	ck_assert_str_eq(req.text, "when");
	ck_assert_int_eq(parse("qRcmd,"), CV_REQ_MONITOR);
	ck_assert_str_eq(req.text, "");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("packet");
	TCase *c = tcase_create("packet");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(c, setup, NULL);
	tcase_add_test(c, reader_good_packet_gives_body);
	tcase_add_test(c, reader_upper_case_sum_is_accepted);
	tcase_add_test(c, reader_wrong_sum_is_bad);
	tcase_add_test(c, reader_dollar_inside_starts_again);
	tcase_add_test(c, reader_interrupt_outside_only);
	tcase_add_test(c, reader_acks_and_garbage_are_told_apart);
	tcase_add_test(c, reader_too_long_packet_is_bad_and_next_is_good);
	tcase_add_test(c, frame_runs_of_every_length_come_back);
	tcase_add_test(c, frame_empty_body_is_known_text);
	tcase_add_test(c, escape_all_bytes_come_back);
	tcase_add_test(c, request_memory_numbers_are_read);
	tcase_add_test(c, request_bad_numbers_are_malformed);
	tcase_add_test(c, request_unknown_packets_are_unknown);
	tcase_add_test(c, request_vcont_takes_the_first_action_for_the_thread);
	tcase_add_test(c, request_backward_is_told_from_forward);
	tcase_add_test(c, request_conditions_are_walked);
	tcase_add_test(c, request_monitor_text_is_decoded);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
