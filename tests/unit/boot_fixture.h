/* SPDX-License-Identifier: MIT */
/*
 * What the boot loaders' tests share: a machine of 32 MiB, an image under construction, and builders of ELF images.
 */
#ifndef BOOT_FIXTURE_H
#define BOOT_FIXTURE_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "vmm-core/boot/boot.h"

#define MIB (1ull << 20)
#define TABLES (31 * MIB) /* firmware tables near the top of 32 MiB */
#define TABLES_LEN 0x3000

static struct cv_memory mem;
static struct cv_vcpu_state cpu;
static struct cv_error err;
static struct cv_boot_firmware fw;
static struct cv_boot_images images;
static uint8_t file[256 * 1024]; /* the kernel image under construction */

static inline void machine(uint64_t size)
{
	cv_memory_release(&mem);
	ck_assert_int_eq(cv_memory_init(&mem, size, &err), 0);
}

static inline void setup(void)
{
	memset(&mem, 0, sizeof(mem));
	memset(&images, 0, sizeof(images));
	memset(file, 0, sizeof(file));
	memset(&err, 0, sizeof(err));
	machine(32 * MIB);
	cv_vcpu_reset(&cpu);
	fw = (struct cv_boot_firmware){.rsdp = 0xe0000, .tables_base = TABLES, .tables_len = TABLES_LEN};
	images.kernel = (struct cv_image){.name = "dir/kernel.img", .data = file};
	images.cmdline = "a=1 b";
}

static inline void teardown(void)
{
	cv_memory_release(&mem);
}

static inline void put(size_t at, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		file[at + i] = (uint8_t)(v >> (8 * i));
}

static inline uint64_t peek(uint64_t gpa, unsigned bytes)
{
	uint8_t b[8] = {0};
	uint64_t v = 0;

	ck_assert_uint_eq(cv_memory_read(&mem, gpa, b, bytes), bytes);
	for (unsigned i = bytes; i--;)
		v = v << 8 | b[i];
	return v;
}

static inline const char *peek_string(uint64_t gpa)
{
	static char s[256];

	memset(s, 0, sizeof(s));
	cv_memory_read(&mem, gpa, s, sizeof(s) - 1);
	return s;
}

static inline int load(void)
{
	return cv_boot_load(&images, &fw, &mem, &cpu, &err);
}

static inline void assert_loads(void)
{
	int rc = load();

	ck_assert_msg(rc == 0, "%d: %s", rc, err.msg);
}

/* Refused as bad input, with one line that has `text` in it and starts with the name of the culprit. */
static inline void assert_refused(const char *name, const char *text)
{
	ck_assert_int_eq(load(), CV_E_BADINPUT);
	ck_assert_msg(strstr(err.msg, text) != NULL, "'%s' has no '%s'", err.msg, text);
	ck_assert_msg(!strncmp(err.msg, name, strlen(name)), "'%s' does not name %s", err.msg, name);
	ck_assert_ptr_null(strchr(err.msg, '\n'));
	cv_error_clear(&err);
}

static inline void assert_flat32(void)
{
	ck_assert_uint_eq(cpu.cr0, CV_CR0_PE | CV_CR0_ET);
	ck_assert_uint_eq(cpu.cr4, 0);
	ck_assert_uint_eq(cpu.efer, 0);
	ck_assert_uint_eq(cpu.rflags, 2);
	ck_assert_uint_eq(cpu.seg[CV_CS].ar, 0xc09b);
	ck_assert_uint_eq(cpu.seg[CV_DS].ar, 0xc093);
	ck_assert_uint_eq(cpu.seg[CV_SS].limit, 0xffffffff);
	ck_assert_uint_eq(cpu.seg[CV_TR].ar, 0x8b);
	ck_assert_uint_eq(cpu.seg[CV_TR].limit, 0x67);
	ck_assert(!cpu.a20_masked);
	/* The GDT in RAM says what the cached segments say. */
	ck_assert_uint_eq(peek(cpu.gdtr.base + cpu.seg[CV_CS].sel, 8), 0x00cf9b000000ffffull);
	ck_assert_uint_eq(peek(cpu.gdtr.base + cpu.seg[CV_DS].sel, 8), 0x00cf93000000ffffull);
}

