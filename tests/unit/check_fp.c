/* SPDX-License-Identifier: MIT */
/*
 * What x87, MMX and SSE have in common: the control bits that let an instruction run or not, operands at addresses without a
 * fast form, and their opcode maps, each row as Capstone decodes it.
 */
#include <capstone/capstone.h>

#include "fp_compare.h"
#include "fp_fixture.h"
#include "fp_operands.h"
#include "host_vendor.h"

/* --- May it run? --- */

/* The vector that an instruction raises under these control bits (cr0 beside PE, PG, ET; cr4 beside PAE), -1 for none. */
static int vector_under(const uint8_t *bytes, uint64_t cr0, uint64_t cr4, uint32_t mxcsr, uint16_t fsw)
{
	struct cv_stop stop = {.insns = UINT64_MAX, .step = true, .stop_at_delivery = true};
	uint8_t code[15] = {0};
	struct cv_vcpu_state s;
	struct cv_exit x;

	memcpy(code, bytes, 5);
	put(CODE, code, 15);
	guest_state(&s);
	s.cr0 = CV_CR0_PE | CV_CR0_ET | CV_CR0_PG | cr0;
	s.cr4 = CV_CR4_PAE | cr4;
	s.mxcsr = mxcsr;
	s.x87.fcw = 0x37e;
	s.x87.fsw = fsw;
	s.gpr[CV_RDI] = OPERAND;
	engine->ops->set_state(engine, &s);
	ck_assert_int_eq(engine->ops->run(engine, &stop, &x, NULL), 0);
	engine->ops->get_state(engine, &s);
	return s.rip >= HANDLERS && s.rip < HANDLERS + 32 * 16 ? (int)((s.rip - HANDLERS) / 16) : -1;
}

START_TEST(fp_control_bits_decide_ud_and_nm)
{
	enum { NE = CV_CR0_NE, EM = CV_CR0_EM, TS = CV_CR0_TS, MP = CV_CR0_MP, FX = CV_CR4_OSFXSR, XM = CV_CR4_OSXMMEXCPT };
	static const uint8_t addps[] = {0x0f, 0x58, 0xd1, 0, 0}, paddb[] = {0x0f, 0xfc, 0xd1, 0, 0}, fld1[] = {0xd9, 0xe8, 0, 0, 0},
			     fwait[] = {0x9b, 0, 0, 0, 0}, movnti[] = {0x0f, 0xc3, 0x17, 0, 0}, fninit[] = {0xdb, 0xe3, 0, 0, 0},
			     divps[] = {0x0f, 0x5e, 0xd1, 0, 0};
	static const struct {
		const uint8_t *code;
		uint64_t cr0, cr4;
		uint32_t mxcsr;
		uint16_t fsw;
		int vector;
	} cases[] = {
		{addps, NE, FX, 0x1f80, 0, -1}, {addps, NE, 0, 0x1f80, 0, EXC_UD}, {addps, NE | EM, FX, 0x1f80, 0, EXC_UD},
		{addps, NE | TS, FX, 0x1f80, 0, EXC_NM}, {addps, NE | TS | EM, FX, 0x1f80, 0, EXC_UD},
		{addps, NE | TS, 0, 0x1f80, 0, EXC_UD},
		{paddb, NE, 0, 0x1f80, 0, -1}, {paddb, NE | EM, FX, 0x1f80, 0, EXC_UD}, {paddb, NE | TS, FX, 0x1f80, 0, EXC_NM},
		{paddb, NE | TS | EM, FX, 0x1f80, 0, EXC_UD}, {paddb, NE, FX, 0x1f80, 0x8081, EXC_MF},
		{paddb, 0, FX, 0x1f80, 0x8081, -1},
		{fld1, NE, 0, 0x1f80, 0, -1}, {fld1, NE | EM, FX, 0x1f80, 0, EXC_NM}, {fld1, NE | TS, FX, 0x1f80, 0, EXC_NM},
		{fld1, NE, FX, 0x1f80, 0x8081, EXC_MF}, {fld1, 0, FX, 0x1f80, 0x8081, -1},
		{fninit, NE, FX, 0x1f80, 0x8081, -1}, {fninit, NE | TS, FX, 0x1f80, 0, EXC_NM},
		{fwait, NE | TS, 0, 0x1f80, 0, -1}, {fwait, NE | TS | MP, 0, 0x1f80, 0, EXC_NM}, {fwait, NE | EM, 0, 0x1f80, 0, -1},
		{fwait, NE, 0, 0x1f80, 0x8081, EXC_MF},
		{movnti, NE | EM | TS, 0, 0x1f80, 0, -1},
		/* 0/0 with the invalid exception not masked */
		{divps, NE, FX | XM, 0x1f00, 0, EXC_XM}, {divps, NE, FX, 0x1f00, 0, EXC_UD}, {divps, NE, FX | XM, 0x1f80, 0, -1},
	};

	for (unsigned k = 0; k < sizeof(cases) / sizeof(cases[0]); k++)
		ck_assert_msg(vector_under(cases[k].code, cases[k].cr0, cases[k].cr4, cases[k].mxcsr, cases[k].fsw) ==
				      cases[k].vector, "case %u", k);
}
END_TEST

