/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Does the VMX preemption timer tick exactly once an instruction, so that it can count? In an emulator it may; on a CPU it follows the
 * TSC. Found out by running a small guest for many values of the timer, twice: a run of n+1 ticks must end exactly n instructions
 * on, in straight code, in a loop and in a REP.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
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
static bool run(struct cvvtx_vm *vm, u16 rip, u64 cx, u64 n)
{
	struct cvvtx_run *r = vm->run;

	memset(r, 0, sizeof(*r));
	r->rip = rip;
	r->rflags = 2;
	r->gpr[1] = cx;
	r->gpr[7] = DATA;
	r->dr[7] = 0x400;
	r->budget = n;
	return !cvvtx_run(vm) && r->exit == CVVTX_EXIT_COUNT && r->units == n;
}

static bool counts(struct cvvtx_vm *vm)
{
	struct cvvtx_run *r = vm->run;
	u64 n;

	for (n = 0; n < NOPS; n += 1 + n / 7)
		if (!run(vm, STRAIGHT, 0, n) || r->rip != STRAIGHT + n)
			return false;
	for (n = 1; n < 2000; n += 1 + n / 3)
		if (!run(vm, LOOP, 5000, n) || r->rip != LOOP + n % 2 || r->gpr[1] != 5000 - (n + 1) / 2)
			return false;
	for (n = 1; n < 100; n += 1 + n / 3)
		if (!run(vm, STRING, 100, n) || r->rip != STRING || r->gpr[1] != 100 - n)
			return false;
	return run(vm, STRING, 100, 101) && r->rip == STRING + 3;
}

/* Called with VMX on. 1: yes, 0: no; -1: can't say now. */
int cvvtx_exact_timer(void)
{
	struct cvvtx_vm *vm = kzalloc(sizeof(*vm), GFP_KERNEL);
	struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	int exact = -1;

	if (vm && page && !signal_pending(current)) {
		vm->cfg.counter = CVVTX_COUNTER_BENCH;
		vm->cfg.xcr0_allowed = 3;
		write_guest(page_address(page));
		if (!cvvtx_vm_init(vm) && !cvvtx_ept_map(vm, 0, page, true))
			exact = counts(vm) && counts(vm);
		if (!exact && vm->run->exit == CVVTX_EXIT_SIGNAL)
			exact = -1;
		cvvtx_vm_release(vm);
	}
	if (page)
		__free_page(page);
	kfree(vm);
	return exact;
}
