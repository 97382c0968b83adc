/* SPDX-License-Identifier: MIT */
/*
 * The VT-x module, played by a second software engine: what the module promises (vmm-core/kmod/abi.h), without a device.
 *
 * It defines the functions of vmm-core/vtx/device.c, which the linker then leaves in the library. The guest goes on one step at a
 * time on a software engine that shares RAM alone. A step that touches a device, reads the TSC, halts or executes what VT-x makes exit
 * is undone and reported as that exit; pages that are written are listed once. Signals come in between, at places that a
 * pseudo-random sequence chooses. Include it once in a test program.
 */
#ifndef CV_FAKE_VTX_H
#define CV_FAKE_VTX_H

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm-core/bus.h"
#include "vmm-core/vtx/internal.h"
#include "vmm-core/x86/cpuid.h"
#include "vmm-core/x86/insn.h"

struct fake_vtx {
	struct cv_engine *cpu;
	struct cv_memory mem; /* the machine's RAM with marks of its own */
	struct cv_bus bus;
	struct cv_cpuid_model model;
	struct cvvtx_run run;
	struct cvvtx_tsc ring[CVVTX_RING_SLOTS];
	uint32_t dirty[CVVTX_DIRTY_SLOTS];
	uint32_t listed; /* so many of mem.dirty are in the list, or were */
	struct cv_vcpu_state s, before;
	bool mmio, pio, tsc, protect_missed;
	uint16_t port;
	unsigned size;
	uint64_t rng, monotonic, entries, sets, gets;
};

static struct fake_vtx *fake_vtx; /* the one machine on it */

/* --- The guest's instruction touches something --- */

static uint64_t fake_mmio_read(void *dev, uint64_t offset, unsigned size)
{
	(void)offset;
	(void)size;
	((struct fake_vtx *)dev)->mmio = true;
	return 0;
}

static void fake_mmio_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	(void)v;
	fake_mmio_read(dev, offset, size);
}

static uint64_t fake_pio_read(void *dev, uint64_t offset, unsigned size)
{
	struct fake_vtx *f = dev;

	f->pio = true;
	f->port = (uint16_t)offset;
	f->size = size;
	return 0;
}

static void fake_pio_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	(void)v;
	fake_pio_read(dev, offset, size);
}

static uint64_t fake_tsc(void *ctx)
{
	((struct fake_vtx *)ctx)->tsc = true;
	return 0;
}

static void fake_entropy(void *ctx, uint8_t *p, size_t n)
{
	fake_tsc(ctx);
	memset(p, 0, n);
}

static const struct cv_io_ops fake_mmio_ops = {.read = fake_mmio_read, .write = fake_mmio_write};
static const struct cv_io_ops fake_pio_ops = {.read = fake_pio_read, .write = fake_pio_write};

/* --- Exits --- */

static bool fake_decode(struct fake_vtx *f, struct cv_insn *i)
{
	const struct cv_vcpu_state *s = &f->before;
	unsigned mode = s->efer & CV_EFER_LMA && s->seg[CV_CS].ar & CV_AR_L ? 64 : s->seg[CV_CS].ar & CV_AR_DB ? 32 : 16;
	uint64_t la = mode == 64 ? s->rip : (uint32_t)(s->seg[CV_CS].base + s->rip), gpa;
	uint8_t p[15];
	size_t n = 0;

	while (n < sizeof(p) && f->cpu->ops->translate(f->cpu, la + n, &gpa) && cv_memory_read(&f->mem, gpa, p + n, 1) == 1)
		n++;
	return cv_decode(p, n, mode, f->model.features, i) == CV_DECODE_OK;
}

/* What exits whatever it does, once its privilege has been checked. -1: nothing. */
static int fake_exit_of(const struct fake_vtx *f, const struct cv_insn *i)
{
	bool system = !cv_vcpu_cpl(&f->before);

	switch (i->op) {
	case CV_OP_cpuid: return 10;
	case CV_OP_hlt: return system ? 12 : -1;
	case CV_OP_invd: return system ? 13 : -1;
	case CV_OP_rdmsr: return system ? 31 : -1;
	case CV_OP_wrmsr: return system ? 32 : -1;
	case CV_OP_mov_to_cr: case CV_OP_clts: case CV_OP_lmsw: return system ? 28 : -1;
	case CV_OP_mov_from_cr: return system && i->reg == 8 ? 28 : -1;
	case CV_OP_mov_to_dr: case CV_OP_mov_from_dr: return system ? 29 : -1;
	case CV_OP_wbinvd: return system ? 54 : -1;
	case CV_OP_xsetbv: return system ? 55 : -1;
	case CV_OP_rdpmc: return system ? 15 : -1;
	case CV_OP_invpcid: return system ? 58 : -1;
	case CV_OP_lgdt: case CV_OP_lidt: case CV_OP_sgdt: case CV_OP_sidt: return f->run.flags & CVVTX_RUN_DTABLE && system ? 46 : -1;
	case CV_OP_lldt: case CV_OP_ltr: case CV_OP_sldt: case CV_OP_str: return f->run.flags & CVVTX_RUN_DTABLE && system ? 47 : -1;
	default: return -1;
	}
}

