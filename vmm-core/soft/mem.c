/* SPDX-License-Identifier: MIT */
/*
 * The slow path of memory access: segments, translation, MMIO, watchpoints, stores to pages that hold decoded code.
 *
 * An access is cut at the page edge into at most two pieces (bulk accesses into more). All pieces are translated and
 * examined before the first byte moves, so an access happens wholly or not at all. What needs the instruction to run alone
 * raises SOFT_RESTART while it doesn't.
 */
#include <string.h>

#include "vmm-core/soft/block.h"
#include "vmm-core/soft/mem.h"

struct piece {
	uint64_t la, gpa;
	uint8_t *host; /* NULL: MMIO */
	uint32_t page;
	unsigned n;
};

/* --- Faults --- */

void soft_raise(struct soft_cpu *c, const struct cv_insn *i, int vector)
{
	c->fault.vector = vector;
	c->fault.error = 0;
	c->fault.has_error = false;
	c->fault.insn = i;
}

void soft_raise_error(struct soft_cpu *c, const struct cv_insn *i, int vector, uint32_t error)
{
	c->fault.vector = vector;
	c->fault.error = error;
	c->fault.has_error = true;
	c->fault.insn = i;
}

static bool raise_segment(struct soft_cpu *c, const struct cv_insn *i, unsigned seg)
{
	soft_raise_error(c, i, seg == CV_SS ? EXC_SS : EXC_GP, 0);
	return false;
}

static bool raise_page_fault(struct soft_cpu *c, const struct cv_insn *i, uint64_t la, uint32_t error)
{
	soft_raise_error(c, i, EXC_PF, error);
	c->fault.cr2 = la;
	return false;
}

/* --- Segments --- */

static bool segment_allows(const struct soft_cpu *c, const struct cv_seg *s, uint64_t off, uint64_t last, bool write)
{
	bool code = s->ar & 8, rw = s->ar & 2;

	if (c->protected_mode) {
		if (s->ar & CV_AR_UNUSABLE || !(s->ar & CV_AR_P))
			return false;
		if (write ? code || !rw : code && !rw)
			return false;
	}
	if ((s->ar & 0xc) == 4) /* expand-down */
		return off > s->limit && last <= (s->ar & CV_AR_DB ? UINT32_MAX : 0xffffu);
	/* A segment of 4 GiB has no end: an access across it goes on at its beginning, as on Intel's processors. */
	return last <= s->limit || s->limit == UINT32_MAX;
}

/* SDM 3A table 6-7, told by the operand's size; of sizes that aren't here nothing is asked. */
static bool misaligned(uint64_t la, unsigned n)
{
	switch (n) {
	case 2: case 14: case 94: return la & 1; /* FSTENV and FSAVE, 16-bit */
	case 4: case 6: case 28: case 108: return la & 3; /* 32-bit */
	case 8: case 10: return la & 7;
	default: return false;
	}
}

/* An operand that is misaligned and ends where no addresses are: the alignment check comes first. */
static bool whole_canonical(struct soft_cpu *c, const struct cv_insn *i, uint64_t la, unsigned n, unsigned seg)
{
	if (soft_canonical(c, la) && soft_canonical(c, la + n - 1))
		return true;
	if (c->mmu == SOFT_MMU_ALIGN && soft_canonical(c, la) && misaligned(la, n)) {
		soft_raise_error(c, i, EXC_AC, 0);
		return false;
	}
	return raise_segment(c, i, seg);
}

bool soft_linear(struct soft_cpu *c, const struct cv_insn *i, unsigned seg, uint64_t off, unsigned n,
		 enum soft_access access, uint64_t *linear)
{
	const struct cv_seg *s = &c->s.seg[seg];
	uint64_t la;

	if (c->mode == 64) {
		la = off + (seg == CV_FS || seg == CV_GS ? s->base : 0);
		if (!whole_canonical(c, i, la, n, seg))
			return false;
	} else {
		if (!segment_allows(c, s, off, off + n - 1, access == SOFT_WRITE))
			return raise_segment(c, i, seg);
		la = (uint32_t)(s->base + off);
	}
	*linear = la;
	return true;
}

bool soft_any_linear(struct soft_cpu *c, const struct cv_insn *i, unsigned seg, uint64_t off, unsigned n, bool write)
{
	return soft_linear(c, i, seg, off, n, write ? SOFT_WRITE : SOFT_READ, &c->ld);
}

bool soft_any_ea(struct soft_cpu *c, const struct cv_insn *i, unsigned n, bool write)
{
	return soft_any_linear(c, i, i->seg, soft_ea(c, i), n, write);
}

