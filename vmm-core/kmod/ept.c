/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Guest memory: the process's pages, pinned when the guest first touches them and mapped by a 4-level EPT.
 *
 * A page is mapped read-only at first. The first write to it since CREATE, PROTECT or DROP lists it as dirty and makes it writable:
 * a set bit in dirty_map, an entry with W and a line in the list are the same thing. Giving more rights needs no INVEPT (the EPT
 * violation itself has forgotten the old translation, SDM 3C 28.3.3.1); taking them away sets flush_ept.
 *
 * Where RAM comes in huge pages, 2 MiB that were never written are one entry, always read-only; the first write splits it.
 *
 * Entries: bits 2:0 RWX; 5:3 memory type, 6 ignore PAT (write-back always, so that the guest can't make memory behave differently).
 */
#include <linux/bitmap.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/vmalloc.h>

#include "module.h"

#define EPT_READ 1ull
#define EPT_WRITE 2ull
#define EPT_EXEC 4ull
#define EPT_RWX 7ull
#define EPT_WRITE_BACK (6ull << 3 | 1ull << 6)
#define EPT_LARGE (1ull << 7)
#define LARGE_PAGES 512ull
#define LARGE (LARGE_PAGES << PAGE_SHIFT)
#define EPT_ADDRESS 0x000ffffffffff000ull
#define HIGH_RAM (1ull << 32)

u64 cvvtx_eptp(const struct cvvtx_vm *vm)
{
	u64 eptp = __pa(vm->ept) | 3 << 3 | 6; /* 4 levels, tables write-back */

	/*
	 * Bochs asks no leave for the accessed and dirty bits that it sets in the guest's tables, but for EPT's own such bits it takes
	 * every look at these tables for a write. CPUs don't need that.
	 */
	return vm->ticks && (cvvtx_caps.features & CVVTX_HAS_EPT_AD) ? eptp | 1 << 6 : eptp;
}

int cvvtx_ept_init(struct cvvtx_vm *vm)
{
	vm->npages = vm->cfg.ram_size >> PAGE_SHIFT;
	vm->ept = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	vm->pages = __vmalloc(max(vm->npages, 1ull) * sizeof(*vm->pages), GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	vm->dirty_map = __vmalloc(BITS_TO_LONGS(vm->npages + 1) * sizeof(long), GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	return vm->ept && vm->pages && vm->dirty_map ? 0 : -ENOMEM;
}

/* Guest-physical address to index of the page in RAM. */
bool cvvtx_ept_ram(const struct cvvtx_vm *vm, u64 gpa, u64 *page)
{
	u64 offset = gpa;

	if (gpa >= HIGH_RAM) {
		offset = gpa - HIGH_RAM + vm->cfg.ram_low;
		if (offset < gpa - HIGH_RAM || offset >= vm->cfg.ram_size)
			return false;
	} else if (gpa >= vm->cfg.ram_low) {
		return false;
	}
	*page = offset >> PAGE_SHIFT;
	return true;
}

static u64 gpa_of(const struct cvvtx_vm *vm, u64 page)
{
	u64 offset = page << PAGE_SHIFT;

	return offset < vm->cfg.ram_low ? offset : offset - vm->cfg.ram_low + HIGH_RAM;
}

static u64 *new_table(void)
{
	return (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
}

/* The entry that maps gpa, of 4 KiB or (EPT_LARGE) of 2 MiB. Missing tables: made where `make`, else NULL. */
static u64 *find_entry(struct cvvtx_vm *vm, u64 gpa, bool make)
{
	u64 *table = vm->ept;
	int shift;

	for (shift = 39; shift > 12; shift -= 9) {
		u64 *e = &table[gpa >> shift & 511];

		if (*e & EPT_LARGE)
			return e;
		if (!*e) {
			u64 *below = make ? new_table() : NULL;

			if (!below)
				return NULL;
			WRITE_ONCE(*e, __pa(below) | EPT_RWX);
		}
		table = __va(*e & EPT_ADDRESS);
	}
	return &table[gpa >> 12 & 511];
}

/* The entry of the 2 MiB around gpa, if there is nothing yet; else NULL. */
static u64 *find_large(struct cvvtx_vm *vm, u64 gpa)
{
	u64 *table = vm->ept, *e;
	int shift;

	for (shift = 39; shift > 21; shift -= 9) {
		e = &table[gpa >> shift & 511];
		if (!*e) {
			u64 *below = new_table();

			if (!below)
				return NULL;
			WRITE_ONCE(*e, __pa(below) | EPT_RWX);
		}
		table = __va(*e & EPT_ADDRESS);
	}
	e = &table[gpa >> 21 & 511];
	return *e ? NULL : e;
}

/* 2 MiB become 512 entries of 4 KiB with the same rights. (Both say the same: no INVEPT.) */
static int split(u64 *large)
{
	u64 *table = new_table(), i;

	if (!table)
		return -ENOMEM;
	for (i = 0; i < LARGE_PAGES; i++)
		table[i] = (*large & ~EPT_LARGE) + (i << PAGE_SHIFT);
	WRITE_ONCE(*large, __pa(table) | EPT_RWX);
	return 0;
}

/*
 * An access at gpa was refused. DONE: it's mapped now as far as the access needs; PIN: call cvvtx_ept_pin first; FULL: the dirty list
 * has no room.
 */
enum cvvtx_fault cvvtx_ept_fault(struct cvvtx_vm *vm, u64 gpa, bool write, u32 *ndirty)
{
	u64 *e = find_entry(vm, gpa, false), page;

	if (!e || !*e || !cvvtx_ept_ram(vm, gpa, &page))
		return CVVTX_FAULT_PIN;
	if (!write || (*e & EPT_WRITE))
		return CVVTX_FAULT_DONE;
	if (*e & EPT_LARGE)
		return CVVTX_FAULT_PIN; /* splits */
	if (*ndirty >= CVVTX_DIRTY_SLOTS)
		return CVVTX_FAULT_FULL;
	WRITE_ONCE(vm->dirty[(*ndirty)++], (u32)page);
	__set_bit(page, vm->dirty_map);
	WRITE_ONCE(*e, *e | EPT_WRITE);
	return CVVTX_FAULT_DONE;
}

/* Maps one page that the caller holds. */
int cvvtx_ept_map(struct cvvtx_vm *vm, u64 gpa, struct page *page, bool write)
{
	u64 *e = find_entry(vm, gpa, true);

	if (!e)
		return -ENOMEM;
	WRITE_ONCE(*e, page_to_phys(page) | EPT_READ | EPT_EXEC | (write ? EPT_WRITE : 0) | EPT_WRITE_BACK);
	return 0;
}

static int pin(struct cvvtx_vm *vm, u64 n, int count)
{
	int rc = pin_user_pages_fast(vm->cfg.ram + (n << PAGE_SHIFT), count, FOLL_WRITE | FOLL_LONGTERM, &vm->pages[n]);

	if (rc == count)
		return 0;
	if (rc > 0)
		unpin_user_pages(&vm->pages[n], rc);
	memset(&vm->pages[n], 0, count * sizeof(*vm->pages));
	return rc < 0 ? rc : -EFAULT;
}

/* Maps the 2 MiB around page n as one, if they are a huge page that is new to the guest. Its other pages are pinned too. */
static bool map_large(struct cvvtx_vm *vm, u64 n)
{
	u64 first = n & ~(LARGE_PAGES - 1), gpa = gpa_of(vm, first), *e, i;
	struct page *page = vm->pages[n];

	if (!(cvvtx_caps.features & CVVTX_HAS_EPT_2M) || compound_order(compound_head(page)) < 9)
		return false;
	if (first + LARGE_PAGES > vm->npages || gpa % LARGE || gpa_of(vm, first + LARGE_PAGES - 1) != gpa + LARGE - PAGE_SIZE)
		return false;
	if ((page_to_pfn(page) ^ n) & (LARGE_PAGES - 1))
		return false;
	e = find_large(vm, gpa);
	for (i = first; e && i < first + LARGE_PAGES; i++)
		if ((!vm->pages[i] && pin(vm, i, 1)) || page_to_pfn(vm->pages[i]) != page_to_pfn(page) - (n - first) + (i - first) ||
		    test_bit(i, vm->dirty_map))
			return false;
	if (!e)
		return false;
	WRITE_ONCE(*e, page_to_phys(vm->pages[first]) | EPT_READ | EPT_EXEC | EPT_WRITE_BACK | EPT_LARGE);
	return true;
}

/* Pins and maps the page of RAM at gpa, read-only, or lets a large page be written in parts. May sleep. */
int cvvtx_ept_pin(struct cvvtx_vm *vm, u64 gpa)
{
	u64 n, *e;
	int rc;

	if (!cvvtx_ept_ram(vm, gpa, &n))
		return -EFAULT;
	e = find_entry(vm, gpa, false);
	if (e && (*e & EPT_LARGE))
		return split(e);
	if (!vm->pages[n]) {
		rc = pin(vm, n, 1);
		if (rc)
			return rc;
		if (map_large(vm, n))
			return 0;
	}
	return cvvtx_ept_map(vm, gpa, vm->pages[n], test_bit(n, vm->dirty_map));
}

void cvvtx_ept_protect(struct cvvtx_vm *vm)
{
	u64 page;

	for_each_set_bit(page, vm->dirty_map, vm->npages) {
		u64 *e = find_entry(vm, gpa_of(vm, page), false);

		if (e && !(*e & EPT_LARGE))
			WRITE_ONCE(*e, *e & ~EPT_WRITE);
	}
	bitmap_zero(vm->dirty_map, vm->npages);
	vm->flush_ept = true;
}

static void free_tables(u64 *table, int level)
{
	unsigned int i;

	for (i = 0; i < 512; i++) {
		u64 *below = __va(table[i] & EPT_ADDRESS);

		if (!table[i])
			continue;
		if (!(table[i] & EPT_LARGE)) {
			if (level > 2)
				free_tables(below, level - 1);
			free_page((unsigned long)below);
		}
		table[i] = 0;
	}
}

/* Gives all pages back. No CPU runs the guest, and none will before the INVEPT that flush_ept asks for. */
void cvvtx_ept_drop(struct cvvtx_vm *vm)
{
	u64 n;

	free_tables(vm->ept, 4);
	for (n = 0; n < vm->npages; n++) {
		if (vm->pages[n])
			unpin_user_pages_dirty_lock(&vm->pages[n], 1, true);
		vm->pages[n] = NULL;
		if (!(n & 1023))
			cond_resched();
	}
	bitmap_zero(vm->dirty_map, vm->npages);
	vm->flush_ept = true;
}

void cvvtx_ept_release(struct cvvtx_vm *vm)
{
	if (vm->ept && vm->pages && vm->dirty_map)
		cvvtx_ept_drop(vm);
	vfree(vm->dirty_map);
	vfree(vm->pages);
	free_page((unsigned long)vm->ept);
}
