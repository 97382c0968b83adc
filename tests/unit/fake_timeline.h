/* SPDX-License-Identifier: MIT */
/*
 * A timeline without a machine, for tests of what speaks to one: include it in one file of a test program that is not
 * linked with replay/ and logdb/.
 *
 * Its guest is a loop of four instructions that counts in rax and at COUNTER; the state at position n is computed from
 * n, so that every direction is exact. Virtual memory is [0x1000, 0x9000); physical memory the same at PHYS. Writing
 * diverts: bytes and registers that were written stay until the diversion ends.
 */
#ifndef CV_FAKE_TIMELINE_H
#define CV_FAKE_TIMELINE_H

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "replay/timeline.h"

#define FAKE_CODE 0x1000u
#define FAKE_COUNTER 0x2000u
#define FAKE_TOP 0x9000u
#define FAKE_PHYS 0x100000u
#define FAKE_POINTS 64

struct fake_point {
	bool used;
	enum cv_point_kind kind;
	uint64_t addr, len;
	bool (*cond)(void *ctx, struct cv_timeline *t);
	void *cond_ctx;
};

struct cv_timeline {
	uint64_t n;   /* position */
	uint64_t end; /* of the recording, or where a live run ends */
	bool live, logged, diverted, state_set;
	uint64_t diverted_at;
	struct cv_vcpu_state state;
	uint8_t bytes[FAKE_TOP - FAKE_CODE], written[FAKE_TOP - FAKE_CODE];
	struct fake_point points[FAKE_POINTS];
	struct cv_end_info info;
	struct cv_divergence divergence;
	struct cv_pos pos;
	bool (*poll)(void *ctx);
	void *poll_ctx;
	unsigned delay_us; /* between polls, to be slow enough for an interruption */
	unsigned long runs;
};

struct cv_log {
	int unused;
};
struct cv_log_cursor {
	uint64_t seq;
	struct cv_event ev;
};

static const uint8_t fake_code[14] = { 0x48, 0xff, 0xc0, 0x48, 0x89, 0x04, 0x25, 0x00, 0x20, 0x00, 0x00, 0x90, 0xeb, 0xf2 };
static const uint8_t fake_offset[4] = { 0, 3, 11, 12 };
static struct cv_log fake_log;

static inline void fake_init(struct cv_timeline *t, uint64_t end)
{
	memset(t, 0, sizeof(*t));
	t->end = end;
	t->logged = true;
	t->info.kind = CV_END_POWEROFF;
	t->info.pos.insns = end;
}

static uint64_t fake_rip(uint64_t n)
{
	return FAKE_CODE + fake_offset[n % 4];
}

void cv_timeline_state(struct cv_timeline *t, struct cv_vcpu_state *s)
{
	if (t->state_set) {
		*s = t->state;
	} else {
		memset(s, 0, sizeof(*s));
		s->gpr[CV_RAX] = t->n / 4 + (t->n % 4 >= 1);
		s->gpr[CV_RSP] = 0x8000;
		s->gpr[CV_R8] = 0x1122334455667788;
		s->rip = fake_rip(t->n);
		s->rflags = 0x202;
		s->cr0 = CV_CR0_PE | CV_CR0_PG;
		s->efer = CV_EFER_LMA | CV_EFER_LME;
		s->seg[CV_CS] = (struct cv_seg){ .sel = 0x10, .ar = CV_AR_L | CV_AR_P | CV_AR_S | 11, .limit = ~0u };
		s->seg[CV_GS].base = 0xffff888000000000;
		s->x87.fcw = 0x37f;
		s->x87.fsw = 7 << 11;
		s->x87.ftw = 0x80;
		s->x87.mant[7] = 0x8000000000000000;
		s->x87.se[7] = 0x3fff; /* ST(0) = 1.0 */
		s->mxcsr = 0x1f80;
		s->ymm[3][0] = 0x0123456789abcdef;
		s->ymm[3][2] = 0x33;
		s->ymm[3][3] = 0x44;
	}
	s->pos = *cv_timeline_pos(t);
}

