/* SPDX-License-Identifier: MIT */
/* Every exit kind, by a guest of a few instructions. */
#include <cpuid.h>
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "tests.h"

/* What exits with the instruction untouched: RIP at it, its length told. */
static const struct insn {
	const char *name;
	uint8_t len, code[10];
	uint32_t exit;
	uint32_t flags;		 /* cvvtx_run.flags */
	uint64_t qualification;	 /* checked where not 0 */
	uint64_t rax, rcx;
} insns[] = {
	{"cpuid", 2, {0x0f, 0xa2}, 10, 0, 0, 0, 0},
	{"hlt", 1, {0xf4}, 12, 0, 0, 0, 0},
	{"invd", 2, {0x0f, 0x08}, 13, 0, 0, 0, 0},
	{"rdpmc", 2, {0x0f, 0x33}, 15, 0, 0, 0, 0},
	{"rdtsc", 2, {0x0f, 0x31}, 16, 0, 0, 0, 0},
	{"vmcall", 3, {0x0f, 0x01, 0xc1}, 18, 0, 0, 0, 0},
	{"vmlaunch", 3, {0x0f, 0x01, 0xc2}, 20, 0, 0, 0, 0},
	{"vmresume", 3, {0x0f, 0x01, 0xc3}, 24, 0, 0, 0, 0},
	{"vmxoff", 3, {0x0f, 0x01, 0xc4}, 26, 0, 0, 0, 0},
	{"mov cr8, rax", 4, {0x44, 0x0f, 0x22, 0xc0}, 28, 0, 0x008, 5, 0},
	{"mov rcx, cr8", 4, {0x44, 0x0f, 0x20, 0xc1}, 28, 0, 0x118, 0, 0},
	{"out 0x10, al", 2, {0xe6, 0x10}, 30, 0, 0x00100040, 0, 0},
	{"out 0x10, eax", 2, {0xe7, 0x10}, 30, 0, 0x00100043, 0, 0},
	{"in al, 0x60", 2, {0xe4, 0x60}, 30, 0, 0x00600048, 0, 0},
	{"in ax, dx", 2, {0x66, 0xed}, 30, 0, 0x00000009, 0, 0},
	{"outsb", 1, {0x6e}, 30, 0, 0x00000010, 0, 0},
	{"rep insd", 2, {0xf3, 0x6d}, 30, 0, 0x0000003b, 0, 3},
	{"rdmsr tsc", 2, {0x0f, 0x32}, 31, 0, 0, 0, 0x10},
	{"rdmsr apic base", 2, {0x0f, 0x32}, 31, 0, 0, 0, 0x1b},
	{"rdmsr perf counter", 2, {0x0f, 0x32}, 31, 0, 0, 0, 0xc1},
	{"rdmsr unknown", 2, {0x0f, 0x32}, 31, 0, 0, 0, 0x4b564d00},
	{"wrmsr tsc", 2, {0x0f, 0x30}, 32, 0, 0, 0, 0x10},
	{"wrmsr tsc deadline", 2, {0x0f, 0x30}, 32, 0, 0, 0, 0x6e0},
	{"wrmsr x2apic eoi", 2, {0x0f, 0x30}, 32, 0, 0, 0, 0x80b},
	{"wrmsr perf select", 2, {0x0f, 0x30}, 32, 0, 0, 0, 0x186},
	{"sgdt [rax]", 3, {0x0f, 0x01, 0x00}, 46, CVVTX_RUN_DTABLE, 0, DATA, 0},
	{"lidt [rax]", 3, {0x0f, 0x01, 0x18}, 46, CVVTX_RUN_DTABLE, 0, DATA, 0},
	{"sldt eax", 3, {0x0f, 0x00, 0xc0}, 47, CVVTX_RUN_DTABLE, 0, 0, 0},
	{"str eax", 3, {0x0f, 0x00, 0xc8}, 47, CVVTX_RUN_DTABLE, 0, 0, 0},
	{"rdtscp", 3, {0x0f, 0x01, 0xf9}, 51, 0, 0, 0, 0},
	{"wbinvd", 2, {0x0f, 0x09}, 54, 0, 0, 0, 0},
	{"xsetbv", 3, {0x0f, 0x01, 0xd1}, 55, 0, 0, 3, 0},
	{"rdrand eax", 3, {0x0f, 0xc7, 0xf0}, 57, 0, 0, 0, 0},
	{"rdrand r9", 4, {0x49, 0x0f, 0xc7, 0xf1}, 57, 0, 0, 0, 0},
	{"rdseed eax", 3, {0x0f, 0xc7, 0xf8}, 61, 0, 0, 0, 0},
};

