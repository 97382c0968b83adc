/* SPDX-License-Identifier: MIT */
/*
 * BT BTS BTR BTC, BSF BSR, POPCNT, BSWAP.
 *
 * A bit offset in a register reaches beyond the memory operand: it is signed and selects the operand-sized element.
 */
#include "vmm-core/soft/exec.h"

#define BT(bits) u##bits r = a
#define BTS(bits) u##bits r = (u##bits)(a | bit)
#define BTR(bits) u##bits r = (u##bits)(a & ~bit)
#define BTC(bits) u##bits r = (u##bits)(a ^ bit)
#define WRITES_W true
#define WRITES_R false
#define LOG16 4
#define LOG32 5
#define LOG64 6

/* Linear address of the element that bit offset `off` selects. */
static bool bit_address(struct soft_cpu *c, const struct cv_insn *i, s64 off, unsigned log, unsigned n, bool write)
{
	u64 ea = soft_ea(c, i) + ((u64)(off >> log) << (log - 3));

	ea = i->asize == 8 ? ea : i->asize == 4 ? (u32)ea : (u16)ea;
	return soft_any_linear(c, i, i->seg, ea, n, write);
}

#define BITOP(name, CORE, bits, MODE) \
H(name##_reg_r##bits) \
{ \
	u##bits a = RM##bits, bit = (u##bits)((u##bits)1 << (REG##bits & (bits - 1))); \
	CORE(bits); \
	(void)r; \
	soft_flags_set_cf(c, a & bit); \
	if (WRITES_##MODE) \
		SET_RM##bits(r); \
	SOFT_NEXT(c, i); \
} \
H(name##_imm_r##bits) \
{ \
	u##bits a = RM##bits, bit = (u##bits)((u##bits)1 << (i->imm & (bits - 1))); \
	CORE(bits); \
	soft_flags_set_cf(c, a & bit); \
	if (WRITES_##MODE) \
		SET_RM##bits(r); \
	SOFT_NEXT(c, i); \
} \
H(name##_reg_m##bits) \
{ \
	s##bits off = (s##bits)REG##bits; \
	u##bits bit = (u##bits)((u##bits)1 << (off & (bits - 1))); \
	if (!bit_address(c, i, off, LOG##bits, bits / 8, WRITES_##MODE)) \
		return; \
	u64 la = c->ld; \
	BITOP_DO_##MODE(CORE, bits) \
} \
H(name##_imm_m##bits) \
{ \
	u##bits bit = (u##bits)((u##bits)1 << (i->imm & (bits - 1))); \
	EA_g(bits, WRITES_##MODE); \
	BITOP_DO_##MODE(CORE, bits) \
}
#define BITOP_DO_W(CORE, bits) \
	SOFT_MODIFY(bits, a, hp, la, i->seg) \
	CORE(bits); \
	soft_flags_set_cf(c, a & bit); \
	SOFT_WRITEBACK(bits, r, hp, la, i->seg); \
	SOFT_NEXT(c, i);
#define BITOP_DO_R(CORE, bits) \
	SOFT_LOAD(bits, a, la, i->seg) \
	soft_flags_set_cf(c, a & bit); \
	SOFT_NEXT(c, i);
#define ALL_SIZES(name, CORE, W) BITOP(name, CORE, 16, W) BITOP(name, CORE, 32, W) BITOP(name, CORE, 64, W)

ALL_SIZES(bt, BT, R)
ALL_SIZES(bts, BTS, W)
ALL_SIZES(btr, BTR, W)
ALL_SIZES(btc, BTC, W)

/* Source operand of the scans: register or memory. */
#define SOURCE_r(bits, v, other) u##bits v = RM##bits;
#define SOURCE_g(bits, v, other) LOAD_g(bits, v, other)
#define SOURCE_f(bits, v, other) LOAD_f(bits, v, other)

/* ZF: the source was zero. CF, OF, SF and AF are 0 and PF is the result's: undefined, and so on Intel's processors. */
static inline void scan_flags(struct soft_cpu *c, bool zero, unsigned result)
{
	soft_flags_logic(c, zero ? 0 : 0x100 | (s64)result);
}

/* A zero source leaves the destination as it is and sets ZF. */
#define SCAN(bits, ea) \
H(bsf_##ea##bits) \
{ \
	SOURCE_##ea(bits, v, bsf_g##bits) \
	unsigned r = v ? (unsigned)__builtin_ctzll(v) : 0; \
	if (v) \
		SET_REG##bits(r); \
	scan_flags(c, v == 0, r); \
	SOFT_NEXT(c, i); \
} \
H(bsr_##ea##bits) \
{ \
	SOURCE_##ea(bits, v, bsr_g##bits) \
	unsigned r = v ? 63 - (unsigned)__builtin_clzll(v) : 0; \
	if (v) \
		SET_REG##bits(r); \
	scan_flags(c, v == 0, r); \
	SOFT_NEXT(c, i); \
} \
H(popcnt_##ea##bits) \
{ \
	SOURCE_##ea(bits, v, popcnt_g##bits) \
	u##bits r = (u##bits)__builtin_popcountll(v); \
	SET_REG##bits(r); \
	c->fl.res = v ? 0x100 | 1 : 0; /* PF is 0 */ \
	c->fl.fix = v ? 0 : 1; \
	c->fl.aux = 0; \
	SOFT_NEXT(c, i); \
}
SCAN(16, r) SCAN(32, r) SCAN(64, r)
SCAN(16, g) SCAN(32, g) SCAN(64, g)
SCAN(16, f) SCAN(32, f) SCAN(64, f)

/* With 16 bits the result is undefined; Intel's processors clear the register's low half. */
H(bswap16) { SET_REG16(0); SOFT_NEXT(c, i); }
H(bswap32) { u32 v = __builtin_bswap32(REG32); SET_REG32(v); SOFT_NEXT(c, i); }
H(bswap64) { u64 v = __builtin_bswap64(REG64); SET_REG64(v); SOFT_NEXT(c, i); }

#define SIZES3(name) {name##16, name##32, name##64}
#define BIT_FORMS(name) {{SIZES3(name##_reg_r), SIZES3(name##_reg_m)}, {SIZES3(name##_imm_r), SIZES3(name##_imm_m)}}
#define SCAN_FORMS(name) {SIZES3(name##_r), SIZES3(name##_f), SIZES3(name##_g)}

cv_handler *soft_pick_bit(const struct cv_insn *i)
{
	static cv_handler *const bit[4][2][2][3] = {BIT_FORMS(bt), BIT_FORMS(bts), BIT_FORMS(btr), BIT_FORMS(btc)};
	static cv_handler *const scan[3][3][3] = {SCAN_FORMS(bsf), SCAN_FORMS(bsr), SCAN_FORMS(popcnt)};
	static cv_handler *const bswap[3] = SIZES3(bswap);
	unsigned size = size_index(i) - 1, where = i->mod == 3 ? 0 : FAST(i) ? 1 : 2;

	switch (i->op) {
	case CV_OP_bt: return bit[0][i->opcode == 0xba][i->mod != 3][size];
	case CV_OP_bts: return bit[1][i->opcode == 0xba][i->mod != 3][size];
	case CV_OP_btr: return bit[2][i->opcode == 0xba][i->mod != 3][size];
	case CV_OP_btc: return bit[3][i->opcode == 0xba][i->mod != 3][size];
	case CV_OP_bsf: return scan[0][where][size];
	case CV_OP_bsr: return scan[1][where][size];
	case CV_OP_popcnt: return scan[2][where][size];
	default: return bswap[size];
	}
}
