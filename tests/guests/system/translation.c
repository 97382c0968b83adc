/* SPDX-License-Identifier: MIT */
/*
 * Translation with all that CR4 can ask for: 5-level paging (SDM 3A 4.5, 5-level paging enabling in 4.1), canonical addresses with
 * and without it (SDM 1 3.3.7.1), PCIDs and INVPCID (3A 4.10, 2A INVPCID), INVLPG of large pages (4.10.4.1), SMAP's explicit and
 * implicit accesses, SMEP, UMIP (4.6.1, 2.5). What the CPU hasn't must be #UD or #GP.
 */
#include "guest.h"

#define VA 0x8000000000ull /* PML4 entry 1 */
#define USER_CODE (0x28 + 3)
#define USER_DATA (0x20 + 3)
enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80 };
enum { PCIDE = 1 << 17, SMEP = 1 << 20, SMAP = 1 << 21, UMIP = 1 << 11, LA57 = 1 << 12 };

extern uint64_t pml4[];
static uint64_t pdpt1[512] __attribute__((aligned(4096)));
static uint64_t pd1[512] __attribute__((aligned(4096)));
static uint64_t pt1[512] __attribute__((aligned(4096)));
static uint64_t pml5[512] __attribute__((aligned(4096)));
static uint64_t pml4b[512] __attribute__((aligned(4096)));
static uint8_t page[2][4096] __attribute__((aligned(4096)));
static bool has_pcid, has_invpcid, has_la57;

uint64_t target, value, descriptor[2]; /* of the next access; of INVPCID */

#define READ TRY_FROM("movq target, %%rbx\n", "movq (%%rbx), %%rax\n movq %%rax, value")
#define STORE TRY_FROM("movq target, %%rbx\n", "movq %%rbx, (%%rbx)")
#define JUMP TRY_FROM("movq target, %%rbx\n", "jmp *%%rbx")
#define CALL TRY_FROM("movq target, %%rbx\n", "call *%%rbx")
#define GP0(name) check_trap(name, 13, 0, want_rip)

static void cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	__asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(sub));
}
static void flush(void)
{
	WRITE_REG(cr3, READ_REG(cr3));
}
static void invlpg(uint64_t a)
{
	__asm__ volatile("invlpg (%0)" : : "r"(a) : "memory");
}

/* --- Large pages --- */

#define FRAMES 0x1000000ull /* 16 MiB: two frames of 2 MiB, marked */
#define AT(a) (*(volatile uint64_t *)(a))

static void large_pages(void)
{
	for (uint64_t k = 0; k < 2 << 21; k += 4096)
		AT(FRAMES + k) = k;
	pd1[1] = FRAMES | PS | W | P;
	flush();
	check("2 MiB page", AT(VA + (2 << 20)) + AT(VA + (2 << 20) + 0x5000), 0x5000);
	((volatile uint64_t *)pd1)[1] = (FRAMES + (1 << 21)) | PS | W | P;
	invlpg(VA + (2 << 20) + 0x9000);
	check("INVLPG: the page asked for", AT(VA + (2 << 20) + 0x9000), (1 << 21) + 0x9000);
	check("INVLPG: what else the large page had, 4.10.4.1", AT(VA + (2 << 20) + 0x5000), (1 << 21) + 0x5000);
	pdpt1[1] = PS | W | P;
	flush();
	AT(FRAMES) = 0x11;
	check("1 GiB page", AT(VA + (1 << 30) + FRAMES), 0x11);
	((volatile uint64_t *)pdpt1)[1] = (uint64_t)pd1 | W | P;
	invlpg(VA + (1 << 30));
	target = VA + (1 << 30) + FRAMES;
	READ;
	check_trap("INVLPG: a 1 GiB page, from anywhere in it", 14, 0, want_rip);
	pdpt1[1] = pd1[1] = 0;
	flush();
}

/* A processor may remember an entry that changed until it is told (4.10.4.3); this one never does, so runs don't depend on when it forgets. */
static void changed_entries(void)
{
	volatile uint64_t *pte = pt1;

	pte[0] = (uint64_t)page[0] | P | W;
	flush();
	AT(VA) = 1;
	check("written: A and D", pte[0] & (A | D), A | D);
	pte[0] &= ~(uint64_t)(A | D);
	(void)AT(VA);
	check("A is set again, without INVLPG", pte[0] & (A | D), A);
	AT(VA) = 2;
	check("and D", pte[0] & (A | D), A | D);
	((volatile uint8_t *)pte)[0] &= (uint8_t)~W;
	target = VA;
	STORE;
	check_trap("a right that was taken away is gone", 14, P | W, want_rip);
	AT(page[1]) = 3;
	pte[0] = (uint64_t)page[1] | P | W;
	check("another frame is seen", AT(VA), 3);
}

