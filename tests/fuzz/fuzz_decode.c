/* SPDX-License-Identifier: MIT */
/*
 * Fuzz entry for the instruction decoder. Input: one byte, the mode (16, 32 or 64), then code, decoded one instruction
 * after another (after an invalid one, from the next byte).
 *
 * What must hold: it never reads beyond the bytes given; an instruction is 1 to 15 bytes and decodes the same from
 * exactly its own bytes; one byte less is CV_DECODE_MORE; an operation, a size or a register out of range doesn't come.
 *
 * With libFuzzer: clang -fsanitize=fuzzer,address -DCV_LIBFUZZER. Else main runs the files and directories named.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm-core/x86/insn.h"

#define CORPUS "decode"
#include "tests/fuzz/corpus.h"

enum { LEN_MAX = 15 };

static void require(bool right, const char *what)
{
	if (right)
		return;
	fprintf(stderr, "fuzz_decode: %s\n", what);
	abort();
}

/* From a copy that ends where the bytes end, so that a sanitizer sees a read beyond. */
static enum cv_decode_result decode(const uint8_t *p, size_t n, unsigned mode, struct cv_insn *out)
{
	uint8_t *copy = malloc(n ? n : 1);
	enum cv_decode_result r;

	require(copy != NULL, "out of memory");
	memcpy(copy, p, n);
	memset(out, 0x5a, sizeof(*out));
	r = cv_decode(copy, n, mode, CV_FEATURES_ALL, out);
	free(copy);
	return r;
}

static bool is_register(uint8_t r)
{
	return r < 16 || r == CV_NOREG || r == CV_REG_RIP;
}

static void check_fields(const struct cv_insn *i, unsigned mode)
{
	require(i->len >= 1 && i->len <= LEN_MAX, "length");
	require(i->op > CV_OP_none && i->op < CV_OP_COUNT, "operation");
	require(i->osize == 1 || i->osize == 2 || i->osize == 4 || i->osize == 8, "operand size");
	require(i->asize == 2 || i->asize == 4 || i->asize == 8, "address size");
	require(mode == 64 ? i->asize != 2 : i->asize != 8 && i->osize != 8 && !i->rex, "size or REX in that mode");
	require(i->mod <= 3 && i->scale <= 3 && i->reg < 16 && i->rm < 16, "ModRM or SIB");
	require(i->mod == 3 || (is_register(i->base) && (i->index < 16 || i->index == CV_NOREG)), "base or index");
	require(cv_op_name((enum cv_op)i->op) != NULL, "name");
}

static bool same(const struct cv_insn *a, const struct cv_insn *b)
{
	return a->op == b->op && a->len == b->len && a->imm == b->imm && a->imm2 == b->imm2 && a->disp == b->disp &&
	       a->osize == b->osize && a->asize == b->asize && a->prefixes == b->prefixes && a->rex == b->rex &&
	       a->mod == b->mod && a->reg == b->reg && a->rm == b->rm && a->seg == b->seg && a->flags == b->flags &&
	       a->form == b->form;
}

/* Returns how far to go on. */
static size_t one(const uint8_t *p, size_t n, unsigned mode)
{
	struct cv_insn i, again;
	enum cv_decode_result r = decode(p, n, mode, &i);

	require(r == CV_DECODE_OK || r == CV_DECODE_UD || r == CV_DECODE_LONG || r == CV_DECODE_MORE, "result");
	require(r != CV_DECODE_MORE || n < LEN_MAX, "15 bytes are not enough");
	require(r != CV_DECODE_LONG || n >= LEN_MAX, "too long, of fewer than 15 bytes");
	if (r != CV_DECODE_OK)
		return 1;
	check_fields(&i, mode);
	require(i.len <= n, "longer than its bytes");
	require(decode(p, i.len, mode, &again) == CV_DECODE_OK && same(&i, &again), "what follows changes it");
	require(decode(p, i.len - 1u, mode, &again) == CV_DECODE_MORE, "whole without its last byte");
	return i.len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned modes[] = {16, 32, 64};

	if (!size)
		return 0;
	for (size_t at = 1; at < size;)
		at += one(data + at, size - at, modes[data[0] % 3]);
	return 0;
}
