/* SPDX-License-Identifier: MIT */
/* The 8254: modes, latches, read-back, BCD, timer 0's interrupt, timer 2's gate and port 61h. */
#include "tests/unit/fake_board.h"

/* The first ns by which n ticks of 1193182 Hz have passed. */
static uint64_t ns(uint64_t ticks)
{
	return (uint64_t)(((unsigned __int128)ticks * 1000000000u + 1193181) / 1193182);
}

static struct fake *f;

static void setup(void)
{
	f = fake_new();
	setup_pics(f);
}

static void teardown(void)
{
	fake_free(f);
}

static void program(unsigned ch, unsigned mode, unsigned count)
{
	out8(f, 0x43, ch << 6 | 0x30 | mode << 1);
	out8(f, 0x40 + ch, count & 0xff);
	out8(f, 0x40 + ch, count >> 8);
}

static unsigned read16(struct fake *x, unsigned ch)
{
	unsigned low = in8(x, 0x40 + ch);

	return low | (unsigned)in8(x, 0x40 + ch) << 8;
}

static bool tick(void)
{
	if (acknowledge(f) != 0x20)
		return false;
	out8(f, 0x20, 0x20);
	return true;
}

START_TEST(pit_mode0_fires_once_at_terminal_count)
{
	f->host_ns = 5000;
	program(0, 0, 1000);
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), 5000 + ns(1000));
	advance(f, 5000 + ns(1000) - 1);
	ck_assert(!pending(f));
	advance(f, 5000 + ns(1000));
	ck_assert(tick());
	advance(f, 5000 + ns(100000));
	ck_assert(!pending(f));
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), CV_NEVER);
}
END_TEST

START_TEST(pit_mode2_fires_each_period)
{
	unsigned i;

	program(0, 2, 11932);
	for (i = 1; i <= 5; i++) {
		ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), ns(11932 * i));
		advance(f, ns(11932 * i));
		ck_assert(tick());
		ck_assert(!pending(f));
	}
}
END_TEST

START_TEST(pit_missed_periods_fire_once_and_keep_phase)
{
	program(0, 3, 1000);
	advance(f, ns(5500));
	ck_assert(tick());
	ck_assert(!pending(f));
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), ns(6000));
}
END_TEST

START_TEST(pit_mode4_strobes_once)
{
	program(0, 4, 50);
	advance(f, ns(51) - 1);
	ck_assert(!pending(f));
	advance(f, ns(51));
	ck_assert(tick());
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), CV_NEVER);
}
END_TEST

START_TEST(pit_count_zero_is_65536)
{
	program(0, 2, 0);
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), ns(65536));
	f->host_ns = ns(1);
	ck_assert_uint_eq(read16(f, 0), 0xffff);
}
END_TEST

START_TEST(pit_latch_holds_until_read)
{
	unsigned looks;

	program(0, 2, 1000);
	f->host_ns = ns(300);
	out8(f, 0x43, 0x00);
	f->host_ns = ns(400);
	out8(f, 0x43, 0x00); /* ignored: one is latched */
	looks = f->looks;
	ck_assert_uint_eq(read16(f, 0), 700);
	ck_assert_uint_eq(f->looks, looks); /* a latched count asks for no time */
	ck_assert_uint_eq(read16(f, 0), 600);
	ck_assert_uint_gt(f->looks, looks);
}
END_TEST

START_TEST(pit_read_back_gives_status_then_count)
{
	program(0, 2, 1000);
	f->host_ns = ns(999);
	out8(f, 0x43, 0xc2); /* status and count of channel 0 */
	ck_assert_uint_eq(in8(f, 0x40), 0x34);
	ck_assert_uint_eq(read16(f, 0), 1);
	out8(f, 0x43, 0x36);
	out8(f, 0x43, 0xe2); /* status only: OUT high, null count */
	ck_assert_uint_eq(in8(f, 0x40), 0xc0 | 0x36);
}
END_TEST

START_TEST(pit_single_byte_access)
{
	out8(f, 0x43, 0x14); /* low byte only, mode 2 */
	out8(f, 0x40, 100);
	f->host_ns = ns(1);
	ck_assert_uint_eq(in8(f, 0x40), 99);
	ck_assert_uint_eq(in8(f, 0x40), 99);
	out8(f, 0x43, 0x24); /* high byte only */
	out8(f, 0x40, 1);
	f->host_ns += ns(2);
	ck_assert_uint_eq(in8(f, 0x40), 0);
}
END_TEST

START_TEST(pit_bcd_counts_in_decimal)
{
	out8(f, 0x43, 0x35); /* mode 2, BCD */
	out8(f, 0x40, 0x00);
	out8(f, 0x40, 0x10); /* 1000 */
	f->host_ns = ns(1);
	ck_assert_uint_eq(read16(f, 0), 0x0999);
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), ns(1000));
	out8(f, 0x43, 0x35);
	out8(f, 0x40, 0x00);
	out8(f, 0x40, 0x00);
	f->host_ns += ns(1);
	ck_assert_uint_eq(read16(f, 0), 0x9999);
}
END_TEST

