/* SPDX-License-Identifier: MIT */
/*
 * `monitor` commands: what GDB has no words for. One table; a command gets what follows its name.
 *
 * GDB caches registers and memory while the guest stands still and knows nothing of a command that moves. Those that
 * move say so; the commands that `chronovisor debug` gives GDB flush the caches by themselves.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gdbstub/inspect.h"
#include "gdbstub/session.h"

struct monitor {
	struct cv_gdb_session *s;
	struct cv_wbuf out;
	struct cv_error err; /* set: the command failed */
};

/* --- Reading arguments --- */

static const char *skip_spaces(const char *p)
{
	while (isspace((unsigned char)*p))
		p++;
	return p;
}

/* A number in C's notation. False where there is none; *p moves past it. */
static bool take_number(const char **p, uint64_t *v)
{
	char *end;

	*p = skip_spaces(*p);
	if (!isdigit((unsigned char)**p))
		return false;
	*v = strtoull(*p, &end, 0);
	*p = end;
	return true;
}

static bool at_end(const char *p)
{
	return !*skip_spaces(p);
}

/* A number or a symbol's name. */
static bool take_address(struct monitor *m, const char **p, uint64_t *v)
{
	char name[128];
	size_t n = 0;
	const struct cv_symbols *symbols = cv_gdb_symbols(m->s);
	struct cv_vcpu_state st;

	if (take_number(p, v))
		return true;
	while (n < sizeof(name) - 1 && (isalnum((unsigned char)**p) || strchr("_.$", **p)) && **p)
		name[n++] = *(*p)++;
	name[n] = '\0';
	if (!n || !cv_symbols_find(symbols, name, v))
		return false;
	cv_timeline_state(m->s->t, &st);
	*v += cv_symbols_slide(symbols, &st);
	return true;
}

static void usage(struct monitor *m, const char *text)
{
	cv_error_set(&m->err, CV_E_BADINPUT, "usage: %s", text);
}

/* A count at the end of a command, or its default. */
static bool last_count(struct monitor *m, const char *p, uint64_t *v, uint64_t most, const char *help)
{
	if (at_end(p))
		return true;
	if (!take_number(&p, v) || !at_end(p) || !*v || *v > most) {
		usage(m, help);
		return false;
	}
	return true;
}

/* --- Where and when --- */

static const char *mode_of(struct cv_timeline *t)
{
	if (cv_timeline_is_diverted(t))
		return "diverted from the recording";
	return cv_timeline_is_live(t) ? "live" : "replay";
}

static void do_when(struct monitor *m, const char *args)
{
	struct cv_timeline *t = m->s->t;
	const struct cv_pos *pos = cv_timeline_pos(t);
	uint64_t end = cv_timeline_end_insns(t);
	const struct cv_end_info *info = cv_timeline_end(t);

	(void)args;
	cv_put_text(&m->out, "insns %" PRIu64, pos->insns);
	if (pos->sub)
		cv_put_text(&m->out, " +%" PRIu32 " deliveries", pos->sub);
	if (pos->in_rep)
		cv_put_text(&m->out, ", in a REP with rcx %#" PRIx64, pos->rcx);
	if (end)
		cv_put_text(&m->out, " (%.4f %% of %" PRIu64 ")", 100.0 * (double)pos->insns / (double)end, end);
	cv_put_text(&m->out, ", branches %" PRIu64 ", rip %#" PRIx64 ", %s\n", pos->branches, pos->rip, mode_of(t));
	if (info && info->crashed)
		cv_put_text(&m->out, "the guest crashes at %" PRIu64 ": %s\n", info->crash_pos.insns,
			    cv_end_name(info->crash_kind));
	else if (info && info->kind != CV_END_NONE)
		cv_put_text(&m->out, "the run ends at %" PRIu64 ": %s\n", info->pos.insns, cv_end_name(info->kind));
}

