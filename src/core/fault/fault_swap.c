/* SPDX-License-Identifier: MIT */
/*
 * Faults of swapped pages: the page comes back from the swap cache or the swap area, and with it
 * neighbours that are in the swap cache, where the instance fills around faults.
 */
#include "core/fault/fault_steps.h"
#include "core/instance/instance.h"
#include "core/reclaim/swap.h"
#include "core/rmap/rmap.h"
#include "core/vma/vma_stat.h"

#include <errno.h>

/* Swap fault-around. */
#define SWAP_AROUND_BYTES (16 * PAGE_SIZE)

/* The page was not mapped: whoever gave up its last use meanwhile may have found it locked. */
static void drop_locked_page(struct quire *quire, struct page *page)
{
	unlock_page(page);
	swap_cache_release(quire, page);
	put_page(quire, page);
}

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
	drop_locked_page(quire, vmf->page);
	return VM_FAULT_RETRY;
}

/*
 * Under the entry's lock and the page's: the swap entry gives way to the page, whose reference
 * becomes the entry's. `accessed`: PTE_ACCESSED or 0. Returns the new entry.
 */
static pteval_t map_swapped_page(struct vm_fault *vmf, pteval_t accessed)
{
	struct vm_area_struct *vma = vmf->vma;
	struct mm_struct *mm = vmf->mm;
	const swp_entry_t entry = pte_to_swp_entry(vmf->orig_pte);
	bool exclusive = vmf->orig_pte & SWP_EXCLUSIVE;
	pteval_t bits = vma->vm_page_prot | accessed;

	/* The last holder of the slot, with no other mapping of the page: nobody shares it any
	 * more. */
	if (!exclusive && swap_count(mm->quire, entry) == 1 && !page_mapped(vmf->page))
		exclusive = true;
	/* The store is still reading the page: who writes to it meanwhile gets a copy. */
	if (page_test(vmf->page, PG_writeback))
		exclusive = false;
	if (exclusive && (vma->vm_flags & VM_WRITE)) {
		if (vmf->flags & FAULT_WRITE)
			bits |= PTE_WRITE | PTE_DIRTY | PTE_ACCESSED;
		else if (mm->quire->params.no_zero_page)
			/* Where a fault is dear the write to come needs none; the dirty bit will
			 * tell. */
			bits |= PTE_WRITE;
	}
	page_add_anon_rmap(vmf->page, vma, vmf->address, exclusive);
	add_mm_rss(mm, MM_SWAPENTS, -1);
	add_vma_rss(vma, MM_ANONPAGES, 1);
	vma_event(vma, MAPPING_SWAP_IN);
	bits = pfn_pte(page_to_pfn(&mm->quire->zone, vmf->page), bits);
	set_pte(vmf->pte, bits);
	return bits;
}

/* The slot has one holder less; a page that is being written needs no copy there. Page and entry
 * locked. */
static void give_up_slot(struct vm_fault *vmf, pteval_t mapped)
{
	struct quire *quire = vmf->mm->quire;

	swap_free(quire, pte_to_swp_entry(vmf->orig_pte));
	if (mapped & PTE_DIRTY)
		try_to_free_swap(quire, vmf->page);
}

/* Under the table's lock: maps a neighbour's page if it can be had without waiting. */
static bool map_neighbour(struct vm_fault *vmf)
{
	struct quire *quire = vmf->mm->quire;
	const pteval_t accessed = quire->params.premark_accessed ? PTE_ACCESSED : 0;
	swp_entry_t entry;
	bool mapped;

	vmf->orig_pte = pte_load(vmf->pte);
	if (!pte_swap(vmf->orig_pte))
		return false;
	entry = pte_to_swp_entry(vmf->orig_pte);
	vmf->page = swap_cache_get_page(quire, entry);
	if (!vmf->page)
		return false;
	if (!page_test(vmf->page, PG_uptodate) || !trylock_page(vmf->page)) {
		put_page(quire, vmf->page);
		return false;
	}
	mapped = page_test(vmf->page, PG_swapcache) && vmf->page->private == entry.value &&
		 !page_test(vmf->page, PG_writeback);
	if (mapped) {
		swap_note_readahead_hit(quire, entry, vmf->page);
		give_up_slot(vmf, map_swapped_page(vmf, accessed));
		unlock_page(vmf->page);
	} else {
		drop_locked_page(quire, vmf->page);
	}
	return mapped;
}

/* Under the table's lock: what readahead brought in beside the page of the fault is mapped with it,
 * so that it needs no faults of its own. */
static void map_neighbours(const struct vm_fault *vmf)
{
	struct quire *quire = vmf->mm->quire;
	const uint64_t bytes = min_u64(quire->params.anon_fault_around, SWAP_AROUND_BYTES);
	const uint64_t window = vmf->address & ~(bytes - 1);
	const uint64_t end = min_u64(window + bytes, vmf->vma->vm_end);
	uint32_t mapped = 0;

	if (vmf->vma->vm_flags & VM_RAND_READ)
		return;
	for (uint64_t at = max_u64(window, vmf->vma->vm_start); at < end; at += PAGE_SIZE) {
		struct vm_fault neighbour = *vmf;

		/* Nobody has written to it, so its slot still serves. */
		neighbour.flags &= ~(uint32_t)FAULT_WRITE;
		neighbour.address = at;
		neighbour.pte += (int64_t)(at - vmf->address) / (int64_t)PAGE_SIZE;
		mapped += map_neighbour(&neighbour);
	}
	if (mapped)
		count_event(quire, EVENT_FAULT_AROUND, mapped);
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
		drop_locked_page(quire, vmf->page);
		return VM_FAULT_RETRY;
	}
	mapped = map_swapped_page(vmf, PTE_ACCESSED);
	if (quire->params.anon_fault_around > PAGE_SIZE)
		map_neighbours(vmf);
	/* Until the page is unlocked the entry keeps it: who unmaps it then finds it unlocked. */
	give_up_slot(vmf, mapped);
	unlock_page(vmf->page);
	spin_unlock(vmf->ptl);
	fault_publish(vmf);
	/* A write to a page that others share goes on as a write fault of a present page. */
	return (vmf->flags & FAULT_WRITE) && !(mapped & PTE_WRITE) ? VM_FAULT_RETRY : VM_FAULT_DONE;
}
