/* SPDX-License-Identifier: MIT */
/*
 * What a process is to others: identity, credentials, scheduling, waiting. All are the host's,
 * since the program is a process of the host.
 */
#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/personality.h>

#include "run/exec/loader.h"
#include "run/syscall/bounce.h"
#include "run/syscall/families.h"
#include "run/syscall/rows.h"
#include "run/task/call_server.h"
#include "run/user/user.h"

#define BYTES_RUSAGE 144
#define BYTES_SIGINFO 128
#define NO_ARGUMENTS \
	{ \
		NULL, ARG_NONE, 0, 0 \
	}

#define ROW_IDENTITY(call, ...) \
	{ \
		.number = __NR_##call, .how = HOW_HOST, .name = #call, \
		.function = change_identity, .args = {__VA_ARGS__}, \
	}

/* The first version has one word a set, the others have two. */
static uint64_t capability_bytes(const struct __user_cap_header_struct *header)
{
	const uint64_t word = sizeof(struct __user_cap_data_struct);

	return header && header->version == _LINUX_CAPABILITY_VERSION_1 ? word : 2 * word;
}

static int64_t sys_capget(struct thread *thread, const uint64_t args[6])
{
	struct bounce bounce;
	uint64_t header, data;
	int64_t result;

	bounce_begin(&bounce, thread);
	header = bounce_inout(&bounce, args[0], sizeof(struct __user_cap_header_struct));
	data = bounce_out(&bounce, args[1], capability_bytes(bounce_pointer(header)));
	result =
		bounce_call(&bounce, thread, __NR_capget, (const uint64_t[6]){header, data}, false);
	/* A version that the host does not know is answered by EINVAL and the one it prefers. */
	if (result == -EINVAL && bounce_pointer(header) &&
	    copy_to_user(thread_mm(thread), args[0], bounce_pointer(header),
			 sizeof(struct __user_cap_header_struct)))
		result = -EFAULT;
	return bounce_finish(&bounce, result);
}

/* What the process may do with its memory follows from the answer; and credentials are a thread's:
 * what it does from now on must not be done by another one of the host's. */
static int64_t identity_changed(struct thread *thread, int64_t result)
{
	process_update_rights(thread->process);
	if (result >= 0)
		call_server_part(thread);
	return result;
}

static int64_t change_identity(struct thread *thread, const uint64_t args[6])
{
	return identity_changed(thread, host_call(thread, syscall_row(thread->syscall), args));
}

static int64_t sys_capset(struct thread *thread, const uint64_t args[6])
{
	struct bounce bounce;
	uint64_t header, data;
	int64_t result;

	bounce_begin(&bounce, thread);
	header = bounce_inout(&bounce, args[0], sizeof(struct __user_cap_header_struct));
	data = bounce_in(&bounce, args[1], capability_bytes(bounce_pointer(header)));
	result = bounce_finish(&bounce, bounce_call(&bounce, thread, __NR_capset,
						    (const uint64_t[6]){header, data}, false));
	return identity_changed(thread, result);
}

/* Flags that would change how the host maps Quire's own memory are refused. */
static int64_t sys_personality(struct thread *thread, const uint64_t args[6])
{
	const uint32_t allowed = PER_MASK | ADDR_NO_RANDOMIZE;

	(void)thread;
	if ((uint32_t)args[0] != UINT32_MAX && (uint32_t)args[0] & ~allowed)
		return -EINVAL;
	return host_syscall(__NR_personality, args);
}

