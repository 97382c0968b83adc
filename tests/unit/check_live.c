/* SPDX-License-Identifier: MIT */
/* The live environment: time that pauses, console input with its escape, commands, waiting, entropy. */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "replay/replay.h"
#include "vmm-core/clock.h"

struct fixture {
	struct cv_live *live;
	struct cv_env *env;
	int in[2], out[2];
	struct cv_pos pos;
	struct cv_event ev;
};

static void setup(struct fixture *f, bool virtual_clock)
{
	struct cv_live_config cfg = {.virtual_clock = virtual_clock, .seed = 7, .raw_escape = true, .wake_fd = -1};

	memset(f, 0, sizeof(*f));
	ck_assert_int_eq(pipe(f->in), 0);
	ck_assert_int_eq(pipe(f->out), 0);
	cfg.in_fd = f->in[0];
	cfg.out_fd = f->out[1];
	ck_assert_int_eq(cv_live_new(&f->live, &cfg, NULL), 0);
	f->env = cv_live_env(f->live);
}

static void teardown(struct fixture *f)
{
	cv_live_free(f->live);
	close(f->in[0]);
	if (f->in[1] >= 0)
		close(f->in[1]);
	close(f->out[0]);
	close(f->out[1]);
}

static void type(struct fixture *f, const char *text)
{
	ck_assert_int_eq(write(f->in[1], text, strlen(text)), (ssize_t)strlen(text));
}

/* Polls a slice later, so that the console is looked at. */
static bool poll_next(struct fixture *f, uint64_t deadline, size_t room)
{
	f->pos.insns += f->env->ops->horizon(f->env, &f->pos);
	return f->env->ops->poll(f->env, &f->pos, deadline, room, &f->ev);
}

static uint64_t now(struct fixture *f)
{
	return f->env->ops->clock(f->env, &f->pos, CV_EV_TSC);
}

static void sleep_ms(long ms)
{
	struct timespec ts = {.tv_nsec = ms * 1000000};

	nanosleep(&ts, NULL);
}

START_TEST(clock_lent_goes_on_from_what_was_taken)
{
	struct fixture f;
	uint64_t delta, floor, host;
	struct timespec ts;

	setup(&f, false);
	ck_assert(f.env->ops->clock_base(f.env, &delta, &floor));
	clock_gettime(CLOCK_MONOTONIC, &ts);
	host = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
	ck_assert_uint_le(host + delta, now(&f));
	f.env->ops->clock_taken(f.env, &f.pos, now(&f) + 5000000000ull);
	ck_assert(f.env->ops->clock_base(f.env, &delta, &floor));
	ck_assert_uint_ge(floor, 5000000000ull);
	ck_assert_uint_ge(now(&f), floor);
	f.env->ops->clock_taken(f.env, &f.pos, 0); /* never back */
	ck_assert_uint_ge(now(&f), floor);
	cv_live_pause(f.live);
	ck_assert(!f.env->ops->clock_base(f.env, &delta, &floor));
	cv_live_resume(f.live);
	ck_assert(f.env->ops->clock_base(f.env, &delta, &floor));
	teardown(&f);
	setup(&f, true);
	ck_assert(!f.env->ops->clock_base(f.env, &delta, &floor));
	teardown(&f);
}
END_TEST

START_TEST(clock_paused_stands_still)
{
	struct fixture f;
	uint64_t a, b;

	setup(&f, false);
	cv_live_pause(f.live);
	a = now(&f);
	sleep_ms(30);
	ck_assert_uint_eq(now(&f), a);
	cv_live_resume(f.live);
	b = now(&f);
	ck_assert_uint_ge(b, a);
	ck_assert_uint_lt(b - a, 20000000);
	sleep_ms(2);
	ck_assert_uint_gt(now(&f), b);
	teardown(&f);
}
END_TEST

START_TEST(poll_deadline_passed_gives_time)
{
	struct fixture f;

	setup(&f, false);
	ck_assert(!poll_next(&f, now(&f) + 1000000000ull, 16));
	ck_assert(!poll_next(&f, CV_NEVER, 16));
	ck_assert(poll_next(&f, now(&f), 16));
	ck_assert_int_eq(f.ev.kind, CV_EV_TIME);
	ck_assert_uint_le(f.ev.value, now(&f));
	teardown(&f);
}
END_TEST

START_TEST(poll_between_boundaries_gives_nothing)
{
	struct fixture f;

	setup(&f, false);
	f.pos.sub = 1;
	ck_assert(!poll_next(&f, 0, 16));
	f.pos.sub = 0;
	f.pos.in_rep = true;
	ck_assert(!poll_next(&f, 0, 16));
	f.pos.in_rep = false;
	ck_assert(poll_next(&f, 0, 16));
	teardown(&f);
}
END_TEST

START_TEST(console_input_respects_room)
{
	struct fixture f;

	setup(&f, false);
	type(&f, "abcdef");
	ck_assert(!poll_next(&f, CV_NEVER, 0));
	ck_assert(poll_next(&f, CV_NEVER, 4));
	ck_assert_int_eq(f.ev.kind, CV_EV_CONSOLE_IN);
	ck_assert_uint_eq(f.ev.len, 4);
	ck_assert_mem_eq(f.ev.data, "abcd", 4);
	ck_assert(poll_next(&f, CV_NEVER, 4));
	ck_assert_mem_eq(f.ev.data, "ef", 2);
	teardown(&f);
}
END_TEST

