/* SPDX-License-Identifier: MIT */
/*
 * The dispatcher: runs blocks, single instructions and deliveries until a stop, and keeps the exact position.
 *
 * Counting. At a boundary insns = limit - budget, where limit is the budget's origin in this run. Entering a block
 * charges it; a fault or restart in its middle gives back what did not retire. An instruction that runs alone has its
 * budget set aside (0 while it runs), which also keeps its end from going on to another block.
 *
 * When interrupts are looked for. What makes one deliverable is either an input applied between two runs or something
 * that a lone instruction did, so looking at the start of a run and after every lone instruction or delivery is
 * exact; `attention` says when. Nothing depends on where blocks begin or end.
 *
 * Steps. Where positions count steps, each iteration of a REP is an instruction in all respects: its shadow, RF, and the
 * breakpoint on it. A REP runs alone then, for as many iterations as the budget has, or for one where another could differ from
 * it in any of these; `insns` is the number of steps. Nobody can see whether it left in between.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xmmintrin.h>

#include "vmm-core/soft/block.h"
#include "vmm-core/soft/flags.h"
#include "vmm-core/soft/mem.h"
#include "vmm-core/soft/steps.h"
#include "vmm-core/soft/sys.h"

enum { FETCH_ENTRIES = 256 };

struct fetch_entry {
	uint64_t tag; /* linear page */
	uint64_t gpa;
	uint32_t ctx; /* 0: none */
};

struct soft_engine {
	struct cv_engine base;
	struct soft_cpu c;
	struct soft_blocks bs;
	struct cv_soft_knobs knobs;
	struct fetch_entry fetch[FETCH_ENTRIES];
	uint64_t *breaks; /* owned */
	size_t nbreaks;
	struct cv_watch *watches; /* owned */
	size_t nwatches;
	struct soft_block *one; /* owned: where instructions run alone, and beginnings of blocks */
	uint64_t limit;
	bool attention;	  /* something may be deliverable */
	bool lone;	  /* an instruction is running alone: the position is settled */
	bool one_step;	  /* counting steps: run one iteration of a REP at a time */
	uint64_t cs_base; /* as ctx was made */
	uint32_t cs_limit;
	uint64_t entered, singles, deliveries;
};

static struct soft_engine *engine_of(struct cv_engine *e)
{
	return (struct soft_engine *)e;
}

/* --- What blocks and memory ask --- */

struct soft_blocks *soft_blocks_of(const struct soft_cpu *c)
{
	return &c->engine->bs;
}

bool soft_no_caching(const struct soft_cpu *c)
{
	return c->engine->knobs.flush_each_block;
}

static bool host_break(const struct soft_engine *e, uint64_t linear)
{
	for (size_t k = 0; k < e->nbreaks; k++)
		if (e->breaks[k] == linear)
			return true;
	return false;
}

bool soft_has_break(const struct soft_cpu *c, uint64_t linear)
{
	return host_break(c->engine, linear) || (c->dr_exec && soft_debug_exec(c, linear));
}

bool soft_watched_page(const struct soft_cpu *c, uint64_t linear)
{
	const struct soft_engine *e = c->engine;

	for (size_t k = 0; k < e->nwatches; k++) {
		const struct cv_watch *w = &e->watches[k];

		if ((linear & SOFT_PAGE_MASK) >= (w->addr & SOFT_PAGE_MASK) &&
		    (linear & SOFT_PAGE_MASK) <= ((w->addr + w->len - 1) & SOFT_PAGE_MASK))
			return true;
	}
	return c->dr_data && soft_debug_page(c, linear & SOFT_PAGE_MASK);
}

bool soft_watch_match(const struct soft_cpu *c, uint64_t la, uint64_t n, bool write, struct cv_watch *hit)
{
	const struct soft_engine *e = c->engine;
	enum cv_watch_type type = write ? CV_WATCH_WRITE : CV_WATCH_READ;

	for (size_t k = 0; k < e->nwatches; k++) {
		const struct cv_watch *w = &e->watches[k];

		if (w->type & type && la < w->addr + w->len && w->addr < la + n) {
			hit->addr = la > w->addr ? la : w->addr;
			hit->len = 1;
			hit->type = type;
			return true;
		}
	}
	return false;
}

