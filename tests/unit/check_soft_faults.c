/* SPDX-License-Identifier: MIT */
/*
 * Faults of system instructions on the whole engine, one row each: an instruction in some mode, the exception that the SDM gives for it,
 * its error code, and that nothing else has changed. They are those that neither a user's process can raise nor a kernel commonly does.
 *
 * In each mode the handler of vector v lies at the linear address HANDLERS + 16 * v, so RIP tells what was delivered.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "vmm-core/engine.h"
#include "vmm-core/soft/sys.h"

enum { RAM = 16 << 20, TABLES = 0x10000, IDT = 0x20000, GDT = 0x21000, TSS = 0x22000, TSS2 = 0x22400, TSS3 = 0x22800, STACK = 0x31000, HANDLERS = 0x40000,
       CODE = 0x50000, USTACK = 0x61000, DATA = 0x70000 };
/* Selectors. */
enum { K_CODE = 0x08, K_DATA = 0x10, U_CODE = 0x1b, U_DATA = 0x23, S_TSS = 0x28, S_STACK16 = 0x38, S_DOWN = 0x40, S_TSS_NP = 0x48,
       S_TSS2 = 0x50, S_GATE = 0x58, S_GATE64 = 0x60, S_TSS3 = 0x70 };

enum mode { REAL, V86, V86_IOPL3, PROT0, PROT3, PAE0, LONG0, LONG3 };

static struct cv_memory mem;
static struct cv_bus bus;
static struct cv_engine *engine;
static struct cv_vcpu_state before, after;

static void put(uint64_t gpa, uint64_t v, unsigned n)
{
	ck_assert_uint_eq(cv_memory_write(&mem, gpa, &v, n), n);
}

static uint64_t get(uint64_t gpa, unsigned n)
{
	uint64_t v = 0;

	ck_assert_uint_eq(cv_memory_read(&mem, gpa, &v, n), n);
	return v;
}

static void ram_written(void *ctx, uint32_t page, uint32_t offset, uint32_t len)
{
	(void)ctx;
	engine->ops->ram_written(engine, page, offset, len);
}

static void setup(void)
{
	struct cv_engine_host host = {.mem = &mem, .bus = &bus, .model = cv_cpuid_model_find("chronovisor-v3")};

	memset(&mem, 0, sizeof(mem));
	memset(&bus, 0, sizeof(bus));
	ck_assert_int_eq(cv_memory_init(&mem, RAM, NULL), 0);
	engine = cv_soft_new(&host, NULL);
	ck_assert_ptr_nonnull(engine);
	mem.written = ram_written;
}

static void teardown(void)
{
	engine->ops->free(engine);
	cv_memory_release(&mem);
}

static uint64_t desc(uint32_t base, uint32_t limit, unsigned access, unsigned flags)
{
	return (limit & 0xffffull) | (base & 0xffffffull) << 16 | (uint64_t)access << 40 | (uint64_t)(limit >> 16 & 0xf) << 48 |
	       (uint64_t)flags << 52 | (uint64_t)(base >> 24) << 56;
}

static uint64_t gate(uint16_t sel, uint32_t offset, unsigned access)
{
	return (offset & 0xffffull) | (uint64_t)sel << 16 | (uint64_t)access << 40 | (uint64_t)(offset >> 16) << 48;
}

static void put_desc(uint16_t sel, uint64_t d)
{
	put(GDT + (sel & 0xfff8), d, 8);
}

/* --- Modes --- */

static struct cv_seg flat(uint16_t sel, uint32_t ar)
{
	return (struct cv_seg){.limit = UINT32_MAX, .ar = ar | (sel & 3u) << 5, .sel = sel};
}

static struct cv_seg real(uint16_t sel, unsigned cpl)
{
	return (struct cv_seg){.base = (uint64_t)sel << 4, .limit = 0xffff, .ar = 0x93 | cpl << 5, .sel = sel};
}

static void real_segments(struct cv_vcpu_state *s, unsigned cpl)
{
	for (unsigned k = CV_ES; k <= CV_GS; k++)
		s->seg[k] = real(DATA >> 4, cpl);
	s->seg[CV_CS] = real(CODE >> 4, cpl);
	s->seg[CV_SS] = real((USTACK - 0x1000) >> 4, cpl);
	s->gpr[CV_RSP] = 0x1000;
	s->gpr[CV_RBX] = 0x100;
	s->rip = 0;
}

