/* SPDX-License-Identifier: MIT */
/*
 * The decoder: bytes to one small record per instruction, the same for the interpreter, a translator, and whoever
 * else must know what an instruction does.
 *
 * Tables (256 rows a map, operands in Intel notation) turn opcode bytes into a struct cv_opcode; cv_decode() applies
 * prefixes, ModRM, SIB, displacement and immediates. An empty row is #UD, and so is a row whose feature the CPU model
 * doesn't have. The decoder knows no machine state but the mode and the features that it is told.
 */
#ifndef CV_INSN_H
#define CV_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm-core/x86/features.h"

struct soft_cpu;
struct cv_insn;
typedef void cv_handler(struct soft_cpu *c, const struct cv_insn *i);

/* Every operation has a number; the lists are split by who implements them. Mnemonics in lower case. */
enum cv_op {
	CV_OP_none = 0, /* #UD */
#define X(name) CV_OP_##name,
#include "vmm-core/x86/ops_int.def"
#include "vmm-core/x86/ops_sys.def"
#include "vmm-core/x86/ops_fp.def"
#include "vmm-core/x86/ops_crypto.def"
#include "vmm-core/x86/ops_avx.def"
#undef X
	CV_OP_COUNT
};

enum { CV_PFX_LOCK = 1, CV_PFX_REP = 2 /* F3 */, CV_PFX_REPNE = 4 /* F2 */, CV_PFX_66 = 8, CV_PFX_67 = 16 };

enum { CV_VEX = 1 /* VEX-encoded */, CV_VEX_L = 2 /* VEX.L: 256 bits */ };

#define CV_NOREG 0xff
#define CV_REG_RIP 0xfe /* as base: RIP-relative */

struct cv_insn {
	cv_handler *fn; /* chosen by the engine, not by the decoder */
	uint64_t imm;	/* immediate, sign- or zero-extended as the operation wants; moffs address; branch displacement
			 * (sign-extended); far pointer: offset */
	int32_t disp;
	int32_t fdisp;	/* engine: displacement of the fast form of the address, see soft/mem.h */
	union {
		uint16_t imm2; /* far pointer: selector; ENTER: nesting level */
		struct {
			uint8_t vvvv; /* VEX: the register that VEX.vvvv names, 0..15 */
			uint8_t vex;  /* CV_VEX_*; W is in `rex`, where it means something in this mode */
		};
	};
	uint16_t op;	/* enum cv_op */
	uint16_t off;	/* offset of this instruction from the start of its block, in bytes */
	uint8_t len;	/* in bytes, 1..15 */
	uint8_t osize;	/* operand size in bytes: 1 for byte forms, else 2, 4, 8, all defaults applied (D64, F64) */
	uint8_t asize;	/* address size in bytes: 2, 4, 8 */
	uint8_t prefixes; /* CV_PFX_* present */
	uint8_t rex;	/* 0, or 40h..4Fh; of a VEX prefix its R, X, B and W as REX has them */
	uint8_t opcode;	/* last opcode byte */
	uint8_t modrm;	/* raw, 0 where there is none */
	uint8_t mod;	/* 3: rm is a register. 0: rm is memory (also for 1 and 2; and for moffs) */
	uint8_t reg;	/* ModRM.reg with REX.R; or the register in the opcode byte with REX.B */
	uint8_t rm;	/* ModRM.rm with REX.B if mod is 3 */
	uint8_t base;	/* 0..15, CV_NOREG or CV_REG_RIP */
	uint8_t index;	/* 0..15 or CV_NOREG; of a gather a vector register */
	uint8_t scale;	/* shift: 0..3 */
	uint8_t seg;	/* segment of the memory operand, override and defaults applied: CV_ES.. */
	uint8_t flags;	/* CV_INSN_* */
	uint8_t form;	/* index of the operand form within the operation, free for the owner of the op */
	uint8_t bslot;	/* engine: base and index of the fast form of the address, as word offsets into soft_cpu */
	uint8_t xslot;
};
/*
 * Byte registers: without REX, 4..7 mean AH, CH, DH, BH. CV_INSN_HIGH_REG / _RM say that `reg` / `rm` is such a one
 * (then reg/rm hold 0..3: the register whose second byte it is).
 */
