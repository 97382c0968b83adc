/* SPDX-License-Identifier: MIT */
/*
 * What a backward search need not run: between two checkpoints the guest wrote these linear pages and no others.
 *
 * The engine tells the linear address of every page that it writes, as a watchpoint sees it; so it does not matter
 * what the guest's page tables say, nor how often they change. While the replay runs on from a checkpoint the pages
 * collect in `wrote`; at the next one they become the first one's. A checkpoint that comes to lie between two others
 * takes over the set of the one before it, which is too large but not wrong; one that goes leaves its set to it. The
 * last checkpoint has none.
 */
#include <stdlib.h>
#include <string.h>

#include "replay/timeline_impl.h"

/* Pages of a watchpoint that are looked up one by one; a larger one is always run for. */
#define PAGES_MAX 64u

int tl_index_open(struct cv_timeline *t, struct cv_error *err)
{
	if (!t->replay_m->engine->ops->note_writes)
		return 0;
	t->wrote = calloc(1, sizeof(*t->wrote));
	return t->wrote ? 0 : cv_error_set(err, CV_E_NOMEM, "out of memory for the index of written pages");
}

void tl_index_begin(struct cv_timeline *t, const struct cv_pos *pos)
{
	if (!t->wrote)
		return;
	memset(t->wrote, 0, sizeof(*t->wrote));
	t->replay_m->engine->ops->note_writes(t->replay_m->engine, t->wrote);
	t->wrote_from = *pos;
	t->wrote_whole = true;
}

void tl_index_stop(struct cv_timeline *t)
{
	t->wrote_whole = false;
}

/* A copy, or NULL: then the interval is not known. */
static struct cv_page_filter *copy(const struct cv_page_filter *f)
{
	struct cv_page_filter *c = f ? malloc(sizeof(*c)) : NULL;

	if (c)
		*c = *f;
	return c;
}

void tl_index_insert(struct cv_timeline *t, size_t i)
{
	t->nodes[i].wrote = i ? copy(t->nodes[i - 1].wrote) : NULL;
}

void tl_index_remove(struct cv_timeline *t, size_t i)
{
	struct cv_page_filter *gone = t->nodes[i].wrote, *before = i ? t->nodes[i - 1].wrote : NULL;

	if (gone && before) {
		for (size_t k = 0; k < sizeof(gone->bits) / sizeof(gone->bits[0]); k++)
			before->bits[k] |= gone->bits[k];
	} else if (before) {
		free(before);
		t->nodes[i - 1].wrote = NULL;
	}
	free(gone);
}

void tl_index_reach(struct cv_timeline *t)
{
	struct tl_node *first, *here;
	struct cv_pos pos;

	if (!t->wrote)
		return;
	cv_machine_position(t->replay_m, &pos);
	here = tl_find_node(t, &pos, false);
	if (!here || cv_pos_cmp(&here->pos, &pos))
		return;
	first = t->wrote_whole ? tl_find_node(t, &t->wrote_from, false) : NULL;
	if (first && !cv_pos_cmp(&first->pos, &t->wrote_from)) {
		bool only = here - first == 1;

		for (struct tl_node *n = first; n < here; n++) {
			if (n->wrote && !only)
				continue;
			free(n->wrote);
			n->wrote = copy(t->wrote);
		}
	}
	tl_index_begin(t, &pos);
}

static bool may_write(const struct cv_page_filter *f, const struct tl_point *p)
{
	uint64_t first = p->addr >> CV_PAGE_SHIFT, last = (p->addr + p->len - 1) >> CV_PAGE_SHIFT;

	if (last - first >= PAGES_MAX)
		return true;
	for (uint64_t page = first; page <= last; page++)
		if (cv_page_filter_has(f, page << CV_PAGE_SHIFT))
			return true;
	return false;
}

bool tl_index_rules_out(const struct cv_timeline *t, const struct tl_node *n)
{
	if (!n->wrote)
		return false;
	for (size_t i = 0; i < t->npoints; i++)
		if (t->points[i].kind != CV_POINT_WRITE || may_write(n->wrote, &t->points[i]))
			return false;
	return true;
}
