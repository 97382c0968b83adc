/* SPDX-License-Identifier: MIT */
/*
 * The integer handlers against the host's CPU: random instructions of every operand form and size run on the engine and
 * natively, from the same registers, flags and memory at the same addresses, and must leave the same behind.
 *
 * Code and data lie at fixed addresses below 4 GiB that are the guest's RAM (mapped one to one) and the host's memory. What the
 * manuals leave undefined is compared too: Intel's processors agree about it, and the engine follows them. Where the host
 * is another's, exactly those flags and results are left out: see undefined_flags().
 */
#include <check.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#undef F_LOCK /* of <unistd.h>; the decoder has a flag of that name */

#include "host_vendor.h"
#include "vmm-core/engine.h"
#include "vmm-core/x86/cpuid.h"
#include "vmm-core/x86/insn.h"

#define CODE 0x18000000ull
#define DATA 0x10000000ull
#define DATA_SIZE 0x8000u
#define MIDDLE (DATA + DATA_SIZE / 2)
#define TABLES 0x1000000ull
#define RAM (512ull << 20)
#define SEED 20240611u

struct regs {
	uint64_t gpr[16];
	uint64_t flags;
};

/* --- Running natively --- */

static struct regs native_regs;
static sigjmp_buf native_fault;
uint64_t native_rsp __attribute__((used)), native_landing_rax __attribute__((used));
void native_enter(struct regs *r, uint64_t code);
void native_landing(void);

/* Loads flags and registers, runs the code, which jumps to native_landing, and stores them all. */
__asm__(".text\n"
	"native_enter:\n"
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; push %rdi\n"
	"	mov %rsp, native_rsp(%rip)\n"
	"	push %rsi\n"
	"	mov %rdi, %rax\n"
	"	push 128(%rax); popfq\n"
	"	mov 8(%rax), %rcx; mov 16(%rax), %rdx; mov 24(%rax), %rbx; mov 40(%rax), %rbp\n"
	"	mov 48(%rax), %rsi; mov 56(%rax), %rdi; mov 64(%rax), %r8; mov 72(%rax), %r9\n"
	"	mov 80(%rax), %r10; mov 88(%rax), %r11; mov 96(%rax), %r12; mov 104(%rax), %r13\n"
	"	mov 112(%rax), %r14; mov 120(%rax), %r15\n"
	"	pop native_landing_rax(%rip)\n"
	"	mov 32(%rax), %rsp\n"
	"	mov 0(%rax), %rax\n"
	"	jmp *native_landing_rax(%rip)\n"
	"native_landing:\n"
	"	mov %rax, native_landing_rax(%rip)\n"
	"	mov %rsp, %rax\n"
	"	mov native_rsp(%rip), %rsp\n"
	"	pushfq\n"
	"	cld\n"
	"	push %rdi\n"
	"	mov 16(%rsp), %rdi\n"
	"	mov %rax, 32(%rdi)\n"
	"	pop 56(%rdi)\n"
	"	pop 128(%rdi)\n"
	"	mov native_landing_rax(%rip), %rax\n"
	"	mov %rax, 0(%rdi)\n"
	"	mov %rcx, 8(%rdi); mov %rdx, 16(%rdi); mov %rbx, 24(%rdi); mov %rbp, 40(%rdi)\n"
	"	mov %rsi, 48(%rdi); mov %r8, 64(%rdi); mov %r9, 72(%rdi); mov %r10, 80(%rdi)\n"
	"	mov %r11, 88(%rdi); mov %r12, 96(%rdi); mov %r13, 104(%rdi); mov %r14, 112(%rdi)\n"
	"	mov %r15, 120(%rdi)\n"
	"	pop %rdi; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n");

static void on_fault(int sig)
{
	(void)sig;
	__asm__ volatile("cld");
	siglongjmp(native_fault, 1);
}

/* false: the code faulted. */
static bool run_native(struct regs *r)
{
	native_regs = *r;
	if (sigsetjmp(native_fault, 1))
		return false;
	native_enter(&native_regs, CODE);
	*r = native_regs;
	return true;
}