static void tables(bool wide)
{
	put_desc(K_CODE, desc(0, 0xfffff, 0x9b, wide ? 0xa : 0xc));
	put_desc(K_DATA, desc(0, 0xfffff, 0x93, 0xc));
	put_desc(U_CODE, desc(0, 0xfffff, 0xfb, wide ? 0xa : 0xc));
	put_desc(U_DATA, desc(0, 0xfffff, 0xf3, 0xc));
	put_desc(S_TSS, desc(TSS, 0x67, 0x8b, 0));
	for (unsigned v = 0; v < 64; v++) {
		put(IDT + (wide ? 16 : 8) * v, gate(K_CODE, HANDLERS + 16 * v, v < 32 ? 0x8e : 0xee), 8);
		if (wide)
			put(IDT + 16 * v + 8, 0, 8);
	}
	put(TSS + 4, STACK, 8); /* RSP0, ESP0 */
	if (!wide)
		put(TSS + 8, K_DATA, 2);
	else
		put_desc(S_TSS + 8, 0);
}

static void pages(void)
{
	put(TABLES, (TABLES + 0x1000) | 7, 8);
	put(TABLES + 0x1000, (TABLES + 0x2000) | 7, 8);
	for (uint64_t k = 0; k < RAM >> 21; k++)
		put(TABLES + 0x2000 + 8 * k, k << 21 | 0x87, 8);
	put(TABLES + 0x3000, (TABLES + 0x2000) | 1, 8); /* PAE's PDPTEs */
}

static void make_state(struct cv_vcpu_state *s, enum mode m)
{
	unsigned cpl = m == PROT3 || m == LONG3 ? 3 : 0;

	cv_vcpu_reset(s);
	for (unsigned k = 0; k < 16; k++)
		s->gpr[k] = 0x1111 * (k + 1);
	for (unsigned v = 0; v < 64; v++)
		put(4 * v, (uint64_t)(HANDLERS >> 4) << 16 | 16 * v, 4);
	s->cr0 = CV_CR0_ET | CV_CR0_NE | (m == REAL ? 0 : CV_CR0_PE);
	s->rflags = 2;
	s->xcr0 = 7;
	real_segments(s, 0);
	if (m == REAL)
		return;
	tables(m >= LONG0);
	pages();
	s->gdtr = (struct cv_dtr){GDT, 0x7f};
	s->idtr = (struct cv_dtr){IDT, 64 * 16 - 1};
	s->seg[CV_TR] = (struct cv_seg){.base = TSS, .limit = 0x67, .ar = 0x8b, .sel = S_TSS};
	s->cr3 = TABLES;
	if (m == V86 || m == V86_IOPL3) {
		real_segments(s, 3);
		s->rflags |= CV_FLAG_VM | (m == V86_IOPL3 ? CV_FLAG_IOPL : 0);
		return;
	}
	for (unsigned k = CV_ES; k <= CV_GS; k++)
		s->seg[k] = flat(cpl ? U_DATA : K_DATA, 0xc093);
	s->seg[CV_CS] = flat(cpl ? U_CODE : K_CODE, m >= LONG0 ? 0xa09b : 0xc09b);
	s->rip = CODE;
	s->gpr[CV_RSP] = USTACK;
	s->gpr[CV_RBX] = DATA + 0x100;
	if (m >= LONG0) {
		s->cr0 |= CV_CR0_PG;
		s->cr4 = CV_CR4_PAE | CV_CR4_OSFXSR;
		s->efer = CV_EFER_LME | CV_EFER_LMA;
	} else if (m == PAE0) {
		s->cr0 |= CV_CR0_PG;
		s->cr4 = CV_CR4_PAE;
		s->cr3 = TABLES + 0x3000;
		s->pdpte[0] = (TABLES + 0x2000) | 1;
	}
}

/* --- One instruction --- */

enum { CODE_MAX = 12, TRIPLE = 0x100 };

struct row {
	const char *what;
	enum mode mode;
	uint8_t code[CODE_MAX];
	int vector; /* -1: none */
	uint32_t error;
	void (*prepare)(struct cv_vcpu_state *s);
	void (*judge)(void); /* of `before` and `after`: what else must be so */
};

/* Executes one instruction, or what it raises instead: the vector, -1 for none. */
static int execute(void)
{
	struct cv_stop stop = {.insns = UINT64_MAX, .step = true, .stop_at_delivery = true};
	uint64_t linear;
	struct cv_exit x;

	engine->ops->set_state(engine, &before);
	ck_assert_int_eq(engine->ops->run(engine, &stop, &x, NULL), 0);
	engine->ops->get_state(engine, &after);
	if (x.kind == CV_EXIT_SHUTDOWN)
		return TRIPLE;
	ck_assert_int_eq(x.kind, CV_EXIT_POSITION);
	linear = after.seg[CV_CS].base + after.rip;
	return linear >= HANDLERS && linear < HANDLERS + 64 * 16 ? (int)((linear - HANDLERS) / 16) : -1;
}

static bool has_error(int vector)
{
	return vector == EXC_DF || (vector >= EXC_TS && vector <= EXC_PF) || vector == EXC_AC;
}

