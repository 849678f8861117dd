/* SPDX-License-Identifier: MIT */
/*
 * The limit on the size of files, kept by Quire for the program.
 */
#include "run/syscall/file_size.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run/syscall/numbers.h"
#include "run/syscall/table.h"
#include "run/user/user.h"

/* Flag of pwritev2(2). */
#define APPEND_FLAG 0x10

static uint64_t size_limit(struct thread *thread)
{
	struct process *process = thread->process;
	uint64_t limit;

	pthread_mutex_lock(&process->lock);
	limit = process->limits[RLIMIT_FSIZE].rlim_cur;
	pthread_mutex_unlock(&process->lock);
	return limit;
}

static int too_large(struct thread *thread)
{
	(void)host_syscall(__NR_tgkill,
			   (const uint64_t[6]){(uint64_t)getpid(), (uint64_t)thread->tid, SIGXFSZ});
	return -EFBIG;
}

static bool regular_file(const struct thread *thread, uint64_t fd, struct stat *status)
{
	return !check_fd(thread, (int)fd) &&
	       !host_syscall(__NR_fstat, (const uint64_t[6]){fd, as_number(status)}) &&
	       S_ISREG(status->st_mode);
}

/* Where a write goes; `offset` -1: where the descriptor stands. */
static int64_t write_position(uint64_t fd, int64_t offset, bool append, const struct stat *status)
{
	const int64_t flags = host_syscall(__NR_fcntl, (const uint64_t[6]){fd, F_GETFL});

	if (append || (flags >= 0 && flags & O_APPEND))
		return status->st_size;
	return offset == -1 ? host_syscall(__NR_lseek, (const uint64_t[6]){fd, 0, SEEK_CUR})
			    : offset;
}

/* `*count` bytes at a position are cut to what fits. */
static int limit_count(struct thread *thread, int64_t position, uint64_t limit, uint64_t *count)
{
	/* Errors are for the call itself to tell. */
	if (position < 0 || !*count)
		return 0;
	if ((uint64_t)position >= limit)
		return too_large(thread);
	*count = min_u64(*count, limit - (uint64_t)position);
	return 0;
}

/* A call whose count is argument `count`; the file is argument `fd`. */
static int limit_bytes(struct thread *thread, struct limited_call *call, uint32_t fd,
		       uint32_t count, int64_t offset)
{
	const uint64_t limit = size_limit(thread);
	struct stat status;

	if (limit == RLIM_INFINITY || !regular_file(thread, call->args[fd], &status))
		return 0;
	return limit_count(thread, write_position(call->args[fd], offset, false, &status), limit,
			   &call->args[count]);
}

/* As much of the vector as fits: whole parts, or a piece of the first one. */
static int cut_vector(struct thread *thread, struct limited_call *call, int64_t offset,
		      int64_t position)
{
	const uint64_t limit = size_limit(thread);
	struct iovec fast[USER_IOV_FAST], *vector;
	uint64_t total, room, parts = 0, sum = 0;
	int error;

	if (import_iovec(thread_mm(thread), call->args[1], call->args[2], fast, &vector, &total))
		return 0;
	room = total;
	error = limit_count(thread, position, limit, &room);
	if (!error && room < total) {
		while (parts < call->args[2] && sum + vector[parts].iov_len <= room)
			sum += vector[parts++].iov_len;
		if (sum) {
			call->args[2] = parts;
		} else {
			while (!vector[parts].iov_len)
				parts++;
			*call = (struct limited_call){offset == -1 ? __NR_write : __NR_pwrite64,
						      {call->args[0],
						       as_number(vector[parts].iov_base), room,
						       (uint64_t)offset}};
		}
	}
	release_iovec(fast, vector);
	return error;
}

static int limit_vector(struct thread *thread, struct limited_call *call, int64_t offset,
			bool append)
{
	struct stat status;

	if (size_limit(thread) == RLIM_INFINITY || !regular_file(thread, call->args[0], &status))
		return 0;
	return cut_vector(thread, call, offset,
			  write_position(call->args[0], offset, append, &status));
}

/* The offset that a pointer of the program points to, -1 for none. */
static int64_t offset_at(struct thread *thread, uint64_t address)
{
	int64_t offset = -1;

	if (address && copy_from_user(thread_mm(thread), &offset, address, sizeof(offset)))
		return -1;
	return offset;
}

/* A new size, which counts only when the file grows. */
static int limit_size(struct thread *thread, const struct stat *status, uint64_t size)
{
	if ((int64_t)size > status->st_size && size > size_limit(thread))
		return too_large(thread);
	return 0;
}

static int limit_truncate(struct thread *thread, const uint64_t args[6])
{
	char path[PATH_MAX];
	struct stat status;

	if (size_limit(thread) == RLIM_INFINITY ||
	    strncpy_from_user(thread_mm(thread), path, args[0], sizeof(path)) < 0 ||
	    host_syscall(__NR_stat, (const uint64_t[6]){as_number(path), as_number(&status)}))
		return 0;
	return limit_size(thread, &status, args[1]);
}

static int limit_descriptor(struct thread *thread, uint64_t fd, uint64_t size)
{
	struct stat status;

	if (size_limit(thread) == RLIM_INFINITY || !regular_file(thread, fd, &status))
		return 0;
	return limit_size(thread, &status, size);
}

int limit_file_size(struct thread *thread, struct limited_call *call)
{
	const uint64_t *args = call->args;

	switch (call->number) {
	case __NR_write:
		return limit_bytes(thread, call, 0, 2, -1);
	case __NR_pwrite64:
		return limit_bytes(thread, call, 0, 2, (int64_t)args[3]);
	case __NR_writev:
		return limit_vector(thread, call, -1, false);
	case __NR_pwritev:
		return limit_vector(thread, call, (int64_t)args[3], false);
	case __NR_pwritev2:
		return limit_vector(thread, call, (int64_t)args[3], args[5] & APPEND_FLAG);
	case __NR_sendfile:
		return limit_bytes(thread, call, 0, 3, -1);
	case __NR_splice:
	case __NR_copy_file_range:
		return limit_bytes(thread, call, 2, 4, offset_at(thread, args[3]));
	case __NR_truncate:
		return limit_truncate(thread, args);
	case __NR_ftruncate:
		return limit_descriptor(thread, args[0], args[1]);
	case __NR_fallocate:
		if (args[1] & FALLOC_FL_KEEP_SIZE || (int64_t)args[2] < 0 || (int64_t)args[3] <= 0)
			return 0;
		return limit_descriptor(thread, args[0], args[2] + args[3]);
	default:
		return 0;
	}
}