static int fake_exit(struct fake_vtx *f, const struct cv_insn *i, uint32_t exit)
{
	f->s = f->before; /* undone */
	f->run.exit = exit;
	f->run.insn_len = i->len;
	return 0;
}

static void fake_qualify_io(struct fake_vtx *f, const struct cv_insn *i)
{
	f->run.qualification = (uint64_t)f->port << 16 | (f->size - 1);
	if (i->op == CV_OP_in || i->op == CV_OP_ins)
		f->run.qualification |= 8;
	if (i->op == CV_OP_ins || i->op == CV_OP_outs)
		f->run.qualification |= 0x10;
}

/* RUN_TSC: the answer, noted in the ring. */
static void fake_answer_tsc(struct fake_vtx *f, const struct cv_insn *i)
{
	struct cvvtx_run *r = &f->run;
	struct cvvtx_tsc *slot = &f->ring[r->nring++];
	uint64_t v = (f->monotonic += 1000) + r->tsc_delta;

	r->tsc_floor = v = v < r->tsc_floor ? r->tsc_floor : v;
	f->s = f->before;
	*slot = (struct cvvtx_tsc){.units = r->units, .value = v, .rip = (uint32_t)(f->s.seg[CV_CS].base + f->s.rip)};
	f->s.gpr[CV_RAX] = (uint32_t)v;
	f->s.gpr[CV_RDX] = v >> 32;
	f->s.rip += i->len;
	f->s.rflags &= ~(uint64_t)CV_FLAG_RF;
	f->s.shadow = 0;
	f->s.pos.insns++;
	if (f->s.rflags & CV_FLAG_TF)
		f->s.pending_db |= 1u << 14;
	f->cpu->ops->set_state(f->cpu, &f->s);
}

/* One step of the guest. true: it has become an exit. */
static bool fake_step(struct fake_vtx *f)
{
	const struct cv_stop stop = {.insns = UINT64_MAX, .step = true};
	struct cv_insn i = {0};
	struct cv_exit exit;
	int reason = -1;

	f->before = f->s;
	f->mmio = f->pio = f->tsc = false;
	if (!f->s.pending_db && fake_decode(f, &i))
		reason = fake_exit_of(f, &i);
	if (reason >= 0) {
		fake_exit(f, &i, (uint32_t)reason);
		return true;
	}
	ck_assert_int_eq(f->cpu->ops->run(f->cpu, &stop, &exit, NULL), 0);
	f->cpu->ops->get_state(f->cpu, &f->s);
	if (exit.kind == CV_EXIT_SHUTDOWN) {
		fake_exit(f, &i, 2);
		return true;
	}
	ck_assert_int_eq(exit.kind, CV_EXIT_POSITION);
	if (!f->pio && !f->mmio && !f->tsc)
		return false;
	if (f->tsc && i.op == CV_OP_rdtsc && f->run.flags & CVVTX_RUN_TSC && f->run.nring < CVVTX_RING_SLOTS) {
		fake_answer_tsc(f, &i);
		return false;
	}
	if (f->pio)
		fake_qualify_io(f, &i);
	fake_exit(f, &i, f->pio ? 30 : f->mmio ? CVVTX_EXIT_MMIO : i.op == CV_OP_rdtsc ? 16 : i.op == CV_OP_rdtscp ? 51 : 57);
	return true;
}

static void fake_list_dirty(struct fake_vtx *f)
{
	while (f->listed < f->mem.ndirty && f->run.ndirty < CVVTX_DIRTY_SLOTS)
		f->dirty[f->run.ndirty++] = f->mem.dirty[f->listed++];
}

