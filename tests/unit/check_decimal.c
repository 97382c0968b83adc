/* SPDX-License-Identifier: MIT */
/*
 * What exists in 32-bit code alone, against the host's CPU: DAA DAS AAA AAS AAM AAD with every operand and the flags that the
 * manuals leave undefined, SALC, ARPL, one-byte INC and DEC. Natively a far jump to the kernel's 32-bit code segment runs
 * them; a host without one leaves the comparison out, and the decimal results are checked by decimal arithmetic anyway.
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
#include "vmm-core/soft/soft.h"

#define CODE 0x18000000ull
#define TABLES 0x1000000ull
#define HANDLERS 0x1020000ull
#define RAM (512ull << 20)
#define CF CV_FLAG_CF
#define PF CV_FLAG_PF
#define AF CV_FLAG_AF
#define ZF CV_FLAG_ZF
#define SF CV_FLAG_SF
#define OF CV_FLAG_OF

struct regs {
	uint32_t eax, ecx;
	uint64_t flags;
};

/* --- Natively --- */

static sigjmp_buf no_code32;
uint64_t native32_rsp __attribute__((used)), native32_code __attribute__((used));
void native32_enter(struct regs *r, uint64_t far_pointer);
void native32_landing(void);

/* 32-bit code keeps no upper halves for sure: RSP comes from memory, and the rest from the stack. */
__asm__(".text\n"
	"native32_enter:\n"
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; push %rdi\n"
	"	mov %rsp, native32_rsp(%rip)\n"
	"	push 8(%rdi); popfq\n"
	"	mov 0(%rdi), %eax; mov 4(%rdi), %ecx\n"
	"	ljmp *(%rsi)\n"
	"native32_landing:\n"
	"	mov native32_rsp(%rip), %rsp\n"
	"	pop %rdi\n"
	"	mov %eax, 0(%rdi); mov %ecx, 4(%rdi)\n"
	"	pushfq; pop 8(%rdi)\n"
	"	cld\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n");

static void on_fault(int sig)
{
	(void)sig;
	siglongjmp(no_code32, 1);
}

/* At CODE: the instruction and a far jump to 64-bit code at CODE + 80h, which goes on to the landing. */
static void install(const uint8_t *code, unsigned n)
{
	uint8_t *p = (uint8_t *)CODE, jump[7] = {0xea, 0x80, 0, 0, 0x18, 0x33, 0}, on[6] = {0xff, 0x25, 0, 0, 0, 0};
	uint64_t landing = (uint64_t)(uintptr_t)native32_landing;

	memcpy(p, code, n);
	memcpy(p + n, jump, sizeof(jump));
	memcpy(p + 0x80, on, sizeof(on));
	memcpy(p + 0x86, &landing, 8);
}

static void run_native(struct regs *r)
{
	static const struct {
		uint32_t offset;
		uint16_t selector;
	} far = {CODE, 0x23};

	native32_enter(r, (uint64_t)(uintptr_t)&far);
}

/* Has the host 32-bit code for its processes? */
static bool native_works(void)
{
	static const uint8_t nop[] = {0x90};
	struct sigaction sa = {.sa_handler = on_fault, .sa_flags = SA_NODEFER}, old[2];
	struct regs r = {.eax = 5, .flags = 0x202};
	bool works = false;

	install(nop, 1);
	sigaction(SIGSEGV, &sa, &old[0]);
	sigaction(SIGILL, &sa, &old[1]);
	if (!sigsetjmp(no_code32, 1)) {
		run_native(&r);
		works = r.eax == 5;
	}
	sigaction(SIGSEGV, &old[0], NULL);
	sigaction(SIGILL, &old[1], NULL);
	return works;
}

/* --- On the engine --- */

static struct cv_memory mem;
static struct cv_bus bus;
static struct cv_engine *engine;
static bool native;

static void ram_written(void *ctx, uint32_t page, uint32_t offset, uint32_t len)
{
	(void)ctx;
	engine->ops->ram_written(engine, page, offset, len);
}

static void put(uint64_t gpa, const void *p, size_t n)
{
	ck_assert_uint_eq(cv_memory_write(&mem, gpa, p, n), n);
}

/* Gates of 32 bits, each to an address of its own, and a flat code segment. */
static void make_tables(void)
{
	uint64_t code32 = 0x00cf9b000000ffffull;

	put(TABLES + 8, &code32, 8);
	for (unsigned v = 0; v < 32; v++) {
		uint64_t h = HANDLERS + 16 * v, gate = (h & 0xffff) | 8u << 16 | 0x8e00ull << 32 | (h >> 16) << 48;

		put(TABLES + 0x1000 + 8 * v, &gate, 8);
	}
}