/* --- TLB --- */

static void forget_all(struct soft_cpu *c)
{
	for (unsigned m = 0; m < SOFT_MMUS; m++)
		for (unsigned k = 0; k < SOFT_TLB_ENTRIES; k++)
			c->tlb[m][k].rtag = c->tlb[m][k].wtag = SOFT_TLB_NONE;
	c->nfilled = 0;
	c->filled_known = true;
}

/* Often after very few instructions: an engine that runs elsewhere has one executed here. */
void soft_tlb_flush(struct soft_cpu *c)
{
	if (!c->filled_known || c->nfilled > SOFT_FILLED)
		forget_all(c);
	while (c->nfilled) {
		uint16_t at = c->filled[--c->nfilled];
		struct soft_tlb_entry *e = &c->tlb[at / SOFT_TLB_ENTRIES][at % SOFT_TLB_ENTRIES];

		e->rtag = e->wtag = SOFT_TLB_NONE;
	}
	c->tlb_used = 0;
	memset(c->tlb_large, 0, sizeof(c->tlb_large));
	memset(c->writable, 0, sizeof(c->writable));
	while (c->ntables)
		c->host.mem->flags[c->tables[--c->ntables]] &= (uint8_t)~CV_PAGE_TABLE;
	c->generation++;
}

static uint64_t *filter_word(struct soft_cpu *c, uint32_t page)
{
	return &c->writable[page >> 6 & 15];
}

/*
 * The TLB never disagrees with the tables. Stores to a page of which an entry is remembered take the slow path, and one that changes an
 * entry that is present forgets everything. So what a guest sees doesn't depend on how long a translation lived: not on evictions, nor on
 * where a checkpoint was taken.
 */
void soft_note_table(struct soft_cpu *c, uint32_t page)
{
	uint64_t gpa = cv_memory_page_to_gpa(c->host.mem, page);

	/* One that the list has no room for keeps its mark: stores to it are slow, and that is all. */
	if (c->ntables < SOFT_TABLES)
		c->tables[c->ntables++] = page;
	c->host.mem->flags[page] |= CV_PAGE_TABLE;
	if (!(*filter_word(c, page) >> (page & 63) & 1))
		return;
	for (unsigned m = 0; m < SOFT_MMUS; m++)
		for (unsigned k = 0; k < SOFT_TLB_ENTRIES; k++)
			if (c->tlb[m][k].gpa == gpa)
				c->tlb[m][k].wtag = SOFT_TLB_NONE;
}

/* Does the store overlap an entry that is present, of either size? */
static bool meets_entry(const struct soft_cpu *c, const struct piece *p)
{
	const uint8_t *base = p->host - (p->gpa & (CV_PAGE_SIZE - 1));
	unsigned first = (unsigned)(p->gpa & (CV_PAGE_SIZE - 1)) & ~7u, last = (unsigned)(p->gpa & (CV_PAGE_SIZE - 1)) + p->n - 1;

	if (!(c->host.mem->flags[p->page] & CV_PAGE_TABLE))
		return false;
	for (unsigned k = first; k <= last; k += 4)
		if (base[k] & 1)
			return true;
	return false;
}

/*
 * A TLB entry is of 4 KiB, whatever the page. INVLPG of one address forgets the whole page (SDM 3A 4.10.4.1): a small filter knows the
 * regions of which large pages were used, and then all that lies in the region goes. [0] is 2 MiB, [1] 1 GiB (4 MiB pages count there);
 * the second index tells the lower half of the address space from the upper one.
 */
static uint64_t region_bit(uint64_t la, unsigned shift)
{
	return 1ull << ((la >> shift ^ la >> (shift + 6)) & 63);
}

static void note_large(struct soft_cpu *c, uint64_t la, unsigned shift)
{
	if (shift == 21)
		c->tlb_large[0][la >> 63] |= region_bit(la, 21);
	else if (shift > 21)
		c->tlb_large[1][la >> 63] |= region_bit(la, 30);
}

static void flush_region(struct soft_cpu *c, uint64_t la, unsigned shift)
{
	for (unsigned m = 0; m < SOFT_MMUS; m++) {
		for (unsigned k = 0; k < SOFT_TLB_ENTRIES; k++) {
			struct soft_tlb_entry *e = &c->tlb[m][k];

			if (e->rtag >> shift == la >> shift)
				e->rtag = e->wtag = SOFT_TLB_NONE;
		}
	}
}

