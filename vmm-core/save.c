/* SPDX-License-Identifier: MIT */
/*
 * The machine as bytes, and digests of it.
 *
 * Layout (version 1): u8 version; the CPU (cv_vcpu_save); the clock; each device in the board's order, as a blob; then
 * what the machine itself keeps: end state, console counters, the line being printed. No RAM: pages are saved apart.
 */
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "vmm-core/machine.h"

enum { SAVE_VERSION = 1 };

static void save_pos(struct cv_wbuf *w, const struct cv_pos *p)
{
	cv_put_u64(w, p->insns);
	cv_put_u64(w, p->branches);
	cv_put_u64(w, p->rip);
	cv_put_u64(w, p->rcx);
	cv_put_u32(w, p->sub);
	cv_put_u8(w, p->in_rep);
}

static void load_pos(struct cv_rbuf *r, struct cv_pos *p)
{
	p->insns = cv_get_u64(r);
	p->branches = cv_get_u64(r);
	p->rip = cv_get_u64(r);
	p->rcx = cv_get_u64(r);
	p->sub = cv_get_u32(r);
	p->in_rep = cv_get_u8(r) != 0;
}

static void save_devices(struct cv_machine *m, struct cv_wbuf *w)
{
	for (unsigned i = 0; i < m->ndevices; i++) {
		struct cv_wbuf d = {0};

		m->devices[i].ops->save(m->devices[i].dev, &d);
		if (d.err)
			w->err = d.err;
		cv_put_blob(w, d.data, d.len);
		cv_wbuf_release(&d);
	}
}

/* Virtual time is a function of the position: what is saved must not tell where the run loop last looked at it. */
static void settle_clock(struct cv_machine *m)
{
	struct cv_pos pos;

	if (!m->clock.virtual_clock)
		return;
	cv_machine_position(m, &pos);
	if (pos.insns + m->clock.skipped > m->clock.now)
		m->clock.now = pos.insns + m->clock.skipped;
}

void cv_machine_save(struct cv_machine *m, struct cv_wbuf *w)
{
	struct cv_vcpu_state s;

	settle_clock(m);
	m->engine->ops->get_state(m->engine, &s);
	cv_put_u8(w, SAVE_VERSION);
	cv_vcpu_save(&s, w);
	cv_clock_save(&m->clock, w);
	save_devices(m, w);
	cv_put_u8(w, (uint8_t)m->end.kind);
	cv_put_u64(w, m->end.code);
	save_pos(w, &m->end.pos);
	cv_put_u8(w, m->end.crashed);
	cv_put_u8(w, (uint8_t)m->end.crash_kind);
	save_pos(w, &m->end.crash_pos);
	cv_put_u64(w, m->out_count);
	cv_put_u64(w, m->out_hash);
	cv_put_blob(w, m->line, m->line_len);
	cv_put_u64(w, m->panic_deadline);
}

static void load_own(struct cv_machine *m, struct cv_rbuf *r)
{
	const void *line;
	size_t n;

	m->end.kind = (enum cv_end)cv_get_u8(r);
	m->end.code = cv_get_u64(r);
	load_pos(r, &m->end.pos);
	m->end.crashed = cv_get_u8(r) != 0;
	m->end.crash_kind = (enum cv_end)cv_get_u8(r);
	load_pos(r, &m->end.crash_pos);
	m->out_count = cv_get_u64(r);
	m->out_hash = cv_get_u64(r);
	line = cv_get_blob(r, &n);
	if (line && n < sizeof(m->line)) {
		memcpy(m->line, line, n);
		m->line_len = (unsigned)n;
	} else {
		r->err = CV_E_CORRUPT;
	}
	m->panic_deadline = cv_get_u64(r);
}

static void load_devices(struct cv_machine *m, struct cv_rbuf *r)
{
	for (unsigned i = 0; i < m->ndevices && !r->err; i++) {
		struct cv_rbuf d;
		size_t n;
		const void *p = cv_get_blob(r, &n);

		if (!p)
			break;
		cv_rbuf_init(&d, p, n);
		m->devices[i].ops->load(m->devices[i].dev, &d);
		if (d.err || d.pos != d.len)
			r->err = CV_E_CORRUPT;
	}
}

