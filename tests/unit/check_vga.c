/* SPDX-License-Identifier: MIT */
/* VGA registers and the text that the screen shows. */
#include "tests/unit/fake_board.h"

static struct fake *f;
static char text[132 * 60];
static unsigned rows, cols;

static void setup(void)
{
	f = fake_new();
}

static void teardown(void)
{
	fake_free(f);
}

static void crtc(struct fake *x, unsigned index, unsigned v)
{
	out16(x, 0x3d4, v << 8 | index);
}

static uint8_t crtc_get(struct fake *x, unsigned index)
{
	out8(x, 0x3d4, index);
	return in8(x, 0x3d5);
}

/* Text with attribute 7 at a cell of the buffer. */
static void put_text(unsigned cell, const char *s)
{
	for (; *s; s++, cell++) {
		uint8_t b[2] = {(uint8_t)*s, 7};

		cv_memory_write(&f->m.mem, 0xb8000 + 2 * cell, b, 2);
	}
}

static void screen(void)
{
	memset(text, '#', sizeof(text));
	f->m.screen_text(f->m.screen_dev, text, &rows, &cols);
}

START_TEST(vga_power_on_is_text_80_by_25)
{
	screen();
	ck_assert_uint_eq(rows, 25);
	ck_assert_uint_eq(cols, 80);
	ck_assert_int_eq(text[0], ' ');
	ck_assert_int_eq(text[1999], ' ');
	ck_assert_int_eq(text[2000], '#');
	ck_assert_uint_eq(in8(f, 0x3cc), 0x67);
}
END_TEST

START_TEST(vga_screen_shows_the_buffer)
{
	put_text(0, "Hello");
	put_text(80 * 24 + 77, "end");
	put_text(85, "\x01\xdb");
	screen();
	ck_assert_mem_eq(text, "Hello   ", 8);
	ck_assert_mem_eq(text + 80 * 24 + 77, "end", 3);
	ck_assert_mem_eq(text + 85, "  ", 2); /* not printable */
}
END_TEST

START_TEST(vga_start_address_scrolls)
{
	put_text(80, "second line");
	crtc(f, 0x0c, 0);
	crtc(f, 0x0d, 80);
	screen();
	ck_assert_mem_eq(text, "second line", 11);
	put_text(0, "wrapped");
	crtc(f, 0x0c, 0x3f); /* 80 cells before the end of the buffer's 16384 */
	crtc(f, 0x0d, 0xb0);
	screen();
	ck_assert_mem_eq(text + 80, "wrapped", 7);
}
END_TEST

START_TEST(vga_geometry_follows_the_crtc)
{
	crtc(f, 0x09, 0x47); /* 8 scan lines a character: 50 rows */
	screen();
	ck_assert_uint_eq(rows, 50);
	crtc(f, 0x11, 0x0e); /* lifts the protection */
	crtc(f, 0x01, 39);
	crtc(f, 0x13, 20);
	put_text(40, "row one");
	screen();
	ck_assert_uint_eq(cols, 40);
	ck_assert_mem_eq(text + 40, "row one", 7);
	crtc(f, 0x01, 0xff);
	crtc(f, 0x09, 0);
	screen(); /* no more than the caller has room for */
	ck_assert_uint_eq(rows, 60);
	ck_assert_uint_eq(cols, 132);
}
END_TEST

START_TEST(vga_crtc_protects_its_first_registers)
{
	crtc(f, 0x00, 0x11);
	ck_assert_uint_eq(crtc_get(f, 0x00), 0x5f);
	crtc(f, 0x07, 0xff);
	ck_assert_uint_eq(crtc_get(f, 0x07), 0x1f);
	crtc(f, 0x11, 0x0e);
	crtc(f, 0x00, 0x11);
	ck_assert_uint_eq(crtc_get(f, 0x00), 0x11);
	crtc(f, 0x3f, 0x55); /* no such register */
	ck_assert_uint_eq(crtc_get(f, 0x3f), 0);
}
END_TEST

START_TEST(vga_cursor_position_is_kept)
{
	crtc(f, 0x0e, 0x07);
	crtc(f, 0x0f, 0xcf);
	ck_assert_uint_eq(crtc_get(f, 0x0e) << 8 | crtc_get(f, 0x0f), 1999);
}
END_TEST

