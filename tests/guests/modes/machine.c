/* SPDX-License-Identifier: MIT */
/*
 * The machine as a kernel finds it: clocks that agree, interrupt controllers, firmware tables, memory, the ways to switch it
 * off. With the virtual clock a TSC tick is an instruction or an idle nanosecond, so the numbers are the same in every run.
 *
 * The command line chooses an end: s5, cf9, i8042, fadt, reboot, pvpanic, screen; without it the checks run.
 */
#include "guest.h"

#define LAPIC 0xfee00000ull
#define IOAPIC 0xfec00000ull
#define MS 1000000ull

static volatile uint64_t count[64], stamp[64];

static uint32_t apic(unsigned reg)
{
	return *(volatile uint32_t *)(LAPIC + reg);
}
static void apic_write(unsigned reg, uint32_t v)
{
	*(volatile uint32_t *)(LAPIC + reg) = v;
}
static uint32_t ioapic(unsigned reg)
{
	*(volatile uint32_t *)IOAPIC = reg;
	return *(volatile uint32_t *)(IOAPIC + 0x10);
}
static void ioapic_write(unsigned reg, uint32_t v)
{
	*(volatile uint32_t *)IOAPIC = reg;
	*(volatile uint32_t *)(IOAPIC + 0x10) = v;
}
static void route(unsigned gsi, uint32_t low)
{
	ioapic_write(0x11 + 2 * gsi, 0);
	ioapic_write(0x10 + 2 * gsi, low);
}
static uint8_t cmos(uint8_t reg)
{
	outb(0x70, reg);
	return inb(0x71);
}
static void cmos_write(uint8_t reg, uint8_t v)
{
	outb(0x70, reg);
	outb(0x71, v);
}

static void interrupt(struct frame *f)
{
	count[f->vector]++;
	stamp[f->vector] = rdtsc();
	if (f->vector == 0x28 || f->vector == 0x38)
		cmos(0x0c);
	if (f->vector < 0x30) { /* from the PICs */
		if (f->vector >= 0x28)
			outb(0xa0, 0x20);
		outb(0x20, 0x20);
	} else {
		apic_write(0xb0, 0);
	}
}

static void pic_init(void)
{
	outb(0x20, 0x11); outb(0xa0, 0x11);
	outb(0x21, 0x20); outb(0xa1, 0x28);
	outb(0x21, 4); outb(0xa1, 2);
	outb(0x21, 1); outb(0xa1, 1);
	outb(0x21, 0xff); outb(0xa1, 0xff);
}

/* Sleeps until the vector has come n more times; nanoseconds from the first of them to the last. */
static uint64_t wait(unsigned vector, uint64_t n)
{
	uint64_t first = 0, seen = 0, had;

	while (seen < n) {
		had = count[vector];
		__asm__ volatile("sti\n hlt\n cli" : : : "memory");
		if (count[vector] != had && ++seen == 1)
			first = stamp[vector];
	}
	return stamp[vector] - first;
}

static void near(const char *name, uint64_t got, uint64_t want, uint64_t tolerance)
{
	bool good = got + tolerance >= want && got <= want + tolerance;

	check(name, good ? want : got, want);
}

static void pit_load(uint8_t control, uint16_t n)
{
	outb(0x43, control);
	outb(0x40 + (control >> 6), (uint8_t)n);
	outb(0x40 + (control >> 6), (uint8_t)(n >> 8));
}

static uint32_t pm_port;
static uint32_t pm(void)
{
	return inl((uint16_t)pm_port) & 0xffffff;
}

