/* SPDX-License-Identifier: MIT */
/*
 * The boot loaders on images made in memory: what lies where, the entry state, and every refusal.
 */
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

static void machine(uint64_t size)
{
	cv_memory_release(&mem);
	ck_assert_int_eq(cv_memory_init(&mem, size, &err), 0);
}

static void setup(void)
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

static void teardown(void)
{
	cv_memory_release(&mem);
}

static void put(size_t at, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		file[at + i] = (uint8_t)(v >> (8 * i));
}

static uint64_t peek(uint64_t gpa, unsigned bytes)
{
	uint8_t b[8] = {0};
	uint64_t v = 0;

	ck_assert_uint_eq(cv_memory_read(&mem, gpa, b, bytes), bytes);
	for (unsigned i = bytes; i--;)
		v = v << 8 | b[i];
	return v;
}

static const char *peek_string(uint64_t gpa)
{
	static char s[256];

	memset(s, 0, sizeof(s));
	cv_memory_read(&mem, gpa, s, sizeof(s) - 1);
	return s;
}

static int load(void)
{
	return cv_boot_load(&images, &fw, &mem, &cpu, &err);
}

static void assert_loads(void)
{
	int rc = load();

	ck_assert_msg(rc == 0, "%d: %s", rc, err.msg);
}

/* Refused as bad input, with one line that has `text` in it and starts with the name of the culprit. */
static void assert_refused(const char *name, const char *text)
{
	ck_assert_int_eq(load(), CV_E_BADINPUT);
	ck_assert_msg(strstr(err.msg, text) != NULL, "'%s' has no '%s'", err.msg, text);
	ck_assert_msg(!strncmp(err.msg, name, strlen(name)), "'%s' does not name %s", err.msg, name);
	ck_assert_ptr_null(strchr(err.msg, '\n'));
	cv_error_clear(&err);
}

static void assert_flat32(void)
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
static uint64_t translate(uint64_t linear)
{
	uint64_t pml4e = peek(cpu.cr3 + 8 * (linear >> 39 & 511), 8), pdpte, pde;

	ck_assert_uint_eq(pml4e & 3, 3);
	pdpte = peek((pml4e & ~0xfffull) + 8 * (linear >> 30 & 511), 8);
	ck_assert_uint_eq(pdpte & 0x83, 3);
	pde = peek((pdpte & ~0xfffull) + 8 * (linear >> 21 & 511), 8);
	ck_assert_uint_eq(pde & 0x83, 0x83);
	return (pde & ~0x1fffffull) | (linear & 0x1fffff);
}

static void assert_long64(void)
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

/* --- bzImage --- */

#define SETUP (2 * 512u)
#define CODE 4096u

static void make_bzimage(void)
{
	file[0x1f1] = 1;
	put(0x1f4, CODE / 16, 4);
	put(0x1fe, 0xaa55, 2);
	put(0x200, 0x6aeb, 2); /* jmp over the header: its end */
	memcpy(file + 0x202, "HdrS", 4);
	put(0x206, 0x20f, 2);
	file[0x211] = 1;
	put(0x214, 0x100000, 4);
	put(0x22c, 0x7fffffff, 4);
	put(0x230, 0x200000, 4);
	file[0x234] = 1;
	put(0x236, 1, 2);
	put(0x238, 2047, 4);
	put(0x248, 0x100, 4);
	put(0x24c, CODE - 0x100, 4);
	put(0x258, 0x1000000, 8);
	put(0x260, 0x400000, 4);
	for (unsigned i = 0; i < CODE; i++)
		file[SETUP + i] = (uint8_t)(i * 7 + 1);
	images.kernel.size = SETUP + CODE;
}

