/* SPDX-License-Identifier: MIT */
/*
 * What the files of this room share: the stub's labels, the host's masks and dispositions, frames.
 */
#ifndef QUIRE_RUN_SIGNAL_INTERNAL_H
#define QUIRE_RUN_SIGNAL_INTERNAL_H

#include <linux/kvm.h>

#include "run/signal/signal.h"
#include "run/task/thread.h"

/* Bits of thread_signals.caught. */
#define CAUGHT_SIGNAL 1 /* one waits in `info`, and everything is blocked on the host */
#define CAUGHT_WAKE 2   /* signal_wake(): the thread should look what is wanted of it */

/*
 * Quire's own use of a signal: to get a thread out of the CPU or out of a waiting system call. It
 * is the one that glibc keeps for setuid() & co., since programs do not block it but for moments in
 * which they do not wait: sigfillset() leaves it out. It is never blocked on the host. One that the
 * program sends, and that comes while the program blocks it, is held in the thread.
 */
#define SIGNAL_WAKE 33

#define SIGNAL_UNBLOCKABLE (signal_bit(SIGKILL) | signal_bit(SIGSTOP))

#define GUEST_SIG_DFL 0
#define GUEST_SIG_IGN 1
#define SA_RESTORER_FLAG 0x04000000u
#define SA_EXPOSE_TAGBITS_FLAG 0x00000800u
#define SS_AUTODISARM_FLAG (1u << 31)
/* Least size of an alternate stack; the C library's constant may be another. */
#define KERNEL_MINSIGSTKSZ 2048

static inline uint64_t signal_bit(int signal)
{
	return (uint64_t)1 << (signal - 1);
}

/* host_syscall.S */
extern const char host_syscall_begin[], host_syscall_end[];
extern const char host_syscall_window[], host_syscall_instruction[], host_syscall_abort[];
/* Its answer when a signal kept it from beginning. */
#define HOST_SYSCALL_NOT_BEGUN (-4096)
int64_t host_syscall_checked(long nr, const uint64_t args[6], const volatile sig_atomic_t *caught);
void host_sigreturn(void);

/* Whether a thread interrupted at `rip` must not begin the system call it was about to make. */
bool host_syscall_in_window(uint64_t rip);

/* The signal mask of the host thread. */
void host_set_mask(uint64_t mask);
/* What the host's mask should be, unless a caught signal waits. */
uint64_t host_mask(const struct thread *thread);

enum signal_default {
	DEFAULT_TERMINATE,
	DEFAULT_IGNORE,
	DEFAULT_STOP
};
enum signal_default signal_default(int signal);

/* The host's disposition of a signal as the program's asks for. signals.lock held. */
int host_mirror_action(struct process *process, int signal);
/* Puts a signal that was caught back into the queue of the calling thread; everything is blocked.
 */
void signal_requeue(const siginfo_t *info);

/* Frames (frame.c). */
bool on_altstack(const stack_t *altstack, uint64_t stack_pointer);
int altstack_flags(const stack_t *altstack, uint64_t stack_pointer);
/* As sigaltstack(2) for a program whose stack pointer is as given. 0, -EPERM, -EINVAL, -ENOMEM. */
int altstack_set(stack_t *altstack, const stack_t *wanted, uint64_t stack_pointer);

/* Builds a frame and sets the registers for the handler. `mask` comes back by rt_sigreturn. 0, or
 * -EFAULT. */
QUIRE_MUST_CHECK int signal_frame_build(struct thread *thread, const struct guest_sigaction *action,
					const siginfo_t *info, uint64_t mask);
/* The frame that the stack pointer stands behind: registers, FPU, mask, alternate stack. 0, or
 * -EFAULT for one that is not right. */
QUIRE_MUST_CHECK int signal_frame_restore(struct thread *thread);

#endif
