/* SPDX-License-Identifier: MIT */
/*
 * capstone_compare [--random N] [--seed S] [--text FILE] [--show K]
 *
 * Compares N random instructions (half of them 64-bit, a quarter each 32- and 16-bit) and every instruction of FILE, a raw image of
 * 64-bit code, with Capstone. Prints how many were compared and how many fell under each reason; an unexplained difference
 * is shown with its bytes and makes the exit status 1.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/capstone/reasons.h"

static const char *const reason_text[REASON_COUNT] = {
#define X(name, text) [REASON_##name] = text,
	REASON_LIST(X)
#undef X
};

struct run {
	struct host *host; /* NULL: can't be asked */
	csh capstone[3];
	cs_insn *ci;
	uint64_t rng, compared, agreed, count[REASON_COUNT], unexplained, valid;
	unsigned show;
};

static const unsigned modes[3] = {64, 32, 16};

static uint64_t rnd(struct run *r)
{
	r->rng ^= r->rng << 13;
	r->rng ^= r->rng >> 7;
	r->rng ^= r->rng << 17;
	return r->rng >> 11;
}

static void show(struct run *r, const char *why, const uint8_t *p, unsigned mode, bool cs_ok, const struct cv_insn *i,
		 enum cv_decode_result got, const struct operand *o, unsigned n)
{
	char text[64];

	if (r->unexplained++ >= r->show)
		return;
	printf("%s, %u-bit:", why, mode);
	for (unsigned k = 0; k < 15; k++)
		printf(" %02x", p[k]);
	printf("\n  Capstone: ");
	if (cs_ok)
		printf("%s %s (%u bytes)", r->ci->mnemonic, r->ci->op_str, r->ci->size);
	else
		printf("none");
	printf("\n  decoder:  %s", got == CV_DECODE_OK ? cv_op_name(i->op) : got == CV_DECODE_LONG ? "(long)" : "(bad)");
	for (unsigned k = 0; k < n; k++) {
		operand_print(&o[k], text, sizeof(text));
		printf("%s%s", k ? ", " : " ", text);
	}
	printf(" (%u bytes)\n", i->len);
}

static bool runtime_ud(const struct cv_insn *i)
{
	switch (i->op) {
	case CV_OP_ud: case CV_OP_clac: case CV_OP_stac: case CV_OP_mov_from_cr: case CV_OP_mov_to_cr: case CV_OP_mov_from_dr:
	case CV_OP_mov_to_dr: case CV_OP_rdpid:
		return true;
	case CV_OP_mov_to_sreg: return i->reg == 1; /* CS */
	default: return false;
	}
}

/* They differ about whether this is an instruction, or how long it is. */
static enum reason settle(struct run *r, const uint8_t *p, unsigned mode, enum cv_decode_result got, const struct cv_insn *i)
{
	unsigned len = 0;
	enum host_verdict v = r->host ? host_ask(r->host, p, mode, &len) : HOST_UNKNOWN;

	if (!r->host)
		return REASON_NO_HOST;
	switch (v) {
	case HOST_UNKNOWN: return REASON_NOT_ASKED;
	case HOST_INVALID:
		if (got != CV_DECODE_OK)
			return REASON_HOST_UD;
		return runtime_ud(i) ? REASON_USER_UD : REASON_NONE;
	case HOST_LONG: return got == CV_DECODE_LONG ? REASON_HOST_LENGTH : REASON_NONE;
	case HOST_VALID:
		if (got == CV_DECODE_OK)
			return len == i->len ? (r->ci->size == 0 ? REASON_HOST_VALID : REASON_HOST_LENGTH) : REASON_NONE;
		return beyond_models(p, 15, mode) ? REASON_MODEL : REASON_NONE;
	}
	return REASON_NONE;
}

static void strip_prefix(const char *text, char *out, size_t n)
{
	static const char *const words[] = {"rep ", "repe ", "repz ", "repne ", "repnz ", "lock ", "notrack ", "bnd ", "data16 ", "xacquire ",
					    "xrelease "};

	for (unsigned k = 0; k < sizeof(words) / sizeof(words[0]); k++)
		if (!strncmp(text, words[k], strlen(words[k]))) {
			text += strlen(words[k]);
			k = (unsigned)-1;
		}
	snprintf(out, n, "%s", text);
}

