/* SPDX-License-Identifier: MIT */
/*
 * Checkpoints. A row of `checkpoints` is a place and a digest. One with state has a row of the same number in `states`:
 * the state, and the list of its pages, both packed with zstd; the list is (page number, row of `pages`) as varint
 * differences. A page's content lies once in `pages`, with its XXH3-128; the writer knows the digests in memory.
 */
#include "logdb/log.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include <zstd.h>

#define PAGE_BYTES 4096
#define STATE_LEVEL 3
#define PAGE_LEVEL 1
#define STATE_MOST (256u << 20)

/* --- Pages --- */

static void page_digest(const void *data, uint8_t digest[16])
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, PAGE_BYTES));
	memcpy(digest, canonical.digest, 16);
}

/* Where a digest is, or would be. */
static struct page_place *page_find(struct cv_log *log, const uint8_t digest[16])
{
	uint64_t h;
	struct page_place *p;

	memcpy(&h, digest, sizeof(h));
	do
		p = &log->page[h++ & (log->page_cap - 1)];
	while (p->no != UINT64_MAX && memcmp(p->digest, digest, 16));
	return p;
}

/* Room for n more digests. */
static int page_room(struct cv_log *log, size_t n, struct cv_error *err)
{
	size_t used = log->rows[TABLE_PAGES], old_cap = log->page_cap, cap = old_cap ? old_cap : 1024;
	struct page_place *old = log->page, *grown;

	while (cap < 2 * (used + n))
		cap *= 2;
	if (cap == old_cap)
		return 0;
	grown = malloc(cap * sizeof(*grown));
	if (!grown)
		return log_nomem(log, err);
	memset(grown, 0xff, cap * sizeof(*grown));
	log->page = grown;
	log->page_cap = cap;
	for (size_t i = 0; i < old_cap; i++)
		if (old[i].no != UINT64_MAX)
			*page_find(log, old[i].digest) = old[i];
	free(old);
	return 0;
}

/* Stores a page's content unless it is there already; *no is its row. */
static int put_page(struct cv_log *log, ZSTD_CCtx *cctx, const uint8_t *data, uint64_t *no, struct cv_error *err)
{
	uint8_t digest[16], packed[PAGE_BYTES];
	struct page_place *place;
	struct cv_row r;
	size_t n;
	int rc;

	page_digest(data, digest);
	place = page_find(log, digest);
	*no = place->no;
	if (place->no != UINT64_MAX)
		return 0;
	n = ZSTD_compressCCtx(cctx, packed, PAGE_BYTES - 1, data, PAGE_BYTES, PAGE_LEVEL);
	cv_row_init(&r, "pages");
	cv_row_int(&r, log->rows[TABLE_PAGES]);
	cv_row_blob(&r, digest, sizeof(digest));
	if (ZSTD_isError(n)) /* it doesn't get smaller */
		cv_row_blob(&r, data, PAGE_BYTES);
	else
		cv_row_blob(&r, packed, n);
	*no = log->rows[TABLE_PAGES];
	rc = log_insert(log, ST_PAGE_PUT, TABLE_PAGES, &r, err);
	if (rc)
		return rc;
	memcpy(place->digest, digest, sizeof(digest));
	place->no = *no;
	return 0;
}

static int put_pages(struct cv_log *log, const struct cv_log_page *pages, size_t n, struct cv_wbuf *list,
		     struct cv_error *err)
{
	ZSTD_CCtx *cctx = ZSTD_createCCtx();
	uint64_t last_page = 0, last_no = 0, no;
	int rc = cctx ? page_room(log, n, err) : log_nomem(log, err);

	for (size_t i = 0; i < n && !rc; i++) {
		rc = put_page(log, cctx, pages[i].data, &no, err);
		cv_put_varint(list, pages[i].page - last_page);
		cv_put_svarint(list, (int64_t)(no - last_no));
		last_page = pages[i].page;
		last_no = no;
	}
	ZSTD_freeCCtx(cctx);
	if (!rc && list->err)
		rc = log_nomem(log, err);
	return rc;
}

