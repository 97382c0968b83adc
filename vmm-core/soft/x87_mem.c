/* SPDX-License-Identifier: MIT */
/*
 * The x87 and memory: loads and stores of reals, integers and packed decimals, and the environment and state images of
 * FSTENV, FLDENV, FSAVE, FRSTOR in their four formats (SDM 1 8.1.10, figures 8-9 to 8-12).
 *
 * A store that faults must leave the x87 as it was: the image is made first, then stored, and only then do status, TOP
 * and tags change.
 */
#include "vmm-core/soft/fp.h"

FP_INLINE struct fp_env env_of(const struct soft_cpu *c)
{
	return (struct fp_env){.cw = c->s.x87.fcw};
}

/* --- Loads --- */

/* Pushes v unless the stack is full or e says not to. */
static void push(struct soft_cpu *c, const struct cv_insn *i, struct fp80 v, const struct fp_env *e)
{
	x87_begin(c, i);
	if (!x87_empty(c, 7)) {
		if (x87_overflow(c))
			x87_push(c, fp80_indefinite);
		return;
	}
	/* A denormal is loaded even where that exception is not masked. */
	if (x87_commit(c, e) || !(e->ex & FSW_IE))
		x87_push(c, v);
}

FP_HANDLER(fld_m)
{
	struct fp_env e = env_of(c);
	struct fp80 v;

	FP_X87();
	if (i->opcode == 0xd9) {
		FP_LOAD(32, bits);
		v = fp80_from32(&e, (uint32_t)bits);
	} else {
		FP_LOAD(64, bits);
		v = fp80_from64(&e, bits);
	}
	v = fp80_quiet(&e, v);
	push(c, i, v, &e);
	return true;
}

/* Ten bytes at the operand: to processors two accesses, and the second may fault when the first is done. */
static bool load80(struct soft_cpu *c, const struct cv_insn *i, uint8_t b[10])
{
	uint64_t low = i->asize == 8 ? UINT64_MAX : i->asize == 4 ? UINT32_MAX : UINT16_MAX, ea = soft_ea(c, i);

	return soft_load(c, i, i->seg, ea, b, 8) && soft_load(c, i, i->seg, (ea + 8) & low, b + 8, 2);
}

static bool store80(struct soft_cpu *c, const struct cv_insn *i, const uint8_t b[10])
{
	uint64_t low = i->asize == 8 ? UINT64_MAX : i->asize == 4 ? UINT32_MAX : UINT16_MAX, ea = soft_ea(c, i);

	return soft_store(c, i, i->seg, ea, b, 8) && soft_store(c, i, i->seg, (ea + 8) & low, b + 8, 2);
}

FP_HANDLER(fld_m80_m)
{
	const struct fp_env e = env_of(c);
	struct fp80 v;
	uint8_t b[10];

	FP_X87();
	if (!load80(c, i, b))
		return false;
	memcpy(&v.mant, b, 8);
	memcpy(&v.se, b + 8, 2);
	push(c, i, v, &e);
	return true;
}

FP_HANDLER(fild_m)
{
	const struct fp_env e = env_of(c);
	struct fp80 r;

	FP_X87();
	if (i->opcode == 0xdb) {
		FP_LOAD(32, v);
		r = fp80_from_int((int32_t)v);
	} else if ((i->reg & 7) == 0) {
		FP_LOAD(16, v);
		r = fp80_from_int((int16_t)v);
	} else {
		FP_LOAD(64, v);
		r = fp80_from_int((int64_t)v);
	}
	push(c, i, r, &e);
	return true;
}

FP_HANDLER(fbld_m)
{
	const struct fp_env e = env_of(c);
	uint8_t b[10];

	FP_X87();
	if (!load80(c, i, b))
		return false;
	push(c, i, fp80_from_bcd(b), &e);
	return true;
}

/* --- Stores --- */

