/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * RUN: enter, deal with the exit or hand it to the process, again.
 *
 * All of the process's input but the general registers (any value is a guest's value) is copied once, into struct cvvtx_turn and the
 * VMCS. The loop runs with interrupts off in the guest's context (fpu.c). An exit handled here goes round; one for the process ends
 * the turn, and settle() tells it where the guest stands.
 *
 * Events. What the process asked for, or what an exit that is handled here broke off, goes in with the next entry. An event of the
 * guest's own (an exception, INT n) delivered that way at last counts a unit, as it would have counted without the exit; the
 * preemption timer doesn't see it.
 *
 * Units. The preemption timer of an emulator ticks once an instruction, and once for the VM entry itself: armed with n+1 it runs n.
 * An emulator also may forget the host's interrupts while the guest's IF is 0: every entry ends after SLICE ticks, or 10 ms.
 *
 * Stepping is done by MTF; without it by the timer where that is exact (one unit, or two where the first casts a shadow); else by TF,
 * which is set behind the guest's back while every exception exits, so that no frame on the guest's stack shows it.
 * PUSHF, POPF, IRET, INT n, INT3, INTO, SYSCALL and SYSENTER do see TF: the process must not step over these (it emulates them).
 */
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/task_work.h>
#include <asm/debugreg.h>
#include <asm/msr-index.h>

#include "module.h"

#define INFO_VALID (1u << 31)
#define INFO_VECTOR 0xffu
#define INFO_TYPE (7u << 8)
#define INFO_ERROR (1u << 11)
#define INFO_UNBLOCKED (1u << 12) /* of exits: IRET had ended NMI blocking */
#define INFO_INPUT (INFO_VALID | 0xfffu)
#define TYPE_RESERVED (1u << 8)
#define TYPE_NMI (2u << 8)
#define TYPE_EXCEPTION (3u << 8)
#define TYPE_SOFT_FIRST (4u << 8)
#define TYPE_OTHER (7u << 8) /* a pending MTF exit: nobody needs that */
#define SHADOW_STI 1u
#define SHADOW_MOV_SS 2u
#define SHADOW_NMI 8u
#define INTERRUPTIBILITY (SHADOW_STI | SHADOW_MOV_SS | SHADOW_NMI)
#define DEBUG_BS (1ull << 14)
#define DR7_GD (1ull << 13)
#define DR7_ENABLED 0xffull
#define ENTRY_FAILED (1u << 31)
#define QUAL_WRITE 2ull
#define QUAL_GLA 0x80ull
#define QUAL_UNBLOCKED 0x1000ull
#define SLICE 50000u /* ticks */

/*
 * Machine checks are the host's. #AC: a host that detects split locks (MSR_TEST_CTRL) makes one where the guest's own state asks for none; the
 * process executes the instruction and finds out.
 */
#define ALWAYS_EXIT (1u << X86_TRAP_MC | 1u << X86_TRAP_AC)

/* What to do after an exit. */
enum verdict { AGAIN, END, PIN, BREATHE };

/* --- Input --- */

static void set_control(u64 field, u32 *written, u32 v)
{
	if (*written != v) {
		*written = v;
		cvvtx_vmwrite(field, v);
	}
}

/* Copies and checks. Nothing has changed after an error. */
static int take_input(struct cvvtx_vm *vm, struct cvvtx_turn *t)
{
	struct cvvtx_run *r = vm->run;
	u32 inject = READ_ONCE(r->inject);

	memset(t, 0, sizeof(*t));
	t->each = vm->cfg.counter != CVVTX_COUNTER_PMU;
	t->flags = READ_ONCE(r->flags);
	t->limit = READ_ONCE(r->budget);
	t->delta = READ_ONCE(r->tsc_delta);
	t->floor = READ_ONCE(r->tsc_floor);
	t->nring = READ_ONCE(r->nring);
	t->ndirty = READ_ONCE(r->ndirty);
	if ((t->flags & ~CVVTX_RUN_FLAGS) || t->nring > CVVTX_RING_SLOTS || t->ndirty > CVVTX_DIRTY_SLOTS || READ_ONCE(r->reserved))
		return -EINVAL;
	if (vm->cfg.counter == CVVTX_COUNTER_NONE && t->limit != CVVTX_COUNT_NONE)
		return -EINVAL;
	if ((t->flags & CVVTX_RUN_DTABLE) && !cvvtx_can(cvvtx_caps.proc2, SECONDARY_EXEC_DESC))
		return -EINVAL;
	if (inject & INFO_VALID) {
		if ((inject & INFO_TYPE) == TYPE_RESERVED || (inject & INFO_TYPE) == TYPE_OTHER)
			return -EINVAL;
		t->event.info = inject & INFO_INPUT;
		t->event.error = READ_ONCE(r->inject_error);
		t->event.len = READ_ONCE(r->inject_len);
	}
	return 0;
}

