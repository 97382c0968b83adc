/* SPDX-License-Identifier: MIT */
/* What the host's CPU is and has. */
#include <cpuid.h>
#include <stdio.h>
#include <sys/auxv.h>

#include "tests/native/native.h"
#include "tests/unit/host_vendor.h"

static uint64_t announced(void)
{
	uint64_t f = CV_FEATURES_NONE;
	unsigned r[4];

#define ASK(name, leaf, subleaf, reg, bit) \
	if (__get_cpuid_count(leaf, subleaf, &r[0], &r[1], &r[2], &r[3]) && r[reg] >> (bit) & 1) \
		f |= CV_HAS(name);
	CV_FEATURE_LIST(ASK)
#undef ASK
	return f;
}

static bool flag_in_cpuinfo(const char *flag)
{
	char line[8192];
	FILE *f = fopen("/proc/cpuinfo", "r");
	bool found = false;

	while (f && fgets(line, sizeof(line), f) && !found) {
		char *at = line;

		while (!found && (at = strstr(at, flag))) {
			at += strlen(flag);
			found = *at == ' ' || *at == '\n';
		}
	}
	if (f)
		fclose(f);
	return found;
}

void nat_host_ask(struct nat_host *h)
{
	unsigned a, b, c, d;
	uint32_t xcr0 = 0;
	static const char amd[] = "AuthenticAMD";

	memset(h, 0, sizeof(*h));
	h->intel = host_is_intel();
	__cpuid(0, a, b, c, d);
	h->amd = !memcmp(&b, amd, 4) && !memcmp(&d, amd + 4, 4) && !memcmp(&c, amd + 8, 4);
	__cpuid(1, a, b, c, d);
	h->xsave = c & bit_OSXSAVE;
	if (h->xsave)
		__asm__ volatile("xgetbv" : "=a"(xcr0) : "c"(0) : "edx");
	h->xcr0 = xcr0;
	h->features = announced() & CV_FEATURES_ALL;
	h->avx = (xcr0 & 6) == 6 && h->features & CV_HAS(avx);
	if (!h->avx)
		h->features &= ~(CV_HAS(avx) | CV_HAS(avx2) | CV_HAS(fma) | CV_HAS(f16c));
	if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
		h->avx512 = b & bit_AVX512F;
		h->rtm = b & bit_RTM;
		h->fdp_on_exception = b >> 6 & 1;
	}
	/* The instructions, and a kernel that lets programs use them. */
	h->fsgsbase = h->features & CV_HAS(fsgsbase) && getauxval(AT_HWCAP2) & 2;
	if (!h->fsgsbase)
		h->features &= ~CV_HAS(fsgsbase);
	h->la57 = flag_in_cpuinfo("la57");
	{
		uint8_t image[512] __attribute__((aligned(16)));

		__asm__ volatile("fxsave %0" : "=m"(image));
		memcpy(&h->mxcsr_mask, image + 28, 4);
		if (!h->mxcsr_mask)
			h->mxcsr_mask = 0xffbf;
	}
}
