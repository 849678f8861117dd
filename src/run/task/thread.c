/* SPDX-License-Identifier: MIT */
/*
 * A thread from its start to its end: the host thread, its CPU, its place in the process.
 *
 * The process's first host thread carries the process's identity on the host, so it never ends
 * before the process: when the program's first thread is over, it waits. After an exec by another
 * thread it runs what is left, so that the new program's thread has the process's number, as on
 * Linux.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/park.h"
#include "run/report/report.h"
#include "run/task/call_server.h"
#include "run/task/futex.h"
#include "run/task/internal.h"
#include "run/user/user.h"

static _Thread_local struct thread *current QUIRE_FAST_TLS;

QUIRE_IN_SIGNAL_HANDLER struct thread *current_thread(void)
{
	return current;
}

void set_current_thread(struct thread *thread)
{
	current = thread;
}

struct thread *thread_alloc(struct process *process)
{
	struct thread *thread = calloc(1, sizeof(*thread));

	if (!thread)
		return NULL;
	thread->host_stack = malloc(HOST_SIGNAL_STACK);
	if (!thread->host_stack) {
		free(thread);
		return NULL;
	}
	thread->process = process;
	thread->syscall = -1;
	list_init(&thread->list);
	return thread;
}

void thread_free(struct thread *thread)
{
	free(thread->host_stack);
	free(thread);
}

void thread_join_process(struct thread *thread, const struct thread *parent)
{
	struct process *process = thread->process;
	bool must_exit;

	pthread_mutex_lock(&process->lock);
	must_exit = atomic_load_explicit(&process->ending, memory_order_acquire) ||
		    (parent && atomic_load_explicit(&parent->must_exit, memory_order_acquire));
	atomic_store_explicit(&thread->must_exit, must_exit, memory_order_release);
	list_add_tail(&thread->list, &process->threads);
	process->nr_threads++;
	pthread_mutex_unlock(&process->lock);
	atomic_fetch_add_explicit(&process->run->report->threads, 1, memory_order_relaxed);
}

int thread_create_first(struct process *process, struct thread **thread)
{
	struct thread *first = thread_alloc(process);
	int error;

	if (!first)
		return -ENOMEM;
	first->tid = gettid();
	error = kvm_cpu_create(process->run->machine, &first->cpu);
	if (error) {
		thread_free(first);
		return error;
	}
	kvm_cpu_switch(first->cpu, process->mm);
	pthread_cond_init(&process->succession, NULL);
	thread_join_process(first, NULL);
	set_current_thread(first);
	signal_thread_start(first, NULL);
	*thread = first;
	return 0;
}

_Noreturn void thread_wait_for_end(void)
{
	for (;;)
		pause();
}

/* On the process's first host thread, whose thread is over. */
_Noreturn static void wait_for_succession(struct process *process)
{
	struct thread *thread;

	pthread_mutex_lock(&process->lock);
	while (!process->successor)
		pthread_cond_wait(&process->succession, &process->lock);
	thread = process->successor;
	process->successor = NULL;
	pthread_mutex_unlock(&process->lock);
	thread->tid = gettid();
	thread->end = NULL;
	set_current_thread(thread);
	signal_thread_start(thread, thread);
	thread_run(thread);
}

/* The host thread is done with its thread. */
_Noreturn static void leave(struct process *process, jmp_buf *end)
{
	if (end)
		longjmp(*end, 1);
	wait_for_succession(process);
}

static void release_cpu(struct thread *thread)
{
	struct kvm_cpu *cpu = thread->cpu;

	call_server_forget(thread);
	thread->cpu = NULL;
	kvm_cpu_switch(cpu, NULL);
	kvm_cpu_destroy(cpu);
}

static void clear_child_tid(struct thread *thread)
{
	const uint32_t none = 0;

	if (!thread->clear_child_tid)
		return;
	/* The word may be gone, and then nobody waits. */
	if (copy_to_user(thread_mm(thread), thread->clear_child_tid, &none, sizeof(none)) == 0)
		futex_wake(thread, thread->clear_child_tid, 1);
}

_Noreturn void thread_exit(struct thread *thread, int status)
{
	struct process *process = thread->process;
	jmp_buf *end = thread->end;
	bool last;

	signal_thread_end(thread);
	futex_exit_robust_list(thread);
	release_cpu(thread);
	clear_child_tid(thread);
	set_current_thread(NULL);

	pthread_mutex_lock(&process->lock);
	list_del(&thread->list);
	last = --process->nr_threads == 0;
	if (!end)
		process->leader_status = status;
	status = process->leader_status;
	pthread_cond_broadcast(&process->thread_gone);
	pthread_mutex_unlock(&process->lock);
	thread_free(thread);
	if (last)
		process_end(process, status, 0);
	leave(process, end);
}

bool thread_stop_others(struct process *process, const struct thread *thread)
{
	struct thread *other;
	bool all_told = true;

	list_for_each_entry (other, &process->threads, list) {
		if (other == thread)
			continue;
		atomic_store_explicit(&other->must_exit, true, memory_order_release);
		all_told &= signal_wake(other);
	}
	return all_told;
}

/* Until the number of threads changes, or for a moment. process->lock held. */
static void wait_for_others(struct process *process, bool all_told)
{
	struct timespec moment;

	if (all_told) {
		pthread_cond_wait(&process->thread_gone, &process->lock);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &moment);
	moment.tv_sec++;
	pthread_cond_timedwait(&process->thread_gone, &process->lock, &moment);
}

int thread_kill_others(struct thread *thread)
{
	struct process *process = thread->process;
	bool all_told;
	int error = 0;

	pthread_mutex_lock(&process->lock);
	if (atomic_load_explicit(&thread->must_exit, memory_order_acquire)) {
		pthread_mutex_unlock(&process->lock);
		return -EINTR;
	}
	all_told = thread_stop_others(process, thread);
	while (process->nr_threads > 1 && !error) {
		wait_for_others(process, all_told);
		if (!all_told)
			all_told = thread_stop_others(process, thread);
		if (atomic_load_explicit(&process->ending, memory_order_acquire))
			error = -EINTR;
	}
	thread->succeeds = !error && thread->end;
	pthread_mutex_unlock(&process->lock);
	return error;
}

/* Exec's thread leaves its host thread to the first one of the process, which waits for it. */
_Noreturn static void hand_over(struct thread *thread)
{
	struct process *process = thread->process;
	jmp_buf *end = thread->end;

	signal_block_all();
	set_current_thread(NULL);
	pthread_mutex_lock(&process->lock);
	thread->succeeds = false;
	process->successor = thread;
	pthread_cond_signal(&process->succession);
	pthread_mutex_unlock(&process->lock);
	longjmp(*end, 1);
}

void thread_look_around(struct thread *thread)
{
	if (unlikely(atomic_load_explicit(&thread->must_exit, memory_order_acquire))) {
		if (!atomic_load_explicit(&thread->process->ending, memory_order_acquire))
			thread_exit(thread, 0);
		signal_thread_end(thread);
		thread_wait_for_end();
	}
	if (unlikely(thread->succeeds))
		hand_over(thread);
}
