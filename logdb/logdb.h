/* SPDX-License-Identifier: MIT */
/*
 * The recording: one SQLite file, `*.cvr`. Knows positions, events and bytes, not machines.
 *
 * Events are appended in order and live in compressed chunks; a chunk is committed at the latest when the recorder
 * calls cv_log_commit (every 250 ms). WAL: whatever kills the writer, the file opens and reads to its last commit.
 * docs/log-format.md is the format. The first error sticks to a writing log: later appends return it.
 */
#ifndef CV_LOGDB_H
#define CV_LOGDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm-core/error.h"
#include "vmm-core/event.h"

struct cv_log;

#define CV_LOG_APPLICATION_ID 0x43565231 /* "CVR1" */
#define CV_LOG_VERSION 2 /* 1: before the CPU state held AVX, PDPTEs and the results of Intel's cores */

/* --- Opening --- */

/*
 * Creates a recording for writing. CV_E_EXIST where the file exists, unless `force` (then the old one, with its -wal
 * and -shm, is replaced). CV_E_IO for an unwritable directory or a full disk.
 */
int cv_log_create(struct cv_log **out, const char *path, bool force, struct cv_error *err);
/*
 * Opens an existing one for reading. CV_E_BADINPUT: not there, not a recording; CV_E_VERSION: of a newer version;
 * CV_E_CORRUPT: truncated, damaged. Works while a recorder is still writing (sees what was committed), and on a file
 * whose recorder was killed.
 */
int cv_log_open(struct cv_log **out, const char *path, struct cv_error *err);
/*
 * Reads everything once and verifies every chunk's, image's, page's and checkpoint's checksum: CV_E_CORRUPT names the
 * first that is damaged.
 */
int cv_log_verify(struct cv_log *log, struct cv_error *err);
/* Commits what is pending (if writing), folds the WAL into the file, closes. Frees log in any case; NULL is fine. */
int cv_log_close(struct cv_log *log, struct cv_error *err);

/* --- Meta: what identifies and describes the run. Keys and values are text. --- */
int cv_log_set_meta(struct cv_log *log, const char *key, const char *value, struct cv_error *err);
int cv_log_set_meta_u64(struct cv_log *log, const char *key, uint64_t value, struct cv_error *err);
/* *value: owned by the caller (free), NULL with return 0 where the key is absent. */
int cv_log_get_meta(struct cv_log *log, const char *key, char **value, struct cv_error *err);
/* CV_E_NOTFOUND where the key is absent, CV_E_CORRUPT where it is no number. */
int cv_log_get_meta_u64(struct cv_log *log, const char *key, uint64_t *value, struct cv_error *err);

/* --- Images: kernel, initrd, modules. Whole bytes in the file, checksummed. --- */
/* role: "kernel", "initrd", "module"; ordinal: 0, 1, ... within the role; args may be NULL. */
int cv_log_put_image(struct cv_log *log, const char *role, unsigned ordinal, const char *name, const char *args,
		     const void *data, size_t n, struct cv_error *err);
/* Strings and data are owned by the caller (free). CV_E_NOTFOUND, CV_E_CORRUPT. */
int cv_log_get_image(struct cv_log *log, const char *role, unsigned ordinal, char **name, char **args,
		     uint8_t **data, size_t *n, struct cv_error *err);

/* --- Events --- */
int cv_log_append(struct cv_log *log, const struct cv_event *ev, struct cv_error *err);
/* Closes the open chunk and commits everything so far. Cheap where nothing is pending. */
int cv_log_commit(struct cv_log *log, struct cv_error *err);
/* Events appended (writer) or committed (reader). */
uint64_t cv_log_event_count(struct cv_log *log);

struct cv_log_cursor;
/* A cursor before the first event. Several may be open. On a log open for writing it sees what was committed. */
int cv_log_cursor_new(struct cv_log_cursor **out, struct cv_log *log, struct cv_error *err);
void cv_log_cursor_free(struct cv_log_cursor *cur);
/*
 * The next event: 0 and *ev, CV_E_END after the last one (call again later on a growing log), CV_E_CORRUPT. ev stays
 * valid until the next call.
 */
