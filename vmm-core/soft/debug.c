/* SPDX-License-Identifier: MIT */
/*
 * The debug registers: MOV to and from them, and what their breakpoints match (SDM 3B 17.2).
 *
 * A breakpoint on an instruction is a fault before it, which RF holds off; the engine looks where a block begins, and
 * no block runs over an armed address. Pages with a data breakpoint are kept out of the TLB, so that the slow path sees each
 * access; a match is a trap after the instruction, or after an iteration of its REP.
 *
 * DR6 and DR7 are kept with their fixed bits in place. With CR4.DE clear DR4 and DR5 are other names of DR6 and DR7.
 * With DR7.GD set any access raises #DB with DR6.BD, as a fault; delivery clears GD.
 * Relies on the decoder for: reg (debug register number with REX.R) and ModRM.rm (mod ignored).
 */
#include "vmm-core/soft/block.h"
#include "vmm-core/soft/sys.h"

enum { RW_EXEC = 0, RW_WRITE = 1, RW_IO = 2, RW_ACCESS = 3 };

static unsigned kind_of(const struct soft_cpu *c, unsigned k)
{
	return (unsigned)(c->s.dr[7] >> (16 + 4 * k)) & 3;
}

static bool armed(const struct soft_cpu *c, unsigned k)
{
	return c->s.dr[7] >> (2 * k) & 3; /* Lk, Gk */
}

/* LEN 2 is 8 bytes; the address is aligned to the length (SDM 3B 17.2.5). */
static uint64_t span_of(const struct soft_cpu *c, unsigned k, uint64_t *first)
{
	static const uint8_t bytes[4] = {1, 2, 8, 4};
	uint64_t n = bytes[c->s.dr[7] >> (18 + 4 * k) & 3];

	*first = c->s.dr[k] & ~(n - 1);
	return n;
}

void soft_debug_update(struct soft_cpu *c)
{
	uint8_t exec = 0, data = 0;
	bool before = c->dr_exec | c->dr_data;

	for (unsigned k = 0; k < 4; k++) {
		if (!armed(c, k))
			continue;
		if (kind_of(c, k) == RW_EXEC)
			exec |= (uint8_t)(1u << k);
		else if (kind_of(c, k) != RW_IO)
			data |= (uint8_t)(1u << k);
	}
	if (exec || c->dr_exec)
		soft_blocks_drop_all(c);
	c->dr_exec = exec;
	c->dr_data = data;
	if (before || exec || data)
		soft_tlb_flush(c);
}

uint64_t soft_debug_exec(const struct soft_cpu *c, uint64_t linear)
{
	uint64_t hit = 0;

	for (unsigned k = 0; k < 4; k++)
		if (c->dr_exec >> k & 1 && c->s.dr[k] == linear)
			hit |= 1u << k;
	return hit;
}

uint64_t soft_debug_data(const struct soft_cpu *c, uint64_t linear, uint64_t n, bool write)
{
	uint64_t hit = 0, first, len;

	for (unsigned k = 0; k < 4; k++) {
		if (!(c->dr_data >> k & 1) || (!write && kind_of(c, k) == RW_WRITE))
			continue;
		len = span_of(c, k, &first);
		if (linear < first + len && first < linear + n)
			hit |= 1u << k;
	}
	return hit;
}

uint64_t soft_debug_io(const struct soft_cpu *c, uint16_t port, unsigned n)
{
	uint64_t hit = 0, first, len;

	if (!(c->s.cr4 & CV_CR4_DE))
		return 0;
	for (unsigned k = 0; k < 4; k++) {
		if (!armed(c, k) || kind_of(c, k) != RW_IO)
			continue;
		len = span_of(c, k, &first);
		if (port < first + len && first < (uint64_t)port + n)
			hit |= 1u << k;
	}
	return hit;
}

bool soft_debug_page(const struct soft_cpu *c, uint64_t page)
{
	for (unsigned k = 0; k < 4; k++)
		if (c->dr_data >> k & 1 && (c->s.dr[k] & ~0xfffull) == page)
			return true;
	return false;
}

/* The number of the register meant, or -1 after raising. */
static int debug_register(struct soft_cpu *c, const struct cv_insn *i)
{
	unsigned n = i->reg;

	if (n > 7) {
		raise_ud(c, i);
		return -1;
	}
	if (c->cpl) {
		raise_gp0(c, i);
		return -1;
	}
	if ((n == 4 || n == 5) && (c->s.cr4 & CV_CR4_DE)) {
		raise_ud(c, i);
		return -1;
	}
	if (c->s.dr[7] & DR7_GD) {
		c->s.pending_db |= DR6_BD;
		soft_raise(c, i, EXC_DB);
		return -1;
	}
	return n == 4 || n == 5 ? (int)n + 2 : (int)n;
}

/* 0F 21. */
void sys_op_mov_from_dr(struct soft_cpu *c, const struct cv_insn *i)
{
	unsigned r = (i->modrm & 7) | (i->rex & 1) << 3;
	int n = debug_register(c, i);
	uint64_t v;

	if (n < 0)
		return;
	v = c->s.dr[n];
	if (n == 6)
		v = (v & (DR6_WRITABLE)) | DR6_FIXED;
	else if (n == 7)
		v = (v & DR7_WRITABLE) | DR7_FIXED;
	write_gpr(c, r, c->mode == 64 ? 8 : 4, v);
	soft_finish(c, i);
}

/* 0F 23. */
void sys_op_mov_to_dr(struct soft_cpu *c, const struct cv_insn *i)
{
	uint64_t v = c->s.gpr[(i->modrm & 7) | (i->rex & 1) << 3];
	int n = debug_register(c, i);

	if (n < 0)
		return;
	if (c->mode != 64)
		v = (uint32_t)v;
	if (n >= 6 && v >> 32) {
		raise_gp0(c, i);
		return;
	}
	if (n == 6)
		v = (v & DR6_WRITABLE) | DR6_FIXED;
	else if (n == 7)
		v = (v & DR7_WRITABLE) | DR7_FIXED;
	c->s.dr[n] = v;
	if (n != 6)
		soft_debug_update(c);
	soft_finish(c, i);
}
