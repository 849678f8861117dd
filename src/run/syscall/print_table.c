/* SPDX-License-Identifier: MIT */
/*
 * Prints docs/syscalls.md from the table of system calls; with --check FILE it prints nothing and
 * fails when the file says anything else.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/syscall/table.h"

#define HOWS (HOW_REFUSED + 1)

static const char *const how_names[HOWS] = {
	[HOW_HOST] = "host", [HOW_QUIRE] = "Quire",     [HOW_FILE] = "file",
	[HOW_TASK] = "task", [HOW_REFUSED] = "refused",
};

static const char *const how_texts[HOWS] = {
	[HOW_HOST] = ("passed to the host; what the program passes by pointer is copied in before "
		      "and out after, `EFAULT` where it has no memory"),
	[HOW_QUIRE] = "served by Quire's memory system",
	[HOW_FILE] = "passed to the host, and kept in agreement with mapped files",
	[HOW_TASK] = "threads, signals and the process: Quire and the host together",
	[HOW_REFUSED] = "known, and answers the error given",
};

static void print_arguments(FILE *stream, const struct syscall_row *row)
{
	const char *separator = "";

	for (uint32_t i = 0; i < 6; i++) {
		const char *name = row->args[i].name;

		if (!name)
			continue;
		fprintf(stream, "%s%s", separator, name);
		separator = ", ";
	}
}

static void print_row(FILE *stream, const struct syscall_row *row)
{
	fprintf(stream, "| %d | `%s` | ", row->number, row->name);
	print_arguments(stream, row);
	fprintf(stream, " | %s", how_names[row->how]);
	if (row->how == HOW_REFUSED)
		fprintf(stream, ": `%s`", strerrorname_np(row->error));
	fprintf(stream, " | %s |\n", row->note ? row->note : "");
}

static void print_counts(FILE *stream)
{
	uint32_t counts[HOWS] = {0};
	uint32_t total = 0;

	for (int64_t number = 0; number < SYSCALL_NUMBERS; number++) {
		const struct syscall_row *row = syscall_row(number);

		if (!row)
			continue;
		counts[row->how]++;
		total++;
	}
	fprintf(stream,
		"The table knows %u system calls:\n\n| handled | calls | |\n| --- | --- | --- |\n",
		total);
	for (uint32_t how = 0; how < HOWS; how++)
		fprintf(stream, "| %s | %u | %s |\n", how_names[how], counts[how], how_texts[how]);
}

static void print_page(FILE *stream)
{
	fputs("# System calls under `quire run`\n\n"
	      "This page is made from the table in `src/run/syscall` by `make docs`.\n\n",
	      stream);
	print_counts(stream);
	fputs("\nA number that is not here answers `ENOSYS`, is named once on standard error, and "
	      "is "
	      "counted in the report.\n",
	      stream);
	for (uint32_t i = 0; i < nr_syscall_families; i++) {
		const struct syscall_family *family = syscall_families[i];

		fprintf(stream,
			"\n## %s\n\n| number | name | arguments | handled | note |\n"
			"| --- | --- | --- | --- | --- |\n",
			family->title);
		for (uint32_t j = 0; j < family->nr_rows; j++)
			print_row(stream, &family->rows[j]);
	}
}

/* Whether the file has exactly these bytes. */
static bool file_equals(const char *path, const char *text, size_t bytes)
{
	FILE *file = fopen(path, "r");
	char *contents = malloc(bytes + 1);
	bool equal = file && contents && fread(contents, 1, bytes + 1, file) == bytes &&
		     !memcmp(contents, text, bytes);

	free(contents);
	if (file)
		fclose(file);
	return equal;
}

int main(int argc, char **argv)
{
	const char *path = argc == 3 && !strcmp(argv[1], "--check") ? argv[2] : NULL;
	char *text = NULL;
	size_t bytes = 0;
	FILE *stream = open_memstream(&text, &bytes);
	bool failed = !stream;

	if (stream) {
		print_page(stream);
		failed = fclose(stream);
	}
	if (!failed && path)
		failed = !file_equals(path, text, bytes);
	else if (!failed)
		failed = fwrite(text, 1, bytes, stdout) != bytes || fflush(stdout);
	if (failed && path)
		fprintf(stderr, "%s does not say what the table says: make docs\n", path);
	free(text);
	return failed;
}
