/* SPDX-License-Identifier: MIT */
/*
 * From the PVH entry point (32-bit protected mode, EBX = start info) to kmain() in 64-bit mode.
 *
 * Linear addresses are physical addresses, up to 1 GiB: the first 2 MiB by 4 KiB pages (boot_pt), the rest by 2 MiB
 * pages. Page 0 is not mapped, so that a NULL pointer faults. Below the stack lies boot_pt, with no guard page between
 * them: small kernels are like that.
 */
	.section .note.pvh, "a", @note
	.long	4, 4, 18	/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	_start

	.section .bss.boot, "aw", @nobits
	.balign	4096
boot_pml4:	.skip 4096
boot_pdpt:	.skip 4096
boot_pd:	.skip 4096
	.global	boot_pt, boot_stack, boot_stack_top
	.type	boot_pt, @object
	.size	boot_pt, 4096
boot_pt:	.skip 4096
boot_stack:	.skip 16384
boot_stack_top:

	.text
	.code32
	.global	_start
	.type	_start, @function
_start:
	.cfi_startproc
	.cfi_undefined 16	/* rip: the outermost frame */
	cli
	cld
	movl	$boot_stack_top, %esp
	movl	%ebx, %edi			/* kmain's argument */
	/* Tables are zero: bss. */
	movl	$boot_pdpt + 3, boot_pml4
	movl	$boot_pd + 3, boot_pdpt
	movl	$boot_pt + 3, boot_pd
	movl	$1, %ecx
1:	movl	%ecx, %eax
	shll	$21, %eax
	orl	$0x83, %eax			/* present, writable, 2 MiB */
	movl	%eax, boot_pd(, %ecx, 8)
	incl	%ecx
	cmpl	$512, %ecx
	jb	1b
	movl	$1, %ecx			/* not page 0 */
2:	movl	%ecx, %eax
	shll	$12, %eax
	orl	$3, %eax
	movl	%eax, boot_pt(, %ecx, 8)
	incl	%ecx
	cmpl	$512, %ecx
	jb	2b
	movl	$boot_pml4, %eax
	movl	%eax, %cr3
	movl	$0x20, %eax			/* PAE */
	movl	%eax, %cr4
	movl	$0xc0000080, %ecx		/* EFER.LME */
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	$0x80010001, %eax		/* PG, WP, PE */
	movl	%eax, %cr0
	lgdt	gdtr
	ljmp	$8, $3f
	.cfi_endproc
	.size	_start, . - _start

	.code64
	.type	start64, @function
start64:
	.cfi_startproc
	.cfi_undefined 16	/* rip: the outermost frame */
3:	movl	$16, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	movl	$boot_stack_top, %esp
	movl	%edi, %edi
	xorl	%ebp, %ebp
	call	kmain
4:	cli
	hlt
	jmp	4b
	.cfi_endproc
	.size	start64, . - start64

	.section .rodata
	.balign	8
gdt:	.quad	0
	.quad	0x00af9b000000ffff		/* 8: 64-bit code */
	.quad	0x00cf93000000ffff		/* 16: data */
gdtr:	.word	23
	.long	gdt
	.section .note.GNU-stack, "", @progbits
