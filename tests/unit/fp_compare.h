/* SPDX-License-Identifier: MIT */
/*
 * One instruction of x87, MMX, SSE or AVX from random states, natively and on the engine.
 *
 * The engine does what Intel's processors do, so on their hosts everything is compared. On another maker's only what the
 * manuals define is: undefined_status() and what stands beside it tell what they don't, and implementation_specific()
 * the encodings of which they define nothing. CHECK_FP_VERBOSE shows the states that differ.
 */
#ifndef FP_COMPARE_H
#define FP_COMPARE_H

#include "fp_operands.h"

#define CASES 60 /* states that each instruction runs from */

struct test {
	uint8_t code[15];
	unsigned len;
	struct cv_insn insn;
	const char *name;
	unsigned failures;
};

static inline void show_code(const struct test *t)
{
	for (unsigned k = 0; k < t->len; k++)
		printf(" %02x", t->code[k]);
}

static inline void show(const char *who, const struct image *m, const uint8_t *data)
{
	const uint16_t *w = (const uint16_t *)(const void *)m->fx;
	const uint64_t *q = (const uint64_t *)(const void *)m->fx;

	printf("  %s: vec %d fcw %04x fsw %04x ftw %02x mxcsr %08x fl %03x rax %llx rcx %llx rdx %llx\n", who, (int)m->vector, w[0],
	       w[1], m->fx[4], *(const uint32_t *)(const void *)(m->fx + 24), (unsigned)(m->flags & ARITH),
	       (unsigned long long)m->rax, (unsigned long long)m->rcx, (unsigned long long)m->rdx);
	for (unsigned k = 0; k < 8; k++)
		printf("   st%u %04x:%016llx", k, w[20 + 8 * k], (unsigned long long)q[4 + 2 * k]);
	printf("\n");
	for (unsigned k = 0; k < 3; k++)
		printf("   x%u %016llx:%016llx", k, (unsigned long long)q[21 + 2 * k], (unsigned long long)q[20 + 2 * k]);
	for (unsigned k = 0; k < 3 && m->avx; k++) {
		uint64_t h[2];

		memcpy(h, m->high[k], 16);
		printf("   h%u %016llx:%016llx", k, (unsigned long long)h[1], (unsigned long long)h[0]);
	}
	printf("\n   mem");
	for (unsigned k = 0; k < 32; k++)
		printf(" %02x", data[k]);
	printf("\n");
}

/* --- What the manuals leave open --- */

enum { C0 = 0x100, C1 = 0x200, C2 = 0x400, C3 = 0x4000, ES = 0x80, BUSY = 0x8000, IE = 1, TOP = 0x3800 };

static inline bool is_x87(const struct test *t)
{
	return t->insn.opcode >= 0xd8 && t->insn.opcode <= 0xdf && t->name[0] == 'f';
}

/*
 * Bits of FSW that SDM 2 and APM 5 call undefined after this operation ("FPU Flags Affected"), given what the host left
 * there. C1 is the direction of rounding; with an exception that isn't masked there may have been none.
 */
static inline unsigned undefined_status(const struct test *t, unsigned fsw)
{
	unsigned c1 = fsw & ES ? C1 : 0;

	if (!is_x87(t))
		return 0;
	switch (t->insn.op) {
	case CV_OP_fldcw: case CV_OP_fnstcw: case CV_OP_fnstenv: case CV_OP_fnstsw: case CV_OP_fnclex: case CV_OP_ffree:
	case CV_OP_ffreep: case CV_OP_fwait: case CV_OP_fnop:
		return C0 | C1 | C2 | C3;
	case CV_OP_fldenv: case CV_OP_frstor:
		return ES | BUSY; /* loaded as they are in the image, or made from what is pending */
	case CV_OP_fcom: case CV_OP_fcomp: case CV_OP_fcompp: case CV_OP_ficom: case CV_OP_ficomp: case CV_OP_fucom:
	case CV_OP_fucomp: case CV_OP_fucompp: case CV_OP_fcomi: case CV_OP_fcomip: case CV_OP_fucomi: case CV_OP_fucomip:
	case CV_OP_ftst: case CV_OP_fxam: case CV_OP_fninit: case CV_OP_fnsave:
		return c1;
	case CV_OP_fprem: case CV_OP_fprem1:
		/* The quotient's bits, when there is one. */
		return fsw & IE ? C0 | C1 | C2 | C3 : fsw & C2 ? C0 | C1 | C3 : c1;
	default:
		return C0 | C2 | C3 | c1;
	}
}

