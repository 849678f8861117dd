/* SPDX-License-Identifier: MIT */
/*
 * The system calls about threads and the process.
 */
#include <asm/prctl.h>
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "run/syscall/rows.h"
#include "run/task/futex.h"
#include "run/task/internal.h"
#include "run/user/user.h"

/* Of the kernel's <asm/prctl.h>, newer than some C libraries'. */
#define ARCH_GET_XCOMP_SUPPORTED 0x1021
#define ARCH_GET_XCOMP_PERMITTED 0x1022

#define ROBUST_LIST_HEAD_BYTES 24

static int64_t sys_exit(struct thread *thread, const uint64_t args[6])
{
	thread_exit(thread, (int)args[0] & 0xff);
}

static int64_t sys_exit_group(struct thread *thread, const uint64_t args[6])
{
	process_end(thread->process, (int)args[0] & 0xff, 0);
}

static int64_t sys_gettid(struct thread *thread, const uint64_t args[6])
{
	(void)args;
	return thread->tid;
}

static int64_t sys_set_tid_address(struct thread *thread, const uint64_t args[6])
{
	thread->clear_child_tid = args[0];
	return thread->tid;
}

static int64_t sys_futex(struct thread *thread, const uint64_t args[6])
{
	return do_futex(thread, args);
}

static int64_t sys_restart_syscall(struct thread *thread, const uint64_t args[6])
{
	int64_t (*restart)(struct thread *) = thread->restart;

	(void)args;
	thread->restart = NULL;
	return restart ? restart(thread) : -EINTR;
}

static int64_t sys_set_robust_list(struct thread *thread, const uint64_t args[6])
{
	if (args[1] != ROBUST_LIST_HEAD_BYTES)
		return -EINVAL;
	atomic_store_explicit(&thread->robust_list, args[0], memory_order_relaxed);
	return 0;
}

/* The list of a thread of the process. -ESRCH: there is no such thread. */
static int64_t robust_list_of(struct thread *thread, pid_t tid, uint64_t *list)
{
	struct process *process = thread->process;
	struct thread *other;
	int64_t result = -ESRCH;

	pthread_mutex_lock(&process->lock);
	list_for_each_entry (other, &process->threads, list)
		if (other->tid == tid || (!tid && other == thread)) {
			*list = atomic_load_explicit(&other->robust_list, memory_order_relaxed);
			result = 0;
		}
	pthread_mutex_unlock(&process->lock);
	return result;
}

static int64_t sys_get_robust_list(struct thread *thread, const uint64_t args[6])
{
	const uint64_t bytes = ROBUST_LIST_HEAD_BYTES;
	uint64_t list = 0;
	const int64_t error = robust_list_of(thread, (pid_t)args[0], &list);

	if (error)
		return error;
	if (copy_to_user(thread_mm(thread), args[2], &bytes, sizeof(bytes)) != 0 ||
	    copy_to_user(thread_mm(thread), args[1], &list, sizeof(list)) != 0)
		return -EFAULT;
	return 0;
}

static int64_t put_word(struct thread *thread, uint64_t address, uint64_t value)
{
	return copy_to_user(thread_mm(thread), address, &value, sizeof(value));
}

static int64_t sys_arch_prctl(struct thread *thread, const uint64_t args[6])
{
	const uint64_t value = args[1];

	switch ((int)args[0]) {
	case ARCH_SET_FS:
		if (value >= TASK_SIZE_MAX)
			return -EPERM;
		kvm_cpu_set_fs_base(thread->cpu, value);
		return 0;
	case ARCH_SET_GS:
		if (value >= TASK_SIZE_MAX)
			return -EPERM;
		kvm_cpu_set_gs_base(thread->cpu, value);
		return 0;
	case ARCH_GET_FS:
		return put_word(thread, value, kvm_cpu_fs_base(thread->cpu));
	case ARCH_GET_GS:
		return put_word(thread, value, kvm_cpu_gs_base(thread->cpu));
	case ARCH_GET_CPUID:
		return 1;
	case ARCH_SET_CPUID:
		return value ? 0 : -ENODEV;
	case ARCH_GET_XCOMP_SUPPORTED:
	case ARCH_GET_XCOMP_PERMITTED:
		return put_word(thread, value, kvm_xfeatures(thread->process->run->machine));
	default:
		return -EINVAL;
	}
}

static const struct syscall_row rows[] = {
	ROW_OWN(clone, HOW_TASK, 0,
		"threads that share descriptors; a second process is refused with ENOSYS",
		A_LONG(flags), A_ADDRESS(stack), A_ADDRESS(parent_tid), A_ADDRESS(child_tid),
		A_LONG(tls)),
	ROW_OWN(clone3, HOW_TASK, 0,
		"threads that share descriptors; a second process is refused with ENOSYS",
		A_ADDRESS(cl_args), A_LONG(size)),
	ROW_OWN(fork, HOW_TASK, 0, "refused with ENOSYS"),
	ROW_OWN(vfork, HOW_TASK, 0, "refused with ENOSYS"),
	ROW_OWN(exit, HOW_TASK, 0, NULL, A_INT(status)),
	ROW_OWN(exit_group, HOW_TASK, 0,
		"dirty shared pages are written back and the report is made first", A_INT(status)),
	ROW_OWN(gettid, HOW_TASK, 0, "the host thread's"),
	ROW_OWN(set_tid_address, HOW_TASK, 0, NULL, A_ADDRESS(tidptr)),
	ROW_OWN(futex, HOW_TASK, SYSCALL_BLOCKS | SYSCALL_RESTART,
		"operations with priority inheritance answer ENOSYS", A_ADDRESS(uaddr),
		A_INT(futex_op), A_INT(val), A_ADDRESS(timeout), A_ADDRESS(uaddr2), A_INT(val3)),
	ROW_REFUSED(futex_waitv, ENOSYS, "C libraries do not use it"),
	ROW_OWN(restart_syscall, HOW_TASK, SYSCALL_BLOCKS | SYSCALL_RESTART,
		"an interrupted futex wait goes on with its deadline"),
	ROW_OWN(set_robust_list, HOW_TASK, 0, NULL, A_ADDRESS(head), A_LONG(len)),
	ROW_OWN(get_robust_list, HOW_TASK, 0, "of threads of the own process", A_INT(pid),
		A_ADDRESS(head_ptr), A_ADDRESS(len_ptr)),
	ROW_REFUSED(rseq, ENOSYS,
		    "a restartable sequence must be aborted whenever its thread loses the CPU, and "
		    "KVM does not say when the host preempts one; C libraries do without"),
	ROW_OWN(arch_prctl, HOW_TASK, 0, "FS and GS base; CPUID cannot be made to fault",
		A_INT(code), A_LONG(address)),
};

SYSCALL_FAMILY(task_calls, "Threads and the process", rows);
