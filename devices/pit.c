/* SPDX-License-Identifier: MIT */
/*
 * 8254 interval timer at 40h..43h (Intel 231164) and port 61h: timer 2's gate, the speaker, the refresh toggle.
 *
 * A count begins when it is written (in modes 2 and 3 too, without waiting for the end of a period); what a counter
 * shows and what OUT is follow from the ticks of 1193182 Hz since then. Only timer 0's rising OUT matters to anybody
 * by itself: it is a deadline. In modes 2 and 3 periods that went by unseen fire once, and the phase stays. The gates
 * of timers 0 and 1 are high for good. The refresh toggle changes with each read, not with time.
 */
#include <stdlib.h>
#include <string.h>

#include "devices/devices.h"

#define SAVE_VERSION 1
#define PIT_HZ 1193182ull
#define NS 1000000000ull

enum { CONTROL_BCD = 1, CONTROL_MODE = 0x0e, CONTROL_RW = 0x30 };
enum { RW_LOW = 1, RW_HIGH = 2, RW_BOTH = 3 };

static unsigned mode(const struct cv_pit_channel *c)
{
	unsigned m = c->control >> 1 & 7;

	return m > 5 ? m - 4 : m; /* 6 and 7 are 2 and 3 */
}

static unsigned rw(const struct cv_pit_channel *c)
{
	return c->control >> 4 & 3;
}

/* The first ns by which `ticks` have passed. */
static uint64_t ticks_to_ns(uint64_t ticks)
{
	return cv_muldiv(ticks, NS, PIT_HZ) + (cv_muldiv(cv_muldiv(ticks, NS, PIT_HZ), PIT_HZ, NS) < ticks);
}

static bool gate_stops(const struct cv_pit_channel *c)
{
	return mode(c) == 0 || mode(c) == 4;
}

/* Does what the counter shows depend on time? */
static bool counting(const struct cv_pit_channel *c)
{
	if (!c->armed)
		return false;
	if (mode(c) == 1 || mode(c) == 5)
		return c->triggered;
	return c->gate;
}

/* Time for a look at channel c: an input only if the answer depends on it. */
static uint64_t time_for(struct cv_pit *p, const struct cv_pit_channel *c)
{
	return counting(c) ? cv_clock_read(p->clock, CV_EV_CLOCK) : cv_clock_now(p->clock);
}

static uint64_t elapsed(const struct cv_pit_channel *c, uint64_t now)
{
	if (!counting(c))
		return c->armed && gate_stops(c) ? c->paused : 0;
	return cv_muldiv(now - c->loaded, PIT_HZ, NS);
}

static bool out(const struct cv_pit_channel *c, uint64_t now)
{
	uint64_t t = elapsed(c, now);

	switch (mode(c)) {
	case 0:
		return c->armed && t >= c->count;
	case 1:
		return !(counting(c) && t < c->count);
	case 2:
		return !counting(c) || t % c->count != c->count - 1;
	case 3:
		return !counting(c) || t % c->count < (c->count + 1) / 2;
	default:
		return !counting(c) || t != c->count;
	}
}

static uint16_t to_bcd(unsigned v)
{
	return (uint16_t)(v / 1000 % 10 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10);
}

static unsigned from_bcd(unsigned v)
{
	return (v >> 12 & 0xf) * 1000 + (v >> 8 & 0xf) * 100 + (v >> 4 & 0xf) * 10 + (v & 0xf);
}

/* The counting element as a read or a latch sees it. */
static uint16_t counter(const struct cv_pit_channel *c, uint64_t now)
{
	uint64_t modulus = c->control & CONTROL_BCD ? 10000 : 65536, t = elapsed(c, now), v;

	if (!c->armed)
		return 0;
	if (mode(c) == 2)
		v = c->count - t % c->count;
	else if (mode(c) == 3)
		v = (c->count & ~1u) - 2 * t % (c->count > 1 ? c->count & ~1u : 1);
	else
		v = (c->count + modulus - t % modulus) % modulus;
	v %= modulus;
	return c->control & CONTROL_BCD ? to_bcd((unsigned)v) : (uint16_t)v;
}

/* --- Timer 0 and its interrupt --- */

static void arm(struct cv_pit *p, uint64_t now)
{
	const struct cv_pit_channel *c = &p->ch[0];
	uint64_t t;

	if (!counting(c)) {
		cv_timer_cancel(&p->timer);
		return;
	}
	t = elapsed(c, now);
	if (mode(c) == 2 || mode(c) == 3)
		cv_timer_arm(&p->timer, c->loaded + ticks_to_ns((t / c->count + 1) * c->count));
	else if (mode(c) == 0 && t < c->count)
		cv_timer_arm(&p->timer, c->loaded + ticks_to_ns(c->count));
	else if (mode(c) == 4 && t <= c->count)
		cv_timer_arm(&p->timer, c->loaded + ticks_to_ns(c->count + 1)); /* the end of the strobe */
	else
		cv_timer_cancel(&p->timer);
}

