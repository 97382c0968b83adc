/* SPDX-License-Identifier: MIT */
/*
 * Each allocation of the software engine is made to fail, one by one, until everything succeeds. Making the engine and setting points report
 * the error, leak nothing and leave what was before; running needs no memory to be right, only to be fast: with every allocation
 * failing a guest does the same instructions one at a time.
 *
 * malloc and its like are defined here and count. A sanitizer has its own: there this test is left out.
 */
#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm-core/engine.h"
#include "vmm-core/x86/cpuid.h"

enum { RAM = 16 << 20, CODE = 0x7f00, DATA = 0x20000 };

static long fail_at;   /* the allocation to fail, counting from 1; 0: none */
static bool fail_all;
static long allocated; /* so far, while armed */
static bool armed;
static long live; /* blocks allocated and not freed */

#if !defined(__SANITIZE_ADDRESS__)
#define OWN_MALLOC 1
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t m);
void *__libc_memalign(size_t align, size_t n);
void __libc_free(void *p);

static bool refuse(void)
{
	if (!armed || (++allocated != fail_at && !fail_all))
		return false;
	errno = ENOMEM;
	return true;
}

static void *counted(void *p)
{
	live += p != NULL;
	return p;
}

void *malloc(size_t n)
{
	return refuse() ? NULL : counted(__libc_malloc(n));
}

void *calloc(size_t n, size_t m)
{
	return refuse() ? NULL : counted(__libc_calloc(n, m));
}

void *aligned_alloc(size_t align, size_t n)
{
	return refuse() ? NULL : counted(__libc_memalign(align, n));
}

void free(void *p)
{
	live -= p != NULL;
	__libc_free(p);
}
#else
#define OWN_MALLOC 0
#endif

static struct cv_memory mem;
static struct cv_bus bus;

static void setup(void)
{
	memset(&mem, 0, sizeof(mem));
	memset(&bus, 0, sizeof(bus));
	ck_assert_int_eq(cv_memory_init(&mem, RAM, NULL), 0);
}

static void teardown(void)
{
	cv_memory_release(&mem);
}

static struct cv_engine *make(struct cv_error *err)
{
	struct cv_engine_host host = {.mem = &mem, .bus = &bus, .model = cv_cpuid_model_find("chronovisor-v2")};

	return cv_soft_new(&host, err);
}

START_TEST(engine_each_allocation_fails_is_reported_and_leaks_nothing)
{
	long n;

	for (n = 1;; n++) {
		struct cv_error err = {0};
		long before = live;
		struct cv_engine *e;

		fail_at = n;
		allocated = 0;
		armed = true;
		e = make(&err);
		armed = false;
		if (allocated < n) {
			ck_assert_ptr_nonnull(e);
			e->ops->free(e);
			ck_assert_int_eq(live, before);
			break;
		}
		ck_assert_ptr_null(e);
		ck_assert_int_eq(err.code, CV_E_NOMEM);
		ck_assert_msg(live == before, "allocation %ld: %ld blocks leaked", n, live - before);
	}
	ck_assert_int_gt(n, 3);
}
END_TEST

/* Real mode: a loop that writes, calls over a page's edge, and a block in two pages; HLT. */
static void load(struct cv_engine *e)
{
	static const uint8_t code[] = {
		0xb9, 0x00, 0x02,	/* mov $512, %cx */
		0x89, 0x8f, 0, 0,	/* 1: mov %cx, (%bx,...): [bx + 0] */
		0x01, 0xc8,		/* add %cx, %ax */
		0xe8, 0xf2, 0x00,	/* call 7ffeh */
		0x43,			/* inc %bx */
		0xe2, 0xf4,		/* loop 1b */
		0xf4,
	};
	static const uint8_t far_code[] = {0x81, 0xc2, 0x34, 0x12, 0xc3}; /* add $1234h, %dx over the edge; ret */
	struct cv_vcpu_state s;

	cv_memory_zero(&mem);
	ck_assert_uint_eq(cv_memory_write(&mem, CODE, code, sizeof(code)), sizeof(code));
	ck_assert_uint_eq(cv_memory_write(&mem, 0x7ffe, far_code, sizeof(far_code)), sizeof(far_code));
	cv_vcpu_reset(&s);
	s.seg[CV_CS].base = s.seg[CV_CS].sel = 0;
	s.seg[CV_DS].base = DATA;
	s.seg[CV_DS].sel = DATA >> 4;
	memset(s.gpr, 0, sizeof(s.gpr));
	s.gpr[CV_RSP] = 0x6000;
	s.rip = CODE;
	e->ops->set_state(e, &s);
}

