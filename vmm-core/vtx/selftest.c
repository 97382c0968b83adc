/* SPDX-License-Identifier: MIT */
/*
 * The guests and what is asked of them (selftest.h).
 *
 * Each guest is a loop of ECX iterations that ends in HLT; branches and instructions of an iteration are in the table. The
 * three kinds of conditional branches have a guest each: Intel documents some events for Jcc alone.
 */
#include "vmm-core/vtx/selftest.h"

#include <inttypes.h>
#include <string.h>

const struct cv_selftest_size cv_selftest_real = {10000, 2000, 500, 50, 20000000};
const struct cv_selftest_size cv_selftest_small = {500, 50, 40, 20, 20000};

struct guest {
	const char *what; /* "Jcc" */
	uint8_t code[16];
	uint8_t len;
	uint8_t branches, units; /* of an iteration */
	int8_t last;		 /* units of the last iteration beyond that */
};

enum { G_JCC, G_JECXZ, G_LOOP, G_OUT };

static const struct guest guests[] = {
	[G_JCC] = {"Jcc",
		   {0x66, 0x49,		    /* 0 dec ecx */
		    0xf6, 0xc1, 0x01,	    /* 2 test cl, 1 */
		    0x74, 0x00,		    /* 5 jz 7 */
		    0x66, 0x85, 0xc9,	    /* 7 test ecx, ecx */
		    0x75, 0xf4,		    /* a jnz 0 */
		    0xf4},		    /* c hlt */
		   13, 2, 5, 0},
	[G_JECXZ] = {"JECXZ",
		     {0x66, 0x49,	    /* 0 dec ecx */
		      0x67, 0xe3, 0x02,	    /* 2 jecxz 7 */
		      0xeb, 0xf9,	    /* 5 jmp 0 */
		      0xf4},		    /* 7 hlt */
		     8, 1, 3, -1},
	[G_LOOP] = {"LOOP",
		    {0x90,		    /* 0 nop */
		     0x67, 0xe2, 0xfc,	    /* 1 loop 0 */
		     0xf4},		    /* 4 hlt */
		    5, 1, 2, 0},
	[G_OUT] = {"OUT",
		   {0x66, 0x49,		    /* 0 dec ecx */
		    0xe6, 0x80,		    /* 2 out 80h, al */
		    0x66, 0x85, 0xc9,	    /* 4 test ecx, ecx */
		    0x75, 0xf7,		    /* 7 jnz 0 */
		    0xf4},		    /* 9 hlt */
		   10, 1, 4, 0},
};

struct test {
	const struct cv_selftest_guest *g;
	struct cv_counter *c;
	const struct cv_selftest_size *size;
	struct cv_error *err;
	struct cv_counter_at at;
	struct cv_selftest_stop stop;
};

static uint64_t expected(const struct test *t, const struct guest *g, uint64_t n)
{
	if (t->c->kind == CV_COUNTER_PMU)
		return n * g->branches;
	return n * g->units + (uint64_t)(int64_t)g->last;
}

static const char *unit(const struct test *t)
{
	return t->c->kind == CV_COUNTER_PMU ? "conditional branches" : "instructions";
}

/* ---- running ---- */

static int start(struct test *t, const struct guest *g, uint64_t n)
{
	memset(&t->at, 0, sizeof(t->at));
	memset(&t->stop, 0, sizeof(t->stop));
	t->at.named = true;
	t->stop.ecx = n;
	return t->g->start(t->g->ctx, g->code, g->len, n, t->err);
}

static int go(struct test *t, const struct cv_move *m)
{
	int e = t->g->run(t->g->ctx, m, &t->stop, t->err);

	if (e)
		return e;
	/* What is wrong with the counter itself is a reason not to use it. */
	if (cv_counter_ran(t->c, m, t->stop.how, t->stop.count, &t->at, t->err))
		return CV_E_NOTFOUND;
	t->at.rip = t->stop.ip;
	t->at.rcx = t->stop.ecx;
	return 0;
}

static void free_run(struct cv_move *m)
{
	memset(m, 0, sizeof(*m));
	m->kind = CV_MOVE_RUN;
	m->budget = m->due = CV_COUNTER_NO_LIMIT;
}

static int run_to_halt(struct test *t, const struct guest *g, uint64_t n)
{
	struct cv_move m;
	int e = start(t, g, n);

	free_run(&m);
	while (!e && !t->stop.halted)
		e = go(t, &m);
	return e;
}

/* ---- verdicts ---- */

static int wrong(struct test *t, const char *how, uint64_t want)
{
	uint64_t got = t->stop.count;

	if (got == 0)
		return cv_error_set(t->err, CV_E_NOTFOUND,
				    "the %s counter doesn't count in the guest: 0 of %" PRIu64
				    " %s. Another program may hold the counters (perf, the NMI watchdog: sysctl kernel.nmi_watchdog=0), "
				    "or a hypervisor hides them",
				    cv_counter_name_of(t->c->kind), want, unit(t));
	return cv_error_set(t->err, CV_E_NOTFOUND,
			    "the %s counter is wrong: %" PRIu64 " %s counted of %" PRIu64 " (%s%" PRIu64 ") %s. %s",
			    cv_counter_name_of(t->c->kind), got, unit(t), want, got > want ? "+" : "-",
			    got > want ? got - want : want - got, how,
			    got > want ? "See that /sys/devices/cpu/freeze_on_smi is 1, that no hypervisor is below, and that the "
					 "microcode is up to date; else use --engine soft"
				       : "See that nothing else uses the counters (perf, the NMI watchdog), and that all cores in use "
					 "are of one kind (taskset); else use --engine soft");
}

