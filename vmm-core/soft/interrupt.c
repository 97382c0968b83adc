/* SPDX-License-Identifier: MIT */
/*
 * Delivery of exceptions and interrupts: SDM 3A chapter 6, 20.1.4 (real mode), 20.3 (virtual-8086 mode), 6.14 (IA-32e).
 *
 * sys_interrupt() is one attempt: it checks everything, writes the frame, and only then changes the CPU. When it fails
 * c->fault says with what. soft_deliver() is the chain of attempts: a fault met while delivering becomes the next event,
 * or #DF, or shutdown (SDM 3A table 6-5).
 *
 * For #PF the faulting address is c->fault.cr2: at the call of soft_deliver() it must still be the one that
 * soft_raise left. For #DB the causes are in s.pending_db (or in DR6 already); delivery moves them to DR6 and clears
 * DR7.GD and DEBUGCTL.BTF. RIP of the interrupted program is s.rip, for software interrupts next_rip.
 */
#include <string.h>

#include "vmm-core/soft/sys.h"

/* What one attempt knows. */
struct delivery {
	enum soft_event_type type;
	unsigned vector;
	bool has_error;
	uint32_t error;
	uint64_t return_rip;
	uint32_t ext;	   /* EXT bit of error codes */
	bool program;	   /* INT n, INT3, INTO: the gate's DPL is checked */
	uint64_t flags;	   /* as pushed */
};

static bool gate_fault(struct soft_cpu *c, const struct cv_insn *i, const struct delivery *d, int vector)
{
	soft_raise_error(c, i, vector, d->vector * 8 + 2 + d->ext);
	return false;
}

/* SDM 3B 17.3.1.1: RF in the pushed flags. */
static bool pushes_rf(const struct soft_cpu *c, const struct delivery *d)
{
	if (c->s.rflags & CV_FLAG_RF)
		return true;
	if (d->type == SOFT_EV_EXCEPTION && d->vector == EXC_DB)
		return c->s.pending_db & DR6_BD || c->s.pos.in_rep;
	if (d->type == SOFT_EV_EXCEPTION)
		return d->vector != EXC_DF && d->vector != EXC_MC && d->vector != EXC_BP && d->vector != EXC_OF;
	return (d->type == SOFT_EV_EXTERNAL || d->type == SOFT_EV_NMI) && c->s.pos.in_rep;
}

/* --- Real mode --- */

static bool deliver_real(struct soft_cpu *c, const struct cv_insn *i, const struct delivery *d)
{
	struct soft_frame f = {.size = 2};
	struct soft_stack st;
	uint16_t entry[2];

	if (d->vector * 4 + 3 > c->s.idtr.limit)
		return gate_fault(c, i, d, EXC_GP);
	if (!sys_load(c, i, (uint32_t)(c->s.idtr.base + d->vector * 4), entry, 4))
		return false;
	frame_push(&f, d->flags);
	frame_push(&f, c->s.seg[CV_CS].sel);
	frame_push(&f, d->return_rip);
	sys_stack_current(c, d->ext, &st);
	if (!sys_push_frame(c, i, &st, &f))
		return false;
	soft_set_sp(c, st.sp);
	sys_load_seg_real(c, CV_CS, entry[1]);
	c->s.rip = entry[0];
	soft_set_rflags(c, soft_get_rflags(c) & ~(uint64_t)(CV_FLAG_IF | CV_FLAG_TF | CV_FLAG_AC | CV_FLAG_RF));
	soft_update_mode(c);
	return true;
}

/* --- Protected mode --- */

/* The gate of the vector, checked for type, privilege and presence. */
static bool load_gate(struct soft_cpu *c, const struct cv_insn *i, const struct delivery *d, uint64_t gate[2])
{
	unsigned size = c->long_mode ? 16 : 8;
	unsigned type;
	bool ok;

	if (d->vector * size + size - 1 > c->s.idtr.limit)
		return gate_fault(c, i, d, EXC_GP);
	if (!sys_load(c, i, c->s.idtr.base + d->vector * size, gate, size))
		return false;
	type = (unsigned)(gate[0] >> 40) & 0x1f;
	ok = type == SYS_INT || type == SYS_TRAP;
	if (!c->long_mode)
		ok = ok || type == SYS_INT16 || type == SYS_TRAP16 || type == SYS_TASK_GATE;
	if (!ok || (d->program && desc_dpl(gate[0]) < c->cpl))
		return gate_fault(c, i, d, EXC_GP);
	if (!desc_present(gate[0]))
		return gate_fault(c, i, d, EXC_NP);
	return true;
}

