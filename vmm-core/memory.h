/* SPDX-License-Identifier: MIT */
/*
 * Guest RAM: one sparse memfd mapping, flat for the host, split around the 3 GiB..4 GiB hole for the guest.
 *
 * RAM bytes [0, min(size, 3 GiB)) sit at guest-physical 0; the rest at 4 GiB. A page is named by its RAM page number
 * (its index in the flat mapping), or by its GPA; cv_memory_gpa_to_page() goes from one to the other.
 * Every write to RAM, whoever makes it, marks its page dirty: the soft engine in its TLB slow path, everyone else
 * through cv_memory_write(). The engine hears of writes by others through `written` so that it can drop decoded code.
 */
#ifndef CV_MEMORY_H
#define CV_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm-core/error.h"

#define CV_PAGE_SHIFT 12
#define CV_PAGE_SIZE 4096u
#define CV_RAM_LOW_MAX 0xc0000000ull
#define CV_RAM_HIGH_BASE 0x100000000ull
#define CV_RAM_MIN (16ull << 20)
#define CV_RAM_MAX (16ull << 30)

enum {
	CV_PAGE_DIRTY = 1, /* written since the last cv_memory_clear_dirty(): owned by memory.c */
	CV_PAGE_CODE = 2,  /* the engine holds decoded code of this page: owned by the engine */
	CV_PAGE_WATCH = 4, /* a watchpoint lies on this page: owned by the engine */
	CV_PAGE_TABLE = 16, /* translations that the engine remembers were read from this page: owned by the engine */
	CV_PAGE_TOUCHED = 8, /* ever written since power-on: owned by memory.c; untouched pages are all zero */
};

struct cv_memory {
	uint8_t *ram;		   /* [h] owned mapping of `size` bytes */
	uint64_t size;		   /* [i] bytes, a multiple of 1 MiB */
	uint32_t pages;		   /* [i] */
	int fd;			   /* [h] the memfd */
	uint8_t *flags;		   /* [h] owned, one byte a page */
	uint32_t *dirty;	   /* [h] owned, capacity `pages`: page numbers in order of first write */
	uint32_t ndirty;
	uint32_t ntouched;
	uint32_t zeroed;	   /* [h] how often cv_memory_zero ran: dirty pages before it are no longer known */
	/* [h] called for every write that does not come from the engine itself, before cv_memory_write returns. */
	void (*written)(void *ctx, uint32_t page, uint32_t offset, uint32_t len);
	void *written_ctx;
};

int cv_memory_init(struct cv_memory *m, uint64_t size, struct cv_error *err);
void cv_memory_release(struct cv_memory *m);
/* All RAM becomes zero, untouched and clean; gives the pages back to the host. */
void cv_memory_zero(struct cv_memory *m);

/* RAM page number of a guest-physical address, or -1 where there is no RAM. */
static inline int64_t cv_memory_gpa_to_page(const struct cv_memory *m, uint64_t gpa)
{
	uint64_t low = m->size < CV_RAM_LOW_MAX ? m->size : CV_RAM_LOW_MAX;

	if (gpa < low)
		return (int64_t)(gpa >> CV_PAGE_SHIFT);
	if (gpa >= CV_RAM_HIGH_BASE && gpa - CV_RAM_HIGH_BASE < m->size - low)
		return (int64_t)((gpa - CV_RAM_HIGH_BASE + low) >> CV_PAGE_SHIFT);
	return -1;
}

static inline uint64_t cv_memory_page_to_gpa(const struct cv_memory *m, uint32_t page)
{
	uint64_t off = (uint64_t)page << CV_PAGE_SHIFT;

	(void)m;
	return off < CV_RAM_LOW_MAX ? off : off - CV_RAM_LOW_MAX + CV_RAM_HIGH_BASE;
}

/* Marks a page dirty and touched (idempotent, cheap when it is already). */
static inline void cv_memory_mark_dirty(struct cv_memory *m, uint32_t page)
{
	if (!(m->flags[page] & CV_PAGE_DIRTY)) {
		if (!(m->flags[page] & CV_PAGE_TOUCHED))
			m->ntouched++;
		m->flags[page] |= CV_PAGE_DIRTY | CV_PAGE_TOUCHED;
		m->dirty[m->ndirty++] = page;
	}
}

/*
 * Copies to and from guest-physical memory, RAM only. Return the number of bytes done: fewer than n where RAM ends.
 * A read has no side effects.
 */
size_t cv_memory_read(const struct cv_memory *m, uint64_t gpa, void *p, size_t n);
size_t cv_memory_write(struct cv_memory *m, uint64_t gpa, const void *p, size_t n);

/*
 * Forgets which pages are dirty (after a checkpoint took them). The engine's TLB may still hold write tags for them:
 * the caller must call the engine's flush_tlb as well.
 */
void cv_memory_clear_dirty(struct cv_memory *m);

#endif
