/* SPDX-License-Identifier: MIT */
/*
 * The table. Sources:
 *	events, umasks, models, errata: Intel's event lists, https://github.com/intel/perfmon, mapfile.csv and the *_core.json that it
 *	names, as of 6dadedf3aa48 (August 2026): BR_INST_RETIRED.CONDITIONAL, .COND, .JCC.
 *	skid, `proven`, SMM: rr, https://github.com/rr-debugger/rr, src/PerfCounters.cc (pmu_configs) and PerfCounters_x86.h as of 01ae9d25aedf.
 *	SMM's branches: rr's issue 3045 and pull request 3063; SDM 3B 17.4.1, IA32_DEBUGCTL bit 14. rr asks for it from Comet Lake on.
 * Where rr has no figure the skid is that of the family's next relative.
 *
 * The JCC event of the small cores is documented for Jcc alone: whether JRCXZ and LOOP are in it is for the self-test to see.
 * The Atoms before Silvermont, Arctic Wolf (family 18's small core) and KNL's predecessors have no such event.
 */
#include "vmm-core/vtx/pmu_events.h"

#include <cpuid.h>
#include <stdio.h>
#include <string.h>

#define M(model) (6u << 8 | (model))
#define F(family, model) ((family) << 8 | (model))
#define MODELS(...) ((const uint16_t[]){__VA_ARGS__, 0})

#define CONDITIONAL "BR_INST_RETIRED.CONDITIONAL", 0xc4, 0x01, 0x00
#define COND "BR_INST_RETIRED.COND", 0xc4, 0x11, 0x00
#define COND_EXT "BR_INST_RETIRED.COND", 0xc4, 0x11, 0x01
#define COND_7 "BR_INST_RETIRED.COND", 0xc4, 0x07, 0x00
#define JCC "BR_INST_RETIRED.JCC", 0xc4, 0x7e, 0x00
#define ATOM_COND "BR_INST_RETIRED.COND", 0xc4, 0x7e, 0x00

