/* SPDX-License-Identifier: MIT */
/* Operands that are worth trying: half of them from what is special about a format, half random bits. */
#ifndef CV_NATIVE_VALUES_H
#define CV_NATIVE_VALUES_H

#include "tests/native/native.h"

enum nat_flavour { NAT_AS_INT, NAT_AS_SINGLE, NAT_AS_DOUBLE, NAT_AS_EXTENDED, NAT_AS_TEXT, NAT_AS_HALF, NAT_AS_BCD, NAT_FLAVOURS };

uint64_t nat_integer(struct nat_rng *r);
void nat_extended(struct nat_rng *r, uint8_t p[10]);
/* Fills n bytes, a multiple of 16. */
void nat_fill(struct nat_rng *r, uint8_t *p, unsigned n, enum nat_flavour f);
/* The same from a store of such operands, which is quicker: for what an instruction doesn't name. */
void nat_fill_again(struct nat_rng *r, uint8_t *p, unsigned n, enum nat_flavour f);
enum nat_flavour nat_flavour_of(const struct cv_insn *i);

#endif
