/* SPDX-License-Identifier: MIT */
/* A copy of the Linux kernel's image as it lies in a guest's memory. Private to gdbstub/. */
#ifndef CV_LINUX_IMAGE_H
#define CV_LINUX_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "vmm-core/memory.h"
#include "vmm-core/state.h"

struct cv_linux_image {
	uint8_t *data; /* owned; pages that are not mapped are zero */
	size_t len;
	uint64_t base; /* linear address of data[0] */
};

/*
 * Copies what CR3's tables map between ffffffff80000000 and ffffffffc0000000. 0; CV_E_BADINPUT where nothing (or far too much)
 * is mapped there, or the CPU is not in 64-bit mode; CV_E_NOMEM.
 */
int cv_linux_image_copy(struct cv_linux_image *image, const struct cv_memory *mem, const struct cv_vcpu_state *state);
void cv_linux_image_release(struct cv_linux_image *image);

#endif
