/* SPDX-License-Identifier: MIT */
/*
 * Which handler runs for which decoded x87, MMX or SSE instruction, and the slow ways that those handlers share:
 * memory by the general path, and the faults that come before execution.
 */
#include "vmm-core/soft/fp.h"

/* By form (0: XMM, x87; 1: MMX) and by operand (memory, register). */
struct handlers {
	cv_handler *fn[2][2];
};

#define X(n) [CV_OP_##n] = {{{fp_##n##_m, fp_##n##_r}}},
#define XM(n) [CV_OP_##n] = {{{fp_##n##_m, NULL}}},
#define XR(n) [CV_OP_##n] = {{{NULL, fp_##n##_r}}},
#define XI(n) [CV_OP_##n] = {{{fp_##n##_m, fp_##n##_r}, {fp_##n##_qm, fp_##n##_qr}}},
#define XIR(n) [CV_OP_##n] = {{{NULL, fp_##n##_r}, {NULL, fp_##n##_qr}}},
static const struct handlers handlers[CV_OP_COUNT] = {
#include "vmm-core/x86/ops_fp.def"
#include "vmm-core/x86/ops_crypto.def"
};
#undef X
#undef XM
#undef XR
#undef XI
#undef XIR

cv_handler *soft_handler_fp(const struct cv_insn *i)
{
	const struct handlers *h = &handlers[i->op < CV_OP_COUNT ? i->op : CV_OP_none];

	if (!h->fn[0][0] && !h->fn[0][1])
		return NULL;
	/* Those without ModRM (FWAIT, EMMS) decode as a register form or as none. */
	return h->fn[i->form & 1][i->mod == 3 || !h->fn[0][0]];
}

void fp_raise_sse(struct soft_cpu *c, const struct cv_insn *i)
{
	soft_raise(c, i, c->fp_block & FP_BLOCK_SSE_UD ? EXC_UD : EXC_NM);
}

void fp_raise_mmx(struct soft_cpu *c, const struct cv_insn *i)
{
	soft_raise(c, i, c->fp_block & FP_BLOCK_MMX_UD ? EXC_UD : c->fp_block & FP_BLOCK_X87_NM ? EXC_NM : EXC_MF);
}

void fp_raise_x87(struct soft_cpu *c, const struct cv_insn *i)
{
	soft_raise(c, i, c->fp_block & FP_BLOCK_X87_NM ? EXC_NM : EXC_MF);
}

bool fp_simd_flags(struct soft_cpu *c, const struct cv_insn *i, unsigned flags)
{
	unsigned unmasked = flags & ~(c->s.mxcsr >> 7) & FSW_EXCEPTIONS;
	const unsigned before = FSW_IE | FSW_DE | FSW_ZE;

	if (unmasked & before)
		flags &= before;
	c->s.mxcsr |= flags;
	if (!unmasked)
		return true;
	soft_raise(c, i, c->s.cr4 & CV_CR4_OSXMMEXCPT ? EXC_XM : EXC_UD);
	return false;
}

/* --- Memory by the general path --- */

static bool aligned(struct soft_cpu *c, const struct cv_insn *i, enum soft_access access)
{
	uint64_t la = soft_ea(c, i) + (c->mode != 64 || i->seg >= CV_FS ? c->s.seg[i->seg].base : 0);

	/* In 64-bit mode before the canonical form is looked at, which would be #SS(0) for some. */
	if (c->mode != 64 && !soft_linear(c, i, i->seg, soft_ea(c, i), 16, access, &la))
		return false;
	if (la & 15) {
		soft_raise_error(c, i, EXC_GP, 0);
		return false;
	}
	return soft_linear(c, i, i->seg, soft_ea(c, i), 16, access, &la);
}

__m128i fp_slow_load128(struct soft_cpu *c, const struct cv_insn *i)
{
	__m128i v = _mm_setzero_si128();

	c->fault.vector = -1;
	soft_load(c, i, i->seg, soft_ea(c, i), &v, 16);
	return v;
}

__m128i fp_slow_load128a(struct soft_cpu *c, const struct cv_insn *i)
{
	__m128i v = _mm_setzero_si128();

	c->fault.vector = -1;
	if (aligned(c, i, SOFT_READ))
		soft_load(c, i, i->seg, soft_ea(c, i), &v, 16);
	return v;
}

uint64_t fp_slow_load(struct soft_cpu *c, const struct cv_insn *i, unsigned n)
{
	uint64_t v = 0;

	c->fault.vector = -1;
	soft_load(c, i, i->seg, soft_ea(c, i), &v, n);
	return v;
}

bool fp_slow_store128(struct soft_cpu *c, const struct cv_insn *i, __m128i v)
{
	return soft_store(c, i, i->seg, soft_ea(c, i), &v, 16);
}

bool fp_slow_store128a(struct soft_cpu *c, const struct cv_insn *i, __m128i v)
{
	return aligned(c, i, SOFT_WRITE) && soft_store(c, i, i->seg, soft_ea(c, i), &v, 16);
}

bool fp_slow_store(struct soft_cpu *c, const struct cv_insn *i, uint64_t v, unsigned n)
{
	return soft_store(c, i, i->seg, soft_ea(c, i), &v, n);
}

bool fp_store_runs(struct soft_cpu *c, const struct cv_insn *i, uint64_t off, const void *p, uint32_t mask)
{
	const uint8_t *b = p;
	unsigned first, last;
	uint64_t linear;

	if (!mask)
		return true;
	/* The address is cut to its size, what lies behind it isn't: an operand that begins at FFFCh goes on at 10000h. */
	off &= i->asize == 8 ? UINT64_MAX : i->asize == 4 ? UINT32_MAX : UINT16_MAX;
	first = (unsigned)__builtin_ctz(mask);
	last = 31 - (unsigned)__builtin_clz(mask);
	if (c->mode == 64 && !soft_linear(c, i, i->seg, off + first, last - first + 1, SOFT_WRITE, &linear))
		return false;
	/* Asked for by its first and its last byte that are stored: a fault on a second page is at the latter. */
	if (!soft_probe_store(c, i, i->seg, off + first, 1) || !soft_probe_store(c, i, i->seg, off + last, 1))
		return false;
	for (unsigned k = first, n; k <= last; k += n) {
		bool on = mask >> k & 1;

		for (n = 1; k + n <= last && (mask >> (k + n) & 1) == on; n++)
			;
		if (on && !soft_store(c, i, i->seg, off + k, b + k, n))
			return false;
	}
	return true;
}

bool fp_masked_store(struct soft_cpu *c, const struct cv_insn *i, __m128i v, unsigned mask)
{
	uint64_t low = i->asize == 8 ? UINT64_MAX : i->asize == 4 ? UINT32_MAX : UINT16_MAX, to = c->s.gpr[CV_RDI];
	bool mmx = i->op == CV_OP_maskmovdqu && i->form == 1;
	const uint8_t *b = (const uint8_t *)&v;

	/* Processors ask for each half whole, the upper one first, whatever the mask says; no byte is misaligned then. */
	if ((!mmx && !soft_probe_store(c, i, i->seg, (to + 8) & low, 8)) || !soft_probe_store(c, i, i->seg, to & low, 8))
		return false;
	if (c->mmu != SOFT_MMU_ALIGN)
		return fp_store_runs(c, i, to, &v, mask);
	for (unsigned k = 0; k < 16; k++)
		if (mask >> k & 1 && !soft_store(c, i, i->seg, (to + k) & low, b + k, 1))
			return false;
	return true;
}
