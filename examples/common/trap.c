/* SPDX-License-Identifier: MIT */
/* Exceptions and interrupts: the IDT, the two 8259 PICs, the 8254 timer, and the panic that ends a run. */
#include "kernel.h"

#define PIC1 0x20
#define PIC2 0xa0
#define PIT 0x40
#define PIT_HZ 1193182u
#define PVPANIC 0x505
#define DEBUG_EXIT 0xf4

struct gate {
	uint16_t offset0, selector, flags, offset1;
	uint32_t offset2, reserved;
};

extern const uint64_t trap_entries[48];
void trap(const struct trap_frame *frame);

static void (*handlers[16])(void);

static const char *const exceptions[32] = {
	[0] = "divide error", [1] = "debug", [2] = "NMI", [3] = "breakpoint", [4] = "overflow",
	[5] = "bound", [6] = "invalid opcode", [7] = "no coprocessor", [8] = "double fault",
	[10] = "invalid TSS", [11] = "segment not present", [12] = "stack fault",
	[13] = "general protection fault", [14] = "page fault", [16] = "x87 error", [17] = "alignment check",
	[18] = "machine check", [19] = "SIMD error",
};

static void pic_init(void)
{
	outb(PIC1, 0x11); /* ICW1: edge, cascade, ICW4 follows */
	outb(PIC2, 0x11);
	outb(PIC1 + 1, 32); /* ICW2: vectors */
	outb(PIC2 + 1, 40);
	outb(PIC1 + 1, 4); /* ICW3: the second one is on line 2 */
	outb(PIC2 + 1, 2);
	outb(PIC1 + 1, 1); /* ICW4: 8086 */
	outb(PIC2 + 1, 1);
	outb(PIC1 + 1, 0xfb);
	outb(PIC2 + 1, 0xff);
}

void trap_init(void *idt_page)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr = {4095, (uint64_t)idt_page};
	struct gate *gates = idt_page;

	for (unsigned i = 0; i < 48; i++) {
		uint64_t entry = trap_entries[i];

		gates[i] = (struct gate){(uint16_t)entry, 8, 0x8e00, (uint16_t)(entry >> 16),
					 (uint32_t)(entry >> 32), 0};
	}
	__asm__ volatile("lidt %0" : : "m"(idtr));
	pic_init();
}

void irq_install(unsigned irq, void (*handler)(void))
{
	uint16_t port = irq < 8 ? PIC1 + 1 : PIC2 + 1;

	handlers[irq] = handler;
	outb(port, inb(port) & (uint8_t)~(1u << (irq & 7)));
}

void timer_start(unsigned hz)
{
	unsigned divisor = PIT_HZ / hz;

	outb(PIT + 3, 0x34); /* counter 0, both bytes, rate generator */
	outb(PIT, (uint8_t)divisor);
	outb(PIT, (uint8_t)(divisor >> 8));
}

void trap(const struct trap_frame *frame)
{
	unsigned irq = (unsigned)frame->vector - 32;

	if (frame->vector < 32)
		panic(frame, exceptions[frame->vector] ? exceptions[frame->vector] : "exception");
	if (irq >= 8)
		outb(PIC2, 0x20);
	outb(PIC1, 0x20);
	if (handlers[irq])
		handlers[irq]();
}

void panic(const struct trap_frame *f, const char *why)
{
	uint64_t cr2;

	irq_disable();
	__asm__ volatile("movq %%cr2, %0" : "=r"(cr2));
	print("panic: %s\n", why);
	if (f) {
		print("rip %lx error %lx cr2 %lx rsp %lx rbp %lx\n", f->rip, f->error, cr2, f->rsp, f->rbp);
		print("rax %lx rbx %lx rcx %lx rdx %lx rsi %lx rdi %lx\n", f->rax, f->rbx, f->rcx, f->rdx, f->rsi,
		      f->rdi);
	}
	outb(PVPANIC, 1);
	machine_exit(1);
}

void machine_exit(uint8_t code)
{
	outb(DEBUG_EXIT, code);
	for (;;)
		__asm__ volatile("cli; hlt");
}
