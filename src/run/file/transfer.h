/* SPDX-License-Identifier: MIT */
/*
 * One call of the read and write family: from the program's buffers to a descriptor of the host, or
 * back.
 *
 * Small pieces, and all that may wait for others, go through a buffer of Quire's; large pieces of a
 * file go between the host and the program's frames. Pieces follow each other until one comes back
 * short.
 */
#ifndef QUIRE_RUN_FILE_TRANSFER_H
#define QUIRE_RUN_FILE_TRANSFER_H

#include <sys/stat.h>
#include <sys/uio.h>

#include "run/task/thread.h"

/* A host call with no buffer that could be used: it answers what comes before the buffer is looked
 * at, or EFAULT, and leaves the file as such a buffer leaves it. In the first page, which no
 * process maps. */
#define NO_BUFFER ((void *)(uintptr_t)8)

#define OFFSET_CURRENT ((int64_t)-1)

/* Belongs to one call. */
struct transfer {
	struct thread *thread;
	int fd;
	bool write;
	uint32_t flags;            /* RWF_* */
	int64_t offset;            /* in the file, or OFFSET_CURRENT */
	const struct stat *status; /* open_file_get() of fd */
	struct iovec *piece;       /* where the program's buffers go on */
	uint64_t left;             /* bytes in them */
	uint64_t done;
};

/* A buffer on the stack or, when that is too small, from the heap, page-aligned. */
struct transfer_buffer {
	char *memory;
	char *allocated;
	char local[8192] __attribute__((aligned(4096)));
};
/* False: no memory. */
bool transfer_buffer_get(struct transfer_buffer *buffer, uint64_t bytes);
void transfer_buffer_put(struct transfer_buffer *buffer);

/* Copies between the buffer and the program, from the place where the transfer stands, which does
 * not move: bytes, fewer where the program has no memory. */
uint64_t transfer_copy_in(const struct transfer *transfer, void *to, uint64_t bytes);
uint64_t transfer_copy_out(const struct transfer *transfer, const void *from, uint64_t bytes);
/* So many bytes are done. */
void transfer_advance(struct transfer *transfer, uint64_t bytes);
/* The host's call for the transfer's place with a host vector. `blocks`: it may wait for others. */
int64_t transfer_host(const struct transfer *transfer, struct iovec *vector, uint32_t nr,
		      bool blocks);
/* Bytes that were done, or, if none were, `result`. */
static inline int64_t transfer_result(const struct transfer *transfer, int64_t result)
{
	return transfer->done ? (int64_t)transfer->done : result;
}

/* The whole transfer, of a file that has contents of its own (transfer_file.c), or of anything else
 * (transfer_stream.c). Bytes, or -errno. */
int64_t transfer_file(struct transfer *transfer);
int64_t transfer_stream(struct transfer *transfer);

#endif
