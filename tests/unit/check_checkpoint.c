/* SPDX-License-Identifier: MIT */
/* Checkpoints in memory: what is restored is what was taken, digest checks survive travel, memory is shared and freed. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "fake_machine.h"
#include "replay/checkpoint.h"
#include "replay/internal.h"
#include "replay/pagetree.h"

#define MANY 20u

/* An environment that is a function of the position alone: a run goes on the same way after a restore. */
static void env_entropy(struct cv_env *env, const struct cv_pos *pos, uint8_t *p, size_t n)
{
	(void)env;
	memset(p, (int)(pos->insns & 0xff), n);
}

static uint64_t env_horizon(struct cv_env *env, const struct cv_pos *pos)
{
	(void)env;
	return 700 - pos->insns % 700;
}

static bool env_nothing(struct cv_env *env, const struct cv_pos *pos, uint64_t deadline, size_t room,
			struct cv_event *ev)
{
	(void)env;
	(void)pos;
	(void)deadline;
	(void)room;
	(void)ev;
	return false;
}

static void env_interrupt(struct cv_env *env, const struct cv_pos *pos, unsigned vector)
{
	(void)env;
	(void)pos;
	(void)vector;
}

static void env_console_out(struct cv_env *env, const struct cv_pos *pos, const uint8_t *p, size_t n)
{
	(void)env;
	(void)pos;
	(void)p;
	(void)n;
}

static const struct cv_env_ops env_ops = {
	.entropy = env_entropy,
	.horizon = env_horizon,
	.poll = env_nothing,
	.wait = env_nothing,
	.interrupt = env_interrupt,
	.console_out = env_console_out,
};

struct fixture {
	struct fake_image image;
	struct cv_env env;
	struct cv_machine *m;
	struct cv_checkpoints *s;
	struct cv_error err;
	uint64_t rng;
};

static void must(struct fixture *f, int rc)
{
	ck_assert_msg(!rc, "%s", f->err.msg);
}

static uint64_t rnd(struct fixture *f, uint64_t n)
{
	return fake_hash(f->rng += 0x9e3779b97f4a7c15ull) % n;
}

static void setup_machine(struct fixture *f)
{
	struct cv_machine_config mc;

	memset(f, 0, sizeof(*f));
	fake_image_init(&f->image, 99, UINT64_MAX, CV_END_POWEROFF, UINT64_MAX);
	f->env = (struct cv_env){.ops = &env_ops, .virtual_clock = true};
	mc = fake_config(&f->image, CV_CLOCK_VIRTUAL);
	must(f, cv_machine_new_with_engine(&f->m, &mc, &fake_board, fake_engine_new, &f->env, &f->err));
}

static void setup(struct fixture *f)
{
	setup_machine(f);
	must(f, cv_checkpoints_new(&f->s, f->m, &f->err));
}

static void teardown(struct fixture *f)
{
	cv_checkpoints_free(f->s);
	cv_machine_free(f->m);
}

static void run(struct fixture *f, uint64_t n)
{
	struct cv_stop stop = {0};
	struct cv_run r;
	struct cv_pos pos;

	cv_machine_position(f->m, &pos);
	stop.insns = pos.insns + n;
	must(f, cv_machine_run(f->m, &stop, false, &r, &f->err));
	ck_assert_int_eq(r.why, CV_RUN_POSITION);
}

static struct cv_digest digest(struct fixture *f)
{
	struct cv_digest d;

	must(f, cv_machine_digest(f->m, &d, &f->err));
	return d;
}

static void same(const struct cv_digest *a, const struct cv_digest *b)
{
	ck_assert_mem_eq(a->b, b->b, sizeof(a->b));
}

