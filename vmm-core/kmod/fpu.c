/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The guest's context: what VM entry and exit leave alone and the thread must swap. Between cvvtx_context_enter and _leave preemption
 * is off, the guest's FPU state and XCR0 are in the CPU (kernel_fpu_begin keeps everybody else's hands off it), and DR6 is the
 * guest's. Interrupts may be on.
 */
#include <linux/hw_breakpoint.h>
#include <linux/init.h>
#include <linux/jiffies.h>
#include <linux/sched.h>
#include <asm/debugreg.h>
#include <asm/fpu/api.h>
#include <asm/fsgsbase.h>
#include <asm/msr-index.h>

#include "module.h"

#define DR6_IDLE 0xffff0ff0ull

static u64 host_xcr0 __ro_after_init;
static u32 mxcsr_mask __ro_after_init;

/* What is saved and loaded. SSE in any case: without XSAVE a guest may use it by CR4.OSFXSR alone. */
static u32 components(const struct cvvtx_vm *vm)
{
	return (u32)vm->cfg.xcr0_allowed | 3;
}

void __init cvvtx_fpu_init(void)
{
	static struct {
		u8 b[512];
	} image __aligned(64);

	if (boot_cpu_has(X86_FEATURE_OSXSAVE))
		host_xcr0 = cvvtx_get_xcr0();
	kernel_fpu_begin();
	asm volatile("fxsave64 %0" : "=m"(image));
	kernel_fpu_end();
	memcpy(&mxcsr_mask, image.b + 28, sizeof(mxcsr_mask));
	if (!mxcsr_mask)
		mxcsr_mask = 0xffbf; /* SDM 1 11.6.6 */
}

u64 cvvtx_host_xcr0(void)
{
	return host_xcr0;
}

/* Would XRSTOR take it? Standard form, components that the guest may have, no reserved bit of MXCSR. */
int cvvtx_xsave_check(const struct cvvtx_vm *vm, const u8 *image)
{
	u64 header[8];
	u32 mxcsr;
	unsigned int i;

	memcpy(&mxcsr, image + 24, sizeof(mxcsr));
	memcpy(header, image + 512, sizeof(header));
	if ((mxcsr & ~mxcsr_mask) || (header[0] & ~(u64)components(vm)))
		return -EINVAL;
	for (i = 1; i < 8; i++)
		if (header[i])
			return -EINVAL;
	return 0;
}

static void load_fpu(struct cvvtx_vm *vm)
{
	struct image {
		u8 b[832];
	} *image = vm->xsave;

	if (host_xcr0)
		asm volatile("1: xrstor64 %0\n2:\n" _ASM_EXTABLE(1b, 2b)
			     :
			     : "m"(*image), "a"(components(vm)), "d"(0)
			     : "memory");
	else
		asm volatile("1: fxrstor64 %0\n2:\n" _ASM_EXTABLE(1b, 2b) : : "m"(*image) : "memory");
	if (host_xcr0 != vm->xcr0 && host_xcr0)
		cvvtx_set_xcr0(vm->xcr0);
}

static void save_fpu(struct cvvtx_vm *vm)
{
	struct image {
		u8 b[832];
	} *image = vm->xsave;

	if (host_xcr0 != vm->xcr0 && host_xcr0)
		cvvtx_set_xcr0(host_xcr0);
	if (host_xcr0)
		asm volatile("xsave64 %0" : "+m"(*image) : "a"(components(vm)), "d"(0) : "memory");
	else
		asm volatile("fxsave64 %0" : "+m"(*image) : : "memory");
}

static u64 fs_base(void)
{
	u64 v;

	if (!boot_cpu_has(X86_FEATURE_FSGSBASE))
		return cvvtx_rdmsr(MSR_FS_BASE);
	asm volatile("rdfsbase %0" : "=r"(v));
	return v;
}

/* The part of the host's state that belongs to this thread. */
static void note_host_thread(struct cvvtx_vm *vm)
{
	asm volatile("mov %%ds, %0" : "=rm"(vm->sel_ds));
	asm volatile("mov %%es, %0" : "=rm"(vm->sel_es));
	asm volatile("mov %%fs, %0" : "=rm"(vm->sel_fs));
	asm volatile("mov %%gs, %0" : "=rm"(vm->sel_gs));
	asm volatile("sldt %0" : "=rm"(vm->sel_ldt));
	vm->fs_base = fs_base();
	vm->kernel_gs_base = cvvtx_rdmsr(MSR_KERNEL_GS_BASE);
	vm->msrs->host[CVVTX_KERNEL_GS].value = vm->kernel_gs_base;
	if (vm->fs_base != vm->written.host_fs_base) {
		vm->written.host_fs_base = vm->fs_base;
		cvvtx_vmwrite(HOST_FS_BASE, vm->fs_base);
	}
	vm->host_debugctl = cvvtx_rdmsr(MSR_IA32_DEBUGCTLMSR);
}

/* Exits have cleared selectors, and left descriptor tables with wide limits. */
static void restore_host_thread(struct cvvtx_vm *vm)
{
	unsigned long flags;

	native_load_gdt(&vm->gdt);
	invalidate_tss_limit();
	if (vm->sel_ldt)
		asm volatile("lldt %0" : : "rm"(vm->sel_ldt));
	if (vm->sel_ds | vm->sel_es) {
		loadsegment(ds, vm->sel_ds);
		loadsegment(es, vm->sel_es);
	}
	if (vm->sel_fs) {
		loadsegment(fs, vm->sel_fs);
		cvvtx_wrmsr(MSR_FS_BASE, vm->fs_base);
	}
	if (vm->sel_gs) {
		local_irq_save(flags);
		load_gs_index(vm->sel_gs);
		cvvtx_wrmsr(MSR_KERNEL_GS_BASE, vm->kernel_gs_base);
		local_irq_restore(flags);
	}
}

/* Preemption may be on; interrupts must be. */
void cvvtx_context_enter(struct cvvtx_vm *vm)
{
	preempt_disable();
	cvvtx_vmcs_load(vm);
	note_host_thread(vm);
	kernel_fpu_begin();
	load_fpu(vm);
	if (hw_breakpoint_active())
		cvvtx_write_dr(7, 0x400);
	if (vm->dr6 != DR6_IDLE)
		cvvtx_write_dr(6, vm->dr6);
	vm->since = jiffies;
}

void cvvtx_context_leave(struct cvvtx_vm *vm)
{
	vm->dr6 = cvvtx_read_dr6();
	if (vm->dr6 != DR6_IDLE)
		cvvtx_write_dr(6, DR6_IDLE);
	if (hw_breakpoint_active())
		hw_breakpoint_restore();
	save_fpu(vm);
	kernel_fpu_end();
	restore_host_thread(vm);
	preempt_enable();
}
