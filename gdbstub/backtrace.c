/* SPDX-License-Identifier: MIT */
/*
 * Backtraces of the guest, in four ways, best first; each frame says which one found it.
 *
 * kernel's ORC table: Linux's own unwinder data, where the symbols are the kernel's own (linux_orc.h). Crosses interrupts
 *   and exceptions, and ends at the user code that the kernel was entered from.
 * unwind table: libunwind with remote accessors. Registers are the vCPU's, memory is the guest's, except that the bytes
 *   of the image's call frame information, and a sorted table of them (as .eh_frame_hdr would have it), are laid over
 *   the address space: at the frames' own address and at TABLE, where no guest memory can be.
 *   libunwind takes the end of a frame for the caller's stack pointer, which is wrong where an interrupt came in
 *   between: there the CPU has pushed it, and the walk begins again with the registers of the interrupted code.
 * frame pointer: [rbp] is the caller's rbp, [rbp + word] the return address; followed while it rises.
 * stack scan: words on the stack that point behind a CALL instruction. A guess, for code without any of these; only where
 *   the frame pointer leads nowhere.
 */
#include <libunwind.h>
#include <inttypes.h>
#include <string.h>

#include "gdbstub/frames.h"
#include "gdbstub/inspect.h"
#include "gdbstub/packet.h"
#include "gdbstub/regs.h"

/* Not canonical: no linear address of a guest. */
#define TABLE 0x4000000000000000ull
#define SCAN_WORDS 512

/* Exported by libunwind for debuggers (perf uses it too), though no header declares it. */
extern int UNW_OBJ(dwarf_search_unwind_table)(unw_addr_space_t as, unw_word_t ip, unw_dyn_info_t *di,
					      unw_proc_info_t *pi, int need_unwind_info, void *arg);

struct walk {
	const struct cv_inspect *in;
	struct cv_wbuf *out;
	unsigned count, most;
	struct cv_unwind table;
	uint64_t table_base; /* where the frames lie: with the slide */
	uint64_t regs[UNW_X86_64_RIP + 1]; /* by libunwind's numbers: those that a walk begins with */
};

/* A return address may lie behind its function (a call that never returns is its last): the call names it. */
static void put_frame(struct walk *w, uint64_t pc, bool returns, const char *how)
{
	const struct cv_inspect *in = w->in;
	uint64_t offset;
	const char *name = cv_symbols_lookup(in->symbols, pc - in->slide - returns, &offset);

	cv_put_text(w->out, "#%-2u %016" PRIx64, w->count++, pc);
	if (name)
		cv_put_text(w->out, " <%.200s+%#" PRIx64 ">", name, offset + returns);
	cv_put_text(w->out, "%s\n", how);
}

/* --- libunwind --- */

/* Lays [base, base + len) over what was read at addr. */
static bool overlay(uint8_t *to, uint64_t addr, size_t n, uint64_t base, const void *data, size_t len)
{
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		uint64_t off = addr + i - base;

		if (off < len) {
			to[i] = ((const uint8_t *)data)[off];
			any = true;
		}
	}
	return any;
}

static int access_mem(unw_addr_space_t as, unw_word_t addr, unw_word_t *value, int write, void *arg)
{
	struct walk *w = arg;
	uint8_t b[8] = { 0 };
	size_t got;

	(void)as;
	if (write)
		return -UNW_EINVAL;
	got = w->in->read(w->in->ctx, addr, b, sizeof(b));
	if (!overlay(b, addr, 8, w->table_base, w->table.frames, w->table.len) &&
	    !overlay(b, addr, 8, TABLE, w->table.entries, w->table.n * sizeof(*w->table.entries)) && got < sizeof(b))
		return -UNW_EINVAL;
	memcpy(value, b, sizeof(b));
	return 0;
}

static int access_reg(unw_addr_space_t as, unw_regnum_t reg, unw_word_t *value, int write, void *arg)
{
	const struct walk *w = arg;

	(void)as;
	if (write || reg < 0 || reg > UNW_X86_64_RIP)
		return -UNW_EBADREG;
	*value = w->regs[reg];
	return 0;
}

