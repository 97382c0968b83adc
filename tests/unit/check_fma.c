/* SPDX-License-Identifier: MIT */
/*
 * Fused multiply-add: the definition on integers by known cases and, where the host has FMA, bit for bit with its flags on
 * millions of operands with every rounding, DAZ and FTZ; and each instruction from random states with all masks.
 */
#include "fp_compare.h"
#include "fp_fixture.h"
#include "vmm-core/soft/element.h"

static bool host_has_fma;

static void ready(void)
{
	host_has_fma = make_avx_engine() && __builtin_cpu_supports("fma");
	if (!host_has_fma)
		printf("left out: comparisons of FMA, which this CPU lacks\n");
}

/* --- The definition --- */

START_TEST(fma_known_case_is_as_ieee_754_and_sdm_say)
{
	static const struct {
		uint32_t x, y, z, mxcsr, bits, flags;
	} c[] = {
		/* one rounding: (1 + 2^-23)^2 - (1 + 2^-22) = 2^-46 */
		{0x3f800001, 0x3f800001, 0xbf800002, 0x1f80, 0x28800000, 0},
		/* exact zero: +0, but -0 rounding down; a sum of equal signs keeps its sign */
		{0x3f800000, 0x3f800000, 0xbf800000, 0x1f80, 0, 0},
		{0x3f800000, 0x3f800000, 0xbf800000, 0x3f80, 0x80000000, 0},
		{0x80000000, 0x3f800000, 0x80000000, 0x1f80, 0x80000000, 0},
		/* 0 * inf is invalid, unless the addend is a NaN that is quiet */
		{0, 0x7f800000, 0x3f800000, 0x1f80, 0xffc00000, 1},
		{0, 0x7f800000, 0x7fc00001, 0x1f80, 0x7fc00001, 0},
		{0, 0x7f800000, 0x7f800001, 0x1f80, 0x7fc00001, 1},
		{0x3f800000, 0x7f800000, 0xff800000, 0x1f80, 0xffc00000, 1},
		/* NaNs: x before y before z */
		{0x7fc00001, 0xffc00002, 0x7f800003, 0x1f80, 0x7fc00001, 1},
		{0x3f800000, 0xffc00002, 0x7fc00003, 0x1f80, 0xffc00002, 0},
		/* denormal: a flag unless invalid; zero with DAZ */
		{1, 0x3f800000, 0, 0x1f80, 1, 2},
		{1, 0x3f800000, 0, 0x1fc0, 0, 0},
		{1, 0x7f800000, 0xff800000, 0x1f80, 0xffc00000, 1},
		/* tiny: exact without a flag; inexact; with FTZ; rounded up to the smallest normal; UE not masked */
		{0x00800000, 0x3f000000, 0, 0x1f80, 0x00400000, 0},
		{0x00800001, 0x3f000000, 0, 0x1f80, 0x00400000, 0x30},
		{0x80800001, 0x3f000000, 0, 0x9f80, 0x80000000, 0x30},
		{0x00ffffff, 0x3f000000, 0, 0x1f80, 0x00800000, 0x30},
		/* overflow: to infinity, to the largest */
		{0x7f7fffff, 0x40000000, 0, 0x1f80, 0x7f800000, 0x28},
		{0x7f7fffff, 0x40000000, 0, 0x3f80, 0x7f7fffff, 0x28},
		{0xff7fffff, 0x40000000, 0, 0x3f80, 0xff800000, 0x28},
		/* the smaller one only tips the balance */
		{0x3f800000, 0x3f800000, 0x00800000, 0x5f80, 0x3f800001, 0x20},
		{0x3f800000, 0x3f800000, 0x80800000, 0x7f80, 0x3f7fffff, 0x20},
		{0x00800000, 0x00800000, 0xbf800000, 0x5f80, 0xbf7fffff, 0x20},
	};

	for (unsigned k = 0; k < sizeof(c) / sizeof(c[0]); k++) {
		struct rounded r = soft_fma32(c[k].x, c[k].y, c[k].z, 0, c[k].mxcsr);

		ck_assert_msg(r.bits == c[k].bits && r.flags == c[k].flags, "%u: %08x, %02x", k, (unsigned)r.bits, r.flags);
	}
}
END_TEST

START_TEST(fma_unmasked_overflow_and_underflow_say_what_they_met)
{
	ck_assert_uint_eq(soft_fma32(0x00800000, 0x3f000000, 0, 0, 0x1780).flags, 0x10); /* exact */
	ck_assert_uint_eq(soft_fma32(0x00800001, 0x3f800001, 0, 0, 0x1780).flags, 0x20); /* not tiny */
	ck_assert_uint_eq(soft_fma32(0x00800001, 0x3f000001, 0, 0, 0x1780).flags, 0x30);
	ck_assert_uint_eq(soft_fma32(0x7f000000, 0x40000000, 0, 0, 0x1b80).flags, 0x08);
	ck_assert_uint_eq(soft_fma32(0x7f7fffff, 0x40000001, 0, 0, 0x1b80).flags, 0x28);
}
END_TEST

