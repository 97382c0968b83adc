/* SPDX-License-Identifier: MIT */
/*
 * The block cache: finding, decoding and dropping blocks, and preparing their records to run. See block.h.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "vmm-core/soft/block.h"
#include "vmm-core/soft/exec.h"

enum { HASH_BITS = 16, CACHE_BYTES = 48 << 20 };

int soft_blocks_init(struct soft_blocks *bs, uint32_t npages)
{
	memset(bs, 0, sizeof(*bs));
	bs->npages = npages;
	bs->hash = calloc(1u << HASH_BITS, sizeof(*bs->hash));
	bs->pages = calloc(npages, sizeof(*bs->pages));
	if (!bs->hash || !bs->pages) {
		soft_blocks_release(bs);
		return CV_E_NOMEM;
	}
	return 0;
}

void soft_blocks_reap(struct soft_blocks *bs)
{
	while (bs->dead) {
		struct soft_block *b = bs->dead;

		bs->dead = b->pnext;
		free(b);
	}
}

void soft_blocks_release(struct soft_blocks *bs)
{
	soft_blocks_reap(bs);
	for (uint32_t p = 0; bs->pages && p < bs->npages; p++) {
		if (!bs->pages[p])
			continue;
		for (struct soft_block *b = bs->pages[p]->blocks, *next; b; b = next) {
			next = b->pnext;
			free(b);
		}
		free(bs->pages[p]);
	}
	free(bs->hash);
	free(bs->pages);
	memset(bs, 0, sizeof(*bs));
}

static struct soft_block **bucket(struct soft_blocks *bs, uint64_t gpa, uint64_t rip)
{
	uint64_t h = (gpa ^ rip << 7) * 0x9e3779b97f4a7c15ull;

	return &bs->hash[h >> (64 - HASH_BITS)];
}

/* --- Dropping --- */

static void unlink_reaching(struct soft_blocks *bs, const struct soft_block *b)
{
	struct soft_page *p2 = bs->pages[b->page2];

	for (struct soft_block **q = &p2->reaching; *q; q = &(*q)->pnext2) {
		if (*q == b) {
			*q = b->pnext2;
			return;
		}
	}
}

static void forget(struct soft_cpu *c, struct soft_block *b)
{
	struct soft_blocks *bs = soft_blocks_of(c);
	struct soft_jump *j = soft_jump_slot(c, b->rip);
	struct soft_block **q = bucket(bs, b->gpa, b->rip);

	if (j->block == b)
		j->block = &bs->none;
	while (*q != b)
		q = &(*q)->hnext;
	*q = b->hnext;
	if (b->page2 != UINT32_MAX)
		unlink_reaching(bs, b);
	if (c->next == b)
		c->next = NULL;
	if (c->link_from == b)
		c->link_from = NULL;
	bs->bytes -= sizeof(*b) + (b->n + 1) * sizeof(b->insn[0]);
	b->pnext = bs->dead;
	bs->dead = b;
}

void soft_blocks_drop_page(struct soft_cpu *c, uint32_t page)
{
	struct soft_blocks *bs = soft_blocks_of(c);
	struct soft_page *p = bs->pages[page];

	if (!p || !p->granules)
		return;
	bs->dropped++;
	while (p->blocks) {
		struct soft_block *b = p->blocks;

		p->blocks = b->pnext;
		forget(c, b);
	}
	p->granules = 0;
	c->host.mem->flags[page] &= (uint8_t)~CV_PAGE_CODE;
	/* Blocks of other pages go with all of their page: chains within a page never dangle. */
	while (p->reaching)
		soft_blocks_drop_page(c, p->reaching->page);
}

void soft_blocks_drop_all(struct soft_cpu *c)
{
	struct soft_blocks *bs = soft_blocks_of(c);

	for (uint32_t p = 0; p < bs->npages; p++)
		if (bs->pages[p])
			soft_blocks_drop_page(c, p);
}

bool soft_blocks_touched(const struct soft_cpu *c, uint32_t page, uint32_t offset, uint32_t len)
{
	const struct soft_page *p = soft_blocks_of(c)->pages[page];
	uint32_t first = offset >> 7, last = (offset + len - 1) >> 7;

	if (!p || !len)
		return false;
	if (last > 31)
		last = 31;
	return p->granules & (UINT32_MAX << first) & (UINT32_MAX >> (31 - last));
}

