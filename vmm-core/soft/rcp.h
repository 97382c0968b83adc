/* SPDX-License-Identifier: MIT */
/* RCP and RSQRT of one single: pure functions, the same on every host. rcp.c has the definition. */
#ifndef CV_SOFT_RCP_H
#define CV_SOFT_RCP_H

#include <stdint.h>

uint32_t soft_rcp32(uint32_t x);
uint32_t soft_rsqrt32(uint32_t x);

#endif
