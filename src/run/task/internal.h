/* SPDX-License-Identifier: MIT */
/*
 * What the files of this room share.
 */
#ifndef QUIRE_RUN_TASK_INTERNAL_H
#define QUIRE_RUN_TASK_INTERNAL_H

#include "run/task/thread.h"

/* A thread that runs nowhere yet; NULL: no memory. */
struct thread *thread_alloc(struct process *process);
void thread_free(struct thread *thread);
/* The calling host thread runs `thread` (NULL: no longer one). */
void set_current_thread(struct thread *thread);
/* One more thread of the process; it must go at once when `parent` must. */
void thread_join_process(struct thread *thread, const struct thread *parent);

/* Asks every other thread of the process to go. False: some could not be told yet. process->lock
 * held. */
bool thread_stop_others(struct process *process, const struct thread *thread);
/* Waits, deaf to everything, for the end of the process. */
_Noreturn void thread_wait_for_end(void);

/* The signal that an exception of the CPU is: 0 when there is none (a spurious one). */
int exception_signal(struct thread *thread, uint32_t vector, int *code, uint64_t *address);

int64_t sys_clone(struct thread *thread, const uint64_t args[6]);
int64_t sys_clone3(struct thread *thread, const uint64_t args[6]);
int64_t sys_fork(struct thread *thread, const uint64_t args[6]);
int64_t sys_vfork(struct thread *thread, const uint64_t args[6]);

#endif
