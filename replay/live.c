/* SPDX-License-Identifier: MIT */
/*
 * The live environment: the host's monotonic clock, getrandom, a console on two descriptors, commands from signals.
 *
 * Guest time is host time since the start, without the time spent paused, and never goes backwards. Asynchronous
 * inputs are given at positions with sub 0 outside a REP only (position.h), so that a replay can always stop there.
 * The console is looked at once a slice, counted in instructions: with the virtual clock and input that is there from
 * the beginning two runs read the same bytes at the same positions.
 */
#ifndef _GNU_SOURCE
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#endif
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "replay/internal.h"

#define SLICE_DEFAULT 50000u
#define NS_PER_S 1000000000ull
#define WAIT_MAX_NS 100000000ull /* after this long a wait returns, so that the host can look around */
#define CTRL_A 1

struct cv_live {
	struct cv_env env;
	struct cv_live_config cfg;
	uint64_t origin;    /* host ns at guest time 0 */
	uint64_t last;	    /* guest ns last given */
	uint64_t paused_at; /* host ns */
	bool paused;
	int event_fd; /* owned: wakes a wait when a command comes */
	atomic_uint commands; /* bit n: enum cv_command n */
	bool in_closed, escape;
	bool looked;	      /* the console was looked at, at insns `looked_at` */
	uint64_t looked_at;
	uint64_t rng;
	uint8_t out[4096];
	size_t nout;
};

uint64_t cv_host_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static struct cv_live *self(struct cv_env *env)
{
	return (struct cv_live *)env;
}

static uint64_t guest_now(struct cv_live *l)
{
	uint64_t now = (l->paused ? l->paused_at : cv_host_now()) - l->origin;

	if (now > l->last)
		l->last = now;
	return l->last;
}

void cv_live_pause(struct cv_live *l)
{
	if (!l->paused) {
		l->paused = true;
		l->paused_at = cv_host_now();
	}
}

void cv_live_resume(struct cv_live *l)
{
	if (l->paused) {
		l->paused = false;
		l->origin += cv_host_now() - l->paused_at;
	}
}

/* --- Console output: gathered to a line or a slice --- */

static void write_all(struct cv_live *l, const uint8_t *p, size_t n)
{
	while (n && l->cfg.out_fd >= 0) {
		ssize_t did = write(l->cfg.out_fd, p, n);

		if (did >= 0) {
			p += did;
			n -= (size_t)did;
		} else if (errno == EAGAIN) {
			struct pollfd fd = {.fd = l->cfg.out_fd, .events = POLLOUT};

			poll(&fd, 1, -1);
		} else if (errno != EINTR) {
			l->cfg.out_fd = -1; /* nobody reads any more: the guest goes on */
		}
	}
}

static void flush(struct cv_live *l)
{
	if (l->nout)
		write_all(l, l->out, l->nout);
	l->nout = 0;
}

static void live_console_out(struct cv_env *env, const struct cv_pos *pos, const uint8_t *p, size_t n)
{
	struct cv_live *l = self(env);

	(void)pos;
	for (size_t i = 0; i < n; i++) {
		l->out[l->nout++] = p[i];
		if (l->nout == sizeof(l->out))
			flush(l);
	}
}

/* --- Console input and commands --- */

void cv_live_command(struct cv_live *l, enum cv_command cmd)
{
	const uint64_t one = 1;
	int saved = errno;

	atomic_fetch_or(&l->commands, 1u << cmd);
	if (write(l->event_fd, &one, sizeof(one)) < 0)
		errno = saved; /* the counter is full: whoever waits wakes all the same */
	errno = saved;
}

static const char help[] = "\r\n"
			   "Ctrl-A x  end the run\r\n"
			   "Ctrl-A n  non-maskable interrupt\r\n"
			   "Ctrl-A p  power button\r\n"
			   "Ctrl-A b  send Ctrl-A\r\n"
			   "Ctrl-A h  this help\r\n";