bool soft_fetch_page(struct soft_cpu *c, uint64_t linear, uint64_t *gpa)
{
	struct fetch_entry *f = &c->engine->fetch[(linear >> 12) & (FETCH_ENTRIES - 1)];
	struct soft_walk w;

	if (f->tag == (linear & SOFT_PAGE_MASK) && f->ctx == c->ctx) {
		*gpa = f->gpa | (linear & ~SOFT_PAGE_MASK);
		return true;
	}
	if (c->mode == 64 && !soft_canonical(c, linear)) {
		soft_raise_error(c, NULL, EXC_GP, 0);
		return false;
	}
	if (!soft_page_walk(c, linear, SOFT_FETCH, c->cpl == 3 ? SOFT_MMU_USER : SOFT_MMU_SUPER, false, &w)) {
		soft_raise_error(c, NULL, EXC_PF, w.error);
		c->fault.cr2 = linear;
		return false;
	}
	f->tag = linear & SOFT_PAGE_MASK;
	f->gpa = w.gpa & SOFT_PAGE_MASK;
	f->ctx = c->ctx;
	*gpa = w.gpa;
	return true;
}

/* --- Position --- */

/* At a boundary: makes s.pos exact. */
static void settle(struct soft_engine *e)
{
	struct cv_pos *p = &e->c.s.pos;
	uint64_t insns = e->limit - (uint64_t)e->c.budget;

	if (insns != p->insns) {
		p->insns = insns;
		p->sub = 0;
		p->in_rep = false;
		p->rcx = 0;
	}
}

static uint64_t linear_rip(const struct soft_cpu *c)
{
	return c->mode == 64 ? c->s.rip : (uint32_t)(c->s.seg[CV_CS].base + c->s.rip);
}

void soft_retire_to(struct soft_cpu *c, const struct cv_insn *i, uint64_t rip)
{
	(void)i;
	c->s.rip = rip;
}

void soft_retire(struct soft_cpu *c, const struct cv_insn *i)
{
	soft_retire_to(c, i, soft_next_rip(c, i));
}

/* Recomputes what depends on mode and generation, after anything that may have changed them. */
static void update_context(struct soft_engine *e)
{
	struct soft_cpu *c = &e->c;
	const struct cv_seg *cs = &c->s.seg[CV_CS];
	uint32_t mode = c->mode == 64 ? 3 : c->mode == 32 ? 2 : 1;

	if (c->mode != 64 && (cs->base != e->cs_base || cs->limit != e->cs_limit)) {
		e->cs_base = cs->base;
		e->cs_limit = cs->limit;
		c->generation++;
	}
	if (c->generation >> 28) {
		soft_blocks_drop_all(c);
		memset(e->fetch, 0, sizeof(e->fetch));
		c->generation = 0;
	}
	c->ctx = c->generation << 4 | (c->cpl == 3 ? 8u : 0) | mode;
	c->tlb_now = c->tlb[c->mmu];
}

/* --- Running --- */

static void execute(struct soft_cpu *c, const struct soft_block *b)
{
	const struct cv_insn *i = b->insn;

	c->block = b;
	c->block_rip = b->rip;
	do {
		c->resume = NULL;
		i->fn(c, i);
		i = c->resume;
	} while (i);
}

/* A fault or restart in a block: gives back what hasn't retired, and stands at the instruction. */
static void unwind(struct soft_cpu *c)
{
	const struct soft_block *b = c->block;
	uint32_t done = (uint32_t)(c->fault.insn - b->insn);

	c->budget += b->n - done;
	c->s.rip = c->block_rip + c->fault.insn->off;
}

/*
 * Does the instruction that has just run alone end with a single-step trap? TF as it was at its beginning decides, but
 * after SYSCALL and SYSRET as they leave it; software interrupts have cleared it for their handler (SDM 3B 18.3.1.4). With
 * IA32_DEBUGCTL.BTF only a branch that was taken counts (SDM 3B 18.4.3).
 */
static bool steps(const struct soft_cpu *c, const struct cv_insn *i, uint64_t flags)
{
	if (c->s.debugctl & CV_DEBUGCTL_BTF &&
	    (!(i->flags & CV_INSN_BRANCH) || (i->flags & CV_INSN_CONDBR && c->s.rip == soft_next_rip(c, i))))
		return false;
	switch (i->op) {
	case CV_OP_syscall: case CV_OP_sysret:
		return c->s.rflags & CV_FLAG_TF;
	case CV_OP_int: case CV_OP_int3: case CV_OP_int1:
		return false;
	case CV_OP_into:
		return flags & CV_FLAG_TF && !(soft_get_rflags(c) & CV_FLAG_OF);
	default:
		return flags & CV_FLAG_TF;
	}
}

