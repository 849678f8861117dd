/* SPDX-License-Identifier: MIT */
/*
 * madvise(2): checks the range and gives each VMA of it its part of the advice.
 *
 * A hole makes the result -ENOMEM, but what is mapped before and after it is advised all the same,
 * unlike with mprotect. Populating is the exception: it stops there, since a page is missing.
 * process_madvise(2) gives the same advice on several ranges.
 */
#include "core/call/madvise.h"

#include "core/call/call.h"
#include "core/instance/instance.h"
#include "core/vma/vma.h"

#include <errno.h>

typedef int (*madvise_fn)(const struct madvise_range *range);

static const struct behavior {
	int advice;
	bool write_lock; /* changes VMAs */
	madvise_fn apply;
} behaviors[] = {
	{QUIRE_MADV_NORMAL, true, madvise_set_flags},
	{QUIRE_MADV_RANDOM, true, madvise_set_flags},
	{QUIRE_MADV_SEQUENTIAL, true, madvise_set_flags},
	{QUIRE_MADV_WILLNEED, false, madvise_willneed},
	{QUIRE_MADV_DONTNEED, false, madvise_dontneed},
	{QUIRE_MADV_DONTNEED_LOCKED, false, madvise_dontneed},
	{QUIRE_MADV_FREE, false, madvise_free},
	{QUIRE_MADV_REMOVE, false, madvise_remove},
	{QUIRE_MADV_DONTFORK, true, madvise_set_flags},
	{QUIRE_MADV_DOFORK, true, madvise_set_flags},
	{QUIRE_MADV_WIPEONFORK, true, madvise_set_flags},
	{QUIRE_MADV_KEEPONFORK, true, madvise_set_flags},
	{QUIRE_MADV_DONTDUMP, true, madvise_set_flags},
	{QUIRE_MADV_DODUMP, true, madvise_set_flags},
	{QUIRE_MADV_MERGEABLE, true, madvise_set_flags},
	{QUIRE_MADV_UNMERGEABLE, true, madvise_set_flags},
	{QUIRE_MADV_HUGEPAGE, true, madvise_set_flags},
	{QUIRE_MADV_NOHUGEPAGE, true, madvise_set_flags},
	{QUIRE_MADV_COLLAPSE, false, madvise_collapse},
	{QUIRE_MADV_COLD, false, madvise_cold},
	{QUIRE_MADV_PAGEOUT, false, madvise_cold},
	{QUIRE_MADV_POPULATE_READ, false, madvise_populate},
	{QUIRE_MADV_POPULATE_WRITE, false, madvise_populate},
	{QUIRE_MADV_GUARD_INSTALL, true, madvise_guard_install},
	{QUIRE_MADV_GUARD_REMOVE, false, madvise_guard_remove},
};

/* Advice that may throw contents away, here or in a child. */
static bool is_discard(int advice)
{
	switch (advice) {
	case QUIRE_MADV_FREE:
	case QUIRE_MADV_DONTNEED:
	case QUIRE_MADV_DONTNEED_LOCKED:
	case QUIRE_MADV_REMOVE:
	case QUIRE_MADV_DONTFORK:
	case QUIRE_MADV_WIPEONFORK:
	case QUIRE_MADV_GUARD_INSTALL:
		return true;
	default:
		return false;
	}
}

/* Sealed anonymous memory that the program may not write must not be emptied either. */
static bool seal_forbids(const struct madvise_range *range)
{
	const struct vm_area_struct *vma = range->vma;

	return (vma->vm_flags & (VM_SEALED | VM_WRITE)) == VM_SEALED && vma_is_anonymous(vma) &&
	       is_discard(range->advice);
}

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
		error = seal_forbids(range) ? -EPERM : apply(range);
		if (error)
			return error;
	}
	return hole;
}

static const struct behavior *find_behavior(int advice)
{
	for (size_t i = 0; i < ARRAY_SIZE(behaviors); i++)
		if (behaviors[i].advice == advice)
			return &behaviors[i];
	return NULL;
}

static int madvise_one(struct mm_struct *mm, uint64_t start, uint64_t length,
		       const struct behavior *behavior)
{
	struct madvise_range range = {.mm = mm, .start = start, .advice = behavior->advice};
	const uint64_t bytes = PAGE_ALIGN(length);
	const uint64_t end = start + bytes;
	int error;

	if (PAGE_OFFSET(start) || (length && !bytes) || end < start)
		return -EINVAL;
	if (start == end)
		return 0;
	if (behavior->write_lock)
		mmap_write_lock(mm);
	else
		mmap_read_lock(mm);
	error = madvise_walk_vmas(&range, end, behavior->apply);
	if (behavior->write_lock)
		mmap_write_unlock(mm);
	else
		mmap_read_unlock(mm);
	return error;
}

int do_madvise(struct mm_struct *mm, uint64_t start, uint64_t length, int advice)
{
	const struct behavior *behavior = find_behavior(advice);

	return behavior ? madvise_one(mm, start, length, behavior) : -EINVAL;
}

int64_t do_process_madvise(struct mm_struct *mm, const struct quire_range *parts, uint64_t count,
			   int advice)
{
	const struct behavior *behavior = find_behavior(advice);
	uint64_t done = 0;

	for (uint64_t i = 0; i < count; i++) {
		int error = behavior ? madvise_one(mm, parts[i].address, parts[i].length, behavior)
				     : -EINVAL;

		if (error)
			return done ? (int64_t)done : error;
		done += parts[i].length;
	}
	return (int64_t)done;
}
