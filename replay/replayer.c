/* SPDX-License-Identifier: MIT */
/*
 * The replayer: an environment that answers from a recording and checks every event's kind and place.
 *
 * Events come in the order in which they were written, one of lookahead. A synchronous question must find its answer
 * as the next event, at the same position, RIP and branch count; an asynchronous input is given when the machine
 * stands exactly at its place; an interrupt is compared. Whatever differs is latched as a divergence and stops the
 * machine through `failed`.
 *
 * Where it ends: a complete recording has an END event. One whose recorder was killed is known to be complete up to
 * the last event's instruction count, and the machine is stopped there. One still being written is complete up to
 * where the live machine stands (cv_replayer_follow).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "replay/internal.h"

/* In a diversion: how often the deadline is looked at, in instructions. */
#define DIVERTED_SLICE 10000u

struct cv_replayer {
	struct cv_env env;
	struct cv_log *log; /* borrowed */
	struct cv_stored_config stored;
	struct cv_log_cursor *cur;

	struct cv_event next; /* the event after the last one used, if have_next */
	bool have_next;
	struct cv_event async; /* the next asynchronous one, if async_known and have_async */
	bool async_known, have_async;

	bool complete;	      /* an END event was found: end_event */
	struct cv_event end_event;
	struct cv_end_info end;
	bool following;	      /* a live machine writes on: complete up to end_insns */
	uint64_t end_insns;
	uint64_t seen;	      /* events when last looked at */

	struct cv_log_checkpoint *checks; /* owned; the index is the id */
	size_t nchecks, check;

	struct cv_divergence divergence;
	bool at_end;
	struct cv_error err; /* trouble with the log */

	bool diverted;
	struct cv_pos div_pos; /* where the diversion began */
	uint64_t div_time;     /* guest ns there */
	uint64_t div_skipped;

	void (*output)(void *ctx, const uint8_t *p, size_t n);
	void *output_ctx;
};

static struct cv_replayer *self(struct cv_env *env)
{
	return (struct cv_replayer *)env;
}

/* --- The log as a stream with one event of lookahead --- */

static void log_failed(struct cv_replayer *r)
{
	r->env.failed = true;
}

/* Is there a next event? */
static bool peek(struct cv_replayer *r)
{
	const struct cv_event *ev;
	int rc;

	if (r->have_next)
		return true;
	if (r->err.code)
		return false;
	rc = cv_log_cursor_next(r->cur, &ev, &r->err);
	if (rc == CV_E_END) {
		cv_error_clear(&r->err);
		return false;
	}
	if (rc) {
		log_failed(r);
		return false;
	}
	r->next = *ev;
	r->have_next = true;
	return true;
}

static void consume(struct cv_replayer *r)
{
	if (cv_event_is_async(r->next.kind))
		r->async_known = false;
	r->have_next = false;
}

/* The next asynchronous event, or NULL. */
static const struct cv_event *peek_async(struct cv_replayer *r)
{
	const struct cv_event *ev;
	int rc;

	if (r->async_known)
		return r->have_async ? &r->async : NULL;
	if (!peek(r)) {
		if (!r->err.code) {
			r->async_known = true;
			r->have_async = false;
		}
		return NULL;
	}
	r->have_async = false;
	if (cv_event_is_async(r->next.kind)) {
		r->async = r->next;
		r->have_async = true;
	} else {
		rc = cv_log_cursor_peek_async(r->cur, &ev, &r->err);
		if (rc == CV_E_END) {
			cv_error_clear(&r->err);
		} else if (rc) {
			log_failed(r);
			return NULL;
		} else {
			r->async = *ev;
			r->have_async = true;
		}
	}
	r->async_known = true;
	return r->have_async ? &r->async : NULL;
}

static void diverge(struct cv_replayer *r, const struct cv_pos *pos, const struct cv_event *expected,
		    const struct cv_event *came, const char *what)
{
	cv_divergence_note(&r->divergence, pos, expected, came, what);
	r->env.failed = true;
}

static void reach_end(struct cv_replayer *r)
{
	r->at_end = true;
	r->env.failed = true;
}

/* --- Diversions: time is a function of instructions, nothing comes from outside --- */

static uint64_t diverted_now(const struct cv_replayer *r, const struct cv_pos *pos)
{
	return r->div_time + r->div_skipped + (pos->insns - r->div_pos.insns);
}

static bool diverted_time(struct cv_replayer *r, const struct cv_pos *pos, uint64_t now, struct cv_event *ev)
{
	memset(ev, 0, sizeof(*ev));
	ev->kind = CV_EV_TIME;
	ev->pos = *pos;
	ev->value = now;
	(void)r;
	return true;
}