/* FPREM that isn't through: by how much it has reduced is the processor's choice (SDM 2A: 32 to 63 bits). */
static inline bool partial_remainder(const struct test *t, unsigned fsw)
{
	return (t->insn.op == CV_OP_fprem || t->insn.op == CV_OP_fprem1) && fsw & C2;
}

/* Two NaN operands: the one with the larger significand; neither manual says which of two that differ in sign alone. */
static inline bool nan_without_sign(const struct test *t)
{
	switch (t->insn.op) {
	case CV_OP_fadd: case CV_OP_faddp: case CV_OP_fsub: case CV_OP_fsubp: case CV_OP_fsubr: case CV_OP_fsubrp: case CV_OP_fmul:
	case CV_OP_fmulp: case CV_OP_fdiv: case CV_OP_fdivp: case CV_OP_fdivr: case CV_OP_fdivrp: case CV_OP_fprem:
	case CV_OP_fprem1: case CV_OP_fscale:
		return true;
	default:
		return false;
	}
}

static inline bool converts_to_mmx(const struct test *t)
{
	return t->insn.op == CV_OP_cvtps2pi || t->insn.op == CV_OP_cvttps2pi || t->insn.op == CV_OP_cvtpd2pi ||
	       t->insn.op == CV_OP_cvttpd2pi;
}

static inline uint64_t undefined_flags(const struct test *t)
{
	switch (t->insn.op) {
	case CV_OP_fcomi: case CV_OP_fcomip: case CV_OP_fucomi: case CV_OP_fucomip:
		return CV_FLAG_OF | CV_FLAG_SF | CV_FLAG_AF; /* the result is ZF, PF and CF */
	default:
		return 0;
	}
}

/*
 * Encodings whose effect the manuals don't give: the x87's aliases, which Intel's processors have and no manual lists,
 * and whether CVTPI2PS and CVTPI2PD from memory enter MMX mode.
 */
static inline bool implementation_specific(const struct test *t)
{
	unsigned modrm = t->insn.modrm, row = modrm & 0xf8;

	if (t->insn.mod != 3)
		return t->insn.op == CV_OP_cvtpi2ps || t->insn.op == CV_OP_cvtpi2pd;
	if (!is_x87(t))
		return false;
	switch (t->insn.opcode) {
	case 0xd9: return row == 0xd8;
	case 0xdb: return modrm == 0xe0 || modrm == 0xe1 || modrm == 0xe4;
	case 0xdc: return row == 0xd0 || row == 0xd8;
	case 0xdd: return row == 0xc8;
	case 0xde: return row == 0xd0;
	case 0xdf: return row <= 0xd8;
	default: return false;
	}
}

/* --- Comparing --- */

static inline bool is_nan_lane(const uint8_t *p, unsigned size)
{
	uint64_t v = 0;

	memcpy(&v, p, size);
	return size == 4 ? (v & 0x7fffffff) > 0x7f800000 : (v & INT64_MAX) > 0x7ff0000000000000;
}

/* DPPS and DPPD: which NaN comes of several depends on the order of the sums. */
static inline bool same_sums(const struct test *t, const uint8_t *a, const uint8_t *b)
{
	unsigned size = t->insn.op == CV_OP_dpps ? 4 : 8;

	for (unsigned k = 0; k < 16; k += size)
		if (memcmp(a + k, b + k, size) && !(is_nan_lane(a + k, size) && is_nan_lane(b + k, size)))
			return false;
	return true;
}

static inline bool same_xmm(const struct test *t, const struct image *a, const struct image *b)
{
	if (memcmp(a->high, b->high, sizeof(a->high)))
		return false;
	if (t->insn.op != CV_OP_dpps && t->insn.op != CV_OP_dppd)
		return !memcmp(a->fx + 160, b->fx + 160, 256);
	for (unsigned k = 0; k < 16; k++)
		if (!same_sums(t, a->fx + 160 + 16 * k, b->fx + 160 + 16 * k))
			return false;
	return true;
}

static inline bool same_st(const struct test *t, const uint8_t *a, const uint8_t *b)
{
	if (!memcmp(a, b, 10))
		return true;
	return nan_without_sign(t) && !memcmp(a, b, 9) && !((a[9] ^ b[9]) & 0x7f) && (a[9] & 0x7f) == 0x7f && a[8] == 0xff;
}

