/* SPDX-License-Identifier: MIT */
/*
 * Why VT-x can't be used here, or can, in words; and what the host's CPU has of what a CPU model announces.
 *
 * A guest executes most instructions on the host's CPU, which must therefore have each that CPUID announces to it. Not RDRAND and
 * RDSEED, which exit, nor UMIP, whose instructions do; nor what is a matter of speed alone (ERMS, FSRM).
 */
#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm-core/vtx/internal.h"
#include "vmm-core/x86/cpuid.h"

/* --- Refusals --- */

static const struct {
	uint32_t bit;
	const char *text;
} refusals[] = {
	{CVVTX_NO_VMX, "this CPU has no VT-x (or a hypervisor hides it: enable nested virtualization there)"},
	{CVVTX_NO_BIOS, "the firmware has locked VT-x off: enable \"Intel Virtualization Technology\" (VMX) in the BIOS setup"},
	{CVVTX_NO_OTHER, "another hypervisor uses VT-x: end its virtual machines and unload it (modprobe -r kvm_intel)"},
	{CVVTX_NO_EPT, "this CPU has no extended page tables (EPT) of the kind that is needed: it is older than Nehalem, or a hypervisor hides them"},
	{CVVTX_NO_UNRESTRICTED, "this CPU has no \"unrestricted guest\": it is older than Westmere, or a hypervisor hides it"},
	{CVVTX_NO_RDTSC_EXITING, "this CPU (or the hypervisor around it) can't make RDTSC exit"},
	{CVVTX_NO_MSR_BITMAP, "this CPU (or the hypervisor around it) has no MSR bitmaps"},
	{CVVTX_NO_NMI, "this CPU (or the hypervisor around it) has no virtual NMIs"},
	{CVVTX_NO_EFER, "this CPU (or the hypervisor around it) can't load EFER and PAT at entry and exit"},
	{CVVTX_NO_RDRAND_EXITING, "this CPU has RDRAND and can't make it exit, so what a guest reads from it couldn't be recorded"},
	{CVVTX_NO_FRED, "this host's kernel takes its events by FRED, which the module can't restore: boot it with fred=off"},
};

/* Bits of `refused` that alone are no reason. */
#define HARMLESS (CVVTX_NO_VPID | CVVTX_NO_DTABLE)

enum { NREFUSALS = sizeof(refusals) / sizeof(refusals[0]) };

static void append(char *buf, size_t n, const char *text)
{
	size_t at = strlen(buf);

	if (at + 1 < n)
		snprintf(buf + at, n - at, "%s", text);
}

void vtx_refusal_text(uint32_t refused, char *buf, size_t n)
{
	bool any = false;

	snprintf(buf, n, "VT-x can't be used: ");
	for (unsigned k = 0; k < NREFUSALS; k++)
		if (refused & refusals[k].bit) {
			append(buf, n, any ? "; " : "");
			append(buf, n, refusals[k].text);
			any = true;
		}
	if (!any)
		append(buf, n, "the module refuses for a reason that this program doesn't know: it is newer");
}

bool vtx_refuses(uint32_t refused)
{
	return refused & ~HARMLESS;
}

void vtx_open_text(int open_errno, char *buf, size_t n)
{
	switch (open_errno) {
	case ENOENT: case ENXIO: case ENODEV:
		snprintf(buf, n, "no %s: load the kernel module (modprobe chronovisor_vtx, or build it: vmm-core/kmod)", CVVTX_DEVICE);
		break;
	case EACCES: case EPERM:
		snprintf(buf, n, "%s may not be opened by this user: it belongs to root (sudo, or a udev rule that gives it to a group)",
			 CVVTX_DEVICE);
		break;
	case EBUSY:
		snprintf(buf, n, "%s is busy: another hypervisor uses VT-x (modprobe -r kvm_intel), or a CPU is being taken offline",
			 CVVTX_DEVICE);
		break;
	default:
		snprintf(buf, n, "%s can't be opened: %s", CVVTX_DEVICE, strerror(open_errno));
	}
}

/* --- The CPU's features --- */

/* Announced without the host's having them: what they ask for exits, or is a matter of speed. */
#define SUPPLIED (CV_FEATURES_NONE | CV_HAS(rdrand) | CV_HAS(rdseed) | CV_HAS(umip) | CV_HAS(erms) | CV_HAS(fsrm))

