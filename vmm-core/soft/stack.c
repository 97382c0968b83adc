/* SPDX-License-Identifier: MIT */
/*
 * Stacks of far transfers: frames pushed whole or not at all, and the inner stacks that the TSS names
 * (SDM 3A 5.8.5, 6.12.1, 6.14.4).
 *
 * A frame lies in one piece below the stack pointer, so it is one checked store; only where a 16- or 32-bit pointer
 * wraps in its middle, or to see which element a page fault belongs to, does it go element by element.
 */
#include <string.h>

#include "vmm-core/soft/sys.h"

void sys_stack_current(const struct soft_cpu *c, uint32_t fault, struct soft_stack *st)
{
	*st = (struct soft_stack){
		.ss = c->s.seg[CV_SS],
		.sp = soft_sp(c),
		.sp_size = c->stack_size,
		.cpl = c->cpl,
		.fault = fault,
	};
}

/* Do n bytes at `off` lie within the stack segment? */
static bool within_stack(const struct soft_cpu *c, const struct soft_stack *st, uint64_t off, unsigned n)
{
	const struct cv_seg *s = &st->ss;
	uint64_t last = off + n - 1;

	if (st->sp_size == 8)
		return soft_canonical(c, off) && soft_canonical(c, last);
	if (s->ar & CV_AR_UNUSABLE)
		return false;
	if ((s->ar & 0xc) == 0x4) /* expand-down: valid above the limit */
		return off > s->limit && last <= (s->ar & CV_AR_DB ? UINT32_MAX : 0xffffu);
	return last <= s->limit;
}

static bool store_piece(struct soft_cpu *c, const struct cv_insn *i, const struct soft_stack *st, uint64_t off,
			const void *p, unsigned n)
{
	uint64_t linear = off;

	if (!within_stack(c, st, off, n)) {
		soft_raise_error(c, i, EXC_SS, st->fault);
		return false;
	}
	if (st->sp_size != 8)
		linear = (uint32_t)(st->ss.base + off);
	return st->cpl < 3 && c->cpl < 3 ? soft_lin_store_as(c, i, linear, p, n, c->mmu) :
					   soft_lin_store(c, i, linear, p, n, st->cpl < 3);
}

/* Element by element, in the order of pushing. */
static bool push_singly(struct soft_cpu *c, const struct cv_insn *i, const struct soft_stack *st, const struct soft_frame *f,
			uint64_t sp, const uint8_t *buf)
{
	for (unsigned k = f->n; k-- > 0;)
		if (!store_piece(c, i, st, truncate_to(sp + k * f->size, st->sp_size), buf + k * f->size, f->size))
			return false;
	return true;
}

bool sys_push_frame(struct soft_cpu *c, const struct cv_insn *i, struct soft_stack *st, const struct soft_frame *f)
{
	unsigned total = f->n * f->size;
	uint64_t sp = truncate_to(st->sp - total, st->sp_size);
	bool wraps = st->sp_size < 8 && sp + total > 1ull << (8 * st->sp_size);
	uint8_t buf[SYS_FRAME_MAX * 8];

	for (unsigned k = 0; k < f->n; k++)
		memcpy(buf + (f->n - 1 - k) * f->size, &f->v[k], f->size);
	/* A program's own far call, with alignment checks on: after the stack's limits, before its pages. */
	if (c->mmu == SOFT_MMU_ALIGN && st->cpl == 3 && (wraps || !total || within_stack(c, st, sp, total)) && (sp + (st->sp_size == 8 ? 0 : st->ss.base)) & (f->size - 1)) {
		soft_raise_error(c, i, EXC_AC, 0);
		return false;
	}
	if (wraps ? !push_singly(c, i, st, f, sp, buf) : total && !store_piece(c, i, st, sp, buf, total)) {
		/* A page fault names the element that the CPU pushes first of those that can't be. */
		if (!wraps && c->fault.vector == EXC_PF)
			push_singly(c, i, st, f, sp, buf);
		return false;
	}
	st->sp = sp;
	return true;
}

bool sys_peek_stack(struct soft_cpu *c, const struct cv_insn *i, uint64_t skip, unsigned size, unsigned n,
		    uint64_t *v)
{
	uint64_t sp = truncate_to(c->s.gpr[CV_RSP] + skip, c->stack_size);
	unsigned total = n * size;
	uint8_t buf[SYS_FRAME_MAX * 8];

	if (c->stack_size < 8 && sp + total > 1ull << (8 * c->stack_size)) {
		for (unsigned k = 0; k < n; k++) {
			uint64_t at = truncate_to(sp + k * size, c->stack_size);

			if (!soft_load(c, i, CV_SS, at, buf + k * size, size))
				return false;
		}
	} else if (!soft_load(c, i, CV_SS, sp, buf, total)) {
		return false;
	}
	for (unsigned k = 0; k < n; k++) {
		v[k] = 0;
		memcpy(&v[k], buf + k * size, size);
	}
	return true;
}

/* --- Inner stacks --- */

static bool tss_fault(struct soft_cpu *c, const struct cv_insn *i, uint32_t ext)
{
	soft_raise_error(c, i, EXC_TS, SEL_ERR(c->s.seg[CV_TR].sel) | ext);
	return false;
}

static bool inner_stack_long(struct soft_cpu *c, const struct cv_insn *i, unsigned dpl, unsigned ist, uint32_t ext,
			     struct soft_stack *st)
{
	const struct cv_seg *tr = &c->s.seg[CV_TR];
	uint32_t off = ist ? 36 + 8 * (ist - 1) : 4 + 8 * dpl;

	if (off + 7 > tr->limit)
		return tss_fault(c, i, ext);
	*st = (struct soft_stack){.sp_size = 8, .cpl = dpl, .fault = ext};
	if (!sys_load(c, i, tr->base + off, &st->sp, 8))
		return false;
	sys_null_seg(&st->ss, (uint16_t)dpl, dpl);
	return true;
}

bool sys_inner_stack(struct soft_cpu *c, const struct cv_insn *i, unsigned dpl, unsigned ist, uint32_t ext,
		     struct soft_stack *st)
{
	const struct cv_seg *tr = &c->s.seg[CV_TR];
	bool wide = (tr->ar & CV_AR_TYPE) & 8;
	unsigned size = wide ? 4 : 2;
	uint32_t off = wide ? 4 + 8 * dpl : 2 + 4 * dpl;
	uint8_t raw[6] = {0};
	struct soft_desc d;
	uint32_t sp = 0;
	uint16_t sel;

	if (c->long_mode)
		return inner_stack_long(c, i, dpl, ist, ext, st);
	if (off + size + 1 > tr->limit)
		return tss_fault(c, i, ext);
	if (!sys_load(c, i, (uint32_t)(tr->base + off), raw, size + 2))
		return false;
	memcpy(&sp, raw, size);
	memcpy(&sel, raw + size, 2);
	if (!(sel & 0xfffc)) {
		soft_raise_error(c, i, EXC_TS, ext);
		return false;
	}
	if (!sys_check_stack_desc(c, i, sel, dpl, EXC_TS, ext, &d) || !sys_mark_accessed(c, i, &d))
		return false;
	*st = (struct soft_stack){.sp = sp, .cpl = dpl, .fault = SEL_ERR(sel) | ext};
	sys_seg_from_desc(&st->ss, sel, d.raw);
	st->sp_size = st->ss.ar & CV_AR_DB ? 4 : 2;
	if (st->sp_size == 2)
		st->sp = (uint16_t)st->sp;
	return true;
}