START_TEST(restore_in_any_order_gives_back_what_was_taken)
{
	struct fixture f;
	struct cv_checkpoint *cp[MANY];
	struct cv_digest d[MANY];

	setup(&f);
	for (unsigned i = 0; i < MANY; i++) {
		must(&f, cv_checkpoint_take(f.s, i * 10, &cp[i], &f.err));
		d[i] = digest(&f);
		run(&f, 1 + rnd(&f, 3000));
	}
	for (unsigned n = 0; n < 200; n++) {
		unsigned i = (unsigned)rnd(&f, MANY);
		struct cv_digest now;
		struct cv_pos pos;

		must(&f, cv_checkpoint_restore(f.s, cp[i], &f.err));
		now = digest(&f);
		same(&now, &d[i]);
		cv_machine_position(f.m, &pos);
		ck_assert_int_eq(cv_pos_cmp(&pos, cv_checkpoint_pos(cp[i])), 0);
		ck_assert_uint_eq(cv_checkpoint_log_seq(cp[i]), i * 10);
		if (n % 3)
			run(&f, rnd(&f, 2000));
		if (n % 7 == 0)
			cv_memory_write(&f.m->mem, FAKE_DATA + rnd(&f, 100000), "from outside", 12);
	}
	for (unsigned i = 0; i < MANY; i++)
		cv_checkpoint_free(f.s, cp[i]);
	teardown(&f);
}
END_TEST

/* A digest check as the timeline makes it. */
static struct cv_digest check(struct fixture *f)
{
	struct cv_digest d;

	cv_checkpoints_before_check(f->s);
	must(f, cv_machine_digest_dirty(f->m, &d, &f->err));
	cv_memory_clear_dirty(&f->m->mem);
	f->m->engine->ops->flush_tlb(f->m->engine);
	cv_checkpoints_after_check(f->s);
	return d;
}

/* Without checkpoints: what a recorder does. Then the same run with takes and restores in between. */
START_TEST(digest_of_dirty_pages_survives_travel)
{
	struct fixture plain, f;
	struct cv_digest want[3], got;
	struct cv_checkpoint *a, *b, *c;

	setup_machine(&plain);
	for (unsigned i = 0; i < 3; i++) {
		run(&plain, 5000);
		must(&plain, cv_machine_digest_dirty(plain.m, &want[i], &plain.err));
		cv_memory_clear_dirty(&plain.m->mem);
		plain.m->engine->ops->flush_tlb(plain.m->engine);
	}
	teardown(&plain);

	setup(&f);
	run(&f, 2000);
	must(&f, cv_checkpoint_take(f.s, 0, &a, &f.err));
	run(&f, 2500);
	must(&f, cv_checkpoint_take(f.s, 0, &b, &f.err));
	run(&f, 500);
	got = check(&f);
	run(&f, 100);
	must(&f, cv_checkpoint_take(f.s, 0, &c, &f.err));
	for (unsigned n = 0; n < 4; n++) {
		must(&f, cv_checkpoint_restore(f.s, n & 1 ? a : b, &f.err));
		run(&f, n & 1 ? 3000 : 500);
		got = check(&f);
		ck_assert_mem_eq(got.b, want[0].b, sizeof(got.b));
		run(&f, 5000);
		got = check(&f);
		ck_assert_mem_eq(got.b, want[1].b, sizeof(got.b));
		must(&f, cv_checkpoint_restore(f.s, c, &f.err));
		run(&f, 4900);
		got = check(&f);
		ck_assert_mem_eq(got.b, want[1].b, sizeof(got.b));
		run(&f, 5000);
		got = check(&f);
		ck_assert_mem_eq(got.b, want[2].b, sizeof(got.b));
	}
	cv_checkpoint_free(f.s, a);
	cv_checkpoint_free(f.s, b);
	cv_checkpoint_free(f.s, c);
	teardown(&f);
}
END_TEST

