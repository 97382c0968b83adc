/* SPDX-License-Identifier: MIT */
/*
 * Keyboard controller (8042) at 60h and 64h with nothing plugged in, and system control port A (92h).
 *
 * It answers its self-test, keeps its configuration byte, pulses the reset line and holds the A20 bit, which gates
 * address line 20 of the CPU; one bit for both ports, as chipsets join them. Bytes for a keyboard or mouse time out as they do without one: FEh in
 * the output buffer, with the timeout bit.
 */
#include <stdlib.h>
#include <string.h>

#include "devices/devices.h"

#define SAVE_VERSION 1

enum { ST_OBF = 1, ST_SYS = 4, ST_COMMAND = 8, ST_UNLOCKED = 0x10, ST_AUX = 0x20, ST_TIMEOUT = 0x40 };
enum { CFG_KBD_IRQ = 1, CFG_SYS = 4, CFG_KBD_OFF = 0x10, CFG_AUX_OFF = 0x20 };
enum {
	CMD_READ_RAM = 0x20, CMD_WRITE_RAM = 0x60, CMD_AUX_OFF = 0xa7, CMD_AUX_ON, CMD_AUX_TEST, CMD_SELF_TEST,
	CMD_KBD_TEST, CMD_KBD_OFF = 0xad, CMD_KBD_ON, CMD_READ_INPUT = 0xc0, CMD_READ_OUTPUT = 0xd0, CMD_WRITE_OUTPUT,
	CMD_WRITE_KBD_OBUF, CMD_WRITE_AUX_OBUF, CMD_WRITE_AUX, CMD_A20_OFF = 0xdd, CMD_A20_ON = 0xdf, CMD_PULSE = 0xf0
};
enum { PORT92_RESET = 1, PORT92_A20 = 2 };

static void update_irq(struct cv_i8042 *k)
{
	cv_irq_set(k->irq, CV_IRQ_KBD, k->full && !(k->status & ST_AUX) && (k->config & CFG_KBD_IRQ));
}

static void answer(struct cv_i8042 *k, uint8_t v, uint8_t status)
{
	k->output = v;
	k->full = true;
	k->status = (uint8_t)((k->status & ~(ST_AUX | ST_TIMEOUT)) | status);
	update_irq(k);
}

static void set_a20(struct cv_i8042 *k, bool on)
{
	k->port92 = on ? PORT92_A20 : 0;
	cv_machine_set_a20(k->m, on);
}

static void pulse(struct cv_i8042 *k, uint8_t v)
{
	if (!(v & 1)) /* a zero pulses the line; line 0 is the CPU's reset */
		cv_machine_request_reset(k->m);
}

static void write_command(struct cv_i8042 *k, uint8_t v)
{
	k->command = 0;
	k->status |= ST_COMMAND;
	if (v >= CMD_READ_RAM && v < CMD_READ_RAM + 0x20) {
		answer(k, v == CMD_READ_RAM ? k->config : k->ram[v & 0x1f], 0);
		return;
	}
	if ((v >= CMD_WRITE_RAM && v < CMD_WRITE_RAM + 0x20) || (v >= CMD_WRITE_OUTPUT && v <= CMD_WRITE_AUX)) {
		k->command = v;
		return;
	}
	if (v >= CMD_PULSE) {
		pulse(k, v);
		return;
	}
	switch (v) {
	case CMD_AUX_OFF:
		k->config |= CFG_AUX_OFF;
		break;
	case CMD_AUX_ON:
		k->config &= (uint8_t)~CFG_AUX_OFF;
		break;
	case CMD_AUX_TEST:
	case CMD_KBD_TEST:
		answer(k, 0, 0);
		break;
	case CMD_SELF_TEST:
		k->status |= ST_SYS;
		k->config |= CFG_SYS;
		answer(k, 0x55, 0);
		break;
	case CMD_KBD_OFF:
		k->config |= CFG_KBD_OFF;
		break;
	case CMD_KBD_ON:
		k->config &= (uint8_t)~CFG_KBD_OFF;
		break;
	case CMD_READ_INPUT:
		answer(k, 0x80, 0); /* not locked */
		break;
	case CMD_READ_OUTPUT:
		answer(k, (uint8_t)(0x01 | k->port92 | (k->full ? 0x10 : 0)), 0);
		break;
	case CMD_A20_OFF:
	case CMD_A20_ON:
		set_a20(k, v == CMD_A20_ON);
		break;
	default:
		break;
	}
}

