/* SPDX-License-Identifier: MIT */
/*
 * Options: one table for all commands, each row with the commands that know it.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

enum { RUN = 1, RECORD = 2, REPLAY = 4, DEBUG = 8, INFO = 16, EVENTS = 32, VERIFY = 64, CPUS = 128, ENGINES = 256, LIVE = RUN | RECORD,
       READ = REPLAY | DEBUG | INFO | EVENTS | VERIFY, MACHINE = LIVE | REPLAY | DEBUG };

enum option_id {
	O_OUTPUT = 'o', O_HELP = 'h', O_FORCE = 0x100, O_KERNEL, O_INITRD, O_APPEND, O_MODULE, O_MEMORY, O_CLOCK,
	O_REBOOT, O_TEST_DEVICE, O_CPU, O_EPOCH, O_SEED, O_UNTIL, O_GDB, O_GDB_WAIT, O_LOOP, O_CHECKPOINTS, O_SYMBOLS, O_KIND,
	O_FROM, O_TO, O_FORMAT, O_QUIET, O_START, O_ENGINE, O_COUNT, O_VTX_SKID,
};

struct row {
	const char *name;
	int has_arg;
	enum option_id id;
	unsigned commands;
};

static const struct row rows[] = {
	{"output", 1, O_OUTPUT, RECORD},
	{"force", 0, O_FORCE, RECORD},
	{"kernel", 1, O_KERNEL, LIVE},
	{"initrd", 1, O_INITRD, LIVE},
	{"append", 1, O_APPEND, LIVE},
	{"module", 1, O_MODULE, LIVE},
	{"memory", 1, O_MEMORY, LIVE},
	{"clock", 1, O_CLOCK, LIVE},
	{"reboot", 0, O_REBOOT, LIVE},
	{"test-device", 0, O_TEST_DEVICE, LIVE},
	{"cpu", 1, O_CPU, LIVE},
	{"engine", 1, O_ENGINE, MACHINE},
	{"count", 1, O_COUNT, LIVE},
	{"vtx-skid", 1, O_VTX_SKID, MACHINE},
	{"epoch", 1, O_EPOCH, LIVE},
	{"seed", 1, O_SEED, LIVE},
	{"until", 1, O_UNTIL, LIVE | REPLAY},
	{"from", 1, O_START, REPLAY},
	{"gdb", 1, O_GDB, LIVE | REPLAY},
	{"gdb-wait", 0, O_GDB_WAIT, LIVE},
	{"loop", 1, O_LOOP, RECORD},
	{"checkpoints", 1, O_CHECKPOINTS, RECORD},
	{"symbols", 1, O_SYMBOLS, LIVE | REPLAY | DEBUG},
	{"kind", 1, O_KIND, EVENTS},
	{"from", 1, O_FROM, EVENTS},
	{"to", 1, O_TO, EVENTS},
	{"format", 1, O_FORMAT, EVENTS},
	{"quiet", 0, O_QUIET, LIVE | REPLAY},
	{"help", 0, O_HELP, LIVE | READ | CPUS | ENGINES},
};

enum { NROWS = sizeof(rows) / sizeof(rows[0]) };

static const struct {
	const char *name;
	unsigned bit;
} commands[] = {
	{"run", RUN}, {"record", RECORD}, {"replay", REPLAY}, {"debug", DEBUG},
	{"info", INFO}, {"events", EVENTS}, {"verify", VERIFY}, {"cpus", CPUS}, {"engines", ENGINES},
};

static unsigned command_bit(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].name, name))
			return commands[i].bit;
	return 0;
}

/* A number with an optional K, M, G (binary) suffix. */
static int parse_u64(const char *what, const char *s, bool suffix, uint64_t *v, struct cv_error *err)
{
	static const char units[] = "KMG";
	char *end;
	unsigned shift = 0;

	errno = 0;
	*v = strtoull(s, &end, 0);
	if (suffix && *end && strchr(units, *end & ~0x20)) {
		shift = 10 * (unsigned)(strchr(units, *end & ~0x20) - units + 1);
		end++;
		if (*end == 'i')
			end++;
		if (*end == 'B' || *end == 'b')
			end++;
	}
	if (end == s || *end || errno || s[0] == '-' || (shift && *v > UINT64_MAX >> shift))
		return cv_error_set(err, CV_E_BADINPUT, "%s: '%s' is not a number%s", what, s,
				    suffix ? " (with K, M or G)" : "");
	*v <<= shift;
	return 0;
}

