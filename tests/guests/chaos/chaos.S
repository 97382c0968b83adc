/* SPDX-License-Identifier: MIT */
/*
 * A kernel that runs 64 KiB of bytes which are no program. Whatever they raise, the handler of every vector draws new
 * registers, a new place among the bytes and a new privilege level, and goes on there; control registers are put back
 * as well, so that few runs end in the first shutdown. BITS is 64 or 32. The bytes and the seed are patched in by soup.py.
 */
#ifndef BITS
#define BITS 64
#endif
#define SOUP_BYTES 65536
#define STACK_TOP 0x600000
#define TABLES 0x700000
#define TSS 0x9000

	.section .multiboot, "a"
	.align 4
	.long 0x1badb002, 0, -0x1badb002

	.text
	.code32
	.globl _start
_start:
	cli
	lgdt gdtr
	ljmp $0x18, $1f
1:	mov $0x20, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov %eax, %fs
	mov %eax, %gs
	mov $STACK_TOP, %esp
	/* Page tables: the first 8 MiB by 2 MiB pages, user and writable; PAE's for both widths. */
	mov $TABLES, %edi
	xor %eax, %eax
	mov $0x2000, %ecx
	rep stosl
	movl $(TABLES + 0x1000 + 7), TABLES
	movl $(TABLES + 0x2000 + 7), TABLES + 0x1000
	movl $0x87, TABLES + 0x2000
	movl $0x200087, TABLES + 0x2008
	movl $0x400087, TABLES + 0x2010
	movl $0x600087, TABLES + 0x2018
	/* PDPTEs of 32-bit PAE paging have no R/W and U/S bits. */
	movl $(TABLES + 0x2000 + 1), TABLES + 0x3000
	movl $STACK_TOP, TSS + 4
	movl $0x20, TSS + 8
	call gates
	lidt idtr
	mov $0x38, %ax
	ltr %ax
	call control
#if BITS == 64
	ljmp $0x08, $resume
#else
	jmp resume
#endif

/* CR4, CR3, EFER, CR0 as they should be. */
control:
	mov $0x6a0, %eax	/* PAE, PGE, OSFXSR, OSXMMEXCPT */
	test $1, %bl
	jz 2f
	or $0x40000, %eax	/* OSXSAVE: what CPUID does not have would be #GP */
	push %eax
	mov $1, %eax
	cpuid
	bt $26, %ecx
	pop %eax
	jc 2f
	and $~0x40000, %eax
2:	mov %eax, %cr4
#if BITS == 64
	mov $TABLES, %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx
	mov $0x901, %eax	/* SCE, LME, NXE */
	xor %edx, %edx
	wrmsr
	mov $0x80010033, %eax	/* PG, WP, NE, ET, MP, PE */
#else
	mov $(TABLES + 0x3000), %eax
	mov %eax, %cr3
	mov $0x80010033, %eax
#endif
	mov %eax, %cr0
	ret

/* 256 gates to the 256 stubs; all may be called from ring 3. */
gates:
	mov $idt, %edi
	mov $stubs, %esi
	mov $256, %ecx
3:	mov %esi, %eax
	mov %ax, (%edi)
#if BITS == 64
	movw $0x08, 2(%edi)
#else
	movw $0x18, 2(%edi)
#endif
	movw $0xee00, 4(%edi)
	shr $16, %eax
	mov %ax, 6(%edi)
#if BITS == 64
	movl $0, 8(%edi)
	movl $0, 12(%edi)
	add $16, %edi
#else
	add $8, %edi
#endif
	add $8, %esi
	dec %ecx
	jnz 3b
	ret

	.align 8
stubs:
	.rept 256
	.align 8
	jmp entry
	.endr

#if BITS == 64
	.code64
#define A(x) %r##x
#else
#define A(x) %e##x
#endif

/* An event: nothing of the old context matters. */
entry:
	cld
#if BITS == 64
	mov $STACK_TOP, %rsp
#else
	mov $0x20, %ax
	mov %ax, %ss
	mov $STACK_TOP, %esp
	mov %ax, %ds
	mov %ax, %es
#endif
	/* The local APIC, if the event was an interrupt's; its page is not mapped, so by MSR alone: leave it. */
	mov $0x20, %al
	out %al, $0x20
	out %al, $0xa0
