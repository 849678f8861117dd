/* SPDX-License-Identifier: MIT */
/*
 * How subcommands end, and how they refuse options.
 */
#include "tools/subcommand.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int subcommand_finish(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "quire: standard output: %s\n", strerror(errno));
	return status == QUIRE_EXIT_OK ? QUIRE_EXIT_FAILED : status;
}

int subcommand_refuse(const char *name, const char *option, const char *value, const char *wanted)
{
	fprintf(stderr, "quire %s: --%s=%s: %s\n", name, option, value, wanted);
	return QUIRE_EXIT_USAGE;
}

int subcommand_point_to_help(const char *name)
{
	fprintf(stderr, "Try 'quire %s --help'.\n", name);
	return QUIRE_EXIT_USAGE;
}
