/* SPDX-License-Identifier: MIT */
/*
 * Each allocation and each call to the file system that writing and reading a recording make is made to fail, one by
 * one, until everything succeeds. An error is reported, nothing leaks, nothing crashes, and what was committed before
 * can still be read.
 *
 * Allocations: malloc and its like are defined here and count (not under a sanitizer, which has its own: there only
 * SQLite's are made to fail). Files: a VFS in front of SQLite's own.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "logdb/logdb.h"
#include "tests/unit/log_events.h"

#if defined(__SANITIZE_ADDRESS__)
#define OWN_MALLOC 0
#else
#define OWN_MALLOC 1
#endif

/* --- Failing allocations --- */

static long fail_at;   /* the allocation to fail, counting from 1; 0: none */
static long allocated; /* so far, while armed */
static bool armed;
static long live; /* blocks allocated and not freed */

static bool refuse(void)
{
	return armed && ++allocated == fail_at;
}

#if OWN_MALLOC
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t m);
void *__libc_realloc(void *p, size_t n);
void __libc_free(void *p);

void *malloc(size_t n)
{
	void *p;

	if (refuse()) {
		errno = ENOMEM;
		return NULL;
	}
	p = __libc_malloc(n);
	live += p != NULL;
	return p;
}

void *calloc(size_t n, size_t m)
{
	void *p;

	if (refuse()) {
		errno = ENOMEM;
		return NULL;
	}
	p = __libc_calloc(n, m);
	live += p != NULL;
	return p;
}

void *realloc(void *old, size_t n)
{
	void *p;

	if (refuse()) {
		errno = ENOMEM;
		return NULL;
	}
	p = __libc_realloc(old, n);
	live += p && !old;
	return p;
}

void free(void *p)
{
	live -= p != NULL;
	__libc_free(p);
}
#else
static sqlite3_mem_methods real_memory;

static void *memory_malloc(int n)
{
	void *p = refuse() ? NULL : real_memory.xMalloc(n);

	live += p != NULL;
	return p;
}

static void memory_free(void *p)
{
	live -= p != NULL;
	real_memory.xFree(p);
}

static void *memory_realloc(void *old, int n)
{
	return refuse() ? NULL : real_memory.xRealloc(old, n);
}
#endif

/* --- Failing files --- */

struct file {
	sqlite3_file base;
	sqlite3_file *real; /* behind this struct */
};

static sqlite3_vfs *real_vfs, vfs;
static sqlite3_io_methods methods;
static long io_fail_at, io_done;
static int io_error; /* what the failing call returns */
static bool io_sticks; /* a full disk stays full */

static int io(int kind)
{
	if (!armed || !io_fail_at)
		return SQLITE_OK;
	io_done++;
	if (io_done == io_fail_at || (io_sticks && io_done > io_fail_at))
		return io_error ? io_error : kind;
	return SQLITE_OK;
}

#define REAL(f) (((struct file *)(f))->real)

static int file_close(sqlite3_file *f)
{
	return REAL(f)->pMethods->xClose(REAL(f));
}

static int file_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
	int rc = io_error == SQLITE_FULL ? SQLITE_OK : io(SQLITE_IOERR_READ);

	return rc ? rc : REAL(f)->pMethods->xRead(REAL(f), p, n, at);
}

static int file_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	int rc = io(SQLITE_IOERR_WRITE);

	return rc ? rc : REAL(f)->pMethods->xWrite(REAL(f), p, n, at);
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 n)
{
	int rc = io_error == SQLITE_FULL ? SQLITE_OK : io(SQLITE_IOERR_TRUNCATE);

	return rc ? rc : REAL(f)->pMethods->xTruncate(REAL(f), n);
}

static int file_sync(sqlite3_file *f, int flags)
{
	int rc = io_error == SQLITE_FULL ? SQLITE_OK : io(SQLITE_IOERR_FSYNC);

	(void)f, (void)flags;
	return rc; /* nobody pulls the plug here: no need to wait for the disk */
}

