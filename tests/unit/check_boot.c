/* SPDX-License-Identifier: MIT */
/* Boot: what images are, and Linux bzImages. */
#include "tests/unit/boot_fixture.h"

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
		identify_other_files_refused,
	};

	return run_tests("boot", tests, sizeof(tests) / sizeof(tests[0]));
}
