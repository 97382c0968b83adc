/* SPDX-License-Identifier: MIT */
/* What the VT-x engine says of this machine before it is used. */
#include <check.h>
#include <cpuid.h>
#include <stdlib.h>
#include <string.h>

#include "vmm-core/vtx/vtx.h"
#include "vmm-core/x86/cpuid.h"

/* TZCNT and LZCNT mean BSF and BSR without their features: the model for VT-x has them just where the CPU has. */
START_TEST(default_model_has_the_hosts_two_meanings)
{
	struct cv_vtx_probe p;
	struct cv_cpuid_model m;
	struct cv_error err = {0};
	uint32_t a, b = 0, c = 0, d, unused;

	cv_vtx_probe(&p);
	ck_assert_msg(cv_cpuid_model_parse(p.cpu, &m, &err) == 0, "%s: %s", p.cpu, err.msg);
	ck_assert_int_eq(__get_cpuid_count(7, 0, &a, &b, &unused, &d), 1);
	ck_assert_int_eq(__get_cpuid(0x80000001, &a, &unused, &c, &d), 1);
	ck_assert_int_eq((m.features & CV_HAS(bmi1)) != 0, b >> 3 & 1);
	ck_assert_int_eq((m.features & CV_HAS(lzcnt)) != 0, c >> 5 & 1);
	ck_assert_uint_eq(m.features & ~(CV_HAS(bmi1) | CV_HAS(lzcnt)), cv_cpuid_model_find("chronovisor-v2")->features);
}
END_TEST

START_TEST(probe_says_something_in_one_line)
{
	struct cv_vtx_probe p;

	cv_vtx_probe(&p);
	ck_assert_uint_gt(strlen(p.text), 10);
	ck_assert_ptr_null(strchr(p.text, '\n'));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vtx_probe");
	TCase *t = tcase_create("probe");
	SRunner *r;
	int failed;

	tcase_add_test(t, default_model_has_the_hosts_two_meanings);
	tcase_add_test(t, probe_says_something_in_one_line);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
