/* SPDX-License-Identifier: MIT */
/*
 * The decoder against Capstone: length and mnemonic of random bytes in each mode, with prefixes and opcodes weighted so that
 * every row comes up, and of this program's own code; then what a disassembler does not check: size limit, LOCK, operands.
 *
 * Where the two disagree for a reason, the reason stands in `disagreement`.
 */
#include <capstone/capstone.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm-core/state.h"
#include "vmm-core/x86/insn.h"

static uint64_t random_state;

static unsigned rnd(void)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(random_state >> 33);
}

static const unsigned modes[3] = {16, 32, 64};

static csh open_capstone(unsigned mode)
{
	csh h;

	ck_assert_int_eq(cs_open(CS_ARCH_X86, mode == 16 ? CS_MODE_16 : mode == 32 ? CS_MODE_32 : CS_MODE_64, &h), CS_ERR_OK);
	cs_option(h, CS_OPT_DETAIL, CS_OPT_ON);
	return h;
}

static bool has(const uint8_t *p, unsigned n, uint8_t b)
{
	return memchr(p, b, n) != NULL;
}

/* Offset of the opcode behind all prefixes, REX too. */
static unsigned skip_prefixes(const uint8_t *p, unsigned n, unsigned mode)
{
	unsigned k = 0;

	while (k < n && (has((const uint8_t *)"\xf0\xf2\xf3\x66\x67\x2e\x36\x3e\x26\x64\x65", 11, p[k]) ||
			 (mode == 64 && (p[k] & 0xf0) == 0x40)))
		k++;
	return k;
}

/* MMX and SSE opcodes of the 0F map, where 66, F2 and F3 choose the row. */
static bool is_simd(uint8_t op2)
{
	return (op2 >= 0x10 && op2 <= 0x17) || (op2 >= 0x28 && op2 <= 0x2f) || (op2 >= 0x50 && op2 <= 0x7f) ||
	       (op2 >= 0xc2 && op2 <= 0xc6) || op2 >= 0xd0;
}

/*
 * Why Capstone may differ at these bytes, or NULL. `ours` is our verdict.
 */
static const char *disagreement(const uint8_t *p, unsigned n, unsigned mode, enum cv_decode_result ours)
{
	unsigned k = skip_prefixes(p, n, mode);
	uint8_t op = p[k], op2 = k + 1 < n ? p[k + 1] : 0, m = k + 2 < n ? p[k + 2] : 0;

	for (unsigned j = 0; j + 1 < k; j++)
		if (mode == 64 && (p[j] & 0xf0) == 0x40)
			return "a REX before another prefix: ignored by processors";
	if (k > 4)
		return "many prefixes: Capstone gives up early";
	if (has(p, k, 0xf0))
		return "LOCK: Capstone does not check it as processors do";
	if (has(p, k, 0xf2) + has(p, k, 0xf3) + has(p, k, 0x66) > 1)
		return "several mandatory prefixes: Capstone picks otherwise";
	if (mode == 64 && has(p, k, 0x66) && (op == 0xe8 || op == 0xe9 || (op == 0x0f && (op2 & 0xf0) == 0x80)))
		return "66h before a near branch: AMD's length in Capstone, Intel's here";
	if (op == 0xc4 || op == 0xc5 || op == 0x62 || op == 0x8f)
		return "VEX, EVEX, XOP: not of this model";
	if (op == 0x9b)
		return "WAIT: Capstone takes it with the next x87 instruction";
	if ((op == 0x8c || op == 0x8e) && mode == 64)
		return "segment registers: REX.R is ignored";
	if ((op == 0xe8 || op == 0xe9) && has(p, k, 0x67))
		return "near branches: Capstone takes an address size prefix for an operand size";
	if (op == 0xc2 && mode == 64)
		return "RET imm16: Capstone reads a wider immediate with REX.W";
	if ((op == 0xc6 || op == 0xc7) && op2 == 0xf8)
		return "transactional memory";
	if (op == 0xd6 || op == 0xf1 || op == 0x82)
		return "undocumented";
	if ((op & 0xf8) == 0xd8)
		return "x87 is checked by the tests of its own maps";
	if (op != 0x0f)
		return NULL;
	if (ours == CV_DECODE_UD && is_simd(op2) && (has(p, k, 0xf2) || has(p, k, 0xf3) || has(p, k, 0x66)))
		return "a prefix for which the map has no row is #UD";
	if (is_simd(op2) && (has(p, k, 0xf2) || has(p, k, 0xf3) || has(p, k, 0x66)) && (mode == 16 || k > 1))
		return "Capstone forgets a mandatory prefix in 16-bit mode and before another prefix";
	switch (op2) {
	case 0x7c: case 0x7d: case 0xd0: case 0x6c: case 0x6d: case 0xe6: return "Capstone takes 67h with REX.W for 66h";
	case 0x01: return m >= 0xc0 ? "VMX, SVM, MPX, monitor and other instructions of later models" : NULL;
	case 0x00: return "group 6: /6 and /7 are #UD";
	case 0x02: case 0x03: return "LAR, LSL: source size";
	case 0x04: case 0x0a: case 0x0c: case 0x0e: case 0x0f: case 0x24: case 0x25: case 0x26: case 0x27: case 0x36: case 0x37:
	case 0x39: case 0x3b: case 0x3c: case 0x3d: case 0x3e: case 0x3f: case 0x7a: case 0x7b: case 0xa6: case 0xa7: case 0x78:
	case 0x79: case 0xaa: case 0x0d:
		return "3DNow!, Cyrix, VMX and other instructions that this model does not have";
	case 0x18: case 0x19: case 0x1a: case 0x1b: case 0x1c: case 0x1d: case 0x1e: case 0x1f: return "hints and MPX: NOPs here";
	case 0x20: case 0x21: case 0x22: case 0x23: return "which control registers exist is decided when it runs";
	case 0x38: case 0x3a: return "instructions of later models (MOVBE, ADX, SHA, AES)";
	case 0xb8: case 0xb9: case 0xff: return "UD0, UD1, JMPE";
	case 0xbc: case 0xbd: return "TZCNT and LZCNT are BSF and BSR in this model";
	case 0xae: case 0xc7: return "instructions of later models";
	case 0x09: return "WBNOINVD";
	default: return NULL;
	}
}

