/* SPDX-License-Identifier: MIT */
/*
 * Exact stops with inexact counters, on tiny simulated guests: random programs of plain instructions, stores, conditional and
 * unconditional jumps, REPs and instructions that exit. The truth about a guest is every boundary that it passes; whatever
 * the counter's skid, a target must be met at its boundary or be refused, never met elsewhere.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "vmm-core/vtx/counter.h"

enum op { OP_NOP, OP_STORE, OP_JCC, OP_JMP, OP_REP, OP_EXIT };

#define LEN 12
#define BOUNDARIES 6000

struct insn {
	enum op op;
	unsigned to, n; /* jumps: where to; REP: iterations */
};

struct guest {
	const struct insn *code;
	uint64_t pc, rcx, mix, mem, count, boundary;
	bool in_rep;
};

/* What a step did. */
struct did {
	bool branch, exit;
};

static uint64_t seed;

static uint64_t rnd(uint64_t n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (seed >> 33) % n;
}

static struct did step(struct guest *g)
{
	const struct insn *i = &g->code[g->pc];
	struct did d = {false, false};

	g->boundary++;
	if (i->op == OP_REP) {
		if (!g->in_rep)
			g->rcx = i->n;
		g->in_rep = true;
		if (--g->rcx)
			return d;
		g->in_rep = false;
	}
	g->pc = (g->pc + 1) % LEN;
	switch (i->op) {
	case OP_JCC:
		g->mix = g->mix * 25214903917ull + 11;
		d.branch = true;
		g->count++;
		if (g->mix >> 17 & 1)
			g->pc = i->to;
		break;
	case OP_JMP:
		g->pc = i->to;
		break;
	case OP_STORE:
		g->mem++;
		break;
	case OP_EXIT:
		d.exit = true;
		break;
	case OP_NOP:
	case OP_REP:
		break;
	}
	return d;
}

static uint64_t digest(const struct guest *g)
{
	uint64_t h = 14695981039346656037ull;
	uint64_t v[] = {g->pc, g->rcx, g->mix, g->mem, g->in_rep};

	for (unsigned i = 0; i < 5; i++)
		h = (h ^ v[i]) * 1099511628211ull;
	return h;
}

static void random_program(struct insn *code)
{
	static const enum op mix[] = {OP_NOP, OP_STORE, OP_JCC, OP_JCC, OP_JCC, OP_JMP, OP_REP, OP_EXIT};

	for (unsigned i = 0; i < LEN; i++)
		code[i] = (struct insn){mix[rnd(8)], (unsigned)rnd(LEN), 1 + (unsigned)rnd(9)};
}

/* ---- the bench: a guest under a counter that fires late ---- */

struct bench {
	struct cv_counter c;
	struct cv_counter_at at;
	struct guest g;
	uint64_t skid;		/* of the simulated hardware */
	uint64_t nmoves;
	bool host;		/* host interrupts come at random */
	struct cv_error err;
};

static uint64_t value(const struct bench *b)
{
	return b->c.kind == CV_COUNTER_BENCH ? b->g.boundary : b->c.kind == CV_COUNTER_PMU ? b->g.count : 0;
}

static void start(struct bench *b, const struct insn *code, enum cv_counter_kind kind, uint64_t margin, uint64_t skid)
{
	memset(b, 0, sizeof(*b));
	cv_counter_init(&b->c, kind, margin);
	b->c.digests = b->c.breakpoints = true;
	b->g.code = code;
	b->g.mix = 12345;
	b->at.named = true;
	b->skid = kind == CV_COUNTER_PMU ? skid : 0;
}

/* Carries out RUN. The hardware's counter fires at `budget` or up to skid units later, and anywhere behind that unit. */
static enum cv_ran hardware(struct bench *b, const struct cv_move *m)
{
	uint64_t from = value(b);
	uint64_t stop = m->budget == CV_COUNTER_NO_LIMIT ? UINT64_MAX : m->budget + rnd(b->skid + 1);
	uint64_t most = b->host ? rnd(60) : BOUNDARIES;

