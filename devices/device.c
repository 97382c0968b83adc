/* SPDX-License-Identifier: MIT */
/* What all chips share: their storage, their version byte, exact scaling of time. */
#include <stdlib.h>

#include "devices/devices.h"

void *cv_device_new(struct cv_machine *m, size_t size, const struct cv_device_ops *ops, struct cv_error *err)
{
	void *dev = calloc(1, size);

	if (!dev) {
		cv_error_set(err, CV_E_NOMEM, "out of memory for device %s", ops->name);
		return NULL;
	}
	cv_machine_add_device(m, ops, dev);
	return dev;
}

bool cv_device_version(struct cv_rbuf *r, uint8_t version)
{
	if (cv_get_u8(r) == version && !r->err)
		return true;
	if (!r->err)
		r->err = CV_E_CORRUPT;
	return false;
}

uint64_t cv_muldiv(uint64_t v, uint64_t mul, uint64_t div)
{
	return (uint64_t)((unsigned __int128)v * mul / div);
}
