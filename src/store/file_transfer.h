/* SPDX-License-Identifier: MIT */
/*
 * Shared by file_store.c and file_ring.c: how far a transfer with a host file has come, and what
 * remains.
 *
 * Nothing is allocated for a transfer. Its state lies in request->store: the file store, the bytes
 * moved so far, and the next request in the ring's queue.
 */
#ifndef QUIRE_STORE_FILE_TRANSFER_H
#define QUIRE_STORE_FILE_TRANSFER_H

#include "base/types.h"

#include <quire/store.h>
#include <sys/uio.h>

struct file_ring;

struct file_store {
	struct quire_store base;
	int fd;
	void (*close_fd)(void *context, int fd); /* NULL: close(2) */
	void *close_context;
	struct file_ring *ring; /* NULL: plain transfers */
	/* Bit per direction: the file system can tell which transfers need not wait, and submit()
	 * does those itself. */
	_Atomic uint32_t try_now;
	_Atomic uint32_t under_way; /* requests, and FILE_STORE_CLOSING */
};

#define FILE_STORE_CLOSING (1u << 31)

/* What one system call is to move: the rest of a segment that was cut, or as many whole segments as
 * it takes. */
struct file_piece {
	struct iovec cut;
	const struct iovec *vector;
	int count;
	uint64_t offset;
};

static inline struct file_store *file_store_of(const struct quire_request *request)
{
	return (struct file_store *)(uintptr_t)request->store[0];
}

/* The next piece of an unfinished transfer. `piece` must stay where it is while the piece is used.
 */
void file_transfer_next(const struct quire_request *request, struct file_piece *piece);

/*
 * Takes in what a system call returned (bytes or -errno). True when the transfer is over, and then
 * *result is what `done` gets; false when the next piece is to be moved.
 */
bool file_transfer_advance(struct quire_request *request, int64_t returned, int64_t *result);

/* Moves what remains, waiting for it; returns what `done` gets. */
int64_t file_transfer_plain(struct quire_request *request);

/* Tells the caller; the request and, if it is being closed, the store must not be touched any more.
 */
void file_transfer_end(struct quire_request *request, int64_t result);

/* A share in the one ring of the process, whose descriptor, if it is made now, is above `fd`. 0,
 * -ENOMEM, or why the host refuses. */
QUIRE_MUST_CHECK int file_ring_get(struct file_ring **ring, int fd);
void file_ring_put(struct file_ring *ring);

/* Moves what remains of the transfer through the ring and ends it, now or later. Never fails. */
void file_ring_start(struct file_ring *ring, struct quire_request *request);

#endif
