/* SPDX-License-Identifier: MIT */
/*
 * I/O APIC (82093AA, with the EOI register of version 20h): 24 pins, each a redirection entry that turns an edge or a
 * level into a message for the local APIC.
 *
 * Entry: vector 7:0, delivery mode 10:8, logical 11, delivery status 12 (always idle: messages arrive at once),
 * polarity 13 (kept, not used: lines are logical), remote IRR 14, level 15, mask 16, destination 63:56. An edge on a
 * masked pin is lost. A level that is still asserted at EOI is sent again. A pin in ExtINT mode passes INTR of the PIC
 * through.
 */
#include <stdlib.h>
#include <string.h>

#include "devices/devices.h"

#define SAVE_VERSION 1
#define ENTRY_LOGICAL (1ull << 11)
#define ENTRY_STATUS (1ull << 12)
#define ENTRY_REMOTE_IRR (1ull << 14)
#define ENTRY_LEVEL (1ull << 15)
#define ENTRY_MASK (1ull << 16)
#define ENTRY_WRITABLE (0xff0000000001ffffull & ~(ENTRY_STATUS | ENTRY_REMOTE_IRR))

enum { REG_SELECT = 0, REG_WINDOW = 0x10, REG_EOI = 0x40 };
enum { IDX_ID, IDX_VERSION, IDX_ARBITRATION, IDX_TABLE = 0x10 };

static unsigned mode(uint64_t e)
{
	return (e >> 8) & 7;
}

static void send(struct cv_ioapic *io, unsigned pin)
{
	uint64_t *e = &io->entry[pin];
	bool level = (*e & ENTRY_LEVEL) && mode(*e) <= CV_APIC_LOWEST;

	if (cv_lapic_deliver(io->lapic, (uint8_t)(*e >> 56), *e & ENTRY_LOGICAL, mode(*e), (uint8_t)*e, level) && level)
		*e |= ENTRY_REMOTE_IRR;
}

/* ExtINT is a wire rather than a message: it is up while any such pin is. */
static void update_extint(struct cv_ioapic *io)
{
	bool up = false;
	unsigned pin;

	for (pin = 0; pin < CV_IOAPIC_PINS; pin++)
		if (!(io->entry[pin] & ENTRY_MASK) && mode(io->entry[pin]) == CV_APIC_EXTINT)
			up |= (io->lines >> pin) & 1;
	cv_lapic_set_extint(io->lapic, up);
}

/* Sends what a pin's level asks for. */
static void service_level(struct cv_ioapic *io, unsigned pin)
{
	uint64_t e = io->entry[pin];

	if ((e & ENTRY_LEVEL) && !(e & (ENTRY_MASK | ENTRY_REMOTE_IRR)) && mode(e) != CV_APIC_EXTINT &&
	    (io->lines >> pin & 1))
		send(io, pin);
}

void cv_ioapic_set(struct cv_ioapic *io, unsigned pin, bool level)
{
	uint32_t bit = 1u << pin;
	uint64_t e = io->entry[pin];
	bool was = io->lines & bit;

	if (level == was)
		return;
	io->lines ^= bit;
	if (mode(e) == CV_APIC_EXTINT)
		update_extint(io);
	else if (e & ENTRY_LEVEL)
		service_level(io, pin);
	else if (level && !(e & ENTRY_MASK))
		send(io, pin);
}

void cv_ioapic_eoi(struct cv_ioapic *io, uint8_t vector)
{
	unsigned pin;

	for (pin = 0; pin < CV_IOAPIC_PINS; pin++) {
		uint64_t *e = &io->entry[pin];

		if ((*e & ENTRY_LEVEL) && (uint8_t)*e == vector) {
			*e &= ~ENTRY_REMOTE_IRR;
			service_level(io, pin);
		}
	}
}