static void pit(void)
{
	uint64_t t, a, b;
	uint32_t p;

	outb(0x21, 0xfe);
	pit_load(0x34, 1193); /* mode 2: every 999,847.5 ns */
	wait(0x20, 1);
	p = pm();
	t = wait(0x20, 101);
	near("PIT mode 2: 100 periods", t, 99984746, 5000);
	near("ACPI timer over 101 of them", (pm() - p) & 0xffffff, 361477, 100);
	pit_load(0x36, 1193); /* mode 3: the same period */
	wait(0x20, 1);
	near("PIT mode 3: 100 periods", wait(0x20, 101), 99984746, 5000);
	t = rdtsc();
	pit_load(0x30, 11932); /* mode 0: once after 10 ms */
	wait(0x20, 1);
	near("PIT mode 0: one shot", stamp[0x20] - t, 10000000, 10000);
	a = count[0x20];
	outb(0x21, 0xff);
	t = rdtsc();
	outb(0x61, 1); /* channel 2's gate up, speaker off */
	pit_load(0xb0, 11932);
	b = 0;
	while (!(inb(0x61) & 0x20))
		b++;
	near("PIT channel 2 by port 61h", rdtsc() - t, 10000000, 10000);
	check("it was polled", b > 100, 1);
	check("and mode 0 has fired once", count[0x20], a);
	/* Counter latch: mode 2 counts down from 65535. */
	pit_load(0x34, 0);
	outb(0x43, 0);
	a = inb(0x40);
	a |= (uint64_t)inb(0x40) << 8;
	for (volatile unsigned k = 0; k < 3000; k++)
		;
	outb(0x43, 0);
	b = inb(0x40);
	b |= (uint64_t)inb(0x40) << 8;
	check("the counter counts down", (uint16_t)(a - b) > 0 && (uint16_t)(a - b) < 1000, 1);
}

static void lapic(void)
{
	uint64_t t, elapsed, hz;

	apic_write(0xf0, 0x13f);
	apic_write(0x3e0, 0xb); /* divide by 1 */
	apic_write(0x320, 0x10031);
	apic_write(0x380, 0xffffffff);
	t = rdtsc();
	elapsed = apic(0x390);
	while (rdtsc() - t < 10 * MS)
		;
	elapsed -= apic(0x390);
	hz = elapsed * 100;
	near("LAPIC timer: CPUID's crystal, 25 MHz", hz, 25000000, 10000);
	hz = (hz + 500000) / 1000000 * 1000000;
	apic_write(0x320, 0x20031); /* periodic: 1 ms */
	apic_write(0x380, (uint32_t)(hz / 1000));
	wait(0x31, 1);
	near("LAPIC periodic: 100 periods", wait(0x31, 101), 100 * MS, 5000);
	apic_write(0x3e0, 3); /* divide by 16 */
	apic_write(0x380, (uint32_t)(hz / 1000));
	wait(0x31, 1);
	near("LAPIC divided by 16: 10 periods", wait(0x31, 11), 160 * MS, 5000);
	apic_write(0x320, 0x10031);
	apic_write(0x380, 0);
	apic_write(0x320, 0x40032); /* TSC deadline */
	t = rdtsc() + 3 * MS;
	wrmsr(0x6e0, t);
	check("TSC deadline: armed", rdmsr(0x6e0), t);
	wait(0x32, 1);
	check("TSC deadline: not early", stamp[0x32] >= t, 1);
	near("TSC deadline: on time", stamp[0x32], t, 1000);
	check("TSC deadline: disarmed", rdmsr(0x6e0), 0);
	elapsed = count[0x32];
	wrmsr(0x6e0, 1); /* the past: at once */
	__asm__ volatile("sti\n nop\n nop\n cli" : : : "memory");
	check("TSC deadline in the past: at once", count[0x32], elapsed + 1);
	wrmsr(0x6e0, rdtsc() + MS);
	wrmsr(0x6e0, 0);
	t = rdtsc();
	__asm__ volatile("sti");
	while (rdtsc() - t < 2 * MS)
		;
	__asm__ volatile("cli");
	check("TSC deadline: cancelled", count[0x32], elapsed + 1);
	/* Priorities: the higher vector first, CR8 holds off what is not above it. */
	elapsed = count[0x33];
	apic_write(0x300, 0x40033);
	WRITE_REG(cr8, 3);
	__asm__ volatile("sti\n nop\n nop\n cli" : : : "memory");
	check("CR8 holds the interrupt off", count[0x33], elapsed);
	check("it waits in IRR", apic(0x210) >> 19 & 1, 1);
	WRITE_REG(cr8, 2);
	__asm__ volatile("sti\n nop\n nop\n cli" : : : "memory");
	check("CR8 lets it through", count[0x33], elapsed + 1);
	WRITE_REG(cr8, 0);
	check("no interrupt in service", apic(0x110), 0);
}

