/* SPDX-License-Identifier: MIT */
/*
 * What an exit means. The light ones are carried out here: port I/O by register, CPUID, RDTSC and RDTSCP, HLT, windows, full lists. For all
 * others (MMIO, MSRs, control and debug registers, descriptor tables, string I/O, task switches, exceptions, whatever comes) the software
 * engine executes the instruction at RIP, which VT-x has left undone.
 *
 * An exit that broke off the delivery of an event leaves RIP where the event struck, so executing the instruction there again makes the same
 * exception. An interrupt that the entry was to deliver stays forced (engine.c): the software engine delivers it then. NMIs are its business
 * from the beginning.
 *
 * VT-x checks privilege and the TSS's I/O bitmap before these exits: what arrives here may be carried out.
 */
#include <string.h>

#include "vmm-core/vtx/internal.h"
#include "vmm-core/x86/cpuid.h"

/* SDM 3C appendix C. */
enum {
	EXIT_EXCEPTION = 0, EXIT_TRIPLE_FAULT = 2, EXIT_INTR_WINDOW = 7, EXIT_NMI_WINDOW = 8, EXIT_TASK_SWITCH = 9, EXIT_CPUID = 10,
	EXIT_HLT = 12, EXIT_INVD = 13, EXIT_INVLPG = 14, EXIT_RDPMC = 15, EXIT_RDTSC = 16, EXIT_CR = 28, EXIT_DR = 29, EXIT_IO = 30,
	EXIT_RDMSR = 31, EXIT_WRMSR = 32, EXIT_MWAIT = 36, EXIT_MONITOR = 39, EXIT_PAUSE = 40, EXIT_GDTR_IDTR = 46, EXIT_LDTR_TR = 47,
	EXIT_EPT_VIOLATION = 48, EXIT_EPT_MISCONFIG = 49, EXIT_RDTSCP = 51, EXIT_WBINVD = 54, EXIT_XSETBV = 55, EXIT_RDRAND = 57,
	EXIT_INVPCID = 58, EXIT_RDSEED = 61, EXIT_XSAVES = 63, EXIT_XRSTORS = 64,
};

enum { SHADOWS = 3 };
enum { MSR_APIC_BASE = 0x1b, APIC_BASE_ENABLE = 1 << 11, CPUID_1_EDX_APIC = 1 << 9 };

uint64_t vtx_linear_rip(const struct cvvtx_run *run)
{
	if (run->efer & CV_EFER_LMA && run->cs_ar & CV_AR_L)
		return run->rip;
	return (uint32_t)(run->cs_base + run->rip);
}

const char *vtx_exit_name(uint32_t exit)
{
	static const char *const names[] = {
		[EXIT_EXCEPTION] = "exception", [EXIT_TRIPLE_FAULT] = "triple fault", [EXIT_INTR_WINDOW] = "interrupt window",
		[EXIT_NMI_WINDOW] = "NMI window", [EXIT_TASK_SWITCH] = "task switch", [EXIT_CPUID] = "CPUID", [EXIT_HLT] = "HLT",
		[EXIT_INVD] = "INVD", [EXIT_INVLPG] = "INVLPG", [EXIT_RDPMC] = "RDPMC", [EXIT_RDTSC] = "RDTSC",
		[EXIT_CR] = "control register", [EXIT_DR] = "debug register", [EXIT_IO] = "port I/O", [EXIT_RDMSR] = "RDMSR",
		[EXIT_WRMSR] = "WRMSR", [EXIT_MWAIT] = "MWAIT", [EXIT_MONITOR] = "MONITOR", [EXIT_PAUSE] = "PAUSE",
		[EXIT_GDTR_IDTR] = "GDTR or IDTR", [EXIT_LDTR_TR] = "LDTR or TR", [EXIT_EPT_VIOLATION] = "EPT violation",
		[EXIT_EPT_MISCONFIG] = "EPT misconfiguration", [EXIT_RDTSCP] = "RDTSCP", [EXIT_WBINVD] = "WBINVD",
		[EXIT_XSETBV] = "XSETBV", [EXIT_RDRAND] = "RDRAND", [EXIT_INVPCID] = "INVPCID", [EXIT_RDSEED] = "RDSEED",
		[EXIT_XSAVES] = "XSAVES", [EXIT_XRSTORS] = "XRSTORS",
	};
	static const char *const own[] = {"count", "step", "signal", "ring full", "dirty list full", "MMIO", "entry failed", "memory"};

	if (exit < sizeof(names) / sizeof(names[0]) && names[exit])
		return names[exit];
	if (exit >= CVVTX_EXIT_COUNT && exit - CVVTX_EXIT_COUNT < sizeof(own) / sizeof(own[0]))
		return own[exit - CVVTX_EXIT_COUNT];
	return "unknown";
}

