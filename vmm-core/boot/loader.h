/* SPDX-License-Identifier: MIT */
/*
 * What the boot loaders share, private to this folder: one load in progress.
 *
 * Every byte that a loader puts into RAM lies in a claim. Claims never overlap, lie in RAM below 3 GiB, and start with
 * what is not the loader's to use: page 0 (interrupt vectors, BIOS data area), EBDA to 1 MiB, the firmware tables. An
 * image says where its parts go (loader_claim); everything else goes where there is room (loader_alloc). Images are
 * untrusted: all arithmetic on their fields is checked here or before.
 */
#ifndef CV_BOOT_LOADER_H
#define CV_BOOT_LOADER_H

#include <stdbool.h>
#include <string.h>

#include "vmm-core/boot/boot.h"

#define LOADER_CLAIMS 128
#define LOADER_STRING_MAX 4095u /* longest command line for PVH and Multiboot, without its NUL */
#define LOADER_EBDA 0x9fc00u	/* end of RAM below 640 KiB */
#define LOADER_BIOS 0xe0000u	/* start of the area where the firmware's pointers lie */
#define LOADER_1M 0x100000u

struct loader_claim {
	uint64_t base, end;
	const char *what;
};

struct loader {
	const struct cv_boot_images *images; /* borrowed */
	const struct cv_boot_firmware *fw;   /* borrowed */
	struct cv_memory *mem;		     /* borrowed */
	struct cv_vcpu_state *cpu;	     /* borrowed */
	struct cv_error *err;		     /* borrowed */
	uint64_t top;			     /* end of RAM below 3 GiB */
	uint64_t gdt;			     /* GPA of the GDT: 5 descriptors and a spare one */
	uint64_t kernel_end;		     /* one past the kernel's highest byte, set by what loads it */
	struct loader_claim claims[LOADER_CLAIMS];
	unsigned nclaims;
};

/* Little-endian fields of images and of tables being built. */
static inline uint16_t le16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t le32(const uint8_t *p)
{
	return le16(p) | (uint32_t)le16(p + 2) << 16;
}

static inline uint64_t le64(const uint8_t *p)
{
	return le32(p) | (uint64_t)le32(p + 4) << 32;
}

static inline void put_le16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static inline void put_le32(uint8_t *p, uint32_t v)
{
	put_le16(p, (uint16_t)v);
	put_le16(p + 2, (uint16_t)(v >> 16));
}

static inline void put_le64(uint8_t *p, uint64_t v)
{
	put_le32(p, (uint32_t)v);
	put_le32(p + 4, (uint32_t)(v >> 32));
}

/* --- boot.c --- */

/* What to call an image in a message; never NULL. */
const char *loader_name(const struct cv_image *image);
/* Reserves [base, base+len) for `what` of the image `who`. CV_E_BADINPUT: outside RAM, or taken. len 0 does nothing. */
int loader_claim(struct loader *ld, const char *who, const char *what, uint64_t base, uint64_t len);
/* Finds and claims room in [min, max): the lowest place, or the highest. align is a power of two. */
int loader_alloc(struct loader *ld, const char *who, const char *what, uint64_t len, uint64_t align, uint64_t min,
		 uint64_t max, uint64_t *gpa);
int loader_alloc_high(struct loader *ld, const char *who, const char *what, uint64_t len, uint64_t align, uint64_t min,
		      uint64_t max, uint64_t *gpa);
/* Room below 640 KiB for a table that the loader makes, zeroed. */
int loader_alloc_low(struct loader *ld, const char *what, uint64_t len, uint64_t *gpa);
/* Copies into what was claimed. */
void loader_write(struct loader *ld, uint64_t gpa, const void *p, size_t n);
/* Puts a NUL-terminated string below 640 KiB: a, or "a b" when b is not NULL. */
int loader_string(struct loader *ld, const char *what, const char *a, const char *b, uint64_t *gpa);
/* The last component of an image's name: what a guest sees of it. */
const char *loader_basename(const struct cv_image *image);
const char *loader_cmdline(const struct loader *ld);
/*
 * The entry state: flat segments (CS 10h, DS ES SS FS GS 18h, TR 20h) whose GDT lies in RAM, interrupts off, empty IDT,
 * all general registers 0. `protected`: 32-bit code, no paging. `longmode`: 64-bit code, first 4 GiB mapped 1:1.
 */
int loader_enter_protected(struct loader *ld, uint64_t eip);
int loader_enter_longmode(struct loader *ld, uint64_t rip);

/* --- e820.c --- */

enum { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3 };

struct e820_entry {
	uint64_t base, len;
	uint32_t type;
};

#define E820_MAX 8

/* The machine's memory map, ascending, without overlaps. Returns how many entries. */
unsigned e820_build(const struct cv_memory *mem, const struct cv_boot_firmware *fw, struct e820_entry map[E820_MAX]);
/* KiB of RAM from 1 MiB to the first hole. */
uint32_t e820_upper_kib(const struct e820_entry *map, unsigned n);
/* Fields of the BIOS data area that kernels look at: EBDA segment, base memory, COM1, text mode. */
void e820_write_bda(struct cv_memory *mem);

/* --- elf.c --- */

struct elf {
	const struct cv_image *image; /* borrowed */
	bool is64;
	uint16_t machine;
	uint64_t entry;
	uint64_t phoff, shoff;
	unsigned phnum, shnum, shstrndx; /* shnum 0: no usable section headers */
};

struct elf_phdr {
	uint32_t type;
	uint64_t offset, vaddr, paddr, filesz, memsz;
};

struct elf_shdr {
	uint32_t type;
	uint64_t flags, addr, offset, size;
};

bool elf_is(const struct cv_image *image);
/* Reads the file header and checks that the program headers lie in the image. CV_E_BADINPUT. */
int elf_open(struct elf *e, const struct cv_image *image, struct cv_error *err);
void elf_phdr(const struct elf *e, unsigned i, struct elf_phdr *ph); /* i < phnum */
void elf_shdr(const struct elf *e, unsigned i, struct elf_shdr *sh); /* i < shnum */
/*
 * Places every PT_LOAD at its physical address, sets ld->kernel_end, and turns the entry point (virtual, or already
 * physical) into the physical address in *entry.
 */
int elf_load(const struct elf *e, struct loader *ld, uint64_t *entry);
/* Whether a PT_LOAD occupies the physical address. */
bool elf_covers(const struct elf *e, uint64_t paddr);
/* The 32-bit entry point of the note XEN_ELFNOTE_PHYS32_ENTRY: false if there is none. */
bool elf_pvh_entry(const struct elf *e, uint32_t *entry);

/* --- One loader each --- */

bool bzimage_is(const struct cv_image *image);
bool multiboot_is(const struct cv_image *image);
int bzimage_load(struct loader *ld);
int multiboot_load(struct loader *ld);
int pvh_load(struct loader *ld);
int elf64_load(struct loader *ld);
/* The hvm_start_info that PVH and plain ELF64 kernels get, with command line, modules (initrd first), memory map. */
int pvh_start_info(struct loader *ld, uint64_t *gpa);

#endif
