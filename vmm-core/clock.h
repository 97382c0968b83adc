/* SPDX-License-Identifier: MIT */
/*
 * Guest time: one count of nanoseconds since power-on, and one queue of deadlines in it. The TSC ticks at 1 GHz, so a
 * TSC tick is a nanosecond.
 *
 * --clock host: `now` moves only when an input says so (CV_EV_TIME, or a clock read that the environment answers).
 * --clock virtual: now = insns + skipped, where `skipped` grows when a halted guest jumps to its next deadline.
 * A device reads time with cv_clock_read() when the guest asks it something (that may be an event in the log), and
 * with cv_clock_now() inside a timer callback (never an event).
 */
#ifndef CV_CLOCK_H
#define CV_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm-core/buf.h"
#include "vmm-core/event.h"

#define CV_TSC_HZ 1000000000ull
#define CV_NEVER UINT64_MAX

struct cv_clock;

/* A deadline. Embedded in its device; registered once by cv_timer_add in the board's fixed order. */
struct cv_timer {
	uint64_t when;			      /* [s] guest ns, CV_NEVER while not armed */
	void (*expired)(void *dev, uint64_t when); /* [i] called with the timer disarmed; may arm it again */
	void *dev;			      /* [i] borrowed */
	struct cv_clock *clock;		      /* [i] borrowed */
};

#define CV_CLOCK_TIMERS 16

struct cv_clock {
	bool virtual_clock; /* [i] */
	uint64_t now;	    /* [s] last known guest time */
	uint64_t skipped;   /* [s] virtual: idle time jumped over */
	struct cv_timer *timers[CV_CLOCK_TIMERS]; /* [i] in order of registration: equal deadlines fire in this order */
	unsigned ntimers;
	bool changed; /* [h] a deadline was armed or cancelled since the run loop last looked: it must look again */
	/* [h] asks the machine for time at the current instruction. Set by the machine. */
	uint64_t (*ask)(void *ctx, enum cv_event_kind why);
	/* [h] told when `changed` becomes true, so that the engine stops after the current instruction. */
	void (*kick)(void *ctx);
	void *ctx;
};

void cv_clock_init(struct cv_clock *c, bool virtual_clock);
/* Time as the guest may see it now; in a running instruction only. */
uint64_t cv_clock_read(struct cv_clock *c, enum cv_event_kind why);
/* The guest was told t elsewhere: it is the time now, unless that is later already. */
void cv_clock_note(struct cv_clock *c, uint64_t t);
static inline uint64_t cv_clock_now(const struct cv_clock *c)
{
	return c->now;
}
void cv_timer_add(struct cv_clock *c, struct cv_timer *t, void (*expired)(void *, uint64_t), void *dev);
void cv_timer_arm(struct cv_timer *t, uint64_t when);
void cv_timer_cancel(struct cv_timer *t);
/* The earliest deadline, or CV_NEVER. */
uint64_t cv_clock_deadline(const struct cv_clock *c);
/* now = max(now, t); fires every deadline <= now, earliest first (ties: order of registration). */
void cv_clock_advance(struct cv_clock *c, uint64_t t);
/* Saves now, skipped and every timer's `when`. */
void cv_clock_save(const struct cv_clock *c, struct cv_wbuf *w);
void cv_clock_load(struct cv_clock *c, struct cv_rbuf *r);

#endif
