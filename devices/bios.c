/* SPDX-License-Identifier: MIT */
/*
 * What a BIOS leaves running for those that stay in real mode: interrupt vectors, and the tick of timer 0 at 18.2 Hz on
 * IRQ 0, counted at 40:6C. A machine with the test device has it, for the tests that come with that device take it for
 * granted; there are no services to call.
 */
#include "devices/devices.h"

/* Where they have been since the first PC. */
enum { TICK_HANDLER = 0xfea5, DUMMY_HANDLER = 0xff53, TICK_VECTOR = 8 };
#define ROM 0xf0000ull

static const uint8_t tick[] = {
	0x1e,				    /* push ds */
	0x50,				    /* push ax */
	0xb8, 0x40, 0x00,		    /* mov ax, 40h */
	0x8e, 0xd8,			    /* mov ds, ax */
	0x66, 0xff, 0x06, 0x6c, 0x00,	    /* inc dword [6Ch] */
	0xb0, 0x20,			    /* mov al, 20h: end of interrupt */
	0xe6, 0x20,			    /* out 20h, al */
	0x58,				    /* pop ax */
	0x1f,				    /* pop ds */
	0xcf,				    /* iret */
};
static const uint8_t dummy[] = {0xcf}; /* iret */

void cv_bios_write_vectors(struct cv_memory *mem)
{
	for (unsigned v = 0; v < 256; v++) {
		unsigned offset = v == TICK_VECTOR ? TICK_HANDLER : DUMMY_HANDLER;
		uint8_t entry[4] = {(uint8_t)offset, (uint8_t)(offset >> 8), 0x00, 0xf0};

		cv_memory_write(mem, 4 * v, entry, sizeof(entry));
	}
	cv_memory_write(mem, ROM + TICK_HANDLER, tick, sizeof(tick));
	cv_memory_write(mem, ROM + DUMMY_HANDLER, dummy, sizeof(dummy));
}

void cv_bios_start_tick(struct cv_bus *bus, struct cv_pit *pit)
{
	cv_pit_start_tick(pit);
	cv_bus_out(bus, 0x21, 1, 0xfe); /* the master PIC opens IRQ 0 */
}
