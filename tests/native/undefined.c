/* SPDX-License-Identifier: MIT */
/*
 * Flags that SDM 2 and APM 3 call undefined after an instruction ("Flags Affected"; SDM 1 appendix A). The engine follows Intel's
 * processors there, so they are left out where the host is another maker's. Counts aren't looked at: a flag that some count leaves
 * undefined is left out for all.
 */
#include "tests/native/native.h"

uint64_t nat_undefined_flags(const struct cv_insn *i)
{
	const uint64_t af = CV_FLAG_AF, of = CV_FLAG_OF, sf = CV_FLAG_SF, zf = CV_FLAG_ZF, pf = CV_FLAG_PF, cf = CV_FLAG_CF;

	switch (i->op) {
	case CV_OP_and: case CV_OP_or: case CV_OP_xor: case CV_OP_test: case CV_OP_andn:
		return af | (i->op == CV_OP_andn ? pf : 0);
	case CV_OP_mul: case CV_OP_imul: case CV_OP_imul2: return sf | zf | af | pf;
	case CV_OP_div: case CV_OP_idiv: return CV_FLAGS_ARITH;
	case CV_OP_bt: case CV_OP_bts: case CV_OP_btr: case CV_OP_btc: return of | sf | zf | af | pf;
	case CV_OP_bsf: case CV_OP_bsr: return cf | of | sf | af | pf;
	case CV_OP_tzcnt: case CV_OP_lzcnt: return of | sf | af | pf;
	case CV_OP_blsr: case CV_OP_blsmsk: case CV_OP_blsi: case CV_OP_bzhi: return af | pf;
	case CV_OP_bextr: return af | sf | pf;
	case CV_OP_rol: case CV_OP_ror: case CV_OP_rcl: case CV_OP_rcr: return of;
	case CV_OP_sar: case CV_OP_shl: case CV_OP_shr: return af | of | cf;
	case CV_OP_shld: case CV_OP_shrd: return CV_FLAGS_ARITH;
	case CV_OP_aaa: case CV_OP_aas: return of | sf | zf | pf;
	case CV_OP_daa: case CV_OP_das: return of;
	case CV_OP_aam: case CV_OP_aad: return of | af | cf;
	case CV_OP_fcomi: case CV_OP_fcomip: case CV_OP_fucomi: case CV_OP_fucomip: return of | sf | af;
	default: return 0;
	}
}
