/* SPDX-License-Identifier: MIT */
/*
 * .eh_frame (LSB core 10.6) and .debug_frame (DWARF 4 6.4.1): a sequence of records, each a u32 length, a u32 that says
 * CIE or which CIE, and a body. The two differ in that second word and in what a CIE of DWARF 4 has more:
 *
 *   .eh_frame     CIE: 0           FDE: distance from this word back to its CIE
 *   .debug_frame  CIE: ffffffffh   FDE: offset of its CIE in the section;  version 4: address and segment size bytes
 *
 * The 64-bit DWARF format (length ffffffffh) does not occur in x86 kernels; a section ends for us where one stands.
 */
#include "gdbstub/frames.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CIE_DEBUG 0xffffffffu
#define CFA_NOP 0

struct bytes {
	const uint8_t *p;
	size_t n, at;
	bool bad;
};

static uint64_t get(struct bytes *b, unsigned size)
{
	uint64_t v = 0;

	if (b->bad || size > b->n - b->at) {
		b->bad = true;
		return 0;
	}
	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)b->p[b->at++] << 8 * i;
	return v;
}

static void skip_leb(struct bytes *b)
{
	while (get(b, 1) & 0x80)
		;
}

/* The record at `at`: its whole length with the length word, or 0 at the section's end. */
static size_t record_len(const uint8_t *p, size_t n, size_t at)
{
	struct bytes b = { p, n, at, false };
	uint64_t len = get(&b, 4);

	if (b.bad || len < 4 || len >= 0xfffffff0u || len > n - at - 4)
		return 0;
	return (size_t)len + 4;
}

static uint32_t word_at(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void set_word(uint8_t *p, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* Version 4 becomes version 3: address and segment size go, two no-ops at the end keep the length. */
static void convert_cie(uint8_t *p, size_t len)
{
	size_t aug;
	uint8_t *end;

	set_word(p + 4, 0);
	if (len < 12 || p[8] != 4)
		return;
	end = memchr(p + 9, 0, len - 9);
	if (!end)
		return;
	aug = (size_t)(end - p) + 1;
	if (len - aug < 2)
		return;
	p[8] = 3;
	memmove(p + aug, p + aug + 2, len - aug - 2);
	memset(p + len - 2, CFA_NOP, 2);
}

void cv_frames_from_debug_frame(uint8_t *p, size_t n)
{
	size_t at = 0, len;

	for (; (len = record_len(p, n, at)) != 0; at += len) {
		uint32_t id = word_at(p + at + 4);

		if (id == CIE_DEBUG)
			convert_cie(p + at, len);
		else
			set_word(p + at + 4, (uint32_t)(at + 4) - id);
	}
}

/* Pointer encoding of the FDEs of a CIE (augmentation 'R'), or -1 where the CIE is not understood. */
static int cie_encoding(const uint8_t *p, size_t n, size_t at)
{
	size_t len = record_len(p, n, at);
	struct bytes b = { p, at + len, at + 4, false };
	char aug[9] = "";
	int encoding = 0;
	uint64_t version;

	if (!len || get(&b, 4))
		return -1;
	version = get(&b, 1);
	for (size_t i = 0; i < sizeof(aug); i++)
		if (!(aug[i] = (char)get(&b, 1)))
			break;
	if (b.bad || aug[sizeof(aug) - 1] || version < 1 || version > 3)
		return -1;
	if (!aug[0])
		return 0; /* absolute pointers */
	if (aug[0] != 'z')
		return -1;
	skip_leb(&b); /* code alignment */
	skip_leb(&b); /* data alignment */
	if (version == 1)
		get(&b, 1); /* return address register */
	else
		skip_leb(&b);
	skip_leb(&b); /* length of the augmentation data */
	for (const char *a = aug + 1; *a; a++) {
		if (*a == 'R')
			encoding = (int)get(&b, 1);
		else if (*a == 'L')
			get(&b, 1);
		else if (*a == 'P') {
			static const uint8_t sizes[16] = { [0] = 8, [2] = 2, [3] = 4, [4] = 8,
							   [10] = 2, [11] = 4, [12] = 8 };
			unsigned size = sizes[get(&b, 1) & 15];

			if (!size)
				return -1;
			get(&b, size);
		} else if (*a != 'S' && *a != 'B') {
			return -1;
		}
	}
	return b.bad ? -1 : encoding;
}

/* A pointer as DW_EH_PE_* says: formats absptr, (u|s)data4, (u|s)data8; applied absolute or PC-relative. */
static bool get_pointer(struct bytes *b, int encoding, uint64_t base, uint64_t *v)
{
	uint64_t here = base + b->at;

	switch (encoding & 15) {
	case 0:
	case 4:
	case 12:
		*v = get(b, 8);
		break;
	case 3:
		*v = get(b, 4);
		break;
	case 11:
		*v = (uint64_t)(int64_t)(int32_t)get(b, 4);
		break;
	default:
		return false;
	}
	if ((encoding & 0x70) == 0x10)
		*v += here;
	else if (encoding & 0xf0)
		return false;
	return !b->bad;
}

static bool read_fde(const uint8_t *p, size_t n, size_t at, size_t len, uint64_t base, struct cv_unwind_entry *e)
{
	struct bytes b = { p, at + len, at + 8, false };
	uint32_t back = word_at(p + at + 4);
	uint64_t start;
	int64_t off;
	int encoding;

	if (!back || back > at + 4)
		return false;
	encoding = cie_encoding(p, n, at + 4 - back);
	if (encoding < 0 || !get_pointer(&b, encoding, base, &start))
		return false;
	off = (int64_t)(start - base);
	if (off != (int32_t)off || at > INT32_MAX)
		return false;
	*e = (struct cv_unwind_entry){ (int32_t)off, (int32_t)at };
	return true;
}

bool cv_frames_is_signal(const uint8_t *p, size_t n, size_t fde)
{
	size_t len = record_len(p, n, fde), cie;
	uint32_t back;

	if (len < 8)
		return false;
	back = word_at(p + fde + 4);
	if (!back || back > fde + 4)
		return false;
	cie = fde + 4 - back;
	len = record_len(p, n, cie);
	/* After the version comes the augmentation string; cie_encoding has checked all the rest. */
	return len > 10 && cie_encoding(p, n, cie) >= 0 && strchr((const char *)p + cie + 9, 'S') != NULL;
}

static int by_start(const void *a, const void *b)
{
	const struct cv_unwind_entry *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->fde < y->fde ? -1 : x->fde > y->fde;
}

int cv_frames_index(const uint8_t *p, size_t n, uint64_t base, struct cv_unwind_entry **entries, size_t *count)
{
	struct cv_unwind_entry *list = NULL, e;
	size_t used = 0, cap = 0, len;

	for (size_t at = 0; (len = record_len(p, n, at)) != 0; at += len) {
		if (!read_fde(p, n, at, len, base, &e))
			continue;
		if (used == cap) {
			struct cv_unwind_entry *more;

			cap = cap ? cap * 2 : 256;
			more = realloc(list, cap * sizeof(*list));
			if (!more) {
				free(list);
				return CV_E_NOMEM;
			}
			list = more;
		}
		list[used++] = e;
	}
	if (used)
		qsort(list, used, sizeof(*list), by_start);
	*entries = list;
	*count = used;
	return 0;
}
