/* SPDX-License-Identifier: MIT */
/*
 * Linux's ORC table as call frame information for GDB (DWARF 4 6.4; register numbers of the System V ABI, figure 3.36).
 *
 * The CFA is what ORC calls the previous stack pointer. Two CIEs: calls, where the return address lies below it; and
 * exceptions ("zS"), where the saved registers begin at it. ORC knows rsp, rbp and rip alone: other registers that calls
 * preserve are said to be unknown in callers.
 *
 * An FDE covers up to ROWS entries of one CIE that follow one another, so that GDB has little to execute for one place.
 */
#include <string.h>

#include "gdbstub/linux_orc.h"
#include "vmm-core/buf.h"

#define ROWS 64
#define DATA_ALIGN (-8)

enum { RAX, RDX, RCX, RBX, RSI, RDI, RBP, RSP, R8, R9, R10, R11, R12, R13, R14, R15, RA, RFLAGS = 49, CS = 51 };

enum {
	CFA_advance_loc1 = 0x02, CFA_advance_loc4 = 0x04, CFA_undefined = 0x07, CFA_same_value = 0x08, CFA_def_cfa = 0x0c,
	CFA_def_cfa_expression = 0x0f, CFA_expression = 0x10, CFA_offset_extended_sf = 0x11, CFA_def_cfa_sf = 0x12,
	CFA_advance_loc = 0x40,
	OP_deref = 0x06, OP_consts = 0x11, OP_plus = 0x22, OP_breg0 = 0x70,
};

static void put_sleb(struct cv_wbuf *w, int64_t v)
{
	for (;;) {
		uint8_t b = v & 0x7f;

		v >>= 7;
		if ((v == 0 && !(b & 0x40)) || (v == -1 && (b & 0x40))) {
			cv_put_u8(w, b);
			return;
		}
		cv_put_u8(w, b | 0x80);
	}
}

/* The register was saved at CFA + offset. */
static void put_saved(struct cv_wbuf *w, uint8_t reg, int offset)
{
	cv_put_u8(w, CFA_offset_extended_sf);
	cv_put_u8(w, reg);
	put_sleb(w, offset / DATA_ALIGN);
}

/* A record: `at` is where its length word stands. */
static void end_record(struct cv_wbuf *w, size_t at)
{
	uint32_t len;

	while ((w->len - at) % 8)
		cv_put_u8(w, 0); /* DW_CFA_nop */
	if (w->err)
		return;
	len = (uint32_t)(w->len - at - 4);
	for (unsigned i = 0; i < 4; i++)
		w->data[at + i] = (uint8_t)(len >> 8 * i);
}

static void begin_cie(struct cv_wbuf *w, const char *augmentation)
{
	cv_put_u32(w, 0);
	cv_put_u32(w, 0xffffffff);
	cv_put_u8(w, 1);
	cv_put_bytes(w, augmentation, strlen(augmentation) + 1);
	cv_put_u8(w, 1); /* code alignment */
	put_sleb(w, DATA_ALIGN);
	cv_put_u8(w, RA);
	if (*augmentation)
		cv_put_u8(w, 0); /* no augmentation data */
	cv_put_u8(w, CFA_def_cfa);
	cv_put_u8(w, RSP);
	cv_put_u8(w, 8);
}

/* Both CIEs; their offsets in at[], by "is it an exception?". */
static void put_cies(struct cv_wbuf *w, uint32_t at[2])
{
	static const uint8_t unknown[] = { RBX, R12, R13, R14, R15 };

	at[0] = (uint32_t)w->len;
	begin_cie(w, "");
	put_saved(w, RA, -8);
	for (size_t i = 0; i < sizeof(unknown); i++) {
		cv_put_u8(w, CFA_undefined);
		cv_put_u8(w, unknown[i]);
	}
	end_record(w, at[0]);
	at[1] = (uint32_t)w->len;
	begin_cie(w, "zS");
	end_record(w, at[1]);
}

/* reg + offset as a DWARF expression, with what the memory there holds where deref; then + add. */
static void put_expression(struct cv_wbuf *w, uint8_t reg, int offset, bool deref, int add)
{
	struct cv_wbuf e = { 0 };

	cv_put_u8(&e, (uint8_t)(OP_breg0 + reg));
	put_sleb(&e, offset);
	if (deref)
		cv_put_u8(&e, OP_deref);
	if (add) {
		cv_put_u8(&e, OP_consts);
		put_sleb(&e, add);
		cv_put_u8(&e, OP_plus);
	}
	cv_put_u8(w, (uint8_t)e.len); /* far below 128 */
	cv_put_bytes(w, e.data, e.len);
	if (e.err)
		w->err = e.err;
	cv_wbuf_release(&e);
}

static void put_cfa(struct cv_wbuf *w, const struct cv_orc_entry *e)
{
	static const uint8_t regs[16] = { [CV_ORC_REG_DX] = RDX, [CV_ORC_REG_DI] = RDI,	  [CV_ORC_REG_BP] = RBP,
					  [CV_ORC_REG_SP] = RSP, [CV_ORC_REG_R10] = R10, [CV_ORC_REG_R13] = R13 };
	bool offset = e->sp_reg == CV_ORC_REG_BP || e->sp_reg == CV_ORC_REG_SP;

	if (e->sp_reg == CV_ORC_REG_SP_INDIRECT || e->sp_reg == CV_ORC_REG_BP_INDIRECT || (offset && e->sp_offset % 8)) {
		cv_put_u8(w, CFA_def_cfa_expression);
		if (e->sp_reg == CV_ORC_REG_SP_INDIRECT)
			put_expression(w, RSP, 0, true, e->sp_offset);
		else if (e->sp_reg == CV_ORC_REG_BP_INDIRECT)
			put_expression(w, RBP, e->sp_offset, true, 0);
		else
			put_expression(w, regs[e->sp_reg], e->sp_offset, false, 0);
		return;
	}
	cv_put_u8(w, CFA_def_cfa_sf);
	cv_put_u8(w, regs[e->sp_reg]);
	put_sleb(w, offset ? e->sp_offset / DATA_ALIGN : 0);
}

