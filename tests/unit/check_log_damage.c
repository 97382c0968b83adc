/* SPDX-License-Identifier: MIT */
/* Recordings that can not be made, are none, lost their recorder or were changed: found and said, never wrong data. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "logdb/chunk.h"
#include "tests/unit/log_fixture.h"

/* --- Making and opening --- */

START_TEST(create_over_an_existing_file_needs_force)
{
	struct cv_log *log = create();

	ok(cv_log_set_meta(log, "which", "first", &err));
	ok(cv_log_close(log, &err));
	ck_assert_int_eq(cv_log_create(&log, path, false, &err), CV_E_EXIST);
	ck_assert_ptr_null(log);
	ck_assert_ptr_null(strchr(err.msg, '\n'));
	cv_error_clear(&err);
	ok(cv_log_close(open_it(), &err));
	log = create();
	ok(cv_log_close(log, &err));
	log = open_it();
	ck_assert_uint_eq(cv_log_event_count(log), 0);
	ok(cv_log_close(log, &err));
}
END_TEST

START_TEST(create_over_a_recording_in_progress_is_refused)
{
	struct cv_log *log = create(), *other;
	struct source s;
	pid_t child;
	int status;

	source_init(&s, 2);
	append(log, &s, 100);
	ok(cv_log_commit(log, &err));
	child = fork();
	if (!child)
		_exit(cv_log_create(&other, path, true, &err) == CV_E_EXIST ? 0 : 1);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ok(cv_log_close(log, &err));
	log = open_it();
	ck_assert_uint_eq(cv_log_event_count(log), 100);
	ok(cv_log_close(log, &err));
}
END_TEST

START_TEST(create_where_nothing_can_be_is_an_error)
{
	struct cv_log *log;
	char name[128];

	snprintf(name, sizeof(name), "%s/none/run.cvr", dir);
	ck_assert_int_eq(cv_log_create(&log, name, false, &err), CV_E_IO);
	ck_assert_ptr_nonnull(strstr(err.msg, name));
	cv_error_clear(&err);
	ck_assert_int_eq(cv_log_create(&log, dir, false, &err), CV_E_EXIST);
	cv_error_clear(&err);
	ck_assert_int_eq(cv_log_create(&log, dir, true, &err), CV_E_EXIST);
	cv_error_clear(&err);
	if (geteuid() != 0) { /* root may write anywhere */
		ck_assert_int_eq(chmod(dir, 0555), 0);
		ck_assert_int_eq(cv_log_create(&log, path, false, &err), CV_E_IO);
		ck_assert_ptr_nonnull(strstr(err.msg, path));
	}
}
END_TEST

static void write_file(const void *data, size_t n)
{
	FILE *f = fopen(path, "wb");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(data, 1, n, f), n);
	ck_assert_int_eq(fclose(f), 0);
}

static void refused(int code)
{
	struct cv_log *log;
	int rc = cv_log_open(&log, path, &err);

	ck_assert_msg(rc == code, "%d instead of %d: %s", rc, code, err.msg);
	ck_assert_ptr_null(log);
	ck_assert_ptr_nonnull(strstr(err.msg, path));
	ck_assert_ptr_null(strchr(err.msg, '\n'));
	cv_error_clear(&err);
}

START_TEST(open_of_what_is_no_recording_is_refused)
{
	static char junk[20000];
	sqlite3 *db;

	refused(CV_E_BADINPUT);
	write_file("", 0);
	refused(CV_E_BADINPUT);
	write_file("x", 1);
	refused(CV_E_BADINPUT);
	memset(junk, 'j', sizeof(junk));
	write_file(junk, sizeof(junk));
	refused(CV_E_BADINPUT);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, "CREATE TABLE chunks(no)", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	refused(CV_E_BADINPUT);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkdir(path, 0777), 0);
	refused(CV_E_BADINPUT);
}
END_TEST

START_TEST(open_of_another_version_is_refused)
{
	ok(cv_log_close(create(), &err));
	sql("PRAGMA user_version=3");
	refused(CV_E_VERSION);
	sql("PRAGMA user_version=1");
	refused(CV_E_VERSION);
	sql("PRAGMA user_version=0");
	refused(CV_E_CORRUPT);
}
END_TEST

