/* SPDX-License-Identifier: MIT */
/* ACPI fixed hardware, and the firmware tables as a kernel finds them: signatures, lengths, checksums, contents. */
#include "tests/unit/fake_board.h"

#define TOGGLE_NS 2343484438ull /* first ns at which bit 23 of the PM timer has changed */

static struct fake *f;

static void setup(void)
{
	f = fake_new();
	setup_pics(f);
	out8(f, 0x4d1, 0x02); /* the SCI is level-triggered */
}

static void teardown(void)
{
	fake_free(f);
}

/* --- Fixed hardware --- */

START_TEST(acpi_timer_runs_at_3579545_hz)
{
	ck_assert_uint_eq(in32(f, CV_PORT_PM_TMR), 0);
	f->host_ns = 1000000000;
	ck_assert_uint_eq(in32(f, CV_PORT_PM_TMR), 3579545);
	f->host_ns = 10000000000ull;
	ck_assert_uint_eq(in32(f, CV_PORT_PM_TMR), 35795450 & 0xffffff);
	ck_assert_uint_eq(f->looks, 3);
}
END_TEST

START_TEST(acpi_power_button_raises_the_sci)
{
	f->m.power_button(f->m.power_dev);
	ck_assert(!pending(f));
	ck_assert_uint_eq(in16(f, CV_PORT_PM1_EVT) & 0x100, 0x100);
	out16(f, CV_PORT_PM1_EVT + 2, 0x100);
	ck_assert_int_eq(acknowledge(f), 0x29);
	out16(f, CV_PORT_PM1_EVT, 0x100);
	ck_assert_uint_eq(in16(f, CV_PORT_PM1_EVT) & 0x100, 0);
	out8(f, 0xa0, 0x20);
	out8(f, 0x20, 0x20);
	ck_assert(!pending(f));
}
END_TEST

START_TEST(acpi_enable_register_by_bytes)
{
	out8(f, CV_PORT_PM1_EVT + 3, 0x01);
	ck_assert_uint_eq(in16(f, CV_PORT_PM1_EVT + 2), 0x100);
	out8(f, CV_PORT_PM1_EVT + 2, 0x20);
	ck_assert_uint_eq(in16(f, CV_PORT_PM1_EVT + 2), 0x120);
	ck_assert_uint_eq(in8(f, CV_PORT_PM1_EVT + 3), 0x01);
}
END_TEST

START_TEST(acpi_timer_status_is_gathered)
{
	ck_assert_uint_eq(in16(f, CV_PORT_PM1_EVT), 0);
	f->host_ns = TOGGLE_NS - 1;
	ck_assert_uint_eq(in16(f, CV_PORT_PM1_EVT), 0);
	f->host_ns = TOGGLE_NS;
	ck_assert_uint_eq(in16(f, CV_PORT_PM1_EVT), 1);
	out16(f, CV_PORT_PM1_EVT, 1);
	ck_assert_uint_eq(in16(f, CV_PORT_PM1_EVT), 0);
}
END_TEST

START_TEST(acpi_timer_interrupt_when_enabled)
{
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), CV_NEVER);
	out16(f, CV_PORT_PM1_EVT + 2, 1);
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), TOGGLE_NS);
	advance(f, TOGGLE_NS);
	ck_assert_int_eq(acknowledge(f), 0x29);
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), CV_NEVER);
	out16(f, CV_PORT_PM1_EVT, 1);
	ck_assert_uint_gt(cv_clock_deadline(&f->m.clock), TOGGLE_NS);
	out16(f, CV_PORT_PM1_EVT + 2, 0);
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), CV_NEVER);
}
END_TEST

START_TEST(acpi_s5_powers_off)
{
	ck_assert_uint_eq(in16(f, CV_PORT_PM1_CNT), 1); /* SCI_EN */
	out16(f, CV_PORT_PM1_CNT, CV_ACPI_S5_TYPE << 10 | 1);
	ck_assert_uint_eq(in16(f, CV_PORT_PM1_CNT), CV_ACPI_S5_TYPE << 10 | 1);
	ck_assert_int_eq(f->end, CV_END_NONE);
	out16(f, CV_PORT_PM1_CNT, 1 << 13 | 1 << 10); /* a state that is not there */
	ck_assert_int_eq(f->end, CV_END_NONE);
	out16(f, CV_PORT_PM1_CNT, 1 << 13 | CV_ACPI_S5_TYPE << 10);
	ck_assert_int_eq(f->end, CV_END_POWEROFF);
}
END_TEST

START_TEST(acpi_reset_register_resets)
{
	out8(f, CV_PORT_RESET, 0x02);
	ck_assert_uint_eq(f->resets, 0);
	out8(f, CV_PORT_RESET, CV_RESET_VALUE);
	ck_assert_uint_eq(f->resets, 1);
}
END_TEST

