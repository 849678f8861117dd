/* SPDX-License-Identifier: MIT */
/*
 * Options of the shell.
 */
#include "tools/shell/shell_options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/shell/memory.h"
#include "tools/shell/parse.h"
#include "tools/shell/shell.h"
#include "tools/subcommand.h"

#define DEFAULT_MEMORY ((uint64_t)64 << 20)
#define LEAST_MEMORY ((uint64_t)1 << 20)

enum option_key {
	OPTION_MACHINE = 256,
	OPTION_MEMORY,
	OPTION_SWAP,
	OPTION_SEED,
	OPTION_JSON,
	OPTION_HELP
};

static const struct option long_options[] = {
	{"machine", required_argument, NULL, OPTION_MACHINE},
	{"memory", required_argument, NULL, OPTION_MEMORY},
	{"swap", required_argument, NULL, OPTION_SWAP},
	{"seed", required_argument, NULL, OPTION_SEED},
	{"json", no_argument, NULL, OPTION_JSON},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

static const char help[] =
	"  --machine=soft|linux|kvm\n"
	"                        who carries the commands out: Quire in software, the kernel, or\n"
	"                        Quire under a real program; diff compares it with the kernel\n"
	"  --memory=N            bytes of frames of the soft machine: 64M unless given, 1M at "
	"least\n"
	"  --swap=FILE:N         a swap area of N bytes in FILE; without it there is none\n"
	"  --seed=N              randomises the layout of address spaces; 0 does not\n"
	"  --json                one JSON object for each command (shell)\n"
	"Without SCRIPT, commands come from standard input. N may end in K, M, G, or p for pages.\n"
	"The language: `help` in the shell, and quire-shell(1).\n";

static int read_size(const char *program, const char *option, uint64_t *size)
{
	if (shell_parse_number(optarg, size))
		return 0;
	return subcommand_refuse(program, option, optarg,
				 "a number is wanted, as 4096, 64M or 16p");
}

/* FILE:N, where FILE may hold colons itself. */
static int read_swap(const char *program, struct shell_options *options)
{
	free(options->swap_path);
	options->swap_path = shell_copy_string(optarg);
	if (!shell_cut_size(options->swap_path, &options->of_machine.swap_size) ||
	    !options->swap_path[0] || options->of_machine.swap_size < PAGE_SIZE)
		return subcommand_refuse(
			program, "swap", optarg,
			"FILE:N is wanted, N bytes of at least a page, as swap.img:64M");
	options->of_machine.swap_path = options->swap_path;
	return 0;
}

static int read_option(struct shell_options *options, const char *program, int key)
{
	switch (key) {
	case OPTION_MACHINE:
		options->machine = shell_machine_find(optarg);
		if (options->machine)
			return 0;
		return subcommand_refuse(program, "machine", optarg,
					 "the machines are soft, linux and kvm");
	case OPTION_MEMORY:
		if (read_size(program, "memory", &options->of_machine.memory))
			return QUIRE_EXIT_USAGE;
		if (options->of_machine.memory >= LEAST_MEMORY)
			return 0;
		return subcommand_refuse(program, "memory", optarg, "at least 1M is wanted");
	case OPTION_SEED:
		return read_size(program, "seed", &options->of_machine.seed);
	case OPTION_SWAP:
		return read_swap(program, options);
	case OPTION_JSON:
		options->json = true;
		return 0;
	default:
		/* getopt_long() has said what is wrong. */
		return subcommand_point_to_help(program);
	}
}

int shell_options_read(struct shell_options *options, int argc, char **argv, const char *usage)
{
	const char *program = argv[0];
	char name[32];
	int key;

	memset(options, 0, sizeof(*options));
	options->of_machine.memory = DEFAULT_MEMORY;
	/* getopt_long() begins its messages with argv[0]. */
	snprintf(name, sizeof(name), "quire %s", program);
	argv[0] = name;
	optind = 1;
	while ((key = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		int status;

		if (key == OPTION_HELP) {
			printf("usage: quire %s %s\n%s", program, usage, help);
			exit(subcommand_finish(QUIRE_EXIT_OK));
		}
		status = read_option(options, program, key);
		if (status)
			return status;
	}
	argv[0] = (char *)program;
	if (argc - optind > 1) {
		fprintf(stderr, "quire %s: one script at most is wanted, not %d\n", program,
			argc - optind);
		return QUIRE_EXIT_USAGE;
	}
	options->script = argv[optind];
	return 0;
}

void shell_options_release(struct shell_options *options)
{
	free(options->swap_path);
}
