/* SPDX-License-Identifier: MIT */
/*
 * VGA registers in text mode 3 (IBM PS/2 hardware interface technical reference, video subsystem).
 *
 * Only registers are here: the text at B8000h is plain RAM, and what the screen shows is computed from both when
 * somebody wants to see it. Registers keep what is written, with the chip's quirks that drivers probe: the attribute
 * flip-flop, the DAC's three-byte cycle, CRTC write protection, colour or monochrome addresses. Input status 1 shows
 * retrace in every second read, so that waiting loops end without asking for the time.
 */
#include <stdlib.h>
#include <string.h>

#include "devices/devices.h"

#define SAVE_VERSION 1
#define TEXT_BASE 0xb8000u
#define TEXT_MASK 0x7fffu
#define MAX_ROWS 60
#define MAX_COLS 132

enum {
	CRTC_DISPLAY_END = 0x01, CRTC_OVERFLOW = 0x07, CRTC_MAX_SCAN = 0x09, CRTC_START_HIGH = 0x0c, CRTC_START_LOW = 0x0d,
	CRTC_RETRACE_END = 0x11, CRTC_VERTICAL_END = 0x12, CRTC_OFFSET = 0x13
};
enum { MISC_COLOUR = 1 };
/* Offsets from 3B0h. */
enum {
	P_MONO_CRTC_INDEX = 0x04, P_MONO_CRTC_DATA, P_MONO_STATUS = 0x0a, P_ATTR_WRITE = 0x10, P_ATTR_READ, P_MISC_WRITE,
	P_ENABLE, P_SEQ_INDEX, P_SEQ_DATA, P_DAC_MASK, P_DAC_READ, P_DAC_WRITE, P_DAC_DATA, P_FEATURE_READ, P_MISC_READ = 0x1c,
	P_GFX_INDEX = 0x1e, P_GFX_DATA, P_CRTC_INDEX = 0x24, P_CRTC_DATA, P_STATUS = 0x2a
};

/* Mode 3, 80x25, 9x16 characters, as the video BIOS sets it. */
static const uint8_t mode3_crtc[25] = {
	0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00,
	0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
};
static const uint8_t mode3_seq[5] = {0x03, 0x00, 0x03, 0x00, 0x02};
static const uint8_t mode3_gfx[9] = {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff};
static const uint8_t mode3_attr[21] = {
	0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a,
	0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00,
};

static void crtc_write(struct cv_vga *v, uint8_t value)
{
	unsigned i = v->crtc_index;

	if (i >= sizeof(v->crtc))
		return;
	if (i <= CRTC_OVERFLOW && (v->crtc[CRTC_RETRACE_END] & 0x80)) {
		/* Protected, all but the line compare bit. */
		if (i == CRTC_OVERFLOW)
			v->crtc[i] = (uint8_t)((v->crtc[i] & ~0x10) | (value & 0x10));
		return;
	}
	v->crtc[i] = value;
}

static void attr_write(struct cv_vga *v, uint8_t value)
{
	if (!v->attr_data)
		v->attr_index = value & 0x3f;
	else if ((v->attr_index & 0x1f) < 0x15)
		v->attr[v->attr_index & 0x1f] = value;
	v->attr_data = !v->attr_data;
}

static uint8_t dac_read(struct cv_vga *v)
{
	uint8_t value = v->dac[v->dac_read];

	v->dac_read = (uint16_t)((v->dac_read + 1) % sizeof(v->dac));
	return value;
}

static void dac_write(struct cv_vga *v, uint8_t value)
{
	v->dac_cache[v->dac_write % 3] = value & 0x3f;
	if (v->dac_write % 3 == 2)
		memcpy(&v->dac[v->dac_write - 2], v->dac_cache, 3);
	v->dac_write = (uint16_t)((v->dac_write + 1) % sizeof(v->dac));
}

/* Are CRTC and status answering at this address now? */
static bool answers(const struct cv_vga *v, uint64_t port)
{
	if (port < P_ATTR_WRITE)
		return !(v->misc & MISC_COLOUR);
	return port < P_CRTC_INDEX || (v->misc & MISC_COLOUR);
}

static uint8_t read_status(struct cv_vga *v)
{
	v->attr_data = false;
	v->retrace++;
	/* Bit 0: no display data; bit 3: vertical retrace. */
	return v->retrace & 1 ? 0x09 : 0x00;
}

