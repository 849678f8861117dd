/* SPDX-License-Identifier: MIT */
/*
 * What happened in a run: counters that everybody adds to, and the report made of them and of the
 * core's own, as text and as JSON.
 *
 * Locks: A = atomic.
 */
#ifndef QUIRE_RUN_REPORT_REPORT_H
#define QUIRE_RUN_REPORT_REPORT_H

#include <stdio.h>

#include "run/run.h"

struct thread;

#define REPORT_SYSCALLS 512

struct report_syscall {
	_Atomic uint64_t count;  /* A */
	_Atomic uint64_t errors; /* A */
	_Atomic uint64_t ns;     /* A */
};

struct report {
	struct report_syscall syscalls[REPORT_SYSCALLS];
	_Atomic bool named[REPORT_SYSCALLS]; /* A: an unknown number that was told of */
	_Atomic bool named_other;            /* A: the same for all beyond the table */
	_Atomic uint64_t unknown_syscalls;   /* A */
	_Atomic uint64_t fault_ns;           /* A */
	_Atomic uint64_t faults;             /* A: exits for a fault */
	_Atomic uint64_t exits;              /* A: all exits of all CPUs */
	_Atomic uint64_t signals;            /* A: delivered to handlers */
	_Atomic uint64_t threads;            /* A: ever started */
	uint64_t start_ns;                   /* set once */
	FILE *file;                          /* set once: of the option, or NULL */
};

/* Opens the file that the options name, now: the program may change its directory, its root and its
 * rights. 0, or -EINVAL with one line in `why`. */
QUIRE_MUST_CHECK int report_open(struct run *run, char *why, size_t why_bytes);
/* One system call ended. `number` may be anything. */
void report_count_syscall(struct report *report, int64_t number, int64_t result, uint64_t ns);
void report_count_fault(struct report *report, uint64_t ns);
/* Names an unknown call on standard error, once for each number. */
void report_unknown_syscall(struct report *report, int64_t number);

/* The end of the run: writes what the options ask for. `status` is as of wait(2). 0, or -errno of
 * writing with a line on standard error. */
int report_finish(struct run *run, int status);
/* The present state, for SIGUSR1. Takes the usual locks, so not in a signal handler. */
void report_state(struct run *run, FILE *stream);
/* The OOM verdict: one line on standard error that says what holds how much. */
void report_oom(struct run *run, const char *mm, uint64_t resident, const char *group,
		uint64_t limit);

#endif
