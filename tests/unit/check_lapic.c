/* SPDX-License-Identifier: MIT */
/* The local APIC: registers, priorities, EOI, IPIs, errors, the timer's three modes, MSRs, virtual wire. */
#include "tests/unit/fake_board.h"

enum {
	ID = 0x20, VERSION = 0x30, TPR = 0x80, PPR = 0xa0, EOI = 0xb0, LDR = 0xd0, DFR = 0xe0, SVR = 0xf0, ISR = 0x100,
	TMR = 0x180, IRR = 0x200, ESR = 0x280, ICR = 0x300, ICR_HIGH = 0x310, LVT_TIMER = 0x320, LVT_LINT0 = 0x350,
	LVT_LINT1 = 0x360, LVT_ERROR = 0x370, INITIAL = 0x380, CURRENT = 0x390, DIVIDE = 0x3e0
};
enum { SELF = 1 << 18, MASKED = 1 << 16, PERIODIC = 1 << 17, DEADLINE = 2 << 17 };

static struct fake *f;

static void setup(void)
{
	f = fake_new();
	lapic_set(f, SVR, 0x1ff);
	lapic_set(f, LVT_LINT0, MASKED);
}

static void teardown(void)
{
	fake_free(f);
}

static bool rdmsr(uint32_t msr, uint64_t *v)
{
	return f->m.irqchip->read_msr(f->m.irqchip_dev, msr, v);
}

static bool wrmsr(uint32_t msr, uint64_t v)
{
	return f->m.irqchip->write_msr(f->m.irqchip_dev, msr, v);
}

static void self(unsigned vector)
{
	lapic_set(f, ICR, SELF | vector);
}

START_TEST(lapic_identifies_itself)
{
	ck_assert_uint_eq(lapic_get(f, ID), CV_LAPIC_ID << 24);
	ck_assert_uint_eq(lapic_get(f, VERSION), 0x00050014);
	ck_assert_uint_eq(lapic_get(f, DFR), 0xffffffff);
	lapic_set(f, LDR, 0x12345678);
	ck_assert_uint_eq(lapic_get(f, LDR), 0x12000000);
}
END_TEST

START_TEST(lapic_interrupt_goes_from_irr_to_isr_to_nothing)
{
	self(0x51);
	ck_assert_uint_eq(lapic_get(f, IRR + 0x20), 1u << 0x11);
	ck_assert_int_eq(acknowledge(f), 0x51);
	ck_assert_uint_eq(lapic_get(f, IRR + 0x20), 0);
	ck_assert_uint_eq(lapic_get(f, ISR + 0x20), 1u << 0x11);
	ck_assert_uint_eq(lapic_get(f, PPR), 0x50);
	lapic_set(f, EOI, 0);
	ck_assert_uint_eq(lapic_get(f, ISR + 0x20), 0);
	ck_assert_uint_eq(lapic_get(f, PPR), 0);
}
END_TEST

START_TEST(lapic_priority_class_decides)
{
	self(0x51);
	ck_assert_int_eq(acknowledge(f), 0x51);
	self(0x5f); /* same class */
	ck_assert(!pending(f));
	self(0x61);
	ck_assert_int_eq(acknowledge(f), 0x61);
	lapic_set(f, EOI, 0);
	ck_assert(!pending(f));
	lapic_set(f, EOI, 0);
	ck_assert_int_eq(acknowledge(f), 0x5f);
}
END_TEST

START_TEST(lapic_tpr_and_cr8_hold_back)
{
	lapic_set(f, TPR, 0x52);
	ck_assert_uint_eq(f->m.irqchip->get_cr8(f->m.irqchip_dev), 5);
	self(0x5f);
	ck_assert(!pending(f));
	ck_assert_uint_eq(lapic_get(f, PPR), 0x52);
	f->m.irqchip->set_cr8(f->m.irqchip_dev, 4);
	ck_assert_uint_eq(lapic_get(f, TPR), 0x40);
	ck_assert_int_eq(acknowledge(f), 0x5f);
}
END_TEST

