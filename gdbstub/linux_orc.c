/* SPDX-License-Identifier: MIT */
/*
 * Linux's ORC tables (Documentation/arch/x86/orc-unwinder.rst; arch/x86/include/asm/orc_types.h), 5.12 and later.
 * .orc_unwind_ip has a word for each range of code, its start relative to the word itself; .orc_unwind the same number of
 * entries:
 *
 *   s16 sp_offset, s16 bp_offset
 *   u8	 sp_reg 3:0, bp_reg 7:4
 *   u8	 type, and flags that are not needed here
 *
 *	    until 6.3 (bits 1:0)	from 6.4 (bits 2:0)
 *   0	    call			undefined
 *   1	    all registers (pt_regs)	end of the stack
 *   2	    an IRET frame		call
 *   3	    -				all registers
 *   4					an IRET frame
 *
 * Most entries of any kernel are calls: the commonest type tells which of the two it is.
 */
#include "gdbstub/linux_orc.h"

#include <stdlib.h>
#include <string.h>

#include "vmm-core/error.h"

#define ENTRY_SIZE 6
#define ENTRIES_MIN 16
#define ENTRIES_MAX (8u << 20)

/* struct pt_regs: offsets of what is read. */
enum { PT_R13 = 16, PT_BP = 32, PT_R10 = 56, PT_DX = 96, PT_DI = 112, PT_IP = 128, PT_SIZE = 168 };
enum { IRET_IP = 0, IRET_CS = 8, IRET_SP = 24, IRET_SIZE = 40 };

static uint64_t le(const uint8_t *p, unsigned size)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)p[i] << 8 * i;
	return v;
}

/* --- The tables --- */

static uint64_t start_of(const struct cv_orc *orc, size_t i)
{
	return orc->ip_base + 4 * (uint64_t)i + (uint64_t)(int64_t)(int32_t)le(orc->ip + 4 * i, 4);
}

static bool is_sorted(const struct cv_orc *orc)
{
	for (size_t i = 1; i < orc->n; i++)
		if (start_of(orc, i) < start_of(orc, i - 1))
			return false;
	return true;
}

static bool has_new_types(const struct cv_orc *orc)
{
	size_t zeros = 0, twos = 0;

	for (size_t i = 0; i < orc->n; i++) {
		unsigned type = orc->entries[ENTRY_SIZE * i + 5] & 3;

		zeros += type == 0;
		twos += type == 2;
	}
	return twos > zeros;
}

/* A copy of [start, start + n) where that lies in the image, else NULL with *r set. */
static uint8_t *copy_part(const uint8_t *image, size_t len, uint64_t base, uint64_t start, size_t n, int *r)
{
	uint8_t *copy;

	*r = CV_E_BADINPUT;
	if (start < base || start - base > len || n > len - (size_t)(start - base))
		return NULL;
	*r = 0;
	copy = malloc(n);
	if (!copy)
		*r = CV_E_NOMEM;
	else
		memcpy(copy, image + (start - base), n);
	return copy;
}

int cv_orc_init(struct cv_orc *orc, const uint8_t *image, size_t len, uint64_t base, uint64_t ip_start, uint64_t ip_end,
		uint64_t entries_start, uint64_t entries_end)
{
	uint64_t n = (ip_end - ip_start) / 4;
	int r;

	memset(orc, 0, sizeof(*orc));
	if (ip_end < ip_start || n < ENTRIES_MIN || n > ENTRIES_MAX || entries_end - entries_start != n * ENTRY_SIZE)
		return CV_E_BADINPUT;
	orc->n = (size_t)n;
	orc->ip_base = ip_start;
	orc->ip = copy_part(image, len, base, ip_start, orc->n * 4, &r);
	if (orc->ip)
		orc->entries = copy_part(image, len, base, entries_start, orc->n * ENTRY_SIZE, &r);
	if (!r && !is_sorted(orc))
		r = CV_E_BADINPUT;
	if (r)
		cv_orc_release(orc);
	else
		orc->new_types = has_new_types(orc);
	return r;
}