/* Real mode again: addresses without a fast form. */
START_TEST(movups_without_fast_address_moves)
{
	static const uint8_t load[] = {0x0f, 0x10, 0x17};
	uint8_t v[16];
	struct cv_stop stop = {.insns = UINT64_MAX, .step = true};
	struct cv_vcpu_state s;
	struct cv_exit x;

	for (unsigned k = 0; k < 16; k++)
		v[k] = (uint8_t)(k * 7 + 1);
	put(0x4ff9, v, 16); /* crosses a page */
	put(0x3000, load, 3);
	cv_vcpu_reset(&s);
	s.seg[CV_CS].base = s.seg[CV_CS].sel = 0;
	s.rip = 0x3000;
	s.gpr[CV_RBX] = 0x4ff9;
	s.cr4 = CV_CR4_OSFXSR;
	engine->ops->set_state(engine, &s);
	ck_assert_int_eq(engine->ops->run(engine, &stop, &x, NULL), 0);
	engine->ops->get_state(engine, &s);
	ck_assert_mem_eq(s.ymm[2], v, 16);
	ck_assert_uint_eq(s.ymm[2][2], 0);
}
END_TEST

/* --- The opcode maps against Capstone --- */

/* Names that differ on purpose: one operation for PS and PD where only bits move, Capstone's aliases and spellings. */
static bool same_name(const char *ours, const char *theirs)
{
	static const char *const pairs[][2] = {
		{"movups", "movupd"}, {"movaps", "movapd"}, {"movlps", "movlpd"}, {"movhps", "movhpd"}, {"movntps", "movntpd"},
		{"andps", "andpd"}, {"andnps", "andnpd"}, {"orps", "orpd"}, {"xorps", "xorpd"}, {"movd", "movq"},
		{"maskmovdqu", "maskmovq"}, {"fwait", "wait"}, {"pinsrd", "pinsrq"}, {"pextrd", "pextrq"},
		{"fstp", "fstpnce"}, {"fnop", "feni8087_nop"}, {"fnop", "fdisi8087_nop"}, {"fnop", "fsetpm"},
	};
	char name[32];

	snprintf(name, sizeof(name), "%s", ours);
	if (strchr(name, '_'))
		*strchr(name, '_') = 0;
	if (!strcmp(name, theirs))
		return true;
	for (unsigned k = 0; k < sizeof(pairs) / sizeof(pairs[0]); k++)
		if (!strcmp(name, pairs[k][0]) && !strcmp(theirs, pairs[k][1]))
			return true;
	/* CMPPS with its condition in the name. */
	return !strncmp(name, "cmp", 3) && !strncmp(theirs, "cmp", 3) && !strcmp(name + 3, theirs + strlen(theirs) - 2);
}

static void check_decode(csh cs, const uint8_t *bytes)
{
	const uint8_t *p = bytes;
	size_t size = 15;
	uint64_t address = 0;
	struct test t;
	cs_insn *i;

	if (!make_test(&t, bytes, 15))
		return;
	i = cs_malloc(cs);
	tests++;
	if (!cs_disasm_iter(cs, &p, &size, &address, i)) {
		failures++;
		printf("FAIL %s: Capstone knows no %02x %02x %02x %02x\n", t.name, bytes[0], bytes[1], bytes[2], bytes[3]);
	} else if (i->size != t.len || !same_name(t.name, i->mnemonic)) {
		failures++;
		printf("FAIL %s (%u bytes): %s (%u bytes), %02x %02x %02x %02x\n", t.name, t.len, i->mnemonic, i->size, bytes[0], bytes[1],
		       bytes[2], bytes[3]);
	}
	cs_free(i, 1);
}

static void decode_row(csh cs, unsigned prefix, unsigned map, unsigned opcode)
{
	static const uint8_t prefixes[4] = {0, 0x66, 0xf3, 0xf2};
	/* register, [rdi], [rdi + disp8], [rip + disp32], [base + index * 8 + disp32] */
	static const uint8_t tails[][6] = {{0xd1}, {0x17}, {0x57, 0x80}, {0x15, 1, 2, 3, 4}, {0x94, 0xcf, 1, 2, 3, 4}};

	for (unsigned k = 0; k < 5; k++) {
		uint8_t code[15] = {0};
		unsigned n = 0;

		if (prefix)
			code[n++] = prefixes[prefix];
		code[n++] = 0x0f;
		if (map)
			code[n++] = (uint8_t)map;
		code[n++] = (uint8_t)opcode;
		memcpy(code + n, tails[k], 6);
		check_decode(cs, code);
	}
}

START_TEST(maps_every_row_is_as_capstone_decodes_it)
{
	static const uint8_t maps[3] = {0, 0x38, 0x3a};
	csh cs;

	ck_assert_int_eq(cs_open(CS_ARCH_X86, CS_MODE_64, &cs), CS_ERR_OK);
	for (unsigned m = 0; m < 3; m++)
		for (unsigned opcode = 0; opcode < 256; opcode++)
			for (unsigned prefix = 0; prefix < 4 && (m || (opcode != 0x38 && opcode != 0x3a)); prefix++)
				decode_row(cs, prefix, maps[m], opcode);
	for (unsigned opcode = 0xd8; opcode <= 0xdf; opcode++) {
		for (unsigned modrm = 0; modrm < 256; modrm++) {
			uint8_t code[15] = {(uint8_t)opcode, (uint8_t)modrm};

			check_decode(cs, code);
		}
	}
	cs_close(&cs);
	ck_assert_uint_gt(tests, 2000);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("fp");
	TCase *t = tcase_create("host");
	SRunner *r;
	int failed;

	tcase_add_unchecked_fixture(t, make_engine, NULL);
	tcase_add_checked_fixture(t, reset_counts, NULL);
	tcase_set_timeout(t, 300);
	tcase_add_test(t, fp_control_bits_decide_ud_and_nm);
	tcase_add_test(t, movups_without_fast_address_moves);
	tcase_add_test(t, maps_every_row_is_as_capstone_decodes_it);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
