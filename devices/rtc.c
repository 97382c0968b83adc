/* SPDX-License-Identifier: MIT */
/*
 * MC146818 real-time clock and CMOS RAM at 70h and 71h.
 *
 * While the clock runs the time registers are computed from base_ns + guest time; while it is stopped (SET in register
 * B, or the divider held in reset) they are plain bytes, and starting it takes base_ns from them. The flags of
 * register C are gathered when somebody looks: between `seen` and now, did a second end, an alarm match, a periodic
 * tick pass? An enabled and still clear flag has a deadline; the interrupt line stays up until register C is read.
 */
#include <stdlib.h>
#include <string.h>

#include "devices/devices.h"

#define SAVE_VERSION 1
#define NS 1000000000ll
#define UIP_NS 244141 /* update in progress: 8 cycles of 32768 Hz before the update */
#define DAY 86400

enum {
	SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM, WEEKDAY, DAY_OF_MONTH, MONTH, YEAR, REG_A,
	REG_B, REG_C, REG_D, CENTURY = 0x32
};
enum { A_UIP = 0x80, A_DIVIDER = 0x70, A_RATE = 0x0f };
enum { B_SET = 0x80, B_PIE = 0x40, B_AIE = 0x20, B_UIE = 0x10, B_BINARY = 4, B_24H = 2 };
enum { C_IRQF = 0x80, C_PF = 0x40, C_AF = 0x20, C_UF = 0x10 };

/* --- Civil time (days from 1970 by the Gregorian calendar) --- */

struct civil {
	int64_t year;
	unsigned month, day, weekday; /* 1.., 1.., Sunday = 1 */
	unsigned hour, minute, second;
};

