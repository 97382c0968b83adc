/* SPDX-License-Identifier: MIT */
/*
 * cvr_alter IN.cvr OUT.cvr WHAT N HOW: copies a recording with one thing in it changed, and with checksums that are right.
 *
 * What comes out is a recording that no checksum can tell from a true one: only a replay that checks everything can.
 *	event N value|insns|branches|rip|rcx=D	adds D (may be negative) to a field of event number N
 *	event N data			flips a bit of the event's first data byte
 *	event N drop			leaves the event out
 *	checkpoint N digest		flips a bit of a checkpoint's digest
 *	final 0 digest			flips a bit of the digest at the end
 *	cpu 0 NAME			another CPU model
 *	count 0 UNIT			another unit of positions; "none": as before there were units
 */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "logdb/logdb.h"

struct alter {
	struct cv_log *in, *out;
	const char *what, *how;
	uint64_t n;
	bool done;
};

struct page_list {
	struct cv_log_page *page;
	size_t n, cap;
};

static bool is(const struct alter *a, const char *what, uint64_t n)
{
	return !strcmp(a->what, what) && a->n == n;
}

static int copy_meta(struct alter *a, struct cv_error *err)
{
	sqlite3 *db = cv_log_sqlite(a->in, err);
	sqlite3_stmt *st = NULL;
	int rc = 0;

	if (!db || sqlite3_prepare_v2(db, "SELECT key, value FROM meta WHERE key <> 'sealed'", -1, &st, NULL))
		return cv_error_set(err, CV_E_IO, "cannot read meta");
	while (!rc && sqlite3_step(st) == SQLITE_ROW) {
		const char *key = (const char *)sqlite3_column_text(st, 0);
		char value[4096];

		snprintf(value, sizeof(value), "%s", (const char *)sqlite3_column_text(st, 1));
		if (is(a, "final", 0) && strstr(key, "digest")) {
			value[0] = value[0] == '0' ? '1' : '0';
			a->done = true;
		}
		if ((is(a, "cpu", 0) && !strcmp(key, "cpu")) || (is(a, "count", 0) && !strcmp(key, "count"))) {
			snprintf(value, sizeof(value), "%s", a->how);
			a->done = true;
			if (!strcmp(value, "none"))
				continue;
		}
		rc = cv_log_set_meta(a->out, key, value, err);
	}
	sqlite3_finalize(st);
	return rc;
}

static int copy_images(struct alter *a, struct cv_error *err)
{
	static const char *const roles[] = {"kernel", "initrd", "module"};
	int rc = 0;

	for (unsigned r = 0; r < 3; r++) {
		for (unsigned i = 0; !rc; i++) {
			char *name = NULL, *args = NULL;
			uint8_t *data = NULL;
			size_t n = 0;

			if (cv_log_get_image(a->in, roles[r], i, &name, &args, &data, &n, NULL))
				break;
			rc = cv_log_put_image(a->out, roles[r], i, name, args, data, n, err);
			free(name);
			free(args);
			free(data);
		}
	}
	return rc;
}

/* Returns whether the event stays. */
static bool change(struct alter *a, struct cv_event *ev, struct cv_error *err)
{
	static const char *const names[] = {"value", "insns", "branches", "rip", "rcx"};
	uint64_t *const fields[] = {&ev->value, &ev->pos.insns, &ev->pos.branches, &ev->pos.rip, &ev->pos.rcx};

	a->done = true;
	if (!strcmp(a->how, "drop"))
		return false;
	if (!strcmp(a->how, "data") && ev->len) {
		ev->data[0] ^= 1;
		return true;
	}
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t n = strlen(names[i]);

		if (!strncmp(a->how, names[i], n) && a->how[n] == '=') {
			*fields[i] += (uint64_t)strtoll(a->how + n + 1, NULL, 0);
			return true;
		}
	}
	cv_error_set(err, CV_E_BADINPUT, "cannot do '%s' to a %s event", a->how, cv_event_kind_name(ev->kind));
	return true;
}