/* --- Running on the engine --- */

static struct cv_memory mem;
static struct cv_bus bus;
static struct cv_engine *engine;
static uint64_t code_pages;

static void ram_written(void *ctx, uint32_t page, uint32_t offset, uint32_t len)
{
	(void)ctx;
	engine->ops->ram_written(engine, page, offset, len);
}

static void put64(uint64_t gpa, uint64_t v)
{
	ck_assert_uint_eq(cv_memory_write(&mem, gpa, &v, 8), 8);
}

/* Long mode, RAM mapped one to one with 4 KiB pages for data and code and nothing else. */
static void make_tables(void)
{
	put64(TABLES, (TABLES + 0x1000) | 3);
	put64(TABLES + 0x1000, (TABLES + 0x2000) | 3);
	put64(TABLES + 0x2000 + (DATA >> 21) * 8, (TABLES + 0x3000) | 3);
	put64(TABLES + 0x2000 + (CODE >> 21) * 8, (TABLES + 0x4000) | 3);
	for (uint64_t p = 0; p < DATA_SIZE / CV_PAGE_SIZE; p++)
		put64(TABLES + 0x3000 + p * 8, (DATA + p * CV_PAGE_SIZE) | 3);
	put64(TABLES + 0x4000, CODE | 3);
}

static void long_mode(struct cv_vcpu_state *s)
{
	cv_vcpu_reset(s);
	s->cr0 = CV_CR0_PE | CV_CR0_PG | CV_CR0_ET;
	s->cr3 = TABLES;
	s->cr4 = CV_CR4_PAE;
	s->efer = CV_EFER_LME | CV_EFER_LMA;
	s->idtr.limit = 0;
	s->seg[CV_CS] = (struct cv_seg){.limit = UINT32_MAX, .ar = 0xa09b, .sel = 8};
	for (unsigned k = CV_ES; k <= CV_GS; k++)
		if (k != CV_CS)
			s->seg[k] = (struct cv_seg){.limit = UINT32_MAX, .ar = 0xc093, .sel = 16};
	s->rip = CODE;
}

/* false: the code faulted. n: instructions. */
static bool run_engine(struct regs *r, unsigned n)
{
	struct cv_vcpu_state s;
	struct cv_error err = {0};
	struct cv_exit exit;
	struct cv_stop stop = {.insns = n};

	long_mode(&s);
	memcpy(s.gpr, r->gpr, sizeof(s.gpr));
	s.rflags = r->flags;
	engine->ops->set_state(engine, &s);
	ck_assert_int_eq(engine->ops->run(engine, &stop, &exit, &err), 0);
	if (exit.kind == CV_EXIT_SHUTDOWN)
		return false;
	ck_assert_int_eq(exit.kind, CV_EXIT_POSITION);
	engine->ops->get_state(engine, &s);
	ck_assert_uint_eq(s.pos.insns, n);
	memcpy(r->gpr, s.gpr, sizeof(s.gpr));
	r->flags = s.rflags;
	return true;
}

/* --- Random instructions --- */

static uint64_t random_state = SEED;

static uint64_t rnd(void)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (random_state >> 33) ^ (random_state << 31);
}
static unsigned below(unsigned n)
{
	return (unsigned)((rnd() >> 16) % n);
}

static uint64_t interesting(void)
{
	static const uint64_t v[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
				     0x7fffffffffffffff, 0x8000000000000000, UINT64_MAX};

	switch (below(4)) {
	case 0: return v[below(sizeof(v) / sizeof(v[0]))];
	case 1: return rnd() & 0xff;
	default: return rnd() ^ rnd() << 20;
	}
}

struct code {
	uint8_t b[64];
	unsigned n, insns;
};

static void byte(struct code *c, unsigned v)
{
	c->b[c->n++] = (uint8_t)v;
}
static void bytes(struct code *c, uint64_t v, unsigned n)
{
	for (; n; n--, v >>= 8)
		byte(c, v & 0xff);
}