/* The byte after Ctrl-A. Returns true when it stands for a byte to the guest. */
static bool escaped(struct cv_live *l, uint8_t c)
{
	switch (c) {
	case 'x':
		atomic_fetch_or(&l->commands, 1u << CV_CMD_STOP);
		return false;
	case 'n':
		atomic_fetch_or(&l->commands, 1u << CV_CMD_NMI);
		return false;
	case 'p':
		atomic_fetch_or(&l->commands, 1u << CV_CMD_POWER_BUTTON);
		return false;
	case 'b':
		return true;
	default:
		flush(l);
		write_all(l, (const uint8_t *)help, sizeof(help) - 1);
		return false;
	}
}

static size_t unescape(struct cv_live *l, uint8_t *p, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		uint8_t c = p[i];

		if (l->escape) {
			l->escape = false;
			if (escaped(l, c))
				p[kept++] = CTRL_A;
		} else if (c == CTRL_A) {
			l->escape = true;
		} else {
			p[kept++] = c;
		}
	}
	return kept;
}

/* What can be read at once, at most room bytes. */
static bool read_console(struct cv_live *l, size_t room, struct cv_event *ev)
{
	struct pollfd fd = {.fd = l->cfg.in_fd, .events = POLLIN};
	ssize_t n;

	if (l->in_closed || !room || poll(&fd, 1, 0) <= 0)
		return false;
	n = read(l->cfg.in_fd, ev->data, room < CV_EVENT_DATA_MAX ? room : CV_EVENT_DATA_MAX);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		l->in_closed = true;
		return false;
	}
	ev->len = (uint32_t)(l->cfg.raw_escape ? unescape(l, ev->data, (size_t)n) : (size_t)n);
	ev->kind = CV_EV_CONSOLE_IN;
	return ev->len != 0;
}

static bool take_command(struct cv_live *l, struct cv_event *ev)
{
	unsigned set = atomic_load(&l->commands);
	uint64_t count;

	if (!set)
		return false;
	ev->kind = CV_EV_COMMAND;
	ev->value = (uint64_t)__builtin_ctz(set);
	if (!(atomic_fetch_and(&l->commands, ~(1u << ev->value)) & ~(1u << ev->value)) &&
	    read(l->event_fd, &count, sizeof(count)) < 0)
		return true; /* it came from the console: the descriptor was not rung */
	return true;
}

static bool look(struct cv_live *l, const struct cv_pos *pos, uint64_t deadline, size_t room, bool console,
		 struct cv_event *ev)
{
	memset(ev, 0, sizeof(*ev));
	ev->pos = *pos;
	if (take_command(l, ev))
		return true;
	if (!l->env.virtual_clock && deadline != CV_NEVER && guest_now(l) >= deadline) {
		ev->kind = CV_EV_TIME;
		ev->value = l->last;
		return true;
	}
	if (!console)
		return false;
	return read_console(l, room, ev) || take_command(l, ev);
}

static uint64_t live_horizon(struct cv_env *env, const struct cv_pos *pos)
{
	(void)pos;
	return self(env)->cfg.slice;
}

static bool live_poll(struct cv_env *env, const struct cv_pos *pos, uint64_t deadline, size_t room,
		      struct cv_event *ev)
{
	struct cv_live *l = self(env);
	bool console = !l->looked || pos->insns - l->looked_at >= l->cfg.slice || pos->sub;

	if (pos->sub % CV_POS_LOOK || pos->in_rep)
		return false;
	if (console) {
		flush(l);
		l->looked = true;
		l->looked_at = pos->insns;
	}
	return look(l, pos, deadline, room, console, ev);
}

/* Sleeps until something may have happened. Returns false when it was the outer world's descriptor. */
static bool sleep_until(struct cv_live *l, uint64_t deadline, size_t room)
{
	struct pollfd fds[3] = {
		{.fd = l->event_fd, .events = POLLIN},
		{.fd = l->in_closed || !room ? -1 : l->cfg.in_fd, .events = POLLIN},
		{.fd = l->cfg.wake_fd, .events = POLLIN},
	};
	uint64_t ns = WAIT_MAX_NS;
	struct timespec ts;

	if (!l->env.virtual_clock && deadline != CV_NEVER) {
		uint64_t now = guest_now(l);

		ns = deadline <= now ? 0 : deadline - now < ns ? deadline - now : ns;
	}
	ts.tv_sec = (time_t)(ns / NS_PER_S);
	ts.tv_nsec = (long)(ns % NS_PER_S);
	if (ppoll(fds, 3, &ts, NULL) <= 0)
		return true;
	return !fds[2].revents;
}

