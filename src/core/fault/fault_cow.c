/* SPDX-License-Identifier: MIT */
/*
 * Writes to a present page that is not writable: copy on write of private memory, reuse of a page
 * that nobody else has, dirty tracking of shared files.
 */
#include "core/fault/fault_steps.h"
#include "core/file/filemap.h"
#include "core/file/writeback.h"
#include "core/instance/instance.h"
#include "core/pgtable/mmu_gather.h"
#include "core/reclaim/vmscan.h"
#include "core/rmap/rmap.h"
#include "core/vma/vma_stat.h"

/* Under the entry's lock, which is released: the page may be written in place; by the program, too,
 * unless the write is forced. */
static uint32_t wp_page_reuse(struct vm_fault *vmf)
{
	const pteval_t write = vmf->vma->vm_flags & VM_WRITE ? PTE_WRITE | PTE_DIRTY : 0;

	pte_modify_bits(vmf->pte, 0, write | PTE_ACCESSED);
	spin_unlock(vmf->ptl);
	fault_publish(vmf);
	return VM_FAULT_DONE;
}

/*
 * page_mkwrite: the page is marked dirty before the entry allows writing, so that every writable
 * entry of a shared file has a dirty page behind it.
 */
static uint32_t wp_page_shared(struct vm_fault *vmf, struct page *page)
{
	struct address_space *mapping = vmf->vma->vm_file->f_mapping;
	uint32_t result = VM_FAULT_RETRY;

	get_page(page);
	spin_unlock(vmf->ptl);
	/* Before the entry allows the store: writing this very page now would forbid it again. */
	balance_dirty_pages(mapping);
	lock_page(page);
	/* A store reads the memory while it writes: it should see one state of it. */
	wait_on_page_writeback(page);
	if (page_mapping(page) == mapping && fault_lock_pte(vmf)) {
		set_page_dirty(page);
		result = wp_page_reuse(vmf);
	}
	unlock_page(page);
	put_page(vmf->mm->quire, page);
	return result;
}

/*
 * True when this entry is all that refers to the anonymous page: other processes that shared it are
 * gone. Under the entry's lock.
 */
static bool wp_can_reuse_anon(struct vm_fault *vmf, struct page *page)
{
	struct quire *quire = vmf->mm->quire;
	bool reuse;

	if (page_test(page, PG_anon_exclusive))
		return true;
	/* One by the entry, at most one by a thread's LRU batch, one by the swap cache. */
	if (page_mapcount(page) > 1 || page_count(page) > 3)
		return false;
	if (page_count(page) > 1 + page_test(page, PG_swapcache))
		lru_add_drain_all(quire);
	if (!trylock_page(page))
		return false;
	if (page_test(page, PG_swapcache))
		try_to_free_swap(quire, page);
	reuse = page_count(page) == 1;
	if (reuse) {
		page_move_anon_rmap(page, vmf->vma);
		page_set(page, PG_anon_exclusive);
	}
	unlock_page(page);
	return reuse;
}

/* The new page takes the place of the old one, or of the zero page. Under the entry's lock. */
static void replace_with_copy(struct vm_fault *vmf, struct page *old)
{
	struct mm_struct *mm = vmf->mm;

	/*
	 * No CPU may go on reading the old page while another writes the new one: the entry is
	 * empty until every translation of the old one is gone.
	 */
	pte_exchange(vmf->pte, 0);
	flush_tlb_page(mm, vmf->address, pte_pfn(vmf->orig_pte));
	fault_map_new_anon(vmf);
	if (!old) {
		add_vma_rss(vmf->vma, MM_ANONPAGES, 1);
		return;
	}
	if (!page_anon(old)) {
		add_mm_rss(mm, page_test(old, PG_swapbacked) ? MM_SHMEMPAGES : MM_FILEPAGES, -1);
		add_mm_rss(mm, MM_ANONPAGES, 1);
	}
	page_remove_rmap(old);
}

/* Entered with the entry's lock held. `old` is NULL for the zero page. */
static uint32_t wp_page_copy(struct vm_fault *vmf, struct page *old)
{
	struct quire *quire = vmf->mm->quire;
	uint32_t result;

	if (old)
		get_page(old);
	spin_unlock(vmf->ptl);
	result = fault_alloc_anon(vmf, old);
	if (likely(!result)) {
		if (fault_lock_pte(vmf)) {
			replace_with_copy(vmf, old);
			spin_unlock(vmf->ptl);
			count_event(quire, EVENT_COW_COPY, old ? 1 : 0);
			if (old)
				vma_event(vmf->vma, MAPPING_COPY);
			fault_publish(vmf);
			if (old)
				put_page(quire, old); /* the entry's */
		} else {
			put_page(quire, vmf->page);
			result = VM_FAULT_RETRY;
		}
	}
	if (old)
		put_page(quire, old);
	return result;
}

uint32_t do_wp_page(struct vm_fault *vmf)
{
	struct quire *quire = vmf->mm->quire;
	struct page *page;
	uint32_t result;
	bool of_file;

	if (vmf->orig_pte & PTE_SPECIAL)
		return wp_page_copy(vmf, NULL);
	page = pfn_to_page(&quire->zone, pte_pfn(vmf->orig_pte));
	if (vma_is_shared(vmf->vma))
		return wp_page_shared(vmf, page);
	if (page_anon(page) && wp_can_reuse_anon(vmf, page)) {
		count_event(quire, EVENT_COW_REUSE, 1);
		return wp_page_reuse(vmf);
	}
	of_file = !page_anon(page);
	result = wp_page_copy(vmf, page);
	if (of_file && !result)
		fault_cow_around(vmf);
	return result;
}
