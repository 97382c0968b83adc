/* SPDX-License-Identifier: MIT */
/*
 * Kernel, initrd and modules: from files into memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "gdbstub/inspect.h"

#define FILE_MAX (1ull << 30)

static int read_all(int fd, uint8_t *p, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = read(fd, p + done, n - done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -1;
		done += (size_t)got;
	}
	return 0;
}

int file_read(const char *what, const char *path, uint8_t **data, size_t *n, struct cv_error *err)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = CV_E_BADINPUT;

	*data = NULL;
	*n = 0;
	if (fd < 0)
		return cv_error_set(err, CV_E_BADINPUT, "%s '%s': %s", what, path, strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		cv_error_set(err, rc, "%s '%s': not a regular file", what, path);
		goto out;
	}
	if (!st.st_size || (uint64_t)st.st_size > FILE_MAX) {
		cv_error_set(err, rc, "%s '%s': %s", what, path, st.st_size ? "larger than 1 GiB" : "is empty");
		goto out;
	}
	*data = malloc((size_t)st.st_size);
	if (!*data) {
		rc = cv_error_set(err, CV_E_NOMEM, "%s '%s': out of memory", what, path);
		goto out;
	}
	if (read_all(fd, *data, (size_t)st.st_size)) {
		rc = cv_error_set(err, CV_E_IO, "%s '%s': reading it failed: %s", what, path,
				  errno ? strerror(errno) : "it shrank");
		free(*data);
		*data = NULL;
		goto out;
	}
	*n = (size_t)st.st_size;
	rc = 0;
out:
	close(fd);
	return rc;
}

static int load(struct files *f, const char *what, const char *path, const char *args, struct cv_image *img,
		struct cv_error *err)
{
	int rc = file_read(what, path, &f->data[f->n], &img->size, err);

	if (rc)
		return rc;
	img->data = f->data[f->n];
	img->name = path;
	img->args = args;
	f->n++;
	return 0;
}

/* 'FILE ARGS': the file's name ends at the first space. */
static int load_module(struct files *f, const char *spec, struct cv_image *img, struct cv_error *err)
{
	char *text = strdup(spec), *space;

	if (!text)
		return cv_error_set(err, CV_E_NOMEM, "out of memory");
	f->text[f->n] = text;
	space = strchr(text, ' ');
	if (space)
		*space++ = 0;
	return load(f, "module", text, space && *space ? space : NULL, img, err);
}

int files_load(struct files *f, const struct options *o, struct cv_boot_images *images, struct cv_error *err)
{
	int rc;

	memset(f, 0, sizeof(*f));
	memset(images, 0, sizeof(*images));
	images->cmdline = o->append;
	rc = load(f, "kernel", o->kernel, NULL, &images->kernel, err);
	if (!rc && o->initrd)
		rc = load(f, "initrd", o->initrd, NULL, &images->initrd, err);
	for (unsigned i = 0; !rc && i < o->nmodules; i++) {
		rc = load_module(f, o->modules[i], &images->modules[i], err);
		images->nmodules++;
	}
	if (!rc) {
		rc = cv_boot_identify(&images->kernel, err);
		rc = rc < 0 ? rc : 0;
	}
	if (rc)
		files_release(f);
	return rc;
}

int symbols_check(const struct options *o, struct cv_error *err)
{
	struct cv_symbols *syms = NULL;
	int rc = o->symbols ? cv_symbols_open_file(&syms, o->symbols, err) : 0;

	cv_symbols_free(syms);
	return rc;
}

void files_release(struct files *f)
{
	for (unsigned i = 0; i < 2 + CV_BOOT_MODULES; i++) {
		free(f->data[i]);
		free(f->text[i]);
	}
	memset(f, 0, sizeof(*f));
}