/* --- Light exits --- */

/* Where RIP goes; false where it would wrap around, which depends on the mode. */
static bool next_rip(const struct cvvtx_run *run, uint64_t *next)
{
	*next = run->rip + run->insn_len;
	return run->insn_len - 1 < 15 && !((run->rip ^ *next) >> 16);
}

static void retire(struct vtx_engine *e, uint64_t next)
{
	e->run->rip = next;
	e->run->rflags &= ~(uint64_t)CV_FLAG_RF;
	e->run->interruptibility &= ~(uint32_t)SHADOWS;
	e->s.pos.insns++;
	e->s.pos.sub = 0;
	e->light++;
}

/* Qualification (SDM 3C table 27-5): size less 1, bit 3 IN, bit 4 string, 31:16 the port. */
static bool port_io(struct vtx_engine *e)
{
	struct cvvtx_run *run = e->run;
	uint64_t rax = run->gpr[CV_RAX], q = run->qualification;
	uint16_t port = (uint16_t)(q >> 16);
	unsigned n = (unsigned)(q & 7) + 1;

	if (q & 0x10 || (n != 1 && n != 2 && n != 4))
		return false;
	if (q & 8) {
		uint32_t v = cv_bus_in(e->host.bus, port, n);

		run->gpr[CV_RAX] = n == 4 ? v : n == 2 ? (rax & ~0xffffull) | (uint16_t)v : (rax & ~0xffull) | (uint8_t)v;
	} else {
		cv_bus_out(e->host.bus, port, n, n == 4 ? (uint32_t)rax : n == 2 ? (uint16_t)rax : (uint8_t)rax);
	}
	return true;
}

static bool apic_off(const struct vtx_engine *e)
{
	uint64_t base;

	return e->host.irqchip && e->host.irqchip->read_msr(e->host.irqchip_dev, MSR_APIC_BASE, &base) && !(base & APIC_BASE_ENABLE);
}

/* The state's CR4 and XCR0 are as they were last at home: writes to them exit. CS and EFER come with the exit. */
static bool cpuid(struct vtx_engine *e)
{
	struct cvvtx_run *run = e->run;
	uint32_t leaf = (uint32_t)run->gpr[CV_RAX], out[4];

	e->s.seg[CV_CS].ar = run->cs_ar;
	e->s.efer = (e->s.efer & ~(uint64_t)UINT32_MAX) | run->efer;
	cv_cpuid(e->host.model, &e->s, leaf, (uint32_t)run->gpr[CV_RCX], out);
	if (leaf == 1 && apic_off(e))
		out[3] &= ~(uint32_t)CPUID_1_EDX_APIC;
	run->gpr[CV_RAX] = out[0];
	run->gpr[CV_RBX] = out[1];
	run->gpr[CV_RCX] = out[2];
	run->gpr[CV_RDX] = out[3];
	return true;
}

static bool rdtsc(struct vtx_engine *e)
{
	uint64_t v = e->host.tsc(e->host.ctx) + e->s.tsc_offset;

	e->run->gpr[CV_RAX] = (uint32_t)v;
	e->run->gpr[CV_RDX] = v >> 32;
	return true;
}

