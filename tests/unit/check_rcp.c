/* SPDX-License-Identifier: MIT */
/*
 * RCP and RSQRT: the definition's values are known by digest on every host; they are Intel's own where the host is Intel's;
 * and the instructions give them, through the engine, with any MXCSR.
 */
#include "fp_compare.h"
#include "fp_fixture.h"
#include "vmm-core/soft/element.h"

static uint32_t host_rcp(uint32_t x)
{
	__asm__ volatile("movd %0, %%xmm0; rcpss %%xmm0, %%xmm0; movd %%xmm0, %0" : "+r"(x) : : "xmm0");
	return x;
}

static uint32_t host_rsqrt(uint32_t x)
{
	__asm__ volatile("movd %0, %%xmm0; rsqrtss %%xmm0, %%xmm0; movd %%xmm0, %0" : "+r"(x) : : "xmm0");
	return x;
}

/* FNV-1a over words: of every significand with one exponent. */
static uint64_t digest(uint32_t (*f)(uint32_t), uint32_t base)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (uint32_t m = 0; m < 1u << 23; m++)
		h = (h ^ f(base | m)) * 0x100000001b3ull;
	return h;
}

START_TEST(rcp_every_significand_has_known_digest)
{
	static const struct {
		uint32_t (*f)(uint32_t);
		uint32_t base;
		uint64_t digest;
	} rows[] = {
		{soft_rcp32, 0x3f800000, 0x5fc0454d9f4c2325},
		{soft_rsqrt32, 0x3f800000, 0x84a6989d41be2325},
		{soft_rsqrt32, 0x40000000, 0x20e3a6cedca62325},
	};

	for (unsigned k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
		uint64_t d = digest(rows[k].f, rows[k].base);

		ck_assert_msg(d == rows[k].digest, "row %u: %016llx", k, (unsigned long long)d);
	}
}
END_TEST

START_TEST(rcp_every_significand_equals_host)
{
	static const uint32_t bases[] = {0, 0x00800000, 0x3f800000, 0x40000000, 0x7e000000, 0x7e800000, 0x7f000000, 0x7f800000};

	if (!intel) {
		printf("left out: the host's RCP and RSQRT, which aren't Intel's\n");
		return;
	}
	for (unsigned k = 0; k < sizeof(bases) / sizeof(bases[0]); k++) {
		for (uint32_t m = 0; m < 1u << 23; m++) {
			uint32_t x = bases[k] | m | (m * 0x9e3779b9u & 0x80000000u);

			if (unlikely(soft_rcp32(x) != host_rcp(x) || soft_rsqrt32(x) != host_rsqrt(x)))
				ck_abort_msg("%08x: rcp %08x, host %08x; rsqrt %08x, host %08x", x, soft_rcp32(x), host_rcp(x),
					     soft_rsqrt32(x), host_rsqrt(x));
		}
	}
}
END_TEST

START_TEST(rcp_any_operand_equals_host)
{
	for (unsigned k = 0; intel && k < 20000000; k++) {
		uint32_t x = (uint32_t)rnd();

		if (unlikely(soft_rcp32(x) != host_rcp(x) || soft_rsqrt32(x) != host_rsqrt(x)))
			ck_abort_msg("%08x", x);
	}
	ck_assert_uint_eq(soft_rcp32(0x3f800000), 0x3f7ff000);
}
END_TEST

/* SDM 2, RCPPS and RSQRTPS: a relative error of at most 1.5 * 2^-12. */
START_TEST(rcp_normal_operand_is_within_bound)
{
	for (uint32_t x = 0x3f800000; x < 0x40800000; x += 17) {
		uint32_t r = soft_rcp32(x), q = soft_rsqrt32(x);
		double v, a, b;
		float f;

		memcpy(&f, &x, 4);
		v = f;
		memcpy(&f, &r, 4);
		a = f * v - 1;
		memcpy(&f, &q, 4);
		b = (double)f * f * v - 1; /* (1 + e)^2 - 1 */
		ck_assert(a < 0x1.8p-12 && a > -0x1.8p-12);
		ck_assert(b < 0x1.8p-11 && b > -0x1.8p-11);
	}
}
END_TEST

START_TEST(rcp_special_operand_is_as_documented)
{
	static const uint32_t cases[][3] = { /* x, 1/x, 1/sqrt(x) */
		{0, 0x7f800000, 0x7f800000}, {0x80000000, 0xff800000, 0xff800000}, {1, 0x7f800000, 0x7f800000},
		{0x807fffff, 0xff800000, 0xff800000}, {0x7f800000, 0, 0}, {0xff800000, 0x80000000, 0xffc00000},
		{0x7f800001, 0x7fc00001, 0x7fc00001}, {0xffc12345, 0xffc12345, 0xffc12345},
		{0xbf800000, 0xbf7ff000, 0xffc00000}, {0x3f800000, 0x3f7ff000, 0x3f7ff000}, {0x40000000, 0x3efff000, 0x3f34f800},
		{0x7e7fffff, 0x00800800, 0x20000800}, {0x7e800000, 0, 0x1ffff000}, {0xfe800000, 0x80000000, 0xffc00000},
		{0x7f7fffff, 0, 0x1f800800}, {0x00800000, 0x7e7ff000, 0x5efff000},
	};

	for (unsigned k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
		ck_assert_uint_eq(soft_rcp32(cases[k][0]), cases[k][1]);
		ck_assert_uint_eq(soft_rsqrt32(cases[k][0]), cases[k][2]);
	}
}
END_TEST

