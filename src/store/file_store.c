/* SPDX-License-Identifier: MIT */
/*
 * The store of a regular file (quire/file_store.h): its operations, and transfers by plain system
 * calls.
 */
#define _GNU_SOURCE
#include <quire/file_store.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/park.h"
#include "core/file/request.h"
#include "store/file_transfer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

/* A segment is an iovec by another name, so vectors go to the host as they are. */
static_assert(sizeof(struct quire_segment) == sizeof(struct iovec), "segment is no iovec");
static_assert(offsetof(struct quire_segment, memory) == offsetof(struct iovec, iov_base),
	      "segment is no iovec");
static_assert(offsetof(struct quire_segment, bytes) == offsetof(struct iovec, iov_len),
	      "segment is no iovec");

static struct file_store *file_store(const struct quire_store *store)
{
	return (struct file_store *)store;
}

void file_transfer_next(const struct quire_request *request, struct file_piece *piece)
{
	uint64_t moved = request->store[1];
	uint64_t skip = moved;
	uint32_t i = 0;

	/* A segment of no bytes would make a piece of no bytes, which looks like the end of the
	 * file. */
	while (skip >= request->segments[i].bytes)
		skip -= request->segments[i++].bytes;
	piece->offset = request->offset + moved;
	if (skip) {
		piece->cut.iov_base = (char *)request->segments[i].memory + skip;
		piece->cut.iov_len = request->segments[i].bytes - skip;
		piece->vector = &piece->cut;
		piece->count = 1;
	} else {
		uint32_t rest = request->nr_segments - i;

		piece->vector = (const struct iovec *)&request->segments[i];
		piece->count = rest > IOV_MAX ? IOV_MAX : (int)rest;
	}
}

bool file_transfer_advance(struct quire_request *request, int64_t returned, int64_t *result)
{
	if (returned < 0) {
		*result = returned;
		return true;
	}
	if (returned == 0) {
		/* End of file; a write that moves nothing and says no reason would be tried for
		 * ever. */
		*result = request->direction == QUIRE_READ ? (int64_t)request->store[1] : -EIO;
		return true;
	}
	request->store[1] += (uint64_t)returned;
	*result = (int64_t)request->store[1];
	return request->store[1] == request_bytes(request);
}

/* One system call. Bytes or -errno. */
static int64_t move_piece(struct quire_request *request, int flags)
{
	int fd = file_store_of(request)->fd;
	struct file_piece piece;
	ssize_t moved;

	file_transfer_next(request, &piece);
	if (request->direction == QUIRE_READ)
		moved = preadv2(fd, piece.vector, piece.count, (off_t)piece.offset, flags);
	else
		moved = pwritev2(fd, piece.vector, piece.count, (off_t)piece.offset, flags);
	return moved < 0 ? -errno : moved;
}

int64_t file_transfer_plain(struct quire_request *request)
{
	int64_t moved, result;

	do {
		moved = move_piece(request, 0);
		if (moved == -EAGAIN)
			quire_relax(UINT32_MAX);
	} while (moved == -EINTR || moved == -EAGAIN ||
		 !file_transfer_advance(request, moved, &result));
	return result;
}

/*
 * Moves what can be moved without waiting. True when that ended the transfer. Any error is left to
 * the way that waits: it either does not meet it or reports it.
 */
static bool move_without_waiting(struct quire_request *request, int64_t *result)
{
	struct file_store *store = file_store_of(request);
	uint32_t direction = 1u << request->direction;
	int64_t moved;

	if (!(atomic_load_explicit(&store->try_now, memory_order_relaxed) & direction))
		return false;
	do {
		moved = move_piece(request, RWF_NOWAIT);
		if (moved == -EOPNOTSUPP)
			atomic_fetch_and(&store->try_now, ~direction);
		if (moved < 0)
			return false;
	} while (!file_transfer_advance(request, moved, result));
	return true;
}

void file_transfer_end(struct quire_request *request, int64_t result)
{
	struct file_store *store = file_store_of(request);

	request->done(request, result);
	if (atomic_fetch_sub(&store->under_way, 1) == (FILE_STORE_CLOSING | 1))
		quire_unpark(&store->under_way, 1);
}

