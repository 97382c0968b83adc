/* SPDX-License-Identifier: MIT */
/* A session over the fake timeline, without sockets: what it replies to each packet and prints for each command. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gdbstub/session.h"
#include "tests/unit/fake_timeline.h"

static struct cv_timeline tl;
static struct cv_gdb_session session;
static struct cv_gdb_options options;
static struct cv_wbuf said; /* output packets, framing undone */

static void link_send(void *ctx, const void *body, size_t n)
{
	const char *p = body;
	uint8_t byte;

	(void)ctx;
	ck_assert(n % 2 == 1 && p[0] == 'O');
	for (size_t i = 1; i < n; i += 2) {
		ck_assert(cv_get_hex(p + i, &byte, 1));
		cv_put_u8(&said, byte);
	}
}

static bool link_interrupted(void *ctx)
{
	(void)ctx;
	return false;
}

static void setup(void)
{
	static const struct cv_gdb_link link = { link_send, link_interrupted, NULL };

	fake_init(&tl, 4000);
	memset(&options, 0, sizeof(options));
	cv_gdb_session_init(&session, &tl, &options, &link);
}

static void teardown(void)
{
	cv_gdb_session_release(&session);
	cv_wbuf_release(&said);
}

static char body[2 * CV_PACKET_MAX];

/* The reply to a packet, as text. */
static const char *ask(const char *packet)
{
	strcpy(body, packet);
	cv_gdb_session_handle(&session, body, strlen(body));
	cv_put_u8(&session.reply, 0);
	return (const char *)session.reply.data;
}

/* What a monitor command prints. */
static const char *monitor(const char *command)
{
	struct cv_wbuf w = { 0 };

	cv_wbuf_release(&said);
	cv_put_text(&w, "qRcmd,");
	cv_put_hex(&w, command, strlen(command));
	cv_put_u8(&w, 0);
	ck_assert_str_eq(ask((char *)w.data), "OK");
	cv_wbuf_release(&w);
	cv_put_u8(&said, 0);
	return (const char *)said.data;
}

#define ck_has(text, part) ck_assert_msg(strstr(text, part) != NULL, "\"%s\" is not in: %s", part, text)
#define ck_lacks(text, part) ck_assert_msg(strstr(text, part) == NULL, "\"%s\" is in: %s", part, text)

START_TEST(session_supported_tells_of_reverse_only_with_a_recording)
{
	const char *r = ask("qSupported:swbreak+;hwbreak+");

	ck_has(r, "ReverseStep+;ReverseContinue+");
	ck_has(r, "ConditionalBreakpoints+");
	tl.logged = false;
	ck_lacks(ask("qSupported"), "Reverse");
}
END_TEST

START_TEST(session_step_both_ways_comes_back)
{
	ck_has(ask("?"), "T05thread:1;10:0010000000000000;");
	ck_has(ask("vCont;s:1"), "10:0310000000000000;");
	ck_has(ask("s"), "10:0b10000000000000;");
	ck_has(ask("bs"), "10:0310000000000000;");
	ck_has(ask("bs"), "10:0010000000000000;");
	ck_has(ask("bs"), "replaylog:begin;");
	ck_assert_uint_eq(tl.n, 0);
}
END_TEST

START_TEST(session_ends_of_the_recording_are_told)
{
	ck_has(ask("c"), "replaylog:end;");
	ck_has((cv_put_u8(&said, 0), (char *)said.data), "The run ended here: power-off, position 4000");
	ck_assert_uint_eq(tl.n, 4000);
	ck_has(ask("bc"), "replaylog:begin;");
	ck_assert_uint_eq(tl.n, 0);
}
END_TEST

START_TEST(session_breakpoints_stop_both_ways)
{
	ck_assert_str_eq(ask("Z0,100b,1"), "OK");
	ck_has(ask("c"), "swbreak:;");
	ck_assert_uint_eq(tl.n, 2);
	ck_has(ask("c"), "swbreak:;");
	ck_assert_uint_eq(tl.n, 6);
	ck_has(ask("bc"), "swbreak:;");
	ck_assert_uint_eq(tl.n, 2);
	ck_assert_str_eq(ask("z0,100b,1"), "OK");
	ck_assert_str_eq(ask("z0,100b,1"), "OK");
	ck_assert_str_eq(ask("Z1,100b,1"), "OK");
	ck_has(ask("c"), "hwbreak:;");
	ck_assert_uint_eq(tl.n, 6);
}
END_TEST