static int parse_memory(struct options *o, const char *s, struct cv_error *err)
{
	const char *last = s + strlen(s);
	int rc = parse_u64("--memory", s, true, &o->memory, err);

	if (rc)
		return rc;
	if (last > s && last[-1] >= '0' && last[-1] <= '9' && o->memory < (1u << 20))
		o->memory <<= 20; /* a bare number is in MiB, as in QEMU */
	if (o->memory < CV_RAM_MIN || o->memory > CV_RAM_MAX)
		return cv_error_set(err, CV_E_BADINPUT, "--memory %s: a guest has 16M to 16G", s);
	if (o->memory & ((1u << 20) - 1))
		return cv_error_set(err, CV_E_BADINPUT, "--memory %s: give whole MiB", s);
	return 0;
}

static int parse_until(struct options *o, const char *s, struct cv_error *err)
{
	bool live = command_bit(o->command) & LIVE;

	if (!strncmp(s, "insns=", 6))
		return parse_u64("--until insns", s + 6, false, &o->until_insns, err);
	if (live && !strcmp(s, "crash")) {
		o->until_crash = true;
		return 0;
	}
	if (live && !strncmp(s, "console=", 8) && s[8]) {
		o->until_console = s + 8;
		return 0;
	}
	return cv_error_set(err, CV_E_BADINPUT, "--until %s: give %s", s,
			    live ? "insns=N, crash or console=REGEX" : "insns=N");
}

static int parse_start(struct options *o, const char *s, struct cv_error *err)
{
	if (strncmp(s, "insns=", 6))
		return cv_error_set(err, CV_E_BADINPUT, "--from %s: give insns=N", s);
	return parse_u64("--from insns", s + 6, false, &o->start_insns, err);
}

static int parse_clock(struct options *o, const char *s, struct cv_error *err)
{
	if (!strcmp(s, "host"))
		o->clock = CV_CLOCK_HOST;
	else if (!strcmp(s, "virtual"))
		o->clock = CV_CLOCK_VIRTUAL;
	else
		return cv_error_set(err, CV_E_BADINPUT, "--clock %s: give host or virtual", s);
	return 0;
}

static int parse_cpu(struct options *o, const char *s, struct cv_error *err)
{
	struct cv_cpuid_model model;
	int rc = cv_cpuid_model_parse(s, &model, err);

	o->cpu = s;
	o->cpu_given = true;
	return rc ? cv_error_prefix(err, "--cpu") : 0;
}

static int parse_engine(struct options *o, const char *s, struct cv_error *err)
{
	static const char *const names[] = {[ENGINE_AUTO] = "auto", [ENGINE_SOFT] = "soft", [ENGINE_VTX] = "vtx"};

	o->engine_given = true;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(s, names[i])) {
			o->engine = (enum engine_wish)i;
			return 0;
		}
	return cv_error_set(err, CV_E_BADINPUT, "--engine %s: give auto, soft or vtx", s);
}

static int parse_count(struct options *o, const char *s, struct cv_error *err)
{
	o->count_given = true;
	if (!strcmp(s, "insns"))
		o->count = CV_COUNT_INSNS;
	else if (!strcmp(s, "steps"))
		o->count = CV_COUNT_STEPS;
	else
		return cv_error_set(err, CV_E_BADINPUT, "--count %s: give insns or steps", s);
	return 0;
}

static int parse_skid(struct options *o, const char *s, struct cv_error *err)
{
	uint64_t v;
	int rc = parse_u64("--vtx-skid", s, false, &v, err);

	if (rc)
		return rc;
	if (v > 100000)
		return cv_error_set(err, CV_E_BADINPUT, "--vtx-skid %s: give 0 to 100000", s);
	o->vtx_skid = (unsigned)v;
	return 0;
}

static int parse_loop(struct options *o, const char *s, struct cv_error *err)
{
	uint64_t v;
	int rc = parse_u64("--loop", s, false, &v, err);

	if (rc)
		return rc;
	if (v < 1 || v > 1000000000)
		return cv_error_set(err, CV_E_BADINPUT, "--loop %s: give 1 to 1000000000", s);
	o->loop = (unsigned)v;
	return 0;
}

static int parse_format(struct options *o, const char *s, struct cv_error *err)
{
	if (strcmp(s, "text") && strcmp(s, "json"))
		return cv_error_set(err, CV_E_BADINPUT, "--format %s: give text or json", s);
	o->events_format = s;
	return 0;
}

static int add_module(struct options *o, const char *s, struct cv_error *err)
{
	if (o->nmodules == CV_BOOT_MODULES)
		return cv_error_set(err, CV_E_BADINPUT, "--module %s: at most %d modules", s, CV_BOOT_MODULES);
	o->modules[o->nmodules++] = s;
	return 0;
}

