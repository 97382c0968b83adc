/* SPDX-License-Identifier: MIT */
/* CPU models by name: what --cpu and recordings may say, what follows from it, and what is refused with which words. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm-core/state.h"
#include "vmm-core/x86/cpuid.h"

static struct cv_cpuid_model m;
static struct cv_error err;
static uint32_t r[4];

static int parse(const char *spec)
{
	cv_error_clear(&err);
	return cv_cpuid_model_parse(spec, &m, &err);
}

static void accepts(const char *spec, const char *name)
{
	ck_assert_msg(parse(spec) == 0, "%s: %s", spec, err.msg);
	ck_assert_msg(!strcmp(m.name, name), "%s is called %s", spec, m.name);
}

static void refuses(const char *spec, const char *words)
{
	struct cv_cpuid_model before;

	memset(&m, 0x5a, sizeof(m));
	before = m;
	ck_assert_msg(parse(spec) == CV_E_BADINPUT, "%s is accepted", spec);
	ck_assert_msg(strstr(err.msg, words) != NULL, "%s: \"%s\" is not in: %s", spec, words, err.msg);
	ck_assert_msg(!strchr(err.msg, '\n'), "%s: more than a line", spec);
	ck_assert_msg(!memcmp(&m, &before, sizeof(m)), "%s: refused, but something was written", spec);
}

static const uint32_t *leaf(uint32_t n, uint32_t sub)
{
	struct cv_vcpu_state s;

	cv_vcpu_reset(&s);
	cv_cpuid(&m, &s, n, sub, r);
	return r;
}

START_TEST(model_names_short_and_long_are_the_same)
{
	accepts("v2", "chronovisor-v2");
	accepts("chronovisor-v2", "chronovisor-v2");
	ck_assert_mem_eq(&m, cv_cpuid_model_find("chronovisor-v2"), sizeof(m));
	accepts("v3", "chronovisor-v3");
	accepts("chronovisor-v3", "chronovisor-v3");
	ck_assert_mem_eq(&m, cv_cpuid_model_find("chronovisor-v3"), sizeof(m));
	ck_assert_ptr_null(cv_cpuid_model_find("v3"));
	ck_assert_ptr_null(cv_cpuid_model_at(2));
}
END_TEST

START_TEST(model_name_is_canonical_in_order_and_without_repetition)
{
	accepts("v3,+la57,-avx2", "chronovisor-v3,-avx2,+la57");
	accepts("v3,-avx2,+la57", "chronovisor-v3,-avx2,+la57");
	accepts("v2,+aes,+aes,+aes", "chronovisor-v2,+aes");
	accepts("v2,+aes,-aes", "chronovisor-v2");
	accepts("v2,-aes,+aes", "chronovisor-v2,+aes");
	accepts("v2,+rdrand", "chronovisor-v2");
	accepts("v3,-la57", "chronovisor-v3");
	accepts("+avx,+fma", "chronovisor-v2,+fma,+avx");
	accepts("-umip", "chronovisor-v2,-umip");
	accepts("v2,+invpcid,+pcid", "chronovisor-v2,+pcid,+invpcid");
}
END_TEST

START_TEST(model_unknown_words_are_refused_with_what_is_known)
{
	refuses("", "unknown CPU model '': there are v2, v3");
	refuses("v9", "unknown CPU model 'v9': there are v2, v3");
	refuses("v2x,+aes", "unknown CPU model 'v2x'");
	refuses("V3", "unknown CPU model 'V3'");
	refuses("chronovisor-", "unknown CPU model 'chronovisor-'");
	refuses("v3,+amx", "unknown CPU feature 'amx': there are pclmulqdq, fma, pcid");
	refuses("v3,+amx", "xgetbv1, lzcnt");
	refuses("v3,+none", "unknown CPU feature 'none'");
	refuses("v3,+av", "unknown CPU feature 'av'");
	refuses("v3,+avx22", "unknown CPU feature 'avx22'");
	refuses("v3,avx", "CPU feature 'avx': write +NAME to add it");
	refuses("v3,", "CPU feature '': write +NAME");
	refuses("v3,+aes,", "CPU feature '': write +NAME");
	refuses("v3,,+aes", "CPU feature '': write +NAME");
	refuses("v3,+", "unknown CPU feature ''");
	refuses("v3, +aes", "CPU feature ' +aes'");
	refuses("v3,+aes\n", "unknown CPU feature 'aes?'");
	refuses("\033[2J", "unknown CPU model '?[2J'");
}
END_TEST

START_TEST(model_feature_without_what_it_needs_is_refused)
{
	refuses("v2,+avx2", "CPU feature avx2 needs avx: add ,+avx or ,-avx2");
	refuses("v2,+fma", "CPU feature fma needs avx");
	refuses("v2,+f16c", "CPU feature f16c needs avx");
	refuses("v2,+invpcid", "CPU feature invpcid needs pcid: add ,+pcid or ,-invpcid");
	refuses("v3,-pcid", "CPU feature invpcid needs pcid: add ,+pcid or ,-invpcid");
	refuses("v3,-avx", "CPU features fma, f16c, avx2 need avx: add ,+avx or ,-fma,-f16c,-avx2");
	accepts("v3,-avx,-fma,-f16c,-avx2", "chronovisor-v3,-fma,-avx,-f16c,-avx2");
	accepts("v2,+avx2,+avx", "chronovisor-v2,+avx,+avx2");
	ck_assert_int_eq(cv_feature_needs(CV_FEATURE_avx2), CV_FEATURE_avx);
	ck_assert_int_eq(cv_feature_needs(CV_FEATURE_avx), CV_FEATURE_none);
}
END_TEST

START_TEST(model_long_words_are_cut_in_the_line)
{
	char spec[4096];

	memset(spec, 'x', sizeof(spec));
	spec[sizeof(spec) - 1] = 0;
	refuses(spec, "xxxxxxxx...'");
	memcpy(spec, "v3,+", 4);
	refuses(spec, "xxxxxxxx...': there are pclmulqdq");
	memcpy(spec, "v3,", 3);
	for (size_t k = 3; k + 5 < sizeof(spec); k += 5)
		memcpy(spec + k, "+aes,", 6);
	spec[strlen(spec) - 1] = 0;
	accepts(spec, "chronovisor-v3");
}
END_TEST

/* Every feature turned round at once: the longest name there can be. */
START_TEST(model_longest_name_fits)
{
	char spec[2 * CV_CPU_NAME_MAX] = "v2", again[CV_CPU_NAME_MAX];
	const struct cv_cpuid_model *v2 = cv_cpuid_model_find("chronovisor-v2");

	for (unsigned f = 1; f < CV_FEATURE_COUNT; f++) {
		strcat(spec, v2->features >> f & 1 ? ",-" : ",+");
		strcat(spec, cv_feature_info((enum cv_feature)f)->name);
	}
	ck_assert_msg(parse(spec) == 0, "%s", err.msg);
	ck_assert_uint_eq(strlen(m.name) + 1, CV_CPU_NAME_MAX);
	ck_assert_uint_eq(m.features, CV_FEATURES_NONE | (CV_FEATURES_ALL & ~v2->features));
	strcpy(again, m.name);
	accepts(again, again);
}
END_TEST

