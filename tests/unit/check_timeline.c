/* SPDX-License-Identifier: MIT */
/*
 * Moving in time: wherever a timeline goes and however it gets there, the machine is the one that was there when the
 * run went forward, and every stop is the one that a list of all boundaries says.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_machine.h"
#include "replay/internal.h"
#include "replay/timeline.h"

#define RUN_INSNS 40000u
#define STATE_INSNS 5000u
#define REF_MAX 2600u
#define WATCHED (FAKE_DATA + 0x808)
#define WATCHED_LEN 128

struct boundary {
	struct cv_pos pos;
	struct cv_digest digest;
	bool delivers; /* the next unit is a delivery: a breakpoint here is not reached */
	bool touched;  /* the next unit writes the watched bytes */
};

struct fixture {
	char dir[64], path[96];
	struct fake_image image;
	struct cv_log *log;
	struct cv_live *live;
	struct cv_recorder *rec;
	struct cv_machine *m;
	struct cv_timeline *t;
	struct cv_timeline_config cfg;
	struct cv_error err;
	struct boundary *ref;
	size_t nref;
	unsigned polls, polls_max;
	uint64_t rng;
};

static void must(struct fixture *f, int rc)
{
	ck_assert_msg(!rc, "%s", f->err.msg);
}

static uint64_t rnd(struct fixture *f, uint64_t n)
{
	return fake_hash(f->rng += 0x9e3779b97f4a7c15ull) % n;
}

static bool poll_user(void *ctx)
{
	struct fixture *f = ctx;

	return f->polls_max && ++f->polls >= f->polls_max;
}

static void begin_recording(struct fixture *f, enum cv_clock_mode clock, enum cv_end kind, uint64_t panic)
{
	struct cv_live_config lc = {.in_fd = -1,
				    .out_fd = -1,
				    .virtual_clock = clock == CV_CLOCK_VIRTUAL,
				    .seed = 5,
				    .slice = 300,
				    .wake_fd = -1};
	struct cv_recorder_config rc = {.checkpoint_insns = 1000, .state_insns = STATE_INSNS};
	struct cv_machine_config mc;

	memset(f, 0, sizeof(*f));
	strcpy(f->dir, "/tmp/check_timeline.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/run.cvr", f->dir);
	fake_image_init(&f->image, 11, RUN_INSNS, kind, panic);
	must(f, cv_log_create(&f->log, f->path, false, &f->err));
	must(f, cv_live_new(&f->live, &lc, &f->err));
	must(f, cv_recorder_new(&f->rec, f->log, cv_live_env(f->live), &rc, &f->err));
	mc = fake_config(&f->image, clock);
	must(f, cv_machine_new_with_engine(&f->m, &mc, &fake_board, fake_engine_new, cv_recorder_env(f->rec), &f->err));
	must(f, cv_recorder_begin(f->rec, f->m, &f->err));
	f->cfg = (struct cv_timeline_config){.poll = poll_user,
					     .ctx = f,
					     .board = &fake_board,
					     .grid = 512,
					     .engine = fake_engine_new};
}

static void end_recording(struct fixture *f)
{
	must(f, cv_recorder_end(f->rec, f->m, &f->err));
	must(f, cv_log_close(f->log, &f->err));
	cv_machine_free(f->m);
	cv_recorder_free(f->rec);
	cv_live_free(f->live);
	f->log = NULL;
	f->m = NULL;
}

static void setup(struct fixture *f, enum cv_clock_mode clock, enum cv_end kind, uint64_t panic)
{
	struct cv_run run;

	begin_recording(f, clock, kind, panic);
	do {
		struct cv_stop stop = {.insns = cv_recorder_next_checkpoint(f->rec)};

		must(f, cv_machine_run(f->m, &stop, true, &run, &f->err));
		must(f, cv_recorder_tick(f->rec, f->m, &f->err));
	} while (run.why != CV_RUN_END);
	end_recording(f);
	must(f, cv_log_open(&f->log, f->path, &f->err));
	must(f, cv_timeline_open(&f->t, f->log, &f->cfg, &f->err));
}

static void teardown(struct fixture *f)
{
	char name[110];

	cv_timeline_free(f->t);
	cv_log_close(f->log, NULL);
	unlink(f->path);
	snprintf(name, sizeof(name), "%s-wal", f->path);
	unlink(name);
	snprintf(name, sizeof(name), "%s-shm", f->path);
	unlink(name);
	rmdir(f->dir);
	free(f->ref);
}

static void digest_here(struct fixture *f, struct cv_digest *d)
{
	struct cv_machine *m = cv_timeline_machine(f->t);

	must(f, cv_machine_digest(m, d, &f->err));
}

