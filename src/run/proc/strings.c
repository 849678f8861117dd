/* SPDX-License-Identifier: MIT */
/*
 * auxv, cmdline and environ: what stands on the program's stack.
 */
#include <errno.h>

#include "core/call/proc_view.h"
#include "run/proc/text.h"
#include "run/user/user.h"

int proc_auxv(struct thread *thread, pid_t tid, FILE *stream)
{
	struct process *process = thread->process;

	(void)tid;
	pthread_mutex_lock(&process->lock);
	fwrite(process->saved_auxv, sizeof(uint64_t), process->saved_auxv_words, stream);
	pthread_mutex_unlock(&process->lock);
	return 0;
}

/* What the program has put there meanwhile is what is shown, as far as it is still mapped. */
static int print_range(struct thread *thread, uint64_t start, uint64_t end, FILE *stream)
{
	char buffer[PAGE_SIZE];

	while (start < end) {
		uint64_t bytes = min_u64(sizeof(buffer), end - start);

		if (copy_from_user(thread_mm(thread), buffer, start, bytes))
			return 0;
		fwrite(buffer, 1, bytes, stream);
		start += bytes;
	}
	return 0;
}

int proc_cmdline(struct thread *thread, pid_t tid, FILE *stream)
{
	struct mm_view view;

	(void)tid;
	mm_view(thread_mm(thread), &view);
	return print_range(thread, view.arg_start, view.arg_end, stream);
}

int proc_environ(struct thread *thread, pid_t tid, FILE *stream)
{
	struct mm_view view;

	(void)tid;
	mm_view(thread_mm(thread), &view);
	return print_range(thread, view.env_start, view.env_end, stream);
}
