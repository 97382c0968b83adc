/* SPDX-License-Identifier: MIT */
/*
 * Moving, and the stop replies that tell where a move ended.
 *
 * GDB's signals stand for what happened: SIGTRAP for a step, a point or an end of the recording; SIGINT for Ctrl-C;
 * SIGSEGV for a triple fault and SIGABRT for any other crash or a divergence, with a line of text before it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gdbstub/regs.h"
#include "gdbstub/session.h"

enum { SIG_INT = 2, SIG_TRAP = 5, SIG_ABRT = 6, SIG_SEGV = 11 };

static void put_expedited(struct cv_gdb_session *s)
{
	static const char *const names64[4] = { "rip", "rsp", "rbp", "eflags" };
	static const char *const names32[4] = { "eip", "esp", "ebp", "eflags" };
	const char *const *names = s->opt->arch == CV_GDB_I386 ? names32 : names64;
	struct cv_vcpu_state st;
	uint8_t b[CV_REG_BYTES_MAX];
	size_t n;
	const struct cv_reg *regs = cv_regs(s->opt->arch, s->opt->avx, &n);

	cv_timeline_state(s->t, &st);
	for (unsigned i = 0; i < 4; i++) {
		int number = cv_reg_find(s->opt->arch, names[i]);

		cv_reg_get(&regs[number], &st, 0, b);
		cv_put_text(&s->reply, "%02x:", (unsigned)number);
		cv_put_hex(&s->reply, b, regs[number].bits / 8u);
		cv_put_u8(&s->reply, ';');
	}
}

static void put_reason(struct cv_gdb_session *s)
{
	static const char *const words[] = {
		[CV_POINT_SW] = "swbreak",  [CV_POINT_HW] = "hwbreak",	    [CV_POINT_WRITE] = "watch",
		[CV_POINT_READ] = "rwatch", [CV_POINT_ACCESS] = "awatch",
	};
	const struct cv_gdb_point *p;

	switch (s->stop.why) {
	case CV_TL_BREAK:
		p = cv_gdb_point_by_id(s, s->stop.point);
		cv_put_text(&s->reply, "%s:;", words[p && p->kind == CV_POINT_HW ? CV_POINT_HW : CV_POINT_SW]);
		break;
	case CV_TL_WATCH:
		p = cv_gdb_point_by_id(s, s->stop.point);
		cv_put_text(&s->reply, "%s:%" PRIx64 ";", words[p ? p->kind : CV_POINT_WRITE], s->stop.addr);
		break;
	case CV_TL_BEGIN:
		cv_put_text(&s->reply, "replaylog:begin;");
		break;
	case CV_TL_END:
		cv_put_text(&s->reply, "replaylog:end;");
		break;
	default:
		break;
	}
}

static unsigned signal_of(struct cv_gdb_session *s)
{
	switch (s->stop.why) {
	case CV_TL_INTERRUPTED:
		return SIG_INT;
	case CV_TL_CRASH:
		return cv_timeline_end(s->t)->crash_kind == CV_END_TRIPLE_FAULT ? SIG_SEGV : SIG_ABRT;
	case CV_TL_DIVERGED:
		return SIG_ABRT;
	default:
		return SIG_TRAP;
	}
}

void cv_gdb_stop_reply(struct cv_gdb_session *s)
{
	cv_put_text(&s->reply, "T%02xthread:1;", signal_of(s));
	put_expedited(s);
	put_reason(s);
}

/* A line on GDB's terminal for stops that a stop reply has no word for. */
static void announce(struct cv_gdb_session *s)
{
	const struct cv_end_info *end = cv_timeline_end(s->t);
	const struct cv_divergence *d;
	char line[600];
	int n = 0;

	switch (s->stop.why) {
	case CV_TL_CRASH:
		n = snprintf(line, sizeof(line), "The guest crashed here: %s, position %" PRIu64 ".\n",
			     cv_end_name(end->crash_kind), s->stop.pos.insns);
		break;
	case CV_TL_END:
		if (end->kind != CV_END_NONE)
			n = snprintf(line, sizeof(line), "The run ended here: %s, position %" PRIu64 ".\n",
				     cv_end_name(end->kind), s->stop.pos.insns);
		break;
	case CV_TL_DIVERGED:
		d = cv_timeline_divergence(s->t);
		n = snprintf(line, sizeof(line), "The replay left the recorded run at position %" PRIu64 ": %s\n",
			     s->stop.pos.insns, d ? d->text : "");
		break;
	default:
		break;
	}
	if (n > 0)
		cv_gdb_say(s, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

static int move(struct cv_gdb_session *s, const struct cv_request *req, struct cv_tl_stop *stop, struct cv_error *err)
{
	enum cv_direction dir = req->backward ? CV_BACKWARD : CV_FORWARD;

	switch (req->resume) {
	case CV_RESUME_STEP:
		return cv_timeline_step(s->t, dir, stop, err);
	case CV_RESUME_RANGE:
		/* An empty range is one step. */
		if (req->addr >= req->len)
			return cv_timeline_step(s->t, dir, stop, err);
		return cv_timeline_step_range(s->t, dir, req->addr, req->len, stop, err);
	case CV_RESUME_STOP:
		*stop = s->stop;
		return 0;
	default:
		return cv_timeline_run(s->t, dir, stop, err);
	}
}

static int jump(struct cv_gdb_session *s, uint64_t addr, struct cv_error *err)
{
	struct cv_vcpu_state st;

	cv_timeline_state(s->t, &st);
	if (st.rip == addr)
		return 0;
	st.rip = addr;
	return cv_timeline_set_state(s->t, &st, err);
}

void cv_gdb_do_resume(struct cv_gdb_session *s, const struct cv_request *req)
{
	struct cv_error err = { 0 };
	struct cv_tl_stop stop = { 0 };

	if (s->killed) {
		cv_gdb_error_text(s, "the guest was killed: use run to start again");
		return;
	}
	if ((req->jump && jump(s, req->addr, &err) < 0) || move(s, req, &stop, &err) < 0) {
		cv_gdb_error_text(s, err.msg);
		return;
	}
	s->stop = stop;
	s->heeded = stop.why == CV_TL_INTERRUPTED;
	announce(s);
	cv_gdb_stop_reply(s);
}

/* R, vRun: the run starts again at its first instruction. A diversion is over. */
void cv_gdb_do_restart(struct cv_gdb_session *s)
{
	struct cv_error err = { 0 };
	struct cv_tl_stop stop = { 0 };

	if ((cv_timeline_is_diverted(s->t) && cv_timeline_end_diversion(s->t, &err) < 0) ||
	    cv_timeline_seek(s->t, 0, &stop, &err) < 0) {
		cv_gdb_error_text(s, err.msg);
		return;
	}
	s->killed = false;
	s->stop = stop;
	s->stop.why = CV_TL_POSITION;
	cv_gdb_stop_reply(s);
}
