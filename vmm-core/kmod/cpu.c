/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * VMX on and off. VMX is on, on all online CPUs, for as long as at least one machine exists; else another hypervisor may have it. A CPU
 * that comes online meanwhile gets it too, and none may go offline. Suspending is refused while machines exist; a reboot turns VMX
 * off and ends all RUNs.
 *
 * Locks: vmx.lock is taken before the CPU hotplug lock. vmx.users changes under both, so that a hotplug callback may read it.
 */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/notifier.h>
#include <linux/reboot.h>
#include <linux/sched/signal.h>
#include <linux/suspend.h>
#include <asm/msr-index.h>
#include <asm/tlbflush.h>

#include "module.h"

struct cvvtx_info cvvtx_caps;
u64 cvvtx_overhead;
DEFINE_PER_CPU(struct cvvtx_vm *, cvvtx_current);
static DEFINE_PER_CPU(unsigned long, vmxon_page);
static DEFINE_PER_CPU(bool, vmx_on);

static struct {
	struct mutex lock;
	unsigned int users;
	bool suspending, rebooting;
	int hotplug_state;
	u32 refused; /* what never changes */
	bool timer_tried;
} vmx = { .lock = __MUTEX_INITIALIZER(vmx.lock) };

/* --- What this CPU has --- */

static u32 lasting_refusals(void)
{
	const struct cvvtx_info *c = &cvvtx_caps;
	u32 no = 0;
	bool ept = (c->ept_vpid & VMX_EPT_PAGE_WALK_4_BIT) && (c->ept_vpid & VMX_EPTP_WB_BIT) &&
		   (c->ept_vpid & VMX_EPT_INVEPT_BIT) && (c->ept_vpid & VMX_EPT_EXTENT_CONTEXT_BIT);
	u32 entry = VM_ENTRY_LOAD_IA32_EFER | VM_ENTRY_LOAD_IA32_PAT;
	u32 exit = VM_EXIT_LOAD_IA32_EFER | VM_EXIT_LOAD_IA32_PAT;

	if (!ept || !cvvtx_can(c->proc2, SECONDARY_EXEC_ENABLE_EPT))
		no |= CVVTX_NO_EPT;
	if (!cvvtx_can(c->proc2, SECONDARY_EXEC_UNRESTRICTED_GUEST))
		no |= CVVTX_NO_UNRESTRICTED;
	if (!cvvtx_can(c->proc, CPU_BASED_RDTSC_EXITING | CPU_BASED_RDPMC_EXITING))
		no |= CVVTX_NO_RDTSC_EXITING;
	if (!cvvtx_can(c->proc, CPU_BASED_USE_MSR_BITMAPS | CPU_BASED_UNCOND_IO_EXITING | CPU_BASED_MOV_DR_EXITING))
		no |= CVVTX_NO_MSR_BITMAP;
	if (!cvvtx_can(c->pin, PIN_BASED_NMI_EXITING | PIN_BASED_VIRTUAL_NMIS | PIN_BASED_EXT_INTR_MASK) ||
	    !cvvtx_can(c->proc, CPU_BASED_NMI_WINDOW_EXITING))
		no |= CVVTX_NO_NMI;
	if (!cvvtx_can(c->entry, entry) || !cvvtx_can(c->exit, exit))
		no |= CVVTX_NO_EFER;
	if ((boot_cpu_has(X86_FEATURE_RDRAND) && !cvvtx_can(c->proc2, SECONDARY_EXEC_RDRAND_EXITING)) ||
	    (boot_cpu_has(X86_FEATURE_RDSEED) && !cvvtx_can(c->proc2, SECONDARY_EXEC_RDSEED_EXITING)))
		no |= CVVTX_NO_RDRAND_EXITING;
	if (!(c->features & CVVTX_HAS_VPID))
		no |= CVVTX_NO_VPID;
	if (!cvvtx_can(c->proc2, SECONDARY_EXEC_DESC))
		no |= CVVTX_NO_DTABLE;
	if (cvvtx_read_cr4() & CVVTX_CR4_FRED)
		no |= CVVTX_NO_FRED;
	return no;
}

