/* SPDX-License-Identifier: MIT */
/*
 * remap_file_pages(2): shows other pages of the object at part of a shared mapping. As on Linux
 * since 4.0 that is a mapping of its own, made by mmap over the old one.
 */
#include "core/call/call.h"

#include "core/file/address_space.h"
#include "core/instance/instance.h"
#include "core/vma/vma.h"

#include <errno.h>

/* More than a byte offset can say. */
#define PGOFF_END ((pgoff_t)1 << (64 - PAGE_SHIFT))

/* The range lies in VMAs that touch and have one file and equal flags. */
static bool is_uniform(struct vm_area_struct *vma, uint64_t end)
{
	const struct vm_area_struct *first = vma;

	while (vma->vm_end < end) {
		struct vm_area_struct *next = vma_next(vma);

		if (!next || next->vm_start != vma->vm_end || next->vm_file != first->vm_file ||
		    next->vm_flags != first->vm_flags)
			return false;
		vma = next;
	}
	return true;
}

static int64_t remap_locked(struct mm_struct *mm, uint64_t start, uint64_t bytes, pgoff_t pgoff,
			    bool *populate)
{
	struct vm_area_struct *vma = vma_lookup(mm, start);
	struct mmap_request request = {
		.address = start,
		.length = bytes,
		.flags = QUIRE_MAP_SHARED | QUIRE_MAP_FIXED | QUIRE_MAP_POPULATE,
		.offset = (int64_t)(pgoff << PAGE_SHIFT),
	};
	int64_t address;

	if (!vma || !(vma->vm_flags & VM_SHARED) || !is_uniform(vma, start + bytes))
		return -EINVAL;
	if (pgoff >= PGOFF_END)
		return -EOVERFLOW;
	request.prot = vma->vm_flags & VM_ACCESS_FLAGS;
	if (vma->vm_flags & VM_LOCKED)
		request.flags |= QUIRE_MAP_LOCKED;
	/* The mapping's own reference goes with it. */
	request.file = vma->vm_file;
	get_file(request.file);
	address = do_mmap_locked(mm, &request, populate);
	fput(request.file);
	return address;
}

int do_remap_file_pages(struct mm_struct *mm, uint64_t start, uint64_t length, uint32_t prot,
			pgoff_t pgoff, uint32_t flags)
{
	const uint64_t bytes = PAGE_ALIGN_DOWN(length);
	bool populate = false;
	int64_t address;

	start = PAGE_ALIGN_DOWN(start);
	if (prot || start + bytes <= start || pgoff + (bytes >> PAGE_SHIFT) < pgoff)
		return -EINVAL;
	mmap_write_lock(mm);
	address = remap_locked(mm, start, bytes, pgoff, &populate);
	mmap_write_unlock(mm);
	if (address < 0)
		return (int)address;
	if (populate && !(flags & QUIRE_MAP_NONBLOCK)) {
		/* What cannot be brought in now is left to a fault. */
		int error = mm_populate(mm, start, bytes, true);

		(void)error;
	}
	return 0;
}