void soft_tlb_flush_page(struct soft_cpu *c, uint64_t linear)
{
	for (unsigned m = 0; m < SOFT_MMUS; m++) {
		struct soft_tlb_entry *e = &c->tlb[m][(linear >> 12) & (SOFT_TLB_ENTRIES - 1)];

		if (e->rtag == (linear & SOFT_PAGE_MASK))
			e->rtag = e->wtag = SOFT_TLB_NONE;
	}
	if (c->tlb_large[1][linear >> 63] & region_bit(linear, 30))
		flush_region(c, linear, 30);
	else if (c->tlb_large[0][linear >> 63] & region_bit(linear, 21))
		flush_region(c, linear, 21);
	c->generation++;
}

static void note_filled(struct soft_cpu *c, unsigned mmu, unsigned index)
{
	if (c->nfilled < SOFT_FILLED)
		c->filled[c->nfilled] = (uint16_t)(mmu * SOFT_TLB_ENTRIES + index);
	if (c->nfilled <= SOFT_FILLED)
		c->nfilled++;
}

static void tlb_install(struct soft_cpu *c, const struct piece *p, unsigned mmu, const struct soft_walk *w)
{
	uint64_t tag = p->la & SOFT_PAGE_MASK;
	struct soft_tlb_entry *e = &c->tlb[mmu][(p->la >> 12) & (SOFT_TLB_ENTRIES - 1)];
	uint8_t flags = c->host.mem->flags[p->page];

	if (mmu == SOFT_MMU_ALIGN || ((c->nwatches || c->dr_data) && soft_watched_page(c, tag)))
		return;
	if (e->rtag != tag && c->tlb_limit && c->tlb_used++ >= c->tlb_limit) {
		for (unsigned m = 0; m < SOFT_MMUS; m++)
			for (unsigned k = 0; k < SOFT_TLB_ENTRIES; k++)
				c->tlb[m][k].rtag = c->tlb[m][k].wtag = SOFT_TLB_NONE;
		c->tlb_used = 1;
	}
	note_large(c, tag, w->shift);
	note_filled(c, mmu, (tag >> 12) & (SOFT_TLB_ENTRIES - 1));
	e->rtag = tag;
	e->wtag = w->writable && w->dirty && flags & CV_PAGE_DIRTY && !(flags & (CV_PAGE_CODE | CV_PAGE_TABLE)) &&
				  (!c->wrote || cv_page_filter_has(c->wrote, tag))
			  ? tag
			  : SOFT_TLB_NONE;
	if (e->wtag == tag)
		*filter_word(c, p->page) |= 1ull << (p->page & 63);
	e->addend = (uintptr_t)p->host - p->la;
	e->gpa = p->gpa & SOFT_PAGE_MASK;
}

/* Fills in where p->la lies; installs it in the TLB. */
static bool translate(struct soft_cpu *c, const struct cv_insn *i, struct piece *p, enum soft_access access, unsigned mmu)
{
	struct cv_memory *m = c->host.mem;
	struct soft_walk w;
	int64_t page;

	c->tlb_misses++;
	if (!soft_page_walk(c, p->la, access, mmu == SOFT_MMU_ALIGN ? SOFT_MMU_USER : mmu, false, &w))
		return raise_page_fault(c, i, p->la, w.error);
	if (c->wrote && access == SOFT_WRITE)
		cv_page_filter_add(c->wrote, p->la);
	p->gpa = w.gpa;
	page = cv_memory_gpa_to_page(m, w.gpa);
	if (page < 0) {
		p->host = NULL;
		return true;
	}
	p->page = (uint32_t)page;
	p->host = m->ram + ((uint64_t)page << CV_PAGE_SHIFT) + (w.gpa & (CV_PAGE_SIZE - 1));
	if (access == SOFT_WRITE)
		cv_memory_mark_dirty(m, p->page);
	tlb_install(c, p, mmu, &w);
	return true;
}

/* --- Pieces --- */

/* What the piece asks for that only an instruction running alone may do. */
static bool needs_alone(struct soft_cpu *c, const struct piece *p, bool write)
{
	struct cv_watch hit;

	if (!p->host || (write && meets_entry(c, p)))
		return true;
	if (write && c->host.mem->flags[p->page] & CV_PAGE_CODE &&
	    soft_blocks_touched(c, p->page, p->gpa & (CV_PAGE_SIZE - 1), p->n))
		return true;
	return (c->nwatches && soft_watch_match(c, p->la, p->n, write, &hit)) ||
	       (c->dr_data && soft_debug_data(c, p->la, p->n, write));
}

