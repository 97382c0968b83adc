/* SPDX-License-Identifier: MIT */
/*
 * A set of linear pages that may say yes too often, never no: a Bloom filter with two hashes. Sixteen thousand pages,
 * far more than a kernel writes in a second, are still told from others in 95 of 100 cases.
 */
#ifndef CV_PAGEFILTER_H
#define CV_PAGEFILTER_H

#include <stdbool.h>
#include <stdint.h>

#define CV_FILTER_BITS 17

struct cv_page_filter {
	uint64_t bits[(1u << CV_FILTER_BITS) / 64];
};

/* Both hashes of the page with this linear address. */
static inline void cv_page_filter_hash(uint64_t linear, uint32_t h[2])
{
	uint64_t x = (linear >> 12) * 0x9e3779b97f4a7c15ull;

	h[0] = (uint32_t)(x >> (64 - CV_FILTER_BITS));
	h[1] = (uint32_t)(x >> (64 - 2 * CV_FILTER_BITS)) & ((1u << CV_FILTER_BITS) - 1);
}

static inline void cv_page_filter_add(struct cv_page_filter *f, uint64_t linear)
{
	uint32_t h[2];

	cv_page_filter_hash(linear, h);
	f->bits[h[0] >> 6] |= 1ull << (h[0] & 63);
	f->bits[h[1] >> 6] |= 1ull << (h[1] & 63);
}

static inline bool cv_page_filter_has(const struct cv_page_filter *f, uint64_t linear)
{
	uint32_t h[2];

	cv_page_filter_hash(linear, h);
	return f->bits[h[0] >> 6] >> (h[0] & 63) & f->bits[h[1] >> 6] >> (h[1] & 63) & 1;
}

#endif