/* The host's: the product's and the addend's sign by instruction. */
#define HOST_FMA(type, suffix, move) \
	static struct rounded host_##suffix(type x, type y, type z, unsigned negate, uint32_t mxcsr) \
	{ \
		uint32_t after, usual = 0x1f80; \
		type r = 0; \
\
		__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr)); \
		switch (negate) { \
		HOST_CASE(0, "vfmadd213" #suffix, move) \
		HOST_CASE(1, "vfnmadd213" #suffix, move) \
		HOST_CASE(2, "vfmsub213" #suffix, move) \
		default: \
		HOST_CASE(3, "vfnmsub213" #suffix, move) \
		} \
		__asm__ volatile("stmxcsr %0\n\tldmxcsr %1" : "=m"(after) : "m"(usual)); \
		return (struct rounded){r, after & 0x3f}; \
	}
#define HOST_CASE(n, insn, move) \
	case n: \
		__asm__ volatile(move " %1, %%xmm1\n\t" move " %2, %%xmm0\n\t" move " %3, %%xmm2\n\t" insn \
				 " %%xmm2, %%xmm1, %%xmm0\n\t" move " %%xmm0, %0" \
				 : "=r"(r) : "r"(x), "r"(y), "r"(z) : "xmm0", "xmm1", "xmm2"); \
		break;
HOST_FMA(uint32_t, ss, "vmovd")
HOST_FMA(uint64_t, sd, "vmovq")

/* An addend near the product's negative. */
static uint32_t near32(uint32_t x, uint32_t y)
{
	float a, b;

	memcpy(&a, &x, 4);
	memcpy(&b, &y, 4);
	a = -a * b;
	memcpy(&x, &a, 4);
	return x + below(5) - 2;
}
static uint64_t near64(uint64_t x, uint64_t y)
{
	double a, b;

	memcpy(&a, &x, 8);
	memcpy(&b, &y, 8);
	a = -a * b;
	memcpy(&x, &a, 8);
	return x + below(5) - 2;
}

/* Which of several NaNs, and whether 0 * inf with one is invalid, is each maker's choice. */
static bool is_nan(uint64_t v, unsigned size)
{
	return is_nan_lane((const uint8_t *)&v, size);
}

static void same(const char *what, struct rounded a, struct rounded b, uint64_t x, uint64_t y, uint64_t z, unsigned negate,
		 uint32_t mxcsr)
{
	unsigned size = !strcmp(what, "single") ? 4 : 8;

	if (!intel && (is_nan(x, size) || is_nan(y, size) || is_nan(z, size)))
		return;
	if (unlikely(a.bits != b.bits || a.flags != b.flags))
		ck_abort_msg("%s %u mxcsr %04x: %016llx %016llx %016llx: host %016llx %02x, soft %016llx %02x", what, negate, mxcsr,
			     (unsigned long long)x, (unsigned long long)y, (unsigned long long)z, (unsigned long long)a.bits,
			     a.flags, (unsigned long long)b.bits, b.flags);
}

/* CHECK_FMA_MILLIONS: how many of each; a few by default. */
START_TEST(fma_definition_equals_host)
{
	const char *told = getenv("CHECK_FMA_MILLIONS");
	unsigned long n = (told ? strtoul(told, NULL, 10) : 4) * 1000000;

	for (unsigned long k = 0; host_has_fma && k < n; k++) {
		uint32_t mxcsr = 0x1f80 | (uint32_t)(rnd() & 0xe040), x = single(), y = single();
		uint32_t z = below(4) ? single() : near32(x, y);
		uint64_t p = twice(), q = twice(), r = below(4) ? twice() : near64(p, q);
		unsigned negate = k & 3;

		same("single", host_ss(x, y, z, negate, mxcsr), soft_fma32(x, y, z, negate, mxcsr), x, y, z, negate, mxcsr);
		same("double", host_sd(p, q, r, negate, mxcsr), soft_fma64(p, q, r, negate, mxcsr), p, q, r, negate, mxcsr);
	}
	ck_assert_uint_eq(soft_fma64(0x4000000000000000, 0x4008000000000000, 0x3ff0000000000000, 0, 0x1f80).bits, 0x401c000000000000);
}
END_TEST

/* --- The instructions --- */

START_TEST(fma_every_instruction_equals_host)
{
	static const uint8_t forms[] = {0xd1, 0xd2, 0x17}, sources[] = {3, 2, 1};

	bool compare = host_has_fma && intel;

	if (!compare)
		printf("left out: FMA's instructions, whose choice of NaNs is Intel's\n");
	for (unsigned opcode = 0x96; compare && opcode <= 0xbf; opcode++) {
		for (unsigned k = 0; k < 4 * 3 * 3; k++) {
			unsigned wl = k & 3, form = k / 4 % 3, source = k / 12;
			uint8_t code[15] = {0xc4, 0xe2, (uint8_t)((wl & 2) << 6 | (~sources[source] & 15) << 3 | (wl & 1) << 2 | 1),
					    (uint8_t)opcode, forms[form]};

			check(code, sizeof(code));
		}
	}
	ck_assert_uint_ge(tests, compare ? 36 * 30 : 0);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("FMA");
	TCase *t = tcase_create("FMA");
	SRunner *r;
	int failed;

	tcase_add_unchecked_fixture(t, ready, NULL);
	tcase_add_checked_fixture(t, reset_counts, NULL);
	tcase_set_timeout(t, 0);
	tcase_add_test(t, fma_known_case_is_as_ieee_754_and_sdm_say);
	tcase_add_test(t, fma_unmasked_overflow_and_underflow_say_what_they_met);
	tcase_add_test(t, fma_definition_equals_host);
	tcase_add_test(t, fma_every_instruction_equals_host);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
