/* SPDX-License-Identifier: MIT */
/* A session's life, and which file answers which request. */
#include "gdbstub/session.h"

#include <string.h>

#include "gdbstub/symbols.h"

void cv_gdb_session_init(struct cv_gdb_session *s, struct cv_timeline *t, const struct cv_gdb_options *opt,
			 const struct cv_gdb_link *link)
{
	memset(s, 0, sizeof(*s));
	s->t = t;
	s->opt = opt;
	s->link = *link;
}

void cv_gdb_session_release(struct cv_gdb_session *s)
{
	cv_gdb_drop_points(s);
	if (s->t && cv_timeline_is_diverted(s->t)) {
		struct cv_error err = { 0 };

		/* The next client sees the recorded run. If the return fails, its first move reports the trouble. */
		(void)cv_timeline_end_diversion(s->t, &err);
	}
	cv_wbuf_release(&s->reply);
	cv_symbols_free(s->guest_symbols);
}

const struct cv_symbols *cv_gdb_symbols(struct cv_gdb_session *s)
{
	const struct cv_machine *m = cv_timeline_machine(s->t);
	struct cv_vcpu_state state;

	if (s->opt->symbols || !m)
		return s->opt->symbols;
	cv_timeline_state(s->t, &state);
	if (s->guest_symbols && s->guest_lstar != state.lstar) { /* before its boot, or another kernel */
		cv_symbols_free(s->guest_symbols);
		s->guest_symbols = NULL;
	}
	if (!s->guest_symbols && state.lstar && !cv_symbols_open_guest(&s->guest_symbols, &m->mem, &state, NULL))
		s->guest_lstar = state.lstar;
	return s->guest_symbols;
}

void cv_gdb_ok(struct cv_gdb_session *s)
{
	cv_put_text(&s->reply, "OK");
}

void cv_gdb_error(struct cv_gdb_session *s, int number)
{
	cv_put_text(&s->reply, "E%02x", (unsigned)number & 0xff);
}

void cv_gdb_error_text(struct cv_gdb_session *s, const char *text)
{
	cv_put_text(&s->reply, "E.");
	for (size_t i = 0; text[i] && i < 500; i++) {
		char c = text[i];

		cv_put_u8(&s->reply, c < ' ' || c > '~' || strchr("#$}*", c) ? '?' : (uint8_t)c);
	}
}

void cv_gdb_say(struct cv_gdb_session *s, const char *text, size_t n)
{
	const size_t most = 4000;

	while (n) {
		struct cv_wbuf w = { 0 };
		size_t part = n < most ? n : most;

		cv_put_u8(&w, 'O');
		cv_put_hex(&w, text, part);
		if (!w.err)
			s->link.send(s->link.ctx, w.data, w.len);
		cv_wbuf_release(&w);
		text += part;
		n -= part;
	}
}

static void dispatch(struct cv_gdb_session *s, const struct cv_request *req)
{
	switch (req->kind) {
	case CV_REQ_UNKNOWN:
		break;
	case CV_REQ_MALFORMED:
		cv_gdb_error(s, 1);
		break;
	case CV_REQ_READ_REGS:
	case CV_REQ_WRITE_REGS:
	case CV_REQ_READ_REG:
	case CV_REQ_WRITE_REG:
		cv_gdb_do_registers(s, req);
		break;
	case CV_REQ_READ_HEX:
	case CV_REQ_READ_BINARY:
	case CV_REQ_WRITE:
	case CV_REQ_SEARCH:
		cv_gdb_do_memory(s, req);
		break;
	case CV_REQ_RESUME:
		cv_gdb_do_resume(s, req);
		break;
	case CV_REQ_WHY:
		cv_gdb_stop_reply(s);
		break;
	case CV_REQ_SET_POINT:
	case CV_REQ_CLEAR_POINT:
		cv_gdb_do_point(s, req);
		break;
	case CV_REQ_RESTART:
		cv_gdb_do_restart(s);
		s->silent = true;
		break;
	case CV_REQ_VRUN:
		cv_gdb_do_restart(s);
		break;
	case CV_REQ_DETACH:
		s->after = CV_AFTER_DETACH;
		cv_gdb_ok(s);
		break;
	case CV_REQ_KILL:
		s->after = CV_AFTER_KILL;
		s->silent = true;
		break;
	case CV_REQ_VKILL:
		s->killed = true;
		cv_gdb_ok(s);
		break;
	case CV_REQ_MONITOR:
		cv_gdb_do_monitor(s, req->text);
		break;
	default:
		cv_gdb_do_query(s, req);
	}
}

void cv_gdb_session_handle(struct cv_gdb_session *s, char *body, size_t n)
{
	struct cv_request req;

	cv_wbuf_release(&s->reply);
	s->silent = s->heeded = false;
	s->after = CV_AFTER_STAY;
	cv_request_parse(body, n, &req);
	dispatch(s, &req);
	if (s->reply.err) {
		cv_wbuf_release(&s->reply);
		cv_gdb_error(s, 12);
	}
}
