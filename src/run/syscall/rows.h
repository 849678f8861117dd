/* SPDX-License-Identifier: MIT */
/*
 * Short forms for rows of the table: one for each kind of argument (table.h), and one for each way
 * a call is handled.
 */
#ifndef QUIRE_RUN_SYSCALL_ROWS_H
#define QUIRE_RUN_SYSCALL_ROWS_H

#include "run/syscall/numbers.h"
#include "run/syscall/table.h"

#define A_LONG(n) \
	{ \
#n, ARG_LONG, 0, 0 \
	}
#define A_INT(n) \
	{ \
#n, ARG_INT, 0, 0 \
	}
#define A_FD(n) \
	{ \
#n, ARG_FD, 0, 0 \
	}
#define A_DIRFD(n) \
	{ \
#n, ARG_DIRFD, 0, 0 \
	}
#define A_ADDRESS(n) \
	{ \
#n, ARG_ADDRESS, 0, 0 \
	}
#define A_PATH(n) \
	{ \
#n, ARG_PATH, 0, 0 \
	}
#define A_FILE(n) \
	{ \
#n, ARG_FILE_PATH, 0, 0 \
	}
#define A_FILE_AT(n, flags) \
	{ \
#n, ARG_FILE_PATH, flags, 0 \
	}
#define A_STRING(n, limit) \
	{ \
#n, ARG_STRING, 0, limit \
	}
#define A_IN(n, bytes) \
	{ \
#n, ARG_IN, 0, bytes \
	}
#define A_OUT(n, bytes) \
	{ \
#n, ARG_OUT, 0, bytes \
	}
#define A_INOUT(n, bytes) \
	{ \
#n, ARG_INOUT, 0, bytes \
	}
#define A_IN_SIZED(n, least) \
	{ \
#n, ARG_IN_SIZED, 0, least \
	}
#define A_IN_BYTES(n, count, unit) \
	{ \
#n, ARG_IN_BYTES, count, unit \
	}
#define A_OUT_BYTES(n, count, unit) \
	{ \
#n, ARG_OUT_BYTES, count, unit \
	}
#define A_OUT_ALL(n, count, unit) \
	{ \
#n, ARG_OUT_ALL, count, unit \
	}
#define A_INOUT_BYTES(n, count, unit) \
	{ \
#n, ARG_INOUT_BYTES, count, unit \
	}

/* Bytes of structures that are the same in every Linux of this architecture. */
#define BYTES_TIMESPEC 16
#define BYTES_TIMEVAL 16
#define BYTES_STAT 144
#define BYTES_STATFS 120
#define BYTES_STATX 256

/* Passed to the host by its arguments. */
#define ROW_HOST(call, call_flags, ...) \
	{ \
		.number = __NR_##call, .how = HOW_HOST, .flags = call_flags, .name = #call, \
		.args = {__VA_ARGS__}, \
	}
/* The same with something to say about it. */
#define ROW_HOST_NOTE(call, call_flags, call_note, ...) \
	{ \
		.number = __NR_##call, .how = HOW_HOST, .flags = call_flags, .name = #call, \
		.args = {__VA_ARGS__}, .note = call_note, \
	}
/* Served by sys_CALL() in one of the ways of enum syscall_how. */
#define ROW_OWN(call, call_how, call_flags, call_note, ...) \
	{ \
		.number = __NR_##call, .how = call_how, .flags = call_flags, .name = #call, \
		.function = sys_##call, .args = {__VA_ARGS__}, .note = call_note, \
	}
/* Answers an error. */
#define ROW_REFUSED(call, answer, call_note) \
	{ \
		.number = __NR_##call, .how = HOW_REFUSED, .error = answer, .name = #call, \
		.note = call_note, \
	}

#define SYSCALL_FAMILY(variable, family_title, family_rows) \
	const struct syscall_family variable = { \
		.title = family_title, \
		.rows = family_rows, \
		.nr_rows = sizeof(family_rows) / sizeof(family_rows[0]), \
	}

#endif
