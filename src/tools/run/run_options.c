/* SPDX-License-Identifier: MIT */
/*
 * Options of `quire run`.
 */
#include "tools/run/run_options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/shell/memory.h"
#include "tools/shell/parse.h"
#include "tools/subcommand.h"

#define LEAST_MEMORY ((uint64_t)1 << 20)

enum option_key {
	OPTION_SWAP = 256,
	OPTION_POLICY,
	OPTION_READAHEAD,
	OPTION_NO_ASLR,
	OPTION_REPORT,
	OPTION_TRACE,
	OPTION_HELP
};

static const struct option long_options[] = {
	{"memory", required_argument, NULL, 'm'},
	{"swap", required_argument, NULL, OPTION_SWAP},
	{"policy", required_argument, NULL, OPTION_POLICY},
	{"readahead", required_argument, NULL, OPTION_READAHEAD},
	{"no-aslr", no_argument, NULL, OPTION_NO_ASLR},
	{"report", optional_argument, NULL, OPTION_REPORT},
	{"trace", required_argument, NULL, OPTION_TRACE},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

static const char help[] =
	"usage: quire run [OPTIONS] [--] PROGRAM [ARGS]\n"
	"Runs a program with its memory in Quire.\n"
	"  -m, --memory=N         memory for the program, in bytes: as much as the host has unless "
	"given,\n"
	"                         1M at least\n"
	"      --swap=FILE[:N]    swap to a new file, which is removed at once; N bytes at most\n"
	"      --swap=memory[:N]  swap to memory outside of the budget\n"
	"      --policy=NAME      who is evicted: two-list (the default) or sieve\n"
	"      --readahead=N      bytes read ahead in files at most: 128K to 512K, as\n"
	"                         memory allows, unless given; 0: none\n"
	"      --no-aslr          the same addresses in each run\n"
	"      --report[=FILE]    say at the end what happened: on standard error, or as JSON in "
	"FILE\n"
	"      --trace=FILE       every fault, eviction, writeback and memory call; see `quire "
	"trace`\n"
	"      --help             print this\n"
	"N may end in K, M or G. PROGRAM is looked for in PATH. The exit status, or death by a "
	"signal, is\n"
	"the program's; 126: it cannot be executed; 127: it was not found; 69: no KVM here.\n";

static int read_memory(struct run_command *command)
{
	if (shell_parse_number(optarg, &command->options.memory) &&
	    command->options.memory >= LEAST_MEMORY)
		return 0;
	return subcommand_refuse("run", "memory", optarg,
				 "a number of bytes is wanted, at least 1M, as 64M");
}

static int read_readahead(struct run_command *command)
{
	uint64_t bytes;

	if (!shell_parse_number(optarg, &bytes) || bytes >= UINT32_MAX)
		return subcommand_refuse("run", "readahead", optarg,
					 "a number of bytes is wanted, as 128K");
	command->options.readahead = bytes ? (uint32_t)bytes : UINT32_MAX;
	return 0;
}

/* A name that ends in a colon and a number is taken apart there; memory without a number is most
 * likely a slip, and no file. */
static int read_swap(struct run_command *command)
{
	bool sized;

	free(command->swap);
	command->swap = shell_copy_string(optarg);
	command->options.swap = command->swap;
	command->options.swap_size = 0;
	sized = shell_cut_size(command->swap, &command->options.swap_size);
	if (!command->swap[0] || (sized && command->options.swap_size < PAGE_SIZE) ||
	    strncmp(command->swap, "memory:", strlen("memory:")) == 0)
		return subcommand_refuse(
			"run", "swap", optarg,
			"FILE, FILE:N or memory:N is wanted, N bytes of at least a page, as "
			"swap.img:1G");
	return 0;
}

static int read_option(struct run_command *command, int key)
{
	struct run_options *options = &command->options;

	switch (key) {
	case 'm':
		return read_memory(command);
	case OPTION_SWAP:
		return read_swap(command);
	case OPTION_READAHEAD:
		return read_readahead(command);
	case OPTION_POLICY:
		options->policy = optarg;
		return 0;
	case OPTION_NO_ASLR:
		options->no_aslr = true;
		return 0;
	case OPTION_REPORT:
		options->report = true;
		options->report_file = optarg;
		return 0;
	case OPTION_TRACE:
		options->trace_file = optarg;
		return 0;
	default:
		/* getopt_long() has said what is wrong. */
		return subcommand_point_to_help("run");
	}
}

int run_command_read(struct run_command *command, int argc, char **argv)
{
	static char name[] = "quire run";
	int key;

	memset(command, 0, sizeof(*command));
	/* getopt_long() begins its messages with argv[0]. */
	argv[0] = name;
	optind = 0;
	while ((key = getopt_long(argc, argv, "+m:", long_options, NULL)) != -1) {
		int status;

		if (key == OPTION_HELP) {
			fputs(help, stdout);
			exit(subcommand_finish(QUIRE_EXIT_OK));
		}
		status = read_option(command, key);
		if (status)
			return status;
	}
	if (optind == argc) {
		fputs("quire run: a program is wanted\n", stderr);
		return subcommand_point_to_help("run");
	}
	command->argv = argv + optind;
	return 0;
}

void run_command_release(struct run_command *command)
{
	free(command->swap);
}
