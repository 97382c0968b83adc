/* SPDX-License-Identifier: MIT */
/*
 * CPU models by name: "chronovisor-v2", "chronovisor-v3", and either with features added and taken away:
 *
 *	spec = [base] { "," ("+" | "-") feature },  base = "v2" | "v3" | "chronovisor-v2" | "chronovisor-v3"
 *
 * without a base: v2. Of two words about one feature the last one counts. The canonical name, which a recording holds,
 * has the long name of the base and then what differs from it, in the order of features.h, each once: equal models with
 * the same base have equal names, and each name is its own specification.
 *
 * A feature whose instructions or state need another one's is refused without it: no kernel expects such a CPU.
 */
#include <stdio.h>
#include <string.h>

#include "vmm-core/state.h"
#include "vmm-core/x86/cpuid.h"

/* IA32_ARCH_CAPABILITIES (SDM 4 table 2-2). */
#define CAP_RDCL_NO (1ull << 0)
#define CAP_SKIP_L1DFL (1ull << 3)
#define CAP_SSB_NO (1ull << 4)
#define CAP_MDS_NO (1ull << 5)
#define CAP_PSCHANGE_MC_NO (1ull << 6)
#define CAP_TAA_NO (1ull << 8)
#define CAP_SBDR_SSDP_NO (1ull << 13)
#define CAP_FBSDP_NO (1ull << 14)
#define CAP_PSDP_NO (1ull << 15)
#define CAP_BHI_NO (1ull << 20)
#define CAP_PBRSB_NO (1ull << 24)
#define CAP_GDS_NO (1ull << 26)
#define CAP_RFDS_NO (1ull << 27)
#define CAP_ITS_NO (1ull << 62)
#define CAPABILITIES                                                                                                   \
	(CAP_RDCL_NO | CAP_SKIP_L1DFL | CAP_SSB_NO | CAP_MDS_NO | CAP_PSCHANGE_MC_NO | CAP_TAA_NO | CAP_SBDR_SSDP_NO |    \
	 CAP_FBSDP_NO | CAP_PSDP_NO | CAP_BHI_NO | CAP_PBRSB_NO | CAP_GDS_NO | CAP_RFDS_NO | CAP_ITS_NO)

/* What follows from a set of features. */
#define IF(f, name, bit) ((f) & CV_HAS(name) ? (uint64_t)(bit) : 0)
#define CR4_BASE                                                                                                       \
	(CV_CR4_TSD | CV_CR4_DE | CV_CR4_PSE | CV_CR4_PAE | CV_CR4_PGE | CV_CR4_PCE | CV_CR4_OSFXSR |                     \
	 CV_CR4_OSXMMEXCPT | CV_CR4_OSXSAVE)
#define CR4_OF(f)                                                                                                      \
	(CR4_BASE | IF(f, umip, CV_CR4_UMIP) | IF(f, la57, CV_CR4_LA57) | IF(f, fsgsbase, CV_CR4_FSGSBASE) |              \
	 IF(f, pcid, CV_CR4_PCIDE) | IF(f, smep, CV_CR4_SMEP) | IF(f, smap, CV_CR4_SMAP))
#define XCR0_OF(f) (3 | IF(f, avx, 4))

#define MODEL(lvl, f)                                                                                                  \
	{                                                                                                              \
		.name = "chronovisor-v" #lvl, .level = (lvl), .features = (f), .cr4_mask = CR4_OF(f),                      \
		.efer_mask = CV_EFER_SCE | CV_EFER_LME | CV_EFER_LMA | CV_EFER_NXE, .xcr0_mask = XCR0_OF(f),             \
		.phys_bits = 39, .linear_bits = (f) & CV_HAS(la57) ? 57 : 48, .arch_capabilities = CAPABILITIES,         \
	}

static const struct cv_cpuid_model models[] = {
	MODEL(2, CV_FEATURES_V2),
	MODEL(3, CV_FEATURES_V3),
};

enum { NMODELS = sizeof(models) / sizeof(models[0]), LONG_PREFIX = sizeof("chronovisor-") - 1 };

static const struct cv_feature_info infos[CV_FEATURE_COUNT] = {
#define INFO(n, l, s, r, b) [CV_FEATURE_##n] = {.name = #n, .leaf = (l), .subleaf = (s), .reg = (r), .bit = (b)},
	CV_FEATURE_LIST(INFO)
};

/* What a feature needs: its instructions are encoded or its registers saved by that. */
static const struct {
	enum cv_feature feature, needs;
} needs[] = {
	{CV_FEATURE_fma, CV_FEATURE_avx},     {CV_FEATURE_f16c, CV_FEATURE_avx}, {CV_FEATURE_avx2, CV_FEATURE_avx},
	{CV_FEATURE_invpcid, CV_FEATURE_pcid},
};

enum { NNEEDS = sizeof(needs) / sizeof(needs[0]) };

const struct cv_feature_info *cv_feature_info(enum cv_feature f)
{
	return &infos[f];
}

enum cv_feature cv_feature_needs(enum cv_feature f)
{
	for (unsigned k = 0; k < NNEEDS; k++)
		if (needs[k].feature == f)
			return needs[k].needs;
	return CV_FEATURE_none;
}

const struct cv_cpuid_model *cv_cpuid_model_at(unsigned k)
{
	return k < NMODELS ? &models[k] : NULL;
}

