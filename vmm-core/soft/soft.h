/* SPDX-License-Identifier: MIT */
/*
 * Inside the software engine: the working CPU, how handlers run, reach memory and raise faults.
 *
 * Blocks. Instructions are decoded once into blocks keyed by (guest-physical address, RIP, mode), never past the end of
 * a page. A handler does its work and tail-calls the next record's handler: `SOFT_NEXT(c, i)`. A record of kind BRANCH
 * ends a block; the record behind the last one is a sentinel whose handler leaves the block. Entering a block charges
 * its whole length against the budget; leaving it early (fault, restart) gives the rest back. So `c->s.rip` and
 * `c->s.pos` are NOT current inside a block: soft_rip(c, i) and soft_settled() say where we are.
 *
 * Single. An operation with CV_INSN_SINGLE runs alone in its block; at its entry c->s.rip is its own address and
 * c->s.pos is settled. It ends by soft_retire(c, i) or soft_retire_to(c, i, rip), or returns after soft_raise().
 * Whatever is unusual in a memory access (MMIO, a watched page, a store to a page with code) makes the slow path raise
 * SOFT_RESTART instead: the handler returns as for a fault, with nothing changed, and the dispatcher runs that one
 * instruction again alone, where c->single is true and the access is carried out.
 *
 * Faults. soft_raise() notes exception, error code and instruction; the handler must return at once, having changed
 * nothing architectural (do all that can fault first, then write). The dispatcher delivers. No longjmp anywhere.
 */
#ifndef CV_SOFT_H
#define CV_SOFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm-core/engine.h"
#include "vmm-core/state.h"
#include "vmm-core/x86/cpuid.h"
#include "vmm-core/x86/insn.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

struct soft_block;

enum { SOFT_TLB_ENTRIES = 1024, SOFT_TABLES = 1024, SOFT_FILLED = 64 };
enum { SOFT_MMU_SUPER = 0, SOFT_MMU_USER = 1, SOFT_MMU_SUPER_AC = 2 /* CPL<3 with SMAP off or AC set */, SOFT_MMUS = 3,
       /* CPL 3 with alignment checks on: its table is never filled, so each access takes the slow path and is checked. */
       SOFT_MMU_ALIGN = 3 };
enum soft_access { SOFT_READ = 0, SOFT_WRITE = 1, SOFT_FETCH = 2 };

/* Tags are page-aligned linear addresses; SOFT_TLB_NONE matches nothing, not even an address cut to page and alignment. host = (uint8_t *)(addend + linear). */
enum { SOFT_TLB_NONE = 0x800 };
struct soft_tlb_entry {
	uint64_t rtag, wtag;
	uintptr_t addend;
	uint64_t gpa; /* of the page; for whoever must find a page's entries */
};

/* RIP to block, valid while the block's context is the CPU's. */
enum { SOFT_JUMPS = 4096 };
struct soft_jump {
	uint64_t rip;
	struct soft_block *block; /* borrowed; never NULL: an entry not in use names a block of no context */
};

/* Exceptions. */
enum { EXC_DE = 0, EXC_DB = 1, EXC_NMI = 2, EXC_BP = 3, EXC_OF = 4, EXC_BR = 5, EXC_UD = 6, EXC_NM = 7, EXC_DF = 8,
       EXC_TS = 10, EXC_NP = 11, EXC_SS = 12, EXC_GP = 13, EXC_PF = 14, EXC_MF = 16, EXC_AC = 17, EXC_MC = 18,
       EXC_XM = 19, SOFT_RESTART = 0x100 };

/* How an event is delivered through the IDT. */
enum soft_event_type { SOFT_EV_EXTERNAL, SOFT_EV_NMI, SOFT_EV_EXCEPTION, SOFT_EV_SOFTINT /* INT n */,
		       SOFT_EV_INT3 /* INT3, INTO */, SOFT_EV_INT1 };