/* All boundaries from insns on, seen going forward. */
static void make_reference(struct fixture *f, uint64_t insns)
{
	struct cv_tl_stop stop;

	f->ref = calloc(REF_MAX, sizeof(*f->ref));
	must(f, cv_timeline_add_point(f->t, CV_POINT_WRITE, WATCHED, WATCHED_LEN, NULL, NULL, NULL, &f->err));
	must(f, cv_timeline_seek(f->t, insns, &stop, &f->err));
	ck_assert_uint_eq(stop.pos.insns, insns);
	for (f->nref = 0; f->nref < REF_MAX; f->nref++) {
		struct boundary *b = &f->ref[f->nref];

		b->pos = *cv_timeline_pos(f->t);
		digest_here(f, &b->digest);
		must(f, cv_timeline_step(f->t, CV_FORWARD, &stop, &f->err));
		while (stop.why == CV_TL_WATCH && (b->touched = true) && stop.pos.in_rep)
			must(f, cv_timeline_step(f->t, CV_FORWARD, &stop, &f->err));
		if (stop.why != CV_TL_POSITION && stop.why != CV_TL_WATCH)
			break;
		b->delivers = stop.pos.sub && stop.pos.rip == FAKE_CODE;
		ck_assert_int_gt(cv_pos_cmp(&stop.pos, &b->pos), 0);
	}
	cv_timeline_remove_all_points(f->t);
}

static void check_at(struct fixture *f, size_t i, const char *how)
{
	const struct boundary *b = &f->ref[i];
	const struct cv_pos *pos = cv_timeline_pos(f->t);
	struct cv_digest d;

	ck_assert_msg(cv_pos_same(pos, &b->pos), "%s: at %llu+%u, expected %llu+%u", how,
		      (unsigned long long)pos->insns, pos->sub, (unsigned long long)b->pos.insns, b->pos.sub);
	digest_here(f, &d);
	ck_assert_msg(!memcmp(d.b, b->digest.b, sizeof(d.b)), "%s: another state at %llu+%u", how,
		      (unsigned long long)pos->insns, pos->sub);
}

/* Goes to boundary i of the reference. */
static void go(struct fixture *f, size_t i)
{
	struct cv_tl_stop stop;

	must(f, cv_timeline_seek(f->t, f->ref[i].pos.insns, &stop, &f->err));
	while (cv_pos_cmp(cv_timeline_pos(f->t), &f->ref[i].pos) < 0)
		must(f, cv_timeline_step(f->t, CV_FORWARD, &stop, &f->err));
	check_at(f, i, "seek");
}

static void run_to_end(struct fixture *f)
{
	struct cv_tl_stop stop;

	must(f, cv_timeline_run(f->t, CV_FORWARD, &stop, &f->err));
	ck_assert_msg(stop.why == CV_TL_END, "why %d: %s", stop.why, cv_timeline_divergence(f->t)->text);
	must(f, cv_timeline_run(f->t, CV_FORWARD, &stop, &f->err));
	ck_assert_int_eq(stop.why, CV_TL_END);
}

START_TEST(steps_backwards_are_the_steps_forward)
{
	struct fixture f;
	struct cv_tl_stop stop;
	size_t i;

	setup(&f, _i ? CV_CLOCK_VIRTUAL : CV_CLOCK_HOST, CV_END_POWEROFF, UINT64_MAX);
	make_reference(&f, 20000);
	i = f.nref - 1;
	go(&f, i);
	for (; i > f.nref - 400; i--) {
		must(&f, cv_timeline_step(f.t, CV_BACKWARD, &stop, &f.err));
		ck_assert_int_eq(stop.why, CV_TL_POSITION);
		check_at(&f, i - 1, "step back");
	}
	run_to_end(&f);
	teardown(&f);
}
END_TEST

START_TEST(random_moves_find_the_same_states)
{
	struct fixture f;
	struct cv_tl_stop stop;
	size_t i = 0;

	setup(&f, _i ? CV_CLOCK_VIRTUAL : CV_CLOCK_HOST, CV_END_POWEROFF, UINT64_MAX);
	make_reference(&f, 9000);
	go(&f, 0);
	for (unsigned n = 0; n < 500; n++) {
		switch (rnd(&f, 6)) {
		case 0:
			i = rnd(&f, f.nref);
			go(&f, i);
			break;
		case 1:
		case 2:
			if (i + 1 == f.nref)
				break;
			must(&f, cv_timeline_step(f.t, CV_FORWARD, &stop, &f.err));
			check_at(&f, ++i, "step");
			break;
		case 3:
		case 4:
			if (!i)
				break;
			must(&f, cv_timeline_step(f.t, CV_BACKWARD, &stop, &f.err));
			check_at(&f, --i, "step back");
			break;
		case 5:
			if (rnd(&f, 10))
				break;
			run_to_end(&f);
			go(&f, i);
			break;
		}
	}
	run_to_end(&f);
	teardown(&f);
}
END_TEST

