/* SPDX-License-Identifier: MIT */
/*
 * The states that an encoding runs from: registers at random, then changed so that what its instructions address lies in the
 * data window (or, by intent, at a border, where nothing is mapped, or where no address is), with operands of the kind that the
 * instruction is about.
 */
#include "tests/native/values.h"

#define FS_BASE (NAT_DATA + 0x340)
#define GS_BASE (NAT_DATA + 0x1110)

const uint8_t *nat_background(void)
{
	static uint8_t page[NAT_DATA_SIZE];
	static bool made;
	struct nat_rng r = {20240611};

	if (!made)
		nat_fill(&r, page, sizeof(page), NAT_AS_INT);
	made = true;
	return page;
}

void nat_fill_window(uint8_t *window, const struct nat_case *c)
{
	memcpy(window, nat_background(), NAT_RW_SIZE);
	for (unsigned k = 0; k < c->npatches; k++)
		memcpy(window + c->patch[k].off, c->pool + c->patch[k].from, c->patch[k].len);
}

/* Space for n bytes of the window from addr on (what is beyond it goes nowhere); NULL: outside, or no room. */
static uint8_t *patch(struct nat_case *c, uint64_t addr, unsigned n)
{
	struct nat_patch *p = &c->patch[c->npatches];

	if (addr < NAT_DATA || addr >= NAT_DATA + NAT_RW_SIZE)
		return NULL;
	if (c->npatches == NAT_PATCHES || c->pool_used + ((n + 15) & ~15u) > NAT_POOL)
		return NULL;
	c->npatches++;
	p->off = (uint16_t)(addr - NAT_DATA);
	p->len = (uint16_t)(n < NAT_DATA + NAT_RW_SIZE - addr ? n : NAT_DATA + NAT_RW_SIZE - addr);
	p->from = (uint16_t)c->pool_used;
	c->pool_used += (n + 15) & ~15u;
	return c->pool + p->from;
}

static void patch64(struct nat_case *c, uint64_t addr, uint64_t v)
{
	uint8_t *p = patch(c, addr, 8);

	if (p)
		memcpy(p, &v, 8);
}

/* --- Floating point --- */

static void random_x87(struct nat_case *c, struct nat_rng *r, bool x87)
{
	uint8_t *x = c->in.x;
	uint16_t fcw = 0x37f, fsw = (uint16_t)(nat_rnd(r) & 0x7f00);
	uint64_t pointers = nat_rnd(r);

	if (!nat_chance(r, 3)) {
		fcw = (uint16_t)(0x7f | nat_below(r, 4) << 10 | (nat_below(r, 3) ? 3 : nat_below(r, 2) * 2) << 8);
		if (nat_chance(r, 3))
			fcw &= (uint16_t)(~0x3fu | (unsigned)nat_rnd(r));
	}
	if (nat_chance(r, 3)) {
		fsw |= (uint16_t)(nat_rnd(r) & 0x7f);
		if (!nat_chance(r, 6))
			fsw &= (uint16_t)(0xff00 | fcw); /* nothing is pending */
	}
	if (fsw & ~fcw & 0x3f)
		fsw |= 0x8080;
	memcpy(x + XS_FCW, &fcw, 2);
	memcpy(x + XS_FSW, &fsw, 2);
	x[XS_FTW] = (uint8_t)(nat_below(r, 2) ? 0xff : nat_rnd(r));
	pointers &= 0x7fffffffffffull;
	memcpy(x + XS_FIP, &pointers, 8);
	pointers >>= 7;
	memcpy(x + XS_FDP, &pointers, 8);
	x[XS_FOP] = (uint8_t)pointers;
	x[XS_FOP + 1] = (uint8_t)(pointers >> 8 & 7);
	nat_fill_again(r, x + XS_ST, 128, NAT_AS_EXTENDED);
	if (x87)
		nat_fill(r, x + XS_ST, 32, NAT_AS_EXTENDED);
}

