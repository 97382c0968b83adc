/* SPDX-License-Identifier: MIT */
/*
 * Framing of the remote serial protocol (GDB manual, appendix E.1 "Overview").
 *
 * Run-length encoding: c*N stands for c and N-29 more of it, N printable. The counts that would come out as '#', '$',
 * '+' or '-' are not used.
 */
#include "gdbstub/packet.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void cv_packet_reader_init(struct cv_packet_reader *r)
{
	r->state = CV_PS_IDLE;
	r->sum = r->want = 0;
	r->bad = false;
	r->len = 0;
}

int cv_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static enum cv_packet_event feed_idle(struct cv_packet_reader *r, uint8_t byte)
{
	switch (byte) {
	case '$':
		cv_packet_reader_init(r);
		r->state = CV_PS_BODY;
		return CV_PACKET_NONE;
	case '+':
		return CV_PACKET_ACK;
	case '-':
		return CV_PACKET_NACK;
	case 3:
		return CV_PACKET_INTERRUPT;
	default:
		return CV_PACKET_NONE;
	}
}

static void feed_body(struct cv_packet_reader *r, uint8_t byte)
{
	if (byte == '$') { /* never inside a body: the rest of the old one was lost */
		cv_packet_reader_init(r);
		r->state = CV_PS_BODY;
	} else if (byte == '#') {
		r->state = CV_PS_SUM1;
	} else if (r->len == CV_PACKET_MAX) {
		r->bad = true;
	} else {
		r->body[r->len++] = (char)byte;
		r->sum = (uint8_t)(r->sum + byte);
	}
}

enum cv_packet_event cv_packet_feed(struct cv_packet_reader *r, uint8_t byte)
{
	int digit;

	switch (r->state) {
	case CV_PS_IDLE:
		return feed_idle(r, byte);
	case CV_PS_BODY:
		feed_body(r, byte);
		return CV_PACKET_NONE;
	case CV_PS_SUM1:
	case CV_PS_SUM2:
		digit = cv_hex_digit((char)byte);
		if (digit < 0) {
			r->bad = true;
			digit = 0;
		}
		r->want = (uint8_t)(r->want << 4 | digit);
		if (r->state == CV_PS_SUM1) {
			r->state = CV_PS_SUM2;
			return CV_PACKET_NONE;
		}
		break;
	}
	r->state = CV_PS_IDLE;
	if (r->bad || r->want != r->sum)
		return CV_PACKET_BAD;
	r->body[r->len] = '\0';
	return CV_PACKET_BODY;
}

/* How many of a run of n (n >= 4) equal bytes one encoding takes: the first and what its count says. */
static size_t run_length(size_t n)
{
	size_t more = n - 1;

	if (more > 126 - 29)
		more = 126 - 29;
	while (more + 29 == '#' || more + 29 == '$' || more + 29 == '+' || more + 29 == '-')
		more--;
	return more + 1;
}

void cv_packet_frame(struct cv_wbuf *out, const void *body, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = body;
	size_t start, i = 0;
	uint8_t sum = 0;

	cv_put_u8(out, '$');
	start = out->len;
	while (i < n) {
		size_t run = 1;

		while (i + run < n && run < 100 && p[i + run] == p[i])
			run++;
		cv_put_u8(out, p[i]);
		if (run < 4) {
			i++;
			continue;
		}
		run = run_length(run);
		cv_put_u8(out, '*');
		cv_put_u8(out, (uint8_t)(run - 1 + 29));
		i += run;
	}
	if (out->err)
		return;
	for (i = start; i < out->len; i++)
		sum = (uint8_t)(sum + out->data[i]);
	cv_put_u8(out, '#');
	cv_put_u8(out, (uint8_t)digits[sum >> 4]);
	cv_put_u8(out, (uint8_t)digits[sum & 15]);
}

void cv_packet_escape(struct cv_wbuf *out, const void *data, size_t n)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < n; i++) {
		if (p[i] == '#' || p[i] == '$' || p[i] == '}' || p[i] == '*') {
			cv_put_u8(out, '}');
			cv_put_u8(out, p[i] ^ 0x20);
		} else {
			cv_put_u8(out, p[i]);
		}
	}
}

size_t cv_packet_unescape(uint8_t *data, size_t n)
{
	size_t to = 0;

	for (size_t i = 0; i < n; i++) {
		if (data[i] != '}')
			data[to++] = data[i];
		else if (++i < n)
			data[to++] = data[i] ^ 0x20;
	}
	return to;
}

void cv_put_hex(struct cv_wbuf *out, const void *data, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = data;

	for (size_t i = 0; i < n; i++) {
		cv_put_u8(out, (uint8_t)digits[p[i] >> 4]);
		cv_put_u8(out, (uint8_t)digits[p[i] & 15]);
	}
}

bool cv_get_hex(const char *s, uint8_t *data, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int hi = cv_hex_digit(s[2 * i]);
		int lo = hi < 0 ? -1 : cv_hex_digit(s[2 * i + 1]);

		if (lo < 0)
			return false;
		data[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

void cv_put_text(struct cv_wbuf *out, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n > 0)
		cv_put_bytes(out, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}
