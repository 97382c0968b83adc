/* SPDX-License-Identifier: MIT */
/*
 * What the manuals leave undefined, on an Intel host: every count of every shift and rotate, products, quotients, bit
 * operations, and prefixes that an instruction ignores, against the host's CPU with nothing left out. The table that says what is
 * taken for what is docs/undefined-results.md. Another maker's host has nothing to say here.
 */
#include "fp_compare.h"
#include "fp_fixture.h"
#include "fp_operands.h"
#include "host_vendor.h"

static unsigned cases, bad;

static uint64_t value(void)
{
	static const uint64_t v[] = {0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
				     0x7fffffffffffffff, 0x8000000000000000, UINT64_MAX};

	return below(3) ? rnd() : v[below(sizeof(v) / sizeof(v[0]))];
}

static void print(const char *who, const struct image *m)
{
	printf("  %s: vec %d rax %llx rcx %llx rdx %llx flags %03x\n", who, (int)m->vector, (unsigned long long)m->rax,
	       (unsigned long long)m->rcx, (unsigned long long)m->rdx, (unsigned)(m->flags & ARITH));
}

/* Both from `in`, [RDI] = operand; flags: those that count. */
static void compare(const uint8_t *code, unsigned n, const struct image *in, const uint64_t operand[2], uint64_t flags)
{
	struct test t = {.len = n};
	uint64_t native_data[2], guest_data[2];
	struct image a = *in, b = *in;

	memcpy(t.code, code, n);
	set_code(&t);
	memcpy((void *)OPERAND, operand, 16);
	put(OPERAND, operand, 16);
	run_native(&a);
	memcpy(native_data, (void *)OPERAND, 16);
	run_guest(&b);
	ck_assert_uint_eq(cv_memory_read(&mem, OPERAND, guest_data, 16), 16);
	cases++;
	if (a.vector == b.vector && a.rax == b.rax && a.rcx == b.rcx && a.rdx == b.rdx && a.rsi == b.rsi && a.rdi == b.rdi &&
	    !((a.flags ^ b.flags) & flags) && !memcmp(native_data, guest_data, 16))
		return;
	if (bad++ > 4)
		return;
	show_code(&t);
	printf(" operand %llx -> %llx, %llx\n", (unsigned long long)operand[0], (unsigned long long)native_data[0],
	       (unsigned long long)guest_data[0]);
	print("in    ", in);
	print("native", &a);
	print("guest ", &b);
}

static void random_integers(struct image *m, uint64_t operand[2])
{
	random_image(m, AS_INT);
	m->rax = value();
	m->rcx = value();
	m->rdx = value();
	operand[0] = value();
	operand[1] = value();
}

enum { BY_IMM, BY_1, BY_CL, WAYS };

/* Prefixes for an operand of 1 << size bytes; the opcode's low bit is for sizes above 0. */
static unsigned size_prefix(uint8_t *code, unsigned size)
{
	if (size == 1)
		code[0] = 0x66;
	if (size == 3)
		code[0] = 0x48;
	return size == 1 || size == 3;
}

/* One shift or rotate; reg 0 is RAX, else memory. */
static void check_shift(unsigned digit, unsigned size, unsigned way, unsigned count, bool memory)
{
	static const uint8_t opcodes[WAYS] = {0xc0, 0xd0, 0xd2};
	uint64_t operand[2];
	uint8_t code[8];
	unsigned n = size_prefix(code, size);
	struct image in;

	random_integers(&in, operand);
	if (way == BY_CL)
		in.rcx = (in.rcx & ~0xffull) | count;
	code[n++] = opcodes[way] | (size > 0);
	code[n++] = (uint8_t)((memory ? 7 : 0xc0) | digit << 3);
	if (way == BY_IMM)
		code[n++] = (uint8_t)count;
	compare(code, n, &in, operand, ARITH);
}

START_TEST(shift_every_count_equals_host)
{
	if (!intel)
		return;
	for (unsigned size = 0; size < 4; size++)
		for (unsigned way = 0; way < WAYS; way++)
			for (unsigned count = 0; count < (way == BY_1 ? 1 : 256); count++)
				for (unsigned k = 0; k < (way == BY_1 ? 100 : count < 64 ? 8 : 2); k++)
					check_shift((unsigned)_i, size, way, count, k & 1);
	ck_assert_uint_gt(cases, 4000);
	ck_assert_uint_eq(bad, 0);
}
END_TEST

