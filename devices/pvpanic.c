/* SPDX-License-Identifier: MIT */
/*
 * pvpanic at 505h (QEMU's docs/specs/pvpanic): a kernel writes bit 0 when it has panicked, which ends the run, and bit
 * 1 when a crash kernel is about to take over, which does not. A read gives the bits that are known.
 */
#include <stdlib.h>

#include "devices/devices.h"

#define SAVE_VERSION 1

enum { PANICKED = 1, CRASH_LOADED = 2 };

static uint64_t pvpanic_read(void *dev, uint64_t offset, unsigned size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return PANICKED | CRASH_LOADED;
}

static void pvpanic_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	struct cv_pvpanic *p = dev;

	(void)offset;
	(void)size;
	if (v & PANICKED)
		cv_machine_end(p->m, CV_END_PANIC_DEVICE, v);
}

static void pvpanic_reset(void *dev)
{
	(void)dev;
}

static void pvpanic_save(const void *dev, struct cv_wbuf *w)
{
	(void)dev;
	cv_put_u8(w, SAVE_VERSION);
}

static void pvpanic_load(void *dev, struct cv_rbuf *r)
{
	(void)dev;
	cv_device_version(r, SAVE_VERSION);
}

static const struct cv_device_ops ops = {
	.name = "pvpanic", .reset = pvpanic_reset, .save = pvpanic_save, .load = pvpanic_load, .free = free,
};
static const struct cv_io_ops io_ops = {pvpanic_read, pvpanic_write, 1};

struct cv_pvpanic *cv_pvpanic_new(struct cv_machine *m, struct cv_error *err)
{
	struct cv_pvpanic *p = cv_device_new(m, sizeof(*p), &ops, err);

	if (!p)
		return NULL;
	p->m = m;
	cv_bus_add_pio(&m->bus, CV_PORT_PVPANIC, 1, &io_ops, p);
	return p;
}
