/* SPDX-License-Identifier: MIT */
/*
 * x87, MMX and SSE inside the software engine: what their files share.
 *
 * A handler is written as a body that returns whether the instruction goes on (FP_HANDLER); on false a fault or restart
 * was raised and nothing architectural has changed but sticky exception flags. Checks come first (FP_SSE, FP_MMX,
 * FP_X87), then the load, then the work, then the writes.
 *
 * Bodies never let the address of a local escape (soft.h, SOFT_CORE): a slow load returns its value, and whether it
 * failed is told by c->fault.
 *
 * Same bits on every host. SSE arithmetic runs on the host's SSE unit, which IEEE 754 and the SDM determine completely;
 * RCP and RSQRT, which they don't, and all of the x87 are computed here (x87_arith.c on integers; x87_trans.c with MPFR).
 */
#ifndef CV_SOFT_FP_H
#define CV_SOFT_FP_H

#include <emmintrin.h>
#include <string.h>

#include "vmm-core/soft/mem.h"
#include "vmm-core/soft/soft.h"

/* --- Handlers: see ops_fp.def, ops_crypto.def --- */

#define X(n) cv_handler fp_##n##_m, fp_##n##_r;
#define XM(n) cv_handler fp_##n##_m;
#define XR(n) cv_handler fp_##n##_r;
#define XI(n) cv_handler fp_##n##_m, fp_##n##_r, fp_##n##_qm, fp_##n##_qr;
#define XIR(n) cv_handler fp_##n##_r, fp_##n##_qr;
#include "vmm-core/x86/ops_fp.def"
#include "vmm-core/x86/ops_crypto.def"
#undef X
#undef XM
#undef XR
#undef XI
#undef XIR

#define FP_INLINE static inline __attribute__((always_inline))

/*
 * The body is compiled twice: once with the TLB hit alone, a handler without calls; and once with the slow path, which
 * starts afresh where the first one missed.
 */
