/* SPDX-License-Identifier: MIT */
/*
 * ACPI fixed hardware (ACPI 6.3, 4.8): PM1a event and control blocks, the 24-bit PM timer, the power button.
 *
 * ACPI mode is always on (there is no SMI command port), so SCI_EN reads as one. The SCI is level-triggered and up
 * while a status bit and its enable bit are both set. TMR_STS, set whenever bit 23 of the timer changes, is gathered
 * when somebody looks; it has a deadline only while it is enabled.
 */
#include <stdlib.h>

#include "devices/devices.h"

#define SAVE_VERSION 1
#define PM_TMR_HZ 3579545ull
#define PM_TMR_TOGGLE (1ull << 23)
#define NS 1000000000ull

enum { STS_TMR = 1, STS_GBL = 0x20, STS_PWRBTN = 0x100, STS_SLPBTN = 0x200, STS_RTC = 0x400, STS_WAK = 0x8000 };
enum { STS_WRITABLE = 0x8731, EN_WRITABLE = STS_TMR | STS_GBL | STS_PWRBTN | STS_SLPBTN | STS_RTC };
enum { CNT_SCI_EN = 1, CNT_WRITABLE = 0x1c06, CNT_SLP_EN = 0x2000 };

static uint64_t ticks(uint64_t now)
{
	return cv_muldiv(now, PM_TMR_HZ, NS);
}

static void update_sci(struct cv_acpi_pm *a)
{
	cv_irq_set(a->irq, CV_IRQ_SCI, a->sts & a->en & EN_WRITABLE);
}

static void gather(struct cv_acpi_pm *a, uint64_t now)
{
	if (ticks(now) / PM_TMR_TOGGLE != ticks(a->seen) / PM_TMR_TOGGLE)
		a->sts |= STS_TMR;
	a->seen = now;
}

static void arm(struct cv_acpi_pm *a)
{
	uint64_t next, when;

	if (!(a->en & STS_TMR) || (a->sts & STS_TMR)) {
		cv_timer_cancel(&a->timer);
		return;
	}
	next = (ticks(a->seen) / PM_TMR_TOGGLE + 1) * PM_TMR_TOGGLE;
	when = cv_muldiv(next, NS, PM_TMR_HZ);
	cv_timer_arm(&a->timer, when + (ticks(when) < next));
}

static void expired(void *dev, uint64_t when)
{
	struct cv_acpi_pm *a = dev;

	(void)when;
	gather(a, cv_clock_now(&a->m->clock));
	update_sci(a);
	arm(a);
}

static uint64_t look(struct cv_acpi_pm *a)
{
	return cv_clock_read(&a->m->clock, CV_EV_CLOCK);
}

void cv_acpi_pm_power_button(void *dev)
{
	struct cv_acpi_pm *a = dev;

	a->sts |= STS_PWRBTN;
	update_sci(a);
}

/* --- Event block: status at 0, enable at 2 --- */

static uint64_t event_read(void *dev, uint64_t offset, unsigned size)
{
	struct cv_acpi_pm *a = dev;
	uint16_t v;

	(void)size;
	if (offset < 2) {
		if (!(a->sts & STS_TMR))
			gather(a, look(a));
		v = a->sts;
	} else {
		v = a->en;
	}
	return offset & 1 ? v >> 8 : v;
}

static void event_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct cv_acpi_pm *a = dev;
	unsigned shift = offset & 1 ? 8 : 0;
	uint16_t mask = (uint16_t)((size == 1 ? 0xff : 0xffff) << shift), v = (uint16_t)(value << shift);

	if (offset < 2) {
		if (v & STS_TMR)
			gather(a, look(a));
		a->sts &= (uint16_t)~(v & mask & STS_WRITABLE);
	} else {
		v = (uint16_t)((a->en & ~mask) | (v & mask & EN_WRITABLE));
		if ((v & STS_TMR) && !(a->en & STS_TMR))
			gather(a, look(a));
		a->en = v;
	}
	update_sci(a);
	arm(a);
}

/* --- Control block --- */

static uint64_t control_read(void *dev, uint64_t offset, unsigned size)
{
	struct cv_acpi_pm *a = dev;

	(void)size;
	return (a->cnt | CNT_SCI_EN) >> (8 * offset);
}

static void control_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct cv_acpi_pm *a = dev;
	unsigned shift = 8 * (unsigned)offset;
	uint16_t mask = (uint16_t)((size == 1 ? 0xff : 0xffff) << shift), v = (uint16_t)(value << shift);

	v = (uint16_t)((a->cnt & ~mask) | (v & mask));
	a->cnt = v & CNT_WRITABLE;
	if ((v & CNT_SLP_EN) && (v >> 10 & 7) == CV_ACPI_S5_TYPE)
		cv_machine_end(a->m, CV_END_POWEROFF, 0);
}

static uint64_t timer_read(void *dev, uint64_t offset, unsigned size)
{
	struct cv_acpi_pm *a = dev;

	(void)size;
	return (ticks(look(a)) & 0xffffff) >> (8 * offset);
}

static void timer_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	(void)dev;
	(void)offset;
	(void)size;
	(void)value;
}

/* --- Life --- */

static void acpi_pm_reset(void *dev)
{
	struct cv_acpi_pm *a = dev;

	a->sts = a->en = a->cnt = 0;
	a->seen = cv_clock_now(&a->m->clock);
	cv_timer_cancel(&a->timer);
	update_sci(a);
}

static void acpi_pm_save(const void *dev, struct cv_wbuf *w)
{
	const struct cv_acpi_pm *a = dev;

	cv_put_u8(w, SAVE_VERSION);
	cv_put_u16(w, a->sts);
	cv_put_u16(w, a->en);
	cv_put_u16(w, a->cnt);
	cv_put_u64(w, a->seen);
}

static void acpi_pm_load(void *dev, struct cv_rbuf *r)
{
	struct cv_acpi_pm *a = dev;

	if (!cv_device_version(r, SAVE_VERSION))
		return;
	a->sts = cv_get_u16(r);
	a->en = cv_get_u16(r);
	a->cnt = cv_get_u16(r);
	a->seen = cv_get_u64(r);
}

static const struct cv_device_ops ops = {
	.name = "acpi-pm", .reset = acpi_pm_reset, .save = acpi_pm_save, .load = acpi_pm_load, .free = free,
};
static const struct cv_io_ops event_io = {event_read, event_write, 2};
static const struct cv_io_ops control_io = {control_read, control_write, 2};
static const struct cv_io_ops timer_io = {timer_read, timer_write, 4};

struct cv_acpi_pm *cv_acpi_pm_new(struct cv_machine *m, struct cv_irq *irq, struct cv_error *err)
{
	struct cv_acpi_pm *a = cv_device_new(m, sizeof(*a), &ops, err);

	if (!a)
		return NULL;
	a->m = m;
	a->irq = irq;
	cv_bus_add_pio(&m->bus, CV_PORT_PM1_EVT, 4, &event_io, a);
	cv_bus_add_pio(&m->bus, CV_PORT_PM1_CNT, 2, &control_io, a);
	cv_bus_add_pio(&m->bus, CV_PORT_PM_TMR, 4, &timer_io, a);
	cv_timer_add(&m->clock, &a->timer, expired, a);
	return a;
}
