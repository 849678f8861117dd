/* SPDX-License-Identifier: MIT */
/*
 * Copies of files in a temporary directory.
 */
#include "tools/shell/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/shell/memory.h"

static int complain(const char *what, const char *path, int error)
{
	fprintf(stderr, "quire diff: %s %s: %s\n", what, path, strerror(error));
	return -error;
}

static int copy_bytes(int from, int to)
{
	static char buffer[65536];
	ssize_t length;

	while ((length = read(from, buffer, sizeof(buffer))) > 0)
		for (ssize_t done = 0; done < length;) {
			ssize_t written = write(to, buffer + done, (size_t)(length - done));

			if (written < 0)
				return -errno;
			done += written;
		}
	return length < 0 ? -errno : 0;
}

static int copy_file(const char *from, const char *to, unsigned mode)
{
	int source = open(from, O_RDONLY | O_CLOEXEC);
	int target;
	int error;

	if (source < 0)
		return -errno;
	target = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	if (target < 0) {
		error = -errno;
	} else {
		error = copy_bytes(source, target);
		if (close(target) != 0 && !error)
			error = -errno;
	}
	close(source);
	return error;
}

static int make_directory(struct snapshot *snapshot)
{
	const char *parent = getenv("TMPDIR");
	struct shell_buffer path = {0};

	shell_buffer_printf(&path, "%s/quire-diff-XXXXXX", parent && *parent ? parent : "/tmp");
	shell_buffer_append(&path, "", 1);
	if (!mkdtemp(path.data)) {
		int error = complain("a temporary directory cannot be made as", path.data, errno);

		shell_buffer_release(&path);
		return error;
	}
	snapshot->directory = path.data;
	return 0;
}

static bool is_kept(const struct snapshot *snapshot, const char *path)
{
	for (size_t i = 0; i < snapshot->count; i++)
		if (strcmp(snapshot->files[i].path, path) == 0)
			return true;
	return false;
}

static void keep(struct snapshot *snapshot, const char *path, char *copy, const struct stat *status)
{
	snapshot->files =
		shell_reallocate(snapshot->files, (snapshot->count + 1) * sizeof(*snapshot->files));
	snapshot->files[snapshot->count++] = (struct snapshot_file){
		.path = shell_copy_string(path),
		.copy = copy,
		.mode = status->st_mode & 07777,
		.owner = status->st_uid,
		.group = status->st_gid,
		.device = status->st_dev,
		.inode = status->st_ino,
	};
}

int snapshot_add(struct snapshot *snapshot, const char *path)
{
	struct shell_buffer copy = {0};
	struct stat status = {0};
	int error;

	if (is_kept(snapshot, path))
		return 0;
	if (lstat(path, &status) != 0) {
		if (errno == ENOENT)
			keep(snapshot, path, NULL, &status);
		return 0;
	}
	if (!S_ISREG(status.st_mode))
		return 0;
	if (!snapshot->directory && (error = make_directory(snapshot)) != 0)
		return error;
	shell_buffer_printf(&copy, "%s/%zu", snapshot->directory, snapshot->count);
	shell_buffer_append(&copy, "", 1);
	error = copy_file(path, copy.data, 0600);
	if (error == -EACCES) {
		/* What cannot be read is not changed by the script either, unless it may write:
		 * then it says so. */
		shell_buffer_release(&copy);
		return 0;
	}
	if (error) {
		complain("no copy can be kept of", path, -error);
		unlink(copy.data);
		shell_buffer_release(&copy);
		return error;
	}
	keep(snapshot, path, copy.data, &status);
	return 0;
}

/* Whether the path leads to the file that it led to when it was kept. */
static bool is_there(const struct snapshot_file *file)
{
	struct stat status;

	return lstat(file->path, &status) == 0 && S_ISREG(status.st_mode) &&
	       status.st_dev == file->device && status.st_ino == file->inode;
}

/* Another name of the same file that leads to it again, or still; NULL: none. */
static const struct snapshot_file *other_name(const struct snapshot *snapshot,
					      const struct snapshot_file *file)
{
	for (size_t i = 0; i < snapshot->count; i++) {
		const struct snapshot_file *other = &snapshot->files[i];

		if (other != file && other->copy && other->device == file->device &&
		    other->inode == file->inode && (other < file || is_there(other)))
			return other;
	}
	return NULL;
}

static int restore_file(const struct snapshot *snapshot, const struct snapshot_file *file)
{
	const struct snapshot_file *other;
	int error;

	/* Who may not write to it has not changed it either. */
	if (file->copy && is_there(file)) {
		error = copy_file(file->copy, file->path, file->mode);
		return error == -EACCES ? 0 : error;
	}
	if (unlink(file->path) != 0 && errno != ENOENT)
		return -errno;
	if (!file->copy)
		return 0;
	other = other_name(snapshot, file);
	if (other)
		return link(other->path, file->path) == 0 ? 0 : -errno;
	error = copy_file(file->copy, file->path, file->mode);
	/* The owner first, as it takes set-ID bits away. Others' files only root can make. */
	if (!error && lchown(file->path, file->owner, file->group) != 0 && errno != EPERM)
		error = -errno;
	if (!error && chmod(file->path, file->mode) != 0)
		error = -errno;
	return error;
}

int snapshot_restore(const struct snapshot *snapshot)
{
	int failed = 0;

	for (size_t i = 0; i < snapshot->count; i++) {
		int error = restore_file(snapshot, &snapshot->files[i]);

		if (error)
			failed = complain("cannot restore", snapshot->files[i].path, -error);
	}
	return failed;
}

void snapshot_release(struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->count; i++) {
		free(snapshot->files[i].path);
		if (snapshot->files[i].copy)
			unlink(snapshot->files[i].copy);
		free(snapshot->files[i].copy);
	}
	free(snapshot->files);
	if (snapshot->directory)
		rmdir(snapshot->directory);
	free(snapshot->directory);
	memset(snapshot, 0, sizeof(*snapshot));
}
