/* SPDX-License-Identifier: MIT */
/*
 * Events for tests of the recording: like those of a kernel (clock reads from a few places, ticks with their
 * interrupts, now and then input), or wild (every field anything that the format allows). Same seed, same events.
 */
#ifndef CV_TESTS_LOG_EVENTS_H
#define CV_TESTS_LOG_EVENTS_H

#include <stdbool.h>
#include <string.h>

#include "vmm-core/event.h"

struct source {
	uint64_t state;
	struct cv_pos pos;
	uint64_t time;
	unsigned site;
	bool tick; /* an interrupt follows */
};

static inline uint64_t source_random(struct source *s)
{
	uint64_t z = s->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static inline void source_init(struct source *s, uint64_t seed)
{
	memset(s, 0, sizeof(*s));
	s->state = seed;
}

/* A number of a random size: mostly small, sometimes any. */
static inline uint64_t source_any(struct source *s)
{
	return source_random(s) >> (source_random(s) & 63);
}

static inline void source_wild(struct source *s, struct cv_event *ev)
{
	memset(ev, 0, sizeof(*ev));
	ev->kind = 1 + source_random(s) % (CV_EV_KINDS - 1);
	s->pos.insns += source_any(s) >> 12; /* never beyond 2^63 */
	s->pos.branches += source_any(s);
	s->pos.rip = source_random(s) & 1 ? source_any(s) : s->pos.rip;
	s->pos.sub = source_random(s) & 7 ? 0 : (uint32_t)source_any(s);
	s->pos.in_rep = !(source_random(s) & 7);
	s->pos.rcx = s->pos.in_rep ? source_any(s) : 0;
	ev->pos = s->pos;
	ev->value = source_any(s);
	if (!(source_random(s) & 3))
		ev->len = (uint32_t)(source_random(s) % (CV_EVENT_DATA_MAX + 1));
	for (uint32_t i = 0; i < ev->len; i++)
		ev->data[i] = (uint8_t)source_random(s);
}

static inline void source_kernel_tick(struct source *s, struct cv_event *ev)
{
	ev->kind = s->tick ? CV_EV_INTERRUPT : CV_EV_TIME;
	if (!s->tick) {
		uint64_t n = 100 + source_random(s) % 20000;

		s->pos.insns += n;
		s->pos.branches += n / 6;
		s->pos.rip = UINT64_C(0xffffffff81000000) + source_random(s) % 0x800000;
		s->time += n * 4 + source_random(s) % 500;
	}
	ev->pos = s->pos;
	ev->value = s->tick ? 236 : s->time;
	s->tick = !s->tick;
}

/* One of 24 places, the next one mostly given by this one; each step is one of a few paths, some with a loop in them. */
static inline void source_kernel(struct source *s, struct cv_event *ev)
{
	uint64_t r = source_random(s), h, insns, branches, loops;

	memset(ev, 0, sizeof(*ev));
	if (s->tick || r % 23 == 0) {
		source_kernel_tick(s, ev);
		return;
	}
	s->site = r % 8 < 7 ? (s->site * 5 + 3) % 24 : (unsigned)(r >> 8) % 24;
	h = (s->site * UINT64_C(0x9e3779b97f4a7c15)) >> 40;
	insns = 120 + h % 3000 + 37 * (r >> 20 & 3);
	branches = 15 + h % 500 + 5 * (r >> 20 & 3);
	loops = (r >> 24 & 3) == 3 ? source_random(s) % 60 : 0;
	s->pos.insns += insns + 9 * loops;
	s->pos.branches += branches + 2 * loops;
	s->pos.rip = UINT64_C(0xffffffff81000000) + h % 0x800000;
	s->time += (insns + 9 * loops) * 4 + source_random(s) % (200 + insns / 4);
	ev->kind = s->site == 7 ? CV_EV_CLOCK : CV_EV_TSC;
	ev->pos = s->pos;
	ev->value = s->time;
}

static inline bool same_event(const struct cv_event *a, const struct cv_event *b)
{
	return a->kind == b->kind && a->pos.insns == b->pos.insns && a->pos.branches == b->pos.branches &&
	       a->pos.rip == b->pos.rip && a->pos.rcx == b->pos.rcx && a->pos.sub == b->pos.sub &&
	       a->pos.in_rep == b->pos.in_rep && a->value == b->value && a->len == b->len &&
	       !memcmp(a->data, b->data, a->len);
}

#endif
