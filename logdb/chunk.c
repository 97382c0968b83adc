/* SPDX-License-Identifier: MIT */
/*
 * A chunk is nine columns, each stored as varint n (bytes of the column), and unless n is 0 varint m and m bytes: the
 * column itself if m = n, one zstd frame of it if m < n.
 *
 *   SITE    one byte an event: which of the model's guesses for the event's site came true; or the size of how long ago
 *           it was needed; or it is new, and the size of the difference in RIP
 *   NEW     a site seen for the first time: kind and flags, sub
 *   STEP    one byte an event: which remembered (instructions, branches) step was it, or the size of the difference
 *   BRANCH  one byte where the step was not remembered: size of the difference in branches
 *   TIME    one byte an event with guest time: size of the difference from the time foreseen
 *   VALUE   varint: value of the other events, as a difference from the last one of its kind
 *   RCX     varint: where the event is in a REP
 *   DATA    varint length and bytes, where there are any
 *   BITS    the differences' low bits, least significant first
 *
 * A size is the number of significant bits k of a zigzag number; its k - 1 bits below the leading one go to BITS. A
 * site is what an event has in common with its like: (kind, in_rep, has data, sub, RIP). The model remembers which
 * sites followed a pair of events and an event, which steps led from one to another, and how long these took: guests
 * poll in loops. Interrupts and inputs may come at any site: what follows them is remembered by their kind. Those of a
 * timer have a beat.
 */
#include "logdb/chunk.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum { COL_SITE, COL_NEW, COL_STEP, COL_BRANCH, COL_TIME, COL_VALUE, COL_RCX, COL_DATA, COL_BITS, COLS };

enum { GUESSES = 4, SITE_REF = 4, SITE_NEW = 72 };	 /* bytes of SITE: the guess; from these on: the size */
enum { STEPS = 8, STEP_DIFF = 8 };			 /* bytes of STEP; from STEP_DIFF on: the size */
enum { FLAG_IN_REP = 1, FLAG_DATA = 2, FLAG_HIGH = 4, FLAG_SUB = 8, KIND_SHIFT = 4 }; /* first varint of NEW */

#define SHORT (1u << 24) /* instructions, or ns, between two times: longer ones teach nothing */
#define BEAT_NEAR 32u /* instructions: an interrupt farther from when it was due begins a new beat */
#define PAIR_BITS 12
#define FIND_BITS 15	   /* the encoder's own: finds a site's number */
#define NO_SITE 0	   /* sites are numbered from 1 */
#ifndef ZSTD_LEVEL
#ifndef ZSTD_LEVEL
#define ZSTD_LEVEL 12
#endif
#endif
#define COLUMN_BYTES (CV_CHUNK_EVENTS * (CV_EVENT_DATA_MAX + 16u)) /* no column is longer */

struct site {
	uint64_t rip;
	uint32_t sub;
	uint8_t kind, flags;
};

struct followers {
	uint16_t site[2]; /* most recent first */
};

struct steps {
	uint64_t insns[STEPS], branches[STEPS]; /* most recent first */
	uint64_t ns[STEPS];			/* guest time that such a step takes; 0: not known */
};

struct beat {
	uint64_t insns, branches; /* at the last one */
	uint64_t pace[3];	  /* branches in 2^24 instructions, between the last four; most recent first */
	uint64_t due, period;	  /* in 256ths of an instruction; 0: not known */
	bool off;		  /* the last one wasn't near */
};

struct model {
	struct site sites[CV_CHUNK_EVENTS + 1];
	uint16_t recent[CV_CHUNK_EVENTS]; /* the sites, those that were no guess most recently last */
	struct followers after_pair[1u << PAIR_BITS];
	struct followers after_one[CV_EV_KINDS + CV_CHUNK_EVENTS + 1];
	struct steps steps[1u << PAIR_BITS];
	unsigned nsites, last, last2; /* sites known; origin of the last event and of the one before */
	struct cv_pos pos;	      /* of the last event */
	uint64_t rip[2];	      /* of the last event in the lower half of the addresses, and in the upper */
	uint64_t time, time_insns;    /* last guest time, and where it was */
	uint64_t ns, per;	      /* guest time that goes by in `per` instructions: fading sums */
	uint64_t value[CV_EV_KINDS];  /* last of each kind */
	struct beat beat[256];	      /* of the interrupts of each vector */
};

