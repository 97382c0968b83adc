/* SPDX-License-Identifier: MIT */
/*
 * The virtual table `events`: see vtab.h. A plan is a string of (column, operator) pairs, one for each argument;
 * SQLite tests every condition again, so what is used here only skips.
 */
#include "logdb/vtab.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "logdb/chunk.h"
#include "logdb/rows.h"
#include "logdb/schema.h"

enum { COL_SEQ, COL_KIND, COL_INSNS, COL_BRANCHES, COL_RIP, COL_RCX, COL_SUB, COL_VALUE, COL_DATA };

#define PLAN_MAX 16

struct table {
	sqlite3_vtab base;
	sqlite3 *db; /* borrowed */
};

struct range {
	sqlite3_int64 lo, hi; /* both included */
};

struct cursor {
	sqlite3_vtab_cursor base;
	struct range seq, insns;
	int kind;		/* 0: any */
	sqlite3_stmt *st;	/* over chunks, owned */
	struct cv_chunk_codec *codec; /* owned */
	struct cv_event *ev;	/* of the present chunk, owned */
	struct cv_chunk_row chunk;
	uint32_t at;		/* in the chunk */
	bool eof;
};

static const char chunks_sql[] = "SELECT " CV_CHUNKS_COLUMNS ", sum, data FROM main.chunks"
				 " WHERE seq + count > ?1 AND seq <= ?2 AND last_insns >= ?3 AND insns <= ?4 ORDER BY no";

static int table_connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **msg)
{
	struct table *t;
	int rc = sqlite3_declare_vtab(db, "CREATE TABLE events(seq INTEGER, kind TEXT, insns INTEGER, branches INTEGER,"
					  " rip INTEGER, rcx INTEGER, sub INTEGER, value INTEGER, data BLOB)");

	(void)aux, (void)argc, (void)argv, (void)msg;
	if (rc != SQLITE_OK)
		return rc;
	t = sqlite3_malloc(sizeof(*t));
	if (!t)
		return SQLITE_NOMEM;
	memset(t, 0, sizeof(*t));
	t->db = db;
	*out = &t->base;
	return SQLITE_OK;
}

static int table_disconnect(sqlite3_vtab *base)
{
	sqlite3_free(base);
	return SQLITE_OK;
}

/* --- The plan --- */

static char plan_operator(int column, int op)
{
	if (column == COL_KIND)
		return op == SQLITE_INDEX_CONSTRAINT_EQ ? '=' : 0;
	if (column != COL_SEQ && column != COL_INSNS)
		return 0;
	switch (op) {
	case SQLITE_INDEX_CONSTRAINT_EQ:
		return '=';
	case SQLITE_INDEX_CONSTRAINT_GT:
	case SQLITE_INDEX_CONSTRAINT_GE:
		return '>';
	case SQLITE_INDEX_CONSTRAINT_LT:
	case SQLITE_INDEX_CONSTRAINT_LE:
		return '<';
	default:
		return 0;
	}
}

static int table_best_index(sqlite3_vtab *base, sqlite3_index_info *info)
{
	char plan[2 * PLAN_MAX + 1];
	int n = 0;
	double cost = 1e7;

	(void)base;
	for (int i = 0; i < info->nConstraint && n < PLAN_MAX; i++) {
		char op = info->aConstraint[i].usable ?
				  plan_operator(info->aConstraint[i].iColumn, info->aConstraint[i].op) : 0;

		if (!op)
			continue;
		plan[2 * n] = (char)('0' + info->aConstraint[i].iColumn);
		plan[2 * n + 1] = op;
		info->aConstraintUsage[i].argvIndex = ++n;
		cost /= op == '=' && info->aConstraint[i].iColumn != COL_KIND ? 1000 : 3;
	}
	plan[2 * n] = '\0';
	info->idxStr = sqlite3_mprintf("%s", plan);
	if (!info->idxStr)
		return SQLITE_NOMEM;
	info->needToFreeIdxStr = 1;
	info->estimatedCost = cost;
	info->estimatedRows = (sqlite3_int64)cost;
	/* Events come in order of seq, so also of insns. */
	if (info->nOrderBy == 1 && !info->aOrderBy[0].desc &&
	    (info->aOrderBy[0].iColumn == COL_SEQ || info->aOrderBy[0].iColumn == COL_INSNS))
		info->orderByConsumed = 1;
	return SQLITE_OK;
}

