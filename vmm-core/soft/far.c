/* SPDX-License-Identifier: MIT */
/*
 * Far JMP, CALL and RET, call gates, and IRET in every mode: SDM 2A/2B's operation sections, SDM 3A 5.8 and 6.12.
 *
 * Each handler checks all that can fault, stores its frame in one piece, and only then changes the CPU.
 * Relies on the decoder for: imm and imm2 (offset and selector of the direct forms), osize, the memory operand of the
 * indirect forms (offset first, then selector), opcode (CA has an immediate, CB none).
 */
#include <string.h>

#include "vmm-core/soft/sys.h"

void sys_set_cs(struct soft_cpu *c, uint16_t sel, uint64_t raw, unsigned cpl)
{
	struct cv_seg *cs = &c->s.seg[CV_CS];

	sys_seg_from_desc(cs, (uint16_t)((sel & 0xfffc) | cpl), raw);
	if (c->long_mode && (cs->ar & CV_AR_L))
		cs->base = 0;
	/* CPL is the DPL of SS: a return or a conforming segment leaves them equal. */
}

bool sys_check_target(struct soft_cpu *c, const struct cv_insn *i, uint64_t raw, uint64_t rip, uint32_t ext)
{
	bool ok;

	if (c->long_mode && (raw >> 53 & 1))
		ok = soft_canonical(c, rip);
	else
		ok = rip <= desc_limit(raw);
	if (!ok)
		soft_raise_error(c, i, EXC_GP, ext);
	return ok;
}

static bool gp(struct soft_cpu *c, const struct cv_insn *i, uint16_t sel)
{
	soft_raise_error(c, i, EXC_GP, SEL_ERR(sel));
	return false;
}

static bool np(struct soft_cpu *c, const struct cv_insn *i, uint16_t sel)
{
	soft_raise_error(c, i, EXC_NP, SEL_ERR(sel));
	return false;
}

/* --- Real and virtual-8086 mode --- */

static void far_real(struct soft_cpu *c, const struct cv_insn *i, uint16_t sel, uint64_t rip, bool call)
{
	struct soft_frame f = {.size = i->osize};
	struct soft_stack st;

	if (rip > c->s.seg[CV_CS].limit) {
		raise_gp0(c, i);
		return;
	}
	if (call) {
		frame_push(&f, c->s.seg[CV_CS].sel);
		frame_push(&f, soft_next_rip(c, i));
		sys_stack_current(c, 0, &st);
		if (!sys_push_frame(c, i, &st, &f))
			return;
		soft_set_sp(c, st.sp);
	}
	sys_load_seg_real(c, CV_CS, sel);
	soft_update_mode(c);
	soft_retire_to(c, i, rip);
}

/* --- Direct transfers to a code segment --- */

/* Rights of JMP and CALL to a code segment without a gate (SDM 3A 5.8.1). */
static bool check_direct(struct soft_cpu *c, const struct cv_insn *i, uint16_t sel, uint64_t raw)
{
	if (desc_bad_long(c, raw))
		return gp(c, i, sel);
	if (desc_conforming(raw) ? desc_dpl(raw) > c->cpl : (sel & 3u) > c->cpl || desc_dpl(raw) != c->cpl)
		return gp(c, i, sel);
	return desc_present(raw) || np(c, i, sel);
}

