/* SPDX-License-Identifier: MIT */
/*
 * What every fuzz entry shares: LLVMFuzzerTestOneInput is the entry; without libFuzzer (CV_LIBFUZZER unset) main() here
 * runs the files and folders that it is given, or the kept corpus $srcdir/tests/fuzz/corpus/CORPUS, each input as it is
 * and then with 200 random damages (always the same ones). No input at all is a failure.
 *
 * Define CORPUS, then include.
 */
#ifndef FUZZ_CORPUS_H
#define FUZZ_CORPUS_H

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifndef CV_LIBFUZZER
enum { CORPUS_FILE_MAX = 1 << 20, CORPUS_DAMAGES = 200 };

static unsigned long corpus_runs;

/* The input cut at a random place and, every time, one byte changed. */
static void corpus_damage(const uint8_t *data, size_t n)
{
	uint8_t *copy = malloc(n + 1);
	uint32_t seed = 12345;

	if (!copy)
		abort();
	for (unsigned i = 0; n && i < CORPUS_DAMAGES; i++) {
		size_t len;

		seed = seed * 1664525 + 1013904223;
		len = i % 2 ? n : (seed >> 8) % n;
		memcpy(copy, data, n);
		seed = seed * 1664525 + 1013904223;
		copy[(seed >> 8) % n] = (uint8_t)(seed >> 24);
		LLVMFuzzerTestOneInput(copy, len);
		corpus_runs++;
	}
	free(copy);
}

static int corpus_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = malloc(CORPUS_FILE_MAX);
	size_t n;

	if (!f || !data) {
		perror(path);
		free(data);
		if (f)
			fclose(f);
		return 1;
	}
	n = fread(data, 1, CORPUS_FILE_MAX, f);
	fclose(f);
	LLVMFuzzerTestOneInput(data, n);
	corpus_runs++;
	corpus_damage(data, n);
	free(data);
	return 0;
}

static int corpus_path(const char *path)
{
	DIR *d = opendir(path);
	const struct dirent *e;
	char file[4096];
	int failed = 0;

	if (!d)
		return corpus_file(path);
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		failed |= corpus_file(file);
	}
	closedir(d);
	return failed;
}

int main(int argc, char **argv)
{
	const char *top = getenv("srcdir");
	char kept[4096];
	int failed = 0;

	if (argc < 2) {
		snprintf(kept, sizeof(kept), "%s/tests/fuzz/corpus/%s", top ? top : ".", CORPUS);
		failed = corpus_path(kept);
	}
	for (int i = 1; i < argc; i++)
		failed |= corpus_path(argv[i]);
	printf("%lu inputs\n", corpus_runs);
	return failed || !corpus_runs;
}
#endif
#endif
