/* SPDX-License-Identifier: MIT */
/* See vm.h. */
#define _GNU_SOURCE
#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void put64(struct vm *vm, uint32_t addr, uint64_t v)
{
	memcpy(vm->ram + addr, &v, sizeof(v));
}

/* Identity map of 4 GiB in 2M pages, accessed and dirty from the start so that the CPU writes nothing there. */
static void build_tables(struct vm *vm)
{
	enum { PRESENT_WRITABLE_ACCESSED = 0x23, LARGE_DIRTY = 0xc0 };
	uint32_t pdpt = PML4 + 0x1000, pd = 0x16000;
	put64(vm, PML4, pdpt | PRESENT_WRITABLE_ACCESSED);
	for (uint32_t g = 0; g < 4; g++) {
		put64(vm, pdpt + 8 * g, (pd + 0x1000 * g) | PRESENT_WRITABLE_ACCESSED);
		for (uint32_t i = 0; i < 512; i++)
			put64(vm, pd + 0x1000 * g + 8 * i,
			      ((uint64_t)g << 30) | ((uint64_t)i << 21) | PRESENT_WRITABLE_ACCESSED | LARGE_DIRTY);
	}
	put64(vm, GDT + 8, 0x00af9b000000ffffull);
	put64(vm, GDT + 16, 0x00cf93000000ffffull);
	put64(vm, GDT + 24, 0x00008b0000000067ull | ((uint64_t)TSS << 16));
	for (uint32_t v = 0; v < 256; v++) {
		put64(vm, IDT + 16 * v, 0x00008e0000080000ull | (HANDLER(v) & 0xffff) | ((uint64_t)(HANDLER(v) >> 16) << 48));
		put64(vm, IDT + 16 * v + 8, 0);
		vm->ram[HANDLER(v)] = 0xf4;
	}
}

void vm_info(struct cvvtx_info *info)
{
	memset(info, 0, sizeof(*info));
	info->version = CVVTX_ABI_VERSION;
	int fd = open(CVVTX_DEVICE, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		ioctl(fd, CVVTX_INFO, info);
		close(fd);
	}
}

uint32_t vm_counter(void)
{
	struct cvvtx_info info;
	vm_info(&info);
	return info.features & CVVTX_HAS_EXACT_TIMER ? CVVTX_COUNTER_BENCH : CVVTX_COUNTER_NONE;
}

int vm_open_on(struct vm *vm, unsigned mib, uint32_t counter, unsigned memfd_flags)
{
	memset(vm, 0, sizeof(*vm));
	vm->size = (size_t)mib * MIB;
	vm->memory = memfd_create("ram", MFD_CLOEXEC | memfd_flags);
	vm->fd = open(CVVTX_DEVICE, O_RDWR | O_CLOEXEC);
	vm->ram = MAP_FAILED;
	void *shared = MAP_FAILED;
	if (vm->memory >= 0 && ftruncate(vm->memory, (off_t)vm->size) == 0)
		vm->ram = mmap(NULL, vm->size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->memory, 0);
	struct cvvtx_create c = {.version = CVVTX_ABI_VERSION,
				 .counter = counter,
				 .ram = (uintptr_t)vm->ram,
				 .ram_size = vm->size,
				 .ram_low = vm->size,
				 .xcr0_allowed = 3};
	struct cvvtx_info info;
	vm_info(&info);
	if (info.features & CVVTX_HAS_AVX)
		c.xcr0_allowed = 7;
	if (vm->ram != MAP_FAILED && vm->fd >= 0 && ioctl(vm->fd, CVVTX_CREATE, &c) == 0)
		shared = mmap(NULL, CVVTX_MMAP_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vm->fd, 0);
	if (shared == MAP_FAILED) {
		int err = errno;
		vm_close(vm);
		errno = err;
		return -1;
	}
	vm->run = shared;
	vm->ring = (void *)((uint8_t *)shared + CVVTX_MMAP_RING);
	vm->dirty = (void *)((uint8_t *)shared + CVVTX_MMAP_DIRTY);
	build_tables(vm);
	vm_reset(vm);
	return 0;
}

int vm_open(struct vm *vm, unsigned mib, uint32_t counter)
{
	return vm_open_on(vm, mib, counter, 0);
}

void vm_close(struct vm *vm)
{
	if (vm->run)
		munmap(vm->run, CVVTX_MMAP_SIZE);
	if (vm->fd >= 0)
		close(vm->fd);
	if (vm->ram != MAP_FAILED)
		munmap(vm->ram, vm->size);
	if (vm->memory >= 0)
		close(vm->memory);
	vm->run = NULL;
	vm->fd = vm->memory = -1;
}

void vm_load(struct vm *vm, uint32_t addr, const void *code, size_t len)
{
	memcpy(vm->ram + addr, code, len);
}

