/* SPDX-License-Identifier: MIT */
/* Unwinding with the ORC table that a Linux kernel carries in its own memory (CONFIG_UNWINDER_ORC). Private to gdbstub/. */
#ifndef CV_LINUX_ORC_H
#define CV_LINUX_ORC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm-core/state.h"

struct cv_orc {
	uint64_t ip_base;  /* linear address of ip[0] */
	const uint8_t *ip; /* owned: n words, each an address relative to itself; sorted */
	const uint8_t *entries; /* owned: n entries of 6 bytes */
	size_t n;
	bool new_types; /* Linux 6.4 and later */
};

/*
 * Copies the tables at these linear addresses out of the image: 0, CV_E_BADINPUT for tables that are none, CV_E_NOMEM.
 */
int cv_orc_init(struct cv_orc *orc, const uint8_t *image, size_t len, uint64_t base, uint64_t ip_start, uint64_t ip_end,
		uint64_t entries_start, uint64_t entries_end);
void cv_orc_release(struct cv_orc *orc);

/* What is known of a frame's registers. */
struct cv_orc_frame {
	uint64_t ip, sp, bp;
	uint64_t r10, r13, di, dx;
	bool have_regs; /* the four above: only where an exception has saved them */
	bool exact;	/* ip is where it was interrupted, not behind a call */
	bool user;	/* it runs with CPL 3 */
};

enum cv_orc_step {
	CV_ORC_CALLER,	/* *f is now the caller */
	CV_ORC_END,	/* the table says that there is no caller */
	CV_ORC_UNKNOWN, /* the table says nothing about this code */
	CV_ORC_BAD,	/* it leads to memory that is not there */
};

void cv_orc_begin(struct cv_orc_frame *f, const struct cv_vcpu_state *s);
/* read: linear memory, the number of bytes done. On any result but CV_ORC_CALLER *f is unchanged. */
enum cv_orc_step cv_orc_step(const struct cv_orc *orc, struct cv_orc_frame *f,
			     size_t (*read)(void *ctx, uint64_t addr, void *p, size_t n), void *ctx);

#endif
