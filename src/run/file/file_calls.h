/* SPDX-License-Identifier: MIT */
/*
 * The families of system calls that stand in this folder.
 */
#ifndef QUIRE_RUN_FILE_FILE_CALLS_H
#define QUIRE_RUN_FILE_FILE_CALLS_H

#include "run/syscall/table.h"

extern const struct syscall_family memory_calls;
extern const struct syscall_family read_write_calls;
extern const struct syscall_family file_range_calls;
extern const struct syscall_family shm_calls;

#endif