/* --- SMEP, SMAP, UMIP --- */

extern uint8_t user_sgdt[], user_invpcid[];
__asm__(".text\n .balign 4096\n user_sgdt: sgdt (%rsp)\n int $0x30\n user_invpcid: xorl %eax, %eax\n .byte 0x66, 0x0f, 0x38, 0x82, 0x04, 0x24\n"
	"int $0x30\n .balign 4096\n"
	/* An interrupt with RSP in a user page. */
	".globl push_there\n push_there: movq %rsp, %rbx\n movq target, %rsp\n int $0x31\n movq %rbx, %rsp\n ret\n"
	".globl just_iret\n just_iret: movq %rsp, seen_rsp\n iretq\n");
extern uint8_t just_iret[];
uint64_t seen_rsp;

static void protections(void)
{
	static const uint64_t data_segment = 0x00cf93000000ffff;
	uint64_t ldt_desc[2], saved[2] = {gdt[10], gdt[11]};

	set_gate(0x30, (uint64_t)idt[0x30].offset0 | (uint64_t)idt[0x30].offset1 << 16, 8, 3, 0, true);
	pt1[0] = (uint64_t)page[0] | P | W | U;
	pt1[1] = (uint64_t)user_sgdt | P | U;
	flush();
	WRITE_REG(cr4, READ_REG(cr4) | SMEP | SMAP | UMIP);
	target = VA;
	READ;
	check_trap("SMAP: read", 14, P, want_rip);
	STORE;
	check_trap("SMAP: write", 14, P | W, want_rip);
	TRY_FROM("movq target, %%rbx\n stac\n", "movq (%%rbx), %%rax");
	check_none("SMAP: AC lets it");
	target = VA + 4096;
	CALL;
	check_trap("SMEP: fetch", 14, P | 0x10, target);
	/* Pushes by a supervisor are explicit accesses: AC counts. */
	set_gate(0x31, (uint64_t)just_iret, 8, 0, 0, true);
	target = VA + 2048;
	TRY("stac\n call push_there\n clac");
	check_none("SMAP: an interrupt's frame in a user page, with AC");
	check(" it went there", seen_rsp, VA + 2048 - 40);
	set_gate(14, (uint64_t)idt[14].offset0 | (uint64_t)idt[14].offset1 << 16, 8, 0, 1, true);
	set_gate(0x31, (uint64_t)just_iret, 8, 0, 0, true);
	TRY("call push_there");
	check("SMAP: the frame, without AC", last.vector << 8 | last.error, 14 << 8 | P | W);
	check(" CR2 is the first push", READ_REG(cr2), VA + 2048 - 8);
	set_gate(14, (uint64_t)idt[14].offset0 | (uint64_t)idt[14].offset1 << 16, 8, 0, 0, true);
	/* Descriptor tables are implicit accesses: AC doesn't count. */
	__builtin_memcpy(page[0] + 8, &data_segment, 8);
	ldt_desc[0] = 0xfff | (VA & 0xffffff) << 16 | 0x82ull << 40 | (VA >> 24 & 0xff) << 56;
	ldt_desc[1] = VA >> 32;
	gdt[10] = ldt_desc[0];
	gdt[11] = ldt_desc[1];
	__asm__ volatile("lldt %w0" : : "r"(0x50));
	TRY_FROM("stac\n movl $0xc, %%eax\n", "movl %%eax, %%es");
	check_trap("SMAP: a descriptor in a user page, even with AC", 14, P, want_rip);
	WRITE_REG(cr4, READ_REG(cr4) & ~(uint64_t)SMAP);
	TRY_FROM("movl $0xc, %%eax\n", "movl %%eax, %%es");
	check_none("without SMAP");
	__asm__ volatile("movl %0, %%es\n lldt %w1" : : "r"(16), "r"(0));
	gdt[10] = saved[0];
	gdt[11] = saved[1];
	enter(VA + 4096, USER_CODE, VA + 2048, USER_DATA, 2);
	check("UMIP: SGDT at CPL 3", last.vector << 8 | last.error, 13 << 8);
	WRITE_REG(cr4, READ_REG(cr4) & ~(uint64_t)UMIP);
	enter(VA + 4096, USER_CODE, VA + 2048, USER_DATA, 2);
	check("without UMIP", last.vector, 0x30);
	WRITE_REG(cr4, READ_REG(cr4) & ~(uint64_t)SMEP);
}

