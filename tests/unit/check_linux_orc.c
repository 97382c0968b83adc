/* SPDX-License-Identifier: MIT */
/* ORC tables: every kind of entry in both encodings, and tables and stacks that are damaged. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "gdbstub/frames.h"
#include "gdbstub/linux_orc.h"
#include "vmm-core/buf.h"
#include "vmm-core/error.h"

#define BASE 0xffffffff81000000ull
#define IP_AT 0x1000u
#define ENTRIES_AT 0x2000u
#define STACK 0xffffc90000000000ull
#define N 32u

enum { UNDEFINED, PREV_SP, DX, DI, BP, SP, R10, R13, BP_INDIRECT, SP_INDIRECT };

static uint8_t image[0x3000], stack[0x1000];
static struct cv_orc orc;
static struct cv_orc_frame f;

static void put(uint8_t *p, uint64_t v, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static void push(uint64_t addr, uint64_t v)
{
	put(stack + (addr - STACK), v, 8);
}

static size_t read_stack(void *ctx, uint64_t addr, void *p, size_t n)
{
	(void)ctx;
	if (addr - STACK > sizeof(stack))
		return 0;
	if (n > sizeof(stack) - (addr - STACK))
		n = sizeof(stack) - (addr - STACK);
	memcpy(p, stack + (addr - STACK), n);
	return n;
}

/* Entry i is of the code from BASE + 100h * i on. */
static void entry(unsigned i, int sp_offset, int bp_offset, unsigned sp_reg, unsigned bp_reg, unsigned flags)
{
	uint8_t *p = image + ENTRIES_AT + 6 * i;

	put(image + IP_AT + 4 * i, 0x100 * i - (IP_AT + 4 * i), 4);
	put(p, (uint16_t)sp_offset, 2);
	put(p + 2, (uint16_t)bp_offset, 2);
	p[4] = (uint8_t)(sp_reg | bp_reg << 4);
	p[5] = (uint8_t)flags;
}

static int init(void)
{
	return cv_orc_init(&orc, image, sizeof(image), BASE, BASE + IP_AT, BASE + IP_AT + 4 * N, BASE + ENTRIES_AT,
			   BASE + ENTRIES_AT + 6 * N);
}

static enum cv_orc_step step(void)
{
	return cv_orc_step(&orc, &f, read_stack, NULL);
}

/* Types by encoding: until 6.3, from 6.4. */
static unsigned encoding;
static unsigned call(void) { return encoding ? 2 : 0; }
static unsigned regs(void) { return encoding ? 3 : 1; }
static unsigned iret(void) { return encoding ? 4 : 2; }
static unsigned end(void) { return encoding ? 1 : 4; }

static void build(unsigned which)
{
	encoding = which;
	memset(stack, 0, sizeof(stack));
	memset(&f, 0, sizeof(f));
	for (unsigned i = 0; i < N; i++)
		entry(i, 8, 0, SP, UNDEFINED, call());
	entry(1, 32, -16, SP, PREV_SP, call());
	entry(2, 16, -16, BP, PREV_SP, call());
	entry(3, 0, 0, SP, UNDEFINED, regs());
	entry(4, 8, 0, SP, UNDEFINED, iret());
	entry(5, 0, 0, UNDEFINED, UNDEFINED, end());
	entry(6, 0, 0, UNDEFINED, UNDEFINED, 0);
	entry(7, 8, 0, SP_INDIRECT, UNDEFINED, call());
	entry(8, -8, 0, BP_INDIRECT, UNDEFINED, call());
	entry(9, 0, 0, R10, UNDEFINED, call());
	entry(10, 0, 0, 15, UNDEFINED, call());
	ck_assert_int_eq(init(), 0);
	ck_assert_int_eq(orc.new_types, which == 1);
}

