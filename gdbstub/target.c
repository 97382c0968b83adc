/* SPDX-License-Identifier: MIT */
/*
 * Registers and memory. Reads look at the timeline where it stands; writes open a diversion in a replay, which the
 * timeline announces by cv_timeline_is_diverted.
 */
#ifndef _GNU_SOURCE
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#endif
#include <stdlib.h>
#include <string.h>

#include "gdbstub/regs.h"
#include "gdbstub/session.h"

#define E_FAULT 14

uint64_t cv_gdb_cr8(struct cv_gdb_session *s)
{
	struct cv_machine *m = cv_timeline_machine(s->t);

	return m && m->irqchip ? m->irqchip->get_cr8(m->irqchip_dev) : 0;
}

size_t cv_gdb_read(struct cv_gdb_session *s, uint64_t addr, void *p, size_t n)
{
	return n ? cv_timeline_read(s->t, s->phys, addr, p, n) : 0;
}

/* --- Registers --- */

static void read_registers(struct cv_gdb_session *s)
{
	struct cv_vcpu_state st;
	uint8_t b[CV_REG_BYTES_MAX];
	uint64_t cr8 = cv_gdb_cr8(s);
	size_t n;
	const struct cv_reg *regs = cv_regs(s->opt->arch, s->opt->avx, &n);

	cv_timeline_state(s->t, &st);
	for (size_t i = 0; i < n; i++) {
		cv_reg_get(&regs[i], &st, cr8, b);
		cv_put_hex(&s->reply, b, regs[i].bits / 8u);
	}
}

static void read_register(struct cv_gdb_session *s, unsigned number)
{
	struct cv_vcpu_state st;
	uint8_t b[CV_REG_BYTES_MAX];
	size_t n;
	const struct cv_reg *regs = cv_regs(s->opt->arch, s->opt->avx, &n);

	if (number >= n) {
		cv_gdb_error(s, 1);
		return;
	}
	cv_timeline_state(s->t, &st);
	cv_reg_get(&regs[number], &st, cv_gdb_cr8(s), b);
	cv_put_hex(&s->reply, b, regs[number].bits / 8u);
}

static void set_state(struct cv_gdb_session *s, const struct cv_vcpu_state *st)
{
	struct cv_error err = { 0 };

	if (cv_timeline_set_state(s->t, st, &err) < 0)
		cv_gdb_error_text(s, err.msg);
	else
		cv_gdb_ok(s);
}

/* A packet may be shorter than all registers: those at the end stay. */
static void write_registers(struct cv_gdb_session *s, const uint8_t *data, size_t len)
{
	struct cv_vcpu_state st;
	uint64_t cr8 = cv_gdb_cr8(s);
	size_t n, at = 0;
	const struct cv_reg *regs = cv_regs(s->opt->arch, s->opt->avx, &n);

	cv_timeline_state(s->t, &st);
	for (size_t i = 0; i < n; i++) {
		size_t bytes = regs[i].bits / 8u;

		if (bytes > len - at)
			break;
		/* A register that cannot be set keeps its value; P on it says so. */
		(void)cv_reg_set(&regs[i], &st, cr8, data + at);
		at += bytes;
	}
	set_state(s, &st);
}

static void write_register(struct cv_gdb_session *s, const struct cv_request *req)
{
	struct cv_vcpu_state st;
	size_t n;
	const struct cv_reg *regs = cv_regs(s->opt->arch, s->opt->avx, &n);

	if (req->reg >= n || req->n != regs[req->reg].bits / 8u) {
		cv_gdb_error(s, 1);
		return;
	}
	cv_timeline_state(s->t, &st);
	if (!cv_reg_set(&regs[req->reg], &st, cv_gdb_cr8(s), req->data)) {
		cv_gdb_error_text(s, "this register cannot be written: segment selectors come with a descriptor, "
				     "CR8 belongs to the local APIC");
		return;
	}
	set_state(s, &st);
}

void cv_gdb_do_registers(struct cv_gdb_session *s, const struct cv_request *req)
{
	switch (req->kind) {
	case CV_REQ_READ_REGS:
		read_registers(s);
		break;
	case CV_REQ_WRITE_REGS:
		write_registers(s, req->data, req->n);
		break;
	case CV_REQ_READ_REG:
		read_register(s, req->reg);
		break;
	default:
		write_register(s, req);
	}
}

/* --- Memory --- */

static void read_memory(struct cv_gdb_session *s, const struct cv_request *req)
{
	bool binary = req->kind == CV_REQ_READ_BINARY;
	/* Binary data may double by escapes, as hex always does. */
	size_t most = (CV_PACKET_MAX - 16) / 2, want = req->len < most ? (size_t)req->len : most, got;
	uint8_t *data;

	if (!want) {
		if (binary)
			cv_put_u8(&s->reply, 'b');
		return;
	}
	data = malloc(want);
	if (!data) {
		cv_gdb_error(s, 12);
		return;
	}
	got = cv_gdb_read(s, req->addr, data, want);
	if (!got) {
		cv_gdb_error(s, E_FAULT);
	} else if (binary) {
		cv_put_u8(&s->reply, 'b');
		cv_packet_escape(&s->reply, data, got);
	} else {
		cv_put_hex(&s->reply, data, got);
	}
	free(data);
}

static void write_memory(struct cv_gdb_session *s, const struct cv_request *req)
{
	struct cv_error err = { 0 };

	if (req->n && cv_timeline_write(s->t, s->phys, req->addr, req->data, req->n, &err) < 0)
		cv_gdb_error_text(s, err.msg);
	else
		cv_gdb_ok(s);
}

/* Buffers overlap by the pattern's length less one, so that a match across their border is found. */
static void search_memory(struct cv_gdb_session *s, const struct cv_request *req)
{
	enum { CHUNK = 1 << 18 };
	uint64_t addr = req->addr, left = req->len;
	uint8_t *buf = malloc(CHUNK);

	if (!buf) {
		cv_gdb_error(s, 12);
		return;
	}
	for (;;) {
		size_t want = left < CHUNK ? (size_t)left : CHUNK;
		size_t got = want ? cv_gdb_read(s, addr, buf, want) : 0;
		const uint8_t *hit = got >= req->n ? memmem(buf, got, req->data, req->n) : NULL;

		if (hit) {
			cv_put_text(&s->reply, "1,%llx", (unsigned long long)(addr + (uint64_t)(hit - buf)));
			break;
		}
		s->heeded = s->link.interrupted(s->link.ctx);
		if (got < want || s->heeded) {
			cv_gdb_error(s, E_FAULT);
			break;
		}
		if (want == left) {
			cv_put_text(&s->reply, "0");
			break;
		}
		addr += want - (req->n - 1);
		left -= want - (req->n - 1);
	}
	free(buf);
}

void cv_gdb_do_memory(struct cv_gdb_session *s, const struct cv_request *req)
{
	switch (req->kind) {
	case CV_REQ_SEARCH:
		search_memory(s, req);
		break;
	case CV_REQ_WRITE:
		write_memory(s, req);
		break;
	default:
		read_memory(s, req);
	}
}
