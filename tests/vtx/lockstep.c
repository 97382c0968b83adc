/* SPDX-License-Identifier: MIT */
/*
 * lockstep [--skid N] [--every N] [--steps N] [--nmis] [--mib N] [--show] [KERNEL [INITRD]]: a guest on the VT-x engine and on the
 * software engine, side by side; every N steps position, CPU, devices and memory must be the same. Without a kernel: world.h's guest,
 * to its end. Exit status 1: they differ, and where; 77: VT-x can't be used here, and why.
 */
#include <getopt.h>

#include "tests/vtx/world.h"
#include "vmm-core/vtx/vtx.h"

struct options {
	unsigned skid, mib;
	uint64_t every, steps;
	bool nmis, show;
};

static bool parse(int argc, char **argv, struct options *o)
{
	static const struct option names[] = {{"skid", 1, NULL, 's'},  {"every", 1, NULL, 'e'}, {"steps", 1, NULL, 'n'},
					      {"nmis", 0, NULL, 'i'},  {"mib", 1, NULL, 'm'},	{"show", 0, NULL, 'o'},
					      {NULL, 0, NULL, 0}};
	int c;

	*o = (struct options){.mib = 16, .every = 100000, .steps = UINT64_MAX};
	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1)
		switch (c) {
		case 's': o->skid = (unsigned)strtoul(optarg, NULL, 0); break;
		case 'e': o->every = strtoull(optarg, NULL, 0); break;
		case 'n': o->steps = strtoull(optarg, NULL, 0); break;
		case 'i': o->nmis = true; break;
		case 'm': o->mib = (unsigned)strtoul(optarg, NULL, 0); break;
		case 'o': o->show = true; break;
		default: return false;
		}
	return o->every > 0;
}

static bool load_image(const char *path, struct cv_image *image)
{
	FILE *file = fopen(path, "rb");
	uint8_t *p = NULL;
	long n = -1;

	if (file && !fseek(file, 0, SEEK_END))
		n = ftell(file);
	if (n > 0)
		p = malloc((size_t)n);
	if (p) {
		rewind(file);
		image->data = p;
		image->name = path;
		image->size = fread(p, 1, (size_t)n, file);
	}
	if (file)
		fclose(file);
	return p && image->size == (size_t)n;
}

static int compare(const struct options *o, const struct cv_boot_images *images)
{
	struct cv_error err;
	struct world a = {.reads = NULL}, b = {.reads = NULL};
	uint64_t at = 0;
	char text[500];
	int rc;

	cv_error_clear(&err);
	rc = world_init(&b, cv_vtx_new, images, o->mib, o->nmis, &err);
	if (!rc)
		rc = world_init(&a, cv_soft_new, images, o->mib, o->nmis, &err);
	if (rc) {
		printf("%s\n", err.msg);
		return rc == CV_E_NOTFOUND ? 77 : 1;
	}
	b.show = o->show;
	cv_vtx_set_skid(b.m->engine, o->skid);
	for (at = 0; at <= o->steps && a.m->end.kind == CV_END_NONE; at += o->every)
		if (!worlds_agree_at(&a, &b, at)) {
			rc = 1;
			break;
		}
	cv_vtx_stats(b.m->engine, text, sizeof(text));
	printf("%s up to %llu, end %s, %llu interrupts; %s\n", rc ? "they differ" : "the same", (unsigned long long)at,
	       cv_end_name(b.m->end.kind), (unsigned long long)b.interrupts, text);
	cv_machine_free(a.m);
	cv_machine_free(b.m);
	return rc;
}

int main(int argc, char **argv)
{
	struct cv_boot_images images;
	struct options o;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!parse(argc, argv, &o))
		return 2;
	small_guest(&images);
	if (optind < argc) {
		images.cmdline = "console=ttyS0";
		if (!load_image(argv[optind], &images.kernel) || (optind + 1 < argc && !load_image(argv[optind + 1], &images.initrd))) {
			printf("can't read %s\n", argv[optind]);
			return 2;
		}
	}
	return compare(&o, &images);
}