static bool diverted_poll(struct cv_replayer *r, const struct cv_pos *pos, uint64_t deadline, struct cv_event *ev)
{
	uint64_t now = diverted_now(r, pos);

	return !r->env.virtual_clock && deadline <= now && diverted_time(r, pos, now, ev);
}

static bool diverted_wait(struct cv_replayer *r, const struct cv_pos *pos, uint64_t deadline, struct cv_event *ev)
{
	uint64_t now = diverted_now(r, pos);

	if (deadline == UINT64_MAX) {
		r->env.exhausted = true;
		return false;
	}
	if (r->env.virtual_clock)
		return false;
	if (deadline > now) {
		r->div_skipped += deadline - now;
		now = deadline;
	}
	return diverted_time(r, pos, now, ev);
}

/* A hash of the place: the same diversion sees the same bytes. */
static void diverted_entropy(const struct cv_pos *pos, uint8_t *p, size_t n)
{
	uint64_t z = pos->insns;

	for (size_t i = 0; i < n; i++) {
		z = (z ^ (z >> 30) ^ i) * 0xbf58476d1ce4e5b9ull + 0x9e3779b97f4a7c15ull;
		p[i] = (uint8_t)(z >> 56);
	}
}

/* --- Synchronous answers and checks --- */

/* The next event if it is what came, used up; else NULL, with the divergence latched. */
static const struct cv_event *answer(struct cv_replayer *r, const struct cv_event *came)
{
	if (r->env.failed)
		return NULL;
	if (!peek(r)) {
		if (r->err.code)
			return NULL;
		if (r->complete || r->following)
			diverge(r, &came->pos, NULL, came, "the guest asks for more than was recorded");
		else
			reach_end(r);
		return NULL;
	}
	if (r->next.kind != came->kind || !cv_pos_same(&r->next.pos, &came->pos)) {
		diverge(r, &came->pos, &r->next, came,
			r->next.kind != came->kind ? "another event than the recorded one"
						   : "an event at another place than the recorded one");
		return NULL;
	}
	if (came->kind == CV_EV_INTERRUPT && came->value != r->next.value) {
		diverge(r, &came->pos, &r->next, came, "another interrupt than the recorded one");
		return NULL;
	}
	consume(r);
	return &r->next;
}

static uint64_t rep_clock(struct cv_env *env, const struct cv_pos *pos, enum cv_event_kind why)
{
	struct cv_replayer *r = self(env);
	const struct cv_event came = {.kind = why, .pos = *pos};
	const struct cv_event *ev;

	if (r->diverted)
		return diverted_now(r, pos);
	ev = answer(r, &came);
	return ev ? ev->value : 0;
}

static void rep_entropy(struct cv_env *env, const struct cv_pos *pos, uint8_t *p, size_t n)
{
	struct cv_replayer *r = self(env);
	struct cv_event came = {.kind = CV_EV_ENTROPY, .pos = *pos};
	const struct cv_event *ev;

	memset(p, 0, n);
	if (r->diverted) {
		diverted_entropy(pos, p, n);
		return;
	}
	while (n) {
		ev = answer(r, &came);
		if (!ev)
			return;
		if (!ev->len || ev->len > n) {
			came.len = (uint32_t)n;
			diverge(r, pos, ev, &came, "another number of random bytes than recorded");
			return;
		}
		memcpy(p, ev->data, ev->len);
		p += ev->len;
		n -= ev->len;
	}
}

static void rep_interrupt(struct cv_env *env, const struct cv_pos *pos, unsigned vector)
{
	struct cv_replayer *r = self(env);
	const struct cv_event came = {.kind = CV_EV_INTERRUPT, .pos = *pos, .value = vector};

	if (!r->diverted)
		answer(r, &came);
}

static void rep_console_out(struct cv_env *env, const struct cv_pos *pos, const uint8_t *p, size_t n)
{
	struct cv_replayer *r = self(env);

	(void)pos;
	if (r->output && !r->env.failed)
		r->output(r->output_ctx, p, n);
}

/* --- Asynchronous inputs --- */

static uint64_t rep_horizon(struct cv_env *env, const struct cv_pos *pos)
{
	struct cv_replayer *r = self(env);
	uint64_t to = UINT64_MAX;
	const struct cv_event *ev;

	if (r->diverted)
		return DIVERTED_SLICE;
	if (r->env.failed)
		return 1;
	ev = peek_async(r);
	if (ev)
		to = ev->pos.insns;
	if (!r->following && r->end_insns < to)
		to = r->end_insns;
	if (to <= pos->insns)
		return 1;
	return to == UINT64_MAX ? to : to - pos->insns;
}

