/* SPDX-License-Identifier: MIT */
/*
 * The store of a regular file on the host.
 *
 * What the host can do at once (its own page cache holds the bytes) is done in submit(), which then
 * calls `done` itself. The rest goes through one io_uring that all file stores of the process
 * share; a thread of ours collects the completions and calls `done`. Where io_uring is refused
 * (seccomp, a sysctl, an old kernel) submit() does the transfer by preadv2(2) and pwritev2(2) and
 * waits.
 *
 * The ring and its thread live from the first store that uses them to the close of the last one. A
 * child made by fork(2) has the ring but not the thread: it must not use file stores that it
 * inherited.
 */
#ifndef QUIRE_FILE_STORE_H
#define QUIRE_FILE_STORE_H

#include <quire/store.h>

#ifdef __cplusplus
extern "C" {
#endif

enum quire_file_io {
	QUIRE_FILE_IO_AUTO,  /* as above */
	QUIRE_FILE_IO_RING,  /* every transfer through io_uring; creating the store fails where that
				is refused */
	QUIRE_FILE_IO_PLAIN, /* no io_uring */
};

/*
 * Makes a store of the open file, which it takes over on success and closes in the end. The file
 * must be open for reading, with `writable` for writing too, and not with O_APPEND.
 *
 * 0 and *store; -EINVAL (not a regular file), -ENOMEM, the error of fstat(2), with
 * QUIRE_FILE_IO_RING also that of io_uring_setup(2).
 */
int quire_file_store_create(int fd, bool writable, enum quire_file_io io,
			    struct quire_store **store);

/* In the end the descriptor is given to `close_fd` instead of close(2). Before the store is used.
 */
void quire_file_store_on_close(struct quire_store *store, void (*close_fd)(void *context, int fd),
			       void *context);

/* The descriptor, or -1: the store is not one of a file. */
int quire_file_store_fd(const struct quire_store *store);

/* Whether the store's transfers may go through io_uring. */
bool quire_file_store_uses_ring(const struct quire_store *store);

#ifdef __cplusplus
}
#endif

#endif
