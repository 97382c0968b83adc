/* SPDX-License-Identifier: MIT */
/*
 * A small virtual machine on /dev/chronovisor-vtx, for the tests of the module: RAM, the shared pages, a CPU in 64-bit mode with
 * identity paging, and a handler for each vector that is one HLT at HANDLER(vector).
 */
#ifndef CV_TEST_VM_H
#define CV_TEST_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm-core/kmod/abi.h"

#define MIB (1024u * 1024u)
/* Guest-physical = linear addresses. */
#define PML4 0x10000u
#define GDT 0x13000u
#define IDT 0x14000u
#define TSS 0x15000u
#define HANDLERS 0x20000u
#define HANDLER(vector) (HANDLERS + 16u * (vector))
#define STACK 0x80000u
#define DATA 0x90000u
#define CODE 0x100000u
#define TOP 0xc0000000u /* nothing is there: MMIO */

#define FLAG_TF 0x100u
#define FLAG_IF 0x200u

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };

struct vm {
	int fd, memory;
	uint8_t *ram;
	size_t size;
	struct cvvtx_run *run;
	struct cvvtx_tsc *ring;
	uint32_t *dirty;
};

/* A piece of guest code: GUEST(name, "instructions"), then guest_name and guest_name_end. Runs at CODE; refers to itself by RIP. */
#define GUEST(name, body)                                                                                                        \
	__asm__(".pushsection .rodata\nguest_" #name ":\n" body "\nguest_" #name "_end:\n.popsection");                          \
	extern const uint8_t guest_##name[], guest_##name##_end[]
#define LOAD(vm, name) vm_load((vm), CODE, guest_##name, (size_t)(guest_##name##_end - guest_##name))

/* Opens the device and creates a machine with `mib` MiB of RAM. -1 with errno. */
int vm_open(struct vm *vm, unsigned mib, uint32_t counter);
int vm_open_on(struct vm *vm, unsigned mib, uint32_t counter, unsigned memfd_flags); /* RAM of another kind */
void vm_close(struct vm *vm);
void vm_load(struct vm *vm, uint32_t addr, const void *code, size_t len);
/* RIP at CODE, 64-bit mode, interrupts off, all registers 0 but RSP; no flags, no budget. */
void vm_reset(struct vm *vm);
/* The state that vm_reset sets, and one for real mode at CS:IP 1000:0000. */
void vm_long_mode(struct cvvtx_state *s);
void vm_real_mode(struct cvvtx_state *s);
/* RUN: 0 or -errno. */
int vm_run(struct vm *vm);
/* RUN until something else than a signal; the units and the budget are those of all of it. */
int vm_go(struct vm *vm);
/* Counter with which this host can count: CVVTX_COUNTER_BENCH if it can, else NONE. */
uint32_t vm_counter(void);
void vm_info(struct cvvtx_info *info);

/* Checks: a test function returns at the first that fails. */
#define CHECK(cond, ...)                                                                                                         \
	do {                                                                                                                     \
		if (!(cond)) {                                                                                                   \
			check_failed(__FILE__, __LINE__, #cond, __VA_ARGS__);                                                    \
			return;                                                                                                  \
		}                                                                                                                \
	} while (0)
void check_failed(const char *file, int line, const char *cond, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

struct test {
	const char *name;
	void (*fn)(void);
};
/* Runs those whose name contains `only` (NULL: all), a line each; the number of failures. */
int run_tests(const struct test *tests, size_t n, const char *only);

#endif
