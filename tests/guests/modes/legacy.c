/* SPDX-License-Identifier: MIT */
/*
 * Before 64-bit mode: real mode and back, with an interrupt there and unreal limits; 16-bit protected mode; 32-bit paging with
 * 4 KiB and 4 MiB pages, PAE; call gates, #TS, #NP, #OF, #BR, #SS; virtual-8086 mode. 32-bit code at 1 MiB; what real
 * mode runs is copied to 8000h.
 */
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

__asm__(".section .header, \"ax\"\n .balign 4\n .long 0x1badb002, 2, -0x1badb002 - 2\n"
	".globl _start\n _start: movl $stack_top, %esp\n lgdt gdtr\n ljmp $8, $1f\n 1: movl $16, %eax\n movl %eax, %ds\n"
	"movl %eax, %es\n movl %eax, %ss\n movl %eax, %fs\n movl %eax, %gs\n call kmain\n"
	".bss\n .balign 16\n .skip 16384\n stack_top: .skip 4096\n trap_top:\n .text\n"
	/* Traps: vectors 0..47 push their number; C decides. */
	".altmacro\n .macro entry v\n .balign 16\n trap_\\v:\n .if \\v == 8 || (\\v >= 10 && \\v <= 14) || \\v == 17\n .else\n pushl $-1\n .endif\n"
	"pushl $\\v\n jmp common\n .endm\n .set i, 0\n .rept 48\n entry %i\n .set i, i + 1\n .endr\n"
	"common: pushal\n movl %esp, %ebx\n movl $16, %eax\n movl %eax, %ds\n movl %eax, %es\n pushl %ebx\n call trap\n"
	/* Back to whoever asked, on his stack. */
	"movl resume_esp, %esp\n movl $16, %eax\n movl %eax, %ss\n pushl $2\n popfl\n jmp *resume\n"
	".data\n .balign 8\n trap_entries:\n .macro address v\n .long trap_\\v\n .endm\n .set i, 0\n .rept 48\n address %i\n .set i, i + 1\n .endr\n"
	".text\n");

uint64_t gdt[16] = {
	0, 0x00cf9b000000ffff, 0x00cf93000000ffff,	   /* 8, 10: flat */
	0x00cffb000000ffff, 0x00cff3000000ffff,		   /* 18, 20: DPL 3 */
	0x00009b008000ffff, 0x000093008000ffff,		   /* 28, 30: 16-bit at 8000h */
	0, 0x00cf13000000ffff, 0x0000930000000010,	   /* 38: TSS; 40: not present; 48: 17 bytes */
	0,						   /* 50: call gate */
	0,						   /* 58: a TSS that isn't available */
};
struct {
	uint16_t limit;
	uint32_t base;
} __attribute__((packed)) gdtr = {sizeof(gdt) - 1, (uint32_t)gdt}, idtr;
static uint64_t idt[48];
uint32_t tss[26];
extern uint32_t trap_entries[48];
extern uint8_t trap_top[];

struct frame {
	uint32_t edi, esi, ebp, esp0, ebx, edx, ecx, eax, vector, error, eip, cs, eflags, esp, ss, es, ds, fs, gs;
};
static struct frame last;
uint32_t resume, resume_esp, want_eip;
static unsigned failures, traps;

void trap(const struct frame *f);
void trap(const struct frame *f)
{
	last = *f;
	traps++;
}

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
static void check_trap(const char *name, uint32_t vector, uint32_t error, uint32_t eip)
{
	check(name, last.vector, vector);
	check(" its error code", last.error, error);
	check(" its EIP", last.eip, eip);
}

#define TRY_FROM(setup, insn) \
	do { \
		last.vector = 255; \
		__asm__ volatile("pushal\n movl $0f, want_eip\n movl %%esp, resume_esp\n movl $1f, resume\n" setup "\n0: " insn \
				 "\n1: movl resume_esp, %%esp\n popal" : : : "memory", "cc"); \
	} while (0)
#define TRY(insn) TRY_FROM("", insn)
#define READ_CR(n) ({ uint32_t v_; __asm__ volatile("movl %%cr" #n ", %0" : "=r"(v_)); v_; })
#define WRITE_CR(n, v) __asm__ volatile("movl %0, %%cr" #n : : "r"((uint32_t)(v)) : "memory")

