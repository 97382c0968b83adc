/* SPDX-License-Identifier: MIT */
/*
 * x87, MMX and SSE against the host's CPU: every row of the opcode maps, in its register and memory form, from the same
 * state on the engine and natively, must leave the same registers, flags, memory and exception behind.
 *
 * Operands are drawn from what is interesting (zeros, denormals, infinities, NaNs, halves, limits) and from random bits;
 * control words from all rounding modes, precisions and masks. Where the host isn't Intel's, status that is
 * implementation-defined is left out. Not the host's business: RCP and RSQRT (checked against their definition's bound)
 * and the x87's transcendentals (within one unit in the last place of the host's).
 */
#define _GNU_SOURCE 1 /* names of the registers in ucontext_t */
#include <capstone/capstone.h>
#include <check.h>
#include <cpuid.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#undef F_LOCK /* of <unistd.h>; the decoder has a flag of that name */

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
#define CASES 60

/* What goes in and comes out; the assembly below knows the offsets. */
struct image {
	uint8_t fx[512];      /* FXSAVE64 */
	uint64_t rax, rcx, rdx; /* 512.. */
	uint64_t rsi, rdi;    /* 536.. */
	uint64_t flags;	      /* 552 */
	int64_t vector;	      /* 560: -1 none */
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
	"	push 552(%r15); popfq\n"
	"	mov 512(%r15), %rax; mov 520(%r15), %rcx; mov 528(%r15), %rdx\n"
	"	mov 536(%r15), %rsi; mov 544(%r15), %rdi\n"
	"	jmp *%r14\n"
	"native_landing:\n"
	"	mov %rax, 512(%r15); mov %rcx, 520(%r15); mov %rdx, 528(%r15)\n"
	"	mov %rsi, 536(%r15); mov %rdi, 544(%r15)\n"
	"	pushfq; pop 552(%r15)\n"
	"	fxsave64 (%r15)\n"
	"native_after_trap:\n"
	"	cld; fninit\n"
	"	pushq $0x1f80; ldmxcsr (%rsp); pop %rax\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n");

static void on_trap(int sig, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	greg_t *r = u->uc_mcontext.gregs;

	(void)info;
	if (!native) {
		signal(sig, SIG_DFL); /* the test's own fault */
		return;
	}
	memcpy(native->fx, u->uc_mcontext.fpregs, 512);
	native->rax = (uint64_t)r[REG_RAX];
	native->rcx = (uint64_t)r[REG_RCX];
	native->rdx = (uint64_t)r[REG_RDX];
	native->rsi = (uint64_t)r[REG_RSI];
	native->rdi = (uint64_t)r[REG_RDI];
	native->flags = (uint64_t)r[REG_EFL];
	native->vector = r[REG_TRAPNO];
	r[REG_RIP] = (greg_t)(uintptr_t)native_after_trap;
}

static void run_native(struct image *m)
{
	native = m;
	m->vector = -1;
	native_enter(m, CODE);
	native = NULL;
}

/* --- On the engine --- */

static struct cv_memory mem;
static struct cv_bus bus;
static struct cv_engine *engine;

static void ram_written(void *ctx, uint32_t page, uint32_t offset, uint32_t len)
{
	(void)ctx;
	engine->ops->ram_written(engine, page, offset, len);
}

static void put(uint64_t gpa, const void *p, size_t n)
{
	ck_assert_uint_eq(cv_memory_write(&mem, gpa, p, n), n);
}
static void put64(uint64_t gpa, uint64_t v)
{
	put(gpa, &v, 8);
}

/* Long mode, one to one in 2 MiB pages; every vector's gate leads to an address of its own. */
static void make_tables(void)
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

static void make_engine(void)
{
	struct cv_engine_host host = {.mem = &mem, .bus = &bus, .model = cv_cpuid_model_find("chronovisor-v2")};
	struct sigaction sa = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_NODEFER};

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

static void guest_segments(struct cv_vcpu_state *s)
{
	for (unsigned k = CV_ES; k <= CV_GS; k++)
		s->seg[k] = (struct cv_seg){.limit = UINT32_MAX,
					    .ar = CV_AR_P | CV_AR_S | CV_AR_G | CV_AR_DB | 3, .sel = 16};
	s->seg[CV_CS] = (struct cv_seg){.limit = UINT32_MAX, .ar = CV_AR_P | CV_AR_S | CV_AR_G | CV_AR_L | 0xb, .sel = 8};
}

static void guest_state(struct cv_vcpu_state *s)
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

static void state_from_image(struct cv_vcpu_state *s, const struct image *m)
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
	memcpy(&s->mxcsr, m->fx + 24, 4);
	s->gpr[CV_RAX] = m->rax;
	s->gpr[CV_RCX] = m->rcx;
	s->gpr[CV_RDX] = m->rdx;
	s->gpr[CV_RSI] = m->rsi;
	s->gpr[CV_RDI] = m->rdi;
	s->rflags = m->flags;
}

static void image_from_state(struct image *m, const struct cv_vcpu_state *s)
{
	unsigned top = s->x87.fsw >> 11 & 7;

	memcpy(m->fx, &s->x87.fcw, 2);
	memcpy(m->fx + 2, &s->x87.fsw, 2);
	m->fx[4] = s->x87.ftw;
	for (unsigned k = 0; k < 8; k++) {
		memcpy(m->fx + 32 + 16 * k, &s->x87.mant[(top + k) & 7], 8);
		memcpy(m->fx + 40 + 16 * k, &s->x87.se[(top + k) & 7], 2);
	}
	for (unsigned k = 0; k < 16; k++)
		memcpy(m->fx + 160 + 16 * k, s->ymm[k], 16);
	memcpy(m->fx + 24, &s->mxcsr, 4);
	m->rax = s->gpr[CV_RAX];
	m->rcx = s->gpr[CV_RCX];
	m->rdx = s->gpr[CV_RDX];
	m->rsi = s->gpr[CV_RSI];
	m->rdi = s->gpr[CV_RDI];
	m->flags = s->rflags;
	m->vector = -1;
	if (s->rip >= HANDLERS && s->rip < HANDLERS + 32 * 16) {
		uint64_t flags = 0;

		m->vector = (int64_t)(s->rip - HANDLERS) / 16;
		/* RFLAGS as pushed: above RIP and CS, and an error code with #GP. */
		cv_memory_read(&mem, s->gpr[CV_RSP] + (m->vector == EXC_GP ? 24 : 16), &flags, 8);
		m->flags = flags;
	}
}

