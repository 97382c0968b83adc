/* SPDX-License-Identifier: MIT */
/* Each exception of 64-bit mode with its error code and saved RIP (SDM 3A 6.15); privilege; SYSCALL and SYSENTER. */
#include "guest.h"

#define USER_CODE 0x28 + 3
#define USER_DATA 0x20 + 3
#define USER_CODE32 0x18 + 3

extern uint8_t user_begin[], user_end[], user_spin[], user_cli[], user_hlt[], user_in[], user_int[], user_int_open[],
	user_ac[], user_ac_ok[], user_null_ss[], user_syscall[], user_syscall_after[], user_sysenter[], user_cr[], user_msr[], user_rdtsc[],
	user_popf[], user_lgdt[], user_stac[], user32_int[], user32_syscall[], user32_sysenter[], user32_add[], user32_far[],
	user32_into[], user32_bound[], user_page[], user_ac_int[], user_gs[];

/* Runs at CPL 3, position-independent, in the page `user_page`. */
__asm__(".text\n .balign 4096\n user_page: user_begin:\n"
	"user_spin: int $0x30\n"
	"user_cli: cli\n user_hlt: hlt\n user_in: inb $0x80, %al\n user_int: int $0x21\n"
	"user_int_open: int $0x30\n"
	"user_ac: movl 1(%rsp), %eax\n int $0x30\n"
	"user_ac_ok: movl 4(%rsp), %eax\n movb 1(%rsp), %al\n movw 2(%rsp), %ax\n int $0x30\n"
	"user_ac_int: pushq %rax\n popq %rax\n movq 4(%rsp), %rax\n"
	"user_gs: movq %gs:8, %rax\n movl %gs, %ecx\n int $0x30\n"
	"user_null_ss: xorl %eax, %eax\n movl %eax, %ss\n"
	"user_syscall: movl $0x1234, %eax\n syscall\n user_syscall_after: int $0x30\n"
	"user_sysenter: sysenter\n"
	"user_cr: movq %cr0, %rax\n user_msr: rdmsr\n user_rdtsc: rdtsc\n int $0x30\n"
	"user_popf: pushq $0x3202\n popfq\n pushfq\n popq %rax\n int $0x30\n"
	"user_lgdt: lgdt (%rsp)\n user_stac: .byte 0x0f, 0x01, 0xcb\n"
	".code32\n"
	"user32_add: movl $0x7fffffff, %eax\n incl %eax\n .byte 0x48\n pushl $0x77\n popl %ecx\n int $0x30\n" /* 48h is DEC EAX here */
	"user32_int: int $0x30\n user32_syscall: syscall\n user32_sysenter: sysenter\n"
	"user32_far: ljmp $0x2b, $user_spin\n"
	"user32_into: movb $0x7f, %al\n addb $1, %al\n into\n int $0x30\n"
	"user32_bound: movl $0x23, %ecx\n movl %ecx, %ds\n movl $5, %eax\n bound %eax, user32_limits\n int $0x30\n"
	"user32_limits: .long 1, 4\n"
	".balign 4096\n user_end: .code64\n");

uint8_t user_stack[4096] __attribute__((aligned(4096)));
uint32_t unaligned[8] __attribute__((aligned(16)));
const double zero_double[2] = {0, 0};
extern uint64_t pd[];