static uint32_t random_mxcsr(struct nat_rng *r)
{
	uint32_t v = 0x1f80;

	if (nat_below(r, 2))
		return v;
	v |= nat_below(r, 4) << 13 | nat_below(r, 64);
	if (nat_chance(r, 3))
		v |= 1u << 15;
	if (nat_chance(r, 3))
		v |= 1u << 6;
	if (nat_chance(r, 3))
		v &= ~0x1f80u | (uint32_t)nat_rnd(r);
	return v;
}

/* images: what is in its initial state is the processor's own tracking, and would be seen. */
static void random_vectors(struct nat_case *c, struct nat_rng *r, enum nat_flavour f, bool avx, bool images)
{
	uint8_t *x = c->in.x;
	uint32_t mxcsr = random_mxcsr(r), mask = 0xffff;

	memcpy(x + XS_MXCSR, &mxcsr, 4);
	memcpy(x + XS_MXCSR + 4, &mask, 4);
	if (nat_chance(r, 6))
		f = (enum nat_flavour)nat_below(r, NAT_FLAVOURS);
	nat_fill_again(r, x + XS_XMM, 256, f);
	memset(x + 416, 0, 512 + 64 - 416);
	memset(x + XS_HEADER, 0, 64);
	x[XS_HEADER] = avx ? 7 : 3;
	if (avx)
		nat_fill_again(r, x + XS_YMM, 256, f);
	if (avx && nat_chance(r, 12) && !images)
		x[XS_HEADER] &= (uint8_t)nat_rnd(r); /* parts in their initial state */
}

static void random_vector(struct nat_case *c, struct nat_rng *r, unsigned n, enum nat_flavour f, bool avx)
{
	nat_fill(r, c->in.x + XS_XMM + 16 * (n & 15), 16, f);
	if (avx)
		nat_fill(r, c->in.x + XS_YMM + 16 * (n & 15), 16, f);
}

/* The registers that an instruction names get operands of its own, if it is one of vectors. */
static void random_named(struct nat_case *c, struct nat_rng *r, const struct cv_insn *i, bool avx)
{
	enum nat_flavour f = nat_flavour_of(i);
	bool vector = i->vex || i->opcode < 0x40 || (i->opcode >= 0x50 && i->opcode < 0x80) || i->opcode >= 0xc2;

	if (!vector || i->op == CV_OP_none || nat_chance(r, 4))
		return;
	random_vector(c, r, i->reg, f, avx);
	if (i->mod == 3)
		random_vector(c, r, i->rm, f, avx);
	if (i->vex)
		random_vector(c, r, i->vvvv, f, avx);
}

/* --- Where memory operands lie --- */

/* An address for an operand of about n bytes. */
static uint64_t target(struct nat_rng *r, unsigned n)
{
	uint64_t middle = NAT_DATA + 0x200 + nat_below(r, 0x700), align = n ? n : 16;

	switch (nat_below(r, 60)) {
	case 0: return NAT_DATA + NAT_PAGE - 1 - nat_below(r, n + 8);	      /* across pages */
	case 1: return NAT_DATA + NAT_RW_SIZE - 1 - nat_below(r, n + 8);      /* into what can't be written */
	case 2: return NAT_DATA + NAT_RW_SIZE + nat_below(r, NAT_PAGE);
	case 3: return NAT_DATA + NAT_DATA_SIZE - 1 - nat_below(r, n + 8);    /* into nothing */
	case 4: return NAT_DATA - 1 - nat_below(r, n + 8);
	case 5:
		switch (nat_below(r, 4)) {
		case 0: return NAT_DATA + 0x100000 + nat_below(r, 0x10000);
		case 1: return 0x800000000000ull - nat_below(r, n + 2);	      /* the last below the gap, and across */
		case 2: return 0x0010000000000000ull | (nat_rnd(r) >> 8);     /* no address */
		default: return nat_below(r, 0x1000);
		}
	case 6: case 7: case 8: return middle;
	case 9: return NAT_CODE + nat_below(r, NAT_CODE_SIZE - 64);
	default: return middle & ~(align - 1);
	}
}

