/* SPDX-License-Identifier: MIT */
/*
 * Port I/O and memory-mapped I/O: which device answers at an address.
 *
 * Regions never overlap and are registered once, by the board, before the first instruction; only the local APIC moves. Accesses reach a device
 * naturally aligned within its region with size 1, 2 or 4 (8 for MMIO); where nobody answers a read gives all ones and
 * a write is lost, as on a PC. A device's handlers are deterministic: a function of its state, the access and cv_clock.
 */
#ifndef CV_BUS_H
#define CV_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm-core/error.h"

struct cv_io_ops {
	uint64_t (*read)(void *dev, uint64_t offset, unsigned size);
	void (*write)(void *dev, uint64_t offset, unsigned size, uint64_t value);
	unsigned max_size; /* wider accesses are split into several of this size, low address first; 0 means 8 */
};

struct cv_region {
	uint64_t base, len;
	const struct cv_io_ops *ops; /* borrowed */
	void *dev;		     /* borrowed */
};

#define CV_BUS_REGIONS 64

struct cv_bus {
	struct cv_region pio[CV_BUS_REGIONS], mmio[CV_BUS_REGIONS]; /* [i] sorted by base */
	unsigned npio, nmmio;
};

/* Registers a region; overlapping ones or too many are a bug (assert). */
void cv_bus_add_pio(struct cv_bus *b, uint16_t port, unsigned len, const struct cv_io_ops *ops, void *dev);
void cv_bus_add_mmio(struct cv_bus *b, uint64_t base, uint64_t len, const struct cv_io_ops *ops, void *dev);

/* Moves the region that begins at `from`. false: another is in the way, and nothing has changed. */
bool cv_bus_move_mmio(struct cv_bus *b, uint64_t from, uint64_t to);

uint32_t cv_bus_in(struct cv_bus *b, uint16_t port, unsigned size);
void cv_bus_out(struct cv_bus *b, uint16_t port, unsigned size, uint32_t value);
uint64_t cv_bus_mmio_read(struct cv_bus *b, uint64_t gpa, unsigned size);
void cv_bus_mmio_write(struct cv_bus *b, uint64_t gpa, unsigned size, uint64_t value);

#endif