static void arithmetic(void)
{
	TRY("xorl %%ecx, %%ecx\n");
	TRY_FROM("xorl %%ecx, %%ecx\n movl $1, %%eax\n", "divl %%ecx");
	check_trap("DE division by zero", 0, NO_ERROR, want_rip);
	TRY_FROM("movq $-1, %%rcx\n movq $1, %%rax\n shlq $63, %%rax\n cqto\n", "idivq %%rcx");
	check_trap("DE quotient too large", 0, NO_ERROR, want_rip);
	TRY("int3");
	check_trap("BP after INT3", 3, NO_ERROR, want_rip + 1);
	TRY(".byte 0xcd, 3");
	check_trap("BP after INT 3", 3, NO_ERROR, want_rip + 2);
	TRY(".byte 0xf1");
	check_trap("DB after INT1", 1, NO_ERROR, want_rip + 1);
	TRY("ud2");
	check_trap("UD UD2", 6, NO_ERROR, want_rip);
	TRY(".byte 0xce"); /* INTO */
	check_trap("UD INTO in 64-bit mode", 6, NO_ERROR, want_rip);
	TRY(".byte 0xf0, 0x89, 0xc0"); /* LOCK MOV EAX, EAX */
	check_trap("UD LOCK without memory", 6, NO_ERROR, want_rip);
	TRY(".byte 0x9a, 0, 0, 0, 0, 0, 0"); /* CALL ptr16:32 */
	check_trap("UD far call immediate", 6, NO_ERROR, want_rip);
	TRY("movq %%cr1, %%rax");
	check_trap("UD CR1", 6, NO_ERROR, want_rip);
	TRY(".byte 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90");
	check_trap("GP instruction of 16 bytes", 13, 0, want_rip);
}

static void x87_and_sse(void)
{
	uint64_t cr0 = READ_REG(cr0), cr4 = READ_REG(cr4);
	uint32_t mxcsr = 0x1d80; /* all masked but ZE */

	__asm__ volatile("fninit");
	WRITE_REG(cr0, cr0 | 8);
	TRY("fld1");
	check_trap("NM x87 with TS", 7, NO_ERROR, want_rip);
	TRY("movaps %%xmm0, %%xmm1");
	check_trap("NM SSE with TS", 7, NO_ERROR, want_rip);
	TRY("movq %%mm0, %%mm1");
	check_trap("NM MMX with TS", 7, NO_ERROR, want_rip);
	TRY("fwait");
	check_trap("NM FWAIT with MP and TS", 7, NO_ERROR, want_rip);
	TRY("fxsave unaligned");
	check_trap("NM FXSAVE with TS", 7, NO_ERROR, want_rip);
	WRITE_REG(cr0, (cr0 | 8) & ~2ull);
	TRY("fwait");
	check_none("no NM for FWAIT without MP");
	TRY("clts\n fld1\n fstp %%st(0)");
	check_none("CLTS ends it");
	WRITE_REG(cr0, (cr0 | 4) & ~2ull);
	TRY("fld1");
	check_trap("NM x87 with EM", 7, NO_ERROR, want_rip);
	TRY("addps %%xmm0, %%xmm1");
	check_trap("UD SSE with EM", 6, NO_ERROR, want_rip);
	TRY("paddb %%mm0, %%mm1");
	check_trap("UD MMX with EM", 6, NO_ERROR, want_rip);
	WRITE_REG(cr0, cr0);
	WRITE_REG(cr4, cr4 & ~0x200ull);
	TRY("addps %%xmm0, %%xmm1");
	check_trap("UD SSE without OSFXSR", 6, NO_ERROR, want_rip);
	WRITE_REG(cr4, cr4);

	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
	TRY_FROM("movl $1, %%eax\n cvtsi2sdl %%eax, %%xmm0\n", "divsd zero_double, %%xmm0");
	check_trap("XM division by zero", 19, NO_ERROR, want_rip);
	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	check("MXCSR says ZE", mxcsr & 0x3f, 4);
	WRITE_REG(cr4, cr4 & ~0x400ull);
	TRY("divsd zero_double, %%xmm0");
	check_trap("UD for it without OSXMMEXCPT", 6, NO_ERROR, want_rip);
	WRITE_REG(cr4, cr4);
	mxcsr = 0x10000;
	unaligned[0] = mxcsr;
	TRY("ldmxcsr unaligned");
	check_trap("GP reserved bit of MXCSR", 13, 0, want_rip);
	mxcsr = 0x1f80;
	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
	TRY("movaps unaligned + 4, %%xmm0");
	check_trap("GP MOVAPS unaligned", 13, 0, want_rip);
	TRY("fxsave unaligned + 8");
	check_trap("GP FXSAVE unaligned", 13, 0, want_rip);

	unaligned[0] = 0x37b; /* ZE unmasked */
	TRY_FROM("fninit\n fldcw unaligned\n fld1\n fldz\n fdivrp\n", "fwait");
	check_trap("MF at the next waiting instruction", 16, NO_ERROR, want_rip);
	TRY("fnstsw %%ax\n fnclex");
	check_none("none at FNSTSW");
	__asm__ volatile("fninit");
}

