/* SPDX-License-Identifier: MIT */
/*
 * Loops of known kinds, for measuring how fast the engine runs them. Command line: the name of one; it runs 30
 * million rounds, or 300,000 with "short". Each is written in assembly, so that no compiler changes what is measured; the comment tells instructions a round.
 */
#include "../modes/guest.h"

#define REPEAT(n, body) \
	do { \
		uint64_t rounds_ = (n); \
		__asm__ volatile("1:\n" body "dec %0\n jnz 1b\n" : "+r"(rounds_) : : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", \
				 "r10", "r11", "memory", "cc"); \
	} while (0)

static uint8_t area[8 << 20] __attribute__((aligned(4096)));

/* 10: additions, shifts, logic, a multiplication. */
static void integer(uint64_t n)
{
	REPEAT(n, "add %%rbx, %%rax\n lea 3(%%rax,%%rbx,2), %%rcx\n xor %%rcx, %%rdx\n shl $3, %%rbx\n sub %%rdx, %%rbx\n"
		  "imul %%rcx, %%rdx\n and $0xffffff, %%ecx\n or %%rax, %%rdx\n");
}

/* 8: two loads, a store and a read-modify-write, walking through 64 KiB. */
static void memory(uint64_t n)
{
	__asm__ volatile("mov %0, %%rsi\n xor %%edi, %%edi\n" : : "r"(area) : "rsi", "rdi");
	REPEAT(n, "mov (%%rsi,%%rdi), %%rax\n add 8(%%rsi,%%rdi), %%rax\n mov %%rax, 16(%%rsi,%%rdi)\n addl $1, 24(%%rsi,%%rdi)\n"
		  "add $32, %%edi\n and $0xffff, %%edi\n");
}

/* 8: the same through 8 MiB, a new page every fourth round. */
static void pages(uint64_t n)
{
	__asm__ volatile("mov %0, %%rsi\n xor %%edi, %%edi\n" : : "r"(area) : "rsi", "rdi");
	REPEAT(n, "mov (%%rsi,%%rdi), %%rax\n add 8(%%rsi,%%rdi), %%rax\n mov %%rax, 16(%%rsi,%%rdi)\n addl $1, 24(%%rsi,%%rdi)\n"
		  "add $1056, %%edi\n and $0x7fffc0, %%edi\n");
}

/* About 9: branches that a shifted-out bit decides, and one that is never taken. */
static void branches(uint64_t n)
{
	__asm__ volatile("mov $0x9e3779b97f4a7c15, %%rbx" : : : "rbx");
	REPEAT(n, "ror $1, %%rbx\n jc 2f\n add $1, %%eax\n jmp 3f\n2: sub $3, %%ecx\n3: test $0x40, %%bl\n jz 4f\n inc %%edx\n"
		  "4: cmp $-1, %%rsp\n je 1b\n");
}

/* 9: a call, a push, a pop and a return. */
static void calls(uint64_t n)
{
	REPEAT(n, "call 2f\n jmp 3f\n2: push %%rbx\n inc %%eax\n pop %%rbx\n ret\n3: nop\n");
}

/* 3: REP MOVSB of 256 bytes. */
static void string(uint64_t n)
{
	REPEAT(n, "mov $256, %%ecx\n mov %%rsp, %%rsi\n sub $1024, %%rsi\n lea -4096(%%rsi), %%rdi\n rep movsb\n");
}

/* 8: packed doubles. */
static void simd(uint64_t n)
{
	__asm__ volatile("mov %%cr4, %%rax\n or $0x600, %%eax\n mov %%rax, %%cr4\n mov %0, %%rsi" : : "r"(area) : "rax", "rsi");
	REPEAT(n, "movapd (%%rsi), %%xmm0\n addpd %%xmm1, %%xmm0\n mulpd %%xmm2, %%xmm0\n paddd %%xmm0, %%xmm3\n pxor %%xmm3, %%xmm4\n"
		  "movapd %%xmm0, 16(%%rsi)\n");
}

void kmain(const uint32_t *multiboot)
{
	static const struct {
		const char *name;
		void (*run)(uint64_t rounds);
	} loops[] = {{"integer", integer}, {"memory", memory}, {"pages", pages}, {"branches", branches}, {"calls", calls}, {"string", string},
		     {"simd", simd}};

	guest_init(multiboot);
	for (unsigned k = 0; k < sizeof(loops) / sizeof(loops[0]); k++)
		if (has_word(loops[k].name))
			loops[k].run(has_word("short") ? 300000 : 30000000);
	leave(0);
}
