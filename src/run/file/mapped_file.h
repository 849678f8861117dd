/* SPDX-License-Identifier: MIT */
/*
 * Files of the host that are mapped, or were, and so have pages in Quire's cache, and how the
 * host's view and the cache are kept the same.
 *
 * The host's file is the truth for its size and for what read() and write() see. The cache holds
 * what was mapped. What the host reads is completed by pages that are newer than the file, or
 * these are written back first; what the host writes reaches the cached pages as well, under locks
 * that keep others from filling the cache meanwhile; a change of size reaches the cache at once.
 * A file that the instance does not know is not touched at all: finding that out costs one fstat()
 * and a look at a tree.
 *
 * Quire's own descriptor of such a file is not closed while the process holds a POSIX lock on it,
 * since closing any descriptor drops a process's locks (fcntl(2)); see run/file/posix_lock.c.
 */
#ifndef QUIRE_RUN_FILE_MAPPED_FILE_H
#define QUIRE_RUN_FILE_MAPPED_FILE_H

#include <sys/stat.h>

#include "core/file/address_space.h"
#include "run/run.h"

#define MAPPED_POSITION_LOCKS 64
#define MAPPED_UNKNOWN_LOCKS 64

struct posix_locked_file;
struct buried_fd;

/*
 * What a run keeps about files of the host.
 *
 * Locks: L = lock of its own, A = atomic.
 */
struct mapped_files {
	/* By the file's identity. Read: the host changes a file that the instance does not know.
	 * Written: such a file gets known. */
	struct rwlock unknown[MAPPED_UNKNOWN_LOCKS];
	/* Of descriptor n % MAPPED_POSITION_LOCKS: its position is found out, used and moved. */
	struct mutex position[MAPPED_POSITION_LOCKS];
	struct mutex lock;
	struct posix_locked_file *locked; /* L: files with POSIX locks of the program */
	struct buried_fd *buried;         /* L: descriptors of such files, not needed any more */
	_Atomic uint32_t nr_locked;       /* written under L */
};

QUIRE_MUST_CHECK int mapped_files_create(struct mapped_files **files);
void mapped_files_destroy(struct mapped_files *files);

/*
 * The open file `fd` of the program as a file of the core, for mmap: a regular file (also a memfd),
 * /dev/zero; what the descriptor may do (O_ACCMODE) decides about the mode. A reference in
 * *file. -EBADF (also O_PATH), -EACCES (no read permission), -ENODEV (cannot be mapped: a pipe, a
 * directory, a device), -ENOMEM, -EMFILE.
 */
QUIRE_MUST_CHECK int mapped_file_get(struct run *run, int fd, struct file **file);
/* The file at a path, for reading: for programs and interpreters. -errno of open(2). */
QUIRE_MUST_CHECK int mapped_file_open(struct run *run, const char *path, struct file **file);

/* The object behind `fd` with a reference when it has, or may have, pages in the cache; or NULL. */
struct inode *mapped_inode(struct run *run, int fd);
struct inode *mapped_inode_at(struct run *run, const struct stat *status);

/* The host is about to read [offset, offset + bytes): dirty pages of it are written back. 0 or the
 * error of writing. */
QUIRE_MUST_CHECK int mapped_read_begin(struct inode *inode, uint64_t offset, uint64_t bytes);

/*
 * A change of a file by the host: `inode` is locked against other changes, and against filling its
 * cache (core/file/bypass.h); NULL when the instance does not know the file, and will not before
 * the end of the change. The host's call should not wait for others in between.
 */
struct mapped_change {
	struct run *run;
	struct inode *inode;
	struct rwlock *unknown; /* held for reading: a regular file that the instance does not know
				 */
};
void mapped_change_begin(struct run *run, const struct stat *status, struct mapped_change *change);
void mapped_change_end(struct mapped_change *change);

/*
 * The same when the host gives the range [offset, offset + bytes) contents that Quire does not see
 * (copy_file_range, clones): what is cached of it is written back and dropped first. 0, or the
 * error of writing (the change is over). After the host's call the cache takes over the size.
 */
QUIRE_MUST_CHECK int mapped_rewrite_begin(struct run *run, int fd, uint64_t offset, uint64_t bytes,
					  struct mapped_change *change);
void mapped_rewrite_end(struct mapped_change *change);

/* ftruncate(fd, size) on the host, the cache following: 0 or -errno. */
int64_t mapped_ftruncate(struct run *run, int fd, int64_t size);
/* truncate(path, size) likewise. */
int64_t mapped_truncate(struct run *run, const char *path, int64_t size);
/* For open(2) with O_TRUNC of a file that was opened without: the file becomes empty as far as
 * O_TRUNC would have made it so. 0 or -errno. */
int64_t mapped_open_truncate(struct run *run, int fd);
/* The host may have changed the size, or anything, by means that Quire does not see. */
void mapped_size_changed(struct inode *inode);

/* fcntl(fd, F_ADD_SEALS, seals): 0 or -errno. */
int64_t mapped_add_seals(struct run *run, int fd, uint32_t seals);

/* A POSIX lock (F_SETLK, F_SETLKW) is about to be taken through `fd`. 0 or -ENOLCK. */
QUIRE_MUST_CHECK int mapped_posix_lock(struct run *run, int fd);
/* The program is about to close `fd`, or to replace it by dup2(2) and its kin. */
void mapped_closed(struct run *run, int fd);

/* Everything dirty to the host's files. The first error, or 0. */
int mapped_sync_all(struct run *run);
/* Gives up files that nobody uses: those that were unlinked or are open for writing, or with `all`
 * every one. How many. */
uint32_t mapped_evict_idle(struct run *run, bool all);

#endif
