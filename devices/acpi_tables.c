/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables (ACPI 6.3, 5.2) as firmware leaves them in RAM below 1 MiB: RSDP, FACS, DSDT, FADT, MADT, RSDT, XSDT,
 * one after the other, each aligned to 16 bytes (FACS to 64).
 *
 * The DSDT is compiled from dsdt.asl at build time. The compiler's stamp in its header is replaced, so that the
 * initial machine doesn't depend on which version of the compiler made it.
 */
#include <string.h>

#include "devices/devices.h"
#include "devices/dsdt.hex"

#define HEADER_LEN 36
#define TABLE_MAX 4096

/* A table being built. */
struct table {
	uint8_t b[TABLE_MAX];
	uint32_t len;
};

static void put(struct table *t, uint64_t v, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		t->b[t->len++] = (uint8_t)(i < 8 ? v >> (8 * i) : 0);
}

static void put_text(struct table *t, const char *s, unsigned n)
{
	memcpy(t->b + t->len, s, n);
	t->len += n;
}

/* Generic address structure of an I/O register of `bytes`. */
static void put_gas(struct table *t, uint64_t port, unsigned bytes)
{
	put(t, bytes ? 1 : 0, 1); /* system I/O */
	put(t, bytes * 8, 1);
	put(t, 0, 1);
	put(t, bytes == 1 ? 1 : bytes == 2 ? 2 : bytes ? 3 : 0, 1);
	put(t, port, 8);
}

static void set32(struct table *t, unsigned at, uint32_t v)
{
	unsigned i;

	for (i = 0; i < 4; i++)
		t->b[at + i] = (uint8_t)(v >> (8 * i));
}

/* Makes n bytes sum up to zero by the byte at `at`. */
static void checksum(uint8_t *b, unsigned n, unsigned at)
{
	uint8_t sum = 0;
	unsigned i;

	b[at] = 0;
	for (i = 0; i < n; i++)
		sum += b[i];
	b[at] = (uint8_t)-sum;
}

static void put_creator(struct table *t)
{
	put_text(t, "CHRONO", 6);
	put_text(t, "CHRONOV ", 8);
	put(t, 1, 4);
	put_text(t, "CHRV", 4);
	put(t, 1, 4);
}

static void begin(struct table *t, const char *signature, uint8_t revision)
{
	memset(t, 0, sizeof(*t));
	put_text(t, signature, 4);
	put(t, 0, 4); /* length, set by finish */
	put(t, revision, 1);
	put(t, 0, 1); /* checksum */
	put_creator(t);
}

/* Writes a finished table at the next free address and gives that address. */
static uint64_t finish(struct cv_memory *mem, struct table *t, uint64_t *next)
{
	uint64_t at = *next;

	set32(t, 4, t->len);
	checksum(t->b, t->len, 9);
	cv_memory_write(mem, at, t->b, t->len);
	*next = (at + t->len + 15) & ~15ull;
	return at;
}

static uint64_t write_dsdt(struct cv_memory *mem, struct table *t, uint64_t *next)
{
	_Static_assert(sizeof(dsdt_aml_code) <= TABLE_MAX, "the DSDT has outgrown its buffer");

	memset(t, 0, sizeof(*t));
	t->len = 10;
	put_creator(t);
	memcpy(t->b + t->len, dsdt_aml_code + HEADER_LEN, sizeof(dsdt_aml_code) - HEADER_LEN);
	t->len = sizeof(dsdt_aml_code);
	memcpy(t->b, dsdt_aml_code, 10);
	return finish(mem, t, next);
}

static void write_facs(struct cv_memory *mem, uint64_t at)
{
	struct table t = {.len = 0};

	put_text(&t, "FACS", 4);
	put(&t, 64, 4);
	put(&t, 0, 24); /* signature, waking vector, global lock, flags, 64-bit vector */
	put(&t, 1, 1);	/* version */
	put(&t, 0, 31);
	cv_memory_write(mem, at, t.b, t.len);
}

enum {
	FADT_WBINVD = 1 << 0,
	FADT_PROC_C1 = 1 << 2,
	FADT_SLP_BUTTON = 1 << 5, /* no sleep button in fixed hardware */
	FADT_FIX_RTC = 1 << 6,	  /* no RTC wake in fixed hardware */
	FADT_RESET_REG = 1 << 10,
};
enum { BOOT_LEGACY_DEVICES = 1 << 0, BOOT_MSI_UNSUPPORTED = 1 << 3, BOOT_NO_ASPM = 1 << 4 };