/* The guest's debug registers: loaded where a breakpoint is armed. DR7.GD needs no help from the CPU, MOV DR exits. */
static int take_debug(struct cvvtx_vm *vm, struct cvvtx_turn *t, u64 *dr7)
{
	struct cvvtx_run *r = vm->run;
	u64 dr6 = READ_ONCE(r->dr[6]);

	*dr7 = READ_ONCE(r->dr[7]);
	if (dr6 >> 32 || *dr7 >> 32)
		return -EINVAL;
	vm->dr6 = (dr6 & 0xe00f) | DR6_RESERVED;
	return 0;
}

static void arm_breakpoints(struct cvvtx_vm *vm, u64 dr7)
{
	struct cvvtx_run *r = vm->run;

	if (!(dr7 & DR7_ENABLED))
		return;
	cvvtx_write_dr(0, READ_ONCE(r->dr[0]));
	cvvtx_write_dr(1, READ_ONCE(r->dr[1]));
	cvvtx_write_dr(2, READ_ONCE(r->dr[2]));
	cvvtx_write_dr(3, READ_ONCE(r->dr[3]));
}

static u32 exceptions_for(const struct cvvtx_turn *t, u64 dr7)
{
	if ((t->flags & CVVTX_RUN_ALL_EXCEPTIONS) || t->step == CVVTX_STEP_TF)
		return ~0u;
	if ((t->flags & CVVTX_RUN_BREAKPOINTS) || (dr7 & DR7_GD))
		return ALWAYS_EXIT | 1u << X86_TRAP_DB;
	return ALWAYS_EXIT;
}

static void write_flags(struct cvvtx_vm *vm, const struct cvvtx_turn *t)
{
	struct cvvtx_written *w = &vm->written;
	u32 proc = w->proc & ~(CPU_BASED_INTR_WINDOW_EXITING | CPU_BASED_NMI_WINDOW_EXITING | CPU_BASED_MONITOR_TRAP_FLAG);
	u32 proc2 = w->proc2 & ~SECONDARY_EXEC_DESC;

	if (t->flags & CVVTX_RUN_INTR_WINDOW)
		proc |= CPU_BASED_INTR_WINDOW_EXITING;
	if (t->flags & CVVTX_RUN_NMI_WINDOW)
		proc |= CPU_BASED_NMI_WINDOW_EXITING;
	if (t->step == CVVTX_STEP_MTF)
		proc |= CPU_BASED_MONITOR_TRAP_FLAG;
	if (t->flags & CVVTX_RUN_DTABLE)
		proc2 |= SECONDARY_EXEC_DESC;
	set_control(CPU_BASED_VM_EXEC_CONTROL, &w->proc, proc);
	set_control(SECONDARY_VM_EXEC_CONTROL, &w->proc2, proc2);
}

