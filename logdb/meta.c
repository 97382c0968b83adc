/* SPDX-License-Identifier: MIT */
/* Meta: a few keys with their values. The whole table is read and checked each time: it has some twenty rows. */
#include "logdb/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int take_value(struct cv_log *log, const struct cv_field *f, char **value, struct cv_error *err)
{
	char *p = malloc(f->n + 1);

	if (!p)
		return log_nomem(log, err);
	memcpy(p, f->p, f->n);
	p[f->n] = '\0';
	free(*value);
	*value = p;
	return 0;
}

int cv_log_get_meta(struct cv_log *log, const char *key, char **value, struct cv_error *err)
{
	sqlite3_stmt *st = NULL;
	uint64_t seen = 0;
	int rc = log_stmt(log, ST_META_ALL, &st, err);

	*value = NULL;
	if (rc)
		return rc;
	while (!rc && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct cv_row r;

		rc = cv_row_read(st, "meta", CV_META_FIELDS, &r);
		if (rc)
			rc = log_row_error(log, rc, "meta row", seen, err);
		else if (r.f[0].n == strlen(key) && !memcmp(r.f[0].p, key, r.f[0].n))
			rc = take_value(log, &r.f[1], value, err);
		seen++;
	}
	if (rc == SQLITE_DONE)
		rc = log_check_rows(log, TABLE_META, seen, err);
	else if (rc > 0)
		rc = log_sqlite_error(log, rc, "reading meta", err);
	sqlite3_reset(st);
	if (rc) {
		free(*value);
		*value = NULL;
	}
	return rc;
}

int cv_log_get_meta_u64(struct cv_log *log, const char *key, uint64_t *value, struct cv_error *err)
{
	char *text, *end;
	int rc = cv_log_get_meta(log, key, &text, err);

	*value = 0;
	if (rc)
		return rc;
	if (!text)
		return cv_error_set(err, CV_E_NOTFOUND, "%s: has no %s", log->path, key);
	errno = 0;
	*value = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-')
		rc = log_corrupt(log, err, "%s is no number", key);
	free(text);
	return rc;
}

int cv_log_set_meta(struct cv_log *log, const char *key, const char *value, struct cv_error *err)
{
	struct cv_error e = { 0 };
	struct cv_row r;
	char *old = NULL;
	int rc = log_begin(log, err);

	if (rc)
		return rc;
	if (cv_log_get_meta(log, key, &old, &e)) {
		log_fail(log, &e);
		return cv_error_set(err, e.code, "%s", e.msg);
	}
	cv_row_init(&r, "meta");
	cv_row_text(&r, key, strlen(key));
	cv_row_text(&r, value, strlen(value));
	rc = log_insert(log, ST_META_PUT, TABLE_META, &r, err);
	if (!rc && old)
		log->rows[TABLE_META]--; /* one was replaced */
	free(old);
	return rc;
}

int cv_log_set_meta_u64(struct cv_log *log, const char *key, uint64_t value, struct cv_error *err)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return cv_log_set_meta(log, key, text, err);
}
