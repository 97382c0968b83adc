/* SPDX-License-Identifier: MIT */
/*
 * The server over a fake timeline, on real sockets: clients that behave and clients that do not, and a real GDB where
 * one is installed.
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
#include "gdbstub/packet.h"
#include "tests/unit/fake_timeline.h"

static struct cv_timeline tl;
static struct cv_gdb_options options;

#define ck_has(text, part) ck_assert_msg(strstr(text, part) != NULL, "\"%s\" is not in: %s", part, text)
#define ck_lacks(text, part) ck_assert_msg(strstr(text, part) == NULL, "\"%s\" is in: %s", part, text)

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

static void client_interrupts_early(void)
{
	int fd = client_connect();

	send_body(fd, "?");
	need(wait_for(fd, "$T05"));
	put(fd, "\003");
	send_body(fd, "qC");
	need(wait_for(fd, "$QC"));
	send_body(fd, "c");
	need(wait_for(fd, "$T02thread:1;"));
	send_body(fd, "k");
	need(!wait_for(fd, "never"));
}

START_TEST(server_interrupt_while_stopped_stops_the_next_run)
{
	tl.end = 1ull << 40;
	tl.delay_us = 100;
	ck_assert_int_eq(serve_with(client_interrupts_early), CV_GDB_KILLED);
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

START_TEST(gdb_sees_ymm_registers_where_there_is_avx)
{
	const char *r = gdb("p $ymm3\n");

	ck_has(r, "$1 = void"); /* a CPU without AVX has none */
	options.avx = true;
	r = gdb("p/x $ymm3.v4_int64\np/x $xmm3.uint128\nset var $ymm3.v4_int64[3] = 7\np $ymm3.v4_int64[3]\n"
		"p/x $xmm3.v2_int64[0]\nset var $ymm15.v4_int64[2] = 5\np $ymm15.v4_int64\nset var $xmm15.v2_int64[1] = 9\n"
		"p $ymm15.v4_int64\np $rip\ninfo registers mxcsr\n");
	ck_has(r, "$1 = {0x123456789abcdef, 0x0, 0x33, 0x44}");
	ck_has(r, "$2 = 0x123456789abcdef");
	ck_has(r, "$3 = 7");
	ck_has(r, "$4 = 0x123456789abcdef");
	ck_has(r, "$5 = {0, 0, 5, 0}");
	ck_has(r, "$6 = {0, 9, 5, 0}");
	ck_has(r, "$7 = (void (*)()) 0x1000");
	ck_has(r, "[ IM DM ZM OM UM PM RC=0 ]");
	options.arch = CV_GDB_I386;
	r = gdb("p/x $ymm3.v4_int64\np $ymm8\n");
	ck_has(r, "$1 = {0x123456789abcdef, 0x0, 0x33, 0x44}");
	ck_has(r, "$2 = void");
}
END_TEST

static bool have_gdb(void)
{
	return system("gdb --version >/dev/null 2>&1") == 0;
}

static TCase *server_case(void)
{
	TCase *c = tcase_create("server");

	tcase_add_checked_fixture(c, server_setup, server_teardown);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, server_no_ack_mode_and_detach);
	tcase_add_test(c, server_bad_sum_is_refused_and_nack_repeats);
	tcase_add_test(c, server_interrupt_stops_a_run);
	tcase_add_test(c, server_interrupt_while_stopped_stops_the_next_run);
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
		tcase_add_test(c, gdb_sees_ymm_registers_where_there_is_avx);
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

	suite_add_tcase(s, server_case());
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