/* Without MTF and exact timer: TF, or, where an event goes in first, a timer that is up as soon as it's delivered. */
static void plan_step(struct cvvtx_vm *vm, struct cvvtx_turn *t, u64 *rflags, u32 *shadow)
{
	if (!(t->flags & CVVTX_RUN_STEP))
		return;
	if (cvvtx_caps.features & CVVTX_HAS_MTF) {
		t->step = CVVTX_STEP_MTF;
	} else if (vm->ticks) {
		t->step = CVVTX_STEP_TICK;
		t->limit = min_t(u64, t->limit, t->event.info ? 0 : 1);
	} else if (t->event.info && (cvvtx_caps.features & CVVTX_HAS_PREEMPTION_TIMER)) {
		t->step = CVVTX_STEP_DELIVERY;
	} else {
		t->step = CVVTX_STEP_TF;
		t->guest_tf = *rflags & X86_EFLAGS_TF;
		*rflags |= X86_EFLAGS_TF;
		/* With TF set, VM entry would want a pending #DB under these shadows; nothing is injected that they could hold up. */
		t->shadow = *shadow & (SHADOW_STI | SHADOW_MOV_SS);
		*shadow &= ~t->shadow;
	}
}

/* SDM 3C 26.3.1.5: under a shadow or in HLT a pending single-step trap must go with TF. */
static void match_pending(u64 rflags, u32 shadow, u32 activity)
{
	u64 pending, want;

	if (!(shadow & (SHADOW_STI | SHADOW_MOV_SS)) && !activity)
		return;
	pending = cvvtx_vmread(GUEST_PENDING_DBG_EXCEPTIONS);
	want = pending & ~DEBUG_BS;
	if ((rflags & X86_EFLAGS_TF) && !(cvvtx_vmread(GUEST_IA32_DEBUGCTL) & DEBUGCTLMSR_BTF))
		want |= DEBUG_BS;
	if (want != pending)
		cvvtx_vmwrite(GUEST_PENDING_DBG_EXCEPTIONS, want);
}

/* In the guest's context, which take_debug has prepared. */
static int write_input(struct cvvtx_vm *vm, struct cvvtx_turn *t, u64 dr7)
{
	struct cvvtx_run *r = vm->run;
	struct cvvtx_written *w = &vm->written;
	u64 rflags = READ_ONCE(r->rflags);
	u32 shadow = READ_ONCE(r->interruptibility), activity = READ_ONCE(r->activity);

	if ((shadow & ~INTERRUPTIBILITY) || activity > 1)
		return -EINVAL;
	plan_step(vm, t, &rflags, &shadow);
	write_flags(vm, t);
	set_control(EXCEPTION_BITMAP, &w->exceptions, exceptions_for(t, dr7));
	cvvtx_vmwrite(GUEST_RIP, READ_ONCE(r->rip));
	cvvtx_vmwrite(GUEST_RSP, READ_ONCE(r->gpr[4]));
	cvvtx_vmwrite(GUEST_RFLAGS, rflags);
	set_control(GUEST_INTERRUPTIBILITY_INFO, &w->interruptibility, shadow);
	set_control(GUEST_ACTIVITY_STATE, &w->activity, activity);
	dr7 = (dr7 & ~(DR7_GD | 0xd000)) | 0x400;
	if (dr7 != w->dr7) {
		w->dr7 = dr7;
		cvvtx_vmwrite(GUEST_DR7, dr7);
	}
	arm_breakpoints(vm, dr7);
	match_pending(rflags, shadow, activity);
	return 0;
}

/* --- Entry --- */

/*
 * The timer so that what is left of the budget runs; an own event that goes in will count one itself. Without an exact timer it stays
 * armed with the same value (exits don't save it): nothing holds the CPU for longer.
 */
static void arm_timer(struct cvvtx_vm *vm, struct cvvtx_turn *t)
{
	u64 left = t->limit > t->units ? t->limit - t->units : 0;

	if (vm->ticks) {
		t->armed = min_t(u64, left, SLICE) + 1 - (left && t->event.info && t->event.own);
		cvvtx_vmwrite(VMX_PREEMPTION_TIMER_VALUE, t->armed);
	} else if (vm->written.pin & PIN_BASED_VMX_PREEMPTION_TIMER) {
		set_control(VMX_PREEMPTION_TIMER_VALUE, &vm->written.timer, t->step == CVVTX_STEP_DELIVERY ? 0 : vm->slice);
	}
}

