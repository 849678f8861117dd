/* SPDX-License-Identifier: MIT */
/*
 * File descriptors of the soft machine: regular files of the host become files of Quire over a
 * file store; /dev/zero is Quire's own; anything else is left to the host and cannot be mapped.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "tools/shell/memory.h"
#include "tools/shell/soft_task.h"

#include <quire/file_store.h>

struct soft_descriptor *soft_descriptor(struct shell_task *task, int fd)
{
	if (fd < 0 || (size_t)fd >= task->descriptor_count || !task->descriptors[fd].used)
		return NULL;
	return &task->descriptors[fd];
}

/* The lowest number that is free, as the kernel does. */
static int install(struct shell_task *task, quire_file *file, int host)
{
	size_t fd = 0;

	while (fd < task->descriptor_count && task->descriptors[fd].used)
		fd++;
	if (fd == task->descriptor_count)
		task->descriptors = shell_reallocate(
			task->descriptors, ++task->descriptor_count * sizeof(*task->descriptors));
	task->descriptors[fd] = (struct soft_descriptor){file, host, true};
	return (int)fd;
}

static void release(struct soft_descriptor *descriptor)
{
	if (descriptor->file)
		quire_close(descriptor->file);
	if (descriptor->host >= 0)
		close(descriptor->host);
	*descriptor = (struct soft_descriptor){NULL, -1, false};
}

void soft_descriptors_copy(struct shell_task *child, const struct shell_task *parent)
{
	child->descriptor_count = parent->descriptor_count;
	child->descriptors = shell_allocate(parent->descriptor_count * sizeof(*child->descriptors));
	for (size_t i = 0; i < parent->descriptor_count; i++) {
		const struct soft_descriptor *from = &parent->descriptors[i];
		struct soft_descriptor *to = &child->descriptors[i];

		*to = *from;
		if (from->file)
			to->file = quire_file_get(from->file);
		if (from->host >= 0)
			to->host = fcntl(from->host, F_DUPFD_CLOEXEC, 0);
	}
}

void soft_descriptors_close(struct shell_task *task)
{
	for (size_t i = 0; i < task->descriptor_count; i++)
		if (task->descriptors[i].used)
			release(&task->descriptors[i]);
	free(task->descriptors);
	task->descriptors = NULL;
	task->descriptor_count = 0;
}

/* A file of Quire over a regular file that was opened with `flags`; takes over `fd`. */
static quire_file *open_regular(struct quire *quire, const char *path, const struct stat *status,
				int fd, int flags)
{
	int access = flags & O_ACCMODE;
	int mode = access == O_RDONLY   ? QUIRE_O_READ
		   : access == O_WRONLY ? QUIRE_O_WRITE
					: QUIRE_O_READ | QUIRE_O_WRITE;
	const char *slash = strrchr(path, '/');
	struct quire_store *store;
	quire_file *file;
	int error;

	error = quire_file_store_create(fd, access != O_RDONLY, QUIRE_FILE_IO_PLAIN, &store);
	if (error) {
		close(fd);
		errno = -error;
		return NULL;
	}
	if (quire_open(quire, slash ? slash + 1 : path, status->st_dev, status->st_ino, store, mode,
		       &file) != 0) {
		error = errno;
		store->ops->close(store);
		errno = error;
		return NULL;
	}
	return file;
}

static bool is_dev_zero(const struct stat *status)
{
	return S_ISCHR(status->st_mode) && status->st_rdev == makedev(1, 5);
}

/* What the kernel makes up as it is read (/proc, /sys) has no pages, though it is called regular.
 */
static bool has_pages(const struct stat *status, int fd)
{
	struct statfs filesystem;

	return S_ISREG(status->st_mode) && fstatfs(fd, &filesystem) == 0 &&
	       filesystem.f_type != PROC_SUPER_MAGIC && filesystem.f_type != SYSFS_MAGIC;
}

/* The store reads pages of what is only written, so the host must open for both. */
static int reopen_for_store(const char *path, int fd, int flags)
{
	int both;

	if ((flags & O_ACCMODE) != O_WRONLY)
		return fd;
	both = open(path, O_RDWR | O_CLOEXEC);
	close(fd);
	return both;
}

/* O_TRUNC must go through Quire's page cache. For a descriptor that cannot write, by another one
 * that can. */
static int truncate_opened(struct quire *quire, const char *path, quire_file *file, int flags)
{
	struct stat status;
	int fd, truncated;

	if ((flags & O_ACCMODE) != O_RDONLY)
		return quire_ftruncate(file, 0);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) != 0)
		return -1;
	file = open_regular(quire, path, &status, fd, O_RDWR);
	if (!file)
		return -1;
	truncated = quire_ftruncate(file, 0);
	quire_close(file);
	return truncated;
}

/* Quire's file for what was opened as `fd`, which it takes over; NULL with errno, or 0 for the
 * host's. */
static quire_file *adopt(struct quire *quire, const char *path, int *fd, int flags)
{
	struct stat status;
	quire_file *file = NULL;

	errno = 0;
	if (fstat(*fd, &status) != 0)
		return NULL;
	if (is_dev_zero(&status)) {
		close(*fd);
		*fd = -1;
		return quire_open_zero(quire, &file) == 0 ? file : NULL;
	}
	if (!has_pages(&status, *fd))
		return NULL;
	*fd = reopen_for_store(path, *fd, flags);
	if (*fd < 0)
		return NULL;
	file = open_regular(quire, path, &status, *fd, flags);
	*fd = -1;
	if (file && (flags & O_TRUNC) && truncate_opened(quire, path, file, flags) != 0) {
		int error = errno;

		quire_close(file);
		errno = error;
		return NULL;
	}
	errno = file ? 0 : errno;
	return file;
}