/* Did the guest pass what the recording says must have happened? */
static bool passed_something(struct cv_replayer *r, const struct cv_pos *pos)
{
	if (peek(r) && cv_pos_cmp(&r->next.pos, pos) < 0) {
		diverge(r, pos, &r->next, NULL, "the guest went past a recorded event");
		return true;
	}
	return false;
}

/* The event due at pos, as poll and wait give it. */
static bool due(struct cv_replayer *r, const struct cv_pos *pos, struct cv_event *ev)
{
	if (r->env.failed)
		return false;
	if (!r->complete && !r->following && pos->insns >= r->end_insns) {
		reach_end(r);
		return false;
	}
	if (passed_something(r, pos) || !peek(r))
		return false;
	if (!cv_event_is_async(r->next.kind) || cv_pos_cmp(&r->next.pos, pos))
		return false;
	if (!cv_pos_same(&r->next.pos, pos)) {
		const struct cv_event came = {.kind = r->next.kind, .pos = *pos};

		diverge(r, pos, &r->next, &came, "the guest is at another place at this instruction count");
		return false;
	}
	*ev = r->next;
	consume(r);
	return true;
}

static bool rep_poll(struct cv_env *env, const struct cv_pos *pos, uint64_t deadline, size_t room,
		     struct cv_event *ev)
{
	struct cv_replayer *r = self(env);

	(void)room; /* it was there when the byte was recorded */
	if (r->diverted)
		return diverted_poll(r, pos, deadline, ev);
	return due(r, pos, ev);
}

static bool rep_wait(struct cv_env *env, const struct cv_pos *pos, uint64_t deadline, size_t room,
		     struct cv_event *ev)
{
	struct cv_replayer *r = self(env);

	(void)room;
	if (r->diverted)
		return diverted_wait(r, pos, deadline, ev);
	if (due(r, pos, ev))
		return true;
	if (r->env.failed)
		return false;
	if (!peek(r)) {
		if (!r->following && !r->err.code)
			diverge(r, pos, NULL, NULL, "the guest halted after the recorded end");
		return false;
	}
	if (r->next.kind == CV_EV_END && !cv_pos_cmp(&r->next.pos, pos)) {
		r->env.exhausted = true; /* as it was for the recorder: nothing more would come */
		return false;
	}
	diverge(r, pos, &r->next, NULL, "the guest halted where the recording went on");
	return false;
}

static const struct cv_env_ops rep_ops = {
	.clock = rep_clock,
	.entropy = rep_entropy,
	.horizon = rep_horizon,
	.poll = rep_poll,
	.wait = rep_wait,
	.interrupt = rep_interrupt,
	.console_out = rep_console_out,
};

/* --- How far the log goes --- */

static int load_checks(struct cv_replayer *r, struct cv_error *err)
{
	for (;;) {
		struct cv_log_checkpoint cp, *grown;
		struct cv_error own = {0};
		int rc = cv_log_get_checkpoint(r->log, r->nchecks, &cp, &own);

		if (rc == CV_E_NOTFOUND)
			return 0;
		if (rc)
			return cv_error_set(err, rc, "%s", own.msg);
		grown = realloc(r->checks, (r->nchecks + 1) * sizeof(*grown));
		if (!grown)
			return cv_error_set(err, CV_E_NOMEM, "out of memory for the list of checkpoints");
		r->checks = grown;
		r->checks[r->nchecks++] = cp;
	}
}

static void note_end_event(struct cv_replayer *r, const struct cv_event *ev)
{
	r->complete = true;
	r->end_event = *ev;
	r->end.kind = (enum cv_end)ev->value;
	r->end.code = 0;
	for (unsigned i = 0; i < 8 && i < ev->len; i++)
		r->end.code |= (uint64_t)ev->data[i] << (8 * i);
	r->end.pos = ev->pos;
}

/* Looks at the last event committed. */
static int look_at_end(struct cv_replayer *r, struct cv_error *err)
{
	struct cv_log_cursor *cur = NULL;
	const struct cv_event *ev;
	uint64_t n = cv_log_event_count(r->log);
	int rc;

	r->seen = n;
	if (!n)
		return 0;
	rc = cv_log_cursor_new(&cur, r->log, err);
	if (rc)
		return rc;
	rc = cv_log_cursor_seek(cur, n - 1, err);
	if (!rc)
		rc = cv_log_cursor_next(cur, &ev, err);
	if (!rc) {
		r->end_insns = ev->pos.insns;
		if (ev->kind == CV_EV_END)
			note_end_event(r, ev);
	}
	cv_log_cursor_free(cur);
	return rc;
}