/* Is there an entry at or before this address? (Whether it reaches so far, the FDE says.) */
static bool covered(const struct walk *w, uint64_t pc)
{
	int64_t off = (int64_t)(pc - w->table_base);

	return w->table.n && off == (int32_t)off && off >= w->table.entries[0].start;
}

static int find_proc_info(unw_addr_space_t as, unw_word_t ip, unw_proc_info_t *pi, int need, void *arg)
{
	struct walk *w = arg;
	uint64_t slide = w->in->slide;
	unw_dyn_info_t di;
	int r;

	if (!covered(w, ip))
		return -UNW_ENOINFO;
	memset(&di, 0, sizeof(di));
	di.start_ip = 0;
	di.end_ip = UINT64_MAX;
	di.format = UNW_INFO_FORMAT_REMOTE_TABLE;
	di.u.rti.segbase = w->table_base;
	di.u.rti.table_data = TABLE;
	di.u.rti.table_len = w->table.n * sizeof(*w->table.entries) / sizeof(unw_word_t);
	r = UNW_OBJ(dwarf_search_unwind_table)(as, ip, &di, pi, need, arg);
	if (r == 0 && !(ip >= pi->start_ip && ip < pi->end_ip) && ip - slide >= pi->start_ip &&
	    ip - slide < pi->end_ip) { /* absolute pointers in the frames know nothing of the slide */
		pi->start_ip += slide;
		pi->end_ip += slide;
	}
	if (r == 0 && !(ip >= pi->start_ip && ip < pi->end_ip))
		return -UNW_ENOINFO;
	return r;
}

static void put_unwind_info(unw_addr_space_t as, unw_proc_info_t *pi, void *arg)
{
	(void)as;
	(void)pi;
	(void)arg;
}

static int no_list(unw_addr_space_t as, unw_word_t *addr, void *arg)
{
	(void)as;
	(void)addr;
	(void)arg;
	return -UNW_ENOINFO;
}

static int no_fpreg(unw_addr_space_t as, unw_regnum_t reg, unw_fpreg_t *value, int write, void *arg)
{
	(void)as;
	(void)reg;
	(void)value;
	(void)write;
	(void)arg;
	return -UNW_EBADREG;
}

static int no_resume(unw_addr_space_t as, unw_cursor_t *cursor, void *arg)
{
	(void)as;
	(void)cursor;
	(void)arg;
	return -UNW_EINVAL;
}

static int no_name(unw_addr_space_t as, unw_word_t ip, char *name, size_t n, unw_word_t *off, void *arg)
{
	(void)as;
	(void)ip;
	(void)name;
	(void)n;
	(void)off;
	(void)arg;
	return -UNW_ENOINFO;
}

/* Does an FDE describe the code at pc? libunwind would fall back to rbp silently, and its frames be labelled wrong. */
static bool described(struct walk *w, unw_addr_space_t as, uint64_t pc)
{
	unw_proc_info_t pi;

	memset(&pi, 0, sizeof(pi));
	return find_proc_info(as, pc, &pi, 0, w) == 0;
}

