/* SPDX-License-Identifier: MIT */
/*
 * The GDB remote stub: a server that lets GDB 12 or later move through a timeline in both directions.
 *
 * It speaks to replay/timeline.h alone. One client at a time; one thread (the vCPU, thread 1). Everything that comes
 * from the socket is untrusted: a client that sends garbage or half packets, or vanishes, never stops a guest that is
 * being recorded. A live guest is held from the first valid packet of a client until that client goes away.
 *
 * Order of use: cv_gdb_new; give cv_gdb_fd() to cv_live_config.wake_fd and cv_gdb_poll (with the server as ctx) to
 * cv_timeline_config.poll; make the timeline; cv_gdb_serve; cv_gdb_free.
 */
#ifndef CV_GDBSTUB_H
#define CV_GDBSTUB_H

#include <stdbool.h>

#include "replay/timeline.h"
#include "vmm-core/error.h"

struct cv_gdb;
struct cv_symbols; /* gdbstub/symbols.h */

/* What the target description says. GDB reads it once a connection and refuses symbols of the other kind. */
enum cv_gdb_arch {
	CV_GDB_AUTO = 0, /* as options.symbols are; x86-64 without them */
	CV_GDB_X86_64,	 /* right for every guest that ever enters 64-bit mode */
	CV_GDB_I386,	 /* for 32-bit kernels debugged with 32-bit symbols; 64-bit registers are cut off */
};

struct cv_gdb_options {
	enum cv_gdb_arch arch;
	bool avx; /* the description has YMM registers, too; so it has, whatever is given, for a machine with AVX */
	bool keep; /* after a client has detached or vanished, wait for the next one; else cv_gdb_serve returns */
	bool wait; /* a live guest stands still until the first client has come and gone on */
	/* Asked a few times a second while nothing moves: true makes cv_gdb_serve return. May be NULL. */
	bool (*quit)(void *ctx);
	void *ctx;
	const char *symbols_file; /* borrowed: where `monitor symbols` writes an ELF file for GDB. NULL: nowhere */
	const struct cv_symbols *symbols; /* borrowed; for `monitor bt` and `monitor disas`. NULL: a Linux kernel's own */
};

/* Why cv_gdb_serve returned. */
enum cv_gdb_end {
	CV_GDB_DETACHED = 1, /* the client went away from a replay and `keep` is off */
	CV_GDB_KILLED,	     /* the client asked to kill a live guest, or a replay while `keep` is off */
	CV_GDB_RUN_ENDED,    /* the live run ended, and no client is there to look at it any more */
	CV_GDB_QUIT,	     /* options.quit said so */
};

/*
 * Listens. address: "unix:PATH", "[HOST]:PORT" (HOST may be left out: the loopback interface; an IPv6 address stands in
 * brackets; port 0: any free one). CV_E_BADINPUT for a malformed address, CV_E_IO where it is busy or not allowed.
 */
int cv_gdb_new(struct cv_gdb **out, const char *address, struct cv_error *err);
/* On a connected stream socket, which the server owns from here on. */
int cv_gdb_new_connected(struct cv_gdb **out, int fd, struct cv_error *err);
void cv_gdb_free(struct cv_gdb *g);

/* What GDB's `target remote` takes to reach the server: HOST:PORT with the real port, or the socket's path. */
const char *cv_gdb_local_address(const struct cv_gdb *g);
/* A descriptor that becomes readable when a client wants something: for cv_live_config.wake_fd. */
int cv_gdb_fd(const struct cv_gdb *g);
/* For cv_timeline_config.poll; server: the struct cv_gdb. True when the running timeline must stop. */
bool cv_gdb_poll(void *server);

/*
 * Serves clients until one of enum cv_gdb_end. Over a live timeline the guest runs whenever no client holds it. opt is
 * borrowed for the call, NULL means all defaults. 0 and *end, or a negative CV_E_* for host trouble.
 */
int cv_gdb_serve(struct cv_gdb *g, struct cv_timeline *t, const struct cv_gdb_options *opt, enum cv_gdb_end *end,
		 struct cv_error *err);

/*
 * GDB commands for a session that `chronovisor debug` starts: caches are flushed after each `monitor` command (some of
 * them move), and `when` and `seek` exist as commands of GDB. Text for a file given with -x.
 */
const char *cv_gdb_init_commands(void);

#endif