static void far_to_code(struct soft_cpu *c, const struct cv_insn *i, uint16_t sel, const struct soft_desc *d,
			uint64_t rip, bool call)
{
	struct soft_frame f = {.size = i->osize};
	struct soft_stack st;

	bool to64 = c->long_mode && (d->raw >> 53 & 1);

	if (!check_direct(c, i, sel, d->raw))
		return;
	if (c->long_mode && !to64)
		rip = (uint32_t)rip;
	/* A call to 64-bit code stores its frame before it looks at the target. */
	if (!(call && to64) && !sys_check_target(c, i, d->raw, rip, 0))
		return;
	if (call) {
		frame_push(&f, c->s.seg[CV_CS].sel);
		frame_push(&f, soft_next_rip(c, i));
		sys_stack_current(c, 0, &st);
		/* From 64-bit code to other code, processors push with ESP: the stack is the called segment's. */
		if (c->mode == 64 && !to64)
			st.sp_size = 4;
		if (!sys_push_frame(c, i, &st, &f) || !sys_check_target(c, i, d->raw, rip, 0))
			return;
	}
	if (!sys_mark_accessed(c, i, d))
		return;
	if (call)
		soft_set_sp(c, st.sp);
	sys_set_cs(c, sel, d->raw, c->cpl);
	soft_update_mode(c);
	soft_retire_to(c, i, rip);
}

/* --- Call gates --- */

/* The code segment that a call gate names. */
static bool gate_code(struct soft_cpu *c, const struct cv_insn *i, uint16_t sel, bool call, struct soft_desc *cs)
{
	if (!(sel & 0xfffc)) {
		raise_gp0(c, i);
		return false;
	}
	if (!sys_read_desc(c, i, sel, EXC_GP, 0, cs))
		return false;
	if (!desc_is_code(cs->raw) || desc_dpl(cs->raw) > c->cpl ||
	    (c->long_mode && (cs->raw >> 53 & 3) != 1))
		return gp(c, i, sel);
	/* A jump through a gate doesn't change the privilege level. */
	if (!call && !desc_conforming(cs->raw) && desc_dpl(cs->raw) != c->cpl)
		return gp(c, i, sel);
	return desc_present(cs->raw) || np(c, i, sel);
}

static bool push_parameters(struct soft_cpu *c, const struct cv_insn *i, struct soft_frame *f, unsigned count)
{
	uint64_t v[32];

	if (!count)
		return true;
	if (!sys_peek_stack(c, i, 0, f->size, count, v))
		return false;
	while (count--)
		frame_push(f, v[count]);
	return true;
}

static void call_through(struct soft_cpu *c, const struct cv_insn *i, uint16_t sel, const struct soft_desc *cs,
			 uint64_t rip, unsigned size, unsigned params)
{
	bool inner = !desc_conforming(cs->raw) && desc_dpl(cs->raw) < c->cpl;
	unsigned cpl = inner ? desc_dpl(cs->raw) : c->cpl;
	struct soft_frame f = {.size = size};
	struct soft_stack st;

	if (inner) {
		if (!sys_inner_stack(c, i, cpl, 0, 0, &st))
			return;
		frame_push(&f, c->s.seg[CV_SS].sel);
		frame_push(&f, c->s.gpr[CV_RSP]);
		if (!c->long_mode && !push_parameters(c, i, &f, params))
			return;
	} else {
		sys_stack_current(c, 0, &st);
		if (c->long_mode)
			st.sp_size = 8;
	}
	frame_push(&f, c->s.seg[CV_CS].sel);
	frame_push(&f, soft_next_rip(c, i));
	if (!sys_check_target(c, i, cs->raw, rip, 0) || !sys_push_frame(c, i, &st, &f) ||
	    !sys_mark_accessed(c, i, cs))
		return;
	if (inner)
		c->s.seg[CV_SS] = st.ss;
	write_gpr(c, CV_RSP, st.sp_size, st.sp);
	sys_set_cs(c, sel, cs->raw, cpl);
	soft_update_mode(c);
	soft_retire_to(c, i, rip);
}