struct cv_chunk_codec {
	struct model m;
	uint16_t find[1u << FIND_BITS];
	struct cv_wbuf col[COLS]; /* encoder: columns being built; decoder: unpacked ones */
	struct cv_rbuf in[COLS];
	uint64_t acc;		  /* bits on their way to or from BITS */
	unsigned nacc;
	int err;		  /* decoder: sticky */
	ZSTD_CCtx *cctx;
	ZSTD_DCtx *dctx;
};

/* --- The model --- */

static uint64_t zigzag(uint64_t difference)
{
	return difference << 1 ^ (0 - (difference >> 63));
}

static uint64_t unzigzag(uint64_t z)
{
	return z >> 1 ^ (0 - (z & 1));
}

static unsigned pair_index(unsigned a, unsigned b)
{
	return (a * 0x9e3779b1u + b * 0x85ebca6bu) >> (32 - PAIR_BITS);
}

static bool has_time(unsigned kind)
{
	return kind == CV_EV_TSC || kind == CV_EV_CLOCK || kind == CV_EV_TIME;
}

/* Only what the last chunk used is cleared: a chunk of three events costs little. */
static void model_reset(struct model *m)
{
	memset(m->after_one, 0, (CV_EV_KINDS + m->nsites + 1) * sizeof(m->after_one[0]));
	memset(m->after_pair, 0, sizeof(m->after_pair));
	memset(m->steps, 0, sizeof(m->steps));
	memset(&m->pos, 0, sizeof(m->pos));
	memset(m->rip, 0, sizeof(m->rip));
	memset(m->value, 0, sizeof(m->value));
	m->nsites = m->last = m->last2 = 0;
	m->time = m->time_insns = m->ns = m->per = 0;
	memset(m->beat, 0, sizeof(m->beat));
}

static void model_guesses(const struct model *m, unsigned guess[GUESSES])
{
	const struct followers *two = &m->after_pair[pair_index(m->last2, m->last)], *one = &m->after_one[m->last];

	guess[0] = two->site[0];
	guess[1] = two->site[1];
	guess[2] = one->site[0];
	guess[3] = one->site[1];
}

/*
 * What the model remembers of an event for those that follow: its site if the guest asked for it. The others come
 * anywhere: their kind.
 */
static unsigned model_origin(const struct model *m, unsigned site)
{
	unsigned kind = m->sites[site].kind;

	return kind == CV_EV_TSC || kind == CV_EV_CLOCK || kind == CV_EV_ENTROPY ? CV_EV_KINDS + site : kind;
}

/* A new site: its number. */
static unsigned model_add(struct model *m, const struct site *s)
{
	m->recent[m->nsites] = (uint16_t)(m->nsites + 1);
	m->sites[++m->nsites] = *s;
	return m->nsites;
}

/* Takes the site at this place of recent[] to its end. */
static void model_recall(struct model *m, unsigned at)
{
	uint16_t site = m->recent[at];

	memmove(&m->recent[at], &m->recent[at + 1], (m->nsites - 1 - at) * sizeof(m->recent[0]));
	m->recent[m->nsites - 1] = site;
}

static void followers_note(struct followers *f, unsigned site)
{
	if (f->site[0] == site)
		return;
	f->site[1] = f->site[0];
	f->site[0] = (uint16_t)site;
}

/* The steps that led from the last site to this one; the model moves on to this one. */
static struct steps *model_enter(struct model *m, unsigned site)
{
	unsigned origin = model_origin(m, site);
	struct steps *s = &m->steps[pair_index(m->last, origin)];

	followers_note(&m->after_pair[pair_index(m->last2, m->last)], site);
	followers_note(&m->after_one[m->last], site);
	m->last2 = m->last;
	m->last = origin;
	return s;
}

