/* SPDX-License-Identifier: MIT */
/*
 * sendfile, splice and copy_file_range: dirty pages of the source are written back before the host
 * reads it; what is cached of the target is written back and dropped, and nobody brings it in again
 * before the host has written it.
 *
 * A source that may wait for others must not keep programs out of a target that they have mapped:
 * then the target is dropped before and afterwards instead.
 */
#include "run/file/copy_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "run/file/mapped_file.h"
#include "run/syscall/table.h"
#include "run/user/user.h"

struct copy {
	struct thread *thread;
	int in, out;
	uint64_t in_address, out_address; /* of offsets in the program, 0: the descriptor's own */
	off_t in_offset, out_offset;      /* of those that have an address */
	uint64_t bytes;
	struct stat in_status, out_status;
};

static struct run *run_of(const struct copy *copy)
{
	return copy->thread->process->run;
}

static int copy_begin(struct copy *copy)
{
	struct mm_struct *mm = thread_mm(copy->thread);

	if (check_fd(copy->thread, copy->in) || check_fd(copy->thread, copy->out) ||
	    fstat(copy->in, &copy->in_status) != 0 || fstat(copy->out, &copy->out_status) != 0)
		return -EBADF;
	if (copy->in_address && copy_from_user(mm, &copy->in_offset, copy->in_address, 8))
		return -EFAULT;
	if (copy->out_address && copy_from_user(mm, &copy->out_offset, copy->out_address, 8))
		return -EFAULT;
	return 0;
}

/* The offsets go back to the program. */
static int64_t copy_end(const struct copy *copy, int64_t result)
{
	struct mm_struct *mm = thread_mm(copy->thread);

	if (copy->in_address && copy_to_user(mm, copy->in_address, &copy->in_offset, 8))
		return -EFAULT;
	if (copy->out_address && copy_to_user(mm, copy->out_address, &copy->out_offset, 8))
		return -EFAULT;
	return result;
}

/* Where the descriptor reads or writes; what has no position has no pages either. */
static uint64_t place(int fd, uint64_t address, off_t offset)
{
	off_t position = address ? offset : lseek(fd, 0, SEEK_CUR);

	return position < 0 ? 0 : (uint64_t)position;
}

static int write_back_source(const struct copy *copy)
{
	struct inode *inode = mapped_inode_at(run_of(copy), &copy->in_status);
	int error = 0;

	if (inode) {
		error = mapped_read_begin(inode, place(copy->in, copy->in_address, copy->in_offset),
					  copy->bytes);
		iput(inode);
	}
	return error;
}

/* The target's pages go, for a moment. */
static int drop_target(const struct copy *copy, uint64_t offset)
{
	struct mapped_change change;
	int error = mapped_rewrite_begin(run_of(copy), copy->out, offset, copy->bytes, &change);

	if (!error)
		mapped_rewrite_end(&change);
	return error;
}

static int64_t copy_to_file(const struct copy *copy, long number, const uint64_t args[6])
{
	const uint64_t offset = place(copy->out, copy->out_address, copy->out_offset);
	struct mapped_change change;
	int64_t result;

	if (S_ISREG(copy->in_status.st_mode)) {
		result =
			mapped_rewrite_begin(run_of(copy), copy->out, offset, copy->bytes, &change);
		if (result)
			return result;
		result = host_syscall(number, args);
		mapped_rewrite_end(&change);
		return result;
	}
	result = drop_target(copy, offset);
	if (result)
		return result;
	result = host_syscall_interruptible(copy->thread, number, args);
	if (result > 0)
		(void)!drop_target(copy, offset);
	return result;
}

static int64_t do_copy(const struct copy *copy, long number, const uint64_t args[6])
{
	int error = write_back_source(copy);

	if (error)
		return error;
	if (S_ISREG(copy->out_status.st_mode))
		return copy_to_file(copy, number, args);
	return host_syscall_interruptible(copy->thread, number, args);
}

static uint64_t pointer(uint64_t address, off_t *offset)
{
	return address ? (uint64_t)(uintptr_t)offset : 0;
}

int64_t sys_sendfile(struct thread *thread, const uint64_t args[6])
{
	struct copy copy = {
		.thread = thread,
		.in = (int)args[1],
		.out = (int)args[0],
		.in_address = args[2],
		.bytes = args[3],
	};
	int64_t result = copy_begin(&copy);

	if (result)
		return result;
	result = do_copy(
		&copy, SYS_sendfile,
		(const uint64_t[6]){args[0], args[1], pointer(args[2], &copy.in_offset), args[3]});
	return copy_end(&copy, result);
}

static int64_t copy_with_offsets(struct thread *thread, long number, const uint64_t args[6])
{
	struct copy copy = {
		.thread = thread,
		.in = (int)args[0],
		.out = (int)args[2],
		.in_address = args[1],
		.out_address = args[3],
		.bytes = args[4],
	};
	int64_t result = copy_begin(&copy);

	if (result)
		return result;
	result = do_copy(&copy, number,
			 (const uint64_t[6]){args[0], pointer(args[1], &copy.in_offset), args[2],
					     pointer(args[3], &copy.out_offset), args[4], args[5]});
	return result < 0 ? result : copy_end(&copy, result);
}

int64_t sys_splice(struct thread *thread, const uint64_t args[6])
{
	return copy_with_offsets(thread, SYS_splice, args);
}

int64_t sys_copy_file_range(struct thread *thread, const uint64_t args[6])
{
	return copy_with_offsets(thread, SYS_copy_file_range, args);
}
