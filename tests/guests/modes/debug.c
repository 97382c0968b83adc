/* SPDX-License-Identifier: MIT */
/*
 * Debug registers, single stepping and the shadows of MOV SS and STI (SDM 3B chapter 17; 3A 6.8.3); FPU state kept by
 * FXSAVE and XSAVE.
 */
#include "guest.h"

enum { BS = 1 << 14, BD = 1 << 13, RF = 1 << 16, TF = 1 << 8 };

static struct {
	uint64_t rip, dr6, flags, rcx, vector;
} seen[64];
static unsigned nseen;
static bool stop_stepping;

/* Notes each #DB; of an instruction breakpoint it sets RF, so that the instruction runs. */
static void note(struct frame *f)
{
	uint64_t dr6 = READ_REG(dr6);

	if (nseen < 64) {
		seen[nseen].rip = f->rip;
		seen[nseen].dr6 = dr6 & 0xe00f;
		seen[nseen].flags = f->rflags;
		seen[nseen].rcx = f->rcx;
		seen[nseen].vector = f->vector;
		nseen++;
	}
	WRITE_REG(dr6, 0xffff0ff0);
	if (f->vector == 1 && (dr6 & 15) && !(dr6 & BS))
		f->rflags |= RF;
	if (f->vector >= 32)
		*(volatile uint32_t *)0xfee000b0 = 0;
	if (stop_stepping)
		f->rflags &= ~(uint64_t)TF;
}

static void begin(void)
{
	nseen = 0;
	hook = note;
	WRITE_REG(dr6, 0xffff0ff0);
}

#define POINT(n, type, len) ((uint64_t)1 << (2 * (n)) | (uint64_t)((len) << 2 | (type)) << (16 + 4 * (n)))
enum { EXEC = 0, WRITE = 1, IO = 2, ACCESS = 3 };
enum { LEN1 = 0, LEN2 = 1, LEN8 = 2, LEN4 = 3 };

uint64_t data[8] __attribute__((aligned(64)));
uint8_t text_to[64], text_from[64];

extern uint8_t bp_first[], bp_second[], bp_loop[], bp_end[];
void bp_run(void);
__asm__(".text\n bp_run: xorl %eax, %eax\n movl $3, %ecx\n bp_first: incl %eax\n bp_second: nop\n"
	"bp_loop: incl %eax\n decl %ecx\n jnz bp_loop\n bp_end: ret\n");

static void instruction_breakpoints(void)
{
	WRITE_REG(dr0, bp_first);
	WRITE_REG(dr1, bp_loop);
	bp_run(); /* decoded before they are armed */
	WRITE_REG(dr7, 0x400 | POINT(0, EXEC, LEN1) | POINT(1, EXEC, LEN1));
	begin();
	__asm__ volatile("call bp_run" : : : "rax", "rcx", "cc", "memory");
	check("breakpoints: hits", nseen, 4);
	check("first at its address", seen[0].rip, (uint64_t)bp_first);
	check("first is B0", seen[0].dr6, 1);
	check("RF is pushed clear", seen[0].flags & RF, 0);
	check("second at its address", seen[1].rip, (uint64_t)bp_loop);
	check("second is B1", seen[1].dr6, 2);
	check("each turn of the loop", seen[3].rip, (uint64_t)bp_loop);
	check("counts down between", seen[3].rcx, 1);
	WRITE_REG(dr7, 0x400 | POINT(1, EXEC, LEN1));
	begin();
	__asm__ volatile("call bp_run" : : : "rax", "rcx", "cc", "memory");
	check("one disarmed", nseen, 3);
	WRITE_REG(dr7, 0x400);
	begin();
	__asm__ volatile("call bp_run" : : : "rax", "rcx", "cc", "memory");
	check("both disarmed", nseen, 0);
	/* The instruction after MOV SS is safe from breakpoints. */
	WRITE_REG(dr0, 0);
	__asm__ volatile("leaq 1f(%%rip), %%rax\n movq %%rax, %%dr0\n movq %0, %%dr7\n movl %%ss, %%eax\n movl %%eax, %%ss\n"
			 "1: nop\n xorl %%eax, %%eax\n movq %%rax, %%dr7" : : "r"(0x400 | POINT(0, EXEC, LEN1)) : "rax");
	check("none in the shadow of MOV SS", nseen, 0);
}

