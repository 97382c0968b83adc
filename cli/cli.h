/* SPDX-License-Identifier: MIT */
/*
 * The command `chronovisor`: the only code that sees everything, prints and exits.
 *
 * Exit statuses: 0 the guest ended by itself (or the question was answered), 1 host failure, 2 bad input, 3 the guest
 * crashed, 4 replay diverged.
 */
#ifndef CV_CLI_H
#define CV_CLI_H

#include <regex.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/board.h"
#include "logdb/logdb.h"
#include "replay/replay.h"
#include "replay/timeline.h"
#include "vmm-core/machine.h"

enum { EXIT_GUEST_OK = 0, EXIT_HOST = 1, EXIT_BAD_INPUT = 2, EXIT_CRASHED = 3, EXIT_DIVERGED = 4 };

enum engine_wish { ENGINE_AUTO = 0, ENGINE_SOFT, ENGINE_VTX };

/* What `run` and `record` are asked to do. Zeroed, then options_parse; options_release frees. */
struct options {
	const char *command;
	const char *output;	 /* -o */
	bool force;
	const char *kernel, *initrd, *append;
	const char *modules[CV_BOOT_MODULES]; /* 'FILE ARGS' */
	unsigned nmodules;
	uint64_t memory;	 /* bytes */
	enum cv_clock_mode clock;
	bool reboot;
	bool test_device;
	const char *cpu;
	bool cpu_given;
	enum engine_wish engine;
	bool engine_given;
	enum cv_count_unit count;
	bool count_given;
	unsigned vtx_skid;
	uint64_t epoch, seed;
	bool epoch_given;
	uint64_t until_insns;	 /* UINT64_MAX: none */
	uint64_t start_insns;	 /* replay: start at the last checkpoint with state at or before this */
	bool until_crash;
	const char *until_console; /* regex, or NULL */
	const char *gdb;	 /* address, or NULL */
	bool gdb_wait;		 /* stay at the first instruction until GDB connects */
	unsigned loop;		 /* 0: not given */
	uint64_t checkpoints;	 /* instructions between checkpoints with state in the file; 0: none */
	const char *recording;	 /* replay, debug, info, events */
	const char *symbols;
	const char *events_kind, *events_format;
	uint64_t events_from, events_to;
	bool quiet;
	char **rest;		 /* debug: what follows --, for GDB */
	int nrest;
};

/* Parses argv of a command. 0, or CV_E_BADINPUT with one line. `help` set when --help was asked. */
int options_parse(struct options *o, int argc, char **argv, bool *help, struct cv_error *err);

/* The images of a configuration, read from files. */
struct files {
	uint8_t *data[2 + CV_BOOT_MODULES];
	char *text[2 + CV_BOOT_MODULES];
	unsigned n;
};
int files_load(struct files *f, const struct options *o, struct cv_boot_images *images, struct cv_error *err);
void files_release(struct files *f);
/* Whole file into *data (free), for images up to 1 GiB. */
int file_read(const char *what, const char *path, uint8_t **data, size_t *n, struct cv_error *err);

/* Can --symbols be read? Asked before a guest runs: its report comes at the end. */
int symbols_check(const struct options *o, struct cv_error *err);

/* The terminal on a descriptor in raw mode, where it is one; restored on exit and on signals. */
bool terminal_raw(int fd);
void terminal_restore(void);

/* Commands. Each returns an exit status; errors have been printed. */
int cmd_record(const struct options *o); /* and run */
int cmd_replay(const struct options *o);
int cmd_debug(const struct options *o);
int cmd_info(const struct options *o);
int cmd_events(const struct options *o);
int cmd_verify(const struct options *o);
int cmd_cpus(const struct options *o);
int cmd_engines(const struct options *o);

/* Which engine a machine gets (engines.c). */
struct engine_pick {
	cv_engine_factory factory;
	enum cv_count_unit unit; /* what the machine's positions count */
	const char *cpu;	 /* the CPU model of a live run: the option's, or vtx_cpu */
	char vtx_cpu[64];
	char why[512];		 /* for people: what it is, or why it isn't VT-x */
};
int engine_pick_live(struct engine_pick *p, const struct options *o, struct cv_error *err);
int engine_pick_recorded(struct engine_pick *p, const struct options *o, struct cv_log *log, struct cv_error *err);
/* Sets a new machine's engine up as the options (a struct options) say. */
void engine_prepare(struct cv_machine *m, const void *options);
/* One line for people, where it isn't the usual engine or was asked for. */
void engine_tell(const struct engine_pick *p, const struct options *o, const struct cv_machine *m);

/* One line on standard error; returns the exit status that belongs to the error. */
int fail(const char *command, const struct cv_error *err);

/* Signals SIGINT, SIGTERM, SIGHUP become CV_CMD_STOP for this live env; NULL: none. */
void signals_to(struct cv_live *live);
/* One has come since then. A debugger's wait asks: the guest that it holds applies no command. */
bool stop_asked(void *ctx);

/* Keeps the last console bytes for the report. */
struct tail {
	char buf[4096];
	unsigned len;
};
void tail_add(struct tail *t, const uint8_t *p, size_t n);
/* The last `lines` lines, as a string inside t. */
const char *tail_lines(struct tail *t, unsigned lines);

/*
 * Looks on: keeps the console's tail, ends the run at an instruction count or where a console line matches a regular
 * expression. Wraps an env.
 */
struct console_watch {
	struct cv_env env;
	struct cv_env *inner;
	struct cv_live *live;
	regex_t re;
	uint64_t until; /* insns; UINT64_MAX: none */
	bool compiled, matched, told;
	char line[512];
	unsigned len;
	struct tail tail;
};
/* regex NULL: only the tail. */
int console_watch_init(struct console_watch *w, struct cv_env *inner, struct cv_live *live, uint64_t insns,
		       const char *regex, struct cv_error *err);
void console_watch_release(struct console_watch *w);

/*
 * The crash report: position, registers, disassembly, backtrace, last console lines, and how to debug it. recording:
 * path or NULL; tail: the last console output.
 */
void report_crash(struct cv_machine *m, const char *recording, const char *symbols, const char *tail);
void report_divergence(const struct cv_divergence *d, struct cv_machine *m);
/* One line: how the run ended. */
void report_end(const char *verb, struct cv_machine *m, const char *recording);

#endif