/* FADT of revision 3: the fixed hardware of acpi_pm.c, twice over (32-bit fields, then generic addresses). */
static uint64_t write_fadt(struct cv_memory *mem, struct table *t, uint64_t *next, uint64_t facs, uint64_t dsdt)
{
	begin(t, "FACP", 3);
	put(t, facs, 4);
	put(t, dsdt, 4);
	put(t, 0, 2); /* reserved, preferred profile: unspecified */
	put(t, CV_IRQ_SCI, 2);
	put(t, 0, 8); /* SMI command port 0: ACPI mode is always on */
	put(t, CV_PORT_PM1_EVT, 4);
	put(t, 0, 4);
	put(t, CV_PORT_PM1_CNT, 4);
	put(t, 0, 8); /* PM1b control, PM2 control */
	put(t, CV_PORT_PM_TMR, 4);
	put(t, 0, 8); /* GPE0, GPE1 */
	put(t, 4, 1); /* lengths: PM1 event, PM1 control, PM2 control, PM timer */
	put(t, 2, 1);
	put(t, 0, 1);
	put(t, 4, 1);
	put(t, 0, 4);	   /* GPE lengths and base, C-state control */
	put(t, 0xfff, 2); /* no C2 */
	put(t, 0xfff, 2); /* no C3 */
	put(t, 0, 8); /* flush size and stride, duty offset and width, day and month alarm */
	put(t, 0x32, 1); /* century register */
	put(t, BOOT_LEGACY_DEVICES | BOOT_MSI_UNSUPPORTED | BOOT_NO_ASPM, 2);
	put(t, 0, 1);
	put(t, FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_FIX_RTC | FADT_RESET_REG, 4);
	put_gas(t, CV_PORT_RESET, 1);
	put(t, CV_RESET_VALUE, 1);
	put(t, 0, 3);
	put(t, facs, 8);
	put(t, dsdt, 8);
	put_gas(t, CV_PORT_PM1_EVT, 4);
	put_gas(t, 0, 0);
	put_gas(t, CV_PORT_PM1_CNT, 2);
	put_gas(t, 0, 0);
	put_gas(t, 0, 0);
	put_gas(t, CV_PORT_PM_TMR, 4);
	put_gas(t, 0, 0);
	put_gas(t, 0, 0);
	return finish(mem, t, next);
}

/* Interrupt source override: ISA line to global system interrupt. */
static void put_override(struct table *t, unsigned line, unsigned gsi, unsigned flags)
{
	put(t, 2, 1);
	put(t, 10, 1);
	put(t, 0, 1); /* ISA */
	put(t, line, 1);
	put(t, gsi, 4);
	put(t, flags, 2);
}

static uint64_t write_madt(struct cv_memory *mem, struct table *t, uint64_t *next)
{
	begin(t, "APIC", 3);
	put(t, CV_LAPIC_BASE, 4);
	put(t, 1, 4); /* there is an 8259 pair too */
	put(t, 0, 1); /* local APIC */
	put(t, 8, 1);
	put(t, 0, 1);
	put(t, CV_LAPIC_ID, 1);
	put(t, 1, 4);
	put(t, 1, 1); /* IOAPIC */
	put(t, 12, 1);
	put(t, CV_IOAPIC_ID, 1);
	put(t, 0, 1);
	put(t, CV_IOAPIC_BASE, 4);
	put(t, 0, 4);
	put_override(t, CV_IRQ_PIT, 2, 0);
	put_override(t, CV_IRQ_SCI, CV_IRQ_SCI, 0xd); /* active high, level */
	put(t, 4, 1);				       /* NMI on LINT1 of all */
	put(t, 6, 1);
	put(t, 0xff, 1);
	put(t, 0, 2);
	put(t, 1, 1);
	return finish(mem, t, next);
}

static void write_rsdp(struct cv_memory *mem, uint64_t at, uint64_t rsdt, uint64_t xsdt)
{
	struct table t = {.len = 0};

	put_text(&t, "RSD PTR ", 8);
	put(&t, 0, 1);
	put_text(&t, "CHRONO", 6);
	put(&t, 2, 1);
	put(&t, rsdt, 4);
	put(&t, HEADER_LEN, 4);
	put(&t, xsdt, 8);
	put(&t, 0, 4);
	checksum(t.b, 20, 8);
	checksum(t.b, t.len, 32);
	cv_memory_write(mem, at, t.b, t.len);
}

uint64_t cv_acpi_write_tables(struct cv_memory *mem)
{
	uint64_t facs = CV_TABLES_BASE + 0x40, next = CV_TABLES_BASE + 0x80;
	uint64_t dsdt, fadt, madt, rsdt, xsdt;
	struct table t;

	write_facs(mem, facs);
	dsdt = write_dsdt(mem, &t, &next);
	fadt = write_fadt(mem, &t, &next, facs, dsdt);
	madt = write_madt(mem, &t, &next);
	begin(&t, "RSDT", 1);
	put(&t, fadt, 4);
	put(&t, madt, 4);
	rsdt = finish(mem, &t, &next);
	begin(&t, "XSDT", 1);
	put(&t, fadt, 8);
	put(&t, madt, 8);
	xsdt = finish(mem, &t, &next);
	write_rsdp(mem, CV_TABLES_BASE, rsdt, xsdt);
	return next;
}