static void expired(void *dev, uint64_t when)
{
	struct cv_pit *p = dev;

	(void)when;
	arm(p, cv_clock_now(p->clock));
	cv_irq_pulse(p->irq, CV_IRQ_PIT);
}

/* --- Writing --- */

static void begin(struct cv_pit *p, unsigned n, uint32_t value)
{
	struct cv_pit_channel *c = &p->ch[n];

	if (c->control & CONTROL_BCD)
		c->count = value ? from_bcd(value) : 10000;
	else
		c->count = value ? value : 65536;
	if (!c->count)
		c->count = 10000;
	c->armed = true;
	c->null_count = false;
	c->paused = 0;
	if (mode(c) == 1 || mode(c) == 5)
		return; /* waits for its gate, or goes on */
	if (counting(c))
		c->loaded = cv_clock_read(p->clock, CV_EV_CLOCK);
	if (n == 0) {
		if (mode(c) == 0)
			cv_irq_set(p->irq, CV_IRQ_PIT, false);
		arm(p, c->loaded);
	}
}

static void write_count(struct cv_pit *p, unsigned n, uint8_t v)
{
	struct cv_pit_channel *c = &p->ch[n];

	switch (rw(c)) {
	case RW_LOW:
		begin(p, n, v);
		break;
	case RW_HIGH:
		begin(p, n, (uint32_t)v << 8);
		break;
	case RW_BOTH:
		if (c->write_second)
			begin(p, n, c->write_low | (uint32_t)v << 8);
		else
			c->write_low = v;
		c->write_second = !c->write_second;
		break;
	default:
		break;
	}
}

static void latch_count(struct cv_pit *p, struct cv_pit_channel *c, uint64_t now)
{
	(void)p;
	if (c->latched)
		return; /* the first latch holds until it is read */
	c->latch = counter(c, now);
	c->latched = rw(c) == RW_BOTH ? 2 : 1;
	c->read_second = false;
}

static void latch_status(struct cv_pit_channel *c, uint64_t now)
{
	if (c->status_latched)
		return;
	c->status_latched = true;
	c->status = (uint8_t)(out(c, now) << 7 | c->null_count << 6 | (c->control & 0x3f));
}

static void read_back(struct cv_pit *p, uint8_t v)
{
	unsigned n;

	for (n = 0; n < 3; n++) {
		struct cv_pit_channel *c = &p->ch[n];
		uint64_t now;

		if (!(v & 2u << n))
			continue;
		now = time_for(p, c);
		if (!(v & 0x20))
			latch_count(p, c, now);
		if (!(v & 0x10))
			latch_status(c, now);
	}
}

static void write_control(struct cv_pit *p, uint8_t v)
{
	struct cv_pit_channel *c;
	bool gate;

	if (v >> 6 == 3) {
		read_back(p, v);
		return;
	}
	c = &p->ch[v >> 6];
	if (!(v & CONTROL_RW)) {
		latch_count(p, c, time_for(p, c));
		return;
	}
	gate = c->gate;
	memset(c, 0, sizeof(*c));
	c->gate = gate;
	c->control = v & 0x3f;
	c->null_count = true;
	if (c == &p->ch[0]) {
		cv_timer_cancel(&p->timer);
		if (mode(c) == 0)
			cv_irq_set(p->irq, CV_IRQ_PIT, false);
	}
}

/* Timer 2's gate moves. */
static void set_gate(struct cv_pit *p, struct cv_pit_channel *c, bool gate)
{
	uint64_t now;

	if (gate == c->gate)
		return;
	if (!c->armed) {
		c->gate = gate;
		return;
	}
	now = cv_clock_read(p->clock, CV_EV_CLOCK);
	if (!gate && gate_stops(c))
		c->paused = (uint32_t)(elapsed(c, now) > 0x20000 ? 0x20000 : elapsed(c, now));
	c->gate = gate;
	if (!gate)
		return;
	c->loaded = now;
	if (gate_stops(c))
		c->loaded = now - ticks_to_ns(c->paused); /* modulo 2^64: may lie before power-on */
	else
		c->triggered = true;
}

/* --- Reading --- */

static uint8_t read_count(struct cv_pit *p, struct cv_pit_channel *c)
{
	uint16_t v;

	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	v = c->latched ? c->latch : counter(c, time_for(p, c));
	if (rw(c) == RW_HIGH || (rw(c) == RW_BOTH && c->read_second))
		v >>= 8;
	if (rw(c) == RW_BOTH)
		c->read_second = !c->read_second;
	if (c->latched)
		c->latched--;
	return (uint8_t)v;
}

static uint64_t pit_read(void *dev, uint64_t offset, unsigned size)
{
	struct cv_pit *p = dev;

	(void)size;
	return offset < 3 ? read_count(p, &p->ch[offset]) : 0xff;
}

static void pit_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	struct cv_pit *p = dev;

	(void)size;
	if (offset == 3)
		write_control(p, (uint8_t)v);
	else
		write_count(p, (unsigned)offset, (uint8_t)v);
}

