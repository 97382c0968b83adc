/* SPDX-License-Identifier: MIT */
/*
 * The native side: a child process that loads a state, jumps into the window of code, and saves the state that is there
 * when it comes back: by the jump behind the encoding, or by a signal. No system call is made where nothing faults.
 *
 * Low memory of the child (addresses below 2 GiB, so that the stubs name them without a register):
 *   NAT_LANDING  page of stubs, copied there: landing, enter (+400h), recover (+600h), landing from 32-bit mode (+800h)
 *   NAT_IN, NAT_OUT  the states;  NAT_STUB  what the stubs keep: see struct stub
 * A signal's handler runs on a stack of its own, copies the state that the kernel saved, and returns to `recover`. FS and GS
 * bases are the case's while it runs, so everything until they are the host's again is assembly. A timer ends what hangs.
 */
#include <cpuid.h>
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#undef F_LOCK /* of <unistd.h>; the decoder has a flag of that name */

#include "tests/native/native.h"

enum { STUB_XSAVE = 1, STUB_FSGSBASE = 2 };

struct stub { /* at NAT_STUB; the assembly knows the offsets */
	uint64_t rsp, fs;
	uint32_t far_offset;
	uint16_t far_selector, pad;
	uint32_t flags, mode; /* 24, 28 */
	uint32_t in_native, mxcsr; /* 32, 36 */
	uint64_t gs;	      /* 40 */
	uint64_t cases;	      /* 48: counts */
};

extern const uint8_t native_stubs[], native_stubs_end[];
void native_on_signal_entry(int sig, siginfo_t *info, void *context);
void native_on_signal(int sig, siginfo_t *info, void *context, uint64_t fs, uint64_t gs, uint64_t data_selectors);

#define IN "0x1c010000"
#define OUT "0x1c010400"
#define STUB "0x1c010800"
#define RECOVER (NAT_LANDING + 0x600)
#define ENTER (NAT_LANDING + 0x400)

#define LOAD_GPRS \
	"	mov " IN "+840,%rcx; mov " IN "+848,%rdx; mov " IN "+856,%rbx; mov " IN "+864,%rsp; mov " IN "+872,%rbp\n" \
	"	mov " IN "+880,%rsi; mov " IN "+888,%rdi; mov " IN "+896,%r8; mov " IN "+904,%r9; mov " IN "+912,%r10\n" \
	"	mov " IN "+920,%r11; mov " IN "+928,%r12; mov " IN "+936,%r13; mov " IN "+944,%r14; mov " IN "+952,%r15\n" \
	"	mov " IN "+832,%rax\n"