	for (uint64_t n = 0; n <= most; n++) {
		if (m->break_at_rip && b->g.pc == m->rip && n)
			return CV_RAN_BREAK;
		if (b->g.code[b->g.pc].op == OP_EXIT) {
			step(&b->g);
			return CV_RAN_GUEST;
		}
		step(&b->g);
		if (value(b) - from < stop)
			continue;
		if (b->c.kind == CV_COUNTER_PMU)
			for (uint64_t k = rnd(4); k && b->g.code[b->g.pc].op != OP_JCC && b->g.code[b->g.pc].op != OP_EXIT; k--)
				step(&b->g);
		return CV_RAN_FIRED;
	}
	return CV_RAN_HOST;
}

/* One move carried out. Returns what cv_counter_ran said. */
static int carry_out(struct bench *b, const struct cv_move *m)
{
	enum cv_ran how = CV_RAN_STEPPED;
	int e;

	if (m->kind == CV_MOVE_LOOK) {
		b->at.looked = true;
		b->at.state = digest(&b->g);
		return 0;
	}
	if (m->kind == CV_MOVE_RUN)
		how = hardware(b, m);
	else if (step(&b->g).exit)
		how = CV_RAN_GUEST;
	e = cv_counter_ran(&b->c, m, how, value(b), &b->at, &b->err);
	b->at.rip = b->g.pc;
	b->at.rcx = b->g.rcx;
	return e;
}

/* Goes to t. 0, an error, or 1: not within the guest's boundaries (a target behind its end). */
static int go(struct bench *b, const struct cv_counter_point *t)
{
	for (;;) {
		struct cv_move m;
		int e = cv_counter_next(&b->c, &b->at, t, &m, &b->err);

		/* (An assertion of Check's costs a system call, so none is made that holds.) */
		if ((e != 0) != (m.kind == CV_MOVE_OVERSHOT) || m.kind == CV_MOVE_UNNAMED)
			ck_abort_msg("move %d, error %d", m.kind, e);
		if (e || m.kind == CV_MOVE_ARRIVED)
			return e;
		e = carry_out(b, &m);
		if (e)
			return e;
		b->nmoves++;
		if (b->g.boundary > 2 * BOUNDARIES + 1000)
			return 1;
	}
}

/* The truth: name of the boundary number `boundary`, by stepping. */
static void truth(const struct insn *code, enum cv_counter_kind kind, uint64_t boundary, struct cv_counter_point *t,
		  struct guest *at, bool *named)
{
	struct guest g = {.code = code, .mix = 12345};

	memset(t, 0, sizeof(*t));
	*named = true;
	while (g.boundary < boundary) {
		struct did d = step(&g);

		if (kind == CV_COUNTER_BENCH) {
			t->count++;
			continue;
		}
		if (d.branch && kind == CV_COUNTER_PMU) {
			t->count++;
			t->exits = 0;
		}
		t->exits += d.exit;
		*named = d.exit || (d.branch && kind == CV_COUNTER_PMU);
	}
	t->check = true;
	t->rip = g.pc;
	t->rcx = g.rcx;
	t->recognise = !*named;
	t->state = *named ? 0 : digest(&g);
	*at = g;
}

static void random_targets(enum cv_counter_kind kind, uint64_t skid, bool breakpoints, unsigned rounds)
{
	struct insn code[LEN];

	for (unsigned i = 0; i < rounds; i++) {
		struct cv_counter_point t;
		struct guest want;
		struct bench b;
		bool named;

		random_program(code);
		truth(code, kind, rnd(BOUNDARIES), &t, &want, &named);
		start(&b, code, kind, skid, skid);
		if (kind == CV_COUNTER_BENCH)
			cv_counter_simulate(&b.c, skid, i);
		b.c.breakpoints = breakpoints;
		b.host = rnd(2);
		ck_assert_msg(go(&b, &t) == 0, "%s", b.err.msg);
		if (named)
			ck_assert_uint_eq(b.g.boundary, want.boundary);
		/* A recognised place is one with the same state: the guest goes on from there in the same way. */
		ck_assert_uint_eq(digest(&b.g), digest(&want));
		ck_assert_uint_eq(b.g.count, want.count);
	}
}