static bool is_break(const struct boundary *b, uint64_t rip)
{
	return b->pos.rip == rip && !b->delivers;
}

static bool odd_insns(void *ctx, struct cv_timeline *t)
{
	unsigned *asked = ctx;

	++*asked;
	return cv_timeline_pos(t)->insns & 1;
}

START_TEST(breakpoint_runs_stop_where_the_list_says)
{
	struct fixture f;
	struct cv_tl_stop stop;
	unsigned asked = 0;

	setup(&f, _i & 1 ? CV_CLOCK_VIRTUAL : CV_CLOCK_HOST, CV_END_POWEROFF, UINT64_MAX);
	make_reference(&f, 20000);
	for (unsigned n = 0; n < 40; n++) {
		uint64_t rip = FAKE_CODE + 4 * (1 + rnd(&f, FAKE_RIPS - 1));
		size_t from = rnd(&f, f.nref), j;
		bool cond = _i & 2;
		unsigned id;

		must(&f, cv_timeline_add_point(f.t, n & 1 ? CV_POINT_HW : CV_POINT_SW, rip, 1, cond ? odd_insns : NULL,
					       &asked, &id, &f.err));
		go(&f, from);
		for (j = from; j-- > 0;)
			if (is_break(&f.ref[j], rip) && (!cond || f.ref[j].pos.insns & 1))
				break;
		if (j < from) {
			must(&f, cv_timeline_run(f.t, CV_BACKWARD, &stop, &f.err));
			ck_assert_int_eq(stop.why, CV_TL_BREAK);
			ck_assert_uint_eq(stop.point, id);
			check_at(&f, j, "run back");
			go(&f, from);
		}
		for (j = from + 1; j < f.nref - 1; j++)
			if (is_break(&f.ref[j], rip) && (!cond || f.ref[j].pos.insns & 1))
				break;
		if (j < f.nref - 1) {
			must(&f, cv_timeline_run(f.t, CV_FORWARD, &stop, &f.err));
			ck_assert_int_eq(stop.why, CV_TL_BREAK);
			check_at(&f, j, "run");
		}
		cv_timeline_remove_all_points(f.t);
	}
	ck_assert(!(_i & 2) || asked > 10);
	teardown(&f);
}
END_TEST

START_TEST(watchpoint_runs_stop_around_the_access)
{
	struct fixture f;
	struct cv_tl_stop stop;
	unsigned hits = 0;

	setup(&f, _i ? CV_CLOCK_VIRTUAL : CV_CLOCK_HOST, CV_END_POWEROFF, UINT64_MAX);
	make_reference(&f, 20000);
	must(&f, cv_timeline_add_point(f.t, CV_POINT_WRITE, WATCHED, WATCHED_LEN, NULL, NULL, NULL, &f.err));
	for (unsigned n = 0; n < 60; n++) {
		size_t from = rnd(&f, f.nref), j;

		go(&f, from);
		for (j = from; j-- > 0;)
			if (f.ref[j].touched)
				break;
		if (j < from) {
			must(&f, cv_timeline_run(f.t, CV_BACKWARD, &stop, &f.err));
			ck_assert_int_eq(stop.why, CV_TL_WATCH);
			ck_assert_int_eq(stop.access, CV_WATCH_WRITE);
			ck_assert_uint_ge(stop.addr, WATCHED);
			ck_assert_uint_lt(stop.addr, WATCHED + WATCHED_LEN);
			check_at(&f, j, "run back to a watchpoint");
			hits++;
			go(&f, from);
		}
		for (j = from; j < f.nref - 1; j++)
			if (f.ref[j].touched)
				break;
		if (j < f.nref - 1) {
			must(&f, cv_timeline_run(f.t, CV_FORWARD, &stop, &f.err));
			ck_assert_int_eq(stop.why, CV_TL_WATCH);
			ck_assert_int_gt(cv_pos_cmp(&stop.pos, &f.ref[j].pos), 0);
			ck_assert_int_le(cv_pos_cmp(&stop.pos, &f.ref[j + 1].pos), 0);
			if (stop.pos.in_rep) {
				must(&f, cv_timeline_step(f.t, CV_BACKWARD, &stop, &f.err));
				check_at(&f, j, "step back from within a REP");
			}
		}
	}
	ck_assert_uint_gt(hits, 5);
	teardown(&f);
}
END_TEST

/* The same CPU, which cannot tell which pages were written. */
static struct cv_engine *untelling_engine_new(const struct cv_engine_host *host, struct cv_error *err)
{
	static const struct cv_engine_ops ops = {
		.name = "fake",
		.free = fake_free,
		.run = fake_run,
		.get_state = fake_get_state,
		.set_state = fake_set_state,
		.position = fake_position,
		.kick = fake_kick,
		.flush_tlb = fake_flush,
		.ram_written = fake_ram_written,
		.set_points = fake_set_points,
		.translate = fake_translate,
	};
	struct cv_engine *e = fake_engine_new(host, err);

