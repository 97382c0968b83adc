/* SPDX-License-Identifier: MIT */
/*
 * The run loop: inputs at exact positions, deadlines, the engine in between.
 *
 * One turn of the loop: apply every asynchronous input due here; fire deadlines (virtual clock: those that the
 * instruction count has reached; host clock: only a CV_EV_TIME fires any); let the engine run to the nearest of
 * `until`, the environment's horizon, the virtual deadline.
 *
 * The order of inputs and deadlines at one position must be the same live and in replay. With the host clock the
 * passing of time is itself an input, so the log orders them. With the virtual clock a turn polls once, then fires; it
 * does so once for each position (`settled`), and idle time that was skipped without waking the CPU makes a new
 * position (sub grows by one).
 */
#include <assert.h>

#include "vmm-core/machine.h"

/* An NMI that a device or the user raised becomes the CPU's, before anything can be saved or run. */
static void take_nmi(struct cv_machine *m)
{
	struct cv_vcpu_state s;

	if (!m->nmi_asked)
		return;
	m->nmi_asked = false;
	m->engine->ops->get_state(m->engine, &s);
	s.nmi_pending = true;
	m->engine->ops->set_state(m->engine, &s);
}

static void apply_command(struct cv_machine *m, enum cv_command cmd)
{
	switch (cmd) {
	case CV_CMD_STOP:
		cv_machine_end(m, CV_END_STOPPED, 0);
		break;
	case CV_CMD_POWER_BUTTON:
		if (m->power_button)
			m->power_button(m->power_dev);
		break;
	case CV_CMD_NMI:
		m->nmi_asked = true;
		break;
	case CV_CMD_RESET:
		m->reset_pending = true;
		break;
	}
}

static void apply(struct cv_machine *m, const struct cv_event *ev)
{
	switch (ev->kind) {
	case CV_EV_TIME:
		cv_clock_advance(&m->clock, ev->value);
		break;
	case CV_EV_CONSOLE_IN:
		m->console_put(m->console_dev, ev->data, ev->len);
		break;
	case CV_EV_COMMAND:
		apply_command(m, (enum cv_command)ev->value);
		break;
	default:
		assert(!"the environment gave an event that is no asynchronous input");
	}
}

static size_t console_room(struct cv_machine *m)
{
	return m->console_room ? m->console_room(m->console_dev) : 0;
}

static void poll_inputs(struct cv_machine *m, const struct cv_pos *pos)
{
	struct cv_event ev;

	while (!m->env->failed && m->end.kind == CV_END_NONE &&
	       m->env->ops->poll(m->env, pos, cv_clock_deadline(&m->clock), console_room(m), &ev))
		apply(m, &ev);
}

/* Inputs and deadlines at pos. */
static void settle(struct cv_machine *m, const struct cv_pos *pos)
{
	if (m->clock.virtual_clock) {
		if (m->settled && !cv_pos_cmp(&m->settled_pos, pos))
			return;
		m->settled = true;
		m->settled_pos = *pos;
	}
	poll_inputs(m, pos);
	if (m->clock.virtual_clock)
		cv_clock_advance(&m->clock, pos->insns + m->clock.skipped);
}

static void bump_sub(struct cv_machine *m)
{
	struct cv_vcpu_state s;

	m->engine->ops->get_state(m->engine, &s);
	s.pos.sub++;
	m->engine->ops->set_state(m->engine, &s);
}

/* The CPU is halted at pos. Returns false when cv_machine_run must return with *run filled. */
static bool idle(struct cv_machine *m, const struct cv_pos *pos, struct cv_run *run)
{
	struct cv_vcpu_state s;
	uint64_t deadline;
	struct cv_event ev;

	/* Inputs and deadlines due here come first; and time is what it is here, wherever the loop last looked. */
	settle(m, pos);
	take_nmi(m);
	if (m->env->failed || m->end.kind != CV_END_NONE || m->reset_pending)
		return true;
	m->engine->ops->get_state(m->engine, &s);
	if (!(s.rflags & CV_FLAG_IF) && !s.nmi_pending) { /* only a reset could wake it */
		cv_machine_end(m, CV_END_DEAD, 0);
		return true;
	}
	if (m->irqchip->pending(m->irqchip_dev) || (s.nmi_pending && !s.nmi_blocked))
		return true;
	deadline = cv_clock_deadline(&m->clock);
	if (m->clock.virtual_clock && deadline != CV_NEVER) {
		if (deadline > m->clock.now)
			m->clock.skipped += deadline - m->clock.now;
		cv_clock_advance(&m->clock, deadline);
		take_nmi(m);
		if (!m->irqchip->pending(m->irqchip_dev))
			bump_sub(m);
		return true;
	}
	if (m->env->ops->wait(m->env, pos, deadline, console_room(m), &ev)) {
		apply(m, &ev);
		take_nmi(m);
		return true;
	}
	if (m->env->failed)
		return true;
	if (m->env->exhausted) {
		cv_machine_end(m, CV_END_DEAD, 0);
		return true;
	}
	run->why = CV_RUN_IDLE;
	return false;
}

