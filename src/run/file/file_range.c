/* SPDX-License-Identifier: MIT */
/*
 * Calls on files other than reading and writing, kept in agreement with what is mapped: sizes,
 * holes, positions by contents, and what makes changes durable.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/file/bypass.h"
#include "core/file/filemap.h"
#include "core/file/writeback.h"
#include "run/file/copy_calls.h"
#include "run/file/file_calls.h"
#include "run/file/mapped_file.h"
#include "run/syscall/rows.h"
#include "run/user/user.h"

#ifndef FALLOC_FL_WRITE_ZEROES
#define FALLOC_FL_WRITE_ZEROES 0x80
#endif

static int64_t sys_ftruncate(struct thread *thread, const uint64_t args[6])
{
	const int error = check_fd(thread, (int)args[0]);

	return error ? error
		     : mapped_ftruncate(thread->process->run, (int)args[0], (int64_t)args[1]);
}

static int64_t sys_truncate(struct thread *thread, const uint64_t args[6])
{
	char path[PATH_MAX];
	int64_t length = strncpy_from_user(thread_mm(thread), path, args[0], sizeof(path));

	if (length < 0)
		return length;
	return mapped_truncate(thread->process->run, path, (int64_t)args[1]);
}

/* A stretch that the host fills with zeroes: whole pages are dropped from the cache, the parts of
 * pages at its ends become zero there too. */
struct zeroed {
	struct inode *inode;
	uint64_t start, end;
	struct bypass_range head, tail;
};

/* The part of [start, end) within the size that the file has: the host decides whether it grows. */
static struct bypass_range part_of_page(struct inode *inode, uint64_t start, uint64_t end)
{
	const uint64_t size = i_size_read(inode);
	struct bypass_range range = {.inode = inode, .offset = start};

	if (start < min_u64(end, size))
		range.bytes = min_u64(end, size) - start;
	return range;
}

static void zero_begin(struct zeroed *zeroed)
{
	const uint64_t start = zeroed->start, end = zeroed->end;
	const uint64_t first = PAGE_ALIGN(start), last = PAGE_ALIGN_DOWN(end);

	zeroed->head = part_of_page(zeroed->inode, start, min_u64(first, end));
	zeroed->tail = part_of_page(zeroed->inode, last, last >= first ? end : 0);
	if (last > first &&
	    bypass_drop(zeroed->inode, first >> PAGE_SHIFT, (last >> PAGE_SHIFT) - 1))
		/* They could not be written, and need not be any more. */
		truncate_inode_pages(&zeroed->inode->i_data, first >> PAGE_SHIFT,
				     (last >> PAGE_SHIFT) - 1);
	bypass_write_begin(&zeroed->head);
	bypass_write_begin(&zeroed->tail);
}

static void zero_end(struct zeroed *zeroed, bool done)
{
	bypass_write_end(&zeroed->tail, NULL, done ? zeroed->tail.bytes : 0);
	bypass_write_end(&zeroed->head, NULL, done ? zeroed->head.bytes : 0);
}

static int64_t host_fallocate(const uint64_t args[6])
{
	return host_syscall(SYS_fallocate, args);
}

static int64_t fallocate_known(struct inode *inode, const uint64_t args[6])
{
	const uint32_t mode = (uint32_t)args[1];
	const uint64_t start = args[2], end = args[2] + args[3];
	struct zeroed zeroed = {.inode = inode, .start = start, .end = end};
	const uint64_t previous = i_size_read(inode);
	struct stat status;
	int64_t result;

	if (mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE)) {
		result = bypass_drop(inode, start >> PAGE_SHIFT, UINT64_MAX);
		if (!result)
			result = host_fallocate(args);
		bypass_size_changed(inode);
		return result;
	}
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_WRITE_ZEROES)) {
		zero_begin(&zeroed);
		result = host_fallocate(args);
		zero_end(&zeroed, !result);
	} else {
		result = host_fallocate(args);
	}
	if (!result && fstat((int)args[0], &status) == 0 && (uint64_t)status.st_size > previous)
		bypass_truncate_end(inode, previous, (uint64_t)status.st_size);
	return result;
}

