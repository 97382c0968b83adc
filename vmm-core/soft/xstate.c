/* SPDX-License-Identifier: MIT */
/*
 * FXSAVE, FXRSTOR, XSAVE, XRSTOR, XGETBV, XSETBV: SDM 1 chapters 10.5 and 13.
 *
 * Images are deterministic: whether a component is in use is told by its contents alone, the bytes between the 80-bit
 * registers are zero, and nothing outside the fields that are defined is written. Which bytes each of XSAVE, XSAVEOPT and XSAVEC writes,
 * and when XRSTOR loads MXCSR, is as current Intel processors do. Registers R0..R7 are stored by stack position, the abridged tag
 * word by register.
 * Relies on the decoder for: the memory operand, rex (REX.W: the 64-bit image).
 */
#include <string.h>

#include "vmm-core/soft/sys.h"

enum { LEGACY_SIZE = 416, LEGACY_SIZE_32 = 288, HEADER = 512, HEADER_SIZE = 64 };
enum { IMAGE_MXCSR = 24, IMAGE_ST = 32, IMAGE_XMM = 160, IMAGE_YMM = 576, IMAGE_SIZE = 832 };
enum { XCR0_X87 = 1, XCR0_SSE = 2, XCR0_AVX = 4 };
#define XCOMP_COMPACTED (1ull << 63)
#define MXCSR_MASK 0xffffu
#define MXCSR_INITIAL 0x1f80u

/* --- The legacy region as bytes --- */

static void put_x87(const struct soft_cpu *c, const struct cv_insn *i, uint8_t *p)
{
	const struct cv_x87 *f = &c->s.x87;
	unsigned top = f->fsw >> 11 & 7;
	uint16_t fop = f->fop & 0x7ff;

	memcpy(p, &f->fcw, 2);
	memcpy(p + 2, &f->fsw, 2);
	p[4] = f->ftw;
	p[5] = 0;
	memcpy(p + 6, &fop, 2);
	memcpy(p + 8, &f->fip, 8);
	memcpy(p + 16, &f->fdp, 8);
	if (!(i->rex & 8)) {
		memset(p + 12, 0, 4); /* FCS and FDS are deprecated: saved as 0 (SDM 1 10.5.1.1) */
		memset(p + 20, 0, 4);
	}
	for (unsigned k = 0; k < 8; k++) {
		unsigned r = (top + k) & 7;

		memcpy(p + IMAGE_ST + 16 * k, &f->mant[r], 8);
		memcpy(p + IMAGE_ST + 16 * k + 8, &f->se[r], 2);
		memset(p + IMAGE_ST + 16 * k + 10, 0, 6);
	}
}

static void get_x87(struct soft_cpu *c, const struct cv_insn *i, const uint8_t *p)
{
	struct cv_x87 *f = &c->s.x87;
	unsigned top;

	memcpy(&f->fcw, p, 2);
	f->fcw = (f->fcw & 0x1f7f) | 0x40;
	memcpy(&f->fsw, p + 2, 2);
	f->ftw = p[4];
	memcpy(&f->fop, p + 6, 2);
	f->fop &= 0x7ff;
	memcpy(&f->fip, p + 8, 8);
	memcpy(&f->fdp, p + 16, 8);
	f->fcs = f->fds = 0;
	if (!(i->rex & 8)) {
		f->fip = (uint32_t)f->fip;
		f->fdp = (uint32_t)f->fdp;
	}
	/* ES and B follow from the exceptions that are not masked. */
	f->fsw &= 0x7f7f;
	if (f->fsw & ~f->fcw & 0x3f)
		f->fsw |= 0x8080;
	top = f->fsw >> 11 & 7;
	for (unsigned k = 0; k < 8; k++) {
		unsigned r = (top + k) & 7;

		memcpy(&f->mant[r], p + IMAGE_ST + 16 * k, 8);
		memcpy(&f->se[r], p + IMAGE_ST + 16 * k + 8, 2);
	}
}

