/* SPDX-License-Identifier: MIT */
/* Event delivery: frames of every mode and gate, error codes, double and triple faults; IRET undoes it. */
#include "soft_fixture.h"
#include "vmm-core/soft/sys.h"

enum { GDT = 0x1000, IDT = 0x2000, TSS = 0x3000, TSS2 = 0x3800, STACK0 = 0x9000, STACK3 = 0xa000, IST1 = 0xb000 };
enum { ROOT = 0x10000, PDPT = 0x11000, PD = 0x12000 };
/* Selectors. */
enum { K_CODE = 0x08, K_DATA = 0x10, U_CODE = 0x1b, U_DATA = 0x23, S_TSS = 0x28, K_CODE16 = 0x38, K_CONF = 0x40,
       S_TSS2 = 0x48, K_CODE_NP = 0x50, C_CODE = 0x5b };

static struct fixture f;
static struct soft_cpu *c;
static uint8_t failed;

static void teardown(void)
{
	fx_release(&f);
}

/* A flat descriptor: base, limit as given, access byte, upper flags nibble. */
static uint64_t desc(uint32_t base, uint32_t limit, unsigned access, unsigned flags)
{
	return (limit & 0xffffull) | (base & 0xffffffull) << 16 | (uint64_t)access << 40 |
	       (uint64_t)(limit >> 16 & 0xf) << 48 | (uint64_t)flags << 52 | (uint64_t)(base >> 24) << 56;
}

static void set_seg(unsigned seg, uint16_t sel, uint64_t d)
{
	sys_seg_from_desc(&c->s.seg[seg], sel, d);
}

static void put_gdt(uint16_t sel, uint64_t d)
{
	fx_put(&f, GDT + (sel & 0xfff8), d, 8);
}

static uint64_t gdt(uint16_t sel)
{
	return fx_get(&f, GDT + (sel & 0xfff8), 8);
}

static void gate(unsigned vector, uint16_t sel, uint32_t offset, unsigned type, unsigned dpl)
{
	uint64_t g = (offset & 0xffffull) | (uint64_t)sel << 16 | (uint64_t)(0x80 | dpl << 5 | type) << 40 |
		     (uint64_t)(offset >> 16) << 48;

	fx_put(&f, IDT + 8 * vector, g, 8);
}

static void gate64(unsigned vector, uint64_t offset, unsigned ist, unsigned type, unsigned dpl)
{
	uint64_t g = (offset & 0xffff) | (uint64_t)K_CODE << 16 | (uint64_t)ist << 32 |
		     (uint64_t)(0x80 | dpl << 5 | type) << 40 | (offset >> 16 & 0xffff) << 48;

	fx_put(&f, IDT + 16 * vector, g, 8);
	fx_put(&f, IDT + 16 * vector + 8, offset >> 32, 8);
}

static void common(void)
{
	fx_init(&f);
	c = f.c;
	put_gdt(K_DATA, desc(0, 0xfffff, 0x93, 0xc));
	put_gdt(U_DATA, desc(0, 0xfffff, 0xf3, 0xc));
	put_gdt(K_CODE16, desc(0, 0xffff, 0x9b, 0));
	put_gdt(K_CODE_NP, desc(0, 0xfffff, 0x1b, 0xc));
	put_gdt(C_CODE, desc(0, 0xfffff, 0xfb, 0xc));
	c->s.gdtr = (struct cv_dtr){GDT, 0xff};
	c->s.idtr = (struct cv_dtr){IDT, 0x7ff};
	c->s.gpr[CV_RSP] = STACK3;
	c->s.rip = 0x5000;
	failed = 0xff;
}

static void protected_mode(unsigned cpl)
{
	common();
	put_gdt(K_CODE, desc(0, 0xfffff, 0x9b, 0xc));
	put_gdt(K_CONF, desc(0, 0xfffff, 0x9f, 0xc));
	put_gdt(U_CODE, desc(0, 0xfffff, 0xfb, 0xc));
	put_gdt(S_TSS, desc(TSS, 0x67, 0x8b, 0));
	fx_put(&f, TSS + 4, STACK0, 4);
	fx_put(&f, TSS + 8, K_DATA, 2);
	c->s.cr0 |= CV_CR0_PE;
	set_seg(CV_TR, S_TSS, gdt(S_TSS));
	set_seg(CV_CS, cpl ? U_CODE : K_CODE, gdt(cpl ? U_CODE : K_CODE));
	set_seg(CV_SS, cpl ? U_DATA : K_DATA, gdt(cpl ? U_DATA : K_DATA));
	set_seg(CV_DS, U_DATA, gdt(U_DATA));
	soft_update_mode(c);
	ck_assert_uint_eq(c->cpl, cpl);
}

static void long_mode(unsigned cpl)
{
	common();
	put_gdt(K_CODE, desc(0, 0xfffff, 0x9b, 0xa));
	put_gdt(U_CODE, desc(0, 0xfffff, 0xfb, 0xa));
	put_gdt(S_TSS, desc(TSS, 0x67, 0x8b, 0));
	put_gdt(S_TSS + 8, 0);
	fx_put(&f, TSS + 4, STACK0, 8);
	fx_put(&f, TSS + 36, IST1, 8);
	fx_put(&f, ROOT, PDPT | 7, 8);
	fx_put(&f, PDPT, PD | 7, 8);
	for (unsigned k = 0; k < 8; k++)
		fx_put(&f, PD + 8 * k, k << 21 | 0x87, 8);
	c->s.idtr.limit = 0xfff;
	c->s.cr0 |= CV_CR0_PE | CV_CR0_PG | CV_CR0_WP;
	c->s.cr3 = ROOT;
	c->s.cr4 = CV_CR4_PAE;
	c->s.efer = CV_EFER_LME | CV_EFER_LMA | CV_EFER_NXE;
	set_seg(CV_TR, S_TSS, gdt(S_TSS));
	set_seg(CV_CS, cpl ? U_CODE : K_CODE, gdt(cpl ? U_CODE : K_CODE));
	set_seg(CV_SS, cpl ? U_DATA : K_DATA, gdt(cpl ? U_DATA : K_DATA));
	soft_update_mode(c);
	ck_assert_uint_eq(c->mode, 64);
	ck_assert_uint_eq(c->cpl, cpl);
}

