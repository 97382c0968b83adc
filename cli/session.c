/* SPDX-License-Identifier: MIT */
/*
 * A live guest: `run` and `record`.
 *
 * The chain of environments, innermost first: live (the host), the console's reader (for --until and the crash
 * report), and, when recording, the recorder. One session is one run of the guest; --loop makes several.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "gdbstub/gdbstub.h"
#include "gdbstub/inspect.h"

/* The RTC of a guest with the virtual clock starts at the same moment each time: 2024-01-01. */
#define VIRTUAL_EPOCH 1704067200u

/* With a debugger, which may want to go back from anywhere: instructions between checkpoints with state. */
#define GDB_CHECKPOINTS (1ull << 28)

struct session {
	const struct options *o;
	const struct cv_machine_config *config;
	const char *path; /* of the recording, or NULL */
	struct cv_log *log;
	struct cv_live *live;
	struct console_watch watch;
	struct cv_recorder *rec;
	struct cv_machine *m;
	struct cv_gdb *gdb;
	struct engine_pick engine;
	bool told; /* which engine it is */
	bool raw;
	bool begun; /* the recording holds what a replay needs to start */
};

/* The machine exists by now: a guest that is refused leaves no recording behind, and replaces none. */
static int open_recording(struct session *s, struct cv_error *err)
{
	const uint64_t states = s->o->checkpoints || !s->gdb ? s->o->checkpoints : GDB_CHECKPOINTS;
	const struct cv_recorder_config rcfg = {.state_insns = states};
	int rc = cv_log_create(&s->log, s->path, s->o->force, err);

	if (!rc)
		rc = cv_recorder_new(&s->rec, s->log, &s->watch.env, &rcfg, err);
	if (rc)
		return rc;
	s->m->env = cv_recorder_env(s->rec);
	return cv_recorder_begin(s->rec, s->m, err);
}

static int session_open(struct session *s, struct cv_error *err)
{
	const struct options *o = s->o;
	struct cv_live_config lcfg = {
		.in_fd = STDIN_FILENO,
		.out_fd = STDOUT_FILENO,
		.raw_escape = s->raw,
		.virtual_clock = o->clock == CV_CLOCK_VIRTUAL,
		.seed = o->seed,
		.wake_fd = s->gdb ? cv_gdb_fd(s->gdb) : -1,
	};
	int rc = cv_live_new(&s->live, &lcfg, err);

	if (rc)
		return rc;
	signals_to(s->live);
	rc = console_watch_init(&s->watch, cv_live_env(s->live), s->live, o->until_insns, o->until_console,
				err);
	if (rc)
		return rc;
	rc = cv_machine_new_with_engine(&s->m, s->config, &cv_board, s->engine.factory, &s->watch.env, err);
	if (!rc) {
		engine_prepare(s->m, o);
		if (!s->told)
			engine_tell(&s->engine, o, s->m);
		s->told = true;
	}
	if (!rc && s->path)
		rc = open_recording(s, err);
	s->begun = !rc;
	return rc;
}

static void remove_recording(const char *path)
{
	char side[4096];

	unlink(path);
	snprintf(side, sizeof(side), "%s-wal", path);
	unlink(side);
	snprintf(side, sizeof(side), "%s-shm", path);
	unlink(side);
}

static void session_close(struct session *s)
{
	signals_to(NULL);
	cv_machine_free(s->m);
	cv_recorder_free(s->rec);
	cv_log_close(s->log, NULL);
	if (s->log && !s->begun)
		remove_recording(s->path); /* nothing in it could be replayed */
	console_watch_release(&s->watch);
	cv_live_free(s->live);
	s->m = NULL;
	s->rec = NULL;
	s->log = NULL;
	s->live = NULL;
	s->begun = false;
}

/* Runs to the end without a debugger. */
static int session_run(struct session *s, struct cv_error *err)
{
	struct cv_stop until = {.insns = UINT64_MAX};
	struct cv_run run;
	int rc;

	for (;;) {
		until.insns = s->rec ? cv_recorder_next_checkpoint(s->rec) : UINT64_MAX;
		rc = cv_machine_run(s->m, &until, s->rec != NULL, &run, err);
		if (rc)
			return rc;
		if (run.why == CV_RUN_END)
			return 0;
		if (run.why == CV_RUN_ENV)
			return s->rec && cv_recorder_error(s->rec, err)
				       ? err->code
				       : cv_error_set(err, CV_E_IO, "the guest's surroundings failed");
		rc = s->rec ? cv_recorder_tick(s->rec, s->m, err) : 0;
		if (rc)
			return rc;
	}
}

