/* SPDX-License-Identifier: MIT */
/*
 * The persistent radix tree of pages: pagetree.h. Depth is fixed; a slot of the lowest level is a page, of the others a
 * node. An edit number is used once, so a node that carries it is held by nobody else.
 */
#include "replay/pagetree.h"

#include <stdlib.h>
#include <string.h>

static unsigned slot_of(uint32_t page, unsigned level)
{
	return (page >> (TREE_BITS * level)) & (TREE_FANOUT - 1);
}

struct tree_node *tree_ref(struct tree_node *t)
{
	if (t)
		t->refs++;
	return t;
}

static void unref_slot(void *slot, unsigned level, struct tree_stats *st);

static void unref_node(struct tree_node *t, unsigned level, struct tree_stats *st)
{
	if (!t || --t->refs)
		return;
	for (unsigned i = 0; i < TREE_FANOUT; i++)
		unref_slot(t->slot[i], level, st);
	st->nodes--;
	free(t);
}

static void unref_slot(void *slot, unsigned level, struct tree_stats *st)
{
	struct tree_page *p = slot;

	if (!slot)
		return;
	if (level) {
		unref_node(slot, level - 1, st);
	} else if (!--p->refs) {
		st->pages--;
		free(p);
	}
}

void tree_unref(struct tree_node *t, struct tree_stats *st)
{
	unref_node(t, TREE_LEVELS - 1, st);
}

const uint8_t *tree_get(const struct tree_node *t, uint32_t page)
{
	for (unsigned level = TREE_LEVELS - 1; t && level; level--)
		t = t->slot[slot_of(page, level)];
	if (!t || !t->slot[slot_of(page, 0)])
		return NULL;
	return ((const struct tree_page *)t->slot[slot_of(page, 0)])->data;
}

/* A node in place of *t that this edit may change. NULL: no memory, *t untouched. */
static struct tree_node *own(struct tree_node **t, unsigned level, uint64_t edit, struct tree_stats *st)
{
	struct tree_node *old = *t, *n;

	if (old && old->edit == edit)
		return old;
	n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	st->nodes++;
	n->refs = 1;
	n->edit = edit;
	for (unsigned i = 0; old && i < TREE_FANOUT; i++) {
		n->slot[i] = old->slot[i];
		if (n->slot[i] && level)
			((struct tree_node *)n->slot[i])->refs++;
		else if (n->slot[i])
			((struct tree_page *)n->slot[i])->refs++;
	}
	unref_node(old, level, st);
	*t = n;
	return n;
}

static int set_page(void **slot, const uint8_t *data, struct tree_stats *st)
{
	struct tree_page *p = NULL;

	if (data) {
		p = malloc(sizeof(*p));
		if (!p)
			return CV_E_NOMEM;
		p->refs = 1;
		memcpy(p->data, data, CV_PAGE_SIZE);
		st->pages++;
	}
	unref_slot(*slot, 0, st);
	*slot = p;
	return 0;
}

int tree_set(struct tree_node **t, uint32_t page, const uint8_t *data, uint64_t edit, struct tree_stats *st)
{
	const uint8_t *now = tree_get(*t, page);

	if (now == data || (now && data && !memcmp(now, data, CV_PAGE_SIZE)))
		return 0;
	for (unsigned level = TREE_LEVELS - 1;; level--) {
		struct tree_node *n = own(t, level, edit, st);

		if (!n)
			return CV_E_NOMEM;
		if (!level)
			return set_page(&n->slot[slot_of(page, 0)], data, st);
		t = (struct tree_node **)&n->slot[slot_of(page, level)];
	}
}

static void diff(const struct tree_node *a, const struct tree_node *b, unsigned level, uint32_t base,
		 void (*fn)(void *ctx, uint32_t page, const uint8_t *data), void *ctx)
{
	if (a == b)
		return;
	for (unsigned i = 0; i < TREE_FANOUT; i++) {
		const void *x = a ? a->slot[i] : NULL, *y = b ? b->slot[i] : NULL;
		uint32_t at = base | i << (TREE_BITS * level);

		if (x == y)
			continue;
		if (level)
			diff(x, y, level - 1, at, fn, ctx);
		else
			fn(ctx, at, y ? ((const struct tree_page *)y)->data : NULL);
	}
}

void tree_diff(const struct tree_node *a, const struct tree_node *b,
	       void (*fn)(void *ctx, uint32_t page, const uint8_t *data), void *ctx)
{
	diff(a, b, TREE_LEVELS - 1, 0, fn, ctx);
}