/* The instruction from a random state: which lanes it writes, and MXCSR neither asked nor touched. */
static void check_instruction(unsigned prefix, unsigned opcode, unsigned elements, uint32_t (*f)(uint32_t))
{
	struct image in, out;
	uint8_t code[15];
	unsigned n = 0;
	struct test t;

	if (prefix)
		code[n++] = (uint8_t)prefix;
	code[n++] = 0x0f;
	code[n++] = (uint8_t)opcode;
	code[n++] = 0xd1; /* xmm2, xmm1 */
	ck_assert(make_test(&t, code, n));
	put(CODE, t.code, t.len);
	random_image(&in, AS_SINGLE);
	out = in;
	run_guest(&out);
	ck_assert_int_eq(out.vector, -1);
	ck_assert_mem_eq(out.fx + 24, in.fx + 24, 4);
	for (unsigned k = 0; k < 4; k++) {
		uint32_t was, x, y;

		memcpy(&was, in.fx + 160 + 32 + 4 * k, 4);
		memcpy(&x, in.fx + 160 + 16 + 4 * k, 4);
		memcpy(&y, out.fx + 160 + 32 + 4 * k, 4);
		ck_assert_uint_eq(y, k < elements ? f(x) : was);
	}
}

START_TEST(rcp_instruction_writes_its_elements)
{
	for (unsigned k = 0; k < 2000; k++) {
		check_instruction(0, 0x53, 4, soft_rcp32);
		check_instruction(0xf3, 0x53, 1, soft_rcp32);
		check_instruction(0, 0x52, 4, soft_rsqrt32);
		check_instruction(0xf3, 0x52, 1, soft_rsqrt32);
	}
}
END_TEST

/* The VEX form from a random state: xmm2 or ymm2 from xmm3 (scalars: the rest) and xmm1, or from memory. */
static void check_vex(bool scalar, bool wide, bool memory, unsigned opcode, uint32_t (*f)(uint32_t))
{
	uint8_t code[] = {0xc5, (uint8_t)(0x80 | (scalar ? ~3u & 15 : 15u) << 3 | (wide ? 4 : 0) | (scalar ? 2 : 0)), (uint8_t)opcode,
			  memory ? 0x17 : 0xd1};
	unsigned computed = scalar ? 1 : wide ? 8 : 4;
	uint32_t from[8], rest[4], x[8];
	struct image in, out;

	put(CODE, code, sizeof(code));
	random_image(&in, AS_SINGLE);
	random_high(&in, AS_SINGLE);
	memcpy(from, in.fx + 160 + 16, 16);
	memcpy(from + 4, in.high[1], 16);
	memcpy(rest, in.fx + 160 + 48, 16);
	if (memory) {
		for (unsigned k = 0; k < 8; k++)
			from[k] = single();
		put(in.rdi, from, sizeof(from));
	}
	out = in;
	run_guest(&out);
	ck_assert_int_eq(out.vector, -1);
	ck_assert_mem_eq(out.fx + 24, in.fx + 24, 4);
	memcpy(x, out.fx + 160 + 32, 16);
	memcpy(x + 4, out.high[2], 16);
	for (unsigned k = 0; k < 8; k++)
		ck_assert_uint_eq(x[k], k < computed ? f(from[k]) : scalar && k < 4 ? rest[k] : 0);
}

START_TEST(rcp_vex_instruction_writes_whole_register)
{
	for (unsigned k = 0; k < 4000; k++) {
		check_vex(k & 1, k & 2, k & 4, 0x53, soft_rcp32);
		check_vex(k & 1, k & 2, k & 4, 0x52, soft_rsqrt32);
	}
}
END_TEST

static void ready(void)
{
	make_engine_of("chronovisor-v3");
}

int main(void)
{
	Suite *s = suite_create("rcp");
	TCase *t = tcase_create("rcp");
	SRunner *r;
	int failed;

	tcase_add_unchecked_fixture(t, ready, NULL);
	tcase_set_timeout(t, 300);
	tcase_add_test(t, rcp_every_significand_has_known_digest);
	tcase_add_test(t, rcp_every_significand_equals_host);
	tcase_add_test(t, rcp_any_operand_equals_host);
	tcase_add_test(t, rcp_normal_operand_is_within_bound);
	tcase_add_test(t, rcp_special_operand_is_as_documented);
	tcase_add_test(t, rcp_instruction_writes_its_elements);
	tcase_add_test(t, rcp_vex_instruction_writes_whole_register);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
