/* SPDX-License-Identifier: MIT */
/* What a kernel does for a program: signals and their codes, single-stepping, watchpoints, mappings, threads, code that changes. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static sigjmp_buf back;
static volatile int got_signal, got_code;
static uint8_t *volatile got_address;

static void handler(int sig, siginfo_t *info, void *context)
{

	(void)context;
	got_signal = sig;
	got_code = info->si_code;
	got_address = info->si_addr;
	siglongjmp(back, 1);
}

static uint8_t *area; /* three pages: read-write, read-only, none */

#define SIGNAL(what, statement) \
	do { \
		got_signal = got_code = 0; \
		if (!sigsetjmp(back, 1)) { \
			statement; \
		} \
		printf("%s: signal %d code %d\n", what, got_signal, got_code); \
	} while (0)

static void signals(void)
{
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_NODEFER};
	volatile int zero = 0, one = 1;
	static const int all[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};

	for (unsigned k = 0; k < 5; k++)
		sigaction(all[k], &sa, NULL);
	area = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(area + 4096, 4096, PROT_READ);
	mprotect(area + 8192, 4096, PROT_NONE);
	SIGNAL("division", one /= zero);
	SIGNAL("ud2", __asm__ volatile("ud2"));
	SIGNAL("int3", __asm__ volatile("int3"));
	SIGNAL("write to read-only", area[4096 + 5] = 1);
	printf("at %td\n", got_address - area);
	SIGNAL("read of none", one = area[8192 + 7]);
	printf("at %td\n", got_address - area);
	SIGNAL("crossing read", __asm__ volatile("movq %0, %%rax" : : "m"(area[8192 - 3]) : "rax"));
	printf("at %td\n", got_address - area);
	SIGNAL("null", *(volatile char *)8 = 1);
	SIGNAL("non-canonical", *(volatile char *)0x1234567800000000ull = 1);
	SIGNAL("run data", ((void (*)(void))area)());
	printf("at %td\n", got_address - area);
	SIGNAL("hlt", __asm__ volatile("hlt"));
	SIGNAL("int 0x99", __asm__ volatile("int $0x99"));
	SIGNAL("sse exception", ({
		uint32_t m = 0x1f80 & ~0x200u;
		__asm__ volatile("ldmxcsr %0\n xorps %%xmm0, %%xmm0\n movl $1, %%eax\n cvtsi2ss %%eax, %%xmm1\n divss %%xmm0, %%xmm1"
				 : : "m"(m) : "eax", "xmm0", "xmm1");
	}));
	__asm__ volatile("ldmxcsr %0" : : "m"((uint32_t){0x1f80}));
	SIGNAL("x87 exception", ({
		uint16_t m = 0x37b;
		__asm__ volatile("fldcw %0\n fld1\n fldz\n fdivrp\n fwait" : : "m"(m));
	}));
	__asm__ volatile("fninit");
	SIGNAL("alignment", __asm__ volatile("pushfq\n orl $0x40000, (%%rsp)\n popfq\n movl 1(%0), %%eax" : : "r"(area) : "rax", "cc"));
	__asm__ volatile("pushfq\n andl $~0x40000, (%%rsp)\n popfq" : : : "cc", "memory");
	SIGNAL("trap flag", __asm__ volatile("pushfq\n orl $0x100, (%%rsp)\n popfq\n nop\n nop" : : : "cc", "memory"));
}

static long watched;
static volatile int turns;

static void child(void)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	__asm__ volatile("movl $100, %%ecx\n 1: imull $3, %%eax\n decl %%ecx\n jnz 1b\n movl $20, %%ecx\n leaq -64(%%rsp), %%rdi\n"
			 "rep stosb\n syscall" : : "a"(39) : "rcx", "rdi", "r11", "memory");
	for (turns = 0; turns < 5; turns++)
		watched += turns;
	_exit(7);
}

