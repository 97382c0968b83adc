/* SPDX-License-Identifier: MIT */
/*
 * Model-specific registers, and the instructions that read clocks and entropy: SDM 4 chapter 2, SDM 3A 11.11 (MTRRs),
 * 11.12 (PAT), SDM 3B 17.17 (TSC).
 *
 * Every MSR here is one that CPUID announces or that processors of this family have without asking. All others, and
 * every reserved bit, are #GP(0). MTRRs and PAT are kept and mean nothing: there is no cache.
 *
 * The TSC is guest time in ns plus tsc_offset. The local APIC holds IA32_TSC_DEADLINE as software wrote it and asks for
 * the offset itself when it arms its timer.
 */
#include <string.h>

#include "vmm-core/soft/sys.h"

enum {
	MSR_TSC = 0x10, MSR_PLATFORM_ID = 0x17, MSR_APIC_BASE = 0x1b, MSR_FEATURE_CONTROL = 0x3a, MSR_TSC_ADJUST = 0x3b,
	MSR_BIOS_UPDT_TRIG = 0x79, MSR_BIOS_SIGN_ID = 0x8b, MSR_PLATFORM_INFO = 0xce, MSR_MTRRCAP = 0xfe, MSR_MCG_CAP = 0x179,
	MSR_ARCH_CAPABILITIES = 0x10a, MSR_SYSENTER_CS = 0x174, MSR_SYSENTER_ESP = 0x175,
	MSR_SYSENTER_EIP = 0x176, MSR_MISC_ENABLE = 0x1a0, MSR_DEBUGCTL = 0x1d9, MSR_MTRR_BASE0 = 0x200,
	MSR_MTRR_LAST = 0x20f, MSR_MTRR_FIX64K = 0x250, MSR_MTRR_FIX16K_80000 = 0x258,
	MSR_MTRR_FIX16K_A0000 = 0x259, MSR_MTRR_FIX4K_FIRST = 0x268, MSR_MTRR_FIX4K_LAST = 0x26f, MSR_PAT = 0x277,
	MSR_MTRR_DEF_TYPE = 0x2ff, MSR_TSC_DEADLINE = 0x6e0, MSR_X2APIC_FIRST = 0x800, MSR_X2APIC_LAST = 0x8ff,
};
enum {
	MSR_EFER = 0xc0000080, MSR_STAR = 0xc0000081, MSR_LSTAR = 0xc0000082, MSR_CSTAR = 0xc0000083,
	MSR_SFMASK = 0xc0000084, MSR_FS_BASE = 0xc0000100, MSR_GS_BASE = 0xc0000101, MSR_KERNEL_GS_BASE = 0xc0000102,
	MSR_TSC_AUX = 0xc0000103,
};

/* What these read as. */
#define FEATURE_CONTROL_VALUE 1ull /* locked by firmware, with nothing in it */
#define MTRRCAP_VALUE 0x508ull	       /* 8 variable ranges, fixed ranges, write combining */
#define MICROCODE_REVISION (1ull << 32)
/*
 * IA32_MISC_ENABLE (SDM 4 table 2-2): branch trace and PEBS are not available. Written may be what a BIOS writes: fast
 * strings (0), thermal control (3), SpeedStep (16), the monitor's FSM (18), the CPUID limit (22), xTPR messages (23), XD
 * disable (34). The limit and XD disable do something here, the others are kept.
 */
#define MISC_ENABLE_FIXED 0x1800ull
#define MISC_ENABLE_WRITABLE 0x400c50009ull

#define APIC_BASE_ENABLE (1ull << 11)
#define CPUID_1_EDX_APIC (1u << 9)

/* Index into mtrr_fix, or -1. */
static int mtrr_fix_index(uint32_t msr)
{
	switch (msr) {
	case MSR_MTRR_FIX64K:
		return 0;
	case MSR_MTRR_FIX16K_80000: case MSR_MTRR_FIX16K_A0000:
		return 1 + (int)(msr - MSR_MTRR_FIX16K_80000);
	default:
		return msr >= MSR_MTRR_FIX4K_FIRST && msr <= MSR_MTRR_FIX4K_LAST ? 3 + (int)(msr - MSR_MTRR_FIX4K_FIRST) :
										   -1;
	}
}

/* The local APIC's: base, deadline, x2APIC. */
static bool is_apic_msr(uint32_t msr)
{
	return msr == MSR_APIC_BASE || msr == MSR_TSC_DEADLINE || (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST);
}

