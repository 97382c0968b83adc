/* SPDX-License-Identifier: MIT */
/*
 * The VT-x engine without a device: the state's way to the module and back, what exits mean, refusals in words; and on a module that
 * a software engine plays (fake_vtx.h) a guest with all that makes trouble, compared with the software engine step by step.
 */
#include <check.h>
#include <stdio.h>

#include "tests/unit/fake_vtx.h"
#include "tests/vtx/world.h"

static bool host_lacks(void)
{
	uint64_t missing = vtx_missing_features(cv_cpuid_model_find("chronovisor-v2"), 0);

	if (missing)
		fprintf(stderr, "left out: this host lacks features %llx of the model\n", (unsigned long long)missing);
	return missing != 0;
}

static void compare(unsigned skid, bool nmis, uint64_t every)
{
	struct cv_boot_images images;
	struct cv_error err;
	struct world a = {.reads = NULL}, b = {.reads = NULL};

	cv_error_clear(&err);
	small_guest(&images);
	ck_assert_int_eq(world_init(&a, cv_soft_new, &images, 64, nmis, &err), 0);
	ck_assert_int_eq(world_init(&b, cv_vtx_new, &images, 64, nmis, &err), 0);
	cv_vtx_set_skid(b.m->engine, skid);
	for (uint64_t at = 0; a.m->end.kind == CV_END_NONE; at += every)
		ck_assert(worlds_agree_at(&a, &b, at));
	ck_assert_uint_gt(fake_vtx->entries, 0);
	ck_assert_int_eq(a.m->end.kind, CV_END_DEBUG_EXIT);
	ck_assert_uint_gt(a.interrupts, 10);
	cv_machine_free(a.m);
	cv_machine_free(b.m);
}

/* What the module answered, each read at its position, is what the software engine asks for there. */
START_TEST(engine_that_answers_the_clock_is_replayed_by_soft)
{
	static struct world_read reads[WORLD_READS];
	struct world a = {.reads = reads}, b = {.reads = reads};
	const struct cv_stop until = {.insns = 12000};
	struct cv_boot_images images;
	struct cv_digest d[2];
	struct cv_error err;
	struct cv_run run;

	if (host_lacks())
		return;
	cv_error_clear(&err);
	small_guest(&images);
	ck_assert_int_eq(world_init(&a, cv_vtx_new, &images, 64, _i & 1, &err), 0);
	cv_vtx_set_skid(a.m->engine, _i & 2 ? 7 : 0);
	ck_assert_int_eq(cv_machine_run(a.m, &until, false, &run, &err), 0);
	ck_assert_uint_gt(vtx_of(a.m->engine)->clock_reads, 5);
	ck_assert_int_eq(world_init(&b, cv_soft_new, &images, 64, _i & 1, &err), 0);
	b.replays = true;
	b.nreads = a.nreads;
	ck_assert_int_eq(cv_machine_run(b.m, &until, false, &run, &err), 0);
	ck_assert(!a.wrong && !b.wrong);
	ck_assert_uint_eq(b.read_next, a.nreads);
	ck_assert_uint_eq(a.hash, b.hash);
	ck_assert_int_eq(cv_machine_digest(a.m, &d[0], &err), 0);
	ck_assert_int_eq(cv_machine_digest(b.m, &d[1], &err), 0);
	ck_assert_mem_eq(&d[0], &d[1], sizeof(d[0]));
	cv_machine_free(a.m);
	cv_machine_free(b.m);
}
END_TEST

static const struct {
	unsigned skid;
	bool nmis;
	unsigned every;
} ways[] = {{0, false, 1 << 20}, {0, false, 5}, {0, true, 97}, {7, false, 211}, {7, true, 12}, {100, true, 1013}, {100, false, 150}};

START_TEST(engine_on_a_guest_does_what_soft_does)
{
	if (!host_lacks())
		compare(ways[_i].skid, ways[_i].nmis, ways[_i].every);
}
END_TEST

/* --- State --- */

static uint64_t rng;

