/* SPDX-License-Identifier: MIT */
/*
 * Listing directories. The host lists them; from those of /proc that list descriptors and mappings,
 * Quire's own are left out.
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

/* What is left out of a directory's entries. */
enum hidden {
	HIDDEN_NONE,
	HIDDEN_DESCRIPTORS, /* numbers of Quire's own */
	HIDDEN_ALL,         /* of map_files: they are mappings of the host process */
};

static bool ends_with(const char *text, int64_t length, const char *end)
{
	const int64_t bytes = (int64_t)strlen(end);

	return length >= bytes && !memcmp(text + length - bytes, end, (size_t)bytes);
}

static enum hidden hidden_in(int fd)
{
	struct statfs filesystem;
	char target[PATH_MAX];
	int64_t length;

	if (host_syscall(__NR_fstatfs,
			 (const uint64_t[6]){(uint64_t)fd, (uint64_t)(uintptr_t)&filesystem}) ||
	    filesystem.f_type != PROC_SUPER_MAGIC)
		return HIDDEN_NONE;
	length = descriptor_link(fd, target, sizeof(target));
	if (ends_with(target, length, "/fd") || ends_with(target, length, "/fdinfo"))
		return HIDDEN_DESCRIPTORS;
	return ends_with(target, length, "/map_files") ? HIDDEN_ALL : HIDDEN_NONE;
}

static bool is_hidden(const struct thread *thread, enum hidden hidden, const char *name)
{
	if (hidden == HIDDEN_ALL)
		return name[0] != '.';
	return run_fd_is_private(thread->process->run, atoi(name));
}

/* Takes the entries that are hidden out: the bytes that are left. */
static int64_t hide_entries(const struct thread *thread, char *entries, int64_t bytes, size_t name,
			    enum hidden hidden)
{
	int64_t kept = 0;

	for (int64_t at = 0; entries && at < bytes;) {
		uint16_t length;
		char *entry = entries + at;

		memcpy(&length, entry + RECORD_LENGTH, sizeof(length));
		at += length;
		if (is_hidden(thread, hidden, entry + name))
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
	enum hidden hidden;
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
		hidden = result > 0 ? hidden_in((int)args[0]) : HIDDEN_NONE;
		if (hidden != HIDDEN_NONE)
			kept = hide_entries(thread, bounce_pointer(buffer), result, name, hidden);
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

static const char note[] =
	"/proc/self/fd without Quire's own descriptors; nothing in /proc/self/map_files";

static const struct syscall_row rows[] = {
	ROW_OWN(getdents, HOW_HOST, 0, note, A_FD(fd), A_OUT_BYTES(dirp, 2, 1), A_INT(count)),
	ROW_OWN(getdents64, HOW_HOST, 0, note, A_FD(fd), A_OUT_BYTES(dirp, 2, 1), A_INT(count)),
};
SYSCALL_FAMILY(directory_calls, "Directories", rows);