	if (e)
		e->ops = &ops;
	return e;
}

START_TEST(searches_for_writes_do_not_depend_on_the_index)
{
	struct cv_timeline *t[2];
	struct cv_tl_stop stop[2];
	struct fixture f;
	unsigned hits = 0, none = 0;

	setup(&f, _i ? CV_CLOCK_VIRTUAL : CV_CLOCK_HOST, CV_END_POWEROFF, UINT64_MAX);
	t[0] = f.t;
	f.cfg.engine = untelling_engine_new;
	must(&f, cv_timeline_open(&t[1], f.log, &f.cfg, &f.err));
	for (unsigned n = 0; n < 120; n++) {
		uint64_t from = RUN_INSNS / 2 + rnd(&f, RUN_INSNS / 2), addr = FAKE_DATA + rnd(&f, 1 << 20);

		if (n % 3)
			addr = FAKE_DATA + rnd(&f, 16) * CV_PAGE_SIZE + rnd(&f, CV_PAGE_SIZE);
		for (unsigned i = 0; i < 2; i++) {
			must(&f, cv_timeline_add_point(t[i], CV_POINT_WRITE, addr, 1 + n % 9, NULL, NULL, NULL, &f.err));
			must(&f, cv_timeline_seek(t[i], n % 10 ? from : UINT64_MAX, &stop[i], &f.err));
		}
		do {
			for (unsigned i = 0; i < 2; i++)
				must(&f, cv_timeline_run(t[i], CV_BACKWARD, &stop[i], &f.err));
			ck_assert_int_eq(stop[0].why, stop[1].why);
			ck_assert(cv_pos_same(&stop[0].pos, &stop[1].pos));
			ck_assert_uint_eq(stop[0].addr, stop[1].addr);
			hits += stop[0].why == CV_TL_WATCH;
		} while (stop[0].why == CV_TL_WATCH && rnd(&f, 3));
		none += stop[0].why == CV_TL_BEGIN;
		for (unsigned i = 0; i < 2; i++)
			cv_timeline_remove_all_points(t[i]);
	}
	ck_assert_uint_gt(hits, 20);
	ck_assert_uint_gt(none, 10);
	cv_timeline_free(t[1]);
	teardown(&f);
}
END_TEST

START_TEST(step_back_over_an_access_tells_the_watchpoint)
{
	struct fixture f;
	struct cv_tl_stop stop;
	size_t j;

	setup(&f, CV_CLOCK_HOST, CV_END_POWEROFF, UINT64_MAX);
	make_reference(&f, 20000);
	must(&f, cv_timeline_add_point(f.t, CV_POINT_WRITE, WATCHED, WATCHED_LEN, NULL, NULL, NULL, &f.err));
	for (j = 0; !f.ref[j].touched; j++)
		ck_assert_uint_lt(j, f.nref - 2);
	go(&f, j + 1);
	must(&f, cv_timeline_step(f.t, CV_BACKWARD, &stop, &f.err));
	ck_assert_int_eq(stop.why, CV_TL_WATCH);
	check_at(&f, j, "step back");
	teardown(&f);
}
END_TEST

START_TEST(range_steps_leave_where_the_list_says)
{
	struct fixture f;
	struct cv_tl_stop stop;

	setup(&f, CV_CLOCK_HOST, CV_END_POWEROFF, UINT64_MAX);
	make_reference(&f, 20000);
	for (unsigned n = 0; n < 60; n++) {
		uint64_t lo = FAKE_CODE + 4 * rnd(&f, 10), hi = FAKE_CODE + 4 * (60 + rnd(&f, 38));
		size_t from = 200 + rnd(&f, f.nref - 400), j;

		go(&f, from);
		for (j = from - 1; j && f.ref[j].pos.rip >= lo && f.ref[j].pos.rip < hi; j--)
			;
		must(&f, cv_timeline_step_range(f.t, CV_BACKWARD, lo, hi, &stop, &f.err));
		ck_assert_int_eq(stop.why, CV_TL_POSITION);
		check_at(&f, j, "range back");
		go(&f, from);
		for (j = from + 1; f.ref[j].pos.rip >= lo && f.ref[j].pos.rip < hi; j++)
			ck_assert_uint_lt(j, f.nref - 1);
		must(&f, cv_timeline_step_range(f.t, CV_FORWARD, lo, hi, &stop, &f.err));
		check_at(&f, j, "range");
	}
	teardown(&f);
}
END_TEST