static void run_guest(struct image *m)
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

/* --- Operands --- */

static uint64_t seed = 88172645463325252ull;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dull;
}
static unsigned below(unsigned n)
{
	return (unsigned)(rnd() >> 33) % n;
}

static uint32_t single(void)
{
	static const uint32_t v[] = {
		0, 0x80000000, 1, 0x80000001, 0x7fffff, 0x800000, 0x807fffff, 0x80800000, 0x3f800000, 0xbf800000, 0x3f000000,
		0x40000000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x7f800001, 0xff812345, 0x7f7fffff, 0xff7fffff,
		0x4f000000, 0xcf000000, 0x4effffff, 0x5f000000, 0xdf000000, 0x3fc00000, 0x40200000, 0x34000000, 0x00800001,
		0x7fbfffff, 0x7fffffff, 0x20000000, 0x1fffffff, 0x5f7fffff,
	};
	uint32_t r = (uint32_t)rnd();

	switch (below(4)) {
	case 0:
	case 1: return v[below(sizeof(v) / sizeof(v[0]))];
	case 2: return (r & 0x807fffff) | (118 + below(20)) << 23;
	default: return r;
	}
}

static uint64_t twice(void)
{
	static const uint64_t v[] = {
		0, 1ull << 63, 1, (1ull << 63) | 1, 0xfffffffffffff, 0x10000000000000, 0x800fffffffffffff,
		0x8010000000000000, 0x3ff0000000000000, 0xbff0000000000000, 0x3fe0000000000000, 0x4000000000000000,
		0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0xfff8000000000001, 0x7ff0000000000001,
		0xfff0123456789abc, 0x7fefffffffffffff, 0xffefffffffffffff, 0x41e0000000000000, 0xc1e0000000000000,
		0x41dfffffffc00000, 0x41dfffffffe00000, 0xc1e0000000100000, 0x43e0000000000000, 0xc3e0000000000000,
		0x3ff8000000000000, 0x4004000000000000, 0x47efffffe0000000, 0x47effffff0000000, 0x36a0000000000000,
		0x3690000000000000, 0x380fffffffffffff, 0x3810000000000000, 0x2000000000000000, 0x1fffffffffffffff,
		0x5fefffffffffffff,
	};
	uint64_t r = rnd();

	switch (below(4)) {
	case 0:
	case 1: return v[below(sizeof(v) / sizeof(v[0]))];
	case 2: return (r & 0x800fffffffffffff) | (uint64_t)(1010 + below(30)) << 52;
	default: return r;
	}
}

static void extended(uint8_t p[10])
{
	static const uint16_t exps[] = {0, 0, 1, 2, 0x3fff, 0x3ffe, 0x4000, 0x7fff, 0x7fff, 0x7ffe, 0x403e, 0x403d, 0x403f,
					0x401e, 0x401d, 0x400e, 0x3fbf, 0x3fc0, 0x3f80, 0x43fe, 0x3c01, 0x3c00, 0x3bcd,
					0x407e, 0x3f81, 0x3f6a, 0x2000, 0x6000, 0x5fff, 0x5ffe};
	static const uint64_t mants[] = {0, 1, 1ull << 63, UINT64_MAX, 0xc000000000000000, 0xa000000000000000, 0x8000000000000001,
					 0x4000000000000000, 0x7fffffffffffffff, 0xfffffffffffff800, 0xffffff0000000000,
					 0x8000000000000400, 0x8000008000000000, 0xbfffffffffffffff, 0x8000010000000000};
	uint16_t se = (uint16_t)(below(2) << 15);
	uint64_t m = below(2) ? mants[below(sizeof(mants) / sizeof(mants[0]))] : rnd();

	switch (below(4)) {
	case 0:
	case 1: se |= exps[below(sizeof(exps) / sizeof(exps[0]))]; break;
	case 2: se |= (uint16_t)(0x3ff0 + below(80)); break;
	default: se |= (uint16_t)(rnd() & 0x7fff); break;
	}
	if ((se & 0x7fff) && below(8))
		m |= 1ull << 63;
	memcpy(p, &m, 8);
	memcpy(p + 8, &se, 2);
}

enum flavour { AS_INT, AS_SINGLE, AS_DOUBLE, AS_EXTENDED, AS_TEXT, AS_FLAVOURS };

static void operand(uint8_t p[16], enum flavour f)
{
	static const uint64_t words[] = {0, UINT64_MAX, 0x8000800080008000, 0x7fff7fff7fff7fff, 0x0080ff7f01fe8180, 1, 8, 64};
	uint64_t w[2] = {rnd(), rnd()};

	switch (f) {
	case AS_SINGLE:
		for (unsigned k = 0; k < 4; k++) {
			uint32_t v = single();

			memcpy(p + 4 * k, &v, 4);
		}
		return;
	case AS_DOUBLE:
		w[0] = twice();
		w[1] = twice();
		break;
	case AS_EXTENDED: extended(p); return;
	case AS_TEXT:
		for (unsigned k = 0; k < 16; k++)
			p[k] = below(12) ? (uint8_t)('a' + below(4)) : 0;
		return;
	default:
		for (unsigned k = 0; k < 2; k++)
			if (below(2))
				w[k] = words[below(8)];
		if (!below(4))
			w[0] = below(80);
		break;
	}
	memcpy(p, w, 16);
}

/* Set: ST(0) and ST(1) are what transcendentals are defined for: a normal number of moderate size, or something special. */
static bool trans_operands;

static void moderate(uint8_t p[10])
{
	uint64_t m = rnd() | 1ull << 63;
	uint16_t se = (uint16_t)((below(5) ? 0x3fff - below(30) : 0x3fff + below(60)) | below(2) << 15);

	if (!below(8)) {
		extended(p);
		return;
	}
	memcpy(p, &m, 8);
	memcpy(p + 8, &se, 2);
}