/* What both say of the bytes where both call them an instruction of the same length. */
static bool same_text(struct run *r, unsigned m, const struct cv_insn *i, const struct cv_opcode *row, bool *names_differ,
		      struct operand o[OPERANDS_MAX], unsigned *n)
{
	char name[CS_MNEMONIC_SIZE];

	strip_prefix(r->ci->mnemonic, name, sizeof(name));
	*n = operands_of(row, i, modes[m], 0, o);
	*names_differ = !name_matches(i, name);
	return !*names_differ && operands_match(r->capstone[m], r->ci, i, o, *n);
}

static bool disassemble(struct run *r, unsigned m, const uint8_t *p, size_t n)
{
	uint64_t addr = 0;

	return cs_disasm_iter(r->capstone[m], &p, &n, &addr, r->ci);
}

static bool same_record(const struct cv_insn *a, const struct cv_insn *b)
{
	return a->op == b->op && a->reg == b->reg && a->rm == b->rm && a->mod == b->mod && a->base == b->base &&
	       a->index == b->index && a->scale == b->scale && a->disp == b->disp && a->imm == b->imm && a->imm2 == b->imm2 &&
	       a->osize == b->osize && a->asize == b->asize && a->seg == b->seg && a->flags == b->flags && a->rex == b->rex &&
	       a->form == b->form;
}

/*
 * Capstone errs with prefixes that change nothing and with some orders of those that do, and in 16-bit mode it takes a
 * mandatory 66h for an operand size. Leave out what leaves our record as it is, put the rest in the usual order, in 32-bit
 * mode with 67h the other way round, and ask it again.
 */
static bool same_without_prefixes(struct run *r, unsigned m, const uint8_t *p, const struct cv_insn *i)
{
	static const uint8_t order[] = {0xf0, 0x67, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0xf2, 0xf3};
	uint8_t q[40], present[12], rex = 0;
	unsigned k = 0, np = 0, as = m == 2 ? 1 : m, body;

	while (k < i->len && (memchr(order, p[k], sizeof(order)) || (modes[m] == 64 && (p[k] & 0xf0) == 0x40))) {
		rex = (p[k] & 0xf0) == 0x40 ? p[k] : 0;
		k++;
	}
	body = k;
	for (unsigned j = 0; j < sizeof(order); j++)
		if (memchr(p, order[j], body) || ((order[j] == 0x67 || order[j] == 0x66) && as != m))
			present[np++] = order[j];
	for (unsigned drop = 0; drop < 1u << np; drop++) {
		struct operand o[OPERANDS_MAX];
		struct cv_insn j;
		const struct cv_opcode *row;
		bool names_differ;
		unsigned n = 0, operands;

		for (k = 0; k < np; k++)
			if (!(drop >> k & 1))
				q[n++] = present[k];
		if (rex)
			q[n++] = rex;
		memcpy(q + n, p + body, 15);
		if (cv_decode_row(q, 15, modes[as], CV_FEATURES_ALL, &j, &row) == CV_DECODE_OK && same_record(i, &j) &&
		    j.len - n == i->len - body && disassemble(r, as, q, 15) && r->ci->size == j.len &&
		    same_text(r, as, &j, row, &names_differ, o, &operands))
			return true;
	}
	disassemble(r, m, p, 15);
	return false;
}

/* Returns the length to go on by. */
static unsigned compare(struct run *r, unsigned m, const uint8_t *p, size_t n)
{
	struct operand o[OPERANDS_MAX];
	struct cv_insn i;
	const struct cv_opcode *row;
	unsigned mode = modes[m], operands = 0;
	enum cv_decode_result got = cv_decode_row(p, n, mode, CV_FEATURES_ALL, &i, &row);
	bool ok = disassemble(r, m, p, n), names_differ;
	enum reason why = REASON_NONE;

	r->compared++;
	r->valid += got == CV_DECODE_OK;
	if (!ok)
		r->ci->size = 0;
	if (ok != (got == CV_DECODE_OK) || (ok && r->ci->size != i.len)) {
		why = settle(r, p, mode, got, &i);
		if (why == REASON_NONE)
			show(r, "length", p, mode, ok, &i, got, o, 0);
	} else if (ok && !same_text(r, m, &i, row, &names_differ, o, &operands)) {
		why = reason_of(&i, row, p, mode, names_differ);
		if (why == REASON_NONE && same_without_prefixes(r, m, p, &i))
			why = REASON_PREFIXES;
		if (why == REASON_NONE)
			show(r, names_differ ? "name" : "operands", p, mode, ok, &i, got, o, operands);
	} else {
		r->agreed++;
	}
	r->count[why]++;
	return got == CV_DECODE_OK ? i.len : 1;
}