START_TEST(vga_attribute_flip_flop)
{
	in8(f, 0x3da);
	out8(f, 0x3c0, 0x10);
	out8(f, 0x3c0, 0x0d);
	out8(f, 0x3c0, 0x30);
	ck_assert_uint_eq(in8(f, 0x3c1), 0x0d);
	in8(f, 0x3da); /* the next write is an index again */
	out8(f, 0x3c0, 0x01);
	ck_assert_uint_eq(in8(f, 0x3c1), 0x01);
	ck_assert_uint_eq(in8(f, 0x3c0), 0x01);
}
END_TEST

START_TEST(vga_retrace_toggles_without_time)
{
	uint8_t a = in8(f, 0x3da), b = in8(f, 0x3da);

	ck_assert_uint_eq((a ^ b) & 0x09, 0x09);
	ck_assert_uint_eq(f->looks, 0);
}
END_TEST

START_TEST(vga_dac_takes_three_bytes)
{
	unsigned i;

	out8(f, 0x3c8, 17);
	for (i = 0; i < 6; i++)
		out8(f, 0x3c9, 0x41 + i);
	out8(f, 0x3c7, 17);
	ck_assert_uint_eq(in8(f, 0x3c7), 3);
	for (i = 0; i < 6; i++)
		ck_assert_uint_eq(in8(f, 0x3c9), 1 + i); /* six bits */
	out8(f, 0x3c8, 17);
	out8(f, 0x3c9, 0x3f);
	out8(f, 0x3c7, 17);
	ck_assert_uint_eq(in8(f, 0x3c9), 1); /* a colour changes as a whole */
	out8(f, 0x3c7, 7);
	ck_assert_uint_eq(in8(f, 0x3c9), 42); /* light grey */
}
END_TEST

START_TEST(vga_monochrome_moves_the_crtc)
{
	ck_assert_uint_eq(in8(f, 0x3b5), 0xff);
	out8(f, 0x3c2, 0x66);
	ck_assert_uint_eq(in8(f, 0x3d5), 0xff);
	out8(f, 0x3b4, 0x0f);
	out8(f, 0x3b5, 0x12);
	ck_assert_uint_eq(in8(f, 0x3b5), 0x12);
}
END_TEST

START_TEST(vga_sequencer_and_graphics_keep_values)
{
	out16(f, 0x3c4, 0x0f02);
	ck_assert_uint_eq(in8(f, 0x3c5), 0x0f);
	out16(f, 0x3ce, 0x0506);
	ck_assert_uint_eq(in8(f, 0x3cf), 0x05);
	out8(f, 0x3ce, 0x05);
	ck_assert_uint_eq(in8(f, 0x3cf), 0x10);
}
END_TEST

static void go(struct fake *x, struct cv_wbuf *log)
{
	unsigned i;

	out8(x, 0x3c0, 0x15); /* data: the index was written before */
	out8(x, 0x3c9, 3);    /* the third byte of a colour */
	for (i = 0; i < 64; i++) {
		cv_put_u8(log, crtc_get(x, i));
		cv_put_u8(log, in8(x, 0x3c9));
		cv_put_u8(log, in8(x, 0x3da));
		out8(x, 0x3c0, i & 0x1f);
		cv_put_u8(log, in8(x, 0x3c1));
		out8(x, 0x3c4, i);
		cv_put_u8(log, in8(x, 0x3c5));
		out8(x, 0x3ce, i);
		cv_put_u8(log, in8(x, 0x3cf));
	}
}

START_TEST(vga_save_load_continues)
{
	crtc(f, 0x0c, 3);
	out8(f, 0x3c2, 0x63);
	out8(f, 0x3da, 1);
	in8(f, 0x3da);
	out8(f, 0x3c0, 0x11);
	out8(f, 0x3c7, 5);
	in8(f, 0x3c9);
	out8(f, 0x3c8, 9);
	out8(f, 0x3c9, 1);
	out8(f, 0x3c9, 2);
	check_continues(f, go);
	check_refuses(f, "vga");
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
		vga_power_on_is_text_80_by_25,
		vga_screen_shows_the_buffer,
		vga_start_address_scrolls,
		vga_geometry_follows_the_crtc,
		vga_crtc_protects_its_first_registers,
		vga_cursor_position_is_kept,
		vga_attribute_flip_flop,
		vga_retrace_toggles_without_time,
		vga_dac_takes_three_bytes,
		vga_monochrome_moves_the_crtc,
		vga_sequencer_and_graphics_keep_values,
		vga_save_load_continues,
	};

	return run_tests("vga", tests, sizeof(tests) / sizeof(tests[0]), setup, teardown);
}
