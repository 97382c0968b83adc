/* SPDX-License-Identifier: MIT */
/*
 * Guest time and its deadlines: see clock.h. There are a dozen timers at most, so the queue is the list of all of them
 * in their order of registration, and the earliest is found by looking at each.
 */
#include "vmm-core/clock.h"

#include <assert.h>
#include <string.h>

#include "vmm-core/error.h"

#define SAVE_VERSION 1

void cv_clock_init(struct cv_clock *c, bool virtual_clock)
{
	memset(c, 0, sizeof(*c));
	c->virtual_clock = virtual_clock;
}

uint64_t cv_clock_read(struct cv_clock *c, enum cv_event_kind why)
{
	cv_clock_note(c, c->ask ? c->ask(c->ctx, why) : c->now);
	return c->now;
}

void cv_clock_note(struct cv_clock *c, uint64_t t)
{
	if (t > c->now)
		c->now = t;
}

void cv_timer_add(struct cv_clock *c, struct cv_timer *t, void (*expired)(void *, uint64_t), void *dev)
{
	assert(c->ntimers < CV_CLOCK_TIMERS);
	t->when = CV_NEVER;
	t->expired = expired;
	t->dev = dev;
	t->clock = c;
	c->timers[c->ntimers++] = t;
}

void cv_timer_arm(struct cv_timer *t, uint64_t when)
{
	struct cv_clock *c = t->clock;

	if (t->when == when)
		return;
	t->when = when;
	if (!c->changed) {
		c->changed = true;
		if (c->kick)
			c->kick(c->ctx);
	}
}

void cv_timer_cancel(struct cv_timer *t)
{
	cv_timer_arm(t, CV_NEVER);
}

static struct cv_timer *earliest(const struct cv_clock *c)
{
	struct cv_timer *best = NULL;
	unsigned i;

	for (i = 0; i < c->ntimers; i++)
		if (c->timers[i]->when != CV_NEVER && (!best || c->timers[i]->when < best->when))
			best = c->timers[i];
	return best;
}

uint64_t cv_clock_deadline(const struct cv_clock *c)
{
	const struct cv_timer *t = earliest(c);

	return t ? t->when : CV_NEVER;
}

void cv_clock_advance(struct cv_clock *c, uint64_t t)
{
	struct cv_timer *due;

	if (t > c->now)
		c->now = t;
	while ((due = earliest(c)) && due->when <= c->now) {
		uint64_t when = due->when;

		due->when = CV_NEVER;
		due->expired(due->dev, when);
	}
}

void cv_clock_save(const struct cv_clock *c, struct cv_wbuf *w)
{
	unsigned i;

	cv_put_u8(w, SAVE_VERSION);
	cv_put_u64(w, c->now);
	cv_put_u64(w, c->skipped);
	cv_put_u8(w, (uint8_t)c->ntimers);
	for (i = 0; i < c->ntimers; i++)
		cv_put_u64(w, c->timers[i]->when);
}

void cv_clock_load(struct cv_clock *c, struct cv_rbuf *r)
{
	unsigned i;

	if (cv_get_u8(r) != SAVE_VERSION && !r->err)
		r->err = CV_E_CORRUPT;
	c->now = cv_get_u64(r);
	c->skipped = cv_get_u64(r);
	if (cv_get_u8(r) != c->ntimers && !r->err)
		r->err = CV_E_CORRUPT;
	for (i = 0; i < c->ntimers; i++) {
		uint64_t when = cv_get_u64(r);

		c->timers[i]->when = r->err ? CV_NEVER : when;
	}
	c->changed = true;
}
