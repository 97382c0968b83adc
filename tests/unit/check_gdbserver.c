/* SPDX-License-Identifier: MIT */
/*
 * The stub over a fake timeline: replies of a session, the server on real sockets with clients that behave and that do
 * not, and a real GDB where one is installed.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "gdbstub/gdbstub.h"
#include "gdbstub/session.h"
#include "tests/unit/fake_timeline.h"

static struct cv_timeline tl;
static struct cv_gdb_session session;
static struct cv_gdb_options options;
static struct cv_wbuf said; /* output packets, framing undone */

/* --- Replies of a session --- */

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

/* --- The server on sockets --- */

static char dir[64];

static void server_setup(void)
{
	strcpy(dir, "/tmp/check_gdbserver-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	fake_init(&tl, 4000);
	memset(&options, 0, sizeof(options));
}

static void server_teardown(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/out", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/cmd", dir);
	unlink(path);
	ck_assert_msg(rmdir(dir) == 0, "the server left its socket behind");
}

static struct cv_gdb *new_unix_server(void)
{
	struct cv_gdb *g;
	struct cv_error err = { 0 };
	char address[128];

	snprintf(address, sizeof(address), "unix:%s/s", dir);
	ck_assert_msg(cv_gdb_new(&g, address, &err) == 0, "%s", err.msg);
	tl.poll = cv_gdb_poll;
	tl.poll_ctx = g;
	return g;
}

/* In the client's process: _exit tells the parent which step failed. */
#define need(x) ((x) ? (void)0 : _exit(__LINE__ & 127 ? __LINE__ & 127 : 1))