static unsigned xmm_count(const struct soft_cpu *c)
{
	return c->mode == 64 ? 16 : 8;
}

static void put_mxcsr(const struct soft_cpu *c, uint8_t *p)
{
	uint32_t mask = MXCSR_MASK;

	memcpy(p + IMAGE_MXCSR, &c->s.mxcsr, 4);
	memcpy(p + IMAGE_MXCSR + 4, &mask, 4);
}

static void put_xmm(const struct soft_cpu *c, uint8_t *p)
{
	for (unsigned k = 0; k < xmm_count(c); k++)
		memcpy(p + IMAGE_XMM + 16 * k, c->s.ymm[k], 16);
}

static void get_xmm(struct soft_cpu *c, const uint8_t *p)
{
	for (unsigned k = 0; k < xmm_count(c); k++)
		memcpy(c->s.ymm[k], p + IMAGE_XMM + 16 * k, 16);
}

static uint32_t image_mxcsr(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p + IMAGE_MXCSR, 4);
	return v;
}

static unsigned legacy_size(const struct soft_cpu *c)
{
	return c->mode == 64 ? LEGACY_SIZE : LEGACY_SIZE_32;
}

/* --- Checks --- */

/* Offset of the image, aligned as wanted; false: raised. */
static bool image_offset(struct soft_cpu *c, const struct cv_insn *i, unsigned align, unsigned n,
			 enum soft_access access, uint64_t *off)
{
	uint64_t linear;

	*off = soft_ea(c, i);
	/*
	 * In 64-bit mode alignment comes between the first byte's being canonical and the last one's, elsewhere between the segment's
	 * limit and its being writable.
	 */
	if (!soft_linear(c, i, i->seg, *off, c->mode == 64 ? 1 : n, SOFT_READ, &linear))
		return false;
	if (linear & (align - 1)) {
		/* With alignment checks on, processors see accesses of four bytes first. */
		if (c->mmu == SOFT_MMU_ALIGN && (linear & 3))
			soft_raise_error(c, i, EXC_AC, 0);
		else
			raise_gp0(c, i);
		return false;
	}
	return soft_linear(c, i, i->seg, *off, n, access, &linear);
}

/* A part of an image lies within the address size, too. */
static uint64_t part_at(const struct cv_insn *i, uint64_t off, unsigned k)
{
	uint64_t a = off + k;

	return i->asize == 8 ? a : i->asize == 4 ? (uint32_t)a : (uint16_t)a;
}

static bool fx_allowed(struct soft_cpu *c, const struct cv_insn *i)
{
	if (i->mod == 3) {
		raise_ud(c, i);
		return false;
	}
	if (c->s.cr0 & (CV_CR0_EM | CV_CR0_TS)) {
		soft_raise(c, i, EXC_NM);
		return false;
	}
	return true;
}

static bool xsave_allowed(struct soft_cpu *c, const struct cv_insn *i)
{
	if (i->mod == 3 || !(c->s.cr4 & CV_CR4_OSXSAVE)) {
		raise_ud(c, i);
		return false;
	}
	if (c->s.cr0 & CV_CR0_TS) {
		soft_raise(c, i, EXC_NM);
		return false;
	}
	return true;
}

/* --- FXSAVE and FXRSTOR --- */

/* 0F AE /0. */
void sys_op_fxsave(struct soft_cpu *c, const struct cv_insn *i)
{
	uint8_t p[LEGACY_SIZE];
	uint64_t off;

	/* Processors ask for the last byte first: a fault tells. */
	if (!fx_allowed(c, i) || !image_offset(c, i, 16, 512, SOFT_WRITE, &off) || !soft_probe_store(c, i, i->seg, off + 511, 1))
		return;
	put_x87(c, i, p);
	put_mxcsr(c, p);
	put_xmm(c, p);
	if (soft_store(c, i, i->seg, off, p, legacy_size(c)))
		soft_finish(c, i);
}

