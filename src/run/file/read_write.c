/* SPDX-License-Identifier: MIT */
/*
 * read(2), write(2) and their kin.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/uio.h>

#include "run/file/file_calls.h"
#include "run/file/transfer.h"
#include "run/proc/proc.h"
#include "run/syscall/rows.h"
#include "run/user/user.h"

/* What one call moves at most. */
#define MAX_RW_COUNT ((uint64_t)INT_MAX & PAGE_MASK)

/* A call as its arguments give it. */
struct rw_call {
	int fd;
	bool write;
	int64_t offset;
	uint32_t flags;
};

/* On a file of /proc/self that Quire serves. */
static int64_t transfer_special(struct transfer *transfer)
{
	int64_t result = 0;

	while (transfer->left) {
		const struct iovec *piece = transfer->piece;
		const uint64_t address = (uint64_t)(uintptr_t)piece->iov_base;
		const uint64_t bytes = piece->iov_len;
		const uint64_t offset = transfer->offset == OFFSET_CURRENT
						? PROC_OFFSET_CURRENT
						: (uint64_t)transfer->offset;

		if (!bytes) {
			transfer->piece++;
			continue;
		}
		result =
			transfer->write
				? proc_write(transfer->thread, transfer->fd, address, bytes, offset)
				: proc_read(transfer->thread, transfer->fd, address, bytes, offset);
		if (result <= 0)
			break;
		transfer_advance(transfer, (uint64_t)result);
		if ((uint64_t)result < bytes)
			break;
	}
	return transfer_result(transfer, result);
}

static int64_t transfer_nothing(struct transfer *transfer)
{
	char nothing;
	struct iovec vector = {&nothing, 0};

	return transfer_host(transfer, &vector, 1, true);
}

static int64_t do_transfer(struct thread *thread, const struct rw_call *call,
			   const struct open_file *file, struct iovec *vector, uint64_t total)
{
	const bool waits_never = thread->never_waits && S_ISFIFO(file->status.st_mode);
	struct transfer transfer = {
		.thread = thread,
		.fd = call->fd,
		.write = call->write,
		.flags = call->flags | (waits_never ? RWF_NOWAIT : 0),
		.status = &file->status,
		.offset = call->offset,
		.piece = vector,
		.left = total,
	};

	if (file->special)
		return transfer_special(&transfer);
	if (!total)
		return transfer_nothing(&transfer);
	if (S_ISREG(file->status.st_mode) || S_ISBLK(file->status.st_mode))
		return transfer_file(&transfer);
	return transfer_stream(&transfer);
}

static int64_t one_buffer(struct thread *thread, const struct rw_call *call, uint64_t address,
			  uint64_t bytes)
{
	const uint64_t task_size = thread_mm(thread)->task_size;
	struct iovec vector = {(void *)(uintptr_t)address, min_u64(bytes, MAX_RW_COUNT)};
	const struct open_file *file;

	/* The descriptor comes before the arguments. */
	if (open_file_get(thread, call->fd, &file))
		return -EBADF;
	if (address > task_size || bytes > task_size - address)
		return -EFAULT;
	return do_transfer(thread, call, file, &vector, vector.iov_len);
}

static int64_t many_buffers(struct thread *thread, const struct rw_call *call, uint64_t address,
			    uint64_t nr)
{
	struct iovec fast[USER_IOV_FAST], *vector;
	const struct open_file *file;
	uint64_t total;
	int64_t result;

	if (open_file_get(thread, call->fd, &file))
		return -EBADF;
	result = import_iovec(thread_mm(thread), address, nr, fast, &vector, &total);
	if (result)
		return result;
	result = do_transfer(thread, call, file, vector, total);
	release_iovec(fast, vector);
	return result;
}

static int64_t sys_read(struct thread *thread, const uint64_t args[6])
{
	const struct rw_call call = {.fd = (int)args[0], .offset = OFFSET_CURRENT};

	return one_buffer(thread, &call, args[1], args[2]);
}

static int64_t sys_write(struct thread *thread, const uint64_t args[6])
{
	const struct rw_call call = {.fd = (int)args[0], .write = true, .offset = OFFSET_CURRENT};

	return one_buffer(thread, &call, args[1], args[2]);
}

static int64_t sys_pread64(struct thread *thread, const uint64_t args[6])
{
	const struct rw_call call = {.fd = (int)args[0], .offset = (int64_t)args[3]};

	return call.offset < 0 ? -EINVAL : one_buffer(thread, &call, args[1], args[2]);
}

static int64_t sys_pwrite64(struct thread *thread, const uint64_t args[6])
{
	const struct rw_call call = {.fd = (int)args[0], .write = true, .offset = (int64_t)args[3]};

	return call.offset < 0 ? -EINVAL : one_buffer(thread, &call, args[1], args[2]);
}

