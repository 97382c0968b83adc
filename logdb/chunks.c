/* SPDX-License-Identifier: MIT */
/* The chunks of a log: appending, committing, the index in memory, loading one. */
#include "logdb/log.h"

#include <stdlib.h>

int log_codec(struct cv_log *log, struct cv_error *err)
{
	return log->codec || !cv_chunk_codec_new(&log->codec) ? 0 : log_nomem(log, err);
}

uint64_t log_events(const struct cv_log *log)
{
	const struct chunk_place *last = log->nchunks ? &log->chunk[log->nchunks - 1] : NULL;

	return last ? last->seq + last->count : 0;
}

static int index_room(struct cv_log *log, struct cv_error *err)
{
	size_t cap = log->chunk_cap ? 2 * log->chunk_cap : 64;
	struct chunk_place *grown;

	if (log->nchunks < log->chunk_cap)
		return 0;
	grown = realloc(log->chunk, cap * sizeof(*grown));
	if (!grown)
		return log_nomem(log, err);
	log->chunk = grown;
	log->chunk_cap = cap;
	return 0;
}

static struct chunk_place place_of(const struct cv_chunk_row *c)
{
	return (struct chunk_place){
		.seq = c->seq, .insns = c->insns, .last_insns = c->last_insns, .count = c->count, .async = c->async
	};
}

/* Whether a row is what the index says of it, or that with more events behind, as only an open chunk may be. */
static bool continues(const struct chunk_place *p, const struct cv_chunk_row *c, bool open)
{
	if (c->seq != p->seq || c->insns != p->insns)
		return false;
	if (c->count == p->count || !open)
		return c->count == p->count && c->last_insns == p->last_insns && c->async == p->async;
	return c->count > p->count && c->last_insns >= p->last_insns &&
	       (p->async < 0 ? c->async < 0 || (uint32_t)c->async >= p->count : c->async == p->async);
}

/* A row that is in the index already: what a recorder has added to it since comes in. */
static int index_grow(struct cv_log *log, uint64_t no, const struct cv_chunk_row *c)
{
	bool open = !log->sealed && no == log->nchunks - 1;

	if (c->no != no || !continues(&log->chunk[no], c, open))
		return CV_E_CORRUPT;
	log->chunk[no] = place_of(c);
	return 0;
}

/* A row behind the index: checks that it goes on there, and adds it. */
static int index_add(struct cv_log *log, const struct cv_chunk_row *c, struct cv_error *err)
{
	int rc;

	if (c->no != log->nchunks || c->seq != log_events(log) ||
	    (log->nchunks && c->insns < log->chunk[log->nchunks - 1].last_insns))
		return log_corrupt(log, err, "chunk %zu is missing or out of order", log->nchunks);
	rc = index_room(log, err);
	if (!rc)
		log->chunk[log->nchunks++] = place_of(c);
	return rc;
}

/* Rows of the index from `no` on, and those behind it. */
static int index_rows(struct cv_log *log, sqlite3_stmt *st, uint64_t no, struct cv_error *err)
{
	int rc = 0;

	for (; !rc && (rc = sqlite3_step(st)) == SQLITE_ROW; no++) {
		struct cv_chunk_row c;

		rc = cv_chunk_row_read(st, &c);
		if (!rc && no < log->nchunks)
			rc = index_grow(log, no, &c);
		if (rc)
			rc = log_row_error(log, rc, "chunk", no, err);
		else if (no == log->nchunks)
			rc = index_add(log, &c, err);
	}
	if (rc > 0 && rc != SQLITE_DONE)
		return log_sqlite_error(log, rc, "reading chunks", err);
	if (rc == SQLITE_DONE && no < log->nchunks)
		return log_corrupt(log, err, "chunk %llu is missing", (unsigned long long)no);
	return rc == SQLITE_DONE ? log_check_rows(log, TABLE_CHUNKS, log->nchunks, err) : rc;
}

int log_refresh(struct cv_log *log, struct cv_error *err)
{
	uint64_t from = log->nchunks ? log->nchunks - 1 : 0;
	sqlite3_stmt *st = NULL;
	int rc;

	if (log->writing || (log->sealed && log->nchunks == log->rows[TABLE_CHUNKS]))
		return 0;
	rc = log_stmt(log, ST_CHUNK_ROWS, &st, err);
	if (rc)
		return rc;
	sqlite3_bind_int64(st, 1, (sqlite3_int64)from);
	rc = index_rows(log, st, from, err);
	sqlite3_reset(st);
	return rc;
}

static int decode_row(struct cv_log *log, sqlite3_stmt *st, uint64_t no, struct cv_event *ev, struct cv_error *err)
{
	struct cv_chunk_row c;
	int rc = cv_chunk_row_read(st, &c);
	const void *data;
	size_t n;

	if (rc)
		return log_row_error(log, rc, "chunk", no, err);
	data = sqlite3_column_blob(st, CV_CHUNKS_FIELDS + 1);
	n = (size_t)sqlite3_column_bytes(st, CV_CHUNKS_FIELDS + 1);
	if (!data && sqlite3_errcode(log->db) == SQLITE_NOMEM)
		return log_nomem(log, err);
	if (!data || cv_sum(data, n) != c.data_sum)
		return log_row_error(log, CV_E_CORRUPT, "chunk", no, err);
	rc = cv_chunk_decode(log->codec, data, n, ev, c.count);
	if (!rc && !cv_chunk_row_matches(&c, ev))
		rc = CV_E_CORRUPT;
	if (!rc)
		rc = index_grow(log, no, &c);
	return rc ? log_row_error(log, rc, "chunk", no, err) : 0;
}

