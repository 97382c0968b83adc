/* SPDX-License-Identifier: MIT */
/*
 * A sampling profiler in miniature, with a race.
 *
 * The timer's interrupt handler takes a buffer from the free list, fills it with a sample and puts it on a ring. The main
 * loop takes samples off the ring, adds them up and gives their buffers back to the free list. Both touch the free
 * list, so the main loop turns interrupts off when it does. It forgets that in one rare path.
 *
 * On most runs that goes well for a second, and the kernel ends cleanly. On some it doesn't.
 */
#include "kernel.h"

#define BUFFERS 32
#define SAMPLES 1000
#define HZ 1000
#define WORDS 14
#define TAKEN ((struct buffer *)0x5a5a5a5a5a5a5a5aull) /* `next` of a buffer that is on no list */

struct buffer {
	struct buffer *next;
	bool free;
	unsigned used;
	uint64_t words[WORDS];
};

struct list {
	struct buffer *head;
};

static struct buffer pool[BUFFERS];
static struct list free_list;

/* Filled samples: the interrupt handler writes at `in`, the main loop reads at `out`. */
static struct buffer *volatile ring[BUFFERS];
static volatile unsigned ring_in, ring_out;
static volatile unsigned samples, dropped;

static uint8_t idt[4096] __attribute__((aligned(4096)));

/* --- The free list --- */

static struct buffer *list_pop(struct list *list)
{
	struct buffer *b = list->head;

	if (!b)
		return NULL;
	list->head = b->next;
	b->next = TAKEN;
	b->free = false;
	return b;
}

static void list_push(struct list *list, struct buffer *b)
{
	if (b->free)
		return;
	b->free = true;
	b->next = list->head;
	list->head = b;
}

/* --- Interrupt handler --- */

static void timer_interrupt(void)
{
	struct buffer *b = list_pop(&free_list);

	samples++;
	if (!b) {
		dropped++;
		return;
	}
	b->used = 1 + samples % WORDS;
	for (unsigned i = 0; i < b->used; i++)
		b->words[i] = rdtsc();
	ring[ring_in % BUFFERS] = b;
	ring_in++;
}

/* --- Main loop --- */

static void give_back(struct buffer *b)
{
	irq_disable();
	list_push(&free_list, b);
	irq_enable();
}

/* A buffer to work in, if the next one is large enough. */
static struct buffer *take_spare(unsigned words)
{
	struct buffer *b = free_list.head;

	if (b < pool || b >= pool + BUFFERS || words > WORDS - 2)
		return NULL;
	free_list.head = b->next;
	b->free = false;
	b->used = words;
	return b;
}

static uint64_t add_up(const struct buffer *b)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < b->used && i < WORDS; i++)
		sum += b->words[i];
	return sum;
}

/* Some work that takes more or less long: 0 to 255 rounds. */
static uint64_t think(uint64_t seed)
{
	for (unsigned rounds = seed >> 32 & 255; rounds; rounds--)
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return seed * 6364136223846793005ull + 1442695040888963407ull;
}

static uint64_t drain_ring(void)
{
	uint64_t sum = 0;

	while (ring_out != ring_in) {
		struct buffer *b = ring[ring_out % BUFFERS];

		ring_out++;
		sum += add_up(b);
		give_back(b);
	}
	return sum;
}

/* Once in a while the loop needs a buffer of its own. */
static uint64_t scratch_work(uint64_t seed)
{
	struct buffer *b = take_spare(seed >> 8 & 7);
	uint64_t sum;

	if (!b)
		return 0;
	for (unsigned i = 0; i < b->used; i++)
		b->words[i] = think(seed + i);
	sum = add_up(b);
	give_back(b);
	return sum;
}

void kmain(void)
{
	uint64_t sum = 0;
	unsigned told = 0;

	serial_init();
	trap_init(idt);
	for (unsigned i = 0; i < BUFFERS; i++)
		list_push(&free_list, &pool[i]);
	irq_install(IRQ_TIMER, timer_interrupt);
	print("racing-list: taking %u samples\n", SAMPLES);
	timer_start(HZ);
	irq_enable();
	while (samples < SAMPLES) {
		uint64_t seed = think(sum);

		sum += seed + drain_ring();
		if (seed >> 59 == 0)
			sum += scratch_work(seed);
		if (samples / 200 > told) {
			told = samples / 200;
			print("racing-list: %u samples, %u dropped\n", told * 200, dropped);
		}
	}
	irq_disable();
	print("racing-list: done, checksum %lx\n", sum);
	machine_exit(0);
}
