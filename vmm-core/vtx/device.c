/* SPDX-License-Identifier: MIT */
/*
 * /dev/chronovisor-vtx: open, create, map, and one function per request. All of the engine's system calls are here.
 *
 * What the device answers is a function of the guest's state, but for the values in the ring of clock reads and for how long a RUN
 * lasted before a signal or a full list ended it; the engine lets neither show but through struct cv_engine_host.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm-core/vtx/internal.h"

static int failed(struct cv_error *err, const char *what)
{
	return cv_error_set(err, CV_E_IO, "%s: %s: %s", CVVTX_DEVICE, what, strerror(errno));
}

static int ask(struct vtx_device *d, struct cv_error *err)
{
	char text[400];

	d->info.version = CVVTX_ABI_VERSION;
	if (ioctl(d->fd, CVVTX_INFO, &d->info)) {
		if (d->info.version != CVVTX_ABI_VERSION)
			return cv_error_set(err, CV_E_NOTFOUND,
					    "the kernel module chronovisor_vtx has interface version %u, this program needs %u: "
					    "build and load the module that came with it",
					    d->info.version, CVVTX_ABI_VERSION);
		return failed(err, "CVVTX_INFO");
	}
	if (vtx_refuses(d->info.refused)) {
		vtx_refusal_text(d->info.refused, text, sizeof(text));
		return cv_error_set(err, CV_E_NOTFOUND, "%s", text);
	}
	return 0;
}

int vtx_device_open(struct vtx_device *d, struct cv_error *err)
{
	char text[400];
	int rc;

	memset(d, 0, sizeof(*d));
	d->fd = open(CVVTX_DEVICE, O_RDWR | O_CLOEXEC);
	if (d->fd < 0) {
		vtx_open_text(errno, text, sizeof(text));
		return cv_error_set(err, CV_E_NOTFOUND, "%s", text);
	}
	rc = ask(d, err);
	if (rc)
		vtx_device_release(d);
	return rc;
}

int vtx_device_create(struct vtx_device *d, const struct cv_memory *mem, uint32_t counter, uint64_t xcr0, struct cv_error *err)
{
	struct cvvtx_create c = {
		.version = CVVTX_ABI_VERSION,
		.counter = counter,
		.ram = (uintptr_t)mem->ram,
		.ram_size = mem->size,
		.ram_low = mem->size < CV_RAM_LOW_MAX ? mem->size : CV_RAM_LOW_MAX,
		.xcr0_allowed = xcr0,
		.pmu_event = counter == CVVTX_COUNTER_PMU ? d->pmu_event : 0,
	};
	uint8_t *pages;

	if (ioctl(d->fd, CVVTX_CREATE, &c))
		return failed(err, errno == EBUSY ? "CVVTX_CREATE: another hypervisor may be running (KVM: unload kvm_intel)"
						  : "CVVTX_CREATE");
	pages = mmap(NULL, CVVTX_MMAP_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd, 0);
	if (pages == MAP_FAILED)
		return failed(err, "mmap");
	d->pages = pages;
	d->run = (struct cvvtx_run *)(void *)(pages + CVVTX_MMAP_RUN);
	d->ring = (struct cvvtx_tsc *)(void *)(pages + CVVTX_MMAP_RING);
	d->dirty = (uint32_t *)(void *)(pages + CVVTX_MMAP_DIRTY);
	return 0;
}

void vtx_device_release(struct vtx_device *d)
{
	if (d->pages)
		munmap(d->pages, CVVTX_MMAP_SIZE);
	if (d->fd >= 0)
		close(d->fd);
	memset(d, 0, sizeof(*d));
	d->fd = -1;
}

int vtx_device_run(struct vtx_device *d, struct cv_error *err)
{
	if (ioctl(d->fd, CVVTX_RUN) && errno != EINTR)
		return failed(err, "CVVTX_RUN");
	return 0;
}

int vtx_device_get(struct vtx_device *d, struct cvvtx_state *s, struct cv_error *err)
{
	return ioctl(d->fd, CVVTX_GET_STATE, s) ? failed(err, "CVVTX_GET_STATE") : 0;
}

int vtx_device_set(struct vtx_device *d, const struct cvvtx_state *s, struct cv_error *err)
{
	return ioctl(d->fd, CVVTX_SET_STATE, s) ? failed(err, "CVVTX_SET_STATE") : 0;
}

int vtx_device_command(struct vtx_device *d, unsigned long request, struct cv_error *err)
{
	return ioctl(d->fd, request) ? failed(err, request == CVVTX_PROTECT ? "CVVTX_PROTECT"
							: request == CVVTX_DROP ? "CVVTX_DROP"
										: "CVVTX_FLUSH")
				     : 0;
}
