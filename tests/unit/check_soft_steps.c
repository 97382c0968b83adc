/* SPDX-License-Identifier: MIT */
/*
 * The software engine where positions count steps (vmm-core/position.h): an instruction, each further iteration of a REP, each
 * exception delivered. One row is a guest program and the number of its steps, counted by hand; every count of each is a
 * stop, and the state there depends neither on the knobs nor on how the run was cut up.
 *
 * Registers in the programs: R13 counts #DB, whose handler sets RF in the flags that it returns to; R14 is RCX where the last interrupt came, R15 counts interrupts.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "vmm-core/engine.h"
#include "vmm-core/x86/cpuid.h"

#define RAM (16ull << 20)
#define TABLES 0x10000ull
#define IDT 0x20000ull
#define GDT 0x21000ull
#define STACK 0x30000ull
#define CODE 0x100000ull
#define DATA 0x200000ull
#define DATA_SIZE 0x4000ull
#define HOLE 0x600000ull /* mapped by 4 KiB; the second page is absent until #PF's handler puts it there */
#define MMIO 0x40000000ull

extern const uint8_t programs[], programs_end[], on_de[], on_db[], on_bp[], on_ud[], on_df[], on_np[], on_pf[], on_irq[], on_soft[],
	on_nmi[];
extern const uint8_t p_zero[], p_one[], p_movs[], p_stos[], p_scas[], p_cmps[], p_lods[], p_io[], p_irq_outs[], p_irq_mmio[],
	p_shadow[], p_fault[], p_cmps_fault[], p_exceptions[], p_trap[], p_data_break[], p_code_break[], p_code_break_rep[], p_double[],
	p_irq_faults[], p_address[], p_gather[], p_loop[];