static u32 features(const struct cvvtx_info *c)
{
	u32 f = 0;

	if (cvvtx_can(c->proc, CPU_BASED_MONITOR_TRAP_FLAG))
		f |= CVVTX_HAS_MTF;
	if (cvvtx_can(c->pin, PIN_BASED_VMX_PREEMPTION_TIMER) && cvvtx_can(c->exit, VM_EXIT_SAVE_VMX_PREEMPTION_TIMER))
		f |= CVVTX_HAS_PREEMPTION_TIMER;
	if (cvvtx_pmu_possible())
		f |= CVVTX_HAS_PMU;
	if (c->ept_vpid & VMX_EPT_2MB_PAGE_BIT)
		f |= CVVTX_HAS_EPT_2M;
	if (c->ept_vpid & VMX_EPT_AD_BIT)
		f |= CVVTX_HAS_EPT_AD;
	if (cvvtx_can(c->proc2, SECONDARY_EXEC_ENABLE_PML))
		f |= CVVTX_HAS_PML;
	/* The kernel's names for the INVVPID bits are relative to the upper half. */
	if (cvvtx_can(c->proc2, SECONDARY_EXEC_ENABLE_VPID) && (c->ept_vpid >> 32 & VMX_VPID_INVVPID_BIT) &&
	    (c->ept_vpid >> 32 & VMX_VPID_EXTENT_SINGLE_CONTEXT_BIT))
		f |= CVVTX_HAS_VPID;
	if (boot_cpu_has(X86_FEATURE_INVPCID) && cvvtx_can(c->proc2, SECONDARY_EXEC_ENABLE_INVPCID))
		f |= CVVTX_HAS_INVPCID;
	if (boot_cpu_has(X86_FEATURE_RDTSCP) && cvvtx_can(c->proc2, SECONDARY_EXEC_ENABLE_RDTSCP))
		f |= CVVTX_HAS_RDTSCP;
	if (boot_cpu_has(X86_FEATURE_OSXSAVE))
		f |= CVVTX_HAS_XSAVE;
	if (boot_cpu_has(X86_FEATURE_OSXSAVE) && (cvvtx_host_xcr0() & 7) == 7)
		f |= CVVTX_HAS_AVX;
	return f;
}

/* Fills cvvtx_caps and vmx.refused. A CPU without VMX leaves all 0 but the refusal. */
static void find_capabilities(void)
{
	struct cvvtx_info *c = &cvvtx_caps;
	u64 control;
	bool exact;

	c->version = CVVTX_ABI_VERSION;
	/* The kernel forgets the feature where the BIOS has turned it off: ask the CPU. */
	if (boot_cpu_data.x86_vendor != X86_VENDOR_INTEL || !(cpuid_ecx(1) & (1u << 5))) {
		vmx.refused = CVVTX_NO_VMX;
		return;
	}
	control = cvvtx_rdmsr_safe(MSR_IA32_FEAT_CTL);
	if (!(control & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX) || !(control & FEAT_CTL_LOCKED))
		vmx.refused |= CVVTX_NO_BIOS;
	c->vmx_basic = cvvtx_rdmsr_safe(MSR_IA32_VMX_BASIC);
	exact = c->vmx_basic >> 55 & 1;
	c->pin = cvvtx_rdmsr_safe(exact ? MSR_IA32_VMX_TRUE_PINBASED_CTLS : MSR_IA32_VMX_PINBASED_CTLS);
	c->proc = cvvtx_rdmsr_safe(exact ? MSR_IA32_VMX_TRUE_PROCBASED_CTLS : MSR_IA32_VMX_PROCBASED_CTLS);
	c->exit = cvvtx_rdmsr_safe(exact ? MSR_IA32_VMX_TRUE_EXIT_CTLS : MSR_IA32_VMX_EXIT_CTLS);
	c->entry = cvvtx_rdmsr_safe(exact ? MSR_IA32_VMX_TRUE_ENTRY_CTLS : MSR_IA32_VMX_ENTRY_CTLS);
	c->misc = cvvtx_rdmsr_safe(MSR_IA32_VMX_MISC);
	if (cvvtx_can(c->proc, CPU_BASED_ACTIVATE_SECONDARY_CONTROLS))
		c->proc2 = cvvtx_rdmsr_safe(MSR_IA32_VMX_PROCBASED_CTLS2);
	if (cvvtx_can(c->proc2, SECONDARY_EXEC_ENABLE_EPT) || cvvtx_can(c->proc2, SECONDARY_EXEC_ENABLE_VPID))
		c->ept_vpid = cvvtx_rdmsr_safe(MSR_IA32_VMX_EPT_VPID_CAP);
	c->features = features(c);
	vmx.refused |= lasting_refusals();
}

