/* SPDX-License-Identifier: MIT */
/*
 * What the example kernels share: port I/O, the serial console, traps, the interrupt controller and the timer. One CPU,
 * 64-bit, no libc.
 */
#ifndef EXAMPLE_KERNEL_H
#define EXAMPLE_KERNEL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- CPU --- */

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

static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

static inline void irq_disable(void)
{
	__asm__ volatile("cli" : : : "memory");
}

static inline void irq_enable(void)
{
	__asm__ volatile("sti" : : : "memory");
}

/* Sleeps until an interrupt has been handled. Interrupts must be off; they are off again afterwards. */
static inline void irq_wait(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

/* --- trap.c --- */

struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

#define IRQ_TIMER 0
#define IRQ_SERIAL 4

/* Sets the IDT up in the given page, the PIC to vectors 32..47, all interrupt lines masked. */
void trap_init(void *idt_page);
/* Calls handler for each interrupt of the line, interrupts off. */
void irq_install(unsigned irq, void (*handler)(void));
/* Programs the PIT to interrupt hz times a second; install a handler for IRQ_TIMER first. */
void timer_start(unsigned hz);
/* Prints "panic: ..." and the registers, if any, and ends the run as a crash. */
void panic(const struct trap_frame *frame, const char *why) __attribute__((noreturn));
/* Ends the run: 0 is success. */
void machine_exit(uint8_t code) __attribute__((noreturn));

/* --- serial.c: COM1 --- */

void serial_init(void);
void serial_put(char c);
/* The byte that has arrived, or -1. */
int serial_get(void);
/* Asks for interrupts on IRQ_SERIAL when bytes arrive. */
void serial_enable_interrupt(void);
/* %s %c %u %x (unsigned), %lu %lx (uint64_t), %p. */
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* --- string.c --- */

void *memset(void *p, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);

#endif