static const uint64_t skids[] = {0, 1, 2, 7, 100, 200};

START_TEST(bench_any_skid_arrives_exactly)
{
	random_targets(CV_COUNTER_BENCH, skids[_i], false, 1500);
}
END_TEST

START_TEST(pmu_any_skid_arrives_exactly)
{
	random_targets(CV_COUNTER_PMU, skids[_i], true, 1500);
}
END_TEST

START_TEST(pmu_without_breakpoints_arrives_exactly)
{
	random_targets(CV_COUNTER_PMU, skids[_i], false, 300);
}
END_TEST

START_TEST(none_random_targets_arrives_exactly)
{
	random_targets(CV_COUNTER_NONE, 0, _i, 1500);
}
END_TEST

/* The margin is smaller than the skid: right, or an error. */
START_TEST(pmu_skid_beyond_margin_is_never_silent)
{
	struct insn code[LEN];
	unsigned errors = 0, right = 0;

	for (unsigned i = 0; i < 3000; i++) {
		struct cv_counter_point t;
		struct guest want;
		struct bench b;
		bool named;
		int e;

		random_program(code);
		truth(code, CV_COUNTER_PMU, rnd(BOUNDARIES), &t, &want, &named);
		start(&b, code, CV_COUNTER_PMU, 20, 40);
		e = go(&b, &t);
		if (e == CV_E_IO) {
			ck_assert_ptr_nonnull(strstr(b.err.msg, "margin"));
			ck_assert_ptr_nonnull(strstr(b.err.msg, "--engine soft"));
			errors++;
			continue;
		}
		ck_assert_int_eq(e, 0);
		ck_assert_uint_eq(digest(&b.g), digest(&want));
		if (named)
			ck_assert_uint_eq(b.g.boundary, want.boundary);
		right++;
	}
	ck_assert_uint_gt(errors, 100);
	ck_assert_uint_gt(right, 100);
}
END_TEST

START_TEST(bench_overshoot_is_told)
{
	struct cv_counter c;
	struct cv_counter_at at = {.count = 130};
	struct cv_counter_point t = {.count = 100};
	struct cv_move m;
	struct cv_error err = {0};

	cv_counter_init(&c, CV_COUNTER_BENCH, 7);
	ck_assert_int_eq(cv_counter_next(&c, &at, &t, &m, &err), CV_E_IO);
	ck_assert_int_eq(m.kind, CV_MOVE_OVERSHOT);
	ck_assert_ptr_nonnull(strstr(err.msg, "passed the point 100 and stands at 130"));
}
END_TEST

START_TEST(arrival_at_another_rip_is_told)
{
	struct cv_counter c;
	struct cv_counter_at at = {.count = 100, .rip = 0x1234, .named = true};
	struct cv_counter_point t = {.count = 100, .check = true, .rip = 0x1236};
	struct cv_move m;
	struct cv_error err = {0};

	for (int kind = CV_COUNTER_NONE; kind <= CV_COUNTER_PMU; kind++) {
		cv_error_clear(&err);
		cv_counter_init(&c, (enum cv_counter_kind)kind, 0);
		ck_assert_int_eq(cv_counter_next(&c, &at, &t, &m, &err), CV_E_IO);
		ck_assert_int_eq(m.kind, CV_MOVE_OVERSHOT);
		ck_assert_ptr_nonnull(strstr(err.msg, "expected 1236"));
	}
}
END_TEST

