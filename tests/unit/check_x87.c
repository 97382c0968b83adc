/* SPDX-License-Identifier: MIT */
/*
 * The x87 against the host's CPU: every row of its maps from the same state on the engine and natively must leave the same
 * registers, status, memory and exception behind; the transcendentals are within a unit in the last place of the host's.
 * And the image formats that 64-bit mode hasn't.
 */
#include "fp_compare.h"
#include "fp_fixture.h"
#include "fp_operands.h"
#include "host_vendor.h"

START_TEST(x87_row_equals_host)
{
	for (unsigned opcode = 0xd8; opcode <= 0xdf; opcode++) {
		for (unsigned m = 0; m < 0x48; m++) {
			uint8_t modrm = (uint8_t)(m < 0x40 ? 0xc0 + m : (m & 7) << 3 | 7);
			uint8_t code[15] = {(uint8_t)opcode, modrm}, code16[15] = {0x66, (uint8_t)opcode, modrm};

			for (unsigned k = 0; k < (m < 0x40 ? 2 : 6); k++)
				check(code, 15);
			if (m >= 0x40)
				check(code16, 15);
		}
	}
	ck_assert_uint_gt(tests, 500);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

/* --- Transcendentals --- */

/* A register's magnitude as one ordered number: neighbours differ by one. */
static unsigned __int128 ordinal(const uint8_t *p)
{
	uint64_t mant;
	uint16_t se;

	memcpy(&mant, p, 8);
	memcpy(&se, p + 8, 2);
	se &= 0x7fff;
	return ((unsigned __int128)(se ? se - 1 : 0) << 63) + mant;
}

/*
 * Of the same sign and not more than one unit in the last place apart; two where the host isn't Intel's: the engine rounds
 * the exact result, the manuals promise an error below one unit, and Intel's processors do better.
 */
static bool near_enough(const uint8_t *a, const uint8_t *b)
{
	unsigned __int128 x = ordinal(a), y = ordinal(b);

	return !((a[9] ^ b[9]) & 0x80) && (x > y ? x - y : y - x) <= (intel ? 1 : 2);
}

static bool trigonometric(const struct test *t)
{
	return t->insn.op == CV_OP_fsin || t->insn.op == CV_OP_fcos || t->insn.op == CV_OP_fsincos || t->insn.op == CV_OP_fptan;
}

/* Results within units of the last place; tags, TOP, C2 and all exceptions but precision's and tininess's are the host's. */
static bool near_host(const struct test *t, const struct image *a, const struct image *b, const uint8_t *da, const uint8_t *db)
{
	const unsigned undefined = intel ? 0 : undefined_status(t, 0) & ~(trigonometric(t) ? (unsigned)C2 : 0u);
	const unsigned ignore = C1 | 0x30 | ES | BUSY | undefined;
	uint16_t x, y;

	(void)da;
	(void)db;
	memcpy(&x, a->fx + 2, 2);
	memcpy(&y, b->fx + 2, 2);
	if (a->vector != b->vector || (x ^ y) & ~ignore || a->fx[4] != b->fx[4])
		return false;
	for (unsigned k = 0; k < 8; k++)
		if (!near_enough(a->fx + 32 + 16 * k, b->fx + 32 + 16 * k))
			return false;
	return true;
}

static void check_transcendental(unsigned modrm)
{
	uint8_t code[15] = {0xd9, (uint8_t)modrm};
	struct test t;

	ck_assert(make_test(&t, code, 15));
	trans_operands = true;
	run_test(&t, AS_EXTENDED, near_host);
	trans_operands = false;
	if (t.failures)
		printf("FAIL %s: %u\n", t.name, t.failures);
	failures += t.failures;
}

START_TEST(transcendental_in_range_is_near_host)
{
	static const uint8_t modrms[] = {0xf0, 0xf1, 0xf2, 0xf3, 0xf9, 0xfb, 0xfe, 0xff};

	if (!intel)
		printf("left out: transcendentals of special operands and of those that want reducing\n");
	for (unsigned r = 0; r < 20; r++)
		for (unsigned k = 0; k < sizeof(modrms); k++)
			check_transcendental(modrms[k]);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

/* --- Every pair of special operands --- */

static const struct {
	uint64_t mant;
	uint16_t se;
} specials[] = {
	{0, 0}, {0, 0x8000}, {1ull << 63, 0x3fff}, {1ull << 63, 0xbfff}, {1ull << 63, 0x7fff}, {1ull << 63, 0xffff},
	{1, 0}, {0x7fffffffffffffff, 0}, {0x7fffffffffffffff, 0x8000}, {1ull << 63, 1}, {UINT64_MAX, 0x7ffe}, {UINT64_MAX, 0xfffe},
	{0xc000000000000000, 0xffff}, {0xc000000000000001, 0x7fff}, {0xa000000000000000, 0x7fff}, {1, 0x3fff}, {1ull << 63, 0x3ffe},
	{1ull << 63, 0x4000}, {1ull << 63, 0xc000}, {0xc000000000000000, 0x3fff}, {UINT64_MAX, 0x3ffe}, {UINT64_MAX, 0xbffe},
	{0xc90fdaa22168c235, 0x4000}, {1ull << 63, 0x403e}, {1ull << 63, 0xc045}, {0xffffff8000000000, 0x3fbf},
};

/* ST(0) and ST(1) in turn are each of them, under this control word. */
static void check_pairs(struct test *t, uint16_t fcw, comparison *equal)
{
	static const uint8_t memory[128];
	const unsigned n = sizeof(specials) / sizeof(specials[0]);
	struct image in, a, b;

	for (unsigned k = 0; k < n * n; k++) {
		memset(&in, 0, sizeof(in));
		memcpy(in.fx, &fcw, 2);
		in.fx[3] = 0x38; /* TOP is 7: ST(0) and ST(1) are R7 and R0 */
		in.fx[4] = 0x81;
		in.fx[25] = 0x1f;
		in.fx[24] = 0x80;
		memcpy(in.fx + 32, &specials[k / n].mant, 8);
		memcpy(in.fx + 40, &specials[k / n].se, 2);
		memcpy(in.fx + 48, &specials[k % n].mant, 8);
		memcpy(in.fx + 56, &specials[k % n].se, 2);
		in.rdi = OPERAND;
		in.flags = 0x202;
		a = b = in;
		run_native(&a);
		run_guest(&b);
		tests++;
		if (equal(t, &a, &b, memory, memory))
			continue;
		printf("FAIL %s of %04x:%016llx and %04x:%016llx, control word %04x\n", t->name, specials[k / n].se,
		       (unsigned long long)specials[k / n].mant, specials[k % n].se, (unsigned long long)specials[k % n].mant, fcw);
		failures++;
	}
}

/* All masked; none masked; single precision with underflow not masked; double precision upwards; towards zero. */
START_TEST(x87_pairs_of_special_operands_equal_host)
{
	static const uint8_t codes[][2] = {{0xd9, 0xf0}, {0xd9, 0xf1}, {0xd9, 0xf2}, {0xd9, 0xf3}, {0xd9, 0xf4}, {0xd9, 0xf5}, {0xd9, 0xf8},
					   {0xd9, 0xf9}, {0xd9, 0xfa}, {0xd9, 0xfb}, {0xd9, 0xfc}, {0xd9, 0xfd}, {0xd9, 0xfe}, {0xd9, 0xff},
					   {0xd8, 0xc1}, {0xd8, 0xc9}, {0xd8, 0xe1}, {0xd8, 0xf1}, {0xdf, 0xf1}, {0xdb, 0xe9}, {0xd8, 0xd1}};
	static const uint16_t control[] = {0x37f, 0x340, 0x06f, 0xa7f, 0xf7f};

	for (unsigned k = 0; k < sizeof(codes) / sizeof(codes[0]) * 5; k++) {
		uint8_t code[15] = {codes[k / 5][0], codes[k / 5][1]};
		struct test t;

		ck_assert(make_test(&t, code, 15));
		if (!intel && transcendental(t.insn.op))
			continue; /* most pairs are none that the manuals promise anything about */
		set_code(&t);
		check_pairs(&t, control[k % 5], transcendental(t.insn.op) ? near_host : intel ? same_exactly : same_as_documented);
	}
	ck_assert_uint_gt(tests, 20000);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

/* --- Image formats that 64-bit mode hasn't --- */

/* Runs one instruction in real mode with DS:BX = 0:4000h, x87 pointers known; returns the state. */
static struct cv_vcpu_state run_real(const uint8_t *code, unsigned n)
{
	struct cv_stop stop = {.insns = UINT64_MAX, .step = true};
	struct cv_vcpu_state s;
	struct cv_exit x;

	cv_vcpu_reset(&s);
	s.seg[CV_CS].base = s.seg[CV_CS].sel = 0;
	s.rip = 0x3000;
	s.gpr[CV_RBX] = 0x4000;
	s.x87.fcw = 0x27f;
	s.x87.fsw = 0x3800;
	s.x87.ftw = 0x80;
	s.x87.mant[7] = 1ull << 63;
	s.x87.se[7] = 0x3fff;
	s.x87.fip = 0x12345;
	s.x87.fdp = 0xabcde;
	s.x87.fop = 0x6e7;
	put(0x3000, code, n);
	engine->ops->set_state(engine, &s);
	ck_assert_int_eq(engine->ops->run(engine, &stop, &x, NULL), 0);
	engine->ops->get_state(engine, &s);
	ck_assert_uint_eq(s.rip, 0x3000 + n);
	return s;
}

static void check_bytes(const uint8_t *want, unsigned n)
{
	uint8_t got[108];

	cv_memory_read(&mem, 0x4000, got, n);
	ck_assert_mem_eq(got, want, n);
}

START_TEST(fstenv_real_mode_has_its_layouts)
{
	static const uint8_t st16[] = {0xd9, 0x37}, st32[] = {0x66, 0xd9, 0x37}, ld16[] = {0xd9, 0x27}, ld32[] = {0x66, 0xd9, 0x27};
	static const uint8_t want16[14] = {0x7f, 2, 0, 0x38, 0xff, 0x3f, 0x45, 0x23, 0xe7, 0x16, 0xde, 0xbc, 0, 0xa0};
	static const uint8_t want32[28] = {0x7f, 2, 0xff, 0xff, 0, 0x38, 0xff, 0xff, 0xff, 0x3f, 0xff, 0xff, 0x45, 0x23, 0xff, 0xff,
					   0xe7, 0x16, 0, 0, 0xde, 0xbc, 0xff, 0xff, 0, 0xa0, 0, 0};
	struct cv_vcpu_state s = run_real(st16, 2);

	check_bytes(want16, 14);
	ck_assert_uint_eq(s.x87.fcw, 0x27f | 0x3f);
	s = run_real(ld16, 2);
	ck_assert_uint_eq(s.x87.fip, 0x12345);
	ck_assert_uint_eq(s.x87.fdp, 0xabcde);
	ck_assert_uint_eq(s.x87.fop, 0x6e7);
	ck_assert_uint_eq(s.x87.ftw, 0x80);
	run_real(st32, 3);
	check_bytes(want32, 28);
	s = run_real(ld32, 3);
	ck_assert_uint_eq(s.x87.fip, 0x12345);
	ck_assert_uint_eq(s.x87.fdp, 0xabcde);
	ck_assert_uint_eq(s.x87.fop, 0x6e7);
}
END_TEST

START_TEST(fsave_real_mode_restores_what_it_saved)
{
	static const uint8_t save[] = {0xdd, 0x37}, restore[] = {0xdd, 0x27}, one[10] = {0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f};
	struct cv_vcpu_state s = run_real(save, 2);
	uint8_t got[94];

	ck_assert_uint_eq(s.x87.fcw, 0x37f);
	ck_assert_uint_eq(s.x87.fsw, 0);
	ck_assert_uint_eq(s.x87.ftw, 0);
	cv_memory_read(&mem, 0x4000, got, 94);
	ck_assert_mem_eq(got + 14, one, 10);
	s = run_real(restore, 2);
	ck_assert_uint_eq(s.x87.fcw, 0x27f);
	ck_assert_uint_eq(s.x87.fsw, 0x3800);
	ck_assert_uint_eq(s.x87.ftw, 0x80);
	ck_assert_uint_eq(s.x87.se[7], 0x3fff);
	ck_assert_uint_eq(s.x87.mant[7], 1ull << 63);
	ck_assert_uint_eq(s.x87.fip, 0x12345);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("x87");
	TCase *t = tcase_create("host");
	SRunner *r;
	int failed;

	tcase_add_unchecked_fixture(t, make_engine, NULL);
	tcase_add_checked_fixture(t, reset_counts, NULL);
	tcase_set_timeout(t, 300);
	tcase_add_test(t, x87_row_equals_host);
	tcase_add_test(t, transcendental_in_range_is_near_host);
	tcase_add_test(t, x87_pairs_of_special_operands_equal_host);
	tcase_add_test(t, fstenv_real_mode_has_its_layouts);
	tcase_add_test(t, fsave_real_mode_restores_what_it_saved);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
