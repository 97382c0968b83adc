/* SPDX-License-Identifier: MIT */
/* Agent expressions: every bytecode's value, and every way in which an expression can be wrong. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "gdbstub/agent.h"
#include "gdbstub/packet.h"

static bool reg(void *ctx, unsigned number, uint64_t *v)
{
	(void)ctx;
	*v = 0x1000 + number;
	return number < 60;
}

static bool mem(void *ctx, uint64_t addr, void *p, size_t n)
{
	(void)ctx;
	for (size_t i = 0; i < n; i++)
		((uint8_t *)p)[i] = (uint8_t)(addr + i);
	return addr < 0x2000;
}

static const struct cv_agent_env env = { reg, mem, NULL };

static enum cv_agent_result eval(const char *hex, uint64_t *v)
{
	uint8_t code[256];
	size_t n = strlen(hex) / 2;

	ck_assert(n <= sizeof(code) && cv_get_hex(hex, code, n));
	*v = 0;
	return cv_agent_eval(code, n, &env, v);
}

START_TEST(agent_each_bytecode_has_its_value)
{
	static const struct {
		const char *hex;
		uint64_t value;
	} cases[] = {
		{ "222a27", 0x2a },			     /* const8 */
		{ "23123427", 0x1234 },			     /* const16, big-endian */
		{ "24123456782" "7", 0x12345678 },	     /* const32 */
		{ "25123456789abcdef027", 0x123456789abcdef0 }, /* const64 */
		{ "2205220302" "27", 8 },		     /* add */
		{ "2205220303" "27", 2 },		     /* sub */
		{ "2205220304" "27", 15 },		     /* mul */
		{ "22f916082203" "05" "27", (uint64_t)-2 },  /* -7 / 3 */
		{ "2207220306" "27", 2 },		     /* div unsigned */
		{ "22f916082203" "07" "27", (uint64_t)-1 },  /* -7 % 3 */
		{ "2207220308" "27", 1 },		     /* rem unsigned */
		{ "258000000000000000" "22ff1608" "05" "27", 0x8000000000000000 }, /* INT64_MIN / -1 wraps */
		{ "2201223f09" "27", 0x8000000000000000 },   /* lsh */
		{ "2201224009" "27", 0 },		     /* lsh too far */
		{ "22f8160822010a" "27", (uint64_t)-4 },     /* rsh signed */
		{ "22f8160822500a" "27", (uint64_t)-1 },
		{ "22f822010b" "27", 0x7c },		     /* rsh unsigned */
		{ "22000e27", 1 }, { "22050e27", 0 },	     /* log_not */
		{ "220c220a0f27", 8 }, { "220c220a1027", 14 }, { "220c220a1127", 6 }, { "22001227", ~0ull },
		{ "220522051327", 1 }, { "220522061327", 0 }, /* equal */
		{ "22ff160822011427", 1 }, { "22ff160822011527", 0 }, /* less signed, unsigned */
		{ "22ff160827", ~0ull },		     /* ext */
		{ "22ff16082a0827", 0xff },		     /* zero_ext */
		{ "2310001727", 0x00 }, { "2310011827", 0x0201 }, { "2310011927", 0x04030201 },
		{ "2310011a27", 0x0807060504030201 },	     /* ref8 to ref64 */
		{ "26000527", 0x1005 },			     /* reg */
		{ "220528022" "7", 10 },		     /* dup */
		{ "2205220629" "27", 5 },		     /* pop */
		{ "220522032b0327", (uint64_t)-2 },	     /* swap, sub */
		{ "2201220222033202" "27", 1 },		     /* pick 2 */
		{ "22012202220333" "27", 2 },		     /* rot: c a b */
		{ "22012000082209272207" "27", 7 },	     /* if_goto taken */
		{ "22002000082209272207" "27", 9 },	     /* if_goto not taken */
		{ "2100052209220727", 7 },		     /* goto */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t v;
		enum cv_agent_result r = eval(cases[i].hex, &v);

		ck_assert_msg(r == CV_AGENT_OK && v == cases[i].value, "%s: result %d, value %llx", cases[i].hex, r,
			      (unsigned long long)v);
	}
}
END_TEST

START_TEST(agent_wrong_code_is_refused)
{
	static const struct {
		const char *hex;
		enum cv_agent_result result;
	} cases[] = {
		{ "", CV_AGENT_BYTECODE },	  { "22", CV_AGENT_BYTECODE },	   { "2205", CV_AGENT_BYTECODE },
		{ "27", CV_AGENT_STACK },	  { "02", CV_AGENT_STACK },	   { "220102", CV_AGENT_STACK },
		{ "0127", CV_AGENT_BYTECODE },	  { "ff", CV_AGENT_BYTECODE },	   { "21ffff", CV_AGENT_BYTECODE },
		{ "2201220006" "27", CV_AGENT_DIVIDE }, { "2201220007" "27", CV_AGENT_DIVIDE },
		{ "24ffffffff1727", CV_AGENT_FAULT }, { "26ffff27", CV_AGENT_FAULT },
		{ "210000", CV_AGENT_ENDLESS },	  { "22012829210002", CV_AGENT_ENDLESS },
		{ "2201210000", CV_AGENT_STACK }, /* pushes until the stack is full */
		{ "220132ff27", CV_AGENT_STACK },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t v;
		enum cv_agent_result r = eval(cases[i].hex, &v);

		ck_assert_msg(r == cases[i].result, "%s: result %d", cases[i].hex, r);
	}
}
END_TEST

START_TEST(agent_random_code_ends)
{
	uint32_t seed = 1;

	for (unsigned i = 0; i < 20000; i++) {
		uint8_t code[40];
		uint64_t v = 0;

		for (size_t j = 0; j < sizeof(code); j++) {
			seed = seed * 1664525 + 1013904223;
			code[j] = (uint8_t)(seed >> 24) % 0x36;
		}
		ck_assert_int_le(cv_agent_eval(code, sizeof(code), &env, &v), CV_AGENT_ENDLESS);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("agent");
	TCase *c = tcase_create("agent");
	SRunner *r;
	int failed;

	tcase_add_test(c, agent_each_bytecode_has_its_value);
	tcase_add_test(c, agent_wrong_code_is_refused);
	tcase_add_test(c, agent_random_code_ends);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
