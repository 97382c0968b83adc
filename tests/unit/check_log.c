/* SPDX-License-Identifier: MIT */
/* The recording as a file: what was written comes back, through cursors, by position, and as the table of events. */
#include <string.h>

#include "tests/unit/log_fixture.h"

/* --- Round trips --- */

START_TEST(log_events_written_and_read_are_equal)
{
	struct cv_log *log = create();
	struct cv_log_cursor *c;
	const struct cv_event *ev;
	struct source s;

	source_init(&s, 1);
	for (int i = 0; i < 40; i++) {
		append(log, &s, (size_t)(i * i * 37 % 3000));
		ok(cv_log_commit(log, &err));
	}
	append(log, &s, 40000);
	ok(cv_log_close(log, &err));
	ck_assert(!exists("-wal") && !exists("-shm") && !exists("-journal") && !exists(".new"));

	log = open_it();
	source_init(&s, 1);
	ok(cv_log_cursor_new(&c, log, &err));
	expect(c, &s, cv_log_event_count(log));
	ck_assert_uint_eq(cv_log_cursor_tell(c), cv_log_event_count(log));
	ck_assert_uint_gt(cv_log_event_count(log), 40000);
	ck_assert_int_eq(cv_log_cursor_next(c, &ev, &err), CV_E_END);
	ok(cv_log_verify(log, &err));
	cv_log_cursor_free(c);
	ok(cv_log_close(log, &err));
}
END_TEST

START_TEST(log_without_events_opens_and_is_empty)
{
	struct cv_log_cursor *c;
	const struct cv_event *ev;
	struct cv_log_stats st;
	struct cv_log *log;

	ok(cv_log_close(create(), &err));
	log = open_it();
	ok(cv_log_cursor_new(&c, log, &err));
	ck_assert_int_eq(cv_log_cursor_next(c, &ev, &err), CV_E_END);
	ck_assert_int_eq(cv_log_cursor_peek_async(c, &ev, &err), CV_E_END);
	ok(cv_log_cursor_seek(c, 0, &err));
	ok(cv_log_cursor_seek_insns(c, 5, &err));
	ok(cv_log_get_stats(log, &st, &err));
	ck_assert_uint_eq(st.events, 0);
	ck_assert(!st.complete);
	ok(cv_log_verify(log, &err));
	cv_log_cursor_free(c);
	ok(cv_log_close(log, &err));
}
END_TEST

START_TEST(log_meta_set_is_got)
{
	struct cv_log *log = create();
	uint64_t v;
	char *text;

	ok(cv_log_set_meta(log, "cmdline", "console=ttyS0 \"quoted\" \xc3\xa9", &err));
	ok(cv_log_set_meta(log, "engine", "soft", &err));
	ok(cv_log_set_meta(log, "engine", "vtx", &err));
	ok(cv_log_set_meta_u64(log, "memory", UINT64_MAX, &err));
	ok(cv_log_close(log, &err));
	log = open_it();
	ok(cv_log_get_meta(log, "cmdline", &text, &err));
	ck_assert_str_eq(text, "console=ttyS0 \"quoted\" \xc3\xa9");
	free(text);
	ok(cv_log_get_meta(log, "engine", &text, &err));
	ck_assert_str_eq(text, "vtx");
	free(text);
	ok(cv_log_get_meta(log, "nothing", &text, &err));
	ck_assert_ptr_null(text);
	ok(cv_log_get_meta_u64(log, "memory", &v, &err));
	ck_assert_uint_eq(v, UINT64_MAX);
	ck_assert_int_eq(cv_log_get_meta_u64(log, "nothing", &v, &err), CV_E_NOTFOUND);
	cv_error_clear(&err);
	ck_assert_int_eq(cv_log_get_meta_u64(log, "engine", &v, &err), CV_E_CORRUPT);
	cv_error_clear(&err);
	ck_assert_int_eq(cv_log_set_meta(log, "engine", "x", &err), CV_E_BADINPUT);
	cv_error_clear(&err);
	ok(cv_log_close(log, &err));
}
END_TEST

