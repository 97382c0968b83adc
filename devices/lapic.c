/* SPDX-License-Identifier: MIT */
/*
 * Local APIC in xAPIC mode (SDM 3A chapter 11) of the one CPU, and the interrupt controller as the engine sees it.
 *
 * An interrupt is for the CPU when the highest vector in IRR is of a higher priority class than PPR, or when INTR of
 * the PIC reaches it: through LVT0 in ExtINT mode (virtual wire), through an IOAPIC pin in ExtINT mode, or straight
 * when the APIC is off in MSR 1Bh. `pending` caches the answer. At power-on LVT0 is in ExtINT mode and open, as
 * firmware leaves it, so that the PIC works for kernels that know no APIC.
 *
 * The timer counts at 25 MHz over its divider, computed from (now, loaded). A periodic timer whose periods went by
 * unseen fires once and goes on in phase. The TSC deadline is compared with guest ns + the CPU's TSC offset; when a
 * guest moves its TSC, the engine writes the deadline again.
 */
#include <stdlib.h>
#include <string.h>

#include "devices/devices.h"

#define SAVE_VERSION 1

#define BASE_BSP (1ull << 8)
#define BASE_X2APIC (1ull << 10)
#define BASE_ENABLE (1ull << 11)
#define SVR_ENABLE 0x100u
#define SVR_WRITABLE 0x3ffu
#define LVT_MASK 0x10000u
#define LVT_LEVEL 0x8000u
#define LVT_REMOTE_IRR 0x4000u
#define ESR_SEND_ILLEGAL 0x20u
#define ESR_RECV_ILLEGAL 0x40u
#define ESR_REGISTER 0x80u
#define MSR_APIC_BASE 0x1b
#define MSR_TSC_DEADLINE 0x6e0

enum { TIMER_ONESHOT, TIMER_PERIODIC, TIMER_DEADLINE };

enum {
	REG_ID = 0x20, REG_VERSION = 0x30, REG_TPR = 0x80, REG_APR = 0x90, REG_PPR = 0xa0, REG_EOI = 0xb0, REG_RRD = 0xc0,
	REG_LDR = 0xd0, REG_DFR = 0xe0, REG_SVR = 0xf0, REG_ISR = 0x100, REG_TMR = 0x180, REG_IRR = 0x200,
	REG_ESR = 0x280, REG_ICR_LOW = 0x300, REG_ICR_HIGH = 0x310, REG_LVT = 0x320, REG_INITIAL = 0x380,
	REG_CURRENT = 0x390, REG_DIVIDE = 0x3e0
};

static const uint32_t lvt_writable[CV_LVTS] = {
	[CV_LVT_TIMER] = 0x700ff, [CV_LVT_THERMAL] = 0x107ff, [CV_LVT_PERF] = 0x107ff,
	[CV_LVT_LINT0] = 0x1a7ff, [CV_LVT_LINT1] = 0x1a7ff, [CV_LVT_ERROR] = 0x100ff,
};

/* --- Vectors and priorities --- */

static int highest_bit(const uint32_t v[8])
{
	int i;

	for (i = 7; i >= 0; i--)
		if (v[i])
			return i * 32 + 31 - __builtin_clz(v[i]);
	return -1;
}

static void set_bit(uint32_t v[8], unsigned bit, bool on)
{
	if (on)
		v[bit >> 5] |= 1u << (bit & 31);
	else
		v[bit >> 5] &= ~(1u << (bit & 31));
}

static bool hardware_enabled(const struct cv_lapic *l)
{
	return l->base & BASE_ENABLE;
}

static bool software_enabled(const struct cv_lapic *l)
{
	return hardware_enabled(l) && (l->svr & SVR_ENABLE);
}

static uint32_t ppr(const struct cv_lapic *l)
{
	int serving = highest_bit(l->isr);
	uint32_t class = serving < 0 ? 0 : (uint32_t)serving & 0xf0;

	return (l->tpr & 0xf0) >= class ? l->tpr : class;
}

/* The vector that the CPU would take from IRR, or -1. */
static int deliverable(const struct cv_lapic *l)
{
	int v = highest_bit(l->irr);

	if (v < 0 || !software_enabled(l) || ((uint32_t)v & 0xf0) <= (ppr(l) & 0xf0))
		return -1;
	return v;
}