static void protected32(void)
{
	TRY_FROM("movb $0x7f, %%al\n addb $1, %%al\n", "into");
	check_trap("OF after INTO", 4, -1u, want_eip + 1);
	TRY_FROM("movl $9, %%eax\n pushl $4\n pushl $1\n", "bound %%eax, (%%esp)");
	check_trap("BR at BOUND", 5, -1u, want_eip);
	TRY_FROM("movl $0x40, %%eax\n", "movl %%eax, %%es");
	check_trap("NP", 11, 0x40, want_eip);
	TRY_FROM("movl $0x48, %%eax\n movl %%eax, %%fs\n", "movb %%fs:16, %%al\n movb %%fs:17, %%al");
	check("limit: the last byte is in", last.vector, 13);
	check(" the next one isn't", last.error, 0);
	TRY_FROM("movl $0x48, %%eax\n movl %%eax, %%fs\n", "movl %%fs:13, %%eax");
	check("limit: four bytes up to the end", last.vector, 255);
	TRY_FROM("movl $0x48, %%eax\n movl %%eax, %%fs\n", "movl %%fs:14, %%eax");
	check_trap("limit: four bytes over it", 13, 0, want_eip);
	TRY_FROM("xorl %%eax, %%eax\n movl %%eax, %%fs\n", "movl %%fs:0, %%eax");
	check_trap("GP null segment", 13, 0, want_eip);
	TRY("movl %%eax, %%cs:0x100000");
	check_trap("GP store to code", 13, 0, want_eip);
	__asm__ volatile("movl %0, %%fs" : : "r"(16));
	gdt[11] = gdt[7];
	TRY_FROM("pushfl\n orl $0x4000, (%%esp)\n popfl\n", "iret"); /* the back link names a TSS that isn't busy: 0 */
	check("TS: IRET with NT and no task to go to", last.vector, 10);
}

extern uint8_t user_gate[], gate_target[], user_int[];
uint32_t gate_seen[6];
__asm__(".text\n user_gate: pushl $0x1111\n pushl $0x2222\n lcall $0x50, $0\n user_int: int $0x21\n"
	"gate_target: movl $16, %eax\n movl %eax, %ds\n movl %cs, %eax\n movl %eax, gate_seen\n movl (%esp), %eax\n movl %eax, gate_seen+4\n movl 8(%esp), %eax\n"
	"movl %eax, gate_seen+8\n movl 12(%esp), %eax\n movl %eax, gate_seen+12\n movl 4(%esp), %eax\n movl %eax, gate_seen+16\n lret $8\n");

static uint8_t user_stack[1024];

static void enter(uint32_t eip, uint32_t cs, uint32_t esp, uint32_t ss, uint32_t flags)
{
	last.vector = 255;
	__asm__ volatile("pushal\n movl %%esp, resume_esp\n movl $1f, resume\n pushl $0\n pushl $0\n pushl $0\n pushl $0\n"
			 "pushl %4\n pushl %3\n pushl %2\n pushl %1\n pushl %0\n iret\n1: movl $16, %%eax\n movl %%eax, %%ds\n"
			 "movl %%eax, %%es\n movl %%eax, %%fs\n movl %%eax, %%gs\n popal"
			 : : "b"(eip), "c"(cs), "d"(flags), "S"(esp), "D"(ss) : "memory", "cc");
}

static void gates(void)
{
	uint32_t t = (uint32_t)gate_target, u = (uint32_t)user_stack + 1024;

	idt[0x21] |= 3ull << 45;
	gdt[10] = (t & 0xffff) | 8 << 16 | 2ull << 32 | 0xecull << 40 | (uint64_t)(t >> 16) << 48; /* two parameters, DPL 3 */
	enter((uint32_t)user_gate, 0x1b, u, 0x23, 2);
	check("call gate: CPL 0", gate_seen[0], 8);
	check("call gate: return EIP", gate_seen[1], (uint32_t)user_int);
	check("call gate: the caller's CS", gate_seen[4], 0x1b);
	check("call gate: first parameter", gate_seen[2], 0x2222);
	check("call gate: second parameter", gate_seen[3], 0x1111);
	check_trap("return through it", 0x21, -1u, (uint32_t)user_int + 2);
	check(" its ESP", last.esp, u);
	check(" its SS", last.ss, 0x23);
}

