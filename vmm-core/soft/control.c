/* SPDX-License-Identifier: MIT */
/*
 * Control registers, descriptor-table registers, flags that a program may not set alone, HLT, and the mode derived
 * from all of it: SDM 3A chapter 2.
 *
 * A MOV to CR0, CR3 or CR4 is checked as a whole against the state it would make, then committed, then
 * soft_update_mode() derives everything else and the TLB goes if a bit that translation depends on has changed.
 * Relies on the decoder for: reg (control register number with REX.R), rm (the general register, mod ignored), osize
 * and the memory operand of LGDT and its like.
 */
#include <string.h>

#include "vmm-core/soft/sys.h"

/* --- The derived mode --- */

static uint8_t fp_block(const struct soft_cpu *c)
{
	uint64_t cr0 = c->s.cr0;
	uint8_t b = 0;

	if (cr0 & (CV_CR0_EM | CV_CR0_TS))
		b |= 1;
	if ((cr0 & CV_CR0_EM) || !(c->s.cr4 & CV_CR4_OSFXSR))
		b |= 2;
	if (cr0 & CV_CR0_TS)
		b |= 4;
	if ((cr0 & CV_CR0_MP) && (cr0 & CV_CR0_TS))
		b |= 8;
	if (cr0 & CV_CR0_EM)
		b |= 16;
	/* SDM 2A 2.4, exception conditions of VEX-encoded instructions; CR0.EM means nothing to them. */
	if (!c->protected_mode || !(c->s.cr4 & CV_CR4_OSXSAVE) || (c->s.xcr0 & 6) != 6)
		b |= 32;
	if (cr0 & CV_CR0_TS)
		b |= 64;
	return b;
}

static uint8_t mmu_index(const struct soft_cpu *c)
{
	if (c->cpl == 3)
		return (c->s.cr0 & CV_CR0_AM) && (c->s.rflags & CV_FLAG_AC) ? SOFT_MMU_ALIGN : SOFT_MMU_USER;
	return (c->s.cr4 & CV_CR4_SMAP) && !(c->s.rflags & CV_FLAG_AC) ? SOFT_MMU_SUPER : SOFT_MMU_SUPER_AC;
}

void soft_update_mode(struct soft_cpu *c)
{
	const struct cv_seg *cs = &c->s.seg[CV_CS];

	c->cpl = (uint8_t)cv_vcpu_cpl(&c->s);
	c->paging = c->s.cr0 & CV_CR0_PG;
	c->long_mode = c->s.efer & CV_EFER_LMA;
	c->protected_mode = (c->s.cr0 & CV_CR0_PE) && !(c->s.rflags & CV_FLAG_VM);
	c->va_shift = c->long_mode && (c->s.cr4 & CV_CR4_LA57) ? 7 : 16;
	c->mode = c->long_mode && (cs->ar & CV_AR_L) ? 64 : cs->ar & CV_AR_DB ? 32 : 16;
	c->flat = c->mode == 64;
	c->stack_size = c->mode == 64 ? 8 : c->s.seg[CV_SS].ar & CV_AR_DB ? 4 : 2;
	c->mmu = mmu_index(c);
	c->fp_block = fp_block(c);
}

/* --- Reading and writing control registers --- */

static bool supervisor(struct soft_cpu *c, const struct cv_insn *i)
{
	if (c->cpl == 0)
		return true;
	raise_gp0(c, i);
	return false;
}

/* Legacy PAE paging in force with these registers? */
static bool pae_paging(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
	return (cr0 & CV_CR0_PG) && (cr4 & CV_CR4_PAE) && !(efer & CV_EFER_LME);
}

#define CR0_KNOWN ((uint64_t)(CV_CR0_PE | CV_CR0_MP | CV_CR0_EM | CV_CR0_TS | CV_CR0_ET | CV_CR0_NE | CV_CR0_WP | \
			      CV_CR0_AM | CV_CR0_NW | CV_CR0_CD | CV_CR0_PG))