static uint64_t segment_base(const struct nat_case *c, const struct cv_insn *i, unsigned mode)
{
	if (mode != 64)
		return 0;
	return i->seg == CV_FS ? c->in.fsbase : i->seg == CV_GS ? c->in.gsbase : 0;
}

static bool vector_index(const struct cv_insn *i)
{
	const char *n = cv_op_name((enum cv_op)i->op);

	return !strncmp(n, "vpgather", 8) || !strncmp(n, "vgather", 7);
}

static uint64_t effective(const struct nat_case *c, const struct cv_insn *i, uint64_t next_rip)
{
	uint64_t a = (uint64_t)(int64_t)i->disp;

	if (i->base == CV_REG_RIP)
		a += next_rip;
	else if (i->base != CV_NOREG)
		a += c->in.gpr[i->base];
	if (i->index != CV_NOREG && !vector_index(i))
		a += c->in.gpr[i->index] << i->scale;
	return i->asize == 8 ? a : i->asize == 4 ? (uint32_t)a : (uint16_t)a;
}

/* Sets a register so that the operand lies at t; the address that comes out, with the segment's base. */
static uint64_t aim(struct nat_case *c, const struct cv_insn *i, uint64_t t, uint64_t next_rip, struct nat_rng *r, unsigned mode)
{
	uint64_t base = segment_base(c, i, mode), want = t - base - (uint64_t)(int64_t)i->disp;
	uint64_t high = i->asize == 8 || mode != 64 || nat_below(r, 2) ? 0 : nat_rnd(r) << 32;
	bool index = i->index != CV_NOREG && !vector_index(i);

	if (i->base == CV_NOREG || i->base == CV_REG_RIP) {
		if (index && i->base == CV_NOREG)
			c->in.gpr[i->index] = want >> i->scale | high;
	} else if (index && i->index == i->base) {
		c->in.gpr[i->base] = want / (1u + (1u << i->scale));
	} else {
		if (index && nat_below(r, 4))
			c->in.gpr[i->index] = nat_below(r, 256) - 64ull * nat_below(r, 2);
		c->in.gpr[i->base] = (want - (index ? c->in.gpr[i->index] << i->scale : 0)) + high;
	}
	return base + effective(c, i, next_rip);
}

/* --- What instructions want --- */

static uint64_t code_target(struct nat_rng *r, const struct nat_encoding *e)
{
	switch (nat_below(r, 12)) {
	case 0: return nat_rnd(r);
	case 1: return NAT_DATA + nat_below(r, NAT_DATA_SIZE);
	case 2: return NAT_DATA + 0x4000000;
	default: return (e->rip & ~(uint64_t)(NAT_SLOT - 1)) + nat_below(r, 0x600);
	}
}

static uint16_t selector(struct nat_rng *r)
{
	static const uint16_t v[] = {0, 1, 3, 0x23, 0x2b, 0x33, 0x10, 0x18, 0x13, 0x28, 0x30, 0x2a, 0x40, 0x43, 0x7, 0xc, 0x80, 0x8b, 0xfff8, 0x1b};

	return v[nat_below(r, sizeof(v) / sizeof(v[0]))];
}

static void patch_far(struct nat_case *c, uint64_t at, const struct cv_insn *i, struct nat_rng *r, const struct nat_encoding *e)
{
	uint8_t *p = patch(c, at, 16);
	uint64_t offset = code_target(r, e);
	uint16_t sel = nat_chance(r, 2) ? 0x33 : selector(r);

	if (!p)
		return;
	memcpy(p, &offset, 8);
	memcpy(p + i->osize, &sel, 2);
}