static uint64_t vga_read(void *dev, uint64_t port, unsigned size)
{
	struct cv_vga *v = dev;

	(void)size;
	if (!answers(v, port))
		return 0xff;
	switch (port) {
	case P_MONO_CRTC_INDEX:
	case P_CRTC_INDEX:
		return v->crtc_index;
	case P_MONO_CRTC_DATA:
	case P_CRTC_DATA:
		return v->crtc_index < sizeof(v->crtc) ? v->crtc[v->crtc_index] : 0;
	case P_MONO_STATUS:
	case P_STATUS:
		return read_status(v);
	case P_ATTR_WRITE:
		return v->attr_index;
	case P_ATTR_READ:
		return v->attr[v->attr_index & 0x1f];
	case P_MISC_WRITE: /* input status 0: switch sense */
		return 0x10;
	case P_ENABLE:
		return 1;
	case P_SEQ_INDEX:
		return v->seq_index;
	case P_SEQ_DATA:
		return v->seq[v->seq_index];
	case P_DAC_MASK:
		return v->dac_mask;
	case P_DAC_READ:
		return v->dac_state;
	case P_DAC_WRITE:
		return v->dac_write / 3;
	case P_DAC_DATA:
		return dac_read(v);
	case P_FEATURE_READ:
		return v->feature;
	case P_MISC_READ:
		return v->misc;
	case P_GFX_INDEX:
		return v->gfx_index;
	case P_GFX_DATA:
		return v->gfx[v->gfx_index];
	default:
		return 0xff;
	}
}

static void vga_write(void *dev, uint64_t port, unsigned size, uint64_t value64)
{
	struct cv_vga *v = dev;
	uint8_t value = (uint8_t)value64;

	(void)size;
	if (!answers(v, port))
		return;
	switch (port) {
	case P_MONO_CRTC_INDEX:
	case P_CRTC_INDEX:
		v->crtc_index = value & 0x3f;
		break;
	case P_MONO_CRTC_DATA:
	case P_CRTC_DATA:
		crtc_write(v, value);
		break;
	case P_MONO_STATUS:
	case P_STATUS:
		v->feature = value;
		break;
	case P_ATTR_WRITE:
		attr_write(v, value);
		break;
	case P_MISC_WRITE:
		v->misc = value;
		break;
	case P_SEQ_INDEX:
		v->seq_index = value & 7;
		break;
	case P_SEQ_DATA:
		v->seq[v->seq_index] = value;
		break;
	case P_DAC_MASK:
		v->dac_mask = value;
		break;
	case P_DAC_READ:
		v->dac_read = (uint16_t)(value * 3);
		v->dac_state = 3;
		break;
	case P_DAC_WRITE:
		v->dac_write = (uint16_t)(value * 3);
		v->dac_state = 0;
		break;
	case P_DAC_DATA:
		dac_write(v, value);
		break;
	case P_GFX_INDEX:
		v->gfx_index = value & 15;
		break;
	case P_GFX_DATA:
		v->gfx[v->gfx_index] = value;
		break;
	default:
		break;
	}
}

/* --- What the screen shows --- */

static void geometry(const struct cv_vga *v, unsigned *rows, unsigned *cols, unsigned *stride)
{
	unsigned lines = v->crtc[CRTC_VERTICAL_END] | (v->crtc[CRTC_OVERFLOW] & 0x02u) << 7 |
			 (v->crtc[CRTC_OVERFLOW] & 0x40u) << 3;
	unsigned height = (v->crtc[CRTC_MAX_SCAN] & 0x1fu) + 1;

	*rows = (lines + 1) / height;
	*cols = v->crtc[CRTC_DISPLAY_END] + 1u;
	*stride = v->crtc[CRTC_OFFSET] * 2u;
	if (*rows > MAX_ROWS)
		*rows = MAX_ROWS;
	if (*cols > MAX_COLS)
		*cols = MAX_COLS;
}

void cv_vga_screen_text(void *dev, char *text, unsigned *rows, unsigned *cols)
{
	struct cv_vga *v = dev;
	unsigned start = (unsigned)v->crtc[CRTC_START_HIGH] << 8 | v->crtc[CRTC_START_LOW], stride, row, col;

	geometry(v, rows, cols, &stride);
	for (row = 0; row < *rows; row++) {
		for (col = 0; col < *cols; col++) {
			unsigned at = (start + row * stride + col) * 2 & TEXT_MASK;
			uint8_t c = 0;

			cv_memory_read(&v->m->mem, TEXT_BASE + at, &c, 1);
			text[row * *cols + col] = c < 0x20 || c >= 0x7f ? ' ' : (char)c;
		}
	}
}

/* --- Life --- */

