/* SPDX-License-Identifier: MIT */
/* What the module must refuse, and that it goes on working afterwards. */
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
#include <sys/wait.h>
#include <unistd.h>

#include "tests.h"

GUEST(halt, "hlt");
GUEST(for_ever, "1: jmp 1b");

/* The machine still works: the last line of every test here. */
#define WORKS(vm)                                                                                                                \
	do {                                                                                                                     \
		vm_reset(vm);                                                                                                    \
		LOAD(vm, halt);                                                                                                  \
		int works = vm_go(vm);                                                                                           \
		CHECK(works == 0 && (vm)->run->exit == 12, "RUN %d, exit %#x", works, (vm)->run->exit);                          \
	} while (0)

static void info_tells_what_there_is(void)
{
	struct cvvtx_info info;
	vm_info(&info);
	CHECK(info.version == CVVTX_ABI_VERSION, "version %u", info.version);
	CHECK((info.refused & ~CVVTX_NO_VPID) == 0, "refused %#x", info.refused);
	CHECK(info.features & CVVTX_HAS_PREEMPTION_TIMER, "features %#x", info.features);
	/* With two CPUs Bochs lets them run in turns of several instructions. */
	CHECK(sysconf(_SC_NPROCESSORS_ONLN) > 1 || (info.features & CVVTX_HAS_EXACT_TIMER), "features %#x: Bochs's timer is exact", info.features);
	CHECK(!(info.features & CVVTX_HAS_MTF), "features %#x: Bochs has no MTF", info.features);
	CHECK(info.vmx_basic && info.pin && info.proc && info.proc2 && info.exit && info.entry, "capability MSRs");
	printf("  features %#x, basic %#llx, proc2 %#llx, ept_vpid %#llx\n", info.features, (unsigned long long)info.vmx_basic,
	       (unsigned long long)info.proc2, (unsigned long long)info.ept_vpid);
}

static void info_of_another_version_is_filled_and_refused(void)
{
	int fd = open(CVVTX_DEVICE, O_RDWR);
	struct cvvtx_info info = {.version = CVVTX_ABI_VERSION + 1};
	CHECK(fd >= 0, "%s", strerror(errno));
	CHECK(ioctl(fd, CVVTX_INFO, &info) == -1 && errno == EINVAL, "errno %d", errno);
	CHECK(info.version == CVVTX_ABI_VERSION, "version %u", info.version);
	CHECK(ioctl(fd, CVVTX_INFO, NULL) == -1 && errno == EFAULT, "errno %d", errno);
	close(fd);
}

static void device_is_roots_alone(void)
{
	pid_t pid = fork();
	if (pid == 0) {
		if (setresuid(1000, 1000, 1000) < 0)
			_exit(2);
		_exit(open(CVVTX_DEVICE, O_RDWR) >= 0 ? 1 : errno == EACCES ? 0 : 3);
	}
	int status;
	waitpid(pid, &status, 0);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", status);
}

