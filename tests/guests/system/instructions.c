/* SPDX-License-Identifier: MIT */
/*
 * System instructions one by one in 64-bit mode: FS and GS bases, SWAPGS, control registers and their faults, LMSW and SMSW, PUSHF and
 * POPF of each size, clocks and entropy, descriptor-table instructions, string I/O with its faults and steps, segment loads.
 */
#include "guest.h"

#define VA 0x8000000000ull /* PML4 entry 1 */
#define USER_CODE (0x28 + 3)
#define USER_DATA (0x20 + 3)
enum { P = 1, W = 2 };
#define GP0(name) check_trap(name, 13, 0, want_rip)
#define UD(name) check_trap(name, 6, NO_ERROR, want_rip)

extern uint64_t pml4[], pd[];
#define GP0_SELECTOR(name, sel) check_trap(name, 13, sel, want_rip)
static uint64_t pdpt1[512] __attribute__((aligned(4096)));
static uint64_t pd1[512] __attribute__((aligned(4096)));
static uint64_t pt1[512] __attribute__((aligned(4096)));
static uint8_t page[4096] __attribute__((aligned(4096)));
uint64_t value, result, flags_image;
uint8_t bytes[64];
struct {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed)) table;

static void bases(void)
{
	uint64_t fs = rdmsr(0xc0000100), gs = rdmsr(0xc0000101);

	TRY("rdfsbase %%rax");
	UD("UD RDFSBASE without CR4.FSGSBASE");
	TRY("wrgsbase %%rax");
	UD("UD WRGSBASE without CR4.FSGSBASE");
	WRITE_REG(cr4, READ_REG(cr4) | 0x10000);
	value = 0xffff812345678abc;
	__asm__ volatile("wrfsbase %1\n rdfsbase %0" : "=r"(result) : "r"(value));
	check("WRFSBASE, RDFSBASE", result, value);
	check(" the MSR", rdmsr(0xc0000100), value);
	__asm__ volatile("wrgsbase %1\n rdgsbase %0" : "=r"(result) : "r"(value + 1));
	check("WRGSBASE, RDGSBASE", result, value + 1);
	__asm__ volatile("movq $-1, %0\n rdfsbase %k0" : "=r"(result));
	check("RDFSBASE, 32 bits", result, 0x45678abc);
	__asm__ volatile("wrgsbase %k1\n rdgsbase %0" : "=r"(result) : "r"(value));
	check("WRGSBASE, 32 bits", result, 0x45678abc);
	TRY_FROM("movq $1, %%rax\n rorq $2, %%rax\n", "wrfsbase %%rax");
	GP0("GP WRFSBASE of no address");
	wrmsr(0xc0000102, 0x1234567);
	__asm__ volatile("swapgs\n rdgsbase %0" : "=r"(result));
	check("SWAPGS", result, 0x1234567);
	check(" the other way, too", rdmsr(0xc0000102), 0x45678abc);
	WRITE_REG(cr4, READ_REG(cr4) & ~0x10000ull);
	wrmsr(0xc0000100, fs);
	wrmsr(0xc0000101, gs);
}

static void control_registers(void)
{
	WRITE_REG(cr2, 0x123456789abcdef0);
	check("CR2 is what was written", READ_REG(cr2), 0x123456789abcdef0);
	WRITE_REG(cr8, 9);
	check("CR8 is the APIC's task priority", READ_REG(cr8) << 4, *(volatile uint32_t *)0xfee00080);
	WRITE_REG(cr8, 0);
	TRY("movl $16, %%eax\n 5: movq %%rax, %%cr8");
	check("GP CR8 of 16", last.vector, 13);
	TRY(".byte 0x0f, 0x20, 0xe8"); /* CR5 */
	UD("UD CR5");
	TRY(".byte 0x44, 0x0f, 0x22, 0xd8"); /* CR11 */
	UD("UD CR11");
	TRY(".byte 0x44, 0x0f, 0x21, 0xc0"); /* DR8 */
	UD("UD DR8");
	TRY_FROM("movq %%cr0, %%rax\n btsq $32, %%rax\n", "movq %%rax, %%cr0");
	GP0("GP CR0: bit 32");
	TRY_FROM("movq %%cr4, %%rax\n btsq $63, %%rax\n", "movq %%rax, %%cr4");
	GP0("GP CR4: bit 63");
	value = READ_REG(cr0);
	__asm__ volatile("smsw %0" : "=r"(result));
	check("SMSW, 64 bits: all of CR0", result, value);
	*(uint32_t *)bytes = 0x11111111;
	__asm__ volatile("smsw bytes" : : : "memory");
	check("SMSW, memory: 16 bits", *(uint32_t *)bytes, 0x11110000 | (value & 0xffff));
	__asm__ volatile("lmsw %w0" : : "r"(0xe));
	check("LMSW sets TS, EM and MP and can't clear PE", READ_REG(cr0), value | 0xe);
	WRITE_REG(cr0, value);
	check("MOV to CR0: ET is always set", ({ WRITE_REG(cr0, value & ~0x10ull); READ_REG(cr0); }), value);
}

