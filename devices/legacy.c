/* SPDX-License-Identifier: MIT */
/*
 * Ports of the first PCs that kernels still touch and that do nothing here: the two DMA controllers without channels
 * in use (00h..0Fh, C0h..DFh), their page registers with the POST code (80h..8Fh), and the delay port EDh. They keep
 * what is written.
 */
#include <stdlib.h>
#include <string.h>

#include "devices/devices.h"

#define SAVE_VERSION 1

static uint64_t page_read(void *dev, uint64_t offset, unsigned size)
{
	(void)size;
	return ((const struct cv_legacy *)dev)->page[offset];
}

static void page_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	(void)size;
	((struct cv_legacy *)dev)->page[offset] = (uint8_t)v;
}

static uint64_t dma1_read(void *dev, uint64_t offset, unsigned size)
{
	(void)size;
	/* Status and temporary registers: no request, no terminal count. */
	return offset == 8 || offset == 13 ? 0 : ((const struct cv_legacy *)dev)->dma[0][offset];
}

static void dma1_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	(void)size;
	((struct cv_legacy *)dev)->dma[0][offset] = (uint8_t)v;
}

/* The second controller's registers lie two apart. */
static uint64_t dma2_read(void *dev, uint64_t offset, unsigned size)
{
	(void)size;
	offset /= 2;
	return offset == 8 || offset == 13 ? 0 : ((const struct cv_legacy *)dev)->dma[1][offset];
}

static void dma2_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	(void)size;
	((struct cv_legacy *)dev)->dma[1][offset / 2] = (uint8_t)v;
}

static uint64_t delay_read(void *dev, uint64_t offset, unsigned size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return 0xff;
}

static void delay_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	(void)dev;
	(void)offset;
	(void)size;
	(void)v;
}

static void legacy_reset(void *dev)
{
	struct cv_legacy *l = dev;

	memset(l->page, 0, sizeof(l->page));
	memset(l->dma, 0, sizeof(l->dma));
}

static void legacy_save(const void *dev, struct cv_wbuf *w)
{
	const struct cv_legacy *l = dev;

	cv_put_u8(w, SAVE_VERSION);
	cv_put_bytes(w, l->page, sizeof(l->page));
	cv_put_bytes(w, l->dma, sizeof(l->dma));
}

static void legacy_load(void *dev, struct cv_rbuf *r)
{
	struct cv_legacy *l = dev;

	if (!cv_device_version(r, SAVE_VERSION))
		return;
	cv_get_bytes(r, l->page, sizeof(l->page));
	cv_get_bytes(r, l->dma, sizeof(l->dma));
}

static const struct cv_device_ops ops = {
	.name = "legacy", .reset = legacy_reset, .save = legacy_save, .load = legacy_load, .free = free,
};
static const struct cv_io_ops page_io = {page_read, page_write, 1};
static const struct cv_io_ops dma1_io = {dma1_read, dma1_write, 1};
static const struct cv_io_ops dma2_io = {dma2_read, dma2_write, 1};
static const struct cv_io_ops delay_io = {delay_read, delay_write, 1};

struct cv_legacy *cv_legacy_new(struct cv_machine *m, struct cv_error *err)
{
	struct cv_legacy *l = cv_device_new(m, sizeof(*l), &ops, err);

	if (!l)
		return NULL;
	l->m = m;
	cv_bus_add_pio(&m->bus, 0x00, 16, &dma1_io, l);
	cv_bus_add_pio(&m->bus, 0x80, 16, &page_io, l);
	cv_bus_add_pio(&m->bus, 0xc0, 32, &dma2_io, l);
	cv_bus_add_pio(&m->bus, 0xed, 1, &delay_io, l);
	return l;
}
