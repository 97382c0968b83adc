/* SPDX-License-Identifier: MIT */
/*
 * MOVS STOS LODS CMPS SCAS, alone and under REP.
 *
 * REP is one path: as many elements at once as lie in one page on either side and hit the TLB for plain RAM, else one
 * element by the general way, which fills the TLB or does what is unusual. Count and index registers are exact after
 * every step, so a fault, a restart or a position stop may come between any two. The flags of CMPS and SCAS are as before
 * the instruction until it retires (SDM 2B "REP").
 *
 * Where positions count steps, each iteration is complete with its flags; and REP leaves after each element that went the general
 * way, since what that touched may have made an interrupt deliverable.
 */
#include "vmm-core/soft/exec.h"
#include "vmm-core/soft/steps.h"

static inline u64 mask_address(const struct cv_insn *i, u64 v)
{
	return i->asize == 8 ? v : i->asize == 4 ? (u32)v : (u16)v;
}

static inline void advance(struct soft_cpu *c, const struct cv_insn *i, unsigned r, u64 bytes)
{
	u64 v = c->s.gpr[r] + (c->s.rflags & CV_FLAG_DF ? -bytes : bytes);

	c->s.gpr[r] = i->asize == 2 ? (c->s.gpr[r] & ~0xffffull) | (u16)v : mask_address(i, v);
}

static inline bool repeated(const struct cv_insn *i)
{
	return i->prefixes & (CV_PFX_REP | CV_PFX_REPNE);
}

static inline void count_down(struct soft_cpu *c, const struct cv_insn *i, u64 k)
{
	u64 v = c->s.gpr[CV_RCX] - k;

	c->s.gpr[CV_RCX] = i->asize == 2 ? (c->s.gpr[CV_RCX] & ~0xffffull) | (u16)v : mask_address(i, v);
}

/* --- One element --- */

static bool load_element(struct soft_cpu *c, const struct cv_insn *i, unsigned seg, unsigned r)
{
	return soft_any_linear(c, i, seg, mask_address(i, c->s.gpr[r]), i->osize, false) &&
	       soft_slow_load(c, i, c->ld, seg, i->osize);
}

static bool store_element(struct soft_cpu *c, const struct cv_insn *i, u64 v)
{
	return soft_any_linear(c, i, CV_ES, mask_address(i, c->s.gpr[CV_RDI]), i->osize, true) &&
	       soft_slow_store(c, i, c->ld, CV_ES, v, i->osize);
}

static u64 sign_extend(u64 v, unsigned n)
{
	unsigned shift = 64 - 8 * n;

	return (u64)((s64)(v << shift) >> shift);
}

static u64 accumulator(const struct soft_cpu *c, unsigned n)
{
	return n == 8 ? c->s.gpr[CV_RAX] : c->s.gpr[CV_RAX] & ((1ull << (8 * n)) - 1);
}

static void compare_flags(struct soft_cpu *c, u64 a, u64 b, unsigned n)
{
	u64 mask = n == 8 ? UINT64_MAX : (1ull << (8 * n)) - 1, r = (a - b) & mask;

	soft_flags_sub(c, a, b, r, (s64)sign_extend(r, n), 8 * n);
}

static bool one_movs(struct soft_cpu *c, const struct cv_insn *i)
{
	if (!load_element(c, i, i->seg, CV_RSI) || !store_element(c, i, c->ld))
		return false;
	advance(c, i, CV_RSI, i->osize);
	advance(c, i, CV_RDI, i->osize);
	return true;
}

static bool one_stos(struct soft_cpu *c, const struct cv_insn *i)
{
	if (!store_element(c, i, accumulator(c, i->osize)))
		return false;
	advance(c, i, CV_RDI, i->osize);
	return true;
}

static bool one_lods(struct soft_cpu *c, const struct cv_insn *i)
{
	if (!load_element(c, i, i->seg, CV_RSI))
		return false;
	switch (i->osize) {
	case 1: SET_A8((u8)c->ld); break;
	case 2: SET_A16(c->ld); break;
	case 4: SET_A32(c->ld); break;
	default: SET_A64(c->ld); break;
	}
	advance(c, i, CV_RSI, i->osize);
	return true;
}

static bool one_cmps(struct soft_cpu *c, const struct cv_insn *i)
{
	u64 b;

	if (!load_element(c, i, CV_ES, CV_RDI)) /* first, as processors do it: which fault comes tells */
		return false;
	b = c->ld;
	if (!load_element(c, i, i->seg, CV_RSI))
		return false;
	compare_flags(c, c->ld, b, i->osize);
	advance(c, i, CV_RSI, i->osize);
	advance(c, i, CV_RDI, i->osize);
	return true;
}