static int file_size(sqlite3_file *f, sqlite3_int64 *n)
{
	return REAL(f)->pMethods->xFileSize(REAL(f), n);
}

static int file_lock(sqlite3_file *f, int how)
{
	return REAL(f)->pMethods->xLock(REAL(f), how);
}

static int file_unlock(sqlite3_file *f, int how)
{
	return REAL(f)->pMethods->xUnlock(REAL(f), how);
}

static int file_check_lock(sqlite3_file *f, int *out)
{
	return REAL(f)->pMethods->xCheckReservedLock(REAL(f), out);
}

static int file_control(sqlite3_file *f, int op, void *arg)
{
	return REAL(f)->pMethods->xFileControl(REAL(f), op, arg);
}

static int file_sector(sqlite3_file *f)
{
	return REAL(f)->pMethods->xSectorSize(REAL(f));
}

static int file_traits(sqlite3_file *f)
{
	return REAL(f)->pMethods->xDeviceCharacteristics(REAL(f));
}

static int file_shm_map(sqlite3_file *f, int region, int size, int extend, void volatile **out)
{
	int rc = io_error == SQLITE_FULL ? SQLITE_OK : io(SQLITE_IOERR_SHMMAP);

	return rc ? rc : REAL(f)->pMethods->xShmMap(REAL(f), region, size, extend, out);
}

static int file_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
	return REAL(f)->pMethods->xShmLock(REAL(f), at, n, flags);
}

static void file_shm_barrier(sqlite3_file *f)
{
	REAL(f)->pMethods->xShmBarrier(REAL(f));
}

static int file_shm_unmap(sqlite3_file *f, int remove)
{
	return REAL(f)->pMethods->xShmUnmap(REAL(f), remove);
}

static int vfs_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out)
{
	struct file *file = (struct file *)f;
	int rc = io_error == SQLITE_FULL ? SQLITE_OK : io(SQLITE_CANTOPEN);

	(void)v;
	file->base.pMethods = NULL;
	file->real = (sqlite3_file *)(file + 1);
	if (!rc)
		rc = real_vfs->xOpen(real_vfs, name, file->real, flags, out);
	if (!rc)
		file->base.pMethods = &methods;
	return rc;
}

static void vfs_install(void)
{
	real_vfs = sqlite3_vfs_find(NULL);
	vfs = *real_vfs;
	vfs.zName = "faults";
	vfs.szOsFile = real_vfs->szOsFile + (int)sizeof(struct file);
	vfs.xOpen = vfs_open;
	methods = (sqlite3_io_methods){
		.iVersion = 2,
		.xClose = file_close, .xRead = file_read, .xWrite = file_write, .xTruncate = file_truncate,
		.xSync = file_sync, .xFileSize = file_size, .xLock = file_lock, .xUnlock = file_unlock,
		.xCheckReservedLock = file_check_lock, .xFileControl = file_control, .xSectorSize = file_sector,
		.xDeviceCharacteristics = file_traits, .xShmMap = file_shm_map, .xShmLock = file_shm_lock,
		.xShmBarrier = file_shm_barrier, .xShmUnmap = file_shm_unmap,
	};
	ck_assert_int_eq(sqlite3_vfs_register(&vfs, 1), SQLITE_OK);
}

/* --- What is done under faults --- */

static char dir[64], path[96];
static uint64_t committed; /* events for which cv_log_commit has returned 0 */
static bool wrong;	   /* something was read that had not been written (Check itself allocates: told later) */

static void setup(void)
{
#if !OWN_MALLOC
	sqlite3_mem_methods mine;

	ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory), SQLITE_OK);
	mine = real_memory;
	mine.xMalloc = memory_malloc;
	mine.xFree = memory_free;
	mine.xRealloc = memory_realloc;
	ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_MALLOC, &mine), SQLITE_OK);
#endif
	ck_assert_int_eq(sqlite3_initialize(), SQLITE_OK);
	snprintf(dir, sizeof(dir), "%s", "/tmp/check_faults.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/run.cvr", dir);
	vfs_install();
}