static bool pic_reaches_cpu(const struct cv_lapic *l)
{
	uint32_t lint0 = l->lvt[CV_LVT_LINT0];

	if (!hardware_enabled(l))
		return l->pic_line;
	return (l->pic_line && !(lint0 & LVT_MASK) && (lint0 >> 8 & 7) == CV_APIC_EXTINT) || l->extint;
}

static void update(struct cv_lapic *l)
{
	l->pending = pic_reaches_cpu(l) || deliverable(l) >= 0;
}

static void lvt_fire(struct cv_lapic *l, unsigned which);

static void flag_error(struct cv_lapic *l, uint32_t bit)
{
	if (l->esr_pending & bit)
		return;
	l->esr_pending |= bit;
	lvt_fire(l, CV_LVT_ERROR);
}

/* A fixed interrupt arrives. */
static void accept(struct cv_lapic *l, uint8_t vector, bool level)
{
	if (vector < 16) {
		flag_error(l, ESR_RECV_ILLEGAL);
		return;
	}
	set_bit(l->irr, vector, true);
	set_bit(l->tmr, vector, level);
	update(l);
}

static void raise_nmi(struct cv_lapic *l)
{
	if (l->m->raise_nmi)
		l->m->raise_nmi(l->m);
}

static void lvt_fire(struct cv_lapic *l, unsigned which)
{
	uint32_t e = l->lvt[which];
	unsigned mode = which == CV_LVT_TIMER || which == CV_LVT_ERROR ? CV_APIC_FIXED : e >> 8 & 7;

	if (e & LVT_MASK)
		return;
	if (mode == CV_APIC_FIXED)
		accept(l, (uint8_t)e, false);
	else if (mode == CV_APIC_NMI)
		raise_nmi(l);
}

static bool addressed(const struct cv_lapic *l, uint8_t dest, bool logical)
{
	uint8_t mine = (uint8_t)(l->ldr >> 24);

	if (!logical)
		return dest == 0xff || dest == l->id >> 24;
	if (l->dfr >> 28 == 0xf) /* flat */
		return dest & mine;
	return (dest >> 4 == 0xf || dest >> 4 == mine >> 4) && (dest & mine & 0xf); /* cluster */
}

bool cv_lapic_deliver(struct cv_lapic *l, uint8_t dest, bool logical, unsigned mode, uint8_t vector, bool level)
{
	if (!hardware_enabled(l) || !addressed(l, dest, logical))
		return false;
	switch (mode) {
	case CV_APIC_FIXED:
	case CV_APIC_LOWEST:
		if (!software_enabled(l))
			return false;
		accept(l, vector, level);
		return true;
	case CV_APIC_NMI:
		raise_nmi(l);
		return true;
	default: /* SMI, INIT and SIPI find nobody who would act on them: the one CPU runs already */
		return false;
	}
}

void cv_lapic_set_pic(struct cv_lapic *l, bool level)
{
	bool edge = level && !l->pic_line;

	l->pic_line = level;
	if (edge && software_enabled(l))
		lvt_fire(l, CV_LVT_LINT0); /* LINT0 in fixed or NMI mode */
	update(l);
}

void cv_lapic_set_extint(struct cv_lapic *l, bool level)
{
	l->extint = level;
	update(l);
}

static void end_of_interrupt(struct cv_lapic *l)
{
	int v = highest_bit(l->isr);

	if (v < 0)
		return;
	set_bit(l->isr, (unsigned)v, false);
	if (l->tmr[v >> 5] >> (v & 31) & 1)
		cv_ioapic_eoi(l->ioapic, (uint8_t)v);
	update(l);
}

/* --- Timer --- */

static unsigned timer_mode(const struct cv_lapic *l)
{
	return l->lvt[CV_LVT_TIMER] >> 17 & 3;
}

static uint64_t tick_ns(const struct cv_lapic *l)
{
	unsigned code = (l->divide & 3) | (l->divide >> 1 & 4);

	return (uint64_t)CV_LAPIC_TICK_NS << ((code + 1) & 7);
}

static uint64_t tsc_offset(const struct cv_lapic *l)
{
	return l->m->tsc_offset ? l->m->tsc_offset(l->m) : 0;
}

/* Guest ns at which the TSC reaches the deadline; in the past: now. */
static uint64_t deadline_ns(const struct cv_lapic *l)
{
	uint64_t now = cv_clock_now(&l->m->clock);
	uint64_t tsc = now + tsc_offset(l);

	if (l->tsc_deadline <= tsc)
		return now;
	return l->tsc_deadline - tsc < CV_NEVER - 1 - now ? now + (l->tsc_deadline - tsc) : CV_NEVER - 1;
}

