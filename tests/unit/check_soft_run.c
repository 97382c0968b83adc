/* SPDX-License-Identifier: MIT */
/*
 * The software engine's run loop: exact stops, counts, REP in parts, breakpoints, watchpoints, self-modifying code, faults in
 * mid-block; and that none of it depends on the knobs or on how a run is cut up.
 *
 * One guest program has all that makes trouble: loops, calls, an instruction across two pages, REP over page edges with
 * overlap, a store into its own code, a division that faults into a handler, and MMIO.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "vmm-core/engine.h"
#include "vmm-core/x86/cpuid.h"

#define RAM (16ull << 20)
#define TABLES 0x10000ull
#define IDT 0x20000ull
#define GDT 0x21000ull
#define STACK 0x30000ull
#define CODE 0x100000ull
#define DATA 0x200000ull
#define MMIO 0x40000000ull

/* The program; `#` marks what is at fixed offsets. Assembled by the host's assembler into this test. */
extern const uint8_t program[], program_end[], program_break[], program_handler[], program_rep[], program_store[];
__asm__(".section .rodata\n"
	".globl program, program_end, program_break, program_handler, program_rep, program_store\n"
	"program:\n"
	"	mov $0x200000, %edi\n"
	"	mov $40, %ecx\n"
	"	xor %eax, %eax\n"
	"1:	lea (%rax,%rcx,4), %rax\n"
	"	mov %rax, (%rdi,%rcx,8)\n"
	"	test $3, %cl\n"
	"	jz 2f\n"
	"	add (%rdi,%rcx,8), %rdx\n"
	"	adc $0, %rbx\n"
	"2:	call 5f\n"
	"program_break:\n"
	"	dec %ecx\n"
	"	jnz 1b\n"
	"	mov $0x200f00, %esi\n" /* REP over page edges, overlapping */
	"	mov $0x200f08, %edi\n"
	"	mov $600, %ecx\n"
	"program_rep:\n"
	"	rep movsl\n"
	"	mov $0x201800, %edi\n"
	"	mov $0x55, %al\n"
	"	mov $3000, %ecx\n"
	"	rep stosb\n"
	"	lea 3f+1(%rip), %r8\n" /* its own code: the immediate of the next MOV */
	"	mov $5, %r9d\n"
	"4:	movb %r9b, (%r8)\n"
	"3:	mov $0x11, %eax\n"
	"	add %rax, %r10\n"
	"	dec %r9d\n"
	"	jnz 4b\n"
	"	mov $0x40000000, %r11d\n" /* MMIO: reads count up */
	"	mov (%r11), %r12d\n"
	"	add (%r11), %r12d\n"
	"	mov %r12d, 4(%r11)\n"
	"	mov $7, %eax\n" /* #DE, whose handler skips the two bytes of DIV */
	"	xor %edx, %edx\n"
	"	xor %ecx, %ecx\n"
	"	inc %r13\n"
	"	div %ecx\n"
	"	inc %r13\n"
	"program_store:\n"
	"	mov %r13, 0x200100\n"
	"	mov 0x200100, %r14\n"
	"	mov $20, %ecx\n"
	"6:	loop 6b\n"
	"	hlt\n"
	"5:	push %rcx\n"
	"	imul $17, %rcx, %rcx\n"
	"	add %rcx, %r15\n"
	"	pop %rcx\n"
	"	jmp 7f\n"
	"	.org program + 4096 - 3\n"
	"7:	movabs $0x1122334455667788, %rbp\n" /* lies in two pages */
	"	ret\n"
	"program_handler:\n"
	"	addq $2, (%rsp)\n"
	"	iretq\n"
	"program_end:\n"
	".text\n");

struct guest {
	struct cv_memory mem;
	struct cv_bus bus;
	struct cv_engine *e;
	uint64_t mmio_reads, mmio_written;
	bool kick_on_write;
};

static uint64_t mmio_read(void *dev, uint64_t offset, unsigned size)
{
	struct guest *g = dev;

	(void)offset;
	(void)size;
	return ++g->mmio_reads;
}

