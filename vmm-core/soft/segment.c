/* SPDX-License-Identifier: MIT */
/*
 * Segments: loading segment registers, the instructions that look at descriptors, and LLDT and LTR.
 * SDM 3A chapters 3 and 5; 5.12 and 8.4 for the checks.
 *
 * A segment register holds its descriptor in decoded form (struct cv_seg). A null data segment is unusable with base
 * zero. In real mode a load changes selector and base only, so a limit from protected mode survives ("unreal" mode);
 * in virtual-8086 mode all six have limit FFFFh and DPL 3. Under a null SS (64-bit mode) its DPL still is the CPL.
 *
 * Relies on the decoder for: reg (segment number for mov sreg; general register for LAR, LSL, LxS), opcode, mod, rm,
 * osize.
 */
#include <string.h>

#include "vmm-core/soft/sys.h"

/* --- Descriptors --- */

bool sys_desc_address(const struct soft_cpu *c, uint16_t sel, unsigned n, uint64_t *linear)
{
	uint32_t offset = sel & 0xfff8u;

	if (sel & 4) {
		const struct cv_seg *l = &c->s.seg[CV_LDTR];

		*linear = l->base + offset;
		return !(l->ar & CV_AR_UNUSABLE) && offset + n - 1 <= l->limit;
	}
	*linear = c->s.gdtr.base + offset;
	return offset + n - 1 <= c->s.gdtr.limit;
}

bool sys_read_desc(struct soft_cpu *c, const struct cv_insn *i, uint16_t sel, int vector, uint32_t ext,
		   struct soft_desc *d)
{
	if (!sys_desc_address(c, sel, 8, &d->linear)) {
		soft_raise_error(c, i, vector, SEL_ERR(sel) | ext);
		return false;
	}
	d->high = 0;
	return sys_load(c, i, d->linear, &d->raw, 8);
}

bool sys_read_sysdesc(struct soft_cpu *c, const struct cv_insn *i, uint16_t sel, int vector, uint32_t ext,
		      struct soft_desc *d)
{
	uint64_t v[2];

	if (!c->long_mode)
		return sys_read_desc(c, i, sel, vector, ext, d);
	if (!sys_desc_address(c, sel, 16, &d->linear)) {
		soft_raise_error(c, i, vector, SEL_ERR(sel) | ext);
		return false;
	}
	if (!sys_load(c, i, d->linear, v, 16))
		return false;
	d->raw = v[0];
	d->high = v[1];
	return true;
}

void sys_seg_from_desc(struct cv_seg *s, uint16_t sel, uint64_t raw)
{
	s->sel = sel;
	s->base = desc_base(raw);
	s->limit = desc_limit(raw);
	s->ar = desc_ar(raw) | (desc_is_segment(raw) ? 1 : 0);
}

bool sys_mark_accessed(struct soft_cpu *c, const struct cv_insn *i, const struct soft_desc *d)
{
	uint8_t access;

	if (!desc_is_segment(d->raw) || (d->raw >> 40 & 1))
		return true;
	access = (uint8_t)(d->raw >> 40) | 1;
	return soft_lin_store(c, i, d->linear + 5, &access, 1, true);
}

void sys_load_seg_real(struct soft_cpu *c, unsigned seg, uint16_t sel)
{
	struct cv_seg *s = &c->s.seg[seg];

	s->sel = sel;
	s->base = (uint32_t)sel << 4;
	if (soft_v86(c)) {
		s->limit = 0xffff;
		s->ar = 0xf3;
	} else {
		s->ar = (s->ar & (CV_AR_DB | CV_AR_G)) | (seg == CV_CS ? 0x9b : 0x93);
	}
}

void sys_null_seg(struct cv_seg *s, uint16_t sel, unsigned cpl)
{
	*s = (struct cv_seg){.sel = sel, .ar = CV_AR_UNUSABLE | cpl << 5};
}

bool sys_check_stack_desc(struct soft_cpu *c, const struct cv_insn *i, uint16_t sel, unsigned cpl, int vector,
			  uint32_t ext, struct soft_desc *d)
{
	if (!sys_read_desc(c, i, sel, vector, ext, d))
		return false;
	if ((sel & 3u) != cpl || desc_dpl(d->raw) != cpl || !desc_writable_data(d->raw)) {
		soft_raise_error(c, i, vector, SEL_ERR(sel) | ext);
		return false;
	}
	if (!desc_present(d->raw)) {
		soft_raise_error(c, i, EXC_SS, SEL_ERR(sel) | ext);
		return false;
	}
	return true;
}

