/* SPDX-License-Identifier: MIT */
/* Guest time and its deadlines. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "vmm-core/clock.h"
#include "vmm-core/error.h"

struct probe {
	struct cv_timer t;
	char name;
	uint64_t period;
};

static char fired[64];
static unsigned nfired;
static uint64_t answer;
static unsigned asked, kicked;

static void expired(void *dev, uint64_t when)
{
	struct probe *p = dev;

	ck_assert_uint_eq(p->t.when, CV_NEVER);
	ck_assert_uint_le(when, cv_clock_now(p->t.clock));
	fired[nfired++] = p->name;
	if (p->period)
		cv_timer_arm(&p->t, when + p->period);
}

static uint64_t ask(void *ctx, enum cv_event_kind why)
{
	(void)ctx;
	ck_assert_int_eq(why, CV_EV_CLOCK);
	asked++;
	return answer;
}

static void kick(void *ctx)
{
	(void)ctx;
	kicked++;
}

static struct cv_clock clk;
static struct probe a, b;

static void setup(void)
{
	cv_clock_init(&clk, false);
	clk.ask = ask;
	clk.kick = kick;
	a = (struct probe){.name = 'a'};
	b = (struct probe){.name = 'b'};
	cv_timer_add(&clk, &a.t, expired, &a);
	cv_timer_add(&clk, &b.t, expired, &b);
	nfired = asked = kicked = 0;
	memset(fired, 0, sizeof(fired));
}

START_TEST(clock_read_never_goes_back)
{
	answer = 100;
	ck_assert_uint_eq(cv_clock_read(&clk, CV_EV_CLOCK), 100);
	answer = 50;
	ck_assert_uint_eq(cv_clock_read(&clk, CV_EV_CLOCK), 100);
	ck_assert_uint_eq(cv_clock_now(&clk), 100);
	ck_assert_uint_eq(asked, 2);
}
END_TEST

START_TEST(clock_read_fires_nothing)
{
	cv_timer_arm(&a.t, 10);
	answer = 100;
	cv_clock_read(&clk, CV_EV_CLOCK);
	ck_assert_uint_eq(nfired, 0);
	ck_assert_uint_eq(cv_clock_deadline(&clk), 10);
}
END_TEST

START_TEST(clock_advance_fires_earliest_first)
{
	cv_timer_arm(&a.t, 20);
	cv_timer_arm(&b.t, 10);
	cv_clock_advance(&clk, 9);
	ck_assert_str_eq(fired, "");
	cv_clock_advance(&clk, 20);
	ck_assert_str_eq(fired, "ba");
	ck_assert_uint_eq(cv_clock_deadline(&clk), CV_NEVER);
}
END_TEST

START_TEST(clock_equal_deadlines_fire_in_order_of_registration)
{
	cv_timer_arm(&b.t, 10);
	cv_timer_arm(&a.t, 10);
	cv_clock_advance(&clk, 10);
	ck_assert_str_eq(fired, "ab");
}
END_TEST

START_TEST(clock_timer_armed_again_fires_in_the_same_advance)
{
	a.period = 10;
	cv_timer_arm(&a.t, 10);
	cv_timer_arm(&b.t, 15);
	cv_clock_advance(&clk, 30);
	ck_assert_str_eq(fired, "abaa");
	ck_assert_uint_eq(cv_clock_deadline(&clk), 40);
}
END_TEST

START_TEST(clock_arm_kicks_once_until_looked_at)
{
	cv_timer_arm(&a.t, 10);
	cv_timer_arm(&b.t, 5);
	ck_assert(clk.changed);
	ck_assert_uint_eq(kicked, 1);
	clk.changed = false;
	cv_timer_arm(&b.t, 5);
	ck_assert(!clk.changed);
	cv_timer_cancel(&b.t);
	ck_assert(clk.changed);
	ck_assert_uint_eq(kicked, 2);
	ck_assert_uint_eq(cv_clock_deadline(&clk), 10);
}
END_TEST

START_TEST(clock_save_load_continues)
{
	struct cv_wbuf w = {0};
	struct cv_rbuf r;

	cv_timer_arm(&a.t, 20);
	cv_clock_advance(&clk, 7);
	clk.skipped = 3;
	cv_clock_save(&clk, &w);
	setup();
	cv_rbuf_init(&r, w.data, w.len);
	cv_clock_load(&clk, &r);
	ck_assert_int_eq(r.err, 0);
	ck_assert_uint_eq(r.pos, r.len);
	ck_assert_uint_eq(clk.now, 7);
	ck_assert_uint_eq(clk.skipped, 3);
	ck_assert(clk.changed);
	cv_clock_advance(&clk, 20);
	ck_assert_str_eq(fired, "a");
	w.data[0] = 99;
	cv_rbuf_init(&r, w.data, w.len);
	cv_clock_load(&clk, &r);
	ck_assert_int_eq(r.err, CV_E_CORRUPT);
	cv_wbuf_release(&w);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("clock");
	TCase *t = tcase_create("clock");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, clock_read_never_goes_back);
	tcase_add_test(t, clock_read_fires_nothing);
	tcase_add_test(t, clock_advance_fires_earliest_first);
	tcase_add_test(t, clock_equal_deadlines_fire_in_order_of_registration);
	tcase_add_test(t, clock_timer_armed_again_fires_in_the_same_advance);
	tcase_add_test(t, clock_arm_kicks_once_until_looked_at);
	tcase_add_test(t, clock_save_load_continues);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
