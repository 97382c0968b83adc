/* SPDX-License-Identifier: MIT */
/*
 * BMI1, BMI2, LZCNT, ADX and MOVBE.
 *
 * The VEX-encoded ones are #UD in real mode and virtual-8086 mode. Those that set flags clear what the manuals leave
 * undefined, as Intel's processors do (docs/undefined-results.md).
 */
#include "vmm-core/soft/exec.h"

typedef unsigned __int128 u128;

#define BY32 ((u32)c->s.gpr[i->vvvv])
#define BY64 (c->s.gpr[i->vvvv])
#define SET_BY32(v) PUT32(i->vvvv, v)
#define SET_BY64(v) PUT64(i->vvvv, v)
#define RDX32 ((u32)c->s.gpr[CV_RDX])
#define RDX64 (c->s.gpr[CV_RDX])

/* CF, ZF and SF (res is sign-extended); OF, AF and PF are 0. */
static inline void flags_cf_zf_sf(struct soft_cpu *c, bool cf, s64 res)
{
	c->fl.res = res ? ((u64)res & 1ull << 63) | 1 : 0;
	c->fl.fix = !res;
	c->fl.aux = cf ? SOFT_AUX_CF | SOFT_AUX_PO : 0;
}

/* --- The operations: v is the source in register or memory --- */

#define TZCNT(bits) \
	u##bits r = v ? (u##bits)__builtin_ctzll(v) : bits; \
	SET_REG##bits(r); \
	flags_cf_zf_sf(c, v == 0, (s64)r)
#define LZCNT(bits) \
	u##bits r = v ? (u##bits)(__builtin_clzll(v) - (64 - bits)) : bits; \
	SET_REG##bits(r); \
	flags_cf_zf_sf(c, v == 0, (s64)r)

