/* SPDX-License-Identifier: MIT */
/*
 * Segmentation and its gates in 32-bit protected mode (SDM 3A chapters 3, 5 and 6): what LAR, LSL, VERR, VERW and ARPL see; loads
 * that fault; expand-down segments and limits; LDT; 16-bit call and interrupt gates; inner stacks; conforming code; a shrinking CS;
 * SYSENTER; virtual-8086 mode (20.2); alignment checks; PAE's four registers (4.4.1); and the A20 gate.
 */
#include "guest32.h"

enum { S0 = OWN, S1 = OWN + 8, S2 = OWN + 16, S3 = OWN + 24, LDT = OWN + 32, SHORT_CODE = OWN + 40, CALLEE = OWN + 48, SYS = OWN + 64 };
static uint64_t ldt[4] __attribute__((aligned(8)));
static uint8_t user_stack[1024] __attribute__((aligned(16)));
#define USER_SP ((uint32_t)user_stack + 1024)

/* --- Looking at descriptors --- */

/* An instruction on AX (selector) that gives ECX and ZF. */
#define LOOK(insn, sel, value) \
	({ \
		uint32_t v_ = (value); \
		uint8_t z_; \
		__asm__ volatile(insn "\n setz %1" : "+c"(v_), "=q"(z_) : "a"(sel) : "cc"); \
		(uint64_t)z_ << 32 | v_; \
	})
static void looks(const char *name, uint64_t got, uint32_t zf, uint32_t value)
{
	check(name, (uint32_t)(got >> 32), zf);
	check(" its value", (uint32_t)got, value);
}
#define LAR(sel) LOOK("larl %%eax, %%ecx", sel, 0x5555)
#define LSL(sel) LOOK("lsll %%eax, %%ecx", sel, 0x5555)
#define VERR(sel) (uint32_t)(LOOK("verr %%ax", sel, 0) >> 32)
#define VERW(sel) (uint32_t)(LOOK("verw %%ax", sel, 0) >> 32)

static void descriptors(void)
{
	/* SDM 2A, LAR: table 3-52; LSL: table 3-64. */
	static const uint16_t lar = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 9 | 1 << 11 | 1 << 12;
	static const uint16_t lsl = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 9 | 1 << 11;

	for (unsigned type = 0; type < 16; type++) {
		own(S0, descriptor(0x123456, 0x12345, 0x80 | type, 0x9));
		looks("LAR of a system descriptor", LAR(S0), lar >> type & 1, lar >> type & 1 ? 0x918000 | type << 8 : 0x5555);
		looks("LSL of a system descriptor", LSL(S0), lsl >> type & 1, lsl >> type & 1 ? 0x12345fff : 0x5555);
		check("VERR of a system descriptor", VERR(S0), 0);
	}
	own(S0, descriptor(0, 0xff, 0x12, 4)); /* data, not present: LAR and LSL don't mind */
	looks("LAR of data that isn't present", LAR(S0), 1, 0x401200);
	looks("LSL of data that isn't present", LSL(S0), 1, 0xff);
	looks("LAR of null", LAR(3), 0, 0x5555);
	looks("LAR beyond the table", LAR(0x3f8), 0, 0x5555);
	looks("LSL with RPL above DPL", LSL(DATA + 3), 0, 0x5555);
	check("VERR: data", VERR(DATA), 1);
	check("VERW: data", VERW(DATA), 1);
	check("VERR: readable code", VERR(CODE), 1);
	check("VERW: code", VERW(CODE), 0);
	check("VERR: RPL above DPL", VERR(DATA + 1), 0);
	own(S0, descriptor(0, 0xff, 0x98, 4));
	check("VERR: execute-only code", VERR(S0), 0);
	own(S0, descriptor(0, 0xff, 0x90, 4));
	check("VERW: read-only data", VERW(S0), 0);
	own(S0, descriptor(0, 0xff, 0x9e, 4));
	check("VERR: conforming code, whatever RPL", VERR(S0 + 3), 1);
	looks("ARPL raises", LOOK("movw %%ax, %%cx\n movw $3, %%dx\n arpl %%dx, %%cx", 0x41, 0), 1, 0x43);
	looks("ARPL leaves", LOOK("movw %%ax, %%cx\n movw $1, %%dx\n arpl %%dx, %%cx", 0x42, 0), 0, 0x42);
}

/* --- Loads that fault (SDM 2B, MOV; 2A, LDS) --- */

static void loads(void)
{
	own(S0, descriptor(0, 0xfffff, 0x12, 0xc));
	TRY("movl $0x40, %%eax\n 5: movl %%eax, %%ds");
	check("NP: DS", last.vector << 16 | last.error, 11 << 16 | S0);
	TRY("movl $0x40, %%eax\n movl %%eax, %%ss");
	check("SS: SS that isn't present", last.vector << 16 | last.error, 12 << 16 | S0);
	TRY("movl $0x23, %%eax\n movl %%eax, %%ss");
	check("GP: SS of another RPL", last.vector << 16 | last.error, 13 << 16 | 0x20);
	TRY("movl $0x20, %%eax\n movl %%eax, %%ss");
	check("GP: SS of another DPL", last.vector << 16 | last.error, 13 << 16 | 0x20);
	TRY("xorl %%eax, %%eax\n movl %%eax, %%ss");
	check("GP: null SS", last.vector << 16 | last.error, 13 << 16);
	TRY("movl $8, %%eax\n movl %%eax, %%ss");
	check("GP: code in SS", last.vector << 16 | last.error, 13 << 16 | 8);
	TRY("movl $0x38, %%eax\n movl %%eax, %%es");
	check("GP: a TSS in ES", last.vector << 16 | last.error, 13 << 16 | MAIN_TSS);
	TRY("movl $0x3fb, %%eax\n movl %%eax, %%gs");
	check("GP: beyond the table", last.vector << 16 | last.error, 13 << 16 | 0x3f8);
	TRY("movl $0x13, %%eax\n movl %%eax, %%fs");
	check("GP: RPL above DPL", last.vector << 16 | last.error, 13 << 16 | 0x10);
	own(S0, descriptor(0, 0xfffff, 0x98, 0xc));
	TRY("movl $0x40, %%eax\n movl %%eax, %%fs");
	check("GP: execute-only code in FS", last.vector << 16 | last.error, 13 << 16 | S0);
	TRY(".byte 0x8e, 0xc8");
	check_trap("UD: MOV to CS", 6, NO_ERROR, want_eip);
	TRY("ljmp $0, $0");
	check_trap("GP: far JMP to null", 13, 0, want_eip);
	TRY("ljmp $0x10, $0");
	check_trap("GP: far JMP to data", 13, DATA, want_eip);
	TRY("ljmp $0x1b, $0");
	check_trap("GP: far JMP outwards", 13, 0x18, want_eip);
	own(S0, descriptor(0, 0xfffff, 0x1b, 0xc));
	TRY("ljmp $0x40, $0");
	check_trap("NP: far JMP", 11, S0, want_eip);
	own(S0, descriptor(0, 0xfff, 0x9b, 4));
	TRY("ljmp $0x40, $0x1000");
	check_trap("GP: far JMP beyond the limit", 13, 0, want_eip);
	TRY_FROM("pushl $0x10\n pushl $0\n", "lret");
	check_trap("GP: far RET to data", 13, DATA, want_eip);
	TRY_FROM("pushl $0\n pushl $0\n", "lret");
	check_trap("GP: far RET to null", 13, 0, want_eip);
	TRY_FROM("pushl $0x10\n pushl $0x1000\n pushl $0x1b\n pushl $0\n", "lret");
	check_trap("GP: far RET to CPL 3, SS of DPL 0", 13, DATA, want_eip);
	own(S0, descriptor(0, 0xfffff, 0x92, 0xc));
	TRY_FROM("movl $0x40, %%eax\n movl %%eax, %%fs\n", "nop");
	check("a load sets the accessed bit", access_of(S0), 0x93);
	__asm__ volatile("movl %0, %%fs" : : "r"(DATA));
}