START_TEST(session_watchpoints_report_the_data_address)
{
	ck_assert_str_eq(ask("Z2,1ffc,8"), "OK");
	ck_has(ask("c"), "watch:2000;");
	ck_assert_uint_eq(tl.n, 2);
	ck_has(ask("c"), ";watch:2000;");
	ck_assert_uint_eq(tl.n, 6);
	ck_has(ask("bc"), "watch:2000;");
	ck_assert_uint_eq(tl.n, 5);
	ck_assert_str_eq(ask("z2,1ffc,8"), "OK");
	ck_assert_str_eq(ask("Z4,2003,1"), "OK");
	ck_has(ask("c"), "awatch:2003;");
	ck_assert_str_eq(ask("Z2,2000,0"), "E01");
}
END_TEST

START_TEST(session_condition_is_evaluated_here)
{
	/* rax == 100: reg 0, const8 100, equal, end */
	ck_assert_str_eq(ask("Z0,1003,1;X7,26000022641327"), "OK");
	ck_has(ask("c"), "swbreak:;");
	ck_assert_uint_eq(tl.n, 397);
	ck_assert_uint_eq(tl.runs, 1);
	/* the counter, 8 bytes at 2000h, is 50: one of two true conditions suffices */
	ck_assert_str_eq(ask("Z0,1003,1;X3,220027X8,2320001a22321327"), "OK");
	ck_has(ask("bc"), "swbreak:;");
	ck_assert_uint_eq(tl.n, 201);
	/* without a condition it stops each time; one that cannot be evaluated stops too */
	ck_assert_str_eq(ask("Z0,1003,1"), "OK");
	ck_has(ask("bc"), "swbreak:;");
	ck_assert_uint_eq(tl.n, 197);
	ck_assert_str_eq(ask("Z0,1003,1;X2,ff27"), "OK");
	ck_has(ask("bc"), "swbreak:;");
	ck_assert_uint_eq(tl.n, 193);
	ck_assert_str_eq(ask("Z0,1003,1;X3,2200"), "E01");
	ck_assert_uint_eq(session.npoints, 1);
}
END_TEST

START_TEST(session_range_step_leaves_the_range)
{
	ck_has(ask("vCont;r1000,100c:1"), "10:0c10000000000000;");
	ck_assert_uint_eq(tl.n, 3);
	ck_has(ask("vCont;r1000,1000:1"), "10:0010000000000000;");
	ck_assert_uint_eq(tl.n, 4);
}
END_TEST

START_TEST(session_crash_is_a_signal_with_a_line)
{
	tl.info.crashed = true;
	tl.info.crash_kind = CV_END_TRIPLE_FAULT;
	tl.info.crash_pos.insns = 3000;
	ck_has(ask("c"), "T0bthread:1;");
	ck_has((cv_put_u8(&said, 0), (char *)said.data), "crashed here: triple-fault, position 3000");
	ck_has(ask("vCont;C0b:1"), "replaylog:end;");
}
END_TEST

START_TEST(session_registers_read_whole_and_single)
{
	char whole[2048];

	strcpy(whole, ask("g"));
	ck_assert_uint_eq(strlen(whole), 2 * (17 * 8 + 4 + 6 * 4 + 9 * 8 + 8 * 10 + 8 * 4 + 16 * 16 + 4));
	ck_assert_str_eq(ask("p8"), "8877665544332211");
	ck_assert_mem_eq(whole + 16 * 8, "8877665544332211", 16);
	ck_assert_str_eq(ask("p10"), "0010000000000000");
	ck_assert_str_eq(ask("p21"), "0000000000000080ff3f");
	ck_assert_str_eq(ask("p42"), "E01");
	ck_assert_str_eq(ask("pffff"), "E01");
}
END_TEST

START_TEST(session_writing_diverts_and_comes_back)
{
	ck_assert_str_eq(ask("P8=0100000000000000"), "OK");
	ck_assert(tl.diverted);
	ck_assert_str_eq(ask("p8"), "0100000000000000");
	ck_assert_str_eq(ask("M3000,2:abcd"), "OK");
	ck_assert_str_eq(ask("m3000,3"), "abcd02");
	ck_assert_str_eq(ask("X3000,1:}\x03"), "OK");
	ck_assert_str_eq(ask("m3000,1"), "23");
	ck_has(monitor("when"), "diverted");
	ck_has(monitor("end-diversion"), "replay");
	ck_assert_str_eq(ask("p8"), "8877665544332211");
	ck_assert_str_eq(ask("m3000,3"), "000102");
	ck_has(ask("P12=11000000"), "E.");
	ck_assert_str_eq(ask("P8=01"), "E01");
}
END_TEST

