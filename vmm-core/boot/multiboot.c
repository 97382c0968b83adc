/* SPDX-License-Identifier: MIT */
/*
 * Multiboot 1 (GNU Multiboot Specification 0.6.96).
 *
 * A header of 32-bit words, 4-aligned within the first 8192 bytes: magic 1BADB002, flags, checksum (the three add up to
 * 0), and with flag 16 header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr, which then rule where the bytes
 * go; otherwise the kernel is an ELF, 32-bit or 64-bit.
 *
 * Hand-over: 32-bit protected mode, paging off, flat segments, A20 on, interrupts off, EAX = 2BADB002, EBX = the
 * information structure (below 640 KiB, as is all that it points to but modules and symbols). Modules follow the kernel,
 * the initrd first, on page boundaries. Command lines begin with the file's name without its folder, as boot loaders
 * give it. A request for a video mode is not granted: the screen stays in text mode, and bits 11 and 12 stay clear.
 */
#include "vmm-core/boot/loader.h"

#define HEADER_MAGIC 0x1badb002u
#define BOOT_MAGIC 0x2badb002u
#define SEARCH 8192u
#define KNOWN_REQUIRED 0x7u	   /* page-align modules, memory information, video mode */
#define REQUIRED_MASK 0xffffu
#define HAS_ADDRESSES (1u << 16)

/* Flags and offsets of the information structure. */
enum {
	INFO_MEMORY = 1u << 0,
	INFO_CMDLINE = 1u << 2,
	INFO_MODULES = 1u << 3,
	INFO_ELF_SECTIONS = 1u << 5,
	INFO_MEMORY_MAP = 1u << 6,
	INFO_LOADER_NAME = 1u << 9,
	MEM_LOWER = 4,
	MEM_UPPER = 8,
	CMDLINE = 16,
	MODS_COUNT = 20,
	MODS_ADDR = 24,
	SHDR_NUM = 28,
	SHDR_SIZE = 32,
	SHDR_ADDR = 36,
	SHDR_SHNDX = 40,
	MMAP_LENGTH = 44,
	MMAP_ADDR = 48,
	BOOT_LOADER_NAME = 64,
	INFO_LEN = 116,
	MODULE_LEN = 16,
	MMAP_LEN = 24,
};

#define SHT_NOBITS 8

static bool find_header(const struct cv_image *image, size_t *offset)
{
	size_t end = image->size < SEARCH ? image->size : SEARCH;

	for (size_t i = 0; i + 12 <= end; i += 4) {
		const uint8_t *p = image->data + i;

		if (le32(p) == HEADER_MAGIC && le32(p) + le32(p + 4) + le32(p + 8) == 0) {
			*offset = i;
			return true;
		}
	}
	return false;
}

bool multiboot_is(const struct cv_image *image)
{
	size_t offset;

	return find_header(image, &offset);
}

static int refuse(struct loader *ld, const char *why)
{
	return cv_error_set(ld->err, CV_E_BADINPUT, "%s: %s", loader_name(&ld->images->kernel), why);
}

/* --- The kernel --- */

static int load_by_addresses(struct loader *ld, size_t header, uint64_t *entry)
{
	const struct cv_image *k = &ld->images->kernel;
	const uint8_t *p = k->data + header;
	uint64_t header_addr, load, load_end, bss_end, offset, len;
	int rc;

	if (header + 32 > k->size)
		return refuse(ld, "truncated: no whole Multiboot header");
	header_addr = le32(p + 12);
	load = le32(p + 16);
	load_end = le32(p + 20);
	bss_end = le32(p + 24);
	*entry = le32(p + 28);
	if (load > header_addr || header_addr - load > header)
		return refuse(ld, "the addresses in its Multiboot header contradict each other");
	offset = header - (header_addr - load);
	len = k->size - offset;
	if (load_end && (load_end < load || load_end - load > len))
		return refuse(ld, "truncated: its Multiboot header promises more than the file has");
	if (load_end)
		len = load_end - load;
	if (bss_end && bss_end < load + len)
		return refuse(ld, "its Multiboot header ends the bss before the data");
	ld->kernel_end = bss_end ? bss_end : load + len;
	if (*entry < load || *entry >= ld->kernel_end)
		return refuse(ld, "its Multiboot entry point lies outside of the kernel");
	rc = loader_claim(ld, loader_name(k), "the kernel", load, ld->kernel_end - load);
	if (rc)
		return rc;
	loader_write(ld, load, k->data + offset, len);
	return 0;
}

