/* SPDX-License-Identifier: MIT */
/*
 * Dispatch of port and memory-mapped I/O: a sorted table searched by bisection; accesses are cut until they are aligned and
 * no wider than the device takes.
 */
#include "vmm-core/bus.h"

#include <assert.h>
#include <stddef.h>

static void add(struct cv_region *table, unsigned *n, struct cv_region r)
{
	unsigned k = *n;

	assert(*n < CV_BUS_REGIONS && r.len > 0);
	while (k > 0 && table[k - 1].base > r.base) {
		table[k] = table[k - 1];
		k--;
	}
	table[k] = r;
	++*n;
	assert(k == 0 || table[k - 1].base + table[k - 1].len <= r.base);
	assert(k + 1 == *n || r.base + r.len <= table[k + 1].base);
}

void cv_bus_add_pio(struct cv_bus *b, uint16_t port, unsigned len, const struct cv_io_ops *ops, void *dev)
{
	add(b->pio, &b->npio, (struct cv_region){.base = port, .len = len, .ops = ops, .dev = dev});
}

void cv_bus_add_mmio(struct cv_bus *b, uint64_t base, uint64_t len, const struct cv_io_ops *ops, void *dev)
{
	add(b->mmio, &b->nmmio, (struct cv_region){.base = base, .len = len, .ops = ops, .dev = dev});
}

bool cv_bus_move_mmio(struct cv_bus *b, uint64_t from, uint64_t to)
{
	struct cv_region moved = {0};
	unsigned n = 0;

	for (unsigned k = 0; k < b->nmmio; k++)
		if (b->mmio[k].base == from)
			moved = b->mmio[k];
	assert(moved.len > 0);
	moved.base = to;
	for (unsigned k = 0; k < b->nmmio; k++)
		if (b->mmio[k].base != from && b->mmio[k].base < to + moved.len && to < b->mmio[k].base + b->mmio[k].len)
			return false;
	for (unsigned k = 0; k < b->nmmio; k++)
		if (b->mmio[k].base != from)
			b->mmio[n++] = b->mmio[k];
	b->nmmio = n;
	add(b->mmio, &b->nmmio, moved);
	return true;
}

static const struct cv_region *find(const struct cv_region *table, unsigned n, uint64_t addr)
{
	unsigned low = 0, high = n;

	while (low < high) {
		unsigned mid = (low + high) / 2;

		if (addr - table[mid].base < table[mid].len && addr >= table[mid].base)
			return &table[mid];
		if (addr < table[mid].base)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

static uint64_t ones(unsigned size)
{
	return size == 8 ? UINT64_MAX : (1ull << (8 * size)) - 1;
}

/* The widest access at addr, of at most `size` bytes, that region r (or nobody) takes at once. */
static unsigned piece(const struct cv_region *r, uint64_t addr, unsigned size)
{
	unsigned n = 8;

	if (r) {
		unsigned max = r->ops->max_size ? r->ops->max_size : 8;
		uint64_t room = r->base + r->len - addr;

		while (n > max || n > room || n > size || ((addr - r->base) & (n - 1)))
			n /= 2;
		return n;
	}
	return 1;
}

static uint64_t read_all(const struct cv_region *table, unsigned count, uint64_t addr, unsigned size)
{
	uint64_t v = 0;

	for (unsigned k = 0, n; k < size; k += n) {
		const struct cv_region *r = find(table, count, addr + k);
		uint64_t part;

		n = piece(r, addr + k, size - k);
		part = r && r->ops->read ? r->ops->read(r->dev, addr + k - r->base, n) : UINT64_MAX;
		v |= (part & ones(n)) << (8 * k);
	}
	return v;
}

static void write_all(const struct cv_region *table, unsigned count, uint64_t addr, unsigned size, uint64_t value)
{
	for (unsigned k = 0, n; k < size; k += n) {
		const struct cv_region *r = find(table, count, addr + k);

		n = piece(r, addr + k, size - k);
		if (r && r->ops->write)
			r->ops->write(r->dev, addr + k - r->base, n, (value >> (8 * k)) & ones(n));
	}
}

uint32_t cv_bus_in(struct cv_bus *b, uint16_t port, unsigned size)
{
	return (uint32_t)read_all(b->pio, b->npio, port, size);
}

void cv_bus_out(struct cv_bus *b, uint16_t port, unsigned size, uint32_t value)
{
	write_all(b->pio, b->npio, port, size, value);
}

uint64_t cv_bus_mmio_read(struct cv_bus *b, uint64_t gpa, unsigned size)
{
	return read_all(b->mmio, b->nmmio, gpa, size);
}

void cv_bus_mmio_write(struct cv_bus *b, uint64_t gpa, unsigned size, uint64_t value)
{
	write_all(b->mmio, b->nmmio, gpa, size, value);
}
