/* SPDX-License-Identifier: MIT */
/* The real-time clock: time from the epoch, formats, setting, UIP, the three interrupts, memory size bytes. */
#include "tests/unit/fake_board.h"

#define SECOND 1000000000ull
enum { A = 10, B = 11, C = 12, D = 13 };

static struct fake *f;

/* Power-on shows 2024-02-28 23:59:50, a Wednesday. */
static void setup(void)
{
	f = fake_new();
	setup_pics(f);
}

static void teardown(void)
{
	fake_free(f);
}

static uint8_t get(struct fake *x, unsigned reg)
{
	out8(x, 0x70, 0x80 | reg);
	return in8(x, 0x71);
}

static void set(unsigned reg, unsigned v)
{
	out8(f, 0x70, reg);
	out8(f, 0x71, v);
}

/* hhmmss in BCD. */
static uint32_t time_of_day(void)
{
	return (uint32_t)get(f, 4) << 16 | (uint32_t)get(f, 2) << 8 | get(f, 0);
}

static uint32_t date(void)
{
	return (uint32_t)get(f, 0x32) << 24 | (uint32_t)get(f, 9) << 16 | (uint32_t)get(f, 8) << 8 | get(f, 7);
}

static bool rtc_interrupt(void)
{
	if (acknowledge(f) != 0x28)
		return false;
	out8(f, 0xa0, 0x20);
	out8(f, 0x20, 0x20);
	return true;
}

START_TEST(rtc_shows_epoch_plus_guest_time)
{
	ck_assert_uint_eq(time_of_day(), 0x235950);
	ck_assert_uint_eq(date(), 0x20240228);
	ck_assert_uint_eq(get(f, 6), 4);
	f->host_ns = 10 * SECOND;
	ck_assert_uint_eq(time_of_day(), 0x000000);
	ck_assert_uint_eq(date(), 0x20240229); /* a leap day */
	ck_assert_uint_eq(get(f, 6), 5);
	f->host_ns += 86400 * SECOND;
	ck_assert_uint_eq(date(), 0x20240301);
}
END_TEST

START_TEST(rtc_binary_and_twelve_hours)
{
	set(B, 0x06); /* binary, 24 h */
	ck_assert_uint_eq(get(f, 4), 23);
	ck_assert_uint_eq(get(f, 0), 50);
	ck_assert_uint_eq(get(f, 9), 24);
	ck_assert_uint_eq(get(f, 0x32), 0x20);
	set(B, 0x04); /* binary, 12 h */
	ck_assert_uint_eq(get(f, 4), 0x80 | 11);
	f->host_ns = 10 * SECOND;
	ck_assert_uint_eq(get(f, 4), 12);
	set(B, 0x00);
	ck_assert_uint_eq(get(f, 4), 0x12);
}
END_TEST

START_TEST(rtc_set_bit_stops_and_starts)
{
	set(B, 0x82);
	set(9, 0x31);
	set(8, 0x12);
	set(7, 0x31);
	set(4, 0x10);
	set(2, 0x20);
	set(0, 0x30);
	set(0x32, 0x19);
	f->host_ns = 100 * SECOND;
	ck_assert_uint_eq(time_of_day(), 0x102030);
	set(B, 0x02);
	f->host_ns = 101 * SECOND;
	ck_assert_uint_eq(time_of_day(), 0x102031);
	ck_assert_uint_eq(date(), 0x19311231);
}
END_TEST

START_TEST(rtc_write_while_running_changes_one_field)
{
	f->host_ns = SECOND / 2;
	set(4, 0x05);
	ck_assert_uint_eq(time_of_day(), 0x055950);
	f->host_ns = SECOND;
	ck_assert_uint_eq(time_of_day(), 0x055951);
}
END_TEST

START_TEST(rtc_divider_reset_delays_half_a_second)
{
	set(A, 0x76);
	set(0, 0x10);
	f->host_ns = 20 * SECOND;
	set(A, 0x26);
	f->host_ns += SECOND / 2 - 1;
	ck_assert_uint_eq(get(f, 0), 0x10);
	f->host_ns += 1;
	ck_assert_uint_eq(get(f, 0), 0x11);
}
END_TEST

START_TEST(rtc_update_in_progress_before_the_second_ends)
{
	ck_assert_uint_eq(get(f, A), 0x26);
	f->host_ns = SECOND - 200000;
	ck_assert_uint_eq(get(f, A), 0xa6);
	f->host_ns = SECOND;
	ck_assert_uint_eq(get(f, A), 0x26);
	set(A, 0xa6); /* UIP is not written */
	ck_assert_uint_eq(get(f, A), 0x26);
	ck_assert_uint_eq(get(f, D), 0x80);
}
END_TEST

