/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The interface of /dev/chronovisor-vtx between the kernel module (vmm-core/kmod) and the VT-x engine (vmm-core/vtx).
 *
 * One open file is at most one virtual machine with one vCPU. The module enters the guest and comes back with an exit; what an exit
 * means is decided by the process. Life of a file: INFO, CREATE, mmap of CVVTX_MMAP_SIZE bytes at offset 0, SET_STATE, then RUN as
 * often as wanted. Closing the file, or the death of the process, ends the machine. Only the process (its address space) that
 * created the machine may use it; one RUN at a time (EBUSY).
 *
 * All numbers have a fixed width and the layout has no hidden padding: the same for 32- and 64-bit programs. Whatever the process
 * writes into the shared pages or passes here is checked (the reserved fields must be 0): bad values give EINVAL, never trouble for
 * the host. A state that VT-x refuses to enter gives CVVTX_EXIT_ENTRY_FAILED.
 *
 * Positions. `units` counts what the counter counts, from the module's point of view since RUN began. CVVTX_COUNTER_BENCH counts every
 * instruction, every iteration of a REP, and every exception delivered by the guest's own IDT without an exit (see
 * docs/vtx-determinism.md); an instruction that exits isn't counted: who carries it out adds it.
 * A budget that ends right behind STI, MOV SS or POP SS, in the shadow of which the emulator holds its timer back, ends one unit later
 * (two where two of them follow each other), and `units` says so; so does a STEP by the timer. Who needs the position in the shadow
 * stops earlier.
 */
#ifndef CVVTX_ABI_H
#define CVVTX_ABI_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define CVVTX_ABI_VERSION 1
#define CVVTX_DEVICE "/dev/chronovisor-vtx"

/* --- CVVTX_INFO: what this host can do. No machine is needed. --- */

/* Why VT-x can't be used: bits of cvvtx_info.refused; 0: it can. */
#define CVVTX_NO_VMX (1u << 0)		    /* not an Intel CPU with VMX */
#define CVVTX_NO_BIOS (1u << 1)		    /* IA32_FEATURE_CONTROL is locked with VMX off */
#define CVVTX_NO_OTHER (1u << 2)	    /* another hypervisor (KVM) has turned VMX on */
#define CVVTX_NO_EPT (1u << 3)		    /* no EPT with 4 levels and write-back memory */
#define CVVTX_NO_UNRESTRICTED (1u << 4)	    /* no unrestricted guest */
#define CVVTX_NO_RDTSC_EXITING (1u << 5)
#define CVVTX_NO_MSR_BITMAP (1u << 6)
#define CVVTX_NO_NMI (1u << 7)		    /* no NMI exiting or no virtual NMIs */
#define CVVTX_NO_EFER (1u << 8)		    /* entry and exit don't load EFER and PAT */
#define CVVTX_NO_RDRAND_EXITING (1u << 9)   /* has RDRAND or RDSEED and can't make it exit */
#define CVVTX_NO_VPID (1u << 10)	    /* never alone a reason: only told */
#define CVVTX_NO_DTABLE (1u << 11)	    /* no descriptor-table exiting (UMIP can't be emulated); alone no reason */
#define CVVTX_NO_FRED (1u << 12)	    /* the host kernel takes its events by FRED, which this module can't restore */

/* What there is besides: bits of cvvtx_info.features. */
#define CVVTX_HAS_MTF (1u << 0)
#define CVVTX_HAS_PREEMPTION_TIMER (1u << 1)
#define CVVTX_HAS_EXACT_TIMER (1u << 2) /* it ticks once an instruction: an emulator; COUNTER_BENCH works */
#define CVVTX_HAS_PMU (1u << 3)		/* perf gives the module a guest-only counter: COUNTER_PMU works */
#define CVVTX_HAS_EPT_2M (1u << 4)
#define CVVTX_HAS_EPT_AD (1u << 5)
#define CVVTX_HAS_PML (1u << 6)
#define CVVTX_HAS_VPID (1u << 7)
#define CVVTX_HAS_INVPCID (1u << 8)
#define CVVTX_HAS_RDTSCP (1u << 9)
#define CVVTX_HAS_XSAVE (1u << 10)
#define CVVTX_HAS_AVX (1u << 11)

struct cvvtx_info {
	__u32 version; /* in: CVVTX_ABI_VERSION; out: the module's. EINVAL (after it is filled) where they differ */
	__u32 refused;
	__u32 features;
	__u32 reserved;
	__u64 vmx_basic, pin, proc, proc2, exit, entry, ept_vpid, misc; /* the capability MSRs, for people; 0: absent */
};

