/* SPDX-License-Identifier: MIT */
/* The names of event kinds: see event.h. They are part of the command line and of the virtual table `events`. */
#include "vmm-core/event.h"

#include <string.h>

static const char *const names[CV_EV_KINDS] = {
	[CV_EV_TSC] = "tsc",
	[CV_EV_CLOCK] = "clock",
	[CV_EV_ENTROPY] = "entropy",
	[CV_EV_TIME] = "time",
	[CV_EV_CONSOLE_IN] = "console-in",
	[CV_EV_COMMAND] = "command",
	[CV_EV_INTERRUPT] = "interrupt",
	[CV_EV_END] = "end",
};

const char *cv_event_kind_name(enum cv_event_kind k)
{
	return (unsigned)k < CV_EV_KINDS ? names[k] : NULL;
}

enum cv_event_kind cv_event_kind_by_name(const char *name)
{
	unsigned k;

	for (k = 1; k < CV_EV_KINDS; k++)
		if (names[k] && !strcmp(names[k], name))
			return (enum cv_event_kind)k;
	return (enum cv_event_kind)0;
}