static void random_x87(struct image *m)
{
	uint16_t fcw = 0x40 | 0x3f, fsw, masks;

	fcw |= (uint16_t)(below(4) << 10 | (below(3) ? 3 : below(2) * 2) << 8);
	if (!below(4))
		fcw &= (uint16_t)(~0x3fu | (unsigned)rnd());
	masks = fcw & 0x3f;
	fsw = (uint16_t)(rnd() & 0x4700) | (uint16_t)(below(8) << 11);
	if (below(2))
		fsw |= (uint16_t)(rnd() & masks);
	if (!below(40))
		fsw |= (uint16_t)(rnd() & 0x3f);
	if (fsw & ~masks & 0x3f)
		fsw |= 0x8080;
	memcpy(m->fx, &fcw, 2);
	memcpy(m->fx + 2, &fsw, 2);
	m->fx[4] = below(3) ? 0x3f : (uint8_t)rnd(); /* by register; often two empty ones */
	if (below(3)) {
		unsigned top = fsw >> 11 & 7, full = 0x3f;

		m->fx[4] = (uint8_t)(full << top | full >> (8 - top));
	}
	for (unsigned k = 0; k < 8; k++) {
		extended(m->fx + 32 + 16 * k);
		memset(m->fx + 42 + 16 * k, 0, 6);
	}
	if (trans_operands) {
		moderate(m->fx + 32);
		moderate(m->fx + 48);
	}
}

static void random_image(struct image *m, enum flavour f)
{
	uint32_t mxcsr = 0x1f80, mask = 0xffff;

	memset(m, 0, sizeof(*m));
	random_x87(m);
	if (!trans_operands && (f == AS_INT || !below(6)))
		for (unsigned k = 0; k < 8; k++)
			memset(m->fx + 40 + 16 * k, 0xff, 2);
	switch (below(3)) {
	case 0: break;
	case 1: mxcsr |= (uint32_t)(rnd() & 0xe07f); break;
	default: mxcsr = (uint32_t)(rnd() & 0xffff); break;
	}
	memcpy(m->fx + 24, &mxcsr, 4);
	memcpy(m->fx + 28, &mask, 4);
	for (unsigned k = 0; k < 16; k++)
		operand(m->fx + 160 + 16 * k, f);
	if (f == AS_TEXT && below(2)) {
		m->rax = below(40) - 20;
		m->rdx = below(40) - 20;
	} else {
		m->rax = rnd();
		m->rdx = rnd();
	}
	m->rcx = below(3) ? rnd() : twice();
	m->rsi = rnd();
	m->rdi = OPERAND;
	m->flags = 0x202 | (rnd() & ARITH);
}

/* --- One instruction --- */

static bool intel;

struct test {
	uint8_t code[15];
	unsigned len;
	struct cv_insn insn;
	const char *name;
	unsigned failures;
};

static void show(const char *who, const struct image *m, const uint8_t *data)
{
	const uint16_t *w = (const uint16_t *)(const void *)m->fx;
	const uint64_t *q = (const uint64_t *)(const void *)m->fx;

	printf("  %s: vec %d fcw %04x fsw %04x ftw %02x mxcsr %08x fl %03x rax %llx rcx %llx rdx %llx\n", who, (int)m->vector, w[0],
	       w[1], m->fx[4], *(const uint32_t *)(const void *)(m->fx + 24), (unsigned)(m->flags & ARITH),
	       (unsigned long long)m->rax, (unsigned long long)m->rcx, (unsigned long long)m->rdx);
	for (unsigned k = 0; k < 8; k++)
		printf("   st%u %04x:%016llx", k, w[20 + 8 * k], (unsigned long long)q[4 + 2 * k]);
	printf("\n");
	for (unsigned k = 0; k < 3; k++)
		printf("   x%u %016llx:%016llx", k, (unsigned long long)q[21 + 2 * k], (unsigned long long)q[20 + 2 * k]);
	printf("\n   mem");
	for (unsigned k = 0; k < 32; k++)
		printf(" %02x", data[k]);
	printf("\n");
}

static unsigned x87_ignored(const struct test *t)
{
	(void)t;
	return 0;
}

static bool same(const struct test *t, const struct image *a, const struct image *b, const uint8_t *da, const uint8_t *db)
{
	unsigned ignore = x87_ignored(t);
	uint16_t x, y;

	memcpy(&x, a->fx + 2, 2);
	memcpy(&y, b->fx + 2, 2);
	return a->vector == b->vector && !((x ^ y) & ~ignore) && !memcmp(a->fx, b->fx, 2) && a->fx[4] == b->fx[4] &&
	       !memcmp(a->fx + 24, b->fx + 24, 4) && !memcmp(a->fx + 32, b->fx + 32, 512 - 32 - 96) &&
	       a->rax == b->rax && a->rcx == b->rcx && a->rdx == b->rdx && a->rdi == b->rdi &&
	       !((a->flags ^ b->flags) & ARITH) && !memcmp(da, db, 128);
}

static void set_code(const struct test *t)
{
	uint8_t jump[14] = {0xff, 0x25, 0, 0, 0, 0};
	uint64_t landing = (uint64_t)(uintptr_t)native_landing;

	memcpy(jump + 6, &landing, 8);
	memcpy((void *)CODE, t->code, t->len);
	memcpy((uint8_t *)CODE + t->len, jump, sizeof(jump));
	put(CODE, t->code, t->len);
}

/* FSTENV and FSAVE: the pointers of the last instruction are not the host's. */
static void forget_pointers(const struct test *t, uint8_t *data)
{
	if (t->insn.op == CV_OP_fnstenv || t->insn.op == CV_OP_fnsave)
		memset(data + (t->insn.osize == 2 ? 6 : 12), 0, t->insn.osize == 2 ? 8 : 16);
}

static void fill_data(const struct test *t, uint8_t *data, enum flavour f)
{
	for (unsigned k = 0; k < 128; k += 16)
		operand(data + k, f == AS_EXTENDED ? (enum flavour)below(AS_FLAVOURS) : f);
	if (t->insn.op == CV_OP_ldmxcsr && below(4))
		memset(data + 2, 0, 2);
	if (t->insn.op == CV_OP_fbld)
		for (unsigned k = 0; k < 9; k++)
			data[k] = (uint8_t)(below(10) | below(10) << 4);
}

