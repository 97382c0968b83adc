/* SPDX-License-Identifier: MIT */
/*
 * Alignment checks (SDM 3A 6.15, interrupt 17, table 6-7) on the software engine: with CR0.AM, EFLAGS.AC and CPL 3 an
 * operand that doesn't lie on its natural boundary is #AC(0), whatever instruction it belongs to; in any other state, and
 * for operands that have no such boundary, it is not.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "vmm-core/engine.h"
#include "vmm-core/soft/soft.h"

#define RAM (16ull << 20)
#define TABLES 0x10000ull
#define IDT 0x20000ull
#define GDT 0x21000ull
#define TSS 0x22000ull
#define STACK 0x30000ull
#define HANDLERS 0x40000ull
#define CODE 0x100000ull
#define DATA 0x200000ull

static struct cv_memory mem;
static struct cv_bus bus;
static struct cv_engine *engine;

static void ram_written(void *ctx, uint32_t page, uint32_t offset, uint32_t len)
{
	(void)ctx;
	engine->ops->ram_written(engine, page, offset, len);
}

static void put64(uint64_t gpa, uint64_t v)
{
	ck_assert_uint_eq(cv_memory_write(&mem, gpa, &v, 8), 8);
}

/* Long mode, one to one in 2 MiB pages that are the user's too; a gate and an address of its own for each vector. */
static void setup(void)
{
	struct cv_engine_host host = {.mem = &mem, .bus = &bus, .model = cv_cpuid_model_find("chronovisor-v3")};

	memset(&mem, 0, sizeof(mem));
	memset(&bus, 0, sizeof(bus));
	ck_assert_int_eq(cv_memory_init(&mem, RAM, NULL), 0);
	engine = cv_soft_new(&host, NULL);
	ck_assert_ptr_nonnull(engine);
	mem.written = ram_written;
	put64(TABLES, (TABLES + 0x1000) | 7);
	put64(TABLES + 0x1000, (TABLES + 0x2000) | 7);
	for (unsigned k = 0; k < RAM >> 21; k++)
		put64(TABLES + 0x2000 + 8 * k, (uint64_t)k << 21 | 0x87);
	for (unsigned v = 0; v < 32; v++) {
		uint64_t h = HANDLERS + 16 * v;

		put64(IDT + 16 * v, (h & 0xffff) | 8u << 16 | 0x8e00ull << 32 | (h >> 16 & 0xffff) << 48);
	}
	put64(GDT + 8, 0x00209b0000000000ull);
	put64(TSS + 4, STACK); /* RSP0 */
}

static void teardown(void)
{
	engine->ops->free(engine);
	cv_memory_release(&mem);
}

enum { AM = 1, AC = 2, USER = 4, ALL = 7 };

static void make_state(struct cv_vcpu_state *s, unsigned how, uint64_t operand)
{
	unsigned cpl = how & USER ? 3 : 0;

	cv_vcpu_reset(s);
	for (unsigned k = CV_ES; k <= CV_GS; k++)
		s->seg[k] = (struct cv_seg){.limit = UINT32_MAX, .ar = (uint16_t)(0xc093 | cpl << 5), .sel = (uint16_t)(16 | cpl)};
	s->seg[CV_CS] = (struct cv_seg){.limit = UINT32_MAX, .ar = (uint16_t)(0xa09b | cpl << 5), .sel = (uint16_t)(24 | cpl)};
	s->seg[CV_TR] = (struct cv_seg){.base = TSS, .limit = 0x67, .ar = 0x8b, .sel = 32};
	s->cr0 = CV_CR0_PE | CV_CR0_PG | CV_CR0_ET | CV_CR0_NE | CV_CR0_WP | (how & AM ? CV_CR0_AM : 0);
	s->cr3 = TABLES;
	s->cr4 = CV_CR4_PAE | CV_CR4_OSFXSR | CV_CR4_OSXMMEXCPT | CV_CR4_OSXSAVE;
	s->xcr0 = 7;
	s->ymm[3][0] = 0xffffffff00000000; /* a mask of one doubleword */
	s->efer = CV_EFER_LME | CV_EFER_LMA;
	s->gdtr.base = GDT;
	s->gdtr.limit = 15;
	s->idtr.base = IDT;
	s->idtr.limit = 32 * 16 - 1;
	s->rip = CODE;
	s->rflags = 2 | (how & AC ? CV_FLAG_AC : 0);
	s->x87.fcw = 0x37f;
	s->mxcsr = 0x1f80;
	s->gpr[CV_RDI] = s->gpr[CV_RSI] = s->gpr[CV_RSP] = operand;
}

