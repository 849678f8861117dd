/* SPDX-License-Identifier: MIT */
/*
 * quire trace [OPTIONS] FILE
 */
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "tools/subcommand.h"
#include "tools/trace/trace.h"

static const char help[] =
	"usage: quire trace [OPTIONS] FILE\n"
	"Prints a trace that `quire run --trace=FILE` has written.\n"
	"  -f, --format=text|chrome  lines of text (default), or JSON for Perfetto and "
	"chrome://tracing\n"
	"  -o, --output=FILE         write there instead of standard output\n"
	"  -h, --help                this text\n"
	"exit status: 0 success; 1 the trace cannot be read or printed, or is cut off; 2 wrong "
	"usage\n";

static int usage(const char *what)
{
	fprintf(stderr, "quire trace: %s; see `quire trace --help`\n", what);
	return QUIRE_EXIT_USAGE;
}

typedef void printer(const struct trace_file *file, FILE *stream);

static int print_to(const struct trace_file *file, printer *print, const char *path)
{
	FILE *stream = path ? fopen(path, "we") : stdout;
	int error = 0;

	if (!stream) {
		fprintf(stderr, "quire: %s: %s\n", path, strerror(errno));
		return QUIRE_EXIT_FAILED;
	}
	print(file, stream);
	if (fflush(stream) || ferror(stream))
		error = errno;
	if (path && fclose(stream) && !error)
		error = errno;
	if (error)
		fprintf(stderr, "quire: %s: %s\n", path ? path : "standard output",
			strerror(error));
	return error ? QUIRE_EXIT_FAILED : QUIRE_EXIT_OK;
}

static int print_trace(const char *path, printer *print, const char *output)
{
	struct trace_file file;
	int status = QUIRE_EXIT_FAILED;

	if (trace_read(path, &file) == 0)
		status = print_to(&file, print, output);
	if (file.incomplete)
		status = QUIRE_EXIT_FAILED;
	trace_release(&file);
	return status;
}

int trace_main(int argc, char **argv)
{
	static const struct option options[] = {
		{"format", required_argument, NULL, 'f'},
		{"output", required_argument, NULL, 'o'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	printer *print = trace_print_text;
	const char *output = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "f:o:h", options, NULL)) != -1) {
		switch (option) {
		case 'f':
			if (strcmp(optarg, "text") != 0 && strcmp(optarg, "chrome") != 0)
				return usage("the format is text or chrome");
			print = optarg[0] == 't' ? trace_print_text : trace_print_chrome;
			break;
		case 'o':
			output = optarg;
			break;
		case 'h':
			fputs(help, stdout);
			return QUIRE_EXIT_OK;
		default:
			return QUIRE_EXIT_USAGE;
		}
	}
	if (optind + 1 != argc)
		return usage("it takes one FILE");
	return print_trace(argv[optind], print, output);
}