START_TEST(run_back_without_hits_reaches_the_beginning)
{
	struct fixture f;
	struct cv_tl_stop stop;

	setup(&f, CV_CLOCK_HOST, CV_END_POWEROFF, UINT64_MAX);
	must(&f, cv_timeline_seek(f.t, 12345, &stop, &f.err));
	ck_assert_uint_eq(stop.pos.insns, 12345);
	if (_i)
		must(&f, cv_timeline_add_point(f.t, CV_POINT_HW, 0x666, 1, NULL, NULL, NULL, &f.err));
	must(&f, cv_timeline_run(f.t, CV_BACKWARD, &stop, &f.err));
	ck_assert_int_eq(stop.why, CV_TL_BEGIN);
	ck_assert_uint_eq(stop.pos.insns, 0);
	must(&f, cv_timeline_step(f.t, CV_BACKWARD, &stop, &f.err));
	ck_assert_int_eq(stop.why, CV_TL_BEGIN);
	run_to_end(&f);
	teardown(&f);
}
END_TEST

START_TEST(seek_beyond_the_end_is_the_end)
{
	struct fixture f;
	struct cv_tl_stop stop;
	struct cv_pos end;

	setup(&f, CV_CLOCK_HOST, CV_END_TRIPLE_FAULT, UINT64_MAX);
	must(&f, cv_timeline_seek(f.t, UINT64_MAX, &stop, &f.err));
	ck_assert_int_eq(stop.why, CV_TL_END);
	ck_assert_uint_eq(stop.pos.insns, cv_timeline_end_insns(f.t));
	end = stop.pos;
	must(&f, cv_timeline_step(f.t, CV_BACKWARD, &stop, &f.err));
	ck_assert_int_eq(stop.why, CV_TL_POSITION);
	ck_assert_int_lt(cv_pos_cmp(&stop.pos, &end), 0);
	must(&f, cv_timeline_step(f.t, CV_FORWARD, &stop, &f.err));
	ck_assert_int_eq(cv_pos_cmp(&stop.pos, &end), 0);
	must(&f, cv_timeline_run(f.t, CV_FORWARD, &stop, &f.err));
	ck_assert_int_eq(stop.why, CV_TL_CRASH);
	must(&f, cv_timeline_run(f.t, CV_FORWARD, &stop, &f.err));
	ck_assert_int_eq(stop.why, CV_TL_END);
	ck_assert_int_eq(cv_timeline_end(f.t)->kind, CV_END_TRIPLE_FAULT);
	teardown(&f);
}
END_TEST

START_TEST(panic_on_the_console_stops_before_the_end)
{
	struct fixture f;
	struct cv_tl_stop stop;

	setup(&f, CV_CLOCK_HOST, CV_END_POWEROFF, 30000);
	ck_assert(cv_timeline_end(f.t)->crashed);
	for (unsigned n = 0; n < 2; n++) {
		must(&f, cv_timeline_run(f.t, CV_FORWARD, &stop, &f.err));
		ck_assert_int_eq(stop.why, CV_TL_CRASH);
		ck_assert_uint_eq(stop.pos.insns, 30000);
		run_to_end(&f);
		must(&f, cv_timeline_run(f.t, CV_BACKWARD, &stop, &f.err));
		ck_assert_int_eq(stop.why, CV_TL_BEGIN);
	}
	teardown(&f);
}
END_TEST

START_TEST(diversion_is_private_and_thrown_away)
{
	struct fixture f;
	struct cv_tl_stop stop;
	struct cv_vcpu_state s;
	uint64_t v = 0x1122334455667788ull, got = 0;
	struct cv_digest d;
	size_t i = 1000;

	setup(&f, _i ? CV_CLOCK_VIRTUAL : CV_CLOCK_HOST, CV_END_POWEROFF, UINT64_MAX);
	make_reference(&f, 20000);
	go(&f, i);
	cv_timeline_state(f.t, &s);
	must(&f, cv_timeline_set_state(f.t, &s, &f.err));
	ck_assert(!cv_timeline_is_diverted(f.t));
	must(&f, cv_timeline_write(f.t, _i, WATCHED, &v, sizeof(v), &f.err));
	ck_assert(cv_timeline_is_diverted(f.t));
	ck_assert_uint_eq(cv_timeline_read(f.t, !_i, WATCHED, &got, sizeof(got)), sizeof(got));
	ck_assert_uint_eq(got, v);
	s.gpr[CV_RAX] ^= 77;
	must(&f, cv_timeline_set_state(f.t, &s, &f.err));
	for (unsigned n = 0; n < 200; n++) {
		must(&f, cv_timeline_step(f.t, CV_FORWARD, &stop, &f.err));
		ck_assert(stop.why == CV_TL_POSITION);
	}
	digest_here(&f, &d);
	ck_assert_mem_ne(d.b, f.ref[i + 200].digest.b, sizeof(d.b));
	must(&f, cv_timeline_run(f.t, CV_FORWARD, &stop, &f.err));
	ck_assert_int_eq(stop.why, CV_TL_END);
	must(&f, cv_timeline_end_diversion(f.t, &f.err));
	check_at(&f, i, "end of the diversion");
	must(&f, cv_timeline_write(f.t, false, WATCHED, &v, sizeof(v), &f.err));
	must(&f, cv_timeline_step(f.t, CV_FORWARD, &stop, &f.err));
	must(&f, cv_timeline_step(f.t, CV_BACKWARD, &stop, &f.err));
	ck_assert(!cv_timeline_is_diverted(f.t));
	check_at(&f, i - 1, "step back out of a diversion");
	ck_assert_int_eq(cv_timeline_write(f.t, true, 1ull << 40, &v, sizeof(v), &f.err), CV_E_FAULT);
	cv_error_clear(&f.err);
	run_to_end(&f);
	teardown(&f);
}
END_TEST