/* --- On and off, on this CPU, interrupts off --- */

static int vmxon(u64 pa)
{
	u8 failed = 1;

	asm volatile("1: vmxon %[pa]\n\tsetna %[failed]\n2:\n" _ASM_EXTABLE(1b, 2b)
		     : [failed] "+qm"(failed)
		     : [pa] "m"(pa)
		     : "cc", "memory");
	return failed ? -EIO : 0;
}

static int turn_on(void)
{
	unsigned long page = __this_cpu_read(vmxon_page);

	if (__this_cpu_read(vmx_on))
		return 0;
	if (cvvtx_read_cr4() & X86_CR4_VMXE)
		return -EBUSY;
	*(u32 *)page = vmx_basic_vmcs_revision_id(cvvtx_caps.vmx_basic);
	cr4_set_bits(X86_CR4_VMXE);
	if (vmxon(__pa(page))) {
		cr4_clear_bits(X86_CR4_VMXE);
		return -EIO;
	}
	__this_cpu_write(cvvtx_current, NULL);
	__this_cpu_write(vmx_on, true);
	return 0;
}

static void turn_off(void)
{
	if (!__this_cpu_read(vmx_on))
		return;
	__this_cpu_write(vmx_on, false);
	__this_cpu_write(cvvtx_current, NULL);
	asm volatile("1: vmxoff\n2:\n" _ASM_EXTABLE(1b, 2b) : : : "cc", "memory");
	cr4_clear_bits(X86_CR4_VMXE);
}

bool cvvtx_vmx_is_on(void)
{
	return __this_cpu_read(vmx_on);
}

static void turn_on_here(void *failures)
{
	if (turn_on())
		atomic_inc(failures);
}

static void turn_off_here(void *unused)
{
	turn_off();
}

static void look_for_other(void *found)
{
	if (!__this_cpu_read(vmx_on) && (cvvtx_read_cr4() & X86_CR4_VMXE))
		atomic_inc(found);
}

/* --- Users --- */

static bool enough(u32 refused)
{
	return !(refused & ~(CVVTX_NO_VPID | CVVTX_NO_DTABLE));
}

static int get_locked(void)
{
	atomic_t failures = ATOMIC_INIT(0);
	int rc = 0;

	if (!enough(vmx.refused))
		return -ENODEV;
	if (vmx.suspending || vmx.rebooting)
		return -EBUSY;
	cpus_read_lock();
	if (!vmx.users) {
		on_each_cpu(turn_on_here, &failures, 1);
		if (atomic_read(&failures)) {
			on_each_cpu(turn_off_here, NULL, 1);
			rc = -EBUSY;
		}
	}
	if (!rc)
		vmx.users++;
	cpus_read_unlock();
	return rc;
}

static void put_locked(void)
{
	cpus_read_lock();
	if (!--vmx.users)
		on_each_cpu(turn_off_here, NULL, 1);
	cpus_read_unlock();
}

/* Once, as soon as VMX can be had: does the timer count instructions? */
static void try_timer(void)
{
	u32 need = CVVTX_HAS_PREEMPTION_TIMER | CVVTX_HAS_RDTSCP;

	if (vmx.timer_tried || (cvvtx_caps.features & need) != need || signal_pending(current))
		return;
	if (get_locked())
		return;
	cvvtx_overhead = cvvtx_exact_timer();
	if (cvvtx_overhead)
		cvvtx_caps.features |= CVVTX_HAS_EXACT_TIMER;
	/* A signal cuts the test short. */
	vmx.timer_tried = cvvtx_overhead || !signal_pending(current);
	put_locked();
}

