/* SPDX-License-Identifier: MIT */
/*
 * Listing directories. The host lists them; from those of /proc that list descriptors, threads and
 * mappings, Quire's own are left out.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "run/proc/proc.h"
#include "run/syscall/bounce.h"
#include "run/syscall/families.h"
#include "run/syscall/rows.h"
#include "run/user/user.h"

/* Both forms of an entry begin with inode and offset, followed by the record's length. */
#define RECORD_LENGTH 16
#define DIRENT_NAME 18
#define DIRENT64_NAME 19

static bool is_hidden(struct thread *thread, enum proc_directory directory, const char *name)
{
	const bool number = name[0] >= '0' && name[0] <= '9';

	switch (directory) {
	case PROC_DIRECTORY_FD:
		return number && run_fd_is_private(thread->process->run, atoi(name));
	case PROC_DIRECTORY_TASK:
		return number && proc_hides_thread(thread, atoi(name));
	case PROC_DIRECTORY_MAP_FILES:
		/* They are mappings of the host process. */
		return name[0] != '.';
	default:
		return false;
	}
}

/* Takes the entries that are hidden out: the bytes that are left. */
static int64_t hide_entries(struct thread *thread, char *entries, int64_t bytes, size_t name,
			    enum proc_directory directory)
{
	int64_t kept = 0;

	for (int64_t at = 0; entries && at < bytes;) {
		uint16_t length;
		char *entry = entries + at;

		memcpy(&length, entry + RECORD_LENGTH, sizeof(length));
		at += length;
		if (is_hidden(thread, directory, entry + name))
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
	enum proc_directory directory;
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
		directory = result > 0 ? proc_directory_kind(thread, (int)args[0])
				       : PROC_DIRECTORY_OTHER;
		if (directory != PROC_DIRECTORY_OTHER)
			kept = hide_entries(thread, bounce_pointer(buffer), result, name,
					    directory);
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
	"/proc/self/fd and task without Quire's own; nothing in /proc/self/map_files";

static const struct syscall_row rows[] = {
	ROW_OWN(getdents, HOW_HOST, 0, note, A_FD(fd), A_OUT_BYTES(dirp, 2, 1), A_INT(count)),
	ROW_OWN(getdents64, HOW_HOST, 0, note, A_FD(fd), A_OUT_BYTES(dirp, 2, 1), A_INT(count)),
};
SYSCALL_FAMILY(directory_calls, "Directories", rows);
