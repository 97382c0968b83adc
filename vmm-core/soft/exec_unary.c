/* SPDX-License-Identifier: MIT */
/* INC DEC NEG NOT, by operand form and size. INC and DEC keep CF. */
#include "vmm-core/soft/exec.h"

static inline void keep_cf(struct soft_cpu *c, bool cf)
{
	bool of = soft_of(c);

	c->fl.aux = (c->fl.aux & SOFT_AUX_AF) | (u64)cf << 63 | (u64)(cf ^ of) << 62;
}

#define INC(bits) \
	bool cf = soft_cf(c); \
	u##bits r = (u##bits)(a + 1); \
	soft_flags_add(c, a, 1, r, (s##bits)r, bits); \
	keep_cf(c, cf)
#define DEC(bits) \
	bool cf = soft_cf(c); \
	u##bits r = (u##bits)(a - 1); \
	soft_flags_sub(c, a, 1, r, (s##bits)r, bits); \
	keep_cf(c, cf)
#define NEG(bits) u##bits r = (u##bits)-a; soft_flags_sub(c, 0, a, r, (s##bits)r, bits)
#define NOT(bits) u##bits r = (u##bits)~a

#define UNARY(name, CORE, bits) \
H(name##_r##bits) { u##bits a = RM##bits; CORE(bits); SET_RM##bits(r); SOFT_NEXT(c, i); } \
UNARY_MEM(name, CORE, bits, g) UNARY_MEM(name, CORE, bits, f)
#define UNARY_MEM(name, CORE, bits, ea) \
H(name##_##ea##bits) \
{ \
	MODIFY_##ea(bits, a, name##_g##bits) \
	CORE(bits); \
	WRITEBACK_##ea(bits, r); \
	SOFT_NEXT(c, i); \
}
#define ALL_SIZES(name, CORE) UNARY(name, CORE, 8) UNARY(name, CORE, 16) UNARY(name, CORE, 32) UNARY(name, CORE, 64)
ALL_SIZES(inc, INC)
ALL_SIZES(dec, DEC)
ALL_SIZES(neg, NEG)
ALL_SIZES(not, NOT)

/* INC and DEC of one byte: the register is in the opcode. */
H(inc_z16) { u16 a = REG16; INC(16); SET_REG16(r); SOFT_NEXT(c, i); }
H(inc_z32) { u32 a = REG32; INC(32); SET_REG32(r); SOFT_NEXT(c, i); }
H(dec_z16) { u16 a = REG16; DEC(16); SET_REG16(r); SOFT_NEXT(c, i); }
H(dec_z32) { u32 a = REG32; DEC(32); SET_REG32(r); SOFT_NEXT(c, i); }

#define FORMS(name) {SIZES(name##_r), SIZES(name##_f), SIZES(name##_g)}

cv_handler *soft_pick_alu1(const struct cv_insn *i)
{
	static cv_handler *const table[4][3][4] = {FORMS(inc), FORMS(dec), FORMS(neg), FORMS(not)};
	unsigned op = i->op == CV_OP_inc ? 0 : i->op == CV_OP_dec ? 1 : i->op == CV_OP_neg ? 2 : 3;

	if (i->opcode < 0x50) {
		if (i->op == CV_OP_inc)
			return i->osize == 2 ? inc_z16 : inc_z32;
		return i->osize == 2 ? dec_z16 : dec_z32;
	}
	return table[op][i->mod == 3 ? 0 : FAST(i) ? 1 : 2][size_index(i)];
}