static bool one_scas(struct soft_cpu *c, const struct cv_insn *i)
{
	if (!load_element(c, i, CV_ES, CV_RDI))
		return false;
	compare_flags(c, accumulator(c, i->osize), c->ld, i->osize);
	advance(c, i, CV_RDI, i->osize);
	return true;
}

/* --- Many elements --- */

/*
 * How many elements of register r's side lie in one page, at most `most`, from its present address on, in plain RAM;
 * *host: of the present element. 0: take the single way.
 */
static u64 run_length(struct soft_cpu *c, const struct cv_insn *i, unsigned seg, unsigned r, bool write, u64 most,
		      uint8_t **host)
{
	u64 off = mask_address(i, c->s.gpr[r]), la, in_page, n = i->osize;

	if (!soft_any_linear(c, i, seg, off, i->osize, write))
		goto single;
	la = c->ld;
	*host = write ? soft_tlb_write(c, la, i->osize) : soft_tlb_read(c, la, i->osize);
	if (!*host)
		return 0;
	if (c->s.rflags & CV_FLAG_DF)
		in_page = (la & 0xfff) / n + 1;
	else
		in_page = (0x1000 - (la & 0xfff)) / n;
	if (most > in_page)
		most = in_page;
	if (c->mode == 64 && i->asize == 8)
		return most;
	/* Neither may the offset wrap, nor the segment end, within the run. */
	u64 last = c->s.rflags & CV_FLAG_DF ? off - (most - 1) * n : off + (most - 1) * n;

	if (mask_address(i, last) != last)
		return 0;
	if (soft_any_linear(c, i, seg, last, i->osize, write))
		return most;
single:
	c->fault.vector = -1; /* the single way raises it, at the element that it belongs to */
	return 0;
}

static void copy_elements(uint8_t *to, const uint8_t *from, u64 k, unsigned n, bool down)
{
	uintptr_t distance = (uintptr_t)to - (uintptr_t)from;

	if (!down && (distance == 0 || distance >= k * n)) {
		memmove(to, from, k * n);
		return;
	}
	for (; k; k--) {
		u64 v;

		memcpy(&v, from, n);
		memcpy(to, &v, n);
		to = down ? to - n : to + n;
		from = down ? from - n : from + n;
	}
}

static u64 many_movs(struct soft_cpu *c, const struct cv_insn *i, u64 most)
{
	uint8_t *from, *to;
	u64 k = run_length(c, i, i->seg, CV_RSI, false, most, &from);

	if (k)
		k = run_length(c, i, CV_ES, CV_RDI, true, k, &to);
	if (!k)
		return 0;
	copy_elements(to, from, k, i->osize, c->s.rflags & CV_FLAG_DF);
	advance(c, i, CV_RSI, k * i->osize);
	advance(c, i, CV_RDI, k * i->osize);
	return k;
}

static u64 many_stos(struct soft_cpu *c, const struct cv_insn *i, u64 most)
{
	uint8_t *to;
	u64 k = run_length(c, i, CV_ES, CV_RDI, true, most, &to), v = c->s.gpr[CV_RAX];
	unsigned n = i->osize;

	if (!k)
		return 0;
	if (c->s.rflags & CV_FLAG_DF)
		to -= (k - 1) * n;
	if (n == 1 || v == 0)
		memset(to, (int)(v & 0xff), k * n);
	else
		for (u64 j = 0; j < k; j++)
			memcpy(to + j * n, &v, n);
	advance(c, i, CV_RDI, k * n);
	return k;
}

/* LODS under REP: only the last element stays. */
static u64 many_lods(struct soft_cpu *c, const struct cv_insn *i, u64 most)
{
	uint8_t *from;
	u64 k = run_length(c, i, i->seg, CV_RSI, false, most, &from);

	if (k < 2)
		return 0;
	advance(c, i, CV_RSI, (k - 1) * i->osize);
	return k - 1;
}

/* Does the comparison that left these flags end the repetition? */
static inline bool ends(const struct soft_cpu *c, const struct cv_insn *i)
{
	return soft_zf(c) == !!(i->prefixes & CV_PFX_REPNE);
}

/* The two compare: all but the last element of the run, or up to the one that ends it. */
static u64 many_compare(struct soft_cpu *c, const struct cv_insn *i, u64 most, bool scas)
{
	uint8_t *p = NULL, *q;
	unsigned n = i->osize;
	bool until_equal = i->prefixes & CV_PFX_REPNE;
	u64 k = most, a = accumulator(c, n), b = 0, done = 0;
	ptrdiff_t step = c->s.rflags & CV_FLAG_DF ? -(ptrdiff_t)n : (ptrdiff_t)n;

	if (!scas)
		k = run_length(c, i, i->seg, CV_RSI, false, k, &p);
	if (k)
		k = run_length(c, i, CV_ES, CV_RDI, false, k, &q);
	if (!k)
		return 0;
	do {
		if (!scas) {
			a = 0;
			memcpy(&a, p, n);
			p += step;
		}
		b = 0;
		memcpy(&b, q, n);
		q += step;
		done++;
	} while (done < k && (a == b) != until_equal);
	compare_flags(c, a, b, n);
	if (!scas)
		advance(c, i, CV_RSI, done * n);
	advance(c, i, CV_RDI, done * n);
	return done;
}

