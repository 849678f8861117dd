/* SPDX-License-Identifier: MIT */
/*
 * A trace in the Trace Event Format, which chrome://tracing and Perfetto read: complete events for
 * what has a duration, instant ones for the rest.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "tools/trace/trace.h"

static const char *category(const struct trace_record *record)
{
	switch (record->kind) {
	case TRACE_FAULT:
		return "fault";
	case TRACE_CALL:
		return "call";
	default:
		return "reclaim";
	}
}

/* A path need not be UTF-8: what is not becomes a question mark. */
static void print_string(const char *text, FILE *stream)
{
	json_t *string = json_string(text);
	char *dump = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;

	fputs(dump ? dump : "\"?\"", stream);
	free(dump);
	json_decref(string);
}

static void print_record(const struct trace_file *file, const struct trace_record *record,
			 FILE *stream)
{
	fprintf(stream,
		"{\"name\":\"%s\",\"cat\":\"%s\",\"pid\":%" PRIu32 ",\"tid\":%" PRIu32
		",\"ts\":%.3f,",
		trace_name(record), category(record), file->header.pid, record->thread,
		(double)record->time_ns / 1e3);
	if (record->duration_ns)
		fprintf(stream, "\"ph\":\"X\",\"dur\":%.3f,", (double)record->duration_ns / 1e3);
	else
		fputs("\"ph\":\"i\",\"s\":\"t\",", stream);
	fprintf(stream,
		"\"args\":{\"address\":\"0x%" PRIx64 "\",\"bytes\":%" PRIu64
		",\"flags\":%u,\"result\":%" PRId64 ",\"mapping\":",
		record->address, record->length, record->flags, record->result);
	print_string(trace_mapping(file, record), stream);
	fputs("}}", stream);
}

void trace_print_chrome(const struct trace_file *file, FILE *stream)
{
	fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n", stream);
	for (size_t i = 0; i < file->nr_records; i++) {
		if (i)
			fputs(",\n", stream);
		print_record(file, &file->records[i], stream);
	}
	fputs("\n]}\n", stream);
}