/* --- Real mode and virtual-8086 mode --- */

extern uint8_t rm_begin[], rm_end[], rm_v86[], rm_v86_cli[];
__asm__(".text\n enter_real: pushal\n movl %esp, saved_esp\n ljmp $0x28, $0\n"
	".code16\n rm_begin: movw $0x30, %ax\n movw %ax, %ds\n movw %ax, %es\n movw %ax, %ss\n movw $0xe00, %sp\n pushw %ax\n"
	"movw %sp, 0xf00\n popw %ax\n movl %cr0, %eax\n andl $~1, %eax\n movl %eax, %cr0\n ljmp $0x800, $(rm_real - rm_begin)\n"
	"rm_real: movw $0x800, %ax\n movw %ax, %ds\n movw %ax, %ss\n xorw %ax, %ax\n movw %ax, %es\n movw %cs, 0xf02\n"
	"lidtl rm_idtr - rm_begin\n movw $(rm_handler - rm_begin), %es:0x180\n movw $0x800, %es:0x182\n int $0x60\n movw %sp, 0xf0a\n"
	"movl $0x100000, %ebx\n movl %fs:(%ebx), %eax\n movl %eax, 0xf10\n"
	"movl %cr0, %eax\n orl $1, %eax\n movl %eax, %cr0\n ljmpl $8, $rm_back\n"
	"rm_handler: movw $0x1234, 0xf04\n movw %sp, %bp\n movw (%bp), %cx\n movw %cx, 0xf06\n movw 2(%bp), %cx\n movw %cx, 0xf08\n iret\n"
	"rm_idtr: .word 0x3ff\n .long 0\n"
	"rm_v86: movw $0xabc, 0xf0c\n movw $0x900, %ax\n movw %ax, %ds\n movw $0xdef, 0xc\n rm_v86_cli: cli\n"
	"rm_end: .code32\n rm_back: movl $16, %eax\n movl %eax, %ds\n movl %eax, %es\n movl %eax, %ss\n movl %eax, %fs\n"
	"movl saved_esp, %esp\n lidt idtr\n popal\n ret\n");
uint32_t saved_esp;
void enter_real(void);

#define AT16(a) (*(volatile uint16_t *)(a))

static void real_mode(void)
{
	for (uint32_t k = 0; k < (uint32_t)(rm_end - rm_begin); k++)
		((volatile uint8_t *)0x8000)[k] = rm_begin[k];
	enter_real();
	check("16-bit protected mode: PUSH moves SP by 2", AT16(0x8f00), 0xdfe);
	check("real mode: CS", AT16(0x8f02), 0x800);
	check("real mode: INT", AT16(0x8f04), 0x1234);
	check("real mode: pushes CS", AT16(0x8f08), 0x800);
	check("real mode: IRET restores SP", AT16(0x8f0a), 0xe00);
	check("unreal: FS keeps its 4 GiB", *(volatile uint32_t *)0x8f10, 0x1badb002);
	check("back in protected mode", READ_CR(0) & 1, 1);
}

static void virtual_8086(void)
{
	enter((uint32_t)(rm_v86 - rm_begin), 0x800, 0xe00, 0x800, 0x20002);
	check_trap("virtual-8086: CLI with IOPL 0", 13, 0, (uint32_t)(rm_v86_cli - rm_begin));
	check("its CS", last.cs, 0x800);
	check("its VM flag", last.eflags >> 17 & 1, 1);
	check("its DS on the frame", last.ds, 0x900);
	check("it wrote by DS 0", AT16(0xf0c), 0xabc);
	check("and by DS 900h", AT16(0x900c), 0xdef);
	enter((uint32_t)(rm_v86_cli - rm_begin), 0x800, 0xe00, 0x800, 0x23002);
	check("virtual-8086: IOPL 3 lets CLI pass", last.eip > (uint32_t)(rm_v86_cli - rm_begin), 1);
}

/* --- Paging --- */

