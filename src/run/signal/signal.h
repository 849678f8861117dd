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
struct thread;

#define SIGNALS 64

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
};

struct thread_signals {
	uint64_t mask;       /* O: the program's mask, bit i for signal i + 1 */
	uint64_t saved_mask; /* O: to be put back after sigsuspend, ppoll, pselect, epoll_pwait */
	bool restore_mask;   /* O */
	volatile sig_atomic_t caught; /* O: a signal waits in `info` */
	siginfo_t info;               /* O */
	stack_t altstack;             /* O: addresses of the program */
};

/* Dispositions of the host as quire was started with them become the program's (only SIG_IGN and
 * SIG_DFL); Quire's handler is set where it is needed. 0 or -errno. */
QUIRE_MUST_CHECK int signal_init(struct process *process);
/* exec: handlers become SIG_DFL, ignored ones stay, the alternate stack is gone. */
void signal_exec(struct thread *thread);
/* First act of a thread, with the mask inherited from `parent` (NULL: the host thread's present
 * one). */
void signal_thread_start(struct thread *thread, const struct thread *parent);

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

/* Sets the program's mask, on the host thread too; SIGKILL and SIGSTOP are never in it. */
void signal_set_mask(struct thread *thread, uint64_t mask);
/* For calls with a mask of their own: set now, and put back once the call is over and its signal
 * delivered. */
void signal_set_mask_for_call(struct thread *thread, uint64_t mask);

/* The system calls: see run/syscall/table.h for their form. */
int64_t sys_rt_sigaction(struct thread *thread, const uint64_t args[6]);
int64_t sys_rt_sigprocmask(struct thread *thread, const uint64_t args[6]);
int64_t sys_rt_sigreturn(struct thread *thread, const uint64_t args[6]);
int64_t sys_rt_sigpending(struct thread *thread, const uint64_t args[6]);
int64_t sys_rt_sigtimedwait(struct thread *thread, const uint64_t args[6]);
int64_t sys_rt_sigsuspend(struct thread *thread, const uint64_t args[6]);
int64_t sys_rt_sigqueueinfo(struct thread *thread, const uint64_t args[6]);
int64_t sys_rt_tgsigqueueinfo(struct thread *thread, const uint64_t args[6]);
int64_t sys_sigaltstack(struct thread *thread, const uint64_t args[6]);
int64_t sys_pause(struct thread *thread, const uint64_t args[6]);
int64_t sys_kill(struct thread *thread, const uint64_t args[6]);
int64_t sys_tkill(struct thread *thread, const uint64_t args[6]);
int64_t sys_tgkill(struct thread *thread, const uint64_t args[6]);
int64_t sys_signalfd4(struct thread *thread, const uint64_t args[6]);
int64_t sys_timer_create(struct thread *thread, const uint64_t args[6]);

#endif
