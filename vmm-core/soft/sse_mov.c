/* SPDX-License-Identifier: MIT */
/*
 * SSE: moves, logic and shuffles of whole registers, inserts and extracts. Nothing here computes, so nothing here knows
 * MXCSR. Non-temporal hints mean nothing to a guest that cannot see the cache.
 */
#ifndef __clang__
#pragma GCC target("sse4.2")
#endif
#define SOFT_CORE 1
#include "vmm-core/soft/sse_ops.h"

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("sse4.2"))), apply_to = function)
#endif

/* --- Whole registers --- */

#define MOVE_LOAD(name, load) \
FP_HANDLER(name##_r) \
{ \
	FP_SSE(); \
	fp_set_xmm(c, i->reg, fp_xmm(c, i->rm)); \
	return true; \
} \
FP_HANDLER(name##_m) \
{ \
	FP_SSE(); \
	load(v); \
	fp_set_xmm(c, i->reg, v); \
	return true; \
}
#define MOVE_STORE(name, store) \
FP_HANDLER(name##_r) \
{ \
	FP_SSE(); \
	fp_set_xmm(c, i->rm, fp_xmm(c, i->reg)); \
	return true; \
} \
FP_HANDLER(name##_m) \
{ \
	FP_SSE(); \
	return store(fp_xmm(c, i->reg)); \
}
MOVE_LOAD(movups, FP_LOAD128)
MOVE_LOAD(movdqu, FP_LOAD128)
MOVE_LOAD(movaps, FP_LOAD128A)
MOVE_LOAD(movdqa, FP_LOAD128A)
MOVE_STORE(movups_st, FP_STORE128)
MOVE_STORE(movdqu_st, FP_STORE128)
MOVE_STORE(movaps_st, FP_STORE128A)
MOVE_STORE(movdqa_st, FP_STORE128A)

FP_HANDLER(lddqu_m)
{
	FP_SSE();
	FP_LOAD128(v);
	fp_set_xmm(c, i->reg, v);
	return true;
}
FP_HANDLER(movntdqa_m)
{
	FP_SSE();
	FP_LOAD128A(v);
	fp_set_xmm(c, i->reg, v);
	return true;
}
FP_HANDLER(movntps_m)
{
	FP_SSE();
	return FP_STORE128A(fp_xmm(c, i->reg));
}
FP_HANDLER(movntdq_m)
{
	FP_SSE();
	return FP_STORE128A(fp_xmm(c, i->reg));
}

/* --- Parts of registers --- */

FP_HANDLER(movss_m)
{
	FP_SSE();
	FP_LOAD(32, v);
	fp_set_xmm(c, i->reg, fp_from64(v));
	return true;
}
FP_HANDLER(movss_r)
{
	FP_SSE();
	memcpy(&c->s.ymm[i->reg][0], &c->s.ymm[i->rm][0], 4);
	return true;
}
FP_HANDLER(movss_st_m)
{
	FP_SSE();
	return FP_STORE(c->s.ymm[i->reg][0], 4);
}
FP_HANDLER(movss_st_r)
{
	FP_SSE();
	memcpy(&c->s.ymm[i->rm][0], &c->s.ymm[i->reg][0], 4);
	return true;
}
FP_HANDLER(movsd_m)
{
	FP_SSE();
	FP_LOAD(64, v);
	fp_set_xmm(c, i->reg, fp_from64(v));
	return true;
}
FP_HANDLER(movsd_r)
{
	FP_SSE();
	c->s.ymm[i->reg][0] = c->s.ymm[i->rm][0];
	return true;
}
FP_HANDLER(movsd_st_m)
{
	FP_SSE();
	return FP_STORE(c->s.ymm[i->reg][0], 8);
}
FP_HANDLER(movsd_st_r)
{
	FP_SSE();
	c->s.ymm[i->rm][0] = c->s.ymm[i->reg][0];
	return true;
}
FP_HANDLER(movq_m)
{
	FP_SSE();
	FP_LOAD(64, v);
	fp_set_xmm(c, i->reg, fp_from64(v));
	return true;
}
FP_HANDLER(movq_r)
{
	FP_SSE();
	fp_set_xmm(c, i->reg, fp_from64(c->s.ymm[i->rm][0]));
	return true;
}
FP_HANDLER(movq_st_m)
{
	FP_SSE();
	return FP_STORE(c->s.ymm[i->reg][0], 8);
}
FP_HANDLER(movq_st_r)
{
	FP_SSE();
	fp_set_xmm(c, i->rm, fp_from64(c->s.ymm[i->reg][0]));
	return true;
}
/* MOVD and MOVQ between XMM and general registers or memory: 8 bytes with REX.W. */
FP_HANDLER(movd_m)
{
	FP_SSE();
	if (i->rex & 8) {
		FP_LOAD(64, v);
		fp_set_xmm(c, i->reg, fp_from64(v));
	} else {
		FP_LOAD(32, v);
		fp_set_xmm(c, i->reg, fp_from64(v));
	}
	return true;
}
FP_HANDLER(movd_r)
{
	uint64_t v = c->s.gpr[i->rm];

	FP_SSE();
	fp_set_xmm(c, i->reg, fp_from64(i->rex & 8 ? v : (uint32_t)v));
	return true;
}
FP_HANDLER(movd_st_m)
{
	FP_SSE();
	return FP_STORE(c->s.ymm[i->reg][0], i->rex & 8 ? 8 : 4);
}
FP_HANDLER(movd_st_r)
{
	FP_SSE();
	fp_set_gpr(c, i, i->rm, c->s.ymm[i->reg][0]);
	return true;
}

FP_HANDLER(movlps_m)
{
	FP_SSE();
	FP_LOAD(64, v);
	c->s.ymm[i->reg][0] = v;
	return true;
}
FP_HANDLER(movhlps_r)
{
	FP_SSE();
	c->s.ymm[i->reg][0] = c->s.ymm[i->rm][1];
	return true;
}
FP_HANDLER(movlps_st_m)
{
	FP_SSE();
	return FP_STORE(c->s.ymm[i->reg][0], 8);
}
FP_HANDLER(movhps_m)
{
	FP_SSE();
	FP_LOAD(64, v);
	c->s.ymm[i->reg][1] = v;
	return true;
}
FP_HANDLER(movlhps_r)
{
	FP_SSE();
	c->s.ymm[i->reg][1] = c->s.ymm[i->rm][0];
	return true;
}
FP_HANDLER(movhps_st_m)
{
	FP_SSE();
	return FP_STORE(c->s.ymm[i->reg][1], 8);
}
FP_HANDLER(movddup_m)
{
	FP_SSE();
	FP_LOAD(64, v);
	fp_set_xmm(c, i->reg, _mm_set1_epi64x((long long)v));
	return true;
}
FP_HANDLER(movddup_r)
{
	FP_SSE();
	fp_set_xmm(c, i->reg, _mm_set1_epi64x((long long)c->s.ymm[i->rm][0]));
	return true;
}
FP_HANDLER(movmskps_r)
{
	FP_SSE();
	c->s.gpr[i->reg] = (unsigned)_mm_movemask_ps(ps(fp_xmm(c, i->rm)));
	return true;
}
FP_HANDLER(movmskpd_r)
{
	FP_SSE();
	c->s.gpr[i->reg] = (unsigned)_mm_movemask_pd(pd(fp_xmm(c, i->rm)));
	return true;
}

/* --- Bits and shuffles: destination a, source b --- */

#define OP2(name, expr) \
FP_HANDLER(name##_r) \
{ \
	FP_SSE(); \
	fp_set_xmm(c, i->reg, name##_of(fp_xmm(c, i->reg), fp_xmm(c, i->rm))); \
	return true; \
} \
FP_HANDLER(name##_m) \
{ \
	FP_SSE(); \
	FP_LOAD128A(v); \
	fp_set_xmm(c, i->reg, name##_of(fp_xmm(c, i->reg), v)); \
	return true; \
}
SSE_BIT_OPS(OP2)
SSE_DUP_OPS(OP2)

#define OP2_IMM(name) \
FP_HANDLER(name##_r) \
{ \
	FP_SSE(); \
	fp_set_xmm(c, i->reg, name##_of(fp_xmm(c, i->reg), fp_xmm(c, i->rm), i->imm)); \
	return true; \
} \
FP_HANDLER(name##_m) \
{ \
	FP_SSE(); \
	FP_LOAD128A(v); \
	fp_set_xmm(c, i->reg, name##_of(fp_xmm(c, i->reg), v, i->imm)); \
	return true; \
}
OP2_IMM(pshufd)
OP2_IMM(pshufhw)
OP2_IMM(pshuflw)
OP2_IMM(shufps)
OP2_IMM(shufpd)
OP2_IMM(blendps)
OP2_IMM(blendpd)
OP2_IMM(pblendw)

/* XMM0 is the mask. */
#define BLENDV(name) \
FP_HANDLER(name##_r) \
{ \
	FP_SSE(); \
	fp_set_xmm(c, i->reg, name##_of(fp_xmm(c, i->reg), fp_xmm(c, i->rm), fp_xmm(c, 0))); \
	return true; \
} \
FP_HANDLER(name##_m) \
{ \
	FP_SSE(); \
	FP_LOAD128A(v); \
	fp_set_xmm(c, i->reg, name##_of(fp_xmm(c, i->reg), v, fp_xmm(c, 0))); \
	return true; \
}
BLENDV(pblendvb)
BLENDV(blendvps)
BLENDV(blendvpd)

/* --- Insert and extract --- */

FP_HANDLER(insertps_m)
{
	FP_SSE();
	FP_LOAD(32, v);
	fp_set_xmm(c, i->reg, insertps_of(fp_xmm(c, i->reg), (uint32_t)v, i->imm));
	return true;
}
FP_HANDLER(insertps_r)
{
	uint32_t w[4];

	FP_SSE();
	memcpy(w, c->s.ymm[i->rm], 16);
	fp_set_xmm(c, i->reg, insertps_of(fp_xmm(c, i->reg), w[(i->imm >> 6) & 3], i->imm));
	return true;
}

FP_HANDLER(pinsrb_m)
{
	FP_SSE();
	FP_LOAD(8, v);
	put_element(c, i->reg, i->imm & 15, 1, v);
	return true;
}
FP_HANDLER(pinsrb_r)
{
	FP_SSE();
	put_element(c, i->reg, i->imm & 15, 1, c->s.gpr[i->rm]);
	return true;
}
FP_HANDLER(pinsrw_m)
{
	FP_SSE();
	FP_LOAD(16, v);
	put_element(c, i->reg, i->imm & 7, 2, v);
	return true;
}
FP_HANDLER(pinsrw_r)
{
	FP_SSE();
	put_element(c, i->reg, i->imm & 7, 2, c->s.gpr[i->rm]);
	return true;
}
FP_HANDLER(pinsrd_m)
{
	FP_SSE();
	if (i->rex & 8) {
		FP_LOAD(64, v);
		put_element(c, i->reg, i->imm & 1, 8, v);
	} else {
		FP_LOAD(32, v);
		put_element(c, i->reg, i->imm & 3, 4, v);
	}
	return true;
}
FP_HANDLER(pinsrd_r)
{
	uint64_t v = c->s.gpr[i->rm];

	FP_SSE();
	if (i->rex & 8)
		put_element(c, i->reg, i->imm & 1, 8, v);
	else
		put_element(c, i->reg, i->imm & 3, 4, v);
	return true;
}
FP_HANDLER(pextrw_r) /* 0F C5: Gd, Udq, Ib */
{
	FP_SSE();
	c->s.gpr[i->reg] = element(c, i->rm, i->imm & 7, 2);
	return true;
}
#define EXTRACT(name, mask, bytes) \
FP_HANDLER(name##_m) \
{ \
	FP_SSE(); \
	return FP_STORE(element(c, i->reg, i->imm & (mask), bytes), bytes); \
} \
FP_HANDLER(name##_r) \
{ \
	FP_SSE(); \
	c->s.gpr[i->rm] = element(c, i->reg, i->imm & (mask), bytes); \
	return true; \
}
EXTRACT(pextrb, 15, 1)
EXTRACT(pextrw_st, 7, 2)
EXTRACT(extractps, 3, 4)
FP_HANDLER(pextrd_m)
{
	FP_SSE();
	if (i->rex & 8)
		return FP_STORE(element(c, i->reg, i->imm & 1, 8), 8);
	return FP_STORE(element(c, i->reg, i->imm & 3, 4), 4);
}
FP_HANDLER(pextrd_r)
{
	FP_SSE();
	c->s.gpr[i->rm] = i->rex & 8 ? element(c, i->reg, i->imm & 1, 8) : element(c, i->reg, i->imm & 3, 4);
	return true;
}

/* --- Widening moves: the source is a part of a register, or that much memory --- */

#define WIDEN(name, bits, intrinsic) \
FP_HANDLER(name##_r) \
{ \
	FP_SSE(); \
	fp_set_xmm(c, i->reg, intrinsic(fp_xmm(c, i->rm))); \
	return true; \
} \
FP_HANDLER(name##_m) \
{ \
	FP_SSE(); \
	FP_LOAD(bits, v); \
	fp_set_xmm(c, i->reg, intrinsic(fp_from64(v))); \
	return true; \
}
SSE_WIDEN_OPS(WIDEN)

#ifdef __clang__
#pragma clang attribute pop
#endif
