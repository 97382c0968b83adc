/* SPDX-License-Identifier: MIT */
/* Images: whole files in the recording, packed with zstd where that makes them smaller (then size > stored bytes). */
#include "logdb/log.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define IMAGE_LEVEL 3
#define IMAGE_MOST 1000000000u /* SQLite's limit for one value */

struct image {
	uint64_t no, size, data_sum;
	char *name, *args; /* owned */
};

/* The bytes to store: data itself, or *packed (owned by the caller). */
static const void *pack(const void *data, size_t n, void **packed, size_t *stored)
{
	size_t bound = ZSTD_compressBound(n), m;

	*stored = n;
	*packed = malloc(bound);
	if (!*packed)
		return NULL;
	m = ZSTD_compress(*packed, bound, data, n, IMAGE_LEVEL);
	if (ZSTD_isError(m) || m >= n) {
		free(*packed);
		*packed = NULL;
		return n ? data : "";
	}
	*stored = m;
	return *packed;
}

int cv_log_put_image(struct cv_log *log, const char *role, unsigned ordinal, const char *name, const char *args,
		     const void *data, size_t n, struct cv_error *err)
{
	sqlite3_stmt *st = NULL;
	struct cv_row r;
	void *packed = NULL;
	const void *bytes;
	size_t stored;
	int rc = log_begin(log, err);

	if (rc)
		return rc;
	if (n > IMAGE_MOST)
		return cv_error_set(err, CV_E_BADINPUT, "%s: %s is larger than %u bytes", log->path, name, IMAGE_MOST);
	bytes = pack(data, n, &packed, &stored);
	if (!bytes)
		return log_nomem(log, err);
	cv_row_init(&r, "images");
	cv_row_int(&r, log->rows[TABLE_IMAGES]);
	cv_row_text(&r, role, strlen(role));
	cv_row_int(&r, ordinal);
	cv_row_text(&r, name, strlen(name));
	cv_row_text(&r, args, args ? strlen(args) : 0);
	cv_row_int(&r, n);
	cv_row_int(&r, cv_sum(bytes, stored));
	rc = log_stmt(log, ST_IMAGE_PUT, &st, err);
	if (!rc && sqlite3_bind_blob64(st, CV_IMAGES_FIELDS + 2, bytes, stored, SQLITE_STATIC))
		rc = log_nomem(log, err);
	if (!rc)
		rc = log_insert(log, ST_IMAGE_PUT, TABLE_IMAGES, &r, err);
	free(packed);
	return rc;
}

static int copy_text(struct cv_log *log, const struct cv_field *f, char **out, struct cv_error *err)
{
	*out = NULL;
	if (f->type == CV_FIELD_NULL)
		return 0;
	*out = malloc(f->n + 1);
	if (!*out)
		return log_nomem(log, err);
	memcpy(*out, f->p, f->n);
	(*out)[f->n] = '\0';
	return 0;
}

static bool is_image(const struct cv_row *r, const char *role, unsigned ordinal)
{
	return r->f[1].n == strlen(role) && !memcmp(r->f[1].p, role, r->f[1].n) && r->f[2].i == ordinal;
}

/* Fills im (its strings released by the caller in any case). */
static int find_image(struct cv_log *log, const char *role, unsigned ordinal, struct image *im, struct cv_error *err)
{
	sqlite3_stmt *st = NULL;
	uint64_t seen = 0;
	bool found = false;
	int rc = log_stmt(log, ST_IMAGE_ALL, &st, err);

	if (rc)
		return rc;
	while (!rc && !found && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct cv_row r;

		rc = cv_row_read(st, "images", CV_IMAGES_FIELDS, &r);
		if (rc || r.f[0].i != seen)
			rc = log_row_error(log, rc, "image", seen, err);
		else if (is_image(&r, role, ordinal)) {
			found = true;
			*im = (struct image){ .no = seen, .size = r.f[5].i, .data_sum = r.f[6].i };
			rc = copy_text(log, &r.f[3], &im->name, err);
			if (!rc)
				rc = copy_text(log, &r.f[4], &im->args, err);
		}
		seen++;
	}
	if (rc == SQLITE_DONE) {
		rc = log_check_rows(log, TABLE_IMAGES, seen, err);
		if (!rc)
			rc = cv_error_set(err, CV_E_NOTFOUND, "%s: has no %s %u", log->path, role, ordinal);
	} else if (rc > 0) {
		rc = log_sqlite_error(log, rc, "reading images", err);
	}
	sqlite3_reset(st);
	return rc;
}

/* The stored bytes of the statement's row, unpacked; *data owned by the caller. */
static int unpack(struct cv_log *log, sqlite3_stmt *st, const struct image *im, uint8_t **data, struct cv_error *err)
{
	const void *p = sqlite3_column_blob(st, 0);
	size_t n = (size_t)sqlite3_column_bytes(st, 0);

	if (!p && sqlite3_errcode(log->db) == SQLITE_NOMEM)
		return log_nomem(log, err);
	if (cv_sum(p, n) != im->data_sum || im->size > IMAGE_MOST || n > im->size)
		return log_row_error(log, CV_E_CORRUPT, "image", im->no, err);
	*data = malloc(im->size + 1);
	if (!*data)
		return log_nomem(log, err);
	if (n == im->size) {
		if (n)
			memcpy(*data, p, n);
		return 0;
	}
	if (ZSTD_decompress(*data, im->size, p, n) == im->size)
		return 0;
	free(*data);
	*data = NULL;
	return log_row_error(log, CV_E_CORRUPT, "image", im->no, err);
}

static int load_data(struct cv_log *log, const struct image *im, uint8_t **data, struct cv_error *err)
{
	sqlite3_stmt *st = NULL;
	int rc = log_stmt(log, ST_IMAGE_DATA, &st, err);

	if (rc)
		return rc;
	sqlite3_bind_int64(st, 1, (sqlite3_int64)im->no);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		rc = unpack(log, st, im, data, err);
	else if (rc == SQLITE_DONE)
		rc = log_row_error(log, CV_E_CORRUPT, "image", im->no, err);
	else
		rc = log_sqlite_error(log, rc, "reading an image", err);
	sqlite3_reset(st);
	return rc;
}

int cv_log_get_image(struct cv_log *log, const char *role, unsigned ordinal, char **name, char **args,
		     uint8_t **data, size_t *n, struct cv_error *err)
{
	struct image im = { 0 };
	int rc = find_image(log, role, ordinal, &im, err);

	*name = *args = NULL;
	*data = NULL;
	*n = 0;
	if (!rc)
		rc = load_data(log, &im, data, err);
	if (rc) {
		free(im.name);
		free(im.args);
		return rc;
	}
	*name = im.name;
	*args = im.args;
	*n = im.size;
	return 0;
}
