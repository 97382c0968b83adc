/* SPDX-License-Identifier: MIT */
/* The register tables and the target description: sizes, numbers, and a round trip through every register. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "gdbstub/regs.h"
#include "gdbstub/tdesc.h"

static const enum cv_gdb_arch archs[] = { CV_GDB_X86_64, CV_GDB_I386 };

START_TEST(regs_numbers_are_those_of_qemu)
{
	static const struct {
		const char *name;
		int number;
	} want[] = { { "rax", 0 },	 { "rbx", 1 },	 { "rsp", 7 },	 { "r8", 8 },	   { "rip", 16 },
		     { "eflags", 17 },	 { "cs", 18 },	 { "gs", 23 },	 { "fs_base", 24 }, { "k_gs_base", 26 },
		     { "cr0", 27 },	 { "efer", 32 }, { "st0", 33 },	 { "fop", 48 },	   { "xmm0", 49 },
		     { "xmm15", 64 },	 { "mxcsr", 65 }, { "eip", -1 } };

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		ck_assert_msg(cv_reg_find(CV_GDB_X86_64, want[i].name) == want[i].number, "%s is %d", want[i].name,
			      cv_reg_find(CV_GDB_X86_64, want[i].name));
	ck_assert_int_eq(cv_reg_find(CV_GDB_I386, "eax"), 0);
	ck_assert_int_eq(cv_reg_find(CV_GDB_I386, "esp"), 4);
	ck_assert_int_eq(cv_reg_find(CV_GDB_I386, "eip"), 8);
	ck_assert_int_eq(cv_reg_find(CV_GDB_I386, "st0"), 16);
	ck_assert_int_eq(cv_reg_find(CV_GDB_I386, "mxcsr"), 40);
	ck_assert_int_eq(cv_reg_find(CV_GDB_X86_64, "ymm0h"), 66);
	ck_assert_int_eq(cv_reg_find(CV_GDB_X86_64, "ymm15h"), 81);
}
END_TEST

START_TEST(regs_set_then_get_gives_the_same)
{
	for (unsigned a = 0; a < 2; a++) {
		size_t n;
		const struct cv_reg *r = cv_regs(archs[a], true, &n);

		for (size_t i = 0; i < n; i++) {
			struct cv_vcpu_state s;
			uint8_t in[CV_REG_BYTES_MAX], out[CV_REG_BYTES_MAX];
			unsigned bytes = r[i].bits / 8u;

			memset(&s, 0, sizeof(s));
			for (unsigned j = 0; j < bytes; j++)
				in[j] = (uint8_t)(0x11 * (j + 1));
			if (r[i].kind == CV_REG_FLAGS)
				memcpy(in, "\xd7\x0f\x00\x00", 4);
			if (r[i].kind == CV_REG_MXCSR || r[i].kind == CV_REG_FPU)
				memset(in + 2, 0, 2);
			if (r[i].kind == CV_REG_FPU && r[i].index == CV_FOP)
				in[1] = 2;
			if (r[i].kind == CV_REG_FPU && r[i].index == CV_FTAG)
				memcpy(in, "\xdd\xff", 2); /* zero and empty, as the contents say */
			if (r[i].kind == CV_REG_SEL || r[i].kind == CV_REG_CR8) {
				ck_assert(!cv_reg_set(&r[i], &s, 0, in));
				continue;
			}
			ck_assert_msg(cv_reg_set(&r[i], &s, 0, in), "%s cannot be set", r[i].name);
			cv_reg_get(&r[i], &s, 0, out);
			ck_assert_msg(!memcmp(in, out, bytes), "%s comes back changed", r[i].name);
		}
	}
}
END_TEST

START_TEST(regs_writing_what_was_read_changes_nothing)
{
	struct cv_vcpu_state s, before;
	size_t n;
	const struct cv_reg *r = cv_regs(CV_GDB_X86_64, true, &n);

	memset(&s, 0x5a, sizeof(s));
	before = s;
	for (size_t i = 0; i < n; i++) {
		uint8_t b[CV_REG_BYTES_MAX];

		cv_reg_get(&r[i], &s, 9, b);
		ck_assert(cv_reg_set(&r[i], &s, 9, b));
	}
	ck_assert_mem_eq(&s, &before, sizeof(s));
}
END_TEST

START_TEST(regs_fpu_stack_follows_top)
{
	struct cv_vcpu_state s = { 0 };
	uint8_t b[CV_REG_BYTES_MAX];
	size_t n;
	const struct cv_reg *r = cv_regs(CV_GDB_X86_64, true, &n);

	s.x87.fsw = 6 << 11;
	s.x87.mant[6] = 0x8000000000000000;
	s.x87.se[6] = 0x3fff;
	s.x87.ftw = 0xc0;
	cv_reg_get(&r[33], &s, 0, b);
	ck_assert_mem_eq(b, "\0\0\0\0\0\0\0\x80\xff\x3f", 10);
	cv_reg_get(&r[cv_reg_find(CV_GDB_X86_64, "ftag")], &s, 0, b);
	ck_assert_mem_eq(b, "\xff\x4f\0\0", 4); /* R7 zero, R6 valid, others empty */
}
END_TEST

