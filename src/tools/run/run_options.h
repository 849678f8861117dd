/* SPDX-License-Identifier: MIT */
/*
 * The command line of `quire run`.
 */
#ifndef QUIRE_TOOLS_RUN_RUN_OPTIONS_H
#define QUIRE_TOOLS_RUN_RUN_OPTIONS_H

#include "run/run.h"

struct run_command {
	struct run_options options;
	char **argv; /* of the program: in main()'s argv, NULL last */
	char *swap;  /* owned: options.swap */
};

/*
 * Reads it. 0, or an exit status after a message: `--help` prints the help and ends the program
 * with status 0. run_command_release() in either case.
 */
QUIRE_MUST_CHECK int run_command_read(struct run_command *command, int argc, char **argv);
void run_command_release(struct run_command *command);

#endif