START_TEST(exact_bench_runs_once)
{
	struct cv_counter c;
	struct cv_counter_at at = {.count = 5};
	struct cv_counter_point t = {.count = 1000005};
	struct cv_move m;

	cv_counter_init(&c, CV_COUNTER_BENCH, 0);
	ck_assert_int_eq(cv_counter_next(&c, &at, &t, &m, NULL), 0);
	ck_assert_int_eq(m.kind, CV_MOVE_RUN);
	ck_assert_uint_eq(m.budget, 1000000);
	ck_assert_int_eq(cv_counter_ran(&c, &m, CV_RAN_FIRED, 1000005, &at, NULL), 0);
	ck_assert_int_eq(cv_counter_next(&c, &at, &t, &m, NULL), 0);
	ck_assert_int_eq(m.kind, CV_MOVE_ARRIVED);
}
END_TEST

START_TEST(simulated_skid_is_never_beyond_target)
{
	struct cv_counter c;
	struct cv_counter_at at = {.count = 0};
	struct cv_counter_point t = {.count = 500};
	struct cv_move m;
	uint64_t low = UINT64_MAX, high = 0;

	cv_counter_init(&c, CV_COUNTER_BENCH, 0);
	cv_counter_simulate(&c, 100, 3);
	for (unsigned i = 0; i < 5000; i++) {
		ck_assert_int_eq(cv_counter_next(&c, &at, &t, &m, NULL), 0);
		ck_assert_uint_eq(m.due, 400);
		ck_assert_uint_ge(m.budget, 400);
		ck_assert_uint_le(m.budget, 500);
		low = m.budget < low ? m.budget : low;
		high = m.budget > high ? m.budget : high;
	}
	ck_assert_uint_eq(low, 400);
	ck_assert_uint_eq(high, 500);
}
END_TEST

/* ---- delivering: a place found while recording is found again ---- */

/* Records: runs freely, is interrupted, looks for a place. Returns false where there is none. */
static bool record(struct bench *b, uint64_t waited, struct cv_counter_point *p)
{
	struct cv_move m = {.kind = CV_MOVE_RUN, .budget = CV_COUNTER_NO_LIMIT, .due = CV_COUNTER_NO_LIMIT};
	uint64_t stop = rnd(BOUNDARIES / 2);

	b->host = true;
	while (b->g.boundary < stop)
		if (carry_out(b, &m))
			ck_abort_msg("%s", b->err.msg);
	for (uint64_t steps = 0;;) {
		cv_counter_place(&b->c, &b->at, waited, steps, &m);
		if (m.kind == CV_MOVE_ARRIVED || m.kind == CV_MOVE_UNNAMED)
			break;
		if (carry_out(b, &m))
			ck_abort_msg("%s", b->err.msg);
		steps += m.kind == CV_MOVE_STEP;
		waited += 1000000;
	}
	ck_assert(cv_counter_name(&b->c, &b->at, p) == (m.kind == CV_MOVE_ARRIVED));
	return m.kind == CV_MOVE_ARRIVED;
}

static void record_and_replay(enum cv_counter_kind kind, const struct insn *fixed, unsigned rounds, unsigned *unnamed)
{
	struct insn code[LEN];

	for (unsigned i = 0; i < rounds; i++) {
		struct bench r, p;
		struct cv_counter_point t;
		bool digests = rnd(2);

		random_program(code);
		start(&r, fixed ? fixed : code, kind, 50, 50);
		r.c.patience = 100;
		r.c.digests = digests;
		if (!record(&r, rnd(20) * 1000000, &t)) {
			ck_assert(!digests);
			++*unnamed;
			continue;
		}
		start(&p, fixed ? fixed : code, kind, 50, 50);
		p.host = rnd(2);
		ck_assert_msg(go(&p, &t) == 0, "%s", p.err.msg);
		ck_assert_uint_eq(digest(&p.g), digest(&r.g));
		ck_assert_uint_eq(p.g.count, r.g.count);
		if (!t.recognise)
			ck_assert_uint_eq(p.g.boundary, r.g.boundary);
	}
}

