/* SPDX-License-Identifier: MIT */
/*
 * From a row's operand kinds and a record to operands, written as Intel's manuals and Capstone name them; and the
 * comparison with Capstone's.
 */
#include <stdio.h>
#include <string.h>

#include "tests/capstone/compare.h"
#include "vmm-core/state.h"

static const char *const low8[16] = {"al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil"};
static const char *const high8[4] = {"ah", "ch", "dh", "bh"};
static const char *const word[8] = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};
static const char *const segs[8] = {"es", "cs", "ss", "ds", "fs", "gs", "?", "?"};

static void gpr(char *out, unsigned n, unsigned size, bool high)
{
	if (size == 1 && high)
		snprintf(out, 8, "%s", high8[n & 3]);
	else if (size == 1 && n < 8)
		snprintf(out, 8, "%s", low8[n]);
	else if (n < 8)
		snprintf(out, 8, "%s%s", size == 8 ? "r" : size == 4 ? "e" : "", word[n]);
	else
		snprintf(out, 8, "r%u%s", n, size == 8 ? "" : size == 4 ? "d" : size == 2 ? "w" : "b");
}

static void vec(char *out, unsigned n, unsigned bytes)
{
	snprintf(out, 8, "%cmm%u", bytes == 32 ? 'y' : 'x', n);
}

static uint64_t low_bits(uint64_t v, unsigned bytes)
{
	return bytes >= 8 ? v : v & ((1ull << (8 * bytes)) - 1);
}

static void memory(struct operand *o, const struct cv_insn *i, unsigned vsib)
{
	o->kind = KIND_MEM;
	if (i->base == CV_REG_RIP)
		snprintf(o->base, sizeof(o->base), "%s", i->asize == 8 ? "rip" : "eip");
	else if (i->base != CV_NOREG)
		gpr(o->base, i->base, i->asize, false);
	if (i->index != CV_NOREG && vsib)
		vec(o->index, i->index, vsib);
	else if (i->index != CV_NOREG)
		gpr(o->index, i->index, i->asize, false);
	o->scale = i->index == CV_NOREG ? 1 : 1u << i->scale;
	o->disp = low_bits((uint64_t)(int64_t)i->disp, i->asize);
	snprintf(o->seg, sizeof(o->seg), "%s", segs[i->seg]);
}

static void rm(struct operand *o, const struct cv_insn *i, unsigned size)
{
	if (i->mod != 3)
		memory(o, i, 0);
	else
		gpr(o->reg, i->rm, size, i->flags & CV_INSN_HIGH_RM);
}

static void rm_vector(struct operand *o, const struct cv_insn *i, unsigned bytes)
{
	if (i->mod != 3)
		memory(o, i, 0);
	else
		vec(o->reg, i->rm, bytes);
}

static void immediate(struct operand *o, uint64_t v, unsigned size)
{
	o->kind = KIND_IMM;
	o->imm = low_bits(v, size);
	o->size = size;
}

static void string_memory(struct operand *o, const struct cv_insn *i, bool destination)
{
	o->kind = KIND_MEM;
	gpr(o->base, destination ? CV_RDI : CV_RSI, i->asize, false);
	o->scale = 1;
	snprintf(o->seg, sizeof(o->seg), "%s", destination ? "es" : segs[i->seg]);
}