static struct cv_vcpu_state run(struct cv_engine *e, enum cv_exit_kind kind, bool failing)
{
	struct cv_vcpu_state s;
	struct cv_exit x;
	int rc;

	armed = failing;
	rc = e->ops->run(e, &(struct cv_stop){.insns = 100000}, &x, NULL);
	armed = false;
	ck_assert_int_eq(rc, 0);
	ck_assert_int_eq(x.kind, kind);
	e->ops->get_state(e, &s);
	return s;
}

static void same(const struct cv_vcpu_state *a, const struct cv_vcpu_state *b)
{
	ck_assert_uint_eq(a->pos.insns, b->pos.insns);
	ck_assert_uint_eq(a->pos.branches, b->pos.branches);
	ck_assert_uint_eq(a->rip, b->rip);
	ck_assert_uint_eq(a->rflags, b->rflags);
	ck_assert_mem_eq(a->gpr, b->gpr, sizeof(a->gpr));
}

START_TEST(engine_without_memory_for_blocks_runs_the_same)
{
	static uint8_t ram[0x1000];
	struct cv_engine *e = make(NULL);
	struct cv_vcpu_state want, got;
	long n;

	load(e);
	want = run(e, CV_EXIT_HALT, false);
	ck_assert_uint_eq(want.gpr[CV_RAX] & 0xffff, 512 * 513 / 2 & 0xffff);
	ck_assert_uint_eq(want.gpr[CV_RDX] & 0xffff, 512 * 0x1234 & 0xffff);
	memcpy(ram, mem.ram + DATA, sizeof(ram));
	e->ops->free(e);
	for (n = 0;; n++) { /* 0: all of them */
		e = make(NULL);
		ck_assert_ptr_nonnull(e);
		load(e);
		fail_at = n;
		fail_all = n == 0;
		allocated = 0;
		got = run(e, CV_EXIT_HALT, true);
		same(&want, &got);
		ck_assert_mem_eq(ram, mem.ram + DATA, sizeof(ram));
		e->ops->free(e);
		if (n && allocated < n)
			break;
	}
	ck_assert_int_gt(n, 4);
}
END_TEST

START_TEST(engine_points_without_memory_stay_as_they_were)
{
	static const uint64_t one[] = {CODE + 3}, other[] = {CODE + 15};
	struct cv_engine *e = make(NULL);
	struct cv_vcpu_state s;

	ck_assert_int_eq(e->ops->set_points(e, one, 1, NULL, 0, NULL), 0);
	for (fail_at = 1; fail_at <= 2; fail_at++) {
		struct cv_error err = {0};
		long before = live;
		int rc;

		allocated = 0;
		armed = true;
		rc = e->ops->set_points(e, other, 1, NULL, 0, &err);
		armed = false;
		ck_assert_int_eq(rc, CV_E_NOMEM);
		ck_assert_int_eq(err.code, CV_E_NOMEM);
		ck_assert_int_eq(live, before);
		load(e);
		s = run(e, CV_EXIT_BREAK, false);
		ck_assert_uint_eq(s.rip, one[0]);
	}
	ck_assert_int_eq(e->ops->set_points(e, other, 1, NULL, 0, NULL), 0);
	load(e);
	s = run(e, CV_EXIT_BREAK, false);
	ck_assert_uint_eq(s.rip, other[0]);
	e->ops->free(e);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *t;
	SRunner *sr;
	int failed;

	if (!OWN_MALLOC) {
		printf("left out: allocations can't be made to fail under a sanitizer\n");
		return 77;
	}
	s = suite_create("engine_faults");
	t = tcase_create("memory");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, engine_each_allocation_fails_is_reported_and_leaks_nothing);
	tcase_add_test(t, engine_without_memory_for_blocks_runs_the_same);
	tcase_add_test(t, engine_points_without_memory_stay_as_they_were);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