static void segments(void)
{
	TRY_FROM("movl $0x40, %%eax\n", "movl %%eax, %%ds");
	check_trap("NP data segment", 11, 0x40, want_rip);
	TRY_FROM("movl $0x40, %%eax\n", "movl %%eax, %%ss");
	check_trap("SS stack segment not present", 12, 0x40, want_rip);
	TRY_FROM("movl $0x8, %%eax\n", "movl %%eax, %%ss");
	check_trap("GP code in SS", 13, 0x8, want_rip);
	TRY_FROM("movl $0x1000, %%eax\n", "movl %%eax, %%ds");
	check_trap("GP beyond the table", 13, 0x1000, want_rip);
	TRY_FROM("movl $0x10, %%eax\n", "movl %%eax, %%cs");
	check_trap("UD MOV CS", 6, NO_ERROR, want_rip);
	TRY_FROM("movl $0x10, %%eax\n", "ltr %%ax");
	check_trap("GP LTR of data", 13, 0x10, want_rip);
	TRY_FROM("movl $0x30, %%eax\n", "ltr %%ax");
	check_trap("GP LTR of a busy TSS", 13, 0x30, want_rip);
	TRY_FROM("movl $0x13, %%eax\n", "lldt %%ax");
	check_trap("GP LLDT of data", 13, 0x10, want_rip);
	TRY("int $0x60"); /* the IDT has 64 entries: 60h * 8 + 2 */
	check_trap("GP vector beyond the IDT", 13, 0x302, want_rip);
	set_gate(0x31, 0x100000, 8, 0, 0, false);
	TRY("int $0x31");
	check_trap("NP gate", 11, 0x31 * 8 + 2, want_rip);
	set_gate(0x31, 0x100000, 0x10, 0, 0, true);
	TRY("int $0x31");
	check_trap("GP gate to data", 13, 0x10, want_rip);
	set_gate(0x31, 0x100000, 0x48, 0, 0, true);
	TRY("int $0x31");
	check_trap("GP gate to 32-bit code", 13, 0x48, want_rip);
	set_gate(0x31, 0x8000000000000000ull, 8, 0, 0, true);
	TRY("int $0x31");
	check_trap("GP gate to no address", 13, 0, want_rip);
}

static void addresses(void)
{
	TRY_FROM("movabsq $0x800000000000, %%rbx\n", "movq (%%rbx), %%rax");
	check_trap("GP non-canonical", 13, 0, want_rip);
	TRY_FROM("movabsq $0x7ffffffffffc, %%rbx\n", "movq (%%rbx), %%rax");
	check("non-canonical end", last.vector, 13);
	TRY_FROM("movabsq $0x800000000000, %%rbp\n", "movq (%%rbp), %%rax");
	check_trap("SS non-canonical", 12, 0, want_rip);
	set_gate(12, idt[12].offset0 | (uint64_t)idt[12].offset1 << 16, 8, 0, 1, true);
	TRY_FROM("movabsq $0x800000000010, %%rsp\n", "pushq %%rax");
	set_gate(12, idt[12].offset0 | (uint64_t)idt[12].offset1 << 16, 8, 0, 0, true);
	check_trap("SS push to no address", 12, 0, want_rip);
	TRY_FROM("movabsq $0x800000000000, %%rbx\n", "jmp *%%rbx");
	check_trap("GP jump to no address", 13, 0, want_rip);
	TRY_FROM("movl $0x174, %%ecx\n movl $0xc0000101, %%ecx\n xorl %%eax, %%eax\n movl $0x8000, %%edx\n", "wrmsr");
	check_trap("GP WRMSR of no address", 13, 0, want_rip);
	TRY_FROM("movl $0x12345678, %%ecx\n", "rdmsr");
	check_trap("GP unknown MSR", 13, 0, want_rip);
	TRY_FROM("movq %%cr4, %%rax\n btsq $31, %%rax\n btsq $40, %%rax\n", "movq %%rax, %%cr4");
	check_trap("GP reserved bit of CR4", 13, 0, want_rip);
	TRY_FROM("movq %%cr4, %%rax\n andq $~0x20, %%rax\n", "movq %%rax, %%cr4");
	check_trap("GP PAE off in long mode", 13, 0, want_rip);
	TRY_FROM("movq %%cr0, %%rax\n andl $0x7fffffff, %%eax\n", "movq %%rax, %%cr0");
	check_trap("GP PG off in 64-bit mode", 13, 0, want_rip);
	TRY_FROM("movq %%cr0, %%rax\n andq $~1, %%rax\n", "movq %%rax, %%cr0");
	check_trap("GP PE off with PG", 13, 0, want_rip);
	TRY_FROM("movq %%cr0, %%rax\n orq $1 << 29, %%rax\n", "movq %%rax, %%cr0");
	check_trap("GP NW without CD", 13, 0, want_rip);
	TRY_FROM("movl $16, %%eax\n", "movq %%rax, %%cr8");
	check_trap("GP CR8 above 15", 13, 0, want_rip);
	TRY_FROM("movl $0xc0000080, %%ecx\n rdmsr\n andl $~0x100, %%eax\n", "wrmsr");
	check_trap("GP LME off with PG", 13, 0, want_rip);
	TRY_FROM("pushfq\n orq $0x4000, (%%rsp)\n popfq\n", "iretq");
	check_trap("GP IRET with NT in long mode", 13, 0, want_rip);
	__asm__ volatile("pushfq\n andq $~0x4000, (%%rsp)\n popfq" : : : "memory", "cc");
}