static int unpack_page(struct cv_log *log, const struct cv_row *r, uint64_t no, uint8_t data[PAGE_BYTES],
		       struct cv_error *err)
{
	uint8_t digest[16];
	bool ok = r->f[0].i == no && r->f[1].n == sizeof(digest) && r->f[2].n <= PAGE_BYTES;

	if (!log->pages_dctx)
		log->pages_dctx = ZSTD_createDCtx();
	if (!log->pages_dctx)
		return log_nomem(log, err);
	if (ok && r->f[2].n == PAGE_BYTES)
		memcpy(data, r->f[2].p, PAGE_BYTES);
	else if (ok)
		ok = ZSTD_decompressDCtx(log->pages_dctx, data, PAGE_BYTES, r->f[2].p, r->f[2].n) == PAGE_BYTES;
	if (ok) {
		page_digest(data, digest);
		ok = !memcmp(digest, r->f[1].p, sizeof(digest));
	}
	return ok ? 0 : log_row_error(log, CV_E_CORRUPT, "page", no, err);
}

int log_load_page(struct cv_log *log, uint64_t no, uint8_t *data, struct cv_error *err)
{
	sqlite3_stmt *st = NULL;
	struct cv_row r;
	int rc = log_stmt(log, ST_PAGE_GET, &st, err);

	if (rc)
		return rc;
	sqlite3_bind_int64(st, 1, (sqlite3_int64)no);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		rc = cv_row_read(st, "pages", CV_PAGES_FIELDS, &r);
		rc = rc ? log_row_error(log, rc, "page", no, err) : unpack_page(log, &r, no, data, err);
	} else if (rc == SQLITE_DONE) {
		rc = log_row_error(log, CV_E_CORRUPT, "page", no, err);
	} else {
		rc = log_sqlite_error(log, rc, "reading a page", err);
	}
	sqlite3_reset(st);
	return rc;
}

/* --- Writing --- */

/* *out is owned by the caller. Always a zstd frame. */
static int pack(const void *p, size_t n, void **out, size_t *m)
{
	size_t bound = ZSTD_compressBound(n);

	*out = malloc(bound);
	if (!*out)
		return CV_E_NOMEM;
	*m = ZSTD_compress(*out, bound, n ? p : "", n, STATE_LEVEL);
	if (!ZSTD_isError(*m))
		return 0;
	free(*out);
	*out = NULL;
	return CV_E_NOMEM;
}

static int put_state(struct cv_log *log, uint64_t id, const void *state, size_t nstate,
		     const struct cv_log_page *pages, size_t npages, struct cv_error *err)
{
	void *packed = NULL, *packed_list = NULL;
	size_t n = 0, nlist = 0;
	struct cv_wbuf list = { 0 };
	struct cv_row r;
	int rc = put_pages(log, pages, npages, &list, err);

	if (!rc && (pack(state, nstate, &packed, &n) || pack(list.data, list.len, &packed_list, &nlist)))
		rc = log_nomem(log, err);
	if (!rc) {
		cv_row_init(&r, "states");
		cv_row_int(&r, id);
		cv_row_int(&r, nstate);
		cv_row_blob(&r, packed, n);
		cv_row_int(&r, npages);
		cv_row_int(&r, list.len);
		cv_row_blob(&r, packed_list, nlist);
		rc = log_insert(log, ST_STATE_PUT, TABLE_STATES, &r, err);
	}
	free(packed);
	free(packed_list);
	cv_wbuf_release(&list);
	return rc;
}

