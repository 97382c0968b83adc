/* SPDX-License-Identifier: MIT */
/*
 * Arming early, stepping the rest, and saying what can't be named (counter.h has the rules).
 *
 * With PMU a counter that fires at just the target's count is late by then: the guest is somewhere behind the branch, not
 * just behind it. So it is armed for one branch before the target less the margin, and the last branch is always stepped over: a
 * step on which the count rises ends just behind a conditional branch.
 */
#include "vmm-core/vtx/counter.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PATIENCE 4096u
#define BOUND_NS 10000000u

void cv_counter_init(struct cv_counter *c, enum cv_counter_kind kind, uint64_t margin)
{
	memset(c, 0, sizeof(*c));
	c->kind = kind;
	c->margin = margin;
	c->patience = PATIENCE;
	c->bound_ns = BOUND_NS;
}

void cv_counter_simulate(struct cv_counter *c, uint64_t skid, uint64_t seed)
{
	c->sim_skid = skid;
	c->margin = skid;
	c->seed = seed;
}

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t next_random(uint64_t *s)
{
	uint64_t z = (*s += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* ---- moves ---- */

static void run(struct cv_move *m, uint64_t now, uint64_t units)
{
	m->kind = CV_MOVE_RUN;
	m->budget = units;
	m->due = units == CV_COUNTER_NO_LIMIT ? CV_COUNTER_NO_LIMIT : now + units;
}

static int overshot(const struct cv_counter *c, const struct cv_counter_at *at, const struct cv_counter_point *t,
		    struct cv_move *m, struct cv_error *err)
{
	m->kind = CV_MOVE_OVERSHOT;
	if (at->count == t->count && at->exits > t->exits)
		return cv_error_set(err, CV_E_IO,
				    "the guest caused %" PRIu64 " exits at count %" PRIu64 " where the point was at %" PRIu64
				    ": it doesn't do what it did, or the counter was later than its margin of %" PRIu64
				    ". Replay with --engine soft to see where it differs",
				    at->exits, at->count, t->exits, c->margin);
	return cv_error_set(err, CV_E_IO,
			    "the %s counter passed the point %" PRIu64 " and stands at %" PRIu64
			    ": its skid exceeds the margin of %" PRIu64 " (largest seen: %" PRIu64
			    "). The run can't go on exactly; use --engine soft, and report this CPU's model",
			    cv_counter_name_of(c->kind), t->count, at->count, c->margin, c->skid.max);
}

/* At the target by count and exits. */
static int arrive(const struct cv_counter *c, const struct cv_counter_at *at, const struct cv_counter_point *t,
		  struct cv_move *m, struct cv_error *err)
{
	m->kind = CV_MOVE_ARRIVED;
	if (!t->check || (at->rip == t->rip && at->rcx == t->rcx))
		return 0;
	m->kind = CV_MOVE_OVERSHOT;
	return cv_error_set(err, CV_E_IO,
			    "at count %" PRIu64 " of the %s counter the guest is at %" PRIx64 " (RCX %" PRIx64 "), expected %" PRIx64
			    " (RCX %" PRIx64 "): the counter miscounts, or the guest doesn't do what it did. Use --engine soft",
			    at->count, cv_counter_name_of(c->kind), at->rip, at->rcx, t->rip, t->rcx);
}

static int next_bench(struct cv_counter *c, const struct cv_counter_at *at, const struct cv_counter_point *t,
		      struct cv_move *m, struct cv_error *err)
{
	uint64_t left = t->count - at->count;

	if (at->count > t->count)
		return overshot(c, at, t, m, err);
	if (left == 0)
		return arrive(c, at, t, m, err);
	if (left <= c->margin) {
		m->kind = CV_MOVE_STEP;
		return 0;
	}
	run(m, at->count, left - c->margin);
	if (c->sim_skid)
		m->budget += next_random(&c->seed) % (c->sim_skid + 1);
	return 0;
}

/* To just behind the branch number `count`, which lies ahead. */
static void to_branch(const struct cv_counter *c, uint64_t now, uint64_t count, struct cv_move *m)
{
	uint64_t left = count - now;

	if (left > c->margin + 1)
		run(m, now, left - 1 - c->margin);
	else
		m->kind = CV_MOVE_STEP;
}

/*
 * To an exit of the guest's own, which RUN can't miss. The counter fires where the exit doesn't come, so that a guest that has left its way
 * doesn't run on for ever.
 */
static void to_exit(const struct cv_counter *c, uint64_t now, uint64_t count, struct cv_move *m)
{
	run(m, now, c->kind == CV_COUNTER_NONE ? CV_COUNTER_NO_LIMIT : count - now + 1);
}

/* In the stretch behind (count, exits): the place is where the state is the target's. */
static void recognise(const struct cv_counter *c, const struct cv_counter_at *at, const struct cv_counter_point *t,
		      struct cv_move *m)
{
	if (at->rip == t->rip && at->rcx == t->rcx && !at->looked) {
		m->kind = CV_MOVE_LOOK;
		return;
	}
	if (at->rip == t->rip && at->rcx == t->rcx && at->state == t->state) {
		m->kind = CV_MOVE_ARRIVED;
		return;
	}
	/* Off this instruction first (it may be a REP between iterations); a breakpoint here would stop at once. */
	if (at->rip == t->rip || !c->breakpoints) {
		m->kind = CV_MOVE_STEP;
		return;
	}
	to_exit(c, at->count, t->count, m);
	m->break_at_rip = true;
	m->rip = t->rip;
}

static bool behind(const struct cv_counter_at *at, const struct cv_counter_point *t)
{
	return at->count > t->count || (at->count == t->count && at->exits > t->exits);
}

static int next_named(struct cv_counter *c, const struct cv_counter_at *at, const struct cv_counter_point *t,
		      struct cv_move *m, struct cv_error *err)
{
	bool there = at->count == t->count && at->exits == t->exits;

	if (behind(at, t))
		return overshot(c, at, t, m, err);
	if (there && t->recognise) {
		recognise(c, at, t, m);
		return 0;
	}
	if (there)
		return at->named ? arrive(c, at, t, m, err) : overshot(c, at, t, m, err);
	if (t->exits)
		to_exit(c, at->count, t->count, m);
	else
		to_branch(c, at->count, t->count, m);
	return 0;
}

int cv_counter_next(struct cv_counter *c, const struct cv_counter_at *at, const struct cv_counter_point *target,
		    struct cv_move *move, struct cv_error *err)
{
	memset(move, 0, sizeof(*move));
	if (c->kind == CV_COUNTER_BENCH)
		return next_bench(c, at, target, move, err);
	return next_named(c, at, target, move, err);
}

/* ---- where an input may be delivered ---- */

void cv_counter_place(const struct cv_counter *c, const struct cv_counter_at *at, uint64_t waited_ns, uint64_t steps,
		      struct cv_move *move)
{
	memset(move, 0, sizeof(*move));
	if (c->kind == CV_COUNTER_BENCH || at->named)
		move->kind = CV_MOVE_ARRIVED;
	else if (c->kind == CV_COUNTER_NONE && waited_ns < c->bound_ns)
		run(move, at->count, CV_COUNTER_NO_LIMIT);
	else if (steps < c->patience)
		move->kind = CV_MOVE_STEP;
	else if (!c->digests)
		move->kind = CV_MOVE_UNNAMED;
	else
		move->kind = at->looked ? CV_MOVE_ARRIVED : CV_MOVE_LOOK;
}

bool cv_counter_name(const struct cv_counter *c, const struct cv_counter_at *at, struct cv_counter_point *p)
{
	bool named = c->kind == CV_COUNTER_BENCH || at->named;

	memset(p, 0, sizeof(*p));
	if (!named && !at->looked)
		return false;
	p->count = at->count;
	p->exits = c->kind == CV_COUNTER_BENCH ? 0 : at->exits;
	p->check = true;
	p->rip = at->rip;
	p->rcx = at->rcx;
	p->recognise = !named;
	p->state = named ? 0 : at->state;
	return true;
}

/* ---- what came of a move ---- */

static int too_late(const struct cv_counter *c, uint64_t due, uint64_t count, struct cv_error *err)
{
	return cv_error_set(err, CV_E_IO,
			    "the %s counter was due at %" PRIu64 " and fired at %" PRIu64 ", %" PRIu64
			    " too late; its margin here is %" PRIu64
			    ". The run can't go on exactly; use --engine soft, and report this CPU's model",
			    cv_counter_name_of(c->kind), due, count, count - due, c->margin);
}

static void note_skid(struct cv_skid *s, uint64_t due, uint64_t count)
{
	uint64_t late = count - due;
	unsigned i = 0;

	s->fired++;
	if (count < due) {
		s->early++;
		return;
	}
	while (late >> i && i < CV_SKID_BUCKETS - 1)
		i++;
	s->bucket[i]++;
	if (late > s->max)
		s->max = late;
}

static int miscounted(const struct cv_counter *c, const char *what, uint64_t from, uint64_t to, struct cv_error *err)
{
	return cv_error_set(err, CV_E_IO,
			    "the %s counter %s (from %" PRIu64 " to %" PRIu64 "): it can't be trusted here. Use --engine soft, "
			    "and see that nothing else (perf, a profiler, the NMI watchdog) uses it",
			    cv_counter_name_of(c->kind), what, from, to);
}

int cv_counter_ran(struct cv_counter *c, const struct cv_move *move, enum cv_ran how, uint64_t count, struct cv_counter_at *at,
		   struct cv_error *err)
{
	uint64_t was = at->count;
	uint64_t delta = count - was;

	if (count < was)
		return miscounted(c, "went back", was, count, err);
	at->count = count;
	at->looked = false;
	at->named = c->kind == CV_COUNTER_BENCH;
	if (delta)
		at->exits = 0;
	switch (how) {
	case CV_RAN_FIRED:
		if (move->due == CV_COUNTER_NO_LIMIT)
			break;
		note_skid(&c->skid, move->due, count);
		if (count > move->due && count - move->due > c->margin)
			return too_late(c, move->due, count, err);
		break;
	case CV_RAN_STEPPED:
		c->skid.steps++;
		if (c->kind == CV_COUNTER_PMU && delta > 1)
			return miscounted(c, "counted more than one branch in one instruction", was, count, err);
		at->named |= delta == 1;
		break;
	case CV_RAN_GUEST:
		at->exits++;
		at->named = true;
		break;
	case CV_RAN_HOST:
	case CV_RAN_BREAK:
		break;
	}
	return 0;
}

/* ---- for people ---- */

const char *cv_counter_name_of(enum cv_counter_kind kind)
{
	static const char *const names[] = {
		[CV_COUNTER_NONE] = "none", [CV_COUNTER_BENCH] = "bench", [CV_COUNTER_PMU] = "pmu"};

	return names[kind];
}

static void append(char *buf, size_t n, size_t *at, const char *text)
{
	int k = *at < n ? snprintf(buf + *at, n - *at, "%s", text) : 0;

	*at += k > 0 ? (size_t)k : 0;
}

void cv_skid_text(const struct cv_counter *c, char *buf, size_t n)
{
	const struct cv_skid *s = &c->skid;
	const char *sep = ": ";
	char part[96];
	size_t at = 0;

	if (n)
		buf[0] = 0;
	snprintf(part, sizeof(part), "%" PRIu64 " stops", s->fired);
	append(buf, n, &at, part);
	for (unsigned i = 0; i < CV_SKID_BUCKETS; i++) {
		uint64_t low = i ? 1ull << (i - 1) : 0, high = i ? (1ull << i) - 1 : 0;

		if (!s->bucket[i])
			continue;
		if (i == CV_SKID_BUCKETS - 1)
			snprintf(part, sizeof(part), "%s%" PRIu64 " and more: %" PRIu64, sep, low, s->bucket[i]);
		else if (low == high)
			snprintf(part, sizeof(part), "%s%" PRIu64 ": %" PRIu64, sep, low, s->bucket[i]);
		else
			snprintf(part, sizeof(part), "%s%" PRIu64 "-%" PRIu64 ": %" PRIu64, sep, low, high, s->bucket[i]);
		append(buf, n, &at, part);
		sep = ", ";
	}
	snprintf(part, sizeof(part), "; early: %" PRIu64 "; worst %" PRIu64 ", margin %" PRIu64 "; %" PRIu64 " steps", s->early, s->max,
		 c->margin, s->steps);
	append(buf, n, &at, part);
}
