/* SPDX-License-Identifier: MIT */
/*
 * The system calls about signals.
 */
#include <errno.h>
#include <sys/syscall.h>

#include "run/signal/internal.h"
#include "run/syscall/rows.h"
#include "run/user/user.h"

#define SIGSET_BYTES sizeof(uint64_t)
#define SIGEVENT_BYTES 64

/* What the kernel knows of sa_flags; the others read back as 0. */
#define SA_KNOWN \
	(SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER | \
	 SA_RESETHAND | SA_RESTORER_FLAG | SA_EXPOSE_TAGBITS_FLAG)

static bool valid_signal(int signal)
{
	return signal >= 1 && signal <= SIGNALS;
}

static int set_action(struct process *process, int signal, const struct guest_sigaction *action)
{
	struct guest_sigaction *slot = &process->signals.action[signal - 1];
	struct guest_sigaction old;
	int error;

	pthread_mutex_lock(&process->signals.lock);
	old = *slot;
	*slot = *action;
	slot->flags &= (uint32_t)SA_KNOWN;
	slot->mask &= ~SIGNAL_UNBLOCKABLE;
	error = host_mirror_action(process, signal);
	if (error)
		*slot = old;
	pthread_mutex_unlock(&process->signals.lock);
	return error;
}

static int64_t sys_rt_sigaction(struct thread *thread, const uint64_t args[6])
{
	struct process *process = thread->process;
	const int signal = (int)args[0];
	struct guest_sigaction action;
	struct guest_sigaction old;
	int error;

	if (args[3] != SIGSET_BYTES)
		return -EINVAL;
	if (args[1] && copy_from_user(process->mm, &action, args[1], sizeof(action)) != 0)
		return -EFAULT;
	if (!valid_signal(signal) || (args[1] && (signal == SIGKILL || signal == SIGSTOP)))
		return -EINVAL;
	pthread_mutex_lock(&process->signals.lock);
	old = process->signals.action[signal - 1];
	pthread_mutex_unlock(&process->signals.lock);
	error = args[1] ? set_action(process, signal, &action) : 0;
	if (!error && args[2] && copy_to_user(process->mm, args[2], &old, sizeof(old)) != 0)
		error = -EFAULT;
	return error;
}

static int64_t sys_rt_sigprocmask(struct thread *thread, const uint64_t args[6])
{
	const uint64_t old = thread->signals.mask;
	uint64_t mask;

	if (args[3] != SIGSET_BYTES)
		return -EINVAL;
	if (args[1]) {
		if (copy_from_user(thread_mm(thread), &mask, args[1], sizeof(mask)) != 0)
			return -EFAULT;
		switch ((int)args[0]) {
		case SIG_BLOCK:
			mask |= old;
			break;
		case SIG_UNBLOCK:
			mask = old & ~mask;
			break;
		case SIG_SETMASK:
			break;
		default:
			return -EINVAL;
		}
		signal_set_mask(thread, mask);
	}
	if (args[2] && copy_to_user(thread_mm(thread), args[2], &old, sizeof(old)) != 0)
		return -EFAULT;
	return 0;
}

static int64_t sys_rt_sigreturn(struct thread *thread, const uint64_t args[6])
{
	(void)args;
	if (signal_frame_restore(thread) != 0)
		signal_force_fault(thread, SIGSEGV, SI_KERNEL, 0, thread->signals.trapno,
				   thread->signals.error_code);
	return (int64_t)kvm_cpu_regs(thread->cpu)->rax;
}

static int64_t sys_rt_sigpending(struct thread *thread, const uint64_t args[6])
{
	uint64_t pending = 0;
	const uint64_t host_args[6] = {(uintptr_t)&pending, sizeof(pending)};
	int64_t result;

	if (args[1] > SIGSET_BYTES)
		return -EINVAL;
	result = host_syscall(SYS_rt_sigpending, host_args);
	if (result < 0)
		return result;
	if (thread->signals.nr_held)
		pending |= signal_bit(SIGNAL_WAKE);
	pending &= thread->signals.mask;
	return copy_to_user(thread_mm(thread), args[0], &pending, args[1]);
}

/* SIGNAL_WAKE is left out of the set, since waiting for it would take Quire's own. */
static int64_t sys_rt_sigtimedwait(struct thread *thread, const uint64_t args[6])
{
	uint64_t set;
	siginfo_t info;
	struct timespec timeout;
	const uint64_t host_args[6] = {(uintptr_t)&set, (uintptr_t)&info,
				       args[2] ? (uintptr_t)&timeout : 0, sizeof(set)};
	int64_t result;

	if (args[3] != SIGSET_BYTES)
		return -EINVAL;
	if (copy_from_user(thread_mm(thread), &set, args[0], sizeof(set)) != 0)
		return -EFAULT;
	if (args[2] && copy_from_user(thread_mm(thread), &timeout, args[2], sizeof(timeout)) != 0)
		return -EFAULT;
	set &= ~signal_bit(SIGNAL_WAKE);
	result = host_syscall_interruptible(thread, SYS_rt_sigtimedwait, host_args);
	if (result > 0 && args[1] &&
	    copy_to_user(thread_mm(thread), args[1], &info, sizeof(info)) != 0)
		return -EFAULT;
	return result;
}