static bool write_cr0(struct soft_cpu *c, uint64_t v)
{
	uint64_t old = c->s.cr0, efer = c->s.efer;

	if (v >> 32)
		return false;
	v = (v & CR0_KNOWN) | CV_CR0_ET;
	if (((v & CV_CR0_PG) && !(v & CV_CR0_PE)) || ((v & CV_CR0_NW) && !(v & CV_CR0_CD)))
		return false;
	if ((v & CV_CR0_PG) && !(old & CV_CR0_PG)) {
		if (efer & CV_EFER_LME) {
			/* Activating IA-32e mode: SDM 3A 9.8.5. */
			if (!(c->s.cr4 & CV_CR4_PAE) || (c->s.seg[CV_CS].ar & CV_AR_L) ||
			    !(c->s.seg[CV_TR].ar & 8)) /* a 16-bit TSS */
				return false;
			efer |= CV_EFER_LMA;
		} else if ((c->s.cr4 & CV_CR4_PAE) && !soft_load_pdptes(c, c->s.cr3)) {
			return false;
		}
	}
	if (!(v & CV_CR0_PG) && (old & CV_CR0_PG)) {
		if (c->mode == 64 || (c->s.cr4 & CV_CR4_PCIDE))
			return false;
		efer &= ~(uint64_t)CV_EFER_LMA;
	}
	/* Caching bits load the PDPTEs again, too (SDM 3A 4.4.1). */
	if ((old & CV_CR0_PG) && ((v ^ old) & (CV_CR0_CD | CV_CR0_NW)) && pae_paging(v, c->s.cr4, efer) &&
	    !soft_load_pdptes(c, c->s.cr3))
		return false;
	c->s.cr0 = v;
	c->s.efer = efer;
	soft_update_mode(c);
	if ((v ^ old) & (CV_CR0_PG | CV_CR0_WP | CV_CR0_PE))
		soft_tlb_flush(c);
	return true;
}

/*
 * With CR4.PCIDE bits 11:0 are the PCID and bit 63 says that nothing need be forgotten (SDM 3A 4.10.4.1). The TLB here has no tags and
 * always forgets, so what a program sees never depends on how long a translation happened to be remembered.
 */
static bool write_cr3(struct soft_cpu *c, uint64_t v)
{
	if (c->s.cr4 & CV_CR4_PCIDE)
		v &= ~(1ull << 63);
	if (c->long_mode && (v >> c->host.model->phys_bits))
		return false;
	if (pae_paging(c->s.cr0, c->s.cr4, c->s.efer) && !soft_load_pdptes(c, v))
		return false;
	c->s.cr3 = v;
	soft_tlb_flush(c);
	return true;
}

/* SDM 3A 2.5: the bits that may change in some modes only. */
static bool cr4_change_allowed(const struct soft_cpu *c, uint64_t old, uint64_t v)
{
	uint64_t set = v & ~old;

	if (v & ~c->host.model->cr4_mask)
		return false;
	if (c->long_mode && (!(v & CV_CR4_PAE) || ((v ^ old) & CV_CR4_LA57)))
		return false;
	return !(set & CV_CR4_PCIDE) || (c->long_mode && !(c->s.cr3 & 0xfff));
}

static bool write_cr4(struct soft_cpu *c, uint64_t v)
{
	const uint64_t translation = CV_CR4_PSE | CV_CR4_PAE | CV_CR4_PGE | CV_CR4_LA57 | CV_CR4_PCIDE | CV_CR4_SMEP |
				     CV_CR4_SMAP;
	uint64_t old = c->s.cr4;

	if (!cr4_change_allowed(c, old, v))
		return false;
	if (pae_paging(c->s.cr0, v, c->s.efer) && ((v ^ old) & (CV_CR4_PAE | CV_CR4_PGE | CV_CR4_PSE | CV_CR4_SMEP)) &&
	    !soft_load_pdptes(c, c->s.cr3))
		return false;
	c->s.cr4 = v;
	soft_update_mode(c);
	if ((v ^ old) & translation)
		soft_tlb_flush(c);
	return true;
}

static bool write_cr8(struct soft_cpu *c, uint64_t v)
{
	if (v > 15)
		return false;
	if (c->host.irqchip)
		c->host.irqchip->set_cr8(c->host.irqchip_dev, v);
	return true;
}

