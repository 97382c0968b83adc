/* SPDX-License-Identifier: MIT */
/*
 * Operations on one vector element that the host's SSE unit doesn't have, or has in a way of its own: pure functions on
 * integers, the same on every host.
 */
#ifndef CV_SOFT_ELEMENT_H
#define CV_SOFT_ELEMENT_H

#include <stdint.h>

/* RCP and RSQRT of a single (rcp.c). They know no MXCSR. */
uint32_t soft_rcp32(uint32_t x);
uint32_t soft_rsqrt32(uint32_t x);

/* What an operation gives that MXCSR governs. */
struct rounded {
	uint64_t bits;	/* means nothing where an exception that it met is not masked */
	unsigned flags; /* MXCSR's IE..PE: what it met */
};

enum { FMA_NEGATE_PRODUCT = 1, FMA_NEGATE_ADDEND = 2 };
/*
 * x * y + z rounded once, as MXCSR asks (rounding, DAZ, FTZ and the masks of overflow and underflow count; fma.c). Of
 * several NaNs x's comes before y's before z's.
 */
struct rounded soft_fma32(uint32_t x, uint32_t y, uint32_t z, unsigned negate, uint32_t mxcsr);
struct rounded soft_fma64(uint64_t x, uint64_t y, uint64_t z, unsigned negate, uint32_t mxcsr);

/* Half to single, and single to half as MXCSR asks, without FTZ (half.c). */
struct rounded soft_half_to_single(uint16_t v);
struct rounded soft_single_to_half(uint32_t v, uint32_t mxcsr);

#endif
