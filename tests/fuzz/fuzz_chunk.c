/* SPDX-License-Identifier: MIT */
/*
 * Fuzz entry for the chunk decoder. Input: two bytes, the number of events (little-endian), then the chunk. Whatever
 * decodes must come back from encoding and decoding again.
 *
 * With libFuzzer: clang -fsanitize=fuzzer,address -DCV_LIBFUZZER. Else main runs the files and directories named.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "logdb/chunk.h"
#include "tests/unit/log_events.h"

#define CORPUS "chunk"
#include "tests/fuzz/corpus.h"

/* Ends the program: a found bug. */
static void require(bool right, const char *what)
{
	if (right)
		return;
	fprintf(stderr, "fuzz_chunk: %s\n", what);
	abort();
}

static void round_trip(struct cv_chunk_codec *codec, const struct cv_event *ev, size_t n)
{
	struct cv_event *again = calloc(n, sizeof(*again));
	struct cv_wbuf w = { 0 };

	require(again && !cv_chunk_encode(codec, ev, n, &w), "encoding failed");
	require(!cv_chunk_decode(codec, w.data, w.len, again, n), "what was encoded doesn't decode");
	for (size_t i = 0; i < n; i++)
		require(same_event(&ev[i], &again[i]), "an event came back changed");
	cv_wbuf_release(&w);
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cv_chunk_codec *codec; /* kept between inputs: what one leaves must not matter to the next */
	size_t n = size < 2 ? 0 : data[0] | (size_t)data[1] << 8;
	struct cv_event *ev = calloc(n + 1, sizeof(*ev));
	uint8_t *exact = malloc(size); /* so that a sanitizer sees a read past the end */

	require(ev && exact && (codec || !cv_chunk_codec_new(&codec)), "out of memory");
	memcpy(exact, data, size);
	if (size >= 2 && !cv_chunk_decode(codec, exact + 2, size - 2, ev, n))
		round_trip(codec, ev, n);
	free(ev);
	free(exact);
	return 0;
}