static bool host_can(const struct insn *in)
{
	unsigned a, b, c, d;
	if (in->exit == 57)
		return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_RDRND);
	if (in->exit == 61)
		return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_RDSEED);
	return true;
}

static void instruction_that_must_exit_exits_untouched(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, vm_counter()) == 0, "%s", strerror(errno));
	for (size_t i = 0; i < sizeof(insns) / sizeof(insns[0]); i++) {
		const struct insn *in = &insns[i];
		if (!host_can(in))
			continue;
		vm_reset(&vm);
		memset(vm.ram + CODE, 0x90, 64);
		vm_load(&vm, CODE + 3, in->code, in->len);
		vm.ram[CODE + 3 + in->len] = 0xf4;
		vm.run->flags = in->flags;
		vm.run->gpr[RAX] = in->rax;
		vm.run->gpr[RCX] = in->rcx;
		vm.run->gpr[RSI] = vm.run->gpr[RDI] = DATA;
		int rc = vm_go(&vm);
		CHECK(rc == 0 && vm.run->exit == in->exit, "%s: RUN %d, exit %#x, intr %#x", in->name, rc, vm.run->exit,
		      vm.run->intr_info);
		CHECK(vm.run->rip == CODE + 3, "%s: rip %#llx", in->name, (unsigned long long)vm.run->rip);
		CHECK(vm.run->insn_len == in->len, "%s: length %u", in->name, vm.run->insn_len);
		CHECK(vm.run->gpr[RAX] == in->rax && vm.run->gpr[RCX] == in->rcx, "%s: registers", in->name);
		if (in->qualification)
			CHECK(vm.run->qualification == in->qualification, "%s: qualification %#llx", in->name,
			      (unsigned long long)vm.run->qualification);
		if (vm_counter() == CVVTX_COUNTER_BENCH)
			CHECK(vm.run->units == 3, "%s: %llu units", in->name, (unsigned long long)vm.run->units);
		CHECK(vm.run->cs_ar & 0x2000 && vm.run->efer & 0x400, "%s: CS %#x, EFER %#x", in->name, vm.run->cs_ar,
		      vm.run->efer);
	}
	vm_close(&vm);
}

/* What must run in the guest without an exit: the guest goes on to its HLT. */
GUEST(no_exit, "sgdt -16(%rsp)\n"
	       "sldt %eax\n"
	       "mov %cr3, %rax\n mov %rax, %cr3\n invlpg (%rsp)\n"
	       "mov %cr0, %rax\n mov %cr4, %rax\n clts\n"
	       "mov $0xc0000100, %ecx\n xor %edx, %edx\n mov $0x1234, %eax\n wrmsr\n rdmsr\n"
	       "swapgs\n swapgs\n"
	       "mov $3, %eax\n movd %eax, %xmm1\n paddd %xmm1, %xmm1\n movd %xmm1, %ebx\n"
	       "pause\n"
	       "xor %ecx, %ecx\n xgetbv\n mov %eax, %r8d\n"
	       "hlt");

