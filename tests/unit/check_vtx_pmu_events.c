/* SPDX-License-Identifier: MIT */
/* The table of counter events: which signature finds which row, and who is refused. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm-core/vtx/pmu_events.h"

static struct cv_pmu_cpu intel(uint32_t signature, enum cv_core_type core)
{
	return (struct cv_pmu_cpu){.vendor = "GenuineIntel", .signature = signature, .core = core, .version = 4, .counters = 4};
}

/* Signatures of CPUs that were sold, with their steppings. */
static const struct {
	uint32_t signature;
	enum cv_core_type core;
	const char *cpu;
	uint64_t config;
	unsigned skid;
} known[] = {
	{0x106a5, CV_CORE_ANY, "Nehalem", 0x01c4, 100},		    /* Core i7-920 */
	{0x106e5, CV_CORE_ANY, "Nehalem", 0x01c4, 100},		    /* Core i7-860 */
	{0x206e6, CV_CORE_ANY, "Nehalem", 0x01c4, 100},		    /* Xeon X7560 */
	{0x206c2, CV_CORE_ANY, "Westmere", 0x01c4, 100},	    /* Xeon X5650 */
	{0x20655, CV_CORE_ANY, "Westmere", 0x01c4, 100},	    /* Core i5-520M */
	{0x206a7, CV_CORE_ANY, "Sandy Bridge", 0x01c4, 100},	    /* Core i7-2600 */
	{0x206d7, CV_CORE_ANY, "Sandy Bridge", 0x01c4, 100},	    /* Xeon E5-2670 */
	{0x306a9, CV_CORE_ANY, "Ivy Bridge", 0x01c4, 100},	    /* Core i7-3770 */
	{0x306e4, CV_CORE_ANY, "Ivy Bridge", 0x01c4, 100},	    /* Xeon E5-2697 v2 */
	{0x306c3, CV_CORE_ANY, "Haswell", 0x01c4, 100},		    /* Core i7-4770 */
	{0x306f2, CV_CORE_ANY, "Haswell", 0x01c4, 100},		    /* Xeon E5-2699 v3 */
	{0x306d4, CV_CORE_ANY, "Broadwell", 0x01c4, 100},	    /* Core i5-5200U */
	{0x406f1, CV_CORE_ANY, "Broadwell", 0x01c4, 100},	    /* Xeon E5-2699 v4 */
	{0x50664, CV_CORE_ANY, "Broadwell", 0x01c4, 100},	    /* Xeon D-1541 */
	{0x506e3, CV_CORE_ANY, "Skylake, Cascade Lake", 0x01c4, 100}, /* Core i7-6700 */
	{0x50654, CV_CORE_ANY, "Skylake, Cascade Lake", 0x01c4, 100}, /* Xeon Gold 6148 */
	{0x50657, CV_CORE_ANY, "Skylake, Cascade Lake", 0x01c4, 100}, /* Xeon Gold 6248 */
	{0x906ea, CV_CORE_ANY, "Kaby Lake, Coffee Lake", 0x01c4, 100}, /* Core i7-8700 */
	{0x806ec, CV_CORE_ANY, "Kaby Lake, Coffee Lake", 0x01c4, 100}, /* Core i7-10510U */
	{0xa0655, CV_CORE_ANY, "Comet Lake", 0x01c4, 100},	    /* Core i7-10700 */
	{0x706e5, CV_CORE_ANY, "Ice Lake", 0x11c4, 100},	    /* Core i7-1065G7 */
	{0x606a6, CV_CORE_ANY, "Ice Lake", 0x11c4, 100},	    /* Xeon Gold 6338 */
	{0x606c1, CV_CORE_ANY, "Ice Lake (D, Y)", 0x11c4, 100},	    /* Xeon D-2796 */
	{0x806c1, CV_CORE_ANY, "Tiger Lake", 0x11c4, 100},	    /* Core i7-1185G7 */
	{0xa0671, CV_CORE_ANY, "Rocket Lake", 0x11c4, 100},	    /* Core i7-11700 */
	{0x806f8, CV_CORE_ANY, "Sapphire Rapids", 0x11c4, 125},	    /* Xeon Platinum 8480 */
	{0xc06f2, CV_CORE_ANY, "Emerald Rapids", 0x11c4, 125},	    /* Xeon Platinum 8592 */
	{0xa06d1, CV_CORE_ANY, "Granite Rapids", 0x11c4, 125},	    /* Xeon 6980P */
	{0x90672, CV_CORE_P, "Alder Lake, Raptor Lake P-core (Golden Cove)", 0x11c4, 125}, /* Core i9-12900K */
	{0x90672, CV_CORE_E, "Alder Lake, Raptor Lake E-core (Gracemont)", 0x7ec4, 125},
	{0x90675, CV_CORE_ANY, "Alder Lake, Raptor Lake P-core (Golden Cove)", 0x11c4, 125}, /* Core i3-12100: no E-cores */
	{0xb0671, CV_CORE_P, "Alder Lake, Raptor Lake P-core (Golden Cove)", 0x11c4, 125}, /* Core i9-13900K */
	{0xb0671, CV_CORE_E, "Alder Lake, Raptor Lake E-core (Gracemont)", 0x7ec4, 125},
	{0xa06a4, CV_CORE_P, "Meteor Lake P-core (Redwood Cove)", 0x11c4, 125}, /* Core Ultra 7 155H */
	{0xa06a4, CV_CORE_E, "Meteor Lake E-core (Crestmont)", 0x7ec4, 125},
	{0xb06d1, CV_CORE_P, "Lunar Lake P-core (Lion Cove)", 0x100000011c4, 125}, /* Core Ultra 7 258V */
	{0xb06d1, CV_CORE_E, "Lunar Lake E-core (Skymont)", 0x7ec4, 125},
	{0xc0662, CV_CORE_P, "Arrow Lake P-core (Lion Cove)", 0x100000011c4, 125}, /* Core Ultra 9 285K */
	{0xc0662, CV_CORE_E, "Arrow Lake E-core (Skymont, Crestmont)", 0x7ec4, 125},
	{0xc06c2, CV_CORE_P, "Panther Lake P-core (Cougar Cove)", 0x07c4, 125},
	{0xc06c2, CV_CORE_E, "Panther Lake E-core (Darkmont)", 0x07c4, 125},
	{0x300f10, CV_CORE_P, "Nova Lake P-core (Coyote Cove)", 0x07c4, 125},
	{0x30678, CV_CORE_ANY, "Silvermont, Airmont", 0x7ec4, 100}, /* Atom E3845 */
	{0x406d8, CV_CORE_ANY, "Silvermont, Airmont", 0x7ec4, 100}, /* Atom C2750 */
	{0x50671, CV_CORE_ANY, "Knights Landing, Knights Mill", 0x7ec4, 100}, /* Xeon Phi 7210 */
	{0x506c9, CV_CORE_ANY, "Goldmont", 0x7ec4, 100},	    /* Celeron N3350 */
	{0x506f1, CV_CORE_ANY, "Goldmont", 0x7ec4, 100},	    /* Atom C3758 */
	{0x706a8, CV_CORE_ANY, "Goldmont", 0x7ec4, 100},	    /* Celeron N4100 */
	{0x906c0, CV_CORE_ANY, "Tremont", 0x7ec4, 100},		    /* Celeron N5105 */
	{0xb06e0, CV_CORE_ANY, "Alder Lake-N (Gracemont)", 0x7ec4, 125}, /* N100 */
	{0xa06f3, CV_CORE_ANY, "Sierra Forest (Crestmont)", 0x7ec4, 125}, /* Xeon 6780E */
	{0xd06d0, CV_CORE_ANY, "Clearwater Forest (Darkmont)", 0x07c4, 125},
};