/* Walks the loader's page tables. */
static inline uint64_t translate(uint64_t linear)
{
	uint64_t pml4e = peek(cpu.cr3 + 8 * (linear >> 39 & 511), 8), pdpte, pde;

	ck_assert_uint_eq(pml4e & 3, 3);
	pdpte = peek((pml4e & ~0xfffull) + 8 * (linear >> 30 & 511), 8);
	ck_assert_uint_eq(pdpte & 0x83, 3);
	pde = peek((pdpte & ~0xfffull) + 8 * (linear >> 21 & 511), 8);
	ck_assert_uint_eq(pde & 0x83, 0x83);
	return (pde & ~0x1fffffull) | (linear & 0x1fffff);
}

static inline void assert_long64(void)
{
	static const uint64_t at[] = {0, 0x9fc00, 0x1000000, 0xbfffffff, 0xfee00000, 0xffffffff};

	ck_assert_uint_eq(cpu.cr0, CV_CR0_PE | CV_CR0_ET | CV_CR0_PG);
	ck_assert_uint_eq(cpu.cr4, CV_CR4_PAE);
	ck_assert_uint_eq(cpu.efer, CV_EFER_LME | CV_EFER_LMA);
	ck_assert_uint_eq(cpu.rflags, 2);
	ck_assert_uint_eq(cpu.seg[CV_CS].sel, 0x10);
	ck_assert_uint_eq(cpu.seg[CV_CS].ar, 0xa09b);
	ck_assert_uint_eq(cpu.seg[CV_SS].sel, 0x18);
	ck_assert_uint_eq(peek(cpu.gdtr.base + 0x10, 8), 0x00af9b000000ffffull);
	for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		ck_assert_uint_eq(translate(at[i]), at[i]);
}

/* --- ELF images --- */

#define CLASS64 (file[4] == 2)
#define CONTENTS 0x1000u /* file offset of the first segment */

static inline void make_ehdr(bool is64, unsigned machine_id, uint64_t entry, unsigned phnum)
{
	memset(file, 0, sizeof(file));
	memcpy(file, "\177ELF", 4);
	file[4] = is64 ? 2 : 1;
	file[5] = 1;
	file[6] = 1;
	put(16, 2, 2);
	put(18, machine_id, 2);
	put(20, 1, 4);
	put(24, entry, is64 ? 8 : 4);
	put(is64 ? 32 : 28, 64, is64 ? 8 : 4);
	put(is64 ? 54 : 42, is64 ? 56 : 32, 2);
	put(is64 ? 56 : 44, phnum, 2);
	images.kernel.size = CONTENTS + 0x2000;
	for (unsigned i = 0; i < 0x2000; i++)
		file[CONTENTS + i] = (uint8_t)(i * 3 + 5);
}

static inline void make_phdr(unsigned i, uint32_t type, uint64_t offset, uint64_t vaddr, uint64_t paddr, uint64_t filesz,
		      uint64_t memsz)
{
	size_t at = 64 + i * (CLASS64 ? 56u : 32u);
	unsigned w = CLASS64 ? 8 : 4;

	put(at, type, 4);
	at += w; /* p_flags sits after p_type in ELF64 only */
	put(at, offset, w);
	put(at + w, vaddr, w);
	put(at + 2 * w, paddr, w);
	put(at + 3 * w, filesz, w);
	put(at + 4 * w, memsz, w);
}

/* Two segments at 1 MiB and 3 MiB, linked high. */
static inline void make_elf64(void)
{
	make_ehdr(true, 62, 0xffffffff80100010ull, 2);
	make_phdr(0, 1, CONTENTS, 0xffffffff80100000ull, 0x100000, 0x1000, 0x1800);
	make_phdr(1, 1, CONTENTS + 0x1000, 0xffffffff80300000ull, 0x300000, 0x1000, 0x10000);
}

static inline void make_note(unsigned ph, uint32_t type, const char *name, uint32_t descsz, uint64_t value)
{
	put(0x800, 4, 4);
	put(0x804, descsz, 4);
	put(0x808, type, 4);
	memcpy(file + 0x80c, name, 4);
	put(0x810, value, 8);
	make_phdr(ph, 4, 0x800, 0, 0, 16 + descsz, 16 + descsz);
}

static inline void make_pvh(void)
{
	make_ehdr(true, 62, 0, 2);
	make_phdr(0, 1, CONTENTS, 0xffffffff80100000ull, 0x100000, 0x1000, 0x8000);
	make_note(1, 18, "Xen", 4, 0x100040);
}

/* Runs the tests; what main() returns. */
static inline int run_tests(const char *name, const TTest *const *tests, unsigned n)
{
	Suite *suite = suite_create(name);
	TCase *tc = tcase_create(name);
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	for (unsigned i = 0; i < n; i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}

#endif
