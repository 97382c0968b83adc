/* SPDX-License-Identifier: MIT */
/* The architectural state as bytes: what a checkpoint holds and a digest covers is all of it, upper halves of YMM included. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "vmm-core/state.h"

static void save(const struct cv_vcpu_state *s, struct cv_wbuf *w)
{
	memset(w, 0, sizeof(*w));
	cv_vcpu_save(s, w);
	ck_assert_int_eq(w->err, 0);
}

static bool same_bytes(const struct cv_vcpu_state *a, const struct cv_vcpu_state *b)
{
	struct cv_wbuf x, y;
	bool same;

	save(a, &x);
	save(b, &y);
	same = x.len == y.len && !memcmp(x.data, y.data, x.len);
	cv_wbuf_release(&x);
	cv_wbuf_release(&y);
	return same;
}

static void fill(struct cv_vcpu_state *s)
{
	cv_vcpu_reset(s);
	for (unsigned k = 0; k < 16; k++) {
		s->gpr[k] = 0x0101010101010101 * k;
		for (unsigned j = 0; j < 4; j++)
			s->ymm[k][j] = 0x1111111111111111 * j + k;
	}
	for (unsigned k = 0; k < 8; k++) {
		s->x87.mant[k] = 0x8000000000000000 | k;
		s->x87.se[k] = (uint16_t)(0x3fff + k);
	}
	s->xcr0 = 7;
	s->mxcsr = 0x9fc1;
}

START_TEST(state_saved_and_loaded_is_the_same)
{
	struct cv_vcpu_state s, t;
	struct cv_wbuf w;
	struct cv_rbuf r;

	fill(&s);
	save(&s, &w);
	cv_rbuf_init(&r, w.data, w.len);
	memset(&t, 0x5a, sizeof(t));
	cv_vcpu_load(&t, &r);
	ck_assert_int_eq(r.err, 0);
	ck_assert_mem_eq(t.gpr, s.gpr, sizeof(s.gpr));
	ck_assert_mem_eq(t.ymm, s.ymm, sizeof(s.ymm));
	ck_assert_mem_eq(t.x87.mant, s.x87.mant, sizeof(s.x87.mant));
	ck_assert_mem_eq(t.x87.se, s.x87.se, sizeof(s.x87.se));
	ck_assert_uint_eq(t.xcr0, 7);
	ck_assert_uint_eq(t.mxcsr, 0x9fc1);
	ck_assert(same_bytes(&s, &t));
	cv_wbuf_release(&w);
}
END_TEST

START_TEST(state_each_word_of_ymm_counts)
{
	struct cv_vcpu_state s, t;

	fill(&s);
	t = s;
	ck_assert(same_bytes(&s, &t));
	for (unsigned k = 0; k < 16; k++)
		for (unsigned j = 0; j < 4; j++) {
			t = s;
			t.ymm[k][j] ^= 1ull << (k + 16 * j);
			ck_assert_msg(!same_bytes(&s, &t), "ymm%u, word %u, isn't saved", k, j);
		}
}
END_TEST

START_TEST(state_cut_short_or_of_another_version_is_refused)
{
	struct cv_vcpu_state s;
	struct cv_wbuf w;
	struct cv_rbuf r;

	fill(&s);
	save(&s, &w);
	for (size_t n = 0; n < w.len; n += n < 8 ? 1 : 37) {
		cv_rbuf_init(&r, w.data, n);
		cv_vcpu_load(&s, &r);
		ck_assert_msg(r.err != 0, "%zu bytes of %zu are accepted", n, w.len);
	}
	w.data[0] ^= 0x40;
	cv_rbuf_init(&r, w.data, w.len);
	cv_vcpu_load(&s, &r);
	ck_assert_int_ne(r.err, 0);
	cv_wbuf_release(&w);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("state");
	TCase *c = tcase_create("state");
	SRunner *sr;
	int failed;

	tcase_add_test(c, state_saved_and_loaded_is_the_same);
	tcase_add_test(c, state_each_word_of_ymm_counts);
	tcase_add_test(c, state_cut_short_or_of_another_version_is_refused);
	suite_add_tcase(s, c);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