void sys_drop_inner_segments(struct soft_cpu *c, unsigned cpl)
{
	static const uint8_t data[] = {CV_ES, CV_DS, CV_FS, CV_GS};

	for (unsigned k = 0; k < 4; k++) {
		struct cv_seg *s = &c->s.seg[data[k]];
		bool conforming_code = (s->ar & 0xc) == 0xc;

		if (s->ar & CV_AR_UNUSABLE) {
			/* A null selector left by an inner level becomes 0. */
			if (!(s->sel & 0xfffc))
				s->sel = 0;
			continue;
		}
		/*
		 * The selector becomes null and that is all (SDM 2B, RET, return to outer privilege level): FS and GS keep
		 * their base in 64-bit mode, unlike after loading a null selector.
		 */
		if (CV_AR_DPL(s->ar) < cpl && !conforming_code)
			*s = (struct cv_seg){.base = s->base, .ar = CV_AR_UNUSABLE};
	}
}

/* --- Loading --- */

static bool load_ss(struct soft_cpu *c, const struct cv_insn *i, uint16_t sel)
{
	struct soft_desc d;

	if (!(sel & 0xfffc)) {
		if (c->mode != 64 || c->cpl == 3 || (sel & 3u) != c->cpl) {
			raise_gp0(c, i);
			return false;
		}
		sys_null_seg(&c->s.seg[CV_SS], sel, c->cpl);
	} else {
		if (!sys_check_stack_desc(c, i, sel, c->cpl, EXC_GP, 0, &d) || !sys_mark_accessed(c, i, &d))
			return false;
		sys_seg_from_desc(&c->s.seg[CV_SS], sel, d.raw);
	}
	soft_update_mode(c);
	return true;
}

bool soft_load_seg(struct soft_cpu *c, const struct cv_insn *i, unsigned seg, uint16_t sel)
{
	struct soft_desc d;

	if (!c->protected_mode) {
		sys_load_seg_real(c, seg, sel);
		if (seg == CV_SS)
			soft_update_mode(c);
		return true;
	}
	if (seg == CV_SS)
		return load_ss(c, i, sel);
	if (!(sel & 0xfffc)) {
		sys_null_seg(&c->s.seg[seg], sel, 0);
		return true;
	}
	if (!sys_read_desc(c, i, sel, EXC_GP, 0, &d))
		return false;
	if (!desc_is_segment(d.raw) || (desc_is_code(d.raw) && !(d.raw >> 41 & 1)) ||
	    (!(desc_is_code(d.raw) && desc_conforming(d.raw)) &&
	     ((sel & 3u) > desc_dpl(d.raw) || c->cpl > desc_dpl(d.raw)))) {
		soft_raise_error(c, i, EXC_GP, SEL_ERR(sel));
		return false;
	}
	if (!desc_present(d.raw)) {
		soft_raise_error(c, i, EXC_NP, SEL_ERR(sel));
		return false;
	}
	if (!sys_mark_accessed(c, i, &d))
		return false;
	sys_seg_from_desc(&c->s.seg[seg], sel, d.raw);
	return true;
}

/* --- Operands --- */

bool sys_load_rm16(struct soft_cpu *c, const struct cv_insn *i, uint16_t *v)
{
	if (i->mod == 3) {
		*v = (uint16_t)c->s.gpr[i->rm];
		return true;
	}
	return soft_load16(c, i, i->seg, soft_ea(c, i), v);
}

bool sys_load_far_pointer(struct soft_cpu *c, const struct cv_insn *i, uint16_t *sel, uint64_t *offset)
{
	uint64_t ea = soft_ea(c, i), end = truncate_to(ea + i->osize, i->asize);

	*offset = 0;
	return soft_load(c, i, i->seg, ea, offset, i->osize) && soft_load16(c, i, i->seg, end, sel);
}

bool sys_store_rm(struct soft_cpu *c, const struct cv_insn *i, uint64_t v)
{
	if (i->mod == 3) {
		write_gpr(c, i->rm, i->osize, v);
		return true;
	}
	return soft_store16(c, i, i->seg, soft_ea(c, i), (uint16_t)v);
}

