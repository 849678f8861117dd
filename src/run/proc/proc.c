/* SPDX-License-Identifier: MIT */
/*
 * Which opens and links of /proc are Quire's, and the descriptors for them.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "run/proc/proc.h"
#include "run/proc/special.h"
#include "run/proc/text.h"

static const struct {
	const char *name;
	proc_text *text;
} texts[] = {
	{"maps", proc_maps},     {"smaps", proc_smaps},     {"smaps_rollup", proc_smaps_rollup},
	{"status", proc_status}, {"stat", proc_stat},       {"statm", proc_statm},
	{"auxv", proc_auxv},     {"cmdline", proc_cmdline}, {"environ", proc_environ},
};

/* Behind "/proc/PID/" or "/proc/PID/task/TID/" of this process: the rest of the path; else NULL. */
static const char *own_part(const char *path)
{
	char *end;

	if (strncmp(path, "/proc/", 6) != 0)
		return NULL;
	if (strncmp(path + 6, "self/", 5) == 0)
		return path + 11;
	if (strncmp(path + 6, "thread-self/", 12) == 0)
		return path + 18;
	if (strtol(path + 6, &end, 10) != getpid() || *end != '/')
		return NULL;
	path = end + 1;
	if (strncmp(path, "task/", 5) != 0)
		return path;
	strtol(path + 5, &end, 10);
	return *end == '/' ? end + 1 : NULL;
}

const char *proc_path(struct thread *thread, const char *path)
{
	const char *part = own_part(path);

	return part && strcmp(part, "exe") == 0 && thread->process->exe ? thread->process->exe
									: path;
}

int64_t proc_readlink(struct thread *thread, const char *path, char *buffer, size_t bytes)
{
	const char *target = proc_path(thread, path);
	size_t length;

	if (target == path)
		return -ENOENT;
	length = strlen(target);
	if (length > bytes)
		length = bytes;
	memcpy(buffer, target, length);
	return (int64_t)length;
}

/* A host object with the text, open for reading only; or -errno. */
static int text_object(struct thread *thread, proc_text *text, const char *name)
{
	char path[64];
	FILE *stream;
	int fd = memfd_create(name, MFD_CLOEXEC);
	int readonly;
	int error;

	if (fd < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	readonly = open(path, O_RDONLY | O_CLOEXEC);
	stream = readonly < 0 ? NULL : fdopen(fd, "w");
	if (!stream) {
		error = -errno;
		close(fd);
	} else {
		error = text(thread, stream);
		if (fclose(stream) && !error)
			error = -errno;
	}
	if (error && readonly >= 0)
		close(readonly);
	return error ? error : readonly;
}

/* `made` takes the place of the program's descriptor. */
static int64_t replace(struct thread *thread, int fd, int made, int flags)
{
	int error = 0;

	open_files_close_begin(thread->process);
	if (made >= 0 && dup3(made, fd, flags & O_CLOEXEC) < 0)
		error = -errno;
	if (made >= 0)
		close(made);
	if (made < 0)
		error = made;
	if (error)
		close(fd);
	open_files_close_end(thread->process);
	return error ? error : fd;
}

int64_t proc_opened(struct thread *thread, int fd, int flags)
{
	struct statfs filesystem;
	char link[64];
	char path[PATH_MAX];
	const char *part;
	ssize_t length;

	if (flags & O_PATH || fstatfs(fd, &filesystem) || filesystem.f_type != PROC_SUPER_MAGIC)
		return fd;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof(path) - 1);
	if (length < 0)
		return fd;
	path[length] = '\0';
	part = own_part(path);
	if (!part)
		return fd;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (strcmp(part, texts[i].name) == 0)
			return replace(thread, fd, text_object(thread, texts[i].text, part), flags);
	for (int kind = 0; kind < PROC_SPECIALS; kind++)
		if (strcmp(part, proc_special_name(kind)) == 0)
			return replace(thread, fd,
				       proc_special_open(thread->process->run, kind, flags), flags);
	return fd;
}
