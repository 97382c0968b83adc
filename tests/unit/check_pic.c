/* SPDX-License-Identifier: MIT */
/* The 8259A pair: initialisation, priorities, EOI in all its forms, poll, special modes, ELCR, spurious requests. */
#include "tests/unit/fake_board.h"

static struct fake *f;
static struct cv_irq *irq;

static void setup(void)
{
	f = fake_new();
	irq = fake_device(f, "lines");
	setup_pics(f);
}

static void teardown(void)
{
	fake_free(f);
}

static uint8_t read_isr(unsigned port)
{
	out8(f, port, 0x0b);
	return in8(f, port);
}

static uint8_t read_irr(unsigned port)
{
	out8(f, port, 0x0a);
	return in8(f, port);
}

START_TEST(pic_edge_is_taken_once)
{
	cv_irq_set(irq, 4, true);
	ck_assert(pending(f));
	ck_assert_uint_eq(read_irr(0x20), 0x10);
	ck_assert_int_eq(acknowledge(f), 0x24);
	ck_assert(!pending(f));
	ck_assert_uint_eq(read_isr(0x20), 0x10);
	out8(f, 0x20, 0x20);
	ck_assert_uint_eq(read_isr(0x20), 0);
	ck_assert(!pending(f)); /* the line is still up, but there was no new edge */
	cv_irq_pulse(irq, 4);
	ck_assert_int_eq(acknowledge(f), 0x24);
}
END_TEST

START_TEST(pic_masked_request_waits)
{
	out8(f, 0x21, 0x10);
	ck_assert_uint_eq(in8(f, 0x21), 0x10);
	cv_irq_set(irq, 4, true);
	ck_assert(!pending(f));
	out8(f, 0x21, 0);
	ck_assert_int_eq(acknowledge(f), 0x24);
}
END_TEST

START_TEST(pic_higher_priority_interrupts_lower)
{
	cv_irq_set(irq, 4, true);
	ck_assert_int_eq(acknowledge(f), 0x24);
	cv_irq_set(irq, 5, true);
	ck_assert(!pending(f));
	cv_irq_set(irq, 1, true);
	ck_assert_int_eq(acknowledge(f), 0x21);
	out8(f, 0x20, 0x20); /* ends 1 */
	ck_assert(!pending(f));
	out8(f, 0x20, 0x20); /* ends 4 */
	ck_assert_int_eq(acknowledge(f), 0x25);
}
END_TEST

START_TEST(pic_slave_request_comes_through_the_cascade)
{
	cv_irq_set(irq, 10, true);
	ck_assert_int_eq(acknowledge(f), 0x2a);
	ck_assert_uint_eq(read_isr(0x20), 0x04);
	ck_assert_uint_eq(read_isr(0xa0), 0x04);
	cv_irq_set(irq, 8, true); /* blocked by IR2 in service at the master */
	ck_assert(!pending(f));
	out8(f, 0xa0, 0x20);
	out8(f, 0x20, 0x20);
	ck_assert_int_eq(acknowledge(f), 0x28);
}
END_TEST

START_TEST(pic_special_fully_nested_lets_the_slave_interrupt_itself)
{
	out8(f, 0x20, 0x11);
	out8(f, 0x21, 0x20);
	out8(f, 0x21, 0x04);
	out8(f, 0x21, 0x11);
	cv_irq_set(irq, 10, true);
	ck_assert_int_eq(acknowledge(f), 0x2a);
	cv_irq_set(irq, 8, true);
	ck_assert_int_eq(acknowledge(f), 0x28);
}
END_TEST

START_TEST(pic_request_gone_before_acknowledge_is_spurious)
{
	struct cv_pic *pic = fake_device(f, "pic");

	cv_irq_set(irq, 4, true);
	cv_irq_set(irq, 4, false);
	ck_assert(!pending(f));
	ck_assert_uint_eq(cv_pic_acknowledge(pic), 0x27);
	ck_assert_uint_eq(read_isr(0x20), 0);
}
END_TEST

START_TEST(pic_level_request_repeats_until_line_falls)
{
	out8(f, 0x4d1, 0x02);
	ck_assert_uint_eq(in8(f, 0x4d1), 0x02);
	cv_irq_set(irq, 9, true);
	ck_assert_int_eq(acknowledge(f), 0x29);
	out8(f, 0xa0, 0x20);
	out8(f, 0x20, 0x20);
	ck_assert_int_eq(acknowledge(f), 0x29);
	cv_irq_set(irq, 9, false);
	out8(f, 0xa0, 0x20);
	out8(f, 0x20, 0x20);
	ck_assert(!pending(f));
}
END_TEST

START_TEST(pic_elcr_keeps_system_lines_edge)
{
	out8(f, 0x4d0, 0xff);
	out8(f, 0x4d1, 0xff);
	ck_assert_uint_eq(in8(f, 0x4d0), 0xf8);
	ck_assert_uint_eq(in8(f, 0x4d1), 0xde);
}
END_TEST