static int64_t sys_readv(struct thread *thread, const uint64_t args[6])
{
	const struct rw_call call = {.fd = (int)args[0], .offset = OFFSET_CURRENT};

	return many_buffers(thread, &call, args[1], args[2]);
}

static int64_t sys_writev(struct thread *thread, const uint64_t args[6])
{
	const struct rw_call call = {.fd = (int)args[0], .write = true, .offset = OFFSET_CURRENT};

	return many_buffers(thread, &call, args[1], args[2]);
}

/* The upper half of the offset is not used on a machine of 64 bits. */
static int64_t sys_preadv(struct thread *thread, const uint64_t args[6])
{
	const struct rw_call call = {.fd = (int)args[0], .offset = (int64_t)args[3]};

	return call.offset < 0 ? -EINVAL : many_buffers(thread, &call, args[1], args[2]);
}

static int64_t sys_pwritev(struct thread *thread, const uint64_t args[6])
{
	const struct rw_call call = {.fd = (int)args[0], .write = true, .offset = (int64_t)args[3]};

	return call.offset < 0 ? -EINVAL : many_buffers(thread, &call, args[1], args[2]);
}

static int64_t sys_preadv2(struct thread *thread, const uint64_t args[6])
{
	const struct rw_call call = {
		.fd = (int)args[0], .offset = (int64_t)args[3], .flags = (uint32_t)args[5]};

	return call.offset < OFFSET_CURRENT ? -EINVAL
					    : many_buffers(thread, &call, args[1], args[2]);
}

static int64_t sys_pwritev2(struct thread *thread, const uint64_t args[6])
{
	const struct rw_call call = {.fd = (int)args[0],
				     .write = true,
				     .offset = (int64_t)args[3],
				     .flags = (uint32_t)args[5]};

	return call.offset < OFFSET_CURRENT ? -EINVAL
					    : many_buffers(thread, &call, args[1], args[2]);
}

/* The pages are copied, so that the program may use them again at once. */
static int64_t sys_vmsplice(struct thread *thread, const uint64_t args[6])
{
	const uint32_t known = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT;
	struct rw_call call = {.fd = (int)args[0], .offset = OFFSET_CURRENT};
	const struct open_file *file;

	if ((uint32_t)args[3] & ~known)
		return -EINVAL;
	if (open_file_get(thread, call.fd, &file) || !S_ISFIFO(file->status.st_mode))
		return -EBADF;
	call.write = (fcntl(call.fd, F_GETFL) & O_ACCMODE) != O_RDONLY;
	if (args[3] & SPLICE_F_NONBLOCK)
		call.flags = RWF_NOWAIT;
	return many_buffers(thread, &call, args[1], args[2]);
}

#define WAITS (SYSCALL_RESTART | SYSCALL_BLOCKS)
#define VECTOR A_ADDRESS(iov), A_LONG(iovcnt)

static const struct syscall_row rows[] = {
	ROW_OWN(read, HOW_FILE, WAITS, NULL, A_FD(fd), A_ADDRESS(buf), A_LONG(count)),
	ROW_OWN(write, HOW_FILE, WAITS, NULL, A_FD(fd), A_ADDRESS(buf), A_LONG(count)),
	ROW_OWN(pread64, HOW_FILE, WAITS, NULL, A_FD(fd), A_ADDRESS(buf), A_LONG(count),
		A_LONG(offset)),
	ROW_OWN(pwrite64, HOW_FILE, WAITS, NULL, A_FD(fd), A_ADDRESS(buf), A_LONG(count),
		A_LONG(offset)),
	ROW_OWN(readv, HOW_FILE, WAITS, NULL, A_FD(fd), VECTOR),
	ROW_OWN(writev, HOW_FILE, WAITS, NULL, A_FD(fd), VECTOR),
	ROW_OWN(preadv, HOW_FILE, WAITS, NULL, A_FD(fd), VECTOR, A_LONG(offset), A_LONG(high)),
	ROW_OWN(pwritev, HOW_FILE, WAITS, NULL, A_FD(fd), VECTOR, A_LONG(offset), A_LONG(high)),
	ROW_OWN(preadv2, HOW_FILE, WAITS, NULL, A_FD(fd), VECTOR, A_LONG(offset), A_LONG(high),
		A_INT(flags)),
	ROW_OWN(pwritev2, HOW_FILE, WAITS, NULL, A_FD(fd), VECTOR, A_LONG(offset), A_LONG(high),
		A_INT(flags)),
	ROW_OWN(vmsplice, HOW_FILE, WAITS, "by copying", A_FD(fd), VECTOR, A_INT(flags)),
};
SYSCALL_FAMILY(read_write_calls, "Reading and writing", rows);