static void flags(void)
{
	__asm__ volatile("pushq $0x3f7cd7\n popfq\n pushfq\n popq flags_image\n pushq $2\n popfq" : : : "memory", "cc");
	check("POPF: what can be set", flags_image, 0x247cd7); /* neither VM nor RF nor VIF nor VIP */
	__asm__ volatile("movq $-1, %%rax\n pushq %%rax\n pushq $0x8d5\n popfw\n pushfw\n popw flags_image\n addq $6, %%rsp\n popq %%rax\n pushq $2\n popfq"
			 : : : "rax", "memory", "cc");
	check("16-bit POPF, PUSHF", flags_image & 0xffff, 0x8d7);
	__asm__ volatile("pushq $0x40002\n popfq\n clac\n pushfq\n popq flags_image" : : : "memory", "cc");
	check("CLAC", flags_image & 0x40000, 0);
	__asm__ volatile("stac\n pushfq\n popq flags_image\n clac" : : : "memory", "cc");
	check("STAC", flags_image & 0x40000, 0x40000);
}

static void clocks(void)
{
	uint64_t a, b, aux = 0;
	uint32_t lo, hi;
	uint8_t c;

	a = rdtsc();
	wrmsr(0xc0000103, 0x77);
	__asm__ volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(aux));
	b = (uint64_t)hi << 32 | lo;
	check("RDTSCP: later than RDTSC", b >= a, 1);
	check("RDTSCP: TSC_AUX", aux, 0x77);
	wrmsr(0x10, 1ull << 40);
	a = rdtsc();
	check("IA32_TIME_STAMP_COUNTER can be set", a >> 40, 1);
	a = rdmsr(0x3b);
	wrmsr(0x3b, a + (1ull << 41));
	check("IA32_TSC_ADJUST moves it", rdtsc() >> 40, 3);
	wrmsr(0x3b, 0);
	check(" and back", rdtsc() < 1ull << 40, 1);
	__asm__ volatile("rdrand %0\n setc %1" : "=r"(a), "=q"(c) : : "cc");
	check("RDRAND: CF", c, 1);
	__asm__ volatile("rdrand %0" : "=r"(b) : : "cc");
	check("RDRAND: another", a != b, 1);
	__asm__ volatile("movq $-1, %0\n rdseed %k0\n setc %1" : "=r"(a), "=q"(c) : : "cc");
	check("RDSEED: CF", c, 1);
	check("RDSEED: 32 bits clear the upper half", a >> 32, 0);
	__asm__ volatile("movq $-1, %0\n rdrand %w0" : "=r"(a) : : "cc");
	check("RDRAND: 16 bits leave the rest", a >> 16, 0xffffffffffff);
	TRY(".byte 0x0f, 0xc7, 0x34, 0x24"); /* memory: VMPTRLD */
	UD("UD RDRAND of memory");
}