START_TEST(pic_specific_eoi_ends_that_one)
{
	cv_irq_set(irq, 5, true);
	acknowledge(f);
	cv_irq_set(irq, 3, true);
	acknowledge(f);
	out8(f, 0x20, 0x65);
	ck_assert_uint_eq(read_isr(0x20), 0x08);
}
END_TEST

START_TEST(pic_rotation_makes_the_served_one_last)
{
	cv_irq_set(irq, 4, true);
	acknowledge(f);
	out8(f, 0x20, 0xa0); /* rotate on non-specific EOI: 4 is lowest, 5 highest */
	cv_irq_set(irq, 1, true);
	cv_irq_set(irq, 5, true);
	ck_assert_int_eq(acknowledge(f), 0x25);
	out8(f, 0x20, 0x20);
	out8(f, 0x20, 0xc7); /* set priority: back to 0 highest */
	cv_irq_pulse(irq, 5);
	ck_assert_int_eq(acknowledge(f), 0x21);
}
END_TEST

START_TEST(pic_auto_eoi_leaves_nothing_in_service)
{
	out8(f, 0x20, 0x11);
	out8(f, 0x21, 0x20);
	out8(f, 0x21, 0x04);
	out8(f, 0x21, 0x03);
	out8(f, 0x20, 0x80); /* rotate in AEOI mode */
	cv_irq_set(irq, 3, true);
	ck_assert_int_eq(acknowledge(f), 0x23);
	ck_assert_uint_eq(read_isr(0x20), 0);
	cv_irq_set(irq, 1, true);
	cv_irq_set(irq, 4, true);
	ck_assert_int_eq(acknowledge(f), 0x24);
}
END_TEST

START_TEST(pic_poll_takes_the_request)
{
	cv_irq_set(irq, 6, true);
	out8(f, 0x20, 0x0c);
	ck_assert_uint_eq(in8(f, 0x20), 0x86);
	ck_assert(!pending(f));
	ck_assert_uint_eq(read_isr(0x20), 0x40);
	out8(f, 0x20, 0x0c);
	ck_assert_uint_eq(in8(f, 0x20), 0x00);
}
END_TEST

START_TEST(pic_special_mask_lets_lower_ones_in)
{
	cv_irq_set(irq, 3, true);
	acknowledge(f);
	cv_irq_set(irq, 6, true);
	ck_assert(!pending(f));
	out8(f, 0x21, 0x08);
	out8(f, 0x20, 0x68);
	ck_assert_int_eq(acknowledge(f), 0x26);
	out8(f, 0x20, 0x48);
	ck_assert(!pending(f));
}
END_TEST

START_TEST(pic_initialisation_forgets_edges_and_mask)
{
	out8(f, 0x21, 0xff);
	cv_irq_set(irq, 4, true);
	out8(f, 0x20, 0x13); /* single, ICW4 */
	out8(f, 0x21, 0x40);
	out8(f, 0x21, 0x01);
	ck_assert_uint_eq(in8(f, 0x21), 0);
	ck_assert(!pending(f));
	cv_irq_pulse(irq, 4);
	ck_assert_int_eq(acknowledge(f), 0x44);
}
END_TEST

static void go(struct fake *x, struct cv_wbuf *log)
{
	struct cv_irq *lines = fake_device(x, "lines");
	unsigned i;

	out8(x, 0x21, 0x01); /* ICW4 that was awaited when the state was saved */
	out8(x, 0x21, 0x00);
	for (i = 0; i < 16; i++) {
		cv_irq_pulse(lines, i);
		cv_put_u32(log, (uint32_t)acknowledge(x));
		cv_put_u8(log, in8(x, 0x20));
		cv_put_u8(log, in8(x, 0xa0));
		out8(x, 0xa0, 0x20);
		out8(x, 0x20, i & 1 ? 0xa0 : 0x20);
	}
}

START_TEST(pic_save_load_continues)
{
	cv_irq_set(irq, 12, true);
	cv_irq_set(irq, 5, true);
	out8(f, 0xa0, 0xc3);
	out8(f, 0xa0, 0x0b);
	out8(f, 0x4d0, 0x20);
	out8(f, 0x20, 0x11);
	out8(f, 0x21, 0x50);
	out8(f, 0x21, 0x04);
	check_continues(f, go);
	check_refuses(f, "pic");
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
		pic_edge_is_taken_once,
		pic_masked_request_waits,
		pic_higher_priority_interrupts_lower,
		pic_slave_request_comes_through_the_cascade,
		pic_special_fully_nested_lets_the_slave_interrupt_itself,
		pic_request_gone_before_acknowledge_is_spurious,
		pic_level_request_repeats_until_line_falls,
		pic_elcr_keeps_system_lines_edge,
		pic_specific_eoi_ends_that_one,
		pic_rotation_makes_the_served_one_last,
		pic_auto_eoi_leaves_nothing_in_service,
		pic_poll_takes_the_request,
		pic_special_mask_lets_lower_ones_in,
		pic_initialisation_forgets_edges_and_mask,
		pic_save_load_continues,
	};

	return run_tests("pic", tests, sizeof(tests) / sizeof(tests[0]), setup, teardown);
}