static bool read_apic_msr(struct soft_cpu *c, uint32_t msr, uint64_t *v)
{
	return c->host.irqchip && c->host.irqchip->read_msr(c->host.irqchip_dev, msr, v);
}

static bool write_apic_msr(struct soft_cpu *c, uint32_t msr, uint64_t v)
{
	return c->host.irqchip && c->host.irqchip->write_msr(c->host.irqchip_dev, msr, v);
}

/* An armed deadline is a TSC value: when the TSC is moved it is armed anew. */
static void move_tsc(struct soft_cpu *c, uint64_t offset)
{
	uint64_t deadline = 0;
	bool armed = read_apic_msr(c, MSR_TSC_DEADLINE, &deadline) && deadline;

	c->s.tsc_adjust += offset - c->s.tsc_offset;
	c->s.tsc_offset = offset;
	if (armed)
		write_apic_msr(c, MSR_TSC_DEADLINE, deadline);
}

static uint64_t read_tsc(struct soft_cpu *c)
{
	return c->host.tsc(c->host.ctx) + c->s.tsc_offset;
}

bool sys_read_msr(struct soft_cpu *c, uint32_t msr, uint64_t *v)
{
	int fix = mtrr_fix_index(msr);

	if (is_apic_msr(msr))
		return read_apic_msr(c, msr, v);
	if (fix >= 0) {
		*v = c->s.mtrr_fix[fix];
		return true;
	}
	if (msr >= MSR_MTRR_BASE0 && msr <= MSR_MTRR_LAST) {
		unsigned n = (msr - MSR_MTRR_BASE0) / 2;

		*v = msr & 1 ? c->s.mtrr_mask[n] : c->s.mtrr_base[n];
		return true;
	}
	switch (msr) {
	case MSR_TSC: *v = read_tsc(c); break;
	case MSR_PLATFORM_ID: *v = 0; break;
	case MSR_FEATURE_CONTROL: *v = FEATURE_CONTROL_VALUE; break;
	case MSR_TSC_ADJUST: *v = c->s.tsc_adjust; break;
	case MSR_BIOS_SIGN_ID: *v = MICROCODE_REVISION; break;
	case MSR_PLATFORM_INFO: *v = 0; break;
	case MSR_MTRRCAP: *v = MTRRCAP_VALUE; break;
	case MSR_ARCH_CAPABILITIES: *v = c->host.model->arch_capabilities; break;
	case MSR_SYSENTER_CS: *v = c->s.sysenter_cs; break;
	case MSR_SYSENTER_ESP: *v = c->s.sysenter_esp; break;
	case MSR_SYSENTER_EIP: *v = c->s.sysenter_eip; break;
	case MSR_MCG_CAP: *v = 0; break; /* no bank reports machine checks */
	case MSR_MISC_ENABLE: *v = c->s.misc_enable | MISC_ENABLE_FIXED; break;
	case MSR_DEBUGCTL: *v = c->s.debugctl; break;
	case MSR_PAT: *v = c->s.pat; break;
	case MSR_MTRR_DEF_TYPE: *v = c->s.mtrr_def_type; break;
	case MSR_EFER: *v = c->s.efer; break;
	case MSR_STAR: *v = c->s.star; break;
	case MSR_LSTAR: *v = c->s.lstar; break;
	case MSR_CSTAR: *v = c->s.cstar; break;
	case MSR_SFMASK: *v = c->s.sfmask; break;
	case MSR_FS_BASE: *v = c->s.seg[CV_FS].base; break;
	case MSR_GS_BASE: *v = c->s.seg[CV_GS].base; break;
	case MSR_KERNEL_GS_BASE: *v = c->s.kernel_gs_base; break;
	case MSR_TSC_AUX: *v = c->s.tsc_aux; break;
	default: return false;
	}
	return true;
}

/* --- Writing --- */

static bool memory_type_ok(unsigned t)
{
	return t == 0 || t == 1 || t == 4 || t == 5 || t == 6;
}

/* Eight memory types; PAT also knows 7 (UC-). */
static bool memory_types_ok(uint64_t v, bool pat)
{
	for (unsigned k = 0; k < 8; k++, v >>= 8)
		if (!memory_type_ok(v & 0xff) && !(pat && (v & 0xff) == 7))
			return false;
	return true;
}