static void data_breakpoints(void)
{
	volatile uint32_t *w = (volatile uint32_t *)&data[2];
	uint64_t at;

	WRITE_REG(dr0, w);
	WRITE_REG(dr7, 0x400 | POINT(0, WRITE, LEN4));
	begin();
	__asm__ volatile("leaq 1f(%%rip), %0\n movl $5, 16+data\n 1: nop" : "=r"(at) : : "memory");
	check("write: hits", nseen, 1);
	check("write: after the instruction", seen[0].rip, at);
	check("write: B0", seen[0].dr6, 1);
	check("write: it has happened", *w, 5);
	check("a read is no hit", nseen, 1);
	__asm__ volatile("movb $6, 19+data\n movb $7, 20+data\n movb $7, 15+data" : : : "memory");
	check("its last byte, not its neighbours", nseen, 2);
	__asm__ volatile("movq $6, 12+data" : : : "memory");
	check("a store over it", nseen, 3);
	__asm__ volatile("lock incl 16+data\n pushq data+8\n popq data+16" : : : "memory");
	check("read-modify-write and POP", nseen, 5);
	WRITE_REG(dr7, 0x400 | POINT(0, ACCESS, LEN4));
	begin();
	(void)*w;
	check("access: a read", nseen, 1);
	__asm__ volatile("movl $5, 16+data" : : : "memory");
	check("access: a write", nseen, 2);
	__asm__ volatile("movaps data+16, %%xmm0" : : : "memory");
	check("access: SSE", nseen, 3);
	WRITE_REG(dr0, text_to + 3);
	WRITE_REG(dr7, 0x400 | POINT(0, WRITE, LEN1));
	begin();
	__asm__ volatile("leaq text_from(%%rip), %%rsi\n leaq text_to(%%rip), %%rdi\n movl $10, %%ecx\n leaq 1f(%%rip), %0\n"
			 "1: rep movsb" : "=&r"(at) : : "rsi", "rdi", "rcx", "memory");
	check("REP: hits", nseen, 1);
	check("REP: between two iterations", seen[0].rcx, 6);
	check("REP: RIP stays", seen[0].rip, at);
	WRITE_REG(dr0, &data[4]);
	WRITE_REG(dr1, &data[5]);
	WRITE_REG(dr7, 0x400 | POINT(0, WRITE, LEN8) | POINT(1, WRITE, LEN8));
	begin();
	__asm__ volatile("movups %%xmm0, 36+data" : : : "memory");
	check("two at once", seen[0].dr6, 3);
	WRITE_REG(dr7, 0x400);
	begin();
	data[4] = 1;
	check("disarmed", nseen, 0);
	WRITE_REG(cr4, READ_REG(cr4) | 8);
	WRITE_REG(dr0, 0x80);
	WRITE_REG(dr7, 0x400 | POINT(0, IO, LEN1));
	begin();
	outb(0x80, 1);
	check("I/O breakpoint", nseen, 1);
	inb(0x81);
	check("not of the next port", nseen, 1);
	WRITE_REG(dr7, 0x400);
	TRY("movq %%dr4, %%rax");
	check_trap("UD DR4 with DE", 6, NO_ERROR, want_rip);
	WRITE_REG(cr4, READ_REG(cr4) & ~8ull);
	TRY("movq %%dr4, %%rax");
	check_none("DR4 is DR6 without DE");
	begin();
	WRITE_REG(dr7, 0x2400);
	TRY("movq %%dr0, %%rax");
	check_trap("GD guards the registers", 1, NO_ERROR, want_rip);
	check("DR6.BD", READ_REG(dr6) & 0xe00f, BD);
	check("GD is cleared", READ_REG(dr7) & 0x2000, 0);
	WRITE_REG(dr6, 0xffff0ff0);
	TRY_FROM("xorl %%eax, %%eax\n btsq $33, %%rax\n", "movq %%rax, %%dr7");
	check_trap("GP upper half of DR7", 13, 0, want_rip);
}