static void narrow(struct range *r, char op, sqlite3_int64 v)
{
	if ((op == '=' || op == '>') && v > r->lo)
		r->lo = v;
	if ((op == '=' || op == '<') && v < r->hi)
		r->hi = v;
}

/* Whether anything can match at all. */
static bool apply(struct cursor *c, char column, char op, sqlite3_value *v)
{
	if (column == '0' + COL_KIND) {
		const char *name = sqlite3_value_type(v) == SQLITE_TEXT ? (const char *)sqlite3_value_text(v) : NULL;
		int kind = name ? cv_event_kind_by_name(name) : 0;

		if (!kind || (c->kind && c->kind != kind))
			return false;
		c->kind = kind;
	} else if (sqlite3_value_type(v) == SQLITE_INTEGER) {
		narrow(column == '0' + COL_SEQ ? &c->seq : &c->insns, op, sqlite3_value_int64(v));
	}
	return true;
}

/* --- The cursor --- */

static int fail(struct cursor *c, int rc, const char *fmt, ...)
{
	va_list ap;

	c->eof = true;
	sqlite3_free(c->base.pVtab->zErrMsg);
	va_start(ap, fmt);
	c->base.pVtab->zErrMsg = sqlite3_vmprintf(fmt, ap);
	va_end(ap);
	return rc;
}

static int cursor_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out)
{
	struct cursor *c = sqlite3_malloc(sizeof(*c));

	if (!c)
		return SQLITE_NOMEM;
	memset(c, 0, sizeof(*c));
	c->base.pVtab = base;
	c->ev = malloc(CV_CHUNK_EVENTS * sizeof(*c->ev));
	if (!c->ev || cv_chunk_codec_new(&c->codec)) {
		free(c->ev);
		sqlite3_free(c);
		return SQLITE_NOMEM;
	}
	*out = &c->base;
	return SQLITE_OK;
}

static int cursor_close(sqlite3_vtab_cursor *base)
{
	struct cursor *c = (struct cursor *)base;

	sqlite3_finalize(c->st);
	cv_chunk_codec_free(c->codec);
	free(c->ev);
	sqlite3_free(c);
	return SQLITE_OK;
}

static int decode(struct cursor *c)
{
	const void *data;
	size_t n;
	int rc = cv_chunk_row_read(c->st, &c->chunk);

	if (!rc && c->kind && !c->chunk.by_kind[c->kind]) {
		c->at = c->chunk.count;
		return SQLITE_OK;
	}
	data = sqlite3_column_blob(c->st, CV_CHUNKS_FIELDS + 1);
	n = (size_t)sqlite3_column_bytes(c->st, CV_CHUNKS_FIELDS + 1);
	if (!rc && (!data || cv_sum(data, n) != c->chunk.data_sum))
		rc = CV_E_CORRUPT;
	if (!rc)
		rc = cv_chunk_decode(c->codec, data, n, c->ev, c->chunk.count);
	if (!rc && !cv_chunk_row_matches(&c->chunk, c->ev))
		rc = CV_E_CORRUPT;
	c->at = 0;
	if (rc == CV_E_NOMEM)
		return SQLITE_NOMEM;
	return rc ? fail(c, SQLITE_CORRUPT, "chunk %lld of the recording is damaged",
			 (long long)sqlite3_column_int64(c->st, 0)) : SQLITE_OK;
}

/* Moves on to an event of the kind sought, loading chunks as needed. */
static int settle(struct cursor *c)
{
	for (;;) {
		int rc;

		while (c->at < c->chunk.count && c->kind && (int)c->ev[c->at].kind != c->kind)
			c->at++;
		if (c->at < c->chunk.count)
			return SQLITE_OK;
		rc = sqlite3_step(c->st);
		if (rc == SQLITE_DONE) {
			c->eof = true;
			return SQLITE_OK;
		}
		if (rc == SQLITE_ROW)
			rc = decode(c);
		else
			rc = fail(c, rc, "%s", sqlite3_errmsg(sqlite3_db_handle(c->st)));
		if (rc != SQLITE_OK)
			return rc;
	}
}

