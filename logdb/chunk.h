/* SPDX-License-Identifier: MIT */
/*
 * The chunk codec: a run of events as bytes, and back.
 *
 * A chunk stands for itself: nothing outside of its bytes and the number of its events is needed to decode it. Encoder
 * and decoder hold one model of what the guest does next and change it in the same way after every event; only what
 * the model did not foresee is written. docs/log-format.md, "Inside a chunk", is the definition.
 */
#ifndef CV_LOGDB_CHUNK_H
#define CV_LOGDB_CHUNK_H

#include <stddef.h>
#include <stdint.h>

#include "vmm-core/buf.h"
#include "vmm-core/error.h"
#include "vmm-core/event.h"

#define CV_CHUNK_EVENTS 16384		 /* most events in one chunk */
#define CV_CHUNK_CLOSES 4096		 /* a commit leaves a chunk of fewer open */
#define CV_CHUNK_BYTES (4u * 1024 * 1024) /* most bytes of one chunk; no encoder comes near */

struct cv_chunk_codec; /* the model and zstd's contexts: a megabyte, used again for every chunk */

/* 0 or CV_E_NOMEM. */
int cv_chunk_codec_new(struct cv_chunk_codec **out);
void cv_chunk_codec_free(struct cv_chunk_codec *c);
/* Appends the bytes of ev[0..n-1] to out; 1 <= n <= CV_CHUNK_EVENTS. 0 or CV_E_NOMEM. */
int cv_chunk_encode(struct cv_chunk_codec *c, const struct cv_event *ev, size_t n, struct cv_wbuf *out);
/*
 * Decodes exactly n events. Any bytes are safe to give: 0, CV_E_NOMEM, or CV_E_CORRUPT (then ev's content is
 * undefined).
 */
int cv_chunk_decode(struct cv_chunk_codec *c, const void *data, size_t len, struct cv_event *ev, size_t n);

#endif
