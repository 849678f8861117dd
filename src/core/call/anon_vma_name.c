/* SPDX-License-Identifier: MIT */
/*
 * prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME): names for anonymous memory, to be seen in maps. VMAs of
 * different names do not merge.
 */
#include "core/call/call.h"

#include "base/alloc.h"
#include "core/vma/vma.h"

#include <errno.h>
#include <string.h>

/* With its end. */
#define ANON_VMA_NAME_MAX 80

/* What could be mistaken for something else in maps. */
static bool is_valid_name(const char *name)
{
	for (; *name; name++)
		if (*name < ' ' || *name > '~' || strchr("\\`$[]", *name))
			return false;
	return true;
}

/* Objects in memory keep the name of their file. */
static int name_vma(struct vm_area_struct *vma, uint64_t start, uint64_t end,
		    struct anon_vma_name *name)
{
	int error;

	if (vma->vm_file)
		return -EBADF;
	if (anon_vma_name_equal(vma->anon_name, name))
		return 0;
	error = vma_modify_anon_name(vma, start, end, name, &vma);
	return error == -ENOMEM ? -EAGAIN : error;
}

/* What is mapped is named, around holes too. */
static int name_range(struct mm_struct *mm, uint64_t start, uint64_t end,
		      struct anon_vma_name *name)
{
	int hole = 0;

	while (start < end) {
		struct vm_area_struct *vma = find_vma(mm, start);
		uint64_t stop;
		int error;

		if (!vma || vma->vm_start >= end)
			return -ENOMEM;
		if (vma->vm_start > start) {
			hole = -ENOMEM;
			start = vma->vm_start;
		}
		stop = min_u64(end, vma->vm_end);
		error = name_vma(vma, start, stop, name);
		if (error)
			return error;
		start = stop;
	}
	return hole;
}

int do_set_anon_vma_name(struct mm_struct *mm, uint64_t start, uint64_t length, const char *text)
{
	const uint64_t end = start + PAGE_ALIGN(length);
	struct anon_vma_name *name = NULL;
	int error;

	if (text && (strnlen(text, ANON_VMA_NAME_MAX) == ANON_VMA_NAME_MAX || !is_valid_name(text)))
		return -EINVAL;
	if (PAGE_OFFSET(start) || (length && !PAGE_ALIGN(length)) || end < start)
		return -EINVAL;
	if (start == end)
		return 0;
	if (text) {
		name = anon_vma_name_alloc(text);
		if (!name)
			return -ENOMEM;
	}
	mmap_write_lock(mm);
	error = name_range(mm, start, end, name);
	mmap_write_unlock(mm);
	anon_vma_name_put(name);
	return error;
}