static uint32_t directory[1024] __attribute__((aligned(4096)));
static uint32_t table[1024] __attribute__((aligned(4096)));
static uint64_t pdpt[4] __attribute__((aligned(32)));
static uint64_t pae_directory[512] __attribute__((aligned(4096)));
static uint64_t pae_table[512] __attribute__((aligned(4096)));
static uint32_t page[2][1024] __attribute__((aligned(4096)));

static void paging32(void)
{
	page[0][3] = 0x11112222;
	directory[0] = 0x83; /* 4 MiB */
	directory[512] = (uint32_t)table | 3;
	table[0] = (uint32_t)page[0] | 3;
	table[1] = (uint32_t)page[1] | 1;
	WRITE_CR(4, 0x10); /* PSE */
	WRITE_CR(3, directory);
	WRITE_CR(0, READ_CR(0) | 0x80010000);
	check("two levels: a 4 KiB page", *(volatile uint32_t *)0x8000000c, 0x11112222);
	check("two levels: A in both", (table[0] & directory[512]) >> 5 & 1, 1);
	check("a 4 MiB page: A and D", directory[0] & 0x60, 0x60);
	TRY("movl %%eax, 0x80001000");
	check_trap("two levels: write to read-only", 14, 3, want_eip);
	TRY("movl 0x80002000, %%eax");
	check_trap("two levels: not present", 14, 0, want_eip);
	check(" its CR2", READ_CR(2), 0x80002000);
	directory[513] = 0x83 | 1 << 21;
	WRITE_CR(3, directory);
	TRY("movl 0x80400000, %%eax");
	check("4 MiB page, reserved bit", last.error, 9);
	WRITE_CR(0, READ_CR(0) & 0x7fffffff);
	check("paging off", page[0][3], 0x11112222);
}

static void pae(void)
{
	pdpt[0] = (uint32_t)pae_directory | 1;
	pae_directory[0] = 0x83; /* 2 MiB */
	pae_directory[1] = (uint32_t)pae_table | 3;
	pae_table[0] = (uint32_t)page[0] | 3;
	pae_table[1] = (uint32_t)page[1] | 1;
	pae_table[2] = (uint32_t)page[1] | 1ull << 51 | 3;
	WRITE_CR(4, 0x20);
	WRITE_CR(3, pdpt);
	WRITE_CR(0, READ_CR(0) | 0x80010000);
	check("PAE: a 4 KiB page", *(volatile uint32_t *)0x20000c, 0x11112222);
	check("PAE: a 2 MiB page's A and D", (uint32_t)pae_directory[0] & 0x60, 0x60);
	TRY("movl %%eax, 0x201000");
	check_trap("PAE: write to read-only", 14, 3, want_eip);
	TRY("movl 0x202000, %%eax");
	check_trap("PAE: reserved bit", 14, 9, want_eip);
	TRY("movl 0x40000000, %%eax");
	check_trap("PAE: no pointer", 14, 0, want_eip);
	pdpt[1] = 3; /* W is reserved in a PDPTE */
	TRY("movl %%cr3, %%eax\n 5: movl %%eax, %%cr3");
	check("PAE: CR3 with a bad pointer is #GP", last.vector, 13);
	WRITE_CR(0, READ_CR(0) & 0x7fffffff);
	WRITE_CR(4, 0);
}

void kmain(void);
void kmain(void)
{
	uint32_t t = (uint32_t)tss;

	for (unsigned k = 0; k < 48; k++)
		idt[k] = (trap_entries[k] & 0xffff) | 8 << 16 | 0x8eull << 40 | (uint64_t)(trap_entries[k] >> 16) << 48;
	idtr.limit = sizeof(idt) - 1;
	idtr.base = (uint32_t)idt;
	__asm__ volatile("lidt idtr");
	tss[1] = (uint32_t)trap_top;
	tss[2] = 16;
	tss[25] = 104 << 16;
	gdt[7] = 103 | (uint64_t)(t & 0xffffff) << 16 | 0x89ull << 40 | (uint64_t)(t >> 24) << 56;
	__asm__ volatile("ltr %w0" : : "r"(0x38));
	protected32();
	gates();
	real_mode();
	virtual_8086();
	paging32();
	pae();
	say(failures ? "failed\n" : "passed\n");
	outb(0xf4, failures ? 1 : 0);
	for (;;)
		__asm__ volatile("cli; hlt");
}