struct soft_fault {
	int vector; /* -1: none; SOFT_RESTART */
	uint32_t error;
	bool has_error;
	uint64_t cr2;		     /* for #PF */
	const struct cv_insn *insn;  /* the instruction that raised it */
};

/*
 * Lazy arithmetic flags. `res` is the result sign-extended to 64 bits, `aux` the vector of carries out of each bit
 * position, aligned so that bit 63 is the carry out of the operand's top bit (CF), bit 62 the carry into it
 * (OF = bit 63 ^ bit 62), and bit 3 the carry out of bit 3 (AF). ZF, SF and PF follow from res; `pf_xor` corrects PF
 * and `zf_clear` ZF where a flags image cannot be expressed by a result. soft/flags.h has the functions; nobody else
 * touches these fields.
 */
struct soft_flags {
	uint64_t res, aux;
	uint64_t fix; /* flags.h */
};

struct soft_cpu {
	struct cv_vcpu_state s; /* rflags without its arithmetic bits; rip, pos: see above */
	struct soft_flags fl;

	/* Mode, derived from s by soft_update_mode(). */
	uint8_t cpl;
	uint8_t mode;	      /* default code size: 16, 32, 64 */
	uint8_t mmu;	      /* SOFT_MMU_* for data at this CPL and AC */
	uint8_t stack_size;   /* of the stack pointer: 2, 4, 8 */
	bool paging, long_mode /* EFER.LMA */, protected_mode /* PE and not VM */;
	uint8_t va_shift;     /* 64 less the width of a linear address: 16, or 7 with 5-level paging (CR4.LA57) */
	bool flat;	      /* data segments need no checks: 64-bit mode (FS/GS still add their base) */
	uint8_t fp_block;     /* bits: 1: x87 op raises #NM (CR0.EM/TS), 2: SSE op raises #UD, 4: SSE op raises #NM,
			       * 8: WAIT raises #NM, 16: MMX raises #UD, 32: AVX raises #UD, 64: AVX raises #NM */

	/* Execution. */
	const struct soft_block *block; /* being executed */
	uint64_t block_rip;	        /* RIP of its first instruction */
	int64_t budget;		        /* instructions that may still be charged before the stop position */
	bool single;		        /* one instruction alone: slow accesses are carried out */
	bool kicked;		        /* leave run() after this instruction */
	struct soft_fault fault;
	struct cv_watch watch_hit;      /* len != 0: this instruction touched a watchpoint */

	/* Words that the fast form of an address can name beside registers and segment bases (mem.h). */
	uint64_t zero;	/* 0 */
	uint64_t two31; /* 80000000h */
	struct soft_tlb_entry *tlb_now; /* tlb[mmu]; set by the dispatcher before it enters a block */
	uint32_t ctx;	       /* block.h: what makes RIP-to-block translations valid */
	uint32_t generation;   /* counts TLB flushes */
	uint64_t tlb_large[2][2];     /* which regions of 2 MiB and 1 GiB large pages were taken into the TLB from (mem.c) */
	uint32_t tables[SOFT_TABLES]; /* pages with CV_PAGE_TABLE */
	unsigned ntables;
	uint64_t writable[16];	      /* a filter: RAM pages, by their lowest ten bits, that a TLB entry lets be written */
	uint16_t filled[SOFT_FILLED]; /* entries filled since the last flush, mmu * SOFT_TLB_ENTRIES + index, while they are few */
	unsigned nfilled;
	bool filled_known; /* since the first flush */
	unsigned tlb_limit, tlb_used; /* knob: at most so many entries in use; 0: no limit */
	uint64_t tlb_misses;
	struct cv_page_filter *wrote; /* borrowed: gets every linear page that is written; NULL: nobody asks */
	unsigned nwatches;     /* the host's */
	uint8_t dr_exec, dr_data; /* which of DR0..DR3 are armed for execution, for data (debug.c) */
	uint64_t ld;	       /* what a slow load brought */
	uint64_t rep_stop;     /* with rep_stops: a REP leaves, not retired, when its count has come down to this */
	bool rep_stops, rep_left;
	bool keep_watch;       /* the instruction faults, but watch_hit is of a part of it that is done */
	/* Of the x87 instruction being executed: what FOP and FDP become if it raises an exception that isn't masked. */
	uint16_t x87_fop;
	bool x87_memory;
	uint64_t x87_fdp;
	const struct cv_insn *resume; /* where the dispatcher goes on after a handler that returned to it */
	struct soft_block *next; /* hint: the block at s.rip, NULL when not known */
	struct soft_block *link_from; /* the block that wants to be chained to the one at s.rip, or NULL */
	unsigned link_which;

