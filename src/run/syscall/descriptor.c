/* SPDX-License-Identifier: MIT */
/*
 * Which descriptors are the program's: Quire's own lie above all that it may have.
 */
#include "run/syscall/descriptor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "run/syscall/numbers.h"
#include "run/user/user.h"

int check_fd(const struct thread *thread, int fd)
{
	return run_fd_is_private(thread->process->run, fd) ? -EBADF : 0;
}

uint64_t descriptor_limit(struct thread *thread)
{
	struct process *process = thread->process;
	uint64_t limit;

	pthread_mutex_lock(&process->lock);
	limit = process->limits[RLIMIT_NOFILE].rlim_cur;
	pthread_mutex_unlock(&process->lock);
	return min_u64(limit, (uint64_t)process->run->fd_base);
}

int64_t close_on_host(int64_t fd)
{
	return host_syscall(__NR_close, (const uint64_t[6]){(uint64_t)fd});
}

int64_t check_new_fd(struct thread *thread, int64_t fd)
{
	if (fd < 0 || (uint64_t)fd < descriptor_limit(thread))
		return fd;
	close_on_host(fd);
	return -EMFILE;
}

int64_t give_fd_pair(struct thread *thread, uint64_t address, const int pair[2])
{
	const uint64_t limit = descriptor_limit(thread);
	int64_t error = 0;

	if ((uint64_t)pair[0] >= limit || (uint64_t)pair[1] >= limit)
		error = -EMFILE;
	else
		error = copy_to_user(thread_mm(thread), address, pair, 2 * sizeof(pair[0]));
	if (error) {
		close_on_host(pair[0]);
		close_on_host(pair[1]);
	}
	return error;
}

int64_t descriptor_link(int fd, char *target, size_t bytes)
{
	char link[32];
	int64_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = host_syscall(__NR_readlink,
			      (const uint64_t[6]){(uint64_t)(uintptr_t)link,
						  (uint64_t)(uintptr_t)target, bytes - 1});
	if (length >= 0)
		target[length] = 0;
	return length;
}

bool is_quire_memory(int fd)
{
	static const char prefix[] = "/memfd:" QUIRE_MEMORY_NAME;
	char target[64];
	struct stat status;

	/* Only an object without a name in any directory can be one: this is all that a usual file
	 * pays. */
	if (host_syscall(__NR_fstat,
			 (const uint64_t[6]){(uint64_t)fd, (uint64_t)(uintptr_t)&status}))
		return false;
	if (!S_ISREG(status.st_mode) || status.st_nlink)
		return false;
	return descriptor_link(fd, target, sizeof(target)) < 0 ||
	       !strncmp(target, prefix, sizeof(prefix) - 1);
}