static void check_image(struct cv_log *log, const char *role, unsigned ordinal, const char *name, const char *args,
			const uint8_t *data, size_t n)
{
	char *got_name, *got_args;
	uint8_t *got;
	size_t got_n;

	ok(cv_log_get_image(log, role, ordinal, &got_name, &got_args, &got, &got_n, &err));
	ck_assert_str_eq(got_name, name);
	if (args)
		ck_assert_str_eq(got_args, args);
	else
		ck_assert_ptr_null(got_args);
	ck_assert_uint_eq(got_n, n);
	ck_assert(!n || !memcmp(got, data, n));
	free(got_name);
	free(got_args);
	free(got);
}

START_TEST(log_images_put_are_got)
{
	static uint8_t noise[100001], zeros[70000];
	struct cv_log *log = create();
	char *name, *args;
	uint8_t *data;
	struct source s;
	size_t n;

	source_init(&s, 3);
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)source_random(&s);
	ok(cv_log_put_image(log, "kernel", 0, "vmlinuz", NULL, noise, sizeof(noise), &err));
	ok(cv_log_put_image(log, "module", 0, "a", "one two", zeros, sizeof(zeros), &err));
	ok(cv_log_put_image(log, "module", 1, "b", "", NULL, 0, &err));
	ok(cv_log_put_image(log, "module", 2, "c", NULL, "x", 1, &err));
	ok(cv_log_close(log, &err));
	log = open_it();
	check_image(log, "module", 1, "b", "", NULL, 0);
	check_image(log, "module", 2, "c", NULL, (const uint8_t *)"x", 1);
	check_image(log, "kernel", 0, "vmlinuz", NULL, noise, sizeof(noise));
	check_image(log, "module", 0, "a", "one two", zeros, sizeof(zeros));
	ck_assert_int_eq(cv_log_get_image(log, "initrd", 0, &name, &args, &data, &n, &err), CV_E_NOTFOUND);
	cv_error_clear(&err);
	ok(cv_log_verify(log, &err));
	ok(cv_log_close(log, &err));
}
END_TEST

struct seen {
	unsigned n, most;
	uint64_t insns[200];
	char text[200][32];
};

static int see_line(void *ctx, const struct cv_pos *pos, const char *text, size_t n)
{
	struct seen *s = ctx;

	s->insns[s->n] = pos->insns;
	snprintf(s->text[s->n], sizeof(s->text[0]), "%.*s", (int)n, text);
	return ++s->n == s->most;
}

static int see_mark(void *ctx, const struct cv_pos *pos, const char *name, const char *text)
{
	struct seen *s = ctx;

	s->insns[s->n] = pos->insns;
	snprintf(s->text[s->n], sizeof(s->text[0]), "%s/%s", name, text ? text : "-");
	return ++s->n == s->most;
}

START_TEST(log_lines_come_back_by_position)
{
	struct cv_log *log = create();
	struct seen seen = { 0 };

	for (uint64_t i = 0; i < 100; i++) {
		struct cv_pos pos = { .insns = i / 2 * 10, .branches = i, .rip = UINT64_MAX };
		char text[32];
		int n = snprintf(text, sizeof(text), "line %d", (int)i);

		ok(cv_log_put_line(log, &pos, text, (size_t)n, &err));
	}
	ok(cv_log_close(log, &err));
	log = open_it();
	ok(cv_log_lines(log, 0, UINT64_MAX, see_line, &seen, &err));
	ck_assert_uint_eq(seen.n, 100);
	ck_assert_str_eq(seen.text[99], "line 99");
	for (uint64_t from = 0; from < 520; from += 3) {
		unsigned first = 0;

		while (first < 100 && first / 2 * 10 < from)
			first++;
		seen.n = 0;
		ok(cv_log_lines(log, from, from + 15, see_line, &seen, &err));
		for (unsigned i = 0; i < seen.n; i++)
			ck_assert_uint_eq(seen.insns[i], (first + i) / 2 * 10);
		ck_assert(first + seen.n == 100 || (first + seen.n) / 2 * 10 > from + 15);
	}
	seen.n = 0;
	seen.most = 3;
	ok(cv_log_lines(log, 0, UINT64_MAX, see_line, &seen, &err));
	ck_assert_uint_eq(seen.n, 3);
	ok(cv_log_close(log, &err));
}
END_TEST

