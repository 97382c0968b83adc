/* SPDX-License-Identifier: MIT */
/*
 * The command `chronovisor`: which command, its help, and what an error costs.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "config.h"

#define ENGINE_HELP \
	"  --engine auto|soft|vtx what executes the guest: the host's CPU by VT-x where that can be used (auto, the default; see\n" \
	"                         chronovisor engines), or an interpreter\n" \
	"  --vtx-skid N           for tests of the VT-x engine: its counter fires up to N units late\n"

static const char machine_help[] =
	"Guest:\n"
	"  --kernel FILE          Linux bzImage, ELF64 (PVH or plain), or Multiboot 1 kernel\n"
	"  --initrd FILE          initial RAM disk\n"
	"  --append TEXT          kernel command line\n"
	"  --module 'FILE ARGS'   Multiboot module (repeatable)\n"
	"  --memory SIZE          16M to 16G (default 256M)\n"
	"  --cpu MODEL            v2 (default), v3, or one with +FEATURE and -FEATURE: v3,-avx2,+la57 (see chronovisor cpus)\n"
	"  --reboot               a guest reset restarts the machine instead of ending the run\n"
	"  --test-device          ports and memory that kvm-unit-tests write to (QEMU's pc-testdev)\n"
	"Engine:\n"
	ENGINE_HELP
	"  --count insns|steps    what positions count: instructions (default with soft), or also each further iteration of a REP and\n"
	"                         each exception, as VT-x's exact counter does\n"
	"Time:\n"
	"  --clock host|virtual   follow the host's clock (default), or count instructions\n"
	"  --epoch SECONDS        what the RTC shows at power-on (default: now; 2024-01-01 with --clock virtual)\n"
	"  --seed N               seed of the guest's entropy with --clock virtual (default 0)\n"
	"Ending:\n"
	"  --until insns=N        stop after N instructions\n"
	"  --until crash          stop when the guest crashes (a crash always ends a run; needed by --loop)\n"
	"  --until console=REGEX  stop when a console line matches (extended regular expression)\n"
	"Debugging:\n"
	"  --gdb ADDR             serve GDB at unix:PATH or [HOST]:PORT\n"
	"  --gdb-wait             stay at the first instruction until GDB has come\n"
	"  --symbols FILE         ELF file with symbols, for backtraces\n"
	"  --quiet                no closing line\n"
	"\nConsole: standard input and output. On a terminal it is raw: Ctrl-A x ends, Ctrl-A h helps.\n"
	"Exit status: 0 the guest ended by itself, 3 it crashed, 2 bad input, 1 host failure.\n";

static const struct {
	const char *name, *usage, *what;
	int (*run)(const struct options *o);
	bool machine;
	const char *help;
} commands[] = {
	{"record", "-o RUN.cvr --kernel FILE [OPTIONS]", "run a guest and record it", cmd_record, true,
	 "  -o, --output FILE      the recording\n"
	 "  --force                replace an existing recording\n"
	 "  --loop N               record up to N runs, keep the first that crashes (with --until crash)\n"
	 "  --checkpoints N        also store a whole checkpoint every N instructions (K, M, G), for quick seeks\n"},
	{"run", "--kernel FILE [OPTIONS]", "run a guest without a recording", cmd_record, true, ""},
	{"replay", "RUN.cvr [OPTIONS]", "replay a recording exactly, and check it", cmd_replay, false,
	 "  --from insns=N         start at the last stored checkpoint (record --checkpoints) at or before N\n"
	 "  --until insns=N        stop after N instructions\n"
	 "  --gdb ADDR             serve GDB at unix:PATH or [HOST]:PORT instead of running through\n"
	 ENGINE_HELP
	 "  --symbols FILE         ELF file with symbols, for backtraces\n"
	 "  --quiet                no closing line\n"
	 "\nExit status: 0 as recorded, 3 the guest crashed as recorded, 4 divergence, 2 bad input, 1 host failure.\n"},
	{"debug", "RUN.cvr [OPTIONS] [-- GDB-ARGS]", "replay a recording under GDB, in both directions", cmd_debug,
	 false, "  --symbols FILE         ELF file with symbols (default: the kernel, if it is an ELF file)\n" ENGINE_HELP},
	{"info", "RUN.cvr", "describe a recording, and check that it is whole", cmd_info, false, ""},
	{"events", "RUN.cvr [OPTIONS]", "list the events of a recording", cmd_events, false,
	 "  --kind KIND            tsc, clock, entropy, time, console-in, command, interrupt, end\n"
	 "  --from N, --to N       only from, to this instruction count\n"
	 "  --format text|json     JSON: one object a line\n"},
	{"verify", "RUN.cvr", "check every byte of a recording", cmd_verify, false, ""},
	{"cpus", "", "list the CPU models and features that --cpu knows", cmd_cpus, false, ""},
	{"engines", "", "say which engines can be used here, and why not", cmd_engines, false, ""},
};

enum { NCOMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void usage(FILE *f)
{
	fprintf(f, "chronovisor %s: records a guest machine, replays it exactly, steps it backwards under GDB\n\n"
		   "Usage: chronovisor COMMAND ...\n\n", PACKAGE_VERSION);
	for (unsigned i = 0; i < NCOMMANDS; i++)
		fprintf(f, "  %-8s %s\n", commands[i].name, commands[i].what);
	fprintf(f, "\nchronovisor COMMAND --help tells more; so does the manual page chronovisor(1).\n");
}

int fail(const char *command, const struct cv_error *err)
{
	fprintf(stderr, "chronovisor: %s: %s\n", command, err->msg[0] ? err->msg : "failed");
	switch (err->code) {
	case CV_E_BADINPUT:
	case CV_E_CORRUPT:
	case CV_E_VERSION:
	case CV_E_EXIST:
	case CV_E_NOTFOUND:
		return EXIT_BAD_INPUT;
	case CV_E_DIVERGED:
		return EXIT_DIVERGED;
	default:
		return EXIT_HOST;
	}
}

/* What was printed has arrived, or that is the failure. */
static int check_output(const char *command, int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	fprintf(stderr, "chronovisor: %s: standard output: can't be written\n", command);
	return EXIT_HOST;
}