START_TEST(double_shift_every_count_equals_host)
{
	static const uint8_t opcodes[] = {0xa4, 0xa5, 0xac, 0xad};

	if (!intel)
		return;
	for (unsigned size = 1; size < 4; size++) {
		for (unsigned count = 0; count < 256; count++) {
			for (unsigned k = 0; k < (count < 64 ? 16 : 2); k++) {
				uint64_t operand[2];
				uint8_t code[8];
				unsigned n = size_prefix(code, size);
				struct image in;

				random_integers(&in, operand);
				code[n++] = 0x0f;
				code[n++] = opcodes[_i];
				code[n++] = k & 1 ? 0x17 : 0xd0; /* [RDI] or RAX, RDX */
				if (opcodes[_i] & 1)
					in.rcx = (in.rcx & ~0xffull) | count;
				else
					code[n++] = (uint8_t)count;
				compare(code, n, &in, operand, ARITH);
			}
		}
	}
	ck_assert_uint_gt(cases, 3000);
	ck_assert_uint_eq(bad, 0);
}
END_TEST

/* Operands RAX, RDX and so on, or [RDI]; immediates follow as they may. */
static const struct {
	const char *name;
	uint8_t code[8];
	unsigned n;
} rows[] = {
	{"mul al, cl", {0xf6, 0xe1}, 2}, {"mul cx", {0x66, 0xf7, 0xe1}, 3}, {"mul ecx", {0xf7, 0xe1}, 2},
	{"mul rcx", {0x48, 0xf7, 0xe1}, 3}, {"mul [rdi]", {0x48, 0xf7, 0x27}, 3},
	{"imul al, cl", {0xf6, 0xe9}, 2}, {"imul cx", {0x66, 0xf7, 0xe9}, 3}, {"imul ecx", {0xf7, 0xe9}, 2},
	{"imul rcx", {0x48, 0xf7, 0xe9}, 3}, {"imul [rdi]", {0x66, 0xf7, 0x2f}, 3},
	{"imul ax, cx", {0x66, 0x0f, 0xaf, 0xc1}, 4}, {"imul eax, ecx", {0x0f, 0xaf, 0xc1}, 3}, {"imul rax, [rdi]", {0x48, 0x0f, 0xaf, 0x07}, 4},
	{"imul ax, cx, iw", {0x66, 0x69, 0xc1, 0xfe, 0x80}, 5}, {"imul eax, ecx, id", {0x69, 0xc1, 1, 0x80, 0, 0xf0}, 6},
	{"imul rax, rcx, id", {0x48, 0x69, 0xc1, 1, 0x80, 0, 0xf0}, 7}, {"imul rax, [rdi], ib", {0x48, 0x6b, 0x07, 0xfd}, 4},
	{"bt cx, ax", {0x66, 0x0f, 0xa3, 0xc1}, 4}, {"bts ecx, eax", {0x0f, 0xab, 0xc1}, 3}, {"btr rcx, rax", {0x48, 0x0f, 0xb3, 0xc1}, 4},
	{"btc ecx, eax", {0x0f, 0xbb, 0xc1}, 3}, {"bt [rdi], ib", {0x0f, 0xba, 0x27, 0xff}, 4}, {"bts [rdi], ib", {0x48, 0x0f, 0xba, 0x2f, 0x3f}, 5},
	{"btr [rdi], ib", {0x66, 0x0f, 0xba, 0x37, 0x0f}, 5}, {"btc rcx, ib", {0x48, 0x0f, 0xba, 0xf9, 0x80}, 5},
	{"bsf ax, cx", {0x66, 0x0f, 0xbc, 0xc1}, 4}, {"bsf eax, ecx", {0x0f, 0xbc, 0xc1}, 3}, {"bsf rax, [rdi]", {0x48, 0x0f, 0xbc, 0x07}, 4},
	{"bsr ax, cx", {0x66, 0x0f, 0xbd, 0xc1}, 4}, {"bsr eax, ecx", {0x0f, 0xbd, 0xc1}, 3}, {"bsr rax, [rdi]", {0x48, 0x0f, 0xbd, 0x07}, 4},
	{"repne bsf", {0xf2, 0x0f, 0xbc, 0xc1}, 4}, {"repne bsr", {0xf2, 0x0f, 0xbd, 0xc1}, 4},
	{"bsf eax, [rdi]", {0x0f, 0xbc, 0x07}, 3}, {"bsr eax, [rdi]", {0x0f, 0xbd, 0x07}, 3},
	{"popcnt ax, cx", {0x66, 0xf3, 0x0f, 0xb8, 0xc1}, 5}, {"popcnt eax, ecx", {0xf3, 0x0f, 0xb8, 0xc1}, 4},
	{"popcnt rax, rcx", {0xf3, 0x48, 0x0f, 0xb8, 0xc1}, 5}, {"f3 66 popcnt", {0xf3, 0x66, 0x0f, 0xb8, 0xc1}, 5},
	{"bswap ax", {0x66, 0x0f, 0xc8}, 3}, {"bswap dx", {0x66, 0x0f, 0xca}, 3}, {"66 bswap rax", {0x66, 0x48, 0x0f, 0xc8}, 4},
	{"and", {0x21, 0xc8}, 2}, {"or", {0x66, 0x09, 0xc8}, 3}, {"xor", {0x30, 0xc8}, 2}, {"test", {0x48, 0x85, 0xc8}, 3},
	{"and al, ib", {0x24, 0xf8}, 2}, {"test [rdi], ib", {0xf6, 0x07, 0x88}, 3}, {"not", {0xf7, 0xd1}, 2},
	{"cmpxchg cx, ax", {0x66, 0x0f, 0xb1, 0xc1}, 4}, {"cmpxchg ecx, edx", {0x0f, 0xb1, 0xd1}, 3}, {"cmpxchg [rdi], cl", {0x0f, 0xb0, 0x0f}, 3},
	{"xadd ecx, eax", {0x0f, 0xc1, 0xc1}, 3}, {"xadd [rdi], rax", {0x48, 0x0f, 0xc1, 0x07}, 4},
	{"loop +0", {0xe2, 0}, 2}, {"loope +0", {0xe1, 0}, 2}, {"loopne +0", {0xe0, 0}, 2}, {"jecxz +0", {0x67, 0xe3, 0}, 3},
	{"67 loop +0", {0x67, 0xe2, 0}, 3},
	{"cbw", {0x66, 0x98}, 2}, {"cqo", {0x48, 0x99}, 2}, {"lahf", {0x9f}, 1}, {"sahf", {0x9e}, 1}, {"66 sahf", {0x66, 0x9e}, 2},
	{"40 66 mov", {0x48, 0x66, 0x89, 0xc8}, 4}, {"66 mov al", {0x66, 0x88, 0xc8}, 3},
	{"f2 add", {0xf2, 0x01, 0xc8}, 3}, {"f3 sub", {0xf3, 0x29, 0xc8}, 3}, {"26 add", {0x26, 0x48, 0x03, 0x07}, 4},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

START_TEST(undefined_row_random_equals_host)
{
	if (!intel)
		return;
	seed += (unsigned)_i * 7919u;
	for (unsigned k = 0; k < 1000; k++) {
		uint64_t operand[2];
		struct image in;

		random_integers(&in, operand);
		if (k % 8 == 0) /* CMPXCHG finds what it compares */
			operand[0] = in.rcx = in.rax;
		compare(rows[_i].code, rows[_i].n, &in, operand, ARITH);
	}
	ck_assert_uint_eq(cases, 1000);
	ck_assert_msg(bad == 0, "%s differs from the CPU", rows[_i].name);
}
END_TEST

START_TEST(division_flags_equal_host)
{
	static const uint8_t code[][4] = {{0xf6, 0xf1}, {0x66, 0xf7, 0xf1}, {0xf7, 0xf1}, {0x48, 0xf7, 0xf1},
					  {0xf6, 0xf9}, {0x66, 0xf7, 0xf9}, {0xf7, 0xf9}, {0x48, 0xf7, 0xf9}};
	static const unsigned len[] = {2, 3, 2, 3};
	unsigned ran = 0;

	if (!intel)
		return;
	for (unsigned k = 0; k < 8 * 500; k++) {
		uint64_t operand[2];
		struct image in;

		random_integers(&in, operand);
		in.rdx = below(2) ? 0 : below(2) ? in.rdx & 0xff : UINT64_MAX;
		if (k % 8 % 4 == 0)
			in.rax &= 0x3ff;
		compare(code[k % 8], len[k % 4], &in, operand, host_div_keeps_flags() ? ARITH : 0);
		ran++;
	}
	ck_assert_uint_eq(ran, 4000);
	ck_assert_uint_eq(bad, 0);
}
END_TEST

static void setup(void)
{
	make_engine();
	if (!intel)
		printf("left out: all of it; the host isn't Intel's\n");
	else if (!host_div_keeps_flags())
		printf("left out: flags after DIV and IDIV, which this CPU's divider changes\n");
}

static void reset(void)
{
	cases = bad = 0;
}

int main(void)
{
	Suite *s = suite_create("undefined");
	TCase *t = tcase_create("host");
	SRunner *r;
	int failed;

	tcase_add_unchecked_fixture(t, setup, NULL);
	tcase_add_checked_fixture(t, reset, NULL);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, shift_every_count_equals_host, 0, 8);
	tcase_add_loop_test(t, double_shift_every_count_equals_host, 0, 4);
	tcase_add_loop_test(t, undefined_row_random_equals_host, 0, ROWS);
	tcase_add_test(t, division_flags_equal_host);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
