/* SPDX-License-Identifier: MIT */
/*
 * x87, MMX, SSE and AVX against the host's CPU: the same bytes of code run natively and on the engine, from the same image
 * of registers and the same memory at the same addresses.
 *
 * run_native() and run_guest() take an image and leave in it what the code left: registers, flags, and the vector of the
 * exception it raised. The upper halves of the YMM registers are a part of the image where its `avx` is set: only with
 * make_avx_engine(), which says whether the host's CPU has them.
 */
#ifndef FP_FIXTURE_H
#define FP_FIXTURE_H

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#undef F_LOCK /* of <unistd.h>; the decoder has a flag of that name */

#include "host_vendor.h"
#include "vmm-core/engine.h"
#include "vmm-core/soft/soft.h"

/* Guest and host have code and data at the same addresses. */
#define CODE 0x18000000ull
#define DATA 0x10000000ull
#define DATA_SIZE 0x2000u
#define OPERAND (DATA + 0x800)
#define TABLES 0x1000000ull
#define IDT 0x1010000ull
#define HANDLERS 0x1020000ull
#define RAM (512ull << 20)
#define ARITH CV_FLAGS_ARITH

static bool intel; /* is the host's CPU? */
static uint64_t features; /* of the engine's CPU */

/* What goes in and comes out; the assembly below knows the offsets. */
struct image {
	uint8_t fx[512];      /* FXSAVE64 */
	uint64_t rax, rcx, rdx; /* 512.. */
	uint64_t rsi, rdi;    /* 536.. */
	uint64_t flags;	      /* 552 */
	int64_t vector;	      /* 560: -1 none */
	uint64_t avx;	      /* 568: `high` counts */
	uint8_t high[16][16]; /* 576: bits 255:128 of YMM0..15 */
	uint64_t cr2;	      /* with #PF */
} __attribute__((aligned(64)));

/* --- Natively --- */

static struct image *native; /* NULL: nothing is running natively */
void native_enter(struct image *m, uint64_t code);
void native_landing(void);
void native_after_trap(void);
__asm__(".text\n"
	"native_enter:\n"
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"	mov %rdi, %r15\n"
	"	mov %rsi, %r14\n"
	"	fxrstor64 (%r15)\n"
	"	testb $1, 568(%r15); jz 1f\n"
	"	vinsertf128 $1, 576(%r15), %ymm0, %ymm0\n"
	"	vinsertf128 $1, 592(%r15), %ymm1, %ymm1\n"
	"	vinsertf128 $1, 608(%r15), %ymm2, %ymm2\n"
	"	vinsertf128 $1, 624(%r15), %ymm3, %ymm3\n"
	"	vinsertf128 $1, 640(%r15), %ymm4, %ymm4\n"
	"	vinsertf128 $1, 656(%r15), %ymm5, %ymm5\n"
	"	vinsertf128 $1, 672(%r15), %ymm6, %ymm6\n"
	"	vinsertf128 $1, 688(%r15), %ymm7, %ymm7\n"
	"	vinsertf128 $1, 704(%r15), %ymm8, %ymm8\n"
	"	vinsertf128 $1, 720(%r15), %ymm9, %ymm9\n"
	"	vinsertf128 $1, 736(%r15), %ymm10, %ymm10\n"
	"	vinsertf128 $1, 752(%r15), %ymm11, %ymm11\n"
	"	vinsertf128 $1, 768(%r15), %ymm12, %ymm12\n"
	"	vinsertf128 $1, 784(%r15), %ymm13, %ymm13\n"
	"	vinsertf128 $1, 800(%r15), %ymm14, %ymm14\n"
	"	vinsertf128 $1, 816(%r15), %ymm15, %ymm15\n"
	"1:\n"
	"	push 552(%r15); popfq\n"
	"	mov 512(%r15), %rax; mov 520(%r15), %rcx; mov 528(%r15), %rdx\n"
	"	mov 536(%r15), %rsi; mov 544(%r15), %rdi\n"
	"	jmp *%r14\n"
	"native_landing:\n"
	"	mov %rax, 512(%r15); mov %rcx, 520(%r15); mov %rdx, 528(%r15)\n"
	"	mov %rsi, 536(%r15); mov %rdi, 544(%r15)\n"
	"	pushfq; pop 552(%r15)\n"
	"	fxsave64 (%r15)\n"
	"	testb $1, 568(%r15); jz native_after_trap\n"
	"	vextractf128 $1, %ymm0, 576(%r15)\n"
	"	vextractf128 $1, %ymm1, 592(%r15)\n"
	"	vextractf128 $1, %ymm2, 608(%r15)\n"
	"	vextractf128 $1, %ymm3, 624(%r15)\n"
	"	vextractf128 $1, %ymm4, 640(%r15)\n"
	"	vextractf128 $1, %ymm5, 656(%r15)\n"
	"	vextractf128 $1, %ymm6, 672(%r15)\n"
	"	vextractf128 $1, %ymm7, 688(%r15)\n"
	"	vextractf128 $1, %ymm8, 704(%r15)\n"
	"	vextractf128 $1, %ymm9, 720(%r15)\n"
	"	vextractf128 $1, %ymm10, 736(%r15)\n"
	"	vextractf128 $1, %ymm11, 752(%r15)\n"
	"	vextractf128 $1, %ymm12, 768(%r15)\n"
	"	vextractf128 $1, %ymm13, 784(%r15)\n"
	"	vextractf128 $1, %ymm14, 800(%r15)\n"
	"	vextractf128 $1, %ymm15, 816(%r15)\n"
	"	vzeroupper\n"
	"native_after_trap:\n"
	"	cld; fninit\n"
	"	pushq $0x1f80; ldmxcsr (%rsp); pop %rax\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n");

