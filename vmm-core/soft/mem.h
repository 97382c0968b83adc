/* SPDX-License-Identifier: MIT */
/*
 * Memory access of handlers: the inlined TLB hit and the fast form of addresses.
 *
 * One compare decides a hit: the page of the access's last byte with the tag that the first byte's page selects; an
 * access that crosses a page differs in the tag's index and misses. Everything unusual is a miss: the functions in mem.c.
 * A local never has its address taken here: a slow load leaves its value in c->ld.
 *
 * Fast form of an address (64-bit mode, 64-bit addresses): slot(bslot) + (slot(xslot) << scale) + fdisp, a linear
 * address. A slot is a word of struct soft_cpu: a register, `zero`, the base of FS or GS, block_rip.
 */
#ifndef CV_SOFT_MEM_H
#define CV_SOFT_MEM_H

#include <string.h>

#include "vmm-core/soft/soft.h"

#define SOFT_SLOT(field) (offsetof(struct soft_cpu, field) / 8)
_Static_assert(SOFT_SLOT(two31) < 256 && SOFT_SLOT(zero) < 256 && SOFT_SLOT(block_rip) < 256, "a slot is one byte");
_Static_assert(offsetof(struct soft_cpu, s.gpr) == 0, "slots 0..15 are the registers");

static inline uint64_t soft_slot(const struct soft_cpu *c, unsigned slot)
{
	uint64_t v;

	memcpy(&v, (const char *)c + slot * 8, 8);
	return v;
}

static inline uint64_t soft_fast_ea(const struct soft_cpu *c, const struct cv_insn *i)
{
	return soft_slot(c, i->bslot) + (soft_slot(c, i->xslot) << i->scale) + (uint64_t)(int64_t)i->fdisp;
}

#define SOFT_PAGE_MASK (~(uint64_t)0xfff)

static inline struct soft_tlb_entry *soft_tlb_slot(const struct soft_cpu *c, uint64_t la)
{
	return &c->tlb_now[(la >> 12) & (SOFT_TLB_ENTRIES - 1)];
}
/* Host address for reading or writing n bytes, NULL: take the slow path. */
static inline uint8_t *soft_tlb_read(const struct soft_cpu *c, uint64_t la, unsigned n)
{
	const struct soft_tlb_entry *e = soft_tlb_slot(c, la);

	return likely(e->rtag == ((la + n - 1) & SOFT_PAGE_MASK)) ? (uint8_t *)(e->addend + la) : NULL;
}
static inline uint8_t *soft_tlb_write(const struct soft_cpu *c, uint64_t la, unsigned n)
{
	const struct soft_tlb_entry *e = soft_tlb_slot(c, la);

	return likely(e->wtag == ((la + n - 1) & SOFT_PAGE_MASK)) ? (uint8_t *)(e->addend + la) : NULL;
}

/*
 * Slow path by linear address, checks of the segment done but canonical form not: n is 1, 2, 4, 8; the value comes in
 * and goes by c->ld. seg decides between #GP and #SS.
 */
bool soft_slow_load(struct soft_cpu *c, const struct cv_insn *i, uint64_t la, unsigned seg, unsigned n);
bool soft_slow_store(struct soft_cpu *c, const struct cv_insn *i, uint64_t la, unsigned seg, uint64_t v, unsigned n);
/* For read-modify-write: checks the store first, then loads into c->ld. The store that follows cannot fail. */
bool soft_slow_modify(struct soft_cpu *c, const struct cv_insn *i, uint64_t la, unsigned seg, unsigned n);
/* Linear address of any ModRM operand by the general way, in c->ld; write: for the segment's checks. */
bool soft_any_ea(struct soft_cpu *c, const struct cv_insn *i, unsigned n, bool write);
/* The same for an offset in a segment. */
bool soft_any_linear(struct soft_cpu *c, const struct cv_insn *i, unsigned seg, uint64_t off, unsigned n, bool write);

#define SOFT_DEFINE_ACCESS(bits) \
static inline __attribute__((always_inline)) bool soft_ld##bits(struct soft_cpu *c, const struct cv_insn *i, uint64_t la, \
								 unsigned seg) \
{ \
	const uint8_t *h = soft_tlb_read(c, la, bits / 8); \
	if (likely(h != NULL)) { \
		uint##bits##_t v; \
		memcpy(&v, h, bits / 8); \
		c->ld = v; \
		return true; \
	} \
	return soft_slow_load(c, i, la, seg, bits / 8); \
} \
static inline __attribute__((always_inline)) bool soft_st##bits(struct soft_cpu *c, const struct cv_insn *i, uint64_t la, \
								 unsigned seg, uint##bits##_t v) \
{ \
	uint8_t *h = soft_tlb_write(c, la, bits / 8); \
	if (likely(h != NULL)) { \
		memcpy(h, &v, bits / 8); \
		return true; \
	} \
	return soft_slow_store(c, i, la, seg, v, bits / 8); \
}
SOFT_DEFINE_ACCESS(8)
SOFT_DEFINE_ACCESS(16)
SOFT_DEFINE_ACCESS(32)
SOFT_DEFINE_ACCESS(64)

/*
 * For the bodies of handlers. SOFT_LOAD declares v and loads it or returns; the common path never goes through memory of
 * its own.
 */
#define SOFT_LOAD(bits, v, la, sg) \
	uint##bits##_t v; \
	{ \
		const uint8_t *h_ = soft_tlb_read(c, (la), bits / 8); \
		if (likely(h_ != NULL)) { \
			memcpy(&v, h_, bits / 8); \
		} else { \
			if (!soft_slow_load(c, i, (la), (sg), bits / 8)) \
				return; \
			v = (uint##bits##_t)c->ld; \
		} \
	}
#define SOFT_STORE(bits, v, la, sg) \
	do { \
		uint8_t *h_ = soft_tlb_write(c, (la), bits / 8); \
		if (likely(h_ != NULL)) { \
			uint##bits##_t v_ = (v); \
			memcpy(h_, &v_, bits / 8); \
		} else if (!soft_slow_store(c, i, (la), (sg), (v), bits / 8)) { \
			return; \
		} \
	} while (0)
/* Read-modify-write: SOFT_MODIFY declares v and a host pointer hp (NULL: slow); SOFT_WRITEBACK stores. */
#define SOFT_MODIFY(bits, v, hp, la, sg) \
	uint##bits##_t v; \
	uint8_t *hp = soft_tlb_write(c, (la), bits / 8); \
	if (likely(hp != NULL)) { \
		memcpy(&v, hp, bits / 8); \
	} else { \
		if (!soft_slow_modify(c, i, (la), (sg), bits / 8)) \
			return; \
		v = (uint##bits##_t)c->ld; \
	}
#define SOFT_WRITEBACK(bits, v, hp, la, sg) \
	do { \
		if (likely(hp != NULL)) { \
			uint##bits##_t v_ = (v); \
			memcpy(hp, &v_, bits / 8); \
		} else { \
			soft_slow_store(c, i, (la), (sg), (v), bits / 8); \
		} \
	} while (0)

/* Engine's side of the slow path: watchpoints. */
bool soft_watched_page(const struct soft_cpu *c, uint64_t linear);
/* Notes a hit of [la, la + n) in c->watch_hit; false: none. */
bool soft_watch_match(const struct soft_cpu *c, uint64_t la, uint64_t n, bool write, struct cv_watch *hit);

#endif