/* 0F AE /1. */
void sys_op_fxrstor(struct soft_cpu *c, const struct cv_insn *i)
{
	uint8_t p[LEGACY_SIZE];
	uint64_t off;

	if (!fx_allowed(c, i) || !image_offset(c, i, 16, 512, SOFT_READ, &off) ||
	    !soft_probe_load(c, i, i->seg, off + 511, 1) || !soft_load(c, i, i->seg, off, p, legacy_size(c)))
		return;
	if (image_mxcsr(p) & ~MXCSR_MASK) {
		raise_gp0(c, i);
		return;
	}
	get_x87(c, i, p);
	c->s.mxcsr = image_mxcsr(p);
	get_xmm(c, p);
	soft_finish(c, i);
}

/* --- XSAVE and its kin --- */

static uint64_t requested(const struct soft_cpu *c)
{
	return ((uint32_t)c->s.gpr[CV_RAX] | c->s.gpr[CV_RDX] << 32) & c->s.xcr0;
}

static bool x87_is_initial(const struct cv_x87 *f)
{
	uint64_t any = f->fsw | f->ftw | f->fop | f->fip | f->fdp;

	for (unsigned k = 0; k < 8; k++)
		any |= f->mant[k] | f->se[k];
	return f->fcw == 0x37f && !any;
}

/* XINUSE, by contents alone: SDM 1 13.6 lets a processor forget when a component became initial again; this one never does. */
static uint64_t in_use(const struct soft_cpu *c)
{
	uint64_t low = 0, high = 0;

	for (unsigned k = 0; k < xmm_count(c); k++) {
		low |= c->s.ymm[k][0] | c->s.ymm[k][1];
		high |= c->s.ymm[k][2] | c->s.ymm[k][3];
	}
	return (x87_is_initial(&c->s.x87) ? 0 : XCR0_X87) | (low || c->s.mxcsr != MXCSR_INITIAL ? XCR0_SSE : 0) |
	       (high ? XCR0_AVX : 0);
}

static void put_ymm(const struct soft_cpu *c, uint8_t *p)
{
	for (unsigned k = 0; k < xmm_count(c); k++)
		memcpy(p + IMAGE_YMM + 16 * k, &c->s.ymm[k][2], 16);
}

static void get_ymm(struct soft_cpu *c, const uint8_t *p)
{
	for (unsigned k = 0; k < xmm_count(c); k++)
		memcpy(&c->s.ymm[k][2], p + IMAGE_YMM + 16 * k, 16);
}

/* The parts of an image that hold some components: with AVX alone the compacted format has it in the same place. */
struct part {
	unsigned at, n;
};
enum { PARTS_MAX = 5 };

static unsigned parts_of(const struct soft_cpu *c, uint64_t components, bool mxcsr, struct part *part)
{
	unsigned n = 0, registers = 16 * xmm_count(c);

	if (components & XCR0_X87) {
		part[n++] = (struct part){0, IMAGE_MXCSR};
		part[n++] = (struct part){IMAGE_ST, IMAGE_XMM - IMAGE_ST};
	}
	if (mxcsr)
		part[n++] = (struct part){IMAGE_MXCSR, 8};
	if (components & XCR0_SSE)
		part[n++] = (struct part){IMAGE_XMM, registers};
	if (components & XCR0_AVX)
		part[n++] = (struct part){IMAGE_YMM, registers};
	return n;
}

/* Nothing is stored unless everything can be. */
static bool store_parts(struct soft_cpu *c, const struct cv_insn *i, uint64_t off, const uint8_t *p, const struct part *part,
			unsigned n)
{
	for (unsigned k = 0; k < n; k++)
		if (!soft_probe_store(c, i, i->seg, part_at(i, off, part[k].at), part[k].n))
			return false;
	for (unsigned k = 0; k < n; k++)
		if (!soft_store(c, i, i->seg, part_at(i, off, part[k].at), p + part[k].at, part[k].n))
			return false;
	return true;
}