static void tables(void)
{
	__asm__ volatile("sgdt table" : : : "memory");
	check("SGDT: base", table.base, (uint64_t)gdt);
	__asm__ volatile("sidt table" : : : "memory");
	check("SIDT: base", table.base, (uint64_t)idt);
	check("SIDT: limit", table.limit, sizeof(idt) - 1);
	table.base = 1ull << 63;
	TRY("lidt table");
	GP0("GP LIDT of no address");
	TRY("lgdt table");
	GP0("GP LGDT of no address");
	__asm__ volatile("movq $-1, %0\n str %w0" : "=r"(result));
	check("STR, 16 bits", result, 0xffffffffffff0030);
	__asm__ volatile("movq $-1, %0\n str %k0" : "=r"(result));
	check("STR, 32 bits", result, 0x30);
	*(uint32_t *)bytes = 0x55555555;
	__asm__ volatile("sldt bytes" : : : "memory");
	check("SLDT, memory", *(uint32_t *)bytes, 0x55550000);
	gdt[10] = 0x0000820000000fffull;
	gdt[11] = 1ull << 31; /* base not canonical */
	TRY("movl $0x50, %%eax\n 5: lldt %%ax");
	check("GP LLDT: base of no address", last.vector << 16 | last.error, 13 << 16 | 0x50);
	gdt[11] = 1ull << 40; /* the upper half's type isn't 0 */
	TRY("movl $0x50, %%eax\n 5: lldt %%ax");
	check("GP LLDT: type of the upper half", last.vector << 16 | last.error, 13 << 16 | 0x50);
	TRY("movl $0x68, %%eax\n 5: lldt %%ax");
	check("GP LLDT: half beyond the table", last.vector << 16 | last.error, 13 << 16 | 0x68);
	gdt[10] = gdt[11] = 0;
	TRY(".byte 0x8c, 0xf0"); /* mov %?6, %eax */
	UD("UD a seventh segment");
	__asm__ volatile("movq $-1, %0\n movl %%ds, %k0" : "=r"(result));
	check("MOV from DS, 32 bits", result, 0x10);
	__asm__ volatile("movq $-1, %0\n movw %%ds, %w0" : "=r"(result));
	check("MOV from DS, 16 bits", result, 0xffffffffffff0010);
	__asm__ volatile("pushq %%fs\n popq %%gs\n pushq $0x10\n popq %%fs\n movl %%fs, %k0" : "=r"(result));
	check("PUSH and POP of FS and GS", result, 0x10);
	*(uint32_t *)bytes = 0x12345678;
	*(uint16_t *)(bytes + 4) = 0x10;
	__asm__ volatile("movq $-1, %%rax\n lfsl bytes, %%eax\n movq %%rax, %0" : "=m"(result) : : "rax");
	check("LFS, 32 bits", result, 0x12345678);
	*(uint64_t *)bytes = 0x123456789abcdef0;
	*(uint16_t *)(bytes + 8) = 0x10;
	__asm__ volatile("rex.w lgsl bytes, %%eax\n movq %%rax, %0" : "=m"(result) : : "rax");
	check("LGS, 64 bits", result, 0x123456789abcdef0);
	*(uint16_t *)bytes = 0x4321;
	*(uint16_t *)(bytes + 2) = 0x10;
	__asm__ volatile("movq $-1, %%rax\n lssw bytes, %%ax\n movq %%rax, %0" : "=m"(result) : : "rax");
	check("LSS, 16 bits", result, 0xffffffffffff4321);
	__asm__ volatile("movl $0, %%eax\n movl %%eax, %%ss\n movl %%ss, %k0\n movl $16, %%eax\n movl %%eax, %%ss" : "=r"(result) : : "rax");
	check("a null SS at CPL 0", result, 0);
	TRY("movl $3, %%eax\n 5: movl %%eax, %%ss");
	check("GP a null SS of RPL 3", last.vector << 16 | last.error, 13 << 16);
}

/* --- Call gates in long mode (SDM 3A 5.8.3.1), far transfers to compatibility mode, the end of the lower half --- */

extern uint8_t gate_target[], user_gate[], user_after[], jump_target[], compat[], user_out[];
uint64_t seen[8];
uint8_t user_stack[1024] __attribute__((aligned(16)));
struct {
	uint32_t offset;
	uint16_t selector;
} __attribute__((packed)) far_gate = {0, 0x50};
struct {
	uint64_t offset;
	uint16_t selector;
} __attribute__((packed)) far_wide;
__asm__(".text\n user_gate: lcall *far_gate\n user_after: movl %ss, %edx\n user_out: int $0x30\n"
	"gate_target: movq %rsp, seen\n movq (%rsp), %rax\n movq %rax, seen + 8\n movq 8(%rsp), %rax\n movq %rax, seen + 16\n"
	"movq 16(%rsp), %rax\n movq %rax, seen + 24\n movq 24(%rsp), %rax\n movq %rax, seen + 32\n movl %ss, %eax\n movl %eax, seen + 40\n lretq\n"
	"jump_target: ud2\n .code32\n compat: int $0x31\n .code64\n");

