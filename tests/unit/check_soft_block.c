/* SPDX-License-Identifier: MIT */
/*
 * Blocks of decoded instructions: what a block remembers must never show. Its second page is another one now, its branch target is new,
 * its address doesn't fit into the fast form; the pages that were written are known; REP of port I/O stops where it is told.
 *
 * Long mode at level 0, one to one, but for the linear pages of WINDOW, which the tests map as they like.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm-core/engine.h"
#include "vmm-core/soft/soft.h"

enum { RAM = 16 << 20, TABLES = 0x10000, WINDOW_PT = 0x14000, IDT = 0x20000, GDT = 0x21000, STACK = 0x30000, HANDLERS = 0x40000,
       CODE = 0x100000, DATA = 0x200000, WINDOW = 0x1e00000 };

static struct cv_memory mem;
static struct cv_bus bus;
static struct cv_engine *engine;
static uint64_t port_writes, port_sum;

static void put(uint64_t gpa, uint64_t v, unsigned n)
{
	ck_assert_uint_eq(cv_memory_write(&mem, gpa, &v, n), n);
}

static void ram_written(void *ctx, uint32_t page, uint32_t offset, uint32_t len)
{
	(void)ctx;
	engine->ops->ram_written(engine, page, offset, len);
}

static uint64_t port_read(void *dev, uint64_t offset, unsigned size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return ~0ull;
}

static void port_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	(void)dev;
	(void)offset;
	(void)size;
	port_writes++;
	port_sum += v;
}

static const struct cv_io_ops port_ops = {port_read, port_write, 4};

static void map(uint64_t linear, uint64_t gpa)
{
	put(WINDOW_PT + (linear >> 12 & 0x1ff) * 8, gpa | 3, 8);
}

static void make_tables(void)
{
	put(TABLES, (TABLES + 0x1000) | 3, 8);
	put(TABLES + 0x1000, (TABLES + 0x2000) | 3, 8);
	put(TABLES + 0x1010, (TABLES + 0x3000) | 3, 8); /* linear 2 GiB on is RAM once more */
	for (uint64_t k = 0; k < RAM >> 21; k++) {
		put(TABLES + 0x2000 + 8 * k, k << 21 | 0x83, 8);
		put(TABLES + 0x3000 + 8 * k, k << 21 | 0x83, 8);
	}
	put(TABLES + 0x2000 + (WINDOW >> 21) * 8, WINDOW_PT | 3, 8);
	for (unsigned v = 0; v < 32; v++) {
		put(IDT + 16 * v, (HANDLERS + 16 * v) & 0xffff, 2);
		put(IDT + 16 * v + 2, 8, 2);
		put(IDT + 16 * v + 4, 0x8e00, 2);
		put(IDT + 16 * v + 6, HANDLERS >> 16, 2);
	}
	put(GDT + 8, 0x00af9b000000ffff, 8);
}

static void setup(void)
{
	struct cv_engine_host host = {.mem = &mem, .bus = &bus, .model = cv_cpuid_model_find("chronovisor-v3")};

	memset(&mem, 0, sizeof(mem));
	memset(&bus, 0, sizeof(bus));
	port_writes = port_sum = 0;
	cv_bus_add_pio(&bus, 0x70, 1, &port_ops, NULL);
	ck_assert_int_eq(cv_memory_init(&mem, RAM, NULL), 0);
	engine = cv_soft_new(&host, NULL);
	ck_assert_ptr_nonnull(engine);
	mem.written = ram_written;
	make_tables();
}

static void teardown(void)
{
	engine->ops->free(engine);
	cv_memory_release(&mem);
}