enum {
	CV_INSN_HIGH_REG = 1,
	CV_INSN_HIGH_RM = 2,
	CV_INSN_BRANCH = 4, /* writes RIP; ends a block */
	CV_INSN_SINGLE = 8, /* runs alone in its block, position settled (I/O, clocks, system state) */
	CV_INSN_CONDBR = 16, /* a conditional branch: retiring it counts in `branches` */
	CV_INSN_FAST = 32, /* engine: fdisp, bslot, xslot give the linear address */
};

/* Operand kinds, named as in SDM volume 2, appendix A. What they mean to the decoder: ModRM? immediate size? osize? */
enum cv_operand {
	O_none = 0,
	/* ModRM general */
	O_Eb, O_Ew, O_Ed, O_Eq, O_Ev, O_Ey /* 4, or 8 with REX.W */, O_Gb, O_Gw, O_Gd, O_Gq, O_Gv, O_Gy, O_Gz,
	O_M, O_Mb, O_Mw, O_Md, O_Mq, O_Mdq, O_Mp /* far pointer */, O_Ms /* descriptor-table */, O_Mt /* 80-bit */,
	O_Ma /* bound */, O_Mv, O_My, O_Rd /* mod ignored: a register */, O_Ry, O_Rv, O_Sw, O_Cd, O_Dd,
	O_Ew_Mw /* Ew as memory, Rv as register */,
	/* immediates and such */
	O_Ib, O_Ibs /* sign-extended to osize */, O_Iw, O_Iz, O_Iv, O_Jb, O_Jz, O_Ap, O_Ob, O_Ov, O_1, O_Ib2 /* ENTER */,
	/* fixed registers */
	O_AL, O_CL, O_DX, O_eAX, O_rAX, O_Zb /* register in opcode, byte */, O_Zv, O_ES, O_CS, O_SS, O_DS, O_FS, O_GS,
	O_Xb, O_Xv, O_Xz, O_Yb, O_Yv, O_Yz, O_Fv,
	/* x87, MMX, SSE */
	O_ST0, O_STi, O_Pq, O_Pd, O_Qq, O_Qd, O_Nq, O_Vdq, O_Vps, O_Vpd, O_Vss, O_Vsd, O_Vq, O_Vd, O_Wdq, O_Wps,
	O_Wpd, O_Wss, O_Wsd, O_Wq, O_Wd, O_Ww, O_Udq, O_Uq, O_Rdm /* Rd or Mb/Mw */, O_XMM0,
	/* AVX: x is 16 or 32 bytes by VEX.L, xh half of that, xq a quarter, xo an eighth; dq always 16, qq always 32 */
	O_Vx, O_Wx, O_Ux, O_Mx, O_Hx, O_Hdq, O_Hqq, O_Hss, O_Hsd, O_Vqq, O_Wqq, O_Mqq, O_Wxh, O_Wxq, O_Wxo, O_Wb, O_Mdx /* vector of
	VSIB addresses */, O_Lx /* register in imm[7:4] */, O_By /* VEX.vvvv: 4, or 8 with VEX.W */,
	O_COUNT
};

/* Flags of a table row. */
enum {
	F_LOCK = 1,	 /* LOCK is allowed when the destination is memory */
	F_BRANCH = 2,	 /* CV_INSN_BRANCH */
	F_SINGLE = 4,	 /* CV_INSN_SINGLE */
	F_CONDBR = 8,	 /* CV_INSN_CONDBR (and BRANCH) */
	F_D64 = 16,	 /* operand size defaults to 64 in 64-bit mode (66h gives 16) */
	F_F64 = 32,	 /* operand size is 64 in 64-bit mode, whatever the prefix */
	F_NO64 = 64,	 /* #UD in 64-bit mode */
	F_ONLY64 = 128,	 /* #UD elsewhere */
	F_MODRM = 256,	 /* has ModRM although no operand says so */
	F_BYTE = 512,	 /* osize is 1 although no operand says so (MOVSB, ...) */
	F_MEMONLY = 1024, /* mod 3 is #UD */
	F_REGONLY = 2048, /* memory is #UD */
	F_NOPFX = 4096,	 /* 66, F2, F3 make it #UD */
	F_W64 = 8192,	 /* osize is 8 with REX.W else 4, 66h ignored (most SSE) */
	/* VEX maps only. A row that says nothing of L or W takes both. */
	F_L0 = 1 << 14, F_L1 = 1 << 15, F_W0 = 1 << 16, F_W1 = 1 << 17,
	F_Y2 = 1 << 18,	 /* with 256 bits it is AVX2's */
	F_GPR = 1 << 19, /* on general registers: AVX need not be there */
	F_R2 = 1 << 20,	 /* with a register as source it is AVX2's */
};