/* The handler's code segment: SDM 3A 6.12.1.2. */
static bool load_code(struct soft_cpu *c, const struct cv_insn *i, const struct delivery *d, uint16_t sel,
		      struct soft_desc *cs)
{
	if (!(sel & 0xfffc)) {
		soft_raise_error(c, i, EXC_GP, d->ext);
		return false;
	}
	if (!sys_read_desc(c, i, sel, EXC_GP, d->ext, cs))
		return false;
	if (!desc_is_code(cs->raw) || desc_dpl(cs->raw) > c->cpl ||
	    (c->long_mode && (cs->raw >> 53 & 3) != 1)) {
		soft_raise_error(c, i, EXC_GP, SEL_ERR(sel) | d->ext);
		return false;
	}
	if (!desc_present(cs->raw)) {
		soft_raise_error(c, i, EXC_NP, SEL_ERR(sel) | d->ext);
		return false;
	}
	return true;
}

/* All checked and stored: into the handler. */
static void enter(struct soft_cpu *c, const struct soft_stack *st, bool new_ss, uint16_t cs_sel, uint64_t cs_raw,
		  unsigned cpl, uint64_t rip, bool clear_if)
{
	uint64_t flags = soft_get_rflags(c);

	if (new_ss)
		c->s.seg[CV_SS] = st->ss;
	write_gpr(c, CV_RSP, st->sp_size, st->sp);
	sys_set_cs(c, cs_sel, cs_raw, cpl);
	c->s.rip = rip;
	flags &= ~(uint64_t)(CV_FLAG_TF | CV_FLAG_NT | CV_FLAG_RF | CV_FLAG_VM);
	if (clear_if)
		flags &= ~(uint64_t)CV_FLAG_IF;
	soft_set_rflags(c, flags);
	soft_update_mode(c);
}

static bool deliver_long(struct soft_cpu *c, const struct cv_insn *i, const struct delivery *d, const uint64_t gate[2])
{
	uint16_t sel = (uint16_t)(gate[0] >> 16);
	uint64_t rip = (gate[0] & 0xffff) | (gate[0] >> 32 & 0xffff0000) | gate[1] << 32;
	unsigned ist = (unsigned)(gate[0] >> 32) & 7;
	struct soft_frame f = {.size = 8};
	struct soft_stack st;
	struct soft_desc cs;
	unsigned cpl;
	bool inner;

	if (!load_code(c, i, d, sel, &cs))
		return false;
	inner = !desc_conforming(cs.raw) && desc_dpl(cs.raw) < c->cpl;
	cpl = inner ? desc_dpl(cs.raw) : c->cpl;
	if (!soft_canonical(c, rip)) {
		soft_raise_error(c, i, EXC_GP, d->ext);
		return false;
	}
	if (inner || ist) {
		if (!sys_inner_stack(c, i, cpl, ist, d->ext, &st))
			return false;
	} else {
		sys_stack_current(c, d->ext, &st);
		st.sp = c->s.gpr[CV_RSP];
		st.sp_size = 8;
	}
	st.sp &= ~0xfull;
	frame_push(&f, c->s.seg[CV_SS].sel);
	frame_push(&f, c->s.gpr[CV_RSP]);
	frame_push(&f, d->flags);
	frame_push(&f, c->s.seg[CV_CS].sel);
	frame_push(&f, d->return_rip);
	if (d->has_error)
		frame_push(&f, d->error);
	if (!sys_push_frame(c, i, &st, &f) || !sys_mark_accessed(c, i, &cs))
		return false;
	enter(c, &st, inner, sel, cs.raw, cpl, rip, desc_type(gate[0]) == SYS_INT);
	return true;
}

static void push_old_state(const struct soft_cpu *c, const struct delivery *d, bool inner, struct soft_frame *f)
{
	if (inner) {
		if (soft_v86(c)) {
			frame_push(f, c->s.seg[CV_GS].sel);
			frame_push(f, c->s.seg[CV_FS].sel);
			frame_push(f, c->s.seg[CV_DS].sel);
			frame_push(f, c->s.seg[CV_ES].sel);
		}
		frame_push(f, c->s.seg[CV_SS].sel);
		frame_push(f, c->s.gpr[CV_RSP]);
	}
	frame_push(f, d->flags);
	frame_push(f, c->s.seg[CV_CS].sel);
	frame_push(f, d->return_rip);
	if (d->has_error)
		frame_push(f, d->error);
}