/* MOV SS and POP SS hold off interrupts for one instruction (SDM 3A 6.8.3). */
static void retire_sreg(struct soft_cpu *c, const struct cv_insn *i, unsigned seg)
{
	if (seg != CV_SS) {
		soft_finish(c, i);
		return;
	}
	soft_retire(c, i);
	c->s.shadow |= CV_SHADOW_MOVSS;
}

/* 8C: MOV r/m, Sreg. A register gets the selector zero-extended to the operand size. */
void sys_op_mov_from_sreg(struct soft_cpu *c, const struct cv_insn *i)
{
	unsigned seg = i->modrm >> 3 & 7;

	if (seg > CV_GS) {
		raise_ud(c, i);
		return;
	}
	if (sys_store_rm(c, i, c->s.seg[seg].sel))
		soft_finish(c, i);
}

/* 8E: MOV Sreg, r/m16. */
void sys_op_mov_to_sreg(struct soft_cpu *c, const struct cv_insn *i)
{
	unsigned seg = i->modrm >> 3 & 7;
	uint16_t sel;

	if (seg > CV_GS || seg == CV_CS) {
		raise_ud(c, i);
		return;
	}
	if (sys_load_rm16(c, i, &sel) && soft_load_seg(c, i, seg, sel))
		retire_sreg(c, i, seg);
}

/* 06 0E 16 1E, 0F A0, 0F A8: the segment's number is in bits 5:3 of the opcode. */
void sys_op_push_sreg(struct soft_cpu *c, const struct cv_insn *i)
{
	uint16_t sel = c->s.seg[i->opcode >> 3 & 7].sel;
	uint64_t sp = truncate_to(c->s.gpr[CV_RSP] - i->osize, c->stack_size);
	bool ok;

	/* A 32-bit push writes 16 bits and leaves the upper half as it is, as current processors do. */
	if (i->osize == 8)
		ok = soft_store64(c, i, CV_SS, sp, sel);
	else
		ok = soft_store16(c, i, CV_SS, sp, sel);
	if (!ok)
		return;
	soft_set_sp(c, sp);
	soft_finish(c, i);
}

/* 07 17 1F, 0F A1, 0F A9. */
void sys_op_pop_sreg(struct soft_cpu *c, const struct cv_insn *i)
{
	unsigned seg = i->opcode >> 3 & 7;
	uint64_t sp = soft_sp(c);
	unsigned old_size = c->stack_size;
	uint16_t sel;

	if (!soft_load16(c, i, CV_SS, sp, &sel) || !soft_load_seg(c, i, seg, sel))
		return;
	write_gpr(c, CV_RSP, old_size, sp + i->osize);
	retire_sreg(c, i, seg);
}

/* LES LDS LSS LFS LGS: a far pointer in memory, offset first. */
static void load_far_pointer(struct soft_cpu *c, const struct cv_insn *i, unsigned seg)
{
	uint64_t offset;
	uint16_t sel;

	if (i->mod == 3) {
		raise_ud(c, i);
		return;
	}
	if (!sys_load_far_pointer(c, i, &sel, &offset))
		return;
	if (!soft_load_seg(c, i, seg, sel))
		return;
	write_gpr(c, i->reg, i->osize, offset);
	soft_finish(c, i);
}

void sys_op_les(struct soft_cpu *c, const struct cv_insn *i)
{
	load_far_pointer(c, i, CV_ES);
}
void sys_op_lds(struct soft_cpu *c, const struct cv_insn *i)
{
	load_far_pointer(c, i, CV_DS);
}
void sys_op_lss(struct soft_cpu *c, const struct cv_insn *i)
{
	load_far_pointer(c, i, CV_SS);
}
void sys_op_lfs(struct soft_cpu *c, const struct cv_insn *i)
{
	load_far_pointer(c, i, CV_FS);
}
void sys_op_lgs(struct soft_cpu *c, const struct cv_insn *i)
{
	load_far_pointer(c, i, CV_GS);
}

/* --- LAR LSL VERR VERW ARPL: look, never fault on what the selector names --- */

