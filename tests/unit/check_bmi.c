/* SPDX-License-Identifier: MIT */
/*
 * BMI1, BMI2, LZCNT, ADX and MOVBE: against the host's CPU from random registers and flags; by hand where the host is not
 * to be asked: definitions, faults, and the modes in which they are #UD.
 *
 * What the manuals leave undefined of the flags is compared on Intel's hosts alone.
 */
#include <cpuid.h>

#include "fp_compare.h"
#include "fp_fixture.h"
#include "fp_operands.h"
#include "host_vendor.h"

enum { NEEDS_BMI1 = 1, NEEDS_BMI2 = 2, NEEDS_LZCNT = 4, NEEDS_ADX = 8, NEEDS_MOVBE = 16 };
static unsigned host_has;

#define CF CV_FLAG_CF
#define PF CV_FLAG_PF
#define AF CV_FLAG_AF
#define ZF CV_FLAG_ZF
#define SF CV_FLAG_SF
#define OF CV_FLAG_OF

/* VEX rows: map 2 is 0F38, 3 is 0F3A; pp 0 none, 1 66, 2 F3, 3 F2. Legacy ones: the mandatory prefix and what follows 0F. */
struct row {
	const char *name;
	unsigned needs;
	bool vex;
	uint8_t prefix; /* legacy: the byte; VEX: pp */
	uint8_t map;
	uint8_t opcode;
	int digit;	/* ModRM.reg, -1: a register */
	bool imm, by66; /* 66h makes it 16 bits wide */
	bool memory;	/* alone */
	uint64_t undefined;
};
static const struct row rows[] = {
	{"tzcnt", NEEDS_BMI1, false, 0xf3, 0, 0xbc, -1, false, true, false, OF | SF | PF | AF},
	{"lzcnt", NEEDS_LZCNT, false, 0xf3, 0, 0xbd, -1, false, true, false, OF | SF | PF | AF},
	{"andn", NEEDS_BMI1, true, 0, 2, 0xf2, -1, false, false, false, AF | PF},
	{"bextr", NEEDS_BMI1, true, 0, 2, 0xf7, -1, false, false, false, AF | PF | SF},
	{"blsr", NEEDS_BMI1, true, 0, 2, 0xf3, 1, false, false, false, AF | PF},
	{"blsmsk", NEEDS_BMI1, true, 0, 2, 0xf3, 2, false, false, false, AF | PF},
	{"blsi", NEEDS_BMI1, true, 0, 2, 0xf3, 3, false, false, false, AF | PF},
	{"bzhi", NEEDS_BMI2, true, 0, 2, 0xf5, -1, false, false, false, AF | PF},
	{"pext", NEEDS_BMI2, true, 2, 2, 0xf5, -1, false, false, false, 0},
	{"pdep", NEEDS_BMI2, true, 3, 2, 0xf5, -1, false, false, false, 0},
	{"mulx", NEEDS_BMI2, true, 3, 2, 0xf6, -1, false, false, false, 0},
	{"shlx", NEEDS_BMI2, true, 1, 2, 0xf7, -1, false, false, false, 0},
	{"sarx", NEEDS_BMI2, true, 2, 2, 0xf7, -1, false, false, false, 0},
	{"shrx", NEEDS_BMI2, true, 3, 2, 0xf7, -1, false, false, false, 0},
	{"rorx", NEEDS_BMI2, true, 3, 3, 0xf0, -1, true, false, false, 0},
	{"adcx", NEEDS_ADX, false, 0x66, 0x38, 0xf6, -1, false, false, false, 0},
	{"adox", NEEDS_ADX, false, 0xf3, 0x38, 0xf6, -1, false, false, false, 0},
	{"movbe", NEEDS_MOVBE, false, 0, 0x38, 0xf0, -1, false, true, true, 0},
	{"movbe store", NEEDS_MOVBE, false, 0, 0x38, 0xf1, -1, false, true, true, 0},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

/* RAX, RCX, RDX, RSI; RDI points at the operand. */
static const uint8_t regs[] = {0, 1, 2, 6};

static unsigned any_register(void)
{
	return regs[below(4)];
}

static unsigned legacy_code(const struct row *row, uint8_t *code, uint8_t modrm)
{
	unsigned n = 0;

	if (row->by66 && !below(3))
		code[n++] = 0x66;
	if (row->prefix)
		code[n++] = row->prefix;
	if (below(2))
		code[n++] = 0x48;
	code[n++] = 0x0f;
	if (row->map)
		code[n++] = row->map;
	code[n++] = row->opcode;
	code[n++] = modrm;
	return n;
}

static unsigned vex_code(const struct row *row, uint8_t *code, uint8_t modrm)
{
	unsigned n = 0, vvvv = row->imm ? 15 : ~any_register() & 15;

	code[n++] = 0xc4;
	code[n++] = 0xe0 | row->map;
	code[n++] = (uint8_t)(below(2) << 7 | vvvv << 3 | row->prefix);
	code[n++] = row->opcode;
	code[n++] = modrm;
	if (row->imm)
		code[n++] = (uint8_t)rnd();
	return n;
}

static void random_instruction(const struct row *row, struct test *t)
{
	unsigned reg = row->digit >= 0 ? (unsigned)row->digit : any_register();
	bool memory = row->memory || below(2);
	uint8_t modrm = (uint8_t)(memory ? reg << 3 | 7 : 0xc0 | reg << 3 | any_register());

	memset(t, 0, sizeof(*t));
	t->name = row->name;
	t->len = row->vex ? vex_code(row, t->code, modrm) : legacy_code(row, t->code, modrm);
	ck_assert_int_eq(cv_decode(t->code, 15, 64, features, &t->insn), CV_DECODE_OK);
	ck_assert_uint_eq(t->insn.len, t->len);
}

static uint64_t value(void)
{
	switch (below(6)) {
	case 0: return 0;
	case 1: return UINT64_MAX;
	case 2: return 1ull << below(64);
	case 3: return rnd() << below(64);
	case 4: return rnd() & 0x7f7f; /* BEXTR's start and length, shift counts */
	default: return rnd();
	}
}

static void random_integers(struct image *m)
{
	random_image(m, AS_INT);
	m->rax = value();
	m->rcx = value();
	m->rdx = value();
	m->rsi = value();
}

static bool same(const struct image *a, const struct image *b, uint64_t flags)
{
	return a->vector == b->vector && a->rax == b->rax && a->rcx == b->rcx && a->rdx == b->rdx && a->rsi == b->rsi &&
	       a->rdi == b->rdi && !((a->flags ^ b->flags) & flags);
}

static void print(const char *who, const struct image *m)
{
	printf("  %s: vec %d rax %llx rcx %llx rdx %llx rsi %llx flags %llx\n", who, (int)m->vector, (unsigned long long)m->rax,
	       (unsigned long long)m->rcx, (unsigned long long)m->rdx, (unsigned long long)m->rsi,
	       (unsigned long long)(m->flags & ARITH));
}

/* One case; false: they differ, which has been printed. */
static bool equal_to_host(const struct row *row)
{
	uint64_t flags = ARITH & ~(intel ? 0 : row->undefined), operand = value(), native_data[2], guest_data[2];
	struct image in, a, b;
	struct test t;

	random_instruction(row, &t);
	set_code(&t);
	random_integers(&in);
	in.rdi += below(3) ? 0 : below(8);
	a = b = in;
	memset((void *)in.rdi, 0x77, 16);
	memcpy((void *)in.rdi, &operand, 8);
	put(in.rdi, (void *)in.rdi, 16);
	run_native(&a);
	memcpy(native_data, (void *)in.rdi, 16);
	run_guest(&b);
	ck_assert_uint_eq(cv_memory_read(&mem, in.rdi, guest_data, 16), 16);
	if (same(&a, &b, flags) && !memcmp(native_data, guest_data, 16))
		return true;
	printf("%s:", row->name);
	show_code(&t);
	printf(" operand %llx\n", (unsigned long long)operand);
	print("in    ", &in);
	print("native", &a);
	print("guest ", &b);
	return false;
}

START_TEST(bmi_row_random_equals_host)
{
	const struct row *row = &rows[_i];
	unsigned bad = 0;

	if (!(host_has & row->needs)) {
		printf("left out: %s, which this CPU lacks\n", row->name);
		return;
	}
	seed += (unsigned)_i * 1000003u;
	for (unsigned k = 0; k < 3000 && bad < 3; k++)
		bad += !equal_to_host(row);
	ck_assert_msg(bad == 0, "%s differs from the CPU", row->name);
}
END_TEST

/* --- By definition --- */

static void run(const uint8_t *code, unsigned n, struct image *m)
{
	m->fx[0] = 0x7f;
	m->fx[1] = 3;
	memcpy(m->fx + 24, "\x80\x1f", 2);
	if (!m->rdi)
		m->rdi = OPERAND;
	put(CODE, code, n);
	run_guest(m);
}
#define RUN(m, ...) run((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), (m))

START_TEST(tzcnt_of_zero_is_operand_size_with_carry)
{
	struct image m = {.rcx = 0xffff0000, .flags = 0x202 | ARITH};

	RUN(&m, 0x66, 0xf3, 0x0f, 0xbc, 0xc1); /* tzcnt ax, cx */
	ck_assert_uint_eq(m.rax, 16);
	ck_assert_uint_eq(m.flags & ARITH, CF);
	m = (struct image){.rax = UINT64_MAX, .rcx = 1ull << 40, .flags = 0x202};
	RUN(&m, 0xf3, 0x0f, 0xbc, 0xc1); /* tzcnt eax, ecx */
	ck_assert_uint_eq(m.rax, 32);
	ck_assert_uint_eq(m.flags & ARITH, CF);
	m = (struct image){.rcx = 1ull << 63, .flags = 0x202};
	RUN(&m, 0xf3, 0x48, 0x0f, 0xbd, 0xc1); /* lzcnt rax, rcx */
	ck_assert_uint_eq(m.rax, 0);
	ck_assert_uint_eq(m.flags & ARITH, ZF);
}
END_TEST

START_TEST(mulx_one_destination_gets_high_half)
{
	struct image m = {.rdx = UINT64_MAX, .rcx = UINT64_MAX, .flags = 0x202 | ARITH};

	RUN(&m, 0xc4, 0xe2, 0xfb, 0xf6, 0xc1); /* mulx rax, rax, rcx */
	ck_assert_uint_eq(m.rax, UINT64_MAX - 1);
	ck_assert_uint_eq(m.flags & ARITH, ARITH);
	m = (struct image){.rdx = 0x1000000010, .rcx = 0x20000000f0000000, .rsi = UINT64_MAX, .flags = 0x202};
	RUN(&m, 0xc4, 0xe2, 0x4b, 0xf6, 0xc1); /* mulx eax, esi, ecx */
	ck_assert_uint_eq(m.rax, 0xf);
	ck_assert_uint_eq(m.rsi, 0);
}
END_TEST

START_TEST(pdep_and_pext_move_bits_by_mask)
{
	struct image m = {.rcx = 0x5, .rdx = 0x8000000000010100, .flags = 0x202};

	RUN(&m, 0xc4, 0xe2, 0xf3, 0xf5, 0xc2); /* pdep rax, rcx, rdx */
	ck_assert_uint_eq(m.rax, 0x8000000000000100);
	m.rcx = m.rax;
	RUN(&m, 0xc4, 0xe2, 0xf2, 0xf5, 0xc2); /* pext rax, rcx, rdx */
	ck_assert_uint_eq(m.rax, 5);
}
END_TEST

START_TEST(adcx_and_adox_touch_one_flag)
{
	struct image m = {.rax = UINT64_MAX, .rcx = 1, .flags = 0x202 | PF | ZF | OF};

	RUN(&m, 0x66, 0x48, 0x0f, 0x38, 0xf6, 0xc1); /* adcx rax, rcx */
	ck_assert_uint_eq(m.rax, 0);
	ck_assert_uint_eq(m.flags & ARITH, PF | ZF | OF | CF);
	m.rax = 5;
	m.rcx = 6;
	RUN(&m, 0xf3, 0x48, 0x0f, 0x38, 0xf6, 0xc1); /* adox rax, rcx */
	ck_assert_uint_eq(m.rax, 12);
	ck_assert_uint_eq(m.flags & ARITH, PF | ZF | CF);
}
END_TEST

/* An operand that is not there: #PF, and nothing has changed. */
START_TEST(bmi_faulting_operand_changes_nothing)
{
	static const uint8_t code[][7] = {
		{0xc4, 0xe2, 0xf3, 0xf6, 0x07}, /* mulx rax, rcx, [rdi] */
		{0xc4, 0xe2, 0xf8, 0xf3, 0x0f}, /* blsr rax, [rdi] */
		{0xf3, 0x48, 0x0f, 0xbc, 0x07}, /* tzcnt rax, [rdi] */
		{0x66, 0x48, 0x0f, 0x38, 0xf6, 0x07}, /* adcx rax, [rdi] */
		{0x48, 0x0f, 0x38, 0xf0, 0x07}, /* movbe rax, [rdi] */
		{0x48, 0x0f, 0x38, 0xf1, 0x07}, /* movbe [rdi], rax */
	};

	for (unsigned k = 0; k < sizeof(code) / sizeof(code[0]); k++) {
		/* The last bytes of what is mapped, and those behind it. */
		struct image m = {.rax = 1, .rcx = 2, .rdx = 3, .rdi = RAM - 4, .flags = 0x202 | SF | CF};
		uint64_t before = 0x1122334455667788, after;

		put(RAM - 8, &before, 8);
		run(code[k], 7, &m);
		ck_assert_int_eq(m.vector, EXC_PF);
		ck_assert_uint_eq(m.rax, 1);
		ck_assert_uint_eq(m.rcx, 2);
		ck_assert_uint_eq(m.rdx, 3);
		ck_assert_uint_eq(m.flags & ARITH, SF | CF);
		ck_assert_uint_eq(cv_memory_read(&mem, RAM - 8, &after, 8), 8);
		ck_assert_uint_eq(after, before);
	}
}
END_TEST

/* --- Modes --- */

enum mode { REAL, VIRTUAL_8086, PROTECTED };

/* One instruction in 16-bit code, without paging. */
static struct cv_vcpu_state run16(enum mode mode, const uint8_t *code, unsigned n)
{
	struct cv_stop stop = {.insns = UINT64_MAX, .step = true, .stop_at_delivery = true};
	struct cv_vcpu_state s;
	struct cv_exit x;

	cv_vcpu_reset(&s);
	for (unsigned k = CV_ES; k <= CV_GS; k++)
		s.seg[k] = (struct cv_seg){.limit = 0xffff, .ar = CV_AR_P | CV_AR_S | 3};
	s.seg[CV_CS] = (struct cv_seg){.limit = 0xffff, .ar = CV_AR_P | CV_AR_S | 0xb, .sel = 8};
	s.gpr[CV_RSP] = 0x8000;
	s.gpr[CV_RCX] = 0xff00ff;
	s.gpr[CV_RDX] = 0x0f0f0f;
	s.rflags = 2;
	s.rip = 0x7c00;
	if (mode != REAL) {
		s.cr0 |= CV_CR0_PE;
		s.idtr.base = IDT - 0x8000;
		s.idtr.limit = 0xff;
		s.gdtr.base = TABLES + 0x3000;
		s.gdtr.limit = 0x1f;
		put64(s.idtr.base + 8 * EXC_UD, 0x00008e0000182000ull); /* 18h:2000h */
		put64(TABLES + 0x3000 + 0x18, 0x00cf9b000000ffffull);
		put64(TABLES + 0x3000 + 0x10, 0x00cf93000000ffffull);
	}
	if (mode == VIRTUAL_8086) {
		s.rflags |= CV_FLAG_VM | CV_FLAG_IOPL;
		for (unsigned k = CV_ES; k <= CV_GS; k++)
			s.seg[k] = (struct cv_seg){.limit = 0xffff, .ar = CV_AR_P | CV_AR_S | 0x60 | 3};
		s.seg[CV_TR] = (struct cv_seg){.base = TABLES + 0x4000, .limit = 0x67, .ar = CV_AR_P | 0xb, .sel = 0x20};
		put64(TABLES + 0x4000 + 4, 0x9000 | 0x10ull << 32); /* ESP0, SS0 */
	}
	put64(4 * EXC_UD, 0x2000); /* real mode's vector: 0:2000h */
	put(0x7c00, code, n);
	engine->ops->set_state(engine, &s);
	ck_assert_int_eq(engine->ops->run(engine, &stop, &x, NULL), 0);
	ck_assert_int_eq(x.kind, CV_EXIT_POSITION);
	engine->ops->get_state(engine, &s);
	return s;
}

static const uint8_t andn16[] = {0xc4, 0xe2, 0x68, 0xf2, 0xc1}, rorx16[] = {0xc4, 0xe3, 0x7b, 0xf0, 0xc1, 4},
		     tzcnt16[] = {0x66, 0xf3, 0x0f, 0xbc, 0xc1};

START_TEST(bmi_vex_in_protected_mode_runs)
{
	struct cv_vcpu_state s = run16(PROTECTED, andn16, sizeof(andn16));

	ck_assert_uint_eq(s.rip, 0x7c00 + sizeof(andn16));
	ck_assert_uint_eq(s.gpr[CV_RAX], 0xf000f0);
	s = run16(PROTECTED, rorx16, sizeof(rorx16));
	ck_assert_uint_eq(s.rip, 0x7c00 + sizeof(rorx16));
	ck_assert_uint_eq(s.gpr[CV_RAX], 0xf00ff00f);
}
END_TEST

START_TEST(bmi_vex_in_real_and_virtual_8086_mode_is_undefined)
{
	struct cv_vcpu_state s;

	for (enum mode mode = REAL; mode <= VIRTUAL_8086; mode++) {
		s = run16(mode, andn16, sizeof(andn16));
		ck_assert_uint_eq(s.rip, 0x2000);
		ck_assert_uint_eq(s.gpr[CV_RAX], 0);
		s = run16(mode, rorx16, sizeof(rorx16));
		ck_assert_uint_eq(s.rip, 0x2000);
	}
}
END_TEST

START_TEST(bmi_legacy_encoding_runs_in_all_modes)
{
	for (enum mode mode = REAL; mode <= PROTECTED; mode++) {
		struct cv_vcpu_state s = run16(mode, tzcnt16, sizeof(tzcnt16));

		ck_assert_uint_eq(s.rip, 0x7c00 + sizeof(tzcnt16));
		ck_assert_uint_eq(s.gpr[CV_RAX], 0);
		ck_assert_uint_eq(s.rflags & ARITH, ZF);
	}
}
END_TEST

static void setup(void)
{
	unsigned a, b, c, d;

	make_avx_engine();
	if (__get_cpuid_count(7, 0, &a, &b, &c, &d))
		host_has |= (b & 1u << 3 ? NEEDS_BMI1 : 0) | (b & 1u << 8 ? NEEDS_BMI2 : 0) | (b & 1u << 19 ? NEEDS_ADX : 0);
	if (__get_cpuid(1, &a, &b, &c, &d))
		host_has |= c & 1u << 22 ? NEEDS_MOVBE : 0;
	if (__get_cpuid(0x80000001, &a, &b, &c, &d))
		host_has |= c & 1u << 5 ? NEEDS_LZCNT : 0;
}

int main(void)
{
	Suite *s = suite_create("bmi");
	TCase *t = tcase_create("bmi");
	SRunner *r;
	int failed;

	tcase_add_unchecked_fixture(t, setup, NULL);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, bmi_row_random_equals_host, 0, ROWS);
	tcase_add_test(t, tzcnt_of_zero_is_operand_size_with_carry);
	tcase_add_test(t, mulx_one_destination_gets_high_half);
	tcase_add_test(t, pdep_and_pext_move_bits_by_mask);
	tcase_add_test(t, adcx_and_adox_touch_one_flag);
	tcase_add_test(t, bmi_faulting_operand_changes_nothing);
	tcase_add_test(t, bmi_vex_in_protected_mode_runs);
	tcase_add_test(t, bmi_vex_in_real_and_virtual_8086_mode_is_undefined);
	tcase_add_test(t, bmi_legacy_encoding_runs_in_all_modes);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