START_TEST(lapic_software_disable_masks_and_holds)
{
	lapic_set(f, LVT_TIMER, 0x40);
	self(0x51);
	lapic_set(f, SVR, 0xff);
	ck_assert(!pending(f));
	ck_assert_uint_eq(lapic_get(f, LVT_TIMER), MASKED | 0x40);
	lapic_set(f, LVT_TIMER, 0x40);
	ck_assert_uint_eq(lapic_get(f, LVT_TIMER), MASKED | 0x40);
	lapic_set(f, SVR, 0x1ff);
	ck_assert_int_eq(acknowledge(f), 0x51);
}
END_TEST

START_TEST(lapic_ipi_reaches_only_the_addressed)
{
	lapic_set(f, ICR_HIGH, 3u << 24);
	lapic_set(f, ICR, 0x51);
	ck_assert(!pending(f));
	lapic_set(f, ICR, 3 << 18 | 0x51); /* all but self */
	ck_assert(!pending(f));
	lapic_set(f, ICR_HIGH, CV_LAPIC_ID << 24);
	lapic_set(f, ICR, 0x4500); /* INIT */
	lapic_set(f, ICR, 0x4608); /* SIPI */
	ck_assert(!pending(f));
	lapic_set(f, ICR, 0x51);
	ck_assert_int_eq(acknowledge(f), 0x51);
	ck_assert_uint_eq(lapic_get(f, ICR) & 1 << 12, 0); /* idle */
	lapic_set(f, ICR, 4 << 8 | SELF);
	ck_assert_uint_eq(f->nmis, 1);
}
END_TEST

START_TEST(lapic_errors_are_gathered_until_written)
{
	lapic_set(f, LVT_ERROR, 0x33);
	self(5);
	ck_assert_uint_eq(lapic_get(f, ESR), 0);
	lapic_set(f, ESR, 0);
	ck_assert_uint_eq(lapic_get(f, ESR), 0x20);
	ck_assert_int_eq(acknowledge(f), 0x33);
	lapic_set(f, EOI, 0);
	lapic_get(f, 0x3c0);
	lapic_set(f, ESR, 0);
	ck_assert_uint_eq(lapic_get(f, ESR), 0x80);
	lapic_set(f, ESR, 0);
	ck_assert_uint_eq(lapic_get(f, ESR), 0);
}
END_TEST

START_TEST(lapic_one_shot_counts_down_and_fires_once)
{
	f->host_ns = 1000;
	lapic_set(f, DIVIDE, 0xb); /* by 1: 40 ns a tick */
	lapic_set(f, LVT_TIMER, 0x40);
	lapic_set(f, INITIAL, 100);
	f->host_ns = 1000 + 41 * 40;
	ck_assert_uint_eq(lapic_get(f, CURRENT), 59);
	advance(f, 1000 + 3999);
	ck_assert(!pending(f));
	advance(f, 1000 + 4000);
	ck_assert_int_eq(acknowledge(f), 0x40);
	lapic_set(f, EOI, 0);
	ck_assert_uint_eq(lapic_get(f, CURRENT), 0);
	advance(f, 100000);
	ck_assert(!pending(f));
}
END_TEST

START_TEST(lapic_periodic_fires_in_phase_and_coalesces)
{
	lapic_set(f, DIVIDE, 0x3); /* by 16: 640 ns a tick */
	lapic_set(f, LVT_TIMER, PERIODIC | 0x40);
	lapic_set(f, INITIAL, 10);
	advance(f, 6400);
	ck_assert_int_eq(acknowledge(f), 0x40);
	lapic_set(f, EOI, 0);
	advance(f, 6400 * 5 + 7); /* four periods at once */
	ck_assert_int_eq(acknowledge(f), 0x40);
	lapic_set(f, EOI, 0);
	ck_assert(!pending(f));
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), 6400 * 6);
	f->host_ns = 6400 * 5 + 640 * 3;
	ck_assert_uint_eq(lapic_get(f, CURRENT), 7);
	lapic_set(f, INITIAL, 0);
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), CV_NEVER);
}
END_TEST

