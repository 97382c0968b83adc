/* SPDX-License-Identifier: MIT */
/*
 * Disassembly, registers, symbols and backtraces. For the unwind tables the guest is this very process: its registers
 * come from getcontext, its memory from process_vm_readv, its symbols and tables from /proc/self/exe, which is loaded
 * somewhere else than it was linked for.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* process_vm_readv, REG_RIP */
#endif
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#include "gdbstub/frames.h"
#include "gdbstub/inspect.h"
#include "gdbstub/packet.h"
#include "tests/unit/fake_timeline.h"

static struct cv_inspect in;
static struct cv_wbuf out;

#define ck_has(text, part) ck_assert_msg(strstr(text, part) != NULL, "\"%s\" is not in:\n%s", part, text)
#define ck_lacks(text, part) ck_assert_msg(strstr(text, part) == NULL, "\"%s\" is in:\n%s", part, text)

static const char *text(void)
{
	cv_put_u8(&out, 0);
	return (const char *)out.data;
}

static void set_mode(unsigned bits)
{
	memset(&in.state, 0, sizeof(in.state));
	in.state.rflags = 2;
	if (bits > 16)
		in.state.cr0 = CV_CR0_PE | CV_CR0_PG;
	in.state.seg[CV_CS].ar = bits == 64 ? CV_AR_L : bits == 32 ? CV_AR_DB : 0;
	if (bits == 64)
		in.state.efer = CV_EFER_LMA | CV_EFER_LME;
}

/* --- A guest of one page at 10000h --- */

static uint8_t page[4096];

static size_t read_page(void *ctx, uint64_t addr, void *p, size_t n)
{
	size_t done = 0;

	(void)ctx;
	for (; done < n && addr + done - 0x10000 < sizeof(page); done++)
		((uint8_t *)p)[done] = page[addr + done - 0x10000];
	return done;
}

static void setup(void)
{
	memset(&in, 0, sizeof(in));
	memset(page, 0x90, sizeof(page));
	in.read = read_page;
	set_mode(64);
	in.state.rip = 0x10100;
}

static void teardown(void)
{
	cv_wbuf_release(&out);
}

static void put64(uint64_t addr, uint64_t v, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		page[addr - 0x10000 + i] = (uint8_t)(v >> 8 * i);
}

/* A CALL rel32 that returns to addr. */
static void put_call(uint64_t addr)
{
	page[addr - 0x10000 - 5] = 0xe8;
}

START_TEST(disas_follows_the_code_size)
{
	memcpy(page + 0x100, "\x48\x89\xd8", 3);
	cv_inspect_put_disas(&in, 0x10100, 1, &out);
	ck_has(text(), "=> 0000000000010100  48 89 d8                 mov     rax, rbx");
	cv_wbuf_release(&out);
	set_mode(32);
	cv_inspect_put_disas(&in, 0x10100, 2, &out);
	ck_has(text(), "dec     eax");
	ck_has(text(), "mov     eax, ebx");
	cv_wbuf_release(&out);
	set_mode(16);
	cv_inspect_put_disas(&in, 0x10100, 2, &out);
	ck_has(text(), "mov     ax, bx");
}
END_TEST

START_TEST(disas_says_where_code_ends)
{
	page[0x100] = 0x06; /* PUSH ES: not in 64-bit mode */
	cv_inspect_put_disas(&in, 0x10100, 3, &out);
	ck_has(text(), "=> 0000000000010100  06  (no instruction)");
	cv_wbuf_release(&out);
	cv_inspect_put_disas(&in, 0x20000, 3, &out);
	ck_has(text(), "(not mapped)");
}
END_TEST

