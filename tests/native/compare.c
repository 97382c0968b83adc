/* SPDX-License-Identifier: MIT */
/*
 * Do host and engine agree? Everything is compared: registers, flags, vectors, x87, bases, selectors, memory, and of a fault its
 * vector, error code and address. What may differ stands here, each with its reason.
 */
#include "tests/native/native.h"

#define ALL_FLAGS (CV_FLAGS_ARITH | CV_FLAG_DF | CV_FLAG_TF | CV_FLAG_IF | CV_FLAG_IOPL | CV_FLAG_NT | CV_FLAG_RF | CV_FLAG_AC | CV_FLAG_ID)

/* Where Linux places stack, vDSO and libraries, each time elsewhere. */
#define LINUX_STACKS 0x7f0000000000ull
#define LINUX_STACKS_END 0x800000000000ull
#define VSYSCALL_PAGE 0xffffffffff600000ull

enum { FSW_C1 = 0x200, FSW_UE = 0x10, FSW_PE = 0x20, FSW_ES = 0x80, FSW_B = 0x8000 };

static const struct cv_insn *last(const struct nat_encoding *e)
{
	return &e->insn[e->n - 1];
}

static bool is_alone(const struct nat_encoding *e, enum cv_op op)
{
	return e->n == 1 && e->insn[0].op == op;
}

/* What Linux does to a fault before a program sees it; and a null data selector is plain zero after it ran another program. */
static void as_linux_tells(struct nat_state *s)
{
	for (unsigned k = CV_ES; k <= CV_GS; k++)
		if (k != CV_CS && k != CV_SS && s->sel[k] < 4)
			s->sel[k] = 0;
	if (s->vector != 14)
		s->cr2 = 0;
	else if (s->cr2 >= 0x7ffffffff000)
		s->error |= 1; /* a program isn't told what of the kernel's half, and the last page below, is mapped */
}

/* The stub's far jump back to 64-bit code is none of the case's; upper halves of registers aren't seen in 32-bit code,
 * and what becomes of them on the way there isn't defined. */
static void as_32_bits(struct nat_state *native, struct nat_state *engine, unsigned mode)
{
	if (mode == 32 && native->vector < 0)
		native->sel[CV_CS] = 0x23;
	for (unsigned k = 0; k < 8; k++) {
		native->gpr[k] = (uint32_t)native->gpr[k];
		engine->gpr[k] = (uint32_t)engine->gpr[k];
	}
}

static bool same_x87(const uint8_t *a, const uint8_t *b)
{
	if (memcmp(a, b, 5) || memcmp(a + XS_FOP, b + XS_FOP, 18))
		return false;
	for (unsigned k = 0; k < 8; k++)
		if (memcmp(a + XS_ST + 16 * k, b + XS_ST + 16 * k, 10))
			return false;
	return true;
}

static bool same_x87_but_pointers(const uint8_t *a, uint8_t *b)
{
	memcpy(b + XS_FIP, a + XS_FIP, 16);
	return same_x87(a, b);
}

static bool same_vectors(const struct nat_host *h, const uint8_t *a, const uint8_t *b)
{
	return !memcmp(a + XS_MXCSR, b + XS_MXCSR, 4) && !memcmp(a + XS_XMM, b + XS_XMM, 256) &&
	       (!h->avx || !memcmp(a + XS_YMM, b + XS_YMM, 256));
}

static bool same_rest(const struct nat_host *h, const struct nat_encoding *e, const struct nat_state *a, const struct nat_state *b,
		      uint64_t flags)
{
	unsigned gprs = e->mode == 64 ? 16 : 8; /* the others are out of reach */

	return a->vector == b->vector && a->rip == b->rip && a->error == b->error && a->cr2 == b->cr2 &&
	       !((a->rflags ^ b->rflags) & flags) && !memcmp(a->gpr, b->gpr, gprs * sizeof(a->gpr[0])) &&
	       !memcmp(a->sel, b->sel, 6 * sizeof(a->sel[0])) &&
	       (!h->fsgsbase || e->mode != 64 || (a->fsbase == b->fsbase && a->gsbase == b->gsbase));
}