/* Puts a step in front: the remembered one at place i, or a new one (i = STEPS), which drops the oldest. */
static void steps_note(struct steps *s, unsigned i, uint64_t insns, uint64_t branches)
{
	uint64_t ns = i < STEPS ? s->ns[i] : 0;

	for (i = i < STEPS ? i : STEPS - 1; i; i--) {
		s->insns[i] = s->insns[i - 1];
		s->branches[i] = s->branches[i - 1];
		s->ns[i] = s->ns[i - 1];
	}
	s->insns[0] = insns;
	s->branches[0] = branches;
	s->ns[0] = ns;
}

/* That of an interrupt, once it has one. */
static const struct beat *model_beat(const struct model *m)
{
	const struct beat *b = &m->beat[m->value[CV_EV_INTERRUPT] & 0xff];

	return m->last == CV_EV_INTERRUPT && b->due ? b : NULL;
}

/* Instructions in the step to an event: as in the last such step, but for an interrupt with a beat. */
static uint64_t model_insns(const struct model *m, const struct steps *s)
{
	const struct beat *b = model_beat(m);

	return b ? (b->due >> 8) - m->pos.insns : s->insns[0];
}

static uint64_t median(const uint64_t v[3])
{
	uint64_t lo = v[0] < v[1] ? v[0] : v[1], hi = v[0] < v[1] ? v[1] : v[0];

	return v[2] < lo ? lo : v[2] > hi ? hi : v[2];
}

/*
 * Branches in a step of so many instructions: at the pace of the beat, or of the step before if one gets there by
 * chance; else on the line through the two steps taken last.
 */
static uint64_t model_branches(const struct model *m, const struct steps *s, uint64_t insns)
{
	const int64_t most = 1 << 30;
	const struct beat *b = model_beat(m);
	int64_t d = (int64_t)(insns - s->insns[0]), run = (int64_t)s->insns[0], rise = (int64_t)s->branches[0];

	if (b)
		return insns * median(b->pace) >> 24;
	if (m->last >= CV_EV_KINDS) {
		run -= (int64_t)s->insns[1];
		rise -= (int64_t)s->branches[1];
	}
	if (!run || d > most || d < -most || run > most || run < -most || rise > most || rise < -most)
		return s->branches[0];
	return s->branches[0] + (uint64_t)(d * rise / run);
}

static void beat_note_pace(struct beat *b, const struct cv_pos *pos)
{
	uint64_t run = pos->insns - b->insns;

	b->pace[2] = b->pace[1];
	b->pace[1] = b->pace[0];
	if (run)
		b->pace[0] = ((pos->branches - b->branches) << 24) / run;
}

/* A timer's period is mostly a whole number of microseconds, and an instruction of the virtual clock takes 1 ns. */
static uint64_t beat_period(uint64_t run)
{
	uint64_t whole = (run + 500) / 1000 * 1000;

	return run - whole + 16 < 32 ? whole : run;
}

/* The timer's interrupts come at even distances in guest time: in instructions so too with the virtual clock. */
static void beat_note(struct beat *b, const struct cv_pos *pos)
{
	const uint64_t near = BEAT_NEAR << 8;
	uint64_t late = (pos->insns << 8) - b->due, run = pos->insns - b->insns;

	beat_note_pace(b, pos);
	b->insns = pos->insns;
	b->branches = pos->branches;
	if (b->due && late + near < 2 * near) {
		late += near; /* divided as a number that isn't negative */
		b->due += b->period + late / 4 - near / 4;
		b->period += late / 64 - near / 64;
		b->off = false;
	} else if (b->due && !b->off) {
		b->due += b->period;
		b->off = true;
	} else {
		b->period = beat_period(run) << 8;
		b->due = (pos->insns << 8) + b->period;
		b->off = false;
	}
}

/* The model moves to where the event is. */
static void model_move(struct model *m, const struct cv_pos *pos)
{
	m->pos = *pos;
	m->rip[pos->rip >> 63] = pos->rip;
	if (m->last == CV_EV_INTERRUPT)
		beat_note(&m->beat[m->value[CV_EV_INTERRUPT] & 0xff], pos);
}

