/* SPDX-License-Identifier: MIT */
/*
 * KVM beside us.
 *	kvm hold	a machine of KVM's: says "holding" and sleeps; status 16 where KVM is refused
 *	kvm cost N	instructions of the host per OUT to user space and back, one number
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static uint64_t ticks(void)
{
	uint32_t a, d;
	__asm__ volatile("rdtsc" : "=a"(a), "=d"(d));
	return (uint64_t)d << 32 | a;
}

struct kvm {
	int cpu;
	struct kvm_run *run;
	uint8_t *ram;
};

/* Real mode at 1000h. */
static int make(struct kvm *k)
{
	int dev = open("/dev/kvm", O_RDWR);
	int vm = dev < 0 ? -1 : ioctl(dev, KVM_CREATE_VM, 0);
	if (vm < 0)
		return -errno;
	ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000ul);
	k->ram = mmap(NULL, 0x10000, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region r = {.memory_size = 0x10000, .userspace_addr = (uintptr_t)k->ram};
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &r) < 0)
		return -errno;
	k->cpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	k->run = mmap(NULL, (size_t)ioctl(dev, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, k->cpu, 0);
	struct kvm_sregs s;
	struct kvm_regs g = {.rip = 0x1000, .rflags = 2};
	if (k->run == MAP_FAILED || ioctl(k->cpu, KVM_GET_SREGS, &s) < 0)
		return -errno;
	s.cs.base = s.cs.selector = 0;
	return ioctl(k->cpu, KVM_SET_SREGS, &s) < 0 || ioctl(k->cpu, KVM_SET_REGS, &g) < 0 ? -errno : 0;
}

/* The guest is OUT after OUT: nothing else is counted. */
static int cost(struct kvm *k, unsigned n)
{
	for (unsigned i = 0; i < 0x4000; i += 2)
		memcpy(k->ram + 0x1000 + i, "\xe6\x10", 2);
	uint64_t begin = 0;
	for (unsigned i = 0; i < n + 100; i++) {
		if (i == 100)
			begin = ticks();
		if (ioctl(k->cpu, KVM_RUN, 0) < 0 || k->run->exit_reason != KVM_EXIT_IO)
			return 1;
	}
	printf("%llu\n", (unsigned long long)((ticks() - begin) / n));
	return 0;
}

int main(int argc, char **argv)
{
	struct kvm k;
	int rc = make(&k);
	if (rc < 0) {
		fprintf(stderr, "kvm: %s\n", strerror(-rc));
		return rc == -EBUSY || rc == -EIO ? 16 : 1;
	}
	if (argc == 3 && !strcmp(argv[1], "cost"))
		return cost(&k, (unsigned)atoi(argv[2]));
	puts("holding");
	fflush(stdout);
	pause();
	return 0;
}