typedef bool comparison(const struct test *t, const struct image *a, const struct image *b, const uint8_t *da,
			const uint8_t *db);

static void run_test(struct test *t, enum flavour f, comparison *equal)
{
	static uint8_t data[128], native_data[128], guest_data[128];
	struct image in, a, b;

	set_code(t);
	for (unsigned k = 0; k < CASES; k++) {
		random_image(&in, f);
		if (t->insn.mod != 3 && !below(30))
			in.rdi += 1 + below(8);
		fill_data(t, data, f);
		a = b = in;
		memcpy((void *)in.rdi, data, 128);
		run_native(&a);
		memcpy(native_data, (void *)in.rdi, 128);
		put(in.rdi, data, 128);
		run_guest(&b);
		cv_memory_read(&mem, in.rdi, guest_data, 128);
		forget_pointers(t, native_data);
		forget_pointers(t, guest_data);
		if (equal(t, &a, &b, native_data, guest_data))
			continue;
		if (t->failures++ < (getenv("CHECK_FP_VERBOSE") ? 3 : 0)) {
			printf("%s (", t->name);
			for (unsigned n = 0; n < t->len; n++)
				printf("%02x ", t->code[n]);
			printf(")\n");
			show("in    ", &in, data);
			show("native", &a, native_data);
			show("guest ", &b, guest_data);
		}
	}
}

/* Of what kind are the operands? Told from the name. */
static enum flavour flavour_of(const struct test *t)
{
	const char *n = t->name;
	size_t len = strlen(n);

	if (!strncmp(n, "pcmpe", 5) && strstr(n, "str"))
		return AS_TEXT;
	if (!strncmp(n, "pcmpi", 5))
		return AS_TEXT;
	if (t->insn.opcode >= 0xd8 && t->insn.opcode <= 0xdf && n[0] == 'f')
		return AS_EXTENDED;
	if (!strncmp(n, "cvt", 3))
		return strstr(n, "sd2") || strstr(n, "pd2") ? AS_DOUBLE : strstr(n, "ss2") || strstr(n, "ps2") ? AS_SINGLE : AS_INT;
	if (!strcmp(n + len - 2, "sd") || !strcmp(n + len - 2, "pd"))
		return AS_DOUBLE;
	if (!strcmp(n + len - 2, "ss") || !strcmp(n + len - 2, "ps"))
		return AS_SINGLE;
	return AS_INT;
}

static bool transcendental(enum cv_op op)
{
	switch (op) {
	case CV_OP_f2xm1:
	case CV_OP_fyl2x:
	case CV_OP_fyl2xp1:
	case CV_OP_fptan:
	case CV_OP_fpatan:
	case CV_OP_fsin:
	case CV_OP_fcos:
	case CV_OP_fsincos: return true;
	default: return false;
	}
}
static bool approximate(enum cv_op op)
{
	return op == CV_OP_rcpps || op == CV_OP_rcpss || op == CV_OP_rsqrtps || op == CV_OP_rsqrtss;
}

/* Decodes bytes; is it an operation of ops_fp.def? */
static bool make_test(struct test *t, const uint8_t *code, unsigned len)
{
	memset(t, 0, sizeof(*t));
	memcpy(t->code, code, len);
	if (cv_decode(t->code, 15, 64, &t->insn) != CV_DECODE_OK || !soft_handler_fp(&t->insn))
		return false;
	t->len = t->insn.len;
	t->name = cv_op_name((enum cv_op)t->insn.op);
	return true;
}

static unsigned failures, tests;

static void check(const uint8_t *code, unsigned len)
{
	struct test t;

	if (!make_test(&t, code, len) || approximate(t.insn.op) || transcendental(t.insn.op))
		return;
	run_test(&t, flavour_of(&t), same);
	tests++;
	if (t.failures) {
		failures++;
		printf("FAIL %s", t.name);
		for (unsigned k = 0; k < t.len; k++)
			printf(" %02x", t.code[k]);
		printf(": %u of %u cases\n", t.failures, CASES);
	}
}

/* ModRM: register forms (2, 1), (1, 1); memory (2, [rdi]). */
static const uint8_t forms[] = {0xd1, 0xc9, 0x17};

static void check_sse_row(unsigned prefix, unsigned map, unsigned opcode, unsigned imm)
{
	static const uint8_t prefixes[4] = {0, 0x66, 0xf3, 0xf2};

	for (unsigned rex = 0; rex < 2; rex++) {
		for (unsigned k = 0; k < sizeof(forms); k++) {
			uint8_t code[15] = {0};
			unsigned n = 0;

			if (prefix)
				code[n++] = prefixes[prefix];
			if (rex)
				code[n++] = 0x48;
			code[n++] = 0x0f;
			if (map)
				code[n++] = (uint8_t)map;
			code[n++] = (uint8_t)opcode;
			code[n++] = forms[k];
			code[n++] = (uint8_t)imm;
			check(code, sizeof(code));
		}
	}
}

static void check_rows(unsigned map)
{
	for (unsigned opcode = 0; opcode < 256; opcode++)
		for (unsigned prefix = 0; prefix < 4; prefix++)
			for (unsigned k = 0; k < 3 && (map || (opcode != 0x38 && opcode != 0x3a)); k++)
				check_sse_row(prefix, map, opcode, below(256));
}

