/* SPDX-License-Identifier: MIT */
/*
 * `debug`: a replay and a GDB that is connected to it, in one command.
 *
 * The server listens on a Unix socket in a private directory; GDB is the foreground child, and this process serves it
 * until it exits.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "gdbstub/gdbstub.h"
#include "gdbstub/inspect.h"

enum { GDB_ARGS = 64 };

struct debug {
	const struct options *o;
	char dir[64], socket[80], kernel[96], init[96], linux_symbols[96], address[96];
	struct engine_pick engine;
	pid_t gdb;
	int status;
	bool exited;
};

static int write_file(const char *path, const void *p, size_t n)
{
	FILE *f = fopen(path, "wb");
	size_t done;

	if (!f)
		return -1;
	done = fwrite(p, 1, n, f);
	return fclose(f) || done != n ? -1 : 0;
}

/* GDB's commands; linux-symbols loads what `monitor symbols` has written. */
static int write_commands(const struct debug *d)
{
	FILE *f = fopen(d->init, "wb");
	int bad;

	if (!f)
		return -1;
	fprintf(f,
		"%s"
		"define linux-symbols\n"
		"  monitor symbols\n"
		"  symbol-file %s\n"
		"end\n"
		"document linux-symbols\n"
		"Load a Linux guest's own symbols, read out of its memory where it stands now: for kernels without a file of\n"
		"symbols. Functions and variables get names, backtraces unwind; there are no types and no lines.\n"
		"end\n",
		cv_gdb_init_commands(), d->linux_symbols);
	bad = ferror(f);
	return fclose(f) || bad ? -1 : 0;
}

/* The directory with the socket, GDB's commands and, where the kernel is an ELF file, its symbols. */
static int prepare(struct debug *d, struct cv_log *log, struct cv_error *err)
{
	const char *tmp = getenv("TMPDIR");
	char *name = NULL, *args = NULL;
	uint8_t *data = NULL;
	size_t n = 0;

	snprintf(d->dir, sizeof(d->dir), "%s/chronovisor-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
	if (!mkdtemp(d->dir))
		return cv_error_set(err, CV_E_IO, "%s: %s", d->dir, strerror(errno));
	snprintf(d->socket, sizeof(d->socket), "%s/gdb", d->dir);
	snprintf(d->address, sizeof(d->address), "unix:%s", d->socket);
	snprintf(d->init, sizeof(d->init), "%s/init.gdb", d->dir);
	snprintf(d->linux_symbols, sizeof(d->linux_symbols), "%s/linux.sym", d->dir);
	if (write_commands(d))
		return cv_error_set(err, CV_E_IO, "%s: %s", d->init, strerror(errno));
	if (d->o->symbols)
		return 0;
	if (!cv_log_get_image(log, "kernel", 0, &name, &args, &data, &n, NULL) && n > 4 && !memcmp(data, "\177ELF", 4)) {
		snprintf(d->kernel, sizeof(d->kernel), "%s/kernel.elf", d->dir);
		if (write_file(d->kernel, data, n))
			d->kernel[0] = 0;
	}
	free(name);
	free(args);
	free(data);
	return 0;
}

static void clean(struct debug *d)
{
	if (!d->dir[0])
		return;
	unlink(d->socket);
	unlink(d->init);
	unlink(d->linux_symbols);
	if (d->kernel[0])
		unlink(d->kernel);
	rmdir(d->dir);
}

static int start_gdb(struct debug *d, struct cv_error *err)
{
	const char *file = d->o->symbols ? d->o->symbols : d->kernel;
	const char *argv[GDB_ARGS];
	char target[128];
	int n = 0;

	if (d->o->nrest > GDB_ARGS - 12)
		return cv_error_set(err, CV_E_BADINPUT, "too many arguments for GDB");
	snprintf(target, sizeof(target), "target remote %s", d->socket);
	argv[n++] = getenv("CHRONOVISOR_GDB") ? getenv("CHRONOVISOR_GDB") : "gdb";
	argv[n++] = "-q";
	argv[n++] = "-iex";
	argv[n++] = "set auto-load safe-path /";
	argv[n++] = "-x";
	argv[n++] = d->init;
	argv[n++] = "-ex";
	argv[n++] = target;
	for (int i = 0; i < d->o->nrest; i++)
		argv[n++] = d->o->rest[i];
	if (file[0])
		argv[n++] = file;
	argv[n] = NULL;
	d->gdb = fork();
	if (d->gdb < 0)
		return cv_error_set(err, CV_E_IO, "fork: %s", strerror(errno));
	if (!d->gdb) {
		signal(SIGINT, SIG_DFL);
		execvp(argv[0], (char *const *)argv);
		fprintf(stderr, "chronovisor: debug: %s: %s (install gdb, or name one in CHRONOVISOR_GDB)\n", argv[0],
			strerror(errno));
		_exit(127);
	}
	return 0;
}

static bool gdb_gone(void *ctx)
{
	struct debug *d = ctx;

	if (!d->exited && waitpid(d->gdb, &d->status, WNOHANG) == d->gdb)
		d->exited = true;
	return d->exited;
}

static void engine_made(struct cv_machine *m, const void *made_ctx)
{
	const struct debug *d = made_ctx;

	engine_prepare(m, d->o);
	engine_tell(&d->engine, d->o, m);
}

static int serve(struct debug *d, struct cv_log *log, struct cv_gdb *gdb, struct cv_error *err)
{
	struct cv_timeline_config tcfg = {.poll = cv_gdb_poll, .ctx = gdb, .board = &cv_board, .engine = d->engine.factory,
					  .made = engine_made, .made_ctx = d};
	struct cv_gdb_options gopt = {.keep = true, .quit = gdb_gone, .ctx = d};
	const char *file = d->o->symbols ? d->o->symbols : d->kernel;
	struct cv_symbols *syms = NULL;
	struct cv_timeline *t = NULL;
	enum cv_gdb_end end;
	int rc;

	if (file[0]) {
		rc = cv_symbols_open_file(&syms, file, err);
		if (rc)
			return rc;
	}
	gopt.symbols = syms;
	gopt.symbols_file = d->linux_symbols;
	rc = cv_timeline_open(&t, log, &tcfg, err);
	if (!rc)
		rc = start_gdb(d, err);
	if (!rc)
		rc = cv_gdb_serve(gdb, t, &gopt, &end, err);
	cv_timeline_free(t);
	cv_symbols_free(syms);
	return rc;
}

int cmd_debug(const struct options *o)
{
	struct debug d = {.o = o};
	struct cv_error err = {0};
	struct cv_gdb *gdb = NULL;
	struct cv_log *log = NULL;
	int rc = cv_log_open(&log, o->recording, &err);

	signal(SIGINT, SIG_IGN); /* Ctrl-C on the terminal is GDB's business */
	if (!rc)
		rc = engine_pick_recorded(&d.engine, o, log, &err);
	if (!rc)
		rc = prepare(&d, log, &err);
	if (!rc)
		rc = cv_gdb_new(&gdb, d.address, &err);
	if (!rc)
		rc = serve(&d, log, gdb, &err);
	cv_gdb_free(gdb);
	if (d.gdb > 0 && !d.exited)
		waitpid(d.gdb, &d.status, 0);
	clean(&d);
	cv_log_close(log, NULL);
	if (rc)
		return fail("debug", &err);
	return WIFEXITED(d.status) ? WEXITSTATUS(d.status) : EXIT_HOST;
}
