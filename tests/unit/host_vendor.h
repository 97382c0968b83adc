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
#include <stdlib.h>
#include <string.h>

static inline bool host_is_intel(void)
{
	const char *told = getenv("CV_TEST_VENDOR");
	unsigned a, b, c, d;

	if (told)
		return !strcmp(told, "intel");
	return __get_cpuid(0, &a, &b, &c, &d) && b == signature_INTEL_ebx && d == signature_INTEL_edx && c == signature_INTEL_ecx;
}

#endif
