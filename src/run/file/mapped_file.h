/* SPDX-License-Identifier: MIT */
/*
 * Files of the host that are mapped, or were, and so have pages in Quire's cache, and how the
 * host's view and the cache are kept the same.
 *
 * The host's file is the truth for its size and for what read() and write() see. The cache holds
 * what was mapped. So before the host reads a range, dirty pages of it are written back; after the
 * host has written one, cached pages of it take the new contents; a change of size reaches the
 * cache at once. A file that has nothing in the cache is not touched at all: finding that out costs
 * one fstat() and a look at a table.
 *
 * Quire's own descriptor of such a file is not closed while the process holds a POSIX lock on it,
 * since closing any descriptor drops a process's locks (fcntl(2)).
 */
#ifndef QUIRE_RUN_FILE_MAPPED_FILE_H
#define QUIRE_RUN_FILE_MAPPED_FILE_H

#include "core/file/address_space.h"
#include "run/run.h"

/*
 * The open file `fd` of the program as a file of the core, for mmap: a regular file, a memfd of
 * Quire's, /dev/zero; what the descriptor may do (O_ACCMODE) decides about the mode. A reference in
 * *file. -EBADF (also O_PATH), -EACCES (no read permission), -ENODEV (cannot be mapped: a pipe, a
 * directory, a device), -ENOMEM, -EMFILE.
 */
QUIRE_MUST_CHECK int mapped_file_get(struct run *run, int fd, struct file **file);
/* The file at a path, for reading: for programs and interpreters. -errno of open(2). */
QUIRE_MUST_CHECK int mapped_file_open(struct run *run, const char *path, struct file **file);

/* The object behind `fd` with a reference when it has, or may have, pages in the cache; or NULL. */
struct inode *mapped_inode(struct run *run, int fd);

/* The host is about to read [offset, offset + bytes): dirty pages of it are written back. 0 or the
 * error of writing. */
QUIRE_MUST_CHECK int mapped_read_begin(struct inode *inode, uint64_t offset, uint64_t bytes);
/* The host is about to write the range, and has written `done` bytes of it (0: nothing, after an
 * error). Between the two no page of the file enters the cache. */
void mapped_write_begin(struct inode *inode, uint64_t offset, uint64_t bytes);
void mapped_write_end(struct inode *inode, uint64_t offset, uint64_t done);
/* The size may have changed on the host: the cache follows, pages beyond the end are unmapped. */
void mapped_size_changed(struct inode *inode);

/* Everything dirty to the host's files. The first error, or 0. */
int mapped_sync_all(struct run *run);

#endif
