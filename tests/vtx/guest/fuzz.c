/* SPDX-License-Identifier: MIT */
/*
 * fuzz SECONDS [SEED]: random ioctls with random arguments, random bytes in the shared pages and in guest RAM, from several processes
 * and threads that come and go. The host must survive; what the calls return is of no interest. Prints the seed and what was called.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vm.h"

struct rng {
	uint64_t s;
};
static uint64_t next(struct rng *r)
{
	r->s ^= r->s << 13;
	r->s ^= r->s >> 7;
	r->s ^= r->s << 17;
	return r->s * 0x2545f4914f6cdd1dull;
}
static unsigned below(struct rng *r, unsigned n)
{
	return (unsigned)((next(r) >> 33) % n);
}
static void random_bytes(struct rng *r, void *p, size_t n)
{
	uint8_t *b = p;
	for (size_t i = 0; i < n; i++)
		b[i] = (uint8_t)(next(r) >> 32);
}
/* A number that sits at a limit of something. */
static uint64_t edge(struct rng *r)
{
	static const uint64_t edges[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0xfff, 0x1000, 0x10000, 0x100000, 0x7fffffff, 0x80000000,
					 0xffffffff, 0x100000000, 0x7fffffffffff, 0x800000000000, 0xffff800000000000,
					 0x8000000000000000, 0xfffffffffffff000, 0xffffffffffffffff};
	uint64_t v = edges[below(r, sizeof(edges) / sizeof(edges[0]))];
	return below(r, 4) ? v : v + below(r, 5) - 2;
}

enum { CALLS = 10 };
static const char *const call_names[CALLS] = {"INFO", "CREATE", "RUN", "GET_STATE", "SET_STATE", "PROTECT", "DROP", "FLUSH", "other", "mmap"};

struct job {
	struct vm vm;
	struct rng rng;
	volatile bool *stop;
	unsigned long done[CALLS];
	unsigned long good_runs;
};

/* A few fields of a valid state changed: that goes deeper than random bytes, which are refused at once. */
static void random_state(struct job *j, struct cvvtx_state *s)
{
	if (!below(&j->rng, 10)) {
		random_bytes(&j->rng, s, sizeof(*s));
		return;
	}
	if (below(&j->rng, 4))
		vm_long_mode(s);
	else
		vm_real_mode(s);
	for (unsigned n = below(&j->rng, 4); n; n--) {
		size_t at = below(&j->rng, sizeof(*s) / 8) * 8;
		if (at >= offsetof(struct cvvtx_state, xsave) && below(&j->rng, 4))
			continue;
		uint64_t v = below(&j->rng, 2) ? edge(&j->rng) : next(&j->rng);
		if (below(&j->rng, 2))
			memcpy(&v, (uint8_t *)s + at, 8), v ^= 1ull << below(&j->rng, 64);
		memcpy((uint8_t *)s + at, &v, 8);
	}
}

static void random_run_page(struct job *j)
{
	struct cvvtx_run *run = j->vm.run;
	switch (below(&j->rng, 8)) {
	case 0: random_bytes(&j->rng, run, sizeof(*run)); return;
	case 1: random_bytes(&j->rng, run, CVVTX_MMAP_SIZE); return;
	default: break;
	}
	vm_reset(&j->vm);
	run->flags = below(&j->rng, 3) ? 0 : (uint32_t)next(&j->rng) & CVVTX_RUN_FLAGS;
	run->rflags = below(&j->rng, 3) ? 2 | (below(&j->rng, 2) ? FLAG_IF : 0) : next(&j->rng) & 0x3fffff;
	run->budget = below(&j->rng, 2) ? below(&j->rng, 5000) : CVVTX_COUNT_NONE;
	if (!below(&j->rng, 3))
		run->inject = (uint32_t)next(&j->rng) & (below(&j->rng, 4) ? 0x80000fff : 0xffffffff);
	run->inject_error = (uint32_t)next(&j->rng);
	run->inject_len = below(&j->rng, 20);
	if (!below(&j->rng, 4))
		run->interruptibility = below(&j->rng, 32);
	if (!below(&j->rng, 4))
		run->activity = below(&j->rng, 4);
	if (!below(&j->rng, 4))
		for (int i = 0; i < 8; i++)
			run->dr[i] = below(&j->rng, 2) ? edge(&j->rng) : (uint32_t)next(&j->rng);
	run->leave = !below(&j->rng, 10);
	run->nring = below(&j->rng, 3) ? 0 : (uint32_t)edge(&j->rng);
	run->ndirty = below(&j->rng, 3) ? 0 : (uint32_t)edge(&j->rng);
	if (!below(&j->rng, 8))
		run->rip = edge(&j->rng);
	for (int i = 0; i < 16; i++)
		run->gpr[i] = below(&j->rng, 2) ? edge(&j->rng) : next(&j->rng);
	run->gpr[RSP] = STACK;
	random_bytes(&j->rng, j->vm.ram + CODE, 256);
	if (!below(&j->rng, 4))
		memcpy(j->vm.ram + CODE, "\xeb\xfe", 2);
	if (!below(&j->rng, 10))
		random_bytes(&j->rng, j->vm.ram + PML4 + 8 * below(&j->rng, 0x1000), 8);
}

static void random_create(struct job *j, struct cvvtx_create *c)
{
	*c = (struct cvvtx_create){.version = CVVTX_ABI_VERSION,
				   .counter = below(&j->rng, 3),
				   .ram = (uintptr_t)j->vm.ram,
				   .ram_size = j->vm.size,
				   .ram_low = j->vm.size,
				   .xcr0_allowed = below(&j->rng, 8)};
	uint64_t *field = (uint64_t *)c + below(&j->rng, sizeof(*c) / 8);
	if (below(&j->rng, 3))
		*field = edge(&j->rng);
}

