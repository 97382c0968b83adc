/* SPDX-License-Identifier: MIT */
/*
 * The decoder's engine: prefixes, opcode maps, ModRM, SIB, displacement, immediates, and the checks that an
 * instruction's encoding alone decides (SDM 2A chapter 2 and appendix A).
 *
 * A row is found first (maps and selections), then its operands are read in their order in the instruction: ModRM and
 * what follows it, then immediates. Running out of bytes is DECODE_MORE unless 15 were given: then the instruction
 * is too long. A VEX prefix (SDM 2A 2.3) stands for REX, a mandatory prefix and the escape bytes: it sets the same fields.
 */
#include <string.h>

#include "vmm-core/state.h"
#include "vmm-core/x86/insn.h"

struct reader {
	const uint8_t *p;
	size_t n, pos;
	bool short_of; /* wanted more than n bytes */
	uint8_t map;   /* without VEX; 1: 0F, 2: 0F 38, 3: 0F 3A */
	unsigned mode;
	uint8_t prefixes;
	int seg; /* override, or -1 */
	bool f2_last; /* of F2 and F3, F2 came last */
	bool vvvv_ones; /* VEX.vvvv is 1111b: no operand */
	bool w;	      /* REX.W or VEX.W */
	uint8_t pp;   /* the mandatory prefix of a VEX prefix: 0, 66, F3, F2 */
	uint64_t features;
	const struct cv_opcode *row;
	bool has_modrm;
	struct cv_insn *i;
};

const char *cv_op_name(enum cv_op op)
{
	static const char *const names[CV_OP_COUNT] = {
		[CV_OP_none] = "(bad)",
#define X(name) [CV_OP_##name] = #name,
#include "vmm-core/x86/ops_int.def"
#include "vmm-core/x86/ops_sys.def"
#include "vmm-core/x86/ops_fp.def"
#include "vmm-core/x86/ops_crypto.def"
#include "vmm-core/x86/ops_avx.def"
#undef X
	};

	return (unsigned)op < CV_OP_COUNT ? names[op] : names[0];
}

static uint8_t next8(struct reader *r)
{
	if (r->pos >= r->n) {
		r->short_of = true;
		return 0;
	}
	return r->p[r->pos++];
}

static uint64_t next_le(struct reader *r, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned k = 0; k < bytes; k++)
		v |= (uint64_t)next8(r) << (8 * k);
	return v;
}

static int64_t next_signed(struct reader *r, unsigned bytes)
{
	uint64_t v = next_le(r, bytes);
	unsigned shift = 64 - 8 * bytes;

	return (int64_t)(v << shift) >> shift;
}

static void read_prefixes(struct reader *r)
{
	for (;;) {
		uint8_t b = r->pos < r->n ? r->p[r->pos] : 0;

		switch (b) {
		case 0xf0: r->prefixes |= CV_PFX_LOCK; break;
		case 0xf3: r->prefixes |= CV_PFX_REP; r->f2_last = false; break;
		case 0xf2: r->prefixes |= CV_PFX_REPNE; r->f2_last = true; break;
		case 0x66: r->prefixes |= CV_PFX_66; break;
		case 0x67: r->prefixes |= CV_PFX_67; break;
		/* In 64-bit mode the first four are ignored, but they do cancel nothing either (SDM 2A 2.1.1). */
		case 0x26: if (r->mode != 64) r->seg = CV_ES; break;
		case 0x2e: if (r->mode != 64) r->seg = CV_CS; break;
		case 0x36: if (r->mode != 64) r->seg = CV_SS; break;
		case 0x3e: if (r->mode != 64) r->seg = CV_DS; break;
		case 0x64: r->seg = CV_FS; break;
		case 0x65: r->seg = CV_GS; break;
		default:
			if (r->mode == 64 && (b & 0xf0) == 0x40) {
				/* A REX that no opcode follows directly is ignored. */
				r->i->rex = b;
				r->pos++;
				if (r->pos < r->n) {
					uint8_t c = r->p[r->pos];
					bool prefix = (c & 0xf0) == 0x40 || c == 0xf0 || c == 0xf2 || c == 0xf3 ||
						      c == 0x66 || c == 0x67 || c == 0x26 || c == 0x2e || c == 0x36 ||
						      c == 0x3e || c == 0x64 || c == 0x65;
					if (!prefix)
						return;
					r->i->rex = 0;
					continue;
				}
				r->short_of = true;
			}
			return;
		}
		r->pos++;
		if (r->pos >= 15 || r->pos >= r->n) {
			r->short_of = true;
			return;
		}
	}
}

