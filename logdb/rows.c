/* SPDX-License-Identifier: MIT */
/* Rows with a checksum, and the row of a chunk: see rows.h. */
#include "logdb/rows.h"

#include <assert.h>
#include <string.h>
#include <xxhash.h>

#include "logdb/chunk.h"
#include "logdb/schema.h"
#include "vmm-core/buf.h"
#include "vmm-core/error.h"

void cv_row_init(struct cv_row *r, const char *table)
{
	memset(r, 0, sizeof(*r));
	r->table = table;
}

static struct cv_field *add(struct cv_row *r, int type, const void *p, size_t n)
{
	struct cv_field *f = &r->f[r->n++];

	assert(r->n <= CV_ROW_FIELDS);
	f->type = type;
	f->p = p;
	f->n = n;
	return f;
}

void cv_row_int(struct cv_row *r, uint64_t v)
{
	add(r, CV_FIELD_INT, NULL, 0)->i = v;
}

void cv_row_text(struct cv_row *r, const char *p, size_t n)
{
	add(r, p ? CV_FIELD_TEXT : CV_FIELD_NULL, p, n);
}

void cv_row_blob(struct cv_row *r, const void *p, size_t n)
{
	add(r, CV_FIELD_BLOB, p, n);
}

void cv_row_null(struct cv_row *r)
{
	add(r, CV_FIELD_NULL, NULL, 0);
}

void cv_row_pos(struct cv_row *r, const struct cv_pos *pos)
{
	cv_row_int(r, pos->insns);
	cv_row_int(r, pos->branches);
	cv_row_int(r, pos->rip);
	cv_row_int(r, pos->rcx);
	cv_row_int(r, pos->sub);
	cv_row_int(r, pos->in_rep);
}

uint64_t cv_sum(const void *p, size_t n)
{
	return XXH3_64bits(n ? p : "", n);
}

static uint64_t row_sum(const struct cv_row *r)
{
	uint64_t h = cv_sum(r->table, strlen(r->table));

	for (unsigned i = 0; i < r->n; i++) {
		const struct cv_field *f = &r->f[i];
		uint8_t le[8];

		for (unsigned j = 0; j < 8; j++)
			le[j] = (uint8_t)(f->i >> (8 * j));
		if (f->type == CV_FIELD_INT)
			h = XXH3_64bits_withSeed(le, 8, h + CV_FIELD_INT);
		else
			h = XXH3_64bits_withSeed(f->n ? f->p : "", f->n, h + (uint64_t)f->type);
	}
	return h;
}

static int bind_field(sqlite3_stmt *st, int at, const struct cv_field *f)
{
	switch (f->type) {
	case CV_FIELD_INT:
		return sqlite3_bind_int64(st, at, (sqlite3_int64)f->i);
	case CV_FIELD_TEXT:
		return sqlite3_bind_text64(st, at, f->p, f->n, SQLITE_STATIC, SQLITE_UTF8);
	case CV_FIELD_BLOB:
		return sqlite3_bind_blob64(st, at, f->n ? f->p : "", f->n, SQLITE_STATIC);
	default:
		return sqlite3_bind_null(st, at);
	}
}

int cv_row_bind(sqlite3_stmt *st, const struct cv_row *r)
{
	for (unsigned i = 0; i < r->n; i++) {
		int rc = bind_field(st, (int)i + 1, &r->f[i]);

		if (rc != SQLITE_OK)
			return rc;
	}
	return sqlite3_bind_int64(st, (int)r->n + 1, (sqlite3_int64)row_sum(r));
}

static int read_field(sqlite3_stmt *st, int at, struct cv_row *r)
{
	int type = sqlite3_column_type(st, at), n;
	const void *p;

	switch (type) {
	case SQLITE_INTEGER:
		cv_row_int(r, (uint64_t)sqlite3_column_int64(st, at));
		return 0;
	case SQLITE_NULL:
		cv_row_null(r);
		return 0;
	case SQLITE_TEXT:
	case SQLITE_BLOB:
		p = type == SQLITE_TEXT ? (const void *)sqlite3_column_text(st, at) : sqlite3_column_blob(st, at);
		n = sqlite3_column_bytes(st, at);
		if (!p && n)
			return CV_E_NOMEM;
		if (!p) { /* an empty one, or no memory for it */
			if (sqlite3_errcode(sqlite3_db_handle(st)) == SQLITE_NOMEM)
				return CV_E_NOMEM;
			p = "";
		}
		add(r, type == SQLITE_TEXT ? CV_FIELD_TEXT : CV_FIELD_BLOB, p, (size_t)n);
		return 0;
	default:
		return CV_E_CORRUPT; /* nothing of ours is a float */
	}
}