/* What lies on the handler's stack: the error code, and where the fault was. */
static void judge_frame(const struct row *r)
{
	unsigned n = r->mode == REAL ? 2 : r->mode >= LONG0 ? 8 : 4;
	uint64_t sp = after.seg[CV_SS].base + after.gpr[CV_RSP];

	if (has_error(r->vector) && r->mode != REAL) {
		ck_assert_msg(get(sp, n) == r->error, "%s: error code %#llx instead of %#x", r->what, (unsigned long long)get(sp, n),
			      r->error);
		sp += n;
	}
	ck_assert_msg(get(sp, n) == before.rip, "%s: returns to %#llx", r->what, (unsigned long long)get(sp, n));
}

static void judge_registers(const struct row *r)
{
	for (unsigned k = 0; k < 16; k++)
		ck_assert_msg(k == CV_RSP || after.gpr[k] == before.gpr[k], "%s: register %u has changed", r->what, k);
	ck_assert_msg(after.cr0 == before.cr0 && after.cr3 == before.cr3 && after.cr4 == before.cr4, "%s: a control register", r->what);
	ck_assert_msg(after.seg[CV_TR].sel == before.seg[CV_TR].sel && after.seg[CV_LDTR].sel == before.seg[CV_LDTR].sel,
		      "%s: TR or LDTR", r->what);
	ck_assert_msg(after.gdtr.base == before.gdtr.base && after.idtr.base == before.idtr.base, "%s: GDTR or IDTR", r->what);
}

static void run_row(const struct row *r)
{
	int vector;

	make_state(&before, r->mode);
	ck_assert_uint_eq(cv_memory_write(&mem, CODE, r->code, CODE_MAX), CODE_MAX);
	if (r->prepare)
		r->prepare(&before);
	vector = execute();
	ck_assert_msg(vector == r->vector, "%s: vector %d instead of %d", r->what, vector, r->vector);
	if (vector >= 0 && !r->judge) {
		judge_frame(r);
		judge_registers(r);
	}
	if (r->judge)
		r->judge();
}

/* --- Not recognized in this mode --- */

/* SDM 2A to 2D, "Real-Address Mode Exceptions" and "Virtual-8086 Mode Exceptions" of each. */
static const struct row modes[] = {
	{"SLDT in real mode", REAL, {0x0f, 0x00, 0xc0}, EXC_UD, 0, NULL, NULL},
	{"STR in real mode", REAL, {0x0f, 0x00, 0xc8}, EXC_UD, 0, NULL, NULL},
	{"LLDT in real mode", REAL, {0x0f, 0x00, 0xd0}, EXC_UD, 0, NULL, NULL},
	{"LTR in real mode", REAL, {0x0f, 0x00, 0xd8}, EXC_UD, 0, NULL, NULL},
	{"VERR in real mode", REAL, {0x0f, 0x00, 0xe0}, EXC_UD, 0, NULL, NULL},
	{"VERW in real mode", REAL, {0x0f, 0x00, 0xe8}, EXC_UD, 0, NULL, NULL},
	{"LAR in real mode", REAL, {0x0f, 0x02, 0xc0}, EXC_UD, 0, NULL, NULL},
	{"LSL in real mode", REAL, {0x0f, 0x03, 0xc0}, EXC_UD, 0, NULL, NULL},
	{"ARPL in real mode", REAL, {0x63, 0xc0}, EXC_UD, 0, NULL, NULL},
	{"SYSENTER in real mode", REAL, {0x0f, 0x34}, EXC_GP, 0, NULL, NULL},
	{"SYSEXIT in real mode", REAL, {0x0f, 0x35}, EXC_GP, 0, NULL, NULL},
	{"SYSCALL in real mode", REAL, {0x0f, 0x05}, EXC_UD, 0, NULL, NULL},
	{"SYSRET in real mode", REAL, {0x0f, 0x07}, EXC_UD, 0, NULL, NULL},
	{"SLDT in virtual-8086 mode", V86_IOPL3, {0x0f, 0x00, 0xc0}, EXC_UD, 0, NULL, NULL},
	{"LTR in virtual-8086 mode", V86_IOPL3, {0x0f, 0x00, 0xd8}, EXC_UD, 0, NULL, NULL},
	{"VERR in virtual-8086 mode", V86_IOPL3, {0x0f, 0x00, 0xe0}, EXC_UD, 0, NULL, NULL},
	{"LAR in virtual-8086 mode", V86_IOPL3, {0x0f, 0x02, 0xc0}, EXC_UD, 0, NULL, NULL},
	{"ARPL in virtual-8086 mode", V86_IOPL3, {0x63, 0xc0}, EXC_UD, 0, NULL, NULL},
	{"INVPCID in virtual-8086 mode", V86_IOPL3, {0x66, 0x0f, 0x38, 0x82, 0x07}, EXC_GP, 0, NULL, NULL},
	{"SYSCALL in a 32-bit segment", PROT0, {0x0f, 0x05}, EXC_UD, 0, NULL, NULL},
	{"SYSRET in a 32-bit segment", PROT0, {0x0f, 0x07}, EXC_UD, 0, NULL, NULL},
	{"SWAPGS in a 32-bit segment", PROT0, {0x0f, 0x01, 0xf8}, EXC_UD, 0, NULL, NULL},
	{"SYSRET without EFER.SCE", LONG0, {0x48, 0x0f, 0x07}, EXC_UD, 0, NULL, NULL},
	{"SYSCALL without EFER.SCE", LONG3, {0x0f, 0x05}, EXC_UD, 0, NULL, NULL},
	{"SWAPGS at level 3", LONG3, {0x0f, 0x01, 0xf8}, EXC_GP, 0, NULL, NULL},
};

