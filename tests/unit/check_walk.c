/* SPDX-License-Identifier: MIT */
/* The page walker: each format's pages, each right, each error code, accessed and dirty bits. */
#include "soft_fixture.h"

enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };
#define NX (1ull << 63)
enum { E_P = 1, E_W = 2, E_U = 4, E_RSVD = 8, E_I = 16 };

enum { ROOT = 0x10000, PDPT = 0x11000, PD = 0x12000, PT = 0x13000 };

static struct fixture f;
static struct soft_walk w;

static void setup(void)
{
	fx_init(&f);
}

static void teardown(void)
{
	fx_release(&f);
}

static void use_long_mode(void)
{
	f.c->s.cr0 |= CV_CR0_PE | CV_CR0_PG | CV_CR0_WP;
	f.c->s.cr4 = CV_CR4_PAE | CV_CR4_PGE;
	f.c->s.efer = CV_EFER_LME | CV_EFER_LMA | CV_EFER_NXE;
	f.c->s.cr3 = ROOT;
	f.c->s.seg[CV_CS].ar = 0xa09b;
	soft_update_mode(f.c);
}

static void use_legacy(uint64_t cr4)
{
	f.c->s.cr0 |= CV_CR0_PE | CV_CR0_PG | CV_CR0_WP;
	f.c->s.cr4 = cr4;
	f.c->s.cr3 = ROOT;
	soft_update_mode(f.c);
}

/* Linear 40201xxx: PML4E 0, PDPTE 1, PDE 1, PTE 1. */
#define LA 0x40201678ull

static void map_4k(uint64_t rights)
{
	fx_put(&f, ROOT, PDPT | P | W | U, 8);
	fx_put(&f, PDPT + 8, PD | P | W | U, 8);
	fx_put(&f, PD + 8, PT | P | W | U, 8);
	fx_put(&f, PT + 8, 0x5000 | rights, 8);
}

static bool walk(enum soft_access access, unsigned mmu)
{
	return soft_page_walk(f.c, LA, access, mmu, false, &w);
}

static void faults(enum soft_access access, unsigned mmu, uint32_t error)
{
	uint64_t before = fx_get(&f, PT + 8, 8);

	ck_assert(!walk(access, mmu));
	ck_assert_uint_eq(w.error, error);
	ck_assert_uint_eq(fx_get(&f, PT + 8, 8), before);
}

START_TEST(walk_without_paging_is_identity_with_a20)
{
	ck_assert(soft_page_walk(f.c, 0x123456, SOFT_WRITE, SOFT_MMU_SUPER, false, &w));
	ck_assert_uint_eq(w.gpa, 0x123456);
	ck_assert(w.writable && w.dirty && w.executable);
	f.c->s.a20_masked = true;
	ck_assert(soft_page_walk(f.c, 0x123456, SOFT_READ, SOFT_MMU_SUPER, false, &w));
	ck_assert_uint_eq(w.gpa, 0x023456);
	f.c->s.a20_masked = false;
	ck_assert(soft_page_walk(f.c, 0x100000010ull, SOFT_READ, SOFT_MMU_SUPER, false, &w));
	ck_assert_uint_eq(w.gpa, 0x10);
}
END_TEST

START_TEST(walk_4level_4k_translates_and_sets_accessed_and_dirty)
{
	use_long_mode();
	map_4k(P | W | G);
	cv_memory_clear_dirty(&f.mem);
	ck_assert(walk(SOFT_READ, SOFT_MMU_SUPER));
	ck_assert_uint_eq(w.gpa, 0x5678);
	ck_assert(w.writable && !w.user && w.executable && w.global && !w.dirty);
	ck_assert_uint_eq(fx_get(&f, ROOT, 8) & (A | D), A);
	ck_assert_uint_eq(fx_get(&f, PDPT + 8, 8) & (A | D), A);
	ck_assert_uint_eq(fx_get(&f, PD + 8, 8) & (A | D), A);
	ck_assert_uint_eq(fx_get(&f, PT + 8, 8) & (A | D), A);
	ck_assert_uint_eq(f.mem.ndirty, 4);
	ck_assert(walk(SOFT_WRITE, SOFT_MMU_SUPER));
	ck_assert(w.dirty);
	ck_assert_uint_eq(fx_get(&f, PT + 8, 8) & (A | D), A | D);
	ck_assert_uint_eq(fx_get(&f, PD + 8, 8) & (A | D), A);
}
END_TEST

