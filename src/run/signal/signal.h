/* SPDX-License-Identifier: MIT */
/*
 * Signals of a program.
 *
 * The host's queues, masks and dispositions are the program's: each thread's mask is kept on its
 * host thread too, SIG_IGN and the defaults that ignore, stop or continue are set on the host, and
 * what has a handler in the program, or ends it by default, is caught by a handler of Quire's. That
 * one notes the siginfo in the thread, blocks everything, and kicks the CPU; the run loop then
 * builds the frame on the program's stack (signal_deliver()). So at most one caught signal is noted
 * in a thread, and all others wait in the host's queues, in the host's order.
 *
 * Locks: O = its own host thread and the signal handler that runs on it, S = lock, C = constant.
 */
#ifndef QUIRE_RUN_SIGNAL_SIGNAL_H
#define QUIRE_RUN_SIGNAL_SIGNAL_H

#include <pthread.h>
#include <signal.h>
#include <stdint.h>

#include "base/types.h"

struct process;
struct quire_machine;
struct thread;

#define SIGNALS 64
/* Bytes of the stack on which Quire's handler runs, in each host thread of the program. */
#define HOST_SIGNAL_STACK 32768
/* Number of the page fault among the CPU's exceptions. */
#define TRAP_PAGE_FAULT 14

/* As the kernel's struct sigaction on x86-64. */
struct guest_sigaction {
	uint64_t handler;
	uint64_t flags;
	uint64_t restorer;
	uint64_t mask;
};

struct signal_actions {
	pthread_mutex_t lock;
	struct guest_sigaction action[SIGNALS]; /* S: of signal i + 1 */
	uint64_t wake_secret; /* C: value that tells signal_wake()'s signals from the program's */
};

/* Signals of the number that Quire uses itself, sent by the program while it blocks them. */
#define SIGNALS_HELD 4

struct thread_signals {
	uint64_t mask;       /* O: the program's mask, bit i for signal i + 1 */
	uint64_t saved_mask; /* O: to be put back after sigsuspend, ppoll, pselect, epoll_pwait */
	bool restore_mask;   /* O */
	uint64_t call_mask;  /* O: what the host's call sets while it waits */
	volatile sig_atomic_t caught; /* O: not 0: a signal waits in `info`, or somebody wants the
					 thread's attention */
	bool not_begun; /* O: what host_syscall_interruptible() did last was not to begin */
	siginfo_t info; /* O */
	siginfo_t held[SIGNALS_HELD];  /* O */
	volatile sig_atomic_t nr_held; /* O */
	bool forced;                   /* O: `fault` is to be delivered */
	siginfo_t fault;               /* O: by signal_force_fault() */
	int trapno;                    /* O: of the last fault, for sigcontext; and the next two */
	uint64_t error_code;           /* O */
	uint64_t cr2;                  /* O */
	stack_t altstack;              /* O: addresses of the program */
};

/* Dispositions of the host as quire was started with them become the program's (only SIG_IGN and
 * SIG_DFL); Quire's handler is set where it is needed. 0 or -errno. */
QUIRE_MUST_CHECK int signal_init(struct process *process);
/* exec: handlers become SIG_DFL, ignored ones stay, the alternate stack is gone. */
void signal_exec(struct thread *thread);
/* First act of a thread, with the mask inherited from `parent` (NULL: the host thread's present
 * one). */
void signal_thread_start(struct thread *thread, const struct thread *parent);
/* Last act of a thread: nothing is caught any more; what was goes back to the process. */
void signal_thread_end(struct thread *thread);
/* Gets a thread of the process out of the CPU, or out of host_syscall_interruptible(), and to its
 * next signal_deliver(). From any thread. False: the queue of signals is full, try again. */
bool signal_wake(const struct thread *thread);
/* The host's dispositions and mask for a process that dies by `signal`, or ends (0): signals that
 * end a process do so at once from now on. */
void signal_reset_for_end(int signal);
/* Room that a frame takes on the program's stack at most: AT_MINSIGSTKSZ. */
uint64_t signal_frame_bytes(const struct quire_machine *machine);

/*
 * The host system call `nr` that may block: a value or -errno. When a signal was caught before it
 * began, or arrives while it waits, -EINTR. Async-signal-safe window: see host_syscall.S.
 */
int64_t host_syscall_interruptible(struct thread *thread, long nr, const uint64_t args[6]);
/* The same call without that: for calls that do not wait for others. A value or -errno. */
int64_t host_syscall(long nr, const uint64_t args[6]);

/* A signal that the program's own action caused: blocked or ignored, it ends the program. Delivered
 * by the next signal_deliver(). */
void signal_force_fault(struct thread *thread, int signal, int code, uint64_t address, int trapno,
			uint64_t error_code);

/* How an interrupted system call may go on. */
enum syscall_restart {
	RESTART_NONE,   /* no call, or it is complete */
	RESTART_SYS,    /* again when no handler runs, or the handler has SA_RESTART */
	RESTART_NOHAND, /* again when no handler runs */
};
/*
 * Delivers what was caught, before the program goes on: builds a frame, or ends the process. The
 * CPU's registers are those with which the program would go on. `restart`: its system call answered
 * -EINTR and may be started again.
 */
void signal_deliver(struct thread *thread, enum syscall_restart restart);

/* The calling host thread gets no signal at all; and again those that the program's thread does not
 * block, unless one that was caught still waits. */
void signal_block_all(void);
void signal_sync_mask(const struct thread *thread);
/* Sets the program's mask, on the host thread too; SIGKILL and SIGSTOP are never in it. */
void signal_set_mask(struct thread *thread, uint64_t mask);
/*
 * For calls with a mask of their own: it is the program's from now until the call is over and its
 * signal delivered. The host thread keeps the old one until the host's own call, which must follow,
 * sets the mask whose address is the result, as only that can tell what became ready first from
 * what was interrupted first.
 */
uint64_t signal_set_mask_for_call(struct thread *thread, uint64_t mask);

#endif
