/* SPDX-License-Identifier: MIT */
/*
 * The table of operations behind which an engine stands. An engine executes guest instructions on the architectural
 * state until a position, a break- or watchpoint, or something that the machine must see; it counts exactly.
 *
 * What a guest instruction asks of the machine (port I/O, MMIO, time, entropy, interrupt acknowledge) goes through
 * struct cv_engine_host, called in mid-instruction with the position settled: cv_pos of the state is the number of
 * instructions retired before the one that asks.
 */
#ifndef CV_ENGINE_H
#define CV_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm-core/bus.h"
#include "vmm-core/error.h"
#include "vmm-core/event.h"
#include "vmm-core/memory.h"
#include "vmm-core/pagefilter.h"
#include "vmm-core/state.h"

/* The interrupt controller as the CPU sees it: the local APIC, wired in by the board. */
struct cv_irqchip_ops {
	/* Is an external interrupt waiting that the CPU would take if RFLAGS.IF allowed? */
	bool (*pending)(void *dev);
	/* Acknowledges it: its vector (INTA cycle to the PIC, or the LAPIC's highest). -1: it went away. */
	int (*acknowledge)(void *dev);
	uint64_t (*get_cr8)(void *dev);
	void (*set_cr8)(void *dev, uint64_t v);
	/*
	 * MSR 1Bh, 6E0h, 800h..8FFh. false: #GP(0). An engine that has moved the TSC writes an armed 6E0h again, so that the
	 * deadline follows.
	 */
	bool (*read_msr)(void *dev, uint32_t msr, uint64_t *v);
	bool (*write_msr)(void *dev, uint32_t msr, uint64_t v);
};

struct cv_engine_host {
	struct cv_memory *mem;
	struct cv_bus *bus;
	const struct cv_irqchip_ops *irqchip;
	void *irqchip_dev;
	void *ctx; /* for the functions below: the machine */
	/* Guest time in ns for an RDTSC at the present instruction. */
	uint64_t (*tsc)(void *ctx);
	void (*entropy)(void *ctx, uint8_t *p, size_t n);
	/* An external interrupt (or NMI: 2) is being delivered. */
	void (*delivered)(void *ctx, unsigned vector);
	/*
	 * The engine answered an RDTSC itself, at the position where it now stands: t is the guest time in ns that it gave. NULL
	 * where time isn't the host's clock, or must be asked for.
	 */
	void (*tsc_taken)(void *ctx, uint64_t t);
	/* tsc_taken: guest ns = the host's CLOCK_MONOTONIC in ns + *delta, never less than *floor. false: ask `tsc` each time. */
	bool (*tsc_base)(void *ctx, uint64_t *delta, uint64_t *floor);
	const struct cv_cpuid_model *model; /* what CPUID announces; vmm-core/x86/cpuid.h */
	enum cv_count_unit unit;	    /* what positions count */
};

enum cv_exit_kind {
	CV_EXIT_POSITION = 1, /* the stop position was reached */
	CV_EXIT_KICK,	      /* cv_engine_ops.kick was called: the instruction that caused it has retired */
	CV_EXIT_HALT,	      /* HLT has retired (state.halted) and no interrupt is deliverable */
	CV_EXIT_SHUTDOWN,     /* triple fault: the state is as before the third fault */
	CV_EXIT_BREAK,	      /* about to execute an instruction at a breakpoint (not yet executed) */
	CV_EXIT_WATCH,	      /* an instruction that touched a watchpoint has just retired (or its iteration) */
	CV_EXIT_ERROR,	      /* host error, message in `err` */
};

enum cv_watch_type { CV_WATCH_WRITE = 1, CV_WATCH_READ = 2, CV_WATCH_ACCESS = 3 /* bits */ };

struct cv_exit {
	enum cv_exit_kind kind;
	uint64_t addr;		 /* BREAK: linear address; WATCH: linear address of the first watched byte touched */
	enum cv_watch_type type; /* WATCH: what the access was (WRITE or READ) */
	uint8_t vector;		 /* SHUTDOWN: the exception that could not be delivered */
};

/*
 * Where to stop. The engine returns at the first boundary whose position is not before this; and with
 * CV_EXIT_POSITION after a delivery whose sub is a multiple of CV_POS_LOOK, so that a guest that only faults can be
 * given input.
 */