/* --- Which row --- */

static uint8_t modrm(struct reader *r)
{
	if (!r->has_modrm) {
		r->i->modrm = next8(r);
		r->has_modrm = true;
	}
	return r->i->modrm;
}

static const struct cv_opcode no_row = {.op = CV_OP_none};

/*
 * Behind C4 or C5. The bits are inverted; outside 64-bit mode R, X (and so LES and LDS with a register) tell the prefix
 * from LES and LDS, and there are eight registers.
 */
static const struct cv_opcode *find_vex_row(struct reader *r, bool three)
{
	static const struct cv_opcode *const maps[4] = {NULL, cv_map_vex_0f, cv_map_vex_0f38, cv_map_vex_0f3a};
	bool prefixed = r->i->rex || r->prefixes & (CV_PFX_LOCK | CV_PFX_66 | CV_PFX_REP | CV_PFX_REPNE);
	uint8_t a = next8(r), b = three ? next8(r) : a;
	unsigned map = three ? a & 31 : 1;
	uint8_t rxb = (uint8_t)(three ? (uint8_t)~a >> 5 : ((uint8_t)~a >> 7) << 2);

	r->w = three && b & 0x80;
	r->pp = b & 3;
	r->i->rex = (uint8_t)(r->mode == 64 ? 0x40 | rxb | r->w << 3 : 0);
	r->i->vvvv = (uint8_t)(~b >> 3 & (r->mode == 64 ? 15 : 7));
	r->vvvv_ones = (b & 0x78) == 0x78;
	r->i->vex = (uint8_t)(CV_VEX | (b & 4 ? CV_VEX_L : 0));
	r->i->opcode = next8(r);
	/* Without the map nothing is known of what follows; processors stop there too. */
	return map < 1 || map > 3 || prefixed ? &no_row : &maps[map][r->i->opcode];
}

/* C4h and C5h are LES and LDS outside 64-bit mode, unless their ModRM would name a register. */
static bool is_vex(struct reader *r, uint8_t b)
{
	if ((b & 0xfe) != 0xc4)
		return false;
	if (r->mode == 64)
		return true;
	if (r->pos >= r->n) {
		r->short_of = true;
		return false;
	}
	return r->p[r->pos] >= 0xc0;
}

static const struct cv_opcode *find_row(struct reader *r)
{
	uint8_t b = next8(r);
	const struct cv_opcode *row = &cv_map_1[b];

	if (is_vex(r, b))
		return find_vex_row(r, b == 0xc4);
	if (b == 0x0f) {
		b = next8(r);
		r->map = b == 0x38 ? 2 : b == 0x3a ? 3 : 1;
		if (b == 0x38) {
			b = next8(r);
			row = &cv_map_0f38[b];
		} else if (b == 0x3a) {
			b = next8(r);
			row = &cv_map_0f3a[b];
		} else {
			row = &cv_map_0f[b];
			if (row->op == CV_OP_none && !row->sub)
				row = &cv_map_0f_simd[b];
		}
	} else if (b >= 0xd8 && b <= 0xdf) {
		uint8_t m = modrm(r);

		row = m >= 0xc0 ? &cv_map_x87_reg[b - 0xd8][m - 0xc0] : &cv_map_x87_mem[b - 0xd8][(m >> 3) & 7];
	}
	r->i->opcode = b;
	return row;
}

static unsigned plain_osize(const struct reader *r)
{
	bool o66 = r->prefixes & CV_PFX_66;

	if (r->mode == 64)
		return r->i->rex & 8 ? 8 : o66 ? 2 : 4;
	return (r->mode == 16) == o66 ? 4 : 2;
}

static unsigned mandatory_prefix(const struct reader *r)
{
	if (r->i->vex)
		return r->pp;
	if (r->prefixes & (CV_PFX_REP | CV_PFX_REPNE))
		return r->f2_last ? 3 : 2;
	return r->prefixes & CV_PFX_66 ? 1 : 0;
}