START_TEST(fault_not_recognized_in_mode_is_ud_or_gp)
{
	run_row(&modes[_i]);
}
END_TEST

/* --- Operands that only memory can be --- */

/* ModRM with mod 3: #UD in every mode (SDM 2A to 2D, "#UD If the source operand is not a memory location"). */
static const struct row registers[] = {
	{"LGDT of a register", LONG0, {0x0f, 0x01, 0xd6}, EXC_UD, 0, NULL, NULL},
	{"SIDT to a register", LONG0, {0x0f, 0x01, 0xce}, EXC_UD, 0, NULL, NULL},
	{"INVLPG of a register", LONG0, {0x0f, 0x01, 0xfb}, EXC_UD, 0, NULL, NULL},
	{"INVPCID of a register", LONG0, {0x66, 0x0f, 0x38, 0x82, 0xc1}, EXC_UD, 0, NULL, NULL},
	{"CLFLUSHOPT of a register", LONG0, {0x66, 0x0f, 0xae, 0xfb}, EXC_UD, 0, NULL, NULL},
	{"LES of a register (VEX in all modes)", PROT0, {0xc4, 0xc0, 0, 0}, EXC_UD, 0, NULL, NULL},
	{"LSS of a register", LONG0, {0x0f, 0xb2, 0xc0}, EXC_UD, 0, NULL, NULL},
	{"far CALL of a register", LONG0, {0xff, 0xd8}, EXC_UD, 0, NULL, NULL},
	{"far JMP of a register", PROT0, {0xff, 0xe8}, EXC_UD, 0, NULL, NULL},
	{"BOUND of a register", PROT0, {0x62, 0xc0}, EXC_UD, 0, NULL, NULL},
	{"MOV from a segment register 6", LONG0, {0x8c, 0xf0}, EXC_UD, 0, NULL, NULL},
	{"MOV from a segment register 7", PROT0, {0x8c, 0xf8}, EXC_UD, 0, NULL, NULL},
	{"MOV to CS", LONG0, {0x8e, 0xc8}, EXC_UD, 0, NULL, NULL},
	{"16 bytes", LONG0, {0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66}, EXC_GP, 0, NULL, NULL},
};

START_TEST(fault_operand_must_be_memory)
{
	if (_i == sizeof(registers) / sizeof(registers[0]) - 1)
		put(CODE + CODE_MAX, 0x9090909066666666, 8);
	run_row(&registers[_i]);
}
END_TEST

/* --- Control registers --- */

static void bad_pdpte(struct cv_vcpu_state *s)
{
	put(s->cr3 + 8, 0x7, 8); /* R/W and U/S are reserved */
	s->gpr[CV_RAX] = s->cr0 | CV_CR0_CD;
}

static void bad_pdpte_cr4(struct cv_vcpu_state *s)
{
	put(s->cr3 + 24, 0x21, 8); /* bit 5 is reserved */
	s->gpr[CV_RAX] = s->cr4 | CV_CR4_PGE;
}

static void good_pdpte(struct cv_vcpu_state *s)
{
	put(s->cr3 + 8, (TABLES + 0x2000) | 1, 8);
	s->gpr[CV_RAX] = s->cr0 | CV_CR0_CD;
}

static void loaded_pdpte(void)
{
	ck_assert_uint_eq(after.cr0, before.cr0 | CV_CR0_CD);
	ck_assert_uint_eq(after.pdpte[1], (TABLES + 0x2000) | 1);
}

static void own_tables(struct cv_vcpu_state *s)
{
	put(s->gpr[CV_RBX] + (s->cr0 & CV_CR0_PE ? 0 : DATA), 0xfedcba9876540127, 8);
}

static void base_of_24_bits(void)
{
	ck_assert_uint_eq(after.gdtr.limit, 0x127);
	ck_assert_uint_eq(after.gdtr.base, 0x987654);
}

