/* SPDX-License-Identifier: MIT */
/*
 * MADV_GUARD_INSTALL and MADV_GUARD_REMOVE: markers in the page table that make any access a
 * SIGSEGV, without a VMA of their own.
 */
#include "core/call/madvise.h"
#include "core/call/page_walk.h"
#include "core/fault/fault.h"
#include "core/pgtable/mmu_gather.h"
#include "core/rmap/rmap.h"

#include <errno.h>

/* Marks empty entries of one table; returns the first address whose entry holds something else. */
static uint64_t install_markers(struct mm_struct *mm, pte_t *pte, uint64_t address, uint64_t end)
{
	struct spinlock *ptl = pte_lockptr(mm, pte);

	spin_lock(ptl);
	for (; address < end; address += PAGE_SIZE, pte++) {
		pteval_t value = pte_load(pte);

		if (pte_none(value))
			set_pte(pte, pte_make_marker(SWP_TYPE_GUARD));
		else if (!pte_guard(value))
			break;
	}
	spin_unlock(ptl);
	return address;
}

/* Drops what is mapped from `address` on, leaving markers. */
static void drop_contents(struct vm_area_struct *vma, uint64_t address, uint64_t end)
{
	const struct zap_details details = {.keep_guards = true};
	struct mmu_gather tlb;

	tlb_gather_mmu(&tlb, vma->vm_mm);
	zap_page_range(&tlb, vma, address, end, &details);
	tlb_finish_mmu(&tlb);
}

int madvise_guard_install(const struct madvise_range *range)
{
	struct vm_area_struct *vma = range->vma;
	uint64_t address = range->start;

	if (vma->vm_flags & (VM_SPECIAL | VM_LOCKED))
		return -EINVAL;
	/* Whoever has page tables for anonymous memory has an anon_vma. */
	if (vma_is_anonymous(vma) && anon_vma_prepare(vma))
		return -ENOMEM;
	vma_rmap_lock(vma);
	vma->vm_flags |= VM_MAYBE_GUARD;
	vma_rmap_unlock(vma);
	while (address < range->end) {
		uint64_t stop = min_u64(range->end, pte_table_end(address));
		pte_t *pte = pte_alloc(range->mm, address);

		if (!pte)
			return -ENOMEM;
		/* Something is there: it goes, and then once more from there. */
		address = install_markers(range->mm, pte, address, stop);
		if (address < stop)
			drop_contents(vma, address, stop);
	}
	/* Entries that were found empty may have been emptied by reclaim just before. */
	mm_wait_revokes(range->mm);
	return 0;
}

static uint64_t remove_markers(struct vm_area_struct *vma, pte_t *pte, uint64_t address,
			       uint64_t end, void *argument)
{
	(void)vma;
	(void)argument;
	for (; address < end; address += PAGE_SIZE, pte++)
		if (pte_guard(pte_load(pte)))
			set_pte(pte, 0);
	return end;
}

int madvise_guard_remove(const struct madvise_range *range)
{
	if (range->vma->vm_flags & VM_SPECIAL)
		return -EINVAL;
	walk_page_range(range->vma, range->start, range->end, remove_markers, NULL);
	return 0;
}