	struct soft_tlb_entry tlb[SOFT_MMUS + 1][SOFT_TLB_ENTRIES] __attribute__((aligned(64)));
	struct soft_jump jump[SOFT_JUMPS] __attribute__((aligned(64)));

	struct cv_engine_host host;
	struct soft_engine *engine; /* blocks, caches, points: engine.c's own */
};

/* --- Running on --- */

/*
 * SOFT_NEXT ends a handler. Files that define SOFT_CORE (and whose handlers never let the address of a local escape: the
 * compiler would then refuse the tail call, and the stack would grow without bound) go straight to the next handler.
 * All others return to the dispatcher, which goes on at c->resume. So do all handlers where tail calls aren't sure: Clang
 * makes none at -O1, and doesn't tell its level.
 */
#if defined(SOFT_CORE) && defined(__OPTIMIZE__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
	!defined(SOFT_NO_TAILCALLS)
#define SOFT_TAILCALLS 1
#define SOFT_NEXT(c, i) return (i)[1].fn((c), (i) + 1)
#else
#define SOFT_TAILCALLS 0
#define SOFT_NEXT(c, i) do { (c)->resume = (i) + 1; return; } while (0)
#endif

static inline uint64_t soft_rip(const struct soft_cpu *c, const struct cv_insn *i) /* RIP of this instruction */
{
	return c->block_rip + i->off;
}
static inline uint64_t soft_next_rip(const struct soft_cpu *c, const struct cv_insn *i)
{
	uint64_t r = c->block_rip + i->off + i->len;

	return c->mode == 64 ? r : c->mode == 32 ? (uint32_t)r : (uint16_t)r;
}
/* CV_INSN_SINGLE handlers only: the instruction has retired; RIP is the next one, or `rip`. */
void soft_retire(struct soft_cpu *c, const struct cv_insn *i);
void soft_retire_to(struct soft_cpu *c, const struct cv_insn *i, uint64_t rip);

/* A string instruction under REP. Where positions count steps (vmm-core/position.h) each iteration is an instruction in all respects. */
static inline bool soft_repeats(const struct cv_insn *i)
{
	if (!(i->prefixes & (CV_PFX_REP | CV_PFX_REPNE)))
		return false;
	switch (i->op) {
	case CV_OP_movs: case CV_OP_stos: case CV_OP_lods: case CV_OP_cmps: case CV_OP_scas: case CV_OP_ins: case CV_OP_outs:
		return true;
	default:
		return false;
	}
}
static inline bool soft_counts_steps(const struct soft_cpu *c)
{
	return c->host.unit == CV_COUNT_STEPS;
}

/* May a 64-bit access, branch or return use this linear address? SDM 3A 4.5.2; the width follows CR4.LA57. */
static inline bool soft_canonical(const struct soft_cpu *c, uint64_t a)
{
	return (uint64_t)((int64_t)(a << c->va_shift) >> c->va_shift) == a;
}

/* Notes a fault; the handler returns at once. soft_raise for those without error code. */
void soft_raise(struct soft_cpu *c, const struct cv_insn *i, int vector);
void soft_raise_error(struct soft_cpu *c, const struct cv_insn *i, int vector, uint32_t error);

