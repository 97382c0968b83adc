/* SPDX-License-Identifier: MIT */
/*
 * Hardware task switches (SDM 3A chapter 7, in the 2023 numbering chapter 8): by CALL, JMP, IRET, INT and faults; 32- and 16-bit
 * TSS; link, NT, busy bits, TS (table 7-2); what is checked in the old task and what in the new one (table 7-1); the T flag; local
 * breakpoints (3B 17.2.4); CR3; a virtual-8086 task; #DF by a task gate.
 *
 * Faults of a task just entered go through task gates to a handler task, as they must where the new stack may be bad. A handler task
 * notes what it was given and jumps back to the main task.
 */
#include "guest32.h"

enum { TASK_A = OWN, TASK_16 = OWN + 8, ABSENT = OWN + 16, ROOM = OWN + 24, HANDLER = OWN + 32 /* 16 of them */, GATE = HANDLER + 16 * 8,
       LDT_A = GATE + 8 };
enum { AVAILABLE = 0x89, BUSY = 0x8b, TASK_GATE = 0x85 };
#define NT 0x4000u
#define TF 0x100u
#define RF 0x10000u
#define VM 0x20000u

static struct tss task_a __attribute__((aligned(128))), handler[16] __attribute__((aligned(128)));
struct tss16 {
	uint16_t link, sp0, ss0, sp1, ss1, sp2, ss2, ip, flags, ax, cx, dx, bx, sp, bp, si, di, es, cs, ss, ds, ldt;
} __attribute__((packed));
static struct tss16 task_16 __attribute__((aligned(64)));
static uint8_t stack_a[1024], stack_h[1024];

/* What task A and the handlers see. */
uint32_t seen_flags, seen_tr, seen_esp, seen_ebx, seen_cr0, seen_value, runs;
uint32_t h_vector, h_error, h_tr, h_runs, main_resume, main_eip;
extern uint8_t a_entry[], a_again[], h_entries[], h_entry_size[], jump_back[], a_value[];

__asm__(".text\n"
	"a_entry: pushfl\n popl seen_flags\n str %eax\n movl %eax, seen_tr\n movl %esp, seen_esp\n movl %ebx, seen_ebx\n"
	"movl %cr0, %eax\n movl %eax, seen_cr0\n clts\n incl runs\n iret\n a_again: jmp a_entry\n"
	/* The same, going back by a jump to the main task. */
	"jump_back: pushfl\n popl seen_flags\n str %eax\n movl %eax, seen_tr\n incl runs\n clts\n ljmp $0x38, $0\n jmp jump_back\n"
	/* Reads a page that this task maps otherwise. */
	"a_value: movl 0x800000, %eax\n movl %eax, seen_value\n clts\n iret\n jmp a_value\n"
	/* A handler task for each of the vectors 0 to 15. */
	".altmacro\n .macro hentry v\n .balign 32\n .if \\v == 8 || (\\v >= 10 && \\v <= 14)\n popl h_error\n .else\n movl $-1, h_error\n .endif\n"
	"movl $\\v, h_vector\n jmp h_common\n .endm\n .balign 32\n h_entries:\n .set i, 0\n .rept 16\n hentry %i\n .set i, i + 1\n .endr\n"
	"h_common: str %eax\n movl %eax, h_tr\n incl h_runs\n clts\n movl main_resume, %eax\n testl %eax, %eax\n jz 1f\n"
	/* Where the main task can't go on as it was left: elsewhere, on its old stack. */
	"movl main_tss + 0x20, %ecx\n movl %ecx, main_eip\n movl %eax, main_tss + 0x20\n movl resume_esp, %eax\n movl %eax, main_tss + 0x38\n"
	"movl $16, main_tss + 0x50\n 1:"
	"andb $0xfd, gdt + 0x38 + 5\n ljmp $0x38, $0\n");