static int cursor_filter(sqlite3_vtab_cursor *base, int num, const char *plan, int argc, sqlite3_value **argv)
{
	const sqlite3_int64 max = (sqlite3_int64)(~UINT64_C(0) >> 1);
	struct cursor *c = (struct cursor *)base;
	sqlite3 *db = ((struct table *)base->pVtab)->db;

	(void)num;
	c->seq = c->insns = (struct range){ 0, max };
	c->kind = 0;
	c->at = c->chunk.count = 0;
	c->eof = false;
	for (int i = 0; i < argc; i++) {
		if (!apply(c, plan[2 * i], plan[2 * i + 1], argv[i])) {
			c->eof = true;
			return SQLITE_OK;
		}
	}
	if (!c->st && sqlite3_prepare_v2(db, chunks_sql, -1, &c->st, NULL) != SQLITE_OK)
		return fail(c, SQLITE_ERROR, "the main database is not a Chronovisor recording: %s", sqlite3_errmsg(db));
	sqlite3_reset(c->st);
	sqlite3_bind_int64(c->st, 1, c->seq.lo);
	sqlite3_bind_int64(c->st, 2, c->seq.hi);
	sqlite3_bind_int64(c->st, 3, c->insns.lo);
	sqlite3_bind_int64(c->st, 4, c->insns.hi);
	return settle(c);
}

static int cursor_next(sqlite3_vtab_cursor *base)
{
	struct cursor *c = (struct cursor *)base;

	c->at++;
	return settle(c);
}

static int cursor_eof(sqlite3_vtab_cursor *base)
{
	return ((struct cursor *)base)->eof;
}

static int cursor_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid)
{
	struct cursor *c = (struct cursor *)base;

	*rowid = (sqlite3_int64)(c->chunk.seq + c->at);
	return SQLITE_OK;
}

static int cursor_column(sqlite3_vtab_cursor *base, sqlite3_context *ctx, int column)
{
	const struct cursor *c = (const struct cursor *)base;
	const struct cv_event *ev = &c->ev[c->at];

	switch (column) {
	case COL_SEQ:
		sqlite3_result_int64(ctx, (sqlite3_int64)(c->chunk.seq + c->at));
		break;
	case COL_KIND:
		sqlite3_result_text(ctx, cv_event_kind_name(ev->kind), -1, SQLITE_STATIC);
		break;
	case COL_INSNS:
		sqlite3_result_int64(ctx, (sqlite3_int64)ev->pos.insns);
		break;
	case COL_BRANCHES:
		sqlite3_result_int64(ctx, (sqlite3_int64)ev->pos.branches);
		break;
	case COL_RIP:
		sqlite3_result_int64(ctx, (sqlite3_int64)ev->pos.rip);
		break;
	case COL_RCX:
		if (ev->pos.in_rep)
			sqlite3_result_int64(ctx, (sqlite3_int64)ev->pos.rcx);
		break;
	case COL_SUB:
		sqlite3_result_int64(ctx, ev->pos.sub);
		break;
	case COL_VALUE:
		sqlite3_result_int64(ctx, (sqlite3_int64)ev->value);
		break;
	case COL_DATA:
		if (ev->len)
			sqlite3_result_blob(ctx, ev->data, (int)ev->len, SQLITE_TRANSIENT);
		break;
	}
	return SQLITE_OK;
}

static const sqlite3_module events_module = {
	.iVersion = 1,
	.xConnect = table_connect,
	.xBestIndex = table_best_index,
	.xDisconnect = table_disconnect,
	.xOpen = cursor_open,
	.xClose = cursor_close,
	.xFilter = cursor_filter,
	.xNext = cursor_next,
	.xEof = cursor_eof,
	.xColumn = cursor_column,
	.xRowid = cursor_rowid,
};

int cv_events_register(sqlite3 *db)
{
	return sqlite3_create_module_v2(db, "events", &events_module, NULL, NULL);
}
