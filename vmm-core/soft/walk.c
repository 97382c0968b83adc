/* SPDX-License-Identifier: MIT */
/*
 * The page walker: SDM 3A chapter 4.
 *
 * A walk reads one entry a level into a path, combines rights, checks them, and only when the access is allowed sets
 * the accessed bits of the whole path and, for a write, the dirty bit of its last entry. A walk that faults leaves the
 * tables as they are. Entries are read and written as physical memory; where there is no RAM they read as all ones.
 *
 * Three formats share the loop: 4- and 5-level (long mode), PAE (whose four PDPTEs are registers, loaded and checked
 * with CR3), and 32-bit two-level with 4 MiB pages.
 */
#include <string.h>

#include "vmm-core/soft/soft.h"

enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_A = 0x20, PTE_D = 0x40, PTE_PS = 0x80, PTE_G = 0x100 };
#define PTE_NX (1ull << 63)

enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16 };

struct path {
	uint64_t gpa[5];   /* of the entry of each level, root first */
	uint64_t entry[5];
	unsigned n;
	unsigned entry_size; /* 4 or 8 */
};

static uint64_t mask_a20(const struct soft_cpu *c, uint64_t gpa)
{
	return c->s.a20_masked ? gpa & ~(1ull << 20) : gpa;
}

static uint64_t read_entry(const struct soft_cpu *c, uint64_t gpa, unsigned size)
{
	const struct cv_memory *m = c->host.mem;
	int64_t page = cv_memory_gpa_to_page(m, gpa);
	const uint8_t *p;
	uint64_t v64;
	uint32_t v32;

	if (page < 0)
		return size == 8 ? UINT64_MAX : UINT32_MAX;
	p = m->ram + ((uint64_t)page << CV_PAGE_SHIFT) + (gpa & (CV_PAGE_SIZE - 1));
	if (size == 8) {
		memcpy(&v64, p, 8);
		return v64;
	}
	memcpy(&v32, p, 4);
	return v32;
}

/* Sets bits in an entry's low byte. Nothing else may notice but dirty tracking and decoded code in that page. */
static void set_entry_bits(struct soft_cpu *c, uint64_t gpa, uint8_t bits)
{
	struct cv_memory *m = c->host.mem;
	int64_t page = cv_memory_gpa_to_page(m, gpa);
	uint32_t offset = gpa & (CV_PAGE_SIZE - 1);

	if (page < 0)
		return;
	cv_memory_mark_dirty(m, (uint32_t)page);
	m->ram[((uint64_t)page << CV_PAGE_SHIFT) + offset] |= bits;
	if ((m->flags[page] & CV_PAGE_CODE) && m->written)
		m->written(m->written_ctx, (uint32_t)page, offset, 1);
}

static void note_table(struct soft_cpu *c, uint32_t page)
{
	if (!(c->host.mem->flags[page] & CV_PAGE_TABLE))
		soft_note_table(c, page);
}

static void note_path(struct soft_cpu *c, const struct path *p)
{
	for (unsigned k = 0; k < p->n; k++) {
		int64_t page = cv_memory_gpa_to_page(c->host.mem, p->gpa[k]);

		if (page >= 0)
			note_table(c, (uint32_t)page);
	}
}

static void set_accessed(struct soft_cpu *c, const struct path *p, enum soft_access access)
{
	for (unsigned k = 0; k < p->n; k++) {
		uint8_t want = PTE_A;

		if (k + 1 == p->n && access == SOFT_WRITE)
			want |= PTE_D;
		if ((p->entry[k] & want) != want)
			set_entry_bits(c, p->gpa[k], want);
	}
}

static uint32_t access_error(const struct soft_cpu *c, enum soft_access access, unsigned mmu)
{
	uint32_t e = 0;

	if (access == SOFT_WRITE)
		e |= PF_W;
	if (mmu == SOFT_MMU_USER)
		e |= PF_U;
	if (access == SOFT_FETCH &&
	    ((c->s.cr4 & CV_CR4_SMEP) || ((c->s.cr4 & CV_CR4_PAE) && (c->s.efer & CV_EFER_NXE))))
		e |= PF_I;
	return e;
}

