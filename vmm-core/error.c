/* SPDX-License-Identifier: MIT */
/* Host errors: see error.h. A message too long for its room is cut, never lost. */
#include "vmm-core/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int cv_error_set(struct cv_error *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return code;
	if (e->code)
		return e->code;
	e->code = code;
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	return code;
}

int cv_error_prefix(struct cv_error *e, const char *fmt, ...)
{
	char old[sizeof(e->msg)];
	va_list ap;
	int n;

	if (!e)
		return 0;
	memcpy(old, e->msg, sizeof(old));
	va_start(ap, fmt);
	n = vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n + 2 < sizeof(e->msg)) {
		char *to = e->msg + n + 2;
		size_t room = sizeof(e->msg) - (size_t)n - 2, len = strnlen(old, room - 1);

		memcpy(e->msg + n, ": ", 2);
		memcpy(to, old, len);
		to[len] = 0;
	}
	return e->code;
}

void cv_error_clear(struct cv_error *e)
{
	if (e) {
		e->code = 0;
		e->msg[0] = 0;
	}
}
