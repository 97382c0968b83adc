/* SPDX-License-Identifier: MIT */
/* What a recording holds, and whether all of it is as it was written. */
#include "logdb/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* --- Statistics --- */

/* Takes the first row's integers. */
static int query(struct cv_log *log, const char *text, uint64_t *out, int n, struct cv_error *err)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(log->db, text, -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	for (int i = 0; i < n; i++)
		out[i] = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(st, i) : 0;
	if (rc != SQLITE_ROW)
		rc = log_sqlite_error(log, rc, "counting", err);
	else
		rc = 0;
	sqlite3_finalize(st);
	return rc;
}

/* Chunks, events and their kinds, of one moment. */
static int count_events(struct cv_log *log, struct cv_log_stats *s, struct cv_error *err)
{
	sqlite3_stmt *st = NULL;
	int rc = log_stmt(log, ST_CHUNK_ROWS, &st, err);

	if (rc)
		return rc;
	sqlite3_bind_int64(st, 1, 0);
	while (!rc && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct cv_chunk_row c;

		rc = cv_chunk_row_read(st, &c);
		if (rc)
			rc = log_row_error(log, rc, "chunk", s->chunks, err);
		for (unsigned k = 0; k < CV_EV_KINDS && !rc; k++)
			s->by_kind[k] += c.by_kind[k];
		s->events += rc ? 0 : c.count;
		s->chunks++;
	}
	if (rc > 0 && rc != SQLITE_DONE)
		rc = log_sqlite_error(log, rc, "reading chunks", err);
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : rc;
}

/* The last committed event. */
static int find_last(struct cv_log *log, struct cv_log_stats *s, struct cv_error *err)
{
	struct cv_log_cursor *c;
	const struct cv_event *ev;
	int rc;

	if (!s->events)
		return 0;
	rc = cv_log_cursor_new(&c, log, err);
	if (!rc)
		rc = cv_log_cursor_seek(c, s->events - 1, err);
	if (!rc)
		rc = cv_log_cursor_next(c, &ev, err);
	if (!rc) {
		s->last = ev->pos;
		s->complete = ev->kind == CV_EV_END;
	}
	cv_log_cursor_free(c);
	return rc;
}

static uint64_t file_size(const char *path, const char *suffix)
{
	char name[4096];
	struct stat st;
	int n = snprintf(name, sizeof(name), "%s%s", path, suffix);

	return n > 0 && (size_t)n < sizeof(name) && !stat(name, &st) ? (uint64_t)st.st_size : 0;
}

int cv_log_get_stats(struct cv_log *log, struct cv_log_stats *s, struct cv_error *err)
{
	uint64_t n[6];
	int rc;

	memset(s, 0, sizeof(*s));
	rc = log_refresh(log, err);
	if (!rc)
		rc = query(log, "SELECT (SELECT sum(length(data)) FROM chunks), (SELECT sum(length(data)) FROM images),"
			   " (SELECT sum(length(data)) FROM pages), (SELECT count(*) FROM pages),"
			   " (SELECT count(*) FROM checkpoints), (SELECT count(*) FROM lines)", n, 6, err);
	if (rc)
		return rc;
	s->file_bytes = file_size(log->path, "") + file_size(log->path, "-wal");
	s->chunk_bytes = n[0];
	s->image_bytes = n[1];
	s->page_bytes = n[2];
	s->pages = n[3];
	s->checkpoints = n[4];
	s->lines = n[5];
	rc = count_events(log, s, err);
	return rc ? rc : find_last(log, s, err);
}

/* --- Verifying --- */

static int verify_structure(struct cv_log *log, struct cv_error *err)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(log->db, "PRAGMA integrity_check(1)", -1, &st, NULL);
	const char *text;

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		text = (const char *)sqlite3_column_text(st, 0);
		rc = text && !strcmp(text, "ok") ? 0 : log_corrupt(log, err, "%s", text ? text : "?");
	} else {
		rc = log_sqlite_error(log, rc, "verifying", err);
	}
	sqlite3_finalize(st);
	return rc;
}

