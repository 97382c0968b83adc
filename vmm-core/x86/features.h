/* SPDX-License-Identifier: MIT */
/*
 * What a CPU model may have beyond the baseline: x86-64-v2 without extras, which every model has. One bit each; a set of
 * them is a uint64_t. The decoder asks it (an instruction outside the set is #UD, or what its bytes mean on a CPU without
 * it), CPUID announces it, CR4, XCR0 and the MSRs follow it.
 *
 * X(name, CPUID leaf, subleaf, register 0..3 = EAX..EDX, bit): the name is the one that the command line takes.
 */
#ifndef CV_FEATURES_H
#define CV_FEATURES_H

#define CV_FEATURE_LIST(X) \
	X(pclmulqdq, 1, 0, 2, 1) \
	X(fma, 1, 0, 2, 12) \
	X(pcid, 1, 0, 2, 17) \
	X(movbe, 1, 0, 2, 22) \
	X(aes, 1, 0, 2, 25) \
	X(avx, 1, 0, 2, 28) \
	X(f16c, 1, 0, 2, 29) \
	X(rdrand, 1, 0, 2, 30) \
	X(fsgsbase, 7, 0, 1, 0) \
	X(bmi1, 7, 0, 1, 3) \
	X(avx2, 7, 0, 1, 5) \
	X(smep, 7, 0, 1, 7) \
	X(bmi2, 7, 0, 1, 8) \
	X(erms, 7, 0, 1, 9) \
	X(invpcid, 7, 0, 1, 10) \
	X(rdseed, 7, 0, 1, 18) \
	X(adx, 7, 0, 1, 19) \
	X(smap, 7, 0, 1, 20) \
	X(clflushopt, 7, 0, 1, 23) \
	X(clwb, 7, 0, 1, 24) \
	X(sha, 7, 0, 1, 29) \
	X(umip, 7, 0, 2, 2) \
	X(la57, 7, 0, 2, 16) \
	X(rdpid, 7, 0, 2, 22) \
	X(fsrm, 7, 0, 3, 4) \
	X(xsaveopt, 0xd, 1, 0, 0) \
	X(xsavec, 0xd, 1, 0, 1) \
	X(xgetbv1, 0xd, 1, 0, 2) \
	X(lzcnt, 0x80000001, 0, 2, 5)

enum cv_feature {
	CV_FEATURE_none = 0, /* the baseline: always there */
#define CV_FEATURE_ENUM(name, leaf, subleaf, reg, bit) CV_FEATURE_##name,
	CV_FEATURE_LIST(CV_FEATURE_ENUM)
#undef CV_FEATURE_ENUM
	CV_FEATURE_COUNT
};

#define CV_HAS(name) (1ull << CV_FEATURE_##name)
/* Bit 0 is always set: a row without a feature asks for it. */
#define CV_FEATURES_NONE 1ull
#define CV_FEATURES_ALL ((1ull << CV_FEATURE_COUNT) - 1)

/* Of the models that have a name. */
#define CV_FEATURES_V2 \
	(CV_FEATURES_NONE | CV_HAS(rdrand) | CV_HAS(rdseed) | CV_HAS(fsgsbase) | CV_HAS(smep) | CV_HAS(smap) | CV_HAS(umip) | \
	 CV_HAS(erms) | CV_HAS(fsrm))
/* Everything but 5-level paging, which a kernel would take at once and pay for with a longer walk. */
#define CV_FEATURES_V3 (CV_FEATURES_ALL & ~CV_HAS(la57))

#endif
