/* SPDX-License-Identifier: MIT */
/* The loadable extension: `.load ./chronovisor_events`, then SELECT * FROM events on an open recording. */
#include <sqlite3ext.h>
SQLITE_EXTENSION_INIT1

#include "logdb/vtab.h"

/* SQLite looks this name up in chronovisor_events.so. */
int sqlite3_chronovisorevents_init(sqlite3 *db, char **msg, const sqlite3_api_routines *api);

int sqlite3_chronovisorevents_init(sqlite3 *db, char **msg, const sqlite3_api_routines *api)
{
	SQLITE_EXTENSION_INIT2(api);
	(void)msg;
	return cv_events_register(db);
}