/* --- CVVTX_CREATE --- */

/* COUNTER_NONE: `budget` must be CVVTX_COUNT_NONE, `units` stays 0. */
enum { CVVTX_COUNTER_NONE = 0, CVVTX_COUNTER_BENCH = 1, CVVTX_COUNTER_PMU = 2 };

struct cvvtx_create {
	__u32 version;
	__u32 counter;	    /* CVVTX_COUNTER_* */
	__u64 ram;	    /* user address of guest RAM, page-aligned, a shared writable mapping */
	__u64 ram_size;	    /* bytes, a multiple of 1 MiB, at most 16 GiB */
	__u64 ram_low;	    /* so much of it lies at guest-physical 0; the rest at 4 GiB. min(ram_size, 3 GiB) */
	__u64 xcr0_allowed; /* components that the guest may ever enable: 1 (x87), 3 (SSE) or 7 (AVX) */
	__u64 pmu_event;    /* COUNTER_PMU: IA32_PERFEVTSELx bits 15:0 (event, umask) and 47:40 (more of the umask) */
	__u64 reserved[2];
};

/* --- The shared pages --- */

#define CVVTX_MMAP_RUN 0
#define CVVTX_MMAP_RING 0x1000
#define CVVTX_MMAP_DIRTY 0x5000
#define CVVTX_MMAP_SIZE 0x9000
#define CVVTX_RING_SLOTS 512
#define CVVTX_DIRTY_SLOTS 4096

/* cvvtx_run.flags */
#define CVVTX_RUN_STEP (1u << 0)	/* one instruction, by MTF or hidden TF: CVVTX_EXIT_STEP unless something exits before */
#define CVVTX_RUN_INTR_WINDOW (1u << 1) /* exit as soon as an interrupt could be injected */
#define CVVTX_RUN_NMI_WINDOW (1u << 2)
#define CVVTX_RUN_TSC (1u << 3)		/* RDTSC and RDTSCP are answered in the module and noted in the ring */
#define CVVTX_RUN_DTABLE (1u << 4)	/* SGDT, SIDT, SLDT, STR and loads of these registers exit (UMIP) */
#define CVVTX_RUN_ALL_EXCEPTIONS (1u << 5) /* every exception exits */
#define CVVTX_RUN_BREAKPOINTS (1u << 6)	/* DR0..DR3 and DR7 of `dr` are the debugger's: #DB exits; else the guest's */
#define CVVTX_RUN_FLAGS 0x7fu

/* cvvtx_run.exit: an exit reason of the SDM (3C appendix C), or of the module's own: */
enum {
	CVVTX_EXIT_COUNT = 0x1000,  /* the budget is used up: units == budget (or more, see above; PMU: somewhere behind it) */
	CVVTX_EXIT_STEP = 0x1001,   /* one instruction was executed */
	CVVTX_EXIT_SIGNAL = 0x1002, /* a signal is pending, or `leave` was set: RUN also returns EINTR for a signal. Or for the kernel's
				       own purposes: just RUN again (units of this RUN were executed) */
	CVVTX_EXIT_RING = 0x1003,   /* the ring of RDTSC answers is full */
	CVVTX_EXIT_DIRTY = 0x1004,  /* the list of dirtied pages is full */
	CVVTX_EXIT_MMIO = 0x1005,   /* EPT violation outside RAM: gpa, gla, qualification */
	CVVTX_EXIT_ENTRY_FAILED = 0x1006, /* qualification: VM-instruction error or the failed entry's reason */
	CVVTX_EXIT_MEMORY = 0x1007, /* a page of RAM could not be pinned: gpa; qualification: errno */
};

#define CVVTX_COUNT_NONE (~0ull)

/*
 * In vector_info, beside the SDM's bits: the event broken off is the one that this RUN was asked to inject, not one of the guest's
 * own. `inject` may hold this bit: it's ignored there, as are all bits but 31 and 11:0.
 */
#define CVVTX_VECTOR_INJECTED (1u << 30)

