/* SPDX-License-Identifier: MIT */
/*
 * What is said about a divergence: where the replay is, what the recording has, what the replayed machine did.
 *
 * The first one sticks. Its text is one or two lines; the last instructions before it are shown by whoever has a
 * disassembler.
 */
#include <inttypes.h>
#include <string.h>

#include "replay/internal.h"

void cv_digest_text(const uint8_t digest[16], char *text)
{
	static const char hex[] = "0123456789abcdef";

	for (unsigned i = 0; i < 16; i++) {
		text[2 * i] = hex[digest[i] >> 4];
		text[2 * i + 1] = hex[digest[i] & 15];
	}
	text[32] = 0;
}

bool cv_pos_same(const struct cv_pos *a, const struct cv_pos *b)
{
	return !cv_pos_cmp(a, b) && a->branches == b->branches && a->rip == b->rip;
}

static int put_pos(char *buf, size_t n, const struct cv_pos *p)
{
	int len = snprintf(buf, n, "insns %" PRIu64, p->insns);

	if (p->sub)
		len += snprintf(buf + len, n - (size_t)len, "+%" PRIu32, p->sub);
	if (p->in_rep)
		len += snprintf(buf + len, n - (size_t)len, " rcx %#" PRIx64, p->rcx);
	len += snprintf(buf + len, n - (size_t)len, " branches %" PRIu64 " rip %#" PRIx64, p->branches, p->rip);
	return len;
}

static void describe(char *buf, size_t n, const struct cv_event *e)
{
	const char *name = e ? cv_event_kind_name(e->kind) : NULL;
	int len;

	if (!e || !e->kind) {
		snprintf(buf, n, "nothing");
		return;
	}
	len = snprintf(buf, n, "%s ", name ? name : "unknown event");
	if (e->kind == CV_EV_INTERRUPT || e->kind == CV_EV_COMMAND || e->kind == CV_EV_END)
		len += snprintf(buf + len, n - (size_t)len, "%" PRIu64 " ", e->value);
	len += snprintf(buf + len, n - (size_t)len, "at ");
	put_pos(buf + len, n - (size_t)len, &e->pos);
}

void cv_divergence_note(struct cv_divergence *d, const struct cv_pos *pos, const struct cv_event *expected,
			const struct cv_event *came, const char *what)
{
	char want[128], got[128];

	if (d->happened)
		return;
	memset(d, 0, sizeof(*d));
	d->happened = true;
	d->pos = *pos;
	if (expected)
		d->expected = *expected;
	if (came)
		d->came = *came;
	if (!expected && !came) {
		snprintf(d->text, sizeof(d->text), "%s", what);
		return;
	}
	describe(want, sizeof(want), expected);
	describe(got, sizeof(got), came);
	snprintf(d->text, sizeof(d->text), "%s\nrecorded: %s; replayed: %s", what, want, got);
}
