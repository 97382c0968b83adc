/* SPDX-License-Identifier: MIT */
/*
 * Blocks of decoded instructions, how they follow each other, and the cache that holds them.
 *
 * A block belongs to the RAM page in which it begins. A store to a 128-byte granule that holds decoded bytes drops every
 * block of the page; dropped blocks stay readable until the dispatcher reaps them, so that the instruction that did it
 * can finish.
 *
 * Who may follow whom. Within a page blocks are chained by pointers, which live and die with the page. From page to page,
 * and for computed targets, the jump cache maps RIP to a block that is valid in the present context: c->ctx is a number that
 * changes with every TLB flush, and between user and supervisor, code sizes and CS bases; block->ctx is the context in
 * which its translation was last checked. A special block (a SINGLE instruction, a breakpoint) runs by the dispatcher
 * alone: its first handler only goes back there.
 */
#ifndef CV_SOFT_BLOCK_H
#define CV_SOFT_BLOCK_H

#include "vmm-core/soft/soft.h"

enum { SOFT_BLOCK_MAX = 64, SOFT_MODE_LIMITED = 1 };

struct soft_block {
	uint64_t rip;		     /* of the first instruction */
	uint32_t n;		     /* instructions */
	uint32_t ctx;		     /* in which the translation was checked; 0: none */
	struct soft_block *chain[2]; /* not taken or end, taken; same page only */
	uint64_t gpa, gpa2;	     /* of the first byte; of the second page, or UINT64_MAX */
	struct soft_block *hnext;    /* hash chain */
	struct soft_block *pnext;    /* next block of the page */
	uint32_t page, page2;	     /* RAM page numbers; page2 UINT32_MAX */
	uint16_t bytes;
	uint8_t mode; /* code size; SOFT_MODE_LIMITED */
	bool special;
	struct soft_block *pnext2; /* next of the blocks that reach into page2 */
	cv_handler *real;	     /* what a special block does */
	struct cv_insn insn[];	     /* n, and the sentinel */
};

static inline struct soft_jump *soft_jump_slot(struct soft_cpu *c, uint64_t rip)
{
	return &c->jump[(rip ^ rip >> 12) & (SOFT_JUMPS - 1)];
}

/* Enters a block, or leaves to the dispatcher at its beginning. Tail position only. */
static inline __attribute__((always_inline)) void soft_enter(struct soft_cpu *c, struct soft_block *b)
{
#if SOFT_TAILCALLS
	int64_t left = c->budget - b->n;

	if (likely(left >= 0)) {
		c->budget = left;
		c->block = b;
		c->block_rip = b->rip;
		b->insn[0].fn(c, b->insn);
		return;
	}
#endif
	c->s.rip = b->rip;
	c->next = b;
}

/* Leaves to the dispatcher, which goes on at rip. */
static inline void soft_leave(struct soft_cpu *c, uint64_t rip)
{
	c->s.rip = rip;
	c->next = NULL;
}

/* The block that the jump cache knows at rip, or NULL. */
static inline struct soft_block *soft_jump_find(struct soft_cpu *c, uint64_t rip)
{
	const struct soft_jump *j = soft_jump_slot(c, rip);

	return likely(j->rip == rip && j->block->ctx == c->ctx) ? j->block : NULL;
}

/*
 * Chains two blocks if they may be: one RAM page, one linear page, and neither reaches into another. The dispatcher's own
 * block, in which it runs single instructions, has no page and is never chained.
 */
static inline void soft_link(struct soft_block *from, unsigned which, struct soft_block *to)
{
	if (!(to->mode & SOFT_MODE_LIMITED) && from->page == to->page && from->page2 == UINT32_MAX && to->page2 == UINT32_MAX &&
	    to->gpa - from->gpa == to->rip - from->rip)
		from->chain[which] = to;
}

/* Finds where a direct branch or the end of a block goes; which is 0 or 1. NULL: ask the dispatcher. */
static inline struct soft_block *soft_follow(struct soft_cpu *c, unsigned which, uint64_t rip)
{
	struct soft_block *here = (struct soft_block *)c->block, *b = here->chain[which];

	if (likely(b != NULL))
		return b;
	b = soft_jump_find(c, rip);
	if (b)
		soft_link(here, which, b);
	return b;
}

/* Leaves to the dispatcher, with the wish to be chained to the block that it will find at rip. */
static inline void soft_leave_linked(struct soft_cpu *c, unsigned which, uint64_t rip)
{
	c->s.rip = rip;
	c->next = NULL;
	c->link_from = (struct soft_block *)c->block;
	c->link_which = which;
}

/* --- The cache (block.c) --- */

struct soft_page {
	struct soft_block *blocks;
	struct soft_block *reaching; /* blocks of other pages whose last bytes lie here */
	uint32_t granules;	     /* bit g: bytes 128*g.. are decoded */
};

struct soft_blocks {
	struct soft_block **hash; /* owned */
	struct soft_page **pages; /* owned, by RAM page number */
	uint32_t npages;
	struct soft_block *dead; /* dropped, to be reaped */
	struct soft_block none;	 /* what an unused jump entry names */
	size_t bytes;
	uint64_t decoded, dropped;
};

int soft_blocks_init(struct soft_blocks *bs, uint32_t npages);
void soft_blocks_release(struct soft_blocks *bs);
void soft_blocks_reap(struct soft_blocks *bs);
/* Drops everything decoded in a RAM page, or everywhere. */
void soft_blocks_drop_page(struct soft_cpu *c, uint32_t page);
void soft_blocks_drop_all(struct soft_cpu *c);
/* Is any byte of [offset, offset + len) of the page decoded? */
bool soft_blocks_touched(const struct soft_cpu *c, uint32_t page, uint32_t offset, uint32_t len);

/*
 * The block at s.rip, decoded if need be. NULL: a fault was raised (insn NULL), or the instruction cannot live in a block
 * (not in RAM, beyond CS.limit, no memory): then soft_decode_one() tells.
 */
struct soft_block *soft_block_get(struct soft_cpu *c);
/* Decodes the instruction at s.rip into *i, ready to run. false: a fault was raised. */
bool soft_decode_one(struct soft_cpu *c, struct cv_insn *i);
/* Fills what a decoded record needs to run: handler and fast address. Its block begins at block_rip. */
void soft_prepare(struct soft_cpu *c, struct cv_insn *i, uint64_t block_rip);
cv_handler soft_h_end, soft_h_stop, soft_h_special, soft_h_ud, soft_h_long;

/* engine.c: is there a breakpoint at this linear address? */
bool soft_has_break(const struct soft_cpu *c, uint64_t linear);
struct soft_blocks *soft_blocks_of(const struct soft_cpu *c);
bool soft_no_caching(const struct soft_cpu *c);
/* Translates for fetch: RAM page number (or -1) of the linear address; false: raised with insn NULL. */
bool soft_fetch_page(struct soft_cpu *c, uint64_t linear, uint64_t *gpa);

#endif
