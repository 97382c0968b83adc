/* SPDX-License-Identifier: MIT */
/* The counter: budgets end exactly, whatever runs; single steps. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests.h"

#define NEED_COUNTER                                                                                                             \
	do {                                                                                                                     \
		if (vm_counter() != CVVTX_COUNTER_BENCH) {                                                                       \
			printf("  no exact counter here\n");                                                                     \
			return;                                                                                                  \
		}                                                                                                                \
	} while (0)

/*
 * A bit of everything that stays in the guest: branches, calls, stack, a REP, an exception that the guest handles (#UD, its handler
 * skips the instruction), an interrupt by INT, POPF, a shadow behind MOV SS.
 */
GUEST(mixed, "mov $40, %rbp\n"
	     "1: mov $7, %ecx\n lea 0x90000, %rdi\n mov %ebp, %eax\n rep stosb\n"
	     "push %rbp\n pop %r8\n call 2f\n"
	     "ud2\n"
	     "pushf\n popf\n"
	     "mov %ss, %eax\n mov %eax, %ss\n nop\n"
	     "int $0x41\n"
	     "xor %ecx, %ecx\n rep movsb\n"
	     "dec %rbp\n jnz 1b\n hlt\n"
	     "2: inc %r9\n ret");
GUEST(skip_ud2, "addq $2, (%rsp)\n iretq");
GUEST(back, "iretq");
GUEST(nops, ".rept 400\n nop\n .endr\n hlt");
GUEST(for_ever, "1: jmp 1b");
GUEST(memory_loop, "1: incl 0x90000\n jmp 1b");
GUEST(rep_long, "mov $1000, %ecx\n mov $0x90000, %edi\n rep stosb\n nop\n hlt");

static void load_mixed(struct vm *vm)
{
	vm_reset(vm);
	LOAD(vm, mixed);
	vm_load(vm, HANDLER(6), guest_skip_ud2, (size_t)(guest_skip_ud2_end - guest_skip_ud2));
	vm_load(vm, HANDLER(0x41), guest_back, (size_t)(guest_back_end - guest_back));
}

static void budget_of_n_nops_ends_behind_n(void)
{
	NEED_COUNTER;
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_BENCH) == 0, "%s", strerror(errno));
	LOAD(&vm, nops);
	for (unsigned n = 0; n < 400; n++) {
		vm_reset(&vm);
		vm.run->budget = n;
		int rc = vm_go(&vm);
		CHECK(rc == 0 && vm.run->exit == CVVTX_EXIT_COUNT && vm.run->units == n && vm.run->rip == CODE + n,
		      "%u: RUN %d, exit %#x, units %llu, rip +%llu", n, rc, vm.run->exit, (unsigned long long)vm.run->units,
		      (unsigned long long)(vm.run->rip - CODE));
	}
	vm_close(&vm);
}

struct point {
	uint64_t rip, rflags, rsp, rcx, rdi, r9;
};
static struct point now(const struct vm *vm)
{
	const struct cvvtx_run *r = vm->run;
	return (struct point){r->rip, r->rflags & ~0x10000ull /* RF */, r->gpr[RSP], r->gpr[RCX], r->gpr[RDI], r->gpr[9]};
}
#define POINTS 20000
static struct point trail[POINTS];

/* Runs a guest one unit at a time; the number of units until its HLT. */
static unsigned record_trail(struct vm *vm, void (*load)(struct vm *))
{
	unsigned n = 0;
	load(vm);
	trail[0] = now(vm);
	while (n < POINTS - 2) {
		vm->run->budget = 1;
		if (vm_go(vm) < 0)
			return 0;
		if (vm->run->exit == 12)
			return n;
		/* Behind MOV SS nothing can exit: the shadowed instruction is run, too, and that point is left out. */
		if (vm->run->exit != CVVTX_EXIT_COUNT || vm->run->units < 1 || vm->run->units > 2)
			return 0;
		if (vm->run->units == 2)
			trail[++n] = (struct point){0};
		trail[++n] = now(vm);
	}
	return 0;
}

