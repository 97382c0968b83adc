/* SPDX-License-Identifier: MIT */
/*
 * Fuzz entry for the chunk decoder. Input: two bytes, the number of events (little-endian), then the chunk. Whatever
 * decodes must come back from encoding and decoding again.
 *
 * With libFuzzer: clang -fsanitize=fuzzer,address -DCV_LIBFUZZER. Else main runs the files and directories named.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "logdb/chunk.h"
#include "tests/unit/log_events.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

#ifndef CV_LIBFUZZER
static int run_file(const char *name)
{
	static uint8_t data[1 << 20];
	FILE *f = fopen(name, "rb");
	size_t n;

	if (!f) {
		perror(name);
		return 1;
	}
	n = fread(data, 1, sizeof(data), f);
	fclose(f);
	LLVMFuzzerTestOneInput(data, n);
	return 0;
}

/* Files run in a directory; negative if it can't be read or holds none. */
static int run_directory(const char *name)
{
	DIR *d = opendir(name);
	struct dirent *e;
	char path[4096];
	int n = 0;

	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", name, e->d_name);
		if (run_file(path))
			break;
		n++;
	}
	if (d)
		closedir(d);
	return n ? n : -1;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: fuzz_chunk FILE-OR-DIRECTORY...\n");
		return 2;
	}
	for (int i = 1; i < argc; i++) {
		struct stat st;
		int n;

		if (stat(argv[i], &st)) {
			perror(argv[i]);
			return 1;
		}
		n = S_ISDIR(st.st_mode) ? run_directory(argv[i]) : !run_file(argv[i]);
		if (n <= 0) {
			fprintf(stderr, "%s: no input\n", argv[i]);
			return 1;
		}
	}
	return 0;
}
#endif