__asm__(".section .rodata\n"
	"programs:\n"
	"on_de: on_ud:\n"
	"	addq $2, (%rsp)\n"
	"	iretq\n"
	"on_db:\n"
	"	inc %r13\n"
	"	orq $0x10000, 16(%rsp)\n"
	"	iretq\n"
	"on_bp: on_soft: on_nmi:\n"
	"	iretq\n"
	"on_df:\n" /* skips LTR */
	"	add $8, %rsp\n"
	"	addq $3, (%rsp)\n"
	"	iretq\n"
	"on_np:\n"
	"	add $8, %rsp\n"
	"	iretq\n"
	"on_pf:\n"
	"	add $8, %rsp\n"
	"	movq $0x601003, 0x14008\n"
	"	iretq\n"
	"on_irq:\n"
	"	mov %rcx, %r14\n"
	"	inc %r15\n"
	"	iretq\n"

	"p_zero:\n"
	"	xor %ecx, %ecx\n"
	"	rep movsb\n"
	"	rep stosl\n"
	"	rep lodsq\n"
	"	repe cmpsb\n"
	"	repne scasw\n"
	"	rep insb\n"
	"	rep outsb\n"
	"	hlt\n"

	"p_one:\n"
	"	mov $0x200000, %esi\n"
	"	mov $0x201000, %edi\n"
	"	mov $0x80, %edx\n"
	"	mov $1, %ecx\n"
	"	rep movsb\n"
	"	inc %ecx\n"
	"	rep stosl\n"
	"	inc %ecx\n"
	"	rep lodsq\n"
	"	inc %ecx\n"
	"	repe cmpsb\n"
	"	inc %ecx\n"
	"	repne scasw\n"
	"	inc %ecx\n"
	"	rep insb\n"
	"	inc %ecx\n"
	"	rep outsb\n"
	"	hlt\n"

	"p_movs:\n" /* over page edges, overlapping */
	"	mov $0x200f00, %esi\n"
	"	mov $0x200f08, %edi\n"
	"	mov $600, %ecx\n"
	"	rep movsl\n"
	"	movsb\n"
	"	hlt\n"

	"p_stos:\n"
	"	std\n"
	"	mov $0x201020, %edi\n"
	"	mov $0xa5, %eax\n"
	"	mov $100, %ecx\n"
	"	rep stosb\n"
	"	cld\n"
	"	mov $0x200ffd, %edi\n" /* an element in two pages */
	"	mov $4, %ecx\n"
	"	rep stosq\n"
	"	hlt\n"

	"p_scas:\n"
	"	movb $0x77, 0x20012c\n" /* the 301st */
	"	mov $0x200000, %edi\n"
	"	mov $1000, %ecx\n"
	"	mov $0x77, %al\n"
	"	repne scasb\n"
	"	sete %bl\n"
	"	hlt\n"

	"p_cmps:\n"
	"	movb $0x77, 0x20012c\n"
	"	mov $0x200000, %edi\n"
	"	mov $0x202f80, %esi\n"
	"	mov $1000, %ecx\n"
	"	repe cmpsb\n"
	"	setb %bl\n"
	"	hlt\n"

	"p_lods:\n"
	"	mov $0x200ff0, %esi\n"
	"	mov $70, %ecx\n"
	"	rep lodsq\n"
	"	hlt\n"

	"p_io:\n"
	"	mov $0x80, %edx\n"
	"	mov $0x200ff8, %edi\n"
	"	mov $5, %ecx\n"
	"	rep insl\n"
	"	mov $0x200ff8, %esi\n"
	"	mov $7, %ecx\n"
	"	rep outsb\n"
	"	in %dx, %al\n"
	"	hlt\n"

	"p_irq_outs:\n" /* an interrupt after each third write */
	"	sti\n"
	"	mov $0x80, %edx\n"
	"	mov $0x200000, %esi\n"
	"	mov $7, %ecx\n"
	"	rep outsb\n"
	"	cli\n"
	"	hlt\n"

	"p_irq_mmio:\n"
	"	sti\n"
	"	mov $0x40000000, %edi\n"
	"	mov $7, %ecx\n"
	"	rep stosl\n"
	"	cli\n"
	"	hlt\n"

	"p_shadow:\n" /* STI's shadow is over after the first iteration */
	"	mov $0x80, %edx\n"
	"	out %al, %dx\n"
	"	out %al, %dx\n"
	"	out %al, %dx\n"
	"	mov $0x200000, %edi\n"
	"	mov $5, %ecx\n"
	"	sti\n"
	"	rep stosb\n"
	"	cli\n"
	"	hlt\n"

	"p_fault:\n" /* 16 iterations, #PF, 48 */
	"	mov $0x600ff0, %edi\n"
	"	mov $64, %ecx\n"
	"	rep stosb\n"
	"	hlt\n"

	"p_cmps_fault:\n"
	"	mov $0x600ff0, %edi\n"
	"	mov $0x200000, %esi\n"
	"	mov $64, %ecx\n"
	"	stc\n"
	"	repe cmpsb\n"
	"	hlt\n"

	"p_exceptions:\n"
	"	xor %ecx, %ecx\n"
	"	div %ecx\n"
	"	ud2\n"
	"	int $0x41\n"
	"	int3\n"
	"	hlt\n"

	"p_trap:\n"
	"	pushfq\n"
	"	orq $0x100, (%rsp)\n"
	"	popfq\n"
	"	mov $0x200000, %edi\n"
	"	mov $3, %ecx\n"
	"	rep stosb\n"
	"	pushfq\n"
	"	andq $~0x100, (%rsp)\n"
	"	popfq\n"
	"	hlt\n"

	"p_data_break:\n" /* a trap after the sixth */
	"	mov $0x200005, %eax\n"
	"	mov %rax, %dr0\n"
	"	mov $0x10003, %eax\n"
	"	mov %rax, %dr7\n"
	"	mov $0x200000, %edi\n"
	"	mov $10, %ecx\n"
	"	rep stosb\n"
	"	xor %eax, %eax\n"
	"	mov %rax, %dr7\n"
	"	hlt\n"

	"p_code_break:\n" /* a fault before each iteration, which RF lets pass */
	"	lea p_code_break_rep(%rip), %rax\n"
	"	mov %rax, %dr0\n"
	"	mov $3, %eax\n"
	"	mov %rax, %dr7\n"
	"	mov $0x200000, %edi\n"
	"	mov $3, %ecx\n"
	"p_code_break_rep:\n"
	"	rep stosb\n"
	"	xor %eax, %eax\n"
	"	mov %rax, %dr7\n"
	"	hlt\n"

	"p_double:\n" /* #GP, whose gate is none: #DF */
	"	mov $0xfff8, %eax\n"
	"	ltr %ax\n"
	"	hlt\n"

	"p_irq_faults:\n" /* an interrupt whose gate is absent: #NP */
	"	mov $0x81, %edx\n"
	"	mov $0x42, %al\n"
	"	out %al, %dx\n"
	"	dec %edx\n"
	"	out %al, %dx\n"
	"	out %al, %dx\n"
	"	out %al, %dx\n"
	"	sti\n"
	"	nop\n"
	"	cli\n"
	"	hlt\n"

	"p_address:\n" /* counted in ECX */
	"	mov $0x1200000, %rdi\n"
	"	movabs $0x500000003, %rcx\n"
	"	mov $0x200000, %edi\n"
	"	addr32 rep stosb\n"
	"	hlt\n"

	"p_gather:\n" /* the first element trips a data breakpoint, the second faults: the trap comes first; then the others trip it */
	"	mov $0x600000, %eax\n"
	"	mov %rax, %dr0\n"
	"	mov $0xf0003, %eax\n" /* reads and writes, 4 bytes */
	"	mov %rax, %dr7\n"
	"	vpcmpeqd %xmm1, %xmm1, %xmm1\n"
	"	vpxor %xmm2, %xmm2, %xmm2\n"
	"	mov $0x1000, %ecx\n"
	"	vpinsrd $1, %ecx, %xmm2, %xmm2\n"
	"	vpgatherdd %xmm1, 0x600000(,%xmm2,1), %xmm3\n"
	"	xor %eax, %eax\n"
	"	mov %rax, %dr7\n"
	"	hlt\n"

	"p_loop:\n"
	"	mov $5, %ecx\n"
	"1:	mov $0x200000, %edi\n"
	"	mov %ecx, %ebx\n"
	"	rep stosb\n"
	"	mov %ebx, %ecx\n"
	"	loop 1b\n"
	"	jecxz 2f\n"
	"	ud2\n"
	"2:	hlt\n"
	"programs_end:\n"
	".text\n");

