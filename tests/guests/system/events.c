/* SPDX-License-Identifier: MIT */
/*
 * Which event comes first and what it leaves: RF in the flags pushed and after IRET (SDM 3B 17.3.1.1), several causes in one #DB, the
 * order of traps, interrupts, breakpoints and faults (3A table 6-2), shadows of STI and MOV SS (6.8.3), EXT in error codes (6.13),
 * serial and double faults (table 6-5), accesses over two pages that happen wholly or not at all, NMI blocking (6.7.1).
 */
#include "guest.h"

enum { BS = 1 << 14, RF = 1 << 16, TF = 1 << 8, IF = 1 << 9, NT = 1 << 14 };
enum { P = 1, W = 2, A = 0x20, D = 0x40 };
#define VA 0x8000000000ull /* PML4 entry 1 */
#define IRQ 0x32

extern uint64_t pml4[];
static uint64_t pdpt1[512] __attribute__((aligned(4096)));
static uint64_t pd1[512] __attribute__((aligned(4096)));
static uint64_t pt1[512] __attribute__((aligned(4096)));
static uint8_t page[2][4096] __attribute__((aligned(4096)));
uint64_t data[8] __attribute__((aligned(64)));
uint64_t target, flags_image;

static struct {
	uint64_t vector, rip, dr6, flags, rcx;
} seen[16];
static unsigned nseen;

/* What the first NMI's handler does: send another (1, 2), and end by an IRET that faults (2). */
static unsigned again, inside, nested;
static uint64_t nmi_rsp;
extern uint8_t bad_iret[];
__asm__(".text\n go_bad: pushq $0\n pushq $0\n pushq $2\n pushq $0\n pushq $0\n bad_iret: iretq\n");

static void nmi(void)
{
	nested += inside;
	if (!again || nseen > 1)
		return;
	inside = 1;
	*(volatile uint32_t *)0xfee00300ull = 0x40400;
	__asm__ volatile("nop\n nop");
	inside = 0;
}

static void note(struct frame *f)
{
	if (nseen < 16) {
		seen[nseen].vector = f->vector;
		seen[nseen].rip = f->rip;
		seen[nseen].dr6 = READ_REG(dr6) & 0xe00f;
		seen[nseen].flags = f->rflags;
		seen[nseen++].rcx = f->rcx;
	}
	if (f->vector == 1 && !(READ_REG(dr6) & BS))
		f->rflags |= RF;
	WRITE_REG(dr6, 0xffff0ff0);
	if (f->vector == IRQ)
		*(volatile uint32_t *)0xfee000b0 = 0;
	if (f->vector == 2 && nseen == 1)
		nmi_rsp = f->rsp;
	if (f->vector == 2)
		nmi();
	if (f->vector == 2 && nseen == 1 && again == 2)
		__asm__ volatile("jmp go_bad");
	if (f->vector == 13 && f->rip == (uint64_t)bad_iret) { /* back to whom the NMI interrupted */
		f->rip = seen[0].rip;
		f->cs = 8;
		f->rsp = nmi_rsp;
	}
	if (f->vector == 14) { /* there is something now */
		pt1[0] |= P;
		__asm__ volatile("invlpg (%0)" : : "r"(VA) : "memory");
	}
}
static void begin(void)
{
	nseen = again = inside = nested = 0;
	hook = note;
	WRITE_REG(dr6, 0xffff0ff0);
}
static void event(const char *name, unsigned k, uint64_t vector, uint64_t rip)
{
	check(name, k < nseen ? seen[k].vector : 255, vector);
	check(" at", seen[k].rip, rip);
}

#define POINT(n, type, len) ((uint64_t)1 << (2 * (n)) | (uint64_t)((len) << 2 | (type)) << (16 + 4 * (n)))
enum { EXEC = 0, WRITE = 1, LEN1 = 0, LEN4 = 3 };

#define CLOBBERS_BUT_RDX "rax", "rbx", "rcx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc"

static void interrupt_me(void)
{
	*(volatile uint32_t *)0xfee00300ull = 0x40000 | IRQ;
}

/* --- RF --- */

static void pushed_rf(const char *name, uint64_t want)
{
	check(name, last.rflags & RF, want);
}