static bool live_wait(struct cv_env *env, const struct cv_pos *pos, uint64_t deadline, size_t room,
		      struct cv_event *ev)
{
	struct cv_live *l = self(env);

	flush(l);
	if (look(l, pos, deadline, room, true, ev))
		return true;
	if (l->env.virtual_clock && deadline != CV_NEVER)
		return false;
	if (deadline == CV_NEVER && l->in_closed) {
		l->env.exhausted = true;
		return false;
	}
	if (!sleep_until(l, deadline, room))
		return false;
	return look(l, pos, deadline, room, true, ev);
}

/* --- Synchronous answers --- */

static uint64_t live_clock(struct cv_env *env, const struct cv_pos *pos, enum cv_event_kind why)
{
	(void)pos;
	(void)why;
	return guest_now(self(env));
}

static bool live_clock_base(struct cv_env *env, uint64_t *delta, uint64_t *floor)
{
	struct cv_live *l = self(env);

	*delta = -l->origin;
	*floor = l->last;
	return !l->paused && !l->env.virtual_clock;
}

static void live_clock_taken(struct cv_env *env, const struct cv_pos *pos, uint64_t t)
{
	struct cv_live *l = self(env);

	(void)pos;
	if (t > l->last)
		l->last = t;
}

static uint64_t splitmix64(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull; /* Steele, Lea, Flood 2014 */

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static void live_entropy(struct cv_env *env, const struct cv_pos *pos, uint8_t *p, size_t n)
{
	struct cv_live *l = self(env);
	size_t done = 0;

	(void)pos;
	while (!l->env.virtual_clock && done < n) {
		ssize_t did = getrandom(p + done, n - done, 0);

		if (did > 0)
			done += (size_t)did;
		else if (errno != EINTR)
			break; /* no such call here: the generator below was seeded from the clock */
	}
	for (; done < n; done++)
		p[done] = (uint8_t)(splitmix64(&l->rng) >> 56);
}

static void live_interrupt(struct cv_env *env, const struct cv_pos *pos, unsigned vector)
{
	(void)env;
	(void)pos;
	(void)vector;
}

static const struct cv_env_ops live_ops = {
	.clock = live_clock,
	.clock_base = live_clock_base,
	.clock_taken = live_clock_taken,
	.entropy = live_entropy,
	.horizon = live_horizon,
	.poll = live_poll,
	.wait = live_wait,
	.interrupt = live_interrupt,
	.console_out = live_console_out,
};

int cv_live_new(struct cv_live **out, const struct cv_live_config *cfg, struct cv_error *err)
{
	struct cv_live *l = calloc(1, sizeof(*l));

	*out = NULL;
	if (!l)
		return cv_error_set(err, CV_E_NOMEM, "out of memory for the live environment");
	l->env.ops = &live_ops;
	l->env.virtual_clock = cfg->virtual_clock;
	l->cfg = *cfg;
	if (!l->cfg.slice)
		l->cfg.slice = SLICE_DEFAULT;
	l->in_closed = cfg->in_fd < 0;
	l->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->event_fd < 0) {
		int code = cv_error_set(err, CV_E_IO, "eventfd: %s", strerror(errno));

		free(l);
		return code;
	}
	atomic_init(&l->commands, 0);
	l->origin = cv_host_now();
	l->rng = cfg->virtual_clock ? cfg->seed : l->origin;
	*out = l;
	return 0;
}

void cv_live_free(struct cv_live *l)
{
	if (!l)
		return;
	flush(l);
	close(l->event_fd);
	free(l);
}

void cv_live_flush(struct cv_live *l)
{
	flush(l);
}

struct cv_env *cv_live_env(struct cv_live *l)
{
	return &l->env;
}