static bool deliver(enum soft_event_type type, int vector)
{
	return soft_deliver(c, type, vector, false, 0, 0x5002, &failed);
}

static bool deliver_error(int vector, uint32_t error)
{
	return soft_deliver(c, SOFT_EV_EXCEPTION, vector, true, error, 0, &failed);
}

static void frame(uint64_t at, unsigned size, unsigned n, const uint64_t *want)
{
	for (unsigned k = 0; k < n; k++)
		ck_assert_uint_eq(fx_get(&f, at + k * size, size), want[k]);
}
#define FRAME(at, size, ...) \
	frame((at), (size), sizeof((uint64_t[]){__VA_ARGS__}) / 8, (const uint64_t[]){__VA_ARGS__})

static void run(cv_handler *h, struct cv_insn i)
{
	i.flags = CV_INSN_SINGLE;
	i.seg = CV_DS;
	c->block_rip = c->s.rip;
	c->single = true;
	c->tlb_now = c->tlb[c->mmu];
	c->fault.vector = -1;
	h(c, &i);
}

/* --- Real mode --- */

START_TEST(interrupt_real_mode_pushes_three_words)
{
	common();
	c->s.idtr = (struct cv_dtr){0, 0x3ff};
	fx_put(&f, 4 * 0x21, 0x12345678, 4);
	c->s.seg[CV_CS].sel = 0xf00;
	c->s.seg[CV_SS].base = 0x10000;
	c->s.gpr[CV_RSP] = 0xabcd0100;
	c->s.rip = 0x77;
	soft_set_rflags(c, CV_FLAG_IF | CV_FLAG_TF | CV_FLAG_CF);
	ck_assert(deliver(SOFT_EV_EXTERNAL, 0x21));
	ck_assert_uint_eq(c->s.rip, 0x5678);
	ck_assert_uint_eq(c->s.seg[CV_CS].sel, 0x1234);
	ck_assert_uint_eq(c->s.seg[CV_CS].base, 0x12340);
	ck_assert_uint_eq(c->s.gpr[CV_RSP], 0xabcd00fa);
	FRAME(0x100fa, 2, 0x77, 0xf00, CV_FLAG_IF | CV_FLAG_TF | CV_FLAG_CF | 2);
	ck_assert_uint_eq(soft_get_rflags(c), CV_FLAG_CF | 2);
	ck_assert_uint_eq(c->s.pos.sub, 1);
	run(sys_op_iret, (struct cv_insn){.osize = 2, .opcode = 0xcf});
	ck_assert_int_eq(c->fault.vector, -1);
	ck_assert_uint_eq(c->s.rip, 0x77);
	ck_assert_uint_eq(c->s.seg[CV_CS].base, 0xf000);
	ck_assert_uint_eq(c->s.gpr[CV_RSP], 0xabcd0100);
	ck_assert_uint_eq(soft_get_rflags(c), CV_FLAG_IF | CV_FLAG_TF | CV_FLAG_CF | 2);
}
END_TEST

START_TEST(interrupt_real_mode_frame_wraps_at_64k)
{
	common();
	c->s.idtr = (struct cv_dtr){0, 0x3ff};
	c->s.seg[CV_SS].base = 0x20000;
	c->s.gpr[CV_RSP] = 2;
	ck_assert(deliver(SOFT_EV_EXTERNAL, 8));
	ck_assert_uint_eq(c->s.gpr[CV_RSP], 0xfffc);
	ck_assert_uint_eq(fx_get(&f, 0x20000, 2), 2);
	ck_assert_uint_eq(fx_get(&f, 0x2fffc, 2), 0x5000);
}
END_TEST

START_TEST(interrupt_real_mode_beyond_ivt_limit_shuts_down)
{
	common();
	c->s.idtr = (struct cv_dtr){0, 0x1f};
	ck_assert(!deliver(SOFT_EV_EXTERNAL, 0x21));
	ck_assert_uint_eq(failed, EXC_DF);
	ck_assert_uint_eq(c->s.rip, 0x5000);
}
END_TEST

/* --- Protected mode --- */

START_TEST(interrupt_protected_same_level_32bit_gate)
{
	protected_mode(0);
	gate(13, K_CODE, 0x123456, SYS_INT, 0);
	soft_set_rflags(c, CV_FLAG_IF | CV_FLAG_TF | CV_FLAG_NT | CV_FLAG_ZF);
	ck_assert(deliver_error(EXC_GP, 0xbee8));
	ck_assert_uint_eq(c->s.rip, 0x123456);
	ck_assert_uint_eq(c->s.gpr[CV_RSP], STACK3 - 16);
	/* A fault pushes RF. */
	FRAME(STACK3 - 16, 4, 0xbee8, 0x5000, K_CODE,
	      CV_FLAG_IF | CV_FLAG_TF | CV_FLAG_NT | CV_FLAG_ZF | CV_FLAG_RF | 2);
	ck_assert_uint_eq(soft_get_rflags(c), CV_FLAG_ZF | 2);
}
END_TEST

