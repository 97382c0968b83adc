/* SPDX-License-Identifier: MIT */
/*
 * A software CPU without an engine, for tests of its system side: RAM, the model, nothing decoded. Tests fill in the
 * registers, write tables with fx_put64() and call soft_update_mode().
 */
#ifndef CV_SOFT_FIXTURE_H
#define CV_SOFT_FIXTURE_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "vmm-core/soft/soft.h"

#define FX_RAM (16ull << 20)

struct fixture {
	struct cv_memory mem;
	struct soft_cpu *c;
};

static inline void fx_init(struct fixture *f)
{
	void *p = NULL;

	memset(f, 0, sizeof(*f));
	ck_assert_int_eq(cv_memory_init(&f->mem, FX_RAM, NULL), 0);
	ck_assert_int_eq(posix_memalign(&p, 64, sizeof(struct soft_cpu)), 0);
	f->c = p;
	memset(f->c, 0, sizeof(*f->c));
	cv_vcpu_reset(&f->c->s);
	f->c->host.mem = &f->mem;
	f->c->host.model = cv_cpuid_model_find("chronovisor-v2");
	f->c->fault.vector = -1;
	soft_set_rflags(f->c, 2);
	soft_update_mode(f->c);
	soft_tlb_flush(f->c);
}

static inline void fx_release(struct fixture *f)
{
	free(f->c);
	cv_memory_release(&f->mem);
}

static inline void fx_put(struct fixture *f, uint64_t gpa, uint64_t v, unsigned n)
{
	ck_assert_uint_eq(cv_memory_write(&f->mem, gpa, &v, n), n);
}

static inline uint64_t fx_get(struct fixture *f, uint64_t gpa, unsigned n)
{
	uint64_t v = 0;

	ck_assert_uint_eq(cv_memory_read(&f->mem, gpa, &v, n), n);
	return v;
}

#endif
