/* SPDX-License-Identifier: MIT */
/*
 * Rows with a checksum: each row of a recording carries the sum of its other columns, so that a byte changed anywhere
 * in the file is noticed where it is read.
 *
 *   h = XXH3-64(name of the table); for each column in order: h = XXH3-64(bytes, seed h + type)
 *
 * with type 0 NULL (no bytes), 1 integer (8 bytes, little-endian), 2 text, 3 blob. A big blob isn't among these
 * columns: its own XXH3-64, data_sum, is.
 */
#ifndef CV_LOGDB_ROWS_H
#define CV_LOGDB_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "logdb/sqlite.h"
#include "vmm-core/event.h"

#define CV_ROW_FIELDS 10

struct cv_field {
	int type; /* enum cv_field_type */
	uint64_t i;
	const void *p; /* borrowed */
	size_t n;
};

enum cv_field_type { CV_FIELD_NULL = 0, CV_FIELD_INT = 1, CV_FIELD_TEXT = 2, CV_FIELD_BLOB = 3 };

struct cv_row {
	const char *table;
	unsigned n;
	struct cv_field f[CV_ROW_FIELDS];
};

void cv_row_init(struct cv_row *r, const char *table);
void cv_row_int(struct cv_row *r, uint64_t v);
void cv_row_text(struct cv_row *r, const char *p, size_t n); /* p NULL: NULL */
void cv_row_blob(struct cv_row *r, const void *p, size_t n);
void cv_row_null(struct cv_row *r);
/* insns, branches, rip, rcx, sub, in_rep. */
void cv_row_pos(struct cv_row *r, const struct cv_pos *pos);

/* Binds the fields to parameters 1.. and the sum to the one after. SQLITE_OK or SQLite's error. */
int cv_row_bind(sqlite3_stmt *st, const struct cv_row *r);
/*
 * Takes columns 0..n-1 of the present row, borrowed until the statement moves; column n is the sum. 0, CV_E_NOMEM, or
 * CV_E_CORRUPT where the sum differs.
 */
int cv_row_read(sqlite3_stmt *st, const char *table, unsigned n, struct cv_row *r);
/* Fields first.. of a row that cv_row_pos made. */
void cv_row_get_pos(const struct cv_row *r, unsigned first, struct cv_pos *pos);
uint64_t cv_sum(const void *p, size_t n);

/* A row of `chunks` without its data. */
struct cv_chunk_row {
	uint64_t no, seq, insns, last_insns, data_sum;
	uint32_t count;
	int32_t async; /* the first asynchronous event's place in the chunk; -1: none */
	uint32_t by_kind[CV_EV_KINDS];
};

struct cv_wbuf;
/* From the events; data_sum is left alone. `kinds`, appended to w, is borrowed by the row. 0 or CV_E_NOMEM. */
void cv_chunk_row_describe(struct cv_chunk_row *c, const struct cv_event *ev, size_t n);
int cv_chunk_row_put(const struct cv_chunk_row *c, struct cv_row *r, struct cv_wbuf *kinds);
/* From the present row of a statement that selects CV_CHUNKS_COLUMNS, sum. 0, CV_E_NOMEM, CV_E_CORRUPT. */
int cv_chunk_row_read(sqlite3_stmt *st, struct cv_chunk_row *c);
/* Whether the events are those that the row describes. */
bool cv_chunk_row_matches(const struct cv_chunk_row *c, const struct cv_event *ev);

#endif
