/* SPDX-License-Identifier: MIT */
/*
 * The machine's chips, each a deterministic state machine on ports, guest RAM and guest time.
 *
 * A chip is one struct of plain data, made by its `new` function, which also registers its regions and timers and
 * hands its ownership to the machine. Legend: [s] saved, [d] derived from what is saved, [h] host only, [i] immutable
 * after wiring. All pointers are borrowed. A chip's deadlines are saved by the clock, its pending lines by the
 * interrupt controllers. Loading has no effects outside the chip.
 *
 * Interrupt lines are logical: true is asserted, whatever the polarity on a real board.
 */
#ifndef CV_DEVICES_H
#define CV_DEVICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm-core/buf.h"
#include "vmm-core/bus.h"
#include "vmm-core/clock.h"
#include "vmm-core/machine.h"

/* --- Addresses and lines of this board; the ACPI tables and the DSDT say the same --- */

enum {
	CV_PORT_COM1 = 0x3f8,
	CV_PORT_PM1_EVT = 0x600, /* PM1a event block: status, enable */
	CV_PORT_PM1_CNT = 0x604,
	CV_PORT_PM_TMR = 0x608,
	CV_PORT_PVPANIC = 0x505,
	CV_PORT_DEBUG_EXIT = 0xf4,
	CV_PORT_PCI_ADDRESS = 0xcf8,
	CV_PORT_RESET = 0xcf9,
};

enum {
	CV_IRQ_PIT = 0,
	CV_IRQ_KBD = 1,
	CV_IRQ_COM1 = 4,
	CV_IRQ_RTC = 8,
	CV_IRQ_SCI = 9,
};

#define CV_LAPIC_BASE 0xfee00000ull
#define CV_IOAPIC_BASE 0xfec00000ull
#define CV_LAPIC_ID 0
#define CV_IOAPIC_ID 1
#define CV_IOAPIC_PINS 24
#define CV_LAPIC_TICK_NS 40 /* 25 MHz, the core crystal of CPUID leaf 15h */
#define CV_ACPI_S5_TYPE 5   /* SLP_TYPa of \_S5 */
#define CV_RESET_VALUE 6    /* what FADT says to write to CV_PORT_RESET */

/* --- Common (device.c) --- */

/* Zeroed storage that the machine then owns; NULL and a message when there is no memory. */
void *cv_device_new(struct cv_machine *m, size_t size, const struct cv_device_ops *ops, struct cv_error *err);
/* Reads a version byte; false and a corrupt reader unless it is `version`. */
bool cv_device_version(struct cv_rbuf *r, uint8_t version);
/* v * mul / div without overflow. */
uint64_t cv_muldiv(uint64_t v, uint64_t mul, uint64_t div);

/* --- Interrupt lines (irq.c): an ISA line 0..15 reaches the PIC and the IOAPIC (0 its pin 2), 16..23 the IOAPIC --- */

struct cv_pic;
struct cv_ioapic;
struct cv_lapic;

struct cv_irq {
	struct cv_pic *pic;
	struct cv_ioapic *ioapic;
};

void cv_irq_set(struct cv_irq *irq, unsigned line, bool level);
/* A short low, then high: an edge wherever the line stood. */
void cv_irq_pulse(struct cv_irq *irq, unsigned line);

/* --- 8259A pair (pic.c) --- */

struct cv_pic_chip {
	uint8_t irr, isr, imr;	/* [s] */
	uint8_t lines;		/* [s] input levels */
	uint8_t elcr;		/* [s] 1: level-triggered */
	uint8_t base;		/* [s] ICW2: vector of IR0 */
	uint8_t lowest;		/* [s] the IR with the lowest priority; 7 unless rotated */
	uint8_t init;		/* [s] ICW awaited: 0 none, 2, 3 or 4 */
	bool icw4, single, level; /* [s] of ICW1 */
	bool auto_eoi, rotate_aeoi, nested_special; /* [s] */
	bool special_mask, poll, read_isr; /* [s] OCW3 */
};