/* What did not retire: a fault, or a REP left midway, which may have trapped after an iteration. */
static void undo(struct soft_cpu *c, uint64_t rip, uint8_t shadow, uint64_t pending, uint64_t rcx)
{
	if (c->rep_left) {
		c->s.rip = rip;
		if (c->s.rflags & CV_FLAG_TF && c->s.gpr[CV_RCX] != rcx)
			c->s.pending_db |= DR6_BS;
		if (!c->s.pending_db && !soft_counts_steps(c))
			c->s.shadow = shadow;
		return;
	}
	if (c->fault.insn) /* a task switch raises in the new task, whose RIP stays */
		c->s.rip = rip;
	c->s.shadow = shadow;
	c->s.pending_db = pending | (c->s.pending_db & DR6_BD);
	if (!c->keep_watch)
		c->watch_hit.len = 0;
}

/*
 * Runs the instruction at s.rip alone, as decoded in *i or, if NULL, decoded afresh. The position is settled on entry.
 * c->fault tells whether it faulted; c->rep_left whether a REP was left midway.
 */
static void run_alone(struct soft_engine *e, const struct cv_insn *i, cv_handler *real)
{
	struct soft_cpu *c = &e->c;
	struct soft_block *one = e->one;
	int64_t budget = c->budget;
	uint8_t shadow = c->s.shadow;
	uint64_t flags = c->s.rflags;
	uint64_t rip = c->s.rip, rcx = c->s.gpr[CV_RCX], pending = c->s.pending_db, left = 0;
	bool retired, rep;

	e->singles++;
	e->attention = true;
	c->single = true;
	c->rep_left = false;
	c->keep_watch = false;
	c->link_from = NULL;
	if (i) {
		one->insn[0] = *i;
		one->insn[0].off = 0;
		soft_prepare(c, &one->insn[0], rip);
		if (i->op == CV_OP_none)
			one->insn[0].fn = real ? real : i->fn;
	} else if (!soft_decode_one(c, &one->insn[0])) {
		c->single = false;
		return;
	}
	memset(&one->insn[1], 0, sizeof(one->insn[1]));
	one->insn[1].off = one->insn[0].len;
	one->insn[1].fn = soft_h_stop;
	one->rip = rip;
	one->n = 1;
	one->chain[0] = one->chain[1] = NULL;
	rep = soft_counts_steps(c) && soft_repeats(&one->insn[0]);
	if (rep) {
		left = soft_iterations_left(c, &one->insn[0]);
		soft_limit_iterations(c, &one->insn[0], e->one_step ? 1 : (uint64_t)budget);
	}
	c->budget = 0;
	c->s.shadow = 0;
	e->lone = true;
	execute(c, one);
	e->lone = false;
	c->single = false;
	c->next = NULL;
	c->link_from = NULL;
	retired = c->fault.vector < 0 && !c->rep_left;
	c->budget = budget - (rep ? soft_count_iterations(c, &one->insn[0], left, retired) : retired);
	if (!retired) {
		undo(c, rip, shadow, pending, rcx);
		return;
	}
	if (flags & CV_FLAG_RF && one->insn[0].op != CV_OP_iret)
		c->s.rflags &= ~(uint64_t)CV_FLAG_RF;
	/* After a load of SS the trap isn't held back but lost (SDM 3A 6.8.3). */
	if (!(c->s.shadow & CV_SHADOW_MOVSS) && steps(c, &one->insn[0], flags))
		c->s.pending_db |= DR6_BS;
}

/* Runs the first n instructions of a block, fewer than it has. */
static void run_beginning(struct soft_engine *e, const struct soft_block *b, uint32_t n)
{
	struct soft_cpu *c = &e->c;
	struct soft_block *one = e->one;

	memcpy(one->insn, b->insn, n * sizeof(one->insn[0]));
	memset(&one->insn[n], 0, sizeof(one->insn[n]));
	one->insn[n].off = b->insn[n].off;
	one->insn[n].fn = soft_h_stop;
	one->rip = b->rip;
	one->n = n;
	one->chain[0] = one->chain[1] = NULL;
	c->budget -= n;
	execute(c, one);
}