/* Steps from the beginning to HLT, with it. differs: the unit shows in what the guest sees. */
static const struct program {
	const char *name;
	const uint8_t *code;
	uint64_t steps, interrupts;
	bool differs;
} table[] = {
	{"count of 0", p_zero, 1 + 7 + 1, 0, false},
	{"count of 1", p_one, 3 + 7 * 2 + 1, 0, false},
	{"MOVS", p_movs, 3 + 600 + 1 + 1, 0, false},
	{"STOS", p_stos, 4 + 100 + 3 + 4 + 1, 0, false},
	{"SCAS", p_scas, 4 + 301 + 2, 0, false},
	{"CMPS", p_cmps, 4 + 301 + 2, 0, false},
	{"LODS", p_lods, 2 + 70 + 1, 0, false},
	{"INS and OUTS", p_io, 3 + 5 + 2 + 7 + 1 + 1, 0, false},
	{"interrupts in OUTS", p_irq_outs, 4 + 7 + 2 * 3 + 2, 2, true},
	{"interrupts in STOS to a device", p_irq_mmio, 3 + 7 + 2 * 3 + 2, 2, true},
	{"interrupt after a shadow", p_shadow, 7 + 5 + 3 + 2, 1, true},
	{"#PF in STOS", p_fault, 2 + 16 + (1 + 3) + 48 + 1, 0, false},
	{"#PF in CMPS", p_cmps_fault, 4 + 16 + (1 + 3) + 48 + 1, 0, false},
	{"#DE, #UD, INT n, INT3", p_exceptions, 1 + (1 + 2) + (1 + 2) + 2 + 2 + 1, 0, false},
	{"TF", p_trap, 3 + 2 * 5 + 3 * 5 + 3 * 5 + 1, 0, false},
	{"data breakpoint", p_data_break, 6 + 10 + (1 + 3) + 3, 0, false},
	{"breakpoint on a REP", p_code_break, 6 + 3 * ((1 + 3) + 1) + 3, 0, true},
	{"#DF", p_double, 1 + (1 + 3) + 1, 0, false},
	{"interrupt becomes #NP", p_irq_faults, 9 + (1 + 2) + 2, 0, false},
	{"32-bit count", p_address, 3 + 3 + 1, 0, false},
	{"gather", p_gather, 8 + (1 + 3) + (1 + 3) + 1 + (1 + 3) + 3, 0, false},
	{"loop", p_loop, 1 + 5 * 4 + (5 + 4 + 3 + 2 + 1) + 1 + 1, 0, false},
};
enum { PROGRAMS = sizeof(table) / sizeof(table[0]) };

struct guest {
	struct cv_memory mem;
	struct cv_bus bus;
	struct cv_engine *e;
	unsigned reads, writes, vector, delivered;
	bool irq;
};

static uint64_t port_read(void *dev, uint64_t offset, unsigned size)
{
	struct guest *g = dev;

	(void)offset;
	(void)size;
	return 0x11u * ++g->reads;
}

static void port_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct guest *g = dev;

	(void)size;
	if (offset == 1) {
		g->vector = (unsigned)value;
		return;
	}
	if (++g->writes % 3 == 0)
		g->irq = true;
}

static void mmio_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	(void)offset;
	port_write(dev, 0, size, value);
}

static const struct cv_io_ops port_ops = {port_read, port_write, 4}, mmio_ops = {port_read, mmio_write, 4};

static bool irq_pending(void *dev)
{
	return ((struct guest *)dev)->irq;
}

static int irq_acknowledge(void *dev)
{
	struct guest *g = dev;

	g->irq = false;
	return (int)g->vector;
}

static const struct cv_irqchip_ops irqchip = {.pending = irq_pending, .acknowledge = irq_acknowledge};