START_TEST(interrupt_protected_trap_gate_keeps_if)
{
	protected_mode(0);
	gate(0x30, K_CODE, 0x6000, SYS_TRAP, 0);
	soft_set_rflags(c, CV_FLAG_IF);
	ck_assert(deliver(SOFT_EV_EXTERNAL, 0x30));
	ck_assert_uint_eq(soft_get_rflags(c), CV_FLAG_IF | 2);
	FRAME(STACK3 - 12, 4, 0x5000, K_CODE, CV_FLAG_IF | 2);
}
END_TEST

START_TEST(interrupt_protected_16bit_gate_pushes_words)
{
	protected_mode(0);
	gate(0x30, K_CODE16, 0xdead6000, SYS_INT16, 0);
	ck_assert(deliver(SOFT_EV_EXTERNAL, 0x30));
	ck_assert_uint_eq(c->s.rip, 0x6000);
	ck_assert_uint_eq(c->mode, 16);
	FRAME(STACK3 - 6, 2, 0x5000, K_CODE, 2);
}
END_TEST

START_TEST(interrupt_protected_inner_level_switches_stack_and_iret_returns)
{
	protected_mode(3);
	gate(14, K_CODE, 0x7000, SYS_INT, 0);
	c->fault.cr2 = 0xcafe000;
	soft_set_rflags(c, CV_FLAG_IF);
	ck_assert(deliver_error(EXC_PF, 6));
	ck_assert_uint_eq(c->s.cr2, 0xcafe000);
	ck_assert_uint_eq(c->cpl, 0);
	ck_assert_uint_eq(c->s.seg[CV_SS].sel, K_DATA);
	ck_assert_uint_eq(c->s.gpr[CV_RSP], STACK0 - 24);
	FRAME(STACK0 - 24, 4, 6, 0x5000, U_CODE, CV_FLAG_IF | CV_FLAG_RF | 2, STACK3, U_DATA);
	c->s.gpr[CV_RSP] += 4;
	sys_seg_from_desc(&c->s.seg[CV_ES], K_DATA, gdt(K_DATA));
	run(sys_op_iret, (struct cv_insn){.osize = 4, .opcode = 0xcf});
	ck_assert_int_eq(c->fault.vector, -1);
	ck_assert_uint_eq(c->cpl, 3);
	ck_assert_uint_eq(c->s.rip, 0x5000);
	ck_assert_uint_eq(c->s.seg[CV_CS].sel, U_CODE);
	ck_assert_uint_eq(c->s.seg[CV_SS].sel, U_DATA);
	ck_assert_uint_eq(c->s.gpr[CV_RSP], STACK3);
	/* The kernel's data segment doesn't come along; the user's does. */
	ck_assert_uint_eq(c->s.seg[CV_ES].sel, 0);
	ck_assert(c->s.seg[CV_ES].ar & CV_AR_UNUSABLE);
	ck_assert_uint_eq(c->s.seg[CV_DS].sel, U_DATA);
}
END_TEST

START_TEST(interrupt_conforming_handler_stays_at_level)
{
	protected_mode(3);
	gate(0x40, K_CONF, 0x7000, SYS_INT, 3);
	ck_assert(deliver(SOFT_EV_EXTERNAL, 0x40));
	ck_assert_uint_eq(c->cpl, 3);
	ck_assert_uint_eq(c->s.seg[CV_CS].sel, K_CONF | 3);
	FRAME(STACK3 - 12, 4, 0x5000, U_CODE, 2);
}
END_TEST

/* What a failing gate raises: vector and error code as the #GP or #NP handler's frame shows them. */
static void expect_second(int vector, uint32_t error)
{
	ck_assert_uint_eq(c->s.rip, 0x7000 + (unsigned)vector);
	ck_assert_uint_eq(fx_get(&f, c->s.gpr[CV_RSP], 4), error);
}

static void fault_handlers(void)
{
	for (unsigned v = 8; v < 15; v++)
		gate(v, K_CODE, 0x7000 + v, SYS_INT, 0);
}

START_TEST(interrupt_bad_gates_raise_exact_error_codes)
{
	protected_mode(0);
	fault_handlers();
	ck_assert(deliver(SOFT_EV_EXTERNAL, 0x41)); /* empty gate */
	expect_second(EXC_GP, 0x41 * 8 + 3);
	gate(0x42, K_CODE, 0, SYS_INT, 0);
	fx_put(&f, IDT + 8 * 0x42 + 5, 0x0e, 1); /* not present */
	ck_assert(deliver(SOFT_EV_EXTERNAL, 0x42));
	expect_second(EXC_NP, 0x42 * 8 + 3);
	gate(0x43, K_DATA, 0, SYS_INT, 0);
	ck_assert(deliver(SOFT_EV_EXTERNAL, 0x43));
	expect_second(EXC_GP, K_DATA + 1);
	gate(0x44, K_CODE_NP, 0, SYS_INT, 0);
	ck_assert(deliver(SOFT_EV_EXTERNAL, 0x44));
	expect_second(EXC_NP, K_CODE_NP + 1);
	gate(0x45, 0, 0, SYS_INT, 0);
	ck_assert(deliver(SOFT_EV_EXTERNAL, 0x45));
	expect_second(EXC_GP, 1);
	gate(0x46, 0x200, 0, SYS_INT, 0);
	ck_assert(deliver(SOFT_EV_EXTERNAL, 0x46));
	expect_second(EXC_GP, 0x201);
	/* Software interrupts have no EXT bit. */
	ck_assert(deliver(SOFT_EV_SOFTINT, 0x41));
	expect_second(EXC_GP, 0x41 * 8 + 2);
	/* Beyond the table. */
	c->s.idtr.limit = 0x45 * 8 - 1;
	ck_assert(deliver(SOFT_EV_EXTERNAL, 0x45));
	expect_second(EXC_GP, 0x45 * 8 + 3);
}
END_TEST

