/* SPDX-License-Identifier: MIT */
/*
 * Multiboot: string instructions under REP, one after another, while a timer of 12 kHz interrupts them, with an exception and a
 * software interrupt between. Says "repeats" first and the low digits of a checksum last, each by REP OUTSB, and ends by itself.
 */
	.equ	ROUNDS, 6000
	.code32
	.section .header, "ax"
	.balign	4
header:	.long	0x1badb002, 0x3, -0x1badb002 - 0x3
	.globl	_start, the_movs
_start:	lgdt	gdt_at
	ljmp	$0x08, $1f
1:	movw	$0x10, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	$stack, %esp
	cld
	movl	$6, %ebx
	movl	$on_ud, %eax
	call	set_gate
	movl	$0x20, %ebx
	movl	$on_timer, %eax
	call	set_gate
	movl	$0x30, %ebx
	movl	$on_soft, %eax
	call	set_gate
	lidt	idt_at
	movl	$text, %esi
	movl	$text_end - text, %ecx
	call	say
	/* The two PICs at 20h and 28h, the timer alone let through; channel 0 at 12 kHz. */
	movl	$pic, %esi
	movl	$(pic_end - pic) / 2, %ecx
	xorl	%edx, %edx
2:	lodsb
	movb	%al, %dl
	lodsb
	outb	%al, %dx
	loop	2b
	sti
	movl	$ROUNDS, %ebp
round:	movl	$source, %esi
	movl	$target, %edi
	movl	$1500, %ecx
	incl	(%esi)
the_movs:
	rep movsl
	movl	$source, %esi
	movl	$target, %edi
	movl	$6000, %ecx
	repe cmpsb
	jne	bad
	movl	%ebp, %eax
	movl	$target + 700, %edi
	movl	$300, %ecx
	rep stosb
	movl	$target + 999, %edi
	movl	$200, %ecx
	std
	repe scasb
	cld
	jne	bad
	ud2
	int	$0x30
	decl	%ebp
	jnz	round
	cli
	movl	ticks, %eax
	testl	%eax, %eax
	jz	bad
	movl	$3000, %ecx
	movl	$target, %esi
	xorl	%ebx, %ebx
3:	lodsw
	roll	$3, %ebx
	addw	%ax, %bx
	loop	3b
	movl	$4, %ecx
	movl	$digits, %edi
4:	movl	%ebx, %eax
	andb	$0xf, %al
	addb	$'a', %al
	stosb
	shrl	$4, %ebx
	loop	4b
	movl	$digits, %esi
	movl	$digits_end - digits, %ecx
	call	say
	movl	$0xf4, %edx
	xorl	%eax, %eax
	outl	%eax, %dx
bad:	movl	$0xf4, %edx
	movl	$1, %eax
	outl	%eax, %dx
	hlt

say:	movw	$0x3f8, %dx
	rep outsb
	ret
set_gate: /* EBX: vector, EAX: handler */
	leal	idt(,%ebx,8), %edi
	movw	%ax, (%edi)
	movl	$0x8e000008, 2(%edi)
	shrl	$16, %eax
	movw	%ax, 6(%edi)
	movw	$0x8e00, 4(%edi)
	ret
on_ud:	addl	$2, (%esp)
	iret
on_soft:
	incl	calls
	iret
on_timer:
	pushl	%eax
	incl	ticks
	movb	$0x20, %al
	outb	%al, $0x20
	popl	%eax
	iret

	.data
text:	.ascii	"repeats\r\n"
text_end:
digits:	.ascii	"....\r\n"
digits_end:
pic:	.byte	0x20, 0x11, 0x21, 0x20, 0x21, 0x04, 0x21, 0x01, 0xa0, 0x11, 0xa1, 0x28, 0xa1, 0x02, 0xa1, 0x01
	.byte	0x21, 0xfe, 0xa1, 0xff, 0x43, 0x34, 0x40, 0x60, 0x40, 0x00
pic_end:
	.balign	8
gdt:	.quad	0
	.quad	0x00cf9b000000ffff
	.quad	0x00cf93000000ffff
gdt_at:	.word	. - gdt - 1
	.long	gdt
idt_at:	.word	0x31 * 8 - 1
	.long	idt
	.bss
	.balign	8
idt:	.skip	0x31 * 8
ticks:	.skip	4
calls:	.skip	4
source:	.skip	8192
target:	.skip	8192
	.skip	4096
stack:
