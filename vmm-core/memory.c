/* SPDX-License-Identifier: MIT */
/* Guest RAM: the mapping, and copies by guest-physical address that keep the dirty list and tell the engine. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "vmm-core/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int cv_memory_init(struct cv_memory *m, uint64_t size, struct cv_error *err)
{
	memset(m, 0, sizeof(*m));
	m->fd = -1;
	if (size < CV_RAM_MIN || size > CV_RAM_MAX || size & ((1u << 20) - 1))
		return cv_error_set(err, CV_E_BADINPUT, "memory of %llu bytes: must be 16 MiB to 16 GiB in steps of 1 MiB",
				    (unsigned long long)size);
	m->size = size;
	m->pages = (uint32_t)(size >> CV_PAGE_SHIFT);
	m->flags = calloc(m->pages, sizeof(*m->flags));
	m->dirty = calloc(m->pages, sizeof(*m->dirty));
	if (!m->flags || !m->dirty) {
		cv_memory_release(m);
		return cv_error_set(err, CV_E_NOMEM, "no memory to keep track of %llu MiB of guest RAM",
				    (unsigned long long)(size >> 20));
	}
	m->fd = memfd_create("guest-ram", MFD_CLOEXEC);
	if (m->fd < 0 || ftruncate(m->fd, (off_t)size))
		goto fail;
	m->ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, m->fd, 0);
	if (m->ram == MAP_FAILED) {
		m->ram = NULL;
		goto fail;
	}
	return 0;
fail:
	cv_error_set(err, CV_E_NOMEM, "cannot map %llu MiB of guest RAM: %s", (unsigned long long)(size >> 20),
		     strerror(errno));
	cv_memory_release(m);
	return CV_E_NOMEM;
}

void cv_memory_release(struct cv_memory *m)
{
	if (m->ram)
		munmap(m->ram, m->size);
	if (m->size && m->fd >= 0)
		close(m->fd);
	free(m->flags);
	free(m->dirty);
	memset(m, 0, sizeof(*m));
	m->fd = -1;
}

void cv_memory_zero(struct cv_memory *m)
{
	/* Punching the whole file out gives the pages back; where the host cannot, zeroing does. */
	if (fallocate(m->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)m->size))
		memset(m->ram, 0, m->size);
	for (uint32_t p = 0; p < m->pages; p++) {
		if (m->written && m->flags[p] & (CV_PAGE_CODE | CV_PAGE_TABLE))
			m->written(m->written_ctx, p, 0, CV_PAGE_SIZE);
		m->flags[p] &= (uint8_t)~(CV_PAGE_DIRTY | CV_PAGE_TOUCHED);
	}
	m->ndirty = 0;
	m->ntouched = 0;
	m->zeroed++;
}

size_t cv_memory_read(const struct cv_memory *m, uint64_t gpa, void *p, size_t n)
{
	size_t done = 0;

	while (done < n) {
		int64_t page = cv_memory_gpa_to_page(m, gpa + done);
		size_t off = (gpa + done) & (CV_PAGE_SIZE - 1), k = CV_PAGE_SIZE - off;

		if (page < 0)
			break;
		if (k > n - done)
			k = n - done;
		memcpy((uint8_t *)p + done, m->ram + ((uint64_t)page << CV_PAGE_SHIFT) + off, k);
		done += k;
	}
	return done;
}

size_t cv_memory_write(struct cv_memory *m, uint64_t gpa, const void *p, size_t n)
{
	size_t done = 0;

	while (done < n) {
		int64_t page = cv_memory_gpa_to_page(m, gpa + done);
		size_t off = (gpa + done) & (CV_PAGE_SIZE - 1), k = CV_PAGE_SIZE - off;

		if (page < 0)
			break;
		if (k > n - done)
			k = n - done;
		cv_memory_mark_dirty(m, (uint32_t)page);
		memcpy(m->ram + ((uint64_t)page << CV_PAGE_SHIFT) + off, (const uint8_t *)p + done, k);
		if (m->written)
			m->written(m->written_ctx, (uint32_t)page, (uint32_t)off, (uint32_t)k);
		done += k;
	}
	return done;
}

void cv_memory_clear_dirty(struct cv_memory *m)
{
	for (uint32_t k = 0; k < m->ndirty; k++)
		m->flags[m->dirty[k]] &= (uint8_t)~CV_PAGE_DIRTY;
	m->ndirty = 0;
}