START_TEST(interrupt_software_needs_gate_dpl)
{
	protected_mode(3);
	fault_handlers();
	gate(0x80, K_CODE, 0x6000, SYS_TRAP, 3);
	gate(0x81, K_CODE, 0x6000, SYS_TRAP, 0);
	run(sys_op_int, (struct cv_insn){.imm = 0x81, .len = 2, .opcode = 0xcd});
	ck_assert_int_eq(c->fault.vector, EXC_GP);
	ck_assert_uint_eq(c->fault.error, 0x81 * 8 + 2);
	ck_assert_uint_eq(c->s.rip, 0x5000);
	run(sys_op_int, (struct cv_insn){.imm = 0x80, .len = 2, .opcode = 0xcd});
	ck_assert_int_eq(c->fault.vector, -1);
	ck_assert_uint_eq(c->s.rip, 0x6000);
	FRAME(STACK0 - 20, 4, 0x5002, U_CODE, 2, STACK3, U_DATA);
}
END_TEST

START_TEST(interrupt_external_ignores_gate_dpl)
{
	protected_mode(3);
	gate(0x81, K_CODE, 0x6000, SYS_INT, 0);
	c->s.halted = true;
	ck_assert(deliver(SOFT_EV_EXTERNAL, 0x81));
	ck_assert_uint_eq(c->s.rip, 0x6000);
	ck_assert(!c->s.halted);
}
END_TEST

START_TEST(interrupt_bad_inner_stack_is_ts_with_its_selector)
{
	protected_mode(3);
	fault_handlers();
	gate(10, K_CONF, 0x7000 + 10, SYS_INT, 0); /* on the program's stack: there is no other */
	gate(0x50, K_CODE, 0x6000, SYS_INT, 0);
	fx_put(&f, TSS + 8, U_DATA, 2);
	ck_assert(deliver(SOFT_EV_EXTERNAL, 0x50));
	expect_second(EXC_TS, (U_DATA & 0xfffc) + 1);
	c->s.rip = 0x5000;
	c->s.seg[CV_TR].limit = 8;
	ck_assert(deliver(SOFT_EV_EXTERNAL, 0x50));
	expect_second(EXC_TS, S_TSS + 1);
}
END_TEST

/* --- Double and triple faults --- */

START_TEST(interrupt_contributory_twice_makes_double_fault)
{
	protected_mode(0);
	gate(8, K_CODE, 0x8000, SYS_INT, 0);
	/* #GP whose gate is absent: a second #GP. */
	ck_assert(deliver_error(EXC_GP, 0x1234));
	ck_assert_uint_eq(c->s.rip, 0x8000);
	FRAME(STACK3 - 16, 4, 0, 0x5000, K_CODE, 2);
}
END_TEST

START_TEST(interrupt_page_fault_then_contributory_makes_double_fault)
{
	protected_mode(0);
	gate(8, K_CODE, 0x8000, SYS_INT, 0);
	c->fault.cr2 = 0x1111;
	ck_assert(deliver_error(EXC_PF, 2));
	ck_assert_uint_eq(c->s.rip, 0x8000);
	ck_assert_uint_eq(c->s.cr2, 0x1111);
}
END_TEST

START_TEST(interrupt_benign_then_contributory_is_serial)
{
	protected_mode(0);
	gate(13, K_CODE, 0x8000, SYS_INT, 0);
	ck_assert(deliver(SOFT_EV_EXCEPTION, EXC_UD));
	ck_assert_uint_eq(c->s.rip, 0x8000);
	FRAME(STACK3 - 16, 4, EXC_UD * 8 + 3, 0x5000, K_CODE, CV_FLAG_RF | 2);
}
END_TEST

START_TEST(interrupt_failing_double_fault_shuts_down)
{
	protected_mode(0);
	ck_assert(!deliver_error(EXC_GP, 0));
	ck_assert_uint_eq(failed, EXC_DF);
	ck_assert_uint_eq(c->s.rip, 0x5000);
	ck_assert_uint_eq(c->s.gpr[CV_RSP], STACK3);
	ck_assert_uint_eq(c->s.pos.sub, 0);
}
END_TEST

START_TEST(interrupt_page_fault_while_delivering_page_fault_makes_double_fault)
{
	long_mode(0);
	gate64(14, 0x6000, 0, SYS_INT, 0);
	gate64(8, 0x8000, 1, SYS_INT, 0);
	c->s.gpr[CV_RSP] = 0x40000000; /* not mapped */
	c->fault.cr2 = 0x777;
	ck_assert(deliver_error(EXC_PF, 2));
	ck_assert_uint_eq(c->s.rip, 0x8000);
	ck_assert_uint_eq(c->s.cr2, 0x40000000 - 8);
	FRAME(IST1 - 48, 8, 0, 0x5000, K_CODE, 2, 0x40000000, K_DATA);
}
END_TEST

START_TEST(interrupt_contributory_then_page_fault_is_serial)
{
	long_mode(0);
	gate64(13, 0x6000, 0, SYS_INT, 0);
	gate64(14, 0x8000, 1, SYS_INT, 0);
	c->s.gpr[CV_RSP] = 0x40000000;
	ck_assert(deliver_error(EXC_GP, 0));
	ck_assert_uint_eq(c->s.rip, 0x8000);
	ck_assert_uint_eq(fx_get(&f, IST1 - 48, 8), 2); /* a write, not present, supervisor */
}
END_TEST