static void make_state(struct cv_vcpu_state *s, uint64_t rip)
{
	cv_vcpu_reset(s);
	s->cr0 = CV_CR0_PE | CV_CR0_PG | CV_CR0_ET | CV_CR0_WP;
	s->cr3 = TABLES;
	s->cr4 = CV_CR4_PAE;
	s->efer = CV_EFER_LME | CV_EFER_LMA;
	s->idtr = (struct cv_dtr){IDT, 0x1ff};
	s->gdtr = (struct cv_dtr){GDT, 0x1f};
	s->seg[CV_CS] = (struct cv_seg){.limit = UINT32_MAX, .ar = 0xa09b, .sel = 8};
	for (unsigned k = CV_ES; k <= CV_GS; k++)
		if (k != CV_CS)
			s->seg[k] = (struct cv_seg){.limit = UINT32_MAX, .ar = 0xc093, .sel = 16};
	memset(s->gpr, 0, sizeof(s->gpr));
	s->gpr[CV_RSP] = STACK;
	s->rip = rip;
}

static struct cv_vcpu_state run_until(const struct cv_stop *stop, enum cv_exit_kind kind)
{
	struct cv_vcpu_state s;
	struct cv_exit x;

	ck_assert_int_eq(engine->ops->run(engine, stop, &x, NULL), 0);
	ck_assert_int_eq(x.kind, kind);
	engine->ops->get_state(engine, &s);
	return s;
}

/* Runs to HLT. */
static struct cv_vcpu_state run_from(struct cv_vcpu_state *s)
{
	engine->ops->set_state(engine, s);
	return run_until(&(struct cv_stop){.insns = UINT64_MAX}, CV_EXIT_HALT);
}

static void code(uint64_t gpa, const void *p, size_t n)
{
	ck_assert_uint_eq(cv_memory_write(&mem, gpa, p, n), n);
}
#define BYTES(gpa, ...) code((gpa), (const uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}))

/* --- Two pages --- */

/* MOV RAX, imm64 with its last four bytes, and the HLT, in a second page: the same block, then another page behind it. */
START_TEST(block_second_page_remapped_runs_what_is_there)
{
	struct cv_vcpu_state s;

	map(WINDOW, DATA);
	BYTES(DATA + 0xffa, 0x48, 0xb8, 1, 2, 3, 4);
	for (unsigned k = 0; k < 4; k++) {
		uint64_t second = DATA + 0x1000 * (1 + (k & 1));

		map(WINDOW + 0x1000, second);
		BYTES(second, 0x10, 0, 0, (uint8_t)(k & 1), 0xf4);
		make_state(&s, WINDOW + 0xffa);
		s = run_from(&s);
		ck_assert_uint_eq(s.gpr[CV_RAX], k & 1 ? 0x0100001004030201 : 0x0000001004030201);
	}
}
END_TEST

/* And a second page that is no longer there: the fetch faults, with nothing executed. */
START_TEST(block_second_page_gone_is_page_fault_there)
{
	struct cv_vcpu_state s;

	map(WINDOW, DATA);
	map(WINDOW + 0x1000, DATA + 0x1000);
	BYTES(DATA + 0xffa, 0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 0xf4);
	BYTES(HANDLERS + 16 * EXC_PF, 0xf4);
	make_state(&s, WINDOW + 0xffa);
	s = run_from(&s);
	ck_assert_uint_eq(s.gpr[CV_RAX], 0x0807060504030201);
	put(WINDOW_PT + 8, 0, 8);
	make_state(&s, WINDOW + 0xffa);
	s = run_from(&s);
	ck_assert_uint_eq(s.rip, HANDLERS + 16 * EXC_PF + 1);
	ck_assert_uint_eq(s.cr2, WINDOW + 0x1000);
	ck_assert_uint_eq(s.gpr[CV_RAX], 0);
}
END_TEST

/* --- Addresses --- */

/*
 * RIP and a displacement of 2 GiB - 1: relative to the block's RIP it doesn't fit into 32 bits. What lies there is the code once more:
 * the first load gets its own last byte and the three behind it.
 */
