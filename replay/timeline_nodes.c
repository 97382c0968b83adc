/* SPDX-License-Identifier: MIT */
/*
 * Which checkpoints a timeline keeps.
 *
 * On the grid: one at every multiple of `grid` instructions that the replay passes. When there are more than GRID_MAX
 * the grid doubles and every second one goes, so that the whole run stays covered at between GRID_MAX/2 and GRID_MAX
 * places. Dense ones are dropped at geometrically shrinking distances before a place that was sought, so that the next
 * steps backwards from there are cheap; of those the farthest from the present place go first. All of it depends on
 * positions alone, never on the host's clock. Checkpoints with state in the recording are read when they spare at least
 * a grid's distance, and then kept as dense ones.
 */
#include <stdlib.h>
#include <string.h>

#include "replay/timeline_impl.h"

#define GRID_DEFAULT (1ull << 26)
#define GRID_MAX 128
#define DENSE_MAX 48
#define BUDGET_DEFAULT (1ull << 30)

struct tl_node *tl_find_node(struct cv_timeline *t, const struct cv_pos *pos, bool strictly)
{
	size_t lo = 0, hi = t->nnodes;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = cv_pos_cmp(&t->nodes[mid].pos, pos);

		if (c < 0 || (!c && !strictly))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? &t->nodes[lo - 1] : NULL;
}

static uint64_t base_grid(const struct cv_timeline *t)
{
	return t->cfg.grid ? t->cfg.grid : GRID_DEFAULT;
}

static void remove_node(struct cv_timeline *t, size_t i)
{
	tl_index_remove(t, i);
	cv_checkpoint_free(t->store, t->nodes[i].cp);
	memmove(&t->nodes[i], &t->nodes[i + 1], (t->nnodes - i - 1) * sizeof(t->nodes[0]));
	t->nnodes--;
}

static size_t count_dense(const struct cv_timeline *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->nnodes; i++)
		n += t->nodes[i].dense;
	return n;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

static void drop_farthest_dense(struct cv_timeline *t, uint64_t here)
{
	size_t worst = 0;
	uint64_t far = 0;

	for (size_t i = 1; i < t->nnodes; i++)
		if (t->nodes[i].dense && distance(t->nodes[i].pos.insns, here) >= far) {
			far = distance(t->nodes[i].pos.insns, here);
			worst = i;
		}
	if (worst)
		remove_node(t, worst);
}

static void double_grid(struct cv_timeline *t)
{
	t->grid *= 2;
	for (size_t i = t->nnodes; i-- > 1;)
		if (!t->nodes[i].dense && t->nodes[i].pos.insns % t->grid)
			remove_node(t, i);
}

static void thin(struct cv_timeline *t, uint64_t here)
{
	uint64_t budget = t->cfg.memory_budget ? t->cfg.memory_budget : BUDGET_DEFAULT;
	size_t dense = count_dense(t);

	for (; dense > DENSE_MAX; dense--)
		drop_farthest_dense(t, here);
	if (t->nnodes - dense > GRID_MAX)
		double_grid(t);
	while (cv_checkpoints_bytes(t->store) > budget && t->nnodes > 4) {
		dense = count_dense(t);
		if (dense > 8)
			drop_farthest_dense(t, here);
		else if (t->nnodes - dense > 2)
			double_grid(t);
		else
			break;
	}
}

/* Puts a node in its place. Takes over node->cp, also when it fails. */
static int insert_node(struct cv_timeline *t, const struct tl_node *node, struct cv_error *err)
{
	struct tl_node *before = tl_find_node(t, &node->pos, false);
	size_t at = before ? (size_t)(before - t->nodes) + 1 : 0;

	if (t->nnodes == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 64;
		struct tl_node *grown = realloc(t->nodes, cap * sizeof(*grown));

		if (!grown) {
			cv_checkpoint_free(t->store, node->cp);
			return cv_error_set(err, CV_E_NOMEM, "out of memory for the list of checkpoints");
		}
		t->nodes = grown;
		t->cap = cap;
	}
	memmove(&t->nodes[at + 1], &t->nodes[at], (t->nnodes - at) * sizeof(*node));
	t->nodes[at] = *node;
	t->nnodes++;
	tl_index_insert(t, at);
	thin(t, node->pos.insns);
	return 0;
}

