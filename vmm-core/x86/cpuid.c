/* SPDX-License-Identifier: MIT */
/*
 * CPUID: the baseline, x86-64-v2 (SSE to SSE4.2, POPCNT, CMPXCHG16B, LAHF in 64-bit mode), and on top of it the bits of
 * the model's features (vmm-core/x86/features.h), as SDM 2A, CPUID, lays its leaves out.
 *
 * What every model says, and why:
 * - GenuineIntel family 6 model 36h: an in-order Atom, the family of Intel's 64-bit processors that does not speculate,
 *   as this CPU doesn't. Kernels look for no speculation erratum there and leave out every mitigation. They judge that by
 *   model, and some of it by nothing else: Linux clears the branch history in each system call of any CPU that has
 *   enhanced IBRS or the hypervisor bit, whatever IA32_ARCH_CAPABILITIES says.
 * - IA32_ARCH_CAPABILITIES says that nothing leaks, for those that ask.
 * - TSC invariant, at 1 GHz by leaf 15h (25 MHz crystal, ratio 40): kernels calibrate nothing. The local APIC's timer
 *   counts the same crystal.
 * - The hypervisor bit with a signature and no interface: kernels skip microcode loading and errata of real silicon.
 * - ERMS and FSRM (both models): a REP MOVS or REP STOS is one instruction here, the fastest way to move memory.
 * - The x87's last opcode and data pointer are kept for unmasked exceptions alone; the selectors of its last instruction and
 *   operand are deprecated: FSAVE, FXSAVE and XSAVE store zeros for them.
 * - No machine check, MONITOR, VMX, performance counters, x2APIC, VME: they are not there.
 */
#include "vmm-core/state.h"
#include "vmm-core/x86/cpuid.h"

#define BIT(n) (1u << (n))

enum { MAX_BASIC = 0x16, LIMITED_BASIC = 3 };
#define HYPERVISOR_LEAF 0x40000000u
#define EXTENDED_LEAF 0x80000000u
#define MAX_EXTENDED 0x80000008u

enum { SIGNATURE = 0x00030669, CRYSTAL_HZ = 25000000, TSC_RATIO = 40, TSC_MHZ = 1000, BUS_MHZ = 100 };

/* Leaf 1. */
enum { L1C_SSE3 = BIT(0), L1C_SSSE3 = BIT(9), L1C_CX16 = BIT(13), L1C_SSE41 = BIT(19), L1C_SSE42 = BIT(20),
       L1C_POPCNT = BIT(23), L1C_TSC_DEADLINE = BIT(24), L1C_XSAVE = BIT(26), L1C_OSXSAVE = BIT(27) };
#define L1C_HYPERVISOR BIT(31)
enum { L1D_FPU = BIT(0), L1D_DE = BIT(2), L1D_PSE = BIT(3), L1D_TSC = BIT(4), L1D_MSR = BIT(5), L1D_PAE = BIT(6),
       L1D_CX8 = BIT(8), L1D_APIC = BIT(9), L1D_SEP = BIT(11), L1D_MTRR = BIT(12), L1D_PGE = BIT(13),
       L1D_CMOV = BIT(15), L1D_PAT = BIT(16), L1D_PSE36 = BIT(17), L1D_CLFSH = BIT(19), L1D_MMX = BIT(23),
       L1D_FXSR = BIT(24), L1D_SSE = BIT(25), L1D_SSE2 = BIT(26) };
/* Leaf 7. */
enum { L7B_TSC_ADJUST = BIT(1), L7B_FDP_EXCPTN_ONLY = BIT(6), L7B_NO_FCS_FDS = BIT(13), L7D_ARCH_CAP = BIT(29) };
/* Leaf 80000001h. */
enum { X1C_LAHF64 = BIT(0), X1D_SYSCALL = BIT(11), X1D_NX = BIT(20), X1D_1G = BIT(26), X1D_RDTSCP = BIT(27),
       X1D_LM = BIT(29) };

static const char brand_v2[48] = "Chronovisor v2 virtual CPU";
static const char brand_v3[48] = "Chronovisor v3 virtual CPU";

static void put(uint32_t out[4], uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
	out[0] = a;
	out[1] = b;
	out[2] = c;
	out[3] = d;
}

