/* SPDX-License-Identifier: MIT */
/*
 * CPU models: what CPUID and the capability MSRs announce. Frozen: a model's answers never change once a recording
 * could hold its name.
 */
#ifndef CV_CPUID_H
#define CV_CPUID_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm-core/x86/features.h"

struct cv_vcpu_state;

struct cv_cpuid_model {
	const char *name; /* "chronovisor-v2" */
	uint64_t features; /* a set of CV_HAS(...): what it has beyond the baseline; vmm-core/x86/features.h */
	uint64_t cr4_mask; /* CR4 bits that may be set */
	uint64_t efer_mask;
	uint64_t xcr0_mask;
	unsigned phys_bits;
	uint64_t arch_capabilities;
};

/* NULL where no model has that name. */
const struct cv_cpuid_model *cv_cpuid_model_find(const char *name);
/* CPUID as the guest in state s sees it (OSXSAVE and the XSAVE size follow CR4 and XCR0). out: EAX, EBX, ECX, EDX. */
void cv_cpuid(const struct cv_cpuid_model *m, const struct cv_vcpu_state *s, uint32_t leaf, uint32_t subleaf,
	      uint32_t out[4]);
/*
 * Sets the model-specific registers as firmware leaves them for a kernel: MTRRs on, RAM write-back, devices below 4 GiB
 * uncacheable. Without it kernels find all memory uncacheable. For boot loaders, after cv_vcpu_reset().
 */
void cv_cpuid_firmware_state(const struct cv_cpuid_model *m, struct cv_vcpu_state *s);

#endif
