/* SPDX-License-Identifier: MIT */
/*
 * The command line of `quire shell` and `quire diff`.
 */
#ifndef QUIRE_TOOLS_SHELL_SHELL_OPTIONS_H
#define QUIRE_TOOLS_SHELL_SHELL_OPTIONS_H

#include "tools/shell/machine.h"

struct shell_options {
	const struct shell_machine_ops *machine; /* NULL: not chosen */
	struct shell_machine_options of_machine;
	const char *script; /* NULL: standard input */
	bool json;
	char *swap_path; /* owned: of_machine.swap_path */
};

/*
 * Reads them. 0, or an exit status after a message: `--help` prints `usage` and ends the program
 * with status 0. shell_options_release() in either case.
 */
QUIRE_MUST_CHECK int shell_options_read(struct shell_options *options, int argc, char **argv,
					const char *usage);
void shell_options_release(struct shell_options *options);

#endif
