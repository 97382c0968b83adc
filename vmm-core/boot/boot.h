/* SPDX-License-Identifier: MIT */
/*
 * Boot loaders: put a kernel into RAM and set the CPU as its boot protocol says, without firmware.
 *
 * Linux bzImage (Documentation/arch/x86/boot.rst, 64-bit entry when XLF_KERNEL_64, else 32-bit), ELF64 with a PVH note
 * (Xen's XEN_ELFNOTE_PHYS32_ENTRY) or without (entered at e_entry in 64-bit mode, paging on, first 4 GiB mapped 1:1
 * by tables the loader makes), Multiboot 1 (ELF32, ELF64, a.out kludge). The kind is told from the bytes.
 */
#ifndef CV_BOOT_H
#define CV_BOOT_H

#include <stddef.h>
#include <stdint.h>

#include "vmm-core/error.h"
#include "vmm-core/memory.h"
#include "vmm-core/state.h"

#define CV_BOOT_MODULES 16

struct cv_image {
	const char *name;    /* borrowed: what the user called it */
	const uint8_t *data; /* borrowed */
	size_t size;
	const char *args;    /* borrowed: module's command line, or NULL */
};

struct cv_boot_images {
	struct cv_image kernel;
	struct cv_image initrd; /* size 0: none */
	struct cv_image modules[CV_BOOT_MODULES];
	unsigned nmodules;
	const char *cmdline; /* borrowed, "" for none */
};

enum cv_boot_kind { CV_BOOT_BZIMAGE = 1, CV_BOOT_ELF64, CV_BOOT_PVH, CV_BOOT_MULTIBOOT };

/* Tells what an image is: a cv_boot_kind, or CV_E_BADINPUT with a message that names the image. */
int cv_boot_identify(const struct cv_image *kernel, struct cv_error *err);

/* Where the board put ACPI's RSDP (0: none), for the PVH start info and Linux's acpi_rsdp_addr. */
struct cv_boot_firmware {
	uint64_t rsdp;
	/* E820 beyond plain RAM: the firmware tables' own region. */
	uint64_t tables_base, tables_len;
};

/*
 * Loads the images into zeroed RAM and sets *cpu (already reset) to the entry state. One E820 map serves all
 * protocols: RAM below 640 KiB, EBDA/BIOS area reserved, RAM from 1 MiB, firmware tables as ACPI memory.
 */
int cv_boot_load(const struct cv_boot_images *images, const struct cv_boot_firmware *fw, struct cv_memory *mem,
		 struct cv_vcpu_state *cpu, struct cv_error *err);

#endif
