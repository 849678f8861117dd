/* SPDX-License-Identifier: MIT */
/*
 * Between the host's signals and the program's: masks and dispositions of the host as the program
 * has them, and the handler that catches what the program is to get.
 */
#include "run/signal/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/* As the kernel's. */
struct host_sigaction {
	uint64_t handler; /* address of a function, or SIG_DFL, SIG_IGN */
	uint64_t flags;
	void (*restorer)(void);
	uint64_t mask;
};

QUIRE_IN_SIGNAL_HANDLER static int host_sigaction(int signal, const struct host_sigaction *action,
						  struct host_sigaction *old)
{
	const uint64_t args[6] = {(uint64_t)signal, (uintptr_t)action, (uintptr_t)old,
				  sizeof(uint64_t)};

	return (int)host_syscall(SYS_rt_sigaction, args);
}

QUIRE_IN_SIGNAL_HANDLER void host_set_mask(uint64_t mask)
{
	const uint64_t args[6] = {SIG_SETMASK, (uintptr_t)&mask, 0, sizeof(mask)};

	(void)host_syscall(SYS_rt_sigprocmask, args);
}

QUIRE_IN_SIGNAL_HANDLER void signal_block_all(void)
{
	host_set_mask(UINT64_MAX);
}

uint64_t host_mask(const struct thread *thread)
{
	return thread->signals.mask & ~signal_bit(SIGNAL_WAKE);
}

void signal_sync_mask(const struct thread *thread)
{
	signal_block_all();
	if (!(thread->signals.caught & CAUGHT_SIGNAL))
		host_set_mask(host_mask(thread));
}

QUIRE_IN_SIGNAL_HANDLER bool host_syscall_in_window(uint64_t rip)
{
	return rip >= (uintptr_t)host_syscall_window && rip <= (uintptr_t)host_syscall_instruction;
}

int64_t host_syscall_interruptible(struct thread *thread, long nr, const uint64_t args[6])
{
	_Atomic uint32_t *waiting = &thread->process->nr_waiting;
	int64_t result;

	atomic_fetch_add_explicit(waiting, 1, memory_order_relaxed);
	result = host_syscall_checked(nr, args, &thread->signals.caught);
	atomic_fetch_sub_explicit(waiting, 1, memory_order_relaxed);
	thread->signals.not_begun = result == HOST_SYSCALL_NOT_BEGUN;
	return thread->signals.not_begun ? -EINTR : result;
}

void signal_requeue(const siginfo_t *info)
{
	siginfo_t copy = *info;
	const uint64_t args[6] = {(uint64_t)getpid(), (uint64_t)gettid(), (uint64_t)info->si_signo,
				  (uintptr_t)&copy};

	(void)host_syscall(SYS_rt_tgsigqueueinfo, args);
}

/*
 * A real fault of Quire's own code, not a signal that somebody sent with the look of one: those
 * arrive where a system call returns.
 */
QUIRE_IN_SIGNAL_HANDLER static bool is_own_fault(int signal, const siginfo_t *info, uint64_t rip)
{
	if (signal != SIGSEGV && signal != SIGBUS && signal != SIGFPE && signal != SIGILL &&
	    signal != SIGTRAP)
		return false;
	return info->si_code > 0 &&
	       !(rip >= (uintptr_t)host_syscall_begin && rip < (uintptr_t)host_syscall_end);
}

/* Says so; the faulting instruction, tried again, then ends the process. */
QUIRE_IN_SIGNAL_HANDLER static void die_of_own_fault(int signal, const siginfo_t *info,
						     uint64_t rip)
{
	const struct host_sigaction by_default = {.flags = SA_RESTORER_FLAG,
						  .restorer = host_sigreturn};
	char line[160];
	int length = snprintf(line, sizeof(line),
			      "quire: internal error: %s (code %d) at address %p, instruction "
			      "%#llx of quire itself\n",
			      sigabbrev_np(signal), info->si_code, info->si_addr,
			      (unsigned long long)rip);

	/* Nobody can be told when this fails. */
	if (length > 0)
		(void)!write(STDERR_FILENO, line, (size_t)length);
	(void)host_sigaction(signal, &by_default, NULL);
}

/* A thread that runs no program has no business with signals: it blocks them from now on, and
 * another one gets this. */
QUIRE_IN_SIGNAL_HANDLER static void pass_on(const siginfo_t *info)
{
	siginfo_t copy = *info;
	const uint64_t args[6] = {(uint64_t)getpid(), (uint64_t)info->si_signo, (uintptr_t)&copy};

	signal_block_all();
	if (host_syscall(SYS_rt_sigqueueinfo, args) < 0)
		kill(getpid(), info->si_signo);
}

