/* SPDX-License-Identifier: MIT */
/*
 * brk(2): the heap is an anonymous private area from start_brk up to the break, rounded up to a
 * page. Nothing fails loudly: who asks for what cannot be gets the break that is.
 */
#include "core/call/call.h"
#include "core/instance/instance.h"
#include "core/vma/account.h"
#include "core/vma/vma.h"

#include <errno.h>

/* The heap begins with a VMA of its own, as on Linux: it does not become part of the bss before it.
 */
static bool is_first_of_heap(const struct mm_struct *mm, uint64_t start)
{
	return start == PAGE_ALIGN(mm->start_brk);
}

int vm_brk_locked(struct mm_struct *mm, uint64_t start, uint64_t end, uint64_t vm_flags)
{
	uint64_t pages = (end - start) >> PAGE_SHIFT;
	struct vma_range range = {
		.mm = mm,
		.start = start,
		.end = end,
		.vm_flags = VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC |
			    VM_ACCOUNT | mm->def_flags | vm_flags,
		.pgoff = start >> PAGE_SHIFT,
	};
	struct vm_area_struct *vma;

	mmap_assert_write_locked(mm);
	if (!may_expand_vm(mm, range.vm_flags, pages) ||
	    mm->map_count > mm->quire->params.max_map_count)
		return -ENOMEM;
	if (security_vm_enough_memory(mm, pages))
		return -ENOMEM;
	vma = vm_area_alloc(mm);
	if (!vma) {
		vm_unacct_memory(mm->quire, pages);
		return -ENOMEM;
	}
	vma->vm_start = start;
	vma->vm_end = end;
	vma->vm_flags = range.vm_flags;
	vma->vm_pgoff = range.pgoff;
	vma_set_page_prot(vma);
	if (is_first_of_heap(mm, start))
		vma_link(mm, vma);
	else
		vma_merge_or_link(&range, vma);
	vm_stat_account(mm, NULL, range.vm_flags, (int64_t)pages);
	if (range.vm_flags & VM_LOCKED)
		mm->locked_vm += pages;
	return 0;
}

/* Initialised data and heap together. */
static bool within_data_limit(const struct mm_struct *mm, uint64_t brk)
{
	uint64_t limit = mm->limit[LIMIT_DATA];

	return limit == LIMIT_INFINITY ||
	       brk - mm->start_brk + (mm->end_data - mm->start_data) <= limit;
}

static bool shrink_brk(struct mm_struct *mm, uint64_t new_end, uint64_t old_end)
{
	/* Something else is where the heap was: it stays. */
	if (!find_vma_intersection(mm, new_end, old_end))
		return false;
	return !do_munmap_locked(mm, new_end, old_end);
}

/* A page must stay free below what is mapped above, and the guard gap below a stack. */
static bool grow_brk(struct mm_struct *mm, uint64_t old_end, uint64_t new_end)
{
	uint64_t pages = (new_end - old_end) >> PAGE_SHIFT;
	struct vm_area_struct *next = find_vma(mm, old_end);

	if (new_end > mm->task_size)
		return false;
	if (next && new_end + PAGE_SIZE > vm_start_gap(next))
		return false;
	if ((mm->def_flags & VM_LOCKED) && mlock_limit_check(mm, pages, -EAGAIN))
		return false;
	return !vm_brk_locked(mm, old_end, new_end, VM_HEAP);
}

static bool set_brk(struct mm_struct *mm, uint64_t brk)
{
	uint64_t old_end = PAGE_ALIGN(mm->brk);
	uint64_t new_end = PAGE_ALIGN(brk);
	bool done = true;

	if (brk < mm->start_brk || brk > mm->task_size || !within_data_limit(mm, brk))
		return false;
	if (new_end < old_end)
		done = shrink_brk(mm, new_end, old_end);
	else if (new_end > old_end)
		done = grow_brk(mm, old_end, new_end);
	if (done)
		mm->brk = brk;
	return done;
}

uint64_t do_brk(struct mm_struct *mm, uint64_t address)
{
	uint64_t old_end;
	uint64_t brk;
	bool populate;

	mmap_write_lock(mm);
	old_end = PAGE_ALIGN(mm->brk);
	populate = set_brk(mm, address) && PAGE_ALIGN(address) > old_end &&
		   (mm->def_flags & VM_LOCKED);
	brk = mm->brk;
	mmap_write_unlock(mm);
	if (populate) {
		/* What cannot be brought in now is left to a fault. */
		int error = mm_populate(mm, old_end, PAGE_ALIGN(address) - old_end, true);

		(void)error;
	}
	return brk;
}