/*
 * Stores n bytes unless an exception that forbids it (of `forbid`) is unmasked, then sets status and pops. empty: there
 * was nothing to store, the bytes are the indefinite value.
 */
static bool store(struct soft_cpu *c, const struct cv_insn *i, const void *p, unsigned n, bool empty, struct fp_env e,
		  unsigned forbid, bool pop)
{
	unsigned met = empty ? FSW_IE : e.ex;
	bool forbidden = met & ~(unsigned)e.cw & forbid;

	/* What isn't stored doesn't touch memory: the exception waits for the next x87 instruction, no fault comes before. */
	if (!forbidden && !(n == 10 ? store80(c, i, p) : soft_store(c, i, i->seg, soft_ea(c, i), p, n)))
		return false;
	x87_begin(c, i);
	if (forbidden)
		e.ex &= (uint16_t)~(FSW_PE | FSW_C1);
	if (empty)
		x87_underflow(c);
	else
		x87_commit(c, &e);
	if (pop && !forbidden)
		x87_pop(c);
	return true;
}

/* FST, FSTP: single (D9) or double (DD). */
static bool store_real(struct soft_cpu *c, const struct cv_insn *i, bool pop)
{
	const unsigned forbid = FSW_IE | FSW_OE | FSW_UE;
	struct fp_env e = env_of(c);
	bool empty = x87_empty(c, 0);
	struct fp80 v = empty ? fp80_indefinite : x87_get(c, 0);
	uint64_t bits = i->opcode == 0xd9 ? fp80_to32(&e, v) : fp80_to64(&e, v);

	return store(c, i, &bits, i->opcode == 0xd9 ? 4 : 8, empty, e, forbid, pop);
}
FP_HANDLER(fst_m)
{
	FP_X87();
	return store_real(c, i, false);
}
FP_HANDLER(fstp_m)
{
	FP_X87();
	return store_real(c, i, true);
}

FP_HANDLER(fstp_m80_m)
{
	bool empty;
	struct fp80 v;
	uint8_t b[10];

	FP_X87();
	empty = x87_empty(c, 0);
	v = empty ? fp80_indefinite : x87_get(c, 0);
	memcpy(b, &v.mant, 8);
	memcpy(b + 8, &v.se, 2);
	return store(c, i, b, 10, empty, env_of(c), FSW_IE, true);
}

/* FIST, FISTP, FISTTP: DB doubleword; DF word, but /7 (FISTP) and DD /1 (FISTTP) quadword. */
static bool store_int(struct soft_cpu *c, const struct cv_insn *i, bool truncate, bool pop)
{
	unsigned bits = i->opcode == 0xdb ? 32 : i->opcode == 0xdd || (i->reg & 7) == 7 ? 64 : 16;
	struct fp_env e = env_of(c);
	bool empty = x87_empty(c, 0);
	int64_t v = fp80_to_int(&e, empty ? fp80_indefinite : x87_get(c, 0), bits, truncate);

	return store(c, i, &v, bits / 8, empty, e, FSW_IE, pop);
}
FP_HANDLER(fist_m)
{
	FP_X87();
	return store_int(c, i, false, false);
}
FP_HANDLER(fistp_m)
{
	FP_X87();
	return store_int(c, i, false, true);
}
FP_HANDLER(fisttp_m)
{
	FP_X87();
	return store_int(c, i, true, true);
}

FP_HANDLER(fbstp_m)
{
	struct fp_env e = env_of(c);
	uint8_t b[10];
	bool empty;

	FP_X87();
	empty = x87_empty(c, 0);
	fp80_to_bcd(&e, empty ? fp80_indefinite : x87_get(c, 0), b);
	return store(c, i, b, 10, empty, e, FSW_IE, true);
}

/* --- Control and status words --- */

static void set_fcw(struct cv_x87 *f, uint16_t v)
{
	f->fcw = (v & 0x1f3f) | 0x40;
	x87_update_es(f);
}

