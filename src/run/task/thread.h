/* SPDX-License-Identifier: MIT */
/*
 * struct thread: one thread of a program: a host thread and its virtual CPU.
 *
 * Locks: O = its own host thread, A = atomic, C = constant, P = process->lock.
 */
#ifndef QUIRE_RUN_TASK_THREAD_H
#define QUIRE_RUN_TASK_THREAD_H

#include "machine/kvm/kvm.h"
#include "run/signal/signal.h"
#include "run/task/process.h"

struct thread {
	struct process *process;       /* C */
	struct kvm_cpu *cpu;           /* O */
	pid_t tid;                     /* C: the host's, and so the program's */
	struct list_head list;         /* P */
	struct thread_signals signals; /* see run/signal/signal.h */
	uint64_t clear_child_tid;      /* O: address, 0: none */
	uint64_t robust_list;          /* O: address of the head */
	uint64_t rseq, rseq_bytes;     /* O: area and its length, 0: none */
	uint32_t rseq_signature;       /* O */
	_Atomic bool must_exit;        /* A: exec or a fatal end elsewhere wants this thread gone */
	/* The system call under way, for restarts, the report and the trace. */
	int64_t syscall;       /* O: number, -1: none */
	uint64_t syscall_time; /* O: ns spent in calls */
	uint64_t fault_time;   /* O: ns spent in faults */
};

/* The thread that runs on the calling host thread; NULL in one of Quire's own. Safe in a signal
 * handler. */
struct thread *current_thread(void);

/* First thread of a process, on the calling host thread. 0, -ENOMEM, -EAGAIN. */
QUIRE_MUST_CHECK int thread_create_first(struct process *process, struct thread **thread);
/* Runs the program from the CPU's present registers until the thread or the process ends. Never
 * returns. (run/task/run_loop.c) */
_Noreturn void thread_run(struct thread *thread);
/* exit(2) of one thread, the last one's ending the process: robust list, clear_child_tid. */
_Noreturn void thread_exit(struct thread *thread, int status);
/* exec: waits until the caller is the process's only thread. 0, or -EINTR when another thread ends
 * the process meanwhile. */
QUIRE_MUST_CHECK int thread_kill_others(struct thread *thread);

static inline struct mm_struct *thread_mm(const struct thread *thread)
{
	return thread->process->mm;
}

#endif
