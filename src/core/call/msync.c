/* SPDX-License-Identifier: MIT */
/*
 * msync(2): writes the shared file pages of a range back, and waits, when asked to (MS_SYNC).
 *
 * Dirty pages are known to the page cache as soon as a mapping stores to them, so MS_ASYNC and no
 * flag at all have nothing to do but to check the range.
 */
#include "core/call/call.h"
#include "core/file/filemap.h"
#include "core/instance/instance.h"
#include "core/vma/vma.h"

#include <errno.h>

/* The part [start, end) of the VMA; mmap_lock is held for reading and let go of meanwhile. */
static int sync_vma_range(struct mm_struct *mm, struct vm_area_struct *vma, uint64_t start,
			  uint64_t end)
{
	struct file *file = vma->vm_file;
	const uint64_t first = (linear_page_index(vma, start)) << PAGE_SHIFT;
	int error;

	get_file(file);
	mmap_read_unlock(mm);
	error = vfs_fsync_range(file, first, first + (end - start) - 1);
	fput(file);
	mmap_read_lock(mm);
	return error;
}

static int msync_range(struct mm_struct *mm, uint64_t start, uint64_t end, uint32_t flags)
{
	int hole = 0;

	while (start < end) {
		struct vm_area_struct *vma = find_vma(mm, start);
		uint64_t stop;
		int error;

		if (!vma || vma->vm_start >= end)
			return -ENOMEM;
		if (start < vma->vm_start) {
			if (flags == QUIRE_MS_ASYNC)
				return -ENOMEM;
			hole = -ENOMEM;
			start = vma->vm_start;
		}
		if ((flags & QUIRE_MS_INVALIDATE) && (vma->vm_flags & VM_LOCKED))
			return -EBUSY;
		stop = min_u64(end, vma->vm_end);
		if ((flags & QUIRE_MS_SYNC) && vma->vm_file && vma_is_shared(vma)) {
			error = sync_vma_range(mm, vma, start, stop);
			if (error)
				return error;
		}
		start = stop;
	}
	return hole;
}

int do_msync(struct mm_struct *mm, uint64_t start, uint64_t length, uint32_t flags)
{
	const uint64_t end = start + PAGE_ALIGN(length);
	int error;

	if ((flags & ~(uint32_t)(QUIRE_MS_ASYNC | QUIRE_MS_INVALIDATE | QUIRE_MS_SYNC)) ||
	    PAGE_OFFSET(start) || ((flags & QUIRE_MS_ASYNC) && (flags & QUIRE_MS_SYNC)))
		return -EINVAL;
	if (end < start)
		return -ENOMEM;
	mmap_read_lock(mm);
	error = msync_range(mm, start, end, flags);
	mmap_read_unlock(mm);
	return error;
}