/* Sets the deadline that follows from the timer's registers at guest time now. */
static void timer_arm(struct cv_lapic *l, uint64_t now)
{
	uint64_t period = l->initial * tick_ns(l);

	if (timer_mode(l) == TIMER_DEADLINE) {
		cv_timer_arm(&l->timer, l->tsc_deadline ? deadline_ns(l) : CV_NEVER);
		return;
	}
	if (!l->initial) {
		cv_timer_cancel(&l->timer);
		return;
	}
	if (now < l->loaded + period)
		cv_timer_arm(&l->timer, l->loaded + period);
	else if (timer_mode(l) == TIMER_PERIODIC)
		cv_timer_arm(&l->timer, l->loaded + ((now - l->loaded) / period + 1) * period);
	else
		cv_timer_cancel(&l->timer);
}

static void timer_expired(void *dev, uint64_t when)
{
	struct cv_lapic *l = dev;
	uint64_t now = cv_clock_now(&l->m->clock);

	(void)when;
	if (timer_mode(l) == TIMER_DEADLINE) {
		uint64_t due = deadline_ns(l);

		if (due > now) { /* the TSC was set back */
			cv_timer_arm(&l->timer, due);
			return;
		}
		l->tsc_deadline = 0;
	} else {
		timer_arm(l, now);
	}
	lvt_fire(l, CV_LVT_TIMER);
}

static uint32_t timer_current(struct cv_lapic *l)
{
	uint64_t elapsed;

	if (timer_mode(l) == TIMER_DEADLINE || !l->initial || l->timer.when == CV_NEVER)
		return 0;
	elapsed = (cv_clock_read(&l->m->clock, CV_EV_CLOCK) - l->loaded) / tick_ns(l);
	if (timer_mode(l) == TIMER_PERIODIC)
		return l->initial - (uint32_t)(elapsed % l->initial);
	return elapsed >= l->initial ? 0 : l->initial - (uint32_t)elapsed;
}

static void write_initial(struct cv_lapic *l, uint32_t v)
{
	if (timer_mode(l) == TIMER_DEADLINE)
		return;
	l->initial = v;
	if (v)
		l->loaded = cv_clock_read(&l->m->clock, CV_EV_CLOCK);
	timer_arm(l, l->loaded);
}

/* A running count goes on from where it is, at the new rate. */
static void write_divide(struct cv_lapic *l, uint32_t v)
{
	uint64_t now, done;

	v &= 0xb;
	if (v == l->divide)
		return;
	if (timer_mode(l) == TIMER_DEADLINE || l->timer.when == CV_NEVER) {
		l->divide = v;
		return;
	}
	now = cv_clock_read(&l->m->clock, CV_EV_CLOCK);
	done = (now - l->loaded) / tick_ns(l);
	if (timer_mode(l) == TIMER_PERIODIC)
		done %= l->initial;
	l->divide = v;
	l->loaded = now - done * tick_ns(l); /* modulo 2^64: may lie before power-on */
	timer_arm(l, now);
}

/* Has a one-shot count come to its end, though its deadline is yet to fire? Then it does now. */
static void finish_one_shot(struct cv_lapic *l)
{
	if (l->timer.when == CV_NEVER || cv_clock_read(&l->m->clock, CV_EV_CLOCK) < l->timer.when)
		return;
	cv_timer_cancel(&l->timer);
	lvt_fire(l, CV_LVT_TIMER);
}

/* A periodic count that becomes a one-shot one ends with the period that it is in. */
static void finish_periods(struct cv_lapic *l)
{
	uint64_t now, period = l->initial * tick_ns(l);

	if (l->timer.when == CV_NEVER)
		return;
	now = cv_clock_read(&l->m->clock, CV_EV_CLOCK);
	if (now >= l->timer.when)
		lvt_fire(l, CV_LVT_TIMER);
	l->loaded += (now - l->loaded) / period * period;
	cv_timer_arm(&l->timer, l->loaded + period);
}

