/* SPDX-License-Identifier: MIT */
/* The IOAPIC: registers, edge and level pins, masks, remote IRR and EOI, delivery modes and destinations. */
#include "tests/unit/fake_board.h"

static struct fake *f;
static struct cv_irq *irq;

static void setup(void)
{
	f = fake_new();
	irq = fake_device(f, "lines");
}

static void teardown(void)
{
	fake_free(f);
}

enum { LEVEL = 1 << 15, MASKED = 1 << 16, LOGICAL = 1 << 11, REMOTE_IRR = 1 << 14 };

START_TEST(ioapic_identifies_itself)
{
	ck_assert_uint_eq(ioapic_get(f, 0), CV_IOAPIC_ID << 24);
	ck_assert_uint_eq(ioapic_get(f, 1), 0x00170020);
	ioapic_set(f, 0, 0x05000000);
	ck_assert_uint_eq(ioapic_get(f, 0), 0x05000000);
	ck_assert_uint_eq(ioapic_get(f, 0x10), MASKED);
	ck_assert_uint_eq(ioapic_get(f, 0x3f), 0);
	ck_assert_uint_eq(ioapic_get(f, 0x40), 0);
}
END_TEST

START_TEST(ioapic_entry_keeps_what_may_be_written)
{
	ioapic_set(f, 0x10 + 2 * 5, 0xffffffff);
	ioapic_set(f, 0x11 + 2 * 5, 0xffffffff);
	ck_assert_uint_eq(ioapic_get(f, 0x10 + 2 * 5), 0x1afff);
	ck_assert_uint_eq(ioapic_get(f, 0x11 + 2 * 5), 0xff000000);
}
END_TEST

START_TEST(ioapic_edge_is_sent_once)
{
	setup_apics(f, 4, 0x41, 0);
	cv_irq_set(irq, 4, true);
	ck_assert_int_eq(acknowledge(f), 0x41);
	lapic_set(f, 0xb0, 0);
	ck_assert(!pending(f));
	cv_irq_set(irq, 4, false);
	cv_irq_set(irq, 4, true);
	ck_assert_int_eq(acknowledge(f), 0x41);
}
END_TEST

START_TEST(ioapic_masked_edge_is_lost)
{
	setup_apics(f, 4, 0x41, MASKED);
	cv_irq_set(irq, 4, true);
	ioapic_set(f, 0x10 + 8, 0x41);
	ck_assert(!pending(f));
}
END_TEST

START_TEST(ioapic_masked_level_is_sent_when_opened)
{
	setup_apics(f, 9, 0x49, MASKED | LEVEL);
	cv_irq_set(irq, 9, true);
	ck_assert(!pending(f));
	ioapic_set(f, 0x10 + 18, 0x49 | LEVEL);
	ck_assert_int_eq(acknowledge(f), 0x49);
}
END_TEST

START_TEST(ioapic_level_is_sent_again_at_eoi)
{
	setup_apics(f, 9, 0x49, LEVEL);
	cv_irq_set(irq, 9, true);
	ck_assert_uint_eq(ioapic_get(f, 0x10 + 18), 0x49 | LEVEL | REMOTE_IRR);
	ck_assert_int_eq(acknowledge(f), 0x49);
	cv_irq_set(irq, 9, false);
	cv_irq_set(irq, 9, true);
	ck_assert(!pending(f)); /* remote IRR holds it back */
	lapic_set(f, 0xb0, 0);
	ck_assert_int_eq(acknowledge(f), 0x49);
	cv_irq_set(irq, 9, false);
	lapic_set(f, 0xb0, 0);
	ck_assert(!pending(f));
	ck_assert_uint_eq(ioapic_get(f, 0x10 + 18), 0x49 | LEVEL);
}
END_TEST

START_TEST(ioapic_eoi_register_clears_remote_irr)
{
	setup_apics(f, 9, 0x49, LEVEL);
	cv_irq_set(irq, 9, true);
	cv_irq_set(irq, 9, false);
	cv_bus_mmio_write(&f->m.bus, CV_IOAPIC_BASE + 0x40, 4, 0x48);
	ck_assert_uint_eq(ioapic_get(f, 0x10 + 18), 0x49 | LEVEL | REMOTE_IRR);
	cv_bus_mmio_write(&f->m.bus, CV_IOAPIC_BASE + 0x40, 4, 0x49);
	ck_assert_uint_eq(ioapic_get(f, 0x10 + 18), 0x49 | LEVEL);
}
END_TEST