static bool general(enum cv_operand k, const struct cv_insn *i, unsigned mode, struct operand *o)
{
	unsigned y = i->rex & 8 ? 8 : 4, crossed = mode == 64 ? 8 : 4;

	switch (k) {
	case O_Eb: rm(o, i, 1); return true;
	case O_Ew: rm(o, i, 2); return true;
	case O_Ed: rm(o, i, 4); return true;
	case O_Eq: rm(o, i, 8); return true;
	case O_Ev: case O_Rv: case O_Ew_Mw: rm(o, i, i->osize); return true;
	case O_Ey: case O_Ry: rm(o, i, y); return true;
	case O_Rdm: rm(o, i, 4); return true;
	case O_Gb: gpr(o->reg, i->reg, 1, i->flags & CV_INSN_HIGH_REG); return true;
	case O_Gw: gpr(o->reg, i->reg, 2, false); return true;
	case O_Gd: gpr(o->reg, i->reg, 4, false); return true;
	case O_Gq: gpr(o->reg, i->reg, 8, false); return true;
	case O_Gv: case O_Gz: gpr(o->reg, i->reg, i->osize, false); return true;
	case O_Gy: gpr(o->reg, i->reg, i->op == CV_OP_invpcid ? crossed : y, false); return true;
	case O_By: gpr(o->reg, i->vvvv, y, false); return true;
	case O_M: case O_Mb: case O_Mw: case O_Md: case O_Mq: case O_Mdq: case O_Mp: case O_Ms: case O_Mt: case O_Ma: case O_Mv:
	case O_My: case O_Mx: case O_Mqq: memory(o, i, 0); return true;
	case O_Rd: gpr(o->reg, i->rm, crossed, false); return true;
	case O_Sw: snprintf(o->reg, 8, "%s", segs[i->reg & 7]); return true;
	case O_Cd: snprintf(o->reg, 8, "cr%u", i->reg); return true;
	case O_Dd: snprintf(o->reg, 8, "dr%u", i->reg); return true;
	case O_AL: snprintf(o->reg, 8, "al"); return true;
	case O_CL: snprintf(o->reg, 8, "cl"); return true;
	case O_DX: snprintf(o->reg, 8, "dx"); return true;
	case O_eAX: gpr(o->reg, CV_RAX, i->osize == 8 ? 4 : i->osize, false); return true;
	case O_rAX: gpr(o->reg, CV_RAX, i->osize, false); return true;
	case O_Zb: gpr(o->reg, i->reg, 1, i->flags & CV_INSN_HIGH_REG); return true;
	case O_Zv: gpr(o->reg, i->reg, i->osize, false); return true;
	case O_ES: case O_CS: case O_SS: case O_DS: case O_FS: case O_GS:
		snprintf(o->reg, 8, "%s", segs[k - O_ES]);
		return true;
	case O_Xb: case O_Xv: case O_Xz: string_memory(o, i, false); return true;
	case O_Yb: case O_Yv: case O_Yz: string_memory(o, i, true); return true;
	case O_Ob: case O_Ov:
		o->kind = KIND_MEM;
		o->scale = 1;
		o->disp = i->imm;
		snprintf(o->seg, sizeof(o->seg), "%s", segs[i->seg]);
		return true;
	default: return false;
	}
}

static bool vector(enum cv_operand k, const struct cv_insn *i, struct operand *o)
{
	unsigned x = i->vex & CV_VEX_L && i->op >= CV_OP_vmovups ? 32 : 16;

	switch (k) {
	case O_Vdq: case O_Vps: case O_Vpd: case O_Vss: case O_Vsd: case O_Vq: case O_Vd: vec(o->reg, i->reg, 16); return true;
	case O_Vx: vec(o->reg, i->reg, x); return true;
	case O_Vqq: vec(o->reg, i->reg, 32); return true;
	case O_Wdq: case O_Wps: case O_Wpd: case O_Wss: case O_Wsd: case O_Wq: case O_Wd: case O_Ww: case O_Wb:
		rm_vector(o, i, 16);
		return true;
	case O_Udq: case O_Uq: vec(o->reg, i->rm, 16); return true;
	case O_Wx: case O_Ux: rm_vector(o, i, x); return true;
	case O_Wqq: rm_vector(o, i, 32); return true;
	case O_Wxh: case O_Wxq: case O_Wxo: rm_vector(o, i, 16); return true;
	case O_Hdq: case O_Hss: case O_Hsd: vec(o->reg, i->vvvv, 16); return true;
	case O_Hx: vec(o->reg, i->vvvv, x); return true;
	case O_Hqq: vec(o->reg, i->vvvv, 32); return true;
	case O_Mdx: {
		/* Dword indices for qword elements fill half a register, and the other way round for qword indices. */
		bool dword_index = i->opcode == 0x90 || i->opcode == 0x92;

		memory(o, i, dword_index && i->rex & 8 ? 16 : x);
		return true;
	}
	case O_Pq: case O_Pd: snprintf(o->reg, 8, "mm%u", i->reg & 7); return true;
	case O_Qq: case O_Qd:
		if (i->mod != 3)
			memory(o, i, 0);
		else
			snprintf(o->reg, 8, "mm%u", i->rm & 7);
		return true;
	case O_Nq: snprintf(o->reg, 8, "mm%u", i->rm & 7); return true;
	default: return false;
	}
}

static bool constant(enum cv_operand k, const struct cv_insn *i, unsigned mode, uint64_t addr, struct operand *o)
{
	unsigned wide = mode == 64 ? 8 : i->osize == 2 ? 2 : 4;

	switch (k) {
	case O_Ib: case O_Ib2: immediate(o, k == O_Ib ? i->imm : i->imm2, 1); return true;
	case O_Ibs: case O_Iz: case O_Iv: immediate(o, i->imm, i->osize); return true;
	case O_Iw: immediate(o, i->imm, 2); return true;
	case O_1: immediate(o, 1, 1); return true;
	case O_Jb: case O_Jz: immediate(o, addr + i->len + i->imm, wide); return true;
	case O_Ap: immediate(o, i->imm2, 2); return true;
	case O_Lx: vec(o->reg, (i->imm >> 4) & (mode == 64 ? 15 : 7), i->vex & CV_VEX_L ? 32 : 16); return true;
	default: return false;
	}
}

