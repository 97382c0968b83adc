/* SPDX-License-Identifier: MIT */
/*
 * Encodings at random. Mostly from the decoder's maps: an opcode that has a row, with prefixes, ModRM and SIB at random, so
 * that every row comes in every form; some from bytes that no map knows, which must be #UD on both sides. What the decoder says about
 * the bytes then decides where displacements and branches are made to lead: into the windows, mostly.
 */
#include "tests/native/values.h"

struct bytes {
	uint8_t b[32];
	unsigned n;	/* so far */
	unsigned modrm; /* where it is; 0: none was written */
	bool vex;
};

static void put(struct bytes *o, unsigned v)
{
	if (o->n < sizeof(o->b))
		o->b[o->n++] = (uint8_t)v;
}

/* --- Opcodes --- */

enum map { MAP_1, MAP_0F, MAP_0F_SIMD, MAP_0F38, MAP_0F3A, MAP_X87, MAP_VEX_0F, MAP_VEX_0F38, MAP_VEX_0F3A, MAPS };

static const struct cv_opcode *table_of(enum map m)
{
	static const struct cv_opcode *const tables[MAPS] = {
		[MAP_1] = cv_map_1, [MAP_0F] = cv_map_0f, [MAP_0F_SIMD] = cv_map_0f_simd, [MAP_0F38] = cv_map_0f38,
		[MAP_0F3A] = cv_map_0f3a, [MAP_VEX_0F] = cv_map_vex_0f, [MAP_VEX_0F38] = cv_map_vex_0f38,
		[MAP_VEX_0F3A] = cv_map_vex_0f3a,
	};

	return tables[m];
}

static enum map pick_map(struct nat_rng *r, bool vex)
{
	static const uint8_t weights[MAPS] = {24, 12, 14, 10, 5, 10, 14, 14, 6};
	unsigned total = 0, k = 0, w;

	for (unsigned m = 0; m < MAPS; m++)
		total += m < MAP_VEX_0F || vex ? weights[m] : 0u;
	w = nat_below(r, total);
	while (w >= weights[k])
		w -= weights[k++];
	return (enum map)k;
}

static unsigned pick_opcode(struct nat_rng *r, enum map m)
{
	const struct cv_opcode *t = table_of(m);
	unsigned op;

	if (m == MAP_X87)
		return 0xd8 + nat_below(r, 8);
	if (nat_chance(r, 40))
		return nat_below(r, 256); /* which may have no row */
	do
		op = nat_below(r, 256);
	while (t[op].op == CV_OP_none && !t[op].sub && !(m == MAP_1 && op >= 0xd8 && op <= 0xdf));
	return op;
}

/* --- Prefixes --- */

static bool simd(enum map m)
{
	return m == MAP_0F_SIMD || m == MAP_0F38 || m == MAP_0F3A;
}

static void legacy_prefixes(struct bytes *o, struct nat_rng *r, enum map m, unsigned mode)
{
	static const uint8_t all[] = {0x66, 0x66, 0x66, 0xf2, 0xf3, 0x67, 0x64, 0x65, 0x2e, 0x36, 0x3e, 0x26, 0xf0};
	static const uint8_t mandatory[] = {0x66, 0xf3, 0xf2};
	unsigned n = nat_chance(r, 3) ? nat_chance(r, 4) ? 2 + nat_below(r, 3) : 1 : 0;

	if (nat_chance(r, 400))
		n = 8 + nat_below(r, 8);
	(void)mode;
	for (unsigned k = 0; k < n; k++)
		put(o, all[nat_below(r, sizeof(all))]);
	if (simd(m) && nat_below(r, 4))
		put(o, mandatory[nat_below(r, 3)]);
	else if (m < MAP_0F_SIMD && nat_chance(r, 5))
		put(o, 0x66);
	else if (m == MAP_0F && nat_chance(r, 6))
		put(o, mandatory[1 + nat_below(r, 2)]);
}

