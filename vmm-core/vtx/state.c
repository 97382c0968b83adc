/* SPDX-License-Identifier: MIT */
/*
 * The architectural state, to and from the module's form.
 *
 * Canonical where VT-x leaves bits undefined: an unusable segment has limit 0, no rights but SS's DPL, and a base only where it is FS or GS,
 * which is what the software engine makes of a null selector. XSAVE components in their initial state are not marked in
 * XSTATE_BV: what is in use is told by contents alone, so the guest's own XSAVE sees the same after any transfer.
 */
#include <string.h>

#include "vmm-core/vtx/internal.h"
#include "vmm-core/x86/cpuid.h"

enum { INTR_STI = 1, INTR_MOVSS = 2, INTR_NMI = 8 };
enum { XS_FCW = 0, XS_FSW = 2, XS_FTW = 4, XS_FOP = 6, XS_FIP = 8, XS_FDP = 16, XS_MXCSR = 24, XS_ST = 32, XS_XMM = 160, XS_BV = 512,
       XS_YMM = 576 };
enum { BV_X87 = 1, BV_SSE = 2, BV_AVX = 4 };
#define FCW_INITIAL 0x37f

/* --- FPU and vectors --- */

static bool x87_initial(const struct cv_x87 *f)
{
	uint64_t any = f->fop | f->fip | f->fdp;

	for (unsigned k = 0; k < 8; k++)
		any |= f->mant[k] | f->se[k];
	return !any && f->fcw == FCW_INITIAL && !f->fsw && !f->ftw;
}

static void put_x87(const struct cv_x87 *f, uint8_t *p)
{
	unsigned top = f->fsw >> 11 & 7;

	memcpy(p + XS_FCW, &f->fcw, 2);
	memcpy(p + XS_FSW, &f->fsw, 2);
	p[XS_FTW] = f->ftw;
	memcpy(p + XS_FOP, &f->fop, 2);
	memcpy(p + XS_FIP, &f->fip, 8);
	memcpy(p + XS_FDP, &f->fdp, 8);
	for (unsigned k = 0; k < 8; k++) {
		memcpy(p + XS_ST + 16 * k, &f->mant[(top + k) & 7], 8);
		memcpy(p + XS_ST + 16 * k + 8, &f->se[(top + k) & 7], 2);
	}
}

static void get_x87(const uint8_t *p, struct cv_x87 *f)
{
	unsigned top;

	memcpy(&f->fcw, p + XS_FCW, 2);
	memcpy(&f->fsw, p + XS_FSW, 2);
	f->ftw = p[XS_FTW];
	memcpy(&f->fop, p + XS_FOP, 2);
	f->fop &= 0x7ff;
	memcpy(&f->fip, p + XS_FIP, 8);
	memcpy(&f->fdp, p + XS_FDP, 8);
	f->fcs = f->fds = 0;
	top = f->fsw >> 11 & 7;
	for (unsigned k = 0; k < 8; k++) {
		memcpy(&f->mant[(top + k) & 7], p + XS_ST + 16 * k, 8);
		memcpy(&f->se[(top + k) & 7], p + XS_ST + 16 * k + 8, 2);
	}
}

static bool any_words(const struct cv_vcpu_state *s, unsigned first)
{
	uint64_t any = 0;

	for (unsigned k = 0; k < 16; k++)
		any |= s->ymm[k][first] | s->ymm[k][first + 1];
	return any;
}

static void put_xsave(const struct cv_vcpu_state *s, uint8_t *p)
{
	uint64_t bv = 0;

	if (!x87_initial(&s->x87))
		bv |= BV_X87;
	if (any_words(s, 0))
		bv |= BV_SSE;
	if (any_words(s, 2))
		bv |= BV_AVX;
	put_x87(&s->x87, p);
	memcpy(p + XS_MXCSR, &s->mxcsr, 4);
	for (unsigned k = 0; k < 16; k++) {
		memcpy(p + XS_XMM + 16 * k, s->ymm[k], 16);
		memcpy(p + XS_YMM + 16 * k, s->ymm[k] + 2, 16);
	}
	memcpy(p + XS_BV, &bv, 8);
}

static void get_xsave(const uint8_t *p, struct cv_vcpu_state *s)
{
	uint64_t bv;

	memcpy(&bv, p + XS_BV, 8);
	memset(&s->x87, 0, sizeof(s->x87));
	s->x87.fcw = FCW_INITIAL;
	if (bv & BV_X87)
		get_x87(p, &s->x87);
	memcpy(&s->mxcsr, p + XS_MXCSR, 4);
	memset(s->ymm, 0, sizeof(s->ymm));
	for (unsigned k = 0; k < 16; k++) {
		if (bv & BV_SSE)
			memcpy(s->ymm[k], p + XS_XMM + 16 * k, 16);
		if (bv & BV_AVX)
			memcpy(s->ymm[k] + 2, p + XS_YMM + 16 * k, 16);
	}
}

/* --- Segments --- */