static void common_work_does_not_exit(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, no_exit);
	int rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == 12 && vm.run->rip == CODE + (uint64_t)(guest_no_exit_end - guest_no_exit) - 1,
	      "RUN %d, exit %#x at %#llx, qualification %#llx", rc, vm.run->exit, (unsigned long long)vm.run->rip,
	      (unsigned long long)vm.run->qualification);
	CHECK(vm.run->gpr[RBX] == 6 && vm.run->gpr[8] == 3, "rbx %llx r8 %llx", (unsigned long long)vm.run->gpr[RBX],
	      (unsigned long long)vm.run->gpr[8]);
	struct cvvtx_state s;
	CHECK(ioctl(vm.fd, CVVTX_GET_STATE, &s) == 0 && s.seg[4].base == 0x1234, "FS base %#llx",
	      (unsigned long long)s.seg[4].base);
	vm_close(&vm);
}

/* Exceptions go to the guest's own handlers, and exit where that is asked for. */
static const struct fault {
	const char *name;
	uint8_t len, code[10];
	uint32_t vector, info, error;
	uint64_t qualification;
} faults[] = {
	{"ud2", 2, {0x0f, 0x0b}, 6, 0x80000306, 0, 0},
	{"int3", 1, {0xcc}, 3, 0x80000603, 0, 0},
	{"div ecx", 2, {0xf7, 0xf1}, 0, 0x80000300, 0, 0},
	{"mov ss, ax", 2, {0x8e, 0xd0}, 13, 0x80000b0d, 0xf8, 0},
	{"mov eax, [rbp] not canonical", 3, {0x8b, 0x45, 0x00}, 12, 0x80000b0c, 0, 0},
	{"mov eax, [rdi] not present", 2, {0x8b, 0x07}, 14, 0x80000b0e, 0, 0x123456789000},
	{"mov [rdi], eax not present", 2, {0x89, 0x07}, 14, 0x80000b0e, 2, 0x123456789000},
	{"int1", 1, {0xf1}, 1, 0x80000501, 0, 0},
};

static void set_fault_registers(struct vm *vm)
{
	vm->run->gpr[RAX] = 0xf8;
	vm->run->gpr[RBP] = 0x8000000000000000ull;
	vm->run->gpr[RDI] = 0x123456789000ull;
}

static void exception_goes_to_the_guests_handler(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		const struct fault *f = &faults[i];
		vm_reset(&vm);
		vm_load(&vm, CODE, f->code, f->len);
		set_fault_registers(&vm);
		int rc = vm_go(&vm);
		CHECK(rc == 0 && vm.run->exit == 12 && vm.run->rip == HANDLER(f->vector), "%s: RUN %d, exit %#x at %#llx", f->name,
		      rc, vm.run->exit, (unsigned long long)vm.run->rip);
		if (f->vector == 14)
			CHECK(vm.run->cr2 == f->qualification, "%s: CR2 %#llx", f->name, (unsigned long long)vm.run->cr2);
	}
	vm_close(&vm);
}

static void exception_exits_where_asked(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		const struct fault *f = &faults[i];
		vm_reset(&vm);
		vm_load(&vm, CODE, f->code, f->len);
		set_fault_registers(&vm);
		vm.run->flags = CVVTX_RUN_ALL_EXCEPTIONS;
		int rc = vm_go(&vm);
		/* Bit 12 (NMI unblocking) is told apart. */
		CHECK(rc == 0 && vm.run->exit == 0 && (vm.run->intr_info & ~0x1000u) == f->info, "%s: RUN %d, exit %#x, info %#x",
		      f->name, rc, vm.run->exit, vm.run->intr_info);
		CHECK(vm.run->rip == CODE, "%s: rip %#llx", f->name, (unsigned long long)vm.run->rip);
		if (f->info & 0x800)
			CHECK(vm.run->intr_error == f->error, "%s: error %#x", f->name, vm.run->intr_error);
		if (f->qualification)
			CHECK(vm.run->qualification == f->qualification, "%s: qualification %#llx", f->name,
			      (unsigned long long)vm.run->qualification);
		CHECK(vm.run->cr2 == 0, "%s: CR2 %#llx", f->name, (unsigned long long)vm.run->cr2);
	}
	vm_close(&vm);
}