static void patch_fxrstor(struct nat_case *c, uint64_t at, struct nat_rng *r, unsigned n, const struct nat_host *h)
{
	uint8_t *p = patch(c, at, n);
	uint32_t mxcsr = random_mxcsr(r);

	if (!p)
		return;
	nat_fill(r, p, n, NAT_AS_INT);
	if (nat_below(r, 10))
		memcpy(p + XS_MXCSR, &mxcsr, 4);
	else if (!h->intel)
		p[XS_MXCSR + 2] = 0;
	{
		/* Pointers that are addresses: others are cut by each processor as it likes. */
		memset(p + XS_FIP + 6, 0, 2);
		memset(p + XS_FDP + 6, 0, 2);
	}
	if (n <= XS_HEADER)
		return;
	memset(p + XS_HEADER, 0, 64);
	p[XS_HEADER] = (uint8_t)nat_below(r, h->avx ? 8 : 4);
	if (h->features & CV_HAS(xsavec) && nat_chance(r, 4)) {
		p[XS_HEADER + 15] = 0x80; /* compacted: XCOMP_BV[63] */
		p[XS_HEADER + 8] = (uint8_t)(p[XS_HEADER] | nat_below(r, h->avx ? 8 : 4));
	}
	if (nat_chance(r, 20)) /* what no processor has */
		p[XS_HEADER + 16 + nat_below(r, 48)] ^= (uint8_t)(1u << nat_below(r, 8));
}

/* Bytes of a memory operand, about. */
static unsigned size_of(const struct cv_insn *i)
{
	switch (i->op) {
	case CV_OP_fxsave: case CV_OP_fxrstor: case CV_OP_xsave: case CV_OP_xrstor: case CV_OP_xsavec: case CV_OP_xsaveopt:
	case CV_OP_frstor: case CV_OP_fnsave: case CV_OP_fldenv: case CV_OP_fnstenv:
		return 64;
	default: break;
	}
	if (cv_op_name((enum cv_op)i->op)[0] == 'v')
		return 32;
	return i->osize > 8 || i->opcode >= 0xd8 ? 16 : i->osize;
}

static unsigned align_of(const struct cv_insn *i)
{
	unsigned n = size_of(i);

	return n < 16 && cv_op_name((enum cv_op)i->op)[0] == 'p' ? 16 : n == 4 || n == 8 ? 16 : n;
}

static void fill_operand(struct nat_case *c, const struct cv_insn *i, uint64_t at, struct nat_rng *r, const struct nat_host *h,
			 const struct nat_encoding *e)
{
	uint8_t *p;

	switch (i->op) {
	case CV_OP_jmp_far_ind: case CV_OP_call_far_ind: case CV_OP_lss: case CV_OP_lfs: case CV_OP_lgs: case CV_OP_les: case CV_OP_lds:
		patch_far(c, at, i, r, e);
		return;
	case CV_OP_jmp_ind: case CV_OP_call_ind: patch64(c, at, code_target(r, e)); return;
	case CV_OP_fxrstor: patch_fxrstor(c, at, r, XS_HEADER, h); return;
	case CV_OP_xrstor: patch_fxrstor(c, at, r, XS_SIZE, h); return;
	case CV_OP_mov_to_sreg: case CV_OP_verr: case CV_OP_verw: patch64(c, at, selector(r)); return;
	default: break;
	}
	p = patch(c, at, 32);
	if (!p)
		return;
	nat_fill(r, p, 32, nat_chance(r, 8) ? (enum nat_flavour)nat_below(r, NAT_FLAVOURS) : nat_flavour_of(i));
	if (i->op == CV_OP_fldcw || i->op == CV_OP_fldenv || i->op == CV_OP_frstor) {
		/* Mostly a control word with its exceptions masked, or nothing else would be seen afterwards. */
		if (nat_below(r, 3))
			p[0] = 0x7f;
	}
	if ((i->op == CV_OP_ldmxcsr || i->op == CV_OP_vldmxcsr) && nat_below(r, 6))
		memset(p + 2, 0, 2);
	if ((i->op == CV_OP_ldmxcsr || i->op == CV_OP_vldmxcsr) && !h->intel)
		p[2] &= (uint8_t)~2u; /* AMD's MXCSR.MM */
}