/* Prefixes, an escape or VEX bytes, then anything. */
static void random_bytes(struct run *r, uint8_t p[15])
{
	static const uint8_t prefixes[] = {0x66, 0x67, 0xf2, 0xf3, 0x2e, 0x65, 0x64, 0x48, 0x41, 0x4f, 0x26, 0x3e, 0x36, 0xf0};
	unsigned n = 0, how = rnd(r) % 8;

	for (unsigned k = 0; k < 15; k++)
		p[k] = (uint8_t)rnd(r);
	while (n < 3 && rnd(r) % 3 == 0)
		p[n++] = prefixes[rnd(r) % sizeof(prefixes)];
	if (how < 3) {
		p[n++] = 0x0f;
		if (how == 1)
			p[n++] = rnd(r) % 2 ? 0x38 : 0x3a;
	} else if (how < 6) {
		p[n++] = how == 3 ? 0xc5 : 0xc4;
		if (how != 3)
			p[n++] = (uint8_t)((rnd(r) & 0xe0) | (1 + rnd(r) % 3));
		if (rnd(r) % 2)
			p[n - 1] |= 0xc0; /* so that it is VEX outside 64-bit mode too */
	}
}

static void compare_text(struct run *r, const char *file)
{
	FILE *f = fopen(file, "rb");
	uint8_t *p;
	size_t n;

	if (!f || fseek(f, 0, SEEK_END) || ftell(f) < 16) {
		fprintf(stderr, "capstone_compare: %s: can't be read, or too short\n", file);
		exit(2);
	}
	n = (size_t)ftell(f);
	rewind(f);
	p = malloc(n);
	if (!p || fread(p, 1, n, f) != n) {
		fprintf(stderr, "capstone_compare: %s: can't be read\n", file);
		exit(2);
	}
	for (size_t k = 0; k + 15 <= n;)
		k += compare(r, 0, p + k, 15);
	free(p);
	fclose(f);
}

static void open_capstone(struct run *r)
{
	static const cs_mode m[3] = {CS_MODE_64, CS_MODE_32, CS_MODE_16};

	for (unsigned k = 0; k < 3; k++) {
		if (cs_open(CS_ARCH_X86, m[k], &r->capstone[k]) != CS_ERR_OK)
			exit(2);
		cs_option(r->capstone[k], CS_OPT_DETAIL, CS_OPT_ON);
	}
	r->ci = cs_malloc(r->capstone[0]);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"random", 1, 0, 'r'}, {"seed", 1, 0, 's'}, {"text", 1, 0, 't'}, {"show", 1, 0, 'k'}, {0}};
	struct run r = {.rng = 20240611, .show = 20};
	unsigned long long n = 1000000;
	const char *text = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'r': n = strtoull(optarg, NULL, 0); break;
		case 's': r.rng = strtoull(optarg, NULL, 0) | 1; break;
		case 't': text = optarg; break;
		case 'k': r.show = (unsigned)strtoul(optarg, NULL, 0); break;
		default: return 2;
		}
	}
	printf("seed %llu\n", (unsigned long long)r.rng);
	r.host = host_new();
	open_capstone(&r);
	for (unsigned long long k = 0; k < n; k++) {
		uint8_t p[15];

		random_bytes(&r, p);
		compare(&r, k & 1 ? 0 : k & 2 ? 1 : 2, p, 15);
	}
	if (text)
		compare_text(&r, text);
	for (unsigned k = 1; k < REASON_COUNT; k++)
		if (r.count[k])
			printf("%12llu  %s\n", (unsigned long long)r.count[k], reason_text[k]);
	printf("%llu compared (%llu of them instructions), %llu the same, %llu unexplained\n", (unsigned long long)r.compared,
	       (unsigned long long)r.valid, (unsigned long long)r.agreed, (unsigned long long)r.unexplained);
	cs_free(r.ci, 1);
	for (unsigned k = 0; k < 3; k++)
		cs_close(&r.capstone[k]);
	return r.unexplained != 0;
}
