/* SPDX-License-Identifier: MIT */
/*
 * A system call passed to the host as the table describes its arguments.
 */
#include <errno.h>
#include <fcntl.h>

#include "run/proc/proc.h"
#include "run/syscall/bounce.h"
#include "run/syscall/table.h"
#include "run/user/user.h"

int64_t host_call_raw(struct thread *thread, long number, const uint64_t args[6], bool blocks)
{
	return blocks ? host_syscall_interruptible(thread, number, args)
		      : host_syscall(number, args);
}

struct host_arguments {
	const struct syscall_row *row;
	const uint64_t *given;
	uint64_t values[6]; /* for the host */
	uint64_t room[6];   /* ARG_OUT_BYTES: bytes that may be copied out */
	struct bounce bounce;
};

/* Bytes of a counted argument; UINT64_MAX: more than there can be, or a negative count. */
static uint64_t counted_bytes(const struct host_arguments *arguments, uint32_t i)
{
	const struct syscall_argument *argument = &arguments->row->args[i];
	uint64_t count = arguments->given[argument->of];

	if (arguments->row->args[argument->of].kind == ARG_INT) {
		if ((int32_t)count < 0)
			return UINT64_MAX;
		count = (uint32_t)count;
	}
	return count > UINT64_MAX / argument->size ? UINT64_MAX : count * argument->size;
}

/* The host may fill less than the program asked for: as much as is room for. */
static uint64_t translate_room(struct host_arguments *arguments, uint32_t i)
{
	const struct syscall_argument *argument = &arguments->row->args[i];
	uint64_t wanted = counted_bytes(arguments, i);
	uint64_t bytes = wanted;
	uint64_t value;

	if (wanted == UINT64_MAX && arguments->row->args[argument->of].kind == ARG_INT)
		return BAD_POINTER;
	value = bounce_room(&arguments->bounce, arguments->given[i], &bytes);
	if (!value || value == BAD_POINTER)
		return value;
	arguments->room[i] = bytes;
	if (bytes < wanted)
		arguments->values[argument->of] = bytes / argument->size;
	return value;
}

static uint64_t translate_file_path(struct thread *thread, struct host_arguments *arguments,
				    uint32_t i)
{
	const uint8_t flags = arguments->row->args[i].of;
	const uint64_t copy = bounce_path(&arguments->bounce, arguments->given[i]);
	const char *path = bounce_pointer(copy);

	if (!path || (flags && arguments->given[flags] & AT_SYMLINK_NOFOLLOW))
		return copy;
	return (uint64_t)(uintptr_t)proc_path(thread, path);
}

static uint64_t translate_pointer(struct thread *thread, struct host_arguments *arguments,
				  uint32_t i)
{
	const struct syscall_argument *argument = &arguments->row->args[i];
	const uint64_t given = arguments->given[i];
	struct bounce *bounce = &arguments->bounce;

	switch ((enum argument_kind)argument->kind) {
	case ARG_PATH:
		return bounce_path(bounce, given);
	case ARG_FILE_PATH:
		return translate_file_path(thread, arguments, i);
	case ARG_STRING:
		return bounce_string(bounce, given, argument->size);
	case ARG_IN:
		return bounce_in(bounce, given, argument->size);
	case ARG_IN_SIZED:
		return bounce_in_sized(bounce, given, argument->size);
	case ARG_OUT:
		return bounce_out(bounce, given, argument->size);
	case ARG_INOUT:
		return bounce_inout(bounce, given, argument->size);
	case ARG_IN_BYTES:
		return bounce_in(bounce, given, counted_bytes(arguments, i));
	case ARG_OUT_ALL:
		return bounce_out(bounce, given, counted_bytes(arguments, i));
	case ARG_INOUT_BYTES:
		return bounce_inout(bounce, given, counted_bytes(arguments, i));
	case ARG_OUT_BYTES:
		return translate_room(arguments, i);
	default:
		return given;
	}
}

static int check_descriptor(const struct thread *thread, enum argument_kind kind, uint64_t given)
{
	if (kind == ARG_FD)
		return check_fd(thread, (int)given);
	if (kind == ARG_DIRFD && (int)given != AT_FDCWD)
		return check_fd(thread, (int)given);
	return 0;
}

static int translate(struct thread *thread, struct host_arguments *arguments)
{
	for (uint32_t i = 0; i < 6; i++) {
		int error =
			check_descriptor(thread, (enum argument_kind)arguments->row->args[i].kind,
					 arguments->given[i]);

		if (error)
			return error;
		arguments->values[i] = arguments->given[i];
		arguments->room[i] = 0;
	}
	for (uint32_t i = 0; i < 6; i++)
		if (arguments->row->args[i].kind >= ARG_PATH)
			arguments->values[i] = translate_pointer(thread, arguments, i);
	return 0;
}

/* What calls with ARG_OUT_BYTES left: as many units as they answer. */
static int64_t copy_results(struct host_arguments *arguments, int64_t result)
{
	for (uint32_t i = 0; i < 6 && result > 0; i++) {
		uint64_t bytes = min_u64((uint64_t)result * arguments->row->args[i].size,
					 arguments->room[i]);

		if (bytes && copy_to_user(arguments->bounce.mm, arguments->given[i],
					  bounce_pointer(arguments->values[i]), bytes))
			return -EFAULT;
	}
	return result;
}

int64_t host_call_look_at(struct thread *thread, const struct syscall_row *row,
			  const uint64_t args[6], host_call_look *look)
{
	struct host_arguments arguments;
	int64_t result;

	arguments.row = row;
	arguments.given = args;
	bounce_begin(&arguments.bounce, thread);
	result = translate(thread, &arguments);
	if (!result)
		result = bounce_call(&arguments.bounce, thread, row->number, arguments.values,
				     row->flags & SYSCALL_BLOCKS);
	if (row->flags & SYSCALL_NEW_FD)
		result = check_new_fd(thread, result);
	if (look && result >= 0)
		look(thread, arguments.values);
	return bounce_finish(&arguments.bounce, copy_results(&arguments, result));
}

int64_t host_call(struct thread *thread, const struct syscall_row *row, const uint64_t args[6])
{
	return host_call_look_at(thread, row, args, NULL);
}