static void write_event(struct cvvtx_vm *vm, struct cvvtx_turn *t)
{
	t->injected = t->event;
	if (!t->event.info)
		return;
	cvvtx_vmwrite(VM_ENTRY_INTR_INFO_FIELD, t->event.info);
	if (t->event.info & INFO_ERROR)
		cvvtx_vmwrite(VM_ENTRY_EXCEPTION_ERROR_CODE, t->event.error);
	if ((t->event.info & INFO_TYPE) >= TYPE_SOFT_FIRST)
		cvvtx_vmwrite(VM_ENTRY_INSTRUCTION_LEN, t->event.len);
	t->rip_in = cvvtx_vmread(GUEST_RIP);
	t->event.info = 0;
}

/* What can change whenever interrupts are on. */
static void write_host_now(struct cvvtx_vm *vm)
{
	u64 cr3 = cvvtx_read_cr3(), cr4 = cvvtx_read_cr4();

	if (cr3 != vm->written.host_cr3) {
		vm->written.host_cr3 = cr3;
		cvvtx_vmwrite(HOST_CR3, cr3);
	}
	if (cr4 != vm->written.host_cr4) {
		vm->written.host_cr4 = cr4;
		cvvtx_vmwrite(HOST_CR4, cr4);
	}
}

/* Interrupts are off. 0: the guest ran; else VM entry failed. */
static int enter(struct cvvtx_vm *vm, struct cvvtx_turn *t)
{
	struct cvvtx_run *r = vm->run;
	u64 cr2 = READ_ONCE(r->cr2);
	int failed;

	write_host_now(vm);
	arm_timer(vm, t);
	write_event(vm, t);
	if (vm->flush_ept || vm->flush_vpid)
		cvvtx_flush(vm);
	if (cr2 != cvvtx_read_cr2())
		cvvtx_write_cr2(cr2);
	if (vm->ticks)
		t->tsc = cvvtx_rdtsc();
	failed = cvvtx_enter(r->gpr, vm->launched);
	if (unlikely(vm->host_debugctl))
		cvvtx_wrmsr(MSR_IA32_DEBUGCTLMSR, vm->host_debugctl);
	t->exits++;
	if (failed)
		return failed;
	WRITE_ONCE(r->cr2, cvvtx_read_cr2());
	t->reason = cvvtx_vmread(VM_EXIT_REASON);
	if (unlikely(t->reason & ENTRY_FAILED))
		return 0;
	vm->launched = true;
	t->entered = true;
	return 0;
}

/* --- After an exit --- */

static bool can_break_off(u32 reason)
{
	return reason == EXIT_REASON_EXCEPTION_NMI || reason == EXIT_REASON_TASK_SWITCH || reason == EXIT_REASON_EPT_VIOLATION ||
	       reason == EXIT_REASON_EPT_MISCONFIG || reason == EXIT_REASON_APIC_ACCESS || reason == EXIT_REASON_PML_FULL;
}

static bool same_event(const struct cvvtx_turn *t, u32 vectoring)
{
	return t->injected.info && !((t->injected.info ^ vectoring) & (INFO_TYPE | INFO_VECTOR)) &&
	       cvvtx_vmread(GUEST_RIP) == t->rip_in;
}

/* Finds an event whose delivery the exit broke off: it goes in again. Counts the guest's own that got delivered. */
static void look_at_delivery(struct cvvtx_turn *t)
{
	u32 vectoring = can_break_off(t->reason) ? cvvtx_vmread(IDT_VECTORING_INFO_FIELD) : 0;
	bool same;

	if (likely(!(vectoring & INFO_VALID))) {
		if (unlikely(t->injected.info && t->injected.own))
			t->units += t->each;
		return;
	}
	same = same_event(t, vectoring);
	if (t->injected.info && t->injected.own && !same)
		t->units += t->each;
	t->event.info = vectoring & INFO_INPUT & ~INFO_UNBLOCKED;
	t->event.error = vectoring & INFO_ERROR ? cvvtx_vmread(IDT_VECTORING_ERROR_CODE) : 0;
	t->event.len = (vectoring & INFO_TYPE) >= TYPE_SOFT_FIRST ? cvvtx_vmread(VM_EXIT_INSTRUCTION_LEN) : 0;
	t->event.own = same ? t->injected.own : (vectoring & INFO_TYPE) >= TYPE_EXCEPTION;
	/* An NMI that goes in again must not find itself blocked. */
	if ((vectoring & INFO_TYPE) == TYPE_NMI)
		cvvtx_vmwrite(GUEST_INTERRUPTIBILITY_INFO, cvvtx_vmread(GUEST_INTERRUPTIBILITY_INFO) & ~(u64)SHADOW_NMI);
}

