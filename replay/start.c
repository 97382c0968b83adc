/* SPDX-License-Identifier: MIT */
/*
 * A replay that starts in the middle: at a checkpoint of the recording that has state and pages.
 *
 * Its digest has emptied the recorder's dirty set, so the next check covers what is written from there on.
 */
#include <stdlib.h>

#include "replay/internal.h"

static int put_page(void *ctx, uint32_t page, const uint8_t *data)
{
	struct cv_machine *m = ctx;

	if (page >= m->mem.pages)
		return 1;
	return cv_memory_write(&m->mem, cv_memory_page_to_gpa(&m->mem, page), data, CV_PAGE_SIZE) != CV_PAGE_SIZE;
}

int cv_replayer_start(struct cv_replayer *r, struct cv_machine *m, uint64_t insns, struct cv_error *err)
{
	const struct cv_pos pos = {.insns = insns};
	struct cv_log *log = cv_replayer_log(r);
	struct cv_log_checkpoint cp;
	uint8_t *state = NULL;
	size_t n;
	int rc;

	if (!cv_replayer_find_state(r, &pos, false, &cp))
		return 0;
	cv_memory_zero(&m->mem);
	rc = cv_log_load_state(log, cp.id, &state, &n, put_page, m, err);
	if (rc == CV_E_INTERRUPTED)
		rc = cv_error_set(err, CV_E_CORRUPT, "%s: checkpoint %llu has a page outside RAM", cv_log_path(log),
				  (unsigned long long)cp.id);
	if (!rc)
		rc = cv_machine_load(m, state, n, err);
	free(state);
	if (rc)
		return rc;
	cv_memory_clear_dirty(&m->mem);
	m->engine->ops->flush_tlb(m->engine);
	rc = cv_replayer_seek(r, cp.event_seq, err);
	cv_replayer_seek_check(r, cp.id + 1);
	return rc;
}