static void ldts(void)
{
	ldt[1] = descriptor((uint32_t)user_stack, 15, 0x92, 4);
	own(LDT, descriptor((uint32_t)ldt, sizeof(ldt) - 1, 0x82, 0));
	user_stack[3] = 0x5a;
	__asm__ volatile("lldt %w0" : : "r"(0));
	TRY("movl $0xc, %%eax\n movl %%eax, %%fs");
	check("GP: no LDT yet", last.vector << 16 | last.error, 13 << 16 | 0xc);
	TRY("movl $0x10, %%eax\n lldt %%ax");
	check("GP: LLDT of data", last.vector << 16 | last.error, 13 << 16 | DATA);
	TRY("movl $0x64, %%eax\n lldt %%ax");
	check("GP: LLDT of a selector into the LDT", last.vector << 16 | last.error, 13 << 16 | 0x64);
	own(S0, descriptor((uint32_t)ldt, 31, 0x02, 0));
	TRY("movl $0x40, %%eax\n lldt %%ax");
	check("NP: LLDT", last.vector << 16 | last.error, 11 << 16 | S0);
	__asm__ volatile("lldt %w0" : : "r"(LDT));
	TRY("movl $0xc, %%eax\n movl %%eax, %%fs\n movb %%fs:3, %%al\n cmpb $0x5a, %%al\n je 7f\n ud2\n 7:");
	check_none("a segment of the LDT");
	TRY("movl $0x24, %%eax\n movl %%eax, %%fs");
	check("GP: beyond the LDT", last.vector << 16 | last.error, 13 << 16 | 0x24);
	__asm__ volatile("lldt %w0\n movl %1, %%fs" : : "r"(0), "r"(DATA));
	TRY("movl $0xc, %%eax\n movl %%eax, %%fs");
	check("GP: a null LDT", last.vector << 16 | last.error, 13 << 16 | 0xc);
}

/* --- Limits (SDM 3A 5.3) --- */

static void limits(void)
{
	own(S0, descriptor(0, 0xfff, 0x97, 4));	   /* expand-down, 32 bits: 1000h..FFFFFFFFh */
	own(S1, descriptor(0x100000, 0xfff, 0x97, 0)); /* 16 bits: 1000h..FFFFh */
	own(S2, descriptor(0, 0xfff, 0x93, 4));
	own(S3, descriptor(0, 0xfff, 0x91, 4));
	__asm__ volatile("movl %0, %%fs\n movl %1, %%gs" : : "r"(S0), "r"(S1));
	TRY("movb %%fs:0x1000, %%al");
	check_none("expand-down: the first byte above the limit");
	TRY("movb %%fs:0xfff, %%al");
	check_trap("GP expand-down: the limit itself", 13, 0, want_eip);
	TRY("movl %%fs:0xffd, %%eax");
	check_trap("GP expand-down: over the limit", 13, 0, want_eip);
	TRY("movl %%fs:0xfffffffd, %%eax");
	check_trap("GP expand-down: over the end", 13, 0, want_eip);
	TRY("movw %%gs:0xfffe, %%ax");
	check_none("16-bit expand-down: the last word");
	TRY("movw %%gs:0xffff, %%ax");
	check_trap("GP 16-bit expand-down: over 64 KiB", 13, 0, want_eip);
}

/* The stack in a small segment: #SS(0) by a read, delivered on it as long as there is room. */
static void stack_limits(void)
{
	own(S2, descriptor((uint32_t)user_stack, 0x3ff, 0x93, 4));
	TRY_FROM("movl $0x50, %%eax\n movl %%eax, %%ss\n movl $0x400, %%esp\n", "popl %%eax");
	check_trap("SS: POP above the limit", 12, 0, want_eip);
	TRY_FROM("movl $0x50, %%eax\n movl %%eax, %%ss\n movl $0x200, %%esp\n movl $0x3fd, %%ebp\n", "movl (%%ebp), %%eax");
	check_trap("SS: by EBP", 12, 0, want_eip);
	TRY_FROM("movl $0x50, %%eax\n movl %%eax, %%ss\n movl $0x200, %%esp\n movl $0x3fd, %%ebp\n", "movl %%ds:(%%ebp), %%eax");
	check_none("DS: by EBP");
	TRY_FROM("movl $0x58, %%eax\n movl %%eax, %%fs\n", "movb %%al, %%fs:0");
	check_trap("GP: a store to read-only data", 13, 0, want_eip);
	TRY_FROM("movl $0x50, %%eax\n movl %%eax, %%fs\n", "movl %%eax, %%fs:0x3fe");
	check_trap("GP: over the limit", 13, 0, want_eip);
}

