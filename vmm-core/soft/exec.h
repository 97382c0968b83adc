/* SPDX-License-Identifier: MIT */
/*
 * What the integer handlers share: registers by size, operand macros, addresses in their fast and general form, and who
 * picks the handlers. Included by exec_*.c only, whose handlers tail-call each other (see SOFT_NEXT).
 */
#ifndef CV_SOFT_EXEC_H
#define CV_SOFT_EXEC_H

#define SOFT_CORE 1
#include "vmm-core/soft/block.h"
#include "vmm-core/soft/flags.h"
#include "vmm-core/soft/mem.h"

#define H(name) static void name(struct soft_cpu *c, const struct cv_insn *i)

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

/* Registers. A write of 32 bits clears the upper half; of 8 and 16 keeps the rest. */
static inline u8 get8(const struct soft_cpu *c, unsigned r, bool high)
{
	return (u8)(c->s.gpr[r] >> (high << 3));
}
static inline void put8(struct soft_cpu *c, unsigned r, bool high, u8 v)
{
	unsigned shift = (unsigned)high << 3;

	c->s.gpr[r] = (c->s.gpr[r] & ~(0xffull << shift)) | (u64)v << shift;
}
#define HIGH_REG(i) ((i)->flags & CV_INSN_HIGH_REG)
#define HIGH_RM(i) (((i)->flags & CV_INSN_HIGH_RM) >> 1)
#define REG8 get8(c, i->reg, HIGH_REG(i))
#define REG16 ((u16)c->s.gpr[i->reg])
#define REG32 ((u32)c->s.gpr[i->reg])
#define REG64 (c->s.gpr[i->reg])
#define RM8 get8(c, i->rm, HIGH_RM(i))
#define RM16 ((u16)c->s.gpr[i->rm])
#define RM32 ((u32)c->s.gpr[i->rm])
#define RM64 (c->s.gpr[i->rm])
#define PUT16(r, v) (c->s.gpr[r] = (c->s.gpr[r] & ~0xffffull) | (u16)(v))
#define PUT32(r, v) (c->s.gpr[r] = (u32)(v))
#define PUT64(r, v) (c->s.gpr[r] = (v))
#define SET_REG8(v) put8(c, i->reg, HIGH_REG(i), (v))
#define SET_REG16(v) PUT16(i->reg, v)
#define SET_REG32(v) PUT32(i->reg, v)
#define SET_REG64(v) PUT64(i->reg, v)
#define SET_RM8(v) put8(c, i->rm, HIGH_RM(i), (v))
#define SET_RM16(v) PUT16(i->rm, v)
#define SET_RM32(v) PUT32(i->rm, v)
#define SET_RM64(v) PUT64(i->rm, v)
#define SET_A8(v) put8(c, CV_RAX, false, (v))
#define SET_A16(v) PUT16(CV_RAX, v)
#define SET_A32(v) PUT32(CV_RAX, v)
#define SET_A64(v) PUT64(CV_RAX, v)

/*
 * The ModRM operand in memory, by the general way (g) and by the fast form (f). The fast handlers know only the TLB hit: on a
 * miss they hand over to the general handler of the same form, named by `other`, which starts afresh. So a fast handler has
 * no call, and no stack frame.
 *
 *   LOAD_x(bits, v, other)	    declares v
 *   MODIFY_x(bits, v, other)	    declares v; checks for writing; WRITEBACK_x(bits, value) then cannot fail
 *   STORE_x(bits, value, other)    value is evaluated once, after all that can fail but the store itself
 */
#define EA_g(bits, write) \
	if (!soft_any_ea(c, i, (bits) / 8, (write))) \
		return; \
	u64 la = c->ld
#define LOAD_g(bits, v, other) EA_g(bits, false); SOFT_LOAD(bits, v, la, i->seg)
#define MODIFY_g(bits, v, other) EA_g(bits, true); SOFT_MODIFY(bits, v, hp, la, i->seg)
#define WRITEBACK_g(bits, v) SOFT_WRITEBACK(bits, v, hp, la, i->seg)
#define STORE_g(bits, v, other) EA_g(bits, true); SOFT_STORE(bits, v, la, i->seg)

#define FAST_HIT(bits, tag, other) \
	u64 la = soft_fast_ea(c, i); \
	const struct soft_tlb_entry *te = soft_tlb_slot(c, la); \
	if (unlikely(te->tag != ((la + (bits) / 8 - 1) & SOFT_PAGE_MASK))) { \
		other(c, i); \
		return; \
	} \
	uint8_t *hp = (uint8_t *)(te->addend + la)
#define LOAD_f(bits, v, other) FAST_HIT(bits, rtag, other); u##bits v; memcpy(&v, hp, (bits) / 8);
#define MODIFY_f(bits, v, other) FAST_HIT(bits, wtag, other); u##bits v; memcpy(&v, hp, (bits) / 8);
#define WRITEBACK_f(bits, v) do { u##bits v_ = (v); memcpy(hp, &v_, (bits) / 8); } while (0)
#define STORE_f(bits, v, other) FAST_HIT(bits, wtag, other); WRITEBACK_f(bits, v)

#define FAST(i) ((i)->flags & CV_INSN_FAST)
/* Picks by size out of four; by form out of fast and general. */
static inline unsigned size_index(const struct cv_insn *i)
{
	return i->osize == 1 ? 0 : i->osize == 2 ? 1 : i->osize == 4 ? 2 : 3;
}
#define SIZES(name) {name##8, name##16, name##32, name##64}

cv_handler *soft_pick_alu(const struct cv_insn *i);
cv_handler *soft_pick_alu1(const struct cv_insn *i); /* inc dec neg not */
cv_handler *soft_pick_shift(const struct cv_insn *i);
cv_handler *soft_pick_bit(const struct cv_insn *i);
cv_handler *soft_pick_mul(const struct cv_insn *i);
cv_handler *soft_pick_mov(const struct cv_insn *i);
cv_handler *soft_pick_xchg(const struct cv_insn *i);
cv_handler *soft_pick_stack(const struct cv_insn *i);
cv_handler *soft_pick_branch(const struct cv_insn *i);
cv_handler *soft_pick_string(const struct cv_insn *i);
cv_handler *soft_pick_misc(const struct cv_insn *i);
cv_handler *soft_pick_bmi(const struct cv_insn *i);

#endif