/* What the guest executed since the entry. */
static void count_units(struct cvvtx_vm *vm, struct cvvtx_turn *t)
{
	u64 ticks;
	u32 left;

	if (vm->cfg.counter == CVVTX_COUNTER_PMU)
		t->units = cvvtx_pmu_count(vm) - t->pmu_base;
	/* In HLT time passes without instructions. */
	if (!vm->ticks || (vm->written.activity && !t->injected.info))
		return;
	ticks = vm->tsc_at_exit->value - t->tsc;
	if (vm->overhead) {
		/* An exit while an event is injected comes before the entry's own tick. */
		if (ticks > vm->overhead)
			t->units += ticks - vm->overhead;
		return;
	}
	left = cvvtx_vmread(VMX_PREEMPTION_TIMER_VALUE);
	if (t->armed > left) {
		t->units += t->armed - left - 1;
		vm->overhead_seen = ticks - (t->armed - left - 1);
	}
}

static void block_nmi(void)
{
	cvvtx_vmwrite(GUEST_INTERRUPTIBILITY_INFO, cvvtx_vmread(GUEST_INTERRUPTIBILITY_INFO) | SHADOW_NMI);
}

static enum verdict end(struct cvvtx_turn *t, u32 exit)
{
	t->exit = exit;
	return END;
}

/* Passes the instruction that exited. */
static void advance(struct cvvtx_vm *vm, struct cvvtx_turn *t)
{
	u64 rip = cvvtx_vmread(GUEST_RIP), next = rip + cvvtx_vmread(VM_EXIT_INSTRUCTION_LEN);
	u64 shadow = cvvtx_vmread(GUEST_INTERRUPTIBILITY_INFO);

	if (unlikely((next ^ rip) >> 32) && !(cvvtx_vmread(GUEST_CS_AR_BYTES) & 0x2000))
		next = (u32)next;
	cvvtx_vmwrite(GUEST_RIP, next);
	if (shadow & (SHADOW_STI | SHADOW_MOV_SS))
		cvvtx_vmwrite(GUEST_INTERRUPTIBILITY_INFO, shadow & ~(u64)(SHADOW_STI | SHADOW_MOV_SS));
	/* The guest's own single-step trap comes behind it. */
	if (unlikely(t->step == CVVTX_STEP_TF ? t->guest_tf : !!(cvvtx_vmread(GUEST_RFLAGS) & X86_EFLAGS_TF)))
		cvvtx_vmwrite(GUEST_PENDING_DBG_EXCEPTIONS, cvvtx_vmread(GUEST_PENDING_DBG_EXCEPTIONS) | DEBUG_BS);
	t->stepped = true;
}

static u64 linear_rip(const struct cvvtx_vm *vm)
{
	u64 rip = cvvtx_vmread(GUEST_RIP);

	if ((vm->efer & EFER_LMA) && (cvvtx_vmread(GUEST_CS_AR_BYTES) & 0x2000))
		return rip;
	return (u32)(cvvtx_vmread(GUEST_CS_BASE) + rip);
}

static enum verdict time_stamp(struct cvvtx_vm *vm, struct cvvtx_turn *t, bool rdtscp)
{
	struct cvvtx_run *r = vm->run;
	struct cvvtx_tsc *slot;
	u64 v;