void cv_orc_release(struct cv_orc *orc)
{
	free((void *)(uintptr_t)orc->ip);
	free((void *)(uintptr_t)orc->entries);
	memset(orc, 0, sizeof(*orc));
}

static enum cv_orc_kind kind_of(const struct cv_orc *orc, uint8_t sp_reg, uint8_t flags)
{
	static const uint8_t newer[8] = { CV_ORC_KIND_UNDEFINED, CV_ORC_KIND_END, CV_ORC_KIND_CALL, CV_ORC_KIND_REGS,
					  CV_ORC_KIND_IRET, CV_ORC_KIND_UNDEFINED, CV_ORC_KIND_UNDEFINED,
					  CV_ORC_KIND_UNDEFINED };
	static const uint8_t older[4] = { CV_ORC_KIND_CALL, CV_ORC_KIND_REGS, CV_ORC_KIND_IRET, CV_ORC_KIND_UNDEFINED };

	if (orc->new_types)
		return newer[flags & 7];
	if (sp_reg == CV_ORC_REG_UNDEFINED) /* a bit above the type says which; 2 until 6.2, 3 in 6.3 with another meaning of 2 */
		return flags >> 2 & 3 ? CV_ORC_KIND_END : CV_ORC_KIND_UNDEFINED;
	return older[flags & 3];
}

uint64_t cv_orc_get(const struct cv_orc *orc, size_t i, struct cv_orc_entry *e)
{
	const uint8_t *p = orc->entries + ENTRY_SIZE * i;

	e->sp_offset = (int16_t)le(p, 2);
	e->bp_offset = (int16_t)le(p + 2, 2);
	e->sp_reg = p[4] & 15;
	e->bp_reg = p[4] >> 4;
	e->kind = kind_of(orc, e->sp_reg, p[5]);
	return start_of(orc, i);
}

/* The entry of the code at ip: the last that starts at or before it. */
static bool find_entry(const struct cv_orc *orc, uint64_t ip, struct cv_orc_entry *e)
{
	size_t lo = 0, hi = orc->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (start_of(orc, mid) <= ip)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo)
		return false;
	cv_orc_get(orc, lo - 1, e);
	return true;
}

/* --- A step --- */

struct memory {
	size_t (*read)(void *ctx, uint64_t addr, void *p, size_t n);
	void *ctx;
};

static bool read_word(const struct memory *m, uint64_t addr, uint64_t *v)
{
	uint8_t b[8];

	if (m->read(m->ctx, addr, b, sizeof(b)) != sizeof(b))
		return false;
	*v = le(b, 8);
	return true;
}

/* The stack pointer as it was before the call or the exception. */
static bool find_sp(const struct cv_orc_entry *e, const struct cv_orc_frame *f, const struct memory *m, uint64_t *sp)
{
	uint64_t offset = (uint64_t)(int64_t)e->sp_offset;

	switch (e->sp_reg) {
	case CV_ORC_REG_SP:
		*sp = f->sp + offset;
		return true;
	case CV_ORC_REG_BP:
		*sp = f->bp + offset;
		return true;
	case CV_ORC_REG_SP_INDIRECT:
		if (!read_word(m, f->sp, sp))
			return false;
		*sp += offset;
		return true;
	case CV_ORC_REG_BP_INDIRECT:
		return read_word(m, f->bp + offset, sp);
	case CV_ORC_REG_R10:
		*sp = f->r10;
		return f->have_regs;
	case CV_ORC_REG_R13:
		*sp = f->r13;
		return f->have_regs;
	case CV_ORC_REG_DI:
		*sp = f->di;
		return f->have_regs;
	case CV_ORC_REG_DX:
		*sp = f->dx;
		return f->have_regs;
	default:
		return false;
	}
}

static bool take_iret_frame(struct cv_orc_frame *f, const uint8_t *p)
{
	f->ip = le(p + IRET_IP, 8);
	f->sp = le(p + IRET_SP, 8);
	f->user = (p[IRET_CS] & 3) == 3;
	f->exact = true;
	return true;
}

