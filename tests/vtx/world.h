/* SPDX-License-Identifier: MIT */
/*
 * Two machines on two engines that must agree: a guest with all that makes trouble, and a world in which nothing happens by chance.
 *
 * The guest (32 bits, flat, Multiboot) takes timer interrupts and NMIs, executes what VT-x makes exit, repeats strings, touches devices in
 * memory and by port, faults, steps through itself with TF, arms a breakpoint on itself, halts, and ends itself. Include it once.
 */
#ifndef CV_VTX_WORLD_H
#define CV_VTX_WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/board.h"
#include "vmm-core/machine.h"

/* --- The guest: 32 bits, Multiboot, flat --- */

extern const uint8_t guest[], guest_end[];
__asm__(".section .rodata\n"
	".balign 16\n"
	".globl guest, guest_end\n"
	".set BASE, 0x100000\n"
	".macro vector n, handler\n"
	"	movl $(BASE + \\handler - guest), %eax\n"
	"	movl $\\n, %edi\n"
	"	call gate\n"
	".endm\n"
	"guest:\n"
	"	.long 0x1badb002, 0x10000, -(0x1badb002 + 0x10000)\n"
	"	.long BASE, BASE, BASE + guest_end - guest, 0, BASE + entry - guest\n"
	"	.code32\n"
	"gate:	shll $3, %edi\n" /* interrupt gate at 80000h */
	"	movw %ax, 0x80000(%edi)\n"
	"	movw $8, 0x80002(%edi)\n"
	"	movw $0x8e00, 0x80004(%edi)\n"
	"	shrl $16, %eax\n"
	"	movw %ax, 0x80006(%edi)\n"
	"	ret\n"
	"entry:	cli\n"
	"	movl $0x90000, %esp\n"
	"	lgdt BASE + gdtr - guest\n"
	"	ljmp $8, $(BASE + 1f - guest)\n"
	"1:	movw $16, %ax\n"
	"	movw %ax, %ds\n"
	"	movw %ax, %es\n"
	"	movw %ax, %ss\n"
	"	vector 0, on_de\n"
	"	vector 1, on_db\n"
	"	vector 2, on_nmi\n"
	"	vector 0x20, on_timer\n"
	"	vector 0x80, on_int\n"
	"	lidt BASE + idtr - guest\n"
	"	movl %cr4, %eax\n"
	"	orl $0x600, %eax\n" /* OSFXSR, OSXMMEXCPT */
	"	movl %eax, %cr4\n"
	"	movb $0x11, %al; outb %al, $0x20; outb %al, $0xa0\n" /* PICs: vectors 20h and 28h, the timer alone */
	"	movb $0x20, %al; outb %al, $0x21\n"
	"	movb $0x28, %al; outb %al, $0xa1\n"
	"	movb $4, %al; outb %al, $0x21\n"
	"	movb $2, %al; outb %al, $0xa1\n"
	"	movb $1, %al; outb %al, $0x21; outb %al, $0xa1\n"
	"	movb $0xfe, %al; outb %al, $0x21\n"
	"	movb $0xff, %al; outb %al, $0xa1\n"
	"	movb $0x34, %al; outb %al, $0x43\n" /* PIT: mode 2, each 3 microseconds */
	"	movb $4, %al; outb %al, $0x40\n"
	"	movb $0, %al; outb %al, $0x40\n"
	"	sti\n"
	"	movl $120, %ebp\n"
	"again:	movl $1, %eax\n"
	"	cpuid\n"
	"	addl %edx, %esi\n"
	"	rdtsc\n"
	"	addl %eax, %esi\n"
	"	inb $0x61, %al\n"
	"	movb $0x41, %al\n"
	"	movw $0x3f8, %dx\n"
	"	outb %al, %dx\n"
	"	movl $0x200ff0, %edi\n"
	"	movl $37, %ecx\n"
	"	rep stosb\n"
	"	pushl %esi\n"
	"	movl $0x100000, %esi\n"
	"	movl $0x201ff4, %edi\n"
	"	movl $29, %ecx\n"
	"	rep movsl\n"
	"	popl %esi\n"
	"	movl $0x210000, %edi\n"
	"	movw $0x3fd, %dx\n"
	"	movl $5, %ecx\n"
	"	rep insb\n"
	"	movl $0x1b, %ecx\n"
	"	rdmsr\n"
	"	addl %eax, %esi\n"
	"	movl %cr0, %eax\n"
	"	movl %eax, %cr0\n"
	"	xorl %ecx, %ecx\n"
	"	divl %ecx\n"
	"	nop\n" /* RF is gone: Bochs's INT doesn't push it, as CPUs do */
	"	int $0x80\n"
	"	addl 0xfee00030, %esi\n" /* the local APIC's version */
	"	incl 0xfee00080\n"
	"	movl $0, 0xfee00080\n"
	"	testl $3, %ebp\n"
	"	jnz 1f\n"
	"	pushf\n" /* step through four instructions, one with a REP */
	"	orl $0x100, (%esp)\n"
	"	popf\n"
	"	movl $3, %ecx\n"
	"	movl $0x220000, %edi\n"
	"	rep stosl\n"
	"	inb $0x61, %al\n"
	"	pushf\n"
	"	andl $~0x100, (%esp)\n"
	"	popf\n"
	"1:	testl $7, %ebp\n"
	"	jnz 2f\n"
	"	movl $(BASE + 2f - guest), %eax\n" /* a breakpoint of the guest's own */
	"	movl %eax, %dr0\n"
	"	movl $0x402, %eax\n"
	"	movl %eax, %dr7\n"
	"	nop\n"
	"2:	nop\n"
	"	cli\n"
	"	movl $60, %ecx\n"
	"3:	movl %ecx, 0x230000(,%ecx,4)\n"
	"	loop 3b\n"
	"	sti\n"
	"	movl %ss, %eax\n"
	"	movl %eax, %ss\n"
	"	addl %esi, 0x230000\n"
	"	movd %esi, %xmm1\n"
	"	paddd %xmm1, %xmm2\n"
	"	fninit\n"
	"	testl $5, %ebp\n"
	"	jnz 4f\n"
	"	hlt\n"
	"4:	decl %ebp\n"
	"	jnz again\n"
	"	movb $0, %al\n"
	"	outb %al, $0xf4\n"
	"5:	hlt\n"
	"	jmp 5b\n"
	"on_de:	addl $2, (%esp)\n"
	"	incl 0x240000\n"
	"	iret\n"
	"on_db:	pushl %eax\n"
	"	movl %dr6, %eax\n"
	"	addl %eax, 0x240004\n"
	"	testl $1, %eax\n"
	"	jz 6f\n"
	"	movl $0x400, %eax\n"
	"	movl %eax, %dr7\n"
	"6:	xorl %eax, %eax\n"
	"	movl %eax, %dr6\n"
	"	popl %eax\n"
	"	iret\n"
	"on_nmi:	incl 0x240010\n"
	"	iret\n"
	"on_timer:\n"
	"	pushl %eax\n"
	"	incl 0x240008\n"
	"	movb $0x20, %al\n"
	"	outb %al, $0x20\n"
	"	popl %eax\n"
	"	iret\n"
	"on_int:	incl 0x24000c\n"
	"	iret\n"
	"	.balign 8\n"
	"gdt:	.quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff\n"
	"gdtr:	.word 23\n"
	"	.long BASE + gdt - guest\n"
	"idtr:	.word 0x80 * 8 + 7\n"
	"	.long 0x80000\n"
	"guest_end:\n"
	"	.code64\n"
	"	.text\n");

