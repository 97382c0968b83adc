/* SPDX-License-Identifier: MIT */
/*
 * Checkpoints in memory: registers and devices as bytes, RAM as a persistent radix tree of reference-counted pages.
 *
 * Two checkpoints share every subtree whose pages did not change between them, so one costs what was dirtied since the
 * one before. Restoring copies only the pages in which the present RAM differs from it: the difference of two trees
 * (shared subtrees are skipped) and the pages dirtied since the last take or restore.
 */
#ifndef CV_CHECKPOINT_H
#define CV_CHECKPOINT_H

#include "logdb/logdb.h"
#include "vmm-core/machine.h"

struct cv_checkpoint; /* one point: cpu, devices, RAM, place in the log */
struct cv_checkpoints; /* the store: knows which tree the present RAM is based on */

int cv_checkpoints_new(struct cv_checkpoints **out, struct cv_machine *m, struct cv_error *err);
void cv_checkpoints_free(struct cv_checkpoints *s);
/* Takes one at the machine's position. log_seq: cv_replayer_tell. Clears the dirty set. Owned by the caller. */
int cv_checkpoint_take(struct cv_checkpoints *s, uint64_t log_seq, struct cv_checkpoint **out, struct cv_error *err);
/*
 * The same of a place that the recording holds with its state and pages. Pages that the present RAM has too are shared.
 * Takes nothing of the machine and leaves it alone.
 */
int cv_checkpoint_load(struct cv_checkpoints *s, struct cv_log *log, const struct cv_log_checkpoint *from,
		       struct cv_checkpoint **out, struct cv_error *err);
int cv_checkpoint_restore(struct cv_checkpoints *s, const struct cv_checkpoint *cp, struct cv_error *err);
void cv_checkpoint_free(struct cv_checkpoints *s, struct cv_checkpoint *cp);
const struct cv_pos *cv_checkpoint_pos(const struct cv_checkpoint *cp);
uint64_t cv_checkpoint_log_seq(const struct cv_checkpoint *cp);
/*
 * Around a digest check (cv_replayer_check, or a recorder's tick on this machine): `before` marks every page dirty that
 * was written since the last check, though checkpoints taken or restored in between cleared it; `after` notes that the
 * check emptied the dirty set. Checkpoints remember that set, so checks stay valid after any travel.
 */
void cv_checkpoints_before_check(struct cv_checkpoints *s);
void cv_checkpoints_after_check(struct cv_checkpoints *s);
/*
 * Exchanges the machine for another one with the same configuration: it must be restored from a checkpoint before
 * anything else is done with the store.
 */
void cv_checkpoints_set_machine(struct cv_checkpoints *s, struct cv_machine *m);
/* Bytes of page content held by all checkpoints together. */
uint64_t cv_checkpoints_bytes(const struct cv_checkpoints *s);

#endif