/* --- PCIDs --- */

#define SET_CR3(v) do { value = (v); TRY_FROM("movq value, %%rax\n", "movq %%rax, %%cr3"); } while (0)
#define SET_CR4(v) do { value = (v); TRY_FROM("movq value, %%rax\n", "movq %%rax, %%cr4"); } while (0)
uint64_t type;
#define INVPCID TRY_FROM("movq type, %%rax\n", ".byte 0x66, 0x0f, 0x38, 0x82, 0x04, 0x25\n .long descriptor")

static void invpcid(const char *name, uint64_t t, uint64_t pcid, uint64_t linear, bool good)
{
	type = t;
	descriptor[0] = pcid;
	descriptor[1] = linear;
	INVPCID;
	if (good)
		check_none(name);
	else
		GP0(name);
}

/* A translation that has changed is seen after each type. */
static void forgets(void)
{
	for (uint64_t t = 0; t < 4; t++) {
		pt1[0] = (uint64_t)page[0] | P | W;
		flush();
		AT(page[0]) = 0;
		AT(page[1]) = 1;
		check("INVPCID: before", AT(VA), 0);
		((volatile uint64_t *)pt1)[0] = (uint64_t)page[1] | P | W;
		invpcid("INVPCID: forgets", t, READ_REG(cr3) & 0xfff, VA, true);
		check("INVPCID: after", AT(VA), 1);
	}
}

static void pcids(void)
{
	uint64_t cr4 = READ_REG(cr4), root = (uint64_t)pml4;

	SET_CR3(root | 1ull << 63);
	GP0("GP CR3 bit 63 without PCIDE");
	SET_CR3(root | 0x18); /* PWT and PCD */
	check_none("CR3 with PWT and PCD");
	if (!has_pcid) {
		SET_CR4(cr4 | PCIDE);
		GP0("GP CR4.PCIDE, which isn't there");
		WRITE_REG(cr3, root);
		return;
	}
	SET_CR4(cr4 | PCIDE);
	GP0("GP CR4.PCIDE with CR3[11:0] not 0");
	WRITE_REG(cr3, root);
	if (has_invpcid) {
		invpcid("GP INVPCID: a PCID without PCIDE, type 0", 0, 1, VA, false);
		invpcid("GP INVPCID: a PCID without PCIDE, type 1", 1, 1, VA, false);
		invpcid("INVPCID: type 2 asks for no PCID", 2, 1, VA, true);
		forgets();
	}
	SET_CR4(cr4 | PCIDE);
	check_none("CR4.PCIDE");
	SET_CR3(root | 0x123);
	check_none("CR3 with a PCID");
	check(" it can be read", READ_REG(cr3), root | 0x123);
	SET_CR3(root | 0x124 | 1ull << 63);
	check_none("CR3 with bit 63");
	check(" which reads as 0", READ_REG(cr3), root | 0x124);
	SET_CR3(root | 1ull << 52);
	GP0("GP CR3: bit 52");
	SET_CR3(root | 1ull << 62 | 1ull << 63);
	GP0("GP CR3: bit 62");
	/* Paging can't end with PCIDs on (SDM 3A 4.10.1). */
	TRY_FROM("pushq $0x48\n leaq 0f(%%rip), %%rax\n pushq %%rax\n movq %%cr0, %%rdx\n andl $0x7fffffff, %%edx\n lretq\n",
		 ".code32\n movl %%edx, %%cr0\n .code64");
	GP0("GP CR0.PG can't be cleared with PCIDE");
	if (has_invpcid) {
		forgets();
		invpcid("INVPCID: any PCID", 1, 0xfff, 0, true);
		invpcid("GP INVPCID: type 4", 4, 0, VA, false);
		invpcid("GP INVPCID: type 2^32", 1ull << 32, 0, VA, false);
		invpcid("GP INVPCID: bit 12", 0, 0x1000, VA, false);
		invpcid("GP INVPCID: bit 63, type 3", 3, 1ull << 63, VA, false);
		invpcid("GP INVPCID: not canonical", 0, 1, 1ull << 60, false);
		invpcid("INVPCID: type 1 has no address", 1, 1, 1ull << 60, true);
		TRY_FROM("movq $0x123456789000, %%rbx\n xorl %%eax, %%eax\n", ".byte 0x66, 0x0f, 0x38, 0x82, 0x03");
		check_trap("PF INVPCID's descriptor", 14, 0, want_rip);
		TRY(".byte 0x66, 0x0f, 0x38, 0x82, 0xc0");
		check_trap("UD INVPCID of a register", 6, NO_ERROR, want_rip);
		pt1[0] = (uint64_t)page[0] | P | W | U;
		pt1[1] = (uint64_t)user_sgdt | P | U;
		flush();
		enter(VA + 4096 + (uint64_t)(user_invpcid - user_sgdt), USER_CODE, VA + 2048, USER_DATA, 2);
		check("GP INVPCID at CPL 3", last.vector << 8 | last.error, 13 << 8);
	}
	SET_CR4(cr4);
	check_none("CR4.PCIDE can be cleared with a PCID in CR3");
	WRITE_REG(cr3, root);
}