/* What ends a RUN between two instructions. */
static bool fake_between(struct fake_vtx *f)
{
	struct cvvtx_run *r = &f->run;
	uint32_t exit;

	f->rng = f->rng * 6364136223846793005ull + 1442695040888963407ull;
	if (r->leave || f->rng >> 56 == 0)
		exit = CVVTX_EXIT_SIGNAL;
	else if (f->run.ndirty > CVVTX_DIRTY_SLOTS - 64)
		exit = CVVTX_EXIT_DIRTY;
	else if (r->flags & CVVTX_RUN_INTR_WINDOW && f->s.rflags & CV_FLAG_IF && !f->s.shadow && !f->s.pending_db)
		exit = 7;
	else if (r->flags & CVVTX_RUN_NMI_WINDOW && !f->s.nmi_blocked && !(f->s.shadow & CV_SHADOW_MOVSS) && !f->s.pending_db)
		exit = 8;
	else if (r->units >= r->budget && !f->s.pending_db) /* a trap comes first, and counts */
		exit = CVVTX_EXIT_COUNT;
	else
		return false;
	r->exit = exit;
	return true;
}

/* The event can only be delivered by an engine that takes interrupts: this one is given the vector as the software engine asks for it. */
static bool fake_irq_pending(void *dev)
{
	return ((struct fake_vtx *)dev)->run.inject != 0;
}

static int fake_irq_acknowledge(void *dev)
{
	struct fake_vtx *f = dev;
	int vector = f->run.inject & 0xff;

	f->run.inject = 0;
	return vector;
}

static uint64_t fake_get_cr8(void *dev)
{
	fake_tsc(dev);
	return 0;
}

static void fake_set_cr8(void *dev, uint64_t v)
{
	(void)v;
	fake_tsc(dev);
}

static bool fake_write_msr(void *dev, uint32_t msr, uint64_t v)
{
	(void)dev;
	(void)msr;
	(void)v;
	return false;
}

static bool fake_read_msr(void *dev, uint32_t msr, uint64_t *v)
{
	*v = 0;
	return fake_write_msr(dev, msr, 0);
}

static const struct cv_irqchip_ops fake_irqchip_ops = {.pending = fake_irq_pending,
						       .acknowledge = fake_irq_acknowledge,
						       .get_cr8 = fake_get_cr8,
						       .set_cr8 = fake_set_cr8,
						       .read_msr = fake_read_msr,
						       .write_msr = fake_write_msr};

/* --- The functions of device.c --- */

int vtx_device_open(struct vtx_device *d, struct cv_error *err)
{
	(void)err;
	memset(d, 0, sizeof(*d));
	d->fd = -1;
	d->info.version = CVVTX_ABI_VERSION;
	d->info.features = CVVTX_HAS_EXACT_TIMER | CVVTX_HAS_PREEMPTION_TIMER;
	return 0;
}

int vtx_device_create(struct vtx_device *d, const struct cv_memory *mem, uint32_t counter, uint64_t xcr0, struct cv_error *err)
{
	struct fake_vtx *f = calloc(1, sizeof(*f));
	struct cv_engine_host host = {.tsc = fake_tsc, .entropy = fake_entropy, .unit = CV_COUNT_STEPS};

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(counter, CVVTX_COUNTER_BENCH);
	ck_assert_uint_eq(xcr0 & 1, 1);
	f->mem = *mem;
	f->mem.flags = calloc(mem->pages, 1);
	f->mem.dirty = calloc(mem->pages, sizeof(*f->mem.dirty));
	f->mem.ndirty = 0;
	f->mem.written = NULL;
	ck_assert(f->mem.flags && f->mem.dirty);
	cv_bus_add_mmio(&f->bus, mem->size, (1ull << 32) - mem->size, &fake_mmio_ops, f);
	cv_bus_add_pio(&f->bus, 0, 0x10000, &fake_pio_ops, f);
	ck_assert_int_eq(cv_cpuid_model_parse(xcr0 & 4 ? "v3" : "v2", &f->model, err), 0);
	host.mem = &f->mem;
	host.bus = &f->bus;
	host.model = &f->model;
	host.ctx = f;
	host.irqchip = &fake_irqchip_ops;
	host.irqchip_dev = f;
	f->cpu = cv_soft_new(&host, err);
	ck_assert_ptr_nonnull(f->cpu);
	f->rng = 1;
	fake_vtx = f;
	d->pages = f;
	d->run = &f->run;
	d->ring = f->ring;
	d->dirty = f->dirty;
	return 0;
}

