/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A machine's VMCS: which exits there are, and the host's state.
 *
 * Everything that could show the host's time, chance or identity to the guest exits, and so does what the process's devices answer;
 * see docs/vtx-determinism.md. What stays the same for a machine's whole life is written once; what belongs to a CPU when the
 * machine comes to that CPU; what belongs to the thread when it enters the guest's context (fpu.c).
 */
#include <linux/gfp.h>
#include <linux/idr.h>
#include <linux/io.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/vmalloc.h>
#include <asm/msr-index.h>
#include <asm/tsc.h>

#include "module.h"

static DEFINE_IDA(vpids);

static const u32 swapped[CVVTX_MSRS] = {
	[CVVTX_STAR] = MSR_STAR,	  [CVVTX_LSTAR] = MSR_LSTAR,
	[CVVTX_CSTAR] = MSR_CSTAR,	  [CVVTX_FMASK] = MSR_SYSCALL_MASK,
	[CVVTX_KERNEL_GS] = MSR_KERNEL_GS_BASE, [CVVTX_AUX] = MSR_TSC_AUX,
	[CVVTX_TSX] = MSR_IA32_TSX_CTRL,
};

/* MSRs that the guest reads and writes itself: swapped by VMCS fields or the lists above. All others exit. */
static const u32 own_msrs[] = {
	MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP, MSR_STAR,	 MSR_LSTAR,
	MSR_CSTAR,	      MSR_SYSCALL_MASK,	     MSR_FS_BASE,	    MSR_GS_BASE, MSR_KERNEL_GS_BASE,
};

static bool has_tsx_control(void)
{
	return boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES) && (cvvtx_rdmsr(MSR_IA32_ARCH_CAPABILITIES) & ARCH_CAP_TSX_CTRL_MSR);
}

static unsigned int nswapped(const struct cvvtx_vm *vm)
{
	if (!(cvvtx_caps.features & CVVTX_HAS_RDTSCP))
		return CVVTX_AUX;
	return vm->tsx_off ? CVVTX_MSRS : CVVTX_TSX;
}

/* --- VMX instructions --- */

static void vmclear(u64 pa)
{
	asm volatile("1: vmclear %0\n2:\n" _ASM_EXTABLE(1b, 2b) : : "m"(pa) : "cc", "memory");
}

static void vmptrld(u64 pa)
{
	asm volatile("1: vmptrld %0\n2:\n" _ASM_EXTABLE(1b, 2b) : : "m"(pa) : "cc", "memory");
}

struct invalidation {
	u64 context, address;
};

static void invept(u64 eptp)
{
	struct invalidation what = { eptp, 0 };

	asm volatile("1: invept %0, %1\n2:\n" _ASM_EXTABLE(1b, 2b) : : "m"(what), "r"((u64)VMX_EPT_EXTENT_CONTEXT) : "cc", "memory");
}

static void invvpid(u16 vpid)
{
	struct invalidation what = { vpid, 0 };

	asm volatile("1: invvpid %0, %1\n2:\n" _ASM_EXTABLE(1b, 2b)
		     :
		     : "m"(what), "r"((u64)VMX_VPID_EXTENT_SINGLE_CONTEXT)
		     : "cc", "memory");
}

void cvvtx_flush(struct cvvtx_vm *vm)
{
	if (vm->flush_ept)
		invept(cvvtx_eptp(vm));
	if (vm->flush_vpid && vm->vpid)
		invvpid(vm->vpid);
	vm->flush_ept = vm->flush_vpid = false;
}

/* --- The VMCS on a CPU --- */

static u64 tss_base(const struct desc_ptr *gdt, u16 tr)
{
	const struct ldttss_desc *d = (void *)(gdt->address + (tr & ~7));

	return d->base0 | (u64)d->base1 << 16 | (u64)d->base2 << 24 | (u64)d->base3 << 32;
}