GUEST(ud2, "ud2");

static void triple_fault_exits(void)
{
	struct vm vm;
	struct cvvtx_state s;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, ud2);
	vm_long_mode(&s);
	s.idtr.limit = 0;
	CHECK(ioctl(vm.fd, CVVTX_SET_STATE, &s) == 0, "errno %d", errno);
	int rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == 2, "RUN %d, exit %#x", rc, vm.run->exit);
	vm_close(&vm);
}

static void access_outside_ram_is_an_mmio_exit(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	static const uint8_t code[] = {
		0xb8, 0x20, 0x00, 0xe0, 0xfe, /* mov eax, 0xfee00020 */
		0x8b, 0x18,		      /* mov ebx, [rax] */
		0xb8, 0x00, 0x00, 0x50, 0x00, /* mov eax, 0x500000: behind RAM */
		0xc6, 0x00, 0x01,	      /* mov byte [rax], 1 */
		0xff, 0xe0,		      /* jmp rax */
	};
	vm_load(&vm, CODE, code, sizeof(code));
	int rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == CVVTX_EXIT_MMIO, "RUN %d, exit %#x", rc, vm.run->exit);
	CHECK(vm.run->gpa == 0xfee00020 && vm.run->gla == 0xfee00020 && vm.run->rip == CODE + 5 && (vm.run->qualification & 7) == 1,
	      "gpa %#llx rip %#llx qualification %#llx", (unsigned long long)vm.run->gpa, (unsigned long long)vm.run->rip,
	      (unsigned long long)vm.run->qualification);
	vm.run->rip += 2;
	rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == CVVTX_EXIT_MMIO && vm.run->gpa == 0x500000 && (vm.run->qualification & 2),
	      "RUN %d, exit %#x, gpa %#llx, qualification %#llx", rc, vm.run->exit, (unsigned long long)vm.run->gpa,
	      (unsigned long long)vm.run->qualification);
	vm.run->rip += 3;
	rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == CVVTX_EXIT_MMIO && vm.run->gpa == 0x500000 && vm.run->rip == 0x500000 &&
		      (vm.run->qualification & 4),
	      "RUN %d, exit %#x, gpa %#llx, qualification %#llx", rc, vm.run->exit, (unsigned long long)vm.run->gpa,
	      (unsigned long long)vm.run->qualification);
	vm_close(&vm);
}

/* mov ax, 0x1234; mov [0x10], ax (DS 0); out 0x80, al; int 0x21 -> the IVT's handler at 2000:0: hlt */
static void real_mode_runs(void)
{
	struct vm vm;
	struct cvvtx_state s;
	static const uint8_t code[] = {0xb8, 0x34, 0x12, 0xa3, 0x10, 0x05, 0xe6, 0x80, 0xcd, 0x21};
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	vm_real_mode(&s);
	CHECK(ioctl(vm.fd, CVVTX_SET_STATE, &s) == 0, "errno %d", errno);
	vm_load(&vm, 0x10000, code, sizeof(code));
	vm_load(&vm, 0x21 * 4, (const uint8_t[]){0x00, 0x00, 0x00, 0x20}, 4);
	vm.ram[0x20000] = 0xf4;
	vm.run->rip = 0;
	vm.run->gpr[RSP] = 0x1000;
	int rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == 30 && vm.run->rip == 6 && vm.run->gpr[RAX] == 0x1234 && vm.run->cs_base == 0x10000,
	      "RUN %d, exit %#x, rip %#llx", rc, vm.run->exit, (unsigned long long)vm.run->rip);
	CHECK(vm.ram[0x510] == 0x34 && vm.ram[0x511] == 0x12, "memory");
	vm.run->rip += 2;
	rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == 12 && vm.run->rip == 0 && vm.run->cs_base == 0x20000, "RUN %d, exit %#x, rip %#llx", rc,
	      vm.run->exit, (unsigned long long)vm.run->rip);
	vm_close(&vm);
}