static void teardown(void)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

static int write_things(struct cv_log *log, struct source *s, struct cv_error *err)
{
	static uint8_t page[2][4096] = { "one", "two" };
	struct cv_log_page pages[] = { { .page = 1, .data = page[0] }, { .page = 2, .data = page[1] } };
	struct cv_log_checkpoint cp = { .id = 0 };
	int rc = cv_log_put_image(log, "kernel", 0, "k", NULL, page, sizeof(page), err);

	if (!rc)
		rc = cv_log_set_meta_u64(log, "memory", 12, err);
	if (!rc)
		rc = cv_log_put_line(log, &s->pos, "line", 4, err);
	if (!rc)
		rc = cv_log_put_mark(log, &s->pos, "mark", "text", err);
	if (!rc)
		rc = cv_log_put_checkpoint(log, &cp, "state", 5, pages, 2, err);
	return rc;
}

static int write_events(struct cv_log *log, struct source *s, struct cv_error *err)
{
	struct cv_event ev;
	int rc = 0;

	for (int i = 0; i < 3 && !rc; i++) {
		for (int k = 0; k < 300 && !rc; k++) {
			source_kernel(s, &ev);
			rc = cv_log_append(log, &ev, err);
		}
		if (!rc)
			rc = cv_log_commit(log, err);
		if (!rc)
			committed = 300 * (uint64_t)(i + 1);
	}
	return rc;
}

static int do_write(struct cv_error *err)
{
	struct cv_log *log;
	struct source s;
	int rc, closing;

	committed = 0;
	source_init(&s, 1);
	rc = cv_log_create(&log, path, true, err);
	if (rc)
		return rc;
	rc = write_things(log, &s, err);
	if (!rc)
		rc = write_events(log, &s, err);
	closing = cv_log_close(log, err);
	return rc ? rc : closing;
}

static int any_page(void *ctx, uint32_t page, const uint8_t *data)
{
	(void)page;
	*(unsigned *)ctx += data[0];
	return 0;
}

static int read_things(struct cv_log *log, struct cv_error *err)
{
	char *name = NULL, *args = NULL;
	uint8_t *data = NULL;
	struct cv_log_stats st;
	uint64_t v = 0;
	size_t n;
	unsigned sum = 0;
	int rc = cv_log_get_image(log, "kernel", 0, &name, &args, &data, &n, err);

	free(name);
	free(args);
	free(data);
	if (!rc)
		rc = cv_log_get_meta_u64(log, "memory", &v, err);
	wrong |= !rc && v != 12;
	if (!rc)
		rc = cv_log_load_state(log, 0, &data, &n, any_page, &sum, err);
	if (!rc) {
		wrong |= sum != 'o' + 't';
		free(data);
		rc = cv_log_get_stats(log, &st, err);
	}
	return rc ? rc : cv_log_verify(log, err);
}

static int read_events(struct cv_log *log, struct cv_error *err)
{
	struct cv_log_cursor *c;
	const struct cv_event *ev;
	struct cv_event want;
	struct source s;
	uint64_t n = 0;
	int rc = cv_log_cursor_new(&c, log, err);

	source_init(&s, 1);
	while (!rc && !(rc = cv_log_cursor_next(c, &ev, err))) {
		source_kernel(&s, &want);
		wrong |= !same_event(ev, &want);
		if (++n == 100)
			rc = cv_log_cursor_peek_async(c, &ev, err);
	}
	cv_log_cursor_free(c);
	if (rc != CV_E_END)
		return rc;
	wrong |= n != cv_log_event_count(log);
	return 0;
}

static int do_read(struct cv_error *err)
{
	struct cv_log *log;
	int rc = cv_log_open(&log, path, err);

	if (rc)
		return rc;
	rc = read_events(log, err);
	if (!rc)
		rc = read_things(log, err);
	cv_log_close(log, NULL);
	return rc;
}