static uint64_t random64(void)
{
	rng += 0x9e3779b97f4a7c15ull;
	return mix(mix(mix(rng, rng >> 31), rng >> 17), rng >> 9) * 0x9e3779b97f4a7c15ull;
}

static void random_state(struct cv_vcpu_state *s)
{
	uint8_t *p = (uint8_t *)s;

	for (size_t k = 0; k < sizeof(*s); k++)
		p[k] = (uint8_t)(random64() >> 40);
	for (unsigned k = 0; k < CV_NSEGS; k++)
		s->seg[k].ar &= 0xf0ff;
	s->dr[4] = s->dr[5] = 0;
	s->x87.fop &= 0x7ff;
	s->x87.fcs = s->x87.fds = 0;
	s->shadow &= 3;
	s->nmi_blocked = random64() & 1;
	s->halted = s->nmi_pending = s->a20_masked = false;
	s->pending_db &= 0xe00f;
	s->pos.in_rep = false;
}

static void assert_same(const struct cv_vcpu_state *a, const struct cv_vcpu_state *b)
{
	struct cv_wbuf wa = {0}, wb = {0};

	cv_vcpu_save(a, &wa);
	cv_vcpu_save(b, &wb);
	ck_assert_uint_eq(wa.len, wb.len);
	for (size_t k = 0; k < wa.len; k++)
		ck_assert_msg(wa.data[k] == wb.data[k], "byte %zu: %02x, %02x", k, wa.data[k], wb.data[k]);
	cv_wbuf_release(&wa);
	cv_wbuf_release(&wb);
}

START_TEST(state_to_the_module_and_back_is_the_same)
{
	struct cv_vcpu_state s, back;
	struct cvvtx_state dev;
	struct cvvtx_run run;

	rng = 1;
	for (unsigned k = 0; k < 2000; k++) {
		random_state(&s);
		vtx_to_device(&s, &dev);
		vtx_to_run(&s, &run);
		back = s; /* what the module has no place for stays */
		memset(back.gpr, 0, sizeof(back.gpr));
		memset(back.seg, 0, sizeof(back.seg));
		memset(back.ymm, 0, sizeof(back.ymm));
		back.cr0 = back.cr3 = back.cr4 = back.efer = back.rip = back.rflags = back.xcr0 = back.lstar = 0;
		back.mxcsr = 0;
		back.shadow = 0;
		vtx_from_device(&dev, &run, &back);
		assert_same(&s, &back);
	}
}
END_TEST

START_TEST(state_with_components_unused_marks_none)
{
	struct cv_vcpu_state s, back;
	struct cvvtx_state dev;
	struct cvvtx_run run;
	uint64_t bv;

	rng = 2;
	random_state(&s);
	memset(&s.x87, 0, sizeof(s.x87));
	s.x87.fcw = 0x37f;
	for (unsigned k = 0; k < 16; k++)
		s.ymm[k][2] = s.ymm[k][3] = 0;
	vtx_to_device(&s, &dev);
	vtx_to_run(&s, &run);
	memcpy(&bv, dev.xsave + 512, 8);
	ck_assert_uint_eq(bv, 2);
	memset(dev.xsave, 0xa5, 24); /* XSAVE leaves a component alone that is in its initial state */
	memset(dev.xsave + 32, 0xa5, 128);
	memset(dev.xsave + 576, 0xa5, 256);
	back = s;
	vtx_from_device(&dev, &run, &back);
	assert_same(&s, &back);
}
END_TEST

START_TEST(state_of_unusable_segments_is_canonical)
{
	struct cv_vcpu_state s;
	struct cvvtx_state dev;
	struct cvvtx_run run = {0};

	memset(&dev, 0, sizeof(dev));
	for (unsigned k = 0; k < CV_NSEGS; k++)
		dev.seg[k] = (struct cvvtx_seg){.base = 0x1000, .limit = 77, .ar = 0x1c0f3, .sel = 3};
	memset(&s, 0, sizeof(s));
	vtx_from_device(&dev, &run, &s);
	for (unsigned k = 0; k < CV_NSEGS; k++) {
		ck_assert_uint_eq(s.seg[k].ar, CV_AR_UNUSABLE | (k == CV_SS ? 0x60 : 0));
		ck_assert_uint_eq(s.seg[k].limit, 0);
		ck_assert_uint_eq(s.seg[k].sel, 3);
		ck_assert_uint_eq(s.seg[k].base, k == CV_FS || k == CV_GS ? 0x1000 : 0);
	}
}
END_TEST

static void long_mode(struct cv_vcpu_state *s)
{
	cv_vcpu_reset(s);
	s->cr0 |= CV_CR0_PE | CV_CR0_PG;
	s->cr4 |= CV_CR4_PAE;
	s->efer = CV_EFER_LME | CV_EFER_LMA;
	s->seg[CV_CS] = (struct cv_seg){.limit = UINT32_MAX, .ar = 0xa09b, .sel = 8};
	s->seg[CV_LDTR] = (struct cv_seg){.ar = CV_AR_UNUSABLE};
	for (unsigned k = CV_ES; k <= CV_GS; k++)
		if (k != CV_CS)
			s->seg[k] = (struct cv_seg){.ar = CV_AR_UNUSABLE};
}

START_TEST(state_that_the_cpu_refuses_is_not_entered)
{
	struct cv_vcpu_state s, t;

	cv_vcpu_reset(&s);
	ck_assert(vtx_can_run(&s)); /* real mode at power-on */
	s.seg[CV_DS].limit = UINT32_MAX; /* unreal, with the granularity bit and without */
	ck_assert(!vtx_can_run(&s));
	s.seg[CV_DS].ar |= CV_AR_G;
	ck_assert(vtx_can_run(&s));
	long_mode(&s);
	ck_assert(vtx_can_run(&s));
#define REFUSED(change) do { t = s; change; ck_assert_msg(!vtx_can_run(&t), "%s", #change); } while (0)
	REFUSED(t.rflags |= CV_FLAG_TF);
	REFUSED(t.dr[7] |= 2);
	REFUSED(t.dr[7] |= 1u << 13);
	REFUSED(t.pending_db = 1u << 14);
	REFUSED(t.a20_masked = true);
	REFUSED(t.debugctl = CV_DEBUGCTL_BTF);
	REFUSED(t.shadow = CV_SHADOW_STI);
	REFUSED(t.rip = 1ull << 47);
	REFUSED(t.seg[CV_CS].ar |= CV_AR_DB);
	REFUSED(t.seg[CV_CS].ar = 0xa093 | CV_AR_UNUSABLE);
	REFUSED(t.seg[CV_SS].ar |= 0x60);
	REFUSED(t.seg[CV_TR].ar = CV_AR_P | 9);
	REFUSED(t.seg[CV_TR].ar |= CV_AR_UNUSABLE);
	REFUSED(t.seg[CV_GS].base = 1ull << 60);
	REFUSED(t.seg[CV_DS] = ((struct cv_seg){.limit = 0xfffff, .ar = 0x92}));
	REFUSED(t.rflags |= CV_FLAG_VM);
#undef REFUSED
}
END_TEST

/* --- Exits --- */

static uint64_t out_value, in_value;
static unsigned io_at, io_size;

static uint64_t io_read(void *dev, uint64_t offset, unsigned size)
{
	(void)dev;
	io_at = (unsigned)offset;
	io_size = size;
	return in_value;
}

static void io_write(void *dev, uint64_t offset, unsigned size, uint64_t v)
{
	io_read(dev, offset, size);
	out_value = v;
}

static const struct cv_io_ops io_ops = {.read = io_read, .write = io_write};
static struct cv_bus bus;
static struct cvvtx_run run_page;

static uint64_t tsc_of(void *ctx)
{
	return vtx_of(ctx)->s.pos.insns * 1000;
}

static void exits_setup(struct vtx_engine *e, uint32_t exit)
{
	memset(e, 0, sizeof(*e));
	memset(&bus, 0, sizeof(bus));
	memset(&run_page, 0, sizeof(run_page));
	cv_bus_add_pio(&bus, 0, 0x1000, &io_ops, NULL);
	e->host.bus = &bus;
	e->host.tsc = tsc_of;
	e->host.ctx = e;
	e->host.model = cv_cpuid_model_find("chronovisor-v2");
	e->run = &run_page;
	e->where = VTX_IN_DEVICE;
	e->s.pos.insns = 41;
	e->s.pos.sub = 3;
	run_page.exit = exit;
	run_page.rip = 0x1000;
	run_page.insn_len = 2;
	run_page.rflags = 2 | CV_FLAG_RF;
	run_page.interruptibility = 1;
}

static void assert_retired(const struct vtx_engine *e)
{
	ck_assert_uint_eq(run_page.rip, 0x1002);
	ck_assert_uint_eq(run_page.rflags, 2);
	ck_assert_uint_eq(run_page.interruptibility, 0);
	ck_assert_uint_eq(e->s.pos.insns, 42);
	ck_assert_uint_eq(e->s.pos.sub, 0);
}

START_TEST(exits_by_port_io_reach_the_bus)
{
	static const uint64_t merged[] = {0x1122334455667788ull, 0x1122334455667799ull, 0x112233445566aa99ull, 0, 0xccbbaa99ull};
	static struct vtx_engine e;

	for (unsigned n = 1; n <= 4; n *= 2) {
		exits_setup(&e, 30);
		in_value = 0xccbbaa99u & (n == 4 ? ~0u : (1u << 8 * n) - 1);
		run_page.gpr[CV_RAX] = merged[0];
		run_page.qualification = 0x128u << 16 | 8 | (n - 1);
		ck_assert_int_eq(vtx_exit(&e, NULL), VTX_DONE);
		ck_assert_uint_eq(run_page.gpr[CV_RAX], merged[n]);
		ck_assert_uint_eq(io_at, 0x128);
		ck_assert_uint_eq(io_size, n);
		assert_retired(&e);

		exits_setup(&e, 30);
		run_page.gpr[CV_RAX] = merged[0];
		run_page.qualification = 0x124u << 16 | (n - 1);
		ck_assert_int_eq(vtx_exit(&e, NULL), VTX_DONE);
		ck_assert_uint_eq(out_value, 0x55667788u & (n == 4 ? ~0u : (1u << 8 * n) - 1));
		ck_assert_uint_eq(run_page.gpr[CV_RAX], merged[0]);
		ck_assert_uint_eq(io_at, 0x124);
		assert_retired(&e);
	}
}
END_TEST

START_TEST(exits_that_need_more_go_to_the_software_engine)
{
	static struct vtx_engine e;
	static const uint32_t heavy[] = {0, 2, 9, 13, 14, 15, 28, 29, 31, 32, 36, 39, 46, 47, 54, 55, 57, 58, 61, CVVTX_EXIT_MMIO};

	for (unsigned k = 0; k < sizeof(heavy) / sizeof(heavy[0]); k++) {
		exits_setup(&e, heavy[k]);
		ck_assert_int_eq(vtx_exit(&e, NULL), VTX_BY_SOFT);
		ck_assert_uint_eq(e.s.pos.insns, 41);
		ck_assert_uint_eq(run_page.rip, 0x1000);
	}
#define TO_SOFT(exit, change) do { exits_setup(&e, exit); change; ck_assert_int_eq(vtx_exit(&e, NULL), VTX_BY_SOFT); } while (0)
	TO_SOFT(30, run_page.qualification = 0x10);			/* string I/O */
	TO_SOFT(10, run_page.rflags |= CV_FLAG_TF);			/* its trap */
	TO_SOFT(10, run_page.dr[7] = 1);
	TO_SOFT(10, run_page.rip = 0xffff);				/* where it goes is the mode's matter */
	TO_SOFT(10, run_page.insn_len = 0);
	TO_SOFT(CVVTX_EXIT_DIRTY, run_page.vector_info = 0x80000b0e);	/* a page fault was being delivered */
	TO_SOFT(CVVTX_EXIT_COUNT, run_page.vector_info = 0x80000b0e);
#undef TO_SOFT
	exits_setup(&e, CVVTX_EXIT_COUNT);
	ck_assert_int_eq(vtx_exit(&e, NULL), VTX_FIRED);
	exits_setup(&e, CVVTX_EXIT_SIGNAL);
	run_page.leave = 1;
	ck_assert_int_eq(vtx_exit(&e, NULL), VTX_DONE);
	ck_assert_uint_eq(run_page.leave, 0);
	ck_assert_uint_eq(e.s.pos.insns, 41);
}
END_TEST

START_TEST(exits_by_cpuid_rdtsc_and_hlt_are_carried_out)
{
	static struct vtx_engine e;
	uint32_t out[4];

	exits_setup(&e, 10);
	run_page.gpr[CV_RAX] = 0x80000001;
	run_page.cs_ar = CV_AR_L;
	run_page.efer = CV_EFER_LMA;
	ck_assert_int_eq(vtx_exit(&e, NULL), VTX_DONE);
	cv_cpuid(e.host.model, &e.s, 0x80000001, 0, out);
	ck_assert_uint_eq(out[3] >> 11 & 1, 1); /* SYSCALL, in 64-bit mode alone */
	ck_assert_uint_eq(run_page.gpr[CV_RDX], out[3]);
	ck_assert_uint_eq(run_page.gpr[CV_RCX], out[2]);
	assert_retired(&e);

	exits_setup(&e, 51);
	e.s.tsc_offset = 7ull << 32;
	e.s.tsc_aux = 99;
	ck_assert_int_eq(vtx_exit(&e, NULL), VTX_DONE);
	ck_assert_uint_eq(run_page.gpr[CV_RAX], 41000);
	ck_assert_uint_eq(run_page.gpr[CV_RDX], 7);
	ck_assert_uint_eq(run_page.gpr[CV_RCX], 99);
	assert_retired(&e);

	exits_setup(&e, 12);
	ck_assert_int_eq(vtx_exit(&e, NULL), VTX_DONE);
	ck_assert(e.s.halted);
	assert_retired(&e);
}
END_TEST

START_TEST(exits_by_failed_entry_are_host_errors)
{
	static struct vtx_engine e;
	struct cv_error err;

	cv_error_clear(&err);
	exits_setup(&e, CVVTX_EXIT_ENTRY_FAILED);
	run_page.qualification = 0x80000021;
	ck_assert_int_eq(vtx_exit(&e, &err), VTX_FAILED);
	ck_assert_int_eq(err.code, CV_E_IO);
	ck_assert_ptr_nonnull(strstr(err.msg, "1000"));
	cv_error_clear(&err);
	exits_setup(&e, CVVTX_EXIT_MEMORY);
	run_page.qualification = ENOMEM;
	run_page.gpa = 0xabc000;
	ck_assert_int_eq(vtx_exit(&e, &err), VTX_FAILED);
	ck_assert_int_eq(err.code, CV_E_NOMEM);
	ck_assert_ptr_nonnull(strstr(err.msg, "abc000"));
}
END_TEST

START_TEST(exits_have_names)
{
	ck_assert_str_eq(vtx_exit_name(30), "port I/O");
	ck_assert_str_eq(vtx_exit_name(CVVTX_EXIT_MMIO), "MMIO");
	ck_assert_str_eq(vtx_exit_name(5), "unknown");
	ck_assert_str_eq(vtx_exit_name(0x2000), "unknown");
}
END_TEST

/* --- Words --- */

START_TEST(refusals_say_why_and_what_to_do)
{
	char text[400];

	ck_assert(!vtx_refuses(0));
	ck_assert(!vtx_refuses(CVVTX_NO_VPID | CVVTX_NO_DTABLE));
	for (unsigned k = 0; k <= 12; k++) {
		if (!vtx_refuses(1u << k))
			continue;
		vtx_refusal_text(1u << k, text, sizeof(text));
		ck_assert_ptr_null(strstr(text, "newer"));
	}
	vtx_refusal_text(CVVTX_NO_OTHER, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "kvm_intel"));
	vtx_refusal_text(CVVTX_NO_BIOS, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "BIOS"));
	vtx_refusal_text(1u << 30, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "newer"));
	vtx_refusal_text(UINT32_MAX, text, sizeof(text)); /* cut, never overrun */
	ck_assert_uint_lt(strlen(text), sizeof(text));
	vtx_open_text(ENOENT, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "modprobe chronovisor_vtx"));
	vtx_open_text(EACCES, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "root"));
}
END_TEST

START_TEST(missing_features_name_the_model_to_use)
{
	const struct cv_cpuid_model *v3 = cv_cpuid_model_find("chronovisor-v3");
	struct cv_cpuid_model parsed;
	char text[1000], *spec, *end;

	vtx_missing_text(v3, CV_HAS(avx) | CV_HAS(sha), text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "lacks avx, sha"));
	spec = strstr(text, "--cpu ");
	ck_assert_ptr_nonnull(spec);
	spec += 6;
	end = strstr(spec, ", or");
	ck_assert_ptr_nonnull(end);
	*end = 0;
	ck_assert_int_eq(cv_cpuid_model_parse(spec, &parsed, NULL), 0); /* what needs AVX has gone with it */
	ck_assert_uint_eq(parsed.features & (CV_HAS(avx) | CV_HAS(avx2) | CV_HAS(fma) | CV_HAS(sha)), 0);
	ck_assert_uint_eq(parsed.features & CV_HAS(bmi1), CV_HAS(bmi1));
	ck_assert_uint_eq(vtx_missing_features(cv_cpuid_model_find("chronovisor-v2"), CVVTX_NO_DTABLE) & CV_HAS(umip), CV_HAS(umip));
	ck_assert_uint_eq(vtx_missing_features(v3, 0) & (CV_HAS(rdrand) | CV_HAS(umip)), 0);
}
END_TEST

START_TEST(engine_for_instructions_is_refused)
{
	static struct cv_memory mem;
	struct cv_engine_host host = {.mem = &mem, .model = cv_cpuid_model_find("chronovisor-v2"), .unit = CV_COUNT_INSNS};
	struct cv_error err;

	cv_error_clear(&err);
	ck_assert_ptr_null(cv_vtx_new(&host, &err));
	ck_assert_int_eq(err.code, CV_E_BADINPUT);
	ck_assert_ptr_nonnull(strstr(err.msg, "--count steps"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vtx");
	TCase *state = tcase_create("state"), *exits = tcase_create("exits"), *words = tcase_create("words"),
	      *engine = tcase_create("engine");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(state, state_to_the_module_and_back_is_the_same);
	tcase_add_test(state, state_with_components_unused_marks_none);
	tcase_add_test(state, state_of_unusable_segments_is_canonical);
	tcase_add_test(state, state_that_the_cpu_refuses_is_not_entered);
	tcase_add_test(exits, exits_by_port_io_reach_the_bus);
	tcase_add_test(exits, exits_that_need_more_go_to_the_software_engine);
	tcase_add_test(exits, exits_by_cpuid_rdtsc_and_hlt_are_carried_out);
	tcase_add_test(exits, exits_by_failed_entry_are_host_errors);
	tcase_add_test(exits, exits_have_names);
	tcase_add_test(words, refusals_say_why_and_what_to_do);
	tcase_add_test(words, missing_features_name_the_model_to_use);
	tcase_add_test(words, engine_for_instructions_is_refused);
	tcase_add_loop_test(engine, engine_on_a_guest_does_what_soft_does, 0, sizeof(ways) / sizeof(ways[0]));
	tcase_add_loop_test(engine, engine_that_answers_the_clock_is_replayed_by_soft, 0, 4);
	tcase_set_timeout(engine, 300);
	suite_add_tcase(s, state);
	suite_add_tcase(s, exits);
	suite_add_tcase(s, words);
	suite_add_tcase(s, engine);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
