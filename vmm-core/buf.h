/* SPDX-License-Identifier: MIT */
/*
 * Saved state as bytes: little-endian, field by field, no padding, no pointers.
 *
 * A writer grows on the heap, a reader walks borrowed bytes. Both are sticky: after the first failure (no memory, or
 * a read past the end, which yields zeros) every later call does nothing and `err` tells. Check it once, at the end.
 */
#ifndef CV_BUF_H
#define CV_BUF_H

#include <stddef.h>
#include <stdint.h>

struct cv_wbuf {
	uint8_t *data; /* owned; NULL while empty */
	size_t len, cap;
	int err; /* 0 or CV_E_NOMEM */
};

struct cv_rbuf {
	const uint8_t *data; /* borrowed */
	size_t len, pos;
	int err; /* 0 or CV_E_CORRUPT */
};

void cv_wbuf_release(struct cv_wbuf *w);
void cv_put_u8(struct cv_wbuf *w, uint8_t v);
void cv_put_u16(struct cv_wbuf *w, uint16_t v);
void cv_put_u32(struct cv_wbuf *w, uint32_t v);
void cv_put_u64(struct cv_wbuf *w, uint64_t v);
void cv_put_varint(struct cv_wbuf *w, uint64_t v);  /* LEB128 */
void cv_put_svarint(struct cv_wbuf *w, int64_t v);  /* zigzag LEB128 */
void cv_put_bytes(struct cv_wbuf *w, const void *p, size_t n);
void cv_put_blob(struct cv_wbuf *w, const void *p, size_t n); /* varint length, then the bytes */

void cv_rbuf_init(struct cv_rbuf *r, const void *p, size_t n);
uint8_t cv_get_u8(struct cv_rbuf *r);
uint16_t cv_get_u16(struct cv_rbuf *r);
uint32_t cv_get_u32(struct cv_rbuf *r);
uint64_t cv_get_u64(struct cv_rbuf *r);
uint64_t cv_get_varint(struct cv_rbuf *r);
int64_t cv_get_svarint(struct cv_rbuf *r);
void cv_get_bytes(struct cv_rbuf *r, void *p, size_t n);
const void *cv_get_blob(struct cv_rbuf *r, size_t *n); /* borrowed from the reader's bytes; NULL on error */

#endif
