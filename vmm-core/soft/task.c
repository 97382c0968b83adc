/* SPDX-License-Identifier: MIT */
/*
 * Hardware task switches: SDM 3A chapter 7. Only outside long mode.
 *
 * Until the new task's state is loaded every fault belongs to the old task and nothing of the CPU has changed: the new
 * TSS is read whole and the old one written whole first. From then on (segment descriptors, the error code) faults
 * belong to the new task: they are raised without an instruction, with s.rip at the new task's first one.
 */
#include <string.h>

#include "vmm-core/soft/sys.h"

enum { TSS32_MIN = 0x67, TSS16_MIN = 0x2b };

/* A TSS's dynamic part, of either size. */
struct task_state {
	uint32_t cr3, eip, eflags, gpr[8];
	uint16_t seg[6]; /* in the order of CV_ES.. */
	uint16_t ldt;
	bool trap;
};

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static uint16_t get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, 2);
	return v;
}

static bool ts(struct soft_cpu *c, const struct cv_insn *i, uint16_t sel, uint32_t ext)
{
	soft_raise_error(c, i, EXC_TS, SEL_ERR(sel) | ext);
	return false;
}

static void decode_tss(const uint8_t *p, bool wide, struct task_state *t)
{
	*t = (struct task_state){0};
	if (wide) {
		t->cr3 = get32(p + 0x1c);
		t->eip = get32(p + 0x20);
		t->eflags = get32(p + 0x24);
		for (unsigned k = 0; k < 8; k++)
			t->gpr[k] = get32(p + 0x28 + 4 * k);
		for (unsigned k = 0; k < 6; k++)
			t->seg[k] = get16(p + 0x48 + 4 * k);
		t->ldt = get16(p + 0x60);
		t->trap = p[0x64] & 1;
		return;
	}
	t->eip = get16(p + 0x0e);
	t->eflags = get16(p + 0x10);
	for (unsigned k = 0; k < 8; k++)
		t->gpr[k] = 0xffff0000 | get16(p + 0x12 + 2 * k); /* undefined: "modified and not maintained" */
	for (unsigned k = 0; k < 4; k++)
		t->seg[k] = get16(p + 0x22 + 2 * k);
	t->ldt = get16(p + 0x2a);
}

/* The state of the old task, from EIP on, as its TSS wants it. Bytes stored. */
static unsigned encode_tss(const struct soft_cpu *c, bool wide, uint32_t eip, uint32_t eflags, uint8_t *p)
{
	unsigned size = wide ? 4 : 2, n = 0;
	uint32_t v[16];

	v[n++] = eip;
	v[n++] = eflags;
	for (unsigned k = 0; k < 8; k++)
		v[n++] = (uint32_t)c->s.gpr[k];
	for (unsigned k = 0; k < (wide ? 6u : 4u); k++)
		v[n++] = c->s.seg[k].sel;
	for (unsigned k = 0; k < n; k++)
		memcpy(p + k * size, &v[k], size);
	return n * size;
}

/* --- The old task --- */

static bool set_busy(struct soft_cpu *c, const struct cv_insn *i, uint16_t sel, bool busy)
{
	uint64_t linear;
	uint8_t access;

	if (!sys_desc_address(c, sel, 8, &linear))
		return true;
	if (!sys_load(c, i, linear + 5, &access, 1))
		return false;
	access = busy ? access | 2 : access & 0xfd;
	return soft_lin_store(c, i, linear + 5, &access, 1, true);
}

/* Everything that is written to memory, all before the CPU changes. */
static bool leave_old(struct soft_cpu *c, const struct cv_insn *i, enum soft_task_how how, uint16_t new_sel,
		      uint64_t new_base, uint64_t next_rip)
{
	const struct cv_seg *tr = &c->s.seg[CV_TR];
	bool wide = tr->ar & 8;
	uint32_t eflags = (uint32_t)soft_get_rflags(c);
	uint8_t image[64];
	unsigned n;

	if (how == TASK_IRET)
		eflags &= ~CV_FLAG_NT;
	n = encode_tss(c, wide, (uint32_t)next_rip, eflags, image);
	if (!soft_lin_store(c, i, (uint32_t)(tr->base + (wide ? 0x20 : 0x0e)), image, n, true))
		return false;
	if ((how == TASK_CALL || how == TASK_INT) && !soft_lin_store(c, i, (uint32_t)new_base, &tr->sel, 2, true))
		return false;
	if ((how == TASK_JMP || how == TASK_IRET) && !set_busy(c, i, tr->sel, false))
		return false;
	return how == TASK_IRET || set_busy(c, i, new_sel, true);
}

