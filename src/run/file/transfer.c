/* SPDX-License-Identifier: MIT */
/*
 * What both kinds of transfers use (run/file/transfer.h).
 */
#include "run/file/transfer.h"

#include <stdlib.h>
#include <sys/syscall.h>

#include "run/user/user.h"

bool transfer_buffer_get(struct transfer_buffer *buffer, uint64_t bytes)
{
	buffer->allocated = NULL;
	buffer->memory = buffer->local;
	if (bytes > sizeof(buffer->local)) {
		buffer->allocated = aligned_alloc(PAGE_SIZE, PAGE_ALIGN(bytes));
		buffer->memory = buffer->allocated;
	}
	return buffer->memory;
}

void transfer_buffer_put(struct transfer_buffer *buffer)
{
	free(buffer->allocated);
}

uint64_t transfer_copy_in(const struct transfer *transfer, void *to, uint64_t bytes)
{
	struct mm_struct *mm = thread_mm(transfer->thread);
	const struct iovec *piece = transfer->piece;
	uint64_t done = 0;

	while (done < bytes) {
		const uint64_t part = min_u64(piece->iov_len, bytes - done);
		const uint64_t copied = copy_some_from_user(
			mm, (char *)to + done, (uint64_t)(uintptr_t)piece->iov_base, part);

		done += copied;
		if (copied < part)
			break;
		piece++;
	}
	return done;
}

uint64_t transfer_copy_out(const struct transfer *transfer, const void *from, uint64_t bytes)
{
	struct mm_struct *mm = thread_mm(transfer->thread);
	const struct iovec *piece = transfer->piece;
	uint64_t done = 0;

	while (done < bytes) {
		const uint64_t part = min_u64(piece->iov_len, bytes - done);
		const uint64_t copied = copy_some_to_user(mm, (uint64_t)(uintptr_t)piece->iov_base,
							  (const char *)from + done, part);

		done += copied;
		if (copied < part)
			break;
		piece++;
	}
	return done;
}

void transfer_advance(struct transfer *transfer, uint64_t bytes)
{
	transfer->done += bytes;
	transfer->left -= bytes;
	if (transfer->offset != OFFSET_CURRENT)
		transfer->offset += (int64_t)bytes;
	while (bytes) {
		const uint64_t part = min_u64(transfer->piece->iov_len, bytes);

		/* As a number: it may be 0 in the program. */
		transfer->piece->iov_base = as_pointer(as_number(transfer->piece->iov_base) + part);
		transfer->piece->iov_len -= part;
		bytes -= part;
		if (!transfer->piece->iov_len && (bytes || transfer->left))
			transfer->piece++;
	}
}

/* The simplest call that does it, as some files know only that. */
static long call_number(const struct transfer *transfer, uint32_t nr)
{
	if (transfer->flags)
		return transfer->write ? SYS_pwritev2 : SYS_preadv2;
	if (transfer->offset != OFFSET_CURRENT) {
		if (nr == 1)
			return transfer->write ? SYS_pwrite64 : SYS_pread64;
		return transfer->write ? SYS_pwritev : SYS_preadv;
	}
	if (nr == 1)
		return transfer->write ? SYS_write : SYS_read;
	return transfer->write ? SYS_writev : SYS_readv;
}

int64_t transfer_host(const struct transfer *transfer, struct iovec *vector, uint32_t nr,
		      bool blocks)
{
	const long number = call_number(transfer, nr);
	uint64_t args[6] = {(uint64_t)transfer->fd,
			    (uint64_t)(uintptr_t)vector,
			    nr,
			    (uint64_t)transfer->offset,
			    0,
			    transfer->flags};

	if (nr == 1 && !transfer->flags) {
		args[1] = (uint64_t)(uintptr_t)vector->iov_base;
		args[2] = vector->iov_len;
	}
	return blocks ? host_syscall_interruptible(transfer->thread, number, args)
		      : host_syscall(number, args);
}
