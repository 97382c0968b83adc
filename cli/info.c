/* SPDX-License-Identifier: MIT */
/*
 * Looking at a recording without running it: `info`, `events`, `verify`.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

static void print_meta(struct cv_log *log, const char *label, const char *key)
{
	char *v = NULL;

	if (!cv_log_get_meta(log, key, &v, NULL) && v && *v)
		printf("%-14s %s\n", label, v);
	free(v);
}

static int print_mark(void *ctx, const struct cv_pos *pos, const char *name, const char *text)
{
	(void)ctx;
	printf("%-14s %s at insns %" PRIu64 ", rip 0x%" PRIx64 "%s%s\n", "mark", name, pos->insns, pos->rip,
	       text && *text ? ": " : "", text ? text : "");
	return 0;
}

static void print_stats(const struct cv_log_stats *st)
{
	printf("%-14s %" PRIu64 " bytes\n", "file", st->file_bytes);
	printf("%-14s %" PRIu64 " in %" PRIu64 " chunks, %" PRIu64 " bytes (%.2f an event)\n", "events", st->events,
	       st->chunks, st->chunk_bytes, st->events ? (double)st->chunk_bytes / (double)st->events : 0.0);
	for (unsigned k = 1; k < CV_EV_KINDS; k++)
		if (st->by_kind[k])
			printf("  %-12s %" PRIu64 "\n", cv_event_kind_name((enum cv_event_kind)k), st->by_kind[k]);
	printf("%-14s %" PRIu64 " bytes\n", "images", st->image_bytes);
	printf("%-14s %" PRIu64 ", with %" PRIu64 " pages in %" PRIu64 " bytes\n", "checkpoints", st->checkpoints,
	       st->pages, st->page_bytes);
	printf("%-14s %" PRIu64 "\n", "console lines", st->lines);
	printf("%-14s insns %" PRIu64 ", branches %" PRIu64 "%s\n", "last event", st->last.insns, st->last.branches,
	       st->complete ? "" : " (unfinished: its recorder was stopped hard)");
}

int cmd_info(const struct options *o)
{
	static const char *const shown[][2] = {
		{"recorded by", "recorder_version"}, {"clock", "clock"}, {"memory", "ram_size"}, {"cpu", "cpu"},
		{"counts", "count"},
		{"command line", "cmdline"}, {"epoch", "epoch"}, {"final digest", "final_digest"},
	};
	struct cv_error err = {0};
	struct cv_log_stats st;
	struct cv_log *log;
	int rc = cv_log_open(&log, o->recording, &err);

	if (!rc)
		rc = cv_log_get_stats(log, &st, &err);
	if (!rc) {
		for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
			print_meta(log, shown[i][0], shown[i][1]);
		print_stats(&st);
		rc = cv_log_marks(log, print_mark, NULL, &err);
	}
	if (!rc)
		rc = cv_log_verify(log, &err);
	cv_log_close(log, NULL);
	return rc ? fail("info", &err) : EXIT_GUEST_OK;
}

static void print_event(const struct options *o, uint64_t seq, const struct cv_event *ev)
{
	const char *kind = cv_event_kind_name(ev->kind);
	bool json = !strcmp(o->events_format, "json");

	printf(json ? "{\"seq\":%" PRIu64 ",\"kind\":\"%s\",\"insns\":%" PRIu64 ",\"branches\":%" PRIu64
		      ",\"rip\":%" PRIu64 ",\"rcx\":%" PRIu64 ",\"sub\":%" PRIu32 ",\"value\":%" PRIu64 ",\"data\":\""
		    : "%8" PRIu64 "  %-10s  insns %" PRIu64 "  branches %" PRIu64 "  rip 0x%" PRIx64 "  rcx %" PRIu64
		      "  sub %" PRIu32 "  value %" PRIu64 "  ",
	       seq, kind, ev->pos.insns, ev->pos.branches, ev->pos.rip, ev->pos.rcx, ev->pos.sub, ev->value);
	for (uint32_t i = 0; i < ev->len; i++)
		printf("%02x", ev->data[i]);
	printf(json ? "\"}\n" : "\n");
}

int cmd_events(const struct options *o)
{
	enum cv_event_kind kind = o->events_kind ? cv_event_kind_by_name(o->events_kind) : 0;
	struct cv_log_cursor *cur = NULL;
	const struct cv_event *ev;
	struct cv_error err = {0};
	struct cv_log *log;
	int rc = cv_log_open(&log, o->recording, &err);

	if (!rc)
		rc = cv_log_cursor_new(&cur, log, &err);
	if (!rc)
		rc = cv_log_cursor_seek_insns(cur, o->events_from, &err);
	while (!rc) {
		uint64_t seq = cv_log_cursor_tell(cur);

		rc = cv_log_cursor_next(cur, &ev, &err);
		if (rc || ev->pos.insns > o->events_to)
			break;
		if (!kind || ev->kind == kind)
			print_event(o, seq, ev);
	}
	cv_log_cursor_free(cur);
	cv_log_close(log, NULL);
	return rc && rc != CV_E_END ? fail("events", &err) : EXIT_GUEST_OK;
}

int cmd_verify(const struct options *o)
{
	struct cv_error err = {0};
	struct cv_log *log;
	int rc = cv_log_open(&log, o->recording, &err);

	if (!rc)
		rc = cv_log_verify(log, &err);
	cv_log_close(log, NULL);
	if (rc)
		return fail("verify", &err);
	printf("%s: every chunk, image, page and checkpoint is as it was written\n", o->recording);
	return EXIT_GUEST_OK;
}