/* When: as long after the last time as this step takes, else at the pace of the last ones. */
static uint64_t model_time(const struct model *m, const struct steps *s)
{
	uint64_t insns = m->pos.insns - m->time_insns;

	if (s->ns[0])
		return m->time + s->ns[0];
	return m->time + (insns < SHORT && m->per ? insns * m->ns / m->per : 0);
}

static void model_note_time(struct model *m, struct steps *s, uint64_t time)
{
	uint64_t ns = time - m->time, insns = m->pos.insns - m->time_insns;

	if (m->time && insns && insns < SHORT && ns < SHORT) {
		m->ns += ns - m->ns / 16;
		m->per += insns - m->per / 16;
		s->ns[0] = s->ns[0] ? (s->ns[0] + ns) / 2 : ns;
	}
	m->time = time;
	m->time_insns = m->pos.insns;
}

/* --- Encoding --- */

static void put_bits(struct cv_chunk_codec *c, uint64_t v, unsigned n)
{
	while (n) {
		unsigned k = n < 32 ? n : 32;

		c->acc |= (v & ((UINT64_C(1) << k) - 1)) << c->nacc;
		c->nacc += k;
		while (c->nacc >= 8) {
			cv_put_u8(&c->col[COL_BITS], (uint8_t)c->acc);
			c->acc >>= 8;
			c->nacc -= 8;
		}
		v = v >> (k - 1) >> 1;
		n -= k;
	}
}

static void put_sized(struct cv_chunk_codec *c, int col, unsigned base, uint64_t z)
{
	unsigned size = z ? 64 - (unsigned)__builtin_clzll(z) : 0;

	cv_put_u8(&c->col[col], (uint8_t)(base + size));
	if (size > 1)
		put_bits(c, z, size - 1);
}

static void put_diff(struct cv_chunk_codec *c, int col, unsigned base, uint64_t difference)
{
	put_sized(c, col, base, zigzag(difference));
}

/* The site's number; 0: unknown so far, and entered. */
static unsigned find_site(struct cv_chunk_codec *c, const struct site *s)
{
	struct model *m = &c->m;
	uint64_t h = (s->rip ^ (uint64_t)s->kind << 56 ^ (uint64_t)s->flags << 50 ^ (uint64_t)s->sub << 32) *
		     UINT64_C(0x9e3779b97f4a7c15);
	unsigned i = (unsigned)(h >> (64 - FIND_BITS));

	for (; c->find[i]; i = (i + 1) & ((1u << FIND_BITS) - 1)) {
		const struct site *t = &m->sites[c->find[i]];

		if (t->rip == s->rip && t->kind == s->kind && t->flags == s->flags && t->sub == s->sub)
			return c->find[i];
	}
	c->find[i] = (uint16_t)model_add(m, s);
	return NO_SITE;
}

static unsigned encode_site(struct cv_chunk_codec *c, const struct cv_event *ev)
{
	struct site s = { .rip = ev->pos.rip,
			  .sub = ev->pos.sub,
			  .kind = (uint8_t)ev->kind,
			  .flags = (uint8_t)((ev->pos.in_rep ? FLAG_IN_REP : 0) | (ev->len ? FLAG_DATA : 0) |
					     (ev->pos.rip >> 63 ? FLAG_HIGH : 0) | (ev->pos.sub ? FLAG_SUB : 0)) };
	unsigned guess[GUESSES], site = find_site(c, &s), i;

	if (!site) {
		cv_put_varint(&c->col[COL_NEW], (uint64_t)s.kind << KIND_SHIFT | s.flags);
		if (s.sub)
			cv_put_varint(&c->col[COL_NEW], s.sub);
		put_diff(c, COL_SITE, SITE_NEW, s.rip - c->m.rip[s.rip >> 63]);
		return c->m.nsites;
	}
	model_guesses(&c->m, guess);
	for (i = 0; i < GUESSES; i++) {
		if (guess[i] == site) {
			cv_put_u8(&c->col[COL_SITE], (uint8_t)i);
			return site;
		}
	}
	for (i = c->m.nsites - 1; c->m.recent[i] != site; i--)
		;
	put_sized(c, COL_SITE, SITE_REF, c->m.nsites - 1 - i);
	model_recall(&c->m, i);
	return site;
}

