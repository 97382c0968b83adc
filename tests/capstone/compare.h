/* SPDX-License-Identifier: MIT */
/*
 * The decoder beside Capstone, instruction by instruction: is it one, how long is it, what is it called, what are its
 * operands? Where they disagree on the first two questions the host CPU is asked; what no CPU can tell (names, operands) and
 * what this host has but the models don't is settled by a table of reasons, each of which is counted and printed.
 */
#ifndef CV_CAPSTONE_COMPARE_H
#define CV_CAPSTONE_COMPARE_H

#include <capstone/capstone.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/capstone/host.h"
#include "vmm-core/x86/insn.h"

/* --- operands.c: what an instruction of ours reads as --- */

enum kind { KIND_REG, KIND_MEM, KIND_IMM };
struct operand {
	enum kind kind;
	char reg[8];			    /* "rax", "ymm3" */
	char base[8], index[8], seg[8];	    /* "" for none; seg only where an override was written */
	unsigned scale;
	uint64_t disp;			    /* modulo the address size */
	uint64_t imm;			    /* modulo `size` bytes */
	unsigned size;			    /* immediates: bytes that count */
};
enum { OPERANDS_MAX = 8 };
/* The explicit operands, in Intel's order. addr: of the instruction. */
unsigned operands_of(const struct cv_opcode *row, const struct cv_insn *i, unsigned mode, uint64_t addr,
		     struct operand out[OPERANDS_MAX]);
void operand_print(const struct operand *o, char *buf, size_t n);
/* Does Capstone say the same? */
bool operands_match(csh h, const cs_insn *ci, const struct cv_insn *i, const struct operand *o, unsigned n);

/* --- names.c --- */

bool name_matches(const struct cv_insn *i, const char *capstone);

#endif
