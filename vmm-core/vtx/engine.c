/* SPDX-License-Identifier: MIT */
/*
 * The VT-x engine's loop: hardware where it can be, the software engine for the rest, one exact position throughout.
 *
 * At each boundary, in the software engine's order: the stop; a kick; what is deliverable; then the guest goes on. It goes on in hardware until
 * the counter fires or something exits; exits.c carries the exit out, or says that the software engine must. That one works on
 * the same RAM and the same host functions, so what it does is what it would have done alone.
 *
 * The software engine carries out, exactly as the contract wants it, and for as long as need be:
 *	- one instruction: what exits ask for; the delivery of interrupts, NMIs and debug traps; states that VT-x can't enter;
 *	- the last steps before a stop when the counter is late;
 *	- whole runs to the stop: single steps, and with break- or watchpoints of the debugger's;
 *	- stretches: while the guest has TF set, a debug register armed or BTF on, and while address line 20 is masked.
 *
 * Before it runs it is given the state anew, for the guest has changed page tables and code behind it; while it runs several times in a row
 * it keeps both. It decodes single instructions afresh; before it runs more than one what it had decoded is dropped.
 *
 * The last steps before a stop are the software engine's in any case: the counter's exit is later where a shadow (STI, MOV SS) or a single-step
 * trap of the guest's own comes first, and nothing may happen behind the stop.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm-core/vtx/internal.h"
#include "vmm-core/x86/cpuid.h"

/* Units that the software engine may run before it is asked again whether hardware could go on. */
#define STRETCH 4096u
/* Units that the bench counter's exit may be late by: two shadows in a row, or a shadow and a trap. */
#define LATE 3u
/* So few units before a stop are executed one by one. */
#define ALONE 8u

enum { INTR_SHADOWS = 3, INTR_NMI = 8, DB_CAUSES = 0xc00f };

/* --- Where the state is --- */

static int read_device(struct vtx_engine *e, struct cv_error *err)
{
	int rc = e->dev_known ? 0 : vtx_device_get(&e->device, &e->dev, err);

	e->dev_known = !rc;
	return rc;
}

/* Is what such a field tells of a #DB? (SDM 3C 24.9.2) */
static bool is_debug_exception(uint32_t info)
{
	return (info & (INFO_VALID | 0x7ff)) == (INFO_VALID | 3u << 8 | 1);
}

static void from_device(const struct vtx_engine *e, struct cv_vcpu_state *s)
{
	vtx_from_device(&e->dev, e->run, s);
	/* A debug trap that hasn't been delivered: VT-x keeps its causes in DR6 if its delivery was broken off, in the qualification if it exited. */
	if (is_debug_exception(e->run->vector_info))
		s->pending_db |= s->dr[6] & DB_CAUSES;
	else if (e->run->exit == 0 && is_debug_exception(e->run->intr_info))
		s->pending_db |= e->run->qualification & DB_CAUSES;
}

static int bring_home(struct vtx_engine *e, struct cv_error *err)
{
	int rc;

	if (e->where == VTX_AT_HOME)
		return 0;
	rc = read_device(e, err);
	if (rc)
		return rc;
	from_device(e, &e->s);
	vtx_to_device(&e->s, &e->dev); /* canonical, to be compared with what goes back */
	e->where = VTX_AT_HOME;
	e->soft_current = false;
	e->transfers++;
	return 0;
}

static bool translation_differs(const struct cvvtx_state *a, const struct cvvtx_state *b)
{
	return a->cr0 != b->cr0 || a->cr3 != b->cr3 || a->cr4 != b->cr4 || a->efer != b->efer || a->pat != b->pat;
}

static int send_to_device(struct vtx_engine *e, struct cv_error *err)
{
	struct cvvtx_state next;

	vtx_to_device(&e->s, &next);
	vtx_to_run(&e->s, e->run);
	e->run->vector_info = 0;
	e->run->exit = CVVTX_EXIT_SIGNAL;
	e->umip = e->s.cr4 & CV_CR4_UMIP;
	e->where = VTX_IN_DEVICE;
	if (e->dev_known && !memcmp(&next, &e->dev, sizeof(next)))
		return 0;
	e->flush |= !e->dev_known || translation_differs(&next, &e->dev);
	e->dev = next;
	e->dev_known = true;
	return vtx_device_set(&e->device, &next, err);
}