extern uint8_t run_loop[], run_jump[], run_beyond[], run_fall[], run_after[];
__asm__(".text\n .balign 64\n run_loop: movl $3, %ecx\n 1: decl %ecx\n jnz 1b\n run_jump: jmp run_beyond\n .balign 64\n run_beyond: ret\n"
	".balign 64\n run_fall: movl $3, %ecx\n 1: decl %ecx\n jnz 1b\n run_after: nop\n ret\n");

/* Code that ran, and whose blocks know each other, ends where a smaller CS does. */
static void shrinking(void)
{
	for (int k = 0; k < 3; k++)
		__asm__ volatile("call run_loop\n call run_fall" : : : "ecx", "cc", "memory");
	own(SHORT_CODE, descriptor(0x100000, (uint32_t)run_beyond - 1 - 0x100000, 0x9b, 4));
	TRY("movl $run_loop, %%eax\n subl $0x100000, %%eax\n pushl $0x68\n pushl %%eax\n lret");
	check_trap("GP: JMP beyond a shrunken CS", 13, 0, (uint32_t)run_jump - 0x100000);
	check(" in it", last.cs, SHORT_CODE);
	own(SHORT_CODE, descriptor(0x100000, (uint32_t)run_after - 1 - 0x100000, 0x9b, 4));
	TRY("movl $run_fall, %%eax\n subl $0x100000, %%eax\n pushl $0x68\n pushl %%eax\n lret");
	check_trap("GP: running out of a shrunken CS", 13, 0, (uint32_t)run_after - 0x100000);
}

/* --- Gates --- */

extern uint8_t user_call[], user_back[], callee_begin[], callee_end[], handler16_begin[], handler16_end[], user_conforming[],
	user_conforming_back[], conforming[], gate_jumped[], user_segments[];
uint32_t seen[8];
/* What has 16-bit offsets is copied to 9000h. */
enum { LOW = 0x9000 };
__asm__(".text\n user_call: pushw $0x1111\n pushw $0x2222\n pushw $0x3333\n lcall $0x70, $0\n user_back: int $0x2f\n"
	"callee_begin: movl %esp, %ecx\n movl $16, %eax\n movl %eax, %ds\n movl %ecx, seen\n movzwl (%esp), %eax\n movl %eax, seen + 4\n"
	"movzwl 2(%esp), %eax\n movl %eax, seen + 8\n movzwl 4(%esp), %eax\n movl %eax, seen + 12\n movzwl 8(%esp), %eax\n movl %eax, seen + 16\n"
	"movzwl 10(%esp), %eax\n movl %eax, seen + 20\n movzwl 12(%esp), %eax\n movl %eax, seen + 24\n lretw $6\n callee_end:\n"
	"handler16_begin: movl %esp, %eax\n movl %eax, seen\n movzwl (%esp), %eax\n movl %eax, seen + 4\n movzwl 2(%esp), %eax\n movl %eax, seen + 8\n"
	"movzwl 4(%esp), %eax\n movl %eax, seen + 12\n pushfl\n popl seen + 16\n iretw\n handler16_end:\n"
	"user_conforming: lcall $0x40, $0\n user_conforming_back: int $0x2f\n"
	"conforming: movl %cs, %eax\n movl %ss, %edx\n lret\n"
	"gate_jumped: ud2\n user_segments: movl %fs, %eax\n movl %gs, %edx\n int $0x2f\n");

static void copy(uint32_t to, const uint8_t *from, const uint8_t *end)
{
	while (from < end)
		*(volatile uint8_t *)to++ = *from++;
}

static void call_gates(void)
{
	uint32_t low_back = LOW + 0x200 + (uint32_t)(user_back - user_call);

	idt[0x2f] |= 3ull << 45;
	copy(LOW, callee_begin, callee_end);
	copy(LOW + 0x200, user_call, callee_begin);
	own(CALLEE, gate(CODE, LOW, 0xe4, 3)); /* 16-bit, DPL 3, three words */
	enter(LOW + 0x200, USER_CODE, USER_SP, USER_DATA, 2);
	check("16-bit call gate: frame of 16 bytes with its parameters", seen[0], (uint32_t)trap_top - 14);
	check(" IP", seen[1], low_back);
	check(" CS", seen[2], USER_CODE);
	check(" the last parameter first", seen[3], 0x3333);
	check(" the first one", seen[4], 0x1111);
	check(" SP", seen[5], (USER_SP - 6) & 0xffff);
	check(" SS", seen[6], USER_DATA);
	check(" and back", last.vector, 0x2f);
	check(" at", last.eip, low_back + 2);
	check(" ESP, all but its upper half, which a 16-bit return can't know", last.esp & 0xffff, USER_SP & 0xffff);
	own(CALLEE, gate(CODE, LOW, 0x84, 0)); /* DPL 0 */
	enter((uint32_t)user_call, USER_CODE, USER_SP, USER_DATA, 2);
	check_trap("GP: a gate's DPL", 13, CALLEE, (uint32_t)user_call + 12);
	own(CALLEE, gate(CODE, LOW, 0x64, 0));
	enter((uint32_t)user_call, USER_CODE, USER_SP, USER_DATA, 2);
	check_trap("NP: a gate", 11, CALLEE, (uint32_t)user_call + 12);
	own(CALLEE, gate(DATA, LOW, 0xe4, 0));
	enter((uint32_t)user_call, USER_CODE, USER_SP, USER_DATA, 2);
	check_trap("GP: a gate to data", 13, DATA, (uint32_t)user_call + 12);
	own(CALLEE, gate(0, LOW, 0xe4, 0));
	enter((uint32_t)user_call, USER_CODE, USER_SP, USER_DATA, 2);
	check_trap("GP: a gate to null", 13, 0, (uint32_t)user_call + 12);
	own(S0, descriptor(0, 0xfffff, 0x1b, 0xc));
	own(CALLEE, gate(S0, LOW, 0xe4, 0));
	enter((uint32_t)user_call, USER_CODE, USER_SP, USER_DATA, 2);
	check_trap("NP: a gate's code segment", 11, S0, (uint32_t)user_call + 12);
}