/* Control registers: what the guest must not do to the host exits, or stays the guest's own. */
GUEST(cr4, "mov %cr4, %rax\n mov %rax, %rbx\n or $0x2000, %rax\n mov %rax, %cr4\n hlt"); /* VMXE */
GUEST(cr0, "mov %cr0, %rax\n or $0x40000000, %rax\n mov %rax, %cr0\n mov %cr0, %rbx\n hlt"); /* CD */

static void control_registers_stay_the_guests(void)
{
	struct vm vm;
	struct cvvtx_state s;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, cr4);
	int rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == 28 && (vm.run->qualification & 0x3f) == 0x04, "RUN %d, exit %#x, qualification %#llx", rc,
	      vm.run->exit, (unsigned long long)vm.run->qualification);
	CHECK((vm.run->gpr[RBX] & 0x2000) == 0, "the guest sees CR4 %#llx", (unsigned long long)vm.run->gpr[RBX]);
	CHECK(ioctl(vm.fd, CVVTX_GET_STATE, &s) == 0 && s.cr4 == 0x40620 && s.cr0 == 0x80050033, "CR4 %#llx CR0 %#llx",
	      (unsigned long long)s.cr4, (unsigned long long)s.cr0);
	vm_reset(&vm);
	LOAD(&vm, cr0);
	rc = vm_go(&vm);
	CHECK(rc == 0 && (vm.run->exit == 28 || (vm.run->exit == 12 && (vm.run->gpr[RBX] & 0x40000000))), "RUN %d, exit %#x", rc,
	      vm.run->exit);
	vm_close(&vm);
}

/* XMM and YMM: the guest's are kept between RUNs, and the process's are its own. */
GUEST(vectors, "paddd %xmm1, %xmm0\n hlt\n pcmpeqd %xmm0, %xmm0\n pcmpeqd %xmm7, %xmm7\n fld1\n hlt");

static void vector_registers_are_kept_apart(void)
{
	struct vm vm;
	struct cvvtx_state s;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, vectors);
	vm_long_mode(&s);
	s.xsave[512] = 2; /* XSTATE_BV: SSE */
	s.xsave[160] = 5;
	s.xsave[176] = 7;
	CHECK(ioctl(vm.fd, CVVTX_SET_STATE, &s) == 0, "errno %d", errno);
	uint64_t mine = 0x1122334455667788ull, after = 0;
	__asm__ volatile("movq %0, %%xmm7" : : "r"(mine) : "xmm7");
	int rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == 12, "RUN %d, exit %#x", rc, vm.run->exit);
	vm.run->rip++;
	long result;
	__asm__ volatile("movq %3, %%xmm7\n syscall\n movq %%xmm7, %1"
			 : "=a"(result), "=r"(after)
			 : "0"(16L), "r"(mine), "D"((long)vm.fd), "S"((long)CVVTX_RUN), "d"(0L)
			 : "rcx", "r11", "memory", "xmm7");
	CHECK(result == 0 && vm.run->exit == 12 && vm.run->rip == CODE + (uint64_t)(guest_vectors_end - guest_vectors) - 1,
	      "RUN %ld, exit %#x", result, vm.run->exit);
	CHECK(after == mine, "xmm7 of the process: %#llx", (unsigned long long)after);
	CHECK(ioctl(vm.fd, CVVTX_GET_STATE, &s) == 0, "errno %d", errno);
	CHECK(s.xsave[160] == 0xff && s.xsave[160 + 7 * 16] == 0xff && s.xsave[160 + 6 * 16] == 0 && (s.xsave[512] & 3) == 3,
	      "xmm0 %x xmm7 %x XSTATE_BV %x", s.xsave[160], s.xsave[160 + 7 * 16], s.xsave[512]);
	vm_close(&vm);
}

