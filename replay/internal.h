/* SPDX-License-Identifier: MIT */
/*
 * Shared inside replay/: the machine's configuration in a recording, reports of divergence, names of meta keys.
 */
#ifndef CV_REPLAY_INTERNAL_H
#define CV_REPLAY_INTERNAL_H

#include "replay/replay.h"

#define META_RAM "ram_size"
#define META_CLOCK "clock"
#define META_EPOCH "epoch"
#define META_REBOOT "reboot"
#define META_TEST_DEVICE "test_device" /* absent in recordings older than the device: 0 */
#define META_COUNT "count" /* absent in recordings older than steps: insns */
#define META_CPU "cpu"
#define META_CMDLINE "cmdline"
#define META_MODULES "modules"
#define META_VERSION "recorder_version"
#define META_FINAL_DIGEST "final_digest"
#define MARK_CRASH "crash"
#define MARK_END "end"

/* A configuration read from a recording, with everything that it borrows. */
struct cv_stored_config {
	struct cv_machine_config config;
	char *cpu, *cmdline;	 /* owned */
	char *strings[2 * (CV_BOOT_MODULES + 2)]; /* owned: names and arguments of the images */
	uint8_t *bytes[CV_BOOT_MODULES + 2];	  /* owned: the images */
	unsigned nstrings, nbytes;
};

/* Writes configuration and images into a new recording. */
int cv_config_write(struct cv_log *log, const struct cv_machine_config *c, struct cv_error *err);
int cv_config_read(struct cv_stored_config *s, struct cv_log *log, struct cv_error *err);
void cv_config_release(struct cv_stored_config *s);

/* Hexadecimal of a digest, and back. text: 33 bytes. */
void cv_digest_text(const uint8_t digest[16], char *text);

/* Are two events or positions at the same place, every coordinate compared? */
bool cv_pos_same(const struct cv_pos *a, const struct cv_pos *b);
/* Latches the first divergence. expected, came: may be NULL. Composes d->text after `what`. */
void cv_divergence_note(struct cv_divergence *d, const struct cv_pos *pos, const struct cv_event *expected,
			const struct cv_event *came, const char *what);

/* Host monotonic time in ns. Only in live.c and recorder.c. */
uint64_t cv_host_now(void);

#endif
