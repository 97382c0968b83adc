/* SPDX-License-Identifier: MIT */
/* Guest memory: the list of dirtied pages, dropped and exchanged pages, translations. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests.h"

/* Adds 1 to the first word of RCX pages from RDI on. */
GUEST(touch, "1: incl (%rdi)\n add $4096, %rdi\n dec %rcx\n jnz 1b\n hlt");
GUEST(read, "mov (%rdi), %eax\n hlt");
/* Reads a word of each of RCX pages from RDI on. */
GUEST(look, "1: mov (%rdi), %eax\n add $4096, %rdi\n dec %rcx\n jnz 1b\n hlt");
GUEST(write_and_walk, "incl 0x90000\n mov 0x91000, %eax\n hlt");

static int cmp32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

/*
 * The guest's page tables: where the module can't see the CPU's own writes to them (accessed and dirty bits), it lists them when they
 * are walked.
 */
static bool is_table(uint32_t page)
{
	return page >= PML4 / 4096 && page < 0x1a;
}

/* Copies those that aren't tables; how many. */
static int gather(uint32_t *to, const uint32_t *from, uint32_t n)
{
	int count = 0;
	for (uint32_t i = 0; i < n; i++)
		if (!is_table(from[i]))
			to[count++] = from[i];
	return count;
}

/* Runs `touch` to its HLT, gathers the dirty list. -1: something else happened. */
static int touch_pages(struct vm *vm, uint32_t from, unsigned n, uint32_t *list, unsigned *full)
{
	int count = 0;
	vm_reset(vm);
	vm->run->gpr[RDI] = from;
	vm->run->gpr[RCX] = n;
	*full = 0;
	for (;;) {
		if (vm_go(vm) < 0 || vm->run->ndirty > CVVTX_DIRTY_SLOTS)
			return -1;
		count += gather(list + count, vm->dirty, vm->run->ndirty);
		if (vm->run->exit == CVVTX_EXIT_DIRTY && vm->run->ndirty == CVVTX_DIRTY_SLOTS)
			(*full)++;
		else if (vm->run->exit != 12)
			return -1;
		vm->run->ndirty = 0;
		if (vm->run->exit == 12)
			break;
	}
	qsort(list, (size_t)count, 4, cmp32);
	return count;
}

static uint32_t list[20000];

static bool listed(const struct vm *vm, uint32_t page)
{
	for (unsigned i = 0; i < vm->run->ndirty; i++)
		if (vm->dirty[i] == page)
			return true;
	return false;
}

static void written_pages_are_listed_once(void)
{
	struct vm vm;
	unsigned full;
	CHECK(vm_open(&vm, 8, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, touch);
	int n = touch_pages(&vm, 2 * MIB, 300, list, &full);
	CHECK(n == 300 && !full, "%d pages, exit %#x", n, vm.run->exit);
	for (int i = 0; i < 300; i++)
		CHECK(list[i] == 512u + (unsigned)i, "%d: page %u", i, list[i]);
	n = touch_pages(&vm, 2 * MIB + 4096 * 290, 20, list, &full);
	CHECK(n == 10 && list[0] == 512 + 300 && list[9] == 512 + 309, "%d more pages, the first %u", n, list[0]);
	/* Reading lists nothing. */
	LOAD(&vm, read);
	vm_reset(&vm);
	vm.run->gpr[RDI] = 4 * MIB;
	int rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == 12 && !listed(&vm, 1024), "RUN %d, exit %#x, ndirty %u", rc, vm.run->exit, vm.run->ndirty);
	vm.run->ndirty = 0;
	/* And a page that was read first is still listed when written. */
	LOAD(&vm, touch);
	n = touch_pages(&vm, 4 * MIB, 1, list, &full);
	CHECK(n == 1 && list[0] == 1024, "%d pages", n);
	vm_close(&vm);
}

