/* SPDX-License-Identifier: MIT */
/*
 * Framing of GDB's remote serial protocol: $body#sum, acknowledgements, the interrupt byte.
 *
 * The reader is a state machine fed byte by byte; it never looks past the byte it has, and a body longer than
 * CV_PACKET_MAX is dropped whole. Bodies are kept as they came (binary data still escaped). The writer adds checksum
 * and run-length encoding.
 */
#ifndef CV_PACKET_H
#define CV_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm-core/buf.h"

#define CV_PACKET_MAX 0x8000u /* bytes of a body, both ways; announced as PacketSize */

enum cv_packet_event {
	CV_PACKET_NONE = 0,
	CV_PACKET_BODY,	     /* body[0..len) is complete and its checksum is right */
	CV_PACKET_BAD,	     /* a packet with a wrong checksum, or one too long, has ended */
	CV_PACKET_INTERRUPT, /* 03h outside of a packet */
	CV_PACKET_ACK,
	CV_PACKET_NACK,
};

enum cv_packet_state { CV_PS_IDLE, CV_PS_BODY, CV_PS_SUM1, CV_PS_SUM2 };

struct cv_packet_reader {
	enum cv_packet_state state;
	uint8_t sum, want;
	bool bad; /* too long, or a checksum that is no hex number */
	size_t len;
	char body[CV_PACKET_MAX + 1]; /* NUL after the last byte when CV_PACKET_BODY was returned */
};

void cv_packet_reader_init(struct cv_packet_reader *r);
enum cv_packet_event cv_packet_feed(struct cv_packet_reader *r, uint8_t byte);

/* Appends $body#sum, run-length encoded. The body must have its special bytes escaped already (cv_packet_escape). */
void cv_packet_frame(struct cv_wbuf *out, const void *body, size_t n);
/* Appends data with '#', '$', '}' and '*' escaped. */
void cv_packet_escape(struct cv_wbuf *out, const void *data, size_t n);
/* Undoes '}' escapes in place; returns the new length. A lone '}' at the end is dropped. */
size_t cv_packet_unescape(uint8_t *data, size_t n);

/* Hex digits: value 0..15, or -1. */
int cv_hex_digit(char c);
void cv_put_hex(struct cv_wbuf *out, const void *data, size_t n);
/* Decodes exactly n bytes from 2n digits; false where there is another character. */
bool cv_get_hex(const char *s, uint8_t *data, size_t n);
void cv_put_text(struct cv_wbuf *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
