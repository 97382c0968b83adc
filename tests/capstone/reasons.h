/* SPDX-License-Identifier: MIT */
/*
 * Why the decoder and Capstone may differ: each reason has its number of cases counted. Cited: SDM volume 2 unless another
 * source is named. "Host" means that the CPU was asked and agrees with us.
 */
#ifndef CV_CAPSTONE_REASONS_H
#define CV_CAPSTONE_REASONS_H

#include "tests/capstone/compare.h"

enum reason {
	REASON_NONE,
#define REASON_LIST(X) \
	X(HOST_UD, "host: #UD, Capstone takes it for an instruction") \
	X(HOST_VALID, "host: an instruction, Capstone doesn't know it") \
	X(HOST_LENGTH, "host: of our length, not of Capstone's") \
	X(MODEL, "an instruction of processors beyond the models (AVX-512, AMX, VMX, TSX, MPX, CET, AMD's): #UD here") \
	X(NOT_ASKED, "SYSCALL, SYSENTER, INT 80h among the bytes: the host was not asked") \
	X(NO_HOST, "the host could not be asked at all: Capstone stands alone against the SDM") \
	X(USER_UD, "#UD when it runs, not when it is decoded: UD0..UD2, CLAC and STAC at CPL 3, MOV to CS, absent control and debug registers") \
	X(X87_OPERANDS, "x87: Capstone names some implied stack operands and leaves out others") \
	X(IMPLIED, "implied operands: Capstone lists what our rows leave to the operation, or the other way round") \
	X(OPERAND_SIZE, "Capstone names a register of another width: the operation uses the low bits that both share") \
	X(BRANCH_TARGET, "branch targets: Capstone wraps or extends them otherwise") \
	X(REX_W, "REX.W beside 67h, F2h or F3h: Capstone takes 67h for 66h, or another row of the map") \
	X(IS4, "a register in imm8[7:4]: bit 7 is ignored outside 64-bit mode (2C \"VBLENDVPD\")") \
	X(NEWER, "RDPID and CLWB, which Capstone 4 takes for RDSEED and XSAVEOPT") \
	X(PREFIXES, "prefixes that change nothing, or in an unusual order: without them, or in the usual one, Capstone agrees")
#define X(name, text) REASON_##name,
	REASON_LIST(X)
#undef X
	REASON_COUNT
};

/* Bytes that this host runs and the models don't have. */
bool beyond_models(const uint8_t *p, unsigned n, unsigned mode);
/* Why names or operands differ though validity and length agree; REASON_NONE: no reason known. */
enum reason reason_of(const struct cv_insn *i, const struct cv_opcode *row, const uint8_t *p, unsigned mode, bool names_differ);

#endif