void vtx_device_release(struct vtx_device *d)
{
	struct fake_vtx *f = d->pages;

	if (f) {
		f->cpu->ops->free(f->cpu);
		free(f->mem.flags);
		free(f->mem.dirty);
		free(f);
	}
	memset(d, 0, sizeof(*d));
	d->fd = -1;
	fake_vtx = NULL;
}

/* A signal that comes before the entry leaves `inject` alone. */
static bool fake_late_signal(struct fake_vtx *f)
{
	f->rng = f->rng * 6364136223846793005ull + 1442695040888963407ull;
	if (f->rng >> 59)
		return false;
	f->run.exit = CVVTX_EXIT_SIGNAL;
	return true;
}

/* false: an exception came in between, and `vector_info` tells what was broken off. */
static bool fake_inject(struct fake_vtx *f)
{
	const struct cv_stop stop = {.insns = UINT64_MAX, .step = true};
	const uint32_t info = f->run.inject;
	struct cv_exit exit;

	f->before = f->s;
	f->mmio = false;
	ck_assert_uint_eq(f->s.rflags & CV_FLAG_IF, CV_FLAG_IF);
	ck_assert_uint_eq(f->s.shadow, 0);
	ck_assert_int_eq(f->cpu->ops->run(f->cpu, &stop, &exit, NULL), 0);
	ck_assert_uint_eq(f->run.inject, 0);
	f->cpu->ops->get_state(f->cpu, &f->s);
	fake_list_dirty(f);
	if (f->s.pos.insns == f->before.pos.insns && !f->mmio)
		return true;
	f->s = f->before;
	f->run.exit = f->mmio ? CVVTX_EXIT_MMIO : 0;
	f->run.vector_info = info | CVVTX_VECTOR_INJECTED;
	vtx_to_run(&f->s, &f->run);
	return false;
}

int vtx_device_run(struct vtx_device *d, struct cv_error *err)
{
	struct fake_vtx *f = d->pages;
	struct cvvtx_run *r = &f->run;

	(void)err;
	f->entries++;
	memcpy(f->s.gpr, r->gpr, sizeof(r->gpr));
	f->s.rip = r->rip;
	f->s.rflags = r->rflags;
	f->s.cr2 = r->cr2;
	memcpy(f->s.dr, r->dr, sizeof(r->dr));
	f->s.shadow = r->interruptibility & 3;
	f->s.nmi_blocked = r->interruptibility & 8;
	f->cpu->ops->set_state(f->cpu, &f->s);
	r->units = 0;
	r->vector_info = 0;
	if (r->inject && (fake_late_signal(f) || !fake_inject(f)))
		return 0;
	for (;;) {
		uint64_t insns = f->s.pos.insns;

		if (fake_between(f) || fake_step(f))
			break;
		fake_list_dirty(f);
		r->units += f->s.pos.insns - insns;
		if (r->flags & CVVTX_RUN_STEP) {
			r->exit = CVVTX_EXIT_STEP;
			break;
		}
	}
	fake_list_dirty(f);
	vtx_to_run(&f->s, r);
	return 0;
}

int vtx_device_get(struct vtx_device *d, struct cvvtx_state *s, struct cv_error *err)
{
	struct fake_vtx *f = d->pages;

	(void)err;
	f->gets++;
	vtx_to_device(&f->s, s);
	s->xsave[28] = 0xff; /* MXCSR_MASK, as XSAVE leaves it */
	for (unsigned k = 0; k < CV_NSEGS; k++)
		if (s->seg[k].ar & CV_AR_UNUSABLE)
			s->seg[k].limit = 0x1234; /* undefined */
	return 0;
}

int vtx_device_set(struct vtx_device *d, const struct cvvtx_state *s, struct cv_error *err)
{
	struct fake_vtx *f = d->pages;

	(void)err;
	f->sets++;
	ck_assert_uint_eq(s->pending_dbg, 0);
	vtx_from_device(s, &f->run, &f->s);
	return 0;
}

int vtx_device_command(struct vtx_device *d, unsigned long request, struct cv_error *err)
{
	struct fake_vtx *f = d->pages;

	(void)err;
	if (request == CVVTX_PROTECT || request == CVVTX_DROP) {
		cv_memory_clear_dirty(&f->mem);
		f->listed = 0;
	}
	f->cpu->ops->flush_tlb(f->cpu);
	return 0;
}

#endif
