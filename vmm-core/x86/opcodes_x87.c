/* SPDX-License-Identifier: MIT */
/*
 * Opcode maps of the x87 (SDM 2D, appendix A.5): D8..DF by ModRM.reg where the operand is memory, by the ModRM byte
 * where it is the stack. The old aliases that every CPU still executes are in: FCOM2, FCOMP3, FCOMP5, FXCH4, FXCH7,
 * FSTP1, FSTP8, FSTP9, FFREEP, and FNENI, FNDISI, FNSETPM as no operation.
 */
#include "vmm-core/x86/insn.h"

#define ROW(n, operand) OP(n, operand, none, 0)
#define ALL8(n, operand) ROW(n, operand), ROW(n, operand), ROW(n, operand), ROW(n, operand), \
			 ROW(n, operand), ROW(n, operand), ROW(n, operand), ROW(n, operand)
#define EMPTY {.op = CV_OP_none}
#define EMPTY8 EMPTY, EMPTY, EMPTY, EMPTY, EMPTY, EMPTY, EMPTY, EMPTY

const struct cv_opcode cv_map_x87_mem[8][8] = {
	/* D8 */ {ROW(fadd, Md), ROW(fmul, Md), ROW(fcom, Md), ROW(fcomp, Md), ROW(fsub, Md), ROW(fsubr, Md),
		  ROW(fdiv, Md), ROW(fdivr, Md)},
	/* D9 */ {ROW(fld, Md), EMPTY, ROW(fst, Md), ROW(fstp, Md), ROW(fldenv, M), ROW(fldcw, Mw), ROW(fnstenv, M),
		  ROW(fnstcw, Mw)},
	/* DA */ {ROW(fiadd, Md), ROW(fimul, Md), ROW(ficom, Md), ROW(ficomp, Md), ROW(fisub, Md), ROW(fisubr, Md),
		  ROW(fidiv, Md), ROW(fidivr, Md)},
	/* DB */ {ROW(fild, Md), ROW(fisttp, Md), ROW(fist, Md), ROW(fistp, Md), EMPTY, ROW(fld_m80, Mt), EMPTY,
		  ROW(fstp_m80, Mt)},
	/* DC */ {ROW(fadd, Mq), ROW(fmul, Mq), ROW(fcom, Mq), ROW(fcomp, Mq), ROW(fsub, Mq), ROW(fsubr, Mq),
		  ROW(fdiv, Mq), ROW(fdivr, Mq)},
	/* DD */ {ROW(fld, Mq), ROW(fisttp, Mq), ROW(fst, Mq), ROW(fstp, Mq), ROW(frstor, M), EMPTY, ROW(fnsave, M),
		  ROW(fnstsw, Mw)},
	/* DE */ {ROW(fiadd, Mw), ROW(fimul, Mw), ROW(ficom, Mw), ROW(ficomp, Mw), ROW(fisub, Mw), ROW(fisubr, Mw),
		  ROW(fidiv, Mw), ROW(fidivr, Mw)},
	/* DF */ {ROW(fild, Mw), ROW(fisttp, Mw), ROW(fist, Mw), ROW(fistp, Mw), ROW(fbld, Mt), ROW(fild, Mq),
		  ROW(fbstp, Mt), ROW(fistp, Mq)},
};

const struct cv_opcode cv_map_x87_reg[8][64] = {
	/* D8 */ {ALL8(fadd, STi), ALL8(fmul, STi), ALL8(fcom, STi), ALL8(fcomp, STi), ALL8(fsub, STi),
		  ALL8(fsubr, STi), ALL8(fdiv, STi), ALL8(fdivr, STi)},
	/* D9 */
	{
		ALL8(fld, STi), ALL8(fxch, STi),
		/* D0 */ ROW(fnop, ST0), EMPTY, EMPTY, EMPTY, EMPTY, EMPTY, EMPTY, EMPTY,
		/* D8 */ ALL8(fstp, STi),
		/* E0 */ ROW(fchs, ST0), ROW(fabs, ST0), EMPTY, EMPTY, ROW(ftst, ST0), ROW(fxam, ST0), EMPTY, EMPTY,
		/* E8 */ ROW(fld1, ST0), ROW(fldl2t, ST0), ROW(fldl2e, ST0), ROW(fldpi, ST0), ROW(fldlg2, ST0),
		ROW(fldln2, ST0), ROW(fldz, ST0), EMPTY,
		/* F0 */ ROW(f2xm1, ST0), ROW(fyl2x, ST0), ROW(fptan, ST0), ROW(fpatan, ST0), ROW(fxtract, ST0),
		ROW(fprem1, ST0), ROW(fdecstp, ST0), ROW(fincstp, ST0),
		/* F8 */ ROW(fprem, ST0), ROW(fyl2xp1, ST0), ROW(fsqrt, ST0), ROW(fsincos, ST0), ROW(frndint, ST0),
		ROW(fscale, ST0), ROW(fsin, ST0), ROW(fcos, ST0),
	},
	/* DA */
	{
		ALL8(fcmovb, STi), ALL8(fcmove, STi), ALL8(fcmovbe, STi), ALL8(fcmovu, STi), EMPTY8,
		/* E8 */ EMPTY, ROW(fucompp, ST0), EMPTY, EMPTY, EMPTY, EMPTY, EMPTY, EMPTY, EMPTY8, EMPTY8,
	},
	/* DB */
	{
		ALL8(fcmovnb, STi), ALL8(fcmovne, STi), ALL8(fcmovnbe, STi), ALL8(fcmovnu, STi),
		/* E0 */ ROW(fnop_ctl, ST0), ROW(fnop_ctl, ST0), ROW(fnclex, ST0), ROW(fninit, ST0), ROW(fnop_ctl, ST0),
		EMPTY, EMPTY, EMPTY,
		/* E8 */ ALL8(fucomi, STi), ALL8(fcomi, STi), EMPTY8,
	},
	/* DC */ {ALL8(fadd, STi), ALL8(fmul, STi), ALL8(fcom, STi), ALL8(fcomp, STi), ALL8(fsubr, STi),
		  ALL8(fsub, STi), ALL8(fdivr, STi), ALL8(fdiv, STi)},
	/* DD */ {ALL8(ffree, STi), ALL8(fxch, STi), ALL8(fst, STi), ALL8(fstp, STi), ALL8(fucom, STi),
		  ALL8(fucomp, STi), EMPTY8, EMPTY8},
	/* DE */
	{
		ALL8(faddp, STi), ALL8(fmulp, STi), ALL8(fcomp, STi),
		/* D8 */ EMPTY, ROW(fcompp, ST0), EMPTY, EMPTY, EMPTY, EMPTY, EMPTY, EMPTY,
		/* E0 */ ALL8(fsubrp, STi), ALL8(fsubp, STi), ALL8(fdivrp, STi), ALL8(fdivp, STi),
	},
	/* DF */
	{
		ALL8(ffreep, STi), ALL8(fxch, STi), ALL8(fstp, STi), ALL8(fstp, STi),
		/* E0 */ ROW(fnstsw, ST0), EMPTY, EMPTY, EMPTY, EMPTY, EMPTY, EMPTY, EMPTY,
		/* E8 */ ALL8(fucomip, STi), ALL8(fcomip, STi), EMPTY8,
	},
};