static void mmio_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct guest *g = dev;

	(void)offset;
	(void)size;
	g->mmio_written = value;
	if (g->kick_on_write)
		g->e->ops->kick(g->e);
}

static const struct cv_io_ops mmio_ops = {mmio_read, mmio_write, 4};

static void ram_written(void *ctx, uint32_t page, uint32_t offset, uint32_t len)
{
	struct guest *g = ctx;

	g->e->ops->ram_written(g->e, page, offset, len);
}

static void put64(struct guest *g, uint64_t gpa, uint64_t v)
{
	ck_assert_uint_eq(cv_memory_write(&g->mem, gpa, &v, 8), 8);
}

static uint64_t at(const uint8_t *label)
{
	return CODE + (uint64_t)(label - program);
}

static void make_state(struct cv_vcpu_state *s)
{
	cv_vcpu_reset(s);
	s->cr0 = CV_CR0_PE | CV_CR0_PG | CV_CR0_ET | CV_CR0_WP;
	s->cr3 = TABLES;
	s->cr4 = CV_CR4_PAE;
	s->efer = CV_EFER_LME | CV_EFER_LMA;
	s->idtr.base = IDT;
	s->idtr.limit = 0xfff;
	s->gdtr.base = GDT;
	s->gdtr.limit = 0x1f;
	s->seg[CV_CS] = (struct cv_seg){.limit = UINT32_MAX, .ar = 0xa09b, .sel = 8};
	for (unsigned k = CV_ES; k <= CV_GS; k++)
		if (k != CV_CS)
			s->seg[k] = (struct cv_seg){.limit = UINT32_MAX, .ar = 0xc093, .sel = 16};
	memset(s->gpr, 0, sizeof(s->gpr));
	s->gpr[CV_RSP] = STACK;
	s->rip = CODE;
}

static void load(struct guest *g)
{
	struct cv_vcpu_state s;
	uint64_t h = at(program_handler);

	cv_memory_zero(&g->mem);
	put64(g, TABLES, (TABLES + 0x1000) | 3);
	put64(g, TABLES + 0x1000, (TABLES + 0x2000) | 3);
	put64(g, TABLES + 0x1008, (TABLES + 0x3000) | 3);
	for (uint64_t k = 0; k < 8; k++)
		put64(g, TABLES + 0x2000 + k * 8, k << 21 | 0x83);
	put64(g, TABLES + 0x3000, MMIO | 0x83);
	put64(g, GDT + 8, 0x00af9b000000ffff);
	put64(g, GDT + 16, 0x00cf93000000ffff);
	put64(g, IDT, (h & 0xffff) | 8 << 16 | 0x8e00ull << 32 | (h >> 16 & 0xffff) << 48);
	put64(g, IDT + 8, h >> 32);
	cv_memory_write(&g->mem, CODE, program, (size_t)(program_end - program));
	g->mmio_reads = g->mmio_written = 0;
	make_state(&s);
	g->e->ops->set_state(g->e, &s);
}

static void start(struct guest *g, const struct cv_soft_knobs *knobs)
{
	struct cv_engine_host host = {.mem = &g->mem, .bus = &g->bus};
	struct cv_error err = {0};

	memset(g, 0, sizeof(*g));
	ck_assert_int_eq(cv_memory_init(&g->mem, RAM, &err), 0);
	cv_bus_add_mmio(&g->bus, MMIO, 0x1000, &mmio_ops, g);
	host.model = cv_cpuid_model_find("chronovisor-v2");
	g->e = cv_soft_new(&host, &err);
	ck_assert_ptr_nonnull(g->e);
	if (knobs)
		cv_soft_set_knobs(g->e, knobs);
	g->mem.written = ram_written;
	g->mem.written_ctx = g;
	load(g);
}

static void stop(struct guest *g)
{
	g->e->ops->free(g->e);
	cv_memory_release(&g->mem);
}

static enum cv_exit_kind run(struct guest *g, const struct cv_stop *s, struct cv_exit *x)
{
	struct cv_exit exit;
	struct cv_error err = {0};

	ck_assert_int_eq(g->e->ops->run(g->e, s, &exit, &err), 0);
	if (x)
		*x = exit;
	return exit.kind;
}