START_TEST(restore_across_a_guest_reset_gives_back_both_sides)
{
	struct fixture f;
	struct cv_checkpoint *before, *after;
	struct cv_digest b, a, now;

	setup(&f);
	run(&f, 6000);
	must(&f, cv_checkpoint_take(f.s, 0, &before, &f.err));
	b = digest(&f);
	run(&f, 100);
	must(&f, cv_machine_reset(f.m, &f.err));
	run(&f, 700);
	must(&f, cv_checkpoint_take(f.s, 0, &after, &f.err));
	a = digest(&f);
	for (unsigned n = 0; n < 3; n++) {
		must(&f, cv_checkpoint_restore(f.s, before, &f.err));
		now = digest(&f);
		same(&now, &b);
		must(&f, cv_checkpoint_restore(f.s, after, &f.err));
		now = digest(&f);
		same(&now, &a);
	}
	must(&f, cv_machine_reset(f.m, &f.err));
	must(&f, cv_checkpoint_restore(f.s, before, &f.err));
	now = digest(&f);
	same(&now, &b);
	cv_checkpoint_free(f.s, before);
	cv_checkpoint_free(f.s, after);
	teardown(&f);
}
END_TEST

START_TEST(bytes_grow_by_what_changed_and_shrink_on_free)
{
	struct fixture f;
	struct cv_checkpoint *a, *b;
	uint64_t one, two;

	setup(&f);
	run(&f, 20000);
	must(&f, cv_checkpoint_take(f.s, 0, &a, &f.err));
	one = cv_checkpoints_bytes(f.s);
	ck_assert_uint_gt(one, FAKE_DATA_PAGES * CV_PAGE_SIZE / 2);
	cv_memory_write(&f.m->mem, FAKE_DATA, "x", 1);
	must(&f, cv_checkpoint_take(f.s, 0, &b, &f.err));
	two = cv_checkpoints_bytes(f.s);
	ck_assert_uint_gt(two, one);
	ck_assert_uint_lt(two - one, 3 * CV_PAGE_SIZE);
	cv_checkpoint_free(f.s, a);
	ck_assert_uint_lt(cv_checkpoints_bytes(f.s), two);
	cv_checkpoint_free(f.s, b);
	teardown(&f);
}
END_TEST

START_TEST(tree_random_edits_keep_old_trees)
{
	enum { TREES = 12, PAGES = 5000 };
	struct tree_stats st = {0};
	struct tree_node *t[TREES] = {NULL};
	static uint8_t model[TREES][PAGES], data[CV_PAGE_SIZE];
	struct fixture f = {.rng = 1};

	for (unsigned i = 1; i < TREES; i++) {
		t[i] = tree_ref(t[i - 1]);
		memcpy(model[i], model[i - 1], PAGES);
		for (unsigned n = 0; n < 300; n++) {
			uint32_t page = (uint32_t)rnd(&f, PAGES);

			model[i][page] = (uint8_t)rnd(&f, 4);
			memset(data, model[i][page], sizeof(data));
			ck_assert_int_eq(tree_set(&t[i], page, model[i][page] ? data : NULL, i, &st), 0);
		}
	}
	for (unsigned i = 0; i < TREES; i++)
		for (uint32_t page = 0; page < PAGES; page++) {
			const uint8_t *p = tree_get(t[i], page);

			ck_assert_uint_eq(p ? p[CV_PAGE_SIZE - 1] : 0, model[i][page]);
		}
	for (unsigned i = 0; i < TREES; i++)
		tree_unref(t[i], &st);
	ck_assert_uint_eq(st.pages, 0);
	ck_assert_uint_eq(st.nodes, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("checkpoint");
	TCase *tc = tcase_create("checkpoint");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, restore_in_any_order_gives_back_what_was_taken);
	tcase_add_test(tc, digest_of_dirty_pages_survives_travel);
	tcase_add_test(tc, restore_across_a_guest_reset_gives_back_both_sides);
	tcase_add_test(tc, bytes_grow_by_what_changed_and_shrink_on_free);
	tcase_add_test(tc, tree_random_edits_keep_old_trees);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