/* The part of the host's state that belongs to this CPU. */
static void write_host_cpu(struct cvvtx_vm *vm)
{
	struct desc_ptr idt;
	unsigned int i;
	u16 tr;

	native_store_gdt(&vm->gdt);
	store_idt(&idt);
	asm volatile("str %0" : "=r"(tr));
	cvvtx_vmwrite(HOST_CR0, read_cr0() & ~X86_CR0_TS);
	cvvtx_vmwrite(HOST_TR_SELECTOR, tr);
	cvvtx_vmwrite(HOST_TR_BASE, tss_base(&vm->gdt, tr));
	cvvtx_vmwrite(HOST_GDTR_BASE, vm->gdt.address);
	cvvtx_vmwrite(HOST_IDTR_BASE, idt.address);
	cvvtx_vmwrite(HOST_GS_BASE, cvvtx_rdmsr(MSR_GS_BASE));
	cvvtx_vmwrite(HOST_IA32_SYSENTER_CS, cvvtx_rdmsr(MSR_IA32_SYSENTER_CS));
	cvvtx_vmwrite(HOST_IA32_SYSENTER_ESP, cvvtx_rdmsr(MSR_IA32_SYSENTER_ESP));
	cvvtx_vmwrite(HOST_IA32_SYSENTER_EIP, cvvtx_rdmsr(MSR_IA32_SYSENTER_EIP));
	cvvtx_vmwrite(HOST_IA32_EFER, cvvtx_rdmsr(MSR_EFER));
	cvvtx_vmwrite(HOST_IA32_PAT, cvvtx_rdmsr(MSR_IA32_CR_PAT));
	for (i = 0; i < nswapped(vm); i++)
		vm->msrs->host[i].value = cvvtx_rdmsr(swapped[i]);
	vm->written.host_cr3 = cvvtx_read_cr3();
	cvvtx_vmwrite(HOST_CR3, vm->written.host_cr3);
	vm->written.host_cr4 = cvvtx_read_cr4();
	cvvtx_vmwrite(HOST_CR4, vm->written.host_cr4);
	vm->written.host_fs_base = cvvtx_rdmsr(MSR_FS_BASE);
	cvvtx_vmwrite(HOST_FS_BASE, vm->written.host_fs_base);
}

static void clear_here(void *p)
{
	struct cvvtx_vm *vm = p;

	if (cvvtx_vmx_is_on())
		vmclear(page_to_phys(vm->vmcs));
	if (__this_cpu_read(cvvtx_current) == vm)
		__this_cpu_write(cvvtx_current, NULL);
	vm->cpu = -1;
	vm->launched = false;
}

static void vmcs_clear(struct cvvtx_vm *vm)
{
	if (vm->cpu >= 0)
		smp_call_function_single(vm->cpu, clear_here, vm, 1);
}

/* Makes the machine's VMCS this CPU's current one. Preemption is off, interrupts are on. */
void cvvtx_vmcs_load(struct cvvtx_vm *vm)
{
	int cpu = smp_processor_id();
	unsigned long flags;

	if (likely(vm->cpu == cpu && __this_cpu_read(cvvtx_current) == vm))
		return;
	if (vm->cpu != cpu)
		vmcs_clear(vm);
	local_irq_save(flags);
	vmptrld(page_to_phys(vm->vmcs));
	__this_cpu_write(cvvtx_current, vm);
	if (vm->cpu != cpu) {
		vm->cpu = cpu;
		write_host_cpu(vm);
		/* What this CPU remembers of the machine, or of one before it, may be out of date. */
		vm->flush_ept = vm->flush_vpid = true;
	}
	local_irq_restore(flags);
}

/* --- Set-up --- */

