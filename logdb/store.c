/* SPDX-License-Identifier: MIT */
/* Under the log: SQL statements, SQLite's errors as ours, transactions. The first error of a writer sticks. */
#include "logdb/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const sql[STATEMENTS] = {
	[ST_BEGIN] = "BEGIN IMMEDIATE",
	[ST_COMMIT] = "COMMIT",
	[ST_ROLLBACK] = "ROLLBACK",
	[ST_META_PUT] = "INSERT OR REPLACE INTO meta(" CV_META_COLUMNS ", sum) VALUES(?,?,?)",
	[ST_META_ALL] = "SELECT " CV_META_COLUMNS ", sum FROM meta",
	[ST_IMAGE_PUT] = "INSERT INTO images(" CV_IMAGES_COLUMNS ", sum, data) VALUES(?,?,?,?,?,?,?,?,?)",
	[ST_IMAGE_ALL] = "SELECT " CV_IMAGES_COLUMNS ", sum FROM images ORDER BY no",
	[ST_IMAGE_DATA] = "SELECT data FROM images WHERE no = ?",
	[ST_CHUNK_PUT] = "INSERT INTO chunks(" CV_CHUNKS_COLUMNS ", sum, data) VALUES(?,?,?,?,?,?,?,?,?,?)",
	[ST_CHUNK_REPLACE] = "REPLACE INTO chunks(" CV_CHUNKS_COLUMNS ", sum, data) VALUES(?,?,?,?,?,?,?,?,?,?)",
	[ST_CHUNK_ROWS] = "SELECT " CV_CHUNKS_COLUMNS ", sum FROM chunks WHERE no >= ? ORDER BY no",
	[ST_CHUNK_DATA] = "SELECT " CV_CHUNKS_COLUMNS ", sum, data FROM chunks WHERE no = ?",
	[ST_CHECKPOINT_PUT] = "INSERT INTO checkpoints(" CV_CHECKPOINTS_COLUMNS ", sum)"
			      " VALUES(?,?,?,?,?,?,?,?,?,?,?)",
	[ST_CHECKPOINT_FROM] = "SELECT " CV_CHECKPOINTS_COLUMNS ", sum FROM checkpoints WHERE no >= ? ORDER BY no",
	[ST_CHECKPOINT_BACK] = "SELECT " CV_CHECKPOINTS_COLUMNS ", sum FROM checkpoints ORDER BY no DESC",
	[ST_STATE_PUT] = "INSERT INTO states(" CV_STATES_COLUMNS ", sum) VALUES(?,?,?,?,?,?,?)",
	[ST_STATE_GET] = "SELECT " CV_STATES_COLUMNS ", sum FROM states WHERE no = ?",
	[ST_PAGE_PUT] = "INSERT INTO pages(" CV_PAGES_COLUMNS ", sum) VALUES(?,?,?,?)",
	[ST_PAGE_GET] = "SELECT " CV_PAGES_COLUMNS ", sum FROM pages WHERE no = ?",
	[ST_LINE_PUT] = "INSERT INTO lines(" CV_LINES_COLUMNS ", sum) VALUES(?,?,?,?,?,?,?,?,?)",
	[ST_LINE_FROM] = "SELECT " CV_LINES_COLUMNS ", sum FROM lines WHERE no >= ? ORDER BY no",
	[ST_LINE_LAST] = "SELECT max(no) FROM lines",
	[ST_MARK_PUT] = "INSERT INTO marks(" CV_MARKS_COLUMNS ", sum) VALUES(?,?,?,?,?,?,?,?,?,?)",
	[ST_MARK_ALL] = "SELECT " CV_MARKS_COLUMNS ", sum FROM marks ORDER BY no",
};

/* --- Errors --- */

int log_nomem(struct cv_log *log, struct cv_error *err)
{
	return cv_error_set(err, CV_E_NOMEM, "%s: out of memory", log->path);
}

int log_corrupt(struct cv_log *log, struct cv_error *err, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return cv_error_set(err, CV_E_CORRUPT, "%s: damaged recording: %s", log->path, text);
}

int log_row_error(struct cv_log *log, int rc, const char *table, uint64_t no, struct cv_error *err)
{
	if (rc == CV_E_NOMEM)
		return log_nomem(log, err);
	return log_corrupt(log, err, "%s %llu: checksum or content is wrong", table, (unsigned long long)no);
}