static u64 many_cmps(struct soft_cpu *c, const struct cv_insn *i, u64 most)
{
	return many_compare(c, i, most, false);
}
static u64 many_scas(struct soft_cpu *c, const struct cv_insn *i, u64 most)
{
	return many_compare(c, i, most, true);
}

/* --- REP --- */

/* Runs the whole instruction. false: it has not retired (fault, restart, or c->rep_left). */
static inline __attribute__((always_inline)) bool
run(struct soft_cpu *c, const struct cv_insn *i, bool (*one)(struct soft_cpu *, const struct cv_insn *),
    u64 (*many)(struct soft_cpu *, const struct cv_insn *, u64), bool compares)
{
	struct soft_flags before = c->fl;
	bool slowly = false;
	u64 left, k;

	if (!repeated(i))
		return one(c, i);
	while ((left = soft_iterations_left(c, i)) != 0) {
		if (unlikely(c->rep_stops)) {
			if (left <= c->rep_stop)
				goto leave;
			left -= c->rep_stop;
		}
		if (unlikely(c->s.rflags & CV_FLAG_TF))
			left = 1; /* traps after each iteration (SDM 3B 17.3.1.4) */
		k = many(c, i, left);
		if (!k) {
			if (!one(c, i)) {
				if (!soft_counts_steps(c))
					c->fl = before;
				return false;
			}
			slowly = soft_counts_steps(c);
			k = 1;
		}
		count_down(c, i, k);
		if (compares && ends(c, i))
			return true;
		if (unlikely(slowly || c->watch_hit.len || c->s.pending_db || c->s.rflags & CV_FLAG_TF) && soft_iterations_left(c, i))
			goto leave;
	}
	return true;
leave:
	c->rep_left = true;
	if (!soft_counts_steps(c))
		c->fl = before;
	return false;
}

/*
 * In 64-bit mode with 32-bit addresses REP clears the counter's upper half, even where it does nothing or faults at once; the
 * moves that have a fast form clear those of the pointers they write with, too.
 */
static bool upper_halves(struct soft_cpu *c, const struct cv_insn *i, bool done, bool si, bool di)
{
	if (!repeated(i) || i->asize != 4 || c->mode != 64 || c->fault.vector == SOFT_RESTART)
		return done;
	c->s.gpr[CV_RCX] = (u32)c->s.gpr[CV_RCX];
	if (si)
		c->s.gpr[CV_RSI] = (u32)c->s.gpr[CV_RSI];
	if (di)
		c->s.gpr[CV_RDI] = (u32)c->s.gpr[CV_RDI];
	return done;
}

static __attribute__((noinline)) bool run_movs(struct soft_cpu *c, const struct cv_insn *i)
{
	return upper_halves(c, i, run(c, i, one_movs, many_movs, false), true, true);
}
static __attribute__((noinline)) bool run_stos(struct soft_cpu *c, const struct cv_insn *i)
{
	return upper_halves(c, i, run(c, i, one_stos, many_stos, false), false, true);
}
static __attribute__((noinline)) bool run_lods(struct soft_cpu *c, const struct cv_insn *i)
{
	return upper_halves(c, i, run(c, i, one_lods, many_lods, false), false, false);
}
static __attribute__((noinline)) bool run_cmps(struct soft_cpu *c, const struct cv_insn *i)
{
	return upper_halves(c, i, run(c, i, one_cmps, many_cmps, true), false, false);
}
static __attribute__((noinline)) bool run_scas(struct soft_cpu *c, const struct cv_insn *i)
{
	return upper_halves(c, i, run(c, i, one_scas, many_scas, true), false, false);
}

H(movs) { if (run_movs(c, i)) SOFT_NEXT(c, i); }
H(stos) { if (run_stos(c, i)) SOFT_NEXT(c, i); }
H(lods) { if (run_lods(c, i)) SOFT_NEXT(c, i); }
H(cmps) { if (run_cmps(c, i)) SOFT_NEXT(c, i); }
H(scas) { if (run_scas(c, i)) SOFT_NEXT(c, i); }

cv_handler *soft_pick_string(const struct cv_insn *i)
{
	switch (i->op) {
	case CV_OP_movs: return movs;
	case CV_OP_stos: return stos;
	case CV_OP_lods: return lods;
	case CV_OP_cmps: return cmps;
	default: return scas;
	}
}