static void call_gate(uint64_t rip, uint16_t sel, unsigned access, uint64_t upper)
{
	gdt[10] = (rip & 0xffff) | (uint64_t)sel << 16 | (uint64_t)access << 40 | (rip >> 16 & 0xffff) << 48;
	gdt[11] = rip >> 32 | upper << 32;
}
static void gate_case(const char *name, unsigned vector, uint64_t error)
{
	enter((uint64_t)user_gate, USER_CODE, (uint64_t)user_stack + 1024, USER_DATA, 2);
	check_trap(name, vector, error, (uint64_t)user_gate);
}

static void gates(void)
{
	uint64_t *user_pages = pd; /* the guest's own pages, for CPL 3 as well */

	for (unsigned k = 0; k < 2; k++)
		user_pages[k] |= 4;
	WRITE_REG(cr3, READ_REG(cr3));
	set_gate(0x30, (uint64_t)idt[0x30].offset0 | (uint64_t)idt[0x30].offset1 << 16, 8, 3, 0, true);
	call_gate((uint64_t)gate_target, 8, 0xec, 0);
	enter((uint64_t)user_gate, USER_CODE, (uint64_t)user_stack + 1024, USER_DATA, 2);
	check("64-bit call gate: four words of eight bytes", seen[0] + 32, *(uint64_t *)((uint8_t *)tss + 4));
	check(" RIP", seen[1], (uint64_t)user_after);
	check(" CS", seen[2], USER_CODE);
	check(" RSP", seen[3], (uint64_t)user_stack + 1024);
	check(" SS", seen[4], USER_DATA);
	check(" SS is null inside", seen[5], 0);
	check(" and back", last.rip, (uint64_t)user_out + 2);
	check(" SS", last.rdx, USER_DATA);
	call_gate((uint64_t)gate_target, 8, 0x8c, 0);
	gate_case("GP: its DPL", 13, 0x50);
	call_gate((uint64_t)gate_target, 8, 0x6c, 0);
	gate_case("NP: it", 11, 0x50);
	call_gate((uint64_t)gate_target, 8, 0xec, 0x1f00);
	gate_case("GP: the upper half's type", 13, 0x50);
	call_gate((uint64_t)gate_target, 0x48, 0xec, 0);
	gate_case("GP: to 32-bit code", 13, 0x48);
	call_gate((uint64_t)gate_target, 0x10, 0xec, 0);
	gate_case("GP: to data", 13, 0x10);
	call_gate(1ull << 63, 8, 0xec, 0);
	gate_case("GP: to no address", 13, 0);
	call_gate((uint64_t)gate_target, 8, 0xe4, 0);
	gate_case("GP: a 16-bit one", 13, 0x50);
	call_gate((uint64_t)jump_target, 8, 0x8c, 0);
	TRY("ljmp *far_gate");
	check_trap("JMP through one", 6, NO_ERROR, (uint64_t)jump_target);
	gdt[10] = 103 | 0x89ull << 40; /* a TSS */
	TRY("ljmp *far_gate");
	GP0_SELECTOR("GP: no tasks", 0x50);
	gdt[10] = 0x05ull << 40 | 0x80ull << 40; /* a task gate */
	TRY("ljmp *far_gate");
	GP0_SELECTOR("GP: no task gates", 0x50);
	gdt[10] = gdt[11] = 0;
	/* To 32-bit code only the lower half of a 64-bit offset counts. */
	far_wide.offset = (uint64_t)compat | 5ull << 40;
	far_wide.selector = 0x48;
	TRY("rex.w ljmp *far_wide");
	check_trap("JMP m16:64 to compatibility mode", 0x31, NO_ERROR, (uint64_t)compat + 2);
	check(" its CS", last.cs, 0x48);
	far_wide.offset = 1ull << 63;
	far_wide.selector = 8;
	TRY("rex.w ljmp *far_wide");
	GP0("GP: JMP m16:64 to no address");
	TRY("rex.w lcall *far_wide");
	GP0("GP: CALL m16:64 to no address");
	gdt[10] = 0x00ef9b000000ffff; /* L and D */
	far_wide.selector = 0x50;
	TRY("rex.w ljmp *far_wide");
	GP0_SELECTOR("GP: code with L and D", 0x50);
	TRY_FROM("pushq $0x50\n pushq $0\n", "lretq");
	GP0_SELECTOR("GP: RET to code with L and D", 0x50);
	gdt[10] = 0;
	/* IRET and RET to CPL 0 may take a null SS, to CPL 3 not. */
	TRY("movq %%rsp, %%rax\n pushq $0\n pushq %%rax\n pushq $2\n pushq $8\n pushq $7f\n iretq\n 7: movl %%ss, %%ecx\n movl $16, %%eax\n movl %%eax, %%ss\n"
	    "testl %%ecx, %%ecx\n jz 8f\n ud2\n 8:");
	check_none("IRET to a null SS at CPL 0");
	TRY_FROM("pushq $3\n pushq $0\n pushq $2\n pushq $0x2b\n pushq $0\n", "iretq");
	GP0("GP: IRET to a null SS at CPL 3");
	/* The last byte of the lower half: what follows is no address. */
	static uint64_t low[3][512] __attribute__((aligned(4096)));

	pml4[255] = (uint64_t)low[0] | P | W;
	low[0][511] = (uint64_t)low[1] | P | W;
	low[1][511] = (uint64_t)low[2] | P | W;
	low[2][511] = (uint64_t)page | P | W;
	page[4095] = 0x90; /* NOP */
	value = 0x00007fffffffffff;
	TRY("jmp *value");
	check_trap("GP: running out of the lower half", 13, 0, 0x0000800000000000);
	page[4094] = 0x0f; /* SYSCALL: its return address is none */
	page[4095] = 0x05;
	value--;
	wrmsr(0xc0000081, 8ull << 32);
	wrmsr(0xc0000082, (uint64_t)jump_target);
	TRY("jmp *value");
	check_trap("SYSCALL at its end", 6, NO_ERROR, (uint64_t)jump_target);
	check(" RCX", last.rcx, 0x0000800000000000);
	for (unsigned k = 0; k < 2; k++)
		user_pages[k] &= ~4ull;
}

