/* SPDX-License-Identifier: MIT */
/*
 * /proc/self as Quire's truth: maps, smaps, smaps_rollup, pagemap, status, statm, stat, auxv, exe,
 * cmdline, environ, mem, clear_refs, of the process itself (self, thread-self, PID, PID/task/TID).
 * All else of /proc is the host's.
 *
 * A text is made when its file is opened, and the program gets a descriptor of a host object that
 * holds it. mem, pagemap and clear_refs have no contents of their own: their descriptors are of
 * objects that are known by their inode, so that dup, dup2, or a passed descriptor stays what it
 * is, and reads and writes come here.
 */
#ifndef QUIRE_RUN_PROC_PROC_H
#define QUIRE_RUN_PROC_PROC_H

#include "run/task/thread.h"

/*
 * Before an open or another call with a path: the path to use. That is `path` itself, or the
 * program's file when it names /proc/self/exe or its kin.
 */
const char *proc_path(struct thread *thread, const char *path);
/*
 * After a successful open on the host: when it is one of the files above, the host's descriptor is
 * replaced by one with Quire's contents, of the same number, which is returned; otherwise `fd`
 * itself. -errno when that fails; the descriptor is closed then.
 */
int64_t proc_opened(struct thread *thread, int fd, int flags);
/* readlink of /proc/self/exe and its kin: bytes in `buffer`, or -ENOENT when the path is none of
 * them. */
int64_t proc_readlink(struct thread *thread, const char *path, char *buffer, size_t bytes);

/* Whether `fd` is mem, pagemap or clear_refs. Costs nothing as long as none was ever opened. */
bool proc_is_special(struct thread *thread, int fd);
/*
 * read and write on such a descriptor, for `bytes` at `address` of the program. `offset` is the
 * place in the file, or PROC_OFFSET_CURRENT: the descriptor's own, which moves on. Bytes done, or
 * -errno (EFAULT, EIO where there is no memory, EINVAL).
 */
#define PROC_OFFSET_CURRENT UINT64_MAX
int64_t proc_read(struct thread *thread, int fd, uint64_t address, uint64_t bytes, uint64_t offset);
int64_t proc_write(struct thread *thread, int fd, uint64_t address, uint64_t bytes,
		   uint64_t offset);

#endif
