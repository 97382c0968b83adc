/* SPDX-License-Identifier: MIT */
/*
 * The virtual table `events`: a row for each event in the chunks of the connection's main database.
 *
 *   events(seq INTEGER, kind TEXT, insns INTEGER, branches INTEGER, rip INTEGER, rcx INTEGER, sub INTEGER,
 *          value INTEGER, data BLOB)
 *
 * rcx is NULL outside of a REP, data where there are no bytes; 64-bit numbers appear signed. It is there without a
 * CREATE. Ranges of seq and insns and one kind are used to skip chunks.
 */
#ifndef CV_LOGDB_VTAB_H
#define CV_LOGDB_VTAB_H

#include "logdb/sqlite.h"

/* SQLITE_OK or SQLite's error. */
int cv_events_register(sqlite3 *db);

#endif