/* --- A world without time: what enters is a function of the position --- */

struct world_read {
	uint64_t insns, rip, t;
	uint32_t sub;
};

enum { WORLD_READS = 4096 };

struct world {
	struct cv_env env;
	struct cv_machine *m;
	uint64_t hash, interrupts, nmi_at; /* nmi_at: the next one is due there; UINT64_MAX: never */
	struct world_read *reads;	     /* the guest's looks at the clock: what is given, or borrowed, what was given to another */
	size_t nreads, read_next;
	bool replays;			     /* reads are another's */
	bool wrong;			     /* it looked elsewhere than the other one */
	bool show;			     /* the console goes to standard output */
};

static uint64_t mix(uint64_t h, uint64_t v)
{
	return (h ^ v) * 0x100000001b3ull;
}

static void world_note_read(struct world *w, const struct cv_pos *pos, uint64_t t)
{
	w->wrong |= w->nreads == WORLD_READS;
	if (!w->wrong)
		w->reads[w->nreads++] = (struct world_read){.insns = pos->insns, .rip = pos->rip, .t = t, .sub = pos->sub};
}

/* The first of two worlds has a clock of its own, which the other one plays again. */
static uint64_t world_clock(struct cv_env *env, const struct cv_pos *pos, enum cv_event_kind why)
{
	struct world *w = (struct world *)env;
	const struct world_read *r = &w->reads[w->read_next];

	(void)why;
	if (!w->replays) {
		world_note_read(w, pos, 2 * pos->insns + 100);
		return 2 * pos->insns + 100;
	}
	w->wrong |= w->read_next == w->nreads || r->insns != pos->insns || r->rip != pos->rip || r->sub != pos->sub;
	w->read_next += !w->wrong;
	return w->wrong ? 0 : r->t;
}

