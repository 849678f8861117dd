/* SPDX-License-Identifier: MIT */
/*
 * /proc/self as Quire's truth: maps, smaps, smaps_rollup, pagemap, status, statm, stat, auxv, exe,
 * cmdline, environ, comm, mem, clear_refs, of the process itself (self, thread-self, PID,
 * PID/task/TID). All else of /proc is the host's.
 */
#ifndef QUIRE_RUN_PROC_PROC_H
#define QUIRE_RUN_PROC_PROC_H

#include "run/task/thread.h"

/*
 * After a successful open on the host: the descriptor to give to the program. When it is one of the
 * files above, the host's is closed and one with Quire's contents returned in its place (the same
 * number); otherwise `fd` itself. -errno when that fails.
 */
int64_t proc_opened(struct thread *thread, int fd, int flags);
/* readlink of /proc/self/exe and its kin: bytes in `buffer`, or -ENOENT when the path is none of
 * them. */
int64_t proc_readlink(struct thread *thread, const char *path, char *buffer, size_t bytes);
/* Calls on descriptors of mem, pagemap, clear_refs, which have no contents of their own: whether
 * `fd` is one. */
bool proc_is_special(struct thread *thread, int fd);
int64_t proc_read(struct thread *thread, int fd, uint64_t address, uint64_t bytes, uint64_t offset);
int64_t proc_write(struct thread *thread, int fd, uint64_t address, uint64_t bytes,
		   uint64_t offset);
/* Tells that a descriptor was closed or replaced. */
void proc_closed(struct thread *thread, int fd);

#endif
