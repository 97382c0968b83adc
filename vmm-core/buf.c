/* SPDX-License-Identifier: MIT */
/*
 * Saved state as bytes: see buf.h. A varint is LEB128: seven bits a byte, low bits first, bit 7 set on all but the
 * last; at most ten bytes. A signed one is zigzag coded first: 0, -1, 1, -2 become 0, 1, 2, 3.
 */
#include "vmm-core/buf.h"

#include <stdlib.h>
#include <string.h>

#include "vmm-core/error.h"

static uint8_t *grow(struct cv_wbuf *w, size_t n)
{
	uint8_t *p;

	if (w->err)
		return NULL;
	if (n > w->cap - w->len) {
		size_t cap = w->cap ? w->cap : 256;

		while (cap - w->len < n) {
			if (cap > SIZE_MAX / 2) {
				w->err = CV_E_NOMEM;
				return NULL;
			}
			cap *= 2;
		}
		p = realloc(w->data, cap);
		if (!p) {
			w->err = CV_E_NOMEM;
			return NULL;
		}
		w->data = p;
		w->cap = cap;
	}
	p = w->data + w->len;
	w->len += n;
	return p;
}

void cv_wbuf_release(struct cv_wbuf *w)
{
	free(w->data);
	memset(w, 0, sizeof(*w));
}

static void put_le(struct cv_wbuf *w, uint64_t v, unsigned n)
{
	uint8_t *p = grow(w, n);
	unsigned i;

	for (i = 0; p && i < n; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

void cv_put_u8(struct cv_wbuf *w, uint8_t v)
{
	put_le(w, v, 1);
}

void cv_put_u16(struct cv_wbuf *w, uint16_t v)
{
	put_le(w, v, 2);
}

void cv_put_u32(struct cv_wbuf *w, uint32_t v)
{
	put_le(w, v, 4);
}

void cv_put_u64(struct cv_wbuf *w, uint64_t v)
{
	put_le(w, v, 8);
}

void cv_put_varint(struct cv_wbuf *w, uint64_t v)
{
	uint8_t b[10];
	unsigned n = 0;

	do {
		b[n] = v & 0x7f;
		v >>= 7;
		if (v)
			b[n] |= 0x80;
		n++;
	} while (v);
	cv_put_bytes(w, b, n);
}

void cv_put_svarint(struct cv_wbuf *w, int64_t v)
{
	cv_put_varint(w, ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0));
}

void cv_put_bytes(struct cv_wbuf *w, const void *p, size_t n)
{
	uint8_t *to;

	if (!n)
		return;
	to = grow(w, n);
	if (to)
		memcpy(to, p, n);
}

void cv_put_blob(struct cv_wbuf *w, const void *p, size_t n)
{
	cv_put_varint(w, n);
	cv_put_bytes(w, p, n);
}

void cv_rbuf_init(struct cv_rbuf *r, const void *p, size_t n)
{
	r->data = p;
	r->len = n;
	r->pos = 0;
	r->err = 0;
}

static const uint8_t *take(struct cv_rbuf *r, size_t n)
{
	const uint8_t *p;

	if (r->err)
		return NULL;
	if (n > r->len - r->pos) {
		r->err = CV_E_CORRUPT;
		return NULL;
	}
	p = r->data + r->pos;
	r->pos += n;
	return p;
}

static uint64_t get_le(struct cv_rbuf *r, unsigned n)
{
	const uint8_t *p = take(r, n);
	uint64_t v = 0;
	unsigned i;

	for (i = 0; p && i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

uint8_t cv_get_u8(struct cv_rbuf *r)
{
	return (uint8_t)get_le(r, 1);
}

uint16_t cv_get_u16(struct cv_rbuf *r)
{
	return (uint16_t)get_le(r, 2);
}

uint32_t cv_get_u32(struct cv_rbuf *r)
{
	return (uint32_t)get_le(r, 4);
}

uint64_t cv_get_u64(struct cv_rbuf *r)
{
	return get_le(r, 8);
}

uint64_t cv_get_varint(struct cv_rbuf *r)
{
	uint64_t v = 0;
	unsigned shift;

	for (shift = 0; shift < 64; shift += 7) {
		const uint8_t *p = take(r, 1);

		if (!p)
			return 0;
		if (shift == 63 && *p > 1)
			break; /* does not fit 64 bits */
		v |= (uint64_t)(*p & 0x7f) << shift;
		if (!(*p & 0x80))
			return v;
	}
	r->err = CV_E_CORRUPT;
	return 0;
}

int64_t cv_get_svarint(struct cv_rbuf *r)
{
	uint64_t v = cv_get_varint(r);

	return (int64_t)((v >> 1) ^ (v & 1 ? UINT64_MAX : 0));
}

void cv_get_bytes(struct cv_rbuf *r, void *p, size_t n)
{
	const uint8_t *from;

	if (!n)
		return;
	from = take(r, n);
	if (from)
		memcpy(p, from, n);
	else
		memset(p, 0, n);
}

const void *cv_get_blob(struct cv_rbuf *r, size_t *n)
{
	uint64_t len = cv_get_varint(r);
	const void *p;

	*n = 0;
	if (!r->err && len > r->len - r->pos)
		r->err = CV_E_CORRUPT;
	p = take(r, (size_t)len);
	if (p)
		*n = (size_t)len;
	return p;
}