/* SDM 3A 5.8.5: the stack that the TSS names for level 0 is used last by the fault's own delivery, so level 1 is examined. */
static void inner_stacks(void)
{
	own(S1, descriptor(0, 0xfffff, 0xbb, 0xc)); /* code of DPL 1 */
	own(CALLEE, gate(S1 | 1, (uint32_t)conforming, 0xec, 0));
	main_tss.esp1 = (uint32_t)trap_top;
	main_tss.ss1 = 0;
	enter((uint32_t)user_call, USER_CODE, USER_SP, USER_DATA, 2);
	check_trap("TS: a null inner SS", 10, 0, (uint32_t)user_call + 12);
	main_tss.ss1 = DATA | 1;
	enter((uint32_t)user_call, USER_CODE, USER_SP, USER_DATA, 2);
	check_trap("TS: an inner SS of another DPL", 10, DATA, (uint32_t)user_call + 12);
	main_tss.ss1 = 0x3f9;
	enter((uint32_t)user_call, USER_CODE, USER_SP, USER_DATA, 2);
	check_trap("TS: an inner SS beyond the table", 10, 0x3f8, (uint32_t)user_call + 12);
	own(S2, descriptor(0, 0xfffff, 0x33, 0xc)); /* data of DPL 1, not present */
	main_tss.ss1 = S2 | 1;
	enter((uint32_t)user_call, USER_CODE, USER_SP, USER_DATA, 2);
	check_trap("SS: an inner SS that isn't present", 12, S2, (uint32_t)user_call + 12);
	own(S2, descriptor(0, 0xf, 0xb3, 4));
	main_tss.esp1 = 0x100;
	enter((uint32_t)user_call, USER_CODE, USER_SP, USER_DATA, 2);
	check_trap("SS: no room on the inner stack", 12, S2, (uint32_t)user_call + 12);
}

static void interrupt_gates_16(void)
{
	uint32_t esp, cs;

	copy(LOW + 0x400, handler16_begin, handler16_end);
	copy(LOW + 0x600, (const uint8_t *)"\x89\xe2\xcd\x45\xc3", (const uint8_t *)"\x89\xe2\xcd\x45\xc3" + 5); /* mov %esp, %edx; int 45h; ret */
	idt[0x45] = gate(CODE, LOW + 0x400, 0x86, 0);
	__asm__ volatile("sti\n call *%2\n cli" : "=&d"(esp), "=a"(cs) : "r"(LOW + 0x600) : "memory", "cc");
	check("16-bit interrupt gate: a frame of six bytes", seen[0], esp - 6);
	check(" IP", seen[1], LOW + 0x604);
	check(" CS", seen[2], CODE);
	check(" FLAGS with IF", seen[3] & 0x200, 0x200);
	check(" IF is clear inside", seen[4] & 0x200, 0);
	idt[0x45] = gate(CODE, LOW + 0x400, 0x87, 0);
	__asm__ volatile("sti\n call *%2\n cli" : "=&d"(esp), "=a"(cs) : "r"(LOW + 0x600) : "memory", "cc");
	check("16-bit trap gate: IF stays", seen[4] & 0x200, 0x200);
	idt[0x45] = gate(CODE, LOW + 0x400, 0x82, 0); /* no gate's type */
	TRY("int $0x45");
	check_trap("GP: no gate", 13, 0x45 * 8 + 2, want_eip);
	idt[0x45] = gate(CODE, LOW + 0x400, 0x06, 0);
	TRY("int $0x45");
	check_trap("NP: a gate", 11, 0x45 * 8 + 2, want_eip);
	idt[0x45] = gate(CODE, LOW + 0x400, 0x8e, 0);
	enter((uint32_t)user_back - 0, USER_CODE, USER_SP, USER_DATA, 2);
	check("INT from CPL 3 by a gate of DPL 3", last.vector, 0x2f);
	TRY("int $0x50");
	check_trap("GP: beyond the IDT", 13, 0x50 * 8 + 2, want_eip);
}

static void conforming_code(void)
{
	own(S0, descriptor(0, 0xfffff, 0x9f, 0xc)); /* conforming, DPL 0 */
	idt[0x2f] |= 3ull << 45;
	((volatile uint8_t *)0x9800)[0] = 0x9a; /* lcall $0x40, $conforming; int $0x2f */
	*(volatile uint32_t *)0x9801 = (uint32_t)conforming;
	*(volatile uint16_t *)0x9805 = S0;
	*(volatile uint16_t *)0x9807 = 0x2fcd;
	enter(0x9800, USER_CODE, USER_SP, USER_DATA, 2);
	check("conforming code of DPL 0 runs at CPL 3", last.vector, 0x2f);
	check(" CS has RPL 3", last.eax, S0 | 3);
	check(" SS is the same", last.edx, USER_DATA);
	own(S0, descriptor(0, 0xfffff, 0xff, 0xc)); /* conforming, DPL 3 */
	TRY("lcall $0x40, $conforming");
	check_trap("GP: conforming code of a lower privilege", 13, S0, want_eip);
}