static void base_of_32_bits(void)
{
	ck_assert_uint_eq(after.gdtr.limit, 0x127);
	ck_assert_uint_eq(after.gdtr.base, 0xba987654);
}

static const struct row controls[] = {
	{"CR0.CD with a reserved bit in a PDPTE", PAE0, {0x0f, 0x22, 0xc0}, EXC_GP, 0, bad_pdpte, NULL},
	{"CR0.CD loads the PDPTEs", PAE0, {0x0f, 0x22, 0xc0}, -1, 0, good_pdpte, loaded_pdpte},
	{"CR4.PGE with a reserved bit in a PDPTE", PAE0, {0x0f, 0x22, 0xe0}, EXC_GP, 0, bad_pdpte_cr4, NULL},
	/* SDM 2A, LGDT: with a 16-bit operand size the base has 24 bits. */
	{"LGDT with a 16-bit operand", REAL, {0x0f, 0x01, 0x17}, -1, 0, own_tables, base_of_24_bits},
	{"LGDT with a 32-bit operand", REAL, {0x66, 0x0f, 0x01, 0x17}, -1, 0, own_tables, base_of_32_bits},
	{"LGDT with a 16-bit operand in a 32-bit segment", PROT0, {0x66, 0x0f, 0x01, 0x13}, -1, 0, own_tables, base_of_24_bits},
};

START_TEST(fault_control_registers_and_tables)
{
	run_row(&controls[_i]);
}
END_TEST

/* --- Descriptors and gates --- */

static void null_selector(struct cv_vcpu_state *s)
{
	s->gpr[CV_RAX] = 3;
}
static void ldt_selector(struct cv_vcpu_state *s)
{
	s->gpr[CV_RAX] = S_TSS | 4;
}
static void data_selector(struct cv_vcpu_state *s)
{
	s->gpr[CV_RAX] = K_DATA;
}
static void absent_tss(struct cv_vcpu_state *s)
{
	s->gpr[CV_RAX] = S_TSS_NP;
	put_desc(S_TSS_NP, desc(TSS2, 0x67, 0x09, 0));
}

static void gate_to_data(struct cv_vcpu_state *s)
{
	(void)s;
	put_desc(S_GATE, gate(K_DATA, CODE, 0x8c));
}
static void gate_to_kernel(struct cv_vcpu_state *s)
{
	(void)s;
	put_desc(S_GATE, gate(K_CODE, CODE, 0xec));
}
static void gate_to_null(struct cv_vcpu_state *s)
{
	(void)s;
	put_desc(S_GATE, gate(0, CODE, 0x8c));
}
static void gate64_to_data(struct cv_vcpu_state *s)
{
	put_desc(S_GATE64, gate(K_DATA, CODE, 0x8c));
	put_desc(S_GATE64 + 8, 0);
	put(s->gpr[CV_RBX], (uint64_t)S_GATE64 << 32, 8);
}
static void gate64_to_code(struct cv_vcpu_state *s)
{
	gate64_to_data(s);
	put_desc(S_GATE64, gate(K_CODE, CODE + 0x123, 0x8c));
}
static void called_at_same_level(void)
{
	ck_assert_uint_eq(after.rip, CODE + 0x123);
	ck_assert_uint_eq(after.gpr[CV_RSP], USTACK - 16);
	ck_assert_uint_eq(get(USTACK - 16, 8), CODE + 2);
	ck_assert_uint_eq(get(USTACK - 8, 8), K_CODE);
}

static void task_gates(struct cv_vcpu_state *s)
{
	(void)s;
	put_desc(S_TSS_NP, desc(TSS2, 0x67, 0x09, 0));
	put(IDT + 8 * 0x30, gate(S_TSS_NP, 0, 0xe5), 8);
	put(IDT + 8 * 0x31, gate(K_DATA, 0, 0xe5), 8);
	put(IDT + 8 * 0x32, gate(4, 0, 0xe5), 8);
}

/* The handler of #UD is a task gate without a task: the frame of what comes of it has RF, as that of any fault, and EXT is set. */
static void undefined_task(struct cv_vcpu_state *s)
{
	put(IDT + 8 * EXC_UD, gate(K_DATA, 0, 0x85), 8);
	s->rflags |= CV_FLAG_CF;
}
static void instead_of_task(void)
{
	uint64_t sp = after.gpr[CV_RSP];

	ck_assert_uint_eq(get(sp, 4), K_DATA | 1);
	ck_assert_uint_eq(get(sp + 4, 4), before.rip);
	ck_assert_uint_eq(get(sp + 12, 4), 2 | CV_FLAG_CF | CV_FLAG_RF);
	ck_assert_uint_eq(after.seg[CV_TR].sel, S_TSS);
}