/* Delivers through the IDT. false: triple fault. */
static bool deliver(struct soft_engine *e, enum soft_event_type type, int vector, bool has_error, uint32_t error,
		    struct cv_exit *exit)
{
	struct soft_cpu *c = &e->c;
	uint8_t failed = 0;
	bool ok;

	e->deliveries++;
	e->attention = true;
	c->fault.vector = -1;
	c->next = NULL;
	c->link_from = NULL;
	ok = soft_deliver(c, type, vector, has_error, error, c->s.rip, &failed);
	c->fault.vector = -1;
	c->s.pos.in_rep = false;
	c->s.pos.rcx = 0;
	if (!ok) {
		exit->kind = CV_EXIT_SHUTDOWN;
		exit->vector = failed;
		return false;
	}
	c->s.shadow = 0;
	return true;
}

static bool deliver_fault(struct soft_engine *e, struct cv_exit *exit)
{
	struct soft_fault f = e->c.fault;

	return deliver(e, SOFT_EV_EXCEPTION, f.vector, f.has_error, f.error, exit);
}

enum attend { ATTEND_NOTHING, ATTEND_DELIVERED, ATTEND_EXIT };

/* Delivers what is deliverable at this boundary, the most urgent first (SDM 3A 6.9). */
static enum attend attend(struct soft_engine *e, struct cv_exit *exit)
{
	struct soft_cpu *c = &e->c;
	struct cv_vcpu_state *s = &c->s;
	const struct cv_engine_host *h = &c->host;
	bool ok;

	if (s->pending_db && !(s->shadow & CV_SHADOW_MOVSS)) {
		s->halted = false;
		ok = deliver(e, SOFT_EV_EXCEPTION, EXC_DB, false, 0, exit);
		return ok ? ATTEND_DELIVERED : ATTEND_EXIT;
	}
	if (s->nmi_pending && !s->nmi_blocked && !s->shadow) {
		s->nmi_pending = false;
		if (h->delivered)
			h->delivered(h->ctx, EXC_NMI);
		ok = deliver(e, SOFT_EV_NMI, EXC_NMI, false, 0, exit);
		return ok ? ATTEND_DELIVERED : ATTEND_EXIT;
	}
	if (s->rflags & CV_FLAG_IF && !s->shadow && h->irqchip && h->irqchip->pending(h->irqchip_dev)) {
		int vector = h->irqchip->acknowledge(h->irqchip_dev);

		if (vector >= 0) {
			if (h->delivered)
				h->delivered(h->ctx, (unsigned)vector);
			ok = deliver(e, SOFT_EV_EXTERNAL, vector, false, 0, exit);
			return ok ? ATTEND_DELIVERED : ATTEND_EXIT;
		}
	}
	if (s->halted) {
		exit->kind = CV_EXIT_HALT;
		return ATTEND_EXIT;
	}
	return ATTEND_NOTHING;
}

/* The guest's own breakpoint on the instruction that comes: a fault before it, after all that attend() delivers. */
static enum attend guest_break(struct soft_engine *e, struct cv_exit *exit)
{
	struct soft_cpu *c = &e->c;
	uint64_t hit = c->dr_exec ? soft_debug_exec(c, linear_rip(c)) : 0;

	if (!hit || c->s.rflags & CV_FLAG_RF || c->s.shadow & CV_SHADOW_MOVSS)
		return ATTEND_NOTHING;
	c->s.pending_db |= hit;
	return deliver(e, SOFT_EV_EXCEPTION, EXC_DB, false, 0, exit) ? ATTEND_DELIVERED : ATTEND_EXIT;
}

static bool at_stop(const struct soft_engine *e, const struct cv_stop *stop)
{
	const struct cv_pos *p = &e->c.s.pos;

	if (p->insns != stop->insns)
		return p->insns > stop->insns;
	if (soft_counts_steps(&e->c))
		return true;
	return !stop->in_rep || (p->in_rep && p->rcx <= stop->rcx);
}