START_TEST(rows_changed_or_removed_are_found)
{
	static const char *const change[] = {
		"UPDATE meta SET value = 'other' WHERE key = 'engine'",
		"DELETE FROM meta WHERE key = 'engine'",
		"UPDATE chunks SET insns = insns - 1 WHERE no = 1",
		"UPDATE chunks SET async = NULL",
		"DELETE FROM chunks WHERE no = 1",
		"DELETE FROM chunks WHERE no = 2",
		"UPDATE chunks SET data = zeroblob(length(data)) WHERE no = 1",
		"UPDATE lines SET text = 'other'",
		"DELETE FROM lines",
		"UPDATE marks SET name = 'other'",
		"UPDATE checkpoints SET insns = 1",
		"DELETE FROM states",
		"UPDATE pages SET data = zeroblob(4096)",
		"DELETE FROM pages",
		"UPDATE images SET args = 'other'",
		"UPDATE images SET data = 'abd'",
		"DELETE FROM images",
		"DROP TABLE marks",
		"ALTER TABLE lines RENAME COLUMN text TO txt",
	};
	static uint8_t page[4096] = "page";

	for (size_t i = 0; i < sizeof(change) / sizeof(change[0]); i++) {
		struct cv_log_page pages[] = { { .page = 3, .data = page } };
		struct cv_log_checkpoint cp = { .pos = { .insns = 5 } };
		struct cv_log *log = create();
		struct source s;
		int rc;

		source_init(&s, i);
		for (int k = 0; k < 3; k++) {
			append(log, &s, CV_CHUNK_CLOSES);
			ok(cv_log_commit(log, &err));
		}
		ok(cv_log_set_meta(log, "engine", "soft", &err));
		ok(cv_log_put_line(log, &s.pos, "hello", 5, &err));
		ok(cv_log_put_mark(log, &s.pos, "end", NULL, &err));
		ok(cv_log_put_checkpoint(log, &cp, "state", 5, pages, 1, &err));
		ok(cv_log_put_image(log, "kernel", 0, "k", "a", "abc", 3, &err));
		ok(cv_log_close(log, &err));
		sql(change[i]);
		rc = cv_log_open(&log, path, &err);
		if (!rc)
			rc = cv_log_verify(log, &err);
		ck_assert_msg(rc == CV_E_CORRUPT, "%s: %d %s", change[i], rc, err.msg);
		cv_error_clear(&err);
		ok(cv_log_close(log, &err));
	}
}
END_TEST

/* --- Killed writers --- */

