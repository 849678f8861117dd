/* SPDX-License-Identifier: MIT */
/*
 * The file format of traces (docs/trace.md): a header, then records of 64 bytes, all little-endian.
 * Records of one thread stand in order, those of several are mixed in blocks.
 */
#ifndef QUIRE_RUN_REPORT_TRACE_FORMAT_H
#define QUIRE_RUN_REPORT_TRACE_FORMAT_H

#include <stdint.h>

#define TRACE_MAGIC "QUIRETRC"
#define TRACE_VERSION 1

struct trace_header {
	char magic[8];
	uint32_t version;
	uint32_t record_bytes;
	uint64_t realtime_ns; /* CLOCK_REALTIME at time 0 of the trace */
	uint32_t pid;
	uint32_t reserved[9];
};

enum trace_kind {
	TRACE_FAULT = 1,
	TRACE_EVICT = 2,
	TRACE_WRITEBACK = 3,
	TRACE_SWAP_OUT = 4,
	TRACE_SWAP_IN = 5,
	TRACE_CALL = 6,    /* a memory call */
	TRACE_MAPPING = 7, /* gives `mapping` its name: `length` bytes in the records that follow */
};

struct trace_record {
	uint64_t time_ns;     /* since the start of the trace */
	uint64_t duration_ns; /* faults and calls */
	uint64_t address;     /* of the program; of file pages the offset in the file */
	uint64_t length;      /* bytes */
	int64_t result;       /* calls: what was returned; faults: 0, or why it failed */
	uint64_t reserved;
	uint32_t mapping; /* id; 0: none */
	uint32_t thread;  /* id of the host's thread */
	uint16_t kind;    /* enum trace_kind */
	uint16_t flags;   /* faults: 1 write, 2 execute, 4 by a system call, 8 with I/O */
	uint32_t number;  /* calls: of the system call */
};

_Static_assert(sizeof(struct trace_header) == 64, "a header is as long as a record");
_Static_assert(sizeof(struct trace_record) == 64, "the format has records of 64 bytes");

#define TRACE_FAULT_WRITE 1
#define TRACE_FAULT_EXEC 2
#define TRACE_FAULT_REMOTE 4
#define TRACE_FAULT_MAJOR 8

#endif