static const struct syscall_row rows[] = {
	ROW_HOST(getpid, 0, NO_ARGUMENTS),
	ROW_HOST(getppid, 0, NO_ARGUMENTS),
	ROW_HOST(getuid, 0, NO_ARGUMENTS),
	ROW_HOST(geteuid, 0, NO_ARGUMENTS),
	ROW_HOST(getgid, 0, NO_ARGUMENTS),
	ROW_HOST(getegid, 0, NO_ARGUMENTS),
	ROW_HOST(getpgrp, 0, NO_ARGUMENTS),
	ROW_HOST(getpgid, 0, A_INT(pid)),
	ROW_HOST(setpgid, 0, A_INT(pid), A_INT(pgid)),
	ROW_HOST(getsid, 0, A_INT(pid)),
	ROW_HOST(setsid, 0, NO_ARGUMENTS),
	ROW_IDENTITY(setuid, A_INT(uid)),
	ROW_IDENTITY(setgid, A_INT(gid)),
	ROW_IDENTITY(setreuid, A_INT(ruid), A_INT(euid)),
	ROW_IDENTITY(setregid, A_INT(rgid), A_INT(egid)),
	ROW_IDENTITY(setresuid, A_INT(ruid), A_INT(euid), A_INT(suid)),
	ROW_IDENTITY(setresgid, A_INT(rgid), A_INT(egid), A_INT(sgid)),
	ROW_HOST(getresuid, 0, A_OUT(ruid, 4), A_OUT(euid, 4), A_OUT(suid, 4)),
	ROW_HOST(getresgid, 0, A_OUT(rgid, 4), A_OUT(egid, 4), A_OUT(sgid, 4)),
	ROW_IDENTITY(setfsuid, A_INT(fsuid)),
	ROW_IDENTITY(setfsgid, A_INT(fsgid)),
	ROW_HOST(getgroups, 0, A_INT(size), A_OUT_BYTES(list, 0, 4)),
	ROW_IDENTITY(setgroups, A_INT(size), A_IN_BYTES(list, 0, 4)),
	ROW_OWN(capget, HOW_HOST, 0, NULL, A_INOUT(hdrp, 8), A_OUT(datap, 24)),
	ROW_OWN(capset, HOW_HOST, 0, NULL, A_INOUT(hdrp, 8), A_IN(datap, 24)),
	ROW_OWN(personality, HOW_HOST, 0, "only execution domains and ADDR_NO_RANDOMIZE",
		A_INT(persona)),

	ROW_HOST(wait4, SYSCALL_RESTART | SYSCALL_BLOCKS, A_INT(pid), A_INOUT(wstatus, 4),
		 A_INT(options), A_INOUT(rusage, BYTES_RUSAGE)),
	ROW_HOST(waitid, SYSCALL_RESTART | SYSCALL_BLOCKS, A_INT(idtype), A_INT(id),
		 A_INOUT(infop, BYTES_SIGINFO), A_INT(options), A_INOUT(rusage, BYTES_RUSAGE)),
	ROW_HOST(pidfd_open, SYSCALL_NEW_FD, A_INT(pid), A_INT(flags)),
	ROW_HOST(pidfd_send_signal, 0, A_FD(pidfd), A_INT(sig), A_IN(info, BYTES_SIGINFO),
		 A_INT(flags)),
	ROW_HOST(process_mrelease, 0, A_FD(pidfd), A_INT(flags)),

	ROW_HOST(sched_yield, 0, NO_ARGUMENTS),
	ROW_HOST(sched_setparam, 0, A_INT(pid), A_IN(param, 4)),
	ROW_HOST(sched_getparam, 0, A_INT(pid), A_OUT(param, 4)),
	ROW_HOST(sched_setscheduler, 0, A_INT(pid), A_INT(policy), A_IN(param, 4)),
	ROW_HOST(sched_getscheduler, 0, A_INT(pid)),
	ROW_HOST(sched_get_priority_max, 0, A_INT(policy)),
	ROW_HOST(sched_get_priority_min, 0, A_INT(policy)),
	ROW_HOST(sched_rr_get_interval, 0, A_INT(pid), A_OUT(tp, BYTES_TIMESPEC)),
	ROW_HOST(sched_setaffinity, 0, A_INT(pid), A_INT(cpusetsize), A_IN_BYTES(mask, 1, 1)),
	ROW_HOST(sched_getaffinity, 0, A_INT(pid), A_INT(cpusetsize), A_OUT_BYTES(mask, 1, 1)),
	ROW_HOST(sched_setattr, 0, A_INT(pid), A_IN_SIZED(attr, 48), A_INT(flags)),
	ROW_HOST(sched_getattr, 0, A_INT(pid), A_OUT_ALL(attr, 2, 1), A_INT(size), A_INT(flags)),
	ROW_HOST(getpriority, 0, A_INT(which), A_INT(who)),
	ROW_HOST(setpriority, 0, A_INT(which), A_INT(who), A_INT(prio)),
	ROW_HOST(ioprio_get, 0, A_INT(which), A_INT(who)),
	ROW_HOST(ioprio_set, 0, A_INT(which), A_INT(who), A_INT(ioprio)),
	ROW_HOST(getcpu, 0, A_OUT(cpu, 4), A_OUT(node, 4), A_LONG(unused)),
	ROW_HOST(membarrier, 0, A_INT(cmd), A_INT(flags), A_INT(cpu_id)),
};
SYSCALL_FAMILY(process_calls, "Processes", rows);
