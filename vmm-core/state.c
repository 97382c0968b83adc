/* SPDX-License-Identifier: MIT */
/* The architectural state: power-on values, and its saved form (version 2: the fields in their order, little-endian). */
#include "vmm-core/state.h"

#include <string.h>

#include "vmm-core/error.h"

enum { STATE_VERSION = 2 };

static void reset_segment(struct cv_seg *s, uint64_t base, uint16_t sel, uint32_t ar)
{
	s->base = base;
	s->limit = 0xffff;
	s->ar = ar;
	s->sel = sel;
}

void cv_vcpu_reset(struct cv_vcpu_state *s)
{
	memset(s, 0, sizeof(*s));
	s->gpr[CV_RDX] = 0x600; /* family 6 */
	s->rip = 0xfff0;
	s->rflags = 2;
	for (unsigned k = CV_ES; k <= CV_GS; k++)
		reset_segment(&s->seg[k], 0, 0, CV_AR_P | CV_AR_S | 3);
	reset_segment(&s->seg[CV_CS], 0xffff0000, 0xf000, CV_AR_P | CV_AR_S | 0xb);
	reset_segment(&s->seg[CV_LDTR], 0, 0, CV_AR_P | 2);
	reset_segment(&s->seg[CV_TR], 0, 0, CV_AR_P | 0xb);
	s->gdtr.limit = s->idtr.limit = 0xffff;
	s->cr0 = CV_CR0_CD | CV_CR0_NW | CV_CR0_ET;
	s->dr[6] = 0xffff0ff0;
	s->dr[7] = 0x400;
	s->xcr0 = 1;
	s->x87.fcw = 0x40;
	s->x87.ftw = 0xff;
	s->mxcsr = 0x1f80;
	s->pat = 0x0007040600070406;
	s->misc_enable = 1;
}

unsigned cv_vcpu_cpl(const struct cv_vcpu_state *s)
{
	if (!(s->cr0 & CV_CR0_PE))
		return 0;
	if (s->rflags & CV_FLAG_VM)
		return 3;
	return CV_AR_DPL(s->seg[CV_SS].ar);
}

/* --- Saving --- */

static void save_x87(const struct cv_x87 *f, struct cv_wbuf *w)
{
	for (unsigned k = 0; k < 8; k++) {
		cv_put_u64(w, f->mant[k]);
		cv_put_u16(w, f->se[k]);
	}
	cv_put_u16(w, f->fcw);
	cv_put_u16(w, f->fsw);
	cv_put_u8(w, f->ftw);
	cv_put_u16(w, f->fop);
	cv_put_u64(w, f->fip);
	cv_put_u64(w, f->fdp);
	cv_put_u16(w, f->fcs);
	cv_put_u16(w, f->fds);
}

static void load_x87(struct cv_x87 *f, struct cv_rbuf *r)
{
	for (unsigned k = 0; k < 8; k++) {
		f->mant[k] = cv_get_u64(r);
		f->se[k] = cv_get_u16(r);
	}
	f->fcw = cv_get_u16(r);
	f->fsw = cv_get_u16(r);
	f->ftw = cv_get_u8(r);
	f->fop = cv_get_u16(r);
	f->fip = cv_get_u64(r);
	f->fdp = cv_get_u64(r);
	f->fcs = cv_get_u16(r);
	f->fds = cv_get_u16(r);
}

/* The 64-bit fields that follow the x87 and vector state, in the order of their saved form. */
#define WORDS(X) \
	X(efer) X(star) X(lstar) X(cstar) X(sfmask) X(kernel_gs_base) X(sysenter_cs) X(sysenter_esp) X(sysenter_eip) \
	X(pat) X(tsc_offset) X(tsc_aux) X(tsc_adjust) X(misc_enable) X(spec_ctrl) X(mtrr_def_type) X(xss) X(pending_db) X(debugctl)