/* --- The new task --- */

static void enter_new(struct soft_cpu *c, enum soft_task_how how, bool wide, const struct task_state *t)
{
	unsigned cpl = t->eflags & CV_FLAG_VM ? 3 : t->seg[CV_CS] & 3;
	uint32_t eflags = t->eflags & 0x277fd7; /* all but VIF and VIP */

	if (how == TASK_CALL || how == TASK_INT)
		eflags |= CV_FLAG_NT;
	c->s.cr0 |= CV_CR0_TS;
	if (wide && c->paging)
		c->s.cr3 = t->cr3;
	for (unsigned k = 0; k < 8; k++)
		c->s.gpr[k] = t->gpr[k];
	c->s.rip = t->eip;
	soft_set_rflags(c, eflags | 2);
	for (unsigned k = 0; k < 6; k++)
		sys_null_seg(&c->s.seg[k], t->seg[k], cpl);
	c->s.seg[CV_CS].ar = CV_AR_UNUSABLE | (wide ? CV_AR_DB : 0) | cpl << 5;
	c->s.dr[7] &= ~0x155ull; /* local breakpoints end with their task */
	soft_debug_update(c);
	if (t->trap)
		c->s.pending_db |= DR6_BT;
	soft_update_mode(c);
	soft_tlb_flush(c);
}

static bool load_ldt(struct soft_cpu *c, uint16_t sel, uint32_t ext)
{
	struct soft_desc d;

	sys_null_seg(&c->s.seg[CV_LDTR], sel, 0);
	if (!(sel & 0xfffc))
		return true;
	if (sel & 4)
		return ts(c, NULL, sel, ext);
	if (!sys_read_desc(c, NULL, sel, EXC_TS, ext, &d))
		return false;
	if (desc_is_segment(d.raw) || desc_type(d.raw) != SYS_LDT || !desc_present(d.raw))
		return ts(c, NULL, sel, ext);
	sys_seg_from_desc(&c->s.seg[CV_LDTR], sel, d.raw);
	return true;
}

static bool load_cs(struct soft_cpu *c, uint16_t sel, uint32_t ext)
{
	struct soft_desc d;
	unsigned rpl = sel & 3;

	if (!(sel & 0xfffc))
		return ts(c, NULL, sel, ext);
	if (!sys_read_desc(c, NULL, sel, EXC_TS, ext, &d))
		return false;
	if (!desc_is_code(d.raw) || (desc_conforming(d.raw) ? desc_dpl(d.raw) > rpl : desc_dpl(d.raw) != rpl))
		return ts(c, NULL, sel, ext);
	if (!desc_present(d.raw)) {
		soft_raise_error(c, NULL, EXC_NP, SEL_ERR(sel) | ext);
		return false;
	}
	if (!sys_mark_accessed(c, NULL, &d))
		return false;
	sys_set_cs(c, sel, d.raw, rpl);
	return true;
}

static bool load_ss(struct soft_cpu *c, uint16_t sel, unsigned cpl, uint32_t ext)
{
	struct soft_desc d;

	if (!(sel & 0xfffc))
		return ts(c, NULL, sel, ext);
	if (!sys_check_stack_desc(c, NULL, sel, cpl, EXC_TS, ext, &d) || !sys_mark_accessed(c, NULL, &d))
		return false;
	sys_seg_from_desc(&c->s.seg[CV_SS], sel, d.raw);
	return true;
}

static bool load_data(struct soft_cpu *c, unsigned seg, uint16_t sel, unsigned cpl, uint32_t ext)
{
	struct soft_desc d;

	if (!(sel & 0xfffc))
		return true;
	if (!sys_read_desc(c, NULL, sel, EXC_TS, ext, &d))
		return false;
	if (!desc_is_segment(d.raw) || (desc_is_code(d.raw) && !(d.raw >> 41 & 1)) ||
	    (!(desc_is_code(d.raw) && desc_conforming(d.raw)) &&
	     ((sel & 3u) > desc_dpl(d.raw) || cpl > desc_dpl(d.raw))))
		return ts(c, NULL, sel, ext);
	if (!desc_present(d.raw)) {
		soft_raise_error(c, NULL, EXC_NP, SEL_ERR(sel) | ext);
		return false;
	}
	if (!sys_mark_accessed(c, NULL, &d))
		return false;
	sys_seg_from_desc(&c->s.seg[seg], sel, d.raw);
	return true;
}

