/* SPDX-License-Identifier: MIT */
/* A plain ELF64 kernel, linked in the upper half, that says what it was handed: RDI, RSP, paging. */
#include "say.h"

struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp, memmap;
	uint32_t memmap_entries, reserved;
};

struct module {
	uint64_t start, size, args, reserved;
};

struct memmap {
	uint64_t base, size;
	uint32_t type, reserved;
};

void _start(const struct start_info *info);

static void say_modules(const struct start_info *info)
{
	const struct module *m = (const struct module *)info->modlist;

	for (uint32_t i = 0; i < info->nr_modules; i++) {
		say("module ");
		say(m[i].args ? (const char *)m[i].args : "-");
		say_sum((const uint8_t *)m[i].start, m[i].size);
		say("\n");
	}
}

static void say_memory(const struct start_info *info)
{
	const struct memmap *map = (const struct memmap *)info->memmap;
	uint64_t usable = 0;

	for (uint32_t i = 0; i < info->memmap_entries; i++)
		if (map[i].type == 1)
			usable += map[i].size;
	say_hex("usable MiB ", usable >> 20);
	say("\n");
}

static void say_rsdp(const struct start_info *info)
{
	const char *p = (const char *)info->rsdp, *want = "RSD PTR ";

	while (p && *want && *p == *want) {
		p++;
		want++;
	}
	say(p && !*want ? "rsdp found\n" : "no rsdp\n");
}

/* Entered as a C function is called. */
void _start(const struct start_info *info)
{
	uintptr_t cr0, flags, sp = (uintptr_t)__builtin_frame_address(0);

	__asm__ volatile("movq %%cr0, %0; pushfq; popq %1" : "=r"(cr0), "=r"(flags));
	say_cpu(cr0, flags);
	say_hex("magic ", info->magic);
	say_hex(" version ", info->version);
	say(sp % 16 ? " stack skewed\n" : " stack aligned\n");
	say("command line ");
	say((const char *)info->cmdline);
	say("\n");
	say_memory(info);
	say_rsdp(info);
	say_modules(info);
	leave(0);
}