static void get_seg(const struct cvvtx_seg *v, unsigned seg, struct cv_seg *s)
{
	s->sel = v->sel;
	if (!(v->ar & CV_AR_UNUSABLE)) {
		s->base = v->base;
		s->limit = v->limit;
		s->ar = v->ar;
		return;
	}
	s->base = seg == CV_FS || seg == CV_GS ? v->base : 0;
	s->limit = 0;
	s->ar = CV_AR_UNUSABLE | (seg == CV_SS ? v->ar & 0x60u : 0);
}

/* --- All of it --- */

void vtx_to_device(const struct cv_vcpu_state *s, struct cvvtx_state *dev)
{
	memset(dev, 0, sizeof(*dev));
	for (unsigned k = 0; k < CV_NSEGS; k++) {
		dev->seg[k].base = s->seg[k].base;
		dev->seg[k].limit = s->seg[k].limit;
		dev->seg[k].ar = s->seg[k].ar;
		dev->seg[k].sel = s->seg[k].sel;
	}
	dev->gdtr.base = s->gdtr.base;
	dev->gdtr.limit = s->gdtr.limit;
	dev->idtr.base = s->idtr.base;
	dev->idtr.limit = s->idtr.limit;
	dev->cr0 = s->cr0;
	dev->cr3 = s->cr3;
	dev->cr4 = s->cr4;
	dev->efer = s->efer;
	dev->star = s->star;
	dev->lstar = s->lstar;
	dev->cstar = s->cstar;
	dev->sfmask = s->sfmask;
	dev->kernel_gs_base = s->kernel_gs_base;
	dev->sysenter_cs = s->sysenter_cs;
	dev->sysenter_esp = s->sysenter_esp;
	dev->sysenter_eip = s->sysenter_eip;
	dev->pat = s->pat;
	dev->tsc_aux = s->tsc_aux;
	dev->debugctl = s->debugctl;
	dev->xcr0 = s->xcr0;
	memcpy(dev->pdpte, s->pdpte, sizeof(dev->pdpte));
	dev->pending_dbg = s->pending_db;
	put_xsave(s, dev->xsave);
}

void vtx_to_run(const struct cv_vcpu_state *s, struct cvvtx_run *run)
{
	memcpy(run->gpr, s->gpr, sizeof(run->gpr));
	run->rip = s->rip;
	run->rflags = s->rflags;
	run->cr2 = s->cr2;
	memcpy(run->dr, s->dr, sizeof(run->dr));
	run->interruptibility = (s->shadow & CV_SHADOW_STI ? INTR_STI : 0) | (s->shadow & CV_SHADOW_MOVSS ? INTR_MOVSS : 0) |
				(s->nmi_blocked ? INTR_NMI : 0);
	run->activity = 0;
	run->cs_base = s->seg[CV_CS].base;
	run->cs_ar = s->seg[CV_CS].ar;
	run->efer = (uint32_t)s->efer;
}

void vtx_from_device(const struct cvvtx_state *dev, const struct cvvtx_run *run, struct cv_vcpu_state *s)
{
	for (unsigned k = 0; k < CV_NSEGS; k++)
		get_seg(&dev->seg[k], k, &s->seg[k]);
	s->gdtr.base = dev->gdtr.base;
	s->gdtr.limit = (uint16_t)dev->gdtr.limit;
	s->idtr.base = dev->idtr.base;
	s->idtr.limit = (uint16_t)dev->idtr.limit;
	s->cr0 = dev->cr0;
	s->cr3 = dev->cr3;
	s->cr4 = dev->cr4;
	s->efer = dev->efer;
	s->star = dev->star;
	s->lstar = dev->lstar;
	s->cstar = dev->cstar;
	s->sfmask = dev->sfmask;
	s->kernel_gs_base = dev->kernel_gs_base;
	s->sysenter_cs = dev->sysenter_cs;
	s->sysenter_esp = dev->sysenter_esp;
	s->sysenter_eip = dev->sysenter_eip;
	s->pat = dev->pat;
	s->tsc_aux = dev->tsc_aux;
	s->debugctl = dev->debugctl;
	s->xcr0 = dev->xcr0;
	memcpy(s->pdpte, dev->pdpte, sizeof(s->pdpte));
	s->pending_db = dev->pending_dbg & 0xe00f; /* without "enabled breakpoint", which VT-x adds */
	get_xsave(dev->xsave, s);

	memcpy(s->gpr, run->gpr, sizeof(s->gpr));
	s->rip = run->rip;
	s->rflags = run->rflags;
	s->cr2 = run->cr2;
	memcpy(s->dr, run->dr, sizeof(s->dr));
	s->dr[4] = s->dr[5] = 0;
	s->shadow = (run->interruptibility & INTR_STI ? CV_SHADOW_STI : 0) |
		    (run->interruptibility & INTR_MOVSS ? CV_SHADOW_MOVSS : 0);
	s->nmi_blocked = run->interruptibility & INTR_NMI;
}

/* --- What VT-x enters (SDM 3C 26.3.1) --- */

