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
#include <sys/stat.h>
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
	{"limits", proc_limits},
};

/* No thread has this number. */
static const char nowhere[] = "/proc/self/task/0";

/* What a path names of this process. */
struct own_path {
	pid_t tid;        /* the directory's: of the process, or of one of the host's threads */
	const char *part; /* behind that directory; "": itself */
};

bool proc_hides_thread(struct thread *thread, pid_t tid)
{
	struct process *process = thread->process;
	bool hidden = tid != getpid();
	struct thread *other;

	pthread_mutex_lock(&process->lock);
	list_for_each_entry (other, &process->threads, list)
		hidden = hidden && other->tid != tid;
	pthread_mutex_unlock(&process->lock);
	return hidden;
}

/* Whether the host has a thread of this number in its process, the program's or not. */
static bool is_host_thread(pid_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d", tid);
	return tid == getpid() || faccessat(AT_FDCWD, path, F_OK, 0) == 0;
}

/* A component of a path that is a number; what follows it, or NULL. */
static const char *read_number(const char *path, pid_t *number)
{
	char *end;
	const long value = strtol(path, &end, 10);

	if (path[0] < '0' || path[0] > '9' || value > INT_MAX || (*end && *end != '/'))
		return NULL;
	*number = (pid_t)value;
	return *end ? end + 1 : end;
}

static bool own_path(struct thread *thread, const char *path, struct own_path *own)
{
	if (strncmp(path, "/proc/", 6) != 0)
		return false;
	path += 6;
	if (strncmp(path, "self/", 5) == 0) {
		*own = (struct own_path){getpid(), path + 5};
	} else if (strncmp(path, "thread-self/", 12) == 0) {
		*own = (struct own_path){thread->tid, path + 12};
	} else {
		own->part = read_number(path, &own->tid);
		if (!own->part || !is_host_thread(own->tid))
			return false;
	}
	if (strncmp(own->part, "task/", 5) == 0) {
		const char *rest = read_number(own->part + 5, &own->tid);

		own->part = rest ? rest : own->part;
	}
	return true;
}

/* Of a descriptor in some directory /proc, of a container's root, too: the buffer gets its path. */
static bool own_descriptor(struct thread *thread, int fd, char path[PATH_MAX], struct own_path *own)
{
	struct statfs filesystem;
	char link[64];
	ssize_t length;

	if (fstatfs(fd, &filesystem) || filesystem.f_type != PROC_SUPER_MAGIC)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, PATH_MAX - 1);
	if (length < 0)
		return false;
	path[length] = '\0';
	for (const char *at = strstr(path, "/proc/"); at; at = strstr(at + 1, "/proc/"))
		if (own_path(thread, at, own))
			return true;
	return false;
}

enum proc_directory proc_directory_kind(struct thread *thread, int fd)
{
	char path[PATH_MAX];
	struct own_path own;

	if (!own_descriptor(thread, fd, path, &own))
		return PROC_DIRECTORY_OTHER;
	if (strcmp(own.part, "fd") == 0 || strcmp(own.part, "fdinfo") == 0)
		return PROC_DIRECTORY_FD;
	if (strcmp(own.part, "task") == 0)
		return PROC_DIRECTORY_TASK;
	return strcmp(own.part, "map_files") == 0 ? PROC_DIRECTORY_MAP_FILES : PROC_DIRECTORY_OTHER;
}

const char *proc_path(struct thread *thread, const char *path)
{
	struct own_path own;

	if (!own_path(thread, path, &own))
		return path;
	if (proc_hides_thread(thread, own.tid))
		return nowhere;
	return strcmp(own.part, "exe") == 0 && thread->process->exe ? thread->process->exe : path;
}

int64_t proc_readlink(struct thread *thread, const char *path, char *buffer, size_t bytes)
{
	const char *target = proc_path(thread, path);
	char own[64];
	size_t length;

	/* The call may be made by another host thread than the program's. */
	if (strcmp(path, "/proc/thread-self") == 0) {
		snprintf(own, sizeof(own), "%d/task/%d", getpid(), thread->tid);
		target = own;
	}
	if (target == path)
		return 0;
	if (target == nowhere)
		return -ENOENT;
	length = strlen(target);
	if (length > bytes)
		length = bytes;
	memcpy(buffer, target, length);
	return (int64_t)length;
}

/* A host object with the text, open for reading only; or -errno. */
static int text_object(struct thread *thread, pid_t tid, proc_text *text, const char *name)
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
		error = text(thread, tid, stream);
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
	char path[PATH_MAX];
	struct own_path own;

	if (flags & O_PATH || !own_descriptor(thread, fd, path, &own))
		return fd;
	if (proc_hides_thread(thread, own.tid))
		return replace(thread, fd, -ENOENT, flags);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (strcmp(own.part, texts[i].name) == 0)
			return replace(thread, fd,
				       text_object(thread, own.tid, texts[i].text, own.part),
				       flags);
	for (int kind = 0; kind < PROC_SPECIALS; kind++)
		if (strcmp(own.part, proc_special_name(kind)) == 0)
			return replace(thread, fd,
				       proc_special_open(thread->process->run, kind, flags), flags);
	return fd;
}

void proc_correct_links(struct thread *thread, dev_t device, ino_t inode, uint64_t *links)
{
	struct stat task;

	if (stat("/proc/self/task", &task) == 0 && task.st_dev == device && task.st_ino == inode)
		*links = 2 + proc_nr_threads(thread->process);
}
