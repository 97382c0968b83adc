/* SPDX-License-Identifier: MIT */
/*
 * Linux's kallsyms (scripts/kallsyms.c writes them, kernel/kallsyms.c reads them), 64-bit with BASE_RELATIVE, 4.20 to 6.x.
 * All of it lies in .rodata, each part aligned to 8:
 *
 *   num_syms	    u32
 *   names	    for each symbol a length (one byte, or two with bit 7 of the first set) and that many token numbers;
 *		    expanded, the first character is the type
 *   markers	    u32 for each 256th symbol: where its record begins in names
 *   seqs_of_names  3 bytes a symbol, big-endian (here in 6.2 and 6.3, at the end from 6.4)
 *   token_table    256 strings
 *   token_index    256 u16: where each begins
 *   offsets	    s32 a symbol (from 6.4; before, in front of num_syms)
 *   relative_base  u64 (likewise)
 *
 * An offset counts from relative_base, which KASLR has relocated. With ABSOLUTE_PERCPU (x86 until 6.14) only negative
 * offsets do, as base - 1 - offset; the others are absolute.
 *
 * Nothing points to all that, so it is searched for: the token table contains the digits as tokens of one character,
 * "0\0" "1\0" ... and is confirmed by its index; num_syms is the word in front of it from which exactly as many names
 * can be read and are followed by their markers.
 */
#include "gdbstub/linux_kallsyms.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "vmm-core/error.h"

#define TOKENS 256
#define SYMS_MIN 512 /* two markers at least: enough to tell a table from chance */
#define SYMS_MAX (4u << 20)
#define NAME_MAX_LEN 512 /* KSYM_NAME_LEN */
#define HITS_MAX 256   /* places that look like the digits */
#define TABLES_MAX 4   /* token tables that are really tried */
#define BACK_MAX 4096		 /* the 48 tokens in front of "0" */
#define SEARCH_MAX (64u << 20)	 /* bytes before the token table in which num_syms is looked for */
#define WORK_MAX (512u << 20)	 /* bytes of names that are read in that search */

struct table {
	const uint8_t *p;
	size_t len;
	uint64_t base;
	size_t tokens, index;		  /* offsets in p */
	uint16_t token_at[TOKENS];	  /* in tokens */
	size_t names, markers;
	uint32_t n;
	uint64_t work;
};

static uint32_t le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t le64(const uint8_t *p)
{
	return le32(p) | (uint64_t)le32(p + 4) << 32;
}

static size_t align8(size_t v)
{
	return (v + 7) & ~(size_t)7;
}

/* --- The token table --- */

/* Is there a token table at `at`, with its index? digits: where token '0' must be. */
static bool take_tokens(struct table *t, size_t at, size_t digits)
{
	size_t end = at;

	for (unsigned i = 0; i < TOKENS; i++) {
		const uint8_t *nul;

		if (i == '0' && end != digits)
			return false;
		if (end - at > UINT16_MAX || end >= t->len)
			return false;
		t->token_at[i] = (uint16_t)(end - at);
		nul = memchr(t->p + end, 0, t->len - end < NAME_MAX_LEN ? t->len - end : NAME_MAX_LEN);
		if (!nul)
			return false;
		end = (size_t)(nul - t->p) + 1;
	}
	t->tokens = at;
	t->index = align8(end);
	if (t->index > t->len || t->len - t->index < 2 * TOKENS)
		return false;
	for (unsigned i = 0; i < TOKENS; i++)
		if ((t->p[t->index + 2 * i] | t->p[t->index + 2 * i + 1] << 8) != t->token_at[i])
			return false;
	return true;
}

/* The next token table whose digits are at *from or later; *from moves past them. */
static bool find_tokens(struct table *t, size_t *from, unsigned *hits)
{
	static const char digits[20] = "0\0001\0002\0003\0004\0005\0006\0007\0008\0009"; /* with the last NUL */
	const uint8_t *hit;

	while (*from < t->len && *hits < HITS_MAX &&
	       (hit = memmem(t->p + *from, t->len - *from, digits, sizeof(digits))) != NULL) {
		size_t at = (size_t)(hit - t->p), first = (at - '0') & ~(size_t)7;

		++*hits;
		*from = at + sizeof(digits);
		for (size_t back = 0; at >= '0' && back < BACK_MAX && back <= first; back += 8)
			if (take_tokens(t, first - back, at))
				return true;
	}
	return false;
}

/* --- Names --- */

/* The length of the record at *at; *at moves to its tokens. False at the end of what there is. */
static bool take_length(const struct table *t, size_t *at, size_t end, size_t *n)
{
	if (*at >= end)
		return false;
	*n = t->p[(*at)++];
	if (*n & 0x80) {
		if (*at >= end)
			return false;
		*n = (*n & 0x7f) | (size_t)t->p[(*at)++] << 7;
	}
	return *n && *n <= NAME_MAX_LEN && *n <= end - *at;
}

