/* SPDX-License-Identifier: MIT */
/*
 * A session: one client's view of a timeline. Private to gdbstub/.
 *
 * The session takes packet bodies and gives replies; it knows no sockets. What it needs of the transport while a
 * request is under way (output packets before a stop reply, has the client pressed Ctrl-C) goes through `link`.
 */
#ifndef CV_GDB_SESSION_H
#define CV_GDB_SESSION_H

#include "gdbstub/gdbstub.h"
#include "gdbstub/packet.h"
#include "gdbstub/request.h"

#define CV_GDB_POINTS_MAX 1024
#define CV_GDB_POINT_CONDITION_MAX 65536 /* bytes of all conditions of one point together */

struct cv_gdb_link {
	void (*send)(void *ctx, const void *body, size_t n); /* one packet */
	bool (*interrupted)(void *ctx);			      /* the client wants the request to stop, or is gone */
	void *ctx;
};

struct cv_gdb_session;

/* A breakpoint or watchpoint that the client has set. */
struct cv_gdb_point {
	struct cv_gdb_point *next; /* owned */
	struct cv_gdb_session *session; /* borrowed */
	enum cv_point_kind kind;
	uint64_t addr, len;
	unsigned id;	    /* the timeline's */
	uint8_t *condition; /* owned: u32 length and bytecode, one after the other; NULL: none */
	size_t ncondition;
};

enum cv_gdb_after { CV_AFTER_STAY = 0, CV_AFTER_DETACH, CV_AFTER_KILL };

struct cv_gdb_session {
	struct cv_timeline *t;		  /* borrowed */
	const struct cv_gdb_options *opt; /* borrowed */
	struct cv_gdb_link link;
	struct cv_gdb_point *points; /* owned */
	unsigned npoints;
	bool extended, no_ack, phys;
	bool killed; /* vKill: nothing runs until R or vRun */
	struct cv_symbols *guest_symbols; /* owned: a Linux kernel's own; NULL until asked for */
	uint64_t guest_lstar;		  /* of the kernel that they are of */
	bool flush_told; /* that GDB's caches are stale after a move */
	struct cv_tl_stop stop; /* the last one; why 0: none yet */
	struct cv_wbuf reply;	/* the packet body to send */
	bool silent;		/* send none (k, R) */
	bool heeded;		/* the request stopped for an interrupt, which is used up by that */
	enum cv_gdb_after after;
};

void cv_gdb_session_init(struct cv_gdb_session *s, struct cv_timeline *t, const struct cv_gdb_options *opt,
			 const struct cv_gdb_link *link);
/* Removes its points and ends a diversion. */
void cv_gdb_session_release(struct cv_gdb_session *s);
/*
 * Does what a body asks. body[n] is writable; the body is changed. The answer is in s->reply unless s->silent; s->after
 * says what becomes of the connection.
 */
void cv_gdb_session_handle(struct cv_gdb_session *s, char *body, size_t n);

/* --- Between the files of gdbstub/ --- */
void cv_gdb_ok(struct cv_gdb_session *s);
void cv_gdb_error(struct cv_gdb_session *s, int number);
/* E.message: GDB shows it. */
void cv_gdb_error_text(struct cv_gdb_session *s, const char *text);
/* Text on the user's terminal: allowed while the client waits for a stop or a monitor command's answer. */
void cv_gdb_say(struct cv_gdb_session *s, const char *text, size_t n);
/* Reads what the client sees as memory: linear, or physical after `monitor phys on`. */
size_t cv_gdb_read(struct cv_gdb_session *s, uint64_t addr, void *p, size_t n);
uint64_t cv_gdb_cr8(struct cv_gdb_session *s);

/* target.c */
void cv_gdb_do_registers(struct cv_gdb_session *s, const struct cv_request *req);
void cv_gdb_do_memory(struct cv_gdb_session *s, const struct cv_request *req);
/* resume.c */
void cv_gdb_do_resume(struct cv_gdb_session *s, const struct cv_request *req);
void cv_gdb_do_restart(struct cv_gdb_session *s);
void cv_gdb_stop_reply(struct cv_gdb_session *s);
/* points.c */
void cv_gdb_do_point(struct cv_gdb_session *s, const struct cv_request *req);
const struct cv_gdb_point *cv_gdb_point_by_id(const struct cv_gdb_session *s, unsigned id);
void cv_gdb_drop_points(struct cv_gdb_session *s);
/* query.c */
void cv_gdb_do_query(struct cv_gdb_session *s, const struct cv_request *req);
/*
 * Symbols for looking at the guest where it stands: those given, else a Linux kernel's own out of its memory, else NULL.
 * Borrowed, until the next call.
 */
const struct cv_symbols *cv_gdb_symbols(struct cv_gdb_session *s);

/* monitor.c */
void cv_gdb_do_monitor(struct cv_gdb_session *s, const char *command);

#endif
