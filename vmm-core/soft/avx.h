/* SPDX-License-Identifier: MIT */
/*
 * VEX-encoded vector operations inside the software engine: what their files share.
 *
 * A handler is an FP_HANDLER (fp.h): a body compiled with the TLB hit alone and again with the slow path. Where an
 * operation exists in both lengths its four handlers are made from one body by AVX_HANDLER4 or the like. A 256-bit value is
 * two __m128i lanes: the host need not have AVX, and nearly every AVX operation works on lanes.
 *
 * Every operation that writes a vector register writes all of it: with VEX.128 the upper half becomes zero. Memory operands
 * need no alignment but those of VMOVAPS, VMOVAPD, VMOVDQA and the non-temporal moves (SDM 1 14.9).
 */
#ifndef CV_SOFT_AVX_H
#define CV_SOFT_AVX_H

#include "vmm-core/soft/fp.h"

#define HANDLER(name) cv_handler name;
#define V(n) HANDLER(fp_##n##_m) HANDLER(fp_##n##_r) HANDLER(fp_##n##_my) HANDLER(fp_##n##_ry)
#define VM(n) HANDLER(fp_##n##_m) HANDLER(fp_##n##_my)
#define VR(n) HANDLER(fp_##n##_r) HANDLER(fp_##n##_ry)
#define V1(n) HANDLER(fp_##n##_m) HANDLER(fp_##n##_r)
#define V1M(n) HANDLER(fp_##n##_m)
#define V1R(n) HANDLER(fp_##n##_r)
#define VY(n) HANDLER(fp_##n##_my) HANDLER(fp_##n##_ry)
#define VYM(n) HANDLER(fp_##n##_my)
#include "vmm-core/x86/ops_avx.def"
#undef V
#undef VM
#undef VR
#undef V1
#undef V1M
#undef V1R
#undef VY
#undef VYM
#undef HANDLER

/* Raises what keeps an AVX instruction from running: #UD or #NM. */
void avx_raise(struct soft_cpu *c, const struct cv_insn *i);
#define FP_AVX() \
	do { \
		if (unlikely(c->fp_block & (FP_BLOCK_AVX_UD | FP_BLOCK_AVX_NM))) { \
			avx_raise(c, i); \
			return false; \
		} \
	} while (0)

/* A vector of one or two lanes. */
struct avx {
	__m128i lo, hi;
};

FP_INLINE struct avx avx_ymm(const struct soft_cpu *c, unsigned n)
{
	return (struct avx){fp_xmm(c, n), _mm_loadu_si128((const __m128i *)(const void *)&c->s.ymm[n][2])};
}
FP_INLINE void avx_set_ymm(struct soft_cpu *c, unsigned n, struct avx v)
{
	fp_set_xmm(c, n, v.lo);
	_mm_storeu_si128((__m128i *)(void *)&c->s.ymm[n][2], v.hi);
}
/* VEX.128: the upper half becomes zero. */
FP_INLINE void avx_set_xmm(struct soft_cpu *c, unsigned n, __m128i v)
{
	fp_set_xmm(c, n, v);
	_mm_storeu_si128((__m128i *)(void *)&c->s.ymm[n][2], _mm_setzero_si128());
}
FP_INLINE unsigned avx_is4(const struct cv_insn *i, const struct soft_cpu *c)
{
	return (i->imm >> 4) & (c->mode == 64 ? 15 : 7);
}

/* 32 bytes by the general path, and with the alignment that VMOVAPS wants; c->fault.vector < 0: good. */
struct avx avx_slow_load256(struct soft_cpu *c, const struct cv_insn *i);
struct avx avx_slow_load256a(struct soft_cpu *c, const struct cv_insn *i);
bool avx_slow_store256(struct soft_cpu *c, const struct cv_insn *i, struct avx v);
bool avx_slow_store256a(struct soft_cpu *c, const struct cv_insn *i, struct avx v);

/* Declares v (a struct avx) and loads it, or leaves the body. */
#define AVX_LOAD256(v) AVX_LOAD256_BY(v, avx_slow_load256, 0)
#define AVX_LOAD256A(v) AVX_LOAD256_BY(v, avx_slow_load256a, 31)
#define AVX_LOAD256_BY(v, general, align) \
	struct avx v; \
	{ \
		const uint8_t *h_ = fp_read_ptr(c, i, 32); \
		if (likely(h_ != NULL && !(soft_fast_ea(c, i) & (align)))) { \
			v.lo = _mm_loadu_si128((const __m128i *)(const void *)h_); \
			v.hi = _mm_loadu_si128((const __m128i *)(const void *)(h_ + 16)); \
		} else if (!slow) { \
			return FP_MISS; \
		} else { \
			v = general(c, i); \
			if (c->fault.vector >= 0) \
				return false; \
		} \
	}
#define AVX_STORE256(v) avx_store256(c, i, v, slow)
#define AVX_STORE256A(v) avx_store256a(c, i, v, slow)
FP_INLINE int avx_put256(uint8_t *h, struct avx v)
{
	_mm_storeu_si128((__m128i *)(void *)h, v.lo);
	_mm_storeu_si128((__m128i *)(void *)(h + 16), v.hi);
	return FP_GO;
}
FP_INLINE int avx_store256(struct soft_cpu *c, const struct cv_insn *i, struct avx v, const bool slow)
{
	uint8_t *h = fp_write_ptr(c, i, 32);

	if (unlikely(!h))
		return slow ? avx_slow_store256(c, i, v) : FP_MISS;
	return avx_put256(h, v);
}
FP_INLINE int avx_store256a(struct soft_cpu *c, const struct cv_insn *i, struct avx v, const bool slow)
{
	uint8_t *h = fp_write_ptr(c, i, 32);

	if (unlikely(!h || soft_fast_ea(c, i) & 31))
		return slow ? avx_slow_store256a(c, i, v) : FP_MISS;
	return avx_put256(h, v);
}

