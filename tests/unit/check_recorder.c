/* SPDX-License-Identifier: MIT */
/* Recording and replaying a small machine: same run, same digests; what differs, and where a log breaks off. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_machine.h"
#include "replay/replay.h"

struct session {
	char dir[64], path[96];
	struct fake_image image;
	struct cv_log *log;
	struct cv_live *live;
	struct cv_recorder *rec;
	struct cv_machine *m;
	struct cv_error err;
	int in[2];
};

static void must(struct session *s, int rc)
{
	ck_assert_msg(!rc, "%s", s->err.msg);
}

static void begin_with(struct session *s, enum cv_clock_mode clock, uint64_t end, enum cv_end kind, uint64_t panic,
		       uint64_t slice, const char *typed)
{
	struct cv_live_config lc = {
		.out_fd = -1, .virtual_clock = clock == CV_CLOCK_VIRTUAL, .seed = 5, .slice = slice, .wake_fd = -1};
	struct cv_recorder_config rc = {.checkpoint_insns = 4096};
	struct cv_machine_config mc;

	memset(s, 0, sizeof(*s));
	strcpy(s->dir, "/tmp/check_recorder.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(s->dir));
	snprintf(s->path, sizeof(s->path), "%s/run.cvr", s->dir);
	fake_image_init(&s->image, 42, end, kind, panic);
	ck_assert_int_eq(pipe(s->in), 0);
	ck_assert_int_eq(write(s->in[1], typed, strlen(typed)), (ssize_t)strlen(typed));
	close(s->in[1]);
	lc.in_fd = s->in[0];
	must(s, cv_log_create(&s->log, s->path, false, &s->err));
	must(s, cv_live_new(&s->live, &lc, &s->err));
	must(s, cv_recorder_new(&s->rec, s->log, cv_live_env(s->live), &rc, &s->err));
	mc = fake_config(&s->image, clock);
	must(s, cv_machine_new_with_engine(&s->m, &mc, &fake_board, fake_engine_new, cv_recorder_env(s->rec), &s->err));
	must(s, cv_recorder_begin(s->rec, s->m, &s->err));
}

static void begin(struct session *s, enum cv_clock_mode clock, uint64_t end, enum cv_end kind, uint64_t panic)
{
	begin_with(s, clock, end, kind, panic, 500, "typed before");
}

/* Until the guest ends, or has come to insns. */
static void run_to(struct session *s, uint64_t insns)
{
	struct cv_pos pos;
	struct cv_run run;

	do {
		struct cv_stop stop = {.insns = cv_recorder_next_checkpoint(s->rec)};

		if (insns < stop.insns)
			stop.insns = insns;
		must(s, cv_machine_run(s->m, &stop, true, &run, &s->err));
		ck_assert_int_ne(run.why, CV_RUN_ENV);
		must(s, cv_recorder_tick(s->rec, s->m, &s->err));
		cv_machine_position(s->m, &pos);
	} while (run.why != CV_RUN_END && pos.insns < insns);
}

static void finish(struct session *s)
{
	must(s, cv_recorder_end(s->rec, s->m, &s->err));
	must(s, cv_log_close(s->log, &s->err));
	s->log = NULL;
}

static void clean_up(struct session *s)
{
	char wal[110];

	cv_machine_free(s->m);
	cv_recorder_free(s->rec);
	cv_live_free(s->live);
	close(s->in[0]);
	unlink(s->path);
	snprintf(wal, sizeof(wal), "%s-wal", s->path);
	unlink(wal);
	snprintf(wal, sizeof(wal), "%s-shm", s->path);
	unlink(wal);
	rmdir(s->dir);
}

struct replay {
	struct cv_log *log;
	struct cv_replayer *rep;
	struct cv_machine *m;
	struct cv_run run;
	uint64_t out_bytes;
};

static void count_output(void *ctx, const uint8_t *p, size_t n)
{
	struct replay *r = ctx;

	(void)p;
	r->out_bytes += n;
}

static void open_replay(struct session *s, struct replay *r)
{
	memset(r, 0, sizeof(*r));
	must(s, cv_log_open(&r->log, s->path, &s->err));
	must(s, cv_replayer_new(&r->rep, r->log, &s->err));
	cv_replayer_set_output(r->rep, count_output, r);
	must(s, cv_machine_new_with_engine(&r->m, cv_replayer_config(r->rep), &fake_board, fake_engine_new,
					   cv_replayer_env(r->rep), &s->err));
}

