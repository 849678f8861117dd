/* SPDX-License-Identifier: MIT */
/*
 * Which descriptors are the program's: Quire's own lie above all that it may have.
 */
#include "run/syscall/descriptor.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "run/syscall/numbers.h"
#include "run/user/user.h"

/* Shared anonymous memory of the host process, as the links in /proc/self/map_files name it: an
 * arena that is mapped twice. */
#define ARENA_LINK "/dev/zero (deleted)"
/* More numbers than this in a row are never free among Quire's own, or nearly never. */
#define PRIVATE_GAP 256

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

int64_t close_on_host(struct thread *thread, int64_t fd)
{
	int64_t result;

	open_files_close_begin(thread->process);
	result = host_syscall(__NR_close, (const uint64_t[6]){(uint64_t)fd});
	open_files_close_end(thread->process);
	return result;
}

int64_t check_new_fd(struct thread *thread, int64_t fd)
{
	if (fd < 0)
		return fd;
	if ((uint64_t)fd >= descriptor_limit(thread)) {
		close_on_host(thread, fd);
		return -EMFILE;
	}
	open_files_given(thread->process);
	return fd;
}

int64_t give_fd_pair(struct thread *thread, uint64_t address, const int pair[2])
{
	const uint64_t limit = descriptor_limit(thread);
	int64_t error = 0;

	open_files_given(thread->process);
	if ((uint64_t)pair[0] >= limit || (uint64_t)pair[1] >= limit)
		error = -EMFILE;
	else
		error = copy_to_user(thread_mm(thread), address, pair, 2 * sizeof(pair[0]));
	if (error) {
		close_on_host(thread, pair[0]);
		close_on_host(thread, pair[1]);
	}
	return error;
}

int64_t descriptor_link(int fd, char *target, size_t bytes)
{
	char link[32];
	int64_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = host_syscall(__NR_readlink,
			      (const uint64_t[6]){as_number(link), as_number(target), bytes - 1});
	if (length >= 0)
		target[length] = 0;
	return length;
}

static bool host_status(int fd, struct stat *status)
{
	return !host_syscall(__NR_fstat, (const uint64_t[6]){(uint64_t)fd, as_number(status)});
}

/* Whether one of the descriptors from `first` on is of this object, `except` apart. `gap` numbers
 * without any end the search. */
static bool is_open_at(int first, int end, int gap, const struct stat *object, int except)
{
	int missing = 0;

	for (int fd = first; fd < end && missing < gap; fd++) {
		struct stat status;

		if (fd == except || !host_status(fd, &status)) {
			missing++;
			continue;
		}
		missing = 0;
		if (status.st_dev == object->st_dev && status.st_ino == object->st_ino)
			return true;
	}
	return false;
}

bool is_quire_object(struct thread *thread, int fd)
{
	const int base = thread->process->run->fd_base;
	const int limit = (int)descriptor_limit(thread);
	char target[64];
	struct stat status;

	/* This is all that a usual file pays: the objects in question have no name. */
	if (!host_status(fd, &status) ||
	    !(S_ISFIFO(status.st_mode) || (S_ISREG(status.st_mode) && !status.st_nlink)))
		return false;
	if (descriptor_link(fd, target, sizeof(target)) > 0 && !strcmp(target, ARENA_LINK))
		return true;
	/* The program's own unnamed file has a second descriptor of Quire's when it is mapped. */
	return is_open_at(base, INT_MAX, PRIVATE_GAP, &status, fd) &&
	       !is_open_at(0, limit, limit, &status, fd);
}
