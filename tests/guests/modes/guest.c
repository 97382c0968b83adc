/* SPDX-License-Identifier: MIT */
/* Output, checks and traps of the 64-bit guests. */
#include "guest.h"

struct frame last;
unsigned traps, failures;
uint64_t resume, resume_rsp, want_rip;
void (*hook)(struct frame *f);
struct gate idt[64] __attribute__((aligned(16)));
uint32_t tss[26] __attribute__((aligned(64)));
const char *command_line = "";
static uint8_t trap_stack[8192] __attribute__((aligned(16)));
extern const uint64_t trap_entries[64];

void say(const char *s)
{
	for (; *s; s++) {
		while (!(inb(0x3fd) & 0x20))
			;
		outb(0x3f8, (uint8_t)*s);
	}
}

void say_hex(uint64_t v)
{
	char digits[17];
	unsigned n = 16;

	digits[n] = 0;
	do {
		digits[--n] = "0123456789abcdef"[v & 15];
		v >>= 4;
	} while (v);
	say(digits + n);
}

void check(const char *name, uint64_t got, uint64_t want)
{
	if (got == want) {
		say("ok ");
		say(name);
	} else {
		failures++;
		say("FAIL ");
		say(name);
		say(" got ");
		say_hex(got);
		say(" expected ");
		say_hex(want);
	}
	say("\n");
}

void check_trap(const char *name, unsigned vector, uint64_t error, uint64_t rip)
{
	if (traps == 1 && last.vector == vector && last.error == error && last.rip == rip) {
		check(name, 1, 1);
		return;
	}
	failures++;
	say("FAIL ");
	say(name);
	say(" got traps ");
	say_hex(traps);
	say(" vector ");
	say_hex(last.vector);
	say(" error ");
	say_hex(last.error);
	say(" rip ");
	say_hex(last.rip);
	say(" expected vector ");
	say_hex(vector);
	say(" error ");
	say_hex(error);
	say(" rip ");
	say_hex(rip);
	say("\n");
}

void check_none(const char *name)
{
	check(name, traps ? last.vector : 255, 255);
}

void leave(uint8_t code)
{
	outb(0xf4, code);
	for (;;)
		__asm__ volatile("cli; hlt");
}

void trap(struct frame *f)
{
	last = *f;
	traps++;
	if (resume) {
		f->rip = resume;
		f->rsp = resume_rsp;
		f->cs = 8;
		f->ss = 16;
		f->rflags = 2;
		resume = 0;
		return;
	}
	if (hook) {
		hook(f);
		return;
	}
	say("FAIL unexpected trap ");
	say_hex(f->vector);
	say(" error ");
	say_hex(f->error);
	say(" rip ");
	say_hex(f->rip);
	say("\n");
	leave(1);
}

void set_gate(unsigned vector, uint64_t rip, uint16_t sel, unsigned dpl, unsigned ist, bool present)
{
	idt[vector] = (struct gate){(uint16_t)rip, sel, (uint16_t)(0xe00 | ist | dpl << 13 | (unsigned)present << 15),
				    (uint16_t)(rip >> 16), (uint32_t)(rip >> 32), 0};
}

void guest_init(const uint32_t *multiboot)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr = {sizeof(idt) - 1, (uint64_t)idt};
	uint64_t t = (uint64_t)tss;

	if (multiboot[0] & 4)
		command_line = (const char *)(uint64_t)multiboot[4];
	for (unsigned i = 0; i < 64; i++)
		set_gate(i, trap_entries[i], 8, 0, 0, true);
	__asm__ volatile("lidt %0" : : "m"(idtr));
	tss[1] = (uint32_t)(uint64_t)(trap_stack + 4096); /* RSP0 */
	tss[9] = (uint32_t)(uint64_t)(trap_stack + 8192); /* IST1 */
	tss[25] = 104 << 16;
	gdt[6] = 103 | (t & 0xffffff) << 16 | 0x89ull << 40 | (t >> 24 & 0xff) << 56;
	gdt[7] = t >> 32;
	__asm__ volatile("ltr %w0" : : "r"(0x30));
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
}

void __attribute__((noinline)) enter(uint64_t rip, uint64_t cs, uint64_t rsp, uint64_t ss, uint64_t flags)
{
	uint64_t frame[5] = {rip, cs, flags, rsp, ss};

	traps = 0;
	last.vector = 255;
	__asm__ volatile("pushq %%rbp\n movq %%rsp, resume_rsp\n movq $1f, resume\n movq %0, %%rsp\n iretq\n"
			 "1: movq resume_rsp, %%rsp\n movl $16, %%eax\n movl %%eax, %%ds\n movl %%eax, %%es\n popq %%rbp"
			 : : "r"(frame) : CLOBBERS);
}

bool has_word(const char *word)
{
	for (const char *p = command_line; *p; p++) {
		const char *a = p, *b = word;

		while (*b && *a == *b) {
			a++;
			b++;
		}
		if (!*b)
			return true;
	}
	return false;
}
