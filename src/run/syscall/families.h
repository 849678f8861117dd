/* SPDX-License-Identifier: MIT */
/*
 * The families of system calls that stand in this folder, and those of threads and signals.
 */
#ifndef QUIRE_RUN_SYSCALL_FAMILIES_H
#define QUIRE_RUN_SYSCALL_FAMILIES_H

#include "run/syscall/table.h"

extern const struct syscall_family open_calls;
extern const struct syscall_family path_calls;
extern const struct syscall_family directory_calls;
extern const struct syscall_family xattr_calls;
extern const struct syscall_family descriptor_calls;
extern const struct syscall_family time_calls;
extern const struct syscall_family limit_calls;
extern const struct syscall_family process_calls;
extern const struct syscall_family prctl_calls;
extern const struct syscall_family system_calls;
extern const struct syscall_family ioctl_calls;
extern const struct syscall_family poll_calls;
extern const struct syscall_family socket_calls;
extern const struct syscall_family message_calls;
extern const struct syscall_family ipc_calls;
extern const struct syscall_family mount_calls;
extern const struct syscall_family other_process_calls;
extern const struct syscall_family refused_calls;

/* Of other folders. */
extern const struct syscall_family signal_calls; /* run/signal */
extern const struct syscall_family task_calls;   /* run/task */

#endif