static void write_lvt_timer(struct cv_lapic *l, uint32_t v)
{
	unsigned old = timer_mode(l);

	if (old == TIMER_ONESHOT && (v >> 17 & 3) == TIMER_PERIODIC)
		finish_one_shot(l);
	else if (old == TIMER_PERIODIC && (v >> 17 & 3) == TIMER_ONESHOT)
		finish_periods(l);
	l->lvt[CV_LVT_TIMER] = v;
	if (timer_mode(l) == old)
		return;
	/* Between deadline mode and the others the timer is disarmed (SDM 3A 11.5.4.1). */
	if (timer_mode(l) == TIMER_DEADLINE || old == TIMER_DEADLINE) {
		l->initial = 0;
		l->tsc_deadline = 0;
		cv_timer_cancel(&l->timer);
	}
	/* One-shot and periodic share the count: a running one becomes the other at its end. */
}

/* --- Registers --- */

static void send_ipi(struct cv_lapic *l)
{
	unsigned mode = l->icr_low >> 8 & 7, shorthand = l->icr_low >> 18 & 3;
	uint8_t vector = (uint8_t)l->icr_low;

	if (mode <= CV_APIC_LOWEST && vector < 16) {
		flag_error(l, ESR_SEND_ILLEGAL);
		return;
	}
	switch (shorthand) {
	case 0:
		cv_lapic_deliver(l, (uint8_t)(l->icr_high >> 24), l->icr_low >> 11 & 1, mode, vector, false);
		break;
	case 1: /* self */
	case 2: /* all, including self */
		cv_lapic_deliver(l, 0xff, false, mode, vector, false);
		break;
	default: /* all but self: nobody */
		break;
	}
}

static int lvt_index(unsigned reg)
{
	return reg >= REG_LVT && reg < REG_LVT + 0x10 * CV_LVTS ? (int)(reg - REG_LVT) >> 4 : -1;
}

static uint32_t read_register(struct cv_lapic *l, unsigned reg)
{
	if (reg >= REG_ISR && reg < REG_ESR) {
		const uint32_t *v = reg < REG_TMR ? l->isr : reg < REG_IRR ? l->tmr : l->irr;

		return v[reg >> 4 & 7];
	}
	if (lvt_index(reg) >= 0)
		return l->lvt[lvt_index(reg)];
	switch (reg) {
	case REG_ID:
		return l->id;
	case REG_VERSION:
		return (CV_LVTS - 1) << 16 | 0x14;
	case REG_TPR:
		return l->tpr;
	case REG_APR:
	case REG_PPR:
		return ppr(l);
	case REG_EOI:
	case REG_RRD:
		return 0;
	case REG_LDR:
		return l->ldr;
	case REG_DFR:
		return l->dfr;
	case REG_SVR:
		return l->svr;
	case REG_ESR:
		return l->esr;
	case REG_ICR_LOW:
		return l->icr_low;
	case REG_ICR_HIGH:
		return l->icr_high;
	case REG_INITIAL:
		return l->initial;
	case REG_CURRENT:
		return timer_current(l);
	case REG_DIVIDE:
		return l->divide;
	default:
		flag_error(l, ESR_REGISTER);
		return 0;
	}
}

static void write_lvt(struct cv_lapic *l, unsigned which, uint32_t v)
{
	v &= lvt_writable[which];
	if (!(l->svr & SVR_ENABLE))
		v |= LVT_MASK;
	if (which == CV_LVT_TIMER)
		write_lvt_timer(l, v);
	else
		l->lvt[which] = v;
	update(l);
}

static void write_svr(struct cv_lapic *l, uint32_t v)
{
	bool was = l->svr & SVR_ENABLE;
	unsigned i;

	l->svr = v & SVR_WRITABLE;
	if (was && !(v & SVR_ENABLE))
		for (i = 0; i < CV_LVTS; i++)
			l->lvt[i] |= LVT_MASK;
	update(l);
}

static void write_register(struct cv_lapic *l, unsigned reg, uint32_t v)
{
	if (lvt_index(reg) >= 0) {
		write_lvt(l, (unsigned)lvt_index(reg), v);
		return;
	}
	switch (reg) {
	case REG_ID:
		l->id = v & 0xff000000;
		break;
	case REG_TPR:
		l->tpr = v & 0xff;
		update(l);
		break;
	case REG_EOI:
		end_of_interrupt(l);
		break;
	case REG_LDR:
		l->ldr = v & 0xff000000;
		break;
	case REG_DFR:
		l->dfr = v | 0x0fffffff;
		break;
	case REG_SVR:
		write_svr(l, v);
		break;
	case REG_ESR:
		l->esr = l->esr_pending;
		l->esr_pending = 0;
		break;
	case REG_ICR_LOW:
		l->icr_low = v & 0xccfff;
		send_ipi(l);
		break;
	case REG_ICR_HIGH:
		l->icr_high = v & 0xff000000;
		break;
	case REG_INITIAL:
		write_initial(l, v);
		break;
	case REG_DIVIDE:
		write_divide(l, v);
		break;
	case REG_VERSION:
	case REG_APR:
	case REG_PPR:
	case REG_RRD:
	case REG_CURRENT:
		break;
	default:
		if (reg < REG_ISR || reg >= REG_ESR)
			flag_error(l, ESR_REGISTER);
		break;
	}
}