static void resume_flag(void)
{
	TRY("ud2");
	pushed_rf("RF: a fault pushes it", RF);
	TRY_FROM("xorl %%ecx, %%ecx\n", "divl %%ecx");
	pushed_rf("RF: DE", RF);
	TRY_FROM("movq $0x123456789000, %%rbx\n", "movq (%%rbx), %%rax");
	pushed_rf("RF: PF", RF);
	TRY("movl $0x1000, %%eax\n movl %%eax, %%ds");
	pushed_rf("RF: GP", RF);
	TRY("int3");
	pushed_rf("RF: INT3 doesn't", 0);
	TRY("int $0x30");
	pushed_rf("RF: INT n doesn't", 0);
	TRY(".byte 0xf1");
	pushed_rf("RF: INT1 doesn't", 0);
	/* IRET loads it; it holds for one instruction; PUSHF doesn't show it, POPF doesn't load it. */
	WRITE_REG(dr7, 0x400 | POINT(0, EXEC, LEN1));
	begin();
	__asm__ volatile("leaq 1f(%%rip), %%rax\n movq %%rax, %%dr0\n movl %%ss, %%ecx\n pushq %%rcx\n leaq 8(%%rsp), %%rcx\n pushq %%rcx\n"
			 "pushq $0x10002\n movl %%cs, %%ecx\n pushq %%rcx\n pushq %%rax\n iretq\n 1: pushfq\n popq flags_image"
			 : : : "rax", "rcx", "memory", "cc");
	check("RF: IRET with it passes a breakpoint", nseen, 0);
	check("RF: PUSHF doesn't show it", flags_image & RF, 0);
	begin();
	__asm__ volatile("leaq 1f(%%rip), %%rax\n movq %%rax, %%dr0\n pushq $0x10002\n popfq\n 1: nop" : : : "rax", "memory", "cc");
	check("RF: POPF doesn't load it", nseen, 1);
	check("RF: #DB of a breakpoint pushes it clear", seen[0].flags & RF, 0);
	begin();
	__asm__ volatile("leaq 1f(%%rip), %%rax\n movq %%rax, %%dr0\n leaq data, %%rdi\n movl $5, %%ecx\n 1: rep stosb\n nop"
			 : : : "rax", "rcx", "rdi", "memory", "cc");
	check("RF holds for all of a REP", nseen, 1);
	WRITE_REG(dr7, 0x400);
	/* A fault that is restarted with RF set pushes it again. */
	begin();
	pt1[0] = (uint64_t)page[0] | W;
	__asm__ volatile("invlpg (%0)\n movq (%0), %%rax" : : "r"(VA) : "rax", "memory");
	check("RF: PF that is restarted", seen[0].flags & RF, RF);
	check(" once", nseen, 1);
}

/* --- Order --- */

static void several_causes(void)
{
	uint64_t rip;

	WRITE_REG(dr0, data);
	WRITE_REG(dr7, 0x400 | POINT(0, WRITE, LEN4));
	begin();
	__asm__ volatile("leaq 1f(%%rip), %0\n pushfq\n orl $0x100, (%%rsp)\n popfq\n movl $1, data\n 1: pushfq\n andl $~0x100, (%%rsp)\n popfq"
			 : "=&r"(rip) : : "memory", "cc");
	event("a step and a data breakpoint are one #DB", 0, 1, rip);
	check(" with both causes", seen[0].dr6, BS | 1);
	WRITE_REG(dr7, 0x400);
}

