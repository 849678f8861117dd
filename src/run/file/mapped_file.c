/* SPDX-License-Identifier: MIT */
/*
 * From descriptors of the host to files of the core: which files can be mapped, their stores, and
 * what the cache knows of them (run/file/mapped_file.h).
 */
#include "run/file/mapped_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <quire/file_store.h>

#include "base/alloc.h"
#include "core/file/bypass.h"
#include "core/file/writeback.h"
#include "run/file/posix_lock.h"

/* A descriptor that is to be mapped. */
struct opened {
	struct run *run;
	int fd;
	int flags; /* F_GETFL */
	bool own;  /* not the program's: it may be taken over */
	struct stat status;
	char path[PATH_MAX];
};

int mapped_files_create(struct mapped_files **result)
{
	struct mapped_files *files = quire_zalloc(sizeof(*files));

	if (!files)
		return -ENOMEM;
	for (int i = 0; i < MAPPED_UNKNOWN_LOCKS; i++)
		rwlock_init(&files->unknown[i], LOCK_NONE);
	mutex_init(&files->lock, LOCK_LEAF);
	for (int i = 0; i < MAPPED_POSITION_LOCKS; i++)
		mutex_init(&files->position[i], LOCK_NONE);
	*result = files;
	return 0;
}

void mapped_files_destroy(struct mapped_files *files)
{
	if (files)
		posix_lock_release(files);
	quire_free(files);
}

/* What tells one state of the host's file from another, never 0. */
static uint64_t version_of(const struct stat *status)
{
	const uint64_t time =
		(uint64_t)status->st_mtim.tv_sec * 1000000000u + (uint64_t)status->st_mtim.tv_nsec;

	return (time * 0x9e3779b97f4a7c15u ^ (uint64_t)status->st_size) | 1;
}

static int store_fd(struct inode *inode)
{
	return quire_file_store_fd(atomic_load_explicit(&inode->store, memory_order_acquire));
}

/* R held: the cache agrees with the file as it is now. */
static void note_version(struct inode *inode)
{
	struct stat status;

	if (fstat(store_fd(inode), &status) == 0)
		atomic_store_explicit(&inode->store_version, version_of(&status),
				      memory_order_relaxed);
}

/* A file that others changed since Quire last looked: what is cached and not newer goes. */
static void check_version(struct inode *inode, const struct stat *status)
{
	const uint64_t version = version_of(status);
	uint64_t known = atomic_load_explicit(&inode->store_version, memory_order_relaxed);

	if (known == version)
		return;
	bypass_begin(inode);
	known = atomic_load_explicit(&inode->store_version, memory_order_relaxed);
	if (known && known != version) {
		bypass_size_changed(inode);
		bypass_drop_clean(inode);
	}
	atomic_store_explicit(&inode->store_version, version, memory_order_relaxed);
	bypass_end(inode);
}

static void close_store_fd(void *context, int fd)
{
	struct run *run = context;

	posix_lock_close_fd(run->files, fd);
}

/* Out of the program's sight; -errno. */
static int duplicate_private(const struct run *run, int fd)
{
	int private = fcntl(fd, F_DUPFD_CLOEXEC, run->fd_base);

	return private < 0 ? -errno : private;
}

/* The same file opened once more, so that neither flags nor locks of the program's open file are
 * shared; -errno. */
static int reopen_private(const struct opened *opened)
{
	char path[32];
	int fd, again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", opened->fd);
	again = open(path, (opened->flags & O_ACCMODE) | O_CLOEXEC | O_NOCTTY);
	if (again < 0)
		return -errno;
	fd = duplicate_private(opened->run, again);
	close(again);
	return fd;
}

/* The program's own open file will do where the file cannot be opened again, unless that would
 * change what writing means. */
static int try_private_fd(const struct opened *opened)
{
	struct mapped_files *files = opened->run->files;
	int fd = -EAGAIN;

	if (opened->own)
		return duplicate_private(opened->run, opened->fd);
	/* To open and close the file would cost the program its POSIX locks. */
	mutex_lock(&files->lock);
	if (!posix_locked(files, &opened->status))
		fd = reopen_private(opened);
	mutex_unlock(&files->lock);
	if (fd < 0 && fd != -EMFILE && !(opened->flags & (O_APPEND | O_DIRECT)))
		fd = duplicate_private(opened->run, opened->fd);
	return fd;
}

/* A descriptor for the store. Where they run out, files that nobody uses give theirs. */
static int private_fd(const struct opened *opened)
{
	int fd = try_private_fd(opened);

	if (fd == -EMFILE && mapped_evict_idle(opened->run, true))
		fd = try_private_fd(opened);
	return fd;
}

/* Whether the host would map the file at all: files of /proc and /sys look regular and cannot be.
 */
static int may_be_mapped(const struct opened *opened)
{
	void *probe = mmap(NULL, PAGE_SIZE, PROT_READ, MAP_PRIVATE, opened->fd, 0);

	if (probe == MAP_FAILED)
		return -errno;
	munmap(probe, PAGE_SIZE);
	return 0;
}

static struct rwlock *unknown_lock(struct run *run, const struct stat *status)
{
	const uint64_t hash = (status->st_dev ^ status->st_ino) * 0x9e3779b97f4a7c15u;

	return &run->files->unknown[hash >> 32 & (MAPPED_UNKNOWN_LOCKS - 1)];
}