START_TEST(walk_peek_changes_nothing)
{
	use_long_mode();
	map_4k(P | W);
	cv_memory_clear_dirty(&f.mem);
	ck_assert(soft_page_walk(f.c, LA, SOFT_WRITE, SOFT_MMU_SUPER, true, &w));
	ck_assert_uint_eq(w.gpa, 0x5678);
	ck_assert_uint_eq(f.mem.ndirty, 0);
	ck_assert_uint_eq(fx_get(&f, PT + 8, 8), 0x5000 | P | W);
}
END_TEST

START_TEST(walk_4level_large_pages_translate)
{
	use_long_mode();
	fx_put(&f, ROOT, PDPT | P | W | U, 8);
	fx_put(&f, PDPT + 8, PD | P | W | U, 8);
	fx_put(&f, PD + 8, 0x600000 | P | W | PS, 8);
	ck_assert(walk(SOFT_WRITE, SOFT_MMU_SUPER));
	ck_assert_uint_eq(w.gpa, 0x601678);
	ck_assert_uint_eq(fx_get(&f, PD + 8, 8) & (A | D), A | D);
	fx_put(&f, PDPT + 8, 0x80000000 | P | W | PS, 8);
	ck_assert(walk(SOFT_READ, SOFT_MMU_SUPER));
	ck_assert_uint_eq(w.gpa, 0x80201678);
	/* The PAT bit of a large page is no address bit. */
	fx_put(&f, PDPT + 8, 0x80001000 | P | W | PS, 8);
	ck_assert(walk(SOFT_READ, SOFT_MMU_SUPER));
	ck_assert_uint_eq(w.gpa, 0x80201678);
}
END_TEST

START_TEST(walk_not_present_at_each_level_faults_without_p)
{
	static const uint64_t entries[] = {ROOT, PDPT + 8, PD + 8, PT + 8};

	use_long_mode();
	for (unsigned k = 0; k < 4; k++) {
		map_4k(P | W | U);
		fx_put(&f, entries[k], fx_get(&f, entries[k], 8) & ~(uint64_t)P, 8);
		faults(SOFT_READ, SOFT_MMU_SUPER, 0);
		faults(SOFT_WRITE, SOFT_MMU_SUPER, E_W);
		faults(SOFT_READ, SOFT_MMU_USER, E_U);
		faults(SOFT_FETCH, SOFT_MMU_USER, E_U | E_I);
	}
}
END_TEST

START_TEST(walk_user_rights_fault_with_p)
{
	use_long_mode();
	map_4k(P | W);
	faults(SOFT_READ, SOFT_MMU_USER, E_P | E_U);
	faults(SOFT_FETCH, SOFT_MMU_USER, E_P | E_U | E_I);
	map_4k(P | U);
	ck_assert(walk(SOFT_READ, SOFT_MMU_USER));
	faults(SOFT_WRITE, SOFT_MMU_USER, E_P | E_U | E_W);
	map_4k(P | W | U | NX);
	ck_assert(walk(SOFT_WRITE, SOFT_MMU_USER));
	faults(SOFT_FETCH, SOFT_MMU_USER, E_P | E_U | E_I);
	/* Rights combine over all levels. */
	map_4k(P | W | U);
	fx_put(&f, PD + 8, PT | P | U, 8);
	faults(SOFT_WRITE, SOFT_MMU_USER, E_P | E_U | E_W);
	fx_put(&f, PD + 8, PT | P | W, 8);
	faults(SOFT_READ, SOFT_MMU_USER, E_P | E_U);
	fx_put(&f, PD + 8, PT | P | W | U | NX, 8);
	faults(SOFT_FETCH, SOFT_MMU_USER, E_P | E_U | E_I);
}
END_TEST

START_TEST(walk_supervisor_write_protection_follows_wp)
{
	use_long_mode();
	map_4k(P);
	faults(SOFT_WRITE, SOFT_MMU_SUPER, E_P | E_W);
	f.c->s.cr0 &= ~(uint64_t)CV_CR0_WP;
	ck_assert(walk(SOFT_WRITE, SOFT_MMU_SUPER));
	ck_assert(!w.writable);
	map_4k(P | U);
	faults(SOFT_WRITE, SOFT_MMU_USER, E_P | E_U | E_W);
}
END_TEST