/* The position of an event by its number. */
static bool event_position(struct monitor *m, const char *args, uint64_t *insns)
{
	struct cv_log *log = cv_timeline_log(m->s->t);
	struct cv_log_cursor *cur = NULL;
	const struct cv_event *ev;
	uint64_t n;
	bool ok = false;

	if (!log || !take_number(&args, &n) || !at_end(args)) {
		cv_error_set(&m->err, CV_E_BADINPUT, log ? "usage: seek event N" : "there is no recording");
		return false;
	}
	if (cv_log_cursor_new(&cur, log, &m->err) == 0 && cv_log_cursor_seek(cur, n, &m->err) == 0) {
		int r = cv_log_cursor_next(cur, &ev, &m->err);

		if (r == 0) {
			*insns = ev->pos.insns;
			ok = true;
		} else if (r == CV_E_END) {
			cv_error_clear(&m->err);
			cv_error_set(&m->err, CV_E_NOTFOUND, "there is no event %" PRIu64 ": there are %" PRIu64, n,
				     cv_log_event_count(log));
		}
	}
	cv_log_cursor_free(cur);
	return ok;
}

/* N, insns=N, +N, -N, N%, with a fraction if need be. */
static bool number_position(struct monitor *m, const char *args, uint64_t *insns)
{
	uint64_t here = cv_timeline_pos(m->s->t)->insns, end = cv_timeline_end_insns(m->s->t), n;
	char sign = 0, *rest;
	double percent;

	if (!strncmp(args, "insns=", 6))
		args += 6;
	if (*args == '+' || *args == '-')
		sign = *args++;
	if (strchr(args, '%') && !sign && isdigit((unsigned char)*args)) {
		percent = strtod(args, &rest);
		*insns = percent >= 100 ? end : (uint64_t)((double)end * percent / 100);
		return *rest == '%' && at_end(rest + 1);
	}
	if (!take_number(&args, &n) || !at_end(args))
		return false;
	if (sign == '+')
		*insns = n > UINT64_MAX - here ? UINT64_MAX : here + n;
	else if (sign == '-')
		*insns = n > here ? 0 : here - n;
	else
		*insns = n;
	return true;
}

/* Said once a session: who knows needs it no more, and `chronovisor debug` sees to it. */
static void moved(struct monitor *m)
{
	do_when(m, "");
	if (!m->s->flush_told)
		cv_put_text(&m->out, "(A GDB without chronovisor debug's commands still shows registers from the old place: "
				     "maintenance flush register-cache)\n");
	m->s->flush_told = true;
}

static void do_seek(struct monitor *m, const char *args)
{
	const struct cv_end_info *info = cv_timeline_end(m->s->t);
	struct cv_tl_stop stop = { 0 };
	uint64_t insns = 0;

	if (!strcmp(args, "end")) {
		insns = cv_timeline_end_insns(m->s->t);
	} else if (!strcmp(args, "crash")) {
		if (!info || !info->crashed) {
			cv_error_set(&m->err, CV_E_NOTFOUND, "this run has no crash");
			return;
		}
		insns = info->crash_pos.insns;
	} else if (!strncmp(args, "event", 5) && isspace((unsigned char)args[5])) {
		if (!event_position(m, args + 5, &insns))
			return;
	} else if (strcmp(args, "begin") != 0 && !number_position(m, args, &insns)) {
		usage(m, "seek N | +N | -N | N% | begin | end | crash | event N");
		return;
	}
	if (cv_timeline_seek(m->s->t, insns, &stop, &m->err) < 0)
		return;
	m->s->stop = stop;
	m->s->heeded = stop.why == CV_TL_INTERRUPTED;
	if (m->s->heeded)
		cv_put_text(&m->out, "interrupted\n");
	if (stop.why == CV_TL_DIVERGED)
		cv_put_text(&m->out, "%.500s\n", cv_timeline_divergence(m->s->t)->text);
	moved(m);
}

static void do_end_diversion(struct monitor *m, const char *args)
{
	(void)args;
	if (!cv_timeline_is_diverted(m->s->t)) {
		cv_put_text(&m->out, "this is the recorded run: nothing was changed\n");
		return;
	}
	if (cv_timeline_end_diversion(m->s->t, &m->err) < 0)
		return;
	moved(m);
}

/* --- The recording --- */