static bool host_has(enum cv_feature f)
{
	const struct cv_feature_info *i = cv_feature_info(f);
	uint32_t r[4];

	if (!__get_cpuid_count(i->leaf, i->subleaf, &r[0], &r[1], &r[2], &r[3]))
		return false;
	return r[i->reg] >> i->bit & 1;
}

uint64_t vtx_missing_features(const struct cv_cpuid_model *model, uint32_t refused)
{
	uint64_t missing = refused & CVVTX_NO_DTABLE ? model->features & CV_HAS(umip) : 0;

	for (unsigned f = 1; f < CV_FEATURE_COUNT; f++)
		if (model->features & ~SUPPLIED & 1ull << f && !host_has((enum cv_feature)f))
			missing |= 1ull << f;
	return missing;
}

/* The shortest specification of the model without these. */
static void without(const struct cv_cpuid_model *model, uint64_t missing, char *buf, size_t n)
{
	uint64_t left = model->features & ~missing;

	/* What needs a missing one goes, too. */
	for (unsigned f = 1; f < CV_FEATURE_COUNT; f++) {
		enum cv_feature needed = cv_feature_needs((enum cv_feature)f);

		if (needed != CV_FEATURE_none && missing >> needed & 1)
			left &= ~(1ull << f);
	}
	snprintf(buf, n, "%s", model->name);
	for (unsigned f = 1; f < CV_FEATURE_COUNT; f++)
		if ((model->features ^ left) >> f & 1) {
			append(buf, n, ",-");
			append(buf, n, cv_feature_info((enum cv_feature)f)->name);
		}
}

void vtx_missing_text(const struct cv_cpuid_model *model, uint64_t missing, char *buf, size_t n)
{
	char spec[CV_CPU_NAME_MAX * 2];
	bool any = false;

	snprintf(buf, n, "this host's CPU lacks ");
	for (unsigned f = 1; f < CV_FEATURE_COUNT; f++)
		if (missing >> f & 1) {
			append(buf, n, any ? ", " : "");
			append(buf, n, cv_feature_info((enum cv_feature)f)->name);
			any = true;
		}
	without(model, missing, spec, sizeof(spec));
	append(buf, n, " of the CPU model: use --cpu ");
	append(buf, n, spec);
	append(buf, n, ", or --engine soft");
}

/*
 * The usual model, with those features of the host whose encodings mean another thing without them: TZCNT is BSF, LZCNT is BSR. Compilers
 * emit the first on any CPU, the host's CPU executes it as what it is there, and the software engine by the model.
 */
static void default_model(char *buf, size_t n)
{
	static const enum cv_feature two_meanings[] = {CV_FEATURE_bmi1, CV_FEATURE_lzcnt};

	snprintf(buf, n, "chronovisor-v2");
	for (unsigned k = 0; k < sizeof(two_meanings) / sizeof(two_meanings[0]); k++)
		if (host_has(two_meanings[k])) {
			append(buf, n, ",+");
			append(buf, n, cv_feature_info(two_meanings[k])->name);
		}
}

/* --- For people --- */

void cv_vtx_probe(struct cv_vtx_probe *p)
{
	struct vtx_device d;
	struct cv_error err;

	memset(p, 0, sizeof(*p));
	cv_error_clear(&err);
	p->unit = CV_COUNT_STEPS;
	default_model(p->cpu, sizeof(p->cpu));
	if (vtx_device_open(&d, &err)) {
		snprintf(p->text, sizeof(p->text), "%.*s", (int)sizeof(p->text) - 1, err.msg);
		return;
	}
	if (d.info.features & CVVTX_HAS_EXACT_TIMER) {
		p->usable = true;
		snprintf(p->text, sizeof(p->text), "VT-x with EPT%s%s, counter: bench (the preemption timer, exact in this emulator)",
			 d.info.features & CVVTX_HAS_VPID ? ", VPID" : "", d.info.features & CVVTX_HAS_MTF ? ", MTF" : "");
	} else {
		snprintf(p->text, sizeof(p->text),
			 "VT-x works here, but no counter gives exact positions in the unit that recordings use: use --engine soft");
	}
	vtx_device_release(&d);
}