static void reset_tasks(void)
{
	task_a = (struct tss){.eip = (uint32_t)a_entry, .eflags = 2, .ebx = 0xb0b0, .esp = (uint32_t)(stack_a + 1024), .es = DATA, .cs = CODE,
			      .ss = DATA, .ds = DATA, .fs = DATA, .gs = DATA, .esp0 = (uint32_t)(stack_a + 512), .ss0 = DATA, .iomap = 104};
	own(TASK_A, descriptor((uint32_t)&task_a, 103, AVAILABLE, 0));
	own(MAIN_TSS, descriptor((uint32_t)&main_tss, 103, BUSY, 0));
	for (unsigned k = 0; k < 16; k++) {
		handler[k] = (struct tss){.eip = (uint32_t)h_entries + 32 * k, .eflags = 2, .esp = (uint32_t)(stack_h + 1024), .es = DATA,
					  .cs = CODE, .ss = DATA, .ds = DATA, .fs = DATA, .gs = DATA, .iomap = 104};
		own(HANDLER + 8 * k, descriptor((uint32_t)&handler[k], 103, AVAILABLE, 0));
	}
	interrupt_gates();
	h_vector = 255;
	h_error = h_runs = runs = seen_flags = 0;
}

static void gate_vector(unsigned vector)
{
	idt[vector] = gate(HANDLER + 8 * vector, 0, TASK_GATE, 0);
}

#define CALL_A __asm__ volatile("lcall $0x40, $0" : : : "memory", "cc")

/* The main task faults, a handler task puts it behind the instruction. */
#define FAULT_BY_TASK(setup, insn) \
	do { \
		h_vector = 255; \
		__asm__ volatile("pushal\n movl $0f, want_eip\n movl %%esp, resume_esp\n movl $1f, main_resume\n" setup "\n0: " insn \
				 "\n1: popal\n movl $0, main_resume" : : : "memory", "cc"); \
	} while (0)

static void there_and_back(void)
{
	reset_tasks();
	main_tss.link = 0x1234;
	__asm__ volatile("stc\n lcall $0x40, $0\n setc %0" : "=m"(*(uint8_t *)&seen_value) : : "memory", "cc");
	check("CALL: the task ran once", runs, 1);
	check("CALL: TR", seen_tr, TASK_A);
	check("CALL: NT is set", seen_flags & NT, NT);
	check("CALL: its stack", seen_esp, (uint32_t)(stack_a + 1024));
	check("CALL: its registers", seen_ebx, 0xb0b0);
	check("CALL: CR0.TS is set", seen_cr0 & 8, 8);
	check("CALL: link to the caller", task_a.link, MAIN_TSS);
	check("IRET: the caller's flags", *(uint8_t *)&seen_value, 1);
	check("IRET: the task is available", access_of(TASK_A), AVAILABLE);
	check("IRET: the caller is busy still", access_of(MAIN_TSS), BUSY);
	check("IRET: saved EIP is behind it", task_a.eip, (uint32_t)a_again);
	check("IRET: NT is clear in the saved flags", task_a.eflags & NT, 0);
	check("IRET leaves the caller's link", main_tss.link, 0x1234);
	CALL_A;
	check("again from behind the IRET", runs, 2);

	reset_tasks();
	task_a.eip = (uint32_t)jump_back;
	task_a.link = 0x5678;
	__asm__ volatile("ljmp $0x40, $0" : : : "memory", "cc");
	check("JMP: the task ran", runs, 1);
	check("JMP: NT is clear", seen_flags & NT, 0);
	check("JMP: the link isn't written", task_a.link, 0x5678);
	check("JMP back: that task is available", access_of(TASK_A), AVAILABLE);
	check("JMP back: the main task is busy", access_of(MAIN_TSS), BUSY);

	reset_tasks();
	own(GATE, gate(TASK_A, 0xdead, TASK_GATE, 0));
	__asm__ volatile("lcall $0xe0, $0x1234" : : : "memory", "cc"); /* GATE: the offset means nothing */
	check("CALL through a task gate", runs, 1);
	idt[0x40] = gate(TASK_A, 0, TASK_GATE, 0);
	task_a.eip = (uint32_t)a_entry;
	__asm__ volatile("int $0x40" : : : "memory", "cc");
	check("INT through a task gate", runs, 2);
	check("INT: NT is set", seen_flags & NT, NT);
	check("INT: link", task_a.link, MAIN_TSS);
}

