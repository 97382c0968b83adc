/* SPDX-License-Identifier: MIT */
/*
 * A recursion that outgrows its stack, and a page table that lies below the stack.
 *
 * The kernel measures trees by recursion. They are degenerate: each node has one child, so the depth is the number of
 * nodes. The deepest of them needs more stack than there is; nothing faults, the recursion simply writes on, over the end of
 * boot_pt, and returns the right answer. The last entries of that table map the pages just below 2 MiB. The kernel
 * has given one of them to its interrupt table. The CPU remembers the old translation until the kernel flushes it; with
 * the next timer interrupt after that there is no way to report anything any more: triple fault.
 */
#include "kernel.h"

#define NODES 300
#define HZ 100
#define PATH 4

struct node {
	struct node *child;
	uint64_t weight;
};

static struct node nodes[NODES];
static volatile unsigned ticks;

/* Pages are handed out from 2 MiB downwards. */
static uint8_t *next_page = (uint8_t *)0x200000;

static void *page_alloc(void)
{
	next_page -= 4096;
	return next_page;
}

static void tlb_flush(void)
{
	uint64_t cr3;

	__asm__ volatile("movq %%cr3, %0; movq %0, %%cr3" : "=r"(cr3) : : "memory");
}

static void timer_interrupt(void)
{
	ticks++;
}

static void plant(unsigned depth)
{
	for (unsigned i = 0; i < depth; i++) {
		nodes[i].weight = i + 1;
		nodes[i].child = i + 1 < depth ? &nodes[i + 1] : NULL;
	}
}

/* The weight of a tree: its own, and its child's. Keeps the last few weights of the way down, for no good reason. */
static uint64_t measure(const struct node *node, const uint64_t *above)
{
	uint64_t path[PATH], sum;

	for (unsigned i = 1; i < PATH; i++)
		path[i] = above ? above[i - 1] : 0;
	path[0] = node->weight;
	sum = node->child ? measure(node->child, path) : 0;
	return sum + path[0];
}

void kmain(void)
{
	static const unsigned depths[] = {10, 60, 120, 270};

	serial_init();
	trap_init(page_alloc());
	irq_install(IRQ_TIMER, timer_interrupt);
	timer_start(HZ);
	for (unsigned i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
		unsigned until = ticks + 5;

		plant(depths[i]);
		print("stack-overflow: a tree of depth %u weighs %lu\n", depths[i], measure(nodes, NULL));
		tlb_flush();
		while (ticks < until)
			irq_wait();
	}
	print("stack-overflow: done\n");
	machine_exit(0);
}