static int64_t sys_rt_sigsuspend(struct thread *thread, const uint64_t args[6])
{
	uint64_t host_args[6] = {0, SIGSET_BYTES};
	uint64_t mask;

	if (args[1] != SIGSET_BYTES)
		return -EINVAL;
	if (copy_from_user(thread_mm(thread), &mask, args[0], sizeof(mask)) != 0)
		return -EFAULT;
	host_args[0] = signal_set_mask_for_call(thread, mask);
	return host_syscall_interruptible(thread, SYS_rt_sigsuspend, host_args);
}

static int64_t sys_pause(struct thread *thread, const uint64_t args[6])
{
	const uint64_t host_args[6] = {0};

	(void)args;
	return host_syscall_interruptible(thread, SYS_pause, host_args);
}

/* Queues a siginfo of the program's: `at` is the number of arguments before it. The host checks who
 * may send what. */
static int64_t queue_info(struct thread *thread, long nr, const uint64_t args[6], uint32_t at)
{
	siginfo_t info;
	uint64_t host_args[6];

	if (copy_from_user(thread_mm(thread), &info, args[at], sizeof(info)) != 0)
		return -EFAULT;
	for (uint32_t i = 0; i < 6; i++)
		host_args[i] = i < at ? args[i] : 0;
	host_args[at] = (uintptr_t)&info;
	return host_syscall(nr, host_args);
}

static int64_t sys_rt_sigqueueinfo(struct thread *thread, const uint64_t args[6])
{
	return queue_info(thread, SYS_rt_sigqueueinfo, args, 2);
}

static int64_t sys_rt_tgsigqueueinfo(struct thread *thread, const uint64_t args[6])
{
	return queue_info(thread, SYS_rt_tgsigqueueinfo, args, 3);
}

static int64_t sys_sigaltstack(struct thread *thread, const uint64_t args[6])
{
	stack_t *altstack = &thread->signals.altstack;
	const uint64_t stack_pointer = kvm_cpu_regs(thread->cpu)->rsp;
	struct {
		uint64_t ss_sp;
		int32_t ss_flags;
		int32_t padding;
		uint64_t ss_size;
	} wanted, old = {
			  .ss_sp = (uintptr_t)altstack->ss_sp,
			  .ss_flags = altstack_flags(altstack, stack_pointer) |
				      (altstack->ss_flags & (int)SS_AUTODISARM_FLAG),
			  .ss_size = altstack->ss_size,
		  };
	int error = 0;

	if (args[0]) {
		stack_t stack;

		if (copy_from_user(thread_mm(thread), &wanted, args[0], sizeof(wanted)) != 0)
			return -EFAULT;
		stack = (stack_t){
			.ss_sp = (void *)(uintptr_t)wanted.ss_sp,
			.ss_flags = wanted.ss_flags,
			.ss_size = wanted.ss_size,
		};
		error = altstack_set(altstack, &stack, stack_pointer);
	}
	if (!error && args[1] && copy_to_user(thread_mm(thread), args[1], &old, sizeof(old)) != 0)
		error = -EFAULT;
	return error;
}

/* The identifier must reach the program, or the timer is nobody's. */
/* exec has to delete them all. */
static void note_timer(struct process *process, uint32_t id)
{
	uint32_t timers = atomic_load_explicit(&process->timers, memory_order_relaxed);

	while (timers <= id &&
	       !atomic_compare_exchange_weak_explicit(&process->timers, &timers, id + 1,
						      memory_order_relaxed, memory_order_relaxed))
		;
}

static int64_t sys_timer_create(struct thread *thread, const uint64_t args[6])
{
	_Alignas(8) uint8_t event[SIGEVENT_BYTES];
	int32_t id = 0;
	const uint64_t host_args[6] = {args[0], args[1] ? (uintptr_t)event : 0, (uintptr_t)&id};
	int64_t result;

	if (args[1] && copy_from_user(thread_mm(thread), event, args[1], sizeof(event)) != 0)
		return -EFAULT;
	result = host_syscall(SYS_timer_create, host_args);
	if (result == 0)
		note_timer(thread->process, (uint32_t)id);
	if (result == 0 && copy_to_user(thread_mm(thread), args[2], &id, sizeof(id)) != 0) {
		const uint64_t delete_args[6] = {(uint64_t)id};

		(void)host_syscall(SYS_timer_delete, delete_args);
		result = -EFAULT;
	}
	return result;
}