START_TEST(place_random_guests_is_found_again)
{
	unsigned unnamed = 0;

	record_and_replay(CV_COUNTER_PMU, NULL, 1000, &unnamed);
	record_and_replay(CV_COUNTER_NONE, NULL, 1000, &unnamed);
	record_and_replay(CV_COUNTER_BENCH, NULL, 300, &unnamed);
}
END_TEST

/* jmp . and a loop that only counts in memory: by the state, or not at all. */
static const struct insn jump_to_self[LEN] = {{OP_JCC, 1, 0}, {OP_EXIT, 0, 0}, {OP_JMP, 2, 0}};
static const struct insn count_in_memory[LEN] = {{OP_JCC, 1, 0}, {OP_STORE, 0, 0}, {OP_JMP, 1, 0}};

START_TEST(place_loop_without_branch_needs_state)
{
	static const struct insn *const loops[] = {jump_to_self, count_in_memory};
	static const enum cv_counter_kind kinds[] = {CV_COUNTER_PMU, CV_COUNTER_NONE};
	unsigned unnamed = 0;

	/* NONE waits for an exit first; here none comes. */
	record_and_replay(kinds[_i / 2], loops[_i % 2], 200, &unnamed);
	ck_assert_uint_gt(unnamed, 50);
	ck_assert_uint_lt(unnamed, 150);
}
END_TEST

START_TEST(unnamed_place_has_no_name)
{
	struct cv_counter c;
	struct cv_counter_at at = {.count = 7, .rip = 0x100};
	struct cv_counter_point p;
	struct cv_move m;

	cv_counter_init(&c, CV_COUNTER_PMU, 100);
	ck_assert(!cv_counter_name(&c, &at, &p));
	cv_counter_place(&c, &at, 0, 0, &m);
	ck_assert_int_eq(m.kind, CV_MOVE_STEP);
	cv_counter_place(&c, &at, 0, c.patience, &m);
	ck_assert_int_eq(m.kind, CV_MOVE_UNNAMED);
	c.digests = true;
	cv_counter_place(&c, &at, 0, c.patience, &m);
	ck_assert_int_eq(m.kind, CV_MOVE_LOOK);
}
END_TEST

START_TEST(none_waits_for_an_exit_up_to_its_bound)
{
	struct cv_counter c;
	struct cv_counter_at at = {0};
	struct cv_move m;

	cv_counter_init(&c, CV_COUNTER_NONE, 0);
	cv_counter_place(&c, &at, 9999999, 0, &m);
	ck_assert_int_eq(m.kind, CV_MOVE_RUN);
	ck_assert_uint_eq(m.budget, CV_COUNTER_NO_LIMIT);
	cv_counter_place(&c, &at, 10000000, 0, &m);
	ck_assert_int_eq(m.kind, CV_MOVE_STEP);
	ck_assert_int_eq(cv_counter_ran(&c, &m, CV_RAN_GUEST, 0, &at, NULL), 0);
	ck_assert_uint_eq(at.exits, 1);
	cv_counter_place(&c, &at, 0, 0, &m);
	ck_assert_int_eq(m.kind, CV_MOVE_ARRIVED);
}
END_TEST

/* ---- what can't be ---- */

START_TEST(counter_that_goes_back_is_told)
{
	struct cv_counter c;
	struct cv_counter_at at = {.count = 10};
	struct cv_move m = {.kind = CV_MOVE_STEP};
	struct cv_error err = {0};

	cv_counter_init(&c, CV_COUNTER_PMU, 100);
	ck_assert_int_eq(cv_counter_ran(&c, &m, CV_RAN_STEPPED, 9, &at, &err), CV_E_IO);
	ck_assert_ptr_nonnull(strstr(err.msg, "went back"));
}
END_TEST