/* A section that has contents but no address gets room after the kernel, and its header gets that address. */
static int place_section(struct loader *ld, const struct elf *e, unsigned i, uint8_t *header)
{
	struct elf_shdr sh;
	uint64_t gpa;
	int rc;

	elf_shdr(e, i, &sh);
	if (!i || sh.addr || !sh.size || sh.type == SHT_NOBITS || sh.offset > e->image->size ||
	    sh.size > e->image->size - sh.offset)
		return 0;
	rc = loader_alloc(ld, loader_name(e->image), "a section of symbols", sh.size, CV_PAGE_SIZE, ld->kernel_end,
			  ld->top, &gpa);
	if (rc)
		return rc;
	loader_write(ld, gpa, e->image->data + sh.offset, sh.size);
	if (e->is64)
		put_le64(header + 16, gpa);
	else
		put_le32(header + 12, (uint32_t)gpa);
	return 0;
}

static int place_sections(struct loader *ld, const struct elf *e, uint8_t *info)
{
	unsigned size = e->is64 ? 64 : 40;
	uint64_t gpa;
	int rc;

	/* More sections than claims: some compilers make one per function. Then there are no symbols. */
	if (!e->shnum || e->shnum > LOADER_CLAIMS / 2)
		return 0;
	rc = loader_alloc_low(ld, "the section headers", (uint64_t)e->shnum * size, &gpa);
	if (rc)
		return rc;
	for (unsigned i = 0; i < e->shnum; i++) {
		uint8_t header[64];

		memcpy(header, e->image->data + e->shoff + (size_t)i * size, size);
		rc = place_section(ld, e, i, header);
		if (rc)
			return rc;
		loader_write(ld, gpa + (uint64_t)i * size, header, size);
	}
	put_le32(info, le32(info) | INFO_ELF_SECTIONS);
	put_le32(info + SHDR_NUM, e->shnum);
	put_le32(info + SHDR_SIZE, size);
	put_le32(info + SHDR_ADDR, (uint32_t)gpa);
	put_le32(info + SHDR_SHNDX, e->shstrndx);
	return 0;
}

static int load_kernel(struct loader *ld, uint8_t *info, uint64_t *entry)
{
	const struct cv_image *k = &ld->images->kernel;
	size_t header = 0;
	uint32_t flags;
	struct elf e;
	int rc;

	if (!find_header(k, &header))
		return refuse(ld, "no Multiboot header");
	flags = le32(k->data + header + 4);
	if (flags & REQUIRED_MASK & ~KNOWN_REQUIRED)
		return cv_error_set(ld->err, CV_E_BADINPUT,
				    "%s: its Multiboot header requires features that nobody knows (flags 0x%x)",
				    loader_name(k), flags);
	if (flags & HAS_ADDRESSES)
		return load_by_addresses(ld, header, entry);
	if (!elf_is(k))
		return refuse(ld, "has a Multiboot header without addresses, but is no ELF file");
	rc = elf_open(&e, k, ld->err);
	if (!rc)
		rc = elf_load(&e, ld, entry);
	return rc ? rc : place_sections(ld, &e, info);
}

/* --- What the kernel is told --- */

static int place_module(struct loader *ld, const struct cv_image *image, uint8_t *entry)
{
	uint64_t gpa, args;
	int rc = loader_string(ld, "a module's command line", loader_basename(image), image->args, &args);

	if (!rc)
		rc = loader_alloc(ld, loader_name(image), "the module", image->size, CV_PAGE_SIZE, ld->kernel_end,
				  ld->top, &gpa);
	if (rc)
		return rc;
	loader_write(ld, gpa, image->data, image->size);
	put_le32(entry, (uint32_t)gpa);
	put_le32(entry + 4, (uint32_t)(gpa + image->size));
	put_le32(entry + 8, (uint32_t)args);
	return 0;
}