const struct cv_cpuid_model *cv_cpuid_model_find(const char *name)
{
	for (unsigned k = 0; k < NMODELS; k++)
		if (!strcmp(models[k].name, name))
			return &models[k];
	return NULL;
}

/* --- Words of a specification: n bytes, not terminated --- */

static size_t word_length(const char *p)
{
	size_t n = 0;

	while (p[n] && p[n] != ',')
		n++;
	return n;
}

static bool is_word(const char *p, size_t n, const char *word)
{
	return strlen(word) == n && !memcmp(p, word, n);
}

/* A word as an error line can show it: it may come from a damaged file. */
enum { SHOWN = 40 };
static const char *shown(char out[SHOWN + 4], const char *p, size_t n)
{
	size_t k;

	for (k = 0; k < n && k < SHOWN; k++)
		out[k] = p[k] >= ' ' && p[k] <= '~' ? p[k] : '?';
	memcpy(out + k, n > SHOWN ? "..." : "\0\0\0", 4);
	return out;
}

/* Appends to a list in an error line. */
static void add_to_list(char *list, size_t room, const char *what)
{
	size_t at = strlen(list);

	snprintf(list + at, room - at, "%s%s", at ? ", " : "", what);
}

static const struct cv_cpuid_model *find_base(const char *p, size_t n)
{
	for (unsigned k = 0; k < NMODELS; k++)
		if (is_word(p, n, models[k].name) || is_word(p, n, models[k].name + LONG_PREFIX))
			return &models[k];
	return NULL;
}

static int unknown_base(const char *p, size_t n, struct cv_error *err)
{
	char list[64] = "", word[SHOWN + 4];

	for (unsigned k = 0; k < NMODELS; k++)
		add_to_list(list, sizeof(list), models[k].name + LONG_PREFIX);
	return cv_error_set(err, CV_E_BADINPUT, "unknown CPU model '%s': there are %s, each with ,+FEATURE or ,-FEATURE",
			    shown(word, p, n), list);
}

static int unknown_feature(const char *p, size_t n, struct cv_error *err)
{
	char list[CV_CPU_NAME_MAX + CV_FEATURE_COUNT] = "", word[SHOWN + 4];

	for (unsigned f = 1; f < CV_FEATURE_COUNT; f++)
		add_to_list(list, sizeof(list), infos[f].name);
	return cv_error_set(err, CV_E_BADINPUT, "unknown CPU feature '%s': there are %s", shown(word, p, n), list);
}

/* +NAME or -NAME. */
static int apply_feature(const char *p, size_t n, uint64_t *features, struct cv_error *err)
{
	char word[SHOWN + 4];

	if (!n || (*p != '+' && *p != '-'))
		return cv_error_set(err, CV_E_BADINPUT, "CPU feature '%s': write +NAME to add it, -NAME to take it away",
				    shown(word, p, n));
	for (unsigned f = 1; f < CV_FEATURE_COUNT; f++)
		if (is_word(p + 1, n - 1, infos[f].name)) {
			*features = *p == '+' ? *features | 1ull << f : *features & ~(1ull << f);
			return 0;
		}
	return unknown_feature(p + 1, n - 1, err);
}

/* --- The whole --- */

static int check_needs(uint64_t features, struct cv_error *err)
{
	for (unsigned k = 0; k < NNEEDS; k++) {
		enum cv_feature missing = needs[k].needs;
		char who[64] = "", without[64] = "";
		unsigned count = 0;

		if (features >> missing & 1 || !(features >> needs[k].feature & 1))
			continue;
		for (unsigned j = k; j < NNEEDS; j++)
			if (needs[j].needs == missing && features >> needs[j].feature & 1) {
				size_t at = strlen(without);

				add_to_list(who, sizeof(who), infos[needs[j].feature].name);
				snprintf(without + at, sizeof(without) - at, ",-%s", infos[needs[j].feature].name);
				count++;
			}
		return cv_error_set(err, CV_E_BADINPUT, "CPU feature%s %s need%s %s: add ,+%s or %s", count > 1 ? "s" : "", who,
				    count > 1 ? "" : "s", infos[missing].name, infos[missing].name, without);
	}
	return 0;
}

static void derive(struct cv_cpuid_model *m, const struct cv_cpuid_model *base, uint64_t features)
{
	size_t at = strlen(base->name);

	*m = *base;
	m->features = features;
	m->cr4_mask = CR4_OF(features);
	m->xcr0_mask = XCR0_OF(features);
	m->linear_bits = features & CV_HAS(la57) ? 57 : 48;
	for (unsigned f = 1; f < CV_FEATURE_COUNT; f++)
		if ((features ^ base->features) >> f & 1)
			at += (size_t)snprintf(m->name + at, sizeof(m->name) - at, ",%c%s", features >> f & 1 ? '+' : '-',
					       infos[f].name);
}

int cv_cpuid_model_parse(const char *spec, struct cv_cpuid_model *out, struct cv_error *err)
{
	const struct cv_cpuid_model *base = &models[0];
	size_t n = word_length(spec);
	uint64_t features;
	int rc;

	if (*spec != '+' && *spec != '-') {
		base = find_base(spec, n);
		if (!base)
			return unknown_base(spec, n, err);
		spec += n;
	}
	features = base->features;
	while (*spec) {
		spec += *spec == ',';
		n = word_length(spec);
		rc = apply_feature(spec, n, &features, err);
		if (rc)
			return rc;
		spec += n;
	}
	rc = check_needs(features, err);
	if (rc)
		return rc;
	derive(out, base, features);
	return 0;
}
