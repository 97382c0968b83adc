/* SPDX-License-Identifier: MIT */
/* Queries: what the stub can do, its one thread, the target description. */
#include "gdbstub/session.h"
#include "gdbstub/tdesc.h"

#include <string.h>

static void supported(struct cv_gdb_session *s)
{
	cv_put_text(&s->reply,
		    "PacketSize=%x;qXfer:features:read+;QStartNoAckMode+;swbreak+;hwbreak+;vContSupported+;"
		    "ConditionalBreakpoints+;binary-upload+",
		    CV_PACKET_MAX);
	if (cv_timeline_log(s->t)) /* without a recording there is no way back */
		cv_put_text(&s->reply, ";ReverseStep+;ReverseContinue+");
}

static void features(struct cv_gdb_session *s, const struct cv_request *req)
{
	struct cv_wbuf xml = { 0 };
	size_t n, most = CV_PACKET_MAX / 2 - 1; /* every byte may need an escape */

	if (strcmp(req->text, "target.xml")) {
		cv_gdb_error(s, 0);
		return;
	}
	cv_tdesc_write(s->opt->arch, s->opt->avx, &xml);
	if (xml.err) {
		cv_gdb_error(s, 12);
	} else if (req->addr >= xml.len) {
		cv_put_u8(&s->reply, 'l');
	} else {
		n = xml.len - (size_t)req->addr;
		if (n > req->len)
			n = (size_t)req->len;
		if (n > most)
			n = most;
		cv_put_u8(&s->reply, req->addr + n == xml.len ? 'l' : 'm');
		cv_packet_escape(&s->reply, xml.data + req->addr, n);
	}
	cv_wbuf_release(&xml);
}

static void thread_extra(struct cv_gdb_session *s)
{
	struct cv_vcpu_state st;
	char text[64];

	cv_timeline_state(s->t, &st);
	strcpy(text, st.halted ? "vCPU 0, halted" : "vCPU 0");
	if (cv_timeline_is_diverted(s->t))
		strcat(text, ", diverted");
	else if (cv_timeline_is_live(s->t))
		strcat(text, ", live");
	cv_put_hex(&s->reply, text, strlen(text));
}

void cv_gdb_do_query(struct cv_gdb_session *s, const struct cv_request *req)
{
	switch (req->kind) {
	case CV_REQ_SUPPORTED:
		supported(s);
		break;
	case CV_REQ_EXTENDED:
		s->extended = true;
		cv_gdb_ok(s);
		break;
	case CV_REQ_NO_ACK:
		s->no_ack = true;
		cv_gdb_ok(s);
		break;
	case CV_REQ_THREAD_OK:
		if (req->yes)
			cv_gdb_ok(s);
		else
			cv_gdb_error(s, 3);
		break;
	case CV_REQ_VCONT_QUERY:
		cv_put_text(&s->reply, "vCont;c;C;s;S;r;t");
		break;
	case CV_REQ_CURRENT_THREAD:
		cv_put_text(&s->reply, "QC1");
		break;
	case CV_REQ_FIRST_THREADS:
		cv_put_text(&s->reply, "m1");
		break;
	case CV_REQ_MORE_THREADS:
		cv_put_text(&s->reply, "l");
		break;
	case CV_REQ_THREAD_EXTRA:
		thread_extra(s);
		break;
	case CV_REQ_ATTACHED: /* 1: GDB detaches when it quits, and does not kill */
		cv_put_text(&s->reply, "1");
		break;
	case CV_REQ_FEATURES:
		features(s, req);
		break;
	default: /* CV_REQ_SYMBOL, CV_REQ_OK */
		cv_gdb_ok(s);
	}
}