/* How a row with `sub` picks a row of it. */
enum cv_select {
	S_none = 0,
	S_REG,	  /* sub[ModRM.reg]: 8 rows */
	S_MOD,	  /* sub[mod == 3]: 2 rows (memory, register) */
	S_RM,	  /* sub[ModRM.rm]: 8 rows */
	S_PREFIX, /* sub[0: none, 1: 66, 2: F3, 3: F2] (F2/F3 win over 66): 4 rows */
	S_MODE64, /* sub[64-bit mode]: 2 rows */
	S_REXW,	  /* sub[REX.W or VEX.W]: 2 rows */
	S_VEXL,	  /* sub[VEX.L]: 2 rows */
	S_FEATURE, /* sub[the CPU has the row's feature]: 2 rows */
};

struct cv_opcode {
	const struct cv_opcode *sub; /* with select != S_none */
	uint32_t flags;		     /* F_* */
	uint16_t op;		     /* enum cv_op */
	uint8_t o[4];		     /* enum cv_operand, destination first */
	uint8_t feature;	     /* enum cv_feature: without it #UD */
	uint8_t select;		     /* enum cv_select */
	uint8_t form;		     /* copied to cv_insn.form */
};

#define OP(name, a, b, f) {.op = CV_OP_##name, .o = {O_##a, O_##b}, .flags = (f)}
#define OP3(name, a, b, c, f) {.op = CV_OP_##name, .o = {O_##a, O_##b, O_##c}, .flags = (f)}
#define OPF(name, a, b, f, fo) {.op = CV_OP_##name, .o = {O_##a, O_##b}, .flags = (f), .form = (fo)}
#define OPX(feat, name, a, b, f) {.op = CV_OP_##name, .o = {O_##a, O_##b}, .flags = (f), .feature = CV_FEATURE_##feat}
#define SUB(how, table) {.sub = (table), .select = S_##how}

/* The maps. One byte and 0F by opcodes_int.c; an empty row of cv_map_0f falls to cv_map_0f_simd (opcodes_fp.c). */
extern const struct cv_opcode cv_map_1[256], cv_map_0f[256];
extern const struct cv_opcode cv_map_0f_simd[256];	    /* rows select by S_PREFIX and so on */
extern const struct cv_opcode cv_map_0f38[256], cv_map_0f3a[256];
extern const struct cv_opcode cv_map_vex_0f[256], cv_map_vex_0f38[256], cv_map_vex_0f3a[256]; /* opcodes_vex.c */
extern const struct cv_opcode cv_map_x87_mem[8][8];	    /* [opcode - D8h][reg] */
extern const struct cv_opcode cv_map_x87_reg[8][64];	    /* [opcode - D8h][ModRM - C0h] */

enum cv_decode_result {
	CV_DECODE_OK = 0,
	CV_DECODE_UD = 1,   /* not an instruction of the model, or LOCK where it must not be; len tells what was read */
	CV_DECODE_LONG = 2, /* more than 15 bytes: #GP(0) */
	CV_DECODE_MORE = 3, /* the n bytes given are not enough (fetch more, or #PF/#GP on the next byte) */
};

/* mode: 16, 32 or 64: the default code size. features: CV_HAS() of each. Reads at most 15 of n bytes. */
enum cv_decode_result cv_decode(const uint8_t *p, size_t n, unsigned mode, uint64_t features, struct cv_insn *out);
/* The same, and the row that was found: who shows or generates instructions learns the operands from it. NULL: none. */
enum cv_decode_result cv_decode_row(const uint8_t *p, size_t n, unsigned mode, uint64_t features, struct cv_insn *out,
				    const struct cv_opcode **row);
const char *cv_op_name(enum cv_op op);

#endif