/* The vector of the fault that it met, or -1. */
static int run_engine(struct regs *r)
{
	struct cv_stop stop = {.insns = UINT64_MAX, .step = true, .stop_at_delivery = true};
	struct cv_vcpu_state s;
	struct cv_exit x;

	cv_vcpu_reset(&s);
	for (unsigned k = CV_ES; k <= CV_GS; k++)
		s.seg[k] = (struct cv_seg){.limit = UINT32_MAX, .ar = CV_AR_P | CV_AR_S | CV_AR_G | CV_AR_DB | 3, .sel = 16};
	s.seg[CV_CS] = (struct cv_seg){.limit = UINT32_MAX, .ar = CV_AR_P | CV_AR_S | CV_AR_G | CV_AR_DB | 0xb, .sel = 8};
	s.cr0 |= CV_CR0_PE;
	s.gdtr.base = TABLES;
	s.gdtr.limit = 15;
	s.idtr.base = TABLES + 0x1000;
	s.idtr.limit = 32 * 8 - 1;
	s.gpr[CV_RAX] = r->eax;
	s.gpr[CV_RCX] = r->ecx;
	s.gpr[CV_RSP] = 0x1030000;
	s.rflags = r->flags;
	s.rip = CODE;
	engine->ops->set_state(engine, &s);
	ck_assert_int_eq(engine->ops->run(engine, &stop, &x, NULL), 0);
	ck_assert_int_eq(x.kind, CV_EXIT_POSITION);
	engine->ops->get_state(engine, &s);
	r->eax = (uint32_t)s.gpr[CV_RAX];
	r->ecx = (uint32_t)s.gpr[CV_RCX];
	r->flags = s.rflags;
	return s.rip >= HANDLERS && s.rip < HANDLERS + 512 ? (int)(s.rip - HANDLERS) / 16 : -1;
}

static void setup(void)
{
	struct cv_engine_host host = {.mem = &mem, .bus = &bus, .model = cv_cpuid_model_find("chronovisor-v2")};

	ck_assert_int_eq(cv_memory_init(&mem, RAM, NULL), 0);
	engine = cv_soft_new(&host, NULL);
	ck_assert_ptr_nonnull(engine);
	mem.written = ram_written;
	make_tables();
	ck_assert_ptr_eq(mmap((void *)CODE, 0x1000, PROT_READ | PROT_WRITE | PROT_EXEC,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), (void *)CODE);
	native = native_works();
	if (!native)
		printf("left out: comparisons of 32-bit code, which this host's processes can't run\n");
	else if (!host_is_intel())
		printf("left out: flags that the manuals leave undefined; the host isn't Intel's\n");
}

/* --- Comparing --- */

static uint64_t state = 88172645463325252ull;

static uint32_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state * 0x2545f4914f6cdd1dull >> 32);
}

static void use(const uint8_t *code, unsigned n)
{
	if (native)
		install(code, n);
	put(CODE, code, n);
}

/* From these registers, on both; undefined: flags, on hosts that aren't Intel's. Gives what the engine left. */
static struct regs same(const char *name, struct regs in, uint64_t undefined)
{
	struct regs want = in, got = in;
	uint64_t mask = CV_FLAGS_ARITH & ~(host_is_intel() ? 0 : undefined);

	ck_assert_int_eq(run_engine(&got), -1);
	if (!native)
		return got;
	run_native(&want);
	ck_assert_msg(want.eax == got.eax && want.ecx == got.ecx && !((want.flags ^ got.flags) & mask),
		      "%s: eax %08x ecx %08x flags %03x: CPU %08x %08x %03x, engine %08x %08x %03x", name, in.eax, in.ecx,
		      (unsigned)(in.flags & CV_FLAGS_ARITH), want.eax, want.ecx, (unsigned)(want.flags & CV_FLAGS_ARITH), got.eax,
		      got.ecx, (unsigned)(got.flags & CV_FLAGS_ARITH));
	return got;
}

/* Random registers and flags, but AX and what of CF and AF is set. */
static struct regs with(uint16_t ax, unsigned cf_af)
{
	struct regs r = {.eax = (rnd() & 0xffff0000) | ax, .ecx = rnd(), .flags = 0x202 | (rnd() & CV_FLAGS_ARITH & ~(CF | AF))};

	r.flags |= (cf_af & 1 ? CF : 0) | (cf_af & 2 ? AF : 0);
	return r;
}

static const struct {
	const char *name;
	uint8_t code;
	uint64_t undefined;
} adjustments[] = {
	{"daa", 0x27, OF}, {"das", 0x2f, OF}, {"aaa", 0x37, OF | SF | ZF | PF}, {"aas", 0x3f, OF | SF | ZF | PF},
};

START_TEST(decimal_adjustment_of_every_operand_equals_host)
{
	static const uint8_t high[] = {0, 1, 0x7f, 0x80, 0xff, 9};

	use(&adjustments[_i].code, 1);
	for (unsigned cf_af = 0; cf_af < 4; cf_af++)
		for (unsigned al = 0; al < 256; al++)
			for (unsigned h = 0; h < sizeof(high); h++)
				same(adjustments[_i].name, with((uint16_t)(high[h] << 8 | al), cf_af), adjustments[_i].undefined);
}
END_TEST

