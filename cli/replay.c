/* SPDX-License-Identifier: MIT */
/*
 * `replay`: runs a recording again, checks everything, prints the same console bytes. With --gdb, a debugger moves it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "gdbstub/gdbstub.h"
#include "gdbstub/inspect.h"

struct replay {
	const struct options *o;
	struct cv_log *log;
	struct cv_replayer *rep;
	struct cv_machine *m;
	struct engine_pick engine;
	struct tail tail;
	bool progress;
	time_t shown;
};

static void output(void *ctx, const uint8_t *p, size_t n)
{
	struct replay *r = ctx;

	tail_add(&r->tail, p, n);
	fwrite(p, 1, n, stdout);
}

static void show_progress(struct replay *r, uint64_t insns)
{
	uint64_t end = cv_replayer_end_insns(r->rep);
	time_t now = time(NULL);

	if (!r->progress || now == r->shown || !end)
		return;
	r->shown = now;
	fprintf(stderr, "\rchronovisor: replayed %3" PRIu64 " %%", insns * 100 / end);
	fflush(stderr);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Runs to --until, the end, or a divergence. *complete: the end of the run was reached. */
static int run(struct replay *r, bool *complete, struct cv_error *err)
{
	struct cv_stop until = {0};
	struct cv_run why;
	struct cv_pos pos;
	int rc;

	*complete = false;
	for (;;) {
		cv_machine_position(r->m, &pos);
		show_progress(r, pos.insns);
		until.insns = min_u64(r->o->until_insns, cv_replayer_next_check(r->rep, &pos));
		if (r->progress)
			until.insns = min_u64(until.insns, pos.insns + (1u << 26));
		rc = cv_machine_run(r->m, &until, false, &why, err);
		if (rc)
			return rc;
		cv_machine_position(r->m, &pos);
		if (why.why == CV_RUN_END || (why.why == CV_RUN_ENV && cv_replayer_at_end(r->rep))) {
			*complete = true;
			return why.why == CV_RUN_END ? cv_replayer_check_end(r->rep, r->m, err) : 0;
		}
		if (why.why == CV_RUN_ENV)
			return cv_error_set(err, CV_E_DIVERGED, "%s", cv_replayer_divergence(r->rep)->text);
		if (pos.insns == cv_replayer_next_check(r->rep, &pos)) {
			rc = cv_replayer_check(r->rep, r->m, err);
			if (rc)
				return rc;
		}
		if (pos.insns >= r->o->until_insns)
			return 0;
	}
}

static void print_digest(struct cv_machine *m)
{
	struct cv_digest d;

	if (cv_machine_digest(m, &d, NULL))
		return;
	fprintf(stderr, "digest ");
	for (unsigned i = 0; i < sizeof(d.b); i++)
		fprintf(stderr, "%02x", d.b[i]);
	fprintf(stderr, "\n");
}

static int finish(struct replay *r, bool complete)
{
	struct cv_pos pos;

	fflush(stdout);
	if (r->progress)
		fprintf(stderr, "\r%40s\r", "");
	cv_machine_position(r->m, &pos);
	if (complete && r->m->end.crashed)
		report_crash(r->m, r->o->recording, r->o->symbols, tail_lines(&r->tail, 12));
	if (r->o->quiet)
		return complete && r->m->end.crashed ? EXIT_CRASHED : EXIT_GUEST_OK;
	if (complete && r->m->end.kind == CV_END_NONE)
		fprintf(stderr, "chronovisor: replayed to the last commit of an unfinished recording: ");
	else if (complete)
		fprintf(stderr, "chronovisor: replay ended as recorded (%s): ", cv_end_name(r->m->end.kind));
	else
		fprintf(stderr, "chronovisor: replay stopped as asked: ");
	fprintf(stderr, "insns %" PRIu64 ", branches %" PRIu64 ", rip 0x%" PRIx64 ", ", pos.insns, pos.branches,
		pos.rip);
	print_digest(r->m);
	return complete && r->m->end.crashed ? EXIT_CRASHED : EXIT_GUEST_OK;
}

