/* SPDX-License-Identifier: MIT */
/* The 16550A: registers, FIFO, interrupts and their priorities, loopback, and what Linux's 8250 driver probes. */
#include "tests/unit/fake_board.h"

enum { DATA = 0x3f8, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };

static struct fake *f;

static void setup(void)
{
	f = fake_new();
	setup_pics(f);
	out8(f, MCR, 0x0b); /* DTR, RTS, OUT2 */
}

static void teardown(void)
{
	fake_free(f);
}

static void type(const char *s)
{
	f->m.console_put(f->m.console_dev, (const uint8_t *)s, strlen(s));
}

static size_t room(void)
{
	return f->m.console_room(f->m.console_dev);
}

static bool interrupt(void)
{
	if (acknowledge(f) != 0x24)
		return false;
	out8(f, 0x20, 0x20);
	return true;
}

START_TEST(serial_transmits_at_once)
{
	out8(f, DATA, 'o');
	out8(f, DATA, 'k');
	ck_assert_uint_eq(f->nout, 2);
	ck_assert_mem_eq(f->out, "ok", 2);
	ck_assert_uint_eq(in8(f, LSR), 0x60);
	ck_assert(!pending(f));
}
END_TEST

START_TEST(serial_divisor_hides_behind_dlab)
{
	out8(f, LCR, 0x83);
	out8(f, DATA, 0x01);
	out8(f, IER, 0x02);
	ck_assert_uint_eq(in8(f, DATA), 0x01);
	ck_assert_uint_eq(in8(f, IER), 0x02);
	out8(f, LCR, 0x03);
	ck_assert_uint_eq(in8(f, IER), 0);
	ck_assert_uint_eq(in8(f, LCR), 0x03);
	ck_assert_uint_eq(f->nout, 0);
}
END_TEST

START_TEST(serial_probe_finds_a_16550a)
{
	/* As drivers/tty/serial/8250/8250_port.c, autoconfig(). */
	out8(f, IER, 0);
	ck_assert_uint_eq(in8(f, IER), 0);
	out8(f, IER, 0x0f);
	ck_assert_uint_eq(in8(f, IER), 0x0f);
	out8(f, IER, 0xff);
	ck_assert_uint_eq(in8(f, IER), 0x0f);
	out8(f, IER, 0);
	out8(f, MCR, 0x1a); /* loopback, RTS, OUT2 */
	ck_assert_uint_eq(in8(f, MSR) & 0xf0, 0x90);
	out8(f, MCR, 0x0b);
	out8(f, LCR, 0xbf);
	ck_assert_uint_ne(in8(f, IIR), 0); /* no EFR of a 16650 */
	out8(f, LCR, 0);
	out8(f, FCR, 0x01);
	ck_assert_uint_eq(in8(f, IIR) >> 6, 3);
	out8(f, FCR, 0x00);
	ck_assert_uint_eq(in8(f, IIR) >> 6, 0);
	out8(f, SCR, 0x5a);
	ck_assert_uint_eq(in8(f, SCR), 0x5a);
}
END_TEST

START_TEST(serial_thre_interrupt_as_linux_tests_it)
{
	/* serial8250_THRE_test(): enabling it twice must raise it twice. */
	out8(f, IER, 0x02);
	ck_assert_uint_eq(in8(f, IIR), 0x02);
	ck_assert_uint_eq(in8(f, IIR), 0x01); /* reading cleared it */
	out8(f, IER, 0);
	out8(f, IER, 0x02);
	ck_assert_uint_eq(in8(f, IIR), 0x02);
}
END_TEST

START_TEST(serial_each_byte_sent_makes_an_edge)
{
	out8(f, IER, 0x02);
	ck_assert(interrupt());
	ck_assert(!pending(f));
	out8(f, DATA, 'a');
	ck_assert(interrupt());
	ck_assert_uint_eq(in8(f, IIR), 0x02);
	out8(f, DATA, 'b');
	ck_assert(interrupt());
}
END_TEST

START_TEST(serial_receives_without_fifo_one_byte)
{
	ck_assert_uint_eq(room(), 1);
	type("x");
	ck_assert_uint_eq(room(), 0);
	ck_assert_uint_eq(in8(f, LSR), 0x61);
	type("y"); /* overrun */
	ck_assert_uint_eq(in8(f, LSR), 0x63);
	ck_assert_uint_eq(in8(f, LSR), 0x61);
	ck_assert_uint_eq(in8(f, DATA), 'y');
	ck_assert_uint_eq(in8(f, LSR), 0x60);
	ck_assert_uint_eq(in8(f, DATA), 0);
}
END_TEST

START_TEST(serial_fifo_holds_sixteen_in_order)
{
	unsigned i;

	out8(f, FCR, 0x01);
	ck_assert_uint_eq(room(), 16);
	type("0123456789abcdef");
	ck_assert_uint_eq(room(), 0);
	for (i = 0; i < 16; i++)
		ck_assert_uint_eq(in8(f, DATA), (uint8_t)"0123456789abcdef"[i]);
	ck_assert_uint_eq(in8(f, LSR), 0x60);
	type("zz");
	out8(f, FCR, 0x03); /* clears it */
	ck_assert_uint_eq(room(), 16);
}
END_TEST