/* Runs with all checks until the end or a divergence. Returns the code of the checks. */
static int replay_to(struct session *s, struct replay *r, uint64_t insns)
{
	struct cv_error own = {0};
	struct cv_pos pos;
	int rc;

	for (;;) {
		struct cv_stop stop = {.insns = insns};
		uint64_t check;

		cv_machine_position(r->m, &pos);
		check = cv_replayer_next_check(r->rep, &pos);
		if (check == pos.insns && !pos.sub) {
			rc = cv_replayer_check(r->rep, r->m, &own);
			if (rc)
				return rc;
			check = cv_replayer_next_check(r->rep, &pos);
		}
		if (check < stop.insns)
			stop.insns = check;
		must(s, cv_machine_run(r->m, &stop, false, &r->run, &s->err));
		if (r->run.why == CV_RUN_END || r->run.why == CV_RUN_ENV)
			return cv_replayer_check_end(r->rep, r->m, &own);
		cv_machine_position(r->m, &pos);
		if (pos.insns >= insns)
			return 0;
	}
}

static void close_replay(struct replay *r)
{
	cv_machine_free(r->m);
	cv_replayer_free(r->rep);
	cv_log_close(r->log, NULL);
}

static const enum cv_clock_mode clocks[] = {CV_CLOCK_HOST, CV_CLOCK_VIRTUAL};
static const enum cv_end ends[] = {CV_END_POWEROFF, CV_END_TRIPLE_FAULT, CV_END_DEBUG_EXIT, CV_END_PANIC_DEVICE};

START_TEST(replay_of_a_run_is_the_run)
{
	struct session s;
	struct replay r;
	struct cv_digest a, b;

	begin(&s, clocks[_i % 2], 50000, ends[_i / 2], UINT64_MAX);
	run_to(&s, UINT64_MAX);
	finish(&s);
	open_replay(&s, &r);
	ck_assert_msg(!replay_to(&s, &r, UINT64_MAX), "%s", cv_replayer_divergence(r.rep)->text);
	ck_assert_int_eq(r.run.why, CV_RUN_END);
	ck_assert_int_eq(r.m->end.kind, ends[_i / 2]);
	ck_assert_uint_eq(r.m->out_count, s.m->out_count);
	ck_assert_uint_eq(r.m->out_hash, s.m->out_hash);
	ck_assert_uint_eq(r.out_bytes, s.m->out_count);
	must(&s, cv_machine_digest(s.m, &a, &s.err));
	must(&s, cv_machine_digest(r.m, &b, &s.err));
	ck_assert_mem_eq(a.b, b.b, sizeof(a.b));
	ck_assert_uint_eq(cv_replayer_end_insns(r.rep), cv_replayer_end(r.rep)->pos.insns);
	close_replay(&r);
	clean_up(&s);
}
END_TEST

START_TEST(replay_stopped_by_a_command_stops_there)
{
	struct session s;
	struct replay r;
	struct cv_pos a, b;

	begin(&s, clocks[_i], UINT64_MAX, CV_END_POWEROFF, UINT64_MAX);
	run_to(&s, 20001);
	cv_live_command(s.live, CV_CMD_STOP);
	run_to(&s, UINT64_MAX);
	ck_assert_int_eq(s.m->end.kind, CV_END_STOPPED);
	finish(&s);
	open_replay(&s, &r);
	ck_assert_msg(!replay_to(&s, &r, UINT64_MAX), "%s", cv_replayer_divergence(r.rep)->text);
	ck_assert_int_eq(r.m->end.kind, CV_END_STOPPED);
	cv_machine_position(s.m, &a);
	cv_machine_position(r.m, &b);
	ck_assert_int_eq(cv_pos_cmp(&a, &b), 0);
	close_replay(&r);
	clean_up(&s);
}
END_TEST

static int find_crash(void *ctx, const struct cv_pos *pos, const char *name, const char *text)
{
	struct cv_pos *crash = ctx;

	(void)text;
	if (!strcmp(name, "crash"))
		*crash = *pos;
	return 0;
}

START_TEST(recording_of_a_panic_marks_the_crash)
{
	struct session s;
	struct replay r;
	struct cv_pos crash = {0};

	begin(&s, CV_CLOCK_HOST, 30000, CV_END_POWEROFF, 20000);
	run_to(&s, UINT64_MAX);
	ck_assert(s.m->end.crashed);
	finish(&s);
	open_replay(&s, &r);
	must(&s, cv_log_marks(r.log, find_crash, &crash, &s.err));
	ck_assert_uint_eq(crash.insns, 20000);
	ck_assert(cv_replayer_end(r.rep)->crashed);
	ck_assert_int_eq(cv_replayer_end(r.rep)->crash_kind, CV_END_CONSOLE_PANIC);
	ck_assert_int_eq(cv_replayer_end(r.rep)->kind, CV_END_POWEROFF);
	ck_assert_int_eq(replay_to(&s, &r, UINT64_MAX), 0);
	close_replay(&r);
	clean_up(&s);
}
END_TEST

