/* SPDX-License-Identifier: MIT */
/*
 * Checkpoints in memory: checkpoint.h. RAM is a tree (pagetree.h), the rest bytes from cv_machine_save.
 *
 * The store keeps two sets of pages, both wider than the dirty set of struct cv_memory, which it empties into them:
 *   changed    pages in which RAM may differ from the tree `base`
 *   unchecked  pages written since the last digest check
 * A take makes base equal to RAM, so `changed` becomes empty. A restore rewrites `changed` and the difference between
 * base and the checkpoint's tree. `unchecked` is saved in each checkpoint and comes back with it; it is put into the
 * machine's dirty set again just before a digest check, which is the only one that looks.
 *
 * A guest reset zeroes RAM and empties the dirty set of the machine, for a recorder as for a replayer; `zeroed` tells.
 */
#include <stdlib.h>
#include <string.h>

#include "replay/checkpoint.h"
#include "replay/internal.h"
#include "replay/pagetree.h"

/* A set of page numbers: a bitmap, and a list so that emptying costs what was put in. */
struct page_set {
	uint64_t *bits;
	uint32_t *list; /* capacity: all pages of RAM */
	uint32_t n;
};

struct cv_checkpoint {
	struct cv_pos pos;
	uint64_t log_seq;
	struct tree_node *tree; /* owned reference */
	uint8_t *state;		/* owned */
	size_t nstate;
	uint32_t *unchecked;	/* owned */
	uint32_t nunchecked;
};

struct cv_checkpoints {
	struct cv_machine *m; /* borrowed */
	struct tree_node *base;
	struct page_set changed, unchecked;
	uint32_t zeroed; /* of struct cv_memory when last looked */
	uint64_t edit;
	struct tree_stats stats;
	uint64_t state_bytes;
};

/* --- Sets --- */

static int set_init(struct page_set *s, uint32_t pages)
{
	s->bits = calloc((pages + 63) / 64, sizeof(*s->bits));
	s->list = malloc((size_t)pages * sizeof(*s->list));
	return s->bits && s->list ? 0 : CV_E_NOMEM;
}

static void set_release(struct page_set *s)
{
	free(s->bits);
	free(s->list);
}

static void set_add(struct page_set *s, uint32_t page)
{
	uint64_t bit = 1ull << (page & 63);

	if (!(s->bits[page >> 6] & bit)) {
		s->bits[page >> 6] |= bit;
		s->list[s->n++] = page;
	}
}

static void set_clear(struct page_set *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		s->bits[s->list[i] >> 6] = 0;
	s->n = 0;
}

/* --- What changed --- */

static void add_changed(void *ctx, uint32_t page, const uint8_t *data)
{
	(void)data;
	set_add(&((struct cv_checkpoints *)ctx)->changed, page);
}

static void add_touched(struct cv_checkpoints *s)
{
	const struct cv_memory *mem = &s->m->mem;

	for (uint32_t i = 0; i < mem->pages; i++)
		if (mem->flags[i] & CV_PAGE_TOUCHED)
			set_add(&s->changed, i);
}

/* Moves the machine's dirty set into the store's own. */
static void absorb(struct cv_checkpoints *s)
{
	struct cv_memory *mem = &s->m->mem;

	if (mem->zeroed != s->zeroed) {
		s->zeroed = mem->zeroed;
		tree_diff(NULL, s->base, add_changed, s);
		add_touched(s);
		set_clear(&s->unchecked);
	}
	if (!mem->ndirty)
		return;
	for (uint32_t i = 0; i < mem->ndirty; i++) {
		set_add(&s->changed, mem->dirty[i]);
		set_add(&s->unchecked, mem->dirty[i]);
	}
	cv_memory_clear_dirty(mem);
	s->m->engine->ops->flush_tlb(s->m->engine);
}

void cv_checkpoints_before_check(struct cv_checkpoints *s)
{
	absorb(s);
	for (uint32_t i = 0; i < s->unchecked.n; i++)
		cv_memory_mark_dirty(&s->m->mem, s->unchecked.list[i]);
}

void cv_checkpoints_after_check(struct cv_checkpoints *s)
{
	set_clear(&s->unchecked);
}