START_TEST(walk_smep_forbids_supervisor_fetch_of_user_page)
{
	use_long_mode();
	map_4k(P | W | U);
	ck_assert(walk(SOFT_FETCH, SOFT_MMU_SUPER));
	f.c->s.cr4 |= CV_CR4_SMEP;
	faults(SOFT_FETCH, SOFT_MMU_SUPER, E_P | E_I);
	faults(SOFT_FETCH, SOFT_MMU_SUPER_AC, E_P | E_I);
	ck_assert(walk(SOFT_FETCH, SOFT_MMU_USER));
	/* Without NX the fetch bit is there all the same while SMEP is on. */
	f.c->s.efer &= ~(uint64_t)CV_EFER_NXE;
	faults(SOFT_FETCH, SOFT_MMU_SUPER, E_P | E_I);
	f.c->s.cr4 &= ~(uint64_t)CV_CR4_SMEP;
	map_4k(0);
	faults(SOFT_FETCH, SOFT_MMU_SUPER, 0);
}
END_TEST

START_TEST(walk_smap_forbids_supervisor_data_in_user_page_unless_ac)
{
	use_long_mode();
	map_4k(P | W | U);
	ck_assert(walk(SOFT_READ, SOFT_MMU_SUPER));
	f.c->s.cr4 |= CV_CR4_SMAP;
	faults(SOFT_READ, SOFT_MMU_SUPER, E_P);
	faults(SOFT_WRITE, SOFT_MMU_SUPER, E_P | E_W);
	ck_assert(walk(SOFT_WRITE, SOFT_MMU_SUPER_AC));
	ck_assert(walk(SOFT_FETCH, SOFT_MMU_SUPER));
	ck_assert(walk(SOFT_READ, SOFT_MMU_USER));
}
END_TEST

START_TEST(walk_reserved_bits_fault_with_rsvd)
{
	use_long_mode();
	map_4k(P | W | U | 1ull << 39);
	faults(SOFT_READ, SOFT_MMU_SUPER, E_P | E_RSVD);
	faults(SOFT_WRITE, SOFT_MMU_USER, E_P | E_RSVD | E_W | E_U);
	map_4k(P | W | U | 1ull << 52); /* ignored in long mode */
	ck_assert(walk(SOFT_READ, SOFT_MMU_SUPER));
	map_4k(P | W | U | NX);
	f.c->s.efer &= ~(uint64_t)CV_EFER_NXE;
	faults(SOFT_READ, SOFT_MMU_SUPER, E_P | E_RSVD);
	f.c->s.efer |= CV_EFER_NXE;
	map_4k(P | W | U);
	fx_put(&f, ROOT, PDPT | P | W | U | PS, 8);
	faults(SOFT_READ, SOFT_MMU_SUPER, E_P | E_RSVD);
	fx_put(&f, ROOT, PDPT | P | W | U, 8);
	fx_put(&f, PD + 8, 0x602000 | P | W | PS, 8);
	faults(SOFT_READ, SOFT_MMU_SUPER, E_P | E_RSVD);
	fx_put(&f, PDPT + 8, 0x80200000 | P | W | PS, 8);
	faults(SOFT_READ, SOFT_MMU_SUPER, E_P | E_RSVD);
}
END_TEST

START_TEST(walk_table_outside_ram_reads_as_ones)
{
	use_long_mode();
	map_4k(P | W | U);
	fx_put(&f, PD + 8, 0x40000000 | P | W | U, 8);
	faults(SOFT_READ, SOFT_MMU_SUPER, E_P | E_RSVD);
}
END_TEST