enum save_how { PLAIN, OPTIMIZED, COMPACTED };

/*
 * SDM 1 13.7 (XSAVE), 13.9 (XSAVEOPT), 13.10 (XSAVEC). XSAVE writes every component asked for, the others only those in use. The modified
 * optimisation isn't there. The first two leave the rest of XSTATE_BV as they find it; XSAVEC writes 16 bytes of the header.
 */
static void save(struct soft_cpu *c, const struct cv_insn *i, enum save_how how)
{
	uint64_t rfbm = requested(c), used = in_use(c) & rfbm, written = how == PLAIN ? rfbm : used, off, bv = 0;
	uint64_t format = rfbm | XCOMP_COMPACTED;
	struct part part[PARTS_MAX + 1];
	uint8_t p[IMAGE_SIZE];
	unsigned n;

	if (!xsave_allowed(c, i) || !image_offset(c, i, 64, HEADER + HEADER_SIZE, SOFT_WRITE, &off))
		return;
	/* What processors ask for first: the header, to be written; XSAVEC its last byte. */
	if (how == COMPACTED ? !soft_probe_store(c, i, i->seg, part_at(i, off, HEADER + HEADER_SIZE - 1), 1) :
			       !soft_probe_store(c, i, i->seg, part_at(i, off, HEADER), 8) || !soft_load64(c, i, i->seg, part_at(i, off, HEADER), &bv))
		return;
	bv = (bv & ~rfbm) | used;
	put_x87(c, i, p);
	put_mxcsr(c, p);
	put_xmm(c, p);
	put_ymm(c, p);
	memcpy(p + HEADER, &bv, 8);
	memcpy(p + HEADER + 8, &format, 8);
	n = parts_of(c, written, how == COMPACTED ? written & XCR0_SSE : rfbm & (XCR0_SSE | XCR0_AVX), part);
	part[n++] = (struct part){HEADER, how == COMPACTED ? 16 : 8};
	if (store_parts(c, i, off, p, part, n))
		soft_finish(c, i);
}

/* 0F AE /4. */
void sys_op_xsave(struct soft_cpu *c, const struct cv_insn *i)
{
	save(c, i, PLAIN);
}
/* 0F AE /6. */
void sys_op_xsaveopt(struct soft_cpu *c, const struct cv_insn *i)
{
	save(c, i, OPTIMIZED);
}
/* 0F C7 /4. */
void sys_op_xsavec(struct soft_cpu *c, const struct cv_insn *i)
{
	save(c, i, COMPACTED);
}

/* Initial configurations: SDM 1 13.6. */
static void init_components(struct soft_cpu *c, uint64_t components)
{
	if (components & XCR0_X87)
		c->s.x87 = (struct cv_x87){.fcw = 0x37f};
	for (unsigned k = 0; k < xmm_count(c); k++) {
		if (components & XCR0_SSE)
			c->s.ymm[k][0] = c->s.ymm[k][1] = 0;
		if (components & XCR0_AVX)
			c->s.ymm[k][2] = c->s.ymm[k][3] = 0;
	}
}

static bool all_zero(const uint8_t *p, unsigned n)
{
	uint8_t any = 0;

	while (n--)
		any |= *p++;
	return !any;
}

/* SDM 1 13.8.1 and 13.8.2: what a header may hold. */
static bool header_ok(const struct soft_cpu *c, const uint8_t *h, uint64_t bv, uint64_t format)
{
	if (!(format & XCOMP_COMPACTED))
		return !(bv & ~c->s.xcr0) && all_zero(h + 8, 16);
	if (!(c->host.model->features & CV_HAS(xsavec)))
		return false;
	format &= ~XCOMP_COMPACTED;
	return !(format & ~c->s.xcr0) && !(bv & ~format) && all_zero(h + 16, HEADER_SIZE - 16);
}

