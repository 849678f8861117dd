/* SPDX-License-Identifier: MIT */
/*
 * What happens when an assertion or a validation fails (base/check.h).
 */
#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void quire_assert_failed(const char *file, int line, const char *expression)
{
	fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, expression);
	abort();
}

void check_violation(struct check_report *report, const char *format, ...)
{
	va_list arguments;

	if (report->violations++)
		return;
	va_start(arguments, format);
	vsnprintf(report->first, sizeof(report->first), format, arguments);
	va_end(arguments);
}
