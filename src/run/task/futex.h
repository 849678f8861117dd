/* SPDX-License-Identifier: MIT */
/*
 * Futexes on the program's memory, kept by Quire: a private one is known by (mm, address), a shared
 * one by (object, offset). Operations: WAIT, WAKE, WAIT_BITSET, WAKE_BITSET, REQUEUE, CMP_REQUEUE,
 * WAKE_OP, with PRIVATE and CLOCK_REALTIME flags; those with priority inheritance answer ENOSYS.
 */
#ifndef QUIRE_RUN_TASK_FUTEX_H
#define QUIRE_RUN_TASK_FUTEX_H

#include "run/task/thread.h"

/* futex(2) with its six arguments: a value, or -errno. */
int64_t do_futex(struct thread *thread, const uint64_t args[6]);
/* Wakes up to `nr` waiters on the word at `address`, private and shared. For the end of a thread.
 */
void futex_wake(struct thread *thread, uint64_t address, uint32_t nr);
/* Walks the robust list of a thread that ends and marks what it held (get_robust_list(2)). */
void futex_exit_robust_list(struct thread *thread);

#endif
