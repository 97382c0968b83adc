/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "tests/capstone/reasons.h"

static unsigned skip_prefixes(const uint8_t *p, unsigned n, unsigned mode)
{
	unsigned k = 0;

	while (k < n && (memchr("\xf0\xf2\xf3\x66\x67\x2e\x36\x3e\x26\x64\x65", p[k], 11) || (mode == 64 && (p[k] & 0xf0) == 0x40)))
		k++;
	return k;
}

static bool beyond_vex(unsigned map, uint8_t op)
{
	if (map == 1) /* AVX-512 masks */
		return (op >= 0x41 && op <= 0x4b) || (op >= 0x90 && op <= 0x93) || op == 0x98 || op == 0x99;
	if (map == 2) /* AMX, AVX-VNNI, GFNI, VAES with 256 bits */
		return op == 0x49 || op == 0x4b || (op >= 0x50 && op <= 0x53) || op == 0x5c || op == 0x5e || op == 0xcf ||
		       (op >= 0xdc && op <= 0xdf);
	return (op >= 0x30 && op <= 0x33) || op == 0x44 || op == 0xce || op == 0xcf; /* masks, VPCLMULQDQ, GFNI */
}

bool beyond_models(const uint8_t *p, unsigned n, unsigned mode)
{
	unsigned k = skip_prefixes(p, n, mode);
	uint8_t a = p[k], b = k + 1 < n ? p[k + 1] : 0, c = k + 2 < n ? p[k + 2] : 0, d = k + 3 < n ? p[k + 3] : 0;

	if (a == 0x62 && (mode == 64 || b >= 0xc0))
		return true;
	if (a == 0xc5)
		return beyond_vex(1, c);
	if (a == 0xc4)
		return beyond_vex(b & 31, d);
	if (a == 0x8f && b & 0x38) /* XOP */
		return true;
	if ((a == 0xc6 || a == 0xc7) && b == 0xf8) /* TSX */
		return true;
	if (a != 0x0f)
		return false;
	switch (b) {
	case 0x01: return c >= 0xc0;			       /* VMX, SGX, TSX, PKU, SERIALIZE, UINTR, MONITOR */
	case 0x37: case 0x78: case 0x79: case 0xaa: return true; /* GETSEC, VMREAD, VMWRITE, RSM */
	case 0x0e: case 0x0f: case 0x24: case 0x25: case 0x26: case 0x27: case 0x36: case 0x39: case 0x3b: case 0x3c: case 0x3d:
	case 0x3e: case 0x3f: case 0x7a: case 0x7b: case 0xa6: case 0xa7: case 0x04: case 0x0a: case 0x0c:
		return true; /* 3DNow!, Cyrix, SSE5 */
	case 0x2b: case 0x1e: return true; /* MOVNTSS; CET */
	case 0xae: case 0xc7: return true; /* XSAVES, PTWRITE, WAITPKG, CET; VMPTRLD and its kin */
	case 0xb8: return true;		   /* JMPE */
	case 0x38: return c == 0x80 || c == 0x81 || c == 0xcf || c >= 0xf5; /* INVEPT, INVVPID, GFNI, MOVDIR, ENQCMD, CET */
	case 0x3a: return c == 0xce || c == 0xcf;			     /* GFNI */
	default: return false;
	}
}

/* Operands that Capstone lists (or doesn't) beside those that the opcode maps name. */
static bool implied(const struct cv_insn *i)
{
	switch (i->op) {
	case CV_OP_nop: case CV_OP_pause: case CV_OP_xlat: case CV_OP_maskmovdqu: case CV_OP_vmaskmovdqu: case CV_OP_pblendvb:
	case CV_OP_blendvps: case CV_OP_blendvpd: case CV_OP_sha256rnds2: case CV_OP_aam: case CV_OP_aad: case CV_OP_bound:
		return true;
	default: return false;
	}
}

/*
 * MOVSXD without REX.W writes 32 bits (the table of 2B "MOVSX/MOVSXD"); CRC32 clears the upper half; LAR, LSL and MOV to a
 * segment register read 16 whatever the operand size.
 */
static bool other_width(const struct cv_insn *i)
{
	switch (i->op) {
	case CV_OP_movsxd: case CV_OP_lar: case CV_OP_lsl: case CV_OP_mov_to_sreg: case CV_OP_crc32:
	case CV_OP_crc32_b:
		return true;
	default: return false;
	}
}

static bool is_x87(const struct cv_insn *i)
{
	return (i->opcode & 0xf8) == 0xd8 && i->op >= CV_OP_fadd && i->op <= CV_OP_fcos;
}

static bool has_odd_rex_w(const uint8_t *p, unsigned mode)
{
	unsigned k = skip_prefixes(p, 15, mode);

	return mode == 64 && k > 1 && (p[k - 1] & 0xf8) == 0x48 &&
	       (memchr(p, 0x67, k) || (p[k] == 0x0f && (memchr(p, 0xf2, k) || memchr(p, 0xf3, k))));
}

enum reason reason_of(const struct cv_insn *i, const struct cv_opcode *row, const uint8_t *p, unsigned mode, bool names_differ)
{
	if (has_odd_rex_w(p, mode))
		return REASON_REX_W;
	if (i->op == CV_OP_rdpid || (i->op == CV_OP_clflush && (i->modrm & 0x38) == 0x30))
		return REASON_NEWER;
	if (names_differ)
		return REASON_NONE;
	if (mode != 64 && row->o[3] == O_Lx && i->imm & 0x80)
		return REASON_IS4;
	if (is_x87(i) && i->mod == 3)
		return REASON_X87_OPERANDS;
	if (implied(i))
		return REASON_IMPLIED;
	/* Outside 64-bit mode VEX.W widens no general register: the host runs VPINSRQ there. */
	if (other_width(i) || (mode != 64 && (i->op == CV_OP_vpinsrd || i->op == CV_OP_vpextrd)))
		return REASON_OPERAND_SIZE;
	if (i->op == CV_OP_jcc || i->op == CV_OP_jmp || i->op == CV_OP_call || i->op == CV_OP_loop || i->op == CV_OP_loope ||
	    i->op == CV_OP_loopne || i->op == CV_OP_jcxz)
		return REASON_BRANCH_TARGET;
	return REASON_NONE;
}
