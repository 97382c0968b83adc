/* SPDX-License-Identifier: MIT */
/*
 * The user's terminal in raw mode while it is the guest's console, and the signals that end a run.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cli.h"

/* A process has one terminal and one set of signal handlers: the only state here that is not in a struct. */
static struct {
	int fd;
	bool raw;
	struct termios before;
	struct cv_live *volatile live;
	volatile sig_atomic_t asked;
} terminal = {.fd = -1};

void terminal_restore(void)
{
	if (terminal.raw)
		tcsetattr(terminal.fd, TCSANOW, &terminal.before);
	terminal.raw = false;
}

bool terminal_raw(int fd)
{
	struct termios t;

	if (!isatty(fd) || tcgetattr(fd, &terminal.before))
		return false;
	t = terminal.before;
	cfmakeraw(&t);
	t.c_oflag |= OPOST | ONLCR;
	if (tcsetattr(fd, TCSANOW, &t))
		return false;
	terminal.fd = fd;
	if (!terminal.raw)
		atexit(terminal_restore);
	terminal.raw = true;
	return true;
}

static void on_signal(int sig)
{
	(void)sig;
	terminal.asked = 1;
	if (terminal.live)
		cv_live_command(terminal.live, CV_CMD_STOP);
}

bool stop_asked(void *ctx)
{
	(void)ctx;
	return terminal.asked;
}

void signals_to(struct cv_live *live)
{
	static const int sigs[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction sa;

	terminal.live = live;
	terminal.asked = 0;
	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = live ? on_signal : SIG_DFL;
	for (size_t i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
		sigaction(sigs[i], &sa, NULL);
}