static uint32_t next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Random lists: a name that was accepted is its own specification, and gives the same model. */
START_TEST(model_random_lists_are_refused_or_read_back)
{
	uint32_t seed = 20240101;
	unsigned accepted = 0, refused = 0;

	for (unsigned k = 0; k < 20000; k++) {
		char spec[1024];
		struct cv_cpuid_model first;
		unsigned n = next(&seed) % 12;

		strcpy(spec, next(&seed) & 1 ? "v3" : "v2");
		while (n--) {
			unsigned f = 1 + next(&seed) % (CV_FEATURE_COUNT - 1);

			strcat(spec, next(&seed) & 1 ? ",+" : ",-");
			strcat(spec, cv_feature_info((enum cv_feature)f)->name);
		}
		if (parse(spec)) {
			ck_assert_msg(strstr(err.msg, " need") != NULL, "%s: %s", spec, err.msg);
			refused++;
			continue;
		}
		accepted++;
		first = m;
		ck_assert_msg(parse(first.name) == 0, "%s became %s: %s", spec, first.name, err.msg);
		ck_assert_mem_eq(&first, &m, sizeof(m));
	}
	ck_assert_uint_gt(accepted, 1000);
	ck_assert_uint_gt(refused, 1000);
}
END_TEST

/* Random bytes, most of them from the grammar's alphabet: each is refused with one line, or canonical. */
START_TEST(model_random_bytes_never_do_harm)
{
	static const char alphabet[] = "v23,+-axesfmchronovisor \t\n\"%";
	uint32_t seed = 4711;

	for (unsigned k = 0; k < 50000; k++) {
		char spec[64], name[CV_CPU_NAME_MAX];
		unsigned n = next(&seed) % sizeof(spec);

		for (unsigned j = 0; j < n; j++)
			spec[j] = next(&seed) % 16 ? alphabet[next(&seed) % (sizeof(alphabet) - 1)] : (char)next(&seed);
		spec[n] = 0;
		if (next(&seed) & 1 && n > 4)
			memcpy(spec, "v3,+", 4);
		if (parse(spec)) {
			const char *p = err.msg;

			while ((unsigned char)*p >= ' ' && (unsigned char)*p < 0x7f)
				p++;
			ck_assert_msg(err.code == CV_E_BADINPUT && p > err.msg && !*p, "\"%s\" for: %s", err.msg, spec);
		} else {
			strcpy(name, m.name);
			accepts(name, name);
		}
	}
}
END_TEST