static int64_t sys_fallocate(struct thread *thread, const uint64_t args[6])
{
	const int64_t offset = (int64_t)args[2], bytes = (int64_t)args[3];
	const int fd = (int)args[0];
	struct mapped_change change;
	struct stat status;
	int64_t result;
	int flags;

	if (check_fd(thread, fd))
		return -EBADF;
	flags = fcntl(fd, F_GETFL);
	/* What the host refuses for its arguments alone must not disturb anybody. */
	if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY || offset < 0 || bytes <= 0 ||
	    bytes > INT64_MAX - offset || fstat(fd, &status) != 0)
		return host_fallocate(args);
	mapped_change_begin(thread->process->run, &status, &change);
	result = change.inode ? fallocate_known(change.inode, args) : host_fallocate(args);
	mapped_change_end(&change);
	return result;
}

/*
 * What mappings wrote goes to the host's file first; an error of that, also one that was met
 * earlier and nobody has heard of, is the call's. To make it durable is the host's call that
 * follows.
 */
static int64_t sync_pages(struct thread *thread, int fd)
{
	struct inode *inode = mapped_inode(thread->process->run, fd);
	uint32_t since;
	int error, reported;

	if (!inode)
		return 0;
	since = errseq_sample(&inode->i_data.wb_err);
	error = mapped_read_begin(inode, 0, UINT64_MAX);
	reported = errseq_check_and_advance(&inode->i_data.wb_err, &since);
	iput(inode);
	return reported ? reported : error;
}

static int64_t do_fsync(struct thread *thread, long number, const uint64_t args[6])
{
	int64_t error, result;

	if (check_fd(thread, (int)args[0]))
		return -EBADF;
	error = sync_pages(thread, (int)args[0]);
	result = host_syscall(number, args);
	return error && !result ? error : result;
}

static int64_t sys_fsync(struct thread *thread, const uint64_t args[6])
{
	return do_fsync(thread, SYS_fsync, args);
}

static int64_t sys_fdatasync(struct thread *thread, const uint64_t args[6])
{
	return do_fsync(thread, SYS_fdatasync, args);
}

static int64_t sys_sync_file_range(struct thread *thread, const uint64_t args[6])
{
	const uint64_t bytes = args[2] ? args[2] : UINT64_MAX;
	int64_t result = check_fd(thread, (int)args[0]);
	struct inode *inode;
	int error = 0;

	if (result)
		return result;
	inode = mapped_inode(thread->process->run, (int)args[0]);
	if (inode) {
		if (args[3] & SYNC_FILE_RANGE_WRITE)
			error = mapped_read_begin(inode, args[1], bytes);
		iput(inode);
	}
	result = host_syscall(SYS_sync_file_range, args);
	return error && !result ? error : result;
}

/* Where there is data depends on what mappings wrote. */
static int64_t sys_lseek(struct thread *thread, const uint64_t args[6])
{
	const int whence = (int)args[2];
	struct inode *inode;
	int error = check_fd(thread, (int)args[0]);

	if (error)
		return error;
	if (whence == SEEK_DATA || whence == SEEK_HOLE) {
		inode = mapped_inode(thread->process->run, (int)args[0]);
		if (inode) {
			error = mapped_read_begin(inode, 0, UINT64_MAX);
			iput(inode);
		}
		if (error)
			return error;
	}
	return host_syscall(SYS_lseek, args);
}

/* The last byte of a range whose length may be 0 for all the rest. */
static uint64_t last_byte(uint64_t offset, uint64_t bytes)
{
	const uint64_t end = offset + bytes;

	return !bytes || end < bytes ? INT64_MAX : end - 1;
}

/* Pages that the range has whole, or up to the end of the file. What is dirty is on its way to the
 * host's file afterwards, as there. */
static void drop_cached(struct inode *inode, uint64_t offset, uint64_t bytes)
{
	const pgoff_t first = (offset + PAGE_SIZE - 1) >> PAGE_SHIFT;
	const uint64_t last = last_byte(offset, bytes);
	const bool whole = PAGE_OFFSET(last + 1) == 0 || last + 1 == i_size_read(inode);
	const pgoff_t end = (last >> PAGE_SHIFT) + (whole ? 1 : 0);
	struct writeback_control control = {
		.start = offset,
		.end = last,
		.nr_to_write = UINT64_MAX,
	};

	/* An error is noted in the mapping, for the next fsync(). */
	(void)!writeback_mapping(&inode->i_data, &control);
	if (first < end)
		invalidate_mapping_pages(&inode->i_data, first, end - 1);
}