START_TEST(orc_call_frames_restore_sp_and_bp)
{
	build((unsigned)_i);
	f = (struct cv_orc_frame){ .ip = BASE + 0x110, .sp = STACK + 0x100, .bp = 7, .exact = true };
	push(STACK + 0x110, STACK + 0x200); /* the caller's bp */
	push(STACK + 0x118, BASE + 0x210);
	ck_assert_int_eq(step(), CV_ORC_CALLER);
	ck_assert_uint_eq(f.ip, BASE + 0x210);
	ck_assert_uint_eq(f.sp, STACK + 0x120);
	ck_assert_uint_eq(f.bp, STACK + 0x200);
	ck_assert(!f.exact && !f.user && !f.have_regs);
	push(STACK + 0x200, 0x1234);
	push(STACK + 0x208, BASE + 0x600); /* behind a call at the end of the function before */
	ck_assert_int_eq(step(), CV_ORC_CALLER);
	ck_assert_uint_eq(f.sp, STACK + 0x210);
	ck_assert_uint_eq(f.bp, 0x1234);
	ck_assert_int_eq(step(), CV_ORC_END); /* entry 5, since the call is at 5ffh */
	f.exact = true;
	ck_assert_int_eq(step(), CV_ORC_UNKNOWN); /* entry 6 */
	cv_orc_release(&orc);
}
END_TEST

START_TEST(orc_exception_frames_give_all_registers)
{
	build((unsigned)_i);
	f = (struct cv_orc_frame){ .ip = BASE + 0x310, .sp = STACK + 0x100 };
	push(STACK + 0x100 + 32, 0xb9);			  /* bp */
	push(STACK + 0x100 + 56, STACK + 0x888);	  /* r10 */
	push(STACK + 0x100 + 128, BASE + 0x900);	  /* ip */
	push(STACK + 0x100 + 136, 0x10);		  /* cs */
	push(STACK + 0x100 + 152, STACK + 0x800);	  /* sp */
	ck_assert_int_eq(step(), CV_ORC_CALLER);
	ck_assert(f.exact && f.have_regs && !f.user);
	ck_assert_uint_eq(f.ip, BASE + 0x900);
	ck_assert_uint_eq(f.sp, STACK + 0x800);
	ck_assert_uint_eq(f.bp, 0xb9);
	push(STACK + 0x880, BASE + 0x420); /* entry 9 finds its frame by r10 */
	ck_assert_int_eq(step(), CV_ORC_CALLER);
	ck_assert_uint_eq(f.ip, BASE + 0x420);
	ck_assert_uint_eq(f.sp, STACK + 0x888);
	push(STACK + 0x890, 0x401000); /* what the CPU pushes in user code */
	push(STACK + 0x898, 0x33);
	push(STACK + 0x8a8, 0x7ffe0000);
	ck_assert_int_eq(step(), CV_ORC_CALLER);
	ck_assert(f.user && f.exact && !f.have_regs);
	ck_assert_uint_eq(f.ip, 0x401000);
	ck_assert_uint_eq(f.sp, 0x7ffe0000);
	ck_assert_int_eq(step(), CV_ORC_END);
	cv_orc_release(&orc);
}
END_TEST

START_TEST(orc_indirect_frames_change_the_stack)
{
	build((unsigned)_i);
	f = (struct cv_orc_frame){ .ip = BASE + 0x710, .sp = STACK + 0x100, .exact = true };
	push(STACK + 0x100, STACK + 0x900);
	push(STACK + 0x900, BASE + 0x811);
	f.bp = STACK + 0x408;
	ck_assert_int_eq(step(), CV_ORC_CALLER);
	ck_assert_uint_eq(f.sp, STACK + 0x908);
	push(STACK + 0x400, STACK + 0xa08);
	push(STACK + 0xa00, BASE + 0x120);
	ck_assert_int_eq(step(), CV_ORC_CALLER);
	ck_assert_uint_eq(f.sp, STACK + 0xa08);
	ck_assert_uint_eq(f.ip, BASE + 0x120);
	cv_orc_release(&orc);
}
END_TEST

START_TEST(orc_jump_to_nowhere_returns_to_the_caller)
{
	build((unsigned)_i);
	f = (struct cv_orc_frame){ .ip = 0, .sp = STACK + 0x100, .exact = true };
	push(STACK + 0x100, BASE + 0x111);
	ck_assert_int_eq(step(), CV_ORC_CALLER);
	ck_assert_uint_eq(f.ip, BASE + 0x111);
	ck_assert_uint_eq(f.sp, STACK + 0x108);
	cv_orc_release(&orc);
}
END_TEST