static void rex_prefix(struct bytes *o, struct nat_rng *r)
{
	if (nat_below(r, 2))
		put(o, 0x40 | nat_below(r, 8) | (nat_below(r, 5) < 2 ? 8 : 0));
	else if (nat_chance(r, 4))
		put(o, 0x48);
	if (nat_chance(r, 200))
		put(o, 0x40 | nat_below(r, 16)); /* a second one, and the first is void */
}

static void vex_prefix(struct bytes *o, struct nat_rng *r, enum map m, unsigned mode)
{
	unsigned pp = nat_below(r, 4), l = nat_below(r, 2), vvvv = nat_below(r, 5) < 2 ? 15 : nat_below(r, 16);
	unsigned rxb = mode == 64 ? nat_below(r, 8) : 7, w = nat_below(r, 2), map = m - MAP_VEX_0F + 1;

	if (mode != 64 && nat_below(r, 20))
		vvvv |= 8;
	if (nat_chance(r, 300))
		map = nat_below(r, 32);
	o->vex = true;
	if (map == 1 && nat_below(r, 2)) {
		put(o, 0xc5);
		put(o, (rxb & 4) << 5 | vvvv << 3 | l << 2 | pp);
		return;
	}
	put(o, 0xc4);
	put(o, rxb << 5 | map);
	put(o, w << 7 | vvvv << 3 | l << 2 | pp);
}

/* --- ModRM to the end --- */

static void modrm_and_rest(struct bytes *o, struct nat_rng *r, unsigned mode)
{
	unsigned mod = nat_below(r, 20) < 9 ? 3 : nat_below(r, 3), rm = nat_below(r, 8);

	o->modrm = o->n;
	put(o, mod << 6 | nat_below(r, 8) << 3 | rm);
	(void)mode;
	if (mod != 3 && rm == 4)
		put(o, nat_below(r, 256)); /* SIB, or, with 16-bit addresses, a byte of the displacement */
	if (mod == 1) {
		put(o, nat_below(r, 256));
	} else if (mod == 2 || mod == 0) {
		int32_t d = nat_chance(r, 8) ? (int32_t)nat_rnd(r) : (int32_t)nat_below(r, 4000) - 2000;

		if (mod == 2)
			for (unsigned k = 0; k < 4; k++)
				put(o, (unsigned)d >> (8 * k) & 0xff);
	}
}

static void fill_rest(struct bytes *o, struct nat_rng *r)
{
	while (o->n < sizeof(o->b)) {
		uint64_t v = nat_integer(r);

		for (unsigned k = 0; k < 8; k++)
			put(o, v >> (8 * k) & 0xff);
	}
}

static void from_maps(struct bytes *o, struct nat_rng *r, const struct nat_host *h, unsigned mode)
{
	enum map m = pick_map(r, h->features & CV_HAS(avx));
	unsigned op = pick_opcode(r, m);

	legacy_prefixes(o, r, m, mode);
	if (m >= MAP_VEX_0F) {
		if (nat_below(r, 30))
			o->n = 0; /* 66, F2, F3, LOCK and REX make it #UD */
		vex_prefix(o, r, m, mode);
	} else if (mode == 64) {
		rex_prefix(o, r);
	}
	if (m == MAP_0F || m == MAP_0F_SIMD || m == MAP_0F38 || m == MAP_0F3A)
		put(o, 0x0f);
	if (m == MAP_0F38)
		put(o, 0x38);
	if (m == MAP_0F3A)
		put(o, 0x3a);
	put(o, op);
	modrm_and_rest(o, r, mode);
	fill_rest(o, r);
}