static void delivered(void *ctx, unsigned vector)
{
	struct guest *g = ctx;

	(void)vector;
	g->delivered++;
}

static void ram_written(void *ctx, uint32_t page, uint32_t offset, uint32_t len)
{
	struct guest *g = ctx;

	g->e->ops->ram_written(g->e, page, offset, len);
}

static void put64(struct guest *g, uint64_t gpa, uint64_t v)
{
	ck_assert_uint_eq(cv_memory_write(&g->mem, gpa, &v, 8), 8);
}

static uint64_t at(const uint8_t *label)
{
	return CODE + (uint64_t)(label - programs);
}

static void put_gate(struct guest *g, unsigned vector, const uint8_t *handler, bool present)
{
	uint64_t h = at(handler);

	put64(g, IDT + 16 * vector, (h & 0xffff) | 8 << 16 | (present ? 0x8eull : 0x0e) << 40 | (h >> 16 & 0xffff) << 48);
	put64(g, IDT + 16 * vector + 8, h >> 32);
}

static void tables(struct guest *g)
{
	put64(g, TABLES, (TABLES + 0x1000) | 3);
	put64(g, TABLES + 0x1000, (TABLES + 0x2000) | 3);
	put64(g, TABLES + 0x1008, (TABLES + 0x3000) | 3);
	for (uint64_t k = 0; k < RAM >> 21; k++)
		put64(g, TABLES + 0x2000 + k * 8, k << 21 | 0x83);
	put64(g, TABLES + 0x2000 + 3 * 8, (TABLES + 0x4000) | 3);
	put64(g, TABLES + 0x3000, MMIO | 0x83);
	put64(g, TABLES + 0x4000, HOLE | 3);
	put64(g, TABLES + 0x4008, 0);
	put64(g, GDT + 8, 0x00af9b000000ffff);
	put64(g, GDT + 16, 0x00cf93000000ffff);
	put_gate(g, 0, on_de, true);
	put_gate(g, 1, on_db, true);
	put_gate(g, 2, on_nmi, true);
	put_gate(g, 3, on_bp, true);
	put_gate(g, 6, on_ud, true);
	put_gate(g, 8, on_df, true);
	put_gate(g, 11, on_np, true);
	put_gate(g, 14, on_pf, true);
	put_gate(g, 0x40, on_irq, true);
	put_gate(g, 0x41, on_soft, true);
	put_gate(g, 0x42, on_irq, false);
}

/* The program from its beginning, in a machine as new. */
static void load(struct guest *g, const struct program *p)
{
	struct cv_vcpu_state s;

	for (uint64_t page = 0; page < RAM >> 12; page++)
		if (g->mem.flags[page] & CV_PAGE_DIRTY)
			memset(g->mem.ram + (page << 12), 0, 4096);
	tables(g);
	cv_memory_write(&g->mem, CODE, programs, (size_t)(programs_end - programs));
	g->reads = g->writes = g->delivered = 0;
	g->vector = 0x40;
	g->irq = false;
	cv_vcpu_reset(&s);
	s.cr0 = CV_CR0_PE | CV_CR0_PG | CV_CR0_ET | CV_CR0_WP | CV_CR0_MP;
	s.cr3 = TABLES;
	s.cr4 = CV_CR4_PAE | CV_CR4_OSFXSR | CV_CR4_OSXSAVE;
	s.xcr0 = 7;
	s.efer = CV_EFER_LME | CV_EFER_LMA;
	s.idtr.base = IDT;
	s.idtr.limit = 0xfff;
	s.gdtr.base = GDT;
	s.gdtr.limit = 0x1f;
	s.seg[CV_CS] = (struct cv_seg){.limit = UINT32_MAX, .ar = 0xa09b, .sel = 8};
	for (unsigned k = CV_ES; k <= CV_GS; k++)
		if (k != CV_CS)
			s.seg[k] = (struct cv_seg){.limit = UINT32_MAX, .ar = 0xc093, .sel = 16};
	memset(s.gpr, 0, sizeof(s.gpr));
	s.gpr[CV_RSP] = STACK;
	s.rip = at(p->code);
	g->e->ops->set_state(g->e, &s);
}

static void start(struct guest *g, enum cv_count_unit unit, const struct cv_soft_knobs *knobs)
{
	struct cv_engine_host host = {.mem = &g->mem, .bus = &g->bus, .irqchip = &irqchip, .irqchip_dev = g, .ctx = g,
				      .delivered = delivered, .unit = unit, .model = cv_cpuid_model_find("chronovisor-v3")};
	struct cv_error err = {0};

	memset(g, 0, sizeof(*g));
	ck_assert_int_eq(cv_memory_init(&g->mem, RAM, &err), 0);
	cv_bus_add_mmio(&g->bus, MMIO, 0x1000, &mmio_ops, g);
	cv_bus_add_pio(&g->bus, 0x80, 2, &port_ops, g);
	g->e = cv_soft_new(&host, &err);
	ck_assert_ptr_nonnull(g->e);
	if (knobs)
		cv_soft_set_knobs(g->e, knobs);
	g->mem.written = ram_written;
	g->mem.written_ctx = g;
}

