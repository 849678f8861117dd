/* SPDX-License-Identifier: MIT */
/*
 * quire(1): one binary, a subcommand for each thing that it does.
 */
#include <stdio.h>
#include <string.h>

#include "tools/subcommand.h"

static int help_main(int argc, char **argv);

static const struct subcommand subcommands[] = {
	{"run", "[OPTIONS] -- PROGRAM ...", "run a program with its memory in Quire", run_main},
	{"trace", "[OPTIONS] FILE", "print what a run has traced", trace_main},
	{"shell", "[OPTIONS] [SCRIPT]", "drive a virtual memory system by commands", shell_main},
	{"diff", "[OPTIONS] [SCRIPT]", "run a script on Quire and on the kernel, and compare",
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
		fprintf(stream, "  %-6s %-25s %s\n", subcommands[i].name, subcommands[i].usage,
			subcommands[i].help);
	fputs("  --version                        print the version\n"
	      "exit status: 0 success; 1 failure or difference; 2 wrong usage; 69 something is "
	      "missing\n",
	      stream);
}

/* How many letters have to be put in, left out or changed to make one word of the other; words of
 * more than 15 letters are unlike any. */
static unsigned distance(const char *from, const char *to)
{
	unsigned row[16];
	size_t width = strlen(to);

	if (width > 15 || strlen(from) > 15)
		return 16;
	for (unsigned i = 0; i <= width; i++)
		row[i] = i;
	for (size_t i = 0; from[i]; i++) {
		unsigned diagonal = row[0]++;

		for (size_t j = 0; j < width; j++) {
			unsigned changed = diagonal + (from[i] != to[j]);
			unsigned moved = (row[j] < row[j + 1] ? row[j] : row[j + 1]) + 1;

			diagonal = row[j + 1];
			row[j + 1] = changed < moved ? changed : moved;
		}
	}
	return row[width];
}

static int unknown(const char *name)
{
	const char *near = NULL;
	unsigned best = 6;

	for (size_t i = 0; i < sizeof(subcommands) / sizeof(subcommands[0]); i++) {
		const char *other = subcommands[i].name;
		/* Of two that are as near, the one with the same first letter. */
		unsigned score = 2 * distance(name, other) + (name[0] != other[0]);

		if (score < best) {
			best = score;
			near = other;
		}
	}
	fprintf(stderr, "quire: '%s' is not a subcommand; ", name);
	if (near)
		fprintf(stderr, "did you mean '%s'? ", near);
	fputs("`quire help` lists them\n", stderr);
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
		return subcommand_finish(QUIRE_EXIT_OK);
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		print_help(stdout);
		return subcommand_finish(QUIRE_EXIT_OK);
	}
	subcommand = find(argv[1]);
	if (!subcommand)
		return unknown(argv[1]);
	return subcommand_finish(subcommand->run(argc - 1, argv + 1));
}
