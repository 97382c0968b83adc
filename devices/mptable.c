/* SPDX-License-Identifier: MIT */
/*
 * MP table (Intel MultiProcessor Specification 1.4) for kernels that know no ACPI: the floating pointer at F0000h and
 * behind it the configuration table: one processor, the ISA bus, the IOAPIC, where the ISA lines go, the local pins.
 */
#include <string.h>

#include "devices/devices.h"

#define FLOATING_LEN 16
#define HEADER_LEN 44

enum { ENTRY_PROCESSOR, ENTRY_BUS, ENTRY_IOAPIC, ENTRY_INTERRUPT, ENTRY_LOCAL };
enum { INT_VECTORED, INT_NMI, INT_SMI, INT_EXTINT };
#define BUS_ISA 0

struct mp {
	uint8_t b[512];
	unsigned len, entries;
};

static void put(struct mp *t, uint64_t v, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		t->b[t->len++] = (uint8_t)(v >> (8 * i));
}

static void put_text(struct mp *t, const char *s, unsigned n)
{
	memcpy(t->b + t->len, s, n);
	t->len += n;
}

static uint8_t negative_sum(const uint8_t *b, unsigned n)
{
	uint8_t sum = 0;
	unsigned i;

	for (i = 0; i < n; i++)
		sum += b[i];
	return (uint8_t)-sum;
}

static void put_interrupt(struct mp *t, unsigned entry, unsigned type, unsigned flags, unsigned line, unsigned apic,
			  unsigned pin)
{
	put(t, entry, 1);
	put(t, type, 1);
	put(t, flags, 2);
	put(t, BUS_ISA, 1);
	put(t, line, 1);
	put(t, apic, 1);
	put(t, pin, 1);
	t->entries++;
}

static void put_processor(struct mp *t)
{
	put(t, ENTRY_PROCESSOR, 1);
	put(t, CV_LAPIC_ID, 1);
	put(t, 0x14, 1);	/* local APIC version */
	put(t, 3, 1);		/* enabled, bootstrap processor */
	put(t, 0x00000f00, 4);	/* family 15: see CPUID for the truth */
	put(t, 0x00000201, 4);	/* APIC and FPU */
	put(t, 0, 8);
	t->entries++;
}

static void put_ioapic(struct mp *t)
{
	put(t, ENTRY_IOAPIC, 1);
	put(t, CV_IOAPIC_ID, 1);
	put(t, 0x20, 1);
	put(t, 1, 1);
	put(t, CV_IOAPIC_BASE, 4);
	t->entries++;
}

static void put_entries(struct mp *t)
{
	unsigned line;

	put_processor(t);
	put(t, ENTRY_BUS, 1);
	put(t, BUS_ISA, 1);
	put_text(t, "ISA   ", 6);
	t->entries++;
	put_ioapic(t);
	for (line = 0; line < 16; line++) {
		if (line == 2)
			continue; /* the cascade */
		put_interrupt(t, ENTRY_INTERRUPT, INT_VECTORED, line == CV_IRQ_SCI ? 0xd : 0, line, CV_IOAPIC_ID,
			      line == CV_IRQ_PIT ? 2 : line);
	}
	put_interrupt(t, ENTRY_LOCAL, INT_EXTINT, 0, 0, CV_LAPIC_ID, 0);
	put_interrupt(t, ENTRY_LOCAL, INT_NMI, 0, 0, 0xff, 1);
}

void cv_mptable_write(struct cv_memory *mem)
{
	uint64_t table = CV_MPTABLE_BASE + FLOATING_LEN;
	struct mp t = {.len = 0}, f = {.len = 0};

	put_text(&t, "PCMP", 4);
	put(&t, 0, 2); /* length */
	put(&t, 4, 1); /* version 1.4 */
	put(&t, 0, 1); /* checksum */
	put_text(&t, "CHRONO  ", 8);
	put_text(&t, "CHRONOVISOR ", 12);
	put(&t, 0, 6); /* no OEM table */
	put(&t, 0, 2); /* entries */
	put(&t, CV_LAPIC_BASE, 4);
	put(&t, 0, 4);
	put_entries(&t);
	t.b[4] = (uint8_t)t.len;
	t.b[5] = (uint8_t)(t.len >> 8);
	t.b[34] = (uint8_t)t.entries;
	t.b[7] = negative_sum(t.b, t.len);
	cv_memory_write(mem, table, t.b, t.len);

	put_text(&f, "_MP_", 4);
	put(&f, table, 4);
	put(&f, 1, 1); /* in units of 16 bytes */
	put(&f, 4, 1);
	put(&f, 0, 1); /* checksum */
	put(&f, 0, 5); /* a table is there; virtual wire mode */
	f.b[10] = negative_sum(f.b, f.len);
	cv_memory_write(mem, CV_MPTABLE_BASE, f.b, f.len);
}