QUIRE_IN_SIGNAL_HANDLER static bool is_wake(const struct thread *thread, const siginfo_t *info)
{
	return info->si_signo == SIGNAL_WAKE && info->si_code == SI_QUEUE &&
	       info->si_pid == getpid() &&
	       (uintptr_t)info->si_value.sival_ptr == thread->process->signals.wake_secret;
}

/* What the handler returns to runs with everything blocked. */
QUIRE_IN_SIGNAL_HANDLER static void block_all_after(ucontext_t *interrupted)
{
	*(uint64_t *)&interrupted->uc_sigmask = UINT64_MAX;
}

/* Quire's handler. Everything is blocked while it runs. */
QUIRE_IN_SIGNAL_HANDLER static void catch_signal(int signal, siginfo_t *info, void *context)
{
	ucontext_t *interrupted = context;
	greg_t *registers = interrupted->uc_mcontext.gregs;
	struct thread *thread = current_thread();
	struct thread_signals *signals;
	const int saved_errno = errno;

	if (is_own_fault(signal, info, (uint64_t)registers[REG_RIP])) {
		die_of_own_fault(signal, info, (uint64_t)registers[REG_RIP]);
		return;
	}
	if (!thread) {
		pass_on(info);
		block_all_after(interrupted);
		errno = saved_errno;
		return;
	}
	signals = &thread->signals;
	if (is_wake(thread, info)) {
		signals->caught |= CAUGHT_WAKE;
	} else if (signal == SIGNAL_WAKE && signals->mask & signal_bit(signal)) {
		/* From the program itself, and the only one that its mask does not stop. */
		if (signals->nr_held < SIGNALS_HELD)
			signals->held[signals->nr_held++] = *info;
		return;
	} else {
		signals->info = *info;
		signals->caught |= CAUGHT_SIGNAL;
		block_all_after(interrupted);
	}
	if (host_syscall_in_window((uint64_t)registers[REG_RIP]))
		registers[REG_RIP] = (greg_t)(uintptr_t)host_syscall_abort;
	if (thread->cpu)
		kvm_cpu_kick(thread->cpu);
	errno = saved_errno;
}

enum signal_default signal_default(int signal)
{
	switch (signal) {
	case SIGCHLD:
	case SIGCONT:
	case SIGURG:
	case SIGWINCH:
		return DEFAULT_IGNORE;
	case SIGSTOP:
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
		return DEFAULT_STOP;
	default:
		return DEFAULT_TERMINATE;
	}
}

int host_mirror_action(struct process *process, int signal)
{
	const struct guest_sigaction *action = &process->signals.action[signal - 1];
	struct host_sigaction host = {
		.flags = SA_RESTORER_FLAG | (action->flags & (SA_NOCLDSTOP | SA_NOCLDWAIT)),
		.restorer = host_sigreturn,
		.mask = UINT64_MAX,
	};

	if (signal != SIGNAL_WAKE && action->handler == GUEST_SIG_IGN) {
		host.handler = GUEST_SIG_IGN;
	} else if (signal == SIGNAL_WAKE || action->handler != GUEST_SIG_DFL ||
		   signal_default(signal) == DEFAULT_TERMINATE) {
		host.handler = (uintptr_t)catch_signal;
		host.flags |= SA_SIGINFO | SA_ONSTACK;
	}
	return host_sigaction(signal, &host, NULL);
}

static bool settable(int signal)
{
	return signal != SIGKILL && signal != SIGSTOP;
}

int signal_init(struct process *process)
{
	struct signal_actions *actions = &process->signals;
	int error = 0;

	pthread_mutex_init(&actions->lock, NULL);
	if (getrandom(&actions->wake_secret, sizeof(actions->wake_secret), 0) !=
	    sizeof(actions->wake_secret))
		return -EIO;
	pthread_mutex_lock(&actions->lock);
	for (int signal = 1; signal <= SIGNALS && !error; signal++) {
		struct host_sigaction host = {0};

		if (!settable(signal))
			continue;
		error = host_sigaction(signal, NULL, &host);
		if (host.handler == GUEST_SIG_IGN)
			actions->action[signal - 1].handler = GUEST_SIG_IGN;
		if (!error)
			error = host_mirror_action(process, signal);
	}
	pthread_mutex_unlock(&actions->lock);
	return error;
}

static void delete_timers(struct process *process)
{
	const uint32_t timers = atomic_exchange_explicit(&process->timers, 0, memory_order_relaxed);

	for (uint32_t id = 0; id < timers; id++) {
		const uint64_t args[6] = {id};

		/* Many of them are gone already. */
		(void)host_syscall(SYS_timer_delete, args);
	}
}

