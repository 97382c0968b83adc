/* SPDX-License-Identifier: MIT */
/*
 * FXSAVE, FXRSTOR, XSAVE, XRSTOR, XGETBV, XSETBV: SDM 1 chapters 10.5 and 13.
 *
 * Images are deterministic: both components always count as in use (XINUSE = 3), the bytes between the 80-bit registers
 * are zero, and nothing outside the fields that are defined is written. XSAVE writes the standard format; there is no
 * init or modified optimisation. Registers R0..R7 are stored by stack position, the abridged tag word by register.
 * Relies on the decoder for: the memory operand, rex (REX.W: the 64-bit image).
 */
#include <string.h>

#include "vmm-core/soft/sys.h"

enum { LEGACY_SIZE = 416, LEGACY_SIZE_32 = 288, HEADER = 512, HEADER_SIZE = 64 };
enum { IMAGE_MXCSR = 24, IMAGE_ST = 32, IMAGE_XMM = 160 };
enum { XCR0_X87 = 1, XCR0_SSE = 2 };
#define MXCSR_MASK 0xffffu

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
	if (!soft_linear(c, i, i->seg, *off, n, access, &linear))
		return false;
	if (linear & (align - 1)) {
		raise_gp0(c, i);
		return false;
	}
	return true;
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

	if (!fx_allowed(c, i) || !image_offset(c, i, 16, 512, SOFT_WRITE, &off))
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
	    !soft_load(c, i, i->seg, off, p, legacy_size(c)))
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

/* --- XSAVE and XRSTOR --- */

static uint64_t requested(const struct soft_cpu *c)
{
	return ((uint32_t)c->s.gpr[CV_RAX] | c->s.gpr[CV_RDX] << 32) & c->s.xcr0;
}

/* Stores the legacy fields of the components in rfbm. */
static bool store_legacy(struct soft_cpu *c, const struct cv_insn *i, uint64_t off, uint64_t rfbm)
{
	uint8_t p[LEGACY_SIZE];
	unsigned n = legacy_size(c);

	put_x87(c, i, p);
	put_mxcsr(c, p);
	put_xmm(c, p);
	if (rfbm == (XCR0_X87 | XCR0_SSE))
		return soft_store(c, i, i->seg, off, p, n);
	if (rfbm == XCR0_X87)
		return soft_store(c, i, i->seg, off, p, IMAGE_MXCSR) &&
		       soft_store(c, i, i->seg, off + IMAGE_ST, p + IMAGE_ST, IMAGE_XMM - IMAGE_ST);
	return soft_store(c, i, i->seg, off + IMAGE_MXCSR, p + IMAGE_MXCSR, 8) &&
	       soft_store(c, i, i->seg, off + IMAGE_XMM, p + IMAGE_XMM, n - IMAGE_XMM);
}

/* 0F AE /4: SDM 1 13.7. */
void sys_op_xsave(struct soft_cpu *c, const struct cv_insn *i)
{
	uint64_t rfbm = requested(c), off, bv;

	if (!xsave_allowed(c, i) || !image_offset(c, i, 64, HEADER + HEADER_SIZE, SOFT_WRITE, &off))
		return;
	if (!soft_load64(c, i, i->seg, off + HEADER, &bv) || !soft_probe_store(c, i, i->seg, off + HEADER, 8))
		return;
	if (rfbm && !store_legacy(c, i, off, rfbm))
		return;
	bv = (bv & ~rfbm) | rfbm;
	if (soft_store64(c, i, i->seg, off + HEADER, bv))
		soft_finish(c, i);
}

/* Initial configurations: SDM 1 13.6. */
static void init_x87(struct soft_cpu *c)
{
	c->s.x87 = (struct cv_x87){.fcw = 0x37f};
}

static void init_xmm(struct soft_cpu *c)
{
	for (unsigned k = 0; k < xmm_count(c); k++)
		c->s.ymm[k][0] = c->s.ymm[k][1] = 0;
}

/* 0F AE /5: SDM 1 13.8. */
void sys_op_xrstor(struct soft_cpu *c, const struct cv_insn *i)
{
	uint8_t p[HEADER + HEADER_SIZE];
	uint64_t rfbm = requested(c), off, bv, zero[2];

	if (!xsave_allowed(c, i) || !image_offset(c, i, 64, sizeof(p), SOFT_READ, &off) ||
	    !soft_load(c, i, i->seg, off, p, sizeof(p)))
		return;
	memcpy(&bv, p + HEADER, 8);
	memcpy(zero, p + HEADER + 8, 16);
	/* The compacted form is not there; the first 16 bytes after XSTATE_BV are zero. */
	if (zero[0] || zero[1] || (bv & ~c->s.xcr0) || ((rfbm & XCR0_SSE) && (image_mxcsr(p) & ~MXCSR_MASK))) {
		raise_gp0(c, i);
		return;
	}
	if (rfbm & XCR0_X87) {
		if (bv & XCR0_X87)
			get_x87(c, i, p);
		else
			init_x87(c);
	}
	if (rfbm & XCR0_SSE) {
		c->s.mxcsr = image_mxcsr(p);
		if (bv & XCR0_SSE)
			get_xmm(c, p);
		else
			init_xmm(c);
	}
	soft_finish(c, i);
}

/* --- XCR0 --- */

/* 0F 01 D0. */
void sys_op_xgetbv(struct soft_cpu *c, const struct cv_insn *i)
{
	if (!(c->s.cr4 & CV_CR4_OSXSAVE)) {
		raise_ud(c, i);
		return;
	}
	if ((uint32_t)c->s.gpr[CV_RCX]) {
		raise_gp0(c, i);
		return;
	}
	c->s.gpr[CV_RAX] = (uint32_t)c->s.xcr0;
	c->s.gpr[CV_RDX] = c->s.xcr0 >> 32;
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
	if (c->cpl || (uint32_t)c->s.gpr[CV_RCX] || (v & ~c->host.model->xcr0_mask) || !(v & XCR0_X87)) {
		raise_gp0(c, i);
		return;
	}
	c->s.xcr0 = v;
	soft_update_mode(c);
	soft_finish(c, i);
}
