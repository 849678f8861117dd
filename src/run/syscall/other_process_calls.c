/* SPDX-License-Identifier: MIT */
/*
 * Calls that look into another process. When that is the program itself, its memory and
 * descriptors are meant, not Quire's.
 */
#include <errno.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run/syscall/bounce.h"
#include "run/syscall/descriptor.h"
#include "run/syscall/families.h"
#include "run/syscall/rows.h"
#include "run/user/user.h"

#define COPY_CHUNK 4096

/* A process or any thread of it. */
static bool is_self(uint64_t pid)
{
	char path[64];
	struct stat status;

	if ((pid_t)pid == getpid())
		return true;
	snprintf(path, sizeof(path), "/proc/self/task/%d", (pid_t)pid);
	return !host_syscall(__NR_stat, (const uint64_t[6]){as_number(path), as_number(&status)});
}

/* A place in a vector of the program. */
struct cursor {
	const struct iovec *part;
	uint64_t left; /* parts, the present one included */
	uint64_t offset;
};

static uint64_t cursor_room(struct cursor *cursor)
{
	while (cursor->left && cursor->offset == cursor->part->iov_len) {
		cursor->part++;
		cursor->left--;
		cursor->offset = 0;
	}
	return cursor->left ? cursor->part->iov_len - cursor->offset : 0;
}

static uint64_t cursor_address(const struct cursor *cursor)
{
	return as_number(cursor->part->iov_base) + cursor->offset;
}

/* Within one mm; bytes, or -EFAULT when there are none. */
static int64_t copy_within(struct mm_struct *mm, struct cursor from, struct cursor to)
{
	char buffer[COPY_CHUNK];
	uint64_t done = 0;

	for (;;) {
		uint64_t want = min_u64(cursor_room(&from), cursor_room(&to));
		uint64_t chunk = min_u64(want, sizeof(buffer));
		uint64_t got;

		if (!chunk)
			return (int64_t)done;
		got = copy_some_from_user(mm, buffer, cursor_address(&from), chunk);
		got = copy_some_to_user(mm, cursor_address(&to), buffer, got);
		done += got;
		if (got < chunk)
			return done ? (int64_t)done : -EFAULT;
		from.offset += got;
		to.offset += got;
	}
}

/* The remote addresses are the other process's own and stand as they are; the local memory is one
 * buffer. */
static int64_t copy_other(struct thread *thread, const uint64_t args[6], const struct cursor *local,
			  const struct iovec *remote, bool write)
{
	struct cursor place = *local;
	struct iovec part;
	struct bounce bounce;
	int64_t result;
	char *buffer;

	bounce_begin(&bounce, thread);
	part.iov_len = min_u64(cursor_room(&place), BOUNCE_MAX);
	buffer = bounce_alloc(&bounce, part.iov_len);
	part.iov_base = buffer;
	if (buffer && write)
		part.iov_len = copy_some_from_user(bounce.mm, buffer, cursor_address(&place),
						   part.iov_len);
	result =
		bounce_call(&bounce, thread, write ? __NR_process_vm_writev : __NR_process_vm_readv,
			    (const uint64_t[6]){args[0], as_number(&part), 1, as_number(remote),
						args[4], args[5]},
			    false);
	if (result > 0 && !write &&
	    copy_to_user(bounce.mm, cursor_address(&place), buffer, (uint64_t)result))
		result = -EFAULT;
	bounce_end(&bounce);
	return result;
}

static int64_t copy_processes(struct thread *thread, const uint64_t args[6], bool write)
{
	struct iovec local_fast[USER_IOV_FAST], remote_fast[USER_IOV_FAST];
	struct iovec *local, *remote;
	struct mm_struct *mm = thread_mm(thread);
	struct cursor here, there;
	uint64_t total;
	int64_t result;

	if (args[5])
		return -EINVAL;
	result = import_iovec(mm, args[1], args[2], local_fast, &local, &total);
	if (result)
		return result;
	result = import_iovec(mm, args[3], args[4], remote_fast, &remote, &total);
	if (result)
		goto release_local;
	here = (struct cursor){local, args[2], 0};
	there = (struct cursor){remote, args[4], 0};
	if (!is_self(args[0]))
		result = copy_other(thread, args, &here, remote, write);
	else
		result = write ? copy_within(mm, here, there) : copy_within(mm, there, here);
	release_iovec(remote_fast, remote);
release_local:
	release_iovec(local_fast, local);
	return result;
}

static int64_t sys_process_vm_readv(struct thread *thread, const uint64_t args[6])
{
	return copy_processes(thread, args, false);
}

static int64_t sys_process_vm_writev(struct thread *thread, const uint64_t args[6])
{
	return copy_processes(thread, args, true);
}

static int64_t sys_pidfd_getfd(struct thread *thread, const uint64_t args[6])
{
	int error = check_fd(thread, (int)args[0]);

	if (!error)
		error = check_fd(thread, (int)args[1]);
	return error ? error : check_new_fd(thread, host_syscall(__NR_pidfd_getfd, args));
}

/* The last kind takes a pointer that no program but checkpointing ones has. */
static int64_t sys_kcmp(struct thread *thread, const uint64_t args[6])
{
	(void)thread;
	return (uint32_t)args[2] >= KCMP_EPOLL_TFD ? -EINVAL : host_syscall(__NR_kcmp, args);
}

static const struct syscall_row rows[] = {
	ROW_OWN(process_vm_readv, HOW_TASK, 0, "the program's own memory is Quire's", A_INT(pid),
		A_IN_BYTES(local_iov, 2, 16), A_LONG(liovcnt), A_IN_BYTES(remote_iov, 4, 16),
		A_LONG(riovcnt), A_LONG(flags)),
	ROW_OWN(process_vm_writev, HOW_TASK, 0, "the program's own memory is Quire's", A_INT(pid),
		A_IN_BYTES(local_iov, 2, 16), A_LONG(liovcnt), A_IN_BYTES(remote_iov, 4, 16),
		A_LONG(riovcnt), A_LONG(flags)),
	ROW_OWN(pidfd_getfd, HOW_HOST, 0, "Quire's own descriptors cannot be had", A_FD(pidfd),
		A_INT(targetfd), A_INT(flags)),
	ROW_OWN(kcmp, HOW_HOST, 0, "KCMP_EPOLL_TFD answers EINVAL", A_INT(pid1), A_INT(pid2),
		A_INT(type), A_LONG(idx1), A_LONG(idx2)),
};
SYSCALL_FAMILY(other_process_calls, "Other processes", rows);