START_TEST(simd_0f_row_equals_host)
{
	check_rows(0);
	ck_assert_uint_gt(tests, 1000);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

START_TEST(simd_0f38_row_equals_host)
{
	check_rows(0x38);
	ck_assert_uint_gt(tests, 200);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

START_TEST(simd_0f3a_row_equals_host)
{
	for (unsigned k = 0; k < 8; k++)
		check_rows(0x3a);
	ck_assert_uint_gt(tests, 200);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

START_TEST(simd_shift_group_equals_host)
{
	for (unsigned opcode = 0x71; opcode <= 0x73; opcode++) {
		for (unsigned reg = 0; reg < 8; reg++) {
			for (unsigned k = 0; k < 8; k++) {
				uint8_t imm = (uint8_t)(k < 4 ? below(64) : rnd());
				uint8_t mmx[15] = {0x0f, (uint8_t)opcode, (uint8_t)(0xc1 | reg << 3), imm};
				uint8_t xmm[15] = {0x66, 0x0f, (uint8_t)opcode, (uint8_t)(0xc1 | reg << 3), imm};

				check(mmx, 15);
				check(xmm, 15);
			}
		}
	}
	ck_assert_uint_gt(tests, 100);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

START_TEST(simd_imm_every_value_equals_host)
{
	static const uint8_t rows[][3] = {{0x66, 0, 0x70}, {0xf2, 0, 0x70}, {0, 0, 0xc6}, {0x66, 0, 0xc6}, {0x66, 0x3a, 0x0e},
					  {0x66, 0x3a, 0x63}, {0x66, 0x3a, 0x60}, {0x66, 0x3a, 0x0f}, {0x66, 0x3a, 0x21}};

	for (unsigned r = 0; r < sizeof(rows) / 3; r++) {
		for (unsigned imm = 0; imm < 256; imm++) {
			uint8_t code[15] = {0};
			unsigned n = 0;

			if (rows[r][0])
				code[n++] = rows[r][0];
			code[n++] = 0x0f;
			if (rows[r][1])
				code[n++] = rows[r][1];
			code[n++] = rows[r][2];
			code[n++] = 0xd1;
			code[n++] = (uint8_t)imm;
			check(code, 15);
		}
	}
	ck_assert_uint_ge(tests, 9 * 256);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

START_TEST(mxcsr_load_and_store_equals_host)
{
	static const uint8_t ld[15] = {0x0f, 0xae, 0x17}, st[15] = {0x0f, 0xae, 0x1f}, wait[15] = {0x9b};

	for (unsigned k = 0; k < 10; k++) {
		check(ld, 15);
		check(st, 15);
		check(wait, 15);
	}
	ck_assert_uint_eq(tests, 30);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

START_TEST(crc32_equals_host)
{
	static const uint8_t rows[][15] = {{0xf2, 0x0f, 0x38, 0xf0, 0xd1}, {0xf2, 0x0f, 0x38, 0xf0, 0xd4}, {0xf2, 0x0f, 0x38, 0xf1, 0xd1},
					   {0x66, 0xf2, 0x0f, 0x38, 0xf1, 0xd1}, {0xf2, 0x48, 0x0f, 0x38, 0xf1, 0xd1},
					   {0xf2, 0x0f, 0x38, 0xf1, 0x17}, {0x66, 0xf2, 0x0f, 0x38, 0xf1, 0x17},
					   {0xf2, 0x48, 0x0f, 0x38, 0xf1, 0x17}, {0xf2, 0x0f, 0x38, 0xf0, 0x17}};

	for (unsigned k = 0; k < sizeof(rows) / 15; k++)
		check(rows[k], 15);
	ck_assert_uint_eq(tests, 9);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

START_TEST(x87_row_equals_host)
{
	for (unsigned opcode = 0xd8; opcode <= 0xdf; opcode++) {
		for (unsigned m = 0; m < 0x48; m++) {
			uint8_t modrm = (uint8_t)(m < 0x40 ? 0xc0 + m : (m & 7) << 3 | 7);
			uint8_t code[15] = {(uint8_t)opcode, modrm}, code16[15] = {0x66, (uint8_t)opcode, modrm};

			for (unsigned k = 0; k < (m < 0x40 ? 2 : 6); k++)
				check(code, 15);
			if (m >= 0x40)
				check(code16, 15);
		}
	}
	ck_assert_uint_gt(tests, 500);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

/* --- Approximations --- */

static float as_float(uint32_t v)
{
	float f;

	memcpy(&f, &v, 4);
	return f;
}

/* One lane through the engine: RCPSS (53), RSQRTSS (52). */
static uint32_t approximation(unsigned opcode, uint32_t x)
{
	struct test t;
	uint8_t code[15] = {0xf3, 0x0f, (uint8_t)opcode, 0xd1};
	struct image m;
	uint32_t r;

	ck_assert(make_test(&t, code, 15));
	put(CODE, t.code, t.len);
	random_image(&m, AS_SINGLE);
	memcpy(m.fx + 160 + 16, &x, 4);
	run_guest(&m);
	memcpy(&r, m.fx + 160 + 32, 4);
	return r;
}

START_TEST(rcp_any_operand_is_within_bound)
{
	for (unsigned k = 0; k < 20000; k++) {
		uint32_t x = (single() & 0x807fffff) | (2 + below(250)) << 23, r = approximation(0x53, x);
		double error = fabs((double)as_float(r) * as_float(x) - 1);

		ck_assert_uint_eq(r & 0x7ff, 0);
		ck_assert_msg(error <= 0x1p-12, "rcp(%08x) = %08x", x, r);
		x &= 0x7fffffff;
		r = approximation(0x52, x);
		error = fabs((double)as_float(r) * as_float(r) * as_float(x) - 1);
		ck_assert_uint_eq(r & 0x7ff, 0);
		ck_assert_msg(error <= 0x1.001p-11, "rsqrt(%08x) = %08x", x, r);
	}
}
END_TEST

START_TEST(rcp_special_operand_is_as_documented)
{
	static const uint32_t cases[][3] = { /* x, 1/x, 1/sqrt(x) */
		{0, 0x7f800000, 0x7f800000}, {0x80000000, 0xff800000, 0xff800000}, {1, 0x7f800000, 0x7f800000},
		{0x807fffff, 0xff800000, 0xff800000}, {0x7f800000, 0, 0}, {0xff800000, 0x80000000, 0xffc00000},
		{0x7f800001, 0x7fc00001, 0x7fc00001}, {0xffc12345, 0xffc12345, 0xffc12345},
		{0xbf800000, 0xbf800000, 0xffc00000}, {0x3f800000, 0x3f800000, 0x3f800000}, {0x40000000, 0x3f000000, 0x3f350000},
		{0x40800000, 0x3e800000, 0x3f000000}, {0x7f7fffff, 0, 0x1f800000}, {0x40400000, 0x3eaab000, 0x3f13d000},
	};

	for (unsigned k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
		ck_assert_uint_eq(approximation(0x53, cases[k][0]), cases[k][1]);
		ck_assert_uint_eq(approximation(0x52, cases[k][0]), cases[k][2]);
	}
}
END_TEST

/* --- Transcendentals --- */

/* A register's magnitude as one ordered number: neighbours differ by one. */
static unsigned __int128 ordinal(const uint8_t *p)
{
	uint64_t mant;
	uint16_t se;

	memcpy(&mant, p, 8);
	memcpy(&se, p + 8, 2);
	se &= 0x7fff;
	return ((unsigned __int128)(se ? se - 1 : 0) << 63) + mant;
}

/* Of the same sign and not more than one unit in the last place apart. */
static bool near_enough(const uint8_t *a, const uint8_t *b)
{
	unsigned __int128 x = ordinal(a), y = ordinal(b);

	return !((a[9] ^ b[9]) & 0x80) && (x > y ? x - y : y - x) <= 1;
}

/* Results within an ulp; tags, TOP, C2 and all exceptions but precision's and tininess's are the host's. */
static bool near_host(const struct test *t, const struct image *a, const struct image *b, const uint8_t *da, const uint8_t *db)
{
	const uint16_t ignore = 0x0200 | 0x30 | 0x8080;
	uint16_t x, y;

	(void)t;
	(void)da;
	(void)db;
	memcpy(&x, a->fx + 2, 2);
	memcpy(&y, b->fx + 2, 2);
	if (a->vector != b->vector || (x ^ y) & ~ignore || a->fx[4] != b->fx[4])
		return false;
	for (unsigned k = 0; k < 8; k++)
		if (!near_enough(a->fx + 32 + 16 * k, b->fx + 32 + 16 * k))
			return false;
	return true;
}

static void check_transcendental(unsigned modrm)
{
	uint8_t code[15] = {0xd9, (uint8_t)modrm};
	struct test t;

	ck_assert(make_test(&t, code, 15));
	trans_operands = true;
	run_test(&t, AS_EXTENDED, near_host);
	trans_operands = false;
	if (t.failures)
		printf("FAIL %s: %u\n", t.name, t.failures);
	failures += t.failures;
}

START_TEST(transcendental_in_range_is_near_host)
{
	static const uint8_t modrms[] = {0xf0, 0xf1, 0xf2, 0xf3, 0xf9, 0xfb, 0xfe, 0xff};

	for (unsigned r = 0; r < 20; r++)
		for (unsigned k = 0; k < sizeof(modrms); k++)
			check_transcendental(modrms[k]);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

/* --- May it run? --- */

/* The vector that an instruction raises under these control bits (cr0 beside PE, PG, ET; cr4 beside PAE), -1 for none. */
static int vector_under(const uint8_t *bytes, uint64_t cr0, uint64_t cr4, uint32_t mxcsr, uint16_t fsw)
{
	struct cv_stop stop = {.insns = UINT64_MAX, .step = true, .stop_at_delivery = true};
	uint8_t code[15] = {0};
	struct cv_vcpu_state s;
	struct cv_exit x;

	memcpy(code, bytes, 5);
	put(CODE, code, 15);
	guest_state(&s);
	s.cr0 = CV_CR0_PE | CV_CR0_ET | CV_CR0_PG | cr0;
	s.cr4 = CV_CR4_PAE | cr4;
	s.mxcsr = mxcsr;
	s.x87.fcw = 0x37e;
	s.x87.fsw = fsw;
	s.gpr[CV_RDI] = OPERAND;
	engine->ops->set_state(engine, &s);
	ck_assert_int_eq(engine->ops->run(engine, &stop, &x, NULL), 0);
	engine->ops->get_state(engine, &s);
	return s.rip >= HANDLERS && s.rip < HANDLERS + 32 * 16 ? (int)((s.rip - HANDLERS) / 16) : -1;
}

START_TEST(fp_control_bits_decide_ud_and_nm)
{
	enum { NE = CV_CR0_NE, EM = CV_CR0_EM, TS = CV_CR0_TS, MP = CV_CR0_MP, FX = CV_CR4_OSFXSR, XM = CV_CR4_OSXMMEXCPT };
	static const uint8_t addps[] = {0x0f, 0x58, 0xd1, 0, 0}, paddb[] = {0x0f, 0xfc, 0xd1, 0, 0}, fld1[] = {0xd9, 0xe8, 0, 0, 0},
			     fwait[] = {0x9b, 0, 0, 0, 0}, movnti[] = {0x0f, 0xc3, 0x17, 0, 0}, fninit[] = {0xdb, 0xe3, 0, 0, 0},
			     divps[] = {0x0f, 0x5e, 0xd1, 0, 0};
	static const struct {
		const uint8_t *code;
		uint64_t cr0, cr4;
		uint32_t mxcsr;
		uint16_t fsw;
		int vector;
	} cases[] = {
		{addps, NE, FX, 0x1f80, 0, -1}, {addps, NE, 0, 0x1f80, 0, EXC_UD}, {addps, NE | EM, FX, 0x1f80, 0, EXC_UD},
		{addps, NE | TS, FX, 0x1f80, 0, EXC_NM}, {addps, NE | TS | EM, FX, 0x1f80, 0, EXC_UD},
		{addps, NE | TS, 0, 0x1f80, 0, EXC_UD},
		{paddb, NE, 0, 0x1f80, 0, -1}, {paddb, NE | EM, FX, 0x1f80, 0, EXC_UD}, {paddb, NE | TS, FX, 0x1f80, 0, EXC_NM},
		{paddb, NE | TS | EM, FX, 0x1f80, 0, EXC_UD}, {paddb, NE, FX, 0x1f80, 0x8081, EXC_MF},
		{paddb, 0, FX, 0x1f80, 0x8081, -1},
		{fld1, NE, 0, 0x1f80, 0, -1}, {fld1, NE | EM, FX, 0x1f80, 0, EXC_NM}, {fld1, NE | TS, FX, 0x1f80, 0, EXC_NM},
		{fld1, NE, FX, 0x1f80, 0x8081, EXC_MF}, {fld1, 0, FX, 0x1f80, 0x8081, -1},
		{fninit, NE, FX, 0x1f80, 0x8081, -1}, {fninit, NE | TS, FX, 0x1f80, 0, EXC_NM},
		{fwait, NE | TS, 0, 0x1f80, 0, -1}, {fwait, NE | TS | MP, 0, 0x1f80, 0, EXC_NM}, {fwait, NE | EM, 0, 0x1f80, 0, -1},
		{fwait, NE, 0, 0x1f80, 0x8081, EXC_MF},
		{movnti, NE | EM | TS, 0, 0x1f80, 0, -1},
		/* 0/0 with the invalid exception not masked */
		{divps, NE, FX | XM, 0x1f00, 0, EXC_XM}, {divps, NE, FX, 0x1f00, 0, EXC_UD}, {divps, NE, FX | XM, 0x1f80, 0, -1},
	};

	for (unsigned k = 0; k < sizeof(cases) / sizeof(cases[0]); k++)
		ck_assert_msg(vector_under(cases[k].code, cases[k].cr0, cases[k].cr4, cases[k].mxcsr, cases[k].fsw) ==
				      cases[k].vector, "case %u", k);
}
END_TEST

/* --- Image formats that 64-bit mode hasn't --- */

/* Runs one instruction in real mode with DS:BX = 0:4000h, x87 pointers known; returns the state. */
static struct cv_vcpu_state run_real(const uint8_t *code, unsigned n)
{
	struct cv_stop stop = {.insns = UINT64_MAX, .step = true};
	struct cv_vcpu_state s;
	struct cv_exit x;

	cv_vcpu_reset(&s);
	s.seg[CV_CS].base = s.seg[CV_CS].sel = 0;
	s.rip = 0x3000;
	s.gpr[CV_RBX] = 0x4000;
	s.x87.fcw = 0x27f;
	s.x87.fsw = 0x3800;
	s.x87.ftw = 0x80;
	s.x87.mant[7] = 1ull << 63;
	s.x87.se[7] = 0x3fff;
	s.x87.fip = 0x12345;
	s.x87.fdp = 0xabcde;
	s.x87.fop = 0x6e7;
	put(0x3000, code, n);
	engine->ops->set_state(engine, &s);
	ck_assert_int_eq(engine->ops->run(engine, &stop, &x, NULL), 0);
	engine->ops->get_state(engine, &s);
	ck_assert_uint_eq(s.rip, 0x3000 + n);
	return s;
}

static void check_bytes(const uint8_t *want, unsigned n)
{
	uint8_t got[108];

	cv_memory_read(&mem, 0x4000, got, n);
	ck_assert_mem_eq(got, want, n);
}

START_TEST(fstenv_real_mode_has_its_layouts)
{
	static const uint8_t st16[] = {0xd9, 0x37}, st32[] = {0x66, 0xd9, 0x37}, ld16[] = {0xd9, 0x27}, ld32[] = {0x66, 0xd9, 0x27};
	static const uint8_t want16[14] = {0x7f, 2, 0, 0x38, 0xff, 0x3f, 0x45, 0x23, 0xe7, 0x16, 0xde, 0xbc, 0, 0xa0};
	static const uint8_t want32[28] = {0x7f, 2, 0xff, 0xff, 0, 0x38, 0xff, 0xff, 0xff, 0x3f, 0xff, 0xff, 0x45, 0x23, 0xff, 0xff,
					   0xe7, 0x16, 0, 0, 0xde, 0xbc, 0xff, 0xff, 0, 0xa0, 0, 0};
	struct cv_vcpu_state s = run_real(st16, 2);

	check_bytes(want16, 14);
	ck_assert_uint_eq(s.x87.fcw, 0x27f | 0x3f);
	s = run_real(ld16, 2);
	ck_assert_uint_eq(s.x87.fip, 0x12345);
	ck_assert_uint_eq(s.x87.fdp, 0xabcde);
	ck_assert_uint_eq(s.x87.fop, 0x6e7);
	ck_assert_uint_eq(s.x87.ftw, 0x80);
	run_real(st32, 3);
	check_bytes(want32, 28);
	s = run_real(ld32, 3);
	ck_assert_uint_eq(s.x87.fip, 0x12345);
	ck_assert_uint_eq(s.x87.fdp, 0xabcde);
	ck_assert_uint_eq(s.x87.fop, 0x6e7);
}
END_TEST

START_TEST(fsave_real_mode_restores_what_it_saved)
{
	static const uint8_t save[] = {0xdd, 0x37}, restore[] = {0xdd, 0x27}, one[10] = {0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f};
	struct cv_vcpu_state s = run_real(save, 2);
	uint8_t got[94];

	ck_assert_uint_eq(s.x87.fcw, 0x37f);
	ck_assert_uint_eq(s.x87.fsw, 0);
	ck_assert_uint_eq(s.x87.ftw, 0);
	cv_memory_read(&mem, 0x4000, got, 94);
	ck_assert_mem_eq(got + 14, one, 10);
	s = run_real(restore, 2);
	ck_assert_uint_eq(s.x87.fcw, 0x27f);
	ck_assert_uint_eq(s.x87.fsw, 0x3800);
	ck_assert_uint_eq(s.x87.ftw, 0x80);
	ck_assert_uint_eq(s.x87.se[7], 0x3fff);
	ck_assert_uint_eq(s.x87.mant[7], 1ull << 63);
	ck_assert_uint_eq(s.x87.fip, 0x12345);
}
END_TEST

/* Real mode again: addresses without a fast form. */
START_TEST(movups_without_fast_address_moves)
{
	static const uint8_t load[] = {0x0f, 0x10, 0x17};
	uint8_t v[16];
	struct cv_stop stop = {.insns = UINT64_MAX, .step = true};
	struct cv_vcpu_state s;
	struct cv_exit x;

	for (unsigned k = 0; k < 16; k++)
		v[k] = (uint8_t)(k * 7 + 1);
	put(0x4ff9, v, 16); /* crosses a page */
	put(0x3000, load, 3);
	cv_vcpu_reset(&s);
	s.seg[CV_CS].base = s.seg[CV_CS].sel = 0;
	s.rip = 0x3000;
	s.gpr[CV_RBX] = 0x4ff9;
	s.cr4 = CV_CR4_OSFXSR;
	engine->ops->set_state(engine, &s);
	ck_assert_int_eq(engine->ops->run(engine, &stop, &x, NULL), 0);
	engine->ops->get_state(engine, &s);
	ck_assert_mem_eq(s.ymm[2], v, 16);
	ck_assert_uint_eq(s.ymm[2][2], 0);
}
END_TEST

/* --- The opcode maps against Capstone --- */

/* Names that differ on purpose: one operation for PS and PD where only bits move, Capstone's aliases and spellings. */
static bool same_name(const char *ours, const char *theirs)
{
	static const char *const pairs[][2] = {
		{"movups", "movupd"}, {"movaps", "movapd"}, {"movlps", "movlpd"}, {"movhps", "movhpd"}, {"movntps", "movntpd"},
		{"andps", "andpd"}, {"andnps", "andnpd"}, {"orps", "orpd"}, {"xorps", "xorpd"}, {"movd", "movq"},
		{"maskmovdqu", "maskmovq"}, {"fwait", "wait"}, {"pinsrd", "pinsrq"}, {"pextrd", "pextrq"},
		{"fstp", "fstpnce"}, {"fnop", "feni8087_nop"}, {"fnop", "fdisi8087_nop"}, {"fnop", "fsetpm"},
	};
	char name[32];

	snprintf(name, sizeof(name), "%s", ours);
	if (strchr(name, '_'))
		*strchr(name, '_') = 0;
	if (!strcmp(name, theirs))
		return true;
	for (unsigned k = 0; k < sizeof(pairs) / sizeof(pairs[0]); k++)
		if (!strcmp(name, pairs[k][0]) && !strcmp(theirs, pairs[k][1]))
			return true;
	/* CMPPS with its condition in the name. */
	return !strncmp(name, "cmp", 3) && !strncmp(theirs, "cmp", 3) && !strcmp(name + 3, theirs + strlen(theirs) - 2);
}

static void check_decode(csh cs, const uint8_t *bytes)
{
	const uint8_t *p = bytes;
	size_t size = 15;
	uint64_t address = 0;
	struct test t;
	cs_insn *i;

	if (!make_test(&t, bytes, 15))
		return;
	i = cs_malloc(cs);
	tests++;
	if (!cs_disasm_iter(cs, &p, &size, &address, i)) {
		failures++;
		printf("FAIL %s: Capstone knows no %02x %02x %02x %02x\n", t.name, bytes[0], bytes[1], bytes[2], bytes[3]);
	} else if (i->size != t.len || !same_name(t.name, i->mnemonic)) {
		failures++;
		printf("FAIL %s (%u bytes): %s (%u bytes), %02x %02x %02x %02x\n", t.name, t.len, i->mnemonic, i->size, bytes[0], bytes[1],
		       bytes[2], bytes[3]);
	}
	cs_free(i, 1);
}

static void decode_row(csh cs, unsigned prefix, unsigned map, unsigned opcode)
{
	static const uint8_t prefixes[4] = {0, 0x66, 0xf3, 0xf2};
	/* register, [rdi], [rdi + disp8], [rip + disp32], [base + index * 8 + disp32] */
	static const uint8_t tails[][6] = {{0xd1}, {0x17}, {0x57, 0x80}, {0x15, 1, 2, 3, 4}, {0x94, 0xcf, 1, 2, 3, 4}};

	for (unsigned k = 0; k < 5; k++) {
		uint8_t code[15] = {0};
		unsigned n = 0;

		if (prefix)
			code[n++] = prefixes[prefix];
		code[n++] = 0x0f;
		if (map)
			code[n++] = (uint8_t)map;
		code[n++] = (uint8_t)opcode;
		memcpy(code + n, tails[k], 6);
		check_decode(cs, code);
	}
}

START_TEST(maps_every_row_is_as_capstone_decodes_it)
{
	static const uint8_t maps[3] = {0, 0x38, 0x3a};
	csh cs;

	ck_assert_int_eq(cs_open(CS_ARCH_X86, CS_MODE_64, &cs), CS_ERR_OK);
	for (unsigned m = 0; m < 3; m++)
		for (unsigned opcode = 0; opcode < 256; opcode++)
			for (unsigned prefix = 0; prefix < 4 && (m || (opcode != 0x38 && opcode != 0x3a)); prefix++)
				decode_row(cs, prefix, maps[m], opcode);
	for (unsigned opcode = 0xd8; opcode <= 0xdf; opcode++) {
		for (unsigned modrm = 0; modrm < 256; modrm++) {
			uint8_t code[15] = {(uint8_t)opcode, (uint8_t)modrm};

			check_decode(cs, code);
		}
	}
	cs_close(&cs);
	ck_assert_uint_gt(tests, 2000);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

static void reset_counts(void)
{
	failures = tests = 0;
}

int main(void)
{
	Suite *s = suite_create("fp");
	TCase *t = tcase_create("host");
	SRunner *r;
	unsigned a, b = 0, c, d;
	int failed;

	__get_cpuid(0, &a, &b, &c, &d);
	intel = b == signature_INTEL_ebx;
	tcase_add_unchecked_fixture(t, make_engine, NULL);
	tcase_add_checked_fixture(t, reset_counts, NULL);
	tcase_set_timeout(t, 300);
	tcase_add_test(t, simd_0f_row_equals_host);
	tcase_add_test(t, simd_0f38_row_equals_host);
	tcase_add_test(t, simd_0f3a_row_equals_host);
	tcase_add_test(t, simd_shift_group_equals_host);
	tcase_add_test(t, simd_imm_every_value_equals_host);
	tcase_add_test(t, mxcsr_load_and_store_equals_host);
	tcase_add_test(t, crc32_equals_host);
	tcase_add_test(t, x87_row_equals_host);
	tcase_add_test(t, rcp_any_operand_is_within_bound);
	tcase_add_test(t, rcp_special_operand_is_as_documented);
	tcase_add_test(t, transcendental_in_range_is_near_host);
	tcase_add_test(t, fp_control_bits_decide_ud_and_nm);
	tcase_add_test(t, fstenv_real_mode_has_its_layouts);
	tcase_add_test(t, fsave_real_mode_restores_what_it_saved);
	tcase_add_test(t, movups_without_fast_address_moves);
	tcase_add_test(t, maps_every_row_is_as_capstone_decodes_it);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