static bool world_clock_base(struct cv_env *env, uint64_t *delta, uint64_t *floor)
{
	struct world *w = (struct world *)env;

	*delta = 5;
	*floor = w->nreads ? w->reads[w->nreads - 1].t : 0;
	return !w->replays;
}

static void world_clock_taken(struct cv_env *env, const struct cv_pos *pos, uint64_t t)
{
	world_note_read((struct world *)env, pos, t);
}

static void world_entropy(struct cv_env *env, const struct cv_pos *pos, uint8_t *p, size_t n)
{
	struct world *w = (struct world *)env;

	w->hash = mix(w->hash, pos->insns);
	for (size_t k = 0; k < n; k++)
		p[k] = (uint8_t)(pos->insns >> (k & 7));
}

static uint64_t world_horizon(struct cv_env *env, const struct cv_pos *pos)
{
	struct world *w = (struct world *)env;

	return w->nmi_at > pos->insns && w->nmi_at - pos->insns < 5000 ? w->nmi_at - pos->insns : 5000;
}

static bool world_time(struct cv_event *ev, uint64_t t)
{
	memset(ev, 0, sizeof(*ev));
	ev->kind = CV_EV_TIME;
	ev->value = t;
	return true;
}

static bool world_poll(struct cv_env *env, const struct cv_pos *pos, uint64_t deadline, size_t room, struct cv_event *ev)
{
	struct world *w = (struct world *)env;

	(void)room;
	if (w->reads && !pos->sub && deadline <= 3000 * pos->insns)
		return world_time(ev, 3000 * pos->insns);
	if (pos->insns != w->nmi_at || pos->sub)
		return false;
	w->nmi_at += 1237;
	memset(ev, 0, sizeof(*ev));
	ev->kind = CV_EV_COMMAND;
	ev->value = CV_CMD_NMI;
	return true;
}

static bool world_wait(struct cv_env *env, const struct cv_pos *pos, uint64_t deadline, size_t room, struct cv_event *ev)
{
	(void)pos;
	(void)room;
	if (((struct world *)env)->reads && deadline != CV_NEVER)
		return world_time(ev, deadline);
	env->exhausted = deadline == CV_NEVER;
	return false;
}

static void world_interrupt(struct cv_env *env, const struct cv_pos *pos, unsigned vector)
{
	struct world *w = (struct world *)env;

	w->interrupts++;
	w->hash = mix(mix(mix(mix(w->hash, pos->insns), pos->sub), pos->rip), vector);
}

static void world_console(struct cv_env *env, const struct cv_pos *pos, const uint8_t *p, size_t n)
{
	struct world *w = (struct world *)env;

	w->hash = mix(mix(mix(w->hash, pos->insns), pos->rip), p[0]);
	if (w->show)
		fwrite(p, 1, n, stdout);
}

static const struct cv_env_ops world_ops = {
	.clock = world_clock,
	.clock_base = world_clock_base,
	.clock_taken = world_clock_taken,
	.entropy = world_entropy,
	.horizon = world_horizon,
	.poll = world_poll,
	.wait = world_wait,
	.interrupt = world_interrupt,
	.console_out = world_console,
};

/* *w is zero but for `reads`: WORLD_READS of them for a host's clock, NULL for the virtual one. */
static int world_init(struct world *w, cv_engine_factory factory, const struct cv_boot_images *images, unsigned mib, bool nmis,
		      struct cv_error *err)
{
	const bool host_clock = w->reads;
	struct world_read *reads = w->reads;
	const struct cv_machine_config config = {.ram_size = (uint64_t)mib << 20, .clock = host_clock ? CV_CLOCK_HOST : CV_CLOCK_VIRTUAL,
						 .count = CV_COUNT_STEPS, .cpu = "v2", .images = *images};

