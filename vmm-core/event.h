/* SPDX-License-Identifier: MIT */
/*
 * The kinds of event in a recording. Numbers are part of the file format (docs/log-format.md): never reused.
 *
 * S: a synchronous input, the answer to something the guest did. A: an asynchronous input, applied at its position.
 * C: a check, which replay compares with what the replayed machine does by itself.
 */
#ifndef CV_EVENT_H
#define CV_EVENT_H

#include <stddef.h>
#include <stdint.h>

#include "vmm-core/position.h"

enum cv_event_kind {
	CV_EV_TSC = 1,	      /* S  value: nanoseconds of guest time that an RDTSC(P) or a read of MSR 10h saw */
	CV_EV_CLOCK = 2,      /* S  value: nanoseconds of guest time that a device saw: counter, RTC, timer write */
	CV_EV_ENTROPY = 3,    /* S  data: bytes of RDRAND or RDSEED */
	CV_EV_TIME = 4,	      /* A  value: guest time in ns; deadlines up to it expire */
	CV_EV_CONSOLE_IN = 5, /* A  data: bytes typed on the console */
	CV_EV_COMMAND = 6,    /* A  value: enum cv_command */
	CV_EV_INTERRUPT = 7,  /* C  value: vector of an external interrupt as it is delivered (NMI: 2) */
	CV_EV_END = 8,	      /* C  value: enum cv_end, data: u64 end code; the last event of a complete recording */
	CV_EV_KINDS
};

enum cv_command {
	CV_CMD_STOP = 1,	 /* the user ended the recording (Ctrl-A x, SIGINT, SIGTERM, --until) */
	CV_CMD_POWER_BUTTON = 2, /* ACPI power button */
	CV_CMD_NMI = 3,
	CV_CMD_RESET = 4,
};

static inline int cv_event_is_async(enum cv_event_kind k)
{
	return k == CV_EV_TIME || k == CV_EV_CONSOLE_IN || k == CV_EV_COMMAND;
}

#define CV_EVENT_DATA_MAX 64

struct cv_event {
	enum cv_event_kind kind;
	struct cv_pos pos;
	uint64_t value;
	uint32_t len; /* of data */
	uint8_t data[CV_EVENT_DATA_MAX];
};

/* The kind's name in lower case ("tsc", "console-in"), or NULL. And back: 0 where no kind has that name. */
const char *cv_event_kind_name(enum cv_event_kind k);
enum cv_event_kind cv_event_kind_by_name(const char *name);

#endif
