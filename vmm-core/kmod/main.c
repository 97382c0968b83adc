/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * chronovisor_vtx: guests on Intel VT-x for a record and replay machine monitor. This file: the device, and what its callers may ask.
 */
#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "module.h"

#define RAM_MAX (16ull << 30)
#define RAM_UNIT (1ull << 20)
#define RAM_LOW_MAX (3ull << 30)

/* An open file. `vm` appears once and stays. */
struct handle {
	struct mutex lock;
	struct cvvtx_vm *vm;
};

static int cvvtx_open(struct inode *inode, struct file *file)
{
	struct handle *h = kzalloc(sizeof(*h), GFP_KERNEL_ACCOUNT);

	if (!h)
		return -ENOMEM;
	mutex_init(&h->lock);
	file->private_data = h;
	return 0;
}

static void destroy(struct cvvtx_vm *vm)
{
	cvvtx_pmu_release(vm);
	cvvtx_vm_release(vm);
	cvvtx_vmx_put();
	mmdrop(vm->mm);
	kfree(vm);
}

static int cvvtx_release(struct inode *inode, struct file *file)
{
	struct handle *h = file->private_data;

	if (h->vm)
		destroy(h->vm);
	kfree(h);
	return 0;
}

static long info(void __user *arg)
{
	struct cvvtx_info in, out;

	if (copy_from_user(&in, arg, sizeof(in)))
		return -EFAULT;
	if (in.reserved)
		return -EINVAL;
	in.refused = cvvtx_refused();
	out = cvvtx_caps;
	out.refused = in.refused;
	if (copy_to_user(arg, &out, sizeof(out)))
		return -EFAULT;
	return in.version == CVVTX_ABI_VERSION ? 0 : -EINVAL;
}

static int check_create(const struct cvvtx_create *c)
{
	if (c->version != CVVTX_ABI_VERSION || c->reserved[0] || c->reserved[1])
		return -EINVAL;
	if (!c->ram_size || c->ram_size > RAM_MAX || c->ram_size % RAM_UNIT || c->ram & ~PAGE_MASK)
		return -EINVAL;
	if (c->ram_low != min(c->ram_size, RAM_LOW_MAX) || !access_ok((void __user *)c->ram, c->ram_size))
		return -EINVAL;
	if (c->xcr0_allowed != 1 && c->xcr0_allowed != 3 && c->xcr0_allowed != 7)
		return -EINVAL;
	if (c->xcr0_allowed & ~(cvvtx_host_xcr0() | 3))
		return -EINVAL;
	if (c->counter != CVVTX_COUNTER_PMU && c->pmu_event)
		return -EINVAL;
	switch (c->counter) {
	case CVVTX_COUNTER_NONE:
	case CVVTX_COUNTER_BENCH: return 0;
	case CVVTX_COUNTER_PMU:
		if (!(cvvtx_caps.features & CVVTX_HAS_PMU))
			return -EOPNOTSUPP;
		return cvvtx_pmu_valid(c->pmu_event) ? 0 : -EINVAL;
	default: return -EINVAL;
	}
}

static long create(struct handle *h, const void __user *arg)
{
	struct cvvtx_vm *vm;
	int rc;

	if (h->vm)
		return -EEXIST;
	vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	if (!vm)
		return -ENOMEM;
	rc = -EFAULT;
	if (copy_from_user(&vm->cfg, arg, sizeof(vm->cfg)))
		goto out_free;
	rc = check_create(&vm->cfg);
	if (rc)
		goto out_free;
	rc = cvvtx_vmx_get();
	if (rc)
		goto out_free;
	rc = -EOPNOTSUPP;
	if (vm->cfg.counter == CVVTX_COUNTER_BENCH && !(cvvtx_caps.features & CVVTX_HAS_EXACT_TIMER))
		goto out_put;
	/* An emulator's counter of branches is nothing to rely on. */
	if (vm->cfg.counter == CVVTX_COUNTER_PMU && (cvvtx_caps.features & CVVTX_HAS_EXACT_TIMER))
		goto out_put;
	vm->mm = current->mm;
	rc = cvvtx_vm_init(vm);
	if (rc) {
		cvvtx_vm_release(vm);
		goto out_put;
	}
	mmgrab(vm->mm);
	smp_store_release(&h->vm, vm);
	return 0;
out_put:
	cvvtx_vmx_put();
out_free:
	kfree(vm);
	return rc;
}

static long get_state(struct cvvtx_vm *vm, void __user *arg)
{
	cvvtx_state_get(vm, vm->state);
	return copy_to_user(arg, vm->state, sizeof(*vm->state)) ? -EFAULT : 0;
}

static long set_state(struct cvvtx_vm *vm, const void __user *arg)
{
	if (copy_from_user(vm->state, arg, sizeof(*vm->state)))
		return -EFAULT;
	return cvvtx_state_set(vm, vm->state);
}

static long on_machine(struct cvvtx_vm *vm, unsigned int cmd, void __user *arg)
{
	switch (cmd) {
	case CVVTX_RUN: return cvvtx_run(vm);
	case CVVTX_GET_STATE: return get_state(vm, arg);
	case CVVTX_SET_STATE: return set_state(vm, arg);
	case CVVTX_PROTECT: cvvtx_ept_protect(vm); return 0;
	case CVVTX_DROP: cvvtx_ept_drop(vm); return 0;
	case CVVTX_FLUSH: vm->flush_vpid = true; vm->flush_ept |= !vm->vpid; return 0;
	default: return -ENOTTY;
	}
}

static long cvvtx_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct handle *h = file->private_data;
	void __user *user = (void __user *)arg;
	long rc;

	if (cmd == CVVTX_INFO)
		return info(user);
	if (!mutex_trylock(&h->lock))
		return -EBUSY;
	if (cmd == CVVTX_CREATE)
		rc = create(h, user);
	else if (!h->vm)
		rc = -ENXIO;
	else if (h->vm->mm != current->mm)
		rc = -EPERM;
	else
		rc = on_machine(h->vm, cmd, user);
	mutex_unlock(&h->lock);
	return rc;
}

static int cvvtx_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct handle *h = file->private_data;
	struct cvvtx_vm *vm = smp_load_acquire(&h->vm);

	if (!vm)
		return -ENXIO;
	if (vm->mm != current->mm)
		return -EPERM;
	if (vma->vm_pgoff || vma->vm_end - vma->vm_start != CVVTX_MMAP_SIZE || !(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	cvvtx_vma_flags(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	return remap_vmalloc_range(vma, vm->shared, 0);
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.open = cvvtx_open,
	.release = cvvtx_release,
	.unlocked_ioctl = cvvtx_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = cvvtx_mmap,
	.llseek = noop_llseek,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "chronovisor-vtx",
	.fops = &operations,
	.mode = 0600,
};

static int __init cvvtx_init(void)
{
	int rc;

	cvvtx_fpu_init();
	rc = cvvtx_cpu_init();
	if (rc)
		return rc;
	rc = misc_register(&device);
	if (rc)
		cvvtx_cpu_exit();
	return rc;
}

static void __exit cvvtx_exit(void)
{
	misc_deregister(&device);
	cvvtx_cpu_exit();
}

module_init(cvvtx_init);
module_exit(cvvtx_exit);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Chronovisor: deterministic guests on Intel VT-x");