/* One step from a boundary at which nothing is to be delivered: a block or more, or one instruction. */
static void advance(struct soft_engine *e, const struct cv_stop *stop)
{
	struct soft_cpu *c = &e->c;
	struct soft_block *b = c->next;
	bool alone = stop->step || e->knobs.single || c->s.shadow || c->s.rflags & (CV_FLAG_TF | CV_FLAG_RF) ||
		     c->budget <= 0;

	if (soft_counts_steps(c))
		e->one_step = alone || soft_has_break(c, linear_rip(c));
	if (alone) {
		c->rep_stops = stop->in_rep && c->s.pos.insns == stop->insns;
		c->rep_stop = stop->rcx;
		run_alone(e, NULL, NULL);
		c->rep_stops = false;
		return;
	}
	if (!b || b->ctx != c->ctx || b->rip != c->s.rip)
		b = soft_block_get(c);
	c->next = NULL;
	if (!b) {
		if (c->fault.vector < 0)
			run_alone(e, NULL, NULL);
		return;
	}
	if (c->link_from && !soft_no_caching(c))
		soft_link(c->link_from, c->link_which, b);
	c->link_from = NULL;
	if (b->special) {
		run_alone(e, &b->insn[0], b->real);
		return;
	}
	e->entered++;
	if (b->n > c->budget) {
		run_beginning(e, b, (uint32_t)c->budget);
	} else {
		c->budget -= b->n;
		execute(c, b);
	}
	if (c->fault.vector >= 0)
		unwind(c);
}

/* What advance() left in c->fault and c->rep_left. false: exit. */
static bool resolve(struct soft_engine *e, struct cv_exit *exit)
{
	struct soft_cpu *c = &e->c;

	if (c->rep_left) {
		const struct cv_insn *i = &e->one->insn[0];

		c->rep_left = false;
		if (soft_counts_steps(c)) {
			settle(e);
			/* A gather's trap in lieu of its fault. */
			return soft_repeats(i) || deliver(e, SOFT_EV_EXCEPTION, EXC_DB, false, 0, exit);
		}
		c->s.pos.in_rep = true;
		c->s.pos.rcx = soft_iterations_left(c, i);
		return true;
	}
	if (c->fault.vector == SOFT_RESTART) {
		const struct cv_insn i = *c->fault.insn;

		c->fault.vector = -1;
		settle(e);
		run_alone(e, &i, NULL);
		return resolve(e, exit);
	}
	if (c->fault.vector >= 0) {
		settle(e);
		return deliver_fault(e, exit);
	}
	return true;
}

static bool boundary_exit(struct soft_engine *e, const struct cv_stop *stop, bool moved, bool delivered,
			  struct cv_exit *exit)
{
	struct soft_cpu *c = &e->c;

	if (c->watch_hit.len) {
		exit->kind = CV_EXIT_WATCH;
		exit->addr = c->watch_hit.addr;
		exit->type = c->watch_hit.type;
		return true;
	}
	if (at_stop(e, stop) || (moved && stop->step) ||
	    (delivered && (stop->stop_at_delivery || (c->s.pos.sub && c->s.pos.sub % CV_POS_LOOK == 0)))) {
		exit->kind = CV_EXIT_POSITION;
		return true;
	}
	if (c->kicked) {
		exit->kind = CV_EXIT_KICK;
		return true;
	}
	return false;
}

static void run_loop(struct soft_engine *e, const struct cv_stop *stop, struct cv_exit *exit)
{
	struct soft_cpu *c = &e->c;
	bool first = true, moved = false, delivered = false;

	for (;;) {
		uint64_t deliveries = e->deliveries;

		soft_blocks_reap(&e->bs);
		settle(e);
		if (boundary_exit(e, stop, moved, delivered, exit))
			return;
		delivered = false;
		if (e->attention) {
			enum attend a;

			e->attention = false;
			a = attend(e, exit);
			if (a == ATTEND_EXIT)
				return;
			update_context(e);
			if (a == ATTEND_DELIVERED) {
				moved = delivered = true;
				first = false;
				continue;
			}
		}
		if (e->nbreaks && !(first && stop->skip_first_break) && host_break(e, linear_rip(c))) {
			exit->kind = CV_EXIT_BREAK;
			exit->addr = linear_rip(c);
			return;
		}
		first = false;
		moved = true;
		if (c->dr_exec) {
			enum attend a = guest_break(e, exit);

			if (a == ATTEND_EXIT)
				return;
			update_context(e);
			delivered = a == ATTEND_DELIVERED;
			if (delivered)
				continue;
		}
		advance(e, stop);
		if (!resolve(e, exit))
			return;
		delivered = e->deliveries != deliveries;
	}
}

