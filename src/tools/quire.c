/* SPDX-License-Identifier: MIT */
/*
 * quire(1): one binary, a subcommand for each thing that it does.
 */
#include <stdio.h>
#include <string.h>

#include "tools/subcommand.h"

static int help_main(int argc, char **argv);

static const struct subcommand subcommands[] = {
	{"shell", "[OPTIONS] [SCRIPT]", "drive a virtual memory system by commands", shell_main},
	{"diff", "[OPTIONS] SCRIPT", "run a script on Quire and on the kernel, and compare",
	 diff_main},
	{"help", "[SUBCOMMAND]", "say what there is", help_main},
};

static const struct subcommand *find(const char *name)
{
	for (size_t i = 0; i < sizeof(subcommands) / sizeof(subcommands[0]); i++)
		if (strcmp(subcommands[i].name, name) == 0)
			return &subcommands[i];
	return NULL;
}

static void print_help(FILE *stream)
{
	fputs("usage: quire SUBCOMMAND ...\n", stream);
	for (size_t i = 0; i < sizeof(subcommands) / sizeof(subcommands[0]); i++)
		fprintf(stream, "  %-6s %-20s %s\n", subcommands[i].name, subcommands[i].usage,
			subcommands[i].help);
	fputs("  --version                   print the version\n"
	      "exit status: 0 success; 1 failure or difference; 2 wrong usage; 69 something is "
	      "missing\n",
	      stream);
}

static int unknown(const char *name)
{
	fprintf(stderr, "quire: '%s' is not a subcommand; `quire help` lists them\n", name);
	return QUIRE_EXIT_USAGE;
}

static int help_main(int argc, char **argv)
{
	const struct subcommand *subcommand;
	char *help[] = {NULL, "--help", NULL};

	if (argc < 2) {
		print_help(stdout);
		return QUIRE_EXIT_OK;
	}
	subcommand = find(argv[1]);
	if (!subcommand)
		return unknown(argv[1]);
	if (subcommand->run == help_main) {
		print_help(stdout);
		return QUIRE_EXIT_OK;
	}
	help[0] = argv[1];
	return subcommand->run(2, help);
}

int main(int argc, char **argv)
{
	const struct subcommand *subcommand;

	if (argc < 2) {
		print_help(stderr);
		return QUIRE_EXIT_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("quire " QUIRE_VERSION);
		return QUIRE_EXIT_OK;
	}
	if (strcmp(argv[1], "--help") == 0) {
		print_help(stdout);
		return QUIRE_EXIT_OK;
	}
	subcommand = find(argv[1]);
	if (!subcommand)
		return unknown(argv[1]);
	return subcommand->run(argc - 1, argv + 1);
}