/* --- The software engine --- */

static int soft_run(struct vtx_engine *e, const struct cv_stop *stop, struct cv_exit *exit, struct cv_error *err)
{
	const struct cv_soft_knobs none = {0};
	int rc = bring_home(e, err);

	if (rc)
		return rc;
	if (!stop->step && e->code_stale) {
		cv_soft_set_knobs(e->soft, &none); /* drops all decoded code */
		e->code_stale = false;
	}
	if (!e->soft_current)
		e->soft->ops->set_state(e->soft, &e->s);
	e->soft_running = true;
	rc = e->soft->ops->run(e->soft, stop, exit, err);
	e->soft->ops->get_state(e->soft, &e->s);
	e->soft_running = false;
	e->soft_current = true;
	e->flush = true; /* an INVLPG or a load of CR3 may have been among what it did */
	return rc;
}

/* Did a delivery bring the run to where a guest that only takes interrupts is given input? */
static bool is_look(const struct vtx_engine *e, const struct cv_pos *before)
{
	return e->s.pos.sub && (e->s.pos.sub != before->sub || e->s.pos.insns != before->insns) && e->s.pos.sub % CV_POS_LOOK == 0;
}

/* One unit, or one delivery. *over: exit is the run's. */
static int soft_step(struct vtx_engine *e, struct cv_exit *exit, bool *over, struct cv_error *err)
{
	const struct cv_stop stop = {.insns = UINT64_MAX, .step = true};
	struct cv_pos before;
	int rc = bring_home(e, err);

	if (rc)
		return rc;
	before = e->s.pos;
	e->steps++;
	rc = soft_run(e, &stop, exit, err);
	*over = exit->kind != CV_EXIT_POSITION || is_look(e, &before);
	return rc;
}

/* At most `units`, not past the stop. */
static int soft_stretch(struct vtx_engine *e, const struct cv_stop *stop, uint64_t units, struct cv_exit *exit, bool *over,
			struct cv_error *err)
{
	struct cv_stop part = {.insns = stop->insns};
	int rc;

	if (stop->insns - e->s.pos.insns > units)
		part.insns = e->s.pos.insns + units;
	e->soft_runs++;
	rc = soft_run(e, &part, exit, err);
	*over = exit->kind != CV_EXIT_POSITION || e->s.pos.insns < part.insns;
	return rc;
}

/* --- The software engine's host: this one's, but for an interrupt that has been acknowledged already --- */

static bool soft_pending(void *dev)
{
	struct vtx_engine *e = dev;

	return e->forced >= 0 || e->host.irqchip->pending(e->host.irqchip_dev);
}

static int soft_acknowledge(void *dev)
{
	struct vtx_engine *e = dev;

	return e->forced >= 0 ? e->forced : e->host.irqchip->acknowledge(e->host.irqchip_dev);
}

static uint64_t soft_get_cr8(void *dev)
{
	struct vtx_engine *e = dev;

	return e->host.irqchip->get_cr8(e->host.irqchip_dev);
}

static void soft_set_cr8(void *dev, uint64_t v)
{
	struct vtx_engine *e = dev;

	e->host.irqchip->set_cr8(e->host.irqchip_dev, v);
}

static bool soft_read_msr(void *dev, uint32_t msr, uint64_t *v)
{
	struct vtx_engine *e = dev;

	return e->host.irqchip->read_msr(e->host.irqchip_dev, msr, v);
}

static bool soft_write_msr(void *dev, uint32_t msr, uint64_t v)
{
	struct vtx_engine *e = dev;

	return e->host.irqchip->write_msr(e->host.irqchip_dev, msr, v);
}

static const struct cv_irqchip_ops soft_irqchip_ops = {
	.pending = soft_pending,
	.acknowledge = soft_acknowledge,
	.get_cr8 = soft_get_cr8,
	.set_cr8 = soft_set_cr8,
	.read_msr = soft_read_msr,
	.write_msr = soft_write_msr,
};