static int session_debug(struct session *s, struct cv_error *err)
{
	const struct cv_timeline_config tcfg = {.poll = cv_gdb_poll, .ctx = s->gdb, .board = &cv_board,
						.engine = s->engine.factory, .made = engine_prepare, .made_ctx = s->o};
	struct cv_gdb_options gopt = {.keep = true, .wait = s->o->gdb_wait, .quit = stop_asked};
	struct cv_symbols *syms = NULL;
	struct cv_timeline *t = NULL;
	enum cv_gdb_end end;
	int rc;

	if (s->o->symbols) {
		rc = cv_symbols_open_file(&syms, s->o->symbols, err);
		if (rc)
			return rc;
	}
	gopt.symbols = syms;
	rc = cv_timeline_attach(&t, s->m, s->live, s->rec, s->log, s->path, &tcfg, err);
	if (!rc)
		rc = cv_gdb_serve(s->gdb, t, &gopt, &end, err);
	cv_timeline_free(t);
	cv_symbols_free(syms);
	if (rc || s->m->end.kind != CV_END_NONE)
		return rc;
	cv_live_command(s->live, CV_CMD_STOP); /* an input like any other, so that the replay ends by it too */
	return session_run(s, err);
}

/* What there is in the recording is kept, whatever happened: the last commit, then the error. */
static int session_finish(struct session *s, int rc, struct cv_error *err)
{
	if (s->rec && !rc)
		rc = cv_recorder_end(s->rec, s->m, err);
	else if (s->log)
		cv_log_commit(s->log, NULL);
	return rc;
}

static bool session_crashed(const struct session *s)
{
	return s->m && s->m->end.crashed;
}

/* One run of the guest. 0 or an error; what happened is in s->m->end until session_close. */
static int session(struct session *s, struct cv_error *err)
{
	int rc = session_open(s, err);

	if (!rc) {
		if (s->gdb)
			fprintf(stderr, "chronovisor: waiting for GDB: target remote %s\n",
				cv_gdb_local_address(s->gdb));
		rc = s->gdb ? session_debug(s, err) : session_run(s, err);
	}
	if (s->m)
		rc = session_finish(s, rc, err);
	return rc;
}

static void report(struct session *s)
{
	cv_live_flush(s->live);
	terminal_restore();
	if (session_crashed(s))
		report_crash(s->m, s->path, s->o->symbols, tail_lines(&s->watch.tail, 12));
	if (!s->o->quiet)
		report_end(s->path ? "recording" : "run", s->m, s->path);
}

/* Records until a run crashes, keeping that one. */
static int loop(struct session *s, struct cv_error *err)
{
	int rc = 0;

	for (unsigned i = 1; i <= s->o->loop; i++) {
		rc = session(s, err);
		if (rc)
			return rc;
		if (session_crashed(s) || s->m->end.kind == CV_END_STOPPED) {
			fprintf(stderr, "chronovisor: run %u of %u %s\n", i, s->o->loop,
				session_crashed(s) ? "crashed: kept" : "was stopped");
			return 0;
		}
		if (isatty(STDERR_FILENO) || s->o->loop == i)
			fprintf(stderr, "chronovisor: run %u of %u: %s, no crash\n", i, s->o->loop,
				cv_end_name(s->m->end.kind));
		if (i == s->o->loop)
			return 0;
		session_close(s);
		remove_recording(s->path);
	}
	return rc;
}

static void fill_config(const struct options *o, struct cv_machine_config *c)
{
	c->ram_size = o->memory;
	c->clock = o->clock;
	c->reboot = o->reboot;
	c->test_device = o->test_device;
	c->epoch = o->epoch_given ? o->epoch : o->clock == CV_CLOCK_VIRTUAL ? VIRTUAL_EPOCH : (uint64_t)time(NULL);
}

int cmd_record(const struct options *o)
{
	struct cv_machine_config config = {0};
	struct cv_error err = {0};
	struct session s = {.o = o, .config = &config, .path = o->output};
	struct files files;
	int rc = symbols_check(o, &err), status;

	if (!rc)
		rc = engine_pick_live(&s.engine, o, &err);
	if (!rc)
		rc = files_load(&files, o, &config.images, &err);
	if (rc)
		return fail(o->command, &err);
	fill_config(o, &config);
	config.count = s.engine.unit;
	config.cpu = s.engine.cpu;
	if (o->gdb)
		rc = cv_gdb_new(&s.gdb, o->gdb, &err);
	if (!rc) {
		s.raw = terminal_raw(STDIN_FILENO);
		rc = o->loop ? loop(&s, &err) : session(&s, &err);
	}
	terminal_restore();
	if (!rc)
		report(&s);
	status = rc ? fail(o->command, &err) : session_crashed(&s) ? EXIT_CRASHED : EXIT_GUEST_OK;
	session_close(&s);
	cv_gdb_free(s.gdb);
	files_release(&files);
	return status;
}