static int64_t create_signalfd(struct thread *thread, const uint64_t args[6], uint64_t flags)
{
	const int fd = (int)args[0];
	uint64_t mask;
	const uint64_t host_args[6] = {(uint64_t)(int64_t)fd, (uintptr_t)&mask, sizeof(mask),
				       flags};
	int64_t result;

	if (args[2] != SIGSET_BYTES)
		return -EINVAL;
	if (copy_from_user(thread_mm(thread), &mask, args[1], sizeof(mask)) != 0)
		return -EFAULT;
	if (fd >= 0 && check_fd(thread, fd) != 0)
		return -EBADF;
	mask &= ~signal_bit(SIGNAL_WAKE);
	result = host_syscall(SYS_signalfd4, host_args);
	return fd >= 0 ? result : check_new_fd(thread, result);
}

static int64_t sys_signalfd(struct thread *thread, const uint64_t args[6])
{
	return create_signalfd(thread, args, 0);
}

static int64_t sys_signalfd4(struct thread *thread, const uint64_t args[6])
{
	return create_signalfd(thread, args, args[3]);
}

/* Who kills its own process ends it like any other death, so that what it stored into mapped files
 * gets there. */
static int64_t send_signal(struct thread *thread, long number, const uint64_t args[6], bool to_self,
			   uint64_t signal)
{
	if (to_self && (int)signal == SIGKILL)
		process_end(thread->process, 0, SIGKILL);
	return host_syscall(number, args);
}

static int64_t sys_kill(struct thread *thread, const uint64_t args[6])
{
	return send_signal(thread, __NR_kill, args, (pid_t)args[0] == getpid(), args[1]);
}

static int64_t sys_tkill(struct thread *thread, const uint64_t args[6])
{
	return send_signal(thread, __NR_tkill, args, (pid_t)args[0] == thread->tid, args[1]);
}

static int64_t sys_tgkill(struct thread *thread, const uint64_t args[6])
{
	const bool to_self = (pid_t)args[0] == getpid() && (pid_t)args[1] == thread->tid;

	return send_signal(thread, __NR_tgkill, args, to_self, args[2]);
}

static const char own_death[] = "SIGKILL to itself ends it as other signals do, by way of Quire";

static const struct syscall_row rows[] = {
	ROW_OWN(rt_sigaction, HOW_TASK, 0,
		"the host's disposition follows: ignored, default, or caught by Quire",
		A_INT(signum), A_ADDRESS(act), A_ADDRESS(oldact), A_LONG(sigsetsize)),
	ROW_OWN(rt_sigprocmask, HOW_TASK, 0, "the host thread's mask follows", A_INT(how),
		A_ADDRESS(set), A_ADDRESS(oldset), A_LONG(sigsetsize)),
	ROW_OWN(rt_sigreturn, HOW_TASK, 0, NULL),
	ROW_OWN(rt_sigpending, HOW_TASK, 0, NULL, A_ADDRESS(set), A_LONG(sigsetsize)),
	ROW_OWN(rt_sigtimedwait, HOW_TASK, SYSCALL_BLOCKS,
		"signal 33, which C libraries keep for themselves, cannot be waited for",
		A_ADDRESS(set), A_ADDRESS(info), A_ADDRESS(timeout), A_LONG(sigsetsize)),
	ROW_OWN(rt_sigsuspend, HOW_TASK, SYSCALL_BLOCKS | SYSCALL_NOHAND, NULL, A_ADDRESS(mask),
		A_LONG(sigsetsize)),
	ROW_OWN(pause, HOW_TASK, SYSCALL_BLOCKS | SYSCALL_NOHAND, NULL),
	ROW_OWN(rt_sigqueueinfo, HOW_TASK, 0, NULL, A_INT(tgid), A_INT(sig), A_ADDRESS(info)),
	ROW_OWN(rt_tgsigqueueinfo, HOW_TASK, 0, NULL, A_INT(tgid), A_INT(tid), A_INT(sig),
		A_ADDRESS(info)),
	ROW_OWN(sigaltstack, HOW_TASK, 0, NULL, A_ADDRESS(ss), A_ADDRESS(old_ss)),
	ROW_OWN(kill, HOW_HOST, 0, own_death, A_INT(pid), A_INT(sig)),
	ROW_OWN(tkill, HOW_HOST, 0, own_death, A_INT(tid), A_INT(sig)),
	ROW_OWN(tgkill, HOW_HOST, 0, own_death, A_INT(tgid), A_INT(tid), A_INT(sig)),
	ROW_OWN(signalfd, HOW_TASK, 0, NULL, A_INT(fd), A_ADDRESS(mask), A_LONG(sizemask)),
	ROW_OWN(signalfd4, HOW_TASK, 0, NULL, A_INT(fd), A_ADDRESS(mask), A_LONG(sizemask),
		A_INT(flags)),
	ROW_OWN(timer_create, HOW_TASK, 0, NULL, A_INT(clockid), A_ADDRESS(sevp),
		A_ADDRESS(timerid)),
};

SYSCALL_FAMILY(signal_calls, "Signals", rows);
