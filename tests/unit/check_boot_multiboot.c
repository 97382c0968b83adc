/* SPDX-License-Identifier: MIT */
/* Boot: Multiboot 1 kernels. */
#include "tests/unit/boot_fixture.h"

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

int main(void)
{
	const TTest *const tests[] = {
		multiboot_elf32_gets_its_information,
		multiboot_elf64_is_entered_in_32bit_mode,
		multiboot_symbols_are_loaded_after_the_kernel,
		multiboot_addresses_rule_where_the_bytes_go,
		multiboot_load_end_0_means_the_whole_file,
		multiboot_bad_addresses_refused,
		multiboot_required_flags_are_checked,
		multiboot_header_is_found_where_it_may_be,
		multiboot_low_kernel_keeps_its_memory,
	};

	return run_tests("boot-multiboot", tests, sizeof(tests) / sizeof(tests[0]));
}
