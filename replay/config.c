/* SPDX-License-Identifier: MIT */
/*
 * The initial machine in a recording: numbers as meta, kernel, initrd and modules as images.
 */
#include <stdlib.h>
#include <string.h>

#include "replay/internal.h"

#ifdef HAVE_CONFIG_H
#include "config.h"
#else
#define PACKAGE_VERSION "unknown"
#endif

static int write_image(struct cv_log *log, const char *role, unsigned ordinal, const struct cv_image *im,
		       struct cv_error *err)
{
	return cv_log_put_image(log, role, ordinal, im->name ? im->name : role, im->args, im->data, im->size, err);
}

static int write_images(struct cv_log *log, const struct cv_boot_images *im, struct cv_error *err)
{
	int rc = write_image(log, "kernel", 0, &im->kernel, err);

	if (!rc && im->initrd.size)
		rc = write_image(log, "initrd", 0, &im->initrd, err);
	for (unsigned i = 0; !rc && i < im->nmodules; i++)
		rc = write_image(log, "module", i, &im->modules[i], err);
	return rc;
}

int cv_config_write(struct cv_log *log, const struct cv_machine_config *c, struct cv_error *err)
{
	const struct {
		const char *key;
		uint64_t value;
	} numbers[] = {
		{META_RAM, c->ram_size},
		{META_EPOCH, c->epoch},
		{META_REBOOT, c->reboot},
		{META_TEST_DEVICE, c->test_device},
		{META_MODULES, c->images.nmodules},
	};
	const struct {
		const char *key, *value;
	} texts[] = {
		{META_VERSION, PACKAGE_VERSION},
		{META_CLOCK, c->clock == CV_CLOCK_VIRTUAL ? "virtual" : "host"},
		{META_COUNT, cv_count_unit_name(c->count)},
		{META_CPU, c->cpu},
		{META_CMDLINE, c->images.cmdline ? c->images.cmdline : ""},
	};
	int rc = 0;

	for (size_t i = 0; !rc && i < sizeof(numbers) / sizeof(numbers[0]); i++)
		rc = cv_log_set_meta_u64(log, numbers[i].key, numbers[i].value, err);
	for (size_t i = 0; !rc && i < sizeof(texts) / sizeof(texts[0]); i++)
		rc = cv_log_set_meta(log, texts[i].key, texts[i].value, err);
	return rc ? rc : write_images(log, &c->images, err);
}

static int read_text(struct cv_log *log, const char *key, char **out, struct cv_error *err)
{
	int rc = cv_log_get_meta(log, key, out, err);

	if (!rc && !*out)
		return cv_error_set(err, CV_E_CORRUPT, "the recording has no '%s': it was never begun", key);
	return rc;
}

static int read_u64(struct cv_log *log, const char *key, uint64_t *out, struct cv_error *err)
{
	struct cv_error own = {0};
	int rc = cv_log_get_meta_u64(log, key, out, &own);

	if (rc == CV_E_NOTFOUND)
		return cv_error_set(err, CV_E_CORRUPT, "the recording has no '%s': it was never begun", key);
	return rc ? cv_error_set(err, rc, "%s", own.msg) : 0;
}

static int read_test_device(struct cv_log *log, bool *out, struct cv_error *err)
{
	struct cv_error own = {0};
	uint64_t v = 0;
	int rc = cv_log_get_meta_u64(log, META_TEST_DEVICE, &v, &own);

	*out = v != 0;
	return rc && rc != CV_E_NOTFOUND ? cv_error_set(err, rc, "%s", own.msg) : 0;
}

int cv_recording_count(struct cv_log *log, enum cv_count_unit *unit, struct cv_error *err)
{
	char *text = NULL;
	int rc = cv_log_get_meta(log, META_COUNT, &text, err);

	*unit = CV_COUNT_INSNS;
	if (rc || !text)
		return rc;
	if (!strcmp(text, "steps"))
		*unit = CV_COUNT_STEPS;
	else if (strcmp(text, "insns"))
		rc = cv_error_set(err, CV_E_CORRUPT, "the recording's positions count '%s'", text);
	free(text);
	return rc;
}