/* --- 5-level paging --- */

/* Through 32-bit code, paging off and on: CR3 and CR4 as given. */
void switch_paging(uint64_t cr3, uint64_t cr4);
__asm__(".text\n switch_paging: pushq $0x48\n leaq 1f(%rip), %rax\n pushq %rax\n lretq\n .code32\n"
	"1: movl %cr0, %eax\n andl $0x7fffffff, %eax\n movl %eax, %cr0\n movl %esi, %cr4\n movl %edi, %cr3\n orl $0x80000000, %eax\n"
	"movl %eax, %cr0\n ljmp $8, $2f\n .code64\n 2: ret\n");

/* What address registers take doesn't depend on CR4.LA57, only on the processor. */
static void wide_bases(void)
{
	static const uint32_t msrs[] = {0xc0000082, 0xc0000083, 0xc0000100, 0xc0000101, 0xc0000102, 0x175, 0x176};
	uint32_t n;

	for (unsigned k = 0; k < sizeof(msrs) / sizeof(msrs[0]); k++) {
		uint64_t before = rdmsr(msrs[k]);

		n = msrs[k];
		for (unsigned j = 0; j < 2; j++) {
			value = j ? 0x00ff800000000000 : 0xff12345678901234;
			type = n;
			TRY_FROM("movl type, %%ecx\n movl value, %%eax\n movl value + 4, %%edx\n", "wrmsr");
			if (has_la57) {
				check_none("WRMSR: a 57-bit address");
				check(" is kept", rdmsr(n), value);
			} else {
				GP0("GP WRMSR: a 57-bit address");
			}
		}
		value = 0x0100000000000000;
		TRY_FROM("movl type, %%ecx\n movl value, %%eax\n movl value + 4, %%edx\n", "wrmsr");
		GP0("GP WRMSR: bit 56 alone");
		wrmsr(n, before);
	}
}

static void four_levels(void)
{
	target = 1ull << 48;
	READ;
	GP0("GP 4 levels: bit 48");
	JUMP;
	GP0("GP 4 levels: JMP to bit 48");
	target = 0xff00000000000000;
	STORE;
	GP0("GP 4 levels: upper half");
	TRY_FROM("movq $1, %%rsp\n rorq $16, %%rsp\n", "popq %%rax");
	check_trap("SS 4 levels: stack", 12, 0, want_rip);
	target = 0x00007fffffffffff;
	READ;
	GP0("GP 4 levels: over the end of the lower half");
}