static uint64_t lapic_read(void *dev, uint64_t offset, unsigned size)
{
	struct cv_lapic *l = dev;
	uint32_t v;

	if (!hardware_enabled(l))
		return UINT64_MAX;
	if ((offset & 0xf) >= 4)
		return 0;
	v = read_register(l, (unsigned)offset & ~0xfu);
	(void)size;
	return v >> (8 * (offset & 3));
}

static void lapic_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	struct cv_lapic *l = dev;

	/* Only aligned 32-bit writes are defined (SDM 3A 11.4.1). */
	if (hardware_enabled(l) && !(offset & 0xf) && size == 4)
		write_register(l, (unsigned)offset, (uint32_t)v);
}

/* --- The engine's view --- */

static bool lapic_pending(void *dev)
{
	return ((const struct cv_lapic *)dev)->pending;
}

static int lapic_acknowledge(void *dev)
{
	struct cv_lapic *l = dev;
	int v = deliverable(l);

	if (v >= 0) {
		set_bit(l->irr, (unsigned)v, false);
		set_bit(l->isr, (unsigned)v, true);
		update(l);
		return v;
	}
	if (pic_reaches_cpu(l))
		return (int)cv_pic_acknowledge(l->pic);
	return -1;
}

static uint64_t lapic_get_cr8(void *dev)
{
	return ((const struct cv_lapic *)dev)->tpr >> 4;
}

static void lapic_set_cr8(void *dev, uint64_t v)
{
	struct cv_lapic *l = dev;

	l->tpr = (uint32_t)(v & 0xf) << 4;
	update(l);
}

/* Power-on values of all that the guest can turn off and on again with MSR 1Bh. */
static void reset_registers(struct cv_lapic *l)
{
	unsigned i;

	l->id = CV_LAPIC_ID << 24;
	l->tpr = l->ldr = 0;
	l->dfr = 0xffffffff;
	l->svr = 0xff;
	memset(l->isr, 0, sizeof(l->isr));
	memset(l->tmr, 0, sizeof(l->tmr));
	memset(l->irr, 0, sizeof(l->irr));
	l->esr = l->esr_pending = 0;
	l->icr_low = l->icr_high = 0;
	for (i = 0; i < CV_LVTS; i++)
		l->lvt[i] = LVT_MASK;
	l->initial = l->divide = 0;
	l->loaded = l->tsc_deadline = 0;
	cv_timer_cancel(&l->timer);
}

/*
 * Puts the page of registers at another place (SDM 3A 11.4.5). false: it can't go where RAM or another chip answers. Firmware
 * that moves the APIC moves it to where nobody is.
 */
static bool move_registers(struct cv_lapic *l, uint64_t base)
{
	if (base == (l->base & ~0xfffull))
		return true;
	return cv_memory_gpa_to_page(&l->m->mem, base) < 0 && cv_bus_move_mmio(&l->m->bus, l->base & ~0xfffull, base);
}

static bool write_base(struct cv_lapic *l, uint64_t v)
{
	bool was = hardware_enabled(l);

	/* There is no x2APIC. */
	if ((v & (BASE_X2APIC | 0x2ff)) || v >> l->m->model.phys_bits || !move_registers(l, v & ~0xfffull))
		return false;
	l->base = v;
	if (was && !hardware_enabled(l))
		reset_registers(l);
	update(l);
	return true;
}

static bool lapic_read_msr(void *dev, uint32_t msr, uint64_t *v)
{
	struct cv_lapic *l = dev;

	if (msr == MSR_APIC_BASE)
		*v = l->base;
	else if (msr == MSR_TSC_DEADLINE)
		*v = l->tsc_deadline;
	else
		return false;
	return true;
}

static bool lapic_write_msr(void *dev, uint32_t msr, uint64_t v)
{
	struct cv_lapic *l = dev;

	switch (msr) {
	case MSR_APIC_BASE:
		return write_base(l, v);
	case MSR_TSC_DEADLINE:
		if (timer_mode(l) == TIMER_DEADLINE && hardware_enabled(l)) {
			l->tsc_deadline = v;
			timer_arm(l, 0);
		}
		return true;
	default:
		return false;
	}
}

