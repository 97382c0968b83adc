/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The world switch: int cvvtx_enter(u64 gpr[16] (rdi), bool launched (esi)).
 *
 * Loads the guest's general registers but RSP and enters. An exit continues at cvvtx_exited with the stack as at the entry; the gpr
 * pointer lies on its top. Interrupts are off. 0: an exit; 1: VMLAUNCH or VMRESUME failed (VM-instruction error in the VMCS) or
 * faulted because VMX is off.
 */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/nospec-branch.h>
#include <asm/cpufeatures.h>
#include <asm/ibt.h>
#include <asm/unwind_hints.h>

#define HOST_RSP_FIELD 0x6c14

#define RAX 0x00
#define RCX 0x08
#define RDX 0x10
#define RBX 0x18
#define RBP 0x28
#define RSI 0x30
#define RDI 0x38
#define R(n) (n * 8)

	.text
SYM_FUNC_START(cvvtx_enter)
	push %rbp
	push %rbx
	push %r12
	push %r13
	push %r14
	push %r15
	push %rdi
	mov $HOST_RSP_FIELD, %eax
	vmwrite %rsp, %rax
	test %sil, %sil
	mov RAX(%rdi), %rax
	mov RCX(%rdi), %rcx
	mov RDX(%rdi), %rdx
	mov RBX(%rdi), %rbx
	mov RBP(%rdi), %rbp
	mov RSI(%rdi), %rsi
	mov R(8)(%rdi), %r8
	mov R(9)(%rdi), %r9
	mov R(10)(%rdi), %r10
	mov R(11)(%rdi), %r11
	mov R(12)(%rdi), %r12
	mov R(13)(%rdi), %r13
	mov R(14)(%rdi), %r14
	mov R(15)(%rdi), %r15
	mov RDI(%rdi), %rdi
	UNWIND_HINT_SAVE /* for objtool: no call or jump leads to cvvtx_exited */
	jz 1f
2:	vmresume
	jmp 3f
1:	vmlaunch
3:	mov $1, %eax
	jmp 4f
	_ASM_EXTABLE(1b, 3b)
	_ASM_EXTABLE(2b, 3b)

SYM_INNER_LABEL(cvvtx_exited, SYM_L_GLOBAL)
	UNWIND_HINT_RESTORE
	ENDBR
	cli /* an exit has cleared IF, but Bochs holds interrupts back only when told so */
	push %rdi
	mov 8(%rsp), %rdi
	mov %rax, RAX(%rdi)
	mov %rcx, RCX(%rdi)
	mov %rdx, RDX(%rdi)
	mov %rbx, RBX(%rdi)
	mov %rbp, RBP(%rdi)
	mov %rsi, RSI(%rdi)
	mov %r8, R(8)(%rdi)
	mov %r9, R(9)(%rdi)
	mov %r10, R(10)(%rdi)
	mov %r11, R(11)(%rdi)
	mov %r12, R(12)(%rdi)
	mov %r13, R(13)(%rdi)
	mov %r14, R(14)(%rdi)
	mov %r15, R(15)(%rdi)
	pop %rax
	mov %rax, RDI(%rdi)
#ifdef X86_FEATURE_RSB_VMEXIT
	FILL_RETURN_BUFFER %rcx, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT
#endif
	/* The guest's values must not steer what the host speculates. */
	xor %eax, %eax
	xor %ecx, %ecx
	xor %edx, %edx
	xor %esi, %esi
	xor %r8d, %r8d
	xor %r9d, %r9d
	xor %r10d, %r10d
	xor %r11d, %r11d
4:	pop %rdi
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbx
	pop %rbp
	RET
SYM_FUNC_END(cvvtx_enter)

	.section .note.GNU-stack, "", @progbits
