/* SPDX-License-Identifier: MIT */
/*
 * The trace of a run: every fault, eviction, writeback and memory call, as fixed-size records in a
 * file (docs/trace.md), written through a buffer for each thread, so that a record costs no lock.
 */
#ifndef QUIRE_RUN_REPORT_TRACE_H
#define QUIRE_RUN_REPORT_TRACE_H

#include "run/run.h"

enum trace_kind {
	TRACE_FAULT = 1,
	TRACE_EVICT = 2,
	TRACE_WRITEBACK = 3,
	TRACE_SWAP_OUT = 4,
	TRACE_SWAP_IN = 5,
	TRACE_CALL = 6,    /* a memory call */
	TRACE_MAPPING = 7, /* names a mapping id */
};

/* 0 or -errno with one line in `why`. */
QUIRE_MUST_CHECK int trace_create(const char *path, int fd_base, struct trace **trace, char *why,
				  size_t why_bytes);
/* A memory call that began at `start_ns` (CLOCK_MONOTONIC) and ended now. */
void trace_call(struct trace *trace, int64_t number, const uint64_t args[6], int64_t result,
		uint64_t start_ns);
/* Flushes and closes; -errno of writing, said on standard error too. NULL is allowed. */
int trace_finish(struct trace *trace);

#endif
