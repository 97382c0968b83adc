/* SPDX-License-Identifier: MIT */
/*
 * What people read when a run has ended: the crash report, the divergence report, one line for the rest.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "gdbstub/inspect.h"

enum { TAIL_LINES = 12, DISAS_BEFORE = 4, DISAS_AFTER = 6, SCREEN_MAX = 132 * 60 };

void tail_add(struct tail *t, const uint8_t *p, size_t n)
{
	size_t room = sizeof(t->buf) - 1;

	if (n > room) {
		p += n - room;
		n = room;
	}
	if (t->len + n > room) {
		size_t drop = t->len + n - room;

		memmove(t->buf, t->buf + drop, t->len - drop);
		t->len -= (unsigned)drop;
	}
	memcpy(t->buf + t->len, p, n);
	t->len += (unsigned)n;
	t->buf[t->len] = 0;
}

const char *tail_lines(struct tail *t, unsigned lines)
{
	const char *p = t->buf + t->len;

	if (p > t->buf && p[-1] == '\n')
		p--;
	while (p > t->buf && (p[-1] != '\n' || --lines))
		p--;
	return p;
}

static const char *crash_what(const struct cv_end_info *e)
{
	switch (e->crash_kind) {
	case CV_END_TRIPLE_FAULT: return "triple fault: the CPU shut down";
	case CV_END_PANIC_DEVICE: return "the guest reported a panic to the panic device";
	case CV_END_DEBUG_EXIT: return "the guest wrote a failure to the debug-exit port";
	case CV_END_CONSOLE_PANIC: return "the kernel printed a panic line on the console";
	default: return cv_end_name(e->crash_kind);
	}
}

static void print_screen(struct cv_machine *m)
{
	char text[SCREEN_MAX];
	unsigned rows = 0, cols = 0;
	bool any = false;

	if (!m->screen_text)
		return;
	m->screen_text(m->screen_dev, text, &rows, &cols);
	for (unsigned i = 0; i < rows * cols; i++)
		any |= text[i] > ' ';
	if (!any)
		return;
	fprintf(stderr, "\nVGA screen:\n");
	for (unsigned r = 0; r < rows; r++) {
		unsigned n = cols;

		while (n && text[r * cols + n - 1] <= ' ')
			n--;
		if (n)
			fprintf(stderr, "  | %.*s\n", (int)n, text + r * cols);
	}
}

static void print_block(const char *title, const char *text)
{
	fprintf(stderr, "\n%s:\n", title);
	while (*text) {
		size_t n = strcspn(text, "\n");

		fprintf(stderr, "  %.*s\n", (int)n, text);
		text += n + (text[n] == '\n');
	}
}

void report_crash(struct cv_machine *m, const char *recording, const char *symbols, const char *tail)
{
	const struct cv_end_info *e = &m->end;
	struct cv_symbols *syms = NULL;
	struct cv_vcpu_state s;
	char text[8192];

	m->engine->ops->get_state(m->engine, &s);
	if (symbols)
		cv_symbols_open_file(&syms, symbols, NULL);
	else
		cv_symbols_open_bytes(&syms, m->config.images.kernel.data, m->config.images.kernel.size, NULL);
	if (!syms)
		cv_symbols_open_guest(&syms, &m->mem, &s, NULL);
	fprintf(stderr, "\n=== GUEST CRASH: %s", crash_what(e));
	if (e->crash_kind == CV_END_DEBUG_EXIT)
		fprintf(stderr, " (%" PRIu64 ")", e->code);
	if (e->crash_kind == CV_END_TRIPLE_FAULT)
		fprintf(stderr, " (exception %" PRIu64 " could not be delivered)", e->code);
	fprintf(stderr, " ===\nPosition: insns %" PRIu64 ", branches %" PRIu64 ", rip 0x%" PRIx64 "\n",
		e->crash_pos.insns, e->crash_pos.branches, e->crash_pos.rip);
	if (e->pos.insns != e->crash_pos.insns)
		fprintf(stderr, "The run went on to insns %" PRIu64 "; registers and backtrace are from there.\n",
			e->pos.insns);
	cv_inspect_regs(&s, syms, text, sizeof(text));
	print_block("Registers", text);
	cv_inspect_disas_around(m, &s, DISAS_BEFORE, DISAS_AFTER, syms, text, sizeof(text));
	print_block("Code", text);
	cv_inspect_backtrace(m, &s, syms, text, sizeof(text));
	print_block("Backtrace", text);
	if (tail && *tail)
		print_block("Last console lines", tail);
	print_screen(m);
	if (recording)
		fprintf(stderr,
			"\nDebug it:  chronovisor debug %s\n"
			"  then in GDB:  continue            (to the crash)\n"
			"                reverse-continue    (back, to whatever you watch or break on)\n",
			recording);
	cv_symbols_free(syms);
}

void report_divergence(const struct cv_divergence *d, struct cv_machine *m)
{
	struct cv_vcpu_state s;
	char text[4096];

	fprintf(stderr, "\n=== DIVERGENCE at insns %" PRIu64 ", branches %" PRIu64 ", rip 0x%" PRIx64 " ===\n%s\n",
		d->pos.insns, d->pos.branches, d->pos.rip, d->text);
	m->engine->ops->get_state(m->engine, &s);
	cv_inspect_disas_around(m, &s, DISAS_AFTER, DISAS_BEFORE, NULL, text, sizeof(text));
	print_block("Last instructions before the place (code as it is now)", text);
	cv_inspect_regs(&s, NULL, text, sizeof(text));
	print_block("Registers", text);
}

void report_end(const char *verb, struct cv_machine *m, const char *recording)
{
	const struct cv_end_info *e = &m->end;

	fprintf(stderr, "chronovisor: %s ended: %s after %" PRIu64 " %s", verb, cv_end_name(e->kind),
		e->pos.insns, m->config.count == CV_COUNT_STEPS ? "steps" : "instructions");
	if (recording)
		fprintf(stderr, "; %s", recording);
	fprintf(stderr, "\n");
}
