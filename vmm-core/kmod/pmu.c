/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The counter of conditional branches: a perf event of the running thread that counts in guests alone.
 *
 * perf programs a hardware counter and keeps it out of IA32_PERF_GLOBAL_CTRL while the host runs (exclude_host). Entry loads GLOBAL_CTRL
 * with that counter's bit and no other, exit loads the host's value: what it counts is the guest's, from its first instruction to
 * its last. The value for the guest never starts from the host's. Its overflow is an NMI, so it exits; the loop's head then finds the
 * budget used up. perf adds up what the counter counted, whatever its width.
 *
 * A counter that doesn't count now (perf has throttled it, or the thread has just come to another CPU) mustn't be run with: RUN ends as
 * for a signal, and the process comes again. Another kind of trouble, all counters taken by others, is EBUSY.
 *
 * Which event, and whether it may be trusted, is the process's business (vmm-core/vtx/pmu_events.c, selftest.c).
 */
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <asm/msr-index.h>
#include <asm/perf_event.h>

#include "module.h"

#define EVENT_BITS (0xffffull | 0xffull << 40)
#define FOREVER (1ull << 46) /* more than any run */

bool cvvtx_pmu_possible(void)
{
	struct x86_pmu_capability cap;

	perf_get_x86_pmu_capability(&cap);
	return cap.version >= 2 && cap.num_counters_gp > 0;
}

bool cvvtx_pmu_valid(u64 event)
{
	return event && !(event & ~EVENT_BITS);
}

/* That there is a handler keeps perf from looking for a buffer; the exit is all that is wanted of the NMI. */
static void overflow(struct perf_event *event, struct perf_sample_data *data, struct pt_regs *regs)
{
}

void cvvtx_pmu_release(struct cvvtx_vm *vm)
{
	if (vm->pmu.event)
		perf_event_release_kernel(vm->pmu.event);
	vm->pmu.event = NULL;
}

static int create(struct cvvtx_vm *vm, u64 period)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_RAW,
		.size = sizeof(attr),
		.config = vm->cfg.pmu_event,
		.sample_period = period,
		.pinned = 1,
		.exclude_host = 1,
	};
	struct perf_event *event = perf_event_create_kernel_counter(&attr, -1, current, overflow, NULL);

	if (IS_ERR(event))
		return PTR_ERR(event);
	vm->pmu.event = event;
	vm->pmu.task = current;
	return 0;
}

/* Before a RUN of `budget` branches, outside of the guest's context: this thread's event, to overflow after them. */
int cvvtx_pmu_begin(struct cvvtx_vm *vm, u64 budget)
{
	u64 period = clamp_t(u64, budget, 1, FOREVER);
	struct perf_event *event = vm->pmu.event;

	if (event && (vm->pmu.task != current || READ_ONCE(event->state) <= PERF_EVENT_STATE_EXIT))
		cvvtx_pmu_release(vm);
	if (!vm->pmu.event)
		return create(vm, period);
	return perf_event_period(vm->pmu.event, period);
}

static bool counting_here(const struct perf_event *event)
{
	return event->state == PERF_EVENT_STATE_ACTIVE && event->oncpu == smp_processor_id();
}

/* Counted since the event was made. Interrupts are off. */
u64 cvvtx_pmu_count(struct cvvtx_vm *vm)
{
	struct perf_event *event = vm->pmu.event;

	if (counting_here(event))
		event->pmu->read(event);
	return local64_read(&event->count);
}

/* Before an entry, interrupts off: 0, -EAGAIN: not now, -EBUSY: not at all. */
int cvvtx_pmu_prepare(struct cvvtx_vm *vm)
{
	struct perf_event *event = vm->pmu.event;
	u64 bit;

	if (event->state == PERF_EVENT_STATE_ERROR)
		return -EBUSY;
	if (!counting_here(event) || (event->hw.state & PERF_HES_STOPPED) || event->hw.idx < 0)
		return -EAGAIN;
	bit = 1ull << event->hw.idx;
	vm->pmu.guest->value = bit;
	vm->pmu.host->value = cvvtx_rdmsr(MSR_CORE_PERF_GLOBAL_CTRL) & ~bit;
	return 0;
}