/* The kernel's signal frame has them in XSAVE's standard format, behind what FXSAVE stores. */
static inline void high_from_frame(struct image *m, const uint8_t *frame)
{
	uint64_t present;

	memcpy(&present, frame + 512, 8);
	if (present & 4)
		memcpy(m->high, frame + 576, sizeof(m->high));
	else
		memset(m->high, 0, sizeof(m->high));
}

static inline void on_trap(int sig, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	greg_t *r = u->uc_mcontext.gregs;

	(void)info;
	if (!native) {
		signal(sig, SIG_DFL); /* the test's own fault */
		return;
	}
	memcpy(native->fx, u->uc_mcontext.fpregs, 512);
	if (native->avx)
		high_from_frame(native, (const uint8_t *)u->uc_mcontext.fpregs);
	native->rax = (uint64_t)r[REG_RAX];
	native->rcx = (uint64_t)r[REG_RCX];
	native->rdx = (uint64_t)r[REG_RDX];
	native->rsi = (uint64_t)r[REG_RSI];
	native->rdi = (uint64_t)r[REG_RDI];
	native->flags = (uint64_t)r[REG_EFL];
	native->vector = r[REG_TRAPNO];
	native->cr2 = r[REG_TRAPNO] == EXC_PF ? (uint64_t)r[REG_CR2] : 0;
	r[REG_RIP] = (greg_t)(uintptr_t)native_after_trap;
}

static inline void run_native(struct image *m)
{
	native = m;
	m->vector = -1;
	m->cr2 = 0;
	native_enter(m, CODE);
	native = NULL;
}

/* --- On the engine --- */

static struct cv_memory mem;
static struct cv_bus bus;
static struct cv_engine *engine;

static inline void ram_written(void *ctx, uint32_t page, uint32_t offset, uint32_t len)
{
	(void)ctx;
	engine->ops->ram_written(engine, page, offset, len);
}

static inline void put(uint64_t gpa, const void *p, size_t n)
{
	ck_assert_uint_eq(cv_memory_write(&mem, gpa, p, n), n);
}
static inline void put64(uint64_t gpa, uint64_t v)
{
	put(gpa, &v, 8);
}

/* Long mode, one to one in 2 MiB pages; every vector's gate leads to an address of its own. */
static inline void make_tables(void)
{
	put64(TABLES, (TABLES + 0x1000) | 3);
	put64(TABLES + 0x1000, (TABLES + 0x2000) | 3);
	for (unsigned k = 0; k < RAM >> 21; k++)
		put64(TABLES + 0x2000 + 8 * k, (uint64_t)k << 21 | 0x83);
	for (unsigned v = 0; v < 32; v++) {
		uint64_t h = HANDLERS + 16 * v;

		put64(IDT + 16 * v, (h & 0xffff) | 8u << 16 | 0x8e00ull << 32 | (h >> 16 & 0xffff) << 48);
		put64(IDT + 16 * v + 8, h >> 32);
	}
	put64(TABLES + 0x3000 + 8, 0x00209b0000000000ull); /* GDT: 64-bit code */
}

static inline void make_engine_of(const char *model)
{
	struct cv_engine_host host = {.mem = &mem, .bus = &bus, .model = cv_cpuid_model_find(model)};
	struct sigaction sa = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_NODEFER};

	intel = host_is_intel();
	features = host.model->features;
	ck_assert_int_eq(cv_memory_init(&mem, RAM, NULL), 0);
	engine = cv_soft_new(&host, NULL);
	ck_assert_ptr_nonnull(engine);
	mem.written = ram_written;
	make_tables();
	ck_assert_ptr_eq(mmap((void *)CODE, 0x1000, PROT_READ | PROT_WRITE | PROT_EXEC,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), (void *)CODE);
	ck_assert_ptr_eq(mmap((void *)DATA, DATA_SIZE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), (void *)DATA);
	sigaction(SIGFPE, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGILL, &sa, NULL);
}

static inline void make_engine(void)
{
	make_engine_of("chronovisor-v2");
}

/* false: the host's CPU (or kernel) lacks AVX2, so nothing can be compared; make no image with `avx`. */
static inline bool make_avx_engine(void)
{
	make_engine_of("chronovisor-v3");
	if (__builtin_cpu_supports("avx2"))
		return true;
	printf("left out: comparisons of AVX, which this CPU lacks\n");
	return false;
}