static enum cv_exit_kind run_to(struct guest *g, uint64_t insns)
{
	return run(g, &(struct cv_stop){.insns = insns}, NULL);
}

/* FNV of the saved state and of data, code and stack pages. */
static uint64_t digest(struct guest *g)
{
	struct cv_vcpu_state s;
	struct cv_wbuf w = {0};
	uint64_t h = 0xcbf29ce484222325ull;

	g->e->ops->get_state(g->e, &s);
	cv_vcpu_save(&s, &w);
	for (size_t k = 0; k < w.len; k++)
		h = (h ^ w.data[k]) * 0x100000001b3ull;
	cv_wbuf_release(&w);
	for (uint64_t a = DATA; a < DATA + 0x3000; a++)
		h = (h ^ g->mem.ram[a]) * 0x100000001b3ull;
	for (uint64_t a = CODE; a < CODE + 0x1100; a++)
		h = (h ^ g->mem.ram[a]) * 0x100000001b3ull;
	return (h ^ g->mmio_reads) * 0x100000001b3ull ^ g->mmio_written;
}

static uint64_t total(void)
{
	struct guest g;
	struct cv_vcpu_state s;
	uint64_t n;

	start(&g, NULL);
	ck_assert_int_eq(run_to(&g, UINT64_MAX), CV_EXIT_HALT);
	g.e->ops->get_state(g.e, &s);
	n = s.pos.insns;
	stop(&g);
	return n;
}

/* The digest at every instruction count, going in single steps; deliveries stay inside the step before. */
static uint64_t *reference(uint64_t n)
{
	uint64_t *d = calloc(n + 1, sizeof(*d));
	struct guest g;

	ck_assert_ptr_nonnull(d);
	start(&g, &(struct cv_soft_knobs){.single = true});
	for (uint64_t k = 0; k <= n; k++) {
		ck_assert_int_eq(run_to(&g, k), CV_EXIT_POSITION);
		d[k] = digest(&g);
	}
	stop(&g);
	return d;
}

START_TEST(run_program_reaches_known_result)
{
	struct guest g;
	struct cv_vcpu_state s;

	start(&g, NULL);
	ck_assert_int_eq(run_to(&g, UINT64_MAX), CV_EXIT_HALT);
	g.e->ops->get_state(g.e, &s);
	ck_assert_uint_eq(s.gpr[10], 5 + 4 + 3 + 2 + 1); /* the modified immediates */
	ck_assert_uint_eq(s.gpr[12], 1 + 2);
	ck_assert_uint_eq(g.mmio_written, 3);
	ck_assert_uint_eq(s.gpr[13], 2);
	ck_assert_uint_eq(s.gpr[14], 2);
	ck_assert_uint_eq(s.gpr[15], 17 * 820);
	ck_assert_uint_eq(s.gpr[CV_RBP], 0x1122334455667788);
	/* Conditional branches: JZ and JNZ 40 times, JNZ 5 times, LOOP 20 times. */
	ck_assert_uint_eq(s.pos.branches, 40 + 40 + 5 + 20);
	ck_assert(s.halted);
	stop(&g);
}
END_TEST

/* Loop index: which knobs. */
static const struct cv_soft_knobs knobs[] = {
	{0}, {.tlb_entries = 1}, {.flush_each_block = true}, {.tlb_entries = 2, .flush_each_block = true},
};

START_TEST(run_stop_at_every_count_equals_single_steps)
{
	uint64_t n = total(), *want = reference(n);
	struct guest g;

	start(&g, &knobs[_i]);
	for (uint64_t k = 0; k <= n; k++) {
		load(&g);
		ck_assert_int_eq(run_to(&g, k), CV_EXIT_POSITION);
		ck_assert_msg(digest(&g) == want[k], "differs at %llu of %llu", (unsigned long long)k, (unsigned long long)n);
	}
	stop(&g);
	free(want);
}
END_TEST