static void write_controls(struct cvvtx_vm *vm)
{
	const struct cvvtx_info *c = &cvvtx_caps;
	struct cvvtx_written *w = &vm->written;

	w->pin = cvvtx_allowed(PIN_BASED_EXT_INTR_MASK | PIN_BASED_NMI_EXITING | PIN_BASED_VIRTUAL_NMIS |
				       (c->features & CVVTX_HAS_PREEMPTION_TIMER ? PIN_BASED_VMX_PREEMPTION_TIMER : 0),
			       c->pin);
	w->proc = cvvtx_allowed(CPU_BASED_HLT_EXITING | CPU_BASED_MWAIT_EXITING | CPU_BASED_RDPMC_EXITING |
					CPU_BASED_RDTSC_EXITING | CPU_BASED_CR8_LOAD_EXITING | CPU_BASED_CR8_STORE_EXITING |
					CPU_BASED_MOV_DR_EXITING | CPU_BASED_UNCOND_IO_EXITING | CPU_BASED_USE_MSR_BITMAPS |
					CPU_BASED_MONITOR_EXITING | CPU_BASED_ACTIVATE_SECONDARY_CONTROLS,
				c->proc);
	w->proc2 = cvvtx_allowed(SECONDARY_EXEC_ENABLE_EPT | SECONDARY_EXEC_UNRESTRICTED_GUEST | SECONDARY_EXEC_WBINVD_EXITING |
					 SECONDARY_EXEC_RDRAND_EXITING | SECONDARY_EXEC_RDSEED_EXITING |
					 SECONDARY_EXEC_ENCLS_EXITING | (vm->vpid ? SECONDARY_EXEC_ENABLE_VPID : 0) |
					 (c->features & CVVTX_HAS_RDTSCP ? SECONDARY_EXEC_ENABLE_RDTSCP : 0) |
					 (c->features & CVVTX_HAS_INVPCID ? SECONDARY_EXEC_ENABLE_INVPCID : 0),
				 c->proc2);
	w->entry = cvvtx_allowed(VM_ENTRY_LOAD_DEBUG_CONTROLS | VM_ENTRY_LOAD_IA32_EFER | VM_ENTRY_LOAD_IA32_PAT, c->entry);
	w->exceptions = 1u << X86_TRAP_MC;
	cvvtx_vmwrite(PIN_BASED_VM_EXEC_CONTROL, w->pin);
	cvvtx_vmwrite(CPU_BASED_VM_EXEC_CONTROL, w->proc);
	cvvtx_vmwrite(SECONDARY_VM_EXEC_CONTROL, w->proc2);
	cvvtx_vmwrite(VM_ENTRY_CONTROLS, w->entry);
	cvvtx_vmwrite(VM_EXIT_CONTROLS, cvvtx_allowed(VM_EXIT_SAVE_DEBUG_CONTROLS | VM_EXIT_HOST_ADDR_SPACE_SIZE |
							      VM_EXIT_LOAD_IA32_EFER | VM_EXIT_LOAD_IA32_PAT |
							      (vm->ticks ? VM_EXIT_SAVE_VMX_PREEMPTION_TIMER : 0),
						      c->exit));
	vm->slice = min_t(u64, (u64)tsc_khz * 10 >> (c->misc & 31), U32_MAX);
	if (w->pin & PIN_BASED_VMX_PREEMPTION_TIMER) {
		w->timer = vm->slice;
		cvvtx_vmwrite(VMX_PREEMPTION_TIMER_VALUE, w->timer);
	}
	cvvtx_vmwrite(EXCEPTION_BITMAP, w->exceptions);
	cvvtx_vmwrite(PAGE_FAULT_ERROR_CODE_MASK, 0);
	cvvtx_vmwrite(PAGE_FAULT_ERROR_CODE_MATCH, 0);
	cvvtx_vmwrite(CR3_TARGET_COUNT, 0);
	/* All of CR0 but TS, MP, EM, AM and WP, and all of CR4, belong to the process. */
	cvvtx_vmwrite(CR0_GUEST_HOST_MASK, ~(u64)(X86_CR0_TS | X86_CR0_MP | X86_CR0_EM | X86_CR0_AM | X86_CR0_WP));
	cvvtx_vmwrite(CR4_GUEST_HOST_MASK, ~0ull);
	if (w->proc2 & SECONDARY_EXEC_ENCLS_EXITING)
		cvvtx_vmwrite(ENCLS_EXITING_BITMAP, ~0ull);
}

static void write_host_fixed(void)
{
	cvvtx_vmwrite(HOST_CS_SELECTOR, __KERNEL_CS);
	cvvtx_vmwrite(HOST_SS_SELECTOR, __KERNEL_DS);
	cvvtx_vmwrite(HOST_DS_SELECTOR, 0);
	cvvtx_vmwrite(HOST_ES_SELECTOR, 0);
	cvvtx_vmwrite(HOST_FS_SELECTOR, 0);
	cvvtx_vmwrite(HOST_GS_SELECTOR, 0);
	cvvtx_vmwrite(HOST_RIP, (u64)cvvtx_exited);
}

static void write_pointers(struct cvvtx_vm *vm)
{
	unsigned int branches = vm->cfg.counter == CVVTX_COUNTER_PMU;

	cvvtx_vmwrite(VMCS_LINK_POINTER, ~0ull);
	cvvtx_vmwrite(MSR_BITMAP, __pa(vm->msr_bitmap));
	cvvtx_vmwrite(EPT_POINTER, cvvtx_eptp(vm));
	if (vm->vpid)
		cvvtx_vmwrite(VIRTUAL_PROCESSOR_ID, vm->vpid);
	cvvtx_vmwrite(VM_ENTRY_MSR_LOAD_ADDR, __pa(vm->msrs->guest));
	cvvtx_vmwrite(VM_EXIT_MSR_STORE_ADDR, __pa(vm->msrs->guest));
	cvvtx_vmwrite(VM_EXIT_MSR_LOAD_ADDR, __pa(vm->msrs->host));
	cvvtx_vmwrite(VM_ENTRY_MSR_LOAD_COUNT, nswapped(vm) + branches);
	cvvtx_vmwrite(VM_EXIT_MSR_STORE_COUNT, nswapped(vm) + vm->ticks);
	cvvtx_vmwrite(VM_EXIT_MSR_LOAD_COUNT, nswapped(vm) + branches);
}

