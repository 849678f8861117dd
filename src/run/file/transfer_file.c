/* SPDX-License-Identifier: MIT */
/*
 * Transfers with regular files and block devices, in agreement with what is mapped of the file
 * (run/file/mapped_file.h).
 *
 * A file that the instance knows goes through a buffer: what is written is then the same in the
 * host's file and in the cache, whatever the program does to its memory meanwhile, and no page of
 * the program need be brought in while the file is locked.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/file/bypass.h"
#include "run/file/mapped_file.h"
#include "run/file/transfer.h"
#include "run/user/user.h"

/* From here on the host gets the program's frames. */
#define DIRECT_BYTES ((uint64_t)16 * 1024)
/* A piece through the buffer; of a known file. */
#define BUFFER_BYTES ((uint64_t)64 * 1024)
#define KNOWN_BYTES ((uint64_t)(BYPASS_PAGES - 1) << PAGE_SHIFT)

#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif

static struct run *run_of(const struct transfer *transfer)
{
	return transfer->thread->process->run;
}

/* Files of /proc and its kin look empty, and some wait for what there is to tell. */
static bool may_wait(const struct transfer *transfer)
{
	return !transfer->write && !transfer->status->st_size;
}

static struct mutex *position_lock(const struct transfer *transfer)
{
	return &run_of(transfer)->files->position[transfer->fd % MAPPED_POSITION_LOCKS];
}

/* Bytes for the buffer: up to a part of the vector that is large enough to go without one. */
static uint64_t buffer_bytes(const struct transfer *transfer, uint64_t limit)
{
	const struct iovec *piece = transfer->piece;
	uint64_t bytes = 0;

	while (bytes < transfer->left && bytes < limit) {
		if (bytes && piece->iov_len >= DIRECT_BYTES)
			break;
		bytes += piece->iov_len;
		piece++;
	}
	return min_u64(bytes, limit);
}

static int64_t call_without_buffer(const struct transfer *transfer)
{
	struct iovec vector = {NO_BUFFER, transfer->left};

	return transfer_host(transfer, &vector, 1, false);
}

/* What the host read goes to the program; where that fails, the descriptor's position goes back. */
static int64_t deliver(struct transfer *transfer, const char *memory, int64_t result)
{
	uint64_t copied;

	if (result <= 0)
		return result;
	copied = transfer_copy_out(transfer, memory, (uint64_t)result);
	if (copied < (uint64_t)result && transfer->offset == OFFSET_CURRENT)
		(void)lseek(transfer->fd, (off_t)copied - (off_t)result, SEEK_CUR);
	return copied ? (int64_t)copied : -EFAULT;
}

/* Some pages are newer than the host's file. */
static int64_t read_newer(struct transfer *transfer, struct inode *inode, struct iovec *vector)
{
	struct bypass_range range = {.inode = inode, .bytes = vector->iov_len};
	const bool current = transfer->offset == OFFSET_CURRENT;
	off_t position = transfer->offset;
	int64_t result;

	if (current) {
		mutex_lock(position_lock(transfer));
		position = lseek(transfer->fd, 0, SEEK_CUR);
	}
	range.offset = (uint64_t)position;
	if (position >= 0 && bypass_read_begin(&range)) {
		result = transfer_host(transfer, vector, 1, false);
		bypass_read_end(&range, vector->iov_base, result > 0 ? (uint64_t)result : 0);
	} else {
		result = transfer_host(transfer, vector, 1, false);
	}
	if (current)
		mutex_unlock(position_lock(transfer));
	return result;
}

static int64_t read_buffered(struct transfer *transfer, struct inode *newer, uint64_t bytes)
{
	struct transfer_buffer buffer;
	struct iovec vector = {.iov_len = bytes};
	int64_t result;

	if (!transfer_buffer_get(&buffer, bytes))
		return -ENOMEM;
	vector.iov_base = buffer.memory;
	if (newer)
		result = read_newer(transfer, newer, &vector);
	else
		result = transfer_host(transfer, &vector, 1, may_wait(transfer));
	result = deliver(transfer, buffer.memory, result);
	transfer_buffer_put(&buffer);
	return result;
}

/* As many as there are frames for: *wanted. */
static int64_t read_direct(struct transfer *transfer, uint64_t *wanted)
{
	struct mm_struct *mm = thread_mm(transfer->thread);
	const uint64_t address = (uint64_t)(uintptr_t)transfer->piece->iov_base;
	struct user_pin pin;
	int64_t result = user_pin(mm, address, transfer->piece->iov_len, true, &pin);

	if (result)
		return result == -EFAULT ? call_without_buffer(transfer) : result;
	*wanted = pin.bytes;
	result = transfer_host(transfer, pin.vector, pin.nr_vectors, may_wait(transfer));
	user_unpin(mm, &pin, result > 0);
	return result;
}