static void protect_lists_them_again(void)
{
	struct vm vm;
	unsigned full;
	CHECK(vm_open(&vm, 8, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, touch);
	for (int round = 0; round < 20; round++) {
		int n = touch_pages(&vm, 2 * MIB + 4096 * (unsigned)round, 100, list, &full);
		CHECK(n == 100 && list[0] == 512u + (unsigned)round && list[99] == 611u + (unsigned)round, "round %d: %d pages", round, n);
		n = touch_pages(&vm, 2 * MIB + 4096 * (unsigned)round, 100, list, &full);
		CHECK(n == 0, "round %d: %d pages without PROTECT", round, n);
		CHECK(ioctl(vm.fd, CVVTX_PROTECT) == 0, "errno %d", errno);
	}
	vm_close(&vm);
}

static void full_list_exits_and_loses_nothing(void)
{
	struct vm vm;
	unsigned full;
	CHECK(vm_open(&vm, 48, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, touch);
	const unsigned pages = 10000;
	int n = touch_pages(&vm, 4 * MIB, pages, list, &full);
	CHECK(n == (int)pages && full == 2, "%d pages, full %u times, exit %#x", n, full, vm.run->exit);
	for (unsigned i = 0; i < pages; i++) {
		CHECK(list[i] == 1024 + i, "%u: page %u", i, list[i]);
		CHECK(vm.ram[4 * MIB + 4096 * i] == 1, "page %u was written %u times", i, vm.ram[4 * MIB + 4096 * i]);
	}
	/* A list that isn't emptied: RUN stops again at once. */
	CHECK(ioctl(vm.fd, CVVTX_PROTECT) == 0, "errno %d", errno);
	vm_reset(&vm);
	vm.run->gpr[RDI] = 4 * MIB;
	vm.run->gpr[RCX] = 10;
	vm.run->ndirty = CVVTX_DIRTY_SLOTS;
	int rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == CVVTX_EXIT_DIRTY && vm.run->rip == CODE && vm.run->ndirty == CVVTX_DIRTY_SLOTS,
	      "RUN %d, exit %#x, ndirty %u", rc, vm.run->exit, vm.run->ndirty);
	vm_close(&vm);
}

/* What the process writes is what the guest reads, without asking the module, and the other way round. */
static void memory_is_shared(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 8, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, read);
	for (uint32_t i = 1; i < 20; i++) {
		vm_reset(&vm);
		memcpy(vm.ram + 3 * MIB, &i, 4);
		vm.run->gpr[RDI] = 3 * MIB;
		int rc = vm_go(&vm);
		CHECK(rc == 0 && vm.run->exit == 12 && vm.run->gpr[RAX] == i, "RUN %d, exit %#x, read %llu", rc, vm.run->exit,
		      (unsigned long long)vm.run->gpr[RAX]);
	}
	vm_close(&vm);
}

/* Pages are exchanged (a hole punched into the memory file): after DROP the guest sees the new ones. */
static void drop_forgets_pinned_pages(void)
{
	struct vm vm;
	unsigned full;
	CHECK(vm_open(&vm, 8, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, touch);
	for (int round = 0; round < 10; round++) {
		int n = touch_pages(&vm, 4 * MIB, 200, list, &full);
		CHECK(n == 200 && vm.ram[4 * MIB] == 1 && vm.ram[4 * MIB + 199 * 4096] == 1, "round %d: %d pages, %u", round, n,
		      vm.ram[4 * MIB]);
		CHECK(fallocate(vm.memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * MIB, 2 * MIB) == 0, "fallocate");
		CHECK(ioctl(vm.fd, CVVTX_DROP) == 0, "errno %d", errno);
	}
	vm_close(&vm);
}

/* Guest page tables changed from outside: after FLUSH the new translation holds. */
static void flush_forgets_translations(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 8, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, read);
	for (uint32_t i = 0; i < 10; i++) {
		vm_reset(&vm);
		/* Linear 40000000h: 2 MiB or 4 MiB in turn. */
		uint64_t entry = (uint64_t)(i % 2 ? 2 : 4) * MIB | 0xe3;
		memcpy(vm.ram + 0x17000, &entry, 8);
		memcpy(vm.ram + 2 * MIB, "\2\0\0\0", 4);
		memcpy(vm.ram + 4 * MIB, "\4\0\0\0", 4);
		CHECK(ioctl(vm.fd, CVVTX_FLUSH) == 0, "errno %d", errno);
		vm.run->gpr[RDI] = 0x40000000;
		int rc = vm_go(&vm);
		CHECK(rc == 0 && vm.run->exit == 12 && vm.run->gpr[RAX] == (i % 2 ? 2 : 4), "RUN %d, exit %#x, read %llu", rc,
		      vm.run->exit, (unsigned long long)vm.run->gpr[RAX]);
	}
	vm_close(&vm);
}

