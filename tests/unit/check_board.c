/* SPDX-License-Identifier: MIT */
/* The board as a whole, and its small chips: PCI bridge, pvpanic, debug exit, legacy ports, test device. */
#include "tests/unit/fake_board.h"

static struct fake *f;

static void setup(void)
{
	f = fake_new();
}

static void teardown(void)
{
	fake_free(f);
}

static uint32_t config(struct fake *x, unsigned devfn, unsigned reg)
{
	out32(x, 0xcf8, 0x80000000u | devfn << 8 | reg);
	return in32(x, 0xcfc);
}

START_TEST(board_order_is_fixed)
{
	static const char *const order[] = {
		"lines", "pic", "ioapic", "lapic", "pit", "rtc", "serial", "acpi-pm", "vga", "i8042", "pci", "legacy",
		"pvpanic", "debug-exit",
	};
	unsigned i;

	ck_assert_uint_eq(f->m.ndevices, sizeof(order) / sizeof(order[0]));
	for (i = 0; i < f->m.ndevices; i++)
		ck_assert_str_eq(f->m.devices[i].ops->name, order[i]);
}
END_TEST

START_TEST(board_reset_is_power_on)
{
	struct cv_wbuf before = {0}, after = {0};
	unsigned port;

	fake_save(f, &before);
	setup_pics(f);
	setup_apics(f, 4, 0x40, 0);
	for (port = 0; port < 0x400; port++) {
		in8(f, port);
		if (port != 0x64 && port != 0x92)
			out8(f, port, 0x33);
	}
	out32(f, 0xcf8, 0x80000004);
	out32(f, 0xcfc, 0);
	out16(f, CV_PORT_PM1_EVT + 2, 0xffff);
	fake_save(f, &after);
	ck_assert(before.len != after.len || memcmp(before.data, after.data, before.len));
	cv_wbuf_release(&after);
	out8(f, 0x70, 0x33); /* CMOS RAM alone would keep what the loop wrote */
	out8(f, 0x71, 0);
	fake_reset(f);
	fake_save(f, &after);
	ck_assert_uint_eq(before.len, after.len);
	ck_assert_mem_eq(before.data, after.data, before.len);
	cv_wbuf_release(&before);
	cv_wbuf_release(&after);
}
END_TEST

START_TEST(board_idle_has_no_deadline)
{
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), CV_NEVER);
	ck_assert(!pending(f));
	ck_assert_uint_eq(f->looks, 0);
}
END_TEST

START_TEST(pci_finds_one_host_bridge)
{
	unsigned dev;

	out8(f, 0xcfb, 1);
	out32(f, 0xcf8, 0x80000000);
	ck_assert_uint_eq(in32(f, 0xcf8), 0x80000000);
	ck_assert_uint_eq(config(f, 0, 0), 0x0d578086);
	ck_assert_uint_eq(in16(f, 0xcfe), 0x0d57);
	ck_assert_uint_eq(config(f, 0, 8) >> 16, 0x0600);
	ck_assert_uint_eq(config(f, 0, 0x0c) >> 16 & 0xff, 0); /* one function */
	for (dev = 1; dev < 32; dev++)
		ck_assert_uint_eq(config(f, dev << 3, 0), 0xffffffff);
	ck_assert_uint_eq(config(f, 1, 0), 0xffffffff);
	out32(f, 0xcf8, 0x80010000);
	ck_assert_uint_eq(in32(f, 0xcfc), 0xffffffff);
	out32(f, 0xcf8, 0);
	ck_assert_uint_eq(in32(f, 0xcfc), 0xffffffff);
}
END_TEST

START_TEST(pci_bridge_has_no_bars)
{
	unsigned reg;

	for (reg = 0x10; reg < 0x28; reg += 4) {
		config(f, 0, reg);
		out32(f, 0xcfc, 0xffffffff);
		ck_assert_uint_eq(in32(f, 0xcfc), 0);
	}
	config(f, 0, 4);
	out16(f, 0xcfc, 0xffff);
	ck_assert_uint_eq(in32(f, 0xcfc), 0x0147);
	config(f, 0, 0x3c);
	out8(f, 0xcfc, 11);
	ck_assert_uint_eq(in32(f, 0xcfc), 11);
}
END_TEST

START_TEST(pci_reset_control_is_a_byte_of_its_own)
{
	out32(f, 0xcf8, 0x80000604);
	ck_assert_uint_eq(f->resets, 0);
	ck_assert_uint_eq(in8(f, 0xcf9), 0);
	out8(f, 0xcf9, 2);
	ck_assert_uint_eq(in8(f, 0xcf9), 2);
	ck_assert_uint_eq(in32(f, 0xcf8), 0x80000604);
}
END_TEST

START_TEST(pvpanic_ends_the_run_on_bit_zero)
{
	ck_assert_uint_eq(in8(f, CV_PORT_PVPANIC), 3);
	out8(f, CV_PORT_PVPANIC, 2);
	ck_assert_int_eq(f->end, CV_END_NONE);
	out8(f, CV_PORT_PVPANIC, 1);
	ck_assert_int_eq(f->end, CV_END_PANIC_DEVICE);
}
END_TEST

START_TEST(debug_exit_carries_the_code)
{
	out32(f, CV_PORT_DEBUG_EXIT, 0x12345678);
	ck_assert_int_eq(f->end, CV_END_DEBUG_EXIT);
	ck_assert_uint_eq(f->end_code, 0x12345678);
}
END_TEST