/* Until the new task is entered faults are the old task's (SDM 3A table 7-1, first rows). */
static void refused(void)
{
	reset_tasks();
	TRY("lcall $0x38, $0");
	check_trap("GP: CALL to a busy task", 13, MAIN_TSS, want_eip);
	TRY("ljmp $0x38, $0");
	check_trap("GP: JMP to a busy task", 13, MAIN_TSS, want_eip);
	own(ABSENT, descriptor((uint32_t)&task_a, 103, 0x09, 0));
	TRY("lcall $0x50, $0");
	check_trap("NP: a task that isn't present", 11, ABSENT, want_eip);
	own(ABSENT, descriptor((uint32_t)&task_a, 102, AVAILABLE, 0));
	TRY("lcall $0x50, $0");
	check_trap("TS: limit below 67h", 10, ABSENT, want_eip);
	check(" not marked busy", access_of(ABSENT), AVAILABLE);
	own(ABSENT, descriptor((uint32_t)&task_16, 42, 0x81, 0));
	TRY("lcall $0x50, $0");
	check_trap("TS: a 16-bit TSS with a limit below 2Bh", 10, ABSENT, want_eip);
	own(GATE, gate(MAIN_TSS, 0, TASK_GATE, 0));
	TRY("lcall $0xe0, $0");
	check_trap("GP: a task gate to a busy task", 13, MAIN_TSS, want_eip);
	own(GATE, gate(TASK_A | 4, 0, TASK_GATE, 0));
	TRY("lcall $0xe0, $0");
	check_trap("GP: a task gate that names the LDT", 13, TASK_A | 4, want_eip);
	own(GATE, gate(DATA, 0, TASK_GATE, 0));
	TRY("lcall $0xe0, $0");
	check_trap("GP: a task gate to a data segment", 13, DATA, want_eip);
	own(GATE, gate(TASK_A, 0, 0x05, 0));
	TRY("lcall $0xe0, $0");
	check_trap("NP: a task gate that isn't present", 11, GATE, want_eip);
	main_tss.link = TASK_A;
	TRY_FROM("pushfl\n orl $0x4000, (%%esp)\n popfl\n", "iret");
	check_trap("TS: IRET to a task that isn't busy", 10, TASK_A, want_eip);
	main_tss.link = TASK_A | 4;
	TRY_FROM("pushfl\n orl $0x4000, (%%esp)\n popfl\n", "iret");
	check_trap("TS: IRET by a link into the LDT", 10, TASK_A | 4, want_eip);
	own(TASK_A, descriptor((uint32_t)&task_a, 103, BUSY & 0x7f, 0));
	main_tss.link = TASK_A;
	TRY_FROM("pushfl\n orl $0x4000, (%%esp)\n popfl\n", "iret");
	check_trap("NP: IRET to a task that isn't present", 11, TASK_A, want_eip);
	check("no task ran", runs, 0);
}

/* CALL to task A whose TSS is bad: the handler task of `vector` sees `error`; task A was entered, and is where it was to begin. */
static void broken(const char *name, unsigned vector, uint32_t error)
{
	uint32_t eip = task_a.eip;

	for (unsigned k = 10; k < 14; k++)
		gate_vector(k);
	CALL_A;
	check(name, h_vector, vector);
	check(" its error code", h_error, error);
	check(" in the context of the new task", handler[vector].link, TASK_A);
	check(" at its first instruction", task_a.eip, eip);
	check(" which is busy", access_of(TASK_A), BUSY);
	check(" which linked to its caller", task_a.link, MAIN_TSS);
	check(" and didn't run", runs, 0);
	reset_tasks();
}