static void double_fault(void)
{
	/* #GP whose gate isn't present: #NP while delivering #GP is #DF, error code 0 (SDM 3A table 6-5). */
	idt[13].flags &= 0x7fff;
	TRY_FROM("movabsq $0x800000000000, %%rbx\n", "movq (%%rbx), %%rax");
	idt[13].flags |= 0x8000;
	check_trap("DF of GP and NP", 8, 0, want_rip);
	/* #DE is contributory too; #UD is benign: its #NP is delivered as such. */
	idt[6].flags &= 0x7fff;
	TRY("ud2");
	idt[6].flags |= 0x8000;
	check_trap("NP of UD", 11, 6 * 8 + 2 + 1, want_rip);
	/* #PF pushing the frame of a #PF on a bad stack; #DF has a stack of its own. */
	set_gate(8, idt[8].offset0 | (uint64_t)idt[8].offset1 << 16, 8, 0, 1, true);
	TRY_FROM("movq $0xdeadbeef000, %%rsp\n", "movq 0xfffffffff0000000, %%rax");
	check("DF of two PF on IST1", last.vector, 8);
	check("DF error code", last.error, 0);
	check("its CR2", READ_REG(cr2), 0xdeadbeeeff8);
}

static uint64_t run_user(const uint8_t *rip, uint64_t flags)
{
	enter((uint64_t)rip, USER_CODE, (uint64_t)user_stack + 2048, USER_DATA, flags);
	return last.rip - (uint64_t)rip;
}

static void expect_user(const char *name, const uint8_t *rip, uint64_t flags, unsigned vector, uint64_t error, uint64_t offset)
{
	run_user(rip, flags);
	check_trap(name, vector, error, (uint64_t)rip + offset);
}

