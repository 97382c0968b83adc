/* SPDX-License-Identifier: MIT */
/*
 * A digest of what a CPU computes: each operation of a group runs over operands that are made of integers, and all that
 * it leaves (registers, RFLAGS' arithmetic flags, MXCSR, x87 words) is hashed. The operations are assembler text, so that no
 * compiler's choice comes into the digest; the same files make a bare-metal guest (guest.c) and a program for the host's
 * CPU (host.c), whose digests must agree.
 */
#ifndef DIGEST_H
#define DIGEST_H

#include <stdbool.h>
#include <stdint.h>

/* What an operation finds and leaves. Offsets are known to the assembler text. */
struct io {
	uint64_t a[4];	 /* 0: ymm0, and its first word RAX */
	uint64_t b[4];	 /* 32: ymm1, RDX */
	uint64_t c[4];	 /* 64: ymm2, RCX */
	uint64_t out[4]; /* 96: ymm0 */
	uint64_t out1[4]; /* 128: ymm1 */
	uint64_t flags;	 /* 160 */
	uint64_t rax;	 /* 168 */
	uint64_t rdx;	 /* 176 */
	uint64_t rcx;	 /* 184 */
	uint32_t mxcsr;	 /* 192: before, then after */
	uint32_t spare;
	uint64_t room[7];
} __attribute__((aligned(64)));

struct op {
	const char *name;
	void (*run)(struct io *io);
};

enum operands { INTEGERS, SINGLES, DOUBLES, ALL_KINDS, HALVES, EXTENDED };

struct group {
	const char *name;
	const struct op *ops; /* ends with a name of NULL */
	enum operands operands;
	unsigned controls;	  /* how many settings of MXCSR, or of the x87's control word */
	uint32_t leaf, reg, bits; /* CPUID must have all of these in subleaf 0; reg: 0 to 3 for EAX to EDX */
};

extern const struct group groups[]; /* ends with a name of NULL */
extern const struct op ops_single[], ops_double[], ops_convert[], ops_approximate[], ops_integer[], ops_mmx[], ops_general[],
	ops_x87[], ops_functions[], ops_avx_single[], ops_avx_double[], ops_avx_convert[], ops_avx_approximate[],
	ops_avx_integer[], ops_avx2[], ops_fma_single[], ops_fma_double[], ops_half[], ops_aes[], ops_sha[], ops_clmul[],
	ops_bmi1[], ops_bmi2[], ops_adx[], ops_movbe[];

/* Does this CPU have what the group needs? */
bool group_is_there(const struct group *g);
/* The digest of a group; that of each operation is told, too, when `tell` is not NULL. */
uint64_t digest_group(const struct group *g, void (*tell)(const char *name, uint64_t digest));

/*
 * An operation: loads of all registers by `load`, flags clear but ZF and PF, then the text, then everything stored. SSE
 * moves leave the upper halves alone, so an AVX operation moves with AVX.
 */
#define OPERATION(id, load, store, text)                                                                               \
	static void op_##id(struct io *io)                                                                             \
	{                                                                                                              \
		__asm__ volatile("ldmxcsr 192(%%rdi)\n" load "movq (%%rdi), %%rax\n movq 32(%%rdi), %%rdx\n"              \
				 "movq 64(%%rdi), %%rcx\n cmpl %%edi, %%edi\n" text "\n pushfq\n popq 160(%%rdi)\n"            \
				 "movq %%rax, 168(%%rdi)\n movq %%rdx, 176(%%rdi)\n movq %%rcx, 184(%%rdi)\n" store            \
				 "stmxcsr 192(%%rdi)\n"                                                               \
				 :                                                                                     \
				 : "D"(io)                                                                             \
				 : "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "memory", "cc");                     \
	}
#define LOAD_SSE "movaps (%%rdi), %%xmm0\n movaps 32(%%rdi), %%xmm1\n movaps 64(%%rdi), %%xmm2\n"
#define STORE_SSE "movaps %%xmm0, 96(%%rdi)\n movaps %%xmm1, 128(%%rdi)\n"
#define LOAD_AVX "vmovaps (%%rdi), %%ymm0\n vmovaps 32(%%rdi), %%ymm1\n vmovaps 64(%%rdi), %%ymm2\n"
#define STORE_AVX "vmovaps %%ymm0, 96(%%rdi)\n vmovaps %%ymm1, 128(%%rdi)\n"
#define LOAD_MMX "movq (%%rdi), %%mm0\n movq 32(%%rdi), %%mm1\n movq 64(%%rdi), %%mm2\n"
#define STORE_MMX "movq %%mm0, 96(%%rdi)\n movq %%mm1, 128(%%rdi)\n emms\n"
#define SSE(id, text) OPERATION(id, LOAD_SSE, STORE_SSE, text)
#define AVX(id, text) OPERATION(id, LOAD_AVX, STORE_AVX, text)
#define MMX(id, text) OPERATION(id, LOAD_MMX, STORE_MMX, text)
#define GENERAL(id, text) OPERATION(id, "", "", text)
/*
 * x87: the second operand in ST1, the first in ST0, the control word at 64; afterwards the status word (168), what pops off
 * the stack twice (96, 128) and the status word again (176). Text may store at 200.
 */
#define X87(id, text)                                                                                                  \
	static void op_##id(struct io *io)                                                                             \
	{                                                                                                              \
		__asm__ volatile("fninit\n fldcw 64(%%rdi)\n fldt 32(%%rdi)\n fldt (%%rdi)\n cmpl %%edi, %%edi\n" text        \
				 "\n pushfq\n popq 160(%%rdi)\n fnstsw 168(%%rdi)\n fstpt 96(%%rdi)\n fstpt 128(%%rdi)\n"     \
				 "fnstsw 176(%%rdi)\n fninit\n"                                                         \
				 :                                                                                     \
				 : "D"(io)                                                                             \
				 : "rax", "memory", "cc");                                                             \
	}
#define ROW(id, ...) {#id, op_##id},
#define END {0, 0}

#endif