START_TEST(orc_of_what_is_not_there_stops_and_changes_nothing)
{
	struct cv_orc_frame before;

	build((unsigned)_i);
	f = (struct cv_orc_frame){ .ip = BASE - 1, .sp = STACK + 0x100, .exact = true };
	ck_assert_int_eq(step(), CV_ORC_UNKNOWN);
	f.ip = BASE + 0xa10; /* a register of which nothing is known */
	ck_assert_int_eq(step(), CV_ORC_BAD);
	f.ip = BASE + 0x910; /* r10 is not known */
	ck_assert_int_eq(step(), CV_ORC_BAD);
	for (unsigned i = 1; i <= 8; i++) {
		if (i == 5 || i == 6)
			continue;
		f = before = (struct cv_orc_frame){ .ip = BASE + 0x100 * i + 1, .sp = 0x1000, .bp = 0x1000, .exact = true };
		ck_assert_int_eq(step(), CV_ORC_BAD);
		ck_assert_mem_eq(&f, &before, sizeof(f));
	}
	cv_orc_release(&orc);
}
END_TEST

START_TEST(orc_begins_with_the_cpu)
{
	struct cv_vcpu_state s;

	cv_vcpu_reset(&s);
	s.cr0 |= CV_CR0_PE;
	s.rip = BASE;
	s.gpr[CV_RSP] = STACK;
	s.gpr[CV_RBP] = 3;
	s.gpr[CV_R13] = 4;
	cv_orc_begin(&f, &s);
	ck_assert(f.ip == BASE && f.sp == STACK && f.bp == 3 && f.r13 == 4 && f.have_regs && f.exact && !f.user);
	s.seg[CV_SS].ar |= 3u << 5;
	cv_orc_begin(&f, &s);
	ck_assert(f.user);
}
END_TEST

START_TEST(orc_tables_that_are_none_are_refused)
{
	build(0);
	cv_orc_release(&orc);
	/* empty, reversed, too few, not as many entries as words, outside of the image, not sorted */
	ck_assert_int_eq(cv_orc_init(&orc, image, sizeof(image), BASE, BASE, BASE, BASE, BASE), CV_E_BADINPUT);
	ck_assert_int_eq(cv_orc_init(&orc, image, sizeof(image), BASE, BASE + 400, BASE, BASE, BASE + 600), CV_E_BADINPUT);
	ck_assert_int_eq(cv_orc_init(&orc, image, sizeof(image), BASE, BASE + IP_AT, BASE + IP_AT + 8, BASE + ENTRIES_AT,
				     BASE + ENTRIES_AT + 12), CV_E_BADINPUT);
	ck_assert_int_eq(cv_orc_init(&orc, image, sizeof(image), BASE, BASE + IP_AT, BASE + IP_AT + 4 * N, BASE + ENTRIES_AT,
				     BASE + ENTRIES_AT + 6 * N + 6), CV_E_BADINPUT);
	for (size_t len = 0; len < ENTRIES_AT + 6 * N; len += 97) {
		ck_assert_int_eq(cv_orc_init(&orc, image, len, BASE, BASE + IP_AT, BASE + IP_AT + 4 * N, BASE + ENTRIES_AT,
					     BASE + ENTRIES_AT + 6 * N), CV_E_BADINPUT);
		ck_assert_uint_eq(orc.n, 0);
	}
	ck_assert_int_eq(cv_orc_init(&orc, image, sizeof(image), BASE, BASE - 0x1000, BASE - 0x1000 + 4 * N,
				     BASE + ENTRIES_AT, BASE + ENTRIES_AT + 6 * N), CV_E_BADINPUT);
	put(image + IP_AT + 4 * 9, 0x7fffffff, 4);
	ck_assert_int_eq(init(), CV_E_BADINPUT);
}
END_TEST

/* The FDE for an address, or NULL. */
static const uint8_t *fde(const struct cv_wbuf *w, const struct cv_unwind_entry *e, size_t n, uint64_t start, bool *signal)
{
	for (size_t i = 0; i < n; i++) {
		if (BASE + (uint64_t)(int64_t)e[i].start == start) {
			*signal = cv_frames_is_signal(w->data, w->len, (size_t)e[i].fde);
			return w->data + e[i].fde;
		}
	}
	return NULL;
}