static void encode_step(struct cv_chunk_codec *c, struct steps *s, const struct cv_pos *pos)
{
	uint64_t insns = pos->insns - c->m.pos.insns, branches = pos->branches - c->m.pos.branches;
	unsigned i;

	for (i = 0; i < STEPS; i++)
		if (s->insns[i] == insns && s->branches[i] == branches)
			break;
	if (i < STEPS) {
		cv_put_u8(&c->col[COL_STEP], (uint8_t)i);
	} else {
		put_diff(c, COL_STEP, STEP_DIFF, insns - model_insns(&c->m, s));
		put_diff(c, COL_BRANCH, 0, branches - model_branches(&c->m, s, insns));
	}
	steps_note(s, i, insns, branches);
	model_move(&c->m, pos);
}

static void encode_time(struct cv_chunk_codec *c, struct steps *s, uint64_t time)
{
	put_diff(c, COL_TIME, 0, time - model_time(&c->m, s));
	model_note_time(&c->m, s, time);
}

static void encode_value(struct cv_chunk_codec *c, unsigned kind, uint64_t value)
{
	cv_put_varint(&c->col[COL_VALUE], zigzag(value - c->m.value[kind]));
	c->m.value[kind] = value;
}

static void encode_event(struct cv_chunk_codec *c, const struct cv_event *ev)
{
	struct steps *s = model_enter(&c->m, encode_site(c, ev));

	if (!has_time(ev->kind))
		encode_value(c, ev->kind, ev->value);
	encode_step(c, s, &ev->pos);
	if (has_time(ev->kind))
		encode_time(c, s, ev->value);
	if (ev->pos.in_rep)
		cv_put_varint(&c->col[COL_RCX], ev->pos.rcx);
	if (ev->len)
		cv_put_blob(&c->col[COL_DATA], ev->data, ev->len);
}

static int put_column(struct cv_chunk_codec *c, const struct cv_wbuf *col, struct cv_wbuf *out)
{
	size_t bound = ZSTD_compressBound(col->len), n;
	void *packed;

	if (col->err)
		return CV_E_NOMEM;
	cv_put_varint(out, col->len);
	if (!col->len)
		return out->err;
	packed = malloc(bound);
	if (!packed)
		return CV_E_NOMEM;
	n = ZSTD_compressCCtx(c->cctx, packed, bound, col->data, col->len, ZSTD_LEVEL);
	if (ZSTD_isError(n)) {
		free(packed);
		return CV_E_NOMEM; /* with enough room nothing else can fail */
	}
	if (n < col->len)
		cv_put_blob(out, packed, n);
	else
		cv_put_blob(out, col->data, col->len);
	free(packed);
	return out->err;
}

int cv_chunk_encode(struct cv_chunk_codec *c, const struct cv_event *ev, size_t n, struct cv_wbuf *out)
{
	int rc = 0;

	assert(n >= 1 && n <= CV_CHUNK_EVENTS);
	model_reset(&c->m);
	memset(c->find, 0, sizeof(c->find));
	c->acc = c->nacc = 0;
	for (int i = 0; i < COLS; i++)
		c->col[i].len = 0;
	for (size_t i = 0; i < n; i++)
		encode_event(c, &ev[i]);
	if (c->nacc)
		put_bits(c, 0, 8 - c->nacc);
	for (int i = 0; i < COLS && !rc; i++)
		rc = put_column(c, &c->col[i], out);
	for (int i = 0; i < COLS; i++)
		if (c->col[i].err) /* it may be asked again, when there is memory */
			cv_wbuf_release(&c->col[i]);
	return rc;
}

/* --- Decoding --- */

static uint64_t bad(struct cv_chunk_codec *c)
{
	c->err = CV_E_CORRUPT;
	return 0;
}

static uint64_t get_bits(struct cv_chunk_codec *c, unsigned n)
{
	struct cv_rbuf *in = &c->in[COL_BITS];
	uint64_t v = 0;

	for (unsigned got = 0; got < n;) {
		unsigned k = n - got < 32 ? n - got : 32;

		while (c->nacc < k) {
			if (in->pos == in->len)
				return bad(c);
			c->acc |= (uint64_t)in->data[in->pos++] << c->nacc;
			c->nacc += 8;
		}
		v |= (c->acc & ((UINT64_C(1) << k) - 1)) << got;
		c->acc >>= k;
		c->nacc -= k;
		got += k;
	}
	return v;
}