/* --- Preparing records --- */

enum {
#define X(name) +1
	INT_OPS = 0
#include "vmm-core/x86/ops_int.def"
	,
	SYS_OPS = INT_OPS
#include "vmm-core/x86/ops_sys.def"
	,
	FP_OPS = SYS_OPS
#include "vmm-core/x86/ops_fp.def"
#include "vmm-core/x86/ops_crypto.def"
#undef X
};

cv_handler *soft_handler_int(const struct cv_insn *i)
{
	switch (i->op) {
	case CV_OP_add: case CV_OP_or: case CV_OP_adc: case CV_OP_sbb: case CV_OP_and: case CV_OP_sub: case CV_OP_xor:
	case CV_OP_cmp: case CV_OP_test:
		return soft_pick_alu(i);
	case CV_OP_inc: case CV_OP_dec: case CV_OP_neg: case CV_OP_not:
		return soft_pick_alu1(i);
	case CV_OP_rol: case CV_OP_ror: case CV_OP_rcl: case CV_OP_rcr: case CV_OP_shl: case CV_OP_shr: case CV_OP_sar:
	case CV_OP_shld: case CV_OP_shrd:
		return soft_pick_shift(i);
	case CV_OP_bt: case CV_OP_bts: case CV_OP_btr: case CV_OP_btc: case CV_OP_bsf: case CV_OP_bsr: case CV_OP_popcnt:
	case CV_OP_bswap:
		return soft_pick_bit(i);
	case CV_OP_mul: case CV_OP_imul: case CV_OP_imul2: case CV_OP_div: case CV_OP_idiv: case CV_OP_aam: case CV_OP_aad:
		return soft_pick_mul(i);
	case CV_OP_mov: case CV_OP_movzx: case CV_OP_movsx: case CV_OP_movsxd: case CV_OP_lea: case CV_OP_cmovcc:
	case CV_OP_setcc:
		return soft_pick_mov(i);
	case CV_OP_xchg: case CV_OP_xadd: case CV_OP_cmpxchg: case CV_OP_cmpxchg8b: case CV_OP_cmpxchg16b:
		return soft_pick_xchg(i);
	case CV_OP_push: case CV_OP_pop: case CV_OP_pusha: case CV_OP_popa: case CV_OP_enter: case CV_OP_leave:
		return soft_pick_stack(i);
	case CV_OP_jcc: case CV_OP_jcxz: case CV_OP_loop: case CV_OP_loope: case CV_OP_loopne: case CV_OP_jmp:
	case CV_OP_jmp_ind: case CV_OP_call: case CV_OP_call_ind: case CV_OP_ret:
		return soft_pick_branch(i);
	case CV_OP_tzcnt: case CV_OP_lzcnt: case CV_OP_andn: case CV_OP_bextr: case CV_OP_blsr: case CV_OP_blsmsk:
	case CV_OP_blsi: case CV_OP_bzhi: case CV_OP_pdep: case CV_OP_pext: case CV_OP_mulx: case CV_OP_rorx: case CV_OP_sarx:
	case CV_OP_shlx: case CV_OP_shrx: case CV_OP_adcx: case CV_OP_adox: case CV_OP_movbe:
		return soft_pick_bmi(i);
	case CV_OP_movs: case CV_OP_cmps: case CV_OP_stos: case CV_OP_lods: case CV_OP_scas:
		return soft_pick_string(i);
	default:
		return i->op <= INT_OPS ? soft_pick_misc(i) : NULL;
	}
}

/* See mem.h. Where no fast form exists the record keeps to soft_ea(). */
static void prepare_address(struct cv_insn *i)
{
	int64_t disp = i->disp;
	bool based = i->seg == CV_FS || i->seg == CV_GS;

	i->flags &= (uint8_t)~CV_INSN_FAST;
	if (i->asize != 8 || i->mod == 3)
		return;
	i->bslot = i->base == CV_NOREG ? SOFT_SLOT(zero) : i->base == CV_REG_RIP ? SOFT_SLOT(block_rip) : i->base;
	i->xslot = i->index == CV_NOREG ? SOFT_SLOT(zero) : i->index;
	if (i->base == CV_REG_RIP)
		disp += i->off + i->len;
	if (based) {
		uint8_t slot = (uint8_t)(i->seg == CV_FS ? SOFT_SLOT(s.seg[CV_FS].base) : SOFT_SLOT(s.seg[CV_GS].base));

		if (i->index == CV_NOREG)
			i->xslot = slot;
		else if (i->base == CV_NOREG)
			i->bslot = slot;
		else
			return;
	}
	if (disp > INT32_MAX) {
		if (based)
			return;
		i->xslot = SOFT_SLOT(two31);
		disp -= 0x80000000ll;
	}
	if (i->index == CV_NOREG)
		i->scale = 0;
	i->fdisp = (int32_t)disp;
	i->flags |= CV_INSN_FAST;
}

