/* SPDX-License-Identifier: MIT */
/* The keyboard controller without a keyboard, port 92h, and the ways to reset. */
#include "tests/unit/fake_board.h"

enum { DATA = 0x60, STATUS = 0x64, COMMAND = 0x64 };

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

START_TEST(i8042_self_test_passes)
{
	ck_assert_uint_eq(in8(f, STATUS) & 3, 0);
	out8(f, COMMAND, 0xaa);
	ck_assert_uint_eq(in8(f, STATUS) & 1, 1);
	ck_assert_uint_eq(in8(f, DATA), 0x55);
	ck_assert_uint_eq(in8(f, STATUS) & 1, 0);
	out8(f, COMMAND, 0xab);
	ck_assert_uint_eq(in8(f, DATA), 0);
}
END_TEST

START_TEST(i8042_configuration_byte_is_kept)
{
	out8(f, COMMAND, 0x60);
	out8(f, DATA, 0x47);
	out8(f, COMMAND, 0x20);
	ck_assert_uint_eq(in8(f, DATA), 0x47);
	out8(f, COMMAND, 0xad);
	out8(f, COMMAND, 0xa7);
	out8(f, COMMAND, 0x20);
	ck_assert_uint_eq(in8(f, DATA), 0x77);
	out8(f, COMMAND, 0x63);
	out8(f, DATA, 0x12);
	out8(f, COMMAND, 0x23);
	ck_assert_uint_eq(in8(f, DATA), 0x12);
}
END_TEST

START_TEST(i8042_absent_keyboard_times_out)
{
	out8(f, DATA, 0xf4);
	ck_assert_uint_eq(in8(f, STATUS) & 0x61, 0x41);
	ck_assert_uint_eq(in8(f, DATA), 0xfe);
	ck_assert_uint_eq(in8(f, STATUS) & 0x61, 0);
	out8(f, COMMAND, 0xd4); /* mouse */
	out8(f, DATA, 0xf4);
	ck_assert_uint_eq(in8(f, STATUS) & 0x61, 0x61);
	in8(f, DATA);
}
END_TEST

START_TEST(i8042_output_raises_its_line_when_enabled)
{
	out8(f, COMMAND, 0xd2);
	out8(f, DATA, 0x1c);
	ck_assert(!pending(f));
	in8(f, DATA);
	out8(f, COMMAND, 0x60);
	out8(f, DATA, 0x01);
	out8(f, COMMAND, 0xd2);
	out8(f, DATA, 0x1c);
	ck_assert_int_eq(acknowledge(f), 0x21);
	ck_assert_uint_eq(in8(f, DATA), 0x1c);
	out8(f, 0x20, 0x20);
	ck_assert(!pending(f));
}
END_TEST

START_TEST(i8042_a20_is_one_bit_everywhere)
{
	ck_assert_uint_eq(in8(f, 0x92), 0x02);
	ck_assert(!f->a20_off);
	out8(f, COMMAND, 0xdd);
	ck_assert_uint_eq(in8(f, 0x92), 0x00);
	ck_assert(f->a20_off);
	out8(f, COMMAND, 0xd1);
	out8(f, DATA, 0x03);
	ck_assert_uint_eq(in8(f, 0x92), 0x02);
	ck_assert(!f->a20_off);
	out8(f, 0x92, 0x00);
	ck_assert(f->a20_off);
	out8(f, COMMAND, 0xd0);
	ck_assert_uint_eq(in8(f, DATA) & 3, 1);
	out8(f, COMMAND, 0xdf);
	ck_assert_uint_eq(in8(f, 0x92), 0x02);
	ck_assert(!f->a20_off);
	ck_assert_uint_eq(f->resets, 0);
}
END_TEST

START_TEST(i8042_pulse_resets)
{
	out8(f, COMMAND, 0xff); /* pulses no line */
	ck_assert_uint_eq(f->resets, 0);
	out8(f, COMMAND, 0xfe);
	ck_assert_uint_eq(f->resets, 1);
	out8(f, COMMAND, 0xd1);
	out8(f, DATA, 0x02);
	ck_assert_uint_eq(f->resets, 2);
	out8(f, 0x92, 0x03);
	ck_assert_uint_eq(f->resets, 3);
}
END_TEST

START_TEST(i8042_asks_for_no_time)
{
	unsigned i;

	for (i = 0; i < 100; i++)
		in8(f, STATUS);
	ck_assert_uint_eq(f->looks, 0);
}
END_TEST

static void go(struct fake *x, struct cv_wbuf *log)
{
	out8(x, DATA, 0x03); /* data of the command that was given */
	cv_put_u8(log, in8(x, STATUS));
	cv_put_u8(log, in8(x, DATA));
	cv_put_u8(log, in8(x, STATUS));
	cv_put_u8(log, in8(x, 0x92));
	out8(x, COMMAND, 0x25);
	cv_put_u32(log, (uint32_t)acknowledge(x));
	cv_put_u8(log, in8(x, DATA));
}

START_TEST(i8042_save_load_continues)
{
	out8(f, COMMAND, 0x65);
	out8(f, DATA, 0x99);
	out8(f, COMMAND, 0x60);
	out8(f, DATA, 0x05);
	out8(f, COMMAND, 0xdd);
	out8(f, COMMAND, 0xaa);
	out8(f, COMMAND, 0xd1);
	check_continues(f, go);
	check_refuses(f, "i8042");
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
		i8042_self_test_passes,
		i8042_configuration_byte_is_kept,
		i8042_absent_keyboard_times_out,
		i8042_output_raises_its_line_when_enabled,
		i8042_a20_is_one_bit_everywhere,
		i8042_pulse_resets,
		i8042_asks_for_no_time,
		i8042_save_load_continues,
	};

	return run_tests("i8042", tests, sizeof(tests) / sizeof(tests[0]), setup, teardown);
}