static inline bool same_stack(const struct test *t, const struct image *a, const struct image *b, unsigned fsw)
{
	for (unsigned k = partial_remainder(t, fsw) ? 1 : 0; k < 8; k++)
		if (!same_st(t, a->fx + 32 + 16 * k, b->fx + 32 + 16 * k))
			return false;
	return true;
}

static inline bool same_integers(const struct image *a, const struct image *b, uint64_t flags)
{
	return a->rax == b->rax && a->rcx == b->rcx && a->rdx == b->rdx && a->rdi == b->rdi && !((a->flags ^ b->flags) & flags);
}

/* a: the host's; da, db: memory. */
static inline bool same_as_documented(const struct test *t, const struct image *a, const struct image *b, const uint8_t *da,
				      const uint8_t *db)
{
	uint16_t fcw[2], fsw[2], control = 0xffff;
	bool refused = a->vector == EXC_XM, tags = !(converts_to_mmx(t) && a->vector >= 0);
	uint32_t mxcsr[2], status = refused ? ~0x3fu : ~0u; /* flags of what was not refused */
	unsigned ignored;

	memcpy(&fcw[0], a->fx, 2);
	memcpy(&fcw[1], b->fx, 2);
	memcpy(&fsw[0], a->fx + 2, 2);
	memcpy(&fsw[1], b->fx + 2, 2);
	memcpy(&mxcsr[0], a->fx + 24, 4);
	memcpy(&mxcsr[1], b->fx + 24, 4);
	ignored = undefined_status(t, fsw[0]) | (tags ? 0u : TOP);
	if (t->insn.op == CV_OP_fldcw || t->insn.op == CV_OP_fldenv || t->insn.op == CV_OP_frstor)
		control = 0x1f3f; /* reserved bits */
	return a->vector == b->vector && !((fcw[0] ^ fcw[1]) & control) && !((fsw[0] ^ fsw[1]) & ~ignored) &&
	       (!tags || a->fx[4] == b->fx[4]) && !((mxcsr[0] ^ mxcsr[1]) & status) && (!tags || same_stack(t, a, b, fsw[0])) &&
	       same_xmm(t, a, b) && same_integers(a, b, ARITH & ~undefined_flags(t)) && !memcmp(da, db, 128);
}

static inline bool same_exactly(const struct test *t, const struct image *a, const struct image *b, const uint8_t *da,
				const uint8_t *db)
{
	(void)t;
	return a->vector == b->vector && !memcmp(a->fx, b->fx, 4) && a->fx[4] == b->fx[4] && !memcmp(a->fx + 24, b->fx + 24, 4) &&
	       !memcmp(a->fx + 32, b->fx + 32, 512 - 32 - 96) && !memcmp(a->high, b->high, sizeof(a->high)) && same_integers(a, b, ARITH) && !memcmp(da, db, 128);
}

/* --- Running --- */

static inline void set_code(const struct test *t)
{
	uint8_t jump[14] = {0xff, 0x25, 0, 0, 0, 0};
	uint64_t landing = (uint64_t)(uintptr_t)native_landing;

	memcpy(jump + 6, &landing, 8);
	memcpy((void *)CODE, t->code, t->len);
	memcpy((uint8_t *)CODE + t->len, jump, sizeof(jump));
	put(CODE, t->code, t->len);
}

/* FSTENV and FSAVE: the pointers of the last instruction are not the host's; what else is reserved may be anything. */
static inline void forget_pointers(const struct test *t, uint8_t *data)
{
	if (t->insn.op != CV_OP_fnstenv && t->insn.op != CV_OP_fnsave)
		return;
	memset(data + (t->insn.osize == 2 ? 6 : 12), 0, t->insn.osize == 2 ? 8 : 16);
	for (unsigned k = 2; k < 12 && !intel && t->insn.osize != 2; k += 4)
		memset(data + k, 0, 2);
}

static inline void fill_data(const struct test *t, uint8_t *data, enum flavour f)
{
	for (unsigned k = 0; k < 128; k += 16)
		operand(data + k, f == AS_EXTENDED ? (enum flavour)below(AS_FLAVOURS) : f);
	if ((t->insn.op == CV_OP_ldmxcsr || t->insn.op == CV_OP_vldmxcsr) && below(4))
		memset(data + 2, 0, 2);
	if ((t->insn.op == CV_OP_ldmxcsr || t->insn.op == CV_OP_vldmxcsr) && !intel)
		data[2] &= (uint8_t)~2u; /* MXCSR.MM, which AMD's processors have */
	if (t->insn.op == CV_OP_fbld)
		for (unsigned k = 0; k < 9; k++)
			data[k] = (uint8_t)(below(10) | below(10) << 4);
}

