/* SPDX-License-Identifier: MIT */
/*
 * The benchmark: Quire's core on the soft machine against the real kernel, in the same run. Figures
 * are not tests: the exit status is 0 whether goals are met or not. docs/benchmarks.md says what
 * each figure means.
 */
#include "bench/bench.h"

#include <argp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
	OPTION_QUICK = 256,
	OPTION_ONLY,
	OPTION_ROUNDS,
	OPTION_DIRECTORY
};

static const struct argp_option options[] = {
	{"output", 'o', "FILE", 0, "Write the table of ratios to FILE, the other tables beside it",
	 0},
	{"quick", OPTION_QUICK, NULL, 0, "Little work and few rounds: to see that all of it works",
	 0},
	{"only", OPTION_ONLY, "NAME", 0,
	 "One figure, or one of the themes core, absolute, growth, mmap_vs_read", 0},
	{"rounds", OPTION_ROUNDS, "N", 0, "Rounds of each figure, on both sides in turn (1 to 64)",
	 0},
	{"directory", OPTION_DIRECTORY, "PATH", 0,
	 "Where the files are made that are mapped and read (TMPDIR, or /var/tmp)", 0},
	{"verbose", 'v', NULL, 0, "Show least, greatest and spread of each figure", 0},
	{0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	char *end;
	unsigned long rounds;

	switch (key) {
	case 'o':
		bench_options.output = argument;
		return 0;
	case 'v':
		bench_options.verbose = true;
		return 0;
	case OPTION_QUICK:
		bench_options.quick = true;
		return 0;
	case OPTION_ONLY:
		bench_options.only = argument;
		return 0;
	case OPTION_DIRECTORY:
		bench_options.directory = argument;
		return 0;
	case OPTION_ROUNDS:
		rounds = strtoul(argument, &end, 10);
		if (*end || rounds < 1 || rounds > BENCH_ROUNDS_MAX)
			argp_error(state, "a number of rounds is 1 to %d, not '%s'",
				   BENCH_ROUNDS_MAX, argument);
		bench_options.rounds = (unsigned int)rounds;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp parser = {
	.options = options,
	.parser = parse_option,
	.doc = "Measures Quire on the soft machine against the kernel's own calls and faults.",
};

static FILE *open_output(void)
{
	FILE *tsv;

	if (!bench_options.output)
		return NULL;
	tsv = fopen(bench_options.output, "we");
	if (!tsv)
		bench_die("%s cannot be written", bench_options.output);
	return tsv;
}

/* Their CPU time is not counted, but caches and memory are shared. */
static void warn_if_busy(void)
{
	double load;

	if (getloadavg(&load, 1) == 1 && load > (double)sysconf(_SC_NPROCESSORS_ONLN) / 2)
		printf("The host is busy (load %.1f): the figures are rough.\n\n", load);
}

int main(int argc, char **argv)
{
	unsigned int goals = 0, met = 0;
	FILE *tsv;

	bench_options.directory = getenv("TMPDIR");
	if (!bench_options.directory)
		bench_options.directory = "/var/tmp";
	argp_parse(&parser, argc, argv, 0, NULL, NULL);
	/* Pages of 4 KiB on both sides, under Quire's arena too. */
	if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))
		bench_die("huge pages cannot be switched off");
	warn_if_busy();
	tsv = bench_wanted(BENCH_THEME_CORE, NULL) ? open_output() : NULL;
	met += bench_core_rows(tsv, &goals);
	bench_file_close(tsv, bench_options.output);
	met += bench_absolute(&goals);
	bench_growth();
	bench_mapping_or_reading();
	if (goals)
		printf("%u of %u goals are met%s\n", met, goals,
		       bench_options.quick ? " (a quick run: too little to judge by)" : "");
	else if (bench_options.only && !bench_wanted(BENCH_THEME_GROWTH, NULL) &&
		 !bench_wanted(BENCH_THEME_MAPPING, NULL))
		bench_die("no figure or theme is called '%s' (--help names the themes)",
			  bench_options.only);
	return EXIT_SUCCESS;
}
