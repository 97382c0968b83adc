/* SPDX-License-Identifier: MIT */
/*
 * Fuzzing the boot loaders: the input is a kernel image; it is loaded into 32 MiB with an initrd, and with a module unless
 * it is a bzImage. What must hold: no crash, an error with a message or an entry state within the first 4 GiB, and the
 * firmware tables untouched.
 *
 * Built with -fsanitize=fuzzer (and -DCV_LIBFUZZER) it is a libFuzzer target; otherwise main() runs the files given, or
 * without any the kept corpus under $srcdir.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm-core/boot/boot.h"

#define CORPUS "boot"
#include "tests/fuzz/corpus.h"

#define RAM_SIZE (32ull << 20)
#define TABLES_BASE 0x1e00000u
#define TABLES_LEN 8192u

static void check(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_boot: %s\n", what);
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t initrd[3000] = {1};
	struct cv_boot_images images = {
		.kernel = {.name = "kernel", .data = data, .size = size},
		.initrd = {.name = "initrd", .data = initrd, .size = sizeof(initrd)},
		.cmdline = "console=ttyS0",
	};
	struct cv_boot_firmware fw = {.rsdp = 0xe0000, .tables_base = TABLES_BASE, .tables_len = TABLES_LEN};
	uint8_t tables[TABLES_LEN], after[TABLES_LEN];
	struct cv_vcpu_state cpu;
	struct cv_memory mem;
	struct cv_error err;
	int rc;

	cv_error_clear(&err);
	check(cv_memory_init(&mem, RAM_SIZE, &err) == 0, "no memory");
	memset(tables, 0x5a, sizeof(tables));
	check(cv_memory_write(&mem, TABLES_BASE, tables, TABLES_LEN) == TABLES_LEN, "no room for the tables");
	cv_vcpu_reset(&cpu);
	rc = cv_boot_identify(&images.kernel, &err);
	check(rc > 0 || (rc == CV_E_BADINPUT && err.msg[0]), "identify without a result");
	if (rc > 0 && rc != CV_BOOT_BZIMAGE) {
		images.modules[0] = images.initrd;
		images.modules[0].args = "arguments";
		images.nmodules = 1;
	}
	cv_error_clear(&err);
	rc = cv_boot_load(&images, &fw, &mem, &cpu, &err);
	check(rc == 0 || (rc == CV_E_BADINPUT && err.msg[0] && !strchr(err.msg, '\n')), "load without a result");
	check(rc || (cpu.rip < RAM_SIZE && (cpu.cr0 & CV_CR0_PE)), "impossible entry state");
	check(cv_memory_read(&mem, TABLES_BASE, after, TABLES_LEN) == TABLES_LEN &&
	      !memcmp(tables, after, TABLES_LEN), "the firmware tables were overwritten");
	cv_memory_release(&mem);
	return 0;
}