static void tracing(void)
{
	struct user_regs_struct regs;
	int status, steps = 0, hits = 0;
	uint64_t loop = 0, last = 0;
	pid_t pid = fork();

	if (pid == 0)
		child();
	waitpid(pid, &status, 0);
	for (; steps < 20000 && WIFSTOPPED(status) && loop < 100; steps++) {
		ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL);
		waitpid(pid, &status, 0);
		ptrace(PTRACE_GETREGS, pid, NULL, &regs);
		loop = regs.rip == last ? loop : loop + (last - regs.rip == 5);
		last = regs.rip;
		if ((uint32_t)regs.rcx == 0 && loop > 90)
			break;
	}
	printf("single-stepped a loop: %d\n", steps > 250 && loop > 90);
	ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[0]), &watched);
	ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[7]), (void *)(1ull | 0x9ull << 16)); /* 8 bytes, write */
	for (;;) {
		ptrace(PTRACE_CONT, pid, NULL, NULL);
		waitpid(pid, &status, 0);
		if (!WIFSTOPPED(status))
			break;
		hits += WSTOPSIG(status) == SIGTRAP;
	}
	printf("watchpoint hits %d, exit %d\n", hits, WEXITSTATUS(status));
}

static void changing_code(void)
{
	uint8_t *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t total = 0;

	for (uint32_t k = 0; k < 20000; k++) {
		uint8_t *at = p + 4090 + k % 5; /* over the page's end too */

		at[0] = 0xb8;
		memcpy(at + 1, &k, 4);
		at[5] = 0xc3;
		total = total * 31 + ((uint32_t(*)(void))at)();
	}
	/* mov $0, %eax whose operand the instruction before it writes */
	memcpy(p, "\xc7\x05\x01\x00\x00\x00\x78\x56\x34\x12\xb8\x00\x00\x00\x00\xc3", 16);
	printf("changing code %016llx %x\n", (unsigned long long)total, ((uint32_t(*)(void))p)());
}

static void mappings(void)
{
	uint64_t total = 0, seed = 12345;

	for (int k = 0; k < 300; k++) {
		size_t n = (seed >> 20) % 40 + 1;
		uint8_t *p = mmap(NULL, n * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		for (size_t i = 0; i < n; i++)
			p[i * 4096 + (seed >> 30) % 4096] = (uint8_t)(i + (size_t)k);
		mprotect(p, n * 4096, PROT_READ);
		for (size_t i = 0; i < n * 4096; i += 97)
			total = total * 7 + p[i];
		mprotect(p, n * 4096, PROT_READ | PROT_WRITE);
		p[0] = 1;
		munmap(p, n * 4096);
		seed = seed * 6364136223846793005ull + 1;
	}
	for (int k = 0; k < 10; k++) {
		int status;

		if (fork() == 0) { /* copy on write */
			area[0] = (uint8_t)k;
			_exit(area[0] + 1);
		}
		wait(&status);
		total = total * 3 + (uint64_t)WEXITSTATUS(status) + area[0];
	}
	printf("mappings %016llx\n", (unsigned long long)total);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t counter, atomic;
static __thread double mine;

static void *worker(void *arg)
{
	mine = (double)(intptr_t)arg;
	for (int k = 0; k < 20000; k++) {
		pthread_mutex_lock(&lock);
		counter += (uint64_t)k;
		pthread_mutex_unlock(&lock);
		__atomic_add_fetch(&atomic, 3, __ATOMIC_SEQ_CST);
		mine = mine * 1.5 + 1;
		if (mine > 1e100)
			mine /= 1e100;
		if (k % 1000 == 0)
			usleep(1);
	}
	return (void *)(uintptr_t)(mine * 1000);
}

static void threads(void)
{
	pthread_t t[4];
	uint64_t total = 0;

	for (intptr_t k = 0; k < 4; k++)
		pthread_create(&t[k], NULL, worker, (void *)(k + 1));
	for (int k = 0; k < 4; k++) {
		void *r;

		pthread_join(t[k], &r);
		total += (uintptr_t)r * (uint64_t)(k + 1);
	}
	printf("threads %llu %llu %016llx\n", (unsigned long long)counter, (unsigned long long)atomic, (unsigned long long)total);
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	signals();
	tracing();
	changing_code();
	mappings();
	threads();
	return 0;
}
