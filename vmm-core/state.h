/* SPDX-License-Identifier: MIT */
/*
 * The one architectural state of the virtual CPU: what an engine gets and sets, a checkpoint holds and GDB shows.
 *
 * Plain data. Saved field by field by cv_vcpu_save (version 2). The soft engine keeps one of these as its working
 * registers; only RFLAGS' arithmetic flags and the position are settled lazily there.
 */
#ifndef CV_STATE_H
#define CV_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm-core/buf.h"
#include "vmm-core/position.h"

enum { CV_RAX, CV_RCX, CV_RDX, CV_RBX, CV_RSP, CV_RBP, CV_RSI, CV_RDI,
       CV_R8, CV_R9, CV_R10, CV_R11, CV_R12, CV_R13, CV_R14, CV_R15 };

/* In the order of ModRM's sreg field; then the system segments. */
enum { CV_ES, CV_CS, CV_SS, CV_DS, CV_FS, CV_GS, CV_LDTR, CV_TR, CV_NSEGS };

/* Segment access rights, laid out as VT-x does (SDM 3C 24.4.1): type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14,
 * G 15, unusable 16. */
#define CV_AR_TYPE 0xfu
#define CV_AR_S 0x10u
#define CV_AR_DPL(ar) (((ar) >> 5) & 3u)
#define CV_AR_P 0x80u
#define CV_AR_AVL 0x1000u
#define CV_AR_L 0x2000u
#define CV_AR_DB 0x4000u
#define CV_AR_G 0x8000u
#define CV_AR_UNUSABLE 0x10000u

struct cv_seg {
	uint64_t base;
	uint32_t limit; /* in bytes, inclusive, granularity applied */
	uint32_t ar;
	uint16_t sel;
};

struct cv_dtr {
	uint64_t base;
	uint16_t limit;
};

struct cv_x87 {
	uint64_t mant[8]; /* by physical register R0..R7, not by stack position */
	uint16_t se[8];	  /* sign and exponent */
	uint16_t fcw, fsw; /* fsw holds TOP in bits 13:11 */
	uint8_t ftw;	  /* abridged: bit i set = physical register i is not empty */
	uint16_t fop;
	uint64_t fip, fdp;
	uint16_t fcs, fds;
};

/* Bits of interrupt shadow. */
enum { CV_SHADOW_STI = 1, CV_SHADOW_MOVSS = 2 };

struct cv_vcpu_state {
	uint64_t gpr[16];
	uint64_t rip;
	uint64_t rflags; /* bit 1 always set */
	struct cv_seg seg[CV_NSEGS];
	struct cv_dtr gdtr, idtr;
	uint64_t cr0, cr2, cr3, cr4; /* CR8 lives in the local APIC: see struct cv_irqchip_ops */
	uint64_t dr[8];		     /* dr[4], dr[5] unused */
	uint64_t xcr0;
	struct cv_x87 x87;
	uint64_t ymm[16][4]; /* XMM is words 0 and 1 */
	uint32_t mxcsr;

	uint64_t efer, star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t pat, tsc_offset, tsc_aux; /* TSC as the guest reads it = guest ns + tsc_offset */
	uint64_t tsc_adjust;		   /* MSR 3Bh */
	uint64_t misc_enable, spec_ctrl, mtrr_def_type, mtrr_fix[11], mtrr_base[8], mtrr_mask[8];
	uint64_t xss;
	uint64_t pdpte[4]; /* of PAE paging, as loaded with CR3 */
	uint64_t debugctl; /* MSR 1D9h: BTF */

	uint8_t shadow;	     /* CV_SHADOW_*: no interrupt before the next instruction has retired */
	bool halted;	     /* HLT retired, waiting for an interrupt */
	bool nmi_pending, nmi_blocked;
	uint64_t pending_db; /* DR6 bits of a #DB to deliver before the next instruction (trap) */
	bool a20_masked;

	struct cv_pos pos; /* pos.rip is derived from cs.base + rip when asked for */
};

void cv_vcpu_reset(struct cv_vcpu_state *s); /* SDM 3A table 9-1: power-on state; position 0 */
void cv_vcpu_save(const struct cv_vcpu_state *s, struct cv_wbuf *w);
void cv_vcpu_load(struct cv_vcpu_state *s, struct cv_rbuf *r);
/* CPL: DPL of SS in protected mode, 3 in virtual-8086 mode, 0 in real mode. */
unsigned cv_vcpu_cpl(const struct cv_vcpu_state *s);
/* RIP as a linear address: cv_pos.rip of this state. */
uint64_t cv_vcpu_linear_rip(const struct cv_vcpu_state *s);

/* CR0, CR4, EFER, RFLAGS bits. */
#define CV_CR0_PE (1u << 0)
#define CV_CR0_MP (1u << 1)
#define CV_CR0_EM (1u << 2)
#define CV_CR0_TS (1u << 3)
#define CV_CR0_ET (1u << 4)
#define CV_CR0_NE (1u << 5)
#define CV_CR0_WP (1u << 16)
#define CV_CR0_AM (1u << 18)
#define CV_CR0_NW (1u << 29)
#define CV_CR0_CD (1u << 30)
#define CV_CR0_PG (1u << 31)
#define CV_CR4_VME (1u << 0)
#define CV_CR4_PVI (1u << 1)
#define CV_CR4_TSD (1u << 2)
#define CV_CR4_DE (1u << 3)
#define CV_CR4_PSE (1u << 4)
#define CV_CR4_PAE (1u << 5)
#define CV_CR4_MCE (1u << 6)
#define CV_CR4_PGE (1u << 7)
#define CV_CR4_PCE (1u << 8)
#define CV_CR4_OSFXSR (1u << 9)
#define CV_CR4_OSXMMEXCPT (1u << 10)
#define CV_CR4_UMIP (1u << 11)
#define CV_CR4_LA57 (1u << 12)
#define CV_CR4_FSGSBASE (1u << 16)
#define CV_CR4_PCIDE (1u << 17)
#define CV_CR4_OSXSAVE (1u << 18)
#define CV_CR4_SMEP (1u << 20)
#define CV_CR4_SMAP (1u << 21)
#define CV_DEBUGCTL_BTF (1u << 1)

/* IA32_MISC_ENABLE. */
#define CV_MISC_LIMIT_CPUID (1ull << 22)
#define CV_MISC_XD_DISABLE (1ull << 34)
#define CV_EFER_SCE (1u << 0)
#define CV_EFER_LME (1u << 8)
#define CV_EFER_LMA (1u << 10)
#define CV_EFER_NXE (1u << 11)
#define CV_FLAG_CF (1u << 0)
#define CV_FLAG_PF (1u << 2)
#define CV_FLAG_AF (1u << 4)
#define CV_FLAG_ZF (1u << 6)
#define CV_FLAG_SF (1u << 7)
#define CV_FLAG_TF (1u << 8)
#define CV_FLAG_IF (1u << 9)
#define CV_FLAG_DF (1u << 10)
#define CV_FLAG_OF (1u << 11)
#define CV_FLAG_IOPL (3u << 12)
#define CV_FLAG_NT (1u << 14)
#define CV_FLAG_RF (1u << 16)
#define CV_FLAG_VM (1u << 17)
#define CV_FLAG_AC (1u << 18)
#define CV_FLAG_VIF (1u << 19)
#define CV_FLAG_VIP (1u << 20)
#define CV_FLAG_ID (1u << 21)
#define CV_FLAGS_ARITH (CV_FLAG_CF | CV_FLAG_PF | CV_FLAG_AF | CV_FLAG_ZF | CV_FLAG_SF | CV_FLAG_OF)

#endif