static int place_modules(struct loader *ld, uint8_t *info)
{
	const struct cv_boot_images *images = ld->images;
	uint8_t list[(CV_BOOT_MODULES + 1) * MODULE_LEN] = {0};
	unsigned n = 0;
	uint64_t gpa = 0;
	int rc;

	if (images->initrd.size) {
		rc = place_module(ld, &images->initrd, list);
		if (rc)
			return rc;
		n++;
	}
	for (unsigned i = 0; i < images->nmodules; i++, n++) {
		rc = place_module(ld, &images->modules[i], list + n * MODULE_LEN);
		if (rc)
			return rc;
	}
	put_le32(info, le32(info) | INFO_MODULES);
	if (!n)
		return 0;
	rc = loader_alloc_low(ld, "the module list", n * MODULE_LEN, &gpa);
	if (rc)
		return rc;
	loader_write(ld, gpa, list, n * MODULE_LEN);
	put_le32(info + MODS_COUNT, n);
	put_le32(info + MODS_ADDR, (uint32_t)gpa);
	return 0;
}

static int place_memory_map(struct loader *ld, uint8_t *info)
{
	struct e820_entry map[E820_MAX];
	uint8_t table[E820_MAX * MMAP_LEN];
	unsigned n = e820_build(ld->mem, ld->fw, map);
	uint64_t gpa;
	int rc = loader_alloc_low(ld, "the memory map", n * MMAP_LEN, &gpa);

	if (rc)
		return rc;
	for (unsigned i = 0; i < n; i++) {
		uint8_t *p = table + i * MMAP_LEN;

		put_le32(p, MMAP_LEN - 4); /* the size doesn't count itself */
		put_le64(p + 4, map[i].base);
		put_le64(p + 12, map[i].len);
		put_le32(p + 20, map[i].type);
	}
	loader_write(ld, gpa, table, n * MMAP_LEN);
	put_le32(info, le32(info) | INFO_MEMORY | INFO_MEMORY_MAP);
	put_le32(info + MEM_LOWER, LOADER_EBDA / 1024);
	put_le32(info + MEM_UPPER, e820_upper_kib(map, n));
	put_le32(info + MMAP_LENGTH, n * MMAP_LEN);
	put_le32(info + MMAP_ADDR, (uint32_t)gpa);
	return 0;
}

static int place_strings(struct loader *ld, uint8_t *info)
{
	const char *args = loader_cmdline(ld);
	uint64_t cmdline, name;
	int rc = loader_string(ld, "the command line", loader_basename(&ld->images->kernel), *args ? args : NULL,
			       &cmdline);

	if (!rc)
		rc = loader_string(ld, "the loader's name", "chronovisor", NULL, &name);
	if (rc)
		return rc;
	put_le32(info, le32(info) | INFO_CMDLINE | INFO_LOADER_NAME);
	put_le32(info + CMDLINE, (uint32_t)cmdline);
	put_le32(info + BOOT_LOADER_NAME, (uint32_t)name);
	return 0;
}

int multiboot_load(struct loader *ld)
{
	uint8_t info[INFO_LEN] = {0};
	uint64_t entry, gpa;
	int rc = load_kernel(ld, info, &entry);

	if (!rc)
		rc = loader_alloc_low(ld, "the Multiboot information", sizeof(info), &gpa);
	if (!rc)
		rc = place_strings(ld, info);
	if (!rc)
		rc = place_memory_map(ld, info);
	if (!rc)
		rc = place_modules(ld, info);
	if (!rc)
		rc = loader_enter_protected(ld, entry);
	if (rc)
		return rc;
	loader_write(ld, gpa, info, sizeof(info));
	ld->cpu->gpr[CV_RAX] = BOOT_MAGIC;
	ld->cpu->gpr[CV_RBX] = gpa;
	return 0;
}
