/* SPDX-License-Identifier: MIT */
/* abi [NAME]: the module's tests, or those whose name contains NAME. */
#include <stdio.h>

#include "tests.h"

int main(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : NULL;
	int failures = 0;
	failures += run_tests(refusal_tests, nrefusal_tests, only);
	failures += run_tests(exit_tests, nexit_tests, only);
	failures += run_tests(count_tests, ncount_tests, only);
	failures += run_tests(event_tests, nevent_tests, only);
	failures += run_tests(memory_tests, nmemory_tests, only);
	printf("abi: %d failed\n", failures);
	return failures != 0;
}
