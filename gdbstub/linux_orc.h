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

/* sp_reg, bp_reg: where the frame before is reckoned from. */
enum {
	CV_ORC_REG_UNDEFINED, CV_ORC_REG_PREV_SP, CV_ORC_REG_DX, CV_ORC_REG_DI, CV_ORC_REG_BP, CV_ORC_REG_SP,
	CV_ORC_REG_R10, CV_ORC_REG_R13, CV_ORC_REG_BP_INDIRECT, CV_ORC_REG_SP_INDIRECT
};

/* What lies there: a return address below it; struct pt_regs, or what IRET pops, at it. */
enum cv_orc_kind { CV_ORC_KIND_CALL, CV_ORC_KIND_REGS, CV_ORC_KIND_IRET, CV_ORC_KIND_END, CV_ORC_KIND_UNDEFINED };

struct cv_orc_entry {
	int16_t sp_offset, bp_offset;
	uint8_t sp_reg, bp_reg;
	enum cv_orc_kind kind;
};

/* Entry i, below orc->n, and the address from which on it holds. */
uint64_t cv_orc_get(const struct cv_orc *orc, size_t i, struct cv_orc_entry *e);

/* The whole table as a .debug_frame section (linux_cfi.c). */
struct cv_wbuf;
void cv_orc_put_debug_frame(const struct cv_orc *orc, struct cv_wbuf *out);

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
