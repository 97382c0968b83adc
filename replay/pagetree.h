/* SPDX-License-Identifier: MIT */
/*
 * RAM as a value: a persistent radix tree of reference-counted 4 KiB pages, absent ones all zero.
 *
 * Trees share what they have in common. A tree is changed through an edit: nodes that only this edit holds are changed
 * in place, others are copied on the way down.
 */
#ifndef CV_PAGETREE_H
#define CV_PAGETREE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm-core/memory.h"

#define TREE_BITS 6
#define TREE_FANOUT (1u << TREE_BITS)
#define TREE_LEVELS 4 /* 64^4 pages: 64 GiB */

struct tree_page {
	uint32_t refs;
	uint8_t data[CV_PAGE_SIZE];
};

struct tree_node {
	uint32_t refs;
	uint64_t edit; /* the edit that made it: it may change it */
	void *slot[TREE_FANOUT]; /* owned references: nodes, or pages at the lowest level */
};

struct tree_stats {
	uint64_t pages, nodes; /* alive in all trees */
};

/* NULL is the empty tree. */
struct tree_node *tree_ref(struct tree_node *t);
void tree_unref(struct tree_node *t, struct tree_stats *st);
/* The page's bytes, or NULL for zeros. */
const uint8_t *tree_get(const struct tree_node *t, uint32_t page);
/* Sets a page (data NULL: zeros) in *t. CV_E_NOMEM leaves a valid tree. */
int tree_set(struct tree_node **t, uint32_t page, const uint8_t *data, uint64_t edit, struct tree_stats *st);
/* Calls fn for each page in which the trees may differ, with b's bytes (NULL: zeros). */
void tree_diff(const struct tree_node *a, const struct tree_node *b,
	       void (*fn)(void *ctx, uint32_t page, const uint8_t *data), void *ctx);

#endif
