/* SPDX-License-Identifier: MIT */
/*
 * Multiboot to 64-bit mode for the guests of this folder: linear = physical up to 4 GiB by 2 MiB pages, then kmain(info).
 * Entries of vectors 0 to 63: save a struct frame, call trap().
 */
	.section .header, "ax"
	.balign	4
	.long	0x1badb002, 2, -0x1badb002 - 2
	.text
	.code32
	.global	_start
_start:
	cld
	movl	$stack_top, %esp
	movl	%ebx, %edi
	movl	$pdpt + 7, pml4
	movl	$4, %ecx
	movl	$pd + 7, %eax
	movl	$pdpt, %edx
1:	movl	%eax, (%edx)
	addl	$4096, %eax
	addl	$8, %edx
	loop	1b
	movl	$2048, %ecx
	movl	$0x83, %eax
	movl	$pd, %edx
2:	movl	%eax, (%edx)
	addl	$0x200000, %eax
	addl	$8, %edx
	loop	2b
	movl	$pml4, %eax
	movl	%eax, %cr3
	movl	$0x6a0, %eax		/* PAE, PGE, OSFXSR, OSXMMEXCPT */
	movl	%eax, %cr4
	movl	$0xc0000080, %ecx
	rdmsr
	orl	$0x901, %eax		/* LME, NXE, SCE */
	wrmsr
	movl	$0x80010033, %eax	/* PG, WP, NE, ET, MP, PE */
	movl	%eax, %cr0
	lgdt	gdtr
	ljmp	$8, $3f
	.code64
3:	movl	$16, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	%eax, %fs
	movl	%eax, %gs
	movl	$stack_top, %esp
	movl	%edi, %edi
	xorl	%ebp, %ebp
	call	kmain
4:	cli
	hlt
	jmp	4b

	.altmacro
	.macro	entry vector
	.balign	16
trap_\vector:
	.if	\vector == 8 || (\vector >= 10 && \vector <= 14) || \vector == 17
	.else
	pushq	$-1
	.endif
	pushq	$\vector
	jmp	common
	.endm
	.set	i, 0
	.rept	64
	entry	%i
	.set	i, i + 1
	.endr

common:	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rbx
	pushq	%rbp
	pushq	%rsi
	pushq	%rdi
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	cld
	movq	%rsp, %rdi
	movq	%rsp, %rbp
	andq	$-16, %rsp
	call	trap
	movq	%rbp, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdi
	popq	%rsi
	popq	%rbp
	popq	%rbx
	popq	%rdx
	popq	%rcx
	popq	%rax
	addq	$16, %rsp
	iretq

	.data
	.balign	8
	.global	gdt, gdtr, trap_entries
trap_entries:
	.macro	address vector
	.quad	trap_\vector
	.endm
	.set	i, 0
	.rept	64
	address	%i
	.set	i, i + 1
	.endr
gdt:	.quad	0
	.quad	0x00af9b000000ffff	/* 08: 64-bit code */
	.quad	0x00cf93000000ffff	/* 10: data */
	.quad	0x00cffb000000ffff	/* 18: 32-bit code, DPL 3 */
	.quad	0x00cff3000000ffff	/* 20: data, DPL 3 */
	.quad	0x00affb000000ffff	/* 28: 64-bit code, DPL 3 */
	.quad	0, 0			/* 30: TSS */
	.quad	0x00cf13000000ffff	/* 40: data, not present */
	.quad	0x00cf9b000000ffff	/* 48: 32-bit code */
	.quad	0, 0			/* 50: a call gate */
	.quad	0x00009b000000ffff	/* 60: 16-bit code */
	.quad	0x000093000000ffff	/* 68: 16-bit data */
gdt_end:
gdtr:	.word	gdt_end - gdt - 1
	.quad	gdt
	.bss
	.balign	4096
	.global	pml4, pdpt, pd, stack_top
pml4:	.skip	4096
pdpt:	.skip	4096
pd:	.skip	16384
	.skip	16384
stack_top:
	.section .note.GNU-stack, "", @progbits