/* --- Long mode --- */

START_TEST(interrupt_long_same_level_aligns_stack_and_iretq_returns)
{
	long_mode(0);
	gate64(0x30, 0x6000, 0, SYS_INT, 0);
	c->s.gpr[CV_RSP] = STACK3 - 5;
	soft_set_rflags(c, CV_FLAG_IF);
	ck_assert(deliver(SOFT_EV_EXTERNAL, 0x30));
	ck_assert_uint_eq(c->s.gpr[CV_RSP], STACK3 - 16 - 40);
	FRAME(STACK3 - 16 - 40, 8, 0x5000, K_CODE, CV_FLAG_IF | 2, STACK3 - 5, K_DATA);
	ck_assert_uint_eq(c->s.seg[CV_SS].sel, K_DATA);
	ck_assert_uint_eq(soft_get_rflags(c), 2);
	run(sys_op_iret, (struct cv_insn){.osize = 8, .opcode = 0xcf, .rex = 0x48});
	ck_assert_int_eq(c->fault.vector, -1);
	ck_assert_uint_eq(c->s.gpr[CV_RSP], STACK3 - 5);
	ck_assert_uint_eq(c->s.rip, 0x5000);
	ck_assert_uint_eq(soft_get_rflags(c), CV_FLAG_IF | 2);
}
END_TEST

START_TEST(interrupt_long_from_user_loads_null_ss_and_tss_stack)
{
	long_mode(3);
	gate64(0x30, 0x7fff00006000, 0, SYS_INT, 0);
	ck_assert(deliver(SOFT_EV_EXTERNAL, 0x30));
	ck_assert_uint_eq(c->cpl, 0);
	ck_assert_uint_eq(c->s.rip, 0x7fff00006000);
	ck_assert_uint_eq(c->s.seg[CV_SS].sel, 0);
	ck_assert(c->s.seg[CV_SS].ar & CV_AR_UNUSABLE);
	FRAME(STACK0 - 40, 8, 0x5000, U_CODE, 2, STACK3, U_DATA);
	run(sys_op_iret, (struct cv_insn){.osize = 8, .opcode = 0xcf, .rex = 0x48});
	ck_assert_int_eq(c->fault.vector, -1);
	ck_assert_uint_eq(c->cpl, 3);
	ck_assert_uint_eq(c->mode, 64);
	ck_assert_uint_eq(c->s.gpr[CV_RSP], STACK3);
}
END_TEST

START_TEST(interrupt_long_ist_is_used_at_any_level)
{
	long_mode(0);
	gate64(EXC_DB, 0x6000, 1, SYS_INT, 0);
	c->s.pending_db = DR6_BS;
	c->s.dr[7] |= DR7_GD;
	ck_assert(deliver(SOFT_EV_EXCEPTION, EXC_DB));
	ck_assert_uint_eq(c->s.gpr[CV_RSP], IST1 - 40);
	ck_assert_uint_eq(c->s.dr[6], DR6_FIXED | DR6_BS);
	ck_assert_uint_eq(c->s.dr[7] & DR7_GD, 0);
	ck_assert_uint_eq(c->s.pending_db, 0);
	FRAME(IST1 - 40, 8, 0x5000, K_CODE, 2, STACK3, K_DATA); /* a trap: no RF */
}
END_TEST

START_TEST(interrupt_long_non_canonical_stack_is_ss)
{
	long_mode(0);
	gate64(0x30, 0x6000, 0, SYS_INT, 0);
	gate64(EXC_SS, 0x7000, 1, SYS_INT, 0);
	c->s.gpr[CV_RSP] = 0x800000000000ull;
	/* The first bytes below are still canonical; 8 further up are not. */
	c->s.gpr[CV_RSP] += 0x1000;
	ck_assert(deliver(SOFT_EV_EXTERNAL, 0x30));
	ck_assert_uint_eq(c->s.rip, 0x7000);
	ck_assert_uint_eq(fx_get(&f, IST1 - 48, 8), 1);
}
END_TEST

START_TEST(interrupt_long_needs_64bit_handler)
{
	long_mode(0);
	gate64(0x30, 0x6000, 0, SYS_INT, 0);
	gate64(EXC_GP, 0x7000, 0, SYS_INT, 0);
	fx_put(&f, IDT + 16 * 0x30 + 2, C_CODE & ~3, 2);
	put_gdt(C_CODE, desc(0, 0xfffff, 0x9b, 0xc));
	ck_assert(deliver(SOFT_EV_EXTERNAL, 0x30));
	ck_assert_uint_eq(c->s.rip, 0x7000);
	ck_assert_uint_eq(fx_get(&f, c->s.gpr[CV_RSP], 8), (C_CODE & ~3) + 1);
}
END_TEST

START_TEST(interrupt_long_from_compatibility_mode)
{
	long_mode(3);
	gate64(0x80, 0x6000, 0, SYS_INT, 3);
	set_seg(CV_CS, C_CODE, gdt(C_CODE));
	soft_update_mode(c);
	ck_assert_uint_eq(c->mode, 32);
	run(sys_op_int, (struct cv_insn){.imm = 0x80, .len = 2, .opcode = 0xcd});
	ck_assert_int_eq(c->fault.vector, -1);
	ck_assert_uint_eq(c->mode, 64);
	FRAME(STACK0 - 40, 8, 0x5002, C_CODE, 2, STACK3, U_DATA);
	run(sys_op_iret, (struct cv_insn){.osize = 8, .opcode = 0xcf, .rex = 0x48});
	ck_assert_int_eq(c->fault.vector, -1);
	ck_assert_uint_eq(c->mode, 32);
	ck_assert_uint_eq(c->s.rip, 0x5002);
}
END_TEST