static int verify_chunks(struct cv_log *log, struct cv_error *err)
{
	struct cv_event *ev = malloc(CV_CHUNK_EVENTS * sizeof(*ev));
	int rc = ev ? 0 : log_nomem(log, err);

	for (uint64_t no = 0; no < log->nchunks && !rc; no++)
		rc = log_load_chunk(log, no, ev, err);
	free(ev);
	return rc;
}

static int verify_images(struct cv_log *log, struct cv_error *err)
{
	static const char text[] = "SELECT " CV_IMAGES_COLUMNS ", sum, data FROM images ORDER BY no";
	sqlite3_stmt *st = NULL;
	uint64_t no = 0;
	int rc = sqlite3_prepare_v2(log->db, text, -1, &st, NULL);

	while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct cv_row r;

		rc = cv_row_read(st, "images", CV_IMAGES_FIELDS, &r);
		if (!rc) {
			const void *p = sqlite3_column_blob(st, CV_IMAGES_FIELDS + 1);
			size_t n = (size_t)sqlite3_column_bytes(st, CV_IMAGES_FIELDS + 1);

			if (r.f[0].i != no || (!p && n) || cv_sum(p, n) != r.f[6].i)
				rc = CV_E_CORRUPT;
		}
		if (rc)
			rc = log_row_error(log, rc, "image", no, err);
		no++;
	}
	if (rc == SQLITE_DONE)
		rc = log_check_rows(log, TABLE_IMAGES, no, err);
	else if (rc > 0)
		rc = log_sqlite_error(log, rc, "reading images", err);
	sqlite3_finalize(st);
	return rc;
}

static int verify_pages(struct cv_log *log, struct cv_error *err)
{
	uint64_t n;
	uint8_t data[4096];
	int rc = query(log, "SELECT count(*) FROM pages", &n, 1, err);

	for (uint64_t no = 0; no < n && !rc; no++)
		rc = log_load_page(log, no, data, err);
	return rc ? rc : log_check_rows(log, TABLE_PAGES, n, err);
}

static int verify_checkpoints(struct cv_log *log, struct cv_error *err)
{
	struct cv_log_checkpoint cp;
	uint64_t n, states = 0;
	int rc = query(log, "SELECT count(*) FROM checkpoints", &n, 1, err);

	for (uint64_t no = 0; no < n && !rc; no++) {
		uint8_t *state = NULL;
		size_t nstate;

		rc = cv_log_get_checkpoint(log, no, &cp, err);
		if (rc || !cp.has_state)
			continue;
		states++;
		rc = cv_log_load_state(log, no, &state, &nstate, NULL, NULL, err);
		free(state);
	}
	if (!rc)
		rc = log_check_rows(log, TABLE_CHECKPOINTS, n, err);
	return rc ? rc : log_check_rows(log, TABLE_STATES, states, err);
}

static int any_line(void *ctx, const struct cv_pos *pos, const char *text, size_t n)
{
	(void)ctx, (void)pos, (void)text, (void)n;
	return 0;
}

static int any_mark(void *ctx, const struct cv_pos *pos, const char *name, const char *text)
{
	(void)ctx, (void)pos, (void)name, (void)text;
	return 0;
}

int cv_log_verify(struct cv_log *log, struct cv_error *err)
{
	char *value = NULL;
	int rc = log_refresh(log, err);

	if (!rc)
		rc = verify_chunks(log, err);
	if (!rc)
		rc = verify_images(log, err);
	if (!rc)
		rc = verify_pages(log, err);
	if (!rc)
		rc = verify_checkpoints(log, err);
	if (!rc)
		rc = cv_log_lines(log, 0, UINT64_MAX, any_line, NULL, err);
	if (!rc)
		rc = cv_log_marks(log, any_mark, NULL, err);
	if (!rc)
		rc = cv_log_get_meta(log, "sealed", &value, err);
	free(value);
	return rc ? rc : verify_structure(log, err);
}