static void *random_pointer(struct job *j, void *good)
{
	switch (below(&j->rng, 12)) {
	case 0: return NULL;
	case 1: return (void *)edge(&j->rng);
	case 2: return j->vm.run;
	case 3: return (uint8_t *)j->vm.run + CVVTX_MMAP_SIZE - 8;
	default: return good;
	}
}

static void step(struct job *j)
{
	struct cvvtx_state s;
	struct cvvtx_create c;
	struct cvvtx_info info = {.version = below(&j->rng, 3)};
	static const unsigned weights[CALLS] = {2, 2, 50, 4, 20, 4, 2, 3, 2, 2};
	unsigned kind = 0, at = below(&j->rng, 91);
	while (at >= weights[kind])
		at -= weights[kind++];
	j->done[kind]++;
	switch (kind) {
	case 0: ioctl(j->vm.fd, CVVTX_INFO, random_pointer(j, &info)); break;
	case 1:
		random_create(j, &c);
		ioctl(j->vm.fd, CVVTX_CREATE, random_pointer(j, &c));
		break;
	case 2:
		if (below(&j->rng, 3))
			random_run_page(j);
		j->good_runs += ioctl(j->vm.fd, CVVTX_RUN, (unsigned long)next(&j->rng)) == 0;
		break;
	case 3: ioctl(j->vm.fd, CVVTX_GET_STATE, random_pointer(j, &s)); break;
	case 4:
		random_state(j, &s);
		ioctl(j->vm.fd, CVVTX_SET_STATE, random_pointer(j, &s));
		break;
	case 5: ioctl(j->vm.fd, CVVTX_PROTECT, next(&j->rng)); break;
	case 6: ioctl(j->vm.fd, CVVTX_DROP, next(&j->rng)); break;
	case 7: ioctl(j->vm.fd, CVVTX_FLUSH, next(&j->rng)); break;
	case 8: ioctl(j->vm.fd, (unsigned long)next(&j->rng) & 0xffffffff, random_pointer(j, &s)); break;
	default: {
		size_t size = (size_t)(1 + below(&j->rng, 20)) * 4096;
		void *p = mmap(NULL, size, (int)below(&j->rng, 8), below(&j->rng, 2) ? MAP_SHARED : MAP_PRIVATE, j->vm.fd,
			       (off_t)below(&j->rng, 20) * 4096);
		if (p != MAP_FAILED)
			munmap(p, size);
	}
	}
}

static void *work(void *p)
{
	struct job *j = p;
	while (!*j->stop)
		step(j);
	return NULL;
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* One process's life: a machine, two threads on it, signals all the time; ends by itself or is killed. */
static void live(uint64_t seed, unsigned long *sums)
{
	static volatile bool stop;
	static struct job jobs[2];
	struct vm vm;
	struct rng rng = {seed};
	struct sigaction sa = {.sa_handler = on_alarm};
	struct itimerval often = {.it_interval = {.tv_usec = 7000}, .it_value = {.tv_usec = 7000}};
	sigaction(SIGALRM, &sa, NULL);
	if (vm_open(&vm, 1 + below(&rng, 4) * 2 + 1, below(&rng, 2) ? vm_counter() : CVVTX_COUNTER_NONE) < 0) {
		fprintf(stderr, "fuzz: %s\n", strerror(errno));
		_exit(1);
	}
	setitimer(ITIMER_REAL, &often, NULL);
	pthread_t t[2];
	for (int i = 0; i < 2; i++) {
		jobs[i] = (struct job){.vm = vm, .rng = {next(&rng) | 1}, .stop = &stop};
		pthread_create(&t[i], NULL, work, &jobs[i]);
	}
	struct timespec until, now;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += 1;
	do {
		usleep(20000);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < until.tv_sec);
	stop = true;
	vm.run->leave = 1;
	for (int i = 0; i < 2; i++) {
		while (pthread_tryjoin_np(t[i], NULL) == EBUSY) {
			vm.run->leave = 1;
			usleep(1000);
		}
		for (int k = 0; k < CALLS; k++)
			sums[k] += jobs[i].done[k];
		sums[CALLS] += jobs[i].good_runs;
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 5;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	unsigned long *sums = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct rng rng = {seed * 0x9e3779b97f4a7c15ull | 1};
	unsigned lives = 0, killed = 0, failed = 0;
	time_t end = time(NULL) + seconds;
	printf("fuzz: seed %llu\n", (unsigned long long)seed);
	fflush(stdout);
	while (time(NULL) < end) {
		uint64_t s = next(&rng) | 1;
		pid_t pid = fork();
		if (pid == 0)
			live(s, sums);
		if (!below(&rng, 3)) {
			usleep(1000 * below(&rng, 900));
			kill(pid, SIGKILL);
			killed++;
		}
		int status;
		waitpid(pid, &status, 0);
		failed += WIFEXITED(status) ? WEXITSTATUS(status) != 0 : WTERMSIG(status) != SIGKILL;
		lives++;
	}
	printf("fuzz: %u processes, %u killed, calls:", lives, killed);
	for (int k = 0; k < CALLS; k++)
		printf(" %s %lu", call_names[k], sums[k]);
	printf(", good RUNs %lu\n", sums[CALLS]);
	/* It must have got somewhere. */
	return failed || sums[CALLS] < 100;
}
