/* SPDX-License-Identifier: MIT */
/* The x87: arithmetic, which IEEE 754 and the SDM determine, and the functions, which have a definition of their own. */
#include "digest.h"

/* clang-format off */
#define ARITHMETIC(X) \
	X(fadd, "fadd %%st(1), %%st") X(faddp, "faddp") X(fsub, "fsub %%st(1), %%st") X(fsubr, "fsubr %%st(1), %%st") \
	X(fmul, "fmul %%st(1), %%st") X(fdiv, "fdiv %%st(1), %%st") X(fdivr, "fdivr %%st(1), %%st") X(fdivp, "fdivp") \
	X(fsqrt, "fsqrt") X(fabs, "fabs") X(fchs, "fchs") X(frndint, "frndint") X(fscale, "fscale") X(fxtract, "fxtract") \
	X(fprem, "fprem") X(fprem1, "fprem1") X(fxam, "fxam") X(ftst, "ftst") X(fcom, "fcom") X(fcompp, "fcompp") \
	X(fucom, "fucom") X(fcomi, "fcomi %%st(1), %%st") X(fucomi, "fucomi %%st(1), %%st") X(fxch, "fxch") \
	X(fcmovb, "fcmovb %%st(1), %%st") X(fcmove, "fcmove %%st(1), %%st") X(fcmovu, "fcmovu %%st(1), %%st") \
	X(fist_w, "fists 200(%%rdi)") X(fist_d, "fistl 200(%%rdi)") X(fistp_q, "fistpq 200(%%rdi)") X(fisttp_w, "fisttps 200(%%rdi)") \
	X(fisttp_d, "fisttpl 200(%%rdi)") X(fisttp_q, "fisttpq 200(%%rdi)") X(fst_s, "fsts 200(%%rdi)") X(fst_d, "fstl 200(%%rdi)") \
	X(fstp_t, "fstpt 200(%%rdi)") X(fbstp, "fbstp 200(%%rdi)") X(fld_s, "flds (%%rdi)") X(fld_d, "fldl (%%rdi)") \
	X(fild_w, "filds (%%rdi)") X(fild_d, "fildl (%%rdi)") X(fild_q, "fildq (%%rdi)") X(fadd_s, "fadds (%%rdi)") \
	X(fmul_d, "fmull (%%rdi)") X(fsub_d, "fsubl 32(%%rdi)") X(fdiv_s, "fdivs 32(%%rdi)") X(fiadd, "fiaddl (%%rdi)") \
	X(fidiv, "fidivl 32(%%rdi)") X(fimul, "fimuls (%%rdi)") X(ficom, "ficoml (%%rdi)") X(fld1, "fld1") X(fldl2t, "fldl2t") \
	X(fldl2e, "fldl2e") X(fldpi, "fldpi") X(fldlg2, "fldlg2") X(fldln2, "fldln2") X(fldz, "fldz") X(ffree, "ffree %%st(1)\n fincstp") \
	X(fnstenv, "fadd %%st(1), %%st\n fnstenv 200(%%rdi)\n movq $0, 212(%%rdi)\n movq $0, 220(%%rdi)")
#define FUNCTIONS(X) \
	X(fsin, "fsin") X(fcos, "fcos") X(fsincos, "fsincos") X(fptan, "fptan") X(fpatan, "fpatan") X(f2xm1, "f2xm1") \
	X(fyl2x, "fyl2x") X(fyl2xp1, "fyl2xp1")
/* clang-format on */

ARITHMETIC(X87)
FUNCTIONS(X87)

const struct op ops_x87[] = {ARITHMETIC(ROW) END};
const struct op ops_functions[] = {FUNCTIONS(ROW) END};