resume:
#if BITS == 64
	mov $STACK_TOP, %rsp
	mov $0x20, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov %eax, %fs
	mov %eax, %gs
	mov $0x6a0, %eax
	mov %rax, %cr4
	mov $TABLES, %eax
	mov %rax, %cr3
	mov $0x80010033, %eax
	mov %rax, %cr0
	xor %eax, %eax
	mov %rax, %dr7
	lidt idtr64
	lgdt gdtr64
	movb $0x89, gdt + 0x38 + 5
	mov $0x38, %ax
	ltr %ax
#else
	xor %ebx, %ebx
	call control
	xor %eax, %eax
	mov %eax, %dr7
	mov $0x20, %ax
	mov %ax, %fs
	mov %ax, %gs
	lidt idtr
	lgdt gdtr
	movb $0x89, gdt + 0x38 + 5
	mov $0x38, %ax
	ltr %ax
#endif
	fninit
	call draw
	/* The frame: SS, SP, FLAGS, CS, IP. Half of the time in ring 3. */
	test $1, %al
	jz 4f
#if BITS == 64
	push $0x33
	push $(STACK_TOP - 0x8000)
#else
	push $0x33
	push $(STACK_TOP - 0x8000)
#endif
	jmp 5f
4:
#if BITS == 64
	push $0x20
	push $(STACK_TOP - 0x4000)
#endif
5:	call draw
	and $0x247ed5, %eax	/* TF, IF, NT stay clear below; AC, IOPL, DF, arithmetic */
	or $0x2, %eax
	and $~0x4100, %eax
	push A(ax)
	mov seed, %ecx
#if BITS == 64
	cmpq $0x33, 16(%rsp)
	je 6f
	push $0x08
	jmp 7f
6:	push $0x2b
#else
	cmpl $(STACK_TOP - 0x8000), 4(%esp)
	je 6f
	push $0x18
	jmp 7f
6:	push $0x43
#endif
7:	call draw
	and $(SOUP_BYTES - 1), %eax
	add $soup, %eax
	push A(ax)
#define DRAW(x) call draw; mov A(ax), A(x)
	DRAW(bx)
	DRAW(cx)
	and $0xff, %ecx
	DRAW(si)
	and $0xffff, %esi
	add $soup, %esi
	DRAW(di)
	and $0xffff, %edi
	add $0x500000, %edi
	DRAW(bp)
	and $0x7fffff, %ebp
	call draw
#if BITS == 64
	mov %rax, %r8
	mov %rbx, %r9
	mov $0x500000, %r10d
	mov $soup, %r11d
	mov $1, %r12d
	mov $-1, %r13
	mov %rdi, %r14
	xor %r15d, %r15d
	iretq
#else
	iret
#endif

/* EAX: 32 bits of a generator whose state lies where the soup may find it too; that is no loss. Keeps the rest. */
draw:
	mov seed, %eax
	mov %eax, %edx
	shl $13, %edx
	xor %edx, %eax
	mov %eax, %edx
	shr $17, %edx
	xor %edx, %eax
	mov %eax, %edx
	shl $5, %edx
	xor %edx, %eax
	mov %eax, seed
	ret

	.data
	.align 16
gdt:	.quad 0
	.quad 0x00af9b000000ffff	/* 08: 64-bit code */
	.quad 0
	.quad 0x00cf9b000000ffff	/* 18: 32-bit code */
	.quad 0x00cf93000000ffff	/* 20: data */
	.quad 0x00affb000000ffff	/* 28: 64-bit code, ring 3 */
	.quad 0x00cff3000000ffff	/* 30: data, ring 3 */
	.word 0x67, TSS, 0x8900, 0	/* 38: TSS, below 64 KiB */
	.quad 0x00cffb000000ffff	/* 40: 32-bit code, ring 3 */
	.quad 0
gdtr:	.word . - gdt - 1
	.long gdt
gdtr64:	.word 79
	.long gdt, 0
idtr:	.word 4095
	.long idt
idtr64:	.word 4095
	.long idt, 0
	.globl seed
seed:	.long 0x12345678
	.align 4096
	.globl soup
soup:	.fill SOUP_BYTES, 1, 0xcc
	.bss
	.align 4096
idt:	.skip 4096
