/* SPDX-License-Identifier: MIT */
/* Events: injected interrupts, NMIs and exceptions, windows, time stamps, breakpoints, signals. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tests.h"

enum { VALID = 1u << 31, WITH_ERROR = 1u << 11, EXTERNAL = 0 << 8, NMI = 2 << 8, EXCEPTION = 3 << 8, SOFTWARE = 4 << 8, TRAP = 6 << 8 };

GUEST(nops, ".rept 64\n nop\n .endr\n hlt");
GUEST(window, "nop\n sti\n nop\n nop\n nop\n hlt");
GUEST(closed, "1: jmp 1b");
GUEST(ss_window, "sti\n nop\n mov %ss, %eax\n mov %eax, %ss\n nop\n nop\n hlt");
GUEST(back, "inc %r9\n iretq");
GUEST(stamps, "mov $1000, %r8d\n 1: rdtsc\n shl $32, %rdx\n or %rax, %rdx\n sub %rdx, %r10\n sbb $0, %r11\n mov %rdx, %r10\n"
	      "dec %r8d\n jnz 1b\n rdtscp\n hlt");
GUEST(for_ever, "1: jmp 1b");
GUEST(store, "nop\n movl $1, 0x90000\n nop\n hlt");

static void injected_interrupt_is_delivered(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, nops);
	for (unsigned vector = 0x20; vector < 0x100; vector += 13) {
		vm_reset(&vm);
		vm.run->rflags = 2 | FLAG_IF;
		vm.run->inject = VALID | EXTERNAL | vector;
		int rc = vm_go(&vm);
		CHECK(rc == 0 && vm.run->exit == 12 && vm.run->rip == HANDLER(vector), "%#x: RUN %d, exit %#x, rip %#llx", vector, rc,
		      vm.run->exit, (unsigned long long)vm.run->rip);
		CHECK(vm.run->inject == 0, "inject %#x", vm.run->inject);
		uint64_t frame[5];
		memcpy(frame, vm.ram + STACK - 40, sizeof(frame));
		CHECK(frame[0] == CODE && frame[2] == (2 | FLAG_IF) && frame[3] == STACK, "frame %#llx %#llx %#llx",
		      (unsigned long long)frame[0], (unsigned long long)frame[2], (unsigned long long)frame[3]);
	}
	vm_close(&vm);
}

static void injected_exceptions_are_delivered(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, nops);
	static const struct {
		uint32_t info, error, len, vector;
	} events[] = {
		{VALID | EXCEPTION | 6, 0, 0, 6},
		{VALID | EXCEPTION | WITH_ERROR | 13, 0x1238, 0, 13},
		{VALID | EXCEPTION | WITH_ERROR | 14, 2, 0, 14},
		{VALID | TRAP | 3, 0, 1, 3},
		{VALID | SOFTWARE | 0x80, 0, 2, 0x80},
		{VALID | NMI | 2, 0, 0, 2},
	};
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		vm_reset(&vm);
		vm.run->inject = events[i].info;
		vm.run->inject_error = events[i].error;
		vm.run->inject_len = events[i].len;
		int rc = vm_go(&vm);
		CHECK(rc == 0 && vm.run->exit == 12 && vm.run->rip == HANDLER(events[i].vector), "%zu: RUN %d, exit %#x, rip %#llx", i,
		      rc, vm.run->exit, (unsigned long long)vm.run->rip);
		uint64_t top;
		memcpy(&top, vm.ram + vm.run->gpr[RSP], 8);
		CHECK(top == (events[i].info & WITH_ERROR ? events[i].error : CODE + events[i].len), "%zu: top of stack %#llx", i,
		      (unsigned long long)top);
	}
	vm_close(&vm);
}

static void impossible_events_are_refused(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, nops);
	static const uint32_t infos[] = {
		VALID | EXTERNAL | 0x40,	     /* IF is 0 */
		VALID | 1u << 8 | 0x40,		     /* type 1 is reserved */
		VALID | 7u << 8,		     /* "other event" without MTF */
		VALID | NMI | 3,		     /* an NMI's vector is 2 */
		VALID | EXCEPTION | 0x40,	     /* an exception's is below 32 */
		VALID | EXCEPTION | WITH_ERROR | 6,  /* #UD has no error code */
		VALID | EXTERNAL | WITH_ERROR | 0x40,
		VALID | 0x7ffff000u,		     /* reserved bits */
	};
	for (size_t i = 0; i < sizeof(infos) / sizeof(infos[0]); i++) {
		vm_reset(&vm);
		vm.run->inject = infos[i];
		int rc = vm_go(&vm);
		CHECK(rc == -EINVAL || (rc == 0 && vm.run->exit == CVVTX_EXIT_ENTRY_FAILED), "%#x: RUN %d, exit %#x, rip %#llx",
		      infos[i], rc, vm.run->exit, (unsigned long long)vm.run->rip);
		vm_reset(&vm);
		rc = vm_go(&vm);
		CHECK(rc == 0 && vm.run->exit == 12 && vm.run->rip == CODE + 64, "after %#x: RUN %d, exit %#x", infos[i], rc,
		      vm.run->exit);
	}
	vm_close(&vm);
}