static void far_call_gate(struct soft_cpu *c, const struct cv_insn *i, uint16_t gate_sel, const struct soft_desc *g,
			  bool call)
{
	uint16_t sel = (uint16_t)(g->raw >> 16);
	uint64_t rip = g->raw & 0xffff;
	bool wide = desc_type(g->raw) & 8;
	struct soft_desc high, cs;

	if (desc_dpl(g->raw) < c->cpl || desc_dpl(g->raw) < (gate_sel & 3u)) {
		gp(c, i, gate_sel);
		return;
	}
	if (!desc_present(g->raw)) {
		np(c, i, gate_sel);
		return;
	}
	if (wide)
		rip |= g->raw >> 32 & 0xffff0000;
	if (c->long_mode) {
		/* The gate has 16 bytes; the type field of its upper half is zero (SDM 3A 5.8.3.1). */
		if (!sys_read_sysdesc(c, i, gate_sel, EXC_GP, 0, &high))
			return;
		if (high.high >> 40 & 0x1f) {
			gp(c, i, gate_sel);
			return;
		}
		rip |= high.high << 32;
	}
	if (!gate_code(c, i, sel, call, &cs))
		return;
	if (call) {
		call_through(c, i, sel, &cs, rip, c->long_mode ? 8 : wide ? 4 : 2, (unsigned)(g->raw >> 32) & 0x1f);
		return;
	}
	if (!sys_check_target(c, i, cs.raw, rip, 0) || !sys_mark_accessed(c, i, &cs))
		return;
	sys_set_cs(c, sel, cs.raw, c->cpl);
	soft_update_mode(c);
	soft_retire_to(c, i, rip);
}

/* --- Far JMP and CALL --- */

static void far_task(struct soft_cpu *c, const struct cv_insn *i, uint16_t sel, const struct soft_desc *d, bool call)
{
	enum soft_task_how how = call ? TASK_CALL : TASK_JMP;
	unsigned type = desc_type(d->raw);
	bool ok;

	if (desc_dpl(d->raw) < c->cpl || desc_dpl(d->raw) < (sel & 3u)) {
		gp(c, i, sel);
		return;
	}
	if (type == SYS_TSS_BUSY || type == SYS_TSS16_BUSY) {
		gp(c, i, sel);
		return;
	}
	if (!desc_present(d->raw)) {
		np(c, i, sel);
		return;
	}
	if (type == SYS_TASK_GATE)
		ok = sys_task_gate(c, i, how, d->raw, soft_next_rip(c, i), 0, false, 0);
	else
		ok = sys_task_switch(c, i, how, sel, d, soft_next_rip(c, i), 0, false, 0);
	if (ok)
		soft_retire_to(c, i, c->s.rip);
}

static void far_transfer(struct soft_cpu *c, const struct cv_insn *i, uint16_t sel, uint64_t rip, bool call)
{
	struct soft_desc d;

	if (!c->protected_mode) {
		far_real(c, i, sel, rip, call);
		return;
	}
	if (!(sel & 0xfffc)) {
		raise_gp0(c, i);
		return;
	}
	if (!sys_read_desc(c, i, sel, EXC_GP, 0, &d))
		return;
	if (desc_is_code(d.raw)) {
		far_to_code(c, i, sel, &d, rip, call);
		return;
	}
	if (!desc_is_segment(d.raw)) {
		switch (desc_type(d.raw)) {
		case SYS_CALL16:
			if (c->long_mode)
				break;
			/* fall through */
		case SYS_CALL:
			far_call_gate(c, i, sel, &d, call);
			return;
		case SYS_TASK_GATE: case SYS_TSS16: case SYS_TSS16_BUSY: case SYS_TSS: case SYS_TSS_BUSY:
			if (c->long_mode)
				break;
			far_task(c, i, sel, &d, call);
			return;
		default:
			break;
		}
	}
	gp(c, i, sel);
}

static void far_direct(struct soft_cpu *c, const struct cv_insn *i, bool call)
{
	far_transfer(c, i, i->imm2, truncate_to(i->imm, i->osize), call);
}

static void far_indirect(struct soft_cpu *c, const struct cv_insn *i, bool call)
{
	uint64_t rip;
	uint16_t sel;

	if (i->mod == 3) {
		raise_ud(c, i);
		return;
	}
	if (sys_load_far_pointer(c, i, &sel, &rip))
		far_transfer(c, i, sel, rip, call);
}