static bool write_mtrr(struct soft_cpu *c, uint32_t msr, uint64_t v)
{
	uint64_t beyond = ~((1ull << c->host.model->phys_bits) - 1);
	unsigned n = (msr - MSR_MTRR_BASE0) / 2;
	int fix = mtrr_fix_index(msr);

	if (fix >= 0) {
		if (!memory_types_ok(v, false))
			return false;
		c->s.mtrr_fix[fix] = v;
		return true;
	}
	if (msr & 1) {
		if (v & (beyond | 0x7ff))
			return false;
		c->s.mtrr_mask[n] = v;
		return true;
	}
	if ((v & (beyond | 0xf00)) || !memory_type_ok(v & 0xff))
		return false;
	c->s.mtrr_base[n] = v;
	return true;
}

static bool write_efer(struct soft_cpu *c, uint64_t v)
{
	uint64_t old = c->s.efer;

	if (v & ~c->host.model->efer_mask & ~(uint64_t)CV_EFER_LMA)
		return false;
	if ((v & ~old & CV_EFER_NXE) && (c->s.misc_enable & CV_MISC_XD_DISABLE))
		return false;
	if (((v ^ old) & CV_EFER_LME) && (c->s.cr0 & CV_CR0_PG))
		return false;
	c->s.efer = (v & ~(uint64_t)CV_EFER_LMA) | (old & CV_EFER_LMA);
	soft_update_mode(c);
	if ((v ^ old) & CV_EFER_NXE)
		soft_tlb_flush(c);
	return true;
}

static bool write_misc_enable(struct soft_cpu *c, uint64_t v)
{
	if ((v ^ c->s.misc_enable) & ~(MISC_ENABLE_WRITABLE | MISC_ENABLE_FIXED))
		return false;
	c->s.misc_enable = v & ~MISC_ENABLE_FIXED;
	return true;
}

static bool write_checked(uint64_t *reg, uint64_t v, bool ok)
{
	if (ok)
		*reg = v;
	return ok;
}

bool sys_write_msr(struct soft_cpu *c, uint32_t msr, uint64_t v)
{
	if (is_apic_msr(msr))
		return write_apic_msr(c, msr, v);
	if (mtrr_fix_index(msr) >= 0 || (msr >= MSR_MTRR_BASE0 && msr <= MSR_MTRR_LAST))
		return write_mtrr(c, msr, v);
	switch (msr) {
	case MSR_TSC: move_tsc(c, v - c->host.tsc(c->host.ctx)); return true;
	case MSR_TSC_ADJUST: move_tsc(c, c->s.tsc_offset + v - c->s.tsc_adjust); return true;
	case MSR_BIOS_UPDT_TRIG: return true;	 /* no update is newer than what is there */
	case MSR_BIOS_SIGN_ID: return true;	 /* software writes 0 before it asks CPUID for the revision */
	case MSR_SYSENTER_CS: return write_checked(&c->s.sysenter_cs, (uint32_t)v, true);
	case MSR_SYSENTER_ESP: return write_checked(&c->s.sysenter_esp, v, canonical_base(c, v));
	case MSR_SYSENTER_EIP: return write_checked(&c->s.sysenter_eip, v, canonical_base(c, v));
	case MSR_MISC_ENABLE: return write_misc_enable(c, v);
	/* Bit 0 asks for a record of last branches, which isn't there: it reads as 0. */
	case MSR_DEBUGCTL: return write_checked(&c->s.debugctl, v & CV_DEBUGCTL_BTF, !(v & ~3ull));
	case MSR_PAT: return write_checked(&c->s.pat, v, memory_types_ok(v, true));
	case MSR_MTRR_DEF_TYPE:
		return write_checked(&c->s.mtrr_def_type, v, !(v & ~0xcffull) && memory_type_ok(v & 0xff));
	case MSR_EFER: return write_efer(c, v);
	case MSR_STAR: return write_checked(&c->s.star, v, true);
	case MSR_LSTAR: return write_checked(&c->s.lstar, v, canonical_base(c, v));
	case MSR_CSTAR: return write_checked(&c->s.cstar, v, canonical_base(c, v));
	case MSR_SFMASK: return write_checked(&c->s.sfmask, v, !(v >> 32));
	case MSR_FS_BASE: return write_checked(&c->s.seg[CV_FS].base, v, canonical_base(c, v));
	case MSR_GS_BASE: return write_checked(&c->s.seg[CV_GS].base, v, canonical_base(c, v));
	case MSR_KERNEL_GS_BASE: return write_checked(&c->s.kernel_gs_base, v, canonical_base(c, v));
	case MSR_TSC_AUX: return write_checked(&c->s.tsc_aux, v, !(v >> 32));
	default: return false;
	}
}