/* Before either page's entry is marked dirty or accessed. */
static bool both_allowed(struct soft_cpu *c, const struct cv_insn *i, const struct piece p[2], enum soft_access access, unsigned mmu)
{
	struct soft_walk w;

	for (unsigned k = 0; k < 2; k++)
		if (!soft_page_walk(c, p[k].la, access, mmu == SOFT_MMU_ALIGN ? SOFT_MMU_USER : mmu, true, &w))
			return raise_page_fault(c, i, p[k].la, w.error);
	return true;
}

/* Cuts [la, la+n) at page edges and examines each piece; returns how many, 0 if a fault or restart was raised. */
static unsigned cut(struct soft_cpu *c, const struct cv_insn *i, uint64_t la, unsigned n, enum soft_access access,
		    unsigned mmu, struct piece p[2])
{
	unsigned room = CV_PAGE_SIZE - (unsigned)(la & (CV_PAGE_SIZE - 1));
	unsigned pieces = n > room ? 2 : 1;

	p[0].la = la;
	p[0].n = n > room ? room : n;
	/* Tables and inner stacks lie above 4 GiB in long mode, whatever the code's size. */
	p[1].la = c->mode == 64 || la >> 32 ? la + room : (uint32_t)(la + room);
	p[1].n = n - p[0].n;
	/* Before any page fault, as processors do it, whatever SDM 3A table 6-2 seems to say. */
	if (mmu == SOFT_MMU_ALIGN && misaligned(la, n)) {
		soft_raise_error(c, i, EXC_AC, 0);
		return 0;
	}
	if (pieces == 2 && !both_allowed(c, i, p, access, mmu))
		return 0;
	for (unsigned k = 0; k < pieces; k++)
		if (!translate(c, i, &p[k], access, mmu))
			return 0;
	if (c->single || !i)
		return pieces;
	for (unsigned k = 0; k < pieces; k++) {
		if (needs_alone(c, &p[k], access == SOFT_WRITE)) {
			soft_raise(c, i, SOFT_RESTART);
			return 0;
		}
	}
	return pieces;
}

static unsigned mmio_size(uint64_t gpa, unsigned n)
{
	unsigned size = n >= 8 ? 8 : n >= 4 ? 4 : n >= 2 ? 2 : 1;

	(void)gpa;
	return size;
}

static void note_watch(struct soft_cpu *c, const struct piece *p, bool write)
{
	struct cv_watch hit;

	if (c->nwatches && !c->watch_hit.len && soft_watch_match(c, p->la, p->n, write, &hit))
		c->watch_hit = hit;
	if (c->dr_data)
		c->s.pending_db |= soft_debug_data(c, p->la, p->n, write);
}

static void read_piece(struct soft_cpu *c, const struct piece *p, uint8_t *out)
{
	note_watch(c, p, false);
	if (p->host) {
		memcpy(out, p->host, p->n);
		return;
	}
	for (unsigned k = 0, size; k < p->n; k += size) {
		size = mmio_size(p->gpa + k, p->n - k);
		uint64_t v = cv_bus_mmio_read(c->host.bus, p->gpa + k, size);

		memcpy(out + k, &v, size);
	}
}

static void write_piece(struct soft_cpu *c, const struct piece *p, const uint8_t *in)
{
	uint32_t off = p->gpa & (CV_PAGE_SIZE - 1);

	note_watch(c, p, true);
	if (p->host) {
		bool forget = meets_entry(c, p) && memcmp(p->host, in, p->n);

		memcpy(p->host, in, p->n);
		if (forget)
			soft_tlb_flush(c);
		if (c->host.mem->flags[p->page] & CV_PAGE_CODE && soft_blocks_touched(c, p->page, off, p->n))
			soft_blocks_drop_page(c, p->page);
		return;
	}
	for (unsigned k = 0, size; k < p->n; k += size) {
		uint64_t v = 0;

		size = mmio_size(p->gpa + k, p->n - k);
		memcpy(&v, in + k, size);
		cv_bus_mmio_write(c->host.bus, p->gpa + k, size, v);
	}
}

static bool load_linear(struct soft_cpu *c, const struct cv_insn *i, uint64_t la, void *out, unsigned n, unsigned mmu)
{
	struct piece p[2];
	unsigned pieces = cut(c, i, la, n, SOFT_READ, mmu, p);
	uint8_t *o = out;

	for (unsigned k = 0; k < pieces; o += p[k].n, k++)
		read_piece(c, &p[k], o);
	return pieces > 0;
}

static bool store_linear(struct soft_cpu *c, const struct cv_insn *i, uint64_t la, const void *in, unsigned n, unsigned mmu)
{
	struct piece p[2];
	unsigned pieces = cut(c, i, la, n, SOFT_WRITE, mmu, p);
	const uint8_t *s = in;

	for (unsigned k = 0; k < pieces; s += p[k].n, k++)
		write_piece(c, &p[k], s);
	return pieces > 0;
}

