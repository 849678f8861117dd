/* SPDX-License-Identifier: MIT */
/*
 * `quire shell`: a script, a pipe or a terminal, on one machine.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/shell/interrupt.h"
#include "tools/shell/shell.h"
#include "tools/shell/shell_options.h"
#include "tools/subcommand.h"

static int run(const struct shell_options *options, FILE *stream)
{
	struct shell shell;
	int status;

	if (shell_start(&shell, options->machine, &options->of_machine) != 0)
		return QUIRE_EXIT_MISSING;
	shell.json = options->json;
	shell_interrupt_catch();
	if (!options->script && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
		status = shell_run_interactive(&shell);
	else
		status = shell_run_stream(&shell, stream,
					  options->script ? options->script : "standard input");
	if (shell_stop(&shell) != 0)
		status = QUIRE_EXIT_FAILED;
	return status;
}

int shell_main(int argc, char **argv)
{
	static const char usage[] = "[--machine=soft|linux|kvm] [--memory=N] [--swap=FILE:N] "
				    "[--seed=N] [--json] [SCRIPT]";
	struct shell_options options;
	FILE *stream = stdin;
	int status = shell_options_read(&options, argc, argv, usage);

	if (status == 0) {
		if (!options.machine)
			options.machine = &shell_soft_machine;
		if (options.script)
			stream = fopen(options.script, "re");
		if (stream) {
			status = run(&options, stream);
		} else {
			fprintf(stderr, "quire shell: %s: %s\n", options.script, strerror(errno));
			status = QUIRE_EXIT_FAILED;
		}
		if (stream && stream != stdin)
			fclose(stream);
	}
	shell_options_release(&options);
	if (shell_interrupted())
		shell_interrupt_die(shell_interrupted());
	return status;
}
