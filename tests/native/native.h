/* SPDX-License-Identifier: MIT */
/*
 * The host's CPU as oracle for the software engine.
 *
 * An encoding is one to four instructions in a row, generated at random (generate.c) and put into a window of code. It runs from
 * some tens of states (operands.c), each a case, natively in a child process (child.c) and on the engine at CPL 3 (guest.c) with
 * the same linear addresses mapped in the same way. compare.c judges, report.c shows. All follows from a seed: case c of a
 * seed is state c % NAT_SETS of encoding c / NAT_SETS.
 *
 * Memory, for both: code, readable and executable, in slots that are full of INT3 but for the encoding, with nothing
 * mapped behind; two pages of data that may be written and a third that may only be read, with nothing mapped around. The child
 * alone has, below 4 GiB, its stubs and the state that they load and save (NAT_PRIVATE).
 */
#ifndef CV_NATIVE_H
#define CV_NATIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "vmm-core/state.h"
#include "vmm-core/x86/features.h"
#include "vmm-core/x86/insn.h"

enum { NAT_SETS = 32, NAT_ENCODINGS = 8 /* of a batch, one a slot */, NAT_CASES = NAT_SETS * NAT_ENCODINGS, NAT_INSNS = 4,
       NAT_CODE_MAX = 72 };

#define NAT_PAGE 0x1000u
#define NAT_CODE 0x18000000ull
#define NAT_SLOT 0x2000u
#define NAT_CODE_SIZE (NAT_ENCODINGS * NAT_SLOT)
#define NAT_CODE_END (NAT_CODE + NAT_CODE_SIZE)
#define NAT_DATA 0x10000000ull
#define NAT_RW_SIZE 0x2000u
#define NAT_DATA_SIZE 0x3000u /* with the page that can't be written */
#define NAT_LANDING 0x1c000000ull /* behind the encoding stands a jump to here */
#define NAT_LANDING32 (NAT_LANDING + 0x800)
#define NAT_IN 0x1c010000ull
#define NAT_OUT 0x1c010400ull
#define NAT_STUB 0x1c010800ull
#define NAT_PRIVATE 0x1c000000ull
#define NAT_PRIVATE_END 0x1c020000ull
#define NAT_FILL 0xcc

/* XSAVE's standard format. */
enum { XS_FCW = 0, XS_FSW = 2, XS_FTW = 4, XS_FOP = 6, XS_FIP = 8, XS_FDP = 16, XS_MXCSR = 24, XS_ST = 32, XS_XMM = 160,
       XS_HEADER = 512, XS_YMM = 576, XS_SIZE = 832 };

enum { NAT_HANG = 255, NAT_LOST = 254 }; /* as vectors */

/* What goes in and comes out. child.c's assembly knows the offsets. */
struct nat_state {
	uint8_t x[XS_SIZE];
	uint64_t gpr[16];	/* 832 */
	uint64_t rflags;	/* 960 */
	uint64_t rip;		/* 968 */
	uint64_t fsbase, gsbase; /* 976, 984 */
	uint16_t sel[8];	/* 992: as CV_ES.. */
	int32_t vector;		/* 1008; -1: none */
	uint32_t error;		/* 1012 */
	uint64_t cr2;		/* 1016 */
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct nat_state) == 1024, "child.c knows the offsets");

/* What the data window holds beside the background (nat_background), in order. */
enum { NAT_PATCHES = 8, NAT_POOL = 2048 };
struct nat_patch {
	uint16_t off, len, from;
};

struct nat_case {
	struct nat_state in, out;
	struct nat_patch patch[NAT_PATCHES];
	unsigned npatches, pool_used;
	uint8_t pool[NAT_POOL];
	uint8_t out_mem[NAT_RW_SIZE];
};

struct nat_encoding {
	uint64_t number;
	uint8_t code[NAT_CODE_MAX];
	unsigned len, n;
	struct cv_insn insn[NAT_INSNS];
	enum cv_decode_result result; /* of the last instruction; those before it are CV_DECODE_OK */
	unsigned mode;		      /* 64 or 32 */
	uint64_t rip;
	bool edge;		      /* its end isn't mapped */
};

/* Shared with the child. */
struct nat_batch {
	uint32_t turn; /* futex: 0 parent's, 1 child's, 2 the child shall end */
	uint32_t current; /* case being run */
	unsigned nencodings;
	unsigned mode[NAT_ENCODINGS];
	struct nat_case cases[NAT_CASES];
};