static int run_command(unsigned i, int argc, char **argv)
{
	struct cv_error err = {0};
	struct options o;
	bool help = false;
	int rc = options_parse(&o, argc, argv, &help, &err);

	if (help) {
		printf("Usage: chronovisor %s %s\n%s.\n\n%s%s", commands[i].name, commands[i].usage, commands[i].what,
		       commands[i].help, commands[i].machine ? machine_help : "");
		return EXIT_GUEST_OK;
	}
	if (rc)
		return fail(commands[i].name, &err);
	if (commands[i].machine) /* a guest goes on when nobody reads its console any more */
		return commands[i].run(&o);
	if (commands[i].run != cmd_debug)
		signal(SIGPIPE, SIG_DFL);
	return check_output(commands[i].name, commands[i].run(&o));
}

/* A closed standard descriptor's number would go to the next file opened: guest RAM, or the recording. */
static void fill_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			(void)!open("/dev/null", O_RDWR);
}

int main(int argc, char **argv)
{
	fill_standard_descriptors();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a write beyond the limit fails, and the failure is told */
	if (argc < 2) {
		usage(stderr);
		return EXIT_BAD_INPUT;
	}
	for (unsigned i = 0; i < NCOMMANDS; i++)
		if (!strcmp(argv[1], commands[i].name))
			return run_command(i, argc - 1, argv + 1);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		usage(stdout);
		return EXIT_GUEST_OK;
	}
	if (!strcmp(argv[1], "--version")) {
		printf("chronovisor %s\n", PACKAGE_VERSION);
		return EXIT_GUEST_OK;
	}
	fprintf(stderr, "chronovisor: unknown command '%s': see chronovisor --help\n", argv[1]);
	return EXIT_BAD_INPUT;
}