/* 1: readable, 0: no such descriptor, -1: a memory fault was raised. */
static int look_up(struct soft_cpu *c, const struct cv_insn *i, uint16_t sel, uint64_t *raw)
{
	uint64_t linear;

	if (!(sel & 0xfffc) || !sys_desc_address(c, sel, 8, &linear))
		return 0;
	return sys_load(c, i, linear, raw, 8) ? 1 : -1;
}

static void set_zf(struct soft_cpu *c, bool zf)
{
	uint64_t f = soft_get_rflags(c) & CV_FLAGS_ARITH & ~(uint64_t)CV_FLAG_ZF;

	soft_set_arith(c, f | (zf ? CV_FLAG_ZF : 0));
}

/* System types that LAR and LSL accept, as bit sets by type (SDM 2A, tables 3-52 and 3-64). */
enum { LAR_LEGACY = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 9 | 1 << 11 | 1 << 12,
       LAR_LONG = 1 << 2 | 1 << 9 | 1 << 11 | 1 << 12,
       LSL_LEGACY = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 9 | 1 << 11,
       LSL_LONG = 1 << 2 | 1 << 9 | 1 << 11 };

static bool may_look(const struct soft_cpu *c, uint16_t sel, uint64_t raw, unsigned legacy, unsigned longm)
{
	if (!desc_is_segment(raw) && !((c->long_mode ? longm : legacy) >> desc_type(raw) & 1))
		return false;
	if (desc_is_code(raw) && desc_conforming(raw))
		return true;
	return desc_dpl(raw) >= c->cpl && desc_dpl(raw) >= (sel & 3u);
}

static void lar_lsl(struct soft_cpu *c, const struct cv_insn *i, bool lsl)
{
	uint64_t raw = 0;
	uint16_t sel;
	int found;

	if (!c->protected_mode) {
		raise_ud(c, i);
		return;
	}
	if (!sys_load_rm16(c, i, &sel))
		return;
	found = look_up(c, i, sel, &raw);
	if (found < 0)
		return;
	if (found && may_look(c, sel, raw, lsl ? LSL_LEGACY : LAR_LEGACY, lsl ? LSL_LONG : LAR_LONG)) {
		/* LAR's bits 19:16 are undefined (SDM 2A); processors give those of the limit. */
		write_gpr(c, i->reg, i->osize, lsl ? desc_limit(raw) : raw >> 32 & 0x00ffff00);
		set_zf(c, true);
	} else {
		set_zf(c, false);
	}
	soft_finish(c, i);
}

void sys_op_lar(struct soft_cpu *c, const struct cv_insn *i)
{
	lar_lsl(c, i, false);
}
void sys_op_lsl(struct soft_cpu *c, const struct cv_insn *i)
{
	lar_lsl(c, i, true);
}

static void verify(struct soft_cpu *c, const struct cv_insn *i, bool write)
{
	uint64_t raw = 0;
	uint16_t sel;
	int found;
	bool ok;

	if (!c->protected_mode) {
		raise_ud(c, i);
		return;
	}
	if (!sys_load_rm16(c, i, &sel))
		return;
	found = look_up(c, i, sel, &raw);
	if (found < 0)
		return;
	ok = found && desc_is_segment(raw);
	if (ok && !(desc_is_code(raw) && desc_conforming(raw)))
		ok = desc_dpl(raw) >= c->cpl && desc_dpl(raw) >= (sel & 3u);
	if (ok)
		ok = write ? desc_writable_data(raw) : !desc_is_code(raw) || (raw >> 41 & 1);
	set_zf(c, ok);
	soft_finish(c, i);
}

void sys_op_verr(struct soft_cpu *c, const struct cv_insn *i)
{
	verify(c, i, false);
}
void sys_op_verw(struct soft_cpu *c, const struct cv_insn *i)
{
	verify(c, i, true);
}

/* 63 /r outside 64-bit mode: raises the RPL of r/m16 to that of r16. */
void sys_op_arpl(struct soft_cpu *c, const struct cv_insn *i)
{
	uint16_t dst, src = (uint16_t)c->s.gpr[i->reg];
	bool raised;

	if (!c->protected_mode) {
		raise_ud(c, i);
		return;
	}
	if (!sys_load_rm16(c, i, &dst))
		return;
	raised = (dst & 3) < (src & 3);
	if (raised) {
		dst = (uint16_t)((dst & ~3u) | (src & 3u));
		if (i->mod == 3)
			write_gpr(c, i->rm, 2, dst);
		else if (!soft_store16(c, i, i->seg, soft_ea(c, i), dst))
			return;
	}
	set_zf(c, raised);
	soft_finish(c, i);
}