static bool never(void *ctx, struct cv_timeline *t)
{
	(void)t;
	++*(unsigned *)ctx;
	return false;
}

START_TEST(interrupted_search_returns_to_where_it_began)
{
	struct fixture f;
	struct cv_tl_stop stop;
	struct cv_digest before, after;
	struct cv_pos from;
	unsigned asked = 0;

	setup(&f, CV_CLOCK_HOST, CV_END_POWEROFF, UINT64_MAX);
	must(&f, cv_timeline_seek(f.t, 39000, &stop, &f.err));
	must(&f, cv_timeline_step(f.t, CV_FORWARD, &stop, &f.err));
	from = *cv_timeline_pos(f.t);
	digest_here(&f, &before);
	for (unsigned n = 1; n < 16; n++)
		must(&f, cv_timeline_add_point(f.t, CV_POINT_HW, FAKE_CODE + 4 * n, 1, never, &asked, NULL, &f.err));
	f.polls = 0;
	f.polls_max = 1;
	must(&f, cv_timeline_run(f.t, CV_BACKWARD, &stop, &f.err));
	f.polls_max = 0;
	ck_assert_int_eq(stop.why, CV_TL_INTERRUPTED);
	ck_assert_uint_gt(asked, 1000);
	ck_assert_int_eq(cv_pos_cmp(&stop.pos, &from), 0);
	digest_here(&f, &after);
	ck_assert_mem_eq(before.b, after.b, sizeof(after.b));
	run_to_end(&f);
	teardown(&f);
}
END_TEST

START_TEST(checkpoints_stay_few)
{
	struct fixture f;
	struct cv_tl_stop stop;
	size_t n;
	uint64_t bytes;

	begin_recording(&f, CV_CLOCK_HOST, CV_END_POWEROFF, UINT64_MAX);
	end_recording(&f);
	unlink(f.path);
	rmdir(f.dir);
	setup(&f, CV_CLOCK_HOST, CV_END_POWEROFF, UINT64_MAX);
	cv_timeline_free(f.t);
	f.cfg.grid = 16;
	must(&f, cv_timeline_open(&f.t, f.log, &f.cfg, &f.err));
	run_to_end(&f);
	for (unsigned i = 0; i < 50; i++) {
		must(&f, cv_timeline_seek(f.t, rnd(&f, RUN_INSNS), &stop, &f.err));
		must(&f, cv_timeline_step(f.t, CV_BACKWARD, &stop, &f.err));
	}
	cv_timeline_stats(f.t, &n, &bytes);
	ck_assert_uint_ge(n, 64);
	ck_assert_uint_le(n, 200);
	cv_timeline_free(f.t);
	f.cfg.memory_budget = 4 << 20;
	must(&f, cv_timeline_open(&f.t, f.log, &f.cfg, &f.err));
	run_to_end(&f);
	cv_timeline_stats(f.t, &n, &bytes);
	ck_assert_uint_le(bytes, 6 << 20);
	must(&f, cv_timeline_seek(f.t, 777, &stop, &f.err));
	run_to_end(&f);
	teardown(&f);
}
END_TEST

/* --- Checkpoints in the recording --- */

START_TEST(stored_checkpoints_give_the_states_that_running_gives)
{
	struct fixture f;
	struct cv_tl_stop stop;
	struct cv_digest want[8], got;
	size_t n;

	setup(&f, _i ? CV_CLOCK_VIRTUAL : CV_CLOCK_HOST, CV_END_POWEROFF, UINT64_MAX);
	cv_timeline_free(f.t);
	f.cfg.grid = 1 << 30; /* so far from each other that none is ever read */
	must(&f, cv_timeline_open(&f.t, f.log, &f.cfg, &f.err));
	for (unsigned i = 0; i < 8; i++) {
		must(&f, cv_timeline_seek(f.t, 4000 + i * 4100, &stop, &f.err));
		ck_assert_uint_eq(stop.pos.insns, 4000 + i * 4100);
		digest_here(&f, &want[i]);
	}
	f.cfg.grid = 512;
	for (unsigned i = 8; i-- > 0;) {
		cv_timeline_free(f.t);
		must(&f, cv_timeline_open(&f.t, f.log, &f.cfg, &f.err));
		must(&f, cv_timeline_seek(f.t, 4000 + i * 4100, &stop, &f.err));
		ck_assert_uint_eq(stop.pos.insns, 4000 + i * 4100);
		cv_timeline_stats(f.t, &n, NULL);
		ck_assert_uint_le(n, 2 + STATE_INSNS / 512); /* it did not come all the way */
		digest_here(&f, &got);
		ck_assert_mem_eq(got.b, want[i].b, sizeof(got.b));
		if (i & 1)
			run_to_end(&f);
	}
	must(&f, cv_timeline_run(f.t, CV_BACKWARD, &stop, &f.err));
	ck_assert_int_eq(stop.why, CV_TL_BEGIN);
	run_to_end(&f);
	teardown(&f);
}
END_TEST

