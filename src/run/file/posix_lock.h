/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of Quire's own on files on which the program holds POSIX locks: such a lock goes when
 * the process closes any descriptor of the file (fcntl(2)), so these are buried instead, and closed
 * when the program itself closes a descriptor of the file, which drops its locks anyway.
 */
#ifndef QUIRE_RUN_FILE_POSIX_LOCK_H
#define QUIRE_RUN_FILE_POSIX_LOCK_H

#include "run/file/mapped_file.h"

/* Closes Quire's own descriptor, now or later. */
void posix_lock_close_fd(struct mapped_files *files, int fd);
/* Under files->lock: whether the program may hold a POSIX lock on the file. */
bool posix_locked(const struct mapped_files *files, const struct stat *status);
/* Nothing runs any more: forgets all, closes what is buried. */
void posix_lock_release(struct mapped_files *files);

#endif
