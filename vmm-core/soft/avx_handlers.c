/* SPDX-License-Identifier: MIT */
/*
 * Which handler runs for which VEX-encoded vector instruction, and the slow ways that those handlers share.
 */
#include "vmm-core/soft/avx.h"

/* By length (128, 256) and by operand (memory, register). A scalar takes either length. */
struct handlers {
	cv_handler *fn[2][2];
};

#define V(n) [CV_OP_##n] = {{{fp_##n##_m, fp_##n##_r}, {fp_##n##_my, fp_##n##_ry}}},
#define VM(n) [CV_OP_##n] = {{{fp_##n##_m, NULL}, {fp_##n##_my, NULL}}},
#define VR(n) [CV_OP_##n] = {{{NULL, fp_##n##_r}, {NULL, fp_##n##_ry}}},
#define V1(n) [CV_OP_##n] = {{{fp_##n##_m, fp_##n##_r}, {fp_##n##_m, fp_##n##_r}}},
#define V1M(n) [CV_OP_##n] = {{{fp_##n##_m, NULL}, {fp_##n##_m, NULL}}},
#define V1R(n) [CV_OP_##n] = {{{NULL, fp_##n##_r}, {NULL, fp_##n##_r}}},
#define VY(n) [CV_OP_##n] = {{{NULL, NULL}, {fp_##n##_my, fp_##n##_ry}}},
#define VYM(n) [CV_OP_##n] = {{{NULL, NULL}, {fp_##n##_my, NULL}}},
static const struct handlers handlers[CV_OP_COUNT] = {
#include "vmm-core/x86/ops_avx.def"
};
#undef V
#undef VM
#undef VR
#undef V1
#undef V1M
#undef V1R
#undef VY
#undef VYM

cv_handler *soft_handler_avx(const struct cv_insn *i)
{
	const struct handlers *h = &handlers[i->op < CV_OP_COUNT ? i->op : CV_OP_none];

	/* VZEROUPPER and VZEROALL have no ModRM. */
	if (i->op == CV_OP_vzeroupper || i->op == CV_OP_vzeroall)
		return h->fn[i->op == CV_OP_vzeroall][1];
	return h->fn[!!(i->vex & CV_VEX_L)][i->mod == 3];
}

void avx_raise(struct soft_cpu *c, const struct cv_insn *i)
{
	soft_raise(c, i, c->fp_block & FP_BLOCK_AVX_UD ? EXC_UD : EXC_NM);
}

/* --- Memory by the general path --- */

static bool aligned(struct soft_cpu *c, const struct cv_insn *i, enum soft_access access)
{
	uint64_t la = soft_ea(c, i) + (c->mode != 64 || i->seg >= CV_FS ? c->s.seg[i->seg].base : 0);

	/* In 64-bit mode before the canonical form is looked at, as with 16 bytes (fp_handlers.c). */
	if (c->mode != 64 && !soft_linear(c, i, i->seg, soft_ea(c, i), 32, access, &la))
		return false;
	if (la & 31) {
		soft_raise_error(c, i, EXC_GP, 0);
		return false;
	}
	return soft_linear(c, i, i->seg, soft_ea(c, i), 32, access, &la);
}

struct avx avx_slow_load256(struct soft_cpu *c, const struct cv_insn *i)
{
	struct avx v = {_mm_setzero_si128(), _mm_setzero_si128()};

	c->fault.vector = -1;
	soft_load(c, i, i->seg, soft_ea(c, i), &v, 32);
	return v;
}

struct avx avx_slow_load256a(struct soft_cpu *c, const struct cv_insn *i)
{
	struct avx v = {_mm_setzero_si128(), _mm_setzero_si128()};

	c->fault.vector = -1;
	if (aligned(c, i, SOFT_READ))
		soft_load(c, i, i->seg, soft_ea(c, i), &v, 32);
	return v;
}

bool avx_slow_store256(struct soft_cpu *c, const struct cv_insn *i, struct avx v)
{
	return soft_store(c, i, i->seg, soft_ea(c, i), &v, 32);
}

bool avx_slow_store256a(struct soft_cpu *c, const struct cv_insn *i, struct avx v)
{
	return aligned(c, i, SOFT_WRITE) && soft_store(c, i, i->seg, soft_ea(c, i), &v, 32);
}
