/* SPDX-License-Identifier: MIT */
/*
 * The counter's self-test, with good and broken counters behind it: a small interpreter executes the very bytes that the self-test hands
 * out, and the simulated counter errs in each of the ways that counters do.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/fake_vtx.h"
#include "vmm-core/vtx/selftest.h"

struct machine {
	/* How the counter errs. */
	enum cv_counter_kind kind;
	uint64_t skid;
	bool dead, never_fires, goes_back;
	bool no_loop;		 /* LOOP isn't counted */
	unsigned per_overflow;	 /* counted too much at each of its own interrupts */
	unsigned per_interrupt;	 /* ... at each host interrupt */
	unsigned per_exit;	 /* ... at each exit */
	unsigned lost_of;	 /* one of so many isn't counted */
	int fail_after;		 /* so many calls of run, then an error; 0: never */
	/* The guest. */
	const uint8_t *code;
	size_t len;
	uint64_t ip, ecx, count, lost, until_interrupt, seed;
	bool zf, halted;
	int calls;
};

static uint64_t rnd(struct machine *m, uint64_t n)
{
	m->seed = m->seed * 6364136223846793005ull + 1442695040888963407ull;
	return (m->seed >> 33) % n;
}

static int start(void *ctx, const uint8_t *code, size_t len, uint64_t n, struct cv_error *err)
{
	struct machine *m = ctx;

	(void)err;
	m->code = code;
	m->len = len;
	m->ip = m->count = m->lost = 0;
	m->ecx = n;
	m->zf = m->halted = false;
	m->until_interrupt = 1000;
	return 0;
}

static void count_one(struct machine *m)
{
	if (m->dead)
		return;
	if (m->lost_of && ++m->lost % m->lost_of == 0)
		return;
	m->count++;
}

static bool is(const struct machine *m, const char *bytes, size_t n)
{
	return m->ip + n <= m->len && memcmp(m->code + m->ip, bytes, n) == 0;
}

static void branch(struct machine *m, size_t len, bool taken)
{
	int8_t to = (int8_t)m->code[m->ip + len - 1];

	m->ip += len;
	if (taken)
		m->ip = (uint64_t)((int64_t)m->ip + to);
}

/* One instruction. Returns true where it was an OUT. */
static bool step(struct machine *m)
{
	bool conditional = false, out = false, counted = true;

	if (m->halted)
		ck_abort_msg("run behind HLT");
	if (is(m, "\x66\x49", 2)) {
		m->zf = --m->ecx == 0;
		m->ip += 2;
	} else if (is(m, "\xf6\xc1\x01", 3)) {
		m->zf = !(m->ecx & 1);
		m->ip += 3;
	} else if (is(m, "\x66\x85\xc9", 3)) {
		m->zf = m->ecx == 0;
		m->ip += 3;
	} else if (is(m, "\x74", 1)) {
		branch(m, 2, m->zf);
		conditional = true;
	} else if (is(m, "\x75", 1)) {
		branch(m, 2, !m->zf);
		conditional = true;
	} else if (is(m, "\x67\xe3", 2)) {
		branch(m, 3, m->ecx == 0);
		conditional = true;
	} else if (is(m, "\x67\xe2", 2)) {
		branch(m, 3, --m->ecx != 0);
		conditional = true;
		counted = !m->no_loop;
	} else if (is(m, "\xeb", 1)) {
		branch(m, 2, true);
	} else if (is(m, "\x90", 1)) {
		m->ip++;
	} else if (is(m, "\xe6\x80", 2)) {
		m->ip += 2;
		out = true;
	} else if (is(m, "\xf4", 1)) {
		m->halted = true;
		return false;
	} else {
		ck_abort_msg("byte %02x at %d", m->code[m->ip], (int)m->ip);
	}
	if ((m->kind == CV_COUNTER_BENCH || conditional) && counted)
		count_one(m);
	return out;
}

static enum cv_ran go(struct machine *m, const struct cv_move *move)
{
	bool armed = move->budget != CV_COUNTER_NO_LIMIT && !m->never_fires;
	uint64_t fire = m->count + move->budget + (armed ? rnd(m, m->skid + 1) : 0);

	if (move->kind == CV_MOVE_STEP)
		return step(m) || m->halted ? CV_RAN_GUEST : CV_RAN_STEPPED;
	for (;;) {
		if (step(m)) {
			m->count += m->per_exit;
			return CV_RAN_GUEST;
		}
		if (m->halted)
			return CV_RAN_GUEST;
		if (--m->until_interrupt == 0) {
			m->until_interrupt = 3000;
			m->count += m->per_interrupt;
		}
		if (armed && m->count >= fire) {
			m->count += m->per_overflow;
			if (m->goes_back && m->count > 100)
				m->count -= 50;
			return CV_RAN_FIRED;
		}
	}
}

