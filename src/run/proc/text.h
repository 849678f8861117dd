/* SPDX-License-Identifier: MIT */
/*
 * The texts of /proc/PID, each written to a stream. `tid` says whose directory it stands in: few
 * texts differ between threads. Return 0, or -errno; errors of the stream are its owner's to find.
 */
#ifndef QUIRE_RUN_PROC_TEXT_H
#define QUIRE_RUN_PROC_TEXT_H

#include <stdio.h>

#include "run/task/thread.h"

typedef int proc_text(struct thread *thread, pid_t tid, FILE *stream);

int proc_maps(struct thread *thread, pid_t tid, FILE *stream);
int proc_smaps(struct thread *thread, pid_t tid, FILE *stream);
int proc_smaps_rollup(struct thread *thread, pid_t tid, FILE *stream);
/* The host's text, with the lines and fields on memory replaced by Quire's. */
int proc_status(struct thread *thread, pid_t tid, FILE *stream);
int proc_stat(struct thread *thread, pid_t tid, FILE *stream);
int proc_statm(struct thread *thread, pid_t tid, FILE *stream);
int proc_auxv(struct thread *thread, pid_t tid, FILE *stream);
int proc_cmdline(struct thread *thread, pid_t tid, FILE *stream);
int proc_environ(struct thread *thread, pid_t tid, FILE *stream);
/* The host's, with the limits that Quire keeps. */
int proc_limits(struct thread *thread, pid_t tid, FILE *stream);

uint32_t proc_nr_threads(struct process *process);

#endif