/* A copy of the file as it is now: what a killed recorder leaves. */
static void copy_file(const char *from, const char *to)
{
	char cmd[300];

	snprintf(cmd, sizeof(cmd), "cp '%s' '%s'", from, to);
	ck_assert_int_eq(system(cmd), 0);
}

START_TEST(replay_of_a_cut_recording_stops_at_its_last_commit)
{
	struct session s, cut;
	struct replay r;
	struct cv_pos pos;
	char from[110], to[110];

	begin(&s, CV_CLOCK_HOST, UINT64_MAX, CV_END_POWEROFF, UINT64_MAX);
	run_to(&s, 30000);
	must(&s, cv_log_commit(s.log, &s.err));
	run_to(&s, 40000);
	memset(&cut, 0, sizeof(cut));
	snprintf(cut.path, sizeof(cut.path), "%s/cut.cvr", s.dir);
	copy_file(s.path, cut.path);
	snprintf(from, sizeof(from), "%s-wal", s.path);
	snprintf(to, sizeof(to), "%s-wal", cut.path);
	copy_file(from, to);
	open_replay(&cut, &r);
	ck_assert(!cv_replayer_complete(r.rep));
	ck_assert_int_eq(replay_to(&cut, &r, UINT64_MAX), 0);
	ck_assert_int_eq(r.run.why, CV_RUN_ENV);
	ck_assert(cv_replayer_at_end(r.rep));
	ck_assert(!cv_replayer_divergence(r.rep)->happened);
	cv_machine_position(r.m, &pos);
	ck_assert_uint_eq(pos.insns, cv_replayer_end_insns(r.rep));
	ck_assert_uint_ge(pos.insns, 29000);
	close_replay(&r);
	unlink(cut.path);
	unlink(to);
	finish(&s);
	clean_up(&s);
}
END_TEST

START_TEST(replay_of_a_changed_machine_diverges)
{
	struct session s;
	struct replay r;
	int rc;

	begin(&s, clocks[_i], 50000, CV_END_POWEROFF, UINT64_MAX);
	run_to(&s, UINT64_MAX);
	finish(&s);
	open_replay(&s, &r);
	ck_assert_int_eq(replay_to(&s, &r, 20000), 0);
	r.m->mem.ram[FAKE_DATA + FAKE_DATA_PAGES * CV_PAGE_SIZE] ^= 1;
	cv_memory_mark_dirty(&r.m->mem, (FAKE_DATA >> CV_PAGE_SHIFT) + FAKE_DATA_PAGES);
	rc = replay_to(&s, &r, UINT64_MAX);
	ck_assert_int_eq(rc, CV_E_DIVERGED);
	ck_assert(cv_replayer_divergence(r.rep)->happened);
	ck_assert_uint_ge(cv_replayer_divergence(r.rep)->pos.insns, 20000);
	ck_assert_int_gt((int)strlen(cv_replayer_divergence(r.rep)->text), 20);
	close_replay(&r);
	clean_up(&s);
}
END_TEST

START_TEST(replay_of_a_changed_register_diverges_at_an_event)
{
	struct session s;
	struct replay r;
	struct cv_vcpu_state st;

	begin(&s, CV_CLOCK_HOST, 50000, CV_END_POWEROFF, UINT64_MAX);
	run_to(&s, UINT64_MAX);
	finish(&s);
	open_replay(&s, &r);
	ck_assert_int_eq(replay_to(&s, &r, 20000), 0);
	r.m->engine->ops->get_state(r.m->engine, &st);
	st.gpr[CV_RAX] ^= 4;
	r.m->engine->ops->set_state(r.m->engine, &st);
	ck_assert_int_eq(replay_to(&s, &r, UINT64_MAX), CV_E_DIVERGED);
	ck_assert_int_eq(r.run.why, CV_RUN_ENV);
	ck_assert_uint_lt(cv_replayer_divergence(r.rep)->pos.insns, 21000);
	close_replay(&r);
	clean_up(&s);
}
END_TEST