int log_sqlite_error(struct cv_log *log, int rc, const char *what, struct cv_error *err)
{
	const char *why = log->db ? sqlite3_errmsg(log->db) : sqlite3_errstr(rc);
	int sys = log->db ? sqlite3_system_errno(log->db) : 0;

	switch (rc & 0xff) {
	case SQLITE_NOMEM:
		return log_nomem(log, err);
	case SQLITE_FULL:
		return cv_error_set(err, CV_E_IO,
				    "%s: disk full while %s; what was committed is intact: free some space and record again",
				    log->path, what);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return cv_error_set(err, CV_E_IO, "%s: another program keeps the file locked (while %s)", log->path,
				    what);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return log_corrupt(log, err, "%s (while %s)", why, what);
	case SQLITE_ERROR:
	case SQLITE_MISMATCH:
	case SQLITE_CONSTRAINT:
		if (!log->writing) /* tables and columns are not as they were made */
			return log_corrupt(log, err, "%s (while %s)", why, what);
		break;
	case SQLITE_CANTOPEN:
	case SQLITE_IOERR:
		return cv_error_set(err, CV_E_IO, "%s: %s while %s%s%s", log->path, why, what, sys ? ": " : "",
				    sys ? strerror(sys) : "");
	}
	return cv_error_set(err, CV_E_IO, "%s: %s (while %s)", log->path, why, what);
}

int log_fail(struct cv_log *log, struct cv_error *err)
{
	if (!log->failed.code)
		cv_error_set(&log->failed, err ? err->code : CV_E_IO, "%s", err ? err->msg : "failed before");
	return log->failed.code;
}

/* --- Statements --- */

int log_stmt(struct cv_log *log, enum cv_log_statement id, sqlite3_stmt **st, struct cv_error *err)
{
	if (!log->st[id]) {
		int rc = sqlite3_prepare_v3(log->db, sql[id], -1, SQLITE_PREPARE_PERSISTENT, &log->st[id], NULL);

		if (rc != SQLITE_OK)
			return log_sqlite_error(log, rc, "preparing", err);
	}
	*st = log->st[id];
	return 0;
}

int log_run(struct cv_log *log, enum cv_log_statement id, const char *what, struct cv_error *err)
{
	sqlite3_stmt *st = NULL;
	int rc = log_stmt(log, id, &st, err);

	if (rc)
		return rc;
	rc = sqlite3_step(st);
	if (rc != SQLITE_DONE)
		rc = log_sqlite_error(log, rc, what, err);
	else
		rc = 0;
	sqlite3_reset(st);
	return rc;
}

/* --- Transactions --- */

int log_begin(struct cv_log *log, struct cv_error *err)
{
	struct cv_error e = { 0 };

	if (log->failed.code)
		return cv_error_set(err, log->failed.code, "%s", log->failed.msg);
	if (!log->writing)
		return cv_error_set(err, CV_E_BADINPUT, "%s: opened for reading", log->path);
	if (log->in_tx)
		return 0;
	if (log_run(log, ST_BEGIN, "writing", &e)) {
		log_fail(log, &e);
		return cv_error_set(err, e.code, "%s", e.msg);
	}
	log->in_tx = true;
	return 0;
}

int log_write(struct cv_log *log, enum cv_log_statement id, const struct cv_row *r, struct cv_error *err)
{
	struct cv_error e = { 0 };
	sqlite3_stmt *st = NULL;
	int rc = log_stmt(log, id, &st, &e);

	if (!rc) {
		rc = cv_row_bind(st, r);
		if (rc == SQLITE_OK)
			rc = sqlite3_step(st);
		rc = rc == SQLITE_DONE ? 0 : log_sqlite_error(log, rc, "writing", &e);
		sqlite3_reset(st);
		sqlite3_clear_bindings(st);
	}
	if (rc) {
		log_fail(log, &e);
		return cv_error_set(err, e.code, "%s", e.msg);
	}
	return 0;
}

int log_insert(struct cv_log *log, enum cv_log_statement id, enum cv_log_table table, const struct cv_row *r,
	       struct cv_error *err)
{
	int rc = log_write(log, id, r, err);

	if (!rc)
		log->rows[table]++;
	return rc;
}

void log_roll_back(struct cv_log *log)
{
	struct cv_error ignored = { 0 };

	if (log->in_tx && !sqlite3_get_autocommit(log->db))
		log_run(log, ST_ROLLBACK, "rolling back", &ignored);
	log->in_tx = false;
}