static void rtc(void)
{
	uint64_t t, spent;

	outb(0x21, 0xfb);
	outb(0xa1, 0xfe);
	cmos_write(0x0a, 0x26); /* 1024 Hz */
	cmos(0x0c);
	cmos_write(0x0b, 0x42); /* periodic */
	wait(0x28, 1);
	near("RTC periodic: 64 periods of 1/1024 s", wait(0x28, 65), 62500000, 5000);
	cmos_write(0x0b, 0x12); /* update ended */
	cmos(0x0c);
	wait(0x28, 1);
	t = cmos(0);
	near("RTC update: every second", wait(0x28, 3), 2000 * MS, 5000);
	spent = (cmos(0) >> 4) * 10 + (cmos(0) & 15);
	t = (t >> 4) * 10 + (t & 15);
	check("RTC: its seconds", (spent + 60 - t) % 60, 3);
	/* Alarm: each second by don't-care codes. */
	cmos_write(1, 0xc0);
	cmos_write(3, 0xc0);
	cmos_write(5, 0xc0);
	cmos_write(0x0b, 0x22);
	cmos(0x0c);
	wait(0x28, 1);
	near("RTC alarm: every second", wait(0x28, 3), 2000 * MS, 5000);
	cmos_write(0x0b, 0x02);
	check("RTC: valid", cmos(0x0d) & 0x80, 0x80);
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
}

static void io_apic(void)
{
	uint64_t had;

	check("IOAPIC: 24 inputs", ioapic(1) >> 16 & 0xff, 23);
	pit_load(0x34, 1193);
	route(2, 0x35); /* the timer's override: ISA IRQ 0 is input 2 */
	wait(0x35, 1);
	near("IOAPIC: the timer's 10 periods", wait(0x35, 11), 9998475, 5000);
	route(2, 0x10035);
	had = count[0x35];
	for (uint64_t t = rdtsc(); rdtsc() - t < 3 * MS;)
		__asm__ volatile("sti\n nop\n cli");
	check("IOAPIC: masked", count[0x35], had);
	route(8, 0x38);
	cmos_write(0x0a, 0x26);
	cmos_write(0x0b, 0x42);
	cmos(0x0c);
	wait(0x38, 1);
	near("IOAPIC: RTC's 16 periods", wait(0x38, 17), 15625000, 5000);
	cmos_write(0x0b, 0x02);
	cmos(0x0c);
	route(8, 0x10000);
	check("IOAPIC: entries keep what is written", ioapic(0x10 + 2 * 2) & 0x1ffff, 0x10035);
	pit_load(0x30, 1);
}

/* --- Tables --- */

static bool equal(const void *a, const char *b, unsigned n)
{
	for (unsigned k = 0; k < n; k++)
		if (((const char *)a)[k] != b[k])
			return false;
	return true;
}

static unsigned sum(const void *p, unsigned n)
{
	unsigned s = 0;

	for (unsigned k = 0; k < n; k++)
		s += ((const uint8_t *)p)[k];
	return s & 0xff;
}

static const uint8_t *find(const char *what, uint64_t from, uint64_t to)
{
	unsigned n = 0;

	while (what[n])
		n++;
	for (uint64_t p = from; p < to; p += 16)
		if (equal((const void *)p, what, n))
			return (const uint8_t *)p;
	return NULL;
}