static uint64_t speaker_read(void *dev, uint64_t offset, unsigned size)
{
	struct cv_pit *p = dev;
	struct cv_pit_channel *c = &p->ch[2];

	(void)offset;
	(void)size;
	p->refresh = !p->refresh;
	return p->speaker | (unsigned)p->refresh << 4 | (unsigned)out(c, time_for(p, c)) << 5;
}

static void speaker_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	struct cv_pit *p = dev;

	(void)offset;
	(void)size;
	p->speaker = v & 0xf;
	set_gate(p, &p->ch[2], v & 1);
}

/* --- Life --- */

static void pit_reset(void *dev)
{
	struct cv_pit *p = dev;

	memset(p->ch, 0, sizeof(p->ch));
	p->ch[0].gate = p->ch[1].gate = true;
	p->ch[0].control = p->ch[1].control = p->ch[2].control = RW_BOTH << 4 | 3 << 1;
	p->ch[0].null_count = p->ch[1].null_count = p->ch[2].null_count = true;
	p->speaker = 0;
	p->refresh = false;
	cv_timer_cancel(&p->timer);
	cv_irq_set(p->irq, CV_IRQ_PIT, false);
}

void cv_pit_start_tick(struct cv_pit *p)
{
	struct cv_pit_channel *c = &p->ch[0];

	c->count = 65536;
	c->armed = true;
	c->null_count = false;
	c->loaded = cv_clock_now(p->clock);
	arm(p, c->loaded);
}

enum {
	F_NULL = 1, F_ARMED = 2, F_TRIGGERED = 4, F_GATE = 8, F_WRITE_SECOND = 16, F_READ_SECOND = 32, F_STATUS = 64
};

static void save_channel(const struct cv_pit_channel *c, struct cv_wbuf *w)
{
	cv_put_u32(w, c->count);
	cv_put_u64(w, c->loaded);
	cv_put_u8(w, c->control);
	cv_put_u8(w, (uint8_t)((c->null_count ? F_NULL : 0) | (c->armed ? F_ARMED : 0) |
			       (c->triggered ? F_TRIGGERED : 0) | (c->gate ? F_GATE : 0) |
			       (c->write_second ? F_WRITE_SECOND : 0) | (c->read_second ? F_READ_SECOND : 0) |
			       (c->status_latched ? F_STATUS : 0)));
	cv_put_u32(w, c->paused);
	cv_put_u8(w, c->write_low);
	cv_put_u8(w, c->latched);
	cv_put_u16(w, c->latch);
	cv_put_u8(w, c->status);
}

static void load_channel(struct cv_pit_channel *c, struct cv_rbuf *r)
{
	unsigned f;

	c->count = cv_get_u32(r);
	c->loaded = cv_get_u64(r);
	c->control = cv_get_u8(r);
	f = cv_get_u8(r);
	c->paused = cv_get_u32(r);
	c->write_low = cv_get_u8(r);
	c->latched = cv_get_u8(r);
	c->latch = cv_get_u16(r);
	c->status = cv_get_u8(r);
	c->null_count = f & F_NULL;
	c->armed = f & F_ARMED;
	c->triggered = f & F_TRIGGERED;
	c->gate = f & F_GATE;
	c->write_second = f & F_WRITE_SECOND;
	c->read_second = f & F_READ_SECOND;
	c->status_latched = f & F_STATUS;
	if (c->armed && !c->count && !r->err)
		r->err = CV_E_CORRUPT;
	if (r->err)
		c->armed = false;
}

static void pit_save(const void *dev, struct cv_wbuf *w)
{
	const struct cv_pit *p = dev;
	unsigned n;

	cv_put_u8(w, SAVE_VERSION);
	for (n = 0; n < 3; n++)
		save_channel(&p->ch[n], w);
	cv_put_u8(w, p->speaker);
	cv_put_u8(w, p->refresh);
}

static void pit_load(void *dev, struct cv_rbuf *r)
{
	struct cv_pit *p = dev;
	unsigned n;

	if (!cv_device_version(r, SAVE_VERSION))
		return;
	for (n = 0; n < 3; n++)
		load_channel(&p->ch[n], r);
	p->speaker = cv_get_u8(r);
	p->refresh = cv_get_u8(r) & 1;
}

static const struct cv_device_ops ops = {
	.name = "pit", .reset = pit_reset, .save = pit_save, .load = pit_load, .free = free,
};
static const struct cv_io_ops pit_io = {pit_read, pit_write, 1};
static const struct cv_io_ops speaker_io = {speaker_read, speaker_write, 1};

struct cv_pit *cv_pit_new(struct cv_machine *m, struct cv_irq *irq, struct cv_error *err)
{
	struct cv_pit *p = cv_device_new(m, sizeof(*p), &ops, err);

	if (!p)
		return NULL;
	p->clock = &m->clock;
	p->irq = irq;
	cv_bus_add_pio(&m->bus, 0x40, 4, &pit_io, p);
	cv_bus_add_pio(&m->bus, 0x61, 1, &speaker_io, p);
	cv_timer_add(&m->clock, &p->timer, expired, p);
	return p;
}