const struct cv_pos *cv_timeline_pos(struct cv_timeline *t)
{
	t->pos = (struct cv_pos){ .insns = t->n, .rip = fake_rip(t->n) };
	return &t->pos;
}

static uint8_t fake_byte(const struct cv_timeline *t, uint64_t addr)
{
	uint64_t off = addr - FAKE_CODE, count = t->n / 4 + (t->n % 4 >= 2);

	if (t->written[off])
		return t->bytes[off];
	if (off < sizeof(fake_code))
		return fake_code[off];
	if (addr - FAKE_COUNTER < 8)
		return (uint8_t)(count >> 8 * (addr - FAKE_COUNTER));
	return addr >= 0x3000 && addr < 0x3100 ? (uint8_t)addr : 0;
}

size_t cv_timeline_read(struct cv_timeline *t, bool physical, uint64_t addr, void *p, size_t n)
{
	size_t done = 0;

	if (physical)
		addr -= FAKE_PHYS;
	for (; done < n && addr + done >= FAKE_CODE && addr + done < FAKE_TOP; done++)
		((uint8_t *)p)[done] = fake_byte(t, addr + done);
	return done;
}

static void fake_divert(struct cv_timeline *t)
{
	if (!t->diverted)
		t->diverted_at = t->n;
	t->diverted = true;
}

int cv_timeline_write(struct cv_timeline *t, bool physical, uint64_t addr, const void *p, size_t n,
		      struct cv_error *err)
{
	if (physical)
		addr -= FAKE_PHYS;
	if (t->live)
		return cv_error_set(err, CV_E_BADINPUT, "the guest is being recorded");
	if (addr < FAKE_CODE || addr >= FAKE_TOP || n > FAKE_TOP - addr)
		return cv_error_set(err, CV_E_FAULT, "not mapped");
	fake_divert(t);
	memcpy(t->bytes + (addr - FAKE_CODE), p, n);
	memset(t->written + (addr - FAKE_CODE), 1, n);
	return 0;
}

int cv_timeline_set_state(struct cv_timeline *t, const struct cv_vcpu_state *s, struct cv_error *err)
{
	if (t->live)
		return cv_error_set(err, CV_E_BADINPUT, "the guest is being recorded");
	fake_divert(t);
	t->state = *s;
	t->state_set = true;
	return 0;
}

int cv_timeline_end_diversion(struct cv_timeline *t, struct cv_error *err)
{
	(void)err;
	t->diverted = t->state_set = false;
	memset(t->written, 0, sizeof(t->written));
	t->n = t->diverted_at;
	return 0;
}

static void fake_stop(struct cv_timeline *t, struct cv_tl_stop *stop, enum cv_tl_why why)
{
	*stop = (struct cv_tl_stop){ .why = why, .pos = *cv_timeline_pos(t) };
}

/* A breakpoint at the present RIP? */
static bool fake_break(struct cv_timeline *t, struct cv_tl_stop *stop)
{
	for (unsigned i = 0; i < FAKE_POINTS; i++) {
		struct fake_point *p = &t->points[i];

		if (!p->used || p->kind > CV_POINT_HW || p->addr != fake_rip(t->n) ||
		    (p->cond && !p->cond(p->cond_ctx, t)))
			continue;
		fake_stop(t, stop, CV_TL_BREAK);
		stop->point = i + 100;
		return true;
	}
	return false;
}

/* Did the instruction at position n (the writing one is number 1 of 4) touch a watchpoint? */
static bool fake_watch(struct cv_timeline *t, uint64_t n, struct cv_tl_stop *stop)
{
	for (unsigned i = 0; i < FAKE_POINTS; i++) {
		struct fake_point *p = &t->points[i];
		uint64_t at = p->addr > FAKE_COUNTER ? p->addr : FAKE_COUNTER;

		if (!p->used || (p->kind != CV_POINT_WRITE && p->kind != CV_POINT_ACCESS) || n % 4 != 1 ||
		    at >= FAKE_COUNTER + 8 || at - p->addr >= p->len || (p->cond && !p->cond(p->cond_ctx, t)))
			continue;
		fake_stop(t, stop, CV_TL_WATCH);
		stop->point = i + 100;
		stop->addr = at;
		stop->access = CV_WATCH_WRITE;
		return true;
	}
	return false;
}

