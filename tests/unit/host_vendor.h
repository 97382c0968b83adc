/* SPDX-License-Identifier: MIT */
/*
 * Whose processor is the host's? The software CPU does what Intel's processors do where the manuals leave a result or a flag
 * undefined, so tests that compare the two compare that on Intel's hosts alone. CV_TEST_VENDOR=other takes any host for
 * another maker's; CV_TEST_VENDOR=intel for Intel's.
 */
#ifndef HOST_VENDOR_H
#define HOST_VENDOR_H

#include <cpuid.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline bool host_is_intel(void)
{
	const char *told = getenv("CV_TEST_VENDOR");
	unsigned a = 0, b = 0, c = 0, d = 0;

	if (told)
		return !strcmp(told, "intel");
	return __get_cpuid(0, &a, &b, &c, &d) && b == signature_INTEL_ebx && d == signature_INTEL_edx && c == signature_INTEL_ecx;
}

/*
 * Do DIV and IDIV leave the flags alone? Undefined: Intel's processors from Ice Lake on leave them, and so does the engine; older
 * ones don't.
 */
static inline bool host_div_keeps_flags(void)
{
	static const uint32_t dividends[] = {7, 0, 0xffffffff, 0x80000000};
	uint64_t kept = 1;

	for (unsigned k = 0; k < 8; k++) {
		uint64_t flags = k & 1 ? 0xad7 : 0x202, a = dividends[k / 2], d = 0; /* all of CF PF AF ZF SF OF, or none */

		__asm__ volatile("lea -128(%%rsp), %%rsp; push %0; popfq; div %k3; pushfq; pop %0; lea 128(%%rsp), %%rsp"
				 : "+r"(flags), "+a"(a), "+d"(d)
				 : "r"(3ull)
				 : "cc", "memory");
		kept &= (flags & 0x8d5) == (k & 1 ? 0x8d5u : 0);
	}
	return kept;
}

#endif