static void write_data(struct cv_i8042 *k, uint8_t v)
{
	uint8_t command = k->command;

	k->command = 0;
	k->status &= (uint8_t)~ST_COMMAND;
	if (command == CMD_WRITE_RAM) {
		k->config = v;
		k->status = (uint8_t)((k->status & ~ST_SYS) | (v & ST_SYS));
		update_irq(k);
	} else if (command > CMD_WRITE_RAM && command < CMD_WRITE_RAM + 0x20) {
		k->ram[command & 0x1f] = v;
	} else if (command == CMD_WRITE_OUTPUT) {
		set_a20(k, v & 2);
		pulse(k, v);
	} else if (command == CMD_WRITE_KBD_OBUF) {
		answer(k, v, 0);
	} else if (command == CMD_WRITE_AUX_OBUF) {
		answer(k, v, ST_AUX);
	} else if (command == CMD_WRITE_AUX) {
		answer(k, 0xfe, ST_AUX | ST_TIMEOUT);
	} else {
		k->config &= (uint8_t)~CFG_KBD_OFF;
		answer(k, 0xfe, ST_TIMEOUT);
	}
}

static uint64_t data_read(void *dev, uint64_t offset, unsigned size)
{
	struct cv_i8042 *k = dev;

	(void)offset;
	(void)size;
	k->full = false;
	k->status &= (uint8_t)~(ST_AUX | ST_TIMEOUT);
	update_irq(k);
	return k->output;
}

static void data_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	(void)offset;
	(void)size;
	write_data(dev, (uint8_t)v);
}

static uint64_t status_read(void *dev, uint64_t offset, unsigned size)
{
	struct cv_i8042 *k = dev;

	(void)offset;
	(void)size;
	return k->status | (k->full ? ST_OBF : 0);
}

static void status_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	(void)offset;
	(void)size;
	write_command(dev, (uint8_t)v);
}

static uint64_t port92_read(void *dev, uint64_t offset, unsigned size)
{
	(void)offset;
	(void)size;
	return ((const struct cv_i8042 *)dev)->port92;
}

static void port92_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	struct cv_i8042 *k = dev;

	(void)offset;
	(void)size;
	set_a20(k, v & PORT92_A20);
	if (v & PORT92_RESET)
		cv_machine_request_reset(k->m);
}

static void i8042_reset(void *dev)
{
	struct cv_i8042 *k = dev;

	/* As firmware leaves it that found no keyboard. */
	k->status = ST_SYS | ST_UNLOCKED;
	k->config = CFG_SYS | CFG_KBD_OFF | CFG_AUX_OFF;
	k->output = k->command = 0;
	k->full = false;
	k->port92 = PORT92_A20;
	memset(k->ram, 0, sizeof(k->ram));
	update_irq(k);
}

static void i8042_save(const void *dev, struct cv_wbuf *w)
{
	const struct cv_i8042 *k = dev;

	cv_put_u8(w, SAVE_VERSION);
	cv_put_u8(w, k->status);
	cv_put_u8(w, k->config);
	cv_put_u8(w, k->output);
	cv_put_u8(w, k->full);
	cv_put_u8(w, k->command);
	cv_put_u8(w, k->port92);
	cv_put_bytes(w, k->ram, sizeof(k->ram));
}

static void i8042_load(void *dev, struct cv_rbuf *r)
{
	struct cv_i8042 *k = dev;

	if (!cv_device_version(r, SAVE_VERSION))
		return;
	k->status = cv_get_u8(r);
	k->config = cv_get_u8(r);
	k->output = cv_get_u8(r);
	k->full = cv_get_u8(r) & 1;
	k->command = cv_get_u8(r);
	k->port92 = cv_get_u8(r);
	cv_get_bytes(r, k->ram, sizeof(k->ram));
}

static const struct cv_device_ops ops = {
	.name = "i8042", .reset = i8042_reset, .save = i8042_save, .load = i8042_load, .free = free,
};
static const struct cv_io_ops data_io = {data_read, data_write, 1};
static const struct cv_io_ops status_io = {status_read, status_write, 1};
static const struct cv_io_ops port92_io = {port92_read, port92_write, 1};

struct cv_i8042 *cv_i8042_new(struct cv_machine *m, struct cv_irq *irq, struct cv_error *err)
{
	struct cv_i8042 *k = cv_device_new(m, sizeof(*k), &ops, err);

	if (!k)
		return NULL;
	k->m = m;
	k->irq = irq;
	cv_bus_add_pio(&m->bus, 0x60, 1, &data_io, k);
	cv_bus_add_pio(&m->bus, 0x64, 1, &status_io, k);
	cv_bus_add_pio(&m->bus, 0x92, 1, &port92_io, k);
	return k;
}