static int check(struct test *t, const char *how, uint64_t want)
{
	return t->stop.count == want ? 0 : wrong(t, how, want);
}

/* ---- what is asked ---- */

static int ask_kinds(struct test *t)
{
	int e = run_to_halt(t, &guests[G_JCC], t->size->loop);

	if (!e)
		e = check(t, "in a plain loop of Jcc", expected(t, &guests[G_JCC], t->size->loop));
	for (int k = G_JECXZ; k <= G_LOOP && !e; k++) {
		uint64_t want = expected(t, &guests[k], t->size->loop);

		e = run_to_halt(t, &guests[k], t->size->loop);
		if (!e && t->stop.count != want)
			e = cv_error_set(t->err, CV_E_NOTFOUND,
					 "the %s counter doesn't count each %s as a conditional branch: %" PRIu64 " of %" PRIu64
					 ". This CPU's event means something else; use --engine soft, and report the model",
					 cv_counter_name_of(t->c->kind), guests[k].what, t->stop.count, want);
	}
	return e;
}

static int ask_exits(struct test *t)
{
	int e = run_to_halt(t, &guests[G_OUT], t->size->exits);

	return e ? e : check(t, "through forced exits", expected(t, &guests[G_OUT], t->size->exits));
}

/* The counter's overflows: they come, not too late, and change nothing about the count. */
static int ask_overflows(struct test *t)
{
	const struct guest *g = &guests[G_JCC];
	uint64_t n = t->size->loop, total = expected(t, g, n), period = total / t->size->stops + 1;
	uint64_t fired = t->c->skid.fired;
	struct cv_move m;
	int e = start(t, g, n);

	while (!e && !t->stop.halted) {
		free_run(&m);
		m.budget = period;
		m.due = t->stop.count + period;
		e = go(t, &m);
	}
	if (e)
		return e;
	if (t->c->skid.fired == fired)
		return cv_error_set(t->err, CV_E_NOTFOUND,
				    "the %s counter counts but never fires: no interrupt at its overflow, armed every %" PRIu64
				    " %s. A hypervisor may not pass it on; use --engine soft",
				    cv_counter_name_of(t->c->kind), period, unit(t));
	return check(t, "through the counter's own interrupts", total);
}

static int ask_interrupts(struct test *t)
{
	int e = run_to_halt(t, &guests[G_LOOP], t->size->free);

	return e ? e : check(t, "through host interrupts", expected(t, &guests[G_LOOP], t->size->free));
}

/* Where the guest of Jcc stands after `count`, by arithmetic. */
static void place(const struct test *t, uint64_t n, uint64_t count, struct cv_counter_point *p)
{
	static const uint8_t after_branch[] = {0x0, 0x7}, at_unit[] = {0x0, 0x2, 0x5, 0x7, 0xa};
	const struct guest *g = &guests[G_JCC];
	uint64_t per = t->c->kind == CV_COUNTER_PMU ? g->branches : g->units;
	uint64_t in = count % per;

	memset(p, 0, sizeof(*p));
	p->count = count;
	p->check = true;
	p->rip = t->c->kind == CV_COUNTER_PMU ? after_branch[in] : at_unit[in];
	p->rcx = n - count / per - (in ? 1 : 0);
	/* The last JNZ isn't taken. */
	if (in == 0 && p->rcx == 0)
		p->rip = 0xc;
}

static int ask_points(struct test *t)
{
	uint64_t n = t->size->loop, total = expected(t, &guests[G_JCC], n);
	int e = start(t, &guests[G_JCC], n);

	for (uint64_t i = 1; i <= t->size->points && !e; i++) {
		struct cv_counter_point p;
		struct cv_move m;

		/* Near and far, odd and even; the last is the guest's end. */
		place(t, n, total * i / t->size->points - (i % 3 && i < t->size->points ? i % 3 : 0), &p);
		for (;;) {
			if (cv_counter_next(t->c, &t->at, &p, &m, t->err))
				return CV_E_NOTFOUND;
			if (m.kind == CV_MOVE_ARRIVED)
				break;
			e = go(t, &m);
			if (e)
				return e;
			if (t->stop.halted && t->stop.count < p.count)
				return wrong(t, "on the way to an exact point", p.count);
		}
	}
	return e;
}

int cv_selftest_counter(const struct cv_selftest_guest *g, struct cv_counter *c, const struct cv_selftest_size *size,
			struct cv_error *err)
{
	static int (*const asks[])(struct test *) = {ask_kinds, ask_exits, ask_overflows, ask_interrupts, ask_points};
	struct test t = {.g = g, .c = c, .size = size, .err = err};
	int e = 0;

	if (c->kind == CV_COUNTER_NONE)
		return 0;
	for (unsigned i = 0; i < sizeof(asks) / sizeof(asks[0]) && !e; i++)
		e = asks[i](&t);
	/* The sentence of an error inside is about a run that can't go on; here none has begun. */
	if (e == CV_E_NOTFOUND && err) {
		err->code = e;
		cv_error_prefix(err, "self-test of the counter");
	}
	return e;
}