static const struct cv_opcode *select_row(struct reader *r, const struct cv_opcode *row)
{
	while (row->select != S_none) {
		unsigned k = 0;

		switch ((enum cv_select)row->select) {
		case S_REG: k = (modrm(r) >> 3) & 7; break;
		case S_MOD: k = modrm(r) >= 0xc0; break;
		case S_RM: k = modrm(r) & 7; break;
		case S_PREFIX: k = mandatory_prefix(r); break;
		case S_MODE64: k = r->mode == 64; break;
		case S_REXW: k = r->w; break;
		case S_VEXL: k = !!(r->i->vex & CV_VEX_L); break;
		case S_FEATURE: k = r->features >> row->feature & 1; break;
		case S_none: break;
		}
		row = &row->sub[k];
	}
	return row;
}

/* --- Operands --- */

enum { K_MODRM = 1, K_MEM = 2 /* mod 3 is #UD */, K_REG = 4 /* memory is #UD */, K_RMREG = 8 /* mod ignored */, K_BYTE = 16,
       K_RM8 = 32 /* rm is a byte register */, K_REG8 = 64, K_NOREXREG = 128 /* reg without REX.R */,
       K_VVVV = 256 /* VEX.vvvv is an operand */, K_VSIB = 512 };

static const uint16_t operand_traits[O_COUNT] = {
	[O_Eb] = K_MODRM | K_BYTE | K_RM8, [O_Ew] = K_MODRM, [O_Ed] = K_MODRM, [O_Eq] = K_MODRM, [O_Ev] = K_MODRM,
	[O_Ey] = K_MODRM, [O_Gb] = K_MODRM | K_BYTE | K_REG8, [O_Gw] = K_MODRM, [O_Gd] = K_MODRM, [O_Gq] = K_MODRM,
	[O_Gv] = K_MODRM, [O_Gy] = K_MODRM, [O_Gz] = K_MODRM, [O_M] = K_MODRM | K_MEM, [O_Mb] = K_MODRM | K_MEM,
	[O_Mw] = K_MODRM | K_MEM, [O_Md] = K_MODRM | K_MEM, [O_Mq] = K_MODRM | K_MEM, [O_Mdq] = K_MODRM | K_MEM,
	[O_Mp] = K_MODRM | K_MEM, [O_Ms] = K_MODRM | K_MEM, [O_Mt] = K_MODRM | K_MEM, [O_Ma] = K_MODRM | K_MEM,
	[O_Mv] = K_MODRM | K_MEM, [O_My] = K_MODRM | K_MEM, [O_Rd] = K_MODRM | K_RMREG, [O_Ry] = K_MODRM | K_REG,
	[O_Rv] = K_MODRM | K_REG, [O_Sw] = K_MODRM | K_NOREXREG, [O_Cd] = K_MODRM, [O_Dd] = K_MODRM,
	[O_Ew_Mw] = K_MODRM, [O_AL] = K_BYTE, [O_Zb] = K_BYTE, [O_Ob] = K_BYTE, [O_Xb] = K_BYTE, [O_Yb] = K_BYTE,
	[O_Pq] = K_MODRM, [O_Pd] = K_MODRM, [O_Qq] = K_MODRM, [O_Qd] = K_MODRM, [O_Nq] = K_MODRM | K_REG,
	[O_Vdq] = K_MODRM, [O_Vps] = K_MODRM, [O_Vpd] = K_MODRM, [O_Vss] = K_MODRM, [O_Vsd] = K_MODRM, [O_Vq] = K_MODRM,
	[O_Vd] = K_MODRM, [O_Wdq] = K_MODRM, [O_Wps] = K_MODRM, [O_Wpd] = K_MODRM, [O_Wss] = K_MODRM,
	[O_Wsd] = K_MODRM, [O_Wq] = K_MODRM, [O_Wd] = K_MODRM, [O_Ww] = K_MODRM, [O_Udq] = K_MODRM | K_REG,
	[O_Uq] = K_MODRM | K_REG, [O_Rdm] = K_MODRM,
	[O_Vx] = K_MODRM, [O_Wx] = K_MODRM, [O_Ux] = K_MODRM | K_REG, [O_Mx] = K_MODRM | K_MEM, [O_Hx] = K_VVVV,
	[O_Hdq] = K_VVVV, [O_Hqq] = K_VVVV, [O_Hss] = K_VVVV, [O_Hsd] = K_VVVV, [O_Vqq] = K_MODRM, [O_Wqq] = K_MODRM,
	[O_Mqq] = K_MODRM | K_MEM, [O_Wxh] = K_MODRM, [O_Wxq] = K_MODRM, [O_Wxo] = K_MODRM,
	[O_Mdx] = K_MODRM | K_MEM | K_VSIB, [O_By] = K_VVVV, [O_Wb] = K_MODRM,
};

