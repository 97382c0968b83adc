/* SPDX-License-Identifier: MIT */
/* A made-up kernel image with a kallsyms table, in each of the layouts that Linux has had. */
#ifndef KALLSYMS_FIXTURE_H
#define KALLSYMS_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum kallsyms_layout { KALLSYMS_6_1, KALLSYMS_6_2, KALLSYMS_6_4, KALLSYMS_6_15, KALLSYMS_LAYOUTS };

#define KALLSYMS_BASE 0xffffffff92e00000ull
#define KALLSYMS_N 600u
#define KALLSYMS_PERCPU 20u /* that many absolute symbols come first, except in 6.15 */
#define KALLSYMS_LONG 300u  /* this symbol's record is longer than 127 */
#define KALLSYMS_MAX 32768u

struct kallsyms_image {
	uint8_t p[KALLSYMS_MAX];
	size_t len;
	size_t num_syms, names, markers, tokens, index, offsets, relative_base; /* where they are */
};

static inline void kallsyms_put(struct kallsyms_image *k, uint64_t v, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		k->p[k->len++] = (uint8_t)(v >> 8 * i);
}

static inline size_t kallsyms_align(struct kallsyms_image *k)
{
	k->len = (k->len + 7) & ~(size_t)7;
	return k->len;
}

/* Types and names: T for all but the first ones; the long name is 200 times 'x'. */
static inline void kallsyms_name(uint32_t i, bool percpu, char *text, size_t size)
{
	if (i == KALLSYMS_LONG) {
		memset(text, 'x', 200);
		text[200] = '\0';
	} else {
		snprintf(text, size, "%sfn_%u", percpu && i < KALLSYMS_PERCPU ? "pcpu_" : "", i);
	}
}

static inline uint64_t kallsyms_addr(uint32_t i, bool percpu)
{
	return percpu && i < KALLSYMS_PERCPU ? 16 * i : KALLSYMS_BASE + 0x40 * (uint64_t)i;
}

static inline void kallsyms_put_offsets(struct kallsyms_image *k, bool percpu)
{
	k->offsets = kallsyms_align(k);
	for (uint32_t i = 0; i < KALLSYMS_N; i++) {
		uint64_t addr = kallsyms_addr(i, percpu);

		if (!percpu)
			kallsyms_put(k, addr - KALLSYMS_BASE, 4);
		else
			kallsyms_put(k, i < KALLSYMS_PERCPU ? addr : KALLSYMS_BASE - 1 - addr, 4);
	}
	k->relative_base = kallsyms_align(k);
	kallsyms_put(k, KALLSYMS_BASE, 8);
}

static inline void kallsyms_put_names(struct kallsyms_image *k, bool percpu)
{
	uint32_t markers[(KALLSYMS_N + 255) / 256];

	k->num_syms = kallsyms_align(k);
	kallsyms_put(k, KALLSYMS_N, 4);
	k->names = kallsyms_align(k);
	for (uint32_t i = 0; i < KALLSYMS_N; i++) {
		char text[256] = "T";
		size_t n;

		kallsyms_name(i, percpu, text + 1, sizeof(text) - 1);
		n = strlen(text);
		if (i % 256 == 0)
			markers[i / 256] = (uint32_t)(k->len - k->names);
		if (!strncmp(text, "Tfn_", 4)) { /* token 1 is "Tfn_" */
			kallsyms_put(k, n - 3, 1);
			kallsyms_put(k, 1, 1);
			memcpy(k->p + k->len, text + 4, n - 4);
			k->len += n - 4;
			continue;
		}
		if (n > 127)
			kallsyms_put(k, (n & 0x7f) | 0x80 | n >> 7 << 8, 2);
		else
			kallsyms_put(k, n, 1);
		memcpy(k->p + k->len, text, n);
		k->len += n;
	}
	k->markers = kallsyms_align(k);
	for (uint32_t i = 0; i < sizeof(markers) / sizeof(markers[0]); i++)
		kallsyms_put(k, markers[i], 4);
}

static inline void kallsyms_put_seqs(struct kallsyms_image *k)
{
	kallsyms_align(k);
	for (uint32_t i = 0; i < KALLSYMS_N; i++)
		kallsyms_put(k, i << 16 | (i & 0xff00) | i >> 16, 3);
}

static inline void kallsyms_put_tokens(struct kallsyms_image *k)
{
	uint16_t at[256];

	k->tokens = kallsyms_align(k);
	for (unsigned i = 0; i < 256; i++) {
		char text[8] = { (char)i, 0 };

		if (i == 1)
			strcpy(text, "Tfn_");
		else if (i <= ' ' || i > '~')
			snprintf(text, sizeof(text), "t%u", i);
		at[i] = (uint16_t)(k->len - k->tokens);
		memcpy(k->p + k->len, text, strlen(text) + 1);
		k->len += strlen(text) + 1;
	}
	k->index = kallsyms_align(k);
	for (unsigned i = 0; i < 256; i++)
		kallsyms_put(k, at[i], 2);
}

static inline void kallsyms_build(struct kallsyms_image *k, enum kallsyms_layout layout)
{
	bool percpu = layout != KALLSYMS_6_15, first = layout <= KALLSYMS_6_2;

	memset(k, 0, sizeof(*k));
	while (k->len < 2000) /* something in front */
		kallsyms_put(k, 0x9090c3c3cccc0000ull + k->len, 8);
	if (first)
		kallsyms_put_offsets(k, percpu);
	kallsyms_put_names(k, percpu);
	if (layout == KALLSYMS_6_2)
		kallsyms_put_seqs(k);
	kallsyms_put_tokens(k);
	if (!first) {
		kallsyms_put_offsets(k, percpu);
		kallsyms_put_seqs(k);
	}
	kallsyms_put(k, 0, 64 / 8);
}

#endif