/* Handlers compute on the host's SSE unit with its power-on controls (simd.h), whatever the caller's are. */
static int soft_run(struct cv_engine *base, const struct cv_stop *stop, struct cv_exit *exit, struct cv_error *err)
{
	struct soft_engine *e = engine_of(base);
	struct soft_cpu *c = &e->c;
	uint64_t insns = c->s.pos.insns;
	unsigned callers = _mm_getcsr();

	(void)err;
	memset(exit, 0, sizeof(*exit));
	c->budget = stop->insns <= insns ? 0 : (int64_t)(stop->insns - insns > 1ull << 62 ? 1ull << 62 : stop->insns - insns);
	e->limit = insns + (uint64_t)c->budget;
	e->attention = true;
	c->kicked = false;
	c->watch_hit.len = 0;
	c->fault.vector = -1;
	c->next = NULL;
	c->link_from = NULL;
	_mm_setcsr(0x1f80);
	run_loop(e, stop, exit);
	_mm_setcsr(callers);
	settle(e);
	c->kicked = false;
	c->watch_hit.len = 0;
	return 0;
}

/* --- The rest of the table --- */

static void soft_free(struct cv_engine *base)
{
	struct soft_engine *e = engine_of(base);

	if (!e)
		return;
	soft_blocks_release(&e->bs);
	free(e->breaks);
	free(e->watches);
	free(e->one);
	free(e);
}

static void soft_position(struct cv_engine *base, struct cv_pos *pos)
{
	struct soft_engine *e = engine_of(base);

	*pos = e->c.s.pos;
	if (soft_counts_steps(&e->c))
		pos->branches = 0;
	pos->rip = linear_rip(&e->c);
}

static void soft_get_state(struct cv_engine *base, struct cv_vcpu_state *s)
{
	struct soft_engine *e = engine_of(base);

	*s = e->c.s;
	s->rflags = soft_get_rflags(&e->c);
	soft_position(base, &s->pos);
}

void soft_restate(struct cv_engine *base, const struct cv_vcpu_state *s)
{
	struct soft_engine *e = engine_of(base);
	struct soft_cpu *c = &e->c;

	c->s = *s;
	soft_set_arith(c, s->rflags);
	c->s.rflags = (s->rflags & ~(uint64_t)CV_FLAGS_ARITH) | 2;
	soft_update_mode(c);
	soft_debug_update(c);
	update_context(e);
	c->budget = 0;
	e->limit = s->pos.insns;
}

static void soft_set_state(struct cv_engine *base, const struct cv_vcpu_state *s)
{
	soft_tlb_flush(&engine_of(base)->c);
	soft_restate(base, s);
}

static void soft_kick(struct cv_engine *base)
{
	engine_of(base)->c.kicked = true;
}

static void soft_flush(struct cv_engine *base)
{
	soft_tlb_flush(&engine_of(base)->c);
	update_context(engine_of(base));
}

static void soft_ram_written(struct cv_engine *base, uint32_t page, uint32_t offset, uint32_t len)
{
	struct soft_cpu *c = &engine_of(base)->c;

	if (c->host.mem->flags[page] & CV_PAGE_CODE && soft_blocks_touched(c, page, offset, len))
		soft_blocks_drop_page(c, page);
	if (c->host.mem->flags[page] & CV_PAGE_TABLE)
		soft_tlb_flush(c);
}

static int soft_set_points(struct cv_engine *base, const uint64_t *breaks, size_t nbreaks, const struct cv_watch *watches,
			   size_t nwatches, struct cv_error *err)
{
	struct soft_engine *e = engine_of(base);
	uint64_t *b = malloc((nbreaks + 1) * sizeof(*b));
	struct cv_watch *w = malloc((nwatches + 1) * sizeof(*w));

	if (!b || !w) {
		free(b);
		free(w);
		return cv_error_set(err, CV_E_NOMEM, "no memory for %zu break- and watchpoints", nbreaks + nwatches);
	}
	if (nbreaks)
		memcpy(b, breaks, nbreaks * sizeof(*b));
	if (nwatches)
		memcpy(w, watches, nwatches * sizeof(*w));
	if (nbreaks || e->nbreaks)
		soft_blocks_drop_all(&e->c);
	free(e->breaks);
	free(e->watches);
	e->breaks = b;
	e->nbreaks = nbreaks;
	e->watches = w;
	e->nwatches = nwatches;
	e->c.nwatches = (unsigned)nwatches;
	soft_flush(base);
	return 0;
}

