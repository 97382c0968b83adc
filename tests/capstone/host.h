/* SPDX-License-Identifier: MIT */
/*
 * The CPU that this runs on, as a judge of encodings.
 */
#ifndef CV_CAPSTONE_HOST_H
#define CV_CAPSTONE_HOST_H

#include <stdint.h>

struct host;
enum host_verdict { HOST_UNKNOWN, HOST_INVALID /* #UD */, HOST_VALID, HOST_LONG /* #GP: over 15 bytes */ };
/* NULL: this host cannot be asked (modify_ldt refused, or no memory below 4 GiB). */
struct host *host_new(void);
/*
 * Runs one instruction in user mode and tells whether it is one, and how long. Instructions that would leave the process
 * (SYSCALL, SYSENTER, INT 80h) are not run: HOST_UNKNOWN.
 */
enum host_verdict host_ask(struct host *h, const uint8_t p[15], unsigned mode, unsigned *len);

#endif