/* One step; false at an end (with *stop filled). */
static bool fake_move(struct cv_timeline *t, enum cv_direction dir, struct cv_tl_stop *stop)
{
	if (dir == CV_FORWARD ? t->n >= t->end : t->n == 0) {
		fake_stop(t, stop, dir == CV_FORWARD ? CV_TL_END : CV_TL_BEGIN);
		return false;
	}
	t->n += dir == CV_FORWARD ? 1 : (uint64_t)-1;
	t->state_set = false;
	return true;
}

int cv_timeline_step(struct cv_timeline *t, enum cv_direction dir, struct cv_tl_stop *stop, struct cv_error *err)
{
	(void)err;
	if (fake_move(t, dir, stop))
		fake_stop(t, stop, CV_TL_POSITION);
	return 0;
}

int cv_timeline_run(struct cv_timeline *t, enum cv_direction dir, struct cv_tl_stop *stop, struct cv_error *err)
{
	t->runs++;
	if (dir == CV_BACKWARD && !t->logged)
		return cv_error_set(err, CV_E_BADINPUT, "nothing was recorded");
	for (uint64_t steps = 1; fake_move(t, dir, stop); steps++) {
		if (dir == CV_FORWARD && t->info.crashed && t->n == t->info.crash_pos.insns) {
			fake_stop(t, stop, CV_TL_CRASH);
			return 0;
		}
		if (fake_watch(t, dir == CV_FORWARD ? t->n - 1 : t->n, stop) || fake_break(t, stop))
			return 0;
		if (steps % 64)
			continue;
		if (t->delay_us) {
			struct timespec ts = { 0, (long)t->delay_us * 1000 };

			nanosleep(&ts, NULL);
		}
		if (t->poll && t->poll(t->poll_ctx)) {
			fake_stop(t, stop, CV_TL_INTERRUPTED);
			return 0;
		}
	}
	return 0;
}

int cv_timeline_step_range(struct cv_timeline *t, enum cv_direction dir, uint64_t start, uint64_t end,
			   struct cv_tl_stop *stop, struct cv_error *err)
{
	(void)err;
	while (fake_move(t, dir, stop)) {
		if (fake_break(t, stop))
			return 0;
		if (fake_rip(t->n) < start || fake_rip(t->n) >= end) {
			fake_stop(t, stop, CV_TL_POSITION);
			return 0;
		}
	}
	return 0;
}

int cv_timeline_seek(struct cv_timeline *t, uint64_t insns, struct cv_tl_stop *stop, struct cv_error *err)
{
	(void)err;
	t->n = insns < t->end ? insns : t->end;
	t->state_set = false;
	fake_stop(t, stop, CV_TL_POSITION);
	return 0;
}

static struct fake_point *fake_find(struct cv_timeline *t, enum cv_point_kind kind, uint64_t addr, uint64_t len)
{
	for (unsigned i = 0; i < FAKE_POINTS; i++) {
		struct fake_point *p = &t->points[i];

		if (p->used && p->kind == kind && p->addr == addr && (kind <= CV_POINT_HW || p->len == len))
			return p;
	}
	return NULL;
}

int cv_timeline_add_point(struct cv_timeline *t, enum cv_point_kind kind, uint64_t addr, uint64_t len,
			  bool (*cond)(void *ctx, struct cv_timeline *t), void *cond_ctx, unsigned *id,
			  struct cv_error *err)
{
	struct fake_point *p = fake_find(t, kind, addr, len);