/* --- String I/O: the clock chip's index (70h) and data (71h); its register Dh reads 80h, 50h is memory --- */

static unsigned steps;
static uint64_t step_rcx[8];
static void stepped(struct frame *f)
{
	if (f->vector == 1 && steps < 8)
		step_rcx[steps++] = f->rcx;
	WRITE_REG(dr6, 0xffff0ff0);
}

static void string_io(void)
{
	uint64_t rdi, rcx;

	outb(0x70, 0xd);
	__asm__ volatile("rep insb" : "=D"(rdi), "=c"(rcx) : "0"(bytes), "1"(5), "d"(0x71) : "memory");
	check("REP INSB", *(uint32_t *)bytes, 0x80808080);
	check(" RDI", rdi, (uint64_t)bytes + 5);
	check(" RCX", rcx, 0);
	for (unsigned k = 0; k < 16; k++)
		bytes[k] = (uint8_t)(k + 1);
	__asm__ volatile("std\n insb\n cld" : "=D"(rdi) : "0"(bytes + 8), "d"(0x71) : "memory");
	check("INSB, DF", rdi, (uint64_t)bytes + 7);
	check(" stored", bytes[8], 0x80);
	outb(0x70, 0x50);
	__asm__ volatile("rep outsb" : "=S"(rdi), "=c"(rcx) : "0"(bytes), "1"(3), "d"(0x71) : "memory");
	check("REP OUTSB: the last one stays", inb(0x71), 3);
	check(" RSI", rdi, (uint64_t)bytes + 3);
	__asm__ volatile("outsw" : "=S"(rdi) : "0"(bytes), "d"(0x70) : "memory"); /* 70h: index 1; 71h: data 2 */
	check("OUTSW: RSI", rdi, (uint64_t)bytes + 2);
	__asm__ volatile("addr32 outsl" : "=S"(rdi) : "0"((uint64_t)bytes | 1ull << 40), "d"(0x80) : "memory");
	check("OUTSD with 32-bit addresses: RSI", rdi, (uint64_t)bytes + 4);
	__asm__ volatile("insl" : "=D"(rdi) : "0"(bytes), "d"(0xcfc) : "memory");
	check("INSD: RDI", rdi, (uint64_t)bytes + 4);
	__asm__ volatile("xorl %%ecx, %%ecx\n rep insb" : "=D"(rdi) : "0"(bytes), "d"(0x71) : "rcx", "memory");
	check("REP INSB, none", rdi, (uint64_t)bytes);
	/* It stops where it faults, and no input is lost: the fault comes before the port is read. */
	pt1[0] = (uint64_t)page | P | W;
	pt1[1] = 0;
	WRITE_REG(cr3, READ_REG(cr3));
	outb(0x70, 0xd);
	value = VA + 4093;
	TRY_FROM("movl $0x71, %%edx\n movq value, %%rdi\n movl $6, %%ecx\n", "rep insb");
	check_trap("PF REP INSB", 14, W, want_rip);
	check(" RCX", last.rcx, 3);
	check(" RDI", last.rdi, VA + 4096);
	TRY_FROM("movl $0x80, %%edx\n movq value, %%rsi\n movl $6, %%ecx\n", "rep outsb");
	check_trap("PF REP OUTSB", 14, 0, want_rip);
	check(" RCX", last.rcx, 3);
	TRY_FROM("movl $0x71, %%edx\n movq $1, %%rdi\n rorq $2, %%rdi\n", "insb");
	GP0("GP INSB to no address");
	/* Steps and breakpoints between iterations. */
	hook = stepped;
	__asm__ volatile("pushfq\n orl $0x100, (%%rsp)\n popfq\n rep outsb\n pushfq\n andl $~0x100, (%%rsp)\n popfq"
			 : "=S"(rdi), "=c"(rcx) : "0"(bytes), "1"(3), "d"(0x80) : "memory", "cc");
	check("stepping REP OUTSB: an iteration each", step_rcx[0], 2);
	check(" the next one", step_rcx[1], 1);
	check(" the last one", step_rcx[2], 0);
	steps = 0;
	WRITE_REG(cr4, READ_REG(cr4) | 8);
	WRITE_REG(dr0, 0x80);
	WRITE_REG(dr7, 0x400 | 1 | 2 << 16);
	__asm__ volatile("rep outsb" : "=S"(rdi), "=c"(rcx) : "0"(bytes), "1"(3), "d"(0x80) : "memory", "cc");
	check("I/O breakpoint of REP OUTSB: an iteration each", steps, 3);
	check(" between them", step_rcx[0], 2);
	WRITE_REG(dr7, 0x400);
	WRITE_REG(cr4, READ_REG(cr4) & ~8ull);
	hook = NULL;
}