/* Do t->n names stand at `names`, and their markers behind them? */
static bool take_names(struct table *t, size_t names)
{
	size_t at = names, n;

	for (uint32_t i = 0; i < t->n; i++) {
		if (!take_length(t, &at, t->tokens, &n))
			break;
		at += n;
		if (i == t->n - 1)
			t->markers = align8(at);
	}
	t->work += at - names;
	if (t->markers <= names || (t->n + 255) / 256 > (t->tokens - t->markers) / 4)
		return false;
	at = names;
	for (uint32_t i = 0; i < t->n; i++) {
		if (!(i % 256) && le32(t->p + t->markers + i / 256 * 4) != at - names)
			return false;
		take_length(t, &at, t->tokens, &n);
		at += n;
	}
	t->names = names;
	return true;
}

static bool find_names(struct table *t)
{
	for (size_t back = 16; back <= t->tokens && back <= SEARCH_MAX && t->work < WORK_MAX; back += 8) {
		size_t at = (t->tokens & ~(size_t)7) - back;

		t->markers = 0;
		t->n = le32(t->p + at);
		/* A record is two bytes at least. */
		if (t->n >= SYMS_MIN && t->n <= SYMS_MAX && t->n <= back / 2 && !le32(t->p + at + 4) &&
		    take_names(t, at + 8))
			return true;
		if (back > (t->tokens & ~(size_t)7) - 8)
			break;
	}
	return false;
}

/* --- Addresses --- */

static uint64_t address(const struct table *t, size_t offsets, uint64_t relative_base, bool percpu, uint32_t i)
{
	uint32_t v = le32(t->p + offsets + 4 * (size_t)i);

	if (!percpu)
		return relative_base + v;
	return v >> 31 ? relative_base + ~v : v; /* base - 1 - (s32)v */
}

/* Offsets that fit: the symbols are sorted by address, and the base lies in the image. Fills the list. */
static bool take_offsets(const struct table *t, size_t offsets, size_t base_at, struct cv_kallsym *list)
{
	uint64_t relative_base = le64(t->p + base_at), last = 0;
	bool percpu = false;

	if (relative_base < t->base || relative_base - t->base >= t->len)
		return false;
	for (uint32_t i = 0; i < t->n && !percpu; i++)
		percpu = le32(t->p + offsets + 4 * (size_t)i) >> 31;
	for (uint32_t i = 0; i < t->n; i++) {
		list[i].addr = address(t, offsets, relative_base, percpu, i);
		if (list[i].addr < last)
			return false;
		last = list[i].addr;
	}
	return true;
}

static bool find_offsets(const struct table *t, struct cv_kallsym *list)
{
	size_t size = align8(4 * (size_t)t->n), num_syms = t->names - 8;
	size_t behind = t->index + 2 * TOKENS;

	if (num_syms >= size + 8 && take_offsets(t, num_syms - 8 - size, num_syms - 8, list))
		return true;
	return t->len - behind >= size + 8 && take_offsets(t, behind, behind + size, list);
}

/* --- Expansion --- */

/* Appends the expanded record to out (room for NAME_MAX_LEN characters); 0: it is no name. */
static size_t expand(const struct table *t, const uint8_t *record, size_t n, char *out)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		const char *token = (const char *)t->p + t->tokens + t->token_at[record[i]];

		for (; *token; token++) {
			if (*token <= ' ' || *token > '~' || len == NAME_MAX_LEN)
				return 0;
			out[len++] = *token;
		}
	}
	return len > 1 ? len : 0;
}

static int expand_all(const struct table *t, struct cv_kallsyms *out)
{
	size_t at = t->names, used = 0, cap = 0, n;
	char text[NAME_MAX_LEN];

	for (uint32_t i = 0; i < t->n; i++) {
		size_t len = 0;

		if (take_length(t, &at, t->tokens, &n)) /* always: take_names has read them all */
			len = expand(t, t->p + at, n, text);
		at += n;
		if (used + NAME_MAX_LEN > cap) {
			char *more = realloc(out->names, cap * 2 + 16 * NAME_MAX_LEN);

			if (!more)
				return CV_E_NOMEM;
			out->names = more;
			cap = cap * 2 + 16 * NAME_MAX_LEN;
		}
		if (!len || used > UINT32_MAX - NAME_MAX_LEN)
			return CV_E_BADINPUT;
		out->list[i].type = text[0];
		out->list[i].name = (uint32_t)used;
		memcpy(out->names + used, text + 1, len - 1);
		out->names[used + len - 1] = '\0';
		used += len;
	}
	out->n = t->n;
	return 0;
}

int cv_kallsyms_find(struct cv_kallsyms *out, const uint8_t *image, size_t len, uint64_t base)
{
	struct table t = { .p = image, .len = len, .base = base };
	size_t from = 0;
	unsigned hits = 0;
	int r = CV_E_BADINPUT;

	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < TABLES_MAX && r == CV_E_BADINPUT && find_tokens(&t, &from, &hits); i++) {
		if (!find_names(&t))
			continue;
		out->list = calloc(t.n, sizeof(*out->list));
		r = !out->list ? CV_E_NOMEM : find_offsets(&t, out->list) ? expand_all(&t, out) : CV_E_BADINPUT;
		if (r < 0)
			cv_kallsyms_release(out);
	}
	return r;
}

void cv_kallsyms_release(struct cv_kallsyms *k)
{
	free(k->list);
	free(k->names);
	memset(k, 0, sizeof(*k));
}
