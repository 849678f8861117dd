/* SPDX-License-Identifier: MIT */
/*
 * ioctl(2): only requests whose argument is known, since the host would take a pointer hidden in
 * a structure for one into Quire. All others answer ENOTTY, as from a device that does not have
 * them, and each is named once on standard error.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <pthread.h>
#include <stdio.h>

#include "run/file/mapped_file.h"
#include "run/syscall/bounce.h"
#include "run/syscall/families.h"
#include "run/syscall/ioctl_table.h"
#include "run/syscall/rows.h"
#include "run/user/user.h"

/* A buffer is never smaller: a device may take the number of a request for another one's. */
#define ROOM_LEAST 1024
#define NAMED_MOST 64
#define WHOLE_FILE ((uint64_t)INT64_MAX)

static void name_unknown(uint32_t request)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static uint32_t named[NAMED_MOST];
	static uint32_t nr_named;
	bool is_new = true;

	pthread_mutex_lock(&lock);
	for (uint32_t i = 0; i < nr_named && is_new; i++)
		is_new = named[i] != request;
	is_new = is_new && nr_named < NAMED_MOST;
	if (is_new)
		named[nr_named++] = request;
	pthread_mutex_unlock(&lock);
	if (is_new)
		fprintf(stderr, "quire: ioctl request 0x%x is not known: ENOTTY\n", request);
}

static int64_t call_with(struct bounce *bounce, struct thread *thread, const uint64_t args[6],
			 uint64_t argument)
{
	return bounce_call(bounce, thread, __NR_ioctl,
			   (const uint64_t[6]){args[0], args[1], argument}, true);
}

static int64_t call_known(struct thread *thread, const struct ioctl_request *request,
			  const uint64_t args[6])
{
	struct bounce bounce;
	uint64_t argument = args[2];
	int64_t result;

	bounce_begin(&bounce, thread);
	if (request->argument == IOCTL_IN)
		argument = bounce_in(&bounce, args[2], request->bytes);
	else if (request->argument == IOCTL_OUT)
		argument = bounce_out(&bounce, args[2], request->bytes);
	else if (request->argument == IOCTL_INOUT)
		argument = bounce_inout(&bounce, args[2], request->bytes);
	if (request->argument != IOCTL_VALUE)
		(void)bounce_alloc(&bounce, ROOM_LEAST);
	result = call_with(&bounce, thread, args, argument);
	if (request->new_fd)
		result = check_new_fd(thread, result);
	return bounce_finish(&bounce, result);
}

/* The list of extents follows the request, as long as the program says. */
static int64_t call_fiemap(struct thread *thread, const uint64_t args[6])
{
	const uint64_t extents_most =
		(BOUNCE_MAX - sizeof(struct fiemap)) / sizeof(struct fiemap_extent);
	struct fiemap request;
	struct bounce bounce;
	uint64_t bytes = sizeof(request);

	if (copy_from_user(thread_mm(thread), &request, args[2], sizeof(request)))
		return -EFAULT;
	if (request.fm_extent_count > extents_most)
		return -EINVAL;
	bytes += request.fm_extent_count * sizeof(struct fiemap_extent);
	bounce_begin(&bounce, thread);
	return bounce_finish(
		&bounce, call_with(&bounce, thread, args, bounce_inout(&bounce, args[2], bytes)));
}

/* struct ifconf points to room for the interfaces; without it, the host says how much is needed. */
static int64_t call_ifconf(struct thread *thread, const uint64_t args[6])
{
	struct ifconf given, request;
	struct bounce bounce;
	uint64_t room, bytes;
	int64_t result;

	if (copy_from_user(thread_mm(thread), &given, args[2], sizeof(given)))
		return -EFAULT;
	request = given;
	if (given.ifc_len < 0)
		return -EINVAL;
	bytes = (uint64_t)given.ifc_len;
	bounce_begin(&bounce, thread);
	room = bounce_room(&bounce, as_number(given.ifc_buf), &bytes);
	request.ifc_buf = (char *)(uintptr_t)room;
	request.ifc_len = (int)bytes;
	result = call_with(&bounce, thread, args, as_number(&request));
	if (!result && bounce_pointer(room) &&
	    copy_to_user(thread_mm(thread), as_number(given.ifc_buf), bounce_pointer(room),
			 min_u64((uint64_t)request.ifc_len, bytes)))
		result = -EFAULT;
	if (!result &&
	    copy_to_user(thread_mm(thread), args[2], &request.ifc_len, sizeof(request.ifc_len)))
		result = -EFAULT;
	bounce_end(&bounce);
	return result;
}

/* The host takes blocks of another file: that one must be whole on the host, and what this one has
 * cached is given up. */
static int64_t call_clone(struct thread *thread, const uint64_t args[6], uint64_t source,
			  uint64_t argument)
{
	struct run *run = thread->process->run;
	struct mapped_change change;
	struct inode *from;
	int64_t result;

	result = check_fd(thread, (int)source);
	if (result)
		return result;
	from = mapped_inode(run, (int)source);
	if (from) {
		result = mapped_read_begin(from, 0, WHOLE_FILE);
		iput(from);
	}
	if (!result)
		result = mapped_rewrite_begin(run, (int)args[0], 0, WHOLE_FILE, &change);
	if (result)
		return result;
	result = host_syscall(__NR_ioctl, (const uint64_t[6]){args[0], args[1], argument});
	mapped_rewrite_end(&change);
	return result;
}

static int64_t call_clone_range(struct thread *thread, const uint64_t args[6])
{
	struct file_clone_range range;

	if (copy_from_user(thread_mm(thread), &range, args[2], sizeof(range)))
		return -EFAULT;
	return call_clone(thread, args, (uint64_t)range.src_fd, as_number(&range));
}

static int64_t sys_ioctl(struct thread *thread, const uint64_t args[6])
{
	const struct ioctl_request *request;
	int error = check_fd(thread, (int)args[0]);

	if (error)
		return error;
	switch ((uint32_t)args[1]) {
	case FS_IOC_FIEMAP:
		return call_fiemap(thread, args);
	case SIOCGIFCONF:
		return call_ifconf(thread, args);
	case FICLONE:
		return call_clone(thread, args, args[2], args[2]);
	case FICLONERANGE:
		return call_clone_range(thread, args);
	default:
		break;
	}
	request = ioctl_request((uint32_t)args[1]);
	if (request)
		return call_known(thread, request, args);
	/* A closed descriptor is the program's mistake, not an unknown request. */
	if (host_syscall(__NR_fcntl, (const uint64_t[6]){args[0], F_GETFD}) == -EBADF)
		return -EBADF;
	name_unknown((uint32_t)args[1]);
	return -ENOTTY;
}

static const struct syscall_row rows[] = {
	ROW_OWN(ioctl, HOW_HOST, SYSCALL_RESTART | SYSCALL_BLOCKS,
		"requests of terminals, pipes, sockets, files, block devices, network interfaces, "
		"clocks; an unknown one answers ENOTTY and is named once on standard error",
		A_FD(fd), A_LONG(op), A_LONG(argp)),
};
SYSCALL_FAMILY(ioctl_calls, "Device control", rows);