START_TEST(block_rip_relative_beyond_two_gigabytes_loads)
{
	struct cv_vcpu_state s;

	BYTES(CODE, 0x90, 0x8b, 0x05, 0xff, 0xff, 0xff, 0x7f,		/* mov 7fffffff(%rip), %eax */
	      0x64, 0x8b, 0x1d, 0xff, 0xff, 0xff, 0x7f,			/* mov %fs:7fffffff(%rip), %ebx */
	      0x65, 0x48, 0x8b, 0x4c, 0x37, 0x10, 0xf4);		/* mov %gs:10h(%rdi,%rsi), %rcx */
	put(CODE + 7 + 6 + 0x2000, 0x9abcdef0, 4);
	put(DATA + 0x3010, 0x1122334455667788, 8);
	make_state(&s, CODE);
	s.seg[CV_FS].base = 0x2000;
	s.seg[CV_GS].base = 0x1000;
	s.gpr[CV_RDI] = DATA;
	s.gpr[CV_RSI] = 0x2000;
	s = run_from(&s);
	ck_assert_uint_eq(s.gpr[CV_RAX], 0x1d8b647f);
	ck_assert_uint_eq(s.gpr[CV_RBX], 0x9abcdef0);
	ck_assert_uint_eq(s.gpr[CV_RCX], 0x1122334455667788);
}
END_TEST

/* LEA knows no segment; with 32-bit addresses the sum is cut off, whatever the operand's size (SDM 2A, LEA, table 3-54). */
START_TEST(block_lea_cuts_the_address_and_leaves_the_segment_out)
{
	struct cv_vcpu_state s;

	BYTES(CODE, 0x67, 0x48, 0x8d, 0x44, 0x77, 0x10,	/* lea 10h(%edi,%esi,2), %rax */
	      0x64, 0x48, 0x8d, 0x5c, 0x77, 0x10,	/* lea %fs:10h(%rdi,%rsi,2), %rbx */
	      0x65, 0x8d, 0x4f, 0x08,			/* lea %gs:8(%rdi), %ecx */
	      0x67, 0x66, 0x8d, 0x14, 0x37, 0xf4);	/* lea (%edi,%esi), %dx */
	make_state(&s, CODE);
	s.seg[CV_FS].base = 0x5000;
	s.seg[CV_GS].base = 0x6000;
	s.gpr[CV_RDI] = 0x1fffffff0;
	s.gpr[CV_RSI] = 0x300000018;
	s.gpr[CV_RDX] = 0x1122334455667788;
	s = run_from(&s);
	ck_assert_uint_eq(s.gpr[CV_RAX], 0x30);
	ck_assert_uint_eq(s.gpr[CV_RBX], 0x1fffffff0 + 2 * 0x300000018 + 0x10);
	ck_assert_uint_eq(s.gpr[CV_RCX], 0xfffffff8);
	ck_assert_uint_eq(s.gpr[CV_RDX], 0x1122334455660008);
}
END_TEST

/* REP with 32-bit addresses in 64-bit mode: the counter's upper half is cleared, and those of the pointers that moved. */
START_TEST(block_rep_with_short_addresses_clears_upper_halves)
{
	struct cv_vcpu_state s;

	put(DATA, 0x1122334455667788, 8);
	BYTES(CODE, 0x67, 0xf3, 0xa4, 0xf4); /* rep movsb (%esi), (%edi) */
	make_state(&s, CODE);
	s.gpr[CV_RSI] = 0x100000000 + DATA;
	s.gpr[CV_RDI] = 0x200000000 + DATA + 0x100;
	s.gpr[CV_RCX] = 0x300000008;
	s = run_from(&s);
	ck_assert_uint_eq(s.gpr[CV_RCX], 0);
	ck_assert_uint_eq(s.gpr[CV_RSI], DATA + 8);
	ck_assert_uint_eq(s.gpr[CV_RDI], DATA + 0x108);
	ck_assert_mem_eq(mem.ram + DATA, mem.ram + DATA + 0x100, 8);
}
END_TEST