static void traps_and_interrupts(void)
{
	uint64_t rip;

	/* The trap of STI itself comes in its shadow; the interrupt then before the next instruction. */
	begin();
	interrupt_me();
	__asm__ volatile("leaq 1f(%%rip), %0\n pushfq\n orl $0x100, (%%rsp)\n popfq\n sti\n 1: nop\n pushfq\n andl $~0x100, (%%rsp)\n popfq\n cli"
			 : "=&r"(rip) : : "memory", "cc");
	event("STI: its step", 0, 1, rip);
	event("STI: then the interrupt", 1, IRQ, rip);
	event("STI: then the next step", 2, 1, rip + 1);
	/* An interrupt comes before the breakpoint on the instruction it interrupts. */
	WRITE_REG(dr7, 0x400 | POINT(0, EXEC, LEN1));
	begin();
	interrupt_me();
	__asm__ volatile("leaq 1f(%%rip), %0\n movq %0, %%dr0\n sti\n nop\n 1: nop\n cli" : "=&r"(rip) : : "memory", "cc");
	event("an interrupt, then the breakpoint", 0, IRQ, rip);
	event("the breakpoint", 1, 1, rip);
	check(" B0 alone", seen[1].dr6, 1);
	/* A data breakpoint is a trap of the instruction before: it comes first. */
	WRITE_REG(dr0, data);
	WRITE_REG(dr7, 0x400 | POINT(0, WRITE, LEN4));
	begin();
	interrupt_me();
	__asm__ volatile("leaq 1f(%%rip), %0\n sti\n movl $1, data\n 1: nop\n cli" : "=&r"(rip) : : "memory", "cc");
	event("a trap, then the interrupt", 0, 1, rip);
	event("the interrupt", 1, IRQ, rip);
	/* A breakpoint comes before the fault of fetching what it is on. */
	pt1[0] = (uint64_t)page[0] | W;
	page[0][0] = 0xc3; /* RET */
	WRITE_REG(dr0, VA);
	WRITE_REG(dr7, 0x400 | POINT(0, EXEC, LEN1));
	__asm__ volatile("invlpg (%0)" : : "r"(VA) : "memory");
	begin();
	__asm__ volatile("call *%0" : : "r"(VA) : "memory", "cc");
	event("a breakpoint on a page that isn't there", 0, 1, VA);
	event("then its page fault", 1, 14, VA);
	check(" with RF, which the first one's handler set", seen[1].flags & RF, RF);
	check(" and no more", nseen, 2);
	WRITE_REG(dr7, 0x400);
	/* A step trap before the fault of the next instruction. */
	pt1[0] = (uint64_t)page[0] | W;
	__asm__ volatile("invlpg (%0)" : : "r"(VA) : "memory");
	begin();
	__asm__ volatile("leaq 1f(%%rip), %0\n pushfq\n orl $0x100, (%%rsp)\n popfq\n nop\n 1: movq (%%rbx), %%rax\n pushfq\n andl $~0x100, (%%rsp)\n popfq"
			 : "=&r"(rip) : "b"(VA) : "rax", "memory", "cc");
	event("the step", 0, 1, rip);
	event("then the fault", 1, 14, rip);
	event("then the step of what faulted", 2, 1, rip + 3);
}

static void shadows(void)
{
	uint64_t rip;

	begin();
	interrupt_me();
	__asm__ volatile("leaq 1f(%%rip), %0\n sti\n movl %%ss, %%eax\n 1: nop\n cli" : "=&r"(rip) : : "rax", "memory", "cc");
	event("STI holds for one instruction", 0, IRQ, rip);
	begin();
	interrupt_me();
	__asm__ volatile("leaq 1f(%%rip), %0\n movl %%ss, %%eax\n sti\n movl %%eax, %%ss\n nop\n 1: nop\n cli" : "=&r"(rip) : : "rax", "memory", "cc");
	event("STI, then MOV SS: for its successor, too", 0, IRQ, rip);
	begin();
	interrupt_me();
	__asm__ volatile("leaq 1f(%%rip), %0\n sti\n sti\n 1: nop\n cli" : "=&r"(rip) : : "rax", "memory", "cc");
	event("STI with IF set has no shadow of its own", 0, IRQ, rip);
	begin();
	interrupt_me();
	__asm__ volatile("leaq 1f(%%rip), %0\n pushfq\n orl $0x200, (%%rsp)\n popfq\n 1: nop\n cli" : "=&r"(rip) : : "memory", "cc");
	event("POPF has none", 0, IRQ, rip);
	begin();
	interrupt_me();
	__asm__ volatile("sti\n hlt\n cli" : : : "memory", "cc");
	check("STI, HLT: woken at once", nseen, 1);
}

/* --- Faults while delivering --- */