struct cv_pic {
	struct cv_pic_chip chip[2]; /* master, slave on IR2 */
	bool out;		    /* [d] INTR of the master */
	struct cv_lapic *lapic;	    /* [i] LINT0 */
	struct cv_ioapic *ioapic;   /* [i] pin 0 */
};

struct cv_pic *cv_pic_new(struct cv_machine *m, struct cv_error *err);
void cv_pic_set(struct cv_pic *p, unsigned line, bool level);
/* INTA: the vector; a spurious IR7's (or IR15's) if no request is left. */
unsigned cv_pic_acknowledge(struct cv_pic *p);

/* --- IOAPIC (ioapic.c) --- */

struct cv_ioapic {
	uint8_t id, select;		   /* [s] */
	uint32_t lines;			   /* [s] input levels */
	uint64_t entry[CV_IOAPIC_PINS];	   /* [s] redirection table */
	struct cv_lapic *lapic;		   /* [i] */
};

struct cv_ioapic *cv_ioapic_new(struct cv_machine *m, struct cv_error *err);
void cv_ioapic_set(struct cv_ioapic *io, unsigned pin, bool level);
void cv_ioapic_eoi(struct cv_ioapic *io, uint8_t vector);

/* --- Local APIC (lapic.c) --- */

enum { CV_LVT_TIMER, CV_LVT_THERMAL, CV_LVT_PERF, CV_LVT_LINT0, CV_LVT_LINT1, CV_LVT_ERROR, CV_LVTS };

struct cv_lapic {
	uint64_t base;			   /* [s] MSR 1Bh */
	uint32_t id, tpr, ldr, dfr, svr;   /* [s] */
	uint32_t isr[8], tmr[8], irr[8];   /* [s] */
	uint32_t esr, esr_pending;	   /* [s] as read; gathered since the last write */
	uint32_t icr_low, icr_high;	   /* [s] */
	uint32_t lvt[CV_LVTS];		   /* [s] */
	uint32_t initial, divide;	   /* [s] timer */
	uint64_t loaded;		   /* [s] guest ns at which `initial` was written */
	uint64_t tsc_deadline;		   /* [s] MSR 6E0h, 0 while not armed */
	bool pic_line;			   /* [s] INTR of the PIC */
	bool extint;			   /* [s] INTR arrives by an IOAPIC pin in ExtINT mode */
	bool pending;			   /* [d] an interrupt for the CPU */
	struct cv_timer timer;
	struct cv_machine *m;		   /* [i] */
	struct cv_pic *pic;		   /* [i] */
	struct cv_ioapic *ioapic;	   /* [i] */
};

extern const struct cv_irqchip_ops cv_lapic_irqchip;
struct cv_lapic *cv_lapic_new(struct cv_machine *m, struct cv_error *err);
void cv_lapic_set_pic(struct cv_lapic *l, bool level);
void cv_lapic_set_extint(struct cv_lapic *l, bool level);
/* A message on the bus. True if this APIC is the one addressed and took it. */
bool cv_lapic_deliver(struct cv_lapic *l, uint8_t dest, bool logical, unsigned mode, uint8_t vector, bool level);

/* Delivery modes of ICR, LVT and the IOAPIC. */
enum { CV_APIC_FIXED, CV_APIC_LOWEST, CV_APIC_SMI, CV_APIC_NMI = 4, CV_APIC_INIT, CV_APIC_SIPI, CV_APIC_EXTINT };

/* --- 8254 and port 61h (pit.c) --- */

