/* SPDX-License-Identifier: MIT */
/*
 * prctl(2). Operations that concern a thread or process of the host are passed to it; those that
 * would change Quire itself, or memory that the host does not know, are refused.
 */
#include <errno.h>
#include <linux/prctl.h>
#include <string.h>

#include "run/file/memory_calls.h"
#include "run/syscall/bounce.h"
#include "run/syscall/families.h"
#include "run/syscall/rows.h"
#include "run/user/user.h"

#ifndef PR_GET_AUXV
#define PR_GET_AUXV 0x41555856
#endif
#define COMM_BYTES 16

static int64_t set_name(struct thread *thread, const uint64_t args[6])
{
	struct process *process = thread->process;
	struct bounce bounce;
	uint64_t copy;
	const char *name;
	int64_t result;

	bounce_begin(&bounce, thread);
	copy = bounce_string(&bounce, args[1], COMM_BYTES - 1);
	name = bounce_pointer(copy);
	result = bounce_call(&bounce, thread, __NR_prctl, (const uint64_t[6]){PR_SET_NAME, copy},
			     false);
	if (!result && name && thread->tid == (pid_t)host_syscall(__NR_getpid, args)) {
		pthread_mutex_lock(&process->lock);
		memset(process->comm, 0, sizeof(process->comm));
		memcpy(process->comm, name, strlen(name));
		pthread_mutex_unlock(&process->lock);
	}
	return bounce_finish(&bounce, result);
}

/* An operation that stores `bytes` bytes where its second argument says. */
static int64_t get_value(struct thread *thread, const uint64_t args[6], uint64_t bytes)
{
	struct bounce bounce;
	uint64_t copy;

	bounce_begin(&bounce, thread);
	copy = bounce_out(&bounce, args[1], bytes);
	return bounce_finish(
		&bounce,
		bounce_call(&bounce, thread, __NR_prctl,
			    (const uint64_t[6]){args[0], copy, args[2], args[3], args[4]}, false));
}

/* The auxiliary vector as it was put on the stack; answers its whole length. */
static int64_t get_auxv(struct thread *thread, const uint64_t args[6])
{
	struct process *process = thread->process;
	uint64_t auxv[ARRAY_SIZE(process->saved_auxv)];
	uint64_t bytes;

	if (args[3] || args[4])
		return -EINVAL;
	pthread_mutex_lock(&process->lock);
	bytes = process->saved_auxv_words * sizeof(auxv[0]);
	memcpy(auxv, process->saved_auxv, bytes);
	pthread_mutex_unlock(&process->lock);
	if (copy_to_user(thread_mm(thread), args[1], auxv, min_u64(args[2], bytes)))
		return -EFAULT;
	return (int64_t)bytes;
}

static int64_t sys_prctl(struct thread *thread, const uint64_t args[6])
{
	int64_t result;

	if (memory_prctl(thread, args, &result))
		return result;
	switch ((uint32_t)args[0]) {
	case PR_SET_NAME:
		return set_name(thread, args);
	case PR_GET_NAME:
		return get_value(thread, args, COMM_BYTES);
	case PR_GET_PDEATHSIG:
	case PR_GET_CHILD_SUBREAPER:
	case PR_GET_TSC:
		return get_value(thread, args, sizeof(int));
	case PR_GET_TID_ADDRESS:
		return copy_to_user(thread_mm(thread), args[1], &thread->clear_child_tid,
				    sizeof(thread->clear_child_tid));
	case PR_GET_AUXV:
		return get_auxv(thread, args);
	case PR_SET_PDEATHSIG:
	case PR_SET_DUMPABLE:
	case PR_GET_DUMPABLE:
	case PR_SET_KEEPCAPS:
	case PR_GET_KEEPCAPS:
	case PR_SET_TIMING:
	case PR_GET_TIMING:
	case PR_GET_SECCOMP:
	case PR_CAPBSET_READ:
	case PR_CAPBSET_DROP:
	case PR_GET_SECUREBITS:
	case PR_SET_SECUREBITS:
	case PR_SET_TIMERSLACK:
	case PR_GET_TIMERSLACK:
	case PR_TASK_PERF_EVENTS_DISABLE:
	case PR_TASK_PERF_EVENTS_ENABLE:
	case PR_SET_CHILD_SUBREAPER:
	case PR_SET_NO_NEW_PRIVS:
	case PR_GET_NO_NEW_PRIVS:
	case PR_GET_THP_DISABLE:
	case PR_SET_THP_DISABLE: /* large pages are those that the host gives to the frames */
	case PR_CAP_AMBIENT:
	case PR_SET_PTRACER:
	case PR_GET_SPECULATION_CTRL:
	case PR_GET_IO_FLUSHER:
		return host_syscall(__NR_prctl, args);
	default:
		return -EINVAL;
	}
}

static const struct syscall_row rows[] = {
	ROW_OWN(prctl, HOW_HOST, 0,
		"names, death signal, dumpable, capabilities, timer slack, subreaper, "
		"no_new_privs, auxiliary vector; names and protection of memory by Quire; "
		"EINVAL for all else",
		A_INT(op), A_LONG(arg2), A_LONG(arg3), A_LONG(arg4), A_LONG(arg5)),
};
SYSCALL_FAMILY(prctl_calls, "Process control", rows);
