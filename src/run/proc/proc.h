/* SPDX-License-Identifier: MIT */
/*
 * /proc/self as Quire's truth: maps, smaps, smaps_rollup, pagemap, status, statm, stat, auxv, exe,
 * cmdline, environ, limits, mem, clear_refs, of the process itself (self, thread-self, PID,
 * PID/task/TID). Threads of Quire's own are not there. All else of /proc is the host's.
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
 * Before an open or another call with a path: the path to use. That is `path` itself, the program's
 * file when it names /proc/self/exe or its kin, or one where nothing is when it leads to a thread
 * of Quire's own.
 */
const char *proc_path(struct thread *thread, const char *path);
/*
 * After a successful open on the host: when it is one of the files above, the host's descriptor is
 * replaced by one with Quire's contents, of the same number, which is returned; otherwise `fd`
 * itself. -errno when that fails, or for what is in the directory of a thread of Quire's own
 * (ENOENT); the descriptor is closed then.
 */
int64_t proc_opened(struct thread *thread, int fd, int flags);
/* readlink of /proc/self/exe and its kin, and of thread-self: bytes in `buffer`; 0 when the path is
 * none of them; -ENOENT when it leads to a thread of Quire's own. */
int64_t proc_readlink(struct thread *thread, const char *path, char *buffer, size_t bytes);

/* Directories of the process that also list what is Quire's own. */
enum proc_directory {
	PROC_DIRECTORY_OTHER,
	PROC_DIRECTORY_FD, /* and fdinfo */
	PROC_DIRECTORY_TASK,
	PROC_DIRECTORY_MAP_FILES,
};
enum proc_directory proc_directory_kind(struct thread *thread, int fd);
/* Whether a thread of the host process is none of the program's. */
bool proc_hides_thread(struct thread *thread, pid_t tid);
/* What stat says of a directory: when it is that of the process's threads, its links are those of
 * the program's. */
void proc_correct_links(struct thread *thread, dev_t device, ino_t inode, uint64_t *links);

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