/* --- Flags (flags.h) --- */
uint64_t soft_get_rflags(const struct soft_cpu *c);		/* whole, settled */
void soft_set_arith(struct soft_cpu *c, uint64_t arith);	/* CV_FLAGS_ARITH bits */
/* All of RFLAGS; updates the mmu index when AC changes. Never fails: the caller applied the privilege rules. */
void soft_set_rflags(struct soft_cpu *c, uint64_t rflags);

/* --- Memory (mem.c) ---
 * Offsets are within a segment. false: a fault (or restart) was raised and the handler must return.
 */
static inline uint64_t soft_ea(const struct soft_cpu *c, const struct cv_insn *i)
{
	uint64_t a = (uint64_t)(int64_t)i->disp;

	if (i->base == CV_REG_RIP)
		a += c->block_rip + i->off + i->len;
	else if (i->base != CV_NOREG)
		a += c->s.gpr[i->base];
	if (i->index != CV_NOREG)
		a += c->s.gpr[i->index] << i->scale;
	return i->asize == 8 ? a : i->asize == 4 ? (uint32_t)a : (uint16_t)a;
}
bool soft_load16(struct soft_cpu *c, const struct cv_insn *i, unsigned seg, uint64_t off, uint16_t *v);
bool soft_load32(struct soft_cpu *c, const struct cv_insn *i, unsigned seg, uint64_t off, uint32_t *v);
bool soft_load64(struct soft_cpu *c, const struct cv_insn *i, unsigned seg, uint64_t off, uint64_t *v);
bool soft_store16(struct soft_cpu *c, const struct cv_insn *i, unsigned seg, uint64_t off, uint16_t v);
bool soft_store32(struct soft_cpu *c, const struct cv_insn *i, unsigned seg, uint64_t off, uint32_t v);
bool soft_store64(struct soft_cpu *c, const struct cv_insn *i, unsigned seg, uint64_t off, uint64_t v);
/* n bytes (1..576), all or nothing: both pages of a crossing access are checked before the first byte moves. */
bool soft_load(struct soft_cpu *c, const struct cv_insn *i, unsigned seg, uint64_t off, void *p, unsigned n);
bool soft_store(struct soft_cpu *c, const struct cv_insn *i, unsigned seg, uint64_t off, const void *p, unsigned n);
/* Would a store of n bytes succeed? Raises what it would raise; sets A and D bits. For read-modify-write. */
bool soft_probe_store(struct soft_cpu *c, const struct cv_insn *i, unsigned seg, uint64_t off, unsigned n);
/* The same for a load, which isn't done. */
bool soft_probe_load(struct soft_cpu *c, const struct cv_insn *i, unsigned seg, uint64_t off, unsigned n);
/*
 * Linear address of a data access with all segment checks (limit, type, canonical; #GP(0), #SS(0)).
 * write: SOFT_READ or SOFT_WRITE.
 */
bool soft_linear(struct soft_cpu *c, const struct cv_insn *i, unsigned seg, uint64_t off, unsigned n,
		 enum soft_access access, uint64_t *linear);
/*
 * Access by linear address with explicit rights, for descriptor tables, TSS and stacks of another privilege level:
 * super: as an implicit supervisor access, else as CPL 3. Raises #PF like the others (i may be NULL: then only
 * c->fault is filled, for exception delivery).
 */
bool soft_lin_load(struct soft_cpu *c, const struct cv_insn *i, uint64_t linear, void *p, unsigned n, bool super);
bool soft_lin_store(struct soft_cpu *c, const struct cv_insn *i, uint64_t linear, const void *p, unsigned n, bool super);

/* The same with the rights of mmu (SOFT_MMU_*): pushes by a supervisor are explicit accesses, which EFLAGS.AC frees from SMAP. */
bool soft_lin_store_as(struct soft_cpu *c, const struct cv_insn *i, uint64_t linear, const void *p, unsigned n, unsigned mmu);

/* TLB maintenance (mem.c). Every one also forgets cached RIP-to-block translations. */
void soft_tlb_flush(struct soft_cpu *c);		    /* everything */
void soft_tlb_flush_page(struct soft_cpu *c, uint64_t linear);
/* A translation that will be remembered was read from this RAM page: a store that changes it must not go unseen. */
void soft_note_table(struct soft_cpu *c, uint32_t page);