static void bad_tasks(void)
{
	own(ROOM, descriptor(0, 0xfffff, 0x13, 0xc)); /* data, not present */
	reset_tasks();
	task_a.cs = 0;
	broken("TS: CS is null", 10, 0);
	task_a.cs = DATA;
	broken("TS: CS isn't code", 10, DATA);
	task_a.cs = CODE + 3;
	broken("TS: CS with DPL below its RPL", 10, CODE);
	task_a.cs = 0x3f8;
	broken("TS: CS beyond the GDT", 10, 0x3f8);
	own(ROOM, descriptor(0, 0xfffff, 0x1b, 0xc)); /* code, not present */
	task_a.cs = ROOM;
	broken("NP: CS", 11, ROOM);
	own(ROOM, descriptor(0, 0xfffff, 0x13, 0xc));
	task_a.ss = 0;
	broken("TS: SS is null", 10, 0);
	task_a.ss = USER_DATA;
	broken("TS: SS of another privilege", 10, USER_DATA & 0xfffc);
	task_a.ss = CODE;
	broken("TS: SS isn't writable", 10, CODE);
	task_a.ss = ROOM;
	broken("SS: SS isn't present", 12, ROOM);
	task_a.ds = ROOM;
	broken("NP: DS", 11, ROOM);
	task_a.es = MAIN_TSS;
	broken("TS: ES is no segment", 10, MAIN_TSS);
	task_a.gs = 0x3f8;
	broken("TS: GS beyond the GDT", 10, 0x3f8);
	task_a.ldt = DATA;
	broken("TS: LDT isn't one", 10, DATA);
	own(LDT_A, descriptor((uint32_t)gdt, 0xff, 0x02, 0));
	task_a.ldt = LDT_A;
	broken("TS: LDT isn't present", 10, LDT_A);
	task_a.ldt = LDT_A | 4;
	broken("TS: LDT in the LDT", 10, LDT_A | 4);
	own(ROOM, descriptor(0, 0xfff, 0x9b, 4));
	task_a.cs = ROOM;
	broken("GP: EIP beyond CS", 13, 0);
	own(LDT_A, descriptor((uint32_t)gdt, 0xff, 0x82, 0));
	task_a.ldt = LDT_A;
	task_a.ds = DATA | 4;
	CALL_A;
	check("an LDT that is one, and a segment in it", runs, 1);
}

static void traps(void)
{
	reset_tasks();
	gate_vector(1);
	task_a.trap = 1;
	WRITE_DR(6, 0xffff0ff0);
	CALL_A;
	check("T flag: #DB", h_vector, 1);
	check(" DR6.BT", READ_DR(6), 0xffff8ff0);
	check(" before the first instruction", task_a.eip, (uint32_t)a_entry);
	check(" which hasn't run", runs, 0);
	reset_tasks();
	/* A local breakpoint ends with its task, a global one does not. */
	gate_vector(1);
	WRITE_DR(6, 0xffff0ff0);
	WRITE_DR(0, a_entry);
	WRITE_DR(7, 0x401);
	CALL_A;
	check("local breakpoint: gone in the new task", h_vector, 255);
	check(" DR7.L0", READ_DR(7) & 0xff, 0);
	check(" and it ran", runs, 1);
	reset_tasks();
	gate_vector(1);
	WRITE_DR(7, 0x402);
	CALL_A;
	check("global breakpoint: #DB", h_vector, 1);
	check(" DR6.B0", READ_DR(6) & 0xe00f, 1);
	check(" in the new task", task_a.eip, (uint32_t)a_entry);
	WRITE_DR(7, 0x400);
	WRITE_DR(6, 0xffff0ff0);
	/* A fault by a task gate leaves its flags with RF, and an error code on the handler's stack (SDM 3B 17.3.1.1). */
	reset_tasks();
	gate_vector(13);
	FAULT_BY_TASK("movw $0xf8, %%ax\n", "movw %%ax, %%fs");
	check("GP by a task gate", h_vector, 13);
	check(" its error code", h_error, 0xf8);
	check(" the selector is the task's", h_tr, HANDLER + 8 * 13);
	check(" its link", handler[13].link, MAIN_TSS);
	check(" the saved EIP", main_eip, want_eip);
	check(" RF in the saved flags", main_tss.eflags & RF, RF);
}