/* What an instruction wants beside opcode and ModRM. */
enum { IMM8 = 1, IMMZ = 2, REG_ONLY = 4, MEM_ONLY = 8, NO_MODRM = 16, BYTE = 32, BIT_OFFSET = 64, STRING = 128, LEAVES = 256,
       NO66 = 512, WIDE_IMM = 1024,
       KEEP_SP = 2048, /* not the stack pointer: a later PUSH would store anywhere */
       READS = 4096 /* takes flags as operands, or some row of it does */ };

struct row {
	const char *name;
	int map; /* 1 or 0x0f; 0xf3: F3 0F */
	uint8_t first, last; /* opcodes */
	int digit; /* ModRM.reg, or -1: any */
	unsigned flags;
};

#define CF CV_FLAG_CF
#define PF CV_FLAG_PF
#define AF CV_FLAG_AF
#define ZF CV_FLAG_ZF
#define SF CV_FLAG_SF
#define OF CV_FLAG_OF

/* Ends a row of consecutive opcodes of which the odd ones are not byte operations where BYTE stands: even is byte. */
static const struct row rows[] = {
#define ALU(name, base, more) {name, 1, base, base + 3, -1, BYTE | (more)}, \
	{name " al", 1, base + 4, base + 4, -1, NO_MODRM | IMM8 | BYTE | (more)}, \
	{name " ax", 1, base + 5, base + 5, -1, NO_MODRM | IMMZ | (more)}
	ALU("add", 0x00, 0), ALU("or", 0x08, 0), ALU("adc", 0x10, READS), ALU("sbb", 0x18, READS), ALU("and", 0x20, 0),
	ALU("sub", 0x28, 0), ALU("xor", 0x30, 0), ALU("cmp", 0x38, 0),
	{"group1 b", 1, 0x80, 0x80, -1, IMM8 | BYTE | READS}, {"group1 z", 1, 0x81, 0x81, -1, IMMZ | READS},
	{"group1 s", 1, 0x83, 0x83, -1, IMM8 | READS},
	{"test", 1, 0x84, 0x85, -1, BYTE}, {"test al", 1, 0xa8, 0xa8, -1, NO_MODRM | IMM8 | BYTE},
	{"test ax", 1, 0xa9, 0xa9, -1, NO_MODRM | IMMZ},
	{"test ib", 1, 0xf6, 0xf6, 0, IMM8 | BYTE}, {"test iz", 1, 0xf7, 0xf7, 0, IMMZ},
	{"not", 1, 0xf6, 0xf7, 2, BYTE}, {"neg", 1, 0xf6, 0xf7, 3, BYTE},
	{"mul", 1, 0xf6, 0xf7, 4, BYTE}, {"imul", 1, 0xf6, 0xf7, 5, BYTE},
	{"div", 1, 0xf6, 0xf7, 6, BYTE}, {"idiv", 1, 0xf6, 0xf7, 7, BYTE},
	{"inc", 1, 0xfe, 0xff, 0, BYTE}, {"dec", 1, 0xfe, 0xff, 1, BYTE},
	{"shift ib", 1, 0xc0, 0xc1, -1, IMM8 | BYTE | READS}, {"shift 1", 1, 0xd0, 0xd1, -1, BYTE | READS},
	{"shift cl", 1, 0xd2, 0xd3, -1, BYTE | READS},
	{"shld", 0x0f, 0xa4, 0xa4, -1, IMM8}, {"shld cl", 0x0f, 0xa5, 0xa5, -1, 0},
	{"shrd", 0x0f, 0xac, 0xac, -1, IMM8}, {"shrd cl", 0x0f, 0xad, 0xad, -1, 0},
	{"bt", 0x0f, 0xa3, 0xa3, -1, BIT_OFFSET}, {"bts", 0x0f, 0xab, 0xab, -1, BIT_OFFSET},
	{"btr", 0x0f, 0xb3, 0xb3, -1, BIT_OFFSET}, {"btc", 0x0f, 0xbb, 0xbb, -1, BIT_OFFSET},
	{"bt ib", 0x0f, 0xba, 0xba, 4, IMM8}, {"bts ib", 0x0f, 0xba, 0xba, 5, IMM8},
	{"btr ib", 0x0f, 0xba, 0xba, 6, IMM8}, {"btc ib", 0x0f, 0xba, 0xba, 7, IMM8},
	{"bsf", 0x0f, 0xbc, 0xbc, -1, 0}, {"bsr", 0x0f, 0xbd, 0xbd, -1, 0},
	{"popcnt", 0xf3, 0xb8, 0xb8, -1, 0}, {"bswap", 0x0f, 0xc8, 0xcf, -1, NO_MODRM},
	{"mov", 1, 0x88, 0x8b, -1, BYTE}, {"mov ib", 1, 0xc6, 0xc6, 0, IMM8 | BYTE}, {"mov iz", 1, 0xc7, 0xc7, 0, IMMZ},
	{"mov zb", 1, 0xb0, 0xb7, -1, NO_MODRM | IMM8 | BYTE}, {"mov zv", 1, 0xb8, 0xbf, -1, NO_MODRM | WIDE_IMM},
	{"movzx", 0x0f, 0xb6, 0xb7, -1, 0}, {"movsx", 0x0f, 0xbe, 0xbf, -1, 0}, {"movsxd", 1, 0x63, 0x63, -1, 0},
	{"lea", 1, 0x8d, 0x8d, -1, MEM_ONLY}, {"cmov", 0x0f, 0x40, 0x4f, -1, READS}, {"set", 0x0f, 0x90, 0x9f, 0, BYTE | READS},
	{"xchg", 1, 0x86, 0x87, -1, BYTE}, {"xchg ax", 1, 0x90, 0x97, -1, NO_MODRM},
	{"xadd", 0x0f, 0xc0, 0xc1, -1, BYTE}, {"cmpxchg", 0x0f, 0xb0, 0xb1, -1, BYTE},
	{"cmpxchg8b", 0x0f, 0xc7, 0xc7, 1, MEM_ONLY | NO66},
	{"imul iz", 1, 0x69, 0x69, -1, IMMZ}, {"imul ib", 1, 0x6b, 0x6b, -1, IMM8},
	{"imul 2", 0x0f, 0xaf, 0xaf, -1, 0},
	{"cbw", 1, 0x98, 0x99, -1, NO_MODRM}, {"sahf", 1, 0x9e, 0x9f, -1, NO_MODRM | READS}, {"cmc", 1, 0xf5, 0xf5, -1, NO_MODRM | READS},
	{"clc", 1, 0xf8, 0xf9, -1, NO_MODRM},
	{"push", 1, 0x50, 0x5f, -1, NO_MODRM}, {"push iz", 1, 0x68, 0x68, -1, NO_MODRM | IMMZ},
	{"push ib", 1, 0x6a, 0x6a, -1, NO_MODRM | IMM8}, {"push ev", 1, 0xff, 0xff, 6, 0}, {"pop ev", 1, 0x8f, 0x8f, 0, 0},
	{"leave", 1, 0xc9, 0xc9, -1, NO_MODRM | LEAVES},
	{"movs", 1, 0xa4, 0xa5, -1, NO_MODRM | STRING}, {"cmps", 1, 0xa6, 0xa7, -1, NO_MODRM | STRING},
	{"stos", 1, 0xaa, 0xaf, -1, NO_MODRM | STRING},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static uint64_t pointer(void)
{
	return MIDDLE + (rnd() & 0x7ff) - 0x400;
}

/* ModRM, SIB, displacement; prepares the registers that make the address. rex gets its B and X bits. */
static void memory_operand(struct code *c, struct regs *r, unsigned reg, unsigned *rex, bool reg_is_offset)
{
	unsigned base = below(16), index = below(16), mod = below(3), scale = below(4);
	bool sib;

	while (reg_is_offset && (base == reg || index == reg))
		base = below(16), index = below(16);
	sib = (base & 7) == 4 || below(3) == 0;


	if (mod == 0 && (base & 7) == 5)
		mod = 1;
	if (index == 4 || index == base)
		sib = (base & 7) == 4, index = 4;
	r->gpr[base] = pointer();
	if (sib && index != 4)
		r->gpr[index] = below(64);
	*rex |= base >> 3 | (sib && index != 4 ? (index >> 3) << 1 : 0);
	byte(c, mod << 6 | (reg & 7) << 3 | (sib ? 4 : base & 7));
	if (sib)
		byte(c, scale << 6 | (index & 7) << 3 | (base & 7));
	if (mod == 1)
		byte(c, below(256));
	else if (mod == 2)
		bytes(c, (uint64_t)(int64_t)((int)below(2000) - 1000), 4);
}

/* Appends a random instruction of this row, and adapts the registers to it. */
static void instruction(struct code *c, const struct row *row, struct regs *r)
{
	unsigned op = row->first + below(row->last - row->first + 1u), reg = below(16), rm = below(16), rex = 0x40;
	bool is_byte = row->flags & BYTE && (row->map == 0x0f && op >= 0x90 && op < 0xa0 ? true : !(op & 1) || (op >= 0xb0 && op < 0xb8 && row->map == 1));
	bool o66 = !is_byte && !(row->flags & NO66) && below(4) == 0, with_rex = below(4) != 0;
	struct code tail = {.n = 0};
	bool memory = !(row->flags & (NO_MODRM | REG_ONLY)) && (row->flags & MEM_ONLY || below(2));

	while (row->flags & KEEP_SP && row->flags & NO_MODRM && (op & 7) == 4 && row->last - row->first >= 7)
		op = row->first + below(row->last - row->first + 1u);
	if (!with_rex)
		reg &= 7, rm &= 7;
	if (row->flags & KEEP_SP && reg == 4)
		reg = 3;
	if (row->flags & KEEP_SP && rm == 4)
		rm = 3;
	if (row->digit >= 0)
		reg = (unsigned)row->digit;
	if (below(3) == 0)
		rex |= 8;
	if (row->flags & BIT_OFFSET && memory) {
		if (reg == 4)
			reg = 1;
	}
	if (memory) {
		unsigned before = rex;

		memory_operand(&tail, r, reg, &rex, row->flags & BIT_OFFSET);
		if (rex != before)
			with_rex = true;
		if (row->flags & BIT_OFFSET)
			r->gpr[reg] = (uint64_t)(int64_t)((int)below(8000) - 4000);
	} else if (!(row->flags & NO_MODRM)) {
		byte(&tail, 0xc0 | (reg & 7) << 3 | (rm & 7));
		rex |= rm >> 3;
	} else {
		rex |= below(2);
	}
	if (row->digit < 0)
		rex |= (reg >> 3) << 2;
	if (rex & 7)
		with_rex = true;
	if (row->flags & STRING) {
		r->gpr[6] = pointer();
		r->gpr[7] = below(3) ? pointer() : r->gpr[6] + below(16);
		r->gpr[1] = below(70);
		if (below(2))
			memmove((void *)r->gpr[7], (void *)r->gpr[6], 128), cv_memory_write(&mem, r->gpr[7], (void *)r->gpr[7], 128);
		if (below(3))
			byte(c, below(2) ? 0xf3 : 0xf2);
	}
	if (row->flags & LEAVES)
		r->gpr[5] = pointer();
	if (o66)
		byte(c, 0x66);
	if (row->map == 0xf3)
		byte(c, 0xf3);
	if (with_rex)
		byte(c, rex);
	else
		rex = 0;
	if (row->map != 1)
		byte(c, 0x0f);
	byte(c, op);
	memcpy(c->b + c->n, tail.b, tail.n);
	c->n += tail.n;
	if (row->flags & IMM8)
		byte(c, (unsigned)interesting() & 0xff);
	if (row->flags & IMMZ)
		bytes(c, interesting(), o66 && !(rex & 8) ? 2 : 4);
	if (row->flags & WIDE_IMM)
		bytes(c, interesting(), rex & 8 ? 8 : o66 ? 2 : 4);
	c->insns++;
}

static void random_regs(struct regs *r)
{
	for (unsigned k = 0; k < 16; k++)
		r->gpr[k] = interesting();
	r->gpr[4] = pointer() & ~7ull;
	r->flags = 0x202 | (rnd() & CV_FLAGS_ARITH);
}

static void install(const struct code *c)
{
	static const uint8_t jump[] = {0xff, 0x25, 0, 0, 0, 0};
	uint64_t landing = (uint64_t)native_landing;
	uint8_t *p = (uint8_t *)CODE;

	memcpy(p, c->b, c->n);
	memcpy(p + c->n, jump, 6);
	memcpy(p + c->n + 6, &landing, 8);
	ck_assert_uint_eq(cv_memory_write(&mem, CODE, c->b, c->n), c->n);
	ck_assert_uint_eq(cv_memory_write(&mem, CODE + c->n, "\xf4", 1), 1);
	code_pages++;
}

static void describe(const char *what, const struct code *c, const struct regs *in, const struct regs *want,
		     const struct regs *got)
{
	fprintf(stderr, "%s:", what);
	for (unsigned k = 0; k < c->n; k++)
		fprintf(stderr, " %02x", c->b[k]);
	fprintf(stderr, "\n");
	for (unsigned k = 0; k < 16; k++)
		if (want->gpr[k] != got->gpr[k] || k < 4)
			fprintf(stderr, "  r%u: in %llx, CPU %llx, engine %llx\n", k, (unsigned long long)in->gpr[k],
				(unsigned long long)want->gpr[k], (unsigned long long)got->gpr[k]);
	fprintf(stderr, "  flags: in %llx, CPU %llx, engine %llx\n", (unsigned long long)in->flags,
		(unsigned long long)want->flags, (unsigned long long)got->flags);
}

/* --- What the manuals leave undefined --- */

/* The count as the CPU takes it: the immediate, CL at the start, or the highest where code before may change CL. */
static unsigned shift_count(const struct cv_insn *i, const struct regs *r, bool first)
{
	unsigned mask = i->osize == 8 ? 63 : 31;
	bool cl = i->opcode == 0xd2 || i->opcode == 0xd3 || i->opcode == 0xa5 || i->opcode == 0xad;

	if (i->opcode == 0xd0 || i->opcode == 0xd1)
		return 1;
	if (cl)
		return first ? (unsigned)r->gpr[1] & mask : mask;
	return (unsigned)i->imm & mask;
}

/*
 * Flags that SDM 2 and APM 3 call undefined after this instruction ("Flags Affected"), table of SDM 1 appendix A. BT and
 * its kin: the SDM of today keeps ZF, older ones and the APM call it undefined. Shifts and rotates by zero touch nothing.
 */
static uint64_t undefined_flags(const struct cv_insn *i, unsigned count)
{
	unsigned bits = i->osize * 8u;
	uint64_t many = count == 0 ? 0 : count == 1 ? AF : AF | OF;

	switch (i->op) {
	case CV_OP_and: case CV_OP_or: case CV_OP_xor: case CV_OP_test:
		return AF;
	case CV_OP_mul: case CV_OP_imul: case CV_OP_imul2:
		return SF | ZF | AF | PF;
	case CV_OP_div: case CV_OP_idiv:
		return CV_FLAGS_ARITH;
	case CV_OP_bt: case CV_OP_bts: case CV_OP_btr: case CV_OP_btc:
		return OF | SF | ZF | AF | PF;
	case CV_OP_bsf: case CV_OP_bsr:
		return CF | OF | SF | AF | PF;
	case CV_OP_rol: case CV_OP_ror: case CV_OP_rcl: case CV_OP_rcr:
		return many & OF;
	case CV_OP_sar:
		return many;
	case CV_OP_shl: case CV_OP_shr:
		return many | (count >= bits ? CF : 0);
	case CV_OP_shld: case CV_OP_shrd:
		return count > bits ? CV_FLAGS_ARITH : many;
	default:
		return 0;
	}
}

/* Is the operand of BSF or BSR zero? After other code nobody knows what a register holds. */
static bool zero_source(const struct cv_insn *i, const struct regs *r, bool first)
{
	uint64_t at = (uint64_t)(int64_t)i->disp;
	uint32_t v;

	if (i->mod == 3)
		return !first || !(uint32_t)r->gpr[i->rm];
	if (i->base < 16)
		at += r->gpr[i->base];
	if (i->index < 16)
		at += r->gpr[i->index] << i->scale;
	memcpy(&v, (const void *)(uintptr_t)at, 4);
	return !v;
}

/*
 * Do the manuals leave the result undefined too? SHLD and SHRD by more than the operand has. BSF and BSR of zero keep the
 * destination (APM 3; Intel's processors do), but with 32-bit operands some clear its upper half (SDM 2A, BSF, note 1).
 * BSWAP of 16 bits.
 */
static bool undefined_result(const struct cv_insn *i, const struct regs *r, unsigned count, bool first)
{
	switch (i->op) {
	case CV_OP_shld: case CV_OP_shrd:
		return count > i->osize * 8u;
	case CV_OP_bsf: case CV_OP_bsr:
		return i->osize == 4 && zero_source(i, r, first);
	case CV_OP_bswap:
		return i->osize == 2;
	default:
		return false;
	}
}

/* What is undefined after the last instruction of c, which begins at start: flags, and the result. */
static uint64_t undefined_by(const struct code *c, unsigned start, const struct regs *r, bool *result)
{
	struct cv_insn i;
	unsigned count;

	ck_assert_int_eq(cv_decode(c->b + start, sizeof(c->b) - start, 64, CV_FEATURES_V2, &i), CV_DECODE_OK);
	ck_assert_uint_eq(i.len, c->n - start);
	count = shift_count(&i, r, start == 0);
	*result = undefined_result(&i, r, count, start == 0);
	if (host_is_intel()) /* Intel's own processors differ about these alone */
		return (i.op == CV_OP_div || i.op == CV_OP_idiv) && !host_div_keeps_flags() ? CV_FLAGS_ARITH : 0;
	return undefined_flags(&i, count);
}

/* Runs it on both; false: they differ, which has been described. */
static bool compare(const char *name, const struct code *c, const struct regs *in, uint64_t ignored)
{
	struct regs want = *in, got = *in;
	uint64_t mask = (CV_FLAGS_ARITH | CV_FLAG_DF) & ~ignored;
	bool ok_native, ok_engine, same;

	install(c);
	ok_engine = run_engine(&got, c->insns);
	ok_native = run_native(&want);
	if (ok_native != ok_engine) {
		describe(name, c, in, &want, &got);
		fprintf(stderr, "  CPU %s, engine %s\n", ok_native ? "ran" : "faulted", ok_engine ? "ran" : "faulted");
		return false;
	}
	same = !ok_native || (!memcmp(want.gpr, got.gpr, sizeof(want.gpr)) && !((want.flags ^ got.flags) & mask));
	if (!same)
		describe(name, c, in, &want, &got);
	if (memcmp((void *)DATA, mem.ram + DATA, DATA_SIZE)) {
		describe(name, c, in, &want, &got);
		fprintf(stderr, "  memory differs\n");
		memcpy(mem.ram + DATA, (void *)DATA, DATA_SIZE);
		same = false;
	}
	return same;
}

static void setup(void)
{
	struct cv_engine_host host = {.mem = &mem, .bus = &bus};
	struct cv_error err = {0};
	struct sigaction sa = {.sa_handler = on_fault, .sa_flags = SA_ONSTACK};
	static uint8_t signal_stack[65536];
	stack_t ss = {.ss_sp = signal_stack, .ss_size = sizeof(signal_stack)};
	uint8_t *data = mmap((void *)DATA, DATA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	void *code = mmap((void *)CODE, CV_PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	ck_assert_ptr_eq(data, (void *)DATA);
	ck_assert_ptr_eq(code, (void *)CODE);
	ck_assert_int_eq(cv_memory_init(&mem, RAM, &err), 0);
	host.model = cv_cpuid_model_find("chronovisor-v2");
	ck_assert_ptr_nonnull(host.model);
	engine = cv_soft_new(&host, &err);
	ck_assert_ptr_nonnull(engine);
	mem.written = ram_written;
	make_tables();
	for (unsigned k = 0; k < DATA_SIZE; k++)
		data[k] = (uint8_t)rnd();
	memcpy(mem.ram + DATA, data, DATA_SIZE);
	sigaltstack(&ss, NULL);
	sigaction(SIGFPE, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGILL, &sa, NULL);
	printf("seed %u%s\n", SEED, host_is_intel() ? "" : "; the host isn't Intel's: what the manuals leave undefined is left out");
}

START_TEST(integer_row_random_matches_cpu)
{
	const struct row *row = &rows[_i];
	unsigned bad = 0, left_out = 0;

	random_state = SEED + (unsigned)_i;
	for (unsigned k = 0; k < 4000 && bad < 3; k++) {
		struct regs r;
		struct code c = {.n = 0};
		uint64_t ignored;
		bool undefined;

		random_regs(&r);
		if (row->flags & STRING && below(2))
			r.flags |= CV_FLAG_DF;
		if (row->flags & BYTE && below(2))
			r.gpr[0] = below(0x400); /* quotients that fit now and then */
		if (!strcmp(row->name, "div") || !strcmp(row->name, "idiv"))
			r.gpr[2] = below(2) ? r.gpr[2] : below(2) ? 0 : UINT64_MAX;
		instruction(&c, row, &r);
		ignored = undefined_by(&c, 0, &r, &undefined);
		if (undefined && !host_is_intel())
			left_out++;
		else
			bad += !compare(row->name, &c, &r, ignored);
	}
	if (left_out)
		printf("left out: %u cases of %s whose result the manuals leave undefined\n", left_out, row->name);
	ck_assert_uint_lt(left_out, 2000);
	ck_assert_msg(bad == 0, "%s differs from the CPU", row->name);
}
END_TEST

START_TEST(integer_sequence_random_matches_cpu)
{
	unsigned bad = 0;

	random_state = SEED * 3;
	for (unsigned k = 0; k < 40000 && bad < 3; k++) {
		struct regs r;
		struct code c = {.n = 0};
		uint64_t ignored = 0;
		unsigned n = 2 + below(3);

		random_regs(&r);
		while (n--) {
			const struct row *row = &rows[below(ROWS)];

			/* One memory operand at the end: registers are prepared for that one alone. */
			if (n && (row->flags & (STRING | MEM_ONLY | LEAVES | BIT_OFFSET) || row->first == 0xff || row->first == 0x8f ||
				  !strncmp(row->name, "push", 4)))
				continue;
			struct row plain = *row;
			struct code before = c;
			bool undefined;

			/* No quotients, which seldom fit; and nothing that takes flags which nobody knows. */
			if (!strcmp(row->name, "div") || !strcmp(row->name, "idiv") || (ignored && row->flags & READS))
				continue;
			plain.flags |= KEEP_SP;
			if (!(plain.flags & (NO_MODRM | MEM_ONLY)))
				plain.flags |= REG_ONLY;
			if (plain.flags & (STRING | MEM_ONLY | LEAVES) && c.insns)
				continue;
			instruction(&c, &plain, &r);
			ignored |= undefined_by(&c, before.n, &r, &undefined);
			if (undefined && !host_is_intel())
				c = before;
		}
		if (c.insns)
			bad += !compare("sequence", &c, &r, ignored);
	}
	ck_assert_msg(bad == 0, "sequences differ from the CPU");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("soft_int");
	TCase *t = tcase_create("native");
	SRunner *sr;
	int failed;

	tcase_add_unchecked_fixture(t, setup, NULL);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, integer_row_random_matches_cpu, 0, ROWS);
	tcase_add_test(t, integer_sequence_random_matches_cpu);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
