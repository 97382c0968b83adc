/* SPDX-License-Identifier: MIT */
/*
 * Shifts and rotates. The count is masked to 5 bits (6 with 64-bit operands); a count of 0 changes no flags.
 * What the manuals leave undefined is what Intel's processors give: OF is that of a shift by 1 (ROL and ROR of
 * a register by an immediate above 1 leave it alone), AF is 0 after shifts.
 */
#include "vmm-core/soft/exec.h"

/* r and the new CF and OF from a and n; n is 1 .. the mask. */
#define SHL(bits) \
	u##bits r = n < bits ? (u##bits)((u64)a << n) : 0; \
	bool cf = n <= bits && ((u64)a >> (bits - n)) & 1; \
	bool of = ((a >> (bits - 1)) ^ (a >> (bits - 2))) & 1; \
	soft_flags_logic(c, (s##bits)r); \
	soft_flags_set_cf_of(c, cf, of)
#define SHR(bits) \
	u##bits r = n < bits ? (u##bits)((u64)a >> n) : 0; \
	bool cf = n <= bits && ((u64)a >> (n - 1)) & 1; \
	bool of = a >> (bits - 1); \
	soft_flags_logic(c, (s##bits)r); \
	soft_flags_set_cf_of(c, cf, of)
#define SAR(bits) \
	s##bits sa = (s##bits)a; \
	u##bits r = (u##bits)((s64)sa >> n); \
	bool cf = ((s64)sa >> (n - 1)) & 1; \
	soft_flags_logic(c, (s##bits)r); \
	soft_flags_set_cf_of(c, cf, false)
#define ROL(bits) \
	unsigned k = n & (bits - 1); \
	u##bits r = k ? (u##bits)((u64)a << k | (u64)a >> (bits - k)) : a; \
	bool cf = r & 1; \
	soft_flags_set_cf_of(c, cf, by_imm && n > 1 ? soft_of(c) : ((a >> (bits - 1)) ^ (a >> (bits - 2))) & 1)
#define ROR(bits) \
	unsigned k = n & (bits - 1); \
	u##bits r = k ? (u##bits)((u64)a >> k | (u64)a << (bits - k)) : a; \
	bool cf = (r >> (bits - 1)) & 1; \
	soft_flags_set_cf_of(c, cf, by_imm && n > 1 ? soft_of(c) : ((a >> (bits - 1)) ^ a) & 1)
#define RCL(bits) \
	unsigned k = n % (bits + 1); \
	u##bits r = a; \
	if (k) { \
		r = (u##bits)((k < bits ? (u64)a << k : 0) | (u64)soft_cf(c) << (k - 1) | \
			      (k > 1 ? (u64)a >> (bits + 1 - k) : 0)); \
		bool cf = ((u64)a >> (bits - k)) & 1; \
		soft_flags_set_cf_of(c, cf, ((a >> (bits - 1)) ^ (a >> (bits - 2))) & 1); \
	}
#define RCR(bits) \
	unsigned k = n % (bits + 1); \
	u##bits r = a; \
	if (k) { \
		r = (u##bits)((k < bits ? (u64)a >> k : 0) | (u64)soft_cf(c) << (bits - k) | \
			      (k > 1 ? (u64)a << (bits + 1 - k) : 0)); \
		bool cf = ((u64)a >> (k - 1)) & 1; \
		soft_flags_set_cf_of(c, cf, (a >> (bits - 1)) ^ soft_cf(c)); \
	}

#define COUNT_i(bits) unsigned n = (unsigned)i->imm & (bits == 64 ? 63 : 31)
#define COUNT_c(bits) unsigned n = (unsigned)c->s.gpr[CV_RCX] & (bits == 64 ? 63 : 31)
#define BY_IMM_i true
#define BY_IMM_c false

#define SHIFT(name, CORE, bits) SHIFT_BY(name, CORE, bits, i) SHIFT_BY(name, CORE, bits, c)
#define SHIFT_BY(name, CORE, bits, by) \
H(name##_##by##_r##bits) \
{ \
	COUNT_##by(bits); \
	const bool by_imm = BY_IMM_##by; \
	u##bits a = RM##bits; \
	(void)by_imm; \
	if (likely(n)) { \
		CORE(bits); \
		SET_RM##bits(r); \
	} else { \
		SET_RM##bits(a); \
	} \
	SOFT_NEXT(c, i); \
} \
SHIFT_MEM(name, CORE, bits, by, g) SHIFT_MEM(name, CORE, bits, by, f)
#define SHIFT_MEM(name, CORE, bits, by, ea) \
H(name##_##by##_##ea##bits) \
{ \
	MODIFY_##ea(bits, a, name##_##by##_g##bits) \
	COUNT_##by(bits); \
	const bool by_imm = false; \
	(void)by_imm; \
	if (likely(n)) { \
		CORE(bits); \
		WRITEBACK_##ea(bits, r); \
	} else { \
		WRITEBACK_##ea(bits, a); \
	} \
	SOFT_NEXT(c, i); \
}
#define ALL_SIZES(name, CORE) SHIFT(name, CORE, 8) SHIFT(name, CORE, 16) SHIFT(name, CORE, 32) SHIFT(name, CORE, 64)
ALL_SIZES(shl, SHL)
ALL_SIZES(shr, SHR)
ALL_SIZES(sar, SAR)
ALL_SIZES(rol, ROL)
ALL_SIZES(ror, ROR)
ALL_SIZES(rcl, RCL)
ALL_SIZES(rcr, RCR)

/*
 * Double shifts: b's bits follow a's. With 16-bit operands and counts above 16, a follows b again, as the P6 and its
 * successors do it.
 */
#define SHLD(bits) \
	unsigned __int128 w = (unsigned __int128)a << bits | b; \
	if (bits == 16) \
		w = w << 16 | a; \
	u##bits r = (u##bits)(bits == 16 ? w << n >> 32 : w << n >> bits); \
	bool cf = (bits == 16 ? (u64)(w >> (48 - n)) : (u64)a >> (bits - n)) & 1; \
	bool of = ((a >> (bits - 1)) ^ (a >> (bits - 2))) & 1; \
	soft_flags_logic(c, (s##bits)r); \
	soft_flags_set_cf_of(c, cf, of)
#define SHRD(bits) \
	unsigned __int128 w = (unsigned __int128)b << bits | a; \
	if (bits == 16) \
		w |= (unsigned __int128)a << 32; \
	u##bits r = (u##bits)(w >> n); \
	bool cf = (u64)(w >> (n - 1)) & 1; \
	bool of = ((a >> (bits - 1)) ^ b) & 1; \
	soft_flags_logic(c, (s##bits)r); \
	soft_flags_set_cf_of(c, cf, of)

#define DOUBLE(name, CORE, bits) DOUBLE_BY(name, CORE, bits, i) DOUBLE_BY(name, CORE, bits, c)
#define DOUBLE_BY(name, CORE, bits, by) \
H(name##_##by##_r##bits) \
{ \
	COUNT_##by(bits); \
	u##bits a = RM##bits, b = REG##bits; \
	if (likely(n)) { \
		CORE(bits); \
		SET_RM##bits(r); \
	} else { \
		SET_RM##bits(a); \
	} \
	SOFT_NEXT(c, i); \
} \
H(name##_##by##_g##bits) \
{ \
	MODIFY_g(bits, a, 0) \
	COUNT_##by(bits); \
	u##bits b = REG##bits; \
	if (likely(n)) { \
		CORE(bits); \
		WRITEBACK_g(bits, r); \
	} \
	SOFT_NEXT(c, i); \
}
DOUBLE(shld, SHLD, 16) DOUBLE(shld, SHLD, 32) DOUBLE(shld, SHLD, 64)
DOUBLE(shrd, SHRD, 16) DOUBLE(shrd, SHRD, 32) DOUBLE(shrd, SHRD, 64)

/* [immediate, CL][register, fast, general][size] */
#define FORMS(name) { \
	{SIZES(name##_i_r), SIZES(name##_i_f), SIZES(name##_i_g)}, \
	{SIZES(name##_c_r), SIZES(name##_c_f), SIZES(name##_c_g)}, \
}
#define SIZES3(name) {NULL, name##16, name##32, name##64}
#define DOUBLE_FORMS(name) {{SIZES3(name##_i_r), SIZES3(name##_i_g)}, {SIZES3(name##_c_r), SIZES3(name##_c_g)}}

static cv_handler *pick_double(const struct cv_insn *i)
{
	static cv_handler *const table[2][2][2][4] = {DOUBLE_FORMS(shld), DOUBLE_FORMS(shrd)};

	return table[i->op == CV_OP_shrd][i->opcode & 1][i->mod != 3][size_index(i)];
}

cv_handler *soft_pick_shift(const struct cv_insn *i)
{
	static cv_handler *const table[7][2][3][4] = {
		FORMS(rol), FORMS(ror), FORMS(rcl), FORMS(rcr), FORMS(shl), FORMS(shr), FORMS(sar),
	};
	static const uint8_t ops[] = {
		[CV_OP_rol] = 0, [CV_OP_ror] = 1, [CV_OP_rcl] = 2, [CV_OP_rcr] = 3, [CV_OP_shl] = 4, [CV_OP_shr] = 5,
		[CV_OP_sar] = 6,
	};
	bool by_cl = i->opcode == 0xd2 || i->opcode == 0xd3;

	if (i->op == CV_OP_shld || i->op == CV_OP_shrd)
		return pick_double(i);
	return table[ops[i->op]][by_cl][i->mod == 3 ? 0 : FAST(i) ? 1 : 2][size_index(i)];
}