START_TEST(ioapic_timer_line_is_pin_two)
{
	setup_apics(f, 2, 0x42, 0);
	cv_irq_pulse(irq, 0);
	ck_assert_int_eq(acknowledge(f), 0x42);
}
END_TEST

START_TEST(ioapic_sends_to_the_addressed_only)
{
	setup_apics(f, 4, 0x41, 0);
	ioapic_set(f, 0x11 + 8, 7 << 24);
	cv_irq_pulse(irq, 4);
	ck_assert(!pending(f));
	ioapic_set(f, 0x11 + 8, 0xffu << 24);
	cv_irq_pulse(irq, 4);
	ck_assert_int_eq(acknowledge(f), 0x41);
	lapic_set(f, 0xb0, 0);
	lapic_set(f, 0xd0, 0x02000000);
	ioapic_set(f, 0x10 + 8, 0x41 | LOGICAL | 1 << 8); /* lowest priority, logical flat */
	ioapic_set(f, 0x11 + 8, 0x01 << 24);
	cv_irq_pulse(irq, 4);
	ck_assert(!pending(f));
	ioapic_set(f, 0x11 + 8, 0x03 << 24);
	cv_irq_pulse(irq, 4);
	ck_assert_int_eq(acknowledge(f), 0x41);
	lapic_set(f, 0xb0, 0);
	lapic_set(f, 0xe0, 0x0fffffff); /* cluster */
	lapic_set(f, 0xd0, 0x21000000);
	ioapic_set(f, 0x11 + 8, 0x11 << 24);
	cv_irq_pulse(irq, 4);
	ck_assert(!pending(f));
	ioapic_set(f, 0x11 + 8, 0x23 << 24);
	cv_irq_pulse(irq, 4);
	ck_assert_int_eq(acknowledge(f), 0x41);
}
END_TEST

START_TEST(ioapic_nmi_mode_raises_an_nmi)
{
	setup_apics(f, 4, 0, 4 << 8);
	cv_irq_pulse(irq, 4);
	ck_assert_uint_eq(f->nmis, 1);
	ck_assert(!pending(f));
}
END_TEST

START_TEST(ioapic_extint_pin_passes_the_pic_through)
{
	setup_pics(f);
	setup_apics(f, 0, 0, 7 << 8);
	cv_irq_set(irq, 4, true);
	ck_assert_int_eq(acknowledge(f), 0x24);
	ck_assert(!pending(f));
	out8(f, 0x20, 0x20);
	ioapic_set(f, 0x10, MASKED | 7 << 8);
	cv_irq_pulse(irq, 4);
	ck_assert(!pending(f));
}
END_TEST

static void go(struct fake *x, struct cv_wbuf *log)
{
	struct cv_irq *lines = fake_device(x, "lines");
	unsigned i;

	for (i = 0; i < 24; i++) {
		cv_put_u32(log, ioapic_get(x, 0x10 + 2 * i));
		cv_irq_pulse(lines, i);
		cv_put_u32(log, (uint32_t)acknowledge(x));
		lapic_set(x, 0xb0, 0);
	}
	cv_put_u32(log, (uint32_t)cv_bus_mmio_read(&x->m.bus, CV_IOAPIC_BASE, 4));
}

START_TEST(ioapic_save_load_continues)
{
	setup_apics(f, 9, 0x49, LEVEL);
	setup_apics(f, 4, 0x41, 0);
	setup_apics(f, 17, 0x51, LEVEL);
	cv_irq_set(irq, 9, true);
	cv_irq_set(irq, 17, true);
	ioapic_get(f, 0x12);
	check_continues(f, go);
	check_refuses(f, "ioapic");
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
		ioapic_identifies_itself,
		ioapic_entry_keeps_what_may_be_written,
		ioapic_edge_is_sent_once,
		ioapic_masked_edge_is_lost,
		ioapic_masked_level_is_sent_when_opened,
		ioapic_level_is_sent_again_at_eoi,
		ioapic_eoi_register_clears_remote_irr,
		ioapic_timer_line_is_pin_two,
		ioapic_sends_to_the_addressed_only,
		ioapic_nmi_mode_raises_an_nmi,
		ioapic_extint_pin_passes_the_pic_through,
		ioapic_save_load_continues,
	};

	return run_tests("ioapic", tests, sizeof(tests) / sizeof(tests[0]), setup, teardown);
}