/* The vector that the instruction raises with RDI, RSI and RSP at this operand, -1 for none. */
static int vector_of(const uint8_t *code, unsigned how, uint64_t operand)
{
	struct cv_stop stop = {.insns = UINT64_MAX, .step = true, .stop_at_delivery = true};
	struct cv_vcpu_state s;
	struct cv_exit x;
	static const uint8_t zeros[192];
	uint64_t error = 1;

	ck_assert_uint_eq(cv_memory_write(&mem, operand - 32, zeros, sizeof(zeros)), sizeof(zeros));
	ck_assert_uint_eq(cv_memory_write(&mem, CODE, code, 8), 8);
	make_state(&s, how, operand);
	engine->ops->set_state(engine, &s);
	ck_assert_int_eq(engine->ops->run(engine, &stop, &x, NULL), 0);
	ck_assert_int_eq(x.kind, CV_EXIT_POSITION);
	engine->ops->get_state(engine, &s);
	if (s.rip < HANDLERS || s.rip >= HANDLERS + 32 * 16)
		return -1;
	if ((s.rip - HANDLERS) / 16 == EXC_AC) {
		cv_memory_read(&mem, s.gpr[CV_RSP], &error, 8);
		ck_assert_uint_eq(error, 0);
	}
	return (int)((s.rip - HANDLERS) / 16);
}

struct row {
	const char *name;
	uint8_t code[8];
	unsigned boundary; /* 1: none */
	int vector;	   /* off that boundary */
};