static void put_event(struct monitor *m, uint64_t seq, const struct cv_event *ev)
{
	const char *name = cv_event_kind_name(ev->kind);

	cv_put_text(&m->out, "%8" PRIu64 "  %14" PRIu64 "  %016" PRIx64 "  %-10s %" PRIu64, seq, ev->pos.insns,
		    ev->pos.rip, name ? name : "?", ev->value);
	for (uint32_t i = 0; i < ev->len && i < 16; i++)
		cv_put_text(&m->out, " %02x", ev->data[i]);
	cv_put_text(&m->out, ev->len > 16 ? " ...\n" : "\n");
}

static int list_events(struct monitor *m, struct cv_log_cursor *cur, uint64_t n)
{
	uint64_t here = cv_timeline_pos(m->s->t)->insns, seq;
	const struct cv_event *ev;
	bool marked = false;
	int r = cv_log_cursor_seek_insns(cur, here, &m->err);

	if (r < 0 && r != CV_E_END)
		return r;
	seq = cv_log_cursor_tell(cur);
	seq = seq > n / 2 ? seq - n / 2 : 0;
	r = cv_log_cursor_seek(cur, seq, &m->err);
	for (uint64_t i = 0; r == 0 && i < n; i++) {
		r = cv_log_cursor_next(cur, &ev, &m->err);
		if (r < 0)
			break;
		if (!marked && ev->pos.insns >= here) {
			cv_put_text(&m->out, "      => %14" PRIu64 "  the present position\n", here);
			marked = true;
		}
		put_event(m, seq + i, ev);
	}
	if (!marked && (r == 0 || r == CV_E_END))
		cv_put_text(&m->out, "      => %14" PRIu64 "  the present position\n", here);
	return r == CV_E_END ? 0 : r;
}

static void do_events(struct monitor *m, const char *args)
{
	struct cv_log *log = cv_timeline_log(m->s->t);
	struct cv_log_cursor *cur = NULL;
	uint64_t n = 10;

	if (!log) {
		cv_error_set(&m->err, CV_E_BADINPUT, "there is no recording");
		return;
	}
	if (!last_count(m, args, &n, 10000, "events [N]"))
		return;
	cv_put_text(&m->out, "   event        position  rip               kind       value\n");
	if (cv_log_cursor_new(&cur, log, &m->err) == 0 && list_events(m, cur, n) == 0)
		cv_error_clear(&m->err); /* the end of the log is no error */
	cv_log_cursor_free(cur);
}

struct lines {
	struct monitor *m;
	uint64_t n, seen;
};

static int count_line(void *ctx, const struct cv_pos *pos, const char *text, size_t n)
{
	struct lines *l = ctx;

	(void)pos;
	(void)text;
	(void)n;
	l->seen++;
	return 0;
}

static int put_line(void *ctx, const struct cv_pos *pos, const char *text, size_t n)
{
	struct lines *l = ctx;

	if (l->seen-- > l->n)
		return 0;
	cv_put_text(&l->m->out, "%14" PRIu64 "  ", pos->insns);
	for (size_t i = 0; i < n; i++)
		cv_put_u8(&l->m->out, (uint8_t)text[i] < ' ' && text[i] != '\t' ? '.' : (uint8_t)text[i]);
	cv_put_u8(&l->m->out, '\n');
	return 0;
}

static void do_console(struct monitor *m, const char *args)
{
	struct cv_log *log = cv_timeline_log(m->s->t);
	struct lines l = { m, 24, 0 };
	uint64_t here = cv_timeline_pos(m->s->t)->insns;
	struct cv_machine *machine = cv_timeline_machine(m->s->t);

	if (!log) {
		cv_error_set(&m->err, CV_E_BADINPUT, "there is no recording that keeps the lines");
		return;
	}
	if (!last_count(m, args, &l.n, 1000000, "console [N]"))
		return;
	if (cv_log_lines(log, 0, here, count_line, &l, &m->err) < 0 ||
	    cv_log_lines(log, 0, here, put_line, &l, &m->err) < 0)
		return;
	if (machine && machine->line_len)
		cv_put_text(&m->out, "       (so far)  %.*s\n", (int)machine->line_len, machine->line);
}