static void stop(struct guest *g)
{
	g->e->ops->free(g->e);
	cv_memory_release(&g->mem);
}

static enum cv_exit_kind run(struct guest *g, const struct cv_stop *s, struct cv_exit *x)
{
	struct cv_exit exit;
	struct cv_error err = {0};

	ck_assert_int_eq(g->e->ops->run(g->e, s, &exit, &err), 0);
	if (x)
		*x = exit;
	return exit.kind;
}

static enum cv_exit_kind run_to(struct guest *g, uint64_t steps)
{
	return run(g, &(struct cv_stop){.insns = steps}, NULL);
}

static void state(struct guest *g, struct cv_vcpu_state *s)
{
	g->e->ops->get_state(g->e, s);
	ck_assert_uint_eq(s->pos.branches, 0);
	ck_assert_uint_eq(s->pos.rcx, 0);
	ck_assert(!s->pos.in_rep);
}

static uint64_t fnv(uint64_t h, const uint8_t *p, size_t n)
{
	for (size_t k = 0; k < n; k++)
		h = (h ^ p[k]) * 0x100000001b3ull;
	return h;
}

static uint64_t memory_digest(struct guest *g)
{
	uint64_t h = fnv(0xcbf29ce484222325ull, g->mem.ram + DATA, DATA_SIZE);

	h = fnv(h, g->mem.ram + HOLE, 0x2000);
	h = fnv(h, g->mem.ram + TABLES, 0x5000);
	return h ^ (uint64_t)g->reads << 32 ^ g->writes;
}

static uint64_t digest(struct guest *g)
{
	struct cv_vcpu_state s;
	struct cv_wbuf w = {0};
	uint64_t h;

	state(g, &s);
	cv_vcpu_save(&s, &w);
	h = fnv(fnv(memory_digest(g), g->mem.ram + STACK - 0x100, 0x100), w.data, w.len);
	cv_wbuf_release(&w);
	return h ^ (uint64_t)g->delivered << 48 ^ (uint64_t)g->irq << 63;
}

/* The digest at every count, going on from one to the next by single steps of the engine. */
static uint64_t *reference(const struct program *p)
{
	uint64_t *d = calloc(p->steps + 1, sizeof(*d));
	struct guest g;

	ck_assert_ptr_nonnull(d);
	start(&g, CV_COUNT_STEPS, &(struct cv_soft_knobs){.single = true});
	load(&g, p);
	for (uint64_t k = 0; k <= p->steps; k++) {
		ck_assert_int_eq(run_to(&g, k), CV_EXIT_POSITION);
		d[k] = digest(&g);
	}
	stop(&g);
	return d;
}

static const struct cv_soft_knobs knobs[] = {
	{0}, {.tlb_entries = 1}, {.flush_each_block = true}, {.single = true},
};
enum { KNOBS = sizeof(knobs) / sizeof(knobs[0]) };

/* --- Tests. Loop index: the program --- */

START_TEST(steps_whole_program_makes_the_counted_number)
{
	const struct program *p = &table[_i];
	struct cv_vcpu_state s;
	struct guest g;

	for (unsigned k = 0; k < KNOBS; k++) {
		start(&g, CV_COUNT_STEPS, &knobs[k]);
		load(&g, p);
		ck_assert_msg(run_to(&g, UINT64_MAX) == CV_EXIT_HALT, "%s: didn't halt", p->name);
		state(&g, &s);
		ck_assert_msg(s.pos.insns == p->steps, "%s: %llu steps instead of %llu", p->name, (unsigned long long)s.pos.insns,
			      (unsigned long long)p->steps);
		ck_assert_uint_eq(s.pos.sub, 0);
		ck_assert_uint_eq(s.gpr[15], p->interrupts);
		stop(&g);
	}
}
END_TEST

START_TEST(steps_every_count_is_a_stop)
{
	const struct program *p = &table[_i];
	uint64_t *want = reference(p);
	struct cv_vcpu_state s;
	struct guest g;

	for (unsigned k = 0; k < KNOBS; k++) {
		start(&g, CV_COUNT_STEPS, &knobs[k]);
		for (uint64_t n = 0; n <= p->steps; n++) {
			load(&g, p);
			ck_assert_int_eq(run_to(&g, n), CV_EXIT_POSITION);
			state(&g, &s);
			ck_assert_uint_eq(s.pos.insns, n);
			ck_assert_uint_eq(s.pos.sub, 0);
			ck_assert_msg(digest(&g) == want[n], "%s, knobs %u: differs at %llu of %llu", p->name, k,
				      (unsigned long long)n, (unsigned long long)p->steps);
		}
		stop(&g);
	}
	free(want);
}
END_TEST