/* --- What follows from the features --- */

/* The answers of chronovisor-v2 are frozen: EAX, EBX, ECX, EDX in the state after a reset. */
START_TEST(cpuid_of_v2_is_as_it_always_was)
{
	static const uint32_t want[][6] = {
		{0, 0, 0x16, 0x756e6547, 0x6c65746e, 0x49656e69},
		{1, 0, 0x00030669, 0x00010800, 0xc5982201, 0x078bbb7d},
		{1, 9, 0x00030669, 0x00010800, 0xc5982201, 0x078bbb7d},
		{2, 0, 0x0000ff01, 0, 0, 0xf0},
		{4, 0, 0x00000121, 0x01c0003f, 63, 0},
		{4, 3, 0x00000163, 0x03c0003f, 8191, 0},
		{4, 4, 0, 0, 0, 0},
		{5, 0, 0, 0, 0, 0},
		{6, 0, 4, 0, 0, 0},
		{7, 0, 0, 0x001422c3, 0x00000004, 0x20000010},
		{7, 1, 0, 0, 0, 0},
		{0xb, 0, 0, 1, 0x100, 0},
		{0xb, 1, 0, 1, 0x201, 0},
		{0xd, 0, 3, 576, 576, 0},
		{0xd, 1, 0, 0, 0, 0},
		{0xd, 2, 0, 0, 0, 0},
		{0x15, 0, 1, 40, 25000000, 0},
		{0x16, 0, 1000, 1000, 100, 0},
		{0x80000000, 0, 0x80000008, 0, 0, 0},
		{0x80000001, 0, 0, 0, 1, 0x2c100000},
		{0x80000002, 0, 0x6f726843, 0x69766f6e, 0x20726f73, 0x76203276},
		{0x80000006, 0, 0, 0, 0x01006040, 0},
		{0x80000007, 0, 0, 0, 0, 0x100},
		{0x80000008, 0, 0x3027, 0, 0, 0},
	};

	accepts("v2", "chronovisor-v2");
	for (unsigned k = 0; k < sizeof(want) / sizeof(want[0]); k++) {
		leaf(want[k][0], want[k][1]);
		for (unsigned j = 0; j < 4; j++)
			ck_assert_msg(r[j] == want[k][2 + j], "leaf %x.%u, register %u: %08x instead of %08x", want[k][0],
				      want[k][1], j, r[j], want[k][2 + j]);
	}
	ck_assert_uint_eq(m.cr4_mask, 0x350fbc);
	ck_assert_uint_eq(m.efer_mask, 0xd01);
	ck_assert_uint_eq(m.xcr0_mask, 3);
	ck_assert_uint_eq(m.arch_capabilities, 0x400000000d10e179);
}
END_TEST

