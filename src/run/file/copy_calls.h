/* SPDX-License-Identifier: MIT */
/*
 * Copies between descriptors that the host makes without the program's memory.
 */
#ifndef QUIRE_RUN_FILE_COPY_CALLS_H
#define QUIRE_RUN_FILE_COPY_CALLS_H

#include "run/task/thread.h"

int64_t sys_sendfile(struct thread *thread, const uint64_t args[6]);
int64_t sys_splice(struct thread *thread, const uint64_t args[6]);
int64_t sys_copy_file_range(struct thread *thread, const uint64_t args[6]);

#endif
