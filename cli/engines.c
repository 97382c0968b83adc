/* SPDX-License-Identifier: MIT */
/*
 * Engines: which one a command takes, and `engines`, which tells what can be used here.
 *
 * The software engine counts in either unit. The VT-x engine counts in the one that its counter has, so a recording in the other can
 * only be replayed by software.
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "vmm-core/vtx/vtx.h"

/* VT-x where it turns out to work for this machine, too (its CPU model may have what the host's CPU lacks), else software. */
static struct cv_engine *new_auto(const struct cv_engine_host *host, struct cv_error *err)
{
	struct cv_error why = {0};
	struct cv_engine *e = cv_vtx_new(host, &why);

	if (e)
		return e;
	if (why.code == CV_E_NOTFOUND)
		return cv_soft_new(host, err);
	*err = why;
	return NULL;
}

static int refuse_vtx(const struct cv_vtx_probe *probe, bool recorded, enum cv_count_unit unit, struct cv_error *err)
{
	if (!probe->usable)
		return cv_error_set(err, CV_E_BADINPUT, "--engine vtx: %s", probe->text);
	return cv_error_set(err, CV_E_BADINPUT, "--engine vtx: %s counts %s, VT-x here counts %s: use --engine soft",
			    recorded ? "the recording" : "--count", cv_count_unit_name(unit), cv_count_unit_name(probe->unit));
}

/* wanted: the unit that positions must count, NULL: any. */
static int pick(struct engine_pick *p, const struct options *o, const enum cv_count_unit *wanted, bool recorded, struct cv_error *err)
{
	struct cv_vtx_probe probe;
	bool vtx;

	p->factory = cv_soft_new;
	p->unit = wanted ? *wanted : CV_COUNT_INSNS;
	p->cpu = o->cpu;
	snprintf(p->why, sizeof(p->why), "as asked");
	if (o->engine == ENGINE_SOFT)
		return 0;
	cv_vtx_probe(&probe);
	vtx = probe.usable && (!wanted || *wanted == probe.unit);
	if (!vtx && o->engine == ENGINE_VTX)
		return refuse_vtx(&probe, recorded, p->unit, err);
	if (!probe.usable || vtx)
		snprintf(p->why, sizeof(p->why), "%s", probe.text);
	else
		snprintf(p->why, sizeof(p->why), "%s counts %s, VT-x here counts %s", recorded ? "the recording" : "--count",
			 cv_count_unit_name(p->unit), cv_count_unit_name(probe.unit));
	if (vtx) {
		p->factory = o->engine == ENGINE_VTX ? cv_vtx_new : new_auto;
		p->unit = probe.unit;
		memcpy(p->vtx_cpu, probe.cpu, sizeof(p->vtx_cpu));
		if (!o->cpu_given)
			p->cpu = p->vtx_cpu;
	}
	return 0;
}

int engine_pick_live(struct engine_pick *p, const struct options *o, struct cv_error *err)
{
	return pick(p, o, o->count_given ? &o->count : NULL, false, err);
}

int engine_pick_recorded(struct engine_pick *p, const struct options *o, struct cv_log *log, struct cv_error *err)
{
	enum cv_count_unit unit;
	int rc = cv_recording_count(log, &unit, err);

	return rc ? rc : pick(p, o, &unit, true, err);
}

static bool is_vtx(const struct cv_machine *m)
{
	return !strcmp(m->engine->ops->name, "vtx");
}

void engine_prepare(struct cv_machine *m, const void *options)
{
	const struct options *o = options;

	if (is_vtx(m))
		cv_vtx_set_skid(m->engine, o->vtx_skid);
}

void engine_tell(const struct engine_pick *p, const struct options *o, const struct cv_machine *m)
{
	if (o->quiet || (!o->engine_given && !is_vtx(m)))
		return;
	fprintf(stderr, "chronovisor: engine %s, positions count %s: %s\n", m->engine->ops->name, cv_count_unit_name(m->config.count),
		p->factory == new_auto && !is_vtx(m) ? "the host's CPU lacks what the CPU model has" : p->why);
}

/* What the counter's self-test says here; nothing where the device isn't there at all, which has been said. */
static void tell_counter(const struct cv_vtx_probe *probe)
{
	struct cv_error err = {0};
	char text[600];

	if (!cv_vtx_selftest(text, sizeof(text), &err))
		printf("      counter's self-test passed: %s\n", text);
	else if (strncmp(err.msg, probe->text, strlen(probe->text)) != 0)
		printf("      %s\n", err.msg);
}

int cmd_engines(const struct options *o)
{
	struct cv_vtx_probe probe;

	(void)o;
	cv_vtx_probe(&probe);
	printf("soft  usable: the interpreter; positions count insns or steps\n");
	printf("vtx   %s: %s", probe.usable ? "usable" : "not usable", probe.text);
	if (probe.usable)
		printf("; positions count %s", cv_count_unit_name(probe.unit));
	printf("\n");
	tell_counter(&probe);
	printf("auto  takes %s\n", probe.usable ? "vtx" : "soft");
	return EXIT_GUEST_OK;
}