static uint64_t soft_tsc(void *ctx)
{
	struct vtx_engine *e = ctx;

	return e->host.tsc(e->host.ctx);
}

static void soft_entropy(void *ctx, uint8_t *p, size_t n)
{
	struct vtx_engine *e = ctx;

	e->host.entropy(e->host.ctx, p, n);
}

/* Of a forced one the machine has been told. */
static void soft_delivered(void *ctx, unsigned vector)
{
	struct vtx_engine *e = ctx;

	if ((int)vector == e->forced)
		e->forced = -1;
	else if (e->host.delivered)
		e->host.delivered(e->host.ctx, vector);
}

static struct cv_engine *new_soft(struct vtx_engine *e, struct cv_error *err)
{
	struct cv_engine_host host = e->host;

	if (host.irqchip) {
		host.irqchip = &soft_irqchip_ops;
		host.irqchip_dev = e;
	}
	host.ctx = e;
	host.tsc = soft_tsc;
	host.entropy = soft_entropy;
	host.delivered = soft_delivered;
	host.tsc_taken = NULL;
	host.tsc_base = NULL;
	return cv_soft_new(&host, err);
}

/* --- Hardware --- */

/* The module's list of dirtied pages, into the machine's. */
static void drain_dirty(struct vtx_engine *e)
{
	uint32_t n = e->run->ndirty < CVVTX_DIRTY_SLOTS ? e->run->ndirty : CVVTX_DIRTY_SLOTS;

	for (uint32_t k = 0; k < n; k++)
		if (e->device.dirty[k] < e->host.mem->pages)
			cv_memory_mark_dirty(e->host.mem, e->device.dirty[k]);
	e->run->ndirty = 0;
}

/* What the module must hear before the guest goes on. */
static int settle_debts(struct vtx_engine *e, struct cv_error *err)
{
	int rc = 0;

	if (e->zeroed != e->host.mem->zeroed) {
		rc = vtx_device_command(&e->device, CVVTX_DROP, err);
		e->zeroed = e->host.mem->zeroed;
		e->protect = false;
	}
	if (!rc && e->protect)
		rc = vtx_device_command(&e->device, CVVTX_PROTECT, err);
	if (!rc && e->flush)
		rc = vtx_device_command(&e->device, CVVTX_FLUSH, err);
	e->protect = e->flush = false;
	return rc;
}

/* Has the interrupt gone in? Not where a signal came before the entry, nor where its delivery was broken off. */
static void note_injected(struct vtx_engine *e)
{
	if (!e->injected || e->run->inject & INFO_VALID || e->run->vector_info & INFO_VALID)
		return;
	e->forced = -1;
	e->injections++;
	e->s.halted = false;
	e->s.pos.sub++;
}

/* The guest's clock reads that the module answered, each at its position. */
static void drain_ring(struct vtx_engine *e)
{
	uint32_t n = e->run->nring < CVVTX_RING_SLOTS ? e->run->nring : CVVTX_RING_SLOTS;
	const struct cv_pos before = e->s.pos;

	e->at_slot = true;
	for (uint32_t k = 0; k < n; k++) {
		e->s.pos.insns = before.insns + e->device.ring[k].units;
		e->s.pos.sub = e->device.ring[k].units ? 0 : before.sub;
		e->slot_rip = e->device.ring[k].rip;
		e->host.tsc_taken(e->host.ctx, e->device.ring[k].value - e->s.tsc_offset);
	}
	e->at_slot = false;
	e->s.pos = before;
	e->clock_reads += n;
	e->run->nring = 0;
}

/* May the module answer RDTSC in this RUN? */
static bool lend_clock(struct vtx_engine *e)
{
	uint64_t delta, floor;

	if (!e->host.tsc_base || !e->host.tsc_taken || !e->host.tsc_base(e->host.ctx, &delta, &floor))
		return false;
	e->run->tsc_delta = delta + e->s.tsc_offset;
	e->run->tsc_floor = floor + e->s.tsc_offset;
	return true;
}