static int apply(struct options *o, int id, char *arg, bool *help, struct cv_error *err)
{
	switch (id) {
	case O_OUTPUT: o->output = arg; return 0;
	case O_FORCE: o->force = true; return 0;
	case O_KERNEL: o->kernel = arg; return 0;
	case O_INITRD: o->initrd = arg; return 0;
	case O_APPEND: o->append = arg; return 0;
	case O_MODULE: return add_module(o, arg, err);
	case O_MEMORY: return parse_memory(o, arg, err);
	case O_CLOCK: return parse_clock(o, arg, err);
	case O_REBOOT: o->reboot = true; return 0;
	case O_TEST_DEVICE: o->test_device = true; return 0;
	case O_CPU: return parse_cpu(o, arg, err);
	case O_ENGINE: return parse_engine(o, arg, err);
	case O_COUNT: return parse_count(o, arg, err);
	case O_VTX_SKID: return parse_skid(o, arg, err);
	case O_EPOCH: o->epoch_given = true; return parse_u64("--epoch", arg, false, &o->epoch, err);
	case O_SEED: return parse_u64("--seed", arg, false, &o->seed, err);
	case O_UNTIL: return parse_until(o, arg, err);
	case O_START: return parse_start(o, arg, err);
	case O_GDB: o->gdb = arg; return 0;
	case O_GDB_WAIT: o->gdb_wait = true; return 0;
	case O_LOOP: return parse_loop(o, arg, err);
	case O_CHECKPOINTS: return parse_u64("--checkpoints", arg, true, &o->checkpoints, err);
	case O_SYMBOLS: o->symbols = arg; return 0;
	case O_KIND:
		o->events_kind = arg;
		return cv_event_kind_by_name(arg) ? 0
			: cv_error_set(err, CV_E_BADINPUT, "--kind %s: no such kind of event", arg);
	case O_FROM: return parse_u64("--from", arg, false, &o->events_from, err);
	case O_TO: return parse_u64("--to", arg, false, &o->events_to, err);
	case O_FORMAT: return parse_format(o, arg, err);
	case O_QUIET: o->quiet = true; return 0;
	case O_HELP: *help = true; return 0;
	}
	return cv_error_set(err, CV_E_BADINPUT, "unknown option");
}

static int check(const struct options *o, unsigned bit, struct cv_error *err)
{
	if ((bit & LIVE) && !o->kernel)
		return cv_error_set(err, CV_E_BADINPUT, "no kernel: give --kernel FILE");
	if ((bit & RECORD) && !o->output)
		return cv_error_set(err, CV_E_BADINPUT, "no output file: give -o FILE.cvr");
	if ((bit & READ) && !o->recording)
		return cv_error_set(err, CV_E_BADINPUT, "no recording: give its file name");
	if (o->loop && !o->until_crash)
		return cv_error_set(err, CV_E_BADINPUT, "--loop goes with --until crash");
	if (o->loop && o->gdb)
		return cv_error_set(err, CV_E_BADINPUT, "--loop and --gdb don't go together");
	if (o->start_insns && o->gdb)
		return cv_error_set(err, CV_E_BADINPUT, "--from and --gdb don't go together: --until goes there, too");
	if (o->gdb_wait && !o->gdb)
		return cv_error_set(err, CV_E_BADINPUT, "--gdb-wait goes with --gdb");
	return 0;
}

int options_parse(struct options *o, int argc, char **argv, bool *help, struct cv_error *err)
{
	struct option longs[NROWS + 1];
	unsigned bit = command_bit(argv[0]), n = 0;
	int id, rc;

	memset(o, 0, sizeof(*o));
	o->command = argv[0];
	o->memory = 256u << 20;
	o->cpu = "chronovisor-v2";
	o->append = "";
	o->until_insns = UINT64_MAX;
	o->events_to = UINT64_MAX;
	o->events_format = "text";
	memset(longs, 0, sizeof(longs));
	for (unsigned i = 0; i < NROWS; i++)
		if (rows[i].commands & bit)
			longs[n++] = (struct option){rows[i].name, rows[i].has_arg, NULL, (int)rows[i].id};
	opterr = 0;
	optind = 0;
	while ((id = getopt_long(argc, argv, bit & RECORD ? ":o:h" : ":h", longs, NULL)) != -1) {
		const char *at = argv[optind > 1 ? optind - 1 : 1];

		if (id == '?')
			return cv_error_set(err, CV_E_BADINPUT, "unknown option '%s': see chronovisor %s --help", at,
					    o->command);
		if (id == ':')
			return cv_error_set(err, CV_E_BADINPUT, "option '%s' needs an argument", at);
		rc = apply(o, id, optarg, help, err);
		if (rc || *help)
			return rc;
	}
	if ((bit & READ) && optind < argc)
		o->recording = argv[optind++];
	o->rest = argv + optind;
	o->nrest = argc - optind;
	if (o->nrest && !(bit & DEBUG))
		return cv_error_set(err, CV_E_BADINPUT, "'%s' is one argument too many", o->rest[0]);
	return check(o, bit, err);
}
