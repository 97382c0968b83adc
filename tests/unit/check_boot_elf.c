/* SPDX-License-Identifier: MIT */
/* Boot: ELF64 kernels, with and without a PVH note. */
#include "tests/unit/boot_fixture.h"

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

int main(void)
{
	const TTest *const tests[] = {
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
	};

	return run_tests("boot-elf", tests, sizeof(tests) / sizeof(tests[0]));
}