START_TEST(lapic_divider_goes_on_from_the_count)
{
	lapic_set(f, DIVIDE, 0xb);
	lapic_set(f, LVT_TIMER, 0x40);
	lapic_set(f, INITIAL, 100);
	f->host_ns = 40 * 40;
	lapic_set(f, DIVIDE, 0x0); /* by 2 */
	ck_assert_uint_eq(lapic_get(f, CURRENT), 60);
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), 40 * 40 + 60 * 80);
}
END_TEST

START_TEST(lapic_tsc_deadline_fires_at_that_tsc)
{
	uint64_t v = 7;

	ck_assert(wrmsr(0x6e0, 500)); /* not in deadline mode: ignored */
	ck_assert(rdmsr(0x6e0, &v));
	ck_assert_uint_eq(v, 0);
	f->tsc_offset = 10000;
	lapic_set(f, LVT_TIMER, DEADLINE | 0x40);
	f->looks = 0;
	ck_assert(wrmsr(0x6e0, 10500));
	ck_assert_uint_eq(f->looks, 0); /* arming asks for no time */
	ck_assert(rdmsr(0x6e0, &v));
	ck_assert_uint_eq(v, 10500);
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), 500);
	advance(f, 499);
	ck_assert(!pending(f));
	advance(f, 500);
	ck_assert_int_eq(acknowledge(f), 0x40);
	ck_assert(rdmsr(0x6e0, &v));
	ck_assert_uint_eq(v, 0);
}
END_TEST

START_TEST(lapic_tsc_deadline_follows_a_moved_tsc)
{
	lapic_set(f, LVT_TIMER, DEADLINE | 0x40);
	ck_assert(wrmsr(0x6e0, 5000));
	f->tsc_offset = 4000;
	ck_assert(wrmsr(0x6e0, 5000)); /* as the engine does */
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), 1000);
	f->tsc_offset = (uint64_t)-1000; /* set back without a word */
	advance(f, 1000);
	ck_assert(!pending(f));
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), 6000);
	ck_assert(wrmsr(0x6e0, 0)); /* disarm */
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), CV_NEVER);
}
END_TEST

START_TEST(lapic_tsc_deadline_in_the_past_fires_at_once)
{
	advance(f, 1000);
	lapic_set(f, LVT_TIMER, DEADLINE | 0x40);
	ck_assert(wrmsr(0x6e0, 1));
	ck_assert_uint_le(cv_clock_deadline(&f->m.clock), 1000);
	advance(f, 1000);
	ck_assert_int_eq(acknowledge(f), 0x40);
	lapic_set(f, EOI, 0);
	ck_assert(wrmsr(0x6e0, UINT64_MAX)); /* centuries ahead */
	advance(f, 1ull << 40);
	ck_assert(!pending(f));
	lapic_set(f, LVT_TIMER, 0x40);
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), CV_NEVER);
}
END_TEST

START_TEST(lapic_base_msr_refuses_what_is_not_there)
{
	uint64_t v;

	ck_assert(rdmsr(0x1b, &v));
	ck_assert_uint_eq(v, 0xfee00900);
	ck_assert(!wrmsr(0x1b, 0xfee00d00)); /* x2APIC */
	ck_assert(!wrmsr(0x1b, 0x00100900)); /* over RAM */
	ck_assert(!wrmsr(0x1b, 0xfec00900)); /* over the IOAPIC */
	ck_assert(!wrmsr(0x1b, 0x80fee00900)); /* beyond the physical addresses */
	ck_assert(!wrmsr(0x1b, 0xfee00901)); /* reserved bit */
	ck_assert(!rdmsr(0x802, &v));
	ck_assert(!wrmsr(0x80b, 0));
	ck_assert(wrmsr(0x1b, 0xfee00900));
}
END_TEST

