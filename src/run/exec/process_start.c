/* SPDX-License-Identifier: MIT */
/*
 * The first program of a run: its process, its thread, and its start.
 */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "run/exec/loader.h"
#include "run/report/report.h"

static bool is_capable(int capability)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	return syscall(SYS_capget, &header, data) == 0 &&
	       data[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability);
}

void process_update_rights(struct process *process)
{
	struct mm_struct *mm = process->mm;

	quire_set_privileged(mm, is_capable(CAP_IPC_LOCK));
	mmap_write_lock(mm);
	mm->may_map_low = is_capable(CAP_SYS_RAWIO);
	mmap_write_unlock(mm);
}

static void set_limits(struct process *process)
{
	static const struct {
		int resource;
		enum quire_limit limit;
	} of_memory[] = {
		{RLIMIT_AS, QUIRE_LIMIT_AS},
		{RLIMIT_DATA, QUIRE_LIMIT_DATA},
		{RLIMIT_STACK, QUIRE_LIMIT_STACK},
		{RLIMIT_MEMLOCK, QUIRE_LIMIT_MEMLOCK},
	};
	const struct run *run = process->run;
	struct rlimit *files = &process->limits[RLIMIT_NOFILE];

	memcpy(process->limits, run->host_limits, sizeof(process->limits));
	for (size_t i = 0; i < ARRAY_SIZE(of_memory); i++) {
		rlim_t bytes = process->limits[of_memory[i].resource].rlim_cur;

		(void)quire_setlimit(process->mm, of_memory[i].limit, bytes);
	}
	files->rlim_cur = min_u64(files->rlim_cur, (uint64_t)run->fd_base);
	files->rlim_max = min_u64(files->rlim_max, (uint64_t)run->fd_base);
	process_update_rights(process);
}

static void destroy_process(struct process *process)
{
	if (process->mm)
		quire_mm_exit(process->mm);
	pthread_cond_destroy(&process->thread_gone);
	pthread_mutex_destroy(&process->lock);
	free(process->exe);
	free(process);
}

static int create_process(struct run *run, const char *path, struct process **created)
{
	const char *slash = strrchr(path, '/');
	struct process *process = calloc(1, sizeof(*process));
	int error;

	if (!process)
		return -ENOMEM;
	process->run = run;
	list_init(&process->threads);
	pthread_mutex_init(&process->lock, NULL);
	pthread_cond_init(&process->thread_gone, NULL);
	if (quire_mm_create(run->quire, slash ? slash + 1 : path, NULL, &process->mm) != 0)
		error = -errno;
	else
		error = signal_init(process);
	if (error) {
		destroy_process(process);
		return error;
	}
	set_limits(process);
	*created = process;
	return 0;
}

int run_program(struct run *run, const char *path, char *const *argv, char *const *envp, char *why,
		size_t why_bytes)
{
	struct program program = {.path = path, .fd = -1, .argv = argv, .envp = envp};
	struct thread *thread;
	bool lost;
	int error = create_process(run, path, &run->process);

	if (!error) {
		error = load_program(run->process, &program, &lost);
		if (!error)
			error = thread_create_first(run->process, &thread);
		if (!error) {
			start_program(thread, &program);
			thread_run(thread);
		}
		destroy_process(run->process);
		run->process = NULL;
	}
	snprintf(why, why_bytes, "%s: %s", path, strerror(-error));
	return error;
}
