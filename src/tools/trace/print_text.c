/* SPDX-License-Identifier: MIT */
/*
 * A trace as text, one line for each event.
 */
#include <inttypes.h>
#include <string.h>

#include "tools/trace/trace.h"

static void print_fault(const struct trace_record *record, FILE *stream)
{
	fprintf(stream, " %s%s%s",
		record->flags & TRACE_FAULT_WRITE  ? "write"
		: record->flags & TRACE_FAULT_EXEC ? "exec"
						   : "read",
		record->flags & TRACE_FAULT_REMOTE ? " by-call" : "",
		record->flags & TRACE_FAULT_MAJOR ? " major" : "");
	if (record->result)
		fputs(" failed", stream);
}

static void print_result(const struct trace_record *record, FILE *stream)
{
	if (record->result < 0 && record->result >= -4095)
		fprintf(stream, " = -1 (%s)", strerror((int)-record->result));
	else
		fprintf(stream, " = 0x%" PRIx64, (uint64_t)record->result);
}

static void print_record(const struct trace_file *file, const struct trace_record *record,
			 FILE *stream)
{
	fprintf(stream, "%12.6f %7" PRIu32 " %-10s 0x%012" PRIx64 " %8" PRIu64,
		(double)record->time_ns / 1e9, record->thread, trace_name(record), record->address,
		record->length);
	if (record->duration_ns)
		fprintf(stream, " %9.1fus", (double)record->duration_ns / 1e3);
	else
		fprintf(stream, " %11s", "-");
	fprintf(stream, " %s", trace_mapping(file, record));
	if (record->kind == TRACE_FAULT)
		print_fault(record, stream);
	if (record->kind == TRACE_CALL)
		print_result(record, stream);
	fputc('\n', stream);
}

void trace_print_text(const struct trace_file *file, FILE *stream)
{
	fprintf(stream, "%12s %7s %-10s %-14s %8s %11s %s\n", "seconds", "thread", "event",
		"address", "bytes", "took", "mapping");
	for (size_t i = 0; i < file->nr_records; i++)
		print_record(file, &file->records[i], stream);
}
