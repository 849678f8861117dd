/* SPDX-License-Identifier: MIT */
/*
 * Calls on files by name or descriptor that are the host's alone: metadata, links, directories,
 * file systems. Only the name of the program's own executable is Quire's.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "run/file/mapped_file.h"
#include "run/proc/proc.h"
#include "run/syscall/bounce.h"
#include "run/syscall/families.h"
#include "run/syscall/rows.h"
#include "run/user/user.h"

/* As readlink(2) of a link that is Quire's to tell; 0: the path names another. */
static int64_t read_own_link(struct thread *thread, uint64_t address, uint64_t buffer,
			     uint64_t bytes)
{
	char path[64];
	char target[PATH_MAX];
	int64_t length;

	if (strncpy_from_user(thread_mm(thread), path, address, sizeof(path)) < 0 ||
	    (int32_t)bytes <= 0)
		return 0;
	length = proc_readlink(thread, path, target, min_u64((uint32_t)bytes, sizeof(target)));
	if (length > 0 && copy_to_user(thread_mm(thread), buffer, target, (uint64_t)length))
		return -EFAULT;
	return length;
}

static int64_t sys_readlink(struct thread *thread, const uint64_t args[6])
{
	int64_t length = read_own_link(thread, args[0], args[1], args[2]);

	return length ? length : host_call(thread, syscall_row(__NR_readlink), args);
}

static int64_t sys_readlinkat(struct thread *thread, const uint64_t args[6])
{
	int64_t length = read_own_link(thread, args[1], args[2], args[3]);

	return length ? length : host_call(thread, syscall_row(__NR_readlinkat), args);
}

/* The directory of the process's threads: some programs count them by its links. */
static bool may_be_task_directory(mode_t mode, uint64_t bytes, uint64_t links)
{
	return S_ISDIR(mode) && !bytes && links > 2;
}

/* `address`: of Quire's copy. */
static void look_at_stat(struct thread *thread, uint64_t address)
{
	struct stat *status = as_pointer(address);
	uint64_t links = status->st_nlink;

	if (!may_be_task_directory(status->st_mode, (uint64_t)status->st_size, links))
		return;
	proc_correct_links(thread, status->st_dev, status->st_ino, &links);
	status->st_nlink = links;
}

static void look_at_statx(struct thread *thread, uint64_t address)
{
	struct statx *status = as_pointer(address);
	uint64_t links = status->stx_nlink;

	if (!may_be_task_directory(status->stx_mode, status->stx_size, links))
		return;
	proc_correct_links(thread, makedev(status->stx_dev_major, status->stx_dev_minor),
			   status->stx_ino, &links);
	status->stx_nlink = (uint32_t)links;
}

static void look_stat(struct thread *thread, const uint64_t args[6])
{
	look_at_stat(thread, args[1]);
}

static void look_newfstatat(struct thread *thread, const uint64_t args[6])
{
	look_at_stat(thread, args[2]);
}

static void look_statx(struct thread *thread, const uint64_t args[6])
{
	look_at_statx(thread, args[4]);
}

static int64_t sys_stat(struct thread *thread, const uint64_t args[6])
{
	return host_call_look_at(thread, syscall_row(__NR_stat), args, look_stat);
}

static int64_t sys_fstat(struct thread *thread, const uint64_t args[6])
{
	return host_call_look_at(thread, syscall_row(__NR_fstat), args, look_stat);
}

static int64_t sys_lstat(struct thread *thread, const uint64_t args[6])
{
	return host_call_look_at(thread, syscall_row(__NR_lstat), args, look_stat);
}

static int64_t sys_newfstatat(struct thread *thread, const uint64_t args[6])
{
	return host_call_look_at(thread, syscall_row(__NR_newfstatat), args, look_newfstatat);
}

static int64_t sys_statx(struct thread *thread, const uint64_t args[6])
{
	return host_call_look_at(thread, syscall_row(__NR_statx), args, look_statx);
}

/* What is only in Quire's cache must reach the host's file before the host writes it. */
static int64_t sys_sync(struct thread *thread, const uint64_t args[6])
{
	/* sync(2) has no way to tell of an error: fsync(2) of the file will. */
	(void)mapped_sync_all(thread->process->run);
	return host_syscall(__NR_sync, args);
}

static int64_t sys_syncfs(struct thread *thread, const uint64_t args[6])
{
	int error = check_fd(thread, (int)args[0]);

	if (!error)
		error = mapped_sync_all(thread->process->run);
	return error ? error : host_syscall(__NR_syncfs, args);
}

static const char stat_note[] = "/proc/self/task has a link for each of the program's threads";