	memset(w, 0, sizeof(*w));
	w->reads = reads;
	w->env.ops = &world_ops;
	w->env.virtual_clock = !host_clock;
	w->nmi_at = nmis ? 3001 : UINT64_MAX;
	return cv_machine_new_with_engine(&w->m, &config, &cv_board, factory, &w->env, err);
}

static void world_show_page(uint32_t page, const uint8_t *a, const uint8_t *b)
{
	unsigned n = 0;

	for (unsigned k = 0; k < CV_PAGE_SIZE && n < 16; k++)
		if (a[k] != b[k])
			printf("%s%03x: %02x %02x", n++ ? ", " : "memory differs: ", k, a[k], b[k]);
	if (n)
		printf(" on page %x\n", page);
}

static void world_show_difference(struct world *a, struct world *b)
{
	struct cv_vcpu_state s[2];
	struct cv_wbuf w[2] = {{0}, {0}};
	unsigned n = 0;

	a->m->engine->ops->get_state(a->m->engine, &s[0]);
	b->m->engine->ops->get_state(b->m->engine, &s[1]);
	for (unsigned k = 0; k < 2; k++) {
		printf("%s: insns %llu sub %u rip %llx rflags %llx shadow %u halted %d pending %llx\n", k ? "vtx " : "soft",
			(unsigned long long)s[k].pos.insns, s[k].pos.sub, (unsigned long long)s[k].rip,
			(unsigned long long)s[k].rflags, s[k].shadow, s[k].halted, (unsigned long long)s[k].pending_db);
		cv_vcpu_save(&s[k], &w[k]);
	}
	for (size_t k = 0; k < w[0].len && k < w[1].len; k++)
		if (w[0].data[k] != w[1].data[k])
			printf("%s%zu: %02x %02x", n++ ? ", " : "bytes of the CPU's state: ", k, w[0].data[k], w[1].data[k]);
	if (n)
		printf("\n");
	for (uint32_t p = 0; p < a->m->mem.pages; p++)
		if ((a->m->mem.flags[p] | b->m->mem.flags[p]) & CV_PAGE_TOUCHED)
			world_show_page(p, a->m->mem.ram + (size_t)p * CV_PAGE_SIZE, b->m->mem.ram + (size_t)p * CV_PAGE_SIZE);
	cv_wbuf_release(&w[0]);
	cv_wbuf_release(&w[1]);
}

/* Both to the same position; then everything is the same. b: the engine on trial. */
static bool worlds_agree_at(struct world *a, struct world *b, uint64_t insns)
{
	const struct cv_stop until = {.insns = insns};
	struct world *w[2] = {a, b};
	struct cv_digest d[2];
	struct cv_pos pos[2];
	struct cv_run run;
	struct cv_error err;

	for (unsigned k = 0; k < 2; k++) {
		cv_error_clear(&err);
		if (cv_machine_run(w[k]->m, &until, false, &run, &err) || cv_machine_digest(w[k]->m, &d[k], &err)) {
			printf("%s: %s\n", w[k]->m->engine->ops->name, err.msg);
			return false;
		}
		cv_machine_position(w[k]->m, &pos[k]);
	}
	if (!memcmp(&d[0], &d[1], sizeof(d[0])) && a->hash == b->hash && !cv_pos_cmp(&pos[0], &pos[1]) && pos[0].rip == pos[1].rip &&
	    a->m->end.kind == b->m->end.kind && a->interrupts == b->interrupts)
		return true;
	printf("asked to stop at %llu: ends %s and %s, %llu and %llu interrupts, what was seen %s\n", (unsigned long long)insns,
	       cv_end_name(a->m->end.kind), cv_end_name(b->m->end.kind), (unsigned long long)a->interrupts,
	       (unsigned long long)b->interrupts, a->hash == b->hash ? "is the same" : "differs");
	world_show_difference(a, b);
	return false;
}

static void small_guest(struct cv_boot_images *images)
{
	memset(images, 0, sizeof(*images));
	images->kernel.data = guest;
	images->kernel.size = (size_t)(guest_end - guest);
	images->kernel.name = "guest";
	images->cmdline = "";
}

#endif