static unsigned operand_size(const struct reader *r, const struct cv_opcode *row)
{
	unsigned n = plain_osize(r);

	if (row->flags & F_BYTE || operand_traits[row->o[0]] & K_BYTE)
		return 1;
	if (row->flags & F_W64)
		return r->i->rex & 8 ? 8 : 4;
	if (r->mode == 64 && row->flags & F_F64)
		return 8;
	if (r->mode == 64 && row->flags & F_D64)
		return n == 4 ? 8 : n;
	return n;
}

static void byte_register(const struct reader *r, uint8_t *reg, unsigned flag)
{
	if (!r->i->rex && *reg >= 4 && *reg < 8) {
		*reg -= 4;
		r->i->flags |= (uint8_t)flag;
	}
}

static void read_memory16(struct reader *r, unsigned mod, unsigned rm)
{
	static const uint8_t bases[8] = {CV_RBX, CV_RBX, CV_RBP, CV_RBP, CV_RSI, CV_RDI, CV_RBP, CV_RBX};
	static const uint8_t indexes[8] = {CV_RSI, CV_RDI, CV_RSI, CV_RDI, CV_NOREG, CV_NOREG, CV_NOREG, CV_NOREG};
	struct cv_insn *i = r->i;

	i->base = bases[rm];
	i->index = indexes[rm];
	if (mod == 0 && rm == 6) {
		i->base = CV_NOREG;
		i->disp = (int32_t)next_signed(r, 2);
	} else if (mod) {
		i->disp = (int32_t)next_signed(r, mod == 1 ? 1 : 2);
	}
	i->seg = i->base == CV_RBP ? CV_SS : CV_DS;
}

static void read_memory32(struct reader *r, unsigned mod, unsigned rm, bool vsib)
{
	struct cv_insn *i = r->i;
	unsigned disp = mod == 1 ? 1 : mod == 2 ? 4 : 0;

	i->base = (uint8_t)(rm | (i->rex & 1) << 3);
	if (rm == 4) {
		uint8_t sib = next8(r);
		unsigned index = ((sib >> 3) & 7) | (i->rex & 2) << 2;

		i->scale = sib >> 6;
		i->index = index == 4 && !vsib ? CV_NOREG : (uint8_t)index;
		i->base = (uint8_t)((sib & 7) | (i->rex & 1) << 3);
		if ((sib & 7) == 5 && mod == 0) {
			i->base = CV_NOREG;
			disp = 4;
		}
	} else if (rm == 5 && mod == 0) {
		i->base = r->mode == 64 ? CV_REG_RIP : CV_NOREG;
		disp = 4;
	}
	if (disp)
		i->disp = (int32_t)next_signed(r, disp);
	i->seg = i->base == CV_RSP || i->base == CV_RBP ? CV_SS : CV_DS;
}

static void read_modrm(struct reader *r, unsigned traits)
{
	struct cv_insn *i = r->i;
	uint8_t m = modrm(r);
	unsigned mod = m >> 6, rm = m & 7;

	i->reg = (uint8_t)((m >> 3) & 7);
	if (!(traits & K_NOREXREG))
		i->reg |= (uint8_t)((i->rex & 4) << 1);
	if (traits & K_RMREG)
		mod = 3;
	if (mod == 3) {
		i->mod = 3;
		i->rm = (uint8_t)(rm | (i->rex & 1) << 3);
		return;
	}
	if (i->asize == 2)
		read_memory16(r, mod, rm);
	else
		read_memory32(r, mod, rm, traits & K_VSIB);
	if (r->seg >= 0)
		i->seg = (uint8_t)r->seg;
}