static bool cr_exists(const struct soft_cpu *c, unsigned n)
{
	return n == 0 || n == 2 || n == 3 || n == 4 || (n == 8 && c->mode == 64);
}

/* 0F 20: MOV r32/r64, CRn. */
void sys_op_mov_from_cr(struct soft_cpu *c, const struct cv_insn *i)
{
	unsigned r = (i->modrm & 7) | (i->rex & 1) << 3, n = i->reg;
	uint64_t v = 0;

	if (!cr_exists(c, n)) {
		raise_ud(c, i);
		return;
	}
	if (!supervisor(c, i))
		return;
	switch (n) {
	case 0: v = c->s.cr0; break;
	case 2: v = c->s.cr2; break;
	case 3: v = c->s.cr3; break;
	case 4: v = c->s.cr4; break;
	case 8: v = c->host.irqchip ? c->host.irqchip->get_cr8(c->host.irqchip_dev) : 0; break;
	}
	write_gpr(c, r, c->mode == 64 ? 8 : 4, v);
	soft_finish(c, i);
}

/* 0F 22: MOV CRn, r32/r64. */
void sys_op_mov_to_cr(struct soft_cpu *c, const struct cv_insn *i)
{
	unsigned n = i->reg;
	uint64_t v = c->s.gpr[(i->modrm & 7) | (i->rex & 1) << 3];
	uint64_t next = soft_next_rip(c, i);
	bool ok = false;

	if (c->mode != 64)
		v = (uint32_t)v;
	if (!cr_exists(c, n)) {
		raise_ud(c, i);
		return;
	}
	if (!supervisor(c, i))
		return;
	switch (n) {
	case 0: ok = write_cr0(c, v); break;
	case 2: c->s.cr2 = v; ok = true; break;
	case 3: ok = write_cr3(c, v); break;
	case 4: ok = write_cr4(c, v); break;
	case 8: ok = write_cr8(c, v); break;
	}
	if (ok)
		soft_retire_to(c, i, next);
	else
		raise_gp0(c, i);
}

void sys_op_clts(struct soft_cpu *c, const struct cv_insn *i)
{
	if (!supervisor(c, i))
		return;
	c->s.cr0 &= ~(uint64_t)CV_CR0_TS;
	soft_update_mode(c);
	soft_finish(c, i);
}

/* LMSW writes PE, MP, EM and TS, and cannot clear PE. */
void sys_op_lmsw(struct soft_cpu *c, const struct cv_insn *i)
{
	uint16_t v;

	if (!supervisor(c, i) || !sys_load_rm16(c, i, &v))
		return;
	if (write_cr0(c, (c->s.cr0 & ~0xeull) | (v & 0xf)))
		soft_finish(c, i);
	else
		raise_gp0(c, i);
}

static bool umip_allows(struct soft_cpu *c, const struct cv_insn *i)
{
	return !(c->s.cr4 & CV_CR4_UMIP) || supervisor(c, i);
}

/* A register destination takes all of CR0 that fits its size. */
void sys_op_smsw(struct soft_cpu *c, const struct cv_insn *i)
{
	if (umip_allows(c, i) && sys_store_rm(c, i, c->s.cr0))
		soft_finish(c, i);
}

/* --- GDTR and IDTR --- */

static void load_table(struct soft_cpu *c, const struct cv_insn *i, struct cv_dtr *t)
{
	unsigned n = c->mode == 64 ? 8 : 4;
	uint64_t base = 0;
	uint8_t p[10];

	if (i->mod == 3) {
		raise_ud(c, i);
		return;
	}
	if (!supervisor(c, i) || !soft_load(c, i, i->seg, soft_ea(c, i), p, 2 + n))
		return;
	memcpy(&base, p + 2, n);
	if (n == 4 && i->osize == 2)
		base &= 0xffffff;
	if (n == 8 && !canonical_base(c, base)) {
		raise_gp0(c, i);
		return;
	}
	memcpy(&t->limit, p, 2);
	t->base = base;
	soft_finish(c, i);
}