static void put_bp(struct cv_wbuf *w, const struct cv_orc_entry *e)
{
	if (e->bp_reg == CV_ORC_REG_PREV_SP && e->bp_offset % 8 == 0) {
		put_saved(w, RBP, e->bp_offset);
	} else if (e->bp_reg == CV_ORC_REG_BP) {
		cv_put_u8(w, CFA_expression);
		cv_put_u8(w, RBP);
		put_expression(w, RBP, e->bp_offset, false, 0);
	} else {
		cv_put_u8(w, e->bp_reg == CV_ORC_REG_UNDEFINED ? CFA_same_value : CFA_undefined);
		cv_put_u8(w, RBP);
	}
}

/* What an exception saved: struct pt_regs, or only the part that the CPU pushes. */
static void put_exception(struct cv_wbuf *w, const struct cv_orc_entry *e)
{
	static const uint8_t pt_regs[] = { R15, R14, R13, R12, RBP, RBX, R11, R10, R9, R8, RAX, RCX, RDX, RSI, RDI };
	const int iret = e->kind == CV_ORC_KIND_REGS ? 128 : 0;

	if (e->kind == CV_ORC_KIND_REGS)
		for (size_t i = 0; i < sizeof(pt_regs); i++)
			if (pt_regs[i] != RBP || e->bp_reg == CV_ORC_REG_UNDEFINED)
				put_saved(w, pt_regs[i], 8 * (int)i);
	put_saved(w, RA, iret);
	put_saved(w, CS, iret + 8);
	put_saved(w, RFLAGS, iret + 16);
	put_saved(w, RSP, iret + 24);
	if (e->kind == CV_ORC_KIND_IRET || e->bp_reg != CV_ORC_REG_UNDEFINED)
		put_bp(w, e);
}

static void put_row(struct cv_wbuf *w, const struct cv_orc_entry *e)
{
	if (e->kind == CV_ORC_KIND_END) { /* nothing called this */
		cv_put_u8(w, CFA_undefined);
		cv_put_u8(w, RA);
		return;
	}
	put_cfa(w, e);
	if (e->kind == CV_ORC_KIND_CALL)
		put_bp(w, e);
	else
		put_exception(w, e);
}

static void put_advance(struct cv_wbuf *w, uint64_t delta)
{
	if (delta < 64) {
		cv_put_u8(w, (uint8_t)(CFA_advance_loc | delta));
	} else if (delta < 256) {
		cv_put_u8(w, CFA_advance_loc1);
		cv_put_u8(w, (uint8_t)delta);
	} else {
		cv_put_u8(w, CFA_advance_loc4);
		cv_put_u32(w, (uint32_t)delta);
	}
}

/* Has the entry a meaning that can be said? (A damaged table names registers that ORC has not.) */
static bool is_known(const struct cv_orc_entry *e)
{
	if (e->kind == CV_ORC_KIND_END)
		return true;
	return e->kind != CV_ORC_KIND_UNDEFINED && e->sp_reg >= CV_ORC_REG_DX && e->sp_reg <= CV_ORC_REG_SP_INDIRECT;
}

/* How many entries from `first` on one FDE says in rows: calls together, all else alone. */
static size_t run_length(const struct cv_orc *orc, size_t first)
{
	struct cv_orc_entry e;
	size_t n = 1;

	cv_orc_get(orc, first, &e);
	if (e.kind != CV_ORC_KIND_CALL || !is_known(&e))
		return 1;
	for (; n < ROWS && first + n < orc->n - 1; n++) {
		cv_orc_get(orc, first + n, &e);
		if (e.kind != CV_ORC_KIND_CALL || !is_known(&e))
			break;
	}
	return n;
}

static void put_fde(const struct cv_orc *orc, size_t first, size_t n, const uint32_t cie[2], struct cv_wbuf *w)
{
	struct cv_orc_entry e, after;
	uint64_t start = cv_orc_get(orc, first, &e), end = cv_orc_get(orc, first + n, &after), at = start;
	size_t record = w->len;

	/* Nothing to say; or one that cannot be said (a kernel is far smaller). */
	if (!is_known(&e) || end == start || end - start > UINT32_MAX)
		return;
	cv_put_u32(w, 0);
	cv_put_u32(w, cie[e.kind == CV_ORC_KIND_REGS || e.kind == CV_ORC_KIND_IRET]);
	cv_put_u64(w, start);
	cv_put_u64(w, end - start);
	if (e.kind == CV_ORC_KIND_REGS || e.kind == CV_ORC_KIND_IRET)
		cv_put_u8(w, 0); /* no augmentation data */
	for (size_t i = 0; i < n; i++) {
		uint64_t next = cv_orc_get(orc, first + i, &e);

		if (next != at)
			put_advance(w, next - at);
		at = next;
		put_row(w, &e);
	}
	end_record(w, record);
}

void cv_orc_put_debug_frame(const struct cv_orc *orc, struct cv_wbuf *out)
{
	uint32_t cie[2];

	put_cies(out, cie);
	for (size_t i = 0, n; i + 1 < orc->n && !out->err; i += n) { /* the last entry has no end */
		n = run_length(orc, i);
		put_fde(orc, i, n, cie, out);
	}
}
