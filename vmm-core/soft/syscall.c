/* SPDX-License-Identifier: MIT */
/*
 * The fast ways in and out of a kernel: SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS and the FS/GS base instructions.
 *
 * They load CS and SS with fixed flat segments and look at no descriptor (SDM 2B). As on Intel's processors SYSCALL
 * and SYSRET exist in 64-bit mode only, and SYSRET checks RCX while still at level 0.
 * Relies on the decoder for: rex (REX.W of SYSRET and SYSEXIT), osize and rm of RDFSBASE and its like.
 */
#include "vmm-core/soft/sys.h"

enum { AR_CODE64 = 0xa09b, AR_CODE32 = 0xc09b, AR_DATA32 = 0xc093, AR_DPL3 = 0x60 };

static void flat_segments(struct soft_cpu *c, uint16_t cs, uint16_t ss, uint32_t code_ar, unsigned cpl)
{
	uint32_t dpl = cpl ? AR_DPL3 : 0;

	c->s.seg[CV_CS] = (struct cv_seg){.limit = 0xffffffff, .ar = code_ar | dpl, .sel = cs};
	c->s.seg[CV_SS] = (struct cv_seg){.limit = 0xffffffff, .ar = AR_DATA32 | dpl, .sel = ss};
}

void sys_op_syscall(struct soft_cpu *c, const struct cv_insn *i)
{
	uint64_t flags = soft_get_rflags(c) & ~(uint64_t)CV_FLAG_RF;
	uint16_t sel = (uint16_t)(c->s.star >> 32);

	if (c->mode != 64 || !(c->s.efer & CV_EFER_SCE)) {
		raise_ud(c, i);
		return;
	}
	c->s.gpr[CV_RCX] = soft_next_rip(c, i);
	c->s.gpr[CV_R11] = flags;
	flat_segments(c, sel & 0xfffc, (uint16_t)(sel + 8) & 0xfffc, AR_CODE64, 0);
	soft_set_rflags(c, (flags & ~c->s.sfmask) | 2);
	soft_update_mode(c);
	soft_retire_to(c, i, c->s.lstar);
}

void sys_op_sysret(struct soft_cpu *c, const struct cv_insn *i)
{
	uint16_t sel = (uint16_t)(c->s.star >> 48);
	bool to64 = i->rex & 8;
	uint64_t rip = to64 ? c->s.gpr[CV_RCX] : (uint32_t)c->s.gpr[CV_RCX];

	if (c->mode != 64 || !(c->s.efer & CV_EFER_SCE)) {
		raise_ud(c, i);
		return;
	}
	if (c->cpl || !soft_canonical(c, rip)) {
		raise_gp0(c, i);
		return;
	}
	flat_segments(c, (uint16_t)(sel + (to64 ? 16 : 0)) | 3, (uint16_t)(sel + 8) | 3, to64 ? AR_CODE64 : AR_CODE32,
		      3);
	soft_set_rflags(c, (c->s.gpr[CV_R11] & 0x3c7fd7 & ~(uint64_t)CV_FLAG_RF) | 2);
	soft_update_mode(c);
	soft_retire_to(c, i, rip);
}

void sys_op_sysenter(struct soft_cpu *c, const struct cv_insn *i)
{
	uint16_t sel = (uint16_t)c->s.sysenter_cs & 0xfffc;
	uint64_t rip = c->s.sysenter_eip;

	if (!(c->s.cr0 & CV_CR0_PE) || !sel) {
		raise_gp0(c, i);
		return;
	}
	soft_set_rflags(c, soft_get_rflags(c) & ~(uint64_t)(CV_FLAG_VM | CV_FLAG_IF));
	flat_segments(c, sel, sel + 8, c->long_mode ? AR_CODE64 : AR_CODE32, 0);
	c->s.gpr[CV_RSP] = c->long_mode ? c->s.sysenter_esp : (uint32_t)c->s.sysenter_esp;
	soft_update_mode(c);
	soft_retire_to(c, i, c->long_mode ? rip : (uint32_t)rip);
}

void sys_op_sysexit(struct soft_cpu *c, const struct cv_insn *i)
{
	uint16_t sel = (uint16_t)c->s.sysenter_cs & 0xfffc;
	bool to64 = c->mode == 64 && (i->rex & 8);
	uint64_t rip = c->s.gpr[CV_RDX], rsp = c->s.gpr[CV_RCX];

	if (!c->protected_mode || !sel || c->cpl || (to64 && (!soft_canonical(c, rip) || !soft_canonical(c, rsp)))) {
		raise_gp0(c, i);
		return;
	}
	flat_segments(c, (uint16_t)(sel + (to64 ? 32 : 16)) | 3, (uint16_t)(sel + (to64 ? 40 : 24)) | 3,
		      to64 ? AR_CODE64 : AR_CODE32, 3);
	c->s.gpr[CV_RSP] = to64 ? rsp : (uint32_t)rsp;
	soft_update_mode(c);
	soft_retire_to(c, i, to64 ? rip : (uint32_t)rip);
}

void sys_op_swapgs(struct soft_cpu *c, const struct cv_insn *i)
{
	uint64_t base = c->s.seg[CV_GS].base;

	if (c->mode != 64) {
		raise_ud(c, i);
		return;
	}
	if (c->cpl) {
		raise_gp0(c, i);
		return;
	}
	c->s.seg[CV_GS].base = c->s.kernel_gs_base;
	c->s.kernel_gs_base = base;
	soft_finish(c, i);
}

/* --- FSGSBASE --- */

static bool fsgsbase_allowed(struct soft_cpu *c, const struct cv_insn *i)
{
	if (c->mode == 64 && (c->s.cr4 & CV_CR4_FSGSBASE))
		return true;
	raise_ud(c, i);
	return false;
}

static void read_base(struct soft_cpu *c, const struct cv_insn *i, unsigned seg)
{
	if (!fsgsbase_allowed(c, i))
		return;
	write_gpr(c, i->rm, i->rex & 8 ? 8 : 4, c->s.seg[seg].base);
	soft_finish(c, i);
}

static void write_base(struct soft_cpu *c, const struct cv_insn *i, unsigned seg)
{
	uint64_t v = truncate_to(c->s.gpr[i->rm], i->rex & 8 ? 8 : 4);

	if (!fsgsbase_allowed(c, i))
		return;
	/* By the paging in use: processors that have 5-level paging take no 57-bit address here while it is off. */
	if (!soft_canonical(c, v)) {
		raise_gp0(c, i);
		return;
	}
	c->s.seg[seg].base = v;
	soft_finish(c, i);
}

void sys_op_rdfsbase(struct soft_cpu *c, const struct cv_insn *i)
{
	read_base(c, i, CV_FS);
}
void sys_op_rdgsbase(struct soft_cpu *c, const struct cv_insn *i)
{
	read_base(c, i, CV_GS);
}
void sys_op_wrfsbase(struct soft_cpu *c, const struct cv_insn *i)
{
	write_base(c, i, CV_FS);
}
void sys_op_wrgsbase(struct soft_cpu *c, const struct cv_insn *i)
{
	write_base(c, i, CV_GS);
}