int cv_log_cursor_next(struct cv_log_cursor *cur, const struct cv_event **ev, struct cv_error *err);
/* Looks ahead: the first event at or after the cursor that is asynchronous, without moving. 0, CV_E_END, CV_E_CORRUPT. */
int cv_log_cursor_peek_async(struct cv_log_cursor *cur, const struct cv_event **ev, struct cv_error *err);
/* Moves before event number seq (0 = first). */
int cv_log_cursor_seek(struct cv_log_cursor *cur, uint64_t seq, struct cv_error *err);
/* Moves before the first event at or after an instruction count. */
int cv_log_cursor_seek_insns(struct cv_log_cursor *cur, uint64_t insns, struct cv_error *err);
/* Number of the event that cv_log_cursor_next will return. */
uint64_t cv_log_cursor_tell(const struct cv_log_cursor *cur);

/* --- Console lines with their positions, and marks --- */
/* One line as printed (no newline), at the position where its newline (or the end of the run) came. */
int cv_log_put_line(struct cv_log *log, const struct cv_pos *pos, const char *text, size_t n, struct cv_error *err);
/* Calls fn for the lines whose position is in [from, to] insns, in order; fn returns non-zero to stop. */
int cv_log_lines(struct cv_log *log, uint64_t from, uint64_t to,
		 int (*fn)(void *ctx, const struct cv_pos *pos, const char *text, size_t n), void *ctx,
		 struct cv_error *err);
/* A named place: "crash", "end", or a user's own. */
int cv_log_put_mark(struct cv_log *log, const struct cv_pos *pos, const char *name, const char *text,
		    struct cv_error *err);
int cv_log_marks(struct cv_log *log,
		 int (*fn)(void *ctx, const struct cv_pos *pos, const char *name, const char *text), void *ctx,
		 struct cv_error *err);

/* --- Checkpoints --- */
struct cv_log_page {
	uint32_t page;	     /* RAM page number */
	const uint8_t *data; /* 4096 bytes, borrowed */
};
struct cv_log_checkpoint {
	uint64_t id;	    /* 0, 1, ... in order of position */
	struct cv_pos pos;
	uint64_t event_seq; /* number of the first event after it */
	uint8_t digest[16]; /* of CPU, devices and the pages dirtied since the checkpoint before */
	bool has_state;	    /* state and pages are in the file: one can start here */
};
/*
 * Writes one. state NULL: digest only. Else state bytes and ALL pages that differ from zeroed RAM as of this
 * checkpoint; pages with equal content are stored once in the whole file.
 */
int cv_log_put_checkpoint(struct cv_log *log, const struct cv_log_checkpoint *cp, const void *state, size_t nstate,
			  const struct cv_log_page *pages, size_t npages, struct cv_error *err);
/* The checkpoint with this id; CV_E_NOTFOUND after the last. */
int cv_log_get_checkpoint(struct cv_log *log, uint64_t id, struct cv_log_checkpoint *cp, struct cv_error *err);
/* The last checkpoint with state at or before insns; CV_E_NOTFOUND. */
int cv_log_find_state(struct cv_log *log, uint64_t insns, struct cv_log_checkpoint *cp, struct cv_error *err);
/* State bytes (owned by the caller) and its pages through fn, in order of page number; data borrowed for the call. */
int cv_log_load_state(struct cv_log *log, uint64_t id, uint8_t **state, size_t *nstate,
		      int (*fn)(void *ctx, uint32_t page, const uint8_t *data), void *ctx, struct cv_error *err);

/*
 * The connection, with the virtual table `events` (vtab.h) in it: for queries of a log opened for reading. Borrowed;
 * NULL with err set.
 */
struct sqlite3 *cv_log_sqlite(struct cv_log *log, struct cv_error *err);
/* Where the recording is, as it was given. */
const char *cv_log_path(const struct cv_log *log);

/* --- Statistics for `chronovisor info` --- */
struct cv_log_stats {
	uint64_t file_bytes, events, chunks, chunk_bytes, image_bytes, page_bytes, pages, checkpoints, lines;
	uint64_t by_kind[CV_EV_KINDS];
	struct cv_pos last; /* position of the last event */
	bool complete;	    /* an END event is there */
};
int cv_log_get_stats(struct cv_log *log, struct cv_log_stats *st, struct cv_error *err);

#endif