/* INVLPG adds FS's base, as any access would (SDM 2A, INVLPG). */
START_TEST(block_invlpg_with_segment_base_forgets_that_page)
{
	struct cv_vcpu_state s;

	map(WINDOW, DATA);
	put(DATA, 1, 4);
	put(DATA + 0x1000, 2, 4);
	BYTES(CODE, 0x8b, 0x07,		/* mov (%rdi), %eax */
	      0x48, 0x89, 0x0a,		/* mov %rcx, (%rdx) */
	      0x64, 0x0f, 0x01, 0x3e,	/* invlpg %fs:(%rsi) */
	      0x8b, 0x1f, 0xf4);	/* mov (%rdi), %ebx; hlt */
	make_state(&s, CODE);
	s.seg[CV_FS].base = WINDOW - 0x5000;
	s.gpr[CV_RSI] = 0x5000;
	s.gpr[CV_RDI] = WINDOW;
	s.gpr[CV_RDX] = WINDOW_PT;
	s.gpr[CV_RCX] = (DATA + 0x1000) | 3;
	s = run_from(&s);
	ck_assert_uint_eq(s.gpr[CV_RAX], 1);
	ck_assert_uint_eq(s.gpr[CV_RBX], 2);
}
END_TEST

/* --- Branches --- */

/* An indirect jump to two targets in turn, each found again. */
START_TEST(block_indirect_jump_takes_each_target)
{
	struct cv_vcpu_state s;

	BYTES(CODE, 0xff, 0xe0);						/* jmp *%rax */
	BYTES(CODE + 0x10, 0xff, 0xc3, 0x48, 0x87, 0xc2, 0xff, 0xc9, 0x75, 0xe7, 0xf4); /* inc; xchg %rax,%rdx; dec %ecx; jnz CODE; hlt */
	BYTES(CODE + 0x20, 0xff, 0xc5, 0x48, 0x87, 0xc2, 0xff, 0xc9, 0x75, 0xd7, 0xf4);
	make_state(&s, CODE);
	s.gpr[CV_RAX] = CODE + 0x10;
	s.gpr[CV_RDX] = CODE + 0x20;
	s.gpr[CV_RCX] = 1001;
	s = run_from(&s);
	ck_assert_uint_eq(s.gpr[CV_RBX], 501);
	ck_assert_uint_eq(s.gpr[CV_RBP], 500);
	ck_assert_uint_eq(s.pos.insns, 1001 * 5 + 1);
}
END_TEST

/* A conditional jump out of a short code segment: #GP(0) at the jump, and it counts as no branch. */
START_TEST(block_jump_beyond_the_limit_is_gp_there)
{
	struct cv_vcpu_state s;

	BYTES(CODE, 0x40, 0x48, 0x74, 0x40);		/* inc %eax; dec %eax; jz CODE+44h */
	put(IDT + 8 * EXC_GP, (HANDLERS & 0xffff) | 8ull << 16 | 0x8e00ull << 32 | (uint64_t)(HANDLERS >> 16) << 48, 8);
	put(GDT + 8, 0x00cf9b000000ffff, 8);
	BYTES(HANDLERS, 0xf4);
	make_state(&s, CODE);
	s.cr0 = CV_CR0_PE | CV_CR0_ET;
	s.efer = 0;
	s.seg[CV_CS].ar = 0x409b;
	s.seg[CV_CS].limit = CODE + 0x43;
	s = run_from(&s);
	ck_assert_uint_eq(s.rip, HANDLERS + 1);
	ck_assert_uint_eq(s.gpr[CV_RSP], STACK - 16);
	ck_assert_uint_eq(s.pos.insns, 3);
	ck_assert_uint_eq(s.pos.branches, 0);
	ck_assert_uint_eq(*(uint32_t *)(void *)(mem.ram + STACK - 16), 0);
	ck_assert_uint_eq(*(uint32_t *)(void *)(mem.ram + STACK - 12), CODE + 2);
}
END_TEST

