/* SPDX-License-Identifier: MIT */
/*
 * Calls on descriptors as numbers: close, dup, fcntl. Quire's own are out of their reach.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>

#include "run/file/mapped_file.h"
#include "run/syscall/bounce.h"
#include "run/syscall/descriptor.h"
#include "run/syscall/families.h"
#include "run/syscall/rows.h"
#include "run/user/user.h"

/* Of the kernel, and not in the C library's headers. */
#define F_CANCELLK (F_LINUX_SPECIFIC_BASE + 5)
#define F_GETOWNER_UIDS 17
#ifndef F_LINUX_SPECIFIC_BASE
#define F_LINUX_SPECIFIC_BASE 1024
#endif
#ifndef F_DUPFD_QUERY
#define F_DUPFD_QUERY (F_LINUX_SPECIFIC_BASE + 3)
#endif
#ifndef F_CREATED_QUERY
#define F_CREATED_QUERY (F_LINUX_SPECIFIC_BASE + 4)
#endif

static int64_t sys_close(struct thread *thread, const uint64_t args[6])
{
	int error = check_fd(thread, (int)args[0]);

	if (error)
		return error;
	mapped_closed(thread->process->run, (int)args[0]);
	return close_on_host(thread, (int)args[0]);
}

static int64_t sys_close_range(struct thread *thread, const uint64_t args[6])
{
	const uint32_t last_own = (uint32_t)thread->process->run->fd_base - 1;
	const uint32_t first = (uint32_t)args[0], last = (uint32_t)args[1];
	const uint32_t flags = (uint32_t)args[2];
	int64_t result;

	if (flags & ~(uint32_t)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) || first > last)
		return -EINVAL;
	if (first > last_own)
		return 0;
	/* All that the program can have open lies below its limit. */
	if (!(flags & CLOSE_RANGE_CLOEXEC))
		for (uint64_t fd = first; fd <= last && fd < descriptor_limit(thread); fd++)
			mapped_closed(thread->process->run, (int)fd);
	open_files_close_begin(thread->process);
	result = host_syscall(__NR_close_range,
			      (const uint64_t[6]){first, last < last_own ? last : last_own,
						  flags & ~(uint32_t)CLOSE_RANGE_UNSHARE});
	open_files_close_end(thread->process);
	return result;
}

static int64_t check_duplicate(struct thread *thread, uint64_t old, uint64_t new)
{
	int error = check_fd(thread, (int)old);

	if (error)
		return error;
	return (uint32_t) new < descriptor_limit(thread) ? 0 : -EBADF;
}

/* dup2 and dup3, of two different numbers: what `new` was before is closed. */
static int64_t duplicate_at(struct thread *thread, int64_t number, const uint64_t args[6])
{
	int64_t result;

	if (fcntl((int)args[0], F_GETFD) < 0)
		return -EBADF;
	mapped_closed(thread->process->run, (int)args[1]);
	open_files_close_begin(thread->process);
	result = host_syscall(number, args);
	open_files_close_end(thread->process);
	return result;
}

static int64_t sys_dup2(struct thread *thread, const uint64_t args[6])
{
	int64_t error = check_duplicate(thread, args[0], args[1]);

	if (error)
		return error;
	if ((uint32_t)args[0] == (uint32_t)args[1])
		return host_syscall(__NR_dup2, args);
	return duplicate_at(thread, __NR_dup2, args);
}

static int64_t sys_dup3(struct thread *thread, const uint64_t args[6])
{
	int64_t error;

	if ((uint32_t)args[2] & ~(uint32_t)O_CLOEXEC || (uint32_t)args[0] == (uint32_t)args[1])
		return -EINVAL;
	error = check_duplicate(thread, args[0], args[1]);
	return error ? error : duplicate_at(thread, __NR_dup3, args);
}

static int64_t fcntl_duplicate(struct thread *thread, const uint64_t args[6])
{
	if ((uint32_t)args[2] >= descriptor_limit(thread))
		return -EINVAL;
	return check_new_fd(thread, host_syscall(__NR_fcntl, args));
}

/* A command whose argument is a pointer to `bytes` bytes. */
static int64_t fcntl_pointer(struct thread *thread, const uint64_t args[6], uint64_t bytes,
			     bool writes)
{
	const uint32_t command = (uint32_t)args[1];
	const bool waits = command == F_SETLKW || command == F_OFD_SETLKW;
	struct bounce bounce;
	uint64_t argument;

	bounce_begin(&bounce, thread);
	argument =
		writes ? bounce_inout(&bounce, args[2], bytes) : bounce_in(&bounce, args[2], bytes);
	return bounce_finish(&bounce,
			     bounce_call(&bounce, thread, __NR_fcntl,
					 (const uint64_t[6]){args[0], args[1], argument}, waits));
}