struct cv_pit_channel {
	uint32_t count;	    /* [s] reload value, 1..65536 (BCD: 1..10000) */
	uint64_t loaded;    /* [s] guest ns at which counting began */
	uint8_t control;    /* [s] RW, mode and BCD bits of the control word */
	bool null_count;    /* [s] written, not yet counting */
	bool armed;	    /* [s] a count was written since the control word */
	bool triggered;	    /* [s] modes 1 and 5: a gate edge has been seen */
	bool gate;	    /* [s] */
	uint32_t paused;    /* [s] gate low in modes 0, 4: elapsed ticks when it fell */
	uint8_t write_low;  /* [s] first byte of a two-byte write */
	bool write_second, read_second; /* [s] the next byte is the high one */
	uint8_t latched;    /* [s] bytes left to read of `latch` */
	uint16_t latch;	    /* [s] */
	bool status_latched; /* [s] */
	uint8_t status;	    /* [s] */
};

struct cv_pit {
	struct cv_pit_channel ch[3];
	uint8_t speaker; /* [s] port 61h bits 3:0 */
	bool refresh;	 /* [s] toggles with each read of port 61h */
	struct cv_timer timer;
	struct cv_clock *clock; /* [i] */
	struct cv_irq *irq;	/* [i] */
};

struct cv_pit *cv_pit_new(struct cv_machine *m, struct cv_irq *irq, struct cv_error *err);
/* After a reset: timer 0 goes round its 65536 counts, as a BIOS leaves it. */
void cv_pit_start_tick(struct cv_pit *p);

/* --- MC146818 (rtc.c) --- */

struct cv_rtc {
	uint8_t index;	    /* [s] port 70h without the NMI mask */
	uint8_t cmos[128];  /* [s] time registers are current only while the clock is stopped (SET, divider reset) */
	int64_t base_ns;    /* [s] running: time shown = base_ns + guest ns, since 1970 */
	uint64_t seen;	    /* [s] guest ns up to which flags were gathered */
	struct cv_timer timer;
	struct cv_machine *m; /* [i] */
	struct cv_irq *irq;   /* [i] */
};

struct cv_rtc *cv_rtc_new(struct cv_machine *m, struct cv_irq *irq, struct cv_error *err);

/* --- 16550A (serial.c) --- */

#define CV_SERIAL_FIFO 16

struct cv_serial {
	uint8_t ier, iir_fifo, lcr, mcr, msr, lsr, scr, fcr; /* [s] iir_fifo: bits 7:6 of IIR */
	uint16_t divisor;		/* [s] */
	uint8_t rx[CV_SERIAL_FIFO];	/* [s] ring */
	uint8_t head, count;		/* [s] */
	bool thr_pending;		/* [s] THR empty interrupt not yet seen */
	bool listening;			/* [s] see cv_serial_room */
	bool mcr_written;		/* [s] */
	bool out;			/* [s] level of the interrupt line */
	unsigned line;			/* [i] */
	struct cv_irq *irq;		/* [i] */
	struct cv_machine *m;		/* [i] */
};

struct cv_serial *cv_serial_new(struct cv_machine *m, struct cv_irq *irq, struct cv_error *err);
/*
 * How many bytes the other end may send now. It honours RTS; a guest that has never touched MCR is taken to listen
 * once it has looked at LSR.
 */
size_t cv_serial_room(void *dev);
void cv_serial_put(void *dev, const uint8_t *p, size_t n);

/* --- ACPI fixed hardware (acpi_pm.c) --- */

struct cv_acpi_pm {
	uint16_t sts, en, cnt; /* [s] */
	uint64_t seen;	       /* [s] guest ns up to which TMR_STS was gathered */
	struct cv_timer timer; /* armed while TMR_EN */
	struct cv_machine *m;  /* [i] */
	struct cv_irq *irq;    /* [i] */
};

struct cv_acpi_pm *cv_acpi_pm_new(struct cv_machine *m, struct cv_irq *irq, struct cv_error *err);
void cv_acpi_pm_power_button(void *dev);

/* --- Keyboard controller without a keyboard, and port 92h (i8042.c) --- */

struct cv_i8042 {
	uint8_t status, config, output; /* [s] status without OBF */
	bool full;		 /* [s] OBF */
	uint8_t command;	 /* [s] awaits a data byte; 0: none */
	uint8_t port92;		 /* [s] bit 1: A20 */
	uint8_t ram[32];	 /* [s] controller RAM, commands 20h..3Fh and 60h..7Fh; [0] unused */
	struct cv_machine *m;	 /* [i] */
	struct cv_irq *irq;	 /* [i] */
};

