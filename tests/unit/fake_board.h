/* SPDX-License-Identifier: MIT */
/*
 * A machine without CPU, engine and environment, for tests of devices: the real board on a real bus, clock and RAM.
 * Time stands still unless a test moves it; each look at the clock is counted, since each is an event in a log. What
 * devices tell the machine is kept here. Include it once in a test program.
 */
#ifndef CV_FAKE_BOARD_H
#define CV_FAKE_BOARD_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "devices/board.h"
#include "devices/devices.h"

struct fake {
	struct cv_machine m;
	uint64_t host_ns; /* what the clock answers */
	unsigned looks;	  /* times it was asked */
	enum cv_end end;  /* first cv_machine_end */
	uint64_t end_code;
	unsigned resets, nmis;
	bool a20_off;
	uint64_t tsc_offset;
	uint8_t out[256]; /* console output */
	size_t nout;
};

static struct fake *fake_of(struct cv_machine *m)
{
	return (struct fake *)m; /* m is the first member */
}

void cv_machine_add_device(struct cv_machine *m, const struct cv_device_ops *ops, void *dev)
{
	ck_assert_uint_lt(m->ndevices, CV_MACHINE_DEVICES);
	m->devices[m->ndevices].ops = ops;
	m->devices[m->ndevices++].dev = dev;
}

void cv_machine_end(struct cv_machine *m, enum cv_end kind, uint64_t code)
{
	if (fake_of(m)->end != CV_END_NONE)
		return;
	fake_of(m)->end = kind;
	fake_of(m)->end_code = code;
}

void cv_machine_request_reset(struct cv_machine *m)
{
	fake_of(m)->resets++;
}

void cv_machine_set_a20(struct cv_machine *m, bool on)
{
	fake_of(m)->a20_off = !on;
}

void cv_machine_console_out(struct cv_machine *m, const uint8_t *p, size_t n)
{
	struct fake *f = fake_of(m);

	ck_assert_uint_le(f->nout + n, sizeof(f->out));
	memcpy(f->out + f->nout, p, n);
	f->nout += n;
}

static inline uint64_t fake_ask(void *ctx, enum cv_event_kind why)
{
	struct fake *f = ctx;

	ck_assert_int_eq(why, CV_EV_CLOCK);
	f->looks++;
	return f->host_ns;
}

static inline uint64_t fake_tsc_offset(struct cv_machine *m)
{
	return fake_of(m)->tsc_offset;
}

static inline void fake_nmi(struct cv_machine *m)
{
	fake_of(m)->nmis++;
}

static inline void fake_reset(struct fake *f)
{
	unsigned i;

	for (i = 0; i < f->m.ndevices; i++)
		f->m.devices[i].ops->reset(f->m.devices[i].dev);
}

/* A board at power-on with 16 MiB of RAM; its RTC shows 2024-02-28 23:59:50. test_device: it has that, too. */
static inline struct fake *fake_new_with(bool test_device)
{
	struct fake *f = calloc(1, sizeof(*f));
	struct cv_error err = {0};

	ck_assert_ptr_nonnull(f);
	f->m.config.epoch = 1709164790;
	f->m.config.ram_size = CV_RAM_MIN;
	f->m.config.test_device = test_device;
	f->m.model.phys_bits = 39;
	cv_clock_init(&f->m.clock, false);
	f->m.clock.ask = fake_ask;
	f->m.clock.ctx = f;
	f->m.tsc_offset = fake_tsc_offset;
	f->m.raise_nmi = fake_nmi;
	ck_assert_int_eq(cv_memory_init(&f->m.mem, CV_RAM_MIN, &err), 0);
	ck_assert_int_eq(cv_board.wire(&f->m, &err), 0);
	fake_reset(f);
	return f;
}

static inline struct fake *fake_new(void)
{
	return fake_new_with(false);
}

static inline void fake_free(struct fake *f)
{
	while (f->m.ndevices-- > 0)
		f->m.devices[f->m.ndevices].ops->free(f->m.devices[f->m.ndevices].dev);
	cv_memory_release(&f->m.mem);
	free(f);
}

