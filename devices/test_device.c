/* SPDX-License-Identifier: MIT */
/*
 * The test device: what QEMU's pc-testdev gives to the CPU and chipset tests that are written for it. A machine has it only
 * when asked.
 *
 *   E0h..E3h             four bytes that keep what is written: port I/O of every size
 *   E4h..E7h             "flush this page": takes a page from a hypervisor's own tables; there are none, nothing to do
 *   2000h + line         writing sets the level of an interrupt line (0..23) by bit 0
 *   FF000000h, 64 KiB    bytes that keep what is written, as device memory: instructions with an MMIO operand
 *
 * The levels of the lines live in the interrupt controllers. With it comes what a BIOS leaves running (bios.c).
 */
#include <stdlib.h>
#include <string.h>

#include "devices/devices.h"

#define SAVE_VERSION 1

enum { PORT_DATA = 0xe0, PORT_FLUSH = 0xe4, PORT_LINES = 0x2000, LINES = 24 };
#define MEMORY_BASE 0xff000000ull

static uint64_t bytes_read(const uint8_t *p, unsigned size)
{
	uint64_t v = 0;

	for (unsigned k = size; k-- > 0;)
		v = v << 8 | p[k];
	return v;
}

static void bytes_write(uint8_t *p, unsigned size, uint64_t v)
{
	for (unsigned k = 0; k < size; k++)
		p[k] = (uint8_t)(v >> 8 * k);
}

static uint64_t data_read(void *dev, uint64_t offset, unsigned size)
{
	return bytes_read(((const struct cv_test_device *)dev)->data + offset, size);
}

static void data_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	bytes_write(((struct cv_test_device *)dev)->data + offset, size, v);
}

static uint64_t nothing_read(void *dev, uint64_t offset, unsigned size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return 0;
}

static void nothing_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	(void)dev;
	(void)offset;
	(void)size;
	(void)v;
}

static void lines_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	(void)size;
	cv_irq_set(((struct cv_test_device *)dev)->irq, (unsigned)offset, v & 1);
}

static uint64_t memory_read(void *dev, uint64_t offset, unsigned size)
{
	return bytes_read(((const struct cv_test_device *)dev)->memory + offset, size);
}

static void memory_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	bytes_write(((struct cv_test_device *)dev)->memory + offset, size, v);
}

static void test_device_reset(void *dev)
{
	struct cv_test_device *t = dev;

	memset(t->data, 0, sizeof(t->data));
	memset(t->memory, 0, sizeof(t->memory));
	cv_bios_start_tick(t->bus, t->pit);
}

static void test_device_save(const void *dev, struct cv_wbuf *w)
{
	const struct cv_test_device *t = dev;

	cv_put_u8(w, SAVE_VERSION);
	cv_put_bytes(w, t->data, sizeof(t->data));
	cv_put_bytes(w, t->memory, sizeof(t->memory));
}

static void test_device_load(void *dev, struct cv_rbuf *r)
{
	struct cv_test_device *t = dev;

	if (!cv_device_version(r, SAVE_VERSION))
		return;
	cv_get_bytes(r, t->data, sizeof(t->data));
	cv_get_bytes(r, t->memory, sizeof(t->memory));
}

static const struct cv_device_ops ops = {
	.name = "test-device",
	.reset = test_device_reset,
	.save = test_device_save,
	.load = test_device_load,
	.free = free,
};
static const struct cv_io_ops data_io = {data_read, data_write, 4};
static const struct cv_io_ops flush_io = {nothing_read, nothing_write, 4};
static const struct cv_io_ops lines_io = {nothing_read, lines_write, 1};
static const struct cv_io_ops memory_io = {memory_read, memory_write, 8};

struct cv_test_device *cv_test_device_new(struct cv_machine *m, struct cv_irq *irq, struct cv_pit *pit, struct cv_error *err)
{
	struct cv_test_device *t = cv_device_new(m, sizeof(*t), &ops, err);

	if (!t)
		return NULL;
	t->irq = irq;
	t->pit = pit;
	t->bus = &m->bus;
	cv_bus_add_pio(&m->bus, PORT_DATA, sizeof(t->data), &data_io, t);
	cv_bus_add_pio(&m->bus, PORT_FLUSH, 4, &flush_io, t);
	cv_bus_add_pio(&m->bus, PORT_LINES, LINES, &lines_io, t);
	cv_bus_add_mmio(&m->bus, MEMORY_BASE, sizeof(t->memory), &memory_io, t);
	return t;
}
