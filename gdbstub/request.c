/* SPDX-License-Identifier: MIT */
/*
 * Requests (GDB manual, appendix E.2 "Packets", E.4 "General Query Packets"). A table of prefixes, tried in order: a
 * longer one stands before a shorter that begins alike.
 */
#include "gdbstub/request.h"

#include <string.h>

#include "gdbstub/packet.h"

/* What is left of a body. */
struct text {
	char *p;
	size_t n;
};

/* A hexadecimal number of at least one digit that fits into 64 bits. */
static bool get_number(struct text *t, uint64_t *v)
{
	size_t digits = 0;
	int d;

	*v = 0;
	while (t->n && (d = cv_hex_digit(*t->p)) >= 0) {
		if (*v >> 60)
			return false;
		*v = *v << 4 | (unsigned)d;
		t->p++;
		t->n--;
		digits++;
	}
	return digits > 0;
}

static bool get_char(struct text *t, char c)
{
	if (!t->n || *t->p != c)
		return false;
	t->p++;
	t->n--;
	return true;
}

static bool get_two(struct text *t, uint64_t *a, uint64_t *b)
{
	return get_number(t, a) && get_char(t, ',') && get_number(t, b);
}

/* Decodes all that is left as hex, in place. */
static bool get_hex_rest(struct text *t, struct cv_request *req)
{
	if (t->n % 2 || !cv_get_hex(t->p, (uint8_t *)t->p, t->n / 2))
		return false;
	req->data = (uint8_t *)t->p;
	req->n = t->n / 2;
	return true;
}

/* --- One function an argument shape: false where the packet is malformed --- */

static bool parse_none(struct text *t, struct cv_request *req)
{
	(void)req;
	return !t->n;
}

static bool parse_any(struct text *t, struct cv_request *req)
{
	(void)t;
	(void)req;
	return true;
}

static bool parse_write_regs(struct text *t, struct cv_request *req)
{
	return get_hex_rest(t, req);
}

static bool parse_reg(struct text *t, struct cv_request *req)
{
	uint64_t v;

	if (!get_number(t, &v) || v > 0xffff)
		return false;
	req->reg = (unsigned)v;
	return true;
}

static bool parse_read_reg(struct text *t, struct cv_request *req)
{
	return parse_reg(t, req) && !t->n;
}

static bool parse_write_reg(struct text *t, struct cv_request *req)
{
	return parse_reg(t, req) && get_char(t, '=') && get_hex_rest(t, req);
}

static bool parse_memory(struct text *t, struct cv_request *req)
{
	return get_two(t, &req->addr, &req->len) && !t->n;
}

static bool parse_write_hex(struct text *t, struct cv_request *req)
{
	return get_two(t, &req->addr, &req->len) && get_char(t, ':') && get_hex_rest(t, req) && req->n == req->len;
}

static bool parse_write_binary(struct text *t, struct cv_request *req)
{
	if (!get_two(t, &req->addr, &req->len) || !get_char(t, ':'))
		return false;
	req->data = (uint8_t *)t->p;
	req->n = cv_packet_unescape(req->data, t->n);
	return req->n == req->len;
}

/* An address may follow c and s; after C and S a signal comes first, which no guest can take. */
static bool parse_resume(struct text *t, struct cv_request *req, enum cv_resume how, bool with_signal)
{
	uint64_t sig;

	req->resume = how;
	if (with_signal) {
		if (!get_number(t, &sig))
			return false;
		if (!t->n)
			return true;
		if (!get_char(t, ';'))
			return false;
	} else if (!t->n) {
		return true;
	}
	req->jump = true;
	return get_number(t, &req->addr) && !t->n;
}

static bool parse_continue(struct text *t, struct cv_request *req)
{
	return parse_resume(t, req, CV_RESUME_CONTINUE, false);
}

static bool parse_continue_signal(struct text *t, struct cv_request *req)
{
	return parse_resume(t, req, CV_RESUME_CONTINUE, true);
}

static bool parse_step(struct text *t, struct cv_request *req)
{
	return parse_resume(t, req, CV_RESUME_STEP, false);
}

static bool parse_step_signal(struct text *t, struct cv_request *req)
{
	return parse_resume(t, req, CV_RESUME_STEP, true);
}

