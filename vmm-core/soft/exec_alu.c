/* SPDX-License-Identifier: MIT */
/*
 * ADD OR ADC SBB AND SUB XOR CMP TEST, one handler for each operand form and size.
 *
 * Forms: eg (r/m, reg), ge (reg, r/m), ei (r/m, immediate); with a register (r), or memory by its fast (f) or general (g)
 * address.
 */
#include "vmm-core/soft/exec.h"

#define ADD(bits) u##bits r = (u##bits)(a + b); soft_flags_add(c, a, b, r, (s##bits)r, bits)
#define SUB_(bits) u##bits r = (u##bits)(a - b); soft_flags_sub(c, a, b, r, (s##bits)r, bits)
#define ADC(bits) u##bits r = (u##bits)(a + b + soft_cf(c)); soft_flags_add(c, a, b, r, (s##bits)r, bits)
#define SBB(bits) u##bits r = (u##bits)(a - b - soft_cf(c)); soft_flags_sub(c, a, b, r, (s##bits)r, bits)
#define AND(bits) u##bits r = a & b; soft_flags_logic(c, (s##bits)r)
#define OR(bits) u##bits r = a | b; soft_flags_logic(c, (s##bits)r)
#define XOR(bits) u##bits r = a ^ b; soft_flags_logic(c, (s##bits)r)

/* Operations that write their destination. */
#define WRITING(name, CORE, bits) \
H(name##_eg_r##bits) { u##bits a = RM##bits, b = REG##bits; CORE(bits); SET_RM##bits(r); SOFT_NEXT(c, i); } \
H(name##_ge_r##bits) { u##bits a = REG##bits, b = RM##bits; CORE(bits); SET_REG##bits(r); SOFT_NEXT(c, i); } \
H(name##_ei_r##bits) { u##bits a = RM##bits, b = (u##bits)i->imm; CORE(bits); SET_RM##bits(r); SOFT_NEXT(c, i); } \
WRITING_MEM(name, CORE, bits, g) WRITING_MEM(name, CORE, bits, f)

#define WRITING_MEM(name, CORE, bits, ea) \
H(name##_eg_##ea##bits) \
{ \
	MODIFY_##ea(bits, a, name##_eg_g##bits) \
	u##bits b = REG##bits; \
	CORE(bits); \
	WRITEBACK_##ea(bits, r); \
	SOFT_NEXT(c, i); \
} \
H(name##_ei_##ea##bits) \
{ \
	MODIFY_##ea(bits, a, name##_ei_g##bits) \
	u##bits b = (u##bits)i->imm; \
	CORE(bits); \
	WRITEBACK_##ea(bits, r); \
	SOFT_NEXT(c, i); \
} \
H(name##_ge_##ea##bits) \
{ \
	LOAD_##ea(bits, b, name##_ge_g##bits) \
	u##bits a = REG##bits; \
	CORE(bits); \
	SET_REG##bits(r); \
	SOFT_NEXT(c, i); \
}

/* Operations that set flags only. */
#define TESTING(name, CORE, bits) \
H(name##_eg_r##bits) { u##bits a = RM##bits, b = REG##bits; CORE(bits); (void)r; SOFT_NEXT(c, i); } \
H(name##_ge_r##bits) { u##bits a = REG##bits, b = RM##bits; CORE(bits); (void)r; SOFT_NEXT(c, i); } \
H(name##_ei_r##bits) { u##bits a = RM##bits, b = (u##bits)i->imm; CORE(bits); (void)r; SOFT_NEXT(c, i); } \
TESTING_MEM(name, CORE, bits, g) TESTING_MEM(name, CORE, bits, f)

#define TESTING_MEM(name, CORE, bits, ea) \
H(name##_eg_##ea##bits) \
{ \
	LOAD_##ea(bits, a, name##_eg_g##bits) \
	u##bits b = REG##bits; \
	CORE(bits); \
	(void)r; \
	SOFT_NEXT(c, i); \
} \
H(name##_ei_##ea##bits) \
{ \
	LOAD_##ea(bits, a, name##_ei_g##bits) \
	u##bits b = (u##bits)i->imm; \
	CORE(bits); \
	(void)r; \
	SOFT_NEXT(c, i); \
} \
H(name##_ge_##ea##bits) \
{ \
	LOAD_##ea(bits, b, name##_ge_g##bits) \
	u##bits a = REG##bits; \
	CORE(bits); \
	(void)r; \
	SOFT_NEXT(c, i); \
}

#define ALL_SIZES(KIND, name, CORE) KIND(name, CORE, 8) KIND(name, CORE, 16) KIND(name, CORE, 32) KIND(name, CORE, 64)
ALL_SIZES(WRITING, add, ADD)
ALL_SIZES(WRITING, or, OR)
ALL_SIZES(WRITING, adc, ADC)
ALL_SIZES(WRITING, sbb, SBB)
ALL_SIZES(WRITING, and, AND)
ALL_SIZES(WRITING, sub, SUB_)
ALL_SIZES(WRITING, xor, XOR)
ALL_SIZES(TESTING, cmp, SUB_)
ALL_SIZES(TESTING, test, AND)

enum form { EG, GE, EI };

/* [op][form][register, fast, general][size] */
#define FORMS(name) { \
	[EG] = {SIZES(name##_eg_r), SIZES(name##_eg_f), SIZES(name##_eg_g)}, \
	[GE] = {SIZES(name##_ge_r), SIZES(name##_ge_f), SIZES(name##_ge_g)}, \
	[EI] = {SIZES(name##_ei_r), SIZES(name##_ei_f), SIZES(name##_ei_g)}, \
}

cv_handler *soft_pick_alu(const struct cv_insn *i)
{
	static cv_handler *const table[9][3][3][4] = {
		FORMS(add), FORMS(or), FORMS(adc), FORMS(sbb), FORMS(and), FORMS(sub), FORMS(xor), FORMS(cmp),
		FORMS(test),
	};
	static const uint8_t ops[] = {
		[CV_OP_add] = 0, [CV_OP_or] = 1, [CV_OP_adc] = 2, [CV_OP_sbb] = 3, [CV_OP_and] = 4, [CV_OP_sub] = 5,
		[CV_OP_xor] = 6, [CV_OP_cmp] = 7, [CV_OP_test] = 8,
	};
	unsigned where = i->mod == 3 ? 0 : FAST(i) ? 1 : 2;
	enum form form = EI;

	if (i->opcode < 0x40 && (i->opcode & 7) < 4)
		form = i->opcode & 2 ? GE : EG;
	else if (i->opcode == 0x84 || i->opcode == 0x85)
		form = EG;
	/* The accumulator forms have no ModRM: rm is 0, AL or rAX. */
	if ((i->opcode < 0x40 && (i->opcode & 7) >= 4) || i->opcode == 0xa8 || i->opcode == 0xa9)
		where = 0;
	return table[ops[i->op]][form][where][size_index(i)];
}
