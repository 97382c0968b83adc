/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * GET_STATE and SET_STATE: the guest's state that RUN doesn't carry. A field is one of: masked to what can do the host no harm,
 * refused with EINVAL, or left to VM entry, which checks it all over again and fails without harm.
 */
#include <linux/string.h>
#include <asm/msr-index.h>

#include "module.h"

/* CR4 bits that a guest may set. Not among them: VMXE and SMXE, CET, FRED and others that bring state the module doesn't swap. */
#define CR4_ALLOWED                                                                                                    \
	(X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE | X86_CR4_PAE | X86_CR4_MCE | X86_CR4_PGE | \
	 X86_CR4_PCE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_UMIP | X86_CR4_FSGSBASE | X86_CR4_PCIDE |           \
	 X86_CR4_OSXSAVE | X86_CR4_SMEP | X86_CR4_SMAP)
#define CR0_GUEST_OWNED (X86_CR0_TS | X86_CR0_MP | X86_CR0_EM | X86_CR0_AM | X86_CR0_WP)
#define DEBUGCTL_ALLOWED 2ull /* BTF */

static const struct {
	u16 offset, field;
} plain[] = {
	{ offsetof(struct cvvtx_state, gdtr.base), GUEST_GDTR_BASE },
	{ offsetof(struct cvvtx_state, idtr.base), GUEST_IDTR_BASE },
	{ offsetof(struct cvvtx_state, cr3), GUEST_CR3 },
	{ offsetof(struct cvvtx_state, efer), GUEST_IA32_EFER },
	{ offsetof(struct cvvtx_state, sysenter_cs), GUEST_SYSENTER_CS },
	{ offsetof(struct cvvtx_state, sysenter_esp), GUEST_SYSENTER_ESP },
	{ offsetof(struct cvvtx_state, sysenter_eip), GUEST_SYSENTER_EIP },
	{ offsetof(struct cvvtx_state, pat), GUEST_IA32_PAT },
	{ offsetof(struct cvvtx_state, debugctl), GUEST_IA32_DEBUGCTL },
	{ offsetof(struct cvvtx_state, pdpte[0]), GUEST_PDPTR0 },
	{ offsetof(struct cvvtx_state, pdpte[1]), GUEST_PDPTR1 },
	{ offsetof(struct cvvtx_state, pdpte[2]), GUEST_PDPTR2 },
	{ offsetof(struct cvvtx_state, pdpte[3]), GUEST_PDPTR3 },
	{ offsetof(struct cvvtx_state, pending_dbg), GUEST_PENDING_DBG_EXCEPTIONS },
};

static u64 *field_of(struct cvvtx_state *s, unsigned int i)
{
	return (u64 *)((u8 *)s + plain[i].offset);
}

/* Power-on: real mode with flat zero segments, nothing else set. */
void cvvtx_state_reset(struct cvvtx_vm *vm, struct cvvtx_state *s)
{
	unsigned int i;

	memset(s, 0, sizeof(*s));
	for (i = 0; i < 8; i++) {
		s->seg[i].limit = 0xffff;
		s->seg[i].ar = 0x93;
	}
	s->seg[1].ar = 0x9b;
	s->seg[6].ar = 0x82;
	s->seg[7].ar = 0x8b;
	s->gdtr.limit = s->idtr.limit = 0xffff;
	s->cr0 = X86_CR0_ET;
	s->pat = 0x0007040600070406ull;
	s->xcr0 = 1;
	s->xsave[0] = 0x7f;
	s->xsave[1] = 0x03;
	s->xsave[24] = 0x80;
	s->xsave[25] = 0x1f;
}

/* What VM entry checks as well, but Bochs not all of it. */
static bool mode_fits(const struct cvvtx_state *s)
{
	bool paging = s->cr0 & X86_CR0_PG;

	if (paging && !(s->cr0 & X86_CR0_PE))
		return false;
	if (s->efer & EFER_LMA)
		return paging && (s->cr4 & X86_CR4_PAE) && (s->efer & EFER_LME);
	return !(paging && (s->efer & EFER_LME));
}

static int check(const struct cvvtx_vm *vm, const struct cvvtx_state *s)
{
	unsigned int i;

	for (i = 0; i < 8; i++)
		if (s->seg[i].reserved[0] || s->seg[i].reserved[1] || s->seg[i].reserved[2])
			return -EINVAL;
	if (s->gdtr.reserved || s->idtr.reserved)
		return -EINVAL;
	if ((s->cr4 & ~(u64)CR4_ALLOWED) || s->cr0 >> 32 || (s->debugctl & ~DEBUGCTL_ALLOWED) || s->tsc_aux >> 32 || !mode_fits(s))
		return -EINVAL;
	if ((s->xcr0 & ~vm->cfg.xcr0_allowed) || !(s->xcr0 & 1) || (s->xcr0 & 6) == 4)
		return -EINVAL;
	return cvvtx_xsave_check(vm, s->xsave);
}