/* --- Other tasks --- */

static void copy(uint32_t to, const uint8_t *from, const uint8_t *end)
{
	while (from < end)
		*(volatile uint8_t *)to++ = *from++;
}

extern uint8_t code_16[], code_16_iret[], code_16_end[], code_v86[], code_v86_hlt[], code_v86_end[], user_int[], user_call[];
uint32_t seen_16[4];
__asm__(".text\n code_16: movl %ebx, seen_16\n str %eax\n movl %eax, seen_16 + 4\n pushfl\n popl seen_16 + 8\n"
	"movl %fs, %eax\n movl %eax, seen_16 + 12\n clts\n movw $0x7777, %bx\n code_16_iret: iret\n code_16_end:\n"
	".code16\n code_v86: movw $0x1234, %ax\n movw %ax, 0xf00\n code_v86_hlt: hlt\n code_v86_end: .code32\n"
	"user_int: int $0x40\n int $0x2f\n user_call: lcall $0x40, $0\n");

static void tss_16(void)
{
	reset_tasks();
	copy(0x9000, code_16, code_16_end);
	task_16 = (struct tss16){.ip = 0x9000, .flags = 2, .bx = 0x1616, .sp = 0x9f00, .es = DATA, .cs = CODE, .ss = DATA, .ds = DATA};
	own(TASK_16, descriptor((uint32_t)&task_16, 43, 0x81, 0));
	__asm__ volatile("movl %%ds, %%eax\n movl %%eax, %%fs\n lcall $0x48, $0" : : : "eax", "memory", "cc");
	check("16-bit TSS: its BX", seen_16[0], 0xffff1616); /* the upper half is undefined */
	check("16-bit TSS: TR", seen_16[1], TASK_16);
	check("16-bit TSS: NT", seen_16[2] & NT, NT);
	check("16-bit TSS: FS, which it hasn't, is null", seen_16[3], 0);
	check("16-bit TSS: link", task_16.link, MAIN_TSS);
	check("16-bit TSS: saved IP", task_16.ip, 0x9000 + (uint32_t)(code_16_iret - code_16) + 1);
	check("16-bit TSS: saved BX", task_16.bx, 0x7777);
	check("16-bit TSS: saved flags", task_16.flags & NT, 0);
	check("16-bit TSS: available", access_of(TASK_16), 0x81);
	check("back: the caller's FS", ({ uint32_t v_; __asm__ volatile("movl %%fs, %0" : "=r"(v_)); v_; }), DATA);
}

static void virtual_8086(void)
{
	reset_tasks();
	gate_vector(13);
	copy(0x8000, code_v86, code_v86_end);
	*(volatile uint16_t *)0x8f00 = 0;
	task_a.eflags = VM | 2;
	task_a.cs = task_a.ds = 0x800;
	task_a.ss = 0x900;
	task_a.esp = 0x100;
	task_a.eip = 0;
	CALL_A;
	check("a virtual-8086 task ran", *(volatile uint16_t *)0x8f00, 0x1234);
	check(" up to its HLT: #GP", h_vector, 13);
	check(" its error code", h_error, 0);
	check(" its saved EIP", task_a.eip, (uint32_t)(code_v86_hlt - code_v86));
	check(" its saved flags: VM and NT", task_a.eflags & (VM | NT), VM | NT);
	check(" its saved CS", task_a.cs, 0x800);
}