START_TEST(pit_mode3_counts_by_two)
{
	program(0, 3, 1000);
	f->host_ns = ns(100);
	ck_assert_uint_eq(read16(f, 0), 800);
	f->host_ns = ns(600);
	ck_assert_uint_eq(read16(f, 0), 800);
}
END_TEST

START_TEST(pit_channel2_out_shows_at_port61)
{
	out8(f, 0x61, 1); /* gate */
	program(2, 0, 100);
	ck_assert_uint_eq(in8(f, 0x61) & 0x20, 0);
	f->host_ns += ns(100);
	ck_assert_uint_eq(in8(f, 0x61) & 0x20, 0x20);
	ck_assert_uint_eq(in8(f, 0x61) & 0x03, 1);
}
END_TEST

START_TEST(pit_gate_stops_and_goes_on_in_mode0)
{
	out8(f, 0x61, 1);
	program(2, 0, 100);
	f->host_ns = ns(40);
	out8(f, 0x61, 0);
	f->host_ns = ns(4000);
	ck_assert_uint_eq(read16(f, 2), 60);
	out8(f, 0x61, 1);
	ck_assert_uint_eq(read16(f, 2), 60);
	f->host_ns += ns(60) + 1000;
	ck_assert_uint_eq(in8(f, 0x61) & 0x20, 0x20);
}
END_TEST

START_TEST(pit_gate_restarts_mode2_and_triggers_mode1)
{
	program(2, 2, 100);
	f->host_ns = ns(50);
	ck_assert_uint_eq(read16(f, 2), 100); /* gate low: does not count */
	out8(f, 0x61, 1);
	f->host_ns += ns(30);
	ck_assert_uint_eq(read16(f, 2), 70);
	out8(f, 0x61, 0);
	program(2, 1, 100);
	ck_assert_uint_eq(in8(f, 0x61) & 0x20, 0x20);
	out8(f, 0x61, 1);
	ck_assert_uint_eq(in8(f, 0x61) & 0x20, 0);
	f->host_ns += ns(100);
	ck_assert_uint_eq(in8(f, 0x61) & 0x20, 0x20);
}
END_TEST

START_TEST(pit_mode5_strobes_after_its_trigger)
{
	program(2, 5, 10);
	ck_assert_uint_eq(in8(f, 0x61) & 0x20, 0x20);
	out8(f, 0x61, 1);
	f->host_ns += ns(10);
	ck_assert_uint_eq(in8(f, 0x61) & 0x20, 0);
	f->host_ns += ns(1) + 1;
	ck_assert_uint_eq(in8(f, 0x61) & 0x20, 0x20);
}
END_TEST

START_TEST(pit_refresh_toggles_without_time)
{
	uint8_t a = in8(f, 0x61), b = in8(f, 0x61);

	ck_assert_uint_eq((a ^ b) & 0x10, 0x10);
	ck_assert_uint_eq(f->looks, 0);
}
END_TEST

static void go(struct fake *x, struct cv_wbuf *log)
{
	unsigned i;

	out8(x, 0x40, 0x01); /* the high byte that was awaited */
	for (i = 0; i < 12; i++) {
		advance(x, x->host_ns + 100001);
		cv_put_u16(log, (uint16_t)read16(x, 0));
		cv_put_u16(log, (uint16_t)read16(x, 1));
		cv_put_u16(log, (uint16_t)read16(x, 2));
		cv_put_u8(log, in8(x, 0x61));
		cv_put_u32(log, (uint32_t)acknowledge(x));
		out8(x, 0x20, 0x20);
		if (i == 5)
			out8(x, 0x61, 3);
	}
}

START_TEST(pit_save_load_continues)
{
	f->host_ns = 12345;
	program(1, 2, 18);
	out8(f, 0x61, 1);
	program(2, 0, 30000);
	f->host_ns = 23456;
	out8(f, 0x61, 0);
	in8(f, 0x61);
	program(0, 2, 500);
	f->host_ns = 34567;
	out8(f, 0x43, 0xc2);
	out8(f, 0x43, 0x84);
	in8(f, 0x42);
	out8(f, 0x40, 0x80); /* low byte of a new count */
	check_continues(f, go);
	check_refuses(f, "pit");
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
		pit_mode0_fires_once_at_terminal_count,
		pit_mode2_fires_each_period,
		pit_missed_periods_fire_once_and_keep_phase,
		pit_mode4_strobes_once,
		pit_count_zero_is_65536,
		pit_latch_holds_until_read,
		pit_read_back_gives_status_then_count,
		pit_single_byte_access,
		pit_bcd_counts_in_decimal,
		pit_mode3_counts_by_two,
		pit_channel2_out_shows_at_port61,
		pit_gate_stops_and_goes_on_in_mode0,
		pit_gate_restarts_mode2_and_triggers_mode1,
		pit_mode5_strobes_after_its_trigger,
		pit_refresh_toggles_without_time,
		pit_save_load_continues,
	};

	return run_tests("pit", tests, sizeof(tests) / sizeof(tests[0]), setup, teardown);
}
