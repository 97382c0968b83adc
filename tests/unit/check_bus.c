/* SPDX-License-Identifier: MIT */
/* The bus: who answers where, and how accesses are cut. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm-core/bus.h"

/* A device that writes down every access and reads as the low bytes of its own address pattern. */
struct probe {
	char log[256];
	uint8_t id;
};

static uint64_t probe_read(void *dev, uint64_t offset, unsigned size)
{
	struct probe *p = dev;
	uint64_t v = 0;

	snprintf(p->log + strlen(p->log), sizeof(p->log) - strlen(p->log), "r%llu/%u ", (unsigned long long)offset, size);
	for (unsigned k = 0; k < size; k++)
		v |= (uint64_t)(uint8_t)(p->id + offset + k) << (8 * k);
	return v | (size < 8 ? UINT64_MAX << (8 * size) : 0); /* noise above: the bus must mask it */
}

static void probe_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct probe *p = dev;

	snprintf(p->log + strlen(p->log), sizeof(p->log) - strlen(p->log), "w%llu/%u=%llx ", (unsigned long long)offset, size,
		 (unsigned long long)value);
}

static const struct cv_io_ops wide = {probe_read, probe_write, 0}, narrow = {probe_read, probe_write, 1},
			      dword = {probe_read, probe_write, 4}, deaf = {NULL, NULL, 0};

START_TEST(bus_nobody_reads_ones_and_loses_writes)
{
	struct cv_bus b = {0};

	ck_assert_uint_eq(cv_bus_in(&b, 0x80, 1), 0xff);
	ck_assert_uint_eq(cv_bus_in(&b, 0x80, 4), 0xffffffff);
	ck_assert_uint_eq(cv_bus_mmio_read(&b, 0xfee00000, 8), UINT64_MAX);
	cv_bus_out(&b, 0x80, 1, 7);
	cv_bus_mmio_write(&b, 0xfee00000, 4, 7);
}
END_TEST

START_TEST(bus_finds_each_of_many_regions)
{
	struct cv_bus b = {0};
	static struct probe p[CV_BUS_REGIONS];

	/* Registered in an order that is not that of addresses. */
	for (unsigned k = 0; k < CV_BUS_REGIONS; k++) {
		unsigned j = k * 37 % CV_BUS_REGIONS;

		memset(&p[j], 0, sizeof(p[j]));
		p[j].id = (uint8_t)(3 * j);
		cv_bus_add_pio(&b, (uint16_t)(0x100 * j), 8, &narrow, &p[j]);
	}
	for (unsigned j = 0; j < CV_BUS_REGIONS; j++) {
		ck_assert_uint_eq(cv_bus_in(&b, (uint16_t)(0x100 * j), 1), (uint8_t)(3 * j));
		ck_assert_uint_eq(cv_bus_in(&b, (uint16_t)(0x100 * j + 7), 1), (uint8_t)(3 * j + 7));
		ck_assert_uint_eq(cv_bus_in(&b, (uint16_t)(0x100 * j + 8), 1), 0xff);
	}
}
END_TEST

START_TEST(bus_splits_wide_access_low_address_first)
{
	struct cv_bus b = {0};
	struct probe p = {.id = 0x10};

	cv_bus_add_pio(&b, 0x70, 2, &narrow, &p);
	ck_assert_uint_eq(cv_bus_in(&b, 0x70, 2), 0x1110);
	ck_assert_str_eq(p.log, "r0/1 r1/1 ");
	p.log[0] = 0;
	cv_bus_out(&b, 0x70, 2, 0xabcd);
	ck_assert_str_eq(p.log, "w0/1=cd w1/1=ab ");
}
END_TEST

START_TEST(bus_access_beyond_region_end_is_cut)
{
	struct cv_bus b = {0};
	struct probe p = {.id = 0x10};

	cv_bus_add_pio(&b, 0x3f8, 8, &wide, &p);
	ck_assert_uint_eq(cv_bus_in(&b, 0x3fe, 4), 0xffff1716);
	ck_assert_str_eq(p.log, "r6/2 ");
}
END_TEST

START_TEST(bus_unaligned_mmio_reaches_device_aligned)
{
	struct cv_bus b = {0};
	struct probe p = {.id = 0};

	cv_bus_add_mmio(&b, 0xfec00000, 0x1000, &dword, &p);
	ck_assert_uint_eq(cv_bus_mmio_read(&b, 0xfec00001, 4), 0x04030201);
	ck_assert_str_eq(p.log, "r1/1 r2/2 r4/1 ");
	p.log[0] = 0;
	ck_assert_uint_eq(cv_bus_mmio_read(&b, 0xfec00010, 8), 0x1716151413121110);
	ck_assert_str_eq(p.log, "r16/4 r20/4 ");
	p.log[0] = 0;
	cv_bus_mmio_write(&b, 0xfec00020, 8, 0x1122334455667788);
	ck_assert_str_eq(p.log, "w32/4=55667788 w36/4=11223344 ");
}
END_TEST

START_TEST(bus_region_without_handlers_is_silent)
{
	struct cv_bus b = {0};

	cv_bus_add_pio(&b, 0x80, 1, &deaf, NULL);
	cv_bus_out(&b, 0x80, 1, 1);
	ck_assert_uint_eq(cv_bus_in(&b, 0x80, 1), 0xff);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bus");
	TCase *t = tcase_create("bus");
	SRunner *sr;
	int failed;

	tcase_add_test(t, bus_nobody_reads_ones_and_loses_writes);
	tcase_add_test(t, bus_finds_each_of_many_regions);
	tcase_add_test(t, bus_splits_wide_access_low_address_first);
	tcase_add_test(t, bus_access_beyond_region_end_is_cut);
	tcase_add_test(t, bus_unaligned_mmio_reaches_device_aligned);
	tcase_add_test(t, bus_region_without_handlers_is_silent);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