static bool transcendental(enum cv_op op)
{
	switch (op) {
	case CV_OP_f2xm1: case CV_OP_fyl2x: case CV_OP_fyl2xp1: case CV_OP_fptan: case CV_OP_fpatan: case CV_OP_fsin: case CV_OP_fcos:
	case CV_OP_fsincos:
		return true;
	default: return false;
	}
}

/* One unit in the last place of 80-bit numbers: neighbours as integers of sign, exponent and significand. */
static bool neighbours(const uint8_t *a, const uint8_t *b)
{
	uint64_t ma, mb;
	uint16_t ea, eb;

	memcpy(&ma, a, 8);
	memcpy(&mb, b, 8);
	memcpy(&ea, a + 8, 2);
	memcpy(&eb, b + 8, 2);
	if (ea == eb || ((ea ^ eb) == 1 && ((ea | eb) & 0x7fff) == 1)) /* denormals have the exponent of the least normals */
		return ma - mb + 1 <= 2;
	/* Across a power of two. */
	return (uint16_t)(ea - eb + 1) <= 2 && ma + mb == UINT64_MAX + (1ull << 63);
}

static bool least_normal(const uint8_t *p)
{
	uint64_t mant;

	memcpy(&mant, p, 8);
	return mant == 1ull << 63 && p[8] == 1 && !(p[9] & 0x7f);
}

/* With REX.W the image holds whole pointers, which CPUs extend from the bits of an address that they have. */
static bool loads_wide_image(const struct nat_encoding *e)
{
	for (unsigned k = 0; k < e->n; k++)
		if ((e->insn[k].op == CV_OP_fxrstor || e->insn[k].op == CV_OP_xrstor) && e->insn[k].rex & 8)
			return true;
	return false;
}

static bool nearly_same_x87(uint8_t *a, const uint8_t *b)
{
	uint16_t status = (uint16_t)((a[XS_FSW] | a[XS_FSW + 1] << 8) ^ (b[XS_FSW] | b[XS_FSW + 1] << 8));

	if (status & FSW_PE)
		memcpy(a + XS_FOP, b + XS_FOP, 2); /* where it isn't masked */
	if (status & ~(FSW_C1 | FSW_PE | FSW_UE | (status & FSW_PE ? FSW_ES | FSW_B : 0u)))
		return false;
	memcpy(a + XS_FSW, b + XS_FSW, 2);
	for (unsigned k = 0; k < 8; k++)
		if (neighbours(a + XS_ST + 16 * k, b + XS_ST + 16 * k))
			memcpy(a + XS_ST + 16 * k, b + XS_ST + 16 * k, 10);
	return same_x87(a, b);
}

/* Did the host touch what only the child has mapped? */
static bool touched_private(const struct nat_state *engine)
{
	return engine->vector == 14 && ((engine->cr2 + 64 >= NAT_PRIVATE && engine->cr2 < NAT_PRIVATE_END) ||
					(engine->cr2 >= LINUX_STACKS && engine->cr2 < LINUX_STACKS_END));
}

/*
 * Which byte of a state image a CPU touches first is its own affair: CR2 of a page fault there is any byte of the page that
 * isn't mapped.
 */
static bool moves_image(enum cv_op op)
{
	switch (op) {
	case CV_OP_fxsave: case CV_OP_fxrstor: case CV_OP_xsave: case CV_OP_xsavec: case CV_OP_xsaveopt: case CV_OP_xrstor:
	case CV_OP_fnsave: case CV_OP_frstor:
		return true;
	default: return false;
	}
}

static void as_pages(struct nat_state *native, const struct nat_state *engine)
{
	if (native->vector == 14 && engine->vector == 14 && (native->cr2 ^ engine->cr2) < 4096)
		native->cr2 = engine->cr2;
}

enum nat_verdict nat_compare(const struct nat_host *h, const struct nat_encoding *e, struct nat_state *native,
			     struct nat_state *engine, const uint8_t *native_mem, const uint8_t *engine_mem, const char **why)
{
	uint64_t flags = ALL_FLAGS & ~(h->intel ? 0 : nat_undefined_flags(last(e)));
	bool memory, rest, x87, vectors;

