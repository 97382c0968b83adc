/* SPDX-License-Identifier: MIT */
/*
 * The engine's side: a small guest whose page tables map code and data where the child has them, and whose kernel half has
 * descriptor tables like Linux's. A case starts at CPL 3; an exception ends it in a handler's first instruction, with what
 * the CPU pushed as the outcome.
 *
 * The code pages are the guest's RAM itself, which the child maps, too: the same bytes for both.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/native/native.h"
#include "vmm-core/engine.h"
#include "vmm-core/soft/soft.h"
#include "vmm-core/x86/cpuid.h"

#define RAM (16ull << 20)
/* Guest-physical. */
enum { PML4 = 0x10000, PDPT_LOW = 0x11000, PD_LOW = 0x12000, PT_DATA = 0x13000, PT_CODE = 0x14000, PDPT_HIGH = 0x15000,
       PD_HIGH = 0x16000, IDT = 0x20000, GDT = 0x21000, TSS = 0x22000, STACK = 0x28000, HANDLERS = 0x30000,
       CODE_GPA = 0x200000, DATA_GPA = 0x300000 };
#define KERNEL 0xffff800000000000ull
enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_A = 0x20, PTE_D = 0x40, PTE_PS = 0x80, PTE_ALL = PTE_P | PTE_U | PTE_A | PTE_D };
#define PTE_NX (1ull << 63)

struct nat_guest {
	struct cv_memory mem;
	struct cv_bus bus;
	struct cv_cpuid_model model;
	struct cv_engine *engine;
	struct cv_vcpu_state base;
	bool avx;
};

static void put64(struct nat_guest *g, uint64_t gpa, uint64_t v)
{
	cv_memory_write(&g->mem, gpa, &v, 8);
}

static void make_page_tables(struct nat_guest *g)
{
	const uint64_t table = PTE_ALL | PTE_W;

	put64(g, PML4, PDPT_LOW | table);
	put64(g, PDPT_LOW, PD_LOW | table);
	put64(g, PD_LOW + (NAT_DATA >> 21) * 8, PT_DATA | table);
	put64(g, PD_LOW + (NAT_CODE >> 21) * 8, PT_CODE | table);
	for (unsigned k = 0; k < NAT_DATA_SIZE / NAT_PAGE; k++)
		put64(g, PT_DATA + 8 * k, (DATA_GPA + k * NAT_PAGE) | PTE_ALL | PTE_NX | (k * NAT_PAGE < NAT_RW_SIZE ? PTE_W : 0u));
	for (unsigned k = 0; k < NAT_CODE_SIZE / NAT_PAGE; k++)
		put64(g, PT_CODE + 8 * k, (CODE_GPA + k * NAT_PAGE) | PTE_ALL);
	put64(g, PML4 + 8 * 256, PDPT_HIGH | PTE_P | PTE_W | PTE_A);
	put64(g, PDPT_HIGH, PD_HIGH | PTE_P | PTE_W | PTE_A);
	for (unsigned k = 0; k < RAM >> 21; k++)
		put64(g, PD_HIGH + 8 * k, (uint64_t)k << 21 | PTE_P | PTE_W | PTE_A | PTE_D | PTE_PS);
}

/* As Linux: gates that a program may call are those of INT3 and INTO. */
static void make_idt(struct nat_guest *g)
{
	for (unsigned v = 0; v < 256; v++) {
		uint64_t h = KERNEL + HANDLERS + 16 * v, dpl = v == 3 || v == 4 ? 3 : 0;

		put64(g, IDT + 16 * v, (h & 0xffff) | 0x10u << 16 | (0x8e00ull | dpl << 13) << 32 | (h >> 16 & 0xffff) << 48);
		put64(g, IDT + 16 * v + 8, h >> 32);
	}
}

