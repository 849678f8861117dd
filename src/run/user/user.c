/* SPDX-License-Identifier: MIT */
/*
 * Copying between Quire and the program's memory.
 */
#include "run/user/user.h"

#include <errno.h>
#include <string.h>

#include "core/fault/fault.h"
#include "core/vma/vma.h"

/* How much of [address, address + bytes) lies below the end of user space. */
static uint64_t user_span(const struct mm_struct *mm, uint64_t address, uint64_t bytes)
{
	if (address >= mm->task_size)
		return 0;
	return min_u64(bytes, mm->task_size - address);
}

static uint64_t copy_some(struct mm_struct *mm, uint64_t address, void *buffer, uint64_t bytes,
			  bool write)
{
	uint64_t span = user_span(mm, address, bytes);
	int64_t done = span ? access_process_vm(mm, address, buffer, span, write) : 0;

	return done < 0 ? 0 : (uint64_t)done;
}

static int copy_all(struct mm_struct *mm, uint64_t address, void *buffer, uint64_t bytes,
		    bool write)
{
	return copy_some(mm, address, buffer, bytes, write) == bytes ? 0 : -EFAULT;
}

uint64_t copy_some_from_user(struct mm_struct *mm, void *to, uint64_t from, uint64_t bytes)
{
	return copy_some(mm, from, to, bytes, false);
}

uint64_t copy_some_to_user(struct mm_struct *mm, uint64_t to, const void *from, uint64_t bytes)
{
	return copy_some(mm, to, (void *)from, bytes, true);
}

int copy_from_user(struct mm_struct *mm, void *to, uint64_t from, uint64_t bytes)
{
	return copy_all(mm, from, to, bytes, false);
}

int copy_to_user(struct mm_struct *mm, uint64_t to, const void *from, uint64_t bytes)
{
	return copy_all(mm, to, (void *)from, bytes, true);
}

int64_t strncpy_from_user(struct mm_struct *mm, char *to, uint64_t from, uint64_t bytes)
{
	uint64_t done = 0;

	/* Never beyond the page that holds the zero: the next one may not exist. */
	while (done < bytes) {
		uint64_t at = from + done;
		uint64_t chunk = min_u64(bytes - done, PAGE_SIZE - PAGE_OFFSET(at));
		const char *zero;

		if (copy_from_user(mm, to + done, at, chunk))
			return -EFAULT;
		zero = memchr(to + done, 0, chunk);
		if (zero)
			return zero - to;
		done += chunk;
	}
	return -ENAMETOOLONG;
}

/* A stack's untouched part below its area is the program's too: touching it makes the area grow. */
static bool may_grow_to(const struct vm_area_struct *vma, uint64_t address)
{
	const struct mm_struct *mm = vma->vm_mm;

	return (vma->vm_flags & VM_GROWSDOWN) && vma->vm_end - address <= mm->limit[LIMIT_STACK];
}

uint64_t user_range(struct mm_struct *mm, uint64_t address, uint64_t bytes, bool write)
{
	const uint64_t need = write ? VM_WRITE : VM_ACCESS_FLAGS;
	const uint64_t end = address + user_span(mm, address, bytes);
	uint64_t at = address;
	struct vm_area_struct *vma;

	if (end == address)
		return 0;
	mmap_read_lock(mm);
	for (vma = find_vma(mm, at); vma && at < end; vma = vma_next(vma)) {
		if (!(vma->vm_flags & need))
			break;
		if (vma->vm_start > at && !may_grow_to(vma, at))
			break;
		at = min_u64(vma->vm_end, end);
	}
	mmap_read_unlock(mm);
	return at - address;
}
