/* SPDX-License-Identifier: MIT */
/*
 * The call server: a thread of Quire's that answers system calls while the CPU spins, instead of
 * having it exit (machine/kvm/kvm.h), on machines where an exit takes a hundred times as long as a
 * call.
 *
 * It spends a host CPU on waiting, so it works only while calls come thick and fast, and while the
 * program leaves a CPU free; otherwise it sleeps, and nothing is different. It serves only calls
 * that do not wait for others and do not depend on the thread that makes them. With a trace it does
 * not run, since records name their thread.
 */
#ifndef QUIRE_RUN_TASK_CALL_SERVER_H
#define QUIRE_RUN_TASK_CALL_SERVER_H

#include "run/task/thread.h"

/* A system call of the thread has exited: wakes the server when that happens often. On the thread's
 * own host thread, as all of these. */
void call_server_note(struct thread *thread);
/* The thread ends or gives up its CPU: the server does not look at it any more. */
void call_server_forget(struct thread *thread);
/* The thread has parted from what it shared with the process: it and those that it clones are not
 * served again. */
void call_server_part(struct thread *thread);
/* exec: the thread is the only one left, and the mm's mappings have gone. */
void call_server_exec(struct thread *thread);

#endif