/* --- Page walk (walk.c) --- */
struct soft_walk {
	uint64_t gpa;	     /* of the linear address asked for */
	bool writable, user; /* combined rights of all levels */
	bool executable;
	bool dirty;	     /* D is set (always after a successful write walk) */
	bool global;
	uint8_t shift;	     /* log2 of the page's size */
	uint32_t error;	     /* #PF error code if the walk failed */
};
/*
 * Walks with the rights of mmu (SOFT_MMU_*); sets A (and D for a write) bits unless `peek`. true: translated and
 * allowed. With paging off: identity (and A20).
 */
bool soft_page_walk(struct soft_cpu *c, uint64_t linear, enum soft_access access, unsigned mmu, bool peek,
		    struct soft_walk *w);

/* --- System (segment.c, interrupt.c, control.c, msr.c) --- */
/* After any change to CR0, CR3, CR4, XCR0, EFER, CS, SS, RFLAGS.VM/AC, CPL: recomputes the derived mode. */
void soft_update_mode(struct soft_cpu *c);
/* Reads the four PDPTEs that CR3 names into s.pdpte if they may be loaded (SDM 3A 4.4.1); false: a reserved bit is set. */
bool soft_load_pdptes(struct soft_cpu *c, uint64_t cr3);
/* Loads a data or stack segment register (MOV, POP, LxS) with all checks; false: raised. */
bool soft_load_seg(struct soft_cpu *c, const struct cv_insn *i, unsigned seg, uint16_t sel);
/*
 * Delivers an event through the IDT (all modes). next_rip: the return address for software interrupts. On nested faults
 * makes #DF, then shutdown. Returns false for shutdown (triple fault; *vector says what could not be delivered).
 * Settles s.rip at the handler's first instruction; adds one to s.pos.sub, or charges a step if what was delivered is one. External interrupts and NMI clear halted.
 */
bool soft_deliver(struct soft_cpu *c, enum soft_event_type type, int vector, bool has_error, uint32_t error,
		  uint64_t next_rip, uint8_t *failed);

/* --- The guest's own breakpoints (debug.c): each gives the DR6 bits of those that match --- */
/* After any change to DR0..DR3 or DR7: recomputes what is armed, forgets translations and blocks made without it. */
void soft_debug_update(struct soft_cpu *c);
uint64_t soft_debug_exec(const struct soft_cpu *c, uint64_t linear);
uint64_t soft_debug_data(const struct soft_cpu *c, uint64_t linear, uint64_t n, bool write);
uint64_t soft_debug_io(const struct soft_cpu *c, uint16_t port, unsigned n);
/* Does an armed data breakpoint touch this page? */
bool soft_debug_page(const struct soft_cpu *c, uint64_t page);

/*
 * For tests that run millions of short cases: cv_engine_ops.set_state for a state whose paging is as it was (CR0, CR3, CR4,
 * EFER, page tables); translations stay.
 */
void soft_restate(struct cv_engine *e, const struct cv_vcpu_state *s);

/* --- FPU and SSE (x87.c, sse*.c) --- */
void soft_fninit(struct cv_x87 *f);
/* The tag word as FSTENV stores it, 2 bits a register, computed from contents. */
uint16_t soft_x87_full_tag(const struct cv_x87 *f);

/* Handler of an operation: what runs for this decoded record; NULL is #UD. */
cv_handler *soft_handler_int(const struct cv_insn *i); /* ops_int.def; NULL: not mine */
cv_handler *soft_handler_sys(const struct cv_insn *i); /* ops_sys.def */
cv_handler *soft_handler_fp(const struct cv_insn *i);  /* ops_fp.def, ops_crypto.def */
cv_handler *soft_handler_avx(const struct cv_insn *i); /* ops_avx.def */

#endif