struct cvvtx_run {
	/* In: read at RUN. */
	__u32 flags;
	__u32 inject;	      /* VM-entry interruption information (SDM 3C 24.8.3), bit 31: valid. Taken: reads 0 afterwards */
	__u32 inject_error;
	__u32 inject_len;
	__u64 budget;	      /* units after which to exit; CVVTX_COUNT_NONE: no limit */
	__u64 tsc_delta;      /* RUN_TSC: the guest reads CLOCK_MONOTONIC in ns + tsc_delta, but never less than tsc_floor */
	__u64 tsc_floor;      /* in and out: the last answer */
	/* In and out. */
	__u64 gpr[16];	      /* RAX RCX RDX RBX RSP RBP RSI RDI R8..R15 */
	__u64 rip, rflags, cr2;
	__u64 dr[8];	      /* 0..3, 6, 7 */
	__u32 interruptibility; /* SDM 3C table 24-3 */
	__u32 activity;	      /* 0 active, 1 HLT */
	/* Out. */
	__u32 exit;
	__u32 insn_len;
	__u64 qualification, gla, gpa;
	__u32 intr_info, intr_error; /* of exits by exceptions */
	__u32 vector_info, vector_error; /* IDT-vectoring: an event whose delivery the exit broke off; the next RUN doesn't repeat it */
	__u64 units;	      /* counted since this RUN began */
	__u32 nring, ndirty;  /* out: filled slots. The process sets them to 0 when it has read them; RUN goes on behind them */
	__u64 exits;	      /* world switches since CREATE, for people */
	__u64 host_interrupts;
	__u64 cs_base;	      /* out: CS as it is at this exit: what RIP means, without a GET_STATE */
	__u32 cs_ar, efer;    /* out: EFER's low half, LMA among it */
	/* Set to 1 at any time, also by a signal handler: RUN returns before the next entry. The process clears it. */
	__u32 leave;
	__u32 reserved;
};

struct cvvtx_tsc { /* ring slot */
	__u64 units; /* of this RUN, before the instruction */
	__u64 rip;   /* of the instruction, linear */
	__u64 value; /* what the guest got */
	__u32 rdtscp;
	__u32 reserved;
};

/* The dirty list is an array of __u32: RAM page numbers (index in `ram`), each once since CREATE, PROTECT or DROP. */

/* --- CVVTX_GET_STATE, CVVTX_SET_STATE: all that isn't in cvvtx_run --- */

struct cvvtx_seg {
	__u64 base;
	__u32 limit;
	__u32 ar; /* as in the VMCS */
	__u16 sel;
	__u16 reserved[3];
};

struct cvvtx_dtr {
	__u64 base;
	__u32 limit;
	__u32 reserved;
};

struct cvvtx_state {
	struct cvvtx_seg seg[8]; /* ES CS SS DS FS GS LDTR TR */
	struct cvvtx_dtr gdtr, idtr;
	__u64 cr0, cr3, cr4;	 /* as the guest sees them */
	__u64 efer, star, lstar, cstar, sfmask, kernel_gs_base;
	__u64 sysenter_cs, sysenter_esp, sysenter_eip;
	__u64 pat, tsc_aux, debugctl;
	__u64 xcr0;
	__u64 pdpte[4];
	__u64 pending_dbg;	 /* guest pending debug exceptions */
	__u8 xsave[832];	 /* standard XSAVE form: legacy region, header, YMM. Reserved bits of MXCSR: EINVAL */
};

#define CVVTX_INFO _IOWR('V', 0x80, struct cvvtx_info)
#define CVVTX_CREATE _IOW('V', 0x81, struct cvvtx_create)
#define CVVTX_RUN _IO('V', 0x82)
#define CVVTX_GET_STATE _IOR('V', 0x83, struct cvvtx_state)
#define CVVTX_SET_STATE _IOW('V', 0x84, struct cvvtx_state)
#define CVVTX_PROTECT _IO('V', 0x85) /* forget which pages are dirty: the next write to each is listed again */
#define CVVTX_DROP _IO('V', 0x86)    /* forget all pages (RAM's pages were exchanged); they are pinned anew when touched */
#define CVVTX_FLUSH _IO('V', 0x87)   /* forget the guest's translations (INVVPID) */

#ifndef __KERNEL__
#define CVVTX_STATIC_ASSERT(e) _Static_assert(e, #e)
#else
#define CVVTX_STATIC_ASSERT(e) static_assert(e)
#endif
CVVTX_STATIC_ASSERT(sizeof(struct cvvtx_info) == 80);
CVVTX_STATIC_ASSERT(sizeof(struct cvvtx_create) == 64);
CVVTX_STATIC_ASSERT(sizeof(struct cvvtx_run) == 368);
CVVTX_STATIC_ASSERT(sizeof(struct cvvtx_tsc) == 32);
CVVTX_STATIC_ASSERT(sizeof(struct cvvtx_state) == 1224);

#endif