START_TEST(find_known_signature_gives_its_event)
{
	struct cv_pmu_cpu cpu = intel(known[_i].signature, known[_i].core);
	struct cv_error err = {0};
	const struct cv_pmu_event *e = cv_pmu_find(&cpu, &err);

	ck_assert_msg(e != NULL, "%x: %s", known[_i].signature, err.msg);
	ck_assert_str_eq(e->cpu, known[_i].cpu);
	ck_assert_uint_eq(cv_pmu_config(e), known[_i].config);
	ck_assert_uint_eq(e->skid, known[_i].skid);
}
END_TEST

static const struct {
	uint32_t signature;
	enum cv_core_type core;
	const char *says;
} refused[] = {
	{0x106ca, CV_CORE_ANY, "model 1Ch isn't in the table"},	   /* Bonnell: no such event */
	{0x006fb, CV_CORE_ANY, "model 0Fh isn't in the table"},	   /* Core 2 */
	{0x10676, CV_CORE_ANY, "model 17h isn't in the table"},	   /* Penryn */
	{0x00f4a, CV_CORE_ANY, "family 15 model 04h isn't in"},	   /* Pentium 4 */
	{0xf06f0, CV_CORE_ANY, "model FFh isn't in the table"},	   /* not sold yet */
	{0x300f10, CV_CORE_E, "family 18 model 01h has no known counter"}, /* Arctic Wolf */
	{0x90672, (enum cv_core_type)0x10, "cores of type 10h"},
};

