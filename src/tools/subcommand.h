/* SPDX-License-Identifier: MIT */
/*
 * The subcommands of quire(1) and what they share.
 */
#ifndef QUIRE_TOOLS_SUBCOMMAND_H
#define QUIRE_TOOLS_SUBCOMMAND_H

/* Exit statuses of every subcommand. */
enum quire_exit {
	QUIRE_EXIT_OK = 0,
	QUIRE_EXIT_FAILED = 1,  /* it failed, or a comparison found a difference */
	QUIRE_EXIT_USAGE = 2,   /* the command line is wrong */
	QUIRE_EXIT_MISSING = 69 /* something of this system is missing that it needs */
};

struct subcommand {
	const char *name;
	const char *usage;
	const char *help;
	/* argv[0] is the subcommand's name. */
	int (*run)(int argc, char **argv);
};

int shell_main(int argc, char **argv);
int diff_main(int argc, char **argv);
int trace_main(int argc, char **argv);
int run_main(int argc, char **argv);

#endif