static void gate_of(unsigned v, unsigned ist, bool present)
{
	set_gate(v, (uint64_t)idt[v].offset0 | (uint64_t)idt[v].offset1 << 16, 8, 0, ist, present);
}
static void delivered(const char *name, unsigned vector, uint64_t error)
{
	check(name, last.vector, vector);
	check(" its error code", last.error, error);
	check(" at the first instruction", last.rip, want_rip);
}

static void serial_and_double(void)
{
	uint64_t rip;

	hook = NULL;
	gate_of(8, 1, true);
	gate_of(0x31, 0, false);
	TRY("int $0x31");
	delivered("INT n to a gate that isn't present: no EXT", 11, 0x31 * 8 + 2);
	gate_of(6, 0, false);
	TRY("ud2");
	delivered("UD there: EXT", 11, 6 * 8 + 3);
	gate_of(6, 0, true);
	gate_of(14, 0, false);
	TRY_FROM("movq $0x123456789000, %%rbx\n", "movq (%%rbx), %%rax");
	delivered("PF, then NP: DF", 8, 0);
	gate_of(14, 0, true);
	gate_of(13, 0, false);
	TRY("movl $0x1000, %%eax\n 5: nop");
	TRY_FROM("movl $0x1000, %%eax\n", "movl %%eax, %%ds");
	delivered("GP, then NP: DF", 8, 0);
	gate_of(0, 0, false);
	TRY_FROM("xorl %%ecx, %%ecx\n", "divl %%ecx");
	delivered("DE, then NP: DF", 8, 0);
	gate_of(0, 0, true);
	gate_of(13, 2, true); /* whose stack isn't there */
	*(uint64_t *)((uint8_t *)tss + 36 + 8) = 0x123456789000;
	gate_of(14, 1, true);
	TRY_FROM("movl $0x1000, %%eax\n", "movl %%eax, %%ds");
	delivered("GP, then PF: the PF", 14, W);
	check(" its CR2", READ_REG(cr2), 0x123456788ff8);
	*(uint64_t *)((uint8_t *)tss + 36 + 8) = 1ull << 60;
	gate_of(12, 1, true);
	TRY_FROM("movl $0x1000, %%eax\n", "movl %%eax, %%ds");
	delivered("GP, then SS: DF", 8, 0);
	gate_of(6, 2, true);
	TRY("ud2");
	delivered("UD, then SS: the SS, with EXT", 12, 1);
	for (unsigned k = 6; k < 15; k++)
		gate_of(k, 0, true);
	/* An interrupt from outside whose gate isn't there: #NP with EXT, at what it interrupted. */
	begin();
	gate_of(IRQ, 0, false);
	interrupt_me();
	__asm__ volatile("leaq 1f(%%rip), %0\n sti\n nop\n 1: nop\n cli" : "=&r"(rip) : : "memory", "cc");
	event("an interrupt to a gate that isn't present", 0, 11, rip);
	check(" EXT", last.error, IRQ * 8 + 3);
	gate_of(IRQ, 0, true);
	*(volatile uint32_t *)0xfee000b0 = 0;
	gate_of(0x31, 0, true);
}

/* --- Over two pages --- */

