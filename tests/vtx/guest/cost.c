/* SPDX-License-Identifier: MIT */
/*
 * cost out N | cost tsc N | cost cpuid N: instructions of the host per round trip of an OUT to the process and back, of an RDTSC
 * answered in the module and noted in the ring, and of a CPUID. One number. In Bochs a tick of the TSC is an instruction.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm.h"

static uint64_t ticks(void)
{
	uint32_t a, d;
	__asm__ volatile("rdtsc" : "=a"(a), "=d"(d));
	return (uint64_t)d << 32 | a;
}

/* Warm-up rounds, then n that count. */
static int round_trips(struct vm *vm, const char *insn, unsigned n, uint32_t exit)
{
	enum { WARM = 100 };
	uint64_t begin = 0;
	for (unsigned i = 0; i < n + WARM; i++)
		memcpy(vm->ram + CODE + 2 * i, insn, 2);
	for (unsigned i = 0; i < n + WARM; i++) {
		if (i == WARM)
			begin = ticks();
		if (vm_run(vm) < 0)
			return 1;
		if (vm->run->exit == CVVTX_EXIT_SIGNAL) {
			i--;
			continue;
		}
		if (vm->run->exit != exit)
			return 1;
		vm->run->rip += vm->run->insn_len;
	}
	printf("%llu\n", (unsigned long long)((ticks() - begin) / n));
	return 0;
}

/* A full ring each time: what its 512 slots cost, with the exits for emptying it. */
static int time_stamps(struct vm *vm, unsigned n)
{
	uint64_t begin = 0, seen = 0;
	for (unsigned i = 0; i < n + 1024; i++)
		memcpy(vm->ram + CODE + 2 * i, "\x0f\x31", 2);
	vm->run->flags = CVVTX_RUN_TSC;
	while (seen < n) {
		if (vm_run(vm) < 0)
			return 1;
		if (vm->run->exit != CVVTX_EXIT_RING && vm->run->exit != CVVTX_EXIT_SIGNAL)
			return 1;
		if (begin)
			seen += vm->run->nring;
		else
			begin = ticks();
		vm->run->nring = 0;
	}
	printf("%llu\n", (unsigned long long)((ticks() - begin) / seen));
	return 0;
}

int main(int argc, char **argv)
{
	struct vm vm;
	unsigned n = argc == 3 ? (unsigned)atoi(argv[2]) : 0;
	if (!n || n > 100000 || vm_open(&vm, 4, CVVTX_COUNTER_NONE) < 0) {
		fprintf(stderr, "cost: %s\n", strerror(errno));
		return 2;
	}
	if (!strcmp(argv[1], "tsc"))
		return time_stamps(&vm, n);
	return !strcmp(argv[1], "cpuid") ? round_trips(&vm, "\x0f\xa2", n, 10) : round_trips(&vm, "\xe6\x10", n, 30);
}
