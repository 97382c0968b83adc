/* SPDX-License-Identifier: MIT */
/*
 * Fuzzing the search for Linux's symbol table: the input is a kernel image. What must hold: no crash; on success every
 * name is a string within the names, and the addresses are sorted.
 */
#include "gdbstub/linux_kallsyms.h"
#include "vmm-core/error.h"

#define CORPUS "kallsyms"
#include "tests/fuzz/corpus.h"

static void check(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_kallsyms: %s\n", what);
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1); /* exactly as long: a sanitizer sees a read past the end */
	struct cv_kallsyms k;
	size_t used = 0;
	int r;

	if (!copy)
		abort();
	memcpy(copy, data, size);
	r = cv_kallsyms_find(&k, copy, size, 0xffffffff92e00000ull);
	check(r == 0 || (r == CV_E_BADINPUT && !k.list && !k.names && !k.n), "an error with a result");
	for (size_t i = 0; !r && i < k.n; i++) {
		check(k.list[i].name == used, "a name that does not follow the last");
		used += strlen(k.names + k.list[i].name) + 1;
		check(!i || k.list[i].addr >= k.list[i - 1].addr, "addresses are not sorted");
	}
	cv_kallsyms_release(&k);
	free(copy);
	return 0;
}
