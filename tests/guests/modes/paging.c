/* SPDX-License-Identifier: MIT */
/*
 * 4-level paging (SDM 3A chapter 4): each error code of #PF (4.7), rights (4.6), accessed and dirty bits (4.8), large
 * pages, reserved bits, and what the TLB must forget (4.10.4). The region examined lies at 512 GiB, PML4 entry 1.
 */
#include "guest.h"

#define VA 0x8000000000ull
#define USER_CODE (0x28 + 3)
#define USER_DATA (0x20 + 3)
enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };
#define NX (1ull << 63)

extern uint64_t pml4[];
static uint64_t pdpt1[512] __attribute__((aligned(4096)));
static uint64_t pd1[512] __attribute__((aligned(4096)));
static uint64_t pt1[512] __attribute__((aligned(4096)));
static uint8_t page[2][4096] __attribute__((aligned(4096)));

extern uint8_t user_read[], user_write[], user_run[];
__asm__(".text\n .balign 4096\n user_read: movq (%rsp), %rax\n int $0x30\n"
	"user_write: movq %rax, (%rsp)\n int $0x30\n"
	"user_run: jmp *%rsp\n .balign 4096\n");

static void flush(void)
{
	WRITE_REG(cr3, READ_REG(cr3));
}
static void invlpg(uint64_t a)
{
	__asm__ volatile("invlpg (%0)" : : "r"(a) : "memory");
}
static void map(uint64_t flags)
{
	pt1[0] = (uint64_t)page[0] | flags;
	flush();
}

uint64_t target; /* of the next access */

static void expect_fault(const char *name, uint64_t error)
{
	check_trap(name, 14, error, want_rip);
	check("its CR2", READ_REG(cr2), target);
}
#define READ TRY_FROM("movq target, %%rbx\n", "movq (%%rbx), %%rax")
#define STORE TRY_FROM("movq target, %%rbx\n", "movq %%rbx, (%%rbx)")
#define ADD TRY_FROM("movq target, %%rbx\n", "addq $1, (%%rbx)")
#define RUN TRY_FROM("movq target, %%rbx\n pushq %%rbx\n popq %%rax\n", "call *%%rbx")

static void supervisor(void)
{
	uint64_t cr0 = READ_REG(cr0);

	map(0);
	READ; expect_fault("not present, read", 0);
	STORE; expect_fault("not present, write", W);
	ADD; expect_fault("not present, read-modify-write", W);
	RUN;
	check_trap("not present, fetch", 14, 0x10, target);
	map(P);
	READ; check_none("read-only, read");
	STORE; expect_fault("read-only, write", P | W);
	ADD; expect_fault("read-only, read-modify-write", P | W);
	WRITE_REG(cr0, cr0 & ~(1ull << 16));
	STORE; check_none("read-only, write with WP off");
	WRITE_REG(cr0, cr0);
	STORE; expect_fault("read-only, write with WP on again", P | W);
	map(P | W);
	page[0][0] = 0xc3; /* RET */
	RUN; check_none("executable");
	map(P | W | NX);
	RUN;
	check_trap("NX", 14, P | 0x10, target);
	map(P | W);
	pd1[0] |= NX;
	flush();
	RUN;
	check_trap("NX of a directory", 14, P | 0x10, target);
	pd1[0] &= ~NX;
	pml4[1] &= ~(uint64_t)W;
	flush();
	STORE; expect_fault("read-only by the PML4", P | W);
	pml4[1] |= W;
	flush();
	target = VA + 4092; /* into the next page, which isn't there */
	READ;
	check("crossing read, error", last.error, 0);
	check("crossing read, CR2", READ_REG(cr2), VA + 4096);
	STORE;
	check("crossing write, error", last.error, W);
	check("crossing write, CR2", READ_REG(cr2), VA + 4096);
	target = VA;
}

static void reserved(void)
{
	map(P | W | 1ull << 51);
	READ; expect_fault("reserved bit, read", P | 8);
	STORE; expect_fault("reserved bit, write", P | W | 8);
	map(P | W);
	pd1[0] |= 1ull << 50;
	flush();
	READ; expect_fault("reserved bit of a directory", P | 8);
	pd1[0] &= ~(1ull << 50);
	pml4[1] |= PS;
	flush();
	READ; expect_fault("PS in the PML4", P | 8);
	pml4[1] &= ~(uint64_t)PS;
	wrmsr(0xc0000080, rdmsr(0xc0000080) & ~0x800ull);
	pt1[0] |= NX;
	flush();
	READ; expect_fault("NX without EFER.NXE", P | 8);
	map(0);
	RUN;
	check_trap("no I bit without NXE and SMEP", 14, 0, target);
	wrmsr(0xc0000080, rdmsr(0xc0000080) | 0x800);
	map(P | W);
}

