/* SPDX-License-Identifier: MIT */
/*
 * The CPU model chronovisor-v2: x86-64-v2 (SSE to SSE4.2, POPCNT, CMPXCHG16B, LAHF in 64-bit mode), as SDM 2A, CPUID,
 * lays its leaves out.
 *
 * What it says, and why:
 * - GenuineIntel family 6 model 36h: an in-order Atom, the family of Intel's 64-bit processors that does not speculate,
 *   as this CPU doesn't. Kernels look for no speculation erratum there and leave out every mitigation. They judge that by
 *   model, and some of it by nothing else: Linux clears the branch history in each system call of any CPU that has
 *   enhanced IBRS or the hypervisor bit, whatever IA32_ARCH_CAPABILITIES says.
 * - IA32_ARCH_CAPABILITIES says that nothing leaks, for those that ask.
 * - TSC invariant, at 1 GHz by leaf 15h (25 MHz crystal, ratio 40): kernels calibrate nothing. The local APIC's timer
 *   counts the same crystal.
 * - The hypervisor bit with a signature and no interface: kernels skip microcode loading and errata of real silicon.
 * - ERMS and FSRM: a REP MOVS or REP STOS is one instruction here, the fastest way to move memory.
 * - The selectors of the x87's last instruction and operand are deprecated: FSAVE, FXSAVE and XSAVE store zeros for them.
 * - No machine check, MONITOR, PCID, VMX, performance counters, x2APIC, VME: they are not there.
 */
#include <string.h>

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
       L1C_POPCNT = BIT(23), L1C_TSC_DEADLINE = BIT(24), L1C_XSAVE = BIT(26), L1C_OSXSAVE = BIT(27),
       L1C_RDRAND = BIT(30) };
#define L1C_HYPERVISOR BIT(31)
enum { L1D_FPU = BIT(0), L1D_DE = BIT(2), L1D_PSE = BIT(3), L1D_TSC = BIT(4), L1D_MSR = BIT(5), L1D_PAE = BIT(6),
       L1D_CX8 = BIT(8), L1D_APIC = BIT(9), L1D_SEP = BIT(11), L1D_MTRR = BIT(12), L1D_PGE = BIT(13),
       L1D_CMOV = BIT(15), L1D_PAT = BIT(16), L1D_PSE36 = BIT(17), L1D_CLFSH = BIT(19), L1D_MMX = BIT(23),
       L1D_FXSR = BIT(24), L1D_SSE = BIT(25), L1D_SSE2 = BIT(26) };
/* Leaf 7. */
enum { L7B_FSGSBASE = BIT(0), L7B_TSC_ADJUST = BIT(1), L7B_SMEP = BIT(7), L7B_ERMS = BIT(9), L7B_NO_FCS_FDS = BIT(13),
       L7B_RDSEED = BIT(18), L7B_SMAP = BIT(20), L7C_UMIP = BIT(2), L7D_FSRM = BIT(4), L7D_ARCH_CAP = BIT(29) };
/* Leaf 80000001h. */
enum { X1C_LAHF64 = BIT(0), X1D_SYSCALL = BIT(11), X1D_NX = BIT(20), X1D_1G = BIT(26), X1D_RDTSCP = BIT(27),
       X1D_LM = BIT(29) };

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

static const struct cv_cpuid_model models[] = {
	{
		.name = "chronovisor-v2",
		.features = CV_FEATURES_V2,
		.cr4_mask = CV_CR4_TSD | CV_CR4_DE | CV_CR4_PSE | CV_CR4_PAE | CV_CR4_PGE | CV_CR4_PCE |
			    CV_CR4_OSFXSR | CV_CR4_OSXMMEXCPT | CV_CR4_UMIP | CV_CR4_FSGSBASE | CV_CR4_OSXSAVE |
			    CV_CR4_SMEP | CV_CR4_SMAP,
		.efer_mask = CV_EFER_SCE | CV_EFER_LME | CV_EFER_LMA | CV_EFER_NXE,
		.xcr0_mask = 3,
		.phys_bits = 39,
		.arch_capabilities = CAP_RDCL_NO | CAP_SKIP_L1DFL | CAP_SSB_NO | CAP_MDS_NO |
				     CAP_PSCHANGE_MC_NO | CAP_TAA_NO | CAP_SBDR_SSDP_NO | CAP_FBSDP_NO | CAP_PSDP_NO |
				     CAP_BHI_NO | CAP_PBRSB_NO | CAP_GDS_NO | CAP_RFDS_NO | CAP_ITS_NO,
	},
};

static const char brand[48] = "Chronovisor v2 virtual CPU";

const struct cv_cpuid_model *cv_cpuid_model_find(const char *name)
{
	for (size_t k = 0; k < sizeof(models) / sizeof(models[0]); k++)
		if (!strcmp(models[k].name, name))
			return &models[k];
	return NULL;
}

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
		     L1C_XSAVE | L1C_RDRAND | L1C_HYPERVISOR;
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

/* XSAVE: x87 and SSE, 512 bytes and the header. */
static void leaf_d(const struct cv_cpuid_model *m, uint32_t subleaf, uint32_t out[4])
{
	if (subleaf == 0)
		put(out, (uint32_t)m->xcr0_mask, 576, 576, (uint32_t)(m->xcr0_mask >> 32));
	else
		put(out, 0, 0, 0, 0);
}

static void basic(const struct cv_cpuid_model *m, const struct cv_vcpu_state *s, uint32_t leaf, uint32_t subleaf,
		  uint32_t out[4])
{
	static const char vendor[] = "GenuineIntel";
	bool limited = s->misc_enable & (1u << 22);

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
			put(out, 0,
			    L7B_FSGSBASE | L7B_TSC_ADJUST | L7B_SMEP | L7B_ERMS | L7B_NO_FCS_FDS | L7B_RDSEED | L7B_SMAP,
			    L7C_UMIP, L7D_FSRM | L7D_ARCH_CAP);
		break;
	case 0xb:
		leaf_b(subleaf, out);
		break;
	case 0xd:
		leaf_d(m, subleaf, out);
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

	put(out, 0, 0, 0, 0);
	switch (leaf) {
	case 0x80000000:
		out[0] = MAX_EXTENDED;
		break;
	case 0x80000001:
		/* Intel's processors have SYSCALL in 64-bit mode only, and say so only there. */
		put(out, 0, 0, X1C_LAHF64, (mode64 ? X1D_SYSCALL : 0) | X1D_NX | X1D_1G | X1D_RDTSCP | X1D_LM);
		break;
	case 0x80000002: case 0x80000003: case 0x80000004:
		p = brand + 16 * (leaf - 0x80000002);
		put(out, letters(p), letters(p + 4), letters(p + 8), letters(p + 12));
		break;
	case 0x80000006:
		out[2] = 256u << 16 | 6u << 12 | 64; /* L2: 256 KiB, 8 ways, 64-byte lines */
		break;
	case 0x80000007:
		out[3] = BIT(8); /* invariant TSC */
		break;
	case 0x80000008:
		out[0] = m->phys_bits | 48u << 8;
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