static int copy_events(struct alter *a, struct cv_error *err)
{
	struct cv_log_cursor *cur = NULL;
	const struct cv_event *from;
	int rc = cv_log_cursor_new(&cur, a->in, err);

	for (uint64_t seq = 0; !rc; seq++) {
		struct cv_event ev;
		bool keep = true;

		rc = cv_log_cursor_next(cur, &from, err);
		if (rc)
			break;
		ev = *from;
		if (is(a, "event", seq))
			keep = change(a, &ev, err);
		rc = err->code ? err->code : keep ? cv_log_append(a->out, &ev, err) : 0;
	}
	cv_log_cursor_free(cur);
	if (rc == CV_E_END)
		cv_error_clear(err);
	return rc == CV_E_END ? 0 : rc;
}

static int take_page(void *ctx, uint32_t page, const uint8_t *data)
{
	struct page_list *l = ctx;
	uint8_t *copy = malloc(4096);

	if (l->n == l->cap) {
		struct cv_log_page *more = realloc(l->page, (l->cap + 1024) * sizeof(*more));

		if (more) {
			l->page = more;
			l->cap += 1024;
		}
	}
	if (!copy || l->n == l->cap) {
		free(copy);
		return CV_E_NOMEM;
	}
	memcpy(copy, data, 4096);
	l->page[l->n++] = (struct cv_log_page){.page = page, .data = copy};
	return 0;
}

static int copy_checkpoint(struct alter *a, struct cv_log_checkpoint *cp, struct cv_error *err)
{
	struct page_list pages = {0};
	uint8_t *state = NULL;
	size_t n = 0;
	int rc = cp->has_state ? cv_log_load_state(a->in, cp->id, &state, &n, take_page, &pages, err) : 0;

	if (is(a, "checkpoint", cp->id)) {
		cp->digest[0] ^= 1;
		a->done = true;
	}
	if (!rc)
		rc = cv_log_put_checkpoint(a->out, cp, state, n, pages.page, pages.n, err);
	for (size_t i = 0; i < pages.n; i++)
		free((uint8_t *)(uintptr_t)pages.page[i].data);
	free(pages.page);
	free(state);
	return rc;
}

static int copy_checkpoints(struct alter *a, struct cv_error *err)
{
	struct cv_log_checkpoint cp;
	int rc = 0;

	for (uint64_t id = 0; !rc && !cv_log_get_checkpoint(a->in, id, &cp, NULL); id++)
		rc = copy_checkpoint(a, &cp, err);
	return rc;
}

static int copy_line(void *ctx, const struct cv_pos *pos, const char *text, size_t n)
{
	return cv_log_put_line(((struct alter *)ctx)->out, pos, text, n, NULL);
}

static int copy_mark(void *ctx, const struct cv_pos *pos, const char *name, const char *text)
{
	return cv_log_put_mark(((struct alter *)ctx)->out, pos, name, text, NULL);
}

static int copy(struct alter *a, struct cv_error *err)
{
	int rc = copy_meta(a, err);

	if (!rc)
		rc = copy_images(a, err);
	if (!rc)
		rc = copy_events(a, err);
	if (!rc)
		rc = copy_checkpoints(a, err);
	if (!rc)
		rc = cv_log_lines(a->in, 0, UINT64_MAX, copy_line, a, err);
	if (!rc)
		rc = cv_log_marks(a->in, copy_mark, a, err);
	if (!rc && !a->done)
		rc = cv_error_set(err, CV_E_NOTFOUND, "there is no %s %" PRIu64, a->what, a->n);
	return rc;
}

int main(int argc, char **argv)
{
	struct cv_error err = {0};
	struct alter a = {0};
	int rc;

	if (argc != 6) {
		fprintf(stderr, "usage: cvr_alter IN.cvr OUT.cvr event|checkpoint|final N HOW\n");
		return 2;
	}
	a.what = argv[3];
	a.n = strtoull(argv[4], NULL, 0);
	a.how = argv[5];
	rc = cv_log_open(&a.in, argv[1], &err);
	if (!rc)
		rc = cv_log_create(&a.out, argv[2], true, &err);
	if (!rc)
		rc = copy(&a, &err);
	if (!rc)
		rc = cv_log_close(a.out, &err);
	else
		cv_log_close(a.out, NULL);
	cv_log_close(a.in, NULL);
	if (rc)
		fprintf(stderr, "cvr_alter: %s\n", err.msg);
	return rc ? 1 : 0;
}
