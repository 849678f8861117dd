/* SPDX-License-Identifier: MIT */
/*
 * A shell: one machine, the processes of one script on it, and the lines that are carried out.
 */
#ifndef QUIRE_TOOLS_SHELL_SHELL_H
#define QUIRE_TOOLS_SHELL_SHELL_H

#include <stdio.h>

#include "tools/shell/machine.h"
#include "tools/shell/process.h"

struct shell_command;

struct shell {
	const struct shell_machine_ops *ops;
	struct shell_machine *machine;
	struct list_head processes;
	struct shell_process *current; /* who acted last; NULL after its exit */
	bool json;
};

/* What carrying out one line came to. */
struct shell_outcome {
	bool printed;                        /* false: the line was empty or a comment */
	const struct shell_command *command; /* NULL: it was not read that far */
	char why[SHELL_WHY_SIZE]; /* an explanation of an error, for the user; may be empty */
};

/* Starts the machine with its first process, `main`. 0, or -errno after a message on standard
 * error. */
QUIRE_MUST_CHECK int shell_start(struct shell *shell, const struct shell_machine_ops *ops,
				 const struct shell_machine_options *options);
/* 0, or -errno after a message: what was dirty could not all be written. */
int shell_stop(struct shell *shell);

/* Carries out one line, without its newline, and appends what it prints to `out`. */
void shell_execute(struct shell *shell, const char *text, size_t length, unsigned long line,
		   struct shell_buffer *out, struct shell_outcome *outcome);

/* Every line of the stream, answers to standard output as they come. 0, or the exit status of a
 * failure. */
int shell_run_stream(struct shell *shell, FILE *stream, const char *name);
/* The same with a prompt, editing, history and completion on the terminal. */
int shell_run_interactive(struct shell *shell);

/* The machine of that name, or NULL. */
const struct shell_machine_ops *shell_machine_find(const char *name);

#endif