	if (!(t->flags & CVVTX_RUN_TSC))
		return end(t, t->reason);
	if (t->nring >= CVVTX_RING_SLOTS)
		return end(t, CVVTX_EXIT_RING);
	v = ktime_get_ns() + t->delta;
	if (v < t->floor)
		v = t->floor;
	t->floor = v;
	slot = &vm->ring[t->nring++];
	slot->units = vm->cfg.counter == CVVTX_COUNTER_NONE ? 0 : t->units;
	slot->rip = linear_rip(vm);
	slot->value = v;
	slot->rdtscp = rdtscp;
	slot->reserved = 0;
	r->gpr[0] = (u32)v;
	r->gpr[2] = v >> 32;
	if (rdtscp)
		r->gpr[1] = (u32)vm->msrs->guest[CVVTX_AUX].value;
	advance(vm, t);
	t->units += t->each;
	return t->flags & CVVTX_RUN_STEP ? end(t, CVVTX_EXIT_STEP) : AGAIN;
}

static enum verdict serve_host(struct cvvtx_vm *vm, struct cvvtx_turn *t)
{
	t->host_interrupts++;
	local_irq_enable();
	asm volatile("nop"); /* interrupts come behind the instruction after STI */
	local_irq_disable();
	return need_resched() || vm->since != jiffies ? BREATHE : AGAIN;
}

static enum verdict exception(struct cvvtx_vm *vm, struct cvvtx_turn *t)
{
	t->intr_info = cvvtx_vmread(VM_EXIT_INTR_INFO);
	if ((t->intr_info & INFO_TYPE) == TYPE_NMI) {
		t->host_interrupts++;
		asm volatile("int $2");
		return serve_host(vm, t);
	}
	if ((t->intr_info & INFO_VECTOR) == X86_TRAP_MC) {
		asm volatile("int $18");
		return serve_host(vm, t);
	}
	t->qualification = cvvtx_vmread(EXIT_QUALIFICATION);
	if (t->intr_info & INFO_ERROR)
		t->intr_error = cvvtx_vmread(VM_EXIT_INTR_ERROR_CODE);
	if ((t->intr_info & INFO_UNBLOCKED) && (t->intr_info & INFO_VECTOR) != X86_TRAP_DF && !t->event.info)
		block_nmi();
	if (t->step == CVVTX_STEP_TF && (t->intr_info & INFO_VECTOR) == X86_TRAP_DB && (t->qualification & DEBUG_BS)) {
		t->stepped = true;
		if (!t->guest_tf && !(t->qualification & ~DEBUG_BS))
			return end(t, CVVTX_EXIT_STEP);
	}
	return end(t, t->reason);
}

static enum verdict ept_violation(struct cvvtx_vm *vm, struct cvvtx_turn *t)
{
	u64 page;

	t->gpa = cvvtx_vmread(GUEST_PHYSICAL_ADDRESS);
	t->qualification = cvvtx_vmread(EXIT_QUALIFICATION);
	if ((t->qualification & QUAL_UNBLOCKED) && !t->event.info)
		block_nmi();
	if (!cvvtx_ept_ram(vm, t->gpa, &page)) {
		t->gla = t->qualification & QUAL_GLA ? cvvtx_vmread(GUEST_LINEAR_ADDRESS) : 0;
		return end(t, CVVTX_EXIT_MMIO);
	}
	switch (cvvtx_ept_fault(vm, t->gpa, t->qualification & QUAL_WRITE, &t->ndirty)) {
	case CVVTX_FAULT_DONE: return AGAIN;
	case CVVTX_FAULT_PIN: return PIN;
	default: return end(t, CVVTX_EXIT_DIRTY);
	}
}

static enum verdict timer(struct cvvtx_vm *vm, struct cvvtx_turn *t)
{
	if (t->step == CVVTX_STEP_DELIVERY)
		return end(t, CVVTX_EXIT_STEP);
	return serve_host(vm, t); /* the loop's head sees a budget that is used up */
}

static enum verdict entry_failed(struct cvvtx_turn *t, u64 why)
{
	t->qualification = why;
	t->event = t->injected; /* not taken */
	cvvtx_vmwrite(VM_ENTRY_INTR_INFO_FIELD, 0);
	return end(t, CVVTX_EXIT_ENTRY_FAILED);
}