/* --- For the inlined fast path --- */

static bool slow_canonical(struct soft_cpu *c, const struct cv_insn *i, uint64_t la, unsigned seg, unsigned n)
{
	return c->mode != 64 || whole_canonical(c, i, la, n, seg);
}

bool soft_slow_load(struct soft_cpu *c, const struct cv_insn *i, uint64_t la, unsigned seg, unsigned n)
{
	uint64_t v = 0;

	if (!slow_canonical(c, i, la, seg, n) || !load_linear(c, i, la, &v, n, c->mmu))
		return false;
	c->ld = v;
	return true;
}

bool soft_slow_store(struct soft_cpu *c, const struct cv_insn *i, uint64_t la, unsigned seg, uint64_t v, unsigned n)
{
	return slow_canonical(c, i, la, seg, n) && store_linear(c, i, la, &v, n, c->mmu);
}

bool soft_slow_modify(struct soft_cpu *c, const struct cv_insn *i, uint64_t la, unsigned seg, unsigned n)
{
	struct piece p[2];

	return slow_canonical(c, i, la, seg, n) && cut(c, i, la, n, SOFT_WRITE, c->mmu, p) > 0 &&
	       soft_slow_load(c, i, la, seg, n);
}

/* --- The general functions of soft.h --- */

bool soft_load(struct soft_cpu *c, const struct cv_insn *i, unsigned seg, uint64_t off, void *p, unsigned n)
{
	uint64_t la;
	const uint8_t *h;

	if (!soft_linear(c, i, seg, off, n, SOFT_READ, &la))
		return false;
	c->tlb_now = c->tlb[c->mmu];
	h = soft_tlb_read(c, la, n);
	if (h) {
		memcpy(p, h, n);
		return true;
	}
	return load_linear(c, i, la, p, n, c->mmu);
}

bool soft_store(struct soft_cpu *c, const struct cv_insn *i, unsigned seg, uint64_t off, const void *p, unsigned n)
{
	uint64_t la;
	uint8_t *h;

	if (!soft_linear(c, i, seg, off, n, SOFT_WRITE, &la))
		return false;
	c->tlb_now = c->tlb[c->mmu];
	h = soft_tlb_write(c, la, n);
	if (h) {
		memcpy(h, p, n);
		return true;
	}
	return store_linear(c, i, la, p, n, c->mmu);
}

bool soft_probe_store(struct soft_cpu *c, const struct cv_insn *i, unsigned seg, uint64_t off, unsigned n)
{
	struct piece p[2];
	uint64_t la;

	if (!soft_linear(c, i, seg, off, n, SOFT_WRITE, &la))
		return false;
	c->tlb_now = c->tlb[c->mmu];
	return soft_tlb_write(c, la, n) || cut(c, i, la, n, SOFT_WRITE, c->mmu, p) > 0;
}

bool soft_probe_load(struct soft_cpu *c, const struct cv_insn *i, unsigned seg, uint64_t off, unsigned n)
{
	struct piece p[2];
	uint64_t la;

	return soft_linear(c, i, seg, off, n, SOFT_READ, &la) && cut(c, i, la, n, SOFT_READ, c->mmu, p) > 0;
}

#define DEFINE_SIZE(bits) \
bool soft_load##bits(struct soft_cpu *c, const struct cv_insn *i, unsigned seg, uint64_t off, uint##bits##_t *v) \
{ \
	return soft_load(c, i, seg, off, v, bits / 8); \
} \
bool soft_store##bits(struct soft_cpu *c, const struct cv_insn *i, unsigned seg, uint64_t off, uint##bits##_t v) \
{ \
	return soft_store(c, i, seg, off, &v, bits / 8); \
}
DEFINE_SIZE(16)
DEFINE_SIZE(32)
DEFINE_SIZE(64)

bool soft_lin_load(struct soft_cpu *c, const struct cv_insn *i, uint64_t linear, void *p, unsigned n, bool super)
{
	return load_linear(c, i, linear, p, n, super ? SOFT_MMU_SUPER : SOFT_MMU_USER);
}

bool soft_lin_store(struct soft_cpu *c, const struct cv_insn *i, uint64_t linear, const void *p, unsigned n, bool super)
{
	return store_linear(c, i, linear, p, n, super ? SOFT_MMU_SUPER : SOFT_MMU_USER);
}

bool soft_lin_store_as(struct soft_cpu *c, const struct cv_insn *i, uint64_t linear, const void *p, unsigned n, unsigned mmu)
{
	return store_linear(c, i, linear, p, n, mmu);
}