static void user(void)
{
	uint64_t cr0 = READ_REG(cr0), cr4 = READ_REG(cr4);

	for (unsigned k = 0; k < 2; k++) /* the first 4 MiB are the user's too, for a while */
		pd[k] |= 4;
	*(uint64_t *)0x100000 = *(volatile uint64_t *)0x100000;
	WRITE_REG(cr3, READ_REG(cr3));
	set_gate(0x30, (uint64_t)idt[0x30].offset0 | (uint64_t)idt[0x30].offset1 << 16, 8, 3, 0, true);
	expect_user("INT from CPL 3", user_int_open, 2, 0x30, NO_ERROR, 2);
	check("its CS", last.cs, USER_CODE);
	check("its SS", last.ss, USER_DATA);
	check("its RSP", last.rsp, (uint64_t)user_stack + 2048);
	/* A return to an outer level takes the selector from segments that are too privileged, and leaves the base (SDM 2A, IRET). */
	__asm__ volatile("movl %0, %%gs" : : "r"(16));
	wrmsr(0xc0000101, (uint64_t)user_stack);
	((uint64_t *)user_stack)[1] = 0x123456789abcdef;
	run_user(user_gs, 2);
	check("IRET to CPL 3 nulls a DPL 0 GS", last.rcx, 0);
	check("and leaves its base", last.rax, 0x123456789abcdef);
	wrmsr(0xc0000101, 0);
	expect_user("GP CLI", user_cli, 2, 13, 0, 0);
	expect_user("GP HLT", user_hlt, 2, 13, 0, 0);
	expect_user("GP IN", user_in, 2, 13, 0, 0);
	expect_user("GP INT through DPL 0", user_int, 2, 13, 0x21 * 8 + 2, 0);
	expect_user("GP null SS at CPL 3", user_null_ss, 2, 13, 0, 2);
	expect_user("GP CR0 at CPL 3", user_cr, 2, 13, 0, 0);
	expect_user("GP RDMSR at CPL 3", user_msr, 2, 13, 0, 0);
	expect_user("GP LGDT at CPL 3", user_lgdt, 2, 13, 0, 0);
	expect_user("UD STAC at CPL 3", user_stac, 2, 6, NO_ERROR, 0);
	expect_user("RDTSC at CPL 3", user_rdtsc, 2, 0x30, NO_ERROR, 4);
	WRITE_REG(cr4, cr4 | 4);
	expect_user("GP RDTSC with TSD", user_rdtsc, 2, 13, 0, 0);
	WRITE_REG(cr4, cr4);
	run_user(user_popf, 2);
	check("POPF changes neither IF nor IOPL at CPL 3", last.rax & 0x3200, 0);
	run_user(user_popf, 0x3002);
	check("IOPL 3 lets it change IF", last.rax & 0x3200, 0x3200);
	expect_user("CLI with IOPL 3", user_cli, 0x3002, 13, 0, 1); /* then HLT faults */
	WRITE_REG(cr0, cr0 | 1 << 18);
	expect_user("AC unaligned at CPL 3", user_ac, 0x40002, 17, 0, 0);
	expect_user("no AC aligned", user_ac_ok, 0x40002, 0x30, NO_ERROR, 15);
	expect_user("AC quadword at 4 mod 8", user_ac_int, 0x40002, 17, 0, 2);
	expect_user("no AC without EFLAGS.AC", user_ac, 2, 0x30, NO_ERROR, 6);
	WRITE_REG(cr0, cr0);
	expect_user("no AC without CR0.AM", user_ac, 0x40002, 0x30, NO_ERROR, 6);
	/* The I/O bitmap opens port 80h. */
	((volatile uint8_t *)tss)[104 + 16] = 0;
}

extern uint8_t syscall_entry[], sysenter_entry[];
uint64_t saved_rcx, saved_r11, saved_flags, saved_cs, saved_ss, saved_rsp;
__asm__(".text\n syscall_entry: movq %rcx, saved_rcx\n movq %r11, saved_r11\n pushfq\n popq saved_flags\n"
	"movl %cs, %ecx\n movq %rcx, saved_cs\n movl %ss, %ecx\n movq %rcx, saved_ss\n"
	"movq saved_rcx, %rcx\n movq $0x40202 , %r11\n sysretq\n"
	"sysenter_entry: movq %rsp, saved_rsp\n movl %cs, %ecx\n movq %rcx, saved_cs\n pushfq\n popq saved_flags\n"
	"leaq user_spin, %rdx\n leaq user_stack + 1024, %rcx\n sysexitq\n");

