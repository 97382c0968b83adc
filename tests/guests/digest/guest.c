/* SPDX-License-Identifier: MIT */
/* The digests as a bare-metal guest. Command line: "each" tells those of the single operations, too. */
#include "../modes/guest.h"
#include "digest.h"

static void line(const char *indent, const char *name, uint64_t v)
{
	char digits[17];

	for (unsigned k = 0; k < 16; k++)
		digits[k] = "0123456789abcdef"[v >> (60 - 4 * k) & 15];
	digits[16] = 0;
	say(indent);
	say(name);
	say(" ");
	say(digits);
	say("\n");
}

static void tell(const char *name, uint64_t digest)
{
	line("  ", name, digest);
}

/* XCR0 as far as there is one: x87, SSE, AVX. */
static void enable_states(void)
{
	uint32_t a = 1, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	if (!(c >> 26 & 1))
		return;
	WRITE_REG(cr4, READ_REG(cr4) | 1 << 18);
	__asm__ volatile("xsetbv" : : "c"(0), "a"(c >> 28 & 1 ? 7 : 3), "d"(0));
}

void kmain(const uint32_t *multiboot)
{
	guest_init(multiboot);
	enable_states();
	for (const struct group *g = groups; g->name; g++)
		if (group_is_there(g))
			line("", g->name, digest_group(g, has_word("each") ? tell : NULL));
	say("done\n");
	leave(0);
}
