/* SPDX-License-Identifier: MIT */
/*
 * mseal(2): from then on the range can neither be unmapped, moved, resized or given other
 * permissions, nor can its contents be thrown away by who may not write them. There is no way back.
 */
#include "core/call/call.h"

#include "core/vma/vma.h"

#include <errno.h>

bool range_is_sealed(struct vm_area_struct *vma, uint64_t end)
{
	for (; vma && vma->vm_start < end; vma = vma_next(vma))
		if (vma->vm_flags & VM_SEALED)
			return true;
	return false;
}

static bool range_has_hole(struct mm_struct *mm, uint64_t start, uint64_t end)
{
	struct vm_area_struct *vma = find_vma(mm, start);

	for (; vma && vma->vm_start <= start; vma = vma_next(vma)) {
		start = vma->vm_end;
		if (start >= end)
			return false;
	}
	return true;
}

static int mseal_locked(struct mm_struct *mm, uint64_t start, uint64_t end)
{
	if (range_has_hole(mm, start, end))
		return -ENOMEM;
	while (start < end) {
		struct vm_area_struct *vma = find_vma(mm, start);
		const uint64_t stop = min_u64(end, vma->vm_end);
		int error = 0;

		if (!(vma->vm_flags & VM_SEALED))
			error = vma_modify_flags(vma, start, stop, vma->vm_flags | VM_SEALED, &vma);
		if (error)
			return error;
		start = stop;
	}
	return 0;
}

int do_mseal(struct mm_struct *mm, uint64_t start, uint64_t length, uint64_t flags)
{
	const uint64_t bytes = PAGE_ALIGN(length);
	const uint64_t end = start + bytes;
	int error;

	if (flags || PAGE_OFFSET(start) || (length && !bytes) || end < start)
		return -EINVAL;
	if (start == end)
		return 0;
	mmap_write_lock(mm);
	error = mseal_locked(mm, start, end);
	mmap_write_unlock(mm);
	return error;
}