/* Runs the code with TF, from behind POPF to the PUSHF that ends it; RIPs relative to the first instruction. */
#define STEP(code) \
	do { \
		begin(); \
		__asm__ volatile("pushfq\n orq $0x100, (%%rsp)\n leaq 0f(%%rip), %%rax\n movq %%rax, want_rip\n popfq\n 0: " code \
				 "\n pushfq\n andq $~0x100, (%%rsp)\n popfq\n nop" : : : CLOBBERS); \
	} while (0)
static uint64_t at(unsigned k)
{
	return seen[k].rip - want_rip;
}

static void single_step(void)
{
	stop_stepping = false;
	STEP("nop\n nop");
	/* NOP, NOP, PUSHF, AND, POPF: POPF clears TF, but it was set when POPF began. */
	check("steps of two NOPs", nseen, 5);
	check("first after the first", at(0), 1);
	check("BS", seen[0].dr6, BS);
	check("the last one after POPF", at(4), 2 + 1 + 8 + 1);
	STEP("movl %%ss, %%eax\n movl %%eax, %%ss\n nop\n nop");
	check("MOV SS: after the NOP behind it", at(1), 5);
	check("MOV SS: steps", nseen, 6);
	STEP("movl %%ss, %%eax\n movl %%eax, %%ss\n .byte 0xf1\n nop");
	check("MOV SS, INT1: behind it", at(1), 5);
	check("MOV SS, INT1: no step", seen[1].dr6, 0);
	STEP("movl $3, %%ecx\n leaq text_from, %%rsi\n leaq text_to, %%rdi\n rep movsb");
	check("REP: a step each iteration", nseen, 3 + 3 + 3);
	check("REP: RIP stays", at(3), at(2));
	check("REP: RCX counts", seen[3].rcx, 2);
	check("REP: RIP moves with the last", at(5), at(2) + 2);
	STEP("jmp 2f\n nop\n 2: call 3f\n jmp 4f\n 3: ret\n 4: nop");
	check("JMP", at(0), 3);
	check("CALL", at(1), 10);
	check("RET", at(2), 8);
	STEP("int $0x30\n nop");
	check("INT n: the handler isn't stepped", seen[0].vector, 0x30);
	check("INT n: next after the NOP", at(1), 3);
	STEP("xorl %%eax, %%eax\n cpuid\n rdtsc\n inb $0x80, %%al\n fld1\n fstp %%st(0)");
	check("CPUID, RDTSC, IN, x87: steps", nseen, 9);
	/* TF set by IRET steps after the next instruction. */
	begin();
	__asm__ volatile("movq %%rsp, %%rax\n pushq $16\n pushq %%rax\n pushq $0x102\n pushq $8\n pushq $1f\n leaq 1f(%%rip), %%rax\n"
			 "movq %%rax, want_rip\n iretq\n 1: nop\n pushfq\n andq $~0x100, (%%rsp)\n popfq" : : : "rax", "memory", "cc");
	check("IRET: not at its target", at(0), 1);
	stop_stepping = true;
	STEP("nop");
	check("stepping can be stopped", nseen, 1);
	stop_stepping = false;
}

static uint64_t apic(unsigned reg)
{
	return *(volatile uint32_t *)(0xfee00000ull + reg);
}
static void apic_write(unsigned reg, uint32_t v)
{
	*(volatile uint32_t *)(0xfee00000ull + reg) = v;
}