static const struct row rows[] = {
	{"mov al, [rdi]", {0x8a, 0x07}, 1, 0},
	{"mov ax, [rdi]", {0x66, 0x8b, 0x07}, 2, EXC_AC},
	{"mov eax, [rdi]", {0x8b, 0x07}, 4, EXC_AC},
	{"mov rax, [rdi]", {0x48, 0x8b, 0x07}, 8, EXC_AC},
	{"mov [rdi], eax", {0x89, 0x07}, 4, EXC_AC},
	{"add [rdi], rax", {0x48, 0x01, 0x07}, 8, EXC_AC},
	{"lock add [rdi], eax", {0xf0, 0x01, 0x07}, 4, EXC_AC},
	{"xchg [rdi], ax", {0x66, 0x87, 0x07}, 2, EXC_AC},
	{"bts [rdi], eax", {0x0f, 0xab, 0x07}, 4, EXC_AC},
	{"cmpxchg8b [rdi]", {0x0f, 0xc7, 0x0f}, 8, EXC_AC},
	{"cmpxchg16b [rdi]", {0x48, 0x0f, 0xc7, 0x0f}, 16, EXC_GP},
	{"push rax", {0x50}, 8, EXC_AC},
	{"pop rax", {0x58}, 8, EXC_AC},
	{"push ax", {0x66, 0x50}, 2, EXC_AC},
	{"call", {0xe8, 0, 0, 0, 0}, 8, EXC_AC},
	{"ret", {0xc3}, 8, EXC_AC},
	{"movsb", {0xa4}, 1, 0},
	{"movsd", {0xa5}, 4, EXC_AC},
	{"rep stosq", {0xf3, 0x48, 0xab}, 1, 0}, /* RCX is 0: no operand */
	{"lodsw", {0x66, 0xad}, 2, EXC_AC},
	{"fld m32", {0xd9, 0x07}, 4, EXC_AC},
	{"fld m64", {0xdd, 0x07}, 8, EXC_AC},
	{"fld m80", {0xdb, 0x2f}, 8, EXC_AC},
	{"fild m16", {0xdf, 0x07}, 2, EXC_AC},
	{"fnstcw", {0xd9, 0x3f}, 2, EXC_AC},
	{"fnstenv m28", {0xd9, 0x37}, 4, EXC_AC},
	{"fnstenv m14", {0x66, 0xd9, 0x37}, 2, EXC_AC},
	{"fldenv m28", {0xd9, 0x27}, 4, EXC_AC},
	{"frstor m108", {0xdd, 0x27}, 4, EXC_AC},
	{"fnsave m94", {0x66, 0xdd, 0x37}, 2, EXC_AC},
	{"fnsave m108", {0xdd, 0x37}, 4, EXC_AC},
	{"movss xmm0, [rdi]", {0xf3, 0x0f, 0x10, 0x07}, 4, EXC_AC},
	{"movsd xmm0, [rdi]", {0xf2, 0x0f, 0x10, 0x07}, 8, EXC_AC},
	{"movq mm0, [rdi]", {0x0f, 0x6f, 0x07}, 8, EXC_AC},
	{"movd xmm0, [rdi]", {0x66, 0x0f, 0x6e, 0x07}, 4, EXC_AC},
	{"addsd xmm0, [rdi]", {0xf2, 0x0f, 0x58, 0x07}, 8, EXC_AC},
	{"movups xmm0, [rdi]", {0x0f, 0x10, 0x07}, 1, 0},
	{"movaps xmm0, [rdi]", {0x0f, 0x28, 0x07}, 16, EXC_GP},
	{"addps xmm0, [rdi]", {0x0f, 0x58, 0x07}, 16, EXC_GP},
	{"stmxcsr [rdi]", {0x0f, 0xae, 0x1f}, 4, EXC_AC},
	{"vmovups ymm0, [rdi]", {0xc5, 0xfc, 0x10, 0x07}, 1, 0},
	{"vmovaps ymm0, [rdi]", {0xc5, 0xfc, 0x28, 0x07}, 32, EXC_GP},
	{"vmovntdqa ymm0, [rdi]", {0xc4, 0xe2, 0x7d, 0x2a, 0x07}, 32, EXC_GP},
	{"vmovntps [rdi], xmm0", {0xc5, 0xf8, 0x2b, 0x07}, 16, EXC_GP},
	{"vpaddb ymm0, ymm0, [rdi]", {0xc5, 0xfd, 0xfc, 0x07}, 1, 0},
	{"vmovq xmm0, [rdi]", {0xc5, 0xfa, 0x7e, 0x07}, 8, EXC_AC},
	{"vpbroadcastd xmm0, [rdi]", {0xc4, 0xe2, 0x79, 0x58, 0x07}, 4, EXC_AC},
	{"vpmovsxbd ymm0, [rdi]", {0xc4, 0xe2, 0x7d, 0x21, 0x07}, 8, EXC_AC},
	{"vpmovsxbw ymm0, [rdi]", {0xc4, 0xe2, 0x7d, 0x20, 0x07}, 1, 0},
	{"vmaskmovps ymm0, ymm3, [rdi]", {0xc4, 0xe2, 0x65, 0x2c, 0x07}, 1, 0},
	{"vmaskmovps [rdi], ymm3, ymm0", {0xc4, 0xe2, 0x65, 0x2e, 0x07}, 1, 0},
	{"vpgatherdd ymm2, [rdi + 4 * ymm1], ymm3", {0xc4, 0xe2, 0x65, 0x90, 0x14, 0x8f}, 1, 0},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

START_TEST(alignment_row_off_its_boundary_is_ac)
{
	const struct row *r = &rows[_i];

	for (unsigned k = 0; k < 32; k++) {
		int want = k % r->boundary ? r->vector : -1;

		ck_assert_msg(vector_of(r->code, ALL, DATA + 0x800 + k) == want, "%s at %u", r->name, k);
	}
}
END_TEST

START_TEST(alignment_not_asked_for_is_not_checked)
{
	for (unsigned how = 0; how < ALL; how++)
		for (unsigned k = 0; k < ROWS; k++)
			if (rows[k].vector == EXC_AC)
				ck_assert_msg(vector_of(rows[k].code, how, DATA + 0x801) == -1, "%s in state %u", rows[k].name, how);
}
END_TEST

/* Translations that accesses without checks have left behind must not let one with checks pass, nor the other way round. */
START_TEST(alignment_check_survives_what_is_cached)
{
	static const uint8_t load[8] = {0x8b, 0x07};

	for (unsigned k = 0; k < 3; k++) {
		ck_assert_int_eq(vector_of(load, AM | USER, DATA + 0x801), -1);
		ck_assert_int_eq(vector_of(load, ALL, DATA + 0x801), EXC_AC);
		ck_assert_int_eq(vector_of(load, AC | USER, DATA + 0x801), -1);
		ck_assert_int_eq(vector_of(load, ALL, DATA + 0xfff), EXC_AC);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("align");
	TCase *t = tcase_create("align");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, alignment_row_off_its_boundary_is_ac, 0, ROWS);
	tcase_add_test(t, alignment_not_asked_for_is_not_checked);
	tcase_add_test(t, alignment_check_survives_what_is_cached);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