START_TEST(disas_around_falls_into_step)
{
	/* mov rax, imm64 (10 bytes), then nop at RIP: the bytes of the constant look like other instructions */
	memcpy(page + 0xf6, "\x48\xb8\xe8\x01\x02\x03\x04\x05\x06\x07", 10);
	cv_inspect_put_disas_around(&in, 0x10100, 4, 2, &out);
	ck_has(text(), "movabs  rax, 0x7060504030201e8");
	ck_has(text(), "=> 0000000000010100");
	cv_wbuf_release(&out);
	cv_inspect_put_disas_around(&in, 0x10000, 4, 2, &out); /* nothing before it is mapped */
	ck_has(text(), "0000000000010000");
	ck_has(text(), "0000000000010001");
}
END_TEST

START_TEST(disas_in_the_first_bytes_of_memory_works)
{
	cv_inspect_put_disas_around(&in, 2, 8, 2, &out);
	ck_has(text(), "0000000000000002  (not mapped)");
}
END_TEST

START_TEST(rip_is_linear_outside_of_64_bit_mode)
{
	set_mode(16);
	in.state.seg[CV_CS].base = 0xffff0000;
	in.state.rip = 0xfff0;
	ck_assert_uint_eq(cv_inspect_rip(&in), 0xfffffff0);
}
END_TEST

START_TEST(regs_show_every_kind)
{
	static char buf[4096];

	in.state.gpr[CV_R15] = 0xdeadbeef12345678;
	in.state.cr3 = 0x1234000;
	in.state.seg[CV_TR].sel = 0x40;
	in.state.rflags = 0x246;
	cv_inspect_regs(&in.state, NULL, buf, sizeof(buf));
	ck_has(buf, "r15 deadbeef12345678");
	ck_has(buf, "cr3 0000000001234000");
	ck_has(buf, "tr   0040");
	ck_has(buf, "[ PF ZF IF IOPL=0 ]");
	ck_has(buf, "64-bit, CPL 0");
	cv_inspect_regs(&in.state, NULL, buf, 100); /* cut off at a line's end */
	ck_assert_uint_lt(strlen(buf), 100);
	ck_assert_int_eq(buf[strlen(buf) - 1], '\n');
	cv_inspect_regs(&in.state, NULL, buf, 1);
	ck_assert_str_eq(buf, "");
}
END_TEST

START_TEST(backtrace_follows_frame_pointers)
{
	in.state.gpr[CV_RSP] = 0x10800;
	in.state.gpr[CV_RBP] = 0x10810;
	put64(0x10810, 0x10840, 8);
	put64(0x10818, 0x10205, 8);
	put64(0x10840, 0, 8);
	put64(0x10848, 0x10305, 8);
	put_call(0x10205);
	put_call(0x10305);
	cv_inspect_put_backtrace(&in, 32, &out);
	ck_assert_str_eq(text(), "#0  0000000000010100\n#1  0000000000010205  (frame pointer)\n"
				 "#2  0000000000010305  (frame pointer)\n");
}
END_TEST

START_TEST(backtrace_of_32_bit_code_reads_words_of_four)
{
	set_mode(32);
	in.state.rip = 0x10100;
	in.state.gpr[CV_RSP] = 0x10800;
	in.state.gpr[CV_RBP] = 0x10810;
	put64(0x10810, 0x10820, 4);
	put64(0x10814, 0x10205, 4);
	put64(0x10820, 0x10820, 4); /* a loop ends the walk */
	put64(0x10824, 0x10305, 4);
	put_call(0x10205);
	put_call(0x10305);
	cv_inspect_put_backtrace(&in, 32, &out);
	ck_has(text(), "#1  0000000000010205  (frame pointer)\n#2  0000000000010305  (frame pointer)\n");
	ck_lacks((char *)out.data, "#3");
}
END_TEST

START_TEST(backtrace_guesses_from_the_stack_and_says_so)
{
	in.state.gpr[CV_RSP] = 0x10800;
	in.state.gpr[CV_RBP] = 5;
	memset(page + 0x800, 0, 0x800);
	put64(0x10810, 0x10205, 8); /* behind a CALL */
	put64(0x10818, 0x10280, 8); /* not behind one */
	put_call(0x10205);
	cv_inspect_put_backtrace(&in, 32, &out);
	ck_assert_str_eq(text(), "#0  0000000000010100\n#1  0000000000010205  (stack scan: a guess)\n");
	cv_wbuf_release(&out);
	in.state.gpr[CV_RSP] = 0x50000;
	cv_inspect_put_backtrace(&in, 32, &out);
	ck_assert_str_eq(text(), "#0  0000000000010100\n(no caller found)\n");
}
END_TEST