static void user_case(const char *name, const uint8_t *code, uint64_t error)
{
	enter(VA + 4096 + (uint64_t)(code - user_read), USER_CODE, target, USER_DATA, 2);
	if (!error) {
		check(name, last.vector, 0x30);
		return;
	}
	check(name, last.vector, 14);
	check("its error", last.error, error);
	check("its CR2", READ_REG(cr2), target);
}

static void user(void)
{
	map(P | W);
	user_case("supervisor page, user read", user_read, P | U);
	user_case("supervisor page, user write", user_write, P | U | W);
	user_case("supervisor page, user fetch", user_run, P | U | 0x10);
	map(P | U);
	user_case("user page, read", user_read, 0);
	user_case("read-only user page, write", user_write, P | U | W);
	map(P | U | W);
	user_case("user page, write", user_write, 0);
	page[0][0] = 0xcd;
	page[0][1] = 0x30;
	user_case("user page, fetch", user_run, 0);
	map(P | U | W | NX);
	user_case("NX user page", user_run, P | U | 0x10);
	map(0);
	user_case("no page, user read", user_read, U);
	user_case("no page, user write", user_write, U | W);
	user_case("no page, user fetch", user_run, U | 0x10);
	map(P | U | W | 1ull << 51);
	user_case("reserved bit, user write", user_write, P | U | W | 8);
	map(P | U | W);
	pd1[0] &= ~(uint64_t)U;
	flush();
	enter(VA + 4096, USER_CODE, target, USER_DATA, 2); /* of the code too */
	check("supervisor directory, user fetch", last.error, P | U | 0x10);
	check("its CR2", READ_REG(cr2), VA + 4096);
	pd1[0] |= U;
	flush();
}

static void smep_smap(void)
{
	uint64_t cr4 = READ_REG(cr4);

	map(P | W | U);
	page[0][0] = 0xc3;
	RUN; check_none("user page runs without SMEP");
	WRITE_REG(cr4, cr4 | 1 << 20);
	RUN;
	check_trap("SMEP", 14, P | 0x10, target);
	READ; check_none("SMEP lets read");
	WRITE_REG(cr4, cr4 | 1 << 21);
	READ; expect_fault("SMAP, read", P);
	STORE; expect_fault("SMAP, write", P | W);
	TRY_FROM("stac\n movq target, %%rbx\n", "movq (%%rbx), %%rax\n movq %%rax, (%%rbx)\n clac");
	check_none("STAC lets both");
	READ; expect_fault("CLAC ends it", P);
	set_gate(14, (uint64_t)idt[14].offset0 | (uint64_t)idt[14].offset1 << 16, 8, 0, 1, true);
	TRY_FROM("movq target, %%rsp\n addq $256, %%rsp\n", "pushq %%rax");
	set_gate(14, (uint64_t)idt[14].offset0 | (uint64_t)idt[14].offset1 << 16, 8, 0, 0, true);
	check_trap("SMAP, push", 14, P | W, want_rip);
	check("its CR2", READ_REG(cr2), VA + 248);
	user_case("SMAP is not for users", user_read, 0);
	WRITE_REG(cr4, cr4);
	READ; check_none("no SMAP");
}

static void accessed_dirty(void)
{
	pml4[1] &= ~(uint64_t)(A | D);
	pdpt1[0] &= ~(uint64_t)(A | D);
	pd1[0] &= ~(uint64_t)(A | D);
	map(P | W);
	READ;
	check("read sets A", pt1[0] & (A | D), A);
	check("and in the directory, no D", pd1[0] & (A | D), A);
	check("and in the pointer table", pdpt1[0] & (A | D), A);
	check("and in the PML4", pml4[1] & (A | D), A);
	STORE;
	check("write sets D", pt1[0] & (A | D), A | D);
	map(P | W);
	STORE;
	check("write sets both", pt1[0] & (A | D), A | D);
	map(P);
	STORE;
	check("a fault sets neither D", pt1[0] & D, 0);
	map(P | W | NX);
	RUN;
	check("nor does a refused fetch set D", pt1[0] & D, 0);
	pt1[0] &= ~(uint64_t)A;
	map(P | W);
	page[0][0] = 0xc3;
	pt1[0] = (uint64_t)page[0] | P | W;
	flush();
	RUN;
	check("fetch sets A", pt1[0] & (A | D), A);
	pt1[0] &= ~(uint64_t)D;
	flush();
	ADD;
	check("read-modify-write sets D", pt1[0] & D, D);
}

