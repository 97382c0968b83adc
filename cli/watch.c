/* SPDX-License-Identifier: MIT */
/*
 * The onlooker: an environment that passes everything on, keeps the console's tail, and knows --until insns=N and
 * --until console=REGEX, with and without a debugger.
 *
 * The expression is tried on the line so far at each piece of output, so that prompts without a newline match. The
 * horizon ends at instruction N, so that the machine asks for input exactly there, and is told to stop.
 */
#include <string.h>

#include "cli/cli.h"

static struct console_watch *self(struct cv_env *env)
{
	return (struct console_watch *)env;
}

/* The inner one's flags are copied after each call: the machine looks at ours. */
static void follow(struct console_watch *w)
{
	w->env.failed = w->inner->failed;
	w->env.exhausted = w->inner->exhausted;
}

static uint64_t watch_clock(struct cv_env *env, const struct cv_pos *pos, enum cv_event_kind why)
{
	struct console_watch *w = self(env);
	uint64_t t = w->inner->ops->clock(w->inner, pos, why);

	follow(w);
	return t;
}

static bool watch_clock_base(struct cv_env *env, uint64_t *delta, uint64_t *floor)
{
	struct console_watch *w = self(env);

	return w->inner->ops->clock_base && w->inner->ops->clock_base(w->inner, delta, floor);
}

static void watch_clock_taken(struct cv_env *env, const struct cv_pos *pos, uint64_t t)
{
	struct console_watch *w = self(env);

	w->inner->ops->clock_taken(w->inner, pos, t);
	follow(w);
}

static void watch_entropy(struct cv_env *env, const struct cv_pos *pos, uint8_t *p, size_t n)
{
	struct console_watch *w = self(env);

	w->inner->ops->entropy(w->inner, pos, p, n);
	follow(w);
}

static uint64_t watch_horizon(struct cv_env *env, const struct cv_pos *pos)
{
	struct console_watch *w = self(env);
	uint64_t n = w->inner->ops->horizon(w->inner, pos);

	return pos->insns < w->until && w->until - pos->insns < n ? w->until - pos->insns : n;
}

static bool watch_poll(struct cv_env *env, const struct cv_pos *pos, uint64_t deadline, size_t room,
		       struct cv_event *ev)
{
	struct console_watch *w = self(env);
	bool got;

	if (pos->insns >= w->until && !w->told) {
		cv_live_command(w->live, CV_CMD_STOP);
		w->told = true;
	}
	got = w->inner->ops->poll(w->inner, pos, deadline, room, ev);

	follow(w);
	return got;
}

static bool watch_wait(struct cv_env *env, const struct cv_pos *pos, uint64_t deadline, size_t room,
		       struct cv_event *ev)
{
	struct console_watch *w = self(env);
	bool got = w->inner->ops->wait(w->inner, pos, deadline, room, ev);

	follow(w);
	return got;
}

static void watch_interrupt(struct cv_env *env, const struct cv_pos *pos, unsigned vector)
{
	struct console_watch *w = self(env);

	w->inner->ops->interrupt(w->inner, pos, vector);
	follow(w);
}

static void watch_console_out(struct cv_env *env, const struct cv_pos *pos, const uint8_t *p, size_t n)
{
	struct console_watch *w = self(env);

	tail_add(&w->tail, p, n);
	for (size_t i = 0; w->compiled && i < n && !w->matched; i++) {
		if (p[i] == '\n' || w->len == sizeof(w->line) - 1)
			w->len = 0;
		if (p[i] == '\n' || p[i] == '\r' || !p[i])
			continue;
		w->line[w->len++] = (char)p[i];
		w->line[w->len] = 0;
		w->matched = !regexec(&w->re, w->line, 0, NULL, 0);
	}
	if (w->matched && !w->told) {
		cv_live_command(w->live, CV_CMD_STOP);
		w->told = true;
	}
	w->inner->ops->console_out(w->inner, pos, p, n);
	follow(w);
}

static const struct cv_env_ops watch_ops = {
	.clock = watch_clock,
	.clock_base = watch_clock_base,
	.clock_taken = watch_clock_taken,
	.entropy = watch_entropy,
	.horizon = watch_horizon,
	.poll = watch_poll,
	.wait = watch_wait,
	.interrupt = watch_interrupt,
	.console_out = watch_console_out,
};

int console_watch_init(struct console_watch *w, struct cv_env *inner, struct cv_live *live, uint64_t insns,
		       const char *regex, struct cv_error *err)
{
	char why[128];
	int rc;

	memset(w, 0, sizeof(*w));
	w->env.ops = &watch_ops;
	w->env.virtual_clock = inner->virtual_clock;
	w->inner = inner;
	w->live = live;
	w->until = insns;
	if (!regex)
		return 0;
	rc = regcomp(&w->re, regex, REG_EXTENDED | REG_NOSUB);
	if (rc) {
		regerror(rc, &w->re, why, sizeof(why));
		return cv_error_set(err, CV_E_BADINPUT, "--until console=%s: %s", regex, why);
	}
	w->compiled = true;
	return 0;
}

void console_watch_release(struct console_watch *w)
{
	if (w->compiled)
		regfree(&w->re);
	memset(w, 0, sizeof(*w));
}