static void any_budget_ends_where_single_units_do(void)
{
	NEED_COUNTER;
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_BENCH) == 0, "%s", strerror(errno));
	unsigned n = record_trail(&vm, load_mixed);
	CHECK(n > 0, "the trail: exit %#x, units %llu, rip %#llx", vm.run->exit, (unsigned long long)vm.run->units,
	      (unsigned long long)vm.run->rip);
	/* In one go: the same number of units up to the HLT. */
	load_mixed(&vm);
	int rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == 12 && vm.run->units == n, "RUN %d, exit %#x, units %llu, one by one %u", rc, vm.run->exit,
	      (unsigned long long)vm.run->units, n);
	for (unsigned at = 0; at < n; at += 1 + at / 60) {
		load_mixed(&vm);
		vm.run->budget = at;
		rc = vm_go(&vm);
		struct point p = now(&vm);
		unsigned want = trail[at].rip ? at : at + 1;
		CHECK(rc == 0 && vm.run->exit == CVVTX_EXIT_COUNT && vm.run->units == want, "%u: RUN %d, exit %#x, units %llu", at, rc,
		      vm.run->exit, (unsigned long long)vm.run->units);
		CHECK(memcmp(&p, &trail[want], sizeof(p)) == 0, "%u: rip %#llx instead of %#llx, rcx %llu instead of %llu", at,
		      (unsigned long long)p.rip, (unsigned long long)trail[at].rip, (unsigned long long)p.rcx,
		      (unsigned long long)trail[at].rcx);
	}
	/* In random pieces. */
	srand(1);
	for (int round = 0; round < 20; round++) {
		unsigned at = 0;
		load_mixed(&vm);
		for (;;) {
			vm.run->budget = (unsigned)rand() % 50;
			rc = vm_go(&vm);
			at += (unsigned)vm.run->units;
			if (vm.run->exit == 12)
				break;
			struct point p = now(&vm);
			CHECK(rc == 0 && vm.run->exit == CVVTX_EXIT_COUNT && memcmp(&p, &trail[at], sizeof(p)) == 0,
			      "round %d, %u: RUN %d, exit %#x, rip %#llx instead of %#llx", round, at, rc, vm.run->exit,
			      (unsigned long long)p.rip, (unsigned long long)trail[at].rip);
		}
		CHECK(at == n, "round %d: %u units instead of %u", round, at, n);
	}
	vm_close(&vm);
}

static void budget_ends_inside_a_rep(void)
{
	NEED_COUNTER;
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_BENCH) == 0, "%s", strerror(errno));
	LOAD(&vm, rep_long);
	for (unsigned n = 3; n < 1002; n += 37) {
		vm_reset(&vm);
		vm.run->budget = n;
		int rc = vm_go(&vm);
		CHECK(rc == 0 && vm.run->exit == CVVTX_EXIT_COUNT && vm.run->units == n && vm.run->rip == CODE + 10 &&
			      vm.run->gpr[RCX] == 1002 - n,
		      "%u: RUN %d, exit %#x, units %llu, rcx %llu", n, rc, vm.run->exit, (unsigned long long)vm.run->units,
		      (unsigned long long)vm.run->gpr[RCX]);
	}
	vm_close(&vm);
}

/* Loops without a conditional branch, and long ones that host interrupts cut into many entries. */
static void budget_is_exact_across_host_interrupts(void)
{
	NEED_COUNTER;
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_BENCH) == 0, "%s", strerror(errno));
	LOAD(&vm, for_ever);
	vm.run->budget = 3000000;
	uint64_t before = vm.run->host_interrupts;
	int rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == CVVTX_EXIT_COUNT && vm.run->units == 3000000 && vm.run->rip == CODE,
	      "RUN %d, exit %#x, units %llu", rc, vm.run->exit, (unsigned long long)vm.run->units);
	CHECK(vm.run->host_interrupts > before, "no host interrupt came in 3,000,000 instructions");
	for (int round = 0; round < 10; round++) {
		vm_reset(&vm);
		LOAD(&vm, memory_loop);
		memset(vm.ram + DATA, 0, 4);
		vm.run->budget = 200001 + 31 * (unsigned)round;
		rc = vm_go(&vm);
		uint32_t count;
		memcpy(&count, vm.ram + DATA, 4);
		CHECK(rc == 0 && vm.run->exit == CVVTX_EXIT_COUNT && count == (vm.run->budget + 1) / 2, "RUN %d, exit %#x, count %u", rc,
		      vm.run->exit, count);
	}
	vm_close(&vm);
}

/*
 * Steps go through the same points as single units. Stepped by TF, every exception exits and is given back as an event, and what reads
 * or writes RFLAGS isn't stepped over.
 */
GUEST(steps, "mov $20, %rbp\n"
	     "1: mov $5, %ecx\n lea 0x90000, %rdi\n mov %ebp, %eax\n rep stosb\n"
	     "push %rbp\n pop %r8\n call 2f\n"
	     "ud2\n"
	     "mov %ss, %eax\n nop\n"
	     "xor %ecx, %ecx\n rep movsb\n"
	     "dec %rbp\n jnz 1b\n hlt\n"
	     "2: inc %r9\n ret");