/* The device of that name. */
static inline void *fake_device(struct fake *f, const char *name)
{
	unsigned i;

	for (i = 0; i < f->m.ndevices; i++)
		if (!strcmp(f->m.devices[i].ops->name, name))
			return f->m.devices[i].dev;
	ck_abort_msg("no device %s", name);
	return NULL;
}

static inline uint8_t in8(struct fake *f, unsigned port)
{
	return (uint8_t)cv_bus_in(&f->m.bus, (uint16_t)port, 1);
}

static inline void out8(struct fake *f, unsigned port, unsigned v)
{
	cv_bus_out(&f->m.bus, (uint16_t)port, 1, v);
}

static inline uint16_t in16(struct fake *f, unsigned port)
{
	return (uint16_t)cv_bus_in(&f->m.bus, (uint16_t)port, 2);
}

static inline void out16(struct fake *f, unsigned port, unsigned v)
{
	cv_bus_out(&f->m.bus, (uint16_t)port, 2, v);
}

static inline uint32_t in32(struct fake *f, unsigned port)
{
	return cv_bus_in(&f->m.bus, (uint16_t)port, 4);
}

static inline void out32(struct fake *f, unsigned port, uint32_t v)
{
	cv_bus_out(&f->m.bus, (uint16_t)port, 4, v);
}

static inline uint32_t lapic_get(struct fake *f, unsigned reg)
{
	return (uint32_t)cv_bus_mmio_read(&f->m.bus, CV_LAPIC_BASE + reg, 4);
}

static inline void lapic_set(struct fake *f, unsigned reg, uint32_t v)
{
	cv_bus_mmio_write(&f->m.bus, CV_LAPIC_BASE + reg, 4, v);
}

static inline uint32_t ioapic_get(struct fake *f, unsigned index)
{
	cv_bus_mmio_write(&f->m.bus, CV_IOAPIC_BASE, 4, index);
	return (uint32_t)cv_bus_mmio_read(&f->m.bus, CV_IOAPIC_BASE + 0x10, 4);
}

static inline void ioapic_set(struct fake *f, unsigned index, uint32_t v)
{
	cv_bus_mmio_write(&f->m.bus, CV_IOAPIC_BASE, 4, index);
	cv_bus_mmio_write(&f->m.bus, CV_IOAPIC_BASE + 0x10, 4, v);
}

static inline bool pending(struct fake *f)
{
	return f->m.irqchip->pending(f->m.irqchip_dev);
}

/* The vector that the CPU gets, or -1. */
static inline int acknowledge(struct fake *f)
{
	return pending(f) ? f->m.irqchip->acknowledge(f->m.irqchip_dev) : -1;
}

/* Time goes on to t, and deadlines up to it fire. */
static inline void advance(struct fake *f, uint64_t t)
{
	f->host_ns = t;
	cv_clock_advance(&f->m.clock, t);
}

/* The PICs at vectors 20h and 28h, all lines open. */
static inline void setup_pics(struct fake *f)
{
	out8(f, 0x20, 0x11);
	out8(f, 0x21, 0x20);
	out8(f, 0x21, 0x04);
	out8(f, 0x21, 0x01);
	out8(f, 0xa0, 0x11);
	out8(f, 0xa1, 0x28);
	out8(f, 0xa1, 0x02);
	out8(f, 0xa1, 0x01);
	out8(f, 0x21, 0x00);
	out8(f, 0xa1, 0x00);
}

/* The local APIC on, its LINT0 closed, IOAPIC pin `pin` to `vector` with the entry's low bits `flags`. */
static inline void setup_apics(struct fake *f, unsigned pin, unsigned vector, uint32_t flags)
{
	lapic_set(f, 0xf0, 0x1ff);
	lapic_set(f, 0x350, 0x10000);
	ioapic_set(f, 0x11 + 2 * pin, CV_LAPIC_ID << 24);
	ioapic_set(f, 0x10 + 2 * pin, vector | flags);
}

