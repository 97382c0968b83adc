/* SPDX-License-Identifier: MIT */
/* A Multiboot 1 kernel that says what it was handed. 32-bit. With -DADDRESSES its header has address fields. */
#include "say.h"

#ifdef ADDRESSES
#define FLAGS "0x10003"
#define FIELDS ".long header, __start, __data_end, __end, _start\n"
#else
#define FLAGS "0x3"
#define FIELDS ""
#endif

__asm__(".section .header, \"ax\"\n"
	".balign 4\n"
	"header: .long 0x1badb002, " FLAGS ", -0x1badb002 - " FLAGS "\n" FIELDS
	".globl _start\n"
	"_start: movl $stack_top, %esp\n"
	"pushfl\n"
	"pushl %ebx\n"
	"pushl %eax\n"
	"call kmain\n"
	".bss\n"
	".balign 16\n"
	".skip 8192\n"
	"stack_top:\n"
	".text\n");

struct info {
	uint32_t flags, mem_lower, mem_upper, boot_device;
	const char *cmdline;
	uint32_t mods_count;
	const struct module *mods;
	uint32_t sections, section_size, section_addr, strings;
	uint32_t mmap_length;
	const uint8_t *mmap;
	uint32_t drives_length, drives, config;
	const char *loader;
};

struct module {
	const uint8_t *start, *end;
	const char *args;
	uint32_t reserved;
};

static volatile uint32_t bss_word; /* must be zero */

void kmain(uint32_t magic, const struct info *info, uint32_t flags);

static void say_modules(const struct info *info)
{
	for (uint32_t i = 0; i < info->mods_count; i++) {
		const struct module *m = &info->mods[i];

		say("module ");
		say(m->args);
		say((uintptr_t)m->start & 0xfff ? " unaligned" : " aligned");
		say_sum(m->start, (uintptr_t)(m->end - m->start));
		say("\n");
	}
}

static void say_memory(const struct info *info)
{
	uint64_t usable = 0;

	for (const uint8_t *p = info->mmap; p < info->mmap + info->mmap_length; p += *(const uint32_t *)p + 4)
		if (*(const uint32_t *)(p + 20) == 1)
			usable += *(const uint64_t *)(p + 12);
	say_hex("usable MiB ", (uintptr_t)(usable >> 20));
	say_hex(" lower ", info->mem_lower);
	say(info->mem_upper > 14 * 1024 ? " upper plausible\n" : " upper too small\n");
}

void kmain(uint32_t magic, const struct info *info, uint32_t flags)
{
	uint32_t cr0;

	__asm__ volatile("movl %%cr0, %0" : "=r"(cr0));
	say_cpu(cr0, flags);
	say_hex("magic ", magic);
	say(bss_word ? " bss dirty\n" : " bss clean\n");
	say("command line ");
	say(info->cmdline);
	say("\nloader ");
	say(info->loader);
	say("\n");
	say_memory(info);
	say_modules(info);
	say(info->flags & 0x20 ? "sections\n" : "no sections\n");
	leave(0);
}
