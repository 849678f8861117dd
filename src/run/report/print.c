/* SPDX-License-Identifier: MIT */
/*
 * The report's tree as text for a terminal.
 */
#include <inttypes.h>
#include <string.h>

#include "base/types.h"
#include "run/report/tree.h"

static int64_t integer(const json_t *tree, const char *name)
{
	return json_integer_value(json_object_get(tree, name));
}

static double real(const json_t *tree, const char *name)
{
	return json_number_value(json_object_get(tree, name));
}

/* "12.3M" and the like, at most seven characters. */
static const char *size_text(int64_t bytes, char text[32])
{
	static const char units[] = "BKMGTP";
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024 && unit + 2 < sizeof(units)) {
		value /= 1024;
		unit++;
	}
	snprintf(text, 32, unit && value < 100 ? "%.1f%c" : "%.0f%c", value, units[unit]);
	return text;
}

static void print_head(const json_t *tree, FILE *stream)
{
	const json_t *end = json_object_get(tree, "exit");

	fprintf(stream, "quire: %s (pid %" PRId64 ") ",
		json_string_value(json_object_get(tree, "program")), integer(tree, "pid"));
	if (json_object_get(end, "signal"))
		fprintf(stream, "ended by signal %" PRId64 " (%s) after", integer(end, "signal"),
			strsignal((int)integer(end, "signal")));
	else if (json_object_get(end, "status"))
		fprintf(stream, "ended with status %" PRId64 " after", integer(end, "status"));
	else
		fputs("has run for", stream);
	fprintf(stream, " %.3f s, %" PRId64 " threads\n", real(tree, "seconds"),
		integer(tree, "threads"));
}

static void print_sizes(const json_t *memory, FILE *stream)
{
	static const struct {
		const char *label, *name;
	} sizes[] = {
		{"budget", "budget_bytes"},       {"peak", "peak_bytes"},
		{"free", "free_bytes"},           {"page tables", "page_table_bytes"},
		{"cached files", "cached_bytes"}, {"dirty", "dirty_bytes"},
		{"swap", "swap_bytes"},           {"swap used", "swap_used_bytes"},
	};
	char text[32];

	fputs("memory  ", stream);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		fprintf(stream, "%s %s %s", i ? "," : "", sizes[i].label,
			size_text(integer(memory, sizes[i].name), text));
	fputc('\n', stream);
}

static void print_events(const json_t *tree, FILE *stream)
{
	json_t *events = json_object_get(tree, "events");
	int column = 0;

	fprintf(stream,
		"time     %.3f s in %" PRId64 " fault exits, %.3f s in system calls, %" PRId64
		" exits of the CPU in all, %" PRId64 " signals\nevents  ",
		real(tree, "fault_seconds"), integer(tree, "fault_exits"),
		real(tree, "syscall_seconds"), integer(tree, "exits"), integer(tree, "signals"));
	for (void *at = json_object_iter(events); at; at = json_object_iter_next(events, at)) {
		int64_t count = json_integer_value(json_object_iter_value(at));

		if (!count)
			continue;
		if (column && column % 4 == 0)
			fputs("\n        ", stream);
		fprintf(stream, " %s %" PRId64, json_object_iter_key(at), count);
		column++;
	}
	fputc('\n', stream);
}

static void print_mappings(const json_t *mappings, FILE *stream)
{
	static const struct {
		const char *label, *name;
		bool size;
	} columns[] = {
		{"size", "size_bytes", true},     {"peak", "peak_resident_bytes", true},
		{"minor", "minor_faults", false}, {"major", "major_faults", false},
		{"copies", "copies", false},      {"swapin", "swap_ins", false},
		{"evicted", "evictions", false},  {"wrback", "writebacks", false},
		{"read", "bytes_read", true},     {"written", "bytes_written", true},
	};
	char text[32];

	if (!json_array_size(mappings))
		return;
	fputs("mappings\n", stream);
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		fprintf(stream, "%9s", columns[i].label);
	fputs("  name\n", stream);
	for (size_t row = 0; row < json_array_size(mappings); row++) {
		const json_t *mapping = json_array_get(mappings, row);

		for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
			int64_t value = integer(mapping, columns[i].name);

			if (columns[i].size)
				fprintf(stream, "%9s", size_text(value, text));
			else
				fprintf(stream, "%9" PRId64, value);
		}
		fprintf(stream, "  %s\n", json_string_value(json_object_get(mapping, "name")));
	}
}

static void print_syscalls(const json_t *tree, FILE *stream)
{
	const json_t *calls = json_object_get(tree, "syscalls");

	fputs("system calls\n    count   errors    seconds  name\n", stream);
	for (size_t index = 0; index < json_array_size(calls); index++) {
		const json_t *call = json_array_get(calls, index);

		fprintf(stream, "%9" PRId64 "%9" PRId64 "%11.6f  %s\n", integer(call, "count"),
			integer(call, "errors"), real(call, "seconds"),
			json_string_value(json_object_get(call, "name")));
	}
	if (integer(tree, "unknown_syscalls"))
		fprintf(stream, "%9" PRId64 " calls were unknown\n",
			integer(tree, "unknown_syscalls"));
}

void report_print(const json_t *tree, FILE *stream)
{
	print_head(tree, stream);
	print_sizes(json_object_get(tree, "memory"), stream);
	print_events(tree, stream);
	print_mappings(json_object_get(tree, "mappings"), stream);
	print_syscalls(tree, stream);
}