/* So many blocks that some share a bucket of the cache; stores drop those of a page, and what is there now runs. */
START_TEST(block_of_thousands_dropped_by_stores_runs_what_is_there)
{
	enum { PAGES = 16, JUMPS = PAGES * 2048 };
	struct cv_vcpu_state s;

	for (unsigned k = 0; k < JUMPS; k++)
		BYTES(CODE + 2 * k, 0xeb, 0x00); /* jmp .+2 */
	BYTES(CODE + 2 * JUMPS, 0xf4);
	make_state(&s, CODE);
	s = run_from(&s);
	ck_assert_uint_eq(s.pos.insns, JUMPS + 1);
	for (unsigned k = 0; k < PAGES; k += 2)
		BYTES(CODE + 0x1000 * k + 0x800, 0xff, 0xc3); /* inc %ebx */
	make_state(&s, CODE);
	s = run_from(&s);
	ck_assert_uint_eq(s.gpr[CV_RBX], PAGES / 2);
	ck_assert_uint_eq(s.pos.insns, JUMPS + 1);
}
END_TEST

/* --- What the engine tells --- */

/* A breakpoint on an opcode that isn't one: told first, then the opcode raises #UD. */
START_TEST(block_breakpoint_on_undefined_opcode_then_raises)
{
	static const uint64_t at[] = {CODE + 1};
	struct cv_vcpu_state s;

	BYTES(CODE, 0x90, 0x0f, 0x04, 0x90);
	BYTES(HANDLERS + 16 * EXC_UD, 0xf4);
	ck_assert_int_eq(engine->ops->set_points(engine, at, 1, NULL, 0, NULL), 0);
	make_state(&s, CODE);
	engine->ops->set_state(engine, &s);
	for (unsigned k = 0; k < 2; k++) {
		s = run_until(&(struct cv_stop){.insns = UINT64_MAX}, CV_EXIT_BREAK);
		ck_assert_uint_eq(s.rip, CODE + 1);
		ck_assert_uint_eq(s.pos.insns, 1);
	}
	s = run_until(&(struct cv_stop){.insns = UINT64_MAX, .skip_first_break = true}, CV_EXIT_HALT);
	ck_assert_uint_eq(s.rip, HANDLERS + 16 * EXC_UD + 1);
	ck_assert_uint_eq(s.pos.insns, 2);
}
END_TEST

static struct cv_page_filter filter;

/* Every page that a store changed is in the filter, whichever way the store went; pages that were read are not. */
START_TEST(block_note_writes_has_every_written_page)
{
	struct cv_vcpu_state s;

	memset(&filter, 0, sizeof(filter));
	map(WINDOW, DATA);
	map(WINDOW + 0x1000, DATA + 0x1000);
	BYTES(CODE, 0x48, 0x89, 0x07,				/* mov %rax, (%rdi): over the page's end */
	      0x8b, 0x1e,					/* mov (%rsi), %ebx */
	      0x50,						/* push %rax */
	      0x48, 0x89, 0xd7, 0xb9, 0, 0x08, 0, 0, 0xf3, 0xaa, /* mov %rdx, %rdi; mov 800h, %ecx; rep stosb */
	      0xf4);
	make_state(&s, CODE);
	s.gpr[CV_RDI] = WINDOW + 0xffc;
	s.gpr[CV_RSI] = DATA + 0x8000;
	s.gpr[CV_RDX] = DATA + 0x9c00;
	run_from(&s); /* all of it is in the TLB now */
	engine->ops->note_writes(engine, &filter);
	for (unsigned k = 0; k < 2; k++) {
		static const uint64_t written[] = {WINDOW, WINDOW + 0x1000, STACK - 0x1000, DATA + 0x9000, DATA + 0xa000};

		make_state(&s, CODE);
		s.gpr[CV_RDI] = WINDOW + 0xffc;
		s.gpr[CV_RSI] = DATA + 0x8000;
		s.gpr[CV_RDX] = DATA + 0x9c00;
		run_from(&s);
		for (unsigned n = 0; n < sizeof(written) / sizeof(written[0]); n++)
			ck_assert_msg(cv_page_filter_has(&filter, written[n]), "page %llx", (unsigned long long)written[n]);
		ck_assert(!cv_page_filter_has(&filter, DATA + 0x8000));
		ck_assert(!cv_page_filter_has(&filter, CODE));
		memset(&filter, 0, sizeof(filter));
		engine->ops->note_writes(engine, &filter);
	}
	engine->ops->note_writes(engine, NULL);
	make_state(&s, CODE);
	s.gpr[CV_RDI] = s.gpr[CV_RDX] = DATA;
	s.gpr[CV_RSI] = DATA + 0x8000;
	run_from(&s);
	ck_assert(!cv_page_filter_has(&filter, DATA));
}
END_TEST