#define OVER TRY_FROM("movq target, %%rbx\n movq $-1, %%rax\n movq %%rsp, %%rdx\n", 
static void whole_or_nothing(void)
{
	pt1[0] = (uint64_t)page[0] | P | W;
	pt1[1] = (uint64_t)page[1];
	__asm__ volatile("invlpg (%0)\n invlpg 4096(%0)" : : "r"(VA) : "memory");
	for (unsigned k = 0; k < 8; k++)
		page[0][4088 + k] = page[1][k] = 0x55;
	target = VA + 4092;
	OVER "movq %%rax, (%%rbx)");
	check("a store over two pages: error code", last.error, W);
	check(" CR2", READ_REG(cr2), VA + 4096);
	OVER "lock xaddq %%rax, (%%rbx)");
	check("a locked one", last.error, W);
	OVER "movups %%xmm0, (%%rbx)");
	check("one of 16 bytes", last.error, W);
	check("the page that is there isn't dirty", pt1[0] & D, 0);
	OVER "fnsave -8(%%rbx)");
	check("FNSAVE", last.error, W);
	check("nothing was stored", page[0][4092] & page[0][4093] & page[0][4094] & page[0][4095], 0x55);
	__asm__ volatile("fninit");
	pt1[1] |= P; /* read-only */
	__asm__ volatile("invlpg 4096(%0)" : : "r"(VA) : "memory");
	OVER "movq %%rax, (%%rbx)");
	check("into a read-only page: error code", last.error, P | W);
	check("nothing was stored", page[0][4092], 0x55);
	OVER "movq (%%rbx), %%rax");
	check_none("a read");
	pt1[1] |= W;
	OVER "movq %%rax, (%%rbx)");
	check("writable: stored", page[0][4095] & page[1][3], 0xff);
	check(" both are dirty", pt1[0] & pt1[1] & (A | D), A | D);
	/* A string stops where it faults, with what it has done. */
	pt1[1] &= ~(uint64_t)P;
	__asm__ volatile("invlpg 4096(%0)" : : "r"(VA) : "memory");
	TRY_FROM("movq target, %%rdi\n movl $9, %%ecx\n movb $0x77, %%al\n", "rep stosb");
	check("REP STOSB: RCX", last.rcx, 5);
	check(" RDI", last.rdi, VA + 4096);
	check(" the bytes before", page[0][4095], 0x77);
	check(" RIP is its own", last.rip, want_rip);
}

/* --- NMI --- */

static void nmis(void)
{
	uint64_t rip;

	begin();
	__asm__ volatile("leaq 1f(%%rip), %0\n movl $0x40400, %%eax\n movl %%eax, (%1)\n 1: nop\n nop"
			 : "=&r"(rip) : "r"(0xfee00300ull) : "rax", "memory", "cc");
	event("an NMI comes with IF clear", 0, 2, rip);
	check(" RF is clear", seen[0].flags & RF, 0);
	check(" once", nseen, 1);
	/* One that comes in the handler waits for its IRET. */
	begin();
	again = 1;
	__asm__ volatile("leaq 1f(%%rip), %0\n movl $0x40400, %%eax\n movl %%eax, (%1)\n 1: nop\n nop"
			 : "=&r"(rip) : "r"(0xfee00300ull) : "rax", "memory", "cc");
	event("an NMI", 0, 2, rip);
	event("another one after its IRET", 1, 2, rip);
	check(" and not in its handler", nested, 0);
	check(" two", nseen, 2);
	/* An IRET that faults ends the blocking, too (SDM 3A 6.7.1): the NMI comes before the handler of the fault runs. */
	begin();
	again = 2;
	__asm__ volatile("pushq %%rbp\n movq $1f, target\n movl $0x40400, %%eax\n movl %%eax, (%0)\n 1: nop\n nop\n popq %%rbp"
			 : : "d"(0xfee00300ull) : CLOBBERS_BUT_RDX);
	event("an NMI whose handler's IRET faults", 0, 2, target);
	event("then the other one, at the handler of the fault", 1, 2, (uint64_t)idt[13].offset0 | (uint64_t)idt[13].offset1 << 16);
	event("then the fault", 2, 13, (uint64_t)bad_iret);
	check(" three", nseen, 3);
	/* The shadow of MOV SS holds off an NMI. */
	begin();
	__asm__ volatile("leaq 1f(%%rip), %0\n movl $0x40400, %%eax\n movl %%ss, %%ecx\n movl %%ecx, %%ss\n movl %%eax, (%1)\n 1: nop\n nop"
			 : "=&r"(rip) : "r"(0xfee00300ull) : "rax", "rcx", "memory", "cc");
	event("an NMI raised in the shadow of MOV SS", 0, 2, rip);
}

void kmain(const uint32_t *multiboot)
{
	guest_init(multiboot);
	pml4[1] = (uint64_t)pdpt1 | P | W;
	pdpt1[0] = (uint64_t)pd1 | P | W;
	pd1[0] = (uint64_t)pt1 | P | W;
	*(volatile uint32_t *)0xfee000f0ull = 0x13f;
	resume_flag();
	several_causes();
	traps_and_interrupts();
	shadows();
	serial_and_double();
	whole_or_nothing();
	nmis();
	say(failures ? "failed\n" : "passed\n");
	leave(failures ? 1 : 0);
}
