/* SPDX-License-Identifier: MIT */
/*
 * `cpus`: what --cpu takes.
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static const char *short_name(const struct cv_cpuid_model *m)
{
	const char *dash = strchr(m->name, '-');

	return dash ? dash + 1 : m->name;
}

static void print_models(void)
{
	const struct cv_cpuid_model *m;

	printf("models:\n");
	for (unsigned k = 0; (m = cv_cpuid_model_at(k)) != NULL; k++)
		printf("  %-12s x86-64-v%u, %s\n", short_name(m), m->level, m->name);
}

static void print_feature(enum cv_feature f)
{
	static const char *const registers[4] = {"EAX", "EBX", "ECX", "EDX"};
	const struct cv_feature_info *i = cv_feature_info(f);
	const struct cv_cpuid_model *m;

	printf("  %-12s", i->name);
	for (unsigned k = 0; (m = cv_cpuid_model_at(k)) != NULL; k++)
		printf(" %-3s", m->features >> f & 1 ? short_name(m) : "");
	printf("  CPUID %xh.%u:%s[%u]", i->leaf, i->subleaf, registers[i->reg], i->bit);
	if (cv_feature_needs(f) != CV_FEATURE_none)
		printf(", needs %s", cv_feature_info(cv_feature_needs(f))->name);
	printf("\n");
}

int cmd_cpus(const struct options *o)
{
	(void)o;
	print_models();
	printf("features, the models that have them, and where CPUID says so:\n");
	for (unsigned f = 1; f < CV_FEATURE_COUNT; f++)
		print_feature((enum cv_feature)f);
	return EXIT_GUEST_OK;
}