static unsigned get_byte(struct cv_chunk_codec *c, int col)
{
	struct cv_rbuf *in = &c->in[col];

	return in->pos < in->len ? in->data[in->pos++] : (unsigned)bad(c);
}

static uint64_t get_sized(struct cv_chunk_codec *c, unsigned size)
{
	if (size > 64)
		return bad(c);
	return size ? get_bits(c, size - 1) | UINT64_C(1) << (size - 1) : 0;
}

static uint64_t get_diff(struct cv_chunk_codec *c, unsigned size)
{
	return unzigzag(get_sized(c, size));
}

static unsigned decode_new_site(struct cv_chunk_codec *c, unsigned size)
{
	struct cv_rbuf *in = &c->in[COL_NEW];
	uint64_t kind_flags = cv_get_varint(in), sub = kind_flags & FLAG_SUB ? cv_get_varint(in) : 0;
	uint64_t kind = kind_flags >> KIND_SHIFT;
	struct site s = { .rip = c->m.rip[kind_flags & FLAG_HIGH ? 1 : 0] + get_diff(c, size),
			  .sub = (uint32_t)sub,
			  .kind = (uint8_t)kind,
			  .flags = kind_flags & ((1u << KIND_SHIFT) - 1) };

	if (in->err || kind == 0 || kind >= CV_EV_KINDS || sub > UINT32_MAX)
		return (unsigned)bad(c);
	return model_add(&c->m, &s); /* as many sites as events: there is room */
}

/* A site that was no guess: `size` of its distance from the end of recent[]. */
static unsigned decode_recent(struct cv_chunk_codec *c, unsigned size)
{
	uint64_t back = get_sized(c, size);

	if (c->err || back >= c->m.nsites)
		return (unsigned)bad(c);
	model_recall(&c->m, c->m.nsites - 1 - (unsigned)back);
	return c->m.recent[c->m.nsites - 1];
}

/* The site's number; 0 with c->err set. */
static unsigned decode_site(struct cv_chunk_codec *c)
{
	unsigned guess[GUESSES], byte = get_byte(c, COL_SITE);

	if (byte >= SITE_NEW)
		return decode_new_site(c, byte - SITE_NEW);
	if (byte >= SITE_REF)
		return decode_recent(c, byte - SITE_REF);
	model_guesses(&c->m, guess);
	return guess[byte] ? guess[byte] : (unsigned)bad(c);
}

static void decode_step(struct cv_chunk_codec *c, struct steps *s, struct cv_pos *pos)
{
	unsigned byte = get_byte(c, COL_STEP);
	uint64_t insns, branches;

	if (byte < STEPS) {
		insns = s->insns[byte];
		branches = s->branches[byte];
	} else {
		insns = model_insns(&c->m, s) + get_diff(c, byte - STEP_DIFF);
		branches = model_branches(&c->m, s, insns) + get_diff(c, get_byte(c, COL_BRANCH));
	}
	steps_note(s, byte < STEPS ? byte : STEPS, insns, branches);
	pos->insns = c->m.pos.insns + insns;
	pos->branches = c->m.pos.branches + branches;
}

static uint64_t decode_time(struct cv_chunk_codec *c, struct steps *s)
{
	uint64_t v = model_time(&c->m, s) + get_diff(c, get_byte(c, COL_TIME));

	model_note_time(&c->m, s, v);
	return v;
}

static uint64_t decode_value(struct cv_chunk_codec *c, unsigned kind)
{
	uint64_t v = c->m.value[kind] + unzigzag(cv_get_varint(&c->in[COL_VALUE]));

	c->m.value[kind] = v;
	return v;
}

