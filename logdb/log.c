/* SPDX-License-Identifier: MIT */
/*
 * The recording's life: making the file, opening it, the seal, closing.
 *
 * A new recording is made under another name and renamed when its tables are in: whatever kills the recorder, the
 * path names a whole recording or nothing. While recording the file is in WAL mode: everything between two commits is
 * one transaction. Closing folds the WAL into the file and leaves rollback mode, so that one file remains.
 */
#include "logdb/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "logdb/vtab.h"

#define BUSY_MS 5000	   /* another process's write or recovery takes no longer */
#define CLOSE_BUSY_MS 200  /* a reader that stays doesn't keep the recorder from ending */

static const char *const table_name[TABLES] = {
	[TABLE_META] = "meta",	   [TABLE_IMAGES] = "images", [TABLE_CHUNKS] = "chunks",
	[TABLE_CHECKPOINTS] = "checkpoints", [TABLE_STATES] = "states", [TABLE_PAGES] = "pages",
	[TABLE_LINES] = "lines",   [TABLE_MARKS] = "marks",
};

static int exec(struct cv_log *log, const char *text, const char *what, struct cv_error *err)
{
	int rc = sqlite3_exec(log->db, text, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : log_sqlite_error(log, rc, what, err);
}

/* A pragma's number. */
static int pragma(struct cv_log *log, const char *text, int64_t *value, struct cv_error *err)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(log->db, text, -1, &st, NULL);

	*value = 0;
	if (rc == SQLITE_OK) {
		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW)
			*value = sqlite3_column_int64(st, 0);
	}
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		rc = log_sqlite_error(log, rc, "opening", err);
	else
		rc = 0;
	sqlite3_finalize(st);
	return rc;
}

/* --- The seal --- */

static int write_seal(struct cv_log *log, struct cv_error *err)
{
	char text[400];
	size_t n = 0;

	for (int t = 0; t < TABLES; t++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s=%llu", t ? " " : "", table_name[t],
				      (unsigned long long)log->rows[t] + (t == TABLE_META));
	return cv_log_set_meta(log, "sealed", text, err);
}

static int read_seal(struct cv_log *log, struct cv_error *err)
{
	char *text = NULL, *p;
	int rc = cv_log_get_meta(log, "sealed", &text, err);

	if (rc || !text)
		return rc;
	p = text;
	for (int t = 0; t < TABLES && !rc; t++) {
		size_t n = strlen(table_name[t]);

		if (strncmp(p, table_name[t], n) || p[n] != '=') {
			rc = log_corrupt(log, err, "its seal can't be read");
			break;
		}
		log->rows[t] = strtoull(p + n + 1, &p, 10);
		p += *p == ' ';
	}
	free(text);
	log->sealed = !rc;
	return rc;
}

int log_check_rows(struct cv_log *log, enum cv_log_table table, uint64_t seen, struct cv_error *err)
{
	if (!log->sealed || log->rows[table] == seen)
		return 0;
	return log_corrupt(log, err, "table %s has %llu rows, %llu were written", table_name[table],
			   (unsigned long long)seen, (unsigned long long)log->rows[table]);
}

/* --- Making --- */

static int log_new(struct cv_log **out, const char *path, struct cv_error *err)
{
	struct cv_log *log = calloc(1, sizeof(*log));

	*out = NULL;
	if (log)
		log->path = strdup(path);
	if (!log || !log->path) {
		free(log);
		return cv_error_set(err, CV_E_NOMEM, "%s: out of memory", path);
	}
	*out = log;
	return 0;
}

static void drop_statements(struct cv_log *log)
{
	for (int i = 0; i < STATEMENTS; i++) {
		sqlite3_finalize(log->st[i]);
		log->st[i] = NULL;
	}
}

static void close_db(struct cv_log *log)
{
	drop_statements(log);
	sqlite3_close_v2(log->db);
	log->db = NULL;
}

static void log_free(struct cv_log *log)
{
	close_db(log);
	cv_chunk_codec_free(log->codec);
	ZSTD_freeDCtx(log->pages_dctx);
	free(log->chunk);
	free(log->pending);
	free(log->page);
	free(log->path);
	free(log);
}

