/* SPDX-License-Identifier: MIT */
/*
 * The VT-x engine: the guest runs on the host's CPU, entered and left by the kernel module (vmm-core/kmod).
 *
 * Same contract as every engine (vmm-core/engine.h). What an exit needs beyond a register move is done by one step of a software
 * engine on the same state. Exact stops come from a counter (counter.h); what positions count must be what it counts.
 */
#ifndef CV_VTX_H
#define CV_VTX_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm-core/engine.h"

/* Factory of a machine (cv_machine_new_with_engine). CV_E_NOTFOUND with the reason where VT-x can't be used here. */
struct cv_engine *cv_vtx_new(const struct cv_engine_host *host, struct cv_error *err);

/* For people and for `auto`: can cv_vtx_new work here? The reason, or what will be used, as one line of text. */
struct cv_vtx_probe {
	bool usable;
	enum cv_count_unit unit; /* what its positions count */
	char cpu[64];		 /* the CPU model to take where nobody names one: "chronovisor-v2,+bmi1,+lzcnt" */
	char text[400];		 /* "VT-x with EPT, counter: bench (preemption timer)", or why not and what to do */
};
void cv_vtx_probe(struct cv_vtx_probe *p);

/*
 * Runs the counter's self-test (selftest.h) on a machine of its own. 0: `text` says what was seen, one line; CV_E_NOTFOUND: err says why
 * the counter, or VT-x, can't be used and what to do.
 */
int cv_vtx_selftest(char *text, size_t n, struct cv_error *err);

/* For tests: the counter fires up to `skid` units late, pseudo-randomly; results must not depend on it. */
void cv_vtx_set_skid(struct cv_engine *e, unsigned skid);
/* One line of statistics, as cv_soft_stats. */
void cv_vtx_stats(struct cv_engine *e, char *buf, size_t n);

#endif