static bool parse_backward_continue(struct text *t, struct cv_request *req)
{
	req->resume = CV_RESUME_CONTINUE;
	req->backward = true;
	return !t->n;
}

static bool parse_backward_step(struct text *t, struct cv_request *req)
{
	req->resume = CV_RESUME_STEP;
	req->backward = true;
	return !t->n;
}

/* A thread-id: hex, -1 or 0 for any, or pPID.TID. Ours is 1. */
static bool get_thread(struct text *t, bool *ours)
{
	uint64_t id, pid;

	*ours = true;
	if (get_char(t, 'p')) {
		if (get_char(t, '-'))
			return get_char(t, '1') && !t->n;
		if (!get_number(t, &pid))
			return false;
		if (!get_char(t, '.'))
			return true;
	}
	if (get_char(t, '-'))
		return get_char(t, '1');
	if (!get_number(t, &id))
		return false;
	*ours = id <= 1;
	return true;
}

/* One action of vCont, without its thread. */
static bool get_action(struct text *t, struct cv_request *req)
{
	uint64_t sig;
	char c;

	if (!t->n)
		return false;
	c = *t->p++;
	t->n--;
	switch (c) {
	case 'C':
		if (!get_number(t, &sig))
			return false;
		/* fallthrough */
	case 'c':
		req->resume = CV_RESUME_CONTINUE;
		return true;
	case 'S':
		if (!get_number(t, &sig))
			return false;
		/* fallthrough */
	case 's':
		req->resume = CV_RESUME_STEP;
		return true;
	case 'r':
		req->resume = CV_RESUME_RANGE;
		return get_two(t, &req->addr, &req->len);
	case 't':
		req->resume = CV_RESUME_STOP;
		return true;
	default:
		return false;
	}
}

/* The leftmost action that names our thread, or none, holds. */
static bool parse_vcont(struct text *t, struct cv_request *req)
{
	bool ours, found = false;

	while (t->n) {
		struct cv_request action = { .kind = req->kind };

		if (!get_action(t, &action))
			return false;
		ours = true;
		if (get_char(t, ':') && !get_thread(t, &ours))
			return false;
		if (ours && !found) {
			*req = action;
			found = true;
		}
		if (t->n && !get_char(t, ';'))
			return false;
	}
	return found;
}

static bool parse_point(struct text *t, struct cv_request *req)
{
	uint64_t kind;

	if (!get_number(t, &kind) || kind > CV_POINT_ACCESS || !get_char(t, ','))
		return false;
	req->point = (enum cv_point_kind)kind;
	if (!get_two(t, &req->addr, &req->len))
		return false;
	if (t->n && *t->p != ';')
		return false;
	req->data = (uint8_t *)t->p;
	req->n = t->n;
	return true;
}

static bool parse_thread_select(struct text *t, struct cv_request *req)
{
	if (!get_char(t, 'g') && !get_char(t, 'c'))
		return false;
	return get_thread(t, &req->yes) && !t->n;
}

static bool parse_thread(struct text *t, struct cv_request *req)
{
	return get_thread(t, &req->yes) && !t->n;
}

static bool parse_features(struct text *t, struct cv_request *req)
{
	char *colon = memchr(t->p, ':', t->n);

	if (!colon)
		return false;
	*colon = '\0';
	req->text = t->p;
	t->n -= (size_t)(colon + 1 - t->p);
	t->p = colon + 1;
	return get_two(t, &req->addr, &req->len) && !t->n;
}

static bool parse_search(struct text *t, struct cv_request *req)
{
	if (!get_number(t, &req->addr) || !get_char(t, ';') || !get_number(t, &req->len) || !get_char(t, ';'))
		return false;
	req->data = (uint8_t *)t->p;
	req->n = cv_packet_unescape(req->data, t->n);
	return req->n > 0;
}

static bool parse_monitor(struct text *t, struct cv_request *req)
{
	if (!get_hex_rest(t, req))
		return false;
	req->data[req->n] = '\0'; /* there is room: decoding has halved the text, and the body ends with a NUL */
	req->text = (char *)req->data;
	return strlen(req->text) == req->n;
}

