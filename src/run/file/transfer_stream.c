/* SPDX-License-Identifier: MIT */
/*
 * Transfers with pipes, sockets, terminals and all else that may wait for others: through a buffer.
 * What the program could not take in is not asked for, so that nothing is consumed and lost.
 */
#include <errno.h>

#include "run/file/transfer.h"
#include "run/user/user.h"

/* As much as the largest pipe holds by default. */
#define STREAM_CHUNK ((uint64_t)1 << 20)

/* Bytes from the place of the transfer on that the program's memory can take. */
static uint64_t room(const struct transfer *transfer, uint64_t bytes)
{
	const struct iovec *piece = transfer->piece;
	uint64_t found = 0;

	while (found < bytes) {
		const uint64_t part = min_u64(piece->iov_len, bytes - found);
		const uint64_t good = user_range(thread_mm(transfer->thread),
						 (uint64_t)(uintptr_t)piece->iov_base, part, true);

		found += good;
		if (good < part)
			break;
		piece++;
	}
	return found;
}

static int64_t call_without_buffer(const struct transfer *transfer)
{
	struct iovec vector = {NO_BUFFER, transfer->left};

	return transfer_host(transfer, &vector, 1, true);
}

/* Devices of plain data (zero, random) give as much as they are asked for. */
static bool goes_on(const struct transfer *transfer)
{
	return transfer->left && S_ISCHR(transfer->status->st_mode);
}

static int64_t read_stream(struct transfer *transfer, char *memory, uint64_t bytes)
{
	int64_t result;

	do {
		const uint64_t chunk = room(transfer, min_u64(transfer->left, bytes));
		struct iovec vector = {memory, chunk};
		uint64_t copied;

		if (!chunk)
			return transfer_result(transfer,
					       transfer->done ? 0 : call_without_buffer(transfer));
		result = transfer_host(transfer, &vector, 1, true);
		if (result <= 0)
			break;
		copied = transfer_copy_out(transfer, memory, (uint64_t)result);
		transfer_advance(transfer, copied);
		if (copied < (uint64_t)result)
			return transfer_result(transfer, -EFAULT);
		if ((uint64_t)result < bytes)
			break;
	} while (goes_on(transfer));
	return transfer_result(transfer, result);
}

/* How much is taken where the program's memory ends: nothing of a message, whole pages by a pipe.
 */
static uint64_t part(const struct transfer *transfer, uint64_t copied)
{
	if (S_ISSOCK(transfer->status->st_mode))
		return 0;
	return S_ISFIFO(transfer->status->st_mode) ? PAGE_ALIGN_DOWN(copied) : copied;
}

static int64_t write_stream(struct transfer *transfer, char *memory, uint64_t bytes)
{
	int64_t result;

	do {
		const uint64_t wanted = min_u64(transfer->left, bytes);
		const uint64_t copied = transfer_copy_in(transfer, memory, wanted);
		const uint64_t chunk = copied < wanted ? part(transfer, copied) : wanted;
		struct iovec vector = {memory, chunk};

		if (!chunk)
			return transfer_result(transfer,
					       transfer->done ? 0 : call_without_buffer(transfer));
		result = transfer_host(transfer, &vector, 1, true);
		if (result < 0)
			break;
		transfer_advance(transfer, (uint64_t)result);
		if ((uint64_t)result < wanted)
			break;
	} while (transfer->left);
	return transfer_result(transfer, result);
}

int64_t transfer_stream(struct transfer *transfer)
{
	const uint64_t bytes = min_u64(transfer->left, STREAM_CHUNK);
	struct transfer_buffer buffer;
	int64_t result;

	if (!transfer_buffer_get(&buffer, bytes))
		return -ENOMEM;
	if (transfer->write)
		result = write_stream(transfer, buffer.memory, bytes);
	else
		result = read_stream(transfer, buffer.memory, bytes);
	transfer_buffer_put(&buffer);
	return result;
}
