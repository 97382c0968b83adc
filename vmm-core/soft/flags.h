/* SPDX-License-Identifier: MIT */
/*
 * Lazy arithmetic flags: what an operation leaves behind (struct soft_flags), and each flag read from it.
 *
 *   ZF = res == 0                        CF = aux bit 63
 *   SF = bit 63 of res ^ fix             OF = aux bit 63 ^ bit 62
 *   PF = even parity of the low byte of res ^ fix      AF = aux bit 3
 *
 * Every other bit of aux is noise. fix is 0 except for a flags image in which ZF is set together with SF or without PF.
 */
#ifndef CV_SOFT_FLAGS_H
#define CV_SOFT_FLAGS_H

#include "vmm-core/soft/soft.h"

#define SOFT_AUX_CF (1ull << 63)
#define SOFT_AUX_PO (1ull << 62) /* carry into the top bit */
#define SOFT_AUX_AF (1ull << 3)

static inline bool soft_cf(const struct soft_cpu *c)
{
	return c->fl.aux >> 63;
}
static inline bool soft_of(const struct soft_cpu *c)
{
	return (c->fl.aux ^ (c->fl.aux << 1)) >> 63;
}
static inline bool soft_af(const struct soft_cpu *c)
{
	return (c->fl.aux >> 3) & 1;
}
static inline bool soft_zf(const struct soft_cpu *c)
{
	return c->fl.res == 0;
}
static inline bool soft_sf(const struct soft_cpu *c)
{
	return (c->fl.res ^ c->fl.fix) >> 63;
}
static inline bool soft_pf(const struct soft_cpu *c)
{
	uint8_t b = (uint8_t)(c->fl.res ^ c->fl.fix);

	b ^= b >> 4;
	return (0x9669u >> (b & 15)) & 1;
}

/* Is condition cc (the low four bits of Jcc's opcode) true? */
static inline bool soft_cond(const struct soft_cpu *c, unsigned cc)
{
	bool v;

	switch (cc >> 1) {
	case 0: v = soft_of(c); break;
	case 1: v = soft_cf(c); break;
	case 2: v = soft_zf(c); break;
	case 3: v = soft_cf(c) | soft_zf(c); break;
	case 4: v = soft_sf(c); break;
	case 5: v = soft_pf(c); break;
	case 6: v = soft_sf(c) ^ soft_of(c); break;
	default: v = soft_zf(c) | (soft_sf(c) ^ soft_of(c)); break;
	}
	return v ^ (cc & 1);
}

/* After a logical operation: CF = OF = 0, and AF = 0 as Intel's CPUs give it. res is sign-extended. */
static inline void soft_flags_logic(struct soft_cpu *c, int64_t res)
{
	c->fl.res = (uint64_t)res;
	c->fl.aux = 0;
	c->fl.fix = 0;
}

/* aux from the vector of carries out of each bit of an operation `bits` wide. */
static inline uint64_t soft_aux(uint64_t carries, unsigned bits)
{
	if (bits == 64)
		return carries;
	return carries << (64 - bits) | (carries & SOFT_AUX_AF);
}

/* a + b (+ carry in) = r; all zero-extended from `bits`, sres sign-extended. */
static inline void soft_flags_add(struct soft_cpu *c, uint64_t a, uint64_t b, uint64_t r, int64_t sres, unsigned bits)
{
	c->fl.res = (uint64_t)sres;
	c->fl.aux = soft_aux((a & b) | ((a | b) & ~r), bits);
	c->fl.fix = 0;
}

/* a - b (- borrow in) = r. */
static inline void soft_flags_sub(struct soft_cpu *c, uint64_t a, uint64_t b, uint64_t r, int64_t sres, unsigned bits)
{
	c->fl.res = (uint64_t)sres;
	c->fl.aux = soft_aux((~a & b) | ((~a | b) & r), bits);
	c->fl.fix = 0;
}

/* Replaces CF and OF, keeps the other flags. */
static inline void soft_flags_set_cf_of(struct soft_cpu *c, bool cf, bool of)
{
	c->fl.aux = (c->fl.aux & SOFT_AUX_AF) | (uint64_t)cf << 63 | (uint64_t)(cf ^ of) << 62;
}

static inline void soft_flags_set_cf(struct soft_cpu *c, bool cf)
{
	soft_flags_set_cf_of(c, cf, soft_of(c));
}

#endif