static void from_anything(struct bytes *o, struct nat_rng *r, unsigned mode)
{
	static const uint8_t often[] = {0x0f, 0x0f, 0x0f, 0x66, 0xf2, 0xf3, 0xf0, 0x67, 0xc4, 0xc5, 0x38, 0x3a, 0x48, 0x41};

	(void)mode;
	while (o->n < 5)
		put(o, nat_below(r, 2) ? often[nat_below(r, sizeof(often))] : nat_below(r, 256));
	fill_rest(o, r);
}

/* --- Where it leads --- */

static void set_le(uint8_t *p, uint64_t v, unsigned n)
{
	for (unsigned k = 0; k < n; k++)
		p[k] = (uint8_t)(v >> (8 * k));
}

/* The displacement of an operand that names no register: into the data window, mostly. */
static void steer_displacement(uint8_t *code, const struct bytes *o, const struct cv_insn *i, struct nat_rng *r, uint64_t rip)
{
	unsigned at = o->modrm + 1;
	uint64_t target = NAT_DATA + (nat_chance(r, 8) ? nat_below(r, NAT_DATA_SIZE) : 0x400 + (nat_below(r, 0x180) << 4));

	if (nat_chance(r, 60) || i->mod == 3 || !o->modrm)
		return;
	if (i->asize == 2 || (i->base != CV_NOREG && i->base != CV_REG_RIP))
		return;
	if ((code[o->modrm] & 7) == 4)
		at++; /* SIB */
	if (i->base == CV_REG_RIP)
		target -= rip + i->len;
	set_le(code + at, target, 4);
}

static bool relative(const struct cv_insn *i)
{
	switch (i->op) {
	case CV_OP_jcc: case CV_OP_jmp: case CV_OP_call: case CV_OP_loop: case CV_OP_loope: case CV_OP_loopne: case CV_OP_jcxz:
		return true;
	default:
		return false;
	}
}

/* Bytes of a branch's displacement: it ends the instruction. */
static unsigned displacement_bytes(const struct cv_insn *i, unsigned mode)
{
	if ((i->opcode & 0xf0) == 0x70 || (i->opcode >= 0xe0 && i->opcode <= 0xe3) || i->opcode == 0xeb)
		return 1;
	return mode != 64 && i->osize == 2 ? 2 : 4;
}

/* A branch leads into the slot, in front of the encoding or well behind it, or far away. */
static void steer_branch(uint8_t *code, const struct cv_insn *i, struct nat_rng *r, unsigned before, unsigned mode)
{
	unsigned n = displacement_bytes(i, mode), len = i->len;
	int64_t d;

	if (nat_below(r, 2))
		d = 24 + (int64_t)nat_below(r, n == 1 ? 100 : 1200);
	else
		d = -(int64_t)(before + len + 1 + nat_below(r, n == 1 ? 50 : 1200));
	if (n == 4 && nat_chance(r, 12))
		d = (int32_t)(nat_rnd(r) | 0x01000000); /* nothing is mapped there, or it is data */
	set_le(code + len - n, (uint64_t)d, n);
}

static void steer(uint8_t *code, const struct bytes *o, const struct cv_insn *i, struct nat_rng *r, uint64_t rip, unsigned before,
		  unsigned mode)
{
	if (relative(i))
		steer_branch(code, i, r, before, mode);
	else if (i->op == CV_OP_mov && (i->opcode & 0xfc) == 0xa0 && !o->vex && nat_below(r, 50))
		set_le(code + i->len - i->asize, NAT_DATA + 0x10 + nat_below(r, NAT_DATA_SIZE - 0x20), i->asize);
	else
		steer_displacement(code, o, i, r, rip);
}

/* --- One instruction --- */

