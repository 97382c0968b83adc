/* SPDX-License-Identifier: MIT */
/*
 * A cursor holds two decoded chunks: the one in which it stands, and the one in which the next asynchronous event was
 * found. When it gets there the two change places. The index of chunks says where to look. What is decoded of a chunk
 * that has grown since is decoded again.
 */
#include "logdb/log.h"

#include <stdlib.h>
#include <string.h>

#define NO_CHUNK UINT64_MAX

struct slot {
	uint64_t no;	     /* of the chunk; NO_CHUNK: empty */
	uint32_t count;	     /* of its events */
	struct cv_event *ev; /* owned, room for CV_CHUNK_EVENTS */
};

struct cv_log_cursor {
	struct cv_log *log; /* borrowed */
	uint64_t seq;	    /* of the next event */
	uint64_t chunk;	    /* in which it is, if that is in the index */
	struct slot slot[2]; /* [0]: where the cursor stands */
	bool async_known;   /* no asynchronous event lies in [async_from, async_seq), one is at async_seq */
	uint64_t async_from, async_seq, async_chunk;
};

int cv_log_cursor_new(struct cv_log_cursor **out, struct cv_log *log, struct cv_error *err)
{
	struct cv_log_cursor *c = calloc(1, sizeof(*c));

	*out = c;
	if (!c)
		return log_nomem(log, err);
	c->log = log;
	c->slot[0].no = c->slot[1].no = NO_CHUNK;
	return 0;
}

void cv_log_cursor_free(struct cv_log_cursor *c)
{
	if (!c)
		return;
	free(c->slot[0].ev);
	free(c->slot[1].ev);
	free(c);
}

uint64_t cv_log_cursor_tell(const struct cv_log_cursor *c)
{
	return c->seq;
}