/* Our names where they aren't Capstone's. */
static bool same_name(const char *ours, const char *cs, const struct cv_insn *i)
{
	static const struct {
		const char *ours, *cs;
	} alias[] = {
		{"imul2", "imul"}, {"jmp_ind", "jmp"}, {"call_ind", "call"}, {"jmp_far", "ljmp"}, {"jmp_far_ind", "ljmp"},
		{"jmp_far_ind", "jmp"}, {"call_far", "lcall"}, {"call_far_ind", "lcall"}, {"call_far_ind", "call"}, {"ret_far", "retf"},
		{"ret_far", "retfq"}, {"mov_from_sreg", "mov"}, {"mov_to_sreg", "mov"}, {"push_sreg", "push"}, {"pop_sreg", "pop"},
		{"cbw", "cwde"}, {"cbw", "cdqe"}, {"cwd", "cdq"}, {"cwd", "cqo"}, {"pusha", "pushaw"}, {"pusha", "pushal"},
		{"popa", "popaw"}, {"popa", "popal"}, {"mov", "movabs"}, {"mov", "movnti"}, {"jcxz", "jecxz"}, {"jcxz", "jrcxz"},
		{"iret", "iretd"}, {"iret", "iretq"}, {"xlat", "xlatb"}, {"ud", "ud2"}, {"pushf", "pushfq"}, {"pushf", "pushfd"},
		{"popf", "popfq"}, {"popf", "popfd"}, {"sysret", "sysretq"}, {"sysexit", "sysexitq"}, {"shl", "sal"}, {"in", "in"},
		{"loopne", "loopne"}, {"nop", "xchg"}, {"aad", "aad"}, {"int1", "int1"}, {"movsx", "movsx"}, {"mov_from_cr", "mov"},
		{"xchg", "nop"}, {"pause", "nop"}, {"nop", "pause"}, {"pause", "xchg"}, {"lgdt", "lgdt"},
	};
	static const char *const cc[16] = {"o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"};
	char buf[16];

	if (!strcmp(ours, cs))
		return true;
	for (unsigned k = 0; k < sizeof(alias) / sizeof(alias[0]); k++)
		if (!strcmp(ours, alias[k].ours) && !strcmp(cs, alias[k].cs))
			return true;
	if (i->op == CV_OP_jcc || i->op == CV_OP_cmovcc || i->op == CV_OP_setcc) {
		snprintf(buf, sizeof(buf), "%s%s", i->op == CV_OP_jcc ? "j" : i->op == CV_OP_cmovcc ? "cmov" : "set",
			 cc[i->opcode & 15]);
		return !strcmp(buf, cs);
	}
	/* String operations carry their size: movsb, stosd; so do INS and OUTS. */
	if (!strncmp(ours, cs, strlen(ours)) && strlen(cs) == strlen(ours) + 1)
		return strchr("bwdqeln", cs[strlen(ours)]) != NULL;
	return false;
}