static bool soft_translate(struct cv_engine *base, uint64_t linear, uint64_t *gpa)
{
	struct soft_cpu *c = &engine_of(base)->c;
	struct soft_walk w;

	if (c->mode == 64 && !soft_canonical(c, linear))
		return false;
	if (!soft_page_walk(c, linear, SOFT_READ, SOFT_MMU_SUPER_AC, true, &w))
		return false;
	*gpa = w.gpa;
	return true;
}

static void soft_note_writes(struct cv_engine *base, struct cv_page_filter *f)
{
	engine_of(base)->c.wrote = f;
	soft_flush(base); /* no page is written any more without the TLB being asked */
}

static void soft_set_a20(struct cv_engine *base, bool masked)
{
	struct soft_cpu *c = &engine_of(base)->c;

	if (c->s.a20_masked == masked)
		return;
	c->s.a20_masked = masked;
	soft_tlb_flush(c);
}

static const struct cv_engine_ops soft_ops = {
	.name = "soft",
	.free = soft_free,
	.run = soft_run,
	.get_state = soft_get_state,
	.set_state = soft_set_state,
	.position = soft_position,
	.kick = soft_kick,
	.flush_tlb = soft_flush,
	.ram_written = soft_ram_written,
	.set_points = soft_set_points,
	.translate = soft_translate,
	.note_writes = soft_note_writes,
	.set_a20 = soft_set_a20,
};

struct cv_engine *cv_soft_new(const struct cv_engine_host *host, struct cv_error *err)
{
	struct soft_engine *e = aligned_alloc(64, (sizeof(*e) + 63) & ~(size_t)63);
	struct cv_vcpu_state reset;

	if (e) {
		memset(e, 0, sizeof(*e));
		e->one = calloc(1, sizeof(*e->one) + (SOFT_BLOCK_MAX + 2) * sizeof(e->one->insn[0]));
	}
	if (!e || !e->one || soft_blocks_init(&e->bs, host->mem->pages)) {
		if (e)
			free(e->one);
		free(e);
		cv_error_set(err, CV_E_NOMEM, "no memory for the software engine");
		return NULL;
	}
	e->base.ops = &soft_ops;
	e->c.engine = e;
	e->c.host = *host;
	e->c.two31 = 0x80000000u;
	for (unsigned k = 0; k < SOFT_TLB_ENTRIES; k++)
		e->c.tlb[SOFT_MMU_ALIGN][k].rtag = e->c.tlb[SOFT_MMU_ALIGN][k].wtag = SOFT_TLB_NONE;
	e->c.fault.vector = -1;
	e->one->page = e->one->page2 = UINT32_MAX - 1;
	for (unsigned k = 0; k < SOFT_JUMPS; k++)
		e->c.jump[k].block = &e->bs.none;
	cv_vcpu_reset(&reset);
	soft_set_state(&e->base, &reset);
	return &e->base;
}

void cv_soft_set_knobs(struct cv_engine *base, const struct cv_soft_knobs *k)
{
	struct soft_engine *e = engine_of(base);

	e->knobs = *k;
	e->c.tlb_limit = k->tlb_entries;
	soft_blocks_drop_all(&e->c);
	soft_flush(base);
}

void cv_soft_stats(struct cv_engine *base, char *buf, size_t n)
{
	const struct soft_engine *e = engine_of(base);

	snprintf(buf, n, "blocks decoded %llu, pages dropped %llu, dispatched %llu, alone %llu, delivered %llu, TLB misses %llu, "
		 "cache %zu KiB", (unsigned long long)e->bs.decoded, (unsigned long long)e->bs.dropped,
		 (unsigned long long)e->entered, (unsigned long long)e->singles, (unsigned long long)e->deliveries,
		 (unsigned long long)e->c.tlb_misses, e->bs.bytes >> 10);
}