enum { FP_STOP = false, FP_GO = true, FP_MISS = 2 };
#define FP_HANDLER(name) \
	FP_INLINE int name##_body(struct soft_cpu *c, const struct cv_insn *i, const bool slow); \
	static __attribute__((noinline)) void name##_slow(struct soft_cpu *c, const struct cv_insn *i) \
	{ \
		if (name##_body(c, i, true) == FP_GO) \
			SOFT_NEXT(c, i); \
	} \
	void fp_##name(struct soft_cpu *c, const struct cv_insn *i) \
	{ \
		int how = name##_body(c, i, false); \
\
		if (likely(how == FP_GO)) \
			SOFT_NEXT(c, i); \
		if (how == FP_MISS) \
			name##_slow(c, i); \
	} \
	FP_INLINE int name##_body(struct soft_cpu *c, const struct cv_insn *i, const bool slow __attribute__((unused)))

/* --- May it run? --- */

enum { FP_BLOCK_X87_NM = 1, FP_BLOCK_SSE_UD = 2, FP_BLOCK_SSE_NM = 4, FP_BLOCK_WAIT_NM = 8, FP_BLOCK_MMX_UD = 16,
       FP_BLOCK_AVX_UD = 32, FP_BLOCK_AVX_NM = 64 };

void fp_raise_sse(struct soft_cpu *c, const struct cv_insn *i);
void fp_raise_mmx(struct soft_cpu *c, const struct cv_insn *i);
void fp_raise_x87(struct soft_cpu *c, const struct cv_insn *i);

/* FSW */
enum { FSW_IE = 1, FSW_DE = 2, FSW_ZE = 4, FSW_OE = 8, FSW_UE = 0x10, FSW_PE = 0x20, FSW_SF = 0x40, FSW_ES = 0x80,
       FSW_C0 = 0x100, FSW_C1 = 0x200, FSW_C2 = 0x400, FSW_TOP = 0x3800, FSW_C3 = 0x4000, FSW_B = 0x8000,
       FSW_CC = FSW_C0 | FSW_C1 | FSW_C2 | FSW_C3, FSW_EXCEPTIONS = 0x3f };

/* An unmasked x87 exception is pending and CR0.NE makes the next waiting instruction raise it (else FERR#: ignored). */
FP_INLINE bool fp_mf_pending(const struct soft_cpu *c)
{
	return unlikely(c->s.x87.fsw & FSW_ES) && c->s.cr0 & CV_CR0_NE;
}

#define FP_SSE() \
	do { \
		if (unlikely(c->fp_block & (FP_BLOCK_SSE_UD | FP_BLOCK_SSE_NM))) { \
			fp_raise_sse(c, i); \
			return false; \
		} \
	} while (0)
/* Then fp_mmx_enter(), when nothing can fail any more. */
#define FP_MMX() \
	do { \
		if (unlikely(c->fp_block & (FP_BLOCK_MMX_UD | FP_BLOCK_X87_NM)) || fp_mf_pending(c)) { \
			fp_raise_mmx(c, i); \
			return false; \
		} \
	} while (0)
/* A waiting x87 instruction; one that does not wait (FN...). */
#define FP_X87() \
	do { \
		if (unlikely(c->fp_block & FP_BLOCK_X87_NM) || fp_mf_pending(c)) { \
			fp_raise_x87(c, i); \
			return false; \
		} \
	} while (0)
#define FP_X87_NOWAIT() \
	do { \
		if (unlikely(c->fp_block & FP_BLOCK_X87_NM)) { \
			soft_raise(c, i, EXC_NM); \
			return false; \
		} \
	} while (0)

/* --- Registers --- */

FP_INLINE __m128i fp_xmm(const struct soft_cpu *c, unsigned n)
{
	return _mm_loadu_si128((const __m128i *)(const void *)c->s.ymm[n]);
}
FP_INLINE void fp_set_xmm(struct soft_cpu *c, unsigned n, __m128i v)
{
	_mm_storeu_si128((__m128i *)(void *)c->s.ymm[n], v);
}
FP_INLINE uint64_t fp_mm(const struct soft_cpu *c, unsigned n)
{
	return c->s.x87.mant[n & 7];
}
FP_INLINE void fp_set_mm(struct soft_cpu *c, unsigned n, uint64_t v)
{
	c->s.x87.mant[n & 7] = v;
	c->s.x87.se[n & 7] = 0xffff;
}
/* What every MMX instruction but EMMS does to the x87: TOP = 0, all tags valid. */
FP_INLINE void fp_mmx_enter(struct soft_cpu *c)
{
	c->s.x87.fsw &= (uint16_t)~FSW_TOP;
	c->s.x87.ftw = 0xff;
}
FP_INLINE __m128i fp_from64(uint64_t v)
{
	return _mm_cvtsi64_si128((long long)v);
}
FP_INLINE uint64_t fp_low64(__m128i v)
{
	return (uint64_t)_mm_cvtsi128_si64(v);
}
/* A general register as a 32-bit (REX.W: 64-bit) destination. */
FP_INLINE void fp_set_gpr(struct soft_cpu *c, const struct cv_insn *i, unsigned n, uint64_t v)
{
	c->s.gpr[n] = i->rex & 8 ? v : (uint32_t)v;
}

/* --- Memory operand --- */

/* Any address, any fault; c->fault.vector < 0: the value is good. fp_slow_load: n bytes, zero-extended. */
__m128i fp_slow_load128(struct soft_cpu *c, const struct cv_insn *i);
__m128i fp_slow_load128a(struct soft_cpu *c, const struct cv_insn *i); /* #GP(0) unless 16-byte aligned */
uint64_t fp_slow_load(struct soft_cpu *c, const struct cv_insn *i, unsigned n);
bool fp_slow_store128(struct soft_cpu *c, const struct cv_insn *i, __m128i v);
bool fp_slow_store128a(struct soft_cpu *c, const struct cv_insn *i, __m128i v);
bool fp_slow_store(struct soft_cpu *c, const struct cv_insn *i, uint64_t v, unsigned n);
/* The bytes of p[0..31] whose bit is set in mask, to seg:off: all of them or, on a fault, none. */
bool fp_store_runs(struct soft_cpu *c, const struct cv_insn *i, uint64_t off, const void *p, uint32_t mask);
/* MASKMOVQ, MASKMOVDQU: the bytes of v whose bit is set in mask, to seg:rDI. */
bool fp_masked_store(struct soft_cpu *c, const struct cv_insn *i, __m128i v, unsigned mask);

/* Where the operand can be read (written) directly, or NULL. Only with a fast form of the address (mem.h). */
FP_INLINE const uint8_t *fp_read_ptr(const struct soft_cpu *c, const struct cv_insn *i, unsigned n)
{
	return likely(i->flags & CV_INSN_FAST) ? soft_tlb_read(c, soft_fast_ea(c, i), n) : NULL;
}
FP_INLINE uint8_t *fp_write_ptr(const struct soft_cpu *c, const struct cv_insn *i, unsigned n)
{
	return likely(i->flags & CV_INSN_FAST) ? soft_tlb_write(c, soft_fast_ea(c, i), n) : NULL;
}
/* The same for 16 aligned bytes: one compare tells alignment and page. */
FP_INLINE const uint8_t *fp_read_ptr_a(const struct soft_cpu *c, const struct cv_insn *i)
{
	uint64_t la = soft_fast_ea(c, i);
	const struct soft_tlb_entry *e = soft_tlb_slot(c, la);

	return likely(e->rtag == (la & (SOFT_PAGE_MASK | 15)) && i->flags & CV_INSN_FAST) ? (uint8_t *)(e->addend + la) : NULL;
}
FP_INLINE uint8_t *fp_write_ptr_a(const struct soft_cpu *c, const struct cv_insn *i)
{
	uint64_t la = soft_fast_ea(c, i);
	const struct soft_tlb_entry *e = soft_tlb_slot(c, la);

	return likely(e->wtag == (la & (SOFT_PAGE_MASK | 15)) && i->flags & CV_INSN_FAST) ? (uint8_t *)(e->addend + la) : NULL;
}

/* Each declares v and loads it, or leaves the body. */
#define FP_LOAD128_FROM(v, ptr, general) \
	__m128i v; \
	{ \
		const uint8_t *h_ = (ptr); \
		if (likely(h_ != NULL)) { \
			v = _mm_loadu_si128((const __m128i *)(const void *)h_); \
		} else if (!slow) { \
			return FP_MISS; \
		} else { \
			v = general(c, i); \
			if (c->fault.vector >= 0) \
				return false; \
		} \
	}
#define FP_LOAD128(v) FP_LOAD128_FROM(v, fp_read_ptr(c, i, 16), fp_slow_load128)
#define FP_LOAD128A(v) FP_LOAD128_FROM(v, fp_read_ptr_a(c, i), fp_slow_load128a)
#define FP_LOAD(bits, v) \
	uint64_t v; \
	{ \
		const uint8_t *h_ = fp_read_ptr(c, i, bits / 8); \
		if (likely(h_ != NULL)) { \
			uint##bits##_t t_; \
			memcpy(&t_, h_, bits / 8); \
			v = t_; \
		} else if (!slow) { \
			return FP_MISS; \
		} else { \
			v = fp_slow_load(c, i, bits / 8); \
			if (c->fault.vector >= 0) \
				return false; \
		} \
	}
/* What a body that ends in a store returns. */
#define FP_STORE128(v) fp_store128(c, i, v, slow)
#define FP_STORE128A(v) fp_store128a(c, i, v, slow)
#define FP_STORE(v, n) fp_store(c, i, v, n, slow)
FP_INLINE int fp_store128(struct soft_cpu *c, const struct cv_insn *i, __m128i v, const bool slow)
{
	uint8_t *h = fp_write_ptr(c, i, 16);

	if (unlikely(!h))
		return slow ? fp_slow_store128(c, i, v) : FP_MISS;
	_mm_storeu_si128((__m128i *)(void *)h, v);
	return FP_GO;
}
FP_INLINE int fp_store128a(struct soft_cpu *c, const struct cv_insn *i, __m128i v, const bool slow)
{
	uint8_t *h = fp_write_ptr_a(c, i);

	if (unlikely(!h))
		return slow ? fp_slow_store128a(c, i, v) : FP_MISS;
	_mm_storeu_si128((__m128i *)(void *)h, v);
	return FP_GO;
}
FP_INLINE int fp_store(struct soft_cpu *c, const struct cv_insn *i, uint64_t v, unsigned n, const bool slow)
{
	uint8_t *h = fp_write_ptr(c, i, n);

	if (unlikely(!h))
		return slow ? fp_slow_store(c, i, v, n) : FP_MISS;
	memcpy(h, &v, n);
	return FP_GO;
}

/* --- SIMD exceptions --- */

/*
 * Sets MXCSR's flags for what an operation met (IE..PE) and raises #XM (or #UD) where one is unmasked: then false, and no
 * result may be written. SDM 1 11.5: with an unmasked exception that is found before computing, no others are set.
 */
bool fp_simd_flags(struct soft_cpu *c, const struct cv_insn *i, unsigned flags);

/* --- The x87 (x87.c) --- */

struct fp80 {
	uint64_t mant;
	uint16_t se;
};

/* An operation's control word, and what it met: FSW_IE..FSW_PE, FSW_C1 for "rounded up". */
struct fp_env {
	uint16_t cw, ex;
	bool denormal; /* an operand came from memory as a denormal single or double */
};

FP_INLINE unsigned x87_top(const struct soft_cpu *c)
{
	return (c->s.x87.fsw >> 11) & 7;
}
FP_INLINE unsigned x87_phys(const struct soft_cpu *c, unsigned st)
{
	return (x87_top(c) + st) & 7;
}
FP_INLINE bool x87_empty(const struct soft_cpu *c, unsigned st)
{
	return !(c->s.x87.ftw >> x87_phys(c, st) & 1);
}
FP_INLINE struct fp80 x87_get(const struct soft_cpu *c, unsigned st)
{
	unsigned p = x87_phys(c, st);

	return (struct fp80){c->s.x87.mant[p], c->s.x87.se[p]};
}
FP_INLINE void x87_set(struct soft_cpu *c, unsigned st, struct fp80 v)
{
	unsigned p = x87_phys(c, st);

	c->s.x87.mant[p] = v.mant;
	c->s.x87.se[p] = v.se;
	c->s.x87.ftw |= (uint8_t)(1u << p);
}
void x87_pop(struct soft_cpu *c);
void x87_push(struct soft_cpu *c, struct fp80 v);
/* Notes FOP, FIP and (memory operand) FDP, and clears C1: where an instruction can fail no more. */
void x87_begin(struct soft_cpu *c, const struct cv_insn *i);
/* Recomputes ES and B from flags and masks. */
void x87_update_es(struct cv_x87 *f);
/*
 * Ends an operation that met env->ex: sets flags and C1. false: an unmasked invalid, denormal or divide exception: no
 * result is written and nothing popped.
 */
bool x87_commit(struct soft_cpu *c, const struct fp_env *env);
/*
 * Stack faults: set IE, SF and C1; true: masked, the caller stores the indefinite value and pops or pushes as usual.
 */
bool x87_underflow(struct soft_cpu *c);
bool x87_overflow(struct soft_cpu *c);
extern const struct fp80 fp80_indefinite;

/* --- Arithmetic on extended reals (x87_arith.c): pure functions --- */

enum fp_kind { FP_ZERO, FP_FINITE, FP_INF, FP_QNAN, FP_SNAN, FP_UNSUPPORTED };
/* Finite: value = sig / 2^63 * 2^exp, bit 63 of sig set. */
struct fp_num {
	enum fp_kind kind;
	bool sign, denormal;
	int exp;
	uint64_t sig;
};

struct fp_num fp80_unpack(struct fp80 v);
/* Rounds (hi + lo / 2^64) / 2^63 * 2^exp (bit 63 of hi set; lo's low bit sticky) to `bits` of precision. */
struct fp80 fp80_round(struct fp_env *e, unsigned bits, bool sign, int exp, uint64_t hi, uint64_t lo);
struct fp80 fp80_add(struct fp_env *e, struct fp80 a, struct fp80 b);
struct fp80 fp80_sub(struct fp_env *e, struct fp80 a, struct fp80 b);
struct fp80 fp80_mul(struct fp_env *e, struct fp80 a, struct fp80 b);
struct fp80 fp80_div(struct fp_env *e, struct fp80 a, struct fp80 b);
struct fp80 fp80_sqrt(struct fp_env *e, struct fp80 a);
struct fp80 fp80_rint(struct fp_env *e, struct fp80 a);
struct fp80 fp80_scale(struct fp_env *e, struct fp80 a, struct fp80 b);
/* FXTRACT: returns the significand, *exponent. */
struct fp80 fp80_extract(struct fp_env *e, struct fp80 a, struct fp80 *exponent);
/* FPREM (ieee: FPREM1): *cc gets C0, C1, C2, C3; with invalid or NaN operands they stay. */
struct fp80 fp80_rem(struct fp_env *e, struct fp80 a, struct fp80 b, bool ieee, uint16_t *cc);
/* C3, C2, C0 as FCOM gives them. quiet: a QNaN is not invalid. */
uint16_t fp80_compare(struct fp_env *e, struct fp80 a, struct fp80 b, bool quiet);
struct fp80 fp80_nan(struct fp_env *e, struct fp80 a, struct fp80 b); /* a or b is a NaN, neither unsupported */
struct fp80 fp80_invalid(struct fp_env *e);			      /* IE, and the indefinite QNaN */
struct fp80 fp80_from_int(int64_t v);
/* As an operand: exact; an SNaN stays one, e->denormal is set for a denormal. fp80_quiet: what FLD then does. */
struct fp80 fp80_from32(struct fp_env *e, uint32_t v);
struct fp80 fp80_from64(struct fp_env *e, uint64_t v);
struct fp80 fp80_quiet(struct fp_env *e, struct fp80 v);
uint32_t fp80_to32(struct fp_env *e, struct fp80 v);
uint64_t fp80_to64(struct fp_env *e, struct fp80 v);
/* To an integer `bits` wide, by the rounding mode or towards zero; the integer indefinite with IE where it does not fit. */
int64_t fp80_to_int(struct fp_env *e, struct fp80 v, unsigned bits, bool truncate);
/* Magnitude rounded to an integer of at most 18 decimal digits. false: IE. */
bool fp80_to_bcd(struct fp_env *e, struct fp80 v, uint8_t bcd[10]);
struct fp80 fp80_from_bcd(const uint8_t bcd[10]);

/* --- Transcendentals (x87_trans.c) --- */

struct fp80 fp80_f2xm1(struct fp_env *e, struct fp80 x);
struct fp80 fp80_fyl2x(struct fp_env *e, struct fp80 x, struct fp80 y);
struct fp80 fp80_fyl2xp1(struct fp_env *e, struct fp80 x, struct fp80 y);
struct fp80 fp80_fpatan(struct fp_env *e, struct fp80 y, struct fp80 x);
/* *sin, *cos, *tan where not NULL. false: out of range, C2. */
bool fp80_trig(struct fp_env *e, struct fp80 x, struct fp80 *sin, struct fp80 *cos, struct fp80 *tan);

#endif
