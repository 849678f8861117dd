/* SPDX-License-Identifier: MIT */
/*
 * `quire trace`: a trace of a run, read whole and put in order of time, and its forms of output.
 */
#ifndef QUIRE_TOOLS_TRACE_TRACE_H
#define QUIRE_TOOLS_TRACE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "run/report/trace_format.h"

struct trace_file {
	struct trace_header header;
	struct trace_record *records; /* owned: in order of time */
	size_t nr_records;
	bool incomplete; /* the file ends within a record */
	char **names;    /* owned: of mapping id i + 1; may be NULL */
	size_t nr_names;
};

/* 0, or -1 after a line on standard error: what is wrong with which byte. To be released in every
 * case. */
int trace_read(const char *path, struct trace_file *file);
void trace_release(struct trace_file *file);

/* The name of a record's mapping; "-" for none. */
const char *trace_mapping(const struct trace_file *file, const struct trace_record *record);
/* What happened: "fault", "munmap", ... */
const char *trace_name(const struct trace_record *record);

/* Errors of the stream are the caller's to find. */
void trace_print_text(const struct trace_file *file, FILE *stream);
/* For chrome://tracing and ui.perfetto.dev. */
void trace_print_chrome(const struct trace_file *file, FILE *stream);

#endif