int cvvtx_vmx_get(void)
{
	int rc;

	mutex_lock(&vmx.lock);
	try_timer();
	rc = get_locked();
	mutex_unlock(&vmx.lock);
	return rc;
}

void cvvtx_vmx_put(void)
{
	mutex_lock(&vmx.lock);
	put_locked();
	mutex_unlock(&vmx.lock);
}

u32 cvvtx_refused(void)
{
	atomic_t found = ATOMIC_INIT(0);
	u32 refused;

	mutex_lock(&vmx.lock);
	refused = vmx.refused;
	if (!(refused & CVVTX_NO_VMX)) {
		cpus_read_lock();
		on_each_cpu(look_for_other, &found, 1);
		cpus_read_unlock();
		if (atomic_read(&found))
			refused |= CVVTX_NO_OTHER;
	}
	if (enough(refused))
		try_timer();
	mutex_unlock(&vmx.lock);
	return refused;
}

/* --- Hotplug, suspend, reboot --- */

static int cpu_online_callback(unsigned int cpu)
{
	unsigned long flags;
	int rc = 0;

	if (!vmx.users)
		return 0;
	local_irq_save(flags);
	rc = turn_on();
	local_irq_restore(flags);
	return rc;
}

static int cpu_offline_callback(unsigned int cpu)
{
	return vmx.users ? -EBUSY : 0;
}

static int on_suspend(struct notifier_block *nb, unsigned long event, void *unused)
{
	int rc = NOTIFY_DONE;

	mutex_lock(&vmx.lock);
	if (event == PM_SUSPEND_PREPARE || event == PM_HIBERNATION_PREPARE || event == PM_RESTORE_PREPARE) {
		if (vmx.users)
			rc = NOTIFY_BAD;
		else
			vmx.suspending = true;
	} else {
		vmx.suspending = false;
	}
	mutex_unlock(&vmx.lock);
	return rc;
}

static int on_reboot(struct notifier_block *nb, unsigned long event, void *unused)
{
	mutex_lock(&vmx.lock);
	vmx.rebooting = true;
	cpus_read_lock();
	on_each_cpu(turn_off_here, NULL, 1);
	cpus_read_unlock();
	mutex_unlock(&vmx.lock);
	return NOTIFY_OK;
}

static struct notifier_block suspend_notifier = { .notifier_call = on_suspend };
static struct notifier_block reboot_notifier = { .notifier_call = on_reboot };

static void free_pages_of_cpus(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		free_page(per_cpu(vmxon_page, cpu));
		per_cpu(vmxon_page, cpu) = 0;
	}
}

int cvvtx_cpu_init(void)
{
	int cpu, rc;

	find_capabilities();
	for_each_possible_cpu(cpu) {
		per_cpu(vmxon_page, cpu) = get_zeroed_page(GFP_KERNEL);
		if (!per_cpu(vmxon_page, cpu)) {
			free_pages_of_cpus();
			return -ENOMEM;
		}
	}
	rc = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "chronovisor/vtx:online", cpu_online_callback, cpu_offline_callback);
	if (rc < 0)
		goto out_pages;
	vmx.hotplug_state = rc;
	rc = register_pm_notifier(&suspend_notifier);
	if (rc)
		goto out_hotplug;
	rc = register_reboot_notifier(&reboot_notifier);
	if (!rc)
		return 0;
	unregister_pm_notifier(&suspend_notifier);
out_hotplug:
	cpuhp_remove_state_nocalls(vmx.hotplug_state);
out_pages:
	free_pages_of_cpus();
	return rc;
}

/* No machine exists any more. */
void cvvtx_cpu_exit(void)
{
	unregister_reboot_notifier(&reboot_notifier);
	unregister_pm_notifier(&suspend_notifier);
	cpuhp_remove_state_nocalls(vmx.hotplug_state);
	free_pages_of_cpus();
}