START_TEST(run_budgets_of_any_size_equal_single_steps)
{
	static const unsigned budgets[] = {1, 2, 3, 5, 7, 13, 64, 101};
	uint64_t n = total(), *want = reference(n);
	struct guest g;

	start(&g, &knobs[_i]);
	for (unsigned b = 0; b < sizeof(budgets) / sizeof(budgets[0]); b++) {
		load(&g);
		for (uint64_t k = 0; k <= n; k += budgets[b]) {
			ck_assert_int_eq(run_to(&g, k), CV_EXIT_POSITION);
			ck_assert_msg(digest(&g) == want[k], "budget %u differs at %llu", budgets[b], (unsigned long long)k);
		}
	}
	stop(&g);
	free(want);
}
END_TEST

START_TEST(run_step_is_one_instruction_or_delivery)
{
	struct guest g;
	struct cv_vcpu_state s;
	uint64_t deliveries = 0, n = total(), units = 0;

	start(&g, NULL);
	while (run(&g, &(struct cv_stop){.insns = UINT64_MAX, .step = true}, NULL) == CV_EXIT_POSITION) {
		units++;
		g.e->ops->get_state(g.e, &s);
		if (s.pos.sub) {
			deliveries++;
			ck_assert_uint_eq(s.rip, at(program_handler));
		}
		ck_assert_uint_eq(s.pos.insns, units - deliveries);
	}
	ck_assert_uint_eq(deliveries, 1);
	ck_assert_uint_eq(s.pos.insns, n);
	stop(&g);
}
END_TEST

START_TEST(run_stop_at_delivery_stands_at_the_handler)
{
	struct guest g;
	struct cv_vcpu_state s;

	start(&g, NULL);
	ck_assert_int_eq(run(&g, &(struct cv_stop){.insns = UINT64_MAX, .stop_at_delivery = true}, NULL), CV_EXIT_POSITION);
	g.e->ops->get_state(g.e, &s);
	ck_assert_uint_eq(s.pos.sub, 1);
	ck_assert_uint_eq(s.rip, at(program_handler));
	ck_assert_int_eq(run_to(&g, UINT64_MAX), CV_EXIT_HALT);
	stop(&g);
}
END_TEST

/* Runs to the REP MOVS: its count before it. */
static uint64_t find_rep(struct guest *g)
{
	uint64_t at_rep = at(program_rep);
	struct cv_vcpu_state s;
	struct cv_exit x;

	g->e->ops->set_points(g->e, &at_rep, 1, NULL, 0, NULL);
	ck_assert_int_eq(run(g, &(struct cv_stop){.insns = UINT64_MAX}, &x), CV_EXIT_BREAK);
	ck_assert_uint_eq(x.addr, at_rep);
	g->e->ops->set_points(g->e, NULL, 0, NULL, 0, NULL);
	g->e->ops->get_state(g->e, &s);
	return s.pos.insns;
}

START_TEST(run_stop_inside_rep_is_exact_and_resumes)
{
	uint64_t n = total(), *want = reference(n);
	struct guest g;
	struct cv_vcpu_state s;
	uint64_t k;

	start(&g, &knobs[_i]);
	k = find_rep(&g);
	for (uint64_t rcx = 599; rcx > 0; rcx -= 37) {
		struct cv_stop st = {.insns = k, .in_rep = true, .rcx = rcx};

		ck_assert_int_eq(run(&g, &st, NULL), CV_EXIT_POSITION);
		g.e->ops->get_state(g.e, &s);
		ck_assert_uint_eq(s.pos.insns, k);
		ck_assert(s.pos.in_rep);
		ck_assert_uint_eq(s.pos.rcx, rcx);
		ck_assert_uint_eq(s.gpr[CV_RCX], rcx);
		ck_assert_uint_eq(s.gpr[CV_RSI], 0x200f00 + 4 * (600 - rcx));
		ck_assert_uint_eq(s.rip, at(program_rep));
		if (rcx < 38)
			break;
	}
	ck_assert_int_eq(run_to(&g, k + 1), CV_EXIT_POSITION);
	ck_assert_uint_eq(digest(&g), want[k + 1]);
	ck_assert_int_eq(run_to(&g, n), CV_EXIT_POSITION);
	ck_assert_uint_eq(digest(&g), want[n]);
	stop(&g);
	free(want);
}
END_TEST

