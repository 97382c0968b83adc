/* SPDX-License-Identifier: MIT */
/*
 * A loop that a timer interrupts a thousand times a second, anywhere: branches, calls, memory and REP. No instruction of it leaves
 * flags undefined: interrupt frames on the stack are the same on every CPU. It ends by nothing.
 */
#include "kernel.h"

#define HZ 1000

static uint8_t idt[4096] __attribute__((aligned(4096)));
static volatile uint64_t ticks, clock_sum;
static uint64_t work[64];

static void tick(void)
{
	ticks++;
	clock_sum += rdtsc();
}

void kmain(void)
{
	serial_init();
	trap_init(idt);
	irq_install(IRQ_TIMER, tick);
	timer_start(HZ);
	print("loop: for ever\n");
	irq_enable();
	__asm__ volatile("1: mov $37, %%ecx\n"
			 "2: add %%rcx, %%rax\n"
			 "xor %%rax, %%rdx\n"
			 "add %%rdx, (%0,%%rcx,8)\n"
			 "call 3f\n"
			 "dec %%rcx\n"
			 "jnz 2b\n"
			 "mov %0, %%rdi\n"
			 "mov $20, %%ecx\n"
			 "rep stosb\n"
			 "jmp 1b\n"
			 "3: inc %%r8\n"
			 "ret"
			 :
			 : "r"(work)
			 : "rax", "rcx", "rdx", "rdi", "r8", "memory", "cc");
	__builtin_unreachable();
}