static bool load_segments(struct soft_cpu *c, const struct task_state *t, uint32_t ext)
{
	static const uint8_t data[] = {CV_ES, CV_DS, CV_FS, CV_GS};
	unsigned cpl = t->seg[CV_CS] & 3;

	if (!load_ldt(c, t->ldt, ext))
		return false;
	if (soft_v86(c)) {
		for (unsigned k = 0; k < 6; k++)
			sys_load_seg_real(c, k, t->seg[k]);
		return true;
	}
	if (!load_cs(c, t->seg[CV_CS], ext) || !load_ss(c, t->seg[CV_SS], cpl, ext))
		return false;
	for (unsigned k = 0; k < 4; k++)
		if (!load_data(c, data[k], t->seg[data[k]], cpl, ext))
			return false;
	return true;
}

static bool push_error(struct soft_cpu *c, bool wide, uint32_t error, uint32_t ext)
{
	struct soft_frame f = {.size = wide ? 4 : 2};
	struct soft_stack st;

	sys_stack_current(c, ext, &st);
	frame_push(&f, error);
	if (!sys_push_frame(c, NULL, &st, &f))
		return false;
	soft_set_sp(c, st.sp);
	return true;
}

/* --- The switch --- */

static bool switch_state(struct soft_cpu *c, enum soft_task_how how, bool wide, const struct task_state *t,
			 uint32_t ext, bool has_error, uint32_t error)
{
	enter_new(c, how, wide, t);
	if (wide && c->paging && (c->s.cr4 & CV_CR4_PAE) && !soft_load_pdptes(c, t->cr3)) {
		soft_raise_error(c, NULL, EXC_GP, 0);
		return false;
	}
	if (!load_segments(c, t, ext)) {
		soft_update_mode(c);
		return false;
	}
	soft_update_mode(c);
	if (has_error && !push_error(c, wide, error, ext))
		return false;
	if (c->s.rip > c->s.seg[CV_CS].limit) {
		soft_raise_error(c, NULL, EXC_GP, ext);
		return false;
	}
	return true;
}

bool sys_task_switch(struct soft_cpu *c, const struct cv_insn *i, enum soft_task_how how, uint16_t sel,
		     const struct soft_desc *d, uint64_t next_rip, uint32_t ext, bool has_error, uint32_t error)
{
	bool wide = desc_type(d->raw) & 8;
	struct task_state t;
	struct cv_seg tr;
	uint8_t image[TSS32_MIN + 1];

	sys_seg_from_desc(&tr, sel, d->raw);
	tr.ar |= 2;
	if (tr.limit < (wide ? TSS32_MIN : TSS16_MIN))
		return ts(c, i, sel, ext);
	if (!sys_load(c, i, tr.base, image, wide ? TSS32_MIN + 1 : TSS16_MIN + 1))
		return false;
	decode_tss(image, wide, &t);
	if (!leave_old(c, i, how, sel, tr.base, next_rip))
		return false;
	c->s.seg[CV_TR] = tr;
	return switch_state(c, how, wide, &t, ext, has_error, error);
}

bool sys_task_gate(struct soft_cpu *c, const struct cv_insn *i, enum soft_task_how how, uint64_t gate,
		   uint64_t next_rip, uint32_t ext, bool has_error, uint32_t error)
{
	uint16_t sel = (uint16_t)(gate >> 16);
	struct soft_desc d;
	unsigned type;

	if ((sel & 4) || !(sel & 0xfffc)) {
		soft_raise_error(c, i, EXC_GP, SEL_ERR(sel) | ext);
		return false;
	}
	if (!sys_read_desc(c, i, sel, EXC_GP, ext, &d))
		return false;
	type = desc_type(d.raw);
	if (desc_is_segment(d.raw) || (type != SYS_TSS && type != SYS_TSS16)) {
		soft_raise_error(c, i, EXC_GP, SEL_ERR(sel) | ext);
		return false;
	}
	if (!desc_present(d.raw)) {
		soft_raise_error(c, i, EXC_NP, SEL_ERR(sel) | ext);
		return false;
	}
	return sys_task_switch(c, i, how, sel, &d, next_rip, ext, has_error, error);
}