/* The 16 colours that mode 3's attributes name; the other entries are black. */
static void reset_dac(struct cv_vga *v)
{
	unsigned i;

	memset(v->dac, 0, sizeof(v->dac));
	for (i = 0; i < 64; i++) {
		/* Bits rgbRGB: a primary colour counts 42, its intensity 21 (EGA palette). */
		v->dac[3 * i] = (uint8_t)((i & 4 ? 42 : 0) + (i & 0x20 ? 21 : 0));
		v->dac[3 * i + 1] = (uint8_t)((i & 2 ? 42 : 0) + (i & 0x10 ? 21 : 0));
		v->dac[3 * i + 2] = (uint8_t)((i & 1 ? 42 : 0) + (i & 8 ? 21 : 0));
	}
}

static void vga_reset(void *dev)
{
	struct cv_vga *v = dev;

	v->crtc_index = v->seq_index = v->gfx_index = v->feature = v->retrace = 0;
	v->attr_index = 0x20; /* video enabled */
	v->attr_data = false;
	v->misc = 0x67;
	memcpy(v->crtc, mode3_crtc, sizeof(mode3_crtc));
	memset(v->seq, 0, sizeof(v->seq));
	memcpy(v->seq, mode3_seq, sizeof(mode3_seq));
	memset(v->gfx, 0, sizeof(v->gfx));
	memcpy(v->gfx, mode3_gfx, sizeof(mode3_gfx));
	memset(v->attr, 0, sizeof(v->attr));
	memcpy(v->attr, mode3_attr, sizeof(mode3_attr));
	reset_dac(v);
	v->dac_mask = 0xff;
	v->dac_state = 0;
	v->dac_read = v->dac_write = 0;
	memset(v->dac_cache, 0, sizeof(v->dac_cache));
}

static void vga_save(const void *dev, struct cv_wbuf *w)
{
	const struct cv_vga *v = dev;

	cv_put_u8(w, SAVE_VERSION);
	cv_put_u8(w, v->crtc_index);
	cv_put_u8(w, v->seq_index);
	cv_put_u8(w, v->gfx_index);
	cv_put_u8(w, v->attr_index);
	cv_put_u8(w, v->attr_data);
	cv_put_u8(w, v->misc);
	cv_put_u8(w, v->feature);
	cv_put_u8(w, v->retrace);
	cv_put_bytes(w, v->crtc, sizeof(v->crtc));
	cv_put_bytes(w, v->seq, sizeof(v->seq));
	cv_put_bytes(w, v->gfx, sizeof(v->gfx));
	cv_put_bytes(w, v->attr, sizeof(v->attr));
	cv_put_bytes(w, v->dac, sizeof(v->dac));
	cv_put_u8(w, v->dac_mask);
	cv_put_u8(w, v->dac_state);
	cv_put_u16(w, v->dac_read);
	cv_put_u16(w, v->dac_write);
	cv_put_bytes(w, v->dac_cache, sizeof(v->dac_cache));
}

static void vga_load(void *dev, struct cv_rbuf *r)
{
	struct cv_vga *v = dev;

	if (!cv_device_version(r, SAVE_VERSION))
		return;
	v->crtc_index = cv_get_u8(r);
	v->seq_index = cv_get_u8(r) & 7;
	v->gfx_index = cv_get_u8(r) & 15;
	v->attr_index = cv_get_u8(r);
	v->attr_data = cv_get_u8(r) & 1;
	v->misc = cv_get_u8(r);
	v->feature = cv_get_u8(r);
	v->retrace = cv_get_u8(r);
	cv_get_bytes(r, v->crtc, sizeof(v->crtc));
	cv_get_bytes(r, v->seq, sizeof(v->seq));
	cv_get_bytes(r, v->gfx, sizeof(v->gfx));
	cv_get_bytes(r, v->attr, sizeof(v->attr));
	cv_get_bytes(r, v->dac, sizeof(v->dac));
	v->dac_mask = cv_get_u8(r);
	v->dac_state = cv_get_u8(r);
	v->dac_read = cv_get_u16(r) % sizeof(v->dac);
	v->dac_write = cv_get_u16(r) % sizeof(v->dac);
	cv_get_bytes(r, v->dac_cache, sizeof(v->dac_cache));
}

static const struct cv_device_ops ops = {
	.name = "vga", .reset = vga_reset, .save = vga_save, .load = vga_load, .free = free,
};
static const struct cv_io_ops io_ops = {vga_read, vga_write, 1};

struct cv_vga *cv_vga_new(struct cv_machine *m, struct cv_error *err)
{
	struct cv_vga *v = cv_device_new(m, sizeof(*v), &ops, err);

	if (!v)
		return NULL;
	v->m = m;
	cv_bus_add_pio(&m->bus, 0x3b0, 0x30, &io_ops, v);
	return v;
}
