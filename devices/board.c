/* SPDX-License-Identifier: MIT */
/*
 * The board: which chips there are, in which order, and how they are joined. The order is the order of reset, of
 * saving, and of deadlines that fall together.
 */
#include "devices/board.h"

#include <stdlib.h>

#include "devices/devices.h"

/* The interrupt lines have nothing to save or reset: this entry only owns them. */
static void lines_reset(void *dev)
{
	(void)dev;
}

static void lines_save(const void *dev, struct cv_wbuf *w)
{
	(void)dev;
	cv_put_u8(w, 1);
}

static void lines_load(void *dev, struct cv_rbuf *r)
{
	(void)dev;
	cv_device_version(r, 1);
}

static const struct cv_device_ops lines_ops = {
	.name = "lines", .reset = lines_reset, .save = lines_save, .load = lines_load, .free = free,
};

/* PIC, IOAPIC and local APIC, and the lines that lead to them. */
static struct cv_irq *wire_interrupts(struct cv_machine *m, struct cv_error *err)
{
	struct cv_irq *irq = cv_device_new(m, sizeof(*irq), &lines_ops, err);
	struct cv_pic *pic = cv_pic_new(m, err);
	struct cv_ioapic *ioapic = cv_ioapic_new(m, err);
	struct cv_lapic *lapic = cv_lapic_new(m, err);

	if (!irq || !pic || !ioapic || !lapic)
		return NULL;
	irq->pic = pic;
	irq->ioapic = ioapic;
	pic->lapic = lapic;
	pic->ioapic = ioapic;
	ioapic->lapic = lapic;
	lapic->pic = pic;
	lapic->ioapic = ioapic;
	m->irqchip = &cv_lapic_irqchip;
	m->irqchip_dev = lapic;
	return irq;
}

int cv_board_wire(struct cv_machine *m, struct cv_error *err)
{
	struct cv_irq *irq = wire_interrupts(m, err);
	struct cv_pit *pit = irq ? cv_pit_new(m, irq, err) : NULL;

	if (!pit || !cv_rtc_new(m, irq, err))
		return CV_E_NOMEM;
	m->console_dev = cv_serial_new(m, irq, err);
	m->console_room = cv_serial_room;
	m->console_put = cv_serial_put;
	m->power_dev = cv_acpi_pm_new(m, irq, err);
	m->power_button = cv_acpi_pm_power_button;
	m->screen_dev = cv_vga_new(m, err);
	m->screen_text = cv_vga_screen_text;
	if (!m->console_dev || !m->power_dev || !m->screen_dev)
		return CV_E_NOMEM;
	if (!cv_i8042_new(m, irq, err) || !cv_pci_new(m, err) || !cv_legacy_new(m, err) || !cv_pvpanic_new(m, err) ||
	    !cv_debug_exit_new(m, err))
		return CV_E_NOMEM;
	if (m->config.test_device && !cv_test_device_new(m, irq, pit, err))
		return CV_E_NOMEM;
	return 0;
}

/* What a BIOS would leave in its data area for kernels that look there. */
static void write_bios_data(struct cv_memory *mem)
{
	static const struct {
		uint16_t at, value;
	} words[] = {
		{0x400, CV_PORT_COM1}, /* first serial port */
		{0x40e, 0x9fc0},       /* segment of the extended BIOS data area */
		{0x410, 0x0226},       /* equipment: one serial port, 80-column colour, FPU */
		{0x413, 639},	       /* KiB of conventional memory */
		{0x449, 0x5003},       /* video mode 3, 80 columns */
		{0x44c, 0x1000},       /* bytes in a page of text */
		{0x460, 0x0d0e},       /* cursor shape */
		{0x463, 0x03d4},       /* CRTC */
		{0x484, 0x1018},       /* rows less one, character height */
	};
	unsigned i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		uint8_t b[2] = {(uint8_t)words[i].value, (uint8_t)(words[i].value >> 8)};

		cv_memory_write(mem, words[i].at, b, sizeof(b));
	}
}

void cv_board_write_tables(struct cv_machine *m, struct cv_boot_firmware *fw)
{
	uint64_t end = cv_acpi_write_tables(&m->mem);

	cv_mptable_write(&m->mem);
	write_bios_data(&m->mem);
	if (m->config.test_device)
		cv_bios_write_vectors(&m->mem);
	fw->rsdp = CV_TABLES_BASE;
	fw->tables_base = CV_TABLES_BASE;
	fw->tables_len = (end - CV_TABLES_BASE + CV_PAGE_SIZE - 1) & ~(uint64_t)(CV_PAGE_SIZE - 1);
}

const struct cv_board_ops cv_board = {
	.wire = cv_board_wire,
	.write_tables = cv_board_write_tables,
};