__asm__(".text\n"
	".balign 64\n"
	"native_stubs:\n"
	/* landing: everything into OUT */
	"	mov %rax," OUT "+832; mov %rcx," OUT "+840; mov %rdx," OUT "+848; mov %rbx," OUT "+856; mov %rsp," OUT "+864\n"
	"	mov %rbp," OUT "+872; mov %rsi," OUT "+880; mov %rdi," OUT "+888; mov %r8," OUT "+896; mov %r9," OUT "+904\n"
	"	mov %r10," OUT "+912; mov %r11," OUT "+920; mov %r12," OUT "+928; mov %r13," OUT "+936; mov %r14," OUT "+944\n"
	"	mov %r15," OUT "+952\n"
	"	mov " STUB ",%rsp\n"
	"	pushfq; pop " OUT "+960\n"
	"	pushq $0x202; popfq\n"
	"	mov $7,%eax; xor %edx,%edx\n"
	"	testb $1," STUB "+24; jz 1f\n"
	"	xsave64 " OUT "\n"
	"	jmp 2f\n"
	"1:	fxsave64 " OUT "\n"
	"2:	testb $2," STUB "+24; jz 3f\n"
	"	rdfsbase %rax; mov %rax," OUT "+976; rdgsbase %rax; mov %rax," OUT "+984\n"
	"3:	mov %es," OUT "+992; mov %cs," OUT "+994; mov %ss," OUT "+996; mov %ds," OUT "+998\n"
	"	mov %fs," OUT "+1000; mov %gs," OUT "+1002\n"
	"	movl $-1," OUT "+1008\n"
	"	mov $0x1c000600,%eax; jmp *%rax\n"
	/* enter: called from C */
	".org native_stubs+0x400,0xcc\n"
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"	mov %rsp," STUB "\n"
	"	mov $7,%eax; xor %edx,%edx\n"
	"	testb $1," STUB "+24; jz 1f\n"
	"	xrstor64 " IN "\n"
	"	jmp 2f\n"
	"1:	fxrstor64 " IN "\n"
	"2:	cmpl $32," STUB "+28; je 5f\n"
	"	testb $2," STUB "+24; jz 3f\n"
	"	mov " IN "+976,%rax; wrfsbase %rax; mov " IN "+984,%rax; wrgsbase %rax\n"
	"3:	movl $1," STUB "+32\n"
	"	push " IN "+960; popfq\n"
	LOAD_GPRS
	"	jmp *" IN "+968\n"
	"5:	mov " IN "+998,%ds; mov " IN "+992,%es; mov " IN "+1000,%fs; mov " IN "+1002,%gs\n"
	"	movl $1," STUB "+32\n"
	"	push " IN "+960; popfq\n"
	LOAD_GPRS
	"	ljmpl *" STUB "+16\n"
	/* recover: back to C */
	".org native_stubs+0x600,0xcc\n"
	"	movl $0," STUB "+32\n"
	"	mov " STUB ",%rsp\n"
	"	pushq $0x202; popfq\n"
	"	xor %eax,%eax; mov %eax,%ds; mov %eax,%es; mov %eax,%fs; mov %eax,%gs\n"
	"	testb $2," STUB "+24; jz 1f\n"
	"	mov " STUB "+8,%rax; wrfsbase %rax; mov " STUB "+40,%rax; wrgsbase %rax\n"
	"1:	fninit; ldmxcsr " STUB "+36\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n"
	".org native_stubs+0x800,0xcc\n"
	"	.byte 0xea; .long 0x1c000000; .word 0x33\n"
	"native_stubs_end:\n"
	/* A signal: the host's bases first, then C. What was there goes along. */
	"native_on_signal_entry:\n"
	"	pushfq; andq $~0x40400,(%rsp); popfq\n"
	"	xor %ecx,%ecx; xor %r8d,%r8d\n"
	"	testb $2," STUB "+24; jz 1f\n"
	"	rdfsbase %rcx; rdgsbase %r8\n"
	"	mov " STUB "+8,%rax; wrfsbase %rax\n"
	"1:	mov %rcx,%rbx; mov %r8,%rbp\n"
	"	mov %es,%eax; mov %ds,%r9d; shl $16,%r9d; or %rax,%r9\n"
	"	sub $8,%rsp\n"
	"	call native_on_signal\n"
	"	add $8,%rsp\n"
	"	testb $2," STUB "+24; jz 1f\n"
	"	wrfsbase %rbx; wrgsbase %rbp\n"
	"1:	ret\n");

/* --- In the child --- */

#define stub_at ((struct stub *)NAT_STUB)
#define out_at ((struct nat_state *)NAT_OUT)
#define in_at ((struct nat_state *)NAT_IN)

static bool hanging(uint64_t *before)
{
	bool same = *before == stub_at->cases;

	*before = stub_at->cases;
	return same && stub_at->in_native;
}