START_TEST(interrupt_nmi_blocks_until_iret)
{
	long_mode(0);
	gate64(2, 0x6000, 0, SYS_INT, 0);
	ck_assert(deliver(SOFT_EV_NMI, 2));
	ck_assert(c->s.nmi_blocked);
	run(sys_op_iret, (struct cv_insn){.osize = 8, .opcode = 0xcf, .rex = 0x48});
	ck_assert(!c->s.nmi_blocked);
}
END_TEST

/* --- Virtual-8086 mode --- */

static void v86_mode(unsigned iopl)
{
	static const uint16_t sel[] = {0x100, 0x200, 0x300, 0x400, 0x500, 0x600};

	protected_mode(0);
	soft_set_rflags(c, CV_FLAG_VM | CV_FLAG_IF | iopl << 12);
	for (unsigned k = 0; k < 6; k++)
		sys_load_seg_real(c, k, sel[k]);
	c->s.gpr[CV_RSP] = 0x1000;
	c->s.rip = 0x50;
	soft_update_mode(c);
	ck_assert_uint_eq(c->cpl, 3);
	ck_assert(!c->protected_mode);
}

START_TEST(interrupt_v86_pushes_all_segments_and_iret_restores_them)
{
	v86_mode(0);
	gate(0x30, K_CODE, 0x6000, SYS_INT, 0);
	ck_assert(deliver(SOFT_EV_EXTERNAL, 0x30));
	ck_assert_uint_eq(c->cpl, 0);
	ck_assert(c->protected_mode);
	FRAME(STACK0 - 36, 4, 0x50, 0x200, CV_FLAG_VM | CV_FLAG_IF | 2, 0x1000, 0x300, 0x100, 0x400, 0x500, 0x600);
	ck_assert(c->s.seg[CV_DS].ar & CV_AR_UNUSABLE);
	ck_assert(c->s.seg[CV_GS].ar & CV_AR_UNUSABLE);
	run(sys_op_iret, (struct cv_insn){.osize = 4, .opcode = 0xcf});
	ck_assert_int_eq(c->fault.vector, -1);
	ck_assert_uint_eq(c->cpl, 3);
	ck_assert(c->s.rflags & CV_FLAG_VM);
	ck_assert_uint_eq(c->s.seg[CV_GS].sel, 0x600);
	ck_assert_uint_eq(c->s.seg[CV_GS].base, 0x6000);
	ck_assert_uint_eq(c->s.seg[CV_ES].sel, 0x100);
	ck_assert_uint_eq(c->s.gpr[CV_RSP], 0x1000);
	ck_assert_uint_eq(c->s.rip, 0x50);
}
END_TEST

START_TEST(interrupt_v86_int_n_needs_iopl_3)
{
	v86_mode(0);
	gate(0x21, K_CODE, 0x6000, SYS_INT, 3);
	run(sys_op_int, (struct cv_insn){.imm = 0x21, .len = 2, .opcode = 0xcd});
	ck_assert_int_eq(c->fault.vector, EXC_GP);
	ck_assert_uint_eq(c->fault.error, 0);
	soft_set_rflags(c, soft_get_rflags(c) | 3 << 12);
	run(sys_op_int, (struct cv_insn){.imm = 0x21, .len = 2, .opcode = 0xcd});
	ck_assert_int_eq(c->fault.vector, -1);
	ck_assert_uint_eq(c->s.rip, 0x6000);
	ck_assert_uint_eq(fx_get(&f, STACK0 - 36, 4), 0x52);
}
END_TEST

START_TEST(interrupt_v86_handler_not_at_level_0_is_gp)
{
	v86_mode(3);
	fault_handlers();
	gate(0x30, U_CODE & ~3, 0x6000, SYS_INT, 3);
	ck_assert(deliver(SOFT_EV_EXTERNAL, 0x30));
	expect_second(EXC_GP, (U_CODE & ~3) + 1);
}
END_TEST

/* --- Tasks --- */

static void second_task(void)
{
	put_gdt(S_TSS2, desc(TSS2, 0x67, 0x89, 0));
	fx_put(&f, TSS2 + 0x20, 0x4444, 4);		/* EIP */
	fx_put(&f, TSS2 + 0x24, 2, 4);			/* EFLAGS */
	fx_put(&f, TSS2 + 0x28 + 4 * CV_RBX, 0xb0b, 4);
	fx_put(&f, TSS2 + 0x28 + 4 * CV_RSP, IST1, 4);
	fx_put(&f, TSS2 + 0x48 + 4 * CV_CS, K_CODE, 4);
	fx_put(&f, TSS2 + 0x48 + 4 * CV_SS, K_DATA, 4);
	fx_put(&f, TSS2 + 0x48 + 4 * CV_DS, K_DATA, 4);
}