static void read_ahead(struct thread *thread, struct inode *inode, int64_t offset, uint64_t bytes)
{
	const pgoff_t first = (pgoff_t)(offset >> PAGE_SHIFT);
	const pgoff_t last = last_byte((uint64_t)offset, bytes) >> PAGE_SHIFT;
	const struct filemap_context context = {.memcg = thread_mm(thread)->memcg};

	if (first <= last)
		force_page_cache_readahead(&inode->i_data, first, last - first + 1, &context);
}

/* The host judges the arguments, and has its own cache of the file; then Quire's heeds them too. */
static int64_t advise(struct thread *thread, long number, const uint64_t args[6], int advice)
{
	const int fd = (int)args[0];
	int64_t result = check_fd(thread, fd);
	struct inode *inode = NULL;

	if (!result)
		result = host_syscall(number, args);
	if (!result && (advice == POSIX_FADV_DONTNEED || advice == POSIX_FADV_WILLNEED))
		inode = mapped_inode(thread->process->run, fd);
	if (!inode)
		return result;
	if (advice == POSIX_FADV_DONTNEED)
		drop_cached(inode, args[1], args[2]);
	else
		read_ahead(thread, inode, (int64_t)args[1], args[2]);
	iput(inode);
	return 0;
}

static int64_t sys_fadvise64(struct thread *thread, const uint64_t args[6])
{
	return advise(thread, SYS_fadvise64, args, (int)args[3]);
}

static int64_t sys_readahead(struct thread *thread, const uint64_t args[6])
{
	return advise(thread, SYS_readahead, args, POSIX_FADV_WILLNEED);
}

#define WAITS (SYSCALL_RESTART | SYSCALL_BLOCKS)

static const struct syscall_row rows[] = {
	ROW_OWN(truncate, HOW_FILE, 0, NULL, A_PATH(path), A_LONG(length)),
	ROW_OWN(ftruncate, HOW_FILE, 0, NULL, A_FD(fd), A_LONG(length)),
	ROW_OWN(fallocate, HOW_FILE, 0, NULL, A_FD(fd), A_INT(mode), A_LONG(offset), A_LONG(len)),
	ROW_OWN(fsync, HOW_FILE, 0, NULL, A_FD(fd)),
	ROW_OWN(fdatasync, HOW_FILE, 0, NULL, A_FD(fd)),
	ROW_OWN(sync_file_range, HOW_FILE, 0, NULL, A_FD(fd), A_LONG(offset), A_LONG(nbytes),
		A_INT(flags)),
	ROW_OWN(lseek, HOW_FILE, 0, NULL, A_FD(fd), A_LONG(offset), A_INT(whence)),
	ROW_OWN(sendfile, HOW_FILE, WAITS, NULL, A_FD(out_fd), A_FD(in_fd), A_ADDRESS(offset),
		A_LONG(count)),
	ROW_OWN(splice, HOW_FILE, WAITS, NULL, A_FD(fd_in), A_ADDRESS(off_in), A_FD(fd_out),
		A_ADDRESS(off_out), A_LONG(len), A_INT(flags)),
	ROW_OWN(copy_file_range, HOW_FILE, WAITS, NULL, A_FD(fd_in), A_ADDRESS(off_in),
		A_FD(fd_out), A_ADDRESS(off_out), A_LONG(len), A_INT(flags)),
	ROW_HOST(tee, WAITS, A_FD(fd_in), A_FD(fd_out), A_LONG(len), A_INT(flags)),
	ROW_OWN(readahead, HOW_FILE, 0, "of a mapped file into Quire's cache too", A_FD(fd),
		A_LONG(offset), A_LONG(count)),
	ROW_OWN(fadvise64, HOW_FILE, 0,
		"DONTNEED and WILLNEED of a mapped file also in Quire's cache", A_FD(fd),
		A_LONG(offset), A_LONG(len), A_INT(advice)),
};
SYSCALL_FAMILY(file_range_calls, "Files in agreement with mappings", rows);