static const struct cv_pmu_event table[] = {
	/* name, event, skid, core, proven, SMM, errata, models */
	{"Nehalem", CONDITIONAL, 100, CV_CORE_ANY, true, false, NULL, MODELS(M(0x1a), M(0x1e), M(0x1f), M(0x2e))},
	{"Westmere", CONDITIONAL, 100, CV_CORE_ANY, true, false, NULL, MODELS(M(0x25), M(0x2c), M(0x2f))},
	{"Sandy Bridge", CONDITIONAL, 100, CV_CORE_ANY, true, false, NULL, MODELS(M(0x2a), M(0x2d))},
	{"Ivy Bridge", CONDITIONAL, 100, CV_CORE_ANY, true, false, NULL, MODELS(M(0x3a), M(0x3e))},
	{"Haswell", CONDITIONAL, 100, CV_CORE_ANY, true, false, NULL, MODELS(M(0x3c), M(0x3f), M(0x45), M(0x46))},
	{"Broadwell", CONDITIONAL, 100, CV_CORE_ANY, true, false, NULL, MODELS(M(0x3d), M(0x47), M(0x4f), M(0x56))},
	{"Skylake, Cascade Lake", CONDITIONAL, 100, CV_CORE_ANY, true, false, "SKL091", MODELS(M(0x4e), M(0x55), M(0x5e))},
	{"Kaby Lake, Coffee Lake", CONDITIONAL, 100, CV_CORE_ANY, true, false, "SKL091", MODELS(M(0x8e), M(0x9e))},
	{"Comet Lake", CONDITIONAL, 100, CV_CORE_ANY, true, true, "SKL091", MODELS(M(0xa5), M(0xa6))},
	{"Ice Lake", COND, 100, CV_CORE_ANY, true, true, NULL, MODELS(M(0x6a), M(0x7e))},
	{"Ice Lake (D, Y)", COND, 100, CV_CORE_ANY, false, true, NULL, MODELS(M(0x6c), M(0x7d))},
	{"Tiger Lake", COND, 100, CV_CORE_ANY, true, true, NULL, MODELS(M(0x8c), M(0x8d))},
	{"Rocket Lake", COND, 100, CV_CORE_ANY, true, true, NULL, MODELS(M(0xa7))},
	{"Sapphire Rapids", COND, 125, CV_CORE_ANY, true, true, NULL, MODELS(M(0x8f))},
	{"Emerald Rapids", COND, 125, CV_CORE_ANY, true, true, NULL, MODELS(M(0xcf))},
	{"Granite Rapids", COND, 125, CV_CORE_ANY, false, true, NULL, MODELS(M(0xad), M(0xae))},

	{"Alder Lake, Raptor Lake P-core (Golden Cove)", COND, 125, CV_CORE_P, true, true, NULL,
	 MODELS(M(0x97), M(0x9a), M(0xb7), M(0xba), M(0xbf))},
	{"Alder Lake, Raptor Lake E-core (Gracemont)", ATOM_COND, 125, CV_CORE_E, false, true, NULL,
	 MODELS(M(0x97), M(0x9a), M(0xb7), M(0xba), M(0xbf))},
	{"Meteor Lake P-core (Redwood Cove)", COND, 125, CV_CORE_P, true, true, NULL, MODELS(M(0xaa), M(0xac), M(0xb5))},
	{"Meteor Lake E-core (Crestmont)", ATOM_COND, 125, CV_CORE_E, false, true, "MTL013", MODELS(M(0xaa), M(0xac), M(0xb5))},
	{"Lunar Lake P-core (Lion Cove)", COND_EXT, 125, CV_CORE_P, true, true, NULL, MODELS(M(0xbd))},
	{"Lunar Lake E-core (Skymont)", ATOM_COND, 125, CV_CORE_E, false, true, NULL, MODELS(M(0xbd))},
	{"Arrow Lake P-core (Lion Cove)", COND_EXT, 125, CV_CORE_P, true, true, NULL, MODELS(M(0xc5), M(0xc6))},
	{"Arrow Lake E-core (Skymont, Crestmont)", ATOM_COND, 125, CV_CORE_E, false, true, "ARL011 (Crestmont)",
	 MODELS(M(0xc5), M(0xc6))},
	{"Panther Lake P-core (Cougar Cove)", COND_7, 125, CV_CORE_P, false, true, NULL, MODELS(M(0xcc), M(0xd5), M(0xe5))},
	{"Panther Lake E-core (Darkmont)", COND_7, 125, CV_CORE_E, false, true, NULL, MODELS(M(0xcc), M(0xd5), M(0xe5))},
	{"Nova Lake P-core (Coyote Cove)", COND_7, 125, CV_CORE_P, false, true, NULL, MODELS(F(18u, 0x01), F(18u, 0x03))},

	{"Silvermont, Airmont", JCC, 100, CV_CORE_ANY, true, false, NULL, MODELS(M(0x37), M(0x4a), M(0x4c), M(0x4d), M(0x5a))},
	{"Knights Landing, Knights Mill", JCC, 100, CV_CORE_ANY, false, false, NULL, MODELS(M(0x57), M(0x85))},
	{"Goldmont", JCC, 100, CV_CORE_ANY, true, false, NULL, MODELS(M(0x5c), M(0x5f), M(0x7a))},
	{"Tremont", JCC, 100, CV_CORE_ANY, true, true, NULL, MODELS(M(0x9c))},
	{"Tremont (Snow Ridge, Elkhart Lake)", JCC, 100, CV_CORE_ANY, false, true, NULL, MODELS(M(0x86), M(0x96))},
	{"Alder Lake-N (Gracemont)", ATOM_COND, 125, CV_CORE_ANY, false, true, NULL, MODELS(M(0xbe))},
	{"Sierra Forest (Crestmont)", ATOM_COND, 125, CV_CORE_ANY, false, true, "SRF7", MODELS(M(0xaf))},
	{"Grand Ridge (Crestmont)", ATOM_COND, 125, CV_CORE_ANY, false, true, NULL, MODELS(M(0xb6))},
	{"Clearwater Forest (Darkmont)", COND_7, 125, CV_CORE_ANY, false, true, NULL, MODELS(M(0xdd))},
};

#define NROWS (sizeof(table) / sizeof(table[0]))