static void go(struct fake *x, struct cv_wbuf *log)
{
	unsigned i;

	for (i = 0; i < 5; i++) {
		advance(x, x->host_ns + TOGGLE_NS / 2);
		cv_put_u32(log, in32(x, CV_PORT_PM_TMR));
		cv_put_u32(log, in32(x, CV_PORT_PM1_EVT));
		cv_put_u32(log, in16(x, CV_PORT_PM1_CNT));
		cv_put_u32(log, (uint32_t)acknowledge(x));
		out16(x, CV_PORT_PM1_EVT, i & 1 ? 0xffff : 0);
		out8(x, 0xa0, 0x20);
		out8(x, 0x20, 0x20);
	}
}

START_TEST(acpi_save_load_continues)
{
	f->host_ns = TOGGLE_NS / 3;
	out16(f, CV_PORT_PM1_EVT + 2, 0x101);
	f->m.power_button(f->m.power_dev);
	out16(f, CV_PORT_PM1_CNT, 0x400);
	check_continues(f, go);
	check_refuses(f, "acpi-pm");
}
END_TEST

/* --- Tables --- */

static uint8_t ram8(uint64_t at)
{
	uint8_t v = 0;

	cv_memory_read(&f->m.mem, at, &v, 1);
	return v;
}

static uint64_t ram(uint64_t at, unsigned n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | ram8(at + n);
	return v;
}

static bool says(uint64_t at, const char *s)
{
	for (; *s; s++, at++)
		if (ram8(at) != (uint8_t)*s)
			return false;
	return true;
}

static uint8_t sum(uint64_t at, uint64_t n)
{
	uint8_t v = 0;

	while (n-- > 0)
		v += ram8(at + n);
	return v;
}

/* The table of that signature in the XSDT, or 0. The RSDT must have the same. */
static uint64_t find(const struct cv_boot_firmware *fw, const char *signature)
{
	uint64_t rsdt = ram(fw->rsdp + 16, 4), xsdt = ram(fw->rsdp + 24, 8);
	uint64_t i, n = (ram(xsdt + 4, 4) - 36) / 8;

	ck_assert_uint_eq((ram(rsdt + 4, 4) - 36) / 4, n);
	for (i = 0; i < n; i++) {
		uint64_t at = ram(xsdt + 36 + 8 * i, 8);

		ck_assert_uint_eq(ram(rsdt + 36 + 4 * i, 4), at);
		ck_assert_uint_eq(sum(at, ram(at + 4, 4)), 0);
		if (says(at, signature))
			return at;
	}
	return 0;
}

static struct cv_boot_firmware write_tables(void)
{
	struct cv_boot_firmware fw = {0};

	f->m.board = &cv_board;
	f->m.board->write_tables(&f->m, &fw);
	return fw;
}

START_TEST(acpi_rsdp_leads_to_sound_tables)
{
	struct cv_boot_firmware fw = write_tables();
	uint64_t rsdt, xsdt;

	ck_assert_uint_ge(fw.rsdp, 0xe0000);
	ck_assert_uint_eq(fw.rsdp % 16, 0);
	ck_assert_uint_eq(fw.tables_base, 0xe0000);
	ck_assert_uint_le(fw.tables_base + fw.tables_len, 0xf0000);
	ck_assert(says(fw.rsdp, "RSD PTR "));
	ck_assert_uint_eq(sum(fw.rsdp, 20), 0);
	ck_assert_uint_eq(ram(fw.rsdp + 20, 4), 36);
	ck_assert_uint_eq(sum(fw.rsdp, 36), 0);
	rsdt = ram(fw.rsdp + 16, 4);
	xsdt = ram(fw.rsdp + 24, 8);
	ck_assert(says(rsdt, "RSDT"));
	ck_assert(says(xsdt, "XSDT"));
	ck_assert_uint_eq(sum(rsdt, ram(rsdt + 4, 4)), 0);
	ck_assert_uint_eq(sum(xsdt, ram(xsdt + 4, 4)), 0);
	ck_assert_uint_ne(find(&fw, "APIC"), 0);
	ck_assert_uint_eq(find(&fw, "HPET"), 0);
}
END_TEST