/* Twelve characters into EBX, and the other two in the order that the leaf wants. */
static uint32_t letters(const char *p)
{
	return (uint32_t)(uint8_t)p[0] | (uint32_t)(uint8_t)p[1] << 8 | (uint32_t)(uint8_t)p[2] << 16 |
	       (uint32_t)(uint8_t)p[3] << 24;
}

/* One level of leaf 4. type: 1 data, 2 code, 3 unified. */
static void cache(uint32_t out[4], unsigned type, unsigned level, unsigned ways, unsigned sets)
{
	put(out, type | level << 5 | BIT(8), (ways - 1) << 22 | (64 - 1), sets - 1, 0);
}

static void leaf_4(uint32_t subleaf, uint32_t out[4])
{
	switch (subleaf) {
	case 0: cache(out, 1, 1, 8, 64); break;
	case 1: cache(out, 2, 1, 4, 128); break;
	case 2: cache(out, 3, 2, 8, 512); break;
	case 3: cache(out, 3, 3, 16, 8192); break;
	default: put(out, 0, 0, 0, 0); break;
	}
}

static void leaf_1(const struct cv_vcpu_state *s, uint32_t out[4])
{
	uint32_t c = L1C_SSE3 | L1C_SSSE3 | L1C_CX16 | L1C_SSE41 | L1C_SSE42 | L1C_POPCNT | L1C_TSC_DEADLINE |
		     L1C_XSAVE | L1C_HYPERVISOR;
	uint32_t d = L1D_FPU | L1D_DE | L1D_PSE | L1D_TSC | L1D_MSR | L1D_PAE | L1D_CX8 | L1D_APIC | L1D_SEP | L1D_MTRR |
		     L1D_PGE | L1D_CMOV | L1D_PAT | L1D_PSE36 | L1D_CLFSH | L1D_MMX | L1D_FXSR | L1D_SSE | L1D_SSE2;

	if (s->cr4 & CV_CR4_OSXSAVE)
		c |= L1C_OSXSAVE;
	/* One logical processor, lines of 64 bytes. */
	put(out, SIGNATURE, 1u << 16 | 8u << 8, c, d);
}

/* One thread, one core (SDM 3A 8.9). */
static void leaf_b(uint32_t subleaf, uint32_t out[4])
{
	if (subleaf < 2)
		put(out, 0, 1, subleaf | (subleaf + 1) << 8, 0);
	else
		put(out, 0, 0, subleaf & 0xff, 0);
}

/* XSAVE (SDM 1 13.2): the legacy region and the header, then the upper halves of the YMM registers. */
enum { XSAVE_LEGACY = 576, XSAVE_YMM = 256, XCR0_AVX = 4 };

static uint32_t xsave_size(uint64_t components)
{
	return XSAVE_LEGACY + (components & XCR0_AVX ? XSAVE_YMM : 0);
}

static void leaf_d(const struct cv_cpuid_model *m, const struct cv_vcpu_state *s, uint32_t subleaf, uint32_t out[4])
{
	put(out, 0, 0, 0, 0);
	if (subleaf == 0)
		put(out, (uint32_t)m->xcr0_mask, xsave_size(s->xcr0), xsave_size(m->xcr0_mask),
		    (uint32_t)(m->xcr0_mask >> 32));
	else if (subleaf == 1 && (m->features & CV_HAS(xsavec))) /* of the compacted format */
		out[1] = xsave_size(s->xcr0);
	else if (subleaf == 2 && (m->xcr0_mask & XCR0_AVX))
		put(out, XSAVE_YMM, XSAVE_LEGACY, 0, 0);
}

/* What the features add to a leaf. */
static void add_features(const struct cv_cpuid_model *m, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	if (leaf != 7 && leaf != 0xd)
		subleaf = 0; /* the others have none, whatever ECX holds */
	for (unsigned f = 1; f < CV_FEATURE_COUNT; f++) {
		const struct cv_feature_info *i = cv_feature_info((enum cv_feature)f);

		if (i->leaf == leaf && i->subleaf == subleaf && (m->features >> f & 1))
			out[i->reg] |= BIT(i->bit);
	}
}