/* The CPU's own writes, of accessed and dirty bits, are writes to the pages with the guest's tables. */
static void accessed_bits_dirty_the_tables(void)
{
	struct vm vm;
	struct cvvtx_info info;
	vm_info(&info);
	if (!(info.features & (CVVTX_HAS_EXACT_TIMER | CVVTX_HAS_MTF))) {
		printf("  an emulator with several CPUs: it sets these bits behind EPT's back\n");
		return;
	}
	CHECK(vm_open(&vm, 8, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, write_and_walk);
	vm.ram[0x16000] &= (uint8_t)~0x60; /* first entry of the page directory: not accessed, not dirty */
	int rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == 12 && listed(&vm, 0x90) && listed(&vm, 0x16), "RUN %d, exit %#x, ndirty %u", rc, vm.run->exit, vm.run->ndirty);
	CHECK((vm.ram[0x16000] & 0x60) == 0x60, "entry %#x", vm.ram[0x16000]);
	vm_close(&vm);
}

static bool get_huge_pages(unsigned n)
{
	char text[16];
	int fd = open("/proc/sys/vm/nr_hugepages", O_RDWR), len = snprintf(text, sizeof(text), "%u", n);
	bool ok = fd >= 0 && write(fd, text, (size_t)len) == len && lseek(fd, 0, SEEK_SET) == 0 && read(fd, text, sizeof(text)) > 0;
	if (fd >= 0)
		close(fd);
	return ok && (unsigned)atoi(text) == n;
}

static unsigned wrong_words(const struct vm *vm, uint32_t from, uint32_t pages, uint32_t value)
{
	unsigned wrong = 0;
	for (uint32_t i = 512; i < vm->size / 4096; i++) {
		uint32_t word;
		memcpy(&word, vm->ram + 4096ul * i, 4);
		wrong += word != (i >= from && i < from + pages ? value : 0);
	}
	return wrong;
}

/* RAM in huge pages: reading needs an exit for each 2 MiB at most, writing dirties 4 KiB at a time and hits nothing else. */
static void huge_pages_are_mapped_whole_until_written(void)
{
	struct vm vm;
	struct cvvtx_info info;
	vm_info(&info);
	if (!(info.features & CVVTX_HAS_EPT_2M) || !get_huge_pages(8)) {
		printf("  no huge pages here\n");
		return;
	}
	CHECK(vm_open_on(&vm, 16, CVVTX_COUNTER_NONE, MFD_HUGETLB) == 0, "%s", strerror(errno));
	for (uint32_t round = 1; round < 5; round++) {
		unsigned full;
		vm_reset(&vm);
		LOAD(&vm, look);
		vm.run->gpr[RDI] = 2 * MIB;
		vm.run->gpr[RCX] = 7 * 512 - 1;
		uint64_t exits = vm.run->exits;
		int rc = vm_go(&vm);
		CHECK(rc == 0 && vm.run->exit == 12 && vm.run->exits - exits < 300, "RUN %d, exit %#x, %llu exits", rc, vm.run->exit,
		      (unsigned long long)(vm.run->exits - exits));
		/* The end of one huge page, a whole one, the begin of one. */
		LOAD(&vm, touch);
		int n = touch_pages(&vm, 4 * MIB + 300 * 4096, 800, list, &full);
		CHECK(n == 800 && list[0] == 1324 && list[799] == 2123, "round %u: %d pages, the first %u", round, n, list[0]);
		unsigned wrong = wrong_words(&vm, 1324, 800, round);
		CHECK(wrong == 0, "round %u: %u pages hold something else", round, wrong);
		CHECK(ioctl(vm.fd, round % 2 ? CVVTX_PROTECT : CVVTX_DROP) == 0, "errno %d", errno);
	}
	vm_close(&vm);
	CHECK(get_huge_pages(0), "huge pages are still held");
}

#define T(name) {#name, name}
const struct test memory_tests[] = {
	T(written_pages_are_listed_once),
	T(protect_lists_them_again),
	T(full_list_exits_and_loses_nothing),
	T(memory_is_shared),
	T(drop_forgets_pinned_pages),
	T(flush_forgets_translations),
	T(accessed_bits_dirty_the_tables),
	T(huge_pages_are_mapped_whole_until_written),
};
const size_t nmemory_tests = sizeof(memory_tests) / sizeof(memory_tests[0]);
