/* SPDX-License-Identifier: MIT */
/*
 * munmap(2).
 *
 * Only a hole in the middle of one VMA needs memory (for the part above it), so that is prepared
 * first; what follows cannot fail. Each VMA is zapped before it leaves the reverse maps, and page
 * tables go last, when no VMA that they served is left in any.
 */
#include "core/call/call.h"
#include "core/fault/fault.h"
#include "core/instance/instance.h"
#include "core/pgtable/mmu_gather.h"
#include "core/vma/account.h"
#include "core/vma/internal.h"

#include <errno.h>

static const struct zap_details zap_all;

/* [start, end) of the VMA goes: pages and accounts. */
static void unmap_part(struct mmu_gather *tlb, struct vm_area_struct *vma, uint64_t start,
		       uint64_t end)
{
	struct mm_struct *mm = vma->vm_mm;
	uint64_t pages = (end - start) >> PAGE_SHIFT;

	zap_page_range(tlb, vma, start, end, &zap_all);
	vm_stat_account(mm, vma->vm_file, vma->vm_flags, -(int64_t)pages);
	if (vma->vm_flags & VM_LOCKED)
		mm->locked_vm -= pages;
	if (vma->vm_flags & VM_ACCOUNT)
		vm_unacct_memory(mm->quire, pages);
}

static void unmap_whole(struct mmu_gather *tlb, struct vm_area_struct *vma)
{
	unmap_part(tlb, vma, vma->vm_start, vma->vm_end);
	vma_unlink(vma->vm_mm, vma);
	if (vma->vm_ops && vma->vm_ops->close)
		vma->vm_ops->close(vma);
	vm_area_free(vma);
}

/* Everything from `vma`, the first that overlaps, on; the range does not lie inside one VMA.
 * Returns the first VMA behind the range. */
static struct vm_area_struct *unmap_vmas(struct mmu_gather *tlb, struct vm_area_struct *vma,
					 uint64_t start, uint64_t end)
{
	while (vma && vma->vm_start < end) {
		struct vm_area_struct *next = vma_next(vma);

		if (vma->vm_start < start) {
			unmap_part(tlb, vma, start, vma->vm_end);
			vma_shrink(vma, vma->vm_start, start);
		} else if (vma->vm_end > end) {
			unmap_part(tlb, vma, vma->vm_start, end);
			vma_shrink(vma, end, vma->vm_end);
			return vma;
		} else {
			unmap_whole(tlb, vma);
		}
		vma = next;
	}
	return vma;
}

/* A hole inside the VMA: it keeps the part below, `above` is the other one, prepared. */
static struct vm_area_struct *unmap_middle(struct mmu_gather *tlb, struct vm_area_struct *vma,
					   uint64_t start, struct vm_area_struct *above)
{
	const struct vma_change change = vma_change_end(vma, start);

	unmap_part(tlb, vma, start, above->vm_start);
	vma_split_commit(&change, (struct vm_area_struct *[2]){above, NULL});
	return above;
}

static int prepare_middle(struct vm_area_struct *vma, uint64_t start, uint64_t end,
			  struct vm_area_struct **above)
{
	struct mm_struct *mm = vma->vm_mm;
	int error = vma_may_split(vma, start);

	if (error)
		return error;
	if (mm->map_count >= mm->quire->params.max_map_count)
		return -ENOMEM;
	return vma_split_prepare(vma, end, vma->vm_end, NULL, above);
}

/* Whether the VMAs at both ends of the range agree to be split there. */
static int may_split_ends(struct vm_area_struct *first, uint64_t start, uint64_t end)
{
	struct vm_area_struct *last = first;
	int error = 0;

	if (first->vm_start < start)
		error = vma_may_split(first, start);
	if (first->vm_end < end)
		last = find_vma_intersection(first->vm_mm, end - 1, end);
	if (!error && last && last->vm_end > end)
		error = vma_may_split(last, end);
	return error;
}

int do_munmap_locked(struct mm_struct *mm, uint64_t start, uint64_t end)
{
	struct vm_area_struct *vma = find_vma_intersection(mm, start, end);
	struct vm_area_struct *above = NULL;
	struct vm_area_struct *prev;
	struct vm_area_struct *next;
	struct mmu_gather tlb;
	int error;

	mmap_assert_write_locked(mm);
	if (!vma)
		return 0;
	if (range_is_sealed(vma, end))
		return -EPERM;
	if (vma->vm_start < start && vma->vm_end > end)
		error = prepare_middle(vma, start, end, &above);
	else
		error = may_split_ends(vma, start, end);
	if (error)
		return error;

	prev = vma->vm_start < start ? vma : vma_prev(vma);
	tlb_gather_mmu(&tlb, mm);
	next = above ? unmap_middle(&tlb, vma, start, above) : unmap_vmas(&tlb, vma, start, end);
	free_pgtables(&tlb, start, end, prev ? prev->vm_end : 0,
		      next ? next->vm_start : mm->task_size);
	tlb_finish_mmu(&tlb);
	return 0;
}

int do_munmap(struct mm_struct *mm, uint64_t start, uint64_t length)
{
	uint64_t end = start + PAGE_ALIGN(length);
	int error;

	if (PAGE_OFFSET(start) || start > mm->task_size || length > mm->task_size - start)
		return -EINVAL;
	if (end == start)
		return -EINVAL;
	mmap_write_lock(mm);
	error = do_munmap_locked(mm, start, end);
	mmap_write_unlock(mm);
	return error;
}
