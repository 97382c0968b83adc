/* SPDX-License-Identifier: MIT */
/*
 * The runtime of the 32-bit guests of this folder, included once: Multiboot to flat 32-bit code without paging, output, checks,
 * traps. A check prints "ok NAME" or "FAIL NAME got WHAT expected WHAT".
 *
 * Vectors 0 to 47 are interrupt gates to an entry that notes the frame in `last` and goes on at `resume` with the stack of
 * whoever waits there. TRY("instruction") runs one instruction and goes on behind it, whatever it does.
 */
#ifndef GUEST32_H
#define GUEST32_H

#include <stdbool.h>
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
static inline uint64_t rdmsr(uint32_t n)
{
	uint64_t v;

	__asm__ volatile("rdmsr" : "=A"(v) : "c"(n));
	return v;
}
static inline void wrmsr(uint32_t n, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "c"(n), "A"(v) : "memory");
}

__asm__(".section .header, \"ax\"\n .balign 4\n .long 0x1badb002, 2, -0x1badb002 - 2\n"
	".globl _start\n _start: movl $stack_top, %esp\n lgdt gdtr\n ljmp $8, $1f\n 1: movl $16, %eax\n movl %eax, %ds\n"
	"movl %eax, %es\n movl %eax, %ss\n movl %eax, %fs\n movl %eax, %gs\n call kmain\n"
	".bss\n .balign 16\n .globl stack_top, trap_top\n .skip 16384\n stack_top: .skip 4096\n trap_top:\n .text\n"
	".altmacro\n .macro entry v\n .balign 16\n trap_\\v:\n .if \\v == 8 || (\\v >= 10 && \\v <= 14) || \\v == 17\n"
	".else\n pushl $-1\n .endif\n pushl $\\v\n jmp common\n .endm\n .set i, 0\n .rept 48\n entry %i\n .set i, i + 1\n .endr\n"
	/* The stack may be any: what lies behind the flags is there after a change of privilege only, which leaves the flat SS. */
	"common: pushal\n cld\n movl $16, %eax\n movl %eax, %ds\n movl %eax, %es\n movl %ss, %edx\n movl $13, %ecx\n cmpl %eax, %edx\n"
	"jne 1f\n movl $19, %ecx\n 1: movl %esp, %esi\n movl $last, %edi\n rep movsl %ss:(%esi), %es:(%edi)\n"
	"movl resume_esp, %esp\n movl $16, %eax\n movl %eax, %ss\n pushl $2\n popfl\n jmp *resume\n"
	".data\n .balign 8\n .globl trap_entries\n trap_entries:\n .macro address v\n .long trap_\\v\n .endm\n .set i, 0\n .rept 48\n"
	"address %i\n .set i, i + 1\n .endr\n .text\n");

/* What the guests share of the GDT; each adds its own from OWN on. */
enum { CODE = 8, DATA = 0x10, USER_CODE = 0x18 + 3, USER_DATA = 0x20 + 3, CODE16 = 0x28, DATA16 = 0x30, MAIN_TSS = 0x38, OWN = 0x40,
       GDT_ENTRIES = 64 };
uint64_t gdt[GDT_ENTRIES] __attribute__((aligned(16))) = {
	0, 0x00cf9b000000ffff, 0x00cf93000000ffff,	/* 8, 10: flat */
	0x00cffb000000ffff, 0x00cff3000000ffff,		/* 18, 20: DPL 3 */
	0x00009b000000ffff, 0x000093000000ffff,		/* 28, 30: 16-bit, base 0 */
};
struct table_register {
	uint16_t limit;
	uint32_t base;
} __attribute__((packed));
struct table_register gdtr = {sizeof(gdt) - 1, (uint32_t)gdt}, idtr;
uint64_t idt[80] __attribute__((aligned(16)));
extern uint32_t trap_entries[48];
extern uint8_t trap_top[];

struct tss {
	uint16_t link, r0;
	uint32_t esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi, es, cs, ss, ds, fs, gs,
		ldt;
	uint16_t trap, iomap;
} __attribute__((packed));
struct tss main_tss __attribute__((aligned(128)));

struct frame {
	uint32_t edi, esi, ebp, esp0, ebx, edx, ecx, eax, vector, error, eip, cs, eflags, esp, ss, es, ds, fs, gs;
};
struct frame last;
uint32_t resume, resume_esp, want_eip;
static unsigned failures;
#define NO_ERROR (-1u) /* what the entry pushes where the CPU pushes no error code */