/* SDM 3A 4.6.1: do the combined rights in w allow this access? */
static bool allowed(const struct soft_cpu *c, enum soft_access access, unsigned mmu, const struct soft_walk *w)
{
	if (mmu == SOFT_MMU_USER) {
		if (!w->user)
			return false;
		if (access == SOFT_WRITE)
			return w->writable;
		return access != SOFT_FETCH || w->executable;
	}
	if (access == SOFT_FETCH)
		return w->executable && !(w->user && (c->s.cr4 & CV_CR4_SMEP));
	if (w->user && (c->s.cr4 & CV_CR4_SMAP) && mmu != SOFT_MMU_SUPER_AC)
		return false;
	return access != SOFT_WRITE || w->writable || !(c->s.cr0 & CV_CR0_WP);
}

/* --- One step of each format: false where the entry isn't present or has a reserved bit set (w->error says). --- */

static bool take_entry(struct soft_cpu *c, struct path *p, uint64_t gpa, struct soft_walk *w, uint64_t *entry)
{
	uint64_t e;

	gpa = mask_a20(c, gpa);
	e = read_entry(c, gpa, p->entry_size);
	if (!(e & PTE_P))
		return false;
	p->gpa[p->n] = gpa;
	p->entry[p->n++] = e;
	w->writable = w->writable && (e & PTE_W);
	w->user = w->user && (e & PTE_U);
	if (p->entry_size == 8)
		w->executable = w->executable && !(e & PTE_NX);
	*entry = e;
	return true;
}

static bool reserved(struct soft_walk *w)
{
	w->error = PF_P | PF_RSVD;
	return false;
}

static void finish_page(struct soft_walk *w, uint64_t linear, uint64_t entry, uint64_t frame, unsigned shift)
{
	w->gpa = frame | (linear & ((1ull << shift) - 1));
	w->global = entry & PTE_G;
	w->shift = (uint8_t)shift;
	w->dirty = entry & PTE_D;
}

static bool walk_32(struct soft_cpu *c, uint64_t linear, struct path *p, struct soft_walk *w)
{
	unsigned bits = c->host.model->phys_bits < 40 ? c->host.model->phys_bits : 40;
	uint64_t e;

	p->entry_size = 4;
	if (!take_entry(c, p, (c->s.cr3 & 0xfffff000) + (linear >> 22) * 4, w, &e))
		return false;
	if ((e & PTE_PS) && (c->s.cr4 & CV_CR4_PSE)) {
		/* PSE-36: entry bits 13 and up are address bits 32 and up; those past the width are reserved, 21 too. */
		uint64_t high = e >> 13 & 0x1ff;

		if (high >> (bits - 32))
			return reserved(w);
		finish_page(w, linear, e, (e & 0xffc00000) | high << 32, 22);
		return true;
	}
	if (!take_entry(c, p, (e & 0xfffff000) + (linear >> 12 & 0x3ff) * 4, w, &e))
		return false;
	finish_page(w, linear, e, e & 0xfffff000, 12);
	return true;
}

/* The levels below the PDPTE (PAE: from level 2) or from the root (level 4 or 5). */
static bool walk_64(struct soft_cpu *c, uint64_t linear, unsigned level, uint64_t table, struct path *p,
		    struct soft_walk *w)
{
	uint64_t addr_mask = ((1ull << c->host.model->phys_bits) - 1) & ~0xfffull;
	uint64_t rsvd = ~addr_mask & (c->long_mode ? 0x000ffffffffff000 : 0x7ffffffffffff000);
	uint64_t e;

	if (!(c->s.efer & CV_EFER_NXE))
		rsvd |= PTE_NX;
	for (;; level--) {
		unsigned shift = 12 + 9 * (level - 1);
		bool large;

		if (!take_entry(c, p, table + (linear >> shift & 0x1ff) * 8, w, &e))
			return false;
		large = level > 1 && (e & PTE_PS);
		if ((e & rsvd) || (large && level >= 4))
			return reserved(w);
		if (level > 1 && !large) {
			table = e & addr_mask;
			continue;
		}
		/* Bit 12 of a large page is PAT; the address bits above it, below the frame, are reserved. */
		if (large && (e & ((1ull << shift) - 1) & ~0x1fffull))
			return reserved(w);
		finish_page(w, linear, e, e & addr_mask & ~((1ull << shift) - 1), shift);
		return true;
	}
}

static bool walk_pae(struct soft_cpu *c, uint64_t linear, struct path *p, struct soft_walk *w)
{
	uint64_t addr_mask = ((1ull << c->host.model->phys_bits) - 1) & ~0xfffull;
	uint64_t pdpte = c->s.pdpte[linear >> 30 & 3];

	p->entry_size = 8;
	return (pdpte & PTE_P) && walk_64(c, linear, 2, pdpte & addr_mask, p, w);
}

