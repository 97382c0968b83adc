/* SPDX-License-Identifier: MIT */
/*
 * AVX: moves under a mask, and gathers. The top bit of each of the mask's elements selects.
 *
 * What isn't selected isn't touched: no fault, no A or D bit, no watchpoint (SDM 2C "VMASKMOV"). A masked move is done wholly or
 * not at all. Alignment is checked neither of it, as of no operand of 16 bytes or more, nor of a gather's elements.
 *
 * A gather goes element by element, from the lowest, and an element that is done has its mask cleared; so a fault or a
 * restart may come between any two, and the instruction then goes on with what is left. What a fault shows is what Intel's
 * processors show: before the first element the mask has become ones and zeros, and zero above the vector's length; with the
 * first element that is loaded the destination has become zero above it; and what lies above the elements, where quadwords
 * gather doublewords, becomes zero at the end.
 */
#ifndef __clang__
#pragma GCC target("sse4.2")
#endif
#define SOFT_CORE 1
#include "vmm-core/soft/avx.h"
#include "vmm-core/soft/sse_ops.h"

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("sse4.2"))), apply_to = function)
#endif

static uint64_t wrap(const struct cv_insn *i, uint64_t off)
{
	return i->asize == 8 ? off : i->asize == 4 ? (uint32_t)off : (uint16_t)off;
}

/* What is shorter than a vector is not checked for alignment either. */
static unsigned without_alignment(struct soft_cpu *c)
{
	unsigned mmu = c->mmu;

	if (mmu == SOFT_MMU_ALIGN)
		c->mmu = SOFT_MMU_USER;
	return mmu;
}
static void with_mmu(struct soft_cpu *c, unsigned mmu)
{
	c->mmu = (uint8_t)mmu;
	c->tlb_now = c->tlb[mmu];
}

/* --- Masked moves --- */

/* The selected bytes (by bit) of n, each run of them by itself; the others are zero. */
static bool load_runs(struct soft_cpu *c, const struct cv_insn *i, uint32_t selected, unsigned n, uint8_t b[32])
{
	uint64_t off = soft_ea(c, i), linear;
	unsigned first, last;

	memset(b, 0, 32);
	if (!selected)
		return true;
	first = (unsigned)__builtin_ctz(selected);
	last = 31 - (unsigned)__builtin_clz(selected);
	/* That all of them are addresses is asked before any is read. */
	if (c->mode == 64 && !soft_linear(c, i, i->seg, wrap(i, off + first), last - first + 1, SOFT_READ, &linear))
		return false;
	for (unsigned k = 0, run; k < n; k += run) {
		bool on = selected >> k & 1;

		for (run = 1; k + run < n && (selected >> (k + run) & 1) == on; run++)
			;
		if (on && !soft_load(c, i, i->seg, wrap(i, off + k), b + k, run))
			return false;
	}
	return true;
}

static __attribute__((noinline)) bool slow_load(struct soft_cpu *c, const struct cv_insn *i, uint32_t selected, unsigned n)
{
	unsigned mmu = without_alignment(c);
	uint8_t b[32];
	bool ok = load_runs(c, i, selected, n, b);

	with_mmu(c, mmu);
	if (ok)
		memcpy(c->s.ymm[i->reg], b, 32);
	return ok;
}

static __attribute__((noinline)) bool slow_store(struct soft_cpu *c, const struct cv_insn *i, uint32_t selected)
{
	unsigned mmu = without_alignment(c);
	bool ok = fp_store_runs(c, i, soft_ea(c, i), c->s.ymm[i->reg], selected);

	with_mmu(c, mmu);
	return ok;
}

