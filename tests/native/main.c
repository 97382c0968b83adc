/* SPDX-License-Identifier: MIT */
/*
 * native: millions of instructions on the host's CPU and on the software engine; see native.h, and README.md for how to read
 * a report. Exit status: 0 all agree, 1 they don't, 77 not on this machine.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#undef F_LOCK /* of <unistd.h>; the decoder has a flag of that name */

#include "tests/native/native.h"

typedef unsigned long long ull;

enum { EXCUSES = 16 };

struct run {
	struct nat_options o;
	struct nat_host h;
	struct nat_guest *guest;
	struct nat_child *child;
	struct nat_encoding e[NAT_ENCODINGS];
	uint64_t done, failures, excused, faulted, lost;
	struct {
		const char *why;
		uint64_t n;
	} excuse[EXCUSES];
	uint64_t by_op[CV_OP_COUNT], failed_op[CV_OP_COUNT];
};

static void note_excuse(struct run *r, const char *why)
{
	unsigned k = 0;

	r->excused++;
	while (k < EXCUSES - 1 && r->excuse[k].why && strcmp(r->excuse[k].why, why))
		k++;
	r->excuse[k].why = why;
	r->excuse[k].n++;
}

static uint64_t last_case(const struct run *r)
{
	return r->o.first + r->o.cases;
}

static void judge(struct run *r, const struct nat_encoding *e, struct nat_case *c, unsigned set)
{
	struct nat_state engine;
	const uint8_t *mem;
	const char *why;
	uint64_t number = e->number * NAT_SETS + set;
	enum cv_op op = (enum cv_op)e->insn[e->n - 1].op;

	if (number < r->o.first || number >= last_case(r))
		return;
	nat_guest_run(r->guest, e, c, &engine, &mem);
	r->done++;
	r->by_op[op]++;
	r->faulted += c->out.vector >= 0;
	switch (nat_compare(&r->h, e, &c->out, &engine, c->out_mem, mem, &why)) {
	case NAT_SAME: break;
	case NAT_EXCUSED: note_excuse(r, why); break;
	case NAT_DIFFERENT:
		r->failures++;
		/* Not a hundred times the same. */
		if (r->failed_op[op]++ < 3 || r->o.verbose)
			nat_report(&r->o, e, c, set, &c->out, &engine, c->out_mem, mem);
		break;
	}
}

