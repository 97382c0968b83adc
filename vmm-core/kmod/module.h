/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The inside of chronovisor_vtx.
 *
 *	main.c		the device: open files, ioctls, argument checks
 *	cpu.c		VMX on and off on all CPUs, capabilities, hotplug, suspend, reboot
 *	vmcs.c		a machine's VMCS: controls, host state, loading and clearing
 *	state.c		GET_STATE and SET_STATE
 *	ept.c		guest memory: pinned pages, EPT, dirty tracking
 *	fpu.c		the guest's x87/SSE/AVX state and debug registers around entries
 *	run.c		RUN: entries, exits, events, time stamps
 *	counter.c	the bench counter's self-test
 *	pmu.c		the counter of conditional branches
 *	entry.S		the world switch
 *
 * A machine is used by one thread at a time (cvvtx_vm.lock). Its VMCS is in use on one CPU at most (cvvtx_vm.cpu) and is only touched
 * with preemption off, after cvvtx_vmcs_load.
 */
#ifndef CVVTX_MODULE_H
#define CVVTX_MODULE_H

#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/types.h>
#include <asm/desc.h>
#include <asm/trapnr.h>
#include <asm/vmx.h>

#include "abi.h"
#include "compat.h"

/* An event for VM entry. `info` as in the VMCS; 0: none. */
struct cvvtx_event {
	u32 info, error, len;
	bool own; /* the guest's own, broken off by an exit: when it's delivered at last, it counts */
};

/* MSRs that entry and exit swap. */
enum { CVVTX_STAR, CVVTX_LSTAR, CVVTX_CSTAR, CVVTX_FMASK, CVVTX_KERNEL_GS, CVVTX_AUX, CVVTX_TSX, CVVTX_MSRS };

struct cvvtx_msrs {
	struct vmx_msr_entry guest[CVVTX_MSRS + 1]; /* behind those in use: the TSC, stored by exits where the timer is exact */
	struct vmx_msr_entry host[CVVTX_MSRS + 1]; /* ... in both: what switches the branch counter on and off */
};

/* What is in the VMCS, so that it is only written where it changes. */
struct cvvtx_written {
	u32 pin, proc, proc2, exceptions, entry, timer;
	u32 interruptibility, activity;
	u64 dr7;
	u64 host_cr3, host_cr4, host_fs_base;
};

struct cvvtx_vm {
	struct mutex lock;
	struct mm_struct *mm; /* of the creator; counted as a struct, not as memory */
	struct cvvtx_create cfg;

	/* The shared pages. */
	void *shared;
	struct cvvtx_run *run;
	struct cvvtx_tsc *ring;
	u32 *dirty;

	/* The VMCS. */
	struct page *vmcs;
	int cpu;       /* where it is in use; -1: nowhere */
	bool launched; /* since it was cleared */
	u16 vpid;      /* 0: without */
	void *msr_bitmap;
	struct cvvtx_msrs *msrs;
	bool tsx_off; /* entry switches transactions off (constant) */
	struct cvvtx_written written;
	u64 host_debugctl;
	u32 slice; /* preemption timer where it isn't exact: 10 ms */
	struct vmx_msr_entry *tsc_at_exit;
	bool ticks;	/* the preemption timer is on and ticks by instructions */
	u64 overhead;	/* ticks of an entry that aren't the guest's; 0: only the timer tells */
	u64 overhead_seen;
	struct {
		struct perf_event *event;  /* owned; NULL before the first RUN */
		struct task_struct *task;  /* whose it is; only compared */
		struct vmx_msr_entry *guest, *host; /* IA32_PERF_GLOBAL_CTRL in the lists of entry and exit */
	} pmu;

	/* The guest's state beside the VMCS. */
	u64 xcr0;
	u32 efer; /* constant between exits */
	void *xsave;		/* a page */
	struct cvvtx_state *state; /* for copying */
	u64 dr6;

	/* Host state to restore when the thread leaves the guest's context. */
	struct desc_ptr gdt;
	u16 sel_ds, sel_es, sel_fs, sel_gs, sel_ldt;
	u64 fs_base, kernel_gs_base;
	unsigned long since; /* jiffies when the context was entered */

	/* Guest memory. */
	u64 *ept;		  /* root table */
	struct page **pages;	  /* pinned pages of RAM, by index; NULL: not yet */
	unsigned long *dirty_map; /* pages that are listed and writable */
	u64 npages;
	bool flush_ept, flush_vpid;
};

/* How a single step is made. */
enum cvvtx_step { CVVTX_STEP_NONE, CVVTX_STEP_MTF, CVVTX_STEP_TICK, CVVTX_STEP_TF, CVVTX_STEP_DELIVERY };