/* Floor division. */
static int64_t fdiv(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static int64_t days_from_civil(int64_t y, unsigned m, unsigned d)
{
	int64_t era, doe, doy;

	y -= m <= 2;
	era = fdiv(y, 400);
	doy = (153 * ((int64_t)m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	doe = (y - era * 400) * 365 + (y - era * 400) / 4 - (y - era * 400) / 100 + doy;
	return era * 146097 + doe - 719468;
}

static void civil_from_seconds(int64_t s, struct civil *c)
{
	int64_t days = fdiv(s, DAY), z = days + 719468, era = fdiv(z, 146097), doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
	unsigned t = (unsigned)(s - days * DAY);

	c->day = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
	c->month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
	c->year = yoe + era * 400 + (c->month <= 2);
	c->weekday = (unsigned)(days + 4 - fdiv(days + 4, 7) * 7) + 1;
	c->hour = t / 3600;
	c->minute = t / 60 % 60;
	c->second = t % 60;
}

/* --- Registers as bytes --- */

static uint8_t encode(const struct cv_rtc *c, unsigned v)
{
	return (uint8_t)(c->cmos[REG_B] & B_BINARY ? v : v / 10 % 10 << 4 | v % 10);
}

static unsigned decode(const struct cv_rtc *c, uint8_t v)
{
	return c->cmos[REG_B] & B_BINARY ? v : (v >> 4) * 10u + (v & 0xf);
}

static uint8_t encode_hour(const struct cv_rtc *c, unsigned hour)
{
	if (c->cmos[REG_B] & B_24H)
		return encode(c, hour);
	return (uint8_t)(encode(c, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0));
}

static unsigned decode_hour(const struct cv_rtc *c, uint8_t v)
{
	if (c->cmos[REG_B] & B_24H)
		return decode(c, v);
	return decode(c, v & 0x7f) % 12 + (v & 0x80 ? 12 : 0);
}

static bool running(const struct cv_rtc *c)
{
	return !(c->cmos[REG_B] & B_SET) && (c->cmos[REG_A] & A_DIVIDER) == 0x20;
}

static int64_t shown_ns(const struct cv_rtc *c, uint64_t now)
{
	return c->base_ns + (int64_t)now;
}

static int64_t shown_seconds(const struct cv_rtc *c, uint64_t now)
{
	return fdiv(shown_ns(c, now), NS);
}

/* Time registers from the running clock. */
static void fill(struct cv_rtc *c, uint64_t now)
{
	struct civil t;

	civil_from_seconds(shown_seconds(c, now), &t);
	c->cmos[SECONDS] = encode(c, t.second);
	c->cmos[MINUTES] = encode(c, t.minute);
	c->cmos[HOURS] = encode_hour(c, t.hour);
	c->cmos[WEEKDAY] = encode(c, t.weekday);
	c->cmos[DAY_OF_MONTH] = encode(c, t.day);
	c->cmos[MONTH] = encode(c, t.month);
	c->cmos[YEAR] = encode(c, (unsigned)(t.year % 100));
	/* The century is BCD whatever register B says. */
	c->cmos[CENTURY] = (uint8_t)(t.year / 1000 % 10 << 4 | t.year / 100 % 10);
}

/* The running clock from the time registers; `fraction` ns of the second have passed. */
static void take(struct cv_rtc *c, uint64_t now, int64_t fraction)
{
	int64_t year = (c->cmos[CENTURY] >> 4) * 1000 + (c->cmos[CENTURY] & 0xf) * 100 + decode(c, c->cmos[YEAR]);
	unsigned month = decode(c, c->cmos[MONTH]);
	int64_t s;

	month = month < 1 ? 1 : month > 12 ? 12 : month;
	if (year > 2200)
		year = 2200; /* the most that ns in 64 bits hold, with room to run */
	s = days_from_civil(year, month, decode(c, c->cmos[DAY_OF_MONTH])) * DAY +
	    decode_hour(c, c->cmos[HOURS]) * 3600 + decode(c, c->cmos[MINUTES]) * 60 + decode(c, c->cmos[SECONDS]);
	c->base_ns = s * NS + fraction - (int64_t)now;
}

/* --- Flags and deadlines --- */

static uint64_t periodic_cycles(const struct cv_rtc *c)
{
	unsigned rate = c->cmos[REG_A] & A_RATE;

	if (!rate)
		return 0;
	return 1ull << ((rate <= 2 ? rate + 7 : rate) - 1);
}

static uint64_t periodic_count(const struct cv_rtc *c, uint64_t now)
{
	return cv_muldiv(now, 32768, NS) / periodic_cycles(c);
}

static bool alarm_byte(uint8_t alarm, uint8_t v)
{
	return alarm >= 0xc0 || alarm == v;
}

/* Does the alarm match at that second of the day? */
static bool alarm_at(const struct cv_rtc *c, unsigned s)
{
	return alarm_byte(c->cmos[SECONDS_ALARM], encode(c, s % 60)) &&
	       alarm_byte(c->cmos[MINUTES_ALARM], encode(c, s / 60 % 60)) &&
	       alarm_byte(c->cmos[HOURS_ALARM], encode_hour(c, s / 3600));
}

static unsigned second_of_day(int64_t s)
{
	return (unsigned)(s - fdiv(s, DAY) * DAY);
}

/* The first second in (from, to] at which the alarm matches, or 0 for none; looks one day ahead at most. */
static int64_t next_alarm(const struct cv_rtc *c, int64_t from, int64_t to)
{
	int64_t s;

	if (to > from + DAY)
		to = from + DAY;
	for (s = from + 1; s <= to; s++)
		if (alarm_at(c, second_of_day(s)))
			return s;
	return 0;
}

static void update_line(struct cv_rtc *c)
{
	uint8_t enabled = c->cmos[REG_B] & c->cmos[REG_C] & (C_PF | C_AF | C_UF);

	c->cmos[REG_C] = (uint8_t)((c->cmos[REG_C] & ~C_IRQF) | (enabled ? C_IRQF : 0));
	cv_irq_set(c->irq, CV_IRQ_RTC, enabled);
}

/* Gathers what happened in (seen, now]. */
static void gather(struct cv_rtc *c, uint64_t now)
{
	int64_t from = shown_seconds(c, c->seen), to = shown_seconds(c, now);

	if (running(c)) {
		if (to != from)
			c->cmos[REG_C] |= C_UF;
		if (!(c->cmos[REG_C] & C_AF) && next_alarm(c, from, to))
			c->cmos[REG_C] |= C_AF;
		if (periodic_cycles(c) && periodic_count(c, now) != periodic_count(c, c->seen))
			c->cmos[REG_C] |= C_PF;
	}
	c->seen = now;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Guest ns at which the clock shows second s; it lies ahead. */
static uint64_t second_ns(const struct cv_rtc *c, int64_t s)
{
	return (uint64_t)(s * NS - c->base_ns);
}

static void arm(struct cv_rtc *c)
{
	uint8_t wanted = c->cmos[REG_B] & (uint8_t)~c->cmos[REG_C];
	int64_t s = shown_seconds(c, c->seen), alarm;
	uint64_t when = CV_NEVER, cycles;

	if (running(c)) {
		if ((wanted & B_PIE) && periodic_cycles(c)) {
			cycles = (periodic_count(c, c->seen) + 1) * periodic_cycles(c);
			when = cv_muldiv(cycles, NS, 32768);
			when += cv_muldiv(when, 32768, NS) < cycles;
		}
		if (wanted & B_UIE)
			when = min_u64(when, second_ns(c, s + 1));
		if (wanted & B_AIE) {
			alarm = next_alarm(c, s, s + DAY);
			if (alarm)
				when = min_u64(when, second_ns(c, alarm));
		}
	}
	cv_timer_arm(&c->timer, when);
}

static void expired(void *dev, uint64_t when)
{
	struct cv_rtc *c = dev;

	(void)when;
	gather(c, cv_clock_now(&c->m->clock));
	update_line(c);
	arm(c);
}

/* --- Ports --- */

static bool is_time(unsigned reg)
{
	return reg == SECONDS || reg == MINUTES || reg == HOURS || (reg >= WEEKDAY && reg <= YEAR) || reg == CENTURY;
}

static uint64_t look(struct cv_rtc *c)
{
	return cv_clock_read(&c->m->clock, CV_EV_CLOCK);
}

/* Writes a control or alarm register, with the clock's starts and stops. */
static void write_control(struct cv_rtc *c, unsigned reg, uint8_t v)
{
	uint64_t now = look(c);
	bool was = running(c), divider_was_held = (c->cmos[REG_A] & A_DIVIDER) != 0x20;

	gather(c, now);
	if (was)
		fill(c, now);
	if (reg == REG_A)
		v &= (uint8_t)~A_UIP;
	if (reg == REG_B && (v & B_SET))
		v &= (uint8_t)~B_UIE;
	c->cmos[reg] = v;
	/* The first update comes half a second after the divider is let go. */
	if (!was && running(c))
		take(c, now, divider_was_held ? NS / 2 : 0);
	update_line(c);
	arm(c);
}

static void write_time(struct cv_rtc *c, unsigned reg, uint8_t v)
{
	uint64_t now;
	int64_t fraction;

	if (!running(c)) {
		c->cmos[reg] = v;
		return;
	}
	now = look(c);
	gather(c, now);
	fraction = shown_ns(c, now) - shown_seconds(c, now) * NS;
	fill(c, now);
	c->cmos[reg] = v;
	take(c, now, fraction);
	arm(c);
}

static uint8_t read_c(struct cv_rtc *c)
{
	uint8_t v;

	gather(c, look(c));
	update_line(c);
	v = c->cmos[REG_C];
	c->cmos[REG_C] = 0;
	update_line(c);
	arm(c);
	return v;
}

static uint8_t read_a(struct cv_rtc *c)
{
	int64_t left;
	uint64_t now;

	if (!running(c))
		return c->cmos[REG_A];
	now = look(c);
	left = (shown_seconds(c, now) + 1) * NS - shown_ns(c, now);
	return (uint8_t)(c->cmos[REG_A] | (left <= UIP_NS ? A_UIP : 0));
}

static uint64_t rtc_read(void *dev, uint64_t offset, unsigned size)
{
	struct cv_rtc *c = dev;

	(void)size;
	if (offset == 0)
		return 0xff;
	if (c->index == REG_A)
		return read_a(c);
	if (c->index == REG_C)
		return read_c(c);
	if (is_time(c->index) && running(c))
		fill(c, look(c));
	return c->cmos[c->index];
}

static void rtc_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	struct cv_rtc *c = dev;

	(void)size;
	if (offset == 0)
		c->index = v & 0x7f;
	else if (is_time(c->index))
		write_time(c, c->index, (uint8_t)v);
	else if (c->index < REG_C)
		write_control(c, c->index, (uint8_t)v);
	else if (c->index > REG_D)
		c->cmos[c->index] = (uint8_t)v;
}

/* --- Life --- */

static void set_le(uint8_t *p, uint64_t v, uint64_t max)
{
	if (v > max)
		v = max;
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

/* What a BIOS leaves about memory. */
static void describe_memory(struct cv_rtc *c)
{
	uint64_t size = c->m->mem.size, low = size < CV_RAM_LOW_MAX ? size : CV_RAM_LOW_MAX, high = size - low;

	c->cmos[0x14] = 0x06; /* equipment: 80-column colour display, FPU */
	set_le(&c->cmos[0x15], 640, 0xffff);
	set_le(&c->cmos[0x17], low / 1024 - 1024, 63 * 1024);
	set_le(&c->cmos[0x30], low / 1024 - 1024, 63 * 1024);
	set_le(&c->cmos[0x34], low > 16 << 20 ? (low - (16 << 20)) / 65536 : 0, 0xffff);
	set_le(&c->cmos[0x5b], high / 65536, UINT64_MAX);
	c->cmos[0x5d] = (uint8_t)(high / 65536 >> 16);
}

static void rtc_reset(void *dev)
{
	struct cv_rtc *c = dev;

	memset(c->cmos, 0, REG_D + 1); /* the RAM behind the registers has a battery */
	c->index = 0;
	c->cmos[REG_A] = 0x26; /* 32768 Hz, 1024 Hz periodic */
	c->cmos[REG_B] = B_24H;
	c->cmos[REG_D] = 0x80; /* the battery is good */
	c->base_ns = (int64_t)c->m->config.epoch * NS;
	c->seen = cv_clock_now(&c->m->clock);
	describe_memory(c);
	fill(c, c->seen);
	cv_timer_cancel(&c->timer);
	cv_irq_set(c->irq, CV_IRQ_RTC, false);
}

static void rtc_save(const void *dev, struct cv_wbuf *w)
{
	const struct cv_rtc *c = dev;

	cv_put_u8(w, SAVE_VERSION);
	cv_put_u8(w, c->index);
	cv_put_bytes(w, c->cmos, sizeof(c->cmos));
	cv_put_u64(w, (uint64_t)c->base_ns);
	cv_put_u64(w, c->seen);
}

static void rtc_load(void *dev, struct cv_rbuf *r)
{
	struct cv_rtc *c = dev;

	if (!cv_device_version(r, SAVE_VERSION))
		return;
	c->index = cv_get_u8(r) & 0x7f;
	cv_get_bytes(r, c->cmos, sizeof(c->cmos));
	c->base_ns = (int64_t)cv_get_u64(r);
	c->seen = cv_get_u64(r);
}

static const struct cv_device_ops ops = {
	.name = "rtc", .reset = rtc_reset, .save = rtc_save, .load = rtc_load, .free = free,
};
static const struct cv_io_ops io_ops = {rtc_read, rtc_write, 1};

struct cv_rtc *cv_rtc_new(struct cv_machine *m, struct cv_irq *irq, struct cv_error *err)
{
	struct cv_rtc *c = cv_device_new(m, sizeof(*c), &ops, err);

	if (!c)
		return NULL;
	c->m = m;
	c->irq = irq;
	cv_bus_add_pio(&m->bus, 0x70, 2, &io_ops, c);
	cv_timer_add(&m->clock, &c->timer, expired, c);
	return c;
}
