/* SPDX-License-Identifier: MIT */
/*
 * What becomes of a caught signal before the program goes on: a frame and a handler, nothing, a
 * stop, or the end.
 */
#include "run/signal/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "run/report/report.h"

/* Length of the SYSCALL instruction. */
#define SYSCALL_BYTES 2

void signal_force_fault(struct thread *thread, int signal, int code, uint64_t address, int trapno,
			uint64_t error_code)
{
	struct thread_signals *signals = &thread->signals;

	memset(&signals->fault, 0, sizeof(signals->fault));
	signals->fault.si_signo = signal;
	signals->fault.si_code = code;
	signals->fault.si_addr = (void *)(uintptr_t)address;
	signals->trapno = trapno;
	signals->error_code = error_code;
	if (trapno == TRAP_PAGE_FAULT)
		signals->cr2 = address;
	signals->forced = true;
}

/* The frame of a handler could not be written, or one to return to was not right. */
static void force_sigsegv(struct thread *thread)
{
	struct thread_signals *signals = &thread->signals;

	signal_force_fault(thread, SIGSEGV, SI_KERNEL, 0, signals->trapno, signals->error_code);
}

/* A fault, or what was caught, into *info. Afterwards the host's mask is the caller's to set. */
static bool take_signal(struct thread *thread, siginfo_t *info, bool *fault)
{
	struct thread_signals *signals = &thread->signals;

	*fault = signals->forced;
	if (signals->forced) {
		*info = signals->fault;
		signals->forced = false;
		return true;
	}
	if (!signals->caught)
		return false;
	signal_block_all();
	*fault = false;
	*info = signals->info;
	if (signals->caught & CAUGHT_SIGNAL) {
		signals->caught = 0;
		return true;
	}
	signals->caught = 0;
	host_set_mask(host_mask(thread));
	return false;
}

/* The action as it is now; one that is for one signal only is used up. */
static struct guest_sigaction take_action(struct process *process, int signal)
{
	struct guest_sigaction *action = &process->signals.action[signal - 1];
	struct guest_sigaction taken;

	pthread_mutex_lock(&process->signals.lock);
	taken = *action;
	if (taken.handler > GUEST_SIG_IGN && taken.flags & SA_RESETHAND) {
		action->handler = GUEST_SIG_DFL;
		(void)host_mirror_action(process, signal);
	}
	pthread_mutex_unlock(&process->signals.lock);
	return taken;
}

static void do_default(struct thread *thread, const siginfo_t *info)
{
	struct process *process = thread->process;

	switch (signal_default(info->si_signo)) {
	case DEFAULT_IGNORE:
		break;
	case DEFAULT_STOP:
		kill(getpid(), SIGSTOP);
		break;
	case DEFAULT_TERMINATE:
		if (info->si_signo == SIGUSR1 && info->si_code == SI_USER &&
		    info->si_pid != getpid())
			report_state(process->run, stderr);
		else
			process_end(process, 0, info->si_signo);
	}
}

/* An interrupted call, before a handler with `flags` runs. */
static void end_call_for_handler(struct thread *thread, enum syscall_restart restart,
				 uint64_t flags)
{
	struct kvm_regs *regs = kvm_cpu_regs(thread->cpu);

	if (restart == RESTART_SYS && !thread->restart && flags & SA_RESTART) {
		regs->rip -= SYSCALL_BYTES;
		regs->rax = (uint64_t)thread->syscall;
	}
	thread->restart = NULL;
}

/* An interrupted call when no handler runs: it is started again, or goes on. */
static void restart_call(struct thread *thread, enum syscall_restart restart)
{
	struct kvm_regs *regs = kvm_cpu_regs(thread->cpu);

	if (restart == RESTART_NONE)
		return;
	regs->rip -= SYSCALL_BYTES;
	regs->rax = thread->restart ? SYS_restart_syscall : (uint64_t)thread->syscall;
}

static void mask_for_handler(struct thread_signals *signals, const struct guest_sigaction *action,
			     int signal)
{
	signals->mask |= action->mask;
	if (!(action->flags & SA_NODEFER))
		signals->mask |= signal_bit(signal);
	signals->mask &= ~SIGNAL_UNBLOCKABLE;
}

static void enter_handler(struct thread *thread, const siginfo_t *info,
			  const struct guest_sigaction *action)
{
	struct thread_signals *signals = &thread->signals;
	const uint64_t mask = signals->restore_mask ? signals->saved_mask : signals->mask;

	if (signal_frame_build(thread, action, info, mask) != 0) {
		if (info->si_signo == SIGSEGV)
			process_end(thread->process, 0, SIGSEGV);
		force_sigsegv(thread);
		return;
	}
	signals->restore_mask = false;
	mask_for_handler(signals, action, info->si_signo);
	atomic_fetch_add_explicit(&thread->process->run->report->signals, 1, memory_order_relaxed);
}

/* Whether a handler runs. */
static bool deliver_one(struct thread *thread, const siginfo_t *info, bool fault,
			enum syscall_restart restart)
{
	const int signal = info->si_signo;
	struct guest_sigaction action;

	if (!fault && thread->signals.mask & signal_bit(signal)) {
		signal_requeue(info);
		return false;
	}
	action = take_action(thread->process, signal);
	if (fault && (thread->signals.mask & signal_bit(signal) || action.handler <= GUEST_SIG_IGN))
		process_end(thread->process, 0, signal);
	if (action.handler == GUEST_SIG_IGN)
		return false;
	if (action.handler == GUEST_SIG_DFL) {
		do_default(thread, info);
		return false;
	}
	end_call_for_handler(thread, restart, action.flags);
	enter_handler(thread, info, &action);
	return true;
}

static void deliver_all(struct thread *thread, enum syscall_restart restart)
{
	struct thread_signals *signals = &thread->signals;
	const bool interrupted = signals->caught;
	bool handled = false;
	bool fault;
	siginfo_t info;

	while (take_signal(thread, &info, &fault)) {
		if (deliver_one(thread, &info, fault, handled ? RESTART_NONE : restart))
			handled = true;
		signal_sync_mask(thread);
	}
	if (!handled && interrupted)
		restart_call(thread, restart);
	/* Without a handler it waits for restart_syscall(2), which the program makes next. */
	if (handled)
		thread->restart = NULL;
}

void signal_deliver(struct thread *thread, enum syscall_restart restart)
{
	struct thread_signals *signals = &thread->signals;

	if (likely(!signals->caught && !signals->forced && !signals->restore_mask &&
		   !thread->restart))
		return;
	/* The call is over and was not interrupted: its mask is over too. */
	if (signals->restore_mask && kvm_cpu_regs(thread->cpu)->rax != (uint64_t)-EINTR) {
		signals->restore_mask = false;
		signal_set_mask(thread, signals->saved_mask);
	}
	deliver_all(thread, restart);
	if (signals->restore_mask) {
		signals->restore_mask = false;
		signal_set_mask(thread, signals->saved_mask);
	}
}