static void one_batch(struct run *r, uint64_t first, unsigned n)
{
	struct nat_batch *b = nat_child_batch(r->child);
	unsigned ran = n * NAT_SETS;

	b->nencodings = n;
	for (unsigned k = 0; k < n; k++) {
		struct nat_rng rng = nat_rng_for(~r->o.seed, first + k);

		nat_generate(&r->e[k], &r->h, &r->o, first + k, (unsigned)((first + k) % NAT_ENCODINGS));
		b->mode[k] = r->e[k].mode;
		nat_guest_put_code(r->guest, &r->e[k]);
		for (unsigned s = 0; s < NAT_SETS; s++)
			nat_operands(&b->cases[k * NAT_SETS + s], &r->e[k], &r->h, &rng);
	}
	if (!nat_child_run(r->child)) {
		ran = b->current;
		r->lost++;
		r->failures++;
		printf("LOST: the native process died in case %llu\n", (ull)(r->e[ran / NAT_SETS].number * NAT_SETS + ran % NAT_SETS));
		nat_show_code(&r->e[ran / NAT_SETS]);
	}
	for (unsigned k = 0; k < ran && r->failures < r->o.max_failures; k++)
		judge(r, &r->e[k / NAT_SETS], &b->cases[k], k % NAT_SETS);
	for (unsigned k = 0; k < n; k++)
		nat_guest_remove_code(r->guest, &r->e[k]);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void all(struct run *r)
{
	uint64_t e = r->o.first / NAT_SETS, end = (last_case(r) + NAT_SETS - 1) / NAT_SETS;
	double start = seconds(), shown = start, took;

	/* A slot belongs to a number, so that a case is the same whatever runs before it. */
	while (e < end && r->failures < r->o.max_failures && !(r->o.seconds && seconds() - start > (double)r->o.seconds)) {
		unsigned n = end - e < NAT_ENCODINGS ? (unsigned)(end - e) : NAT_ENCODINGS;

		one_batch(r, e, n);
		e += n;
		if (r->o.progress && seconds() - shown > 1) {
			shown = seconds();
			fprintf(stderr, "\r%llu of %llu cases, %llu differ, %.0f/s ", (ull)r->done, (ull)r->o.cases, (ull)r->failures,
				(double)r->done / (shown - start));
		}
	}
	if (r->o.progress)
		fprintf(stderr, "\n");
	took = seconds() - start;
	printf("seed %llu: %llu cases from %llu on, %llu differ, %llu excused, %llu ended in an exception; %.1f s, %.0f/s\n",
	       (ull)r->o.seed, (ull)r->done, (ull)r->o.first, (ull)r->failures, (ull)r->excused, (ull)r->faulted, took,
	       (double)r->done / (took > 0 ? took : 1));
}

static void summary(const struct run *r)
{
	unsigned ops = 0;

	for (unsigned k = 0; k < EXCUSES && r->excuse[k].why; k++)
		printf("  excused %llu: %s\n", (ull)r->excuse[k].n, r->excuse[k].why);
	for (unsigned k = 1; k < CV_OP_COUNT; k++)
		ops += r->by_op[k] != 0;
	printf("  %u operations\n", ops);
	for (unsigned k = 0; k < CV_OP_COUNT; k++)
		if (r->failed_op[k])
			printf("  differs: %s, %llu of %llu\n", cv_op_name((enum cv_op)k), (ull)r->failed_op[k], (ull)r->by_op[k]);
	if (r->o.verbose)
		for (unsigned k = 1; k < CV_OP_COUNT; k++)
			printf("  %s: %llu\n", cv_op_name((enum cv_op)k), (ull)r->by_op[k]);
}

static void usage(void)
{
	fputs("usage: native [--seed N] [--cases N] [--first N] [--only OPERATION] [--mode 64|32] [--features v2|all]\n"
	      "              [--max-failures N] [--seconds N] [--verbose] [--progress]\n", stderr);
	exit(2);
}

static void parse(struct nat_options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{"seed", 1, NULL, 's'}, {"cases", 1, NULL, 'n'}, {"first", 1, NULL, 'f'}, {"only", 1, NULL, 'o'}, {"mode", 1, NULL, 'm'},
		{"max-failures", 1, NULL, 'x'}, {"verbose", 0, NULL, 'v'}, {"progress", 0, NULL, 'p'}, {"features", 1, NULL, 'F'},
		{"seconds", 1, NULL, 't'}, {0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's': o->seed = strtoull(optarg, NULL, 0); break;
		case 'n': o->cases = strtoull(optarg, NULL, 0); break;
		case 'f': o->first = strtoull(optarg, NULL, 0); break;
		case 'o': o->only = optarg; break;
		case 'm': o->mode = (unsigned)strtoul(optarg, NULL, 0); break;
		case 'x': o->max_failures = strtoull(optarg, NULL, 0); break;
		case 't': o->seconds = strtoull(optarg, NULL, 0); break;
		case 'v': o->verbose = true; break;
		case 'p': o->progress = true; break;
		case 'F': o->features = !strcmp(optarg, "v2") ? CV_FEATURES_V2 : CV_FEATURES_ALL; break;
		default: usage();
		}
	}
	if (optind != argc || (o->mode != 64 && o->mode != 32 && o->mode))
		usage();
}

int main(int argc, char **argv)
{
	static struct run r = {.o = {.seed = 1, .cases = 1000000, .max_failures = 20, .features = CV_FEATURES_ALL}};
	uint64_t code_offset;
	int fd;

	parse(&r.o, argc, argv);
	nat_host_ask(&r.h);
	r.h.features &= r.o.features;
	r.h.avx = r.h.avx && r.h.features & CV_HAS(avx);
	r.h.missing_state = r.h.xcr0 & ~(r.h.avx ? 7ull : 3ull);
	r.guest = nat_guest_new(&r.h, r.o.features);
	if (!r.guest)
		return 2;
	fd = nat_guest_code_fd(r.guest, &code_offset);
	r.child = nat_child_new(&r.h, fd, code_offset);
	if (!r.child)
		return 2;
	all(&r);
	summary(&r);
	nat_child_free(r.child);
	nat_guest_free(r.guest);
	return r.failures ? 1 : 0;
}