void signal_exec(struct thread *thread)
{
	struct process *process = thread->process;

	pthread_mutex_lock(&process->signals.lock);
	for (int signal = 1; signal <= SIGNALS; signal++) {
		struct guest_sigaction *action = &process->signals.action[signal - 1];
		const uint64_t handler =
			action->handler == GUEST_SIG_IGN ? GUEST_SIG_IGN : GUEST_SIG_DFL;

		*action = (struct guest_sigaction){.handler = handler};
		if (settable(signal))
			(void)host_mirror_action(process, signal);
	}
	pthread_mutex_unlock(&process->signals.lock);
	thread->signals.altstack = (stack_t){.ss_flags = SS_DISABLE};
	delete_timers(process);
}

void signal_thread_start(struct thread *thread, const struct thread *parent)
{
	struct thread_signals *signals = &thread->signals;
	uint64_t mask = 0;
	const uint64_t args[6] = {SIG_BLOCK, 0, (uintptr_t)&mask, sizeof(mask)};
	const stack_t stack = {.ss_sp = thread->host_stack, .ss_size = HOST_SIGNAL_STACK};

	(void)host_syscall(SYS_rt_sigprocmask, args);
	(void)sigaltstack(&stack, NULL);
	signals->altstack = (stack_t){.ss_flags = SS_DISABLE};
	signals->mask = (parent ? parent->signals.mask : mask) & ~SIGNAL_UNBLOCKABLE;
	host_set_mask(host_mask(thread));
}

void signal_thread_end(struct thread *thread)
{
	struct thread_signals *signals = &thread->signals;
	const stack_t none = {.ss_flags = SS_DISABLE};

	signal_block_all();
	if (signals->caught & CAUGHT_SIGNAL && signals->info.si_code != SI_TKILL)
		pass_on(&signals->info);
	signals->caught = 0;
	(void)sigaltstack(&none, NULL);
}

bool signal_wake(const struct thread *thread)
{
	siginfo_t info = {
		.si_signo = SIGNAL_WAKE,
		.si_code = SI_QUEUE,
	};
	const uint64_t args[6] = {(uint64_t)getpid(), (uint64_t)thread->tid, SIGNAL_WAKE,
				  (uintptr_t)&info};

	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value.sival_ptr = (void *)(uintptr_t)thread->process->signals.wake_secret;
	return host_syscall(SYS_rt_tgsigqueueinfo, args) != -EAGAIN;
}

static void release_held(struct thread_signals *signals)
{
	for (int i = 0; i < signals->nr_held; i++)
		signal_requeue(&signals->held[i]);
	signals->nr_held = 0;
}

void signal_set_mask(struct thread *thread, uint64_t mask)
{
	struct thread_signals *signals = &thread->signals;

	mask &= ~SIGNAL_UNBLOCKABLE;
	if (mask == signals->mask)
		return;
	signal_block_all();
	signals->mask = mask;
	if (!(mask & signal_bit(SIGNAL_WAKE)))
		release_held(signals);
	signal_sync_mask(thread);
}

uint64_t signal_set_mask_for_call(struct thread *thread, uint64_t mask)
{
	struct thread_signals *signals = &thread->signals;

	signals->saved_mask = signals->mask;
	signals->restore_mask = true;
	signals->mask = mask & ~SIGNAL_UNBLOCKABLE;
	if (!(mask & signal_bit(SIGNAL_WAKE)))
		release_held(signals);
	signals->call_mask = host_mask(thread);
	return (uintptr_t)&signals->call_mask;
}

void signal_reset_for_end(int signal)
{
	static const int ending[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
	const struct host_sigaction by_default = {.flags = SA_RESTORER_FLAG,
						  .restorer = host_sigreturn};
	const struct thread *thread = current_thread();
	uint64_t mask = UINT64_MAX;

	for (size_t i = 0; i < ARRAY_SIZE(ending); i++) {
		struct host_sigaction old = {0};

		if (host_sigaction(ending[i], NULL, &old) == 0 && old.handler != GUEST_SIG_IGN) {
			(void)host_sigaction(ending[i], &by_default, NULL);
			mask &= ~signal_bit(ending[i]);
		}
	}
	/* One that waits because the program blocks it is lost with the program. */
	if (thread)
		mask |= thread->signals.mask;
	if (signal) {
		if (settable(signal))
			(void)host_sigaction(signal, &by_default, NULL);
		mask &= ~signal_bit(signal);
	}
	host_set_mask(mask);
}