static int64_t fcntl_lock(struct thread *thread, const uint64_t args[6])
{
	int error = mapped_posix_lock(thread->process->run, (int)args[0]);

	return error ? error : fcntl_pointer(thread, args, sizeof(struct flock), false);
}

static int64_t sys_fcntl(struct thread *thread, const uint64_t args[6])
{
	int error = check_fd(thread, (int)args[0]);

	if (error)
		return error;
	switch ((uint32_t)args[1]) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return fcntl_duplicate(thread, args);
	case F_DUPFD_QUERY:
		error = check_fd(thread, (int)args[2]);
		return error ? error : host_syscall(__NR_fcntl, args);
	case F_ADD_SEALS:
		return mapped_add_seals(thread->process->run, (int)args[0], (uint32_t)args[2]);
	case F_SETLK:
	case F_SETLKW:
		return fcntl_lock(thread, args);
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		return fcntl_pointer(thread, args, sizeof(struct flock), false);
	case F_GETLK:
	case F_OFD_GETLK:
		return fcntl_pointer(thread, args, sizeof(struct flock), true);
	case F_GETOWN_EX:
		return fcntl_pointer(thread, args, sizeof(struct f_owner_ex), true);
	case F_SETOWN_EX:
		return fcntl_pointer(thread, args, sizeof(struct f_owner_ex), false);
	case F_GETOWNER_UIDS:
		return fcntl_pointer(thread, args, 2 * sizeof(uint32_t), true);
	case F_GET_RW_HINT:
	case F_GET_FILE_RW_HINT:
		return fcntl_pointer(thread, args, sizeof(uint64_t), true);
	case F_SET_RW_HINT:
	case F_SET_FILE_RW_HINT:
		return fcntl_pointer(thread, args, sizeof(uint64_t), false);
	case F_GETFD:
	case F_SETFD:
	case F_GETFL:
	case F_SETFL:
	case F_GETOWN:
	case F_SETOWN:
	case F_GETSIG:
	case F_SETSIG:
	case F_SETLEASE:
	case F_GETLEASE:
	case F_NOTIFY:
	case F_CANCELLK:
	case F_CREATED_QUERY:
	case F_SETPIPE_SZ:
	case F_GETPIPE_SZ:
	case F_GET_SEALS:
		return host_syscall(__NR_fcntl, args);
	default:
		return -EINVAL;
	}
}

static int64_t sys_pipe2(struct thread *thread, const uint64_t args[6])
{
	int pair[2];
	int64_t error;

	/* Descriptors are not made for somebody who cannot be told of them. */
	if (user_range(thread_mm(thread), args[0], sizeof(pair), true) < sizeof(pair))
		return -EFAULT;
	error = host_syscall(__NR_pipe2, (const uint64_t[6]){as_number(pair), args[1]});
	return error ? error : give_fd_pair(thread, args[0], pair);
}

static int64_t sys_pipe(struct thread *thread, const uint64_t args[6])
{
	return sys_pipe2(thread, (const uint64_t[6]){args[0], 0});
}

static const struct syscall_row rows[] = {
	ROW_OWN(close, HOW_FILE, 0, NULL, A_FD(fd)),
	ROW_OWN(close_range, HOW_FILE, 0,
		"Quire's own descriptors stay open; CLOSE_RANGE_UNSHARE closes without unsharing",
		A_INT(first), A_INT(last), A_INT(flags)),
	ROW_HOST(dup, SYSCALL_NEW_FD, A_FD(oldfd)),
	ROW_OWN(dup2, HOW_FILE, 0, NULL, A_FD(oldfd), A_INT(newfd)),
	ROW_OWN(dup3, HOW_FILE, 0, NULL, A_FD(oldfd), A_INT(newfd), A_INT(flags)),
	ROW_OWN(pipe, HOW_HOST, 0, NULL, A_OUT(pipefd, 8)),
	ROW_OWN(pipe2, HOW_HOST, 0, NULL, A_OUT(pipefd, 8), A_INT(flags)),
	ROW_OWN(fcntl, HOW_FILE, SYSCALL_RESTART,
		"commands that are not known answer EINVAL; descriptors are limited by the "
		"program's "
		"own RLIMIT_NOFILE",
		A_FD(fd), A_INT(cmd), A_LONG(arg)),
};
SYSCALL_FAMILY(descriptor_calls, "Descriptors", rows);
