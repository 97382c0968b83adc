/* SPDX-License-Identifier: MIT */
/*
 * Live, record and replay: the three implementations of struct cv_env.
 *
 * Live answers from the host: monotonic clock, getrandom, a console on two descriptors. Record wraps live and writes
 * each answer, each asynchronous input and each interrupt into a recording. Replay answers from one and checks kind,
 * position and RIP of every event; what differs is a divergence, latched with a report.
 */
#ifndef CV_REPLAY_H
#define CV_REPLAY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "logdb/logdb.h"
#include "vmm-core/env.h"
#include "vmm-core/machine.h"

/* --- Live --- */
struct cv_live_config {
	int in_fd, out_fd; /* console; in_fd -1: no input; out_fd -1: output is dropped. Non-blocking reads by poll(2) */
	bool raw_escape;   /* Ctrl-A is the escape: x ends the run, h help, b sends Ctrl-A, n NMI, p power button */
	bool virtual_clock;
	uint64_t seed;	   /* with virtual_clock: entropy comes from a generator seeded with this */
	uint64_t slice;	   /* instructions between polls; 0: default (50,000) */
	/* What else may interrupt a wait (a debugger's socket); -1: none. */
	int wake_fd;
};
/* *out: env to give to a machine. cv_live_free. */
struct cv_live;
int cv_live_new(struct cv_live **out, const struct cv_live_config *cfg, struct cv_error *err);
void cv_live_free(struct cv_live *l);
struct cv_env *cv_live_env(struct cv_live *l);
/* Writes out console bytes that wait for company. */
void cv_live_flush(struct cv_live *l);
/* Asynchronous-signal-safe, also from another thread: the next poll delivers CV_CMD_STOP (or another command). */
void cv_live_command(struct cv_live *l, enum cv_command cmd);
/* While a debugger holds the machine still, guest time stands still too. */
void cv_live_pause(struct cv_live *l);
void cv_live_resume(struct cv_live *l);

/* --- Record --- */
struct cv_recorder;
struct cv_recorder_config {
	uint64_t checkpoint_insns; /* distance of digest checkpoints; 0: default (2^28) */
	/* Distance of checkpoints with state and pages, rounded up to the one above; 0: none. A smaller one rules both. */
	uint64_t state_insns;
};
/*
 * Wraps `inner`. log is borrowed and open for writing. Call cv_recorder_begin once the machine exists and before it
 * runs: writes config, images and meta. cv_recorder_end writes the END event, the last digest, the crash mark.
 */
int cv_recorder_new(struct cv_recorder **out, struct cv_log *log, struct cv_env *inner,
		    const struct cv_recorder_config *cfg, struct cv_error *err);
void cv_recorder_free(struct cv_recorder *r);
struct cv_env *cv_recorder_env(struct cv_recorder *r);
int cv_recorder_begin(struct cv_recorder *r, struct cv_machine *m, struct cv_error *err);
/* Call between cv_machine_run calls, at least every horizon: commits by the host's clock, takes checkpoints. */
int cv_recorder_tick(struct cv_recorder *r, struct cv_machine *m, struct cv_error *err);
/* Instructions until the next checkpoint is due: the run loop's `until`. */
uint64_t cv_recorder_next_checkpoint(const struct cv_recorder *r);
int cv_recorder_end(struct cv_recorder *r, struct cv_machine *m, struct cv_error *err);
/* The latched error, if the env failed. */
int cv_recorder_error(const struct cv_recorder *r, struct cv_error *err);

/* --- Replay --- */
struct cv_divergence {
	bool happened;
	struct cv_pos pos;	/* where the replay is */
	struct cv_event expected; /* kind 0: none (a digest differs, or the log ended) */
	struct cv_event came;	/* kind 0: none */
	char text[400];		/* one or two lines: what was expected, what came */
};

struct cv_replayer;
/*
 * The configuration that a recording holds, images loaded: everything is owned by the replayer and stays valid until
 * cv_replayer_free. log is borrowed.
 */