/* Bits 2:1, 8:5 and those past the width are reserved where P is set (SDM 3A table 4-8). */
bool soft_load_pdptes(struct soft_cpu *c, uint64_t cr3)
{
	uint64_t rsvd = ~((1ull << c->host.model->phys_bits) - 1) | 0x1e6, e[4];

	for (unsigned k = 0; k < 4; k++) {
		e[k] = read_entry(c, mask_a20(c, (cr3 & 0xffffffe0) + 8 * k), 8);
		if ((e[k] & PTE_P) && (e[k] & rsvd))
			return false;
	}
	memcpy(c->s.pdpte, e, sizeof(e));
	return true;
}

static bool walk_long(struct soft_cpu *c, uint64_t linear, struct path *p, struct soft_walk *w)
{
	p->entry_size = 8;
	return walk_64(c, linear, c->s.cr4 & CV_CR4_LA57 ? 5 : 4, c->s.cr3 & ((1ull << c->host.model->phys_bits) - 1) & ~0xfffull, p, w);
}

/*
 * The common case, in one pass: long mode, no A20 mask, tables in RAM, nothing to write. false: do it the general way.
 */
static bool walk_quick(struct soft_cpu *c, uint64_t linear, enum soft_access access, unsigned mmu, bool peek,
		       struct soft_walk *w)
{
	const struct cv_memory *m = c->host.mem;
	const uint64_t addr_mask = ((1ull << c->host.model->phys_bits) - 1) & ~0xfffull;
	const uint64_t rsvd = (~addr_mask & 0x000ffffffffff000) | (c->s.efer & CV_EFER_NXE ? 0 : PTE_NX);
	uint64_t low = m->size < CV_RAM_LOW_MAX ? m->size : CV_RAM_LOW_MAX;
	uint64_t table = c->s.cr3 & addr_mask, all = UINT64_MAX, any = 0, e;
	unsigned shift = c->s.cr4 & CV_CR4_LA57 ? 48 : 39, n = 0;
	uint32_t tables[5];

	for (;; shift -= 9) {
		if (table >= low)
			return false;
		tables[n++] = (uint32_t)(table >> CV_PAGE_SHIFT);
		memcpy(&e, m->ram + table + (linear >> shift & 0x1ff) * 8, 8);
		all &= e;
		any |= e;
		if (shift == 12 || (e & PTE_PS))
			break;
		table = e & addr_mask;
	}
	if (shift >= 39 || (all & (PTE_P | PTE_A)) != (PTE_P | PTE_A) || (any & rsvd) ||
	    (access == SOFT_WRITE && !(e & PTE_D)) ||
	    (shift > 12 && (e & ((1ull << shift) - 1) & ~0x1fffull)))
		return false;
	w->writable = all & PTE_W;
	w->user = all & PTE_U;
	w->executable = !(any & PTE_NX);
	if (!allowed(c, access, mmu, w))
		return false;
	finish_page(w, linear, e, e & addr_mask & ~((1ull << shift) - 1), shift);
	w->global = w->global && (c->s.cr4 & CV_CR4_PGE);
	if (!peek)
		while (n--)
			note_table(c, tables[n]);
	return true;
}

bool soft_page_walk(struct soft_cpu *c, uint64_t linear, enum soft_access access, unsigned mmu, bool peek,
		    struct soft_walk *w)
{
	struct path p;
	bool found;

	if (c->long_mode && !c->s.a20_masked) {
		*w = (struct soft_walk){0};
		if (walk_quick(c, linear, access, mmu, peek, w))
			return true;
	}
	*w = (struct soft_walk){.writable = true, .user = true, .executable = true, .dirty = true};
	if (!c->paging) {
		w->gpa = mask_a20(c, (uint32_t)linear);
		return true;
	}
	p.n = 0;
	if (c->long_mode)
		found = walk_long(c, linear, &p, w);
	else if (c->s.cr4 & CV_CR4_PAE)
		found = walk_pae(c, (uint32_t)linear, &p, w);
	else
		found = walk_32(c, (uint32_t)linear, &p, w);
	if (!found) {
		w->error |= access_error(c, access, mmu);
		return false;
	}
	if (!allowed(c, access, mmu, w)) {
		w->error = PF_P | access_error(c, access, mmu);
		return false;
	}
	w->gpa = mask_a20(c, w->gpa);
	if (!(c->s.cr4 & CV_CR4_PGE))
		w->global = false;
	if (!peek) {
		note_path(c, &p);
		set_accessed(c, &p, access);
		if (access == SOFT_WRITE)
			w->dirty = true;
	}
	return true;
}
