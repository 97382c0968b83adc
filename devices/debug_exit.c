/* SPDX-License-Identifier: MIT */
/* Debug exit at F4h: a guest that writes a number there ends the run with it; 0 says that all went well. */
#include <stdlib.h>

#include "devices/devices.h"

#define SAVE_VERSION 1

static uint64_t debug_exit_read(void *dev, uint64_t offset, unsigned size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return 0;
}

static void debug_exit_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	struct cv_debug_exit *d = dev;

	(void)size;
	if (offset == 0)
		cv_machine_end(d->m, CV_END_DEBUG_EXIT, v);
}

static void debug_exit_reset(void *dev)
{
	(void)dev;
}

static void debug_exit_save(const void *dev, struct cv_wbuf *w)
{
	(void)dev;
	cv_put_u8(w, SAVE_VERSION);
}

static void debug_exit_load(void *dev, struct cv_rbuf *r)
{
	(void)dev;
	cv_device_version(r, SAVE_VERSION);
}

static const struct cv_device_ops ops = {
	.name = "debug-exit",
	.reset = debug_exit_reset,
	.save = debug_exit_save,
	.load = debug_exit_load,
	.free = free,
};
static const struct cv_io_ops io_ops = {debug_exit_read, debug_exit_write, 4};

struct cv_debug_exit *cv_debug_exit_new(struct cv_machine *m, struct cv_error *err)
{
	struct cv_debug_exit *d = cv_device_new(m, sizeof(*d), &ops, err);

	if (!d)
		return NULL;
	d->m = m;
	cv_bus_add_pio(&m->bus, CV_PORT_DEBUG_EXIT, 4, &io_ops, d);
	return d;
}
