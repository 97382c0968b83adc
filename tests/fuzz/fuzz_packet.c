/* SPDX-License-Identifier: MIT */
/*
 * Fuzz entry for everything that a GDB client can send: bytes go through the packet reader, whole packets through a
 * session over the fake timeline, and every reply through the framing.
 *
 * With libFuzzer: clang -fsanitize=fuzzer,address -DCV_LIBFUZZER. Otherwise main() runs the files and folders that it is
 * given, or the kept corpus below $srcdir, each as it is and with random damage.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gdbstub/session.h"
#include "tests/unit/fake_timeline.h"

#define CORPUS "packet"
#include "tests/fuzz/corpus.h"

static void sink(void *ctx, const void *body, size_t n)
{
	struct cv_wbuf w = {0};

	(void)ctx;
	cv_packet_frame(&w, body, n);
	assert(w.err || w.len >= 4);
	cv_wbuf_release(&w);
}

static bool interrupted(void *ctx)
{
	(void)ctx;
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct cv_gdb_link link = {sink, interrupted, NULL};
	static struct cv_packet_reader reader;
	static struct cv_timeline t;
	static char body[CV_PACKET_MAX + 1];
	struct cv_gdb_options options = {.arch = CV_GDB_X86_64};
	struct cv_gdb_session s;
	unsigned packets = 0;

	fake_init(&t, 4000);
	cv_packet_reader_init(&reader);
	cv_gdb_session_init(&s, &t, &options, &link);
	for (size_t i = 0; i < n && packets < 64; i++) {
		if (cv_packet_feed(&reader, data[i]) != CV_PACKET_BODY)
			continue;
		assert(reader.len <= CV_PACKET_MAX);
		memcpy(body, reader.body, reader.len + 1);
		cv_gdb_session_handle(&s, body, reader.len);
		assert(s.reply.len <= CV_PACKET_MAX);
		sink(NULL, s.reply.data, s.reply.len);
		packets++;
	}
	/* The same bytes as one body: most mutations break a checksum. */
	if (n <= CV_PACKET_MAX) {
		if (n)
			memcpy(body, data, n);
		body[n] = 0;
		cv_gdb_session_handle(&s, body, n);
		assert(s.reply.len <= CV_PACKET_MAX);
		sink(NULL, s.reply.data, s.reply.len);
	}
	cv_gdb_session_release(&s);
	for (unsigned i = 0; i < FAKE_POINTS; i++)
		assert(!t.points[i].used);
	return 0;
}