	*why = NULL;
	if (!h->avx) {
		memset(native->x + XS_HEADER, 0, XS_SIZE - XS_HEADER);
		memset(engine->x + XS_HEADER, 0, XS_SIZE - XS_HEADER);
	}
	as_linux_tells(native);
	as_linux_tells(engine);
	if (e->mode == 32 || (native->sel[CV_CS] == 0x23 && engine->sel[CV_CS] == 0x23))
		as_32_bits(native, engine, e->mode);
	for (unsigned k = 0; k < e->n; k++)
		if (moves_image((enum cv_op)e->insn[k].op))
			as_pages(native, engine);
	memory = !memcmp(native_mem, engine_mem, NAT_RW_SIZE);
	rest = same_rest(h, e, native, engine, flags);
	x87 = same_x87(native->x, engine->x);
	vectors = same_vectors(h, native->x, engine->x);
	if (memory && rest && x87 && vectors)
		return NAT_SAME;
	if (touched_private(engine)) {
		*why = "reached the child's own memory";
		return NAT_EXCUSED;
	}
	if (engine->vector == 14 && engine->rip == engine->cr2 && (engine->cr2 & ~0xfffull) == VSYSCALL_PAGE) {
		*why = "jumped into the page whose calls Linux emulates";
		return NAT_EXCUSED;
	}
	if (e->result != CV_DECODE_OK && memory && vectors && x87 &&
	    (((native->vector == 13 || (e->edge && native->vector == 14)) && engine->vector == 6) ||
	     (e->edge && native->vector == 6 && engine->vector == 14))) {
		*why = "an illegal instruction that isn't all there or too long: a fault of its end, or #UD of its beginning";
		return NAT_EXCUSED;
	}
	if (is_alone(e, CV_OP_iret) && native->vector >= 13 && engine->vector >= 12 && engine->vector <= 17 && memory && vectors && x87) {
		*why = "IRET: which of two faults on the frame comes first";
		return NAT_EXCUSED;
	}
	if (is_alone(e, CV_OP_xrstor) && native->vector == 14 && engine->vector == 13 && memory && vectors && x87) {
		*why = "XRSTOR of a component that the engine's models don't have";
		return NAT_EXCUSED;
	}
	if (is_alone(e, CV_OP_xrstor) && native->vector == 13 && memory && rest) {
		*why = "XRSTOR of a reserved bit of MXCSR: some parts may have been loaded before";
		return NAT_EXCUSED;
	}
	if (engine->rflags & CV_FLAG_TF || native->rflags & CV_FLAG_TF) {
		*why = "sets TF, whose trap comes in the stub";
		return NAT_EXCUSED;
	}
	if (native->vector == NAT_HANG && engine->vector >= 12 && engine->vector <= 14 && e->mode == 32 && last(e)->op == CV_OP_call_far_ind) {
		*why = "a far call whose pushes cross the end of 4 GiB: its page fault never reaches the program";
		return NAT_EXCUSED;
	}
	if (native->vector == NAT_HANG && engine->vector < 0) {
		*why = "runs for ever";
		return NAT_EXCUSED;
	}
	if (e->n == 1 && transcendental((enum cv_op)e->insn[0].op) && memory && rest && vectors &&
	    nearly_same_x87(native->x, engine->x)) {
		*why = "transcendental: ours is correctly rounded, one unit apart";
		return NAT_EXCUSED;
	}
	if (e->n == 1 && transcendental((enum cv_op)e->insn[0].op) && memory && rest && vectors &&
	    (least_normal(native->x + XS_ST) || (e->insn[0].op == CV_OP_fsincos && least_normal(native->x + XS_ST + 16)))) {
		*why = "transcendental: rounded up to the least normal number, which is underflow if it is less";
		return NAT_EXCUSED;
	}
	if (loads_wide_image(e) && memory && rest && vectors && same_x87_but_pointers(native->x, engine->x)) {
		*why = "FXRSTOR and XRSTOR of an x87 pointer that is not canonical";
		return NAT_EXCUSED;
	}
	return NAT_DIFFERENT;
}