static const struct {
	const char *prefix;
	enum cv_request_kind kind;
	bool (*parse)(struct text *t, struct cv_request *req);
} table[] = {
	{ "?", CV_REQ_WHY, parse_none },
	{ "!", CV_REQ_EXTENDED, parse_none },
	{ "g", CV_REQ_READ_REGS, parse_none },
	{ "G", CV_REQ_WRITE_REGS, parse_write_regs },
	{ "p", CV_REQ_READ_REG, parse_read_reg },
	{ "P", CV_REQ_WRITE_REG, parse_write_reg },
	{ "m", CV_REQ_READ_HEX, parse_memory },
	{ "x", CV_REQ_READ_BINARY, parse_memory },
	{ "M", CV_REQ_WRITE, parse_write_hex },
	{ "X", CV_REQ_WRITE, parse_write_binary },
	{ "c", CV_REQ_RESUME, parse_continue },
	{ "C", CV_REQ_RESUME, parse_continue_signal },
	{ "s", CV_REQ_RESUME, parse_step },
	{ "S", CV_REQ_RESUME, parse_step_signal },
	{ "bc", CV_REQ_RESUME, parse_backward_continue },
	{ "bs", CV_REQ_RESUME, parse_backward_step },
	{ "vCont?", CV_REQ_VCONT_QUERY, parse_none },
	{ "vCont;", CV_REQ_RESUME, parse_vcont },
	{ "vCtrlC", CV_REQ_OK, parse_none },
	{ "vKill", CV_REQ_VKILL, parse_any },
	{ "vRun", CV_REQ_VRUN, parse_any },
	{ "Z", CV_REQ_SET_POINT, parse_point },
	{ "z", CV_REQ_CLEAR_POINT, parse_point },
	{ "H", CV_REQ_THREAD_OK, parse_thread_select },
	{ "T", CV_REQ_THREAD_OK, parse_thread },
	{ "D", CV_REQ_DETACH, parse_any },
	{ "k", CV_REQ_KILL, parse_none },
	{ "R", CV_REQ_RESTART, parse_any },
	{ "QStartNoAckMode", CV_REQ_NO_ACK, parse_none },
	{ "qSupported", CV_REQ_SUPPORTED, parse_any },
	{ "qCRC", CV_REQ_UNKNOWN, parse_any },
	{ "qC", CV_REQ_CURRENT_THREAD, parse_none },
	{ "qfThreadInfo", CV_REQ_FIRST_THREADS, parse_none },
	{ "qsThreadInfo", CV_REQ_MORE_THREADS, parse_none },
	{ "qThreadExtraInfo,", CV_REQ_THREAD_EXTRA, parse_thread },
	{ "qAttached", CV_REQ_ATTACHED, parse_any },
	{ "qXfer:features:read:", CV_REQ_FEATURES, parse_features },
	{ "qSearch:memory:", CV_REQ_SEARCH, parse_search },
	{ "qRcmd,", CV_REQ_MONITOR, parse_monitor },
	{ "qSymbol:", CV_REQ_SYMBOL, parse_any },
};

void cv_request_parse(char *body, size_t n, struct cv_request *req)
{
	memset(req, 0, sizeof(*req));
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		size_t len = strlen(table[i].prefix);
		struct text t = { body + len, n - len };

		if (n < len || memcmp(body, table[i].prefix, len))
			continue;
		req->kind = table[i].kind;
		if (!table[i].parse(&t, req))
			req->kind = CV_REQ_MALFORMED;
		return;
	}
}

bool cv_request_next_condition(uint8_t **p, size_t *n, uint8_t **code, size_t *len, bool *bad)
{
	struct text t = { (char *)*p, *n };
	uint64_t bytes;

	*bad = false;
	if (!t.n)
		return false;
	*bad = true;
	get_char(&t, ';'); /* GDB sends it before the first only */
	if (!get_char(&t, 'X') || !get_number(&t, &bytes) || !get_char(&t, ','))
		return false;
	if (!bytes || bytes > t.n / 2 || !cv_get_hex(t.p, (uint8_t *)t.p, bytes))
		return false;
	*code = (uint8_t *)t.p;
	*len = bytes;
	*p = (uint8_t *)t.p + 2 * bytes;
	*n = t.n - 2 * bytes;
	*bad = false;
	return true;
}
