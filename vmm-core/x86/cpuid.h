/* SPDX-License-Identifier: MIT */
/*
 * CPU models: what CPUID and the capability MSRs announce. Frozen: a model's answers never change once a recording
 * could hold its name.
 */
#ifndef CV_CPUID_H
#define CV_CPUID_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm-core/error.h"
#include "vmm-core/x86/features.h"

struct cv_vcpu_state;

/* Room for the longest canonical name: a base and a word for each feature. */
#define CV_CPU_NAME_WORD(name, leaf, subleaf, reg, bit) ",+" #name
#define CV_CPU_NAME_MAX (sizeof("chronovisor-v2" CV_FEATURE_LIST(CV_CPU_NAME_WORD)))

/* Plain data; everything below `features` follows from it and the level. */
struct cv_cpuid_model {
	char name[CV_CPU_NAME_MAX]; /* canonical: "chronovisor-v2", "chronovisor-v3,-avx2,+la57" */
	unsigned level;		    /* 2 or 3: the base that its name begins with */
	uint64_t features; /* a set of CV_HAS(...): what it has beyond the baseline; vmm-core/x86/features.h */
	uint64_t cr4_mask; /* CR4 bits that may be set */
	uint64_t efer_mask;
	uint64_t xcr0_mask;
	unsigned phys_bits;
	unsigned linear_bits; /* 48, or 57: the widest linear address */
	uint64_t arch_capabilities;
};

/* Where CPUID announces a feature. reg: 0 to 3 for EAX to EDX. */
struct cv_feature_info {
	const char *name;
	uint32_t leaf;
	uint8_t subleaf, reg, bit;
};

/* f: not CV_FEATURE_none. */
const struct cv_feature_info *cv_feature_info(enum cv_feature f);
/* The feature without which f can't be had, or CV_FEATURE_none. */
enum cv_feature cv_feature_needs(enum cv_feature f);

/* The models that have a name, in order; NULL beyond the last. */
const struct cv_cpuid_model *cv_cpuid_model_at(unsigned k);
/* By its whole name; NULL where none has it. */
const struct cv_cpuid_model *cv_cpuid_model_find(const char *name);
/*
 * A model from "v3", "chronovisor-v2", "v3,-avx2,+la57" (vmm-core/x86/model.c has the grammar). CV_E_BADINPUT with one
 * line that says what is known or missing; *out is then as it was.
 */
int cv_cpuid_model_parse(const char *spec, struct cv_cpuid_model *out, struct cv_error *err);
/* CPUID as the guest in state s sees it (OSXSAVE and the XSAVE size follow CR4 and XCR0). out: EAX, EBX, ECX, EDX. */
void cv_cpuid(const struct cv_cpuid_model *m, const struct cv_vcpu_state *s, uint32_t leaf, uint32_t subleaf,
	      uint32_t out[4]);
/*
 * Sets the model-specific registers as firmware leaves them for a kernel: MTRRs on, RAM write-back, devices below 4 GiB
 * uncacheable. Without it kernels find all memory uncacheable. For boot loaders, after cv_vcpu_reset().
 */
void cv_cpuid_firmware_state(const struct cv_cpuid_model *m, struct cv_vcpu_state *s);

#endif