static void make_gdt(struct nat_guest *g)
{
	uint64_t tss = KERNEL + TSS;

	put64(g, GDT + 0x08, 0x00cf9b000000ffff); /* kernel code, 32 bits */
	put64(g, GDT + 0x10, 0x00af9b000000ffff);
	put64(g, GDT + 0x18, 0x00cf93000000ffff);
	put64(g, GDT + 0x20, 0x00cffb000000ffff); /* 23h: a program's code, 32 bits */
	put64(g, GDT + 0x28, 0x00cff3000000ffff); /* 2Bh: data */
	put64(g, GDT + 0x30, 0x00affb000000ffff); /* 33h: code, 64 bits */
	put64(g, GDT + 0x40, 0x0000890000000067 | (tss & 0xffffff) << 16 | (tss >> 24 & 0xff) << 56);
	put64(g, GDT + 0x48, tss >> 32);
	put64(g, TSS + 4, KERNEL + STACK);
	put64(g, TSS + 0x60, 0xffffull << 48); /* no I/O permission map */
}

static void make_state(struct nat_guest *g)
{
	struct cv_vcpu_state *s = &g->base;

	cv_vcpu_reset(s);
	s->cr0 = CV_CR0_PE | CV_CR0_MP | CV_CR0_ET | CV_CR0_NE | CV_CR0_WP | CV_CR0_AM | CV_CR0_PG;
	s->cr3 = PML4;
	s->cr4 = (CV_CR4_PAE | CV_CR4_PGE | CV_CR4_DE | CV_CR4_OSFXSR | CV_CR4_OSXMMEXCPT | CV_CR4_FSGSBASE | CV_CR4_OSXSAVE |
		  CV_CR4_UMIP) & g->model.cr4_mask;
	s->efer = CV_EFER_LME | CV_EFER_LMA | CV_EFER_NXE | CV_EFER_SCE;
	s->xcr0 = g->avx ? 7 : 3;
	s->gdtr = (struct cv_dtr){KERNEL + GDT, 0x7f};
	s->idtr = (struct cv_dtr){KERNEL + IDT, 0xfff};
	s->seg[CV_TR] = (struct cv_seg){.base = KERNEL + TSS, .limit = 0x67, .ar = CV_AR_P | 0xb, .sel = 0x40};
	s->seg[CV_LDTR] = (struct cv_seg){.ar = CV_AR_UNUSABLE};
}

struct nat_guest *nat_guest_new(const struct nat_host *h, uint64_t features)
{
	struct nat_guest *g = calloc(1, sizeof(*g));
	struct cv_engine_host host = {0};

	if (!g)
		return NULL;
	g->model = *cv_cpuid_model_find("chronovisor-v2");
	g->model.features = h->features & features;
	g->avx = g->model.features & CV_HAS(avx);
	g->model.xcr0_mask = g->avx ? 7 : 3;
	host.mem = &g->mem;
	host.bus = &g->bus;
	host.model = &g->model;
	if (cv_memory_init(&g->mem, RAM, NULL)) {
		free(g);
		return NULL;
	}
	make_page_tables(g);
	make_idt(g);
	make_gdt(g);
	cv_memory_write(&g->mem, DATA_GPA, nat_background(), NAT_DATA_SIZE);
	memset(g->mem.ram + CODE_GPA, NAT_FILL, NAT_CODE_SIZE);
	make_state(g);
	g->engine = cv_soft_new(&host, NULL);
	if (!g->engine) {
		nat_guest_free(g);
		return NULL;
	}
	g->engine->ops->set_state(g->engine, &g->base);
	return g;
}

void nat_guest_free(struct nat_guest *g)
{
	if (!g)
		return;
	if (g->engine)
		g->engine->ops->free(g->engine);
	cv_memory_release(&g->mem);
	free(g);
}

int nat_guest_code_fd(const struct nat_guest *g, uint64_t *offset)
{
	*offset = CODE_GPA;
	return g->mem.fd;
}

/* The jump behind the encoding. */
enum { JUMP = 5 };

static void code_changed(struct nat_guest *g, uint64_t from, uint64_t n)
{
	for (uint64_t p = from & ~(uint64_t)(NAT_PAGE - 1); p < from + n; p += NAT_PAGE)
		g->engine->ops->ram_written(g->engine, (uint32_t)(p >> 12), 0, NAT_PAGE);
}