/* What the host is. */
struct nat_host {
	bool intel, amd, xsave, avx, fsgsbase, avx512, rtm, la57;
	bool fdp_on_exception; /* CPUID.7.0:EBX[6]: FDP changes only with an exception that isn't masked */
	uint64_t features;     /* of enum cv_feature: what both can do */
	uint32_t mxcsr_mask;
	uint64_t xcr0, missing_state; /* components that the host's XCR0 has, and the engine's doesn't */
};
void nat_host_ask(struct nat_host *h);

struct nat_options {
	uint64_t seed, first, cases, max_failures, seconds /* 0: as long as it takes */;
	const char *only;
	unsigned mode; /* 64, 32, or 0: both, 32 for one encoding in ten */
	bool verbose, progress;
	uint64_t features; /* ~0: all that the host has */
};

/* --- Random numbers: splitmix64 --- */
struct nat_rng {
	uint64_t s;
};
static inline uint64_t nat_rnd(struct nat_rng *r)
{
	uint64_t z = (r->s += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}
static inline unsigned nat_below(struct nat_rng *r, unsigned n)
{
	return (unsigned)((nat_rnd(r) >> 32) * n >> 32);
}
static inline bool nat_chance(struct nat_rng *r, unsigned in) /* one in so many */
{
	return nat_below(r, in) == 0;
}
/* A state from seed and number, unlike those of the numbers beside it. */
static inline struct nat_rng nat_rng_for(uint64_t seed, uint64_t number)
{
	struct nat_rng r = {seed * 0xd1342543de82ef95ull ^ number * 0x2545f4914f6cdd1dull};

	nat_rnd(&r);
	return r;
}

/* --- generate.c: encodings --- */
/* Fills in e for its number. only: an operation's name, or NULL. */
void nat_generate(struct nat_encoding *e, const struct nat_host *h, const struct nat_options *o, uint64_t number, unsigned slot);

/* --- filter.c: what isn't run, and why; NULL: it is run --- */
const char *nat_filter(const struct nat_host *h, const uint8_t *code, const struct cv_insn *i, enum cv_decode_result result,
		       unsigned mode);
bool nat_alone(enum cv_op op); /* never in a row with others */

/* --- operands.c: states --- */
void nat_operands(struct nat_case *c, const struct nat_encoding *e, const struct nat_host *h, struct nat_rng *r);
const uint8_t *nat_background(void); /* NAT_DATA_SIZE bytes, the same in every run */
/* Data window = background with the case's patches. */
void nat_fill_window(uint8_t *window, const struct nat_case *c);

/* --- child.c --- */
struct nat_child;
struct nat_child *nat_child_new(const struct nat_host *h, int code_fd, uint64_t code_offset);
void nat_child_free(struct nat_child *n);
struct nat_batch *nat_child_batch(struct nat_child *n);
/* false: it died in mid-batch; batch->current tells in which case; the next run starts another. */
bool nat_child_run(struct nat_child *n);

/* --- guest.c --- */
struct nat_guest;
struct nat_guest *nat_guest_new(const struct nat_host *h, uint64_t features);
void nat_guest_free(struct nat_guest *g);
int nat_guest_code_fd(const struct nat_guest *g, uint64_t *offset);
void nat_guest_put_code(struct nat_guest *g, const struct nat_encoding *e);
void nat_guest_remove_code(struct nat_guest *g, const struct nat_encoding *e);
/* Runs the case; *mem is the data window afterwards. */
void nat_guest_run(struct nat_guest *g, const struct nat_encoding *e, const struct nat_case *c, struct nat_state *out,
		   const uint8_t **mem);

/* --- compare.c --- */
enum nat_verdict { NAT_SAME, NAT_EXCUSED, NAT_DIFFERENT };
/* why: of what is excused. Both outcomes are made alike first where they tell the same thing in two ways. */
enum nat_verdict nat_compare(const struct nat_host *h, const struct nat_encoding *e,
			     struct nat_state *native, struct nat_state *engine, const uint8_t *native_mem,
			     const uint8_t *engine_mem, const char **why);
uint64_t nat_undefined_flags(const struct cv_insn *i); /* undefined.c */

/* --- report.c --- */
void nat_report(const struct nat_options *o, const struct nat_encoding *e, const struct nat_case *c, unsigned set,
		const struct nat_state *native, const struct nat_state *engine, const uint8_t *native_mem,
		const uint8_t *engine_mem);
void nat_show_code(const struct nat_encoding *e);

#endif