/* --- This process as the guest --- */

static size_t read_self(void *ctx, uint64_t addr, void *p, size_t n)
{
	struct iovec to = { p, n }, from = { (void *)(uintptr_t)addr, n };
	ssize_t done = process_vm_readv(getpid(), &to, 1, &from, 1, 0);

	(void)ctx;
	return done < 0 ? 0 : (size_t)done;
}

static struct cv_symbols *self;
static unsigned depth;

__attribute__((noinline, noclone, used)) static void inspect_innermost(void)
{
	static const int regs[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
				      REG_R8,  REG_R9,	REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };
	ucontext_t uc;

	getcontext(&uc);
	set_mode(64);
	for (unsigned i = 0; i < 16; i++)
		in.state.gpr[i] = (uint64_t)uc.uc_mcontext.gregs[regs[i]];
	in.state.rip = (uint64_t)uc.uc_mcontext.gregs[REG_RIP];
	cv_inspect_put_backtrace(&in, 20, &out);
	depth++;
}

__attribute__((noinline, noclone, used)) static void inspect_middle(volatile char *room)
{
	volatile char more[333];

	more[0] = room[0];
	inspect_innermost();
	depth += (unsigned char)more[0];
}

__attribute__((noinline, noclone, used)) void inspect_outermost(unsigned n);

__attribute__((noinline, noclone, used)) void inspect_outermost(unsigned n)
{
	volatile char room[100 + 16];

	room[0] = (char)n;
	inspect_middle(room);
	depth += (unsigned char)room[0];
}

static void open_self(void)
{
	struct cv_error err = { 0 };
	uint64_t linked = 0;

	ck_assert_msg(cv_symbols_open_file(&self, "/proc/self/exe", &err) == 0, "%s", err.msg);
	ck_assert(cv_symbols_find(self, "inspect_outermost", &linked));
	in.read = read_self;
	in.symbols = self;
	in.slide = (uint64_t)(uintptr_t)inspect_outermost - linked;
}

START_TEST(backtrace_uses_the_image_s_own_tables)
{
	const char *t, *a, *b, *c;

	open_self();
	inspect_outermost(0);
	t = text();
	a = strstr(t, "#0");
	b = strstr(t, "<inspect_middle+");
	c = strstr(t, "<inspect_outermost+");
	ck_has(t, "<inspect_innermost+");
	ck_assert_msg(a && b && c && a < b && b < c, "wrong order:\n%s", t);
	ck_assert_msg(!strncmp(strchr(b, '>'), ">  (unwind table)", 17), "%s", t);
	ck_assert_msg(!strncmp(strchr(c, '>'), ">  (unwind table)", 17), "%s", t);
	ck_has(c, "<main+");
	cv_symbols_free(self);
}
END_TEST

START_TEST(symbols_have_names_and_offsets)
{
	uint64_t addr = 0, offset = 99;

	open_self();
	ck_assert(cv_symbols_is_64(self));
	ck_assert(cv_symbols_find(self, "inspect_outermost", &addr));
	ck_assert_str_eq(cv_symbols_lookup(self, addr, &offset), "inspect_outermost");
	ck_assert_uint_eq(offset, 0);
	ck_assert_str_eq(cv_symbols_lookup(self, addr + 5, &offset), "inspect_outermost");
	ck_assert_uint_eq(offset, 5);
	ck_assert_ptr_null(cv_symbols_lookup(self, 1, &offset));
	ck_assert_ptr_null(cv_symbols_lookup(self, UINT64_MAX, &offset));
	ck_assert(!cv_symbols_find(self, "no_such_symbol", &addr));
	ck_assert_ptr_null(cv_symbols_lookup(NULL, 1, &offset));
	cv_symbols_free(self);
}
END_TEST