/* MSR bitmap (SDM 3C 24.6.9): reads of 0..1FFFh, reads of C0000000h.., writes likewise; a 1 exits. */
static void fill_msr_bitmap(void *bitmap)
{
	unsigned int i;

	memset(bitmap, 0xff, PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(own_msrs); i++) {
		u32 msr = own_msrs[i], bit = msr & 0x1fff, half = msr & 0x80000000 ? 0x400 : 0;
		u8 *p = (u8 *)bitmap + half + bit / 8;

		p[0] &= ~(1u << bit % 8);
		p[0x800] &= ~(1u << bit % 8);
	}
}

static int allocate(struct cvvtx_vm *vm)
{
	unsigned int i;
	int id;

	vm->cpu = -1;
	vm->vmcs = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	vm->msr_bitmap = (void *)__get_free_page(GFP_KERNEL_ACCOUNT);
	vm->msrs = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	vm->xsave = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	vm->state = kzalloc(sizeof(*vm->state), GFP_KERNEL_ACCOUNT);
	vm->shared = vmalloc_user(CVVTX_MMAP_SIZE);
	if (!vm->vmcs || !vm->msr_bitmap || !vm->msrs || !vm->xsave || !vm->state || !vm->shared)
		return -ENOMEM;
	vm->run = vm->shared + CVVTX_MMAP_RUN;
	vm->ring = vm->shared + CVVTX_MMAP_RING;
	vm->dirty = vm->shared + CVVTX_MMAP_DIRTY;
	for (i = 0; i < CVVTX_MSRS; i++)
		vm->msrs->guest[i].index = vm->msrs->host[i].index = swapped[i];
	/* A transaction may abort at any time: a guest that begins one unasked sees it abort always. */
	vm->tsx_off = has_tsx_control();
	vm->msrs->guest[CVVTX_TSX].value = TSX_CTRL_RTM_DISABLE;
	vm->tsc_at_exit = vm->pmu.guest = &vm->msrs->guest[nswapped(vm)];
	vm->pmu.host = &vm->msrs->host[nswapped(vm)];
	if (vm->cfg.counter == CVVTX_COUNTER_PMU)
		vm->pmu.guest->index = vm->pmu.host->index = MSR_CORE_PERF_GLOBAL_CTRL;
	if (vm->ticks || cvvtx_overhead)
		vm->tsc_at_exit->index = MSR_IA32_TSC;
	vm->overhead = cvvtx_overhead;
	vm->ticks |= cvvtx_overhead != 0;
	if (cvvtx_caps.features & CVVTX_HAS_VPID) {
		id = ida_alloc_range(&vpids, 1, 0xffff, GFP_KERNEL);
		if (id < 0)
			return id;
		vm->vpid = id;
	}
	return 0;
}

/* Makes a machine of a zeroed struct with `cfg`. After an error, release. */
int cvvtx_vm_init(struct cvvtx_vm *vm)
{
	int rc = allocate(vm);

	if (rc)
		return rc;
	rc = cvvtx_ept_init(vm);
	if (rc)
		return rc;
	fill_msr_bitmap(vm->msr_bitmap);
	*(u32 *)page_address(vm->vmcs) = vmx_basic_vmcs_revision_id(cvvtx_caps.vmx_basic);
	preempt_disable();
	vmclear(page_to_phys(vm->vmcs));
	cvvtx_vmcs_load(vm);
	write_controls(vm);
	write_host_fixed();
	write_pointers(vm);
	preempt_enable();
	cvvtx_state_reset(vm, vm->state);
	return cvvtx_state_set(vm, vm->state);
}

void cvvtx_vm_release(struct cvvtx_vm *vm)
{
	if (vm->vmcs)
		vmcs_clear(vm);
	cvvtx_ept_release(vm);
	if (vm->vpid)
		ida_free(&vpids, vm->vpid);
	vfree(vm->shared);
	kfree(vm->state);
	free_page((unsigned long)vm->xsave);
	free_page((unsigned long)vm->msrs);
	free_page((unsigned long)vm->msr_bitmap);
	if (vm->vmcs)
		__free_page(vm->vmcs);
}