static void read_operand(struct reader *r, enum cv_operand o)
{
	struct cv_insn *i = r->i;
	unsigned z = i->osize == 2 ? 2 : 4;

	switch (o) {
	case O_Ib:
	case O_Lx: i->imm = next8(r); break;
	case O_Ibs: i->imm = (uint64_t)next_signed(r, 1); break;
	case O_Iw: i->imm = next_le(r, 2); break;
	case O_Iz: i->imm = (uint64_t)next_signed(r, z); break;
	case O_Iv: i->imm = (uint64_t)next_signed(r, i->osize == 8 ? 8 : z); break;
	case O_Ib2: i->imm2 = next8(r); break;
	case O_Jb: i->imm = (uint64_t)next_signed(r, 1); break;
	case O_Jz: i->imm = (uint64_t)next_signed(r, z); break;
	case O_1: i->imm = 1; break;
	case O_Ap:
		i->imm = next_le(r, z);
		i->imm2 = (uint16_t)next_le(r, 2);
		break;
	case O_Ob:
	case O_Ov:
		i->imm = next_le(r, i->asize);
		i->seg = r->seg >= 0 ? (uint8_t)r->seg : CV_DS;
		break;
	case O_Zb:
	case O_Zv:
		i->reg = (uint8_t)((i->opcode & 7) | (i->rex & 1) << 3);
		if (o == O_Zb)
			byte_register(r, &i->reg, CV_INSN_HIGH_REG);
		break;
	case O_Xb:
	case O_Xv:
	case O_Xz: i->seg = r->seg >= 0 ? (uint8_t)r->seg : CV_DS; break;
	default: break;
	}
}

/* A gather needs SIB, and its three vector registers must differ (SDM 2A 2.3.12). */
static bool gather_allowed(const struct cv_insn *i)
{
	return i->asize != 2 && (i->modrm & 7) == 4 && i->reg != i->index && i->reg != i->vvvv && i->index != i->vvvv;
}

static bool read_operands(struct reader *r, const struct cv_opcode *row)
{
	struct cv_insn *i = r->i;
	unsigned traits = row->flags & F_MODRM ? K_MODRM : 0;

	for (unsigned k = 0; k < 4; k++)
		traits |= operand_traits[row->o[k]];
	if (traits & K_MODRM || r->has_modrm) {
		read_modrm(r, traits);
		if (traits & K_NOREXREG && i->reg >= 6) /* there are six segment registers */
			return false;
		if (i->mod == 3 ? (traits & K_MEM || row->flags & F_MEMONLY) :
				  (traits & K_REG || row->flags & F_REGONLY))
			return false;
		if (traits & K_VSIB && !gather_allowed(i))
			return false;
		if (traits & K_RM8 && i->mod == 3)
			byte_register(r, &i->rm, CV_INSN_HIGH_RM);
		if (traits & K_REG8)
			byte_register(r, &i->reg, CV_INSN_HIGH_REG);
	}
	for (unsigned k = 0; k < 4; k++)
		read_operand(r, row->o[k]);
	return true;
}

/* L, W, vvvv and the feature that a VEX row asks for. */
static bool vex_allowed(struct reader *r, const struct cv_opcode *row)
{
	bool l = r->i->vex & CV_VEX_L, vvvv = false;
	uint64_t needs = row->flags & F_GPR ? CV_FEATURES_NONE : CV_HAS(avx);

	if (row->flags & (l ? F_L0 : F_L1) || row->flags & (r->w ? F_W0 : F_W1))
		return false;
	if ((row->flags & F_Y2 && l) || (row->flags & F_R2 && modrm(r) >= 0xc0))
		needs |= CV_HAS(avx2);
	for (unsigned k = 0; k < 4; k++)
		vvvv |= operand_traits[row->o[k]] & K_VVVV;
	return (vvvv || r->vvvv_ones) && (r->features & needs) == needs;
}