static int file_submit(struct quire_store *base, struct quire_request *request)
{
	struct file_store *store = file_store(base);
	uint64_t bytes = request_bytes(request);
	int64_t result = 0;

	if (request->direction == QUIRE_WRITE && !base->writable)
		return -EBADF;
	if (request->offset > INT64_MAX || bytes > INT64_MAX - request->offset)
		return request->direction == QUIRE_WRITE ? -EFBIG : -EINVAL;

	request->store[0] = (uint64_t)(uintptr_t)store;
	request->store[1] = 0;
	atomic_fetch_add(&store->under_way, 1);
	if (!bytes || move_without_waiting(request, &result))
		file_transfer_end(request, result);
	else if (store->ring)
		file_ring_start(store->ring, request);
	else
		file_transfer_end(request, file_transfer_plain(request));
	return 0;
}

static int64_t file_size(struct quire_store *base)
{
	struct stat status;

	return fstat(file_store(base)->fd, &status) ? -errno : status.st_size;
}

static int file_resize(struct quire_store *base, uint64_t bytes)
{
	int result;

	if (!base->writable)
		return -EBADF;
	if (bytes > INT64_MAX)
		return -EFBIG;
	do {
		result = ftruncate(file_store(base)->fd, (off_t)bytes) ? -errno : 0;
	} while (result == -EINTR);
	/* The file is regular and open for writing, so this is about the length. */
	return result == -EINVAL ? -EFBIG : result;
}

static int file_discard(struct quire_store *base, uint64_t offset, uint64_t bytes)
{
	int64_t size = file_size(base);
	int result;

	if (!base->writable)
		return -EBADF;
	if (offset > INT64_MAX)
		return -EINVAL;
	if (size < 0)
		return (int)size;

	/* Nothing lies beyond the last page; file systems differ in whether they accept a range
	 * there. */
	uint64_t end = PAGE_ALIGN(size);

	if (!bytes || offset >= end)
		return 0;
	do {
		result = fallocate(file_store(base)->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   (off_t)offset, (off_t)min_u64(bytes, end - offset));
		result = result ? -errno : 0;
	} while (result == -EINTR);
	return result == -ENOSYS ? -EOPNOTSUPP : result;
}

static int file_sync(struct quire_store *base)
{
	int result;

	/* The size is among what fdatasync() makes durable. */
	do {
		result = fdatasync(file_store(base)->fd) ? -errno : 0;
	} while (result == -EINTR);
	return result;
}

static void file_close(struct quire_store *base)
{
	struct file_store *store = file_store(base);
	uint32_t under_way;

	atomic_fetch_or(&store->under_way, FILE_STORE_CLOSING);
	while ((under_way = atomic_load(&store->under_way)) != FILE_STORE_CLOSING)
		quire_park(&store->under_way, under_way);
	if (store->ring)
		file_ring_put(store->ring);
	if (store->close_fd)
		store->close_fd(store->close_context, store->fd);
	else
		close(store->fd);
	quire_free(store);
}

static const struct quire_store_ops file_ops = {
	.name = "file",
	.submit = file_submit,
	.size = file_size,
	.resize = file_resize,
	.discard = file_discard,
	.sync = file_sync,
	.close = file_close,
};

int quire_file_store_create(int fd, bool writable, enum quire_file_io io,
			    struct quire_store **result)
{
	struct stat status;

	if (fstat(fd, &status))
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -EINVAL;

	struct file_store *store = quire_zalloc(sizeof(*store));

	if (!store)
		return -ENOMEM;
	store->base.ops = &file_ops;
	store->base.writable = writable;
	store->fd = fd;
	if (io != QUIRE_FILE_IO_PLAIN) {
		int error = file_ring_get(&store->ring, fd);

		if (error == -ENOMEM || (error && io == QUIRE_FILE_IO_RING)) {
			quire_free(store);
			return error;
		}
	}
	if (store->ring && io == QUIRE_FILE_IO_AUTO)
		store->try_now = 1u << QUIRE_READ | 1u << QUIRE_WRITE;
	*result = &store->base;
	return 0;
}

void quire_file_store_on_close(struct quire_store *base, void (*close_fd)(void *context, int fd),
			       void *context)
{
	struct file_store *store = file_store(base);

	store->close_fd = close_fd;
	store->close_context = context;
}

int quire_file_store_fd(const struct quire_store *store)
{
	return store->ops == &file_ops ? file_store(store)->fd : -1;
}

bool quire_file_store_uses_ring(const struct quire_store *store)
{
	return file_store(store)->ring != NULL;
}