/* Replays from the stored checkpoint at or before insns to the end, with every check. Where it started. */
static uint64_t replay_from(struct fixture *f, uint64_t insns)
{
	struct cv_replayer *r;
	struct cv_machine *m;
	struct cv_pos start, pos;
	struct cv_run run;

	must(f, cv_replayer_new(&r, f->log, &f->err));
	must(f, cv_machine_new_with_engine(&m, cv_replayer_config(r), &fake_board, fake_engine_new,
					   cv_replayer_env(r), &f->err));
	must(f, cv_replayer_start(r, m, insns, &f->err));
	cv_machine_position(m, &start);
	do {
		struct cv_stop stop = {0};

		cv_machine_position(m, &pos);
		stop.insns = cv_replayer_next_check(r, &pos);
		must(f, cv_machine_run(m, &stop, false, &run, &f->err));
		ck_assert_msg(run.why != CV_RUN_ENV, "%s", cv_replayer_divergence(r)->text);
		cv_machine_position(m, &pos);
		must(f, cv_replayer_check(r, m, &f->err));
	} while (run.why != CV_RUN_END);
	must(f, cv_replayer_check_end(r, m, &f->err));
	cv_machine_free(m);
	cv_replayer_free(r);
	return start.insns;
}

START_TEST(replay_from_every_stored_checkpoint_ends_as_recorded)
{
	struct fixture f;

	setup(&f, _i ? CV_CLOCK_VIRTUAL : CV_CLOCK_HOST, CV_END_POWEROFF, UINT64_MAX);
	ck_assert_uint_eq(replay_from(&f, STATE_INSNS - 1), 0);
	for (uint64_t at = STATE_INSNS; at < RUN_INSNS; at += STATE_INSNS) {
		uint64_t start = replay_from(&f, at + STATE_INSNS / 2);

		ck_assert_uint_gt(start + STATE_INSNS, at); /* one may be left out where an event lies just there */
		ck_assert_uint_le(start, at + STATE_INSNS / 2);
		ck_assert_uint_gt(start, 0);
	}
	teardown(&f);
}
END_TEST

/* --- A recording in progress --- */

static void teardown_live(struct fixture *f)
{
	struct cv_tl_stop stop;

	cv_timeline_free(f->t);
	end_recording(f);
	must(f, cv_log_open(&f->log, f->path, &f->err));
	must(f, cv_timeline_open(&f->t, f->log, &f->cfg, &f->err));
	must(f, cv_timeline_run(f->t, CV_FORWARD, &stop, &f->err));
	ck_assert_msg(stop.why == CV_TL_END, "why %d: %s", stop.why, cv_timeline_divergence(f->t)->text);
	teardown(f);
}