START_TEST(steps_cut_up_run_ends_the_same)
{
	static const unsigned budgets[] = {2, 3, 5, 7, 64};
	const struct program *p = &table[_i];
	uint64_t *want = reference(p);
	struct guest g;

	start(&g, CV_COUNT_STEPS, NULL);
	for (unsigned b = 0; b < sizeof(budgets) / sizeof(budgets[0]); b++) {
		load(&g, p);
		for (uint64_t n = 0; n <= p->steps; n += budgets[b]) {
			ck_assert_int_eq(run_to(&g, n), CV_EXIT_POSITION);
			ck_assert_msg(digest(&g) == want[n], "%s: pieces of %u differ at %llu", p->name, budgets[b],
				      (unsigned long long)n);
		}
	}
	stop(&g);
	free(want);
}
END_TEST

START_TEST(steps_saved_state_continues_the_same)
{
	const struct program *p = &table[_i];
	uint64_t *want = reference(p);
	struct cv_vcpu_state a, b;
	struct guest g;

	start(&g, CV_COUNT_STEPS, NULL);
	load(&g, p);
	for (uint64_t n = 0; n <= p->steps; n++) {
		struct cv_wbuf w = {0};
		struct cv_rbuf r;

		ck_assert_int_eq(run_to(&g, n), CV_EXIT_POSITION);
		state(&g, &a);
		cv_vcpu_save(&a, &w);
		cv_rbuf_init(&r, w.data, w.len);
		cv_vcpu_load(&b, &r);
		ck_assert_int_eq(r.err, 0);
		g.e->ops->set_state(g.e, &b);
		ck_assert_msg(digest(&g) == want[n], "%s: differs at %llu", p->name, (unsigned long long)n);
		cv_wbuf_release(&w);
	}
	stop(&g);
	free(want);
}
END_TEST

/* A single step of the engine is one step, or an interrupt, which is none. */
START_TEST(steps_single_step_is_a_step_or_an_interrupt)
{
	const struct program *p = &table[_i];
	struct cv_vcpu_state s, before;
	uint64_t interrupts = 0;
	struct guest g;

	start(&g, CV_COUNT_STEPS, NULL);
	load(&g, p);
	state(&g, &before);
	while (run(&g, &(struct cv_stop){.insns = UINT64_MAX, .step = true}, NULL) == CV_EXIT_POSITION) {
		state(&g, &s);
		if (s.pos.sub) {
			ck_assert_uint_eq(s.pos.insns, before.pos.insns);
			ck_assert_uint_eq(s.pos.sub, before.pos.sub + 1);
			ck_assert_uint_eq(s.rip, at(on_irq));
			interrupts++;
		} else {
			ck_assert_uint_eq(s.pos.insns, before.pos.insns + 1);
		}
		before = s;
	}
	ck_assert_uint_eq(interrupts, p->interrupts);
	ck_assert_uint_eq(s.pos.insns, p->steps);
	stop(&g);
}
END_TEST

START_TEST(steps_guest_ends_as_when_instructions_are_counted)
{
	const struct program *p = &table[_i];
	struct cv_vcpu_state a, b;
	struct guest g, h;

	if (p->differs)
		return;
	start(&g, CV_COUNT_STEPS, NULL);
	start(&h, CV_COUNT_INSNS, NULL);
	load(&g, p);
	load(&h, p);
	ck_assert_int_eq(run_to(&g, UINT64_MAX), CV_EXIT_HALT);
	ck_assert_int_eq(run_to(&h, UINT64_MAX), CV_EXIT_HALT);
	g.e->ops->get_state(g.e, &a);
	h.e->ops->get_state(h.e, &b);
	ck_assert_mem_eq(a.gpr, b.gpr, sizeof(a.gpr));
	ck_assert_uint_eq(a.rip, b.rip);
	ck_assert_uint_eq(a.rflags, b.rflags);
	ck_assert_mem_eq(a.ymm, b.ymm, sizeof(a.ymm));
	ck_assert_uint_eq(memory_digest(&g), memory_digest(&h));
	stop(&g);
	stop(&h);
}
END_TEST

/* --- Particular states --- */

static const struct program *program_of(const uint8_t *code)
{
	for (unsigned k = 0; k < PROGRAMS; k++)
		if (table[k].code == code)
			return &table[k];
	ck_abort_msg("no such program");
	return NULL;
}