/* --- Life --- */

static void lapic_reset(void *dev)
{
	struct cv_lapic *l = dev;

	move_registers(l, CV_LAPIC_BASE);
	l->base = CV_LAPIC_BASE | BASE_ENABLE | BASE_BSP;
	reset_registers(l);
	l->lvt[CV_LVT_LINT0] = CV_APIC_EXTINT << 8;
	l->pic_line = l->pic->out;
	l->extint = false;
	update(l);
}

static void lapic_save(const void *dev, struct cv_wbuf *w)
{
	const struct cv_lapic *l = dev;
	unsigned i;

	cv_put_u8(w, SAVE_VERSION);
	cv_put_u64(w, l->base);
	cv_put_u32(w, l->id);
	cv_put_u32(w, l->tpr);
	cv_put_u32(w, l->ldr);
	cv_put_u32(w, l->dfr);
	cv_put_u32(w, l->svr);
	for (i = 0; i < 8; i++) {
		cv_put_u32(w, l->isr[i]);
		cv_put_u32(w, l->tmr[i]);
		cv_put_u32(w, l->irr[i]);
	}
	cv_put_u32(w, l->esr);
	cv_put_u32(w, l->esr_pending);
	cv_put_u32(w, l->icr_low);
	cv_put_u32(w, l->icr_high);
	for (i = 0; i < CV_LVTS; i++)
		cv_put_u32(w, l->lvt[i]);
	cv_put_u32(w, l->initial);
	cv_put_u32(w, l->divide);
	cv_put_u64(w, l->loaded);
	cv_put_u64(w, l->tsc_deadline);
	cv_put_u8(w, l->pic_line | l->extint << 1);
}

static void lapic_load(void *dev, struct cv_rbuf *r)
{
	struct cv_lapic *l = dev;
	unsigned i, flags;
	uint64_t base;

	if (!cv_device_version(r, SAVE_VERSION))
		return;
	base = cv_get_u64(r);
	if (!move_registers(l, base & ~0xfffull)) {
		r->err = CV_E_CORRUPT;
		return;
	}
	l->base = base;
	l->id = cv_get_u32(r);
	l->tpr = cv_get_u32(r);
	l->ldr = cv_get_u32(r);
	l->dfr = cv_get_u32(r);
	l->svr = cv_get_u32(r);
	for (i = 0; i < 8; i++) {
		l->isr[i] = cv_get_u32(r);
		l->tmr[i] = cv_get_u32(r);
		l->irr[i] = cv_get_u32(r);
	}
	l->esr = cv_get_u32(r);
	l->esr_pending = cv_get_u32(r);
	l->icr_low = cv_get_u32(r);
	l->icr_high = cv_get_u32(r);
	for (i = 0; i < CV_LVTS; i++)
		l->lvt[i] = cv_get_u32(r) & lvt_writable[i];
	l->initial = cv_get_u32(r);
	l->divide = cv_get_u32(r);
	l->loaded = cv_get_u64(r);
	l->tsc_deadline = cv_get_u64(r);
	flags = cv_get_u8(r);
	l->pic_line = flags & 1;
	l->extint = flags & 2;
	update(l);
}

const struct cv_irqchip_ops cv_lapic_irqchip = {
	.pending = lapic_pending,
	.acknowledge = lapic_acknowledge,
	.get_cr8 = lapic_get_cr8,
	.set_cr8 = lapic_set_cr8,
	.read_msr = lapic_read_msr,
	.write_msr = lapic_write_msr,
};

static const struct cv_device_ops ops = {
	.name = "lapic", .reset = lapic_reset, .save = lapic_save, .load = lapic_load, .free = free,
};
static const struct cv_io_ops io_ops = {lapic_read, lapic_write, 4};

struct cv_lapic *cv_lapic_new(struct cv_machine *m, struct cv_error *err)
{
	struct cv_lapic *l = cv_device_new(m, sizeof(*l), &ops, err);

	if (!l)
		return NULL;
	l->m = m;
	l->base = CV_LAPIC_BASE;
	cv_bus_add_mmio(&m->bus, CV_LAPIC_BASE, 0x1000, &io_ops, l);
	cv_timer_add(&m->clock, &l->timer, timer_expired, l);
	return l;
}