/*
 * x86-64-v3 of the psABI (AVX AVX2 BMI1 BMI2 F16C FMA LZCNT MOVBE OSXSAVE), and the features of chronovisor-v3 beyond it.
 * Frozen like those of v2.
 */
START_TEST(cpuid_of_v3_announces_x86_64_v3)
{
	static const struct {
		uint32_t leaf, reg, psabi, all;
	} want[] = {
		{1, 2, 1u << 12 | 1u << 22 | 1u << 26 | 1u << 28 | 1u << 29, 0xf7da3203},
		{7, 1, 1u << 3 | 1u << 5 | 1u << 8, 0x219c27eb},
		{7, 2, 0, 0x00400004},
		{7, 3, 0, 0x20000010},
		{0x80000001, 2, 1u << 5, 0x21},
		{0xd, 0, 7, 7},
		{0x80000002, 3, 0, 0x76203376}, /* "v3 v" */
		{0x80000008, 0, 0, 0x3027},
	};

	accepts("v3", "chronovisor-v3");
	for (unsigned k = 0; k < sizeof(want) / sizeof(want[0]); k++) {
		uint32_t v = leaf(want[k].leaf, 0)[want[k].reg];

		ck_assert_msg((v & want[k].psabi) == want[k].psabi, "leaf %x: %08x", want[k].leaf, v);
		ck_assert_msg(v == want[k].all, "leaf %x: %08x instead of %08x", want[k].leaf, v, want[k].all);
	}
	ck_assert_uint_eq(leaf(0xd, 1)[0], 7); /* XSAVEOPT, XSAVEC, XGETBV of 1; no XSAVES */
	ck_assert_uint_eq(m.cr4_mask, 0x350fbc | CV_CR4_PCIDE);
}
END_TEST

/* Each feature moves its own bit, and no other than those that are said to follow from it. */
START_TEST(cpuid_each_feature_is_one_bit)
{
	static const uint32_t leaves[][2] = {{0, 0}, {1, 0}, {6, 0}, {7, 0}, {7, 1}, {0x15, 0}, {0x80000001, 0}, {0xd, 1}};

	for (unsigned f = 1; f < CV_FEATURE_COUNT; f++) {
		const struct cv_feature_info *i = cv_feature_info((enum cv_feature)f);
		char spec[64];
		bool there = CV_FEATURES_V2 >> f & 1;
		enum cv_feature needs = cv_feature_needs((enum cv_feature)f);
		struct cv_cpuid_model base;

		snprintf(spec, sizeof(spec), "v2%s%s", needs ? ",+" : "", needs ? cv_feature_info(needs)->name : "");
		ck_assert_int_eq(parse(spec), 0);
		base = m;
		snprintf(spec + strlen(spec), sizeof(spec) - strlen(spec), ",%c%s", there ? '-' : '+', i->name);
		ck_assert_msg(parse(spec) == 0, "%s", err.msg);
		for (unsigned k = 0; k < sizeof(leaves) / sizeof(leaves[0]); k++) {
			struct cv_cpuid_model changed = m;
			uint32_t before[4], want[4];

			m = base;
			memcpy(before, leaf(leaves[k][0], leaves[k][1]), sizeof(before));
			memcpy(want, before, sizeof(want));
			m = changed;
			if (i->leaf == leaves[k][0] && i->subleaf == leaves[k][1])
				want[i->reg] ^= 1u << i->bit;
			leaf(leaves[k][0], leaves[k][1]);
			if (f == CV_FEATURE_xsavec && leaves[k][0] == 0xd)
				want[1] = 576; /* the compacted format has a size */
			ck_assert_msg(!memcmp(r, want, sizeof(want)), "%s: leaf %x.%u", i->name, leaves[k][0], leaves[k][1]);
		}
	}
}
END_TEST