static uint32_t u32(const uint8_t *p)
{
	return *(const uint32_t *)p;
}

static const uint8_t *fadt, *dsdt, *madt;

static void acpi(bool quiet)
{
	const uint8_t *rsdp = find("RSD PTR ", 0xe0000, 0x100000), *rsdt;
	unsigned n, good = 0;

	if (!quiet)
		check("RSDP found", rsdp != NULL, 1);
	if (!rsdp)
		return;
	if (!quiet) {
		check("RSDP checksum", sum(rsdp, 20), 0);
		check("RSDP revision", rsdp[15], 2);
		check("RSDP extended checksum", sum(rsdp, 36), 0);
	}
	rsdt = (const uint8_t *)*(const uint64_t *)(rsdp + 24);
	n = (u32(rsdt + 4) - 36) / 8;
	for (unsigned k = 0; k < n; k++) {
		const uint8_t *t = (const uint8_t *)*(const uint64_t *)(rsdt + 36 + 8 * k);

		good += sum(t, u32(t + 4)) == 0;
		if (equal(t, "FACP", 4))
			fadt = t;
		if (equal(t, "APIC", 4))
			madt = t;
	}
	dsdt = fadt ? (const uint8_t *)(uint64_t)u32(fadt + 40) : NULL;
	pm_port = fadt ? u32(fadt + 76) : 0;
	if (quiet)
		return;
	check("XSDT", equal(rsdt, "XSDT", 4), 1);
	check("XSDT checksum", sum(rsdt, u32(rsdt + 4)), 0);
	check("every table's checksum", good, n);
	check("FADT and MADT", fadt && madt, 1);
	check("DSDT", dsdt && equal(dsdt, "DSDT", 4) && sum(dsdt, u32(dsdt + 4)) == 0, 1);
	check("ACPI timer's port", pm_port != 0, 1);
	check("MADT: LAPIC", u32(madt + 36), LAPIC);
}

/* SLP_TYP of S5: Name (\_S5, Package () { n, ... }) in the DSDT's AML. */
static int s5_type(void)
{
	for (const uint8_t *p = dsdt + 36; p < dsdt + u32(dsdt + 4) - 8; p++) {
		if (!equal(p, "_S5_", 4) || p[4] != 0x12)
			continue;
		p += 5;
		p += (*p >> 6) + 1; /* package length */
		p++;		    /* elements */
		return *p == 0x0a ? p[1] : *p == 0xff ? -1 : *p; /* byte prefix, or ZeroOp, OneOp */
	}
	return -1;
}

static void mp_table(void)
{
	const uint8_t *mp = find("_MP_", 0xf0000, 0x100000), *table, *e;
	unsigned cpus = 0, ioapics = 0, buses = 0, interrupts = 0, n;

	if (!mp)
		mp = find("_MP_", 0x9fc00, 0xa0000);
	check("MP pointer", mp != NULL, 1);
	if (!mp)
		return;
	check("MP pointer's checksum", sum(mp, 16), 0);
	table = (const uint8_t *)(uint64_t)u32(mp + 4);
	check("MP table", equal(table, "PCMP", 4), 1);
	check("MP table's checksum", sum(table, *(const uint16_t *)(table + 4)), 0);
	check("MP table's LAPIC", u32(table + 36), LAPIC);
	e = table + 44;
	n = *(const uint16_t *)(table + 34);
	for (unsigned k = 0; k < n; k++) {
		cpus += *e == 0 && (e[3] & 3) == 3;
		buses += *e == 1;
		ioapics += *e == 2 && u32(e + 4) == IOAPIC;
		interrupts += *e == 3 || *e == 4;
		e += *e ? 8 : 20;
	}
	check("MP: one boot CPU", cpus, 1);
	check("MP: one IOAPIC", ioapics, 1);
	check("MP: buses and interrupts", buses >= 1 && interrupts >= 16, 1);
	check("MP: entries end the table", (uint64_t)(e - table), *(const uint16_t *)(table + 4));
}