	for (unsigned i = 0; !p && i < FAKE_POINTS; i++)
		if (!t->points[i].used)
			p = &t->points[i];
	if (!p)
		return cv_error_set(err, CV_E_NOMEM, "no room for a point");
	*p = (struct fake_point){ true, kind, addr, len, cond, cond_ctx };
	*id = (unsigned)(p - t->points) + 100;
	return 0;
}

int cv_timeline_remove_point(struct cv_timeline *t, enum cv_point_kind kind, uint64_t addr, uint64_t len)
{
	struct fake_point *p = fake_find(t, kind, addr, len);

	if (!p)
		return CV_E_NOTFOUND;
	p->used = false;
	return 0;
}

uint64_t cv_timeline_end_insns(struct cv_timeline *t)
{
	return t->end;
}

bool cv_timeline_is_live(struct cv_timeline *t)
{
	return t->live;
}

bool cv_timeline_is_diverted(struct cv_timeline *t)
{
	return t->diverted;
}

const struct cv_end_info *cv_timeline_end(struct cv_timeline *t)
{
	return &t->info;
}

const struct cv_divergence *cv_timeline_divergence(struct cv_timeline *t)
{
	return &t->divergence;
}

struct cv_machine *cv_timeline_machine(struct cv_timeline *t)
{
	(void)t;
	return NULL;
}

struct cv_log *cv_timeline_log(struct cv_timeline *t)
{
	return t->logged ? &fake_log : NULL;
}

/* --- A log with an event every 100 instructions, ten of them, and three lines --- */

int cv_log_cursor_new(struct cv_log_cursor **out, struct cv_log *log, struct cv_error *err)
{
	(void)log;
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : cv_error_set(err, CV_E_NOMEM, "no memory");
}

void cv_log_cursor_free(struct cv_log_cursor *cur)
{
	free(cur);
}

int cv_log_cursor_next(struct cv_log_cursor *cur, const struct cv_event **ev, struct cv_error *err)
{
	if (cur->seq >= 10)
		return cv_error_set(err, CV_E_END, "the end");
	cur->ev = (struct cv_event){ .kind = CV_EV_TSC, .pos = { .insns = 100 * cur->seq }, .value = cur->seq * 7 };
	cur->seq++;
	*ev = &cur->ev;
	return 0;
}

int cv_log_cursor_seek(struct cv_log_cursor *cur, uint64_t seq, struct cv_error *err)
{
	(void)err;
	cur->seq = seq;
	return 0;
}

int cv_log_cursor_seek_insns(struct cv_log_cursor *cur, uint64_t insns, struct cv_error *err)
{
	return cv_log_cursor_seek(cur, (insns + 99) / 100, err);
}

uint64_t cv_log_cursor_tell(const struct cv_log_cursor *cur)
{
	return cur->seq;
}

uint64_t cv_log_event_count(struct cv_log *log)
{
	(void)log;
	return 10;
}

int cv_log_lines(struct cv_log *log, uint64_t from, uint64_t to,
		 int (*fn)(void *ctx, const struct cv_pos *pos, const char *text, size_t n), void *ctx,
		 struct cv_error *err)
{
	static const char *const lines[] = { "first line", "second line", "third line" };

	(void)log;
	(void)err;
	for (uint64_t i = 0; i < 3; i++) {
		struct cv_pos pos = { .insns = 10 + 100 * i };

		if (pos.insns >= from && pos.insns <= to && fn(ctx, &pos, lines[i], strlen(lines[i])))
			break;
	}
	return 0;
}

/* --- Where a test is linked without vmm-core's machine --- */

__attribute__((weak)) const char *cv_end_name(enum cv_end e)
{
	return e == CV_END_POWEROFF ? "power-off" : "triple-fault";
}

__attribute__((weak)) unsigned cv_vcpu_cpl(const struct cv_vcpu_state *s)
{
	return CV_AR_DPL(s->seg[CV_SS].ar);
}

__attribute__((weak)) int cv_machine_read_linear(struct cv_machine *m, uint64_t addr, void *p, size_t n)
{
	(void)m;
	(void)addr;
	(void)p;
	(void)n;
	return CV_E_FAULT;
}

#endif
