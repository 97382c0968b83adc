/* SPDX-License-Identifier: MIT */
/*
 * The two 8259A interrupt controllers (Intel 231468), master at 20h, slave at A0h on the master's IR2, and the
 * edge/level control registers at 4D0h and 4D1h.
 *
 * IRR holds edges seen and level inputs asserted; as on the chip an edge request is gone when its line falls before
 * the acknowledge, which then gives a spurious IR7. Priority is a ring that begins after `lowest`.
 */
#include <stdlib.h>
#include <string.h>

#include "devices/devices.h"

#define SAVE_VERSION 1
#define SLAVE_IR 2
#define NONE 8

/* Position in the ring of the most urgent bit: 0 is the highest priority, NONE no bit. */
static unsigned urgency(const struct cv_pic_chip *c, uint8_t bits)
{
	unsigned i;

	for (i = 0; i < 8; i++)
		if (bits & (1u << ((c->lowest + 1 + i) & 7)))
			return i;
	return NONE;
}

/* The IR that would be acknowledged now, or -1. */
static int highest(const struct cv_pic_chip *c, bool master)
{
	unsigned want = urgency(c, c->irr & (uint8_t)~c->imr);
	uint8_t serving = c->isr;

	if (want == NONE)
		return -1;
	/* In special mask mode a masked level in service holds nobody back. */
	if (c->special_mask)
		serving &= (uint8_t)~c->imr;
	/* Special fully nested: the slave may interrupt itself. */
	if (c->nested_special && master)
		serving &= (uint8_t)~(1u << SLAVE_IR);
	if (want >= urgency(c, serving))
		return -1;
	return (int)((c->lowest + 1 + want) & 7);
}

static void set_input(struct cv_pic_chip *c, unsigned ir, bool level)
{
	uint8_t bit = (uint8_t)(1u << ir);
	bool was = c->lines & bit;

	if (level)
		c->lines |= bit;
	else
		c->lines &= (uint8_t)~bit;
	if (c->level || (c->elcr & bit)) {
		if (level)
			c->irr |= bit;
		else
			c->irr &= (uint8_t)~bit;
	} else if (level && !was) {
		c->irr |= bit;
	} else if (!level) {
		c->irr &= (uint8_t)~bit;
	}
}

/* Recomputes the cascade and INTR. */
static void update(struct cv_pic *p)
{
	bool out;

	set_input(&p->chip[0], SLAVE_IR, highest(&p->chip[1], false) >= 0);
	out = highest(&p->chip[0], true) >= 0;
	if (out == p->out)
		return;
	p->out = out;
	cv_lapic_set_pic(p->lapic, out);
	cv_ioapic_set(p->ioapic, 0, out);
}

void cv_pic_set(struct cv_pic *p, unsigned line, bool level)
{
	if (line == SLAVE_IR)
		return;
	set_input(&p->chip[line >> 3], line & 7, level);
	update(p);
}

/* The chip takes IR ir into service. */
static void begin_service(struct cv_pic_chip *c, unsigned ir)
{
	uint8_t bit = (uint8_t)(1u << ir);

	if (!c->auto_eoi)
		c->isr |= bit;
	else if (c->rotate_aeoi)
		c->lowest = (uint8_t)ir;
	if (!c->level && !(c->elcr & bit))
		c->irr &= (uint8_t)~bit;
}

unsigned cv_pic_acknowledge(struct cv_pic *p)
{
	struct cv_pic_chip *master = &p->chip[0], *slave = &p->chip[1];
	int ir = highest(master, true);
	unsigned vector;

	if (ir < 0) {
		vector = master->base + 7u;
	} else if (ir != SLAVE_IR) {
		begin_service(master, (unsigned)ir);
		vector = master->base + (unsigned)ir;
	} else {
		int sub = highest(slave, false);

		begin_service(master, SLAVE_IR);
		if (sub >= 0)
			begin_service(slave, (unsigned)sub);
		vector = slave->base + (sub >= 0 ? (unsigned)sub : 7u);
		/* A second request of the slave is a new edge for the master. */
		set_input(master, SLAVE_IR, false);
	}
	update(p);
	return vector & 0xff;
}

