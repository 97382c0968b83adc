/* SPDX-License-Identifier: MIT */
/*
 * The host's floating-point environment can't leak: whatever rounding, precision, treatment of denormals or old exceptions
 * the caller of the engine has set up in MXCSR and the x87's control word, an instruction leaves the same registers, flags,
 * exceptions and memory, and the caller finds its own environment again. Every row of the opcode maps with vectors or x87 in
 * it, from random states; nothing runs natively.
 */
#include "fp_compare.h"

struct environment {
	uint32_t mxcsr;
	uint16_t fcw;
};

static const struct environment usual = {0x1f80, 0x37f};
static const struct environment odd[] = {
	{0x3f80, 0x77f}, /* down */
	{0x5f80, 0xb7f}, /* up */
	{0x7f80, 0xf7f}, /* towards zero */
	{0x1fc0, 0x27f}, /* denormals are zeros; 53 bits */
	{0x9f80, 0x07f}, /* flushed to zero; 24 bits */
	{0xffff, 0xc7f}, /* all of it, and all exceptions seen */
	{0x1fbf, 0x37f},
	{0x0000, 0x340}, /* no exception masked */
};
enum { NODD = sizeof(odd) / sizeof(odd[0]), STATES = 6 };

static unsigned tried, leaks;

static void set_environment(const struct environment *e)
{
	__asm__ volatile("fnclex\n\tfldcw %0\n\tldmxcsr %1" : : "m"(e->fcw), "m"(e->mxcsr));
}

/* Not run_guest(): the assertions in it belong to the usual environment. */
static void run_in(const struct environment *e, struct image *m, const uint8_t *data, uint8_t *after)
{
	struct cv_stop stop = {.insns = UINT64_MAX, .step = true, .stop_at_delivery = true};
	struct cv_vcpu_state s;
	struct environment left;
	struct cv_exit x;
	int rc;

	put(m->rdi, data, 128);
	state_from_image(&s, m);
	engine->ops->set_state(engine, &s);
	set_environment(e);
	rc = engine->ops->run(engine, &stop, &x, NULL);
	__asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(left.mxcsr), "=m"(left.fcw));
	set_environment(&usual);
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_eq(left.mxcsr, e->mxcsr);
	ck_assert_uint_eq(left.fcw, e->fcw);
	engine->ops->get_state(engine, &s);
	image_from_state(m, &s);
	cv_memory_read(&mem, m->rdi, after, 128);
}

static void try_code(const uint8_t *code, unsigned len)
{
	static uint8_t data[128], want[128], got[128];
	struct test t;
	enum flavour f;

	if (!make_test(&t, code, len))
		return;
	put(CODE, t.code, t.len);
	f = flavour_of(&t);
	trans_operands = transcendental((enum cv_op)t.insn.op);
	tried++;
	for (unsigned k = 0; k < STATES; k++) {
		struct image in, a, b;

		random_image(&in, f);
		if (t.insn.vex & CV_VEX)
			random_high(&in, f);
		fill_data(&t, data, f);
		a = b = in;
		run_in(&usual, &a, data, want);
		run_in(&odd[(tried + k) % NODD], &b, data, got);
		if (memcmp(&a, &b, sizeof(a)) || memcmp(want, got, sizeof(want))) {
			leaks++;
			printf("%s in environment %u:", t.name, (tried + k) % NODD);
			show_code(&t);
			printf("\n");
			show("usual", &a, want);
			show("odd  ", &b, got);
			return;
		}
	}
}

static void ready(void)
{
	tried = leaks = 0;
	make_engine_of("chronovisor-v3");
}

START_TEST(environment_of_the_host_is_nothing_to_x87)
{
	ready();
	for (unsigned opcode = 0xd8; opcode <= 0xdf; opcode++) {
		for (unsigned modrm = 0xc0; modrm < 0x100; modrm++) {
			uint8_t code[15] = {(uint8_t)opcode, (uint8_t)modrm};

			try_code(code, sizeof(code));
		}
		for (unsigned reg = 0; reg < 8; reg++) {
			uint8_t code[15] = {(uint8_t)opcode, (uint8_t)(reg << 3 | 7)};

			try_code(code, sizeof(code));
		}
	}
	ck_assert_uint_gt(tried, 400);
	ck_assert_uint_eq(leaks, 0);
}
END_TEST

/* xmm2, xmm1; xmm1, memory. */
static const uint8_t forms[] = {0xd1, 0x0f};

START_TEST(environment_of_the_host_is_nothing_to_sse)
{
	static const uint8_t prefixes[] = {0, 0x66, 0xf3, 0xf2}, maps[] = {0, 0x38, 0x3a};

	ready();
	for (unsigned k = 0; k < 4 * 3 * 256 * 2; k++) {
		unsigned prefix = prefixes[k & 3], opcode = k >> 2 & 0xff, map = maps[k / 2048], n = 0;
		uint8_t code[15] = {0};

		if (prefix)
			code[n++] = (uint8_t)prefix;
		code[n++] = 0x0f;
		if (map)
			code[n++] = (uint8_t)map;
		code[n++] = (uint8_t)opcode;
		code[n++] = forms[k >> 10 & 1];
		code[n++] = (uint8_t)rnd();
		if (map || (opcode != 0x38 && opcode != 0x3a))
			try_code(code, sizeof(code));
	}
	ck_assert_uint_gt(tried, 600);
	ck_assert_uint_eq(leaks, 0);
}
END_TEST

START_TEST(environment_of_the_host_is_nothing_to_avx)
{
	ready();
	for (unsigned map = 1; map <= 3; map++)
		for (unsigned opcode = 0; opcode < 256; opcode++)
			for (unsigned k = 0; k < 32; k++) { /* pp, L, W, form */
				uint8_t code[15] = {0xc4, (uint8_t)(0xe0 | map),
						    (uint8_t)((k & 3) | (k & 4) | (k & 8) << 4 | 0x68 /* vvvv: 2 */),
						    (uint8_t)opcode, forms[k >> 4], (uint8_t)rnd()};

				try_code(code, sizeof(code));
			}
	ck_assert_uint_gt(tried, 1500);
	ck_assert_uint_eq(leaks, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("floating-point environment");
	TCase *c = tcase_create("environment");
	SRunner *sr;
	int failed;

	tcase_set_timeout(c, 120);
	tcase_add_test(c, environment_of_the_host_is_nothing_to_x87);
	tcase_add_test(c, environment_of_the_host_is_nothing_to_sse);
	tcase_add_test(c, environment_of_the_host_is_nothing_to_avx);
	suite_add_tcase(s, c);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