static void basic(const struct cv_cpuid_model *m, const struct cv_vcpu_state *s, uint32_t leaf, uint32_t subleaf,
		  uint32_t out[4])
{
	static const char vendor[] = "GenuineIntel";
	bool limited = s->misc_enable & CV_MISC_LIMIT_CPUID;

	put(out, 0, 0, 0, 0);
	switch (leaf) {
	case 0:
		put(out, limited ? LIMITED_BASIC : MAX_BASIC, letters(vendor), letters(vendor + 8), letters(vendor + 4));
		break;
	case 1:
		leaf_1(s, out);
		break;
	case 2:
		put(out, 0x0000ff01, 0, 0, 0xf0); /* caches: leaf 4; prefetch of 64 bytes */
		break;
	case 4:
		leaf_4(subleaf, out);
		break;
	case 6:
		out[0] = BIT(2); /* ARAT: the APIC timer never stops */
		break;
	case 7:
		if (subleaf == 0)
			put(out, 0, L7B_TSC_ADJUST | L7B_FDP_EXCPTN_ONLY | L7B_NO_FCS_FDS, 0, L7D_ARCH_CAP);
		break;
	case 0xb:
		leaf_b(subleaf, out);
		break;
	case 0xd:
		leaf_d(m, s, subleaf, out);
		break;
	case 0x15:
		put(out, 1, TSC_RATIO, CRYSTAL_HZ, 0);
		break;
	case 0x16:
		put(out, TSC_MHZ, TSC_MHZ, BUS_MHZ, 0);
		break;
	default:
		break;
	}
}

static void extended(const struct cv_cpuid_model *m, const struct cv_vcpu_state *s, uint32_t leaf, uint32_t out[4])
{
	bool mode64 = (s->efer & CV_EFER_LMA) && (s->seg[CV_CS].ar & CV_AR_L);
	const char *p;
	uint32_t nx;

	put(out, 0, 0, 0, 0);
	switch (leaf) {
	case 0x80000000:
		out[0] = MAX_EXTENDED;
		break;
	case 0x80000001:
		/* Intel's processors have SYSCALL in 64-bit mode only, and say so only there. */
		nx = s->misc_enable & CV_MISC_XD_DISABLE ? 0 : X1D_NX;
		put(out, 0, 0, X1C_LAHF64, (mode64 ? X1D_SYSCALL : 0) | nx | X1D_1G | X1D_RDTSCP | X1D_LM);
		break;
	case 0x80000002: case 0x80000003: case 0x80000004:
		p = (m->level == 3 ? brand_v3 : brand_v2) + 16 * (leaf - 0x80000002);
		put(out, letters(p), letters(p + 4), letters(p + 8), letters(p + 12));
		break;
	case 0x80000006:
		out[2] = 256u << 16 | 6u << 12 | 64; /* L2: 256 KiB, 8 ways, 64-byte lines */
		break;
	case 0x80000007:
		out[3] = BIT(8); /* invariant TSC */
		break;
	case 0x80000008:
		out[0] = m->phys_bits | m->linear_bits << 8;
		break;
	default:
		break;
	}
}

void cv_cpuid(const struct cv_cpuid_model *m, const struct cv_vcpu_state *s, uint32_t leaf, uint32_t subleaf,
	      uint32_t out[4])
{
	static const char signature[13] = "Chronovisor";

	if (leaf >= EXTENDED_LEAF && leaf <= MAX_EXTENDED)
		extended(m, s, leaf, out);
	else if (leaf == HYPERVISOR_LEAF)
		put(out, HYPERVISOR_LEAF, letters(signature), letters(signature + 4), letters(signature + 8));
	else if (leaf > HYPERVISOR_LEAF && leaf < HYPERVISOR_LEAF + 0x10000000)
		put(out, 0, 0, 0, 0);
	else
		/* Beyond the highest leaf Intel's processors answer with that leaf. */
		basic(m, s, leaf <= MAX_BASIC ? leaf : MAX_BASIC, subleaf, out);
	add_features(m, leaf, subleaf, out);
}

void cv_cpuid_firmware_state(const struct cv_cpuid_model *m, struct cv_vcpu_state *s)
{
	uint64_t phys_mask = (1ull << m->phys_bits) - 1;

	s->misc_enable = 1; /* fast strings */
	s->mtrr_def_type = 0xc06;
	for (unsigned k = 0; k < 11; k++)
		s->mtrr_fix[k] = 0x0606060606060606; /* write back... */
	s->mtrr_fix[2] = 0;			     /* ... but for A0000h..BFFFFh */
	s->mtrr_base[0] = 0xc0000000;		     /* devices: 3 GiB..4 GiB uncacheable */
	s->mtrr_mask[0] = (phys_mask & ~0x3fffffffull) | 0x800;
}
