/* SPDX-License-Identifier: MIT */
/*
 * AVX: moves of whole registers and their parts, inserts and extracts, signs to general registers, VZEROUPPER and VZEROALL,
 * MXCSR. Nothing here computes.
 */
#ifndef __clang__
#pragma GCC target("sse4.2")
#endif
#define SOFT_CORE 1
#include "vmm-core/soft/avx.h"
#include "vmm-core/soft/sse_ops.h"

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("sse4.2"))), apply_to = function)
#endif

/* --- Whole registers --- */

#define LOAD(name, load128, load256) \
FP_HANDLER(name##_m) \
{ \
	FP_AVX(); \
	load128(v); \
	avx_set_xmm(c, i->reg, v); \
	return true; \
} \
FP_HANDLER(name##_my) \
{ \
	FP_AVX(); \
	load256(v); \
	avx_set_ymm(c, i->reg, v); \
	return true; \
}
#define STORE(name, store128, store256) \
FP_HANDLER(name##_m) \
{ \
	FP_AVX(); \
	return store128(fp_xmm(c, i->reg)); \
} \
FP_HANDLER(name##_my) \
{ \
	FP_AVX(); \
	return store256(avx_ymm(c, i->reg)); \
}
#define COPY(name, to, from) \
FP_HANDLER(name##_r) \
{ \
	FP_AVX(); \
	avx_set_xmm(c, i->to, fp_xmm(c, i->from)); \
	return true; \
} \
FP_HANDLER(name##_ry) \
{ \
	FP_AVX(); \
	avx_set_ymm(c, i->to, avx_ymm(c, i->from)); \
	return true; \
}
LOAD(vmovups, FP_LOAD128, AVX_LOAD256)
LOAD(vmovdqu, FP_LOAD128, AVX_LOAD256)
LOAD(vlddqu, FP_LOAD128, AVX_LOAD256)
LOAD(vmovaps, FP_LOAD128A, AVX_LOAD256A)
LOAD(vmovdqa, FP_LOAD128A, AVX_LOAD256A)
LOAD(vmovntdqa, FP_LOAD128A, AVX_LOAD256A)
STORE(vmovups_st, FP_STORE128, AVX_STORE256)
STORE(vmovdqu_st, FP_STORE128, AVX_STORE256)
STORE(vmovaps_st, FP_STORE128A, AVX_STORE256A)
STORE(vmovdqa_st, FP_STORE128A, AVX_STORE256A)
STORE(vmovntps, FP_STORE128A, AVX_STORE256A)
STORE(vmovntdq, FP_STORE128A, AVX_STORE256A)
COPY(vmovups, reg, rm)
COPY(vmovdqu, reg, rm)
COPY(vmovaps, reg, rm)
COPY(vmovdqa, reg, rm)
COPY(vmovups_st, rm, reg)
COPY(vmovdqu_st, rm, reg)
COPY(vmovaps_st, rm, reg)
COPY(vmovdqa_st, rm, reg)

FP_HANDLER(vzeroupper_r)
{
	FP_AVX();
	for (unsigned k = 0; k < (c->mode == 64 ? 16u : 8u); k++)
		c->s.ymm[k][2] = c->s.ymm[k][3] = 0;
	return true;
}
FP_HANDLER(vzeroall_r)
{
	FP_AVX();
	for (unsigned k = 0; k < (c->mode == 64 ? 16u : 8u); k++)
		avx_set_xmm(c, k, _mm_setzero_si128());
	return true;
}

FP_HANDLER(vldmxcsr_m)
{
	FP_AVX();
	FP_LOAD(32, v);
	if (v & ~0xffffull) {
		soft_raise_error(c, i, EXC_GP, 0);
		return false;
	}
	c->s.mxcsr = (uint32_t)v;
	return true;
}
FP_HANDLER(vstmxcsr_m)
{
	FP_AVX();
	return FP_STORE(c->s.mxcsr, 4);
}

/* --- Scalars: from memory the rest becomes zero, from a register it is the first source's --- */

#define SCALAR(name, bits, words) \
FP_HANDLER(name##_m) \
{ \
	FP_AVX(); \
	FP_LOAD(bits, v); \
	avx_set_xmm(c, i->reg, fp_from64(v)); \
	return true; \
} \
FP_HANDLER(name##_r) \
{ \
	FP_AVX(); \
	avx_set_xmm(c, i->reg, _mm_blend_epi16(fp_xmm(c, i->vvvv), fp_xmm(c, i->rm), words)); \
	return true; \
} \
FP_HANDLER(name##_st_m) \
{ \
	FP_AVX(); \
	return FP_STORE(c->s.ymm[i->reg][0], bits / 8); \
} \
FP_HANDLER(name##_st_r) \
{ \
	FP_AVX(); \
	avx_set_xmm(c, i->rm, _mm_blend_epi16(fp_xmm(c, i->vvvv), fp_xmm(c, i->reg), words)); \
	return true; \
}
SCALAR(vmovss, 32, 0x03)
SCALAR(vmovsd, 64, 0x0f)

FP_HANDLER(vmovq_m)
{
	FP_AVX();
	FP_LOAD(64, v);
	avx_set_xmm(c, i->reg, fp_from64(v));
	return true;
}
FP_HANDLER(vmovq_r)
{
	FP_AVX();
	avx_set_xmm(c, i->reg, fp_from64(c->s.ymm[i->rm][0]));
	return true;
}
FP_HANDLER(vmovq_st_m)
{
	FP_AVX();
	return FP_STORE(c->s.ymm[i->reg][0], 8);
}
FP_HANDLER(vmovq_st_r)
{
	FP_AVX();
	avx_set_xmm(c, i->rm, fp_from64(c->s.ymm[i->reg][0]));
	return true;
}
/* VMOVD and VMOVQ between XMM and general registers or memory: 8 bytes with VEX.W. */
FP_HANDLER(vmovd_m)
{
	FP_AVX();
	if (i->rex & 8) {
		FP_LOAD(64, v);
		avx_set_xmm(c, i->reg, fp_from64(v));
	} else {
		FP_LOAD(32, v);
		avx_set_xmm(c, i->reg, fp_from64(v));
	}
	return true;
}
FP_HANDLER(vmovd_r)
{
	uint64_t v = c->s.gpr[i->rm];

	FP_AVX();
	avx_set_xmm(c, i->reg, fp_from64(i->rex & 8 ? v : (uint32_t)v));
	return true;
}
FP_HANDLER(vmovd_st_m)
{
	FP_AVX();
	return FP_STORE(c->s.ymm[i->reg][0], i->rex & 8 ? 8 : 4);
}
FP_HANDLER(vmovd_st_r)
{
	FP_AVX();
	fp_set_gpr(c, i, i->rm, c->s.ymm[i->reg][0]);
	return true;
}

/* --- Halves --- */

#define HALF(name, expr) \
FP_HANDLER(name##_m) \
{ \
	__m128i a, b; \
	FP_AVX(); \
	FP_LOAD(64, v); \
	a = fp_xmm(c, i->vvvv); \
	b = fp_from64(v); \
	avx_set_xmm(c, i->reg, expr); \
	return true; \
}
HALF(vmovlps, _mm_blend_epi16(a, b, 0x0f))
HALF(vmovhps, _mm_unpacklo_epi64(a, b))
FP_HANDLER(vmovhlps_r)
{
	FP_AVX();
	avx_set_xmm(c, i->reg, _mm_unpackhi_epi64(fp_xmm(c, i->rm), fp_xmm(c, i->vvvv)));
	return true;
}
FP_HANDLER(vmovlhps_r)
{
	FP_AVX();
	avx_set_xmm(c, i->reg, _mm_unpacklo_epi64(fp_xmm(c, i->vvvv), fp_xmm(c, i->rm)));
	return true;
}
FP_HANDLER(vmovlps_st_m)
{
	FP_AVX();
	return FP_STORE(c->s.ymm[i->reg][0], 8);
}
FP_HANDLER(vmovhps_st_m)
{
	FP_AVX();
	return FP_STORE(c->s.ymm[i->reg][1], 8);
}

/* --- Signs --- */

#define SIGNS(name, signs, elements) \
FP_HANDLER(name##_r) \
{ \
	__m128i v; \
	FP_AVX(); \
	v = fp_xmm(c, i->rm); \
	c->s.gpr[i->reg] = (unsigned)(signs); \
	return true; \
} \
FP_HANDLER(name##_ry) \
{ \
	__m128i v; \
	unsigned low; \
	FP_AVX(); \
	v = fp_xmm(c, i->rm); \
	low = (unsigned)(signs); \
	v = avx_ymm(c, i->rm).hi; \
	c->s.gpr[i->reg] = low | (unsigned)(signs) << (elements); \
	return true; \
}
SIGNS(vmovmskps, _mm_movemask_ps(ps(v)), 4)
SIGNS(vmovmskpd, _mm_movemask_pd(pd(v)), 2)
SIGNS(vpmovmskb, _mm_movemask_epi8(v), 16)

FP_HANDLER(vmaskmovdqu_r)
{
	FP_AVX();
	return fp_masked_store(c, i, fp_xmm(c, i->reg), (unsigned)_mm_movemask_epi8(fp_xmm(c, i->rm)));
}

/* --- Insert and extract --- */

FP_INLINE void insert(struct soft_cpu *c, const struct cv_insn *i, unsigned k, unsigned bytes, uint64_t v)
{
	avx_set_xmm(c, i->reg, fp_xmm(c, i->vvvv));
	put_element(c, i->reg, k, bytes, v);
}
#define INSERT(name, bits, mask) \
FP_HANDLER(name##_m) \
{ \
	FP_AVX(); \
	FP_LOAD(bits, v); \
	insert(c, i, i->imm & (mask), bits / 8, v); \
	return true; \
} \
FP_HANDLER(name##_r) \
{ \
	FP_AVX(); \
	insert(c, i, i->imm & (mask), bits / 8, c->s.gpr[i->rm]); \
	return true; \
}
INSERT(vpinsrb, 8, 15)
INSERT(vpinsrw, 16, 7)
FP_HANDLER(vpinsrd_m)
{
	FP_AVX();
	if (i->rex & 8) {
		FP_LOAD(64, v);
		insert(c, i, i->imm & 1, 8, v);
	} else {
		FP_LOAD(32, v);
		insert(c, i, i->imm & 3, 4, v);
	}
	return true;
}
FP_HANDLER(vpinsrd_r)
{
	uint64_t v = c->s.gpr[i->rm];

	FP_AVX();
	if (i->rex & 8)
		insert(c, i, i->imm & 1, 8, v);
	else
		insert(c, i, i->imm & 3, 4, v);
	return true;
}
FP_HANDLER(vinsertps_m)
{
	FP_AVX();
	FP_LOAD(32, v);
	avx_set_xmm(c, i->reg, insertps_of(fp_xmm(c, i->vvvv), (uint32_t)v, i->imm));
	return true;
}
FP_HANDLER(vinsertps_r)
{
	uint32_t v;

	FP_AVX();
	v = (uint32_t)element(c, i->rm, (i->imm >> 6) & 3, 4);
	avx_set_xmm(c, i->reg, insertps_of(fp_xmm(c, i->vvvv), v, i->imm));
	return true;
}

FP_HANDLER(vpextrw_r) /* 0F C5: Gd, Udq, Ib */
{
	FP_AVX();
	c->s.gpr[i->reg] = element(c, i->rm, i->imm & 7, 2);
	return true;
}
#define EXTRACT(name, mask, bytes) \
FP_HANDLER(name##_m) \
{ \
	FP_AVX(); \
	return FP_STORE(element(c, i->reg, i->imm & (mask), bytes), bytes); \
} \
FP_HANDLER(name##_r) \
{ \
	FP_AVX(); \
	c->s.gpr[i->rm] = element(c, i->reg, i->imm & (mask), bytes); \
	return true; \
}
EXTRACT(vpextrb, 15, 1)
EXTRACT(vpextrw_st, 7, 2)
EXTRACT(vextractps, 3, 4)
FP_HANDLER(vpextrd_m)
{
	FP_AVX();
	if (i->rex & 8)
		return FP_STORE(element(c, i->reg, i->imm & 1, 8), 8);
	return FP_STORE(element(c, i->reg, i->imm & 3, 4), 4);
}
FP_HANDLER(vpextrd_r)
{
	FP_AVX();
	c->s.gpr[i->rm] = i->rex & 8 ? element(c, i->reg, i->imm & 1, 8) : element(c, i->reg, i->imm & 3, 4);
	return true;
}

#define INSERT_LANE(name) \
FP_HANDLER(name##_my) \
{ \
	struct avx a; \
	FP_AVX(); \
	FP_LOAD128(b); \
	a = avx_ymm(c, i->vvvv); \
	avx_set_ymm(c, i->reg, i->imm & 1 ? (struct avx){a.lo, b} : (struct avx){b, a.hi}); \
	return true; \
} \
FP_HANDLER(name##_ry) \
{ \
	struct avx a; \
	__m128i b; \
	FP_AVX(); \
	a = avx_ymm(c, i->vvvv); \
	b = fp_xmm(c, i->rm); \
	avx_set_ymm(c, i->reg, i->imm & 1 ? (struct avx){a.lo, b} : (struct avx){b, a.hi}); \
	return true; \
}
INSERT_LANE(vinsertf128)
INSERT_LANE(vinserti128)

#define EXTRACT_LANE(name) \
FP_HANDLER(name##_my) \
{ \
	FP_AVX(); \
	return FP_STORE128(_mm_loadu_si128((const __m128i *)(const void *)&c->s.ymm[i->reg][i->imm & 1 ? 2 : 0])); \
} \
FP_HANDLER(name##_ry) \
{ \
	FP_AVX(); \
	avx_set_xmm(c, i->rm, _mm_loadu_si128((const __m128i *)(const void *)&c->s.ymm[i->reg][i->imm & 1 ? 2 : 0])); \
	return true; \
}
EXTRACT_LANE(vextractf128)
EXTRACT_LANE(vextracti128)

#ifdef __clang__
#pragma clang attribute pop
#endif
