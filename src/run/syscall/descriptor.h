/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of the program and of Quire, beside check_fd() and check_new_fd() of table.h.
 */
#ifndef QUIRE_RUN_SYSCALL_DESCRIPTOR_H
#define QUIRE_RUN_SYSCALL_DESCRIPTOR_H

#include "run/syscall/table.h"

/* Descriptors from this number on are not the program's to have. */
uint64_t descriptor_limit(struct thread *thread);
/* close(2) on the host, without any check. */
int64_t close_on_host(struct thread *thread, int64_t fd);
/* What /proc/self/fd says of the descriptor, with a zero; its length or -errno. */
int64_t descriptor_link(int fd, char *target, size_t bytes);
/* Whether the program has opened, by way of /proc/self/fd or map_files, what is Quire's: the object
 * that holds the frames, the swap file, a pipe. */
bool is_quire_object(struct thread *thread, int fd);
/* Two new descriptors for the program, stored at `address`: 0, or -EMFILE, -EFAULT, and both are
 * closed. */
int64_t give_fd_pair(struct thread *thread, uint64_t address, const int pair[2]);
/* After the host opened a file with `flags`: what Quire does about it. The descriptor for the
 * program, or -errno (also when `fd` is one). (open_calls.c) */
int64_t opened(struct thread *thread, int64_t fd, uint64_t flags);

#endif