FP_HANDLER(fldcw_m)
{
	FP_X87();
	FP_LOAD(16, v);
	set_fcw(&c->s.x87, (uint16_t)v);
	return true;
}
FP_HANDLER(fnstcw_m)
{
	FP_X87_NOWAIT();
	return FP_STORE(c->s.x87.fcw, 2);
}
FP_HANDLER(fnstsw_m)
{
	FP_X87_NOWAIT();
	return FP_STORE(c->s.x87.fsw, 2);
}
FP_HANDLER(fnstsw_r)
{
	FP_X87_NOWAIT();
	c->s.gpr[CV_RAX] = (c->s.gpr[CV_RAX] & ~0xffffull) | c->s.x87.fsw;
	return true;
}

/* --- Environment and state --- */

/*
 * The image of n bytes at the operand. Processors touch its first word, of the operand's size, and its last byte before all others: a fault
 * tells.
 */
static bool load_image(struct soft_cpu *c, const struct cv_insn *i, void *p, unsigned n)
{
	uint64_t low = i->asize == 8 ? UINT64_MAX : i->asize == 4 ? UINT32_MAX : UINT16_MAX, ea = soft_ea(c, i);

	return soft_probe_load(c, i, i->seg, ea, i->osize == 2 ? 2 : 4) && soft_probe_load(c, i, i->seg, (ea + n - 1) & low, 1) &&
	       soft_load(c, i, i->seg, ea, p, n);
}
static bool store_image(struct soft_cpu *c, const struct cv_insn *i, const void *p, unsigned n)
{
	uint64_t low = i->asize == 8 ? UINT64_MAX : i->asize == 4 ? UINT32_MAX : UINT16_MAX, ea = soft_ea(c, i);

	return soft_probe_store(c, i, i->seg, ea, i->osize == 2 ? 2 : 4) && soft_probe_store(c, i, i->seg, (ea + n - 1) & low, 1) &&
	       soft_store(c, i, i->seg, ea, p, n);
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}
static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v & 0xffff);
	put16(p + 2, v >> 16);
}
static unsigned get16(const uint8_t *p)
{
	return p[0] | (unsigned)p[1] << 8;
}
static uint32_t get32(const uint8_t *p)
{
	return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static unsigned env_size(const struct cv_insn *i)
{
	return i->osize == 2 ? 14 : 28;
}

static void env_image16(const struct soft_cpu *c, uint8_t *p)
{
	const struct cv_x87 *f = &c->s.x87;
	uint32_t ip = (uint32_t)f->fip, dp = (uint32_t)f->fdp;

	put16(p, f->fcw);
	put16(p + 2, f->fsw);
	put16(p + 4, soft_x87_full_tag(f));
	if (c->protected_mode) {
		put16(p + 6, ip & 0xffff);
		put16(p + 8, 0); /* FCS, and FDS below: deprecated, saved as 0 */
		put16(p + 10, dp & 0xffff);
		put16(p + 12, 0);
		return;
	}
	put16(p + 6, ip & 0xffff);
	put16(p + 8, (ip >> 4 & 0xf000) | f->fop);
	put16(p + 10, dp & 0xffff);
	put16(p + 12, dp >> 4 & 0xf000);
}

static void env_image32(const struct soft_cpu *c, uint8_t *p)
{
	const struct cv_x87 *f = &c->s.x87;
	uint32_t ip = (uint32_t)f->fip, dp = (uint32_t)f->fdp;

	put32(p, 0xffff0000u | f->fcw);
	put32(p + 4, 0xffff0000u | f->fsw);
	put32(p + 8, 0xffff0000u | soft_x87_full_tag(f));
	if (c->protected_mode) {
		put32(p + 12, ip);
		put32(p + 16, (uint32_t)f->fop << 16); /* no FCS */
		put32(p + 20, dp);
		put32(p + 24, 0xffff0000u); /* no FDS */
		return;
	}
	put32(p + 12, 0xffff0000u | (ip & 0xffff));
	put32(p + 16, (ip & 0xffff0000u) >> 4 | f->fop);
	put32(p + 20, 0xffff0000u | (dp & 0xffff));
	put32(p + 24, (dp & 0xffff0000u) >> 4);
}

static void env_image(const struct soft_cpu *c, const struct cv_insn *i, uint8_t *p)
{
	if (i->osize == 2)
		env_image16(c, p);
	else
		env_image32(c, p);
}

static void set_pointers(const struct soft_cpu *c, struct cv_x87 *f, const struct cv_insn *i, const uint8_t *p)
{
	f->fcs = f->fds = 0;
	if (c->protected_mode && i->osize == 2) {
		f->fip = get16(p + 6);
		f->fdp = get16(p + 10);
		f->fop = 0;
	} else if (c->protected_mode) {
		f->fip = get32(p + 12);
		f->fop = get16(p + 18) & 0x7ff;
		f->fdp = get32(p + 20);
	} else if (i->osize == 2) {
		f->fip = get16(p + 6) | (get16(p + 8) & 0xf000u) << 4;
		f->fop = get16(p + 8) & 0x7ff;
		f->fdp = get16(p + 10) | (get16(p + 12) & 0xf000u) << 4;
	} else {
		f->fip = get16(p + 12) | (get32(p + 16) & 0x0ffff000u) << 4;
		f->fop = get16(p + 16) & 0x7ff;
		f->fdp = get16(p + 20) | (get32(p + 24) & 0x0ffff000u) << 4;
	}
}

static void set_env(struct soft_cpu *c, const struct cv_insn *i, const uint8_t *p)
{
	unsigned step = i->osize == 2 ? 2 : 4, tags = get16(p + 2 * step);
	struct cv_x87 *f = &c->s.x87;

	f->fsw = (uint16_t)get16(p + step);
	f->ftw = 0;
	for (unsigned k = 0; k < 8; k++)
		if ((tags >> (2 * k) & 3) != 3)
			f->ftw |= (uint8_t)(1u << k);
	set_pointers(c, f, i, p);
	set_fcw(f, (uint16_t)get16(p));
}

FP_HANDLER(fnstenv_m)
{
	uint8_t p[28];

	FP_X87_NOWAIT();
	env_image(c, i, p);
	if (!store_image(c, i, p, env_size(i)))
		return false;
	c->s.x87.fcw |= FSW_EXCEPTIONS;
	x87_update_es(&c->s.x87);
	return true;
}
FP_HANDLER(fldenv_m)
{
	uint8_t p[28];

	FP_X87();
	if (!load_image(c, i, p, env_size(i)))
		return false;
	set_env(c, i, p);
	return true;
}
FP_HANDLER(fnsave_m)
{
	uint8_t p[108];
	unsigned n = env_size(i);

	FP_X87_NOWAIT();
	env_image(c, i, p);
	for (unsigned k = 0; k < 8; k++) {
		struct fp80 v = x87_get(c, k);

		memcpy(p + n + 10 * k, &v.mant, 8);
		memcpy(p + n + 10 * k + 8, &v.se, 2);
	}
	if (!store_image(c, i, p, n + 80))
		return false;
	soft_fninit(&c->s.x87);
	return true;
}
FP_HANDLER(frstor_m)
{
	uint8_t p[108];
	unsigned n = env_size(i), tags;

	FP_X87();
	if (!load_image(c, i, p, n + 80))
		return false;
	set_env(c, i, p);
	tags = c->s.x87.ftw;
	for (unsigned k = 0; k < 8; k++) {
		struct fp80 v;

		memcpy(&v.mant, p + n + 10 * k, 8);
		memcpy(&v.se, p + n + 10 * k + 8, 2);
		x87_set(c, k, v);
	}
	c->s.x87.ftw = (uint8_t)tags;
	return true;
}