static void write_icw1(struct cv_pic_chip *c, uint8_t v)
{
	uint8_t lines = c->lines, elcr = c->elcr;

	memset(c, 0, sizeof(*c));
	c->lines = lines; /* an edge must come anew */
	c->elcr = elcr;
	c->lowest = 7;
	c->level = v & 8;
	c->single = v & 2;
	c->icw4 = v & 1;
	c->init = 2;
	c->irr = c->level ? lines : (lines & elcr);
}

static void end_of_interrupt(struct cv_pic_chip *c, unsigned command, unsigned ir)
{
	unsigned at = urgency(c, c->isr);

	if (command == 1 || command == 5) { /* non-specific, with or without rotation */
		if (at == NONE)
			return;
		ir = (c->lowest + 1u + at) & 7;
	}
	c->isr &= (uint8_t)~(1u << ir);
	if (command & 4)
		c->lowest = (uint8_t)ir;
}

static void write_ocw2(struct cv_pic_chip *c, uint8_t v)
{
	unsigned command = v >> 5;

	switch (command) {
	case 0:
	case 4:
		c->rotate_aeoi = command == 4;
		break;
	case 1:
	case 3:
	case 5:
	case 7:
		end_of_interrupt(c, command, v & 7);
		break;
	case 6:
		c->lowest = v & 7;
		break;
	default: /* 2: no operation */
		break;
	}
}

static void write_ocw3(struct cv_pic_chip *c, uint8_t v)
{
	if (v & 4)
		c->poll = true;
	if (v & 2)
		c->read_isr = v & 1;
	if (v & 0x40)
		c->special_mask = v & 0x20;
}

static void write_data(struct cv_pic_chip *c, uint8_t v)
{
	switch (c->init) {
	case 2:
		c->base = v & 0xf8;
		c->init = c->single ? (c->icw4 ? 4 : 0) : 3;
		break;
	case 3:
		c->init = c->icw4 ? 4 : 0;
		break;
	case 4:
		c->nested_special = v & 0x10;
		c->auto_eoi = v & 2;
		c->init = 0;
		break;
	default:
		c->imr = v;
		break;
	}
}

static void chip_write(struct cv_pic *p, struct cv_pic_chip *c, uint64_t offset, uint8_t v)
{
	if (offset & 1)
		write_data(c, v);
	else if (v & 0x10)
		write_icw1(c, v);
	else if (v & 8)
		write_ocw3(c, v);
	else
		write_ocw2(c, v);
	update(p);
}

static uint8_t poll_answer(struct cv_pic *p, struct cv_pic_chip *c)
{
	int ir = highest(c, c == &p->chip[0]);

	c->poll = false;
	if (ir < 0)
		return 0;
	begin_service(c, (unsigned)ir);
	if (c == &p->chip[0] && ir == SLAVE_IR)
		set_input(c, SLAVE_IR, false);
	update(p);
	return (uint8_t)(0x80 | ir);
}

static uint8_t chip_read(struct cv_pic *p, struct cv_pic_chip *c, uint64_t offset)
{
	if (c->poll)
		return poll_answer(p, c);
	if (offset & 1)
		return c->imr;
	return c->read_isr ? c->isr : c->irr;
}

static uint64_t master_read(void *dev, uint64_t offset, unsigned size)
{
	struct cv_pic *p = dev;

	(void)size;
	return chip_read(p, &p->chip[0], offset);
}

static void master_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	struct cv_pic *p = dev;

	(void)size;
	chip_write(p, &p->chip[0], offset, (uint8_t)v);
}

static uint64_t slave_read(void *dev, uint64_t offset, unsigned size)
{
	struct cv_pic *p = dev;

	(void)size;
	return chip_read(p, &p->chip[1], offset);
}

static void slave_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	struct cv_pic *p = dev;

	(void)size;
	chip_write(p, &p->chip[1], offset, (uint8_t)v);
}

static uint64_t elcr_read(void *dev, uint64_t offset, unsigned size)
{
	struct cv_pic *p = dev;

	(void)size;
	return p->chip[offset].elcr;
}

static void elcr_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	/* Lines 0, 1, 2, 8 and 13 are edge-triggered for good. */
	static const uint8_t mask[2] = {0xf8, 0xde};
	struct cv_pic *p = dev;

	(void)size;
	p->chip[offset].elcr = (uint8_t)v & mask[offset];
	p->chip[offset].irr |= p->chip[offset].elcr & p->chip[offset].lines;
	update(p);
}