START_TEST(log_marks_come_back_in_order)
{
	struct cv_pos pos = { .insns = 9, .sub = 2, .in_rep = true, .rcx = 77 };
	struct cv_log *log = create();
	struct seen seen = { 0 };

	ok(cv_log_put_mark(log, &pos, "crash", "triple fault", &err));
	pos.insns = 4;
	ok(cv_log_put_mark(log, &pos, "mine", NULL, &err));
	ok(cv_log_close(log, &err));
	log = open_it();
	ok(cv_log_marks(log, see_mark, &seen, &err));
	ck_assert_uint_eq(seen.n, 2);
	ck_assert_str_eq(seen.text[0], "crash/triple fault");
	ck_assert_str_eq(seen.text[1], "mine/-");
	ck_assert_uint_eq(seen.insns[1], 4);
	ok(cv_log_close(log, &err));
}
END_TEST

/* --- Checkpoints --- */

static uint8_t ram[64][4096];

static int see_page(void *ctx, uint32_t page, const uint8_t *data)
{
	unsigned *n = ctx;

	ck_assert_uint_eq(page, *n * 1000);
	ck_assert_mem_eq(data, ram[*n], 4096);
	++*n;
	return 0;
}

START_TEST(log_checkpoints_put_are_found)
{
	struct cv_log_checkpoint cp = { 0 }, got;
	struct cv_log_page pages[64];
	struct cv_log *log = create();
	struct cv_log_stats st;
	struct source s;
	uint8_t *state;
	unsigned n;
	size_t nstate;

	source_init(&s, 8);
	for (unsigned i = 0; i < 64; i++) {
		for (unsigned j = 0; j < 4096; j++)
			ram[i][j] = i % 3 == 0 ? (uint8_t)source_random(&s) : i % 3 == 1 ? (uint8_t)i : 0;
		pages[i] = (struct cv_log_page){ .page = i * 1000, .data = ram[i] };
	}
	for (cp.id = 0; cp.id < 10; cp.id++) {
		cp.pos.insns = cp.id * 100;
		cp.pos.rip = 0x1000 + cp.id;
		cp.event_seq = cp.id * 3;
		memset(cp.digest, (int)cp.id, sizeof(cp.digest));
		if (cp.id % 3 == 0)
			ok(cv_log_put_checkpoint(log, &cp, "state", 5, pages, 64, &err));
		else
			ok(cv_log_put_checkpoint(log, &cp, NULL, 0, NULL, 0, &err));
	}
	ok(cv_log_close(log, &err));
	log = open_it();
	for (uint64_t id = 0; id < 10; id++) {
		ok(cv_log_get_checkpoint(log, id, &got, &err));
		ck_assert_uint_eq(got.id, id);
		ck_assert_uint_eq(got.pos.insns, id * 100);
		ck_assert_uint_eq(got.pos.rip, 0x1000 + id);
		ck_assert_uint_eq(got.event_seq, id * 3);
		ck_assert_uint_eq(got.digest[15], id);
		ck_assert_int_eq(got.has_state, id % 3 == 0);
	}
	ck_assert_int_eq(cv_log_get_checkpoint(log, 10, &got, &err), CV_E_NOTFOUND);
	cv_error_clear(&err);
	ok(cv_log_find_state(log, 599, &got, &err));
	ck_assert_uint_eq(got.id, 3);
	ok(cv_log_find_state(log, 600, &got, &err));
	ck_assert_uint_eq(got.id, 6);
	ok(cv_log_find_state(log, UINT64_MAX, &got, &err));
	ck_assert_uint_eq(got.id, 9);
	n = 0;
	ok(cv_log_load_state(log, 6, &state, &nstate, see_page, &n, &err));
	ck_assert_uint_eq(n, 64);
	ck_assert_uint_eq(nstate, 5);
	ck_assert_mem_eq(state, "state", 5);
	free(state);
	ck_assert_int_eq(cv_log_load_state(log, 1, &state, &nstate, see_page, &n, &err), CV_E_NOTFOUND);
	cv_error_clear(&err);
	ok(cv_log_get_stats(log, &st, &err));
	ck_assert_uint_eq(st.pages, 22 + 21 + 1); /* noise, each of its own; filled ones; one of zeros */
	ck_assert_uint_eq(st.checkpoints, 10);
	ok(cv_log_verify(log, &err));
	ok(cv_log_close(log, &err));
}
END_TEST