void cv_vcpu_save(const struct cv_vcpu_state *s, struct cv_wbuf *w)
{
	cv_put_u8(w, STATE_VERSION);
	for (unsigned k = 0; k < 16; k++)
		cv_put_u64(w, s->gpr[k]);
	cv_put_u64(w, s->rip);
	cv_put_u64(w, s->rflags);
	for (unsigned k = 0; k < CV_NSEGS; k++) {
		cv_put_u64(w, s->seg[k].base);
		cv_put_u32(w, s->seg[k].limit);
		cv_put_u32(w, s->seg[k].ar);
		cv_put_u16(w, s->seg[k].sel);
	}
	cv_put_u64(w, s->gdtr.base);
	cv_put_u16(w, s->gdtr.limit);
	cv_put_u64(w, s->idtr.base);
	cv_put_u16(w, s->idtr.limit);
	cv_put_u64(w, s->cr0);
	cv_put_u64(w, s->cr2);
	cv_put_u64(w, s->cr3);
	cv_put_u64(w, s->cr4);
	for (unsigned k = 0; k < 8; k++)
		cv_put_u64(w, s->dr[k]);
	cv_put_u64(w, s->xcr0);
	save_x87(&s->x87, w);
	for (unsigned k = 0; k < 16; k++)
		for (unsigned j = 0; j < 4; j++)
			cv_put_u64(w, s->ymm[k][j]);
	cv_put_u32(w, s->mxcsr);
#define PUT(name) cv_put_u64(w, s->name);
	WORDS(PUT)
	for (unsigned k = 0; k < 11; k++)
		cv_put_u64(w, s->mtrr_fix[k]);
	for (unsigned k = 0; k < 8; k++) {
		cv_put_u64(w, s->mtrr_base[k]);
		cv_put_u64(w, s->mtrr_mask[k]);
	}
	for (unsigned k = 0; k < 4; k++)
		cv_put_u64(w, s->pdpte[k]);
	cv_put_u8(w, s->shadow);
	cv_put_u8(w, s->halted);
	cv_put_u8(w, s->nmi_pending);
	cv_put_u8(w, s->nmi_blocked);
	cv_put_u8(w, s->a20_masked);
	cv_put_u64(w, s->pos.insns);
	cv_put_u64(w, s->pos.branches);
	cv_put_u64(w, s->pos.rcx);
	cv_put_u32(w, s->pos.sub);
	cv_put_u8(w, s->pos.in_rep);
}

uint64_t cv_vcpu_linear_rip(const struct cv_vcpu_state *s)
{
	bool wide = s->efer & CV_EFER_LMA && s->seg[CV_CS].ar & CV_AR_L;

	return wide ? s->rip : (uint32_t)(s->seg[CV_CS].base + s->rip);
}

void cv_vcpu_load(struct cv_vcpu_state *s, struct cv_rbuf *r)
{
	memset(s, 0, sizeof(*s));
	if (cv_get_u8(r) != STATE_VERSION && !r->err)
		r->err = CV_E_CORRUPT;
	for (unsigned k = 0; k < 16; k++)
		s->gpr[k] = cv_get_u64(r);
	s->rip = cv_get_u64(r);
	s->rflags = cv_get_u64(r);
	for (unsigned k = 0; k < CV_NSEGS; k++) {
		s->seg[k].base = cv_get_u64(r);
		s->seg[k].limit = cv_get_u32(r);
		s->seg[k].ar = cv_get_u32(r);
		s->seg[k].sel = cv_get_u16(r);
	}
	s->gdtr.base = cv_get_u64(r);
	s->gdtr.limit = cv_get_u16(r);
	s->idtr.base = cv_get_u64(r);
	s->idtr.limit = cv_get_u16(r);
	s->cr0 = cv_get_u64(r);
	s->cr2 = cv_get_u64(r);
	s->cr3 = cv_get_u64(r);
	s->cr4 = cv_get_u64(r);
	for (unsigned k = 0; k < 8; k++)
		s->dr[k] = cv_get_u64(r);
	s->xcr0 = cv_get_u64(r);
	load_x87(&s->x87, r);
	for (unsigned k = 0; k < 16; k++)
		for (unsigned j = 0; j < 4; j++)
			s->ymm[k][j] = cv_get_u64(r);
	s->mxcsr = cv_get_u32(r);
#define GET(name) s->name = cv_get_u64(r);
	WORDS(GET)
	for (unsigned k = 0; k < 11; k++)
		s->mtrr_fix[k] = cv_get_u64(r);
	for (unsigned k = 0; k < 8; k++) {
		s->mtrr_base[k] = cv_get_u64(r);
		s->mtrr_mask[k] = cv_get_u64(r);
	}
	for (unsigned k = 0; k < 4; k++)
		s->pdpte[k] = cv_get_u64(r);
	s->shadow = cv_get_u8(r);
	s->halted = cv_get_u8(r);
	s->nmi_pending = cv_get_u8(r);
	s->nmi_blocked = cv_get_u8(r);
	s->a20_masked = cv_get_u8(r);
	s->pos.insns = cv_get_u64(r);
	s->pos.branches = cv_get_u64(r);
	s->pos.rcx = cv_get_u64(r);
	s->pos.sub = cv_get_u32(r);
	s->pos.in_rep = cv_get_u8(r);
	s->pos.rip = cv_vcpu_linear_rip(s);
}