/* A jump through a gate stays at its level; a return may release parameters on both stacks. */
static void other_transfers(void)
{
	uint32_t v;

	own(S0, descriptor(0, 0xfffff, 0x9f, 0xc));
	own(CALLEE, gate(CODE, (uint32_t)conforming, 0x8c, 0));
	TRY("lcall $0x70, $0");
	check_none("CALL through a gate at the same level");
	own(CALLEE, gate(CODE, (uint32_t)gate_jumped, 0x8c, 0));
	TRY("ljmp $0x70, $0");
	check_trap("JMP through a gate", 6, NO_ERROR, (uint32_t)gate_jumped);
	own(S1, descriptor(0, 0xfffff, 0xbb, 0xc)); /* DPL 1 */
	own(CALLEE, gate(S1, (uint32_t)gate_jumped, 0x8c, 0));
	TRY("ljmp $0x70, $0");
	check_trap("GP: JMP through a gate to another level", 13, S1, want_eip);
	own(S2, descriptor(0, 0xfff, 0x9b, 4));
	own(CALLEE, gate(S2, 0x1234, 0x8c, 0));
	TRY("ljmp $0x70, $0");
	check_trap("GP: a gate beyond its code segment", 13, 0, want_eip);
	/* Indirect, of both sizes. */
	TRY_FROM("pushl $8\n pushl $gate_jumped\n", "ljmp *(%%esp)");
	check_trap("JMP m16:32", 6, NO_ERROR, (uint32_t)gate_jumped);
	*(volatile uint16_t *)0x9c00 = 0x0b0f; /* UD2 */
	TRY_FROM("pushw $8\n pushw $0x9c00\n", "ljmpw *(%%esp)");
	check_trap("JMP m16:16", 6, NO_ERROR, 0x9c00);
	TRY_FROM("pushl $8\n pushl $conforming\n", "lcall *(%%esp)");
	check_none("CALL m16:32");
	TRY("pushl $0x77\n pushl $8\n pushl $7f\n lret $4\n ud2\n 7: cmpl resume_esp, %%esp\n je 8f\n ud2\n 8:");
	check_none("RET imm16 releases");
	/* To CPL 3, with parameters released there, too; data segments of DPL 0 become null. */
	last.vector = 255;
	__asm__ volatile("pushal\n movl $0x10, %%ecx\n movl %%ecx, %%fs\n movl $0x23, %%ecx\n movl %%ecx, %%gs\n movl %%esp, resume_esp\n"
			 "movl $1f, resume\n pushl %%ecx\n pushl %0\n pushl $0x1111\n pushl $0x1b\n pushl $user_segments\n lret $4\n"
			 "1: movl $16, %%eax\n movl %%eax, %%ds\n movl %%eax, %%es\n movl %%eax, %%fs\n movl %%eax, %%gs\n popal"
			 : : "a"(USER_SP - 16) : "memory", "cc");
	check("RET to CPL 3", last.vector, 0x2f);
	check(" ESP with its parameters released", last.esp, USER_SP - 12);
	check(" FS is null", last.eax, 0);
	check(" GS stays", last.edx, USER_DATA);
	/* Segment registers by far pointers and the stack. */
	*(volatile uint32_t *)0x9c00 = 0x12345678;
	*(volatile uint16_t *)0x9c04 = USER_DATA;
	__asm__ volatile("pushl %%es\n lesl 0x9c00, %0\n movl %%es, %1\n popl %%es" : "=&r"(v), "=&r"(seen[0]) : : "memory");
	check("LES: offset", v, 0x12345678);
	check("LES: ES", seen[0], USER_DATA);
	__asm__ volatile("pushl %%ds\n ldsw 0x9c02, %w0\n movl %%ds, %1\n popl %%ds" : "=&r"(v), "=&r"(seen[1]) : "0"(-1) : "memory");
	check("LDS, 16 bits: offset", v, 0xffff1234);
	check("LDS: DS", seen[1], USER_DATA);
	TRY("movl $0x9c00, %%ebx\n movw $0x10, 4(%%ebx)\n movl %%esp, (%%ebx)\n lssl (%%ebx), %%esp\n cmpl resume_esp, %%esp\n je 8f\n ud2\n 8:");
	check_none("LSS");
	*(volatile uint32_t *)0x9c04 = 0x55555555;
	__asm__ volatile("movl %%esp, %%ecx\n movl $0x9c08, %%esp\n pushl %%fs\n movl %%esp, %0\n movl %%ecx, %%esp" : "=&r"(v) : : "ecx", "memory");
	check("PUSH FS: four bytes", v, 0x9c04);
	check(" of which two are written", *(volatile uint32_t *)0x9c04, 0x55550010);
}

/* --- SYSENTER and SYSEXIT (SDM 2B) --- */

extern uint8_t sys_entry[], sys_user[], sys_exited[], sys_enter[];
__asm__(".text\n sys_user: sysenter\n sys_entry: movl %cs, %eax\n movl %ss, %ecx\n movl %esp, %ebp\n pushfl\n popl %edi\n"
	"movl $16, %esi\n movl %esi, %ds\n movl %eax, seen\n movl %ecx, seen + 4\n movl %ebp, seen + 8\n movl %edi, seen + 12\n"
	"movl $sys_exited, %edx\n movl $user_stack_top, %ecx\n movl (%ecx), %ecx\n sysexit\n"
	"sys_exited: movl %cs, %eax\n movl %ss, %edx\n movl %esp, %ecx\n int $0x2f\n"
	".data\n user_stack_top: .long 0\n .text\n");
extern uint32_t user_stack_top;

static void sysenter(void)
{
	own(SYS, descriptor(0, 0xfffff, 0x9b, 0xc));
	own(SYS + 8, descriptor(0, 0xfffff, 0x93, 0xc));
	own(SYS + 16, descriptor(0, 0xfffff, 0xfb, 0xc));
	own(SYS + 24, descriptor(0, 0xfffff, 0xf3, 0xc));
	user_stack_top = USER_SP - 64;
	wrmsr(0x174, 0);
	enter((uint32_t)sys_user, USER_CODE, USER_SP, USER_DATA, 0x202);
	check_trap("GP: SYSENTER without a CS", 13, 0, (uint32_t)sys_user);
	TRY("sysexit");
	check_trap("GP: SYSEXIT without a CS", 13, 0, want_eip);
	wrmsr(0x174, SYS + 3); /* the RPL is ignored */
	wrmsr(0x175, 0x9f00);
	wrmsr(0x176, (uint32_t)sys_entry);
	enter((uint32_t)sys_user, USER_CODE, USER_SP, USER_DATA, 0x202);
	check("SYSENTER: CS", seen[0], SYS);
	check("SYSENTER: SS", seen[1], SYS + 8);
	check("SYSENTER: ESP", seen[2], 0x9f00);
	check("SYSENTER: IF is clear", seen[3] & 0x200, 0);
	check("SYSEXIT: CS", last.eax, SYS + 16 + 3);
	check("SYSEXIT: SS", last.edx, SYS + 24 + 3);
	check("SYSEXIT: ESP", last.ecx, user_stack_top);
	enter((uint32_t)sys_exited - 2, USER_CODE, USER_SP, USER_DATA, 2);
	check_trap("GP: SYSEXIT at CPL 3", 13, 0, (uint32_t)sys_exited - 2);
	TRY("syscall");
	check_trap("UD: SYSCALL outside 64-bit mode", 6, NO_ERROR, want_eip);
}

/* --- Virtual-8086 mode (SDM 3B 20.2 and 20.3) --- */

/* Runs the bytes at 8000h:0 with SS 9000h:1000h; pushes land at 91000h. */
static void v86(const char *code, unsigned n, uint32_t flags)
{
	for (unsigned k = 0; k < n; k++)
		((volatile uint8_t *)0x80000)[k] = (uint8_t)code[k];
	enter(0, 0x8000, 0x1000, 0x9000, 0x20002 | flags);
}
#define V86(bytes, flags) v86(bytes, sizeof(bytes) - 1, flags)
#define IOPL3 0x3000u