void nat_guest_put_code(struct nat_guest *g, const struct nat_encoding *e)
{
	uint8_t bytes[NAT_CODE_MAX + JUMP];
	uint64_t gpa = e->rip - NAT_CODE + CODE_GPA;
	uint32_t jump = (uint32_t)((e->mode == 32 ? NAT_LANDING32 : NAT_LANDING) - (e->rip + e->len + JUMP));
	unsigned n = e->len + JUMP, room = (unsigned)(NAT_CODE_END - e->rip);

	memcpy(bytes, e->code, e->len);
	bytes[e->len] = 0xe9;
	memcpy(bytes + e->len + 1, &jump, 4);
	n = n < room ? n : room;
	memcpy(g->mem.ram + gpa, bytes, n);
	code_changed(g, gpa, n);
}

void nat_guest_remove_code(struct nat_guest *g, const struct nat_encoding *e)
{
	uint64_t gpa = e->rip - NAT_CODE + CODE_GPA;
	unsigned n = e->len + JUMP, room = (unsigned)(NAT_CODE_END - e->rip);

	memset(g->mem.ram + gpa, NAT_FILL, n < room ? n : room);
}

/* --- States --- */

static void set_segments(struct cv_vcpu_state *s, const struct nat_state *in, unsigned mode)
{
	const struct cv_seg data = {.limit = UINT32_MAX, .ar = 0xc0f3, .sel = 0x2b}, none = {.ar = CV_AR_UNUSABLE};

	s->seg[CV_CS] = (struct cv_seg){.limit = UINT32_MAX, .ar = mode == 64 ? 0xa0fb : 0xc0fb, .sel = mode == 64 ? 0x33 : 0x23};
	s->seg[CV_SS] = data;
	for (unsigned k = CV_ES; k <= CV_GS; k++)
		if (k != CV_CS && k != CV_SS)
			s->seg[k] = in->sel[k] == 0x2b ? data : none;
	if (mode == 64) {
		s->seg[CV_FS].base = in->fsbase;
		s->seg[CV_GS].base = in->gsbase;
	}
}

static void state_from(struct nat_guest *g, struct cv_vcpu_state *s, const struct nat_state *in, unsigned mode)
{
	unsigned top;
	uint8_t bv = g->avx ? in->x[XS_HEADER] : 7;

	*s = g->base;
	memcpy(s->gpr, in->gpr, sizeof(s->gpr));
	s->rip = in->rip;
	s->rflags = in->rflags;
	set_segments(s, in, mode);
	memcpy(&s->mxcsr, in->x + XS_MXCSR, 4);
	if (bv & 1) {
		memcpy(&s->x87.fcw, in->x + XS_FCW, 2);
		memcpy(&s->x87.fsw, in->x + XS_FSW, 2);
		s->x87.ftw = in->x[XS_FTW];
		memcpy(&s->x87.fop, in->x + XS_FOP, 2);
		memcpy(&s->x87.fip, in->x + XS_FIP, 8);
		memcpy(&s->x87.fdp, in->x + XS_FDP, 8);
		top = s->x87.fsw >> 11 & 7;
		for (unsigned k = 0; k < 8; k++) {
			memcpy(&s->x87.mant[(top + k) & 7], in->x + XS_ST + 16 * k, 8);
			memcpy(&s->x87.se[(top + k) & 7], in->x + XS_ST + 16 * k + 8, 2);
		}
	} else {
		soft_fninit(&s->x87);
	}
	for (unsigned k = 0; k < 16; k++) {
		if (bv & 2)
			memcpy(s->ymm[k], in->x + XS_XMM + 16 * k, 16);
		if (g->avx && bv & 4)
			memcpy(s->ymm[k] + 2, in->x + XS_YMM + 16 * k, 16);
	}
}