START_TEST(log_find_state_before_the_first_is_not_found)
{
	struct cv_log_checkpoint cp = { .pos = { .insns = 50 } }, got;
	struct cv_log *log = create();

	ck_assert_int_eq(cv_log_find_state(log, 100, &got, &err), CV_E_NOTFOUND);
	cv_error_clear(&err);
	ok(cv_log_put_checkpoint(log, &cp, "s", 1, NULL, 0, &err));
	ck_assert_int_eq(cv_log_find_state(log, 49, &got, &err), CV_E_NOTFOUND);
	cv_error_clear(&err);
	ok(cv_log_find_state(log, 50, &got, &err));
	cp.id = 7;
	ck_assert_int_eq(cv_log_put_checkpoint(log, &cp, NULL, 0, NULL, 0, &err), CV_E_BADINPUT);
	cv_error_clear(&err);
	ok(cv_log_close(log, &err));
}
END_TEST

static int64_t ask(struct cv_log *log, const char *text)
{
	sqlite3 *db = cv_log_sqlite(log, &err);
	sqlite3_stmt *st;
	int64_t v;

	ck_assert_ptr_nonnull(db);
	ck_assert_msg(sqlite3_prepare_v2(db, text, -1, &st, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
	ck_assert_msg(sqlite3_step(st) == SQLITE_ROW, "%s: %s", text, sqlite3_errmsg(db));
	v = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return v;
}

/* --- Cursors --- */

static struct cv_event all[30000];

/* A recording of `all`, in chunks of many sizes, some without an asynchronous event. */
static struct cv_log *record_all(void)
{
	struct cv_log *log = create();
	struct source s;

	source_init(&s, 42);
	for (size_t i = 0; i < 30000; i++) {
		do
			source_kernel(&s, &all[i]);
		while (i > 5000 && i < 9000 && cv_event_is_async(all[i].kind));
		ok(cv_log_append(log, &all[i], &err));
		if (source_random(&s) % (i < 10000 ? 50 : 3000) == 0)
			ok(cv_log_commit(log, &err));
	}
	ok(cv_log_commit(log, &err));
	return log;
}

static void check_cursor_at(struct cv_log_cursor *c, uint64_t seq)
{
	const struct cv_event *ev;
	uint64_t a = seq;

	ck_assert_uint_eq(cv_log_cursor_tell(c), seq);
	while (a < 30000 && !cv_event_is_async(all[a].kind))
		a++;
	if (a == 30000) {
		ck_assert_int_eq(cv_log_cursor_peek_async(c, &ev, &err), CV_E_END);
	} else {
		ok(cv_log_cursor_peek_async(c, &ev, &err));
		ck_assert(same_event(ev, &all[a]));
	}
	ck_assert_uint_eq(cv_log_cursor_tell(c), seq);
	if (seq == 30000) {
		ck_assert_int_eq(cv_log_cursor_next(c, &ev, &err), CV_E_END);
	} else {
		ok(cv_log_cursor_next(c, &ev, &err));
		ck_assert(same_event(ev, &all[seq]));
		ck_assert_uint_eq(cv_log_cursor_tell(c), seq + 1);
	}
}

static void check_cursors(struct cv_log *log)
{
	struct cv_log_cursor *c, *d;
	struct source s;

	source_init(&s, 6);
	ok(cv_log_cursor_new(&c, log, &err));
	ok(cv_log_cursor_new(&d, log, &err));
	for (uint64_t seq = 0; seq <= 30000; seq++)
		check_cursor_at(c, seq);
	for (int i = 0; i < 2000; i++) {
		uint64_t seq = source_random(&s) % 30001, insns, first;

		ok(cv_log_cursor_seek(d, seq, &err));
		for (uint64_t k = 0; k < 3 && seq + k <= 30000; k++)
			check_cursor_at(d, seq + k);
		seq = source_random(&s) % 30000;
		insns = all[seq].pos.insns + source_random(&s) % 3 - 1;
		for (first = seq; first && all[first - 1].pos.insns >= insns; first--)
			;
		while (first < 30000 && all[first].pos.insns < insns)
			first++;
		ok(cv_log_cursor_seek_insns(c, insns, &err));
		check_cursor_at(c, first);
	}
	ok(cv_log_cursor_seek_insns(c, UINT64_MAX, &err));
	check_cursor_at(c, 30000);
	ok(cv_log_cursor_seek_insns(c, 0, &err));
	check_cursor_at(c, 0);
	ck_assert_int_eq(cv_log_cursor_seek(c, 30001, &err), CV_E_NOTFOUND);
	cv_error_clear(&err);
	cv_log_cursor_free(c);
	cv_log_cursor_free(d);
}

START_TEST(cursor_seeks_and_peeks_anywhere)
{
	struct cv_log *log = record_all();

	check_cursors(log); /* the writer's own */
	ok(cv_log_close(log, &err));
	log = open_it();
	check_cursors(log);
	ok(cv_log_close(log, &err));
}
END_TEST

START_TEST(cursor_on_a_growing_log_sees_what_is_committed)
{
	struct cv_log *w = create(), *r = open_it();
	struct cv_log_cursor *own, *other;
	struct source s, s_own, s_other;
	const struct cv_event *ev;

	source_init(&s, 2);
	s_own = s_other = s;
	ok(cv_log_cursor_new(&own, w, &err));
	ok(cv_log_cursor_new(&other, r, &err));
	for (size_t round = 0; round < 50; round++) {
		append(w, &s, round * 7);
		ck_assert_int_eq(cv_log_cursor_next(own, &ev, &err), CV_E_END);
		ck_assert_int_eq(cv_log_cursor_next(other, &ev, &err), CV_E_END);
		ok(cv_log_commit(w, &err));
		expect(own, &s_own, round * 7);
		expect(other, &s_other, round * 7);
		ck_assert_uint_eq(cv_log_event_count(r), cv_log_event_count(w));
	}
	cv_log_cursor_free(own);
	cv_log_cursor_free(other);
	ok(cv_log_close(r, &err));
	ok(cv_log_close(w, &err));
	ck_assert(!exists("-wal"));
}
END_TEST

/* The first n of `all` are what the reader has, in each way of asking. */
static void check_grown(struct cv_log *r, struct cv_log_cursor *next, struct cv_log_cursor *async, size_t n)
{
	const struct cv_event *ev;
	size_t a = cv_log_cursor_tell(async);

	while (a < n && !cv_event_is_async(all[a].kind))
		a++;
	if (a < n) {
		ok(cv_log_cursor_peek_async(async, &ev, &err));
		ck_assert(same_event(ev, &all[a]));
		ok(cv_log_cursor_seek(async, a + 1, &err));
	} else {
		ck_assert_int_eq(cv_log_cursor_peek_async(async, &ev, &err), CV_E_END);
	}
	for (size_t i = cv_log_cursor_tell(next); i < n; i++) {
		ok(cv_log_cursor_next(next, &ev, &err));
		ck_assert_msg(same_event(ev, &all[i]), "event %zu", i);
	}
	ck_assert_int_eq(cv_log_cursor_next(next, &ev, &err), CV_E_END);
	ck_assert_uint_eq(cv_log_event_count(r), n);
}

START_TEST(cursors_following_small_commits_see_each_event_once)
{
	struct cv_log *w = create(), *r = open_it();
	struct cv_log_cursor *next, *async, *own, *own_async;
	struct cv_log_stats st;
	struct source s;
	size_t n = 0;

	source_init(&s, 9);
	ok(cv_log_cursor_new(&next, r, &err));
	ok(cv_log_cursor_new(&async, r, &err));
	ok(cv_log_cursor_new(&own, w, &err));
	ok(cv_log_cursor_new(&own_async, w, &err));
	while (n < 12000) {
		for (size_t end = n + 1 + source_random(&s) % 40; n < end; n++) {
			source_kernel(&s, &all[n]);
			ok(cv_log_append(w, &all[n], &err));
		}
		ok(cv_log_commit(w, &err));
		ok(cv_log_commit(w, &err)); /* nothing new */
		if (source_random(&s) % 3)
			check_grown(r, next, async, n);
		check_grown(w, own, own_async, n);
	}
	ok(cv_log_verify(r, &err));
	ok(cv_log_get_stats(r, &st, &err));
	ck_assert_uint_eq(st.events, n);
	ck_assert_uint_eq(st.chunks, 3);
	cv_log_cursor_free(next);
	cv_log_cursor_free(async);
	cv_log_cursor_free(own);
	cv_log_cursor_free(own_async);
	ok(cv_log_close(r, &err));
	ok(cv_log_close(w, &err));
}
END_TEST

START_TEST(log_read_while_its_last_chunk_grows_is_whole)
{
	struct cv_log *w = create(), *r = NULL;
	struct cv_log_cursor *c = NULL;
	const struct cv_event *ev;
	struct cv_log_stats st;
	struct source s;

	source_init(&s, 5);
	for (uint64_t n = 0; n < 300; n += 3) {
		append(w, &s, 3);
		ok(cv_log_commit(w, &err));
		if (n % 60 == 0) { /* the index of r is older than the chunk when it is read */
			cv_log_cursor_free(c);
			ok(cv_log_close(r, &err));
			r = open_it();
			ok(cv_log_cursor_new(&c, r, &err));
			continue;
		}
		ok(cv_log_cursor_seek(c, n / 60 * 60, &err));
		ok(cv_log_cursor_next(c, &ev, &err));
		ok(cv_log_verify(r, &err));
		ok(cv_log_get_stats(r, &st, &err));
		ck_assert_uint_eq(st.events, n + 3);
		ck_assert_uint_eq(st.last.insns, s.pos.insns);
		ck_assert_int_eq(ask(r, "SELECT count(*) FROM events"), (int64_t)n + 3);
	}
	cv_log_cursor_free(c);
	ok(cv_log_close(r, &err));
	ok(cv_log_close(w, &err));
}
END_TEST

START_TEST(cursor_on_a_log_whose_last_chunk_is_lost_or_changed_is_an_error)
{
	static const char *const change[] = {
		"DELETE FROM chunks",
		"UPDATE chunks SET count = count - 1",
		"DELETE FROM chunks WHERE no = 1; UPDATE chunks SET no = 1 WHERE no = 0",
	};

	for (size_t i = 0; i < sizeof(change) / sizeof(change[0]); i++) {
		struct cv_log *w = create(), *r;
		struct cv_log_cursor *c;
		const struct cv_event *ev;
		struct source s;

		source_init(&s, 5);
		append(w, &s, 5000);
		ok(cv_log_commit(w, &err));
		append(w, &s, 100);
		ok(cv_log_commit(w, &err));
		r = open_it();
		sql(change[i]);
		ok(cv_log_cursor_new(&c, r, &err));
		ok(cv_log_cursor_seek(c, 5100, &err));
		ck_assert_int_eq(cv_log_cursor_next(c, &ev, &err), CV_E_CORRUPT);
		cv_error_clear(&err);
		cv_log_cursor_free(c);
		ok(cv_log_close(r, &err));
		ok(cv_log_close(w, &err));
	}
}
END_TEST

START_TEST(log_with_a_commit_every_five_events_stays_small)
{
	struct cv_log *log = create();
	struct cv_log_stats st;
	struct source s;

	source_init(&s, 21);
	for (int i = 0; i < 2000; i++) {
		append(log, &s, 5);
		ok(cv_log_commit(log, &err));
	}
	ok(cv_log_close(log, &err));
	log = open_it();
	ok(cv_log_get_stats(log, &st, &err));
	ck_assert_uint_eq(st.events, 10000);
	ck_assert_uint_le(st.chunk_bytes, 4 * st.events);
	ck_assert_uint_le(st.file_bytes, 10 * st.events); /* what the shorter ones took is used again */
	ok(cv_log_verify(log, &err));
	ok(cv_log_close(log, &err));
}
END_TEST

START_TEST(log_closed_while_a_reader_stays_is_whole)
{
	struct cv_log *w = create(), *r;
	struct source s;

	source_init(&s, 2);
	append(w, &s, 1000);
	ok(cv_log_commit(w, &err));
	r = open_it();
	append(w, &s, 1000);
	ok(cv_log_close(w, &err));
	ck_assert_uint_eq(cv_log_event_count(r), 2000);
	ok(cv_log_verify(r, &err));
	ok(cv_log_close(r, &err));
	r = open_it();
	ck_assert_uint_eq(cv_log_event_count(r), 2000);
	ok(cv_log_close(r, &err));
}
END_TEST

START_TEST(log_append_out_of_order_is_refused)
{
	struct cv_event ev = { .kind = CV_EV_TSC, .pos = { .insns = 10 } };
	struct cv_log *log = create();

	ok(cv_log_append(log, &ev, &err));
	ev.pos.insns = 9;
	ck_assert_int_eq(cv_log_append(log, &ev, &err), CV_E_BADINPUT);
	cv_error_clear(&err);
	ev = (struct cv_event){ .kind = 0, .pos = { .insns = 10 } };
	ck_assert_int_eq(cv_log_append(log, &ev, &err), CV_E_BADINPUT);
	cv_error_clear(&err);
	ev.kind = CV_EV_ENTROPY;
	ev.len = CV_EVENT_DATA_MAX + 1;
	ck_assert_int_eq(cv_log_append(log, &ev, &err), CV_E_BADINPUT);
	cv_error_clear(&err);
	ok(cv_log_close(log, &err));
}
END_TEST

START_TEST(log_stats_count_everything)
{
	struct cv_event end = { .kind = CV_EV_END, .value = 1, .len = 8 };
	struct cv_log *log = create();
	struct cv_log_stats st;
	struct source s;
	uint64_t sum = 0;

	source_init(&s, 12);
	append(log, &s, 20000);
	end.pos = s.pos;
	end.pos.insns += 5;
	ok(cv_log_append(log, &end, &err));
	ok(cv_log_close(log, &err));
	log = open_it();
	ok(cv_log_get_stats(log, &st, &err));
	for (int k = 0; k < CV_EV_KINDS; k++)
		sum += st.by_kind[k];
	ck_assert_uint_eq(sum, 20001);
	ck_assert_uint_eq(st.events, 20001);
	ck_assert_uint_eq(st.by_kind[CV_EV_END], 1);
	ck_assert_uint_eq(st.chunks, 2);
	ck_assert(st.complete);
	ck_assert_uint_eq(st.last.insns, end.pos.insns);
	ck_assert_uint_gt(st.chunk_bytes, 0);
	ck_assert_uint_le(st.chunk_bytes, st.file_bytes);
	ck_assert_uint_le(st.chunk_bytes, 4 * st.events);
	ok(cv_log_close(log, &err));
}
END_TEST

/* --- The table of events --- */

START_TEST(events_table_shows_the_events)
{
	struct cv_log *log = record_all();
	uint64_t ticks = 0, late = 0;
	char text[200];

	ok(cv_log_close(log, &err));
	for (size_t i = 0; i < 30000; i++) {
		ticks += all[i].kind == CV_EV_TIME;
		late += all[i].kind == CV_EV_TSC && all[i].pos.insns > all[20000].pos.insns;
	}
	log = open_it();
	ck_assert_int_eq(ask(log, "SELECT count(*) FROM events"), 30000);
	ck_assert_int_eq(ask(log, "SELECT count(*) FROM events WHERE kind = 'time'"), (int64_t)ticks);
	ck_assert_int_eq(ask(log, "SELECT count(*) FROM events WHERE kind = 'nonsense'"), 0);
	ck_assert_int_eq(ask(log, "SELECT count(*) FROM events WHERE kind IN ('time', 'time')"), (int64_t)ticks);
	snprintf(text, sizeof(text), "SELECT count(*) FROM events WHERE insns > %llu AND kind = 'tsc'",
		 (unsigned long long)all[20000].pos.insns);
	ck_assert_int_eq(ask(log, text), (int64_t)late);
	for (unsigned i = 0; i < 30000; i += 1777) {
		snprintf(text, sizeof(text), "SELECT value FROM events WHERE seq = %u", i);
		ck_assert_int_eq(ask(log, text), (int64_t)all[i].value);
		snprintf(text, sizeof(text), "SELECT rip FROM events WHERE rowid = %u", i);
		ck_assert_int_eq(ask(log, text), (int64_t)all[i].pos.rip);
		snprintf(text, sizeof(text), "SELECT count(*) FROM events WHERE seq >= %u AND seq < %u", i, i + 900);
		ck_assert_int_eq(ask(log, text), i + 900 > 30000 ? 30000 - i : 900);
		snprintf(text, sizeof(text), "SELECT count(*) FROM events WHERE seq BETWEEN %u.5 AND %u", i, i + 9);
		ck_assert_int_eq(ask(log, text), 9);
		snprintf(text, sizeof(text), "SELECT seq FROM events WHERE insns >= %llu ORDER BY insns DESC, seq DESC",
			 (unsigned long long)all[i].pos.insns);
		ck_assert_int_eq(ask(log, text), 29999);
	}
	ck_assert_int_eq(ask(log, "SELECT seq FROM events ORDER BY seq LIMIT 1 OFFSET 100"), 100);
	ck_assert_int_eq(ask(log, "SELECT count(*) FROM events a JOIN events b ON b.seq = a.seq + 1"
				  " WHERE a.seq < 10"), 10);
	ok(cv_log_close(log, &err));
}
END_TEST

START_TEST(events_table_of_a_damaged_chunk_is_an_error)
{
	struct cv_log *log = create();
	sqlite3_stmt *st;
	struct source s;
	sqlite3 *db;
	int rc;

	source_init(&s, 4);
	append(log, &s, 500);
	ok(cv_log_close(log, &err));
	sql("UPDATE chunks SET data = zeroblob(300)");
	log = open_it();
	db = cv_log_sqlite(log, &err);
	ck_assert_int_eq(sqlite3_prepare_v2(db, "SELECT count(*) FROM events", -1, &st, NULL), SQLITE_OK);
	rc = sqlite3_step(st);
	ck_assert_int_eq(rc & 0xff, SQLITE_CORRUPT);
	ck_assert_ptr_nonnull(strstr(sqlite3_errmsg(db), "chunk 0"));
	sqlite3_finalize(st);
	ok(cv_log_close(log, &err));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *tc = tcase_create("log");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 240);
	tcase_add_test(tc, log_events_written_and_read_are_equal);
	tcase_add_test(tc, log_without_events_opens_and_is_empty);
	tcase_add_test(tc, log_meta_set_is_got);
	tcase_add_test(tc, log_images_put_are_got);
	tcase_add_test(tc, log_lines_come_back_by_position);
	tcase_add_test(tc, log_marks_come_back_in_order);
	tcase_add_test(tc, log_checkpoints_put_are_found);
	tcase_add_test(tc, log_find_state_before_the_first_is_not_found);
	tcase_add_test(tc, cursor_seeks_and_peeks_anywhere);
	tcase_add_test(tc, cursor_on_a_growing_log_sees_what_is_committed);
	tcase_add_test(tc, cursors_following_small_commits_see_each_event_once);
	tcase_add_test(tc, log_read_while_its_last_chunk_grows_is_whole);
	tcase_add_test(tc, cursor_on_a_log_whose_last_chunk_is_lost_or_changed_is_an_error);
	tcase_add_test(tc, log_with_a_commit_every_five_events_stays_small);
	tcase_add_test(tc, log_closed_while_a_reader_stays_is_whole);
	tcase_add_test(tc, log_append_out_of_order_is_refused);
	tcase_add_test(tc, log_stats_count_everything);
	tcase_add_test(tc, events_table_shows_the_events);
	tcase_add_test(tc, events_table_of_a_damaged_chunk_is_an_error);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