void sys_op_jmp_far(struct soft_cpu *c, const struct cv_insn *i)
{
	far_direct(c, i, false);
}
void sys_op_call_far(struct soft_cpu *c, const struct cv_insn *i)
{
	far_direct(c, i, true);
}
void sys_op_jmp_far_ind(struct soft_cpu *c, const struct cv_insn *i)
{
	far_indirect(c, i, false);
}
void sys_op_call_far_ind(struct soft_cpu *c, const struct cv_insn *i)
{
	far_indirect(c, i, true);
}

/* --- Returns --- */

/* The code segment that RET or IRET pops; the new CPL is its RPL. */
static bool check_return_code(struct soft_cpu *c, const struct cv_insn *i, uint16_t sel, struct soft_desc *d)
{
	unsigned rpl = sel & 3;

	if (!(sel & 0xfffc)) {
		raise_gp0(c, i);
		return false;
	}
	if (!sys_read_desc(c, i, sel, EXC_GP, 0, d))
		return false;
	if (!desc_is_code(d->raw) || rpl < c->cpl || desc_bad_long(c, d->raw))
		return gp(c, i, sel);
	if (desc_conforming(d->raw) ? desc_dpl(d->raw) > rpl : desc_dpl(d->raw) != rpl)
		return gp(c, i, sel);
	return desc_present(d->raw) || np(c, i, sel);
}

/* The stack segment that a return to level cpl pops. code: descriptor of the new CS. */
static bool check_return_stack(struct soft_cpu *c, const struct cv_insn *i, uint16_t sel, unsigned cpl, uint64_t code,
			       struct cv_seg *ss)
{
	struct soft_desc d;

	if (!(sel & 0xfffc)) {
		/* Null is allowed where 64-bit code at level 0..2 will run. */
		if (!c->long_mode || !(code >> 53 & 1) || cpl == 3 || (sel & 3u) != cpl) {
			raise_gp0(c, i);
			return false;
		}
		sys_null_seg(ss, sel, cpl);
		return true;
	}
	if (!sys_check_stack_desc(c, i, sel, cpl, EXC_GP, 0, &d) || !sys_mark_accessed(c, i, &d))
		return false;
	sys_seg_from_desc(ss, sel, d.raw);
	return true;
}

struct far_return {
	uint64_t rip, sp;
	uint16_t cs, ss;
	struct soft_desc code;
	struct cv_seg stack;
	bool with_stack; /* SS and SP were popped */
};

static bool check_return(struct soft_cpu *c, const struct cv_insn *i, struct far_return *r)
{
	if (r->with_stack && !check_return_stack(c, i, r->ss, r->cs & 3, r->code.raw, &r->stack))
		return false;
	/* To code that isn't 64-bit, only the lower half of a 64-bit RIP counts. */
	if (c->long_mode && !(r->code.raw >> 53 & 1))
		r->rip = (uint32_t)r->rip;
	return sys_check_target(c, i, r->code.raw, r->rip, 0) && sys_mark_accessed(c, i, &r->code);
}

/* CS, SS and SP of a checked return; adjust: bytes to release from the stack returned to. */
static void commit_return(struct soft_cpu *c, const struct far_return *r, uint64_t adjust)
{
	unsigned cpl = r->cs & 3, old_cpl = c->cpl;

	sys_set_cs(c, r->cs, r->code.raw, cpl);
	if (r->with_stack) {
		c->s.seg[CV_SS] = r->stack;
		soft_update_mode(c);
		soft_set_sp(c, r->sp + adjust);
	} else {
		soft_update_mode(c);
	}
	if (cpl > old_cpl)
		sys_drop_inner_segments(c, cpl);
}

static void ret_far_real(struct soft_cpu *c, const struct cv_insn *i, uint64_t release)
{
	uint64_t v[2];

	if (!sys_peek_stack(c, i, 0, i->osize, 2, v))
		return;
	if (v[0] > c->s.seg[CV_CS].limit) {
		raise_gp0(c, i);
		return;
	}
	soft_set_sp(c, soft_sp(c) + 2 * i->osize + release);
	sys_load_seg_real(c, CV_CS, (uint16_t)v[1]);
	soft_update_mode(c);
	soft_retire_to(c, i, v[0]);
}