/* --- MSRs of the local APIC, and some that only read --- */

static void registers(void)
{
	uint32_t a = 1, b, c = 0, d;

	check("IA32_PLATFORM_INFO", rdmsr(0xce), 0);
	check("IA32_MTRR_FIX16K_A0000: the display", rdmsr(0x259), 0);
	check("IA32_MTRR_FIX16K_80000: memory", rdmsr(0x258), 0x0606060606060606);
	check("IA32_ARCH_CAPABILITIES: not vulnerable to Meltdown", rdmsr(0x10a) & 1, 1);
	check("IA32_APIC_BASE", rdmsr(0x1b), 0xfee00900);
	wrmsr(0x6e0, 0);
	*(volatile uint32_t *)0xfee000f0 = 0x13f;
	*(volatile uint32_t *)0xfee00320 = 0x50033; /* by deadline, masked */
	wrmsr(0x6e0, rdtsc() + (1ull << 40));
	check("IA32_TSC_DEADLINE is armed", rdmsr(0x6e0) != 0, 1);
	wrmsr(0x10, rdtsc() + (1ull << 41));
	for (volatile unsigned k = 0; k < 1000; k++)
		;
	check(" a TSC that is moved past it fires it", rdmsr(0x6e0), 0);
	wrmsr(0x1b, 0xfee00100); /* off */
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	check("CPUID: no APIC while it is off", d >> 9 & 1, 0);
}

void kmain(const uint32_t *multiboot)
{
	guest_init(multiboot);
	pml4[1] = (uint64_t)pdpt1 | P | W;
	pdpt1[0] = (uint64_t)pd1 | P | W;
	pd1[0] = (uint64_t)pt1 | P | W;
	bases();
	control_registers();
	flags();
	clocks();
	tables();
	gates();
	string_io();
	registers();
	say(failures ? "failed\n" : "passed\n");
	leave(failures ? 1 : 0);
}