START_TEST(symbols_written_as_elf_are_read_again)
{
	char path[] = "/tmp/check-symbols-XXXXXX";
	struct cv_symbols *again;
	uint64_t addr = 0, same = 0, offset;
	struct cv_error err = { 0 };

	open_self();
	close(mkstemp(path));
	ck_assert_int_eq(cv_symbols_write_elf(self, path, &err), 0); /* over one that exists */
	ck_assert_msg(cv_symbols_open_file(&again, path, &err) == 0, "%s", err.msg);
	ck_assert(cv_symbols_is_64(again));
	ck_assert(cv_symbols_find(self, "inspect_outermost", &addr));
	ck_assert(cv_symbols_find(again, "inspect_outermost", &same));
	ck_assert_uint_eq(addr, same);
	ck_assert_str_eq(cv_symbols_lookup(again, addr + 5, &offset), "inspect_outermost");
	cv_symbols_free(again);
	unlink(path);
	ck_assert_int_eq(cv_symbols_write_elf(self, "/no/such/folder/file", &err), CV_E_IO);
	ck_has(err.msg, "/no/such/folder/file");
	cv_symbols_free(self);
}
END_TEST

START_TEST(symbols_of_a_guest_without_linux_are_none)
{
	struct cv_vcpu_state s;
	struct cv_memory mem;
	struct cv_error err = { 0 };

	ck_assert_int_eq(cv_memory_init(&mem, CV_RAM_MIN, &err), 0);
	cv_vcpu_reset(&s);
	ck_assert_int_eq(cv_symbols_open_guest(&self, &mem, &s, &err), CV_E_BADINPUT);
	ck_assert_ptr_null(self);
	ck_has(err.msg, "no Linux kernel");
	/* Paging tables where every entry is the table itself, or leads out of RAM. */
	s.cr0 |= CV_CR0_PE | CV_CR0_PG;
	s.efer |= CV_EFER_LMA;
	s.lstar = 0xffffffff81000000;
	for (uint64_t entry = 0x1083; entry; entry = entry == 0x1083 ? 0xffffffffff003 : 0) {
		for (unsigned i = 0; i < 512; i++)
			ck_assert_uint_eq(cv_memory_write(&mem, 0x1000 + 8 * i, &entry, 8), 8);
		for (s.cr4 = 0; s.cr4 <= CV_CR4_LA57; s.cr4 += CV_CR4_LA57)
			for (s.cr3 = 0x1000; s.cr3 <= 0xffffff000; s.cr3 += 0xffffe000)
				ck_assert_int_eq(cv_symbols_open_guest(&self, &mem, &s, NULL), CV_E_BADINPUT);
	}
	cv_memory_release(&mem);
}
END_TEST

START_TEST(symbols_bad_files_are_refused_in_one_line)
{
	static const char junk[] = "\177ELF and then nothing of use";
	struct cv_error err = { 0 };

	ck_assert_int_eq(cv_symbols_open_file(&self, "/no/such/file", &err), CV_E_BADINPUT);
	ck_has(err.msg, "/no/such/file");
	cv_error_clear(&err);
	ck_assert_int_eq(cv_symbols_open_bytes(&self, junk, sizeof(junk), &err), CV_E_BADINPUT);
	ck_assert_ptr_null(self);
	ck_assert_int_eq(cv_symbols_open_bytes(&self, "", 0, NULL), CV_E_BADINPUT);
}
END_TEST

