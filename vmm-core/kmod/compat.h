/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * All that differs between kernels from 6.1 on, and the privileged instructions for which the kernel's own names changed or may not
 * be used by modules. Guards ask for features where there is one to ask for, else for the version that brought the change.
 */
#ifndef CVVTX_COMPAT_H
#define CVVTX_COMPAT_H

#include <linux/mm.h>
#include <linux/version.h>
#include <asm/asm.h>
#include <asm/processor.h>

#ifndef X86_CR4_FRED
#define CVVTX_CR4_FRED (1ull << 32)
#else
#define CVVTX_CR4_FRED X86_CR4_FRED
#endif

static inline void cvvtx_vma_flags(struct vm_area_struct *vma, unsigned long set)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_set(vma, set);
#else
	vma->vm_flags |= set;
#endif
}

/* rdmsrl became rdmsrq in 6.16. */
static inline u64 cvvtx_rdmsr(u32 msr)
{
	u32 lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return lo | (u64)hi << 32;
}

static inline void cvvtx_wrmsr(u32 msr, u64 v)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

/* 0 where the CPU hasn't got it. */
static inline u64 cvvtx_rdmsr_safe(u32 msr)
{
	u32 lo = 0, hi = 0;

	asm volatile("1: rdmsr\n2:\n" _ASM_EXTABLE(1b, 2b) : "+a"(lo), "+d"(hi) : "c"(msr));
	return lo | (u64)hi << 32;
}

static inline u64 cvvtx_read_cr3(void)
{
	u64 v;

	asm volatile("mov %%cr3, %0" : "=r"(v) : : "memory");
	return v;
}

static inline u64 cvvtx_read_cr4(void)
{
	u64 v;

	asm volatile("mov %%cr4, %0" : "=r"(v) : : "memory");
	return v;
}

static inline u64 cvvtx_read_cr2(void)
{
	u64 v;

	asm volatile("mov %%cr2, %0" : "=r"(v) : : "memory");
	return v;
}

static inline void cvvtx_write_cr2(u64 v)
{
	asm volatile("mov %0, %%cr2" : : "r"(v) : "memory");
}

static inline u64 cvvtx_rdtsc(void)
{
	u32 lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return lo | (u64)hi << 32;
}

static inline u64 cvvtx_get_xcr0(void)
{
	u32 lo, hi;

	asm volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return lo | (u64)hi << 32;
}

static inline void cvvtx_set_xcr0(u64 v)
{
	asm volatile("xsetbv" : : "c"(0), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

static inline u64 cvvtx_read_dr6(void)
{
	u64 v;

	asm volatile("mov %%dr6, %0" : "=r"(v));
	return v;
}

#define cvvtx_write_dr(n, v) asm volatile("mov %0, %%dr" #n : : "r"((u64)(v)))

#endif