/* What a program may never do: seldom, as a signal takes longer than all the rest of a case. */
static bool always_faults(enum cv_op op)
{
	switch (op) {
	case CV_OP_in: case CV_OP_out: case CV_OP_ins: case CV_OP_outs: case CV_OP_hlt: case CV_OP_cli: case CV_OP_sti: case CV_OP_clts:
	case CV_OP_lgdt: case CV_OP_lidt: case CV_OP_lldt: case CV_OP_ltr: case CV_OP_lmsw: case CV_OP_mov_from_cr: case CV_OP_mov_to_cr:
	case CV_OP_mov_from_dr: case CV_OP_mov_to_dr: case CV_OP_invlpg: case CV_OP_invd: case CV_OP_wbinvd: case CV_OP_rdmsr:
	case CV_OP_wrmsr: case CV_OP_sysret: case CV_OP_sysexit: case CV_OP_swapgs: case CV_OP_xsetbv: case CV_OP_clac: case CV_OP_stac:
	case CV_OP_invpcid: case CV_OP_int: case CV_OP_int1: case CV_OP_int3: case CV_OP_ud:
		return true;
	default: return false;
	}
}

/* Appends one instruction to e; false: not this one. */
static bool append(struct nat_encoding *e, struct nat_rng *r, const struct nat_host *h, const struct nat_options *o, bool row)
{
	struct bytes b = {.n = 0};
	struct cv_insn *i = &e->insn[e->n];
	uint64_t features = h->features & o->features;
	enum cv_decode_result result;

	if (o->only || nat_below(r, 16))
		from_maps(&b, r, h, e->mode);
	else
		from_anything(&b, r, e->mode);
	result = cv_decode(b.b, 15, e->mode, features, i);
	if (result == CV_DECODE_OK) {
		steer(b.b, &b, i, r, e->rip + e->len, e->len, e->mode);
		result = cv_decode(b.b, 15, e->mode, features, i);
	} else if (o->only || row || nat_below(r, 12)) {
		return false; /* few of these are enough */
	}
	if (o->only && (result != CV_DECODE_OK || strcmp(cv_op_name((enum cv_op)i->op), o->only)))
		return false;
	if (nat_filter(h, b.b, i, result, e->mode) || (row && nat_alone((enum cv_op)i->op)))
		return false;
	/* What another maker's processor leaves undefined must not go into what follows. */
	if (row && !h->intel && nat_undefined_flags(i))
		return false;
	if (!o->only && result == CV_DECODE_OK && always_faults((enum cv_op)i->op) && nat_below(r, 8))
		return false;
	e->result = result;
	if (result != CV_DECODE_OK)
		i->len = 15;
	memcpy(e->code + e->len, b.b, i->len);
	e->len += i->len;
	e->n++;
	return true;
}

/* Where in its slot: anywhere, or across the border of two pages. */
static uint64_t place(struct nat_rng *r, unsigned slot)
{
	uint64_t at = NAT_CODE + slot * (uint64_t)NAT_SLOT + 0x800;

	if (nat_chance(r, 8))
		return at + 0x800 - 1 - nat_below(r, 12);
	return at + nat_below(r, 0x700);
}

void nat_generate(struct nat_encoding *e, const struct nat_host *h, const struct nat_options *o, uint64_t number, unsigned slot)
{
	struct nat_rng r = nat_rng_for(o->seed, number);
	unsigned want = nat_below(&r, 4) ? 1 : 2 + nat_below(&r, NAT_INSNS - 1);

	memset(e, 0, sizeof(*e));
	e->number = number;
	e->mode = o->mode ? o->mode : number % 10 == 9 ? 32 : 64;
	e->rip = place(&r, slot);
	if (o->only)
		want = 1;
	while (!append(e, &r, h, o, want > 1))
		;
	/* A row ends with what branches. */
	while (e->n < want && !(e->insn[e->n - 1].flags & CV_INSN_BRANCH))
		if (!append(e, &r, h, o, true))
			continue;
	if (e->n == 1 && slot == NAT_ENCODINGS - 1 && e->len > 1 && nat_chance(&r, 6)) {
		/* Its end lies where nothing is mapped. */
		e->edge = true;
		e->rip = NAT_CODE_END - 1 - nat_below(&r, e->len - 1);
	}
}