/* A data breakpoint met by MOV SS waits for the next instruction (SDM 3A 6.8.3); with INT1 it is one #DB. */
static void held_back(void)
{
	uint64_t rip = 0;

	data[0] = 16;
	WRITE_REG(dr0, data);
	WRITE_REG(dr7, 0x400 | POINT(0, ACCESS, LEN4));
	begin();
	__asm__ volatile("leaq 1f(%%rip), %0\n movw data, %%ss\n nop\n 1: nop" : "=r"(rip) : : "memory");
	check("MOV SS: its data breakpoint comes behind its successor", seen[0].rip, rip);
	begin();
	__asm__ volatile("leaq 1f(%%rip), %0\n movw data, %%ss\n .byte 0xf1\n 1: nop" : "=r"(rip) : : "memory");
	check("MOV SS, INT1: one trap", nseen, 1);
	check("MOV SS, INT1: behind it", seen[0].rip, rip);
	check("MOV SS, INT1: DR6 names the breakpoint", seen[0].dr6, 1);
	WRITE_REG(dr7, 0x400);
}

static void shadows(void)
{
	uint64_t rip = 0;

	apic_write(0xf0, 0x13f);
	begin();
	apic_write(0x300, 0x40000 | 0x32); /* to itself: waits, for IF is clear */
	__asm__ volatile("leaq 1f(%%rip), %0\n sti\n nop\n 1: nop\n cli" : "=r"(rip) : : "memory");
	check("STI: the interrupt comes", nseen ? seen[0].vector : 0, 0x32);
	check("STI: after the next instruction", seen[0].rip, rip);
	begin();
	apic_write(0x300, 0x40000 | 0x32);
	__asm__ volatile("sti\n cli\n nop" : : : "memory");
	check("STI, CLI: none", nseen, 0);
	__asm__ volatile("sti\n nop\n cli");
	begin();
	/* POP SS with IF set: the interrupt that its own successor raises comes after that one. */
	__asm__ volatile("sti\n nop\n movl %%ss, %%eax\n leaq 1f(%%rip), %0\n movl %%eax, %%ss\n movl %2, (%1)\n 1: nop\n cli"
			 : "=&r"(rip) : "r"(0xfee00300ull), "r"(0x40032) : "rax", "memory");
	check("MOV SS: the interrupt comes behind its successor", seen[0].rip, rip);
	begin();
	apic_write(0x320, 0x33); /* one shot */
	apic_write(0x3e0, 0xb);
	apic_write(0x380, 10000);
	__asm__ volatile("leaq 1f(%%rip), %0\n sti\n hlt\n 1: cli" : "=r"(rip) : : "memory");
	check("HLT: woken by the timer", seen[0].vector, 0x33);
	check("HLT: returns behind it", seen[0].rip, rip);
	check("one shot: the count is zero", apic(0x390), 0);
}

uint8_t area[1088] __attribute__((aligned(64)));
static uint8_t area2[1088] __attribute__((aligned(64)));

static unsigned differences(unsigned from, unsigned to)
{
	unsigned n = 0;

	for (unsigned k = from; k < to; k++)
		n += area[k] != area2[k];
	return n;
}

static const double half[2] = {1.5, -2.25};
static const uint64_t pattern[2] = {0x0123456789abcdef, 0xfedcba9876543210};

static void clear_fpu(void)
{
	__asm__ volatile("fninit\n fldz\n pxor %%mm1, %%mm1\n emms\n pxor %%xmm0, %%xmm0\n pxor %%xmm15, %%xmm15" : : : "memory");
}

static void load_fpu(void)
{
	__asm__ volatile("fninit\n fldpi\n fldl %0\n fldl %1\n faddp\n movups %2, %%xmm0\n movups %2, %%xmm15\n paddq %%xmm0, %%xmm15"
			 : : "m"(half[0]), "m"(half[1]), "m"(pattern) : "memory");
}