START_TEST(find_unknown_signature_is_refused)
{
	struct cv_pmu_cpu cpu = intel(refused[_i].signature, refused[_i].core);
	struct cv_error err = {0};

	ck_assert_ptr_null(cv_pmu_find(&cpu, &err));
	ck_assert_int_eq(err.code, CV_E_NOTFOUND);
	ck_assert_msg(strstr(err.msg, refused[_i].says) != NULL, "%s", err.msg);
	ck_assert_ptr_nonnull(strstr(err.msg, "--engine soft"));
	ck_assert_ptr_null(strchr(err.msg, '\n'));
}
END_TEST

START_TEST(find_other_vendor_is_refused)
{
	struct cv_pmu_cpu cpu = intel(0x506e3, CV_CORE_ANY);
	struct cv_error err = {0};

	memcpy(cpu.vendor, "AuthenticAMD", 13);
	ck_assert_ptr_null(cv_pmu_find(&cpu, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "AuthenticAMD"));
}
END_TEST

START_TEST(find_without_counters_says_why)
{
	struct cv_pmu_cpu cpu = intel(0x506e3, CV_CORE_ANY);
	struct cv_error err = {0};

	cpu.version = 0;
	ck_assert_ptr_null(cv_pmu_find(&cpu, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "firmware"));
	cv_error_clear(&err);
	cpu.hypervisor = true;
	ck_assert_ptr_null(cv_pmu_find(&cpu, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "pmu=on"));
}
END_TEST

/* One model and core type has one row; each row can be found and is complete. */
START_TEST(table_rows_are_complete_and_distinct)
{
	unsigned n = 0;

	for (const struct cv_pmu_event *a; (a = cv_pmu_row(n)) != NULL; n++) {
		ck_assert_ptr_nonnull(a->cpu);
		ck_assert_uint_eq(a->code, 0xc4);
		ck_assert_uint_ge(a->skid, 100);
		ck_assert_uint_ne(a->models[0], 0);
		for (const uint16_t *m = a->models; *m; m++) {
			uint32_t f = *m >> 8, sig = f == 6 ? 6u << 8 : 0xfu << 8 | (f - 15) << 20;
			struct cv_pmu_cpu cpu = intel(sig | (*m & 0xfu) << 4 | (*m & 0xf0u) << 12, a->core);

			ck_assert_uint_eq(cv_pmu_model(cpu.signature), *m);
			ck_assert_ptr_eq(cv_pmu_find(&cpu, NULL), a);
		}
	}
	ck_assert_uint_gt(n, 30);
}
END_TEST

START_TEST(advice_tells_what_stands_against_it)
{
	struct cv_pmu_cpu cpu = intel(0xa06a4, CV_CORE_E);
	char text[400];

	cv_pmu_advice(cv_pmu_find(&cpu, NULL), '0', text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "the self-test decides"));
	ck_assert_ptr_nonnull(strstr(text, "freeze_on_smi"));
	ck_assert_ptr_nonnull(strstr(text, "MTL013"));
	cpu = intel(0xa06a4, CV_CORE_P);
	cv_pmu_advice(cv_pmu_find(&cpu, NULL), '1', text, sizeof(text));
	ck_assert_str_eq(text, "");
	cpu = intel(0x306c3, CV_CORE_ANY);
	cv_pmu_advice(cv_pmu_find(&cpu, NULL), '0', text, sizeof(text));
	ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(here_agrees_with_proc_cpuinfo)
{
	struct cv_pmu_cpu cpu;
	char line[256], vendor[64] = "";
	unsigned family = 0, model = 0;
	FILE *f = fopen("/proc/cpuinfo", "r");

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f) && strcmp(line, "\n") != 0) {
		sscanf(line, "vendor_id : %63s", vendor);
		sscanf(line, "cpu family : %u", &family);
		sscanf(line, "model : %u", &model);
	}
	fclose(f);
	cv_pmu_cpu_here(&cpu);
	ck_assert_str_eq(cpu.vendor, vendor);
	ck_assert_uint_eq(cv_pmu_model(cpu.signature), family << 8 | model);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vtx_pmu_events");
	TCase *t = tcase_create("table");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, find_known_signature_gives_its_event, 0, (int)(sizeof(known) / sizeof(known[0])));
	tcase_add_loop_test(t, find_unknown_signature_is_refused, 0, (int)(sizeof(refused) / sizeof(refused[0])));
	tcase_add_test(t, find_other_vendor_is_refused);
	tcase_add_test(t, find_without_counters_says_why);
	tcase_add_test(t, table_rows_are_complete_and_distinct);
	tcase_add_test(t, advice_tells_what_stands_against_it);
	tcase_add_test(t, here_agrees_with_proc_cpuinfo);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
