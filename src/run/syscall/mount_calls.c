/* SPDX-License-Identifier: MIT */
/*
 * Mounting file systems, and files by handle.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <string.h>

#include "run/syscall/bounce.h"
#include "run/syscall/descriptor.h"
#include "run/syscall/families.h"
#include "run/syscall/rows.h"
#include "run/user/user.h"

#define BINARY_VALUE_MOST (1024 * 1024)

/* The kernel takes a page of data, or as much of it as there is. */
static uint64_t mount_data(struct bounce *bounce, uint64_t address)
{
	char *copy;

	if (!address)
		return 0;
	copy = bounce_alloc(bounce, PAGE_SIZE);
	if (!copy)
		return BAD_POINTER;
	memset(copy, 0, PAGE_SIZE);
	if (!copy_some_from_user(bounce->mm, copy, address, PAGE_SIZE))
		return BAD_POINTER;
	return as_number(copy);
}

static int64_t sys_mount(struct thread *thread, const uint64_t args[6])
{
	struct bounce bounce;
	uint64_t host_args[6] = {0};

	bounce_begin(&bounce, thread);
	host_args[0] = bounce_path(&bounce, args[0]);
	host_args[1] = bounce_path(&bounce, args[1]);
	host_args[2] = bounce_string(&bounce, args[2], PAGE_SIZE);
	host_args[3] = args[3];
	host_args[4] = mount_data(&bounce, args[4]);
	return bounce_finish(&bounce, bounce_call(&bounce, thread, __NR_mount, host_args, true));
}

static int64_t sys_fsconfig(struct thread *thread, const uint64_t args[6])
{
	struct bounce bounce;
	uint64_t host_args[6] = {args[0], args[1], 0, args[3], args[4], 0};
	int64_t error = check_fd(thread, (int)args[0]);

	if (error)
		return error;
	bounce_begin(&bounce, thread);
	host_args[2] = bounce_string(&bounce, args[2], 256);
	switch ((uint32_t)args[1]) {
	case FSCONFIG_SET_STRING:
		host_args[3] = bounce_string(&bounce, args[3], 256);
		break;
	case FSCONFIG_SET_BINARY:
		host_args[3] = (int32_t)args[4] < 0 || (uint32_t)args[4] > BINARY_VALUE_MOST
				       ? BAD_POINTER
				       : bounce_in(&bounce, args[3], (uint32_t)args[4]);
		break;
	case FSCONFIG_SET_PATH:
	case FSCONFIG_SET_PATH_EMPTY:
		host_args[3] = bounce_path(&bounce, args[3]);
		error = check_fd(thread, (int)args[4]);
		break;
	case FSCONFIG_SET_FD:
		error = check_fd(thread, (int)args[4]);
		break;
	default:
		break;
	}
	if (error)
		bounce.error = (int)error;
	return bounce_finish(&bounce, bounce_call(&bounce, thread, __NR_fsconfig, host_args, true));
}

/* A handle as long as its first word says. */
static uint64_t handle_copy(struct bounce *bounce, uint64_t address, bool writes)
{
	uint32_t bytes;

	if (!address)
		return 0;
	if (copy_from_user(bounce->mm, &bytes, address, sizeof(bytes)))
		return BAD_POINTER;
	/* A longer one is refused by the host when it sees the length. */
	bytes = bytes > MAX_HANDLE_SZ ? 0 : bytes;
	return writes ? bounce_inout(bounce, address, sizeof(struct file_handle) + bytes)
		      : bounce_in(bounce, address, sizeof(struct file_handle) + bytes);
}

#ifndef AT_HANDLE_MNT_ID_UNIQUE
#define AT_HANDLE_MNT_ID_UNIQUE 1
#endif

