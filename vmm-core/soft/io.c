/* SPDX-License-Identifier: MIT */
/*
 * Port I/O: SDM 1 chapter 19 (protection: IOPL and the TSS's I/O permission bitmap).
 *
 * A REP INS or OUTS commits each iteration (registers, memory, port) before the next one begins, so a fault or a stop in
 * the middle leaves it restartable with RCX saying how far it came; it retires once. INS makes sure that it can store
 * before it reads the port: an input is never lost. Where positions count steps it leaves after each iteration: the device
 * may have made an interrupt deliverable.
 * Relies on the decoder for: opcode (bit 0 clear: byte; bit 3 of IN/OUT: port in DX), osize, asize, prefixes, seg (OUTS).
 */
#include "vmm-core/soft/steps.h"
#include "vmm-core/soft/sys.h"

/* The bitmap lies in the 32-bit or 64-bit TSS at the offset that its word 66h names (SDM 1 19.5.2). */
static bool bitmap_allows(struct soft_cpu *c, const struct cv_insn *i, uint16_t port, unsigned n)
{
	const struct cv_seg *tr = &c->s.seg[CV_TR];
	uint16_t base, bits;
	uint32_t at;

	if ((tr->ar & CV_AR_UNUSABLE) || !(tr->ar & 8) || tr->limit < 0x67)
		goto denied;
	if (!sys_load(c, i, tr->base + 0x66, &base, 2))
		return false;
	at = (uint32_t)base + port / 8;
	/* Two bytes are always read, so the last port's byte has a successor within the limit. */
	if (at + 1 > tr->limit)
		goto denied;
	if (!sys_load(c, i, tr->base + at, &bits, 2))
		return false;
	if (!(bits >> (port & 7) & ((1u << n) - 1)))
		return true;
denied:
	raise_gp0(c, i);
	return false;
}

bool sys_io_allowed(struct soft_cpu *c, const struct cv_insn *i, uint16_t port, unsigned n)
{
	if (!(c->s.cr0 & CV_CR0_PE) || (!soft_v86(c) && c->cpl <= soft_iopl(c)))
		return true;
	return bitmap_allows(c, i, port, n);
}

static unsigned io_size(const struct cv_insn *i)
{
	return !(i->opcode & 1) ? 1 : i->osize == 2 ? 2 : 4;
}

/* E4..E7: port in imm8; EC..EF: in DX. */
static uint16_t io_port(const struct soft_cpu *c, const struct cv_insn *i)
{
	return i->opcode & 8 ? (uint16_t)c->s.gpr[CV_RDX] : (uint16_t)(i->imm & 0xff);
}

void sys_op_in(struct soft_cpu *c, const struct cv_insn *i)
{
	uint16_t port = io_port(c, i);
	unsigned n = io_size(i);
	uint32_t v;

	if (!sys_io_allowed(c, i, port, n))
		return;
	v = cv_bus_in(c->host.bus, port, n);
	c->s.pending_db |= soft_debug_io(c, port, n);
	if (n == 1)
		c->s.gpr[CV_RAX] = (c->s.gpr[CV_RAX] & ~0xffull) | (uint8_t)v;
	else
		write_gpr(c, CV_RAX, n, v);
	soft_finish(c, i);
}

void sys_op_out(struct soft_cpu *c, const struct cv_insn *i)
{
	uint16_t port = io_port(c, i);
	unsigned n = io_size(i);

	if (!sys_io_allowed(c, i, port, n))
		return;
	cv_bus_out(c->host.bus, port, n, (uint32_t)truncate_to(c->s.gpr[CV_RAX], n == 1 ? 2 : n) & (n == 1 ? 0xffu : ~0u));
	c->s.pending_db |= soft_debug_io(c, port, n);
	soft_finish(c, i);
}

/* --- INS and OUTS --- */

static void step_index(struct soft_cpu *c, const struct cv_insn *i, unsigned r, unsigned n)
{
	uint64_t step = c->s.rflags & CV_FLAG_DF ? -(uint64_t)n : n;

	write_gpr(c, r, i->asize, c->s.gpr[r] + step);
}

static bool ins_once(struct soft_cpu *c, const struct cv_insn *i, uint16_t port, unsigned n)
{
	uint64_t off = truncate_to(c->s.gpr[CV_RDI], i->asize);
	uint32_t v;

	if (!soft_probe_store(c, i, CV_ES, off, n))
		return false;
	v = cv_bus_in(c->host.bus, port, n);
	if (!soft_store(c, i, CV_ES, off, &v, n))
		return false;
	c->s.pending_db |= soft_debug_io(c, port, n);
	step_index(c, i, CV_RDI, n);
	return true;
}

static bool outs_once(struct soft_cpu *c, const struct cv_insn *i, uint16_t port, unsigned n)
{
	uint32_t v = 0;

	if (!soft_load(c, i, i->seg, truncate_to(c->s.gpr[CV_RSI], i->asize), &v, n))
		return false;
	cv_bus_out(c->host.bus, port, n, v);
	c->s.pending_db |= soft_debug_io(c, port, n);
	step_index(c, i, CV_RSI, n);
	return true;
}

static void rep_io(struct soft_cpu *c, const struct cv_insn *i, bool in, uint16_t port, unsigned n)
{
	while (soft_iterations_left(c, i)) {
		if (c->rep_stops && soft_iterations_left(c, i) <= c->rep_stop) {
			c->rep_left = true;
			return;
		}
		if (!(in ? ins_once(c, i, port, n) : outs_once(c, i, port, n)))
			return;
		write_gpr(c, CV_RCX, i->asize, c->s.gpr[CV_RCX] - 1);
		if ((c->watch_hit.len || c->s.pending_db || c->s.rflags & CV_FLAG_TF || soft_counts_steps(c)) && soft_iterations_left(c, i)) {
			c->rep_left = true;
			return;
		}
	}
	soft_finish(c, i);
}

static void string_io(struct soft_cpu *c, const struct cv_insn *i, bool in)
{
	uint16_t port = (uint16_t)c->s.gpr[CV_RDX];
	unsigned n = io_size(i);

	if (!sys_io_allowed(c, i, port, n))
		return;
	if (i->prefixes & (CV_PFX_REP | CV_PFX_REPNE))
		rep_io(c, i, in, port, n);
	else if (in ? ins_once(c, i, port, n) : outs_once(c, i, port, n))
		soft_finish(c, i);
}

void sys_op_ins(struct soft_cpu *c, const struct cv_insn *i)
{
	string_io(c, i, true);
}
void sys_op_outs(struct soft_cpu *c, const struct cv_insn *i)
{
	string_io(c, i, false);
}