/* All that the devices and the clock save. */
static inline void fake_save(struct fake *f, struct cv_wbuf *w)
{
	unsigned i;

	cv_clock_save(&f->m.clock, w);
	for (i = 0; i < f->m.ndevices; i++)
		f->m.devices[i].ops->save(f->m.devices[i].dev, w);
	ck_assert_int_eq(w->err, 0);
}

static inline void fake_load(struct fake *f, const struct cv_wbuf *w)
{
	struct cv_rbuf r;
	unsigned i;

	cv_rbuf_init(&r, w->data, w->len);
	cv_clock_load(&f->m.clock, &r);
	for (i = 0; i < f->m.ndevices; i++)
		f->m.devices[i].ops->load(f->m.devices[i].dev, &r);
	ck_assert_int_eq(r.err, 0);
	ck_assert_uint_eq(r.pos, r.len);
}

/*
 * Save, load, continue = continue. The machine is saved; `go` runs on it and again on a fresh machine that loaded the
 * bytes; both must give the same answers (go adds them to `log`) and end in the same state.
 */
static inline void check_continues(struct fake *f, void (*go)(struct fake *f, struct cv_wbuf *log))
{
	struct cv_wbuf saved = {0}, again = {0}, end1 = {0}, end2 = {0}, log1 = {0}, log2 = {0};
	struct fake *g = fake_new_with(f->m.config.test_device);

	fake_save(f, &saved);
	fake_load(g, &saved);
	fake_save(g, &again);
	ck_assert_uint_eq(saved.len, again.len);
	ck_assert_mem_eq(saved.data, again.data, saved.len);
	g->host_ns = f->host_ns;
	g->tsc_offset = f->tsc_offset;
	ck_assert_int_eq(pending(f), pending(g));
	go(f, &log1);
	go(g, &log2);
	ck_assert_uint_gt(log1.len, 0);
	ck_assert_uint_eq(log1.len, log2.len);
	ck_assert_mem_eq(log1.data, log2.data, log1.len);
	fake_save(f, &end1);
	fake_save(g, &end2);
	ck_assert_uint_eq(end1.len, end2.len);
	ck_assert_mem_eq(end1.data, end2.data, end1.len);
	fake_free(g);
	cv_wbuf_release(&saved);
	cv_wbuf_release(&again);
	cv_wbuf_release(&end1);
	cv_wbuf_release(&end2);
	cv_wbuf_release(&log1);
	cv_wbuf_release(&log2);
}

/* A device refuses bytes of another version, and bytes that end early. */
static inline void check_refuses(struct fake *f, const char *name)
{
	struct cv_wbuf w = {0};
	struct cv_rbuf r;
	unsigned i;

	for (i = 0; i < f->m.ndevices; i++) {
		if (strcmp(f->m.devices[i].ops->name, name))
			continue;
		f->m.devices[i].ops->save(f->m.devices[i].dev, &w);
		cv_rbuf_init(&r, w.data, w.len - 1);
		f->m.devices[i].ops->load(f->m.devices[i].dev, &r);
		ck_assert_int_eq(r.err, CV_E_CORRUPT);
		w.data[0] = 0xee;
		cv_rbuf_init(&r, w.data, w.len);
		f->m.devices[i].ops->load(f->m.devices[i].dev, &r);
		ck_assert_int_eq(r.err, CV_E_CORRUPT);
	}
	ck_assert_uint_gt(w.len, 0);
	cv_wbuf_release(&w);
}

/* One suite of one case; setup and teardown around each test. Gives main()'s result. */
static inline int run_tests(const char *name, const TTest *const *tests, size_t n, void (*setup)(void),
			    void (*teardown)(void))
{
	Suite *s = suite_create(name);
	TCase *t = tcase_create(name);
	SRunner *sr;
	size_t i;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	for (i = 0; i < n; i++)
		tcase_add_test(t, tests[i]);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