START_TEST(acpi_fadt_says_what_the_hardware_is)
{
	struct cv_boot_firmware fw = write_tables();
	uint64_t fadt = find(&fw, "FACP"), facs, dsdt;

	ck_assert_uint_eq(ram(fadt + 4, 4), 244);
	ck_assert_uint_eq(ram8(fadt + 8), 3);
	facs = ram(fadt + 36, 4);
	dsdt = ram(fadt + 40, 4);
	ck_assert(says(facs, "FACS"));
	ck_assert_uint_eq(facs % 64, 0);
	ck_assert_uint_eq(ram(facs + 4, 4), 64);
	ck_assert(says(dsdt, "DSDT"));
	ck_assert_uint_eq(sum(dsdt, ram(dsdt + 4, 4)), 0);
	ck_assert(says(dsdt + 28, "CHRV")); /* not the compiler's stamp */
	ck_assert_uint_eq(ram(fadt + 46, 2), CV_IRQ_SCI);
	ck_assert_uint_eq(ram(fadt + 48, 4), 0); /* SMI command */
	ck_assert_uint_eq(ram(fadt + 56, 4), CV_PORT_PM1_EVT);
	ck_assert_uint_eq(ram(fadt + 64, 4), CV_PORT_PM1_CNT);
	ck_assert_uint_eq(ram(fadt + 76, 4), CV_PORT_PM_TMR);
	ck_assert_uint_eq(ram(fadt + 88, 4), 0x04000204); /* lengths */
	ck_assert_uint_eq(ram(fadt + 96, 4), 0x0fff0fff); /* no C2, no C3 */
	ck_assert_uint_eq(ram8(fadt + 108), 0x32);	   /* century */
	ck_assert_uint_eq(ram(fadt + 109, 2) & 2, 0);	   /* no 8042 */
	ck_assert_uint_eq(ram(fadt + 112, 4) & 1 << 10, 1 << 10);
	ck_assert_uint_eq(ram(fadt + 112, 4) & 1 << 4, 0); /* power button in fixed hardware */
	ck_assert_uint_eq(ram8(fadt + 116), 1);
	ck_assert_uint_eq(ram(fadt + 120, 8), CV_PORT_RESET);
	ck_assert_uint_eq(ram8(fadt + 128), CV_RESET_VALUE);
	ck_assert_uint_eq(ram(fadt + 132, 8), facs);
	ck_assert_uint_eq(ram(fadt + 140, 8), dsdt);
	ck_assert_uint_eq(ram(fadt + 148, 4), 0x03002001); /* I/O, 32 bits, dword access */
	ck_assert_uint_eq(ram(fadt + 152, 8), CV_PORT_PM1_EVT);
	ck_assert_uint_eq(ram(fadt + 176, 8), CV_PORT_PM1_CNT);
	ck_assert_uint_eq(ram(fadt + 212, 8), CV_PORT_PM_TMR);
}
END_TEST

START_TEST(acpi_madt_lists_the_controllers)
{
	struct cv_boot_firmware fw = write_tables();
	uint64_t madt = find(&fw, "APIC"), at = madt + 44, end = madt + ram(madt + 4, 4);
	unsigned seen[5] = {0};

	ck_assert_uint_eq(ram(madt + 36, 4), CV_LAPIC_BASE);
	for (; at < end; at += ram8(at + 1)) {
		ck_assert_uint_lt(ram8(at), 5);
		ck_assert_uint_ge(ram8(at + 1), 6);
		seen[ram8(at)]++;
		if (ram8(at) == 1)
			ck_assert_uint_eq(ram(at + 4, 4), CV_IOAPIC_BASE);
		if (ram8(at) == 2 && ram8(at + 3) == 0)
			ck_assert_uint_eq(ram(at + 4, 4), 2);
		if (ram8(at) == 2 && ram8(at + 3) == CV_IRQ_SCI)
			ck_assert_uint_eq(ram(at + 8, 2), 0xd);
	}
	ck_assert_uint_eq(at, end);
	ck_assert_uint_eq(seen[0], 1);
	ck_assert_uint_eq(seen[1], 1);
	ck_assert_uint_eq(seen[2], 2);
	ck_assert_uint_eq(seen[4], 1);
}
END_TEST

START_TEST(acpi_mp_table_is_sound)
{
	static const uint8_t length[5] = {20, 8, 8, 8, 8};
	uint64_t table, at, end, entries = 0;

	write_tables();
	ck_assert(says(0xf0000, "_MP_"));
	ck_assert_uint_eq(sum(0xf0000, 16 * ram8(0xf0008)), 0);
	table = ram(0xf0004, 4);
	ck_assert(says(table, "PCMP"));
	ck_assert_uint_eq(sum(table, ram(table + 4, 2)), 0);
	ck_assert_uint_eq(ram(table + 36, 4), CV_LAPIC_BASE);
	end = table + ram(table + 4, 2);
	for (at = table + 44; at < end; at += length[ram8(at)], entries++) {
		ck_assert_uint_lt(ram8(at), 5);
		if (ram8(at) == 3 && ram8(at + 5) == 0)
			ck_assert_uint_eq(ram8(at + 7), 2); /* the timer's pin */
	}
	ck_assert_uint_eq(at, end);
	ck_assert_uint_eq(entries, ram(table + 34, 2));
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
		acpi_timer_runs_at_3579545_hz,
		acpi_power_button_raises_the_sci,
		acpi_enable_register_by_bytes,
		acpi_timer_status_is_gathered,
		acpi_timer_interrupt_when_enabled,
		acpi_s5_powers_off,
		acpi_reset_register_resets,
		acpi_save_load_continues,
		acpi_rsdp_leads_to_sound_tables,
		acpi_fadt_says_what_the_hardware_is,
		acpi_madt_lists_the_controllers,
		acpi_mp_table_is_sound,
	};

	return run_tests("acpi", tests, sizeof(tests) / sizeof(tests[0]), setup, teardown);
}