/* IA32_TSC_AUX is as it was last at home: writes to it exit. */
static bool rdtscp(struct vtx_engine *e)
{
	rdtsc(e);
	e->run->gpr[CV_RCX] = (uint32_t)e->s.tsc_aux;
	return true;
}

static bool hlt(struct vtx_engine *e)
{
	e->s.halted = true;
	return true;
}

static bool (*light_of(uint32_t exit))(struct vtx_engine *)
{
	switch (exit) {
	case EXIT_IO: return port_io;
	case EXIT_CPUID: return cpuid;
	case EXIT_RDTSC: return rdtsc;
	case EXIT_RDTSCP: return rdtscp;
	case EXIT_HLT: return hlt;
	default: return NULL;
	}
}

static enum vtx_handled light(struct vtx_engine *e, bool (*carry_out)(struct vtx_engine *))
{
	uint64_t next;

	if (!carry_out || e->run->rflags & CV_FLAG_TF || e->run->dr[7] & 0xff || !next_rip(e->run, &next) || !carry_out(e))
		return VTX_BY_SOFT;
	retire(e, next);
	return VTX_DONE;
}

/* --- All exits --- */

static enum vtx_handled entry_failed(struct vtx_engine *e, struct cv_error *err)
{
	const struct cvvtx_run *run = e->run;

	cv_error_set(err, CV_E_IO,
		     "VT-x refused to enter the guest at RIP %llx (reason %llu, CR0 %llx, CR4 %llx, EFER %llx, RFLAGS %llx): a bug here; use "
		     "--engine soft",
		     (unsigned long long)run->rip, (unsigned long long)run->qualification, (unsigned long long)e->dev.cr0,
		     (unsigned long long)e->dev.cr4, (unsigned long long)e->dev.efer, (unsigned long long)run->rflags);
	return VTX_FAILED;
}

enum vtx_handled vtx_exit(struct vtx_engine *e, struct cv_error *err)
{
	struct cvvtx_run *run = e->run;

	switch (run->exit) {
	case CVVTX_EXIT_ENTRY_FAILED:
		return entry_failed(e, err);
	case CVVTX_EXIT_MEMORY:
		cv_error_set(err, CV_E_NOMEM, "a page of guest memory at %llx could not be pinned: %s", (unsigned long long)run->gpa,
			     strerror((int)run->qualification));
		return VTX_FAILED;
	default:
		break;
	}
	/* Before all else: what was being delivered would be lost. */
	if (run->vector_info & INFO_VALID)
		return VTX_BY_SOFT;
	switch (run->exit) {
	case CVVTX_EXIT_COUNT:
		return VTX_FIRED;
	case CVVTX_EXIT_SIGNAL:
		run->leave = 0;
		return VTX_DONE;
	case CVVTX_EXIT_STEP: case CVVTX_EXIT_RING: case CVVTX_EXIT_DIRTY: case EXIT_INTR_WINDOW: case EXIT_NMI_WINDOW:
		return VTX_DONE;
	default:
		return light(e, light_of(run->exit));
	}
}

bool vtx_exit_flushes(const struct vtx_engine *e)
{
	switch (e->run->exit) {
	case CVVTX_EXIT_MMIO: case EXIT_IO: case EXIT_RDMSR: case EXIT_WRMSR: case EXIT_RDRAND: case EXIT_RDSEED: case EXIT_RDTSC:
	case EXIT_RDTSCP: case EXIT_CPUID: case EXIT_HLT: case EXIT_INTR_WINDOW: case EXIT_NMI_WINDOW: case CVVTX_EXIT_COUNT:
	case CVVTX_EXIT_SIGNAL: case CVVTX_EXIT_DIRTY: case CVVTX_EXIT_RING:
		return false;
	default:
		return true;
	}
}