struct cv_i8042 *cv_i8042_new(struct cv_machine *m, struct cv_irq *irq, struct cv_error *err);

/* --- VGA registers; the text is plain RAM (vga.c) --- */

struct cv_vga {
	uint8_t crtc_index, seq_index, gfx_index, attr_index; /* [s] */
	bool attr_data;		/* [s] the next write of 3C0h is data */
	uint8_t misc, feature, retrace;	/* [s] retrace: counts reads of input status 1 */
	uint8_t crtc[25], seq[8], gfx[16], attr[32]; /* [s] */
	uint8_t dac[768];	/* [s] */
	uint8_t dac_mask, dac_state; /* [s] */
	uint16_t dac_read, dac_write; /* [s] index of the next colour component */
	uint8_t dac_cache[3];	/* [s] components of the colour being written */
	struct cv_machine *m;	/* [i] */
};

struct cv_vga *cv_vga_new(struct cv_machine *m, struct cv_error *err);
void cv_vga_screen_text(void *dev, char *text, unsigned *rows, unsigned *cols);

/* --- PCI configuration mechanism 1, a host bridge, and reset control at CF9h (pci.c) --- */

struct cv_pci {
	uint32_t address;	/* [s] CF8h */
	uint8_t reset;		/* [s] CF9h */
	uint16_t command;	/* [s] host bridge */
	uint8_t line;		/* [s] host bridge: interrupt line, a scratch byte */
	struct cv_machine *m;	/* [i] */
};

struct cv_pci *cv_pci_new(struct cv_machine *m, struct cv_error *err);

/* --- One-way signals to the host --- */

struct cv_pvpanic {
	struct cv_machine *m; /* [i] */
};
struct cv_pvpanic *cv_pvpanic_new(struct cv_machine *m, struct cv_error *err);

struct cv_debug_exit {
	struct cv_machine *m; /* [i] */
};
struct cv_debug_exit *cv_debug_exit_new(struct cv_machine *m, struct cv_error *err);

/* --- What CPU and chipset tests poke at (test_device.c): only with config.test_device --- */

struct cv_test_device {
	uint8_t data[4];	/* [s] E0h..E3h */
	uint8_t memory[65536];	/* [s] at FF000000h */
	struct cv_irq *irq;	/* [i] */
	struct cv_pit *pit;	/* [i] */
	struct cv_bus *bus;	/* [i] */
};
struct cv_test_device *cv_test_device_new(struct cv_machine *m, struct cv_irq *irq, struct cv_pit *pit, struct cv_error *err);

/* --- What a BIOS leaves running (bios.c): goes with the test device --- */

void cv_bios_write_vectors(struct cv_memory *mem);
/* At reset, after the chips. */
void cv_bios_start_tick(struct cv_bus *bus, struct cv_pit *pit);

/* --- Ports that remember and do nothing: DMA controllers, page registers, POST, delay (legacy.c) --- */

struct cv_legacy {
	uint8_t page[16];	/* [s] 80h..8Fh; 80h is the POST code */
	uint8_t dma[2][16];	/* [s] 00h..0Fh, C0h..DFh */
	struct cv_machine *m;	/* [i] */
};
struct cv_legacy *cv_legacy_new(struct cv_machine *m, struct cv_error *err);

/* --- Firmware tables --- */

#define CV_TABLES_BASE 0xe0000ull /* ACPI, then the MP table at F0000h */
#define CV_MPTABLE_BASE 0xf0000ull

/* Writes RSDP, RSDT, XSDT, FADT, FACS, MADT and DSDT from CV_TABLES_BASE on; gives the end. RSDP comes first. */
uint64_t cv_acpi_write_tables(struct cv_memory *mem);
void cv_mptable_write(struct cv_memory *mem);

#endif
