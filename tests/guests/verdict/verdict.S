/* SPDX-License-Identifier: MIT */
/*
 * Multiboot: says TEXT on the serial port and writes CODE to the debug-exit port; 2 where the word "bad" ends its command
 * line. HANG: goes round for ever instead. DEVICE: first looks whether the test device is there; 3 where it isn't.
 */
	.code32
	.section .header, "ax"
	.balign	4
header:	.long	0x1badb002, 0x3, -0x1badb002 - 0x3
	.globl	_start
_start:	movl	$stack_top, %esp
#ifdef DEVICE
	movl	$0x12345678, %eax
	outl	%eax, $0xe0
	xorl	%eax, %eax
	inb	$0xe2, %al		/* the third byte of what was written */
	cmpb	$0x34, %al
	jne	absent
	movl	$0xcafe, 0xff00fffc	/* the end of its memory */
	cmpl	$0xcafe, 0xff00fffc
	jne	absent
	movw	$0x200e, %dx		/* line 14: the slave PIC's IR6 */
	movb	$1, %al
	outb	%al, %dx
	inb	$0xa0, %al		/* the slave's IRR */
	testb	$0x40, %al
	jz	absent
#endif
	movl	$text, %esi
	movw	$0x3f8, %dx
1:	lodsb
	testb	%al, %al
	jz	said
	outb	%al, %dx
	jmp	1b
said:
#ifdef HANG
	jmp	said
#endif
	movl	16(%ebx), %esi		/* the command line */
2:	lodsb
	testb	%al, %al
	jnz	2b
	movl	$CODE, %eax
	cmpl	$0x64616220, -5(%esi)	/* " bad" */
	jne	end
	movl	$2, %eax
end:	outl	%eax, $0xf4
stop:	cli
	hlt
	jmp	stop
absent:	movl	$3, %eax
	jmp	end
	.data
text:	.asciz	TEXT
	.bss
	.balign	16
	.skip	256
stack_top:
