/* SPDX-License-Identifier: MIT */
/*
 * Entry points of vectors 0 to 47: save a struct trap_frame and call trap(). The CFI describes what is saved, so that a
 * debugger's backtrace goes through an interrupt to what it interrupted.
 */
	.text
	.macro	entry vector
	.balign	16
	.type	trap_\vector, @function
trap_\vector:
	.cfi_startproc simple
	.cfi_signal_frame
	.if	\vector == 8 || (\vector >= 10 && \vector <= 14) || \vector == 17 || \vector == 21
	.cfi_def_cfa rsp, 48
	.else
	.cfi_def_cfa rsp, 40
	.cfi_offset rip, -40
	.cfi_offset rsp, -16
	pushq	$0
	.cfi_adjust_cfa_offset 8
	.endif
	.cfi_offset rip, -40
	.cfi_offset rsp, -16
	pushq	$\vector
	.cfi_adjust_cfa_offset 8
	jmp	trap_common
	.cfi_endproc
	.size	trap_\vector, . - trap_\vector
	.endm

	.altmacro
	.set	i, 0
	.rept	48
	entry	%i
	.set	i, i + 1
	.endr

	.macro	save reg
	pushq	%\reg
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset \reg, 0
	.endm
	.macro	restore reg
	popq	%\reg
	.cfi_adjust_cfa_offset -8
	.cfi_restore \reg
	.endm

	.balign	16
	.type	trap_common, @function
trap_common:
	.cfi_startproc simple
	.cfi_signal_frame
	.cfi_def_cfa rsp, 56
	.cfi_offset rip, -40
	.cfi_offset rsp, -16
	save	rax
	save	rcx
	save	rdx
	save	rbx
	save	rbp
	save	rsi
	save	rdi
	save	r8
	save	r9
	save	r10
	save	r11
	save	r12
	save	r13
	save	r14
	save	r15
	cld
	movq	%rsp, %rdi
	call	trap
	restore	r15
	restore	r14
	restore	r13
	restore	r12
	restore	r11
	restore	r10
	restore	r9
	restore	r8
	restore	rdi
	restore	rsi
	restore	rbp
	restore	rbx
	restore	rdx
	restore	rcx
	restore	rax
	addq	$16, %rsp
	.cfi_adjust_cfa_offset -16
	iretq
	.cfi_endproc
	.size	trap_common, . - trap_common

	.section .rodata
	.balign	8
	.global	trap_entries
	.type	trap_entries, @object
trap_entries:
	.macro	address vector
	.quad	trap_\vector
	.endm
	.set	i, 0
	.rept	48
	address	%i
	.set	i, i + 1
	.endr
	.size	trap_entries, . - trap_entries
	.section .note.GNU-stack, "", @progbits