START_TEST(steps_stop_in_a_rep_stands_at_it)
{
	const struct program *p = program_of(p_movs);
	struct cv_vcpu_state s, t;
	struct guest g;

	start(&g, CV_COUNT_STEPS, NULL);
	load(&g, p);
	ck_assert_int_eq(run_to(&g, 3), CV_EXIT_POSITION);
	state(&g, &s);
	ck_assert_int_eq(run_to(&g, 3 + 123), CV_EXIT_POSITION);
	state(&g, &t);
	ck_assert_uint_eq(t.rip, s.rip);
	ck_assert_uint_eq(t.gpr[CV_RCX], 600 - 123);
	ck_assert_uint_eq(t.gpr[CV_RSI], 0x200f00 + 4 * 123);
	ck_assert_int_eq(run_to(&g, 3 + 599), CV_EXIT_POSITION);
	state(&g, &t);
	ck_assert_uint_eq(t.rip, s.rip);
	ck_assert_int_eq(run_to(&g, 3 + 600), CV_EXIT_POSITION);
	state(&g, &t);
	ck_assert_uint_eq(t.rip, s.rip + 2);
	stop(&g);
}
END_TEST

START_TEST(steps_interrupt_in_a_rep_pushes_rf_as_it_is)
{
	struct cv_vcpu_state s;
	struct guest g;
	uint64_t flags;

	start(&g, CV_COUNT_STEPS, NULL);
	load(&g, program_of(p_irq_outs));
	ck_assert_int_eq(run(&g, &(struct cv_stop){.insns = UINT64_MAX, .stop_at_delivery = true}, NULL), CV_EXIT_POSITION);
	state(&g, &s);
	ck_assert_uint_eq(s.pos.insns, 4 + 3);
	ck_assert_uint_eq(s.pos.sub, 1);
	ck_assert_uint_eq(s.gpr[CV_RCX], 4);
	ck_assert_uint_eq(cv_memory_read(&g.mem, s.gpr[CV_RSP] + 16, &flags, 8), 8);
	ck_assert(!(flags & CV_FLAG_RF));
	ck_assert(flags & CV_FLAG_IF);
	stop(&g);
}
END_TEST

START_TEST(steps_shadow_covers_one_iteration)
{
	struct cv_vcpu_state s;
	struct guest g;

	start(&g, CV_COUNT_STEPS, NULL);
	load(&g, program_of(p_shadow));
	ck_assert_int_eq(run_to(&g, UINT64_MAX), CV_EXIT_HALT);
	state(&g, &s);
	ck_assert_uint_eq(s.gpr[14], 4);
	stop(&g);
}
END_TEST

START_TEST(steps_nmi_is_none_and_an_exception_is_one)
{
	struct cv_vcpu_state s;
	struct guest g;

	start(&g, CV_COUNT_STEPS, NULL);
	load(&g, program_of(p_movs));
	ck_assert_int_eq(run_to(&g, 50), CV_EXIT_POSITION);
	state(&g, &s);
	s.nmi_pending = true;
	g.e->ops->set_state(g.e, &s);
	ck_assert_int_eq(run(&g, &(struct cv_stop){.insns = UINT64_MAX, .step = true}, NULL), CV_EXIT_POSITION);
	state(&g, &s);
	ck_assert_uint_eq(s.pos.insns, 50);
	ck_assert_uint_eq(s.pos.sub, 1);
	ck_assert_uint_eq(s.rip, at(on_nmi));
	ck_assert_int_eq(run_to(&g, UINT64_MAX), CV_EXIT_HALT);
	state(&g, &s);
	ck_assert_uint_eq(s.pos.insns, program_of(p_movs)->steps + 1);

	load(&g, program_of(p_exceptions));
	ck_assert_int_eq(run(&g, &(struct cv_stop){.insns = UINT64_MAX, .stop_at_delivery = true}, NULL), CV_EXIT_POSITION);
	state(&g, &s);
	ck_assert_uint_eq(s.pos.insns, 2);
	ck_assert_uint_eq(s.pos.sub, 0);
	ck_assert_uint_eq(s.rip, at(on_de));
	stop(&g);
}
END_TEST