unsigned operands_of(const struct cv_opcode *row, const struct cv_insn *i, unsigned mode, uint64_t addr,
		     struct operand out[OPERANDS_MAX])
{
	unsigned n = 0;

	memset(out, 0, OPERANDS_MAX * sizeof(*out));
	for (unsigned k = 0; k < 4; k++) {
		enum cv_operand o = row->o[k];

		if (general(o, i, mode, &out[n]) || vector(o, i, &out[n]) || constant(o, i, mode, addr, &out[n]))
			n++;
		if (o == O_Ap)
			immediate(&out[n++], i->imm, i->osize);
	}
	return n;
}

void operand_print(const struct operand *o, char *buf, size_t n)
{
	if (o->kind == KIND_REG)
		snprintf(buf, n, "%s", o->reg);
	else if (o->kind == KIND_IMM)
		snprintf(buf, n, "%#llx", (unsigned long long)o->imm);
	else
		snprintf(buf, n, "%s:[%s+%s*%u+%#llx]", o->seg, o->base, o->index, o->scale, (unsigned long long)o->disp);
}

/* --- Beside Capstone's --- */

static const char *name_of(csh h, unsigned reg)
{
	const char *s = reg ? cs_reg_name(h, reg) : "";

	/* Capstone's names for "no index", in SIB bytes that name none. */
	return !s || !strcmp(s, "riz") || !strcmp(s, "eiz") ? "" : s;
}

static bool memory_matches(csh h, const cs_x86_op *c, const struct operand *o, unsigned asize)
{
	const char *seg = name_of(h, c->mem.segment);
	const char *natural = !strcmp(o->base, "rsp") || !strcmp(o->base, "rbp") || !strcmp(o->base, "esp") ||
			      !strcmp(o->base, "ebp") || !strcmp(o->base, "bp") ? "ss" : "ds";
	bool scaled = *o->index != 0;

	/* The destination of a string operation: nothing overrides ES, and Capstone needn't say it. */
	if (!strcmp(o->seg, "es") && (!strcmp(o->base, "rdi") || !strcmp(o->base, "edi") || !strcmp(o->base, "di")))
		natural = "es";
	if (*seg ? strcmp(seg, o->seg) != 0 : strcmp(o->seg, natural) != 0)
		return false;
	return !strcmp(name_of(h, c->mem.base), o->base) && !strcmp(name_of(h, c->mem.index), o->index) &&
	       (!scaled || (unsigned)c->mem.scale == o->scale) && low_bits((uint64_t)c->mem.disp, asize) == o->disp;
}

static bool operand_matches(csh h, const cs_x86_op *c, const struct cv_insn *i, const struct operand *o)
{
	switch (o->kind) {
	case KIND_REG: return c->type == X86_OP_REG && !strcmp(name_of(h, c->reg), o->reg);
	case KIND_IMM: return c->type == X86_OP_IMM && low_bits((uint64_t)c->imm, o->size) == o->imm;
	case KIND_MEM: return c->type == X86_OP_MEM && memory_matches(h, c, o, i->asize);
	}
	return false;
}

static bool has_predicate(const struct cv_insn *i)
{
	switch (i->op) {
	case CV_OP_cmpps: case CV_OP_cmppd: case CV_OP_cmpss: case CV_OP_cmpsd: case CV_OP_vcmpps: case CV_OP_vcmppd:
	case CV_OP_vcmpss: case CV_OP_vcmpsd:
		return true;
	default: return false;
	}
}

bool operands_match(csh h, const cs_insn *ci, const struct cv_insn *i, const struct operand *o, unsigned n)
{
	const cs_x86 *x = &ci->detail->x86;

	/* Compares whose predicate Capstone puts into the name. */
	if (x->op_count + 1u == n && has_predicate(i))
		n--;
	if (x->op_count != n)
		return false;
	/* XCHG and TEST are the same with their operands exchanged; Capstone lists CMPS as CMPSB does, or not. */
	if (n == 2 && (i->op == CV_OP_xchg || i->op == CV_OP_test || i->op == CV_OP_cmps) && operand_matches(h, &x->operands[0], i, &o[1]) &&
	    operand_matches(h, &x->operands[1], i, &o[0]))
		return true;
	for (unsigned k = 0; k < n; k++)
		if (!operand_matches(h, &x->operands[k], i, &o[k]))
			return false;
	return true;
}
