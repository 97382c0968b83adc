/* SPDX-License-Identifier: MIT */
/* Console lines and marks: rows with a position and a text. Lines lie in order of position. */
#include "logdb/log.h"

#include <stdlib.h>
#include <string.h>

int cv_log_put_line(struct cv_log *log, const struct cv_pos *pos, const char *text, size_t n, struct cv_error *err)
{
	struct cv_row r;
	int rc = log_begin(log, err);

	if (rc)
		return rc;
	cv_row_init(&r, "lines");
	cv_row_int(&r, log->rows[TABLE_LINES]);
	cv_row_pos(&r, pos);
	cv_row_text(&r, n ? text : "", n);
	return log_insert(log, ST_LINE_PUT, TABLE_LINES, &r, err);
}

static int read_line(struct cv_log *log, sqlite3_stmt *st, uint64_t no, struct cv_row *r, struct cv_error *err)
{
	int rc = cv_row_read(st, "lines", CV_LINES_FIELDS, r);

	return rc || r->f[0].i != no ? log_row_error(log, rc, "line", no, err) : 0;
}

/* How many lines there are. */
static int count_lines(struct cv_log *log, uint64_t *n, struct cv_error *err)
{
	sqlite3_stmt *st = NULL;
	int rc = log_stmt(log, ST_LINE_LAST, &st, err);

	*n = 0;
	if (rc)
		return rc;
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		if (sqlite3_column_type(st, 0) == SQLITE_INTEGER)
			*n = (uint64_t)sqlite3_column_int64(st, 0) + 1;
		rc = log_check_rows(log, TABLE_LINES, *n, err);
	} else {
		rc = log_sqlite_error(log, rc, "reading lines", err);
	}
	sqlite3_reset(st);
	return rc;
}

static int line_insns(struct cv_log *log, uint64_t no, uint64_t *insns, struct cv_error *err)
{
	sqlite3_stmt *st = NULL;
	struct cv_row r;
	int rc = log_stmt(log, ST_LINE_FROM, &st, err);

	if (rc)
		return rc;
	sqlite3_bind_int64(st, 1, (sqlite3_int64)no);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		rc = read_line(log, st, no, &r, err);
		*insns = rc ? 0 : r.f[1].i;
	} else if (rc == SQLITE_DONE) {
		rc = log_row_error(log, CV_E_CORRUPT, "line", no, err);
	} else {
		rc = log_sqlite_error(log, rc, "reading lines", err);
	}
	sqlite3_reset(st);
	return rc;
}

/* The first line at or after `from`. */
static int find_line(struct cv_log *log, uint64_t from, uint64_t *no, struct cv_error *err)
{
	uint64_t lo = 0, hi, insns = 0;
	int rc = count_lines(log, &hi, err);

	while (!rc && lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;

		rc = line_insns(log, mid, &insns, err);
		if (insns < from)
			lo = mid + 1;
		else
			hi = mid;
	}
	*no = lo;
	return rc;
}

int cv_log_lines(struct cv_log *log, uint64_t from, uint64_t to,
		 int (*fn)(void *ctx, const struct cv_pos *pos, const char *text, size_t n), void *ctx,
		 struct cv_error *err)
{
	sqlite3_stmt *st = NULL;
	uint64_t no = 0;
	bool stop = false;
	int rc = from ? find_line(log, from, &no, err) : 0;

	if (!rc)
		rc = log_stmt(log, ST_LINE_FROM, &st, err);
	if (rc)
		return rc;
	sqlite3_bind_int64(st, 1, (sqlite3_int64)no);
	while (!rc && !stop && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct cv_pos pos;
		struct cv_row r;

		rc = read_line(log, st, no++, &r, err);
		if (rc)
			break;
		cv_row_get_pos(&r, 1, &pos);
		stop = pos.insns > to || fn(ctx, &pos, r.f[7].p, r.f[7].n);
	}
	if (rc == SQLITE_DONE)
		rc = log_check_rows(log, TABLE_LINES, no, err);
	else if (rc > 0)
		rc = log_sqlite_error(log, rc, "reading lines", err);
	sqlite3_reset(st);
	return rc;
}

int cv_log_put_mark(struct cv_log *log, const struct cv_pos *pos, const char *name, const char *text,
		    struct cv_error *err)
{
	struct cv_row r;
	int rc = log_begin(log, err);

	if (rc)
		return rc;
	cv_row_init(&r, "marks");
	cv_row_int(&r, log->rows[TABLE_MARKS]);
	cv_row_pos(&r, pos);
	cv_row_text(&r, name, strlen(name));
	cv_row_text(&r, text, text ? strlen(text) : 0);
	return log_insert(log, ST_MARK_PUT, TABLE_MARKS, &r, err);
}

int cv_log_marks(struct cv_log *log,
		 int (*fn)(void *ctx, const struct cv_pos *pos, const char *name, const char *text), void *ctx,
		 struct cv_error *err)
{
	sqlite3_stmt *st = NULL;
	uint64_t no = 0;
	bool stop = false;
	int rc = log_stmt(log, ST_MARK_ALL, &st, err);

	if (rc)
		return rc;
	while (!rc && !stop && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct cv_pos pos;
		struct cv_row r;

		rc = cv_row_read(st, "marks", CV_MARKS_FIELDS, &r);
		if (rc || r.f[0].i != no) {
			rc = log_row_error(log, rc, "mark", no, err);
			break;
		}
		no++;
		cv_row_get_pos(&r, 1, &pos);
		/* SQLite ends a text with a zero byte. */
		stop = fn(ctx, &pos, r.f[7].p, r.f[8].type == CV_FIELD_NULL ? NULL : r.f[8].p);
	}
	if (rc == SQLITE_DONE)
		rc = log_check_rows(log, TABLE_MARKS, no, err);
	else if (rc > 0)
		rc = log_sqlite_error(log, rc, "reading marks", err);
	sqlite3_reset(st);
	return rc;
}