static void virtual_8086(void)
{
	static const struct {
		const char *name, *code;
		unsigned n, iopl, vector;
		uint32_t eip;
	} t[] = {
		{"GP: CLI", "\xfa", 1, 0, 13, 0}, {"GP: STI", "\xfb", 1, 0, 13, 0}, {"GP: PUSHF", "\x9c", 1, 0, 13, 0},
		{"GP: POPF", "\x9d", 1, 0, 13, 0}, {"GP: INT n", "\xcd\x2f", 2, 0, 13, 0}, {"GP: IRET", "\xcf", 1, 0, 13, 0},
		{"BP: INT3 at IOPL 0", "\xcc", 1, 0, 3, 1}, {"DB: INT1 at IOPL 0", "\xf1", 1, 0, 1, 1},
		{"INT n at IOPL 3", "\xcd\x2f", 2, IOPL3, 0x2f, 2}, {"GP: INT n of a gate of DPL 0", "\xcd\x2e", 2, IOPL3, 13, 0},
		{"GP: HLT", "\xf4", 1, IOPL3, 13, 0}, {"UD: LAR", "\x0f\x02\xc0", 3, IOPL3, 6, 0}, {"UD: ARPL", "\x63\xc0", 2, IOPL3, 6, 0},
		{"UD: SLDT", "\x0f\x00\xc0", 3, IOPL3, 6, 0}, {"GP: MOV from CR0", "\x0f\x20\xc0", 3, IOPL3, 13, 0},
		{"GP: LGDT", "\x0f\x01\x16\x00\x00", 5, IOPL3, 13, 0}, {"GP: IN, whatever IOPL", "\xec", 1, IOPL3, 13, 0},
		{"GP: a word over 64 KiB", "\xa1\xff\xff", 3, 0, 13, 0}, {"SS: POP over 64 KiB", "\xbc\xff\xff\x58", 4, 0, 12, 3},
		{"PUSHF POPF CLI STI at IOPL 3", "\x9c\x9d\xfa\xfb\xcc", 5, IOPL3, 3, 5}, {"GP: WRMSR", "\x0f\x30", 2, IOPL3, 13, 0},
		{"GP: CLTS", "\x0f\x06", 2, IOPL3, 13, 0}, {"GP: a far JMP beyond 64 KiB", "\x66\xea\x00\x00\x01\x00\x00\x80", 8, 0, 13, 0},
		{"GP: a far RET beyond 64 KiB", "\x66\x68\x00\x80\x00\x00\x66\x68\x00\x00\x01\x00\x66\xcb", 14, 0, 13, 12},
		{"GP: an IRET beyond 64 KiB", "\x66\x6a\x02\x66\x68\x00\x80\x00\x00\x66\x68\x00\x00\x01\x00\x66\xcf", 17, IOPL3, 13, 15},
		{"IRET at IOPL 3", "\x9c\x0e\x68\x08\x00\xcf\x90\x90\xcc", 9, IOPL3, 3, 9},
		{"a far RET by a stack that wraps", "\xbc\xfe\xff\xcb\x90\x90\x90\x90\x90\xcc", 10, 0, 3, 10},
		{"GP: a near JMP beyond 64 KiB", "\x66\xe9\x00\x00\x01\x00", 6, 0, 13, 0},
	};

	idt[0x2f] |= 3ull << 45;
	idt[3] |= 3ull << 45;
	*(volatile uint16_t *)0x9fffe = 9;
	*(volatile uint16_t *)0x90000 = 0x8000;
	for (unsigned k = 0; k < sizeof(t) / sizeof(t[0]); k++) {
		v86(t[k].code, t[k].n, t[k].iopl);
		check(t[k].name, last.vector, t[k].vector);
		check(" its EIP", last.eip, t[k].eip);
		check(" VM is in the flags pushed", last.eflags >> 17 & 1, 1);
	}
	V86("\x8c\xc8\x8e\xd8\xb8\x34\x12\x8e\xc0\xcc", 0);
	check("its DS on the frame", last.ds, 0x8000);
	check("its ES", last.es, 0x1234);
	check("its SS", last.ss, 0x9000);
	check("its ESP", last.esp, 0x1000);
	/* A far call and return, pushes of 16 bits. */
	V86("\x9a\x0a\x00\x00\x80\xcc\x90\x90\x90\x90\x89\xe0\xcb", 0);
	check("far CALL and RET", last.eip, 6);
	check(" SP inside", last.eax & 0xffff, 0xffc);
	check(" CS pushed", *(volatile uint16_t *)0x90ffe, 0x8000);
	/* The handler must be of DPL 0. */
	own(S1, descriptor(0, 0xfffff, 0xbb, 0xc));
	idt[3] = gate(S1, trap_entries[3], 0xee, 0);
	V86("\xcc", 0);
	check("GP: an interrupt to DPL 1", last.vector << 16 | last.error, 13 << 16 | S1);
	interrupt_gates();
}

/* --- The I/O permission bitmap (SDM 1 19.5.2) --- */

static struct {
	struct tss t;
	uint8_t map[0x21];
} wide_tss __attribute__((aligned(128)));