static int note_mark(void *ctx, const struct cv_pos *pos, const char *name, const char *text)
{
	struct cv_replayer *r = ctx;

	if (strcmp(name, MARK_CRASH))
		return 0;
	for (int k = CV_END_POWEROFF; k <= CV_END_DEAD; k++)
		if (text && !strcmp(text, cv_end_name((enum cv_end)k))) {
			r->end.crashed = true;
			r->end.crash_kind = (enum cv_end)k;
			r->end.crash_pos = *pos;
		}
	return 0;
}

static int look_at_log(struct cv_replayer *r, struct cv_error *err)
{
	int rc = load_checks(r, err);

	if (!rc)
		rc = look_at_end(r, err);
	return rc ? rc : cv_log_marks(r->log, note_mark, r, err);
}

int cv_replayer_follow(struct cv_replayer *r, const struct cv_pos *live, struct cv_error *err)
{
	int rc = look_at_log(r, err);

	if (rc)
		return rc;
	r->following = !r->complete;
	r->async_known = false;
	if (r->following)
		r->end_insns = live->insns;
	return 0;
}

/* --- Life --- */

int cv_replayer_new(struct cv_replayer **out, struct cv_log *log, struct cv_error *err)
{
	struct cv_replayer *r = calloc(1, sizeof(*r));
	int rc;

	*out = NULL;
	if (!r)
		return cv_error_set(err, CV_E_NOMEM, "out of memory for the replayer");
	r->env.ops = &rep_ops;
	r->log = log;
	rc = cv_config_read(&r->stored, log, err);
	if (rc)
		goto fail;
	r->env.virtual_clock = r->stored.config.clock == CV_CLOCK_VIRTUAL;
	rc = cv_log_cursor_new(&r->cur, log, err);
	if (rc)
		goto fail;
	rc = look_at_log(r, err);
	if (rc)
		goto fail;
	*out = r;
	return 0;
fail:
	cv_replayer_free(r);
	return rc;
}

void cv_replayer_free(struct cv_replayer *r)
{
	if (!r)
		return;
	if (r->cur)
		cv_log_cursor_free(r->cur);
	cv_config_release(&r->stored);
	free(r->checks);
	free(r);
}

const struct cv_machine_config *cv_replayer_config(const struct cv_replayer *r)
{
	return &r->stored.config;
}

struct cv_log *cv_replayer_log(const struct cv_replayer *r)
{
	return r->log;
}

struct cv_env *cv_replayer_env(struct cv_replayer *r)
{
	return &r->env;
}

void cv_replayer_set_output(struct cv_replayer *r, void (*fn)(void *ctx, const uint8_t *p, size_t n), void *ctx)
{
	r->output = fn;
	r->output_ctx = ctx;
}

uint64_t cv_replayer_tell(const struct cv_replayer *r)
{
	return cv_log_cursor_tell(r->cur) - (r->have_next ? 1 : 0);
}

int cv_replayer_seek(struct cv_replayer *r, uint64_t event_seq, struct cv_error *err)
{
	int rc = cv_log_cursor_seek(r->cur, event_seq, err);

	r->have_next = false;
	r->async_known = false;
	r->at_end = false;
	r->divergence.happened = false;
	r->diverted = false;
	cv_error_clear(&r->err);
	r->env.failed = rc != 0;
	r->env.exhausted = false;
	for (r->check = 0; r->check < r->nchecks && r->checks[r->check].event_seq < event_seq; r->check++)
		;
	return rc;
}

/* --- Digests --- */

uint64_t cv_replayer_tell_check(const struct cv_replayer *r)
{
	return r->check;
}

void cv_replayer_seek_check(struct cv_replayer *r, uint64_t check)
{
	r->check = (size_t)check;
}

uint64_t cv_replayer_next_check(struct cv_replayer *r, const struct cv_pos *pos)
{
	while (r->check < r->nchecks && cv_pos_cmp(&r->checks[r->check].pos, pos) < 0)
		r->check++;
	if (r->diverted || r->check == r->nchecks)
		return UINT64_MAX;
	return r->checks[r->check].pos.insns;
}

