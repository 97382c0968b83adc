/* SPDX-License-Identifier: MIT */
/*
 * The one door through which anything enters the machine that is not a function of guest state.
 *
 * Live, record and replay are three implementations (replay/). Nobody on this side asks which one it is. A failing
 * door (log full, divergence) latches its error: the operation still answers something, and `failed` makes the run
 * loop stop before the next instruction.
 */
#ifndef CV_ENV_H
#define CV_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm-core/event.h"
#include "vmm-core/position.h"

struct cv_env;

struct cv_env_ops {
	/* --- synchronous: pos is where the guest asks --- */
	/* Guest time now, in ns since power-on; never less than any time given before. Only asked with --clock host. */
	uint64_t (*clock)(struct cv_env *env, const struct cv_pos *pos, enum cv_event_kind why /* TSC or CLOCK */);
	void (*entropy)(struct cv_env *env, const struct cv_pos *pos, uint8_t *p, size_t n);

	/*
	 * For an engine that answers the guest's RDTSC itself; both may be NULL. clock_base: guest time now is the host's CLOCK_MONOTONIC in ns +
	 * *delta, never less than *floor, until the machine asks the environment for anything else; false: ask `clock` each time. clock_taken: it
	 * gave the guest t at pos; calls come in the order of positions, and before any other that comes later.
	 */
	bool (*clock_base)(struct cv_env *env, uint64_t *delta, uint64_t *floor);
	void (*clock_taken)(struct cv_env *env, const struct cv_pos *pos, uint64_t t);

	/* --- asynchronous --- */
	/*
	 * How many instructions the machine may run from pos before it must call `poll` again (at least 1). Live: a
	 * slice; replay: the distance to the next asynchronous input.
	 */
	uint64_t (*horizon)(struct cv_env *env, const struct cv_pos *pos);
	/*
	 * The next asynchronous input that is due exactly at pos: true and *ev filled, or false. The caller applies it
	 * and asks again. deadline: guest time of the earliest timer, UINT64_MAX for none (live gives CV_EV_TIME only
	 * when it has passed). room: console bytes that the machine can take now (0: none may be given).
	 */
	bool (*poll)(struct cv_env *env, const struct cv_pos *pos, uint64_t deadline, size_t room,
		     struct cv_event *ev);
	/*
	 * The guest is halted at pos with nothing pending: wait until an input is there, or `deadline` has passed, and
	 * return as `poll` does. Live sleeps; with virtual_clock set it waits for input only if deadline is UINT64_MAX
	 * and returns false at once otherwise. Replay never waits. false with `failed` unset: nothing will ever come
	 * (live: input closed and no deadline), or the host wants the machine to look around; the caller asks again or
	 * ends the run.
	 */
	bool (*wait)(struct cv_env *env, const struct cv_pos *pos, uint64_t deadline, size_t room,
		     struct cv_event *ev);

	/* --- checks and outputs --- */
	void (*interrupt)(struct cv_env *env, const struct cv_pos *pos, unsigned vector);
	void (*console_out)(struct cv_env *env, const struct cv_pos *pos, const uint8_t *p, size_t n);
};

struct cv_env {
	const struct cv_env_ops *ops; /* [i] borrowed */
	bool virtual_clock;	      /* [i] the machine computes time itself; `clock` is never asked */
	bool failed;		      /* [h] set once by an implementation; the machine stops */
	bool exhausted;		      /* [h] set by `wait`: no input can ever come; the caller ends the run */
};

#endif