int cv_replayer_new(struct cv_replayer **out, struct cv_log *log, struct cv_error *err);
void cv_replayer_free(struct cv_replayer *r);
const struct cv_machine_config *cv_replayer_config(const struct cv_replayer *r);
struct cv_env *cv_replayer_env(struct cv_replayer *r);
/* Where console output goes during replay: called with the bytes as the guest prints them; NULL: nowhere. */
void cv_replayer_set_output(struct cv_replayer *r, void (*fn)(void *ctx, const uint8_t *p, size_t n), void *ctx);
/* Place in the log, for checkpoints: restoring a machine restores this with it. */
uint64_t cv_replayer_tell(const struct cv_replayer *r);
int cv_replayer_seek(struct cv_replayer *r, uint64_t event_seq, struct cv_error *err);
/*
 * Digest checks: the next digest checkpoint at or after the machine's position, UINT64_MAX for none; and the check
 * itself, called when the machine stands there. CV_E_DIVERGED where it differs.
 */
uint64_t cv_replayer_next_check(struct cv_replayer *r, const struct cv_pos *pos);
/* Which check is next; a checkpoint saves it with cv_replayer_tell (a seek alone sets it from the place in the log). */
uint64_t cv_replayer_tell_check(const struct cv_replayer *r);
void cv_replayer_seek_check(struct cv_replayer *r, uint64_t check);
int cv_replayer_check(struct cv_replayer *r, struct cv_machine *m, struct cv_error *err);
/* The last checkpoint in the recording that has state, at or before pos (strictly: before). false: none. */
bool cv_replayer_find_state(const struct cv_replayer *r, const struct cv_pos *pos, bool strictly,
			    struct cv_log_checkpoint *cp);
/*
 * Puts a machine that has not run yet into that place at or before insns; replay goes on from there. Without such a
 * place nothing is done, and the machine stays at the beginning.
 */
int cv_replayer_start(struct cv_replayer *r, struct cv_machine *m, uint64_t insns, struct cv_error *err);
/* The recording it reads. */
struct cv_log *cv_replayer_log(const struct cv_replayer *r);
/* The recorded end: position (insns) of the END event or of the last event of an incomplete recording. */
uint64_t cv_replayer_end_insns(const struct cv_replayer *r);
/* At the end: compares the end kind and the final digest. */
int cv_replayer_check_end(struct cv_replayer *r, struct cv_machine *m, struct cv_error *err);
/* The env reached the end of a recording without END (its recorder was killed): not an error. */
bool cv_replayer_at_end(const struct cv_replayer *r);
/* The recording has an END event. */
bool cv_replayer_complete(const struct cv_replayer *r);
/*
 * How the recorded run ended and crashed, as far as the log knows. pos is the machine's position at its end; kind is
 * CV_END_NONE for an incomplete recording.
 */
const struct cv_end_info *cv_replayer_end(const struct cv_replayer *r);
/*
 * The recording is still being written by a live machine that stands at `live` with everything so far committed: looks
 * again at how far the log goes. The replay is complete up to that position.
 */
int cv_replayer_follow(struct cv_replayer *r, const struct cv_pos *live, struct cv_error *err);
/* Host trouble while reading the log (env->failed without a divergence and not at the end): 0 or its code. */
int cv_replayer_error(const struct cv_replayer *r, struct cv_error *err);
const struct cv_divergence *cv_replayer_divergence(const struct cv_replayer *r);
/* From here on nothing of the log is used: a diversion (time runs virtually, entropy and input are empty). */
void cv_replayer_divert(struct cv_replayer *r, bool on);
/* Guest time and position at which the diversion begins: call it before cv_replayer_divert(r, true). */
void cv_replayer_set_time(struct cv_replayer *r, const struct cv_pos *pos, uint64_t now);

/* What the positions of a recording count. CV_E_CORRUPT for a unit that this version doesn't know. */
int cv_recording_count(struct cv_log *log, enum cv_count_unit *unit, struct cv_error *err);

#endif
