/* SPDX-License-Identifier: MIT */
/*
 * What the 64-bit guests share: output, checks, traps. A check prints "ok NAME" or "FAIL NAME got WHAT expected WHAT".
 *
 * TRY("instruction") runs one instruction and goes on behind it, whatever it does; `last` says what trapped and
 * `want_rip` where the instruction lies.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};
struct gate {
	uint16_t offset0, selector, flags, offset1;
	uint32_t offset2, reserved;
};

#define NO_ERROR UINT64_MAX /* what the entry pushes where the CPU pushes no error code */

extern struct frame last; /* of the trap since the last TRY */
extern unsigned traps;	  /* how many */
extern uint64_t resume, resume_rsp, want_rip;
extern void (*hook)(struct frame *f); /* sees traps instead while resume is 0 */
extern struct gate idt[64];
extern uint64_t gdt[];
extern uint32_t tss[26];
extern unsigned failures;
extern const char *command_line;

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
static inline void outl(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}
static inline uint32_t inl(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline void outw(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}
static inline uint16_t inw(uint16_t port)
{
	uint16_t v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline uint64_t rdmsr(uint32_t n)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(n));
	return (uint64_t)hi << 32 | lo;
}
static inline void wrmsr(uint32_t n, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "c"(n), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}
static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}
#define READ_REG(reg) ({ uint64_t v_; __asm__ volatile("movq %%" #reg ", %0" : "=r"(v_)); v_; })
#define WRITE_REG(reg, v) __asm__ volatile("movq %0, %%" #reg : : "r"((uint64_t)(v)) : "memory")

void say(const char *s);
void say_hex(uint64_t v);
void check(const char *name, uint64_t got, uint64_t want);
/* The last TRY raised exactly this, at its instruction. */
void check_trap(const char *name, unsigned vector, uint64_t error, uint64_t rip);
void check_none(const char *name);
void leave(uint8_t code) __attribute__((noreturn));
/* IDT, TSS; vectors 0..63 are trap()'s. */
void guest_init(const uint32_t *multiboot);
void set_gate(unsigned vector, uint64_t rip, uint16_t sel, unsigned dpl, unsigned ist, bool present);
/* To CPL 3 (or wherever cs says); comes back at the next trap. */
void enter(uint64_t rip, uint64_t cs, uint64_t rsp, uint64_t ss, uint64_t flags);
bool has_word(const char *word);

#define CLOBBERS "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", \
		 "memory", "cc"
#define TRY_FROM(setup, insn) \
	do { \
		traps = 0; \
		last.vector = 255; \
		__asm__ volatile("pushq %%rbp\n movq $0f, want_rip\n movq %%rsp, resume_rsp\n movq $1f, resume\n" setup "\n0: " insn \
				 "\n1: movq resume_rsp, %%rsp\n movq $0, resume\n popq %%rbp" : : : CLOBBERS); \
	} while (0)
#define TRY(insn) TRY_FROM("", insn)

void kmain(const uint32_t *multiboot);
void trap(struct frame *f);

#endif