static int run(void *ctx, const struct cv_move *move, struct cv_selftest_stop *stop, struct cv_error *err)
{
	struct machine *m = ctx;

	if (m->fail_after && ++m->calls > m->fail_after)
		return cv_error_set(err, CV_E_IO, "the device failed");
	memset(stop, 0, sizeof(*stop));
	stop->how = go(m, move);
	stop->halted = m->halted;
	stop->count = m->count;
	stop->ip = m->ip;
	stop->ecx = m->ecx;
	return 0;
}

static int test(struct machine *m, uint64_t margin, struct cv_error *err)
{
	struct cv_selftest_guest g = {m, start, run};
	struct cv_counter c;

	cv_error_clear(err);
	cv_counter_init(&c, m->kind, margin);
	return cv_selftest_counter(&g, &c, &cv_selftest_small, err);
}

START_TEST(good_pmu_passes)
{
	struct machine m = {.kind = CV_COUNTER_PMU, .skid = 37, .seed = (uint64_t)_i};
	struct cv_error err;

	ck_assert_msg(test(&m, 100, &err) == 0, "%s", err.msg);
}
END_TEST

START_TEST(good_bench_passes)
{
	struct machine m = {.kind = CV_COUNTER_BENCH};
	struct cv_error err;

	ck_assert_msg(test(&m, 0, &err) == 0, "%s", err.msg);
}
END_TEST

START_TEST(none_passes_without_a_run)
{
	struct machine m = {.kind = CV_COUNTER_NONE, .fail_after = 1};
	struct cv_error err;

	ck_assert_int_eq(test(&m, 0, &err), 0);
	ck_assert_int_eq(m.calls, 0);
}
END_TEST

static const struct {
	struct machine m;
	const char *says, *advises;
} broken[] = {
	{{.dead = true}, "doesn't count in the guest: 0 of 1000 conditional branches", "nmi_watchdog"},
	{{.per_overflow = 1}, "(+", "through the counter's own interrupts. See that /sys/devices/cpu/freeze_on_smi"},
	{{.per_interrupt = 3}, "the pmu counter is wrong: ", "freeze_on_smi"},
	{{.per_exit = 1}, "100 conditional branches counted of 50 (+50) through forced exits", "hypervisor"},
	{{.lost_of = 400}, "998 conditional branches counted of 1000 (-2) in a plain loop of Jcc", "taskset"},
	{{.no_loop = true}, "doesn't count each LOOP as a conditional branch: 0 of 500", "--engine soft"},
	{{.skid = 300}, "too late; its margin here is 100", "--engine soft"},
	{{.never_fires = true}, "counts but never fires", "--engine soft"},
	{{.goes_back = true}, "went back", "--engine soft"},
};

START_TEST(broken_counter_is_refused_and_told)
{
	struct machine m = broken[_i].m;
	struct cv_error err;

	m.kind = CV_COUNTER_PMU;
	ck_assert_int_eq(test(&m, 100, &err), CV_E_NOTFOUND);
	ck_assert_int_eq(err.code, CV_E_NOTFOUND);
	ck_assert_msg(strstr(err.msg, "self-test of the counter: ") == err.msg, "%s", err.msg);
	ck_assert_msg(strstr(err.msg, broken[_i].says) != NULL, "%s", err.msg);
	ck_assert_msg(strstr(err.msg, broken[_i].advises) != NULL, "%s", err.msg);
	ck_assert_ptr_null(strchr(err.msg, '\n'));
}
END_TEST

START_TEST(bench_late_by_one_is_refused)
{
	struct machine m = {.kind = CV_COUNTER_BENCH, .skid = 1};
	struct cv_error err;

	ck_assert_int_eq(test(&m, 0, &err), CV_E_NOTFOUND);
	ck_assert_ptr_nonnull(strstr(err.msg, "bench counter was due at"));
}
END_TEST

START_TEST(device_failure_is_passed_on)
{
	for (int i = 1; i < 200; i += 11) {
		struct machine m = {.kind = CV_COUNTER_PMU, .skid = 5, .fail_after = i};
		struct cv_error err;

		ck_assert_int_eq(test(&m, 100, &err), CV_E_IO);
		ck_assert_str_eq(err.msg, "the device failed");
	}
}
END_TEST

/* The same on the device's functions, with a module that a software engine plays. */
START_TEST(device_with_exact_timer_passes)
{
	struct cv_error err = {0};
	char text[400];

	ck_assert_msg(cv_vtx_selftest(text, sizeof(text), &err) == 0, "%s", err.msg);
	ck_assert_msg(strstr(text, "emulator's preemption timer: ") == text, "%s", text);
	ck_assert_ptr_nonnull(strstr(text, "worst 7, margin 7"));
	ck_assert_ptr_null(fake_vtx);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vtx_selftest");
	TCase *t = tcase_create("selftest");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, good_pmu_passes, 0, 20);
	tcase_add_test(t, good_bench_passes);
	tcase_add_test(t, none_passes_without_a_run);
	tcase_add_loop_test(t, broken_counter_is_refused_and_told, 0, (int)(sizeof(broken) / sizeof(broken[0])));
	tcase_add_test(t, bench_late_by_one_is_refused);
	tcase_add_test(t, device_failure_is_passed_on);
	tcase_add_test(t, device_with_exact_timer_passes);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
