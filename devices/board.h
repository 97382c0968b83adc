/* SPDX-License-Identifier: MIT */
/*
 * The board: one function that wires every device of the machine, in order.
 */
#ifndef CV_BOARD_H
#define CV_BOARD_H

#include "vmm-core/boot/boot.h"
#include "vmm-core/machine.h"

/*
 * Creates all devices, registers their regions and timers, sets m->irqchip, m->console_*, m->power_button,
 * m->screen_text. Devices are owned by the machine (their ops->free).
 */
int cv_board_wire(struct cv_machine *m, struct cv_error *err);

/*
 * Writes the firmware tables (ACPI RSDP, XSDT, FADT, FACS, MADT, DSDT; MP table) into RAM and tells the loaders where
 * they are. Called by the machine at power-on and at each reset, before the kernel is loaded.
 */
void cv_board_write_tables(struct cv_machine *m, struct cv_boot_firmware *fw);

/* The two of them, for cv_machine_new. */
extern const struct cv_board_ops cv_board;

#endif
