/* SPDX-License-Identifier: MIT */
/*
 * Text for people about where a guest stands: registers, disassembly, backtrace. Used by `monitor` commands and by the
 * crash report. Looks only; all text is appended to a cv_wbuf (no NUL at the end).
 */
#ifndef CV_INSPECT_H
#define CV_INSPECT_H

#include "gdbstub/symbols.h"
#include "replay/timeline.h"
#include "vmm-core/buf.h"
#include "vmm-core/machine.h"

/* What is looked at: filled by one of the two functions, or by hand. */
struct cv_inspect {
	struct cv_vcpu_state state;
	uint64_t cr8;
	/* Linear memory: the number of bytes done from the start. */
	size_t (*read)(void *ctx, uint64_t addr, void *p, size_t n);
	void *ctx;
	const struct cv_symbols *symbols; /* borrowed, or NULL */
	uint64_t slide;			  /* of the symbols */
};

void cv_inspect_machine(struct cv_inspect *in, struct cv_machine *m, const struct cv_symbols *symbols);
void cv_inspect_timeline(struct cv_inspect *in, struct cv_timeline *t, const struct cv_symbols *symbols);

/* Linear address of the next instruction: CS.base + RIP, as wide as the mode. */
uint64_t cv_inspect_rip(const struct cv_inspect *in);
/* General, segment, control registers; one block of lines. */
void cv_inspect_put_regs(const struct cv_inspect *in, struct cv_wbuf *out);
/* n instructions from addr; the one at RIP is marked. Stops where memory or decoding ends, and says so. */
void cv_inspect_put_disas(const struct cv_inspect *in, uint64_t addr, unsigned n, struct cv_wbuf *out);
/*
 * Like cv_inspect_put_disas, with up to `before` instructions in front of addr: x86 code read backwards is a guess, the one
 * whose instructions fall into step with addr.
 */
void cv_inspect_put_disas_around(const struct cv_inspect *in, uint64_t addr, unsigned before, unsigned after,
			     struct cv_wbuf *out);
/*
 * At most `most` frames, one a line, each labelled with how it was found: by unwind tables, by frame
 * pointers, or (where neither leads anywhere) by return addresses that lie on the stack.
 */
void cv_inspect_put_backtrace(const struct cv_inspect *in, unsigned most, struct cv_wbuf *out);

/* " <name+0x12>" where a symbol is known, else nothing. */
void cv_inspect_put_symbol(const struct cv_inspect *in, uint64_t addr, struct cv_wbuf *out);

/*
 * The same as NUL-terminated text in the caller's buffer, cut off at a line's end where it is too small. *s is the state
 * to show, m's memory is what is looked at.
 */
void cv_inspect_regs(const struct cv_vcpu_state *s, const struct cv_symbols *symbols, char *text, size_t size);
void cv_inspect_disas_around(struct cv_machine *m, const struct cv_vcpu_state *s, unsigned before, unsigned after,
			     const struct cv_symbols *symbols, char *text, size_t size);
void cv_inspect_backtrace(struct cv_machine *m, const struct cv_vcpu_state *s, const struct cv_symbols *symbols,
			  char *text, size_t size);

#endif