static void io_bitmap(void)
{
	static const struct {
		const char *name, *code;
		unsigned n;
		uint16_t port;
		unsigned vector;
	} t[] = {
		{"IN of a port that is open", "\xec", 1, 0x80, 0x2f}, {"GP: the next one isn't", "\xec", 1, 0x82, 13},
		{"a word of two open ports", "\x66\xed", 2, 0x80, 0x2f}, {"GP: a word over the end of them", "\x66\xed", 2, 0x81, 13},
		{"GP: a doubleword", "\xed", 1, 0x80, 13}, {"OUT", "\xee", 1, 0x81, 0x2f}, {"OUT of an immediate port", "\xe6\x80", 2, 0, 0x2f},
		{"the last ports of the map", "\xec", 1, 0xf8, 0x2f}, {"GP: beyond the limit", "\xec", 1, 0x108, 13},
		{"OUTSB", "\x6e", 1, 0x80, 0x2f}, {"GP: INSB", "\x6c", 1, 0x90, 13},
	};

	wide_tss.t = main_tss;
	wide_tss.t.iomap = sizeof(wide_tss.t);
	for (unsigned k = 0; k < sizeof(wide_tss.map); k++)
		wide_tss.map[k] = 0xff;
	wide_tss.map[0x80 / 8] = 0xfc;
	wide_tss.map[0xf8 / 8] = 0;
	own(S0, descriptor((uint32_t)&wide_tss, sizeof(wide_tss) - 1, 0x89, 0));
	__asm__ volatile("ltr %w0" : : "r"(S0));
	idt[0x2f] |= 3ull << 45;
	for (unsigned k = 0; k < sizeof(t) / sizeof(t[0]); k++) {
		/* DS; movl user_stack, %esi; movw port, %dx */
		static const uint8_t begin[] = {0x66, 0xb8, USER_DATA, 0, 0x8e, 0xd8, 0xbe, 0, 0x9c, 0, 0, 0x66, 0xba};
		volatile uint8_t *p = (volatile uint8_t *)0x9a00;

		copy((uint32_t)p, begin, begin + sizeof(begin));
		*(volatile uint16_t *)(p + sizeof(begin)) = t[k].port;
		copy((uint32_t)p + sizeof(begin) + 2, (const uint8_t *)t[k].code, (const uint8_t *)t[k].code + t[k].n);
		*(volatile uint16_t *)(p + sizeof(begin) + 2 + t[k].n) = 0x2fcd;
		enter(0x9a00, USER_CODE, USER_SP, USER_DATA, 2);
		check(t[k].name, last.vector, t[k].vector);
	}
	V86("\xba\x80\x00\xec\xf4", 0);
	check("virtual-8086: IN of an open port", last.eip, 4);
	V86("\xba\x90\x00\xec\xf4", IOPL3);
	check("virtual-8086: IN of another, whatever IOPL", last.eip, 3);
	*(volatile uint32_t *)0x9a00 = 0x2fcdec; /* IN; INT 2Fh */
	enter(0x9a00, USER_CODE, USER_SP, USER_DATA, 0x3002);
	check("IOPL 3 asks no bitmap", last.vector, 0x2f);
	own(MAIN_TSS, descriptor((uint32_t)&main_tss, 103, 0x89, 0));
	__asm__ volatile("ltr %w0" : : "r"(MAIN_TSS));
}

/* --- Alignment checks at CPL 3 (SDM 3A table 6-7; where it leaves a choice, as processors do) --- */

static uint8_t misaligned[1024] __attribute__((aligned(64)));

static void alignment(void)
{
	static const struct {
		const char *name, *code;
		unsigned n, offset, vector;
	} t[] = {
		{"AC: m16:16 at 1", "\x66\x0f\xb5\x06", 4, 1, 17}, {"m16:16 at 2", "\x66\x0f\xb5\x06", 4, 2, 0x2f},
		{"AC: m16:32 at 2", "\x0f\xb5\x06", 3, 2, 17}, {"m16:32 at 4", "\x0f\xb5\x06", 3, 4, 0x2f},
		{"AC: FXSAVE at 2", "\x0f\xae\x06", 3, 2, 17}, {"GP: FXSAVE at 4", "\x0f\xae\x06", 3, 4, 13},
		{"MOVUPS at 1", "\x0f\x10\x06", 3, 1, 0x2f}, {"GP: MOVAPS at 1", "\x0f\x28\x06", 3, 1, 13},
		{"AC: MOVSD at 4", "\xf2\x0f\x10\x06", 4, 4, 17}, {"AC: FLD m80 at 4", "\xdb\x2e", 2, 4, 17},
		{"FLD m80 at 8", "\xdb\x2e", 2, 8, 0x2f}, {"AC: FNSTENV at 2", "\xd9\x36", 2, 2, 17}, {"FNSTENV at 4", "\xd9\x36", 2, 4, 0x2f},
		{"AC: 16-bit FNSTENV at 1", "\x66\xd9\x36", 3, 1, 17}, {"16-bit FNSTENV at 2", "\x66\xd9\x36", 3, 2, 0x2f},
		{"AC: a word at 1", "\x66\x8b\x06", 3, 1, 17}, {"AC: CMPXCHG8B at 4", "\x0f\xc7\x0e", 3, 4, 17},
		{"AC: BT at 2", "\x0f\xa3\x06", 3, 2, 17}, {"a byte at 1", "\x8a\x06", 2, 1, 0x2f}, {"CLFLUSH at 1", "\x0f\xae\x3e", 3, 1, 0x2f},
	};

	static const uint8_t set_ds[] = {0x66, 0xb8, USER_DATA, 0, 0x8e, 0xd8};

	idt[0x2f] |= 3ull << 45;
	WRITE_CR(0, READ_CR(0) | 1 << 18);
	WRITE_CR(4, READ_CR(4) | 0x200);
	for (unsigned k = 0; k < sizeof(t) / sizeof(t[0]); k++) {
		volatile uint8_t *p = (volatile uint8_t *)0x9a00;

		copy((uint32_t)p, set_ds, set_ds + sizeof(set_ds));
		p += sizeof(set_ds);
		*p++ = 0xbe; /* movl $..., %esi */
		*(volatile uint32_t *)p = (uint32_t)misaligned + t[k].offset;
		copy((uint32_t)p + 4, (const uint8_t *)t[k].code, (const uint8_t *)t[k].code + t[k].n);
		*(volatile uint16_t *)(p + 4 + t[k].n) = 0x2fcd;
		enter(0x9a00, USER_CODE, USER_SP, USER_DATA, 0x40002);
		check(t[k].name, last.vector, t[k].vector);
		check(" its error code", last.error, t[k].vector == 0x2f ? NO_ERROR : 0);
	}
	WRITE_CR(0, READ_CR(0) & ~(1u << 18));
	WRITE_CR(4, READ_CR(4) & ~0x200u);
}

/* --- PAE's PDPTEs are registers (SDM 3A 4.4.1) --- */

static uint64_t pdpt[4] __attribute__((aligned(32)));
static uint64_t directories[3][512] __attribute__((aligned(4096)));