static void pic_reset(void *dev)
{
	struct cv_pic *p = dev;
	unsigned i;

	for (i = 0; i < 2; i++) {
		memset(&p->chip[i], 0, sizeof(p->chip[i]));
		p->chip[i].lowest = 7;
		/* As firmware leaves them: masked, at the vectors of the first PC. */
		p->chip[i].imr = 0xff;
		p->chip[i].base = i ? 0x70 : 0x08;
	}
	p->out = false;
	cv_lapic_set_pic(p->lapic, false);
	cv_ioapic_set(p->ioapic, 0, false);
}

enum {
	F_ICW4 = 1, F_SINGLE = 2, F_LEVEL = 4, F_AEOI = 8, F_ROTATE = 16, F_NESTED = 32, F_SPECIAL = 64, F_POLL = 128,
	F_READ_ISR = 256
};

static void pic_save(const void *dev, struct cv_wbuf *w)
{
	const struct cv_pic *p = dev;
	unsigned i;

	cv_put_u8(w, SAVE_VERSION);
	for (i = 0; i < 2; i++) {
		const struct cv_pic_chip *c = &p->chip[i];
		unsigned f = (c->icw4 ? F_ICW4 : 0) | (c->single ? F_SINGLE : 0) | (c->level ? F_LEVEL : 0) |
			     (c->auto_eoi ? F_AEOI : 0) | (c->rotate_aeoi ? F_ROTATE : 0) |
			     (c->nested_special ? F_NESTED : 0) | (c->special_mask ? F_SPECIAL : 0) |
			     (c->poll ? F_POLL : 0) | (c->read_isr ? F_READ_ISR : 0);

		cv_put_u8(w, c->irr);
		cv_put_u8(w, c->isr);
		cv_put_u8(w, c->imr);
		cv_put_u8(w, c->lines);
		cv_put_u8(w, c->elcr);
		cv_put_u8(w, c->base);
		cv_put_u8(w, c->lowest);
		cv_put_u8(w, c->init);
		cv_put_u16(w, (uint16_t)f);
	}
}

static void load_chip(struct cv_pic_chip *c, struct cv_rbuf *r)
{
	unsigned f;

	c->irr = cv_get_u8(r);
	c->isr = cv_get_u8(r);
	c->imr = cv_get_u8(r);
	c->lines = cv_get_u8(r);
	c->elcr = cv_get_u8(r);
	c->base = cv_get_u8(r);
	c->lowest = cv_get_u8(r) & 7;
	c->init = cv_get_u8(r);
	f = cv_get_u16(r);
	c->icw4 = f & F_ICW4;
	c->single = f & F_SINGLE;
	c->level = f & F_LEVEL;
	c->auto_eoi = f & F_AEOI;
	c->rotate_aeoi = f & F_ROTATE;
	c->nested_special = f & F_NESTED;
	c->special_mask = f & F_SPECIAL;
	c->poll = f & F_POLL;
	c->read_isr = f & F_READ_ISR;
}

static void pic_load(void *dev, struct cv_rbuf *r)
{
	struct cv_pic *p = dev;

	if (!cv_device_version(r, SAVE_VERSION))
		return;
	load_chip(&p->chip[0], r);
	load_chip(&p->chip[1], r);
	p->out = highest(&p->chip[0], true) >= 0;
}


static const struct cv_device_ops ops = {
	.name = "pic", .reset = pic_reset, .save = pic_save, .load = pic_load, .free = free,
};
static const struct cv_io_ops master_io = {master_read, master_write, 1};
static const struct cv_io_ops slave_io = {slave_read, slave_write, 1};
static const struct cv_io_ops elcr_io = {elcr_read, elcr_write, 1};

struct cv_pic *cv_pic_new(struct cv_machine *m, struct cv_error *err)
{
	struct cv_pic *p = cv_device_new(m, sizeof(*p), &ops, err);

	if (!p)
		return NULL;
	cv_bus_add_pio(&m->bus, 0x20, 2, &master_io, p);
	cv_bus_add_pio(&m->bus, 0xa0, 2, &slave_io, p);
	cv_bus_add_pio(&m->bus, 0x4d0, 2, &elcr_io, p);
	return p;
}
