/* SPDX-License-Identifier: MIT */
/*
 * The memory map, in the form of BIOS function E820h, and the BIOS data area.
 *
 *	00000000  RAM		to the EBDA at 9FC00
 *	0009FC00  reserved	EBDA
 *	000E0000  reserved	BIOS: RSDP, MP floating pointer
 *	00100000  RAM		to the end of RAM or 3 GiB, but for
 *	tables    ACPI		the firmware tables
 *	100000000 RAM		what is left
 *
 * A0000-DFFFF is not listed, as on a PC: there is no RAM to use, and devices may answer.
 */
#include "vmm-core/boot/loader.h"

static void add(struct e820_entry *map, unsigned *n, uint64_t base, uint64_t end, uint32_t type)
{
	if (end > base)
		map[(*n)++] = (struct e820_entry){base, end - base, type};
}

unsigned e820_build(const struct cv_memory *mem, const struct cv_boot_firmware *fw, struct e820_entry map[E820_MAX])
{
	uint64_t top = mem->size < CV_RAM_LOW_MAX ? mem->size : CV_RAM_LOW_MAX;
	unsigned n = 0;

	add(map, &n, 0, LOADER_EBDA, E820_RAM);
	add(map, &n, LOADER_EBDA, 0xa0000, E820_RESERVED);
	add(map, &n, LOADER_BIOS, LOADER_1M, E820_RESERVED);
	if (fw->tables_len && fw->tables_base >= LOADER_1M && fw->tables_base < top) {
		/* Whole pages, so that no kernel uses half of one. */
		uint64_t start = fw->tables_base & ~(uint64_t)(CV_PAGE_SIZE - 1);
		uint64_t end = (fw->tables_base + fw->tables_len + CV_PAGE_SIZE - 1) & ~(uint64_t)(CV_PAGE_SIZE - 1);

		add(map, &n, LOADER_1M, start, E820_RAM);
		add(map, &n, start, end, E820_ACPI);
		add(map, &n, end, top, E820_RAM);
	} else {
		add(map, &n, LOADER_1M, top, E820_RAM);
	}
	add(map, &n, CV_RAM_HIGH_BASE, CV_RAM_HIGH_BASE + (mem->size - top), E820_RAM);
	return n;
}

uint32_t e820_upper_kib(const struct e820_entry *map, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (map[i].base == LOADER_1M && map[i].type == E820_RAM)
			return (uint32_t)(map[i].len / 1024);
	return 0;
}

void e820_write_bda(struct cv_memory *mem)
{
	static const struct {
		uint16_t addr, value;
	} words[] = {
		{0x400, 0x3f8},		   /* COM1 */
		{0x40e, LOADER_EBDA >> 4}, /* EBDA segment */
		{0x413, LOADER_EBDA >> 10}, /* KiB of base memory */
		{0x449, 80 << 8 | 3},	   /* video mode 3, 80 columns (its low byte) */
		{0x463, 0x3d4},		   /* CRTC port */
		{0x484, 16 << 8 | 24},	   /* rows - 1, scan lines of a character (low byte) */
	};

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		uint8_t b[2];

		put_le16(b, words[i].value);
		cv_memory_write(mem, words[i].addr, b, sizeof(b));
	}
}