START_TEST(console_escape_becomes_commands)
{
	struct fixture f;
	char help[400] = "";

	setup(&f, false);
	type(&f, "x\1by");
	ck_assert(poll_next(&f, CV_NEVER, 16));
	ck_assert_uint_eq(f.ev.len, 3);
	ck_assert_mem_eq(f.ev.data, "x\1y", 3);
	type(&f, "\1n");
	ck_assert(poll_next(&f, CV_NEVER, 16));
	ck_assert_int_eq(f.ev.kind, CV_EV_COMMAND);
	ck_assert_uint_eq(f.ev.value, CV_CMD_NMI);
	type(&f, "\1h");
	ck_assert(!poll_next(&f, CV_NEVER, 16));
	ck_assert_int_gt(read(f.out[0], help, sizeof(help) - 1), 0);
	ck_assert_ptr_nonnull(strstr(help, "Ctrl-A x"));
	type(&f, "\1x");
	ck_assert(poll_next(&f, CV_NEVER, 16));
	ck_assert_uint_eq(f.ev.value, CV_CMD_STOP);
	ck_assert(!poll_next(&f, CV_NEVER, 16));
	teardown(&f);
}
END_TEST

START_TEST(command_given_is_delivered_once)
{
	struct fixture f;

	setup(&f, true);
	cv_live_command(f.live, CV_CMD_POWER_BUTTON);
	cv_live_command(f.live, CV_CMD_STOP);
	ck_assert(poll_next(&f, CV_NEVER, 16));
	ck_assert_uint_eq(f.ev.value, CV_CMD_STOP);
	ck_assert(f.env->ops->wait(f.env, &f.pos, CV_NEVER, 16, &f.ev));
	ck_assert_uint_eq(f.ev.value, CV_CMD_POWER_BUTTON);
	ck_assert(!poll_next(&f, CV_NEVER, 16));
	teardown(&f);
}
END_TEST

START_TEST(wait_deadline_sleeps_until_it)
{
	struct fixture f;
	uint64_t deadline;

	setup(&f, false);
	deadline = now(&f) + 5000000;
	ck_assert(f.env->ops->wait(f.env, &f.pos, deadline, 16, &f.ev));
	ck_assert_int_eq(f.ev.kind, CV_EV_TIME);
	ck_assert_uint_ge(f.ev.value, deadline);
	teardown(&f);
}
END_TEST

START_TEST(wait_input_closed_is_exhausted)
{
	struct fixture f;

	setup(&f, false);
	type(&f, "z");
	close(f.in[1]);
	f.in[1] = -1;
	ck_assert(f.env->ops->wait(f.env, &f.pos, CV_NEVER, 16, &f.ev));
	ck_assert_int_eq(f.ev.kind, CV_EV_CONSOLE_IN);
	while (!f.env->exhausted)
		ck_assert(!f.env->ops->wait(f.env, &f.pos, CV_NEVER, 16, &f.ev));
	ck_assert(!f.env->failed);
	teardown(&f);
}
END_TEST

START_TEST(wait_virtual_with_deadline_returns_at_once)
{
	struct fixture f;

	setup(&f, true);
	ck_assert(!f.env->ops->wait(f.env, &f.pos, 1000000000000ull, 16, &f.ev));
	ck_assert(!f.env->exhausted);
	teardown(&f);
}
END_TEST

START_TEST(entropy_virtual_follows_the_seed)
{
	struct fixture a, b;
	uint8_t x[40], y[40];

	setup(&a, true);
	setup(&b, true);
	a.env->ops->entropy(a.env, &a.pos, x, sizeof(x));
	b.env->ops->entropy(b.env, &b.pos, y, sizeof(y));
	ck_assert_mem_eq(x, y, sizeof(x));
	a.env->ops->entropy(a.env, &a.pos, x, sizeof(x));
	ck_assert_mem_ne(x, y, sizeof(x));
	teardown(&a);
	teardown(&b);
	setup(&a, false);
	setup(&b, false);
	a.env->ops->entropy(a.env, &a.pos, x, sizeof(x));
	b.env->ops->entropy(b.env, &b.pos, y, sizeof(y));
	ck_assert_mem_ne(x, y, sizeof(x));
	teardown(&a);
	teardown(&b);
}
END_TEST

START_TEST(console_output_is_passed_on)
{
	struct fixture f;
	char got[16] = "";

	setup(&f, false);
	f.env->ops->console_out(f.env, &f.pos, (const uint8_t *)"hi\n", 3);
	poll_next(&f, CV_NEVER, 16);
	ck_assert_int_eq(read(f.out[0], got, sizeof(got)), 3);
	ck_assert_str_eq(got, "hi\n");
	teardown(&f);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("live");
	TCase *tc = tcase_create("live");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, clock_lent_goes_on_from_what_was_taken);
	tcase_add_test(tc, clock_paused_stands_still);
	tcase_add_test(tc, poll_deadline_passed_gives_time);
	tcase_add_test(tc, poll_between_boundaries_gives_nothing);
	tcase_add_test(tc, console_input_respects_room);
	tcase_add_test(tc, console_escape_becomes_commands);
	tcase_add_test(tc, command_given_is_delivered_once);
	tcase_add_test(tc, wait_deadline_sleeps_until_it);
	tcase_add_test(tc, wait_input_closed_is_exhausted);
	tcase_add_test(tc, wait_virtual_with_deadline_returns_at_once);
	tcase_add_test(tc, entropy_virtual_follows_the_seed);
	tcase_add_test(tc, console_output_is_passed_on);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
