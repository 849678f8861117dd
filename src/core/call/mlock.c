/* SPDX-License-Identifier: MIT */
/*
 * mlock(2), mlock2(2), munlock(2), mlockall(2), munlockall(2): VM_LOCKED on whole VMAs, split and
 * merged as need be, and the pages brought in afterwards; and mm_populate(), which does the
 * bringing in for mmap and mremap too.
 *
 * The VMA's flag is what keeps a page in memory. PG_mlocked and the unevictable list only spare
 * reclaim the way to the VMA: pages that are present change sides here, those that come later when
 * they are mapped.
 */
#include "core/call/call.h"
#include "core/call/page_walk.h"
#include "core/fault/fault.h"
#include "core/reclaim/vmscan.h"
#include "core/vma/account.h"
#include "core/vma/vma.h"

#include <errno.h>

/* The present pages of one table go to (or leave) the unevictable list; `argument` points to
 * whether they are locked. */
static uint64_t mlock_ptes(struct vm_area_struct *vma, pte_t *pte, uint64_t address, uint64_t end,
			   void *argument)
{
	struct quire *quire = vma->vm_mm->quire;
	const bool *lock = argument;

	for (; address < end; address += PAGE_SIZE, pte++) {
		pteval_t value = pte_load(pte);
		struct page *page;

		if (!pte_present(value) || (value & PTE_SPECIAL))
			continue;
		page = pfn_to_page(&quire->zone, pte_pfn(value));
		if (*lock)
			mlock_page(quire, page);
		else
			munlock_page(quire, page);
	}
	return end;
}

/* Pages of [start, end) that VM_LOCKED VMAs hold already. */
static uint64_t count_locked_pages(struct mm_struct *mm, uint64_t start, uint64_t end)
{
	struct vm_area_struct *vma = find_vma(mm, start);
	uint64_t pages = 0;

	for (; vma && vma->vm_start < end; vma = vma_next(vma))
		if (vma->vm_flags & VM_LOCKED)
			pages += (min_u64(end, vma->vm_end) - max_u64(start, vma->vm_start)) >>
				 PAGE_SHIFT;
	return pages;
}

/* [start, end) of the VMA is locked as `lock_flags` say (0: not). *result is the VMA of the range
 * afterwards. */
static int mlock_fixup(struct vm_area_struct *vma, uint64_t start, uint64_t end,
		       uint64_t lock_flags, struct vm_area_struct **result)
{
	struct mm_struct *mm = vma->vm_mm;
	const uint64_t old_flags = vma->vm_flags;
	const uint64_t new_flags = (old_flags & ~(uint64_t)VM_LOCKED_MASK) | lock_flags;
	const uint64_t pages = (end - start) >> PAGE_SHIFT;
	bool lock = lock_flags & VM_LOCKED;
	int error;

	*result = vma;
	if (new_flags == old_flags || (old_flags & (VM_SPECIAL | VM_DROPPABLE)))
		return 0;
	error = vma_modify_flags(vma, start, end, new_flags, result);
	if (error)
		return error;
	if (lock == !!(old_flags & VM_LOCKED))
		return 0;
	if (lock)
		mm->locked_vm += pages;
	else
		mm->locked_vm -= pages;
	walk_page_range(*result, start, end, mlock_ptes, &lock);
	return 0;
}

/* mmap_lock held for writing. -ENOMEM at the first hole: what lies before it is changed. */
static int apply_vma_lock_flags(struct mm_struct *mm, uint64_t start, uint64_t end,
				uint64_t lock_flags)
{
	while (start < end) {
		struct vm_area_struct *vma = vma_lookup(mm, start);
		uint64_t stop;
		int error;

		if (!vma)
			return -ENOMEM;
		stop = min_u64(end, vma->vm_end);
		error = mlock_fixup(vma, start, stop, lock_flags, &vma);
		if (error)
			return error;
		start = stop;
	}
	return 0;
}

/* What populating one VMA would have to touch: -EFAULT for memory that nobody may access. */
static int populate_vma(struct vm_area_struct *vma, uint64_t start, uint64_t end)
{
	/* Locked on fault: its pages come when they are touched. */
	if (vma->vm_flags & VM_LOCKONFAULT)
		return 0;
	/* Private writable pages are copied now; shared ones must not become dirty for nothing. */
	return populate_vma_range(vma, start, end,
				  (vma->vm_flags & (VM_WRITE | VM_SHARED)) == VM_WRITE);
}

