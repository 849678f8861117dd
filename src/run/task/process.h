/* SPDX-License-Identifier: MIT */
/*
 * struct process: what the threads of a program share.
 *
 * Locks: P = lock, A = atomic, C = constant, S = signals.lock (run/signal).
 */
#ifndef QUIRE_RUN_TASK_PROCESS_H
#define QUIRE_RUN_TASK_PROCESS_H

#include <pthread.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/list.h"
#include "core/vma/mm.h"
#include "run/file/open_file.h"
#include "run/run.h"
#include "run/signal/signal.h"

struct call_server;
struct thread;

struct process {
	struct run *run;      /* C */
	struct mm_struct *mm; /* P: changed by exec only, when one thread is left */
	pthread_mutex_t lock;
	struct list_head threads;           /* P: struct thread.list */
	_Atomic uint32_t nr_threads;        /* written under P */
	_Atomic uint32_t nr_waiting;        /* A: threads in calls that may wait for others */
	pthread_cond_t thread_gone;         /* with lock: nr_threads fell */
	struct signal_actions signals;      /* see run/signal/signal.h */
	struct rlimit limits[RLIM_NLIMITS]; /* P: what the program believes; memory limits and
					       RLIMIT_NOFILE are kept by Quire, the others are the
					       host's */
	struct open_file_changes open_files;
	char *exe;                 /* P: absolute path of the program, owned */
	char comm[16];             /* P: of the main thread at exec */
	uint64_t vdso;             /* P: address of the vDSO in the mm */
	uint64_t saved_auxv[64];   /* P: as put on the stack, for /proc/self/auxv */
	uint32_t saved_auxv_words; /* P */
	int leader_status;         /* P: what the first thread gave to exit(2) */
	struct thread *successor;  /* P: thread that goes on on the first host thread, after exec */
	pthread_cond_t succession; /* with lock: successor was set */
	struct call_server *call_server; /* P: set once, when it is first wanted; or NULL */
	bool no_call_server;             /* P: it cannot be had */
	_Atomic uint32_t timers;         /* A: ids of POSIX timers are below this */
	_Atomic int ending; /* A: 0; else the process is being ended and nobody starts anything */
};

/*
 * Ends the process as exit_group(status) or, with `signal` != 0, as by that signal: what is dirty
 * is written back, the report is printed, then the host process ends in the same way. Any thread;
 * the first caller's way counts, later callers wait for the end. Never returns.
 */
_Noreturn void process_end(struct process *process, int status, int signal);

#endif