static void store_table(struct soft_cpu *c, const struct cv_insn *i, const struct cv_dtr *t)
{
	unsigned n = c->mode == 64 ? 8 : 4;
	uint8_t p[10];

	if (i->mod == 3) {
		raise_ud(c, i);
		return;
	}
	memcpy(p, &t->limit, 2);
	memcpy(p + 2, &t->base, n);
	if (umip_allows(c, i) && soft_store(c, i, i->seg, soft_ea(c, i), p, 2 + n))
		soft_finish(c, i);
}

void sys_op_lgdt(struct soft_cpu *c, const struct cv_insn *i)
{
	load_table(c, i, &c->s.gdtr);
}
void sys_op_lidt(struct soft_cpu *c, const struct cv_insn *i)
{
	load_table(c, i, &c->s.idtr);
}
void sys_op_sgdt(struct soft_cpu *c, const struct cv_insn *i)
{
	store_table(c, i, &c->s.gdtr);
}
void sys_op_sidt(struct soft_cpu *c, const struct cv_insn *i)
{
	store_table(c, i, &c->s.idtr);
}

/* --- Caches and TLB --- */

void sys_op_invlpg(struct soft_cpu *c, const struct cv_insn *i)
{
	uint64_t linear;

	if (i->mod == 3) {
		raise_ud(c, i);
		return;
	}
	if (!supervisor(c, i))
		return;
	linear = soft_ea(c, i);
	if (c->mode != 64)
		linear = (uint32_t)(linear + c->s.seg[i->seg].base);
	else if (i->seg == CV_FS || i->seg == CV_GS)
		linear += c->s.seg[i->seg].base;
	soft_tlb_flush_page(c, linear);
	soft_finish(c, i);
}

/* What INVPCID's types ask of the descriptor (SDM 2A, INVPCID): PCID in bits 11:0, then zeros, then the linear address. */
static bool invpcid_allowed(const struct soft_cpu *c, uint64_t type, const uint64_t d[2])
{
	uint64_t pcid = d[0] & 0xfff;

	if (type > 3 || d[0] >> 12)
		return false;
	if (type > 1)
		return true;
	return (!pcid || (c->s.cr4 & CV_CR4_PCIDE)) && (type == 1 || canonical_base(c, d[1]));
}

/* 66 0F 38 82 /r: the TLB has no tags, so each type but the first forgets everything. */
void sys_op_invpcid(struct soft_cpu *c, const struct cv_insn *i)
{
	uint64_t type = c->s.gpr[i->reg], d[2];

	if (i->mod == 3 || soft_v86(c)) {
		if (i->mod == 3)
			raise_ud(c, i);
		else
			raise_gp0(c, i);
		return;
	}
	if (c->mode != 64)
		type = (uint32_t)type;
	if (!supervisor(c, i) || !soft_load(c, i, i->seg, soft_ea(c, i), d, sizeof(d)))
		return;
	if (!invpcid_allowed(c, type, d)) {
		raise_gp0(c, i);
		return;
	}
	if (type == 0)
		soft_tlb_flush_page(c, d[1]);
	else
		soft_tlb_flush(c);
	soft_finish(c, i);
}

void sys_op_invd(struct soft_cpu *c, const struct cv_insn *i)
{
	if (supervisor(c, i))
		soft_finish(c, i);
}

void sys_op_wbinvd(struct soft_cpu *c, const struct cv_insn *i)
{
	if (supervisor(c, i))
		soft_finish(c, i);
}

/* CLFLUSH, CLFLUSHOPT, CLWB: the line must be readable; there is no cache to flush, and nothing is read. */
void sys_op_clflush(struct soft_cpu *c, const struct cv_insn *i)
{
	if (i->mod == 3) {
		raise_ud(c, i);
		return;
	}
	if (soft_probe_load(c, i, i->seg, soft_ea(c, i), 1))
		soft_finish(c, i);
}

/* LFENCE, MFENCE, SFENCE: one CPU sees its own accesses in order. */
void sys_op_fence(struct soft_cpu *c, const struct cv_insn *i)
{
	soft_finish(c, i);
}

/* --- Flags and HLT --- */

