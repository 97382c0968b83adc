/* SPDX-License-Identifier: MIT */
/*
 * Agent expressions (GDB manual, appendix F): the bytecode in which GDB sends breakpoint conditions, so that a false
 * condition costs no trip over the socket.
 *
 * An expression looks and never changes anything. It is untrusted: the stack and the number of steps are bounded, and
 * every fetch and jump is checked.
 */
#ifndef CV_AGENT_H
#define CV_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cv_agent_env {
	bool (*reg)(void *ctx, unsigned number, uint64_t *v);
	bool (*mem)(void *ctx, uint64_t addr, void *p, size_t n);
	void *ctx;
};

enum cv_agent_result {
	CV_AGENT_OK = 0,
	CV_AGENT_STACK,	      /* over- or underflow, or empty at the end */
	CV_AGENT_BYTECODE,    /* unknown, floating, or cut off; a jump to outside */
	CV_AGENT_FAULT,	      /* memory or a register that cannot be read */
	CV_AGENT_DIVIDE,
	CV_AGENT_ENDLESS,
};

/* Value of the expression in *value, where the result is CV_AGENT_OK. */
enum cv_agent_result cv_agent_eval(const uint8_t *code, size_t n, const struct cv_agent_env *env, uint64_t *value);

#endif