/*
 * Bochs notes a single-step trap before the instruction begins, and saves it as pending also where the instruction exits undone. Real CPUs
 * don't, and there is none then.
 */
static void forget_early_trap(struct cvvtx_vm *vm, const struct cvvtx_turn *t)
{
	u64 pending;

	if (!vm->ticks || t->reason == EXIT_REASON_EXTERNAL_INTERRUPT || t->reason == EXIT_REASON_PREEMPTION_TIMER ||
	    t->reason == EXIT_REASON_INTERRUPT_WINDOW || t->reason == EXIT_REASON_NMI_WINDOW)
		return;
	pending = cvvtx_vmread(GUEST_PENDING_DBG_EXCEPTIONS);
	if (pending & DEBUG_BS)
		cvvtx_vmwrite(GUEST_PENDING_DBG_EXCEPTIONS, pending & ~DEBUG_BS);
}

static enum verdict handle(struct cvvtx_vm *vm, struct cvvtx_turn *t)
{
	if (unlikely(t->reason & ENTRY_FAILED))
		return entry_failed(t, t->reason & 0xffff);
	count_units(vm, t);
	look_at_delivery(t);
	forget_early_trap(vm, t);
	switch (t->reason) {
	case EXIT_REASON_EXTERNAL_INTERRUPT: return serve_host(vm, t);
	case EXIT_REASON_EXCEPTION_NMI: return exception(vm, t);
	case EXIT_REASON_RDTSC: return time_stamp(vm, t, false);
	case EXIT_REASON_RDTSCP: return time_stamp(vm, t, true);
	case EXIT_REASON_EPT_VIOLATION: return ept_violation(vm, t);
	case EXIT_REASON_PREEMPTION_TIMER: return timer(vm, t);
	case EXIT_REASON_MONITOR_TRAP_FLAG: t->stepped = true; return end(t, CVVTX_EXIT_STEP);
	default: t->qualification = cvvtx_vmread(EXIT_QUALIFICATION); return end(t, t->reason);
	}
}

/* --- The loop --- */

/* Before an entry, interrupts off: is there a reason not to? */
static bool must_end(struct cvvtx_vm *vm, struct cvvtx_turn *t)
{
	if (unlikely(t->units >= t->limit && !t->event.info)) {
		end(t, t->step == CVVTX_STEP_TICK && t->entered ? CVVTX_EXIT_STEP : CVVTX_EXIT_COUNT);
	} else if (unlikely(signal_pending(current))) {
		t->error = -EINTR;
		end(t, CVVTX_EXIT_SIGNAL);
	} else if (unlikely(READ_ONCE(vm->run->leave) || task_work_pending(current))) {
		end(t, CVVTX_EXIT_SIGNAL);
	} else if (unlikely(!cvvtx_vmx_is_on())) {
		t->error = -ESHUTDOWN;
		end(t, CVVTX_EXIT_SIGNAL);
	} else if (unlikely(vm->cfg.counter == CVVTX_COUNTER_PMU && (t->error = cvvtx_pmu_prepare(vm)))) {
		/* "Not now" is no error: the process comes again. */
		t->error = t->error == -EAGAIN ? 0 : t->error;
		end(t, CVVTX_EXIT_SIGNAL);
	} else {
		return false;
	}
	return true;
}

/* Work that may sleep, out of the guest's context. The turn goes on, or ends. */
static bool work_outside(struct cvvtx_vm *vm, struct cvvtx_turn *t, enum verdict why)
{
	int rc = 0;

	local_irq_enable();
	cvvtx_context_leave(vm);
	if (why == PIN)
		rc = cvvtx_ept_pin(vm, t->gpa);
	else
		cond_resched();
	cvvtx_context_enter(vm);
	arm_breakpoints(vm, vm->written.dr7);
	local_irq_disable();
	if (rc) {
		end(t, CVVTX_EXIT_MEMORY);
		t->qualification = -rc;
		return false;
	}
	if (why == PIN && cvvtx_ept_fault(vm, t->gpa, t->qualification & QUAL_WRITE, &t->ndirty) == CVVTX_FAULT_FULL) {
		end(t, CVVTX_EXIT_DIRTY);
		return false;
	}
	return true;
}