struct cv_stop {
	uint64_t insns; /* UINT64_MAX: none */
	/* If in_rep: stop inside the REP that is the instruction number insns+1 when RCX has come down to rcx. Not in steps. */
	bool in_rep;
	uint64_t rcx;
	/*
	 * Single step: return CV_EXIT_POSITION after one unit: one instruction retired, or one exception or interrupt
	 * delivered.
	 */
	bool step;
	/*
	 * Do not report a breakpoint at the very first instruction boundary: the caller has shown it already.
	 */
	bool skip_first_break;
	/* Stop at the end of any delivery of an exception or interrupt too (position with sub > 0)? */
	bool stop_at_delivery;
};

struct cv_watch {
	uint64_t addr; /* linear */
	uint64_t len;
	enum cv_watch_type type;
};

struct cv_engine;

struct cv_engine_ops {
	const char *name; /* "soft", "vtx" */
	void (*free)(struct cv_engine *e);
	/*
	 * Runs until `stop`, or until something of enum cv_exit_kind happens first. At the stop position nothing that
	 * is pending there (interrupt, #DB trap) has been delivered yet. Interrupts are delivered before an instruction
	 * when irqchip->pending, IF is set and no shadow holds; that is the engine's work.
	 * 0 or a negative CV_E_* (then exit->kind is CV_EXIT_ERROR).
	 */
	int (*run)(struct cv_engine *e, const struct cv_stop *stop, struct cv_exit *exit, struct cv_error *err);
	void (*get_state)(struct cv_engine *e, struct cv_vcpu_state *s); /* settled: rflags and pos exact */
	void (*set_state)(struct cv_engine *e, const struct cv_vcpu_state *s); /* also flushes the TLB */
	/* The position now; callable in mid-instruction by what host callbacks call. */
	void (*position)(struct cv_engine *e, struct cv_pos *pos);
	/* Leave `run` after the present instruction has retired. From host callbacks, on the same thread. */
	void (*kick)(struct cv_engine *e);
	/* Forget all translations: after cv_memory_clear_dirty, after guest page tables were changed from outside. */
	void (*flush_tlb)(struct cv_engine *e);
	/* RAM was written from outside (cv_memory.written): drop what was decoded there. */
	void (*ram_written)(struct cv_engine *e, uint32_t page, uint32_t offset, uint32_t len);
	/* Replaces all break- and watchpoints (linear addresses). Watchpoints end the instruction that touches. */
	int (*set_points)(struct cv_engine *e, const uint64_t *breaks, size_t nbreaks, const struct cv_watch *watches,
			  size_t nwatches, struct cv_error *err);
	/* Linear to guest-physical without side effects, with supervisor rights: false where nothing is mapped. */
	bool (*translate)(struct cv_engine *e, uint64_t linear, uint64_t *gpa);
	/*
	 * From now on adds every linear page that the guest writes to f, which is borrowed; NULL: to none. A page whose
	 * write would trigger a watchpoint is always among them. Called again whenever f was emptied. NULL in an engine
	 * that cannot tell.
	 */
	void (*note_writes)(struct cv_engine *e, struct cv_page_filter *f);
	/*
	 * The chipset's gate of address line 20 has changed: masked, bit 20 of every physical address is 0 from the next
	 * instruction on. Callable in mid-instruction. NULL in an engine that cannot.
	 */
	void (*set_a20)(struct cv_engine *e, bool masked);
};

struct cv_engine {
	const struct cv_engine_ops *ops;
};

/* The interpreter. `host` is copied. */
struct cv_engine *cv_soft_new(const struct cv_engine_host *host, struct cv_error *err);

/*
 * Knobs for tests, all off by default: results must not depend on them. From environment-free code paths only:
 * set through this function before the first run.
 */
struct cv_soft_knobs {
	unsigned tlb_entries;	 /* 0: default; a power of two */
	bool flush_each_block;	 /* decode afresh each time */
	bool single;		 /* never run more than one instruction of a block */
};
void cv_soft_set_knobs(struct cv_engine *e, const struct cv_soft_knobs *k);
/* Debug statistics for people: counts of blocks, TLB misses and so on, one line of text. */
void cv_soft_stats(struct cv_engine *e, char *buf, size_t n);

#endif
