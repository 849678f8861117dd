/* SPDX-License-Identifier: MIT */
/*
 * Faults of swapped pages: the page comes back from the swap cache or the swap area.
 */
#include "core/fault/fault_steps.h"
#include "core/instance/instance.h"
#include "core/reclaim/swap.h"
#include "core/rmap/rmap.h"

#include <errno.h>

/*
 * Finds the page of the entry, locked, with a reference in vmf->page, and still the swap cache's
 * page of that entry.
 */
static uint32_t get_locked_swap_page(struct vm_fault *vmf, swp_entry_t entry)
{
	struct quire *quire = vmf->mm->quire;
	bool major = false;
	int error = swapin_page(quire, entry, vma_memcg(vmf->vma),
				!(vmf->vma->vm_flags & VM_RAND_READ), &major, &vmf->page);

	if (major)
		vmf->result |= VM_FAULT_MAJOR;
	if (error == -ENOENT)
		return VM_FAULT_RETRY;
	if (error)
		return error == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
	lock_page(vmf->page);
	if (page_test(vmf->page, PG_swapcache) && vmf->page->private == entry.value)
		return VM_FAULT_DONE;
	unlock_page(vmf->page);
	put_page(quire, vmf->page);
	return VM_FAULT_RETRY;
}

/* Under the entry's lock and the page's: the swap entry gives way to the page. */
static void map_swapped_page(struct vm_fault *vmf, swp_entry_t entry)
{
	struct vm_area_struct *vma = vmf->vma;
	struct mm_struct *mm = vmf->mm;
	bool exclusive = vmf->orig_pte & SWP_EXCLUSIVE;
	pteval_t bits = vma->vm_page_prot | PTE_ACCESSED;

	/* The last holder of the slot, with no other mapping of the page: nobody shares it any
	 * more. */
	if (!exclusive && swap_count(mm->quire, entry) == 1 && !page_mapped(vmf->page))
		exclusive = true;
	/* The store is still reading the page: who writes to it meanwhile gets a copy. */
	if (page_test(vmf->page, PG_writeback))
		exclusive = false;
	if (exclusive && (vmf->flags & FAULT_WRITE))
		bits |= PTE_WRITE | PTE_DIRTY;
	page_add_anon_rmap(vmf->page, vma, vmf->address, exclusive);
	add_mm_rss(mm, MM_SWAPENTS, -1);
	add_mm_rss(mm, MM_ANONPAGES, 1);
	set_pte(vmf->pte, pfn_pte(page_to_pfn(&mm->quire->zone, vmf->page), bits));
}

uint32_t do_swap_page(struct vm_fault *vmf)
{
	struct quire *quire = vmf->mm->quire;
	swp_entry_t entry = pte_to_swp_entry(vmf->orig_pte);
	uint32_t result = get_locked_swap_page(vmf, entry);
	pteval_t mapped;

	if (result)
		return result;
	if (!fault_lock_pte(vmf)) {
		unlock_page(vmf->page);
		put_page(quire, vmf->page);
		return VM_FAULT_RETRY;
	}
	map_swapped_page(vmf, entry);
	mapped = pte_load(vmf->pte);
	spin_unlock(vmf->ptl);
	swap_free(quire, entry);
	if (mapped & PTE_WRITE)
		try_to_free_swap(quire, vmf->page);
	unlock_page(vmf->page);
	fault_publish(vmf);
	/* A write to a page that others share goes on as a write fault of a present page. */
	return (vmf->flags & FAULT_WRITE) && !(mapped & PTE_WRITE) ? VM_FAULT_RETRY : VM_FAULT_DONE;
}