typedef bool comparison(const struct test *t, const struct image *a, const struct image *b, const uint8_t *da,
			const uint8_t *db);

static inline void run_test(struct test *t, enum flavour f, comparison *equal)
{
	static uint8_t data[128], native_data[128], guest_data[128];
	struct image in, a, b;

	set_code(t);
	for (unsigned k = 0; k < CASES; k++) {
		random_image(&in, f);
		if (t->insn.vex & CV_VEX)
			random_high(&in, f);
		if (t->insn.mod != 3 && !below(30))
			in.rdi += 1 + below(8);
		fill_data(t, data, f);
		a = b = in;
		memcpy((void *)in.rdi, data, 128);
		run_native(&a);
		memcpy(native_data, (void *)in.rdi, 128);
		put(in.rdi, data, 128);
		run_guest(&b);
		cv_memory_read(&mem, in.rdi, guest_data, 128);
		forget_pointers(t, native_data);
		forget_pointers(t, guest_data);
		if (equal(t, &a, &b, native_data, guest_data))
			continue;
		if (t->failures++ < (getenv("CHECK_FP_VERBOSE") ? 3 : 0)) {
			printf("%s:", t->name);
			show_code(t);
			printf("\n");
			show("in    ", &in, data);
			show("native", &a, native_data);
			show("guest ", &b, guest_data);
		}
	}
}

/* Of what kind are the operands? Told from the name. */
static inline enum flavour flavour_of(const struct test *t)
{
	const char *n = t->name + (t->insn.vex & CV_VEX ? 1 : 0);
	size_t len = strlen(n);

	if (!strncmp(n, "pcmpe", 5) && strstr(n, "str"))
		return AS_TEXT;
	if (!strncmp(n, "pcmpi", 5))
		return AS_TEXT;
	if (t->insn.opcode >= 0xd8 && t->insn.opcode <= 0xdf && n[0] == 'f')
		return AS_EXTENDED;
	if (!strncmp(n, "cvt", 3))
		return strstr(n, "sd2") || strstr(n, "pd2") ? AS_DOUBLE : strstr(n, "ss2") || strstr(n, "ps2") ? AS_SINGLE : AS_INT;
	if (!strcmp(n + len - 2, "sd") || !strcmp(n + len - 2, "pd"))
		return AS_DOUBLE;
	if (!strcmp(n + len - 2, "ss") || !strcmp(n + len - 2, "ps"))
		return AS_SINGLE;
	return AS_INT;
}

static inline bool transcendental(enum cv_op op)
{
	switch (op) {
	case CV_OP_f2xm1:
	case CV_OP_fyl2x:
	case CV_OP_fyl2xp1:
	case CV_OP_fptan:
	case CV_OP_fpatan:
	case CV_OP_fsin:
	case CV_OP_fcos:
	case CV_OP_fsincos: return true;
	default: return false;
	}
}
static inline bool approximate(enum cv_op op)
{
	return op == CV_OP_rcpps || op == CV_OP_rcpss || op == CV_OP_rsqrtps || op == CV_OP_rsqrtss;
}

/* Decodes bytes; is it an operation of ops_fp.def, or a VEX-encoded vector operation? */
static inline bool make_test(struct test *t, const uint8_t *code, unsigned len)
{
	memset(t, 0, sizeof(*t));
	memcpy(t->code, code, len);
	if (cv_decode(t->code, 15, 64, features, &t->insn) != CV_DECODE_OK)
		return false;
	if (!(t->insn.vex & CV_VEX ? soft_handler_avx(&t->insn) : soft_handler_fp(&t->insn)))
		return false;
	t->len = t->insn.len;
	t->name = cv_op_name((enum cv_op)t->insn.op);
	return true;
}

static unsigned failures, tests;

static inline void reset_counts(void)
{
	failures = tests = 0;
}

static inline void check(const uint8_t *code, unsigned len)
{
	struct test t;

	if (!make_test(&t, code, len) || approximate(t.insn.op) || transcendental(t.insn.op))
		return;
	if (!intel && implementation_specific(&t)) {
		printf("left out: %s", t.name);
		show_code(&t);
		printf(", which the manuals don't define\n");
		return;
	}
	run_test(&t, flavour_of(&t), intel ? same_exactly : same_as_documented);
	tests++;
	if (t.failures) {
		failures++;
		printf("FAIL %s", t.name);
		show_code(&t);
		printf(": %u of %u cases\n", t.failures, CASES);
	}
}

#endif
