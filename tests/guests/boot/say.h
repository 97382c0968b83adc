/* SPDX-License-Identifier: MIT */
/* Output for the boot protocols' guests, 32-bit and 64-bit: straight to COM1, no set-up, no libc. */
#ifndef SAY_H
#define SAY_H

#include <stdint.h>

static inline void outb(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static void say(const char *s)
{
	for (; *s; s++) {
		while (!(inb(0x3fd) & 0x20))
			;
		outb(0x3f8, (uint8_t)*s);
	}
}

static void say_hex(const char *what, uintptr_t v)
{
	char digits[2 * sizeof(v) + 1];
	unsigned n = sizeof(digits) - 1;

	digits[n] = 0;
	do {
		digits[--n] = "0123456789abcdef"[v & 15];
		v >>= 4;
	} while (v);
	say(what);
	say(digits + n);
}

/* Ends the run: 0 is success. */
static void leave(uint8_t code)
{
	outb(0xf4, code);
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* What the processor looks like at the entry: the caller read the registers. */
static void say_cpu(uintptr_t cr0, uintptr_t flags)
{
	say(cr0 & 1 ? "protected" : "real");
	say(cr0 >> 31 & 1 ? " paging" : " no-paging");
	say(flags & 0x200 ? " interrupts\n" : " no-interrupts\n");
}

/* Sum of a module's bytes, so that the test sees that all of it is there. */
static void say_sum(const uint8_t *p, uintptr_t n)
{
	uintptr_t sum = 0;

	for (uintptr_t i = 0; i < n; i++)
		sum += p[i];
	say_hex(" size ", n);
	say_hex(" sum ", sum);
}

#endif
