/* SPDX-License-Identifier: MIT */
/* What the tests of the recording share: a directory of their own, and short words for writing and reading one. */
#ifndef CV_TESTS_LOG_FIXTURE_H
#define CV_TESTS_LOG_FIXTURE_H

#include <check.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "logdb/logdb.h"
#include "tests/unit/log_events.h"

static char dir[64], path[96];
static struct cv_error err;

static inline void setup(void)
{
	snprintf(dir, sizeof(dir), "%s", "/tmp/check_log.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/run.cvr", dir);
	cv_error_clear(&err);
}

static inline void teardown(void)
{
	char command[160];

	snprintf(command, sizeof(command), "chmod -R u+w %s; rm -rf %s", dir, dir);
	ck_assert_int_eq(system(command), 0);
}

static inline bool exists(const char *suffix)
{
	char name[128];

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	return !access(name, F_OK);
}

static inline void ok(int rc)
{
	ck_assert_msg(rc == 0, "%d: %s", rc, err.msg);
}

static inline void append(struct cv_log *log, struct source *s, size_t n)
{
	struct cv_event ev;

	for (size_t i = 0; i < n; i++) {
		source_kernel(s, &ev);
		ok(cv_log_append(log, &ev, &err));
	}
}

/* Events from..from+n-1 of a source are those that the cursor gives. */
static inline void expect(struct cv_log_cursor *c, struct source *s, size_t n)
{
	const struct cv_event *ev;
	struct cv_event want;

	for (size_t i = 0; i < n; i++) {
		source_kernel(s, &want);
		ok(cv_log_cursor_next(c, &ev, &err));
		ck_assert_msg(same_event(ev, &want), "event %zu", i);
	}
}

static inline struct cv_log *create(void)
{
	struct cv_log *log;

	ok(cv_log_create(&log, path, true, &err));
	return log;
}

static inline struct cv_log *open_it(void)
{
	struct cv_log *log;

	ok(cv_log_open(&log, path, &err));
	return log;
}

static inline void sql(const char *text)
{
	sqlite3 *db;

	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

#endif
