/* SPDX-License-Identifier: MIT */
/*
 * Listing directories. The host lists them; from those of /proc that list descriptors, Quire's own
 * are left out.
 */
#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#include "run/syscall/bounce.h"
#include "run/syscall/descriptor.h"
#include "run/syscall/families.h"
#include "run/syscall/rows.h"
#include "run/user/user.h"

/* Both forms of an entry begin with inode and offset, followed by the record's length. */
#define RECORD_LENGTH 16
#define DIRENT_NAME 18
#define DIRENT64_NAME 19

static bool lists_descriptors(int fd)
{
	struct statfs filesystem;
	char target[PATH_MAX];
	int64_t length;

	if (host_syscall(__NR_fstatfs,
			 (const uint64_t[6]){(uint64_t)fd, (uint64_t)(uintptr_t)&filesystem}) ||
	    filesystem.f_type != PROC_SUPER_MAGIC)
		return false;
	length = descriptor_link(fd, target, sizeof(target));
	if (length < 0)
		return false;
	return (length >= 3 && !strcmp(target + length - 3, "/fd")) ||
	       (length >= 7 && !strcmp(target + length - 7, "/fdinfo"));
}

/* Takes the entries of Quire's descriptors out: the bytes that are left. */
static int64_t hide_descriptors(const struct thread *thread, char *entries, int64_t bytes,
				size_t name)
{
	int64_t kept = 0;

	for (int64_t at = 0; at < bytes;) {
		uint16_t length;
		char *entry = entries + at;

		memcpy(&length, entry + RECORD_LENGTH, sizeof(length));
		at += length;
		if (run_fd_is_private(thread->process->run, atoi(entry + name)))
			continue;
		memmove(entries + kept, entry, length);
		kept += length;
	}
	return kept;
}

static int64_t list_directory(struct thread *thread, long number, const uint64_t args[6],
			      size_t name)
{
	struct bounce bounce;
	uint64_t bytes = (uint32_t)args[2];
	int error = check_fd(thread, (int)args[0]);
	uint64_t buffer;
	int64_t result, kept;

	if (error)
		return error;
	bounce_begin(&bounce, thread);
	buffer = bounce_room(&bounce, args[1], &bytes);
	do {
		result = bounce_call(&bounce, thread, number,
				     (const uint64_t[6]){args[0], buffer, bytes}, false);
		kept = result;
		if (result > 0 && lists_descriptors((int)args[0]))
			kept = hide_descriptors(thread, bounce_pointer(buffer), result, name);
	} while (result > 0 && !kept);
	if (kept > 0 &&
	    copy_to_user(thread_mm(thread), args[1], bounce_pointer(buffer), (uint64_t)kept))
		kept = -EFAULT;
	bounce_end(&bounce);
	return kept;
}

static int64_t sys_getdents(struct thread *thread, const uint64_t args[6])
{
	return list_directory(thread, __NR_getdents, args, DIRENT_NAME);
}

static int64_t sys_getdents64(struct thread *thread, const uint64_t args[6])
{
	return list_directory(thread, __NR_getdents64, args, DIRENT64_NAME);
}

static const char note[] = "Quire's own descriptors are left out of /proc/self/fd";

static const struct syscall_row rows[] = {
	ROW_OWN(getdents, HOW_HOST, 0, note, A_FD(fd), A_OUT_BYTES(dirp, 2, 1), A_INT(count)),
	ROW_OWN(getdents64, HOW_HOST, 0, note, A_FD(fd), A_OUT_BYTES(dirp, 2, 1), A_INT(count)),
};
SYSCALL_FAMILY(directory_calls, "Directories", rows);
