/* SPDX-License-Identifier: MIT */
/* Listening sockets: from "unix:PATH" or "[HOST]:PORT" to a descriptor. Private to gdbstub/. */
#ifndef CV_LISTEN_H
#define CV_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm-core/error.h"

struct cv_listener {
	int fd;		     /* owned; -1: none */
	char address[160];   /* what GDB's `target remote` takes */
	char unix_path[112]; /* "" for TCP; removed when closed */
};

/* CV_E_BADINPUT for a malformed address or unknown host, CV_E_IO where it is busy or not allowed. */
int cv_listener_open(struct cv_listener *l, const char *address, struct cv_error *err);
void cv_listener_close(struct cv_listener *l);
/* The next connection, non-blocking and ready to use; -1: none. */
int cv_listener_accept(const struct cv_listener *l);

#endif