START_TEST(two_branches_in_one_step_is_told)
{
	struct cv_counter c;
	struct cv_counter_at at = {.count = 10};
	struct cv_move m = {.kind = CV_MOVE_STEP};
	struct cv_error err = {0};

	cv_counter_init(&c, CV_COUNTER_PMU, 100);
	ck_assert_int_eq(cv_counter_ran(&c, &m, CV_RAN_STEPPED, 12, &at, &err), CV_E_IO);
	ck_assert_ptr_nonnull(strstr(err.msg, "more than one branch in one instruction"));
}
END_TEST

START_TEST(skid_histogram_counts_and_reads)
{
	struct cv_counter c;
	struct cv_move m = {.kind = CV_MOVE_RUN, .budget = 100, .due = 100};
	static const uint64_t late[] = {0, 0, 1, 2, 3, 4, 37};
	char text[400], small[16];

	cv_counter_init(&c, CV_COUNTER_PMU, 50);
	for (unsigned i = 0; i < sizeof(late) / sizeof(late[0]); i++) {
		struct cv_counter_at at = {0};

		ck_assert_int_eq(cv_counter_ran(&c, &m, CV_RAN_FIRED, 100 + late[i], &at, NULL), 0);
	}
	cv_skid_text(&c, text, sizeof(text));
	ck_assert_str_eq(text, "7 stops: 0: 2, 1: 1, 2-3: 2, 4-7: 1, 32-63: 1; early: 0; worst 37, margin 50; 0 steps");
	cv_skid_text(&c, small, sizeof(small));
	ck_assert_str_eq(small, "7 stops: 0: 2, ");
}
END_TEST

START_TEST(skid_beyond_all_buckets_is_in_the_last)
{
	struct cv_counter c;
	struct cv_move m = {.kind = CV_MOVE_RUN, .budget = 1, .due = 1};
	struct cv_counter_at at = {0};
	struct cv_error err = {0};

	cv_counter_init(&c, CV_COUNTER_PMU, 100);
	ck_assert_int_eq(cv_counter_ran(&c, &m, CV_RAN_FIRED, UINT64_MAX / 2, &at, &err), CV_E_IO);
	ck_assert_uint_eq(c.skid.bucket[CV_SKID_BUCKETS - 1], 1);
	at.count = 0;
	ck_assert_int_eq(cv_counter_ran(&c, &m, CV_RAN_FIRED, 0, &at, NULL), 0);
	ck_assert_uint_eq(c.skid.early, 1);
}
END_TEST

static void setup(void)
{
	seed = 20261;
}

int main(void)
{
	Suite *s = suite_create("vtx_counter");
	TCase *t = tcase_create("targets");
	int nskids = (int)(sizeof(skids) / sizeof(skids[0]));
	int failed;
	SRunner *r;

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, bench_any_skid_arrives_exactly, 0, nskids);
	tcase_add_loop_test(t, pmu_any_skid_arrives_exactly, 0, nskids);
	tcase_add_loop_test(t, pmu_without_breakpoints_arrives_exactly, 0, nskids);
	tcase_add_loop_test(t, none_random_targets_arrives_exactly, 0, 2);
	tcase_add_test(t, pmu_skid_beyond_margin_is_never_silent);
	tcase_add_test(t, bench_overshoot_is_told);
	tcase_add_test(t, arrival_at_another_rip_is_told);
	tcase_add_test(t, exact_bench_runs_once);
	tcase_add_test(t, simulated_skid_is_never_beyond_target);
	tcase_add_test(t, place_random_guests_is_found_again);
	tcase_add_loop_test(t, place_loop_without_branch_needs_state, 0, 4);
	tcase_add_test(t, unnamed_place_has_no_name);
	tcase_add_test(t, none_waits_for_an_exit_up_to_its_bound);
	tcase_add_test(t, counter_that_goes_back_is_told);
	tcase_add_test(t, two_branches_in_one_step_is_told);
	tcase_add_test(t, skid_histogram_counts_and_reads);
	tcase_add_test(t, skid_beyond_all_buckets_is_in_the_last);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
