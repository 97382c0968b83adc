/* SPDX-License-Identifier: MIT */
/*
 * SQLite's interface, as a program that links SQLite sees it, or (CV_EVENTS_EXTENSION) as an extension does that the
 * program's SQLite loads. rows.c and vtab.c are compiled for both.
 */
#ifndef CV_LOGDB_SQLITE_H
#define CV_LOGDB_SQLITE_H

#ifdef CV_EVENTS_EXTENSION
#include <sqlite3ext.h>
SQLITE_EXTENSION_INIT3
#else
#include <sqlite3.h>
#endif

#endif