void native_on_signal(int sig, siginfo_t *info, void *context, uint64_t fs, uint64_t gs, uint64_t data_selectors)
{
	static uint64_t ticked;
	ucontext_t *u = context;
	greg_t *r = u->uc_mcontext.gregs;
	static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
				      REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
	uint64_t selectors = (uint64_t)r[REG_CSGSFS];

	(void)info;
	if (sig == SIGALRM && !hanging(&ticked))
		return;
	if (!stub_at->in_native)
		_exit(99); /* the child's own fault */
	memcpy(out_at->x, u->uc_mcontext.fpregs, stub_at->flags & STUB_XSAVE ? XS_SIZE : XS_HEADER);
	for (unsigned k = 0; k < 16; k++)
		out_at->gpr[k] = (uint64_t)r[order[k]];
	out_at->rip = (uint64_t)r[REG_RIP];
	out_at->rflags = (uint64_t)r[REG_EFL];
	out_at->fsbase = fs;
	out_at->gsbase = gs;
	out_at->sel[CV_ES] = (uint16_t)data_selectors;
	out_at->sel[CV_DS] = (uint16_t)(data_selectors >> 16);
	out_at->sel[CV_CS] = (uint16_t)selectors;
	out_at->sel[CV_SS] = (uint16_t)(selectors >> 48);
	/* The kernel puts neither FS nor GS there. */
	__asm__ volatile("mov %%fs,%0; mov %%gs,%1" : "=m"(out_at->sel[CV_FS]), "=m"(out_at->sel[CV_GS]));
	out_at->vector = sig == SIGALRM ? NAT_HANG : (int32_t)r[REG_TRAPNO];
	out_at->error = (uint32_t)r[REG_ERR];
	out_at->cr2 = (uint64_t)r[REG_CR2];
	r[REG_RIP] = (greg_t)RECOVER;
	r[REG_RSP] = (greg_t)stub_at->rsp;
	r[REG_EFL] = 0x202;
	r[REG_CSGSFS] = (greg_t)(0x33ull | 0x2bull << 48);
}

