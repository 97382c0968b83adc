/* SPDX-License-Identifier: MIT */
/* The symbol table that a Linux kernel carries in its own memory (CONFIG_KALLSYMS). Private to gdbstub/. */
#ifndef CV_LINUX_KALLSYMS_H
#define CV_LINUX_KALLSYMS_H

#include <stddef.h>
#include <stdint.h>

struct cv_kallsym {
	uint64_t addr; /* as the kernel runs: KASLR is in it */
	uint32_t name; /* in names, NUL-terminated */
	char type;     /* as nm(1) prints it */
};

struct cv_kallsyms {
	struct cv_kallsym *list; /* owned, in the kernel's own order */
	size_t n;
	char *names; /* owned */
};

/*
 * Finds the table in a copy of the kernel's image; base: where the image runs, a multiple of 8. 0; CV_E_BADINPUT where
 * there is none; CV_E_NOMEM. The bytes are the guest's and are not trusted: what is found is well-formed, and the work is
 * bounded whatever they are.
 */
int cv_kallsyms_find(struct cv_kallsyms *out, const uint8_t *image, size_t len, uint64_t base);
void cv_kallsyms_release(struct cv_kallsyms *k);

#endif