static uint64_t sat_add(uint64_t a, uint64_t b)
{
	return a + b < a ? UINT64_MAX : a + b;
}

/* Where the engine must return: the caller's stop, or sooner. */
static void next_stop(struct cv_machine *m, const struct cv_stop *until, const struct cv_pos *pos,
		      struct cv_stop *stop)
{
	uint64_t end = sat_add(pos->insns, m->env->ops->horizon(m->env, pos));
	uint64_t deadline;

	*stop = *until;
	if (m->clock.virtual_clock) {
		deadline = cv_clock_deadline(&m->clock);
		if (deadline != CV_NEVER && deadline - m->clock.skipped < end)
			end = deadline - m->clock.skipped;
	}
	if (m->panic_deadline < end)
		end = m->panic_deadline;
	if (end < until->insns) {
		stop->insns = end;
		stop->in_rep = false;
	}
}

static bool reached(const struct cv_stop *until, const struct cv_pos *pos)
{
	if (pos->insns != until->insns)
		return pos->insns > until->insns;
	return !until->in_rep || (pos->in_rep && pos->rcx <= until->rcx);
}

/* Has the engine come to where the caller wants to stop, whatever it was that made it return? */
static bool done(const struct cv_stop *until, const struct cv_pos *before, const struct cv_pos *pos)
{
	if (reached(until, pos))
		return true;
	if (until->step && cv_pos_cmp(before, pos))
		return true;
	return until->stop_at_delivery && pos->sub && cv_pos_cmp(before, pos);
}

/* What the engine's exit means. Returns true when cv_machine_run must return. */
static bool handle_exit(struct cv_machine *m, const struct cv_stop *until, const struct cv_pos *before, bool yield,
			struct cv_run *run)
{
	struct cv_pos pos;

	take_nmi(m);
	cv_machine_position(m, &pos);
	if (run->exit.kind == CV_EXIT_SHUTDOWN)
		cv_machine_end(m, CV_END_TRIPLE_FAULT, run->exit.vector);
	if (pos.insns >= m->panic_deadline)
		cv_machine_end(m, CV_END_CONSOLE_PANIC, 0);
	if (m->end.kind != CV_END_NONE) {
		/* A device ended the run in mid-instruction; that has retired by now. */
		m->end.pos = pos;
		if (m->end.crash_kind == m->end.kind && m->end.kind != CV_END_CONSOLE_PANIC)
			m->end.crash_pos = pos;
		return false;
	}
	if (run->exit.kind == CV_EXIT_BREAK || run->exit.kind == CV_EXIT_WATCH) {
		run->why = run->exit.kind == CV_EXIT_BREAK ? CV_RUN_BREAK : CV_RUN_WATCH;
		return true;
	}
	if (done(until, before, &pos) && !m->reset_pending) {
		run->why = CV_RUN_POSITION;
		return true;
	}
	if (run->exit.kind == CV_EXIT_HALT && !idle(m, &pos, run))
		return true;
	run->why = CV_RUN_YIELD;
	return yield && (run->exit.kind == CV_EXIT_POSITION || run->exit.kind == CV_EXIT_HALT);
}

/* Nothing more can be run: true with run->why. */
static bool over(struct cv_machine *m, struct cv_run *run)
{
	if (m->env->failed) {
		run->why = CV_RUN_ENV;
		return true;
	}
	if (m->end.kind != CV_END_NONE) {
		run->why = CV_RUN_END;
		return true;
	}
	return false;
}

/* The guest asked for a reset in the instruction that has just retired. */
static int reset(struct cv_machine *m, struct cv_error *err)
{
	if (!m->config.reboot) {
		m->reset_pending = false;
		cv_machine_end(m, CV_END_RESET, 0);
		return 0;
	}
	return cv_machine_reset(m, err);
}

int cv_machine_run(struct cv_machine *m, const struct cv_stop *until, bool yield, struct cv_run *run,
		   struct cv_error *err)
{
	struct cv_stop stop;
	struct cv_pos pos;
	bool first = true;
	int rc;

	for (;;) {
		if (m->reset_pending) {
			rc = reset(m, err);
			if (rc)
				return rc;
		}
		if (over(m, run))
			return 0;
		cv_machine_position(m, &pos);
		if (reached(until, &pos)) {
			run->why = CV_RUN_POSITION;
			return 0;
		}
		settle(m, &pos);
		take_nmi(m);
		if (m->reset_pending || over(m, run))
			continue;
		next_stop(m, until, &pos, &stop);
		stop.skip_first_break = first && until->skip_first_break;
		first = false;
		m->clock.changed = false;
		rc = m->engine->ops->run(m->engine, &stop, &run->exit, err);
		if (rc)
			return rc;
		if (handle_exit(m, until, &pos, yield, run))
			return 0;
	}
}