static void fit_division(struct nat_case *c, const struct cv_insn *i, struct nat_rng *r)
{
	if ((i->op != CV_OP_div && i->op != CV_OP_idiv) || nat_chance(r, 4))
		return;
	if (nat_below(r, 2))
		c->in.gpr[CV_RDX] = i->op == CV_OP_idiv && nat_below(r, 2) ? UINT64_MAX : nat_below(r, 4);
	if (i->osize == 1)
		c->in.gpr[CV_RAX] &= 0xffff0fff;
}

static void fit_string(struct nat_case *c, const struct cv_insn *i, struct nat_rng *r, unsigned mode)
{
	uint64_t si = target(r, i->osize), di = nat_chance(r, 3) ? si + nat_below(r, 64) : target(r, i->osize);
	uint8_t *p;

	c->in.gpr[CV_RSI] = si - segment_base(c, i, mode);
	c->in.gpr[CV_RDI] = di;
	if (i->prefixes & (CV_PFX_REP | CV_PFX_REPNE))
		c->in.gpr[CV_RCX] = nat_chance(r, 40) ? 0x800 : nat_below(r, 40);
	if (nat_below(r, 4))
		c->in.rflags &= ~(uint64_t)CV_FLAG_DF;
	/* Much of the same, so that comparisons go on. */
	if (i->op == CV_OP_cmps || i->op == CV_OP_scas) {
		uint8_t v = (uint8_t)nat_rnd(r);

		if (nat_below(r, 2))
			c->in.gpr[CV_RAX] = v * 0x0101010101010101ull;
		p = patch(c, si, 96);
		if (p)
			memset(p, v, 96);
		p = patch(c, di, 96);
		if (p)
			memset(p, v, 96);
		if (p && nat_below(r, 4))
			p[nat_below(r, 96)] ^= 1;
	}
	if (i->asize == 4 && mode == 64 && nat_below(r, 2)) {
		c->in.gpr[CV_RSI] |= nat_rnd(r) << 32;
		c->in.gpr[CV_RDI] |= nat_rnd(r) << 32;
		c->in.gpr[CV_RCX] |= nat_rnd(r) << 32;
	}
}

static void fit_stack(struct nat_case *c, const struct cv_insn *i, struct nat_rng *r, const struct nat_encoding *e)
{
	uint64_t rsp = c->in.gpr[CV_RSP];
	uint8_t *p;

	switch (i->op) {
	case CV_OP_ret: patch64(c, rsp, code_target(r, e)); break;
	case CV_OP_ret_far: case CV_OP_iret:
		p = patch(c, rsp, 40);
		if (!p)
			break;
		for (unsigned k = 0; k < 5; k++) {
			uint64_t v = k == 0 ? code_target(r, e) : k == 1 ? (nat_below(r, 3) ? e->mode == 64 ? 0x33u : 0x23u : selector(r)) :
				     k == 2 ? 0x202 | (nat_rnd(r) & 0xcd5) :
				     k == 3 ? target(r, 8) : nat_below(r, 3) ? 0x2bu : selector(r);

			if (k * i->osize + 8 <= 40)
				memcpy(p + k * i->osize, &v, 8);
		}
		break;
	case CV_OP_popf: /* without TF: that trap belongs to the stub */
		patch64(c, rsp, nat_rnd(r) & ~(uint64_t)CV_FLAG_TF);
		break;
	case CV_OP_pop_sreg: patch64(c, rsp, selector(r) | nat_rnd(r) << 16); break;
	case CV_OP_leave: c->in.gpr[CV_RBP] = target(r, 8); break;
	case CV_OP_enter:
		if (nat_below(r, 2))
			c->in.gpr[CV_RBP] = target(r, 8);
		break;
	default: break;
	}
}