static void from_user(void)
{
	static uint8_t user_stack[512];
	uint32_t sp = (uint32_t)user_stack + 512;

	reset_tasks();
	idt[0x40] = gate(TASK_A, 0, TASK_GATE | 0x60, 0);
	idt[0x2f] |= 3ull << 45;
	enter((uint32_t)user_int, USER_CODE, sp, USER_DATA, 2);
	check("INT from CPL 3 through a task gate: ran", runs, 1);
	check(" and came back to CPL 3", last.vector, 0x2f);
	check(" its CS", last.cs, USER_CODE);
	check(" its ESP", last.esp, sp);
	enter((uint32_t)user_call, USER_CODE, sp, USER_DATA, 2);
	check_trap("GP: CPL 3 calls a task of DPL 0", 13, TASK_A, (uint32_t)user_call);
	idt[0x40] = gate(TASK_A, 0, TASK_GATE, 0);
	enter((uint32_t)user_int, USER_CODE, sp, USER_DATA, 2);
	check_trap("GP: CPL 3 and a task gate of DPL 0", 13, 0x40 * 8 + 2, (uint32_t)user_int);
}

static uint32_t directory[2][1024] __attribute__((aligned(4096)));

static void address_spaces(void)
{
	reset_tasks();
	*(volatile uint32_t *)0x800000 = 0xaaaa;
	*(volatile uint32_t *)0xc00000 = 0xbbbb;
	for (uint32_t k = 0; k < 8; k++)
		directory[0][k] = directory[1][k] = k << 22 | 0x83;
	directory[1][2] = 3u << 22 | 0x83;
	main_tss.cr3 = (uint32_t)directory[0];
	task_a.cr3 = (uint32_t)directory[1];
	task_a.eip = (uint32_t)a_value;
	WRITE_CR(4, READ_CR(4) | 0x10);
	WRITE_CR(3, directory[0]);
	WRITE_CR(0, READ_CR(0) | 0x80000000);
	check("paging: the main task's page", *(volatile uint32_t *)0x800000, 0xaaaa);
	CALL_A;
	check("paging: the task's page", seen_value, 0xbbbb);
	check("paging: the main task's page again", *(volatile uint32_t *)0x800000, 0xaaaa);
	check("paging: CR3", READ_CR(3), (uint32_t)directory[0]);
	WRITE_CR(0, READ_CR(0) & 0x7fffffff);
	WRITE_CR(4, READ_CR(4) & ~0x10u);
}

static void double_fault(void)
{
	reset_tasks();
	own(ROOM, descriptor(0, 0xfff, 0x93, 4));
	gate_vector(8);
	/* #UD can't be pushed: #SS, which can't be pushed either: #DF. */
	FAULT_BY_TASK("movl $0x58, %%eax\n movl %%eax, %%ss\n movl $0x3000, %%esp\n", "ud2");
	check("DF by a task gate", h_vector, 8);
	check(" its error code", h_error, 0);
	check(" at the first instruction that faulted", main_eip, want_eip);
	/* Delivered to a task the pair is one #TS, on a good stack: a fault of a benign exception's delivery is handled by itself. */
	reset_tasks();
	gate_vector(10);
	handler[6].cs = 0;
	gate_vector(6);
	FAULT_BY_TASK("", "ud2");
	check("UD to a bad task: #TS there", h_vector, 10);
	check(" EXT is set", h_error, 1);
	check(" in that task's context", handler[10].link, HANDLER + 8 * 6);
}

void kmain(void)
{
	guest_init();
	there_and_back();
	refused();
	bad_tasks();
	traps();
	tss_16();
	virtual_8086();
	from_user();
	address_spaces();
	double_fault();
	leave();
}
