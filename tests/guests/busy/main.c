/* SPDX-License-Identifier: MIT */
/*
 * A guest that never rests: it computes, reads the clock and is interrupted a thousand times a second, until a byte comes
 * on the console. A debugger can visit it as often and as slowly as it likes.
 */
#include "kernel.h"

#define HZ 1000

static uint8_t idt[4096] __attribute__((aligned(4096)));
static volatile uint64_t ticks, clock_sum;
static uint64_t work[512];

static void tick(void)
{
	ticks++;
	clock_sum += rdtsc();
}

void kmain(void)
{
	uint64_t seed = 1;

	serial_init();
	trap_init(idt);
	irq_install(IRQ_TIMER, tick);
	timer_start(HZ);
	print("busy: until a byte comes\n");
	irq_enable();
	while (serial_get() < 0)
		for (unsigned i = 0; i < 2000; i++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			work[seed >> 55] += seed ^ ticks;
		}
	irq_disable();
	print("busy: %lx %lx after %u ticks\n", work[seed >> 55], clock_sum, (unsigned)ticks);
	machine_exit(0);
}
