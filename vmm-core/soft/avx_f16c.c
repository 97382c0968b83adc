/* SPDX-License-Identifier: MIT */
/*
 * F16C: VCVTPH2PS and VCVTPS2PH, by half.c. The halves take half the length of the singles: 4 are 64 bits, of a register or
 * of memory. Elements are converted in c's sight alone, so that no local's address is let out of a handler.
 */
#define SOFT_CORE 1
#include "vmm-core/soft/element.h"
#include "vmm-core/soft/simd.h"

/* --- Memory: 64 bits of halves need no alignment, not even where it is checked (SDM 2A 2.4, exceptions type 11) --- */

static void set_mmu(struct soft_cpu *c, uint8_t mmu)
{
	c->mmu = mmu;
	c->tlb_now = c->tlb[mmu];
}
static __attribute__((noinline)) uint64_t load_halves(struct soft_cpu *c, const struct cv_insn *i)
{
	uint8_t mmu = c->mmu;
	uint64_t v;

	set_mmu(c, mmu == SOFT_MMU_ALIGN ? SOFT_MMU_USER : mmu);
	v = fp_slow_load(c, i, 8);
	set_mmu(c, mmu);
	return v;
}
static bool store_halves(struct soft_cpu *c, const struct cv_insn *i, const uint16_t *v, unsigned n)
{
	uint8_t mmu = c->mmu;
	bool ok;

	set_mmu(c, mmu == SOFT_MMU_ALIGN ? SOFT_MMU_USER : mmu);
	ok = soft_store(c, i, i->seg, soft_ea(c, i), v, 2 * n);
	set_mmu(c, mmu);
	return ok;
}

/* --- To single --- */

static unsigned singles(__m128i halves, unsigned n, uint32_t *out)
{
	unsigned flags = 0;
	uint16_t in[8];

	memcpy(in, &halves, 16);
	for (unsigned k = 0; k < n; k++) {
		struct rounded r = soft_half_to_single(in[k]);

		out[k] = (uint32_t)r.bits;
		flags |= r.flags;
	}
	return flags;
}

static __attribute__((noinline)) bool to_singles(struct soft_cpu *c, const struct cv_insn *i, __m128i halves, unsigned n)
{
	uint32_t out[8] = {0};
	struct avx v;

	if (!fp_simd_flags(c, i, singles(halves, n, out)))
		return false;
	memcpy(&v.lo, out, 16);
	memcpy(&v.hi, out + 4, 16);
	avx_set_ymm(c, i->reg, v);
	return true;
}

FP_HANDLER(vcvtph2ps_m)
{
	const uint8_t *h;
	uint64_t b;

	FP_AVX();
	h = fp_read_ptr(c, i, 8);
	if (unlikely(!h && !slow))
		return FP_MISS;
	if (likely(h != NULL))
		memcpy(&b, h, 8);
	else
		b = load_halves(c, i);
	if (unlikely(!h && c->fault.vector >= 0))
		return false;
	return to_singles(c, i, fp_from64(b), 4);
}
FP_HANDLER(vcvtph2ps_r)
{
	FP_AVX();
	return to_singles(c, i, fp_xmm(c, i->rm), 4);
}
FP_HANDLER(vcvtph2ps_my)
{
	FP_AVX();
	FP_LOAD128(b);
	return to_singles(c, i, b, 8);
}
FP_HANDLER(vcvtph2ps_ry)
{
	FP_AVX();
	return to_singles(c, i, fp_xmm(c, i->rm), 8);
}

/* --- To half --- */

/* What the first n singles meet, and as halves; imm 1:0 round, unless bit 2 says as MXCSR does. */
static unsigned halves(const struct soft_cpu *c, const struct cv_insn *i, struct avx v, unsigned n, uint16_t *out)
{
	uint32_t in[8], mxcsr = c->s.mxcsr;
	unsigned flags = 0;

	if (!(i->imm & 4))
		mxcsr = (mxcsr & ~(uint32_t)MXCSR_RC) | (uint32_t)(i->imm & 3) << 13;
	memcpy(in, &v.lo, 16);
	memcpy(in + 4, &v.hi, 16);
	for (unsigned k = 0; k < n; k++) {
		struct rounded r = soft_single_to_half(in[k], mxcsr);

		out[k] = (uint16_t)r.bits;
		flags |= r.flags;
	}
	return flags;
}

static __attribute__((noinline)) bool halves_to_xmm(struct soft_cpu *c, const struct cv_insn *i, unsigned n)
{
	uint16_t out[8] = {0};
	__m128i v;

	if (!fp_simd_flags(c, i, halves(c, i, avx_ymm(c, i->reg), n, out)))
		return false;
	memcpy(&v, out, 16);
	avx_set_xmm(c, i->rm, v);
	return true;
}

/* As the processor does it: #XM comes before what the store raises, and the flags stay set if it does. */
static __attribute__((noinline)) bool halves_to_memory(struct soft_cpu *c, const struct cv_insn *i, unsigned n)
{
	uint16_t out[8] = {0};

	return fp_simd_flags(c, i, halves(c, i, avx_ymm(c, i->reg), n, out)) &&
	       store_halves(c, i, out, n);
}
FP_HANDLER(vcvtps2ph_m)
{
	FP_AVX();
	return halves_to_memory(c, i, 4);
}
FP_HANDLER(vcvtps2ph_r)
{
	FP_AVX();
	return halves_to_xmm(c, i, 4);
}
FP_HANDLER(vcvtps2ph_my)
{
	FP_AVX();
	return halves_to_memory(c, i, 8);
}
FP_HANDLER(vcvtps2ph_ry)
{
	FP_AVX();
	return halves_to_xmm(c, i, 8);
}