/* --- LLDT LTR SLDT STR --- */

static bool privileged_table(struct soft_cpu *c, const struct cv_insn *i)
{
	if (!c->protected_mode) {
		raise_ud(c, i);
		return false;
	}
	if (c->cpl) {
		raise_gp0(c, i);
		return false;
	}
	return true;
}

/* Fills LDTR or TR; in long mode the descriptor has 16 bytes, the upper type field zero, and a canonical base. */
static bool check_sysdesc(struct soft_cpu *c, const struct cv_insn *i, uint16_t sel, bool type_ok,
			  const struct soft_desc *d, struct cv_seg *s)
{
	uint64_t base = desc_base(d->raw) | d->high << 32;

	if (!type_ok || (c->long_mode && ((d->high >> 40 & 0x1f) || !canonical_base(c, base)))) {
		soft_raise_error(c, i, EXC_GP, SEL_ERR(sel));
		return false;
	}
	if (!desc_present(d->raw)) {
		soft_raise_error(c, i, EXC_NP, SEL_ERR(sel));
		return false;
	}
	sys_seg_from_desc(s, sel, d->raw);
	if (c->long_mode)
		s->base = base;
	return true;
}

void sys_op_lldt(struct soft_cpu *c, const struct cv_insn *i)
{
	struct soft_desc d;
	struct cv_seg s;
	uint16_t sel;

	if (!privileged_table(c, i) || !sys_load_rm16(c, i, &sel))
		return;
	if (!(sel & 0xfffc)) {
		sys_null_seg(&s, sel, 0);
	} else {
		if (sel & 4) {
			soft_raise_error(c, i, EXC_GP, SEL_ERR(sel));
			return;
		}
		if (!sys_read_sysdesc(c, i, sel, EXC_GP, 0, &d) ||
		    !check_sysdesc(c, i, sel, !desc_is_segment(d.raw) && desc_type(d.raw) == SYS_LDT, &d, &s))
			return;
	}
	c->s.seg[CV_LDTR] = s;
	soft_finish(c, i);
}

void sys_op_ltr(struct soft_cpu *c, const struct cv_insn *i)
{
	struct soft_desc d;
	struct cv_seg s;
	uint16_t sel;
	uint8_t access;
	bool type_ok;

	if (!privileged_table(c, i) || !sys_load_rm16(c, i, &sel))
		return;
	if (!(sel & 0xfffc)) {
		raise_gp0(c, i);
		return;
	}
	if (sel & 4) {
		soft_raise_error(c, i, EXC_GP, SEL_ERR(sel));
		return;
	}
	if (!sys_read_sysdesc(c, i, sel, EXC_GP, 0, &d))
		return;
	type_ok = !desc_is_segment(d.raw) &&
		  (desc_type(d.raw) == SYS_TSS || (!c->long_mode && desc_type(d.raw) == SYS_TSS16));
	if (!check_sysdesc(c, i, sel, type_ok, &d, &s))
		return;
	access = (uint8_t)(d.raw >> 40) | 2;
	if (!soft_lin_store(c, i, d.linear + 5, &access, 1, true))
		return;
	s.ar |= 2;
	c->s.seg[CV_TR] = s;
	soft_finish(c, i);
}

/* UMIP (SDM 3A 2.5): SGDT, SIDT, SLDT, STR and SMSW are the supervisor's. */
static void store_selector(struct soft_cpu *c, const struct cv_insn *i, uint16_t sel)
{
	if (!c->protected_mode) {
		raise_ud(c, i);
		return;
	}
	if (c->cpl && (c->s.cr4 & CV_CR4_UMIP)) {
		raise_gp0(c, i);
		return;
	}
	if (sys_store_rm(c, i, sel))
		soft_finish(c, i);
}

void sys_op_sldt(struct soft_cpu *c, const struct cv_insn *i)
{
	store_selector(c, i, c->s.seg[CV_LDTR].sel);
}
void sys_op_str(struct soft_cpu *c, const struct cv_insn *i)
{
	store_selector(c, i, c->s.seg[CV_TR].sel);
}
