/* SPDX-License-Identifier: MIT */
/*
 * Inside of struct cv_log, for the files of logdb/ alone.
 *
 * The log keeps an index of the chunks in memory: where each begins, in events and instructions, and its first
 * asynchronous event. A reader loads what is new whenever someone asks beyond the end. A writer adds what it commits.
 *
 * A small chunk is dear: so the last one stays open, and a commit replaces its row by a longer one until it is large
 * enough (CV_CHUNK_CLOSES). To a reader the last chunk of its index may thus grow, at its end alone; the others are
 * as they will always be.
 *
 * A recording that was closed cleanly holds the meta row "sealed": how many rows each table has. It tells a lost row.
 */
#ifndef CV_LOGDB_LOG_H
#define CV_LOGDB_LOG_H

#include "logdb/chunk.h"
#include "logdb/logdb.h"
#include "logdb/rows.h"
#include "logdb/schema.h"

enum cv_log_table { TABLE_META, TABLE_IMAGES, TABLE_CHUNKS, TABLE_CHECKPOINTS, TABLE_STATES, TABLE_PAGES,
		    TABLE_LINES, TABLE_MARKS, TABLES };

/* Statements, prepared when first needed; store.c holds their text. */
enum cv_log_statement {
	ST_BEGIN, ST_COMMIT, ST_ROLLBACK,
	ST_META_PUT, ST_META_ALL,
	ST_IMAGE_PUT, ST_IMAGE_ALL, ST_IMAGE_DATA,
	ST_CHUNK_PUT, ST_CHUNK_REPLACE, ST_CHUNK_ROWS, ST_CHUNK_DATA,
	ST_CHECKPOINT_PUT, ST_CHECKPOINT_FROM, ST_CHECKPOINT_BACK,
	ST_STATE_PUT, ST_STATE_GET,
	ST_PAGE_PUT, ST_PAGE_GET,
	ST_LINE_PUT, ST_LINE_FROM, ST_LINE_LAST,
	ST_MARK_PUT, ST_MARK_ALL,
	STATEMENTS
};

struct chunk_place {
	uint64_t seq, insns, last_insns;
	uint32_t count;
	int32_t async; /* place of the first asynchronous event; -1: none */
};

struct page_place { /* in the writer's table of pages: open addressing, no == UINT64_MAX where empty */
	uint8_t digest[16];
	uint64_t no;
};

struct cv_log {
	sqlite3 *db;			 /* owned */
	char *path;			 /* owned */
	sqlite3_stmt *st[STATEMENTS];	 /* owned */
	bool writing, in_tx, sealed, events_vtab;
	struct cv_error failed;		 /* writer: the first error sticks */
	uint64_t rows[TABLES];		 /* writer: so far; reader: as sealed */
	struct chunk_place *chunk;	 /* owned */
	size_t nchunks, chunk_cap;
	struct cv_chunk_codec *codec;	 /* owned, made when first needed */
	struct ZSTD_DCtx_s *pages_dctx;	 /* owned, made when the first page is unpacked */
	struct cv_event *pending;	 /* writer: the open chunk, owned */
	size_t npending, ncommitted;	 /* writer: events in it; so many of them are in the last chunk of the index */
	struct cv_pos last;		 /* writer: of the last event */
	struct page_place *page;	 /* owned */
	size_t page_cap;		 /* a power of two, or 0 */
};

/* The statement, reset and unbound; *st is borrowed. */
int log_stmt(struct cv_log *log, enum cv_log_statement id, sqlite3_stmt **st, struct cv_error *err);
/* Sets err from SQLite's present error. `what`: what was being done. */
int log_sqlite_error(struct cv_log *log, int rc, const char *what, struct cv_error *err);
int log_nomem(struct cv_log *log, struct cv_error *err);
int log_corrupt(struct cv_log *log, struct cv_error *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* rc of cv_row_read for row `no` of a table, as an error. */
int log_row_error(struct cv_log *log, int rc, const char *table, uint64_t no, struct cv_error *err);

/* Runs a statement that returns no row. */
int log_run(struct cv_log *log, enum cv_log_statement id, const char *what, struct cv_error *err);

/* --- Writing --- */
/* Begins the transaction if none is open. The sticky error, if there is one. Asked first by whatever writes. */
int log_begin(struct cv_log *log, struct cv_error *err);
/* Writes a row in place of another. */
int log_write(struct cv_log *log, enum cv_log_statement id, const struct cv_row *r, struct cv_error *err);
/* Inserts a row and counts it. */
int log_insert(struct cv_log *log, enum cv_log_statement id, enum cv_log_table table, const struct cv_row *r,
	       struct cv_error *err);
void log_roll_back(struct cv_log *log);
/* Latches an error of a writer: nothing is written from here on. Returns err's code. */
int log_fail(struct cv_log *log, struct cv_error *err);

/* --- Reading --- */
/* After a scan to the end: a sealed table must have had so many rows. */
int log_check_rows(struct cv_log *log, enum cv_log_table table, uint64_t seen, struct cv_error *err);
/* A page's 4096 bytes. */
int log_load_page(struct cv_log *log, uint64_t no, uint8_t *data, struct cv_error *err);
/* Loads the chunks' places that are not in the index yet, and what the last one has gained. */
int log_refresh(struct cv_log *log, struct cv_error *err);
uint64_t log_events(const struct cv_log *log); /* in the index */
int log_codec(struct cv_log *log, struct cv_error *err);
/*
 * Decodes chunk `no` of the index into ev (room for CV_CHUNK_EVENTS). Is it the last one and longer by now, the index
 * has its new count afterwards.
 */
int log_load_chunk(struct cv_log *log, uint64_t no, struct cv_event *ev, struct cv_error *err);

#endif
