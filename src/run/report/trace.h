/* SPDX-License-Identifier: MIT */
/*
 * The trace of a run: every fault, eviction, writeback, swap transfer and memory call, as records
 * in a file (trace_format.h, docs/trace.md). Each thread has a buffer of its own, so that a record
 * costs an uncontended lock and a copy.
 */
#ifndef QUIRE_RUN_REPORT_TRACE_H
#define QUIRE_RUN_REPORT_TRACE_H

#include "run/run.h"

/* The file is created, or emptied. 0 or -errno with one line in `why`. */
QUIRE_MUST_CHECK int trace_create(const struct run *run, const char *path, struct trace **trace,
				  char *why, size_t why_bytes);
/* What the core tells: for struct quire_events, with the trace as context. Locks of Quire may be
 * held. */
void trace_event(void *trace, const struct quire_trace_event *event);
/* A memory call that began at `start_ns` (CLOCK_MONOTONIC) and ends now. */
void trace_call(struct trace *trace, int64_t number, const uint64_t args[6], int64_t result,
		uint64_t start_ns);
/* Writes what is in the buffers and closes the file; others may still be tracing, which is lost.
 * -errno of writing, said on standard error too. NULL is allowed. */
int trace_finish(struct trace *trace);
/* The same, and frees it: of a run that never started, where nobody else traces. */
void trace_destroy(struct trace *trace);

#endif