static int replay_plain(const struct options *o, struct cv_log *log)
{
	struct replay r = {.o = o, .log = log};
	struct cv_error err = {0};
	bool complete = false;
	int status, rc;

	r.progress = !o->quiet && isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO);
	rc = engine_pick_recorded(&r.engine, o, log, &err);
	if (!rc)
		rc = cv_replayer_new(&r.rep, log, &err);
	if (!rc) {
		cv_replayer_set_output(r.rep, output, &r);
		rc = cv_machine_new_with_engine(&r.m, cv_replayer_config(r.rep), &cv_board, r.engine.factory,
						cv_replayer_env(r.rep), &err);
	}
	if (!rc) {
		engine_prepare(r.m, o);
		engine_tell(&r.engine, o, r.m);
	}
	if (!rc && o->start_insns)
		rc = cv_replayer_start(r.rep, r.m, o->start_insns, &err);
	if (!rc)
		rc = run(&r, &complete, &err);
	fflush(stdout);
	if (rc == CV_E_DIVERGED && r.m) {
		report_divergence(cv_replayer_divergence(r.rep), r.m);
		status = EXIT_DIVERGED;
	} else {
		status = rc ? fail("replay", &err) : finish(&r, complete);
	}
	cv_machine_free(r.m);
	cv_replayer_free(r.rep);
	return status;
}

/* The way to where GDB is waited for, shown on a terminal. */
struct approach {
	const struct options *o;
	struct engine_pick engine;
	struct cv_gdb *gdb;
	bool show;
	time_t shown;
};

static bool approach_poll(void *ctx)
{
	struct approach *a = ctx;

	return cv_gdb_poll(a->gdb);
}

static void approach_progress(void *ctx, uint64_t done, uint64_t total)
{
	struct approach *a = ctx;
	time_t now = time(NULL);

	if (!a->show || now == a->shown || !total)
		return;
	a->shown = now;
	fprintf(stderr, "\rchronovisor: replayed %3" PRIu64 " %% of the way", done * 100 / total);
	fflush(stderr);
}

static void approach_end(struct approach *a)
{
	if (a->shown)
		fprintf(stderr, "\r%50s\r", "");
	a->show = false;
}

static void engine_made(struct cv_machine *m, const void *made_ctx)
{
	const struct approach *a = made_ctx;

	engine_prepare(m, a->o);
	engine_tell(&a->engine, a->o, m);
}

static int replay_gdb(const struct options *o, struct cv_log *log)
{
	struct approach way = {.o = o, .show = !o->quiet && isatty(STDERR_FILENO)};
	struct cv_timeline_config tcfg = {
		.poll = approach_poll, .progress = approach_progress, .ctx = &way, .board = &cv_board, .made = engine_made,
		.made_ctx = &way};
	struct cv_gdb_options gopt = {.keep = true};
	struct cv_symbols *syms = NULL;
	struct cv_error err = {0};
	struct cv_timeline *t = NULL;
	struct cv_gdb *gdb = NULL;
	enum cv_gdb_end end;
	int rc = cv_gdb_new(&gdb, o->gdb, &err);

	if (!rc && o->symbols)
		rc = cv_symbols_open_file(&syms, o->symbols, &err);
	gopt.symbols = syms;
	way.gdb = gdb;
	if (!rc)
		rc = engine_pick_recorded(&way.engine, o, log, &err);
	tcfg.engine = way.engine.factory;
	if (!rc)
		rc = cv_timeline_open(&t, log, &tcfg, &err);
	if (!rc) {
		struct cv_tl_stop stop;

		rc = o->until_insns == UINT64_MAX ? 0 : cv_timeline_seek(t, o->until_insns, &stop, &err);
		approach_end(&way);
	}
	if (!rc) {
		fprintf(stderr, "chronovisor: waiting for GDB: target remote %s\n", cv_gdb_local_address(gdb));
		rc = cv_gdb_serve(gdb, t, &gopt, &end, &err);
	}
	cv_timeline_free(t);
	cv_symbols_free(syms);
	cv_gdb_free(gdb);
	return rc ? fail("replay", &err) : EXIT_GUEST_OK;
}

int cmd_replay(const struct options *o)
{
	struct cv_error err = {0};
	struct cv_log *log;
	int status, rc = symbols_check(o, &err);

	if (!rc)
		rc = cv_log_open(&log, o->recording, &err);
	if (rc)
		return fail("replay", &err);
	status = o->gdb ? replay_gdb(o, log) : replay_plain(o, log);
	cv_log_close(log, NULL);
	return status;
}