/* One piece: bytes or -errno; *wanted is how many it would be if nothing stops it. */
static int64_t read_piece(struct transfer *transfer, struct inode *inode, uint64_t *wanted)
{
	struct inode *newer = inode && bypass_newer_than_store(inode) ? inode : NULL;

	if (!newer && transfer->piece->iov_len >= DIRECT_BYTES)
		return read_direct(transfer, wanted);
	*wanted =
		newer ? min_u64(transfer->left, KNOWN_BYTES) : buffer_bytes(transfer, BUFFER_BYTES);
	return read_buffered(transfer, newer, *wanted);
}

static bool appends(const struct transfer *transfer)
{
	const int flags = fcntl(transfer->fd, F_GETFL);

	if (transfer->flags & RWF_APPEND)
		return true;
	return flags >= 0 && (flags & O_APPEND) && !(transfer->flags & RWF_NOAPPEND);
}

/* The file is locked for the change. Where the host will write, or -errno. */
static int64_t write_offset(const struct transfer *transfer)
{
	struct stat status;
	off_t position;

	if (appends(transfer))
		return fstat(transfer->fd, &status) == 0 ? status.st_size : -errno;
	if (transfer->offset != OFFSET_CURRENT)
		return transfer->offset;
	position = lseek(transfer->fd, 0, SEEK_CUR);
	return position < 0 ? -errno : position;
}

static int64_t write_known(const struct transfer *transfer, struct inode *inode,
			   struct iovec *vector)
{
	struct bypass_range range = {.inode = inode, .bytes = vector->iov_len};
	int64_t result = write_offset(transfer);

	if (result < 0)
		return result;
	range.offset = (uint64_t)result;
	if (range.bytes > MAX_LFS_FILESIZE - range.offset)
		return transfer_host(transfer, vector, 1, false);
	bypass_write_begin(&range);
	result = transfer_host(transfer, vector, 1, false);
	bypass_write_end(&range, vector->iov_base, result > 0 ? (uint64_t)result : 0);
	return result;
}

/* The position of the descriptor stays what it is from its reading to its moving. */
static int64_t write_vector(const struct transfer *transfer, struct iovec *vector)
{
	struct mapped_change change;
	const bool current = transfer->offset == OFFSET_CURRENT;
	int64_t result;

	if (current)
		mutex_lock(position_lock(transfer));
	mapped_change_begin(run_of(transfer), transfer->status, &change);
	if (change.inode)
		result = write_known(transfer, change.inode, vector);
	else
		result = transfer_host(transfer, vector, 1, false);
	mapped_change_end(&change);
	if (current)
		mutex_unlock(position_lock(transfer));
	return result;
}

static int64_t write_buffered(struct transfer *transfer, uint64_t bytes)
{
	struct transfer_buffer buffer;
	struct iovec vector;
	int64_t result;

	if (!transfer_buffer_get(&buffer, bytes))
		return -ENOMEM;
	vector.iov_base = buffer.memory;
	vector.iov_len = transfer_copy_in(transfer, buffer.memory, bytes);
	if (vector.iov_len)
		result = write_vector(transfer, &vector);
	else
		result = call_without_buffer(transfer);
	transfer_buffer_put(&buffer);
	return result;
}

static int64_t write_direct(struct transfer *transfer, uint64_t *wanted)
{
	struct mm_struct *mm = thread_mm(transfer->thread);
	const uint64_t address = (uint64_t)(uintptr_t)transfer->piece->iov_base;
	struct mapped_change change;
	struct user_pin pin;
	int64_t result = user_pin(mm, address, transfer->piece->iov_len, false, &pin);

	if (result)
		return result == -EFAULT ? call_without_buffer(transfer) : result;
	*wanted = pin.bytes;
	mapped_change_begin(run_of(transfer), transfer->status, &change);
	if (!change.inode)
		result = transfer_host(transfer, pin.vector, pin.nr_vectors, false);
	mapped_change_end(&change);
	user_unpin(mm, &pin, false);
	/* Another thread has just mapped the file. */
	return change.inode ? write_buffered(transfer, *wanted) : result;
}

static int64_t write_piece(struct transfer *transfer, struct inode *inode, uint64_t *wanted)
{
	if (inode) {
		*wanted = min_u64(transfer->left, KNOWN_BYTES);
		return write_buffered(transfer, *wanted);
	}
	if (transfer->piece->iov_len < DIRECT_BYTES) {
		*wanted = buffer_bytes(transfer, BUFFER_BYTES);
		return write_buffered(transfer, *wanted);
	}
	return write_direct(transfer, wanted);
}

int64_t transfer_file(struct transfer *transfer)
{
	int64_t result;
	uint64_t wanted = 0;

	do {
		/* Anew for each piece: another thread may map the file now. */
		struct inode *inode = mapped_inode_at(run_of(transfer), transfer->status);

		if (transfer->write)
			result = write_piece(transfer, inode, &wanted);
		else
			result = read_piece(transfer, inode, &wanted);
		if (inode)
			iput(inode);
		if (result <= 0)
			break;
		transfer_advance(transfer, (uint64_t)result);
	} while (transfer->left && (uint64_t)result == wanted);
	return transfer_result(transfer, result);
}