static bool row_allowed(struct reader *r, const struct cv_opcode *row)
{
	if (row->op == CV_OP_none)
		return false;
	if (row->flags & F_NO64 && r->mode == 64)
		return false;
	if (row->flags & F_ONLY64 && r->mode != 64)
		return false;
	if (r->i->vex && !vex_allowed(r, row))
		return false;
	if (!(r->features >> row->feature & 1))
		return false;
	return !(row->flags & F_NOPFX && r->prefixes & (CV_PFX_66 | CV_PFX_REP | CV_PFX_REPNE));
}

static bool lock_allowed(const struct reader *r, const struct cv_opcode *row)
{
	return !(r->prefixes & CV_PFX_LOCK) || (row->flags & F_LOCK && r->i->mod != 3);
}

/* Of an illegal instruction of the 0F maps: processors fetch all of it before they say #UD. */
static void read_illegal(struct reader *r)
{
	uint8_t b = r->i->opcode;
	bool none = r->map == 1 && ((b >= 0x04 && b <= 0x0b) || (b >= 0x30 && b <= 0x37) || b == 0x77 ||
						    (b & 0xf0) == 0x80 || (b >= 0xa0 && b <= 0xa2) || (b >= 0xa8 && b <= 0xaa) ||
						    (b >= 0xc8 && b <= 0xcf));

	if (r->map == 0 || none)
		return;
	read_modrm(r, 0);
	if (r->map == 3)
		next8(r);
}

static bool decode(struct reader *r)
{
	struct cv_insn *i = r->i;
	const struct cv_opcode *row;

	read_prefixes(r);
	if (r->short_of)
		return true;
	r->w = i->rex & 8;
	i->asize = r->mode == 64 ? (r->prefixes & CV_PFX_67 ? 4 : 8) :
				   ((r->mode == 16) == !!(r->prefixes & CV_PFX_67) ? 4 : 2);
	row = find_row(r);
	if (r->short_of)
		return true;
	row = select_row(r, row);
	if (r->short_of)
		return true;
	i->prefixes = r->prefixes;
	if (r->prefixes & CV_PFX_REP && r->prefixes & CV_PFX_REPNE) /* the last one counts */
		i->prefixes &= (uint8_t)~(r->f2_last ? CV_PFX_REP : CV_PFX_REPNE);
	if (!row_allowed(r, row)) {
		read_illegal(r);
		return false;
	}
	r->row = row;
	i->op = row->op;
	i->form = row->form;
	i->osize = (uint8_t)operand_size(r, row);
	if (row->flags & (F_BRANCH | F_CONDBR))
		i->flags |= CV_INSN_BRANCH;
	if (row->flags & F_CONDBR)
		i->flags |= CV_INSN_CONDBR;
	if (row->flags & F_SINGLE)
		i->flags |= CV_INSN_SINGLE;
	if (!read_operands(r, row))
		return false;
	/* 90h is NOP, XCHG with R8, or, with F3 as the last of F2 and F3, PAUSE (SDM 2B "NOP"). */
	if (row == &cv_map_1[0x90] && (mandatory_prefix(r) == 2 || !(i->rex & 1)))
		i->op = mandatory_prefix(r) == 2 ? CV_OP_pause : CV_OP_nop;
	return lock_allowed(r, row);
}

enum cv_decode_result cv_decode_row(const uint8_t *p, size_t n, unsigned mode, uint64_t features, struct cv_insn *out,
				    const struct cv_opcode **row)
{
	struct reader r = {.p = p, .n = n > 15 ? 15 : n, .mode = mode, .seg = -1, .features = features, .i = out};
	bool ok;

	memset(out, 0, sizeof(*out));
	out->base = CV_NOREG;
	out->index = CV_NOREG;
	out->seg = CV_DS;
	*row = NULL;
	if (n == 0)
		return CV_DECODE_MORE;
	ok = decode(&r);
	*row = r.row;
	out->len = (uint8_t)r.pos;
	if (r.short_of)
		return n >= 15 ? CV_DECODE_LONG : CV_DECODE_MORE;
	return ok ? CV_DECODE_OK : CV_DECODE_UD;
}

enum cv_decode_result cv_decode(const uint8_t *p, size_t n, unsigned mode, uint64_t features, struct cv_insn *out)
{
	const struct cv_opcode *row;

	return cv_decode_row(p, n, mode, features, out, &row);
}
