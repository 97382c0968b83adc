/* SPDX-License-Identifier: MIT */
/*
 * The x87: its register stack, exceptions and status, and the instructions that work on the stack alone or on the stack
 * and one memory operand of an arithmetic operation. Loads, stores and state images are in x87_mem.c.
 *
 * What is kept of the last instruction: FIP its RIP, by every instruction but the control ones; FOP its opcode and FDP the
 * offset of its memory operand by those alone that raise an exception that isn't masked (CPUID.7.0:EBX[6]; SDM 1 8.1.9);
 * FCS and FDS are zero (CPUID.7.0:EBX[13]).
 */
#include "vmm-core/soft/fp.h"
#include "vmm-core/soft/flags.h"

/* --- Status --- */

void soft_fninit(struct cv_x87 *f)
{
	f->fcw = 0x37f;
	f->fsw = 0;
	f->ftw = 0;
	f->fop = 0;
	f->fip = f->fdp = 0;
	f->fcs = f->fds = 0;
}

uint16_t soft_x87_full_tag(const struct cv_x87 *f)
{
	unsigned tags = 0;

	for (unsigned p = 0; p < 8; p++) {
		struct fp_num n = fp80_unpack((struct fp80){f->mant[p], f->se[p]});
		unsigned tag = n.kind == FP_ZERO ? 1 : n.kind == FP_FINITE && !n.denormal ? 0 : 2;

		if (!(f->ftw >> p & 1))
			tag = 3;
		tags |= tag << (2 * p);
	}
	return (uint16_t)tags;
}

void x87_update_es(struct cv_x87 *f)
{
	f->fsw &= (uint16_t)~(FSW_ES | FSW_B);
	if (f->fsw & ~f->fcw & FSW_EXCEPTIONS)
		f->fsw |= FSW_ES | FSW_B;
}

static void note_pointers(struct soft_cpu *c, const struct cv_insn *i)
{
	c->s.x87.fip = soft_rip(c, i);
	c->s.x87.fcs = 0;
	c->x87_fop = (uint16_t)((i->opcode & 7) << 8 | i->modrm);
	c->x87_memory = i->mod != 3;
	if (c->x87_memory)
		c->x87_fdp = soft_ea(c, i);
}

/* After an exception: is one pending that isn't masked? */
static void note_exception(struct soft_cpu *c)
{
	struct cv_x87 *f = &c->s.x87;

	x87_update_es(f);
	if (!(f->fsw & FSW_ES))
		return;
	f->fop = c->x87_fop;
	if (c->x87_memory) {
		f->fdp = c->x87_fdp;
		f->fds = 0;
	}
}

void x87_begin(struct soft_cpu *c, const struct cv_insn *i)
{
	note_pointers(c, i);
	c->s.x87.fsw &= (uint16_t)~FSW_C1;
}

bool x87_commit(struct soft_cpu *c, const struct fp_env *env)
{
	struct cv_x87 *f = &c->s.x87;
	const unsigned before = FSW_IE | FSW_DE | FSW_ZE;
	unsigned ex = env->ex, unmasked = ex & ~(unsigned)f->fcw & FSW_EXCEPTIONS;

	if (unmasked & before)
		ex &= before;
	f->fsw |= (uint16_t)ex;
	note_exception(c);
	return !(unmasked & before);
}

static bool stack_fault(struct soft_cpu *c, unsigned c1)
{
	c->s.x87.fsw = (uint16_t)((c->s.x87.fsw & ~FSW_C1) | FSW_IE | FSW_SF | c1);
	note_exception(c);
	return c->s.x87.fcw & FSW_IE;
}

bool x87_underflow(struct soft_cpu *c)
{
	return stack_fault(c, 0);
}

bool x87_overflow(struct soft_cpu *c)
{
	return stack_fault(c, FSW_C1);
}

static void set_top(struct soft_cpu *c, unsigned top)
{
	c->s.x87.fsw = (uint16_t)((c->s.x87.fsw & ~FSW_TOP) | (top & 7) << 11);
}

void x87_pop(struct soft_cpu *c)
{
	c->s.x87.ftw &= (uint8_t)~(1u << x87_top(c));
	set_top(c, x87_top(c) + 1);
}

void x87_push(struct soft_cpu *c, struct fp80 v)
{
	set_top(c, x87_top(c) - 1);
	x87_set(c, 0, v);
}

