/* SPDX-License-Identifier: MIT */
/*
 * The tables of a recording. docs/log-format.md describes them column by column.
 *
 * `sum` is in each row the checksum of the columns before it (rows.h). `no` counts from 0 without a gap.
 */
#ifndef CV_LOGDB_SCHEMA_H
#define CV_LOGDB_SCHEMA_H

#define CV_SCHEMA                                                                                                      \
	"CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID;"            \
	"CREATE TABLE images(no INTEGER PRIMARY KEY, role TEXT NOT NULL, ordinal INTEGER NOT NULL,"                    \
	" name TEXT NOT NULL, args TEXT, size INTEGER NOT NULL, data_sum INTEGER NOT NULL, sum INTEGER NOT NULL,"      \
	" data BLOB NOT NULL);"                                                                                        \
	"CREATE TABLE chunks(no INTEGER PRIMARY KEY, seq INTEGER NOT NULL, count INTEGER NOT NULL,"                    \
	" insns INTEGER NOT NULL, last_insns INTEGER NOT NULL, async INTEGER, kinds BLOB NOT NULL,"                    \
	" data_sum INTEGER NOT NULL, sum INTEGER NOT NULL, data BLOB NOT NULL);"                                       \
	"CREATE TABLE checkpoints(no INTEGER PRIMARY KEY, insns INTEGER NOT NULL, branches INTEGER NOT NULL,"          \
	" rip INTEGER NOT NULL, rcx INTEGER NOT NULL, sub INTEGER NOT NULL, in_rep INTEGER NOT NULL,"                  \
	" event_seq INTEGER NOT NULL, digest BLOB NOT NULL, has_state INTEGER NOT NULL, sum INTEGER NOT NULL);"        \
	"CREATE TABLE states(no INTEGER PRIMARY KEY, size INTEGER NOT NULL, state BLOB NOT NULL,"                      \
	" count INTEGER NOT NULL, pages_size INTEGER NOT NULL, pages BLOB NOT NULL, sum INTEGER NOT NULL);"            \
	"CREATE TABLE pages(no INTEGER PRIMARY KEY, digest BLOB NOT NULL, data BLOB NOT NULL, sum INTEGER NOT NULL);"  \
	"CREATE TABLE lines(no INTEGER PRIMARY KEY, insns INTEGER NOT NULL, branches INTEGER NOT NULL,"                \
	" rip INTEGER NOT NULL, rcx INTEGER NOT NULL, sub INTEGER NOT NULL, in_rep INTEGER NOT NULL,"                  \
	" text TEXT NOT NULL, sum INTEGER NOT NULL);"                                                                  \
	"CREATE TABLE marks(no INTEGER PRIMARY KEY, insns INTEGER NOT NULL, branches INTEGER NOT NULL,"                \
	" rip INTEGER NOT NULL, rcx INTEGER NOT NULL, sub INTEGER NOT NULL, in_rep INTEGER NOT NULL,"                  \
	" name TEXT NOT NULL, text TEXT, sum INTEGER NOT NULL);"

/* Columns that a checksum covers: how many, and in which order to select them. */
#define CV_META_COLUMNS "key, value"
#define CV_IMAGES_COLUMNS "no, role, ordinal, name, args, size, data_sum"
#define CV_CHUNKS_COLUMNS "no, seq, count, insns, last_insns, async, kinds, data_sum"
#define CV_CHECKPOINTS_COLUMNS "no, insns, branches, rip, rcx, sub, in_rep, event_seq, digest, has_state"
#define CV_STATES_COLUMNS "no, size, state, count, pages_size, pages"
#define CV_PAGES_COLUMNS "no, digest, data"
#define CV_LINES_COLUMNS "no, insns, branches, rip, rcx, sub, in_rep, text"
#define CV_MARKS_COLUMNS "no, insns, branches, rip, rcx, sub, in_rep, name, text"
enum {
	CV_META_FIELDS = 2,
	CV_IMAGES_FIELDS = 7,
	CV_CHUNKS_FIELDS = 8,
	CV_CHECKPOINTS_FIELDS = 10,
	CV_STATES_FIELDS = 6,
	CV_PAGES_FIELDS = 3,
	CV_LINES_FIELDS = 8,
	CV_MARKS_FIELDS = 9
};

#endif