static void map_low(uint64_t at, size_t n, int prot)
{
	if (mmap((void *)at, n, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != (void *)at) {
		perror("native child: mmap");
		_exit(98);
	}
}

static void map_child(const struct nat_host *h, int code_fd, uint64_t code_offset)
{
	map_low(NAT_LANDING, NAT_PAGE, PROT_READ | PROT_WRITE);
	memset((void *)NAT_LANDING, NAT_FILL, NAT_PAGE);
	memcpy((void *)NAT_LANDING, native_stubs, (size_t)(native_stubs_end - native_stubs));
	mprotect((void *)NAT_LANDING, NAT_PAGE, PROT_READ | PROT_EXEC);
	map_low(NAT_IN, NAT_PAGE, PROT_READ | PROT_WRITE);
	map_low(NAT_DATA, NAT_DATA_SIZE, PROT_READ | PROT_WRITE);
	memcpy((void *)NAT_DATA, nat_background(), NAT_DATA_SIZE);
	mprotect((void *)(NAT_DATA + NAT_RW_SIZE), NAT_DATA_SIZE - NAT_RW_SIZE, PROT_READ);
	if (mmap((void *)NAT_CODE, NAT_CODE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED_NOREPLACE, code_fd,
		 (off_t)code_offset) != (void *)NAT_CODE) {
		perror("native child: code");
		_exit(98);
	}
	stub_at->flags = (h->avx ? STUB_XSAVE : 0u) | (h->fsgsbase ? STUB_FSGSBASE : 0u);
	stub_at->mxcsr = 0x1f80;
	stub_at->far_selector = 0x23;
	if (h->fsgsbase)
		__asm__ volatile("rdfsbase %0; rdgsbase %1" : "=r"(stub_at->fs), "=r"(stub_at->gs));
}

static void catch_signals(void)
{
	static uint8_t stack[1 << 17] __attribute__((aligned(64)));
	static const int signals[] = {SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGBUS, SIGALRM};
	stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction sa = {.sa_sigaction = native_on_signal_entry, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
	struct itimerval tick = {{0, 300000}, {0, 300000}};

	sigaltstack(&ss, NULL);
	for (unsigned k = 0; k < sizeof(signals) / sizeof(signals[0]); k++)
		sigaction(signals[k], &sa, NULL);
	setitimer(ITIMER_REAL, &tick, NULL);
}

/* IRET orders the fetch of code that another process has just written. */
static void serialize(void)
{
	__asm__ volatile("mov %%rsp,%%rax; lea -128(%%rsp),%%rsp; mov %%ss,%%ecx; push %%rcx; push %%rax; pushfq; mov %%cs,%%ecx; push %%rcx\n"
			 "	lea 1f(%%rip),%%rax; push %%rax; iretq\n1:"
			 ::: "rax", "rcx", "memory", "cc");
}

static void run_case(struct nat_case *c, unsigned mode)
{
	void (*enter)(void) = (void (*)(void))ENTER;

	nat_fill_window((uint8_t *)NAT_DATA, c);
	memcpy(in_at, &c->in, sizeof(c->in));
	stub_at->mode = mode;
	stub_at->far_offset = (uint32_t)c->in.rip;
	stub_at->cases++;
	out_at->error = 0;
	out_at->cr2 = 0;
	out_at->rip = NAT_LANDING;
	enter();
	memcpy(&c->out, out_at, sizeof(c->out));
	memcpy(c->out_mem, (void *)NAT_DATA, NAT_RW_SIZE);
}

static long futex(uint32_t *word, int op, uint32_t value, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, op, value, timeout, NULL, 0);
}

static void child_loop(struct nat_batch *b)
{
	for (;;) {
		uint32_t turn;

		while ((turn = __atomic_load_n(&b->turn, __ATOMIC_ACQUIRE)) == 0)
			futex(&b->turn, FUTEX_WAIT, 0, NULL);
		if (turn == 2)
			_exit(0);
		serialize();
		for (unsigned e = 0; e < b->nencodings; e++) {
			for (unsigned s = 0; s < NAT_SETS; s++) {
				b->current = e * NAT_SETS + s;
				run_case(&b->cases[b->current], b->mode[e]);
			}
		}
		__atomic_store_n(&b->turn, 0, __ATOMIC_RELEASE);
		futex(&b->turn, FUTEX_WAKE, 1, NULL);
	}
}

/* --- In the parent --- */

struct nat_child {
	struct nat_host host;
	int code_fd;
	uint64_t code_offset;
	struct nat_batch *batch;
	pid_t pid; /* 0: none */
};

static void start(struct nat_child *n)
{
	pid_t parent = getpid();

	n->batch->turn = 0;
	n->pid = fork();
	if (n->pid)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	map_child(&n->host, n->code_fd, n->code_offset);
	catch_signals();
	child_loop(n->batch);
}

struct nat_child *nat_child_new(const struct nat_host *h, int code_fd, uint64_t code_offset)
{
	struct nat_child *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->host = *h;
	n->code_fd = code_fd;
	n->code_offset = code_offset;
	n->batch = mmap(NULL, sizeof(*n->batch), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (n->batch == MAP_FAILED) {
		free(n);
		return NULL;
	}
	return n;
}

void nat_child_free(struct nat_child *n)
{
	if (!n)
		return;
	if (n->pid > 0) {
		__atomic_store_n(&n->batch->turn, 2, __ATOMIC_RELEASE);
		futex(&n->batch->turn, FUTEX_WAKE, 1, NULL);
		waitpid(n->pid, NULL, 0);
	}
	munmap(n->batch, sizeof(*n->batch));
	free(n);
}

struct nat_batch *nat_child_batch(struct nat_child *n)
{
	return n->batch;
}

bool nat_child_run(struct nat_child *n)
{
	struct nat_batch *b = n->batch;
	struct timespec wait = {.tv_sec = 1};

	if (n->pid <= 0)
		start(n);
	if (n->pid < 0)
		return false;
	__atomic_store_n(&b->turn, 1, __ATOMIC_RELEASE);
	futex(&b->turn, FUTEX_WAKE, 1, NULL);
	while (__atomic_load_n(&b->turn, __ATOMIC_ACQUIRE) == 1) {
		int status;

		if (futex(&b->turn, FUTEX_WAIT, 1, &wait) && errno == ETIMEDOUT && waitpid(n->pid, &status, WNOHANG) == n->pid) {
			n->pid = 0;
			return false;
		}
	}
	return true;
}