/* --- Store --- */

int cv_checkpoints_new(struct cv_checkpoints **out, struct cv_machine *m, struct cv_error *err)
{
	struct cv_checkpoints *s = calloc(1, sizeof(*s));

	*out = NULL;
	if (!s || set_init(&s->changed, m->mem.pages) || set_init(&s->unchecked, m->mem.pages)) {
		cv_checkpoints_free(s);
		return cv_error_set(err, CV_E_NOMEM, "out of memory for checkpoints");
	}
	s->m = m;
	s->zeroed = m->mem.zeroed;
	absorb(s);
	add_touched(s);
	*out = s;
	return 0;
}

void cv_checkpoints_free(struct cv_checkpoints *s)
{
	if (!s)
		return;
	tree_unref(s->base, &s->stats);
	set_release(&s->changed);
	set_release(&s->unchecked);
	free(s);
}

void cv_checkpoints_set_machine(struct cv_checkpoints *s, struct cv_machine *m)
{
	s->m = m;
	s->zeroed = m->mem.zeroed - 1; /* whatever is there differs */
	set_clear(&s->changed);
	absorb(s);
}

uint64_t cv_checkpoints_bytes(const struct cv_checkpoints *s)
{
	return s->stats.pages * sizeof(struct tree_page) + s->stats.nodes * sizeof(struct tree_node) + s->state_bytes;
}

/* --- Take --- */

static bool page_is_zero(const uint8_t *p)
{
	return !p[0] && !memcmp(p, p + 1, CV_PAGE_SIZE - 1);
}

/* Makes base equal to RAM. */
static int rebase(struct cv_checkpoints *s, struct cv_error *err)
{
	s->edit++;
	for (uint32_t i = 0; i < s->changed.n; i++) {
		uint32_t page = s->changed.list[i];
		const uint8_t *data = s->m->mem.ram + ((size_t)page << CV_PAGE_SHIFT);

		if (tree_set(&s->base, page, page_is_zero(data) ? NULL : data, s->edit, &s->stats))
			return cv_error_set(err, CV_E_NOMEM, "out of memory for a checkpoint's pages");
	}
	s->edit++; /* what is shared from now on may not be changed */
	set_clear(&s->changed);
	return 0;
}

static int copy_state(struct cv_checkpoints *s, struct cv_checkpoint *cp)
{
	struct cv_wbuf w = {0};

	cv_machine_save(s->m, &w);
	if (w.err) {
		cv_wbuf_release(&w);
		return CV_E_NOMEM;
	}
	cp->state = w.data;
	cp->nstate = w.len;
	s->state_bytes += w.len;
	cp->unchecked = malloc((s->unchecked.n + 1) * sizeof(*cp->unchecked));
	if (!cp->unchecked)
		return CV_E_NOMEM;
	memcpy(cp->unchecked, s->unchecked.list, s->unchecked.n * sizeof(*cp->unchecked));
	cp->nunchecked = s->unchecked.n;
	return 0;
}

int cv_checkpoint_take(struct cv_checkpoints *s, uint64_t log_seq, struct cv_checkpoint **out, struct cv_error *err)
{
	struct cv_checkpoint *cp = calloc(1, sizeof(*cp));
	int rc;

	*out = NULL;
	if (!cp)
		return cv_error_set(err, CV_E_NOMEM, "out of memory for a checkpoint");
	absorb(s);
	rc = rebase(s, err);
	if (!rc && copy_state(s, cp))
		rc = cv_error_set(err, CV_E_NOMEM, "out of memory for a checkpoint's state");
	if (rc) {
		cv_checkpoint_free(s, cp);
		return rc;
	}
	cv_machine_position(s->m, &cp->pos);
	cp->log_seq = log_seq;
	cp->tree = tree_ref(s->base);
	*out = cp;
	return 0;
}

void cv_checkpoint_free(struct cv_checkpoints *s, struct cv_checkpoint *cp)
{
	if (!cp)
		return;
	tree_unref(cp->tree, &s->stats);
	s->state_bytes -= cp->nstate;
	free(cp->state);
	free(cp->unchecked);
	free(cp);
}

