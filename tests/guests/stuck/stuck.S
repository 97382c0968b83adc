/* SPDX-License-Identifier: MIT */
/*
 * Multiboot: says "stuck" on the serial port, then faults for ever: the handler of #UD begins with an undefined
 * instruction. Its frames go round and round in a stack of 64 KiB, whose pointer has 16 bits. No instruction retires.
 */
	.code32
	.section .header, "ax"
	.balign	4
header:	.long	0x1badb002, 0x3, -0x1badb002 - 0x3
	.globl	_start
_start:	lgdt	gdt_at
	ljmp	$0x08, $1f
1:	movl	$handler, %eax
	movw	%ax, gate
	shrl	$16, %eax
	movw	%ax, gate + 6
	lidt	idt_at
	movl	$text, %esi
	movw	$0x3f8, %dx
2:	lodsb
	testb	%al, %al
	jz	3f
	outb	%al, %dx
	jmp	2b
3:	movw	$0x18, %ax
	movw	%ax, %ss
	xorl	%esp, %esp
handler:
	ud2
	.data
text:	.asciz	"stuck\r\n"
	.balign	8
gdt:	.quad	0
	.quad	0x00cf9b000000ffff /* code, flat */
	.quad	0x00cf93000000ffff /* data, flat */
	.quad	0x000093080000ffff /* stack: 64 KiB at 0x80000, 16-bit pointer */
gdt_at:	.word	. - gdt - 1
	.long	gdt
	.balign	8
idt:	.fill	6, 8, 0
gate:	.word	0, 0x08, 0x8e00, 0
idt_at:	.word	. - idt - 1
	.long	idt