struct shell_result soft_open(struct shell_task *task, const char *path, uint64_t flags)
{
	struct quire *quire = task->machine->quire;
	quire_file *file;
	int fd;

	soft_background(task->machine);
	fd = open(path, ((int)flags & ~O_TRUNC) | O_CLOEXEC, 0666);
	if (fd < 0)
		return soft_result(-1);
	file = adopt(quire, path, &fd, (int)flags);
	if (!file && errno) {
		struct shell_result result = soft_result(-1);

		if (fd >= 0)
			close(fd);
		return result;
	}
	return soft_result(install(task, file, fd));
}

quire_file *soft_open_program(struct quire *quire, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	quire_file *file;

	if (fd < 0)
		return NULL;
	file = adopt(quire, path, &fd, O_RDONLY);
	if (!file && !errno)
		errno = EACCES;
	if (fd >= 0)
		close(fd);
	return file;
}

struct shell_result soft_memfd(struct shell_task *task, const char *name)
{
	quire_file *file;

	soft_background(task->machine);
	if (quire_memfd_create(task->machine->quire, name, 0, &file) != 0)
		return soft_result(-1);
	return soft_result(install(task, file, -1));
}

struct shell_result soft_close(struct shell_task *task, int fd)
{
	struct soft_descriptor *descriptor = soft_descriptor(task, fd);

	soft_background(task->machine);
	if (!descriptor)
		return (struct shell_result){.error = EBADF};
	release(descriptor);
	return (struct shell_result){0};
}

struct shell_result soft_unlink(struct shell_task *task, const char *path)
{
	soft_background(task->machine);
	return soft_result(unlink(path));
}

/*
 * The two ways of a file call: Quire's file, or the host's descriptor. `host_call` gives -1 with
 * errno as system calls do.
 */
#define FILE_CALL(task, fd, quire_call, host_call) \
	do { \
		const struct soft_descriptor *descriptor = soft_descriptor(task, fd); \
\
		soft_background((task)->machine); \
		if (!descriptor) \
			return (struct shell_result){.error = EBADF}; \
		return soft_result(descriptor->file ? (int64_t)(quire_call) \
						    : (int64_t)(host_call)); \
	} while (0)

struct shell_result soft_pread(struct shell_task *task, int fd, void *buffer, size_t length,
			       uint64_t offset)
{
	FILE_CALL(task, fd,
		  quire_pread(descriptor->file, quire_mm_group(task->mm), buffer, length, offset),
		  pread(descriptor->host, buffer, length, (off_t)offset));
}

struct shell_result soft_pwrite(struct shell_task *task, int fd, const void *buffer, size_t length,
				uint64_t offset)
{
	FILE_CALL(task, fd,
		  quire_pwrite(descriptor->file, quire_mm_group(task->mm), buffer, length, offset),
		  pwrite(descriptor->host, buffer, length, (off_t)offset));
}

/* A transfer between the host's own file and a task's memory, a piece at a time. */
static int64_t host_transfer(struct shell_task *task, int host, uint64_t address, uint64_t length,
			     uint64_t offset, bool write)
{
	unsigned char buffer[4096];
	uint64_t done = 0;

	while (done < length) {
		size_t piece = (size_t)min_u64(length - done, sizeof(buffer));
		int64_t moved;

		if (write)
			moved = quire_read_memory(task->mm, address + done, buffer, piece);
		else
			moved = pread(host, buffer, piece, (off_t)(offset + done));
		if (moved > 0 && write)
			moved = pwrite(host, buffer, (size_t)moved, (off_t)(offset + done));
		else if (moved > 0)
			moved = quire_write_memory(task->mm, address + done, buffer,
						   (uint64_t)moved);
		if (moved <= 0)
			return done ? (int64_t)done : moved;
		done += (uint64_t)moved;
	}
	return (int64_t)done;
}

struct shell_result soft_read(struct shell_task *task, int fd, uint64_t address, uint64_t length,
			      uint64_t offset)
{
	FILE_CALL(task, fd, quire_pread_user(descriptor->file, task->mm, address, length, offset),
		  host_transfer(task, descriptor->host, address, length, offset, false));
}

struct shell_result soft_write(struct shell_task *task, int fd, uint64_t address, uint64_t length,
			       uint64_t offset)
{
	FILE_CALL(task, fd, quire_pwrite_user(descriptor->file, task->mm, address, length, offset),
		  host_transfer(task, descriptor->host, address, length, offset, true));
}

struct shell_result soft_size(struct shell_task *task, int fd)
{
	FILE_CALL(task, fd, quire_file_size(descriptor->file),
		  lseek(descriptor->host, 0, SEEK_END));
}

struct shell_result soft_ftruncate(struct shell_task *task, int fd, uint64_t length)
{
	FILE_CALL(task, fd, quire_ftruncate(descriptor->file, length),
		  ftruncate(descriptor->host, (off_t)length));
}

struct shell_result soft_punch(struct shell_task *task, int fd, uint64_t offset, uint64_t length)
{
	FILE_CALL(task, fd, quire_punch_hole(descriptor->file, offset, length),
		  fallocate(descriptor->host, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			    (off_t)offset, (off_t)length));
}

struct shell_result soft_fsync(struct shell_task *task, int fd)
{
	FILE_CALL(task, fd, quire_fsync(descriptor->file), fsync(descriptor->host));
}
