/* SPDX-License-Identifier: MIT */
/*
 * Which files the program has locked, and the descriptors that wait for their end
 * (run/file/posix_lock.h).
 */
#include "run/file/posix_lock.h"

#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"

struct posix_locked_file {
	struct posix_locked_file *next;
	dev_t dev;
	ino_t ino;
};

struct buried_fd {
	struct buried_fd *next;
	dev_t dev;
	ino_t ino;
	int fd;
};

bool posix_locked(const struct mapped_files *files, const struct stat *status)
{
	const struct posix_locked_file *file = files->locked;

	while (file && (file->dev != status->st_dev || file->ino != status->st_ino))
		file = file->next;
	return file;
}

int mapped_posix_lock(struct run *run, int fd)
{
	struct mapped_files *files = run->files;
	struct posix_locked_file *file;
	struct stat status;
	int error = 0;

	if (fstat(fd, &status) != 0)
		return -errno;
	mutex_lock(&files->lock);
	if (!posix_locked(files, &status)) {
		file = quire_zalloc(sizeof(*file));
		if (file) {
			file->dev = status.st_dev;
			file->ino = status.st_ino;
			file->next = files->locked;
			files->locked = file;
			atomic_fetch_add_explicit(&files->nr_locked, 1, memory_order_relaxed);
		} else {
			error = -ENOLCK;
		}
	}
	mutex_unlock(&files->lock);
	return error;
}

/* Under L. */
static void forget_locked(struct mapped_files *files, const struct stat *status)
{
	struct posix_locked_file **link = &files->locked;

	while (*link) {
		struct posix_locked_file *file = *link;

		if (file->dev != status->st_dev || file->ino != status->st_ino) {
			link = &file->next;
			continue;
		}
		*link = file->next;
		quire_free(file);
		atomic_fetch_sub_explicit(&files->nr_locked, 1, memory_order_relaxed);
	}
}

/* Under L: closes what is buried of the file (NULL: of all files). */
static void exhume(struct mapped_files *files, const struct stat *status)
{
	struct buried_fd **link = &files->buried;

	while (*link) {
		struct buried_fd *buried = *link;

		if (status && (buried->dev != status->st_dev || buried->ino != status->st_ino)) {
			link = &buried->next;
			continue;
		}
		*link = buried->next;
		close(buried->fd);
		quire_free(buried);
	}
}

void mapped_closed(struct run *run, int fd)
{
	struct mapped_files *files = run->files;
	struct stat status;

	if (!atomic_load_explicit(&files->nr_locked, memory_order_relaxed) ||
	    fstat(fd, &status) != 0)
		return;
	mutex_lock(&files->lock);
	if (posix_locked(files, &status)) {
		exhume(files, &status);
		forget_locked(files, &status);
	}
	mutex_unlock(&files->lock);
}

/* Under L. Without memory to remember it by, the descriptor just stays open. */
static void bury(struct mapped_files *files, const struct stat *status, int fd)
{
	struct buried_fd *buried = quire_zalloc(sizeof(*buried));

	if (!buried)
		return;
	buried->fd = fd;
	buried->dev = status->st_dev;
	buried->ino = status->st_ino;
	buried->next = files->buried;
	files->buried = buried;
}

void posix_lock_close_fd(struct mapped_files *files, int fd)
{
	struct stat status;

	mutex_lock(&files->lock);
	if (files->locked && fstat(fd, &status) == 0 && posix_locked(files, &status))
		bury(files, &status, fd);
	else
		close(fd);
	mutex_unlock(&files->lock);
}

void posix_lock_release(struct mapped_files *files)
{
	exhume(files, NULL);
	while (files->locked) {
		struct posix_locked_file *file = files->locked;

		files->locked = file->next;
		quire_free(file);
	}
}