#define ANDN(bits) \
	u##bits r = ~BY##bits & v; \
	SET_REG##bits(r); \
	flags_cf_zf_sf(c, false, (s##bits)r)
#define BLSR(bits) \
	u##bits r = v & (v - 1); \
	SET_BY##bits(r); \
	flags_cf_zf_sf(c, v == 0, (s##bits)r)
#define BLSMSK(bits) \
	u##bits r = v ^ (v - 1); \
	SET_BY##bits(r); \
	flags_cf_zf_sf(c, v == 0, (s##bits)r)
#define BLSI(bits) \
	u##bits r = v & -v; \
	SET_BY##bits(r); \
	flags_cf_zf_sf(c, v != 0, (s##bits)r)
#define BZHI(bits) \
	unsigned n = BY32 & 0xff; \
	u##bits r = n < bits ? v & (((u##bits)1 << n) - 1) : v; \
	SET_REG##bits(r); \
	flags_cf_zf_sf(c, n >= bits, (s##bits)r)
/* SF is 0 too, whatever the result's top bit. */
#define BEXTR(bits) \
	unsigned start = BY32 & 0xff, n = BY32 >> 8 & 0xff; \
	u##bits r = start < bits ? v >> start : 0; \
	if (n < bits) \
		r &= ((u##bits)1 << n) - 1; \
	SET_REG##bits(r); \
	flags_cf_zf_sf(c, false, r != 0)

static inline u64 deposit(u64 from, u64 mask)
{
	u64 r = 0;

	for (; mask; mask &= mask - 1, from >>= 1)
		r |= from & 1 ? mask & -mask : 0;
	return r;
}
static inline u64 extract(u64 from, u64 mask)
{
	u64 r = 0;

	for (unsigned k = 0; mask; mask &= mask - 1, k++)
		r |= (from >> __builtin_ctzll(mask) & 1) << k;
	return r;
}
#define PDEP(bits) u##bits r = (u##bits)deposit(BY##bits, v); SET_REG##bits(r)
#define PEXT(bits) u##bits r = (u##bits)extract(BY##bits, v); SET_REG##bits(r)

/* With both destinations the same the high half stays. */
#define MULX(bits) \
	u128 w = (u128)RDX##bits * v; \
	SET_BY##bits((u##bits)w); \
	SET_REG##bits((u##bits)(w >> bits))

#define RORX(bits) \
	unsigned n = (unsigned)i->imm & (bits - 1); \
	SET_REG##bits(n ? v >> n | v << (bits - n) : v)
#define SARX(bits) SET_REG##bits((u##bits)((s##bits)v >> (BY32 & (bits - 1))))
#define SHLX(bits) SET_REG##bits(v << (BY32 & (bits - 1)))
#define SHRX(bits) SET_REG##bits(v >> (BY32 & (bits - 1)))

/* Additions by one flag, which all others survive. */
#define ADCX(bits) \
	u##bits a = REG##bits; \
	u128 w = (u128)a + v + soft_cf(c); \
	SET_REG##bits((u##bits)w); \
	soft_flags_set_cf(c, w >> bits & 1)
#define ADOX(bits) \
	u##bits a = REG##bits; \
	u128 w = (u128)a + v + soft_of(c); \
	SET_REG##bits((u##bits)w); \
	soft_flags_set_cf_of(c, soft_cf(c), w >> bits & 1)

/* --- Their handlers: register, fast form of the address, general form --- */

#define SOURCE_r(bits, v, other) u##bits v = RM##bits;
#define SOURCE_g(bits, v, other) LOAD_g(bits, v, other)
#define SOURCE_f(bits, v, other) LOAD_f(bits, v, other)

/* The fast form is 64-bit mode's alone. */
#define VEX_r \
	if (unlikely(!c->protected_mode)) { \
		soft_raise(c, i, EXC_UD); \
		return; \
	}
#define VEX_g VEX_r
#define VEX_f
#define LEGACY_r
#define LEGACY_g
#define LEGACY_f

#define HANDLER(name, ENCODING, CORE, bits, ea) \
H(name##_##ea##bits) \
{ \
	ENCODING##_##ea \
	SOURCE_##ea(bits, v, name##_g##bits) \
	CORE(bits); \
	SOFT_NEXT(c, i); \
}
#define FORMS_OF(name, ENCODING, CORE, bits) \
	HANDLER(name, ENCODING, CORE, bits, r) HANDLER(name, ENCODING, CORE, bits, g) HANDLER(name, ENCODING, CORE, bits, f)
#define BOTH(name, ENCODING, CORE) FORMS_OF(name, ENCODING, CORE, 32) FORMS_OF(name, ENCODING, CORE, 64)
FORMS_OF(tzcnt, LEGACY, TZCNT, 16) BOTH(tzcnt, LEGACY, TZCNT)
FORMS_OF(lzcnt, LEGACY, LZCNT, 16) BOTH(lzcnt, LEGACY, LZCNT)
BOTH(andn, VEX, ANDN)
BOTH(bextr, VEX, BEXTR)
BOTH(blsr, VEX, BLSR)
BOTH(blsmsk, VEX, BLSMSK)
BOTH(blsi, VEX, BLSI)
BOTH(bzhi, VEX, BZHI)
BOTH(pdep, VEX, PDEP)
BOTH(pext, VEX, PEXT)
BOTH(mulx, VEX, MULX)
BOTH(rorx, VEX, RORX)
BOTH(sarx, VEX, SARX)
BOTH(shlx, VEX, SHLX)
BOTH(shrx, VEX, SHRX)
BOTH(adcx, LEGACY, ADCX)
BOTH(adox, LEGACY, ADOX)

#define MOVBE(bits, ea) \
H(movbe_ld_##ea##bits) { LOAD_##ea(bits, v, movbe_ld_g##bits) SET_REG##bits(__builtin_bswap##bits(v)); SOFT_NEXT(c, i); } \
H(movbe_st_##ea##bits) { STORE_##ea(bits, __builtin_bswap##bits(REG##bits), movbe_st_g##bits); SOFT_NEXT(c, i); }
MOVBE(16, g) MOVBE(32, g) MOVBE(64, g)
MOVBE(16, f) MOVBE(32, f) MOVBE(64, f)

#define SIZES3(name) {name##16, name##32, name##64}
#define SIZES2(name) {NULL, name##32, name##64}
#define FORMS3(name) {SIZES3(name##_r), SIZES3(name##_f), SIZES3(name##_g)}
#define FORMS2(name) [CV_OP_##name - CV_OP_tzcnt] = {SIZES2(name##_r), SIZES2(name##_f), SIZES2(name##_g)}

cv_handler *soft_pick_bmi(const struct cv_insn *i)
{
	static cv_handler *const table[CV_OP_movbe - CV_OP_tzcnt][3][3] = {
		FORMS3(tzcnt), FORMS3(lzcnt), FORMS2(andn), FORMS2(bextr), FORMS2(blsr), FORMS2(blsmsk), FORMS2(blsi),
		FORMS2(bzhi), FORMS2(pdep), FORMS2(pext), FORMS2(mulx), FORMS2(rorx), FORMS2(sarx), FORMS2(shlx), FORMS2(shrx),
		FORMS2(adcx), FORMS2(adox),
	};
	static cv_handler *const movbe[2][2][3] = {{SIZES3(movbe_ld_f), SIZES3(movbe_ld_g)}, {SIZES3(movbe_st_f), SIZES3(movbe_st_g)}};
	unsigned size = size_index(i) - 1;

	if (i->op == CV_OP_movbe)
		return movbe[i->opcode & 1][!FAST(i)][size];
	return table[i->op - CV_OP_tzcnt][i->mod == 3 ? 0 : FAST(i) ? 1 : 2][size];
}