START_TEST(code_bits_follow_mode_and_segment)
{
	struct cv_vcpu_state s = { 0 };

	ck_assert_uint_eq(cv_code_bits(&s), 16);
	s.cr0 = CV_CR0_PE;
	ck_assert_uint_eq(cv_code_bits(&s), 16);
	s.seg[CV_CS].ar = CV_AR_DB;
	ck_assert_uint_eq(cv_code_bits(&s), 32);
	s.efer = CV_EFER_LMA;
	ck_assert_uint_eq(cv_code_bits(&s), 32);
	s.seg[CV_CS].ar = CV_AR_L;
	ck_assert_uint_eq(cv_code_bits(&s), 64);
	s.rflags = CV_FLAG_VM;
	ck_assert_uint_eq(cv_code_bits(&s), 16);
}
END_TEST

START_TEST(tdesc_names_every_register_once)
{
	for (unsigned a = 0; a < 2; a++) {
		struct cv_wbuf w = { 0 };
		size_t n;
		const struct cv_reg *r = cv_regs(archs[a], true, &n);

		cv_tdesc_write(archs[a], true, &w);
		cv_put_u8(&w, 0);
		ck_assert_int_eq(w.err, 0);
		for (size_t i = 0; i < n; i++) {
			char want[120], *at;

			snprintf(want, sizeof(want), "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" regnum=\"%zu\"/>", r[i].name,
				 r[i].bits, r[i].type, i);
			at = strstr((char *)w.data, want);
			ck_assert_msg(at != NULL, "%s is missing", want);
			ck_assert_ptr_null(strstr(at + 1, want));
		}
		cv_wbuf_release(&w);
	}
}
END_TEST

/* Bytes of a `g` packet, and how often a text is in the description. */
static size_t packet_size(enum cv_gdb_arch arch, bool avx)
{
	size_t n, bytes = 0;
	const struct cv_reg *r = cv_regs(arch, avx, &n);

	for (size_t i = 0; i < n; i++)
		bytes += r[i].bits / 8u;
	return bytes;
}

static unsigned count_in_tdesc(enum cv_gdb_arch arch, bool avx, const char *text)
{
	struct cv_wbuf w = { 0 };
	unsigned count = 0;

	cv_tdesc_write(arch, avx, &w);
	cv_put_u8(&w, 0);
	ck_assert_int_eq(w.err, 0);
	for (const char *at = strstr((char *)w.data, text); at; at = strstr(at + 1, text))
		count++;
	cv_wbuf_release(&w);
	return count;
}

START_TEST(tdesc_has_ymm_registers_only_with_avx)
{
	ck_assert_uint_eq(packet_size(CV_GDB_X86_64, true), packet_size(CV_GDB_X86_64, false) + 16 * 16);
	ck_assert_uint_eq(packet_size(CV_GDB_I386, true), packet_size(CV_GDB_I386, false) + 8 * 16);
	ck_assert_uint_eq(count_in_tdesc(CV_GDB_X86_64, false, "avx"), 0);
	ck_assert_uint_eq(count_in_tdesc(CV_GDB_X86_64, false, "ymm"), 0);
	ck_assert_uint_eq(count_in_tdesc(CV_GDB_X86_64, true, "<feature name=\"org.gnu.gdb.i386.avx\">"), 1);
	ck_assert_uint_eq(count_in_tdesc(CV_GDB_X86_64, true, "<reg name=\"ymm"), 16);
	ck_assert_uint_eq(count_in_tdesc(CV_GDB_I386, false, "ymm"), 0);
	ck_assert_uint_eq(count_in_tdesc(CV_GDB_I386, true, "<reg name=\"ymm"), 8);
}
END_TEST

START_TEST(regs_ymm_halves_are_apart)
{
	struct cv_vcpu_state s = { 0 };
	uint8_t b[CV_REG_BYTES_MAX];
	size_t n;
	const struct cv_reg *r = cv_regs(CV_GDB_X86_64, true, &n);
	const struct cv_reg *low = &r[cv_reg_find(CV_GDB_X86_64, "xmm9")], *high = &r[cv_reg_find(CV_GDB_X86_64, "ymm9h")];

	for (unsigned k = 0; k < 4; k++)
		s.ymm[9][k] = 0x1111111111111111 * (k + 1);
	cv_reg_get(low, &s, 0, b);
	ck_assert_uint_eq(b[0], 0x11);
	ck_assert_uint_eq(b[15], 0x22);
	cv_reg_get(high, &s, 0, b);
	ck_assert_uint_eq(b[0], 0x33);
	ck_assert_uint_eq(b[15], 0x44);
	memset(b, 0x77, sizeof(b));
	ck_assert(cv_reg_set(high, &s, 0, b));
	ck_assert_uint_eq(s.ymm[9][1], 0x2222222222222222);
	ck_assert_uint_eq(s.ymm[9][2], 0x7777777777777777);
	ck_assert_uint_eq(s.ymm[9][3], 0x7777777777777777);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tdesc");
	TCase *c = tcase_create("tdesc");
	SRunner *r;
	int failed;

	tcase_add_test(c, regs_numbers_are_those_of_qemu);
	tcase_add_test(c, regs_set_then_get_gives_the_same);
	tcase_add_test(c, regs_writing_what_was_read_changes_nothing);
	tcase_add_test(c, regs_fpu_stack_follows_top);
	tcase_add_test(c, code_bits_follow_mode_and_segment);
	tcase_add_test(c, tdesc_names_every_register_once);
	tcase_add_test(c, tdesc_has_ymm_registers_only_with_avx);
	tcase_add_test(c, regs_ymm_halves_are_apart);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