static int enter(struct vtx_engine *e, uint64_t budget, struct cv_error *err)
{
	const struct cv_irqchip_ops *irq = e->host.irqchip;
	struct cvvtx_run *run = e->run;
	int rc = e->where == VTX_AT_HOME ? send_to_device(e, err) : 0;

	if (!rc)
		rc = settle_debts(e, err);
	if (rc)
		return rc;
	run->flags = e->umip ? CVVTX_RUN_DTABLE : 0;
	if (irq && irq->pending(e->host.irqchip_dev))
		run->flags |= CVVTX_RUN_INTR_WINDOW;
	if (e->s.nmi_pending)
		run->flags |= CVVTX_RUN_NMI_WINDOW;
	if (lend_clock(e))
		run->flags |= CVVTX_RUN_TSC;
	run->inject = run->inject_error = run->inject_len = 0;
	e->injected = e->forced >= 0;
	if (e->injected) {
		run->inject = INFO_VALID | (uint32_t)e->forced;
		/* An exception while it is delivered must be counted as one: it exits, and the software engine delivers both. */
		run->flags |= CVVTX_RUN_ALL_EXCEPTIONS;
	}
	run->budget = budget;
	rc = vtx_device_run(&e->device, err);
	e->dev_known = false;
	e->code_stale = true;
	e->entries++;
	drain_dirty(e);
	if (!rc)
		note_injected(e);
	drain_ring(e);
	if (run->units) {
		e->s.pos.insns += run->units;
		e->s.pos.sub = 0;
	}
	return rc;
}

/* --- Boundaries --- */

static uint64_t rflags_now(const struct vtx_engine *e)
{
	return e->where == VTX_AT_HOME ? e->s.rflags : e->run->rflags;
}

static bool shadow_now(const struct vtx_engine *e)
{
	return e->where == VTX_AT_HOME ? e->s.shadow != 0 : (e->run->interruptibility & INTR_SHADOWS) != 0;
}

static bool nmi_blocked_now(const struct vtx_engine *e)
{
	return e->where == VTX_AT_HOME ? e->s.nmi_blocked : (e->run->interruptibility & INTR_NMI) != 0;
}

/* A debug trap or an NMI. */
static bool urgent(const struct vtx_engine *e)
{
	if (e->where == VTX_AT_HOME && e->s.pending_db && !(e->s.shadow & CV_SHADOW_MOVSS))
		return true;
	return e->s.nmi_pending && !nmi_blocked_now(e) && !shadow_now(e);
}

static bool interrupt_deliverable(const struct vtx_engine *e)
{
	const struct cv_irqchip_ops *irq = e->host.irqchip;

	if (e->forced >= 0)
		return true;
	return rflags_now(e) & CV_FLAG_IF && !shadow_now(e) && irq && irq->pending(e->host.irqchip_dev);
}

static bool deliverable(const struct vtx_engine *e)
{
	return urgent(e) || interrupt_deliverable(e);
}

/* Can hardware go on from here? An NMI that waits for a shadow to end: some CPUs' windows open too early. */
static bool can_enter(const struct vtx_engine *e)
{
	if (e->s.nmi_pending && shadow_now(e))
		return false;
	if (e->where == VTX_AT_HOME)
		return vtx_can_run(&e->s);
	return !(e->run->rflags & CV_FLAG_TF) && !(e->run->dr[7] & 0x20ff) && !e->s.a20_masked;
}

/* Does what keeps hardware out last for more than an instruction or two? */
static bool lasting(const struct vtx_engine *e)
{
	uint64_t dr7 = e->where == VTX_AT_HOME ? e->s.dr[7] : e->run->dr[7];

	return rflags_now(e) & CV_FLAG_TF || dr7 & 0x20ff || e->s.a20_masked ||
	       (e->where == VTX_AT_HOME && e->s.cr4 & CV_CR4_LA57);
}

static int go_without(struct vtx_engine *e, const struct cv_stop *stop, struct cv_exit *exit, bool *over, struct cv_error *err)
{
	if (!deliverable(e) && lasting(e))
		return soft_stretch(e, stop, STRETCH, exit, over, err);
	return soft_step(e, exit, over, err);
}