int cv_machine_load(struct cv_machine *m, const void *p, size_t n, struct cv_error *err)
{
	struct cv_vcpu_state s;
	struct cv_rbuf r;

	memset(&s, 0, sizeof(s));
	cv_rbuf_init(&r, p, n);
	if (cv_get_u8(&r) != SAVE_VERSION)
		return cv_error_set(err, CV_E_CORRUPT, "checkpoint: unknown machine state version");
	cv_vcpu_load(&s, &r);
	cv_clock_load(&m->clock, &r);
	load_devices(m, &r);
	load_own(m, &r);
	m->reset_pending = false;
	m->settled = false;
	if (r.err || r.pos != r.len)
		return cv_error_set(err, CV_E_CORRUPT, "checkpoint: machine state is damaged");
	m->engine->ops->set_state(m->engine, &s);
	m->engine->ops->flush_tlb(m->engine);
	return 0;
}

static bool page_is_zero(const uint8_t *p)
{
	return !p[0] && !memcmp(p, p + 1, CV_PAGE_SIZE - 1);
}

static int digest_state(struct cv_machine *m, XXH3_state_t *x, struct cv_error *err)
{
	struct cv_wbuf w = {0};

	cv_machine_save(m, &w);
	if (w.err) {
		cv_wbuf_release(&w);
		return cv_error_set(err, CV_E_NOMEM, "out of memory for a digest");
	}
	XXH3_128bits_reset(x);
	XXH3_128bits_update(x, w.data, w.len);
	cv_wbuf_release(&w);
	return 0;
}

static void digest_page(struct cv_machine *m, XXH3_state_t *x, uint32_t page)
{
	const uint8_t name[4] = {(uint8_t)page, (uint8_t)(page >> 8), (uint8_t)(page >> 16), (uint8_t)(page >> 24)};

	XXH3_128bits_update(x, name, sizeof(name));
	XXH3_128bits_update(x, m->mem.ram + ((size_t)page << CV_PAGE_SHIFT), CV_PAGE_SIZE);
}

static void digest_finish(XXH3_state_t *x, struct cv_digest *d)
{
	XXH128_canonical_t c;

	XXH128_canonicalFromHash(&c, XXH3_128bits_digest(x));
	memcpy(d->b, c.digest, sizeof(d->b));
	XXH3_freeState(x);
}

static XXH3_state_t *digest_begin(struct cv_machine *m, struct cv_error *err)
{
	XXH3_state_t *x = XXH3_createState();

	if (!x) {
		cv_error_set(err, CV_E_NOMEM, "out of memory for a digest");
		return NULL;
	}
	if (digest_state(m, x, err)) {
		XXH3_freeState(x);
		return NULL;
	}
	return x;
}

int cv_machine_digest(struct cv_machine *m, struct cv_digest *d, struct cv_error *err)
{
	XXH3_state_t *x = digest_begin(m, err);

	if (!x)
		return CV_E_NOMEM;
	for (uint32_t page = 0; page < m->mem.pages; page++)
		if ((m->mem.flags[page] & CV_PAGE_TOUCHED) &&
		    !page_is_zero(m->mem.ram + ((size_t)page << CV_PAGE_SHIFT)))
			digest_page(m, x, page);
	digest_finish(x, d);
	return 0;
}

static int compare_pages(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

int cv_machine_digest_dirty(struct cv_machine *m, struct cv_digest *d, struct cv_error *err)
{
	XXH3_state_t *x = digest_begin(m, err);

	if (!x)
		return CV_E_NOMEM;
	/* The list is in order of first write, which depends on nothing but the guest; sorted all the same. */
	qsort(m->mem.dirty, m->mem.ndirty, sizeof(m->mem.dirty[0]), compare_pages);
	for (uint32_t i = 0; i < m->mem.ndirty; i++)
		digest_page(m, x, m->mem.dirty[i]);
	digest_finish(x, d);
	return 0;
}