static int read_image(struct cv_stored_config *s, struct cv_log *log, const char *role, unsigned ordinal,
		      struct cv_image *im, struct cv_error *err)
{
	char *name = NULL, *args = NULL;
	uint8_t *data = NULL;
	size_t n = 0;
	int rc = cv_log_get_image(log, role, ordinal, &name, &args, &data, &n, err);

	if (rc)
		return rc;
	s->strings[s->nstrings++] = name;
	s->strings[s->nstrings++] = args;
	s->bytes[s->nbytes++] = data;
	*im = (struct cv_image){.name = name, .data = data, .size = n, .args = args};
	return 0;
}

static int read_images(struct cv_stored_config *s, struct cv_log *log, uint64_t nmodules, struct cv_error *err)
{
	struct cv_boot_images *im = &s->config.images;
	struct cv_error own = {0};
	int rc = read_image(s, log, "kernel", 0, &im->kernel, err);

	if (rc)
		return rc;
	rc = read_image(s, log, "initrd", 0, &im->initrd, &own);
	if (rc && rc != CV_E_NOTFOUND)
		return cv_error_set(err, rc, "%s", own.msg);
	if (nmodules > CV_BOOT_MODULES)
		return cv_error_set(err, CV_E_CORRUPT, "the recording names %llu modules",
				    (unsigned long long)nmodules);
	for (unsigned i = 0; i < nmodules; i++) {
		rc = read_image(s, log, "module", i, &im->modules[i], err);
		if (rc)
			return rc;
	}
	im->nmodules = (unsigned)nmodules;
	return 0;
}

int cv_config_read(struct cv_stored_config *s, struct cv_log *log, struct cv_error *err)
{
	struct cv_machine_config *c = &s->config;
	struct cv_cpuid_model model;
	uint64_t reboot = 0, nmodules = 0;
	char *clock = NULL;
	int rc;

	memset(s, 0, sizeof(*s));
	if ((rc = read_u64(log, META_RAM, &c->ram_size, err)) || (rc = read_u64(log, META_EPOCH, &c->epoch, err)) ||
	    (rc = read_u64(log, META_REBOOT, &reboot, err)) || (rc = read_u64(log, META_MODULES, &nmodules, err)) ||
	    (rc = read_text(log, META_CPU, &s->cpu, err)) || (rc = read_text(log, META_CMDLINE, &s->cmdline, err)) ||
	    (rc = read_text(log, META_CLOCK, &clock, err)))
		goto out;
	if (strcmp(clock, "host") && strcmp(clock, "virtual")) {
		rc = cv_error_set(err, CV_E_CORRUPT, "the recording's clock is '%s'", clock);
		goto out;
	}
	rc = cv_cpuid_model_parse(s->cpu, &model, err);
	if (rc) {
		cv_error_prefix(err, "the recording needs a CPU that this version doesn't have");
		goto out;
	}
	c->clock = strcmp(clock, "host") ? CV_CLOCK_VIRTUAL : CV_CLOCK_HOST;
	c->reboot = reboot != 0;
	c->cpu = s->cpu;
	c->images.cmdline = s->cmdline;
	rc = read_test_device(log, &c->test_device, err);
	if (!rc)
		rc = cv_recording_count(log, &c->count, err);
	if (!rc)
		rc = read_images(s, log, nmodules, err);
out:
	free(clock);
	if (rc)
		cv_config_release(s);
	return rc;
}

void cv_config_release(struct cv_stored_config *s)
{
	for (unsigned i = 0; i < s->nstrings; i++)
		free(s->strings[i]);
	for (unsigned i = 0; i < s->nbytes; i++)
		free(s->bytes[i]);
	free(s->cpu);
	free(s->cmdline);
	memset(s, 0, sizeof(*s));
}