int mm_populate(struct mm_struct *mm, uint64_t start, uint64_t length, bool ignore_errors)
{
	const uint64_t end = start + length;
	struct vm_area_struct *vma;
	int error = 0;

	mmap_read_lock(mm);
	for (vma = find_vma(mm, start); vma && vma->vm_start < end; vma = vma_next(vma)) {
		if (vma->vm_flags & (VM_IO | VM_PFNMAP))
			continue;
		error = populate_vma(vma, max_u64(start, vma->vm_start), min_u64(end, vma->vm_end));
		if (error && !ignore_errors)
			break;
		error = 0;
	}
	mmap_read_unlock(mm);
	return error;
}

/* The errors that POSIX gives mlock for memory that cannot be brought in. */
static int mlock_posix_error(int error)
{
	if (error == -EFAULT)
		return -ENOMEM;
	return error == -ENOMEM ? -EAGAIN : error;
}

/* Rounds the range to whole pages; a length that wraps when rounded counts as rounded, as on Linux.
 */
static uint64_t page_bounds(uint64_t *start, uint64_t length)
{
	const uint64_t bytes = PAGE_ALIGN(length + PAGE_OFFSET(*start));

	*start = PAGE_ALIGN_DOWN(*start);
	return bytes;
}

/* mmap_lock held for writing. The limit is looked at before the range. */
static int mlock_locked(struct mm_struct *mm, uint64_t start, uint64_t bytes, uint64_t vm_flags)
{
	const uint64_t end = start + bytes;
	int error = mlock_limit_check(
		mm, (bytes >> PAGE_SHIFT) - count_locked_pages(mm, start, end), -ENOMEM);

	if (error)
		return error;
	return end < start ? -EINVAL : apply_vma_lock_flags(mm, start, end, vm_flags);
}

int do_mlock(struct mm_struct *mm, uint64_t start, uint64_t length, uint64_t vm_flags)
{
	const uint64_t bytes = page_bounds(&start, length);
	int error;

	mmap_write_lock(mm);
	error = mlock_locked(mm, start, bytes, vm_flags);
	mmap_write_unlock(mm);
	if (error)
		return error;
	return mlock_posix_error(mm_populate(mm, start, bytes, false));
}

int do_munlock(struct mm_struct *mm, uint64_t start, uint64_t length)
{
	const uint64_t bytes = page_bounds(&start, length);
	int error;

	if (start + bytes < start)
		return -EINVAL;
	mmap_write_lock(mm);
	error = apply_vma_lock_flags(mm, start, start + bytes, 0);
	mmap_write_unlock(mm);
	return error;
}

/* Every VMA; one that cannot be split or merged for lack of memory stays as it is, as on Linux. */
static void apply_all_lock_flags(struct mm_struct *mm, uint64_t lock_flags)
{
	uint64_t address = 0;
	struct vm_area_struct *vma;

	while ((vma = find_vma(mm, address))) {
		address = vma->vm_end;
		if (mlock_fixup(vma, vma->vm_start, vma->vm_end, lock_flags, &vma))
			continue;
	}
}

static uint64_t mcl_vm_flags(uint32_t flags)
{
	return VM_LOCKED | (flags & QUIRE_MCL_ONFAULT ? VM_LOCKONFAULT : 0);
}

static int mlockall_locked(struct mm_struct *mm, uint32_t flags)
{
	const bool current = flags & QUIRE_MCL_CURRENT;
	int error = mlock_limit_check(mm, current ? mm->total_vm - mm->locked_vm : 0, -ENOMEM);

	if (error)
		return error;
	mm->def_flags &= ~(uint64_t)VM_LOCKED_MASK;
	if (flags & QUIRE_MCL_FUTURE)
		mm->def_flags |= mcl_vm_flags(flags);
	if (current)
		apply_all_lock_flags(mm, mcl_vm_flags(flags));
	return 0;
}

int do_mlockall(struct mm_struct *mm, uint32_t flags)
{
	const uint32_t known = QUIRE_MCL_CURRENT | QUIRE_MCL_FUTURE | QUIRE_MCL_ONFAULT;
	int error;

	if (!flags || (flags & ~known) || flags == QUIRE_MCL_ONFAULT)
		return -EINVAL;
	mmap_write_lock(mm);
	error = mlockall_locked(mm, flags);
	mmap_write_unlock(mm);
	if (error || !(flags & QUIRE_MCL_CURRENT))
		return error;
	return mm_populate(mm, 0, mm->task_size, true);
}

int do_munlockall(struct mm_struct *mm)
{
	mmap_write_lock(mm);
	mm->def_flags &= ~(uint64_t)VM_LOCKED_MASK;
	apply_all_lock_flags(mm, 0);
	mmap_write_unlock(mm);
	return 0;
}