/* --- Instructions --- */

static void set_edx_eax(struct soft_cpu *c, uint64_t v)
{
	c->s.gpr[CV_RAX] = (uint32_t)v;
	c->s.gpr[CV_RDX] = v >> 32;
}

void sys_op_rdmsr(struct soft_cpu *c, const struct cv_insn *i)
{
	uint64_t v = 0;

	if (c->cpl || !sys_read_msr(c, (uint32_t)c->s.gpr[CV_RCX], &v)) {
		raise_gp0(c, i);
		return;
	}
	set_edx_eax(c, v);
	soft_finish(c, i);
}

void sys_op_wrmsr(struct soft_cpu *c, const struct cv_insn *i)
{
	uint64_t v = (uint32_t)c->s.gpr[CV_RAX] | c->s.gpr[CV_RDX] << 32;

	if (c->cpl || !sys_write_msr(c, (uint32_t)c->s.gpr[CV_RCX], v)) {
		raise_gp0(c, i);
		return;
	}
	soft_finish(c, i);
}

static bool tsc_allowed(struct soft_cpu *c, const struct cv_insn *i)
{
	if (!c->cpl || !(c->s.cr4 & CV_CR4_TSD))
		return true;
	raise_gp0(c, i);
	return false;
}

void sys_op_rdtsc(struct soft_cpu *c, const struct cv_insn *i)
{
	if (!tsc_allowed(c, i))
		return;
	set_edx_eax(c, read_tsc(c));
	soft_finish(c, i);
}

void sys_op_rdtscp(struct soft_cpu *c, const struct cv_insn *i)
{
	if (!tsc_allowed(c, i))
		return;
	set_edx_eax(c, read_tsc(c));
	c->s.gpr[CV_RCX] = (uint32_t)c->s.tsc_aux;
	soft_finish(c, i);
}

/* F3 0F C7 /7: the operand size is that of the mode. */
void sys_op_rdpid(struct soft_cpu *c, const struct cv_insn *i)
{
	write_gpr(c, i->rm, c->mode == 64 ? 8 : 4, c->s.tsc_aux);
	soft_finish(c, i);
}

/* There are no performance counters (CPUID leaf 0Ah). */
void sys_op_rdpmc(struct soft_cpu *c, const struct cv_insn *i)
{
	raise_gp0(c, i);
}

/* The local APIC is announced while IA32_APIC_BASE has it on (SDM 3A 11.4.3). */
static bool apic_off(struct soft_cpu *c)
{
	uint64_t base;

	return c->host.irqchip && c->host.irqchip->read_msr(c->host.irqchip_dev, MSR_APIC_BASE, &base) &&
	       !(base & APIC_BASE_ENABLE);
}

void sys_op_cpuid(struct soft_cpu *c, const struct cv_insn *i)
{
	uint32_t out[4];

	cv_cpuid(c->host.model, &c->s, (uint32_t)c->s.gpr[CV_RAX], (uint32_t)c->s.gpr[CV_RCX], out);
	if ((uint32_t)c->s.gpr[CV_RAX] == 1 && apic_off(c))
		out[3] &= ~CPUID_1_EDX_APIC;
	c->s.gpr[CV_RAX] = out[0];
	c->s.gpr[CV_RBX] = out[1];
	c->s.gpr[CV_RCX] = out[2];
	c->s.gpr[CV_RDX] = out[3];
	soft_finish(c, i);
}

/* 0F C7 /6 and /7, register form: always succeed. */
static void random_number(struct soft_cpu *c, const struct cv_insn *i)
{
	uint8_t raw[8] = {0};
	uint64_t v;

	if (i->mod != 3) {
		raise_ud(c, i);
		return;
	}
	c->host.entropy(c->host.ctx, raw, i->osize);
	memcpy(&v, raw, 8);
	write_gpr(c, i->rm, i->osize, v);
	soft_set_arith(c, CV_FLAG_CF);
	soft_finish(c, i);
}

void sys_op_rdrand(struct soft_cpu *c, const struct cv_insn *i)
{
	random_number(c, i);
}
void sys_op_rdseed(struct soft_cpu *c, const struct cv_insn *i)
{
	random_number(c, i);
}
