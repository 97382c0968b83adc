/* SPDX-License-Identifier: MIT */
/*
 * Machines, processors that come and go, and sleep. For a host with two processors booted with maxcpus=1: while a machine exists, the
 * second may come online (and runs it) and may not go offline, and the host doesn't suspend. (No processor really goes offline here:
 * Bochs hangs at that every few times, with or without the module.)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vm.h"

#define SECOND "/sys/devices/system/cpu/cpu1/online"

GUEST(halt, "hlt");

/* 0 or errno. */
static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), err = 0;
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		err = errno;
	if (fd >= 0)
		close(fd);
	return err;
}

/* The guest's HLT, run on that processor? */
static bool runs_on(struct vm *vm, int cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		return false;
	vm_reset(vm);
	LOAD(vm, halt);
	return vm_go(vm) == 0 && vm->run->exit == 12;
}

static void processor_comes_while_a_machine_exists(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	CHECK(runs_on(&vm, 0), "on the first processor");
	CHECK(write_file(SECOND, "1") == 0, "online with a machine");
	for (int i = 0; i < 10; i++)
		CHECK(runs_on(&vm, i & 1), "round %d, exit %#x", i, vm.run->exit);
	vm_close(&vm);
}

static void processor_stays_while_a_machine_exists(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	CHECK(runs_on(&vm, 1), "on the second processor");
	CHECK(write_file(SECOND, "0") == EBUSY, "offline with a machine");
	CHECK(runs_on(&vm, 1) && runs_on(&vm, 0), "exit %#x", vm.run->exit);
	vm_close(&vm);
}

static void host_stays_awake_while_a_machine_exists(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	CHECK(runs_on(&vm, 0), "exit %#x", vm.run->exit);
	CHECK(write_file("/sys/power/state", "freeze") != 0, "suspended with a machine");
	CHECK(runs_on(&vm, 0), "exit %#x", vm.run->exit);
	vm_close(&vm);
}

#define T(name) {#name, name}
static const struct test tests[] = {
	T(processor_comes_while_a_machine_exists),
	T(processor_stays_while_a_machine_exists),
	T(host_stays_awake_while_a_machine_exists),
};

int main(int argc, char **argv)
{
	if (access(SECOND, W_OK) < 0) {
		printf("one processor only\n");
		return 77;
	}
	return run_tests(tests, sizeof(tests) / sizeof(tests[0]), argc > 1 ? argv[1] : NULL) != 0;
}