/* The first chunk whose end (by events, or by instructions) reaches beyond v; nchunks if none does. */
static uint64_t find_chunk(const struct cv_log *log, uint64_t v, bool by_insns)
{
	uint64_t lo = 0, hi = log->nchunks;

	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;
		const struct chunk_place *p = &log->chunk[mid];

		if (by_insns ? p->last_insns < v : p->seq + p->count <= v)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Whether the slot holds all that the index knows of the chunk. */
static bool holds(const struct cv_log_cursor *c, const struct slot *s, uint64_t no)
{
	return s->no == no && s->count == c->log->chunk[no].count;
}

static int load(struct cv_log_cursor *c, struct slot *s, uint64_t no, struct cv_error *err)
{
	int rc;

	if (holds(c, s, no))
		return 0;
	s->no = NO_CHUNK;
	if (!s->ev)
		s->ev = malloc(CV_CHUNK_EVENTS * sizeof(*s->ev));
	if (!s->ev)
		return log_nomem(c->log, err);
	rc = log_load_chunk(c->log, no, s->ev, err);
	if (rc)
		return rc;
	s->no = no;
	s->count = c->log->chunk[no].count;
	return 0;
}

/* Makes slot[0] hold chunk no. */
static int load_here(struct cv_log_cursor *c, uint64_t no, struct cv_error *err)
{
	if (!holds(c, &c->slot[0], no) && holds(c, &c->slot[1], no)) {
		struct slot s = c->slot[0];

		c->slot[0] = c->slot[1];
		c->slot[1] = s;
		return 0;
	}
	return load(c, &c->slot[0], no, err);
}

/* Finds the chunk of c->seq, loading what a growing log has got meanwhile. 0, CV_E_END or an error. */
static int settle(struct cv_log_cursor *c, struct cv_error *err)
{
	struct cv_log *log = c->log;
	int rc;

	if (c->seq >= log_events(log)) {
		rc = log_refresh(log, err);
		if (rc)
			return rc;
		if (c->seq >= log_events(log))
			return CV_E_END;
	}
	if (c->chunk < log->nchunks && c->seq >= log->chunk[c->chunk].seq) {
		if (c->seq < log->chunk[c->chunk].seq + log->chunk[c->chunk].count)
			return 0;
		c->chunk++; /* mostly the next one */
		if (c->chunk < log->nchunks && c->seq < log->chunk[c->chunk].seq + log->chunk[c->chunk].count)
			return 0;
	}
	c->chunk = find_chunk(log, c->seq, false);
	return 0;
}

int cv_log_cursor_next(struct cv_log_cursor *c, const struct cv_event **ev, struct cv_error *err)
{
	int rc = settle(c, err);

	if (!rc)
		rc = load_here(c, c->chunk, err);
	if (rc)
		return rc;
	*ev = &c->slot[0].ev[c->seq++ - c->log->chunk[c->chunk].seq];
	return 0;
}

/* The first asynchronous event of the chunk in which the cursor stands, at or after it. */
static int async_here(struct cv_log_cursor *c, bool *found, struct cv_error *err)
{
	const struct chunk_place *p = &c->log->chunk[c->chunk]; /* its count may grow in load_here */
	uint64_t i = c->seq - p->seq;
	int rc;

	*found = false;
	if (p->async < 0)
		return 0;
	if (i <= (uint64_t)p->async) {
		i = (uint64_t)p->async;
	} else {
		rc = load_here(c, c->chunk, err);
		if (rc)
			return rc;
		while (i < p->count && !cv_event_is_async(c->slot[0].ev[i].kind))
			i++;
	}
	*found = i < p->count;
	c->async_seq = p->seq + i;
	c->async_chunk = c->chunk;
	return 0;
}

/* The first asynchronous event at or after the cursor, as far as the index goes. */
static int async_in_index(struct cv_log_cursor *c, bool *found, struct cv_error *err)
{
	struct cv_log *log = c->log;
	int rc = settle(c, err);

	*found = false;
	if (!rc)
		rc = async_here(c, found, err);
	if (rc)
		return rc;
	for (uint64_t no = c->chunk + 1; !*found && no < log->nchunks; no++) {
		*found = log->chunk[no].async >= 0;
		c->async_chunk = no;
		c->async_seq = log->chunk[no].seq + (uint64_t)(*found ? log->chunk[no].async : 0);
	}
	return 0;
}

/* Sets async_*; 0, CV_E_END or an error. */
static int find_async(struct cv_log_cursor *c, struct cv_error *err)
{
	bool found;
	int rc;

	do {
		uint64_t known;

		rc = async_in_index(c, &found, err);
		known = log_events(c->log);
		if (!rc && !found)
			rc = log_refresh(c->log, err);
		if (!rc && !found && log_events(c->log) == known)
			rc = CV_E_END;
	} while (!rc && !found);
	if (rc)
		return rc;
	c->async_known = true;
	c->async_from = c->seq;
	return 0;
}

int cv_log_cursor_peek_async(struct cv_log_cursor *c, const struct cv_event **ev, struct cv_error *err)
{
	struct slot *s;
	int rc = 0;

	if (!c->async_known || c->seq < c->async_from || c->seq > c->async_seq) {
		c->async_known = false;
		rc = find_async(c, err);
	}
	if (rc)
		return rc;
	s = &c->slot[c->slot[0].no != c->async_chunk];
	rc = load(c, s, c->async_chunk, err);
	if (!rc)
		*ev = &s->ev[c->async_seq - c->log->chunk[c->async_chunk].seq];
	return rc;
}

int cv_log_cursor_seek(struct cv_log_cursor *c, uint64_t seq, struct cv_error *err)
{
	int rc = seq > log_events(c->log) ? log_refresh(c->log, err) : 0;

	if (rc)
		return rc;
	if (seq > log_events(c->log))
		return cv_error_set(err, CV_E_NOTFOUND, "%s: has %llu events, not %llu", c->log->path,
				    (unsigned long long)log_events(c->log), (unsigned long long)seq);
	c->seq = seq;
	return 0;
}

int cv_log_cursor_seek_insns(struct cv_log_cursor *c, uint64_t insns, struct cv_error *err)
{
	struct cv_log *log = c->log;
	uint64_t no = find_chunk(log, insns, true), lo = 0, hi;
	int rc = 0;

	if (no == log->nchunks) {
		rc = log_refresh(log, err);
		no = find_chunk(log, insns, true);
	}
	if (!rc && no == log->nchunks) {
		c->seq = log_events(log);
		return 0;
	}
	if (!rc)
		rc = load_here(c, no, err);
	if (rc)
		return rc;
	for (hi = log->chunk[no].count; lo < hi;) {
		uint64_t mid = lo + (hi - lo) / 2;

		if (c->slot[0].ev[mid].pos.insns < insns)
			lo = mid + 1;
		else
			hi = mid;
	}
	c->seq = log->chunk[no].seq + lo;
	c->chunk = no;
	return 0;
}