static const struct syscall_row rows[] = {
	ROW_OWN(stat, HOW_HOST, 0, stat_note, A_FILE(pathname), A_OUT(statbuf, BYTES_STAT)),
	ROW_OWN(fstat, HOW_HOST, 0, stat_note, A_FD(fd), A_OUT(statbuf, BYTES_STAT)),
	ROW_OWN(lstat, HOW_HOST, 0, stat_note, A_PATH(pathname), A_OUT(statbuf, BYTES_STAT)),
	ROW_OWN(newfstatat, HOW_HOST, 0, stat_note, A_DIRFD(dirfd), A_FILE_AT(pathname, 3),
		A_OUT(statbuf, BYTES_STAT), A_INT(flags)),
	ROW_OWN(statx, HOW_HOST, 0, stat_note, A_DIRFD(dirfd), A_FILE_AT(pathname, 2), A_INT(flags),
		A_INT(mask), A_OUT(statxbuf, BYTES_STATX)),
	ROW_HOST(access, 0, A_FILE(pathname), A_INT(mode)),
	ROW_HOST(faccessat, 0, A_DIRFD(dirfd), A_FILE(pathname), A_INT(mode)),
	ROW_HOST(faccessat2, 0, A_DIRFD(dirfd), A_FILE_AT(pathname, 3), A_INT(mode), A_INT(flags)),
	ROW_HOST(chmod, 0, A_FILE(pathname), A_INT(mode)),
	ROW_HOST(fchmod, 0, A_FD(fd), A_INT(mode)),
	ROW_HOST(fchmodat, 0, A_DIRFD(dirfd), A_FILE(pathname), A_INT(mode)),
	ROW_HOST(fchmodat2, 0, A_DIRFD(dirfd), A_FILE_AT(pathname, 3), A_INT(mode), A_INT(flags)),
	ROW_HOST(chown, 0, A_FILE(pathname), A_INT(owner), A_INT(group)),
	ROW_HOST(fchown, 0, A_FD(fd), A_INT(owner), A_INT(group)),
	ROW_HOST(lchown, 0, A_PATH(pathname), A_INT(owner), A_INT(group)),
	ROW_HOST(fchownat, 0, A_DIRFD(dirfd), A_FILE_AT(pathname, 4), A_INT(owner), A_INT(group),
		 A_INT(flags)),
	ROW_HOST(utime, 0, A_FILE(filename), A_IN(times, 16)),
	ROW_HOST(utimes, 0, A_FILE(filename), A_IN(times, 2 * BYTES_TIMEVAL)),
	ROW_HOST(futimesat, 0, A_DIRFD(dirfd), A_FILE(pathname), A_IN(times, 2 * BYTES_TIMEVAL)),
	ROW_HOST(utimensat, 0, A_DIRFD(dirfd), A_FILE_AT(pathname, 3),
		 A_IN(times, 2 * BYTES_TIMESPEC), A_INT(flags)),
	ROW_HOST(file_getattr, 0, A_DIRFD(dirfd), A_PATH(pathname), A_INOUT_BYTES(attr, 3, 1),
		 A_LONG(size), A_INT(at_flags)),
	ROW_HOST(file_setattr, 0, A_DIRFD(dirfd), A_PATH(pathname), A_IN_BYTES(attr, 3, 1),
		 A_LONG(size), A_INT(at_flags)),

	ROW_HOST(link, 0, A_PATH(oldpath), A_PATH(newpath)),
	ROW_HOST(linkat, 0, A_DIRFD(olddirfd), A_PATH(oldpath), A_DIRFD(newdirfd), A_PATH(newpath),
		 A_INT(flags)),
	ROW_HOST(symlink, 0, A_PATH(target), A_PATH(linkpath)),
	ROW_HOST(symlinkat, 0, A_PATH(target), A_DIRFD(newdirfd), A_PATH(linkpath)),
	ROW_OWN(readlink, HOW_HOST, 0, "/proc/self/exe is the program", A_PATH(pathname),
		A_OUT_BYTES(buf, 2, 1), A_INT(bufsiz)),
	ROW_OWN(readlinkat, HOW_HOST, 0, "/proc/self/exe is the program", A_DIRFD(dirfd),
		A_PATH(pathname), A_OUT_BYTES(buf, 3, 1), A_INT(bufsiz)),
	ROW_HOST(unlink, 0, A_PATH(pathname)),
	ROW_HOST(unlinkat, 0, A_DIRFD(dirfd), A_PATH(pathname), A_INT(flags)),
	ROW_HOST(rename, 0, A_PATH(oldpath), A_PATH(newpath)),
	ROW_HOST(renameat, 0, A_DIRFD(olddirfd), A_PATH(oldpath), A_DIRFD(newdirfd),
		 A_PATH(newpath)),
	ROW_HOST(renameat2, 0, A_DIRFD(olddirfd), A_PATH(oldpath), A_DIRFD(newdirfd),
		 A_PATH(newpath), A_INT(flags)),
	ROW_HOST(mkdir, 0, A_PATH(pathname), A_INT(mode)),
	ROW_HOST(mkdirat, 0, A_DIRFD(dirfd), A_PATH(pathname), A_INT(mode)),
	ROW_HOST(rmdir, 0, A_PATH(pathname)),
	ROW_HOST(mknod, 0, A_PATH(pathname), A_INT(mode), A_LONG(dev)),
	ROW_HOST(mknodat, 0, A_DIRFD(dirfd), A_PATH(pathname), A_INT(mode), A_LONG(dev)),
	ROW_HOST(umask, 0, A_INT(mask)),

	ROW_HOST(getcwd, 0, A_OUT_BYTES(buf, 1, 1), A_LONG(size)),
	ROW_HOST(chdir, 0, A_PATH(path)),
	ROW_HOST(fchdir, 0, A_FD(fd)),
	ROW_HOST(chroot, 0, A_PATH(path)),

	ROW_HOST(statfs, 0, A_FILE(path), A_OUT(buf, BYTES_STATFS)),
	ROW_HOST(fstatfs, 0, A_FD(fd), A_OUT(buf, BYTES_STATFS)),
	ROW_HOST(ustat, 0, A_INT(dev), A_OUT(ubuf, 32)),
	ROW_OWN(sync, HOW_FILE, 0, "dirty mapped pages are written first", {NULL, 0, 0, 0}),
	ROW_OWN(syncfs, HOW_FILE, 0, "dirty mapped pages are written first", A_FD(fd)),
	ROW_HOST(flock, SYSCALL_RESTART | SYSCALL_BLOCKS, A_FD(fd), A_INT(operation)),
};
SYSCALL_FAMILY(path_calls, "Files by name", rows);
