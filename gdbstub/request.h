/* SPDX-License-Identifier: MIT */
/*
 * From a packet's body to a typed request: the only place that reads the client's text. Numbers are checked for
 * overflow, data is decoded in the packet's own buffer, and lengths are those that really came.
 */
#ifndef CV_REQUEST_H
#define CV_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "replay/timeline.h"

enum cv_request_kind {
	CV_REQ_UNKNOWN = 0, /* answered with an empty packet */
	CV_REQ_MALFORMED,   /* known, but its arguments are wrong */
	CV_REQ_WHY,	    /* ? */
	CV_REQ_EXTENDED,    /* ! */
	CV_REQ_READ_REGS,   /* g */
	CV_REQ_WRITE_REGS,  /* G: data */
	CV_REQ_READ_REG,    /* p: reg */
	CV_REQ_WRITE_REG,   /* P: reg, data */
	CV_REQ_READ_HEX,    /* m: addr, len */
	CV_REQ_READ_BINARY, /* x: addr, len */
	CV_REQ_WRITE,	    /* M, X: addr, data */
	CV_REQ_RESUME,	    /* c C s S vCont bc bs: resume, backward, jump */
	CV_REQ_SET_POINT,   /* Z: point, addr, len, data (conditions) */
	CV_REQ_CLEAR_POINT, /* z */
	CV_REQ_THREAD_OK,   /* H, T: the thread exists or does not (`yes`) */
	CV_REQ_DETACH,
	CV_REQ_KILL,	    /* k: no answer */
	CV_REQ_VKILL,	    /* vKill: answered */
	CV_REQ_RESTART,	    /* R: no answer */
	CV_REQ_VRUN,
	CV_REQ_VCONT_QUERY,
	CV_REQ_SUPPORTED,
	CV_REQ_NO_ACK,
	CV_REQ_CURRENT_THREAD,
	CV_REQ_FIRST_THREADS,
	CV_REQ_MORE_THREADS,
	CV_REQ_THREAD_EXTRA,
	CV_REQ_ATTACHED,
	CV_REQ_FEATURES,    /* qXfer:features:read: text (annex), addr (offset), len */
	CV_REQ_SEARCH,	    /* qSearch:memory: addr, len, data */
	CV_REQ_MONITOR,	    /* qRcmd: text */
	CV_REQ_SYMBOL,
	CV_REQ_OK,	    /* noted, nothing to do */
};

enum cv_resume { CV_RESUME_CONTINUE = 1, CV_RESUME_STEP, CV_RESUME_RANGE, CV_RESUME_STOP };

struct cv_request {
	enum cv_request_kind kind;
	uint64_t addr, len; /* RANGE: [addr, len) */
	unsigned reg;
	enum cv_point_kind point;
	enum cv_resume resume;
	bool backward;
	bool jump; /* c ADDR, s ADDR */
	bool yes;
	uint8_t *data; /* borrowed from the body */
	size_t n;
	const char *text; /* borrowed, NUL-terminated */
};

/* body[n] is writable and NUL; it is changed and must live as long as *req. */
void cv_request_parse(char *body, size_t n, struct cv_request *req);

/*
 * Walks the conditions of a Z packet (";X3,220027X...", data and n as the request has them, decoded in place): the
 * next expression in *code and *len, or false at the end or where it is malformed (*bad).
 */
bool cv_request_next_condition(uint8_t **p, size_t *n, uint8_t **code, size_t *len, bool *bad);

#endif