/* ip and sp of the caller; f still holds the callee's bp. */
static bool find_ip(const struct cv_orc_entry *e, struct cv_orc_frame *f, const struct memory *m, uint64_t sp)
{
	uint8_t b[PT_SIZE];

	f->have_regs = false;
	switch (e->kind) {
	case CV_ORC_KIND_CALL:
		f->sp = sp;
		f->exact = false;
		return read_word(m, sp - 8, &f->ip);
	case CV_ORC_KIND_REGS:
		if (m->read(m->ctx, sp, b, PT_SIZE) != PT_SIZE)
			return false;
		f->have_regs = true;
		f->r10 = le(b + PT_R10, 8);
		f->r13 = le(b + PT_R13, 8);
		f->di = le(b + PT_DI, 8);
		f->dx = le(b + PT_DX, 8);
		f->bp = e->bp_reg == CV_ORC_REG_UNDEFINED ? le(b + PT_BP, 8) : f->bp;
		return take_iret_frame(f, b + PT_IP);
	case CV_ORC_KIND_IRET:
		return m->read(m->ctx, sp, b, IRET_SIZE) == IRET_SIZE && take_iret_frame(f, b);
	default:
		return false;
	}
}

static bool find_bp(const struct cv_orc_entry *e, const struct cv_orc_frame *old, struct cv_orc_frame *f, const struct memory *m,
		    uint64_t sp)
{
	uint64_t offset = (uint64_t)(int64_t)e->bp_offset;

	switch (e->bp_reg) {
	case CV_ORC_REG_UNDEFINED:
		return true;
	case CV_ORC_REG_PREV_SP:
		return read_word(m, sp + offset, &f->bp);
	case CV_ORC_REG_BP:
		return read_word(m, old->bp + offset, &f->bp);
	default:
		return false;
	}
}

void cv_orc_begin(struct cv_orc_frame *f, const struct cv_vcpu_state *s)
{
	*f = (struct cv_orc_frame){ .ip = s->rip, .sp = s->gpr[CV_RSP], .bp = s->gpr[CV_RBP],
				    .r10 = s->gpr[CV_R10], .r13 = s->gpr[CV_R13], .di = s->gpr[CV_RDI],
				    .dx = s->gpr[CV_RDX], .have_regs = true, .exact = true,
				    .user = cv_vcpu_cpl(s) == 3 };
}

enum cv_orc_step cv_orc_step(const struct cv_orc *orc, struct cv_orc_frame *f,
			     size_t (*read)(void *ctx, uint64_t addr, void *p, size_t n), void *ctx)
{
	/* A jump to nowhere: its caller is on top of the stack (null_orc_entry in arch/x86/kernel/unwind_orc.c). */
	static const struct cv_orc_entry nowhere = { 8, 0, CV_ORC_REG_SP, CV_ORC_REG_UNDEFINED, CV_ORC_KIND_CALL };
	struct memory m = { read, ctx };
	struct cv_orc_frame up = *f;
	struct cv_orc_entry e;
	uint64_t sp;

	if (f->user)
		return CV_ORC_END;
	if (!f->ip)
		e = nowhere;
	else if (!find_entry(orc, f->exact ? f->ip : f->ip - 1, &e))
		return CV_ORC_UNKNOWN;
	if (e.kind == CV_ORC_KIND_END)
		return CV_ORC_END;
	if (e.kind == CV_ORC_KIND_UNDEFINED)
		return CV_ORC_UNKNOWN;
	if (!find_sp(&e, f, &m, &sp) || !find_ip(&e, &up, &m, sp) || !find_bp(&e, f, &up, &m, sp))
		return CV_ORC_BAD;
	if (up.sp == f->sp && up.ip == f->ip) /* a damaged table that goes round */
		return CV_ORC_BAD;
	*f = up;
	return CV_ORC_CALLER;
}