/* The instruction that exited, or what was being delivered. */
static int carry_out(struct vtx_engine *e, struct cv_exit *exit, bool *over, struct cv_error *err)
{
	bool flush = e->flush || vtx_exit_flushes(e);
	int rc = soft_step(e, exit, over, err);

	e->flush = flush;
	return rc;
}

/* The guest is in hardware and has come out again: what now? */
static int after_exit(struct vtx_engine *e, const struct cv_stop *stop, const struct cv_move *move, struct cv_exit *exit, bool *over,
		      struct cv_error *err)
{
	struct cv_counter_at at = {.count = e->s.pos.insns};

	/* An instruction behind the stop may have exited before the counter: it isn't carried out now. */
	if (e->s.pos.insns >= stop->insns && e->run->exit != CVVTX_EXIT_ENTRY_FAILED) {
		if (e->s.pos.insns > stop->insns)
			return cv_error_set(err, CV_E_IO, "VT-x went past step %llu to %llu: the counter can't be trusted; use --engine soft",
					    (unsigned long long)stop->insns, (unsigned long long)e->s.pos.insns);
		return 0;
	}
	switch (vtx_exit(e, err)) {
	case VTX_FAILED:
		return err && err->code ? err->code : CV_E_IO;
	case VTX_BY_SOFT:
		return carry_out(e, exit, over, err);
	case VTX_FIRED:
		return cv_counter_ran(&e->counter, move, CV_RAN_FIRED, e->s.pos.insns, &at, err);
	case VTX_DONE:
		break;
	}
	return 0;
}

/*
 * Acknowledges the interrupt that is deliverable, to be delivered by the next entry. false: the software engine must go on, with or without
 * one; also where the run ends right behind the delivery, which must then be complete.
 */
static bool take_interrupt(struct vtx_engine *e)
{
	if (e->forced < 0) {
		e->forced = e->host.irqchip->acknowledge(e->host.irqchip_dev);
		if (e->forced >= 0 && e->host.delivered)
			e->host.delivered(e->host.ctx, (unsigned)e->forced);
	}
	return e->forced >= 0 && !e->kicked && (e->s.pos.sub + 1) % CV_POS_LOOK != 0;
}

/* The last units before the stop. Few are made alone: that spares the decoding of what lies behind the stop. */
static int finish(struct vtx_engine *e, const struct cv_stop *stop, struct cv_exit *exit, bool *over, struct cv_error *err)
{
	uint64_t left = stop->insns - e->s.pos.insns;

	if (left <= ALONE) {
		e->counter.skid.steps++;
		return soft_step(e, exit, over, err);
	}
	e->counter.skid.steps += left;
	return soft_stretch(e, stop, left, exit, over, err);
}

static int advance(struct vtx_engine *e, const struct cv_stop *stop, struct cv_exit *exit, bool *over, struct cv_error *err)
{
	const struct cv_counter_at at = {.count = e->s.pos.insns};
	const struct cv_counter_point target = {.count = stop->insns};
	struct cv_move move = {.kind = CV_MOVE_RUN, .budget = CVVTX_COUNT_NONE, .due = CV_COUNTER_NO_LIMIT};
	int rc = 0;

	if (e->s.halted && !deliverable(e)) {
		exit->kind = CV_EXIT_HALT;
		*over = true;
		return 0;
	}
	if (urgent(e) || !can_enter(e))
		return go_without(e, stop, exit, over, err);
	if (stop->insns != UINT64_MAX)
		rc = cv_counter_next(&e->counter, &at, &target, &move, err);
	if (rc)
		return rc;
	if (interrupt_deliverable(e) && (move.kind == CV_MOVE_STEP || !take_interrupt(e)))
		return soft_step(e, exit, over, err);
	if (move.kind == CV_MOVE_STEP)
		return finish(e, stop, exit, over, err);
	rc = enter(e, move.budget, err);
	return rc ? rc : after_exit(e, stop, &move, exit, over, err);
}

static bool whole_run_is_soft(const struct vtx_engine *e, const struct cv_stop *stop)
{
	return stop->step || stop->in_rep || stop->stop_at_delivery || e->nbreaks || e->nwatches;
}

