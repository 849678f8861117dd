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

/* What was printed must also have arrived: `status`, or a failure that is told. */
int subcommand_finish(int status);
/* These say on standard error that an option's value is not what is wanted, and where options are
 * explained. QUIRE_EXIT_USAGE. */
int subcommand_refuse(const char *name, const char *option, const char *value, const char *wanted);
int subcommand_point_to_help(const char *name);

int shell_main(int argc, char **argv);
int diff_main(int argc, char **argv);
int trace_main(int argc, char **argv);
int run_main(int argc, char **argv);

#endif