static int client_connect(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/s", dir);
	need(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	return fd;
}

static void put(int fd, const char *text)
{
	need(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

/* Reads until `want` has come, at most 5 s. False at the end of the connection. */
static bool wait_for(int fd, const char *want)
{
	static char got[1 << 16];
	size_t n = 0;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while (n < sizeof(got) - 1 && poll(&p, 1, 5000) == 1) {
		ssize_t r = read(fd, got + n, sizeof(got) - 1 - n);

		if (r <= 0)
			return false;
		n += (size_t)r;
		got[n] = '\0';
		if (strstr(got, want))
			return true;
	}
	return false;
}

static void send_body(int fd, const char *text)
{
	struct cv_wbuf w = { 0 };

	cv_packet_frame(&w, text, strlen(text));
	need(write(fd, w.data, w.len) == (ssize_t)w.len);
	cv_wbuf_release(&w);
}

/* Runs client() in a child while this process serves; both must end well. */
static enum cv_gdb_end serve_with(void (*client)(void))
{
	struct cv_gdb *g = new_unix_server();
	struct cv_error err = { 0 };
	enum cv_gdb_end end;
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (!pid) {
		client();
		_exit(0);
	}
	ck_assert_msg(cv_gdb_serve(g, &tl, &options, &end, &err) == 0, "%s", err.msg);
	cv_gdb_free(g);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the client failed at line %d (mod 128)",
		      WEXITSTATUS(status));
	return end;
}

static void client_no_ack(void)
{
	int fd = client_connect();

	send_body(fd, "QStartNoAckMode");
	need(wait_for(fd, "+$OK#9a"));
	send_body(fd, "qC");
	need(wait_for(fd, "$QC1#c5"));
	send_body(fd, "D");
	need(wait_for(fd, "$OK#9a"));
}

START_TEST(server_no_ack_mode_and_detach)
{
	ck_assert_int_eq(serve_with(client_no_ack), CV_GDB_DETACHED);
}
END_TEST

static void client_bad_sum(void)
{
	int fd = client_connect();

	put(fd, "$qC#00");
	need(wait_for(fd, "-"));
	send_body(fd, "qC");
	need(wait_for(fd, "+$QC1#c5"));
	put(fd, "-");
	need(wait_for(fd, "$QC1#c5"));
	send_body(fd, "D");
	need(wait_for(fd, "OK"));
}

START_TEST(server_bad_sum_is_refused_and_nack_repeats)
{
	ck_assert_int_eq(serve_with(client_bad_sum), CV_GDB_DETACHED);
}
END_TEST

static void client_interrupts(void)
{
	int fd = client_connect();

	send_body(fd, "c");
	need(wait_for(fd, "+"));
	usleep(50000);
	put(fd, "\003");
	need(wait_for(fd, "$T02thread:1;"));
	send_body(fd, "k");
	need(!wait_for(fd, "never"));
}

START_TEST(server_interrupt_stops_a_run)
{
	tl.end = 1ull << 40;
	tl.delay_us = 100;
	ck_assert_int_eq(serve_with(client_interrupts), CV_GDB_KILLED);
	ck_assert_uint_gt(tl.n, 0);
	ck_assert_uint_lt(tl.n, tl.end);
}
END_TEST

static void client_vanishes_and_another_comes(void)
{
	int fd = client_connect();

	send_body(fd, "Z0,1003,1");
	need(wait_for(fd, "OK"));
	send_body(fd, "c");
	need(wait_for(fd, "swbreak"));
	close(fd);
	fd = client_connect();
	send_body(fd, "c");
	need(wait_for(fd, "replaylog:end"));
	send_body(fd, "k");
	need(!wait_for(fd, "never"));
	close(fd);
	fd = client_connect();
	put(fd, "$m10");
	close(fd);
}

static unsigned asked;

static bool quit_after_a_while(void *ctx)
{
	(void)ctx;
	return ++asked > 30;
}

START_TEST(server_keep_serves_one_client_after_the_other)
{
	asked = 0;
	options.keep = true;
	options.quit = quit_after_a_while;
	ck_assert_int_eq(serve_with(client_vanishes_and_another_comes), CV_GDB_QUIT);
	for (unsigned i = 0; i < FAKE_POINTS; i++)
		ck_assert(!tl.points[i].used);
}
END_TEST

static void client_garbage(void)
{
	for (unsigned i = 0; i < 20; i++) {
		int fd = client_connect();
		uint8_t junk[5000];

		for (size_t j = 0; j < sizeof(junk); j++)
			junk[j] = (uint8_t)(i * 37 + j * j * 11 + j / 3);
		(void)!write(fd, junk, sizeof(junk));
		put(fd, "\003\003$qSupported");
		if (i % 2)
			close(fd);
	}
}

START_TEST(server_garbage_never_stops_a_live_guest)
{
	tl.live = true;
	tl.end = 400000;
	tl.delay_us = 20;
	ck_assert_int_eq(serve_with(client_garbage), CV_GDB_RUN_ENDED);
	ck_assert_uint_eq(tl.n, tl.end);
	ck_assert_uint_eq(tl.runs, 1); /* not one interruption */
}
END_TEST

static void client_attaches_and_vanishes(void)
{
	int fd = client_connect();

	send_body(fd, "?");
	need(wait_for(fd, "T05"));
	send_body(fd, "Z0,1003,1");
	need(wait_for(fd, "OK"));
	send_body(fd, "c");
	need(wait_for(fd, "swbreak"));
	close(fd);
}

START_TEST(server_live_guest_goes_on_when_the_client_vanishes)
{
	tl.live = true;
	tl.end = 400000;
	tl.delay_us = 20;
	ck_assert_int_eq(serve_with(client_attaches_and_vanishes), CV_GDB_RUN_ENDED);
	ck_assert_uint_eq(tl.n, tl.end);
}
END_TEST

static void client_vanishes_while_running(void)
{
	int fd = client_connect();

	send_body(fd, "c");
	need(wait_for(fd, "+"));
	usleep(20000);
	close(fd);
}

START_TEST(server_live_guest_goes_on_when_the_client_vanishes_in_a_run)
{
	tl.live = true;
	tl.end = 400000;
	tl.delay_us = 20;
	ck_assert_int_eq(serve_with(client_vanishes_while_running), CV_GDB_RUN_ENDED);
	ck_assert_uint_eq(tl.n, tl.end);
}
END_TEST

static void client_second_is_turned_away(void)
{
	int fd = client_connect(), other;

	send_body(fd, "qC");
	need(wait_for(fd, "QC1"));
	other = client_connect();
	need(!wait_for(other, "never"));
	send_body(fd, "vKill;1");
	need(wait_for(fd, "OK"));
}

START_TEST(server_second_client_is_turned_away)
{
	ck_assert_int_eq(serve_with(client_second_is_turned_away), CV_GDB_KILLED);
}
END_TEST

static void client_steps(void)
{
	int fd = client_connect();

	send_body(fd, "QStartNoAckMode");
	need(wait_for(fd, "OK"));
	for (unsigned i = 0; i < 1000; i++) {
		send_body(fd, "vCont;s:1");
		need(wait_for(fd, "T05"));
	}
	send_body(fd, "D");
	need(wait_for(fd, "OK"));
}

START_TEST(server_thousand_steps_take_less_than_a_second)
{
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	ck_assert_int_eq(serve_with(client_steps), CV_GDB_DETACHED);
	clock_gettime(CLOCK_MONOTONIC, &b);
	ck_assert_uint_eq(tl.n, 1000);
	ck_assert_int_lt((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000, 1000);
}
END_TEST

START_TEST(server_addresses_good_and_bad)
{
	static const char *const bad[] = { "", "1234", "unix:", "host:", ":", ":x", ":65536", ":123456", "::1:1234",
					   "no.such.host.invalid:1" };
	struct cv_error err = { 0 };
	struct cv_gdb *g = NULL, *h = NULL;
	char address[128];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cv_error_clear(&err);
		ck_assert_msg(cv_gdb_new(&g, bad[i], &err) == CV_E_BADINPUT, "\"%s\" is taken", bad[i]);
		ck_assert_ptr_null(g);
		ck_assert_ptr_null(strchr(err.msg, '\n'));
		ck_assert_uint_gt(strlen(err.msg), 0);
	}
	cv_error_clear(&err);
	ck_assert_int_eq(cv_gdb_new(&g, ":0", &err), 0);
	ck_has(cv_gdb_local_address(g), "127.0.0.1:");
	ck_lacks(cv_gdb_local_address(g), ":0");
	ck_assert_int_eq(cv_gdb_new(&h, cv_gdb_local_address(g), &err), CV_E_IO); /* busy */
	ck_has(err.msg, cv_gdb_local_address(g));
	cv_gdb_free(g);
	cv_error_clear(&err);
	snprintf(address, sizeof(address), "unix:%s/no/such/dir", dir);
	ck_assert_int_eq(cv_gdb_new(&g, address, &err), CV_E_IO);
}
END_TEST

START_TEST(server_stale_socket_is_replaced_busy_one_is_not)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct cv_gdb *g = NULL, *h = NULL;
	struct cv_error err = { 0 };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char address[128];
	struct stat st;

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/s", dir);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	close(fd); /* the file stays, as after SIGKILL */
	snprintf(address, sizeof(address), "unix:%s", a.sun_path);
	ck_assert_msg(cv_gdb_new(&g, address, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(stat(a.sun_path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(cv_gdb_new(&h, address, &err), CV_E_IO);
	ck_assert_int_eq(access(a.sun_path, F_OK), 0); /* the loser has not removed it */
	cv_gdb_free(g);
	ck_assert_int_eq(access(a.sun_path, F_OK), -1);
}
END_TEST

/* --- A real GDB --- */

static const char *gdb_script;

static void client_gdb(void)
{
	char path[128], target[160];
	FILE *f;
	int out;

	snprintf(path, sizeof(path), "%s/cmd", dir);
	f = fopen(path, "w");
	need(f);
	fprintf(f, "set architecture %s\n%starget extended-remote %s/s\n%s",
		options.arch == CV_GDB_I386 ? "i386" : "i386:x86-64", cv_gdb_init_commands(), dir, gdb_script);
	fclose(f);
	snprintf(target, sizeof(target), "%s/out", dir);
	out = open(target, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	need(out >= 0 && dup2(out, 1) >= 0 && dup2(out, 2) >= 0);
	execlp("gdb", "gdb", "-nx", "-q", "-batch", "-x", path, (char *)NULL);
	_exit(99);
}

/* Runs a script in GDB; what it printed. */
static const char *gdb(const char *script)
{
	static char text[1 << 16];
	char path[128];
	size_t n;
	FILE *f;

	gdb_script = script;
	serve_with(client_gdb);
	snprintf(path, sizeof(path), "%s/out", dir);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	ck_lacks(text, "Remote communication error");
	ck_lacks(text, "packet reply is too long");
	ck_lacks(text, "warning: Architecture rejected");
	return text;
}

START_TEST(gdb_moves_in_both_directions)
{
	const char *r = gdb("p $pc\nstepi\nstepi\np $pc\nreverse-stepi\np $pc\nstepi 100\nwhen\nreverse-stepi 50\nwhen\n"
			    "continue\nwhen\nreverse-continue\nwhen\n");

	ck_has(r, "$1 = (void (*)()) 0x1000");
	ck_has(r, "$2 = (void (*)()) 0x100b");
	ck_has(r, "$3 = (void (*)()) 0x1003");
	ck_has(r, "insns 101 ");
	ck_has(r, "insns 51 ");
	ck_has(r, "No more reverse-execution history");
	ck_has(r, "insns 4000 ");
	ck_has(r, "insns 0 ");
}
END_TEST

START_TEST(gdb_watches_and_breaks_in_both_directions)
{
	const char *r = gdb("hbreak *0x1003 if $rax == 77\ncontinue\nwhen\ndelete\nwatch *(long *)0x2000\n"
			    "continue\ncontinue\nwhen\nreverse-continue\nreverse-continue\nwhen\n"
			    "delete\nbreak *0x100c if *(long *)0x2000 == 5\nreverse-continue\nwhen\np $rax\n");

	ck_has(r, "insns 305 ");
	ck_has(r, "Old value = 76\nNew value = 77");
	ck_has(r, "Old value = 77\nNew value = 78");
	ck_has(r, "insns 310 ");
	ck_has(r, "Old value = 78\nNew value = 77");
	ck_has(r, "Old value = 77\nNew value = 76");
	ck_has(r, "insns 305 ");
	ck_has(r, "insns 19 ");
	ck_has(r, "$1 = 5");
	ck_assert_uint_lt(tl.runs, 15); /* conditions were evaluated here, not in GDB */
}
END_TEST

START_TEST(gdb_sees_registers_and_memory)
{
	const char *r = gdb("p $st0\np $gs_base\np $efer\np $cr0\np $xmm3.v2_int64[0]\np $eflags\np/x $mxcsr\np $cs\n"
			    "x/4xb 0x3010\nfind 0x3000, 0x3100, (char)0x42, (char)0x43\n"
			    "monitor phys 0x103000 4\nset var $r8 = 5\np $r8\nset var *(char *)0x3000 = 9\n"
			    "p *(char *)0x3000\nmonitor end-diversion\np $r8\ninfo threads\n");

	ck_has(r, "$1 = 1\n");
	ck_has(r, "$2 = -131391639519232");
	ck_has(r, "$3 = [ LME LMA ]");
	ck_has(r, "$4 = [ PE PG ]");
	ck_has(r, "$5 = 81985529216486895");
	ck_has(r, "$6 = [ IF IOPL=0 ]");
	ck_has(r, "$7 = 0x1f80");
	ck_has(r, "$8 = 16");
	ck_has(r, "0x3010:\t0x10\t0x11\t0x12\t0x13");
	ck_has(r, "0x3042\n1 pattern found");
	ck_has(r, "000000103000  00 01 02 03");
	ck_has(r, "$9 = 5");
	ck_has(r, "$10 = 9 '\\t'");
	ck_has(r, "$11 = 1234605616436508552");
	ck_has(r, "vCPU 0");
}
END_TEST

START_TEST(gdb_seeks_restarts_and_detaches)
{
	const char *r = gdb("seek 50%\np $rax\nseek event 3\nwhen\nseek +1\np $pc\nmonitor help\nset remote exec-file x\n"
			    "starti\nwhen\nstepi\nwhen\ndetach\n");

	ck_has(r, "$1 = 500");
	ck_has(r, "insns 300 ");
	ck_has(r, "$2 = (void (*)()) 0x1003");
	ck_has(r, "monitor end-diversion");
	ck_has(r, "insns 0 ");
	ck_has(r, "insns 1 ");
	ck_has(r, "(Remote target) detached]");
}
END_TEST

START_TEST(gdb_accepts_the_i386_description)
{
	const char *r;

	options.arch = CV_GDB_I386;
	r = gdb("show architecture\np $eip\nstepi\np $eip\np $eax\np $cr0\np $st0\ninfo registers\n");
	ck_has(r, "set to \"i386\"");
	ck_has(r, "0x1003");
	ck_has(r, "[ PE PG ]");
}
END_TEST

static bool have_gdb(void)
{
	return system("gdb --version >/dev/null 2>&1") == 0;
}

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

static TCase *server_case(void)
{
	TCase *c = tcase_create("server");

	tcase_add_checked_fixture(c, server_setup, server_teardown);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, server_no_ack_mode_and_detach);
	tcase_add_test(c, server_bad_sum_is_refused_and_nack_repeats);
	tcase_add_test(c, server_interrupt_stops_a_run);
	tcase_add_test(c, server_keep_serves_one_client_after_the_other);
	tcase_add_test(c, server_garbage_never_stops_a_live_guest);
	tcase_add_test(c, server_live_guest_goes_on_when_the_client_vanishes);
	tcase_add_test(c, server_live_guest_goes_on_when_the_client_vanishes_in_a_run);
	tcase_add_test(c, server_second_client_is_turned_away);
	tcase_add_test(c, server_thousand_steps_take_less_than_a_second);
	tcase_add_test(c, server_addresses_good_and_bad);
	tcase_add_test(c, server_stale_socket_is_replaced_busy_one_is_not);
	if (have_gdb()) {
		tcase_add_test(c, gdb_moves_in_both_directions);
		tcase_add_test(c, gdb_watches_and_breaks_in_both_directions);
		tcase_add_test(c, gdb_sees_registers_and_memory);
		tcase_add_test(c, gdb_seeks_restarts_and_detaches);
		tcase_add_test(c, gdb_accepts_the_i386_description);
	} else {
		puts("no gdb here: the tests with a real GDB are left out");
	}
	return c;
}

int main(void)
{
	Suite *s = suite_create("gdbserver");
	SRunner *r;
	int failed;

	suite_add_tcase(s, session_case());
	suite_add_tcase(s, server_case());
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
