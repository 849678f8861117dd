/* SPDX-License-Identifier: MIT */
/*
 * Copying argument lists (see arguments.h).
 *
 * The program may change its memory meanwhile, from another thread; each pointer and each string is
 * read once, so that what was checked is what is used.
 */
#include "run/exec/arguments.h"

#include <errno.h>
#include <stdlib.h>

#include "run/user/user.h"

#define MAX_ARG_STRLEN ((uint64_t)131072)
#define ROOM_MINIMUM ((uint64_t)131072)
#define ROOM_MAXIMUM ((uint64_t)6 << 20)

uint64_t argument_room(uint64_t stack_limit)
{
	return max_u64(min_u64(stack_limit / 4, ROOM_MAXIMUM), ROOM_MINIMUM);
}

/* Arrays that grow as strings come. */
struct copying {
	struct mm_struct *mm;
	struct argument_list *list;
	uint64_t *offsets; /* of each string in list->bytes */
	uint64_t nr, offsets_room;
	uint64_t used, bytes_room;
};

static int grow(void **array, uint64_t *room, uint64_t needed, uint64_t size)
{
	uint64_t wanted = *room ? *room : 256;
	void *larger;

	while (wanted < needed)
		wanted *= 2;
	if (wanted == *room)
		return 0;
	larger = realloc(*array, wanted * size);
	if (!larger)
		return -ENOMEM;
	*array = larger;
	*room = wanted;
	return 0;
}

static int copy_string(struct copying *copying, uint64_t address, uint64_t *room)
{
	uint64_t bytes;
	int64_t length;
	int error;

	if (*room < sizeof(uint64_t) + 1)
		return -E2BIG;
	*room -= sizeof(uint64_t);
	bytes = min_u64(*room, MAX_ARG_STRLEN);
	error = grow((void **)&copying->offsets, &copying->offsets_room, copying->nr + 1,
		     sizeof(uint64_t));
	if (!error)
		error = grow((void **)&copying->list->bytes, &copying->bytes_room,
			     copying->used + bytes, 1);
	if (error)
		return error;
	length = strncpy_from_user(copying->mm, copying->list->bytes + copying->used, address,
				   bytes);
	if (length < 0)
		return length == -ENAMETOOLONG ? -E2BIG : (int)length;
	copying->offsets[copying->nr++] = copying->used;
	copying->used += (uint64_t)length + 1;
	*room -= (uint64_t)length + 1;
	return 0;
}

static int copy_strings(struct copying *copying, uint64_t address, uint64_t *room)
{
	for (;; address += sizeof(uint64_t)) {
		uint64_t pointer;
		int error = copy_from_user(copying->mm, &pointer, address, sizeof(pointer));

		if (error || !pointer)
			return error;
		error = copy_string(copying, pointer, room);
		if (error)
			return error;
	}
}

int argument_list_copy(struct argument_list *list, struct mm_struct *mm, uint64_t address,
		       uint64_t *room)
{
	struct copying copying = {.mm = mm, .list = list};
	int error = 0;

	*list = (struct argument_list){0};
	if (address)
		error = copy_strings(&copying, address, room);
	if (!error) {
		list->strings = calloc(copying.nr + 1, sizeof(char *));
		if (!list->strings)
			error = -ENOMEM;
	}
	for (uint64_t i = 0; !error && i < copying.nr; i++)
		list->strings[i] = list->bytes + copying.offsets[i];
	free(copying.offsets);
	return error;
}

void argument_list_release(struct argument_list *list)
{
	free(list->strings);
	free(list->bytes);
	*list = (struct argument_list){0};
}
