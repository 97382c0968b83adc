/* SPDX-License-Identifier: MIT */
/* MOV MOVZX MOVSX MOVSXD LEA CMOVcc SETcc, by operand form and size. */
#include "vmm-core/soft/exec.h"

#define MOV(bits) \
H(mov_eg_r##bits) { SET_RM##bits(REG##bits); SOFT_NEXT(c, i); } \
H(mov_ge_r##bits) { SET_REG##bits(RM##bits); SOFT_NEXT(c, i); } \
H(mov_ei_r##bits) { SET_RM##bits((u##bits)i->imm); SOFT_NEXT(c, i); } \
H(mov_zi##bits) { SET_REG##bits((u##bits)i->imm); SOFT_NEXT(c, i); } \
MOV_MEM(bits, g) MOV_MEM(bits, f) \
H(mov_ao##bits) /* accumulator, moffs */ \
{ \
	if (!soft_any_linear(c, i, i->seg, i->imm, bits / 8, false)) \
		return; \
	u64 la = c->ld; \
	SOFT_LOAD(bits, v, la, i->seg) \
	SET_A##bits(v); \
	SOFT_NEXT(c, i); \
} \
H(mov_oa##bits) \
{ \
	if (!soft_any_linear(c, i, i->seg, i->imm, bits / 8, true)) \
		return; \
	u64 la = c->ld; \
	SOFT_STORE(bits, (u##bits)c->s.gpr[CV_RAX], la, i->seg); \
	SOFT_NEXT(c, i); \
}
#define MOV_MEM(bits, ea) \
H(mov_eg_##ea##bits) { STORE_##ea(bits, REG##bits, mov_eg_g##bits); SOFT_NEXT(c, i); } \
H(mov_ei_##ea##bits) { STORE_##ea(bits, (u##bits)i->imm, mov_ei_g##bits); SOFT_NEXT(c, i); } \
H(mov_ge_##ea##bits) { LOAD_##ea(bits, v, mov_ge_g##bits) SET_REG##bits(v); SOFT_NEXT(c, i); }
MOV(8) MOV(16) MOV(32) MOV(64)

/* base + displacement, no index: the commonest address by far. */
#define FAST_BASE_HIT(bits, tag, other) \
	u64 la = c->s.gpr[i->base] + (u64)(s64)i->fdisp; \
	const struct soft_tlb_entry *te = soft_tlb_slot(c, la); \
	if (unlikely(te->tag != ((la + (bits) / 8 - 1) & SOFT_PAGE_MASK))) { \
		other(c, i); \
		return; \
	} \
	uint8_t *hp = (uint8_t *)(te->addend + la)
#define MOV_BASE(bits) \
H(mov_eg_b##bits) { FAST_BASE_HIT(bits, wtag, mov_eg_g##bits); WRITEBACK_f(bits, REG##bits); SOFT_NEXT(c, i); } \
H(mov_ei_b##bits) { FAST_BASE_HIT(bits, wtag, mov_ei_g##bits); WRITEBACK_f(bits, (u##bits)i->imm); SOFT_NEXT(c, i); } \
H(mov_ge_b##bits) \
{ \
	FAST_BASE_HIT(bits, rtag, mov_ge_g##bits); \
	u##bits v; \
	memcpy(&v, hp, bits / 8); \
	SET_REG##bits(v); \
	SOFT_NEXT(c, i); \
}
MOV_BASE(8) MOV_BASE(16) MOV_BASE(32) MOV_BASE(64)

/* Extension from `from` bits to `to` bits. */
#define EXTEND(name, from, to, type) \
H(name##from##_r##to) { u##to v = (u##to)(type)RM##from; SET_REG##to(v); SOFT_NEXT(c, i); } \
EXTEND_MEM(name, from, to, type, g) EXTEND_MEM(name, from, to, type, f)
#define EXTEND_MEM(name, from, to, type, ea) \
H(name##from##_##ea##to) { LOAD_##ea(from, v, name##from##_g##to) SET_REG##to((u##to)(type)v); SOFT_NEXT(c, i); }
EXTEND(movzx, 8, 16, u8) EXTEND(movzx, 8, 32, u8) EXTEND(movzx, 8, 64, u8)
EXTEND(movzx, 16, 16, u16) EXTEND(movzx, 16, 32, u16) EXTEND(movzx, 16, 64, u16)
EXTEND(movsx, 8, 16, s8) EXTEND(movsx, 8, 32, s8) EXTEND(movsx, 8, 64, s8)
EXTEND(movsx, 16, 16, s16) EXTEND(movsx, 16, 32, s16) EXTEND(movsx, 16, 64, s16)
EXTEND(movsx, 32, 16, s32) EXTEND(movsx, 32, 32, s32) EXTEND(movsx, 32, 64, s32)

H(lea_f64) { SET_REG64(soft_fast_ea(c, i)); SOFT_NEXT(c, i); }
H(lea_f32) { SET_REG32((u32)soft_fast_ea(c, i)); SOFT_NEXT(c, i); }
H(lea_b64) { SET_REG64(c->s.gpr[i->base] + (u64)(s64)i->fdisp); SOFT_NEXT(c, i); }
H(lea_g16) { SET_REG16((u16)soft_ea(c, i)); SOFT_NEXT(c, i); }
H(lea_g32) { SET_REG32((u32)soft_ea(c, i)); SOFT_NEXT(c, i); }
H(lea_g64) { SET_REG64(soft_ea(c, i)); SOFT_NEXT(c, i); }

/* A false condition still reads the operand, and clears the upper half of a 32-bit destination. */
#define CMOV(bits) \
H(cmov_r##bits) { u##bits v = RM##bits, old = REG##bits; SET_REG##bits(soft_cond(c, i->opcode & 15) ? v : old); SOFT_NEXT(c, i); } \
H(cmov_g##bits) { LOAD_g(bits, v, 0) u##bits old = REG##bits; SET_REG##bits(soft_cond(c, i->opcode & 15) ? v : old); SOFT_NEXT(c, i); } \
H(cmov_f##bits) \
{ \
	LOAD_f(bits, v, cmov_g##bits) \
	u##bits old = REG##bits; \
	SET_REG##bits(soft_cond(c, i->opcode & 15) ? v : old); \
	SOFT_NEXT(c, i); \
}
CMOV(16) CMOV(32) CMOV(64)

/* The conditions that compilers like best have handlers of their own. */
#define CMOV_CC(cc) \
H(cmov_r32_##cc) { u32 v = RM32, old = REG32; SET_REG32(soft_cond(c, cc) ? v : old); SOFT_NEXT(c, i); } \
H(cmov_r64_##cc) { u64 v = RM64, old = REG64; SET_REG64(soft_cond(c, cc) ? v : old); SOFT_NEXT(c, i); } \
H(set_r_##cc) { SET_RM8(soft_cond(c, cc)); SOFT_NEXT(c, i); }
CMOV_CC(0) CMOV_CC(1) CMOV_CC(2) CMOV_CC(3) CMOV_CC(4) CMOV_CC(5) CMOV_CC(6) CMOV_CC(7)
CMOV_CC(8) CMOV_CC(9) CMOV_CC(10) CMOV_CC(11) CMOV_CC(12) CMOV_CC(13) CMOV_CC(14) CMOV_CC(15)

H(set_g) { STORE_g(8, soft_cond(c, i->opcode & 15), 0); SOFT_NEXT(c, i); }
H(set_f) { STORE_f(8, soft_cond(c, i->opcode & 15), set_g); SOFT_NEXT(c, i); }

#define CONDITIONS(name) { \
	name##0, name##1, name##2, name##3, name##4, name##5, name##6, name##7, \
	name##8, name##9, name##10, name##11, name##12, name##13, name##14, name##15 }

#define SIZES3(name) {name##16, name##32, name##64}
#define FORMS3(name) {SIZES3(name##_r), SIZES3(name##_f), SIZES3(name##_g)}

static bool base_only(const struct cv_insn *i)
{
	return FAST(i) && i->base < 16 && i->index == CV_NOREG && i->seg != CV_FS && i->seg != CV_GS;
}

static cv_handler *pick_mov(const struct cv_insn *i)
{
	static cv_handler *const eg[4][4] = {SIZES(mov_eg_r), SIZES(mov_eg_f), SIZES(mov_eg_g), SIZES(mov_eg_b)};
	static cv_handler *const ge[4][4] = {SIZES(mov_ge_r), SIZES(mov_ge_f), SIZES(mov_ge_g), SIZES(mov_ge_b)};
	static cv_handler *const ei[4][4] = {SIZES(mov_ei_r), SIZES(mov_ei_f), SIZES(mov_ei_g), SIZES(mov_ei_b)};
	static cv_handler *const zi[4] = SIZES(mov_zi), *const ao[4] = SIZES(mov_ao), *const oa[4] = SIZES(mov_oa);
	unsigned where = i->mod == 3 ? 0 : base_only(i) ? 3 : FAST(i) ? 1 : 2, size = size_index(i);

	switch (i->opcode) {
	case 0x88:
	case 0x89:
	case 0xc3: return eg[where][size];
	case 0x8a:
	case 0x8b: return ge[where][size];
	case 0xa0:
	case 0xa1: return ao[size];
	case 0xa2:
	case 0xa3: return oa[size];
	case 0xc6:
	case 0xc7: return ei[where][size];
	default: return zi[size];
	}
}

static cv_handler *pick_lea(const struct cv_insn *i)
{
	/* The segment takes no part in LEA: a fast form that adds FS or GS is none. */
	bool fast = FAST(i) && i->seg != CV_FS && i->seg != CV_GS;

	if (i->osize == 2)
		return lea_g16;
	if (i->osize == 4)
		return fast ? lea_f32 : lea_g32;
	return base_only(i) ? lea_b64 : fast ? lea_f64 : lea_g64;
}

static cv_handler *pick_extend(const struct cv_insn *i)
{
	static cv_handler *const zx8[3][3] = FORMS3(movzx8), *const zx16[3][3] = FORMS3(movzx16);
	static cv_handler *const sx8[3][3] = FORMS3(movsx8), *const sx16[3][3] = FORMS3(movsx16);
	static cv_handler *const sx32[3][3] = FORMS3(movsx32);
	unsigned where = i->mod == 3 ? 0 : FAST(i) ? 1 : 2, size = size_index(i) - 1;

	if (i->op == CV_OP_movsxd) /* to 16 bits it reads but 16 */
		return size ? sx32[where][size] : sx16[where][size];
	if (i->op == CV_OP_movzx)
		return i->opcode & 1 ? zx16[where][size] : zx8[where][size];
	return i->opcode & 1 ? sx16[where][size] : sx8[where][size];
}

cv_handler *soft_pick_mov(const struct cv_insn *i)
{
	static cv_handler *const cmov[3][3] = FORMS3(cmov);
	static cv_handler *const cmov32[16] = CONDITIONS(cmov_r32_), *const cmov64[16] = CONDITIONS(cmov_r64_);
	static cv_handler *const set[16] = CONDITIONS(set_r_);
	unsigned where = i->mod == 3 ? 0 : FAST(i) ? 1 : 2;

	switch (i->op) {
	case CV_OP_mov: return pick_mov(i);
	case CV_OP_lea: return pick_lea(i);
	case CV_OP_cmovcc:
		if (i->mod == 3 && i->osize >= 4)
			return (i->osize == 4 ? cmov32 : cmov64)[i->opcode & 15];
		return cmov[where][size_index(i) - 1];
	case CV_OP_setcc: return i->mod == 3 ? set[i->opcode & 15] : FAST(i) ? set_f : set_g;
	default: return pick_extend(i);
	}
}
