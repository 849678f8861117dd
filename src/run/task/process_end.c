/* SPDX-License-Identifier: MIT */
/*
 * The end of a process: what is dirty goes to its files, the report is written, and the host
 * process ends as the program does.
 */
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "run/file/mapped_file.h"
#include "run/report/report.h"
#include "run/report/trace.h"
#include "run/task/internal.h"

/* The first caller ends the process. */
static void begin_end(struct process *process)
{
	int none = 0;

	if (!atomic_compare_exchange_strong_explicit(&process->ending, &none, 1,
						     memory_order_acq_rel, memory_order_acquire)) {
		struct thread *thread = current_thread();

		if (thread)
			signal_thread_end(thread);
		thread_wait_for_end();
	}
	pthread_mutex_lock(&process->lock);
	/* One that cannot be told ends with the process all the same. */
	(void)thread_stop_others(process, current_thread());
	pthread_cond_broadcast(&process->thread_gone);
	pthread_mutex_unlock(&process->lock);
}

static void finish(struct run *run, int wait_status)
{
	int error = mapped_sync_all(run);

	if (error)
		fprintf(stderr, "quire: writing back mapped files: %s\n", strerror(-error));
	/* Both say what went wrong; the program's end stays what it is. */
	(void)report_finish(run, wait_status);
	(void)trace_finish(run->trace);
}

/* By the signal itself, without a core file: it would be Quire's, not the program's. */
_Noreturn static void die_by(int signal)
{
	const struct rlimit no_core = {0};

	(void)setrlimit(RLIMIT_CORE, &no_core);
	(void)prctl(PR_SET_DUMPABLE, 0);
	signal_reset_for_end(signal);
	(void)tgkill(getpid(), gettid(), signal);
	/* The first process of a PID namespace survives its own signals. */
	_exit(128 + signal);
}

_Noreturn void process_end(struct process *process, int status, int signal)
{
	begin_end(process);
	/* A second Ctrl-C or SIGTERM does not wait for a device that hangs. */
	signal_reset_for_end(0);
	finish(process->run, signal ? signal : (status & 0xff) << 8);
	if (signal)
		die_by(signal);
	_exit(status & 0xff);
}
