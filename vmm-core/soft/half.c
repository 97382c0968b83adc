/* SPDX-License-Identifier: MIT */
/*
 * Half precision to single and back (SDM 2C, VCVTPH2PS and VCVTPS2PH). To single is exact, and a denormal half is an
 * operand like any other: DAZ doesn't count and nothing is met. To half, FTZ doesn't count: what underflows is a denormal half.
 */
#include "vmm-core/soft/real.h"

struct rounded soft_half_to_single(uint16_t v)
{
	struct real r = real_unpack(&real16, v, false);
	uint64_t sign = real_sign_bit(&real32, r.sign);

	switch (r.kind) {
	case REAL_ZERO: return (struct rounded){sign, 0};
	case REAL_INFINITE: return (struct rounded){sign | real_infinity(&real32), 0};
	case REAL_FINITE: return real_round(&real32, r.sign, r.exp, (u128)r.sig << 64, MXCSR_DEFAULT);
	default:
		return (struct rounded){sign | real_infinity(&real32) | real_quiet_bit(&real32) | (uint64_t)(v & 0x3ff) << 13,
					r.kind == REAL_SNAN ? FSW_IE : 0};
	}
}

struct rounded soft_single_to_half(uint32_t v, uint32_t mxcsr)
{
	struct real r = real_unpack(&real32, v, mxcsr & MXCSR_DAZ);
	uint64_t sign = real_sign_bit(&real16, r.sign);
	struct rounded h;

	switch (r.kind) {
	case REAL_ZERO: return (struct rounded){sign, 0};
	case REAL_INFINITE: return (struct rounded){sign | real_infinity(&real16), 0};
	case REAL_FINITE:
		h = real_round(&real16, r.sign, r.exp, (u128)r.sig << 64, mxcsr & ~(uint32_t)MXCSR_FTZ);
		/* Intel's processors take every denormal single for inexact, even where an unmasked underflow lets none be lost. */
		h.flags |= r.denormal ? FSW_DE | FSW_PE : 0;
		return h;
	default:
		return (struct rounded){sign | real_infinity(&real16) | real_quiet_bit(&real16) | (v >> 13 & 0x3ff),
					r.kind == REAL_SNAN ? FSW_IE : 0};
	}
}