/* --- Load --- */

/* A tree on its way from what it is based on to what the recording says; pages come in order. */
struct loading {
	struct cv_checkpoints *s;
	struct tree_node **tree;
	uint32_t next; /* pages below are done */
	int rc;
};

/* Pages below `page` that the recording does not mention are zero. */
static int zero_up_to(struct loading *l, uint32_t page)
{
	for (; l->next < page && !l->rc; l->next++)
		if (tree_get(*l->tree, l->next))
			l->rc = tree_set(l->tree, l->next, NULL, l->s->edit, &l->s->stats);
	return l->rc;
}

static int load_page(void *ctx, uint32_t page, const uint8_t *data)
{
	struct loading *l = ctx;

	if (page < l->next || page >= l->s->m->mem.pages) {
		l->rc = CV_E_CORRUPT;
		return 1;
	}
	if (!zero_up_to(l, page))
		l->rc = tree_set(l->tree, page, data, l->s->edit, &l->s->stats);
	l->next = page + 1;
	return l->rc != 0;
}

int cv_checkpoint_load(struct cv_checkpoints *s, struct cv_log *log, const struct cv_log_checkpoint *from,
		       struct cv_checkpoint **out, struct cv_error *err)
{
	struct cv_checkpoint *cp = calloc(1, sizeof(*cp));
	struct loading l = {.s = s};
	int rc;

	*out = NULL;
	if (!cp)
		return cv_error_set(err, CV_E_NOMEM, "out of memory for a checkpoint");
	cp->pos = from->pos;
	cp->log_seq = from->event_seq;
	cp->tree = tree_ref(s->base);
	s->edit++;
	l.tree = &cp->tree;
	rc = cv_log_load_state(log, from->id, &cp->state, &cp->nstate, load_page, &l, err);
	if (!rc)
		zero_up_to(&l, s->m->mem.pages);
	s->edit++;
	s->state_bytes += cp->nstate;
	if (l.rc)
		rc = cv_error_set(err, l.rc, "%s: checkpoint %llu %s", cv_log_path(log), (unsigned long long)from->id,
				  l.rc == CV_E_CORRUPT ? "has pages in disorder" : "needs more memory than there is");
	if (rc)
		cv_checkpoint_free(s, cp);
	else
		*out = cp;
	return rc;
}

const struct cv_pos *cv_checkpoint_pos(const struct cv_checkpoint *cp)
{
	return &cp->pos;
}

uint64_t cv_checkpoint_log_seq(const struct cv_checkpoint *cp)
{
	return cp->log_seq;
}

/* --- Restore --- */

static void put_page(struct cv_checkpoints *s, uint32_t page, const uint8_t *data)
{
	struct cv_memory *mem = &s->m->mem;
	uint8_t *ram = mem->ram + ((size_t)page << CV_PAGE_SHIFT);

	cv_memory_mark_dirty(mem, page);
	if (data)
		memcpy(ram, data, CV_PAGE_SIZE);
	else
		memset(ram, 0, CV_PAGE_SIZE);
	s->m->engine->ops->ram_written(s->m->engine, page, 0, CV_PAGE_SIZE);
}

static void put_diff(void *ctx, uint32_t page, const uint8_t *data)
{
	put_page(ctx, page, data);
}

int cv_checkpoint_restore(struct cv_checkpoints *s, const struct cv_checkpoint *cp, struct cv_error *err)
{
	struct cv_memory *mem = &s->m->mem;

	absorb(s);
	tree_diff(s->base, cp->tree, put_diff, s);
	for (uint32_t i = 0; i < s->changed.n; i++)
		put_page(s, s->changed.list[i], tree_get(cp->tree, s->changed.list[i]));
	set_clear(&s->changed);
	tree_ref(cp->tree);
	tree_unref(s->base, &s->stats);
	s->base = cp->tree;
	cv_memory_clear_dirty(mem);
	set_clear(&s->unchecked);
	for (uint32_t i = 0; i < cp->nunchecked; i++)
		set_add(&s->unchecked, cp->unchecked[i]);
	return cv_machine_load(s->m, cp->state, cp->nstate, err);
}
