/* SPDX-License-Identifier: MIT */
/*
 * madvise(2): checks the range and gives each VMA of it its part of the advice.
 *
 * A hole makes the result -ENOMEM, but what is mapped before and after it is advised all the same,
 * unlike with mprotect. Populating is the exception: it stops there, since a page is missing.
 */
#include "core/call/madvise.h"

#include "core/call/call.h"
#include "core/instance/instance.h"
#include "core/vma/vma.h"

#include <errno.h>

typedef int (*madvise_fn)(const struct madvise_range *range);

static const struct {
	int advice;
	bool write_lock; /* changes VMAs */
	madvise_fn apply;
} behaviors[] = {
	{QUIRE_MADV_NORMAL, true, madvise_set_flags},
	{QUIRE_MADV_RANDOM, true, madvise_set_flags},
	{QUIRE_MADV_SEQUENTIAL, true, madvise_set_flags},
	{QUIRE_MADV_WILLNEED, false, madvise_willneed},
	{QUIRE_MADV_DONTNEED, false, madvise_dontneed},
	{QUIRE_MADV_FREE, false, madvise_free},
	{QUIRE_MADV_REMOVE, false, madvise_remove},
	{QUIRE_MADV_DONTFORK, true, madvise_set_flags},
	{QUIRE_MADV_DOFORK, true, madvise_set_flags},
	{QUIRE_MADV_WIPEONFORK, true, madvise_set_flags},
	{QUIRE_MADV_KEEPONFORK, true, madvise_set_flags},
	{QUIRE_MADV_COLD, false, madvise_cold},
	{QUIRE_MADV_PAGEOUT, false, madvise_cold},
	{QUIRE_MADV_POPULATE_READ, false, madvise_populate},
	{QUIRE_MADV_POPULATE_WRITE, false, madvise_populate},
	{QUIRE_MADV_GUARD_INSTALL, true, madvise_guard_install},
	{QUIRE_MADV_GUARD_REMOVE, false, madvise_guard_remove},
};

/*
 * Every VMA of [start, end). They are looked up by address each time: advice may split and merge
 * them, or let go of the lock.
 */
static int madvise_walk_vmas(struct madvise_range *range, uint64_t end, madvise_fn apply)
{
	const bool populate = apply == madvise_populate;
	uint64_t start = range->start;
	int hole = 0;

	while (start < end) {
		int error;

		range->vma = find_vma(range->mm, start);
		if (!range->vma || range->vma->vm_start >= end)
			return -ENOMEM;
		if (start < range->vma->vm_start) {
			if (populate)
				return -ENOMEM;
			hole = -ENOMEM;
			start = range->vma->vm_start;
		}
		range->start = start;
		range->end = min_u64(end, range->vma->vm_end);
		start = range->end;
		error = apply(range);
		if (error)
			return error;
	}
	return hole;
}

int do_madvise(struct mm_struct *mm, uint64_t start, uint64_t length, int advice)
{
	struct madvise_range range = {.mm = mm, .start = start, .advice = advice};
	const uint64_t bytes = PAGE_ALIGN(length);
	const uint64_t end = start + bytes;
	size_t i = 0;
	int error;

	while (i < ARRAY_SIZE(behaviors) && behaviors[i].advice != advice)
		i++;
	if (i == ARRAY_SIZE(behaviors) || PAGE_OFFSET(start) || (length && !bytes) || end < start)
		return -EINVAL;
	if (start == end)
		return 0;
	if (behaviors[i].write_lock)
		mmap_write_lock(mm);
	else
		mmap_read_lock(mm);
	error = madvise_walk_vmas(&range, end, behaviors[i].apply);
	if (behaviors[i].write_lock)
		mmap_write_unlock(mm);
	else
		mmap_read_unlock(mm);
	return error;
}
