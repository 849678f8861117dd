/* SPDX-License-Identifier: MIT */
/*
 * argv and envp of an execve, copied out of the program's memory before that goes.
 */
#ifndef QUIRE_RUN_EXEC_ARGUMENTS_H
#define QUIRE_RUN_EXEC_ARGUMENTS_H

#include "core/vma/mm.h"

struct argument_list {
	char **strings; /* owned; NULL last */
	char *bytes;    /* owned: the strings one after the other */
};

/*
 * Copies the list of strings at `address` (0: an empty one). *room: what all strings and pointers
 * may take together, less this list afterwards. 0, -EFAULT, -E2BIG (also a string of 128 KiB or
 * more), -ENOMEM. To be released in every case.
 */
QUIRE_MUST_CHECK int argument_list_copy(struct argument_list *list, struct mm_struct *mm,
					uint64_t address, uint64_t *room);
void argument_list_release(struct argument_list *list);
/* The room that execve gives to both lists, for a stack limit. */
uint64_t argument_room(uint64_t stack_limit);

#endif
