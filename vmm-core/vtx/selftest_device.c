/* SPDX-License-Identifier: MIT */
/*
 * The counter's self-test on the device: a machine of its own, in real mode, for as long as the test takes.
 */
#include <stdio.h>
#include <string.h>

#include "vmm-core/vtx/internal.h"
#include "vmm-core/vtx/pmu_events.h"
#include "vmm-core/vtx/selftest.h"

#define CODE 0x1000u
#define SKID 7

enum { EXIT_HLT = 12, EXIT_IO = 30 };

struct bench {
	struct vtx_device device;
	struct cv_memory mem;
	uint32_t counter; /* CVVTX_COUNTER_* */
	const struct cv_pmu_event *event; /* of COUNTER_PMU, static */
	uint64_t count, interrupts;
};

static int start(void *ctx, const uint8_t *code, size_t len, uint64_t n, struct cv_error *err)
{
	struct bench *b = ctx;
	struct cv_vcpu_state s;
	struct cvvtx_state dev;

	memcpy(b->mem.ram + CODE, code, len);
	cv_vcpu_reset(&s);
	s.seg[CV_CS].sel = CODE >> 4;
	s.seg[CV_CS].base = CODE;
	s.rip = 0;
	memset(s.gpr, 0, sizeof(s.gpr));
	s.gpr[CV_RCX] = n;
	vtx_to_device(&s, &dev);
	memset(b->device.run, 0, sizeof(*b->device.run));
	vtx_to_run(&s, b->device.run);
	b->count = b->interrupts = 0;
	return vtx_device_set(&b->device, &dev, err);
}

/* What the exit is for the test. 0: none that may come. */
static enum cv_ran reason(struct bench *b, bool *halted)
{
	struct cvvtx_run *run = b->device.run;

	switch (run->exit) {
	case CVVTX_EXIT_COUNT:
		return CV_RAN_FIRED;
	case CVVTX_EXIT_STEP:
		return CV_RAN_STEPPED;
	case CVVTX_EXIT_SIGNAL: case CVVTX_EXIT_DIRTY:
		run->leave = run->ndirty = 0;
		return CV_RAN_HOST;
	case EXIT_IO:
		run->rip += run->insn_len;
		b->count += b->counter == CVVTX_COUNTER_BENCH;
		return CV_RAN_GUEST;
	case EXIT_HLT:
		*halted = true;
		return CV_RAN_GUEST;
	default:
		return (enum cv_ran)0;
	}
}

static int run(void *ctx, const struct cv_move *m, struct cv_selftest_stop *stop, struct cv_error *err)
{
	struct bench *b = ctx;
	struct cvvtx_run *run = b->device.run;
	uint64_t before = run->host_interrupts;
	int rc;

	memset(stop, 0, sizeof(*stop));
	run->flags = m->kind == CV_MOVE_STEP ? CVVTX_RUN_STEP : 0;
	run->budget = m->kind == CV_MOVE_STEP ? CVVTX_COUNT_NONE : m->budget;
	rc = vtx_device_run(&b->device, err);
	if (rc)
		return rc;
	b->count += run->units;
	b->interrupts += run->host_interrupts - before;
	stop->how = reason(b, &stop->halted);
	if (!stop->how)
		return cv_error_set(err, CV_E_IO, "the counter's self-test: exit reason %u at %llx of a guest that has no such thing", run->exit,
				    (unsigned long long)run->rip);
	stop->count = b->count;
	stop->ip = run->rip;
	stop->ecx = (uint32_t)run->gpr[CV_RCX];
	stop->interrupts = b->interrupts;
	return 0;
}

/* The counter that there is: the emulator's, or the event of this CPU. */
static int choose(struct bench *b, struct cv_error *err)
{
	struct cv_pmu_cpu cpu;

	if (b->device.info.features & CVVTX_HAS_EXACT_TIMER) {
		b->counter = CVVTX_COUNTER_BENCH;
		return 0;
	}
	cv_pmu_cpu_here(&cpu);
	b->event = cv_pmu_find(&cpu, err);
	if (!b->event)
		return CV_E_NOTFOUND;
	if (!(b->device.info.features & CVVTX_HAS_PMU))
		return cv_error_set(err, CV_E_NOTFOUND, "the host's kernel gives the module no performance counter (perf is off or absent); use "
							"--engine soft");
	b->counter = CVVTX_COUNTER_PMU;
	b->device.pmu_event = cv_pmu_config(b->event);
	return 0;
}

static void tell(const struct bench *b, const struct cv_counter *c, char *text, size_t n)
{
	char line[256] = "", advice[400] = "";

	cv_skid_text(c, line, sizeof(line));
	if (b->event)
		cv_pmu_advice(b->event, 0, advice, sizeof(advice));
	snprintf(text, n, "%s%s%s: %s%s%s", b->event ? b->event->cpu : "emulator's preemption timer", b->event ? ", " : "",
		 b->event ? b->event->event : "", line, advice[0] ? ". " : "", advice);
}

static int test(struct bench *b, char *text, size_t n, struct cv_error *err)
{
	struct cv_selftest_guest guest = {b, start, run};
	struct cv_counter c;
	int rc = vtx_device_create(&b->device, &b->mem, b->counter, 1, err);

	if (rc)
		return rc;
	cv_counter_init(&c, (enum cv_counter_kind)b->counter, b->event ? b->event->skid : 0);
	/* The exact counter made late, so that single steps are tested, too. */
	if (c.kind == CV_COUNTER_BENCH)
		cv_counter_simulate(&c, SKID, 1);
	rc = cv_selftest_counter(&guest, &c, b->event ? &cv_selftest_real : &cv_selftest_small, err);
	if (!rc)
		tell(b, &c, text, n);
	return rc;
}

int cv_vtx_selftest(char *text, size_t n, struct cv_error *err)
{
	struct bench b;
	int rc;

	memset(&b, 0, sizeof(b));
	rc = vtx_device_open(&b.device, err);
	if (rc)
		return rc;
	rc = choose(&b, err);
	if (!rc)
		rc = cv_memory_init(&b.mem, CV_RAM_MIN, err);
	if (!rc)
		rc = test(&b, text, n, err);
	cv_memory_release(&b.mem);
	vtx_device_release(&b.device);
	return rc;
}