START_TEST(steps_watchpoint_in_a_rep_stops_after_its_iteration)
{
	struct cv_watch w = {.addr = 0x200f88, .len = 4, .type = CV_WATCH_WRITE};
	const struct program *p = program_of(p_movs);
	uint64_t *want = reference(p);
	struct cv_vcpu_state s;
	struct cv_exit x;
	struct guest g;

	for (unsigned k = 0; k < KNOBS; k++) {
		start(&g, CV_COUNT_STEPS, &knobs[k]);
		load(&g, p);
		ck_assert_int_eq(g.e->ops->set_points(g.e, NULL, 0, &w, 1, NULL), 0);
		ck_assert_int_eq(run(&g, &(struct cv_stop){.insns = UINT64_MAX}, &x), CV_EXIT_WATCH);
		ck_assert_uint_eq(x.addr, 0x200f88);
		state(&g, &s);
		ck_assert_uint_eq(s.pos.insns, 3 + 33);
		ck_assert_uint_eq(digest(&g), want[3 + 33]);
		ck_assert_int_eq(run_to(&g, UINT64_MAX), CV_EXIT_HALT);
		ck_assert_uint_eq(digest(&g), want[p->steps]);
		stop(&g);
	}
	free(want);
}
END_TEST

/* Of a gather that then faults, too: where the fault has been delivered. */
START_TEST(steps_watchpoint_of_a_faulting_gather_is_not_lost)
{
	struct cv_watch w = {.addr = HOLE, .len = 4, .type = CV_WATCH_READ};
	const struct program *p = program_of(p_gather);
	struct cv_vcpu_state s;
	struct cv_exit x;
	struct guest g;

	start(&g, CV_COUNT_STEPS, NULL);
	load(&g, p);
	state(&g, &s);
	ck_assert_int_eq(run_to(&g, 3), CV_EXIT_POSITION); /* DR7 stays 0 */
	state(&g, &s);
	s.rip += 3;
	g.e->ops->set_state(g.e, &s);
	ck_assert_int_eq(g.e->ops->set_points(g.e, NULL, 0, &w, 1, NULL), 0);
	ck_assert_int_eq(run(&g, &(struct cv_stop){.insns = UINT64_MAX}, &x), CV_EXIT_WATCH);
	state(&g, &s);
	ck_assert_uint_eq(s.pos.insns, 3 + 4 + 1);
	ck_assert_uint_eq(s.rip, at(on_pf));
	ck_assert_int_eq(run_to(&g, UINT64_MAX), CV_EXIT_WATCH); /* the elements after it */
	ck_assert_int_eq(run_to(&g, UINT64_MAX), CV_EXIT_HALT);
	state(&g, &s);
	ck_assert_uint_eq(s.pos.insns, p->steps - 1 - 2 * (1 + 3));
	stop(&g);
}
END_TEST

START_TEST(steps_breakpoint_on_a_rep_is_hit_before_each_iteration)
{
	const struct program *p = program_of(p_stos);
	uint64_t *want = reference(p), b;
	struct cv_stop st = {.insns = UINT64_MAX};
	struct cv_vcpu_state s;
	struct guest g;

	for (unsigned k = 0; k < KNOBS; k++) {
		unsigned hits = 0;

		start(&g, CV_COUNT_STEPS, &knobs[k]);
		load(&g, p);
		ck_assert_int_eq(run_to(&g, 4), CV_EXIT_POSITION);
		state(&g, &s);
		b = s.rip;
		ck_assert_int_eq(g.e->ops->set_points(g.e, &b, 1, NULL, 0, NULL), 0);
		while (run(&g, &st, NULL) == CV_EXIT_BREAK) {
			state(&g, &s);
			ck_assert_uint_eq(s.pos.insns, 4 + hits);
			st.skip_first_break = true;
			hits++;
		}
		st.skip_first_break = false;
		ck_assert_uint_eq(hits, 100);
		ck_assert_uint_eq(digest(&g), want[p->steps]);
		stop(&g);
	}
	free(want);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("soft_steps");
	TCase *t = tcase_create("steps");
	SRunner *sr;
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, steps_whole_program_makes_the_counted_number, 0, PROGRAMS);
	tcase_add_loop_test(t, steps_every_count_is_a_stop, 0, PROGRAMS);
	tcase_add_loop_test(t, steps_cut_up_run_ends_the_same, 0, PROGRAMS);
	tcase_add_loop_test(t, steps_saved_state_continues_the_same, 0, PROGRAMS);
	tcase_add_loop_test(t, steps_single_step_is_a_step_or_an_interrupt, 0, PROGRAMS);
	tcase_add_loop_test(t, steps_guest_ends_as_when_instructions_are_counted, 0, PROGRAMS);
	tcase_add_test(t, steps_stop_in_a_rep_stands_at_it);
	tcase_add_test(t, steps_interrupt_in_a_rep_pushes_rf_as_it_is);
	tcase_add_test(t, steps_shadow_covers_one_iteration);
	tcase_add_test(t, steps_nmi_is_none_and_an_exception_is_one);
	tcase_add_test(t, steps_watchpoint_in_a_rep_stops_after_its_iteration);
	tcase_add_test(t, steps_watchpoint_of_a_faulting_gather_is_not_lost);
	tcase_add_test(t, steps_breakpoint_on_a_rep_is_hit_before_each_iteration);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