/* path with something behind it; owned by the caller. */
static char *beside(const char *path, const char *suffix)
{
	size_t n = strlen(path) + strlen(suffix) + 1;
	char *p = malloc(n);

	if (p)
		snprintf(p, n, "%s%s", path, suffix);
	return p;
}

static int remove_beside(struct cv_log *log, const char *suffix, struct cv_error *err)
{
	char *p = beside(log->path, suffix);
	int rc = 0;

	if (!p)
		return log_nomem(log, err);
	if (unlink(p) && errno != ENOENT)
		rc = cv_error_set(err, CV_E_IO, "%s: can't remove it: %s", p, strerror(errno));
	free(p);
	return rc;
}

static int open_db(struct cv_log *log, const char *path, int flags, struct cv_error *err)
{
	int rc = sqlite3_open_v2(path, &log->db, flags, NULL);

	if (rc != SQLITE_OK) {
		rc = log_sqlite_error(log, rc, "opening", err);
		sqlite3_close(log->db);
		log->db = NULL;
		return rc;
	}
	sqlite3_extended_result_codes(log->db, 1);
	sqlite3_busy_timeout(log->db, BUSY_MS);
	return 0;
}

/* Refuses to replace what another recorder is writing: its WAL would go to the wrong file. */
static int check_unused(struct cv_log *log, struct cv_error *err)
{
	sqlite3_stmt *st = NULL;
	bool busy = false;

	if (sqlite3_open_v2(log->path, &log->db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
	    sqlite3_prepare_v2(log->db, "PRAGMA journal_mode=DELETE", -1, &st, NULL) == SQLITE_OK)
		busy = (sqlite3_step(st) & 0xff) == SQLITE_BUSY;
	sqlite3_finalize(st);
	close_db(log);
	return busy ? cv_error_set(err, CV_E_EXIST, "%s: another program has it open", log->path) : 0;
}

static int check_target(struct cv_log *log, bool force, struct cv_error *err)
{
	struct stat st;

	if (lstat(log->path, &st))
		return errno == ENOENT ? 0 : cv_error_set(err, CV_E_IO, "%s: %s", log->path, strerror(errno));
	if (!force)
		return cv_error_set(err, CV_E_EXIST, "%s: exists already; --force replaces it", log->path);
	if (!S_ISREG(st.st_mode))
		return cv_error_set(err, CV_E_EXIST, "%s: is no regular file, so it isn't replaced", log->path);
	return check_unused(log, err);
}

/* The empty recording under a name of its own. */
static int make_file(struct cv_log *log, const char *path, struct cv_error *err)
{
	char pragmas[200];
	int rc = open_db(log, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);

	if (rc)
		return rc;
	snprintf(pragmas, sizeof(pragmas),
		 "PRAGMA page_size=4096; PRAGMA auto_vacuum=NONE; PRAGMA journal_mode=MEMORY; BEGIN;"
		 "PRAGMA application_id=%d; PRAGMA user_version=%d;",
		 CV_LOG_APPLICATION_ID, CV_LOG_VERSION);
	rc = exec(log, pragmas, "creating", err);
	if (!rc)
		rc = exec(log, CV_SCHEMA "COMMIT", "creating", err);
	close_db(log);
	return rc;
}

static int place_file(struct cv_log *log, const char *from, bool force, struct cv_error *err)
{
	int rc = remove_beside(log, "-wal", err);

	if (!rc)
		rc = remove_beside(log, "-shm", err);
	if (!rc)
		rc = remove_beside(log, "-journal", err);
	if (rc)
		return rc;
	if (force ? !rename(from, log->path) : !link(from, log->path))
		return 0;
	if (!force && errno != EEXIST && !rename(from, log->path)) /* a file system without links */
		return 0;
	if (errno == EEXIST)
		return cv_error_set(err, CV_E_EXIST, "%s: exists already; --force replaces it", log->path);
	return cv_error_set(err, CV_E_IO, "%s: can't create it: %s", log->path, strerror(errno));
}

/* SQLite would only say that it can't open the file. */
static int check_directory(struct cv_log *log, struct cv_error *err)
{
	char *name = strdup(log->path), *slash = name ? strrchr(name, '/') : NULL;
	const char *directory = ".";
	int rc = 0;

	if (!name)
		return log_nomem(log, err);
	if (slash) {
		slash[slash == name] = '\0';
		directory = name;
	}
	if (access(directory, W_OK | X_OK))
		rc = cv_error_set(err, CV_E_IO, "%s: can't write to its directory: %s", log->path, strerror(errno));
	free(name);
	return rc;
}

/* The file under its name, whole. */
static int make(struct cv_log *log, bool force, struct cv_error *err)
{
	char *draft = beside(log->path, ".new");
	int rc;

	if (!draft)
		return log_nomem(log, err);
	rc = check_target(log, force, err);
	if (!rc)
		rc = check_directory(log, err);
	if (!rc && unlink(draft) && errno != ENOENT)
		rc = cv_error_set(err, CV_E_IO, "%s: can't create it: %s", log->path, strerror(errno));
	if (!rc)
		rc = make_file(log, draft, err);
	if (!rc)
		rc = place_file(log, draft, force, err);
	unlink(draft);
	free(draft);
	return rc;
}

int cv_log_create(struct cv_log **out, const char *path, bool force, struct cv_error *err)
{
	struct cv_log *log;
	int rc = log_new(&log, path, err);

	*out = NULL;
	if (rc)
		return rc;
	log->writing = true;
	rc = make(log, force, err);
	if (rc)
		goto fail;
	rc = open_db(log, path, SQLITE_OPEN_READWRITE, err);
	if (!rc)
		rc = exec(log, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL", "opening", err);
	if (!rc) {
		log->pending = malloc(CV_CHUNK_EVENTS * sizeof(*log->pending));
		rc = log->pending ? 0 : log_nomem(log, err);
	}
	if (!rc) {
		*out = log;
		return 0;
	}
	close_db(log);
	unlink(path);
	remove_beside(log, "-wal", NULL);
	remove_beside(log, "-shm", NULL);
fail:
	log_free(log);
	return rc;
}

/* --- Opening --- */

/* "file:PATH?immutable=1", PATH escaped; owned by the caller. */
static char *immutable_uri(const char *path)
{
	char *uri = malloc(3 * strlen(path) + 32), *to = uri;

	if (!uri)
		return NULL;
	to += sprintf(to, "file:");
	for (; *path; path++) {
		if (strchr("%?#", *path))
			to += sprintf(to, "%%%02X", (unsigned)*path);
		else
			*to++ = *path;
	}
	strcpy(to, "?immutable=1");
	return uri;
}

/*
 * A recording in WAL mode needs its -wal and -shm beside it. Where they aren't there and can't be made (a read-only
 * directory), the file alone is all there is, and nobody writes it: it may be read as it stands.
 */
static int open_alone(struct cv_log *log, struct cv_error *err)
{
	char *wal = beside(log->path, "-wal"), *uri = immutable_uri(log->path);
	struct stat st;
	int rc;

	if (!wal || !uri)
		rc = log_nomem(log, err);
	else if (!stat(wal, &st) && st.st_size)
		rc = cv_error_set(err, CV_E_IO, "%s: its recorder was killed, and its directory can't be written: "
				  "copy it together with %s to one that can", log->path, wal);
	else
		rc = open_db(log, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, err);
	free(wal);
	free(uri);
	return rc;
}

static int check_version(struct cv_log *log, struct cv_error *err)
{
	int64_t id, version;
	int rc = pragma(log, "PRAGMA application_id", &id, err);

	if (!rc)
		rc = pragma(log, "PRAGMA user_version", &version, err);
	if (rc)
		return rc;
	if (id != CV_LOG_APPLICATION_ID)
		return cv_error_set(err, CV_E_BADINPUT, "%s: not a Chronovisor recording", log->path);
	if (version > CV_LOG_VERSION)
		return cv_error_set(err, CV_E_VERSION, "%s: recording of format %lld, this program reads %d: use a newer one",
				    log->path, (long long)version, CV_LOG_VERSION);
	if (version < 1)
		return log_corrupt(log, err, "its format number is %lld", (long long)version);
	if (version < CV_LOG_VERSION)
		return cv_error_set(err, CV_E_VERSION, "%s: recording of format %lld, this program reads %d: use the one that made it",
				    log->path, (long long)version, CV_LOG_VERSION);
	return 0;
}

static int check_file(struct cv_log *log, struct cv_error *err)
{
	struct stat st;

	if (stat(log->path, &st))
		return cv_error_set(err, CV_E_BADINPUT, "%s: %s", log->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return cv_error_set(err, CV_E_BADINPUT, "%s: not a recording: not a regular file", log->path);
	if (!st.st_size)
		return cv_error_set(err, CV_E_BADINPUT, "%s: not a recording: the file is empty", log->path);
	if (access(log->path, R_OK))
		return cv_error_set(err, CV_E_BADINPUT, "%s: %s", log->path, strerror(errno));
	return 0;
}

/* Reads something: SQLite looks at the file only then. SQLITE_ROW or its error. */
static int touch(sqlite3 *db)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, "SELECT count(*) FROM sqlite_master", -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	sqlite3_finalize(st);
	return rc;
}

/* A recorder killed in the middle of closing leaves a journal that only a writer may play back. */
static void play_back(const char *path)
{
	sqlite3 *db = NULL;

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK)
		touch(db);
	sqlite3_close(db);
}

static int open_reading(struct cv_log *log, struct cv_error *err)
{
	int rc = open_db(log, log->path, SQLITE_OPEN_READONLY, err);

	if (rc)
		return rc;
	rc = touch(log->db);
	if ((rc & 0xff) == SQLITE_READONLY) {
		play_back(log->path);
		rc = touch(log->db);
	}
	switch (rc & 0xff) {
	case SQLITE_ROW:
		return 0;
	case SQLITE_NOTADB:
		return cv_error_set(err, CV_E_BADINPUT, "%s: not a Chronovisor recording", log->path);
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
		close_db(log);
		return open_alone(log, err);
	default:
		return log_sqlite_error(log, rc, "opening", err);
	}
}

int cv_log_open(struct cv_log **out, const char *path, struct cv_error *err)
{
	struct cv_log *log;
	int rc = log_new(&log, path, err);

	*out = NULL;
	if (rc)
		return rc;
	rc = check_file(log, err);
	if (!rc)
		rc = open_reading(log, err);
	if (!rc)
		rc = check_version(log, err);
	if (!rc)
		rc = read_seal(log, err);
	if (!rc)
		rc = log_refresh(log, err);
	if (rc)
		log_free(log);
	else
		*out = log;
	return rc;
}

sqlite3 *cv_log_sqlite(struct cv_log *log, struct cv_error *err)
{
	int rc = log->events_vtab ? SQLITE_OK : cv_events_register(log->db);

	if (rc != SQLITE_OK) {
		log_sqlite_error(log, rc, "making the table of events", err);
		return NULL;
	}
	log->events_vtab = true;
	return log->db;
}

const char *cv_log_path(const struct cv_log *log)
{
	return log->path;
}

/* --- Closing --- */

/* Folds the WAL into the file. A reader that holds on to it is no error: then the last one leaves it in WAL mode. */
static int fold(struct cv_log *log, struct cv_error *err)
{
	static const char *const steps[] = { "PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA journal_mode=DELETE" };

	sqlite3_busy_timeout(log->db, CLOSE_BUSY_MS);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		int rc = sqlite3_exec(log->db, steps[i], NULL, NULL, NULL);

		if (rc == SQLITE_OK || (rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED)
			continue;
		log_sqlite_error(log, rc, "folding its -wal into it", err);
		return cv_error_prefix(err, "the recording is whole, keep its -wal with it");
	}
	return 0;
}

int cv_log_close(struct cv_log *log, struct cv_error *err)
{
	struct cv_error folding = { 0 };
	int rc = 0;

	if (!log)
		return 0;
	if (log->writing && log->db) {
		if (!cv_log_commit(log, NULL) && !write_seal(log, NULL))
			cv_log_commit(log, NULL);
		rc = log->failed.code;
		if (rc)
			cv_error_set(err, rc, "%s", log->failed.msg);
		log_roll_back(log);
		drop_statements(log);
		if (fold(log, &folding) && !rc)
			rc = cv_error_set(err, folding.code, "%s", folding.msg);
	}
	log_free(log);
	return rc;
}