START_TEST(bzimage_64bit_starts_at_its_64bit_entry)
{
	static const uint8_t initrd[5000] = {1, 2, 3};
	uint64_t bp, initrd_at;

	make_bzimage();
	images.initrd = (struct cv_image){.name = "initrd", .data = initrd, .size = sizeof(initrd)};
	ck_assert_int_eq(cv_boot_identify(&images.kernel, &err), CV_BOOT_BZIMAGE);
	assert_loads();
	assert_long64();
	ck_assert_uint_eq(cpu.rip, 0x1000200);
	ck_assert_uint_eq(peek(0x1000000, 8), 0x322b241d160f0801ull);
	ck_assert_uint_eq(peek(0x1000000 + CODE - 1, 1), file[SETUP + CODE - 1]);
	bp = cpu.gpr[CV_RSI];
	ck_assert_uint_lt(bp, 0x9fc00);
	ck_assert_uint_eq(peek(bp + 0x202, 4), 0x53726448);
	ck_assert_uint_eq(peek(bp + 0x210, 1), 0xff);
	ck_assert_uint_eq(peek(bp + 0x211, 1), 0x81);
	ck_assert_uint_eq(peek(bp + 0x070, 8), 0xe0000);
	ck_assert_uint_eq(peek(bp + 0x214, 4), 0x1000000);
	ck_assert_uint_eq(peek(bp + 0x1ef, 1), 0); /* sentinel */
	ck_assert_uint_eq(peek(bp + 0x07, 1), 80);
	ck_assert_uint_eq(peek(bp + 0x0e, 2), 0x0119);
	ck_assert_str_eq(peek_string(peek(bp + 0x228, 4)), "a=1 b");
	/* The initrd: as high as may be. */
	initrd_at = peek(bp + 0x218, 4);
	ck_assert_uint_eq(initrd_at, 32 * MIB - 0x2000);
	ck_assert_uint_eq(peek(bp + 0x21c, 4), sizeof(initrd));
	ck_assert_uint_eq(peek(initrd_at, 4), 0x030201);
}
END_TEST

START_TEST(bzimage_memory_map_tells_ram_and_tables)
{
	static const uint64_t want[][3] = {
		{0, 0x9fc00, 1},	{0x9fc00, 0x400, 2},	     {0xe0000, 0x20000, 2},
		{MIB, TABLES - MIB, 1}, {TABLES, TABLES_LEN, 3}, {TABLES + TABLES_LEN, MIB - TABLES_LEN, 1},
	};
	uint64_t bp;

	make_bzimage();
	assert_loads();
	bp = cpu.gpr[CV_RSI];
	ck_assert_uint_eq(peek(bp + 0x1e8, 1), 6);
	for (unsigned i = 0; i < 6; i++) {
		ck_assert_uint_eq(peek(bp + 0x2d0 + 20 * i, 8), want[i][0]);
		ck_assert_uint_eq(peek(bp + 0x2d0 + 20 * i + 8, 8), want[i][1]);
		ck_assert_uint_eq(peek(bp + 0x2d0 + 20 * i + 16, 4), want[i][2]);
	}
	ck_assert_uint_eq(peek(bp + 0x1e0, 4), (TABLES - MIB) / 1024);
	ck_assert_uint_eq(peek(0x40e, 2), 0x9fc0);
	ck_assert_uint_eq(peek(0x413, 2), 639);
}
END_TEST

START_TEST(bzimage_more_than_3_gib_uses_both_parts)
{
	static const uint8_t initrd[5000] = {1, 2, 3};
	uint64_t bp;

	machine(4096 * MIB);
	fw.tables_base = 0xc0000000 - 0x10000;
	make_bzimage();
	images.initrd = (struct cv_image){.name = "initrd", .data = initrd, .size = sizeof(initrd)};
	assert_loads();
	bp = cpu.gpr[CV_RSI];
	ck_assert_uint_eq(peek(bp + 0x1e8, 1), 7);
	ck_assert_uint_eq(peek(bp + 0x2d0 + 20 * 6, 8), 0x100000000ull);
	ck_assert_uint_eq(peek(bp + 0x2d0 + 20 * 6 + 8, 8), 1024 * MIB);
	ck_assert_uint_eq(peek(bp + 0x218, 4), 0x80000000ull - 0x2000); /* initrd_addr_max */
}
END_TEST

START_TEST(bzimage_32bit_starts_at_its_start)
{
	make_bzimage();
	put(0x236, 0, 2);
	assert_loads();
	assert_flat32();
	ck_assert_uint_eq(cpu.rip, 0x1000000);
	ck_assert_uint_eq(cpu.gpr[CV_RBP] | cpu.gpr[CV_RDI] | cpu.gpr[CV_RBX], 0);
}
END_TEST

START_TEST(bzimage_old_protocol_loads_at_1_mib)
{
	make_bzimage();
	put(0x206, 0x206, 2);
	assert_loads();
	ck_assert_uint_eq(cpu.rip, 0x100000);
	ck_assert_uint_eq(peek(cpu.gpr[CV_RSI] + 0x070, 8), 0); /* no such field yet */
}
END_TEST