static void sizes(void)
{
	uint64_t at = 0x400000, *p = (uint64_t *)0x612340;

	*p = 0x1122334455667788;
	pd1[1] = (at + 0x200000) | P | W | PS;
	flush();
	check("2 MiB page", *(volatile uint64_t *)(VA + 0x212340), *p);
	pd1[1] |= 1 << 13;
	flush();
	target = VA + 0x200000;
	READ; expect_fault("2 MiB page, reserved bit", P | 8);
	target = VA;
	pd1[1] = 0;
	pdpt1[1] = 0 | P | W | PS; /* 1 GiB */
	flush();
	check("1 GiB page", *(volatile uint64_t *)(VA + (1ull << 30) + 0x612340), *p);
	*(volatile uint64_t *)(VA + (1ull << 30) + 0x612340) = 5;
	check("write through it", *p, 5);
	check("sets its D", pdpt1[1] & (A | D), A | D);
	pdpt1[1] |= 1 << 20;
	flush();
	target = VA + (1ull << 30);
	READ; expect_fault("1 GiB page, reserved bit", P | 8);
	target = VA;
	pdpt1[1] = 0;
	flush();
}

static void tlb(void)
{
	volatile uint64_t *v = (volatile uint64_t *)VA;
	uint64_t cr4 = READ_REG(cr4), got;

	*(uint64_t *)page[0] = 100;
	*(uint64_t *)page[1] = 101;
	map(P | W);
	check("first page", *v, 100);
	pt1[0] = (uint64_t)page[1] | P | W;
	invlpg(VA);
	check("INVLPG shows the second", *v, 101);
	pt1[0] = (uint64_t)page[0] | P | W;
	flush();
	check("CR3 shows the first", *v, 100);
	pt1[0] |= G;
	invlpg(VA);
	check("global", *v, 100);
	pt1[0] = (uint64_t)page[1] | P | W | G;
	flush(); /* may keep a global entry: both are right (SDM 3A 4.10.2.4) */
	got = *v;
	check("stale or not", got == 100 || got == 101, 1);
	invlpg(VA);
	check("INVLPG drops a global entry", *v, 101);
	pt1[0] = (uint64_t)page[0] | P | W | G;
	WRITE_REG(cr4, cr4 & ~0x80ull);
	WRITE_REG(cr4, cr4);
	check("CR4.PGE drops it too", *v, 100);
	/* Rights may be given without a flush: a fault walks again (4.10.4.3). */
	map(P);
	got = *v;
	pt1[0] |= W;
	*v = got + 1;
	check("a right given is seen at once", *v, 101);
	pt1[0] = (uint64_t)page[1];
	invlpg(VA);
	pt1[0] |= P | W; /* not present is never cached */
	check("present is seen at once", *v, 101);
	/* Code too: the same address, other instructions. */
	page[0][0] = 0xb0; page[0][1] = 1; page[0][2] = 0xc3; /* MOV AL, imm8; RET */
	page[1][0] = 0xb0; page[1][1] = 2; page[1][2] = 0xc3;
	map(P | W);
	__asm__ volatile("call *%1" : "=a"(got) : "r"(VA) : "memory");
	check("code of the first page", got & 0xff, 1);
	pt1[0] = (uint64_t)page[1] | P | W;
	invlpg(VA);
	__asm__ volatile("call *%1" : "=a"(got) : "r"(VA) : "memory");
	check("code of the second page", got & 0xff, 2);
	page[1][1] = 3;
	__asm__ volatile("call *%1" : "=a"(got) : "r"(VA) : "memory");
	check("code changed by another address", got & 0xff, 3);
}

void kmain(const uint32_t *multiboot)
{
	guest_init(multiboot);
	target = VA;
	pml4[1] = (uint64_t)pdpt1 | P | W | U;
	pdpt1[0] = (uint64_t)pd1 | P | W | U;
	pd1[0] = (uint64_t)pt1 | P | W | U;
	set_gate(0x30, (uint64_t)idt[0x30].offset0 | (uint64_t)idt[0x30].offset1 << 16, 8, 3, 0, true);
	supervisor();
	reserved();
	accessed_dirty();
	sizes();
	tlb();
	pt1[1] = (uint64_t)user_read | P | U; /* the user's code, at an address of its own */
	flush();
	user();
	smep_smap();
	say(failures ? "failed\n" : "passed\n");
	leave(failures ? 1 : 0);
}
