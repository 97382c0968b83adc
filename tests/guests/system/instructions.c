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

extern uint64_t pml4[];
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
	string_io();
	say(failures ? "failed\n" : "passed\n");
	leave(failures ? 1 : 0);
}