/* Without input even the length of the slices doesn't matter. */
START_TEST(virtual_clock_two_runs_give_equal_events)
{
	struct session a, b;
	struct replay x, y;
	struct cv_log_cursor *ca, *cb;
	const struct cv_event *ea, *eb;
	uint64_t n = 0;
	int ra, rb;

	begin_with(&a, CV_CLOCK_VIRTUAL, 50000, CV_END_POWEROFF, UINT64_MAX, 500, _i ? "" : "typed");
	run_to(&a, UINT64_MAX);
	finish(&a);
	begin_with(&b, CV_CLOCK_VIRTUAL, 50000, CV_END_POWEROFF, UINT64_MAX, _i ? 7 : 500, _i ? "" : "typed");
	run_to(&b, UINT64_MAX);
	finish(&b);
	open_replay(&a, &x);
	open_replay(&b, &y);
	must(&a, cv_log_cursor_new(&ca, x.log, &a.err));
	must(&b, cv_log_cursor_new(&cb, y.log, &b.err));
	for (;;) {
		ra = cv_log_cursor_next(ca, &ea, NULL);
		rb = cv_log_cursor_next(cb, &eb, NULL);
		ck_assert_int_eq(ra, rb);
		if (ra)
			break;
		ck_assert_int_eq(ea->kind, eb->kind);
		ck_assert_int_eq(cv_pos_cmp(&ea->pos, &eb->pos), 0);
		ck_assert_uint_eq(ea->value, eb->value);
		ck_assert_uint_eq(ea->len, eb->len);
		ck_assert_mem_eq(ea->data, eb->data, ea->len);
		n++;
	}
	ck_assert_uint_gt(n, 100);
	cv_log_cursor_free(ca);
	cv_log_cursor_free(cb);
	close_replay(&x);
	close_replay(&y);
	clean_up(&a);
	clean_up(&b);
}
END_TEST

START_TEST(configuration_read_back_is_the_one_written)
{
	struct session s;
	struct replay r;
	const struct cv_machine_config *c;

	begin(&s, CV_CLOCK_VIRTUAL, 1000, CV_END_POWEROFF, UINT64_MAX);
	run_to(&s, UINT64_MAX);
	finish(&s);
	open_replay(&s, &r);
	c = cv_replayer_config(r.rep);
	ck_assert_uint_eq(c->ram_size, CV_RAM_MIN);
	ck_assert_int_eq(c->clock, CV_CLOCK_VIRTUAL);
	ck_assert_uint_eq(c->epoch, 1700000000);
	ck_assert(!c->reboot);
	ck_assert_str_eq(c->cpu, "chronovisor-v2");
	ck_assert_str_eq(c->images.cmdline, "one two");
	ck_assert_uint_eq(c->images.kernel.size, sizeof(s.image));
	ck_assert_mem_eq(c->images.kernel.data, &s.image, sizeof(s.image));
	ck_assert_uint_eq(c->images.initrd.size, 0);
	close_replay(&r);
	clean_up(&s);
}
END_TEST

START_TEST(recording_not_begun_is_refused)
{
	char dir[] = "/tmp/check_recorder.XXXXXX", path[96];
	struct cv_log *log;
	struct cv_replayer *rep;
	struct cv_error err = {0};

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/empty.cvr", dir);
	ck_assert_int_eq(cv_log_create(&log, path, false, &err), 0);
	ck_assert_int_eq(cv_log_close(log, &err), 0);
	ck_assert_int_eq(cv_log_open(&log, path, &err), 0);
	ck_assert_int_eq(cv_replayer_new(&rep, log, &err), CV_E_CORRUPT);
	ck_assert_ptr_null(rep);
	ck_assert_ptr_nonnull(strstr(err.msg, "never begun"));
	cv_log_close(log, NULL);
	unlink(path);
	rmdir(dir);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("recorder");
	TCase *tc = tcase_create("recorder");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, replay_of_a_run_is_the_run, 0, 8);
	tcase_add_loop_test(tc, replay_stopped_by_a_command_stops_there, 0, 2);
	tcase_add_test(tc, recording_of_a_panic_marks_the_crash);
	tcase_add_test(tc, replay_of_a_cut_recording_stops_at_its_last_commit);
	tcase_add_loop_test(tc, replay_of_a_changed_machine_diverges, 0, 2);
	tcase_add_test(tc, replay_of_a_changed_register_diverges_at_an_event);
	tcase_add_loop_test(tc, virtual_clock_two_runs_give_equal_events, 0, 2);
	tcase_add_test(tc, configuration_read_back_is_the_one_written);
	tcase_add_test(tc, recording_not_begun_is_refused);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
