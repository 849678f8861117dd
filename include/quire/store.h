/* SPDX-License-Identifier: MIT */
/*
 * store.h - what Quire asks of a backing store: the bytes behind a file, or behind a swap area.
 *
 * A store is a flat array of bytes. Quire reads and writes it in whole pages except at the end of a
 * file; it never has two requests under way that overlap in bytes with at least one of them a
 * write. Requests that do not overlap may be under way at the same time, from any thread, and may
 * complete in any order.
 *
 * A store embeds struct quire_store as its first member and sets `ops`. All functions are
 * thread-safe.
 */
#ifndef QUIRE_STORE_H
#define QUIRE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quire_store;
struct quire_request;

enum quire_direction {
	QUIRE_READ,
	QUIRE_WRITE
};

/* A piece of memory. `bytes` is a multiple of 4096 except, for a file's last page, in the last
 * segment. */
struct quire_segment {
	void *memory;
	size_t bytes;
};

/*
 * One transfer between consecutive bytes of the store and a vector of memory. The caller owns the
 * request and its segments, and keeps both until `done` was called.
 */
struct quire_request {
	enum quire_direction direction;
	uint64_t offset; /* bytes from the start of the store */
	struct quire_segment *segments;
	uint32_t nr_segments;
	/*
	 * Called exactly once for each request whose submission succeeded, on any thread, possibly
	 * before submit() returns; must not block. `result` is the number of bytes transferred, or
	 * -errno when nothing useful was. A read that is short met the end of the store, and the
	 * rest of the memory is untouched; a write is short only with an error behind it (no space,
	 * say), and the store must then report the error instead of the count.
	 */
	void (*done)(struct quire_request *request, int64_t result);
	void *context;     /* the caller's */
	uint64_t store[4]; /* the store's own use while the request is under way */
};

struct quire_store_ops {
	const char *name;

	/* Starts the transfer. 0, or -errno (EIO, EBADF, ENOSPC, ENOMEM, ...) and `done` is not
	 * called. */
	int (*submit)(struct quire_store *store, struct quire_request *request);

	/* Size in bytes, or -errno. */
	int64_t (*size)(struct quire_store *store);

	/* Sets the size; bytes beyond the old end read as zero. 0 or -errno (EFBIG, ENOSPC, EROFS,
	 * EBADF). */
	int (*resize)(struct quire_store *store, uint64_t bytes);

	/*
	 * Makes the range read as zero and gives its space back where the store can. 0, or -errno:
	 * EOPNOTSUPP when the store cannot, and then nothing has changed.
	 */
	int (*discard)(struct quire_store *store, uint64_t offset, uint64_t bytes);

	/* Returns when all completed writes are durable. 0 or -errno. */
	int (*sync)(struct quire_store *store);

	/*
	 * Waits for all requests under way, then frees the store. Never fails: what must be durable
	 * was synced before.
	 */
	void (*close)(struct quire_store *store);
};

struct quire_store {
	const struct quire_store_ops *ops;
	bool writable; /* fixed at creation */
};

#ifdef __cplusplus
}
#endif

#endif
