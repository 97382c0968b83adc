/* SPDX-License-Identifier: MIT */
/* Shows a case on which host and engine disagree: what differs, from what it started, and how to run it again. */
#include <capstone/capstone.h>
#include <stdio.h>

#include "tests/native/native.h"

typedef unsigned long long ull;

static void show_text(const struct nat_encoding *e)
{
	csh cs;
	cs_insn *insn;
	size_t n;

	if (cs_open(CS_ARCH_X86, e->mode == 64 ? CS_MODE_64 : CS_MODE_32, &cs) != CS_ERR_OK)
		return;
	n = cs_disasm(cs, e->code, e->len, e->rip, 0, &insn);
	for (size_t k = 0; k < n; k++)
		printf("    %-8s %s\n", insn[k].mnemonic, insn[k].op_str);
	if (n)
		cs_free(insn, n);
	cs_close(&cs);
}

void nat_show_code(const struct nat_encoding *e)
{
	printf("  bytes at %llx:", (ull)e->rip);
	for (unsigned k = 0; k < e->len; k++)
		printf(" %02x", e->code[k]);
	printf("%s, our decoder:", e->edge ? " (nothing is mapped behind the page)" : "");
	for (unsigned k = 0; k < e->n; k++)
		printf(" %s", cv_op_name((enum cv_op)e->insn[k].op));
	printf("\n");
	show_text(e);
}

static void line(const char *name, ull in, ull native, ull engine, ull mask)
{
	if ((native ^ engine) & mask)
		printf("  %-8s in %016llx  CPU %016llx  engine %016llx  <<<\n", name, in, native, engine);
}

static uint64_t word(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	memcpy(&v, p, n);
	return v;
}

static void show_registers(const struct nat_state *in, const struct nat_state *a, const struct nat_state *b)
{
	static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};
	static const char *const segments[] = {"es", "cs", "ss", "ds", "fs", "gs"};

	for (unsigned k = 0; k < 16; k++)
		line(names[k], in->gpr[k], a->gpr[k], b->gpr[k], UINT64_MAX);
	line("rflags", in->rflags, a->rflags, b->rflags, UINT64_MAX);
	for (unsigned k = 0; k < 6; k++)
		line(segments[k], in->sel[k], a->sel[k], b->sel[k], UINT64_MAX);
	line("fsbase", in->fsbase, a->fsbase, b->fsbase, UINT64_MAX);
	line("gsbase", in->gsbase, a->gsbase, b->gsbase, UINT64_MAX);
}

static void show_floating(const struct nat_state *in, const struct nat_state *a, const struct nat_state *b)
{
	static const struct {
		const char *name;
		unsigned at, n;
	} words[] = {{"fcw", XS_FCW, 2}, {"fsw", XS_FSW, 2}, {"ftw", XS_FTW, 1}, {"fop", XS_FOP, 2}, {"fip", XS_FIP, 8},
		     {"fdp", XS_FDP, 8}, {"mxcsr", XS_MXCSR, 4}};
	char name[32];

	for (unsigned k = 0; k < sizeof(words) / sizeof(words[0]); k++)
		line(words[k].name, word(in->x + words[k].at, words[k].n), word(a->x + words[k].at, words[k].n),
		     word(b->x + words[k].at, words[k].n), UINT64_MAX);
	for (unsigned k = 0; k < 8; k++) {
		unsigned at = XS_ST + 16 * k;

		snprintf(name, sizeof(name), "st%u", k);
		line(name, word(in->x + at, 8), word(a->x + at, 8), word(b->x + at, 8), UINT64_MAX);
		snprintf(name, sizeof(name), "st%u s/e", k);
		line(name, word(in->x + at + 8, 2), word(a->x + at + 8, 2), word(b->x + at + 8, 2), UINT64_MAX);
	}
	for (unsigned k = 0; k < 64; k++) {
		unsigned at = (k & 3) < 2 ? XS_XMM + 16 * (k >> 2) + 8 * (k & 1) : XS_YMM + 16 * (k >> 2) + 8 * (k & 1);

		snprintf(name, sizeof(name), "ymm%u[%u]", k >> 2, k & 3);
		line(name, word(in->x + at, 8), word(a->x + at, 8), word(b->x + at, 8), UINT64_MAX);
	}
}