START_TEST(lapic_registers_move_with_the_base)
{
	struct fake *g = fake_new();
	struct cv_wbuf saved = {0};

	lapic_set(f, TPR, 0x40);
	ck_assert(wrmsr(0x1b, 0xfed40900));
	ck_assert_uint_eq(cv_bus_mmio_read(&f->m.bus, 0xfed40000 + TPR, 4), 0x40);
	ck_assert_uint_eq(lapic_get(f, TPR), 0xffffffff);
	fake_save(f, &saved);
	fake_load(g, &saved);
	ck_assert_uint_eq(cv_bus_mmio_read(&g->m.bus, 0xfed40000 + TPR, 4), 0x40);
	fake_reset(g);
	ck_assert_uint_eq(lapic_get(g, VERSION), 0x00050014);
	fake_free(g);
	cv_wbuf_release(&saved);
	ck_assert(wrmsr(0x1b, 0xfee00900));
	ck_assert_uint_eq(lapic_get(f, TPR), 0x40);
}
END_TEST

/* One-shot and periodic share the count (SDM 3A 11.5.4): 1000 ticks of 40 ns. */
START_TEST(lapic_timer_changes_mode_in_mid_count)
{
	lapic_set(f, DIVIDE, 0xb);
	lapic_set(f, LVT_TIMER, PERIODIC | 0x40);
	lapic_set(f, INITIAL, 1000);
	f->host_ns = 4 * 1000 * 40 + 100 * 40; /* four periods, which nobody has fired yet, and 100 ticks */
	lapic_set(f, LVT_TIMER, 0x40);
	ck_assert_int_eq(acknowledge(f), 0x40);
	lapic_set(f, EOI, 0);
	ck_assert_uint_eq(lapic_get(f, CURRENT), 900);
	advance(f, 5 * 1000 * 40);
	ck_assert_int_eq(acknowledge(f), 0x40);
	lapic_set(f, EOI, 0);
	ck_assert_uint_eq(lapic_get(f, CURRENT), 0);
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), CV_NEVER);
	lapic_set(f, LVT_TIMER, PERIODIC | 0x40);
	ck_assert_uint_eq(lapic_get(f, CURRENT), 0);

	lapic_set(f, LVT_TIMER, 0x40);
	lapic_set(f, INITIAL, 1000);
	f->host_ns += 1001 * 40; /* at its end, which nobody has fired yet */
	ck_assert_uint_eq(lapic_get(f, CURRENT), 0);
	lapic_set(f, LVT_TIMER, PERIODIC | 0x40);
	ck_assert_int_eq(acknowledge(f), 0x40);
	ck_assert_uint_eq(lapic_get(f, CURRENT), 0);
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), CV_NEVER);
}
END_TEST

START_TEST(lapic_disabled_lets_the_pic_through)
{
	struct cv_irq *irq = fake_device(f, "lines");

	setup_pics(f);
	cv_irq_set(irq, 4, true);
	ck_assert(!pending(f)); /* LINT0 is masked */
	ck_assert(wrmsr(0x1b, 0xfee00100));
	ck_assert_int_eq(acknowledge(f), 0x24);
	ck_assert_uint_eq(lapic_get(f, ID), 0xffffffff);
	ck_assert(wrmsr(0x1b, 0xfee00900));
	ck_assert_uint_eq(lapic_get(f, SVR), 0xff);
	ck_assert_uint_eq(lapic_get(f, LVT_LINT0), MASKED);
}
END_TEST

START_TEST(lapic_at_power_on_is_a_virtual_wire)
{
	struct cv_irq *irq = fake_device(f, "lines");

	fake_reset(f);
	setup_pics(f);
	cv_irq_set(irq, 1, true);
	ck_assert_int_eq(acknowledge(f), 0x21);
	lapic_set(f, SVR, 0x1ff);
	out8(f, 0x20, 0x20);
	cv_irq_pulse(irq, 1);
	ck_assert_int_eq(acknowledge(f), 0x21); /* still open after the APIC is enabled */
}
END_TEST