static uint32_t read_register(const struct cv_ioapic *io)
{
	unsigned pin;

	switch (io->select) {
	case IDX_ID:
	case IDX_ARBITRATION:
		return (uint32_t)io->id << 24;
	case IDX_VERSION:
		return (CV_IOAPIC_PINS - 1) << 16 | 0x20;
	default:
		pin = (io->select - IDX_TABLE) / 2u;
		if (io->select < IDX_TABLE || pin >= CV_IOAPIC_PINS)
			return 0;
		return (uint32_t)(io->entry[pin] >> (io->select & 1 ? 32 : 0));
	}
}

static void write_entry(struct cv_ioapic *io, unsigned pin, bool high, uint32_t v)
{
	uint64_t *e = &io->entry[pin];
	uint64_t n = high ? (*e & 0xffffffff) | (uint64_t)v << 32 : (*e & ~0xffffffffull) | v;

	*e = (n & ENTRY_WRITABLE) | (*e & ENTRY_REMOTE_IRR);
	if (!(*e & ENTRY_LEVEL))
		*e &= ~ENTRY_REMOTE_IRR;
	update_extint(io);
	service_level(io, pin);
}

static void write_register(struct cv_ioapic *io, uint32_t v)
{
	unsigned pin;

	if (io->select == IDX_ID) {
		io->id = v >> 24 & 0xf;
	} else if (io->select >= IDX_TABLE) {
		pin = (io->select - IDX_TABLE) / 2u;
		if (pin < CV_IOAPIC_PINS)
			write_entry(io, pin, io->select & 1, v);
	}
}

static uint64_t ioapic_read(void *dev, uint64_t offset, unsigned size)
{
	struct cv_ioapic *io = dev;

	(void)size;
	if (offset == REG_SELECT)
		return io->select;
	return offset == REG_WINDOW ? read_register(io) : 0;
}

static void ioapic_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	struct cv_ioapic *io = dev;

	(void)size;
	if (offset == REG_SELECT)
		io->select = (uint8_t)v;
	else if (offset == REG_WINDOW)
		write_register(io, (uint32_t)v);
	else if (offset == REG_EOI)
		cv_ioapic_eoi(io, (uint8_t)v);
}

static void ioapic_reset(void *dev)
{
	struct cv_ioapic *io = dev;
	unsigned pin;

	io->id = CV_IOAPIC_ID;
	io->select = 0;
	io->lines = 0;
	for (pin = 0; pin < CV_IOAPIC_PINS; pin++)
		io->entry[pin] = ENTRY_MASK;
	cv_lapic_set_extint(io->lapic, false);
}

static void ioapic_save(const void *dev, struct cv_wbuf *w)
{
	const struct cv_ioapic *io = dev;
	unsigned pin;

	cv_put_u8(w, SAVE_VERSION);
	cv_put_u8(w, io->id);
	cv_put_u8(w, io->select);
	cv_put_u32(w, io->lines);
	for (pin = 0; pin < CV_IOAPIC_PINS; pin++)
		cv_put_u64(w, io->entry[pin]);
}

static void ioapic_load(void *dev, struct cv_rbuf *r)
{
	struct cv_ioapic *io = dev;
	unsigned pin;

	if (!cv_device_version(r, SAVE_VERSION))
		return;
	io->id = cv_get_u8(r);
	io->select = cv_get_u8(r);
	io->lines = cv_get_u32(r);
	for (pin = 0; pin < CV_IOAPIC_PINS; pin++)
		io->entry[pin] = cv_get_u64(r);
}

static const struct cv_device_ops ops = {
	.name = "ioapic", .reset = ioapic_reset, .save = ioapic_save, .load = ioapic_load, .free = free,
};
static const struct cv_io_ops io_ops = {ioapic_read, ioapic_write, 4};

struct cv_ioapic *cv_ioapic_new(struct cv_machine *m, struct cv_error *err)
{
	struct cv_ioapic *io = cv_device_new(m, sizeof(*io), &ops, err);

	if (io)
		cv_bus_add_mmio(&m->bus, CV_IOAPIC_BASE, 0x1000, &io_ops, io);
	return io;
}
