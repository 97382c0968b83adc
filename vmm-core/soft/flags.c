/* SPDX-License-Identifier: MIT */
/* Whole flags images: RFLAGS from the lazy state and back. */
#include "vmm-core/soft/flags.h"

static uint64_t arith(const struct soft_cpu *c)
{
	return (soft_cf(c) ? CV_FLAG_CF : 0) | (soft_pf(c) ? CV_FLAG_PF : 0) | (soft_af(c) ? CV_FLAG_AF : 0) |
	       (soft_zf(c) ? CV_FLAG_ZF : 0) | (soft_sf(c) ? CV_FLAG_SF : 0) | (soft_of(c) ? CV_FLAG_OF : 0);
}

uint64_t soft_get_rflags(const struct soft_cpu *c)
{
	return (c->s.rflags & ~(uint64_t)CV_FLAGS_ARITH) | arith(c) | 2;
}

void soft_set_arith(struct soft_cpu *c, uint64_t f)
{
	bool cf = f & CV_FLAG_CF, of = f & CV_FLAG_OF, sf = f & CV_FLAG_SF, pf = f & CV_FLAG_PF;

	c->fl.aux = (uint64_t)cf << 63 | (uint64_t)(cf ^ of) << 62 | (f & CV_FLAG_AF ? SOFT_AUX_AF : 0);
	c->fl.fix = 0;
	if (f & CV_FLAG_ZF) {
		c->fl.res = 0;
		c->fl.fix = (uint64_t)sf << 63 | (pf ? 0 : 1);
	} else {
		c->fl.res = (uint64_t)sf << 63 | 0x100 | (pf ? 0 : 1);
	}
}

void soft_set_rflags(struct soft_cpu *c, uint64_t rflags)
{
	uint64_t changed = c->s.rflags ^ rflags;

	c->s.rflags = (rflags & ~(uint64_t)CV_FLAGS_ARITH) | 2;
	soft_set_arith(c, rflags);
	if (changed & (CV_FLAG_AC | CV_FLAG_VM))
		soft_update_mode(c);
}
