/* SPDX-License-Identifier: MIT */
/*
 * F16C: every half and every single's interesting neighbourhood by definition, and the instructions against the host's CPU
 * with all roundings and masks. A store that faults raises after #XM and leaves the flags.
 */
#include "fp_compare.h"
#include "fp_fixture.h"
#include "vmm-core/soft/element.h"

static bool host_has_f16c;

static void ready(void)
{
	host_has_f16c = make_avx_engine() && __builtin_cpu_supports("f16c");
	if (!host_has_f16c)
		printf("left out: comparisons of F16C, which this CPU lacks\n");
}

static double value_of_half(unsigned v)
{
	unsigned e = v >> 10 & 31, f = v & 0x3ff;
	double d = e ? (1024 + f) * 0x1p-25 : f * 0x1p-24;

	for (unsigned k = 1; e && k <= e; k++)
		d *= 2;
	return v & 0x8000 ? -d : d;
}

START_TEST(half_every_value_becomes_the_same_single)
{
	for (unsigned v = 0; v < 0x10000; v++) {
		struct rounded r = soft_half_to_single((uint16_t)v);
		uint32_t bits = (uint32_t)r.bits;
		float f;

		memcpy(&f, &bits, 4);
		if ((v & 0x7c00) != 0x7c00) {
			ck_assert_msg(f == value_of_half(v), "%04x: %08x", v, bits);
			ck_assert_uint_eq(bits >> 31, v >> 15);
			ck_assert_uint_eq(r.flags, 0);
		} else if (v & 0x3ff) {
			ck_assert_uint_eq(bits, (v & 0x8000) << 16 | 0x7fc00000 | (v & 0x3ff) << 13);
			ck_assert_uint_eq(r.flags, v & 0x200 ? 0 : 1);
		} else {
			ck_assert_uint_eq(bits, (v & 0x8000) << 16 | 0x7f800000);
		}
	}
}
END_TEST

/* Each finite half is met by its single; the middle between two goes to the even one, and its neighbours to theirs. */
START_TEST(half_nearest_single_is_rounded_to)
{
	for (unsigned v = 0; v < 0x7bff; v++) {
		uint32_t low = (uint32_t)soft_half_to_single((uint16_t)v).bits;
		uint32_t high = (uint32_t)soft_half_to_single((uint16_t)(v + 1)).bits, middle;
		float a, b, m;

		memcpy(&a, &low, 4);
		memcpy(&b, &high, 4);
		m = (a + b) / 2;
		memcpy(&middle, &m, 4);
		ck_assert_uint_eq(soft_single_to_half(low, 0x1f80).bits, v);
		ck_assert_uint_eq(soft_single_to_half(low, 0x1f80).flags, 0);
		ck_assert_uint_eq(soft_single_to_half(middle, 0x1f80).bits, v & 1 ? v + 1 : v);
		ck_assert_uint_eq(soft_single_to_half(middle - 1, 0x1f80).bits, v);
		ck_assert_uint_eq(soft_single_to_half(middle + 1, 0x1f80).bits, v + 1);
		ck_assert_uint_eq(soft_single_to_half(low + 1, 0x5f80).bits, v + 1);
		ck_assert_uint_eq(soft_single_to_half(high - 1, 0x3f80).bits, v);
		ck_assert_uint_eq(soft_single_to_half(middle, 0x1f80).flags, v < 0x400 ? 0x30 : 0x20);
	}
	ck_assert_uint_eq(soft_single_to_half(0x477fefff, 0x1f80).bits, 0x7bff);
	ck_assert_uint_eq(soft_single_to_half(0x477ff000, 0x1f80).bits, 0x7c00);
	ck_assert_uint_eq(soft_single_to_half(0x477ff000, 0x1f80).flags, 0x28);
	ck_assert_uint_eq(soft_single_to_half(0x7f7fffff, 0x7f80).bits, 0x7bff);
}
END_TEST

/* 1.5 * 2^-15 is a denormal half, exact: FTZ doesn't touch it, but unmasked underflow is met. */
START_TEST(half_denormal_result_knows_masks_but_not_ftz)
{
	ck_assert_uint_eq(soft_single_to_half(0x38400000, 0x9f80).bits, 0x0300);
	ck_assert_uint_eq(soft_single_to_half(0x38400000, 0x9f80).flags, 0);
	ck_assert_uint_eq(soft_single_to_half(0x38400000, 0x1780).flags, 0x10);
	ck_assert_uint_eq(soft_single_to_half(1, 0x1f80).flags, 0x32);
	ck_assert_uint_eq(soft_single_to_half(1, 0x1780).flags, 0x32);
	ck_assert_uint_eq(soft_single_to_half(1, 0x1fc0).flags, 0);
}
END_TEST

/* VEX.128/256.66.0F38.W0 13 and .0F3A.W0 1D. */
static void try(unsigned map, unsigned opcode, unsigned l, unsigned modrm, unsigned imm)
{
	uint8_t code[15] = {0xc4, (uint8_t)(0xe0 | map), (uint8_t)(0x79 | l << 2), (uint8_t)opcode, (uint8_t)modrm, (uint8_t)imm};

	check(code, sizeof(code));
}

START_TEST(f16c_instruction_equals_host)
{
	static const uint8_t forms[] = {0xd1, 0xd2, 0x17};

	for (unsigned k = 0; host_has_f16c && k < 20; k++) {
		for (unsigned f = 0; f < sizeof(forms) * 2; f++) {
			try(2, 0x13, f & 1, forms[f / 2], 0);
			for (unsigned imm = 0; imm < 256; imm += imm < 8 ? 1 : 31)
				try(3, 0x1d, f & 1, forms[f / 2], imm);
		}
	}
	ck_assert_uint_ge(tests, host_has_f16c ? 1000 : 0);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

/* vcvtps2ph [rdi], xmm2 where nothing may be written, the largest single in xmm2. */
static void store_beyond(uint32_t mxcsr, int vector)
{
	static const uint8_t code[] = {0xc4, 0xe3, 0x79, 0x1d, 0x17, 0x04};
	struct image m;

	put(CODE, code, sizeof(code));
	random_image(&m, AS_SINGLE);
	random_high(&m, AS_SINGLE);
	memset(m.fx + 160 + 32, 0, 16);
	memcpy(m.fx + 160 + 32, &(uint32_t){0x7f7fffff}, 4);
	memcpy(m.fx + 24, &mxcsr, 4);
	m.rdi = RAM + 0x1000; /* beyond what is mapped */
	run_guest(&m);
	ck_assert_int_eq(m.vector, vector);
	memcpy(&mxcsr, m.fx + 24, 4);
	ck_assert_uint_eq(mxcsr & 0x3f, 0x28);
}

START_TEST(f16c_store_that_faults_comes_after_its_exceptions)
{
	store_beyond(0x1f80, EXC_PF);
	store_beyond(0x1b80, EXC_XM);
	store_beyond(0x0f80, EXC_XM);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("F16C");
	TCase *t = tcase_create("F16C");
	SRunner *r;
	int failed;

	tcase_add_unchecked_fixture(t, ready, NULL);
	tcase_add_checked_fixture(t, reset_counts, NULL);
	tcase_set_timeout(t, 300);
	tcase_add_test(t, half_every_value_becomes_the_same_single);
	tcase_add_test(t, half_nearest_single_is_rounded_to);
	tcase_add_test(t, half_denormal_result_knows_masks_but_not_ftz);
	tcase_add_test(t, f16c_instruction_equals_host);
	tcase_add_test(t, f16c_store_that_faults_comes_after_its_exceptions);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
