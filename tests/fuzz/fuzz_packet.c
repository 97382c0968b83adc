/* SPDX-License-Identifier: MIT */
/*
 * Fuzz entry for everything that a GDB client can send: bytes go through the packet reader, whole packets through a
 * session over the fake timeline, and every reply through the framing.
 *
 * With libFuzzer: clang -fsanitize=fuzzer,address -DCV_LIBFUZZER. Otherwise main() runs the files and folders that it is
 * given, or the kept corpus below $srcdir, each as it is and with random damage.
 */
#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gdbstub/session.h"
#include "tests/unit/fake_timeline.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

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

#ifndef CV_LIBFUZZER
static unsigned long runs;

/* The input, each of its prefixes' ends cut at random, and with single bytes changed. */
static void run(const uint8_t *data, size_t n)
{
	uint32_t seed = 12345;
	uint8_t *copy = malloc(n + 1);

	assert(copy);
	LLVMFuzzerTestOneInput(data, n);
	for (unsigned i = 0; n && i < 200; i++) {
		size_t len;

		seed = seed * 1664525 + 1013904223;
		len = i % 2 ? n : (seed >> 8) % n;
		memcpy(copy, data, n);
		seed = seed * 1664525 + 1013904223;
		copy[(seed >> 8) % n] = (uint8_t)(seed >> 24);
		LLVMFuzzerTestOneInput(copy, len);
	}
	runs += 201;
	free(copy);
}

static int run_file(const char *path)
{
	static uint8_t data[1 << 17];
	FILE *f = fopen(path, "rb");
	size_t n;

	if (!f) {
		perror(path);
		return 1;
	}
	n = fread(data, 1, sizeof(data), f);
	fclose(f);
	run(data, n);
	return 0;
}

static int run_path(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int failed = 0;

	if (!d)
		return run_file(path);
	while ((e = readdir(d)) != NULL) {
		char file[4096];

		if (e->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		failed |= run_file(file);
	}
	closedir(d);
	return failed;
}

int main(int argc, char **argv)
{
	const char *top = getenv("srcdir");
	char corpus[4096];
	int failed = 0;

	if (argc < 2) {
		snprintf(corpus, sizeof(corpus), "%s/tests/fuzz/corpus/packet", top ? top : ".");
		failed = run_path(corpus);
	}
	for (int i = 1; i < argc; i++)
		failed |= run_path(argv[i]);
	printf("%lu inputs\n", runs);
	return failed || !runs;
}
#endif