void cv_pmu_cpu_here(struct cv_pmu_cpu *cpu)
{
	uint32_t a, b, c, d, top;

	memset(cpu, 0, sizeof(*cpu));
	if (!__get_cpuid(0, &top, &b, &c, &d))
		return;
	memcpy(cpu->vendor, &b, 4);
	memcpy(cpu->vendor + 4, &d, 4);
	memcpy(cpu->vendor + 8, &c, 4);
	if (__get_cpuid(1, &a, &b, &c, &d)) {
		cpu->signature = a;
		cpu->hypervisor = c >> 31;
	}
	if (top >= 0xa && __get_cpuid(0xa, &a, &b, &c, &d)) {
		cpu->version = a & 0xff;
		cpu->counters = a >> 8 & 0xff;
	}
	if (top >= 0x1a && __get_cpuid_count(7, 0, &a, &b, &c, &d) && d >> 15 & 1 && __get_cpuid_count(0x1a, 0, &a, &b, &c, &d))
		cpu->core = (enum cv_core_type)(a >> 24);
}

uint16_t cv_pmu_model(uint32_t signature)
{
	uint32_t family = signature >> 8 & 0xf, model = signature >> 4 & 0xf;

	if (family == 6 || family == 0xf)
		model |= (signature >> 16 & 0xf) << 4;
	if (family == 0xf)
		family += signature >> 20 & 0xff;
	return (uint16_t)(family << 8 | model);
}

static bool lists(const struct cv_pmu_event *e, uint16_t model)
{
	for (const uint16_t *m = e->models; *m; m++)
		if (*m == model)
			return true;
	return false;
}

static int no_counter(const struct cv_pmu_cpu *cpu, struct cv_error *err)
{
	if (cpu->hypervisor)
		return cv_error_set(err, CV_E_NOTFOUND,
				    "no performance counters: this machine is a virtual one that doesn't pass them on; let its host do so "
				    "(QEMU: -cpu host,pmu=on), or run on the metal");
	return cv_error_set(err, CV_E_NOTFOUND,
			    "no architectural performance counters (CPUID leaf 0Ah says version %u): see whether the firmware has switched "
			    "them off",
			    cpu->version);
}

const struct cv_pmu_event *cv_pmu_find(const struct cv_pmu_cpu *cpu, struct cv_error *err)
{
	uint16_t model = cv_pmu_model(cpu->signature);
	bool known = false;

	if (strcmp(cpu->vendor, "GenuineIntel") != 0) {
		cv_error_set(err, CV_E_NOTFOUND, "the CPU's vendor is '%s': VT-x and its counters are Intel's; use --engine soft",
			     cpu->vendor);
		return NULL;
	}
	if (cpu->version < 2 || cpu->counters == 0) {
		no_counter(cpu, err);
		return NULL;
	}
	for (unsigned i = 0; i < NROWS; i++) {
		if (!lists(&table[i], model))
			continue;
		known = true;
		/* A model of the list with cores of one kind only (the small ones switched off) doesn't say it is hybrid. */
		if (table[i].core == cpu->core || (table[i].core == CV_CORE_P && cpu->core == CV_CORE_ANY))
			return &table[i];
	}
	if (known)
		cv_error_set(err, CV_E_NOTFOUND,
			     "family %u model %02Xh has no known counter of conditional branches on cores of type %02Xh; bind the process to "
			     "other cores (taskset; /sys/devices/cpu_core/cpus lists the performance cores), or use --engine soft",
			     model >> 8, model & 0xff, (unsigned)cpu->core);
	else
		cv_error_set(err, CV_E_NOTFOUND,
			     "family %u model %02Xh isn't in the table of counters (vmm-core/vtx/pmu_events.c): a guess could make wrong "
			     "recordings; use --engine soft, and report the model",
			     model >> 8, model & 0xff);
	return NULL;
}

uint64_t cv_pmu_config(const struct cv_pmu_event *e)
{
	return (uint64_t)e->ext << 40 | (uint64_t)e->umask << 8 | e->code;
}

void cv_pmu_advice(const struct cv_pmu_event *e, char freeze, char *buf, size_t n)
{
	size_t at = 0;

	if (n)
		buf[0] = 0;
	if (!e->proven)
		at = (size_t)snprintf(buf, n, "%s: %s is in Intel's lists but nobody has reported recordings with it; the self-test decides. ",
				      e->cpu, e->event);
	if (e->freeze_on_smi && freeze == '0' && at < n)
		at += (size_t)snprintf(buf + at, n - at,
				       "The firmware's SMM code may be counted: as root, `echo 1 > /sys/devices/cpu/freeze_on_smi`. ");
	if (e->errata && at < n)
		snprintf(buf + at, n - at, "Intel lists an erratum for this event: %s. ", e->errata);
}

const struct cv_pmu_event *cv_pmu_row(unsigned i)
{
	return i < NROWS ? &table[i] : NULL;
}