static int run_loop(struct vtx_engine *e, const struct cv_stop *stop, struct cv_exit *exit, struct cv_error *err)
{
	bool over = false;
	int rc = 0;

	if (whole_run_is_soft(e, stop)) {
		e->soft_runs++;
		return soft_run(e, stop, exit, err);
	}
	while (!rc && !over) {
		if (e->s.pos.insns >= stop->insns) {
			exit->kind = CV_EXIT_POSITION;
			return 0;
		}
		if (e->kicked) {
			exit->kind = CV_EXIT_KICK;
			return 0;
		}
		rc = advance(e, stop, exit, &over, err);
	}
	return rc;
}

/* --- The table --- */

static int vtx_run(struct cv_engine *base, const struct cv_stop *stop, struct cv_exit *exit, struct cv_error *err)
{
	struct vtx_engine *e = vtx_of(base);
	int rc = e->err.code;

	memset(exit, 0, sizeof(*exit));
	if (rc)
		cv_error_set(err, rc, "%s", e->err.msg);
	e->kicked = false;
	if (!rc)
		rc = run_loop(e, stop, exit, err);
	e->kicked = false;
	if (rc)
		exit->kind = CV_EXIT_ERROR;
	return rc;
}

static void vtx_free(struct cv_engine *base)
{
	struct vtx_engine *e = base ? vtx_of(base) : NULL;

	if (!e)
		return;
	vtx_device_release(&e->device);
	if (e->soft)
		e->soft->ops->free(e->soft);
	free(e);
}

static void vtx_position(struct cv_engine *base, struct cv_pos *pos)
{
	struct vtx_engine *e = vtx_of(base);

	if (e->soft_running) {
		e->soft->ops->position(e->soft, pos);
		return;
	}
	*pos = e->s.pos;
	if (e->at_slot)
		pos->rip = e->slot_rip;
	else
		pos->rip = e->where == VTX_IN_DEVICE ? vtx_linear_rip(e->run) : cv_vcpu_linear_rip(&e->s);
}

static void vtx_get_state(struct cv_engine *base, struct cv_vcpu_state *s)
{
	struct vtx_engine *e = vtx_of(base);

	if (e->soft_running) {
		e->soft->ops->get_state(e->soft, s);
		return;
	}
	*s = e->s;
	if (e->where == VTX_IN_DEVICE && !read_device(e, &e->err))
		from_device(e, s);
	vtx_position(base, &s->pos);
}

static void vtx_set_state(struct cv_engine *base, const struct cv_vcpu_state *s)
{
	struct vtx_engine *e = vtx_of(base);

	e->s = *s;
	e->s.rflags |= 2;
	e->where = VTX_AT_HOME;
	e->soft_current = false;
	e->flush = true;
}

static void vtx_kick(struct cv_engine *base)
{
	struct vtx_engine *e = vtx_of(base);

	e->kicked = true;
	if (e->soft_running)
		e->soft->ops->kick(e->soft);
}

static void vtx_flush(struct cv_engine *base)
{
	struct vtx_engine *e = vtx_of(base);

	e->protect = e->flush = true;
	e->soft->ops->flush_tlb(e->soft);
}

static void vtx_ram_written(struct cv_engine *base, uint32_t page, uint32_t offset, uint32_t len)
{
	struct vtx_engine *e = vtx_of(base);

	e->soft->ops->ram_written(e->soft, page, offset, len);
}

static int vtx_set_points(struct cv_engine *base, const uint64_t *breaks, size_t nbreaks, const struct cv_watch *watches,
			  size_t nwatches, struct cv_error *err)
{
	struct vtx_engine *e = vtx_of(base);
	int rc = e->soft->ops->set_points(e->soft, breaks, nbreaks, watches, nwatches, err);

	if (rc)
		return rc;
	e->nbreaks = nbreaks;
	e->nwatches = nwatches;
	return 0;
}

