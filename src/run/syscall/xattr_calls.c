/* SPDX-License-Identifier: MIT */
/*
 * Extended attributes, all the host's.
 */
#include <errno.h>
#include <string.h>

#include "run/syscall/bounce.h"
#include "run/syscall/families.h"
#include "run/syscall/rows.h"
#include "run/user/user.h"

/* One more than the longest name, so that the host sees a longer one as such. */
#define NAME_LIMIT 256

/* Argument of setxattrat(2) and getxattrat(2). */
struct xattr_args {
	uint64_t value;
	uint32_t size;
	uint32_t flags;
};

static int64_t call_with_args(struct thread *thread, long number, const uint64_t args[6], bool get)
{
	struct bounce bounce;
	struct xattr_args given;
	uint64_t copy, bytes, host_args[6];
	int64_t result = (int)args[0] < 0 ? 0 : check_fd(thread, (int)args[0]);

	if (result)
		return result;
	if (args[5] != sizeof(given))
		return args[5] < sizeof(given) ? -EINVAL : -E2BIG;
	if (copy_from_user(thread_mm(thread), &given, args[4], sizeof(given)))
		return -EFAULT;
	bounce_begin(&bounce, thread);
	memcpy(host_args, args, sizeof(host_args));
	host_args[1] = bounce_path(&bounce, args[1]);
	host_args[3] = bounce_string(&bounce, args[3], NAME_LIMIT);
	copy = given.value;
	bytes = given.size;
	given.value = get ? bounce_room(&bounce, copy, &bytes) : bounce_in(&bounce, copy, bytes);
	if (bounce_pointer(given.value))
		given.size = (uint32_t)bytes;
	host_args[4] = as_number(&given);
	result = bounce_call(&bounce, thread, number, host_args, false);
	if (get && result > 0 && given.size &&
	    copy_to_user(thread_mm(thread), copy, bounce_pointer(given.value),
			 min_u64((uint64_t)result, given.size)))
		result = -EFAULT;
	bounce_end(&bounce);
	return result;
}

static int64_t sys_setxattrat(struct thread *thread, const uint64_t args[6])
{
	return call_with_args(thread, __NR_setxattrat, args, false);
}

static int64_t sys_getxattrat(struct thread *thread, const uint64_t args[6])
{
	return call_with_args(thread, __NR_getxattrat, args, true);
}

#define NAME A_STRING(name, NAME_LIMIT)

static const struct syscall_row rows[] = {
	ROW_HOST(setxattr, 0, A_FILE(path), NAME, A_IN_BYTES(value, 3, 1), A_LONG(size),
		 A_INT(flags)),
	ROW_HOST(lsetxattr, 0, A_PATH(path), NAME, A_IN_BYTES(value, 3, 1), A_LONG(size),
		 A_INT(flags)),
	ROW_HOST(fsetxattr, 0, A_FD(fd), NAME, A_IN_BYTES(value, 3, 1), A_LONG(size), A_INT(flags)),
	ROW_OWN(setxattrat, HOW_HOST, 0, NULL, A_DIRFD(dirfd), A_PATH(path), A_INT(at_flags), NAME,
		A_IN_BYTES(args, 5, 1), A_LONG(size)),
	ROW_HOST(getxattr, 0, A_FILE(path), NAME, A_OUT_BYTES(value, 3, 1), A_LONG(size)),
	ROW_HOST(lgetxattr, 0, A_PATH(path), NAME, A_OUT_BYTES(value, 3, 1), A_LONG(size)),
	ROW_HOST(fgetxattr, 0, A_FD(fd), NAME, A_OUT_BYTES(value, 3, 1), A_LONG(size)),
	ROW_OWN(getxattrat, HOW_HOST, 0, NULL, A_DIRFD(dirfd), A_PATH(path), A_INT(at_flags), NAME,
		A_IN_BYTES(args, 5, 1), A_LONG(size)),
	ROW_HOST(listxattr, 0, A_FILE(path), A_OUT_BYTES(list, 2, 1), A_LONG(size)),
	ROW_HOST(llistxattr, 0, A_PATH(path), A_OUT_BYTES(list, 2, 1), A_LONG(size)),
	ROW_HOST(flistxattr, 0, A_FD(fd), A_OUT_BYTES(list, 2, 1), A_LONG(size)),
	ROW_HOST(listxattrat, 0, A_DIRFD(dirfd), A_PATH(path), A_INT(at_flags),
		 A_OUT_BYTES(list, 4, 1), A_LONG(size)),
	ROW_HOST(removexattr, 0, A_FILE(path), NAME),
	ROW_HOST(lremovexattr, 0, A_PATH(path), NAME),
	ROW_HOST(fremovexattr, 0, A_FD(fd), NAME),
	ROW_HOST(removexattrat, 0, A_DIRFD(dirfd), A_PATH(path), A_INT(at_flags), NAME),
};
SYSCALL_FAMILY(xattr_calls, "Extended attributes", rows);
