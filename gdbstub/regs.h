/* SPDX-License-Identifier: MIT */
/*
 * The registers that GDB sees: one table for each target description, in the order of GDB's register numbers, which is
 * the order of the `g` packet. Values are little-endian, `bits` wide.
 *
 * RIP is the register, not CS.base + RIP: in 16-bit code with a non-zero CS base GDB looks at the wrong place, as with
 * any stub. Breakpoint addresses are linear.
 */
#ifndef CV_GDB_REGS_H
#define CV_GDB_REGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gdbstub/gdbstub.h"
#include "vmm-core/state.h"

enum cv_reg_kind {
	CV_REG_GPR, /* index: CV_RAX... */
	CV_REG_RIP,
	CV_REG_FLAGS,
	CV_REG_SEL,	 /* index: CV_ES... */
	CV_REG_SEG_BASE, /* index: CV_FS, CV_GS */
	CV_REG_KERNEL_GS_BASE,
	CV_REG_CR0,
	CV_REG_CR2,
	CV_REG_CR3,
	CV_REG_CR4,
	CV_REG_CR8, /* lives in the local APIC: look only */
	CV_REG_EFER,
	CV_REG_ST,  /* index: stack position */
	CV_REG_FPU, /* index: enum cv_fpu_reg */
	CV_REG_XMM, /* index: number */
	CV_REG_YMMH, /* index: number; the upper half of a YMM register */
	CV_REG_MXCSR,
};

enum cv_fpu_reg { CV_FCTRL, CV_FSTAT, CV_FTAG, CV_FISEG, CV_FIOFF, CV_FOSEG, CV_FOOFF, CV_FOP };

enum cv_reg_feature { CV_FEATURE_CORE, CV_FEATURE_SSE, CV_FEATURE_SEGMENTS, CV_FEATURE_SYSTEM, CV_FEATURE_AVX, CV_FEATURES };

struct cv_reg {
	const char *name;
	const char *type; /* in the target description */
	uint16_t bits;
	uint8_t feature; /* enum cv_reg_feature */
	uint8_t kind;	 /* enum cv_reg_kind */
	uint8_t index;
};

#define CV_REG_BYTES_MAX 16

/* The table and its length: with AVX more registers follow, the others keep their numbers. */
const struct cv_reg *cv_regs(enum cv_gdb_arch arch, bool avx, size_t *n);
/* The number of a register by name (without AVX: the same in both tables), or -1. */
int cv_reg_find(enum cv_gdb_arch arch, const char *name);
/* Writes reg->bits / 8 bytes. */
void cv_reg_get(const struct cv_reg *reg, const struct cv_vcpu_state *s, uint64_t cr8, uint8_t *out);
/* False where the register cannot take that value (a selector without its descriptor, CR8): s is unchanged. */
bool cv_reg_set(const struct cv_reg *reg, struct cv_vcpu_state *s, uint64_t cr8, const uint8_t *in);

/* 16, 32 or 64: the size of code that CS says. */
unsigned cv_code_bits(const struct cv_vcpu_state *s);

#endif