static void everything_before_create_is_refused(void)
{
	static struct cvvtx_state s;
	int fd = open(CVVTX_DEVICE, O_RDWR);
	CHECK(ioctl(fd, CVVTX_RUN) == -1, "RUN");
	CHECK(ioctl(fd, CVVTX_GET_STATE, &s) == -1, "GET_STATE");
	CHECK(ioctl(fd, CVVTX_SET_STATE, &s) == -1, "SET_STATE");
	CHECK(ioctl(fd, CVVTX_PROTECT) == -1, "PROTECT");
	CHECK(ioctl(fd, CVVTX_DROP) == -1, "DROP");
	CHECK(ioctl(fd, CVVTX_FLUSH) == -1, "FLUSH");
	CHECK(mmap(NULL, CVVTX_MMAP_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED, "mmap");
	char c;
	CHECK(read(fd, &c, 1) == -1 && write(fd, &c, 1) == -1, "read and write");
	close(fd);
}

static int try_create(struct cvvtx_create c)
{
	int fd = open(CVVTX_DEVICE, O_RDWR);
	int rc = ioctl(fd, CVVTX_CREATE, &c) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

static void create_with_bad_arguments_is_refused(void)
{
	size_t size = 4 * MIB;
	uint8_t *ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const struct cvvtx_create good = {
		.version = CVVTX_ABI_VERSION, .ram = (uintptr_t)ram, .ram_size = size, .ram_low = size, .xcr0_allowed = 3};
	CHECK(try_create(good) == 0, "the good one: %d", try_create(good));
	struct cvvtx_create c;
#define BAD(field, value)                                                                                                        \
	c = good;                                                                                                                \
	c.field = (value);                                                                                                       \
	CHECK(try_create(c) < 0, #field " = " #value)
	BAD(version, 0);
	BAD(version, CVVTX_ABI_VERSION + 1);
	BAD(counter, 3);
	BAD(counter, 0xffffffff);
	BAD(ram, good.ram + 1);
	BAD(ram, good.ram + 0x800);
	BAD(ram, 0xffff800000000000ull);
	BAD(ram, 0xfffffffffff00000ull);
	BAD(ram_size, 0);
	BAD(ram_size, 1);
	BAD(ram_size, size + 4096);
	BAD(ram_size, (16ull << 30) + MIB);
	BAD(ram_size, ~0ull);
	BAD(ram_size, ~0ull << 20);
	BAD(ram_low, 0);
	BAD(ram_low, size - 4096);
	BAD(ram_low, size + MIB);
	BAD(ram_low, ~0ull);
	BAD(xcr0_allowed, 0);
	BAD(xcr0_allowed, 2);
	BAD(xcr0_allowed, 4);
	BAD(xcr0_allowed, 5);
	BAD(xcr0_allowed, 0xff);
	BAD(xcr0_allowed, 1ull << 63 | 3);
	BAD(reserved[0], 1);
	BAD(reserved[1], 1ull << 63);
	BAD(pmu_event, 1ull << 32); /* more than event and umask */
	int fd = open(CVVTX_DEVICE, O_RDWR);
	CHECK(ioctl(fd, CVVTX_CREATE, NULL) == -1 && errno == EFAULT, "errno %d", errno);
	CHECK(ioctl(fd, CVVTX_CREATE, (void *)0xffff888000000000ull) == -1 && errno == EFAULT, "errno %d", errno);
	/* After a refusal the same file can still be used. */
	CHECK(ioctl(fd, CVVTX_CREATE, &good) == 0, "errno %d", errno);
	close(fd);
	munmap(ram, size);
}

static void second_create_is_refused(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	struct cvvtx_create c = {.version = CVVTX_ABI_VERSION,
				 .ram = (uintptr_t)vm.ram,
				 .ram_size = vm.size,
				 .ram_low = vm.size,
				 .xcr0_allowed = 1};
	CHECK(ioctl(vm.fd, CVVTX_CREATE, &c) == -1, "a second machine on a file");
	WORKS(&vm);
	vm_close(&vm);
}

static void run_before_state_is_refused_or_fails(void)
{
	size_t size = 4 * MIB;
	uint8_t *ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct cvvtx_create c = {
		.version = CVVTX_ABI_VERSION, .ram = (uintptr_t)ram, .ram_size = size, .ram_low = size, .xcr0_allowed = 1};
	int fd = open(CVVTX_DEVICE, O_RDWR);
	CHECK(ioctl(fd, CVVTX_CREATE, &c) == 0, "%s", strerror(errno));
	struct cvvtx_run *run = mmap(NULL, CVVTX_MMAP_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(run != MAP_FAILED, "%s", strerror(errno));
	int rc = ioctl(fd, CVVTX_RUN);
	CHECK(rc == -1 || run->exit == CVVTX_EXIT_ENTRY_FAILED, "RUN %d, exit %#x", rc, run->exit);
	munmap(run, CVVTX_MMAP_SIZE);
	close(fd);
	munmap(ram, size);
}

static void mmap_of_anything_else_is_refused(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	int rw = PROT_READ | PROT_WRITE;
	CHECK(mmap(NULL, CVVTX_MMAP_SIZE + 4096, rw, MAP_SHARED, vm.fd, 0) == MAP_FAILED, "too long");
	CHECK(mmap(NULL, 1 << 30, rw, MAP_SHARED, vm.fd, 0) == MAP_FAILED, "far too long");
	CHECK(mmap(NULL, 4096, rw, MAP_SHARED, vm.fd, CVVTX_MMAP_SIZE) == MAP_FAILED, "behind");
	CHECK(mmap(NULL, CVVTX_MMAP_SIZE, rw, MAP_SHARED, vm.fd, 4096) == MAP_FAILED, "shifted");
	CHECK(mmap(NULL, CVVTX_MMAP_SIZE, rw, MAP_SHARED, vm.fd, 1ll << 40) == MAP_FAILED, "far behind");
	CHECK(mmap(NULL, CVVTX_MMAP_SIZE, rw, MAP_PRIVATE, vm.fd, 0) == MAP_FAILED, "private");
	CHECK(mremap(vm.run, CVVTX_MMAP_SIZE, 2 * CVVTX_MMAP_SIZE, MREMAP_MAYMOVE) == MAP_FAILED, "grown");
	WORKS(&vm);
	vm_close(&vm);
}

static void shared_pages_outlive_the_file(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	WORKS(&vm);
	close(vm.fd);
	for (size_t i = 0; i < CVVTX_MMAP_SIZE; i++)
		((volatile uint8_t *)vm.run)[i] = (uint8_t)i;
	vm.fd = -1;
	vm_close(&vm);
}

static void unknown_ioctls_are_refused(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	char buf[8192] = {0};
	for (unsigned nr = 0; nr < 256; nr++) {
		if (nr >= 0x80 && nr <= 0x87)
			continue;
		CHECK(ioctl(vm.fd, _IOWR('V', nr, char[64]), buf) == -1 && errno == ENOTTY, "%#x: errno %d", nr, errno);
	}
	CHECK(ioctl(vm.fd, _IOWR('V', 0x80, char[72]), buf) == -1 && errno == ENOTTY, "INFO of another size");
	CHECK(ioctl(vm.fd, _IOW('V', 0x84, char[64]), buf) == -1 && errno == ENOTTY, "SET_STATE of another size");
	WORKS(&vm);
	vm_close(&vm);
}

static void bad_state_is_refused(void)
{
	struct vm vm;
	struct cvvtx_state good, s;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	vm_long_mode(&good);
	CHECK(ioctl(vm.fd, CVVTX_SET_STATE, &good) == 0, "errno %d", errno);
#define BAD_STATE(field, value)                                                                                                  \
	s = good;                                                                                                                \
	s.field = (value);                                                                                                       \
	CHECK(ioctl(vm.fd, CVVTX_SET_STATE, &s) == -1 && errno == EINVAL, #field " = " #value ": errno %d", errno)
	BAD_STATE(seg[3].reserved[1], 1);
	BAD_STATE(gdtr.reserved, 1);
	BAD_STATE(idtr.reserved, 1);
	BAD_STATE(xsave[27], 0x80);   /* MXCSR, a reserved bit */
	BAD_STATE(xsave[512 + 7], 1); /* XSTATE_BV, a component that isn't allowed */
	BAD_STATE(xsave[512 + 8], 1); /* XCOMP_BV */
	BAD_STATE(xsave[512 + 15], 0x80);
	BAD_STATE(xsave[512 + 24], 1);
	BAD_STATE(xcr0, 0);
	BAD_STATE(xcr0, 2);
	BAD_STATE(xcr0, 5);
	BAD_STATE(xcr0, 0xe7);
	BAD_STATE(xcr0, 1ull << 62 | 3);
	CHECK(ioctl(vm.fd, CVVTX_SET_STATE, NULL) == -1 && errno == EFAULT, "errno %d", errno);
	CHECK(ioctl(vm.fd, CVVTX_GET_STATE, NULL) == -1 && errno == EFAULT, "errno %d", errno);
	WORKS(&vm);
	vm_close(&vm);
}

static void bad_run_fields_are_refused(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, halt);
#define BAD_RUN(field, value)                                                                                                    \
	vm_reset(&vm);                                                                                                           \
	vm.run->field = (value);                                                                                                 \
	CHECK(vm_run(&vm) == -EINVAL, #field " = " #value)
	BAD_RUN(flags, ~CVVTX_RUN_FLAGS);
	BAD_RUN(flags, 0x80);
	BAD_RUN(reserved, 1);
	BAD_RUN(activity, 2);
	BAD_RUN(activity, 3);
	BAD_RUN(activity, 0xffffffff);
	BAD_RUN(nring, CVVTX_RING_SLOTS + 1);
	BAD_RUN(ndirty, CVVTX_DIRTY_SLOTS + 1);
	WORKS(&vm);
	vm_close(&vm);
}

/* States that the processor itself refuses: an exit that says so, and the machine lives on. */
static void bad_guest_state_fails_the_entry(void)
{
	struct vm vm;
	struct cvvtx_state s;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, halt);
	for (int i = 0; i < 8; i++) {
		vm_reset(&vm);
		vm_long_mode(&s);
		switch (i) {
		case 0: s.seg[1].ar = 0xe09b; break;		   /* CS with L and D */
		case 1: s.seg[7].ar = 0x10000; break;		   /* TR unusable */
		case 2: s.seg[7].base = 0x8000000000000000ull; break; /* not canonical */
		case 3: s.cr0 &= ~1ull; break;			   /* PG without PE */
		case 4: s.cr4 &= ~0x20ull; break;		   /* long mode without PAE */
		case 5: s.cr3 = 1ull << 60; break;		   /* beyond physical addresses */
		case 6: vm.run->rflags = 0; break;		   /* bit 1 */
		case 7: s.gdtr.limit = 0x10000; break;
		}
		int set = ioctl(vm.fd, CVVTX_SET_STATE, &s) < 0 ? -errno : 0;
		int rc = set ? set : vm_go(&vm);
		CHECK(rc == -EINVAL || (rc == 0 && vm.run->exit == CVVTX_EXIT_ENTRY_FAILED), "case %d: %d, exit %#x", i, rc,
		      vm.run->exit);
		WORKS(&vm);
	}
	vm_close(&vm);
}

static void child_after_fork_is_refused(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, halt);
	pid_t pid = fork();
	if (pid == 0) {
		struct cvvtx_state s;
		vm_long_mode(&s);
		int bad = 0;
		bad |= ioctl(vm.fd, CVVTX_RUN) == 0;
		bad |= (ioctl(vm.fd, CVVTX_GET_STATE, &s) == 0) << 1;
		bad |= (ioctl(vm.fd, CVVTX_SET_STATE, &s) == 0) << 2;
		bad |= (ioctl(vm.fd, CVVTX_DROP) == 0) << 3;
		_exit(bad);
	}
	int status;
	waitpid(pid, &status, 0);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", status);
	WORKS(&vm);
	vm_close(&vm);
}

/* The parent is gone, its child still holds the file: nothing of the address space may be used. */
static void child_with_the_last_file_is_harmless(void)
{
	int go[2];
	CHECK(pipe(go) == 0, "pipe");
	pid_t pid = fork();
	if (pid == 0) {
		struct vm vm;
		if (vm_open(&vm, 4, CVVTX_COUNTER_NONE) < 0)
			_exit(1);
		LOAD(&vm, halt);
		if (vm_go(&vm) < 0 || vm.run->exit != 12)
			_exit(2);
		if (fork() == 0) {
			char c;
			close(go[1]);
			while (getppid() != 1)
				usleep(1000);
			c = ioctl(vm.fd, CVVTX_RUN) == 0;
			close(vm.fd);
			_exit(c);
		}
		_exit(0);
	}
	int status;
	waitpid(pid, &status, 0);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", status);
	close(go[1]);
	char c;
	CHECK(read(go[0], &c, 1) == 0, "the grandchild's end");
	close(go[0]);
}

static void *run_in_thread(void *p)
{
	struct vm *vm = p;
	int rc;
	do
		rc = vm_run(vm);
	while (rc == 0 && vm->run->exit == CVVTX_EXIT_SIGNAL && !__atomic_load_n(&vm->run->leave, __ATOMIC_SEQ_CST));
	return (void *)(intptr_t)rc;
}

static void second_thread_gets_ebusy(void)
{
	struct vm vm;
	struct cvvtx_state s;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, for_ever);
	pthread_t t;
	CHECK(pthread_create(&t, NULL, run_in_thread, &vm) == 0, "thread");
	/* The other thread is in RUN nearly always. */
	int tries = 0, run = 0, get = 0, drop = 0;
	while (!(run && get && drop) && tries++ < 100) {
		usleep(5000);
		run |= !run && ioctl(vm.fd, CVVTX_GET_STATE, &s) == -1 && errno == EBUSY && vm_run(&vm) == -EBUSY;
		get |= ioctl(vm.fd, CVVTX_GET_STATE, &s) == -1 && errno == EBUSY;
		drop |= ioctl(vm.fd, CVVTX_PROTECT) == -1 && errno == EBUSY;
	}
	__atomic_store_n(&vm.run->leave, 1, __ATOMIC_SEQ_CST);
	void *rc;
	pthread_join(t, &rc);
	CHECK(run && get && drop, "RUN %d, GET_STATE %d, PROTECT %d", run, get, drop);
	CHECK((intptr_t)rc == 0 && vm.run->exit == CVVTX_EXIT_SIGNAL, "%d, exit %#x", (int)(intptr_t)rc, vm.run->exit);
	WORKS(&vm);
	vm_close(&vm);
}

/* Memory that goes away under the machine, or may not be written. */
static void memory_that_is_not_there_is_reported(void)
{
	struct vm vm;
	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, halt);
	CHECK(ftruncate(vm.memory, 0) == 0, "ftruncate");
	CHECK(ioctl(vm.fd, CVVTX_DROP) == 0, "DROP: errno %d", errno);
	int rc = vm_go(&vm);
	CHECK(rc < 0 || vm.run->exit == CVVTX_EXIT_MEMORY, "RUN %d, exit %#x", rc, vm.run->exit);
	vm_close(&vm);

	CHECK(vm_open(&vm, 4, CVVTX_COUNTER_NONE) == 0, "%s", strerror(errno));
	LOAD(&vm, halt);
	munmap(vm.ram, vm.size);
	vm.ram = MAP_FAILED;
	rc = vm_go(&vm);
	CHECK(rc < 0 || vm.run->exit == CVVTX_EXIT_MEMORY || vm.run->exit == 12, "RUN %d, exit %#x", rc, vm.run->exit);
	vm_close(&vm);
}

static void read_only_memory_is_refused(void)
{
	size_t size = 4 * MIB;
	int fd = open("/bin/busybox", O_RDONLY);
	uint8_t *ram = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(ram != MAP_FAILED, "mmap");
	struct cvvtx_create c = {
		.version = CVVTX_ABI_VERSION, .ram = (uintptr_t)ram, .ram_size = size, .ram_low = size, .xcr0_allowed = 3};
	int dev = open(CVVTX_DEVICE, O_RDWR);
	if (ioctl(dev, CVVTX_CREATE, &c) == 0) {
		struct cvvtx_state s;
		vm_real_mode(&s);
		struct cvvtx_run *run = mmap(NULL, CVVTX_MMAP_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, dev, 0);
		CHECK(run != MAP_FAILED && ioctl(dev, CVVTX_SET_STATE, &s) == 0, "errno %d", errno);
		run->rflags = 2;
		run->budget = CVVTX_COUNT_NONE;
		int rc = ioctl(dev, CVVTX_RUN);
		CHECK(rc < 0 || run->exit == CVVTX_EXIT_MEMORY, "RUN %d, exit %#x", rc, run->exit);
		munmap(run, CVVTX_MMAP_SIZE);
	}
	close(dev);
	munmap(ram, size);
	close(fd);
}

static void many_machines_at_once_work(void)
{
	static struct vm vm[20];
	for (int i = 0; i < 20; i++)
		CHECK(vm_open(&vm[i], 2, vm_counter()) == 0, "%d: %s", i, strerror(errno));
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < 20; i++)
			WORKS(&vm[i]);
	for (int i = 0; i < 20; i++)
		vm_close(&vm[i]);
}

#define T(name) {#name, name}
const struct test refusal_tests[] = {
	T(info_tells_what_there_is),
	T(info_of_another_version_is_filled_and_refused),
	T(device_is_roots_alone),
	T(everything_before_create_is_refused),
	T(create_with_bad_arguments_is_refused),
	T(second_create_is_refused),
	T(run_before_state_is_refused_or_fails),
	T(mmap_of_anything_else_is_refused),
	T(shared_pages_outlive_the_file),
	T(unknown_ioctls_are_refused),
	T(bad_state_is_refused),
	T(bad_run_fields_are_refused),
	T(bad_guest_state_fails_the_entry),
	T(child_after_fork_is_refused),
	T(child_with_the_last_file_is_harmless),
	T(second_thread_gets_ebusy),
	T(memory_that_is_not_there_is_reported),
	T(read_only_memory_is_refused),
	T(many_machines_at_once_work),
};
const size_t nrefusal_tests = sizeof(refusal_tests) / sizeof(refusal_tests[0]);
