/* SPDX-License-Identifier: MIT */
/* The target description that GDB reads with qXfer:features:read, made from the register table. */
#ifndef CV_TDESC_H
#define CV_TDESC_H

#include "gdbstub/gdbstub.h"
#include "vmm-core/buf.h"

/* Appends target.xml (one document without includes). */
void cv_tdesc_write(enum cv_gdb_arch arch, bool avx, struct cv_wbuf *out);

#endif
