/* SPDX-License-Identifier: MIT */
/*
 * What the system side of the software CPU shares between its files: descriptors, privileged stacks, the ends of
 * handlers. Nobody outside ops_sys.def's files includes this.
 *
 * Error codes of segment faults are `selector & ~3 | ext`; ext is 1 while an event that is not the program's own INT
 * is being delivered (SDM 3A 6.13). i is NULL there: then only c->fault is filled.
 */
#ifndef CV_SOFT_SYS_H
#define CV_SOFT_SYS_H

#include <string.h>

#include "vmm-core/soft/soft.h"
#include "vmm-core/x86/features.h"

/* A selector's error code; IDT entries have bit 1 set. */
#define SEL_ERR(sel) ((uint32_t)(sel) & 0xfffcu)

/* DR6 and DR7: bits that read as one, and what may be written. */
#define DR6_FIXED 0xffff0ff0u
#define DR6_WRITABLE 0xe00fu
#define DR6_BD (1u << 13)
#define DR6_BS (1u << 14)
#define DR6_BT (1u << 15)
#define DR7_FIXED 0x400u
#define DR7_WRITABLE 0xffff23ffu
#define DR7_GD (1u << 13)

/* --- Ends of handlers --- */

static inline void soft_finish(struct soft_cpu *c, const struct cv_insn *i)
{
	if (i->flags & CV_INSN_SINGLE)
		soft_retire(c, i);
	else
		SOFT_NEXT(c, i);
}

static inline void raise_gp0(struct soft_cpu *c, const struct cv_insn *i)
{
	soft_raise_error(c, i, EXC_GP, 0);
}

static inline void raise_ud(struct soft_cpu *c, const struct cv_insn *i)
{
	soft_raise(c, i, EXC_UD);
}

/* --- Small operand helpers --- */

static inline unsigned soft_iopl(const struct soft_cpu *c)
{
	return (unsigned)(c->s.rflags >> 12) & 3;
}

static inline bool soft_v86(const struct soft_cpu *c)
{
	return c->s.rflags & CV_FLAG_VM;
}

/*
 * What may be loaded into a base or an address register (FS.base, LSTAR, GDTR, LDTR...): a processor that has 5-level paging takes
 * 57-bit addresses there whatever CR4.LA57 is (SDM 3A 4.5.2).
 */
static inline bool canonical_base(const struct soft_cpu *c, uint64_t a)
{
	unsigned shift = c->host.model->features & CV_HAS(la57) ? 7 : 16;

	return (uint64_t)((int64_t)(a << shift) >> shift) == a;
}

/* Writes a general register of size 2, 4 (zero-extends) or 8. */
static inline void write_gpr(struct soft_cpu *c, unsigned r, unsigned size, uint64_t v)
{
	if (size == 8)
		c->s.gpr[r] = v;
	else if (size == 4)
		c->s.gpr[r] = (uint32_t)v;
	else
		c->s.gpr[r] = (c->s.gpr[r] & ~0xffffull) | (uint16_t)v;
}

static inline uint64_t truncate_to(uint64_t v, unsigned size)
{
	return size == 8 ? v : size == 4 ? (uint32_t)v : (uint16_t)v;
}

static inline uint64_t soft_sp(const struct soft_cpu *c)
{
	return truncate_to(c->s.gpr[CV_RSP], c->stack_size);
}

static inline void soft_set_sp(struct soft_cpu *c, uint64_t sp)
{
	write_gpr(c, CV_RSP, c->stack_size, sp);
}

/* The 16-bit r/m operand of LLDT, VERR and their like. */
bool sys_load_rm16(struct soft_cpu *c, const struct cv_insn *i, uint16_t *v);
/* A far pointer in memory: an offset of osize, then the selector; aligned as two operands (SDM 3A table 6-7). */
bool sys_load_far_pointer(struct soft_cpu *c, const struct cv_insn *i, uint16_t *sel, uint64_t *offset);
/* Stores v to r/m: a register takes osize, memory 16 bits (SLDT, STR, SMSW, MOV from a segment register). */
bool sys_store_rm(struct soft_cpu *c, const struct cv_insn *i, uint64_t v);

