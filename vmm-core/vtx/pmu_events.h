/* SPDX-License-Identifier: MIT */
/*
 * Which event of which Intel CPU counts conditional branches retired, how late its overflow may come, and what is known against it.
 *
 * A CPU that isn't in the table is refused: the same event number counts something else elsewhere (on Ice Lake, what was
 * "conditional" is "conditional and taken"). A CPU in the table still has to pass the self-test (selftest.h).
 */
#ifndef CV_VTX_PMU_EVENTS_H
#define CV_VTX_PMU_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm-core/error.h"

/* Of a hybrid CPU (CPUID.1AH:EAX 31:24); ANY: all cores are alike. */
enum cv_core_type { CV_CORE_ANY = 0, CV_CORE_E = 0x20, CV_CORE_P = 0x40 };

struct cv_pmu_event {
	const char *cpu;	   /* "Skylake" */
	const char *event;	   /* Intel's name for it */
	uint8_t code, umask, ext;  /* IA32_PERFEVTSELx 7:0, 15:8 and (ext) 47:40 */
	uint16_t skid;		   /* margin: the overflow is seen at most this many conditional branches late */
	enum cv_core_type core;
	bool proven;		   /* rr has relied on it for recordings; else it is in Intel's lists alone */
	bool freeze_on_smi;	   /* SMM's branches are seen in it unless IA32_DEBUGCTL.FREEZE_WHILE_SMM is set */
	const char *errata;	   /* as Intel's list names them for the event; NULL: none */
	const uint16_t *models;	   /* family << 8 | model, 0 ends */
};

/* What identifies a core. */
struct cv_pmu_cpu {
	char vendor[13];
	uint32_t signature; /* CPUID.1:EAX */
	enum cv_core_type core;
	uint8_t version;    /* CPUID.0AH:EAX 7:0: architectural performance monitoring; 0: none, or hidden by a hypervisor */
	uint8_t counters;   /* CPUID.0AH:EAX 15:8 */
	bool hypervisor;    /* CPUID.1:ECX 31 */
};

/* The core that executes this; a hybrid CPU answers by the core, so the thread must be bound to it first. */
void cv_pmu_cpu_here(struct cv_pmu_cpu *cpu);

/* Display family and model, family << 8 | model (SDM 2A, CPUID leaf 1). */
uint16_t cv_pmu_model(uint32_t signature);

/* The event for this core. NULL, CV_E_NOTFOUND and one line why there is none and what to do. */
const struct cv_pmu_event *cv_pmu_find(const struct cv_pmu_cpu *cpu, struct cv_error *err);

/* As perf's raw config and the module's pmu_event: bits 7:0, 15:8, 47:40. */
uint64_t cv_pmu_config(const struct cv_pmu_event *e);

/* What is to be said about it though it may be used: 0 or more sentences. freeze: the content of /sys/devices/cpu/freeze_on_smi, 0 where absent. */
void cv_pmu_advice(const struct cv_pmu_event *e, char freeze, char *buf, size_t n);

/* The table, for those that show it. NULL behind the last. */
const struct cv_pmu_event *cv_pmu_row(unsigned i);

#endif
