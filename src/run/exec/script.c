/* SPDX-License-Identifier: MIT */
/*
 * Reading the first line of a script (see script.h).
 */
#include "run/exec/script.h"

#include <errno.h>
#include <string.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

int script_read(struct script *script, size_t bytes)
{
	char *const line = script->line;
	bool whole;
	char *end;
	char *at;

	if (bytes < 2 || line[0] != '#' || line[1] != '!')
		return 0;
	line[bytes] = '\0';
	/* A line ends by a newline, or where the file (or a zero in it) does. */
	end = line + strcspn(line, "\n");
	whole = end < line + SCRIPT_LINE_MAX;
	while (end > line + 2 && is_blank(end[-1]))
		end--;
	*end = '\0';

	at = line + 2;
	while (is_blank(*at))
		at++;
	if (!*at)
		return -ENOEXEC;
	script->interpreter = at;
	script->argument = NULL;
	while (*at && !is_blank(*at))
		at++;
	/* A path that was cut off would be another path; an argument that was cut off is just
	 * short. */
	if (!*at)
		return whole ? 1 : -ENOEXEC;
	*at++ = '\0';
	while (is_blank(*at))
		at++;
	if (*at)
		script->argument = at;
	return 1;
}