/*
 * The four handlers of an operation with three vector operands of one length, from a function of two lanes:
 * name(c, i, a, b) -> __m128i. It sees c and i for immediates alone.
 */
#define AVX_HANDLERS3(name, f) \
	FP_HANDLER(name##_m) \
	{ \
		FP_AVX(); \
		FP_LOAD128(b); \
		avx_set_xmm(c, i->reg, f(c, i, fp_xmm(c, i->vvvv), b)); \
		return true; \
	} \
	FP_HANDLER(name##_r) \
	{ \
		FP_AVX(); \
		avx_set_xmm(c, i->reg, f(c, i, fp_xmm(c, i->vvvv), fp_xmm(c, i->rm))); \
		return true; \
	} \
	FP_HANDLER(name##_my) \
	{ \
		struct avx a; \
		FP_AVX(); \
		AVX_LOAD256(b); \
		a = avx_ymm(c, i->vvvv); \
		avx_set_ymm(c, i->reg, (struct avx){f(c, i, a.lo, b.lo), f(c, i, a.hi, b.hi)}); \
		return true; \
	} \
	FP_HANDLER(name##_ry) \
	{ \
		struct avx a, b; \
		FP_AVX(); \
		a = avx_ymm(c, i->vvvv); \
		b = avx_ymm(c, i->rm); \
		avx_set_ymm(c, i->reg, (struct avx){f(c, i, a.lo, b.lo), f(c, i, a.hi, b.hi)}); \
		return true; \
	}
/* The same with one source: name(c, i, b). */
#define AVX_HANDLERS2(name, f) \
	FP_HANDLER(name##_m) \
	{ \
		FP_AVX(); \
		FP_LOAD128(b); \
		avx_set_xmm(c, i->reg, f(c, i, b)); \
		return true; \
	} \
	FP_HANDLER(name##_r) \
	{ \
		FP_AVX(); \
		avx_set_xmm(c, i->reg, f(c, i, fp_xmm(c, i->rm))); \
		return true; \
	} \
	FP_HANDLER(name##_my) \
	{ \
		FP_AVX(); \
		AVX_LOAD256(b); \
		avx_set_ymm(c, i->reg, (struct avx){f(c, i, b.lo), f(c, i, b.hi)}); \
		return true; \
	} \
	FP_HANDLER(name##_ry) \
	{ \
		struct avx b; \
		FP_AVX(); \
		b = avx_ymm(c, i->rm); \
		avx_set_ymm(c, i->reg, (struct avx){f(c, i, b.lo), f(c, i, b.hi)}); \
		return true; \
	}

/* The four handlers of an operation whose lane is name_of(a, b) (sse_ops.h), or with one source name_of(b, b). */
#define AVX_LANES3(name) \
	FP_INLINE __m128i v##name##_lane(const struct soft_cpu *c, const struct cv_insn *i, __m128i a, __m128i b) \
	{ \
		(void)c; \
		(void)i; \
		return name##_of(a, b); \
	} \
	AVX_HANDLERS3(v##name, v##name##_lane)
#define AVX_LANES2(name) \
	FP_INLINE __m128i v##name##_lane(const struct soft_cpu *c, const struct cv_insn *i, __m128i b) \
	{ \
		(void)c; \
		(void)i; \
		return name##_of(b, b); \
	} \
	AVX_HANDLERS2(v##name, v##name##_lane)
/* name_of(a, b, imm): the upper lane's immediate begins `up` bits higher. */
#define AVX_LANES_IMM(name, up) \
	FP_HANDLER(v##name##_m) \
	{ \
		FP_AVX(); \
		FP_LOAD128(b); \
		avx_set_xmm(c, i->reg, name##_of(fp_xmm(c, i->vvvv), b, i->imm)); \
		return true; \
	} \
	FP_HANDLER(v##name##_r) \
	{ \
		FP_AVX(); \
		avx_set_xmm(c, i->reg, name##_of(fp_xmm(c, i->vvvv), fp_xmm(c, i->rm), i->imm)); \
		return true; \
	} \
	FP_HANDLER(v##name##_my) \
	{ \
		struct avx a; \
		FP_AVX(); \
		AVX_LOAD256(b); \
		a = avx_ymm(c, i->vvvv); \
		avx_set_ymm(c, i->reg, (struct avx){name##_of(a.lo, b.lo, i->imm), name##_of(a.hi, b.hi, i->imm >> (up))}); \
		return true; \
	} \
	FP_HANDLER(v##name##_ry) \
	{ \
		struct avx a, b; \
		FP_AVX(); \
		a = avx_ymm(c, i->vvvv); \
		b = avx_ymm(c, i->rm); \
		avx_set_ymm(c, i->reg, (struct avx){name##_of(a.lo, b.lo, i->imm), name##_of(a.hi, b.hi, i->imm >> (up))}); \
		return true; \
	}

#endif
