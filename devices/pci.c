/* SPDX-License-Identifier: MIT */
/*
 * PCI configuration mechanism 1 at CF8h and CFCh with a host bridge at 00:00.0 and nothing else, and reset control at
 * CF9h, a byte inside the address register's four that belongs to the chipset.
 *
 * Accesses of other sizes to CF8h than four bytes never reach the address register.
 */
#include <stdlib.h>

#include "devices/devices.h"

#define SAVE_VERSION 1
#define ADDRESS_ENABLE 0x80000000u
#define ADDRESS_WRITABLE 0x80fffffcu
#define COMMAND_WRITABLE 0x0147u /* I/O, memory, master, parity, SERR */

enum { RESET_CPU = 4 };
enum { CFG_ID = 0x00, CFG_COMMAND = 0x04, CFG_CLASS = 0x08, CFG_SUBSYSTEM = 0x2c, CFG_INTERRUPT = 0x3c };

/* One aligned dword of the bridge's configuration space. */
static uint32_t bridge_read(const struct cv_pci *p, unsigned reg)
{
	switch (reg) {
	case CFG_ID:
		return 0x0d578086; /* a host bridge without quirks */
	case CFG_COMMAND:
		return p->command;
	case CFG_CLASS:
		return 0x06000000; /* bridge, host; revision 0 */
	case CFG_SUBSYSTEM:
		return 0;
	case CFG_INTERRUPT:
		return p->line;
	default:
		return 0;
	}
}

static void bridge_write(struct cv_pci *p, unsigned reg, uint32_t v)
{
	if (reg == CFG_COMMAND)
		p->command = v & COMMAND_WRITABLE;
	else if (reg == CFG_INTERRUPT)
		p->line = (uint8_t)v;
}

/* Does the address register name the bridge, bus 0, device 0, function 0? */
static bool selects_bridge(const struct cv_pci *p)
{
	return (p->address & (ADDRESS_ENABLE | 0xffff00)) == ADDRESS_ENABLE;
}

static uint64_t address_read(void *dev, uint64_t offset, unsigned size)
{
	struct cv_pci *p = dev;

	if (offset == 0 && size == 4)
		return p->address;
	return offset == 1 && size == 1 ? p->reset : UINT64_MAX;
}

static void address_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	struct cv_pci *p = dev;

	if (offset == 0 && size == 4) {
		p->address = (uint32_t)v & ADDRESS_WRITABLE;
	} else if (offset == 1 && size == 1) {
		if ((v & RESET_CPU) && !(p->reset & RESET_CPU))
			cv_machine_request_reset(p->m);
		p->reset = v & 0x0e;
	}
}

static uint64_t data_read(void *dev, uint64_t offset, unsigned size)
{
	struct cv_pci *p = dev;

	(void)size;
	if (!selects_bridge(p))
		return UINT64_MAX;
	return bridge_read(p, p->address & 0xfc) >> (8 * offset);
}

static void data_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	struct cv_pci *p = dev;
	unsigned reg = p->address & 0xfc, shift = 8 * (unsigned)offset;
	uint32_t mask = (uint32_t)(((1ull << (8 * size)) - 1) << shift);

	if (selects_bridge(p))
		bridge_write(p, reg, (bridge_read(p, reg) & ~mask) | ((uint32_t)v << shift & mask));
}

static void pci_reset(void *dev)
{
	struct cv_pci *p = dev;

	p->address = 0;
	p->reset = 0;
	p->command = 0x0007;
	p->line = 0;
}

static void pci_save(const void *dev, struct cv_wbuf *w)
{
	const struct cv_pci *p = dev;

	cv_put_u8(w, SAVE_VERSION);
	cv_put_u32(w, p->address);
	cv_put_u8(w, p->reset);
	cv_put_u16(w, p->command);
	cv_put_u8(w, p->line);
}

static void pci_load(void *dev, struct cv_rbuf *r)
{
	struct cv_pci *p = dev;

	if (!cv_device_version(r, SAVE_VERSION))
		return;
	p->address = cv_get_u32(r);
	p->reset = cv_get_u8(r);
	p->command = cv_get_u16(r);
	p->line = cv_get_u8(r);
}

static const struct cv_device_ops ops = {
	.name = "pci", .reset = pci_reset, .save = pci_save, .load = pci_load, .free = free,
};
static const struct cv_io_ops address_io = {address_read, address_write, 4};
static const struct cv_io_ops data_io = {data_read, data_write, 4};

struct cv_pci *cv_pci_new(struct cv_machine *m, struct cv_error *err)
{
	struct cv_pci *p = cv_device_new(m, sizeof(*p), &ops, err);

	if (!p)
		return NULL;
	p->m = m;
	cv_bus_add_pio(&m->bus, CV_PORT_PCI_ADDRESS, 4, &address_io, p);
	cv_bus_add_pio(&m->bus, CV_PORT_PCI_ADDRESS + 4, 4, &data_io, p);
	return p;
}
