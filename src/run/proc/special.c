/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing mem, pagemap and clear_refs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/call/proc_view.h"
#include "core/fault/fault.h"
#include "run/proc/special.h"
#include "run/user/user.h"

/* The objects belong to the host process, as its descriptors do. */
static struct {
	pthread_mutex_t lock;
	int fd[PROC_SPECIALS]; /* lock: kept open, so that the inode numbers stay taken */
	struct stat identity[PROC_SPECIALS]; /* lock until `used` */
	_Atomic bool used[PROC_SPECIALS];    /* A: set once */
} specials = {.lock = PTHREAD_MUTEX_INITIALIZER};

const char *proc_special_name(enum proc_special kind)
{
	static const char *const names[PROC_SPECIALS] = {"mem", "pagemap", "clear_refs"};

	return names[kind];
}

static int create_object(struct run *run, enum proc_special kind)
{
	int fd = memfd_create(proc_special_name(kind), MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	fd = run_private_fd(run, fd);
	if (fd < 0)
		return fd;
	if (fstat(fd, &specials.identity[kind])) {
		close(fd);
		return -errno;
	}
	specials.fd[kind] = fd;
	atomic_store_explicit(&specials.used[kind], true, memory_order_release);
	return 0;
}

int proc_special_open(struct run *run, enum proc_special kind, int flags)
{
	char path[64];
	int error = 0;
	int fd;

	pthread_mutex_lock(&specials.lock);
	if (!atomic_load_explicit(&specials.used[kind], memory_order_relaxed))
		error = create_object(run, kind);
	pthread_mutex_unlock(&specials.lock);
	if (error)
		return error;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", specials.fd[kind]);
	fd = open(path, (flags & O_ACCMODE) | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Which of them a descriptor is, or -1. */
static int special_kind(int fd)
{
	struct stat file;
	bool stated = false;

	for (int kind = 0; kind < PROC_SPECIALS; kind++) {
		if (!atomic_load_explicit(&specials.used[kind], memory_order_acquire))
			continue;
		if (!stated && fstat(fd, &file))
			return -1;
		stated = true;
		if (file.st_ino == specials.identity[kind].st_ino &&
		    file.st_dev == specials.identity[kind].st_dev)
			return kind;
	}
	return -1;
}

bool proc_is_special(struct thread *thread, int fd)
{
	(void)thread;
	return special_kind(fd) >= 0;
}

/* One piece between the file at `offset` and the program: bytes done, 0 at the end, or -errno. */
typedef int64_t transfer(struct thread *thread, uint64_t address, uint64_t bytes, uint64_t offset);

static int64_t mem_read(struct thread *thread, uint64_t address, uint64_t bytes, uint64_t offset)
{
	char buffer[PAGE_SIZE];
	int64_t done;

	bytes = min_u64(bytes, sizeof(buffer));
	done = force_access_process_vm(thread_mm(thread), offset, buffer, bytes, false);
	if (done <= 0)
		return -EIO;
	return copy_to_user(thread_mm(thread), address, buffer, (uint64_t)done) ? -EFAULT : done;
}

static int64_t mem_write(struct thread *thread, uint64_t address, uint64_t bytes, uint64_t offset)
{
	char buffer[PAGE_SIZE];
	int64_t done;

	bytes = min_u64(bytes, sizeof(buffer));
	if (copy_from_user(thread_mm(thread), buffer, address, bytes))
		return -EFAULT;
	done = force_access_process_vm(thread_mm(thread), offset, buffer, bytes, true);
	return done <= 0 ? -EIO : done;
}

static int64_t pagemap_read(struct thread *thread, uint64_t address, uint64_t bytes,
			    uint64_t offset)
{
	struct mm_struct *mm = thread_mm(thread);
	uint64_t words[PAGE_SIZE / sizeof(uint64_t)];
	uint64_t pages = min_u64(bytes / sizeof(uint64_t), ARRAY_SIZE(words));
	uint64_t page = offset / sizeof(uint64_t);
	uint64_t limit = mm->task_size >> PAGE_SHIFT;

	if ((offset | bytes) % sizeof(uint64_t))
		return -EINVAL;
	if (page >= limit)
		return 0;
	pages = min_u64(pages, limit - page);
	mm_pagemap(mm, page << PAGE_SHIFT, pages, words);
	bytes = pages * sizeof(uint64_t);
	return copy_to_user(mm, address, words, bytes) ? -EFAULT : (int64_t)bytes;
}

static int64_t clear_refs_write(struct thread *thread, uint64_t address, uint64_t bytes,
				uint64_t offset)
{
	char text[16];
	char *end;
	long type;
	int error;

	(void)offset;
	if (bytes >= sizeof(text))
		bytes = sizeof(text) - 1;
	if (copy_from_user(thread_mm(thread), text, address, bytes))
		return -EFAULT;
	text[bytes] = '\0';
	type = strtol(text, &end, 10);
	if (end == text || (*end && *end != '\n'))
		return -EINVAL;
	error = mm_clear_refs(thread_mm(thread), (int)type);
	return error ? error : (int64_t)bytes;
}

static int64_t no_transfer(struct thread *thread, uint64_t address, uint64_t bytes, uint64_t offset)
{
	(void)thread, (void)address, (void)bytes, (void)offset;
	return -EINVAL;
}

/* Piece by piece until all is done or one is short. */
static int64_t transfer_all(struct thread *thread, transfer *piece, const uint64_t range[2],
			    uint64_t offset)
{
	uint64_t done = 0;

	while (done < range[1]) {
		int64_t part = piece(thread, range[0] + done, range[1] - done, offset + done);

		if (part < 0 && !done)
			return part;
		if (part <= 0)
			break;
		done += (uint64_t)part;
	}
	return (int64_t)done;
}

/* At a given place of the file, or at the descriptor's own. */
static int64_t transfer_file(struct thread *thread, int fd, transfer *piece,
			     const uint64_t range[2], uint64_t offset)
{
	bool current = offset == PROC_OFFSET_CURRENT;
	int64_t done;

	if (current) {
		off_t position = lseek(fd, 0, SEEK_CUR);

		if (position < 0)
			return -errno;
		offset = (uint64_t)position;
	}
	done = transfer_all(thread, piece, range, offset);
	if (current && done > 0)
		lseek(fd, done, SEEK_CUR);
	return done;
}

static bool may(int fd, int not_mode)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & O_ACCMODE) != not_mode && !(flags & O_PATH);
}

int64_t proc_read(struct thread *thread, int fd, uint64_t address, uint64_t bytes, uint64_t offset)
{
	static transfer *const readers[PROC_SPECIALS] = {mem_read, pagemap_read, no_transfer};
	const uint64_t range[2] = {address, bytes};
	int kind = special_kind(fd);

	if (kind < 0 || !may(fd, O_WRONLY))
		return -EBADF;
	return transfer_file(thread, fd, readers[kind], range, offset);
}

int64_t proc_write(struct thread *thread, int fd, uint64_t address, uint64_t bytes, uint64_t offset)
{
	static transfer *const writers[PROC_SPECIALS] = {mem_write, no_transfer, clear_refs_write};
	const uint64_t range[2] = {address, bytes};
	int kind = special_kind(fd);

	if (kind < 0 || !may(fd, O_RDONLY))
		return -EBADF;
	return transfer_file(thread, fd, writers[kind], range, offset);
}