START_TEST(run_breakpoint_is_hit_every_time_and_can_be_skipped)
{
	struct guest g;
	uint64_t b = at(program_break), n = total(), *want = reference(n);
	struct cv_vcpu_state s;
	unsigned hits = 0;
	struct cv_stop st = {.insns = UINT64_MAX};

	start(&g, &knobs[_i]);
	g.e->ops->set_points(g.e, &b, 1, NULL, 0, NULL);
	while (run(&g, &st, NULL) == CV_EXIT_BREAK) {
		g.e->ops->get_state(g.e, &s);
		ck_assert_uint_eq(s.rip, b);
		ck_assert_uint_eq(digest(&g), want[s.pos.insns]);
		hits++;
		st.skip_first_break = true;
	}
	ck_assert_uint_eq(hits, 40);
	g.e->ops->get_state(g.e, &s);
	ck_assert_uint_eq(s.pos.insns, n);
	stop(&g);
	free(want);
}
END_TEST

START_TEST(run_watchpoint_stops_after_the_access)
{
	struct guest g;
	struct cv_watch w = {.addr = 0x200104, .len = 2, .type = CV_WATCH_WRITE};
	struct cv_stop st = {.insns = UINT64_MAX};
	struct cv_exit x;
	struct cv_vcpu_state s;
	unsigned hits = 0;

	start(&g, &knobs[_i]);
	g.e->ops->set_points(g.e, NULL, 0, &w, 1, NULL);
	while (run(&g, &st, &x) == CV_EXIT_WATCH) {
		ck_assert_uint_eq(x.addr, 0x200104);
		ck_assert_int_eq(x.type, CV_WATCH_WRITE);
		hits++;
	}
	/* The loop's store with RCX = 32, and the one near the end. */
	ck_assert_uint_eq(hits, 2);
	load(&g);
	w.type = CV_WATCH_ACCESS;
	g.e->ops->set_points(g.e, NULL, 0, &w, 1, NULL);
	hits = 0;
	while (run(&g, &st, &x) == CV_EXIT_WATCH)
		hits++;
	ck_assert_uint_eq(hits, 3);
	g.e->ops->get_state(g.e, &s);
	ck_assert_uint_eq(s.pos.insns, total());
	stop(&g);
}
END_TEST

START_TEST(run_watchpoint_inside_rep_stops_after_its_iteration)
{
	struct guest g;
	struct cv_watch w = {.addr = 0x201000, .len = 4, .type = CV_WATCH_WRITE};
	struct cv_exit x;
	struct cv_vcpu_state s;
	uint64_t n = total(), *want = reference(n);

	start(&g, &knobs[_i]);
	g.e->ops->set_points(g.e, NULL, 0, &w, 1, NULL);
	ck_assert_int_eq(run(&g, &(struct cv_stop){.insns = UINT64_MAX}, &x), CV_EXIT_WATCH);
	ck_assert_uint_eq(x.addr, 0x201000);
	g.e->ops->get_state(g.e, &s);
	ck_assert(s.pos.in_rep);
	ck_assert_uint_eq(s.gpr[CV_RDI], 0x201004);
	ck_assert_uint_eq(s.rip, at(program_rep));
	ck_assert_int_eq(run_to(&g, UINT64_MAX), CV_EXIT_HALT);
	ck_assert_uint_eq(digest(&g), want[n]);
	stop(&g);
	free(want);
}
END_TEST

START_TEST(run_kick_leaves_after_the_instruction)
{
	struct guest g;
	struct cv_vcpu_state s;

	start(&g, &knobs[_i]);
	g.kick_on_write = true;
	ck_assert_int_eq(run_to(&g, UINT64_MAX), CV_EXIT_KICK);
	ck_assert_uint_eq(g.mmio_written, 3);
	g.e->ops->get_state(g.e, &s);
	ck_assert_uint_eq(s.gpr[13], 0); /* what follows has not run */
	ck_assert_int_eq(run_to(&g, UINT64_MAX), CV_EXIT_HALT);
	stop(&g);
}
END_TEST