int cv_log_put_checkpoint(struct cv_log *log, const struct cv_log_checkpoint *cp, const void *state, size_t nstate,
			  const struct cv_log_page *pages, size_t npages, struct cv_error *err)
{
	struct cv_error e = { 0 };
	struct cv_row r;
	int rc = log_begin(log, err);

	if (rc)
		return rc;
	if (cp->id != log->rows[TABLE_CHECKPOINTS] || nstate > STATE_MOST)
		return cv_error_set(err, CV_E_BADINPUT, "%s: checkpoint %llu after %llu", log->path,
				    (unsigned long long)cp->id, (unsigned long long)log->rows[TABLE_CHECKPOINTS]);
	cv_row_init(&r, "checkpoints");
	cv_row_int(&r, cp->id);
	cv_row_pos(&r, &cp->pos);
	cv_row_int(&r, cp->event_seq);
	cv_row_blob(&r, cp->digest, sizeof(cp->digest));
	cv_row_int(&r, state != NULL);
	rc = log_insert(log, ST_CHECKPOINT_PUT, TABLE_CHECKPOINTS, &r, &e);
	if (!rc && state)
		rc = put_state(log, cp->id, state, nstate, pages, npages, &e);
	if (rc) { /* half a checkpoint must not be committed */
		log_fail(log, &e);
		return cv_error_set(err, e.code, "%s", e.msg);
	}
	return 0;
}

/* --- Reading --- */

static int read_checkpoint(struct cv_log *log, sqlite3_stmt *st, uint64_t no, struct cv_log_checkpoint *cp,
			   struct cv_error *err)
{
	struct cv_row r;
	int rc = cv_row_read(st, "checkpoints", CV_CHECKPOINTS_FIELDS, &r);

	if (rc || r.f[0].i != no || r.f[8].n != sizeof(cp->digest))
		return log_row_error(log, rc, "checkpoint", no, err);
	cp->id = no;
	cv_row_get_pos(&r, 1, &cp->pos);
	cp->event_seq = r.f[7].i;
	memcpy(cp->digest, r.f[8].p, sizeof(cp->digest));
	cp->has_state = r.f[9].i != 0;
	return 0;
}

int cv_log_get_checkpoint(struct cv_log *log, uint64_t id, struct cv_log_checkpoint *cp, struct cv_error *err)
{
	sqlite3_stmt *st = NULL;
	int rc = log_stmt(log, ST_CHECKPOINT_FROM, &st, err);

	if (rc)
		return rc;
	sqlite3_bind_int64(st, 1, (sqlite3_int64)id);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		rc = read_checkpoint(log, st, id, cp, err);
	else if (rc != SQLITE_DONE)
		rc = log_sqlite_error(log, rc, "reading checkpoints", err);
	else if (log->sealed && id < log->rows[TABLE_CHECKPOINTS])
		rc = log_row_error(log, CV_E_CORRUPT, "checkpoint", id, err);
	else
		rc = cv_error_set(err, CV_E_NOTFOUND, "%s: has no checkpoint %llu", log->path, (unsigned long long)id);
	sqlite3_reset(st);
	return rc;
}

int cv_log_find_state(struct cv_log *log, uint64_t insns, struct cv_log_checkpoint *cp, struct cv_error *err)
{
	sqlite3_stmt *st = NULL;
	uint64_t next = log->sealed ? log->rows[TABLE_CHECKPOINTS] : 0;
	bool found = false, first = !log->sealed;
	int rc = log_stmt(log, ST_CHECKPOINT_BACK, &st, err);

	if (rc)
		return rc;
	while (!rc && !found && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		uint64_t no = first ? (uint64_t)sqlite3_column_int64(st, 0) : next - 1;

		rc = read_checkpoint(log, st, no, cp, err);
		found = !rc && cp->has_state && cp->pos.insns <= insns;
		first = false;
		next = no;
	}
	if (rc == SQLITE_DONE)
		rc = next ? log_row_error(log, CV_E_CORRUPT, "checkpoint", next - 1, err) :
			    cv_error_set(err, CV_E_NOTFOUND, "%s: has no state at or before %llu", log->path,
					 (unsigned long long)insns);
	else if (rc > 0)
		rc = log_sqlite_error(log, rc, "reading checkpoints", err);
	sqlite3_reset(st);
	return rc;
}