START_TEST(bzimage_header_fields_refused)
{
	make_bzimage();
	put(0x206, 0x205, 2);
	assert_refused("dir/kernel.img", "older than 2.06");
	make_bzimage();
	file[0x211] = 0;
	assert_refused("dir/kernel.img", "zImage");
	make_bzimage();
	file[0x1f1] = 255;
	assert_refused("dir/kernel.img", "setup code takes the whole file");
	make_bzimage();
	put(0x258, 0x1000, 8);
	assert_refused("dir/kernel.img", "makes no sense");
	make_bzimage();
	put(0x258, UINT64_MAX - 0xfff, 8);
	assert_refused("dir/kernel.img", "needs at least");
}
END_TEST

START_TEST(bzimage_truncated_refused)
{
	make_bzimage();
	images.kernel.size = 0x210;
	assert_refused("dir/kernel.img", "truncated");
	images.kernel.size = SETUP;
	assert_refused("dir/kernel.img", "truncated");
	images.kernel.size = SETUP + CODE - 16;
	assert_refused("dir/kernel.img", "truncated: 4096 bytes of kernel expected, 4080 found");
	put(0x1f4, 0x10, 4);
	assert_refused("dir/kernel.img", "compressed kernel ends after");
	put(0x24c, 0xffffffff, 4);
	assert_refused("dir/kernel.img", "compressed kernel ends after");
	put(0x248, 0, 8);
	images.kernel.size = SETUP + 0x200;
	assert_refused("dir/kernel.img", "64-bit entry");
}
END_TEST

START_TEST(bzimage_long_command_line_refused)
{
	char line[2050];

	memset(line, 'x', sizeof(line));
	line[2047] = 0;
	images.cmdline = line;
	make_bzimage();
	assert_loads();
	line[2047] = 'x';
	line[2048] = 0;
	assert_refused("dir/kernel.img", "command line of 2048 bytes is too long: this kernel takes 2047");
}
END_TEST

START_TEST(bzimage_small_memory_refused)
{
	uint8_t *initrd = calloc(1, 16 * MIB);

	make_bzimage();
	images.initrd = (struct cv_image){.name = "big-initrd", .data = initrd, .size = 16 * MIB};
	assert_refused("big-initrd", "no room in 32 MiB of memory for the initrd (16384 KiB)");
	images.initrd.size = 15 * MIB - SETUP; /* there is as much below the kernel */
	assert_loads();
	images.initrd.size = 0;
	machine(17 * MIB);
	fw.tables_len = 0;
	assert_refused("dir/kernel.img", "needs at least 22 MiB of memory below 3 GiB; the machine has 17 MiB");
	free(initrd);
}
END_TEST

START_TEST(bzimage_over_the_tables_refused)
{
	make_bzimage();
	fw.tables_base = 0x1200000;
	assert_refused("dir/kernel.img", "overlaps the firmware tables");
}
END_TEST

START_TEST(bzimage_with_modules_refused)
{
	make_bzimage();
	images.modules[0] = (struct cv_image){.name = "m", .data = file, .size = 1};
	images.nmodules = 1;
	assert_refused("dir/kernel.img", "no modules");
}
END_TEST

/* --- ELF --- */

#define CLASS64 (file[4] == 2)
#define CONTENTS 0x1000u /* file offset of the first segment */

static void make_ehdr(bool is64, unsigned machine_id, uint64_t entry, unsigned phnum)
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