/* The inode gets a store that allows what the descriptor allows. */
static int open_inode(const struct opened *opened, struct inode **inode)
{
	struct mapped_files *files = opened->run->files;
	struct rwlock *unknown = unknown_lock(opened->run, &opened->status);
	const bool writable = (opened->flags & O_ACCMODE) == O_RDWR;
	struct quire_store *store;
	int fd = private_fd(opened);
	int error;

	if (fd < 0)
		return fd;
	error = quire_file_store_create(fd, writable, QUIRE_FILE_IO_AUTO, &store);
	if (error) {
		posix_lock_close_fd(files, fd);
		return error;
	}
	quire_file_store_on_close(store, close_store_fd, opened->run);
	write_lock(unknown);
	error = inode_get(opened->run->quire, opened->status.st_dev, opened->status.st_ino,
			  opened->path, store, inode);
	write_unlock(unknown);
	if (error)
		store->ops->close(store);
	return error;
}

static bool store_serves(struct inode *inode, const struct opened *opened)
{
	return (opened->flags & O_ACCMODE) != O_RDWR ||
	       atomic_load_explicit(&inode->store, memory_order_acquire)->writable;
}

static int map_regular(const struct opened *opened, struct file **file)
{
	const uint32_t mode =
		(opened->flags & O_ACCMODE) == O_RDWR ? FMODE_READ | FMODE_WRITE : FMODE_READ;
	struct inode *inode = mapped_inode_at(opened->run, &opened->status);
	int error = inode ? 0 : may_be_mapped(opened);

	if (!error && (!inode || !store_serves(inode, opened))) {
		if (inode)
			iput(inode);
		inode = NULL;
		error = open_inode(opened, &inode);
	}
	if (error)
		return error;
	check_version(inode, &opened->status);
	*file = file_share(inode, mode, opened->path);
	iput(inode);
	return *file ? 0 : -ENOMEM;
}

static int map_zero(const struct opened *opened, struct file **file)
{
	const uint32_t mode =
		(opened->flags & O_ACCMODE) == O_RDWR ? FMODE_READ | FMODE_WRITE : FMODE_READ;
	struct inode *inode;
	int error = dev_zero_create(opened->run->quire, opened->status.st_dev,
				    opened->status.st_ino, &inode);

	if (error)
		return error;
	*file = file_share(inode, mode, opened->path);
	iput(inode);
	return *file ? 0 : -ENOMEM;
}

/* The path as it was: maps says itself that a file is deleted. */
static void find_path(struct opened *opened)
{
	static const char deleted[] = " (deleted)";
	const ssize_t suffix = (ssize_t)sizeof(deleted) - 1;
	char link[32];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", opened->fd);
	length = readlink(link, opened->path, sizeof(opened->path) - 1);
	if (opened->status.st_nlink == 0 && length > suffix &&
	    memcmp(opened->path + length - suffix, deleted, (size_t)suffix) == 0)
		length -= suffix;
	opened->path[length < 0 ? 0 : length] = 0;
}

static int map_opened(struct opened *opened, struct file **file)
{
	opened->flags = fcntl(opened->fd, F_GETFL);
	if (opened->flags < 0 || (opened->flags & O_PATH))
		return -EBADF;
	if (fstat(opened->fd, &opened->status) != 0)
		return -errno;
	if ((opened->flags & O_ACCMODE) == O_WRONLY)
		return -EACCES;
	find_path(opened);
	if (S_ISCHR(opened->status.st_mode) && opened->status.st_rdev == makedev(1, 5))
		return map_zero(opened, file);
	if (!S_ISREG(opened->status.st_mode))
		return -ENODEV;
	return map_regular(opened, file);
}

int mapped_file_get(struct run *run, int fd, struct file **file)
{
	struct opened opened = {.run = run, .fd = fd};

	return map_opened(&opened, file);
}

int mapped_file_open(struct run *run, const char *path, struct file **file)
{
	struct opened opened = {.run = run, .own = true};
	int error;

	opened.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (opened.fd < 0)
		return -errno;
	error = map_opened(&opened, file);
	posix_lock_close_fd(run->files, opened.fd);
	return error;
}

struct inode *mapped_inode_at(struct run *run, const struct stat *status)
{
	if (!S_ISREG(status->st_mode))
		return NULL;
	return inode_lookup(run->quire, status->st_dev, status->st_ino);
}

struct inode *mapped_inode(struct run *run, int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 ? mapped_inode_at(run, &status) : NULL;
}

void mapped_change_begin(struct run *run, const struct stat *status, struct mapped_change *change)
{
	*change = (struct mapped_change){.run = run, .inode = mapped_inode_at(run, status)};
	if (!change->inode && S_ISREG(status->st_mode)) {
		change->unknown = unknown_lock(run, status);
		read_lock(change->unknown);
		change->inode = mapped_inode_at(run, status);
		if (change->inode) {
			read_unlock(change->unknown);
			change->unknown = NULL;
		}
	}
	if (change->inode)
		bypass_begin(change->inode);
}

void mapped_change_end(struct mapped_change *change)
{
	if (change->unknown)
		read_unlock(change->unknown);
	if (!change->inode)
		return;
	note_version(change->inode);
	bypass_end(change->inode);
	iput(change->inode);
}

/* Whether the file should be kept, though nobody uses it. */
static bool keep_idle(struct inode *inode, void *context)
{
	const bool *all = context;
	struct stat status;

	return !*all && !atomic_load_explicit(&inode->store, memory_order_acquire)->writable &&
	       fstat(store_fd(inode), &status) == 0 && status.st_nlink;
}

uint32_t mapped_evict_idle(struct run *run, bool all)
{
	return bypass_evict_idle(run->quire, keep_idle, &all);
}

int mapped_sync_all(struct run *run)
{
	struct writeback_control control = {
		.end = UINT64_MAX,
		.nr_to_write = UINT64_MAX,
		.sync = true,
	};

	return writeback_instance(run->quire, &control);
}
