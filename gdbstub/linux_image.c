/* SPDX-License-Identifier: MIT */
/*
 * Linux on x86-64 maps its image, and nothing else, into one GiB (Documentation/arch/x86/x86_64/mm.rst: "kernel text
 * mapping"; modules lie above it). The one page directory of that GiB is found from CR3, with 2 MiB pages and tables.
 */
#include "gdbstub/linux_image.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define RANGE_BASE 0xffffffff80000000ull
#define LARGE (2u << 20)
#define LEN_MAX (128u << 20)
#define ENTRIES 512

#define ENTRY_P 1u
#define ENTRY_PS 0x80u
#define ENTRY_ADDR 0xffffffffff000ull

struct directory {
	uint64_t pde[ENTRIES];
};

static bool read_entry(const struct cv_memory *mem, uint64_t table, unsigned index, uint64_t *entry)
{
	uint8_t b[8];

	if (cv_memory_read(mem, (table & ENTRY_ADDR) + 8 * (uint64_t)index, b, 8) != 8)
		return false;
	*entry = 0;
	for (unsigned i = 0; i < 8; i++)
		*entry |= (uint64_t)b[i] << 8 * i;
	return *entry & ENTRY_P;
}

/* The page directory of the range, and which of its entries are present: first and one past last. */
static bool find_directory(const struct cv_memory *mem, const struct cv_vcpu_state *s, struct directory *d,
			   unsigned *first, unsigned *end)
{
	uint64_t e = s->cr3;

	if ((s->cr4 & CV_CR4_LA57) && !read_entry(mem, e, 511, &e))
		return false;
	if (!read_entry(mem, e, 511, &e) || !read_entry(mem, e, 510, &e) || (e & ENTRY_PS))
		return false;
	*first = *end = 0;
	for (unsigned i = 0; i < ENTRIES; i++) {
		if (!read_entry(mem, e, i, &d->pde[i])) {
			d->pde[i] = 0;
			continue;
		}
		if (!*end)
			*first = i;
		*end = i + 1;
	}
	return *end != 0;
}

static void copy_large(const struct cv_memory *mem, uint64_t pde, uint8_t *to)
{
	if (pde & ENTRY_PS) {
		cv_memory_read(mem, pde & ENTRY_ADDR & ~(uint64_t)(LARGE - 1), to, LARGE);
		return;
	}
	for (unsigned i = 0; i < ENTRIES; i++) {
		uint64_t pte;

		if (read_entry(mem, pde, i, &pte))
			cv_memory_read(mem, pte & ENTRY_ADDR, to + (size_t)i * CV_PAGE_SIZE, CV_PAGE_SIZE);
	}
}

int cv_linux_image_copy(struct cv_linux_image *image, const struct cv_memory *mem, const struct cv_vcpu_state *state)
{
	struct directory d;
	unsigned first, end;

	memset(image, 0, sizeof(*image));
	if (!(state->efer & CV_EFER_LMA) || !(state->cr0 & CV_CR0_PG))
		return CV_E_BADINPUT;
	if (!find_directory(mem, state, &d, &first, &end))
		return CV_E_BADINPUT;
	image->len = (size_t)(end - first) * LARGE;
	image->base = RANGE_BASE + (uint64_t)first * LARGE;
	if (image->len > LEN_MAX)
		return CV_E_BADINPUT;
	image->data = calloc(1, image->len);
	if (!image->data)
		return CV_E_NOMEM;
	for (unsigned i = first; i < end; i++)
		if (d.pde[i])
			copy_large(mem, d.pde[i], image->data + (size_t)(i - first) * LARGE);
	return 0;
}

void cv_linux_image_release(struct cv_linux_image *image)
{
	free(image->data);
	memset(image, 0, sizeof(*image));
}