/* Implicit supervisor reads (tables, TSS): what soft_lin_load does, with a look at the TLB first. */
static inline bool sys_load(struct soft_cpu *c, const struct cv_insn *i, uint64_t linear, void *p, unsigned n)
{
	const struct soft_tlb_entry *e = &c->tlb[SOFT_MMU_SUPER][linear >> 12 & (SOFT_TLB_ENTRIES - 1)];

	if (likely(e->rtag == ((linear + n - 1) & ~0xfffull))) {
		memcpy(p, (const void *)(e->addend + linear), n);
		return true;
	}
	return soft_lin_load(c, i, linear, p, n, true);
}

/* --- Descriptors (segment.c) --- */

struct soft_desc {
	uint64_t raw;	 /* the eight bytes */
	uint64_t high;	 /* the upper eight of a 16-byte system descriptor in long mode */
	uint64_t linear; /* where it was read */
};

static inline uint32_t desc_ar(uint64_t d)
{
	return (uint32_t)(d >> 40 & 0xff) | (uint32_t)(d >> 52 & 0xf) << 12;
}
static inline uint64_t desc_base(uint64_t d)
{
	return (d >> 16 & 0xffffff) | (d >> 56 & 0xff) << 24;
}
static inline uint32_t desc_limit(uint64_t d)
{
	uint32_t l = (uint32_t)(d & 0xffff) | (uint32_t)(d >> 32 & 0xf0000);

	return d >> 55 & 1 ? l << 12 | 0xfff : l;
}
static inline unsigned desc_dpl(uint64_t d)
{
	return (unsigned)(d >> 45) & 3;
}
static inline unsigned desc_type(uint64_t d)
{
	return (unsigned)(d >> 40) & 0xf;
}
static inline bool desc_present(uint64_t d)
{
	return d >> 47 & 1;
}
static inline bool desc_is_segment(uint64_t d) /* S */
{
	return d >> 44 & 1;
}
static inline bool desc_is_code(uint64_t d)
{
	return desc_is_segment(d) && (d >> 43 & 1);
}
static inline bool desc_conforming(uint64_t d)
{
	return d >> 42 & 1;
}
static inline bool desc_writable_data(uint64_t d)
{
	return desc_is_segment(d) && !(d >> 43 & 1) && (d >> 41 & 1);
}
/* L and D of a code segment are both set, which is reserved; only long mode looks. */
static inline bool desc_bad_long(const struct soft_cpu *c, uint64_t d)
{
	return c->long_mode && (d >> 53 & 3) == 3;
}

enum { SYS_LDT = 2, SYS_TSS16 = 1, SYS_TSS16_BUSY = 3, SYS_CALL16 = 4, SYS_TASK_GATE = 5, SYS_INT16 = 6, SYS_TRAP16 = 7,
       SYS_TSS = 9, SYS_TSS_BUSY = 0xb, SYS_CALL = 0xc, SYS_INT = 0xe, SYS_TRAP = 0xf };

/* Where a selector's descriptor lies; false: null table or beyond its limit (n bytes are wanted). Raises nothing. */
bool sys_desc_address(const struct soft_cpu *c, uint16_t sel, unsigned n, uint64_t *linear);
/* Reads a descriptor; beyond the table raises `vector` with the selector. sel isn't null. */
bool sys_read_desc(struct soft_cpu *c, const struct cv_insn *i, uint16_t sel, int vector, uint32_t ext,
		   struct soft_desc *d);
/* The same for a system descriptor, 16 bytes in long mode. */
bool sys_read_sysdesc(struct soft_cpu *c, const struct cv_insn *i, uint16_t sel, int vector, uint32_t ext,
		      struct soft_desc *d);
/* Fills a segment register from a descriptor, accessed bit set. */
void sys_seg_from_desc(struct cv_seg *s, uint16_t sel, uint64_t raw);
/* Sets the accessed bit in memory if it isn't. */
bool sys_mark_accessed(struct soft_cpu *c, const struct cv_insn *i, const struct soft_desc *d);
/* Segment load in real and virtual-8086 mode. */
void sys_load_seg_real(struct soft_cpu *c, unsigned seg, uint16_t sel);
/* A null selector in a data segment register, or in SS at `cpl`. */
void sys_null_seg(struct cv_seg *s, uint16_t sel, unsigned cpl);
/* A selector of SS for a stack at privilege `cpl` and its descriptor: as TS (inner stack) or GP (return) wants. */
bool sys_check_stack_desc(struct soft_cpu *c, const struct cv_insn *i, uint16_t sel, unsigned cpl, int vector,
			  uint32_t ext, struct soft_desc *d);