START_TEST(interrupt_task_gate_switches_and_iret_switches_back)
{
	protected_mode(3);
	second_task();
	gate(8, S_TSS2, 0, SYS_TASK_GATE, 0);
	c->s.gpr[CV_RBX] = 0x1234;
	ck_assert(soft_deliver(c, SOFT_EV_EXCEPTION, EXC_DF, true, 0, 0, &failed));
	ck_assert_uint_eq(c->s.rip, 0x4444);
	ck_assert_uint_eq(c->s.gpr[CV_RBX], 0xb0b);
	ck_assert_uint_eq(c->s.gpr[CV_RSP], IST1 - 4); /* the error code */
	ck_assert_uint_eq(c->s.seg[CV_TR].sel, S_TSS2);
	ck_assert_uint_eq(c->cpl, 0);
	ck_assert(c->s.rflags & CV_FLAG_NT);
	ck_assert(c->s.cr0 & CV_CR0_TS);
	ck_assert_uint_eq(fx_get(&f, TSS2, 2), S_TSS);
	ck_assert_uint_eq(fx_get(&f, TSS + 0x20, 4), 0x5000);
	ck_assert_uint_eq(fx_get(&f, TSS + 0x4c, 2), U_CODE);
	ck_assert_uint_eq(desc_type(gdt(S_TSS2)), SYS_TSS_BUSY);
	ck_assert_uint_eq(desc_type(gdt(S_TSS)), SYS_TSS_BUSY);
	run(sys_op_iret, (struct cv_insn){.osize = 4, .opcode = 0xcf, .len = 1});
	ck_assert_int_eq(c->fault.vector, -1);
	ck_assert_uint_eq(c->s.rip, 0x5000);
	ck_assert_uint_eq(c->cpl, 3);
	ck_assert_uint_eq(c->s.gpr[CV_RBX], 0x1234);
	ck_assert_uint_eq(c->s.seg[CV_TR].sel, S_TSS);
	ck_assert_uint_eq(desc_type(gdt(S_TSS2)), SYS_TSS);
	ck_assert_uint_eq(fx_get(&f, TSS2 + 0x20, 4), 0x4445);
}
END_TEST

START_TEST(interrupt_task_with_bad_segment_faults_in_new_task)
{
	protected_mode(0);
	second_task();
	gate(10, K_CODE, 0x7000 + 10, SYS_INT, 0);
	gate(0x30, S_TSS2, 0, SYS_TASK_GATE, 0);
	fx_put(&f, TSS2 + 0x48 + 4 * CV_DS, 0x200, 4);
	ck_assert(deliver(SOFT_EV_EXTERNAL, 0x30));
	ck_assert_uint_eq(c->s.rip, 0x7000 + 10);
	ck_assert_uint_eq(c->s.seg[CV_TR].sel, S_TSS2);
	FRAME(IST1 - 16, 4, 0x201, 0x4444, K_CODE, CV_FLAG_NT | CV_FLAG_RF | 2);
}
END_TEST

/* --- Far transfers through gates --- */

START_TEST(far_call_gate_copies_parameters_and_ret_releases_them)
{
	protected_mode(3);
	/* A call gate with two parameters, DPL 3, at selector 60h. */
	put_gdt(0x60, (0x8888ull & 0xffff) | (uint64_t)K_CODE << 16 | 2ull << 32 | (uint64_t)(0xe0 | SYS_CALL) << 40);
	fx_put(&f, STACK3, 0x1111, 4);
	fx_put(&f, STACK3 + 4, 0x2222, 4);
	run(sys_op_call_far, (struct cv_insn){.imm2 = 0x63, .osize = 4, .len = 7});
	ck_assert_int_eq(c->fault.vector, -1);
	ck_assert_uint_eq(c->cpl, 0);
	ck_assert_uint_eq(c->s.rip, 0x8888);
	ck_assert_uint_eq(c->s.gpr[CV_RSP], STACK0 - 24);
	FRAME(STACK0 - 24, 4, 0x5007, U_CODE, 0x1111, 0x2222, STACK3, U_DATA);
	run(sys_op_ret_far, (struct cv_insn){.opcode = 0xca, .imm = 8, .osize = 4, .len = 3});
	ck_assert_int_eq(c->fault.vector, -1);
	ck_assert_uint_eq(c->cpl, 3);
	ck_assert_uint_eq(c->s.rip, 0x5007);
	ck_assert_uint_eq(c->s.gpr[CV_RSP], STACK3 + 8);
}
END_TEST

START_TEST(far_jump_checks_privilege_and_presence)
{
	static const struct {
		uint16_t sel;
		int vector;
		uint32_t error;
	} bad[] = {{0, EXC_GP, 0}, {K_CODE, EXC_GP, K_CODE}, {0x200, EXC_GP, 0x200}, {K_DATA, EXC_GP, K_DATA},
		   {S_TSS, EXC_GP, S_TSS}};

	protected_mode(3);
	for (unsigned k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
		run(sys_op_jmp_far, (struct cv_insn){.imm2 = bad[k].sel, .osize = 4, .len = 7});
		ck_assert_int_eq(c->fault.vector, bad[k].vector);
		ck_assert_uint_eq(c->fault.error, bad[k].error);
		ck_assert_uint_eq(c->s.rip, 0x5000);
	}
	run(sys_op_jmp_far, (struct cv_insn){.imm2 = K_CONF, .imm = 0x9999, .osize = 4, .len = 7});
	ck_assert_int_eq(c->fault.vector, -1);
	ck_assert_uint_eq(c->s.rip, 0x9999);
	ck_assert_uint_eq(c->cpl, 3);
	ck_assert_uint_eq(c->s.seg[CV_CS].sel, K_CONF | 3);
}
END_TEST