static void task(uint16_t sel, uint32_t tss, uint32_t cr3, uint32_t eip)
{
	put_desc(sel, desc(tss, 0x67, 0x89, 0));
	put(tss + 0x1c, cr3, 4);
	put(tss + 0x20, eip, 4);
	put(tss + 0x24, 2, 4);
	put(tss + 0x28 + 4 * CV_RSP, STACK - 0x800, 4);
	put(tss + 0x48 + 4 * CV_CS, K_CODE, 4);
	put(tss + 0x48 + 4 * CV_SS, K_DATA, 4);
}

/*
 * A task whose CR3 leads to PDPTEs with reserved bits: all of the switch is done but that (SDM 3A 4.4.1 and 7.3), so the fault belongs to
 * the new task. Its segments are not loaded yet: only a third task can take it.
 */
static void task_with_bad_pdpte(struct cv_vcpu_state *s)
{
	(void)s;
	put(TABLES + 0x3800, 0x7, 8);
	task(S_TSS2, TSS2, TABLES + 0x3800, CODE + 0x200);
	task(S_TSS3, TSS3, TABLES + 0x3000, HANDLERS + 16 * EXC_GP);
	put(IDT + 8 * EXC_GP, gate(S_TSS3, 0, 0x85), 8);
}
static void from_new_task(void)
{
	ck_assert_uint_eq(after.seg[CV_TR].sel, S_TSS3);
	ck_assert_uint_eq(get(TSS3, 2), S_TSS2);
	ck_assert_uint_eq(get(after.gpr[CV_RSP], 4), 0);
	ck_assert_uint_eq(after.gpr[CV_RSP], STACK - 0x804);
	ck_assert_uint_eq(get(TSS2 + 0x20, 4), CODE + 0x200);
	ck_assert_uint_eq(get(TSS + 0x20, 4), CODE + 7);
	ck_assert_uint_eq(get(GDT + S_TSS, 8) >> 40 & 0x1f, 0x09); /* not busy any more */
	ck_assert_uint_eq(get(GDT + S_TSS2, 8) >> 40 & 0x1f, 0x0b);
	ck_assert_uint_eq(get(GDT + S_TSS3, 8) >> 40 & 0x1f, 0x0b);
}

static void arpl_memory(struct cv_vcpu_state *s)
{
	put(s->gpr[CV_RBX], 0xffff0041, 4);
	s->gpr[CV_RAX] = 2;
}
static void rpl_raised(void)
{
	ck_assert_uint_eq(get(before.gpr[CV_RBX], 4), 0xffff0042);
	ck_assert(after.rflags & CV_FLAG_ZF);
}
static void arpl_read_only(struct cv_vcpu_state *s)
{
	arpl_memory(s);
	s->seg[CV_DS].ar = 0xc0f1;
}

static const struct row descriptors[] = {
	{"LTR of a null selector", PROT0, {0x0f, 0x00, 0xd8}, EXC_GP, 0, null_selector, NULL},
	{"LTR of a selector of the LDT", PROT0, {0x0f, 0x00, 0xd8}, EXC_GP, S_TSS | 4, ldt_selector, NULL},
	{"LTR of a data segment", PROT0, {0x0f, 0x00, 0xd8}, EXC_GP, K_DATA, data_selector, NULL},
	{"LTR of a TSS that isn't present", LONG0, {0x0f, 0x00, 0xd8}, EXC_NP, S_TSS_NP, absent_tss, NULL},
	{"LLDT of a selector of the LDT", PROT0, {0x0f, 0x00, 0xd0}, EXC_GP, S_TSS | 4, ldt_selector, NULL},
	{"LLDT of a data segment", PROT0, {0x0f, 0x00, 0xd0}, EXC_GP, K_DATA, data_selector, NULL},
	{"LTR at level 3", PROT3, {0x0f, 0x00, 0xd8}, EXC_GP, 0, null_selector, NULL},
	{"ARPL of memory", PROT3, {0x63, 0x03}, -1, 0, arpl_memory, rpl_raised},
	{"ARPL of memory that can't be written", PROT3, {0x63, 0x03}, EXC_GP, 0, arpl_read_only, NULL},
	{"call gate to a data segment", PROT0, {0x9a, 0, 0, 0, 0, S_GATE, 0}, EXC_GP, K_DATA, gate_to_data, NULL},
	{"call gate to a null selector", PROT0, {0x9a, 0, 0, 0, 0, S_GATE, 0}, EXC_GP, 0, gate_to_null, NULL},
	{"jump through a call gate to a data segment", PROT0, {0xea, 0, 0, 0, 0, S_GATE, 0}, EXC_GP, K_DATA, gate_to_data, NULL},
	{"jump through a call gate to another level", PROT3, {0xea, 0, 0, 0, 0, S_GATE, 0}, EXC_GP, K_CODE, gate_to_kernel, NULL},
	{"64-bit call gate to a data segment", LONG0, {0xff, 0x1b}, EXC_GP, K_DATA, gate64_to_data, NULL},
	{"64-bit call gate at the same level", LONG0, {0xff, 0x1b}, -1, 0, gate64_to_code, called_at_same_level},
	{"task gate to a TSS that isn't present", PROT0, {0xcd, 0x30}, EXC_NP, S_TSS_NP, task_gates, NULL},
	{"task gate to a data segment", PROT0, {0xcd, 0x31}, EXC_GP, K_DATA, task_gates, NULL},
	{"task gate to the LDT", PROT3, {0xcd, 0x32}, EXC_GP, 4, task_gates, NULL},
	{"fault whose task gate names no task", PROT0, {0x0f, 0x0b}, EXC_GP, K_DATA | 1, undefined_task, instead_of_task},
	{"task with a reserved bit in a PDPTE", PAE0, {0xea, 0, 0, 0, 0, S_TSS2, 0}, EXC_GP, 0, task_with_bad_pdpte, from_new_task},
};