START_TEST(model_registers_follow_features)
{
	static const struct {
		const char *feature;
		uint64_t cr4;
	} bits[] = {{"pcid", CV_CR4_PCIDE}, {"la57", CV_CR4_LA57}, {"umip", CV_CR4_UMIP}, {"smep", CV_CR4_SMEP},
		    {"smap", CV_CR4_SMAP}, {"fsgsbase", CV_CR4_FSGSBASE}};
	char spec[64];

	for (unsigned k = 0; k < sizeof(bits) / sizeof(bits[0]); k++) {
		uint64_t with;

		snprintf(spec, sizeof(spec), "v2,+%s", bits[k].feature);
		ck_assert_int_eq(parse(spec), 0);
		with = m.cr4_mask;
		snprintf(spec, sizeof(spec), "v2,-%s", bits[k].feature);
		ck_assert_int_eq(parse(spec), 0);
		ck_assert_msg((with ^ m.cr4_mask) == bits[k].cr4 && (with & bits[k].cr4), "%s", bits[k].feature);
	}
	accepts("v3,+la57", "chronovisor-v3,+la57");
	ck_assert_uint_eq(leaf(0x80000008, 0)[0], 0x3927);
	ck_assert_uint_eq(m.linear_bits, 57);
}
END_TEST

START_TEST(xsave_sizes_follow_xcr0_and_avx)
{
	struct cv_vcpu_state s;

	cv_vcpu_reset(&s);
	accepts("v3", "chronovisor-v3");
	ck_assert_uint_eq(m.xcr0_mask, 7);
	for (unsigned xcr0 = 1; xcr0 <= 7; xcr0 = xcr0 * 2 + 1) {
		unsigned size = xcr0 & 4 ? 832 : 576;

		s.xcr0 = xcr0;
		cv_cpuid(&m, &s, 0xd, 0, r);
		ck_assert_uint_eq(r[0], 7);
		ck_assert_uint_eq(r[1], size);
		ck_assert_uint_eq(r[2], 832);
		ck_assert_uint_eq(r[3], 0);
		cv_cpuid(&m, &s, 0xd, 1, r);
		ck_assert_uint_eq(r[1], size);
	}
	cv_cpuid(&m, &s, 0xd, 2, r);
	ck_assert_uint_eq(r[0], 256);
	ck_assert_uint_eq(r[1], 576);
	ck_assert_uint_eq(r[2], 0);
	cv_cpuid(&m, &s, 0xd, 3, r);
	ck_assert_uint_eq(r[0] | r[1] | r[2] | r[3], 0);
	accepts("v2,+xsavec", "chronovisor-v2,+xsavec");
	ck_assert_uint_eq(m.xcr0_mask, 3);
	cv_cpuid(&m, &s, 0xd, 2, r);
	ck_assert_uint_eq(r[0] | r[1] | r[2] | r[3], 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cpu model");
	TCase *t = tcase_create("cpu model");
	SRunner *sr;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, model_names_short_and_long_are_the_same);
	tcase_add_test(t, model_name_is_canonical_in_order_and_without_repetition);
	tcase_add_test(t, model_unknown_words_are_refused_with_what_is_known);
	tcase_add_test(t, model_feature_without_what_it_needs_is_refused);
	tcase_add_test(t, model_long_words_are_cut_in_the_line);
	tcase_add_test(t, model_longest_name_fits);
	tcase_add_test(t, model_random_lists_are_refused_or_read_back);
	tcase_add_test(t, model_random_bytes_never_do_harm);
	tcase_add_test(t, cpuid_of_v2_is_as_it_always_was);
	tcase_add_test(t, cpuid_of_v3_announces_x86_64_v3);
	tcase_add_test(t, cpuid_each_feature_is_one_bit);
	tcase_add_test(t, model_registers_follow_features);
	tcase_add_test(t, xsave_sizes_follow_xcr0_and_avx);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