void sys_op_ret_far(struct soft_cpu *c, const struct cv_insn *i)
{
	uint64_t release = i->opcode == 0xca ? i->imm & 0xffff : 0, v[2];
	struct far_return r = {0};

	if (!c->protected_mode) {
		ret_far_real(c, i, release);
		return;
	}
	/* CS is read first, and two bytes of it: it shows where both fault. */
	if (!sys_peek_stack(c, i, i->osize, 2, 1, v) || !sys_peek_stack(c, i, 0, i->osize, 1, v + 1))
		return;
	r.cs = (uint16_t)v[0];
	r.rip = v[1];
	if (!check_return_code(c, i, r.cs, &r.code))
		return;
	r.with_stack = (r.cs & 3u) > c->cpl;
	if (r.with_stack) {
		if (!sys_peek_stack(c, i, 2 * i->osize + release, i->osize, 2, v))
			return;
		r.sp = v[0];
		r.ss = (uint16_t)v[1];
	}
	if (!check_return(c, i, &r))
		return;
	if (!r.with_stack)
		soft_set_sp(c, soft_sp(c) + 2 * i->osize + release);
	commit_return(c, &r, release);
	soft_retire_to(c, i, r.rip);
}

/* --- IRET --- */

/* The flags that an IRET at this CPL may change (SDM 2A, IRET; VIF and VIP are always zero here). */
static uint64_t iret_flags_mask(const struct soft_cpu *c, unsigned size)
{
	uint64_t mask = CV_FLAGS_ARITH | CV_FLAG_TF | CV_FLAG_DF | CV_FLAG_NT;

	if (size >= 4)
		mask |= CV_FLAG_RF | CV_FLAG_AC | CV_FLAG_ID;
	if (c->cpl <= soft_iopl(c))
		mask |= CV_FLAG_IF;
	if (c->cpl == 0)
		mask |= CV_FLAG_IOPL;
	return mask;
}

static void set_masked_flags(struct soft_cpu *c, uint64_t image, uint64_t mask)
{
	soft_set_rflags(c, (soft_get_rflags(c) & ~mask) | (image & mask) | 2);
}

/* Real mode, and virtual-8086 mode with IOPL 3. */
static void iret_real(struct soft_cpu *c, const struct cv_insn *i)
{
	uint64_t v[3], mask;

	if (soft_v86(c) && soft_iopl(c) < 3) {
		raise_gp0(c, i);
		return;
	}
	if (!sys_peek_stack(c, i, 0, i->osize, 3, v))
		return;
	if (v[0] > c->s.seg[CV_CS].limit) {
		raise_gp0(c, i);
		return;
	}
	mask = CV_FLAGS_ARITH | CV_FLAG_TF | CV_FLAG_IF | CV_FLAG_DF | CV_FLAG_NT;
	if (!soft_v86(c))
		mask |= CV_FLAG_IOPL;
	if (i->osize >= 4)
		mask |= CV_FLAG_RF | CV_FLAG_AC | CV_FLAG_ID;
	soft_set_sp(c, soft_sp(c) + 3 * i->osize);
	sys_load_seg_real(c, CV_CS, (uint16_t)v[1]);
	set_masked_flags(c, v[2], mask);
	soft_update_mode(c);
	soft_retire_to(c, i, v[0]);
}

