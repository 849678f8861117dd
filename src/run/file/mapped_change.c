/* SPDX-License-Identifier: MIT */
/*
 * Changes of files by the host that the cache follows: sizes, seals, and contents that Quire does
 * not see (run/file/mapped_file.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/file/bypass.h"
#include "core/file/writeback.h"
#include "run/file/mapped_file.h"

int mapped_read_begin(struct inode *inode, uint64_t offset, uint64_t bytes)
{
	struct writeback_control control = {
		.start = offset,
		.end = bytes > UINT64_MAX - offset ? UINT64_MAX : offset + bytes - 1,
		.nr_to_write = UINT64_MAX,
		.sync = true,
	};

	if (!bytes || !bypass_newer_than_store(inode))
		return 0;
	return writeback_mapping(&inode->i_data, &control);
}

int mapped_rewrite_begin(struct run *run, int fd, uint64_t offset, uint64_t bytes,
			 struct mapped_change *change)
{
	const uint64_t last = bytes > UINT64_MAX - offset ? UINT64_MAX : offset + bytes - 1;
	struct stat status;
	int error = 0;

	if (fstat(fd, &status) != 0)
		return -errno;
	mapped_change_begin(run, &status, change);
	if (change->inode && bytes)
		error = bypass_drop(change->inode, offset >> PAGE_SHIFT, last >> PAGE_SHIFT);
	if (error)
		mapped_change_end(change);
	return error;
}

void mapped_rewrite_end(struct mapped_change *change)
{
	if (change->inode)
		bypass_size_changed(change->inode);
	mapped_change_end(change);
}

void mapped_size_changed(struct inode *inode)
{
	bypass_begin(inode);
	bypass_size_changed(inode);
	bypass_end(inode);
}

/* The file of `status` is cut by the host: by its descriptor (`path` NULL), or by path. */
static int64_t change_size(struct run *run, const struct stat *status, int fd, const char *path,
			   int64_t size)
{
	struct mapped_change change;
	uint64_t previous = 0;
	int64_t result;

	mapped_change_begin(run, status, &change);
	if (change.inode)
		previous = bypass_truncate_begin(change.inode, (uint64_t)size);
	result = path ? truncate(path, size) : ftruncate(fd, size);
	if (result)
		result = -errno;
	if (change.inode)
		bypass_truncate_end(change.inode, previous, result ? previous : (uint64_t)size);
	mapped_change_end(&change);
	return result;
}

/* What the host refuses for its arguments alone does not get so far: it would disturb those who
 * use the file meanwhile. */
int64_t mapped_ftruncate(struct run *run, int fd, int64_t size)
{
	const int flags = fcntl(fd, F_GETFL);
	struct stat status;

	if (flags < 0 || fstat(fd, &status) != 0)
		return -EBADF;
	if (size < 0 || (flags & O_PATH) || (flags & O_ACCMODE) == O_RDONLY ||
	    !S_ISREG(status.st_mode))
		return ftruncate(fd, size) ? -errno : 0;
	return change_size(run, &status, fd, NULL, size);
}

int64_t mapped_truncate(struct run *run, const char *path, int64_t size)
{
	struct stat status;

	if (size < 0 || stat(path, &status) != 0 || !S_ISREG(status.st_mode) ||
	    faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) != 0)
		return truncate(path, size) ? -errno : 0;
	return change_size(run, &status, -1, path, size);
}

int64_t mapped_open_truncate(struct run *run, int fd)
{
	struct stat status;

	if (fstat(fd, &status) != 0)
		return -errno;
	return S_ISREG(status.st_mode) ? mapped_ftruncate(run, fd, 0) : 0;
}

int64_t mapped_add_seals(struct run *run, int fd, uint32_t seals)
{
	struct mapped_change change;
	struct stat status;
	int64_t result = 0;

	if (fstat(fd, &status) != 0)
		return -errno;
	mapped_change_begin(run, &status, &change);
	/* Shared mappings that may write are Quire's, so the host knows nothing of them. */
	if (change.inode && (seals & F_SEAL_WRITE)) {
		if (atomic_load_explicit(&change.inode->i_data.i_mmap_writable,
					 memory_order_acquire) > 0)
			result = -EBUSY;
		else
			result = mapped_read_begin(change.inode, 0, UINT64_MAX);
	}
	if (!result)
		result = fcntl(fd, F_ADD_SEALS, seals) < 0 ? -errno : 0;
	mapped_change_end(&change);
	return result;
}
