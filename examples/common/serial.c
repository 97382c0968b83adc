/* SPDX-License-Identifier: MIT */
/* The serial port COM1 at 115200 baud, and print(). */
#include "kernel.h"

#define COM1 0x3f8
#define LSR_DATA 0x01
#define LSR_EMPTY 0x20

void serial_init(void)
{
	outb(COM1 + 1, 0);    /* no interrupts */
	outb(COM1 + 3, 0x80); /* divisor latch */
	outb(COM1 + 0, 1);
	outb(COM1 + 1, 0);
	outb(COM1 + 3, 0x03); /* 8 bits, no parity, 1 stop bit */
	outb(COM1 + 2, 0x07); /* FIFOs on and empty, an interrupt for each byte */
	outb(COM1 + 4, 0x0b); /* DTR, RTS, OUT2 */
}

void serial_put(char c)
{
	if (c == '\n')
		serial_put('\r');
	while (!(inb(COM1 + 5) & LSR_EMPTY))
		;
	outb(COM1, (uint8_t)c);
}

int serial_get(void)
{
	return inb(COM1 + 5) & LSR_DATA ? inb(COM1) : -1;
}

void serial_enable_interrupt(void)
{
	outb(COM1 + 1, 0x01);
}

static void put_string(const char *s)
{
	while (*s)
		serial_put(*s++);
}

static void put_number(uint64_t v, unsigned base)
{
	char digits[21];
	unsigned n = sizeof(digits);

	digits[--n] = 0;
	do {
		digits[--n] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	put_string(digits + n);
}

void print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	for (; *fmt; fmt++) {
		bool is_long = fmt[0] == '%' && fmt[1] == 'l';

		if (*fmt != '%') {
			serial_put(*fmt);
			continue;
		}
		fmt += is_long ? 2 : 1;
		if (*fmt == 's')
			put_string(va_arg(ap, const char *));
		else if (*fmt == 'c')
			serial_put((char)va_arg(ap, int));
		else if (*fmt == 'p')
			put_number((uint64_t)va_arg(ap, void *), 16);
		else if (is_long)
			put_number(va_arg(ap, uint64_t), *fmt == 'x' ? 16 : 10);
		else
			put_number(va_arg(ap, unsigned), *fmt == 'x' ? 16 : 10);
	}
	va_end(ap);
}