void soft_prepare(struct soft_cpu *c, struct cv_insn *i, uint64_t block_rip)
{
	(void)c;
	(void)block_rip;
	prepare_address(i);
	if (i->op <= INT_OPS)
		i->fn = soft_handler_int(i);
	else if (i->op <= SYS_OPS)
		i->fn = soft_handler_sys(i);
	else if (i->op <= FP_OPS)
		i->fn = soft_handler_fp(i);
	else
		i->fn = soft_handler_avx(i);
	if (!i->fn)
		i->fn = soft_h_ud;
}

/* --- Decoding --- */

static uint64_t linear_rip(const struct soft_cpu *c, uint64_t rip)
{
	return c->mode == 64 ? rip : (uint32_t)(c->s.seg[CV_CS].base + rip);
}

static uint64_t next_page(const struct soft_cpu *c, uint64_t linear)
{
	uint64_t next = (linear & SOFT_PAGE_MASK) + CV_PAGE_SIZE;

	return c->mode == 64 ? next : (uint32_t)next;
}

static const uint8_t *ram_at(const struct soft_cpu *c, uint64_t gpa)
{
	int64_t page = cv_memory_gpa_to_page(c->host.mem, gpa);

	return page < 0 ? NULL : c->host.mem->ram + ((uint64_t)page << CV_PAGE_SHIFT) + (gpa & (CV_PAGE_SIZE - 1));
}

/* Decodes p[0..n); what cannot be decoded becomes a record that raises. false: needs more bytes. */
static bool decode_record(struct soft_cpu *c, const uint8_t *p, size_t n, uint64_t off, uint64_t rip, struct cv_insn *i)
{
	enum cv_decode_result r = cv_decode(p, n, c->mode, c->host.model->features, i);

	if (r == CV_DECODE_MORE)
		return false;
	i->off = (uint16_t)off;
	if (r == CV_DECODE_OK) {
		soft_prepare(c, i, rip);
		if (soft_counts_steps(c) && soft_repeats(i))
			i->flags |= CV_INSN_SINGLE;
		return true;
	}
	i->op = CV_OP_none;
	i->flags = CV_INSN_BRANCH;
	i->fn = r == CV_DECODE_UD ? soft_h_ud : soft_h_long;
	if (!i->len)
		i->len = 1;
	return true;
}

static uint8_t fetch_byte(struct soft_cpu *c, uint64_t gpa)
{
	const uint8_t *p = ram_at(c, gpa);

	return p ? *p : (uint8_t)cv_bus_mmio_read(c->host.bus, gpa, 1);
}

bool soft_decode_one(struct soft_cpu *c, struct cv_insn *i)
{
	const struct cv_seg *cs = &c->s.seg[CV_CS];
	uint8_t bytes[15];
	uint64_t gpa = 0;

	for (unsigned n = 0; n < 15; n++) {
		uint64_t rip = c->s.rip + n, linear;

		if (c->mode != 64 && rip > cs->limit) {
			soft_raise_error(c, NULL, EXC_GP, 0);
			return false;
		}
		linear = linear_rip(c, rip);
		if (n == 0 || (linear & (CV_PAGE_SIZE - 1)) == 0) {
			if (!soft_fetch_page(c, linear, &gpa))
				return false;
		} else {
			gpa++;
		}
		bytes[n] = fetch_byte(c, gpa);
		if (decode_record(c, bytes, n + 1, 0, c->s.rip, i))
			return true;
	}
	assert(!"15 bytes decode to something");
	return false;
}

/* --- Building --- */

struct builder {
	struct cv_insn insn[SOFT_BLOCK_MAX + 1];
	unsigned n, bytes;
	uint64_t gpa2;
};