/* *out: n bytes, owned by the caller. */
static int unpack(struct cv_log *log, const struct cv_field *f, uint64_t n, uint8_t **out, struct cv_error *err)
{
	if (n > STATE_MOST)
		return log_corrupt(log, err, "a state of %llu bytes", (unsigned long long)n);
	*out = malloc(n + 1);
	if (!*out)
		return log_nomem(log, err);
	if (ZSTD_decompress(*out, n, f->p, f->n) == n)
		return 0;
	free(*out);
	*out = NULL;
	return log_corrupt(log, err, "a state can't be unpacked");
}

/* There is no row in `states`: was there to be one? */
static int no_state(struct cv_log *log, uint64_t id, struct cv_error *err)
{
	struct cv_log_checkpoint cp;
	int rc = cv_log_get_checkpoint(log, id, &cp, err);

	if (rc)
		return rc;
	if (cp.has_state)
		return log_row_error(log, CV_E_CORRUPT, "state", id, err);
	return cv_error_set(err, CV_E_NOTFOUND, "%s: checkpoint %llu has no state", log->path, (unsigned long long)id);
}

/* The row of `states`, unpacked; both blocks are owned by the caller. */
static int read_state(struct cv_log *log, uint64_t id, uint8_t **state, size_t *nstate, uint8_t **list, size_t *nlist,
		      uint64_t *npages, struct cv_error *err)
{
	sqlite3_stmt *st = NULL;
	struct cv_row r;
	int rc = log_stmt(log, ST_STATE_GET, &st, err);

	if (rc)
		return rc;
	sqlite3_bind_int64(st, 1, (sqlite3_int64)id);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		rc = cv_row_read(st, "states", CV_STATES_FIELDS, &r);
		rc = rc || r.f[0].i != id ? log_row_error(log, rc, "state", id, err) : 0;
		if (!rc)
			rc = unpack(log, &r.f[2], r.f[1].i, state, err);
		if (!rc)
			rc = unpack(log, &r.f[5], r.f[4].i, list, err);
		if (!rc) {
			*nstate = r.f[1].i;
			*npages = r.f[3].i;
			*nlist = r.f[4].i;
		}
	} else if (rc == SQLITE_DONE) {
		rc = no_state(log, id, err);
	} else {
		rc = log_sqlite_error(log, rc, "reading a state", err);
	}
	sqlite3_reset(st);
	return rc;
}

static int each_page(struct cv_log *log, uint64_t id, const uint8_t *list, size_t nlist, uint64_t npages,
		     int (*fn)(void *ctx, uint32_t page, const uint8_t *data), void *ctx, struct cv_error *err)
{
	uint8_t data[PAGE_BYTES];
	uint64_t page = 0, no = 0;
	struct cv_rbuf in;
	int rc = 0;

	cv_rbuf_init(&in, list, nlist);
	for (uint64_t i = 0; i < npages && !rc; i++) {
		page += cv_get_varint(&in);
		no += (uint64_t)cv_get_svarint(&in);
		if (in.err || page > UINT32_MAX)
			return log_row_error(log, CV_E_CORRUPT, "state", id, err);
		rc = log_load_page(log, no, data, err);
		if (!rc && fn && fn(ctx, (uint32_t)page, data))
			return cv_error_set(err, CV_E_INTERRUPTED, "%s: stopped while loading", log->path);
	}
	return !rc && in.pos != in.len ? log_row_error(log, CV_E_CORRUPT, "state", id, err) : rc;
}

int cv_log_load_state(struct cv_log *log, uint64_t id, uint8_t **state, size_t *nstate,
		      int (*fn)(void *ctx, uint32_t page, const uint8_t *data), void *ctx, struct cv_error *err)
{
	uint8_t *list = NULL;
	size_t nlist = 0;
	uint64_t npages = 0;
	int rc;

	*state = NULL;
	*nstate = 0;
	rc = read_state(log, id, state, nstate, &list, &nlist, &npages, err);
	if (!rc)
		rc = each_page(log, id, list, nlist, npages, fn, ctx, err);
	free(list);
	if (rc) {
		free(*state);
		*state = NULL;
		*nstate = 0;
	}
	return rc;
}
