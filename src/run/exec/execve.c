/* SPDX-License-Identifier: MIT */
/*
 * execve(2) and execveat(2) by a running program.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/exec/arguments.h"
#include "run/exec/loader.h"
#include "run/file/mapped_file.h"
#include "run/signal/signal.h"
#include "run/syscall/descriptor.h"
#include "run/syscall/rows.h"
#include "run/task/call_server.h"
#include "run/user/user.h"

#define EXEC_FLAGS (AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)

/* The program's descriptors that are marked so are closed. Quire's own stay: the host's process
 * goes on. */
static void close_on_exec(struct thread *thread)
{
	DIR *directory = opendir("/proc/self/fd");
	struct dirent *entry;

	/* Without memory for a look, none can be told from the others. */
	while (directory && (entry = readdir(directory))) {
		int fd = atoi(entry->d_name);
		int flags;

		if (entry->d_name[0] == '.' || fd == dirfd(directory) ||
		    run_fd_is_private(thread->process->run, fd))
			continue;
		flags = fcntl(fd, F_GETFD);
		if (flags >= 0 && flags & FD_CLOEXEC) {
			mapped_closed(thread->process->run, fd);
			close_on_host(thread, fd);
		}
	}
	if (directory)
		closedir(directory);
}

/* The program is loaded or the process dies. `lists`: argv and envp. */
static int64_t exec_program(struct thread *thread, struct program *program,
			    struct argument_list lists[2])
{
	bool lost = false;
	int error = load_program(thread->process, program, &lost);

	argument_list_release(&lists[0]);
	argument_list_release(&lists[1]);
	if (lost && error)
		process_end(thread->process, 0, SIGSEGV);
	if (error)
		return error;
	signal_exec(thread);
	call_server_exec(thread);
	close_on_exec(thread);
	start_program(thread, program);
	return 0;
}

static int copy_lists(struct thread *thread, struct argument_list lists[2], uint64_t argv,
		      uint64_t envp)
{
	struct mm_struct *mm = thread_mm(thread);
	uint64_t room;
	int error;

	mmap_read_lock(mm);
	room = argument_room(mm->limit[LIMIT_STACK]);
	mmap_read_unlock(mm);
	memset(lists, 0, 2 * sizeof(*lists));
	error = argument_list_copy(&lists[0], mm, argv, &room);
	if (!error)
		error = argument_list_copy(&lists[1], mm, envp, &room);
	if (error) {
		argument_list_release(&lists[0]);
		argument_list_release(&lists[1]);
	}
	return error;
}

/* `path` as the host is to see it, for a path that is relative to a descriptor: /dev/fd/N/path. */
static int path_at(char *to, size_t bytes, int dirfd, const char *path)
{
	int length;

	if (dirfd == AT_FDCWD || path[0] == '/')
		length = snprintf(to, bytes, "%s", path);
	else if (path[0])
		length = snprintf(to, bytes, "/dev/fd/%d/%s", dirfd, path);
	else
		length = snprintf(to, bytes, "/dev/fd/%d", dirfd);
	return (size_t)length < bytes ? 0 : -ENAMETOOLONG;
}

static int check_directory(struct thread *thread, int dirfd)
{
	int error = check_fd(thread, dirfd);

	return !error && fcntl(dirfd, F_GETFD) < 0 ? -errno : error;
}

static int check_last_link(const char *path)
{
	char target[2];

	return readlink(path, target, sizeof(target)) >= 0 ? -ELOOP : 0;
}

static int64_t do_execveat(struct thread *thread, int dirfd, uint64_t path_address,
			   const uint64_t lists_at[2], int flags)
{
	char path[PATH_MAX];
	char full[PATH_MAX + 32];
	struct argument_list lists[2];
	struct program program = {.path = full, .fd = -1, .thread = thread};
	int64_t length;
	int error = 0;

	if (flags & ~EXEC_FLAGS)
		return -EINVAL;
	length = strncpy_from_user(thread_mm(thread), path, path_address, sizeof(path));
	if (length < 0)
		return length;
	if (!length && !(flags & AT_EMPTY_PATH))
		return -ENOENT;
	if (path[0] != '/' && dirfd != AT_FDCWD)
		error = check_directory(thread, dirfd);
	if (!error && !length && dirfd == AT_FDCWD)
		error = -EACCES;
	if (!error && !length)
		program.fd = dirfd;
	if (!error)
		error = path_at(full, sizeof(full), dirfd, path);
	if (!error && length && flags & AT_SYMLINK_NOFOLLOW)
		error = check_last_link(full);
	if (!error)
		error = copy_lists(thread, lists, lists_at[0], lists_at[1]);
	if (error)
		return error;
	program.argv = lists[0].strings;
	program.envp = lists[1].strings;
	return exec_program(thread, &program, lists);
}

static int64_t sys_execve(struct thread *thread, const uint64_t args[6])
{
	const uint64_t lists_at[] = {args[1], args[2]};

	return do_execveat(thread, AT_FDCWD, args[0], lists_at, 0);
}

static int64_t sys_execveat(struct thread *thread, const uint64_t args[6])
{
	const uint64_t lists_at[] = {args[2], args[3]};

	return do_execveat(thread, (int)args[0], args[1], lists_at, (int)args[4]);
}

static const char note[] =
	"set-user-ID, set-group-ID and file capabilities have no effect; the file must be readable";

static const struct syscall_row rows[] = {
	ROW_OWN(execve, HOW_TASK, 0, note, A_PATH(pathname), A_ADDRESS(argv), A_ADDRESS(envp)),
	ROW_OWN(execveat, HOW_TASK, 0, note, A_DIRFD(dirfd), A_PATH(pathname), A_ADDRESS(argv),
		A_ADDRESS(envp), A_INT(flags)),
};
SYSCALL_FAMILY(exec_calls, "Executing programs", rows);