static void five_levels(void)
{
	uint64_t cr4 = READ_REG(cr4), high = 0xff00000000000000, low = 1ull << 48;

	SET_CR4(cr4 | LA57);
	GP0("GP CR4.LA57 can't change in long mode");
	if (!has_la57)
		return;
	pml5[0] = (uint64_t)pml4 | P | W | U;
	pml5[1] = pml5[256] = (uint64_t)pml4b | P | W | U;
	pml4b[0] = (uint64_t)pdpt1 | P | W | U;
	pt1[0] = (uint64_t)page[0] | P | W;
	pt1[1] = 0;
	AT(page[0]) = 0x1122334455667788;
	switch_paging((uint64_t)pml5, cr4 | LA57);
	check("5 levels: CR4", READ_REG(cr4), cr4 | LA57);
	check("5 levels: what was there before", AT(VA), 0x1122334455667788);
	check("5 levels: bit 48", AT(low), 0x1122334455667788);
	check("5 levels: upper half", AT(high), 0x1122334455667788);
	check("5 levels: accessed", pml5[256] & (A | D), A);
	target = low + 4096;
	READ;
	check_trap("PF 5 levels: the last level", 14, 0, want_rip);
	check(" CR2", READ_REG(cr2), low + 4096);
	target = 2ull << 48;
	STORE;
	check_trap("PF 5 levels: no PML5 entry", 14, W, want_rip);
	check(" CR2", READ_REG(cr2), 2ull << 48);
	target = 1ull << 56;
	READ;
	GP0("GP 5 levels: bit 56 alone");
	target = 0x00fffffffffffffc;
	READ;
	GP0("GP 5 levels: over the end of the lower half");
	TRY_FROM("movq $1, %%rsp\n rorq $8, %%rsp\n", "popq %%rax");
	check_trap("SS 5 levels: stack", 12, 0, want_rip);
	page[0][8] = 0xc3; /* RET */
	page[0][16] = 0x0f; /* UD2 */
	page[0][17] = 0x0b;
	target = high + 8;
	CALL;
	check_none("5 levels: code in the upper half");
	target = low + 16;
	JUMP;
	check_trap("5 levels: RIP of a fault there", 6, NO_ERROR, low + 16);
	TRY_FROM("pushq $8\n movq target, %%rax\n pushq %%rax\n", "lretq");
	check_trap("5 levels: far RET there", 6, NO_ERROR, low + 16);
	enter(high + 16, 8, (uint64_t)page[1] + 2048, 16, 2);
	check("5 levels: IRET there", last.rip, high + 16);
	target = 1ull << 56;
	JUMP;
	GP0("GP 5 levels: JMP to no address");
	TRY_FROM("pushq $8\n movq target, %%rax\n pushq %%rax\n", "lretq");
	GP0("GP 5 levels: far RET to no address");
	TRY_FROM("movq $1, %%rcx\n rorq $8, %%rcx\n xorl %%r11d, %%r11d\n", "sysretq");
	GP0("GP 5 levels: SYSRET to no address");
	pml5[1] |= PS;
	flush();
	target = low;
	READ;
	check_trap("PF 5 levels: PS is reserved in the PML5", 14, P | 8, want_rip);
	pml5[1] &= ~(uint64_t)PS;
	pml5[1] &= ~(uint64_t)W;
	flush();
	STORE;
	check_trap("PF 5 levels: W of the PML5", 14, P | W, want_rip);
	pml5[1] = 0;
	invlpg(low);
	READ;
	check_trap("PF 5 levels: INVLPG forgets", 14, 0, want_rip);
	SET_CR4(cr4);
	GP0("GP CR4.LA57 can't change back");
	wide_bases();
	switch_paging((uint64_t)pml4, cr4);
	target = high;
	READ;
	GP0("GP 4 levels again: upper half");
	/* A base beyond 48 bits is kept, and can't be used. */
	wrmsr(0xc0000100, high);
	TRY("movq %%fs:0, %%rax");
	GP0("GP 4 levels: by a base of 57 bits");
	wrmsr(0xc0000100, 0);
}

void kmain(const uint32_t *multiboot)
{
	uint32_t r[4];

	guest_init(multiboot);
	cpuid(1, 0, r);
	has_pcid = r[2] >> 17 & 1;
	cpuid(7, 0, r);
	has_invpcid = r[1] >> 10 & 1;
	has_la57 = r[2] >> 16 & 1;
	cpuid(0x80000008, 0, r);
	check("CPUID: bits of a linear address", r[0] >> 8 & 0xff, has_la57 ? 57 : 48);
	pml4[1] = (uint64_t)pdpt1 | P | W | U;
	pdpt1[0] = (uint64_t)pd1 | P | W | U;
	pd1[0] = (uint64_t)pt1 | P | W | U;
	if (!has_invpcid) {
		type = 2;
		INVPCID;
		check_trap("UD INVPCID", 6, NO_ERROR, want_rip);
	}
	/* #SS with no stack to push on. */
	set_gate(12, (uint64_t)idt[12].offset0 | (uint64_t)idt[12].offset1 << 16, 8, 0, 1, true);
	large_pages();
	changed_entries();
	protections();
	pcids();
	four_levels();
	wide_bases();
	five_levels();
	say(failures ? "failed\n" : "passed\n");
	leave(failures ? 1 : 0);
}