static bool deliver_legacy(struct soft_cpu *c, const struct cv_insn *i, const struct delivery *d, uint64_t gate)
{
	bool wide = desc_type(gate) & 8, v86 = soft_v86(c), inner;
	uint16_t sel = (uint16_t)(gate >> 16);
	uint64_t rip = (gate & 0xffff) | (wide ? gate >> 32 & 0xffff0000 : 0);
	struct soft_frame f = {.size = wide ? 4 : 2};
	struct soft_stack st;
	struct soft_desc cs;
	unsigned cpl;

	if (!load_code(c, i, d, sel, &cs))
		return false;
	inner = !desc_conforming(cs.raw) && desc_dpl(cs.raw) < c->cpl;
	cpl = inner ? desc_dpl(cs.raw) : c->cpl;
	if (v86 && cpl != 0) {
		soft_raise_error(c, i, EXC_GP, SEL_ERR(sel) | d->ext);
		return false;
	}
	if (inner) {
		if (!sys_inner_stack(c, i, cpl, 0, d->ext, &st))
			return false;
	} else {
		sys_stack_current(c, d->ext, &st);
	}
	if (!sys_check_target(c, i, cs.raw, rip, d->ext))
		return false;
	push_old_state(c, d, inner, &f);
	if (!sys_push_frame(c, i, &st, &f) || !sys_mark_accessed(c, i, &cs))
		return false;
	if (v86) {
		sys_null_seg(&c->s.seg[CV_GS], 0, 0);
		sys_null_seg(&c->s.seg[CV_FS], 0, 0);
		sys_null_seg(&c->s.seg[CV_DS], 0, 0);
		sys_null_seg(&c->s.seg[CV_ES], 0, 0);
	}
	enter(c, &st, inner, sel, cs.raw, cpl, rip, !(desc_type(gate) & 1));
	return true;
}

/* The old task's TSS gets the flags that a frame would. */
static bool deliver_task(struct soft_cpu *c, const struct cv_insn *i, const struct delivery *d, uint64_t gate)
{
	uint64_t rf = c->s.rflags & CV_FLAG_RF;
	uint16_t task = c->s.seg[CV_TR].sel;

	c->s.rflags = (c->s.rflags & ~(uint64_t)CV_FLAG_RF) | (d->flags & CV_FLAG_RF);
	if (sys_task_gate(c, i, TASK_INT, gate, d->return_rip, d->ext, d->has_error, d->error))
		return true;
	if (c->s.seg[CV_TR].sel == task) /* it never came to the switch */
		c->s.rflags = (c->s.rflags & ~(uint64_t)CV_FLAG_RF) | rf;
	return false;
}

bool sys_interrupt(struct soft_cpu *c, const struct cv_insn *i, enum soft_event_type type, unsigned vector,
		   bool has_error, uint32_t error, uint64_t next_rip)
{
	struct delivery d = {
		.type = type,
		.vector = vector,
		.has_error = has_error,
		.error = error,
		.program = type == SOFT_EV_SOFTINT || type == SOFT_EV_INT3,
	};
	uint64_t gate[2] = {0, 0};

	d.ext = !d.program;
	d.return_rip = d.program || type == SOFT_EV_INT1 ? next_rip : c->s.rip;
	d.flags = soft_get_rflags(c) & ~(uint64_t)CV_FLAG_RF;
	if (pushes_rf(c, &d))
		d.flags |= CV_FLAG_RF;
	if (!(c->s.cr0 & CV_CR0_PE))
		return deliver_real(c, i, &d);
	if (!load_gate(c, i, &d, gate))
		return false;
	if (c->long_mode)
		return deliver_long(c, i, &d, gate);
	if (desc_type(gate[0]) == SYS_TASK_GATE)
		return deliver_task(c, i, &d, gate[0]);
	return deliver_legacy(c, i, &d, gate[0]);
}

/* --- The chain --- */