static void show_memory(const struct nat_case *c, const uint8_t *a, const uint8_t *b)
{
	static uint8_t before[NAT_DATA_SIZE];
	unsigned shown = 0;

	nat_fill_window(before, c);
	for (unsigned at = 0; at < NAT_RW_SIZE && shown < 12; at += 8) {
		if (!memcmp(a + at, b + at, 8))
			continue;
		printf("  [%llx] in %016llx  CPU %016llx  engine %016llx  <<<\n", (ull)(NAT_DATA + at), (ull)word(before + at, 8),
		       (ull)word(a + at, 8), (ull)word(b + at, 8));
		shown++;
	}
}

/* What goes into the instruction: all general registers, the vector registers that ModRM and VEX name. */
static void show_input(const struct nat_encoding *e, const struct nat_case *c)
{
	printf("  in:");
	for (unsigned k = 0; k < 16; k++)
		printf("%s r%u=%llx", k == 8 ? "\n     " : "", k, (ull)c->in.gpr[k]);
	printf("\n      rflags=%llx fcw=%llx fsw=%llx ftw=%llx mxcsr=%llx\n", (ull)c->in.rflags, (ull)word(c->in.x, 2),
	       (ull)word(c->in.x + 2, 2), (ull)c->in.x[XS_FTW], (ull)word(c->in.x + XS_MXCSR, 4));
	for (unsigned k = 0; k < 3; k++)
		printf("      st%u=%04llx:%016llx", k, (ull)word(c->in.x + XS_ST + 16 * k + 8, 2), (ull)word(c->in.x + XS_ST + 16 * k, 8));
	printf("\n");
	for (unsigned k = 0; k < 16; k++) {
		bool named = false;

		for (unsigned j = 0; j < e->n; j++)
			named |= e->insn[j].reg == k || (e->insn[j].mod == 3 && e->insn[j].rm == k);
		if (named || e->insn[0].rex)
			printf("      xmm%u=%016llx:%016llx:%016llx:%016llx\n", k, (ull)word(c->in.x + XS_YMM + 16 * k + 8, 8),
			       (ull)word(c->in.x + XS_YMM + 16 * k, 8), (ull)word(c->in.x + XS_XMM + 16 * k + 8, 8),
			       (ull)word(c->in.x + XS_XMM + 16 * k, 8));
	}
	for (unsigned k = 0; k < c->npatches; k++) {
		printf("      [%llx]", (ull)(NAT_DATA + c->patch[k].off));
		for (unsigned j = 0; j < c->patch[k].len && j < 48; j++)
			printf(" %02x", c->pool[c->patch[k].from + j]);
		printf("\n");
	}
}

void nat_report(const struct nat_options *o, const struct nat_encoding *e, const struct nat_case *c, unsigned set,
		const struct nat_state *native, const struct nat_state *engine, const uint8_t *native_mem,
		const uint8_t *engine_mem)
{
	ull number = e->number * NAT_SETS + set;

	printf("MISMATCH %s, case %llu (%u bits)\n", cv_op_name((enum cv_op)e->insn[e->n - 1].op), number, e->mode);
	nat_show_code(e);
	printf("  %s vector %d error %x address %llx at %llx\n", "CPU:   ", native->vector, native->error, (ull)native->cr2,
	       (ull)native->rip);
	printf("  %s vector %d error %x address %llx at %llx\n", "engine:", engine->vector, engine->error, (ull)engine->cr2,
	       (ull)engine->rip);
	show_registers(&c->in, native, engine);
	show_floating(&c->in, native, engine);
	show_memory(c, native_mem, engine_mem);
	if (o->verbose)
		show_input(e, c);
	printf("  again: native --seed %llu --mode %u --first %llu --cases 1 --verbose\n", (ull)o->seed, e->mode, number);
	fflush(stdout);
}