/* May this program change IF? Without VME and PVI that is IOPL's matter in every mode. */
static bool may_change_if(struct soft_cpu *c, const struct cv_insn *i)
{
	if (c->cpl <= soft_iopl(c) || !(c->s.cr0 & CV_CR0_PE))
		return true;
	raise_gp0(c, i);
	return false;
}

void sys_op_cli(struct soft_cpu *c, const struct cv_insn *i)
{
	if (!may_change_if(c, i))
		return;
	c->s.rflags &= ~(uint64_t)CV_FLAG_IF;
	soft_finish(c, i);
}

/* Interrupts open after the next instruction, if they were closed (SDM 2B, STI). */
void sys_op_sti(struct soft_cpu *c, const struct cv_insn *i)
{
	bool was = c->s.rflags & CV_FLAG_IF;

	if (!may_change_if(c, i))
		return;
	c->s.rflags |= CV_FLAG_IF;
	soft_retire(c, i);
	if (!was)
		c->s.shadow |= CV_SHADOW_STI;
}

void sys_op_hlt(struct soft_cpu *c, const struct cv_insn *i)
{
	if (!supervisor(c, i))
		return;
	soft_retire(c, i);
	c->s.halted = true;
}

void sys_op_pushf(struct soft_cpu *c, const struct cv_insn *i)
{
	uint64_t sp = truncate_to(c->s.gpr[CV_RSP] - i->osize, c->stack_size);
	uint64_t v = soft_get_rflags(c) & ~(uint64_t)(CV_FLAG_VM | CV_FLAG_RF);
	bool ok;

	if (soft_v86(c) && soft_iopl(c) < 3) {
		raise_gp0(c, i);
		return;
	}
	if (i->osize == 8)
		ok = soft_store64(c, i, CV_SS, sp, v);
	else if (i->osize == 4)
		ok = soft_store32(c, i, CV_SS, sp, (uint32_t)v);
	else
		ok = soft_store16(c, i, CV_SS, sp, (uint16_t)v);
	if (!ok)
		return;
	soft_set_sp(c, sp);
	soft_finish(c, i);
}

static bool pop_flags_image(struct soft_cpu *c, const struct cv_insn *i, uint64_t *v)
{
	uint32_t v32 = 0;
	uint16_t v16 = 0;
	bool ok;

	if (i->osize == 8)
		return soft_load64(c, i, CV_SS, soft_sp(c), v);
	if (i->osize == 4)
		ok = soft_load32(c, i, CV_SS, soft_sp(c), &v32);
	else
		ok = soft_load16(c, i, CV_SS, soft_sp(c), &v16);
	*v = i->osize == 4 ? v32 : v16;
	return ok;
}

void sys_op_popf(struct soft_cpu *c, const struct cv_insn *i)
{
	uint64_t mask = CV_FLAGS_ARITH | CV_FLAG_TF | CV_FLAG_DF | CV_FLAG_NT;
	uint64_t v;

	if (soft_v86(c) && soft_iopl(c) < 3) {
		raise_gp0(c, i);
		return;
	}
	if (!pop_flags_image(c, i, &v))
		return;
	if (i->osize >= 4)
		mask |= CV_FLAG_AC | CV_FLAG_ID;
	if (c->cpl <= soft_iopl(c))
		mask |= CV_FLAG_IF;
	if (c->cpl == 0)
		mask |= CV_FLAG_IOPL;
	soft_set_sp(c, soft_sp(c) + i->osize);
	soft_set_rflags(c, (soft_get_rflags(c) & ~mask & ~(uint64_t)CV_FLAG_RF) | (v & mask) | 2);
	soft_finish(c, i);
}

static void set_ac(struct soft_cpu *c, const struct cv_insn *i, bool on)
{
	if (c->cpl) {
		raise_ud(c, i);
		return;
	}
	if (on)
		c->s.rflags |= CV_FLAG_AC;
	else
		c->s.rflags &= ~(uint64_t)CV_FLAG_AC;
	c->mmu = mmu_index(c);
	soft_finish(c, i);
}

void sys_op_clac(struct soft_cpu *c, const struct cv_insn *i)
{
	set_ac(c, i, false);
}
void sys_op_stac(struct soft_cpu *c, const struct cv_insn *i)
{
	set_ac(c, i, true);
}
