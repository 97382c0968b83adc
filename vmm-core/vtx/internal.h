/* SPDX-License-Identifier: MIT */
/*
 * The VT-x engine's insides, shared by its files and its unit test.
 *
 * Where the guest's state is. At home: `s` has all of it. In the device: the shared page `run` has the general registers, RIP, RFLAGS,
 * the debug registers and the shadows, the module has what struct cvvtx_state names (`dev` is a copy while dev_known), and
 * `s` goes on holding what neither knows: the position, the TSC's offset, MTRRs, NMI pending and their like (vtx_from_device
 * leaves these alone). In the software engine while that runs: only it may be asked then.
 */
#ifndef CV_VTX_INTERNAL_H
#define CV_VTX_INTERNAL_H

#include "vmm-core/kmod/abi.h"
#include "vmm-core/vtx/counter.h"
#include "vmm-core/vtx/vtx.h"

/* --- The device (device.c): the only file with system calls. 0, or CV_E_* with err set. --- */

struct vtx_device {
	int fd;			 /* owned; -1: none */
	void *pages;		 /* owned mapping of CVVTX_MMAP_SIZE bytes, or NULL */
	struct cvvtx_run *run;	 /* borrowed: within pages, as the next two */
	struct cvvtx_tsc *ring;
	uint32_t *dirty;
	struct cvvtx_info info;
	uint64_t pmu_event; /* for CVVTX_COUNTER_PMU: cv_pmu_config of the event; else 0. Before vtx_device_create */
};

/* Opens it and asks what it can do; CV_E_NOTFOUND with a sentence for people where it can't be used. */
int vtx_device_open(struct vtx_device *d, struct cv_error *err);
int vtx_device_create(struct vtx_device *d, const struct cv_memory *mem, uint32_t counter, uint64_t xcr0, struct cv_error *err);
void vtx_device_release(struct vtx_device *d); /* accepts what failed to open, and a second call */
/* A signal that came in between is no error: run->exit says what happened. */
int vtx_device_run(struct vtx_device *d, struct cv_error *err);
int vtx_device_get(struct vtx_device *d, struct cvvtx_state *s, struct cv_error *err);
int vtx_device_set(struct vtx_device *d, const struct cvvtx_state *s, struct cv_error *err);
int vtx_device_command(struct vtx_device *d, unsigned long request, struct cv_error *err); /* PROTECT, DROP, FLUSH */

/* --- What can't be used, in words (probe.c) --- */

/* Do these bits keep VT-x from being used? */
bool vtx_refuses(uint32_t refused);
/* One sentence for `refused`: why, and what to do. */
void vtx_refusal_text(uint32_t refused, char *buf, size_t n);
/* Why the device can't be opened. */
void vtx_open_text(int open_errno, char *buf, size_t n);
/* The features of the model that this CPU lacks and that the module can't supply: a set of CV_HAS(...). refused: the module's. */
uint64_t vtx_missing_features(const struct cv_cpuid_model *model, uint32_t refused);
/* ... as a sentence that names the model to use instead. */
void vtx_missing_text(const struct cv_cpuid_model *model, uint64_t missing, char *buf, size_t n);

/* --- State (state.c) --- */

/* All of s that the device holds: in the module, and in the shared page. From both together comes s again. */
void vtx_to_device(const struct cv_vcpu_state *s, struct cvvtx_state *dev);
void vtx_to_run(const struct cv_vcpu_state *s, struct cvvtx_run *run);
void vtx_from_device(const struct cvvtx_state *dev, const struct cvvtx_run *run, struct cv_vcpu_state *s);
/* Would VT-x enter this state and the hardware do with it what the software engine does? */
bool vtx_can_run(const struct cv_vcpu_state *s);

/* --- The engine --- */

#define INFO_VALID (1u << 31) /* of every interruption-information field (SDM 3C 24.8.3, 24.9.2) */

enum vtx_where { VTX_AT_HOME, VTX_IN_DEVICE };

struct vtx_engine {
	struct cv_engine base;
	struct cv_engine_host host;
	struct cv_engine *soft; /* owned */
	struct vtx_device device;
	struct cvvtx_run *run;	/* device.run */
	struct cv_counter counter;
	struct cv_vcpu_state s;
	struct cvvtx_state dev;
	enum vtx_where where;
	bool dev_known;	   /* dev is what the module holds */
	bool soft_current; /* at home: the software engine holds s, too */
	bool soft_running; /* the state is the software engine's */
	bool code_stale;   /* the guest ran on hardware since the software engine's decoded code was dropped */
	bool kicked;
	int forced;	   /* vector of an interrupt that was acknowledged and must be delivered next; -1: none */
	bool at_slot;	   /* the position is a clock read's in the ring, its RIP slot_rip */
	uint64_t slot_rip;
	bool injected;	   /* the entry was asked to deliver it */
	bool protect, flush; /* owed to the module before it enters again */
	bool umip;	     /* CR4.UMIP, as of the last state that was at home */
	uint32_t zeroed;     /* mem->zeroed when the module last heard of it */
	size_t nbreaks, nwatches;
	struct cv_error err; /* of an operation that can't return one: sticks, and ends the next run */
	uint64_t entries, light, steps, soft_runs, transfers, injections, clock_reads; /* for people */
};

static inline struct vtx_engine *vtx_of(struct cv_engine *e)
{
	return (struct vtx_engine *)e;
}

/* What an exit was (exits.c). */
enum vtx_handled {
	VTX_DONE,    /* carried out or nothing to do; the position is a boundary's */
	VTX_FIRED,   /* the counter */
	VTX_BY_SOFT, /* the software engine must execute the instruction, or deliver what was being delivered */
	VTX_FAILED,  /* err is set */
};
/* Handles the exit that `run` shows, with its units already counted. */
enum vtx_handled vtx_exit(struct vtx_engine *e, struct cv_error *err);
/* May this exit's instruction have changed what the TLB remembers? */
bool vtx_exit_flushes(const struct vtx_engine *e);
/* The name of an exit reason, for messages. */
const char *vtx_exit_name(uint32_t exit);
/* RIP as a linear address while the state is in the device. */
uint64_t vtx_linear_rip(const struct cvvtx_run *run);

#endif