/* The memory map's sum, and that the last page of each range is there. */
static void memory(const uint32_t *multiboot)
{
	extern uint64_t pdpt[];
	const uint8_t *p = (const uint8_t *)(uint64_t)multiboot[12], *end = p + multiboot[11];
	uint64_t usable = 0, bad = 0;

	for (uint64_t g = 4; g < 20; g++)
		pdpt[g] = g << 30 | 0x83;
	WRITE_REG(cr3, READ_REG(cr3));
	for (; p < end; p += u32(p) + 4) {
		uint64_t base = *(const uint64_t *)(p + 4), size = *(const uint64_t *)(p + 12);
		volatile uint64_t *last_word = (volatile uint64_t *)(base + size - 8);

		if (u32(p + 20) != 1)
			continue;
		usable += size;
		*last_word = base ^ 0x5a5a;
		bad += *last_word != (base ^ 0x5a5a);
	}
	check("the last word of each range", bad, 0);
	say("memory usable ");
	say_hex(usable);
	say("\n");
}

static void i8042(void)
{
	outb(0x64, 0xaa);
	while (!(inb(0x64) & 1))
		;
	check("i8042: self-test", inb(0x60), 0x55);
	outb(0x64, 0x20);
	while (!(inb(0x64) & 1))
		;
	inb(0x60);
	check("i8042: empty", inb(0x64) & 3, 0);
	/* A20 by port 92h. */
	outb(0x92, inb(0x92) | 2);
	check("A20 on", inb(0x92) & 2, 2);
}

static void screen(void)
{
	const char *text = "Hello from B8000";
	volatile uint16_t *at = (volatile uint16_t *)0xb8000 + 80 * 3;

	for (unsigned k = 0; k < 80 * 25; k++)
		((volatile uint16_t *)0xb8000)[k] = 0x720;
	for (unsigned k = 0; text[k]; k++)
		at[k] = (uint16_t)(0x700 | (uint8_t)text[k]);
	check("the text buffer keeps what is written", at[0], 0x748);
	outb(0x3d4, 0x0e);
	outb(0x3d5, 0x01);
	check("CRTC registers too", inb(0x3d5), 1);
	leave(1);
}

/* The end that the command line asks for. */
static void end(void)
{
	if (has_word("s5")) {
		int type = s5_type();

		check("_S5 found", type >= 0, 1);
		outw((uint16_t)u32(fadt + 64), (uint16_t)(type << 10 | 1 << 13)); /* PM1a_CNT */
	} else if (has_word("fadt")) {
		check("FADT: reset register is a port", fadt[116], 1);
		outb((uint16_t)*(const uint64_t *)(fadt + 120), fadt[128]);
	} else if (has_word("cf9")) {
		outb(0xcf9, 2);
		outb(0xcf9, 6);
	} else if (has_word("i8042")) {
		outb(0x64, 0xfe);
	} else if (has_word("pvpanic")) {
		outb(0x505, 1);
	} else if (has_word("reboot")) {
		if (cmos(0x3f) == 0xa5) {
			say("second boot\n");
			leave(0);
		}
		cmos_write(0x3f, 0xa5);
		say("first boot\n");
		outb(0xcf9, 6);
	} else {
		return;
	}
	say("FAIL still running\n");
	leave(1);
}

void kmain(const uint32_t *multiboot)
{
	guest_init(multiboot);
	hook = interrupt;
	acpi(true);
	if (has_word("screen"))
		screen();
	if (has_word("map")) {
		memory(multiboot);
		leave(0);
	}
	end();
	pic_init();
	acpi(false);
	mp_table();
	memory(multiboot);
	i8042();
	pit();
	rtc();
	lapic();
	io_apic();
	say(failures ? "failed\n" : "passed\n");
	leave(failures ? 1 : 0);
}