int tl_take_node(struct cv_timeline *t, bool dense, struct cv_error *err)
{
	struct tl_node node = {.dense = dense}, *before;
	int rc;

	cv_machine_position(t->replay_m, &node.pos);
	before = tl_find_node(t, &node.pos, false);
	if (before && !cv_pos_cmp(&before->pos, &node.pos)) {
		tl_index_reach(t);
		return 0;
	}
	rc = cv_checkpoint_take(t->store, cv_replayer_tell(t->replayer), &node.cp, err);
	if (rc)
		return rc;
	node.check = cv_replayer_tell_check(t->replayer);
	rc = insert_node(t, &node, err);
	if (!rc)
		tl_index_reach(t);
	return rc;
}

int tl_find_base(struct cv_timeline *t, const struct cv_pos *pos, bool strictly, const struct cv_pos *here,
		 struct tl_node **base, struct cv_error *err)
{
	struct tl_node node = {.dense = true};
	struct cv_log_checkpoint cp;
	uint64_t from;
	int rc;

	*base = tl_find_node(t, pos, strictly);
	from = *base ? (*base)->pos.insns : 0;
	if (here && here->insns > from)
		from = here->insns;
	if (!cv_replayer_find_state(t->replayer, pos, strictly, &cp) || cp.pos.insns < from ||
	    cp.pos.insns - from < base_grid(t))
		return 0;
	rc = cv_checkpoint_load(t->store, cv_replayer_log(t->replayer), &cp, &node.cp, err);
	if (rc)
		return rc;
	node.pos = cp.pos;
	node.check = cp.id + 1; /* its own digest was of what lies before */
	rc = insert_node(t, &node, err);
	*base = tl_find_node(t, pos, strictly);
	return rc;
}

int tl_restore(struct cv_timeline *t, const struct cv_checkpoint *cp, uint64_t check, struct cv_error *err)
{
	int rc = cv_checkpoint_restore(t->store, cp, err);

	if (!rc)
		rc = cv_replayer_seek(t->replayer, cv_checkpoint_log_seq(cp), err);
	cv_replayer_seek_check(t->replayer, check);
	t->crash_shown = false;
	tl_index_stop(t);
	return rc;
}

int tl_restore_node(struct cv_timeline *t, const struct tl_node *n, struct cv_error *err)
{
	int rc = tl_restore(t, n->cp, n->check, err);

	if (!rc)
		tl_index_begin(t, &n->pos);
	return rc;
}

int tl_open_replay(struct cv_timeline *t, struct cv_log *log, struct cv_error *err)
{
	const struct cv_machine_config *config;
	struct cv_env *env;
	int rc = cv_replayer_new(&t->replayer, log, err);

	if (rc)
		return rc;
	t->grid = base_grid(t);
	config = cv_replayer_config(t->replayer);
	env = cv_replayer_env(t->replayer);
	rc = t->cfg.engine ? cv_machine_new_with_engine(&t->replay_m, config, t->cfg.board, t->cfg.engine, env, err)
			   : cv_machine_new(&t->replay_m, config, t->cfg.board, env, err);
	if (!rc && t->cfg.made)
		t->cfg.made(t->replay_m, t->cfg.made_ctx);
	if (!rc)
		rc = cv_checkpoints_new(&t->store, t->replay_m, err);
	if (!rc)
		rc = tl_index_open(t, err);
	if (!rc)
		rc = tl_take_node(t, false, err);
	if (rc)
		tl_close_replay(t);
	return rc;
}

void tl_close_replay(struct cv_timeline *t)
{
	while (t->nnodes)
		remove_node(t, t->nnodes - 1);
	free(t->nodes);
	free(t->wrote);
	cv_checkpoint_free(t->store, t->home);
	cv_checkpoint_free(t->store, t->origin);
	cv_checkpoints_free(t->store);
	cv_machine_free(t->replay_m);
	cv_replayer_free(t->replayer);
	t->nodes = NULL;
	t->wrote = NULL;
	t->home = t->origin = NULL;
	t->store = NULL;
	t->replay_m = NULL;
	t->replayer = NULL;
	t->cap = 0;
}