static void interrupt_window_opens_behind_the_shadow(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, window);
	vm.run->flags = CVVTX_RUN_INTR_WINDOW;
	int rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == 7 && vm.run->rip == CODE + 3, "RUN %d, exit %#x, rip +%lld", rc, vm.run->exit,
	      (long long)(vm.run->rip - CODE));
	vm.run->inject = VALID | EXTERNAL | 0x40;
	vm.run->flags = 0;
	rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == 12 && vm.run->rip == HANDLER(0x40), "RUN %d, exit %#x", rc, vm.run->exit);

	vm_reset(&vm);
	LOAD(&vm, ss_window);
	vm.run->flags = CVVTX_RUN_INTR_WINDOW;
	rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == 7 && vm.run->rip == CODE + 2, "RUN %d, exit %#x, rip +%lld", rc, vm.run->exit,
	      (long long)(vm.run->rip - CODE));

	/* It is open already: nothing runs. */
	vm_reset(&vm);
	vm.run->rflags |= FLAG_IF;
	vm.run->flags = CVVTX_RUN_INTR_WINDOW;
	rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == 7 && vm.run->rip == CODE, "RUN %d, exit %#x, rip +%lld", rc, vm.run->exit,
	      (long long)(vm.run->rip - CODE));

	/* It never opens. */
	if (vm_counter() == CVVTX_COUNTER_BENCH) {
		struct vm b;
		CHECK(vm_open(&b, 4, CVVTX_COUNTER_BENCH) == 0, "%s", strerror(errno));
		LOAD(&b, closed);
		b.run->flags = CVVTX_RUN_INTR_WINDOW;
		b.run->budget = 100000;
		rc = vm_go(&b);
		CHECK(rc == 0 && b.run->exit == CVVTX_EXIT_COUNT && b.run->units == 100000, "RUN %d, exit %#x", rc, b.run->exit);
		vm_close(&b);
	}
	vm_close(&vm);
}

/* The state's shadow is kept: an interrupt window right at the start, with STI's shadow set from outside. */
static void shadow_from_outside_holds(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, nops);
	vm.run->rflags |= FLAG_IF;
	vm.run->interruptibility = 1;
	vm.run->flags = CVVTX_RUN_INTR_WINDOW;
	int rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == 7 && vm.run->rip == CODE + 1 && (vm.run->interruptibility & 3) == 0,
	      "RUN %d, exit %#x, rip +%lld, interruptibility %x", rc, vm.run->exit, (long long)(vm.run->rip - CODE),
	      vm.run->interruptibility);
	vm_close(&vm);
}

static void nmi_window_opens_behind_iret(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, nops);
	vm_load(&vm, HANDLER(2), guest_back, (size_t)(guest_back_end - guest_back));
	vm.run->inject = VALID | NMI | 2;
	vm.run->flags = CVVTX_RUN_NMI_WINDOW;
	int rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == 8 && vm.run->rip == CODE && vm.run->gpr[9] == 1, "RUN %d, exit %#x, rip %#llx", rc,
	      vm.run->exit, (unsigned long long)vm.run->rip);
	vm_close(&vm);
}

static void halted_guest_is_woken(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, nops);
	vm.run->rflags |= FLAG_IF;
	vm.run->activity = 1;
	vm.run->inject = VALID | EXTERNAL | 0x40;
	int rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == 12 && vm.run->rip == HANDLER(0x40), "RUN %d, exit %#x", rc, vm.run->exit);
	vm_close(&vm);
}

