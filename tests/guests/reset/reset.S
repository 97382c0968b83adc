/* SPDX-License-Identifier: MIT */
/*
 * Multiboot: says "up" on the serial port, then does what is typed: k resets by the keyboard controller, p by the reset
 * port, t by a triple fault; q ends well, f ends with a failure, 3, at the
 * debug-exit port.
 */
	.code32
	.section .header, "ax"
	.balign	4
header:	.long	0x1badb002, 0x3, -0x1badb002 - 0x3
	.globl	_start
_start:	movl	$stack_top, %esp
	movl	$text, %esi
1:	lodsb
	testb	%al, %al
	jz	wait
	movw	$0x3f8, %dx
	outb	%al, %dx
	jmp	1b
wait:	movw	$0x3fd, %dx
	inb	%dx, %al
	testb	$1, %al
	jz	wait
	movw	$0x3f8, %dx
	inb	%dx, %al
	cmpb	$'k', %al
	je	by_keyboard
	cmpb	$'p', %al
	je	by_port
	cmpb	$'t', %al
	je	by_fault
	cmpb	$'f', %al
	je	fail
	cmpb	$'q', %al
	jne	wait
	xorl	%eax, %eax
	outb	%al, $0xf4
fail:	movb	$3, %al
	outb	%al, $0xf4
by_keyboard:
	movb	$0xfe, %al
	outb	%al, $0x64
	jmp	stop
by_port:
	movw	$0xcf9, %dx
	movb	$0x02, %al
	outb	%al, %dx
	movb	$0x06, %al
	outb	%al, %dx
	jmp	stop
by_fault:
	lidt	no_idt
	int3
stop:	cli
	hlt
	jmp	stop
	.data
text:	.asciz	"up\r\n"
no_idt:	.word	0
	.long	0
	.bss
	.balign	16
	.skip	256
stack_top:
