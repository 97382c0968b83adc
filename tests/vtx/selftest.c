/* SPDX-License-Identifier: MIT */
/* The counter's self-test on /dev/chronovisor-vtx: says what it saw, exits with 0 where the counter can be trusted. */
#include <stdio.h>

#include "vmm-core/vtx/vtx.h"

int main(void)
{
	struct cv_error err = {0};
	char text[512];

	if (cv_vtx_selftest(text, sizeof(text), &err)) {
		printf("counter self-test: %s\n", err.msg);
		return 1;
	}
	printf("counter self-test passed: %s\n", text);
	return 0;
}