/* SIMD has its own maps and names; here only its length counts. */
static bool is_integer(const struct cv_insn *i)
{
	enum {
#define X(name) +1
		LAST = 0
#include "vmm-core/x86/ops_int.def"
#include "vmm-core/x86/ops_sys.def"
#undef X
	};

	return i->op <= LAST;
}

static void strip_prefix(const char *text, char *out, size_t n)
{
	static const char *const words[] = {"rep ", "repe ", "repz ", "repne ", "repnz ", "lock ", "notrack ", "bnd ", "data16 ", "xacquire ",
					     "xrelease "};

	for (unsigned k = 0; k < sizeof(words) / sizeof(words[0]); k++)
		if (!strncmp(text, words[k], strlen(words[k])))
			text += strlen(words[k]);
	snprintf(out, n, "%s", text);
}

/* false: an unexplained difference, described. */
static bool compare(csh h, cs_insn *ci, const uint8_t *p, unsigned n, unsigned mode)
{
	struct cv_insn i;
	enum cv_decode_result r = cv_decode(p, n, mode, CV_FEATURES_V2, &i);
	const uint8_t *code = p;
	size_t left = n;
	uint64_t addr = 0;
	bool ok = cs_disasm_iter(h, &code, &left, &addr, ci);
	char name[CS_MNEMONIC_SIZE];
	bool same;

	if (disagreement(p, n, mode, r))
		return true;
	if (ok)
		strip_prefix(ci->mnemonic, name, sizeof(name));
	same = ok == (r == CV_DECODE_OK) &&
	       (!ok || (ci->size == i.len && (!is_integer(&i) || same_name(cv_op_name(i.op), name, &i))));
	if (!same) {
		fprintf(stderr, "%u:", mode);
		for (unsigned k = 0; k < n; k++)
			fprintf(stderr, " %02x", p[k]);
		fprintf(stderr, "\n  Capstone %s %s (%u), we %s (%u) result %d\n", ok ? ci->mnemonic : "bad", ok ? ci->op_str : "",
			ok ? ci->size : 0, cv_op_name(i.op), i.len, r);
	}
	return same;
}

START_TEST(decode_random_bytes_match_capstone)
{
	static const uint8_t prefixes[] = {0x66, 0x67, 0xf2, 0xf3, 0x2e, 0x65, 0x64, 0x48, 0x41, 0x4f};
	unsigned mode = modes[_i], bad = 0;
	csh h = open_capstone(mode);
	cs_insn *ci = cs_malloc(h);

	random_state = 1234567 + mode;
	printf("seed %u\n", 1234567 + mode);
	for (unsigned k = 0; k < 400000 && bad < 10; k++) {
		uint8_t p[15];
		unsigned n = 0;

		while (rnd() % 3 == 0 && n < 3)
			p[n++] = prefixes[rnd() % sizeof(prefixes)];
		if (rnd() % 2)
			p[n++] = 0x0f;
		while (n < 15)
			p[n++] = (uint8_t)rnd();
		bad += !compare(h, ci, p, 15, mode);
	}
	cs_free(ci, 1);
	cs_close(&h);
	ck_assert_uint_eq(bad, 0);
}
END_TEST

extern const uint8_t etext[]; /* the linker's */

START_TEST(decode_own_code_matches_capstone)
{
	const uint8_t *p = (const uint8_t *)cv_decode, *end = etext;
	csh h = open_capstone(64);
	cs_insn *ci = cs_malloc(h);
	unsigned bad = 0, seen = 0;
	struct cv_insn i;

	while (p + 15 < end && bad < 10) {
		bad += !compare(h, ci, p, 15, 64);
		seen++;
		p += cv_decode(p, 15, 64, CV_FEATURES_V2, &i) == CV_DECODE_OK ? i.len : 1;
	}
	cs_free(ci, 1);
	cs_close(&h);
	ck_assert_uint_eq(bad, 0);
	ck_assert_uint_gt(seen, 100);
}
END_TEST