static void state_to(const struct nat_guest *g, struct nat_state *out, const struct cv_vcpu_state *s)
{
	unsigned top = s->x87.fsw >> 11 & 7;

	memset(out->x, 0, g->avx ? XS_SIZE : XS_HEADER);
	memcpy(out->x + XS_FCW, &s->x87.fcw, 2);
	memcpy(out->x + XS_FSW, &s->x87.fsw, 2);
	out->x[XS_FTW] = s->x87.ftw;
	memcpy(out->x + XS_FOP, &s->x87.fop, 2);
	memcpy(out->x + XS_FIP, &s->x87.fip, 8);
	memcpy(out->x + XS_FDP, &s->x87.fdp, 8);
	memcpy(out->x + XS_MXCSR, &s->mxcsr, 4);
	for (unsigned k = 0; k < 8; k++) {
		memcpy(out->x + XS_ST + 16 * k, &s->x87.mant[(top + k) & 7], 8);
		memcpy(out->x + XS_ST + 16 * k + 8, &s->x87.se[(top + k) & 7], 2);
	}
	for (unsigned k = 0; k < 16; k++) {
		memcpy(out->x + XS_XMM + 16 * k, s->ymm[k], 16);
		if (g->avx)
			memcpy(out->x + XS_YMM + 16 * k, s->ymm[k] + 2, 16);
	}
	memcpy(out->gpr, s->gpr, sizeof(out->gpr));
	out->rip = s->rip;
	out->rflags = s->rflags;
	out->fsbase = s->seg[CV_FS].base;
	out->gsbase = s->seg[CV_GS].base;
	for (unsigned k = CV_ES; k <= CV_GS; k++)
		out->sel[k] = s->seg[k].sel;
	out->vector = -1;
	out->error = 0;
	out->cr2 = 0;
}

static bool has_error_code(int vector)
{
	return vector == EXC_DF || (vector >= EXC_TS && vector <= EXC_PF) || vector == EXC_AC;
}

/* What the CPU pushed, where an exception was delivered. */
static void outcome_of_delivery(struct nat_guest *g, struct nat_state *out, const struct cv_vcpu_state *s)
{
	uint64_t frame[6] = {0};
	unsigned k = 0;

	out->vector = (int)(s->rip - KERNEL - HANDLERS) / 16;
	cv_memory_read(&g->mem, s->gpr[CV_RSP] - KERNEL, frame, sizeof(frame));
	if (has_error_code(out->vector))
		out->error = (uint32_t)frame[k++];
	if (out->vector == EXC_PF)
		out->cr2 = s->cr2;
	out->rip = frame[k];
	out->sel[CV_CS] = (uint16_t)frame[k + 1];
	out->rflags = frame[k + 2];
	out->gpr[CV_RSP] = frame[k + 3];
	out->sel[CV_SS] = (uint16_t)frame[k + 4];
}

static bool delivered(const struct cv_vcpu_state *s)
{
	return s->rip >= KERNEL + HANDLERS && s->rip < KERNEL + HANDLERS + 256 * 16;
}

static bool at_end(const struct nat_encoding *e, uint64_t rip)
{
	return rip == e->rip + e->len || rip == (e->mode == 64 ? NAT_LANDING : NAT_LANDING32);
}

void nat_guest_run(struct nat_guest *g, const struct nat_encoding *e, const struct nat_case *c, struct nat_state *out,
		   const uint8_t **mem)
{
	struct cv_stop stop = {.insns = e->n, .stop_at_delivery = true};
	struct cv_vcpu_state s;
	struct cv_exit exit;

	state_from(g, &s, &c->in, e->mode);
	nat_fill_window(g->mem.ram + DATA_GPA, c);
	soft_restate(g->engine, &s);
	*mem = g->mem.ram + DATA_GPA;
	/* After a branch: on to where it leads, which is INT3 or isn't mapped, or to the end. */
	for (unsigned k = 0; k <= NAT_INSNS; k++, stop.insns = UINT64_MAX, stop.step = true) {
		g->engine->ops->run(g->engine, &stop, &exit, NULL);
		if (exit.kind != CV_EXIT_POSITION)
			break;
		g->engine->ops->get_state(g->engine, &s);
		if (delivered(&s) || at_end(e, s.rip))
			break;
	}
	state_to(g, out, &s);
	if (exit.kind != CV_EXIT_POSITION)
		out->vector = NAT_LOST;
	else if (delivered(&s))
		outcome_of_delivery(g, out, &s);
	if (at_end(e, out->rip) && (out->vector < 0 || (out->vector == EXC_PF && out->cr2 == out->rip))) {
		out->vector = -1;
		out->rip = NAT_LANDING;
		out->error = 0;
		out->cr2 = 0;
	}
}