/* 0F AE /5. In the standard format MXCSR is no part of a component; in the compacted one it belongs to SSE. */
void sys_op_xrstor(struct soft_cpu *c, const struct cv_insn *i)
{
	uint64_t rfbm = requested(c), off, bv, format, loaded;
	uint8_t p[IMAGE_SIZE];
	struct part part[PARTS_MAX];
	bool mxcsr;
	unsigned n;

	/* Of the header, XCOMP_BV is read first: a fault tells. */
	if (!xsave_allowed(c, i) || !image_offset(c, i, 64, HEADER + HEADER_SIZE, SOFT_READ, &off) ||
	    !soft_probe_load(c, i, i->seg, part_at(i, off, HEADER + 8), 8) ||
	    !soft_load(c, i, i->seg, part_at(i, off, HEADER), p + HEADER, HEADER_SIZE))
		return;
	memcpy(&bv, p + HEADER, 8);
	memcpy(&format, p + HEADER + 8, 8);
	if (!header_ok(c, p + HEADER, bv, format)) {
		raise_gp0(c, i);
		return;
	}
	loaded = rfbm & bv;
	mxcsr = format & XCOMP_COMPACTED ? loaded & XCR0_SSE : rfbm & (XCR0_SSE | XCR0_AVX);
	n = parts_of(c, loaded, mxcsr, part);
	for (unsigned k = 0; k < n; k++)
		if (!soft_load(c, i, i->seg, part_at(i, off, part[k].at), p + part[k].at, part[k].n))
			return;
	if (mxcsr && (image_mxcsr(p) & ~MXCSR_MASK)) {
		raise_gp0(c, i);
		return;
	}
	init_components(c, rfbm & ~bv);
	if (mxcsr)
		c->s.mxcsr = image_mxcsr(p);
	else if (rfbm & XCR0_SSE)
		c->s.mxcsr = MXCSR_INITIAL;
	if (loaded & XCR0_X87)
		get_x87(c, i, p);
	if (loaded & XCR0_SSE)
		get_xmm(c, p);
	if (loaded & XCR0_AVX)
		get_ymm(c, p);
	soft_finish(c, i);
}

/* --- XCR0 --- */

/* 0F 01 D0. */
void sys_op_xgetbv(struct soft_cpu *c, const struct cv_insn *i)
{
	uint64_t v;

	if (!(c->s.cr4 & CV_CR4_OSXSAVE)) {
		raise_ud(c, i);
		return;
	}
	switch ((uint32_t)c->s.gpr[CV_RCX]) {
	case 0:
		v = c->s.xcr0;
		break;
	case 1:
		v = c->s.xcr0 & in_use(c);
		if (c->host.model->features & CV_HAS(xgetbv1))
			break;
		/* fall through */
	default:
		raise_gp0(c, i);
		return;
	}
	c->s.gpr[CV_RAX] = (uint32_t)v;
	c->s.gpr[CV_RDX] = v >> 32;
	soft_finish(c, i);
}

/* 0F 01 D1. */
void sys_op_xsetbv(struct soft_cpu *c, const struct cv_insn *i)
{
	uint64_t v = (uint32_t)c->s.gpr[CV_RAX] | c->s.gpr[CV_RDX] << 32;

	if (!(c->s.cr4 & CV_CR4_OSXSAVE)) {
		raise_ud(c, i);
		return;
	}
	if (c->cpl || (uint32_t)c->s.gpr[CV_RCX] || (v & ~c->host.model->xcr0_mask) || !(v & XCR0_X87) ||
	    (v & (XCR0_SSE | XCR0_AVX)) == XCR0_AVX) {
		raise_gp0(c, i);
		return;
	}
	c->s.xcr0 = v;
	soft_update_mode(c);
	soft_finish(c, i);
}