/* --- The machine --- */

static void do_bt(struct monitor *m, const char *args)
{
	struct cv_inspect in;
	uint64_t n = 32;

	if (!last_count(m, args, &n, 1000, "bt [N]"))
		return;
	cv_inspect_timeline(&in, m->s->t, cv_gdb_symbols(m->s));
	cv_inspect_put_backtrace(&in, (unsigned)n, &m->out);
}

static void do_regs(struct monitor *m, const char *args)
{
	struct cv_inspect in;

	(void)args;
	cv_inspect_timeline(&in, m->s->t, cv_gdb_symbols(m->s));
	cv_inspect_put_regs(&in, &m->out);
}

static void do_disas(struct monitor *m, const char *args)
{
	struct cv_inspect in;
	uint64_t addr, n = 10;
	bool around = at_end(args);

	cv_inspect_timeline(&in, m->s->t, cv_gdb_symbols(m->s));
	addr = cv_inspect_rip(&in);
	if (!around && !take_address(m, &args, &addr)) {
		usage(m, "disas [ADDR|SYMBOL [N]]");
		return;
	}
	if (!last_count(m, args, &n, 10000, "disas [ADDR|SYMBOL [N]]"))
		return;
	if (around)
		cv_inspect_put_disas_around(&in, addr, 4, (unsigned)n, &m->out);
	else
		cv_inspect_put_disas(&in, addr, (unsigned)n, &m->out);
}

/* Where to write is the server's choice alone: a client might be anybody. */
static void do_symbols(struct monitor *m, const char *args)
{
	const struct cv_symbols *symbols = cv_gdb_symbols(m->s);
	const char *file = m->s->opt->symbols_file;

	(void)args;
	if (m->s->opt->symbols)
		cv_put_text(&m->out, "this session was given symbols\n");
	else if (!symbols)
		cv_put_text(&m->out, "no Linux kernel with symbols runs here (yet?)\n");
	else if (!file)
		cv_put_text(&m->out, "%zu symbols of the guest's own\n", cv_symbols_count(symbols));
	else if (!cv_symbols_write_elf(symbols, file, &m->err))
		cv_put_text(&m->out, "%zu symbols of the guest's own in %s\n", cv_symbols_count(symbols), file);
}

static void do_screen(struct monitor *m, const char *args)
{
	struct cv_machine *machine = cv_timeline_machine(m->s->t);
	char text[132 * 60];
	unsigned rows = 0, cols = 0;

	(void)args;
	if (!machine || !machine->screen_text) {
		cv_put_text(&m->out, "this machine has no screen\n");
		return;
	}
	machine->screen_text(machine->screen_dev, text, &rows, &cols);
	for (unsigned r = 0; r < rows; r++) {
		unsigned n = cols;

		while (n && (text[r * cols + n - 1] == ' ' || !text[r * cols + n - 1]))
			n--;
		for (unsigned c = 0; c < n; c++) {
			char ch = text[r * cols + c];

			cv_put_u8(&m->out, ch < ' ' || ch > '~' ? ' ' : (uint8_t)ch);
		}
		cv_put_u8(&m->out, '\n');
	}
}

static void put_hexdump(struct cv_wbuf *out, uint64_t addr, const uint8_t *p, size_t n)
{
	for (size_t at = 0; at < n; at += 16) {
		size_t row = n - at < 16 ? n - at : 16;

		cv_put_text(out, "%012" PRIx64 " ", addr + at);
		for (size_t i = 0; i < 16; i++) {
			if (i < row)
				cv_put_text(out, i == 8 ? "  %02x" : " %02x", p[at + i]);
			else
				cv_put_text(out, i == 8 ? "    " : "   ");
		}
		cv_put_text(out, "  |");
		for (size_t i = 0; i < row; i++)
			cv_put_u8(out, p[at + i] < ' ' || p[at + i] > '~' ? '.' : p[at + i]);
		cv_put_text(out, "|\n");
	}
}