/* Decodes within the page. Leaves n = 0 if the first instruction reaches into the next one. */
static void build_in_page(struct soft_cpu *c, struct builder *w, const uint8_t *p, unsigned room)
{
	while (w->n < SOFT_BLOCK_MAX) {
		struct cv_insn *i = &w->insn[w->n];

		if (w->n && soft_has_break(c, linear_rip(c, c->s.rip + w->bytes)))
			return;
		if (w->bytes >= room || !decode_record(c, p + w->bytes, room - w->bytes, w->bytes, c->s.rip, i))
			return;
		if (i->flags & CV_INSN_SINGLE && w->n)
			return;
		w->n++;
		w->bytes += i->len;
		if (i->flags & (CV_INSN_BRANCH | CV_INSN_SINGLE) ||
		    soft_has_break(c, linear_rip(c, c->s.rip)))
			return;
	}
}

/* The one instruction that lies in two pages. false: a fault was raised, or its second page isn't RAM (gpa2 says). */
static bool build_crossing(struct soft_cpu *c, struct builder *w, const uint8_t *p, unsigned room, uint64_t linear)
{
	uint8_t bytes[15];
	const uint8_t *q;

	w->gpa2 = UINT64_MAX;
	if (!soft_fetch_page(c, next_page(c, linear), &w->gpa2))
		return false;
	q = ram_at(c, w->gpa2);
	if (!q)
		return false;
	memcpy(bytes, p, room);
	memcpy(bytes + room, q, 15 - room);
	decode_record(c, bytes, 15, 0, c->s.rip, &w->insn[0]);
	w->n = 1;
	w->bytes = w->insn[0].len;
	return true;
}

static struct soft_page *page_of(struct soft_blocks *bs, uint32_t page)
{
	if (!bs->pages[page])
		bs->pages[page] = calloc(1, sizeof(*bs->pages[page]));
	return bs->pages[page];
}

/* Stores to the page take the slow path from now on. */
static void protect_page(struct soft_cpu *c, uint32_t page)
{
	uint64_t gpa = cv_memory_page_to_gpa(c->host.mem, page);

	if (c->host.mem->flags[page] & CV_PAGE_CODE)
		return;
	c->host.mem->flags[page] |= CV_PAGE_CODE;
	for (unsigned m = 0; m < SOFT_MMUS; m++)
		for (unsigned k = 0; k < SOFT_TLB_ENTRIES; k++)
			if (c->tlb[m][k].gpa == gpa)
				c->tlb[m][k].wtag = SOFT_TLB_NONE;
}

static void mark_granules(struct soft_page *p, unsigned first_byte, unsigned last_byte)
{
	for (unsigned g = first_byte >> 7; g <= last_byte >> 7; g++)
		p->granules |= 1u << g;
}

static void enlist(struct soft_cpu *c, struct soft_block *b)
{
	struct soft_blocks *bs = soft_blocks_of(c);
	struct soft_page *p = bs->pages[b->page];
	struct soft_block **h = bucket(bs, b->gpa, b->rip);
	unsigned offset = b->gpa & (CV_PAGE_SIZE - 1), last = offset + b->bytes - 1;

	b->hnext = *h;
	*h = b;
	b->pnext = p->blocks;
	p->blocks = b;
	protect_page(c, b->page);
	mark_granules(p, offset, last < CV_PAGE_SIZE ? last : CV_PAGE_SIZE - 1);
	if (b->page2 != UINT32_MAX) {
		struct soft_page *p2 = bs->pages[b->page2];

		protect_page(c, b->page2);
		mark_granules(p2, 0, last - CV_PAGE_SIZE);
		b->pnext2 = p2->reaching;
		p2->reaching = b;
	}
	bs->bytes += sizeof(*b) + (b->n + 1) * sizeof(b->insn[0]);
	bs->decoded++;
}

/*
 * Under a CS limit that code can run over, blocks are of another mode and are not chained: each is looked up, and the limit asked.
 */
static uint8_t block_mode(const struct soft_cpu *c)
{
	uint32_t whole = c->mode == 32 ? UINT32_MAX : 0xffff;

	return c->mode | (c->mode != 64 && c->s.seg[CV_CS].limit < whole ? SOFT_MODE_LIMITED : 0);
}