/* Records in a child that dies without a word after so many commits; what it appended after the last one is lost. */
static void killed_recorder(unsigned commits, int how)
{
	pid_t child = fork();
	int status;

	if (!child) {
		struct cv_log *log;
		struct source s;

		source_init(&s, 99);
		if (cv_log_create(&log, path, true, &err))
			_exit(1);
		append(log, &s, 50 * commits);
		for (unsigned i = 0; i < commits; i++) {
			if (cv_log_put_line(log, &s.pos, "x", 1, &err) || cv_log_commit(log, &err))
				_exit(1);
			append(log, &s, 50);
		}
		if (how)
			kill(getpid(), SIGKILL);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(how ? WIFSIGNALED(status) : WIFEXITED(status) && !WEXITSTATUS(status));
}

static void check_killed(unsigned commits)
{
	struct cv_log *log = open_it();
	struct cv_log_cursor *c;
	struct source s;

	source_init(&s, 99);
	ck_assert_uint_eq(cv_log_event_count(log), commits ? 50 * (2 * commits - 1) : 0);
	ok(cv_log_cursor_new(&c, log, &err));
	expect(c, &s, cv_log_event_count(log));
	cv_log_cursor_free(c);
	ok(cv_log_verify(log, &err));
	ok(cv_log_close(log, &err));
}

START_TEST(log_of_a_killed_recorder_opens_to_its_last_commit)
{
	for (unsigned commits = 0; commits < 20; commits++) {
		killed_recorder(commits, commits & 1);
		ck_assert(!commits || exists("-wal"));
		check_killed(commits);
		check_killed(commits);
	}
}
END_TEST

START_TEST(log_of_a_recorder_killed_at_random_opens)
{
	struct source r;

	source_init(&r, 1);
	for (int i = 0; i < 20; i++) {
		struct cv_log_cursor *c;
		struct cv_log *log;
		struct source s;
		pid_t child;
		int status, rc;

		unlink(path);
		child = fork();
		if (!child) {
			source_init(&s, 99);
			if (cv_log_create(&log, path, true, &err))
				_exit(1);
			for (;;) {
				append(log, &s, 1 + source_random(&s) % 900);
				if (cv_log_put_line(log, &s.pos, "x", 1, &err) || cv_log_commit(log, &err))
					_exit(1);
				source_random(&s);
			}
		}
		usleep((useconds_t)(source_random(&r) % 60000));
		kill(child, SIGKILL);
		ck_assert_int_eq(waitpid(child, &status, 0), child);
		ck_assert(WIFSIGNALED(status));
		rc = cv_log_open(&log, path, &err);
		if (rc == CV_E_BADINPUT && !exists("")) { /* killed before there was a recording */
			cv_error_clear(&err);
			continue;
		}
		ok(rc);
		ok(cv_log_verify(log, &err));
		ok(cv_log_cursor_new(&c, log, &err));
		ok(cv_log_cursor_seek(c, cv_log_event_count(log), &err));
		cv_log_cursor_free(c);
		ok(cv_log_close(log, &err));
	}
}
END_TEST

/* Commits every five events until it is killed. */
static void commit_until_killed(void)
{
	struct cv_log *log;
	struct source s;

	source_init(&s, 7);
	if (cv_log_create(&log, path, true, &err))
		_exit(1);
	for (;;) {
		append(log, &s, 5);
		if (cv_log_commit(log, &err))
			_exit(1);
	}
}

START_TEST(log_of_a_recorder_killed_while_it_is_followed_is_whole)
{
	for (int i = 0; i < 8; i++) {
		struct cv_log_cursor *c;
		const struct cv_event *ev;
		struct cv_event want;
		struct cv_log *log;
		struct source s;
		uint64_t n = 0;
		int status, rc;
		pid_t child;

		unlink(path);
		child = fork();
		if (!child)
			commit_until_killed();
		while ((rc = cv_log_open(&log, path, &err)) == CV_E_BADINPUT)
			cv_error_clear(&err);
		ok(rc);
		source_init(&s, 7);
		ok(cv_log_cursor_new(&c, log, &err));
		for (uint64_t end = 300 + (uint64_t)i * 700; n < end; n++) {
			while ((rc = cv_log_cursor_next(c, &ev, &err)) == CV_E_END)
				usleep(100);
			ok(rc);
			source_kernel(&s, &want);
			ck_assert_msg(same_event(ev, &want), "event %d", (int)n);
		}
		kill(child, SIGKILL);
		ck_assert_int_eq(waitpid(child, &status, 0), child);
		ck_assert(WIFSIGNALED(status));
		ck_assert_uint_eq(cv_log_event_count(log) % 5, 0);
		expect(c, &s, cv_log_event_count(log) - n);
		ck_assert_int_eq(cv_log_cursor_next(c, &ev, &err), CV_E_END);
		ok(cv_log_verify(log, &err));
		cv_log_cursor_free(c);
		ok(cv_log_close(log, &err));
	}
}
END_TEST

START_TEST(log_in_a_readonly_directory_opens)
{
	pid_t child;
	int status;

	killed_recorder(5, 0);
	check_killed(5); /* leaves -wal and -shm */
	child = fork();
	if (!child) {
		struct cv_log *log;
		char wal[128];

		if (chmod(path, 0444) || chmod(dir, 0555) || (geteuid() == 0 && setuid(65534)))
			_exit(2);
		if (cv_log_open(&log, path, &err) || cv_log_event_count(log) != 450 || cv_log_verify(log, &err))
			_exit(3);
		snprintf(wal, sizeof(wal), "%s-wal", path);
		_exit(cv_log_close(log, &err) || access(wal, F_OK) ? 4 : 0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

/* --- Damage --- */

struct sum {
	uint64_t h;
};

static void mix(struct sum *s, const void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		s->h = (s->h ^ ((const uint8_t *)p)[i]) * UINT64_C(0x100000001b3);
}

static int mix_line(void *ctx, const struct cv_pos *pos, const char *text, size_t n)
{
	mix(ctx, &pos->insns, 8);
	mix(ctx, text, n);
	return 0;
}

static int mix_mark(void *ctx, const struct cv_pos *pos, const char *name, const char *text)
{
	mix(ctx, &pos->insns, 8);
	mix(ctx, name, strlen(name));
	mix(ctx, text ? text : "", text ? strlen(text) : 0);
	return 0;
}

static int mix_page(void *ctx, uint32_t page, const uint8_t *data)
{
	mix(ctx, &page, 4);
	mix(ctx, data, 4096);
	return 0;
}

static int read_events(struct cv_log *log, struct sum *s)
{
	struct cv_log_cursor *c;
	const struct cv_event *ev;
	int rc = cv_log_cursor_new(&c, log, &err);

	while (!rc && !(rc = cv_log_cursor_next(c, &ev, &err))) {
		mix(s, &ev->pos.insns, 8);
		mix(s, &ev->pos.branches, 8);
		mix(s, &ev->pos.rip, 8);
		mix(s, &ev->value, 8);
		mix(s, ev->data, ev->len);
	}
	cv_log_cursor_free(c);
	return rc == CV_E_END ? 0 : rc;
}

static int read_rest(struct cv_log *log, struct sum *s)
{
	struct cv_log_checkpoint cp;
	char *name = NULL, *args = NULL, *value = NULL;
	uint8_t *data = NULL;
	size_t n = 0;
	int rc = cv_log_lines(log, 0, UINT64_MAX, mix_line, s, &err);

	if (!rc)
		rc = cv_log_marks(log, mix_mark, s, &err);
	if (!rc)
		rc = cv_log_get_meta(log, "engine", &value, &err);
	mix(s, value ? value : "", value ? strlen(value) : 0);
	free(value);
	if (!rc)
		rc = cv_log_get_image(log, "kernel", 0, &name, &args, &data, &n, &err);
	mix(s, data, n);
	free(name);
	free(args);
	free(data);
	if (!rc)
		rc = cv_log_find_state(log, UINT64_MAX, &cp, &err);
	if (!rc) {
		mix(s, &cp.pos.insns, 8);
		rc = cv_log_load_state(log, cp.id, &data, &n, mix_page, s, &err);
		mix(s, data, rc ? 0 : n);
		free(rc ? NULL : data);
	}
	return rc;
}

/* Reads all that there is: 0 and what it adds up to, or an error. */
static int read_all(uint64_t *h)
{
	struct sum s = { 0 };
	struct cv_log *log;
	int rc = cv_log_open(&log, path, &err);

	if (rc)
		return rc;
	rc = read_events(log, &s);
	if (!rc)
		rc = read_rest(log, &s);
	cv_log_close(log, NULL);
	*h = s.h;
	return rc;
}

/* A small recording with something in each table; its bytes (owned by the caller). */
static uint8_t *small_file(size_t *n)
{
	static uint8_t page[4096] = "content";
	struct cv_log_page pages[] = { { .page = 3, .data = page } };
	struct cv_log_checkpoint cp = { .pos = { .insns = 5 } };
	struct cv_log *log = create();
	struct source s;
	uint8_t *data;
	FILE *f;
	long size;

	source_init(&s, 21);
	append(log, &s, 60);
	ok(cv_log_commit(log, &err));
	append(log, &s, 60);
	ok(cv_log_set_meta(log, "engine", "soft", &err));
	ok(cv_log_put_line(log, &s.pos, "hello", 5, &err));
	ok(cv_log_put_mark(log, &s.pos, "end", "it", &err));
	ok(cv_log_put_checkpoint(log, &cp, "state", 5, pages, 1, &err));
	ok(cv_log_put_image(log, "kernel", 0, "k", "a", "abc", 3, &err));
	ok(cv_log_close(log, &err));
	f = fopen(path, "rb");
	ck_assert_ptr_nonnull(f);
	fseek(f, 0, SEEK_END);
	size = ftell(f);
	rewind(f);
	data = malloc((size_t)size);
	ck_assert_uint_eq(fread(data, 1, (size_t)size, f), (size_t)size);
	fclose(f);
	*n = (size_t)size;
	return data;
}

static void patch(size_t at, uint8_t byte)
{
	int fd = open(path, O_WRONLY);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)at), 1);
	close(fd);
}

START_TEST(each_flipped_byte_is_found_or_harmless)
{
	unsigned found = 0, used = 0;
	uint64_t want, got;
	size_t n;
	uint8_t *data = small_file(&n);

	ok(read_all(&want));
	for (size_t at = 0; at < n; at++) {
		for (int i = 0; i < 3; i++) {
			static const uint8_t flip[] = { 0x01, 0x80, 0xff };
			int rc;

			if (at > 200 && !data[at] && (i || at % 5)) /* mostly unused space */
				break;
			used++;
			patch(at, data[at] ^ flip[i]);
			rc = read_all(&got);
			ck_assert_msg(rc || got == want, "byte %zu flipped with %02x: wrong data", at, flip[i]);
			ck_assert_msg(rc == 0 || rc == CV_E_CORRUPT || rc == CV_E_BADINPUT || rc == CV_E_VERSION ||
				      rc == CV_E_IO, "byte %zu: %d %s", at, rc, err.msg);
			ck_assert(rc == 0 || err.msg[0]);
			cv_error_clear(&err);
			found += rc != 0;
		}
		patch(at, data[at]);
	}
	ck_assert_uint_gt(found, used / 20);
	ok(read_all(&got));
	ck_assert(got == want);
	free(data);
}
END_TEST

START_TEST(file_cut_anywhere_is_refused)
{
	uint64_t h;
	size_t n;
	uint8_t *data = small_file(&n);

	for (size_t keep = 0; keep < n; keep += keep < 200 || n - keep < 100 ? 1 : 97) {
		int rc;

		ck_assert_int_eq(truncate(path, (off_t)keep), 0);
		rc = read_all(&h);
		ck_assert_msg(rc == CV_E_CORRUPT || rc == CV_E_BADINPUT, "cut to %zu of %zu: %d %s", keep, n, rc,
			      err.msg);
		cv_error_clear(&err);
		write_file(data, n);
	}
	free(data);
}
END_TEST

/* The damaged chunk is named. */
START_TEST(damaged_chunk_is_named)
{
	struct cv_log *log = create();
	struct source s;

	source_init(&s, 4);
	for (int i = 0; i < 5; i++) {
		append(log, &s, CV_CHUNK_CLOSES);
		ok(cv_log_commit(log, &err));
	}
	ok(cv_log_close(log, &err));
	sql("UPDATE chunks SET data = substr(data, 1, 100) || x'00' || substr(data, 102) WHERE no = 3");
	log = open_it();
	ck_assert_int_eq(cv_log_verify(log, &err), CV_E_CORRUPT);
	ck_assert_ptr_nonnull(strstr(err.msg, "chunk 3"));
	ck_assert_ptr_nonnull(strstr(err.msg, path));
	cv_error_clear(&err);
	ok(cv_log_close(log, &err));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log_damage");
	TCase *tc = tcase_create("log_damage");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 240);
	tcase_add_test(tc, create_over_an_existing_file_needs_force);
	tcase_add_test(tc, create_over_a_recording_in_progress_is_refused);
	tcase_add_test(tc, create_where_nothing_can_be_is_an_error);
	tcase_add_test(tc, open_of_what_is_no_recording_is_refused);
	tcase_add_test(tc, open_of_another_version_is_refused);
	tcase_add_test(tc, rows_changed_or_removed_are_found);
	tcase_add_test(tc, log_of_a_killed_recorder_opens_to_its_last_commit);
	tcase_add_test(tc, log_of_a_recorder_killed_at_random_opens);
	tcase_add_test(tc, log_of_a_recorder_killed_while_it_is_followed_is_whole);
	tcase_add_test(tc, log_in_a_readonly_directory_opens);
	tcase_add_test(tc, each_flipped_byte_is_found_or_harmless);
	tcase_add_test(tc, file_cut_anywhere_is_refused);
	tcase_add_test(tc, damaged_chunk_is_named);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