static void decode_event(struct cv_chunk_codec *c, struct cv_event *ev)
{
	unsigned number = decode_site(c);
	const struct site *site = &c->m.sites[number];
	struct steps *steps;

	if (!number)
		return;
	steps = model_enter(&c->m, number);
	ev->kind = site->kind;
	if (!has_time(site->kind))
		ev->value = decode_value(c, site->kind);
	decode_step(c, steps, &ev->pos);
	ev->pos.rip = site->rip;
	ev->pos.sub = site->sub;
	ev->pos.in_rep = site->flags & FLAG_IN_REP;
	ev->pos.rcx = site->flags & FLAG_IN_REP ? cv_get_varint(&c->in[COL_RCX]) : 0;
	model_move(&c->m, &ev->pos);
	if (has_time(site->kind))
		ev->value = decode_time(c, steps);
	ev->len = 0;
	if (site->flags & FLAG_DATA) {
		size_t n = 0;
		const void *p = cv_get_blob(&c->in[COL_DATA], &n);

		if (!p || !n || n > CV_EVENT_DATA_MAX) {
			bad(c);
			return;
		}
		ev->len = (uint32_t)n;
		memcpy(ev->data, p, n);
	}
}

static int unpack_column(struct cv_chunk_codec *c, struct cv_rbuf *in, int col)
{
	uint64_t n = cv_get_varint(in);
	struct cv_wbuf *w = &c->col[col];
	const void *p = NULL;
	size_t m = 0, got;

	cv_rbuf_init(&c->in[col], NULL, 0);
	if (in->err || n > COLUMN_BYTES)
		return CV_E_CORRUPT;
	if (!n)
		return 0;
	p = cv_get_blob(in, &m);
	if (!p || !m || m > n)
		return CV_E_CORRUPT;
	if (m == n) {
		cv_rbuf_init(&c->in[col], p, m);
		return 0;
	}
	if (w->cap < n) {
		uint8_t *grown = realloc(w->data, n);

		if (!grown)
			return CV_E_NOMEM;
		w->data = grown;
		w->cap = n;
	}
	got = ZSTD_decompressDCtx(c->dctx, w->data, n, p, m);
	if (got != n)
		return CV_E_CORRUPT;
	cv_rbuf_init(&c->in[col], w->data, n);
	return 0;
}

static int unpack_columns(struct cv_chunk_codec *c, const void *data, size_t len)
{
	struct cv_rbuf in;
	int rc = 0;

	cv_rbuf_init(&in, data, len);
	for (int i = 0; i < COLS && !rc; i++)
		rc = unpack_column(c, &in, i);
	return !rc && in.pos != in.len ? CV_E_CORRUPT : rc;
}

int cv_chunk_decode(struct cv_chunk_codec *c, const void *data, size_t len, struct cv_event *ev, size_t n)
{
	int rc;

	if (!n || n > CV_CHUNK_EVENTS || len > CV_CHUNK_BYTES)
		return CV_E_CORRUPT;
	model_reset(&c->m);
	c->acc = c->nacc = 0;
	c->err = 0;
	rc = unpack_columns(c, data, len);
	if (rc)
		return rc;
	for (size_t i = 0; i < n && !c->err; i++)
		decode_event(c, &ev[i]);
	for (int i = 0; i < COLS && !c->err; i++)
		if (c->in[i].err || c->in[i].pos != c->in[i].len)
			return CV_E_CORRUPT;
	return c->err;
}

/* --- Storage --- */

int cv_chunk_codec_new(struct cv_chunk_codec **out)
{
	struct cv_chunk_codec *c = calloc(1, sizeof(*c));

	*out = NULL;
	if (!c)
		return CV_E_NOMEM;
	c->m.nsites = CV_CHUNK_EVENTS;
	c->cctx = ZSTD_createCCtx();
	c->dctx = ZSTD_createDCtx();
	if (!c->cctx || !c->dctx) {
		cv_chunk_codec_free(c);
		return CV_E_NOMEM;
	}
	*out = c;
	return 0;
}

void cv_chunk_codec_free(struct cv_chunk_codec *c)
{
	if (!c)
		return;
	ZSTD_freeCCtx(c->cctx);
	ZSTD_freeDCtx(c->dctx);
	for (int i = 0; i < COLS; i++)
		cv_wbuf_release(&c->col[i]);
	free(c);
}
