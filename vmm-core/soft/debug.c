/* SPDX-License-Identifier: MIT */
/*
 * MOV to and from the debug registers: SDM 3B 17.2.
 *
 * DR6 and DR7 are kept with their fixed bits in place. With CR4.DE clear DR4 and DR5 are other names of DR6 and DR7.
 * With DR7.GD set any access raises #DB with DR6.BD, as a fault; delivery clears GD.
 * Relies on the decoder for: reg (debug register number with REX.R) and ModRM.rm (mod ignored).
 */
#include "vmm-core/soft/sys.h"

/* The number of the register meant, or -1 after raising. */
static int debug_register(struct soft_cpu *c, const struct cv_insn *i)
{
	unsigned n = i->reg;

	if (n > 7 || ((n == 4 || n == 5) && (c->s.cr4 & CV_CR4_DE))) {
		raise_ud(c, i);
		return -1;
	}
	if (c->cpl) {
		raise_gp0(c, i);
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
	soft_finish(c, i);
}