static void loop(struct cvvtx_vm *vm, struct cvvtx_turn *t)
{
	enum verdict v = AGAIN;

	while (v != END && !must_end(vm, t)) {
		int failed = enter(vm, t);

		if (unlikely(failed))
			v = entry_failed(t, cvvtx_vmread(VM_INSTRUCTION_ERROR));
		else
			v = handle(vm, t);
		if ((v == PIN || v == BREATHE) && !work_outside(vm, t, v))
			break;
	}
}

/* --- Output --- */

/* Where the guest stands. In its context. */
static void settle(struct cvvtx_vm *vm, struct cvvtx_turn *t)
{
	struct cvvtx_run *r = vm->run;
	struct cvvtx_written *w = &vm->written;
	u64 rflags = cvvtx_vmread(GUEST_RFLAGS);

	if (t->step == CVVTX_STEP_TF)
		rflags = t->guest_tf ? rflags | X86_EFLAGS_TF : rflags & ~(u64)X86_EFLAGS_TF;
	r->rip = cvvtx_vmread(GUEST_RIP);
	r->gpr[4] = cvvtx_vmread(GUEST_RSP);
	r->rflags = rflags;
	w->interruptibility = cvvtx_vmread(GUEST_INTERRUPTIBILITY_INFO);
	r->interruptibility = w->interruptibility & INTERRUPTIBILITY;
	if (t->shadow && !t->stepped)
		r->interruptibility |= t->shadow;
	if (w->activity)
		w->activity = cvvtx_vmread(GUEST_ACTIVITY_STATE);
	r->activity = w->activity;
	r->cs_base = cvvtx_vmread(GUEST_CS_BASE);
	r->cs_ar = cvvtx_vmread(GUEST_CS_AR_BYTES);
	r->efer = vm->efer;
	r->insn_len = t->exit < 0x1000 ? cvvtx_vmread(VM_EXIT_INSTRUCTION_LEN) : 0;
}

static void tell(struct cvvtx_vm *vm, const struct cvvtx_turn *t)
{
	struct cvvtx_run *r = vm->run;

	r->exit = t->exit;
	r->qualification = t->qualification;
	r->gpa = t->gpa;
	r->gla = t->gla;
	r->intr_info = t->intr_info & ~INFO_UNBLOCKED;
	r->intr_error = t->intr_error;
	r->vector_info = 0;
	if (t->entered) {
		r->inject = 0;
		r->vector_info = t->event.info ? t->event.info | (t->event.own ? 0 : CVVTX_VECTOR_INJECTED) : 0;
		r->vector_error = t->event.error;
		if (t->event.info)
			r->inject_len = t->event.len;
	}
	r->dr[6] = vm->dr6;
	r->units = vm->cfg.counter == CVVTX_COUNTER_NONE ? 0 : t->units;
	r->tsc_floor = t->floor;
	r->nring = t->nring;
	r->ndirty = t->ndirty;
	r->exits += t->exits;
	r->host_interrupts += t->host_interrupts;
}

long cvvtx_run(struct cvvtx_vm *vm)
{
	struct cvvtx_turn t;
	u64 dr7;
	int rc = take_input(vm, &t);

	if (!rc)
		rc = take_debug(vm, &t, &dr7);
	if (!rc && vm->cfg.counter == CVVTX_COUNTER_PMU)
		rc = cvvtx_pmu_begin(vm, t.limit);
	if (rc)
		return rc;
	cvvtx_context_enter(vm);
	rc = write_input(vm, &t, dr7);
	if (!rc) {
		local_irq_disable();
		if (vm->cfg.counter == CVVTX_COUNTER_PMU)
			t.pmu_base = cvvtx_pmu_count(vm);
		loop(vm, &t);
		local_irq_enable();
		settle(vm, &t);
	}
	cvvtx_context_leave(vm);
	if (rc)
		return rc;
	tell(vm, &t);
	return t.error;
}