/* After a return to an outer level: data segments that the new CPL may not use become null. */
void sys_drop_inner_segments(struct soft_cpu *c, unsigned cpl);

/* --- Stacks --- */

/* A stack that isn't (or not yet) the current one, and a frame to be pushed on it. */
struct soft_stack {
	struct cv_seg ss;
	uint64_t sp;
	unsigned sp_size; /* 2, 4, 8: how far the pointer wraps */
	unsigned cpl;	  /* privilege of the accesses */
	uint32_t fault;	  /* error code of #SS */
};

#define SYS_FRAME_MAX 48
struct soft_frame {
	uint64_t v[SYS_FRAME_MAX]; /* in the order of pushing */
	unsigned n;
	unsigned size; /* of each: 2, 4, 8 */
};

static inline void frame_push(struct soft_frame *f, uint64_t v)
{
	f->v[f->n++] = v;
}

/* The current stack. */
void sys_stack_current(const struct soft_cpu *c, uint32_t fault, struct soft_stack *st);
/* Stores the whole frame and moves st->sp; nothing in c changes. false: raised, nothing of c has changed. */
bool sys_push_frame(struct soft_cpu *c, const struct cv_insn *i, struct soft_stack *st, const struct soft_frame *f);
/* Reads n elements of `size` from the current stack, starting `skip` bytes above SP; SP doesn't move. */
bool sys_peek_stack(struct soft_cpu *c, const struct cv_insn *i, uint64_t skip, unsigned size, unsigned n,
		    uint64_t *v);
/*
 * The stack for privilege level dpl from the TSS, checked. In long mode ist (0: none) picks an IST entry, and SS
 * becomes null with RPL dpl.
 */
bool sys_inner_stack(struct soft_cpu *c, const struct cv_insn *i, unsigned dpl, unsigned ist, uint32_t ext,
		     struct soft_stack *st);

/* --- Far transfers (far.c) and tasks (task.c) --- */

/* Commits a checked code segment: CS with RPL cpl, RIP. The caller updates the mode. */
void sys_set_cs(struct soft_cpu *c, uint16_t sel, uint64_t raw, unsigned cpl);
/* Is `rip` a legal first instruction in the code segment `raw`? false: #GP(ext) raised. */
bool sys_check_target(struct soft_cpu *c, const struct cv_insn *i, uint64_t raw, uint64_t rip, uint32_t ext);

enum soft_task_how { TASK_JMP, TASK_CALL, TASK_IRET, TASK_INT };
/*
 * Switches to the task whose TSS `sel` names (d: its descriptor, checked by the caller for type and presence as its
 * own rules say). error: pushed on the new stack when has_error. false: raised. After faults past the point of no
 * return (SDM 3A 7.3) the machine is in the new task.
 */
bool sys_task_switch(struct soft_cpu *c, const struct cv_insn *i, enum soft_task_how how, uint16_t sel,
		     const struct soft_desc *d, uint64_t next_rip, uint32_t ext, bool has_error, uint32_t error);
/* Through a task gate descriptor (gate) whose own rights were checked. */
bool sys_task_gate(struct soft_cpu *c, const struct cv_insn *i, enum soft_task_how how, uint64_t gate,
		   uint64_t next_rip, uint32_t ext, bool has_error, uint32_t error);

/* --- Interrupts (interrupt.c) --- */

/* One attempt to deliver; false: c->fault says what went wrong, nothing has changed. */
bool sys_interrupt(struct soft_cpu *c, const struct cv_insn *i, enum soft_event_type type, unsigned vector,
		   bool has_error, uint32_t error, uint64_t next_rip);

/* May the program at this CPL and IOPL use ports [port, port + n)? false: raised. (io.c) */
bool sys_io_allowed(struct soft_cpu *c, const struct cv_insn *i, uint16_t port, unsigned n);

/* RDMSR and WRMSR without the privilege check; false: #GP(0). (msr.c) */
bool sys_read_msr(struct soft_cpu *c, uint32_t msr, uint64_t *v);
bool sys_write_msr(struct soft_cpu *c, uint32_t msr, uint64_t v);

/* The handlers, one a row of sys_handlers.c. */
#define X(name) cv_handler sys_op_##name;
#include "vmm-core/x86/ops_sys.def"
#undef X

#endif
