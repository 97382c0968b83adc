/* SPDX-License-Identifier: MIT */
/* The digests of the CPU that this runs on, as a program: what guest.c must print on a CPU with the same definitions. */
#include <inttypes.h>
#include <stdio.h>

#include "digest.h"

static void tell(const char *name, uint64_t digest)
{
	printf("  %s %016" PRIx64 "\n", name, digest);
}

int main(int argc, char **argv)
{
	(void)argv;
	for (const struct group *g = groups; g->name; g++)
		if (group_is_there(g))
			printf("%s %016" PRIx64 "\n", g->name, digest_group(g, argc > 1 ? tell : NULL));
	return 0;
}
