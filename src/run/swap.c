/* SPDX-License-Identifier: MIT */
/*
 * The store behind a run's swap (see swap.h).
 */
#include "run/swap.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <quire/file_store.h>
#include <quire/memory_store.h>

/* Space for all of it, where the file system can promise that: a disk that is full is told of now,
 * and not when memory has run out. 0 or -errno. */
static int reserve(int fd, uint64_t bytes)
{
	if (fallocate(fd, 0, 0, (off_t)bytes) == 0 || errno == EOPNOTSUPP)
		return 0;
	return -errno;
}

/* An unnamed file of this size, or -errno. */
static int make_file(const char *path, uint64_t bytes, bool reserved)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (unlink(path) != 0 || ftruncate(fd, (off_t)bytes) != 0)
		error = -errno;
	if (!error && reserved)
		error = reserve(fd, bytes);
	if (error)
		close(fd);
	return error ? error : fd;
}

int swap_store_create(const struct run *run, uint64_t bytes, struct quire_store **store)
{
	const char *path = run->options.swap;
	int error;
	int fd;

	if (strcmp(path, "memory") == 0)
		return quire_memory_store_create(bytes, store);
	fd = make_file(path, bytes, run->options.swap_size != 0);
	if (fd >= 0)
		fd = run_private_fd(run, fd);
	if (fd < 0)
		return fd;
	error = quire_file_store_create(fd, true, QUIRE_FILE_IO_AUTO, store);
	if (error)
		close(fd);
	return error;
}