static void do_phys(struct monitor *m, const char *args)
{
	uint8_t data[4096];
	uint64_t addr, n = 64;
	size_t got;

	if (!strcmp(args, "on") || !strcmp(args, "off")) {
		m->s->phys = !strcmp(args, "on");
		cv_put_text(&m->out, "GDB's memory is now %s\n", m->s->phys ? "physical" : "virtual");
		return;
	}
	if (!take_number(&args, &addr)) {
		usage(m, "phys ADDR [LEN] | on | off");
		return;
	}
	if (!last_count(m, args, &n, sizeof(data), "phys ADDR [LEN up to 4096] | on | off"))
		return;
	got = cv_timeline_read(m->s->t, true, addr, data, (size_t)n);
	put_hexdump(&m->out, addr, data, got);
	if (got < n)
		cv_put_text(&m->out, "no RAM at %#" PRIx64 "\n", addr + got);
}

static void do_help(struct monitor *m, const char *args);

static const struct {
	const char *name, *usage, *help;
	void (*fn)(struct monitor *m, const char *args);
} commands[] = {
	{ "when", "when", "where in the run this is: position, branches, RIP, live or replay", do_when },
	{ "seek", "seek N|+N|-N|N%|begin|end|crash|event N", "go to a position (instructions retired) in the run", do_seek },
	{ "events", "events [N]", "the N events of the recording around this position", do_events },
	{ "console", "console [N]", "the last N lines that the guest had printed by now", do_console },
	{ "screen", "screen", "the VGA text screen", do_screen },
	{ "bt", "bt [N]", "backtrace by unwind tables, frame pointers or the stack", do_bt },
	{ "regs", "regs", "all registers, with segments", do_regs },
	{ "disas", "disas [ADDR|SYMBOL [N]]", "N instructions, from RIP if no address is given", do_disas },
	{ "symbols", "symbols", "a Linux guest's own symbols, out of its memory (linux-symbols gives them to GDB)", do_symbols },
	{ "phys", "phys ADDR [LEN]", "physical memory as a hex dump", do_phys },
	{ "phys", "phys on|off", "let GDB's own memory commands see physical memory", NULL },
	{ "end-diversion", "end-diversion", "forget what was changed: back to the recorded run", do_end_diversion },
	{ "help", "help", "this list", do_help },
};

static void do_help(struct monitor *m, const char *args)
{
	(void)args;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		cv_put_text(&m->out, "monitor %-42s %s\n", commands[i].usage, commands[i].help);
	cv_put_text(&m->out,
		    "\nAfter seek and end-diversion GDB still shows registers from the old place until\n"
		    "  maintenance flush register-cache\n"
		    "(chronovisor debug does that by itself after each monitor command).\n"
		    "Writing a register or memory in a replay opens a diversion: the guest goes its own way from there.\n");
}

static void run_command(struct monitor *m, const char *command)
{
	const char *args = skip_spaces(command);
	size_t n = strcspn(args, " \t");

	for (size_t i = 0; n && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strlen(commands[i].name) == n && !memcmp(commands[i].name, args, n) && commands[i].fn) {
			char rest[256];

			args = skip_spaces(args + n);
			n = strlen(args);
			while (n && isspace((unsigned char)args[n - 1]))
				n--;
			if (n >= sizeof(rest)) {
				usage(m, commands[i].usage);
				return;
			}
			memcpy(rest, args, n);
			rest[n] = '\0';
			commands[i].fn(m, rest);
			return;
		}
	}
	if (!n) {
		do_help(m, "");
		return;
	}
	cv_error_set(&m->err, CV_E_BADINPUT, "unknown monitor command \"%.40s\": try monitor help", command);
}

/* What a command printed goes out as output packets: a reply may be too long for one. */
void cv_gdb_do_monitor(struct cv_gdb_session *s, const char *command)
{
	struct monitor m = { .s = s };

	run_command(&m, command);
	if (m.err.code)
		cv_put_text(&m.out, "%s\n", m.err.msg);
	if (m.out.len && !m.out.err)
		cv_gdb_say(s, (const char *)m.out.data, m.out.len);
	if (m.out.err)
		cv_gdb_error(s, 12);
	else
		cv_gdb_ok(s);
	cv_wbuf_release(&m.out);
}