FP_INLINE struct fp_env env_of(const struct soft_cpu *c)
{
	return (struct fp_env){.cw = c->s.x87.fcw};
}

/* --- Add, subtract, multiply, divide --- */

typedef struct fp80 binary_op(struct fp_env *e, struct fp80 a, struct fp80 b);

static struct fp80 sub_reversed(struct fp_env *e, struct fp80 a, struct fp80 b)
{
	return fp80_sub(e, b, a);
}
static struct fp80 div_reversed(struct fp_env *e, struct fp80 a, struct fp80 b)
{
	return fp80_div(e, b, a);
}

/* ST(dst) = op(ST(dst), b) */
static void arith(struct soft_cpu *c, binary_op *op, unsigned dst, struct fp80 b, struct fp_env e, bool pop)
{
	struct fp80 r = op(&e, x87_get(c, dst), b);

	if (!x87_commit(c, &e))
		return;
	x87_set(c, dst, r);
	if (pop)
		x87_pop(c);
}

static void arith_stack(struct soft_cpu *c, const struct cv_insn *i, binary_op *op, bool pop)
{
	unsigned sti = i->rm & 7, dst = i->opcode == 0xd8 ? 0 : sti, src = i->opcode == 0xd8 ? sti : 0;

	x87_begin(c, i);
	if (!x87_empty(c, dst) && !x87_empty(c, src)) {
		arith(c, op, dst, x87_get(c, src), env_of(c), pop);
		return;
	}
	if (!x87_underflow(c))
		return;
	x87_set(c, dst, fp80_indefinite);
	if (pop)
		x87_pop(c);
}

static void arith_memory(struct soft_cpu *c, const struct cv_insn *i, binary_op *op, struct fp80 b, struct fp_env e)
{
	x87_begin(c, i);
	if (!x87_empty(c, 0))
		arith(c, op, 0, b, e, false);
	else if (x87_underflow(c))
		x87_set(c, 0, fp80_indefinite);
}

/* The memory operand: a single (D8) or double (DC); a doubleword (DA) or word (DE) integer. */
#define LOAD_REAL(b, e) \
	struct fp_env e = env_of(c); \
	struct fp80 b; \
	if (i->opcode == 0xd8) { \
		FP_LOAD(32, v_); \
		b = fp80_from32(&e, (uint32_t)v_); \
	} else { \
		FP_LOAD(64, v_); \
		b = fp80_from64(&e, v_); \
	}
#define LOAD_INT(b, e) \
	struct fp_env e = env_of(c); \
	struct fp80 b; \
	if (i->opcode == 0xda) { \
		FP_LOAD(32, v_); \
		b = fp80_from_int((int32_t)v_); \
	} else { \
		FP_LOAD(16, v_); \
		b = fp80_from_int((int16_t)v_); \
	}

