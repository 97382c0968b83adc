/* SPDX-License-Identifier: MIT */
/* Registers and disassembly as text. Capstone decodes; it is opened for each call, in the mode of the guest's CS. */
#include "gdbstub/inspect.h"

#include <capstone/capstone.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gdbstub/packet.h"
#include "gdbstub/regs.h"

#define INSN_MAX 15
#define BEFORE_MAX 16

static size_t read_machine(void *ctx, uint64_t addr, void *p, size_t n)
{
	uint8_t *to = p;
	size_t done = 0;

	while (done < n) { /* a page at a time: the call is all or nothing */
		size_t part = CV_PAGE_SIZE - (addr + done) % CV_PAGE_SIZE;

		if (part > n - done)
			part = n - done;
		if (cv_machine_read_linear(ctx, addr + done, to + done, part) < 0)
			break;
		done += part;
	}
	return done;
}

static size_t read_timeline(void *ctx, uint64_t addr, void *p, size_t n)
{
	return cv_timeline_read(ctx, false, addr, p, n);
}

static uint64_t cr8_of(const struct cv_machine *m)
{
	return m && m->irqchip ? m->irqchip->get_cr8(m->irqchip_dev) : 0;
}

void cv_inspect_machine(struct cv_inspect *in, struct cv_machine *m, const struct cv_symbols *symbols)
{
	memset(in, 0, sizeof(*in));
	m->engine->ops->get_state(m->engine, &in->state);
	in->cr8 = cr8_of(m);
	in->read = read_machine;
	in->ctx = m;
	in->symbols = symbols;
	in->slide = cv_symbols_slide(symbols, &in->state);
}

void cv_inspect_timeline(struct cv_inspect *in, struct cv_timeline *t, const struct cv_symbols *symbols)
{
	memset(in, 0, sizeof(*in));
	cv_timeline_state(t, &in->state);
	in->cr8 = cr8_of(cv_timeline_machine(t));
	in->read = read_timeline;
	in->ctx = t;
	in->symbols = symbols;
	in->slide = cv_symbols_slide(symbols, &in->state);
}

uint64_t cv_inspect_rip(const struct cv_inspect *in)
{
	return cv_vcpu_linear_rip(&in->state);
}

void cv_inspect_put_symbol(const struct cv_inspect *in, uint64_t addr, struct cv_wbuf *out)
{
	uint64_t offset;
	const char *name = in->symbols ? cv_symbols_lookup(in->symbols, addr - in->slide, &offset) : NULL;

	if (name && offset)
		cv_put_text(out, " <%.200s+%#" PRIx64 ">", name, offset);
	else if (name)
		cv_put_text(out, " <%.200s>", name);
}

/* --- Registers --- */

static void put_flags(uint64_t f, struct cv_wbuf *out)
{
	static const struct {
		unsigned bit;
		const char *name;
	} names[] = { { 0, "CF" },  { 2, "PF" },  { 4, "AF" },	{ 6, "ZF" },  { 7, "SF" },  { 8, "TF" },  { 9, "IF" },
		      { 10, "DF" }, { 11, "OF" }, { 14, "NT" }, { 16, "RF" }, { 17, "VM" }, { 18, "AC" }, { 21, "ID" } };

	cv_put_text(out, "[");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (f >> names[i].bit & 1)
			cv_put_text(out, " %s", names[i].name);
	cv_put_text(out, " IOPL=%u ]", (unsigned)(f >> 12 & 3));
}

static void put_segments(const struct cv_vcpu_state *s, struct cv_wbuf *out)
{
	static const struct {
		unsigned index;
		const char *name;
	} segs[] = { { CV_CS, "cs" }, { CV_SS, "ss" }, { CV_DS, "ds" },	    { CV_ES, "es" },
		     { CV_FS, "fs" }, { CV_GS, "gs" }, { CV_LDTR, "ldtr" }, { CV_TR, "tr" } };

	for (size_t i = 0; i < sizeof(segs) / sizeof(segs[0]); i++) {
		const struct cv_seg *g = &s->seg[segs[i].index];

		cv_put_text(out, "%-4s %04x  base %016" PRIx64 "  limit %08x  rights %05x\n", segs[i].name, g->sel,
			    g->base, g->limit, g->ar);
	}
	cv_put_text(out, "gdtr       base %016" PRIx64 "  limit %04x\nidtr       base %016" PRIx64 "  limit %04x\n",
		    s->gdtr.base, s->gdtr.limit, s->idtr.base, s->idtr.limit);
}

