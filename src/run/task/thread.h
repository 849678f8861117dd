/* SPDX-License-Identifier: MIT */
/*
 * struct thread: one thread of a program: a host thread and its virtual CPU.
 *
 * Locks: O = its own host thread, A = atomic, C = constant, P = process->lock.
 */
#ifndef QUIRE_RUN_TASK_THREAD_H
#define QUIRE_RUN_TASK_THREAD_H

#include <setjmp.h>
#include <time.h>

#include "machine/kvm/kvm.h"
#include "run/signal/signal.h"
#include "run/task/process.h"

/* A wait on a futex that goes on with the same deadline. */
struct futex_wait {
	uint64_t address;
	uint32_t value;
	uint32_t bitset;
	uint32_t flags; /* FUTEX_PRIVATE_FLAG, FUTEX_CLOCK_REALTIME */
	bool timed;
	struct timespec deadline; /* absolute */
};

/* A sleep or a poll that goes on for what remains of its time. */
struct timed_call {
	uint64_t args[3];         /* as the call understands them */
	struct timespec deadline; /* absolute */
};

struct thread {
	struct process *process;       /* C */
	struct kvm_cpu *cpu;           /* O */
	pid_t tid;                     /* C: the host's, and so the program's */
	struct list_head list;         /* P */
	struct thread_signals signals; /* see run/signal/signal.h */
	uint64_t clear_child_tid;      /* O: address, 0: none */
	_Atomic uint64_t robust_list;  /* A, written by O: address of the head */
	_Atomic bool must_exit;        /* A: exec or a fatal end elsewhere wants this thread gone */
	bool succeeds; /* O: exec left it alone: it goes on on the process's first host thread */
	/*
	 * Set by a call that answers -EINTR and whose arguments do not say how to go on (a relative
	 * timeout): when no handler runs, restart_syscall(2) calls it. O.
	 */
	int64_t (*restart)(struct thread *thread);
	struct futex_wait restart_futex; /* O: for it */
	struct timed_call restart_timed; /* O: for it */
	void *host_stack;                /* C: alternate stack of the host thread, owned */
	jmp_buf *end; /* C: where the host thread leaves; NULL: the process's first one, which stays
		       */
	/* The system call under way, for restarts, the report and the trace. */
	int64_t syscall;       /* O: number, -1: none */
	uint64_t syscall_time; /* O: ns spent in calls */
	uint64_t fault_time;   /* O: ns spent in faults */
	/* For the call server (call_server.h). */
	uint64_t last_call;       /* O: when the last call exited, ns */
	uint32_t frequent_calls;  /* O: that followed each other quickly */
	uint32_t missed_calls;    /* O: that exited while the server was awake */
	uint64_t answered_before; /* O: by the server, when they were counted last */
	bool served;              /* O: the server knows the thread */
	bool apart;               /* O: its directory or its credentials may not be the process's */
	bool never_waits; /* O: read and write of a pipe answer EAGAIN where they would wait */
	struct open_file open_files[OPEN_FILES_REMEMBERED]; /* O: by number */
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
/* A thread that was told to go, and the one that exec left, where the run loop finds them so.
 * Returns when there is nothing to do. */
void thread_look_around(struct thread *thread);
/* clone(2) of a thread; flags, addresses and TLS as there. The tid, or -errno. (run/task/clone.c)
 */
struct clone_request {
	uint64_t flags;
	uint64_t stack_pointer; /* 0: the parent's */
	uint64_t parent_tid, child_tid;
	uint64_t tls;
	int exit_signal;
};
int64_t thread_clone(struct thread *parent, const struct clone_request *request);
/* exec: waits until the caller is the process's only thread. 0, or -EINTR when another thread ends
 * the process meanwhile. */
QUIRE_MUST_CHECK int thread_kill_others(struct thread *thread);

static inline struct mm_struct *thread_mm(const struct thread *thread)
{
	return thread->process->mm;
}

#endif