int cv_row_read(sqlite3_stmt *st, const char *table, unsigned n, struct cv_row *r)
{
	cv_row_init(r, table);
	for (unsigned i = 0; i < n; i++) {
		int rc = read_field(st, (int)i, r);

		if (rc)
			return rc;
	}
	if (sqlite3_column_type(st, (int)n) != SQLITE_INTEGER)
		return CV_E_CORRUPT;
	return (uint64_t)sqlite3_column_int64(st, (int)n) == row_sum(r) ? 0 : CV_E_CORRUPT;
}

void cv_row_get_pos(const struct cv_row *r, unsigned first, struct cv_pos *pos)
{
	memset(pos, 0, sizeof(*pos));
	pos->insns = r->f[first].i;
	pos->branches = r->f[first + 1].i;
	pos->rip = r->f[first + 2].i;
	pos->rcx = r->f[first + 3].i;
	pos->sub = (uint32_t)r->f[first + 4].i;
	pos->in_rep = r->f[first + 5].i != 0;
}

/* --- Chunks --- */

void cv_chunk_row_describe(struct cv_chunk_row *c, const struct cv_event *ev, size_t n)
{
	c->insns = ev[0].pos.insns;
	c->last_insns = ev[n - 1].pos.insns;
	c->count = (uint32_t)n;
	c->async = -1;
	memset(c->by_kind, 0, sizeof(c->by_kind));
	for (size_t i = 0; i < n; i++) {
		c->by_kind[ev[i].kind]++;
		if (c->async < 0 && cv_event_is_async(ev[i].kind))
			c->async = (int32_t)i;
	}
}

int cv_chunk_row_put(const struct cv_chunk_row *c, struct cv_row *r, struct cv_wbuf *kinds)
{
	size_t at = kinds->len;

	for (unsigned k = 1; k < CV_EV_KINDS; k++)
		cv_put_varint(kinds, c->by_kind[k]);
	if (kinds->err)
		return kinds->err;
	cv_row_init(r, "chunks");
	cv_row_int(r, c->no);
	cv_row_int(r, c->seq);
	cv_row_int(r, c->count);
	cv_row_int(r, c->insns);
	cv_row_int(r, c->last_insns);
	if (c->async < 0)
		cv_row_null(r);
	else
		cv_row_int(r, (uint64_t)c->async);
	cv_row_blob(r, kinds->data + at, kinds->len - at);
	cv_row_int(r, c->data_sum);
	return 0;
}

int cv_chunk_row_read(sqlite3_stmt *st, struct cv_chunk_row *c)
{
	struct cv_row r;
	struct cv_rbuf kinds;
	int rc = cv_row_read(st, "chunks", CV_CHUNKS_FIELDS, &r);

	if (rc)
		return rc;
	c->no = r.f[0].i;
	c->seq = r.f[1].i;
	c->insns = r.f[3].i;
	c->last_insns = r.f[4].i;
	c->data_sum = r.f[7].i;
	if (r.f[2].i < 1 || r.f[2].i > CV_CHUNK_EVENTS || c->last_insns < c->insns)
		return CV_E_CORRUPT;
	c->count = (uint32_t)r.f[2].i;
	if (r.f[5].type != CV_FIELD_NULL && r.f[5].i >= c->count)
		return CV_E_CORRUPT;
	c->async = r.f[5].type == CV_FIELD_NULL ? -1 : (int32_t)r.f[5].i;
	cv_rbuf_init(&kinds, r.f[6].p, r.f[6].n);
	memset(c->by_kind, 0, sizeof(c->by_kind));
	for (unsigned k = 1; k < CV_EV_KINDS && kinds.pos < kinds.len; k++)
		c->by_kind[k] = (uint32_t)cv_get_varint(&kinds);
	return kinds.err || kinds.pos != kinds.len ? CV_E_CORRUPT : 0;
}

bool cv_chunk_row_matches(const struct cv_chunk_row *c, const struct cv_event *ev)
{
	struct cv_chunk_row d;

	cv_chunk_row_describe(&d, ev, c->count);
	return d.insns == c->insns && d.last_insns == c->last_insns && d.async == c->async &&
	       !memcmp(d.by_kind, c->by_kind, sizeof(d.by_kind));
}