START_TEST(orc_becomes_call_frame_information)
{
	/* def_cfa_sf; rbp saved at CFA - 16; advance by 100h; CFA by rbp */
	static const uint8_t calls[] = { 0x12, 7, 0x7f, 8, 6, 4, 0, 1, 0, 0, 0x12, 7, 0x7c, 0x11, 6, 2, 4, 0, 1, 0, 0,
					 0x12, 6, 0x7e, 0x11, 6, 2 };
	/* CFA rsp + 0; r15 at CFA, r14 at CFA + 8 ... */
	static const uint8_t saved[] = { 0, 0x12, 7, 0, 0x11, 15, 0, 0x11, 14, 0x7f, 0x11, 13, 0x7e };
	static const uint8_t none[] = { 7, 16 };
	static const uint8_t rest[] = { 0x12, 7, 0x7f };
	struct cv_unwind_entry *e;
	struct cv_wbuf w = { 0 };
	const uint8_t *p;
	bool signal;
	size_t n;

	build((unsigned)_i);
	cv_orc_put_debug_frame(&orc, &w);
	ck_assert_int_eq(w.err, 0);
	ck_assert_uint_eq(w.len % 8, 0);
	cv_frames_from_debug_frame(w.data, w.len);
	ck_assert_int_eq(cv_frames_index(w.data, w.len, BASE, &e, &n), 0);
	/* Entries 0 to 2, 3, 4, 5, 7 to 9, and what follows the unknown ones 6 and 10. */
	ck_assert_uint_eq(n, 6);
	p = fde(&w, e, n, BASE, &signal);
	ck_assert(p && !signal);
	ck_assert_mem_eq(p + 24, calls, sizeof(calls));
	p = fde(&w, e, n, BASE + 0x300, &signal);
	ck_assert(p && signal);
	ck_assert_mem_eq(p + 24, saved, sizeof(saved));
	ck_assert(fde(&w, e, n, BASE + 0x400, &signal) && signal);
	p = fde(&w, e, n, BASE + 0x500, &signal);
	ck_assert(p && !signal);
	ck_assert_mem_eq(p + 24, none, sizeof(none));
	ck_assert_ptr_null(fde(&w, e, n, BASE + 0x600, &signal));
	p = fde(&w, e, n, BASE + 0x700, &signal);
	ck_assert_mem_eq(p + 24, "\x0f\x06\x77\x00\x06\x11\x08\x22", 8); /* [rsp] + 8 */
	ck_assert_ptr_null(fde(&w, e, n, BASE + 0xa00, &signal));
	p = fde(&w, e, n, BASE + 0xb00, &signal);
	ck_assert(p && !signal);
	ck_assert_mem_eq(p + 24, rest, sizeof(rest));
	free(e);
	cv_wbuf_release(&w);
	cv_orc_release(&orc);
}
END_TEST

START_TEST(orc_walks_of_random_tables_end)
{
	struct cv_wbuf w = { 0 };
	uint32_t seed = 1;

	build(0);
	cv_orc_release(&orc);
	for (unsigned round = 0; round < 500; round++) {
		for (size_t i = 0; i < 6 * N + sizeof(stack); i++) {
			seed = seed * 1664525 + 1013904223;
			if (i < 6 * N)
				image[ENTRIES_AT + i] = (uint8_t)(seed >> 24);
			else
				stack[i - 6 * N] = (uint8_t)(seed >> 24);
		}
		ck_assert_int_eq(init(), 0);
		cv_orc_put_debug_frame(&orc, &w);
		ck_assert_int_eq(w.err, 0);
		cv_wbuf_release(&w);
		f = (struct cv_orc_frame){ .ip = BASE + round * 16 % (0x100 * N), .sp = STACK + 0x400, .bp = STACK + 0x500,
					   .exact = true };
		for (unsigned i = 0; i < 100 && step() == CV_ORC_CALLER; i++)
			;
		cv_orc_release(&orc);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("linux_orc");
	TCase *tc = tcase_create("orc");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, orc_call_frames_restore_sp_and_bp, 0, 2);
	tcase_add_loop_test(tc, orc_exception_frames_give_all_registers, 0, 2);
	tcase_add_loop_test(tc, orc_indirect_frames_change_the_stack, 0, 2);
	tcase_add_loop_test(tc, orc_jump_to_nowhere_returns_to_the_caller, 0, 2);
	tcase_add_loop_test(tc, orc_of_what_is_not_there_stops_and_changes_nothing, 0, 2);
	tcase_add_test(tc, orc_begins_with_the_cpu);
	tcase_add_test(tc, orc_tables_that_are_none_are_refused);
	tcase_add_loop_test(tc, orc_becomes_call_frame_information, 0, 2);
	tcase_add_test(tc, orc_walks_of_random_tables_end);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