START_TEST(block_statistics_count_what_ran)
{
	struct cv_vcpu_state s;
	unsigned long long decoded = 0, dropped = 1;
	char text[256];

	BYTES(CODE, 0x90, 0xf4);
	make_state(&s, CODE);
	run_from(&s);
	cv_soft_stats(engine, text, sizeof(text));
	ck_assert_int_eq(sscanf(text, "blocks decoded %llu, pages dropped %llu", &decoded, &dropped), 2);
	ck_assert_uint_ge(decoded, 1);
	ck_assert_uint_eq(dropped, 0);
}
END_TEST

/* REP OUTSB, stopped when RCX has come down to 40, then to 39, then run to its end: each byte goes out once. */
START_TEST(block_stop_inside_rep_outs_is_exact_and_resumes)
{
	static const uint64_t counts[] = {40, 39, 1};
	struct cv_vcpu_state s;

	for (unsigned k = 0; k < 100; k++)
		put(DATA + k, k, 1);
	BYTES(CODE, 0x90, 0xf3, 0x6e, 0xf4);
	make_state(&s, CODE);
	s.gpr[CV_RSI] = DATA;
	s.gpr[CV_RCX] = 100;
	s.gpr[CV_RDX] = 0x70;
	engine->ops->set_state(engine, &s);
	for (unsigned k = 0; k < 3; k++) {
		s = run_until(&(struct cv_stop){.insns = 1, .in_rep = true, .rcx = counts[k]}, CV_EXIT_POSITION);
		ck_assert_uint_eq(s.pos.insns, 1);
		ck_assert_uint_eq(s.gpr[CV_RCX], counts[k]);
		ck_assert_uint_eq(s.gpr[CV_RSI], DATA + 100 - counts[k]);
		ck_assert_uint_eq(s.rip, CODE + 1);
		ck_assert_uint_eq(port_writes, 100 - counts[k]);
	}
	s = run_until(&(struct cv_stop){.insns = UINT64_MAX}, CV_EXIT_HALT);
	ck_assert_uint_eq(s.pos.insns, 3);
	ck_assert_uint_eq(s.gpr[CV_RCX], 0);
	ck_assert_uint_eq(port_writes, 100);
	ck_assert_uint_eq(port_sum, 99 * 100 / 2);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("soft_block");
	TCase *t = tcase_create("block");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, block_second_page_remapped_runs_what_is_there);
	tcase_add_test(t, block_second_page_gone_is_page_fault_there);
	tcase_add_test(t, block_rip_relative_beyond_two_gigabytes_loads);
	tcase_add_test(t, block_lea_cuts_the_address_and_leaves_the_segment_out);
	tcase_add_test(t, block_rep_with_short_addresses_clears_upper_halves);
	tcase_add_test(t, block_invlpg_with_segment_base_forgets_that_page);
	tcase_add_test(t, block_indirect_jump_takes_each_target);
	tcase_add_test(t, block_jump_beyond_the_limit_is_gp_there);
	tcase_add_test(t, block_of_thousands_dropped_by_stores_runs_what_is_there);
	tcase_add_test(t, block_breakpoint_on_undefined_opcode_then_raises);
	tcase_add_test(t, block_note_writes_has_every_written_page);
	tcase_add_test(t, block_statistics_count_what_ran);
	tcase_add_test(t, block_stop_inside_rep_outs_is_exact_and_resumes);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
