/* SPDX-License-Identifier: MIT */
/*
 * SSE4.2's string comparisons: PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (SDM 2B 4.1), and AVX's forms of them.
 *
 * The immediate: bits 1:0 element (unsigned byte, unsigned word, signed byte, signed word), 3:2 aggregation, 5:4 polarity,
 * 6 which index, or how the mask is expanded. The first operand is the set, the ranges or the needle; the second the
 * string that is looked at: a result bit belongs to each of its elements.
 */
#define SOFT_CORE 1
#include "vmm-core/soft/avx.h"

enum { ANY = 0, RANGES = 1, EACH = 2, ORDERED = 3 };

struct text {
	int32_t at[16];
	unsigned len; /* valid elements */
};

struct comparison {
	unsigned n; /* elements in a register */
	uint32_t bits;
	uint64_t flags;
};

static void unpack(struct text *t, __m128i v, unsigned imm)
{
	uint8_t b[16];
	uint16_t w[8];

	memcpy(b, &v, 16);
	memcpy(w, &v, 16);
	for (unsigned k = 0; k < (imm & 1 ? 8u : 16u); k++) {
		if (imm & 1)
			t->at[k] = imm & 2 ? (int16_t)w[k] : w[k];
		else
			t->at[k] = imm & 2 ? (int8_t)b[k] : b[k];
	}
}

/* A length from a register: its absolute value, at most the number of elements. */
static unsigned explicit_length(const struct cv_insn *i, uint64_t v, unsigned n)
{
	int64_t s = i->rex & 8 ? (int64_t)v : (int32_t)v;
	uint64_t m = s < 0 ? 0 - (uint64_t)s : (uint64_t)s;

	return m > n ? n : (unsigned)m;
}

static unsigned implicit_length(const struct text *t, unsigned n)
{
	unsigned k = 0;

	while (k < n && t->at[k])
		k++;
	return k;
}

static bool in_set(const struct text *set, int32_t v)
{
	for (unsigned k = 0; k < set->len; k++)
		if (set->at[k] == v)
			return true;
	return false;
}

static bool in_ranges(const struct text *ranges, int32_t v)
{
	for (unsigned k = 0; k + 1 < ranges->len; k += 2)
		if (v >= ranges->at[k] && v <= ranges->at[k + 1])
			return true;
	return false;
}

/* Does the needle begin at `from`? What lies beyond the register's end agrees; what lies beyond the string's doesn't. */
static bool begins(const struct text *needle, const struct text *s, unsigned from, unsigned n)
{
	for (unsigned k = 0; k < needle->len && from + k < n; k++)
		if (from + k >= s->len || needle->at[k] != s->at[from + k])
			return false;
	return true;
}

static uint32_t aggregate(const struct text *a, const struct text *s, unsigned how, unsigned n)
{
	uint32_t r = 0;

	for (unsigned k = 0; k < n; k++) {
		bool valid = k < s->len, hit;

		switch (how) {
		case ANY: hit = valid && in_set(a, s->at[k]); break;
		case RANGES: hit = valid && in_ranges(a, s->at[k]); break;
		case EACH: hit = valid && k < a->len ? a->at[k] == s->at[k] : !valid && k >= a->len; break;
		default: hit = begins(a, s, k, n); break;
		}
		r |= (uint32_t)hit << k;
	}
	return r;
}

static struct comparison compare(const struct soft_cpu *c, const struct cv_insn *i, __m128i b, bool lengths)
{
	unsigned imm = (unsigned)i->imm;
	struct comparison r = {.n = imm & 1 ? 8 : 16};
	uint32_t all = (1u << r.n) - 1;
	struct text x, y;

	unpack(&x, fp_xmm(c, i->reg), imm);
	unpack(&y, b, imm);
	x.len = lengths ? explicit_length(i, c->s.gpr[CV_RAX], r.n) : implicit_length(&x, r.n);
	y.len = lengths ? explicit_length(i, c->s.gpr[CV_RDX], r.n) : implicit_length(&y, r.n);
	r.bits = aggregate(&x, &y, (imm >> 2) & 3, r.n);
	if ((imm >> 4 & 3) == 1)
		r.bits ^= all;
	else if ((imm >> 4 & 3) == 3)
		r.bits ^= (1u << y.len) - 1;
	r.flags = (r.bits ? CV_FLAG_CF : 0) | (y.len < r.n ? CV_FLAG_ZF : 0) | (x.len < r.n ? CV_FLAG_SF : 0) |
		  (r.bits & 1 ? CV_FLAG_OF : 0);
	return r;
}

static __attribute__((noinline)) void to_index(struct soft_cpu *c, const struct cv_insn *i, __m128i b, bool lengths)
{
	struct comparison r = compare(c, i, b, lengths);

	if (!r.bits)
		c->s.gpr[CV_RCX] = r.n;
	else
		c->s.gpr[CV_RCX] = i->imm & 0x40 ? 31u - (unsigned)__builtin_clz(r.bits) :
						   (unsigned)__builtin_ctz(r.bits);
	soft_set_arith(c, r.flags);
}

static __attribute__((noinline)) void to_mask(struct soft_cpu *c, const struct cv_insn *i, __m128i b, bool lengths)
{
	struct comparison r = compare(c, i, b, lengths);
	unsigned bytes = 16 / r.n;
	uint8_t v[16] = {0};

	if (i->imm & 0x40) {
		for (unsigned k = 0; k < 16; k++)
			v[k] = r.bits >> (k / bytes) & 1 ? 0xff : 0;
	} else {
		memcpy(v, &r.bits, 4);
	}
	memcpy(c->s.ymm[0], v, 16);
	soft_set_arith(c, r.flags);
}

static __attribute__((noinline)) void to_mask_alone(struct soft_cpu *c, const struct cv_insn *i, __m128i b, bool lengths)
{
	to_mask(c, i, b, lengths);
	c->s.ymm[0][2] = c->s.ymm[0][3] = 0;
}

#define STRING_OP(name, may_run, to, lengths) \
FP_HANDLER(name##_r) \
{ \
	may_run(); \
	to(c, i, fp_xmm(c, i->rm), lengths); \
	return true; \
} \
FP_HANDLER(name##_m) \
{ \
	may_run(); \
	FP_LOAD128(v); \
	to(c, i, v, lengths); \
	return true; \
}
STRING_OP(pcmpestri, FP_SSE, to_index, true)
STRING_OP(pcmpestrm, FP_SSE, to_mask, true)
STRING_OP(pcmpistri, FP_SSE, to_index, false)
STRING_OP(pcmpistrm, FP_SSE, to_mask, false)
STRING_OP(vpcmpestri, FP_AVX, to_index, true)
STRING_OP(vpcmpestrm, FP_AVX, to_mask_alone, true)
STRING_OP(vpcmpistri, FP_AVX, to_index, false)
STRING_OP(vpcmpistrm, FP_AVX, to_mask_alone, false)