/* --- The loop: fail the Nth until nothing fails --- */

static void check_committed(void)
{
	struct cv_error err = { 0 };
	struct cv_log *log;
	int rc = cv_log_open(&log, path, &err);

	if (rc && !committed)
		return; /* there needn't be a recording */
	ck_assert_msg(!rc, "%s", err.msg);
	ck_assert_uint_ge(cv_log_event_count(log), committed);
	ck_assert_msg(!read_events(log, &err) && !wrong, "%s", err.msg);
	ck_assert_msg(!cv_log_verify(log, &err), "%s", err.msg);
	cv_log_close(log, NULL);
}

/* The number of faults that there were. The further on, the more are skipped: the last ones are all alike. */
static long fail_each(int (*work)(struct cv_error *err), long *counter)
{
	long failures = 0;

	for (long n = 1;; n += 1 + n / 100) {
		struct cv_error err = { 0 };
		long before;
		int rc;

		*counter = n;
		allocated = io_done = 0;
		before = live;
		armed = true;
		rc = work(&err);
		armed = false;
		ck_assert(!wrong);
		ck_assert_msg(live == before, "fault %ld: %ld blocks leaked", n, live - before);
		*counter = 0;
		ck_assert_int_eq(rc, err.code);
		ck_assert(!rc || err.msg[0]);
		if (work == do_write)
			check_committed();
		if (allocated < n && io_done < n) {
			ck_assert_msg(!rc, "nothing failed, yet: %s", err.msg);
			return failures;
		}
		failures += rc != 0;
	}
}

START_TEST(write_with_failing_allocations_reports_and_leaks_nothing)
{
	ck_assert_int_gt(fail_each(do_write, &fail_at), 20);
}
END_TEST

START_TEST(read_with_failing_allocations_reports_and_leaks_nothing)
{
	struct cv_error err = { 0 };

	ck_assert_int_eq(do_write(&err), 0);
	ck_assert_int_gt(fail_each(do_read, &fail_at), 20);
}
END_TEST

START_TEST(write_with_failing_files_reports_and_keeps_what_was_committed)
{
	io_error = 0;
	io_sticks = false;
	ck_assert_int_gt(fail_each(do_write, &io_fail_at), 20);
	io_sticks = true;
	ck_assert_int_gt(fail_each(do_write, &io_fail_at), 20);
}
END_TEST

START_TEST(read_with_failing_files_reports)
{
	struct cv_error err = { 0 };

	ck_assert_int_eq(do_write(&err), 0);
	io_error = 0;
	io_sticks = false;
	ck_assert_int_gt(fail_each(do_read, &io_fail_at), 10);
}
END_TEST

START_TEST(write_to_a_full_disk_says_so_and_keeps_what_was_committed)
{
	struct cv_error err = { 0 };
	long all = 1000000;

	io_error = SQLITE_FULL;
	io_sticks = true;
	ck_assert_int_gt(fail_each(do_write, &io_fail_at), 20);
	io_fail_at = all; /* count the writes, then let the disk be full at about the middle */
	io_done = 0;
	armed = true;
	ck_assert_int_eq(do_write(&err), 0);
	io_fail_at = io_done / 2;
	io_done = 0;
	ck_assert_int_eq(do_write(&err), CV_E_IO);
	armed = false;
	ck_assert_ptr_nonnull(strstr(err.msg, "disk full"));
	ck_assert_ptr_nonnull(strstr(err.msg, path));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log_faults");
	TCase *tc = tcase_create("log_faults");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 240);
	tcase_add_test(tc, write_with_failing_allocations_reports_and_leaks_nothing);
	tcase_add_test(tc, read_with_failing_allocations_reports_and_leaks_nothing);
	tcase_add_test(tc, write_with_failing_files_reports_and_keeps_what_was_committed);
	tcase_add_test(tc, read_with_failing_files_reports);
	tcase_add_test(tc, write_to_a_full_disk_says_so_and_keeps_what_was_committed);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
