/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Does the VMX preemption timer tick exactly once an instruction, so that it can count? In an emulator it may; on a CPU it follows the
 * TSC. Found out by running a small guest for many values of the timer, twice: a run of n+1 ticks must end exactly n instructions
 * on, in straight code, in a loop and in a REP.
 *
 * The timer's value saturates at 0, and Bochs lets it exit one instruction late behind STI and MOV SS. The TSC, which ticks there
 * with the timer and is stored by the exit itself, tells the truth; what it counts of an entry besides the guest must be constant.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "module.h"

#define STRAIGHT 0x100 /* 200 NOPs */
#define LOOP 0x400     /* DEC CX; JNZ LOOP */
#define STRING 0x500   /* REP STOSB */
#define DATA 0x800
#define NOPS 200

static void write_guest(u8 *page)
{
	static const u8 loop[] = { 0x49, 0x75, 0xfd, 0xf4 };   /* dec cx; jnz -3; hlt */
	static const u8 string[] = { 0xf3, 0xaa, 0x90, 0xf4 }; /* rep stosb; nop; hlt */

	memset(page + STRAIGHT, 0x90, NOPS);
	page[STRAIGHT + NOPS] = 0xf4;
	memcpy(page + LOOP, loop, sizeof(loop));
	memcpy(page + STRING, string, sizeof(string));
}

/* Runs n units from rip with CX = cx. false: it came to something else; a signal may be why. */
static bool run(struct cvvtx_vm *vm, u64 *overhead, u16 rip, u64 cx, u64 n)
{
	struct cvvtx_run *r = vm->run;

	memset(r, 0, sizeof(*r));
	r->rip = rip;
	r->rflags = 2;
	r->gpr[1] = cx;
	r->gpr[7] = DATA;
	r->dr[7] = 0x400;
	r->budget = n;
	if (cvvtx_run(vm) || r->exit != CVVTX_EXIT_COUNT || r->units != n || !vm->overhead_seen)
		return false;
	if (!*overhead)
		*overhead = vm->overhead_seen;
	return n == 0 || *overhead == vm->overhead_seen;
}

static bool counts(struct cvvtx_vm *vm, u64 *overhead)
{
	struct cvvtx_run *r = vm->run;
	u64 n;

	for (n = 1; n < NOPS; n += 1 + n / 7)
		if (!run(vm, overhead, STRAIGHT, 0, n) || r->rip != STRAIGHT + n)
			return false;
	for (n = 1; n < 2000; n += 1 + n / 3)
		if (!run(vm, overhead, LOOP, 5000, n) || r->rip != LOOP + n % 2 || r->gpr[1] != 5000 - (n + 1) / 2)
			return false;
	for (n = 1; n < 100; n += 1 + n / 3)
		if (!run(vm, overhead, STRING, 100, n) || r->rip != STRING || r->gpr[1] != 100 - n)
			return false;
	return run(vm, overhead, STRING, 100, 101) && r->rip == STRING + 3;
}

/* The overhead of an entry; 0: no, or a signal has interrupted. Called with VMX on. */
u64 cvvtx_exact_timer(void)
{
	struct cvvtx_vm *vm = kzalloc(sizeof(*vm), GFP_KERNEL);
	struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	u64 overhead = 0;

	if (vm && page) {
		vm->cfg.counter = CVVTX_COUNTER_BENCH;
		vm->cfg.xcr0_allowed = 3;
		vm->ticks = true;
		write_guest(page_address(page));
		if (cvvtx_vm_init(vm) || cvvtx_ept_map(vm, 0, page, true) || !counts(vm, &overhead) || !counts(vm, &overhead))
			overhead = 0;
		cvvtx_vm_release(vm);
	}
	if (page)
		__free_page(page);
	kfree(vm);
	return overhead;
}