static void make_phdr(unsigned i, uint32_t type, uint64_t offset, uint64_t vaddr, uint64_t paddr, uint64_t filesz,
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
static void make_elf64(void)
{
	make_ehdr(true, 62, 0xffffffff80100010ull, 2);
	make_phdr(0, 1, CONTENTS, 0xffffffff80100000ull, 0x100000, 0x1000, 0x1800);
	make_phdr(1, 1, CONTENTS + 0x1000, 0xffffffff80300000ull, 0x300000, 0x1000, 0x10000);
}

static void make_note(unsigned ph, uint32_t type, const char *name, uint32_t descsz, uint64_t value)
{
	put(0x800, 4, 4);
	put(0x804, descsz, 4);
	put(0x808, type, 4);
	memcpy(file + 0x80c, name, 4);
	put(0x810, value, 8);
	make_phdr(ph, 4, 0x800, 0, 0, 16 + descsz, 16 + descsz);
}

static void make_pvh(void)
{
	make_ehdr(true, 62, 0, 2);
	make_phdr(0, 1, CONTENTS, 0xffffffff80100000ull, 0x100000, 0x1000, 0x8000);
	make_note(1, 18, "Xen", 4, 0x100040);
}

START_TEST(elf64_without_note_starts_in_64bit_mode)
{
	uint64_t info, sp;

	make_elf64();
	ck_assert_int_eq(cv_boot_identify(&images.kernel, &err), CV_BOOT_ELF64);
	assert_loads();
	assert_long64();
	ck_assert_uint_eq(cpu.rip, 0x100010);
	ck_assert_uint_eq(peek(0x100000, 4), 0x0e0b0805);
	ck_assert_uint_eq(peek(0x300000, 1), file[CONTENTS + 0x1000]);
	info = cpu.gpr[CV_RDI];
	ck_assert_uint_eq(peek(info, 4), 0x336ec578);
	ck_assert_uint_eq(peek(info + 4, 4), 1);
	sp = cpu.gpr[CV_RSP];
	ck_assert_uint_eq((sp + 8) % 16, 0);
	ck_assert_uint_lt(sp, 0xa0000);
	ck_assert_uint_eq(peek(sp, 8), 0);
}
END_TEST

START_TEST(elf64_physical_entry_is_taken_as_it_is)
{
	make_elf64();
	put(24, 0x300004, 8);
	assert_loads();
	ck_assert_uint_eq(cpu.rip, 0x300004);
}
END_TEST

START_TEST(elf_bad_headers_refused)
{
	static const struct {
		size_t at;
		uint64_t value;
		unsigned len;
		const char *why;
	} bad[] = {
		{4, 3, 1, "not a little-endian"},
		{5, 2, 1, "not a little-endian"},
		{16, 1, 2, "not executable"},
		{18, 183, 2, "another machine (e_machine 183)"},
		{18, 3, 2, "another machine"},
		{24, 0x90000000, 8, "entry point 0x90000000 lies in no segment"},
		{32, 0x10000, 8, "program headers end after the file"},
		{32, UINT64_MAX - 8, 8, "program headers end after the file"},
		{54, 32, 2, "program headers of 32 bytes"},
		{56, 0, 2, "without program headers"},
		{56, 0xffff, 2, "program headers end after the file"},
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		make_elf64();
		put(bad[i].at, bad[i].value, bad[i].len);
		assert_refused("dir/kernel.img", bad[i].why);
	}
	make_elf64();
	images.kernel.size = 51;
	assert_refused("dir/kernel.img", "no whole ELF header");
	images.kernel.size = 60;
	assert_refused("dir/kernel.img", "no whole ELF header");
	make_ehdr(false, 3, 0x100000, 1);
	make_phdr(0, 1, CONTENTS, 0x100000, 0x100000, 0x1000, 0x1000);
	assert_refused("dir/kernel.img", "32-bit ELF needs a Multiboot header");
}
END_TEST

START_TEST(elf_bad_segments_refused)
{
	make_elf64();
	make_phdr(0, 1, CONTENTS, 0x100000, 0x100000, 0x1000, 0xfff);
	assert_refused("dir/kernel.img", "segment 0 is larger in the file");
	make_phdr(0, 1, UINT64_MAX - 4, 0x100000, 0x100000, 0x1000, 0x1000);
	assert_refused("dir/kernel.img", "segment 0 ends after the file");
	make_phdr(0, 1, CONTENTS, 0x100000, 0x100000, 0x2001, 0x3000);
	assert_refused("dir/kernel.img", "segment 0 ends after the file");
	make_phdr(0, 1, CONTENTS, 0x100000, 0x2ff000, 0x1000, 0x1001);
	assert_refused("dir/kernel.img", "overlaps a kernel segment at 0x2ff000-0x300000");
	make_phdr(0, 1, CONTENTS, 0x100000, 0x9f000, 0x1000, 0x1000);
	assert_refused("dir/kernel.img", "overlaps the BIOS area");
	make_phdr(0, 1, CONTENTS, 0x100000, 0xfff, 0x10, 0x10);
	assert_refused("dir/kernel.img", "overlaps the BIOS data area");
	make_phdr(0, 1, CONTENTS, 0x100000, TABLES + 0x2fff, 0x10, 0x10);
	assert_refused("dir/kernel.img", "overlaps the firmware tables");
	make_phdr(0, 1, CONTENTS, 0x100000, 0x1fff000, 0x1000, 0x1001);
	assert_refused("dir/kernel.img", "does not fit in 32 MiB");
	make_phdr(0, 1, CONTENTS, 0x100000, UINT64_MAX - 0xfff, 0x1000, 0x2000);
	assert_refused("dir/kernel.img", "does not fit in 32 MiB");
	make_phdr(0, 1, CONTENTS, 0x100000, 0x100000, 0x1000, UINT64_MAX);
	assert_refused("dir/kernel.img", "does not fit in 32 MiB");
	make_phdr(0, 0, 0, 0, 0, 0, 0);
	make_phdr(1, 0, 0, 0, 0, 0, 0);
	assert_refused("dir/kernel.img", "nothing to load");
}
END_TEST

START_TEST(elf_too_many_segments_refused)
{
	make_ehdr(true, 62, 0x100000, 200);
	images.kernel.size = 0x8000;
	for (unsigned i = 0; i < 200; i++)
		make_phdr(i, 1, 0x4000, 0x100000 + i * 0x1000ull, 0x100000 + i * 0x1000ull, 16, 16);
	assert_refused("dir/kernel.img", "too many parts");
}
END_TEST

START_TEST(pvh_note_starts_in_protected_mode_with_start_info)
{
	static const uint8_t initrd[100] = {9}, module[5000] = {8};
	uint64_t info, list, map;

	make_pvh();
	images.initrd = (struct cv_image){.name = "i", .data = initrd, .size = sizeof(initrd)};
	images.modules[0] = (struct cv_image){.name = "m", .data = module, .size = sizeof(module), .args = "x y"};
	images.nmodules = 1;
	ck_assert_int_eq(cv_boot_identify(&images.kernel, &err), CV_BOOT_PVH);
	assert_loads();
	assert_flat32();
	ck_assert_uint_eq(cpu.rip, 0x100040);
	info = cpu.gpr[CV_RBX];
	ck_assert_uint_eq(peek(info, 4), 0x336ec578);
	ck_assert_uint_eq(peek(info + 4, 4), 1);
	ck_assert_uint_eq(peek(info + 12, 4), 2);
	ck_assert_str_eq(peek_string(peek(info + 24, 8)), "a=1 b");
	ck_assert_uint_eq(peek(info + 32, 8), 0xe0000);
	list = peek(info + 16, 8);
	ck_assert_uint_eq(peek(peek(list, 8), 1), 9);
	ck_assert_uint_eq(peek(list + 8, 8), sizeof(initrd));
	ck_assert_uint_eq(peek(list + 16, 8), 0);
	ck_assert_uint_eq(peek(peek(list + 32, 8), 1), 8);
	ck_assert_uint_eq(peek(list + 40, 8), sizeof(module));
	ck_assert_str_eq(peek_string(peek(list + 48, 8)), "x y");
	map = peek(info + 40, 8);
	ck_assert_uint_eq(peek(info + 48, 4), 6);
	ck_assert_uint_eq(peek(map + 24 * 4, 8), TABLES);
	ck_assert_uint_eq(peek(map + 24 * 4 + 16, 8), 3);
}
END_TEST

START_TEST(pvh_8_byte_note_is_taken)
{
	make_pvh();
	make_note(1, 18, "Xen", 8, 0x100044);
	assert_loads();
	ck_assert_uint_eq(cpu.rip, 0x100044);
}
END_TEST

START_TEST(pvh_other_notes_are_no_entry)
{
	make_pvh();
	put(24, 0x100000, 8);
	make_note(1, 18, "GNU", 4, 0x100040);
	ck_assert_int_eq(cv_boot_identify(&images.kernel, &err), CV_BOOT_ELF64);
	make_note(1, 17, "Xen", 4, 0x100040);
	ck_assert_int_eq(cv_boot_identify(&images.kernel, &err), CV_BOOT_ELF64);
	make_note(1, 18, "Xen", 0xfffffff0, 0x100040);
	ck_assert_int_eq(cv_boot_identify(&images.kernel, &err), CV_BOOT_ELF64);
	make_note(1, 18, "Xen", 4, 0x100040);
	make_phdr(1, 4, 0x10000000, 0, 0, 20, 20);
	ck_assert_int_eq(cv_boot_identify(&images.kernel, &err), CV_BOOT_ELF64);
}
END_TEST

START_TEST(pvh_entry_outside_refused)
{
	make_pvh();
	make_note(1, 18, "Xen", 4, 0x108000);
	assert_refused("dir/kernel.img", "PVH entry point 0x108000 lies in no segment");
}
END_TEST

START_TEST(pvh_long_command_line_refused)
{
	char line[4098];

	memset(line, 'x', sizeof(line));
	line[4096] = 0;
	images.cmdline = line;
	make_pvh();
	assert_refused("dir/kernel.img", "the command line is longer than 4095 bytes");
	line[4095] = 0;
	assert_loads();
}
END_TEST

START_TEST(pvh_modules_that_do_not_fit_refused)
{
	uint8_t *big = calloc(1, 32 * MIB);

	make_pvh();
	images.modules[0] = (struct cv_image){.name = "mod", .data = big, .size = 32 * MIB};
	images.nmodules = 1;
	assert_refused("mod", "no room in 32 MiB");
	images.modules[0].size = 0;
	assert_refused("mod", "empty file");
	free(big);
}
END_TEST

/* --- Multiboot --- */

static void make_header(size_t at, uint32_t flags)
{
	put(at, 0x1badb002, 4);
	put(at + 4, flags, 4);
	put(at + 8, 0u - 0x1badb002u - flags, 4);
}

static void make_addresses(size_t at, uint32_t header, uint32_t start, uint32_t end, uint32_t bss, uint32_t entry)
{
	put(at + 12, header, 4);
	put(at + 16, start, 4);
	put(at + 20, end, 4);
	put(at + 24, bss, 4);
	put(at + 28, entry, 4);
}

static void make_elf32(void)
{
	make_ehdr(false, 3, 0x100020, 1);
	make_phdr(0, 1, CONTENTS, 0x100000, 0x100000, 0x1000, 0x3000);
	make_header(CONTENTS, 3);
}

static void make_flat(void)
{
	memset(file, 0x90, 0x3000);
	images.kernel.size = 0x3000;
	make_header(0x100, 0x10003);
	make_addresses(0x100, 0x100100, 0x100080, 0x102000, 0x104000, 0x100200);
}

START_TEST(multiboot_elf32_gets_its_information)
{
	static const uint8_t initrd[100] = {9}, module[5000] = {8};
	uint64_t info, mods, mmap;

	make_elf32();
	images.initrd = (struct cv_image){.name = "/boot/i.gz", .data = initrd, .size = sizeof(initrd)};
	images.modules[0] = (struct cv_image){.name = "m", .data = module, .size = sizeof(module), .args = "x y"};
	images.nmodules = 1;
	ck_assert_int_eq(cv_boot_identify(&images.kernel, &err), CV_BOOT_MULTIBOOT);
	assert_loads();
	assert_flat32();
	ck_assert_uint_eq(cpu.rip, 0x100020);
	ck_assert_uint_eq(cpu.gpr[CV_RAX], 0x2badb002);
	info = cpu.gpr[CV_RBX];
	ck_assert_uint_lt(info, 0x9fc00);
	ck_assert_uint_eq(peek(info, 4), 1 | 4 | 8 | 0x40 | 0x200);
	ck_assert_uint_eq(peek(info + 4, 4), 639);
	ck_assert_uint_eq(peek(info + 8, 4), (TABLES - MIB) / 1024);
	ck_assert_str_eq(peek_string(peek(info + 16, 4)), "kernel.img a=1 b");
	ck_assert_str_eq(peek_string(peek(info + 64, 4)), "chronovisor");
	ck_assert_uint_eq(peek(info + 20, 4), 2);
	mods = peek(info + 24, 4);
	ck_assert_uint_eq(peek(mods, 4), 0x103000); /* right after the kernel */
	ck_assert_uint_eq(peek(mods + 4, 4), 0x103000 + sizeof(initrd));
	ck_assert_str_eq(peek_string(peek(mods + 8, 4)), "i.gz");
	ck_assert_uint_eq(peek(mods + 16, 4), 0x104000);
	ck_assert_uint_eq(peek(0x104000, 1), 8);
	ck_assert_str_eq(peek_string(peek(mods + 24, 4)), "m x y");
	ck_assert_uint_eq(peek(info + 44, 4), 6 * 24);
	mmap = peek(info + 48, 4);
	ck_assert_uint_eq(peek(mmap, 4), 20);
	ck_assert_uint_eq(peek(mmap + 12, 8), 0x9fc00);
	ck_assert_uint_eq(peek(mmap + 24 * 4 + 4, 8), TABLES);
	ck_assert_uint_eq(peek(mmap + 24 * 4 + 20, 4), 3);
}
END_TEST

START_TEST(multiboot_elf64_is_entered_in_32bit_mode)
{
	make_elf64();
	make_header(CONTENTS + 0x20, 0);
	ck_assert_int_eq(cv_boot_identify(&images.kernel, &err), CV_BOOT_MULTIBOOT);
	images.cmdline = "";
	assert_loads();
	assert_flat32();
	ck_assert_uint_eq(cpu.rip, 0x100010);
	ck_assert_str_eq(peek_string(peek(cpu.gpr[CV_RBX] + 16, 4)), "kernel.img");
}
END_TEST

START_TEST(multiboot_symbols_are_loaded_after_the_kernel)
{
	uint64_t info, sh;

	make_elf32();
	put(32, 0x400, 4);
	put(46, 40, 2);
	put(48, 3, 2);
	put(50, 2, 2);
	put(0x400 + 40 + 4, 1, 4); /* 1: loaded with the kernel */
	put(0x400 + 40 + 12, 0x100000, 4);
	put(0x400 + 40 + 16, CONTENTS, 8);
	put(0x400 + 80 + 4, 3, 4); /* 2: a string table */
	put(0x400 + 80 + 16, 0x500, 4);
	put(0x400 + 80 + 20, 5, 4);
	memcpy(file + 0x500, "names", 5);
	assert_loads();
	info = cpu.gpr[CV_RBX];
	ck_assert_uint_eq(peek(info, 4) & 0x20, 0x20);
	ck_assert_uint_eq(peek(info + 28, 4), 3);
	ck_assert_uint_eq(peek(info + 32, 4), 40);
	ck_assert_uint_eq(peek(info + 40, 4), 2);
	sh = peek(info + 36, 4);
	ck_assert_uint_eq(peek(sh + 40 + 12, 4), 0x100000);
	ck_assert_uint_eq(peek(sh + 80 + 12, 4), 0x103000);
	ck_assert_str_eq(peek_string(0x103000), "names");
	/* Section headers that lie outside of the file: no symbols, but the kernel boots. */
	put(32, 0xfffffff0, 4);
	assert_loads();
	ck_assert_uint_eq(peek(cpu.gpr[CV_RBX], 4) & 0x20, 0);
}
END_TEST

START_TEST(multiboot_addresses_rule_where_the_bytes_go)
{
	make_flat();
	ck_assert_int_eq(cv_boot_identify(&images.kernel, &err), CV_BOOT_MULTIBOOT);
	assert_loads();
	assert_flat32();
	ck_assert_uint_eq(cpu.rip, 0x100200);
	ck_assert_uint_eq(peek(0x100100, 4), 0x1badb002);
	ck_assert_uint_eq(peek(0x10007f, 2), 0x9000);
	ck_assert_uint_eq(peek(0x101fff, 2), 0x0090);
}
END_TEST

START_TEST(multiboot_load_end_0_means_the_whole_file)
{
	make_flat();
	make_addresses(0x100, 0x100100, 0x100000, 0, 0, 0x102fff);
	assert_loads();
	ck_assert_uint_eq(peek(0x102fff, 2), 0x0090);
}
END_TEST

START_TEST(multiboot_bad_addresses_refused)
{
	static const struct {
		uint32_t a[5];
		const char *why;
	} bad[] = {
		{{0x100100, 0x100101, 0, 0, 0x100200}, "contradict"},
		{{0x100100, 0x0ffff0, 0, 0, 0x100200}, "contradict"},
		{{0x100100, 0x100000, 0x0fffff, 0, 0x100200}, "promises more"},
		{{0x100100, 0x100000, 0x103001, 0, 0x100200}, "promises more"},
		{{0x100100, 0x100000, 0x102000, 0x101fff, 0x100200}, "before the data"},
		{{0x100100, 0x100000, 0x102000, 0x104000, 0x0fffff}, "entry point"},
		{{0x100100, 0x100000, 0x102000, 0x104000, 0x104000}, "entry point"},
		{{0x1100, 0x1000, 0x3000, 0xa0000, 0x1200}, "overlaps the BIOS area"},
		{{0xf0000100, 0xf0000000, 0, 0, 0xf0000200}, "does not fit"},
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		make_flat();
		make_addresses(0x100, bad[i].a[0], bad[i].a[1], bad[i].a[2], bad[i].a[3], bad[i].a[4]);
		assert_refused("dir/kernel.img", bad[i].why);
	}
	make_flat();
	images.kernel.size = 0x100 + 31;
	assert_refused("dir/kernel.img", "truncated");
}
END_TEST

START_TEST(multiboot_required_flags_are_checked)
{
	make_flat();
	make_header(0x100, 0x10008);
	assert_refused("dir/kernel.img", "features that nobody knows (flags 0x10008)");
	make_header(0x100, 0x10007); /* asks for graphics: gets none */
	assert_loads();
	ck_assert_uint_eq(peek(cpu.gpr[CV_RBX], 4) & 0x1800, 0);
	make_header(0x100, 0xfff30003); /* the upper half is optional */
	assert_loads();
	make_header(0x100, 3);
	assert_refused("dir/kernel.img", "no ELF file");
}
END_TEST

START_TEST(multiboot_header_is_found_where_it_may_be)
{
	make_flat();
	memset(file, 0, 0x3000);
	make_header(8192 - 12, 3);
	ck_assert_int_eq(cv_boot_identify(&images.kernel, &err), CV_BOOT_MULTIBOOT);
	put(8192 - 4, 0, 4); /* checksum */
	assert_refused("dir/kernel.img", "not a kernel that can be booted");
	make_header(8192 - 8, 3);
	assert_refused("dir/kernel.img", "not a kernel that can be booted");
	memset(file, 0, 0x3000);
	make_header(0x102, 3);
	assert_refused("dir/kernel.img", "not a kernel that can be booted");
}
END_TEST

START_TEST(multiboot_low_kernel_keeps_its_memory)
{
	uint64_t info;

	make_flat();
	make_addresses(0x100, 0x1100, 0x1000, 0, 0x9000, 0x1200);
	assert_loads();
	info = cpu.gpr[CV_RBX];
	ck_assert_uint_ge(info, 0x9000);
	ck_assert_uint_ge(cpu.gdtr.base, 0x9000);
	ck_assert_uint_ge(peek(info + 48, 4), 0x9000);
	for (unsigned i = 0; i < 0x3000; i++)
		ck_assert_uint_eq(peek(0x1000 + i, 1), file[i]);
	for (unsigned i = 0x4000; i < 0x9000; i++)
		ck_assert_uint_eq(peek(i, 1), 0);
}
END_TEST

/* --- Others --- */

START_TEST(identify_other_files_refused)
{
	images.kernel.size = 0;
	assert_refused("dir/kernel.img", "empty file");
	images.kernel.size = 4096;
	assert_refused("dir/kernel.img", "not a kernel that can be booted");
	images.kernel.size = 1;
	assert_refused("dir/kernel.img", "not a kernel that can be booted");
	memcpy(file, "\037\213\010", 3);
	images.kernel.size = 4096;
	assert_refused("dir/kernel.img", "gzip-compressed");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		bzimage_64bit_starts_at_its_64bit_entry,
		bzimage_memory_map_tells_ram_and_tables,
		bzimage_more_than_3_gib_uses_both_parts,
		bzimage_32bit_starts_at_its_start,
		bzimage_old_protocol_loads_at_1_mib,
		bzimage_header_fields_refused,
		bzimage_truncated_refused,
		bzimage_long_command_line_refused,
		bzimage_small_memory_refused,
		bzimage_over_the_tables_refused,
		bzimage_with_modules_refused,
		elf64_without_note_starts_in_64bit_mode,
		elf64_physical_entry_is_taken_as_it_is,
		elf_bad_headers_refused,
		elf_bad_segments_refused,
		elf_too_many_segments_refused,
		pvh_note_starts_in_protected_mode_with_start_info,
		pvh_8_byte_note_is_taken,
		pvh_other_notes_are_no_entry,
		pvh_entry_outside_refused,
		pvh_long_command_line_refused,
		pvh_modules_that_do_not_fit_refused,
		multiboot_elf32_gets_its_information,
		multiboot_elf64_is_entered_in_32bit_mode,
		multiboot_symbols_are_loaded_after_the_kernel,
		multiboot_addresses_rule_where_the_bytes_go,
		multiboot_load_end_0_means_the_whole_file,
		multiboot_bad_addresses_refused,
		multiboot_required_flags_are_checked,
		multiboot_header_is_found_where_it_may_be,
		multiboot_low_kernel_keeps_its_memory,
		identify_other_files_refused,
	};
	Suite *suite = suite_create("boot");
	TCase *tc = tcase_create("boot");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