START_TEST(walk_32bit_translates_4k_and_4m)
{
	use_legacy(CV_CR4_PSE);
	fx_put(&f, ROOT + (LA >> 22) * 4, PT | P | W | U, 4);
	fx_put(&f, PT + (LA >> 12 & 0x3ff) * 4, 0x7000 | P | W | U, 4);
	ck_assert(walk(SOFT_WRITE, SOFT_MMU_USER));
	ck_assert_uint_eq(w.gpa, 0x7678);
	ck_assert_uint_eq(fx_get(&f, PT + (LA >> 12 & 0x3ff) * 4, 4) & (A | D), A | D);
	ck_assert_uint_eq(fx_get(&f, ROOT + (LA >> 22) * 4, 4) & (A | D), A);
	fx_put(&f, ROOT + (LA >> 22) * 4, 0x800000 | P | W | U | PS, 4);
	ck_assert(walk(SOFT_WRITE, SOFT_MMU_USER));
	ck_assert_uint_eq(w.gpa, 0x800000 + (LA & 0x3fffff));
	/* PSE-36: bits 13 and up are address bits 32 and up; bit 20 is beyond 39 bits, bit 21 is reserved. */
	fx_put(&f, ROOT + (LA >> 22) * 4, 0x802000 | P | W | U | PS, 4);
	ck_assert(walk(SOFT_READ, SOFT_MMU_USER));
	ck_assert_uint_eq(w.gpa, 0x100800000 + (LA & 0x3fffff));
	fx_put(&f, ROOT + (LA >> 22) * 4, 0x800000 | P | W | U | PS | 1 << 20, 4);
	ck_assert(!walk(SOFT_READ, SOFT_MMU_USER));
	ck_assert_uint_eq(w.error, E_P | E_RSVD | E_U);
	fx_put(&f, ROOT + (LA >> 22) * 4, 0x800000 | P | W | U | PS | 1 << 21, 4);
	ck_assert(!walk(SOFT_READ, SOFT_MMU_SUPER));
	ck_assert_uint_eq(w.error, E_P | E_RSVD);
}
END_TEST

START_TEST(walk_32bit_fetch_error_has_no_instruction_bit)
{
	use_legacy(0);
	ck_assert(!walk(SOFT_FETCH, SOFT_MMU_USER));
	ck_assert_uint_eq(w.error, E_U);
}
END_TEST

START_TEST(walk_pae_translates_and_checks_pdpte)
{
	use_legacy(CV_CR4_PAE);
	f.c->s.efer = CV_EFER_NXE;
	fx_put(&f, ROOT + 8, PD | P, 8);
	fx_put(&f, PD + 8, PT | P | W | U, 8);
	fx_put(&f, PT + 8, 0x9000 | P | W | U | NX, 8);
	ck_assert(soft_load_pdptes(f.c, ROOT));
	ck_assert(walk(SOFT_WRITE, SOFT_MMU_USER));
	ck_assert_uint_eq(w.gpa, 0x9678);
	ck_assert_uint_eq(fx_get(&f, ROOT + 8, 8), PD | P); /* a PDPTE has no accessed bit */
	faults(SOFT_FETCH, SOFT_MMU_USER, E_P | E_U | E_I);
	fx_put(&f, PD + 8, 0xa00000 | P | W | PS, 8);
	ck_assert(walk(SOFT_READ, SOFT_MMU_SUPER));
	ck_assert_uint_eq(w.gpa, 0xa01678);
	fx_put(&f, PD + 8, 0xa00000 | P | W | PS | 1ull << 52, 8); /* reserved here */
	faults(SOFT_READ, SOFT_MMU_SUPER, E_P | E_RSVD);
	fx_put(&f, PD + 8, 0xa00000 | P | W | PS, 8);
	/* The four are registers: memory counts when they are loaded, and a reserved bit keeps them as they were. */
	fx_put(&f, ROOT + 8, PD | P | W, 8);
	ck_assert(!soft_load_pdptes(f.c, ROOT));
	ck_assert(walk(SOFT_READ, SOFT_MMU_SUPER));
	fx_put(&f, ROOT + 8, 0, 8);
	ck_assert(walk(SOFT_READ, SOFT_MMU_SUPER));
	ck_assert(soft_load_pdptes(f.c, ROOT));
	faults(SOFT_READ, SOFT_MMU_SUPER, 0);
}
END_TEST