/* --- What Capstone does not tell --- */

static enum cv_decode_result decode(const char *text, unsigned n, unsigned mode, struct cv_insn *i)
{
	return cv_decode((const uint8_t *)text, n, mode, CV_FEATURES_V2, i);
}

START_TEST(decode_more_than_15_bytes_is_long)
{
	struct cv_insn i;
	char p[16];

	memset(p, 0x66, 16);
	p[14] = (char)0x90;
	ck_assert_int_eq(decode(p, 15, 64, &i), CV_DECODE_OK);
	ck_assert_uint_eq(i.len, 15);
	p[14] = 0x66;
	p[15] = (char)0x90;
	ck_assert_int_eq(decode(p, 15, 64, &i), CV_DECODE_LONG);
	ck_assert_int_eq(decode(p, 10, 64, &i), CV_DECODE_MORE);
}
END_TEST

START_TEST(decode_truncated_wants_more)
{
	static const char add[] = "\x48\x81\x84\x24\x00\x01\x00\x00\x11\x22\x33\x44";
	struct cv_insn i;

	for (unsigned n = 0; n < 12; n++)
		ck_assert_int_eq(decode(add, n, 64, &i), CV_DECODE_MORE);
	ck_assert_int_eq(decode(add, 12, 64, &i), CV_DECODE_OK);
	ck_assert_uint_eq(i.imm, 0x44332211);
	ck_assert_int_eq(i.disp, 0x100);
	ck_assert_uint_eq(i.base, CV_RSP);
	ck_assert_uint_eq(i.index, CV_NOREG);
	ck_assert_uint_eq(i.seg, CV_SS);
	ck_assert_uint_eq(i.osize, 8);
}
END_TEST

START_TEST(decode_lock_only_before_memory_destinations)
{
	struct cv_insn i;

	ck_assert_int_eq(decode("\xf0\x01\x03", 3, 64, &i), CV_DECODE_OK);	    /* lock add [rbx], eax */
	ck_assert_int_eq(decode("\xf0\x01\xc3", 3, 64, &i), CV_DECODE_UD);	    /* register */
	ck_assert_int_eq(decode("\xf0\x03\x03", 3, 64, &i), CV_DECODE_UD);	    /* memory is the source */
	ck_assert_int_eq(decode("\xf0\x39\x03", 3, 64, &i), CV_DECODE_UD);	    /* cmp */
	ck_assert_int_eq(decode("\xf0\x90", 2, 64, &i), CV_DECODE_UD);
	ck_assert_int_eq(decode("\xf0\x48\x0f\xc7\x0b", 5, 64, &i), CV_DECODE_OK); /* cmpxchg16b */
	ck_assert_int_eq(i.op, CV_OP_cmpxchg16b);
	ck_assert_int_eq(decode("\xf0\x0f\xba\x2b\x05", 5, 64, &i), CV_DECODE_OK); /* bts */
	ck_assert_int_eq(decode("\xf0\x0f\xba\x23\x05", 5, 64, &i), CV_DECODE_UD); /* bt */
}
END_TEST

START_TEST(decode_high_byte_registers_need_no_rex)
{
	struct cv_insn i;

	ck_assert_int_eq(decode("\x88\xe5", 2, 64, &i), CV_DECODE_OK); /* mov ch, ah */
	ck_assert_uint_eq(i.reg, CV_RAX);
	ck_assert_uint_eq(i.rm, CV_RCX);
	ck_assert_uint_eq(i.flags & (CV_INSN_HIGH_REG | CV_INSN_HIGH_RM), CV_INSN_HIGH_REG | CV_INSN_HIGH_RM);
	ck_assert_int_eq(decode("\x40\x88\xe5", 3, 64, &i), CV_DECODE_OK); /* mov bpl, spl */
	ck_assert_uint_eq(i.reg, CV_RSP);
	ck_assert_uint_eq(i.flags & (CV_INSN_HIGH_REG | CV_INSN_HIGH_RM), 0);
}
END_TEST