static uint64_t monotonic_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void time_stamps_are_noted_in_the_ring(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, vm_counter()) == 0, "%s", strerror(errno));
	bool exact = vm_counter() == CVVTX_COUNTER_BENCH;
	struct cvvtx_state s;
	vm_long_mode(&s);
	s.tsc_aux = 77;
	CHECK(ioctl(vm.fd, CVVTX_SET_STATE, &s) == 0, "errno %d", errno);
	LOAD(&vm, stamps);
	const uint64_t delta = 1ull << 50;
	vm.run->flags = CVVTX_RUN_TSC;
	vm.run->tsc_delta = delta;
	vm.run->tsc_floor = 12345;
	uint64_t before = monotonic_ns(), seen = 0, last = 0, base = 0;
	for (;;) {
		int rc = vm_go(&vm);
		CHECK(rc == 0 && (vm.run->exit == CVVTX_EXIT_RING || vm.run->exit == 12), "RUN %d, exit %#x", rc, vm.run->exit);
		CHECK(vm.run->nring <= CVVTX_RING_SLOTS, "nring %u", vm.run->nring);
		if (vm.run->exit == CVVTX_EXIT_RING)
			CHECK(vm.run->nring == CVVTX_RING_SLOTS, "nring %u", vm.run->nring);
		for (unsigned i = 0; i < vm.run->nring; i++, seen++) {
			const struct cvvtx_tsc *t = &vm.ring[i];
			bool p = seen == 1000;
			CHECK(t->rdtscp == p && t->rip == CODE + (p ? (uint64_t)(guest_stamps_end - guest_stamps) - 4 : 6),
			      "%llu: rdtscp %u, rip +%lld", (unsigned long long)seen, t->rdtscp, (long long)(t->rip - CODE));
			CHECK(t->value >= last && t->value >= before + delta, "%llu: %llu after %llu", (unsigned long long)seen,
			      (unsigned long long)t->value, (unsigned long long)last);
			if (exact)
				CHECK(base + t->units == (p ? 1 + 8 * 1000 : 1 + 8 * seen), "%llu: units %llu + %llu",
				      (unsigned long long)seen, (unsigned long long)base, (unsigned long long)t->units);
			last = t->value;
		}
		base += vm.run->units;
		vm.run->nring = 0;
		if (vm.run->exit == 12)
			break;
	}
	CHECK(seen == 1001, "%llu time stamps", (unsigned long long)seen);
	CHECK(last <= monotonic_ns() + delta && vm.run->tsc_floor == last, "the last %llu, floor %llu", (unsigned long long)last,
	      (unsigned long long)vm.run->tsc_floor);
	uint64_t guest = vm.run->gpr[RDX] << 32 | vm.run->gpr[RAX];
	CHECK(guest == last && vm.run->gpr[RCX] == 77, "the guest got %llu, AUX %llu", (unsigned long long)guest,
	      (unsigned long long)vm.run->gpr[RCX]);
	CHECK(vm.run->gpr[10] == vm.ring[0].value || seen, "r10");
	vm_close(&vm);
}

static void time_never_falls_below_the_floor(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, stamps);
	vm.run->flags = CVVTX_RUN_TSC;
	vm.run->tsc_floor = 1ull << 62;
	int rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == CVVTX_EXIT_RING, "RUN %d, exit %#x", rc, vm.run->exit);
	for (int i = 0; i < CVVTX_RING_SLOTS; i++)
		CHECK(vm.ring[i].value == 1ull << 62, "%d: %#llx", i, (unsigned long long)vm.ring[i].value);
	vm_close(&vm);
}

/* A ring that the process doesn't empty: RUN never writes behind it. */
static void full_ring_exits_at_once(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, stamps);
	vm.run->flags = CVVTX_RUN_TSC;
	vm.run->nring = CVVTX_RING_SLOTS;
	for (int i = 0; i < 3; i++) {
		int rc = vm_go(&vm);
		CHECK(rc == 0 && vm.run->exit == CVVTX_EXIT_RING && vm.run->nring == CVVTX_RING_SLOTS && vm.run->rip == CODE + 6,
		      "RUN %d, exit %#x, nring %u, rip +%lld", rc, vm.run->exit, vm.run->nring, (long long)(vm.run->rip - CODE));
	}
	vm.run->nring = 0;
	int rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == CVVTX_EXIT_RING && vm.run->nring == CVVTX_RING_SLOTS, "RUN %d, exit %#x", rc, vm.run->exit);
	vm_close(&vm);
}