static bool canonical(const struct cv_vcpu_state *s, uint64_t a)
{
	unsigned shift = s->cr4 & CV_CR4_LA57 ? 7 : 16;

	return (uint64_t)((int64_t)(a << shift) >> shift) == a;
}

static bool limit_fits(const struct cv_seg *s)
{
	if ((s->limit & 0xfff) != 0xfff && s->ar & CV_AR_G)
		return false;
	return !(s->limit >> 20) || s->ar & CV_AR_G;
}

static bool v86_segment(const struct cv_seg *s)
{
	return s->base == (uint64_t)s->sel << 4 && s->limit == 0xffff && s->ar == 0xf3;
}

static bool code_ok(const struct cv_vcpu_state *s)
{
	const struct cv_seg *cs = &s->seg[CV_CS], *ss = &s->seg[CV_SS];
	unsigned type = cs->ar & CV_AR_TYPE, dpl = CV_AR_DPL(cs->ar), sdpl = CV_AR_DPL(ss->ar);

	if (cs->ar & CV_AR_UNUSABLE || !(cs->ar & CV_AR_S) || !(cs->ar & CV_AR_P) || !limit_fits(cs) || cs->base >> 32)
		return false;
	if (s->efer & CV_EFER_LMA && cs->ar & CV_AR_L && cs->ar & CV_AR_DB)
		return false;
	if (!(s->cr0 & CV_CR0_PE) && sdpl)
		return false;
	switch (type) {
	case 3:
		return dpl == 0 && sdpl == 0;
	case 9: case 11:
		return dpl == sdpl;
	case 13: case 15:
		return dpl <= sdpl;
	default:
		return false;
	}
}

static bool data_ok(const struct cv_vcpu_state *s, unsigned seg)
{
	const struct cv_seg *d = &s->seg[seg];
	unsigned type = d->ar & CV_AR_TYPE;

	if (seg == CV_FS || seg == CV_GS ? !canonical(s, d->base) : !(d->ar & CV_AR_UNUSABLE) && d->base >> 32)
		return false;
	if (d->ar & CV_AR_UNUSABLE)
		return true;
	if (!(d->ar & CV_AR_S) || !(d->ar & CV_AR_P) || !(type & 1) || !limit_fits(d))
		return false;
	if (seg == CV_SS)
		return type == 3 || type == 7;
	return !(type & 8) || type & 2;
}

static bool system_ok(const struct cv_vcpu_state *s)
{
	const struct cv_seg *tr = &s->seg[CV_TR], *ldt = &s->seg[CV_LDTR];
	unsigned type = tr->ar & (CV_AR_TYPE | CV_AR_S | CV_AR_P);

	if (tr->ar & CV_AR_UNUSABLE || tr->sel & 4 || !canonical(s, tr->base) || !limit_fits(tr))
		return false;
	if (type != (CV_AR_P | 11) && (type != (CV_AR_P | 3) || s->efer & CV_EFER_LMA))
		return false;
	if (ldt->ar & CV_AR_UNUSABLE)
		return true;
	return !(ldt->sel & 4) && canonical(s, ldt->base) && limit_fits(ldt) &&
	       (ldt->ar & (CV_AR_TYPE | CV_AR_S | CV_AR_P)) == (CV_AR_P | 2);
}

static bool segments_ok(const struct cv_vcpu_state *s)
{
	if (s->rflags & CV_FLAG_VM) {
		for (unsigned k = CV_ES; k <= CV_GS; k++)
			if (!v86_segment(&s->seg[k]))
				return false;
		return !(s->efer & CV_EFER_LMA) && s->cr0 & CV_CR0_PE && system_ok(s);
	}
	if (!code_ok(s) || !system_ok(s))
		return false;
	for (unsigned k = CV_ES; k <= CV_GS; k++)
		if (k != CV_CS && !data_ok(s, k))
			return false;
	return true;
}

static bool rip_ok(const struct cv_vcpu_state *s)
{
	if (s->efer & CV_EFER_LMA && s->seg[CV_CS].ar & CV_AR_L)
		return canonical(s, s->rip);
	return !(s->rip >> 32);
}

bool vtx_can_run(const struct cv_vcpu_state *s)
{
	/* What the software engine does more exactly, or the module can't show the hardware. */
	if (s->rflags & CV_FLAG_TF || s->dr[7] & 0x20ff || s->pending_db || s->a20_masked || s->pos.in_rep || s->debugctl)
		return false;
	if (s->shadow == (CV_SHADOW_STI | CV_SHADOW_MOVSS) || (s->shadow & CV_SHADOW_STI && !(s->rflags & CV_FLAG_IF)))
		return false;
	if (s->cr4 & CV_CR4_LA57) /* the host's kernel decides whether CR4 may have it */
		return false;
	return segments_ok(s) && rip_ok(s) && canonical(s, s->gdtr.base) && canonical(s, s->idtr.base) &&
	       canonical(s, s->sysenter_esp) && canonical(s, s->sysenter_eip) && canonical(s, s->lstar) && canonical(s, s->cstar) &&
	       canonical(s, s->kernel_gs_base);
}