START_TEST(session_writing_a_live_guest_is_refused_with_a_reason)
{
	tl.live = true;
	ck_assert_str_eq(ask("P8=0100000000000000"), "E.the guest is being recorded");
	ck_assert_str_eq(ask("M3000,1:ab"), "E.the guest is being recorded");
}
END_TEST

START_TEST(session_memory_ends_where_nothing_is_mapped)
{
	ck_assert_str_eq(ask("m8ffe,10"), "0000");
	ck_assert_str_eq(ask("m9000,10"), "E0e");
	ck_assert_str_eq(ask("mffffffffffffffff,ffffffffffffffff"), "E0e");
	ck_assert_str_eq(ask("m1000,0"), "");
	ck_assert_str_eq(ask("x3023,3"), "b}\003}\004%");
	ck_assert_uint_le(strlen(ask("m1000,ffffffffffffffff")), CV_PACKET_MAX);
	monitor("phys on");
	ck_assert_str_eq(ask("m103000,2"), "0001");
	ck_assert_str_eq(ask("m3000,2"), "E0e");
	monitor("phys off");
	ck_assert_str_eq(ask("m3000,2"), "0001");
}
END_TEST

START_TEST(session_search_finds_what_is_there)
{
	ck_assert_str_eq(ask("qSearch:memory:1000;8000;\x10\x11\x12"), "1,3010");
	ck_assert_str_eq(ask("qSearch:memory:1000;8000;nothing"), "0");
	ck_assert_str_eq(ask("qSearch:memory:1000;ffffffffffffffff;nothing"), "E0e");
	ck_assert_str_eq(ask("qSearch:memory:1000;2;abc"), "0");
}
END_TEST

START_TEST(session_restart_goes_to_the_beginning)
{
	ask("c");
	ck_assert_uint_eq(tl.n, 4000);
	ck_has(ask("vRun;"), "T05thread:1;10:0010000000000000;");
	ck_assert_uint_eq(tl.n, 0);
	ask("s");
	ask("R00");
	ck_assert(session.silent);
	ck_assert_uint_eq(tl.n, 0);
	ck_assert_str_eq(ask("vKill;1"), "OK");
	ck_has(ask("c"), "E.");
	ck_has(ask("vRun;"), "T05");
	ck_has(ask("c"), "replaylog:end");
}
END_TEST

START_TEST(session_queries_have_their_answers)
{
	ck_assert_str_eq(ask("qC"), "QC1");
	ck_assert_str_eq(ask("qfThreadInfo"), "m1");
	ck_assert_str_eq(ask("qsThreadInfo"), "l");
	ck_assert_str_eq(ask("Hg0"), "OK");
	ck_assert_str_eq(ask("Hc-1"), "OK");
	ck_assert_str_eq(ask("T1"), "OK");
	ck_assert_str_eq(ask("T2"), "E03");
	ck_assert_str_eq(ask("qAttached"), "1");
	ck_assert_str_eq(ask("vCont?"), "vCont;c;C;s;S;r;t");
	ck_assert_str_eq(ask("vMustReplyEmpty"), "");
	ck_assert_str_eq(ask("qThreadExtraInfo,1"), "764350552030");
	ck_assert_str_eq(ask("!"), "OK");
	ck_assert_str_eq(ask("qXfer:features:read:other.xml:0,100"), "E00");
}
END_TEST

START_TEST(session_features_in_pieces_make_the_whole)
{
	struct cv_wbuf whole = { 0 };
	char packet[80];
	const char *r;

	do {
		snprintf(packet, sizeof(packet), "qXfer:features:read:target.xml:%zx,100", whole.len);
		r = ask(packet);
		ck_assert(r[0] == 'm' || r[0] == 'l');
		cv_put_bytes(&whole, r + 1, strlen(r) - 1);
	} while (r[0] == 'm');
	cv_put_u8(&whole, 0);
	ck_has((char *)whole.data, "org.gnu.gdb.i386.core");
	ck_has((char *)whole.data, "org.gnu.gdb.i386.segments");
	ck_has((char *)whole.data, "</target>");
	ck_assert_str_eq(ask("qXfer:features:read:target.xml:ffffffffffffffff,100"), "l");
	cv_wbuf_release(&whole);
}
END_TEST