START_TEST(serial_receive_interrupt_by_trigger_or_timeout)
{
	out8(f, FCR, 0x41); /* trigger at 4 */
	out8(f, IER, 0x01);
	type("a");
	ck_assert(interrupt());
	ck_assert_uint_eq(in8(f, IIR), 0xcc); /* timeout */
	type("bcd");
	ck_assert_uint_eq(in8(f, IIR), 0xc4);
	in8(f, DATA);
	ck_assert_uint_eq(in8(f, IIR), 0xcc);
	in8(f, DATA);
	in8(f, DATA);
	in8(f, DATA);
	ck_assert_uint_eq(in8(f, IIR), 0xc1);
	ck_assert(!pending(f));
	type("e");
	ck_assert(interrupt());
}
END_TEST

START_TEST(serial_interrupts_have_priorities)
{
	out8(f, MCR, 0x10);
	out8(f, MCR, 0x0b); /* modem lines have changed */
	type("xy");	    /* and an overrun */
	out8(f, IER, 0x0f);
	ck_assert_uint_eq(in8(f, IIR), 0x06);
	in8(f, LSR);
	ck_assert_uint_eq(in8(f, IIR), 0x04);
	in8(f, DATA);
	ck_assert_uint_eq(in8(f, IIR), 0x02);
	ck_assert_uint_eq(in8(f, IIR), 0x00);
	in8(f, MSR);
	ck_assert_uint_eq(in8(f, IIR), 0x01);
}
END_TEST

START_TEST(serial_out2_gates_the_interrupt)
{
	out8(f, MCR, 0x03);
	out8(f, IER, 0x02);
	ck_assert(!pending(f));
	ck_assert_uint_eq(in8(f, IIR), 0x02);
	out8(f, IER, 0);
	out8(f, IER, 0x02);
	out8(f, MCR, 0x0b);
	ck_assert(interrupt());
}
END_TEST

START_TEST(serial_loopback_returns_bytes_and_lines)
{
	out8(f, MCR, 0x1f);
	ck_assert_uint_eq(in8(f, MSR) & 0xf0, 0xf0);
	out8(f, MCR, 0x10);
	ck_assert_uint_eq(in8(f, MSR), 0x0f); /* all have changed, RI fell */
	out8(f, DATA, 0xae);
	ck_assert_uint_eq(in8(f, DATA), 0xae);
	ck_assert_uint_eq(f->nout, 0);
	ck_assert_uint_eq(room(), 0);
	type("q");
	ck_assert_uint_eq(in8(f, LSR) & 1, 0);
	out8(f, MCR, 0x0b);
	ck_assert_uint_eq(in8(f, MSR) & 0xf0, 0xb0);
}
END_TEST

START_TEST(serial_other_end_waits_for_rts)
{
	fake_reset(f);
	ck_assert_uint_eq(room(), 0);
	in8(f, LSR); /* a guest that never touches MCR and polls */
	ck_assert_uint_eq(room(), 1);
	out8(f, MCR, 0x01);
	ck_assert_uint_eq(room(), 0);
	out8(f, MCR, 0x03);
	ck_assert_uint_eq(room(), 1);
}
END_TEST

START_TEST(serial_second_port_is_absent)
{
	ck_assert_uint_eq(in8(f, 0x2f8 + 5), 0xff);
	ck_assert_uint_eq(f->looks, 0);
}
END_TEST

static void go(struct fake *x, struct cv_wbuf *log)
{
	unsigned i;

	for (i = 0; i < 12; i++) {
		cv_put_u32(log, (uint32_t)acknowledge(x));
		out8(x, 0x20, 0x20);
		cv_put_u8(log, in8(x, IIR));
		cv_put_u8(log, in8(x, LSR));
		cv_put_u8(log, in8(x, DATA));
		cv_put_u8(log, in8(x, MSR));
		cv_put_u64(log, x->m.console_room(x->m.console_dev));
		out8(x, DATA, 'a' + i);
		x->m.console_put(x->m.console_dev, (const uint8_t *)"Q", i & 1);
	}
	cv_put_u8(log, in8(x, SCR));
	out8(x, LCR, 0x80);
	cv_put_u8(log, in8(x, DATA));
	cv_put_u8(log, in8(x, IER));
}

START_TEST(serial_save_load_continues)
{
	out8(f, LCR, 0x80);
	out8(f, DATA, 0x34);
	out8(f, IER, 0x12);
	out8(f, LCR, 0x03);
	out8(f, FCR, 0x81);
	type("0123456789");
	in8(f, DATA);
	type("abcdefghij"); /* wraps and overruns */
	out8(f, SCR, 0x77);
	out8(f, MCR, 0x1b);
	out8(f, MCR, 0x0b);
	out8(f, IER, 0x0f);
	check_continues(f, go);
	check_refuses(f, "serial");
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
		serial_transmits_at_once,
		serial_divisor_hides_behind_dlab,
		serial_probe_finds_a_16550a,
		serial_thre_interrupt_as_linux_tests_it,
		serial_each_byte_sent_makes_an_edge,
		serial_receives_without_fifo_one_byte,
		serial_fifo_holds_sixteen_in_order,
		serial_receive_interrupt_by_trigger_or_timeout,
		serial_interrupts_have_priorities,
		serial_out2_gates_the_interrupt,
		serial_loopback_returns_bytes_and_lines,
		serial_other_end_waits_for_rts,
		serial_second_port_is_absent,
		serial_save_load_continues,
	};

	return run_tests("serial", tests, sizeof(tests) / sizeof(tests[0]), setup, teardown);
}
