/* SPDX-License-Identifier: MIT */
/*
 * PVH: Xen's boot ABI for ELF kernels without firmware (Xen docs/misc/pvh.pandoc, public/arch-x86/hvm/start_info.h).
 *
 * The note XEN_ELFNOTE_PHYS32_ENTRY gives the entry point: 32-bit protected mode, paging off, flat segments, EBX =
 * physical address of struct hvm_start_info, version 1:
 *	 0 magic	 4 version	 8 flags	12 nr_modules	16 modlist	24 cmdline
 *	32 rsdp		40 memmap	48 memmap_entries
 * Module entries hold address, length, command line, reserved; memory map entries hold address, length, type and four
 * reserved bytes, with E820's types.
 */
#include "vmm-core/boot/loader.h"

#define START_INFO_MAGIC 0x336ec578u
#define START_INFO_LEN 56u
#define MODULE_LEN 32u
#define MEMMAP_LEN 24u

static int place_module(struct loader *ld, const struct cv_image *image, const char *what, uint8_t entry[MODULE_LEN])
{
	uint64_t gpa, args = 0;
	int rc = 0;

	if (image->args)
		rc = loader_string(ld, "a module's command line", image->args, NULL, &args);
	if (!rc)
		rc = loader_alloc_high(ld, loader_name(image), what, image->size, CV_PAGE_SIZE, LOADER_1M, ld->top,
				       &gpa);
	if (rc)
		return rc;
	loader_write(ld, gpa, image->data, image->size);
	put_le64(entry, gpa);
	put_le64(entry + 8, image->size);
	put_le64(entry + 16, args);
	return 0;
}

static int place_modules(struct loader *ld, uint8_t info[START_INFO_LEN])
{
	const struct cv_boot_images *images = ld->images;
	uint8_t list[(CV_BOOT_MODULES + 1) * MODULE_LEN] = {0};
	unsigned n = 0;
	uint64_t gpa;
	int rc;

	if (images->initrd.size) {
		rc = place_module(ld, &images->initrd, "the initrd", list);
		if (rc)
			return rc;
		n++;
	}
	for (unsigned i = 0; i < images->nmodules; i++, n++) {
		rc = place_module(ld, &images->modules[i], "the module", list + n * MODULE_LEN);
		if (rc)
			return rc;
	}
	if (!n)
		return 0;
	rc = loader_alloc_low(ld, "the module list", n * MODULE_LEN, &gpa);
	if (rc)
		return rc;
	loader_write(ld, gpa, list, n * MODULE_LEN);
	put_le32(info + 12, n);
	put_le64(info + 16, gpa);
	return 0;
}

static int place_memmap(struct loader *ld, uint8_t info[START_INFO_LEN])
{
	struct e820_entry map[E820_MAX];
	uint8_t table[E820_MAX * MEMMAP_LEN] = {0};
	unsigned n = e820_build(ld->mem, ld->fw, map);
	uint64_t gpa;
	int rc = loader_alloc_low(ld, "the memory map", n * MEMMAP_LEN, &gpa);

	if (rc)
		return rc;
	for (unsigned i = 0; i < n; i++) {
		put_le64(table + i * MEMMAP_LEN, map[i].base);
		put_le64(table + i * MEMMAP_LEN + 8, map[i].len);
		put_le32(table + i * MEMMAP_LEN + 16, map[i].type);
	}
	loader_write(ld, gpa, table, n * MEMMAP_LEN);
	put_le64(info + 40, gpa);
	put_le32(info + 48, n);
	return 0;
}

int pvh_start_info(struct loader *ld, uint64_t *gpa)
{
	uint8_t info[START_INFO_LEN] = {0};
	uint64_t cmdline;
	int rc = loader_alloc_low(ld, "the start info", sizeof(info), gpa);

	if (!rc)
		rc = loader_string(ld, "the command line", loader_cmdline(ld), NULL, &cmdline);
	if (!rc)
		rc = place_modules(ld, info);
	if (!rc)
		rc = place_memmap(ld, info);
	if (rc)
		return rc;
	put_le32(info, START_INFO_MAGIC);
	put_le32(info + 4, 1);
	put_le64(info + 24, cmdline);
	put_le64(info + 32, ld->fw->rsdp);
	loader_write(ld, *gpa, info, sizeof(info));
	return 0;
}

int pvh_load(struct loader *ld)
{
	uint64_t plain_entry, info;
	uint32_t entry = 0;
	struct elf e;
	int rc = elf_open(&e, &ld->images->kernel, ld->err);

	if (rc)
		return rc;
	if (!elf_pvh_entry(&e, &entry) || !elf_covers(&e, entry))
		return cv_error_set(ld->err, CV_E_BADINPUT, "%s: PVH entry point 0x%x lies in no segment",
				    loader_name(e.image), entry);
	e.entry = entry;
	rc = elf_load(&e, ld, &plain_entry);
	if (!rc)
		rc = pvh_start_info(ld, &info);
	if (!rc)
		rc = loader_enter_protected(ld, entry);
	if (rc)
		return rc;
	ld->cpu->gpr[CV_RBX] = info;
	return 0;
}