/* From level 0 to a virtual-8086 program. v: EIP CS EFLAGS ESP SS ES DS FS GS. */
static void iret_to_v86(struct soft_cpu *c, const struct cv_insn *i)
{
	static const uint8_t seg_of[] = {CV_CS, CV_SS, CV_ES, CV_DS, CV_FS, CV_GS};
	static const uint8_t from[] = {1, 4, 5, 6, 7, 8};
	uint64_t v[9];

	if (!sys_peek_stack(c, i, 0, 4, 9, v))
		return;
	if ((v[0] & 0xffffffff) > 0xffff) {
		raise_gp0(c, i);
		return;
	}
	c->s.gpr[CV_RSP] = (uint32_t)v[3];
	set_masked_flags(c, v[2], CV_FLAGS_ARITH | CV_FLAG_TF | CV_FLAG_IF | CV_FLAG_DF | CV_FLAG_IOPL | CV_FLAG_NT |
				  CV_FLAG_RF | CV_FLAG_VM | CV_FLAG_AC | CV_FLAG_ID);
	for (unsigned k = 0; k < 6; k++)
		sys_load_seg_real(c, seg_of[k], (uint16_t)v[from[k]]);
	soft_update_mode(c);
	soft_retire_to(c, i, v[0]);
}

/* NT: back to the task that the current TSS links to. */
static void iret_task(struct soft_cpu *c, const struct cv_insn *i)
{
	struct soft_desc d;
	uint16_t link;

	if (!sys_load(c, i, c->s.seg[CV_TR].base, &link, 2))
		return;
	if ((link & 4) || !(link & 0xfffc)) {
		soft_raise_error(c, i, EXC_TS, SEL_ERR(link));
		return;
	}
	if (!sys_read_desc(c, i, link, EXC_TS, 0, &d))
		return;
	if (desc_is_segment(d.raw) || (desc_type(d.raw) != SYS_TSS_BUSY && desc_type(d.raw) != SYS_TSS16_BUSY)) {
		soft_raise_error(c, i, EXC_TS, SEL_ERR(link));
		return;
	}
	if (!desc_present(d.raw)) {
		np(c, i, link);
		return;
	}
	if (sys_task_switch(c, i, TASK_IRET, link, &d, soft_next_rip(c, i), 0, false, 0))
		soft_retire_to(c, i, c->s.rip);
}

static void iret_protected(struct soft_cpu *c, const struct cv_insn *i)
{
	struct far_return r = {0};
	uint64_t v[5], mask;
	unsigned pops = c->mode == 64 ? 5 : 3;

	/* The flags are read first: it shows where several fault. */
	if (!sys_peek_stack(c, i, 2 * i->osize, i->osize, 1, v) || !sys_peek_stack(c, i, 0, i->osize, pops, v))
		return;
	if (!c->long_mode && i->osize == 4 && c->cpl == 0 && (v[2] & CV_FLAG_VM)) {
		iret_to_v86(c, i);
		return;
	}
	r.rip = v[0];
	r.cs = (uint16_t)v[1];
	if (!check_return_code(c, i, r.cs, &r.code))
		return;
	r.with_stack = pops == 5 || (r.cs & 3u) > c->cpl;
	if (r.with_stack && pops < 5 && !sys_peek_stack(c, i, 3 * i->osize, i->osize, 2, v + 3))
		return;
	if (r.with_stack) {
		r.sp = v[3];
		r.ss = (uint16_t)v[4];
	}
	if (!check_return(c, i, &r))
		return;
	mask = iret_flags_mask(c, i->osize);
	if (!r.with_stack)
		soft_set_sp(c, soft_sp(c) + 3 * i->osize);
	commit_return(c, &r, 0);
	set_masked_flags(c, v[2], mask);
	soft_update_mode(c);
	soft_retire_to(c, i, r.rip);
}

/* CF. NMIs are unblocked even if it faults (SDM 3A 6.7.1). */
void sys_op_iret(struct soft_cpu *c, const struct cv_insn *i)
{
	c->s.nmi_blocked = false;
	if (!c->protected_mode)
		iret_real(c, i);
	else if (!(c->s.rflags & CV_FLAG_NT))
		iret_protected(c, i);
	else if (c->long_mode)
		raise_gp0(c, i);
	else
		iret_task(c, i);
}