GUEST(return_behind, "mov (%rsp), %rax\n add $2, %rax\n or 16(%rsp), %r15\n mov 24(%rsp), %rsp\n jmp *%rax");

static void load_steps(struct vm *vm)
{
	vm_reset(vm);
	LOAD(vm, steps);
	vm_load(vm, HANDLER(6), guest_return_behind, (size_t)(guest_return_behind_end - guest_return_behind));
}

static void steps_follow_the_trail(void)
{
	NEED_COUNTER;
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_BENCH) == 0, "%s", strerror(errno));
	unsigned n = record_trail(&vm, load_steps), at = 0;
	CHECK(n > 0, "the trail: exit %#x, rip %#llx", vm.run->exit, (unsigned long long)vm.run->rip);
	load_steps(&vm);
	for (;;) {
		vm.run->flags = CVVTX_RUN_STEP;
		vm.run->budget = CVVTX_COUNT_NONE;
		bool injecting = vm.run->inject >> 31;
		int rc = vm_go(&vm);
		if (rc == 0 && vm.run->exit == 0 && vm.run->intr_info >> 31) {
			CHECK(vm.run->units == 0, "at %u: %llu units before an exception", at, (unsigned long long)vm.run->units);
			vm.run->inject = vm.run->intr_info & 0x80000fff;
			vm.run->inject_error = vm.run->intr_error;
			continue;
		}
		if (vm.run->exit == 12)
			break;
		CHECK(rc == 0 && vm.run->exit == CVVTX_EXIT_STEP, "at %u: RUN %d, exit %#x", at, rc, vm.run->exit);
		/* A step ends behind an instruction's shadow, too. */
		CHECK(vm.run->units + injecting >= 1 && vm.run->units + injecting <= 2, "at %u: %llu units", at,
		      (unsigned long long)vm.run->units);
		at += (unsigned)vm.run->units + injecting;
		struct point p = now(&vm);
		CHECK(at <= n && memcmp(&p, &trail[at], sizeof(p)) == 0, "%u: rip %#llx instead of %#llx, flags %#llx instead of %#llx",
		      at, (unsigned long long)p.rip, (unsigned long long)trail[at].rip, (unsigned long long)p.rflags,
		      (unsigned long long)trail[at].rflags);
		CHECK((vm.run->dr[6] & 0x4000) == 0, "DR6 %#llx", (unsigned long long)vm.run->dr[6]);
	}
	CHECK(at == n, "at %u instead of %u", at, n);
	CHECK(!(vm.run->gpr[15] & FLAG_TF), "the guest saw TF in an exception's frame");
	vm_close(&vm);
}

/* A guest that single-steps itself gets its #DB. */
GUEST(own_tf, "pushf\n orl $0x100, (%rsp)\n popf\n nop\n nop\n pushf\n andl $~0x100, (%rsp)\n popf\n nop\n hlt");
GUEST(count_db, "inc %r9\n iretq");

static void guests_own_tf_traps(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, own_tf);
	vm_load(&vm, HANDLER(1), guest_count_db, (size_t)(guest_count_db_end - guest_count_db));
	int rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == 12 && vm.run->gpr[9] == 5, "RUN %d, exit %#x, %llu traps", rc, vm.run->exit,
	      (unsigned long long)vm.run->gpr[9]);
	vm_close(&vm);
}

static void budget_ends_before_a_step(void)
{
	NEED_COUNTER;
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_BENCH) == 0, "%s", strerror(errno));
	LOAD(&vm, nops);
	vm.run->flags = CVVTX_RUN_STEP;
	vm.run->budget = 0;
	int rc = vm_go(&vm);
	CHECK(rc == 0 && vm.run->exit == CVVTX_EXIT_COUNT && vm.run->rip == CODE, "RUN %d, exit %#x", rc, vm.run->exit);
	vm_close(&vm);
}

#define T(name) {#name, name}
const struct test count_tests[] = {
	T(budget_of_n_nops_ends_behind_n),
	T(any_budget_ends_where_single_units_do),
	T(budget_ends_inside_a_rep),
	T(budget_is_exact_across_host_interrupts),
	T(steps_follow_the_trail),
	T(guests_own_tf_traps),
	T(budget_ends_before_a_step),
};
const size_t ncount_tests = sizeof(count_tests) / sizeof(count_tests[0]);