static void fast_calls(void)
{
	wrmsr(0xc0000081, 0x0018000800000000ull | (uint64_t)0x18 << 48);
	wrmsr(0xc0000082, (uint64_t)syscall_entry);
	wrmsr(0xc0000084, 0x40700);
	/* user_syscall: mov, syscall; the kernel pushes on the user's stack, which it may. */
	run_user(user_syscall, 0x40202 & ~0x200);
	check("SYSCALL leaves RIP in RCX", saved_rcx, (uint64_t)user_syscall_after);
	check("SYSCALL leaves RFLAGS in R11", saved_r11 & 0x40302, 0x40002);
	check("SFMASK clears AC", saved_flags & 0x40700, 0);
	check("SYSCALL loads CS", saved_cs, 8);
	check("SYSCALL loads SS", saved_ss, 16);
	check("SYSRET returns behind SYSCALL", last.rip, (uint64_t)user_syscall_after + 2);
	check("SYSRET loads CS", last.cs, 0x2b);
	check("SYSRET loads SS", last.ss, 0x23);
	check("SYSRET loads RFLAGS from R11", last.rflags & 0x40200, 0x40200);
	wrmsr(0xc0000080, rdmsr(0xc0000080) & ~1ull);
	expect_user("UD SYSCALL without SCE", user_syscall, 2, 6, NO_ERROR, 5);
	wrmsr(0xc0000080, rdmsr(0xc0000080) | 1);
	expect_user("GP SYSENTER without CS", user_sysenter, 2, 13, 0, 0);
	wrmsr(0x174, 8);
	wrmsr(0x175, (uint64_t)user_stack + 4096);
	wrmsr(0x176, (uint64_t)sysenter_entry);
	run_user(user_sysenter, 2);
	check("SYSENTER loads RSP", saved_rsp, (uint64_t)user_stack + 4096);
	check("SYSENTER loads CS", saved_cs, 8);
	check("SYSEXIT goes to RDX", last.rip, (uint64_t)user_spin + 2);
	check("SYSEXIT takes RSP from RCX", last.rsp, (uint64_t)user_stack + 1024);
	check("SYSEXIT loads CS", last.cs, 8 + 32 + 3);
	check("SYSEXIT loads SS", last.ss, 8 + 40 + 3);
	TRY_FROM("movabsq $0x800000000000, %%rcx\n movl $2, %%r11d\n", "sysretq");
	check_trap("GP SYSRET to no address", 13, 0, want_rip);
}

static void run32(const uint8_t *rip)
{
	enter((uint64_t)rip, USER_CODE32, (uint64_t)user_stack + 2048, USER_DATA, 2);
}

static void compatibility(void)
{
	run32(user32_int);
	check_trap("INT from compatibility mode", 0x30, NO_ERROR, (uint64_t)user32_int + 2);
	check("its CS", last.cs, USER_CODE32);
	run32(user32_add);
	check("48h is DEC EAX there", last.rax, 0x7fffffff);
	check("PUSH moves 4 bytes", last.rcx, 0x77);
	run32(user32_syscall);
	check_trap("UD SYSCALL in compatibility mode", 6, NO_ERROR, (uint64_t)user32_syscall);
	run32(user32_sysenter);
	check("SYSENTER enters 64-bit mode", last.cs, 8 + 32 + 3);
	run32(user32_far);
	check_trap("far jump to 64-bit mode", 0x30, NO_ERROR, (uint64_t)user_spin + 2);
	check("its CS", last.cs, USER_CODE);
	set_gate(4, (uint64_t)idt[4].offset0 | (uint64_t)idt[4].offset1 << 16, 8, 3, 0, true);
	run32(user32_into);
	check_trap("OF after INTO", 4, NO_ERROR, (uint64_t)user32_into + 5);
	run32(user32_bound);
	check_trap("BR at BOUND", 5, NO_ERROR, (uint64_t)user32_bound + 12);
}

void kmain(const uint32_t *multiboot)
{
	guest_init(multiboot);
	if (has_word("triple")) {
		idt[8].flags = idt[13].flags = 0;
		say("triple fault now\n");
		__asm__ volatile("movq (%0), %%rax" : : "r"(1ull << 47) : "rax");
		leave(1);
	}
	arithmetic();
	x87_and_sse();
	segments();
	addresses();
	user();
	fast_calls();
	compatibility();
	double_fault();
	say(failures ? "failed\n" : "passed\n");
	leave(failures ? 1 : 0);
}
