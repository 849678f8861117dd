/* SPDX-License-Identifier: MIT */
/*
 * Resource limits. Those on memory are the program's alone and kept by its mm; RLIMIT_NOFILE and
 * RLIMIT_FSIZE are kept beside, since Quire has descriptors and files of its own; all others are
 * the host's.
 */
#include <errno.h>
#include <linux/capability.h>
#include <unistd.h>

#include "core/instance/instance.h"
#include "run/syscall/bounce.h"
#include "run/syscall/families.h"
#include "run/syscall/rows.h"
#include "run/user/user.h"

/* The limit of the mm that a resource is, or -1. */
static int memory_limit(uint32_t resource)
{
	switch (resource) {
	case RLIMIT_AS:
		return QUIRE_LIMIT_AS;
	case RLIMIT_DATA:
		return QUIRE_LIMIT_DATA;
	case RLIMIT_STACK:
		return QUIRE_LIMIT_STACK;
	case RLIMIT_MEMLOCK:
		return QUIRE_LIMIT_MEMLOCK;
	default:
		return -1;
	}
}

static bool is_own(uint32_t resource)
{
	return resource == RLIMIT_NOFILE || resource == RLIMIT_FSIZE || memory_limit(resource) >= 0;
}

static bool may_raise_limits(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};

	return !host_syscall(__NR_capget,
			     (const uint64_t[6]){as_number(&header), as_number(data)}) &&
	       data[0].effective & (1u << CAP_SYS_RESOURCE);
}

static int check_limit(const struct thread *thread, uint32_t resource, const struct rlimit *old,
		       const struct rlimit *new)
{
	if (new->rlim_cur > new->rlim_max)
		return -EINVAL;
	if (resource == RLIMIT_NOFILE &&
	    new->rlim_max > (rlim_t)thread->process->run->fd_base &&new->rlim_max > old->rlim_max)
		return -EPERM;
	if (new->rlim_max > old->rlim_max && !may_raise_limits())
		return -EPERM;
	return 0;
}

/* prlimit(2) of the process itself for what Quire keeps; `new` and `old` may be NULL. */
static int own_limit(struct thread *thread, uint32_t resource, const struct rlimit *new,
		     struct rlimit *old)
{
	struct process *process = thread->process;
	struct rlimit before;
	int error = 0;

	pthread_mutex_lock(&process->lock);
	before = process->limits[resource];
	if (new)
		error = check_limit(thread, resource, &before, new);
	if (new && !error) {
		const int limit = memory_limit(resource);

		process->limits[resource] = *new;
		/* Cannot fail: the limit is one of those there are. */
		if (limit >= 0)
			error = quire_setlimit(process->mm, (enum quire_limit)limit, new->rlim_cur)
					? -EINVAL
					: 0;
	}
	pthread_mutex_unlock(&process->lock);
	if (old)
		*old = before;
	return error;
}

/* Of another process, too, by the host. */
static int64_t host_limit(struct thread *thread, uint64_t pid, uint32_t resource, uint64_t new,
			  uint64_t old)
{
	return host_call(thread, syscall_row(__NR_prlimit64),
			 (const uint64_t[6]){pid, resource, new, old});
}

static int64_t change_limit(struct thread *thread, uint64_t pid, uint32_t resource,
			    const uint64_t addresses[2])
{
	struct rlimit new, old;
	int error;

	if (((pid_t)pid && (pid_t)pid != getpid()) || resource >= RLIM_NLIMITS || !is_own(resource))
		return host_limit(thread, pid, resource, addresses[0], addresses[1]);
	if (addresses[0] && copy_from_user(thread_mm(thread), &new, addresses[0], sizeof(new)))
		return -EFAULT;
	error = own_limit(thread, resource, addresses[0] ? &new : NULL, &old);
	if (!error && addresses[1])
		error = copy_to_user(thread_mm(thread), addresses[1], &old, sizeof(old));
	return error;
}

static int64_t sys_prlimit64(struct thread *thread, const uint64_t args[6])
{
	return change_limit(thread, args[0], (uint32_t)args[1],
			    (const uint64_t[2]){args[2], args[3]});
}

/* Where the other call takes NULL, these two answer EFAULT. */
static int64_t sys_getrlimit(struct thread *thread, const uint64_t args[6])
{
	if ((uint32_t)args[0] >= RLIM_NLIMITS)
		return -EINVAL;
	return change_limit(thread, 0, (uint32_t)args[0],
			    (const uint64_t[2]){0, args[1] ? args[1] : BAD_POINTER});
}

static int64_t sys_setrlimit(struct thread *thread, const uint64_t args[6])
{
	return change_limit(thread, 0, (uint32_t)args[0],
			    (const uint64_t[2]){args[1] ? args[1] : BAD_POINTER, 0});
}

static const char note[] = "RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK and RLIMIT_MEMLOCK are limits of "
			   "Quire's mm; RLIMIT_NOFILE and RLIMIT_FSIZE are the program's own; the "
			   "others are the host's";

static const struct syscall_row rows[] = {
	ROW_OWN(prlimit64, HOW_TASK, 0, note, A_INT(pid), A_INT(resource), A_IN(new_limit, 16),
		A_OUT(old_limit, 16)),
	ROW_OWN(getrlimit, HOW_TASK, 0, note, A_INT(resource), A_OUT(rlim, 16)),
	ROW_OWN(setrlimit, HOW_TASK, 0, note, A_INT(resource), A_IN(rlim, 16)),
	ROW_HOST_NOTE(getrusage, 0, "ru_maxrss is that of quire", A_INT(who), A_OUT(usage, 144)),
};
SYSCALL_FAMILY(limit_calls, "Resource limits", rows);