START_TEST(live_goes_back_and_forward_again)
{
	struct fixture f;
	struct cv_tl_stop stop;
	struct cv_digest before, after, d;
	struct cv_pos live, pos;
	uint64_t v = 1;
	unsigned id;

	begin_recording(&f, _i ? CV_CLOCK_VIRTUAL : CV_CLOCK_HOST, CV_END_POWEROFF, UINT64_MAX);
	must(&f, cv_timeline_attach(&f.t, f.m, f.live, f.rec, f.log, f.path, &f.cfg, &f.err));
	must(&f, cv_timeline_add_point(f.t, CV_POINT_HW, FAKE_CODE + 4 * 13, 1, NULL, NULL, &id, &f.err));
	for (unsigned i = 0; i < 50; i++) {
		must(&f, cv_timeline_run(f.t, CV_FORWARD, &stop, &f.err));
		ck_assert_int_eq(stop.why, CV_TL_BREAK);
	}
	for (unsigned i = 0; i < 30; i++)
		must(&f, cv_timeline_step(f.t, CV_FORWARD, &stop, &f.err));
	ck_assert(cv_timeline_is_live(f.t));
	ck_assert_int_eq(cv_timeline_write(f.t, true, WATCHED, &v, 8, &f.err), CV_E_BADINPUT);
	cv_error_clear(&f.err);
	live = *cv_timeline_pos(f.t);
	digest_here(&f, &before);
	must(&f, cv_timeline_step(f.t, CV_BACKWARD, &stop, &f.err));
	ck_assert_int_eq(stop.why, CV_TL_POSITION);
	ck_assert(!cv_timeline_is_live(f.t));
	ck_assert_int_lt(cv_pos_cmp(&stop.pos, &live), 0);
	must(&f, cv_timeline_step(f.t, CV_FORWARD, &stop, &f.err));
	ck_assert(cv_timeline_is_live(f.t));
	ck_assert_int_eq(cv_pos_cmp(cv_timeline_pos(f.t), &live), 0);
	digest_here(&f, &d);
	ck_assert_mem_eq(d.b, before.b, sizeof(d.b));
	for (unsigned i = 0; i < 20; i++) {
		must(&f, cv_timeline_run(f.t, CV_BACKWARD, &stop, &f.err));
		ck_assert_int_eq(stop.why, CV_TL_BREAK);
	}
	pos = stop.pos;
	digest_here(&f, &before);
	must(&f, cv_timeline_seek(f.t, UINT64_MAX, &stop, &f.err));
	ck_assert(cv_timeline_is_live(f.t));
	must(&f, cv_timeline_step(f.t, CV_FORWARD, &stop, &f.err));
	must(&f, cv_timeline_seek(f.t, pos.insns, &stop, &f.err));
	while (cv_pos_cmp(cv_timeline_pos(f.t), &pos) < 0)
		must(&f, cv_timeline_step(f.t, CV_FORWARD, &stop, &f.err));
	digest_here(&f, &after);
	ck_assert_mem_eq(before.b, after.b, sizeof(after.b));
	cv_timeline_remove_all_points(f.t);
	must(&f, cv_timeline_run(f.t, CV_FORWARD, &stop, &f.err));
	ck_assert_int_eq(stop.why, CV_TL_END);
	ck_assert(cv_timeline_is_live(f.t));
	must(&f, cv_timeline_step(f.t, CV_BACKWARD, &stop, &f.err));
	ck_assert_int_eq(stop.why, CV_TL_POSITION);
	teardown_live(&f);
}
END_TEST

START_TEST(live_without_a_recording_refuses_to_go_back)
{
	struct fixture f;
	struct cv_tl_stop stop;
	uint64_t v = 1;

	begin_recording(&f, CV_CLOCK_HOST, CV_END_POWEROFF, UINT64_MAX);
	must(&f, cv_timeline_attach(&f.t, f.m, f.live, NULL, NULL, NULL, &f.cfg, &f.err));
	must(&f, cv_timeline_step(f.t, CV_FORWARD, &stop, &f.err));
	ck_assert_int_eq(cv_timeline_step(f.t, CV_BACKWARD, &stop, &f.err), CV_E_BADINPUT);
	cv_error_clear(&f.err);
	must(&f, cv_timeline_write(f.t, true, WATCHED, &v, 8, &f.err));
	ck_assert(cv_timeline_is_live(f.t));
	cv_timeline_free(f.t);
	f.t = NULL;
	end_recording(&f);
	teardown(&f);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("timeline");
	TCase *tc = tcase_create("timeline");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, steps_backwards_are_the_steps_forward, 0, 2);
	tcase_add_loop_test(tc, random_moves_find_the_same_states, 0, 2);
	tcase_add_loop_test(tc, breakpoint_runs_stop_where_the_list_says, 0, 4);
	tcase_add_loop_test(tc, watchpoint_runs_stop_around_the_access, 0, 2);
	tcase_add_loop_test(tc, searches_for_writes_do_not_depend_on_the_index, 0, 2);
	tcase_add_test(tc, step_back_over_an_access_tells_the_watchpoint);
	tcase_add_test(tc, range_steps_leave_where_the_list_says);
	tcase_add_loop_test(tc, run_back_without_hits_reaches_the_beginning, 0, 2);
	tcase_add_test(tc, seek_beyond_the_end_is_the_end);
	tcase_add_test(tc, panic_on_the_console_stops_before_the_end);
	tcase_add_loop_test(tc, diversion_is_private_and_thrown_away, 0, 2);
	tcase_add_test(tc, interrupted_search_returns_to_where_it_began);
	tcase_add_test(tc, checkpoints_stay_few);
	tcase_add_loop_test(tc, stored_checkpoints_give_the_states_that_running_gives, 0, 2);
	tcase_add_loop_test(tc, replay_from_every_stored_checkpoint_ends_as_recorded, 0, 2);
	tcase_add_loop_test(tc, live_goes_back_and_forward_again, 0, 2);
	tcase_add_test(tc, live_without_a_recording_refuses_to_go_back);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