static inline void guest_segments(struct cv_vcpu_state *s)
{
	for (unsigned k = CV_ES; k <= CV_GS; k++)
		s->seg[k] = (struct cv_seg){.limit = UINT32_MAX,
					    .ar = CV_AR_P | CV_AR_S | CV_AR_G | CV_AR_DB | 3, .sel = 16};
	s->seg[CV_CS] = (struct cv_seg){.limit = UINT32_MAX, .ar = CV_AR_P | CV_AR_S | CV_AR_G | CV_AR_L | 0xb, .sel = 8};
}

static inline void guest_state(struct cv_vcpu_state *s)
{
	cv_vcpu_reset(s);
	guest_segments(s);
	s->cr0 = CV_CR0_PE | CV_CR0_MP | CV_CR0_ET | CV_CR0_NE | CV_CR0_WP | CV_CR0_PG;
	s->cr3 = TABLES;
	s->cr4 = CV_CR4_PAE | CV_CR4_OSFXSR | CV_CR4_OSXMMEXCPT;
	s->efer = CV_EFER_LME | CV_EFER_LMA | CV_EFER_NXE;
	s->gdtr.base = TABLES + 0x3000;
	s->gdtr.limit = 15;
	s->idtr.base = IDT;
	s->idtr.limit = 32 * 16 - 1;
	s->gpr[CV_RSP] = 0x1030000;
	s->rip = CODE;
}

static inline void state_from_image(struct cv_vcpu_state *s, const struct image *m)
{
	unsigned top;

	guest_state(s);
	memcpy(&s->x87.fcw, m->fx, 2);
	memcpy(&s->x87.fsw, m->fx + 2, 2);
	s->x87.ftw = m->fx[4];
	top = s->x87.fsw >> 11 & 7;
	for (unsigned k = 0; k < 8; k++) {
		memcpy(&s->x87.mant[(top + k) & 7], m->fx + 32 + 16 * k, 8);
		memcpy(&s->x87.se[(top + k) & 7], m->fx + 40 + 16 * k, 2);
	}
	for (unsigned k = 0; k < 16; k++)
		memcpy(s->ymm[k], m->fx + 160 + 16 * k, 16);
	if (m->avx) {
		s->cr4 |= CV_CR4_OSXSAVE;
		s->xcr0 = 7;
		for (unsigned k = 0; k < 16; k++)
			memcpy(&s->ymm[k][2], m->high[k], 16);
	}
	memcpy(&s->mxcsr, m->fx + 24, 4);
	s->gpr[CV_RAX] = m->rax;
	s->gpr[CV_RCX] = m->rcx;
	s->gpr[CV_RDX] = m->rdx;
	s->gpr[CV_RSI] = m->rsi;
	s->gpr[CV_RDI] = m->rdi;
	s->rflags = m->flags;
}

static inline void image_from_state(struct image *m, const struct cv_vcpu_state *s)
{
	unsigned top = s->x87.fsw >> 11 & 7;

	memcpy(m->fx, &s->x87.fcw, 2);
	memcpy(m->fx + 2, &s->x87.fsw, 2);
	m->fx[4] = s->x87.ftw;
	for (unsigned k = 0; k < 8; k++) {
		memcpy(m->fx + 32 + 16 * k, &s->x87.mant[(top + k) & 7], 8);
		memcpy(m->fx + 40 + 16 * k, &s->x87.se[(top + k) & 7], 2);
	}
	for (unsigned k = 0; k < 16; k++) {
		memcpy(m->fx + 160 + 16 * k, s->ymm[k], 16);
		if (m->avx)
			memcpy(m->high[k], &s->ymm[k][2], 16);
	}
	memcpy(m->fx + 24, &s->mxcsr, 4);
	m->rax = s->gpr[CV_RAX];
	m->rcx = s->gpr[CV_RCX];
	m->rdx = s->gpr[CV_RDX];
	m->rsi = s->gpr[CV_RSI];
	m->rdi = s->gpr[CV_RDI];
	m->flags = s->rflags;
	m->vector = -1;
	m->cr2 = 0;
	if (s->rip >= HANDLERS && s->rip < HANDLERS + 32 * 16) {
		uint64_t flags = 0;

		m->vector = (int64_t)(s->rip - HANDLERS) / 16;
		/* RFLAGS as pushed: above RIP and CS, and an error code with #GP. */
		cv_memory_read(&mem, s->gpr[CV_RSP] + (m->vector == EXC_GP || m->vector == EXC_PF ? 24 : 16), &flags, 8);
		m->flags = flags;
		if (m->vector == EXC_PF)
			m->cr2 = s->cr2;
	}
}

static inline void run_guest(struct image *m)
{
	struct cv_stop stop = {.insns = UINT64_MAX, .step = true, .stop_at_delivery = true};
	struct cv_vcpu_state s;
	struct cv_exit x;

	state_from_image(&s, m);
	engine->ops->set_state(engine, &s);
	ck_assert_int_eq(engine->ops->run(engine, &stop, &x, NULL), 0);
	ck_assert_int_eq(x.kind, CV_EXIT_POSITION);
	engine->ops->get_state(engine, &s);
	image_from_state(m, &s);
}

#endif