static void write_segments(const struct cvvtx_state *s)
{
	unsigned int i;

	for (i = 0; i < 8; i++) {
		cvvtx_vmwrite(GUEST_ES_SELECTOR + 2 * i, s->seg[i].sel);
		cvvtx_vmwrite(GUEST_ES_LIMIT + 2 * i, s->seg[i].limit);
		cvvtx_vmwrite(GUEST_ES_AR_BYTES + 2 * i, s->seg[i].ar);
		cvvtx_vmwrite(GUEST_ES_BASE + 2 * i, s->seg[i].base);
	}
	cvvtx_vmwrite(GUEST_GDTR_LIMIT, s->gdtr.limit);
	cvvtx_vmwrite(GUEST_IDTR_LIMIT, s->idtr.limit);
}

/*
 * VMX wants NE and VMXE set (under an unrestricted guest nothing else); CD and NW are the process's business, an exit wouldn't
 * restore them. Machine checks are the host's, so they must not shut the CPU down.
 */
static void write_control_registers(struct cvvtx_vm *vm, const struct cvvtx_state *s)
{
	u64 fixed1 = cvvtx_rdmsr(MSR_IA32_VMX_CR4_FIXED1);

	cvvtx_vmwrite(CR0_READ_SHADOW, s->cr0);
	cvvtx_vmwrite(GUEST_CR0, (s->cr0 | X86_CR0_NE) & ~(u64)(X86_CR0_CD | X86_CR0_NW));
	cvvtx_vmwrite(CR4_READ_SHADOW, s->cr4);
	cvvtx_vmwrite(GUEST_CR4, (s->cr4 & fixed1) | X86_CR4_VMXE | X86_CR4_MCE);
}

static bool translations_change(const struct cvvtx_state *s)
{
	return cvvtx_vmread(GUEST_CR3) != s->cr3 || cvvtx_vmread(CR4_READ_SHADOW) != s->cr4 ||
	       cvvtx_vmread(CR0_READ_SHADOW) != s->cr0 || cvvtx_vmread(GUEST_IA32_EFER) != s->efer;
}

int cvvtx_state_set(struct cvvtx_vm *vm, const struct cvvtx_state *s)
{
	struct vmx_msr_entry *m = vm->msrs->guest;
	unsigned int i;
	u32 entry;
	int rc = check(vm, s);

	if (rc)
		return rc;
	preempt_disable();
	cvvtx_vmcs_load(vm);
	if (translations_change(s))
		vm->flush_vpid = true;
	write_segments(s);
	write_control_registers(vm, s);
	for (i = 0; i < ARRAY_SIZE(plain); i++)
		cvvtx_vmwrite(plain[i].field, *field_of((struct cvvtx_state *)s, i));
	entry = s->efer & EFER_LMA ? vm->written.entry | VM_ENTRY_IA32E_MODE : vm->written.entry & ~VM_ENTRY_IA32E_MODE;
	if (entry != vm->written.entry) {
		vm->written.entry = entry;
		cvvtx_vmwrite(VM_ENTRY_CONTROLS, entry);
	}
	preempt_enable();
	m[CVVTX_STAR].value = s->star;
	m[CVVTX_LSTAR].value = s->lstar;
	m[CVVTX_CSTAR].value = s->cstar;
	m[CVVTX_FMASK].value = s->sfmask;
	m[CVVTX_KERNEL_GS].value = s->kernel_gs_base;
	m[CVVTX_AUX].value = s->tsc_aux;
	vm->xcr0 = s->xcr0;
	vm->efer = s->efer;
	memcpy(vm->xsave, s->xsave, sizeof(s->xsave));
	return 0;
}

static void read_segments(struct cvvtx_state *s)
{
	unsigned int i;

	for (i = 0; i < 8; i++) {
		s->seg[i].sel = cvvtx_vmread(GUEST_ES_SELECTOR + 2 * i);
		s->seg[i].limit = cvvtx_vmread(GUEST_ES_LIMIT + 2 * i);
		s->seg[i].ar = cvvtx_vmread(GUEST_ES_AR_BYTES + 2 * i);
		s->seg[i].base = cvvtx_vmread(GUEST_ES_BASE + 2 * i);
	}
	s->gdtr.limit = cvvtx_vmread(GUEST_GDTR_LIMIT);
	s->idtr.limit = cvvtx_vmread(GUEST_IDTR_LIMIT);
}

void cvvtx_state_get(struct cvvtx_vm *vm, struct cvvtx_state *s)
{
	const struct vmx_msr_entry *m = vm->msrs->guest;
	unsigned int i;

	memset(s, 0, sizeof(*s));
	preempt_disable();
	cvvtx_vmcs_load(vm);
	read_segments(s);
	for (i = 0; i < ARRAY_SIZE(plain); i++)
		*field_of(s, i) = cvvtx_vmread(plain[i].field);
	s->cr0 = (cvvtx_vmread(CR0_READ_SHADOW) & ~(u64)CR0_GUEST_OWNED) | (cvvtx_vmread(GUEST_CR0) & CR0_GUEST_OWNED);
	s->cr4 = cvvtx_vmread(CR4_READ_SHADOW);
	preempt_enable();
	s->star = m[CVVTX_STAR].value;
	s->lstar = m[CVVTX_LSTAR].value;
	s->cstar = m[CVVTX_CSTAR].value;
	s->sfmask = m[CVVTX_FMASK].value;
	s->kernel_gs_base = m[CVVTX_KERNEL_GS].value;
	s->tsc_aux = m[CVVTX_AUX].value;
	s->xcr0 = vm->xcr0;
	memcpy(s->xsave, vm->xsave, sizeof(s->xsave));
}
