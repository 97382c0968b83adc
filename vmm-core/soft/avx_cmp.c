/* SPDX-License-Identifier: MIT */
/*
 * AVX: VCMPPS, VCMPPD, VCMPSS, VCMPSD with their 32 predicates (SDM 2A, CMPPD, table 3-1), by SSE's eight comparisons.
 *
 * A predicate is the set of relations that make it true, and whether a QNaN is invalid. UNORD finds the lanes with a NaN
 * and meets what a quiet comparison meets: invalid for an SNaN, denormal. The order of the others is then asked with those
 * lanes at zero, which meets nothing more. A signalling one adds what LT meets of the operands as they are.
 */
#define SOFT_CORE 1
#include "vmm-core/soft/simd.h"

enum { LT = 1, EQ = 2, GT = 4, UN = 8, SIGNALS = 16 };
static const uint8_t predicates[32] = {
	EQ, LT | SIGNALS, LT | EQ | SIGNALS, UN, LT | GT | UN, EQ | GT | UN | SIGNALS, GT | UN | SIGNALS, LT | EQ | GT,
	EQ | UN, LT | UN | SIGNALS, LT | EQ | UN | SIGNALS, 0, LT | GT, EQ | GT | SIGNALS, GT | SIGNALS, LT | EQ | GT | UN,
	EQ | SIGNALS, LT, LT | EQ, UN | SIGNALS, LT | GT | UN | SIGNALS, EQ | GT | UN, GT | UN, LT | EQ | GT | SIGNALS,
	EQ | UN | SIGNALS, LT | UN, LT | EQ | UN, SIGNALS, LT | GT | SIGNALS, EQ | GT, GT, LT | EQ | GT | UN | SIGNALS,
};

FP_INLINE __m128i if_in(unsigned set, unsigned relation, __m128i lanes)
{
	return set & relation ? lanes : _mm_setzero_si128();
}

/* low: the lanes that are compared; the others are a's. */
#define VCMP(name, low) \
	static __m128i v##name##_of(__m128i a, __m128i b, unsigned imm) \
	{ \
		unsigned set = predicates[imm & 31]; \
		__m128i un, x, y, lt, eq, gt, v, lanes = low; \
\
		if (!(imm & 31 & ~7u)) \
			return name##_of(a, b, imm); \
		un = _mm_and_si128(name##_of(a, b, 3), lanes); \
		if (set & SIGNALS) \
			name##_of(a, b, 1); \
		x = _mm_andnot_si128(un, a); \
		y = _mm_andnot_si128(un, b); \
		lt = _mm_andnot_si128(un, name##_of(x, y, 1)); \
		eq = _mm_andnot_si128(un, name##_of(x, y, 0)); \
		gt = _mm_andnot_si128(_mm_or_si128(un, _mm_or_si128(lt, eq)), lanes); \
		v = _mm_or_si128(_mm_or_si128(if_in(set, LT, lt), if_in(set, EQ, eq)), \
				 _mm_or_si128(if_in(set, GT, gt), if_in(set, UN, un))); \
		return _mm_or_si128(_mm_and_si128(lanes, v), _mm_andnot_si128(lanes, a)); \
	} \
	static const struct simd_op v##name##_op = {v##name##_of, EXACT, 0, 0};
VCMP(cmpps, _mm_set1_epi32(-1))
VCMP(cmppd, _mm_set1_epi32(-1))
VCMP(cmpss, _mm_set_epi32(0, 0, 0, -1))
VCMP(cmpsd, _mm_set_epi32(0, 0, -1, -1))

SIMD_VEX_PACKED(vcmpps, vcmpps, (unsigned)i->imm)
SIMD_VEX_PACKED(vcmppd, vcmppd, (unsigned)i->imm)
SIMD_VEX_SCALAR(vcmpss, vcmpss, 32, (unsigned)i->imm)
SIMD_VEX_SCALAR(vcmpsd, vcmpsd, 64, (unsigned)i->imm)