bool cv_replayer_find_state(const struct cv_replayer *r, const struct cv_pos *pos, bool strictly,
			    struct cv_log_checkpoint *cp)
{
	for (size_t i = r->nchecks; i-- > 0;) {
		if (!r->checks[i].has_state || cv_pos_cmp(&r->checks[i].pos, pos) > (strictly ? -1 : 0))
			continue;
		*cp = r->checks[i];
		return true;
	}
	return false;
}

static int diverged(struct cv_replayer *r, struct cv_error *err)
{
	return cv_error_set(err, CV_E_DIVERGED, "%s", r->divergence.text);
}

int cv_replayer_check(struct cv_replayer *r, struct cv_machine *m, struct cv_error *err)
{
	const struct cv_log_checkpoint *c;
	struct cv_digest d;
	struct cv_pos pos;
	char want[33], got[33], what[200];
	int rc;

	cv_machine_position(m, &pos);
	if (cv_replayer_next_check(r, &pos) != pos.insns)
		return 0;
	rc = cv_machine_digest_dirty(m, &d, err);
	if (rc)
		return rc;
	c = &r->checks[r->check++];
	cv_memory_clear_dirty(&m->mem);
	m->engine->ops->flush_tlb(m->engine);
	if (!memcmp(c->digest, d.b, sizeof(d.b)) && cv_pos_same(&c->pos, &pos))
		return 0;
	cv_digest_text(c->digest, want);
	cv_digest_text(d.b, got);
	snprintf(what, sizeof(what),
		 "CPU, devices or memory differ at insns %" PRIu64 "\nrecorded digest: %s; replayed: %s", pos.insns,
		 want, got);
	diverge(r, &pos, NULL, NULL, what);
	return diverged(r, err);
}

static int check_final_digest(struct cv_replayer *r, struct cv_machine *m, const struct cv_pos *pos,
			      struct cv_error *err)
{
	char *want = NULL, got[33], what[200];
	struct cv_digest d;
	int rc = cv_log_get_meta(r->log, META_FINAL_DIGEST, &want, err);

	if (rc || !want)
		return rc;
	rc = cv_machine_digest(m, &d, err);
	if (rc)
		goto out;
	cv_digest_text(d.b, got);
	if (strcmp(want, got)) {
		snprintf(what, sizeof(what),
			 "CPU, devices or memory differ at the end\nrecorded digest: %.32s; replayed: %s", want, got);
		diverge(r, pos, NULL, NULL, what);
		rc = diverged(r, err);
	}
out:
	free(want);
	return rc;
}

int cv_replayer_check_end(struct cv_replayer *r, struct cv_machine *m, struct cv_error *err)
{
	struct cv_event came = {.kind = CV_EV_END, .value = (uint64_t)m->end.kind};
	struct cv_pos pos;

	cv_machine_position(m, &pos);
	if (r->divergence.happened)
		return diverged(r, err);
	if (r->diverted || (!r->complete && (r->at_end || r->following)))
		return 0;
	came.pos = pos;
	if (!peek(r)) {
		if (r->err.code)
			return cv_error_set(err, r->err.code, "%s", r->err.msg);
		diverge(r, &pos, NULL, &came, "the guest ended where the recording breaks off");
		return diverged(r, err);
	}
	if (r->next.kind != CV_EV_END || r->next.value != came.value || !cv_pos_same(&r->next.pos, &pos) ||
	    (r->complete && r->end.code != m->end.code)) {
		diverge(r, &pos, &r->next, &came, "the guest ended in another way than it was recorded");
		return diverged(r, err);
	}
	return check_final_digest(r, m, &pos, err);
}

uint64_t cv_replayer_end_insns(const struct cv_replayer *r)
{
	return r->end_insns;
}

bool cv_replayer_at_end(const struct cv_replayer *r)
{
	return r->at_end;
}

bool cv_replayer_complete(const struct cv_replayer *r)
{
	return r->complete;
}

const struct cv_end_info *cv_replayer_end(const struct cv_replayer *r)
{
	return &r->end;
}

int cv_replayer_error(const struct cv_replayer *r, struct cv_error *err)
{
	return r->err.code ? cv_error_set(err, r->err.code, "%s", r->err.msg) : 0;
}

const struct cv_divergence *cv_replayer_divergence(const struct cv_replayer *r)
{
	return &r->divergence;
}

void cv_replayer_set_time(struct cv_replayer *r, const struct cv_pos *pos, uint64_t now)
{
	r->div_pos = *pos;
	r->div_time = now;
	r->div_skipped = 0;
}

void cv_replayer_divert(struct cv_replayer *r, bool on)
{
	r->diverted = on;
}