START_TEST(aam_every_operand_equals_host)
{
	for (unsigned base = 1; base < 256; base++) {
		uint8_t code[] = {0xd4, (uint8_t)base};

		use(code, 2);
		for (unsigned al = 0; al < 256; al++) {
			struct regs r = same("aam", with((uint16_t)(rnd() << 8 | al), rnd() & 3), OF | AF | CF);

			ck_assert_uint_eq(r.eax & 0xffff, al / base << 8 | al % base);
		}
	}
}
END_TEST

START_TEST(aad_every_operand_equals_host)
{
	for (unsigned base = 0; base < 256; base++) {
		uint8_t code[] = {0xd5, (uint8_t)base};

		use(code, 2);
		for (unsigned al = 0; al < 256; al++) {
			uint8_t ah = (uint8_t)rnd();
			struct regs r = same("aad", with((uint16_t)(ah << 8 | al), rnd() & 3), OF | AF | CF);

			ck_assert_uint_eq(r.eax & 0xffff, (al + ah * base) & 0xff);
		}
	}
}
END_TEST

START_TEST(aam_by_zero_is_divide_error)
{
	static const uint8_t code[] = {0xd4, 0};
	struct regs r = {.eax = 0x1234, .flags = 0x202};

	put(CODE, code, 2);
	ck_assert_int_eq(run_engine(&r), EXC_DE);
	ck_assert_uint_eq(r.eax, 0x1234);
}
END_TEST

/* Sums and differences of two packed decimal numbers, each adjusted: what the instructions are for. */
START_TEST(daa_and_das_give_decimal_sums)
{
	for (unsigned a = 0; a < 100; a++) {
		for (unsigned b = 0; b < 100; b++) {
			uint8_t add[] = {0x00, 0xc8}, sub[] = {0x28, 0xc8}; /* AL, CL */
			struct regs r = {.eax = a / 10 << 4 | a % 10, .ecx = b / 10 << 4 | b % 10, .flags = 0x202}, d = r;
			unsigned sum = a + b, difference = (a + 100 - b) % 100;

			put(CODE, add, 2);
			ck_assert_int_eq(run_engine(&r), -1);
			put(CODE, &adjustments[0].code, 1);
			ck_assert_int_eq(run_engine(&r), -1);
			ck_assert_uint_eq(r.eax, (sum / 10 % 10) << 4 | sum % 10);
			ck_assert_int_eq(!!(r.flags & CF), sum > 99);
			put(CODE, sub, 2);
			ck_assert_int_eq(run_engine(&d), -1);
			put(CODE, &adjustments[1].code, 1);
			ck_assert_int_eq(run_engine(&d), -1);
			ck_assert_uint_eq(d.eax, difference / 10 << 4 | difference % 10);
			ck_assert_int_eq(!!(d.flags & CF), a < b);
		}
	}
}
END_TEST

/* SALC isn't in the manuals, and every processor has it. */
static const struct {
	const char *name;
	uint8_t code[3];
	unsigned n;
} others[] = {
	{"salc", {0xd6}, 1}, {"inc eax", {0x40}, 1}, {"dec eax", {0x48}, 1}, {"inc ax", {0x66, 0x40}, 2}, {"dec ax", {0x66, 0x48}, 2},
	{"arpl", {0x63, 0xc8}, 2}, {"82 /0", {0x82, 0xc0, 0x7f}, 3}, {"82 /2", {0x82, 0xd0, 0x80}, 3}, {"82 /7", {0x82, 0xf8, 0x01}, 3},
	{"bswap ax", {0x66, 0x0f, 0xc8}, 3},
};

START_TEST(code32_row_random_equals_host)
{
	static const uint32_t edges[] = {0, 1, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff};

	if (others[_i].code[1] == 0x0f && !host_is_intel())
		return;
	use(others[_i].code, others[_i].n);
	for (unsigned k = 0; k < 1000; k++) {
		struct regs r = with(0, rnd() & 3);

		r.eax = k & 1 ? rnd() : edges[rnd() & 7];
		same(others[_i].name, r, 0);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("decimal");
	TCase *t = tcase_create("code32");
	SRunner *r;
	int failed;

	tcase_add_unchecked_fixture(t, setup, NULL);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, decimal_adjustment_of_every_operand_equals_host, 0, sizeof(adjustments) / sizeof(adjustments[0]));
	tcase_add_test(t, aam_every_operand_equals_host);
	tcase_add_test(t, aad_every_operand_equals_host);
	tcase_add_test(t, aam_by_zero_is_divide_error);
	tcase_add_test(t, daa_and_das_give_decimal_sums);
	tcase_add_loop_test(t, code32_row_random_equals_host, 0, sizeof(others) / sizeof(others[0]));
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