void cv_inspect_put_regs(const struct cv_inspect *in, struct cv_wbuf *out)
{
	static const char *const names[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					       "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };
	static const uint8_t order[16] = { CV_RAX, CV_RBX, CV_RCX, CV_RDX, CV_RSI, CV_RDI, CV_RBP, CV_RSP,
					   CV_R8,  CV_R9,  CV_R10, CV_R11, CV_R12, CV_R13, CV_R14, CV_R15 };
	const struct cv_vcpu_state *s = &in->state;

	for (unsigned i = 0; i < 16; i++)
		cv_put_text(out, "%-3s %016" PRIx64 "%s", names[order[i]], s->gpr[order[i]], i % 4 == 3 ? "\n" : "  ");
	cv_put_text(out, "rip %016" PRIx64, s->rip);
	cv_inspect_put_symbol(in, cv_inspect_rip(in), out);
	cv_put_text(out, "  %u-bit, CPL %u%s\nrflags %08" PRIx64 " ", cv_code_bits(s), cv_vcpu_cpl(s),
		    s->halted ? ", halted" : "", s->rflags);
	put_flags(s->rflags, out);
	cv_put_text(out,
		    "\ncr0 %016" PRIx64 "  cr2 %016" PRIx64 "  cr3 %016" PRIx64 "  cr4 %016" PRIx64 "\ncr8 %016" PRIx64
		    "  efer %" PRIx64 "  gs base in kernel %016" PRIx64 "\n",
		    s->cr0, s->cr2, s->cr3, s->cr4, in->cr8, s->efer, s->kernel_gs_base);
	put_segments(s, out);
}

/* --- Disassembly --- */

static bool open_capstone(const struct cv_inspect *in, csh *handle, cs_insn **insn)
{
	unsigned bits = cv_code_bits(&in->state);

	if (cs_open(CS_ARCH_X86, bits == 64 ? CS_MODE_64 : bits == 32 ? CS_MODE_32 : CS_MODE_16, handle) != CS_ERR_OK)
		return false;
	*insn = cs_malloc(*handle);
	if (!*insn)
		cs_close(handle);
	return *insn != NULL;
}

static void close_capstone(csh *handle, cs_insn *insn)
{
	cs_free(insn, 1);
	cs_close(handle);
}

/* The instruction at addr in *insn; false where memory or decoding ends. */
static bool decode(const struct cv_inspect *in, csh handle, uint64_t addr, cs_insn *insn)
{
	uint8_t code[INSN_MAX];
	const uint8_t *p = code;
	size_t n = in->read(in->ctx, addr, code, sizeof(code));

	return n && cs_disasm_iter(handle, &p, &n, &addr, insn);
}

/* Where a direct call or jump goes: " to <name>". */
static void put_target(const struct cv_inspect *in, const cs_insn *insn, struct cv_wbuf *out)
{
	uint64_t offset, addr;

	if ((insn->mnemonic[0] != 'j' && strncmp(insn->mnemonic, "call", 4)) || strncmp(insn->op_str, "0x", 2))
		return;
	addr = strtoull(insn->op_str, NULL, 16);
	if (!cv_symbols_lookup(in->symbols, addr - in->slide, &offset))
		return;
	cv_put_text(out, " to");
	cv_inspect_put_symbol(in, addr, out);
}

static void put_insn(const struct cv_inspect *in, const cs_insn *insn, struct cv_wbuf *out)
{
	char bytes[3 * INSN_MAX + 1] = "";

	for (unsigned i = 0; i < insn->size && i < INSN_MAX; i++) {
		static const char digits[] = "0123456789abcdef";

		bytes[3 * i] = digits[insn->bytes[i] >> 4];
		bytes[3 * i + 1] = digits[insn->bytes[i] & 15];
		bytes[3 * i + 2] = ' ';
		bytes[3 * i + 3] = '\0';
	}
	cv_put_text(out, "%s %016" PRIx64 "  %-24s %-7s ", insn->address == cv_inspect_rip(in) ? "=>" : "  ", insn->address,
		    bytes, insn->mnemonic);
	if (in->symbols)
		cv_put_text(out, "%-36s", insn->op_str);
	else
		cv_put_text(out, "%s", insn->op_str);
	cv_inspect_put_symbol(in, insn->address, out);
	put_target(in, insn, out);
	cv_put_u8(out, '\n');
}

static void disassemble(const struct cv_inspect *in, csh handle, cs_insn *insn, uint64_t addr, unsigned n,
			struct cv_wbuf *out)
{
	uint8_t byte;

	for (; n && decode(in, handle, addr, insn); n--) {
		put_insn(in, insn, out);
		addr += insn->size;
	}
	if (!n)
		return;
	if (in->read(in->ctx, addr, &byte, 1))
		cv_put_text(out, "%s %016" PRIx64 "  %02x  (no instruction)\n",
			    addr == cv_inspect_rip(in) ? "=>" : "  ", addr, byte);
	else
		cv_put_text(out, "%s %016" PRIx64 "  (not mapped)\n", addr == cv_inspect_rip(in) ? "=>" : "  ", addr);
}

void cv_inspect_put_disas(const struct cv_inspect *in, uint64_t addr, unsigned n, struct cv_wbuf *out)
{
	csh handle;
	cs_insn *insn;

	if (!open_capstone(in, &handle, &insn)) {
		cv_put_text(out, "(no disassembler)\n");
		return;
	}
	disassemble(in, handle, insn, addr, n, out);
	close_capstone(&handle, insn);
}

/* Where to start so that decoding falls into step with addr: the address of at most `before` instructions earlier. */
static uint64_t find_start(const struct cv_inspect *in, csh handle, cs_insn *insn, uint64_t addr, unsigned before)
{
	uint64_t ring[BEFORE_MAX];

	for (uint64_t back = (uint64_t)before * 8; back; back--) {
		uint64_t at = addr - back;
		unsigned count = 0;

		while (at < addr && decode(in, handle, at, insn)) {
			ring[count++ % before] = at;
			at += insn->size;
		}
		if (at == addr)
			return count < before ? ring[0] : ring[count % before];
	}
	return addr;
}

void cv_inspect_put_disas_around(const struct cv_inspect *in, uint64_t addr, unsigned before, unsigned after,
			     struct cv_wbuf *out)
{
	uint64_t start = addr;
	unsigned extra = 0;
	csh handle;
	cs_insn *insn;

	if (before > BEFORE_MAX)
		before = BEFORE_MAX;
	if (!open_capstone(in, &handle, &insn)) {
		cv_put_text(out, "(no disassembler)\n");
		return;
	}
	if (before && addr >= (uint64_t)before * 8)
		start = find_start(in, handle, insn, addr, before);
	for (uint64_t at = start; at < addr && decode(in, handle, at, insn); at += insn->size)
		extra++;
	disassemble(in, handle, insn, start, extra + after, out);
	close_capstone(&handle, insn);
}

/* --- For a machine, into a caller's buffer --- */

static void copy_text(struct cv_wbuf *w, char *text, size_t size)
{
	size_t n = w->err ? 0 : w->len;

	if (!size)
		return;
	if (n >= size) {
		n = size - 1;
		while (n && w->data[n - 1] != '\n')
			n--;
	}
	if (n)
		memcpy(text, w->data, n);
	text[n] = '\0';
	cv_wbuf_release(w);
}

static struct cv_inspect at_state(struct cv_machine *m, const struct cv_vcpu_state *s,
				  const struct cv_symbols *symbols)
{
	return (struct cv_inspect){ .state = *s, .cr8 = cr8_of(m), .read = read_machine, .ctx = m,
				    .symbols = symbols, .slide = cv_symbols_slide(symbols, s) };
}

void cv_inspect_regs(const struct cv_vcpu_state *s, const struct cv_symbols *symbols, char *text, size_t size)
{
	struct cv_inspect in = at_state(NULL, s, symbols);
	struct cv_wbuf w = { 0 };

	cv_inspect_put_regs(&in, &w);
	copy_text(&w, text, size);
}

void cv_inspect_disas_around(struct cv_machine *m, const struct cv_vcpu_state *s, unsigned before, unsigned after,
			     const struct cv_symbols *symbols, char *text, size_t size)
{
	struct cv_inspect in = at_state(m, s, symbols);
	struct cv_wbuf w = { 0 };

	cv_inspect_put_disas_around(&in, cv_inspect_rip(&in), before, after, &w);
	copy_text(&w, text, size);
}

void cv_inspect_backtrace(struct cv_machine *m, const struct cv_vcpu_state *s, const struct cv_symbols *symbols,
			  char *text, size_t size)
{
	struct cv_inspect in = at_state(m, s, symbols);
	struct cv_wbuf w = { 0 };

	cv_inspect_put_backtrace(&in, 32, &w);
	copy_text(&w, text, size);
}