/* One RUN. */
struct cvvtx_turn {
	u32 flags;
	enum cvvtx_step step;
	u64 limit; /* units after which to end */
	u64 units;
	u64 each;     /* units of an instruction that is carried out here: 1, or 0 where branches count */
	u64 pmu_base;
	struct cvvtx_event event;    /* to inject at the next entry */
	struct cvvtx_event injected; /* by the last entry */
	bool entered;		     /* at least once: `inject` was taken */
	u32 nring, ndirty;
	u64 delta, floor;
	u64 rip_in;	   /* RIP at the last entry, where an event was injected */
	bool guest_tf;
	u32 shadow;	   /* interruptibility bits that the step took away */
	u32 armed;	   /* preemption timer */
	u64 tsc;	   /* before the entry */
	/* The exit. */
	u32 reason;
	u64 qualification, gpa, gla;
	u32 intr_info, intr_error;
	bool stepped;
	u32 exit;
	int error; /* RUN's result */
	u64 exits, host_interrupts;
};

/* cpu.c */
extern struct cvvtx_info cvvtx_caps; /* constant after cvvtx_cpu_init */
DECLARE_PER_CPU(struct cvvtx_vm *, cvvtx_current); /* whose VMCS this CPU's VMX instructions act on */
int cvvtx_cpu_init(void);
void cvvtx_cpu_exit(void);
u32 cvvtx_refused(void);      /* CVVTX_NO_*, as of now */
int cvvtx_vmx_get(void);      /* a machine more: VMX is on from now on */
void cvvtx_vmx_put(void);
bool cvvtx_vmx_is_on(void);   /* on this CPU; interrupts off */

/* vmcs.c */
int cvvtx_vm_init(struct cvvtx_vm *vm); /* needs cfg; VMX is on */
void cvvtx_vm_release(struct cvvtx_vm *vm);
void cvvtx_vmcs_load(struct cvvtx_vm *vm);
void cvvtx_flush(struct cvvtx_vm *vm); /* stale translations, if any; interrupts off */

/* state.c */
void cvvtx_state_reset(struct cvvtx_vm *vm, struct cvvtx_state *s); /* real mode, all else 0 */
int cvvtx_state_set(struct cvvtx_vm *vm, const struct cvvtx_state *s);
void cvvtx_state_get(struct cvvtx_vm *vm, struct cvvtx_state *s);

/* ept.c */
int cvvtx_ept_init(struct cvvtx_vm *vm);
void cvvtx_ept_release(struct cvvtx_vm *vm);
u64 cvvtx_eptp(const struct cvvtx_vm *vm);
bool cvvtx_ept_ram(const struct cvvtx_vm *vm, u64 gpa, u64 *page);
enum cvvtx_fault { CVVTX_FAULT_DONE, CVVTX_FAULT_PIN, CVVTX_FAULT_FULL };
enum cvvtx_fault cvvtx_ept_fault(struct cvvtx_vm *vm, u64 gpa, bool write, u32 *ndirty); /* never sleeps */
int cvvtx_ept_pin(struct cvvtx_vm *vm, u64 gpa);
int cvvtx_ept_map(struct cvvtx_vm *vm, u64 gpa, struct page *page, bool write);
void cvvtx_ept_protect(struct cvvtx_vm *vm);
void cvvtx_ept_drop(struct cvvtx_vm *vm);

/* fpu.c */
void cvvtx_fpu_init(void);
u64 cvvtx_host_xcr0(void);
int cvvtx_xsave_check(const struct cvvtx_vm *vm, const u8 *image);
void cvvtx_context_enter(struct cvvtx_vm *vm); /* preemption is off until leave */
void cvvtx_context_leave(struct cvvtx_vm *vm);

/* run.c */
long cvvtx_run(struct cvvtx_vm *vm);

/* counter.c */
u64 cvvtx_exact_timer(void); /* VMX is on */
extern u64 cvvtx_overhead;   /* cpu.c: what it found; 0: the timer isn't exact */

/* pmu.c: with CVVTX_COUNTER_PMU */
bool cvvtx_pmu_possible(void);
bool cvvtx_pmu_valid(u64 event);
void cvvtx_pmu_release(struct cvvtx_vm *vm);
int cvvtx_pmu_begin(struct cvvtx_vm *vm, u64 budget);
int cvvtx_pmu_prepare(struct cvvtx_vm *vm);
u64 cvvtx_pmu_count(struct cvvtx_vm *vm);

/* entry.S: 0: the guest ran and exited; 1: VM entry failed at once */
int cvvtx_enter(u64 *gpr, bool launched);
void cvvtx_exited(void);

static inline void cvvtx_vmwrite(u64 field, u64 v)
{
	asm volatile("1: vmwrite %1, %0\n2:\n" _ASM_EXTABLE(1b, 2b) : : "r"(field), "rm"(v) : "cc");
}

static inline u64 cvvtx_vmread(u64 field)
{
	u64 v = 0;

	asm volatile("1: vmread %1, %0\n2:\n" _ASM_EXTABLE(1b, 2b) : "+r"(v) : "r"(field) : "cc");
	return v;
}

/* Controls: what is wanted as far as it's allowed, and what must be. */
static inline u32 cvvtx_allowed(u32 want, u64 capability)
{
	return (want | (u32)capability) & (u32)(capability >> 32);
}

static inline bool cvvtx_can(u64 capability, u32 bits)
{
	return ((capability >> 32) & bits) == bits;
}

#endif