static void breakpoints_exit(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, nops);
	vm.run->flags = CVVTX_RUN_BREAKPOINTS;
	vm.run->dr[1] = CODE + 20;
	vm.run->dr[7] = 0x404 | 8; /* L1, execute */
	int rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == 0 && (vm.run->intr_info & 0x800000ff) == 0x80000001 && vm.run->rip == CODE + 20 &&
		      (vm.run->qualification & 0xf) == 2,
	      "RUN %d, exit %#x, info %#x, qualification %#llx, rip +%lld", rc, vm.run->exit, vm.run->intr_info,
	      (unsigned long long)vm.run->qualification, (long long)(vm.run->rip - CODE));
	/* A data breakpoint: behind the store. */
	vm_reset(&vm);
	LOAD(&vm, store);
	vm.run->flags = CVVTX_RUN_BREAKPOINTS;
	vm.run->dr[0] = DATA;
	vm.run->dr[7] = 0x401 | 0xd0000; /* 4 bytes, write */
	rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == 0 && (vm.run->qualification & 0xf) == 1 && vm.run->rip == CODE + 12,
	      "RUN %d, exit %#x, qualification %#llx, rip +%lld", rc, vm.run->exit, (unsigned long long)vm.run->qualification,
	      (long long)(vm.run->rip - CODE));
	/* Without the flag they are the guest's own. */
	vm_reset(&vm);
	LOAD(&vm, nops);
	vm.run->dr[1] = CODE + 20;
	vm.run->dr[7] = 0x404;
	rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == 12 && vm.run->rip == HANDLER(1), "RUN %d, exit %#x, rip %#llx", rc, vm.run->exit,
	      (unsigned long long)vm.run->rip);
	CHECK(vm.run->dr[6] & 2, "DR6 %#llx", (unsigned long long)vm.run->dr[6]);
	vm_close(&vm);
}

static volatile sig_atomic_t alarms;
static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

static void signal_ends_an_endless_loop(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, vm_counter()) == 0, "%s", strerror(errno));
	LOAD(&vm, for_ever);
	struct sigaction sa = {.sa_handler = on_alarm};
	sigaction(SIGALRM, &sa, NULL);
	for (int i = 0; i < 5; i++) {
		struct itimerval once = {.it_value = {.tv_usec = 20000}};
		alarms = 0;
		uint64_t before = monotonic_ns();
		setitimer(ITIMER_REAL, &once, NULL);
		int rc;
		do
			rc = vm_run(&vm); /* may come back for the host's own business */
		while (rc == 0 && vm.run->exit == CVVTX_EXIT_SIGNAL);
		uint64_t took = monotonic_ns() - before;
		CHECK(rc == -EINTR && vm.run->exit == CVVTX_EXIT_SIGNAL && alarms == 1, "RUN %d, exit %#x, %d alarms", rc, vm.run->exit,
		      (int)alarms);
		CHECK(vm.run->rip == CODE, "rip %#llx", (unsigned long long)vm.run->rip);
		CHECK(took < 60000000, "%llu ns for a signal after 20 ms", (unsigned long long)took);
	}
	vm_close(&vm);
}

static void *leave_later(void *p)
{
	struct vm *vm = p;
	usleep(20000);
	__atomic_store_n(&vm->run->leave, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void leave_ends_an_endless_loop(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, vm_counter()) == 0, "%s", strerror(errno));
	LOAD(&vm, for_ever);
	pthread_t t;
	CHECK(pthread_create(&t, NULL, leave_later, &vm) == 0, "thread");
	uint64_t before = monotonic_ns();
	int rc = vm_run(&vm);
	uint64_t took = monotonic_ns() - before;
	pthread_join(t, NULL);
	CHECK(rc == 0 && vm.run->exit == CVVTX_EXIT_SIGNAL && took < 60000000, "RUN %d, exit %#x, %llu ns", rc, vm.run->exit,
	      (unsigned long long)took);
	/* It stays set: RUN leaves at once. */
	rc = vm_run(&vm);
	CHECK(rc == 0 && vm.run->exit == CVVTX_EXIT_SIGNAL && vm.run->units == 0, "RUN %d, exit %#x", rc, vm.run->exit);
	vm_close(&vm);
}

#define T(name) {#name, name}
const struct test event_tests[] = {
	T(injected_interrupt_is_delivered),
	T(injected_exceptions_are_delivered),
	T(impossible_events_are_refused),
	T(interrupt_window_opens_behind_the_shadow),
	T(shadow_from_outside_holds),
	T(nmi_window_opens_behind_iret),
	T(halted_guest_is_woken),
	T(time_stamps_are_noted_in_the_ring),
	T(time_never_falls_below_the_floor),
	T(full_ring_exits_at_once),
	T(breakpoints_exit),
	T(signal_ends_an_endless_loop),
	T(leave_ends_an_endless_loop),
};
const size_t nevent_tests = sizeof(event_tests) / sizeof(event_tests[0]);
