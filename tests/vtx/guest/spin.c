/* SPDX-License-Identifier: MIT */
/*
 * spin: a guest that loops for ever, until something kills this process. Says "spinning" when it has begun.
 * spin cycles N: creates, runs and closes a machine N times.
 * spin hold: creates a machine, says "holding" and sleeps.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm.h"

GUEST(for_ever, "1: jmp 1b");
GUEST(touch, "mov $0x100000, %edi\n 1: incl 2048(%rdi)\n add $4096, %edi\n dec %ecx\n jnz 1b\n hlt");

static int cycle(void)
{
	struct vm vm;
	if (vm_open(&vm, 8, vm_counter()) < 0)
		return -1;
	LOAD(&vm, touch);
	vm.run->gpr[RCX] = 200;
	int rc = vm_go(&vm);
	if (rc == 0 && vm.run->exit != 12)
		rc = -1;
	vm_close(&vm);
	return rc;
}

int main(int argc, char **argv)
{
	struct vm vm;
	if (argc == 3 && !strcmp(argv[1], "cycles")) {
		for (int n = atoi(argv[2]); n; n--)
			if (cycle() < 0)
				return 1;
		return 0;
	}
	if (vm_open(&vm, 8, CVVTX_COUNTER_NONE) < 0) {
		fprintf(stderr, "spin: %s\n", strerror(errno));
		return errno == EBUSY ? 16 : 1;
	}
	if (argc == 2 && !strcmp(argv[1], "hold")) {
		puts("holding");
		fflush(stdout);
		pause();
		return 0;
	}
	LOAD(&vm, for_ever);
	puts("spinning");
	fflush(stdout);
	vm_go(&vm);
	return 1;
}