static void fit_registers(struct nat_case *c, const struct cv_insn *i, struct nat_rng *r, const struct nat_encoding *e,
			  const struct nat_host *h)
{
	switch (i->op) {
	case CV_OP_jmp_ind: case CV_OP_call_ind:
		if (i->mod == 3)
			c->in.gpr[i->rm] = code_target(r, e);
		break;
	case CV_OP_xlat: c->in.gpr[CV_RBX] = target(r, 1) - segment_base(c, i, e->mode) - (c->in.gpr[CV_RAX] & 0xff); break;
	case CV_OP_maskmovdqu: case CV_OP_vmaskmovdqu:
		c->in.gpr[CV_RDI] = target(r, 8) - segment_base(c, i, e->mode);
		break;
	case CV_OP_mov_to_sreg: case CV_OP_verr: case CV_OP_verw: case CV_OP_arpl:
		if (i->mod == 3)
			c->in.gpr[i->rm] = selector(r) | (nat_below(r, 2) ? nat_rnd(r) << 16 : 0);
		break;
	case CV_OP_shl: case CV_OP_shr: case CV_OP_sar: case CV_OP_rol: case CV_OP_ror: case CV_OP_rcl: case CV_OP_rcr: case CV_OP_shld:
	case CV_OP_shrd:
		if (nat_below(r, 3))
			c->in.gpr[CV_RCX] = nat_below(r, 70);
		break;
	case CV_OP_xsave: case CV_OP_xrstor: case CV_OP_xsavec: case CV_OP_xsaveopt:
		if (nat_below(r, 8))
			c->in.gpr[CV_RAX] = nat_below(r, 8);
		c->in.gpr[CV_RAX] &= ~h->missing_state;
		break;
	case CV_OP_jcxz: case CV_OP_loop: case CV_OP_loope: case CV_OP_loopne:
		if (nat_below(r, 2))
			c->in.gpr[CV_RCX] = nat_below(r, 3);
		break;
	case CV_OP_wrfsbase: case CV_OP_wrgsbase:
		if (nat_below(r, 2) && i->rm != CV_RSP)
			c->in.gpr[i->rm] = NAT_DATA + nat_below(r, 0x1000);
		break;
	case CV_OP_cmpxchg8b: case CV_OP_cmpxchg16b: case CV_OP_cmpxchg: break;
	case CV_OP_div: case CV_OP_idiv: fit_division(c, i, r); break;
	default: break;
	}
}

/* LOCK across a line of the cache stops the whole machine for a moment: seldom. */
static bool locks(const struct cv_insn *i)
{
	return i->prefixes & CV_PFX_LOCK || i->op == CV_OP_xchg;
}

static void fit_memory(struct nat_case *c, const struct nat_encoding *e, const struct cv_insn *i, uint64_t next_rip, struct nat_rng *r,
		       const struct nat_host *h)
{
	uint64_t t, at;

	if (i->op == CV_OP_none || i->mod == 3 || (!i->modrm && i->base == CV_NOREG && i->index == CV_NOREG))
		return;
	t = target(r, align_of(i));
	if (size_of(i) == 64 && nat_below(r, 8))
		t = NAT_DATA + (1 + nat_below(r, 20)) * 64;
	if (locks(i) && nat_below(r, 30))
		t &= ~15ull;
	if ((i->op == CV_OP_bt || i->op == CV_OP_bts || i->op == CV_OP_btr || i->op == CV_OP_btc) && i->reg != i->base && i->reg != i->index &&
	    (i->opcode != 0xba))
		c->in.gpr[i->reg] = nat_below(r, 3) ? nat_below(r, 8000) - 4000ull : c->in.gpr[i->reg];
	at = aim(c, i, t, next_rip, r, e->mode);
	fill_operand(c, i, at, r, h, e);
	if (i->op == CV_OP_cmpxchg8b || i->op == CV_OP_cmpxchg16b) {
		if (nat_below(r, 2) && c->npatches && c->patch[c->npatches - 1].len >= 16) {
			const uint8_t *p = c->pool + c->patch[c->npatches - 1].from;
			unsigned half = i->op == CV_OP_cmpxchg8b ? 4 : 8;

			if (i->base != CV_RAX && i->base != CV_RDX && i->index != CV_RAX && i->index != CV_RDX) {
				c->in.gpr[CV_RAX] = c->in.gpr[CV_RDX] = 0;
				memcpy(&c->in.gpr[CV_RAX], p, half);
				memcpy(&c->in.gpr[CV_RDX], p + half, half);
			}
		}
	}
}

