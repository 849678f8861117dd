/* SPDX-License-Identifier: MIT */
/*
 * Copies of the program's memory for the length of one system call.
 */
#include "run/syscall/bounce.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "run/syscall/table.h"
#include "run/user/user.h"

#define BOUNCE_ALIGN(x) (((x) + 15) & ~(uint64_t)15)

void bounce_begin(struct bounce *bounce, struct thread *thread)
{
	bounce->mm = thread_mm(thread);
	bounce->blocks = NULL;
	bounce->used = 0;
	bounce->nr_outputs = 0;
	bounce->error = 0;
}

void *bounce_alloc(struct bounce *bounce, uint64_t bytes)
{
	uint64_t room = BOUNCE_ALIGN(bytes);
	struct bounce_block *block;

	if (room <= sizeof(bounce->local) - bounce->used) {
		void *memory = bounce->local + bounce->used;

		bounce->used += (uint32_t)room;
		return memory;
	}
	block = bytes <= BOUNCE_MAX + PATH_MAX ? malloc(sizeof(*block) + room) : NULL;
	if (!block) {
		bounce->error = -ENOMEM;
		return NULL;
	}
	block->next = bounce->blocks;
	bounce->blocks = block;
	return block->data;
}

uint64_t bounce_in(struct bounce *bounce, uint64_t address, uint64_t bytes)
{
	void *copy;

	if (!address)
		return 0;
	if (bytes > BOUNCE_MAX)
		return BAD_POINTER;
	copy = bounce_alloc(bounce, bytes);
	if (!copy || copy_from_user(bounce->mm, copy, address, bytes))
		return BAD_POINTER;
	return as_number(copy);
}

uint64_t bounce_in_sized(struct bounce *bounce, uint64_t address, uint64_t least)
{
	uint32_t bytes;

	if (!address)
		return 0;
	if (copy_from_user(bounce->mm, &bytes, address, sizeof(bytes)))
		return BAD_POINTER;
	return bounce_in(bounce, address, min_u64(max_u64(bytes, least), PAGE_SIZE));
}

uint64_t bounce_string(struct bounce *bounce, uint64_t address, uint64_t limit)
{
	char *copy;

	if (!address)
		return 0;
	copy = bounce_alloc(bounce, limit + 1);
	if (!copy || strncpy_from_user(bounce->mm, copy, address, limit) == -EFAULT)
		return BAD_POINTER;
	copy[limit] = 0;
	return as_number(copy);
}

uint64_t bounce_path(struct bounce *bounce, uint64_t address)
{
	return bounce_string(bounce, address, PATH_MAX);
}

static void note_output(struct bounce *bounce, uint64_t address, const void *data, uint64_t bytes)
{
	QUIRE_ASSERT(1, bounce->nr_outputs < BOUNCE_OUTPUTS);
	bounce->outputs[bounce->nr_outputs++] =
		(struct bounce_output){.address = address, .data = data, .bytes = bytes};
}

/* A copy that goes back; `filled`: with the program's contents. */
static uint64_t add_output(struct bounce *bounce, uint64_t address, uint64_t bytes, bool filled)
{
	void *copy;

	if (!address)
		return 0;
	if (bytes > BOUNCE_MAX || user_range(bounce->mm, address, bytes, true) < bytes)
		return BAD_POINTER;
	copy = bounce_alloc(bounce, bytes);
	if (!copy)
		return BAD_POINTER;
	if (!filled)
		memset(copy, 0, bytes);
	else if (copy_from_user(bounce->mm, copy, address, bytes))
		return BAD_POINTER;
	note_output(bounce, address, copy, bytes);
	return as_number(copy);
}

uint64_t bounce_out(struct bounce *bounce, uint64_t address, uint64_t bytes)
{
	return add_output(bounce, address, bytes, false);
}

uint64_t bounce_inout(struct bounce *bounce, uint64_t address, uint64_t bytes)
{
	return add_output(bounce, address, bytes, true);
}

uint64_t bounce_room(struct bounce *bounce, uint64_t address, uint64_t *bytes)
{
	uint64_t room = min_u64(*bytes, BOUNCE_MAX);
	void *copy;

	if (!address)
		return 0;
	room = user_range(bounce->mm, address, room, true);
	if (*bytes && !room)
		return BAD_POINTER;
	copy = bounce_alloc(bounce, room);
	if (!copy)
		return BAD_POINTER;
	*bytes = room;
	return as_number(copy);
}

int64_t bounce_call(struct bounce *bounce, struct thread *thread, long number,
		    const uint64_t args[6], bool blocks)
{
	return bounce->error ? bounce->error : host_call_raw(thread, number, args, blocks);
}

int64_t bounce_finish(struct bounce *bounce, int64_t result)
{
	for (uint32_t i = 0; result >= 0 && i < bounce->nr_outputs; i++) {
		const struct bounce_output *output = &bounce->outputs[i];

		if (copy_to_user(bounce->mm, output->address, output->data, output->bytes))
			result = -EFAULT;
	}
	bounce_end(bounce);
	return result;
}

void bounce_end(struct bounce *bounce)
{
	struct bounce_block *next;

	for (struct bounce_block *block = bounce->blocks; block; block = next) {
		next = block->next;
		free(block);
	}
	bounce->blocks = NULL;
}