START_TEST(lapic_lint0_in_fixed_and_nmi_mode)
{
	struct cv_irq *irq = fake_device(f, "lines");

	setup_pics(f);
	lapic_set(f, LVT_LINT0, 0x44);
	cv_irq_set(irq, 4, true);
	ck_assert_int_eq(acknowledge(f), 0x44);
	lapic_set(f, EOI, 0);
	lapic_set(f, LVT_LINT0, 4 << 8);
	cv_irq_set(irq, 4, false);
	cv_irq_set(irq, 4, true);
	ck_assert_uint_eq(f->nmis, 1);
}
END_TEST

START_TEST(lapic_narrow_and_misaligned_accesses)
{
	ck_assert_uint_eq(cv_bus_mmio_read(&f->m.bus, CV_LAPIC_BASE + VERSION + 2, 1), 5);
	ck_assert_uint_eq(cv_bus_mmio_read(&f->m.bus, CV_LAPIC_BASE + VERSION + 4, 4), 0);
	cv_bus_mmio_write(&f->m.bus, CV_LAPIC_BASE + TPR, 1, 0x50);
	ck_assert_uint_eq(lapic_get(f, TPR), 0);
}
END_TEST

static void go(struct fake *x, struct cv_wbuf *log)
{
	unsigned i;

	for (i = 0; i < 20; i++) {
		advance(x, x->host_ns + 3333);
		cv_put_u32(log, lapic_get(x, CURRENT));
		cv_put_u32(log, (uint32_t)acknowledge(x));
		cv_put_u32(log, lapic_get(x, PPR));
		cv_put_u32(log, lapic_get(x, ESR));
		lapic_set(x, ESR, 0);
		if (i & 1)
			lapic_set(x, EOI, 0);
	}
}

START_TEST(lapic_save_load_continues)
{
	f->host_ns = 777;
	lapic_set(f, DIVIDE, 0xb);
	lapic_set(f, LVT_TIMER, PERIODIC | 0x40);
	lapic_set(f, INITIAL, 333);
	self(0x31);
	self(0x77);
	acknowledge(f);
	self(0x78);
	self(3);
	lapic_set(f, TPR, 0x10);
	check_continues(f, go);
	check_refuses(f, "lapic");
}
END_TEST

static void go_deadline(struct fake *x, struct cv_wbuf *log)
{
	uint64_t v = 0;

	x->m.irqchip->read_msr(x->m.irqchip_dev, 0x6e0, &v);
	cv_put_u64(log, v);
	advance(x, 9000);
	cv_put_u32(log, (uint32_t)acknowledge(x));
	x->m.irqchip->read_msr(x->m.irqchip_dev, 0x6e0, &v);
	cv_put_u64(log, v);
}

START_TEST(lapic_save_load_continues_with_a_deadline)
{
	f->tsc_offset = 100;
	lapic_set(f, LVT_TIMER, DEADLINE | 0x40);
	ck_assert(wrmsr(0x6e0, 8000));
	check_continues(f, go_deadline);
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), CV_NEVER);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
		lapic_identifies_itself,
		lapic_interrupt_goes_from_irr_to_isr_to_nothing,
		lapic_priority_class_decides,
		lapic_tpr_and_cr8_hold_back,
		lapic_software_disable_masks_and_holds,
		lapic_ipi_reaches_only_the_addressed,
		lapic_errors_are_gathered_until_written,
		lapic_one_shot_counts_down_and_fires_once,
		lapic_periodic_fires_in_phase_and_coalesces,
		lapic_divider_goes_on_from_the_count,
		lapic_tsc_deadline_fires_at_that_tsc,
		lapic_tsc_deadline_follows_a_moved_tsc,
		lapic_tsc_deadline_in_the_past_fires_at_once,
		lapic_base_msr_refuses_what_is_not_there,
		lapic_registers_move_with_the_base,
		lapic_timer_changes_mode_in_mid_count,
		lapic_disabled_lets_the_pic_through,
		lapic_at_power_on_is_a_virtual_wire,
		lapic_lint0_in_fixed_and_nmi_mode,
		lapic_narrow_and_misaligned_accesses,
		lapic_save_load_continues,
		lapic_save_load_continues_with_a_deadline,
	};

	return run_tests("lapic", tests, sizeof(tests) / sizeof(tests[0]), setup, teardown);
}