START_TEST(debug_exit_takes_a_byte)
{
	out8(f, CV_PORT_DEBUG_EXIT, 3);
	ck_assert_int_eq(f->end, CV_END_DEBUG_EXIT);
	ck_assert_uint_eq(f->end_code, 3);
}
END_TEST

START_TEST(legacy_ports_remember_and_do_nothing)
{
	out8(f, 0x80, 0x5a);
	ck_assert_uint_eq(in8(f, 0x80), 0x5a);
	out8(f, 0x87, 0x12);
	ck_assert_uint_eq(in8(f, 0x87), 0x12);
	out8(f, 0xed, 0);
	out8(f, 0xd4, 4);
	ck_assert_uint_eq(in8(f, 0xd0), 0);
	ck_assert_uint_eq(in8(f, 0x08), 0);
}
END_TEST

static void go(struct fake *x, struct cv_wbuf *log)
{
	unsigned i;

	cv_put_u32(log, in32(x, 0xcfc));
	cv_put_u8(log, in8(x, 0xcf9));
	for (i = 0x80; i < 0x90; i++)
		cv_put_u8(log, in8(x, i));
	for (i = 0xc0; i < 0xe0; i += 2)
		cv_put_u8(log, in8(x, i));
}

START_TEST(board_small_chips_save_load_continue)
{
	static const char *const names[] = {"lines", "pci", "legacy", "pvpanic", "debug-exit"};
	unsigned i;

	out8(f, 0x84, 4);
	out8(f, 0xc4, 9);
	out8(f, 0xcf9, 2);
	config(f, 0, 4);
	out32(f, 0xcfc, 3);
	check_continues(f, go);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		check_refuses(f, names[i]);
}
END_TEST

static void go_test_device(struct fake *x, struct cv_wbuf *log)
{
	cv_put_u32(log, in32(x, 0xe0));
	cv_put_u64(log, cv_bus_mmio_read(&x->m.bus, 0xff000ff8, 8));
	cv_put_u8(log, (uint8_t)acknowledge(x));
}

START_TEST(test_device_remembers_and_moves_lines)
{
	struct fake *x = fake_new_with(true);

	ck_assert_uint_eq(in8(f, 0xe0), 0xff); /* no device unless it was asked for */
	out32(x, 0xe0, 0x44332211);
	out16(x, 0xe1, 0xbeef);
	ck_assert_uint_eq(in32(x, 0xe0), 0x44beef11);
	ck_assert_uint_eq(in8(x, 0xe2), 0xbe);
	cv_bus_mmio_write(&x->m.bus, 0xff000ffc, 8, 0x1122334455667788);
	ck_assert_uint_eq(cv_bus_mmio_read(&x->m.bus, 0xff001000, 4), 0x11223344);
	ck_assert_uint_eq(cv_bus_mmio_read(&x->m.bus, 0xff00ffff, 1), 0);
	out32(x, 0xe4, 0x1000);
	setup_apics(x, 5, 0x45, 0);
	out8(x, 0x2005, 1);
	ck_assert_int_eq(acknowledge(x), 0x45);
	lapic_set(x, 0xb0, 0);
	out8(x, 0x2005, 1); /* no edge */
	ck_assert_int_eq(acknowledge(x), -1);
	out8(x, 0x2005, 0);
	out8(x, 0x2005, 1);
	check_continues(x, go_test_device);
	check_refuses(x, "test-device");
	fake_reset(x);
	ck_assert_uint_eq(in32(x, 0xe0), 0);
	ck_assert_uint_eq(cv_bus_mmio_read(&x->m.bus, 0xff001000, 4), 0);
	fake_free(x);
}
END_TEST

START_TEST(bios_tick_comes_with_the_test_device)
{
	struct fake *x = fake_new_with(true);
	struct cv_boot_firmware fw;
	uint8_t b[4];

	cv_board_write_tables(&x->m, &fw);
	cv_memory_read(&x->m.mem, 4 * 8, b, 4);
	ck_assert_uint_eq(b[0] | b[1] << 8 | b[2] << 16 | (uint32_t)b[3] << 24, 0xf000fea5);
	cv_memory_read(&x->m.mem, 4 * 0x70, b, 4);
	ck_assert_uint_eq(b[0] | b[1] << 8 | b[2] << 16 | (uint32_t)b[3] << 24, 0xf000ff53);
	ck_assert_int_eq(acknowledge(x), -1);
	advance(x, 54925495); /* 65536 / 1193182 s */
	ck_assert_int_eq(acknowledge(x), 8);
	out8(x, 0x20, 0x20);
	advance(x, 2 * 54925495);
	ck_assert_int_eq(acknowledge(x), 8);
	ck_assert_uint_eq(cv_clock_deadline(&f->m.clock), CV_NEVER); /* and with nothing else */
	fake_free(x);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
		board_order_is_fixed,
		board_reset_is_power_on,
		board_idle_has_no_deadline,
		pci_finds_one_host_bridge,
		pci_bridge_has_no_bars,
		pci_reset_control_is_a_byte_of_its_own,
		pvpanic_ends_the_run_on_bit_zero,
		debug_exit_carries_the_code,
		debug_exit_takes_a_byte,
		legacy_ports_remember_and_do_nothing,
		board_small_chips_save_load_continue,
		test_device_remembers_and_moves_lines,
		bios_tick_comes_with_the_test_device,
	};

	return run_tests("board", tests, sizeof(tests) / sizeof(tests[0]), setup, teardown);
}