static bool stores_image(const struct nat_encoding *e)
{
	return e->insn[0].op == CV_OP_xsave || e->insn[0].op == CV_OP_xsavec || e->insn[0].op == CV_OP_xsaveopt;
}

static bool is_string(const struct cv_insn *i)
{
	return i->op == CV_OP_movs || i->op == CV_OP_cmps || i->op == CV_OP_stos || i->op == CV_OP_lods || i->op == CV_OP_scas ||
	       i->op == CV_OP_ins || i->op == CV_OP_outs;
}

void nat_operands(struct nat_case *c, const struct nat_encoding *e, const struct nat_host *h, struct nat_rng *r)
{
	uint64_t rip = e->rip;

	c->npatches = c->pool_used = 0;
	memset(&c->in.rflags, 0, sizeof(c->in) - offsetof(struct nat_state, rflags));
	for (unsigned k = 0; k < 16; k++)
		c->in.gpr[k] = nat_integer(r);
	c->in.gpr[CV_RSP] = nat_chance(r, 30) ? target(r, 8) : NAT_DATA + 0x1400 + nat_below(r, 0x80) * 8;
	c->in.rip = e->rip;
	c->in.rflags = 0x202 | (nat_rnd(r) & CV_FLAGS_ARITH) | (nat_chance(r, 6) ? CV_FLAG_DF : 0) | (nat_chance(r, 24) ? CV_FLAG_AC : 0) |
		       (nat_chance(r, 12) ? CV_FLAG_ID : 0);
	if (e->mode == 32)
		c->in.sel[CV_DS] = c->in.sel[CV_ES] = 0x2b;
	if (h->fsgsbase && e->mode == 64) {
		c->in.fsbase = nat_below(r, 8) ? FS_BASE : 0;
		c->in.gsbase = nat_below(r, 8) ? GS_BASE : 0x7ffffffff000;
	}
	if (e->mode == 32)
		for (unsigned k = 0; k < 16; k++)
			c->in.gpr[k] = (uint32_t)c->in.gpr[k];
	random_x87(c, r, nat_flavour_of(&e->insn[e->n - 1]) == NAT_AS_EXTENDED);
	random_vectors(c, r, nat_flavour_of(&e->insn[e->n - 1]), h->avx, stores_image(e));
	/* The last instruction's wishes first: the first one's win. */
	for (unsigned k = 0; k < e->n; k++)
		rip += e->insn[k].len;
	for (unsigned k = e->n; k-- > 0;) {
		const struct cv_insn *i = &e->insn[k];

		random_named(c, r, i, h->avx);
		fit_registers(c, i, r, e, h);
		if (is_string(i))
			fit_string(c, i, r, e->mode);
		else
			fit_memory(c, e, i, rip, r, h);
		fit_stack(c, i, r, e);
		rip -= i->len;
	}
	if (e->mode == 32)
		for (unsigned k = 0; k < 8; k++)
			c->in.gpr[k] = (uint32_t)c->in.gpr[k];
}