START_TEST(fault_descriptor_has_its_selector_as_error_code)
{
	run_row(&descriptors[_i]);
}
END_TEST

/* --- Returns, stacks, ports, images --- */

static void iret_frame(struct cv_vcpu_state *s, uint32_t eip)
{
	put(s->gpr[CV_RSP], eip, 4);
	put(s->gpr[CV_RSP] + 4, 0x5000, 4);
	put(s->gpr[CV_RSP] + 8, CV_FLAG_VM | 2, 4);
	for (unsigned k = 12; k < 36; k += 4)
		put(s->gpr[CV_RSP] + k, 0x100, 4);
}
static void v86_eip_too_large(struct cv_vcpu_state *s)
{
	iret_frame(s, 0x10000);
}
static void v86_frame_too_short(struct cv_vcpu_state *s)
{
	iret_frame(s, 0x100);
	s->seg[CV_SS].limit = (uint32_t)s->gpr[CV_RSP] + 34; /* its last byte is missing */
	s->seg[CV_SS].ar = 0x4093;
}
static void real_iretd(struct cv_vcpu_state *s)
{
	put(USTACK, 0x234, 4);
	put(USTACK + 4, 0x5000, 4);
	put(USTACK + 8, CV_FLAG_AC | CV_FLAG_ID | CV_FLAG_CF | CV_FLAG_VM, 4);
	(void)s;
}
/* SDM 2A, IRET in real-address mode: VM, VIF and VIP are not changed, AC and ID are loaded. */
static void real_flags(void)
{
	ck_assert_uint_eq(after.rip, 0x234);
	ck_assert_uint_eq(after.gpr[CV_RSP], 0x100c);
	ck_assert_uint_eq(after.rflags, CV_FLAG_AC | CV_FLAG_ID | CV_FLAG_CF | 2);
}

static void real_rip_beyond(struct cv_vcpu_state *s)
{
	put(USTACK, 0x10000, 4);
	(void)s;
}

static void short_tss(struct cv_vcpu_state *s)
{
	s->seg[CV_TR].limit = 0x66;
}
static void no_bitmap(struct cv_vcpu_state *s)
{
	put(TSS + 0x66, 0x68, 2); /* behind the limit */
	(void)s;
}

static void ist_beyond_limit(struct cv_vcpu_state *s)
{
	put(IDT + 16 * 0x30 + 4, 7, 1);
	s->seg[CV_TR].limit = 0x50;
}
static void tss_without_stack(struct cv_vcpu_state *s)
{
	s->seg[CV_TR].limit = 0x8;
}

/* An inner stack with 16-bit pushes: the upper half of ESP0 doesn't count (SDM 3A 6.12.1). */
static void stack16(struct cv_vcpu_state *s)
{
	put_desc(S_STACK16, desc(STACK - 0x1000, 0xffff, 0x93, 0));
	put(TSS + 4, 0xabc1000, 4);
	put(TSS + 8, S_STACK16, 2);
	(void)s;
}
static void on_stack16(void)
{
	ck_assert_uint_eq(after.seg[CV_SS].sel, S_STACK16);
	ck_assert_uint_eq(after.gpr[CV_RSP] & 0xffff, 0x1000 - 20);
	ck_assert_uint_eq(get(STACK - 20, 4), CODE + 2);
	ck_assert_uint_eq(get(STACK - 8, 4), USTACK);
}