START_TEST(symbols_of_a_cut_file_do_no_harm)
{
	static uint8_t file[4 << 20];
	FILE *f = fopen("/proc/self/exe", "rb");
	size_t n;

	ck_assert_ptr_nonnull(f);
	n = fread(file, 1, sizeof(file), f);
	fclose(f);
	for (unsigned i = 0; i < 300; i++) {
		size_t cut = n * i / 300;
		uint64_t offset;

		if (cv_symbols_open_bytes(&self, file, cut, NULL) < 0)
			continue;
		(void)cv_symbols_lookup(self, 0x1000, &offset);
		cv_symbols_free(self);
	}
	for (unsigned i = 0; i < 300; i++) { /* damage in the headers and the tables */
		size_t at = i < 64 ? i : n * i / 300;
		uint8_t old = file[at];
		uint64_t offset;

		file[at] ^= 0x5a;
		if (cv_symbols_open_bytes(&self, file, n, NULL) == 0) {
			(void)cv_symbols_lookup(self, 0x1000, &offset);
			cv_symbols_free(self);
		}
		file[at] = old;
	}
	ck_assert_int_eq(cv_symbols_open_bytes(&self, file, n, NULL), 0);
	cv_symbols_free(self);
}
END_TEST

/* --- Call frame information --- */

START_TEST(frames_debug_form_becomes_eh_form)
{
	/* A CIE of DWARF 4 (address size 8, no segments), then an FDE for 10100h, 20h bytes. */
	uint8_t s[] = { 0x14, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 4, 0, 8, 0, 1, 0x78, 16, 0x0c, 7, 8, 0x90, 1, 0, 0, 0, 0,
			0x14, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0 };
	struct cv_unwind_entry *e;
	size_t n;

	cv_frames_from_debug_frame(s, sizeof(s));
	ck_assert_mem_eq(s + 4, "\0\0\0\0\x03\0\x01\x78\x10\x0c\x07\x08\x90\x01\0\0\0\0\0\0", 20);
	ck_assert_mem_eq(s + 28, "\x1c\0\0\0", 4); /* back from here to the CIE */
	ck_assert_int_eq(cv_frames_index(s, sizeof(s), 0x10000, &e, &n), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_int_eq(e[0].start, 0x100);
	ck_assert_int_eq(e[0].fde, 24);
	free(e);
}
END_TEST

START_TEST(frames_random_bytes_end)
{
	uint32_t seed = 7;

	for (unsigned i = 0; i < 5000; i++) {
		uint8_t s[200];
		struct cv_unwind_entry *e = NULL;
		size_t n = 0;

		for (size_t j = 0; j < sizeof(s); j++) {
			seed = seed * 1664525 + 1013904223;
			s[j] = (seed >> 28) < 9 ? 0 : (uint8_t)(seed >> 20);
		}
		s[0] = (uint8_t)(4 + i % 60);
		s[1] = s[2] = s[3] = 0;
		cv_frames_from_debug_frame(s, sizeof(s));
		ck_assert_int_eq(cv_frames_index(s, sizeof(s), i, &e, &n), 0);
		ck_assert_uint_lt(n, 30);
		free(e);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("inspect");
	TCase *c = tcase_create("inspect");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, disas_follows_the_code_size);
	tcase_add_test(c, disas_says_where_code_ends);
	tcase_add_test(c, disas_around_falls_into_step);
	tcase_add_test(c, disas_in_the_first_bytes_of_memory_works);
	tcase_add_test(c, rip_is_linear_outside_of_64_bit_mode);
	tcase_add_test(c, regs_show_every_kind);
	tcase_add_test(c, backtrace_follows_frame_pointers);
	tcase_add_test(c, backtrace_of_32_bit_code_reads_words_of_four);
	tcase_add_test(c, backtrace_guesses_from_the_stack_and_says_so);
	tcase_add_test(c, backtrace_uses_the_image_s_own_tables);
	tcase_add_test(c, symbols_have_names_and_offsets);
	tcase_add_test(c, symbols_written_as_elf_are_read_again);
	tcase_add_test(c, symbols_of_a_guest_without_linux_are_none);
	tcase_add_test(c, symbols_bad_files_are_refused_in_one_line);
	tcase_add_test(c, symbols_of_a_cut_file_do_no_harm);
	tcase_add_test(c, frames_debug_form_becomes_eh_form);
	tcase_add_test(c, frames_random_bytes_end);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