/* A block of what the builder holds. NULL: no memory. */
static struct soft_block *finish(struct soft_cpu *c, const struct builder *w, uint64_t gpa, uint32_t page, int64_t page2)
{
	struct soft_blocks *bs = soft_blocks_of(c);
	struct soft_block *b = malloc(sizeof(*b) + (w->n + 1) * sizeof(b->insn[0]));
	struct cv_insn *end;

	if (!b || !page_of(bs, page) || (page2 >= 0 && !page_of(bs, (uint32_t)page2))) {
		free(b);
		return NULL;
	}
	memset(b, 0, sizeof(*b));
	b->rip = c->s.rip;
	b->n = w->n;
	b->gpa = gpa;
	b->gpa2 = w->gpa2;
	b->page = page;
	b->page2 = page2 < 0 ? UINT32_MAX : (uint32_t)page2;
	b->bytes = (uint16_t)w->bytes;
	b->mode = block_mode(c);
	memcpy(b->insn, w->insn, w->n * sizeof(b->insn[0]));
	end = &b->insn[w->n];
	memset(end, 0, sizeof(*end));
	end->off = (uint16_t)w->bytes;
	end->fn = soft_h_end;
	b->special = w->insn[0].flags & CV_INSN_SINGLE || soft_has_break(c, linear_rip(c, c->s.rip));
	if (b->special) {
		b->real = b->insn[0].fn;
		b->insn[0].fn = soft_h_special;
	}
	enlist(c, b);
	return b;
}

static struct soft_block *build(struct soft_cpu *c, uint64_t linear, uint64_t gpa, uint32_t page)
{
	const uint8_t *p = ram_at(c, gpa);
	unsigned room = CV_PAGE_SIZE - (unsigned)(gpa & (CV_PAGE_SIZE - 1));
	struct builder w = {.n = 0, .gpa2 = UINT64_MAX};
	int64_t page2 = -1;

	build_in_page(c, &w, p, room);
	if (w.n == 0) {
		if (!build_crossing(c, &w, p, room, linear))
			return NULL;
		page2 = cv_memory_gpa_to_page(c->host.mem, w.gpa2);
	}
	return finish(c, &w, gpa, page, page2);
}

static struct soft_block *lookup(struct soft_cpu *c, uint64_t gpa)
{
	struct soft_block *b = *bucket(soft_blocks_of(c), gpa, c->s.rip);

	while (b && !(b->gpa == gpa && b->rip == c->s.rip && b->mode == block_mode(c)))
		b = b->hnext;
	return b;
}

/* Is the second page still where it was? *b becomes NULL if not, and what is there now must be decoded. */
static bool check_second_page(struct soft_cpu *c, struct soft_block **b, uint64_t linear)
{
	uint64_t gpa2;

	if ((*b)->page2 == UINT32_MAX)
		return true;
	if (!soft_fetch_page(c, next_page(c, linear), &gpa2))
		return false;
	if (gpa2 != (*b)->gpa2) {
		soft_blocks_drop_page(c, (*b)->page);
		*b = NULL;
	}
	return true;
}

struct soft_block *soft_block_get(struct soft_cpu *c)
{
	struct soft_blocks *bs = soft_blocks_of(c);
	uint64_t linear = linear_rip(c, c->s.rip), gpa;
	struct soft_block *b = soft_jump_find(c, c->s.rip);
	struct soft_jump *j;
	int64_t page;

	if (b)
		return b;
	if (!soft_fetch_page(c, linear, &gpa))
		return NULL;
	page = cv_memory_gpa_to_page(c->host.mem, gpa);
	if (page < 0)
		return NULL;
	if (bs->bytes > CACHE_BYTES || soft_no_caching(c))
		soft_blocks_drop_all(c);
	b = lookup(c, gpa);
	if (b && !check_second_page(c, &b, linear))
		return NULL;
	if (!b)
		b = build(c, linear, gpa, (uint32_t)page);
	if (!b)
		return NULL;
	if (c->mode != 64 && c->s.rip + b->bytes - 1 > c->s.seg[CV_CS].limit)
		return NULL;
	if (soft_no_caching(c))
		return b;
	b->ctx = c->ctx;
	j = soft_jump_slot(c, c->s.rip);
	j->rip = c->s.rip;
	j->block = b;
	return b;
}