/* Is the code at pc the end of an interrupt's way in (a frame that the CPU has made)? */
static bool in_signal_frame(const struct walk *w, uint64_t pc)
{
	int64_t off = (int64_t)(pc - w->table_base);
	size_t lo = 0, hi = w->table.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (w->table.entries[mid].start <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && cv_frames_is_signal(w->table.frames, w->table.len, (size_t)w->table.entries[lo - 1].fde);
}

/* Looks from sp to a little past cfa for what the CPU pushed: RIP, CS, RFLAGS, RSP, SS. */
static bool find_pushed_sp(const struct walk *w, uint64_t sp, uint64_t cfa, uint64_t rip, uint64_t *pushed)
{
	uint64_t v[5];

	for (unsigned i = 0; i < SCAN_WORDS && sp + 8 * (uint64_t)i <= cfa + 48; i++) {
		if (w->in->read(w->in->ctx, sp + 8 * (uint64_t)i, v, sizeof(v)) < sizeof(v))
			return false;
		if (v[0] == rip && v[1] <= 0xffff && (v[2] & 2) && v[4] <= 0xffff) {
			*pushed = v[3];
			return true;
		}
	}
	return false;
}

/* One step up. What the frame that is left had as sp comes in; the caller's registers are in w->regs afterwards. */
static bool step_up(struct walk *w, unw_cursor_t *cursor, unw_addr_space_t as)
{
	uint64_t sp = w->regs[UNW_X86_64_RSP];
	bool signal = in_signal_frame(w, w->regs[UNW_X86_64_RIP]);

	if (unw_step(cursor) <= 0)
		return false;
	for (int i = 0; i <= UNW_X86_64_RIP; i++) {
		unw_word_t v;

		if (unw_get_reg(cursor, i, &v) == 0)
			w->regs[i] = v;
	}
	if (!w->regs[UNW_X86_64_RIP])
		return false;
	if (!signal)
		return w->regs[UNW_X86_64_RSP] > sp;
	return find_pushed_sp(w, sp, w->regs[UNW_X86_64_RSP], w->regs[UNW_X86_64_RIP], &w->regs[UNW_X86_64_RSP]) &&
	       unw_init_remote(cursor, as, w) == 0;
}

static void begin(struct walk *w)
{
	static const uint8_t order[16] = { CV_RAX, CV_RDX, CV_RCX, CV_RBX, CV_RSI, CV_RDI, CV_RBP, CV_RSP,
					   CV_R8,  CV_R9,  CV_R10, CV_R11, CV_R12, CV_R13, CV_R14, CV_R15 };

	for (unsigned i = 0; i < 16; i++)
		w->regs[i] = w->in->state.gpr[order[i]];
	w->regs[UNW_X86_64_RIP] = w->in->state.rip;
}

/* Follows the tables as far as they go; w->regs are then those of the last frame. False where none was found. */
static bool walk_tables(struct walk *w)
{
	unw_accessors_t accessors = {
		.find_proc_info = find_proc_info, .put_unwind_info = put_unwind_info,
		.get_dyn_info_list_addr = no_list, .access_mem = access_mem, .access_reg = access_reg,
		.access_fpreg = no_fpreg, .resume = no_resume, .get_proc_name = no_name,
	};
	unw_addr_space_t as;
	unw_cursor_t cursor;
	bool any = false, precise = true; /* a return address stands behind its call */

	if (cv_code_bits(&w->in->state) != 64 || !cv_symbols_unwind(w->in->symbols, &w->table))
		return false;
	w->table_base = w->table.base + w->in->slide;
	as = unw_create_addr_space(&accessors, 0);
	if (!as)
		return false;
	unw_set_caching_policy(as, UNW_CACHE_NONE);
	if (unw_init_remote(&cursor, as, w) == 0) {
		while (w->count < w->most) {
			uint64_t pc = w->regs[UNW_X86_64_RIP] - !precise;

			precise = in_signal_frame(w, pc);
			if (!described(w, as, pc) || !step_up(w, &cursor, as))
				break;
			put_frame(w, w->regs[UNW_X86_64_RIP], !precise, "  (unwind table)");
			any = true;
		}
	}
	unw_destroy_addr_space(as);
	return any;
}

/* --- ORC --- */

/* Follows the kernel's table. False where it says nothing about the innermost frame. */
static bool walk_orc(struct walk *w)
{
	const struct cv_orc *orc = cv_symbols_orc(w->in->symbols);
	enum cv_orc_step step = CV_ORC_CALLER;
	struct cv_orc_frame f;
	bool any = false;

	if (!orc || cv_code_bits(&w->in->state) != 64 || cv_vcpu_cpl(&w->in->state) == 3)
		return false;
	cv_orc_begin(&f, &w->in->state);
	while (w->count < w->most && (step = cv_orc_step(orc, &f, w->in->read, w->in->ctx)) == CV_ORC_CALLER) {
		put_frame(w, f.ip, !f.exact,
			  f.user    ? "  (kernel's ORC table: user code)" :
			  f.exact ? "  (kernel's ORC table: interrupted here)" :
				    "  (kernel's ORC table)");
		any = true;
	}
	if (any && step != CV_ORC_CALLER && step != CV_ORC_END)
		cv_put_text(w->out, "(the kernel's ORC table leads no further)\n");
	return any || step == CV_ORC_END;
}

/* --- Frame pointers and the stack --- */

static bool read_word(const struct walk *w, uint64_t addr, unsigned size, uint64_t *v)
{
	uint8_t b[8];

	if (w->in->read(w->in->ctx, addr, b, size) < size)
		return false;
	*v = 0;
	for (unsigned i = 0; i < size; i++)
		*v |= (uint64_t)b[i] << 8 * i;
	return true;
}

/* Does a CALL end just before pc? E8 rel32; FF /2 with any addressing form (2 to 7 bytes, REX before it). */
static bool after_call(const struct walk *w, uint64_t pc)
{
	uint8_t b[8];

	if (pc < 8 || w->in->read(w->in->ctx, pc - 8, b, 8) < 8)
		return false;
	if (b[3] == 0xe8)
		return true;
	for (unsigned at = 1; at <= 6; at++)
		if (b[at] == 0xff && (b[at + 1] >> 3 & 7) == 2)
			return true;
	return false;
}

static bool walk_pointers(struct walk *w, unsigned size, uint64_t base, uint64_t sp, uint64_t bp)
{
	bool any = false;

	while (w->count < w->most && bp >= sp && !(bp % size)) {
		uint64_t next, pc;

		if (!read_word(w, base + bp, size, &next) || !read_word(w, base + bp + size, size, &pc) || !pc ||
		    !after_call(w, pc))
			break;
		put_frame(w, pc, true, "  (frame pointer)");
		any = true;
		sp = bp + 2 * (uint64_t)size;
		bp = next;
	}
	return any;
}

static bool walk_stack(struct walk *w, unsigned size, uint64_t base, uint64_t sp)
{
	unsigned found = 0;

	for (unsigned i = 0; i < SCAN_WORDS && w->count < w->most && found < 12; i++) {
		uint64_t pc;

		if (!read_word(w, base + sp + (uint64_t)i * size, size, &pc))
			break;
		/* Code of a 64-bit kernel stands in the upper half; user code is not on a kernel's stack by calls. */
		if (!after_call(w, pc) || (size == 8 && pc >> 63 != w->in->state.rip >> 63))
			continue;
		put_frame(w, pc, true, "  (stack scan: a guess)");
		found++;
	}
	return found > 0;
}

void cv_inspect_put_backtrace(const struct cv_inspect *in, unsigned most, struct cv_wbuf *out)
{
	struct walk w = { .in = in, .out = out, .most = most };
	unsigned bits = cv_code_bits(&in->state), size = bits / 8;
	uint64_t mask = bits == 64 ? UINT64_MAX : 0xffffffff;
	uint64_t base = bits == 64 ? 0 : in->state.seg[CV_SS].base;
	uint64_t sp, bp;
	bool tables;

	put_frame(&w, cv_inspect_rip(in), false, "");
	if (bits == 16) {
		cv_put_text(out, "(16-bit code: no way to find its callers)\n");
		return;
	}
	if (walk_orc(&w))
		return;
	begin(&w);
	tables = walk_tables(&w);
	sp = w.regs[UNW_X86_64_RSP] & mask;
	bp = w.regs[UNW_X86_64_RBP] & mask;
	if (!walk_pointers(&w, size, base, sp, bp) && !tables && !walk_stack(&w, size, base, sp))
		cv_put_text(out, "(no caller found)\n");
}
