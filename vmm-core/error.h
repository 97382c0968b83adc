/* SPDX-License-Identifier: MIT */
/*
 * Host errors: codes and the message that goes with them.
 *
 * A function that can fail returns 0 or a negative CV_E_*, and leaves one line (what, where, what to do) in the
 * struct cv_error that its caller gave. Guest faults, divergences and bugs are not host errors. cv_error is
 * sticky: the first message stays until cv_error_clear().
 */
#ifndef CV_ERROR_H
#define CV_ERROR_H

enum {
	CV_OK = 0,
	CV_E_NOMEM = -1,       /* host memory exhausted */
	CV_E_IO = -2,          /* a system call or SQLite failed */
	CV_E_BADINPUT = -3,    /* a file, option or request that we refuse (exit status 2) */
	CV_E_CORRUPT = -4,     /* a recording whose bytes are not what was written (exit status 2) */
	CV_E_VERSION = -5,     /* a recording of a newer format (exit status 2) */
	CV_E_EXIST = -6,       /* would overwrite (exit status 2) */
	CV_E_DIVERGED = -7,    /* replay left the recorded run (exit status 4); report in the replayer */
	CV_E_END = -8,         /* the log has no more events */
	CV_E_NOTFOUND = -9,    /* no such thing */
	CV_E_FAULT = -10,      /* a guest address that is not mapped, asked for by a debugger */
	CV_E_INTERRUPTED = -11 /* the user asked to stop */
};

struct cv_error {
	int code; /* 0 while nothing was set */
	char msg[512];
};

/* Sets code and message unless one is set already; returns the code now in force. e may be NULL. */
int cv_error_set(struct cv_error *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Prepends "fmt: " to the message that is set (to say where). Returns e's code. */
int cv_error_prefix(struct cv_error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cv_error_clear(struct cv_error *e);

#endif