static bool vtx_translate(struct cv_engine *base, uint64_t linear, uint64_t *gpa)
{
	struct vtx_engine *e = vtx_of(base);
	struct cv_vcpu_state s;

	if (!e->soft_running && (e->where == VTX_IN_DEVICE || !e->soft_current)) {
		vtx_get_state(base, &s);
		e->soft->ops->set_state(e->soft, &s);
		e->soft_current = e->where == VTX_AT_HOME;
	}
	return e->soft->ops->translate(e->soft, linear, gpa);
}

static void vtx_set_a20(struct cv_engine *base, bool masked)
{
	struct vtx_engine *e = vtx_of(base);

	if (e->soft_running) {
		e->soft->ops->set_a20(e->soft, masked);
		return;
	}
	e->soft_current = e->soft_current && e->s.a20_masked == masked;
	e->s.a20_masked = masked;
}

static const struct cv_engine_ops vtx_ops = {
	.name = "vtx",
	.free = vtx_free,
	.run = vtx_run,
	.get_state = vtx_get_state,
	.set_state = vtx_set_state,
	.position = vtx_position,
	.kick = vtx_kick,
	.flush_tlb = vtx_flush,
	.ram_written = vtx_ram_written,
	.set_points = vtx_set_points,
	.translate = vtx_translate,
	.set_a20 = vtx_set_a20,
};

/* --- Making one --- */

static int check_host(const struct cv_engine_host *host, const struct vtx_device *d, struct cv_error *err)
{
	uint64_t missing = vtx_missing_features(host->model, d->info.refused);
	char text[480];

	if (!(d->info.features & CVVTX_HAS_EXACT_TIMER))
		return cv_error_set(err, CV_E_NOTFOUND,
				    "VT-x works here, but no counter gives exact positions in the unit that recordings use: use --engine soft");
	if (host->unit != CV_COUNT_STEPS)
		return cv_error_set(err, CV_E_BADINPUT,
				    "VT-x counts steps here, and this machine counts instructions: use --count steps, or --engine soft");
	if (missing) {
		vtx_missing_text(host->model, missing, text, sizeof(text));
		return cv_error_set(err, CV_E_NOTFOUND, "%s", text);
	}
	return 0;
}

struct cv_engine *cv_vtx_new(const struct cv_engine_host *host, struct cv_error *err)
{
	struct vtx_engine *e = calloc(1, sizeof(*e));
	int rc;

	if (!e) {
		cv_error_set(err, CV_E_NOMEM, "no memory for the VT-x engine");
		return NULL;
	}
	e->base.ops = &vtx_ops;
	e->host = *host;
	e->forced = -1;
	rc = vtx_device_open(&e->device, err);
	if (!rc)
		rc = check_host(host, &e->device, err);
	if (!rc)
		rc = vtx_device_create(&e->device, host->mem, CVVTX_COUNTER_BENCH, host->model->xcr0_mask, err);
	if (!rc)
		e->soft = new_soft(e, err);
	if (!e->soft) {
		vtx_free(&e->base);
		return NULL;
	}
	e->run = e->device.run;
	e->zeroed = host->mem->zeroed;
	cv_counter_init(&e->counter, CV_COUNTER_BENCH, LATE);
	cv_vcpu_reset(&e->s);
	return &e->base;
}

void cv_vtx_set_skid(struct cv_engine *base, unsigned skid)
{
	struct vtx_engine *e = vtx_of(base);

	cv_counter_simulate(&e->counter, skid, 1);
	e->counter.margin = skid + LATE;
}

void cv_vtx_stats(struct cv_engine *base, char *buf, size_t n)
{
	const struct vtx_engine *e = vtx_of(base);
	char skid[256];

	cv_skid_text(&e->counter, skid, sizeof(skid));
	snprintf(buf, n, "entries %llu, world switches %llu, light exits %llu, soft steps %llu, soft runs %llu, transfers %llu, "
		 "injections %llu, clock reads %llu, %s",
		 (unsigned long long)e->entries, (unsigned long long)e->run->exits, (unsigned long long)e->light,
		 (unsigned long long)e->steps, (unsigned long long)e->soft_runs, (unsigned long long)e->transfers,
		 (unsigned long long)e->injections, (unsigned long long)e->clock_reads, skid);
}