START_TEST(run_saved_state_continues_the_same)
{
	uint64_t n = total(), *want = reference(n);
	struct guest g;

	start(&g, NULL);
	for (uint64_t k = 0; k < n; k += 11) {
		struct cv_vcpu_state a, b;
		struct cv_wbuf w = {0};
		struct cv_rbuf r;

		ck_assert_int_eq(run_to(&g, k), CV_EXIT_POSITION);
		g.e->ops->get_state(g.e, &a);
		cv_vcpu_save(&a, &w);
		cv_rbuf_init(&r, w.data, w.len);
		cv_vcpu_load(&b, &r);
		ck_assert_int_eq(r.err, 0);
		ck_assert_uint_eq(r.pos, w.len);
		ck_assert_uint_eq(b.pos.rip, a.pos.rip);
		g.e->ops->set_state(g.e, &b);
		ck_assert_uint_eq(digest(&g), want[k]);
		cv_wbuf_release(&w);
	}
	ck_assert_int_eq(run_to(&g, n), CV_EXIT_POSITION);
	ck_assert_uint_eq(digest(&g), want[n]);
	stop(&g);
	free(want);
}
END_TEST

START_TEST(run_dirty_pages_are_all_that_was_written)
{
	struct guest g;
	uint8_t *before = malloc(RAM);

	ck_assert_ptr_nonnull(before);
	start(&g, &knobs[_i]);
	for (uint64_t k = 1; run_to(&g, k * 97) == CV_EXIT_POSITION; k++) {
		cv_memory_clear_dirty(&g.mem);
		g.e->ops->flush_tlb(g.e);
		memcpy(before, g.mem.ram, RAM);
		run_to(&g, k * 97 + 50);
		for (uint32_t p = 0; p < g.mem.pages; p++)
			ck_assert(g.mem.flags[p] & CV_PAGE_DIRTY || !memcmp(before + p * 4096ull, g.mem.ram + p * 4096ull, 4096));
	}
	stop(&g);
	free(before);
}
END_TEST

START_TEST(run_translate_has_no_side_effects)
{
	struct guest g;
	uint64_t gpa, entry;

	start(&g, NULL);
	ck_assert(g.e->ops->translate(g.e, MMIO + 0x123456, &gpa));
	ck_assert_uint_eq(gpa, MMIO + 0x123456);
	ck_assert(!g.e->ops->translate(g.e, 0x80000000, &gpa));
	ck_assert(!g.e->ops->translate(g.e, 0x800000000000, &gpa));
	cv_memory_read(&g.mem, TABLES + 0x3000, &entry, 8);
	ck_assert_uint_eq(entry, MMIO | 0x83);
	stop(&g);
}
END_TEST

int main(void)
{
	enum { KNOBS = sizeof(knobs) / sizeof(knobs[0]) };
	Suite *s = suite_create("soft_run");
	TCase *t = tcase_create("run");
	SRunner *sr;
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_test(t, run_program_reaches_known_result);
	tcase_add_loop_test(t, run_stop_at_every_count_equals_single_steps, 0, KNOBS);
	tcase_add_loop_test(t, run_budgets_of_any_size_equal_single_steps, 0, KNOBS);
	tcase_add_test(t, run_step_is_one_instruction_or_delivery);
	tcase_add_test(t, run_stop_at_delivery_stands_at_the_handler);
	tcase_add_loop_test(t, run_stop_inside_rep_is_exact_and_resumes, 0, KNOBS);
	tcase_add_loop_test(t, run_breakpoint_is_hit_every_time_and_can_be_skipped, 0, KNOBS);
	tcase_add_loop_test(t, run_watchpoint_stops_after_the_access, 0, KNOBS);
	tcase_add_loop_test(t, run_watchpoint_inside_rep_stops_after_its_iteration, 0, KNOBS);
	tcase_add_loop_test(t, run_kick_leaves_after_the_instruction, 0, KNOBS);
	tcase_add_test(t, run_saved_state_continues_the_same);
	tcase_add_loop_test(t, run_dirty_pages_are_all_that_was_written, 0, KNOBS);
	tcase_add_test(t, run_translate_has_no_side_effects);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