START_TEST(far_jump_task_switch_leaves_old_task_free)
{
	protected_mode(0);
	second_task();
	run(sys_op_jmp_far, (struct cv_insn){.imm2 = S_TSS2, .osize = 4, .len = 7});
	ck_assert_int_eq(c->fault.vector, -1);
	ck_assert_uint_eq(c->s.rip, 0x4444);
	ck_assert_uint_eq(desc_type(gdt(S_TSS)), SYS_TSS);
	ck_assert_uint_eq(desc_type(gdt(S_TSS2)), SYS_TSS_BUSY);
	ck_assert_uint_eq(fx_get(&f, TSS + 0x20, 4), 0x5007);
	ck_assert(!(c->s.rflags & CV_FLAG_NT));
	run(sys_op_jmp_far, (struct cv_insn){.imm2 = S_TSS2, .osize = 4, .len = 7});
	ck_assert_int_eq(c->fault.vector, EXC_GP); /* busy */
	ck_assert_uint_eq(c->fault.error, S_TSS2);
}
END_TEST

/* --- SYSCALL and SYSRET --- */

START_TEST(syscall_and_sysret_go_to_the_kernel_and_back)
{
	long_mode(3);
	c->s.efer |= CV_EFER_SCE;
	c->s.star = (uint64_t)K_CODE << 32 | 0x13ull << 48;
	c->s.lstar = 0xffffffff81000000ull;
	c->s.sfmask = CV_FLAG_IF | CV_FLAG_AC;
	soft_set_rflags(c, CV_FLAG_IF | CV_FLAG_AC | CV_FLAG_CF);
	run(sys_op_syscall, (struct cv_insn){.len = 2});
	ck_assert_int_eq(c->fault.vector, -1);
	ck_assert_uint_eq(c->cpl, 0);
	ck_assert_uint_eq(c->s.rip, 0xffffffff81000000ull);
	ck_assert_uint_eq(c->s.gpr[CV_RCX], 0x5002);
	ck_assert_uint_eq(c->s.gpr[CV_R11], CV_FLAG_IF | CV_FLAG_AC | CV_FLAG_CF | 2);
	ck_assert_uint_eq(soft_get_rflags(c), CV_FLAG_CF | 2);
	ck_assert_uint_eq(c->s.seg[CV_SS].sel, K_DATA);
	run(sys_op_sysret, (struct cv_insn){.len = 3, .rex = 0x48});
	ck_assert_int_eq(c->fault.vector, -1);
	ck_assert_uint_eq(c->cpl, 3);
	ck_assert_uint_eq(c->s.rip, 0x5002);
	ck_assert_uint_eq(c->s.seg[CV_CS].sel, 0x23);
	ck_assert_uint_eq(c->s.seg[CV_SS].sel, 0x1b);
	ck_assert_uint_eq(soft_get_rflags(c), CV_FLAG_IF | CV_FLAG_AC | CV_FLAG_CF | 2);
	run(sys_op_sysret, (struct cv_insn){.len = 3, .rex = 0x48});
	ck_assert_int_eq(c->fault.vector, EXC_GP);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("interrupt");
	TCase *t = tcase_create("interrupt");
	SRunner *r;
	int bad;

	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_test(t, interrupt_real_mode_pushes_three_words);
	tcase_add_test(t, interrupt_real_mode_frame_wraps_at_64k);
	tcase_add_test(t, interrupt_real_mode_beyond_ivt_limit_shuts_down);
	tcase_add_test(t, interrupt_protected_same_level_32bit_gate);
	tcase_add_test(t, interrupt_protected_trap_gate_keeps_if);
	tcase_add_test(t, interrupt_protected_16bit_gate_pushes_words);
	tcase_add_test(t, interrupt_protected_inner_level_switches_stack_and_iret_returns);
	tcase_add_test(t, interrupt_conforming_handler_stays_at_level);
	tcase_add_test(t, interrupt_bad_gates_raise_exact_error_codes);
	tcase_add_test(t, interrupt_software_needs_gate_dpl);
	tcase_add_test(t, interrupt_external_ignores_gate_dpl);
	tcase_add_test(t, interrupt_bad_inner_stack_is_ts_with_its_selector);
	tcase_add_test(t, interrupt_contributory_twice_makes_double_fault);
	tcase_add_test(t, interrupt_page_fault_then_contributory_makes_double_fault);
	tcase_add_test(t, interrupt_benign_then_contributory_is_serial);
	tcase_add_test(t, interrupt_failing_double_fault_shuts_down);
	tcase_add_test(t, interrupt_page_fault_while_delivering_page_fault_makes_double_fault);
	tcase_add_test(t, interrupt_contributory_then_page_fault_is_serial);
	tcase_add_test(t, interrupt_long_same_level_aligns_stack_and_iretq_returns);
	tcase_add_test(t, interrupt_long_from_user_loads_null_ss_and_tss_stack);
	tcase_add_test(t, interrupt_long_ist_is_used_at_any_level);
	tcase_add_test(t, interrupt_long_non_canonical_stack_is_ss);
	tcase_add_test(t, interrupt_long_needs_64bit_handler);
	tcase_add_test(t, interrupt_long_from_compatibility_mode);
	tcase_add_test(t, interrupt_nmi_blocks_until_iret);
	tcase_add_test(t, interrupt_v86_pushes_all_segments_and_iret_restores_them);
	tcase_add_test(t, interrupt_v86_int_n_needs_iopl_3);
	tcase_add_test(t, interrupt_v86_handler_not_at_level_0_is_gp);
	tcase_add_test(t, interrupt_task_gate_switches_and_iret_switches_back);
	tcase_add_test(t, interrupt_task_with_bad_segment_faults_in_new_task);
	tcase_add_test(t, far_call_gate_copies_parameters_and_ret_releases_them);
	tcase_add_test(t, far_jump_checks_privilege_and_presence);
	tcase_add_test(t, far_jump_task_switch_leaves_old_task_free);
	tcase_add_test(t, syscall_and_sysret_go_to_the_kernel_and_back);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	bad = srunner_ntests_failed(r);
	srunner_free(r);
	return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