static int64_t sys_name_to_handle_at(struct thread *thread, const uint64_t args[6])
{
	struct bounce bounce;
	const struct file_handle *handle;
	uint64_t host_args[6] = {args[0], 0, 0, 0, args[4], 0};
	int64_t result = (int)args[0] == AT_FDCWD ? 0 : check_fd(thread, (int)args[0]);

	if (result)
		return result;
	bounce_begin(&bounce, thread);
	host_args[1] = bounce_path(&bounce, args[1]);
	host_args[2] = handle_copy(&bounce, args[2], true);
	host_args[3] =
		bounce_inout(&bounce, args[3],
			     args[4] & AT_HANDLE_MNT_ID_UNIQUE ? sizeof(uint64_t) : sizeof(int));
	result = bounce_call(&bounce, thread, __NR_name_to_handle_at, host_args, false);
	/* A handle without enough room learns how much it needs. */
	handle = bounce_pointer(host_args[2]);
	if (result == -EOVERFLOW && handle &&
	    copy_to_user(thread_mm(thread), args[2], &handle->handle_bytes,
			 sizeof(handle->handle_bytes)))
		result = -EFAULT;
	return bounce_finish(&bounce, result);
}

static int64_t sys_open_by_handle_at(struct thread *thread, const uint64_t args[6])
{
	struct bounce bounce;
	uint64_t handle;
	int64_t fd = (int)args[0] == AT_FDCWD ? 0 : check_fd(thread, (int)args[0]);

	if (fd)
		return fd;
	bounce_begin(&bounce, thread);
	handle = handle_copy(&bounce, args[1], false);
	fd = bounce_call(&bounce, thread, __NR_open_by_handle_at,
			 (const uint64_t[6]){args[0], handle, args[2]}, true);
	bounce_end(&bounce);
	return opened(thread, fd, args[2]);
}

static const struct syscall_row rows[] = {
	ROW_OWN(mount, HOW_HOST, 0, NULL, A_PATH(source), A_PATH(target), A_STRING(fstype, 4096),
		A_LONG(flags), A_IN(data, 4096)),
	ROW_HOST(umount2, 0, A_PATH(target), A_INT(flags)),
	ROW_HOST(pivot_root, 0, A_PATH(new_root), A_PATH(put_old)),
	ROW_HOST(open_tree, SYSCALL_NEW_FD, A_DIRFD(dirfd), A_PATH(pathname), A_INT(flags)),
	ROW_HOST(open_tree_attr, SYSCALL_NEW_FD, A_DIRFD(dirfd), A_PATH(pathname), A_INT(flags),
		 A_IN_BYTES(attr, 4, 1), A_LONG(size)),
	ROW_HOST(move_mount, 0, A_DIRFD(from_dirfd), A_PATH(from_pathname), A_DIRFD(to_dirfd),
		 A_PATH(to_pathname), A_INT(flags)),
	ROW_HOST(fsopen, SYSCALL_NEW_FD, A_STRING(fsname, PATH_MAX), A_INT(flags)),
	ROW_OWN(fsconfig, HOW_HOST, 0, NULL, A_FD(fd), A_INT(cmd), A_STRING(key, 256),
		A_LONG(value), A_INT(aux)),
	ROW_HOST(fsmount, SYSCALL_NEW_FD, A_FD(fsfd), A_INT(flags), A_INT(attr_flags)),
	ROW_HOST(fspick, SYSCALL_NEW_FD, A_DIRFD(dirfd), A_PATH(pathname), A_INT(flags)),
	ROW_HOST(mount_setattr, 0, A_DIRFD(dirfd), A_PATH(pathname), A_INT(flags),
		 A_IN_BYTES(attr, 4, 1), A_LONG(size)),
	ROW_HOST(statmount, 0, A_IN_SIZED(req, 24), A_OUT_ALL(buf, 2, 1), A_LONG(bufsize),
		 A_INT(flags)),
	ROW_HOST(listmount, 0, A_IN_SIZED(req, 24), A_OUT_BYTES(mnt_ids, 2, 8), A_LONG(nr_mnt_ids),
		 A_INT(flags)),
	ROW_OWN(name_to_handle_at, HOW_HOST, 0, NULL, A_DIRFD(dirfd), A_PATH(pathname),
		A_INOUT(handle, 8), A_OUT(mount_id, 4), A_INT(flags)),
	ROW_OWN(open_by_handle_at, HOW_FILE, SYSCALL_RESTART | SYSCALL_BLOCKS, NULL,
		A_DIRFD(mount_fd), A_IN(handle, 8), A_INT(flags)),
};
SYSCALL_FAMILY(mount_calls, "Mounts and handles", rows);