FP_INLINE __m128i dwords(__m128i mask)
{
	return _mm_srai_epi32(mask, 31);
}
FP_INLINE __m128i qwords(__m128i mask)
{
	return _mm_shuffle_epi32(_mm_srai_epi32(mask, 31), 0xf5);
}
FP_INLINE uint32_t selected_bytes(struct avx m)
{
	return (uint32_t)_mm_movemask_epi8(m.lo) | (uint32_t)_mm_movemask_epi8(m.hi) << 16;
}
FP_INLINE __m128i at(const uint8_t *h)
{
	return _mm_loadu_si128((const __m128i *)(const void *)h);
}

#define MASKED_LOAD(name, elements) \
FP_HANDLER(name##_m) \
{ \
	const uint8_t *h; \
	__m128i m; \
	FP_AVX(); \
	m = elements(fp_xmm(c, i->vvvv)); \
	h = fp_read_ptr(c, i, 16); \
	if (unlikely(!h)) \
		return slow ? slow_load(c, i, (uint32_t)_mm_movemask_epi8(m), 16) : FP_MISS; \
	avx_set_xmm(c, i->reg, _mm_and_si128(m, at(h))); \
	return true; \
} \
FP_HANDLER(name##_my) \
{ \
	const uint8_t *h; \
	struct avx m; \
	FP_AVX(); \
	m = avx_ymm(c, i->vvvv); \
	m.lo = elements(m.lo); \
	m.hi = elements(m.hi); \
	h = fp_read_ptr(c, i, 32); \
	if (unlikely(!h)) \
		return slow ? slow_load(c, i, selected_bytes(m), 32) : FP_MISS; \
	avx_set_ymm(c, i->reg, (struct avx){_mm_and_si128(m.lo, at(h)), _mm_and_si128(m.hi, at(h + 16))}); \
	return true; \
}
/* With a page that can be written directly, what isn't selected is written as it was. */
#define MASKED_STORE(name, elements) \
FP_HANDLER(name##_m) \
{ \
	uint8_t *h; \
	__m128i m; \
	FP_AVX(); \
	m = elements(fp_xmm(c, i->vvvv)); \
	h = fp_write_ptr(c, i, 16); \
	if (unlikely(!h)) \
		return slow ? slow_store(c, i, (uint32_t)_mm_movemask_epi8(m)) : FP_MISS; \
	_mm_storeu_si128((__m128i *)(void *)h, _mm_blendv_epi8(at(h), fp_xmm(c, i->reg), m)); \
	return true; \
} \
FP_HANDLER(name##_my) \
{ \
	struct avx m, v; \
	uint8_t *h; \
	FP_AVX(); \
	m = avx_ymm(c, i->vvvv); \
	m.lo = elements(m.lo); \
	m.hi = elements(m.hi); \
	h = fp_write_ptr(c, i, 32); \
	if (unlikely(!h)) \
		return slow ? slow_store(c, i, selected_bytes(m)) : FP_MISS; \
	v = avx_ymm(c, i->reg); \
	return avx_put256(h, (struct avx){_mm_blendv_epi8(at(h), v.lo, m.lo), _mm_blendv_epi8(at(h + 16), v.hi, m.hi)}); \
}
MASKED_LOAD(vmaskmovps, dwords)
MASKED_LOAD(vmaskmovpd, qwords)
MASKED_LOAD(vpmaskmovd, dwords)
MASKED_LOAD(vpmaskmovq, qwords)
MASKED_STORE(vmaskmovps_st, dwords)
MASKED_STORE(vmaskmovpd_st, qwords)
MASKED_STORE(vpmaskmovd_st, dwords)
MASKED_STORE(vpmaskmovq_st, qwords)

/* --- Gathers --- */

struct gather {
	unsigned index_size, size;
	unsigned vector, n; /* the vector's length; n elements of `size` bytes */
	uint8_t *to, *mask;
	const uint8_t *index;
};

/* Ones and zeros in the mask's elements, zero above them. */
static void settle_mask(const struct gather *g)
{
	for (unsigned k = 0; k < g->vector; k += g->size)
		memset(g->mask + k, g->mask[k + g->size - 1] & 0x80 ? 0xff : 0, g->size);
	memset(g->mask + g->vector, 0, 32 - g->vector);
}

static uint64_t element_offset(const struct soft_cpu *c, const struct cv_insn *i, const struct gather *g, unsigned k)
{
	uint64_t off = (uint64_t)(int64_t)i->disp;
	int64_t wide;
	int32_t narrow;

	if (i->base != CV_NOREG)
		off += c->s.gpr[i->base];
	if (g->index_size == 8) {
		memcpy(&wide, g->index + k * 8, 8);
	} else {
		memcpy(&narrow, g->index + k * 4, 4);
		wide = narrow;
	}
	return wrap(i, off + ((uint64_t)wide << i->scale));
}

static bool gather_elements(struct soft_cpu *c, const struct cv_insn *i, const struct gather *g)
{
	unsigned size = g->size, used = g->n * size;

	settle_mask(g);
	for (unsigned k = 0; k < g->n; k++) {
		if (!g->mask[k * size])
			continue;
		if (!soft_load(c, i, i->seg, element_offset(c, i, g, k), g->to + k * size, size))
			return false;
		memset(g->mask + k * size, 0, size);
		memset(g->to + g->vector, 0, 32 - g->vector);
	}
	memset(g->to + used, 0, 32 - used);
	memset(g->mask + used, 0, 32 - used);
	return true;
}

/*
 * An element faults: does the instruction first leave as a REP does between two iterations (soft.h, rep_left)? What elements
 * before it trapped on is delivered in lieu of the fault (SDM 2C "VGATHERDPS"), a watchpoint is reported, and who looks for
 * the position that this gave finds it again. The fault then comes when the instruction goes on. Where positions count steps, none
 * lies between the two: the trap comes as the fault would, and a watchpoint is reported where the fault has been delivered.
 */
static bool leaves(const struct soft_cpu *c, const struct cv_insn *i, uint64_t pending)
{
	if (!c->single || c->fault.vector == SOFT_RESTART)
		return false;
	if (soft_counts_steps(c))
		return c->s.pending_db != pending;
	return c->watch_hit.len || c->s.pending_db != pending || (c->rep_stops && wrap(i, c->s.gpr[CV_RCX]) <= c->rep_stop);
}

static __attribute__((noinline)) bool gather(struct soft_cpu *c, const struct cv_insn *i, unsigned index_size, unsigned size)
{
	const struct gather g = {
		.index_size = index_size,
		.size = size,
		.vector = i->vex & CV_VEX_L ? 32 : 16,
		.n = (i->vex & CV_VEX_L ? 32 : 16) / (index_size > size ? index_size : size),
		.to = (uint8_t *)c->s.ymm[i->reg],
		.mask = (uint8_t *)c->s.ymm[i->vvvv],
		.index = (const uint8_t *)c->s.ymm[i->index],
	};
	unsigned mmu = without_alignment(c);
	uint64_t pending = c->s.pending_db;
	bool ok = gather_elements(c, i, &g);

	with_mmu(c, mmu);
	if (ok)
		return true;
	c->keep_watch = soft_counts_steps(c);
	if (leaves(c, i, pending)) {
		c->fault.vector = -1;
		c->rep_left = true;
	}
	return false;
}

#define GATHER(name, index_size, size) \
FP_HANDLER(name##_m) \
{ \
	FP_AVX(); \
	return gather(c, i, index_size, size); \
} \
FP_HANDLER(name##_my) \
{ \
	FP_AVX(); \
	return gather(c, i, index_size, size); \
}
GATHER(vpgatherdd, 4, 4)
GATHER(vpgatherdq, 4, 8)
GATHER(vpgatherqd, 8, 4)
GATHER(vpgatherqq, 8, 8)
GATHER(vgatherdps, 4, 4)
GATHER(vgatherdpd, 4, 8)
GATHER(vgatherqps, 8, 4)
GATHER(vgatherqpd, 8, 8)

#ifdef __clang__
#pragma clang attribute pop
#endif