/* PML5E 112h in front of the four of map_4k(). */
START_TEST(walk_5level_translates_and_names_the_missing_level)
{
	const uint64_t la = LA | 0x112ull << 48, root5 = 0x14000;

	use_long_mode();
	map_4k(P | W | U);
	f.c->s.cr4 |= CV_CR4_LA57;
	f.c->s.cr3 = root5;
	soft_update_mode(f.c);
	fx_put(&f, root5 + 0x112 * 8, ROOT | P | W | U, 8);
	ck_assert(!soft_canonical(f.c, la)); /* bit 56 is set */
	ck_assert(soft_canonical(f.c, la | 0x7full << 57));
	ck_assert(soft_canonical(f.c, 0x00ffffffffffffffull));
	ck_assert(soft_page_walk(f.c, la | 0x7full << 57, SOFT_WRITE, SOFT_MMU_USER, false, &w));
	ck_assert_uint_eq(w.gpa, 0x5678);
	ck_assert_uint_eq(fx_get(&f, root5 + 0x112 * 8, 8) & (A | D), A);
	ck_assert_uint_eq(fx_get(&f, PT + 8, 8) & (A | D), A | D);
	/* Again, by the quick way, for which every bit is there. */
	ck_assert(soft_page_walk(f.c, la | 0x7full << 57, SOFT_READ, SOFT_MMU_USER, false, &w));
	ck_assert_uint_eq(w.gpa, 0x5678);
	/* Without the root's right the page has none; PS is reserved in the root's entry (SDM 3A table 4-14). */
	fx_put(&f, root5 + 0x112 * 8, ROOT | P | U, 8);
	ck_assert(!soft_page_walk(f.c, la | 0x7full << 57, SOFT_WRITE, SOFT_MMU_USER, false, &w));
	ck_assert_uint_eq(w.error, E_P | E_W | E_U);
	fx_put(&f, root5 + 0x112 * 8, ROOT | P | W | U | PS, 8);
	ck_assert(!soft_page_walk(f.c, la | 0x7full << 57, SOFT_READ, SOFT_MMU_SUPER, false, &w));
	ck_assert_uint_eq(w.error, E_P | E_RSVD);
	fx_put(&f, root5 + 0x112 * 8, 0, 8);
	ck_assert(!soft_page_walk(f.c, la | 0x7full << 57, SOFT_READ, SOFT_MMU_SUPER, false, &w));
	ck_assert_uint_eq(w.error, 0);
}
END_TEST

START_TEST(walk_global_needs_pge)
{
	use_long_mode();
	map_4k(P | W | G);
	f.c->s.cr4 &= ~(uint64_t)CV_CR4_PGE;
	ck_assert(walk(SOFT_READ, SOFT_MMU_SUPER));
	ck_assert(!w.global);
}
END_TEST

static unsigned told_page, told_offset, told;

static void written(void *ctx, uint32_t page, uint32_t offset, uint32_t len)
{
	(void)ctx;
	told++;
	told_page = page;
	told_offset = offset;
	ck_assert_uint_eq(len, 1);
}

START_TEST(walk_accessed_bit_in_code_page_is_told)
{
	use_long_mode();
	map_4k(P | W);
	f.mem.written = written;
	told = 0;
	f.mem.flags[PT >> 12] |= CV_PAGE_CODE;
	ck_assert(walk(SOFT_READ, SOFT_MMU_SUPER));
	ck_assert_uint_eq(told, 1);
	ck_assert_uint_eq(told_page, PT >> 12);
	ck_assert_uint_eq(told_offset, 8);
	ck_assert(walk(SOFT_READ, SOFT_MMU_SUPER));
	ck_assert_uint_eq(told, 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("walk");
	TCase *t = tcase_create("walk");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, walk_without_paging_is_identity_with_a20);
	tcase_add_test(t, walk_4level_4k_translates_and_sets_accessed_and_dirty);
	tcase_add_test(t, walk_peek_changes_nothing);
	tcase_add_test(t, walk_4level_large_pages_translate);
	tcase_add_test(t, walk_not_present_at_each_level_faults_without_p);
	tcase_add_test(t, walk_user_rights_fault_with_p);
	tcase_add_test(t, walk_supervisor_write_protection_follows_wp);
	tcase_add_test(t, walk_smep_forbids_supervisor_fetch_of_user_page);
	tcase_add_test(t, walk_smap_forbids_supervisor_data_in_user_page_unless_ac);
	tcase_add_test(t, walk_reserved_bits_fault_with_rsvd);
	tcase_add_test(t, walk_table_outside_ram_reads_as_ones);
	tcase_add_test(t, walk_32bit_translates_4k_and_4m);
	tcase_add_test(t, walk_32bit_fetch_error_has_no_instruction_bit);
	tcase_add_test(t, walk_pae_translates_and_checks_pdpte);
	tcase_add_test(t, walk_5level_translates_and_names_the_missing_level);
	tcase_add_test(t, walk_global_needs_pge);
	tcase_add_test(t, walk_accessed_bit_in_code_page_is_told);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