#define ARITH(name, op) \
FP_HANDLER(f##name##_m) \
{ \
	FP_X87(); \
	LOAD_REAL(b, e) \
	arith_memory(c, i, op, b, e); \
	return true; \
} \
FP_HANDLER(fi##name##_m) \
{ \
	FP_X87(); \
	LOAD_INT(b, e) \
	arith_memory(c, i, op, b, e); \
	return true; \
} \
FP_HANDLER(f##name##_r) \
{ \
	FP_X87(); \
	arith_stack(c, i, op, false); \
	return true; \
} \
FP_HANDLER(f##name##p_r) \
{ \
	FP_X87(); \
	arith_stack(c, i, op, true); \
	return true; \
}
ARITH(add, fp80_add)
ARITH(mul, fp80_mul)
ARITH(sub, fp80_sub)
ARITH(subr, sub_reversed)
ARITH(div, fp80_div)
ARITH(divr, div_reversed)

/* --- Comparison --- */

static void set_cc(struct soft_cpu *c, unsigned cc)
{
	c->s.x87.fsw = (uint16_t)((c->s.x87.fsw & ~(FSW_C0 | FSW_C2 | FSW_C3)) | cc);
}

/* Compares ST(0) with b (b_empty: it isn't there) and pops so often. */
static void compare(struct soft_cpu *c, const struct cv_insn *i, struct fp80 b, bool b_empty, struct fp_env e, bool quiet,
		    unsigned pops)
{
	x87_begin(c, i);
	if (x87_empty(c, 0) || b_empty) {
		set_cc(c, FSW_C0 | FSW_C2 | FSW_C3);
		if (!x87_underflow(c))
			return;
	} else {
		set_cc(c, fp80_compare(&e, x87_get(c, 0), b, quiet));
		if (!x87_commit(c, &e))
			return;
	}
	while (pops--)
		x87_pop(c);
}
static void compare_stack(struct soft_cpu *c, const struct cv_insn *i, unsigned sti, bool quiet, unsigned pops)
{
	compare(c, i, x87_get(c, sti), x87_empty(c, sti), env_of(c), quiet, pops);
}

#define COMPARE_MEMORY(name, load, pops) \
FP_HANDLER(name##_m) \
{ \
	FP_X87(); \
	load(b, e) \
	compare(c, i, b, false, e, false, pops); \
	return true; \
}
#define COMPARE_STACK(name, sti, quiet, pops) \
FP_HANDLER(name##_r) \
{ \
	FP_X87(); \
	compare_stack(c, i, sti, quiet, pops); \
	return true; \
}
COMPARE_MEMORY(fcom, LOAD_REAL, 0)
COMPARE_MEMORY(fcomp, LOAD_REAL, 1)
COMPARE_MEMORY(ficom, LOAD_INT, 0)
COMPARE_MEMORY(ficomp, LOAD_INT, 1)
COMPARE_STACK(fcom, i->rm & 7, false, 0)
COMPARE_STACK(fcomp, i->rm & 7, false, 1)
COMPARE_STACK(fcompp, 1, false, 2)
COMPARE_STACK(fucom, i->rm & 7, true, 0)
COMPARE_STACK(fucomp, i->rm & 7, true, 1)
COMPARE_STACK(fucompp, 1, true, 2)

FP_HANDLER(ftst_r)
{
	FP_X87();
	compare(c, i, (struct fp80){0, 0}, false, env_of(c), false, 0);
	return true;
}

static void compare_flags(struct soft_cpu *c, const struct cv_insn *i, bool quiet, bool pop)
{
	unsigned sti = i->rm & 7;
	struct fp_env e = env_of(c);
	uint16_t cc = FSW_C0 | FSW_C2 | FSW_C3;
	bool ok;

	note_pointers(c, i); /* C1 stays as it is */
	if (x87_empty(c, 0) || x87_empty(c, sti)) {
		ok = x87_underflow(c);
	} else {
		cc = fp80_compare(&e, x87_get(c, 0), x87_get(c, sti), quiet);
		ok = x87_commit(c, &e);
	}
	/* Even with an exception that is not masked; only the pop is left out then. */
	soft_set_arith(c, (cc & FSW_C0 ? CV_FLAG_CF : 0) | (cc & FSW_C2 ? CV_FLAG_PF : 0) |
			  (cc & FSW_C3 ? CV_FLAG_ZF : 0));
	if (pop && ok)
		x87_pop(c);
}
#define COMPARE_FLAGS(name, quiet, pop) \
FP_HANDLER(name##_r) \
{ \
	FP_X87(); \
	compare_flags(c, i, quiet, pop); \
	return true; \
}
COMPARE_FLAGS(fcomi, false, false)
COMPARE_FLAGS(fcomip, false, true)
COMPARE_FLAGS(fucomi, true, false)
COMPARE_FLAGS(fucomip, true, true)

FP_HANDLER(fxam_r)
{
	static const uint16_t classes[] = {
		[FP_ZERO] = FSW_C3, [FP_FINITE] = FSW_C2, [FP_INF] = FSW_C2 | FSW_C0, [FP_QNAN] = FSW_C0,
		[FP_SNAN] = FSW_C0, [FP_UNSUPPORTED] = 0,
	};
	struct fp_num n;

	FP_X87();
	n = fp80_unpack(x87_get(c, 0));
	x87_begin(c, i);
	set_cc(c, x87_empty(c, 0) ? FSW_C3 | FSW_C0 : n.denormal ? FSW_C3 | FSW_C2 : classes[n.kind]);
	if (n.sign)
		c->s.x87.fsw |= FSW_C1;
	return true;
}

/* --- Moves on the stack --- */

static void push_checked(struct soft_cpu *c, const struct cv_insn *i, struct fp80 v)
{
	x87_begin(c, i);
	if (x87_empty(c, 7))
		x87_push(c, v);
	else if (x87_overflow(c))
		x87_push(c, fp80_indefinite);
}

FP_HANDLER(fld_r)
{
	unsigned sti = i->rm & 7;
	struct fp80 v;

	FP_X87();
	v = x87_get(c, sti);
	if (x87_empty(c, sti)) { /* even where the stack is full, too */
		x87_begin(c, i);
		if (x87_underflow(c))
			x87_push(c, fp80_indefinite);
		return true;
	}
	push_checked(c, i, v);
	return true;
}

/* ROM constants, as the rounding mode rounds the exact value: 64 bits, and what follows them. */
#define CONSTANT(name, mantissa, exponent, up) \
FP_HANDLER(name##_r) \
{ \
	unsigned rc = (c->s.x87.fcw >> 10) & 3; \
	struct fp80 v = {mantissa, exponent}; \
\
	FP_X87(); \
	v.mant += (up) < 0 ? 0 : rc == 2 ? 1 : rc == 0 ? (up) : 0; \
	push_checked(c, i, v); \
	return true; \
}
/* up: nearest is one above the truncated value that stands here (1) or not (0); -1: exact */
CONSTANT(fld1, 0x8000000000000000ull, 0x3fff, -1)
CONSTANT(fldz, 0, 0, -1)
CONSTANT(fldl2t, 0xd49a784bcd1b8afeull, 0x4000, 0)
CONSTANT(fldl2e, 0xb8aa3b295c17f0bbull, 0x3fff, 1)
CONSTANT(fldpi, 0xc90fdaa22168c234ull, 0x4000, 1)
CONSTANT(fldlg2, 0x9a209a84fbcff798ull, 0x3ffd, 1)
CONSTANT(fldln2, 0xb17217f7d1cf79abull, 0x3ffe, 1)

static void store_stack(struct soft_cpu *c, const struct cv_insn *i, bool pop)
{
	struct fp80 v = x87_get(c, 0);

	x87_begin(c, i);
	if (x87_empty(c, 0) && i->opcode == 0xd9) { /* D9 D8+i knows no underflow: it only pops */
		x87_pop(c);
		return;
	}
	if (x87_empty(c, 0)) {
		if (!x87_underflow(c))
			return;
		v = fp80_indefinite;
	}
	x87_set(c, i->rm & 7, v);
	if (pop)
		x87_pop(c);
}
FP_HANDLER(fst_r)
{
	FP_X87();
	store_stack(c, i, false);
	return true;
}
FP_HANDLER(fstp_r)
{
	FP_X87();
	store_stack(c, i, true);
	return true;
}

FP_HANDLER(fxch_r)
{
	unsigned sti = i->rm & 7;
	struct fp80 a, b;

	FP_X87();
	a = x87_get(c, 0);
	b = x87_get(c, sti);
	x87_begin(c, i);
	if (x87_empty(c, 0) || x87_empty(c, sti)) {
		if (!x87_underflow(c))
			return true;
		if (x87_empty(c, 0))
			a = fp80_indefinite;
		if (x87_empty(c, sti))
			b = fp80_indefinite;
	}
	x87_set(c, 0, b);
	x87_set(c, sti, a);
	return true;
}

/* C1 stays as it is, but for a stack fault. */
#define FCMOV(name, condition) \
FP_HANDLER(name##_r) \
{ \
	unsigned sti = i->rm & 7; \
\
	FP_X87(); \
	note_pointers(c, i); \
	if (x87_empty(c, 0) || x87_empty(c, sti)) { \
		if (x87_underflow(c)) \
			x87_set(c, 0, fp80_indefinite); \
	} else if (condition) { \
		x87_set(c, 0, x87_get(c, sti)); \
	} \
	return true; \
}
FCMOV(fcmovb, soft_cf(c))
FCMOV(fcmove, soft_zf(c))
FCMOV(fcmovbe, soft_cf(c) || soft_zf(c))
FCMOV(fcmovu, soft_pf(c))
FCMOV(fcmovnb, !soft_cf(c))
FCMOV(fcmovne, !soft_zf(c))
FCMOV(fcmovnbe, !soft_cf(c) && !soft_zf(c))
FCMOV(fcmovnu, !soft_pf(c))

FP_HANDLER(ffree_r)
{
	FP_X87();
	x87_begin(c, i);
	c->s.x87.ftw &= (uint8_t)~(1u << x87_phys(c, i->rm & 7));
	return true;
}
FP_HANDLER(ffreep_r)
{
	FP_X87();
	x87_begin(c, i);
	c->s.x87.ftw &= (uint8_t)~(1u << x87_phys(c, i->rm & 7));
	x87_pop(c);
	return true;
}
FP_HANDLER(fdecstp_r)
{
	FP_X87();
	x87_begin(c, i);
	set_top(c, x87_top(c) - 1);
	return true;
}
FP_HANDLER(fincstp_r)
{
	FP_X87();
	x87_begin(c, i);
	set_top(c, x87_top(c) + 1);
	return true;
}

/* --- ST(0) alone --- */

static void sign_bit(struct soft_cpu *c, const struct cv_insn *i, uint16_t and, uint16_t xor)
{
	struct fp80 v = x87_get(c, 0);

	x87_begin(c, i);
	if (x87_empty(c, 0)) {
		if (x87_underflow(c))
			x87_set(c, 0, fp80_indefinite);
		return;
	}
	v.se = (v.se & and) ^ xor;
	x87_set(c, 0, v);
}
FP_HANDLER(fchs_r)
{
	FP_X87();
	sign_bit(c, i, 0xffff, 0x8000);
	return true;
}
FP_HANDLER(fabs_r)
{
	FP_X87();
	sign_bit(c, i, 0x7fff, 0);
	return true;
}

typedef struct fp80 unary_op(struct fp_env *e, struct fp80 a);

static void unary(struct soft_cpu *c, const struct cv_insn *i, unary_op *op)
{
	struct fp_env e = env_of(c);
	struct fp80 r;

	x87_begin(c, i);
	if (x87_empty(c, 0)) {
		if (x87_underflow(c))
			x87_set(c, 0, fp80_indefinite);
		return;
	}
	r = op(&e, x87_get(c, 0));
	if (x87_commit(c, &e))
		x87_set(c, 0, r);
}
#define UNARY(name, op) \
FP_HANDLER(name##_r) \
{ \
	FP_X87(); \
	unary(c, i, op); \
	return true; \
}
UNARY(fsqrt, fp80_sqrt)
UNARY(frndint, fp80_rint)
UNARY(f2xm1, fp80_f2xm1)

/* --- ST(0) and ST(1) --- */

FP_HANDLER(fscale_r)
{
	struct fp_env e = env_of(c);
	struct fp80 r;

	FP_X87();
	x87_begin(c, i);
	if (x87_empty(c, 0) || x87_empty(c, 1)) {
		if (x87_underflow(c))
			x87_set(c, 0, fp80_indefinite);
		return true;
	}
	r = fp80_scale(&e, x87_get(c, 0), x87_get(c, 1));
	if (x87_commit(c, &e))
		x87_set(c, 0, r);
	return true;
}

static void remainder_of(struct soft_cpu *c, const struct cv_insn *i, bool ieee)
{
	struct fp_env e = env_of(c);
	struct fp80 r;
	uint16_t cc = c->s.x87.fsw & (FSW_C0 | FSW_C3);

	x87_begin(c, i);
	c->s.x87.fsw &= (uint16_t)~FSW_C2;
	if (x87_empty(c, 0) || x87_empty(c, 1)) {
		if (x87_underflow(c))
			x87_set(c, 0, fp80_indefinite);
		return;
	}
	r = fp80_rem(&e, x87_get(c, 0), x87_get(c, 1), ieee, &cc);
	e.ex = (uint16_t)((e.ex & ~FSW_C1) | (cc & FSW_C1)); /* C1 is a bit of the quotient */
	if (!x87_commit(c, &e))
		return;
	set_cc(c, cc & ~FSW_C1);
	x87_set(c, 0, r);
}
FP_HANDLER(fprem_r)
{
	FP_X87();
	remainder_of(c, i, false);
	return true;
}
FP_HANDLER(fprem1_r)
{
	FP_X87();
	remainder_of(c, i, true);
	return true;
}

/* ST(1) = op(ST(0), ST(1)), pop */
static void binary_pop(struct soft_cpu *c, const struct cv_insn *i, binary_op *op)
{
	struct fp_env e = env_of(c);
	struct fp80 r = fp80_indefinite;

	x87_begin(c, i);
	if (x87_empty(c, 0) || x87_empty(c, 1)) {
		if (!x87_underflow(c))
			return;
	} else {
		r = op(&e, x87_get(c, 0), x87_get(c, 1));
		if (!x87_commit(c, &e))
			return;
	}
	x87_set(c, 1, r);
	x87_pop(c);
}
static struct fp80 patan(struct fp_env *e, struct fp80 x, struct fp80 y)
{
	return fp80_fpatan(e, y, x);
}
#define BINARY_POP(name, op) \
FP_HANDLER(name##_r) \
{ \
	FP_X87(); \
	binary_pop(c, i, op); \
	return true; \
}
BINARY_POP(fyl2x, fp80_fyl2x)
BINARY_POP(fyl2xp1, fp80_fyl2xp1)
BINARY_POP(fpatan, patan)

/* --- One operand, two results: the second is pushed --- */

/* Is there an operand and a free place? If not, does what a masked stack fault does. */
static bool can_push(struct soft_cpu *c)
{
	bool masked;

	if (!x87_empty(c, 0) && x87_empty(c, 7))
		return true;
	masked = x87_empty(c, 0) ? x87_underflow(c) : x87_overflow(c);
	if (masked) {
		x87_set(c, 0, fp80_indefinite);
		x87_push(c, fp80_indefinite);
	}
	return false;
}

FP_HANDLER(fxtract_r)
{
	struct fp_env e = env_of(c);
	struct fp80 r, exponent;

	FP_X87();
	x87_begin(c, i);
	if (!can_push(c))
		return true;
	r = fp80_extract(&e, x87_get(c, 0), &exponent);
	if (x87_commit(c, &e)) {
		x87_set(c, 0, exponent);
		x87_push(c, r);
	}
	return true;
}

enum trig { SIN, COS, SINCOS, TAN };

static void trig(struct soft_cpu *c, const struct cv_insn *i, enum trig which)
{
	struct fp_env e = env_of(c);
	struct fp80 x, s, k, t;
	const struct fp80 one = {1ull << 63, 0x3fff};

	x87_begin(c, i);
	c->s.x87.fsw &= (uint16_t)~FSW_C2;
	if (which == SINCOS || which == TAN) {
		if (!can_push(c))
			return;
	} else if (x87_empty(c, 0)) {
		if (x87_underflow(c))
			x87_set(c, 0, fp80_indefinite);
		return;
	}
	x = x87_get(c, 0);
	if (!fp80_trig(&e, x, which == SIN || which == SINCOS ? &s : NULL, which == COS || which == SINCOS ? &k : NULL,
		       which == TAN ? &t : NULL)) {
		c->s.x87.fsw |= FSW_C2;
		return;
	}
	if (!x87_commit(c, &e))
		return;
	x87_set(c, 0, which == COS ? k : which == TAN ? t : s);
	if (which == SINCOS)
		x87_push(c, k);
	if (which == TAN)
		x87_push(c, fp80_unpack(t).kind == FP_QNAN ? t : one);
}
#define TRIG(name, which) \
FP_HANDLER(name##_r) \
{ \
	FP_X87(); \
	trig(c, i, which); \
	return true; \
}
TRIG(fsin, SIN)
TRIG(fcos, COS)
TRIG(fsincos, SINCOS)
TRIG(fptan, TAN)

/* --- Control --- */

FP_HANDLER(fwait_r)
{
	if (unlikely(c->fp_block & FP_BLOCK_WAIT_NM) || fp_mf_pending(c)) {
		soft_raise(c, i, c->fp_block & FP_BLOCK_WAIT_NM ? EXC_NM : EXC_MF);
		return false;
	}
	return true;
}
FP_HANDLER(fnop_r)
{
	FP_X87();
	note_pointers(c, i);
	return true;
}
/* FNENI, FNDISI (8087) and FNSETPM (80287) do nothing, and do not wait. */
FP_HANDLER(fnop_ctl_r)
{
	FP_X87_NOWAIT();
	return true;
}
FP_HANDLER(fnclex_r)
{
	FP_X87_NOWAIT();
	c->s.x87.fsw &= (uint16_t)~(FSW_B | FSW_ES | FSW_SF | FSW_EXCEPTIONS);
	return true;
}
FP_HANDLER(fninit_r)
{
	FP_X87_NOWAIT();
	soft_fninit(&c->s.x87);
	return true;
}