static void pae(void)
{
	*(volatile uint32_t *)0x800000 = 0xaaaa;
	*(volatile uint32_t *)0xa00000 = 0xbbbb;
	for (uint32_t k = 0; k < 16; k++)
		directories[0][k] = k << 21 | 0x83;
	directories[1][0] = 0x800083;
	directories[2][0] = 0xa00083;
	pdpt[0] = (uint32_t)directories[0] | 1;
	pdpt[1] = (uint32_t)directories[1] | 1;
	WRITE_CR(4, 0x20);
	WRITE_CR(3, pdpt);
	WRITE_CR(0, READ_CR(0) | 0x80010000);
	check("PAE: the second gigabyte", *(volatile uint32_t *)0x40000000, 0xaaaa);
	((volatile uint64_t *)pdpt)[1] = (uint32_t)directories[2] | 1;
	__asm__ volatile("invlpg 0x40000000" : : : "memory");
	check("PAE: a PDPTE in memory is only memory", *(volatile uint32_t *)0x40000000, 0xaaaa);
	((volatile uint64_t *)pdpt)[2] = 1 | 2;
	TRY("movl %%cr3, %%eax\n 5: movl %%eax, %%cr3");
	check("GP: CR3 with a reserved bit in a PDPTE", last.vector << 16 | last.error, 13 << 16);
	check(" which loads none of them", *(volatile uint32_t *)0x40000000, 0xaaaa);
	((volatile uint64_t *)pdpt)[2] = 2; /* not present: ignored */
	WRITE_CR(3, pdpt);
	check("PAE: CR3 loads all four", *(volatile uint32_t *)0x40000000, 0xbbbb);
	TRY("movl 0x80000000, %%eax");
	check_trap("PF: not present", 14, 0, want_eip);
	WRITE_CR(0, READ_CR(0) & 0x7fffffff);
	WRITE_CR(4, 0);
}

/* IA-32e mode isn't entered without PAE, nor with a 16-bit TSS (SDM 3A 9.8.5). */
static void no_long_mode(void)
{
	wrmsr(0xc0000080, 0x100);
	WRITE_CR(3, pdpt);
	TRY("movl %%cr0, %%eax\n orl $0x80000000, %%eax\n 5: movl %%eax, %%cr0");
	check("GP: LME and PG without PAE", last.vector << 16 | last.error, 13 << 16);
	WRITE_CR(4, 0x20);
	own(S0, descriptor((uint32_t)&main_tss, 43, 0x81, 0));
	__asm__ volatile("ltr %w0" : : "r"(S0));
	TRY("movl %%cr0, %%eax\n orl $0x80000000, %%eax\n 5: movl %%eax, %%cr0");
	check("GP: LME and PG with a 16-bit TSS", last.vector << 16 | last.error, 13 << 16);
	check(" LMA is clear", (uint32_t)rdmsr(0xc0000080), 0x100);
	WRITE_CR(4, 0);
	wrmsr(0xc0000080, 0);
	own(MAIN_TSS, descriptor((uint32_t)&main_tss, 103, 0x89, 0));
	__asm__ volatile("ltr %w0" : : "r"(MAIN_TSS));
}

/* --- The A20 gate --- */

extern uint8_t a20_begin[], a20_end[];
/* Runs below 1 MiB, its stack there too. 3: read by 92h; the others by the keyboard controller's output port and commands. */
__asm__(".text\n a20_begin: movl %esp, %edi\n movl $0x9e00, %esp\n movl 0x300000, %eax\n movl %eax, 0x9f00\n"
	"movb $0, %al\n outb %al, $0x92\n movl 0x300000, %eax\n movl %eax, 0x9f04\n inb $0x92, %al\n movb %al, 0x9f08\n"
	"movl $0x5555, 0x300004\n movl $0x189800, %ecx\n call *%ecx\n movl %eax, 0x9f0c\n"
	"movb $2, %al\n outb %al, $0x92\n movl 0x300000, %eax\n movl %eax, 0x9f10\n movl $0x189800, %ecx\n call *%ecx\n movl %eax, 0x9f14\n"
	"movb $0xd1, %al\n outb %al, $0x64\n movb $0xdd, %al\n outb %al, $0x60\n movl 0x300000, %eax\n movl %eax, 0x9f18\n"
	"movb $0xdf, %al\n outb %al, $0x64\n movl 0x300000, %eax\n movl %eax, 0x9f1c\n movb $0xdd, %al\n outb %al, $0x64\n"
	"movl 0x300000, %eax\n movl %eax, 0x9f20\n movb $0xd1, %al\n outb %al, $0x64\n movb $0xdf, %al\n outb %al, $0x60\n"
	"movl %edi, %esp\n ret\n a20_end:\n");

static void a20(void)
{
	volatile uint32_t *r = (volatile uint32_t *)0x9f00;
	static const uint8_t one[] = {0xb8, 0x11, 0x11, 0, 0, 0xc3}, two[] = {0xb8, 0x22, 0x22, 0, 0, 0xc3};

	copy(LOW, a20_begin, a20_end);
	copy(0x089800, one, one + 6);
	copy(0x189800, two, two + 6);
	*(volatile uint32_t *)0x200000 = 0x20;
	*(volatile uint32_t *)0x300000 = 0x30;
	*(volatile uint32_t *)0x200004 = *(volatile uint32_t *)0x300004 = 0;
	__asm__ volatile("call *%0" : : "r"(LOW) : "eax", "ecx", "edi", "memory", "cc");
	check("A20: on", r[0], 0x30);
	check("A20: off, 3 MiB is 2 MiB", r[1], 0x20);
	check("A20: port 92h", r[2] & 2, 0);
	check("A20: off, a store", *(volatile uint32_t *)0x200004, 0x5555);
	check("A20: and not there", *(volatile uint32_t *)0x300004, 0);
	check("A20: off, what runs", r[3], 0x1111);
	check("A20: on again", r[4], 0x30);
	check("A20: on again, what runs", r[5], 0x2222);
	check("A20: off by the controller's output port", r[6], 0x20);
	check("A20: on by its command", r[7], 0x30);
	check("A20: off by its command", r[8], 0x20);
	check("A20: on by its output port", *(volatile uint32_t *)0x300000, 0x30);
}

void kmain(void)
{
	guest_init();
	descriptors();
	loads();
	ldts();
	limits();
	stack_limits();
	shrinking();
	call_gates();
	inner_stacks();
	interrupt_gates_16();
	conforming_code();
	other_transfers();
	sysenter();
	virtual_8086();
	io_bitmap();
	alignment();
	pae();
	no_long_mode();
	a20();
	leave();
}