START_TEST(rtc_periodic_interrupt_needs_its_flag_read)
{
	set(B, 0x42);
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), 976563); /* 1024 Hz */
	advance(f, 976563);
	ck_assert(rtc_interrupt());
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), CV_NEVER);
	ck_assert_uint_eq(get(f, C), 0xc0);
	ck_assert_uint_eq(get(f, C), 0x00);
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), 2 * 976563 - 1);
	advance(f, 50 * 976563);
	ck_assert(rtc_interrupt());
	ck_assert(!pending(f));
}
END_TEST

START_TEST(rtc_update_interrupt_each_second)
{
	set(B, 0x12);
	advance(f, SECOND - 1);
	ck_assert(!pending(f));
	advance(f, SECOND);
	ck_assert(rtc_interrupt());
	ck_assert_uint_eq(get(f, C) & 0x90, 0x90);
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), 2 * SECOND);
}
END_TEST

START_TEST(rtc_alarm_matches_with_wildcards)
{
	set(1, 0x05);
	set(3, 0xff);
	set(5, 0xc0);
	set(B, 0x22);
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), 15 * SECOND); /* 00:00:05 */
	advance(f, 15 * SECOND);
	ck_assert(rtc_interrupt());
	ck_assert_uint_eq(get(f, C) & 0xa0, 0xa0);
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), 75 * SECOND);
	set(5, 0x24); /* never */
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), CV_NEVER);
}
END_TEST

START_TEST(rtc_flags_come_without_interrupts)
{
	f->host_ns = 3 * SECOND;
	ck_assert_uint_eq(get(f, C), 0x50); /* a second ended, periodic ticks passed */
	ck_assert(!pending(f));
	f->host_ns += 1000;
	ck_assert_uint_eq(get(f, C), 0);
	f->host_ns += 2 * 86400 * SECOND;
	ck_assert_uint_eq(get(f, C) & 0x20, 0x20); /* 00:00:00 went by */
}
END_TEST

START_TEST(rtc_nvram_tells_memory_size)
{
	ck_assert_uint_eq(get(f, 0x15) | get(f, 0x16) << 8, 640);
	ck_assert_uint_eq(get(f, 0x30) | get(f, 0x31) << 8, 15 * 1024);
	ck_assert_uint_eq(get(f, 0x34) | get(f, 0x35) << 8, 0);
	set(0x40, 0x5a);
	ck_assert_uint_eq(get(f, 0x40), 0x5a);
	set(D, 0);
	ck_assert_uint_eq(get(f, D), 0x80);
}
END_TEST

START_TEST(rtc_nvram_asks_for_no_time)
{
	get(f, 0x40);
	set(0x41, 1);
	get(f, D);
	get(f, B);
	ck_assert_uint_eq(f->looks, 0);
}
END_TEST

static void go(struct fake *x, struct cv_wbuf *log)
{
	unsigned i, reg;

	cv_put_u8(log, in8(x, 0x71)); /* by the index that was selected */
	for (i = 0; i < 20; i++) {
		advance(x, x->host_ns + 333333333);
		for (reg = 0; reg < 14; reg++)
			cv_put_u8(log, get(x, reg));
		cv_put_u32(log, (uint32_t)acknowledge(x));
		out8(x, 0xa0, 0x20);
		out8(x, 0x20, 0x20);
	}
}

START_TEST(rtc_save_load_continues)
{
	f->host_ns = 123456789;
	set(4, 0x12);
	set(1, 0x52);
	set(3, 0xff);
	set(5, 0xff);
	set(A, 0x2f);
	set(B, 0x72);
	out8(f, 0x70, 0x34);
	check_continues(f, go);
	check_refuses(f, "rtc");
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
		rtc_shows_epoch_plus_guest_time,
		rtc_binary_and_twelve_hours,
		rtc_set_bit_stops_and_starts,
		rtc_write_while_running_changes_one_field,
		rtc_divider_reset_delays_half_a_second,
		rtc_update_in_progress_before_the_second_ends,
		rtc_periodic_interrupt_needs_its_flag_read,
		rtc_update_interrupt_each_second,
		rtc_alarm_matches_with_wildcards,
		rtc_flags_come_without_interrupts,
		rtc_nvram_tells_memory_size,
		rtc_nvram_asks_for_no_time,
		rtc_save_load_continues,
	};

	return run_tests("rtc", tests, sizeof(tests) / sizeof(tests[0]), setup, teardown);
}