/* An expand-down segment's limit is what lies below it (SDM 3A 5.3). */
static void stack_down(struct cv_vcpu_state *s)
{
	put_desc(S_DOWN, desc(0, STACK - 21, 0x97, 4));
	put(TSS + 8, S_DOWN, 2);
	(void)s;
}
static void on_stack_down(void)
{
	ck_assert_uint_eq(after.seg[CV_SS].sel, S_DOWN);
	ck_assert_uint_eq(after.gpr[CV_RSP], STACK - 20);
	ck_assert_uint_eq(get(STACK - 20, 4), CODE + 2);
}
/* One byte less fits: #SS with the new stack's selector, which can't be delivered on it either. */
static void stack_down_short(struct cv_vcpu_state *s)
{
	stack_down(s);
	put_desc(S_DOWN, desc(0, STACK - 20, 0x97, 4));
}
static void nothing(void)
{
	ck_assert_uint_eq(after.rip, before.rip);
	ck_assert_uint_eq(after.gpr[CV_RSP], before.gpr[CV_RSP]);
}

static void image(struct cv_vcpu_state *s)
{
	put(s->gpr[CV_RBX], 0x0004037b, 4); /* FCW lets division by zero through, FSW has it */
	put(s->gpr[CV_RBX] + 24, 0x1f80, 4);
}
static void pending_error(void)
{
	ck_assert_uint_eq(after.x87.fcw, 0x37b);
	ck_assert_uint_eq(after.x87.fsw, 0x8084); /* ES and B are set, whatever the image has there */
}

/* SDM 3A 6.15, interrupt 17: a far call's pushes are data accesses of the program. */
static void odd_stack(struct cv_vcpu_state *s)
{
	s->cr0 |= CV_CR0_AM;
	s->rflags |= CV_FLAG_AC;
	s->gpr[CV_RSP] -= 2;
}

static void sub_type(struct cv_vcpu_state *s)
{
	s->gpr[CV_RAX] = 0x100000002; /* in a 32-bit segment: type 2 */
	put(s->gpr[CV_RBX], 0, 8);
	put(s->gpr[CV_RBX] + 8, 0, 8);
}
static void bad_type(struct cv_vcpu_state *s)
{
	sub_type(s);
	s->gpr[CV_RAX] = 0x100000004;
}
static void past_invpcid(void)
{
	ck_assert_uint_eq(after.rip, CODE + 5);
}

static const struct row others[] = {
	{"IRET to virtual-8086 mode, EIP too large", PROT0, {0xcf}, EXC_GP, 0, v86_eip_too_large, NULL},
	{"IRET to virtual-8086 mode, frame too short", PROT0, {0xcf}, EXC_SS, 0, v86_frame_too_short, NULL},
	{"IRETD in real mode", REAL, {0x66, 0xcf}, -1, 0, real_iretd, real_flags},
	{"IRETD in real mode, EIP too large", REAL, {0x66, 0xcf}, EXC_GP, 0, real_rip_beyond, NULL},
	{"IN with a TSS too short for a bitmap", V86, {0xe4, 0x60}, EXC_GP, 0, short_tss, NULL},
	{"IN with a bitmap beyond the limit", PROT3, {0xec}, EXC_GP, 0, no_bitmap, NULL},
	{"IST beyond the TSS", LONG3, {0xcd, 0x30}, EXC_TS, S_TSS, ist_beyond_limit, NULL},
	{"no inner stack in the TSS, three times", LONG3, {0xcd, 0x30}, TRIPLE, 0, tss_without_stack, nothing},
	{"inner stack of 16 bits", PROT3, {0xcd, 0x21}, 0x21, 0, stack16, on_stack16},
	{"inner stack that expands down", PROT3, {0xcd, 0x21}, 0x21, 0, stack_down, on_stack_down},
	{"inner stack that expands down, too short", PROT3, {0xcd, 0x21}, TRIPLE, 0, stack_down_short, nothing},
	{"far CALL with alignment checks", PROT3, {0x9a, 0, 0, 0, 0, U_CODE, 0}, EXC_AC, 0, odd_stack, NULL},
	{"FXRSTOR of an exception that is not masked", LONG0, {0x0f, 0xae, 0x0b}, -1, 0, image, pending_error},
	{"INVPCID in a 32-bit segment", PROT0, {0x66, 0x0f, 0x38, 0x82, 0x03}, -1, 0, sub_type, past_invpcid},
	{"INVPCID of an unknown type", PROT0, {0x66, 0x0f, 0x38, 0x82, 0x03}, EXC_GP, 0, bad_type, NULL},
};

START_TEST(fault_return_stack_port_or_image)
{
	run_row(&others[_i]);
}
END_TEST

#define LOOP(t, test, rows) tcase_add_loop_test(t, test, 0, sizeof(rows) / sizeof((rows)[0]))

int main(void)
{
	Suite *s = suite_create("soft_faults");
	TCase *t = tcase_create("faults");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	LOOP(t, fault_not_recognized_in_mode_is_ud_or_gp, modes);
	LOOP(t, fault_operand_must_be_memory, registers);
	LOOP(t, fault_control_registers_and_tables, controls);
	LOOP(t, fault_descriptor_has_its_selector_as_error_code, descriptors);
	LOOP(t, fault_return_stack_port_or_image, others);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
