/* SPDX-License-Identifier: MIT */
/*
 * Growth of a stack: a VM_GROWSDOWN area is extended down to a touched address below it, as long as
 * the limits allow and a guard gap stays between it and what is mapped below.
 */
#include "core/instance/instance.h"
#include "core/rmap/rmap.h"
#include "core/vma/account.h"
#include "core/vma/internal.h"

#include <errno.h>

/* An area that nobody can access guards by itself, and below a stack another may end. */
static bool needs_gap(const struct vm_area_struct *prev)
{
	return !(prev->vm_flags & VM_GROWSDOWN) && (prev->vm_flags & VM_ACCESS_FLAGS);
}

/* Limits of a stack that shall start at `address`; commits the growth. */
static int account_stack_growth(struct vm_area_struct *vma, uint64_t address)
{
	struct mm_struct *mm = vma->vm_mm;
	uint64_t pages = (vma->vm_start - address) >> PAGE_SHIFT;

	if (!may_expand_vm(mm, vma->vm_flags, pages))
		return -ENOMEM;
	if (vma->vm_end - address > mm->limit[LIMIT_STACK])
		return -ENOMEM;
	if ((vma->vm_flags & VM_LOCKED) && mlock_limit_check(mm, pages, -ENOMEM))
		return -ENOMEM;
	if (vma->vm_flags & VM_ACCOUNT)
		return security_vm_enough_memory(mm, pages);
	return 0;
}

int expand_downwards(struct vm_area_struct *vma, uint64_t address)
{
	struct mm_struct *mm = vma->vm_mm;
	struct vm_area_struct *prev = vma_prev(vma);
	uint64_t pages;
	int error;

	mmap_assert_write_locked(mm);
	if (!(vma->vm_flags & VM_GROWSDOWN))
		return -EFAULT;
	address = PAGE_ALIGN_DOWN(address);
	if (address >= vma->vm_start)
		return 0;
	if (address < MMAP_MIN_ADDR)
		return -ENOMEM;
	if (prev && prev->vm_end > address)
		return -ENOMEM;
	if (prev && needs_gap(prev) && address - prev->vm_end < STACK_GUARD_GAP)
		return -ENOMEM;
	pages = (vma->vm_start - address) >> PAGE_SHIFT;
	if (pages > vma->vm_pgoff)
		return -ENOMEM;
	error = account_stack_growth(vma, address);
	if (error)
		return error;
	error = vma_expand(vma, address, vma->vm_end, NULL);
	if (error) {
		if (vma->vm_flags & VM_ACCOUNT)
			vm_unacct_memory(mm->quire, pages);
		return error;
	}
	if (vma->vm_flags & VM_LOCKED)
		mm->locked_vm += pages;
	vm_stat_account(mm, vma->vm_file, vma->vm_flags, (int64_t)pages);
	return 0;
}