enum fault_class { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

static enum fault_class class_of(enum soft_event_type type, int vector)
{
	if (type != SOFT_EV_EXCEPTION)
		return BENIGN;
	switch (vector) {
	case EXC_DE: case EXC_TS: case EXC_NP: case EXC_SS: case EXC_GP:
		return CONTRIBUTORY;
	case EXC_PF:
		return PAGE_FAULT;
	case EXC_DF:
		return DOUBLE_FAULT;
	default:
		return BENIGN;
	}
}

/* SDM 3A table 6-5. */
static bool makes_double_fault(enum fault_class first, enum fault_class second)
{
	return (first == CONTRIBUTORY && second == CONTRIBUTORY) ||
	       (first == PAGE_FAULT && (second == CONTRIBUTORY || second == PAGE_FAULT));
}

/* What an exception leaves in registers before its handler runs. */
static void note_exception(struct soft_cpu *c, enum soft_event_type type, int vector)
{
	if (type == SOFT_EV_EXCEPTION && vector == EXC_PF)
		c->s.cr2 = c->fault.cr2;
}

/* The cause bits say what happened this time; BD, BS and BT stay until software clears them. */
static void move_causes_to_dr6(struct soft_cpu *c)
{
	if (c->s.pending_db)
		c->s.dr[6] = (c->s.dr[6] & ~0xfull) | c->s.pending_db;
	c->s.pending_db = 0;
}

static void note_delivered(struct soft_cpu *c, enum soft_event_type type, int vector)
{
	if (type == SOFT_EV_EXCEPTION && vector == EXC_DB) {
		move_causes_to_dr6(c);
		c->s.dr[6] |= DR6_FIXED;
		c->s.dr[7] &= ~(uint64_t)DR7_GD;
		c->s.debugctl &= ~(uint64_t)CV_DEBUGCTL_BTF;
	}
	if (type == SOFT_EV_NMI)
		c->s.nmi_blocked = true;
	if (type == SOFT_EV_NMI || type == SOFT_EV_EXTERNAL)
		c->s.halted = false;
	c->s.shadow = 0;
	if (soft_counts_steps(c) && type == SOFT_EV_EXCEPTION)
		c->budget--; /* a step; sub is 0 after it */
	else
		c->s.pos.sub++;
}

bool soft_deliver(struct soft_cpu *c, enum soft_event_type type, int vector, bool has_error, uint32_t error,
		  uint64_t next_rip, uint8_t *failed)
{
	bool single = c->single, ok;

	c->single = true; /* the frame's stores are carried out wherever they go */
	for (;;) {
		enum fault_class first = class_of(type, vector), second;

		note_exception(c, type, vector);
		c->fault.vector = -1;
		ok = sys_interrupt(c, NULL, type, (unsigned)vector, has_error, error, next_rip);
		if (ok) {
			note_delivered(c, type, vector);
			break;
		}
		second = class_of(SOFT_EV_EXCEPTION, c->fault.vector);
		if (first == DOUBLE_FAULT) {
			*failed = (uint8_t)vector;
			break;
		}
		if (type == SOFT_EV_NMI || type == SOFT_EV_EXTERNAL)
			c->s.halted = false;
		if (makes_double_fault(first, second)) {
			note_exception(c, SOFT_EV_EXCEPTION, c->fault.vector);
			vector = EXC_DF;
			has_error = true;
			error = 0;
		} else {
			vector = c->fault.vector;
			has_error = c->fault.has_error;
			error = c->fault.error;
		}
		type = SOFT_EV_EXCEPTION;
	}
	c->fault.vector = -1;
	c->single = single;
	return ok;
}

/* --- INT n, INT3, INTO, INT1 --- */

static void software_interrupt(struct soft_cpu *c, const struct cv_insn *i, enum soft_event_type type, unsigned vector)
{
	if (sys_interrupt(c, i, type, vector, false, 0, soft_next_rip(c, i)))
		soft_retire_to(c, i, c->s.rip);
}

/* CD ib. In virtual-8086 mode IOPL decides (VME is not there). */
void sys_op_int(struct soft_cpu *c, const struct cv_insn *i)
{
	if (soft_v86(c) && soft_iopl(c) < 3) {
		raise_gp0(c, i);
		return;
	}
	software_interrupt(c, i, SOFT_EV_SOFTINT, i->imm & 0xff);
}

void sys_op_int3(struct soft_cpu *c, const struct cv_insn *i)
{
	software_interrupt(c, i, SOFT_EV_INT3, EXC_BP);
}

void sys_op_into(struct soft_cpu *c, const struct cv_insn *i)
{
	if (soft_get_rflags(c) & CV_FLAG_OF)
		software_interrupt(c, i, SOFT_EV_INT3, EXC_OF);
	else
		soft_finish(c, i);
}

/*
 * F1: #DB as an event of its own, past the gate's DPL; DR6 is not changed, unless by a data breakpoint that a load of SS before
 * it held back: the two are one #DB.
 */
void sys_op_int1(struct soft_cpu *c, const struct cv_insn *i)
{
	software_interrupt(c, i, SOFT_EV_INT1, EXC_DB);
	if (c->fault.vector < 0)
		move_causes_to_dr6(c);
}