START_TEST(session_points_are_bounded_and_dropped)
{
	for (unsigned i = 0; i < FAKE_POINTS; i++) {
		char packet[32];

		snprintf(packet, sizeof(packet), "Z0,%x,1", 0x5000 + i);
		ck_assert_str_eq(ask(packet), "OK");
	}
	ck_has(ask("Z0,6000,1"), "E.no room");
	ck_assert_uint_eq(session.npoints, FAKE_POINTS);
	cv_gdb_drop_points(&session);
	for (unsigned i = 0; i < FAKE_POINTS; i++)
		ck_assert(!tl.points[i].used);
}
END_TEST

START_TEST(monitor_commands_say_what_they_should)
{
	ck_has(monitor("help"), "monitor seek");
	ck_has(monitor(""), "monitor seek");
	ck_has(monitor("nonsense"), "unknown monitor command");
	ck_has(monitor("seek 50%"), "insns 2000 (50.0000 % of 4000)");
	ck_has(monitor("seek +10"), "insns 2010");
	ck_has(monitor("seek -3010"), "insns 0");
	ck_has(monitor("seek insns=0x10"), "insns 16");
	ck_has(monitor("seek event 3"), "insns 300");
	ck_has(monitor("seek event 30"), "there is no event 30: there are 10");
	ck_has(monitor("seek crash"), "this run has no crash");
	ck_has(monitor("seek end"), "insns 4000");
	ck_has(monitor("seek begin"), "insns 0");
	ck_has(monitor("seek"), "usage");
	ck_has(monitor("seek 12abc"), "usage");
	ck_has(monitor("when"), "replay");
}
END_TEST

START_TEST(monitor_looks_at_recording_and_machine)
{
	monitor("seek 150");
	ck_has(monitor("events 4"), "=>            150");
	ck_has(monitor("events 4"), "tsc");
	ck_has(monitor("console"), "second line");
	ck_lacks(monitor("console"), "third line");
	ck_lacks(monitor("console 1"), "first line");
	ck_has(monitor("console 1"), "second line");
	ck_has(monitor("regs"), "r8  1122334455667788");
	ck_has(monitor("disas 0x1000 4"), "inc     rax");
	ck_has(monitor("disas 0x1000 4"), "jmp     0x1000");
	ck_has(monitor("disas"), "=> 000000000000100b");
	ck_has(monitor("disas 0xa000 2"), "not mapped");
	ck_has(monitor("bt"), "#0  000000000000100b");
	ck_has(monitor("phys 0x103000 16"), "000000103000  00 01 02 03");
	ck_has(monitor("phys 0"), "no RAM");
	ck_has(monitor("screen"), "no screen");
}
END_TEST

static TCase *session_case(void)
{
	TCase *c = tcase_create("session");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, session_supported_tells_of_reverse_only_with_a_recording);
	tcase_add_test(c, session_step_both_ways_comes_back);
	tcase_add_test(c, session_ends_of_the_recording_are_told);
	tcase_add_test(c, session_breakpoints_stop_both_ways);
	tcase_add_test(c, session_watchpoints_report_the_data_address);
	tcase_add_test(c, session_condition_is_evaluated_here);
	tcase_add_test(c, session_range_step_leaves_the_range);
	tcase_add_test(c, session_crash_is_a_signal_with_a_line);
	tcase_add_test(c, session_registers_read_whole_and_single);
	tcase_add_test(c, session_writing_diverts_and_comes_back);
	tcase_add_test(c, session_writing_a_live_guest_is_refused_with_a_reason);
	tcase_add_test(c, session_memory_ends_where_nothing_is_mapped);
	tcase_add_test(c, session_search_finds_what_is_there);
	tcase_add_test(c, session_restart_goes_to_the_beginning);
	tcase_add_test(c, session_queries_have_their_answers);
	tcase_add_test(c, session_features_in_pieces_make_the_whole);
	tcase_add_test(c, session_points_are_bounded_and_dropped);
	tcase_add_test(c, monitor_commands_say_what_they_should);
	tcase_add_test(c, monitor_looks_at_recording_and_machine);
	return c;
}

int main(void)
{
	Suite *s = suite_create("session");
	SRunner *r;
	int failed;

	suite_add_tcase(s, session_case());
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