static void say(const char *s)
{
	for (; *s; s++) {
		while (!(inb(0x3fd) & 0x20))
			;
		outb(0x3f8, (uint8_t)*s);
	}
}
static void say_hex(uint32_t v)
{
	char d[9] = {0};

	for (int k = 0; k < 8; k++)
		d[k] = "0123456789abcdef"[v >> (28 - 4 * k) & 15];
	say(d);
}
static void check(const char *name, uint32_t got, uint32_t want)
{
	say(got == want ? "ok " : "FAIL ");
	say(name);
	if (got != want) {
		failures++;
		say(" got ");
		say_hex(got);
		say(" expected ");
		say_hex(want);
	}
	say("\n");
}
static inline void check_trap(const char *name, uint32_t vector, uint32_t error, uint32_t eip)
{
	check(name, last.vector, vector);
	check(" its error code", last.error, error);
	check(" its EIP", last.eip, eip);
}
static inline void check_none(const char *name)
{
	check(name, last.vector, 255);
}
static inline void leave(void)
{
	say(failures ? "failed\n" : "passed\n");
	outb(0xf4, failures ? 1 : 0);
	for (;;)
		__asm__ volatile("cli; hlt");
}

#define TRY_FROM(setup, insn) \
	do { \
		last.vector = 255; \
		__asm__ volatile("pushal\n movl $0f, want_eip\n movl %%esp, resume_esp\n movl $1f, resume\n" setup "\n0: " insn \
				 "\n1: movl $16, %%eax\n movl %%eax, %%ss\n movl resume_esp, %%esp\n movl %%eax, %%ds\n movl %%eax, %%es\n" \
				 "popal" : : : "memory", "cc"); \
	} while (0)
#define TRY(insn) TRY_FROM("", insn)
#define READ_CR(n) ({ uint32_t v_; __asm__ volatile("movl %%cr" #n ", %0" : "=r"(v_)); v_; })
#define WRITE_CR(n, v) __asm__ volatile("movl %0, %%cr" #n : : "r"((uint32_t)(v)) : "memory")
#define READ_DR(n) ({ uint32_t v_; __asm__ volatile("movl %%db" #n ", %0" : "=r"(v_)); v_; })
#define WRITE_DR(n, v) __asm__ volatile("movl %0, %%db" #n : : "r"((uint32_t)(v)) : "memory")

/* access: the descriptor's byte 5; flags: G 8, D/B 4, L 2, AVL 1. */
static inline uint64_t descriptor(uint32_t base, uint32_t limit, uint32_t access, uint32_t flags)
{
	return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)access << 40 | (uint64_t)(limit >> 16 & 15) << 48 |
	       (uint64_t)flags << 52 | (uint64_t)(base >> 24) << 56;
}
/* access: P, DPL and type; params: of a call gate. */
static inline uint64_t gate(uint32_t sel, uint32_t offset, uint32_t access, uint32_t params)
{
	return (offset & 0xffff) | sel << 16 | (uint64_t)params << 32 | (uint64_t)access << 40 | (uint64_t)(offset >> 16) << 48;
}
static inline void own(uint32_t sel, uint64_t d)
{
	((volatile uint64_t *)gdt)[sel >> 3] = d;
}
static inline uint32_t access_of(uint32_t sel) /* the descriptor's byte 5 */
{
	return ((volatile uint8_t *)gdt)[(sel & ~7u) + 5];
}
static inline void interrupt_gates(void)
{
	for (unsigned k = 0; k < 48; k++)
		idt[k] = gate(CODE, trap_entries[k], 0x8e, 0);
}

/* To CPL 3, or a virtual-8086 program; comes back at the next trap. */
static inline void enter(uint32_t eip, uint32_t cs, uint32_t esp, uint32_t ss, uint32_t flags)
{
	last.vector = 255;
	__asm__ volatile("pushal\n movl %%esp, resume_esp\n movl $1f, resume\n pushl $0\n pushl $0\n pushl $0\n pushl $0\n"
			 "pushl %4\n pushl %3\n pushl %2\n pushl %1\n pushl %0\n iret\n1: movl $16, %%eax\n movl %%eax, %%ds\n"
			 "movl %%eax, %%es\n movl %%eax, %%fs\n movl %%eax, %%gs\n popal"
			 : : "b"(eip), "c"(cs), "d"(flags), "S"(esp), "D"(ss) : "memory", "cc");
}

static inline void guest_init(void)
{
	interrupt_gates();
	idtr.limit = sizeof(idt) - 1;
	idtr.base = (uint32_t)idt;
	__asm__ volatile("lidt idtr");
	main_tss.esp0 = (uint32_t)trap_top;
	main_tss.ss0 = DATA;
	main_tss.iomap = sizeof(main_tss);
	own(MAIN_TSS, descriptor((uint32_t)&main_tss, 103, 0x89, 0));
	__asm__ volatile("ltr %w0" : : "r"(MAIN_TSS));
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
}

void kmain(void);

#endif