static void fpu_state(void)
{
	uint32_t eax, ebx, ecx, edx;

	load_fpu();
	__asm__ volatile("fxsave64 %0" : "=m"(area));
	check("FXSAVE: control word", *(uint16_t *)area, 0x37f);
	check("FXSAVE: top is 6", *(uint16_t *)(area + 2) >> 11 & 7, 6);
	check("FXSAVE: two registers in use", area[4], 0xc0);
	check("FXSAVE: MXCSR", *(uint32_t *)(area + 24), 0x1f80);
	check("FXSAVE: ST0 is -0.75", *(uint64_t *)(area + 32), 0xc000000000000000);
	check("FXSAVE: its sign and exponent", *(uint16_t *)(area + 40), 0xbffe);
	check("FXSAVE: ST1 is pi", *(uint64_t *)(area + 48), 0xc90fdaa22168c235);
	check("FXSAVE: XMM0", *(uint64_t *)(area + 160), pattern[0]);
	check("FXSAVE: XMM15", *(uint64_t *)(area + 160 + 15 * 16 + 8), pattern[1] * 2);
	clear_fpu();
	__asm__ volatile("fxrstor64 %0" : : "m"(area));
	__asm__ volatile("fxsave64 %0" : "=m"(area2));
	check("FXRSTOR brings it back", differences(0, 416), 0);
	__asm__ volatile("cpuid" : "=a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx) : "a"(1), "c"(0));
	if (!(ecx & 1 << 26)) {
		TRY("xgetbv");
		check_trap("UD XGETBV, not announced", 6, NO_ERROR, want_rip);
		return;
	}
	TRY_FROM("xorl %%ecx, %%ecx\n", "xgetbv");
	check_trap("UD XGETBV without OSXSAVE", 6, NO_ERROR, want_rip);
	WRITE_REG(cr4, READ_REG(cr4) | 1 << 18);
	__asm__ volatile("cpuid" : "=a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx) : "a"(1), "c"(0));
	check("CPUID follows OSXSAVE", ecx >> 27 & 1, 1);
	TRY_FROM("xorl %%ecx, %%ecx\n xorl %%edx, %%edx\n movl $2, %%eax\n", "xsetbv");
	check_trap("GP XCR0 without x87", 13, 0, want_rip);
	TRY_FROM("xorl %%ecx, %%ecx\n xorl %%edx, %%edx\n movl $0x80000003, %%eax\n", "xsetbv");
	check_trap("GP XCR0 unknown bit", 13, 0, want_rip);
	TRY_FROM("xorl %%ecx, %%ecx\n xorl %%edx, %%edx\n movl $3, %%eax\n", "xsetbv");
	check_none("XCR0 3");
	load_fpu();
	for (unsigned k = 0; k < sizeof(area); k++)
		area[k] = area2[k] = 0;
	__asm__ volatile("xsave64 %0" : "=m"(area) : "a"(3), "d"(0));
	check("XSAVE: XSTATE_BV", *(uint64_t *)(area + 512), 3);
	clear_fpu();
	__asm__ volatile("xrstor64 %0" : : "m"(area), "a"(3), "d"(0));
	__asm__ volatile("xsave64 %0" : "=m"(area2) : "a"(3), "d"(0));
	check("XRSTOR brings it back", differences(0, 576), 0);
	*(uint64_t *)(area + 512) = 1; /* SSE to its initial state */
	__asm__ volatile("xrstor64 %0" : : "m"(area), "a"(3), "d"(0));
	__asm__ volatile("fxsave64 %0" : "=m"(area2));
	check("XRSTOR initialises XMM0", *(uint64_t *)(area2 + 160), 0);
	check("and leaves x87", *(uint64_t *)(area2 + 48), 0xc90fdaa22168c235);
	*(uint64_t *)(area + 512) = 4;
	TRY_FROM("movl $3, %%eax\n xorl %%edx, %%edx\n leaq area, %%rbx\n", "xrstor64 (%%rbx)");
	check_trap("GP XRSTOR of unknown state", 13, 0, want_rip);
}

void kmain(const uint32_t *multiboot)
{
	guest_init(multiboot);
	__asm__ volatile("fninit");
	instruction_breakpoints();
	data_breakpoints();
	single_step();
	held_back();
	shadows();
	fpu_state();
	say(failures ? "failed\n" : "passed\n");
	leave(failures ? 1 : 0);
}