START_TEST(decode_operand_sizes_follow_mode_and_prefixes)
{
	static const struct {
		const char *bytes;
		unsigned n, mode, osize, asize;
	} t[] = {
		{"\x01\x00", 2, 16, 2, 2}, {"\x66\x01\x00", 3, 16, 4, 2}, {"\x67\x01\x00", 3, 16, 2, 4}, {"\x01\x00", 2, 32, 4, 4},
		{"\x66\x01\x00", 3, 32, 2, 4}, {"\x01\x00", 2, 64, 4, 8}, {"\x48\x01\x00", 3, 64, 8, 8},
		{"\x66\x48\x01\x00", 4, 64, 8, 8}, {"\x67\x01\x00", 3, 64, 4, 4}, {"\x50", 1, 64, 8, 8}, {"\x66\x50", 2, 64, 2, 8},
		{"\xc3", 1, 64, 8, 8}, {"\x66\xc3", 2, 64, 8, 8}, {"\xc3", 1, 32, 4, 4}, {"\xff\x30", 2, 64, 8, 8},
		{"\x66\xe8\x00\x00\x00\x00", 6, 64, 8, 8}, {"\xaa", 1, 64, 1, 8}, {"\x48\xab", 2, 64, 8, 8},
		{"\xe4\x60", 2, 32, 1, 4}, {"\xee", 1, 64, 1, 8}, {"\xef", 1, 64, 4, 8}, {"\x66\xef", 2, 64, 2, 8},
	};

	for (unsigned k = 0; k < sizeof(t) / sizeof(t[0]); k++) {
		struct cv_insn i;

		ck_assert_int_eq(decode(t[k].bytes, t[k].n, t[k].mode, &i), CV_DECODE_OK);
		ck_assert_uint_eq(i.len, t[k].n);
		ck_assert_uint_eq(i.osize, t[k].osize);
		ck_assert_uint_eq(i.asize, t[k].asize);
	}
}
END_TEST

START_TEST(decode_rip_relative_and_moffs)
{
	struct cv_insn i;

	ck_assert_int_eq(decode("\x48\x8b\x05\xf0\xff\xff\xff", 7, 64, &i), CV_DECODE_OK);
	ck_assert_uint_eq(i.base, CV_REG_RIP);
	ck_assert_int_eq(i.disp, -16);
	ck_assert_int_eq(decode("\x8b\x05\xf0\xff\xff\xff", 6, 32, &i), CV_DECODE_OK);
	ck_assert_uint_eq(i.base, CV_NOREG);
	ck_assert_int_eq(decode("\x65\x48\xa1\x88\x77\x66\x55\x44\x33\x22\x11", 11, 64, &i), CV_DECODE_OK);
	ck_assert_uint_eq(i.imm, 0x1122334455667788);
	ck_assert_uint_eq(i.seg, CV_GS);
	ck_assert_int_eq(decode("\x67\xa1\x44\x33\x22\x11", 6, 64, &i), CV_DECODE_OK);
	ck_assert_uint_eq(i.imm, 0x11223344);
}
END_TEST

START_TEST(decode_later_models_are_undefined)
{
	struct cv_insn i;

	ck_assert_int_eq(decode("\xc5\xf8\x77", 3, 64, &i), CV_DECODE_UD);		 /* vzeroupper */
	ck_assert_int_eq(decode("\xc4\xe2\x79\x18\x00", 5, 64, &i), CV_DECODE_UD);
	ck_assert_int_eq(decode("\x62\xf1\x7c\x48\x10\x00", 6, 64, &i), CV_DECODE_UD);
	ck_assert_int_eq(decode("\xc5\x03", 2, 32, &i), CV_DECODE_OK); /* LDS */
	ck_assert_int_eq(decode("\x0f\x01\xc8", 3, 64, &i), CV_DECODE_UD); /* monitor */
	ck_assert_int_eq(decode("\x06", 1, 64, &i), CV_DECODE_UD);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("decode");
	TCase *t = tcase_create("decode");
	SRunner *sr;
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, decode_random_bytes_match_capstone, 0, 3);
	tcase_add_test(t, decode_own_code_matches_capstone);
	tcase_add_test(t, decode_more_than_15_bytes_is_long);
	tcase_add_test(t, decode_truncated_wants_more);
	tcase_add_test(t, decode_lock_only_before_memory_destinations);
	tcase_add_test(t, decode_high_byte_registers_need_no_rex);
	tcase_add_test(t, decode_operand_sizes_follow_mode_and_prefixes);
	tcase_add_test(t, decode_rip_relative_and_moffs);
	tcase_add_test(t, decode_later_models_are_undefined);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