static void common_state(struct cvvtx_state *s)
{
	memset(s, 0, sizeof(*s));
	s->pat = 0x0007040600070406ull;
	s->xcr0 = 1;
	s->xsave[0] = 0x7f;
	s->xsave[1] = 0x03;
	s->xsave[24] = 0x80;
	s->xsave[25] = 0x1f;
}

void vm_long_mode(struct cvvtx_state *s)
{
	common_state(s);
	for (int i = 0; i < 6; i++)
		s->seg[i] = (struct cvvtx_seg){.limit = 0xffffffff, .ar = 0xc093, .sel = 0x10};
	s->seg[1] = (struct cvvtx_seg){.limit = 0xffffffff, .ar = 0xa09b, .sel = 0x08};
	s->seg[6] = (struct cvvtx_seg){.ar = 0x10000};
	s->seg[7] = (struct cvvtx_seg){.base = TSS, .limit = 0x67, .ar = 0x8b, .sel = 0x18};
	s->gdtr = (struct cvvtx_dtr){.base = GDT, .limit = 0x27};
	s->idtr = (struct cvvtx_dtr){.base = IDT, .limit = 0xfff};
	s->cr0 = 0x80050033;
	s->cr3 = PML4;
	s->cr4 = 0x40620; /* PAE, OSFXSR, OSXMMEXCPT, OSXSAVE */
	s->efer = 0x500;
	s->xcr0 = 3;
}

void vm_real_mode(struct cvvtx_state *s)
{
	common_state(s);
	for (int i = 0; i < 6; i++)
		s->seg[i] = (struct cvvtx_seg){.limit = 0xffff, .ar = 0x93};
	s->seg[1] = (struct cvvtx_seg){.base = 0x10000, .limit = 0xffff, .ar = 0x9b, .sel = 0x1000};
	s->seg[6] = (struct cvvtx_seg){.limit = 0xffff, .ar = 0x82};
	s->seg[7] = (struct cvvtx_seg){.limit = 0xffff, .ar = 0x8b};
	s->idtr = (struct cvvtx_dtr){.limit = 0x3ff};
	s->cr0 = 0x30;
}

void vm_reset(struct vm *vm)
{
	struct cvvtx_state s;
	vm_long_mode(&s);
	ioctl(vm->fd, CVVTX_SET_STATE, &s);
	memset(vm->run, 0, sizeof(*vm->run));
	vm->run->budget = CVVTX_COUNT_NONE;
	vm->run->gpr[RSP] = STACK;
	vm->run->rip = CODE;
	vm->run->rflags = 2;
	vm->run->dr[6] = 0xffff0ff0;
	vm->run->dr[7] = 0x400;
}

int vm_run(struct vm *vm)
{
	return ioctl(vm->fd, CVVTX_RUN) < 0 ? -errno : 0;
}

int vm_go(struct vm *vm)
{
	uint64_t units = 0, budget = vm->run->budget;
	for (;;) {
		int rc = vm_run(vm);
		bool left = rc == -EINTR || (rc == 0 && vm->run->exit == CVVTX_EXIT_SIGNAL);
		if (!left) {
			vm->run->units += units;
			return rc;
		}
		/* The rest of the budget, and the event whose delivery was broken off. */
		units += vm->run->units;
		if (budget != CVVTX_COUNT_NONE)
			vm->run->budget = budget - units;
		if (vm->run->vector_info >> 31) {
			vm->run->inject = vm->run->vector_info;
			vm->run->inject_error = vm->run->vector_error;
			vm->run->inject_len = vm->run->insn_len;
		}
	}
}

static bool failed;

void check_failed(const char *file, int line, const char *cond, const char *fmt, ...)
{
	va_list ap;
	failed = true;
	printf("  %s:%d: %s: ", strrchr(file, '/') ? strrchr(file, '/') + 1 : file, line, cond);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

/* In a process of its own, for 30 s at most: what hangs is killed, and the next test goes on. */
static bool run_test(const struct test *t)
{
	sigset_t child;
	const struct timespec limit = {.tv_sec = 30};
	int status;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		sigprocmask(SIG_UNBLOCK, &child, NULL);
		t->fn();
		fflush(stdout);
		_exit(failed);
	}
	if (sigtimedwait(&child, NULL, &limit) < 0) {
		printf("  %s: no end after 30 s\n", t->name);
		kill(pid, SIGKILL);
	}
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		printf("  %s: ended by signal %d\n", t->name, WTERMSIG(status));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int run_tests(const struct test *tests, size_t n, const char *only)
{
	int failures = 0;
	for (size_t i = 0; i < n; i++) {
		if (only && !strstr(tests[i].name, only))
			continue;
		bool passed = run_test(&tests[i]);
		printf("%s %s\n", passed ? "pass" : "FAIL", tests[i].name);
		failures += !passed;
	}
	return failures;
}