int log_load_chunk(struct cv_log *log, uint64_t no, struct cv_event *ev, struct cv_error *err)
{
	sqlite3_stmt *st = NULL;
	int rc = log_codec(log, err);

	if (!rc)
		rc = log_stmt(log, ST_CHUNK_DATA, &st, err);
	if (rc)
		return rc;
	sqlite3_bind_int64(st, 1, (sqlite3_int64)no);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		rc = decode_row(log, st, no, ev, err);
	else if (rc == SQLITE_DONE)
		rc = log_corrupt(log, err, "chunk %llu is missing", (unsigned long long)no);
	else if ((rc & 0xff) == SQLITE_CORRUPT)
		rc = log_corrupt(log, err, "chunk %llu: %s", (unsigned long long)no, sqlite3_errmsg(log->db));
	else
		rc = log_sqlite_error(log, rc, "reading a chunk", err);
	sqlite3_reset(st);
	return rc;
}

/* Into the transaction; the last row is replaced if it holds the beginning of this chunk. */
static int put_row(struct cv_log *log, const struct cv_row *r, const struct cv_wbuf *data, struct cv_error *err)
{
	enum cv_log_statement id = log->ncommitted ? ST_CHUNK_REPLACE : ST_CHUNK_PUT;
	sqlite3_stmt *st = NULL;
	int rc = log_begin(log, err);

	if (!rc)
		rc = log_stmt(log, id, &st, err);
	if (!rc && sqlite3_bind_blob64(st, CV_CHUNKS_FIELDS + 2, data->data, data->len, SQLITE_STATIC))
		rc = log_nomem(log, err);
	if (rc)
		return rc;
	return id == ST_CHUNK_PUT ? log_insert(log, id, TABLE_CHUNKS, r, err) : log_write(log, id, r, err);
}

/* Writes the open chunk into the transaction; *c is what belongs in the index once that is committed. */
static int put_chunk(struct cv_log *log, struct cv_chunk_row *c, struct cv_error *err)
{
	struct cv_wbuf data = { 0 }, kinds = { 0 };
	struct cv_row r;
	int rc = log_codec(log, err);

	if (!rc)
		rc = index_room(log, err);
	if (rc)
		return rc;
	cv_chunk_row_describe(c, log->pending, log->npending);
	c->no = log->nchunks - (log->ncommitted ? 1 : 0);
	c->seq = log_events(log) - log->ncommitted;
	if (cv_chunk_encode(log->codec, log->pending, log->npending, &data)) {
		rc = log_nomem(log, err);
		goto out;
	}
	c->data_sum = cv_sum(data.data, data.len);
	rc = cv_chunk_row_put(c, &r, &kinds) ? log_nomem(log, err) : put_row(log, &r, &data, err);
out:
	cv_wbuf_release(&data);
	cv_wbuf_release(&kinds);
	return rc;
}

/* The open chunk is in the file: the index says so. A large one is closed. */
static void note_committed(struct cv_log *log, const struct cv_chunk_row *c)
{
	if (!log->ncommitted)
		log->nchunks++; /* put_chunk made room */
	log->chunk[c->no] = place_of(c);
	log->ncommitted = log->npending;
	if (log->npending >= CV_CHUNK_CLOSES)
		log->npending = log->ncommitted = 0;
}

int cv_log_commit(struct cv_log *log, struct cv_error *err)
{
	struct cv_error e = { 0 };
	bool more = log->npending > log->ncommitted;
	struct cv_chunk_row c;
	int rc = 0;

	if (log->failed.code)
		return cv_error_set(err, log->failed.code, "%s", log->failed.msg);
	if (more)
		rc = put_chunk(log, &c, &e);
	if (!rc && log->in_tx)
		rc = log_run(log, ST_COMMIT, "committing", &e);
	if (rc) {
		log_roll_back(log);
		log_fail(log, &e);
		return cv_error_set(err, e.code, "%s", e.msg);
	}
	log->in_tx = false;
	if (more)
		note_committed(log, &c);
	return 0;
}

int cv_log_append(struct cv_log *log, const struct cv_event *ev, struct cv_error *err)
{
	if (log->failed.code)
		return cv_error_set(err, log->failed.code, "%s", log->failed.msg);
	if (!log->writing)
		return cv_error_set(err, CV_E_BADINPUT, "%s: opened for reading", log->path);
	if (ev->kind < 1 || ev->kind >= CV_EV_KINDS || ev->len > CV_EVENT_DATA_MAX ||
	    ev->pos.insns < log->last.insns)
		return cv_error_set(err, CV_E_BADINPUT, "%s: event %llu of kind %d at %llu can't follow one at %llu",
				    log->path, (unsigned long long)cv_log_event_count(log), (int)ev->kind,
				    (unsigned long long)ev->pos.insns, (unsigned long long)log->last.insns);
	log->pending[log->npending++] = *ev;
	log->last = ev->pos;
	return log->npending == CV_CHUNK_EVENTS ? cv_log_commit(log, err) : 0;
}

uint64_t cv_log_event_count(struct cv_log *log)
{
	struct cv_error ignored = { 0 };

	log_refresh(log, &ignored);
	return log_events(log) + log->npending - log->ncommitted;
}

