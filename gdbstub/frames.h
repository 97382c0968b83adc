/* SPDX-License-Identifier: MIT */
/* Call frame information: finding the FDEs of an .eh_frame section. Private to gdbstub/. */
#ifndef CV_FRAMES_H
#define CV_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gdbstub/symbols.h"

/* Turns the bytes of a .debug_frame section into the form of .eh_frame, in place. */
void cv_frames_from_debug_frame(uint8_t *p, size_t n);
/*
 * Lists the FDEs of .eh_frame bytes that stand at address `base`: *entries (owned by the caller) sorted by start. 0 or
 * CV_E_NOMEM; what cannot be read is left out.
 */
int cv_frames_index(const uint8_t *p, size_t n, uint64_t base, struct cv_unwind_entry **entries, size_t *count);
/* Does the FDE at this offset describe an interrupt or signal frame (augmentation 'S')? */
bool cv_frames_is_signal(const uint8_t *p, size_t n, size_t fde);

#endif
