/* SPDX-License-Identifier: MIT */
/*
 * Opening files. The host opens them; what comes after is Quire's: the program must not get at
 * Quire's memory, a truncation reaches mapped pages, and files of /proc/self show the program.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>

#include "run/file/mapped_file.h"
#include "run/proc/proc.h"
#include "run/syscall/bounce.h"
#include "run/syscall/descriptor.h"
#include "run/syscall/families.h"
#include "run/syscall/rows.h"

/* The host does not truncate: that is done afterwards, when it is known which file it is. */
static bool truncates_later(uint64_t flags)
{
	return flags & O_TRUNC && !(flags & O_PATH) && (flags & O_ACCMODE) != O_RDONLY;
}

/* O_RDONLY | O_TRUNC truncates too, but leaves a descriptor that cannot: the host did it. */
static void host_truncated(struct run *run, int fd)
{
	struct inode *inode = mapped_inode(run, fd);

	if (inode) {
		mapped_size_changed(inode);
		iput(inode);
	}
}

int64_t opened(struct thread *thread, int64_t fd, uint64_t flags)
{
	struct run *run = thread->process->run;
	int64_t error = 0;

	fd = check_new_fd(thread, fd);
	if (fd < 0)
		return fd;
	if (is_quire_object(thread, (int)fd))
		error = -EACCES;
	else if (truncates_later(flags))
		error = mapped_open_truncate(run, (int)fd);
	else if (flags & O_TRUNC)
		host_truncated(run, (int)fd);
	if (error) {
		close_on_host(thread, fd);
		return error;
	}
	return proc_opened(thread, (int)fd, (int)flags);
}

static uint64_t without_truncation(uint64_t flags)
{
	return truncates_later(flags) ? flags & ~(uint64_t)O_TRUNC : flags;
}

/* The path that the host gets: the program's own executable in place of Quire's. */
static uint64_t path_to_open(struct thread *thread, struct bounce *bounce, uint64_t address)
{
	const uint64_t copy = bounce_path(bounce, address);
	const char *path = bounce_pointer(copy);

	return path ? (uint64_t)(uintptr_t)proc_path(thread, path) : copy;
}

static int64_t do_open(struct thread *thread, const uint64_t args[4])
{
	struct bounce bounce;
	int error = (int)args[0] == AT_FDCWD ? 0 : check_fd(thread, (int)args[0]);
	uint64_t path;
	int64_t fd;

	if (error)
		return error;
	bounce_begin(&bounce, thread);
	path = path_to_open(thread, &bounce, args[1]);
	fd = bounce_call(&bounce, thread, __NR_openat,
			 (const uint64_t[6]){args[0], path, without_truncation(args[2]), args[3]},
			 true);
	bounce_end(&bounce);
	return opened(thread, fd, args[2]);
}

static int64_t sys_open(struct thread *thread, const uint64_t args[6])
{
	return do_open(thread, (const uint64_t[4]){(uint64_t)AT_FDCWD, args[0], args[1], args[2]});
}

static int64_t sys_creat(struct thread *thread, const uint64_t args[6])
{
	return do_open(thread, (const uint64_t[4]){(uint64_t)AT_FDCWD, args[0],
						   O_CREAT | O_WRONLY | O_TRUNC, args[1]});
}

static int64_t sys_openat(struct thread *thread, const uint64_t args[6])
{
	return do_open(thread, args);
}

static int64_t sys_openat2(struct thread *thread, const uint64_t args[6])
{
	struct open_how *how;
	struct bounce bounce;
	int error = (int)args[0] == AT_FDCWD ? 0 : check_fd(thread, (int)args[0]);
	uint64_t flags = 0, path, copy;
	int64_t fd;

	if (error)
		return error;
	if (args[3] < sizeof(*how))
		return -EINVAL;
	if (args[3] > PAGE_SIZE)
		return -E2BIG;
	bounce_begin(&bounce, thread);
	path = path_to_open(thread, &bounce, args[1]);
	copy = bounce_in(&bounce, args[2], args[3]);
	how = bounce_pointer(copy);
	if (how) {
		flags = how->flags;
		how->flags = without_truncation(flags);
	}
	fd = bounce_call(&bounce, thread, __NR_openat2,
			 (const uint64_t[6]){args[0], path, copy, args[3]}, true);
	bounce_end(&bounce);
	return opened(thread, fd, flags);
}

static const char note[] = "files of /proc/self show the program as Quire has it; O_TRUNC reaches "
			   "mapped pages";

static const struct syscall_row rows[] = {
	ROW_OWN(open, HOW_FILE, SYSCALL_RESTART | SYSCALL_BLOCKS, note, A_PATH(pathname),
		A_INT(flags), A_INT(mode)),
	ROW_OWN(creat, HOW_FILE, SYSCALL_RESTART | SYSCALL_BLOCKS, note, A_PATH(pathname),
		A_INT(mode)),
	ROW_OWN(openat, HOW_FILE, SYSCALL_RESTART | SYSCALL_BLOCKS, note, A_DIRFD(dirfd),
		A_PATH(pathname), A_INT(flags), A_INT(mode)),
	ROW_OWN(openat2, HOW_FILE, SYSCALL_RESTART | SYSCALL_BLOCKS, note, A_DIRFD(dirfd),
		A_PATH(pathname), A_IN_BYTES(how, 3, 1), A_LONG(size)),
};
SYSCALL_FAMILY(open_calls, "Opening files", rows);
