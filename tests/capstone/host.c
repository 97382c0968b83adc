/* SPDX-License-Identifier: MIT */
/*
 * Asking the host CPU how long an instruction is. Its first k bytes are put at the end of an executable page that no page
 * follows: while the CPU wants more it faults on the fetch; the first k for which it does anything else is the length.
 * It runs with TF set, so it is the only one that runs. 16- and 32-bit code runs in segments of the process's LDT.
 */
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "tests/capstone/host.h"

enum { CODE = 0x10000000, STACK = 0x10100000, PAGE = 4096, ALT_STACK = 65536 };
enum { TRAP_UD = 6, TRAP_GP = 13, TRAP_PF = 14, PF_FETCH = 16, TF = 0x100 };

struct host {
	ucontext_t home;
	uint8_t home_fp[416]; /* x87, MXCSR and XMM of the FXSAVE image */
	unsigned long fs_base;
	uint64_t rip;		 /* where the probe starts, as the probed code segment counts */
	unsigned cs;
	volatile bool running;
	volatile int trap;
	volatile uint64_t error, address, at;
};

/* A signal handler has no other way to learn of it. */
static struct host *the_host;

static long syscall2(long nr, long a, long b)
{
	long r;

	__asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(a), "S"(b) : "rcx", "r11", "memory");
	return r;
}

/* SIGUSR1 enters the probe; whatever it raises comes back. The probe may have changed FS, on which C code relies. */
static __attribute__((no_stack_protector)) void on_signal(int sig, siginfo_t *info, void *context)
{
	struct host *h = the_host;
	ucontext_t *uc = context;
	greg_t *g = uc->uc_mcontext.gregs;

	(void)info;
	syscall2(SYS_arch_prctl, ARCH_SET_FS, (long)h->fs_base);
	if (sig == SIGUSR1) {
		h->home.uc_mcontext = uc->uc_mcontext;
		memcpy(h->home_fp, uc->uc_mcontext.fpregs, sizeof(h->home_fp));
		for (int r = REG_R8; r <= REG_RCX; r++)
			g[r] = 0;
		g[REG_RSP] = STACK + PAGE / 2;
		g[REG_RIP] = (greg_t)h->rip;
		g[REG_EFL] = TF | 2;
		if (h->cs)
			g[REG_CSGSFS] = (greg_t)(((uint64_t)g[REG_CSGSFS] & ~0xffffull) | h->cs);
		/* A store through FS would land in the thread's own block. */
		syscall2(SYS_arch_prctl, ARCH_SET_FS, 0);
		h->running = true;
		return;
	}
	if (!h->running)
		_exit(99);
	h->running = false;
	h->trap = sig == SIGTRAP ? 1 : (int)g[REG_TRAPNO];
	h->error = (uint64_t)g[REG_ERR];
	h->address = (uint64_t)g[REG_CR2];
	h->at = (uint64_t)g[REG_RIP];
	memcpy(uc->uc_mcontext.fpregs, h->home_fp, sizeof(h->home_fp));
	memcpy(g, h->home.uc_mcontext.gregs, sizeof(gregset_t));
}

static bool code_segment(unsigned entry, uint64_t base, bool big)
{
	struct user_desc d = {.entry_number = entry, .base_addr = (unsigned)base, .limit = big ? 0xfffff : 0xffff,
			      .seg_32bit = big, .contents = MODIFY_LDT_CONTENTS_CODE, .limit_in_pages = big, .useable = 1};

	return syscall(SYS_modify_ldt, 1, &d, sizeof(d)) == 0;
}

struct host *host_new(void)
{
	static const int signals[] = {SIGUSR1, SIGSEGV, SIGILL, SIGFPE, SIGBUS, SIGTRAP, SIGSYS};
	struct host *h = calloc(1, sizeof(*h));
	stack_t alt = {.ss_sp = malloc(ALT_STACK), .ss_size = ALT_STACK};
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

	if (!h || !alt.ss_sp ||
	    mmap((void *)(intptr_t)CODE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED ||
	    mmap((void *)(intptr_t)(CODE + PAGE), PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		 0) == MAP_FAILED ||
	    mmap((void *)(intptr_t)STACK, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		 0) == MAP_FAILED ||
	    !code_segment(0, 0, true) || !code_segment(1, CODE, false) || sigaltstack(&alt, NULL) ||
	    syscall(SYS_arch_prctl, ARCH_GET_FS, &h->fs_base)) {
		free(alt.ss_sp);
		free(h);
		return NULL;
	}
	the_host = h;
	for (unsigned k = 0; k < sizeof(signals) / sizeof(signals[0]); k++)
		sigaction(signals[k], &sa, NULL);
	return h;
}

/* Would it enter the kernel, or change what the kernel keeps for the process? */
static bool leaves(const uint8_t *p, unsigned n)
{
	unsigned k = 0;

	while (k < n && memchr("\xf0\xf2\xf3\x66\x67\x2e\x36\x3e\x26\x64\x65", p[k], 11))
		k++;
	while (k < n && (p[k] & 0xf0) == 0x40)
		k++;
	if (k + 1 >= n)
		return false;
	return (p[k] == 0x0f && (p[k + 1] == 0x05 || p[k + 1] == 0x34)) || (p[k] == 0xcd && p[k + 1] == 0x80);
}

enum host_verdict host_ask(struct host *h, const uint8_t p[15], unsigned mode, unsigned *len)
{
	h->cs = mode == 64 ? 0 : mode == 32 ? 7 : 15; /* LDT, RPL 3 */
	for (unsigned s = 0; s < 15; s++)
		if (leaves(p + s, 15 - s))
			return HOST_UNKNOWN;
	for (unsigned k = 1; k <= 15; k++) {
		uint64_t start = CODE + PAGE - k;

		memcpy((void *)(intptr_t)start, p, k);
		h->rip = mode == 16 ? start - CODE : start;
		raise(SIGUSR1);
		*len = k;
		if (h->trap == TRAP_PF && h->error & PF_FETCH && h->at == h->rip && h->address == CODE + PAGE)
			continue;
		if (h->trap == TRAP_UD)
			return HOST_INVALID;
		return HOST_VALID;
	}
	return HOST_LONG;
}