static void state_set_is_state_got(void)
{
	struct vm vm;
	struct cvvtx_state s, got;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	vm_long_mode(&s);
	s.star = 0x0023001000000000ull;
	s.lstar = 0xffffffff81000000ull;
	s.cstar = 0xffffffff82000000ull;
	s.sfmask = 0x47700;
	s.kernel_gs_base = 0xffff888000001000ull;
	s.sysenter_cs = 0x10;
	s.sysenter_esp = 0xffffc90000001000ull;
	s.sysenter_eip = 0xffffffff81001000ull;
	s.tsc_aux = 5;
	s.seg[5].base = 0x7f0012345678ull;
	s.xsave[512] = 3;
	for (int i = 160; i < 416; i++)
		s.xsave[i] = (uint8_t)i;
	CHECK(ioctl(vm.fd, CVVTX_SET_STATE, &s) == 0, "errno %d", errno);
	CHECK(ioctl(vm.fd, CVVTX_GET_STATE, &got) == 0, "errno %d", errno);
	const uint8_t *a = (const uint8_t *)&s, *b = (const uint8_t *)&got;
	for (size_t i = 0; i < sizeof(s); i++)
		CHECK(a[i] == b[i], "byte %zu: set %02x, got %02x", i, a[i], b[i]);
	/* And again after the guest has run. */
	vm_load(&vm, CODE, "\xf4", 1);
	int rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == 12, "RUN %d, exit %#x", rc, vm.run->exit);
	CHECK(ioctl(vm.fd, CVVTX_GET_STATE, &got) == 0, "errno %d", errno);
	const size_t mask = offsetof(struct cvvtx_state, xsave) + 28; /* MXCSR_MASK: the processor's, not the guest's */
	const size_t bv = offsetof(struct cvvtx_state, xsave) + 512; /* components at their initial values may drop out */
	for (size_t i = 0; i < sizeof(s); i++)
		CHECK(a[i] == b[i] || (i >= mask && i < mask + 4) || i == bv, "byte %zu after a run: set %02x, got %02x", i, a[i], b[i]);
	vm_close(&vm);
}

/* A task switch by a far jump to a TSS, in protected mode without paging. */
static void task_switch_exits(void)
{
	struct vm vm;
	struct cvvtx_state s;
	static const uint8_t code[] = {0xea, 0, 0, 0, 0, 0x20, 0x00}; /* ljmp $0x20, $0 */
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	vm_long_mode(&s);
	s.cr0 = 0x31;
	s.cr4 = 0;
	s.efer = 0;
	s.seg[1].ar = 0xc09b;
	vm_load(&vm, GDT + 32, "\x67\x00\x00\x51\x01\x89\x00\x00", 8); /* an available 32-bit TSS at 15100h */
	vm_load(&vm, CODE, code, sizeof(code));
	CHECK(ioctl(vm.fd, CVVTX_SET_STATE, &s) == 0, "errno %d", errno);
	int rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == 9 && (vm.run->qualification & 0xffff) == 0x20, "RUN %d, exit %#x, qualification %#llx", rc,
	      vm.run->exit, (unsigned long long)vm.run->qualification);
	vm_close(&vm);
}

#define T(name) {#name, name}
const struct test exit_tests[] = {
	T(instruction_that_must_exit_exits_untouched),
	T(common_work_does_not_exit),
	T(exception_goes_to_the_guests_handler),
	T(exception_exits_where_asked),
	T(triple_fault_exits),
	T(access_outside_ram_is_an_mmio_exit),
	T(real_mode_runs),
	T(control_registers_stay_the_guests),
	T(vector_registers_are_kept_apart),
	T(state_set_is_state_got),
	T(task_switch_exits),
};
const size_t nexit_tests = sizeof(exit_tests) / sizeof(exit_tests[0]);
